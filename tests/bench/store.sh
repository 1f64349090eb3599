#!/usr/bin/env bash
# `make bench-store`: what one write of configuration costs, beside what one would do otherwise.
#
# The repository's own bench (core/benches/writes/) measures writes, syncs and validation, and
# the same change made with `git commit` and `git cherry-pick` in a clone. Then puts of the same
# document into an etcd of one member on the same disk, which flushes each before it answers: over
# connections that stay open, from one client and from 32 (curl and etcd's JSON door, so that no
# process starts for a put), and by `etcdctl put`, a process each; what starting one costs is shown
# beside it. etcd listens on 127.0.0.1, keeps its data under the target folder and is ended by its
# id. Where etcd is missing and cannot be installed, the rest is measured without it.
#
#   REFGATE_BENCH_SERVICES   services in every group (10000)
#   REFGATE_BENCH_GROUPS     groups (10)
#   REFGATE_BENCH_PUTS       puts of each kind (320)
#   REFGATE_BENCH_PROFILE    the profile of cargo (bench)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

services=${REFGATE_BENCH_SERVICES:-10000}
groups=${REFGATE_BENCH_GROUPS:-10}
puts=${REFGATE_BENCH_PUTS:-320}
profile=${REFGATE_BENCH_PROFILE:-bench}
client=127.0.0.1:23790
peer=127.0.0.1:23800

say() { printf '%s\n' "$*"; }
die() { printf 'bench: %s\n' "$*" >&2; exit 1; }

have_etcd() { command -v etcd >/dev/null && command -v etcdctl >/dev/null; }

install_etcd() {
  command -v apt-get >/dev/null || return 1
  as_root() { "$@"; }
  [[ $(id -u) == 0 ]] || as_root() { sudo -n "$@"; }
  say "installing etcd-server, etcd-client"
  as_root apt-get update -q >/dev/null || say "apt-get update failed; trying with the package lists as they are"
  # The package would start etcd as a service: not wanted here.
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -q --no-install-recommends etcd-server etcd-client >/dev/null
}

have_etcd || install_etcd || true

say "load before: $(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || uptime)"
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir -p "$target/tmp"
work=$(mktemp -d "$target/tmp/refgate-store-XXXXXX")
etcd=
cleanup() {
  if [[ -n $etcd ]]; then
    kill "$etcd" 2>/dev/null || true
    wait "$etcd" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

cargo bench -q -p refgate-core --profile "$profile" --bench writes -- "$services" "$groups" | tee "$work/own"

if ! have_etcd; then
  say "etcd and etcdctl are not here: not compared with them"
  exit 0
fi
etcd --name bench --data-dir "$work/data" --log-level error \
  --listen-client-urls "http://$client" --advertise-client-urls "http://$client" \
  --listen-peer-urls "http://$peer" --initial-advertise-peer-urls "http://$peer" \
  --initial-cluster "bench=http://$peer" >"$work/log" 2>&1 &
etcd=$!
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=$client
for _ in $(seq 100); do
  etcdctl endpoint health >/dev/null 2>&1 && break
  kill -0 "$etcd" 2>/dev/null || die "etcd ended: $(tail -n 3 "$work/log")"
  sleep 0.1
done
etcdctl endpoint health >/dev/null 2>&1 || die "etcd does not answer: $(tail -n 3 "$work/log")"

document='{"paths": ["/service-00001/*"], "priority": 7}'
encode() { printf %s "$1" | base64 -w 0; }
requests() { # requests FILE: what curl is to put, each key once
  for ((n = 0; n < puts; n++)); do
    ((n == 0)) || say next
    say "url = http://$client/v3/kv/put"
    say "data = \"{\\\"key\\\": \\\"$(encode "/services/service-$n/routes/get")\\\", \\\"value\\\": \\\"$value\\\"}\""
    say "output = /dev/null"
    say 'write-out = "%{http_code} %{time_total}\n"'
  done >"$1"
}
value=$(encode "$document")
requests "$work/puts"

# One after the other over one connection: no process, no connection is made for a put.
curl -sS --config "$work/puts" >"$work/times"
sort -n -k 2 "$work/times" | awk '
  $1 != 200 { bad = 1 }
  { times[NR] = $2 * 1000 }
  END {
    if (bad || NR == 0) { print "bench: a put failed" > "/dev/stderr"; exit 1 }
    printf "etcd put alone, connection open: p50 %.1f ms, p99 %.1f ms (%d times)\n",
      times[int((NR - 1) * 0.5) + 1], times[int((NR - 1) * 0.99) + 1], NR
    print times[int((NR - 1) * 0.5) + 1] > "'"$work/median"'"
  }'
own=$(sed -n 's/^write alone: p50 \([0-9.]*\) ms.*/\1/p' "$work/own")
awk -v own="$own" -v peer="$(cat "$work/median")" 'BEGIN { printf "write alone / etcd put: %.2f\n", own / peer }'
now() { date +%s%N; }
each() { # each NAME COUNT COMMAND…: the mean of so many in a row
  local name=$1 count=$2 begun
  shift 2
  begun=$(now)
  for ((n = 0; n < count; n++)); do "$@" >/dev/null; done
  awk -v name="$name" -v ns=$(($(now) - begun)) -v count="$count" \
    'BEGIN { printf "%s: mean %.1f ms (%d times)\n", name, ns / count / 1e6, count }'
}
begun=$(now)
curl -sS --parallel --parallel-immediate --parallel-max 32 --config "$work/puts" >"$work/times" 2>"$work/errors" \
  || die "puts of 32 clients: $(tail -n 1 "$work/errors")"
awk -v ns=$(($(now) - begun)) '
  $1 != 200 { bad = 1 }
  END {
    if (bad || NR == 0) { print "bench: a put failed" > "/dev/stderr"; exit 1 }
    printf "etcd put, 32 connections: %.0f writes/s\n", NR / ns * 1e9
  }' "$work/times"

each "etcdctl version (starting the process)" "$puts" etcdctl version
each "etcdctl put alone" "$puts" etcdctl put /services/service-00001/routes/get "$document"
begun=$(now)
seq "$puts" | xargs -P 32 -I N etcdctl put /services/service-N/routes/get "$document" >/dev/null
awk -v ns=$(($(now) - begun)) -v count="$puts" \
  'BEGIN { printf "etcdctl put, 32 at a time: %.0f writes/s\n", count / ns * 1e9 }'
say "load after: $(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || uptime)"

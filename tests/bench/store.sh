#!/usr/bin/env bash
# `make bench-store`: what one write of configuration costs, beside what one would do otherwise.
#
# The repository's own bench (core/benches/writes.rs) measures writes, syncs and validation, and
# the same change made with `git commit` and `git cherry-pick` in a clone. Then `etcdctl put` of the
# same document against an etcd of one member on the same disk, alone and 32 at a time. A process
# has to start for each put: what that costs is measured with `etcdctl version` and shown. etcd
# listens on 127.0.0.1, keeps its data under the target folder and is ended by its id.
#
#   REFGATE_BENCH_SERVICES   services in every group (10000)
#   REFGATE_BENCH_GROUPS     groups (10)
#   REFGATE_BENCH_PUTS       puts of each kind (320)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

services=${REFGATE_BENCH_SERVICES:-10000}
groups=${REFGATE_BENCH_GROUPS:-10}
puts=${REFGATE_BENCH_PUTS:-320}
client=127.0.0.1:23790
peer=127.0.0.1:23800

say() { printf '%s\n' "$*"; }
die() { printf 'bench: %s\n' "$*" >&2; exit 1; }

missing=()
command -v etcd >/dev/null || missing+=(etcd-server)
command -v etcdctl >/dev/null || missing+=(etcd-client)
if ((${#missing[@]})); then
  command -v apt-get >/dev/null || die "install ${missing[*]} and run this again"
  as_root() { "$@"; }
  [[ $(id -u) == 0 ]] || as_root() { sudo "$@"; }
  say "installing ${missing[*]}"
  as_root apt-get update -q >/dev/null || say "apt-get update failed; trying with the package lists as they are"
  # The package would start etcd as a service: not wanted here.
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null \
    || die "could not install ${missing[*]}"
fi

say "load before: $(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || uptime)"
cargo bench -q -p refgate-core --bench writes -- "$services" "$groups"

target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir -p "$target/tmp"
work=$(mktemp -d "$target/tmp/refgate-etcd-XXXXXX")
etcd=
cleanup() {
  if [[ -n $etcd ]]; then
    kill "$etcd" 2>/dev/null || true
    wait "$etcd" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

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
now() { date +%s%N; }
each() { # each NAME COUNT COMMAND…: the mean of so many in a row
  local name=$1 count=$2 begun
  shift 2
  begun=$(now)
  for ((n = 0; n < count; n++)); do "$@" >/dev/null; done
  awk -v name="$name" -v ns=$(($(now) - begun)) -v count="$count" \
    'BEGIN { printf "%s: mean %.1f ms (%d times)\n", name, ns / count / 1e6, count }'
}
each "etcdctl version (starting the process)" "$puts" etcdctl version
each "etcdctl put alone" "$puts" etcdctl put /services/service-00001/routes/get "$document"
begun=$(now)
seq "$puts" | xargs -P 32 -I N etcdctl put /services/service-N/routes/get "$document" >/dev/null
awk -v ns=$(($(now) - begun)) -v count="$puts" \
  'BEGIN { printf "etcdctl put, 32 at a time: %.0f writes/s\n", count / ns * 1e9 }'
say "load after: $(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || uptime)"

#!/usr/bin/env bash
# `make bench-push`: how long `git push` of one changed route takes, with many services in the group.
#
# Three times are taken of each push, all from the start of `git push`: until a gateway answers with
# what was pushed (asked again and again by one connection that stays open), until `git push` returns,
# and, alternating with them, until a `git push` of the same commit to a plain bare repository
# (file://, no hooks, the same flushing) returns. Everything listens on 127.0.0.1.
#
#   REFGATE_BIN                  the refgate to measure (it is built: dev profile, not for numbers to keep)
#   REFGATE_BENCH_SERVICES       services in the group (1000)
#   REFGATE_BENCH_PUSHES         pushes that are measured (120)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

services=${REFGATE_BENCH_SERVICES:-1000}
pushes=${REFGATE_BENCH_PUSHES:-120}
die() { printf 'bench: %s\n' "$*" >&2; exit 1; }

command -v python3 >/dev/null || die "python3 is needed"
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
cargo build --quiet --package refgate-tests --bin refgate-origin
if [[ -z ${REFGATE_BIN:-} ]]; then
  cargo build --quiet --package refgate --bin refgate
  REFGATE_BIN=$target/debug/refgate
fi
[[ -x $REFGATE_BIN ]] || die "there is no $REFGATE_BIN"
mkdir -p "$target/tmp"
work=$(mktemp -d "$target/tmp/refgate-push-XXXXXX")
started=()
cleanup() {
  for id in "${started[@]}"; do
    kill "$id" 2>/dev/null || true
    wait "$id" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap cleanup EXIT

# The first line of a file that matches; waits for it.
line() {
  for _ in $(seq 600); do
    if sed -n "s|^$2||p" "$1" | grep -m1 .; then return; fi
    sleep 0.1
  done
  die "nothing like '$2' in $1: $(tail -5 "$1" "$work/refgate.err")"
}

printf 'load before: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || uptime)"
printf '%s, %s\n' "$("$REFGATE_BIN" --version)" "$(git --version)"
"$target/debug/refgate-origin" >"$work/origin" 2>&1 &
started+=($!)
export REFGATE_ADMIN_TOKEN=rg-token-of-the-benchmark
"$REFGATE_BIN" up --data-dir "$work/data" --listen 127.0.0.1:0 \
  --gateway test=127.0.0.1:0 >"$work/refgate.out" 2>"$work/refgate.err" &
started+=($!)
origin=$(line "$work/origin" 'refgate-origin: http://127.0.0.1:')
control=$(line "$work/refgate.out" 'refgate: control plane ')
gateway=$(line "$work/refgate.out" 'refgate: gateway test ')

python3 tests/bench/push.py "$work" "$control" "$gateway" "$origin" "$services" "$pushes"
printf 'load after: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || uptime)"

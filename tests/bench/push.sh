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
source tests/stage.sh bench-push
command -v python3 >/dev/null || die "python3 is needed"

printf 'load before: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || uptime)"
printf '%s, %s\n' "$("$REFGATE_BIN" --version)" "$(git --version)"
start_origin
start_refgate --gateway test=127.0.0.1:0

python3 tests/bench/push.py "$work" "$control" "$gateway" "$origin" "$services" "$pushes"
printf 'load after: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || uptime)"

#!/usr/bin/env bash
# `make conformance`: the cases of the httpwg suite for HTTP/2 (RFC 9113) against a gateway that takes
# HTTP/2 without TLS. A case that fails and is not in `known` is an error; docs/gateway.md says what is.
#
# The suite is a crate that needs Linux with io_uring; it is built in tests/conformance/target.
#
#   REFGATE_BIN   the refgate to ask (it is built)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
die() { printf 'conformance: %s\n' "$*" >&2; exit 1; }

target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
cargo build --quiet --package refgate-tests --bin refgate-origin
if [[ -z ${REFGATE_BIN:-} ]]; then
  cargo build --quiet --package refgate --bin refgate
  REFGATE_BIN=$target/debug/refgate
fi
cargo build --quiet --locked --manifest-path tests/conformance/Cargo.toml --target-dir tests/conformance/target
mkdir -p "$target/tmp"
work=$(mktemp -d "$target/tmp/refgate-conformance-XXXXXX")
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

"$target/debug/refgate-origin" >"$work/origin" 2>&1 &
started+=($!)
export REFGATE_ADMIN_TOKEN=rg-token-of-the-conformance
"$REFGATE_BIN" up --data-dir "$work/data" --listen 127.0.0.1:0 \
  --gateway test=127.0.0.1:0,h2c >"$work/refgate.out" 2>"$work/refgate.err" &
started+=($!)
origin=$(line "$work/origin" 'refgate-origin: http://127.0.0.1:')
control=$(line "$work/refgate.out" 'refgate: control plane ')
gateway=$(line "$work/refgate.out" 'refgate: gateway test ')

curl --silent --show-error --fail-with-body --noproxy '*' --request PUT --output "$work/put" \
  --header "Authorization: Bearer $REFGATE_ADMIN_TOKEN" --header 'Content-Type: application/json' \
  --data "{\"routes\": {\"all\": {\"paths\": [\"/*\"]}}, \"runtime\": {\"upstreams\": {\"default\":
    {\"nodes\": [{\"host\": \"127.0.0.1\", \"port\": ${origin%/}}]}}}}" \
  "$control/v1/groups/test/services/origin?wait=10" || die "$(cat "$work/put")"

tests/conformance/target/debug/refgate-conformance "${gateway#http://}" | tee "$work/results"
if sed -n 's/^FAIL  \([^(]*[^( ]\).*/\1/p' "$work/results" | grep -vxFf tests/conformance/known; then
  die "these fail and are not known to"
fi

#!/usr/bin/env bash
# `make conformance`: the cases of the httpwg suite for HTTP/2 (RFC 9113) against a gateway that takes
# HTTP/2 without TLS. A case that fails and is not in `known` is an error, and so is one in there that passes.
#
# The suite is a crate that needs Linux with io_uring; it is built in tests/conformance/target.
#
#   REFGATE_BIN   the refgate to ask (it is built)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/stage.sh conformance

cargo build --quiet --locked --manifest-path tests/conformance/Cargo.toml --target-dir tests/conformance/target
start_origin
start_refgate --gateway test=127.0.0.1:0,h2c

curl --silent --show-error --fail-with-body --noproxy '*' --request PUT --output "$work/put" \
  --header "Authorization: Bearer $REFGATE_ADMIN_TOKEN" --header 'Content-Type: application/json' \
  --data "{\"routes\": {\"all\": {\"paths\": [\"/*\"]}}, \"runtime\": {\"upstreams\": {\"default\":
    {\"nodes\": [{\"host\": \"127.0.0.1\", \"port\": ${origin%/}}]}}}}" \
  "$control/v1/groups/test/services/origin?wait=10" || die "$(cat "$work/put")"

tests/conformance/target/debug/refgate-conformance "${gateway#http://}" | tee "$work/results"
# What is known, without reasons: what always fails, and what may.
known=tests/conformance/known
sed -n '/^[#?]/d; s/ | .*//p' "$known" >"$work/always"
sed -n 's/^? \(.*\) | .*/\1/p' "$known" | cat "$work/always" - >"$work/may"
sed -n 's/^FAIL  \([^(]*[^( ]\).*/\1/p' "$work/results" >"$work/failed"
[[ -s $work/may && -s $work/results ]] || die "nothing to compare"
if grep -vxFf "$work/may" "$work/failed"; then
  die "these fail and are not known to"
fi
if grep -vxFf "$work/failed" "$work/always"; then
  die "these are known to fail and pass, or are not there: take them out of $known"
fi

#!/usr/bin/env bash
# `make api-fuzz`: schemathesis reads the document of the API from a live control plane with gateways and
# asks whatever the document allows, and much that it does not. An answer of 5xx is an error, and so is
# one that the document does not tell of: its status, its content type, its headers, its body; so is a
# request that breaks the document and is taken all the same.
#
# schemathesis comes from PyPI into a virtual environment under the target directory, once. The event stream
# does not end by itself and is left out; tests of the handlers hold it to the document.
#
#   REFGATE_BIN            the refgate to ask (it is built)
#   REFGATE_FUZZ_SECONDS   how long (60)
#   REFGATE_FUZZ_SEED      for the same requests again (another one each time)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/stage.sh api-fuzz

environment=$target/schemathesis
version=4.32.5
if [[ ! -x $environment/bin/st ]] || [[ $("$environment/bin/st" --version) != *" $version" ]]; then
  python3 -m venv "$environment" || die "python3 with venv is needed (Debian: python3-venv)"
  "$environment/bin/pip" install --quiet "schemathesis==$version"
fi
start_refgate --gateway test=127.0.0.1:0 --gateway uat=127.0.0.1:0

ask() {
  curl --silent --show-error --fail-with-body --noproxy '*' --output "$work/answer" \
    --header "Authorization: Bearer $REFGATE_ADMIN_TOKEN" --header 'Content-Type: application/json' "$@" \
    || die "$(cat "$work/answer")"
}
# Something to find: a service with a version in two groups, and one of each object.
ask --request PUT "$control/v1/groups/test/services/httpbin" --data '{
  "routes": {"get-headers": {"paths": ["/headers"], "methods": ["GET"]}},
  "runtime": {"upstreams": {"default": {"nodes": [{"host": "127.0.0.1", "port": 9}]}}}}'
ask --request POST "$control/v1/groups/test/services/httpbin/sync" --data '{"to": "uat", "version": "1.0.0"}'
ask --request PUT "$control/v1/groups/test/consumers/mobile-app" \
  --data '{"credentials": {"main": {"type": "key-auth", "key": "$env://KEY"}}}'
ask --request PUT "$control/v1/groups/test/global-rules/httpbin" --data '{"description": "for all"}'
commit=$(git -C "$work/data/config.git" rev-parse refs/heads/test)

# First what the document allows, about what is there: the same document with names in the place of what
# names may be. Then whatever it allows and forbids, most of which is about nothing that is there.
curl --silent --show-error --fail --noproxy '*' --output "$work/openapi.json" "$control/v1/openapi.json"
# Nobody here waits for long: `wait` and `Prefer` are at most 1 s in the one, and left out of the other.
python3 - "$work/openapi.json" "$work/narrow.json" "$commit" <<'PYTHON'
import json, sys
document = json.load(open(sys.argv[1]))
shared = document["components"]["parameters"]
operations = [told for methods in document["paths"].values() for told in methods.values()]
for told in operations:
    named = [shared.get(one.get("$ref", "").rpartition("/")[2], one) for one in told["parameters"]]
    told["parameters"] = [one for one in named if one["name"] not in ("wait", "Prefer")]
    told["waits"] = [one for one in named if one["name"] in ("wait", "Prefer")]
json.dump({**document, "paths": {path: {method: {key: value for key, value in told.items() if key != "waits"}
    for method, told in methods.items()} for path, methods in document["paths"].items()}}, open(sys.argv[1], "w"))
there = {"group": "test", "service": "httpbin", "route": "get-headers", "consumer": "mobile-app",
         "rule": "httpbin", "version": "1.0.0", "commit": sys.argv[3]}
for name, value in there.items():
    shared[name]["schema"] = {"enum": [value]}
for told in operations:
    for one in told.pop("waits"):
        short = {"maximum": 1} if one["name"] == "wait" else {"enum": ["wait=1"]}
        told["parameters"].append({**one, "schema": {**one["schema"], **short}})
for methods in document["paths"].values():
    # What the others ask for stays.
    methods.pop("delete", None)
json.dump(document, open(sys.argv[2], "w"))
PYTHON

seconds=${REFGATE_FUZZ_SECONDS:-60}
fuzz() {
  NO_PROXY='*' no_proxy='*' "$environment/bin/st" run "$@" --url "$control" \
    --header "Authorization: Bearer $REFGATE_ADMIN_TOKEN" --exclude-path-regex '/events$' \
    --phases examples,coverage,fuzzing --checks all --exclude-checks positive_data_acceptance \
    --max-time "$((seconds / 2))" --request-timeout 30 --workers 1 --continue-on-failure \
    ${REFGATE_FUZZ_SEED:+--seed "$REFGATE_FUZZ_SEED"} --warnings off --no-color \
    || { tail -20 "$work/refgate.err" >&2; die "see above"; }
}
started_at=$SECONDS
fuzz "$work/narrow.json" --mode positive
fuzz "$work/openapi.json"
# What was answered how often, by the control plane's own count.
curl --silent --noproxy '*' "$control/metrics" | awk '
  /^refgate_http_requests_total/ { match($0, /status="[0-9]+"/); count[substr($0, RSTART + 8, 3)] += $NF }
  END { for (status in count) printf "%s: %d\n", status, count[status] }' | sort | paste -sd' '
if grep -q panicked "$work/refgate.err"; then grep panicked "$work/refgate.err" >&2; die "a request panicked"; fi
printf 'api-fuzz: nothing found in %s s\n' "$((SECONDS - started_at))"

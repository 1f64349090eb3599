# What the scripts share that run something against a refgate of their own; sourced, with the name
# that they go by, from the root of the workspace:
#
#   source tests/stage.sh api-fuzz
#
# It sets `target` (cargo's), `REFGATE_BIN` (built, unless it is given) and `work` (a directory that is
# removed at the end, when all that was started ends too).
stage=$1
die() { printf '%s: %s\n' "$stage" "$*" >&2; exit 1; }

target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
if [[ -z ${REFGATE_BIN:-} ]]; then
  cargo build --quiet --package refgate --bin refgate
  REFGATE_BIN=$target/debug/refgate
fi
[[ -x $REFGATE_BIN ]] || die "there is no $REFGATE_BIN"
mkdir -p "$target/tmp"
work=$(mktemp -d "$target/tmp/refgate-$stage-XXXXXX")
started=()
end_stage() {
  for id in "${started[@]}"; do
    kill "$id" 2>/dev/null || true
    wait "$id" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap end_stage EXIT

# The rest of the first line of a file that begins so; waits for it.
line() {
  for _ in $(seq 600); do
    if sed -n "s|^$2||p" "$1" | grep -m1 .; then return; fi
    sleep 0.1
  done
  die "nothing like '$2' in $1: $(tail -5 "$1" "$work/refgate.err")"
}

# An origin that answers whatever it is asked: sets `origin`, its port.
start_origin() {
  cargo build --quiet --package refgate-tests --bin refgate-origin
  "$target/debug/refgate-origin" >"$work/origin" 2>&1 &
  started+=($!)
  origin=$(line "$work/origin" 'refgate-origin: http://127.0.0.1:')
}

# `refgate up` with these flags: sets `control`, and `gateway`, that of the group test.
start_refgate() {
  export REFGATE_ADMIN_TOKEN=rg-token-of-the-$stage
  "$REFGATE_BIN" up --data-dir "$work/data" --listen 127.0.0.1:0 "$@" \
    >"$work/refgate.out" 2>"$work/refgate.err" &
  started+=($!)
  control=$(line "$work/refgate.out" 'refgate: control plane ')
  gateway=$(line "$work/refgate.out" 'refgate: gateway test ')
}

#!/usr/bin/env bash
# `make pgo`: refgate and refgate-gateway, profile dist, optimised for what they were seen to do.
#
# Builds refgate with counters in it, has it carry the load of `make bench-gateway` and the changes of
# `make bench-reload` for a while, and builds it again with what was counted. Two builds of the profile
# dist: that takes its time. What comes out is in target/pgo/use/, with the profile beside it.
#
#   REFGATE_LLVM_PROFDATA   the llvm-profdata to use; of the same major version as rustc's LLVM
#   REFGATE_PGO_DIR         where everything is put (target/pgo)
#   REFGATE_PGO_SECONDS     length of one turn of the load (5)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '%s\n' "$*"; }
die() { printf 'pgo: %s\n' "$*" >&2; exit 1; }

# --- what is needed, before anything is built ---------------------------------------------
[[ $(uname -s) == Linux ]] || die "needs Linux: the load it learns from is that of make bench-gateway"
command -v python3 >/dev/null || die "python3 is needed"
told() { rustc -vV | sed -n "s/^$1: //p"; }
host=$(told host) release=$(told release) llvm=$(told 'LLVM version')
llvm=${llvm%%.*}
sysroot=$(rustc --print sysroot)
compgen -G "$sysroot/lib/rustlib/$host/lib/libprofiler_builtins-*.rlib" >/dev/null \
  || die "this rustc was built without the profiler's runtime (libprofiler_builtins); take one from https://rustup.rs"

# The format of profiles changes with LLVM: only a tool of the same major version reads them.
fits() { [[ -x $1 || -n $(command -v "$1") ]] && "$1" --version 2>/dev/null | grep -q "LLVM version $llvm\."; }
find_profdata() {
  local tool
  for tool in ${REFGATE_LLVM_PROFDATA:+"$REFGATE_LLVM_PROFDATA"} "$sysroot/lib/rustlib/$host/bin/llvm-profdata" \
    "llvm-profdata-$llvm" "/usr/lib/llvm-$llvm/bin/llvm-profdata" llvm-profdata; do
    if fits "$tool"; then
      profdata=$tool
      return
    fi
  done
  return 1
}
install_llvm() {
  command -v apt-get >/dev/null || return 1
  as_root() { "$@"; }
  [[ $(id -u) == 0 ]] || as_root() { sudo -n "$@"; }
  say "installing llvm-$llvm"
  as_root apt-get update -q >/dev/null 2>&1 || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "llvm-$llvm" >/dev/null 2>&1
}
find_profdata || { install_llvm && find_profdata; } || die "needs llvm-profdata of LLVM $llvm, which rustc $release is built on, \
and there is none. Run: rustup component add llvm-tools. Or install the package llvm-$llvm, or set REFGATE_LLVM_PROFDATA."
say "rustc $release, LLVM $llvm, $profdata"

target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
pgo=${REFGATE_PGO_DIR:-$target/pgo}
mkdir -p "$pgo"
pgo=$(cd "$pgo" && pwd)

# build FOLDER FLAG BINARIES…: with --target, so that the flag is for the program and not for build scripts.
build() {
  local folder=$1 flag=$2
  shift 2
  RUSTFLAGS="${RUSTFLAGS:-} $flag" CARGO_TARGET_DIR="$pgo/$folder" \
    cargo build --profile dist --target "$host" -p refgate -p refgate-proxy "${@/#/--bin=}"
}

# --- learn --------------------------------------------------------------------------------
say "building with counters"
rm -rf "$pgo/profiles"
build train "-Cprofile-generate=$pgo/profiles" refgate
say "learning"
export REFGATE_BENCH_BIN=$pgo/train/$host/dist
export LLVM_PROFILE_FILE=$pgo/profiles/refgate-%m.profraw # all runs into one
REFGATE_BENCH_NAME=pgo-gateway REFGATE_BENCH_GATEWAYS=refgate REFGATE_BENCH_ROUTES="1 1000 10000" \
  REFGATE_BENCH_ROUNDS=1 REFGATE_BENCH_SECONDS=${REFGATE_PGO_SECONDS:-5} python3 tests/bench/gateway.py >"$pgo/learning.log" \
  || die "the load failed, see $pgo/learning.log"
REFGATE_BENCH_NAME=pgo-reload REFGATE_BENCH_ROUTES=5000 REFGATE_BENCH_CHANGES=50 REFGATE_BENCH_STARTS=1 \
  python3 tests/bench/reload.py >>"$pgo/learning.log" || die "the changes failed, see $pgo/learning.log"
compgen -G "$pgo/profiles/*.profraw" >/dev/null || die "refgate has written no profile to $pgo/profiles"

# --- use ----------------------------------------------------------------------------------
"$profdata" merge -o "$pgo/new.profdata" "$pgo"/profiles/*.profraw
# Cargo does not look into profiles: one with another content has another name.
profile=$pgo/refgate-$(sha256sum "$pgo/new.profdata" | cut -c 1-12).profdata
mv "$pgo/new.profdata" "$profile"
say "building with $profile"
build use "-Cprofile-use=$profile" refgate refgate-gateway

built=$pgo/use/$host/dist
say "$built/refgate"
say "$built/refgate-gateway"
say "Beside the one without a profile: REFGATE_BENCH_GATEWAYS=\"refgate refgate-pgo=$built/refgate nginx\" make bench-gateway"

#!/usr/bin/env bash
# `make fuzz`: the fuzz targets of core and proxy, or those that are named. docs/contributing.md says more.
#
#   FUZZ_SECONDS   how long each one runs (300)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
die() { printf 'fuzz: %s\n' "$*" >&2; exit 1; }

cargo fuzz --version >/dev/null 2>&1 || die "cargo-fuzz is missing: cargo install cargo-fuzz"
root=$PWD
for target in ${*:-path document router}; do
  case $target in
    path | document) folder=core ;;
    router) folder=proxy ;;
    *) die "there is no $target: path, document, router" ;;
  esac
  options=(-max_total_time="${FUZZ_SECONDS:-300}" -print_final_stats=1)
  if [[ -e $folder/fuzz/$target.dict ]]; then options+=(-dict="fuzz/$target.dict"); fi
  # What is found goes into the first folder; the others are only read.
  mkdir -p "$root/target/fuzz/corpus/$target"
  (cd "$folder" && nice cargo fuzz run --sanitizer none --target-dir "$root/target/fuzz" "$target" \
    "$root/target/fuzz/corpus/$target" "fuzz/corpus/$target" -- "${options[@]}")
done

#!/usr/bin/env bash
# Builds the fuzz targets with libFuzzer and AddressSanitizer (leaks count as faults) and runs them.
#
#   Tests/Fuzz/run.sh [seconds] [target]     20 seconds each and all targets unless told
#
# A target is a file <target>.swift here, which says in `modules_of` what it is linked with. It starts from seeds/<target> and, for those
# that read JSON, from JSONTestSuite when that is found (FOOTBRIDGE_SUITES, else ../shared/suites). What a run learns stays in
# .build/fuzz/<target>/corpus; an input that fails is written to .build/fuzz/<target>/ and reproduced by the binary there with the file as argument.
#
# FUZZ_RUNS ends each target after so many inputs, if that comes before the seconds; FUZZ_SANITIZERS=fuzzer leaves AddressSanitizer out, and FUZZ_LENGTH
# (4096) bounds an input. For a great many comparisons of scanner and jansson, some 80,000 a second and processor:
#
#   FUZZ_SANITIZERS=fuzzer FUZZ_RUNS=100000000 FUZZ_LENGTH=256 Tests/Fuzz/run.sh 3600 scanner
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-20}
wanted=${2:-all}
build=${FUZZ_BUILD:-.build/fuzz}
suites=${FOOTBRIDGE_SUITES:-../shared/suites}
sanitizers=${FUZZ_SANITIZERS:-fuzzer,address}

# The Swift modules of each target, those without dependencies first.
modules_of() {
  case $1 in
    scanner) echo "JSON" ;;
    framer) echo "JSON POSIXSupport JSONRPC" ;;
    decoder) echo "JSON AgentRuntime BridgeProtocol" ;;
    *) echo "unknown target $1" >&2; return 1 ;;
  esac
}

targets="scanner framer decoder"

# Swift's own crash handler would come before libFuzzer's, which keeps the input.
export SWIFT_BACKTRACE=enable=no

flags=(
  -O -g -swift-version 6 -package-name footbridge -parse-as-library -wmo -sanitize="$sanitizers" -use-ld=lld
  -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
  -enable-upcoming-feature MemberImportVisibility -enable-upcoming-feature NonisolatedNonsendingByDefault
  -strict-memory-safety -I "$build/modules" -I Sources/CJansson
)

# Compiles one module of Sources, and its C module when it has one of its own.
compile_module() {
  local name=$1
  if [ "$name" = POSIXSupport ] && [ ! -e "$build/modules/CPOSIX.o" ]; then
    clang -O1 -g -fsanitize="${sanitizers/fuzzer/fuzzer-no-link}" -I Sources/CPOSIX/include -c Sources/CPOSIX/CPOSIX.c -o "$build/modules/CPOSIX.o"
    printf 'module CPOSIX { header "%s/Sources/CPOSIX/include/CPOSIX.h" export * }\n' "$PWD" > "$build/modules/module.modulemap"
  fi
  find "Sources/$name" -name '*.swift' -print0 | sort -z | xargs -0 swiftc "${flags[@]}" -module-name "$name" \
    -emit-module -emit-module-path "$build/modules/$name.swiftmodule" -c -o "$build/modules/$name.o"
}

run_target() {
  local target=$1 name objects=()
  for name in $(modules_of "$target"); do
    [ -e "$build/modules/$name.o" ] || compile_module "$name"
    objects+=("$build/modules/$name.o")
    if [ "$name" = POSIXSupport ]; then objects+=("$build/modules/CPOSIX.o"); fi
  done
  mkdir -p "$build/$target/corpus"
  swiftc "${flags[@]}" -module-name "Fuzz_$target" "Tests/Fuzz/$target.swift" "${objects[@]}" -ljansson -o "$build/$target/fuzz"
  local seeds=("$build/$target/corpus" "Tests/Fuzz/seeds/$target")
  if [ -d "$suites/JSONTestSuite/test_parsing" ]; then
    seeds+=("$suites/JSONTestSuite/test_parsing" "$suites/JSONTestSuite/test_transform")
  else
    echo "fuzz $target: no JSONTestSuite at $suites, starting from our own seeds only"
  fi
  if ! "$build/$target/fuzz" -max_total_time="$seconds" -runs="${FUZZ_RUNS:--1}" -max_len="${FUZZ_LENGTH:-4096}" -timeout=20 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 \
    -dict=Tests/Fuzz/json.dict -artifact_prefix="$build/$target/" "${seeds[@]}" 2> "$build/$target/log"; then
    tail -n 60 "$build/$target/log" >&2
    echo "fuzz $target: failed" >&2
    return 1
  fi
  echo "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target/log") inputs in $seconds s, no fault"
}

# Built anew each time: half a minute, and never of yesterday's sources.
rm -rf "$build/modules"
mkdir -p "$build/modules"
for target in $targets; do
  if [ "$wanted" = all ] || [ "$wanted" = "$target" ]; then
    ran=1
    run_target "$target"
  fi
done
[ -n "${ran:-}" ] || { echo "no target $wanted; there are: $targets" >&2; exit 2; }

#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every check there is. Exits with 0 when all of them passed.
#
#   Tests/run.sh
#
# FOOTBRIDGE_SUITES   the folder of the published test suites (JSONTestSuite, JSON-Schema-Test-Suite, openrpc); ../shared/suites unless set.
#                     Where it is missing, the tests that need it are skipped and say so; with CI=true it must be there.
# FUZZ_SECONDS        how long each fuzz target runs; 10 unless set.
# STEP_SECONDS        how long a step may take before it is ended and has failed; 1500 unless set.
# PYTHON              the Python that has pytest and jsonschema; /usr/bin/python3 unless set, the one of Debian's packages.
set -uo pipefail
cd "$(dirname "$0")/.."
. Tests/install.sh

export python=${PYTHON:-/usr/bin/python3}
export FOOTBRIDGE_SUITES=${FOOTBRIDGE_SUITES:-$(cd .. && pwd)/shared/suites}
step_seconds=${STEP_SECONDS:-1500}
logs=$PWD/.build/test-logs
steps=0
failed=()

# within COMMAND...: runs a command or a function of this file, with all its processes in a group that ends with this script, or when its time is over.
within() {
  timeout --kill-after=10 "$step_seconds" bash -c '"$@"' within "$@" &
  running=$!
  wait "$running"
}
running=
trap 'if [ -n "$running" ]; then kill "$running"; fi; exit 130' INT TERM

# step NAME COMMAND...: runs it with its output in a log; prints the name, the duration, and the log's last line, or the log on a failure.
step() {
  local name=$1 start=$SECONDS log
  shift
  log=$logs/${name// /-}.log
  steps=$((steps + 1))
  printf '%-18s' "$name"
  within "$@" > "$log" 2>&1 < /dev/null
  local status=$?
  if [ $status = 0 ]; then
    printf '%4d s  %s\n' $((SECONDS - start)) "$(last_line "$log")"
    grep -E '^SKIPPED|SKIPPED[:,]|^➜ .* skipped' "$log" | sort -u | sed 's/^/    /'
    return 0
  fi
  printf '%4d s  FAILED%s\n' $((SECONDS - start)) "$([ $status != 124 ] || echo ": it has been ended, as it took more than $step_seconds s")"
  failed+=("$name")
  [ $status != 124 ] || unended "$log" | sed 's/^/    begun and not ended: /'
  grep -vE '^\[[0-9]+/[0-9]+\] |^(✔|◇|↳) | started\.$' "$log" | tail -n 300 | sed 's/^/    /'
  return 1
}

# Which Swift tests a log has the beginning of and not the end.
unended() {
  comm -23 <(sed -nE '/ case passing /d; s/^◇ Test (.*) started\.$/\1/p' "$1" | sort) \
    <(sed -nE 's/^[✔✘➜] Test (.*) (passed|failed|skipped).*/\1/p' "$1" | sed -E 's/ with [0-9]+ test.*//' | sort)
}

last_line() { grep -v '^[[:space:]]*$' "$1" | tail -n 1 | sed 's/^[^[:alnum:].]*//; s/ *=*$//' | cut -c 1-100; }

suites() {
  local suite verdict="all in $FOOTBRIDGE_SUITES"
  for suite in JSONTestSuite JSON-Schema-Test-Suite openrpc; do
    [ -d "$FOOTBRIDGE_SUITES/$suite" ] && continue
    if [ "${CI:-}" = true ]; then
      echo "there is no $suite in FOOTBRIDGE_SUITES ($FOOTBRIDGE_SUITES), and CI is true"
      return 1
    fi
    echo "$suite: SKIPPED, it is not in FOOTBRIDGE_SUITES ($FOOTBRIDGE_SUITES)"
    verdict="not complete"
  done
  echo "$verdict"
}

# The tests of memory wait for processes of their own, and the testing library does so by waiting for any child: not beside tests that keep children.
# Those of the Swift library have tools with 30 seconds and need threads of the pool, which those that only compute would hold.
swift_tests() {
  swift test --skip-build --parallel --skip JSONTests.Memory --skip FootbridgeKitTests &&
    swift test --skip-build --parallel --filter FootbridgeKitTests && swift test --skip-build --filter JSONTests.Memory
}

schemas() { "$python" Schemas/bundle.py --check && "$python" Schemas/validate.py; }

# What fails beside the others, for want of time, is tried once more by itself; the log shows both.
end_to_end() {
  local pytest=("$python" -m pytest -q Tests/EndToEndTests)
  "${pytest[@]}" -n "${PYTEST_WORKERS:-4}" && return
  echo "once more, what failed:"
  "${pytest[@]}" -n 0 --last-failed --last-failed-no-failures none
}

# MCP servers that others wrote, by pip, on both lines of MCP's Python package; without PyPI their tests are skipped, but not with CI=true.
mcp_servers() {
  mcp_line 1 'mcp<2' mcp-server-time mcp-server-git mcp-server-fetch && mcp_line 2 'mcp>=2' mcp-server-time && { echo "installed in .build/mcp-1 and .build/mcp-2"; return; }
  [ "${CI:-}" != true ] || return 1
  echo "they cannot be installed: SKIPPED, and so are their tests"
}

mcp_line() {
  local folder=.build/mcp-$1
  shift
  [ -e "$folder/complete" ] && return
  rm -rf "$folder"
  "$python" -m venv "$folder" && "$folder/bin/pip" install --quiet --disable-pip-version-check "$@" && touch "$folder/complete"
}

fuzz() {
  if [ -x Tests/Fuzz/run.sh ]; then Tests/Fuzz/run.sh "${FUZZ_SECONDS:-10}"; else echo "there are no fuzz targets: SKIPPED"; fi
}

echo "Requirements"
want_libraries
want python3 "runs the end-to-end tests" test -x "$python"
want python3-pytest "their framework" "$python" -c 'import pytest'
want python3-pytest-xdist "runs them in parallel" "$python" -c 'import xdist'
want python3-jsonschema "judges every message by its schema" "$python" -c 'import jsonschema'
want python3-pylsp-jsonrpc "a client that others wrote" "$python" -c 'import pylsp_jsonrpc'
want postgresql "the server that stores are tried on" ls /usr/lib/postgresql/*/bin/initdb
want pgbouncer "a pooler before it" command -v pgbouncer
want python3-venv "MCP servers that others wrote" "$python" -c 'import ensurepip'
want gcc "compiles the library that the crash campaign preloads, and what spin writes" command -v "${CC:-cc}"
want nodejs "runs the example for Node" command -v node
want python3-h2 "the HTTP/2 server of the tests" "$python" -c 'import h2'
want spin "tries every course of the models in Tests/Models" command -v spin
install_missing
check_swift
export -f suites schemas swift_tests end_to_end mcp_servers mcp_line fuzz
mkdir -p "$logs"

echo "Checks (logs in .build/test-logs)"
step suites suites
step invariants Tests/check-invariants.sh
step format swift format lint --strict -r Sources Tests Package.swift
step schemas schemas
step models Tests/Models/check.sh
step "release build" swift build -c release --product footbridge && released=1
step "debug build" swift build --build-tests && step "swift tests" swift_tests && step simulation swift run Simulation --seeds 200 --twice
step "mcp servers" mcp_servers
[ -n "${released:-}" ] && step "end to end" end_to_end
step fuzz fuzz

if [ ${#failed[@]} -gt 0 ]; then
  printf -v names ', %s' "${failed[@]}"
  echo "FAILED: ${names:2} (${#failed[@]} of the $steps steps that ran), after $SECONDS s"
  exit 1
fi
echo "passed: all $steps steps, in $SECONDS s"

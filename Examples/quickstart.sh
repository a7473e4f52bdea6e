#!/usr/bin/env bash
# Installs what is missing, builds footbridge, and shows a run that survives the death of its bridge.
#
#   Examples/quickstart.sh [--skip-build]     --skip-build: only the run, with what is built already
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."

case "${1:-}" in
  "") ;;
  --skip-build) skip=1 ;;
  *)
    echo "usage: Examples/quickstart.sh [--skip-build]" >&2
    exit 64
    ;;
esac

if [ -z "${skip:-}" ]; then
  . Tests/install.sh
  echo "1. What the build needs"
  want_libraries
  want python3 "runs the example" command -v python3
  install_missing
  check_swift

  mkdir -p .build
  echo "2. The build: swift build -c release (some minutes the first time; its output is in .build/quickstart.log)"
  if ! swift build -c release --product footbridge > .build/quickstart.log 2>&1 < /dev/null; then
    tail -n 30 .build/quickstart.log >&2
    echo "The build failed; all of its output is in .build/quickstart.log." >&2
    exit 1
  fi
  echo "  .build/release/footbridge, after $SECONDS s"
fi

echo "3. A run that calls a tool in its parent (Examples/parent.py)"
python3 Examples/parent.py | sed 's/^/  /'

if [ -z "${skip:-}" ]; then
  cat << 'END'

The model was a script, Examples/sales.jsonl, so no key was needed. To go on:
  Examples/pipe.sh, node Examples/parent.mjs     the same from a shell and from Node
  .build/release/footbridge help                 the commands
  Tests/run.sh                                   the tests
  README.md                                      the protocol by example
END
fi

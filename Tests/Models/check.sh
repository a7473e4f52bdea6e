#!/usr/bin/env bash
# Has spin try every course of the models in this folder: the protocol must hold, and each twin with one rule broken must fail.
#
#   Tests/Models/check.sh
#
# Needs Debian's spin and a C compiler. Where one is missing, the models are skipped, and say so; with CI=true they must be there.
set -uo pipefail
for program in spin cc; do
  command -v "$program" > /dev/null && continue
  [ "${CI:-}" = true ] && { echo "there is no $program, and CI is true"; exit 1; }
  echo "models: SKIPPED, there is no $program"
  exit 0
done
cd "$(dirname "$0")"
models=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0
count=0

# verdict MODEL FLAGS...: prints "holds STATES", "fails" or "broken"; the report of the verifier is in report.
verdict() {
  local model=$1
  shift
  rm -f pan* ./*.trail report
  spin -a "$@" "$models/$model.pml" > report 2>&1 && cc -O1 -w -DSAFETY -DCOLLAPSE -o pan pan.c >> report 2>&1 || { echo broken; return; }
  ./pan -m1000000 >> report 2>&1
  if grep -q 'max search depth too small\|out of memory\|aborting' report; then echo broken
  elif grep -q 'errors: 0' report; then echo "holds $(awk '/states, stored/ { print $1 }' report)"
  elif grep -q 'assertion violated' report; then echo fails
  else echo broken; fi
}

# must holds|fails SENTENCE MODEL FLAGS...
must() {
  local wanted=$1 sentence=$2 found
  shift 2
  found=$(verdict "$@")
  count=$((count + 1))
  printf '%-6s %s%s\n' "${found%% *}" "$sentence" "$([ "${found#* }" != "$found" ] && printf ' (%s states)' "${found#* }")"
  [ "${found%% *}" = "$wanted" ] && return
  echo "  it must be: $wanted"
  tail -n 30 report | sed 's/^/    /'
  failed=1
}

must holds "claims compare position and epoch" claims
must holds "so it is with three bridges" claims -DBRIDGES=3 -DTURNS=1
must holds "a claim beside the log is caught by the epoch" claims -DCLAIM_BESIDE_LOG
must holds "a claim in the log is caught by the position" claims -DEPOCH_IGNORED
must fails "a claim beside the log, epochs not compared" claims -DCLAIM_BESIDE_LOG -DEPOCH_IGNORED
must fails "claims that compare the status alone" claims -DSTATUS_ONLY
must fails "claims that compare the epoch alone" claims -DPOSITION_IGNORED
must fails "a lease without fencing" claims -DNO_FENCING
must fails "a submit that is answered before it is stored" claims -DACK_BEFORE_COMMIT
must fails "a tool that is run before that is stored" claims -DACT_BEFORE_COMMIT
must fails "an interrupted tool that is run again" claims -DRUN_AGAIN

[ "$failed" = 0 ] && echo "all $count verdicts are as they must be"
exit "$failed"

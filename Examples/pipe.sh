#!/usr/bin/env bash
# The shell as a parent: no initialize, one request a line. The first bridge is killed while the run waits for a result from here; a second
# one gets the result by a plain pipe, and ends when the run has ended. Needs bash, sed and awk.
set -euo pipefail
footbridge=$(realpath "${FOOTBRIDGE:-$(dirname "$0")/../.build/release/footbridge}")
cd "$(dirname "$0")" # sales.json names its files from here
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

bridge() { exec "$footbridge" --store "sqlite:$folder/runs.db"; }

# The last member of that name in a message, when its value is a number or a plain string.
member() { sed -n 's/.*"'"$1"'":"\{0,1\}\([^",}]*\).*/\1/p' <<< "$2"; }

# A client that cannot be asked (no capability `tools`) gets the answer to run.start as soon as the run waits for it.
coproc FIRST { bridge; }
pid=$FIRST_PID
printf '{"id":1,"method":"run.start","params":%s}\n' "$(tr -d '\n' < sales.json)" >&"${FIRST[1]}"
until [[ ${line:-} == *'"id":1,'* ]]; do read -r line <&"${FIRST[0]}"; done
run=$(member runId "$line") call=$(member callId "$line") first=$(member first "$line") last=$(member last "$line")
echo "bridge 1 waits for rows $first to $last, call $call: it is killed"
{ kill -KILL "$pid" && wait "$pid"; } 2> /dev/null || echo "bridge 1 ended with status $?"

# The tool: reads what the call asks for, and writes it as a JSON string.
rows=$(awk -v first="$first" -v last="$last" 'NR > first && NR <= last + 1 { printf "%s%s", sep, $0; sep = "\\n" }' sales.csv)
results='[{"callId":"'$call'","content":"'$rows'"}]'
outcome=$(bridge <<< '{"id":1,"method":"run.submitToolResults","params":{"runId":"'"$run"'","results":'"$results"'}}' | grep '"id":1,')
[[ $outcome == *'"status":"success"'* ]] || { member message "$outcome" >&2; exit 1; }
echo "answer: $(member answer "$outcome")"

# A third pipe reads the log.
log=$(bridge <<< '{"id":1,"method":"run.events","params":{"runId":"'"$run"'"}}')
seqs=$(grep -o '"seq":[0-9]*' <<< "$log" | cut -d: -f2)
[ "$seqs" = "$(seq "$(member lastSeq "$outcome")")" ] || { echo "the log has a gap" >&2; exit 1; }
[ "$(grep -o '"type":"tool.completed"' <<< "$log" | wc -l)" = 2 ] || { echo "a result is lost or doubled" >&2; exit 1; }
echo "log: $(wc -l <<< "$seqs") events without a gap, one result for each of the two calls: nothing lost, nothing doubled"

"""A plain JSON-lines echo in Python: parses each line, answers it with an empty result."""
import json
import sys

for line in sys.stdin:
    print(json.dumps({"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": {}}), flush=True)

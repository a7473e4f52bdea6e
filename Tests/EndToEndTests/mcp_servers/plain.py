"""An MCP server in a few lines and without a package, for what a package does not let one do. Its one argument is a JSON object:

tools     what tools/list answers; a tool `echo` without it
results   what a call answers, by the tool's name; else its arguments
silent    a method that is never answered
stubborn  true: it does not end when its input is closed, nor by SIGTERM
record    a file that its process id is appended to
asks      [method, params] of what it asks before it answers a call: with the answer. It waits until as many calls as the call's argument `open` says are open
"""
import json
import os
import signal
import sys
import time

options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
tools = options.get("tools", [{"name": "echo", "inputSchema": {"type": "object"}}])
if options.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "record" in options:
    with open(options["record"], "a") as record:
        record.write(f"{os.getpid()}\n")



def send(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


held = []
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method is None:  # the answer to what was asked
        for call in held:
            send(id=call, result={"content": [{"type": "text", "text": json.dumps(message.get("result", message.get("error")))}]})
        held.clear()
        continue
    if "id" not in message or method == options.get("silent"):
        continue
    if method == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "plain", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": tools}
    elif method == "tools/call" and "asks" in options:
        held.append(message["id"])
        if len(held) == message["params"]["arguments"].get("open", 1):
            send(id="asked", method=options["asks"][0], params=options["asks"][1])
        continue
    elif method == "tools/call":
        text = json.dumps(message["params"]["arguments"])
        result = options.get("results", {}).get(message["params"]["name"], {"content": [{"type": "text", "text": text}]})
    else:
        result = {}
    send(id=message["id"], result=result)

while options.get("stubborn"):
    time.sleep(600)

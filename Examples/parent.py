#!/usr/bin/env python3
"""A parent in Python. Its bridge is killed while it waits for an answer from here, and a second one finishes the run."""
import json, os, subprocess, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOOTBRIDGE = os.path.abspath(os.environ.get("FOOTBRIDGE") or HERE.parent / ".build/release/footbridge")


class Bridge:
    def __init__(self, store):
        # In this folder, because sales.json names its files from here.
        self.process = subprocess.Popen(
            [FOOTBRIDGE, "--store", store], cwd=HERE, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.requests = 0
        client = {"name": "parent.py", "version": "1"}
        self.request("initialize", {"protocolVersion": "2026-11-20", "clientInfo": client, "capabilities": {"tools": {}}})

    def send(self, message):
        print(json.dumps({"jsonrpc": "2.0", **message}), file=self.process.stdin, flush=True)

    def request(self, method, params, answer=None):
        """The result, or None when the bridge is gone. Meanwhile `answer` is asked for the result of each tool call."""
        self.requests += 1
        self.send({"id": self.requests, "method": method, "params": params})
        for message in map(json.loads, self.process.stdout):
            if message.get("method") == "tool.invoke":
                if result := answer(self, message["params"]):
                    self.send({"id": message["id"], "result": result})
            elif message.get("id") == self.requests and "method" not in message:
                return message["result"] if "result" in message else exit(f"{method}: {message['error']['message']}")


def read_rows(bridge, call):
    print(f"bridge 2 asks for {call['name']}, call {call['callId']}, attempt {call['attempt']}: the parent reads them")
    rows = (HERE / "sales.csv").read_text().splitlines()
    return {"content": "\n".join(rows[call["arguments"]["first"]:call["arguments"]["last"] + 1])}


def kill(bridge, call):
    print(f"bridge 1 asks for {call['name']}, call {call['callId']}, attempt {call['attempt']}: it is killed while it waits")
    bridge.process.kill()  # SIGKILL


with tempfile.TemporaryDirectory() as folder:
    first = Bridge(f"sqlite:{folder}/runs.db")
    first.request("run.start", json.loads((HERE / "sales.json").read_text()), kill)
    print(f"bridge 1 ended by signal {-first.process.wait()}")

    second = Bridge(f"sqlite:{folder}/runs.db")
    run = second.request("run.list", {"status": "waiting_client_tool"})["runs"][0]["runId"]
    outcome = second.request("run.resume", {"runId": run}, read_rows)
    print("answer:", outcome.get("answer") or exit(outcome["error"]["message"]))
    log = second.request("run.events", {"runId": run})["events"]
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    assert [event["data"]["name"] for event in log if event["type"] == "tool.completed"] == ["read_rows", "add_up"]
    print(f"log: {len(log)} events without a gap, one result for each of the two calls: nothing lost, nothing doubled")
    second.process.communicate()  # hangs up, and waits for the end

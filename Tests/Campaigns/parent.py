"""A parent of the bridge that is as cheap as can be, since a campaign needs thousands; what it was told it writes into a `Notebook`, which outlives the bridge.

Messages are not judged by the schemas here: the end-to-end tests do that.
"""
from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections import defaultdict
from pathlib import Path

from shim import REPO

BINARY = os.path.abspath(os.environ.get("FOOTBRIDGE_BINARY") or REPO / ".build" / "release" / "footbridge")
PATIENCE = float(os.environ.get("FOOTBRIDGE_TEST_TIMEOUT", "10")) * 3
ENDED = {"success", "error", "cancelled", "max_iterations"}
FINAL = {"run.completed", "run.error", "run.cancelled"}


class Gone(Exception):
    """The bridge ended."""


class Refused(Exception):
    """A request was answered with an error."""

    def __init__(self, method, error):
        super().__init__(f"{method}: {error['data']['kind']}: {error['message']}")
        self.error, self.kind = error, error["data"]["kind"]


class Violation(AssertionError):
    """A promise that was not kept."""


def demand(condition, text):
    if not condition:
        raise Violation(text)


def work(name, arguments):
    """What a client tool answers: the same for the same call, whoever asks how often."""
    return f"{name} of {json.dumps(arguments, sort_keys=True)}" + "x" * arguments.get("size", 0)


class Notebook:
    """What the parent was told and may rely on from then on, whatever happens to the bridge."""

    def __init__(self):
        self.events = defaultdict(dict)        # run -> seq -> the event as it was
        self.reached = defaultdict(int)        # run -> the last sequence that an outcome named
        self.ended = {}                        # run -> its final status
        self.results = {}                      # (run, call) -> the text that was accepted
        self.blobs = defaultdict(str)          # what was written to each, as far as it was answered
        self.decisions = {}                    # (run, call) -> the decision that was taken
        self.inputs = set()                    # (run, call) that was answered
        self.notes = []                        # (run, text)
        self.doomed, self.deleted = set(), set()    # runs whose deletion was asked for; was answered
        self.keys = {}                         # idempotency key -> run
        self.made = {}                         # name -> what a method that makes something answered
        self.attempts = defaultdict(list)      # call -> the attempts that were sent to the parent

    def see(self, event):
        if "seq" in event:
            before = self.events[event["runId"]].setdefault(event["seq"], event)
            demand(before == event, f"seq {event['seq']} of {event['runId']} was sent twice with different content")

    def learn(self, method, params, result):
        if method == "run.delete":
            return self.deleted.add(params["runId"])
        if not isinstance(result, dict):
            return
        if "status" in result and "lastSeq" in result and "runId" in result:
            run = result["runId"]
            self.reached[run] = max(self.reached[run], result["lastSeq"])
            if result["ended"]:
                self.ended[run] = result["status"]
            if params.get("idempotencyKey"):
                other = self.keys.setdefault(params["idempotencyKey"], run)
                demand(other == run, f"one idempotency key, two runs: {other} and {run}")
        if method == "run.submitToolResults":
            for given in params.get("results", ()):
                self.results[params["runId"], given["callId"]] = self.text(given["content"])
        if method == "run.submitApprovals":
            for given in params["approvals"]:
                self.decisions[params["runId"], given["callId"]] = given["decision"]
        if method == "blob.write":
            self.blobs[result["id"]] += params["data"]
        if method == "run.submitInput":
            self.inputs.update((params["runId"], given["callId"]) for given in params["inputs"])
        if method == "run.addNote":
            self.notes.append((params["runId"], params["text"]))

    def text(self, content):
        """Of a result, whose blocks may name what was written."""
        return content if isinstance(content, str) else "".join(self.blobs[block["text"]["$blob"]] for block in content)

    def runs(self):
        return [run for run in dict.fromkeys([*self.events, *self.reached]) if run not in self.deleted]


class Parent:
    """One process of the bridge, and the client at its other end."""

    def __init__(self, place, notebook, *arguments, shim=None, capabilities=None, answers=None):
        self.place, self.arguments = place, arguments
        self.notebook, self.shim, self.answers = notebook, shim, answers or {}
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(place.home), "LANG": "C.UTF-8", "TMPDIR": str(place.home)}
        self.stderr_path = place.home / "stderr"
        with open(self.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(
                [place.binary, "--store", place.store, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0, cwd=place.folder,
                env={**environment, **place.environment, **(shim.environment if shim else {})})
        self.input, self.output = self.process.stdin.fileno(), self.process.stdout.fileno()
        self.poll = select.poll()
        self.poll.register(self.output, select.POLLIN)
        self.unread = b""
        self.asked, self.answered = {}, {}
        self.number = 0
        self.held = []                         # requests of the bridge that a test answers itself
        self.capabilities = capabilities or {}
        self.when_stopped = None               # called once, while the shim has stopped the process

    def initialize(self):
        self.call("initialize", {"protocolVersion": "2026-11-20", "clientInfo": {"name": "campaign", "version": "0"}, "capabilities": self.capabilities})
        return self

    # ---- messages

    def send(self, message):
        data = memoryview(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        try:
            while data:
                data = data[os.write(self.input, data):]
        except BrokenPipeError:
            # What it said before it ended still counts.
            while True:
                self.step()

    def ask(self, method, params=None):
        self.number += 1
        if method == "run.delete":
            self.notebook.doomed.add(params["runId"])
        self.asked[self.number] = (method, params or {})
        self.send({"id": self.number, "method": method, "params": params or {}})
        return self.number

    def call(self, method, params=None):
        return self.answer_to(self.ask(method, params))

    def answer_to(self, number):
        self.wait(lambda: number in self.answered)
        message = self.answered.pop(number)
        if "error" in message:
            raise Refused(self.asked[number][0], message["error"])
        return message["result"]

    def wait(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.step(max(0.0, end - time.monotonic()))

    def step(self, seconds=PATIENCE):
        while self.when_stopped and not self.poll.poll(5):
            self.heed_stop()
        if not self.poll.poll(seconds * 1000):
            raise Violation(f"the bridge says nothing any more; it was asked {list(self.asked.values())[-3:]}")
        chunk = os.read(self.output, 1 << 20)
        if not chunk:
            raise Gone()
        *lines, self.unread = (self.unread + chunk).split(b"\n")
        for line in lines:
            self.take(json.loads(line))

    def heed_stop(self):
        if self.when_stopped and os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT):
            act, self.when_stopped = self.when_stopped, None
            act()
            self.process.send_signal(signal.SIGCONT)

    def take(self, message):
        if "method" not in message:
            if "result" in message:
                self.notebook.learn(*self.asked[message["id"]], message["result"])
            self.answered[message["id"]] = message
        elif message["method"] == "run.event":
            self.notebook.see(message["params"])
        elif "id" in message:
            self.serve(message)

    def serve(self, message):
        method, params = message["method"], message["params"]
        if method == "tool.invoke":
            known = self.notebook.attempts[params["callId"]]
            demand(params["attempt"] not in known, f"attempt {params['attempt']} of call {params['callId']} was sent twice")
            demand(not known or params["attempt"] > max(known), f"attempt {params['attempt']} after {known}")
            known.append(params["attempt"])
        answer = self.answers.get(method)
        result = answer(params) if answer else None
        if result is None:
            self.held.append(message)
        else:
            self.send({"id": message["id"], "result": result})

    # ---- what is asked again and again

    def log(self, run):
        events, after = [], 0
        while True:
            page = self.call("run.events", {"runId": run, "afterSeq": after})
            events += page["events"]
            if "nextSeq" not in page:
                return events
            after = page["nextSeq"]

    # ---- ends

    def finish(self):
        """Hangs up; the exit status."""
        try:
            self.process.stdin.close()
            while True:
                self.step()
        except Gone:
            return self.process.wait(PATIENCE)

    def destroy(self):
        """Whatever happened: the process is gone, and nothing it holds is left."""
        if self.process.poll() is None:
            self.process.kill()
        status = self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except OSError:
                pass
        if self.shim:
            self.shim.close()
            self.shim = None
        return status


def wait_for_any(*args, slices=PATIENCE):
    """Reads from all of the processes until the condition, the last argument, holds; it is looked at after each message, and each of the slices of time."""
    *parents, condition = args
    poll = select.poll()
    for p in parents:
        poll.register(p.output, select.POLLIN)
    end = time.monotonic() + PATIENCE
    while not condition():
        for p in parents:
            p.heed_stop()
        slices = min(slices, 0.005) if any(p.when_stopped for p in parents) else slices
        ready = {descriptor for descriptor, _ in poll.poll(max(0.0, min(slices, end - time.monotonic())) * 1000)}
        demand(ready or time.monotonic() < end, "none of the bridges says anything any more")
        for p in parents:
            if p.output in ready:
                p.step()


class Place:
    """Where one trial happens: `folder` has the scripts and is shared, `home` is its own, with the store and the ledger of the commands."""

    def __init__(self, folder: Path, home: Path, store: str, binary=BINARY, environment=None):
        self.folder, self.home, self.store, self.binary, self.environment = folder, home, store, binary, environment or {}

    @property
    def file(self):
        return self.store.removeprefix("sqlite:")

    def ledger(self, name="ledger"):
        path = self.home / name
        return path.read_text().splitlines() if path.exists() else []

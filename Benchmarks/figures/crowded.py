"""A store with many runs: the first pages of its lists, and the start."""
import json
import statistics
import time

from .client import INITIALIZE, Bridge, line
from .table import Row

RUNS, FEW = 100_000, 100
ABOUT = f"{RUNS:,} runs (--quick: a tenth), every tenth in a session of its own, some waiting; first pages of 50, by a Python client; beside them a store of {FEW} runs"
FLOOR = f"{FEW} runs"
WINDOW = 500
LOOK = {"name": "look", "description": "Looks.", "inputSchema": {"type": "object"}}
LISTS = [
    ("run.list", "run.list", {}),
    ("run.list, status of nearly all", "run.list", {"status": "success"}),
    ("run.list, status of one in a thousand", "run.list", {"status": "waiting_client_tool"}),
    ("run.list, status of none", "run.list", {"status": "cancelled"}),
    ("run.list, sessionId", "run.list", {"sessionId": None}),
    ("run.list, metadata of one in ten", "run.list", {"metadata": {"digit": "7"}}),
    ("run.list, metadata of the oldest run alone", "run.list", {"metadata": {"number": "0"}}),
    ("run.list, driver self", "run.list", {"driver": "self"}),
    ("session.list", "session.list", {}),
]


def measure(machine):
    count = RUNS // 10 if machine.quick else RUNS
    repeat = 7 if machine.quick else 15
    stores = [Filled(machine, number) for number in (count, FEW)]
    rows = []
    with Bridge(machine.bridge(stores[0].path)) as many, Bridge(machine.bridge(stores[1].path)) as few:
        for what, method, params in LISTS:
            # In turns, so that both see the same machine.
            times = [[store.ask(bridge, method, params) for store, bridge in zip(stores, (many, few))] for _ in range(repeat)]
            long, short = (statistics.median(column) for column in zip(*times))
            rows.append(Row(what, long, "ms", FLOOR, short, goal=20))
    starts = machine.run("trip", "start", 10 if machine.quick else 30, 0, INITIALIZE, "--", *machine.bridge(stores[0].path), "--", *machine.bridge(stores[1].path))
    long, short = (statistics.median(starts[key]) / 1000 for key in "01")
    rows.append(Row("start", long, "ms", FLOOR, short, goal_ratio=1.2))
    return rows


class Filled:
    """A store that a bridge has filled."""

    def __init__(self, machine, count):
        self.path = machine.file("db")
        self.number = 10
        end, call = machine.script({"text": "It is done."}), machine.script({"toolCalls": [{"name": "look", "arguments": {}}]}, {"text": "It is done."})
        with Bridge(machine.bridge(self.path) + ["--synchronous", "normal"]) as bridge:
            sessions = self.all(bridge, (("session.create", {"metadata": {"number": str(n)}}) for n in range(count // 10)))
            self.session = json.loads(sessions[-1])["result"]["sessionId"]
            ids = iter(json.loads(answer)["result"]["sessionId"] for answer in sessions)
            self.all(bridge, (("run.start", self.run(n, end, call, next(ids) if n % 10 == 0 else None)) for n in range(count)))

    def run(self, number, end, call, session):
        waits = number % 1000 == 500
        return {"input": "Go on with it.", "agent": {"model": f"script:{call if waits else end}"}, "events": False, **({"tools": [LOOK], "delivery": "pause"} if waits else {}),
                **({"sessionId": session} if session else {}), "metadata": {"number": str(number), "digit": str(number % 10)}}

    def all(self, bridge, requests):
        """The answers, so many requests at once."""
        answers = []

        def take(least):
            while len(answers) < least:
                answer = bridge.next()
                if b'"id":' in answer and b'"method"' not in answer:
                    if b'"error":{"code"' in answer:
                        raise RuntimeError(answer.decode())
                    answers.append(answer)
        for sent, (method, params) in enumerate(requests, 1):
            self.number += 1
            bridge.send(line(self.number, method, params))
            take(sent - WINDOW)
            last = sent
        take(last)
        return answers

    def ask(self, bridge, method, params):
        """Milliseconds."""
        self.number += 1
        text = line(self.number, method, {**params, **({"sessionId": self.session} if "sessionId" in params else {})})
        before = time.perf_counter()
        bridge.request(text, self.number)
        return (time.perf_counter() - before) * 1000

"""Watching what other processes do: what it costs, how soon it is seen."""
import json
import statistics
import time

from .client import MODEL_STARTED, Bridge, line
from .machine import cpu_seconds
from .table import Row

ABOUT = "runs of one bridge seen by another on the same store: 100 subscriptions at rest; events and streamed text (script:), by a Python client"
SUBSCRIPTIONS = 100
DELTA = b'"type":"text.delta"'


def measure(machine):
    seconds = 3 if machine.quick else 10
    trips = 10 if machine.quick else 40
    store = machine.file("db")
    waiting, streaming = machine.script({"toolCalls": [{"name": "look", "arguments": {}}]}, {"text": "x"}), machine.script({"text": "so " * 200, "delayMs": 400})
    with Bridge(machine.bridge(store)) as owner, Bridge(machine.bridge(store)) as observer:
        asker = Asker()
        for _ in range(SUBSCRIPTIONS):
            run = asker.ask(owner, "run.start", {"input": "go", "agent": {"model": f"script:{waiting}"}, "tools": [
                {"name": "look", "description": "Looks.", "inputSchema": {"type": "object"}}], "delivery": "pause", "events": False})["runId"]
            asker.ask(observer, "run.subscribe", {"runId": run})
        by_run = share(observer, seconds)
        sessions = [asker.ask(owner, "session.create", {})["sessionId"] for _ in range(SUBSCRIPTIONS)]
        for session in sessions:
            asker.ask(observer, "session.subscribe", {"sessionId": session})
        by_both = share(observer, seconds)
        events, texts = [], []
        for number in range(trips):
            asker.number += 1
            owner.send(line(asker.number, "run.start", {"input": "go", "agent": {"model": f"script:{streaming}"}, "sessionId": sessions[number % 10]}))
            for part, into in ((MODEL_STARTED, events), (DELTA, texts)):
                owner.until(part)
                before = time.perf_counter()
                observer.until(part)
                into.append((time.perf_counter() - before) * 1000)
            owner.until(b'"id":%d,"result"' % asker.number)
            observer.until(b'"type":"run.completed"')
    return [
        Row(f"{SUBSCRIPTIONS} run.subscribe at rest, of one processor", by_run, "%", goal=1),
        Row(f"and {SUBSCRIPTIONS} session.subscribe", by_both, "%", goal=1),
        Row("an event, after the driver's own client had it: median", statistics.median(events), "ms", goal=250),
        Row("the longest", max(events), "ms", goal=250),
        Row("the first streamed text, likewise: median", statistics.median(texts), "ms", goal=250),
        Row("the longest", max(texts), "ms", goal=250),
    ]


def share(process, seconds):
    """Of a processor, in percent, while nothing happens."""
    time.sleep(1)
    before = cpu_seconds(process.pid)
    time.sleep(seconds)
    return (cpu_seconds(process.pid) - before) / seconds * 100


class Asker:
    def __init__(self):
        self.number = 10

    def ask(self, bridge, method, params):
        self.number += 1
        return json.loads(bridge.request(line(self.number, method, params), self.number))["result"]

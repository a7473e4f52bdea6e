"""Results that come by run.submitToolResults, and what group commit makes of many at once."""
import re
import sqlite3
import statistics
import time

from .client import Bridge, call, line, run_start
from .machine import percentile
from .table import Row

ABOUT = ("delivery pause, a Python client that submits the result of each run as soon as it waits, so as many submits are on their way as runs are active; "
         "a submit is two commits: the result, and the pause at the next call")
ACTIVE = (1, 10, 100)
PAUSED = re.compile(rb'"runId":"(\w+)","seq":\d+,"type":"run\.paused".*?"callId":"(\w+)"')
ANSWERED = re.compile(rb'"id":(\d+),"(result|error)"')


def measure(machine):
    seconds = 1.5 if machine.quick else 4
    rows = []
    floors = []
    for active in ACTIVE:
        floors.append(bare_commits(machine, seconds / 2))
        with Runs(machine, active) as runs:
            rate, _ = runs.play(seconds)
        rows.append((f"acknowledged submits a second, {active} run{'s' * (active > 1)}", rate))
    floor = statistics.median(floors)
    rows = [Row(what, rate, "/s", "SQLite commits of one row, one after the other", floor) for what, rate in rows]
    waiting = 1000 if machine.quick else 10_000
    with Runs(machine, 100, waiting) as runs:
        rate, times = runs.play(2 * seconds)
    rows.append(Row(f"acknowledged submits a second, 100 runs, {waiting:,} others wait", rate, "/s", "the same", floor))
    rows.append(Row("an acknowledged submit there, median", statistics.median(times), "ms"))
    rows.append(Row("the same, p99", percentile(times, 0.99), "ms", goal=20))
    return rows


class Runs:
    """Runs that wait, and the client that answers them."""

    def __init__(self, machine, active, waiting=0):
        self.bridge = Bridge(machine.bridge())
        self.ids = 10
        self.waiting = {}
        idle = machine.script(call(1), {"text": "done"})
        for first in range(0, waiting, 100):
            self.start([idle] * min(100, waiting - first))
        self.waiting = {}
        self.start([machine.script(call(10_000), {"text": "done"})] * active)

    def __enter__(self):
        return self

    def __exit__(self, *more):
        self.bridge.__exit__(*more)

    def start(self, scripts):
        wanted = len(self.waiting) + len(scripts)
        for script in scripts:
            self.ids += 1
            self.bridge.send(run_start(self.ids, script, delivery="pause", wait=False))
        while len(self.waiting) < wanted:
            for text in self.bridge.more():
                self.take(text)

    def take(self, text):
        """Keeps the call that a run waits for now; the id of a request that was answered."""
        if found := PAUSED.search(text):
            self.waiting[found[1].decode()] = found[2].decode()
        elif (found := ANSWERED.search(text)) and int(found[1]) > 10:
            if found[2] == b"error":
                raise RuntimeError(text.decode())
            return int(found[1])
        return None

    def play(self, seconds):
        """Acknowledged submits a second, and how long each took, in milliseconds."""
        sent, times = {}, []
        start = time.perf_counter()
        end = start + seconds
        while True:
            now = time.perf_counter()
            if now < end:
                batch = []
                for run, call_id in self.waiting.items():
                    self.ids += 1
                    batch.append(line(self.ids, "run.submitToolResults", {
                        "runId": run, "wait": False, "results": [{"callId": call_id, "content": "twenty bytes of text"}]}))
                    sent[self.ids] = now
                self.waiting = {}
                if batch:
                    self.bridge.send("\n".join(batch))
            elif not sent:
                return len(times) / (last - start), times
            lines = self.bridge.more()
            last = time.perf_counter()
            for text in lines:
                if (answered := self.take(text)) is not None and answered in sent:
                    times.append((last - sent.pop(answered)) * 1000)


def bare_commits(machine, seconds):
    """A second, into a log that has grown already."""
    store = sqlite3.connect(machine.file("db"), isolation_level=None)
    for pragma in ("page_size=8192", "journal_mode=wal", "synchronous=full"):
        store.execute(f"pragma {pragma}")
    store.execute("create table rows (id integer primary key, value blob)")
    value = bytes(600)
    for _ in range(1000):
        store.execute("insert into rows (value) values (?)", (value,))
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        store.execute("insert into rows (value) values (?)", (value,))
        count += 1
    store.close()
    return count / (time.perf_counter() - start)

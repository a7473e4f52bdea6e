"""A thousand runs that wait for their parent."""
import statistics
import time

from .client import INVOKE, Bridge, Process, answer, call, run_start
from .machine import percentile, status
from .table import Row

ABOUT = "1,000 runs (run.start, wait: true) that each wait for a tool.invoke; pings one after another on the same connection, by a Python client"
RUNS = 1000
PONG = b'"id":"p","result"'
PING = b'{"jsonrpc":"2.0","id":"p","method":"ping"}\n'


def measure(machine):
    floor = echo_trips(machine, 1000)
    with Bridge(machine.bridge()) as bridge:
        script = machine.script(call(1), {"text": "done"})
        # What the first run brings into memory for good is not a thousandth of what the others need.
        bridge.send(run_start(2, script))
        bridge.send(answer(bridge.until(INVOKE)))
        bridge.until(b'"id":2,"result"')
        before = status(bridge.pid, "VmRSS")
        parent = Parent(bridge)
        beginning = parent.pings(lambda number: bridge.send(run_start(1000 + number, script)), lambda: len(parent.invocations) == RUNS)
        after = status(bridge.pid, "VmRSS")
        resting = [parent.ping() for _ in range(300 if machine.quick else 1000)]
        ending = parent.pings(lambda number: bridge.send(answer(parent.invocations[number])), lambda: parent.ended == RUNS)
    rows = [Row("memory of a waiting run", (after - before) / RUNS / 1000, "KB", goal=30)]
    for what, trips in [("while they wait", resting), ("while they start", beginning), ("while they end", ending)]:
        rows.append(Row(f"ping, median, {what}", statistics.median(trips), "us", "C echo", statistics.median(floor)))
        rows.append(Row(f"ping, p99, {what}", percentile(trips, 0.99), "us", "C echo, p99", percentile(floor, 0.99), goal=5000))
    return rows


class Parent:
    """Reads everything, keeps the invocations, times the pings."""

    def __init__(self, bridge):
        self.bridge = bridge
        self.invocations = []
        self.ended = 0

    def take(self, line):
        if INVOKE in line:
            self.invocations.append(line)
        elif line.startswith(b'{"jsonrpc":"2.0","id":1'):
            self.ended += 1
        return PONG in line

    def ping(self):
        """Microseconds; what else comes meanwhile is taken, but not before the clock is read."""
        before = time.perf_counter()
        self.bridge.send(PING)
        answered = None
        while answered is None:
            lines = self.bridge.more()
            came = time.perf_counter()
            for line in lines:
                if self.take(line):
                    answered = came
        return (answered - before) * 1e6

    def pings(self, act, is_done):
        """Acts once for each run, ten before every ping, and pings on until the bridge is done with it."""
        trips = []
        for first in range(0, RUNS, 10):
            for number in range(first, first + 10):
                act(number)
            trips.append(self.ping())
        while not is_done():
            trips.append(self.ping())
        return trips


def echo_trips(machine, count):
    trips = []
    with Process(machine.floor("echo")) as echo:
        for _ in range(count):
            before = time.perf_counter()
            echo.send(PING)
            echo.more()
            trips.append((time.perf_counter() - before) * 1e6)
    return trips

"""Streamed text."""
import statistics
import time

from .client import Bridge, Process, run_start
from .machine import cpu_seconds
from .table import Row

ABOUT = "2,000 text.delta events of 8 bytes over 16 model turns, store in memory, read by a Python client"
TURNS = 16
WORD = "seventh "
TEXT = WORD * 128
DELTA = b'"type":"text.delta"'


def measure(machine):
    # A tool that the run does not have is answered by an error, so that the next turn follows at once.
    script = machine.script({"text": TEXT, "toolCalls": [{"name": "nothing"}], "repeat": TURNS}, {"text": "done"})
    measured, floors = [], []
    for _ in range(3 if machine.quick else 9):
        measured.append(stream_once(machine, script))
        _, _, deltas, width = measured[-1]
        floors.append(floor_once(machine, deltas, width))
    wall, cpu, deltas, _ = (statistics.median(column) for column in zip(*measured))
    floor = statistics.median(floors)
    return [
        Row("one delta, wall", wall / deltas * 1e6, "us", "C: a line of that size", floor / deltas * 1e6),
        Row("one delta, processor", cpu / deltas * 1e6, "us"),
        Row("deltas a second", deltas / wall, "/s", goal_least=100_000),
        Row("deltas that came as events of their own", deltas, f"of {TURNS * len(TEXT) // len(WORD)}"),
    ]


def stream_once(machine, script):
    """Seconds from the request to the response, of them on a processor, deltas, bytes of the last one's line."""
    with Bridge(machine.bridge("memory")) as bridge:
        before, cpu = time.perf_counter(), cpu_seconds(bridge.pid)
        bridge.send(run_start(2, script))
        deltas, width = 0, 0
        while b'"id":2,"result"' not in (line := bridge.next()):
            if DELTA in line:
                deltas, width = deltas + 1, len(line) + 1
        return time.perf_counter() - before, cpu_seconds(bridge.pid) - cpu, deltas, width


def floor_once(machine, deltas, width):
    with Process(machine.floor("lines", deltas, width)) as floor:
        before = time.perf_counter()
        floor.send(b"\n")
        for _ in range(deltas):
            floor.next()
        return time.perf_counter() - before

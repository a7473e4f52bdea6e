"""A result of 50 MB."""
import statistics
import subprocess
import time

from .client import INVOKE, MODEL_STARTED, Bridge, Process, answer, call, run_start
from .machine import status
from .table import Row

ABOUT = "50 MB in one line, from its first byte written to the run's next model.started; memory is the peak of the whole process"
MEGABYTES = 50
SIZE = MEGABYTES * 1_000_000
KINDS = {"text": b"content", "rows": b"structuredContent"}


def payload(kind):
    """JSON of 50 MB: a string of source text, or rows."""
    if kind == "text":
        line = rb'    writer.member(\"callId\", call.callID.text)  // a line of source text, as tools send it\n'
        return b'"%b"' % (line * (SIZE // len(line)))
    row = b'{"id":%d,"month":"2026-01","region":"north","amount":1200.50,"paid":true,"note":null}'
    rows, size = [], 0
    while size < SIZE:
        rows.append(row % len(rows))
        size += len(rows[-1]) + 1
    return b"[%b]" % b",".join(rows)


def measure(machine):
    times = 1 if machine.quick else 5
    rows = []
    copying = statistics.median(copies(machine))
    for kind, member in KINDS.items():
        value = payload(kind)
        measured, floors = [], []
        for _ in range(times):
            measured.append(bridge_once(machine, value, member))
            floors.append(floor_once(machine, value))
        milliseconds, memory = (statistics.median(column) for column in zip(*measured))
        floor_milliseconds, floor_memory = (statistics.median(column) for column in zip(*floors))
        name = "a string" if kind == "text" else "rows"
        rows.append(Row(f"{name}, wall", milliseconds, "ms", "C: read, write, fsync", floor_milliseconds, goal=1000))
        rows.append(Row("the same", milliseconds, "ms", "one memory copy", copying))
        rows.append(Row(f"{name}, peak memory to payload", memory / len(value), "x", "C: read, write, fsync", floor_memory / len(value), goal=4))
    return rows


def bridge_once(machine, value, member):
    with Bridge(machine.bridge()) as bridge:
        bridge.send(run_start(2, machine.script(call(1), {"text": "done"})))
        line = answer(bridge.until(INVOKE), value, member)
        before = time.perf_counter()
        bridge.send(line)
        bridge.until(MODEL_STARTED)
        milliseconds = (time.perf_counter() - before) * 1000
        bridge.until(b'"id":2,"result"')
        return milliseconds, status(bridge.pid, "VmHWM")


def floor_once(machine, value):
    with Process(machine.floor("payload", machine.file("bytes"))) as floor:
        before = time.perf_counter()
        floor.send(value)
        floor.send(b"\n")
        floor.next()
        return (time.perf_counter() - before) * 1000, status(floor.pid, "VmHWM")


def copies(machine):
    """Milliseconds."""
    text = subprocess.run(machine.floor("copy", MEGABYTES, 9), check=True, stdout=subprocess.PIPE, text=True).stdout
    return [float(line) for line in text.split()]

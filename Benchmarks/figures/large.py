"""A result of 50 MB."""
import statistics
import subprocess
import time

from .client import INVOKE, MODEL_STARTED, TOOL, Bridge, Process, answer, call, run_start
from .machine import status
from .provider import Provider
from .table import Row

ABOUT = ("50 MB in one line, from its first byte written to the run's next model.started, and with openai: to the first text of a provider that has read "
         "the request with all of it; memory is the peak of the whole process")
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
        name, goal = ("a string", 1.2) if kind == "text" else ("rows", 1.6)
        floor_name = "C: read, write, fsync"
        milliseconds, memory, floor_milliseconds, floor_memory = of(times, lambda: bridge_once(machine, value, member), lambda: floor_once(machine, value))
        rows.append(Row(f"{name}, wall", milliseconds, "ms", floor_name, floor_milliseconds))
        rows.append(Row("the same", milliseconds, "ms", "one memory copy", copying))
        rows.append(Row(f"{name}, peak memory to payload", memory / len(value), "x", floor_name, floor_memory / len(value), goal=1.8))
        with Provider(machine) as provider:
            environment = provider.environment("openai", "calls/1")
            milliseconds, memory, floor_milliseconds, floor_memory = of(
                times, lambda: bridge_once(machine, value, member, environment), lambda: floor_once(machine, value, provider.port))
        rows.append(Row(f"{name}, to the model's socket", milliseconds, "ms", floor_name + ", send", floor_milliseconds, goal_ratio=goal))
        rows.append(Row(f"{name}, to the model's socket, peak memory", memory / len(value), "x", floor_name + ", send", floor_memory / len(value), goal=1.8))
    return rows


def of(times, bridge, floor):
    """In turns; the medians of milliseconds and of bytes, of the bridge and of the floor."""
    measured = [(*bridge(), *floor()) for _ in range(times)]
    return [statistics.median(column) for column in zip(*measured)]


def bridge_once(machine, value, member, environment=None):
    tools = [{**TOOL, "maxResultBytes": 1 << 30}]
    script = machine.script(call(1), {"text": "done"})
    with Bridge(machine.bridge(), environment) as bridge:
        bridge.send(run_start(2, script, tools=tools, model="openai:m") if environment else run_start(2, script))
        line = answer(bridge.until(INVOKE), value, member)
        before = time.perf_counter()
        bridge.send(line)
        # The provider answers when it has read the whole request.
        bridge.until(b'"type":"text.delta"' if environment else MODEL_STARTED)
        milliseconds = (time.perf_counter() - before) * 1000
        bridge.until(b'"id":2,"result"')
        return milliseconds, status(bridge.pid, "VmHWM")


def floor_once(machine, value, *port):
    with Process(machine.floor("payload", machine.file("bytes"), *port)) as floor:
        before = time.perf_counter()
        floor.send(value)
        floor.send(b"\n")
        floor.next()
        return (time.perf_counter() - before) * 1000, status(floor.pid, "VmHWM")


def copies(machine):
    """Milliseconds."""
    text = subprocess.run(machine.floor("copy", MEGABYTES, 9), check=True, stdout=subprocess.PIPE, text=True).stdout
    return [float(line) for line in text.split()]

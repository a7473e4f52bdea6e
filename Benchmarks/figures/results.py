"""Results that are neither small nor large."""
import json
import statistics
from pathlib import Path

from .calls import BLOCK
from .client import INITIALIZE, call, run_start
from .machine import paired_ratio
from .table import Row

ABOUT = "100 results of 100 KB, script model, durable store with its log already grown, a parent in C; otherwise as `calls`"
SIZE = 100_000
WARM_CALLS = 100
FLOOR = "C: 2 commits with the bytes, pipe between processors"


def measure(machine):
    calls = 50 if machine.quick else 100
    answer = Path(machine.file("json"))
    answer.write_text(json.dumps({"content": "x" * SIZE}, separators=(",", ":")))
    runs = [one_run(machine, calls, answer) for _ in range(1 if machine.quick else 3)]
    run = sorted(runs, key=lambda run: paired_ratio(run["0"], run["1"], BLOCK))[len(runs) // 2]
    bridge, apart, near = (run[str(index)] for index in range(3))
    return [
        Row("one call, wall", statistics.median(bridge), "us", FLOOR, statistics.median(apart), paired_ratio(bridge, apart, BLOCK), goal_ratio=1.5),
        Row("the same", statistics.median(bridge), "us", "the same where the scheduler likes", statistics.median(near), paired_ratio(bridge, near, BLOCK)),
        Row("one call, processor", run["cpu"][0] / 1000, "ms", FLOOR, run["cpu"][1] / 1000),
    ]


def one_run(machine, calls, answer):
    warm, timed = (machine.script(call(count), {"text": "done"}) for count in (WARM_CALLS, calls + 1))
    return machine.run(
        "parent", "one", INITIALIZE, run_start(2, warm), WARM_CALLS, run_start(3, timed), BLOCK, f"@{answer}",
        "--", *machine.bridge(), "--", "apart", *machine.floor("commits", machine.file("db"), "bare"),
        "--", *machine.floor("commits", machine.file("db"), "bare"))

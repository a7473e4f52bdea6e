"""A tool call through the parent."""
import statistics

from .client import INITIALIZE, call, run_start
from .machine import paired_ratio, percentile
from .table import Row

ABOUT = "script model, durable store with its log already grown, a parent in C; between two calls, so two commits and a pipe there and back"
BLOCK = 10
WARM_CALLS = 900
BARE = "C: 2 commits, pipe between processors"
SAME = "C: the store's own statements, pipe"
ANSWER = '{"content":"twenty bytes of text"}'


def measure(machine):
    runs = [one_run(machine) for _ in range(1 if machine.quick else 3)]
    run = sorted(runs, key=lambda run: paired_ratio(run["0"], run["1"], BLOCK))[len(runs) // 2]
    bridge, bare, near, same = (run[str(index)] for index in range(4))
    median = statistics.median
    window = min(100, len(bridge) // 4)
    first = paired_ratio(bridge[:window], bare[:window], BLOCK)
    last = paired_ratio(bridge[-window:], bare[-window:], BLOCK)
    sizes = "+".join(f"{size:.0f}" for size in run["commitBytes"])
    many = at_once(machine)
    return [
        Row("one call, wall", median(bridge), "us", f"{BARE} ({sizes} bytes)", median(bare), paired_ratio(bridge, bare, BLOCK), goal_ratio=1.4),
        Row("the same", median(bridge), "us", "C: 2 commits, pipe where the scheduler likes", median(near), paired_ratio(bridge, near, BLOCK)),
        Row("the same", median(bridge), "us", SAME, median(same), paired_ratio(bridge, same, BLOCK)),
        Row("one call, wall, the tenth percentile", percentile(bridge, 0.1), "us", BARE, percentile(bare, 0.1)),
        Row("one call, processor", run["cpu"][0] / 1000, "ms", BARE, run["cpu"][1] / 1000, goal=0.4),
        Row("the same", run["cpu"][0] / 1000, "ms", SAME, run["cpu"][3] / 1000),
        Row(f"calls {len(bridge) - window + 1}-{len(bridge)}, over their floor", last, "x", f"calls 1-{window}, over theirs", first, goal_ratio=1.2),
        Row("one call of 100 runs at once, wall", many["wall"] / many["calls"], "us", f"{BARE}, one run", median(bare)),
        Row("one call of 100 runs at once, processor", many["cpu"] / many["calls"] / 1000, "ms", BARE, run["cpu"][1] / 1000),
        Row("calls a second, 100 runs at once", many["calls"] / many["wall"] * 1e6, "/s"),
    ]


def one_run(machine):
    calls = 300 if machine.quick else 1000
    # One more than is timed: the first has no call before it.
    warm, timed = (machine.script(call(count), {"text": "done"}) for count in (WARM_CALLS, calls + 1))
    return machine.run(
        "parent", "one", INITIALIZE, run_start(2, warm), WARM_CALLS, run_start(3, timed), BLOCK, ANSWER,
        "--", *machine.bridge(), "--", "apart", *machine.floor("commits", machine.file("db"), "bare"),
        "--", *machine.floor("commits", machine.file("db"), "bare"),
        "--", "apart", *machine.floor("commits", machine.file("db"), "same"))


def at_once(machine):
    calls = 20 if machine.quick else 50
    script = machine.script(call(calls), {"text": "done"})
    request = run_start(0, script).replace('"id":0,', '"id":@,')
    measured = [machine.run("parent", "many", INITIALIZE, request, 100, ANSWER, "--", *machine.bridge()) for _ in range(1 if machine.quick else 3)]
    return sorted(measured, key=lambda run: run["wall"])[len(measured) // 2]

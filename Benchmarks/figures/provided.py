"""A tool call through the parent, with a model behind HTTP."""
import statistics

from .calls import ANSWER, BARE, BLOCK, WARM_CALLS
from .client import INITIALIZE, call, run_start
from .machine import paired_ratio, percentile
from .provider import Provider
from .table import Row

ABOUT = "openai: over HTTP on the loopback, durable store, a parent in C: one tool.invoke to the next, so two commits, an HTTP exchange, a pipe there and back"
FLOOR = "C: 2 commits, HTTP, pipe between processors"
NEAR = "C: 2 commits, HTTP, pipe where the scheduler likes"
LIBRARIES = "C: the store's own statements, libcurl, pipe between processors"
LENGTHS = (100, 1000)


def measure(machine):
    rounds = 1 if machine.quick else 3
    rows = []
    for calls in LENGTHS:
        runs = [one_run(machine, calls, machine.bridge()) for _ in range(rounds)]
        run = sorted(runs, key=lambda run: paired_ratio(run["0"], run["1"], BLOCK))[rounds // 2]
        rows += walls(run, calls)
    return rows + processor(runs)


def one_run(machine, calls, command, warm_calls=WARM_CALLS):
    """Bridge, and the floors in turns with it. One call more than is timed: the first has no call before it."""
    warm = machine.script(call(warm_calls), {"text": "done"})
    with Provider(machine) as provider:
        floors = [["--", *where, *machine.floor("commits", machine.file("db"), kind, provider.port)]
                  for where, kind in ((["apart"], "bare"), ([], "bare"), (["apart"], "libraries"))]
        return machine.run(
            "parent", "one", INITIALIZE, run_start(2, warm), warm_calls, run_start(3, None, model="openai:m"), BLOCK, ANSWER,
            "--", *command, *sum(floors, []), environment=provider.environment("openai", f"calls/{calls + 1}"))


def walls(run, calls):
    bridge, bare, near, libraries = (run[str(index)] for index in range(4))
    median = statistics.median
    name = f"one call of {calls:,}"
    return [
        Row(f"{name}, wall", median(bridge), "us", FLOOR, median(bare), paired_ratio(bridge, bare, BLOCK), goal_ratio=1.4),
        Row("the same", median(bridge), "us", NEAR, median(near), paired_ratio(bridge, near, BLOCK)),
        Row("the same", median(bridge), "us", LIBRARIES, median(libraries), paired_ratio(bridge, libraries, BLOCK)),
        Row(f"{name}, wall, the tenth percentile", percentile(bridge, 0.1), "us", NEAR, percentile(near, 0.1)),
        Row(f"{name}, processor", run["cpu"][0], "us", FLOOR, run["cpu"][1], goal=400),
        Row("the same", run["cpu"][0], "us", LIBRARIES, run["cpu"][3]),
    ]


def processor(runs):
    """Of the calls around the 10th, the 100th and the 1,000th of the longest runs, where the request grows."""
    def around(number, side):
        block = number // BLOCK
        return statistics.median(cpu for run in runs for cpu in run["blockCPU"][side][max(0, block - 5):block + 3])

    figures = {number: [around(number, side) for side in ("0", "1")] for number in (10, 100, 1000)}
    rows = [Row(f"processor around call {number:,}", bridge, "us", FLOOR, floor) for number, (bridge, floor) in figures.items()]
    # Differences of noisy figures, so without a ratio.
    growth, floor_growth = (figures[1000][side] - figures[10][side] for side in (0, 1))
    size = runs[0]["requestBytes"] / 1000
    return rows + [
        Row(f"what that grew by, to requests of {size:,.0f} KB", growth, "us"),
        Row("what the floor's grew by, which only copies", floor_growth, "us"),
    ]

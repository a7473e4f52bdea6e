"""The start, and the memory at rest."""
import statistics
import time

from .client import INITIALIZE, Bridge, run_start
from .machine import HERE, NODE, PYTHON, status
from .table import Row

ABOUT = "spawn to the answer of `initialize`, taken in turns by a C program that spawns; memory when nothing was asked yet"


def measure(machine):
    rounds = 10 if machine.quick else 30
    store = machine.file("db")
    others = [("C echo", machine.floor("echo")), ("Python echo", [PYTHON, str(HERE / "echo.py")])]
    if NODE:
        others.append(("Node echo", [NODE, str(HERE / "echo.mjs")]))
    commands = [machine.bridge(store)] + [command for _, command in others]
    series = machine.run("trip", "start", rounds, 0, INITIALIZE, *(word for command in commands for word in ["--", *command]))
    milliseconds = [statistics.median(series[str(index)]) / 1000 for index in range(len(commands))]
    rows = [Row("start, store there already", milliseconds[0], "ms", "C echo", milliseconds[1], goal_ratio=5)]
    rows += [Row("the same", milliseconds[0], "ms", name, milliseconds[index], goal_ratio=1 / 8 if name == "Node echo" else None)
             for index, (name, _) in enumerate(others, 1) if index > 1]
    rows.append(new_store(machine, rounds // 3, milliseconds[1]))
    rows.append(full_store(machine, rounds))
    with Bridge(machine.bridge()) as bridge:
        time.sleep(0.3)  # At rest: nothing tells when a thread has settled.
        resident, own = (status(bridge.pid, name) / 1e6 for name in ("VmRSS", "RssAnon"))
    rows.append(Row("resident memory at rest", resident, "MB", goal=15))
    rows.append(Row("of it not from files", own, "MB"))
    return rows


def new_store(machine, rounds, floor):
    """The first start on a machine makes the file, the log and the tables."""
    series = [machine.run("trip", "start", 1, 0, INITIALIZE, "--", *with_new_store(machine))["0"][0] for _ in range(rounds)]
    return Row("start that makes the store", statistics.median(series) / 1000, "ms", "C echo", floor)


def full_store(machine, rounds):
    """In turns with an empty store, so that both see the same machine."""
    runs = 1000 if machine.quick else 10_000
    full, empty = machine.file("db"), machine.file("db")
    script = machine.script({"text": "done"})
    with Bridge(machine.bridge(full)) as bridge:
        for first in range(0, runs, 100):
            bridge.send("\n".join(run_start(first + index, script, events=False) for index in range(100, 200)) + "\n")
            for _ in range(100):
                bridge.until(b'"result":{"runId"')
    series = machine.run("trip", "start", rounds, 0, INITIALIZE, "--", *machine.bridge(full), "--", *machine.bridge(empty))
    return Row(f"start, {runs:,} runs in the store", statistics.median(series["0"]) / 1000, "ms", "an empty store",
               statistics.median(series["1"]) / 1000, goal_ratio=1.2)


def with_new_store(machine):
    # trip starts each command once before it counts: that start must not make the store which the counted one finds.
    return ["sh", "-c", f'rm -f {machine.folder}/new.db*; exec "$@"', "sh", *machine.bridge(f"{machine.folder}/new.db")]

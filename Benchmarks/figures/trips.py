"""The least there and back."""
import os
import statistics

from .client import PING
from .machine import HERE, NODE, PYTHON, paired_ratio, percentile
from .table import Row

ABOUT = "`ping` there and back, in turns with plain echoes, by a parent in C"
BLOCK = 100


def measure(machine):
    rounds = 1000 if machine.quick else 5000
    others = [("C echo", machine.floor("echo")), ("Python echo", [PYTHON, str(HERE / "echo.py")])]
    if NODE:
        others.append(("Node echo", [NODE, str(HERE / "echo.mjs")]))
    commands = [machine.bridge()] + [command for _, command in others]
    series = machine.run("trip", "round", rounds, BLOCK, PING, *(word for command in commands for word in ["--", *command]))
    bridge = series["0"]
    rows = []
    for index, (name, _) in enumerate(others, 1):
        other = series[str(index)]
        rows.append(Row("ping, median" if index == 1 else "the same", statistics.median(bridge), "us", name, statistics.median(other),
                        paired_ratio(bridge, other, BLOCK)))
    rows += pinned(machine, commands, others, rounds)
    rows.append(Row("ping, p99", percentile(bridge, 0.99), "us", "C echo, p99", percentile(series["1"], 0.99)))
    return rows


def pinned(machine, commands, others, rounds):
    """All of them on one processor, so that no trip waits for another one to wake."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        series = machine.run("trip", "round", rounds, BLOCK, PING, *(word for command in commands for word in ["--", *command]))
    finally:
        os.sched_setaffinity(0, everywhere)
    goals = {"C echo": 2, "Node echo": 1 / 2}
    return [Row("ping, both ends on one processor" if index == 1 else "the same", statistics.median(series["0"]), "us", name,
                statistics.median(series[str(index)]), paired_ratio(series["0"], series[str(index)], BLOCK), goal_ratio=goals.get(name))
            for index, (name, _) in enumerate(others, 1)]

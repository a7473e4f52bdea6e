#!/usr/bin/env python3
"""Writes Sources/Footbridge/Linking/order.txt: the functions that a start and calls go through, which the linker lays side by side (see Package.swift).

    Benchmarks/layout.py

Needs valgrind, strip, nm, and the release build (or FOOTBRIDGE_BINARY). To be run when much has changed: a name that is gone does no harm, and what the
file does not name lies behind what it names. The first group is used by a start alone, the second by both, the third by calls alone.
"""
import json
import os
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from figures.client import INVOKE, answer, run_start
from figures.machine import BINARY, Machine
from figures.provider import Provider
from instructions import CALLS, calls, deltas, run, start, stripped

ORDER = Path(__file__).resolve().parent.parent / "Sources/Footbridge/Linking/order.txt"


def provided(bridge, folder):
    """As `calls`, with a model over HTTP."""
    message = json.loads(run_start(2, None, model="openai:m"))
    message["params"]["agent"]["limits"]["maxIterations"] = CALLS
    bridge.send(json.dumps(message))
    while b'"id":2,' not in (line := bridge.next()):
        if INVOKE in line:
            bridge.send(answer(line, b'"twenty bytes of text"', b"content"))


def profile(scenario, binary, folder, environment=None):
    """How often each function was called; 0 for one that was running when the count began."""
    path = Path(folder) / "callgrind.out"
    run(scenario, binary, ["--tool=callgrind", "--demangle=no", "--compress-strings=no", f"--callgrind-out-file={path}"], environment)
    times = Counter()
    callee = None
    for text in path.read_text().splitlines():
        if text.startswith(("fn=", "cfn=")):
            # Callgrind tells the levels of a recursion apart.
            callee = re.sub(r"'\d+$", "", text.split("=", 1)[1])
            times[callee] += 0
        elif text.startswith("calls="):
            times[callee] += int(text[6:].split()[0])
    return times


def defined(binary):
    names = subprocess.run(["nm", "--defined-only", binary], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return {words[2] for words in map(str.split, names) if len(words) == 3 and words[1] in "tTwW"}


def main():
    os.environ["SWIFT_BACKTRACE"] = "enable=no"
    with tempfile.TemporaryDirectory() as folder, Machine(quick=True) as machine, Provider(machine) as provider:
        binary = stripped(folder)
        begun = profile(start, binary, folder)
        often = set()
        for scenario, environment in [(calls, None), (deltas, None), (provided, provider.environment("openai", "call"))]:
            times = profile(scenario, binary, folder, environment)
            often |= {name for name in times if times[name] - begun[name] >= CALLS / 2}
        known = defined(binary)
    groups = [set(begun) - often, set(begun) & often, often - set(begun)]
    names = [name for group in groups for name in sorted(group & known)]
    ORDER.write_text("".join(name + "\n" for name in names))
    print(f"{len(names):,} functions")


if __name__ == "__main__":
    main()

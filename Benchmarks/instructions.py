#!/usr/bin/env python3
"""Counts the instructions of six fixed scenarios and compares them with instructions.json: a guard against getting slower that no busy machine disturbs.

    Benchmarks/instructions.py [--update] [--only NAME]...

Needs valgrind, strip, and the release build (or FOOTBRIDGE_BINARY). The exit status is 1 when a scenario takes more than a tenth more than the baseline;
one that takes more than a tenth less is named, since then the baseline should follow (`--update` writes it). A scenario's figure is what it takes beyond a start.
Counts of two builds differ by less than 1% unless code differs; they depend on the compiler and the C library, so the baseline names both.
"""
import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from figures.client import INVOKE, PING, Bridge, answer, call, run_start
from figures.machine import BINARY

BASELINE = Path(__file__).resolve().parent / "instructions.json"
ALLOWED = 0.1
CALLS, PINGS, DELTAS, MEGABYTES = 100, 1000, 2000, 4


def start(bridge, folder):
    """What every other scenario has too: `initialize`, an empty store, the end."""


def pings(bridge, folder):
    for _ in range(PINGS):
        bridge.send(PING)
        bridge.next()


def calls(bridge, folder, result=b'"twenty bytes of text"', member=b"content", count=CALLS):
    bridge.send(run_start(2, script(folder, call(count), {"text": "done"})))
    for _ in range(count):
        bridge.send(answer(bridge.until(INVOKE), result, member))
    bridge.until(b'"id":2,"result"')


def a_string(bridge, folder):
    line = rb'    writer.member(\"callId\", call.callID.text)  // a line of source text\n'
    calls(bridge, folder, b'"%b"' % (line * (MEGABYTES * 1_000_000 // len(line))), count=1)


def rows(bridge, folder):
    row = b'{"id":12345,"month":"2026-01","region":"north","amount":1200.50,"paid":true,"note":null}'
    calls(bridge, folder, b"[%b]" % b",".join([row] * (MEGABYTES * 1_000_000 // len(row))), b"structuredContent", count=1)


def deltas(bridge, folder):
    words = "seventh " * 128
    turn = {"text": words, "toolCalls": [{"name": "nothing"}], "repeat": DELTAS // 128}
    bridge.send(run_start(2, script(folder, turn, {"text": "done"})))
    bridge.until(b'"id":2,"result"')


SCENARIOS = {"start": start, "pings": pings, "calls": calls, "a string": a_string, "rows": rows, "deltas": deltas}
PER = {"pings": PINGS, "calls": CALLS}


def script(folder, *turns):
    path = folder / "script.jsonl"
    path.write_text("".join(json.dumps(turn) + "\n" for turn in turns))
    return str(path)


def run(scenario, binary, tool, environment=None):
    """What valgrind says at the end."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        log = folder / "valgrind.log"
        store = ["--store", f"sqlite:{folder}/runs.db", "--log-level", "error"]
        with Bridge([binary, *store]):
            pass  # Makes the store, which no scenario is about.
        with Bridge(["valgrind", f"--log-file={log}", *tool, binary, *store], environment) as bridge:
            scenario(bridge, folder)
        return log.read_text()


def instructions(scenario, binary):
    text = run(scenario, binary, ["--tool=callgrind", "--callgrind-out-file=/dev/null"])
    return int(re.search(r"refs:\s+([\d,]+)", text)[1].replace(",", ""))


def allocations(scenario, binary):
    text = run(scenario, binary, ["--tool=dhat", "--dhat-out-file=/dev/null"])
    return int(re.search(r"Total:.* in ([\d,]+) blocks", text)[1].replace(",", ""))


def count(names, binary):
    base = instructions(start, binary)
    figures = {}
    for name in names:
        figures[name] = base if name == "start" else (instructions(SCENARIOS[name], binary) - base) // PER.get(name, 1)
        print(f"{name}: {figures[name]:,} instructions{' each' if name in PER else ''}", flush=True)
    if "calls" in names:
        figures["allocations of a call"] = (allocations(calls, binary) - allocations(start, binary)) // CALLS
        print(f"allocations of a call: {figures['allocations of a call']:,}", flush=True)
    return figures


def stripped(folder):
    """Valgrind cannot read the debugging information of this compiler."""
    path = Path(folder) / "footbridge"
    subprocess.run(["strip", "--strip-debug", "-o", path, BINARY], check=True)
    return str(path)


def compare(figures, baseline):
    """Names of those that take too much."""
    slower = []
    for name, figure in figures.items():
        if name not in baseline:
            continue
        change = figure / baseline[name] - 1
        verdict = "SLOWER" if change > ALLOWED else "faster: --update" if change < -ALLOWED else "as before"
        print(f"{name:<22} {figure:>14,}  baseline {baseline[name]:>14,}  {change:+7.1%}  {verdict}")
        slower += [name] if change > ALLOWED else []
    return slower


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--update", action="store_true", help="write what was counted as the baseline")
    options.add_argument("--only", action="append", choices=SCENARIOS, metavar="NAME", help=f"one of {', '.join(SCENARIOS)}; may be repeated")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = count(chosen.only or list(SCENARIOS), stripped(folder))
    known = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"figures": {}}
    if chosen.update:
        known["counted with"] = f"glibc {platform.libc_ver()[1]}, {subprocess.check_output(['swiftc', '--version'], text=True, stderr=subprocess.DEVNULL).splitlines()[0]}"
        known["figures"] |= figures
        BASELINE.write_text(json.dumps(known, indent=1) + "\n")
        return
    slower = compare(figures, known["figures"])
    sys.exit(f"more than a tenth slower: {', '.join(slower)}" if slower else 0)


if __name__ == "__main__":
    os.environ["SWIFT_BACKTRACE"] = "enable=no"
    main()

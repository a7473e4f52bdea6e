#!/usr/bin/env python3
"""Prints how fast and how small footbridge is, each figure as a ratio to a floor that is measured in the same run.

    Benchmarks/run.py [--quick] [--only NAME]... [--folder FOLDER] [--json FILE]

README.md beside this file says how to read the table. Nothing here passes or fails: the exit status is 0 when everything could be measured.
"""
import argparse
import json
import sys
from pathlib import Path

from figures import calls, crowded, groups, large, latency, observing, peers, provided, results, scan, sessions, start, storage, streaming, submits, trips, waiting
from figures.machine import BINARY, Machine, describe
from figures.table import table

FIGURES = {"start": start, "calls": calls, "results": results, "groups": groups, "storage": storage, "waiting": waiting, "large": large, "scan": scan, "trips": trips,
           "streaming": streaming, "latency": latency, "provided": provided, "sessions": sessions, "observing": observing,
           "submits": submits, "crowded": crowded, "peers": peers}


def main():
    options = argparse.ArgumentParser(description="Prints each figure beside its floor. FOOTBRIDGE_BINARY names another binary than the release build.")
    options.add_argument("--quick", action="store_true", help="fewer repetitions: less time, more noise")
    options.add_argument("--only", action="append", choices=FIGURES, metavar="NAME", help=f"one of {', '.join(FIGURES)}; may be repeated")
    options.add_argument("--folder", metavar="FOLDER", help="where the stores lie; .build/benchmarks unless given")
    options.add_argument("--json", metavar="FILE", help="write the rows there as well")
    chosen = options.parse_args()
    if not BINARY.is_file():
        sys.exit(f"there is no {BINARY}: swift build -c release --product footbridge")
    with Machine(chosen.quick, chosen.folder) as machine:
        about = describe(machine)
        print("\n".join(f"{name:<8} {value}" for name, value in about.items()))
        sections = []
        for name in chosen.only or FIGURES:
            rows = FIGURES[name].measure(machine)
            sections.append({"name": name, "about": FIGURES[name].ABOUT, "rows": [row.record() for row in rows]})
            print(f"\n{name}: {FIGURES[name].ABOUT}\n{table(rows)}", flush=True)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps({"about": about, "quick": chosen.quick, "figures": sections}, indent=1) + "\n")


if __name__ == "__main__":
    main()

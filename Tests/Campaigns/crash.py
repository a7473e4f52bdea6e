#!/usr/bin/env python3
"""The crash campaign: the bridge is ended by SIGKILL at every write, sync and change of its store and at every message, and what it leaves is judged.

    Tests/Campaigns/crash.py                       every point of every scenario
    Tests/Campaigns/crash.py --every 4 Submit Big  of those two; of the writes to the store every fourth
    Tests/Campaigns/crash.py --random 10000        so many random points, a third of them with a second kill during the recovery
    Tests/Campaigns/crash.py --store postgres      with a private PostgreSQL server; --restart: it is restarted, as after a crash, instead of a kill

Exits with 1 when a promise was not kept. README.md, "Promises", says what is promised.
"""
from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import scenarios  # noqa: E402
from campaign import AFTER, BEFORE, KINDS, STOP, TORN, PostgresStage, Stage, plans, scratch, trial  # noqa: E402

stages: dict[str, Stage] = {}
keeps = False


def one(task):
    name, plan = task
    return trial(stages[name], plan, keeps)


def planned(options, points):
    """(scenario, plan) for every trial, in an order that spreads the scenarios."""
    rng = random.Random(options.seed)
    if not options.random:
        found = [(name, plan) for name, kinds in points.items() for plan in plans(kinds, options.every)]
        rng.shuffle(found)
        return found
    names = list(points)
    found = []
    for _ in range(options.random):
        name = rng.choice(names)
        if options.restart:
            found.append((name, [(rng.randint(1, len(points[name])), STOP)]))
            continue
        plan = [(rng.randint(1, len(points[name])), rng.choice((BEFORE, AFTER, TORN)))]
        if rng.random() < 1 / 3:
            # A recovery passes about as many points.
            plan.append((rng.randint(1, len(points[name])), rng.choice((BEFORE, AFTER, TORN))))
        found.append((name, plan))
    return found


def report(verdicts, seconds):
    """Prints a table of what was done and the violations; says whether there were none."""
    kinds, trials, failed = {}, Counter(), [v for v in verdicts if v.violation]
    for v in verdicts:
        trials[v.scenario] += 1
        kinds.setdefault(v.scenario, Counter()).update(v.killed)
    columns = range(1, 7)  # the kinds that are points
    print(f"{'scenario':16}{'trials':>8}{'kills':>8}  " + "".join(f"{KINDS[k]:>13}" for k in columns))
    for name in [*trials, "all"]:
        count = sum(kinds.values(), Counter()) if name == "all" else kinds[name]
        number = sum(trials.values()) if name == "all" else trials[name]
        print(f"{name:16}{number:8}{sum(count.values()):8}  " + "".join(f"{count[k]:13}" for k in columns))
    twice = sum(len(v.killed) > 1 for v in verdicts)
    print(f"{sum(len(v.killed) for v in verdicts)} kills in {len(verdicts)} trials, {twice} of them with a second one in the recovery; {len(failed)} violations; {seconds:.0f} s")
    for v in failed[:20]:
        print("VIOLATION", v)
    return not failed


def main():
    global keeps
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", help="the names of those to play; all unless named")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the writes to the store only every Nth")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="so many random points instead of all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--restart", action="store_true", help="with --store postgres and --random: restart the server instead of killing the bridge")
    parser.add_argument("--keep", action="store_true", help="keep the folders of trials with a violation")
    options = parser.parse_args()
    known = {s.name: s for s in (scenarios.ALL if options.store == "sqlite" else scenarios.ON_POSTGRES)}
    if options.restart and not (options.random and options.store == "postgres"):
        parser.error("--restart goes with --store postgres and --random")
    if unknown := set(options.scenarios) - set(known):
        parser.error(f"there is no scenario {', '.join(unknown)}; there are {', '.join(known)}")
    keeps = options.keep
    folder = scratch()
    make = Stage
    if options.store == "postgres":
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEndTests"))
        from postgres import Server
        server = Server()
        make = lambda scenario, folder: PostgresStage(scenario, folder, server)  # noqa: E731
    start = time.monotonic()
    try:
        points = {}
        for name in options.scenarios or known:
            stages[name] = make(known[name], folder)
            rehearsal = trial(stages[name], [], keeps)
            if rehearsal.violation:
                sys.exit(f"{name} fails without a kill: {rehearsal.violation}")
            points[name] = rehearsal.kinds
        with multiprocessing.get_context("fork").Pool(1 if options.restart else options.jobs) as pool:
            verdicts = list(pool.imap_unordered(one, planned(options, points), chunksize=8))
        if keeps:
            print("kept in", folder)
        sys.exit(0 if report(verdicts, time.monotonic() - start) else 1)
    finally:
        if not keeps:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

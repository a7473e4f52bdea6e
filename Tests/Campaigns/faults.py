#!/usr/bin/env python3
"""The fault campaign: calls of the store fail, once or for a while, and the bridge must neither end nor claim what is not so.

    Tests/Campaigns/faults.py [SCENARIO...] [--every N]

For each scenario and each kind of fault (a failed write, a full disk, half a write, a failed sync, ...), at every so many of such calls: what is
refused meanwhile must be refused as a failure of the store that names it; when the cause is gone the same process, or the next one, does what was
asked for; and nothing that was acknowledged is missing.
"""
from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import judge  # noqa: E402
import scenarios  # noqa: E402
from campaign import Stage, Verdict, play, scratch  # noqa: E402
from campaign import trial as undisturbed  # noqa: E402
from parent import Gone, Parent, Refused, Violation, demand  # noqa: E402
from shim import FOREVER, STORE_OPEN, STORE_READ, STORE_SHAPE, STORE_SYNC, STORE_WRITE, WIRE_OUT, KINDS, Shim  # noqa: E402

#: What fails, and how. Reads and openings are no points of a rehearsal; the first few are tried.
KINDS_OF_FAULT = [(STORE_WRITE, "EIO"), (STORE_WRITE, "ENOSPC"), (STORE_WRITE, "EDQUOT"), (STORE_WRITE, "EROFS"), (STORE_WRITE, "short"), (STORE_SYNC, "EIO"), (STORE_SYNC, "ENOSPC"),
                  (STORE_SHAPE, "EIO"), (STORE_SHAPE, "ENOSPC"), (STORE_SHAPE, "EROFS"), (STORE_READ, "EIO"), (STORE_OPEN, "EMFILE"), (STORE_OPEN, "EACCES"), (WIRE_OUT, "short")]
UNCOUNTED = 12
UNUSABLE = 74
PLAYED = [s for s in scenarios.ALL if not isinstance(s, scenarios.TwoDoors)]


@dataclass(frozen=True)
class Fault:
    kind: int
    error: str
    first: int
    count: int
    #: Whether the bridge is killed while the fault lasts, or goes on when it is gone.
    kills: bool

    def __str__(self):
        lasting = "once" if self.count == 1 else "from then on"
        return f"{KINDS[self.kind]} {self.first} fails with {self.error} {lasting}, then {'a kill' if self.kills else 'all is well'}"


def faults(kinds, every=1):
    """All faults for a scenario of which a rehearsal passed these points."""
    found = []
    for kind, error in KINDS_OF_FAULT:
        number = sum(k == kind for k in kinds) if kind not in (STORE_READ, STORE_OPEN) else UNCOUNTED
        # The first is always tried; the others so that the kinds of fault do not all meet the same ones.
        for first in sorted({1, *range(1 + len(found) % every, number + 1, every)}):
            turn = len(found)
            found.append(Fault(kind, error, first, 1 if turn % 2 else FOREVER, kills=turn % 3 == 0))
    return found


def trial(stage: Stage, fault: Fault) -> Verdict:
    scenario = stage.scenario
    verdict = Verdict(scenario.name, [fault])
    home = stage.new_home()
    place, notebook = stage.place(home), pickle.loads(stage.notebook)
    try:
        if not fail(scenario, place, notebook, fault, verdict):
            play(scenario, place, notebook, verdict, 0, 0)
        judge.check_stderr(place)
    except (Violation, Refused) as violation:
        verdict.violation = str(violation)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return verdict


def fail(scenario, place, notebook, fault, verdict) -> bool:
    """One process that meets the fault; whether it came to the end of the scenario when the fault was gone."""
    shim = Shim(place.home / "control", place.file)
    if scenario.armed_at_start:
        shim.fail([fault.kind], fault.error, fault.first, fault.count)
    p = Parent(place, notebook, *scenario.arguments, shim=shim, capabilities=scenario.capabilities, answers=scenario.answers())
    try:
        try:
            p.initialize()
        except Gone:
            refused_to_start(p, place, verdict)
            return False
        if not scenario.armed_at_start:
            shim.fail([fault.kind], fault.error, fault.first, fault.count)
        try:
            scenario.play(p)
        except Refused as refused:
            check_refusal(refused, place)
        verdict.killed += [fault.kind] * min(shim.get("fail_made"), 1)
        if fault.kills:
            return False
        shim.heal()
        scenario.play(p)
        logs = judge.check_facts(p, notebook)
        scenario.judge(p, logs, place)
        judge.check_work(p, scenario, logs, place)
        judge.check_sound(place)
        demand(p.finish() == 0, "the bridge did not end well")
        return True
    except Gone:
        demand(False, f"the bridge ended by itself, with {p.process.wait()}: {p.stderr_path.read_text()[-500:]}")
    finally:
        p.destroy()


def refused_to_start(p, place, verdict):
    """A store that cannot be opened ends the process, with a message that says which file and why."""
    status, said = p.process.wait(), p.stderr_path.read_text()
    demand(status == UNUSABLE, f"the bridge ended with {status}: {said[-500:]}")
    demand(place.file in said or str(Path(place.file).parent) in said, f"it did not say which file: {said[-500:]}")
    verdict.killed.append(p.shim and STORE_OPEN)


def check_refusal(refused, place):
    demand(refused.kind in ("store.unavailable", "store.full"), f"refused as {refused}")
    demand(str(Path(place.file).parent) in str(refused), f"the error does not say which file: {refused}")
    words = ("free some space", "run.resume", "put it back", "make it writable", "try again", "restore a backup")
    demand(any(word in str(refused) for word in words), f"the error does not say what to do: {refused}")


stages: dict[str, Stage] = {}


def one(task):
    name, fault = task
    return trial(stages[name], fault)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth call of a kind")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    known = {s.name: s for s in PLAYED}
    if unknown := set(options.scenarios) - set(known):
        parser.error(f"there is no scenario {', '.join(unknown)}; there are {', '.join(known)}")
    folder, start = scratch(), time.monotonic()
    try:
        tasks = []
        for name in options.scenarios or known:
            stages[name] = Stage(known[name], folder)
            tasks += [(name, fault) for fault in faults(undisturbed(stages[name], []).kinds, options.every)]
        with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
            verdicts = list(pool.imap_unordered(one, tasks, chunksize=8))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    made = Counter((KINDS[v.plan[0].kind], v.plan[0].error) for v in verdicts if v.killed)
    failed = [v for v in verdicts if v.violation]
    print(", ".join(f"{kind} {error}: {count}" for (kind, error), count in sorted(made.items())))
    print(f"{sum(made.values())} faults met in {len(verdicts)} trials, {len(failed)} violations; {time.monotonic() - start:.0f} s")
    for v in failed[:40]:
        print("VIOLATION", v.scenario, v.plan[0], "::", v.violation)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

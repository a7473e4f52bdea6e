#!/usr/bin/env python3
"""Whether the campaigns notice: a debug build with one promise broken on purpose (`Sources/SQLiteStore/Broken.swift`) must be caught, each time.

    Tests/Campaigns/broken.py [--binary .build/debug/footbridge]

The program that is installed has no such switch.
"""
from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import campaign  # noqa: E402
import powercut  # noqa: E402
import scenarios  # noqa: E402
from parent import Gone, Refused, Violation  # noqa: E402
from shim import REPO, WIRE_OUT  # noqa: E402

DEBUG = REPO / ".build" / "debug" / "footbridge"


def kills(stage):
    """The crash campaign: without a kill, then after each message."""
    rehearsal = campaign.trial(stage, [])
    yield rehearsal
    for number, kind in enumerate(rehearsal.kinds, 1):
        if kind == WIRE_OUT:
            yield campaign.trial(stage, [(number, campaign.AFTER)])


def cuts(stage):
    """The power-cut campaign."""
    recording = powercut.Recording(stage)
    for cut in recording.cuts():
        yield powercut.trial(recording, cut, 0)


#: What is broken, the campaign that must catch it, and in which scenarios. That a position is compared shows when two
#: processes have decided on the same one.
CASES = [("commit", kills, ("Submit", "Invoke", "Commands", "Approve")), ("acknowledgement", kills, ("Submit", "Invoke", "Commands", "Cancel")),
         ("sync", cuts, ("Submit", "Invoke", "Commands", "Memory")), ("position", kills, ("SameMoment",))]
NAMED = {s.name: s for s in scenarios.ALL}


def caught(broken, trials, name, binary=DEBUG):
    """The violation by which it is noticed; empty when it is not."""
    folder = campaign.scratch()
    try:
        stage = campaign.Stage(NAMED[name], folder, binary, {"FOOTBRIDGE_BROKEN": broken} if broken else {})
        return next((v.violation for v in trials(stage) if v.violation), "")
    except (Violation, Refused, Gone) as violation:
        return str(violation) or "the bridge ended by itself"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=DEBUG)
    options = parser.parse_args()
    missed = 0
    for broken, trials, names in CASES:
        for name in names:
            sound, violation = caught("", trials, name, options.binary), caught(broken, trials, name, options.binary)
            missed += bool(sound) + (not violation)
            print(f"{broken:16}{name:12}{violation or 'NOT NOTICED'}{f' (and without it: {sound})' if sound else ''}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The power-cut campaign: what a crash of the machine leaves is made from a journal of the store's writes and syncs, and judged as in the crash campaign.

A scenario is played once while `shim.c` writes down, in order, every write, sync and change of shape of the store's files and every message. At each
cut the files are made as a machine may have left them that lost power there: what a file's last sync covered is there; of the writes since then
nothing, or any of them, torn at the borders of sectors; of new files only those whose folder was synced. What the parent was told before the cut
must be in there.

    Tests/Campaigns/powercut.py [SCENARIO...] [--rounds N] [--seed N] [--synchronous normal]

With `--synchronous normal`, which gives up this promise, violations are what is to be expected.
"""
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import random
import shutil
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import judge  # noqa: E402
import scenarios  # noqa: E402
from campaign import Stage, Verdict, play, scratch  # noqa: E402
from parent import Parent, Refused, Violation, demand  # noqa: E402
from shim import STORE_SYNC, Shim  # noqa: E402

HEAD = struct.Struct("=c3xIQQ")
SECTOR = 512
#: Two processes would need one journal.
PLAYED = [s for s in scenarios.ALL if not isinstance(s, scenarios.TwoDoors)]


@dataclass
class Record:
    """One line of the journal. `type`: w(rite) s(ync) t(runcate) u(nlink) n(ew file) d(= new folder) o(ut) i(n) c(ommand's input)
    f(ailed sync)."""
    type: str
    path: str
    offset: int
    data: bytes


def read_journal(path: Path) -> list[Record]:
    data, at, records = path.read_bytes(), 0, []
    while at < len(data):
        type, length, offset, count = HEAD.unpack_from(data, at)
        at += HEAD.size
        name = data[at:at + length].decode()
        at += length
        body = b"" if type in b"sutndf" else data[at:at + count]
        at += len(body)
        records.append(Record(type.decode(), name, offset, body))
    return records


class Recording:
    """What happened in one life of the scenario, up to its clean end; `failing` is the sync that fails in it, once."""

    def __init__(self, stage: Stage, arguments=(), failing=0):
        self.stage, scenario = stage, stage.scenario
        home = stage.new_home()
        place, notebook = stage.place(home), pickle.loads(stage.notebook)
        journal = home / "journal"
        p = Parent(place, notebook, *scenario.arguments, *arguments, shim=Shim(home / "control", place.file, journal),
                   capabilities=scenario.capabilities, answers=scenario.answers())
        try:
            p.initialize()
            if failing:
                p.shim.fail([STORE_SYNC], "EIO", failing, 1)
            try:
                scenario.play(p)
            except Refused:
                scenario.play(p)
            demand(p.finish() == 0, "the bridge did not end well")
        finally:
            p.destroy()
        self.root = str(home)
        self.records = read_journal(journal)
        self.ledger = place.ledger()
        self.begun = len(stage.place(stage.template).ledger())
        shutil.rmtree(home)

    def cuts(self):
        """Where it is worth cutting: right after every message to the parent, and around every sync."""
        found = set()
        for index, record in enumerate(self.records):
            if record.type == "o":
                found.add(index + 1)
            elif record.type in "sf":
                found.update((index, index + 1))
        return sorted(found)

    # ---- what the parent knew

    def notebook(self, cut):
        """What was told in the messages before the cut."""
        notebook = pickle.loads(self.stage.notebook)
        requests = {}
        for line in self.lines("i", cut):
            message = json.loads(line)
            if "method" in message and "id" in message:
                requests[message["id"]] = (message["method"], message.get("params", {}))
                if message["method"] == "run.delete":
                    notebook.doomed.add(message["params"]["runId"])
        for line in self.lines("o", cut):
            message = json.loads(line)
            if message.get("method") == "run.event":
                notebook.see(message["params"])
            elif message.get("method") == "tool.invoke":
                notebook.attempts[message["params"]["callId"]].append(message["params"]["attempt"])
            elif "result" in message and "method" not in message:
                method, params = requests[message["id"]]
                notebook.learn(method, params, message["result"])
                if method in ("session.create", "agent.create"):
                    name = method.split(".")[0]
                    notebook.made[name] = message["result"][f"{name}Id"]
        return notebook

    def lines(self, type, cut):
        """The whole lines; an answer of which a part was sent is none."""
        return b"".join(r.data for r in self.records[:cut] if r.type == type).split(b"\n")[:-1]

    def ran(self, cut):
        """The ledger of the commands that had been given their arguments by then."""
        given = b"".join(r.data for r in self.records[:cut] if r.type == "c")
        return [line for n, line in enumerate(self.ledger) if n < self.begun or line.encode() in given]

    # ---- what the disk had

    def disk(self, cut, rng):
        """The files at the cut: path, beside the trial's folder, to content. Without `rng` all that was not synced is lost."""
        disk = Disk(self.stage.template)
        for record in self.records[:cut]:
            path = record.path.removeprefix(self.root + "/") if record.path != self.root else "."
            if record.type in "wtund":
                disk.change(path, record)
            elif record.type == "s":
                disk.sync(path)
            elif record.type == "f":
                disk.lose(path)
        return disk.after_power_cut(rng)


class Disk:
    """Files as the operating system shows them, and what of them is on the disk."""

    def __init__(self, template: Path):
        self.synced = {str(p.relative_to(template)): p.read_bytes() for p in template.rglob("runs.db*") if p.is_file()}
        self.named = set(self.synced) | {str(p.relative_to(template)) for p in template.rglob("*") if p.is_dir()} | {"."}
        self.pending = {}                     # path -> changes since its last sync
        self.names = {}                       # path -> whether it is to be there, since the last sync of its folder

    def change(self, path, record):
        if record.type in "nd":
            self.names[path] = True
            if record.type == "n":
                self.pending[path] = []
            self.synced.pop(path, None)
        elif record.type == "u":
            self.names[path] = False
        else:
            self.pending.setdefault(path, []).append(record)

    def sync(self, path):
        """Of a file its content, of a folder its names."""
        for name in [n for n in self.names if (os.path.dirname(n) or ".") == path]:
            if self.names.pop(name):
                self.named.add(name)
            else:
                self.named.discard(name)
                self.synced.pop(name, None)
        if changes := self.pending.pop(path, None):
            self.synced[path] = apply(self.synced.get(path, b""), changes)

    def lose(self, path):
        """What a failed sync was about is never written any more, and still read: https://www.usenix.org/conference/atc20/presentation/rebello"""
        self.pending.pop(path, None)

    def after_power_cut(self, rng):
        there = set(self.named)
        for name, exists in self.names.items():
            if rng and rng.random() < 0.5:
                (there.add if exists else there.discard)(name)
        files = {}
        for path in set(self.synced) | set(self.pending):
            folders = [str(f) for f in Path(path).parents]
            if path in there and all(f in there for f in folders):
                changes = [c for change in self.pending.get(path, ()) for c in survive(change, rng)]
                files[path] = apply(self.synced.get(path, b""), changes)
        return files


def survive(record, rng):
    """What of a change that was not synced is on the disk after all."""
    if not rng or rng.random() < 0.5:
        return []
    if record.type == "t" or rng.random() < 0.5:
        return [record]
    pieces = range(0, len(record.data), SECTOR)
    return [Record("w", record.path, record.offset + at, record.data[at:at + SECTOR]) for at in pieces if rng.random() < 0.5]


def apply(content, changes):
    content = bytearray(content)
    for change in changes:
        if change.type == "t":
            del content[change.offset:]
            content.extend(bytes(change.offset - len(content)))
        else:
            content.extend(bytes(max(0, change.offset - len(content))))
            content[change.offset:change.offset + len(change.data)] = change.data
    return bytes(content)


def trial(recording: Recording, cut, seed) -> Verdict:
    """A machine that lost power there starts again. Seed 0: all that was not synced is lost."""
    stage = recording.stage
    verdict = Verdict(stage.scenario.name, [("power cut", cut, seed)])
    home = stage.new_home()
    try:
        for path in home.rglob("runs.db*"):
            path.unlink()
        for path, content in recording.disk(cut, random.Random(f"{seed} {cut}") if seed else None).items():
            # The shared memory of the processes is not kept on a disk.
            if not path.endswith("-shm"):
                (home / path).parent.mkdir(parents=True, exist_ok=True)
                (home / path).write_bytes(content)
        (home / "ledger").write_text("".join(f"{line}\n" for line in recording.ran(cut)))
        place = stage.place(home)
        play(stage.scenario, place, recording.notebook(cut), verdict, 0, 0)
        judge.check_stderr(place)
    except (Violation, Refused) as violation:
        verdict.violation = str(violation)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return verdict


recordings: dict[tuple, Recording] = {}


def one(task):
    recording, cut, seed = task
    return trial(recordings[recording], cut, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="at each cut, so many disks that lost a part, beside the one that lost all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--failing", type=int, default=0, metavar="N", help="the first N syncs fail, each in a life of its own")
    parser.add_argument("--synchronous", choices=["full", "normal"], default="full")
    options = parser.parse_args()
    known = {s.name: s for s in PLAYED}
    if unknown := set(options.scenarios) - set(known):
        parser.error(f"there is no scenario {', '.join(unknown)}; there are {', '.join(known)}")
    folder, start = scratch(), time.monotonic()
    try:
        tasks = []
        for name in options.scenarios or known:
            stage = Stage(known[name], folder)
            for failing in range(1, options.failing + 1) if options.failing else [0]:
                recording = recordings[name, failing] = Recording(stage, ("--synchronous", options.synchronous), failing)
                seeds = [0, *range(options.seed, options.seed + options.rounds)]
                tasks += [((name, failing), cut, seed) for cut in recording.cuts() for seed in seeds]
        random.Random(options.seed).shuffle(tasks)
        with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
            verdicts = list(pool.imap_unordered(one, tasks, chunksize=8))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    failed = [v for v in verdicts if v.violation]
    print(f"{len(verdicts)} power cuts, {len(failed)} violations; {time.monotonic() - start:.0f} s")
    for v in failed[:20]:
        print("VIOLATION", v.scenario, v.plan[0], v.violation)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

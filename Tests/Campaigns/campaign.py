"""One trial: a scenario, the points at which its processes are killed one after the other, and the judgement of what they left."""
from __future__ import annotations

import os
import pickle
import shutil
import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import judge
from parent import BINARY, Gone, Notebook, Parent, Place, Refused, Violation, demand
from shim import AFTER, BEFORE, HOW, KINDS, SERVER_OUT, STOP, STORE_WRITE, TORN, WIRE_IN, WIRE_OUT, Shim


def scratch() -> Path:
    """A folder for thousands of small stores: in memory when there is room, since a kill does not need the disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 29
    return Path(tempfile.mkdtemp(prefix="footbridge-campaign-", dir=memory if roomy else None))


class Stage:
    """A scenario made ready: its scripts, and the store it begins with, of which every trial takes a copy."""

    def __init__(self, scenario, folder: Path, binary=BINARY, environment=None):
        self.scenario, self.folder = scenario, folder / scenario.name
        self.binary, self.environment = binary, {}
        self.scripts, self.template = self.folder / "scripts", self.folder / "template"
        for path in (self.scripts, self.template):
            path.mkdir(parents=True)
        scenario.write(self.scripts)
        notebook = Notebook()
        scenario.prepare(self.place(self.template), notebook)
        self.notebook = pickle.dumps(notebook)
        self.environment = environment or {}
        self.count = 0

    def place(self, home: Path) -> Place:
        """The store is made, or copied from the template, by `new_home`."""
        return Place(self.scripts, home, f"sqlite:{home}/store/runs.db", self.binary, self.environment)

    def new_home(self) -> Path:
        self.count += 1
        home = self.folder / f"trial-{os.getpid()}-{self.count}"
        shutil.copytree(self.template, home)
        return home

    def remove(self, home: Path):
        shutil.rmtree(home, ignore_errors=True)


class PostgresStage(Stage):
    """The same in databases of one server, which need not outlive a power cut."""

    def __init__(self, scenario, folder: Path, server, binary=BINARY, environment=None):
        self.server = server
        server.sql("ALTER SYSTEM SET fsync = off")
        server.sql("SELECT pg_reload_conf()")
        self.template_database = server.database()
        self.databases = {}
        super().__init__(scenario, folder, binary, environment)

    def place(self, home):
        database = self.databases.get(home, self.template_database)
        return Place(self.scripts, home, self.server.store(database), self.binary, self.environment)

    def new_home(self):
        home = super().new_home()
        self.databases[home] = f"{self.template_database}_{self.count}_{os.getpid()}"
        # A process that was just killed may still be connected to the template.
        self.server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.template_database}'")
        self.server.sql(f"CREATE DATABASE {self.databases[home]} TEMPLATE {self.template_database}")
        return home

    def remove(self, home):
        super().remove(home)
        self.server.sql(f"DROP DATABASE {self.databases.pop(home)} WITH (FORCE)")


@dataclass
class Verdict:
    """How a trial went."""
    scenario: str
    plan: list
    #: The kinds of the points that processes were killed at, in order.
    killed: list = field(default_factory=list)
    #: What was passed by the last process of a trial without kills.
    kinds: list = field(default_factory=list)
    violation: str = ""

    def __str__(self):
        where = ", then ".join(f"{HOW[how]} point {number}" for number, how in self.plan)
        return f"{self.scenario}, killed {where or 'nowhere'} ({', '.join(KINDS[k] for k in self.killed)}): {self.violation}"


def trial(stage: Stage, plan, keep=False) -> Verdict:
    """Plays the scenario once for each kill in the plan and once to its end."""
    verdict = Verdict(stage.scenario.name, list(plan))
    home = stage.new_home()
    place, notebook = stage.place(home), pickle.loads(stage.notebook)
    try:
        for number, how in plan:
            play(stage.scenario, place, notebook, verdict, number, how, getattr(stage, "server", None))
        play(stage.scenario, place, notebook, verdict, 0, 0)
        judge.check_stderr(place)
    except (Violation, Refused) as violation:
        verdict.violation = str(violation)
    if not (keep and verdict.violation):
        stage.remove(home)
    return verdict


def play(scenario, place, notebook, verdict, number, how, server=None):
    """One process: to the point where it is killed, or its server is, or to the end of the scenario."""
    shim = Shim(place.home / "control", place.file)
    if scenario.armed_at_start:
        shim.arm(number, how)
    p = Parent(place, notebook, *scenario.arguments, shim=shim, capabilities=scenario.capabilities, answers=scenario.answers())
    try:
        try:
            if number and how == STOP:
                p.when_stopped = server.restart
            p.initialize()
            if not scenario.armed_at_start:
                shim.arm(number, how)
            if not number:
                judge.check_facts(p, notebook)
                judge.check_sound(place)
            play_through(scenario, p, how == STOP)
            if not number:
                logs = judge.check_facts(p, notebook)
                scenario.judge(p, logs, place)
                judge.check_work(p, scenario, logs, place)
                judge.check_sound(place)
            status = p.finish()
        except Gone:
            status = p.process.wait()
        points = shim.kinds()
        if number and how == STOP and len(points) >= number:
            verdict.killed.append(points[number - 1])
            demand(status == 0, f"the bridge ended with its server, with {status}")
        elif status == -signal.SIGKILL and number and len(points) >= number:
            verdict.killed.append(points[number - 1])
        else:
            demand(status == 0, f"the bridge ended by itself, with {status}")
            verdict.kinds = points
    finally:
        p.destroy()


def play_through(scenario, p, is_restarted):
    """What a parent does whose requests fail because the server is not there: ask again."""
    for _ in range(20):
        try:
            return scenario.play(p)
        except Refused as refused:
            if not is_restarted or not refused.kind.startswith("store."):
                raise
    demand(False, "the bridge does not find its server again")


def plans(kinds, every=1):
    """The kills for the points that a rehearsal passed: before each, after each that is no write, and in the middle of each write. Of the writes to
    the store every so many. What comes after a write comes before the next point."""
    found, writes = [], 0
    for number, kind in enumerate(kinds, 1):
        if kind == STORE_WRITE:
            writes += 1
            if writes % every:
                continue
        found.append([(number, BEFORE)])
        if kind in (STORE_WRITE, WIRE_OUT, SERVER_OUT):
            found.append([(number, TORN)])
        elif kind != WIRE_IN:
            found.append([(number, AFTER)])
    return found

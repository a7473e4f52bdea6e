"""The next turn of a long session."""
import json
import statistics
import time

from .client import MODEL_STARTED, Bridge, line
from .machine import cpu_seconds, status
from .provider import Provider
from .table import Row

TURNS, SHORT = 5000, 10
ABOUT = f"script: and openai: on the loopback; a long session (two messages a turn) beside one of {SHORT} turns in the same store, by a Python client"
INPUT = "What is in the ledger of the second month, and who has signed it? " * 2
REPLY = "The ledger of the second month has forty lines, and the treasurer has signed all of them. " * 3
DELTA = b'"type":"text.delta"'
FLOOR = f"a session of {SHORT} turns"


def measure(machine):
    turns = TURNS // 5 if machine.quick else TURNS
    repeat = 5 if machine.quick else 15
    store, script = machine.file("db"), machine.script({"text": REPLY})
    with Provider(machine) as provider:
        environment = provider.environment("openai", "text")
        with Bridge(machine.bridge(store), environment) as bridge:
            long, short = Session(bridge, script), Session(bridge, script)
            before = time.perf_counter()
            for _ in range(turns):
                long.turn()
            one = (time.perf_counter() - before) / turns * 1000
            for _ in range(SHORT):
                short.turn()
            # In turns, so that both see the same machine.
            same = pairs(repeat, lambda session: session.turn(), long, short)
            provided = pairs(repeat, lambda session: session.turn("openai:m", DELTA), long, short)
            first_provided, provided = provided[0], provided[1:]
            forks = pairs(repeat, lambda session: session.fork(), long, short)
            forked = pairs(repeat, lambda session: session.turn(branchId=session.fork_branch()), long, short)
            forked_provided = pairs(repeat, lambda session: session.turn("openai:m", DELTA, branchId=session.fork_branch()), long, short)
            size = long.sent(provider)
            spent = [[processor(session, "openai:m", DELTA), processor(session, "openai:m", DELTA, branchId=session.fork_branch())] for session in (long, short)
                     for _ in range(5)]
            memory = status(bridge.pid, "VmHWM") / 1e6
        fresh = pairs(repeat, lambda session: in_fresh(machine, store, environment, session), long, short)
        fresh_provided = pairs(repeat, lambda session: in_fresh(machine, store, environment, session, "openai:m", DELTA), long, short)
        fresh_fork = pairs(repeat, lambda session: in_fresh_fork(machine, store, environment, session), long, short)
        spent_fresh = [[in_fresh(machine, store, environment, session, "openai:m", DELTA, measure=processor)] for session in (long, short) for _ in range(5)]
    name = f"{turns:,} turns"
    return [
        row(f"{name}, next turn to model.started", same, goal=20),
        row("the same, fresh process, its first request", fresh, goal=20),
        row("the same, on a branch just forked", forked, goal=20),
        row(f"openai: next turn to its first text, {size} sent", provided, goal=20),
        row("the same, the first through openai:", [first_provided]),
        row("the same, on a branch just forked", forked_provided, goal=20),
        row("the same, fresh process, its first request", fresh_provided, goal=20),
        spent_row("processor time of such a turn, to its end", [one[0] for one in spent]),
        spent_row("the same, on a branch just forked", [one[1] for one in spent]),
        spent_row("the same, fresh process, its first request", [one[0] for one in spent_fresh]),
        row("fork at the last message", forks, goal=5),
        row("the same, fresh process, its first request", fresh_fork),
        Row("building it, a turn, start to outcome", one, "ms"),
        Row("peak memory", memory, "MB"),
    ]


def row(what, measured, goal=None):
    long, short = (statistics.median(column) for column in zip(*measured))
    return Row(what, long, "ms", FLOOR, short, goal=goal)


def spent_row(what, measured):
    """Of the long session first, then of the short one."""
    half = len(measured) // 2
    return Row(what, statistics.median(measured[:half]), "ms", FLOOR, statistics.median(measured[half:]))


def processor(session, *turn, **params):
    """Milliseconds that all threads of its bridge are at work for a turn; a busy machine does not make it more."""
    before = cpu_seconds(session.bridge.pid)
    session.turn(*turn, **params)
    return (cpu_seconds(session.bridge.pid) - before) * 1000


def pairs(times, act, *sessions):
    return [[act(session) for session in sessions] for _ in range(times)]


class Session:
    """One in the store; it can be used through another bridge."""

    number = 10

    def __init__(self, bridge, script):
        self.bridge, self.script = bridge, script
        self.id = self.ask("session.create", {})["sessionId"]
        self.last = None

    def ask(self, method, params):
        Session.number += 1
        return json.loads(self.bridge.request(line(Session.number, method, params), Session.number))["result"]

    def turn(self, model=None, until=MODEL_STARTED, **params):
        """Milliseconds from its request to the line with that part; it is over when this returns."""
        Session.number += 1
        agent = {"model": model or f"script:{self.script}"}
        text = line(Session.number, "run.start", {"input": INPUT, "agent": agent, "sessionId": self.id, **params})
        before = time.perf_counter()
        self.bridge.send(text)
        came = self.bridge.until(until, b'"id":%d,' % Session.number)
        milliseconds = (time.perf_counter() - before) * 1000
        if until not in came:
            raise RuntimeError(came.decode())
        outcome = json.loads(self.bridge.until(b'"id":%d,"' % Session.number))["result"]
        if outcome["status"] != "success":
            raise RuntimeError(outcome)
        if "branchId" not in params:
            # A run's first message, the user's, has the id of the run.
            self.last = outcome["runId"]
        self.answer = outcome["answer"]
        return milliseconds

    def fork(self):
        """Milliseconds."""
        before = time.perf_counter()
        self.branch = self.ask("session.fork", {"sessionId": self.id, "atMessageId": self.last})["branchId"]
        return (time.perf_counter() - before) * 1000

    def fork_branch(self):
        self.fork()
        return self.branch

    def sent(self, provider):
        """The size of what a turn sends: the loopback provider answers with it."""
        self.turn("openai:m", DELTA)
        return f"{int(self.answer.split()[0]) / 1000:,.0f} KB"


def in_fresh(machine, store, environment, session, *turn, measure=None):
    with Bridge(machine.bridge(store), environment) as session.bridge:
        return measure(session, *turn) if measure else session.turn(*turn)


def in_fresh_fork(machine, store, environment, session):
    with Bridge(machine.bridge(store), environment) as session.bridge:
        return session.fork()

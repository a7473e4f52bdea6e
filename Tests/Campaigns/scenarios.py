"""What is going on when the bridge is killed.

A scenario is played by a parent that can begin again at any time: it names its runs by idempotency keys and does what the outcomes ask for. So the
same `play` is the first attempt, the taking up after a crash, and the taking up after a crash of that.
"""
from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import struct
import time

from judge import check_facts
from parent import FINAL, Parent, Place, Refused, demand, wait_for_any, work
from shim import Shim

OBJECT = {"type": "object"}
# Without arguments the bridge died before it wrote them, and the command did nothing.
LEDGER = 'read -r a; [ -z "$a" ] || echo "$a" >> "$HOME/{}"; echo ran'
ROUNDS = 60


def tool(name, **more):
    return {"name": name, "description": name, "inputSchema": OBJECT, **more}


def once(name="once", **more):
    """A command that may run once for each call; its ledger is outside of the bridge."""
    return tool(name, command=["/bin/sh", "-c", LEDGER.format("ledger")], **more)


def again(name="again"):
    """One that may be run again."""
    return tool(name, command=["/bin/sh", "-c", LEDGER.format("ledger-again")], annotations={"idempotentHint": True})


def calls(*pairs, **more):
    return {"toolCalls": [{"name": name, "arguments": arguments} for name, arguments in pairs], **more}


def say(text, **more):
    return {"text": text, **more}


class Scenario:
    """One client and what it wants done. `turns` is the model's script."""

    turns: list = [say("done")]
    tools: list = []
    agent: dict = {}
    capabilities: dict = {}
    arguments: tuple = ()
    #: From the very start of the process on; else from its first answer on.
    armed_at_start = False
    #: How many runs there may be, at most.
    runs = 1
    answer = "done"

    def __init__(self):
        self.name = type(self).__name__

    # ---- before

    def scripts(self):
        return {"turns.jsonl": self.turns}

    def write(self, folder):
        for name, turns in self.scripts().items():
            (folder / name).write_text("".join(json.dumps(turn) + "\n" for turn in turns))

    def prepare(self, place: Place, notebook):
        """Brings the store to where the scenario begins; done once, the trials take copies."""
        p = Parent(place, notebook).initialize()
        demand(p.finish() == 0, "the first process did not end well")
        p.destroy()

    def answers(self):
        return {"tool.invoke": lambda params: {"content": work(params["name"], params["arguments"])}}

    # ---- what happens

    def start(self, p, key="key", **more):
        params = {"input": "go", "agent": {"model": "script:turns.jsonl", **self.agent}, "idempotencyKey": key, **more}
        if self.tools:
            params["tools"] = self.tools
        return p.call("run.start", params)

    def play(self, p):
        return self.carry(p, self.start(p))

    def carry(self, p, outcome):
        """Does what the run asks for until it has ended."""
        for _ in range(ROUNDS):
            if outcome["ended"]:
                return outcome
            outcome = self.go_on(p, outcome)
        demand(False, f"the run does not end: {outcome}")

    def go_on(self, p, outcome):
        run, pending = outcome["runId"], outcome["pendingToolCalls"]
        if outcome["status"] != "paused" and pending:
            for need, submit in (("approval", self.decide), ("input", self.reply), ("result", self.submit)):
                wanted = [call for call in pending if call["needs"] == need]
                if wanted and self.may(need):
                    return submit(p, run, wanted, len(wanted) < len(pending))
        return p.call("run.resume", {"runId": run})

    def may(self, need):
        """Whether the client submits what is needed, instead of being asked again."""
        return not (need == "result" and "tools" in self.capabilities or need == "approval" and "approvals" in self.capabilities
                    or need == "input" and "elicitation" in self.capabilities)

    def submit(self, p, run, wanted, partial):
        results = [{"callId": call["callId"], "content": work(call["name"], call["arguments"])} for call in wanted]
        return p.call("run.submitToolResults", {"runId": run, "results": results, "partial": partial})

    def decide(self, p, run, wanted, partial):
        return p.call("run.submitApprovals", {"runId": run, "partial": partial, "approvals": [
            {"callId": call["callId"], "decision": "deny" if call["arguments"].get("bad") else "approve"} for call in wanted]})

    def reply(self, p, run, wanted, partial):
        return p.call("run.submitInput", {"runId": run, "partial": partial, "inputs": [
            {"callId": call["callId"], "action": "accept", "content": {"answer": "yes"}} for call in wanted]})

    # ---- after

    def is_work(self, content, call):
        return content == work(call["name"], call["arguments"])

    def judge(self, p, logs, place):
        """What holds when all is done, besides what always holds. `logs`: the events of every run."""
        for run, log in logs.items():
            end = next((e for e in log if e["type"] in FINAL), log[-1])
            demand(end["type"] == "run.completed" and end["data"].get("answer") == self.answer, f"run {run} ended otherwise: {end}")


class Fresh(Scenario):
    """The first start ever, in folders that are not there yet."""
    armed_at_start = True

    def prepare(self, place, notebook):
        pass


class OpenAndEnd(Scenario):
    """A start on a store that is there, a run, and the end."""
    armed_at_start = True


class Submit(Scenario):
    turns = [calls(("t", {"n": 1})), calls(("t", {"n": 2}), ("u", {"n": 3})), say("done")]
    tools = [tool("t"), tool("u")]


class PartialSubmit(Scenario):
    turns = [calls(("t", {"n": 1}), ("t", {"n": 2}), ("t", {"n": 3})), say("done")]
    tools = [tool("t")]

    def submit(self, p, run, wanted, partial):
        return super().submit(p, run, wanted[:1], partial or len(wanted) > 1)


class Invoke(Scenario):
    """The parent is asked by the bridge."""
    turns = [calls(("t", {"n": 1}), ("t", {"n": 2})), calls(("t", {"n": 3})), say("done")]
    tools = [tool("t")]
    capabilities = {"tools": {}}


class Deferred(Invoke):
    """The parent takes a call, and has its result later."""
    turns = [calls(("t", {"n": 1}), ("t", {"n": 2})), say("done")]

    def answers(self):
        return {"tool.invoke": lambda params: {"deferred": True} if params["arguments"]["n"] == 1 else {"content": work(params["name"], params["arguments"])}}

    def may(self, need):
        return True


class Approve(Scenario):
    turns = [calls(("once", {"n": 1}), ("t", {"n": 2}), ("t", {"n": 3, "bad": True})), say("done")]
    tools = [once(requiresApproval=True), tool("t", requiresApproval=True)]

    def judge(self, p, logs, place):
        super().judge(p, logs, place)
        for log in logs.values():
            denied = {c["callId"] for e in log if e["type"] == "model.completed" for c in e["data"]["toolCalls"] if c["arguments"].get("bad")}
            for e in log:
                if e["type"] == "tool.completed" and e["data"]["callId"] in denied:
                    demand(e["data"]["isError"], "a denied call has a result")


class ApproveLive(Approve):
    """The client is asked for the approvals, and for the results."""
    capabilities = {"tools": {}, "approvals": {}}

    def answers(self):
        return {**super().answers(), "approval.request": lambda params: {"decision": "deny" if params["arguments"].get("bad") else "approve"}}


class Question(Scenario):
    turns = [calls(("ask_user", {"question": "Really?"}), ("t", {"n": 1})), say("done")]
    tools = [tool("t")]
    agent = {"askUser": True}


class QuestionLive(Question):
    capabilities = {"elicitation": {}}

    def answers(self):
        return {"elicitation/create": lambda params: {"action": "accept", "content": {"answer": "yes"}}}


class Cancel(Scenario):
    """A run that waits is cancelled, and one that a model is at work for."""
    turns = [calls(("t", {"n": 1}), ("t", {"n": 2})), say("done")]
    tools = [tool("t")]
    runs = 2

    def scripts(self):
        return {**super().scripts(), "late.jsonl": [say("too late", delayMs=60_000)]}

    def play(self, p):
        waiting = self.start(p)
        if not waiting["ended"] and len(waiting["pendingToolCalls"]) == 2:
            super().submit(p, waiting["runId"], waiting["pendingToolCalls"][:1], True)
        busy = p.call("run.start", {"input": "go", "agent": {"model": "script:late.jsonl"}, "idempotencyKey": "late", "wait": False})
        for run in (waiting["runId"], busy["runId"]):
            outcome = p.call("run.cancel", {"runId": run, "reason": "enough"})
            demand(outcome["status"] == "cancelled", f"cancelled, and yet {outcome}")

    def judge(self, p, logs, place):
        for run, log in logs.items():
            demand(log[-1]["type"] == "run.cancelled", f"run {run} ended otherwise: {log[-1]}")


class Augment(Scenario):
    """A result brings a toolkit, of which the model then calls a tool."""
    turns = [calls(("t", {"n": 1})), calls(("injected", {"n": 2})), say("done")]
    tools = [tool("t")]
    kit = {"name": "kit", "description": "kit", "startCollapsed": False, "tools": [tool("injected")]}
    augmentation = {"injectToolkits": [kit], "addContext": [{"key": "k", "description": "d", "value": "v"}], "patchState": {"sheet": "Q4"}}

    def submit(self, p, run, wanted, partial):
        call = wanted[0]
        more = {"augmentation": self.augmentation} if call["name"] == "t" else {}
        return p.call("run.submitToolResults", {"runId": run, "results": [{"callId": call["callId"], "content": work(call["name"], call["arguments"]), **more}]})

    def judge(self, p, logs, place):
        super().judge(p, logs, place)
        for run, log in logs.items():
            applied = [e for e in log if e["type"] == "augmentation.applied"]
            demand(len(applied) == 1, f"the augmentation was applied {len(applied)} times")
            demand(p.call("run.get", {"runId": run})["state"] == {"sheet": "Q4"}, "the state is not what the augmentation made it")


class Commands(Scenario):
    turns = [calls(("once", {"n": 1}), ("once", {"n": 2}), ("again", {"n": 3}), ("t", {"n": 4})), calls(("once", {"n": 5})), say("done")]
    tools = [once(), again(), tool("t")]


class Session(Scenario):
    """Turns of a conversation that queue behind one another."""
    turns = [calls(("t", {"n": 1})), say("done")]
    tools = [tool("t")]
    runs = 6                                # a session whose answer was lost may have turns of its own

    def play(self, p):
        made = p.notebook.made
        if "session" not in made:
            made["session"] = p.call("session.create", {})["sessionId"]
        session = made["session"]
        turns = [self.start(p, key=f"{session}-{n}", sessionId=session, input=f"turn {n}", wait=False)["runId"] for n in range(3)]
        for run in turns:
            self.carry(p, p.call("run.wait", {"runId": run}))
        texts = [m["content"] for m in p.call("session.messages", {"sessionId": session})["messages"] if m["role"] == "user"]
        made["said"] = json.dumps(texts)
        demand(all(made["said"].count(f"turn {n}") == 1 for n in range(3)), f"the session has {texts}")


class Memory(Scenario):
    """A stored agent whose runs edit its memory: every edit is made once."""
    turns = [calls(("memory_insert", {"label": "m", "text": "first"})), calls(("t", {"n": 1})), calls(("memory_insert", {"label": "m", "text": "second"})), say("done")]
    tools = [tool("t")]

    def play(self, p):
        made = p.notebook.made
        if "agent" not in made:
            made["agent"] = p.call("agent.create", {"agent": {"model": "script:turns.jsonl", "memory": [{"label": "m", "value": ""}]}})["agentId"]
        agent = made["agent"]
        self.carry(p, p.call("run.start", {"input": "go", "agentId": agent, "idempotencyKey": agent, "tools": self.tools}))
        block, = p.call("memory.get", {"agentId": agent, "label": "m"})["blocks"]
        demand(block["value"].split() == ["first", "second"], f"the memory is {block['value']!r}")


class NoteAndPause(Scenario):
    turns = [calls(("t", {"n": 1})), say("done")]
    tools = [tool("t")]

    def play(self, p):
        outcome = self.start(p)
        run, told = outcome["runId"], p.notebook.made
        if not outcome["ended"] and not p.notebook.notes:
            p.call("run.addNote", {"runId": run, "text": f"note {told.setdefault('notes', 0)}"})
        if not outcome["ended"] and "paused" not in told:
            outcome = p.call("run.pause", {"runId": run})
            told["paused"] = True
        self.carry(p, outcome)


class Big(Invoke):
    """A result that is a transaction of its own size, with a checkpoint behind it."""
    turns = [calls(("t", {"n": 1, "size": 1_300_000})), calls(("t", {"n": 2, "size": 100_000})), say("done")]


class NamedBlob(Submit):
    """Results whose text was written in parts before, and is named. It stays for as long as the log that names it; what a killed process left behind does not."""
    turns = [calls(("t", {"n": 1, "size": 70_000})), calls(("t", {"n": 2, "size": 70_000}), ("u", {"n": 3})), say("done")]

    def submit(self, p, run, wanted, partial):
        blobs = {call["callId"]: self.written(p, work(call["name"], call["arguments"])) for call in wanted}
        return p.call("run.submitToolResults", {"runId": run, "partial": partial, "results": [
            {"callId": call, "content": [{"type": "text", "text": {"$blob": blob}}]} for call, blob in blobs.items()]})

    def written(self, p, content):
        half = len(content) // 2
        id = p.call("blob.write", {"data": content[:half]})["id"]
        return p.call("blob.write", {"id": id, "data": content[half:], "last": True})["id"]

    def judge(self, p, logs, place):
        super().judge(p, logs, place)
        if not place.store.startswith("sqlite:"):
            return
        database = sqlite3.connect(place.file, isolation_level=None)
        database.execute("UPDATE blobs SET created_at = created_at - 8 * 86400000")
        with beside(p) as other:
            check_facts(other, p.notebook)
            named = sum(e["type"] == "tool.completed" and '"$blob"' in json.dumps(e) for log in logs.values() for e in log)
            kept = lambda: database.execute("SELECT count(*) FROM blobs").fetchone()[0]  # noqa: E731
            for _ in range(ROUNDS):
                if kept() == named:
                    break
                time.sleep(0.05)
            demand(kept() == named, f"{kept()} blobs are kept, and {named} are named")
        database.close()


class Delete(Scenario):
    turns = [calls(("t", {"n": 1, "size": 70_000})), say("done")]
    tools = [tool("t")]

    def play(self, p):
        for run in p.notebook.doomed - p.notebook.deleted:
            # The answer was lost; what was done was not.
            try:
                p.call("run.get", {"runId": run})
            except Refused:
                p.notebook.deleted.add(run)
        if not p.notebook.deleted:
            p.call("run.delete", {"runId": super().play(p)["runId"]})

    def judge(self, p, logs, place):
        demand(not logs, "the run is still there")


class Recovery(Scenario):
    """The taking up of runs that a killed process left: one waits for its parent, one for a command, one for its model, one for the rest of its results."""
    armed_at_start = True
    capabilities = {"tools": {}}
    turns = [calls(("t", {"n": 1}), ("t", {"n": 2})), say("done")]
    tools = [tool("t"), tool("stuck", command=["/bin/sh", "-c", LEDGER.format("ledger") + "; exec sleep 300"])]
    agents = ["turns", "stuck", "late", "partly"]
    runs = 4

    def scripts(self):
        stuck, late = [calls(("stuck", {"n": 1})), say("done")], [say("done", delayMs=60_000)]
        return {**super().scripts(), "stuck.jsonl": stuck, "late.jsonl": late, "partly.jsonl": self.turns}

    def begin(self, p, name, **more):
        return p.call("run.start", {"input": "go", "agent": {"model": f"script:{name}.jsonl"}, "tools": self.tools, "idempotencyKey": name, **more})

    def prepare(self, place, notebook):
        p = Parent(place, notebook, capabilities=self.capabilities).initialize()
        for name in self.agents[:3]:
            self.begin(p, name, wait=False)
        partly = self.begin(p, "partly", delivery="pause")
        self.submit(p, partly["runId"], partly["pendingToolCalls"][:1], True)
        p.wait(lambda: len(p.held) == 2)
        while not place.ledger():
            p.call("ping")
        p.destroy()
        (place.folder / "late.jsonl").write_text(json.dumps(say("done")) + "\n")

    def play(self, p):
        for name in self.agents:
            self.carry(p, self.begin(p, name))


class Migration(Scenario):
    """The first start on a store of an older version, with a run in it that goes on."""
    armed_at_start = True
    turns = [calls(("t", {"n": 1})), say("done")]
    tools = [tool("t")]
    #: What takes a store of this version back to the one before. Every version has an entry.
    BACK = {2: "DROP TABLE documents", 3: "DROP TABLE run_metadata", 4: "SELECT 1"}

    def __init__(self, version):
        self.version = version
        self.name = f"MigrationFrom{version}"

    def prepare(self, place, notebook):
        p = Parent(place, notebook).initialize()
        self.start(p)
        demand(p.finish() == 0, "the first process did not end well")
        p.destroy()
        database = sqlite3.connect(place.file, isolation_level=None)
        now, = database.execute("PRAGMA user_version").fetchone()
        for version in range(now, self.version, -1):
            for statement in self.BACK[version].split(";"):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {self.version}")
        database.close()

    def start(self, p, **more):
        return super().start(p, metadata={"from": "before"}, **more)

    def judge(self, p, logs, place):
        super().judge(p, logs, place)
        found = p.call("run.list", {"metadata": {"from": "before"}})["runs"]
        demand({run["runId"] for run in found} == set(logs), "a run of the older store is not found by its metadata")


class TwoDoors(Scenario):
    """The parent of one process is asked, and another process is given the result. The one that drives is killed, and the other with it."""
    turns = [calls(("t", {"n": 1}), ("t", {"n": 2})), calls(("t", {"n": 3})), say("done")]
    tools = [tool("t")]
    capabilities = {"tools": {}}

    def answers(self):
        return {}

    def may(self, need):
        return False

    def play(self, p):
        with beside(p) as other:
            self.through(p, other)

    def through(self, driver, submitter):
        """Whichever of them is asked for a result, the other is given it."""
        asked = driver.ask("run.start", {"input": "go", "agent": {"model": "script:turns.jsonl"}, "idempotencyKey": "key", "tools": self.tools})
        for _ in range(ROUNDS):
            wait_for_any(driver, submitter, lambda: driver.held or submitter.held or asked in driver.answered)
            if asked in driver.answered:
                outcome = driver.answer_to(asked)
                if outcome["ended"]:
                    return
                asked = driver.ask("run.resume", {"runId": outcome["runId"]})
                continue
            holder, giver = (driver, submitter) if driver.held else (submitter, driver)
            params = holder.held.pop(0)["params"]
            result = {"callId": params["callId"], "content": work(params["name"], params["arguments"])}
            try:
                giver.call("run.submitToolResults", {"runId": params["runId"], "results": [result], "partial": True, "wait": False})
            except Refused as error:
                # Of a call that another attempt has answered.
                demand(error.kind in ("run.alreadyTerminal", "run.notWaiting"), str(error))
        demand(False, "the run does not end")


class OtherDoor(TwoDoors):
    """The same, and the one that is given the results is killed."""

    def play(self, p):
        with beside(p) as other:
            self.through(other, p)


class SameMoment(TwoDoors):
    """Two processes are given different results of one call at the same moment: both have decided when the first of them may write."""
    turns = [calls(("t", {"n": 1})), say("done")]
    capabilities = {}

    def play(self, p):
        outcome = self.start(p)
        if outcome["pendingToolCalls"]:
            call, = outcome["pendingToolCalls"]
            with beside(p) as other:
                accepted = self.race(p, other, outcome["runId"], call)
            demand(accepted <= 1, "two results of one call were accepted")
        self.carry(p, self.start(p))

    def is_work(self, content, call):
        return content.startswith(work(call["name"], call["arguments"]))

    def race(self, p, other, run, call):
        both = {q: f"{work(call['name'], call['arguments'])} by {n}" for n, q in enumerate((p, other))}
        with writing_held(p.place):
            asked = {}
            for q, content in both.items():
                tries = q.shim.get("lock_tries")
                asked[q] = q.ask("run.submitToolResults", {"runId": run, "results": [{"callId": call["callId"], "content": content}], "wait": False})
                wait_for_any(p, other, lambda: q.shim.get("lock_tries") > tries, slices=0.001)
        accepted = 0
        for q, number in asked.items():
            try:
                q.answer_to(number)
                accepted += 1
            except Refused as error:
                demand(error.kind in ("run.alreadyClaimed", "run.alreadyTerminal"), str(error))
        return accepted


@contextlib.contextmanager
def beside(p):
    """Another process on the same store, with the same notebook; killed when this ends."""
    shim = Shim(p.place.home / f"control-{os.urandom(4).hex()}", p.place.file)
    other = Parent(p.place, p.notebook, *p.arguments, shim=shim, capabilities=p.capabilities, answers=p.answers)
    try:
        yield other.initialize()
    finally:
        other.destroy()


@contextlib.contextmanager
def writing_held(place):
    """Nobody writes to the store: the first byte of its side file is locked, as by a process that writes."""
    with open(f"{place.file}-lock", "r+b") as file:
        # struct flock: an open file description lock on one byte.
        fcntl.fcntl(file, 37, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
        yield


ALL = [Fresh(), OpenAndEnd(), Submit(), PartialSubmit(), Invoke(), Deferred(), Approve(), ApproveLive(), Question(), QuestionLive(), Cancel(), Augment(),
       Commands(), Session(), Memory(), NoteAndPause(), Big(), NamedBlob(), Delete(), Recovery(), *(Migration(version - 1) for version in Migration.BACK), TwoDoors(), OtherDoor(), SameMoment()]
#: A migration and a lock are the SQLite store's.
ON_POSTGRES = [s for s in ALL if not isinstance(s, (Migration, SameMoment))]

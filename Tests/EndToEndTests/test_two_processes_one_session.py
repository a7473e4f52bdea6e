"""The whole of sections 8 and 9 at once, under SIGKILL: two processes hold one conversation, a third watches, and one of the two is killed again and again.

Each client outlives its process, as a program with a supervised bridge does: it keeps what it has seen, starts another bridge, asks for what it missed
(`session.subscribe` with `after`), sends again what was not answered (the same `idempotencyKey`), and takes up what nobody drives.
"""
import random
import time
from collections import Counter

import pytest

from conversations import messages
from harness import ENDED, STATUSES, RpcError, calls, check_log, loads, say, text_of, tool, until

OPEN = sorted(STATUSES - ENDED)
TOOL = tool("look", annotations={"readOnlyHint": True})


class Client:
    """One window: a bridge that may be killed, and the log of all it has seen, by run and seq."""

    def __init__(self, lab, name, session=None):
        self.lab, self.name, self.session, self.seen, self.kills = lab, name, session, {}, 0
        self.bridge, self.at = None, 0
        self.begin()

    def begin(self):
        self.bridge, self.at = self.lab.parent(validate=self.lab.validate), 0
        b = self.bridge
        b.auto_replay = False  # the logs are compared below, all of them
        b.handlers["look"] = lambda p: {"content": f"{p['arguments']['at']} seen"}
        if self.session:
            self.catch_up()

    def kill(self):
        self.bridge.kill9()
        self.collect()
        self.kills += 1
        self.begin()

    def catch_up(self):
        """Sight of the session, and what was missed of it: a run of which something is missing is replayed from there."""
        b = self.bridge
        self.collect()
        listed = {r["runId"] for r in self.runs()}
        after = {run: self.last(run) for run in listed}
        b.free_seq |= listed
        b.call("session.subscribe", {"sessionId": self.session, "after": after})
        for r in self.runs():  # those that began in between
            if r["runId"] not in listed:
                b.call("run.subscribe", {"runId": r["runId"], "afterSeq": 0})

    def runs(self, **filter):
        out, cursor = [], None
        while True:
            page = self.bridge.call("run.list", {"sessionId": self.session, "limit": 200, **filter, **({"cursor": cursor} if cursor else {})}, timeout=20)
            out += page["runs"]
            cursor = page.get("nextCursor")
            if not cursor:
                return out

    def last(self, run):
        """The seq up to which nothing is missing."""
        have = self.seen.get(run, {})
        n = 0
        while n + 1 in have:
            n += 1
        return n

    def collect(self):
        """Moves what the bridge has sent into the log: what comes twice must be the same, byte for byte."""
        with self.bridge.cond:
            new = self.bridge.messages[self.at:]
            self.at += len(new)
        for m in new:
            if m.is_event and m.seq is not None:
                text = m.raw_at("params")
                assert self.seen.setdefault(m.run_id, {}).setdefault(m.seq, text) == text, (self.name, m.run_id, m.seq)

    def check(self, run, raw):
        have = self.seen.get(run, {})
        assert [have.get(n) for n in range(1, len(raw) + 1)] == raw and len(have) == len(raw), \
            f"{self.name} has {sorted(have)} of {len(raw)} events of {run}"


class Talk:
    def __init__(self, lab, seed):
        self.lab, self.random = lab, random.Random(seed)
        setup = lab.bridge()
        model = lab.script([calls(("memory_insert", {"label": "log", "text": "+"}), ("look", {"at": "a"}), delayMs=5),
                            calls(("look", {"at": "b"}), delayMs=5), say("It is done.", delayMs=5)])
        self.agents = [setup.call("agent.create", {"agent": {"model": model, "memory": [{"label": "log", "value": "", "limit": 1_000_000}],
                                                              "messageConcurrency": strategy}})["agentId"] for strategy in ("queue", "merge")]
        made = setup.call("session.create")
        self.session, self.branches = made["sessionId"], [made["branchId"]]
        self.windows = [Client(lab, "first", self.session), Client(lab, "second", self.session)]
        self.watcher = Client(lab, "watcher", self.session)
        self.clients = self.windows + [self.watcher]
        self.sent = {}  # key -> (client, params)
        self.run_of = {}
        self.count = 0

    def say(self, client, branch, agent):
        """A turn, not waited for; sent again with the same key if its client's bridge dies before it answers."""
        self.count += 1
        key = f"turn {self.count}"
        params = {"input": key, "agentId": self.agents[agent], "sessionId": self.session, "branchId": branch, "tools": [TOOL],
                  "idempotencyKey": key, "wait": False}
        self.sent[key] = [client, params, client.bridge, client.bridge.request("run.start", params)]

    def round(self, n):
        main, other = self.branches[0], self.branches[-1]
        for client, branch, agent in [(0, main, 0), (1, main, 0), (0, other, 0), (1, other, 1), (0, main, 1), (1, main, 1)]:
            self.say(self.windows[client], branch, agent)
        victim = self.windows[self.random.randrange(2)]
        time.sleep(self.random.random() * 0.3)  # when it is killed, not what is waited for
        victim.kill()
        self.settle()
        if n % 4 == 0:
            source = self.random.choice(self.branches)
            at = self.random.choice(messages(self.watcher.bridge, self.session, branchId=source))
            client = self.random.choice(self.windows)
            try:
                self.branches.append(client.bridge.call("session.fork", {"sessionId": self.session, "atMessageId": at["id"]})["branchId"])
            except RpcError as e:
                raise AssertionError(f"a fork at {at} was refused: {e.error}") from e

    def settle(self):
        """Everything that was said ends; what is abandoned is taken up by a client that finds it."""
        for key, entry in self.sent.items():
            if key in self.run_of:
                continue
            client, params, bridge, id = entry
            if bridge is not client.bridge:  # it died: whether the turn is stored is not known
                entry[2:] = client.bridge, client.bridge.request("run.start", params)
            self.run_of[key] = entry[2].result(entry[3], timeout=20)["runId"]
        deadline = time.monotonic() + 60
        while True:
            open_runs = self.watcher.runs(status=OPEN)
            if not open_runs:
                return
            assert time.monotonic() < deadline, f"these never end: {open_runs}"
            for r in open_runs:
                if r["driver"] == "none" and all(c["state"] == "parked" for c in r["pendingToolCalls"]):
                    try:
                        self.random.choice(self.windows).bridge.call("run.resume", {"runId": r["runId"], "wait": False}, timeout=20)
                    except RpcError as e:
                        assert e.kind == "run.leaseHeld", e.error
            time.sleep(0.05)

    def check(self):
        fresh = self.lab.bridge()
        fresh.auto_replay = False
        runs = {r["runId"]: r for r in self.watcher.runs()}
        assert sorted(self.run_of.values()) == sorted(runs), "a turn was lost, or came twice"
        edits = Counter()
        for run, r in runs.items():
            raw = fresh.replay(run)
            log = [loads(x) for x in raw]
            check_log(log)
            for client in self.clients:
                until(lambda: client.collect() or client.last(run) >= len(raw), f"{client.name} to have seen all of {run}", 20)
                client.check(run, raw)
            assert (r["status"], r["answer"]) == ("success", "It is done."), r
            done = [e["data"] for e in log if e["type"] == "tool.completed"]
            if "mergedInto" in r:
                into = runs[r["mergedInto"]]
                assert not done and log[-1]["data"]["mergedInto"] == r["mergedInto"], r
                while "mergedInto" in into:  # it may have been merged on: the last one is the turn
                    into = runs[into["mergedInto"]]
                assert into["usage"]["modelCalls"] == 3, into
                continue
            assert [d["name"] for d in done if d["name"] == "look"] == ["look"] * 2 and len(done) == 3, [d["name"] for d in done]
            assert [text_of(d["content"]) for d in done if d["name"] == "look" and not d["isError"]] == ["a seen", "b seen"]
            edit, = [d for d in done if d["name"] == "memory_insert"]
            edits[r["agentId"]] += not edit["isError"]
            edits["unknown"] += edit["isError"]
        shown = sum(b["value"].count("+") for a in self.agents for b in fresh.call("memory.get", {"agentId": a})["blocks"])
        assert edits["unknown"] + sum(edits[a] for a in self.agents) >= shown >= sum(edits[a] for a in self.agents), (edits, shown)
        self.check_transcripts(fresh, runs)
        return edits

    def check_transcripts(self, fresh, runs):
        """Each input stands in its branch exactly once; all processes say the same."""
        by_branch = Counter()
        for branch in self.branches:
            told = messages(fresh, self.session, branchId=branch)
            assert all(messages(c.bridge, self.session, branchId=branch) == told for c in self.windows)
            texts = Counter(text_of(m["content"]) for m in told if m["role"] == "user")
            assert max(texts.values(), default=1) == 1, f"twice in {branch}: {texts.most_common(3)}"
            called = [c["callId"] for m in told for c in m.get("toolCalls", [])]
            assert sorted(called) == sorted(m["callId"] for m in told if m["role"] == "tool")
            by_branch[branch] = texts
        for key, run in self.run_of.items():
            assert by_branch[self.sent[key][1]["branchId"]][key] == 1, f"{key} ({run}) is not in its branch"


def talk(lab, rounds, seed):
    lab.validate = rounds <= 20  # judging ten thousand turns in lists takes longer than making them
    t = Talk(lab, seed)
    for n in range(rounds):
        t.round(n)
        if n == rounds // 2:
            t.check()
    edits = t.check()
    assert sum(c.kills for c in t.windows) == rounds
    merged = sum("mergedInto" in r for r in t.watcher.runs())
    assert len(t.branches) > 1 and (merged or rounds < 10), "nothing was merged"
    return edits


def test_two_processes_hold_a_conversation_while_one_is_killed_twenty_times(lab):
    talk(lab, 20, seed=5)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_two_processes_hold_a_conversation_while_one_is_killed_two_hundred_times(lab, seed):
    talk(lab, 200, seed=100 + seed)

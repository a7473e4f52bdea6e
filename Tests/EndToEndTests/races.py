"""Races: many submitters, cancels, pauses, resumes, notes and decisions meet at one run, in several processes on its store.

    /usr/bin/python3 Tests/EndToEndTests/races.py [--rounds 1000] [--submitters 100] [--bridges 4] [--seed 1]

In each round a new run waits, and all requests of the round are on their way before the first is answered. Then exactly one result (or decision) of
each call must have won, and everybody must tell the same story: the verdicts, the outcomes, and the log in every process. The client here is small
and fast on purpose, and written from the protocol page alone; what every message must look like is the subject of the other tests.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from harness import BINARY, base_env, calls, check_log, say, text_of, tool  # noqa: E402


class Client:
    """One bridge, and requests to it by the dozen."""

    def __init__(self, store, home):
        self.process = subprocess.Popen([BINARY, "--store", store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=base_env(home), bufsize=0)
        self.answers, self.changed, self.last = {}, threading.Condition(), 0
        self.twice = []
        threading.Thread(target=self._read, daemon=True).start()
        self.one("initialize", {"protocolVersion": "2026-11-20", "clientInfo": {"name": "races", "version": "1"}, "capabilities": {}})

    def _read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            if "method" in message:
                continue
            with self.changed:
                if message["id"] in self.answers:
                    self.twice.append(message["id"])
                self.answers[message["id"]] = message
                self.changed.notify_all()
        with self.changed:
            self.answers[None] = None
            self.changed.notify_all()

    def send(self, requests):
        """All of them in one write; their ids."""
        ids = list(range(self.last + 1, self.last + len(requests) + 1))
        self.last += len(requests)
        lines = [json.dumps({"jsonrpc": "2.0", "id": i, "method": m, "params": p}) for i, (m, p) in zip(ids, requests)]
        self.process.stdin.write(("\n".join(lines) + "\n").encode())
        return ids

    def wait(self, ids, timeout=60):
        with self.changed:
            done = self.changed.wait_for(lambda: None in self.answers or all(i in self.answers for i in ids), timeout)
            missing = [i for i in ids if i not in self.answers]
            assert done and not missing, f"{len(missing)} of {len(ids)} requests were not answered"
            return [self.answers.pop(i) for i in ids]

    def one(self, method, params):
        answer, = self.wait(self.send([(method, params)]))
        assert "error" not in answer, answer
        return answer["result"]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        assert not self.twice, f"answered twice: {self.twice}"


def result(run, ids, content, **more):
    return "run.submitToolResults", {"runId": run, "wait": False, "results": [{"callId": c, "content": content} for c in ids], **more}


def end(outcome):
    """What does not change any more. Evidence of refused results may still be added to the log of an ended run."""
    return {name: value for name, value in outcome.items() if name not in ("verdicts", "lastSeq")}


class Round:
    """One run and what is asked of it. `answers` are pairs (request, response) in the order in which they were sent, one client after the other."""

    def __init__(self, races):
        self.races, self.chance = races, races.chance
        self.home = self.chance.choice(races.clients)

    def start(self, turns, tools, **more):
        params = {"input": "go", "agent": {"model": self.races.script(turns)}, "tools": tools, "delivery": "pause", **more}
        outcome = self.home.one("run.start", params)
        self.run = outcome["runId"]
        self.calls = [c["callId"] for c in outcome["pendingToolCalls"]]

    def meet(self, requests):
        clients = self.races.clients
        self.chance.shuffle(requests)
        shares = [requests[n::len(clients)] for n in range(len(clients))]
        gate, sent = threading.Barrier(len(clients)), [None] * len(clients)

        def go(n):
            gate.wait()
            sent[n] = clients[n].send(shares[n])
        threads = [threading.Thread(target=go, args=(n,)) for n in range(len(clients))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.answers = [pair for n in range(len(clients)) for pair in zip(shares[n], clients[n].wait(sent[n]))]
        self.races.requests += len(requests)

    def settle(self):
        """Takes the run to its end, if it has not got there."""
        end = time.monotonic() + 60
        while True:
            outcome = self.home.one("run.wait", {"runId": self.run, "timeoutMs": 20_000})
            if outcome["ended"]:
                return
            assert time.monotonic() < end, f"the run does not end: {outcome}"
            if outcome["status"] == "paused" or outcome["driver"] == "none" and outcome["status"] == "running":
                self.home.send([("run.resume", {"runId": self.run, "wait": False})])
            elif outcome["pendingToolCalls"]:
                raise AssertionError(f"the run still waits: {outcome}")

    def story(self):
        """The same in every process: outcome and log."""
        logs, outcomes = [], []
        for client in self.races.clients:
            outcome = client.one("run.wait", {"runId": self.run})
            log, after = [], 0
            while after is not None:
                page = client.one("run.events", {"runId": self.run, "afterSeq": after})
                log += page["events"]
                after = page.get("nextSeq")
            logs.append(log)
            outcomes.append(outcome)
        assert all(o == outcomes[0] for o in outcomes), outcomes
        assert all(log == logs[0] for log in logs), "the processes tell different logs"
        check_log(logs[0])
        self.log, self.outcome = logs[0], outcomes[0]
        for (method, _), answer in self.answers:
            if "result" in answer and answer["result"].get("ended"):
                assert end(answer["result"]) == end(self.outcome), f"{method} told another end: {answer['result']}, {self.outcome}"

    def data(self, type):
        return [e["data"] for e in self.log if e["type"] == type]

    def verdicts(self):
        """For each call, the verdicts on what was given for it, with what was given."""
        found = {c: [] for c in self.calls}
        for (method, params), answer in self.answers:
            given = params.get("results") or params.get("approvals") or []
            body = answer["result"] if "result" in answer else answer["error"]["data"]
            for one in given:
                # A set that was refused for another member has no verdict for a part that would have fitted.
                found[one["callId"]].append(((body.get("verdicts") or {}).get(one["callId"], "none"), one))
        return found

    def judge_results(self, most_winners=1, least_winners=1):
        done = {d["callId"]: d for d in self.data("tool.completed")}
        for call, given in self.verdicts().items():
            won = [one["content"] for verdict, one in given if verdict == "accepted"]
            assert least_winners <= len(won) <= most_winners, (call, Counter(v for v, _ in given))
            for content in won:
                assert text_of(done[call]["content"]) == content, "what was accepted is not what is stored"
            for verdict, one in given:
                stored = text_of(done[call]["content"])
                if verdict == "duplicate":
                    assert one["content"] == stored and not done[call]["isError"]
                elif verdict == "conflict":
                    assert one["content"] != stored
                else:
                    assert verdict in ("accepted", "terminal", "none"), (verdict, one)
        kinds = {a["error"]["data"]["kind"] for _, a in self.answers if "error" in a}
        assert kinds <= {"run.alreadyClaimed", "run.alreadyTerminal", "run.notWaiting", "run.invalidToolResults"}, kinds
        assert all(len([d for d in self.data("tool.completed") if d["callId"] == c]) == 1 for c in self.calls)


# ---- the rounds

def different(r, n):
    r.start([calls("t"), say("ok")], [tool("t")])
    r.meet([result(r.run, r.calls, f"from {i}") for i in range(n)])
    r.settle()
    r.story()
    r.judge_results()
    assert r.outcome["status"] == "success" and len(r.data("model.completed")) == 2


def equal(r, n):
    r.start([calls("t"), say("ok")], [tool("t")])
    r.meet([result(r.run, r.calls, f"value {i % 2}") for i in range(n)])
    r.settle()
    r.story()
    r.judge_results()
    given = Counter(v for v, _ in r.verdicts()[r.calls[0]])
    # Those that say what won are duplicates, the others conflict (or came after the end).
    assert given["accepted"] + given["duplicate"] == (n + 1) // 2 or given["accepted"] + given["duplicate"] == n // 2, given


def parts(r, n):
    r.start([calls("t", "t", "t", "t"), say("ok")], [tool("t")])
    r.meet([result(r.run, [r.calls[i % 4]], f"part {i}", partial=True) for i in range(n)])
    r.settle()
    r.story()
    r.judge_results()
    assert r.outcome["status"] == "success" and len(r.data("run.resumed")) == 1 and len(r.data("model.completed")) == 2


def two_pauses(r, n):
    """Results for the first pause meet those for the second, which comes as soon as the first has its own."""
    r.start([calls("t"), calls("u"), say("ok")], [tool("t"), tool("u")])
    first = r.calls
    r.meet([result(r.run, first, f"from {i}") for i in range(n)])
    waiting = r.home.one("run.wait", {"runId": r.run})
    before = r.answers
    second = [c["callId"] for c in waiting["pendingToolCalls"]]
    assert len(second) == 1 and second != first
    r.meet([result(r.run, first if i % 2 else second, f"from {i}") for i in range(n)])
    r.answers = before + r.answers
    r.calls = first + second
    r.settle()
    r.story()
    r.judge_results()
    assert len(r.data("model.completed")) == 3


def cancels(r, n):
    r.start([calls("t"), say("ok")], [tool("t")])
    r.meet([result(r.run, r.calls, f"from {i}") for i in range(n - n // 4)] + [("run.cancel", {"runId": r.run})] * (n // 4))
    r.settle()
    r.story()
    r.judge_results(least_winners=0)
    assert r.outcome["status"] in ("success", "cancelled")
    for (method, _), answer in r.answers:
        if method == "run.cancel":
            assert end(answer["result"]) == end(r.outcome)
    r.races.seen[r.outcome["status"]] += 1


def pauses(r, n):
    # A note to a model that is about to end makes it answer once more.
    r.start([calls("t"), say("ok", repeat=100)], [tool("t")])
    several = [("run.pause", {"runId": r.run}), ("run.resume", {"runId": r.run, "wait": False}), ("run.addNote", {"runId": r.run, "text": "x"})]
    others = [several[i % 3] for i in range(n // 2)]
    r.meet([result(r.run, r.calls, f"from {i}") for i in range(n - len(others))] + others)
    r.settle()
    results = [(q, a) for q, a in r.answers if q[0] == "run.submitToolResults"]
    for (method, _), answer in r.answers:
        if "error" in answer and method != "run.submitToolResults":
            kind = answer["error"]["data"]["kind"]
            assert kind == {"run.resume": "run.leaseHeld", "run.addNote": "run.alreadyTerminal"}.get(method), answer
    notes = sum("result" in a for (m, _), a in r.answers if m == "run.addNote")
    r.story()
    r.answers = results
    r.judge_results()
    assert r.outcome["status"] == "success" and len(r.data("note.added")) == notes


def decisions(r, n):
    r.start([calls("t"), say("ok")], [dict(tool("t"), requiresApproval=True)])
    ways = [{"decision": "approve"}, {"decision": "deny", "reason": "no"}]
    r.meet([("run.submitApprovals", {"runId": r.run, "wait": False, "approvals": [{"callId": r.calls[0], **ways[i % 2]}]}) for i in range(n)])
    verdicts = r.verdicts()[r.calls[0]]
    won, = [one for verdict, one in verdicts if verdict == "accepted"]
    for verdict, one in verdicts:
        assert verdict in ("accepted", "duplicate", "conflict", "terminal"), verdict
        if verdict == "duplicate":
            assert one["decision"] == won["decision"]
        if verdict == "conflict":
            assert one["decision"] != won["decision"]
    if won["decision"] == "approve":
        before = r.answers
        r.meet([result(r.run, r.calls, f"from {i}") for i in range(n)])
        r.settle()
        r.story()
        r.judge_results()
        r.answers += before
    else:
        r.settle()
        r.story()
    decided, = r.data("approval.decided")
    assert decided["decision"] == won["decision"] and r.outcome["status"] == "success"


def finish(r, n):
    """A model that is about to answer meets cancels, pauses, notes and resumes."""
    outcome = r.home.one("run.start", {"input": "go", "wait": False, "agent": {"model": r.races.script([say("ok", delayMs=r.chance.randrange(30), repeat=100)])}})
    r.run, r.calls = outcome["runId"], []
    kinds = [("run.cancel", {"runId": r.run}), ("run.pause", {"runId": r.run}), ("run.addNote", {"runId": r.run, "text": "x"}),
             ("run.resume", {"runId": r.run, "wait": False})]
    weights = [1, 3, 3, 3] if r.chance.random() < 0.5 else [0, 3, 3, 3]
    r.meet(r.chance.choices(kinds, weights, k=n // 4))
    r.settle()
    r.story()
    cancelled = any(m == "run.cancel" for (m, _), _ in r.answers)
    assert r.outcome["status"] == "success" or cancelled and r.outcome["status"] == "cancelled", r.outcome
    for (method, _), answer in r.answers:
        if "error" in answer:
            assert answer["error"]["data"]["kind"] in ("run.leaseHeld", "run.alreadyTerminal"), answer
        elif method == "run.cancel":
            assert end(answer["result"]) == end(r.outcome)
    assert len(r.data("note.added")) == sum("result" in a for (m, _), a in r.answers if m == "run.addNote")


KINDS = [different, equal, parts, two_pauses, cancels, pauses, decisions, finish]


class Races:
    def __init__(self, folder, bridges=4, seed=1):
        self.folder, self.chance = Path(folder), random.Random(seed)
        self.clients = [Client(f"sqlite:{folder}/races.db", str(folder)) for _ in range(bridges)]
        self.requests, self.seen, self.scripts = 0, Counter(), {}

    def script(self, turns):
        text = "\n".join(json.dumps(t) for t in turns)
        if text not in self.scripts:
            path = self.folder / f"turns-{len(self.scripts)}.jsonl"
            path.write_text(text)
            self.scripts[text] = f"script:{path}"
        return self.scripts[text]

    def play(self, rounds, submitters, each=lambda n: None):
        for n in range(rounds):
            kind = KINDS[n % len(KINDS)]
            try:
                kind(Round(self), submitters)
            except BaseException:
                print(f"in round {n}, {kind.__name__}", file=sys.stderr)
                raise
            each(n)

    def close(self):
        for client in self.clients:
            client.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--submitters", type=int, default=100)
    parser.add_argument("--bridges", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        races = Races(folder, options.bridges, options.seed)
        start = time.monotonic()
        races.play(options.rounds, options.submitters, lambda n: n % 50 == 49 and print(f"{n + 1} rounds, {time.monotonic() - start:.0f} s", flush=True))
        races.close()
        ends = ", ".join(f"{n} {word}" for word, n in sorted(races.seen.items()))
        print(f"{options.rounds} rounds with {options.submitters} submitters over {options.bridges} processes: {races.requests} requests in "
              f"{time.monotonic() - start:.0f} s, one winner each, the same story in all processes (submits against cancels: {ends})")


if __name__ == "__main__":
    main()

"""Section 12: what survives `kill -9`, and what happens exactly once."""
import json
import os
import random
import time
from collections import defaultdict

import pytest

from harness import TIMEOUT, Never, RpcError, calls, contains, expect, loads, say, sh, text_of, tool, until

STORES = ("sqlite", "postgres")


def test_a_result_whose_submit_was_answered_survives_kill_9(lab):
    for n in range(5):
        a = lab.bridge()
        o = a.run([calls("t"), say("late", delayMs=60_000)], [tool("t")])
        run, c = o["runId"], o["pendingToolCalls"][0]["callId"]
        a.submit(run, {c: f"kept {n}"}, wait=False)
        a.kill9()
        b = lab.bridge()
        done, = b.log_of(run, "tool.completed")
        assert done["callId"] == c and text_of(done["content"]) == f"kept {n}"
        b.call("run.cancel", {"runId": run})


def test_a_result_whose_tool_completed_was_sent_survives_kill_9(lab):
    for n in range(5):
        a = lab.parent()
        a.handlers["t"] = {"content": f"kept {n}"}
        run = a.background([calls("t"), say("late", delayMs=60_000)], [tool("t")])
        a.wait_event("tool.completed", run)
        a.kill9()
        b = lab.bridge()
        done, = b.log_of(run, "tool.completed")
        assert text_of(done["content"]) == f"kept {n}"


def test_every_event_that_was_seen_survives_kill_9_byte_for_byte(lab):
    a = lab.parent()
    a.handlers["t"] = {"content": "x"}
    run = a.background([{**calls("t"), "repeat": 20}, say("late", delayMs=60_000)], [tool("t")])
    a.wait_event("tool.completed", run, where=lambda m: m.seq > 60)
    a.kill9()
    seen = {m.seq: m.raw_at("params") for m in a.events(run, persisted=True)}
    stored = lab.bridge().replay(run)
    for seq, text in seen.items():
        assert stored[seq - 1] == text


def test_a_run_that_was_answered_with_wait_false_survives_kill_9(lab):
    a = lab.bridge()
    model = lab.script([say("late", delayMs=60_000)])
    runs = [a.background(model) for _ in range(5)]
    a.kill9()
    lab.rewrite(model, [say("now")])
    b = lab.bridge()
    for run in runs:
        assert b.call("run.resume", {"runId": run}, 2 * TIMEOUT)["answer"] == "now"


@pytest.mark.parametrize("method", ["run.cancel", "run.pause", "run.addNote"])
def test_what_was_answered_is_durable(lab, method):
    a = lab.bridge()
    o = a.run([calls("t"), say("ok")], [tool("t")])
    a.call(method, {"runId": o["runId"], **({"text": "a note"} if method == "run.addNote" else {})})
    a.kill9()
    b = lab.bridge()
    if method == "run.addNote":
        assert [d["text"] for d in b.log_of(o["runId"], "note.added")] == ["a note"]
    else:
        assert b.get(o["runId"])["status"] == {"run.cancel": "cancelled", "run.pause": "paused"}[method]


def test_a_deletion_that_was_answered_is_durable(lab):
    a = lab.bridge()
    o = a.run([say("ok")])
    a.call("run.delete", {"runId": o["runId"]})
    a.kill9()
    lab.bridge().fails("run.get", {"runId": o["runId"]}, kind="run.notFound")


def test_synchronous_normal_survives_kill_9_too(lab):
    a = lab.bridge("--synchronous", "normal")
    o = a.run([calls("t"), say("late", delayMs=60_000)], [tool("t")])
    a.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "kept"}, wait=False)
    a.kill9()
    assert len(lab.bridge().log_of(o["runId"], "tool.completed")) == 1


def test_a_client_call_that_is_not_idempotent_is_sent_again_only_when_the_parent_asks(lab):
    a = lab.parent()
    a.handlers["t"] = Never
    a.start([calls("t"), say("ok", expect=expect(content="once"))], [tool("t")])
    until(lambda: a.invocations)
    m = a.invocations[0]
    run = m.params["runId"]
    a.kill9()
    b = lab.parent("--adopt")
    b.call("run.wait", {"runId": run, "timeoutMs": 500})
    b.call("run.subscribe", {"runId": run, "afterSeq": 0})
    b.get(run)
    assert b.invokes() == [], "nobody asked"
    b.handlers["t"] = {"content": "once"}
    assert b.call("run.resume", {"runId": run})["status"] == "success"
    n, = b.invokes()
    assert n.call_id == m.call_id and n.params["attempt"] == 2


# ---- campaigns: a run with several calls, killed at any point, finished by others

class Campaign:
    """A parent that does its work in a ledger outside of the bridge, and answers from there."""

    def __init__(self, lab, turns, parallel, commands=0):
        self.lab, self.ledger = lab, lab.path / "ledger"
        self.turns, self.parallel, self.commands = turns, parallel, commands
        names = ["t"] * parallel
        line = f"read -r a; [ -z \"$a\" ] || echo \"$a\" >> {lab.path}/commands; echo ran"  # no arguments: the bridge died before it wrote them
        self.tools = [tool("t")] + [sh(f"once{n}", line) for n in range(commands)]
        script = []
        for turn in range(turns):
            batch = [(n, {"turn": turn, "n": i}) for i, n in enumerate(names)] + [(f"once{n}", {"turn": turn, "c": n}) for n in range(commands)]
            script.append(calls(*batch, delayMs=2, text=f"turn {turn}"))
        self.model = lab.script(script + [say("all done")])

    def work(self, params):
        """The client's side: the work of a callId is done once, whatever is asked how often."""
        entry = {"callId": params["callId"], "attempt": params["attempt"], **params["arguments"]}
        fd = os.open(self.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, (json.dumps(entry) + "\n").encode())
        os.close(fd)
        return {"content": f"result {entry['turn']}.{entry['n']}"}

    def bridge(self):
        b = self.lab.parent()
        b.handlers["t"] = self.work
        return b

    def start(self, b):
        r = b.start(self.model, self.tools, agent={"limits": {"maxIterations": 1000}})
        return r, b.start_id(r)

    def check(self, run):
        b = self.lab.bridge()
        o = b.get(run)
        assert o["status"] == "success" and o["answer"] == "all done", o
        log = b.check_replay(run)
        asked = [c for e in log if e["type"] == "model.completed" for c in e["data"]["toolCalls"]]
        assert len(asked) == self.turns * (self.parallel + self.commands)
        done = {e["data"]["callId"]: e["data"] for e in log if e["type"] == "tool.completed"}
        for c in asked:
            if c["name"] == "t":
                assert done[c["callId"]]["isError"] is False
                assert text_of(done[c["callId"]]["content"]) == f"result {c['arguments']['turn']}.{c['arguments']['n']}"
        attempts = defaultdict(list)
        for line in self.ledger.read_text().splitlines():
            entry = loads(line)
            attempts[entry["callId"]].append(entry["attempt"])
        for c in asked:
            if c["name"] == "t":
                a = attempts.pop(c["callId"])
                assert len(set(a)) == len(a), f"one attempt twice: {a}"
        assert not attempts, "calls nobody asked for"
        ran = [json.dumps(loads(x), sort_keys=True) for x in self.lab.lines("commands")]
        assert len(set(ran)) == len(ran), "a command ran twice"
        finals = [e["type"] for e in log if e["type"] in ("run.completed", "run.error", "run.cancelled")]
        assert finals == ["run.completed"]


def campaign(lab, kills, seed, turns=12, parallel=3, commands=1, span=0.12):
    rng = random.Random(seed)
    c = Campaign(lab, turns, parallel, commands)
    b = c.bridge()
    _, run = c.start(b)
    for _ in range(kills):
        time.sleep(rng.random() * span)  # the moment of the kill is the point: any moment will do
        b.kill9()
        b.check_stderr()
        b = c.bridge()
        if b.get(run)["ended"]:
            break
        b.request("run.resume", {"runId": run, **({"afterSeq": 0} if rng.random() < 0.3 else {})})
    o = b.get(run)
    if not o["ended"]:
        o = b.call("run.resume", {"runId": run}, 6 * TIMEOUT)
        for _ in range(200):
            if o["ended"]:
                break
            o = b.call("run.resume", {"runId": run}, 6 * TIMEOUT)
    c.check(run)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_points_nothing_is_lost_and_nothing_doubled(lab, seed):
    campaign(lab, 8, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 140))
def test_killed_at_random_points_many_times(lab, seed):
    campaign(lab, 25, seed, turns=30, parallel=4, commands=2, span=0.2)


def test_sigterm_at_random_points_loses_nothing_either(lab):
    rng = random.Random(7)
    c = Campaign(lab, 12, 3, 0)
    b = c.bridge()
    _, run = c.start(b)
    for _ in range(5):
        time.sleep(rng.random() * 0.1)
        b.sigterm()
        assert b.wait_exit() == 0
        b = c.bridge()
        if b.get(run)["ended"]:
            break
        b.request("run.resume", {"runId": run})
    for _ in range(50):
        o = b.call("run.resume", {"runId": run}, 3 * TIMEOUT)
        if o["ended"]:
            break
    c.check(run)


def test_killed_right_after_each_kind_of_event_the_run_is_finished_by_another(lab):
    for stop in ("run.started", "model.started", "model.completed", "tool.started", "run.paused", "tool.completed", "run.resumed"):
        a = lab.parent()
        a.handlers["t"] = {"content": "x"}
        model = lab.script([calls("t", delayMs=5), calls("t", delayMs=5), say("end", delayMs=5)])
        a.start(model, [tool("t")])
        run = a.wait_event(stop).run_id
        a.kill9()
        b = lab.parent()
        b.handlers["t"] = {"content": "x"}
        o = b.call("run.resume", {"runId": run}, 2 * TIMEOUT)
        assert (o["status"], o["answer"]) == ("success", "end"), stop
        assert len(b.log_of(run, "tool.completed")) == 2


def test_killed_while_partial_results_come_in(lab):
    a = lab.bridge()
    o = a.run([calls("t", "t", "t"), say("ok")], [tool("t")])
    run, ids = o["runId"], [c["callId"] for c in o["pendingToolCalls"]]
    for c in ids[:2]:
        a = lab.bridge()
        a.submit(run, {c: c}, partial=True)
        a.kill9()
    b = lab.bridge()
    assert [c["callId"] for c in b.get(run)["pendingToolCalls"]] == ids[2:]
    assert b.submit(run, {ids[2]: ids[2]})["status"] == "success"
    assert {d["callId"]: text_of(d["content"]) for d in b.log_of(run, "tool.completed")} == {c: c for c in ids}


def test_killed_right_behind_a_submit_the_run_goes_on_once(lab):
    for n in range(10):
        a = lab.bridge()
        model = lab.script([calls("t"), say("ok")])
        o = a.run(model, [tool("t")])
        run, c = o["runId"], o["pendingToolCalls"][0]["callId"]
        a.request("run.submitToolResults", a.submit_params(run, {c: "x"}))
        time.sleep(n * 0.001)
        a.kill9()
        b = lab.bridge()
        try:
            o = b.submit(run, {c: "x"}, 2 * TIMEOUT)
        except RpcError as e:
            assert e.kind == "run.alreadyTerminal"
        o = b.call("run.resume", {"runId": run}, 2 * TIMEOUT)
        assert o["status"] == "success"
        assert len(b.log_of(run, "tool.completed")) == 1 and b.log_types(run).count("run.completed") == 1


def test_a_server_command_is_not_run_again_and_the_model_is_told_that_its_outcome_is_unknown(lab):
    a = lab.bridge()
    a.start([calls("pay"), say("ok", expect=expect(name="pay", isError=True, content=contains("unknown")))], [sh("pay", f"echo paid >> {lab.path}/bank; sleep 300")])
    until(lambda: lab.lines("bank"))
    run = a.wait_event("tool.started").run_id
    a.kill9()
    assert lab.bridge().call("run.resume", {"runId": run}, 2 * TIMEOUT)["status"] == "success"
    assert lab.lines("bank") == ["paid"]


def test_one_driver_at_a_time(lab):
    """While one process drives, no other does, whatever they all ask."""
    bridges = [lab.parent() for _ in range(4)]
    for b in bridges:
        b.handlers["t"] = {"content": "x"}
    model = lab.script([{**calls("c"), "repeat": 10}, say("ok")])
    r = bridges[0].start(model, [sh("c", f"mkdir {lab.path}/inside && sleep 0.05 && rmdir {lab.path}/inside")])
    run = bridges[0].start_id(r)
    asked = [(b, b.request("run.resume", {"runId": run})) for _ in range(5) for b in bridges[1:]]
    assert bridges[0].result(r, 2 * TIMEOUT)["status"] == "success"
    for b, i in asked:
        m = b.wait_response(i)
        assert m.error is None or m.error["data"]["kind"] == "run.leaseHeld"
    assert [d["isError"] for d in bridges[0].log_of(run, "tool.completed")] == [False] * 10


def test_bad_input_never_ends_the_process(lab):
    rng = random.Random(11)
    b = lab.bridge("--max-message-bytes", "100000", init=False)
    seeds = [b'{"jsonrpc":"2.0","id":1,"method":"ping"}', b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
             b'{"jsonrpc":"2.0","id":"a","method":"run.start","params":{"input":"x","agent":{"model":"script:/nowhere"},"tools":[{"name":"t","description":"d","inputSchema":{"type":"object"}}]}}',
             b'{"jsonrpc":"2.0","id":2,"method":"run.submitToolResults","params":{"runId":"x","results":[{"callId":"y","content":[{"type":"text","text":"z"}]}]}}',
             b'{"jsonrpc":"2.0","id":"b-1","result":{"content":"x"}}', b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}']
    for _ in range(1500):
        line = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 6)):
            kind, at = rng.randrange(4), rng.randrange(len(line))
            if kind == 0:
                line[at] = rng.randrange(256)
            elif kind == 1:
                del line[at:at + rng.randrange(1, 8)]
            elif kind == 2:
                line[at:at] = rng.choice([b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\u0000", b"\xff", b"1e999", b"null", b'"id":null,'])
            else:
                line += line[:at]
            if not line:
                line = bytearray(b"x")
        b.validator = None
        b._write(bytes(line).replace(b"\n", b" ") + b"\n")
    b.raw_used = True
    b._write(b'{"jsonrpc":"2.0","id":"the last","method":"ping"}\n')
    b.wait(lambda m: m.is_response and m.id == "the last", timeout=30)

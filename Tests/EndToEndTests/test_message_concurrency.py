"""Section 9: what happens to a turn that comes while another is not ended; five strategies, over processes too."""
import os
import time
from datetime import datetime

import pytest

from conversations import (answers, asked, messages, reply, said, seen, session, speak, status, times_asked, turn, users, window)
from harness import RpcError, calls, say, sh, text_of, tool, until

WAITS = [calls("t"), say("was waiting")]  # a turn that waits for its client


def strategy(name, **more):
    return {"messageConcurrency": name, **more}


def queued(b, i):
    """The run of a turn that has to wait, once it is there."""
    run = b.start_id(i)
    until(lambda: status(b, run) == "queued", "the turn to be queued")
    return run


def blocker(b, s):
    """A turn that waits for its client, and so holds up the others."""
    o = b.run(WAITS, [tool("t")], input="blocker", sessionId=s, delivery="pause")
    assert o["status"] == "waiting_client_tool"
    return o


def release(b, o, text="go on"):
    return b.submit(o["runId"], {c["callId"]: text for c in o["pendingToolCalls"]})


def to_be_merged(b, s, count):
    """A turn whose model is asked, and those behind it that are to become one: their requests, and their runs."""
    first = turn(b, s, "one", agent=strategy("merge"))
    m = asked(b)
    ids = [turn(b, s, f"q{n}", agent=strategy("merge")) for n in range(count)]
    return first, m, ids, [queued(b, i) for i in ids]


# ---- queue

def test_a_turn_behind_another_is_queued_and_begins_when_it_ends(lab):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one")
    m = asked(b)
    ids = [turn(b, s, f"q{n}") for n in range(3)]
    runs = [queued(b, i) for i in ids]
    got = b.get(runs[0])
    assert (got["status"], got["ended"], got["driver"]) == ("queued", False, "none")
    assert [r["runId"] for r in b.call("run.list", {"sessionId": s, "status": "queued"})["runs"]] == runs[::-1]
    assert times_asked(b) == 1
    reply(b, m, "1")
    assert b.result(first)["answer"] == "1"
    shown = [("user", "one"), ("assistant", "1")]
    for n, (i, run) in enumerate(zip(ids, runs)):
        m = asked(b)
        shown.append(("user", f"q{n}"))
        assert seen(m) == shown
        reply(b, m, f"a{n}")
        shown.append(("assistant", f"a{n}"))
        o = b.result(i)
        assert (o["runId"], o["status"], o["answer"]) == (run, "success", f"a{n}") and "blockedBy" not in o
    assert said(b, s) == shown


def test_a_queued_turn_with_wait_false_says_so(lab):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one")
    m = asked(b)
    o = b.run("parent:m", input="two", sessionId=s, wait=False)
    assert o["status"] == "queued" and o["driver"] == "none"
    reply(b, m, "1")
    b.result(first)
    reply(b, asked(b), "2")
    assert b.wait_run(o["runId"])["answer"] == "2"


def test_behind_a_waiting_turn_it_settles_as_queued_and_says_by_whom_it_is_blocked(lab):
    a, b = lab.bridge(), lab.bridge()
    s = session(a)
    w = blocker(a, s)
    for one in (a, b):
        o = one.run([say("ok")], input="two", sessionId=s)
        assert o["status"] == "queued" and o["blockedBy"] == w["runId"]
        assert one.wait_run(o["runId"])["blockedBy"] == w["runId"] and one.get(o["runId"])["blockedBy"] == w["runId"]
        listed = [r for r in one.call("run.list", {"status": "queued"})["runs"] if r["runId"] == o["runId"]]
        assert listed[0]["blockedBy"] == w["runId"]
    assert release(b, w)["status"] == "success"
    for r in a.call("run.list", {"sessionId": s})["runs"]:
        assert b.wait_run(r["runId"])["status"] == "success"


def test_a_turn_that_settles_only_later_unblocks_the_answers_behind_it(lab):
    """Two requests wait for queued turns; then the one before them settles without ending: both are told."""
    b = window(lab, capabilities={"tools": {}})
    s = session(b)
    first = turn(b, s, "one", tools=[tool("t")], delivery="pause")
    m = asked(b)
    ids = [turn(b, s, "two"), turn(b, s, "three")]
    runs = [queued(b, i) for i in ids]
    reply(b, m, calls=["t"])
    o = b.result(first)
    assert o["status"] == "waiting_client_tool"
    for i, run in zip(ids, runs):
        q = b.result(i)
        assert (q["runId"], q["status"]) == (run, "queued") and q["blockedBy"] in (o["runId"], runs[0])
    b.call("run.cancel", {"runId": o["runId"]})
    for n, run in enumerate(runs):
        reply(b, asked(b), f"a{n}")
        assert b.wait_run(run)["answer"] == f"a{n}"


def test_a_turn_that_waits_for_this_very_client_does_not_settle_those_behind_it(lab):
    b = window(lab, capabilities={"tools": {}})
    s = session(b)
    first = turn(b, s, "one", tools=[tool("t")])
    reply(b, asked(b), calls=["t"])
    invoke = b.next_invoke("t")
    i = turn(b, s, "two")
    queued(b, i)
    b.respond(invoke, {"content": "x"})
    reply(b, asked(b), "1")
    assert b.result(first)["answer"] == "1"
    reply(b, asked(b), "2")
    assert b.result(i)["answer"] == "2"


@pytest.mark.parametrize("how", ["pause", "resume"])
def test_behind_a_paused_turn(lab, how):
    b = window(lab)
    s = session(b)
    w = blocker(b, s)
    assert b.call("run.pause", {"runId": w["runId"]})["status"] == "paused"
    o = b.run("parent:m", input="two", sessionId=s)
    assert o["status"] == "queued" and o["blockedBy"] == w["runId"]
    if how == "pause":
        b.call("run.cancel", {"runId": w["runId"]})
    else:
        release(b, w)
        assert b.call("run.resume", {"runId": w["runId"]})["status"] == "success"
    reply(b, asked(b), "2")
    assert b.wait_run(o["runId"])["answer"] == "2"


def test_behind_a_turn_whose_process_died(lab):
    a = window(lab)
    s = session(a)
    dead = a.start_id(turn(a, s, "one"))
    asked(a)
    a.kill9()
    b = window(lab)
    o = b.result(turn(b, s, "two"))
    assert o["status"] == "queued" and o["blockedBy"] == dead
    i = b.request("run.resume", {"runId": dead})
    reply(b, asked(b, dead), "1")
    assert b.result(i)["answer"] == "1"
    m = asked(b, o["runId"])
    assert users(m) == ["one", "two"]
    reply(b, m, "2")
    assert b.wait_run(o["runId"])["answer"] == "2"


def test_a_waiting_request_is_told_when_the_process_of_the_turn_before_dies(lab):
    a, b = window(lab), window(lab)
    s = session(a)
    first = a.start_id(turn(a, s, "one"))
    asked(a)
    i = turn(b, s, "two")
    queued(b, i)
    a.kill9()
    o = b.result(i, timeout=15)
    assert o["status"] == "queued" and o["blockedBy"] == first


def test_queued_turns_of_two_processes_run_in_order_one_at_a_time(lab):
    bridges = [window(lab) for _ in range(3)]
    s = session(bridges[0])
    first = turn(bridges[0], s, "first")
    m = asked(bridges[0])
    ids = []
    for n in range(9):
        b = bridges[n % 3]
        ids.append((b, turn(b, s, f"q{n}")))
        queued(*ids[-1])
    for b in bridges:
        answers(b, lambda m: "re: " + users(m)[-1])
    reply(bridges[0], m, "re: first")
    bridges[0].result(first)
    for n, (b, i) in enumerate(ids):
        o = b.result(i, timeout=20)
        assert (o["status"], o["answer"]) == ("success", f"re: q{n}")
    assert said(bridges[0], s) == [x for q in ["first"] + [f"q{n}" for n in range(9)] for x in (("user", q), ("assistant", "re: " + q))]


def test_many_turns_race_from_four_processes_and_none_is_lost(lab):
    bridges = [lab.bridge() for _ in range(4)]
    s = session(bridges[0])
    model = lab.script([calls("t"), say("ok")])
    tools = [sh("t", "echo x")]
    ids = [(b, f"{k}-{n}", b.start(model, tools, input=f"{k}-{n}", sessionId=s)) for n in range(6) for k, b in enumerate(bridges)]
    for b, _, i in ids:
        o = b.result(i, timeout=60)
        assert o["status"] == "success", o
    got = messages(bridges[0], s)
    assert [m["role"] for m in got] == ["user", "assistant", "tool", "assistant"] * 24
    assert sorted(text_of(m["content"]) for m in got[::4]) == sorted(t for _, t, _ in ids)
    for n in range(0, 96, 4):
        assert len({m["runId"] for m in got[n:n + 4]}) == 1
    for k in range(4):  # each process's own turns stay in its order
        mine = [text_of(m["content"]) for m in got[::4] if text_of(m["content"]).startswith(f"{k}-")]
        assert sorted(mine) == sorted(f"{k}-{n}" for n in range(6))


def test_whoever_ends_the_one_before_begins_the_next(lab):
    """The process that queued a turn is dead when it is its time: the one that ends the turn before begins it."""
    a, b = lab.bridge(), lab.bridge()
    s = session(a)
    w = blocker(a, s)
    model = lab.script([calls("c"), say("two is done")])
    o = a.run(model, [sh("c", "echo ran")], input="two", sessionId=s)
    p = a.run([say("three is done")], input="three", sessionId=s)
    assert o["status"] == p["status"] == "queued"
    a.kill9()
    assert release(b, w)["status"] == "success"
    assert b.wait_run(o["runId"])["answer"] == "two is done"
    assert b.wait_run(p["runId"])["answer"] == "three is done"
    assert [t for r, t in said(b, s) if r == "user"] == ["blocker", "two", "three"]


@pytest.mark.parametrize("end", ["cancel", "submit"])
def test_the_process_that_ends_it_by_another_door_begins_the_next(lab, end):
    a, b = lab.bridge(), lab.bridge()
    s = session(a)
    w = blocker(a, s)
    o = a.run([say("ok")], input="two", sessionId=s)
    if end == "cancel":
        b.call("run.cancel", {"runId": w["runId"]})
    else:
        release(b, w)
    assert a.wait_run(o["runId"])["status"] == "success"


@pytest.mark.parametrize("settled", [True, False])
def test_the_calls_of_a_queued_turn_go_to_the_client_that_sent_it(lab, settled):
    """Whichever process ends the turn before, and whether or not the request has had its answer."""
    a, b = lab.parent(), lab.parent()
    s = session(a)
    i = b.start(WAITS, [tool("t")], sessionId=s, **({"delivery": "pause"} if settled else {}))
    first = b.result(i) if settled else b.next_invoke("t")
    j = a.start([calls("u"), say("two")], [tool("u")], sessionId=s)
    run = queued(a, j)
    if settled:
        assert a.result(j)["blockedBy"] == first["runId"]
        release(b, first)
    else:
        b.respond(first, {"content": "x"})
    a.respond(a.next_invoke("u"), {"content": "y"})
    assert b.wait_run(run)["answer"] == "two"
    assert b.invokes("u") == []


def test_the_calls_of_a_queued_turn_whose_client_is_gone_wait(lab):
    a, b = lab.parent(), lab.parent()
    s = session(a)
    w = blocker(b, s)
    o = a.run([calls("u"), say("two")], [tool("u")], sessionId=s)
    a.kill9()
    assert release(b, w)["status"] == "success"
    q = b.wait_run(o["runId"])
    assert (q["status"], q["pendingToolCalls"][0]["state"]) == ("waiting_client_tool", "parked") and b.invokes("u") == []
    b.handlers["u"] = {"content": "y"}
    assert b.call("run.resume", {"runId": o["runId"]})["answer"] == "two"


def test_one_that_cannot_serve_the_next_turn_does_not_lose_it(lab):
    """The turn before is ended by a process whose client is no model: the turn is not failed for that, and can be taken up."""
    a, b = window(lab), lab.bridge()
    s = session(a)
    w = blocker(a, s)
    o = a.result(turn(a, s, "two"))
    assert o["status"] == "queued"
    release(b, w)
    try:
        m = asked(a, o["runId"], timeout=2)
    except AssertionError:
        stands = b.call("run.wait", {"runId": o["runId"]})
        assert not stands["ended"] and stands["driver"] == "none", stands
        a.request("run.resume", {"runId": o["runId"]})
        m = asked(a, o["runId"])
    reply(a, m, "2")
    assert a.wait_run(o["runId"])["answer"] == "2"


def test_queued_turns_survive_a_restart(lab):
    a = lab.bridge()
    s = session(a)
    w = blocker(a, s)
    runs = [a.run([say(f"a{n}")], input=f"q{n}", sessionId=s)["runId"] for n in range(5)]
    a.kill9()
    b = lab.bridge()
    assert [status(b, r) for r in runs] == ["queued"] * 5
    assert b.get(runs[4])["status"] == "queued"
    release(b, w)
    for n, r in enumerate(runs):
        assert b.wait_run(r)["answer"] == f"a{n}"


def test_an_orphan_is_adopted_and_those_behind_it_run(lab):
    a = window(lab)
    s = session(a)
    model = lab.script([say("slow", delayMs=60_000)])
    dead = a.background(model, input="one", sessionId=s)
    runs = [a.background([say(f"a{n}")], input=f"q{n}", sessionId=s) for n in range(3)]
    until(lambda: status(a, runs[-1]) == "queued", "the queue")
    a.kill9()
    lab.rewrite(model, [say("fast")])
    b = lab.bridge("--adopt")
    for r, text in zip([dead] + runs, ["fast", "a0", "a1", "a2"]):
        until(lambda: b.get(r)["ended"], "the end", 20)
        assert b.get(r)["answer"] == text


def test_cancelling_a_queued_turn(lab):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one")
    m = asked(b)
    ids = [turn(b, s, f"q{n}") for n in range(3)]
    runs = [queued(b, i) for i in ids]
    o = b.call("run.cancel", {"runId": runs[1], "reason": "not needed"})
    assert o["status"] == "cancelled" and "error" not in o
    assert b.result(ids[1])["status"] == "cancelled"
    assert b.log_of(runs[1], "run.cancelled")[0]["reason"] == "not needed"
    reply(b, m, "1")
    b.result(first)
    reply(b, asked(b, runs[0]), "a0")
    b.result(ids[0])
    m = asked(b, runs[2])
    assert users(m)[-1] == "q2" and users(m)[:2] == ["one", "q0"]
    reply(b, m, "a2")
    assert b.result(ids[2])["status"] == "success"


def test_cancelling_the_request_of_a_queued_turn(lab):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one")
    m = asked(b)
    i = turn(b, s, "two")
    run = queued(b, i)
    b.notify("notifications/cancelled", {"requestId": i})
    e = b.error_of(i)
    assert e.code == -32800 and e.data["runId"] == run
    until(lambda: status(b, run) == "cancelled", "the queued turn to be cancelled")
    reply(b, m, "1")
    assert b.result(first)["status"] == "success"


def test_cancelling_a_queued_turn_from_another_process(lab):
    a, b = window(lab), lab.bridge()
    s = session(a)
    turn(a, s, "one")
    m = asked(a)
    i = turn(a, s, "two")
    run = queued(a, i)
    assert b.call("run.cancel", {"runId": run})["status"] == "cancelled"
    assert a.result(i)["status"] == "cancelled"
    reply(a, m, "1")


def test_what_a_queued_turn_refuses(lab):
    b = lab.bridge()
    s = session(b)
    blocker(b, s)
    o = b.run([say("ok")], input="two", sessionId=s)
    b.fails("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": o["runId"], "content": "x"}]}, kind="run.notWaiting")
    assert b.fails("run.delete", {"runId": o["runId"]}).kind == "invalidRequest"
    again = b.call("run.resume", {"runId": o["runId"]})
    assert (again["status"], again["blockedBy"]) == ("queued", o["blockedBy"])
    assert lab.bridge().call("run.resume", {"runId": o["runId"]})["status"] == "queued"


def test_hanging_up_with_queued_turns(lab):
    """The requests get the outcome as it stands; the turns stay queued."""
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one")
    asked(b)
    i = turn(b, s, "two")
    run = queued(b, i)
    assert b.hang_up() == 0
    assert b.result(first)["status"] == "running" and b.result(i)["status"] == "queued"
    c = window(lab)
    assert status(c, run) == "queued"


def test_a_shell_pipe_that_queues_ends_with_75(lab):
    b = lab.bridge()
    s = session(b)
    blocker(b, s)
    code, out, _ = lab.pipe({"id": 1, "method": "run.start", "params": {"input": "two", "sessionId": s, "agent": {"model": lab.script([say("x")])}}})
    assert code == 75 and [m["result"]["status"] for m in out if m.get("id") == 1] == ["queued"]


def test_the_log_of_a_queued_turn_has_no_gap_and_says_its_input(lab):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one")
    m = asked(b)
    i = turn(b, s, "two")
    run = queued(b, i)
    reply(b, m, "1")
    reply(b, asked(b, run), "2")
    b.result(first), b.result(i)
    log = b.log(run)
    assert log[0]["type"] == "run.started" and log[0]["data"]["input"] == "two" and log[-1]["type"] == "run.completed"


def test_racing_takeups_by_key_are_both_answered(lab):
    """The process of a turn died; two others send its request again, by its key, at the same time: one takes it up, the other waits for it."""
    a, *others = [lab.bridge() for _ in range(4)]
    model = lab.script([say("slow", delayMs=60_000)])
    params = [a.params(model, input=f"q{n}", idempotencyKey=f"k{n}", sessionId=session(a)) for n in range(10)]
    runs = [a.call("run.start", {**p, "wait": False})["runId"] for p in params]
    until(lambda: all("model.started" in a.event_types(r) for r in runs), "all to be at work")
    a.kill9()
    lab.rewrite(model, [say("taken up", delayMs=100)])
    ids = [(b, b.request("run.start", {**p, "wait": wait}), r) for p, r in zip(params, runs) for b, wait in zip(others, (True, False, True))]
    for b, i, r in ids:
        assert b.result(i, timeout=20)["runId"] == r
    assert [others[0].wait_run(r)["answer"] for r in runs] == ["taken up"] * 10


# ---- latest

def test_latest_runs_only_the_newest_of_those_that_wait(lab):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one", agent=strategy("latest"))
    m = asked(b)
    ids = [turn(b, s, f"q{n}", agent=strategy("latest")) for n in range(3)]
    runs = [b.start_id(i) for i in ids]
    for i, run in zip(ids[:2], runs):
        o = b.result(i)
        assert (o["runId"], o["status"], o["error"]["kind"]) == (run, "cancelled", "run.superseded") and o["error"]["retryable"] is False
        assert b.log_of(run, "run.cancelled")[0]["error"]["kind"] == "run.superseded"
        assert "model.started" not in b.log_types(run)
        assert b.wait_run(run)["error"]["kind"] == "run.superseded"
    reply(b, m, "1")
    b.result(first)
    m = asked(b, runs[2])
    assert users(m) == ["one", "q0", "q1", "q2"]
    reply(b, m, "newest")
    assert b.result(ids[2])["answer"] == "newest"
    assert said(b, s) == [("user", "one"), ("assistant", "1"), ("user", "q0"), ("user", "q1"), ("user", "q2"), ("assistant", "newest")]
    i = turn(b, s, "after", agent=strategy("latest"))
    m = asked(b)
    assert users(m) == ["one", "q0", "q1", "q2", "after"]
    reply(b, m, "x")
    b.result(i)
    assert times_asked(b) == 3


def test_latest_over_processes(lab):
    a, b, c = window(lab), window(lab), window(lab)
    s = session(a)
    first = turn(a, s, "one", agent=strategy("latest"))
    m = asked(a)
    i = turn(b, s, "two", agent=strategy("latest"))
    queued(b, i)
    j = turn(c, s, "three", agent=strategy("latest"))
    assert b.result(i)["error"]["kind"] == "run.superseded"
    run = queued(c, j)
    reply(a, m, "1")
    a.result(first)
    for w in (a, b, c):
        answers(w, "3")
    assert c.result(j)["answer"] == "3"
    assert said(b, s) == [("user", "one"), ("assistant", "1"), ("user", "two"), ("user", "three"), ("assistant", "3")]
    assert status(a, run) == "success"


def test_latest_behind_a_waiting_turn(lab):
    b = lab.bridge()
    s = session(b)
    w = blocker(b, s)
    old = b.run([say("x")], input="old", sessionId=s, agent=strategy("latest"))
    assert old["status"] == "queued" and old["blockedBy"] == w["runId"]
    new = b.run([say("y")], input="new", sessionId=s, agent=strategy("latest"))
    assert new["status"] == "queued"
    assert b.get(old["runId"])["error"]["kind"] == "run.superseded"
    release(b, w)
    assert b.wait_run(new["runId"])["answer"] == "y"


def test_a_turn_at_work_is_not_superseded(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "one", agent=strategy("latest"))
    m = asked(b)
    j = turn(b, s, "two", agent=strategy("latest"))
    queued(b, j)
    reply(b, m, "1")
    assert b.result(i)["status"] == "success"
    reply(b, asked(b), "2")
    assert b.result(j)["status"] == "success"


# ---- merge

def test_merge_makes_one_turn_of_those_that_wait(lab):
    b = window(lab)
    s = session(b)
    first, m, ids, runs = to_be_merged(b, s, 3)
    reply(b, m, "1")
    b.result(first)
    m = asked(b)
    assert m.params["_meta"].get("runId") in (None, runs[2])
    assert users(m) == ["one", "q0", "q1", "q2"]
    assert [status(b, r) for r in runs] == ["queued", "queued", "running"]
    reply(b, m, "all three")
    newest = b.result(ids[2])
    assert (newest["status"], newest["answer"]) == ("success", "all three") and "mergedInto" not in newest
    for i, run in zip(ids[:2], runs):
        o = b.result(i)
        assert (o["runId"], o["status"], o["answer"], o["mergedInto"]) == (run, "success", "all three", runs[2])
        assert b.get(run)["mergedInto"] == runs[2] and b.wait_run(run)["mergedInto"] == runs[2]
        log = b.log(run)
        assert log[-1]["type"] == "run.completed" and log[-1]["data"]["mergedInto"] == runs[2] and "model.started" not in b.log_types(run)
    assert said(b, s) == [("user", "one"), ("assistant", "1"), ("user", "q0"), ("user", "q1"), ("user", "q2"), ("assistant", "all three")]
    assert times_asked(b) == 2


def test_merge_over_processes(lab):
    a, b = window(lab), window(lab)
    s = session(a)
    first = turn(a, s, "one", agent=strategy("merge"))
    m = asked(a)
    ids = []
    for n in range(4):
        w = (a, b)[n % 2]
        ids.append((w, turn(w, s, f"q{n}", agent=strategy("merge"))))
        queued(*ids[-1])
    answers(b, "merged")
    reply(a, m, "1")
    answers(a, "merged")
    a.result(first)
    newest = b.result(ids[3][1])
    assert newest["answer"] == "merged"
    for w, i in ids[:3]:
        o = w.result(i)
        assert (o["status"], o["answer"], o["mergedInto"]) == ("success", "merged", newest["runId"])
    assert [t for r, t in said(a, s)] == ["one", "1", "q0", "q1", "q2", "q3", "merged"]
    assert times_asked(a) + times_asked(b) == 2


@pytest.mark.parametrize("processes", [1, 2])
def test_one_that_cannot_begin_any_more_is_part_of_the_next(lab, processes):
    """Its script is gone when its turn comes; the next turn takes its input along."""
    b = lab.bridge()
    other = b if processes == 1 else lab.bridge()
    s = session(b)
    first = blocker(b, s)
    script = lab.script([say("never")])
    i = other.start(script, agent=strategy("merge"), input="early", sessionId=s)
    early = queued(other, i)
    os.remove(script.removeprefix("script:"))
    release(b, first)
    o = b.run([say("both")], agent=strategy("merge"), input="late", sessionId=s)
    assert (o["status"], o["answer"]) == ("success", "both")
    assert other.wait_run(early)["mergedInto"] == o["runId"]
    assert [text for _, text in said(b, s)][-3:] == ["early", "late", "both"]


def test_turns_that_come_while_a_merged_one_is_at_work_are_merged_next(lab):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one", agent=strategy("merge"))
    m = asked(b)
    early = [turn(b, s, f"e{n}", agent=strategy("merge")) for n in range(2)]
    [queued(b, i) for i in early]
    reply(b, m, "1")
    b.result(first)
    m = asked(b)
    late = [turn(b, s, f"l{n}", agent=strategy("merge")) for n in range(2)]
    runs = [queued(b, i) for i in late]
    reply(b, m, "2")
    assert [b.result(i)["answer"] for i in early] == ["2", "2"]
    m = asked(b)
    assert seen(m)[-4:] == [("user", "e1"), ("assistant", "2"), ("user", "l0"), ("user", "l1")]
    reply(b, m, "3")
    outcomes = [b.result(i) for i in late]
    assert [o["answer"] for o in outcomes] == ["3", "3"] and outcomes[0]["mergedInto"] == runs[1]
    assert [t for _, t in said(b, s)] == ["one", "1", "e0", "e1", "2", "l0", "l1", "3"]


@pytest.mark.parametrize("which", [0, 1])
def test_a_cancelled_one_of_those_that_wait_to_be_merged_is_left_out(lab, which):
    b = window(lab)
    s = session(b)
    first, m, ids, runs = to_be_merged(b, s, 3)
    b.call("run.cancel", {"runId": runs[which]})
    reply(b, m, "1")
    b.result(first)
    m = asked(b)
    left = [n for n in range(3) if n != which]
    assert users(m) == ["one"] + [f"q{n}" for n in left]
    reply(b, m, "both")
    assert b.result(ids[which])["status"] == "cancelled" and "mergedInto" not in b.result(ids[which])
    assert [b.result(ids[n])["answer"] for n in left] == ["both", "both"]
    assert [t for _, t in said(b, s)] == ["one", "1"] + [f"q{n}" for n in left] + ["both"]
    assert b.result(ids[left[0]])["mergedInto"] == runs[left[1]]


def test_a_cancel_of_the_newest_ends_those_that_are_merged_into_it(lab):
    b = window(lab)
    s = session(b)
    first, m, ids, runs = to_be_merged(b, s, 3)
    b.call("run.cancel", {"runId": runs[2]})
    assert b.result(ids[2])["status"] == "cancelled"
    for i in ids[:2]:
        o = b.result(i)
        assert o["status"] == "cancelled" and o["mergedInto"] == runs[2]
    reply(b, m, "1")
    b.result(first)
    speak(b, s, "two", "2")
    assert times_asked(b) == 2
    assert [t for _, t in said(b, s)] == ["one", "1", "two", "2"]


def test_a_cancel_of_one_whose_merged_turn_has_begun_leaves_what_was_said(lab):
    b = window(lab)
    s = session(b)
    first, m, ids, runs = to_be_merged(b, s, 2)
    reply(b, m, "1")
    b.result(first)
    m = asked(b)
    assert users(m) == ["one", "q0", "q1"]
    b.call("run.cancel", {"runId": runs[0]})
    assert b.result(ids[0])["status"] == "cancelled"
    reply(b, m, "both")
    assert b.result(ids[1])["answer"] == "both"
    assert [t for _, t in said(b, s)] == ["one", "1", "q0", "q1", "both"]


def test_the_merged_end_as_the_newest_ends(lab):
    b = window(lab)
    s = session(b)
    first, m, ids, runs = to_be_merged(b, s, 2)
    reply(b, m, "1")
    b.result(first)
    asked(b)
    b.call("run.cancel", {"runId": runs[1]})
    assert b.result(ids[1])["status"] == "cancelled"
    o = b.result(ids[0])
    assert o["status"] == "cancelled" and o["mergedInto"] == runs[1]


def test_the_merged_end_in_error_as_the_newest(lab):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one", agent=strategy("merge"))
    m = asked(b)
    i = turn(b, s, "q0", agent=strategy("merge"))
    run = queued(b, i)
    j = turn(b, s, "q1", model=lab.script([]), agent=strategy("merge"))
    queued(b, j)
    reply(b, m, "1")
    b.result(first)
    newest, o = b.result(j), b.result(i)
    assert newest["status"] == "error" and newest["error"]["kind"] == "script.exhausted"
    assert (o["runId"], o["status"], o["error"]["kind"], o["mergedInto"]) == (run, "error", "script.exhausted", newest["runId"])


def test_a_merged_turn_that_waits_keeps_the_others_queued_and_says_so(lab):
    b = lab.bridge()
    s = session(b)
    w = blocker(b, s)
    old = b.run([say("x")], input="old", sessionId=s, agent=strategy("merge"))
    new = b.run([calls("u"), say("end")], [tool("u")], input="new", sessionId=s, agent=strategy("merge"))
    assert old["status"] == new["status"] == "queued"
    release(b, w)
    o = b.wait_run(new["runId"])
    assert o["status"] == "waiting_client_tool"
    q = b.wait_run(old["runId"])
    assert q["status"] == "queued" and q["blockedBy"] == new["runId"]
    release(b, o)
    assert b.wait_run(new["runId"])["answer"] == "end"
    q = b.wait_run(old["runId"])
    assert (q["status"], q["answer"], q["mergedInto"]) == ("success", "end", new["runId"])


def test_a_merged_turn_survives_a_kill(lab):
    a = window(lab)
    s = session(a)
    turn(a, s, "one", agent=strategy("merge"))
    m = asked(a)
    ids = [turn(a, s, f"q{n}", agent=strategy("merge")) for n in range(3)]
    runs = [queued(a, i) for i in ids]
    reply(a, m, "1")
    asked(a, runs[2])
    a.kill9()
    b = window(lab)
    i = b.request("run.resume", {"runId": runs[2]})
    m = asked(b)
    assert users(m) == ["one", "q0", "q1", "q2"]
    reply(b, m, "merged")
    assert b.result(i)["answer"] == "merged"
    for r in runs[:2]:
        o = b.wait_run(r)
        assert (o["status"], o["answer"], o["mergedInto"]) == ("success", "merged", runs[2])


# ---- drop

def test_drop_refuses_and_stores_nothing(lab):
    a, b = window(lab), window(lab)
    s = session(a)
    i = turn(a, s, "one", agent=strategy("drop"))
    m = asked(a)
    before = messages(a, s)
    for one in (a, b):
        for more in ({}, {"wait": False}, {"idempotencyKey": "k"}):
            e = one.fails("run.start", one.params("parent:m", input="two", agent=strategy("drop"), sessionId=s, **more), kind="run.dropped")
            assert e.code > 0
    assert len(a.call("run.list")["runs"]) == 1 and messages(a, s) == before
    assert a.call("session.get", {"sessionId": s})["branches"][0]["turns"] == 1
    reply(a, m, "1")
    a.result(i)
    speak(b, s, "three", "3", agent=strategy("drop"))
    assert said(a, s) == [("user", "one"), ("assistant", "1"), ("user", "three"), ("assistant", "3")]
    i = b.request("run.start", b.params("parent:m", input="four", agent=strategy("drop"), sessionId=s, idempotencyKey="k"))
    reply(b, asked(b), "4")
    assert b.result(i)["status"] == "success"


def test_drop_behind_a_waiting_turn(lab):
    b = lab.bridge()
    s = session(b)
    w = blocker(b, s)
    b.fails("run.start", b.params([say("x")], sessionId=s, agent=strategy("drop")), kind="run.dropped")
    release(b, w)
    b.succeeds([say("x")], sessionId=s, agent=strategy("drop"))


def test_drop_in_another_branch_is_not_dropped(lab):
    b = window(lab)
    s = session(b)
    speak(b, s, "one", "1")
    branch = b.call("session.fork", {"sessionId": s, "atMessageId": messages(b, s)[1]["id"]})["branchId"]
    i = turn(b, s, "two", agent=strategy("drop"))
    m = asked(b)
    speak(b, s, "two b", "2 b", agent=strategy("drop"), branchId=branch)
    reply(b, m, "2")
    b.result(i)


def test_of_racing_turns_that_drop_exactly_one_is_taken(lab):
    bridges = [window(lab) for _ in range(4)]
    s = session(bridges[0])
    ids = [(b, turn(b, s, f"{k}-{n}", agent=strategy("drop"))) for n in range(3) for k, b in enumerate(bridges)]
    requests = []

    def one():
        for b in bridges:
            with b.cond:
                requests.extend(m for m in b.messages if m.is_request and m.i not in b.taken)
                b.taken |= {m.i for m in b.messages if m.is_request}
        return requests
    until(one, "the one")
    dropped = 0
    until(lambda: sum(any(m.is_response and m.id == i for m in b.messages) for b, i in ids) == 11, "eleven to be dropped")
    for b, i in ids:
        m = next((m for m in b.messages if m.is_response and m.id == i), None)
        if m is not None:
            assert m.error["data"]["kind"] == "run.dropped"
            dropped += 1
    assert dropped == 11 and len(one()) == 1
    for b in bridges:
        if requests[0] in b.messages:
            reply(b, requests[0], "mine")
    until(lambda: len(bridges[0].call("run.list", {"status": "success"})["runs"]) == 1, "the one to end")
    assert len(said(bridges[0], s)) == 2


# ---- debounce

def debounce(ms):
    return {"messageConcurrency": {"strategy": "debounce", "debounceMs": ms}}


def quiet(b, run):
    """Milliseconds from the turn's beginning to its first model call, by the bridge's own times."""
    at = {e["type"]: datetime.fromisoformat(e["time"].replace("Z", "+00:00")) for e in reversed(b.log(run))}
    return (at["model.started"] - at["run.started"]).total_seconds() * 1000


def test_debounce_waits_for_quiet_and_runs_the_last(lab):
    b = window(lab)
    s = session(b)
    ids = [turn(b, s, f"q{n}", agent=debounce(700)) for n in range(4)]
    runs = [b.start_id(i) for i in ids]
    for i in ids[:3]:
        o = b.result(i)
        assert (o["status"], o["error"]["kind"]) == ("cancelled", "run.superseded")
    m = asked(b, runs[3])
    assert quiet(b, runs[3]) >= 690
    assert users(m) == ["q0", "q1", "q2", "q3"]
    reply(b, m, "ok")
    assert b.result(ids[3])["answer"] == "ok"
    assert times_asked(b) == 1


def test_a_debounced_turn_alone_begins_after_the_quiet_time(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "alone", agent={"messageConcurrency": {"strategy": "debounce"}})
    reply(b, asked(b), "ok")
    o = b.result(i)
    assert o["status"] == "success" and quiet(b, o["runId"]) >= 740  # debounceMs is 750
    for n in range(3):
        i = turn(b, s, "at once", agent=debounce(0))
        reply(b, asked(b), "ok")
        assert b.result(i)["status"] == "success"


def test_debounce_over_processes(lab):
    a, b = window(lab), window(lab)
    s = session(a)
    i = turn(a, s, "one", agent=debounce(1500))
    run = queued(a, i)
    j = turn(b, s, "two", agent=debounce(1500))
    assert a.result(i)["error"]["kind"] == "run.superseded"
    answers(a, "fine"), answers(b, "fine")
    assert b.result(j)["answer"] == "fine"
    assert said(a, s) == [("user", "one"), ("user", "two"), ("assistant", "fine")] and status(b, run) == "cancelled"


def test_debounce_behind_a_turn_at_work(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "one")
    m = asked(b)
    j = turn(b, s, "two", agent=debounce(100))
    k = turn(b, s, "three", agent=debounce(100))
    assert b.result(j)["error"]["kind"] == "run.superseded"
    queued(b, k)
    reply(b, m, "1")
    b.result(i)
    reply(b, asked(b), "3")
    assert b.result(k)["answer"] == "3"


def test_a_debounced_turn_whose_process_died_in_the_quiet_time(lab):
    a = lab.bridge()
    s = session(a)
    model = lab.script([say("late")])
    i = a.start(model, input="one", agent=debounce(1000), sessionId=s)
    run = queued(a, i)
    a.kill9()
    b = lab.bridge()
    o = b.run([say("second")], input="two", sessionId=s)
    if not o["ended"]:  # it says by whom it is blocked, and that one can be taken up
        assert o["status"] == "queued" and o["blockedBy"] == run, o
        b.call("run.resume", {"runId": run, "wait": False})
    assert b.wait_run(o["runId"])["answer"] == "second"
    assert b.wait_run(run)["answer"] == "late"


@pytest.mark.parametrize("wrong,pointer", [("later", ""), (7, ""), ({"strategy": "debounce", "debounceMs": -1}, "/debounceMs"),
                                           ({"strategy": "debounce", "debounceMs": "x"}, "/debounceMs"), ({"debounceMs": 5}, "/strategy"),
                                           ({"strategy": "soon"}, "/strategy")])
def test_a_strategy_that_is_none_is_refused(lab, wrong, pointer):
    b = lab.bridge()
    s = session(b)
    at = "/agent/messageConcurrency"
    b.refuses("run.start", b.params([say("x")], sessionId=s, agent={"messageConcurrency": wrong}), (at + pointer, at))
    assert b.call("run.list") == {"runs": []}


@pytest.mark.parametrize("ms", ["30.0", "3e1"])
def test_a_quiet_time_is_a_whole_number_however_it_is_written(lab, ms):
    b = lab.bridge()
    s, model = session(b), lab.script([say("ok")])
    o = b.result(b.request_raw("run.start", '{"input":"x","sessionId":"%s","agent":{"model":"%s","messageConcurrency":{"strategy":"debounce","debounceMs":%s}}}'
                               % (s, model, ms)))
    assert o["status"] == "success"


def test_a_strategy_means_nothing_without_a_session(lab):
    b = lab.bridge()
    for name in ("queue", "latest", "merge", "drop", {"strategy": "debounce", "debounceMs": 60_000}):
        ids = [b.start([say("x", delayMs=200)], agent={"messageConcurrency": name}) for _ in range(2)]
        assert [b.result(i)["status"] for i in ids] == ["success"] * 2


# ---- the strategies together

def test_all_strategies_race_and_every_turn_is_accounted_for(lab):
    bridges = [lab.bridge() for _ in range(3)]
    s = session(bridges[0])
    model = lab.script([say("ok", delayMs=20)])
    names = ["queue", "latest", "merge", {"strategy": "debounce", "debounceMs": 30}, "drop"]
    sent = []
    for n in range(30):
        b = bridges[n % 3]
        sent.append((b, n, b.start(model, input=f"i{n}", agent={"messageConcurrency": names[n % 5]}, sessionId=s)))
    kept, dropped = {}, set()
    for b, n, i in sent:
        try:
            o = b.result(i, timeout=60)
        except RpcError as e:
            assert e.kind == "run.dropped" and n % 5 == 4
            dropped.add(n)
            continue
        assert o.get("answer") == "ok" or o["error"]["kind"] == "run.superseded", o
        if "mergedInto" in o:
            assert bridges[0].get(o["mergedInto"])["status"] == o["status"]
        kept[o["runId"]] = n
    listed = {r["runId"]: r for r in bridges[1].call("run.list", {"sessionId": s, "limit": 100})["runs"]}
    assert set(listed) == set(kept) and all(r["ended"] for r in listed.values())
    inputs = [t for r, t in said(bridges[2], s) if r == "user"]
    assert sorted(inputs) == sorted(f"i{n}" for n in kept.values())
    ran = [r for r in listed.values() if r["status"] == "success" and "mergedInto" not in r]
    assert len([1 for r, _ in said(bridges[2], s) if r == "assistant"]) == len(ran)


@pytest.mark.parametrize("name", ["latest", "merge"])
def test_a_kill_while_the_newest_begins_in_place_of_one_that_waits_loses_nothing(lab, name):
    """Its bridge is killed at some moment after the turn before them ends in another; a fresh one goes on with all."""
    b = lab.bridge()
    for n in range(8):
        other, s = lab.bridge(), session(b)
        one = blocker(b, s)
        queued(other, other.start([say("early")], agent=strategy(name), input="early", sessionId=s))
        i = b.request("run.submitToolResults", b.submit_params(one["runId"], {c["callId"]: "go on" for c in one["pendingToolCalls"]}))
        other.request("run.start", other.params([say("late")], agent=strategy(name), input="late", sessionId=s))
        time.sleep(0.002 * n)
        other.kill9()
        assert b.result(i)["status"] == "success"
        fresh = lab.bridge()
        runs = [o["runId"] for o in fresh.call("run.list", {"sessionId": s})["runs"]]
        for run in reversed(runs):
            try:
                fresh.call("run.resume", {"runId": run})
            except RpcError as e:
                # The bridge that lives has begun it at this moment.
                assert e.kind == "run.leaseHeld"
        assert all(fresh.wait_run(run)["ended"] for run in runs)
        asked = {run: fresh.log_types(run).count("model.completed") for run in runs}
        # Each message is there once, and none is answered twice.
        heard = [text for role, text in said(fresh, s) if role == "user"]
        assert heard in (["blocker", "early"], ["blocker", "early", "late"]) and len(runs) == len(heard)
        assert asked.pop(one["runId"]) == 2 and set(asked.values()) <= {0, 1} and asked[runs[0]] == 1
        fresh.hang_up()

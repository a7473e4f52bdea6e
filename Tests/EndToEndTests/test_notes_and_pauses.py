"""Section 3: `run.addNote`, `run.pause` and `run.resume` by the user, `onLimit: "pause"`; in sessions and out of them."""
import pytest

from conversations import NOWHERE, asked, reply, said, seen, session, status, times_asked, turn, users, window
from harness import ENDED, calls, expect, say, sh, tool, until


def note(b, run, text):
    assert b.call("run.addNote", {"runId": run, "text": text}) == {}


def shows(m, text):
    """How often the model is shown this."""
    return sum(t.count(text) for _, t in seen(m)) + m.params.get("systemPrompt", "").count(text)


# ---- notes

def test_a_note_while_the_model_is_ending_gives_it_one_more_turn(lab):
    b = window(lab)
    i = b.start("parent:m", input="go")
    m = asked(b)
    note(b, b.start_id(i), "only 2026")
    reply(b, m, "first answer")
    m = asked(b)
    assert shows(m, "only 2026") == 1 and ("assistant", "first answer") in seen(m)
    reply(b, m, "second answer")
    o = b.result(i)
    assert (o["status"], o["answer"], o["usage"]["modelCalls"]) == ("success", "second answer", 2)
    assert b.log_of(o["runId"], "note.added") == [{"text": "only 2026"}] and times_asked(b) == 2


def test_a_note_while_a_tool_runs_is_seen_at_the_next_turn_once(lab):
    b = window(lab, capabilities={"tools": {}})
    i = b.start("parent:m", [tool("t")])
    run = b.start_id(i)
    reply(b, asked(b), calls=["t"])
    invoke = b.next_invoke("t")
    note(b, run, "hurry up")
    b.respond(invoke, {"content": "1"})
    m = asked(b)
    assert shows(m, "hurry up") == 1
    reply(b, m, calls=["t"])
    b.respond(b.next_invoke("t"), {"content": "2"})
    m = asked(b)
    assert shows(m, "hurry up") == 1  # still there, not said again
    reply(b, m, "done")
    assert b.result(i)["usage"]["modelCalls"] == 3


def test_several_notes_come_in_order(lab):
    b = window(lab)
    i = b.start("parent:m")
    m = asked(b)
    for n in range(5):
        note(b, b.start_id(i), f"note {n}.")
    reply(b, m, "x")
    m = asked(b)
    text = "".join(t for _, t in seen(m))
    assert [text.count(f"note {n}.") for n in range(5)] == [1] * 5
    assert sorted(range(5), key=lambda n: text.index(f"note {n}.")) == list(range(5))
    reply(b, m, "y")
    assert b.result(i)["usage"]["modelCalls"] == 2


def test_a_note_to_a_waiting_run(lab):
    b = window(lab)
    i = b.start("parent:m", [tool("t")])
    reply(b, asked(b), calls=["t"])
    o = b.result(i)
    assert o["status"] == "waiting_client_tool"
    note(b, o["runId"], "while you wait")
    assert status(b, o["runId"]) == "waiting_client_tool"
    b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "r"}, wait=False)
    m = asked(b)
    assert shows(m, "while you wait") == 1 and ("user", "= r") in seen(m)
    reply(b, m, "done")
    assert b.wait_run(o["runId"])["status"] == "success"


def test_a_note_from_another_process_reaches_the_driver(lab):
    a, b = window(lab), lab.bridge()
    i = a.start("parent:m")
    m = asked(a)
    note(b, a.start_id(i), "from afar")
    a.wait_event("note.added", timeout=10)
    reply(a, m, "x")
    m = asked(a)
    assert shows(m, "from afar") == 1
    reply(a, m, "y")
    assert a.result(i)["answer"] == "y"


def test_a_note_survives_a_kill(lab):
    a = window(lab)
    i = a.start("parent:m")
    run = a.start_id(i)
    asked(a)
    note(a, run, "remember this")
    a.kill9()
    b = window(lab)
    i = b.request("run.resume", {"runId": run})
    m = asked(b)
    assert shows(m, "remember this") == 1
    reply(b, m, "done")
    assert b.result(i)["status"] == "success" and len(b.log_of(run, "note.added")) == 1


def test_a_note_to_a_queued_turn_is_seen_by_its_first_turn(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "one")
    m = asked(b)
    j = turn(b, s, "two")
    run = b.start_id(j)
    until(lambda: status(b, run) == "queued", "the queue")
    note(b, run, "and briefly")
    assert status(b, run) == "queued"
    reply(b, m, "1")
    b.result(i)
    m = asked(b)
    assert shows(m, "and briefly") == 1 and ("user", "two") in seen(m)
    reply(b, m, "2")
    o = b.result(j)
    assert o["usage"]["modelCalls"] == 1
    assert [e["data"] for e in b.log(run) if e["type"] == "note.added"] == [{"text": "and briefly"}]


def test_a_note_stays_in_the_conversation(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "one")
    m = asked(b)
    note(b, b.start_id(i), "a remark")
    reply(b, m, "1")
    reply(b, asked(b), "1b")
    b.result(i)
    i = turn(b, s, "two")
    m = asked(b)
    assert shows(m, "a remark") == 1 and seen(m)[-1] == ("user", "two")
    reply(b, m, "2")
    b.result(i)
    assert sum("a remark" in t for _, t in said(b, s)) == 1


def test_a_note_to_a_paused_run(lab):
    b = window(lab)
    i = b.start("parent:m", [tool("t")])
    reply(b, asked(b), calls=["t"])
    o = b.result(i)
    b.call("run.pause", {"runId": o["runId"]})
    note(b, o["runId"], "for later")
    assert status(b, o["runId"]) == "paused"
    b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "r"})
    assert times_asked(b) == 1
    i = b.request("run.resume", {"runId": o["runId"]})
    m = asked(b)
    assert shows(m, "for later") == 1
    reply(b, m, "done")
    assert b.result(i)["status"] == "success"


def test_notes_that_are_refused(lab):
    b = lab.bridge()
    run = b.succeeds([say("ok")])["runId"]
    b.fails("run.addNote", {"runId": run, "text": "too late"}, kind="run.alreadyTerminal")
    b.fails("run.addNote", {"runId": NOWHERE, "text": "x"}, kind="run.notFound")
    b.refuses("run.addNote", {"runId": run}, ("/text", ""))
    b.refuses("run.addNote", {"runId": run, "text": 7}, "/text")
    assert "note.added" not in b.log_types(run)


def test_racing_notes_are_all_seen_once(lab):
    """Notes from three processes while the run calls tools and ends: each that was taken is shown exactly once at the end."""
    a, b, c = window(lab), lab.bridge(), lab.bridge()
    i = a.start("parent:m", [sh("t", "sleep 0.02")])
    run = a.start_id(i)
    ids = []
    for n in range(15):
        m = asked(a)
        ids += [(w, f"[{k}-{n}]", w.request("run.addNote", {"runId": run, "text": f"[{k}-{n}]"})) for k, w in enumerate((a, b, c))]
        reply(a, m, calls=["t"])
    m = asked(a)
    while True:
        reply(a, m, "the end")
        done = a.wait(lambda x: x.i > m.i and (x.is_request and x.method == "sampling/createMessage" or x.is_response and x.id == i), "the next or the end")
        if done.is_response:
            break
        m = asked(a)
    taken = [text for w, text, id in ids if w.wait_response(id).error is None]
    assert len(taken) == 45
    assert [shows(m, t) for t in taken] == [1] * 45
    assert sorted(x["text"] for x in a.log_of(run, "note.added")) == sorted(taken)


def test_a_big_note(lab):
    b = window(lab)
    i = b.start("parent:m")
    m = asked(b)
    big = "n" * 100_000
    note(b, b.start_id(i), big)
    reply(b, m, "x")
    m = asked(b)
    assert shows(m, big) == 1
    reply(b, m, "y")
    b.result(i)


# ---- pause and resume

def test_a_pause_comes_before_the_next_model_call(lab):
    b = window(lab)
    i = b.start("parent:m", [sh("t", "echo ran")])
    run = b.start_id(i)
    m = asked(b)
    j = b.request("run.pause", {"runId": run})
    reply(b, m, calls=["t"])
    o = b.result(j)
    assert o["status"] == "paused" and "error" not in o
    assert b.result(i)["status"] == "paused" and times_asked(b) == 1
    k = b.request("run.resume", {"runId": run})
    m = asked(b)
    assert any("ran" in t for _, t in seen(m))
    reply(b, m, "done")
    assert b.result(k)["answer"] == "done"
    types = b.log_types(run)
    assert types.count("run.paused") == 1 and types.count("run.resumed") == 1


def test_a_pause_of_a_run_that_is_ending(lab):
    """The pause comes while the last model call is out: it ends, or is paused; a resume then ends it."""
    b = window(lab)
    i = b.start("parent:m")
    run = b.start_id(i)
    m = asked(b)
    j = b.request("run.pause", {"runId": run})
    reply(b, m, "the answer")
    o = b.result(j)
    assert b.result(i)["status"] == o["status"]
    if o["status"] == "paused":
        o = b.call("run.resume", {"runId": run})
    assert (o["status"], o["answer"]) == ("success", "the answer") and times_asked(b) == 1


def test_a_pause_from_another_process(lab):
    a, b = window(lab), lab.bridge()
    i = a.start("parent:m", [sh("t", "sleep 0.02; echo ran")])
    run = a.start_id(i)
    m = asked(a)
    j = b.request("run.pause", {"runId": run})
    for _ in range(50):  # the driver sees it within 250 ms: in one of these turns, on whatever machine
        reply(a, m, calls=["t"])
        m = a.wait(lambda x: x.i > m.i and (x.is_request or x.is_response and x.id == i), "the next model call or the pause")
        if m.is_response:
            break
    assert b.result(j)["status"] == "paused" and m.result["status"] == "paused"
    k = a.request("run.resume", {"runId": run})
    reply(a, a.wait(lambda x: x.i > m.i and x.is_request, "the model call after the pause"), "done")
    assert a.result(k)["answer"] == "done"


def test_a_waiting_run_is_paused_at_once_and_keeps_what_is_pending(lab):
    b = lab.bridge()
    o = b.run([calls("t", "u"), say("end", expect=expect(content="late"))], [tool("t"), tool("u")])
    p = b.call("run.pause", {"runId": o["runId"]})
    assert p["status"] == "paused" and "error" not in p and p["driver"] == "none"
    assert [c["name"] for c in p["pendingToolCalls"]] == ["t", "u"]
    for again in ("run.pause", "run.wait", "run.get"):
        assert lab.bridge().call(again, {"runId": o["runId"]})["status"] == "paused"
    s = b.submit(o["runId"], {c["callId"]: "late" for c in o["pendingToolCalls"]})
    assert s["status"] == "paused" and s["pendingToolCalls"] == []
    assert b.call("run.resume", {"runId": o["runId"]})["answer"] == "end"
    assert b.log_types(o["runId"]).count("run.completed") == 1


def test_a_paused_run_resumed_with_calls_pending_waits_again(lab):
    b = lab.bridge()
    o = b.run([calls("t"), say("end")], [tool("t")])
    b.call("run.pause", {"runId": o["runId"]})
    r = b.call("run.resume", {"runId": o["runId"]})
    assert r["status"] == "waiting_client_tool" and [c["name"] for c in r["pendingToolCalls"]] == ["t"]
    assert b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})["status"] == "success"


def test_requests_that_are_out_stay_open_over_a_pause(lab):
    b = lab.parent()
    i = b.start([calls("t"), say("end", expect=expect(content="answer"))], [tool("t")])
    invoke = b.next_invoke("t")
    run = b.start_id(i)
    p = b.call("run.pause", {"runId": run})
    assert p["status"] == "paused" and p["pendingToolCalls"][0]["state"] == "open"
    b.respond(invoke, {"content": "answer"})
    b.wait_event("tool.completed", run)
    assert status(b, run) == "paused"
    assert not b.collect(lambda m: m.method == "notifications/cancelled")
    assert b.call("run.resume", {"runId": run})["answer"] == "end"
    assert len(b.invokes()) == 1
    b.result(i)


def test_an_ended_run_is_not_paused(lab):
    b = lab.bridge()
    o = b.succeeds([say("ok")])
    assert b.call("run.pause", {"runId": o["runId"]}) == o
    b.fails("run.pause", {"runId": NOWHERE}, kind="run.notFound")


def test_a_paused_run_survives_a_restart_and_is_adopted_by_nobody(lab):
    a = lab.bridge()
    o = a.run([calls("t"), say("end")], [tool("t")])
    a.call("run.pause", {"runId": o["runId"]})
    a.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})
    a.kill9()
    b = lab.bridge("--adopt")
    other = b.run([say("ok")])
    assert other["status"] == "success"
    assert b.call("run.wait", {"runId": o["runId"], "timeoutMs": 1500})["status"] == "paused"
    assert b.call("run.resume", {"runId": o["runId"]})["status"] == "success"


def test_a_paused_run_is_cancelled(lab):
    b = lab.bridge()
    o = b.run([calls("t"), say("end")], [tool("t")])
    b.call("run.pause", {"runId": o["runId"]})
    assert lab.bridge().call("run.cancel", {"runId": o["runId"]})["status"] == "cancelled"
    assert b.call("run.resume", {"runId": o["runId"]})["status"] == "cancelled"


def test_a_queued_turn_is_paused_at_once_and_begins_only_when_resumed(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "one")
    m = asked(b)
    j = turn(b, s, "two")
    run = b.start_id(j)
    until(lambda: status(b, run) == "queued", "the queue")
    assert b.call("run.pause", {"runId": run})["status"] == "paused"
    assert b.result(j)["status"] == "paused"
    third = turn(b, s, "three")
    reply(b, m, "1")
    assert b.result(i)["status"] == "success"
    k = b.result(third)
    assert k["status"] == "queued" and k["blockedBy"] == run
    assert b.call("run.wait", {"runId": run, "timeoutMs": 500})["status"] == "paused" and times_asked(b) == 1
    i = b.request("run.resume", {"runId": run})
    m = asked(b)
    assert users(m) == ["one", "two"]
    reply(b, m, "2")
    assert b.result(i)["answer"] == "2"
    m = asked(b)
    assert users(m) == ["one", "two", "three"]
    reply(b, m, "3")
    assert b.wait_run(k["runId"])["answer"] == "3"


def test_a_queued_turn_that_was_paused_and_resumed_is_queued_again(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "one")
    m = asked(b)
    j = turn(b, s, "two")
    run = b.start_id(j)
    until(lambda: status(b, run) == "queued", "the queue")
    b.call("run.pause", {"runId": run})
    b.result(j)
    k = b.request("run.resume", {"runId": run})
    until(lambda: status(b, run) == "queued", "it to be queued again")
    assert times_asked(b) == 1
    reply(b, m, "1")
    b.result(i)
    m = asked(b)
    assert users(m) == ["one", "two"]
    reply(b, m, "2")
    assert b.wait_run(run)["answer"] == "2"
    assert b.result(k)["status"] in ("queued", "success")


@pytest.mark.parametrize("limits,error", [({"maxIterations": 2}, True), ({"maxToolCalls": 2}, True)])
def test_a_limit_pauses_and_a_resume_with_other_limits_goes_on(lab, limits, error):
    b = window(lab)
    s = session(b)
    o = b.run([calls("t"), calls("t"), calls("t"), say("end")], [sh("t", "echo x")], sessionId=s, limits={**limits, "onLimit": "pause"})
    assert o["status"] == "paused" and o["error"]["kind"] == "run.limitExceeded"
    q = b.result(turn(b, s, "behind"))
    assert q["status"] == "queued" and q["blockedBy"] == o["runId"]
    r = b.call("run.resume", {"runId": o["runId"], "limits": {k: 25 for k in limits}})
    assert (r["status"], r["answer"]) == ("success", "end")
    m = asked(b)
    assert users(m)[-1] == "behind"
    reply(b, m, "then")
    assert b.wait_run(q["runId"])["answer"] == "then"


def test_a_pause_and_a_resume_race_and_nothing_is_lost(lab):
    b, c = lab.parent(), lab.bridge()
    b.handlers["t"] = lambda p: {"content": "r"}
    turns = [calls("t") for _ in range(20)] + [say("end")]
    o = b.run(turns, [tool("t")], wait=False)
    for n in range(15):
        c.call("run.pause", {"runId": o["runId"]})
        if b.wait_run(o["runId"])["status"] in ENDED:
            break
        b.request("run.resume", {"runId": o["runId"]})
    last = until(lambda: next((x for x in [b.get(o["runId"])] if x["ended"] or x["status"] == "paused"), None), "it to settle", 30)
    if not last["ended"]:
        last = b.call("run.resume", {"runId": o["runId"]}, timeout=30)
    assert last["answer"] == "end"
    log = b.log(o["runId"])
    assert sum(e["type"] == "tool.completed" for e in log) == 20

"""Section 3: cancel, resume, pause and notes in every state that can be reached now; leases and crashes."""
import time

import pytest

from harness import DEFER, Never, TIMEOUT, TIME, ULID, alive, assert_pending, calls, contains, expect, say, sh, sub, tool, until

STORES = ("sqlite", "postgres")

NOWHERE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def in_model(b, *turns, **more):
    """A run in a model call that takes a minute."""
    run = b.background([*turns, say("late", delayMs=60_000)], **more)
    until(lambda: b.get(run)["status"] == "running" and b.get(run)["driver"] != "none")
    b.wait_event("model.started", run)
    return run


def waiting(b, last=None, **more):
    o = b.run([calls("t"), last or say("ok")], [tool("t")], delivery="pause", **more)
    return o["runId"], o["pendingToolCalls"][0]["callId"]


def cancel(b, run, **more):
    return b.call("run.cancel", {"runId": run, **more})


def resume(b, run, timeout=None, **more):
    return b.call("run.resume", {"runId": run, **more}, timeout)


def pause(b, run):
    return b.call("run.pause", {"runId": run})


def note(b, run, text):
    return b.call("run.addNote", {"runId": run, "text": text})


# ---- cancel

def test_cancel_of_an_unknown_run(bridge):
    bridge.fails("run.cancel", {"runId": NOWHERE}, kind="run.notFound")


def test_cancel_of_a_waiting_run(bridge):
    run, c = waiting(bridge)
    o = cancel(bridge, run, reason="not needed any more")
    assert o["status"] == "cancelled" and o["ended"] and o["pendingToolCalls"] == []
    last = bridge.log(run)[-1]
    assert last["type"] == "run.cancelled" and last["data"]["reason"] == "not needed any more" and last["data"]["status"] == "cancelled"
    done, = bridge.log_of(run, "tool.completed")
    assert done["callId"] == c and done["isError"] is True


def test_cancel_of_a_run_with_an_open_call(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    m = parent.next_invoke()
    o = cancel(parent, m.params["runId"])
    assert o["status"] == "cancelled"
    parent.wait_cancelled(m.id)
    assert parent.result(r)["status"] == "cancelled"


def test_cancel_of_a_run_in_a_model_call(bridge):
    r = bridge.start([say("late", delayMs=60_000)])
    run = bridge.start_id(r)
    bridge.wait_event("model.started", run)
    start = time.monotonic()
    assert cancel(bridge, run)["status"] == "cancelled"
    assert time.monotonic() - start < 5
    assert bridge.result(r)["status"] == "cancelled"


def test_cancel_of_a_run_in_a_command(lab, bridge):
    run = bridge.background([calls("c"), say("ok")], [sh("c", f"echo $$ > {lab.path}/pid; exec sleep 300")])
    until(lambda: lab.lines("pid"))
    assert cancel(bridge, run)["status"] == "cancelled"
    until(lambda: not alive(int(lab.lines("pid")[0])))


def test_cancel_of_a_paused_run(bridge):
    run, _ = waiting(bridge)
    pause(bridge, run)
    assert cancel(bridge, run)["status"] == "cancelled"


def test_cancel_of_an_ended_run_is_its_outcome(bridge):
    o = bridge.run([say("ok")])
    assert cancel(bridge, o["runId"]) == o
    assert cancel(bridge, o["runId"], reason="again") == o
    assert "run.cancelled" not in bridge.log_types(o["runId"])


def test_cancel_twice(bridge):
    run, _ = waiting(bridge)
    a, b = cancel(bridge, run), cancel(bridge, run)
    assert a == b and bridge.log_types(run).count("run.cancelled") == 1


def test_cancel_from_another_process_of_a_waiting_run(lab):
    a, b = lab.parent(), lab.bridge()
    r = a.start([calls("t"), say("ok")], [tool("t")])
    m = a.next_invoke()
    assert cancel(b, m.params["runId"], reason="from b")["status"] == "cancelled"
    a.wait_cancelled(m.id)
    assert a.result(r)["status"] == "cancelled"
    assert a.wait_event("run.cancelled").data["reason"] == "from b"


def test_cancel_from_another_process_of_a_driven_run(lab):
    a, b = lab.bridge(), lab.bridge()
    r = a.start([say("late", delayMs=60_000)])
    run = a.start_id(r)
    a.wait_event("model.started", run)
    start = time.monotonic()
    assert cancel(b, run)["status"] == "cancelled"
    assert time.monotonic() - start < 7
    assert a.result(r)["status"] == "cancelled"


def test_cancel_of_a_run_whose_driver_was_killed(lab):
    a = lab.bridge()
    run = in_model(a)
    a.kill9()
    b = lab.bridge()
    assert cancel(b, run)["status"] == "cancelled"
    assert b.get(run)["driver"] == "none"


def test_a_cancelled_run_takes_nothing_more(bridge):
    run, c = waiting(bridge)
    cancel(bridge, run)
    bridge.fails("run.submitToolResults", bridge.submit_params(run, {c: "x"}), kind="run.alreadyTerminal")
    bridge.fails("run.addNote", {"runId": run, "text": "x"}, kind="run.alreadyTerminal")
    assert resume(bridge, run)["status"] == "cancelled"
    assert pause(bridge, run)["status"] == "cancelled"


def test_many_cancels_at_once_from_many_processes(lab):
    bridges = [lab.bridge() for _ in range(3)]
    run = in_model(bridges[0])
    ids = [(b, b.request("run.cancel", {"runId": run})) for b in bridges for _ in range(3)]
    for b, i in ids:
        assert b.result(i)["status"] == "cancelled"
    assert bridges[0].log_types(run).count("run.cancelled") == 1


# ---- resume: the table

def test_resume_of_an_unknown_run(bridge):
    bridge.fails("run.resume", {"runId": NOWHERE}, kind="run.notFound")


def test_resume_of_an_ended_run_is_its_outcome(bridge):
    o = bridge.run([say("ok")])
    assert resume(bridge, o["runId"]) == o


def test_resume_of_a_run_driven_here_is_its_outcome(bridge):
    run = bridge.background([say("soon", delayMs=700)])
    bridge.wait_event("model.started", run)
    assert resume(bridge, run)["answer"] == "soon"
    assert bridge.log_types(run).count("model.started") == 1


def test_resume_of_a_run_driven_elsewhere_is_lease_held(lab):
    a, b = lab.bridge(), lab.bridge()
    run = in_model(a)
    e = b.fails("run.resume", {"runId": run}, kind="run.leaseHeld")
    assert e.data["retryable"] is True and e.data["retryAfterMs"] >= 0
    cancel(a, run)


def test_resume_takes_up_an_undriven_run(lab):
    a = lab.bridge()
    model = lab.script([say("late", delayMs=60_000)])
    run = a.background(model)
    a.wait_event("model.started", run)
    a.kill9()
    lab.rewrite(model, [say("now")])
    b = lab.bridge()
    o = b.get(run)
    assert (o["status"], o["driver"]) == ("running", "none")
    o = resume(b, run, 2 * TIMEOUT)
    assert (o["status"], o["answer"]) == ("success", "now")
    assert b.check_replay(run)


def test_a_dead_processs_lease_is_seen_at_once(lab):
    a = lab.bridge()
    model = lab.script([say("late", delayMs=60_000)])
    run = a.background(model)
    a.wait_event("model.started", run)
    b = lab.bridge()
    a.kill9()
    lab.rewrite(model, [say("now")])
    start = time.monotonic()
    assert resume(b, run)["status"] == "success"
    assert time.monotonic() - start < 5


def test_resume_sends_a_call_that_was_never_sent(lab):
    a = lab.bridge()
    run, c = waiting(a, say("ok", expect=expect(content="sent now")))
    b = lab.parent()
    b.handlers["t"] = {"content": "sent now"}
    assert resume(b, run)["status"] == "success"
    m, = b.invokes()
    assert m.call_id == c and m.params["attempt"] == 1


def test_resume_sends_a_parked_call_again_with_the_next_attempt(lab):
    a = lab.parent()
    a.start([calls("t"), say("ok", expect=expect(content="second"))], [tool("t")])
    m = a.next_invoke()
    a.kill9()
    b = lab.parent()
    call, = assert_pending(b.get(m.params["runId"]), ["t"], state="parked", attempt=1)
    b.handlers["t"] = {"content": "second"}
    o = resume(b, m.params["runId"])
    assert o["status"] == "success"
    n, = b.invokes()
    assert n.call_id == m.call_id and n.params["attempt"] == 2 and n.params["arguments"] == m.params["arguments"]


def test_attempts_go_on_counting_over_processes(lab):
    a = lab.parent()
    a.start([calls("t"), say("ok")], [tool("t")])
    m = a.next_invoke()
    run = m.params["runId"]
    a.kill9()
    for attempt in (2, 3, 4):
        b = lab.parent()
        b.request("run.resume", {"runId": run})
        n = b.next_invoke()
        assert n.call_id == m.call_id and n.params["attempt"] == attempt
        b.kill9()
    b = lab.parent()
    b.handlers["t"] = {"content": "x"}
    assert resume(b, run)["status"] == "success"
    assert [d["attempt"] for d in b.log_of(run, "tool.started")] == [1, 2, 3, 4, 5]


def test_resume_never_sends_an_open_call(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    m = parent.next_invoke()
    x = parent.request("run.resume", {"runId": m.params["runId"]})
    parent.ping()
    parent.call("run.wait", {"runId": m.params["runId"], "timeoutMs": 300})
    assert len(parent.invokes()) == 1
    parent.respond(m, {"content": "x"})
    assert parent.result(r)["status"] == parent.result(x)["status"] == "success"


def test_resume_from_another_process_never_sends_an_open_call(lab):
    a, b = lab.parent(), lab.parent()
    r = a.start([calls("t"), say("ok")], [tool("t")])
    m = a.next_invoke()
    x = b.request("run.resume", {"runId": m.params["runId"]})
    b.ping()
    b.call("run.wait", {"runId": m.params["runId"], "timeoutMs": 300})
    assert b.invokes() == []
    a.respond(m, {"content": "x"})
    assert a.result(r)["status"] == b.result(x)["status"] == "success"


def test_resume_sends_a_deferred_call_only_when_it_is_named(parent):
    parent.handlers["t"] = DEFER
    o = parent.run([calls("t"), say("ok", expect=expect(content="after all"))], [tool("t")])
    c = o["pendingToolCalls"][0]["callId"]
    o = resume(parent, o["runId"])
    assert o["pendingToolCalls"][0]["state"] == "deferred" and len(parent.invokes()) == 1
    parent.handlers["t"] = {"content": "after all"}
    o = resume(parent, o["runId"], reissue=[c])
    assert o["status"] == "success"
    assert [(m.call_id, m.params["attempt"]) for m in parent.invokes()] == [(c, 1), (c, 2)]


def test_resume_with_delivery_pause_sends_nothing(lab):
    a = lab.bridge()
    run, c = waiting(a)
    b = lab.parent()
    o = resume(b, run, delivery="pause")
    assert o["status"] == "waiting_client_tool" and b.invokes() == []


def test_resume_without_the_capability_sends_nothing(lab):
    a = lab.bridge()
    run, c = waiting(a)
    b = lab.bridge()
    o = resume(b, run)
    assert o["status"] == "waiting_client_tool" and b.invokes() == []
    b.fails("run.resume", {"runId": run, "delivery": "invoke"}, kind="unsupportedCapability")


def test_resume_replays_from_after_seq_first(lab):
    a = lab.bridge()
    run, c = waiting(a)
    log = a.log(run)
    b = lab.bridge()
    o = resume(b, run, afterSeq=0)
    assert o["status"] == "waiting_client_tool"
    assert [m.seq for m in b.events(run, persisted=True)][:len(log)] == [e["seq"] for e in log]
    c2 = lab.bridge()
    resume(c2, run, afterSeq=2)
    seqs = [m.seq for m in c2.events(run, persisted=True)]
    assert seqs[0] == 3 and seqs == list(range(3, 3 + len(seqs)))


def test_resume_without_after_seq_replays_nothing_old(lab):
    a = lab.bridge()
    run, c = waiting(a)
    last = a.get(run)["lastSeq"]
    b = lab.bridge()
    resume(b, run)
    b.ping()
    assert all(m.seq > last for m in b.events(run, persisted=True))


def test_resume_sees_the_events_from_then_on(lab):
    a = lab.bridge()
    run, c = waiting(a)
    a.hang_up()
    b = lab.parent()
    b.handlers["t"] = {"content": "x"}
    resume(b, run, afterSeq=0)
    seqs = [m.seq for m in b.events(run, persisted=True)]
    assert seqs == list(range(1, len(seqs) + 1)) and b.events(run)[-1].type == "run.completed"


def test_resume_with_wait_false(lab):
    a = lab.bridge()
    model = lab.script([say("late", delayMs=60_000)])
    run = a.background(model)
    a.wait_event("model.started", run)
    a.kill9()
    b = lab.bridge()
    o = resume(b, run, wait=False)
    assert not o["ended"]
    cancel(b, run)


def test_a_resume_that_cannot_be_carried_on_claims_nothing(lab):
    a = lab.bridge()
    model = lab.script([say("late", delayMs=60_000)])
    run = a.background(model)
    a.wait_event("model.started", run)
    a.kill9()
    path = lab.path / model.split("/")[-1]
    path.unlink()
    b = lab.bridge()
    before = b.get(run)
    b.fails("run.resume", {"runId": run})
    assert b.get(run)["driver"] == "none" and b.get(run)["lastSeq"] == before["lastSeq"]
    lab.rewrite(model, [say("back")])
    assert resume(b, run)["answer"] == "back"


def test_two_resumes_race_and_only_one_drives(lab):
    a = lab.bridge()
    model = lab.script([say("late", delayMs=60_000)])
    run = a.background(model)
    a.wait_event("model.started", run)
    a.kill9()
    lab.rewrite(model, [say("now", delayMs=500)])
    bridges = [lab.bridge() for _ in range(3)]
    ids = [(b, b.request("run.resume", {"runId": run})) for b in bridges]
    good = 0
    for b, i in ids:
        m = b.wait_response(i)
        if m.error:
            assert m.error["data"]["kind"] == "run.leaseHeld"
        else:
            assert m.result["status"] == "success"
            good += 1
    assert good >= 1
    log = bridges[0].check_replay(run)
    assert [e["type"] for e in log].count("run.completed") == 1


# ---- orphans and --adopt

def test_a_bridge_does_not_take_up_orphans_by_itself(lab):
    a = lab.bridge()
    model = lab.script([say("late", delayMs=60_000)])
    run = a.background(model)
    a.wait_event("model.started", run)
    a.kill9()
    lab.rewrite(model, [say("now")])
    b = lab.bridge()
    assert b.call("run.wait", {"runId": run, "timeoutMs": 700})["status"] == "running"
    assert b.get(run)["driver"] == "none"


def test_with_adopt_it_does(lab):
    a = lab.bridge()
    model = lab.script([say("late", delayMs=60_000)])
    run = a.background(model)
    a.wait_event("model.started", run)
    a.kill9()
    lab.rewrite(model, [calls("t"), say("ok")])
    b = lab.bridge("--adopt")
    until(lambda: b.get(run)["ended"], "the orphan to be taken up", 3 * TIMEOUT)


def test_an_adopted_run_pauses_for_its_client_calls(lab):
    a = lab.parent()
    model = lab.script([say("late", delayMs=60_000)])
    run = a.background(model, [tool("t")])
    a.wait_event("model.started", run)
    a.kill9()
    lab.rewrite(model, [calls("t"), say("ok")])
    b = lab.parent("--adopt")
    until(lambda: b.get(run)["status"] == "waiting_client_tool", "the orphan to wait", 3 * TIMEOUT)
    assert b.invokes() == []
    b.handlers["t"] = {"content": "x"}
    assert resume(b, run)["status"] == "success"


# ---- pause

def test_pause_of_an_unknown_run(bridge):
    bridge.fails("run.pause", {"runId": NOWHERE}, kind="run.notFound")


def test_pause_of_an_ended_run_does_nothing(bridge):
    o = bridge.run([say("ok")])
    assert pause(bridge, o["runId"]) == o


def test_pause_of_a_waiting_run_is_at_once(bridge):
    run, c = waiting(bridge)
    o = pause(bridge, run)
    assert o["status"] == "paused" and not o["ended"] and "error" not in o
    assert [p["callId"] for p in o["pendingToolCalls"]] == [c], "pending calls are listed while paused too"
    assert bridge.get(run)["status"] == "paused"


def test_pause_twice(bridge):
    run, _ = waiting(bridge)
    assert pause(bridge, run) == pause(bridge, run)


def test_pause_of_a_driven_run_is_before_its_next_dispatch(parent):
    run = parent.background([calls("t", delayMs=800), say("ok")], [tool("t")])
    parent.wait_event("model.started", run)
    o = pause(parent, run)
    assert o["status"] == "paused"
    parent.ping()
    assert parent.invokes() == []
    parent.handlers["t"] = {"content": "x"}
    assert resume(parent, run)["status"] == "success"
    assert len(parent.invokes()) == 1


def test_pause_of_a_driven_run_is_before_its_next_model_call(lab, bridge):
    run = bridge.background([calls("c"), say("ok")], [sh("c", f"while [ ! -e {lab.path}/go ]; do sleep 0.02; done")])
    bridge.wait_event("tool.started", run)
    p = bridge.request("run.pause", {"runId": run})
    bridge.ping()
    lab.file("go")
    assert bridge.result(p)["status"] == "paused"
    assert bridge.log_types(run).count("model.started") == 1
    assert resume(bridge, run)["status"] == "success"


def test_pause_from_another_process(lab):
    a, b = lab.parent(), lab.bridge()
    r = a.start([calls("t", delayMs=1000), say("ok")], [tool("t")])
    run = a.start_id(r)
    a.wait_event("model.started", run)
    assert pause(b, run)["status"] == "paused"
    assert a.result(r)["status"] == "paused"
    assert a.invokes() == []


def test_a_run_start_settles_when_its_run_is_paused(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    m = parent.next_invoke()
    pause(parent, m.params["runId"])
    assert parent.result(r)["status"] == "paused"
    parent.respond(m, {"content": "x"})


def test_requests_out_stay_open_over_a_pause_and_their_results_are_stored(parent):
    run = parent.background([calls("t"), say("ok", expect=expect(content="while paused"))], [tool("t")])
    m = parent.next_invoke()
    o = pause(parent, run)
    assert o["pendingToolCalls"][0]["state"] == "open"
    parent.respond(m, {"content": "while paused"})
    parent.wait_event("tool.completed", run)
    parent.ping()
    o = parent.get(run)
    assert o["status"] == "paused" and o["pendingToolCalls"] == []
    assert resume(parent, run)["status"] == "success"
    assert len(parent.invokes()) == 1


def test_the_timeouts_of_requests_out_run_on_over_a_pause(parent):
    run = parent.background([calls("t"), say("ok", expect=expect(content=contains("Client unavailable")))], [tool("t", timeoutMs=500)])
    m = parent.next_invoke()
    pause(parent, run)
    parent.wait_cancelled(m.id)
    parent.wait_event("tool.completed", run)
    assert parent.get(run)["status"] == "paused"
    assert resume(parent, run)["status"] == "success"


def test_a_submit_to_a_paused_run_is_stored_and_does_not_continue_it(bridge):
    run, c = waiting(bridge, say("ok", expect=expect(content="stored")))
    pause(bridge, run)
    o = bridge.submit(run, {c: "stored"})
    assert o["status"] == "paused" and o["verdicts"] == {c: "accepted"}
    assert bridge.log_types(run).count("model.started") == 1
    o = resume(bridge, run)
    assert o["status"] == "success"


def test_resume_of_a_paused_run_with_its_call_still_missing_waits_again(bridge):
    run, c = waiting(bridge)
    pause(bridge, run)
    o = resume(bridge, run)
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["callId"] == c
    assert bridge.submit(run, {c: "x"})["status"] == "success"


def test_a_paused_run_is_resumed_by_a_fresh_process(lab):
    a = lab.bridge()
    run, c = waiting(a)
    pause(a, run)
    a.submit(run, {c: "x"})
    a.kill9()
    b = lab.bridge()
    assert b.get(run)["status"] == "paused"
    assert resume(b, run)["status"] == "success"


def test_a_pause_is_in_the_log(bridge):
    run, c = waiting(bridge)
    pause(bridge, run)
    paused = bridge.log_of(run, "run.paused")
    assert paused[-1]["status"] == "paused"


# ---- notes

def test_a_note_for_an_unknown_run(bridge):
    bridge.fails("run.addNote", {"runId": NOWHERE, "text": "x"}, kind="run.notFound")


def test_a_note_for_an_ended_run_is_already_terminal(bridge):
    o = bridge.run([say("ok")])
    bridge.fails("run.addNote", {"runId": o["runId"], "text": "x"}, kind="run.alreadyTerminal")


@pytest.mark.parametrize("params,pointer", [({"text": "x"}, "/runId"), ({"runId": NOWHERE}, "/text"), ({"runId": NOWHERE, "text": 5}, "/text")])
def test_a_wrong_note_is_invalid_params(bridge, params, pointer):
    bridge.refuses("run.addNote", params, pointer)


def test_the_next_turn_sees_a_note_to_a_waiting_run(bridge):
    run, c = waiting(bridge, say("ok", expect={"role": "user", "content": contains("be brief")}))
    note(bridge, run, "be brief")
    assert "note.added" in bridge.log_types(run)
    o = bridge.submit(run, {c: "x"})
    assert o["status"] == "success", o


def test_the_next_turn_sees_a_note_to_a_paused_run(bridge):
    run, c = waiting(bridge, say("ok", expect={"role": "user", "content": contains("be brief")}))
    pause(bridge, run)
    note(bridge, run, "be brief")
    bridge.submit(run, {c: "x"})
    o = resume(bridge, run)
    assert o["status"] == "success", o


def test_a_note_while_the_model_was_ending_gives_one_more_turn(bridge):
    run = bridge.background([say("first", delayMs=800), say("second", expect={"role": "user", "content": contains("and then?")})])
    bridge.wait_event("model.started", run)
    note(bridge, run, "and then?")
    o = bridge.wait_run(run)
    assert (o["status"], o["answer"]) == ("success", "second")
    assert o["usage"]["modelCalls"] == 2


def test_a_note_while_the_model_calls_a_tool_is_seen_after_it(parent):
    parent.handlers["t"] = {"content": "x"}
    run = parent.background([calls("t", delayMs=800), say("ok", expect={"role": "user", "content": contains("psst")})], [tool("t")])
    parent.wait_event("model.started", run)
    note(parent, run, "psst")
    assert parent.wait_run(run)["status"] == "success"


def test_a_note_from_another_process_reaches_a_driven_run(lab):
    a, b = lab.bridge(), lab.bridge()
    run = a.background([say("first", delayMs=1500), say("second")])
    a.wait_event("model.started", run)
    note(b, run, "hello from b")
    assert a.wait_run(run)["answer"] == "second"
    assert [d["text"] for d in a.log_of(run, "note.added")] == ["hello from b"]


# ---- submits while something runs

def test_a_submit_while_a_server_call_runs_is_stored(lab):
    """running: stored if pending."""
    b = lab.bridge()
    run = b.background([calls("t", "c"), say("ok", expect=expect(name="t", content="early"))],
                       [tool("t"), sh("c", f"while [ ! -e {lab.path}/go ]; do sleep 0.02; done")])
    started = b.wait_event("model.completed", run)
    c = [x["callId"] for x in started.data["toolCalls"] if x["name"] == "t"][0]
    b.wait_event("tool.started", run)
    m = b.wait_response(b.request("run.submitToolResults", b.submit_params(run, {c: "early"}, wait=False)))
    lab.file("go")
    if m.error:
        # a call that was not announced as pending yet may count as not waited for
        assert m.error["data"]["kind"] in ("run.notWaiting", "run.invalidToolResults")
        until(lambda: b.get(run)["status"] == "waiting_client_tool")
        assert b.submit(run, {c: "early"})["status"] == "success"
    else:
        assert b.wait_run(run)["status"] == "success"
        assert len(b.log_of(run, "tool.completed")) == 2


# ---- get

def test_run_get_has_the_outcome_and_more(bridge):
    run, c = waiting(bridge, metadata={"k": "v"})
    g = bridge.get(run)
    assert ULID.match(g["runId"]) and TIME.match(g["createdAt"]) and TIME.match(g["updatedAt"]) and g["createdAt"] <= g["updatedAt"]
    assert g["rejectedResults"] == 0 and g["agent"]["model"].startswith("script:") and g["metadata"] == {"k": "v"}
    assert g["status"] == "waiting_client_tool"


def test_a_run_with_a_never_answering_client_can_be_looked_at(parent):
    parent.handlers["t"] = Never
    run = parent.background([calls("t"), say("ok")], [tool("t")])
    until(lambda: parent.get(run)["status"] == "waiting_client_tool")
    assert_pending(parent.get(run), ["t"], state="open", attempt=1)
    cancel(parent, run)


# ---- whose parent later calls go to

def shared(lab):
    """A run of two calls that are out at one parent, of which another has given the first its result; a later call follows."""
    b, other = lab.parent(), lab.parent()
    r = b.start([calls("c", "e"), calls("later"), say("ok")], [tool("c"), tool("e"), tool("later")])
    c, e = b.next_invoke("c"), b.next_invoke("e")
    o = other.submit(c.params["runId"], [{"callId": c.call_id, "content": "1"}], partial=True)
    assert o["verdicts"] == {c.call_id: "accepted"}
    b.wait_cancelled(c.id)
    return b, other, r, e


def test_after_a_submit_that_was_a_part_later_calls_go_to_its_parent(lab):
    b, other, r, e = shared(lab)
    b.respond(e, {"content": "2"})
    later = other.next_invoke("later")
    other.respond(later, {"content": "3"})
    assert b.result(r)["status"] == "success" and not b.invokes("later")


def test_when_that_parent_hangs_up_later_calls_go_to_the_first_again(lab):
    b, other, r, e = shared(lab)
    assert other.hang_up() == 0
    b.respond(e, {"content": "2"})
    b.respond(b.next_invoke("later"), {"content": "3"})
    assert b.result(r)["status"] == "success"


def test_a_later_call_that_the_other_parent_left_is_sent_by_the_first(lab):
    b, other, r, e = shared(lab)
    other.kill9()
    b.respond(e, {"content": "2"})
    b.respond(b.next_invoke("later"), {"content": "3"})
    assert b.result(r)["status"] == "success"


def test_who_submits_next_takes_later_calls_back(lab):
    b, other, r, e = shared(lab)
    b.call("run.submitToolResults", {"runId": e.params["runId"], "results": [{"callId": e.call_id, "content": "2"}], "wait": False})
    b.respond(b.next_invoke("later"), {"content": "3"})
    assert b.result(r)["status"] == "success" and not other.invokes("later")


def test_a_part_given_at_the_first_parent_takes_later_calls_back(lab):
    b, other = lab.parent(), lab.parent()
    r = b.start([calls("c", "d", "e"), calls("later"), say("ok")], [tool(n) for n in ("c", "d", "e", "later")])
    c, d, e = (b.next_invoke(n) for n in "cde")
    run = e.params["runId"]
    for side, m in ((other, c), (b, d)):
        side.submit(run, [{"callId": m.call_id, "content": "1"}], partial=True)
    b.respond(e, {"content": "2"})
    b.respond(b.next_invoke("later"), {"content": "3"})
    assert b.result(r)["status"] == "success" and not other.invokes("later")


def test_a_part_given_to_the_run_of_a_sub_agent_leaves_its_later_calls_where_they_are(lab):
    b, other = lab.parent(), lab.parent()
    below = sub(lab, "helper", [calls("c", "e"), calls("later"), say("done")], [tool("c"), tool("e"), tool("later")])
    r = b.start([calls(("helper", {"input": "x"})), say("ok")], [below])
    c, e = b.next_invoke("c"), b.next_invoke("e")
    other.submit(c.params["runId"], [{"callId": c.call_id, "content": "1"}], partial=True)
    b.respond(e, {"content": "2"})
    b.respond(b.next_invoke("later"), {"content": "3"})
    assert b.result(r)["status"] == "success"


def test_with_drain_a_parent_that_took_later_calls_over_and_hung_up_leaves_them(lab):
    b = lab.parent()
    b.start([calls("c", "e"), calls("later"), say("ok")], [tool("c"), tool("e"), tool("later")])
    c, e = b.next_invoke("c"), b.next_invoke("e")
    run = c.params["runId"]
    other = lab.parent(capabilities={"tools": {}, "drain": {}})
    other.submit(run, [{"callId": c.call_id, "content": "1"}], partial=True)
    assert b.hang_up() == 0
    i = other.request("run.submitToolResults", {"runId": run, "results": [{"callId": e.call_id, "content": "2"}]})
    other.expected_exit = 75
    assert other.hang_up() == 75
    assert other.result(i)["status"] == "waiting_client_tool"
    assert lab.bridge().get(run)["pendingToolCalls"][0]["name"] == "later"


def test_a_sub_agent_that_has_all_its_results_is_driven_by_who_drives_its_tree(lab):
    """It is taken up within a moment by the driver of the root; whoever waits for it waits for that."""
    a, b = lab.bridge(), lab.bridge()
    works = sub(lab, "works", [say("two", delayMs=2500)])
    waits = sub(lab, "waits", [calls("t"), say("one")], [tool("t")])
    run = a.call("run.start", a.params([calls(("waits", {"input": "x"}), ("works", {"input": "y"})), say("all")], [waits, works], wait=False))["runId"]
    until(lambda: b.get(run)["pendingToolCalls"], "the call of the sub-agent")
    call = b.get(run)["pendingToolCalls"][0]
    o = b.submit(call["runId"], {call["callId"]: "r"})
    assert (o["status"], o["answer"]) == ("success", "one")
    assert a.wait_run(run)["status"] == "success"


def test_a_run_that_another_process_has_deleted_is_not_there(lab):
    a, b = lab.bridge(), lab.bridge()
    request = a.start([calls("t"), say("ok")], [tool("t")], delivery="pause", wait=False)
    run = a.result(request)["runId"]
    wait = a.request("run.wait", {"runId": run})
    b.call("run.cancel", {"runId": run})
    b.call("run.delete", {"runId": run})
    a.fails("run.get", {"runId": run}, "run.notFound")
    assert a.wait_response(wait)

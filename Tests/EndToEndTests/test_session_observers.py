"""Sections 3, 4 and 9: several observers of one run, and of one session, in the same and in other processes."""
import os
import time
from pathlib import Path

import pytest

from conversations import (NOWHERE, asked, fork, messages, reply, session, speak, status, subscribe, turn, window)
from harness import calls, loads, say, sh, sub, text_of, tool, until

STORES = ("sqlite", "postgres")

TYPES = ("run.completed", "run.error", "run.cancelled")


def seqs(b, run):
    return [m.seq for m in b.events(run, persisted=True)]


def complete(b, run):
    """Waits until the connection has seen the run's end."""
    return b.wait(lambda m: m.is_event and m.run_id == run and m.type in TYPES, f"the end of {run}", 20)


def same_log(bridges, run):
    """Each has seen the whole log, once, in order, byte for byte."""
    for b in bridges:
        complete(b, run)
    raw = bridges[0].replay(run)
    for b in bridges:
        assert [m.raw_at("params") for m in b.events(run, persisted=True)] == raw, b.name
    return [loads(x) for x in raw]


def streamed(b, run):
    """The text of each message as it was streamed, by message."""
    out = {}
    for m in b.events(run, "text.delta"):
        out[m.data["messageId"]] = out.get(m.data["messageId"], "") + m.data["text"]
    return out


# ---- who sees what

def test_an_observer_in_the_same_and_in_another_process_sees_a_new_turn_whole(lab):
    a, b, c = window(lab), lab.bridge(), lab.bridge()
    s = session(a)
    for one in (b, c):
        assert subscribe(one, s) == {"runs": []}
    i = turn(a, s, "one", tools=[sh("t", "echo x")])
    reply(a, asked(a), calls=["t"])
    reply(a, asked(a), "done")
    run = a.result(i)["runId"]
    log = same_log([a, b, c], run)
    assert [e["type"] for e in log] == ["run.started", "model.started", "model.completed", "tool.started", "tool.completed", "model.started", "model.completed",
                                        "run.completed"]
    for one in (b, c):
        assert not one.events(run, "run.accepted")


def test_an_observer_that_is_the_driver_is_sent_nothing_twice(lab):
    a = window(lab)
    s = session(a)
    subscribe(a, s)
    run = speak(a, s, "one", "1")["runId"]
    subscribe(a, s)
    a.call("run.subscribe", {"runId": run})
    run2 = speak(a, s, "two", "2")["runId"]
    a.ping()
    same_log([a], run), same_log([a], run2)
    assert streamed(a, run2) == {a.log_of(run2, "model.completed")[0]["messageId"]: "2"}  # the driver's own connection misses none


def test_the_answer_names_the_runs_that_have_not_ended(lab):
    a, b = window(lab), lab.bridge()
    s = session(a)
    speak(a, s, "zero", "0")
    i = turn(a, s, "one")
    m = asked(a)
    j = turn(a, s, "two")
    queued = a.start_id(j)
    until(lambda: status(a, queued) == "queued", "the queue")
    runs = subscribe(b, s)["runs"]
    assert sorted((r["runId"], r["status"], r["lastSeq"]) for r in runs) == sorted([(a.start_id(i), "running", 2), (queued, "queued", 1)])
    reply(a, m, "1")
    reply(a, asked(a), "2")
    for run, after in ((a.start_id(i), 2), (queued, 1)):
        complete(b, run)
        assert seqs(b, run) == list(range(after + 1, a.get(run)["lastSeq"] + 1))


def test_two_sessions_are_not_mixed_up(lab):
    a, b = window(lab), lab.bridge()
    s, other = session(a), session(a)
    subscribe(b, s)
    hidden = speak(a, other, "x", "y")["runId"]
    alone = a.run([say("ok")])["runId"]
    shown = speak(a, s, "x", "y")["runId"]
    complete(b, shown)
    b.ping()
    assert seqs(b, hidden) == [] and seqs(b, alone) == []


def test_branches_are_seen_too(lab):
    a, b = window(lab), lab.bridge()
    s = session(a)
    speak(a, s, "one", "1")
    subscribe(b, s)
    branch = fork(a, s, messages(a, s)[1])
    run = speak(a, s, "two", "2", branchId=branch)["runId"]
    same_log([b], run)


@pytest.mark.parametrize("how", ["submit", "resume", "resume an ended one"])
def test_a_run_that_another_process_has_just_begun_is_seen_whole_by_who_answers_it_at_once(lab, how):
    a, b = lab.bridge(), lab.bridge()
    s = session(a)
    subscribe(b, s)
    for _ in range(5):
        script = [say("ok")] if how == "resume an ended one" else [calls("t"), say("ok")]
        o = a.run(script, None if how == "resume an ended one" else [tool("t")], sessionId=s, delivery="pause")
        run = o["runId"]
        if how == "resume":
            assert b.call("run.resume", {"runId": run, "delivery": "pause"})["status"] == "waiting_client_tool"
        if how == "resume an ended one":
            b.call("run.resume", {"runId": run})
        else:
            assert b.submit(run, {o["pendingToolCalls"][0]["callId"]: {"content": "x"}})["status"] == "success"
        same_log([b], run)


@pytest.mark.parametrize("when", ["before", "later"])
def test_a_sub_agents_run_is_seen_as_the_run_above_it_is(lab, when):
    """Whole by who observed the session before, and from then on by who subscribes later."""
    a, b = lab.parent(), lab.bridge()
    s = session(a)
    if when == "before":
        subscribe(b, s)
    child = sub(lab, "child", [calls("t"), {**calls("t"), "text": "mid"}, say("c")], [tool("t")])
    i = a.start([calls(("child", {"input": "q"})), say("end")], [child], sessionId=s)
    first = a.next_invoke("t")
    root = a.start_id(i)
    kid = next(r for r in a.events_by_run if r != root)
    before = a.get(kid)["lastSeq"]
    if when == "later":
        subscribe(b, s)
    a.respond(first, {"content": "x"})
    a.respond(a.next_invoke("t"), {"content": "y"})
    assert a.result(i)["answer"] == "end"
    complete(b, root), complete(b, kid)
    last = a.get(kid)["lastSeq"]
    assert seqs(b, kid) == list(range(1 if when == "before" else before + 1, last + 1))
    assert seqs(b, root)[-1] == a.get(root)["lastSeq"]


def test_after_replays_the_runs_that_are_named(lab):
    a, b = window(lab), lab.bridge()
    s = session(a)
    runs = [speak(a, s, f"q{n}", f"a{n}")["runId"] for n in range(3)]
    i = turn(a, s, "live")
    m = asked(a)
    live = a.start_id(i)
    got = subscribe(b, s, **{runs[0]: 0, runs[2]: 2, live: 1})
    assert [r["runId"] for r in got["runs"]] == [live]
    reply(a, m, "end")
    complete(b, live)
    last = a.get(runs[0])["lastSeq"]
    assert (seqs(b, runs[0]), seqs(b, runs[1]), seqs(b, runs[2])) == (list(range(1, last + 1)), [], list(range(3, last + 1)))
    assert seqs(b, live) == list(range(2, a.get(live)["lastSeq"] + 1))


def test_after_zero_of_the_live_run_and_again_repeats_only_what_is_asked_for(lab):
    a, b = window(lab), lab.bridge()
    s = session(a)
    i = turn(a, s, "live")
    m = asked(a)
    run = a.start_id(i)
    b.free_seq.add(run)  # the replay below is asked for
    subscribe(b, s, **{run: 0})
    until(lambda: seqs(b, run) == [1, 2], "the replay")
    subscribe(b, s)
    b.ping()
    assert seqs(b, run) == [1, 2]
    subscribe(b, s, **{run: 1})
    until(lambda: seqs(b, run) == [1, 2, 2], "the second replay")
    reply(a, m, "x")
    complete(b, run)
    assert seqs(b, run) == [1, 2, 2, 3, 4]


def test_after_that_is_wrong(lab):
    a = window(lab)
    s, other = session(a), session(a)
    foreign = speak(a, other, "x", "y")["runId"]
    mine = speak(a, s, "x", "y")["runId"]
    e = a.fails("session.subscribe", {"sessionId": s, "after": {NOWHERE: 0}})
    assert e.kind in ("run.notFound", "invalidParams"), e.error
    e = a.fails("session.subscribe", {"sessionId": s, "after": {foreign: 0}})
    assert e.kind in ("run.notFound", "invalidParams"), e.error
    for wrong in (7, [mine], {mine: -1}, {mine: "x"}):
        a.refuses("session.subscribe", {"sessionId": s, "after": wrong}, ("/after", f"/after/{mine}"))


def test_unsubscribe_ends_the_sight_of_new_runs(lab):
    a, b = window(lab), lab.bridge()
    s = session(a)
    subscribe(b, s)
    first = speak(a, s, "one", "1")["runId"]
    complete(b, first)
    assert b.call("session.unsubscribe", {"sessionId": s}) == {}
    later = speak(a, s, "two", "2")["runId"]
    b.call("run.wait", {"runId": later})
    b.call("run.get", {"runId": later})
    b.ping()
    assert seqs(b, later) == []
    b.fails("session.unsubscribe", {"sessionId": NOWHERE}, kind="session.notFound")
    subscribe(b, s)
    third = speak(a, s, "three", "3")["runId"]
    same_log([b], third)


def test_a_session_may_be_observed_before_it_is_used_and_after_a_kill_of_the_user(lab):
    a, b = window(lab), lab.bridge()
    s = session(a)
    subscribe(b, s)
    first = a.start_id(turn(a, s, "one"))
    asked(a)
    a.kill9()
    c = window(lab)
    i = c.request("run.resume", {"runId": first})
    reply(c, asked(c), "1")
    c.result(i)
    run = speak(c, s, "two", "2")["runId"]
    same_log([b], first), same_log([b, c], run)


def test_an_observer_without_events_in_run_start_sees_them_by_its_subscription(lab):
    a = window(lab)
    s = session(a)
    i = turn(a, s, "one", events=False)
    reply(a, asked(a), "1")
    hidden = a.result(i)["runId"]
    assert seqs(a, hidden) == []


# ---- the seam

@pytest.mark.parametrize("how", ["run", "session"])
def test_no_gap_and_no_repeat_at_the_seam(lab, how):
    """Observers join while the run is at full speed; each sees every event exactly once."""
    a = lab.parent()
    a.handlers["t"] = lambda p: {"content": "x"}
    others = [lab.bridge() for _ in range(2)]
    s = session(a)
    o = a.run([calls("t") for _ in range(40)] + [say("end")], [tool("t")], sessionId=s, wait=False, limits={"maxIterations": 100})
    run = o["runId"]
    joined = []
    for n in range(3, 60, 9):
        until(lambda: len(seqs(a, run)) >= n or a.events(run, "run.completed"), "the run to get on", 30)
        b = others[len(joined)] if len(joined) < 2 else lab.bridge()
        if how == "run":
            b.call("run.subscribe", {"runId": run, "afterSeq": 0})
        else:
            subscribe(b, s, **{run: 0})
        joined.append(b)
    same_log([a] + joined, run)
    for b in joined:
        assert seqs(b, run) == list(range(1, len(seqs(a, run)) + 1))


def test_joining_from_now_begins_with_the_next_event(lab):
    a, b = window(lab), lab.bridge()
    s = session(a)
    i = turn(a, s, "one", tools=[sh("t", "echo x")])
    m = asked(a)
    run = a.start_id(i)
    got = b.call("run.subscribe", {"runId": run})
    assert got == {"status": "running", "lastSeq": 2}
    reply(a, m, calls=["t"])
    reply(a, asked(a), "x")
    complete(b, run)
    assert seqs(b, run) == list(range(3, a.get(run)["lastSeq"] + 1))


def test_a_session_of_many_quick_turns_is_seen_whole(lab):
    a, b, c = lab.bridge(), lab.bridge(), lab.bridge()
    s = session(a)
    subscribe(b, s), subscribe(c, s)
    model = lab.script([calls("t"), say("ok")])
    ids = [(w, w.start(model, [sh("t", "echo x")], sessionId=s)) for n in range(10) for w in (a, b)]
    runs = [w.start_id(i) for w, i in ids]
    for run in runs:
        until(lambda: c.get(run)["ended"], "the end", 60)
        same_log([b, c], run)


# ---- streamed text

def test_streamed_text_reaches_all_before_the_message_is_complete(lab):
    a, b, c = window(lab), lab.bridge(), lab.bridge()
    s = session(a)
    subscribe(b, s)
    i = turn(a, s, "one")
    m = asked(a)
    run = a.start_id(i)
    c.call("run.subscribe", {"runId": run, "afterSeq": 0})
    token = m.params["_meta"]["progressToken"]
    said = ""
    for n, piece in enumerate(["Once ", "upon ", "a time ", "there was"], 1):
        a.notify("notifications/progress", {"progressToken": token, "progress": n, "message": piece})
        said += piece
        for one in (a, b, c):
            until(lambda: "".join(streamed(one, run).values()) == said, f"{one.name} to see {said!r}")
    reply(a, m, said)
    message = a.log_of(run, "model.completed")[0]["messageId"] if a.result(i) else None
    for one in (a, b, c):
        complete(one, run)
        assert streamed(one, run) == {message: said}
        order = [x.type for x in one.events(run) if x.type in ("text.delta", "model.started", "model.completed")]
        assert order[0] == "model.started" and order[-1] == "model.completed"


def test_the_first_piece_of_a_new_turn_is_streamed_too(lab):
    """Subscribed before the turn began, an observer in another process is shown the text from its beginning, whenever it learns of the turn."""
    a, b = window(lab), lab.bridge()
    s = session(a)
    subscribe(b, s)
    for n in range(6):
        i = turn(a, s, f"q{n}")
        m = asked(a)
        run = a.start_id(i)
        for k, piece in enumerate(["<1>", "<2>"], 1):
            a.notify("notifications/progress", {"progressToken": m.params["_meta"]["progressToken"], "progress": k, "message": piece})
            until(lambda: piece in "".join(streamed(b, run).values()), f"{piece} to be streamed to the other process", 5)
        reply(a, m, "<1><2>")
        a.result(i)
        assert list(streamed(b, run).values()) == ["<1><2>"]


def test_an_observer_that_comes_late_to_a_stream_is_shown_one_piece_of_it(lab):
    """What it sees of the streamed text has no hole and no repeat; the whole comes in model.completed."""
    a, b = window(lab), lab.bridge()
    s = session(a)
    i = turn(a, s, "one")
    m = asked(a)
    run = a.start_id(i)
    token = m.params["_meta"]["progressToken"]
    pieces = [f"<{n}>" for n in range(60)]
    for n, piece in enumerate(pieces, 1):
        a.notify("notifications/progress", {"progressToken": token, "progress": n, "message": piece})
        if n == 20:
            a.ping()
            subscribe(b, s, **{run: 0})
        if n in (30, 40, 60):
            until(lambda: piece in "".join(streamed(b, run).values()), f"{piece} to be streamed to the other process")
    reply(a, m, "".join(pieces))
    a.result(i)
    complete(b, run)
    text = "".join(streamed(b, run).values())
    assert "".join(pieces).endswith(text)
    assert text_of(b.events(run, "model.completed")[0].data["text"]) == "".join(pieces)


def test_the_progress_of_a_clients_tool_is_seen_in_other_processes(lab):
    a, b = lab.parent(), lab.bridge()
    s = session(a)
    subscribe(b, s)
    i = a.start([calls("t"), say("end")], [tool("t")], sessionId=s)
    invoke = a.next_invoke("t")
    run = a.start_id(i)
    for n in range(1, 4):
        a.notify("notifications/progress", {"progressToken": invoke.params["_meta"]["progressToken"], "progress": n, "total": 3, "message": f"step {n}"})
        for one in (a, b):
            until(lambda: f"step {n}" in [x.data.get("message") for x in one.events(run, "tool.progress")], f"{one.name} to see step {n}")
    a.answer(invoke, {"content": "done"})
    assert a.result(i)["answer"] == "end"
    complete(b, run)
    for one in (a, b):
        seen = [x.data for x in one.events(run, "tool.progress")]
        assert [x["callId"] for x in seen] == [invoke.params["callId"]] * 3 and [x["progress"] for x in seen] == [1, 2, 3]


def test_opting_out_of_deltas_is_the_connections_own(lab):
    a = window(lab)
    b = lab.bridge(capabilities={"events": {"optOut": ["text.delta"]}})
    c = lab.bridge()
    s = session(a)
    subscribe(b, s), subscribe(c, s)
    i = turn(a, s, "x")
    m = asked(a)
    run = a.start_id(i)
    a.notify("notifications/progress", {"progressToken": m.params["_meta"]["progressToken"], "progress": 1, "message": "streamed"})
    until(lambda: "".join(streamed(c, run).values()) == "streamed", "the streamed text")
    reply(a, m, "streamed")
    complete(b, run), complete(c, run)
    assert not b.events(run, "text.delta") and "".join(streamed(c, run).values()) == "streamed"


# ---- what others do is seen by all

def test_an_answer_by_one_is_seen_by_the_others(lab):
    a, b, c = lab.bridge(), lab.bridge(), lab.bridge()
    s = session(a)
    subscribe(b, s), subscribe(c, s)
    o = a.run([calls("t", "u"), say("end")], [tool("t"), tool("u")], sessionId=s)
    t, u = o["pendingToolCalls"]
    for one in (b, c):
        paused = one.wait_event("run.paused", o["runId"])
        assert [x["callId"] for x in paused.data["pendingToolCalls"]] == [t["callId"], u["callId"]]
    b.submit(o["runId"], {t["callId"]: "from b"}, partial=True)
    for one in (a, b, c):
        done = one.wait_event("tool.completed", o["runId"], where=lambda m: m.data["callId"] == t["callId"])
        assert text_of(done.data["content"]) == "from b"
    assert c.submit(o["runId"], {u["callId"]: "from c"})["answer"] == "end"
    same_log([a, b, c], o["runId"])


def test_an_answer_by_another_cancels_the_request_that_is_out(lab):
    a, b = lab.parent(), lab.bridge()
    s = session(a)
    subscribe(b, s)
    i = a.start([calls("t"), say("end")], [tool("t")], sessionId=s)
    invoke = a.next_invoke("t")
    run = a.start_id(i)
    paused = b.wait_event("run.paused", run)
    assert paused.data["pendingToolCalls"][0]["state"] == "open"
    assert b.submit(run, {invoke.params["callId"]: "by b"})["status"] == "success"
    a.wait_cancelled(invoke.id)
    assert a.result(i)["answer"] == "end"
    same_log([a, b], run)


def test_an_approval_by_one_is_seen_by_the_others(lab):
    a, b, c = lab.bridge(capabilities={"approvals": {}}), lab.bridge(), lab.bridge()
    s = session(a)
    subscribe(b, s), subscribe(c, s)
    i = a.start([calls("wipe"), say("end")], [sh("wipe", "echo wiped", requiresApproval=True)], sessionId=s)
    request = a.next_request("approval.request")
    run, call = request.params["runId"], request.params["callId"]
    for one in (b, c):
        one.wait_event("approval.requested", run)
        paused = one.wait_event("run.paused", run)
        assert paused.data["status"] == "waiting_approval" and paused.data["pendingToolCalls"][0]["callId"] == call
    o = b.call("run.submitApprovals", {"runId": run, "approvals": [{"callId": call, "decision": "approve"}]})
    assert o["status"] == "success"
    a.wait_cancelled(request.id)
    assert a.result(i)["answer"] == "end"
    for one in (a, b, c):
        one.wait_event("approval.decided", run)
    same_log([a, b, c], run)


def test_a_note_a_pause_a_cancel_by_one_are_seen_by_the_others(lab):
    a, b, c = lab.bridge(), lab.bridge(), lab.bridge()
    s = session(a)
    subscribe(b, s), subscribe(c, s)
    o = a.run([calls("t"), say("end")], [tool("t")], sessionId=s)
    b.call("run.addNote", {"runId": o["runId"], "text": "hm"})
    c.call("run.pause", {"runId": o["runId"]})
    b.call("run.cancel", {"runId": o["runId"], "reason": "enough"})
    log = same_log([a, b, c], o["runId"])
    assert [e["type"] for e in log][-4:] == ["note.added", "run.paused", "tool.completed", "run.cancelled"]


def test_a_superseded_a_merged_and_a_queued_turn_are_seen_to_their_ends(lab):
    a, b = window(lab), lab.bridge()
    s = session(a)
    subscribe(b, s)
    for name in ("latest", "merge", "queue"):
        agent = {"messageConcurrency": name}
        i = turn(a, s, "one", agent=agent)
        m = asked(a)
        ids = [turn(a, s, f"q{n}", agent=agent) for n in range(2)]
        runs = [a.start_id(x) for x in ids]
        until(lambda: status(a, runs[1]) == "queued", "the queue")
        reply(a, m, "1")
        a.result(i)
        reply(a, asked(a), "2")
        if name == "queue":
            reply(a, asked(a), "3")
        for run in [a.start_id(i)] + runs:
            same_log([a, b], run)


# ---- latency and idleness

def test_another_process_sees_an_event_soon(lab):
    """The page says 250 ms; what is asked for here is generous, for a loaded machine."""
    a, b = window(lab), lab.bridge()
    s = session(a)
    subscribe(b, s)
    slow = []
    for n in range(5):
        run = speak(a, s, f"q{n}", "ok")["runId"]
        end = complete(b, run)
        slow.append(end.t - complete(a, run).t)
    assert sorted(slow)[2] < 1.5, slow


@pytest.mark.long
def test_a_hundred_idle_subscriptions_cost_next_to_nothing(lab):
    a, b = lab.bridge(), lab.bridge()
    for _ in range(100):
        s = session(a)
        subscribe(b, s)
    runs = [a.run([calls("t"), say("x")], [tool("t")])["runId"] for _ in range(100)]
    for run in runs:
        b.call("run.subscribe", {"runId": run})

    def cpu():
        fields = Path(f"/proc/{b.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    time.sleep(1)
    before, began = cpu(), time.monotonic()
    time.sleep(15)
    share = (cpu() - before) / (time.monotonic() - began)
    print(f"100 sessions and 100 runs observed: {share:.2%} of a core")
    assert share < 0.03

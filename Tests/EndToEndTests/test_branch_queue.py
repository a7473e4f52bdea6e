"""Section 9: what waits in a branch while something before it is deleted, cleared or withdrawn, or when there is no place for it."""
import signal

import pytest

from conversations import asked, fork, messages, reply, said, seen, session, times_asked, turn, users, window
from harness import calls, dumps, say, text_of, tool, until
from test_message_concurrency import blocker, queued, release, strategy, to_be_merged


def delete(b, run):
    assert b.call("run.delete", {"runId": run}) == {}


def merged_and_cancelled(a, b):
    """A turn of `a` at its model, and one of `b` that is part of the next one of `a`, which is cancelled while `b` stands still."""
    s = session(a)
    first = turn(a, s, "one", agent=strategy("merge"))
    m = asked(a)
    merged = queued(b, turn(b, s, "two", agent=strategy("merge")))
    newest = queued(a, turn(a, s, "three", agent=strategy("merge")))
    until(lambda: a.get(merged).get("mergedInto") == newest, "the merge")
    b.signal(signal.SIGSTOP)
    a.call("run.cancel", {"runId": newest})
    return s, first, m, merged, newest


def test_a_queued_turn_that_finds_no_place_waits_and_holds_up_nobody(lab):
    b = lab.bridge("--max-concurrent-runs", "1")
    s = session(b)
    o = b.run([calls("t")], [tool("t")], sessionId=s, delivery="pause")
    second = b.result(b.start([say("second")], sessionId=s, wait=False))["runId"]
    other = b.start([say("other", delayMs=600)])
    b.call("run.cancel", {"runId": o["runId"]})
    assert b.call("run.list", {})["runs"]
    assert b.result(other)["answer"] == "other"
    assert b.call("run.wait", {"runId": second})["answer"] == "second"


def test_a_deleted_turn_of_the_queue_lets_nobody_begin(lab):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one")
    m = asked(b)
    run = queued(b, turn(b, s, "never"))
    b.call("run.cancel", {"runId": run})
    delete(b, run)
    third = turn(b, s, "three")
    queued(b, third)
    assert times_asked(b) == 1
    reply(b, m, "1")
    assert b.result(first)["answer"] == "1"
    m = asked(b)
    assert users(m) == ["one", "three"]
    reply(b, m, "3")
    assert b.result(third)["answer"] == "3"


def test_a_deleted_one_of_those_to_be_merged_keeps_no_other_from_its_end(lab):
    b = window(lab)
    s = session(b)
    first, m, ids, runs = to_be_merged(b, s, 3)
    b.call("run.cancel", {"runId": runs[1]})
    delete(b, runs[1])
    reply(b, m, "1")
    b.result(first)
    reply(b, asked(b, runs[2]), "all")
    assert b.result(ids[2])["answer"] == "all"
    o = b.result(ids[0])
    assert (o["status"], o["answer"], o["mergedInto"]) == ("success", "all", runs[2])


def test_one_whose_merged_turn_was_deleted_before_it_could_end_with_it_ends(lab):
    a, b = window(lab), window(lab)
    s, first, m, lost, newest = merged_and_cancelled(a, b)
    delete(a, newest)
    b.signal(signal.SIGCONT)
    o = b.call("run.wait", {"runId": lost})
    assert (o["status"], o["error"]["kind"], o["mergedInto"]) == ("error", "run.notFound", newest)
    reply(a, m, "1")
    assert a.result(first)["answer"] == "1"
    b.call("session.delete", {"sessionId": s})


def test_what_was_withdrawn_with_the_turn_it_was_merged_into_is_not_shown_to_the_next(lab):
    a, b = window(lab), window(lab)
    s, first, m, withdrawn, _ = merged_and_cancelled(a, b)
    reply(a, m, "1")
    a.result(first)
    last = turn(a, s, "four")
    b.signal(signal.SIGCONT)
    m = asked(a)
    assert users(m) == ["one", "four"]
    reply(a, m, "4")
    assert a.result(last)["answer"] == "4"
    assert a.get(withdrawn)["status"] == "cancelled"
    assert [text_of(x["content"]) for x in messages(a, s)] == ["one", "1", "four", "4"]


def test_a_note_to_a_message_that_becomes_part_of_another_is_said_with_it(lab):
    b = window(lab)
    s = session(b)
    first, m, ids, runs = to_be_merged(b, s, 2)
    b.call("run.addNote", {"runId": runs[0], "text": "in euros, please"})
    reply(b, m, "1")
    b.result(first)
    m = asked(b, runs[1])
    assert users(m) == ["one", "q0", "in euros, please", "q1"]
    reply(b, m, "all")
    b.result(ids[1])
    assert [text_of(x["content"]) for x in messages(b, s)] == ["one", "1", "q0", "in euros, please", "q1", "all"]


def test_a_note_to_a_message_that_is_part_of_a_turn_at_work_is_seen_by_that_turn_and_the_same_for_all(lab):
    b, other = window(lab), window(lab)
    s = session(b)
    first, m, ids, runs = to_be_merged(b, s, 2)
    reply(b, m, "1")
    b.result(first)
    m = asked(b, runs[1])
    assert users(m) == ["one", "q0", "q1"]
    assert other.call("run.addNote", {"runId": runs[0], "text": "in euros, please"}) == {}
    reply(b, m, "both")
    m = asked(b, runs[1])
    assert users(m) == ["one", "q0", "q1", "in euros, please"]
    reply(b, m, "both, in euros")
    assert [b.result(i)["answer"] for i in ids] == ["both, in euros"] * 2
    at = messages(b, s)[-1]
    assert [text_of(x["content"]) for x in messages(b, s)] == ["one", "1", "q0", "q1", "both", "in euros, please", "both, in euros"]
    shown = []
    for w in (b, other, window(lab)):
        turn(w, s, "next", branchId=fork(w, s, at))
        shown.append(seen(asked(w)))
    assert shown[0] == shown[1] == shown[2] and [t for _, t in shown[0]][-2:] == ["both, in euros", "next"]


@pytest.mark.parametrize("name", ["queue", "merge"])
def test_what_waits_while_a_session_is_cleared_is_said_after_it(lab, name):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "one", agent=strategy(name))
    m = asked(b)
    ids = [turn(b, s, t, agent=strategy(name)) for t in ("my name is Ann", "what is my name?")]
    runs = [queued(b, i) for i in ids]
    b.call("session.clear", {"sessionId": s})
    reply(b, m, "1")
    b.result(first)
    if name == "queue":
        m = asked(b, runs[0])
        assert users(m) == ["my name is Ann"]
        reply(b, m, "hello")
    m = asked(b, runs[1])
    assert users(m) == ["my name is Ann", "what is my name?"]
    reply(b, m, "Ann")
    assert b.result(ids[1])["answer"] == "Ann"
    b.result(ids[0])
    assert [text_of(x["content"]) for x in messages(b, s)] == ["my name is Ann", *(["hello"] if name == "queue" else []), "what is my name?", "Ann"]


def test_a_queued_turn_whose_toolkit_is_gone_ends_and_blocks_nobody(lab):
    b = lab.parent()
    s = session(b)
    kit = {"name": "kit", "description": "k", "tools": [tool("inside")]}
    b.call("toolkit.register", {"toolkits": [kit], "sessionId": s})
    o = blocker(b, s)
    second = b.start([say("never")], sessionId=s, augmentation={"expandToolkits": ["kit"]}, wait=False)
    run = b.result(second)["runId"]
    b.call("toolkit.unregister", {"names": ["kit"], "sessionId": s})
    release(b, o)
    o = b.call("run.wait", {"runId": run})
    assert (o["status"], o["error"]["kind"]) == ("error", "toolkit.notFound") and "kit" in o["error"]["message"]
    assert b.run([say("third")], sessionId=s)["answer"] == "third"


def test_thousands_of_messages_that_wait_end_nothing(lab):
    b = lab.bridge()
    s = session(b)
    o = b.run([calls("t")], [tool("t")], sessionId=s, delivery="pause")
    script = lab.script([say("x")])
    runs = [b.result(b.start(script, sessionId=s, wait=False))["runId"] for _ in range(2000)]
    assert b.get(runs[-1])["blockedBy"] == o["runId"]
    c = lab.bridge()
    assert c.get(runs[-1])["blockedBy"] == o["runId"]
    assert all(r["blockedBy"] == o["runId"] for r in c.call("run.list", {"status": "queued", "limit": 1000})["runs"])


@pytest.mark.parametrize("name", ["queue", "latest", "merge"])
def test_hundreds_of_starts_that_come_at_once_are_answered_and_said_in_order(lab, name):
    b = lab.bridge()
    s = session(b)
    script = lab.script([say("x")])
    texts = [f"message {n}" for n in range(300)]
    lines, ids = [], []
    for text in texts:
        ids.append(b.next_id + 1)
        b.next_id += 1
        params = {**b.params(script, None, text, strategy(name)), "sessionId": s}
        lines.append(dumps({"jsonrpc": "2.0", "id": ids[-1], "method": "run.start", "params": params}) + b"\n")
    b.send(b"".join(lines))
    assert b.call("ping") == {}
    outcomes = [b.result(id, 60) for id in ids]
    assert len({o["runId"] for o in outcomes}) == len(texts) and outcomes[-1]["status"] == "success"
    assert {o["status"] for o in outcomes} <= {"success", *(["cancelled"] if name == "latest" else [])}
    assert [text_of(m["content"]) for m in messages(b, s) if m["role"] == "user"] == texts


def test_a_message_that_is_part_of_a_paused_turn_settles_and_says_so(lab):
    b = window(lab)
    s = session(b)
    first, m, _, runs = to_be_merged(b, s, 2)
    assert b.call("run.pause", {"runId": runs[1]})["status"] == "paused"
    o = b.call("run.wait", {"runId": runs[0]})
    assert (o["status"], o["blockedBy"], o["mergedInto"]) == ("queued", runs[1], runs[1])
    reply(b, m, "1")
    assert b.result(first)["answer"] == "1"


def test_waiting_for_a_turn_of_long_ago_is_answered_at_once(lab):
    b = lab.bridge()
    s = session(b)
    script = lab.script([say("x")])
    runs = [b.result(b.start(script, sessionId=s))["runId"] for _ in range(30)]
    b.call("run.cancel", {"runId": b.result(b.start([calls("t")], [tool("t")], sessionId=s, delivery="pause"))["runId"]})
    c = lab.bridge()
    assert [c.call("run.wait", {"runId": run})["status"] for run in runs] == ["success"] * 30


def test_whoever_waits_for_one_of_many_runs_finds_out_that_their_process_was_killed(lab):
    a, b = lab.bridge(), lab.bridge()
    script = lab.script([say("late", delayMs=600_000)])
    runs = [a.result(a.start(script, wait=False))["runId"] for _ in range(150)]
    waits = [b.request("run.wait", {"runId": run}) for run in runs]
    b.ping()
    a.kill9()
    outcomes = [b.result(i, 30) for i in waits]
    assert [(o["runId"], o["status"], o["driver"]) for o in outcomes] == [(run, "running", "none") for run in runs]


@pytest.mark.parametrize("wait", [True, False])
def test_a_pause_that_is_taken_back_is_answered(lab, wait):
    b = lab.parent()
    o = b.run([calls("t"), say("ok")], [tool("t")], delivery="pause")
    for _ in range(20):
        # In one write, so that they are decided together.
        pause, resume = b.next_id + 1, b.next_id + 2
        b.next_id += 2
        b.send(b"".join(dumps({"jsonrpc": "2.0", "id": i, "method": m, "params": {"runId": o["runId"], **more}}) + b"\n"
                        for i, m, more in [(pause, "run.pause", {}), (resume, "run.resume", {"wait": wait, "delivery": "pause"})]))
        assert b.wait_response(pause).result["status"] in ("paused", "waiting_client_tool")
        assert b.wait_response(resume).result["status"] == "waiting_client_tool"


def test_what_a_cleared_turn_said_when_it_went_on_is_not_sent_for_the_next(lab):
    b = window(lab)
    s = session(b)
    first = turn(b, s, "my secret", tools=[tool("t")], delivery="pause")
    reply(b, asked(b), "calling", ["t"])
    o = b.result(first)
    assert o["status"] == "waiting_client_tool"
    b.call("session.clear", {"sessionId": s})
    i = b.request("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": o["pendingToolCalls"][0]["callId"], "content": "secret"}]})
    reply(b, asked(b, o["runId"]), "the end")
    assert b.result(i)["status"] == "success"
    # As many messages as the cleared turn's model was shown, and none of them its.
    i = turn(b, s, [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "what is 2+2?"}])
    m = asked(b)
    shown = [("user", "hello"), ("assistant", "hi"), ("user", "what is 2+2?")]
    assert seen(m) == shown
    reply(b, m, "4")
    b.result(i)
    assert said(b, s) == shown + [("assistant", "4")]

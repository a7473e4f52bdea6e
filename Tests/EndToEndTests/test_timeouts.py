"""Section 3: timeouts, the four strategies, progress, late answers."""
import json
import time

import pytest

from harness import DEFER, Never, TIMEOUT, assert_pending, calls, contains, expect, say, tool, until

FALLBACK = "Client unavailable. Tool 't' may or may not have run; its result is unknown."
IDEMPOTENT = {"annotations": {"idempotentHint": True}}


def test_when_the_time_passes_the_request_is_cancelled_and_the_model_gets_the_fallback(parent):
    r = parent.start([calls("t"), say("went on", expect=expect(name="t", content=FALLBACK))], [tool("t", timeoutMs=300)])
    m = parent.next_invoke()
    parent.wait_cancelled(m.id)
    o = parent.result(r)
    assert (o["status"], o["answer"]) == ("success", "went on")
    d, = parent.log_of(o["runId"], "tool.completed")
    assert d["callId"] == m.call_id and "Client unavailable" in json.dumps(d["content"])


def test_it_is_not_cancelled_before_the_time_passes(parent):
    parent.start([calls("t"), say("ok")], [tool("t", timeoutMs=1000)])
    m = parent.next_invoke()
    c = parent.wait_cancelled(m.id)
    assert 0.9 < c.t - m.t < 1 + 5


def test_the_agents_timeout_holds_for_tools_without_one(parent):
    o = parent.run([calls("t"), say("ok", expect=expect(content=FALLBACK))], [tool("t")], agent={"clientTools": {"invokeTimeoutMs": 300}})
    assert o["status"] == "success"


def test_the_template_may_be_the_agents_own(parent):
    parent.succeeds([calls("t"), say("ok", expect=expect(content="No t today, sorry about t."))], [tool("t", timeoutMs=200)],
                    agent={"clientTools": {"fallbackTemplate": "No {0} today, sorry about {0}."}})


def test_fail_fast_ends_the_run_with_tool_timeout(parent):
    o = parent.run([calls("t"), say("no")], [tool("t", timeoutMs=200, onTimeout="failFast")])
    assert o["status"] == "error" and o["error"]["kind"] == "tool.timeout"
    assert parent.log_types(o["runId"])[-1] == "run.error"
    assert len(parent.log_of(o["runId"], "tool.completed")) == 1


def test_fail_fast_of_one_call_closes_the_others(parent):
    o = parent.run([calls("u", "t"), say("no")], [tool("u"), tool("t", timeoutMs=200, onTimeout="failFast")])
    assert o["error"]["kind"] == "tool.timeout"
    u = parent.invokes("u")[0]
    parent.wait_cancelled(u.id)
    assert len(parent.log_of(o["runId"], "tool.completed")) == 2


def test_retry_sends_the_same_call_id_with_a_higher_attempt(parent):
    r = parent.start([calls("t"), say("ok", expect=expect(content="third time"))], [tool("t", timeoutMs=200, onTimeout="retryWithBackoff", **IDEMPOTENT)])
    got = [parent.next_invoke() for _ in range(3)]
    parent.respond(got[2], {"content": "third time"})
    assert parent.result(r)["status"] == "success"
    assert [m.params["attempt"] for m in got] == [1, 2, 3] and len({m.call_id for m in got}) == 1 and len({m.id for m in got}) == 3
    assert [d["attempt"] for d in parent.log_of(got[0].params["runId"], "tool.started")] == [1, 2, 3]
    for m in got[:2]:
        parent.wait_cancelled(m.id)


def test_a_late_result_of_an_earlier_attempt_cancels_the_request_that_is_out(parent):
    r = parent.start([calls("t"), say("ok", expect=expect(content="the first"))], [tool("t", timeoutMs=200, onTimeout="retryWithBackoff", **IDEMPOTENT)])
    first, second = parent.next_invoke(), parent.next_invoke()
    parent.respond(first, {"content": "the first"})
    parent.wait_cancelled(second.id)
    assert parent.result(r)["status"] == "success"


def test_retry_backs_off(parent):
    parent.start([calls("t"), say("ok")], [tool("t", timeoutMs=100, onTimeout="retryWithBackoff", **IDEMPOTENT)])
    got = [parent.next_invoke() for _ in range(3)]
    # 100 ms of timeout and about 200, then about 400 ms of waiting (with jitter)
    assert got[1].t - got[0].t > 0.15 and got[2].t - got[1].t > 0.2


def test_read_only_tools_are_retried_too(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t", timeoutMs=200, onTimeout="retryWithBackoff", annotations={"readOnlyHint": True})])
    parent.next_invoke()
    parent.respond(parent.next_invoke(), {"content": "second"})
    assert parent.result(r)["status"] == "success"


def test_max_retries_bounds_the_attempts(parent):
    parent.handlers["t"] = Never
    o = parent.run([calls("t"), say("ok")], [tool("t", timeoutMs=100, onTimeout="retryWithBackoff", **IDEMPOTENT)], agent={"clientTools": {"maxRetries": 1}}, timeout=3 * TIMEOUT)
    assert o["ended"]
    assert [m.params["attempt"] for m in parent.invokes()] == [1, 2]


def test_three_retries_are_the_default(parent):
    parent.handlers["t"] = Never
    o = parent.run([calls("t"), say("ok")], [tool("t", timeoutMs=100, onTimeout="retryWithBackoff", **IDEMPOTENT)], timeout=4 * TIMEOUT)
    assert o["ended"]
    assert [m.params["attempt"] for m in parent.invokes()] == [1, 2, 3, 4]


@pytest.mark.parametrize("annotations", [None, {"destructiveHint": True}, {"idempotentHint": False, "readOnlyHint": False}])
def test_what_is_not_idempotent_is_not_retried_but_falls_back(parent, annotations):
    more = {"annotations": annotations} if annotations else {}
    parent.handlers["t"] = Never
    parent.succeeds([calls("t"), say("ok", expect=expect(content=FALLBACK))], [tool("t", timeoutMs=200, onTimeout="retryWithBackoff", **more)])
    assert len(parent.invokes()) == 1


def test_park_keeps_the_call_for_later(parent):
    r = parent.start([calls("t"), say("ok", expect=expect(content="much later"))], [tool("t", timeoutMs=200, onTimeout="park")])
    m = parent.next_invoke()
    parent.wait_cancelled(m.id)
    o = parent.result(r)
    assert o["status"] == "waiting_client_tool"
    call, = assert_pending(o, ["t"], state="parked", attempt=1)
    assert parent.submit(o["runId"], {call["callId"]: "much later"})["status"] == "success"


def test_a_parked_call_is_sent_again_by_resume(parent):
    parent.handlers["t"] = Never
    o = parent.run([calls("t"), say("ok", expect=expect(content="again"))], [tool("t", timeoutMs=300, onTimeout="park")])
    assert_pending(o, ["t"], state="parked", attempt=1)
    parent.handlers["t"] = {"content": "again"}
    o = parent.call("run.resume", {"runId": o["runId"]})
    assert o["status"] == "success"
    assert [m.params["attempt"] for m in parent.invokes()] == [1, 2]


def test_the_tools_strategy_wins_over_the_agents(parent):
    o = parent.run([calls("t"), say("ok")], [tool("t", timeoutMs=200, onTimeout="park")], agent={"clientTools": {"onTimeout": "failFast"}})
    assert o["status"] == "waiting_client_tool"


def test_the_agents_strategy_holds_for_tools_without_one(parent):
    o = parent.run([calls("t"), say("ok")], [tool("t", timeoutMs=200)], agent={"clientTools": {"onTimeout": "failFast"}})
    assert o["status"] == "error" and o["error"]["kind"] == "tool.timeout"


def test_an_unknown_strategy_is_invalid_params(parent):
    e = parent.fails("run.start", parent.params([say("x")], [tool("t", onTimeout="shrug")]), valid=False)
    assert e.kind in ("invalidParams", "tool.invalid")
    e = parent.fails("run.start", parent.params([say("x")], agent={"clientTools": {"onTimeout": "shrug"}}), kind="invalidParams", valid=False)
    assert e.data["pointer"] == "/agent/clientTools/onTimeout"


def test_a_timeout_of_one_call_leaves_the_others_open(parent):
    r = parent.start([calls("t", "u"), say("ok", expect=expect(name="u", content="U"))], [tool("t", timeoutMs=200), tool("u")])
    t, u = parent.next_invoke("t"), parent.next_invoke("u")
    parent.wait_cancelled(t.id)
    parent.wait_event("tool.completed")
    parent.respond(u, {"content": "U"})
    assert parent.result(r)["status"] == "success"


# ---- progress

def progress(parent, m, n, **more):
    valid = None not in more.values()
    parent.notify("notifications/progress", {"progressToken": m.params["_meta"]["progressToken"], "progress": n, **more}, valid=valid)


def test_progress_restarts_the_timeout(parent):
    r = parent.start([calls("t"), say("ok", expect=expect(content="slow but alive"))], [tool("t", timeoutMs=1200, onTimeout="failFast")])
    m = parent.next_invoke()
    for n in range(8):
        time.sleep(0.3)  # the pace of a slow worker, not a wait for the bridge
        progress(parent, m, n)
    parent.respond(m, {"content": "slow but alive"})
    assert parent.result(r)["status"] == "success"
    assert len(parent.invokes()) == 1


def test_progress_reaches_observers_as_tool_progress(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    m = parent.next_invoke()
    progress(parent, m, 1, total=4, message="reading")
    e = parent.wait_event("tool.progress")
    assert e.seq is None and e.data["callId"] == m.call_id
    assert (e.data["progress"], e.data["total"], e.data["message"]) == (1, 4, "reading")
    parent.respond(m, {"content": "x"})
    parent.result(r)


@pytest.mark.parametrize("wrong", [{}, {"progress": None}, {"progress": "x"}, {"progress": [1]}, {"progress": 1, "total": "many"}, {"progress": 1, "message": 5}], ids=str)
def test_progress_that_is_none_is_ignored_with_a_line_in_the_log(parent, wrong):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    m = parent.next_invoke()
    parent.notify("notifications/progress", {"progressToken": m.call_id, **wrong}, valid=False)
    progress(parent, m, 2)
    assert parent.wait_event("tool.progress").data == {"callId": m.call_id, "progress": 2}
    parent.respond(m, {"content": "x"})
    parent.result(r)
    until(lambda: bytes(parent.stderr).count(b"notifications/progress was ignored") == 1, "a line in the log")


def test_of_progress_observers_see_what_it_is_defined_to_say(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    m = parent.next_invoke()
    progress(parent, m, 0.5, total=None, message="half", text=5, stream="neither", callId="another")
    assert parent.wait_event("tool.progress").data == {"callId": m.call_id, "progress": 0.5, "message": "half"}
    parent.respond(m, {"content": "x"})
    parent.result(r)


def test_progress_for_nothing_is_ignored(parent):
    for token in ("nobody", 5, 1.5, ""):
        parent.notify("notifications/progress", {"progressToken": token, "progress": 1})
    parent.notify("notifications/progress", {"progress": 1}, valid=False)
    parent.notify("notifications/progress", {"progressToken": None, "progress": "x"}, valid=False)
    parent.ping()


def test_progress_after_the_answer_is_ignored(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    m = parent.next_invoke()
    parent.respond(m, {"content": "x"})
    progress(parent, m, 1)
    assert parent.result(r)["status"] == "success"
    progress(parent, m, 2)
    parent.ping()


# ---- late answers

def test_a_late_result_of_a_parked_call_is_its_result(parent):
    r = parent.start([calls("t"), say("ok", expect=expect(content="late"))], [tool("t", timeoutMs=200, onTimeout="park")])
    m = parent.next_invoke()
    o = parent.result(r)
    assert o["status"] == "waiting_client_tool"
    parent.respond(m, {"content": "late"})
    until(lambda: parent.get(o["runId"])["status"] == "success", "the late result to count")


def test_a_late_error_is_ignored(parent):
    r = parent.start([calls("t"), say("ok", expect=expect(content="good"))], [tool("t", timeoutMs=200, onTimeout="park")])
    m = parent.next_invoke()
    o = parent.result(r)
    parent.respond_error(m, -32800, "cancelled")
    parent.ping()
    o = parent.get(o["runId"])
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["state"] == "parked"
    assert parent.submit(o["runId"], {m.call_id: "good"})["status"] == "success"


def test_a_late_result_of_an_earlier_attempt_counts_while_the_call_is_pending(parent):
    r = parent.start([calls("t"), say("ok", expect=expect(content="from the first"))], [tool("t", timeoutMs=400, onTimeout="retryWithBackoff", **IDEMPOTENT)],
                     agent={"clientTools": {"maxRetries": 10}})
    first, second = parent.next_invoke(), parent.next_invoke()
    parent.respond(first, {"content": "from the first"})
    o = parent.result(r)
    assert o["status"] == "success"
    parent.respond(second, {"content": "from the second"})
    parent.ping()
    assert len(parent.log_of(o["runId"], "tool.completed")) == 1


def test_a_late_result_after_the_fallback_is_kept_as_evidence(parent):
    r = parent.start([calls("t"), calls("u"), say("ok")], [tool("t", timeoutMs=200), tool("u")])
    t = parent.next_invoke("t")
    u = parent.next_invoke("u")
    parent.respond(t, {"content": "too late"})
    e = parent.wait_event("tool.resultRejected")
    assert e.data["callId"] == t.call_id and e.data["bytes"] > 0 and isinstance(e.data["verdict"], str)
    assert parent.get(t.params["runId"])["rejectedResults"] == 1
    parent.respond(u, {"content": "U"})
    assert parent.result(r)["status"] == "success"


def test_a_late_result_after_the_end_is_kept_as_evidence(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t", timeoutMs=200)])
    t = parent.next_invoke("t")
    o = parent.result(r)
    parent.respond(t, {"content": "too late"})
    until(lambda: parent.get(o["runId"])["rejectedResults"] == 1)
    assert parent.log_types(o["runId"])[-2:] == ["run.completed", "tool.resultRejected"]
    assert parent.get(o["runId"])["status"] == "success"


def test_a_late_deferral_changes_nothing(parent):
    r = parent.start([calls("t"), say("ok", expect=expect(content=contains("Client unavailable")))], [tool("t", timeoutMs=200)])
    t = parent.next_invoke("t")
    parent.wait_cancelled(t.id)
    parent.respond(t, DEFER)
    assert parent.result(r)["status"] == "success"


def test_an_answer_to_a_cancelled_run_is_not_lost_without_trace(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    t = parent.next_invoke("t")
    run = t.params["runId"]
    parent.call("run.cancel", {"runId": run})
    parent.wait_cancelled(t.id)
    parent.respond(t, {"content": "did it anyway"})
    assert parent.result(r)["status"] == "cancelled"
    until(lambda: parent.get(run)["rejectedResults"] == 1)

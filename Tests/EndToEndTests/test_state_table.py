"""Section 3: every request to a run in every state it can be in. What must come of it is computed here from the page, not listed."""
import pytest

from conversations import session
from harness import DEFER, ENDED, calls, say, tool, until

NOWHERE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
LATE = [say("late", delayMs=120_000)]
ONE = [calls("t"), say("late", delayMs=120_000)]


class Case:
    """A run in one state, and the bridge that is asked. `call` is a call of it that waits, `answered` one that has the result "given"."""

    def __init__(self, bridge, run, call=NOWHERE, need=None, answered=None, driven=None):
        self.bridge, self.run, self.call, self.need, self.answered, self.driven = bridge, run, call, need, answered, driven


# ---- the states: each makes a run and the bridge that will be asked

def queued(lab, state):
    b = state.get("b") or state.setdefault("b", lab.bridge())
    s = session(b)
    b.run(ONE, [tool("t")], sessionId=s, delivery="pause")
    run = b.background([say("ok")], sessionId=s)
    assert b.get(run)["status"] == "queued"
    return Case(b, run)


def driven_here(lab, state):
    b = state.get("b") or state.setdefault("b", lab.bridge())
    run = b.background(LATE)
    until(lambda: b.get(run)["driver"] == "self" and b.log_types(run)[-1] == "model.started")
    return Case(b, run, driven="self")


def driven_elsewhere(lab, state):
    a = state.get("a") or state.setdefault("a", lab.bridge())
    b = state.get("b") or state.setdefault("b", lab.bridge())
    run = a.background(LATE)
    until(lambda: b.get(run)["driver"] == "other" and b.log_types(run)[-1] == "model.started")
    return Case(b, run, driven="other")


def undriven(lab, state):
    b = state.get("b") or state.setdefault("b", lab.bridge())
    a = lab.bridge()
    run = a.background(LATE)
    until(lambda: a.log_types(run)[-1] == "model.started")
    a.kill9()
    assert (b.get(run)["status"], b.get(run)["driver"]) == ("running", "none")
    return Case(b, run, driven="none")


def waiting(lab, state, turns=ONE, tools=None, **more):
    b = state.get("b") or state.setdefault("b", lab.bridge())
    o = b.run(turns, tools or [tool("t")], delivery="pause", **more)
    call, = o["pendingToolCalls"]
    return Case(b, o["runId"], call["callId"], call["needs"])


def parked(lab, state):
    """Its call was out at a client that died."""
    b = state.get("b") or state.setdefault("b", lab.bridge())
    a = lab.parent()
    a.start(ONE, [tool("t")])
    m = a.next_invoke()
    a.kill9()
    return Case(b, m.params["runId"], m.call_id, "result")


def out_elsewhere(lab, state):
    b = state.get("b") or state.setdefault("b", lab.bridge())
    a = state.get("a") or state.setdefault("a", lab.parent())
    a.start(ONE, [tool("t")])
    m = a.next_invoke()
    return Case(b, m.params["runId"], m.call_id, "result")


def deferred(lab, state):
    b = state.get("b") or state.setdefault("b", lab.bridge())
    a = state.get("a") or state.setdefault("a", lab.parent())
    a.handlers["t"] = DEFER
    o = a.run(ONE, [tool("t")])
    call, = o["pendingToolCalls"]
    assert call["state"] == "deferred"
    return Case(b, o["runId"], call["callId"], "result")


def half_answered(lab, state):
    b = state.get("b") or state.setdefault("b", lab.bridge())
    o = b.run([calls("t", "t"), LATE[0]], [tool("t")], delivery="pause")
    first, second = [c["callId"] for c in o["pendingToolCalls"]]
    b.submit(o["runId"], {first: "given"}, partial=True)
    return Case(b, o["runId"], second, "result", answered=first)


def approval(lab, state):
    return waiting(lab, state, tools=[dict(tool("t"), requiresApproval=True)])


def question(lab, state):
    return waiting(lab, state, turns=[calls(("ask_user", {"question": "?"})), LATE[0]], agent={"askUser": True})


def paused(lab, state):
    case = waiting(lab, state)
    assert case.bridge.call("run.pause", {"runId": case.run})["status"] == "paused"
    return case


def paused_in_model(lab, state):
    """Paused while nobody drove it: it has nothing pending."""
    case = undriven(lab, state)
    assert case.bridge.call("run.pause", {"runId": case.run})["status"] == "paused"
    case.driven = None
    return case


def ended(status, last, **more):
    def make(lab, state):
        b = state.get("b") or state.setdefault("b", lab.bridge())
        o = b.run([calls("t"), last], [tool("t")], delivery="pause", **more)
        call = o["pendingToolCalls"][0]["callId"]
        o = b.submit(o["runId"], {call: "given"})
        if status == "cancelled":
            o = b.run(ONE, [tool("t")], delivery="pause")
            call = None
            o = b.call("run.cancel", {"runId": o["runId"]})
        assert o["status"] == status, o
        return Case(b, o["runId"], answered=call)
    make.__name__ = status
    return make


STATES = [queued, driven_here, driven_elsewhere, undriven, waiting, parked, out_elsewhere, deferred, half_answered, approval, question, paused,
          paused_in_model, ended("success", say("ok")), ended("error", say("x", expect={"role": "user", "content": "never"})),
          ended("cancelled", say("ok")), ended("max_iterations", say("x"), limits={"maxIterations": 1})]


# ---- the requests, each with what the page says must come of it: an error's kind, or what holds of the outcome

def results(case, *pairs, **more):
    return "run.submitToolResults", {"runId": case.run, "wait": False, "results": [{"callId": c, "content": t} for c, t in pairs], **more}


def refused(case, status, covers):
    """The order of judging, for a set in which nothing is stored yet and of which `covers` says whether it is exact; None when it is taken."""
    if status in ENDED:
        return "run.alreadyTerminal"
    if case.need is None:
        return "run.notWaiting"
    return None if covers else "run.invalidToolResults"


def takes_result(case):
    return case.need in ("result", "approval")


def fitting(case, status):
    return results(case, (case.call, "x")), refused(case, status, takes_result(case)), taken(case, status, "accepted")


def unknown_call(case, status):
    return results(case, (NOWHERE, "x")), refused(case, status, False), None


def too_much(case, status):
    return results(case, (case.call, "x"), ("01ARZ3NDEKTSV4RRFFQ69G5FAW", "x")), refused(case, status, False), None


def in_part(case, status):
    if status in ENDED:
        return results(case, (case.call, "x"), partial=True), "run.alreadyTerminal", None
    return results(case, (case.call, "x"), partial=True), None, taken(case, status, "accepted" if takes_result(case) else "unknown")


def unknown_in_part(case, status):
    def check(o):
        assert o["verdicts"] == {NOWHERE: "unknown"} and o["status"] == status
    return results(case, (NOWHERE, "x"), partial=True), "run.alreadyTerminal" if status in ENDED else None, check


def the_same_again(case, status):
    if case.answered is None:
        return None

    def check(o):
        assert o["verdicts"] == {case.answered: "duplicate"} and o["status"] == status
    return results(case, (case.answered, "given")), None, check


def another_for_it(case, status):
    if case.answered is None:
        return None
    return results(case, (case.answered, "other")), "run.alreadyTerminal" if status in ENDED else "run.alreadyClaimed", None


def approve(case, status):
    request = "run.submitApprovals", {"runId": case.run, "wait": False, "approvals": [{"callId": case.call, "decision": "approve"}]}

    def check(o):
        assert o["verdicts"] == {case.call: "accepted"} and o["status"] == "waiting_client_tool"
    return request, refused(case, status, case.need == "approval"), check


def answer_question(case, status):
    request = "run.submitInput", {"runId": case.run, "wait": False,
                                  "inputs": [{"callId": case.call, "action": "accept", "content": {"answer": "x"}}]}
    return request, refused(case, status, case.need == "input"), taken(case, status, "accepted")


def taken(case, status, verdict):
    def check(o):
        assert o["verdicts"] == {case.call: verdict}
        # The last one continues the run, but not a paused one.
        wanted = status if verdict != "accepted" or status == "paused" else "running"
        assert o["status"] == wanted and o["driver"] == ("self" if wanted == "running" and verdict == "accepted" else case.driven or "none")
    return check


def resume(case, status):
    def check(o):
        if status in ENDED:
            assert o["status"] == status
        elif case.driven or (status == "paused" and case.need is None):
            assert (o["status"], o["driver"]) == ("running", "self")
        else:
            assert o["status"] == {"paused": "waiting_client_tool"}.get(status, status)
    return ("run.resume", {"runId": case.run, "wait": False}), "run.leaseHeld" if case.driven == "other" else None, check


def note(case, status):
    def check(o):
        assert case.bridge.get(case.run)["status"] == status
        assert case.bridge.log_of(case.run, "note.added")[-1]["text"] == "by the way"
    return ("run.addNote", {"runId": case.run, "text": "by the way"}), "run.alreadyTerminal" if status in ENDED else None, check


def pause(case, status):
    if case.driven in ("self", "other"):
        return None  # before its next model call: test_notes_and_pauses

    def check(o):
        assert o["status"] == (status if status in ENDED else "paused") and "error" not in o or status == "error"
    return ("run.pause", {"runId": case.run}), None, check


def cancel(case, status):
    def check(o):
        assert o["status"] == (status if status in ENDED else "cancelled") and o["pendingToolCalls"] == []
        assert case.bridge.log_types(case.run).count("run.cancelled") == (1 if o["status"] == "cancelled" else 0)
    return ("run.cancel", {"runId": case.run}), None, check


def wait(case, status):
    def check(o):
        assert o["status"] == status
    return ("run.wait", {"runId": case.run, "timeoutMs": 1}), None, check


def delete(case, status):
    def check(o):
        case.bridge.fails("run.get", {"runId": case.run}, kind="run.notFound")
    return ("run.delete", {"runId": case.run}), None if status in ENDED else "invalidRequest", check


REQUESTS = [fitting, unknown_call, too_much, in_part, unknown_in_part, the_same_again, another_for_it, approve, answer_question, resume, note, pause,
            cancel, wait, delete]


@pytest.mark.parametrize("state", STATES, ids=lambda s: s.__name__)
def test_every_request_does_to_a_run_in_this_state_what_the_page_says(lab, state):
    bridges = {}
    for request in REQUESTS:
        case = state(lab, bridges)
        b = case.bridge
        before = b.get(case.run)
        cell = request(case, before["status"])
        if cell is None:
            continue
        (method, params), error, check = cell
        m = b.wait_response(b.request(method, params), 30)
        where = f"{request.__name__} of a run that is {state.__name__}: {m}"
        if error:
            assert m.error is not None and m.error["data"]["kind"] == error, where
            after = b.get(case.run)
            # Nothing is claimed; what was refused may be kept as evidence.
            for name in ("status", "driver", "pendingToolCalls", "usage"):
                assert after[name] == before[name], where
        else:
            assert m.error is None, where
            try:
                check(m.result)
            except AssertionError as e:
                raise AssertionError(where) from e
        if request is not delete or before["status"] not in ENDED:
            b.call("run.cancel", {"runId": case.run})

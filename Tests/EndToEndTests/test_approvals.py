"""Section 7: approvals, live and durable: who is asked, what a decision covers, and what the model is told."""
import threading
import time

import pytest

from harness import Error, calls, say, sh, tool, until
from told import told, unchanged_by_kills  # noqa: F401

NUMBERED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
G = tool("G", NUMBERED, requiresApproval=True)
W = tool("W")
APPROVE, DENY = {"decision": "approve"}, {"decision": "deny", "reason": "Not on a Friday."}


def g(n=1):
    return ("G", {"n": n})


def marked(lab, name="S", **more):
    """A gated command that leaves a mark with its argument."""
    return sh(name, f"cat >> {lab.path / 'marks'}; echo done; echo >> {lab.path / 'marks'}", NUMBERED, requiresApproval=True, **more)


def marks(lab):
    return [line for line in lab.lines("marks") if line]


def waiting(told, b, *turns, tools=(G,), **more):
    """A run that waits for approvals: (model, outcome)."""
    model = told.script(*turns)
    told.on("G", lambda p: {"content": f"did {p['arguments']['n']}"})
    o = told.run(b, model, tools=list(tools), **more)
    assert o["status"] == "waiting_approval", o
    return model, o


def decide(b, o, *decisions, **more):
    """Submits one decision for each pending call that needs one, in their order."""
    ids = [c["callId"] for c in o["pendingToolCalls"] if c["needs"] == "approval"]
    given = [{"callId": i, **d} for i, d in zip(ids, decisions)]
    return b.call("run.submitApprovals", {"runId": o["runId"], "approvals": given, **more})


def decided(b, o):
    return b.log_of(o["runId"], "approval.decided")


# ---------------------------------------------------------------- live

def test_the_client_is_asked_and_the_call_is_made_when_it_approves(told):
    b = told.bridge(approvals=True)
    told.on("G", "did it")
    model = told.script(calls(g()), "ok")
    id = told.start(b, model, tools=[{**G, "description": "Delete a row."}])
    m = b.next_request("approval.request")
    call, = b.wait_event("model.completed").data["toolCalls"]
    assert {k: v for k, v in m.params.items() if k not in ("_meta",)} == {"runId": m.params["runId"], "callId": call["callId"], "name": "G", "target": "client", "arguments": {"n": 1},
                                                                         "description": "Delete a row."}
    assert not b.invokes()
    b.respond(m, APPROVE)
    o = b.result(id)
    assert o["status"] == "success" and told.at(model, 1).result == "did it"
    types = b.event_types(o["runId"])
    assert types.index("approval.requested") < types.index("approval.decided") < types.index("tool.started") < types.index("tool.completed")
    requested = b.wait_event("approval.requested")
    assert requested.i < m.i and requested.data["arguments"] == {"n": 1}


def test_a_command_does_not_run_before_its_approval(lab, told):
    b = told.bridge(approvals=True)
    model = told.script(calls(("S", {"n": 5})), "ok")
    id = told.start(b, model, tools=[marked(lab)])
    m = b.next_request("approval.request")
    assert m.params["target"] == "server" and marks(lab) == []
    b.respond(m, APPROVE)
    assert b.result(id)["status"] == "success"
    assert marks(lab) == ['{"n":5}'] and "done" in told.at(model, 1).result


def test_a_denied_call_gives_the_model_an_error_with_the_reason(lab, told):
    told.replies["approval.request"] = DENY
    b = told.bridge(approvals=True)
    model = told.script(calls(g(), ("S", {"n": 2})), "ok")
    o = told.succeeds(b, model, tools=[G, marked(lab)])
    for text, error in told.at(model, 1).results:
        assert error and "Not on a Friday." in text
    assert not b.invokes() and marks(lab) == []
    assert [d["decision"] for d in decided(b, o)] == ["deny", "deny"]


def test_a_denial_without_a_reason_is_an_error_too(told):
    told.replies["approval.request"] = {"decision": "deny"}
    b = told.bridge(approvals=True)
    model = told.script(calls(g()), "ok")
    told.succeeds(b, model, tools=[G])
    assert told.at(model, 1).failure


def test_the_others_of_the_batch_do_not_wait(lab, told):
    b = told.bridge(approvals=True)
    told.on("W", "w")
    model = told.script(calls(g(), "W", "C"), "ok")
    id = told.start(b, model, tools=[G, W, sh("C", "echo c")])
    m = b.next_request("approval.request")
    until(lambda: len(b.events(m.params["runId"], "tool.completed")) == 2, "the results of the others")
    assert not b.invokes("G")
    told.on("G", "g")
    b.respond(m, APPROVE)
    b.result(id)
    assert [(t.strip(), e) for t, e in told.at(model, 1).results] == [("g", False), ("w", False), ("c", False)]


def test_one_denied_and_the_others_go_on(told):
    told.replies["approval.request"] = lambda p: DENY if p["arguments"]["n"] == 2 else APPROVE
    told.on("G", lambda p: {"content": f"did {p['arguments']['n']}"})
    b = told.bridge(approvals=True)
    model = told.script(calls(g(1), g(2), g(3)), "ok")
    told.succeeds(b, model, tools=[G])
    one, two, three = told.at(model, 1).results
    assert one == ("did 1", False) and three == ("did 3", False) and two[1] and "Not on a Friday." in two[0]
    assert sorted(m.params["arguments"]["n"] for m in b.invokes()) == [1, 3]


def test_who_decided_is_in_the_log(told):
    told.replies["approval.request"] = {"decision": "approve", "reason": "Fine by me."}
    told.on("G", "g")
    b = told.bridge(approvals=True)
    model = told.script(calls(g()), "ok")
    o = told.succeeds(b, model, tools=[G])
    d, = decided(b, o)
    assert (d["decision"], d["by"], d["client"], d["reason"], d["scope"], d["name"]) == ("approve", "client", "tests", "Fine by me.", "once", "G")


def test_the_status_while_somebody_is_asked(told):
    b = told.bridge(approvals=True)
    model = told.script(calls(g()), "ok")
    run = told.run(b, model, tools=[G], wait=False)["runId"]
    m = b.next_request("approval.request")
    got = b.get(run)
    call, = got["pendingToolCalls"]
    assert (got["status"], call["needs"], call["state"], call["attempt"]) == ("waiting_approval", "approval", "open", 0)
    assert b.wait_event("run.paused").data["status"] == "waiting_approval"
    told.on("G", "g")
    b.respond(m, APPROVE)
    assert b.wait_run(run)["status"] == "success"
    assert any(d["cause"] in ("approval", "invoke") for d in b.log_of(run, "run.resumed"))


@pytest.mark.parametrize("answer", [Error(-32000, "nobody is here"), {}, {"decision": "perhaps"}, {"decision": "approve", "arguments": {"n": "x"}}],
                         ids=["error", "nothing", "neither", "arguments that do not fit"])
def test_without_a_usable_answer_the_run_waits_for_a_submit(told, answer):
    told.replies["approval.request"] = answer
    b = told.bridge(approvals=True)
    model, o = waiting(told, b, calls(g()), "ok")
    call, = o["pendingToolCalls"]
    assert (call["state"], call["needs"]) == ("parked", "approval") and not b.invokes()
    o = decide(b, o, APPROVE)
    assert o["status"] == "success" and told.at(model, 1).result == "did 1"


# ---------------------------------------------------------------- durable

def test_without_the_capability_the_run_waits_and_another_process_approves(lab, told):
    a = told.bridge()
    model, o = waiting(told, a, calls(g()), "ok")
    call, = o["pendingToolCalls"]
    assert (call["name"], call["arguments"], call["needs"], call["state"], call["attempt"]) == ("G", {"n": 1}, "approval", "parked", 0)
    a.kill9()
    b = told.bridge()
    o = decide(b, o, APPROVE)
    assert o["status"] == "success" and o["verdicts"] == {call["callId"]: "accepted"}
    assert told.at(model, 1).result == "did 1"
    invoke, = b.invokes()
    assert invoke.params["callId"] == call["callId"] and invoke.params["attempt"] == 1
    d, = decided(b, o)
    assert (d["by"], d["client"]) == ("submit", "tests")


def test_a_command_is_approved_by_another_process(lab, told):
    a = told.bridge(tools=False)
    model, o = waiting(told, a, calls(("S", {"n": 5})), "ok", tools=[marked(lab)])
    a.kill9()
    assert marks(lab) == []
    o = decide(told.bridge(tools=False), o, APPROVE)
    assert o["status"] == "success" and marks(lab) == ['{"n":5}']


def test_a_denial_by_submit_reaches_the_model(lab, told):
    b = told.bridge()
    model, o = waiting(told, b, calls(("S", {"n": 5})), "ok", tools=[marked(lab)])
    o = decide(b, o, DENY)
    assert o["status"] == "success" and "Not on a Friday." in told.at(model, 1).failure and marks(lab) == []


def test_an_approved_client_call_of_a_parent_without_tools_waits_for_its_result(told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls(g()), "ok")
    o = decide(b, o, APPROVE)
    call, = o["pendingToolCalls"]
    assert (o["status"], call["needs"], call["attempt"]) == ("waiting_client_tool", "result", 0)
    o = b.submit(o["runId"], {call["callId"]: "did it"})
    assert o["status"] == "success" and told.at(model, 1).result == "did it"


def test_a_request_that_was_open_when_the_process_died_is_asked_again(told):
    a = told.bridge(approvals=True)
    model = told.script(calls(g()), "ok")
    told.start(a, model, tools=[G])
    first = a.next_request("approval.request")
    a.kill9()
    b = told.bridge(approvals=True)
    assert b.get(first.params["runId"])["pendingToolCalls"][0]["state"] == "parked"
    told.on("G", "g")
    id = b.request("run.resume", {"runId": first.params["runId"]})
    second = b.next_request("approval.request")
    assert second.params["callId"] == first.params["callId"]
    b.respond(second, APPROVE)
    assert b.result(id)["status"] == "success"
    assert len(b.log_of(first.params["runId"], "approval.requested")) == 1


def test_resume_asks_here_what_is_open_elsewhere(told):
    """Of an approval a second asking does no harm: the first answer counts, and the other request is cancelled."""
    a, b = told.bridge(approvals=True), told.bridge(approvals=True)
    told.on("G", "g")
    model = told.script(calls(g()), "ok")
    id = told.start(a, model, tools=[G])
    first = a.next_request("approval.request")
    resumed = b.request("run.resume", {"runId": first.params["runId"]})
    second = b.next_request("approval.request")
    assert second.params["callId"] == first.params["callId"]
    b.respond(second, APPROVE)
    a.wait_cancelled(first.id)
    assert b.result(resumed)["status"] == a.result(id)["status"] == "success"
    assert told.at(model, 1).result == "g" and len(decided(a, {"runId": first.params["runId"]})) == 1


def test_a_denial_for_the_session_covers_later_calls_too(told):
    told.replies["approval.request"] = {**DENY, "scope": "session"}
    b = told.bridge(approvals=True)
    model = told.script(calls(g(1)), calls(g(2)), "ok")
    told.succeeds(b, model, tools=[G])
    assert len(told.asked["approval.request"]) == 1 and "Not on a Friday." in told.at(model, 2).failure


def test_the_timeout_of_tools_is_not_that_of_approvals(told):
    b = told.bridge(approvals=True)
    told.on("G", "g")
    model = told.script(calls(g()), "ok")
    id = told.start(b, model, tools=[{**G, "timeoutMs": 200}], agent={"clientTools": {"invokeTimeoutMs": 50, "onTimeout": "failFast"}})
    m = b.next_request("approval.request")
    threading.Event().wait(0.3)
    b.respond(m, APPROVE)
    assert b.result(id)["status"] == "success" and told.at(model, 1).result == "g"


def test_a_note_is_seen_after_the_decision(told):
    b = told.bridge(approvals=True)
    told.on("G", "g")
    model = told.script(calls(g()), "ok")
    id = told.start(b, model, tools=[G])
    m = b.next_request("approval.request")
    b.call("run.addNote", {"runId": m.params["runId"], "text": "NOTE-1"})
    b.respond(m, APPROVE)
    b.result(id)
    assert "NOTE-1" in told.at(model, 1).text and told.at(model, 1).result == "g"


def test_meta_is_carried_to_who_is_asked(told):
    told.replies["approval.request"] = APPROVE
    told.replies["elicitation/create"] = {"action": "decline"}
    told.on("G", "g")
    b = told.bridge(approvals=True, questions=True)
    model = told.script(calls(g(), ("ask_user", {"question": "?"})), "ok")
    told.succeeds(b, model, tools=[G], agent={"askUser": True}, _meta={"traceparent": "00-1"})
    assert told.asked["approval.request"][0].params["_meta"]["traceparent"] == told.asked["elicitation/create"][0].params["_meta"]["traceparent"] == "00-1"


def test_hanging_up_leaves_it_open_for_others(told):
    a = told.bridge(approvals=True)
    model = told.script(calls(g()), "ok")
    id = told.start(a, model, tools=[G])
    a.next_request("approval.request")
    a.hang_up()
    o = a.result(id)
    assert o["status"] == "waiting_approval" and o["pendingToolCalls"][0]["state"] == "parked"
    told.on("G", "g")
    assert decide(told.bridge(), o, APPROVE)["status"] == "success"


def test_a_decision_survives_kill_9_as_soon_as_it_is_answered(lab, told):
    a = told.bridge(tools=False)
    model, o = waiting(told, a, calls(g()), "ok")
    decide(a, o, {"decision": "approve", "arguments": {"n": 7}}, wait=False)
    a.kill9()
    b = told.bridge()
    told.on("G", lambda p: {"content": f"did {p['arguments']['n']}"})
    o = b.call("run.resume", {"runId": o["runId"]})
    assert o["status"] == "success" and told.at(model, 1).result.startswith("did 7")


# ---------------------------------------------------------------- other arguments

def test_approving_may_change_the_arguments(told):
    told.replies["approval.request"] = {"decision": "approve", "arguments": {"n": 42}}
    told.on("G", lambda p: {"content": f"did {p['arguments']['n']}"})
    b = told.bridge(approvals=True)
    model = told.script(calls(g()), "ok")
    o = told.succeeds(b, model, tools=[G])
    assert b.invokes()[0].params["arguments"] == {"n": 42}
    assert "did 42" in told.at(model, 1).result
    assert "42" in told.at(model, 1).text.replace("did 42", "")
    assert decided(b, o)[0]["arguments"] == {"n": 42}
    assert b.log_of(o["runId"], "tool.started")[0]["arguments"] == {"n": 42}


def test_a_command_gets_the_changed_arguments(lab, told):
    b = told.bridge()
    model, o = waiting(told, b, calls(("S", {"n": 5})), "ok", tools=[marked(lab)])
    decide(b, o, {"decision": "approve", "arguments": {"n": 6}})
    assert marks(lab) == ['{"n":6}'] or [m.replace(" ", "") for m in marks(lab)] == ['{"n":6}']


@pytest.mark.parametrize("arguments", [{"n": "x"}, {}, {"n": 1.5}])
def test_new_arguments_that_do_not_validate_are_invalid_params_and_the_call_keeps_waiting(told, arguments):
    b = told.bridge()
    model, o = waiting(told, b, calls(g(), g(2)), "ok")
    first, second = [c["callId"] for c in o["pendingToolCalls"]]
    e = b.fails("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": first, "decision": "approve", "arguments": arguments}, {"callId": second, "decision": "approve"}]}, "invalidParams")
    assert e.data["pointer"].startswith("/approvals/0"), e.error
    assert e.data["verdicts"][first] == "invalid"
    assert [c["callId"] for c in b.get(o["runId"])["pendingToolCalls"]] == [first, second] and decided(b, o) == []
    assert decide(b, o, APPROVE, APPROVE)["status"] == "success"


def test_with_partial_the_valid_ones_are_taken(told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls(g(), g(2)), "ok")
    first, second = [c["callId"] for c in o["pendingToolCalls"]]
    o = b.call("run.submitApprovals", {"runId": o["runId"], "partial": True, "approvals": [{"callId": first, "decision": "approve", "arguments": {"n": "x"}}, {"callId": second, "decision": "deny"}]})
    assert o["verdicts"] == {first: "invalid", second: "accepted"}
    assert [(c["callId"], c["needs"]) for c in o["pendingToolCalls"]] == [(first, "approval")]


def test_arguments_are_carried_exactly(lab, told):
    b = told.bridge()
    told.on("X", "x")
    model = told.script(calls(("X", {"a": 1})), "ok")
    o = told.run(b, model, tools=[tool("X", requiresApproval=True)])
    call, = o["pendingToolCalls"]
    text = '{"z": 0.10, "a":18446744073709551615,"u":"\\u0000"}'
    b.result(b.request_raw("run.submitApprovals", '{"runId":"%s","approvals":[{"callId":"%s","decision":"approve","arguments":%s}]}' % (o["runId"], call["callId"], text)))
    assert b.invokes()[0].raw_at("params", "arguments") == text


# ---------------------------------------------------------------- what a decision covers

def test_a_decision_is_for_one_call(told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls(g(1), g(2)), "ok")
    first, second = [c["callId"] for c in o["pendingToolCalls"]]
    o = b.call("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": first, **APPROVE}], "partial": True})
    assert [(c["callId"], c["needs"]) for c in o["pendingToolCalls"]] == [(first, "result"), (second, "approval")]
    assert o["status"] == "waiting_approval"


def test_scope_session_covers_later_calls_of_that_tool(told):
    told.replies["approval.request"] = {"decision": "approve", "scope": "session"}
    told.on("G", lambda p: {"content": f"did {p['arguments']['n']}"})
    told.on("H", "h")
    b = told.bridge(approvals=True)
    model = told.script(calls(g(1)), calls(g(2)), calls("H"), "ok")
    o = told.succeeds(b, model, tools=[G, tool("H", requiresApproval=True)])
    assert [m.params["name"] for m in told.asked["approval.request"]] == ["G", "H"]
    first, second, third = decided(b, o)
    assert (first["by"], first["scope"], second["by"], second["decidedCallId"], third["by"]) == ("client", "session", "scope", first["callId"], "client")
    assert told.at(model, 2).result == "did 2"


def test_scope_session_holds_in_the_next_run_and_process_of_the_session(told):
    told.replies["approval.request"] = {"decision": "approve", "scope": "session"}
    told.on("G", "g")
    a = told.bridge(approvals=True)
    s = told.session(a)
    model = told.script(calls(g(1)), "ok", calls(g(2)), "ok")
    told.succeeds(a, model, sessionId=s, tools=[G])
    a.kill9()
    b = told.bridge()
    told.succeeds(b, model, sessionId=s, tools=[G])
    assert len(told.asked["approval.request"]) == 1


def test_without_a_session_it_holds_for_that_run(told):
    told.replies["approval.request"] = {"decision": "approve", "scope": "session"}
    told.on("G", "g")
    b = told.bridge(approvals=True)
    for _ in range(2):
        told.succeeds(b, told.script(calls(g(1)), calls(g(2)), "ok"), tools=[G])
    assert len(told.asked["approval.request"]) == 2


def test_another_session_is_asked_anew(told):
    told.replies["approval.request"] = {"decision": "approve", "scope": "session"}
    told.on("G", "g")
    b = told.bridge(approvals=True)
    for s in (told.session(b), told.session(b)):
        told.succeeds(b, told.script(calls(g(1)), "ok"), sessionId=s, tools=[G])
    assert len(told.asked["approval.request"]) == 2


@pytest.mark.parametrize("change", [{"description": "another tool altogether"}, {"inputSchema": {"type": "object"}}], ids=["description", "schema"])
def test_it_holds_until_the_definition_changes(told, change):
    told.replies["approval.request"] = {"decision": "approve", "scope": "session"}
    told.on("G", "g")
    b = told.bridge(approvals=True)
    s = told.session(b)
    model = told.script(calls(g(1)), "ok", calls(g(2)), "ok", calls(g(3)), "ok")
    told.succeeds(b, model, sessionId=s, tools=[G])
    told.succeeds(b, model, sessionId=s, tools=[G])
    assert len(told.asked["approval.request"]) == 1
    told.succeeds(b, model, sessionId=s, tools=[{**G, **change}])
    assert len(told.asked["approval.request"]) == 2


def test_it_is_by_target_too(lab, told):
    told.replies["approval.request"] = {"decision": "approve", "scope": "session"}
    told.on("S", "the client's")
    b = told.bridge(approvals=True)
    s = told.session(b)
    model = told.script(calls(("S", {"n": 1})), "ok", calls(("S", {"n": 2})), "ok")
    command = marked(lab)
    told.succeeds(b, model, sessionId=s, tools=[{k: v for k, v in command.items() if k != "command"}])
    told.succeeds(b, model, sessionId=s, tools=[command])
    assert [m.params["target"] for m in told.asked["approval.request"]] == ["client", "server"]


def test_scope_session_covers_the_open_calls_of_that_tool(told):
    b = told.bridge(approvals=True)
    told.on("G", lambda p: {"content": f"did {p['arguments']['n']}"})
    model = told.script(calls(g(1), g(2)), "ok")
    id = told.start(b, model, tools=[G])
    first, second = b.next_request("approval.request"), b.next_request("approval.request")
    b.respond(first, {"decision": "approve", "scope": "session"})
    b.wait_cancelled(second.id)
    b.result(id)
    assert [r[0] for r in told.at(model, 1).results] == ["did 1", "did 2"]


def test_scope_once_is_the_default(told):
    told.replies["approval.request"] = APPROVE
    told.on("G", "g")
    b = told.bridge(approvals=True)
    told.succeeds(b, told.script(calls(g(1)), calls(g(1)), "ok"), tools=[G])
    assert len(told.asked["approval.request"]) == 2


# ---------------------------------------------------------------- expiry

def test_an_approval_that_expires_is_a_denial(told):
    b = told.bridge(approvals=True)
    model = told.script(calls(g()), "ok")
    id = told.start(b, model, tools=[G], agent={"approvalTimeoutMs": 200})
    m = b.next_request("approval.request")
    run = m.params["runId"]
    assert "expiresAt" in b.events(run, "approval.requested")[0].data and "expiresAt" in m.params
    until(lambda: b.get(run)["status"] == "success", "the denial")
    assert b.result(id)["status"] == "success"
    assert told.at(model, 1).failure and not b.invokes()
    b.wait_cancelled(m.id)
    d, = b.log_of(run, "approval.decided")
    assert (d["decision"], d["by"]) == ("deny", "expiry")


def test_a_decision_that_comes_too_late_is_already_claimed_in_any_process(told):
    a = told.bridge()
    model, o = waiting(told, a, calls(g()), "ok", agent={"approvalTimeoutMs": 150})
    call, = o["pendingToolCalls"]
    assert call["expiresAt"]
    a.kill9()
    time.sleep(0.2)
    b = told.bridge()
    e = b.fails("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": call["callId"], **APPROVE}]}, "run.alreadyClaimed")
    assert e.data["verdicts"] == {call["callId"]: "conflict"}
    o = b.call("run.resume", {"runId": o["runId"]})
    assert o["status"] == "success" and told.at(model, 1).failure and not b.invokes()


def test_it_expires_when_nobody_is_asked(told):
    b = told.bridge()
    model, o = waiting(told, b, calls(g()), "ok", agent={"approvalTimeoutMs": 150})
    until(lambda: b.call("run.resume", {"runId": o["runId"]})["status"] == "success", "the denial")
    assert told.at(model, 1).failure


@pytest.mark.parametrize("timeout", [300_000_000_000_000, 2**53 - 1])
def test_a_time_beyond_the_year_9999_is_told_as_its_end(told, timeout):
    b = told.bridge()
    _, o = waiting(told, b, calls(g()), "ok", agent={"approvalTimeoutMs": timeout})
    assert o["pendingToolCalls"][0]["expiresAt"] == "9999-12-31T23:59:59.999Z"


def test_without_a_timeout_nothing_expires(told):
    b = told.bridge()
    _, o = waiting(told, b, calls(g()), "ok")
    assert "expiresAt" not in o["pendingToolCalls"][0]


# ---------------------------------------------------------------- by another door, and races

@pytest.mark.parametrize("door", ["the same connection", "another process"])
@pytest.mark.parametrize("decision", [APPROVE, DENY], ids=["approve", "deny"])
def test_an_answer_by_another_door_cancels_the_open_request(told, door, decision):
    b = told.bridge(approvals=True)
    told.on("G", "g")
    model = told.script(calls(g()), "ok")
    id = told.start(b, model, tools=[G])
    m = b.next_request("approval.request")
    other = b if door == "the same connection" else told.bridge()
    given = other.request("run.submitApprovals", {"runId": m.params["runId"], "approvals": [{"callId": m.params["callId"], **decision}]})
    b.wait_cancelled(m.id)
    other.result(given)
    assert b.result(id)["status"] == "success"
    assert told.at(model, 1).results[0][1] == (decision is DENY)
    b.respond(m, APPROVE)
    b.ping()
    assert len(b.log_of(m.params["runId"], "approval.decided")) == 1


def test_a_cancel_cancels_the_open_request_and_nothing_is_called(told):
    b = told.bridge(approvals=True)
    model = told.script(calls(g()), "ok")
    id = told.start(b, model, tools=[G])
    m = b.next_request("approval.request")
    o = b.call("run.cancel", {"runId": m.params["runId"]})
    assert o["status"] == "cancelled" and b.result(id)["status"] == "cancelled"
    b.wait_cancelled(m.id)
    b.respond(m, APPROVE)
    b.ping()
    assert not b.invokes()


def test_of_racing_decisions_one_counts(told):
    a = told.bridge(tools=False)
    model, o = waiting(told, a, calls(g()), "ok", delivery="pause")
    call, = o["pendingToolCalls"]
    rivals = [told.bridge(tools=False) for _ in range(4)]
    barrier, answers = threading.Barrier(4), {}

    def go(n):
        barrier.wait()
        answers[n] = rivals[n].wait_response(rivals[n].request("run.submitApprovals", {
            "runId": o["runId"], "approvals": [{"callId": call["callId"], "decision": "approve", "arguments": {"n": 10 + n}}], "delivery": "pause"}))
    threads = [threading.Thread(target=go, args=(n,)) for n in range(4)]
    [t.start() for t in threads], [t.join() for t in threads]
    won = [n for n, m in answers.items() if m.error is None]
    assert len(won) == 1
    assert {m.error["data"]["kind"] for n, m in answers.items() if n not in won} <= {"run.alreadyClaimed", "run.notWaiting"}
    d, = a.log_of(o["runId"], "approval.decided")
    assert d["arguments"] == {"n": 10 + won[0]}
    assert a.get(o["runId"])["pendingToolCalls"][0]["arguments"] == {"n": 10 + won[0]}


def test_the_same_decision_again_is_a_duplicate(told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls(g()), "ok", delivery="pause")
    call, = o["pendingToolCalls"]
    assert decide(b, o, APPROVE)["verdicts"] == {call["callId"]: "accepted"}
    assert decide(b, o, APPROVE)["verdicts"] == {call["callId"]: "duplicate"}
    e = b.fails("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": call["callId"], **DENY}]}, "run.alreadyClaimed")
    assert e.data["verdicts"] == {call["callId"]: "conflict"}


# ---------------------------------------------------------------- submits of more than one kind

def test_results_and_approvals_in_one_submit(lab, told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls("W", ("S", {"n": 3}), g(4)), "ok", tools=[W, marked(lab), G], delivery="pause")
    w, s, c = [x["callId"] for x in o["pendingToolCalls"]]
    assert [x["needs"] for x in o["pendingToolCalls"]] == ["result", "approval", "approval"]
    o = b.submit(o["runId"], {w: "w"}, approvals=[{"callId": s, **APPROVE}, {"callId": c, **DENY}])
    assert o["status"] == "success" and o["verdicts"] == {w: "accepted", s: "accepted", c: "accepted"}
    one, two, three = told.at(model, 1).results
    assert one == ("w", False) and "done" in two[0] and three[1] and marks(lab)


def test_a_result_may_stand_for_a_client_call_that_needs_approval(told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls(g(1), g(2)), "ok", delivery="pause")
    first, second = [x["callId"] for x in o["pendingToolCalls"]]
    o = b.submit(o["runId"], {first: "by hand"}, approvals=[{"callId": second, **DENY}])
    assert o["status"] == "success"
    one, two = told.at(model, 1).results
    assert one == ("by hand", False) and two[1]


def test_results_alone_may_stand_for_all_of_them(told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls(g(1), "W"), "ok", tools=[G, W], delivery="pause")
    o = b.submit(o["runId"], {c["callId"]: "by hand" for c in o["pendingToolCalls"]})
    assert o["status"] == "success" and told.at(model, 1).results == [("by hand", False)] * 2


def test_a_result_does_not_stand_for_a_command(lab, told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls(("S", {"n": 3})), "ok", tools=[marked(lab)])
    call, = o["pendingToolCalls"]
    b.fails("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": call["callId"], "content": "forged"}]}, "run.invalidToolResults")
    assert b.get(o["runId"])["status"] == "waiting_approval" and marks(lab) == []


def test_each_kind_that_is_given_is_exact(told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls(g(1), g(2), "W"), "ok", tools=[G, W], delivery="pause")
    first, second, w = [x["callId"] for x in o["pendingToolCalls"]]
    nobody = "01M7W6C300ZESS10N00000000A"
    approvals = {"runId": o["runId"]}
    e = b.fails("run.submitApprovals", {**approvals, "approvals": [{"callId": first, **APPROVE}]}, "run.invalidToolResults")
    assert e.data["missing"] == [second]
    e = b.fails("run.submitApprovals", {**approvals, "approvals": [{"callId": i, **APPROVE} for i in (first, second, nobody)]}, "run.invalidToolResults")
    assert e.data["unknown"] == [nobody]
    e = b.fails("run.submitApprovals", {**approvals, "approvals": [{"callId": i, **APPROVE} for i in (first, second, second)]}, "run.invalidToolResults")
    assert e.data["duplicate"] == [second]
    assert decided(b, o) == [] and len(b.get(o["runId"])["pendingToolCalls"]) == 3
    o = decide(b, o, APPROVE, DENY)
    assert [(c["callId"], c["needs"]) for c in o["pendingToolCalls"]] == [(first, "result"), (w, "result")]


def test_approvals_for_calls_that_are_not_gated_are_refused(told):
    b = told.bridge(tools=False)
    model = told.script(calls("W"), "ok")
    o = told.run(b, model, tools=[W])
    call, = o["pendingToolCalls"]
    e = b.fails("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": call["callId"], **APPROVE}]}, "run.invalidToolResults")
    assert e.data["unknown"] == [call["callId"]]
    assert b.submit(o["runId"], {call["callId"]: "w"})["status"] == "success"
    e = b.fails("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": "01M7W6C300ZESS10N00000000A", **APPROVE}]}, "run.alreadyTerminal")


@pytest.mark.parametrize("params, pointer", [
    ({}, "/approvals"), ({"approvals": 5}, "/approvals"), ({"approvals": [{}]}, "/approvals/0/callId"), ({"approvals": [{"callId": "ID"}]}, "/approvals/0/decision"),
    ({"approvals": [{"callId": "ID", "decision": "yes"}]}, "/approvals/0/decision"), ({"approvals": [{"callId": "ID", "decision": "approve", "scope": "forever"}]}, "/approvals/0/scope"),
    ({"approvals": [{"callId": "ID", "decision": "approve", "arguments": 5}]}, "/approvals/0/arguments"), ({"approvals": [{"callId": "ID", "decision": "approve", "reason": 5}]}, "/approvals/0/reason"),
])
def test_what_is_wrong_with_a_submit_is_named(told, params, pointer):
    b = told.bridge()
    model, o = waiting(told, b, calls(g()), "ok")
    call, = o["pendingToolCalls"]
    if "approvals" in params and isinstance(params["approvals"], list):
        params = {"approvals": [{**a, **({"callId": call["callId"]} if "callId" in a else {})} for a in params["approvals"]]}
    b.refuses("run.submitApprovals", {"runId": o["runId"], **params}, pointer)
    assert b.get(o["runId"])["status"] == "waiting_approval"


def test_a_submit_with_no_member_is_invalid(told):
    b = told.bridge()
    _, o = waiting(told, b, calls(g()), "ok")
    b.refuses("run.submitToolResults", {"runId": o["runId"]})


def test_waiting_approval_is_the_word_while_any_call_needs_one(told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls("W", g()), "ok", tools=[W, G], delivery="pause")
    w, c = [x["callId"] for x in o["pendingToolCalls"]]
    o = b.call("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": c, **APPROVE}]})
    assert o["status"] == "waiting_client_tool"
    assert [d["status"] for d in b.log_of(o["runId"], "run.paused")] == ["waiting_approval", "waiting_client_tool"]


def test_arguments_that_do_not_validate_are_not_even_asked_about(told):
    b = told.bridge(approvals=True)
    told.replies["approval.request"] = APPROVE
    model = told.script(calls(("G", {"n": "x"})), "ok")
    told.succeeds(b, model, tools=[G])
    assert "/n" in told.at(model, 1).failure and told.asked["approval.request"] == []


def test_max_calls_per_run_counts_gated_calls_too(told):
    told.replies["approval.request"] = APPROVE
    told.on("G", "g")
    b = told.bridge(approvals=True)
    model = told.script(calls(g(1)), calls(g(2)), "ok")
    told.succeeds(b, model, tools=[{**G, "maxCallsPerRun": 1}])
    assert told.at(model, 1).result == "g" and told.at(model, 2).failure and len(told.asked["approval.request"]) == 1


def test_what_made_the_run_go_on(lab, told):
    told.replies["approval.request"] = {"decision": "approve"}
    b = told.bridge(approvals=True)
    o = told.succeeds(b, told.script(calls(("S", {"n": 1})), "ok"), tools=[marked(lab)])
    assert [d["cause"] for d in b.log_of(o["runId"], "run.resumed")][0] == "approval"


@pytest.mark.parametrize("door", ["agent", "session", "connection", "toolkit", "augmentation in a result"])
def test_a_tool_is_gated_wherever_it_was_registered(told, door):
    b = told.bridge()
    s = told.session(b)
    told.on("W", {"content": "w", "augmentation": {"injectToolkits": [{"name": "kit", "description": "d", "tools": [G], "startCollapsed": False}]}})
    kit = {"name": "kit", "description": "d", "tools": [G], "startCollapsed": False}
    more = {"agent": {"tools": [G]}} if door == "agent" else {"toolkits": [kit]} if door == "toolkit" else {}
    if door in ("session", "connection"):
        b.call("tool.register", {"tools": [G], **({"sessionId": s} if door == "session" else {})})
    turns = [calls("W")] if door.startswith("augmentation") else []
    o = told.run(b, told.script(*turns, calls(g()), "ok"), sessionId=s, tools=[W], **more)
    assert o["status"] == "waiting_approval" and o["pendingToolCalls"][0]["name"] == "G" and not b.invokes("G")


def test_a_gated_tool_stays_gated_when_a_result_injects_it_anew(told):
    """Overriding never removes requiresApproval: not even by an augmentation that a client tool sends."""
    b = told.bridge()
    told.on("W", {"content": "w", "augmentation": {"injectToolkits": [{"name": "kit", "description": "d", "tools": [{**G, "requiresApproval": False}], "startCollapsed": False}]}})
    model = told.script(calls("W"), calls(g()), "ok")
    o = told.run(b, model, tools=[W, G])
    assert o["status"] == "waiting_approval" and not b.invokes("G")


def test_nor_does_registering_it_anew(told):
    b = told.bridge()
    s = told.session(b)
    b.call("tool.register", {"tools": [G], "sessionId": s})
    b.call("tool.register", {"tools": [{**G, "requiresApproval": False}]})
    o = told.run(b, told.script(calls(g()), "ok"), sessionId=s)
    assert o["status"] == "waiting_approval"


def test_nor_do_the_tools_of_a_submit(told):
    b = told.bridge()
    model = told.script(calls("W"), calls(g()), "ok")
    o = told.run(b, model, agent={"tools": [G]}, tools=[W], delivery="pause")
    o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "w"}, tools=[{**G, "requiresApproval": False}])
    assert o["status"] == "waiting_approval" and not b.invokes("G")


def test_pausing_leaves_the_question_open_and_a_decision_does_not_go_on(lab, told):
    b = told.bridge(approvals=True)
    model = told.script(calls(("S", {"n": 1})), "ok")
    id = told.start(b, model, tools=[marked(lab)])
    m = b.next_request("approval.request")
    run = m.params["runId"]
    assert b.call("run.pause", {"runId": run})["status"] == "paused" and b.result(id)["status"] == "paused"
    b.respond(m, APPROVE)
    until(lambda: b.log_of(run, "approval.decided"), "the decision")
    assert b.get(run)["status"] == "paused" and marks(lab) == []
    assert b.call("run.resume", {"runId": run})["status"] == "success" and len(marks(lab)) == 1


def test_large_arguments_are_shown_whole(told):
    told.replies["approval.request"] = {"decision": "approve", "arguments": {"t": "B" * 100_000}}
    told.on("X", lambda p: {"content": str(len(p["arguments"]["t"]))})
    b = told.bridge(approvals=True)
    model = told.script(calls(("X", {"t": "A" * 100_000})), "ok")
    o = told.succeeds(b, model, tools=[tool("X", requiresApproval=True)])
    assert told.asked["approval.request"][0].params["arguments"] == {"t": "A" * 100_000}
    assert b.invokes()[0].params["arguments"] == {"t": "B" * 100_000} and told.at(model, 1).result == "100000"
    assert b.whole(decided(b, o)[0]["arguments"]) == {"t": "B" * 100_000}


def test_a_client_with_short_lines_is_asked_with_blobs(told):
    b = told.bridge(approvals=True, sampling=False, capabilities={"maxMessageBytes": 20_000})
    model = told.lab.script([calls(("X", {"t": "A" * 100_000})), say("ok")])
    told.on("X", "x")
    id = b.start(model, [tool("X", requiresApproval=True)])
    m = b.next_request("approval.request")
    assert len(m.raw) <= 20_000 and b.whole(m.params["arguments"]) == {"t": "A" * 100_000}
    b.respond(m, APPROVE)
    assert b.result(id)["status"] == "success"


def test_arguments_with_a_member_twice_are_refused(told):
    """They would fool whoever checks them."""
    b = told.bridge()
    model, o = waiting(told, b, calls(g()), "ok")
    call, = o["pendingToolCalls"]
    e = b.error_of(b.request_raw("run.submitApprovals", '{"runId":"%s","approvals":[{"callId":"%s","decision":"approve","arguments":{"n":1,"n":2}}]}' % (o["runId"], call["callId"])))
    assert e.kind == "invalidParams" and b.get(o["runId"])["status"] == "waiting_approval" and not b.invokes()


def test_many_are_asked_at_once_and_answered_in_any_order(told):
    b = told.bridge(approvals=True)
    told.on("G", lambda p: {"content": str(p["arguments"]["n"])})
    model = told.script(calls(*[g(n) for n in range(30)]), "ok")
    id = told.start(b, model, tools=[G])
    asked = [b.next_request("approval.request") for _ in range(30)]
    for m in sorted(asked, key=lambda m: m.params["arguments"]["n"] * 7 % 30):
        b.respond(m, DENY if m.params["arguments"]["n"] % 3 == 0 else APPROVE)
    b.result(id)
    for n, (text, error) in enumerate(told.at(model, 1).results):
        assert (text, error) == (str(n), False) if n % 3 else error and "Not on a Friday." in text


def test_an_approved_call_that_is_not_parallel_still_runs_alone(told):
    b = told.bridge()
    out, most = [], []

    def handler(p):
        out.append(p["name"])
        most.append(sorted(out))
        threading.Event().wait(0.03)
        out.remove(p["name"])
        return {"content": "ok"}
    told.on("G", handler)
    told.on("W", handler)
    model = told.script(calls(g(1), "W", g(2), "W"), "ok")
    o = told.run(b, model, tools=[{**G, "parallel": False}, W], delivery="pause")
    o = decide(b, o, APPROVE, APPROVE, delivery="invoke")
    assert not [t for t in most if "G" in t and len(t) > 1], most
    o = b.call("run.resume", {"runId": o["runId"]})
    assert not [t for t in most if "G" in t and len(t) > 1], most
    assert o["status"] == "success" and [e for _, e in told.at(model, 1).results] == [False] * 4


@pytest.mark.parametrize("answer", [APPROVE, DENY, {"decision": "approve", "arguments": {"n": 9}}], ids=["approve", "deny", "other arguments"])
def test_the_model_sees_the_same_whether_it_was_decided_live_or_by_a_submit(told, answer):
    shapes = []
    told.on("G", lambda p: {"content": f"did {p['arguments']['n']}"})
    for live in (True, False):
        b = told.bridge(approvals=live)
        model = told.script(calls(g()), "ok")
        told.replies["approval.request"] = answer
        o = told.run(b, model, tools=[G])
        if not live:
            o = decide(b, o, answer)
        assert o["status"] == "success"
        shapes.append(told.at(model, 1).shape.replace(model.split(":")[1], "MODEL"))
    assert shapes[0] == shapes[1]


def test_a_submit_that_cannot_be_carried_on_here_decides_nothing(told):
    a = told.bridge(tools=False)
    model, o = waiting(told, a, calls(g()), "ok", delivery="pause")
    b = told.bridge(tools=False, sampling=False)
    b.fails("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": o["pendingToolCalls"][0]["callId"], **DENY}]}, "unsupportedCapability")
    assert a.get(o["runId"])["status"] == "waiting_approval" and decided(a, o) == []


def test_an_approved_command_that_a_crash_interrupts_is_not_run_again(lab, told):
    a = told.bridge(approvals=True)
    told.replies["approval.request"] = APPROVE
    slow = sh("S", f"echo ran >> {lab.path / 'marks'}; sleep 20", NUMBERED, requiresApproval=True)
    model = told.script(calls(("S", {"n": 1})), "ok")
    run = told.run(a, model, tools=[slow], wait=False)["runId"]
    until(lambda: marks(lab), "the command")
    a.kill9()
    b = told.bridge(approvals=True)
    o = b.call("run.resume", {"runId": run})
    assert o["status"] == "success" and marks(lab) == ["ran"] and told.at(model, 1).failure
    assert len(told.asked["approval.request"]) == 1


# ---------------------------------------------------------------- kills

def test_kill_9_between_any_two_steps_changes_nothing_that_the_model_sees(lab):
    def story(told):
        told.on("G", lambda p: {"content": f"did {p['arguments']['n']}"})
        told.on("W", "w")
        told.replies["approval.request"] = lambda p: {1: {"decision": "approve", "arguments": {"n": 11}}, 2: DENY, 3: {"decision": "approve", "scope": "session"}}[p["arguments"]["n"]]
        model = told.script(calls(g(1), "W", g(2)), calls(g(3)), calls(g(4)), "ok")
        return {"input": "go", "agent": {"model": model}, "tools": [G, W]}, None

    shown = unchanged_by_kills(lab, story, {"approvals": True})
    assert "did 11" in shown[1].results[0][0] and "Not on a Friday." in shown[1].results[2][0]
    assert shown[3].result == "did 4"

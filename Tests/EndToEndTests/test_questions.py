"""Section 7: the built-in tool ask_user, asked by MCP's elicitation/create or answered by run.submitInput."""
import json
import threading

import pytest

from harness import Error, calls, say, tool, until
from told import told, toolkit, unchanged_by_kills  # noqa: F401

ASK = {"askUser": True}
SCHEMA = {"type": "object", "properties": {"year": {"type": "integer", "minimum": 2000}, "name": {"type": "string"}}, "required": ["year"]}
YEAR = {"action": "accept", "content": {"year": 2026}}


def ask(question="Which year?", **more):
    return ("ask_user", {"question": question, **more})


def waiting(told, b, *turns, **more):
    model = told.script(*turns)
    o = told.run(b, model, agent={**ASK, **more.pop("agent", {})}, **more)
    assert o["status"] == "waiting_human_input", o
    return model, o


def answer(b, o, *inputs, **more):
    ids = [c["callId"] for c in o["pendingToolCalls"] if c["needs"] == "input"]
    return b.call("run.submitInput", {"runId": o["runId"], "inputs": [{"callId": i, **x} for i, x in zip(ids, inputs)], **more})


# ---------------------------------------------------------------- the tool

def test_it_is_offered_when_the_agent_asks(told):
    assert told.one("ok")[0].names == []
    assert told.one("ok", agent={"askUser": False})[0].names == []
    seen, = told.one("ok", agent=ASK)
    assert seen.names == ["ask_user"]
    properties = seen.tools["ask_user"][1]["properties"]
    assert {"question", "options", "schema"} <= set(properties) and seen.tools["ask_user"][1]["required"] == ["question"]


def test_without_it_a_call_of_it_is_unknown(told):
    b = told.bridge(questions=True)
    model = told.script(calls(ask()), "ok")
    told.succeeds(b, model, tools=[tool("X")])
    assert told.at(model, 1).failure and not b.collect(lambda m: m.is_request and m.method == "elicitation/create")


@pytest.mark.parametrize("arguments", [{}, {"question": 5}, {"question": "x", "options": "y"}, {"question": "x", "schema": "y"}])
def test_a_question_that_is_none_is_an_error_for_the_model_and_nobody_is_asked(told, arguments):
    b = told.bridge(questions=True)
    model = told.script(calls(("ask_user", arguments)), "ok")
    told.succeeds(b, model, agent=ASK)
    assert told.at(model, 1).failure and not b.collect(lambda m: m.is_request and m.method == "elicitation/create")


# ---------------------------------------------------------------- live

def test_the_client_is_asked_and_the_model_gets_the_content_as_json(told):
    b = told.bridge(questions=True)
    model = told.script(calls(ask("Which year?", schema=SCHEMA)), "ok")
    id = told.start(b, model, agent=ASK)
    m = b.next_request("elicitation/create")
    run = b.start_id(id)
    call, = b.wait_event("model.completed").data["toolCalls"]
    assert m.params["message"] == "Which year?" and m.params["requestedSchema"] == SCHEMA
    assert m.params["_meta"]["runId"] == run and m.params["_meta"]["callId"] == call["callId"]
    requested = b.wait_event("input.requested")
    assert requested.i < m.i and requested.data["message"] == "Which year?" and requested.data["requestedSchema"] == SCHEMA
    pending, = b.get(run)["pendingToolCalls"]
    assert (pending["needs"], pending["state"], pending["attempt"]) == ("input", "open", 0)
    assert b.get(run)["status"] == "waiting_human_input"
    b.respond(m, {"action": "accept", "content": {"year": 2026, "name": "ü"}})
    assert b.result(id)["status"] == "success"
    assert json.loads(told.at(model, 1).result) == {"year": 2026, "name": "ü"}
    answered, = b.log_of(run, "input.answered")
    assert (answered["action"], answered["by"], answered["client"], answered["content"]) == ("accept", "client", "tests", {"year": 2026, "name": "ü"})
    types = b.log_types(run)
    assert types.index("input.requested") < types.index("input.answered") < types.index("tool.completed")


def test_a_plain_question_has_a_form_that_mcp_allows(told):
    told.replies["elicitation/create"] = lambda p: {"action": "accept", "content": {next(iter(p["requestedSchema"]["properties"])): "blue"}}
    b = told.bridge(questions=True)
    model = told.script(calls(ask("Which colour?")), "ok")
    told.succeeds(b, model, agent=ASK)
    form = told.asked["elicitation/create"][0].params["requestedSchema"]
    assert form["type"] == "object"
    (name, member), = form["properties"].items()
    assert member["type"] == "string" and form["required"] == [name]
    assert "blue" in told.at(model, 1).result


def test_options_become_an_enum(told):
    told.replies["elicitation/create"] = lambda p: {"action": "accept", "content": {next(iter(p["requestedSchema"]["properties"])): "blue"}}
    b = told.bridge(questions=True)
    model = told.script(calls(ask("Which colour?", options=["red", "blue"])), "ok")
    told.succeeds(b, model, agent=ASK)
    member, = told.asked["elicitation/create"][0].params["requestedSchema"]["properties"].values()
    assert member["enum"] == ["red", "blue"]


def test_declining_is_an_error_that_says_so(told):
    told.replies["elicitation/create"] = {"action": "decline"}
    b = told.bridge(questions=True)
    model = told.script(calls(ask()), "ok")
    o = told.succeeds(b, model, agent=ASK)
    assert "declined" in told.at(model, 1).failure
    assert b.log_of(o["runId"], "input.answered")[0]["action"] == "decline"


@pytest.mark.parametrize("reply", [{"action": "cancel"}, Error(-32000, "nobody is here"), {}, {"action": "perhaps"}, {"action": "accept", "content": {"year": "x"}}],
                         ids=["cancel", "error", "nothing", "neither", "content that does not fit"])
def test_after_a_cancel_or_no_usable_answer_the_run_waits_for_a_submit(told, reply):
    told.replies["elicitation/create"] = reply
    b = told.bridge(questions=True)
    model, o = waiting(told, b, calls(ask(schema=SCHEMA)), "ok")
    call, = o["pendingToolCalls"]
    assert (call["needs"], call["state"]) == ("input", "parked")
    o = answer(b, o, YEAR)
    assert o["status"] == "success" and json.loads(told.at(model, 1).result) == {"year": 2026}


def test_two_questions_at_once(told):
    told.replies["elicitation/create"] = lambda p: {"action": "accept", "content": {"year": 2000 + len(p["message"])}}
    b = told.bridge(questions=True)
    model = told.script(calls(ask("12345", schema=SCHEMA), ask("123", schema=SCHEMA)), "ok")
    told.succeeds(b, model, agent=ASK)
    assert [json.loads(t)["year"] for t, _ in told.at(model, 1).results] == [2005, 2003]


# ---------------------------------------------------------------- durable

def test_without_the_capability_the_run_waits_and_another_process_answers(told):
    a = told.bridge()
    model, o = waiting(told, a, calls(ask(schema=SCHEMA)), "ok")
    call, = o["pendingToolCalls"]
    assert (call["name"], call["needs"], call["state"], call["attempt"]) == ("ask_user", "input", "parked", 0)
    assert call["arguments"]["question"] == "Which year?"
    a.kill9()
    b = told.bridge(tools=False)
    o = answer(b, o, YEAR)
    assert o["status"] == "success" and o["verdicts"] == {call["callId"]: "accepted"}
    assert json.loads(told.at(model, 1).result) == {"year": 2026}
    assert b.log_of(o["runId"], "input.answered")[0]["by"] == "submit"


def test_a_decline_by_submit(told):
    b = told.bridge()
    model, o = waiting(told, b, calls(ask()), "ok")
    assert answer(b, o, {"action": "decline"})["status"] == "success"
    assert "declined" in told.at(model, 1).failure


def test_a_cancel_by_submit_leaves_it_open(told):
    b = told.bridge()
    model, o = waiting(told, b, calls(ask(schema=SCHEMA)), "ok")
    o2 = answer(b, o, {"action": "cancel"})
    assert o2["status"] == "waiting_human_input" and [c["callId"] for c in o2["pendingToolCalls"]] == [c["callId"] for c in o["pendingToolCalls"]]
    assert answer(b, o, YEAR)["status"] == "success"
    assert json.loads(told.at(model, 1).result) == {"year": 2026}


def test_submit_tool_results_carries_inputs_too(told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls(ask(schema=SCHEMA), "W"), "ok", tools=[tool("W")], delivery="pause")
    q, w = [c["callId"] for c in o["pendingToolCalls"]]
    o = b.submit(o["runId"], {w: "w"}, inputs=[{"callId": q, **YEAR}])
    assert o["status"] == "success" and o["verdicts"] == {q: "accepted", w: "accepted"}
    assert [t for t, _ in told.at(model, 1).results][1] == "w"


def test_a_result_does_not_answer_a_question(told):
    b = told.bridge()
    _, o = waiting(told, b, calls(ask()), "ok")
    call, = o["pendingToolCalls"]
    b.fails("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": call["callId"], "content": "2026"}]}, "run.invalidToolResults")
    assert b.get(o["runId"])["status"] == "waiting_human_input"


def test_a_question_that_was_open_when_the_process_died_is_asked_again(told):
    a = told.bridge(questions=True)
    model = told.script(calls(ask(schema=SCHEMA)), "ok")
    told.start(a, model, agent=ASK)
    first = a.next_request("elicitation/create")
    run = first.params["_meta"]["runId"]
    a.kill9()
    b = told.bridge(questions=True)
    assert b.get(run)["pendingToolCalls"][0]["state"] == "parked"
    id = b.request("run.resume", {"runId": run})
    second = b.next_request("elicitation/create")
    assert {k: v for k, v in second.params.items()} == {**first.params, "_meta": second.params["_meta"]}
    assert second.params["_meta"]["callId"] == first.params["_meta"]["callId"]
    b.respond(second, YEAR)
    assert b.result(id)["status"] == "success" and json.loads(told.at(model, 1).result) == {"year": 2026}
    assert len(b.log_of(run, "input.requested")) == 1


def test_hanging_up_leaves_it_open(told):
    a = told.bridge(questions=True)
    model = told.script(calls(ask(schema=SCHEMA)), "ok")
    id = told.start(a, model, agent=ASK)
    a.next_request("elicitation/create")
    a.hang_up()
    o = a.result(id)
    assert o["status"] == "waiting_human_input" and o["pendingToolCalls"][0]["state"] == "parked"
    assert answer(told.bridge(), o, YEAR)["status"] == "success"


# ---------------------------------------------------------------- by another door, races, and what nobody asked

@pytest.mark.parametrize("door", ["the same connection", "another process"])
def test_an_answer_by_another_door_cancels_the_open_request(told, door):
    b = told.bridge(questions=True)
    model = told.script(calls(ask(schema=SCHEMA)), "ok")
    id = told.start(b, model, agent=ASK)
    m = b.next_request("elicitation/create")
    other = b if door == "the same connection" else told.bridge()
    given = other.request("run.submitInput", {"runId": m.params["_meta"]["runId"], "inputs": [{"callId": m.params["_meta"]["callId"], **YEAR}]})
    b.wait_cancelled(m.id)
    other.result(given)
    assert b.result(id)["status"] == "success" and json.loads(told.at(model, 1).result) == {"year": 2026}
    b.respond(m, {"action": "accept", "content": {"year": 2027}})
    b.ping()
    assert len(b.log_of(m.params["_meta"]["runId"], "input.answered")) == 1


def test_a_cancel_of_the_run_cancels_the_open_request(told):
    b = told.bridge(questions=True)
    model = told.script(calls(ask()), "ok")
    id = told.start(b, model, agent=ASK)
    m = b.next_request("elicitation/create")
    assert b.call("run.cancel", {"runId": m.params["_meta"]["runId"]})["status"] == "cancelled"
    b.wait_cancelled(m.id)
    assert b.result(id)["status"] == "cancelled"


def test_of_racing_answers_one_counts(told):
    a = told.bridge()
    model, o = waiting(told, a, calls(ask(schema=SCHEMA)), "ok")
    call, = o["pendingToolCalls"]
    rivals = [told.bridge() for _ in range(4)]
    barrier, answers = threading.Barrier(4), {}

    def go(n):
        barrier.wait()
        answers[n] = rivals[n].wait_response(rivals[n].request("run.submitInput", {"runId": o["runId"], "inputs": [{"callId": call["callId"], "action": "accept", "content": {"year": 2000 + n}}]}))
    threads = [threading.Thread(target=go, args=(n,)) for n in range(4)]
    [t.start() for t in threads], [t.join() for t in threads]
    won = [n for n, m in answers.items() if m.error is None]
    assert len(won) == 1
    assert {m.error["data"]["kind"] for n, m in answers.items() if n not in won} <= {"run.alreadyClaimed", "run.notWaiting", "run.alreadyTerminal"}
    assert json.loads(told.at(model, 1).result) == {"year": 2000 + won[0]}


def test_the_same_answer_again_is_a_duplicate(told):
    b = told.bridge()
    model, o = waiting(told, b, calls(ask(schema=SCHEMA), ask(schema=SCHEMA)), "ok")
    first, second = [c["callId"] for c in o["pendingToolCalls"]]
    give = lambda id, year: {"runId": o["runId"], "partial": True, "inputs": [{"callId": id, "action": "accept", "content": {"year": year}}]}  # noqa: E731
    assert b.call("run.submitInput", give(first, 2026))["verdicts"] == {first: "accepted"}
    assert b.call("run.submitInput", give(first, 2026))["verdicts"] == {first: "duplicate"}
    assert b.call("run.submitInput", give(first, 2027))["verdicts"] == {first: "conflict"}
    assert b.call("run.submitInput", give(second, 2028))["status"] == "success"
    assert [json.loads(t)["year"] for t, _ in told.at(model, 1).results] == [2026, 2028]


def test_an_answer_to_a_question_nobody_asked_is_refused_and_the_run_is_untouched(told):
    b = told.bridge(tools=False)
    nobody = "01M7W6C300ZESS10N00000000A"
    model = told.script(calls("W"), "ok")
    o = told.run(b, model, tools=[tool("W")])
    call, = o["pendingToolCalls"]
    for id in (nobody, call["callId"]):
        e = b.fails("run.submitInput", {"runId": o["runId"], "inputs": [{"callId": id, **YEAR}]}, "run.invalidToolResults")
        assert e.data["unknown"] == [id]
    assert [c["callId"] for c in b.get(o["runId"])["pendingToolCalls"]] == [call["callId"]]
    b.submit(o["runId"], {call["callId"]: "w"})
    b.fails("run.submitInput", {"runId": o["runId"], "inputs": [{"callId": nobody, **YEAR}]}, "run.alreadyTerminal")
    b.fails("run.submitInput", {"runId": nobody, "inputs": [{"callId": nobody, **YEAR}]}, "run.notFound")


@pytest.mark.parametrize("inputs, pointer", [
    (None, "/inputs"), (5, "/inputs"), ([{}], "/inputs/0/callId"), ([{"callId": "ID"}], "/inputs/0/action"), ([{"callId": "ID", "action": "maybe"}], "/inputs/0/action"),
])
def test_what_is_wrong_with_a_submit_is_named(told, inputs, pointer):
    b = told.bridge()
    _, o = waiting(told, b, calls(ask()), "ok")
    if isinstance(inputs, list):
        inputs = [{**i, **({"callId": o["pendingToolCalls"][0]["callId"]} if "callId" in i else {})} for i in inputs]
    b.refuses("run.submitInput", {"runId": o["runId"], **({"inputs": inputs} if inputs is not None else {})}, pointer)
    assert b.get(o["runId"])["status"] == "waiting_human_input"


# ---------------------------------------------------------------- beside other calls

def test_the_waiting_word(told):
    b = told.bridge(tools=False)
    model, o = waiting(told, b, calls(ask(schema=SCHEMA), "W"), "ok", tools=[tool("W")], delivery="pause")
    assert [c["needs"] for c in o["pendingToolCalls"]] == ["input", "result"]
    o = answer(b, o, YEAR)
    assert o["status"] == "waiting_client_tool"
    assert [d["status"] for d in b.log_of(o["runId"], "run.paused")] == ["waiting_human_input", "waiting_client_tool"]


def test_an_approval_comes_before_a_question_in_the_waiting_word(told):
    b = told.bridge(tools=False)
    model = told.script(calls(ask(schema=SCHEMA), "G"), "ok")
    o = told.run(b, model, agent=ASK, tools=[tool("G", requiresApproval=True)])
    assert o["status"] == "waiting_approval" and [c["needs"] for c in o["pendingToolCalls"]] == ["input", "approval"]
    g = o["pendingToolCalls"][1]["callId"]
    o = b.call("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": g, "decision": "deny"}]})
    assert o["status"] == "waiting_human_input"
    assert answer(b, o, YEAR)["status"] == "success"


def test_client_calls_of_the_batch_go_out_while_a_question_is_open(told):
    b = told.bridge(questions=True)
    told.on("W", "w")
    model = told.script(calls(ask(schema=SCHEMA), "W"), "ok")
    id = told.start(b, model, agent=ASK, tools=[tool("W")])
    m = b.next_request("elicitation/create")
    until(lambda: b.events(type="tool.completed"), "the result of W")
    b.respond(m, YEAR)
    assert b.result(id)["status"] == "success"
    assert told.at(model, 1).results[1] == ("w", False)


def test_a_question_has_no_timeout(told):
    b = told.bridge(questions=True)
    model = told.script(calls(ask(schema=SCHEMA)), "ok")
    id = told.start(b, model, agent={**ASK, "clientTools": {"invokeTimeoutMs": 50, "onTimeout": "failFast"}, "approvalTimeoutMs": 50})
    m = b.next_request("elicitation/create")
    threading.Event().wait(0.15)
    b.respond(m, YEAR)
    assert b.result(id)["status"] == "success"


def test_what_made_the_run_go_on(told):
    told.replies["elicitation/create"] = YEAR
    b = told.bridge(questions=True)
    o = told.succeeds(b, told.script(calls(ask(schema=SCHEMA)), "ok"), agent=ASK)
    assert [d["cause"] for d in b.log_of(o["runId"], "run.resumed")] == ["input"]


def test_the_answer_is_carried_exactly(told):
    b = told.bridge(questions=True)
    model = told.script(calls(ask(schema={"type": "object", "properties": {"n": {"type": "number"}, "big": {"type": "number"}}})), "ok")
    id = told.start(b, model, agent=ASK)
    m = b.next_request("elicitation/create")
    b.respond_raw(m, '{"action":"accept","content":{"n":0.10,"big":18446744073709551615}}')
    b.result(id)
    seen = told.at(model, 1).result
    assert "0.10" in seen and "18446744073709551615" in seen


def test_a_large_question_comes_through(told):
    question = "Q" * 100_000
    told.replies["elicitation/create"] = lambda p: {"action": "accept", "content": {"answer": "A" * 100_000}}
    b = told.bridge(questions=True)
    model = told.script(calls(ask(question)), "ok")
    told.succeeds(b, model, agent=ASK)
    assert told.asked["elicitation/create"][0].params["message"] == question and "A" * 100_000 in told.at(model, 1).result


def test_a_client_with_short_lines_is_asked_with_blobs(told):
    b = told.bridge(questions=True, sampling=False, capabilities={"maxMessageBytes": 20_000})
    id = b.start([calls(ask("Q" * 50_000)), say("ok")], agent=ASK)
    m = b.next_request("elicitation/create")
    assert len(m.raw) <= 20_000 and b.whole(m.params["message"]) == "Q" * 50_000
    b.respond(m, {"action": "decline"})
    assert b.result(id)["status"] == "success"


@pytest.mark.parametrize("reply", [YEAR, {"action": "decline"}], ids=["accept", "decline"])
def test_the_model_sees_the_same_whether_it_was_answered_live_or_by_a_submit(told, reply):
    shapes = []
    for live in (True, False):
        b = told.bridge(questions=live)
        model = told.script(calls(ask(schema=SCHEMA)), "ok")
        told.replies["elicitation/create"] = reply
        o = told.run(b, model, agent=ASK)
        if not live:
            o = answer(b, o, reply)
        assert o["status"] == "success"
        shapes.append(told.at(model, 1).shape.replace(model.split(":")[1], "MODEL"))
    assert shapes[0] == shapes[1]


def test_questions_wait_in_a_session_too(told):
    a = told.bridge()
    s = told.session(a)
    model, o = waiting(told, a, calls(ask(schema=SCHEMA)), "ok", "next", sessionId=s)
    a.kill9()
    b = told.bridge()
    queued = b.call("run.start", {"input": "and?", "agent": {"model": model}, "sessionId": s})
    assert (queued["status"], queued["blockedBy"]) == ("queued", o["runId"])
    assert answer(b, o, YEAR)["status"] == "success"
    assert b.wait_run(queued["runId"])["status"] == "success"
    assert [m.role for m in told.at(model, 2).messages] == ["user", "assistant", "tool", "assistant", "user"]


# ---------------------------------------------------------------- kills

def test_kill_9_between_any_two_steps_changes_nothing_that_the_model_sees(lab):
    def story(told):
        told.on("A", "a")
        told.replies["elicitation/create"] = lambda p: {"action": "decline"} if p["message"] == "Sure?" else {"action": "accept", "content": {"year": 2026, "name": "ü"}}
        model = told.script(calls(ask(schema=SCHEMA), "A"), calls(ask("Sure?", options=["yes", "no"])), "ok")
        return {"input": "go", "agent": {"model": model, **ASK}, "toolkits": [toolkit("kit", tool("A"))]}, None

    shown = unchanged_by_kills(lab, story, {"questions": True})
    assert "declined" in shown[2].failure

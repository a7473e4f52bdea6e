"""Section 5 (b): what an MCP server asks while it works on a call: the user, the run's model, and for its folders."""
import pytest

from harness import Error, calls, loads, say, text_of
from test_mcp_servers import LONG, done, everything, one, plain, pytest_everything


def attend(b, handlers):
    """Answers what the bridge asks until the run is over: its outcome, and its tool.completed."""
    taken = set()

    def due(m):
        return not m.is_batch and m.i not in taken and (m.is_request and m.method in handlers or m.is_event and m.type in ("run.completed", "run.error"))

    while True:
        m = b.wait(due, "a question or the end", LONG)
        taken.add(m.i)
        if m.is_event:
            assert m.type == "run.completed", m
            return m.data, done(b, m.data)
        b.answer(m, handlers[m.method](m.params))


def message(text, **more):
    return {"role": "assistant", "model": "m", "content": {"type": "text", "text": text}, **more}


def call_of(name, arguments):
    return {"role": "assistant", "model": "m", "stopReason": "toolUse", "content": [{"type": "tool_use", "id": "c1", "name": name, "input": arguments}]}


class Model:
    """The parent as the model: the run's turns one after the other, and whatever a server asks."""

    def __init__(self, *turns, server="42"):
        self.turns, self.server, self.asked = list(turns), server, []

    def __call__(self, params):
        if "what is six by seven" in str(params["messages"]) and "tools" not in params:
            self.asked.append(params)
            return message(self.server)
        return self.turns.pop(0)


ASK = call_of("e__ask_model", {"question": "what is six by seven?"})


def run(lab, approve, turns=(ASK, message("done")), **capabilities):
    """A run whose server asks the model, for a client that is the model and answers approvals so."""
    capabilities = {"sampling": {"tools": {}}, "approvals": {}, **capabilities}
    b = lab.bridge(capabilities={k: v for k, v in capabilities.items() if v is not None})
    model = Model(*turns)
    b.request("run.start", {"input": "go", "agent": {"model": "parent:m", "mcpServers": {"e": everything()}}})
    return model, *attend(b, {"sampling/createMessage": model, "approval.request": approve})


@pytest_everything
def test_the_runs_model_answers_what_was_approved(lab):
    seen = []
    model, o, (d,) = run(lab, lambda p: (seen.append(p), {"decision": "approve"})[1])
    assert d["isError"] is False and text_of(d["content"]) == "42"
    request, = seen
    assert request["name"] == "sampling/createMessage" and request["target"] == "server" and request["callId"] == d["callId"]
    assert request["arguments"]["messages"][0]["content"]["text"] == "what is six by seven?" and request["_meta"]["mcpServer"] == "e"
    assert model.asked[0]["maxTokens"] == 100
    # What the server had the model do counts as the run's own.
    assert o["usage"]["modelCalls"] == 3


@pytest_everything
def test_what_was_denied_is_an_error_for_the_server(lab):
    model, _, (d,) = run(lab, lambda p: {"decision": "deny", "reason": "too dear"})
    assert d["isError"] is True and "too dear" in text_of(d["content"])
    assert model.asked == []


@pytest_everything
def test_the_approver_may_change_what_the_model_is_asked(lab):
    model, _, _ = run(lab, lambda p: {"decision": "approve", "arguments": {**p["arguments"], "maxTokens": 7}})
    assert model.asked[0]["maxTokens"] == 7


@pytest_everything
def test_an_approval_for_the_session_is_asked_once(lab):
    seen = []
    _, _, results = run(lab, lambda p: (seen.append(1), {"decision": "approve", "scope": "session"})[1], (ASK, ASK, message("done")))
    assert [text_of(d["content"]) for d in results] == ["42", "42"] and len(seen) == 1


@pytest_everything
def test_without_anybody_to_approve_the_server_is_refused_at_once(lab):
    model, _, (d,) = run(lab, None, approvals=None)
    assert d["isError"] is True and model.asked == []


@pytest_everything
def test_an_answer_that_is_none_is_a_refusal(lab):
    model, _, (d,) = run(lab, lambda p: {"decision": "approve", "arguments": {"messages": 1}})
    assert d["isError"] is True and model.asked == []
    _, _, (d,) = run(lab, lambda p: Error())
    assert d["isError"] is True and "approved" in text_of(d["content"])


@pytest_everything
def test_cancelling_the_run_takes_the_question_back(lab):
    b = lab.bridge(capabilities={"sampling": {"tools": {}}, "approvals": {}})
    b.request("run.start", {"input": "go", "agent": {"model": "parent:m", "mcpServers": {"e": everything()}}})
    b.answer(b.wait(lambda m: not m.is_batch and m.is_request and m.method == "sampling/createMessage", "sampling", LONG), ASK)
    m = b.wait(lambda m: not m.is_batch and m.is_request and m.method == "approval.request", "approval.request", LONG)
    assert b.call("run.cancel", {"runId": m.params["runId"]})["status"] == "cancelled"
    b.wait_cancelled(m.id, LONG)


# ---- the user

def ask(lab, answer):
    """The client's answer to a question, and what it was asked; the call's result."""
    b = lab.bridge(capabilities={"elicitation": {}})
    seen = []
    b.start([calls(("e__ask_user", {"question": "who is there?"})), say("ok")], agent={"mcpServers": {"e": everything()}})
    _, (d,) = attend(b, {"elicitation/create": lambda p: (seen.append(p), answer)[1]})
    return seen[0], d


@pytest_everything
@pytest.mark.parametrize("answer, words", [
    ({"action": "accept", "content": {"name": "Ada"}}, "accept Ada"), ({"action": "decline"}, "decline"), ({"action": "cancel"}, "cancel"),
    (Error(), "cancel")])
def test_what_the_user_says_reaches_the_server(lab, answer, words):
    asked, d = ask(lab, answer)
    assert text_of(d["content"]) == words
    assert asked["_meta"]["mcpServer"] == "e" and asked["_meta"]["callId"] == d["callId"]


@pytest_everything
def test_a_client_that_cannot_ask_is_not_asked(bridge):
    d = one(bridge, "e__ask_user", {"question": "who is there?"}, {"e": everything()})
    assert d["isError"] is True


@pytest_everything
def test_a_client_that_hangs_up_does_not_keep_a_server_waiting(lab):
    """With `drain` the work goes on without the client."""
    b = lab.bridge(capabilities={"elicitation": {}, "drain": {}})
    b.start([calls(("e__ask_user", {"question": "who is there?"})), say("ok")], agent={"mcpServers": {"e": everything()}})
    m = b.wait(lambda m: not m.is_batch and m.is_request and m.method == "elicitation/create", "elicitation/create", LONG)
    assert b.hang_up(LONG) == 0
    c = lab.bridge()
    assert c.get(m.params["_meta"]["runId"])["status"] == "success"


FORM = ["elicitation/create", {"message": "who?", "requestedSchema": {"type": "object", "properties": {"n": {"type": "string"}}, "required": ["n"]}}]


@pytest.mark.parametrize("answer, heard", [
    ({"action": "accept", "content": {"n": "Ada"}}, {"action": "accept", "content": {"n": "Ada"}}),
    ({"action": "accept", "content": {"n": 5}}, {"action": "cancel"}), ({"action": "accept", "content": {}}, {"action": "cancel"}),
    ({"action": "accept", "content": "Ada"}, {"action": "cancel"}), ({"action": "accept"}, {"action": "cancel"})],
    ids=["fits", "another type", "a member is missing", "no object", "no content"])
def test_an_answer_that_does_not_fit_the_form_is_none(lab, answer, heard):
    b = lab.bridge(capabilities={"elicitation": {}})
    b.start([calls("p__echo"), say("ok")], agent={"mcpServers": {"p": plain(asks=FORM)}})
    _, (d,) = attend(b, {"elicitation/create": lambda p: answer})
    assert loads(text_of(d["content"])) == heard


def test_with_drain_a_question_that_the_client_leaves_open_is_cancelled(lab):
    b = lab.bridge(capabilities={"elicitation": {}, "drain": {}})
    b.start([calls("p__echo"), say("ok")], agent={"mcpServers": {"p": plain(asks=FORM)}})
    run = b.next_request("elicitation/create", LONG).params["_meta"]["runId"]
    assert b.hang_up(LONG) == 0
    (d,) = lab.bridge().log_of(run, "tool.completed")
    assert loads(text_of(d["content"])) == {"action": "cancel"}


# ---- several runs at once

SAMPLE = ["sampling/createMessage", {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 50}]


@pytest.mark.parametrize("asks, gate", [(FORM, "elicitation/create"), (SAMPLE, "approval.request")], ids=["the user", "the model"])
def test_what_is_asked_while_calls_of_two_runs_are_open_is_for_neither(lab, asks, gate):
    """Whose it is cannot be said. Later runs have a process each, so that it can."""
    b = lab.bridge(capabilities={"elicitation": {}, "approvals": {}})
    servers = {"p": plain(asks=asks, record=str(lab.path / "pids"))}

    def start(opened, *turns):
        return b.start([calls(("p__echo", {"open": opened})), *turns, say("done")], agent={"mcpServers": servers})
    both = [b.result(i, LONG) for i in [start(2), start(2)]]
    for o in both:
        d, = done(b, o)
        assert "calls of several runs are open" in text_of(d["content"]) and o["usage"]["modelCalls"] == 2
    assert b.collect(lambda m: m.is_request) == [] and len(lab.lines("pids")) == 1
    later = [start(1, *([say("sampled")] if asks is SAMPLE else [])) for _ in range(2)]
    for _ in later:
        m = b.next_request(gate, LONG)
        run = m.params["runId"] if asks is SAMPLE else m.params["_meta"]["runId"]
        b.respond(m, {"decision": "approve"} if asks is SAMPLE else {"action": "accept", "content": {"n": run}})
    for i in later:
        o = b.result(i, LONG)
        assert (o["runId"] if asks is FORM else "sampled") in text_of(done(b, o)[0]["content"])
    assert len(lab.lines("pids")) == 3


def test_a_question_that_the_user_leaves_open_takes_no_time_limit_from_the_call_of_another_run(lab):
    b = lab.bridge(capabilities={"elicitation": {}})
    servers = {"p": plain({"timeoutMs": 1500}, asks=FORM)}
    asking = b.start([calls("p__echo"), say("ok")], agent={"mcpServers": servers})
    m = b.next_request("elicitation/create", LONG)
    # The server answers nothing before the user has.
    o = b.run([calls(("p__echo", {"open": 99})), say("ok")], agent={"mcpServers": servers}, timeout=LONG)
    d, = done(b, o)
    assert o["status"] == "success" and d["isError"] is True and "did not answer within 1500 ms" in text_of(d["content"])
    b.respond(m, {"action": "accept", "content": {"n": "Ada"}})
    d, = done(b, b.result(asking, LONG))
    assert d["isError"] is False and "Ada" in text_of(d["content"])


# ---- folders

@pytest_everything
def test_a_server_is_told_that_there_are_no_roots(bridge):
    assert text_of(one(bridge, "e__ask_roots", {}, {"e": everything()})["content"]) == "0 roots"

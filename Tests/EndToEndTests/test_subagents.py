"""Section 5 (c): sub-agents: an agent as a tool, a run of its own."""
import json
import random
import threading
import time

import pytest

from harness import After, RpcError, TIMEOUT, assert_pending, calls, contains, expect, say, sh, sub, text_of, tool, until


def ask(name, text="do it"):
    return (name, {"input": text})


def child_of(b, run, n=0):
    """The run of the n-th sub-agent that a run has called; waits for it."""
    def found():
        started = [d for d in b.log_of(run, "tool.started") if "childRunId" in d]
        return started[n]["childRunId"] if len(started) > n else None
    return until(found, f"the child {n} of {run}")


def done(b, run):
    return b.log_of(run, "tool.completed")


def tells(text, isError=False):
    return expect(content=contains(text), isError=isError)


# ---------------------------------------------------------------- a run of its own

def test_its_answer_is_the_result(lab, bridge):
    s = sub(lab, "s", [say("forty-two", expect={"role": "user", "content": "what is it?"})])
    o = bridge.succeeds([calls(ask("s", "what is it?")), say("ok", expect=tells("forty-two"))], [s])
    d, = done(bridge, o["runId"])
    assert text_of(d["content"]) == "forty-two" and d["target"] == "server" and d["isError"] is False
    child = bridge.get(child_of(bridge, o["runId"]))
    assert child["parentRunId"] == o["runId"] and child["status"] == "success" and child["answer"] == "forty-two" and "sessionId" not in child
    start, = bridge.log_of(child["runId"], "run.started")
    assert start["input"] == "what is it?" and start["parentRunId"] == o["runId"] and start["parentCallId"] == d["callId"]
    assert "parentRunId" not in bridge.get(o["runId"])
    listed = bridge.call("run.list")["runs"]
    assert {r["runId"]: r.get("parentRunId") for r in listed} == {o["runId"]: None, child["runId"]: o["runId"]}


def test_what_the_model_is_offered(lab, bridge):
    o = bridge.succeeds([say("ok")], [sub(lab, "s", [])])
    assert bridge.log_of(o["runId"], "run.started")[0]["tools"] == [{"name": "s", "target": "server"}]


def test_all_arguments_go_to_it_when_the_schema_has_others(lab, bridge):
    schema = {"type": "object", "properties": {"input": {"type": "string"}, "depth": {"type": "integer"}}}
    s = sub(lab, "s", [say("ok", expect={"role": "user", "content": '{"input":"x","depth":2}'})], inputSchema=schema)
    bridge.succeeds([calls(("s", {"input": "x", "depth": 2})), say("ok")], [s])


def test_arguments_that_do_not_fit_start_nothing(lab, bridge):
    o = bridge.succeeds([calls("s"), say("ok", expect=expect(isError=True))], [sub(lab, "s", [])])
    assert "tool.started" not in bridge.log_types(o["runId"])
    assert len(bridge.call("run.list")["runs"]) == 1


def test_its_usage_is_counted(lab, bridge):
    s = sub(lab, "s", [calls("c"), say("x")], [sh("c", "true")])
    o = bridge.succeeds([calls(ask("s")), say("ok")], [s])
    child = bridge.get(child_of(bridge, o["runId"]))
    assert child["usage"]["modelCalls"] == 2 and child["usage"]["toolCalls"] == 1
    assert o["usage"]["modelCalls"] == 4 and o["usage"]["toolCalls"] == 2
    assert bridge.get(o["runId"])["usage"] == o["usage"]


def test_two_in_parallel(lab):
    b = lab.parent()
    gates = {n: threading.Event() for n in "ab"}
    for n in "ab":
        b.handlers[n] = After(gates[n], {"content": f"{n} done"})
    s = [sub(lab, f"s{n}", [calls(n), say(f"{n} says", expect=tells(f"{n} done"))], [tool(n)]) for n in "ab"]
    q = b.start([calls(ask("sa"), ask("sb")), say("ok", expect=tells("a says"))], s)
    run = b.start_id(q)
    assert {b.wait(lambda m: m.is_request and m.method == "tool.invoke" and m.params["name"] == n).params["name"] for n in "ab"} == {"a", "b"}
    gates["b"].set()
    until(lambda: b.get(child_of(b, run, 1))["ended"], "the second one")
    assert b.get(run)["ended"] is False
    gates["a"].set()
    assert b.result(q)["status"] == "success"
    assert [text_of(d["content"]) for d in done(b, run)] == ["b says", "a says"]


def test_beside_a_command_and_a_client_tool(lab):
    b = lab.parent()
    b.handlers["t"] = {"content": "from the client"}
    s = sub(lab, "s", [say("from the agent")])
    o = b.succeeds([calls(ask("s"), "c", "t"), say("ok", expect=tells("from the client"))], [s, sh("c", "echo from the command"), tool("t")])
    assert {text_of(d["content"]).strip() for d in done(b, o["runId"])} == {"from the agent", "from the command", "from the client"}


def test_one_that_must_be_alone(lab, bridge):
    log = lab.path / "order"
    one = sub(lab, "one", [calls("c"), say("x")], [sh("c", f"echo one begins >> {log}; sleep 0.1; echo one ends >> {log}")], parallel=False)
    bridge.succeeds([calls(ask("one"), "d"), say("ok")], [one, sh("d", f"echo d >> {log}")])
    assert lab.lines("order") == ["one begins", "one ends", "d"]


def test_a_structured_answer(lab, bridge):
    s = sub(lab, "s", [say('{"n": 1}')], outputSchema={"type": "object", "required": ["n"]})
    o = bridge.succeeds([calls(ask("s")), say("ok", expect=tells('"n"'))], [s])
    assert done(bridge, o["runId"])[0]["structuredContent"] == {"n": 1}


def test_a_big_answer_outlives_its_run(lab, bridge):
    s = sub(lab, "s", [say("x" * 100_000)])
    o = bridge.succeeds([calls(ask("s")), say("ok", expect=tells("xxx"))], [s])
    bridge.call("run.delete", {"runId": child_of(bridge, o["runId"])})
    content = done(bridge, o["runId"])[0]["content"]
    assert bridge.whole(content) == "x" * 100_000


# ---------------------------------------------------------------- nesting

def nested(lab, depth, innermost):
    t = innermost
    for n in range(depth):
        t = sub(lab, f"s{n}", [calls(ask(t["name"])), say(f"level {n}")], [t])
    return t


def test_nested_three_deep_with_a_client_call_at_the_bottom(lab):
    b = lab.parent()
    seen = []
    b.handlers["t"] = lambda p: seen.append(p["runId"]) or {"content": "deep"}
    inner = sub(lab, "inner", [calls("t"), say("bottom", expect=tells("deep"))], [tool("t")])
    top = nested(lab, 2, inner)
    o = b.succeeds([calls(ask(top["name"])), say("ok", expect=tells("level 1"))], [top])
    runs, at = [o["runId"]], o["runId"]
    for _ in range(3):
        at = child_of(b, at)
        runs.append(at)
    assert seen == [runs[-1]]
    assert [b.get(r).get("parentRunId") for r in runs] == [None, *runs[:-1]]
    # Who sees the root sees them all.
    for r in runs:
        assert b.event_types(r) == b.log_types(r)


def test_ten_deep_and_not_deeper(lab, bridge):
    """By an agent that names itself."""
    model = lab.script([calls(("self", {"input": "again"})), say("up")])
    agent = bridge.call("agent.create", {"agent": {"model": model}})["agentId"]
    me = {"name": "self", "description": "me", "agent": agent}
    bridge.call("agent.update", {"agentId": agent, "agent": {"model": model, "tools": [me]}})
    o = bridge.call("run.start", {"input": "go", "agentId": agent}, 3 * TIMEOUT)
    assert o["status"] == "success", o
    runs = bridge.call("run.list", {"limit": 100})["runs"]
    assert len(runs) == 11 and all(r["status"] == "success" for r in runs)
    deepest = next(r for r in runs if not bridge.log_of(r["runId"], "tool.started"))
    d, = done(bridge, deepest["runId"])
    assert d["isError"] is True and "10" in text_of(d["content"])


def test_inline_agents_too_deep_are_refused(lab, bridge):
    t = sub(lab, "bottom", [])
    for n in range(10):
        t = sub(lab, f"s{n}", [], [t])
    bridge.fails("run.start", bridge.params([say("x")], [t]), "tool.invalid")


# ---------------------------------------------------------------- answered on either run

def waiting(lab, b, turns=None, **more):
    s = sub(lab, "s", [calls("t"), say("child says", expect=tells("given"))], [tool("t")], **more)
    return b.run(turns or [calls(ask("s")), say("ok", expect=tells("child says"))], [s])


@pytest.mark.parametrize("on", ["root", "child"])
def test_a_client_call_is_answered_on_either_run(lab, bridge, on):
    o = waiting(lab, bridge)
    assert o["status"] == "waiting_client_tool"
    c, = assert_pending(o, ["t"], "parked", 0)
    child = bridge.get(c["runId"])
    assert c["runId"] != o["runId"] and child["parentRunId"] == o["runId"] and child["pendingToolCalls"] == o["pendingToolCalls"]
    paused = bridge.log_of(o["runId"], "run.paused")[-1]
    assert paused["status"] == "waiting_client_tool" and [p["callId"] for p in paused["pendingToolCalls"]] == [c["callId"]]
    asked = o["runId"] if on == "root" else c["runId"]
    a = bridge.submit(asked, {c["callId"]: "given"})
    assert a["status"] == "success" and a["runId"] == asked
    root = bridge.wait_run(o["runId"])
    assert root["status"] == "success" and root["answer"] == "ok"
    # The same again, on both: it was given.
    for run in (o["runId"], c["runId"]):
        assert bridge.submit(run, {c["callId"]: "given"})["verdicts"] == {c["callId"]: "duplicate"}


@pytest.mark.parametrize("on", ["root", "child"])
def test_from_a_fresh_process(lab, on):
    a = lab.bridge()
    o = waiting(lab, a)
    a.hang_up()
    b = lab.bridge()
    c, = b.get(o["runId"])["pendingToolCalls"]
    b.submit(o["runId"] if on == "root" else c["runId"], {c["callId"]: "given"})
    assert b.wait_run(o["runId"])["answer"] == "ok"


def two_waiting(lab, b, **more):
    """The root waits for a call of its own, one child for one, another child for two."""
    s1 = sub(lab, "s1", [calls("a"), say("s1 says")], [tool("a")])
    s2 = sub(lab, "s2", [calls("a", "b"), say("s2 says")], [tool("a"), tool("b")])
    return b.run([calls(ask("s1"), ask("s2"), "t"), say("ok")], [s1, s2, tool("t")], **more)


def test_the_calls_of_all_stand_in_the_root(lab, bridge):
    o = two_waiting(lab, bridge)
    assert [c["name"] for c in o["pendingToolCalls"]] == ["a", "a", "b", "t"]
    assert len({c["runId"] for c in o["pendingToolCalls"]}) == 3
    a = bridge.submit(o["runId"], {c["callId"]: "x" for c in o["pendingToolCalls"]})
    assert a["status"] == "success" and a["answer"] == "ok"


def test_a_set_is_exact_over_the_tree(lab, bridge):
    o = two_waiting(lab, bridge)
    ids = [c["callId"] for c in o["pendingToolCalls"]]
    e = bridge.fails("run.submitToolResults", bridge.submit_params(o["runId"], {ids[0]: "x", ids[3]: "x"}), "run.invalidToolResults")
    assert set(e.data["missing"]) == {ids[1], ids[2]}
    # On the child, its own.
    child = o["pendingToolCalls"][1]["runId"]
    e = bridge.fails("run.submitToolResults", bridge.submit_params(child, {ids[1]: "x"}), "run.invalidToolResults")
    assert e.data["missing"] == [ids[2]]
    assert [c["callId"] for c in bridge.get(o["runId"])["pendingToolCalls"]] == ids
    bridge.submit(child, {ids[1]: "x", ids[2]: "x"}, wait=False)
    until(lambda: [c["callId"] for c in bridge.get(o["runId"])["pendingToolCalls"]] == [ids[0], ids[3]], "the rest")
    assert bridge.submit(o["runId"], {ids[0]: "x", ids[3]: "x"})["status"] == "success"


def test_partial_submits_over_the_tree(lab, bridge):
    o = two_waiting(lab, bridge)
    ids = [c["callId"] for c in o["pendingToolCalls"]]
    random.Random(5).shuffle(ids)
    for n, c in enumerate(ids):
        a = bridge.submit(o["runId"], {c: "x"}, partial=True, wait=False)
        assert a["verdicts"] == {c: "accepted"}
    assert bridge.wait_run(o["runId"])["answer"] == "ok"
    bridge.fails("run.submitToolResults", bridge.submit_params(o["runId"], {ids[0]: "y"}), "run.alreadyTerminal")


def test_an_answer_that_is_there_already_says_something_else(lab, bridge):
    o = two_waiting(lab, bridge)
    ids = [c["callId"] for c in o["pendingToolCalls"]]
    bridge.submit(o["runId"], {ids[0]: "x"}, partial=True, wait=False)
    bridge.fails("run.submitToolResults", bridge.submit_params(o["runId"], {i: "y" for i in ids}), "run.alreadyClaimed")
    bridge.call("run.cancel", {"runId": o["runId"]})


def test_racing_submits_on_root_and_child(lab):
    for _ in range(3):
        a, b = lab.bridge(), lab.bridge()
        o = waiting(lab, a)
        c, = o["pendingToolCalls"]
        pair = [(a, o["runId"]), (b, c["runId"])]
        asked = [(x, x.request("run.submitToolResults", x.submit_params(run, {c["callId"]: "given"}))) for x, run in pair]
        for x, q in asked:
            assert x.result(q)["status"] == "success"
        assert a.wait_run(o["runId"])["answer"] == "ok"
        for run in (o["runId"], c["runId"]):
            types = a.log_types(run)
            assert types.count("tool.completed") == 1 and types.count("model.completed") == 2
        a.hang_up(), b.hang_up()


# ---------------------------------------------------------------- approvals and questions

def test_an_approval_of_a_child_is_asked_of_the_parent(lab):
    b = lab.parent(capabilities={"approvals": {}})
    b.handlers["t"] = {"content": "given"}
    s = sub(lab, "s", [calls("t"), say("child says")], [tool("t", requiresApproval=True)])
    q = b.start([calls(ask("s")), say("ok", expect=tells("child says"))], [s])
    m = b.next_request("approval.request")
    assert m.params["runId"] == child_of(b, b.start_id(q)) and m.params["name"] == "t"
    b.respond(m, {"decision": "approve"})
    assert b.result(q)["status"] == "success"


@pytest.mark.parametrize("on", ["root", "child"])
def test_an_approval_of_a_child_by_submit(lab, bridge, on):
    s = sub(lab, "s", [calls("c"), say("child says", expect=tells("ran"))], [sh("c", "echo ran", requiresApproval=True)])
    o = bridge.run([calls(ask("s")), say("ok")], [s])
    assert o["status"] == "waiting_approval"
    c, = assert_pending(o, ["c"], needs="approval")
    run = o["runId"] if on == "root" else c["runId"]
    bridge.call("run.submitApprovals", {"runId": run, "approvals": [{"callId": c["callId"], "decision": "approve"}]})
    assert bridge.wait_run(o["runId"])["status"] == "success"


def test_the_sub_agent_itself_can_need_approval(lab, bridge):
    s = sub(lab, "s", [say("never")], requiresApproval=True)
    o = bridge.run([calls(ask("s")), say("ok", expect=expect(isError=True, content=contains("not today")))], [s])
    c, = assert_pending(o, ["s"], needs="approval")
    assert c["runId"] == o["runId"] and c["target"] == "server"
    bridge.call("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": c["callId"], "decision": "deny", "reason": "not today"}]})
    assert bridge.wait_run(o["runId"])["status"] == "success"
    assert len(bridge.call("run.list")["runs"]) == 1


def test_a_question_of_a_child(lab):
    b = lab.bridge(capabilities={"elicitation": {}})
    s = sub(lab, "s", [calls(("ask_user", {"question": "who?"})), say("child says", expect=tells("Ann"))], agent={"askUser": True})
    q = b.start([calls(ask("s")), say("ok")], [s])
    m = b.next_request("elicitation/create")
    assert m.params["_meta"]["runId"] == child_of(b, b.start_id(q))
    b.respond(m, {"action": "accept", "content": {"answer": "Ann"}})
    assert b.result(q)["status"] == "success"


def test_one_waiting_word_for_the_tree(lab, bridge):
    s1 = sub(lab, "s1", [calls(("ask_user", {"question": "who?"})), say("x")], agent={"askUser": True})
    s2 = sub(lab, "s2", [calls("c"), say("x")], [sh("c", "true", requiresApproval=True)])
    o = bridge.run([calls(ask("s1"), ask("s2"), "t"), say("ok")], [s1, s2, tool("t")])
    assert o["status"] == "waiting_approval" and {c["needs"] for c in o["pendingToolCalls"]} == {"approval", "input", "result"}
    by = {c["needs"]: c for c in o["pendingToolCalls"]}
    a = bridge.call("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": by["approval"]["callId"], "decision": "approve"}]})
    assert a["status"] == "waiting_human_input"
    a = bridge.call("run.submitInput", {"runId": o["runId"], "inputs": [{"callId": by["input"]["callId"], "action": "decline"}]})
    assert a["status"] == "waiting_client_tool"
    words = [p["status"] for p in bridge.log_of(o["runId"], "run.paused")]
    assert words == ["waiting_approval", "waiting_human_input", "waiting_client_tool"]
    assert bridge.submit(o["runId"], {by["result"]["callId"]: "x"})["status"] == "success"


def test_three_kinds_in_one_submit(lab, bridge):
    s1 = sub(lab, "s1", [calls(("ask_user", {"question": "who?"})), say("x")], agent={"askUser": True})
    s2 = sub(lab, "s2", [calls("c"), say("x")], [sh("c", "true", requiresApproval=True)])
    o = bridge.run([calls(ask("s1"), ask("s2"), "t"), say("ok")], [s1, s2, tool("t")])
    by = {c["needs"]: c["callId"] for c in o["pendingToolCalls"]}
    a = bridge.submit(o["runId"], {by["result"]: "x"}, approvals=[{"callId": by["approval"], "decision": "approve"}],
                      inputs=[{"callId": by["input"], "action": "accept", "content": {"answer": "Bo"}}])
    assert a["status"] == "success"


# ---------------------------------------------------------------- how a child can fail

def test_a_child_that_ends_with_an_error(lab, bridge):
    s = sub(lab, "s", [calls("nobody")])
    o = bridge.succeeds([calls(ask("s")), say("ok", expect=expect(isError=True, content=contains("script.exhausted")))], [s])
    assert bridge.get(child_of(bridge, o["runId"]))["status"] == "error"


def test_a_child_that_reaches_its_limit(lab, bridge):
    s = sub(lab, "s", [{**calls("c"), "repeat": 9}], [sh("c", "true")], agent={"limits": {"maxIterations": 2}})
    o = bridge.succeeds([calls(ask("s")), say("ok", expect=expect(isError=True, content=contains("limit")))], [s])
    assert bridge.get(child_of(bridge, o["runId"]))["status"] == "max_iterations"


def test_a_child_that_is_cancelled_alone(lab, bridge):
    o = waiting(lab, bridge, [calls(ask("s")), say("ok", expect=expect(isError=True, content=contains("enough")))])
    c, = o["pendingToolCalls"]
    assert bridge.call("run.cancel", {"runId": c["runId"], "reason": "enough"})["status"] == "cancelled"
    assert bridge.wait_run(o["runId"])["status"] == "success"


def test_a_child_that_takes_too_long(lab, bridge):
    s = sub(lab, "s", [say("late", delayMs=60_000)], timeoutMs=200)
    o = bridge.succeeds([calls(ask("s")), say("ok", expect=expect(isError=True, content=contains("200 ms")))], [s])
    assert until(lambda: bridge.get(child_of(bridge, o["runId"])), "the child")["status"] == "cancelled"


def test_an_agent_that_is_not_there(lab, bridge):
    s = {"name": "s", "description": "s", "agent": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}
    o = bridge.succeeds([calls(ask("s")), say("ok", expect=expect(isError=True, content=contains("no such agent")))], [s])
    assert len(bridge.call("run.list")["runs"]) == 1 and o["ended"]


def test_a_model_that_is_not_there_is_an_error_at_the_start(lab, bridge):
    s = sub(lab, "s", "nonsense:x")
    bridge.fails("run.start", bridge.params([say("x")], [s]), "model.unknownProvider")
    s = sub(lab, "s", "anthropic:x")
    bridge.fails("run.start", bridge.params([say("x")], [s]), "model.missingKey")
    assert bridge.call("run.list")["runs"] == []


def test_no_commands_but_agents(lab):
    parent = {"sampling": {"tools": {}}}
    b = lab.bridge("--no-commands", capabilities=parent)
    agent = {"model": "parent:m"}
    s = {"name": "s", "description": "s", "agent": {"model": "parent:c", "tools": [sh("c", "true")]}}
    b.fails("run.start", {"input": "x", "agent": agent, "tools": [s]}, "unsupportedCapability")
    del s["agent"]["tools"]
    q = b.request("run.start", {"input": "x", "agent": agent, "tools": [s]})
    b.respond(b.next_request("sampling/createMessage"), {
        "role": "assistant", "model": "m", "stopReason": "toolUse", "content": [{"type": "tool_use", "id": "1", "name": "s", "input": {"input": "y"}}]})
    b.respond(b.next_request("sampling/createMessage"), {"role": "assistant", "model": "c", "stopReason": "endTurn", "content": {"type": "text", "text": "c"}})
    b.respond(b.next_request("sampling/createMessage"), {"role": "assistant", "model": "m", "stopReason": "endTurn", "content": {"type": "text", "text": "ok"}})
    assert b.result(q)["answer"] == "ok"


# ---------------------------------------------------------------- cancel, pause, limits

def test_a_cancel_of_the_root_cancels_all_below(lab):
    b = lab.parent()
    inner = sub(lab, "inner", [calls("t"), say("never")], [tool("t")])
    mid = sub(lab, "mid", [calls(ask("inner"), "c"), say("never")], [inner, sh("c", f"touch {lab.path}/began; exec sleep 1000")])
    q = b.start([calls(ask("mid"), ask("slow")), say("never")], [mid, sub(lab, "slow", [say("late", delayMs=60_000)])])
    run = b.start_id(q)
    m = b.next_invoke("t")
    until(lambda: (lab.path / "began").exists(), "the command")
    o = b.call("run.cancel", {"runId": run, "reason": "stop"})
    assert o["status"] == "cancelled" and o["pendingToolCalls"] == []
    b.wait_cancelled(m.id)
    runs = b.call("run.list")["runs"]
    assert len(runs) == 4 and all(r["status"] == "cancelled" for r in runs)
    for r in runs:
        assert b.log_of(r["runId"], "run.cancelled")[0]["reason"] == "stop"
    assert b.result(q)["status"] == "cancelled"


def test_a_cancel_from_another_process(lab):
    a, b = lab.bridge(), lab.bridge()
    s = sub(lab, "s", [say("late", delayMs=60_000)])
    run = a.background([calls(ask("s")), say("never")], [s])
    child = child_of(b, run)
    assert b.call("run.cancel", {"runId": run})["status"] == "cancelled"
    assert b.get(child)["status"] == "cancelled"


def test_a_pause_of_the_root_pauses_all_below(lab, bridge):
    o = waiting(lab, bridge)
    c, = o["pendingToolCalls"]
    p = bridge.call("run.pause", {"runId": o["runId"]})
    assert p["status"] == "paused" and [x["callId"] for x in p["pendingToolCalls"]] == [c["callId"]] and "error" not in p
    assert bridge.get(c["runId"])["status"] == "paused"
    a = bridge.submit(o["runId"], {c["callId"]: "given"})
    assert a["status"] == "paused"
    r = bridge.call("run.resume", {"runId": o["runId"]})
    assert r["status"] == "success" and r["answer"] == "ok"


def test_a_pause_while_a_child_works(lab, bridge):
    s = sub(lab, "s", [calls("c"), say("child says")], [sh("c", f"touch {lab.path}/began; until [ -e {lab.path}/go ]; do sleep 0.01; done")])
    run = bridge.background([calls(ask("s")), say("ok")], [s])
    until(lambda: (lab.path / "began").exists(), "the command")
    q = bridge.request("run.pause", {"runId": run})
    lab.file("go")
    assert bridge.result(q)["status"] == "paused"
    assert bridge.get(child_of(bridge, run))["status"] == "paused"
    assert bridge.call("run.resume", {"runId": run})["answer"] == "ok"


def next_sampling(b, q=None):
    """The next request for a model turn, or the answer to `q`."""
    def find(m):
        return (m.is_response and m.id == q) or (m.is_request and m.method == "sampling/createMessage" and m.i not in b.taken)
    m = b.wait(find, "a model turn", 4 * TIMEOUT)
    b.taken.add(m.i)
    return m


@pytest.mark.parametrize("on", ["root", "child"])
def test_a_child_that_pauses_pauses_the_root(lab, on):
    a = lab.bridge(capabilities={"sampling": {}})
    s = {"name": "s", "description": "s", "agent": {"model": "parent:m"}}
    q = a.start([calls(ask("s")), say("ok", expect=tells("at last"))], [s])
    while (m := next_sampling(a, q)).is_request:
        a.respond_error(m, -32000, "no model now")
    o = m.result
    assert o["status"] == "paused" and o["error"]["kind"] == "model.unavailable"
    below = a.get(child_of(a, o["runId"]))
    assert below["status"] == "paused" and below["error"]["kind"] == "model.unavailable"
    q = a.request("run.resume", {"runId": o["runId"] if on == "root" else below["runId"]})
    a.respond(next_sampling(a), {"role": "assistant", "content": {"type": "text", "text": "at last"}, "model": "m", "stopReason": "endTurn"})
    assert a.result(q)["status"] == "success"
    assert a.wait_run(o["runId"])["answer"] == "ok"


def test_tool_calls_of_children_count(lab, bridge):
    s = sub(lab, "s", [{**calls("c"), "repeat": 5}, say("x")], [sh("c", f"echo x >> {lab.path}/ran")])
    o = bridge.run([calls(ask("s")), say("ok", expect=expect(isError=True, content=contains("run.limitExceeded")))], [s], limits={"maxToolCalls": 3})
    assert len(lab.lines("ran")) == 2 and o["usage"]["toolCalls"] == 4
    child = bridge.get(child_of(bridge, o["runId"]))
    assert child["status"] == "error" and child["error"]["kind"] == "run.limitExceeded"


def test_a_deadline_ends_all_below(lab, bridge):
    s = sub(lab, "s", [say("late", delayMs=60_000)])
    o = bridge.run([calls(ask("s")), say("never")], [s], limits={"deadlineMs": 300})
    assert o["status"] == "error" and o["error"]["kind"] == "run.limitExceeded"
    assert bridge.get(child_of(bridge, o["runId"]))["status"] == "cancelled"


def test_a_deadline_that_pauses(lab, bridge):
    model = lab.script([say("late", delayMs=60_000)])
    o = bridge.run([calls(ask("s")), say("ok")], [sub(lab, "s", model)], limits={"deadlineMs": 300, "onLimit": "pause"})
    assert o["status"] == "paused" and o["error"]["kind"] == "run.limitExceeded"
    assert bridge.get(child_of(bridge, o["runId"]))["status"] == "paused"
    lab.rewrite(model, [say("now")])
    assert bridge.call("run.resume", {"runId": o["runId"], "limits": {"deadlineMs": 60_000}})["answer"] == "ok"


# ---------------------------------------------------------------- crashes

def test_a_crash_in_the_middle_resumes_the_child(lab):
    a = lab.bridge()
    model = lab.script([calls("c"), say("late", delayMs=60_000)])
    s = sub(lab, "s", model, [sh("c", f"echo ran >> {lab.path}/ran")])
    run = a.background([calls(ask("s")), say("ok", expect=tells("now"))], [s])
    child = child_of(a, run)
    until(lambda: a.log_types(child).count("model.started") == 2, "the second turn")
    a.kill9()
    lab.rewrite(model, [calls("c"), say("now")])
    b = lab.bridge()
    for r in (run, child):
        o = b.get(r)
        assert o["status"] == "running" and o["driver"] == "none"
    assert b.call("run.resume", {"runId": run})["answer"] == "ok"
    assert child_of(b, run) == child and len(b.call("run.list")["runs"]) == 2
    assert lab.lines("ran") == ["ran"]
    assert [e["cause"] for e in b.log_of(child, "run.resumed")]


def test_killed_at_random_points_nothing_is_lost_or_doubled(lab):
    chance = random.Random(7)
    for n in range(6):
        inner = sub(lab, "inner", [calls("c"), calls("t"), say("inner says")], [sh("c", f"echo {n} >> {lab.path}/ran"), tool("t")])
        mid = sub(lab, "mid", [calls(ask("inner"), "t"), say("mid says")], [inner, tool("t")])
        a = lab.parent()
        a.handlers["t"] = {"content": "given"}
        stop_after = chance.randint(1, 30)
        run = a.background([calls(ask("mid"), ask("inner")), say("ok")], [mid, inner])
        try:
            a.wait(lambda m: m.is_event and m.seq is not None and len(a.events(persisted=True)) >= stop_after, "events")
        except AssertionError:
            pass
        a.kill9()
        b = lab.parent()
        b.handlers["t"] = {"content": "given"}
        o = b.call("run.resume", {"runId": run}, 2 * TIMEOUT)
        for _ in range(10):
            if o["ended"]:
                break
            o = b.call("run.resume", {"runId": run}, 2 * TIMEOUT)
            waits = [c for c in o["pendingToolCalls"] if c["state"] == "parked"]
            if waits:
                o = b.submit(run, {c["callId"]: "given" for c in o["pendingToolCalls"]})
        assert o["status"] == "success" and o["answer"] == "ok", o
        tree = [r for r in b.call("run.list", {"limit": 100})["runs"] if r["ended"]]
        assert len(tree) == 4 * (n + 1), [r["status"] for r in tree]
        # One that the crash interrupted is not run again.
        assert lab.lines("ran").count(str(n)) <= 2
        b.hang_up()


def test_hanging_up_parks_the_calls_of_children(lab):
    a = lab.parent()
    s = sub(lab, "s", [calls("t"), say("child says")], [tool("t")])
    q = a.start([calls(ask("s")), say("ok", expect=tells("child says"))], [s])
    run = a.start_id(q)
    a.next_invoke("t")
    a.close_stdin()
    o = a.result(q)
    assert o["status"] == "waiting_client_tool"
    assert_pending(o, ["t"], "parked", 1)
    b = lab.parent()
    b.handlers["t"] = {"content": "given"}
    assert b.call("run.resume", {"runId": run})["answer"] == "ok"
    assert b.invokes("t")[0].params["attempt"] == 2


# ---------------------------------------------------------------- looking on

def test_an_observer_in_another_process_sees_the_child(lab):
    a, b = lab.bridge(), lab.bridge()
    s = sub(lab, "s", [say("child says")])
    model = lab.script([calls("wait"), calls(ask("s")), say("ok")])
    run = a.background(model, [s, sh("wait", f"until [ -e {lab.path}/go ]; do sleep 0.01; done")])
    b.call("run.subscribe", {"runId": run, "afterSeq": 0})
    lab.file("go")
    a.wait_run(run)
    child = child_of(a, run)
    b.wait_event("run.completed", child)
    b.wait_event("run.completed", run)
    assert b.event_types(child) == a.log_types(child)


def test_a_child_is_waited_for_and_subscribed_to(lab, bridge):
    o = waiting(lab, bridge)
    c, = o["pendingToolCalls"]
    assert bridge.wait_run(c["runId"])["status"] == "waiting_client_tool"
    assert bridge.call("run.subscribe", {"runId": c["runId"]})["status"] == "waiting_client_tool"
    bridge.call("run.addNote", {"runId": c["runId"], "text": "a note"})
    bridge.submit(c["runId"], {c["callId"]: "given"})
    assert "note.added" in bridge.log_types(c["runId"]) and "note.added" not in bridge.log_types(o["runId"])
    assert bridge.wait_run(o["runId"])["ended"]


def test_deleting_the_root_deletes_those_below(lab, bridge):
    o = bridge.succeeds([calls(ask("s")), say("ok")], [sub(lab, "s", [say("x")])])
    child = child_of(bridge, o["runId"])
    bridge.call("run.delete", {"runId": o["runId"]})
    bridge.fails("run.get", {"runId": child}, "run.notFound")
    assert bridge.call("run.list")["runs"] == []


def test_a_child_keeps_the_version_it_started_with(lab, bridge):
    first = lab.script([calls("t"), say("first")])
    agent = bridge.call("agent.create", {"agent": {"model": first, "tools": [tool("t")]}})["agentId"]
    s = {"name": "s", "description": "s", "agent": agent}
    o = bridge.run([calls(ask("s")), say("ok", expect=tells("first"))], [s])
    c, = o["pendingToolCalls"]
    bridge.call("agent.update", {"agentId": agent, "agent": {"model": lab.script([say("second")])}})
    assert bridge.get(c["runId"])["agentId"] == agent
    bridge.submit(o["runId"], {c["callId"]: "x"})
    assert bridge.wait_run(o["runId"])["answer"] == "ok"


def test_in_a_session_a_child_is_no_turn(lab, bridge):
    session = bridge.call("session.create")["sessionId"]
    bridge.succeeds([calls(ask("s")), say("ok")], [sub(lab, "s", [say("x")])], sessionId=session)
    assert [r["runId"] for r in bridge.call("run.list", {"sessionId": session})["runs"]] == [bridge.call("run.list", {"limit": 2})["runs"][1]["runId"]]


# ---------------------------------------------------------------- declarations

def test_unknown_members_are_named_where_they_stand(lab, bridge):
    inner = sub(lab, "inner", [], requireApproval=True)
    s = sub(lab, "s", [], [inner], agent={"modle": "x"})
    o = bridge.succeeds([say("ok")], [s])
    warnings = json.dumps(bridge.log_of(o["runId"], "run.started")[0]["warnings"])
    assert "/tools/0/agent/modle" in warnings and "/tools/0/agent/tools/0/requireApproval" in warnings


def test_strict_refuses_them(lab):
    b = lab.bridge("--strict")
    s = sub(lab, "s", [], [sub(lab, "inner", [], requireApproval=True)])
    b.refuses("run.start", b.params([say("x")], [s]), "/tools/0/agent/tools/0/requireApproval")


@pytest.mark.parametrize("agent,pointer", [({}, "/tools/0/agent/model"), ({"model": "script:x", "limits": {"maxIterations": 0}}, "/tools/0/agent/limits/maxIterations"),
                                           ({"model": "script:x", "memory": [{"label": "a", "value": ""}]}, "/tools/0/agent/memory")])
def test_what_is_wrong_in_an_agent_is_named_where_it_stands(bridge, agent, pointer):
    e = bridge.fails("run.start", bridge.params([say("x")], [{"name": "s", "description": "s", "agent": agent}]), "invalidParams", valid=False)
    assert e.data["pointer"] == pointer


@pytest.mark.parametrize("more", [{"target": "client"}, {"command": ["true"]}, {"cwd": "/"}])
def test_a_contradiction_is_tool_invalid(lab, bridge, more):
    bridge.fails("run.start", bridge.params([say("x")], [sub(lab, "s", [], **more)]), "tool.invalid")


def test_a_bad_schema_in_an_agent(lab, bridge):
    s = sub(lab, "s", [], [tool("t", {"type": 7})])
    bridge.fails("run.start", bridge.params([say("x")], [s]), "tool.invalidSchema")


# ---------------------------------------------------------------- many

def tree(lab, width, depth, leaf):
    """A tool that is a tree of agents: each asks `width` others, down to the leaves."""
    for _ in range(depth - 1):
        leaf = sub(lab, "s", [calls(*[ask("s")] * width), say("done")], [leaf])
    return leaf


def test_a_big_tree_holds_nobody_up(lab):
    b = lab.bridge()
    leaf = sub(lab, "s", [say("leaf")])
    start = time.monotonic()
    q = b.start([calls(*[ask("s")] * 3), say("ok")], [tree(lab, 3, 5, leaf)], limits={"maxTotalTokens": 10_000_000})
    asked = time.monotonic()
    b.call("run.list", {"limit": 1})
    longest = time.monotonic() - asked
    o = b.result(q)
    assert o["status"] == "success" and o["usage"]["modelCalls"] == 364 + 121
    # it took 15 s, and others waited for half of that
    assert time.monotonic() - start < 8 and longest < 3


def test_a_big_tree_is_cancelled_soon(lab):
    b = lab.bridge()
    leaf = sub(lab, "s", [calls("t"), say("leaf")], [tool("t")])
    began = time.monotonic()
    o = b.run([calls(*[ask("s")] * 3), say("ok")], [tree(lab, 3, 5, leaf)], delivery="pause", limits={"maxTotalTokens": 10_000_000}, timeout=60)
    assert o["status"] == "waiting_client_tool" and len(o["pendingToolCalls"]) == 243
    start = time.monotonic()
    assert b.call("run.cancel", {"runId": o["runId"]})["status"] == "cancelled"
    # to come to wait took 20 s
    assert time.monotonic() - start < 3 and time.monotonic() - began < 8


def test_a_tree_has_a_bound(lab, bridge):
    """1,024 runs at once: the calls of more are tool errors, and the model goes on with those."""
    s = sub(lab, "s", [say("leaf")])
    o = bridge.succeeds([calls(*[ask("s")] * 1030), say("ok")], [s])
    results = done(bridge, o["runId"])
    refused = [d for d in results if d["isError"]]
    assert len(results) == 1030 and len(refused) == 7
    assert "there are as many runs as a tree of sub-agents can have at once" in text_of(refused[0]["content"])

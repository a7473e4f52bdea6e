"""Section 3, what happens in a run: the rules of one batch of calls; the tools of a run (section 5)."""
import json
import threading

import pytest

from harness import After, TIMEOUT, calls, command, contains, dumps, expect, say, sh, tool, until

N = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


# ---- rule 1: what is never dispatched

def test_a_call_to_an_unknown_tool_is_an_error_for_the_model(parent):
    o = parent.succeeds([calls("nope"), say("ok", expect=expect(name="nope", isError=True))], [tool("t")], answer="ok")
    assert not parent.invokes()
    done = parent.log_of(o["runId"], "tool.completed")
    assert len(done) == 1 and done[0]["isError"] is True and "nope" in json.dumps(done[0]["content"])
    assert "run.paused" not in parent.log_types(o["runId"])


@pytest.mark.parametrize("arguments", [{}, {"n": "1"}, {"n": 1.5}, {"n": 1, "m": 2}, {"n": None}, [], "n", 5, None])
def test_arguments_that_fail_the_input_schema_are_an_error_for_the_model(parent, arguments):
    turn = {"toolCalls": [{"name": "t", "arguments": arguments}]}
    o = parent.succeeds([turn, say("ok", expect=expect(name="t", isError=True))], [tool("t", N)], answer="ok")
    assert not parent.invokes()
    assert parent.log_of(o["runId"], "tool.completed")[0]["isError"] is True


def test_invalid_arguments_of_a_command_never_start_it(lab, bridge):
    bridge.succeeds([calls(("c", {"n": "x"})), say("ok", expect=expect(isError=True))], [sh("c", f"echo ran >> {lab.path}/ledger", N)])
    assert lab.lines("ledger") == []


def test_the_model_is_told_where_the_arguments_are_wrong(bridge):
    schema = {"type": "object", "properties": {"deep": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
    bridge.succeeds([calls(("c", {"deep": {"n": "x"}})), say("ok", expect=expect(isError=True, content=contains("/deep/n")))], [sh("c", "true", schema)])


def test_the_other_calls_of_the_batch_go_on(parent):
    parent.handlers["t"] = {"content": "fine"}
    o = parent.succeeds([calls("nope", ("t", {"n": "bad"}), ("t", {"n": 1})), say("ok", expect=expect(content="fine", isError=False))], [tool("t", N)])
    assert len(parent.invokes()) == 1
    assert [d["isError"] for d in sorted(parent.log_of(o["runId"], "tool.completed"), key=lambda d: d["isError"])] == [False, True, True]


def test_duplicate_keys_in_the_arguments_of_a_model_are_never_dispatched(lab):
    b = lab.parent()
    b.handlers["t"] = {"content": "x"}
    model = lab.script(['{"toolCalls":[{"name":"t","arguments":{"n":1,"n":2}}]}', say("ok")])
    b.wait_response(b.start(model, [tool("t")]))
    assert not b.invokes()


@pytest.mark.parametrize("schema,good,bad", [
    ({"type": "object", "properties": {"a": {"enum": ["x", "y"]}}}, {"a": "x"}, {"a": "z"}),
    ({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}, "maxItems": 2}}}, {"a": [1, 2]}, {"a": [1, 2, 3]}),
    ({"type": "object", "properties": {"a": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2}}}, {"a": "ab"}, {"a": "AB"}),
    ({"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "number", "minimum": 1}]}}}, {"a": None}, {"a": 0}),
    ({"$defs": {"p": {"type": "integer"}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/p"}}}, {"a": 1}, {"a": "1"}),
    ({"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}, {"a": 1.0}, {"a": 2}),
    ({"type": "object", "properties": {"big": {"type": "integer", "maximum": 18446744073709551615}}}, {"big": 18446744073709551615}, {"big": 18446744073709551616}),
])
def test_input_schemas_mean_what_json_schema_says(parent, schema, good, bad):
    parent.handlers["t"] = {"content": "in"}
    parent.succeeds([calls(("t", bad)), say("ok", expect=expect(isError=True))], [tool("t", schema)])
    assert not parent.invokes()
    parent.succeeds([calls(("t", good)), say("ok", expect=expect(content="in"))], [tool("t", schema)])


# ---- rule 3: server calls

def test_server_calls_run_in_parallel(lab, bridge):
    def meet(mine, other):
        return sh(f"meet_{mine}", f"touch {lab.path}/{mine}; for i in $(seq 1 500); do [ -e {lab.path}/{other} ] && echo met && exit 0; sleep 0.02; done; exit 9")
    o = bridge.succeeds([calls("meet_a", "meet_b"), say("ok", expect=expect(content=contains("met")))], [meet("a", "b"), meet("b", "a")], timeout=3 * TIMEOUT)
    assert [d["isError"] for d in bridge.log_of(o["runId"], "tool.completed")] == [False, False]


def test_a_server_tool_with_parallel_false_runs_alone(lab, bridge):
    def line(name):
        return f"echo {name} in >> {lab.path}/ledger; sleep 0.1; echo {name} out >> {lab.path}/ledger"
    bridge.succeeds([calls("one", "many", "one", "many"), say("ok")], [sh("one", line("one"), parallel=False), sh("many", line("many"))], timeout=3 * TIMEOUT)
    ledger = lab.lines("ledger")
    assert len(ledger) == 8
    for at, word in enumerate(ledger):
        if word == "one in":
            assert ledger[at + 1] == "one out", ledger


def test_only_parallel_false_calls_never_overlap(lab, bridge):
    line = f"echo in >> {lab.path}/ledger; sleep 0.05; echo out >> {lab.path}/ledger"
    bridge.succeeds([calls(*["one"] * 5), say("ok")], [sh("one", line, parallel=False)], timeout=3 * TIMEOUT)
    assert lab.lines("ledger") == ["in", "out"] * 5


def test_each_server_result_is_durable_when_it_arrives(lab):
    a, b = lab.bridge(), lab.bridge()
    run = a.background([calls("quick", "slow"), say("ok")], [sh("quick", "echo q"), sh("slow", f"while [ ! -e {lab.path}/go ]; do sleep 0.02; done; echo s")])
    a.wait_event("tool.completed", run)
    assert [d["name"] for d in b.log_of(run, "tool.completed")] == ["quick"]
    lab.file("go")
    assert a.wait_run(run)["status"] == "success"


# ---- rule 4: the pause first, then the parent

def test_the_pause_is_durable_and_sent_before_tool_invoke(lab):
    a, b = lab.parent(), lab.bridge()
    r = a.start([calls("t"), say("ok")], [tool("t")])
    invoke = a.next_invoke("t")
    run = invoke.params["runId"]
    paused = a.wait_event("run.paused", run)
    started = a.wait_event("tool.started", run)
    assert paused.i < invoke.i and started.i < invoke.i
    assert paused.data["status"] == "waiting_client_tool" and [c["callId"] for c in paused.data["pendingToolCalls"]] == [invoke.call_id]
    assert "run.paused" in b.log_types(run)
    a.respond(invoke, {"content": "x"})
    a.result(r)
    assert a.wait_event("run.resumed", run).i < a.wait_event("run.completed", run).i


def test_client_calls_go_out_when_the_server_calls_are_done(lab):
    b = lab.parent()
    r = b.start([calls("t", "c"), say("ok")], [tool("t"), sh("c", f"while [ ! -e {lab.path}/go ]; do sleep 0.02; done; echo done")])
    b.wait_event("tool.started", where=lambda m: m.data["name"] == "c")
    b.ping()
    assert not b.invokes()
    o = b.call("run.wait", {"runId": b.start_id(r), "timeoutMs": 200})
    assert o["status"] == "running"
    lab.file("go")
    invoke = b.next_invoke("t")
    assert b.wait_event("tool.completed", where=lambda m: m.data["name"] == "c").i < invoke.i
    b.respond(invoke, {"content": "x"})
    assert b.result(r)["status"] == "success"


def test_client_calls_of_a_batch_go_out_in_parallel(parent):
    r = parent.start([calls("a", "b", "c"), say("ok")], [tool("a"), tool("b"), tool("c")])
    got = [parent.next_invoke(n) for n in ("a", "b", "c")]
    for m in reversed(got):
        parent.respond(m, {"content": m.params["name"]})
    assert parent.result(r)["status"] == "success"


def test_at_most_max_parallel_invocations_are_out_at_once(parent):
    r = parent.start([calls(*["t"] * 5), say("ok")], [tool("t")], agent={"clientTools": {"maxParallelInvocations": 2}})
    out = [parent.next_invoke(), parent.next_invoke()]
    for n in range(5):
        parent.ping()
        assert len(parent.invokes()) == min(5, 2 + n)
        parent.respond(out.pop(0), {"content": "x"})
        if n < 3:
            out.append(parent.next_invoke())
    assert parent.result(r)["status"] == "success"


def test_sixteen_are_out_at_once_by_default(parent):
    r = parent.start([calls(*["t"] * 20), say("ok")], [tool("t")])
    out = [parent.next_invoke() for _ in range(16)]
    parent.ping()
    assert len(parent.invokes()) == 16
    for m in out:
        parent.respond(m, {"content": "x"})
    for _ in range(4):
        parent.respond(parent.next_invoke(), {"content": "x"})
    assert parent.result(r)["status"] == "success"


def test_a_client_tool_with_parallel_false_is_asked_alone(parent):
    r = parent.start([calls("one", "one", "one"), say("ok")], [tool("one", parallel=False)])
    for n in range(3):
        m = parent.next_invoke()
        parent.ping()
        assert len(parent.invokes()) == n + 1
        parent.respond(m, {"content": "x"})
    assert parent.result(r)["status"] == "success"


def test_all_pending_calls_stand_in_run_paused_in_call_order(bridge):
    o = bridge.run([calls("a", "b", "c"), say("ok")], [tool("a"), tool("b"), tool("c")])
    paused = bridge.wait_event("run.paused", o["runId"]).data
    assert [c["name"] for c in paused["pendingToolCalls"]] == ["a", "b", "c"]
    assert [c["name"] for c in o["pendingToolCalls"]] == ["a", "b", "c"]


# ---- rule 5: once

def test_the_run_continues_once_when_the_last_result_is_in(parent):
    parent.handlers["t"] = {"content": "x"}
    o = parent.succeeds([calls(*["t"] * 8), say("ok")], [tool("t")])
    types = parent.log_types(o["runId"])
    assert types.count("model.started") == 2 and types.count("tool.completed") == 8 and types.count("run.completed") == 1


def test_the_run_does_not_continue_before_the_last_result(parent):
    r = parent.start([calls("a", "b"), say("ok")], [tool("a"), tool("b")])
    a, b = parent.next_invoke("a"), parent.next_invoke("b")
    parent.respond(b, {"content": "B"})
    parent.wait_event("tool.completed", where=lambda m: m.data["name"] == "b")
    parent.ping()
    run = a.params["runId"]
    assert parent.log_types(run).count("model.started") == 1
    assert [c["name"] for c in parent.get(run)["pendingToolCalls"]] == ["a"]
    parent.respond(a, {"content": "A"})
    assert parent.result(r)["status"] == "success"


def test_several_batches_one_after_the_other(parent):
    parent.handlers["t"] = lambda p: {"content": f"r{p['arguments']['n']}"}
    turns = [calls(("t", {"n": 0}))] + [calls(("t", {"n": n}), expect=expect(content=f"r{n - 1}")) for n in range(1, 20)] + [say("ok", expect=expect(content="r19"))]
    o = parent.succeeds(turns, [tool("t")])
    assert o["usage"] == {**o["usage"], "modelCalls": 21, "toolCalls": 20}


def test_the_first_continuation_is_marked(bridge):
    o = bridge.succeeds([calls("c"), say("ok")], [sh("c", "true")])
    marks = [d["continuation"] for d in bridge.log_of(o["runId"], "model.started")]
    assert marks[0] is False and len(marks) == 2


def test_a_run_that_ends_with_open_calls_closes_each_with_an_error_that_says_why(parent):
    r = parent.start([calls("a", "b"), say("ok")], [tool("a"), tool("b")])
    a, b = parent.next_invoke("a"), parent.next_invoke("b")
    run = a.params["runId"]
    parent.call("run.cancel", {"runId": run, "reason": "changed my mind"})
    assert parent.result(r)["status"] == "cancelled"
    done = parent.log_of(run, "tool.completed")
    assert {d["callId"] for d in done} == {a.call_id, b.call_id} and all(d["isError"] and d["content"] for d in done)


# ---- order of events

def test_the_order_of_one_client_call(parent):
    parent.handlers["t"] = {"content": "x"}
    o = parent.succeeds([calls("t"), say("ok")], [tool("t")])
    types = [t for t in parent.event_types(o["runId"])]
    for first, then in [("run.started", "model.started"), ("model.started", "model.completed"), ("model.completed", "tool.started"),
                        ("model.completed", "run.paused"), ("run.paused", "tool.completed"), ("tool.started", "tool.completed"),
                        ("tool.completed", "run.resumed"), ("run.resumed", "run.completed")]:
        assert types.index(first) < types.index(then), types
    assert types[0] == "run.started" and types[-1] == "run.completed"
    resumed = parent.log_of(o["runId"], "run.resumed")
    assert [d["cause"] for d in resumed] == ["invoke"]


# ---- the tools of a run or an agent

def test_tools_of_the_agent_work_like_tools_of_the_run(parent):
    parent.handlers["t"] = {"content": "x"}
    o = parent.succeeds([calls("t", "c"), say("ok")], agent={"tools": [tool("t"), sh("c", "echo hi")]})
    started = parent.log_of(o["runId"], "run.started")[0]
    assert sorted((t["name"], t["target"]) for t in started["tools"]) == [("c", "server"), ("t", "client")]


def test_parameters_is_accepted_for_input_schema(parent):
    t = {"name": "t", "description": "d", "parameters": N}
    parent.handlers["t"] = {"content": "x"}
    parent.succeeds([calls(("t", {"n": "x"})), say("ok", expect=expect(isError=True))], [t])
    parent.succeeds([calls(("t", {"n": 1})), say("ok", expect=expect(content="x"))], [t])


@pytest.mark.parametrize("name", ["", "1a", "a b", "a.b", "é", "a" * 65, "-a", "a/b", "a\n"])
def test_a_bad_tool_name_is_tool_invalid(bridge, name):
    e = bridge.fails("run.start", bridge.params([say("x")], [tool(name)]), kind="tool.invalid", valid=False)
    assert e.code > 0
    assert bridge.call("run.list")["runs"] == []


@pytest.mark.parametrize("name", ["a", "_", "A-b_9", "a" * 64])
def test_a_good_tool_name_is_good(bridge, name):
    bridge.succeeds([say("x")], [tool(name)])


@pytest.mark.parametrize("change", [{"target": "server"}, {"target": "client", "command": ["true"]}])
def test_a_target_that_contradicts_is_tool_invalid(bridge, change):
    bridge.fails("run.start", bridge.params([say("x")], [tool("t", **change)]), kind="tool.invalid", valid=False)
    assert bridge.call("run.list")["runs"] == []


@pytest.mark.parametrize("change", [{"target": "client"}, {"target": "server", "command": ["true"]}])
def test_a_target_that_agrees_is_fine(bridge, change):
    bridge.succeeds([say("x")], [tool("t", **change)])


@pytest.mark.parametrize("schema,pointer", [
    ({"type": "no-such"}, "/type"),
    ({"type": "object", "properties": {"a": {"type": "intger"}}}, "/properties/a/type"),
    ({"type": "object", "properties": []}, "/properties"),
    ({"type": "object", "required": "a"}, "/required"),
    ({"type": "object", "properties": {"a": {"pattern": "("}}}, "/properties/a/pattern"),
    ({"type": "object", "properties": {"a": {"$ref": "#/$defs/nowhere"}}}, "/properties/a"),
])
def test_a_bad_schema_is_named_by_tool_and_pointer(bridge, schema, pointer):
    e = bridge.fails("run.start", bridge.params([say("x")], [tool("good"), tool("culprit", schema)]), kind="tool.invalidSchema", valid=False)
    assert "culprit" in dumps(e.error).decode() and pointer in dumps(e.error).decode()
    assert bridge.call("run.list")["runs"] == []


def test_a_bad_output_schema_of_a_tool_is_named_too(bridge):
    e = bridge.fails("run.start", bridge.params([say("x")], [tool("culprit", outputSchema={"type": "no-such"})]), kind="tool.invalidSchema", valid=False)
    assert "culprit" in dumps(e.error).decode()


def test_within_one_level_a_client_tool_wins_over_a_server_tool_of_its_name(parent):
    parent.handlers["t"] = {"content": "client"}
    for tools in ([tool("t"), sh("t", "echo server")], [sh("t", "echo server"), tool("t")]):
        parent.succeeds([calls("t"), say("ok", expect=expect(content="client"))], tools)


def test_no_commands_refuses_command_tools_and_scripts(lab):
    b = lab.bridge("--no-commands")
    b.fails("run.start", b.params([say("x")]))
    b.fails("run.start", b.params([say("x")], [sh("c", "true")]))
    assert b.call("run.list")["runs"] == []


def test_max_calls_per_run_bounds_a_tool(lab, bridge):
    o = bridge.run([{**calls("c"), "repeat": 3}, say("ok")], [sh("c", f"echo ran >> {lab.path}/ledger", maxCallsPerRun=2)])
    assert lab.lines("ledger") == ["ran", "ran"]
    assert [d["isError"] for d in bridge.log_of(o["runId"], "tool.completed")] == [False, False, True]


@pytest.mark.parametrize("value", [[1], {"a": 1}, "x"])
def test_a_command_that_is_no_list_of_words_is_refused(bridge, value):
    e = bridge.fails("run.start", bridge.params([say("x")], [tool("t", command=value)]), valid=False)
    assert e.kind in ("invalidParams", "tool.invalid")
    assert bridge.call("run.list")["runs"] == []


def test_many_calls_in_one_batch(lab, parent):
    gate = threading.Event()
    parent.handlers["t"] = lambda p: After(gate, {"content": str(p["arguments"]["n"])})
    gate.set()
    o = parent.succeeds([calls(*[("t", {"n": n}) for n in range(200)]), say("ok")], [tool("t")], timeout=4 * TIMEOUT)
    done = parent.log_of(o["runId"], "tool.completed")
    asked = parent.log_of(o["runId"], "model.completed")[0]["toolCalls"]
    by_call = {c["callId"]: str(c["arguments"]["n"]) for c in asked}
    assert len(done) == 200
    for d in done:
        assert by_call[d["callId"]] in json.dumps(d["content"])


def test_an_empty_command_is_refused_and_a_missing_program_is_a_tool_error(bridge):
    e = bridge.fails("run.start", bridge.params([say("x")], [command("c", [])]), valid=False)
    assert e.kind in ("invalidParams", "tool.invalid")
    bridge.succeeds([calls("c"), say("ok", expect=expect(isError=True))], [command("c", ["/no/such/program"])])


def test_the_status_is_running_while_server_work_goes_on(lab, bridge):
    run = bridge.background([calls("c"), say("ok")], [sh("c", f"while [ ! -e {lab.path}/go ]; do sleep 0.02; done")])
    bridge.wait_event("tool.started", run)
    assert bridge.get(run)["status"] == "running"
    lab.file("go")
    until(lambda: bridge.get(run)["status"] == "success")

"""Section 2: initialize, capabilities, cancel, warnings."""
import json

import pytest

from harness import After, TOOLS, VERSION, calls, expect, say, sh, tool, until
import threading

INIT = {"protocolVersion": VERSION, "clientInfo": {"name": "t", "version": "1"}, "capabilities": {}}


# ---- initialize

def test_initialize_answers_as_in_mcp(lab):
    b = lab.bridge(init=False)
    r = b.call("initialize", INIT)
    assert r["protocolVersion"] == VERSION
    assert r["serverInfo"]["name"] and r["serverInfo"]["version"]
    assert r["capabilities"] == {}


def test_the_limits_are_announced(bridge):
    limits = bridge.init_result["limits"]
    assert limits["maxMessageBytes"] == 256 * 1024 * 1024
    assert limits["maxDepth"] == 512
    assert limits["maxNodes"] == 1_000_000
    assert limits["maxConcurrentRuns"] == 1024
    assert limits["maxUnreadBytes"] == 64 * 1024 * 1024


def test_the_client_may_name_itself_with_a_title_and_send_more(lab):
    b = lab.bridge(init=False)
    r = b.call("initialize", {**INIT, "clientInfo": {"name": "t", "title": "T", "version": "1", "x-more": 1},
                              "capabilities": {"roots": {"listChanged": True}, "x-own": {"a": 1}, "experimental": {}}})
    assert r["protocolVersion"] == VERSION


@pytest.mark.parametrize("version", ["1999-01-01", "2025-11-25", "2099-01-01", "", "x"])
def test_an_unknown_version_is_answered_with_the_newest_known(lab, version):
    b = lab.bridge(init=False)
    assert b.call("initialize", {**INIT, "protocolVersion": version})["protocolVersion"] == VERSION


def test_the_version_may_be_pinned_for_a_client_that_skips_initialize(lab):
    b = lab.bridge("--protocol", VERSION, init=False)
    b.ping()


def test_initialize_twice_is_an_invalid_request(bridge):
    bridge.fails("initialize", INIT, kind="invalidRequest", code=-32600)
    bridge.ping()


@pytest.mark.parametrize("params", [None, {}, {**INIT, "protocolVersion": 5}])
def test_initialize_twice_is_an_invalid_request_whatever_its_params(bridge, params):
    bridge.fails("initialize", params, kind="invalidRequest", code=-32600)
    bridge.ping()


@pytest.mark.parametrize("first", ["ping", "run.list", "no.such"])
def test_initialize_after_any_other_request_is_an_invalid_request(lab, first):
    b = lab.bridge(init=False)
    b.wait_response(b.request(first, valid=False))
    b.fails("initialize", INIT, kind="invalidRequest", code=-32600)
    b.ping()
    assert b.succeeds([say("ok")], answer="ok")


def test_initialize_after_a_notification_is_fine(lab):
    b = lab.bridge(init=False)
    b.notify("notifications/unheard_of", valid=False)
    assert b.call("initialize", INIT)["protocolVersion"] == VERSION


def test_nothing_waits_for_notifications_initialized(lab):
    b = lab.bridge(init=False)
    b.call("initialize", INIT)
    b.succeeds([say("ok")], answer="ok")
    b.initialized = True


def test_requests_sent_right_behind_initialize_are_served(lab):
    b = lab.bridge(init=False)
    i = b.request("initialize", {**INIT, "capabilities": TOOLS})
    r = b.start([calls("t"), say("ok")], [tool("t")])
    b.respond(b.next_invoke("t"), {"content": "x"})
    assert b.result(i) and b.result(r)["status"] == "success"
    b.initialized = True


@pytest.mark.parametrize("params,pointer", [
    ({k: v for k, v in INIT.items() if k != "protocolVersion"}, "/protocolVersion"),
    ({**INIT, "protocolVersion": 5}, "/protocolVersion"),
    ({**INIT, "capabilities": []}, "/capabilities"),
    ({**INIT, "capabilities": {"events": {"optOut": "text.delta"}}}, "/capabilities/events/optOut"),
    ({**INIT, "capabilities": {"maxMessageBytes": "big"}}, "/capabilities/maxMessageBytes"),
])
def test_a_wrong_initialize_is_invalid_params_with_a_pointer(lab, params, pointer):
    b = lab.bridge(init=False)
    b.refuses("initialize", params, pointer)
    b.ping()


def test_ping_answers_an_empty_object(bridge):
    assert bridge.call("ping") == {}
    assert bridge.call("ping", {}) == {}
    assert bridge.call("ping", {"_meta": {"x": 1}}) == {}


def test_rpc_discover_answers_the_openrpc_document(bridge):
    doc = bridge.call("rpc.discover")
    assert doc["openrpc"].startswith("1.")
    assert doc["info"]["title"] and doc["info"]["version"]
    names = {m["name"] for m in doc["methods"]}
    assert names >= {"initialize", "ping", "rpc.discover", "run.start", "run.wait", "run.submitToolResults", "run.cancel", "run.resume", "run.pause",
                     "run.get", "run.list", "run.events", "run.subscribe", "run.unsubscribe", "run.addNote", "run.delete", "blob.read", "blob.write"}


# ---- a client that only pipes

def test_without_initialize_the_capabilities_are_empty(lab):
    b = lab.bridge(init=False)
    o = b.run([calls("t"), say("ok")], [tool("t")])
    assert o["status"] == "waiting_client_tool"
    assert not b.invokes()
    b.call("run.cancel", {"runId": o["runId"]})


def test_without_initialize_delivery_invoke_is_an_unsupported_capability(lab):
    b = lab.bridge(init=False)
    b.fails("run.start", b.params([say("x")], delivery="invoke"), kind="unsupportedCapability")


# ---- capabilities

def test_invoke_without_the_tools_capability_is_unsupported_and_leaves_no_run(bridge):
    bridge.fails("run.start", bridge.params([calls("t"), say("ok")], [tool("t")], delivery="invoke"), kind="unsupportedCapability")
    assert bridge.call("run.list")["runs"] == []


def test_delivery_is_invoke_by_default_with_the_tools_capability(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    parent.respond(parent.next_invoke("t"), {"content": "x"})
    assert parent.result(r)["status"] == "success"


def test_delivery_is_pause_by_default_without_it(bridge):
    o = bridge.run([calls("t"), say("ok")], [tool("t")])
    assert o["status"] == "waiting_client_tool" and not bridge.invokes()


def test_delivery_pause_may_be_asked_for_with_the_capability(parent):
    o = parent.run([calls("t"), say("ok")], [tool("t")], delivery="pause")
    assert o["status"] == "waiting_client_tool" and not parent.invokes()


def test_an_unknown_delivery_is_invalid_params(parent):
    parent.refuses("run.start", parent.params([say("x")], delivery="pull"), "/delivery")


def test_opt_out_of_a_prefix(lab):
    b = lab.bridge(capabilities={"events": {"optOut": ["text.*", "model.*"]}})
    o = b.succeeds([say("many words here")])
    types = {m.type for m in b.events(o["runId"])}
    assert "run.started" in types and "run.completed" in types
    assert not [t for t in types if t.startswith(("text.", "model."))]
    assert "model.completed" in b.log_types(o["runId"])


def test_opt_out_of_one_type(lab):
    b = lab.bridge(capabilities={"events": {"optOut": ["model.started"]}})
    o = b.succeeds([say("hi")])
    types = [m.type for m in b.events(o["runId"])]
    assert "model.started" not in types and "model.completed" in types


def test_without_opt_out_of_everything_else_comes(bridge):
    o = bridge.succeeds([say("hi")])
    assert "".join(m.data["text"] for m in bridge.events(o["runId"], "text.delta")) == "hi"


# ---- cancelling

@pytest.mark.parametrize("method,member", [("notifications/cancelled", "requestId"), ("$/cancelRequest", "id")])
def test_cancelling_the_run_start_that_began_a_run_cancels_the_run(parent, method, member):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    invoke = parent.next_invoke("t")
    run = invoke.run_id if hasattr(invoke, "run_id") else invoke.params["runId"]
    parent.notify(method, {member: r})
    e = parent.error_of(r)
    assert e.code == -32800 and e.kind == "cancelled" and e.data["runId"] == run
    parent.wait_cancelled(invoke.id)
    assert parent.get(run)["status"] == "cancelled"


def test_cancelling_a_run_start_in_a_model_call_cancels_the_run(bridge):
    r = bridge.start([say("late", delayMs=60_000)])
    run = bridge.start_id(r)
    bridge.wait_event("model.started", run)
    bridge.notify("notifications/cancelled", {"requestId": r, "reason": "enough"})
    e = bridge.error_of(r)
    assert e.code == -32800 and e.data["runId"] == run
    assert bridge.wait_run(run)["status"] == "cancelled"
    assert bridge.log_of(run, "run.cancelled")[0]["reason"] == "enough"


@pytest.mark.parametrize("method,params", [("notifications/cancelled", {"requestId": "@"}), ("notifications/cancelled", {"requestId": "@", "reason": None}),
                                           ("$/cancelRequest", {"id": "@", "reason": "not a member of it"})])
def test_a_run_start_that_is_cancelled_without_a_reason_has_one_all_the_same(bridge, method, params):
    """Not that of another request."""
    other = bridge.request("run.wait", {"runId": bridge.run([calls("t")], [tool("t")], delivery="pause")["runId"]})
    bridge.notify("notifications/cancelled", {"requestId": other, "reason": "of the other"})
    r = bridge.start([say("late", delayMs=60_000)])
    run = bridge.start_id(r)
    bridge.notify(method, {k: r if v == "@" else v for k, v in params.items()}, valid=False)
    assert bridge.error_of(r).data["runId"] == run
    assert bridge.log_of(run, "run.cancelled")[0]["reason"] == "the request was cancelled"


@pytest.mark.parametrize("method,member", [("notifications/cancelled", "requestId"), ("$/cancelRequest", "id")])
def test_cancelling_a_run_wait_only_ends_the_waiting(parent, method, member):
    run = parent.background([calls("t"), say("ok")], [tool("t")])
    invoke = parent.next_invoke("t")
    w = parent.request("run.wait", {"runId": run})
    parent.notify(method, {member: w})
    e = parent.error_of(w)
    assert e.code == -32800 and e.kind == "cancelled"
    assert parent.get(run)["status"] == "waiting_client_tool"
    parent.respond(invoke, {"content": "x"})
    assert parent.wait_run(run)["status"] == "success"


def test_cancelling_a_run_start_that_joined_by_key_only_ends_the_waiting(parent):
    p = parent.params([calls("t"), say("ok")], [tool("t")], idempotencyKey="k")
    first = parent.request("run.start", p)
    invoke = parent.next_invoke("t")
    second = parent.request("run.start", p)
    parent.notify("notifications/cancelled", {"requestId": second})
    assert parent.error_of(second).code == -32800
    parent.respond(invoke, {"content": "x"})
    assert parent.result(first)["status"] == "success"


def test_cancelling_a_submit_leaves_what_is_durable_and_the_run_goes_on(bridge):
    o = bridge.run([calls("t"), say("ok", delayMs=700)], [tool("t")])
    call = o["pendingToolCalls"][0]["callId"]
    s = bridge.request("run.submitToolResults", bridge.submit_params(o["runId"], {call: "x"}))
    bridge.wait_event("tool.completed", o["runId"])
    bridge.notify("notifications/cancelled", {"requestId": s})
    assert bridge.error_of(s).code == -32800
    assert bridge.wait_run(o["runId"])["status"] == "success"


def test_cancelling_one_id_leaves_its_lookalike_alone(parent):
    parent.request("run.start", parent.params([calls("t"), say("ok")], [tool("t")]), id=77)
    invoke = parent.next_invoke("t")
    parent.notify("notifications/cancelled", {"requestId": "77"})
    parent.notify("notifications/cancelled", {"requestId": 78})
    parent.ping()
    parent.respond(invoke, {"content": "x"})
    assert parent.result(77)["status"] == "success"


def test_cancelling_what_is_answered_is_ignored(bridge):
    r = bridge.start([say("ok")])
    o = bridge.result(r)
    bridge.notify("notifications/cancelled", {"requestId": r})
    bridge.ping()
    assert bridge.get(o["runId"])["status"] == "success"


def test_cancelled_right_behind_the_request(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    parent.notify("notifications/cancelled", {"requestId": r})
    e = parent.error_of(r)
    assert e.code == -32800
    if "runId" in e.data:
        until(lambda: parent.get(e.data["runId"])["status"] == "cancelled")
    else:
        assert parent.call("run.list")["runs"] == []


def test_cancelling_an_answer_that_is_awaited_by_the_bridge_changes_nothing(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    invoke = parent.next_invoke("t")
    parent.notify("notifications/cancelled", {"requestId": invoke.id})
    parent.ping()
    parent.respond(invoke, {"content": "x"})
    assert parent.result(r)["status"] == "success"


# ---- unknown members

def test_unknown_members_are_ignored(bridge):
    o = bridge.run([say("ok")], notAMember={"a": 1}, **{"x-own": 1})
    assert o["status"] == "success"
    assert bridge.call("run.get", {"runId": o["runId"], "more": True})["status"] == "success"


@pytest.mark.parametrize("pointer,change", [
    ("/agent/instruction", lambda p: p["agent"].update(instruction="typo")),
    ("/tools/0/requireApproval", lambda p: p["tools"][0].update(requireApproval=True)),
    ("/agent/limits/maxIteration", lambda p: p["agent"].update(limits={"maxIteration": 3})),
    ("/limits/maxToolCall", lambda p: p.update(limits={"maxToolCall": 3})),
    ("/agent/tools/0/descripton", lambda p: p["agent"].update(tools=[{**tool("u"), "descripton": "x"}])),
])
def test_unknown_members_of_agent_tool_and_limits_are_named_in_warnings(bridge, pointer, change):
    p = bridge.params([say("ok")], [tool("t")])
    change(p)
    o = bridge.call("run.start", p)
    started = bridge.wait_event("run.started", o["runId"]).data
    assert pointer in json.dumps(started.get("warnings"))
    assert [w.split(":")[0] for w in o["warnings"]] == [pointer], "a client that wants no events learns it too"


def test_unknown_members_of_a_submit_and_of_a_resume_are_named_in_their_answers(lab):
    b = lab.bridge()
    o = b.run([calls(("t", {})), say("ok")], [tool("t")], limits={"maxIterations": 1, "onLimit": "pause"})
    c = o["pendingToolCalls"][0]["callId"]
    o = b.call("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": c, "content": "1"}], "tools": [tool("t", tmeoutMs=3)]})
    assert o["status"] == "paused" and [w.split(":")[0] for w in o["warnings"]] == ["/tools/0/tmeoutMs"]
    o = b.call("run.resume", {"runId": o["runId"], "limits": {"maxIterations": 9, "maxIteration": 3}})
    assert o["status"] == "success" and [w.split(":")[0] for w in o["warnings"]] == ["/limits/maxIteration"]
    assert "warnings" not in b.call("run.wait", {"runId": o["runId"]})


@pytest.mark.parametrize("pointer,change", [
    ("/agent/instruction", lambda p: p["agent"].update(instruction="typo")),
    ("/tools/0/requireApproval", lambda p: p["tools"][0].update(requireApproval=True)),
    ("/limits/maxToolCall", lambda p: p.update(limits={"maxToolCall": 3})),
])
def test_strict_refuses_them(lab, pointer, change):
    b = lab.bridge("--strict")
    p = b.params([say("ok")], [tool("t")])
    change(p)
    b.refuses("run.start", p, pointer)
    assert b.call("run.list")["runs"] == []


def test_extensions_with_x_are_no_warning(lab):
    for args in ((), ("--strict",)):
        b = lab.bridge(*args)
        o = b.run([say("ok")], [tool("t", **{"x-ui": {"icon": 1}})], agent={"x-owner": "me"}, limits={"x-l": 1})
        assert o["status"] == "success"
        assert "x-" not in json.dumps(b.wait_event("run.started", o["runId"]).data.get("warnings", []))


def test_a_run_without_typos_has_no_warnings(bridge):
    o = bridge.run([say("ok")], [tool("t"), sh("s", "true")], agent={"limits": {"maxIterations": 3}, "instructions": "be kind"})
    assert not bridge.wait_event("run.started", o["runId"]).data.get("warnings") and "warnings" not in o


# ---- limits of a connection

def test_runs_beyond_the_concurrent_limit_are_overloaded(lab):
    b = lab.bridge("--max-concurrent-runs", "2")
    assert b.init_result["limits"]["maxConcurrentRuns"] == 2
    busy = [b.background([say("late", delayMs=60_000)]) for _ in range(2)]
    for run in busy:
        b.wait_event("model.started", run)
    e = b.fails("run.start", b.params([say("no")]), kind="overloaded")
    assert e.data["retryable"] is True
    for run in busy:
        b.call("run.cancel", {"runId": run})
    b.succeeds([say("again")], answer="again")


def test_waiting_runs_do_not_count_as_driven(lab):
    b = lab.bridge("--max-concurrent-runs", "2")
    for _ in range(6):
        assert b.run([calls("t"), say("ok")], [tool("t")])["status"] == "waiting_client_tool"


def test_a_submit_beyond_the_limit_is_stored_and_goes_on_when_a_place_is_free(lab):
    b = lab.bridge("--max-concurrent-runs", "1")
    waiting = b.run([calls("t"), say("done", expect=expect(content="x"))], [tool("t")])
    busy = b.background([say("late", delayMs=60_000)])
    b.wait_event("model.started", busy)
    call = waiting["pendingToolCalls"][0]["callId"]
    s = b.request("run.submitToolResults", b.submit_params(waiting["runId"], {call: "x"}, wait=False))
    b.wait_event("tool.completed", waiting["runId"])
    b.result(s)
    b.call("run.cancel", {"runId": busy})
    assert b.wait_run(waiting["runId"])["status"] == "success"


def test_many_clients_of_one_bridge_do_not_mix_up_their_answers(lab):
    b = lab.parent()
    gate = threading.Event()
    b.handlers["t"] = lambda p: After(gate, {"content": p["arguments"]["n"]})
    ids = [(n, b.start([calls(("t", {"n": f"n{n}"})), say(f"got n{n}", expect=expect(content=f"n{n}"))], [tool("t")])) for n in range(30)]
    until(lambda: len(b.invocations) == 30)
    gate.set()
    for n, i in ids:
        assert b.result(i)["answer"] == f"got n{n}"

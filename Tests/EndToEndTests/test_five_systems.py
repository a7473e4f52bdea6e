"""What five systems of today promise their users about client tools, each feature once, end to end, in this protocol's words.

The tests are named after the system and after the feature as its documentation names it: HPD-Agent (`hpd`), Letta (`letta`), Cloudflare
Think (`think`), AgentFlow (`agentflow`), Dendrux (`dendrux`). In every one the parent is the model too, and what that is offered and told is looked at.
"""
import json
import re
import threading

import pytest

from harness import ULID, Error, Never, calls, say, sh, text_of, tool, until
from told import item, opened, skill, toolkit, told, unchanged_by_kills  # noqa: F401

PATH = {"type": "object", "properties": {"path": {"type": "string"}, "line": {"type": "integer"}}, "required": ["path"]}
OPEN = tool("OpenFile", PATH, description="Open a file in the editor")
SELECTION = tool("GetSelection")
DELETE = tool("DeleteFile", PATH, requiresApproval=True)
TRUST = "Always confirm with the user before modifying files."


def ide(**more):
    return toolkit("IDE", OPEN, SELECTION, DELETE, systemPrompt=TRUST, **more)


def open_file(told, text="File opened"):
    told.on("OpenFile", lambda p: {"content": f"{text}: {p['arguments']['path']}"})


# ================================================================ HPD-Agent

def test_hpd_client_tools_run_in_the_client_and_the_agent_continues(told):
    open_file(told)
    b = told.bridge()
    model = told.script(calls("IDE"), calls(("OpenFile", {"path": "notes.txt"})), say("It is open."))
    o = told.succeeds(b, model, toolkits=[ide()], input="Open notes.txt")
    assert o["answer"] == "It is open."
    m, = b.invokes()
    assert (m.params["name"], m.params["arguments"]) == ("OpenFile", {"path": "notes.txt"})
    assert told.at(model, 2).result == "File opened: notes.txt"


def test_hpd_registering_tools_for_all_streams_of_a_client(told):
    b = told.bridge()
    b.call("toolkit.register", {"toolkits": [ide()]})
    for _ in range(2):
        assert told.one("ok", b=b)[0].names == ["IDE"]


def test_hpd_registering_tools_for_one_stream(told):
    b = told.bridge()
    assert told.one("ok", b=b, toolkits=[ide()])[0].names == ["IDE"]
    assert told.one("ok", b=b)[0].names == []


def test_hpd_registering_unregistering_and_replacing_at_runtime(told):
    b = told.bridge()
    b.call("toolkit.register", {"toolkits": [ide(), toolkit("Other", tool("X"))]})
    assert sorted(told.one("ok", b=b)[0].names) == ["IDE", "Other"]
    b.call("toolkit.unregister", {"names": ["IDE"]})
    assert told.one("ok", b=b)[0].names == ["Other"]
    b.call("toolkit.register", {"toolkits": [opened("Other", tool("Y"))]})
    names = told.one("ok", b=b)[0].names
    assert "Y" in names and "X" not in names


def test_hpd_what_a_stream_brings_takes_precedence(told):
    b = told.bridge()
    b.call("toolkit.register", {"toolkits": [opened("IDE", OPEN)]})
    seen, = told.one("ok", b=b, toolkits=[opened("IDE", {**OPEN, "description": "of the stream"})])
    assert seen.says("OpenFile") == "of the stream"


def test_hpd_tool_groups_start_collapsed_or_expanded(told):
    collapsed, = told.one("ok", toolkits=[ide()])
    expanded, = told.one("ok", toolkits=[ide(startCollapsed=False)])
    assert collapsed.names == ["IDE"] and TRUST not in collapsed.system
    assert {"OpenFile", "GetSelection", "DeleteFile"} <= set(expanded.names) and TRUST in expanded.system


@pytest.mark.parametrize("approved", [True, False])
def test_hpd_requires_permission(told, approved):
    told.replies["approval.request"] = {"decision": "approve"} if approved else {"decision": "deny", "reason": "The user said no."}
    told.on("DeleteFile", "deleted")
    b = told.bridge(approvals=True)
    model = told.script(calls(("DeleteFile", {"path": "a"})), "ok")
    told.succeeds(b, model, toolkits=[ide(startCollapsed=False)])
    asked, = told.asked["approval.request"]
    assert (asked.params["name"], asked.params["arguments"]) == ("DeleteFile", {"path": "a"})
    if approved:
        assert told.at(model, 1).result == "deleted"
    else:
        assert "The user said no." in told.at(model, 1).failure and not b.invokes()


def test_hpd_handling_invocations_success_and_error_responses(told):
    told.on("OpenFile", lambda p: {"content": "No such file", "isError": True} if p["arguments"]["path"] == "b" else {"content": "opened"})
    shown = told.one(calls(("OpenFile", {"path": "a"}), ("OpenFile", {"path": "b"})), "ok", toolkits=[opened("IDE", OPEN)])
    assert shown[1].results == [("opened", False), ("No such file", True)]


def test_hpd_result_content_types(told):
    told.on("OpenFile", {"content": [{"type": "text", "text": "File opened successfully"}, {"type": "json", "value": {"line": 42, "column": 10}},
                                     {"type": "binary", "mimeType": "image/png", "data": "aGk=", "filename": "screenshot.png"},
                                     {"type": "binary", "mimeType": "image/png", "url": "https://example.com/s.png", "filename": "remote.png"}]})
    b = told.bridge()
    model = told.script(calls(("OpenFile", {"path": "a"})), "ok")
    o = told.succeeds(b, model, tools=[OPEN])
    message = told.at(model, 1).messages[-1]
    assert "File opened successfully" in message.text and json.loads(re.search(r"\{[^{}]*\}", message.text).group()) == {"line": 42, "column": 10}
    assert ("image", "image/png", "aGk=") in message.parts
    assert "remote.png" in message.text or "https://example.com/s.png" in message.text
    done, = b.log_of(o["runId"], "tool.completed")
    assert [c["type"] for c in done["content"]] == ["text", "json", "binary", "binary"]


def test_hpd_dual_context_instructions(told):
    told.on("GetSelection", "s")
    kit = toolkit("IDE", OPEN, SELECTION, tool("ShowMessage"), functionResult="Tip: always call GetSelection before editing.",
                  systemPrompt="Never delete files without explicit user confirmation.")
    shown = told.one(calls("IDE"), calls("GetSelection"), "ok", toolkits=[kit])
    assert shown[1].result.startswith("IDE expanded. Available functions: OpenFile, GetSelection, ShowMessage")
    assert shown[1].result.endswith("Tip: always call GetSelection before editing.")
    assert ["Never delete files" in s.system for s in shown] == [False, True, True]
    assert shown[2].text.count("Tip: always") == 1


def test_hpd_dynamic_tool_changes(told):
    """The example of the documentation: Login opens the administrator's tools."""
    b = told.bridge()
    told.on("Login", lambda p: {"content": "Logged in as admin", "augmentation": {
        "injectToolkits": [toolkit("AdminTools", tool("Promote"), systemPrompt="ADMIN RULES.")], "removeToolkits": ["GuestTools"], "expandToolkits": ["AdminTools"],
        "collapseToolkits": ["PublicTools"], "hideTools": ["Login"], "showTools": ["Logout"],
        "addContext": [item("user", {"role": "admin"}, "Current user")], "removeContext": ["guest"], "updateState": {"authenticated": True}, "patchState": {"since": 12}}})
    model = told.script(calls("Login"), "Welcome.")
    o = told.succeeds(b, model, tools=[tool("Login"), tool("Logout")], toolkits=[opened("GuestTools", tool("Register")), opened("PublicTools", tool("Search"))],
                      augmentation={"hideTools": ["Logout"], "addContext": [item("guest", "yes")]})
    before, after = told.shows(model)
    assert {"Login", "Register", "Search"} <= set(before.names) and "Logout" not in before.names
    assert {"Logout", "Promote", "PublicTools"} <= set(after.names) and not {"Login", "Register", "Search"} & set(after.names)
    assert after.result == "Logged in as admin" and "ADMIN RULES." in after.system and '"admin"' in after.text and "Current user" in after.text
    got = b.get(o["runId"])
    assert got["state"] == {"authenticated": True, "since": 12} and [c["key"] for c in got["context"]] == ["user"]


def test_hpd_stream_options(told):
    b = told.bridge()
    s = told.session(b)
    b.call("session.augment", {"sessionId": s, "augmentation": {"updateState": {"old": "zebra-17"}}})
    seen, = told.one("ok", b=b, sessionId=s, resetClientState=True, toolkits=[ide()], augmentation={
        "addContext": [item("env", "production", "Environment")], "expandToolkits": ["IDE"], "hideTools": ["DeleteFile"]})
    assert {"OpenFile", "GetSelection"} <= set(seen.names) and "DeleteFile" not in seen.names
    assert "production" in seen.text and "Environment" in seen.text and "zebra-17" not in seen.text


def test_hpd_a_signal_cancels_the_stream(told):
    b = told.bridge()
    model = told.script(calls(("OpenFile", {"path": "a"})), "ok")
    id = told.start(b, model, tools=[OPEN])
    m = b.next_invoke()
    b.notify("notifications/cancelled", {"requestId": id})
    e = b.error_of(id)
    assert e.code == -32800 and e.data["runId"] == m.params["runId"]
    b.wait_cancelled(m.id)
    assert b.get(m.params["runId"])["status"] == "cancelled"


def test_hpd_client_skills(told):
    """The example of the documentation: a checkout in three steps."""
    steps = [tool("ValidateCart"), tool("ProcessPayment"), tool("ConfirmOrder")]
    workflow = "CHECKOUT WORKFLOW:\n1. ValidateCart\n2. ProcessPayment\n3. ConfirmOrder"
    told.on("ValidateCart", "in stock")
    kit = toolkit("Checkout", *steps, skills=[skill("CompleteCheckout", "ValidateCart", ("Checkout", "ProcessPayment"), "ConfirmOrder", systemPrompt=workflow)])
    shown = told.one(calls("Checkout"), calls("CompleteCheckout"), calls("ValidateCart"), "ok", toolkits=[kit])
    assert "CompleteCheckout" in shown[1].names and shown[2].result
    assert [workflow in s.system for s in shown] == [False, False, True, True]
    assert {"ValidateCart", "ProcessPayment", "ConfirmOrder"} <= set(shown[2].names) and shown[3].result == "in stock"


def test_hpd_state_persists_across_turns(told):
    b = told.bridge()
    s = told.session(b)
    open_file(told)
    model = told.script("Hello.", calls("IDE"), calls(("OpenFile", {"path": "notes.txt"})), "Open.", "Fresh.")
    told.succeeds(b, model, sessionId=s, input="Hello", toolkits=[ide()])
    told.succeeds(b, model, sessionId=s, input="Open notes.txt")
    told.succeeds(b, model, sessionId=s, input="Start fresh", resetClientState=True)
    assert told.at(model, 1).names == ["IDE"] and told.at(model, 3).result == "File opened: notes.txt"
    assert told.at(model, 4).names == []


def test_hpd_event_handling(told):
    told.replies["approval.request"] = {"decision": "approve"}
    told.replies["elicitation/create"] = {"action": "accept", "content": {"answer": "yes"}}
    told.on("DeleteFile", "deleted")
    b = told.bridge(approvals=True, questions=True)
    model = told.script(calls(("DeleteFile", {"path": "a"}), ("ask_user", {"question": "Sure?"})), "Done.")
    o = told.succeeds(b, model, agent={"askUser": True}, toolkits=[ide(startCollapsed=False), toolkit("More", tool("X"))])
    types = b.event_types(o["runId"])
    for type in ("toolkit.registered", "model.started", "model.completed", "tool.started", "tool.completed", "approval.requested", "approval.decided", "input.requested", "input.answered", "run.completed"):
        assert type in types, type
    assert b.events(o["runId"], "toolkit.registered")[0].data == {"toolkits": ["IDE", "More"], "totalTools": 4}
    assert told.asked["elicitation/create"][0].params["message"] == "Sure?"


def test_hpd_clarification_requests(told):
    told.replies["elicitation/create"] = lambda p: {"action": "accept", "content": {next(iter(p["requestedSchema"]["properties"])): "the blue one"}}
    b = told.bridge(questions=True)
    model = told.script(calls(("ask_user", {"question": "Which one?"})), "ok")
    told.succeeds(b, model, agent={"askUser": True})
    assert "the blue one" in told.at(model, 1).result


def test_hpd_invoke_timeout_and_a_handler_that_never_returns(told):
    told.on("OpenFile", Never)
    b = told.bridge()
    model = told.script(calls(("OpenFile", {"path": "a"})), "Never mind.")
    o = told.succeeds(b, model, tools=[OPEN], agent={"clientTools": {"invokeTimeoutMs": 80, "onTimeout": "fallbackMessage", "fallbackTemplate": "Client unavailable. Tool '{0}' skipped."}})
    assert told.at(model, 1).failure == "Client unavailable. Tool 'OpenFile' skipped." and o["answer"] == "Never mind."
    default = told.script(calls(("OpenFile", {"path": "a"})), "ok")
    open_file(told)
    told.succeeds(b, default, tools=[OPEN])
    assert b.invokes()[-1].params["timeoutMs"] == 30000


def test_hpd_disconnection_strategy_fallback_message(told):
    a = told.bridge()
    model = told.script(calls(("OpenFile", {"path": "a"})), "ok")
    told.start(a, model, tools=[OPEN], agent={"clientTools": {"onDisconnect": "fallbackMessage", "fallbackTemplate": "Client unavailable. Tool '{0}' skipped."}})
    run = a.next_invoke().params["runId"]
    a.hang_up()
    o = told.bridge().call("run.resume", {"runId": run})
    assert o["status"] == "success" and told.at(model, 1).failure == "Client unavailable. Tool 'OpenFile' skipped."


def test_hpd_disconnection_strategy_fail_fast(told):
    a = told.bridge()
    model = told.script(calls(("OpenFile", {"path": "a"})), "ok")
    id = told.start(a, model, tools=[OPEN], agent={"clientTools": {"onDisconnect": "failFast"}})
    a.next_invoke()
    a.hang_up()
    o = a.result(id)
    assert (o["status"], o["error"]["kind"]) == ("error", "client.disconnected")


def test_hpd_disconnection_strategy_retry_with_backoff(told):
    tries = []

    def handler(p):
        tries.append(p["attempt"])
        return {"content": "opened"} if len(tries) >= 3 else Never
    told.on("OpenFile", handler)
    b = told.bridge()
    model = told.script(calls(("OpenFile", {"path": "a"})), "ok")
    told.succeeds(b, model, tools=[{**OPEN, "annotations": {"idempotentHint": True}}], agent={"clientTools": {"invokeTimeoutMs": 120, "onTimeout": "retryWithBackoff", "maxRetries": 3}})
    assert tries[:3] == [1, 2, 3] and told.at(model, 1).result == "opened"


def test_hpd_a_handler_that_throws(told):
    told.on("OpenFile", Error(-32000, "ENOENT: no such file"))
    shown = told.one(calls(("OpenFile", {"path": "a"})), "ok", tools=[OPEN])
    assert "ENOENT: no such file" in shown[1].failure


def test_hpd_a_response_with_an_id_of_its_own_changes_nothing(told):
    b = told.bridge()
    model = told.script(calls(("OpenFile", {"path": "a"})), "ok")
    id = told.start(b, model, tools=[OPEN])
    m = b.next_invoke()
    b.respond("b-4711", {"content": "wrong id"})
    b.ping()
    assert b.get(m.params["runId"])["status"] == "waiting_client_tool"
    b.respond(m, {"content": "right id"})
    b.result(id)
    assert told.at(model, 1).result == "right id"


# ================================================================ Letta

READ = {"name": "read_local_file", "description": "Read a file from the local filesystem",
        "parameters": {"type": "object", "properties": {"file_path": {"type": "string", "description": "Path to the file"}}, "required": ["file_path"]}}


def test_letta_client_tools_are_passed_at_runtime(told):
    b = told.bridge(tools=False)
    model = told.script(calls(("read_local_file", {"file_path": "config.json"})), "I've read the config file.")
    agent = b.call("agent.create", {"agent": {"model": model, "name": "local-file-agent", "memory": [
        {"label": "human", "value": "User: Alice"}, {"label": "persona", "value": "You help users read their local files"}]}})["agentId"]
    o = told.run(b, model, agentId=agent, tools=[READ], input="Read config.json")
    first = told.at(model, 0)
    assert first.tools["read_local_file"] == (READ["description"], READ["parameters"])
    assert "User: Alice" in first.system and "You help users read their local files" in first.system
    call, = o["pendingToolCalls"]
    assert (o["status"], call["name"], call["arguments"]) == ("waiting_client_tool", "read_local_file", {"file_path": "config.json"})
    assert "tools" not in b.call("agent.get", {"agentId": agent})["agent"]


def test_letta_submitting_a_result_continues_the_agent(told):
    b = told.bridge(tools=False)
    model = told.script(calls(("read_local_file", {"file_path": "config.json"})), "I've read the config file. Here's what it contains...")
    o = told.run(b, model, tools=[READ])
    o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: '{\n  "api_key": "...",\n  "endpoint": "..."\n}'})
    assert o["answer"].startswith("I've read the config file.")
    assert told.at(model, 1).result == '{\n  "api_key": "...",\n  "endpoint": "..."\n}'


def test_letta_submitting_a_result_with_status_error(told):
    b = told.bridge(tools=False)
    model = told.script(calls(("read_local_file", {"file_path": "config.json"})), "Sorry.")
    o = told.run(b, model, tools=[READ])
    b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: {"content": "Error reading file: not there", "isError": True}})
    assert told.at(model, 1).failure == "Error reading file: not there"


def test_letta_client_tools_are_passed_again_with_the_results(told):
    b = told.bridge(tools=False)
    model = told.script(calls(("read_local_file", {"file_path": "a"})), calls(("write_local_file", {"file_path": "b"})), "ok")
    o = told.run(b, model, tools=[READ])
    write = {**READ, "name": "write_local_file"}
    o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "a"}, tools=[READ, write])
    assert sorted(told.at(model, 1).names) == ["read_local_file", "write_local_file"]
    o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "b"}, tools=[])
    assert told.at(model, 2).names == [] and o["status"] == "success"


def test_letta_several_responses_in_one_message_approvals_and_executions(lab, told):
    b = told.bridge(tools=False)
    fetch = sh("fetch_api", f"echo ran >> {lab.path}/ran; echo fetched", requiresApproval=True)
    model = told.script(calls(("read_local_file", {"file_path": "config"}), "fetch_api"), "Both.")
    o = told.run(b, model, tools=[READ, fetch], input="Read local config and fetch remote data")
    assert o["status"] == "waiting_approval" and lab.lines("ran") == []
    read, ask = o["pendingToolCalls"]
    assert (read["needs"], ask["needs"], ask["target"]) == ("result", "approval", "server")
    o = b.submit(o["runId"], {read["callId"]: "the config"}, approvals=[{"callId": ask["callId"], "decision": "approve"}])
    assert o["answer"] == "Both." and lab.lines("ran") == ["ran"]
    one, two = told.at(model, 1).results
    assert one == ("the config", False) and "fetched" in two[0]


def test_letta_a_call_is_denied_with_a_reason(lab, told):
    b = told.bridge(tools=False)
    model = told.script(calls("fetch_api"), "Then not.")
    o = told.run(b, model, tools=[sh("fetch_api", f"echo ran >> {lab.path}/ran", requiresApproval=True)])
    o = b.call("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": o["pendingToolCalls"][0]["callId"], "decision": "deny", "reason": "Use the cached copy."}]})
    assert o["answer"] == "Then not." and "Use the cached copy." in told.at(model, 1).failure and lab.lines("ran") == []


def test_letta_including_stdout_and_stderr(told):
    b = told.bridge(tools=False)
    model = told.script(calls(("read_local_file", {"file_path": "a"})), "ok")
    o = told.run(b, model, tools=[READ])
    b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: {"content": "exit 1", "isError": True, "stdout": ["On branch main", "nothing to commit"], "stderr": ["warning: LF"]}})
    seen = told.at(model, 1).failure
    assert all(x in seen for x in ("exit 1", "On branch main", "nothing to commit", "warning: LF", "stdout", "stderr"))
    done, = b.log_of(o["runId"], "tool.completed")
    assert done["stdout"] == ["On branch main", "nothing to commit"] and done["stderr"] == ["warning: LF"]


def test_letta_the_tool_executes_normally_from_the_agents_perspective(told):
    """Live or submitted, the model is shown the same."""
    shapes = []
    for live in (True, False):
        b = told.bridge(tools=live)
        model = told.script(calls(("read_local_file", {"file_path": "a"})), "ok")
        told.on("read_local_file", "the file")
        o = told.run(b, model, tools=[READ])
        if not live:
            b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "the file"})
        shapes.append(told.at(model, 1).shape.replace(model.split(":")[1], "MODEL"))
    assert shapes[0] == shapes[1]


# ================================================================ Cloudflare Think

def test_think_client_tools_are_merged_with_server_tools(told):
    told.on("getUserTimezone", "Europe/Berlin")
    shown = told.one(calls("getUserTimezone", "now"), "ok", agent={"tools": [sh("now", "echo noon")]}, tools=[tool("getUserTimezone"), tool("getClipboard")])
    assert sorted(shown[0].names) == ["getClipboard", "getUserTimezone", "now"]
    assert [r[0].strip() for r in shown[1].results] == ["Europe/Berlin", "noon"]


def test_think_per_turn_tools_are_for_that_turn(told):
    b = told.bridge()
    s = told.session(b)
    model = told.script("one", "two")
    told.succeeds(b, model, sessionId=s, tools=[tool("getClipboard")])
    told.succeeds(b, model, sessionId=s)
    assert [x.names for x in told.shows(model)] == [["getClipboard"], []]


def test_think_name_precedence_a_client_tool_overrides_a_server_tool_for_that_turn(told):
    b = told.bridge()
    s = told.session(b)
    told.on("read", "from the browser")
    agent = {"tools": [sh("read", "echo from the server")]}
    model = told.script(calls("read"), "ok", calls("read"), "ok")
    o = told.succeeds(b, model, sessionId=s, agent=agent, tools=[tool("read")])
    told.succeeds(b, model, sessionId=s, agent=agent)
    assert told.at(model, 1).result == "from the browser" and "from the server" in told.at(model, 3).result
    assert any("read" in w for w in b.log_of(o["runId"], "run.started")[0]["warnings"])


def test_think_client_tools_of_a_sub_agent_go_to_the_same_parent(told):
    b = told.bridge()
    told.on("get_user_timezone", "Europe/Berlin")
    child = told.script(calls("get_user_timezone"), "It is Berlin.")
    model = told.script(calls(("ask_child", {"input": "Where?"})), "Berlin, it says.")
    delegate = {"name": "ask_child", "description": "asks the child", "inputSchema": {"type": "object"}, "agent": {"model": child, "tools": [tool("get_user_timezone")]}}
    m = b.wait_response(told.start(b, model, agent={"tools": [delegate]}))
    if m.error is not None and m.error["data"]["kind"] == "unsupportedCapability":
        pytest.skip("this release has no sub-agents")
    o = m.result
    assert o["answer"] == "Berlin, it says." and "It is Berlin." in told.at(model, 1).result
    assert told.at(child, 1).result == "Europe/Berlin" and b.invokes()[0].params["runId"] != o["runId"]


def test_think_recovery_a_call_in_flight_is_not_lost_with_the_process(told):
    a = told.bridge()
    model = told.script(calls("getClipboard"), "ok")
    told.start(a, model, tools=[tool("getClipboard")])
    m = a.next_invoke()
    a.kill9()
    b = told.bridge()
    told.on("getClipboard", "the clipboard")
    o = b.call("run.resume", {"runId": m.params["runId"]})
    again, = b.invokes()
    assert (again.params["callId"], again.params["attempt"]) == (m.params["callId"], 2)
    assert o["status"] == "success" and told.at(model, 1).result == "the clipboard"


def test_think_errors_a_throwing_handler_is_a_tool_error_and_the_turn_continues(told):
    told.on("getClipboard", Error(-32603, "Permission denied by the browser"))
    shown = told.one(calls("getClipboard"), "Then without.", tools=[tool("getClipboard")])
    assert "Permission denied by the browser" in shown[1].failure


def test_think_serialization_whatever_is_json_becomes_the_output(told):
    values = [{"a": [1, 2.5, None, True]}, [], "text", 7, None]
    told.on("out", lambda p: {"structuredContent": values[p["arguments"]["n"]]})
    shown = told.one(calls(*[("out", {"n": n}) for n in range(len(values))]), "ok", tools=[tool("out")])
    assert [json.loads(t) for t, _ in shown[1].results] == values


def test_think_abort_stops_the_loop(told):
    b = told.bridge()
    model = told.script(calls("getClipboard"), "never")
    id = told.start(b, model, tools=[tool("getClipboard")])
    m = b.next_invoke()
    b.call("run.cancel", {"runId": m.params["runId"], "reason": "The user pressed stop."})
    assert b.result(id)["status"] == "cancelled"
    b.respond(m, {"content": "too late"})
    b.ping()
    assert len(told.shows(model)) == 1 and b.log_of(m.params["runId"], "run.cancelled")[0]["reason"] == "The user pressed stop."


def test_think_approval_flow_of_a_server_tool_continues_reliably(lab, told):
    b = told.bridge(approvals=True)
    model = told.script(calls("deploy"), "Deployed.")
    id = told.start(b, model, tools=[sh("deploy", f"echo ran >> {lab.path}/ran", requiresApproval=True)])
    m = b.next_request("approval.request")
    assert lab.lines("ran") == []
    b.respond(m, {"decision": "approve"})
    assert b.result(id)["answer"] == "Deployed." and lab.lines("ran") == ["ran"]


def test_think_auto_continuation_says_that_it_is_one(told):
    b = told.bridge()
    told.on("getClipboard", "c")
    model = told.script(calls("getClipboard"), "ok")
    o = told.succeeds(b, model, tools=[tool("getClipboard")])
    assert [d["continuation"] for d in b.log_of(o["runId"], "model.started")] == [False, True]
    assert told.at(model, 1).messages[0].text == "go" and [m.role for m in told.at(model, 1).messages] == ["user", "assistant", "tool"]


def test_think_one_continuation_for_all_results(told):
    b = told.bridge()
    model = told.script(calls("t", "t", "t"), "ok")
    id = told.start(b, model, tools=[tool("t")])
    ms = [b.next_invoke() for _ in range(3)]
    for n, m in enumerate(ms[:-1]):
        b.respond(m, {"content": f"r{n}"})
        until(lambda n=n: len(b.events(type="tool.completed")) == n + 1)
    b.ping()
    assert len(told.shows(model)) == 1
    b.respond(ms[-1], {"content": "last"})
    b.result(id)
    assert len(told.all_seen(model)) == 2 and len(told.at(model, 1).results) == 3


def test_think_a_resume_while_a_continuation_is_pending_attaches_to_it(told):
    b = told.bridge()
    told.on("t", "r")
    model = told.script(calls("t"), "ok")
    gate = told.hold(model, 1)
    id = told.start(b, model, tools=[tool("t")])
    run = b.start_id(id)
    told.at(model, 1)
    resumed = [b.request("run.resume", {"runId": run}) for _ in range(2)]
    b.ping()
    gate.set()
    assert b.result(id)["status"] == "success"
    assert [b.result(r)["runId"] for r in resumed] == [run, run]
    assert len(told.all_seen(model)) == 2


@pytest.mark.parametrize("needs", ["approval", "result", "input"])
def test_think_surviving_restarts_while_waiting_for_a_human(told, needs):
    name = {"approval": "deploy", "result": "getClipboard", "input": "ask_user"}[needs]
    arguments = {"question": "Sure?"} if needs == "input" else {}
    b = told.bridge()
    model = told.script(calls((name, arguments)), "ok")
    o = told.run(b, model, agent={"askUser": True}, tools=[tool("getClipboard"), tool("deploy", requiresApproval=True)], delivery="pause")
    for _ in range(3):
        b.kill9()
        b = told.bridge()
        call, = b.get(o["runId"])["pendingToolCalls"]
        assert (call["needs"], call["name"], call["callId"]) == (needs, name, o["pendingToolCalls"][0]["callId"])
    given = {"approval": ("run.submitApprovals", {"approvals": [{"callId": call["callId"], "decision": "approve"}]}),
             "result": ("run.submitToolResults", {"results": [{"callId": call["callId"], "content": "r"}]}),
             "input": ("run.submitInput", {"inputs": [{"callId": call["callId"], "action": "accept", "content": {"answer": "yes"}}]})}[needs]
    told.on("deploy", "r")
    o = b.call(given[0], {"runId": o["runId"], **given[1]})
    assert o["status"] == "success" and ("yes" in told.at(model, 1).result or told.at(model, 1).result == "r")


def overlapping(told, strategy, inputs=("first", "second", "third")):
    """A turn that waits for its client, with two more behind it: (bridge, model, ids of run.start, the tool.invoke)."""
    b = told.bridge()
    s = told.session(b)
    model = told.script(calls("t"), "done 1", "done 2", "done 3")
    agent = {"messageConcurrency": strategy, "tools": [tool("t")]}
    ids = [told.start(b, model, sessionId=s, agent=agent, input=inputs[0])]
    m = b.next_invoke()
    for x in inputs[1:]:
        ids.append(told.start(b, model, sessionId=s, agent=agent, input=x, wait=False))
        b.wait_response(ids[-1])
    b.respond(m, {"content": "r"})
    return b, model, ids


def said(seen):
    return [m.text for m in seen.messages if m.role == "user"]


def test_think_message_concurrency_queue(told):
    b, model, ids = overlapping(told, "queue")
    runs = [b.result(i)["runId"] for i in ids]
    assert [b.wait_run(r)["status"] for r in runs] == ["success"] * 3
    assert said(told.at(model, 2)) == ["first", "second"] and said(told.at(model, 3)) == ["first", "second", "third"]


def test_think_message_concurrency_latest(told):
    b, model, ids = overlapping(told, "latest")
    runs = [b.result(i)["runId"] for i in ids]
    assert [b.wait_run(r)["status"] for r in runs] == ["success", "cancelled", "success"]
    assert b.get(runs[1])["error"]["kind"] == "run.superseded"
    assert "third" in "".join(said(told.at(model, 2))) and "second" in "".join(said(told.at(model, 2)))


def test_think_message_concurrency_merge(told):
    b, model, ids = overlapping(told, "merge")
    runs = [b.result(i)["runId"] for i in ids]
    outcomes = [b.wait_run(r) for r in runs]
    assert outcomes[1]["mergedInto"] == runs[2] and outcomes[1]["answer"] == outcomes[2]["answer"] == "done 2"
    assert "second" in "".join(said(told.at(model, 2))) and "third" in "".join(said(told.at(model, 2)))


def test_think_message_concurrency_drop(told):
    b, model, ids = overlapping(told, "drop")
    b.result(ids[0])
    assert [b.error_of(i).kind for i in ids[1:]] == ["run.dropped"] * 2
    assert len(told.shows(model)) == 2


def test_think_message_concurrency_debounce(told):
    b, model, ids = overlapping(told, {"strategy": "debounce", "debounceMs": 50})
    runs = [b.result(i)["runId"] for i in ids]
    assert [b.wait_run(r)["status"] for r in runs] == ["success", "cancelled", "success"]


def test_think_multi_tab_broadcast(told):
    a, tab, other = told.bridge(approvals=True), told.bridge(), told.bridge()
    s = told.session(a)
    for t in (tab, other):
        assert t.call("session.subscribe", {"sessionId": s}) == {"runs": []}
    told.on("G", "g")
    model = told.script(calls("G"), say("Everybody sees this."))
    id = told.start(a, model, sessionId=s, tools=[tool("G", requiresApproval=True)])
    m = a.next_request("approval.request")
    for t in (tab, other):
        t.wait_event("approval.requested", m.params["runId"])
    a.respond(m, {"decision": "approve"})
    run = a.result(id)["runId"]
    for t in (tab, other):
        t.wait_event("run.completed", run)
        assert t.event_types(run) == a.event_types(run)
    a.call("session.clear", {"sessionId": s})
    for t in (tab, other):
        t.wait(lambda m: m.method == "session.event" and m.params["type"] == "session.cleared", "session.cleared")


# ================================================================ AgentFlow

CLIPBOARD = tool("read_clipboard", {"type": "object", "properties": {}, "required": []}, description="Read the current clipboard text.")


@pytest.mark.parametrize("place", ["connection", "session", "agent"])
def test_agentflow_a_remote_tool_is_registered_on_a_named_node(told, place):
    """A node is a toolkit here; the registration stands before the run and serves all that come."""
    b = told.bridge()
    told.on("read_clipboard", {"structuredContent": {"text": "from the clipboard"}})
    model = told.script(calls("read_clipboard"), "ok")
    node = opened("tools", sh("search", "echo found"))
    more = {}
    if place == "agent":
        more["agentId"] = b.call("agent.create", {"agent": {"model": model, "toolkits": [node]}})["agentId"]
        b.call("tool.register", {"tools": [CLIPBOARD], "toolkit": "tools", "agentId": more["agentId"]})
    else:
        more = {"sessionId": told.session(b)} if place == "session" else {}
        b.call("toolkit.register", {"toolkits": [node], **more})
        b.call("tool.register", {"tools": [CLIPBOARD], "toolkit": "tools", **more})
    told.succeeds(b, model, **more)
    first, second = told.shows(model)
    assert {"search", "read_clipboard"} <= set(first.names) and first.says("read_clipboard") == "Read the current clipboard text."
    assert json.loads(second.result) == {"text": "from the clipboard"}


def test_agentflow_a_node_that_is_not_there_is_an_error(told):
    b = told.bridge()
    e = b.fails("tool.register", {"tools": [CLIPBOARD], "toolkit": "tools"}, "toolkit.notFound")
    assert "tools" in e.error["message"]


def test_agentflow_the_loop_goes_on_until_there_are_no_more_calls(told):
    b = told.bridge()
    told.on("read_clipboard", "again")
    model = told.script(*[calls("read_clipboard")] * 6, "Enough.")
    o = told.succeeds(b, model, tools=[CLIPBOARD])
    assert o["answer"] == "Enough." and o["usage"]["modelCalls"] == 7 and len(b.invokes()) == 6


def test_agentflow_or_until_the_recursion_limit(told):
    b = told.bridge()
    told.on("read_clipboard", "again")
    model = told.script(*[calls("read_clipboard")] * 6)
    o = told.run(b, model, tools=[CLIPBOARD], limits={"maxIterations": 3})
    assert o["status"] == "max_iterations" and len(told.shows(model)) == 3


@pytest.mark.parametrize("stream", [True, False])
def test_agentflow_invoke_and_stream_both_run_the_loop(told, stream):
    b = told.bridge()
    told.on("read_clipboard", "c")
    model = told.script(calls("read_clipboard"), "ok")
    o = told.succeeds(b, model, tools=[CLIPBOARD], events=stream)
    assert o["answer"] == "ok" and bool(b.events(o["runId"])) == stream


def test_agentflow_keep_schemas_precise(told):
    b = told.bridge()
    b.call("tool.register", {"tools": [tool("locate", {"type": "object", "properties": {"accuracy": {"enum": ["low", "high"]}}, "required": ["accuracy"], "additionalProperties": False})]})
    told.on("locate", "here")
    model = told.script(calls(("locate", {"accuracy": "highest"}), ("locate", {"accuracy": "high", "x": 1}), ("locate", {"accuracy": "high"})), "ok")
    told.succeeds(b, model)
    results = told.at(model, 1).results
    assert [e for _, e in results] == [True, True, False] and "/accuracy" in results[0][0] and len(b.invokes()) == 1


def test_agentflow_registrations_are_validated(told):
    b = told.bridge()
    e = b.fails("tool.register", {"tools": [tool("ok"), tool("broken", {"type": "object", "properties": {"a": {"type": "strin"}}})]}, "tool.invalidSchema")
    assert "broken" in e.error["message"]
    assert b.call("toolkit.list")["tools"] == []


def test_agentflow_a_tool_that_nobody_handles_is_an_error_for_the_model(told):
    b = told.bridge()
    model = told.script(calls("read_clipboard"), "ok")
    id = told.start(b, model, tools=[CLIPBOARD])
    b.respond_error(b.next_invoke(), -32601, "no handler for read_clipboard")
    assert b.result(id)["status"] == "success" and "no handler for read_clipboard" in told.at(model, 1).failure


# ================================================================ Dendrux

PRICE = sh("lookup_price", "echo 227.50", {"type": "object", "properties": {"ticker": {"type": "string"}}, "required": ["ticker"]})
RANGE = tool("read_excel_range", {"type": "object", "properties": {"sheet": {"type": "string"}, "range": {"type": "string"}}, "required": ["sheet", "range"]}, target="client")
BATCH = calls(("read_excel_range", {"sheet": "Sheet1", "range": "A1:A12"}), ("lookup_price", {"ticker": "AAPL"}))


def spreadsheet(told, b, *turns):
    model = told.script(*turns)
    return model, told.run(b, model, tools=[PRICE, RANGE], input="Add up Q3 sales and tell me if it beats AAPL.")


def test_dendrux_the_server_call_runs_and_the_batch_pauses_on_the_client_call(told):
    b = told.bridge(tools=False)
    _, o = spreadsheet(told, b, BATCH, "ok")
    assert o["status"] == "waiting_client_tool"
    call, = o["pendingToolCalls"]
    assert ULID.match(call["callId"])
    assert (call["name"], call["target"], call["arguments"]) == ("read_excel_range", "client", {"sheet": "Sheet1", "range": "A1:A12"})
    done, = b.log_of(o["runId"], "tool.completed")
    assert done["name"] == "lookup_price" and "227.50" in text_of(done["content"])
    assert b.log_of(o["runId"], "run.paused")[-1]["pendingToolCalls"] == [call]


def test_dendrux_submit_claims_the_pause_and_the_run_continues_in_another_process(told):
    a = told.bridge(tools=False)
    model, o = spreadsheet(told, a, BATCH, "It does.")
    a.kill9()
    b = told.bridge(tools=False)
    payload = json.dumps([[1], [2], [3]])
    o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: payload})
    assert (o["status"], o["answer"]) == ("success", "It does.")
    one, two = told.at(model, 1).results
    assert one == (payload, False) and "227.50" in two[0]


def test_dendrux_the_run_goes_on_to_the_next_pause(told):
    b = told.bridge(tools=False)
    model, o = spreadsheet(told, b, BATCH, calls(("read_excel_range", {"sheet": "Sheet2", "range": "A1"})), "ok")
    o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "1"})
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["arguments"]["sheet"] == "Sheet2"
    assert b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "2"})["status"] == "success"


def test_dendrux_of_two_submits_one_claims(told):
    a, b = told.bridge(tools=False), told.bridge(tools=False)
    model, o = spreadsheet(told, a, BATCH, "ok")
    id = o["pendingToolCalls"][0]["callId"]
    barrier, answers = threading.Barrier(2), {}

    def go(n, who):
        barrier.wait()
        answers[n] = who.wait_response(who.request("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": id, "content": f"by {n}"}]}))
    threads = [threading.Thread(target=go, args=x) for x in enumerate((a, b))]
    [t.start() for t in threads], [t.join() for t in threads]
    won, = [n for n, m in answers.items() if m.error is None]
    assert answers[1 - won].error["data"]["kind"] in ("run.alreadyClaimed", "run.notWaiting", "run.alreadyTerminal")
    assert told.at(model, 1).results[0] == (f"by {won}", False) and len(told.all_seen(model)) == 2


def test_dendrux_submit_must_cover_every_pending_call(told):
    b = told.bridge(tools=False)
    two = calls(("read_excel_range", {"sheet": "a", "range": "b"}), ("read_excel_range", {"sheet": "c", "range": "d"}))
    model, o = spreadsheet(told, b, two, "ok")
    first, second = [c["callId"] for c in o["pendingToolCalls"]]
    stranger = "01M7W6C300ZESS10N00000000A"
    for given, member, names in [({first: "1"}, "missing", [second]), ({first: "1", second: "2", stranger: "3"}, "unknown", [stranger])]:
        e = b.error_of(b.request("run.submitToolResults", b.submit_params(o["runId"], given)))
        assert e.kind == "run.invalidToolResults" and e.data[member] == names
    assert len(b.get(o["runId"])["pendingToolCalls"]) == 2 and b.log_of(o["runId"], "tool.completed") == []
    assert b.submit(o["runId"], {first: "1", second: "2"})["status"] == "success"
    assert told.at(model, 1).results == [("1", False), ("2", False)]


def test_dendrux_the_payload_is_passed_through(told):
    b = told.bridge(tools=False)
    model, o = spreadsheet(told, b, calls(("read_excel_range", {"sheet": "a", "range": "b"})), "ok")
    payload = '{"values":[[0.10,18446744073709551615,null]],"ü":"\\u0041"}'
    b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: payload})
    assert told.at(model, 1).result == payload


def test_dendrux_cancel_works_at_any_time_and_observers_see_it(told):
    a, observer = told.bridge(tools=False), told.bridge(tools=False)
    _, o = spreadsheet(told, a, BATCH, "never")
    assert observer.call("run.subscribe", {"runId": o["runId"]})["status"] == "waiting_client_tool"
    assert a.call("run.cancel", {"runId": o["runId"]})["status"] == "cancelled"
    observer.wait_event("run.cancelled", o["runId"])
    a.fails("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": o["pendingToolCalls"][0]["callId"], "content": "late"}]}, "run.alreadyTerminal")


def test_dendrux_a_browser_follows_the_events_and_ships_the_result(told):
    """The client side of the recipe: another connection sees run.paused, executes, submits, and sees run.completed."""
    server, browser = told.bridge(tools=False), told.bridge(tools=False)
    model, o = spreadsheet(told, server, BATCH, "It does.")
    browser.call("run.subscribe", {"runId": o["runId"], "afterSeq": 0})
    frame = browser.wait_event("run.paused", o["runId"])
    assert frame.data["status"] == "waiting_client_tool"
    results = {c["callId"]: json.dumps([[1, 2]]) for c in frame.data["pendingToolCalls"]}
    server.submit(o["runId"], results)
    assert browser.wait_event("run.completed", o["runId"]).data["answer"] == "It does."


def test_dendrux_the_whole_sequence_is_recorded(told):
    b = told.bridge(tools=False)
    _, o = spreadsheet(told, b, BATCH, "ok")
    b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "1"})
    types = told.bridge().log_types(o["runId"])
    assert [t for t in types if t.startswith(("run.", "model."))] == ["run.started", "model.started", "model.completed", "run.paused", "run.resumed", "model.started", "model.completed", "run.completed"]


def test_dendrux_the_only_mark_of_a_client_tool_is_its_target(told):
    """The model is offered the same, whether the tool is the client's or a command."""
    client, = told.one("ok", tools=[RANGE])
    server, = told.one("ok", tools=[{**RANGE, "target": "server", "command": ["true"]}])
    assert client.tools == server.tools


# ================================================================ all of it

def test_all_of_it_together_and_killed_between_any_two_steps(lab):
    """Toolkits, a skill, augmentation, an approval, a question, state and context in one run of a session: the model sees the same whatever dies."""
    def story(told):
        told.on("Login", lambda p: {"content": "in", "augmentation": {"injectToolkits": [toolkit("Admin", tool("Drop", requiresApproval=True), systemPrompt="ADMIN RULES.",
                                                                      skills=[skill("careful", "Drop", systemPrompt="BE CAREFUL.")])],
                                                                      "hideTools": ["Login"], "patchState": {"in": True}, "addContext": [item("user", {"role": "admin"})]}})
        told.on("Drop", lambda p: {"content": f"dropped {p['arguments']['t']}", "augmentation": {"removeToolkits": ["Admin"], "showTools": ["Login"], "removeContext": ["user"]}})
        told.replies["approval.request"] = {"decision": "approve", "arguments": {"t": "copy"}}
        told.replies["elicitation/create"] = {"action": "accept", "content": {"answer": "yes"}}
        model = told.script(calls("Login"), calls("Admin", ("ask_user", {"question": "Drop it?", "options": ["yes", "no"]})), calls("careful"), calls(("Drop", {"t": "original"})), "Done.")

        def prepare(b):
            s = told.session(b)
            b.call("session.augment", {"sessionId": s, "augmentation": {"updateState": {"in": False, "n": 0.10}}})
            b.call("tool.register", {"tools": [tool("Other")]})
            return {"sessionId": s}
        return {"input": "go", "agent": {"model": model, "askUser": True, "instructions": "BE KIND."}, "tools": [tool("Login")]}, prepare

    shown = unchanged_by_kills(lab, story, {"approvals": True, "questions": True})
    assert "Admin" in shown[1].names and "BE CAREFUL." in shown[3].system and "dropped copy" in shown[4].results[0][0]
    assert sorted(shown[4].names) == ["Login", "Other", "ask_user"] and "ADMIN RULES." not in shown[4].system

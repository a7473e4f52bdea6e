"""Null for an optional member is the member's absence, in all that a client sends; but where null is a value of its own."""
import json

import pytest

from harness import SCHEMAS, calls, expect, say, sh, tool


def optional(path, *besides):
    """Every member that the schema does not require, with null."""
    document = json.loads((SCHEMAS / path).read_text())
    shape = document["$defs"]["params"] if "$defs" in document else document
    required = {*shape.get("required", ()), *(name for choice in shape.get("anyOf", ()) for name in choice.get("required", ())), *besides}
    names = set(shape["properties"]) - required
    assert names, path
    return dict.fromkeys(sorted(names))


def result(b, method, params):
    return b.result(b.request(method, params, valid=False))


def test_the_params_of_run_start_and_all_that_stands_in_them(lab, bridge):
    t = {**optional("types/Tool.json"), **tool("t")}

    def kit(name):
        skill = {**optional("types/Skill.json"), "name": f"skill_{name}", "description": "", "references": [{"toolName": f"in_{name}", "toolkitName": None}]}
        return {**optional("types/Toolkit.json"), "name": name, "description": "", "tools": [{**t, "name": f"in_{name}"}], "skills": [skill]}

    agent = {**optional("types/Agent.json"), "model": lab.script([calls("t"), say("ok", expect=expect(content="given"))]), "tools": [{**t, "name": "own"}],
             "toolkits": [kit("own_kit")], "limits": optional("types/Limits.json"),
             "clientTools": dict.fromkeys(["invokeTimeoutMs", "onTimeout", "onDisconnect", "maxRetries", "fallbackTemplate", "maxParallelInvocations"])}
    given = {**optional("methods/run.start.json"), "input": "go", "agent": agent, "tools": [t], "toolkits": [kit("kit")], "limits": optional("types/Limits.json"),
             "augmentation": optional("types/Augmentation.json", "updateState", "patchState")}
    o = result(bridge, "run.start", given)
    assert o["status"] == "waiting_client_tool" and "warnings" not in bridge.log_of(o["runId"], "run.started")[0]
    answer = {**optional("types/ToolResult.json", "structuredContent"), "callId": o["pendingToolCalls"][0]["callId"], "content": "given"}
    o = result(bridge, "run.submitToolResults", {**optional("methods/run.submitToolResults.json"), "runId": o["runId"], "results": [answer]})
    assert o["status"] == "success"
    done = bridge.log_of(o["runId"], "tool.completed")[0]
    assert set(done) == {"callId", "name", "target", "isError", "durationMs", "content"}


@pytest.mark.parametrize("name", ["agentId", "augmentation", "branchId", "delivery", "events", "idempotencyKey", "limits", "metadata", "outputSchema", "resetClientState",
                                  "sessionId", "toolkits", "tools", "wait", "_meta"])
def test_each_member_of_run_start(bridge, name):
    o = result(bridge, "run.start", {**bridge.params([say("ok")]), name: None})
    assert o["status"] == "success" and "metadata" not in o


def test_params_that_differ_by_nulls_alone_are_equal(bridge):
    p = bridge.params([say("ok")], idempotencyKey="k")
    first = bridge.call("run.start", p)
    assert result(bridge, "run.start", {**p, "limits": None, "tools": None})["runId"] == first["runId"]


def test_an_answer_whose_members_are_null(lab):
    b = lab.parent()
    b.handlers["t"] = {**optional("types/ToolResult.json", "structuredContent")}
    r = b.request("run.start", b.params([calls("t"), say("ok", expect=expect(content="", isError=False))], [tool("t")]))
    assert b.result(r)["status"] == "success"


def test_an_agent_is_shown_without_them(lab, bridge):
    t = {**optional("types/Tool.json"), **tool("t", {"type": "object", "default": None}), "annotations": {"readOnlyHint": True, "title": None}}
    kit = {**optional("types/Toolkit.json"), "name": "kit", "description": "", "tools": [{**t, "name": "inside"}],
           "skills": [{**optional("types/Skill.json"), "name": "skill", "description": "", "references": [{"toolName": "inside", "toolkitName": None}]}]}
    model = lab.script([say("ok")])
    agent = {**optional("types/Agent.json"), "model": model, "tools": [t, {"name": "below", "description": "", "agent": {"model": model, "name": None}}], "toolkits": [kit],
             "limits": optional("types/Limits.json"), "clientTools": {"onTimeout": None}, "memory": [{"label": "m", "value": "", "description": None}],
             "providerOptions": {"seed": None}, "x-mine": None}
    shown_tool = {**tool("t", {"type": "object", "default": None}), "annotations": {"readOnlyHint": True}}
    shown = {"model": model, "tools": [shown_tool, {"name": "below", "description": "", "agent": {"model": model}}],
             "toolkits": [{"name": "kit", "description": "", "tools": [{**shown_tool, "name": "inside"}],
                           "skills": [{"name": "skill", "description": "", "references": [{"toolName": "inside"}]}]}],
             "limits": {}, "clientTools": {}, "memory": [{"label": "m", "value": ""}], "providerOptions": {"seed": None}, "x-mine": None}
    a = result(bridge, "agent.create", {"agent": agent})["agentId"]
    assert bridge.call("agent.get", {"agentId": a})["agent"] == shown
    assert [x["agent"] for x in bridge.call("agent.list")["agents"]] == [shown]
    o = bridge.call("run.start", {"input": "x", "agentId": a})
    assert bridge.get(o["runId"])["agent"] == shown


BLOCKS = [
    ({"type": "binary", "mimeType": "a/b", "data": None, "url": "u", "filename": None}, {"type": "binary", "mimeType": "a/b", "url": "u"}),
    ({"type": "resource_link", "uri": "u", "name": "n", "title": None, "description": None, "mimeType": None, "size": None}, {"type": "resource_link", "uri": "u", "name": "n"}),
    ({"type": "resource", "resource": {"uri": "u", "mimeType": None, "text": "x", "blob": None}}, {"type": "resource", "resource": {"uri": "u", "text": "x"}}),
    ({"type": "json", "value": None, "other": None}, {"type": "json", "value": None, "other": None}),
]


@pytest.mark.parametrize("given,shown", BLOCKS, ids=str)
def test_a_block_stands_in_the_log_without_them(bridge, given, shown):
    o = bridge.run([calls("t"), say("ok")], [tool("t")])
    answer = {"callId": o["pendingToolCalls"][0]["callId"], "content": [given]}
    for _ in range(2):
        assert result(bridge, "run.submitToolResults", {"runId": o["runId"], "results": [answer]})["status"] == "success"
    assert bridge.log_of(o["runId"], "tool.completed")[0]["content"] == [shown]
    for n, input in enumerate(([given], [{"role": "user", "content": [given]}])):
        p = {**bridge.params([say("ok")]), "input": input, "idempotencyKey": f"k{n}"}
        o = result(bridge, "run.start", p)
        assert result(bridge, "run.start", p)["runId"] == o["runId"]
        started = bridge.log_of(o["runId"], "run.started")[0]["input"]
        assert started == [shown] if n == 0 else started == [{"role": "user", "content": [shown]}]


def test_where_null_is_a_value(bridge):
    """Structured content, and a state."""
    b = bridge
    s = b.call("session.create")["sessionId"]
    b.call("session.augment", {"sessionId": s, "augmentation": {"updateState": {"a": 1}}})
    assert b.call("session.augment", {"sessionId": s, "augmentation": {"updateState": None}})["state"] is None
    o = b.run([calls("t"), say("ok", expect=expect(content="null"))], [tool("t")], delivery="pause")
    assert b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: {"structuredContent": None}})["status"] == "success"
    assert b.log_of(o["runId"], "tool.completed")[0]["structuredContent"] is None

"""Section 8: agents that have ids, in the store and in the files of --agents."""
import json
import os
import re
import subprocess
import threading
import time

import pytest

from harness import BINARY, TIME, ULID, RpcError, base_env, calls, contains, expect, say, sh, tool, until


def create(b, agent):
    return b.call("agent.create", {"agent": agent})["agentId"]


def begin(b, agent_id, **more):
    return b.call("run.start", {"input": "go", "agentId": agent_id, **more})


# ---- in the store

def test_an_agent_is_read_as_it_was_stored(bridge, lab):
    agent = {"name": "clerk", "model": lab.script([say("ok")]), "instructions": "Be brief.", "tools": [tool("t", {"type": "object", "default": 0.1})],
             "limits": {"maxIterations": 3}, "providerOptions": {"seed": 18446744073709551615}, "x-mine": [1, {"a": None}]}
    made = bridge.call("agent.create", {"agent": agent})
    assert ULID.match(made["agentId"]) and made == {"agentId": made["agentId"], "version": 1}
    got = bridge.call("agent.get", {"agentId": made["agentId"]})
    assert got == {"agentId": made["agentId"], "version": 1, "agent": agent, "createdAt": got["createdAt"], "updatedAt": got["updatedAt"]}
    assert TIME.match(got["createdAt"]) and TIME.match(got["updatedAt"])
    assert lab.bridge().call("agent.get", {"agentId": made["agentId"]}) == got


def test_an_update_is_another_version(bridge, lab):
    a = create(bridge, {"model": lab.script([say("one")])})
    before = bridge.call("agent.get", {"agentId": a})
    time.sleep(0.002)  # the times have milliseconds
    assert bridge.call("agent.update", {"agentId": a, "agent": {"model": lab.script([say("two")])}}) == {"agentId": a, "version": 2}
    after = bridge.call("agent.get", {"agentId": a})
    assert after["version"] == 2 and after["createdAt"] == before["createdAt"] and after["updatedAt"] > before["updatedAt"]
    assert begin(bridge, a)["answer"] == "two"


def test_an_update_of_another_version_than_it_saw_is_refused(bridge, lab):
    model = lab.script([say("ok")])
    a = create(bridge, {"model": model})
    bridge.call("agent.update", {"agentId": a, "agent": {"model": model}, "ifVersion": 1})
    e = bridge.fails("agent.update", {"agentId": a, "agent": {"model": "script:/other"}, "ifVersion": 1}, kind="agent.conflict")
    assert "2" in e.error["message"]
    assert bridge.call("agent.get", {"agentId": a})["agent"]["model"] == model


def test_of_racing_updates_of_one_version_exactly_one_wins(lab):
    model = lab.script([say("ok")])
    bridges = [lab.bridge() for _ in range(4)]
    a = create(bridges[0], {"model": model})
    for version in range(1, 9):
        ids = [b.request("agent.update", {"agentId": a, "agent": {"model": model, "name": f"{n}"}, "ifVersion": version}) for n, b in enumerate(bridges)]
        won = 0
        for b, i in zip(bridges, ids):
            try:
                assert b.result(i) == {"agentId": a, "version": version + 1}
                won += 1
            except RpcError as e:
                assert e.kind == "agent.conflict"
        assert won == 1


def test_updates_without_a_version_all_count(lab):
    model = lab.script([say("ok")])
    bridges = [lab.bridge() for _ in range(4)]
    a = create(bridges[0], {"model": model})
    ids = [(b, b.request("agent.update", {"agentId": a, "agent": {"model": model}})) for b in bridges for _ in range(10)]
    assert sorted(b.result(i)["version"] for b, i in ids) == list(range(2, 42))


def test_agents_are_listed_newest_first_in_pages(bridge, lab):
    assert bridge.call("agent.list") == {"agents": []}
    model = lab.script([say("ok")])
    made = []
    for n in range(7):
        made.append(create(bridge, {"model": model, "name": f"agent {n}"}))
        time.sleep(0.002)  # ids sort by their millisecond
    whole = bridge.call("agent.list")
    assert [x["agentId"] for x in whole["agents"]] == made[::-1] and "nextCursor" not in whole
    assert whole["agents"][0] == bridge.call("agent.get", {"agentId": made[-1]})
    for limit in (1, 2, 3, 7):
        found, cursor = [], None
        while True:
            page = bridge.call("agent.list", {"limit": limit, **({"cursor": cursor} if cursor else {})})
            assert len(page["agents"]) <= limit
            found += [x["agentId"] for x in page["agents"]]
            cursor = page.get("nextCursor")
            if not cursor:
                break
        assert found == made[::-1], limit
    bridge.refuses("agent.list", {"cursor": "nonsense"}, "/cursor")
    bridge.refuses("agent.list", {"limit": 0}, "/limit")


def test_a_deleted_agent_is_gone(bridge, lab):
    a = create(bridge, {"model": lab.script([say("ok")]), "memory": [{"label": "m", "value": "x"}]})
    assert bridge.call("agent.delete", {"agentId": a}) == {}
    for method, more in (("agent.get", {}), ("agent.delete", {}), ("agent.update", {"agent": {"model": "script:/x"}}), ("run.start", {"input": "x"}),
                         ("memory.get", {}), ("memory.set", {"label": "m", "value": "y"})):
        bridge.fails(method, {"agentId": a, **more}, kind="agent.notFound")
    assert bridge.call("agent.list") == {"agents": []}


@pytest.mark.parametrize("id", ["x", "01M7W6C380NJX2AM9103W0PNQW", "01m7w6c380njx2am9103w0pnqw", "../agents/x", "/etc/passwd", ".", "..", "a/b", "a\u0000b", "é" * 300, " "])
def test_an_id_that_is_no_agents_is_not_found(lab, id):
    lab.file("agents/.hidden.json", {"model": "script:/x"})
    for b in (lab.bridge(), lab.bridge("--agents", str(lab.path / "agents"))):
        for method, more in (("agent.get", {}), ("agent.delete", {}), ("agent.update", {"agent": {"model": "script:/x"}}), ("run.start", {"input": "x"}),
                             ("memory.get", {}), ("memory.set", {"label": "m", "value": "y"})):
            b.fails(method, {"agentId": id, **more}, kind="agent.notFound")


WRONG = [
    (None, "/agent", "invalidParams"),
    ({}, "/agent/model", "invalidParams"),
    ({"model": 5}, "/agent/model", "invalidParams"),
    ({"model": "script:"}, "/agent/model", "invalidParams"),
    ({"model": "nobody:x"}, "/agent/model", "model.unknownProvider"),
    ({"model": "script:/x", "limits": {"maxIterations": 0}}, "/agent/limits/maxIterations", "invalidParams"),
    ({"model": "script:/x", "tools": [tool("a b")]}, "/agent/tools/0/name", "tool.invalid"),
    ({"model": "script:/x", "tools": [tool("t"), tool("t")]}, "/agent/tools/1/name", "tool.invalid"),
    ({"model": "script:/x", "tools": [tool("memory_insert")]}, "/agent/tools/0/name", "tool.invalid"),
    ({"model": "script:/x", "tools": [tool("t", {"type": "no"})]}, "/agent/tools/0/inputSchema/type", "tool.invalidSchema"),
    ({"model": "script:/x", "memory": {}}, "/agent/memory", "invalidParams"),
    ({"model": "script:/x", "memory": [{"label": "a b", "value": ""}]}, "/agent/memory/0/label", "invalidParams"),
    ({"model": "script:/x", "memory": [{"label": "a"}]}, "/agent/memory/0/value", "invalidParams"),
    ({"model": "script:/x", "memory": [{"label": "a", "value": ""}, {"label": "a", "value": ""}]}, "/agent/memory/1/label", "invalidParams"),
    ({"model": "script:/x", "memory": [{"label": "a", "value": "", "limit": 0}]}, "/agent/memory/0/limit", "invalidParams"),
    ({"model": "script:/x", "memory": [{"label": "a", "value": "four", "limit": 3}]}, "/agent/memory/0/value", "invalidParams"),
    ({"model": "script:/x", "tools": [sh("t", "true", env={"A": "(hidden)"})]}, "/agent/tools/0/env/A", "invalidParams"),
    ({"model": "openai:x", "providerOptions": 5}, "/agent/providerOptions", "invalidParams"),
    ({"model": "openai:x", "reasoning": 5}, "/agent/reasoning", "invalidParams"),
    ({"model": "script:/x", "temperature": -0.1}, "/agent/temperature", "invalidParams"),
    ({"model": "script:/x", "maxOutputTokens": 0}, "/agent/maxOutputTokens", "invalidParams"),
    ({"model": "script:/x", "tools": [tool("t"), {"name": "s", "description": "d", "agent": {"model": "nobody:x"}}]}, "/agent/tools/1/agent/model", "model.unknownProvider"),
    ({"model": "script:/x", "toolkits": [{"name": "k", "description": "d", "tools": [{"name": "s", "description": "d", "agent": {"model": "x"}}]}]},
     "/agent/toolkits/0/tools/0/agent/model", "invalidParams"),
    ({"model": "script:/x", "tools": [tool("t", toolkit="none")]}, "/agent/tools/0/toolkit", "toolkit.notFound"),
    ({"model": "script:/x", "toolkits": [{"name": "k", "description": "d", "tools": [tool("t")],
                                         "skills": [{"name": "s", "description": "d", "references": [{"toolName": "none"}]}]}]},
     "/agent/toolkits/0/skills/0/references/0/toolName", "tool.notFound"),
    ({"model": "script:/x", "mcpServers": {"a": {"type": "http", "url": "https://example.org/mcp"}}}, "/agent/mcpServers/a/type", "unsupportedCapability"),
    ({"model": "script:/x", "mcpServers": {"a": {"url": "https://example.org/sse"}}}, "/agent/mcpServers/a/url", "unsupportedCapability"),
    ({"model": "script:/x", "mcpServers": {"a": {"type": "stdio"}}}, "/agent/mcpServers/a/command", "invalidParams"),
]


@pytest.mark.parametrize("agent,pointer,kind", WRONG)
def test_what_is_wrong_with_an_agent_is_named_by_its_place(bridge, lab, agent, pointer, kind):
    a = create(bridge, {"model": lab.script([say("ok")])})
    for method, params in (("agent.create", {}), ("agent.update", {"agentId": a})):
        e = bridge.fails(method, {**params, **({} if agent is None else {"agent": agent})}, kind=kind, valid=False)
        assert e.data["pointer"] == pointer
    assert len(bridge.call("agent.list")["agents"]) == 1
    assert bridge.call("agent.get", {"agentId": a})["version"] == 1


def test_a_script_that_is_not_there_is_no_reason_not_to_store_an_agent(bridge, lab):
    a = create(bridge, {"model": f"script:{lab.path / 'later.jsonl'}"})
    bridge.fails("run.start", {"input": "x", "agentId": a}, kind="model.unavailable")
    lab.script([say("ok")], name="later.jsonl")
    assert begin(bridge, a)["answer"] == "ok"


@pytest.mark.parametrize("model", ["anthropic:x", "openai:x", "openai-responses:x"])
def test_a_key_that_is_not_there_is_no_reason_not_to_store_an_agent(bridge, model):
    a = create(bridge, {"model": model})
    bridge.fails("run.start", {"input": "x", "agentId": a}, kind="model.missingKey")


def test_a_model_that_this_client_does_not_have_is_no_reason_not_to_store_an_agent(bridge):
    a = create(bridge, {"model": "parent:x"})
    bridge.fails("run.start", {"input": "x", "agentId": a}, kind="unsupportedCapability")


def test_unknown_members_are_named_and_with_strict_refused(lab):
    agent = {"model": lab.script([say("ok")]), "tols": [], "tools": [{**tool("t"), "aproval": True}], "memory": [{"label": "m", "value": "", "size": 1}], "x-ours": 1}
    b = lab.bridge()
    made = b.call("agent.create", {"agent": agent})
    names = {"/agent/tols", "/agent/tools/0/aproval", "/agent/memory/0/size"}
    assert {w.split(":")[0] for w in made["warnings"]} == names
    assert {w.split(":")[0] for w in b.call("agent.update", {"agentId": made["agentId"], "agent": agent})["warnings"]} == names
    o = begin(b, made["agentId"], limits={"maxTurns": 3})
    started, = b.log_of(o["runId"], "run.started")
    assert {w.split(":")[0] for w in started["warnings"]} == {"/tols", "/tools/0/aproval", "/memory/0/size", "/limits/maxTurns"}
    strict = lab.bridge("--strict")
    e = strict.refuses("agent.create", {"agent": agent})
    assert e.data["pointer"] in names
    strict.refuses("agent.update", {"agentId": made["agentId"], "agent": agent})
    e = strict.refuses("run.start", {"input": "x", "agentId": made["agentId"]}, "/agentId")
    assert "/tols" in e.error["message"]
    clean = create(strict, {"model": lab.script([say("ok")]), "x-ours": 1})
    strict.refuses("run.start", {"input": "x", "agentId": clean, "limits": {"maxTurns": 3}}, "/limits/maxTurns")


# ---- runs

def test_a_run_uses_an_agent_and_says_so(bridge, lab):
    a = create(bridge, {"name": "clerk", "model": lab.script([say("ok")]), "instructions": "x"})
    o = begin(bridge, a, metadata={"k": "v"})
    assert o["answer"] == "ok" and o["agentId"] == a
    got = bridge.call("run.get", {"runId": o["runId"]})
    assert got["agentId"] == a and got["agentVersion"] == 1 and got["agent"]["name"] == "clerk"
    assert bridge.log_of(o["runId"], "run.started")[0]["agent"]["name"] == "clerk"
    assert bridge.log_of(o["runId"], "run.completed")[0]["agentId"] == a
    assert [r["agentId"] for r in bridge.call("run.list")["runs"]] == [a]
    inline = bridge.run([say("ok")])
    assert "agentId" not in inline and "agentVersion" not in bridge.get(inline["runId"])


def test_a_run_keeps_the_version_it_began_with(lab):
    b = lab.bridge()
    model = lab.script([calls("t"), calls("t"), say("done")])
    a = create(b, {"name": "first", "model": model, "tools": [tool("t")]})
    o = begin(b, a)
    assert o["status"] == "waiting_client_tool" and o["agentId"] == a
    b.call("agent.update", {"agentId": a, "agent": {"name": "second", "model": lab.script([say("other")])}})
    c = lab.bridge()
    o = c.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})
    assert o["status"] == "waiting_client_tool"
    got = c.get(o["runId"])
    assert got["agentVersion"] == 1 and got["agent"]["name"] == "first" and got["agentId"] == a
    assert c.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})["answer"] == "done"
    assert begin(c, a)["answer"] == "other"


def test_the_runs_of_a_deleted_agent_go_on(lab):
    b = lab.bridge()
    a = create(b, {"model": lab.script([calls("t"), calls(("memory_insert", {"label": "m", "text": "x"})),
                                        say("done", expect=expect(isError=True, content=contains("deleted")))]),
                   "tools": [tool("t")], "memory": [{"label": "m", "value": ""}]})
    o = begin(b, a)
    b.call("agent.delete", {"agentId": a})
    o = lab.bridge().submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})
    assert o["answer"] == "done" and o["agentId"] == a


def test_agent_and_agent_id_are_not_given_together(bridge, lab):
    model = lab.script([say("ok")])
    a = create(bridge, {"model": model})
    bridge.refuses("run.start", {"input": "x", "agentId": a, "agent": {"model": model}}, "/agentId")


def test_the_params_of_the_run_stand_beside_the_agents(lab):
    b = lab.bridge()
    a = create(b, {"model": lab.script([calls("mine", "yours"), say("done")]), "tools": [tool("mine")], "limits": {"maxIterations": 1}})
    o = begin(b, a, tools=[tool("yours")], limits={"maxIterations": 5})
    assert [c["name"] for c in o["pendingToolCalls"]] == ["mine", "yours"]
    assert b.submit(o["runId"], {c["callId"]: "x" for c in o["pendingToolCalls"]})["answer"] == "done"
    assert begin(b, a)["status"] in ("max_iterations", "waiting_client_tool")
    e = b.refuses("run.start", {"input": "x", "agentId": a, "limits": {"maxIterations": 0}}, "/limits/maxIterations")
    b.fails("run.start", {"input": "x", "agentId": a, "tools": [tool("t", {"type": "no"})]}, kind="tool.invalidSchema")


def test_an_idempotency_key_finds_its_run_whatever_became_of_the_agent(bridge, lab):
    a = create(bridge, {"model": lab.script([say("one")])})
    o = begin(bridge, a, idempotencyKey="k")
    bridge.call("agent.update", {"agentId": a, "agent": {"model": lab.script([say("two")])}})
    assert begin(bridge, a, idempotencyKey="k") == o
    bridge.call("agent.delete", {"agentId": a})
    assert begin(bridge, a, idempotencyKey="k") == o
    bridge.fails("run.start", {"input": "go", "agentId": a, "idempotencyKey": "other"}, kind="agent.notFound")
    bridge.fails("run.start", {"input": "go", "agent": {"model": "script:/x"}, "idempotencyKey": "k"}, kind="run.idempotencyConflict")


def test_stored_agents_survive_kill_9(lab):
    a = lab.bridge()
    made = [create(a, {"model": lab.script([say(f"{n}")])}) for n in range(5)]
    a.kill9()
    b = lab.bridge()
    assert [begin(b, x)["answer"] for x in made] == ["0", "1", "2", "3", "4"]


# ---- secrets

SECRET = "s3cr3t-value"


def test_values_of_env_are_shown_nowhere(lab):
    b = lab.bridge()
    t = sh("t", 'test ${#KEY} = 12 && echo yes', env={"KEY": SECRET, "OTHER": "${HOME}"})
    agent = {"model": lab.script([calls("t"), say("done", expect=expect(content=contains("yes")))]), "tools": [t]}
    a = create(b, agent)
    assert b.call("agent.get", {"agentId": a})["agent"]["tools"][0]["env"] == {"KEY": "(hidden)", "OTHER": "(hidden)"}
    o = begin(b, a)
    assert o["answer"] == "done"
    b.call("agent.list")
    b.call("run.get", {"runId": o["runId"]})
    b.replay(o["runId"])
    assert not [m for m in b.messages if SECRET.encode() in m.raw]
    for args in (("show", o["runId"]), ("show", "--json", o["runId"]), ("events", o["runId"])):
        code, out, err = lab.cli(*args)
        assert code == 0 and SECRET.encode() not in out + err


def test_an_agent_that_was_read_can_be_given_back(lab):
    b = lab.bridge()
    t = sh("t", 'echo "$KEY"', env={"KEY": SECRET})
    a = create(b, {"model": lab.script([calls("t"), say("done", expect=expect(content=contains(SECRET)))]), "tools": [tool("first"), t]})
    agent = b.call("agent.get", {"agentId": a})["agent"]
    agent["tools"].reverse()
    agent["tools"][0]["env"]["NEW"] = "n"
    b.call("agent.update", {"agentId": a, "agent": agent})
    assert begin(b, a)["answer"] == "done"
    agent["tools"][0]["name"] = "renamed"
    b.refuses("agent.update", {"agentId": a, "agent": agent}, "/agent/tools/0/env/KEY")


def test_without_commands_none_are_stored(lab):
    b = lab.bridge("--no-commands")
    e = b.fails("agent.create", {"agent": {"model": "script:/x", "tools": [tool("a"), sh("t", "true")]}}, kind="unsupportedCapability")
    assert e.data["pointer"] == "/agent/tools/1"


# ---- tools of an agent

def test_tools_are_registered_with_an_agent(lab):
    b = lab.bridge()
    a = create(b, {"model": lab.script([calls("u"), say("done")]), "tools": [{**tool("t"), "x-kept": 1}]})
    b.call("tool.register", {"agentId": a, "tools": [sh("u", "echo hi", env={"K": SECRET})]})
    got = b.call("agent.get", {"agentId": a})
    assert got["version"] == 2 and [t["name"] for t in got["agent"]["tools"]] == ["t", "u"] and got["agent"]["tools"][0] == {**tool("t"), "x-kept": 1}
    assert got["agent"]["tools"][1]["env"] == {"K": "(hidden)"}
    assert begin(b, a)["answer"] == "done"
    b.call("tool.register", {"agentId": a, "tools": [tool("u")]})
    assert [t["name"] for t in b.call("agent.get", {"agentId": a})["agent"]["tools"]] == ["t", "u", "u"]
    b.call("tool.unregister", {"agentId": a, "names": ["u"]})
    assert [t["name"] for t in b.call("agent.get", {"agentId": a})["agent"]["tools"]] == ["t"]
    b.fails("tool.unregister", {"agentId": a, "names": ["nobody"]}, kind="tool.notFound")
    b.fails("tool.register", {"agentId": "nobody", "tools": [tool("u")]}, kind="agent.notFound")
    b.fails("tool.register", {"agentId": a, "tools": [tool("a b")]}, kind="tool.invalid")


def test_a_session_has_an_agent(bridge, lab):
    bridge.fails("session.create", {"agentId": "nobody"}, kind="agent.notFound")
    a = create(bridge, {"model": lab.script([say("ok")])})
    s = bridge.call("session.create", {"agentId": a})["sessionId"]
    o = bridge.call("run.start", {"input": "go", "sessionId": s})
    assert o["answer"] == "ok" and o["agentId"] == a and o["sessionId"] == s
    other = create(bridge, {"model": lab.script([say("other")])})
    assert bridge.call("run.start", {"input": "go", "sessionId": s, "agentId": other})["agentId"] == other
    bare = bridge.call("session.create", {})["sessionId"]
    bridge.refuses("run.start", {"input": "go", "sessionId": bare}, "/agent")


# ---- in files

@pytest.fixture
def folder(lab):
    lab.file("agents/clerk.json", {"model": lab.script([say("from the file")]), "name": "the clerk"})
    return lab.path / "agents"


def test_an_agent_in_a_file_has_the_files_name(lab, folder):
    b = lab.bridge("--agents", str(folder))
    o = begin(b, "clerk")
    assert o["answer"] == "from the file" and o["agentId"] == "clerk"
    got = b.call("agent.get", {"agentId": "clerk"})
    assert got["readOnly"] is True and got["agent"]["name"] == "the clerk" and TIME.match(got["updatedAt"]) and got["createdAt"] == got["updatedAt"]
    assert isinstance(got["version"], int) and 0 < got["version"] < 2 ** 53
    run = lab.bridge().get(o["runId"])
    assert run["agentId"] == "clerk" and run["agentVersion"] == got["version"]


def test_a_file_is_changed_by_changing_the_file(lab, folder):
    b = lab.bridge("--agents", str(folder))
    for method, more in (("agent.update", {"agent": {"model": "script:/x"}}), ("agent.delete", {}), ("tool.register", {"tools": [tool("t")]})):
        e = b.refuses(method, {"agentId": "clerk", **more}, "/agentId")
        assert "clerk.json" in e.error["message"]
    before = b.call("agent.get", {"agentId": "clerk"})
    lab.file("agents/clerk.json", {"model": lab.script([say("another")])})
    assert begin(b, "clerk")["answer"] == "another"
    after = b.call("agent.get", {"agentId": "clerk"})
    assert after["version"] != before["version"]
    assert lab.bridge("--agents", str(folder)).call("agent.get", {"agentId": "clerk"})["version"] == after["version"]
    lab.file("agents/late.json", {"model": lab.script([say("late")])})
    assert begin(b, "late")["answer"] == "late"
    (folder / "late.json").unlink()
    b.fails("run.start", {"input": "x", "agentId": "late"}, kind="agent.notFound")


def test_a_run_keeps_the_file_it_began_with(lab):
    lab.file("agents/a.json", {"model": lab.script([calls("t"), say("done")]), "tools": [tool("t")]})
    b = lab.bridge("--agents", str(lab.path / "agents"))
    o = begin(b, "a")
    (lab.path / "agents" / "a.json").unlink()
    assert lab.bridge().submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})["answer"] == "done"


def test_files_are_listed_before_the_agents_of_the_store(lab, folder):
    model = lab.script([say("ok")])
    lab.file("agents/Zoe.json", {"model": model})
    lab.file("agents/ümit.json", {"model": model})
    lab.file("agents/.hidden.json", {"model": model})
    lab.file("agents/notes.txt", "no agent")
    b = lab.bridge("--agents", str(folder))
    first = create(b, {"model": model})
    time.sleep(0.002)  # ids sort by their millisecond
    second = create(b, {"model": model})
    names = ["Zoe", "clerk", "ümit", second, first]
    for limit in range(1, 7):
        found, cursor = [], None
        while True:
            page = b.call("agent.list", {"limit": limit, **({"cursor": cursor} if cursor else {})})
            found += [x["agentId"] for x in page["agents"]]
            cursor = page.get("nextCursor")
            if not cursor:
                break
        assert found == names, limit


@pytest.mark.parametrize("content,place", [
    ("{nonsense", "clerk.json"), ("", "clerk.json"), ("[]", "clerk.json"), ({}, "clerk.json: /model"), ({"model": "nobody:x"}, "clerk.json: /model"),
    ({"model": "script:/x", "tools": [tool("a b")]}, "clerk.json: /tools/0/name"),
    ({"model": "script:/x", "tools": [tool("t", {"type": "no"})]}, "clerk.json: /tools/0/inputSchema/type"),
    ({"model": "script:/x", "limits": {"maxIterations": 0}}, "clerk.json: /limits/maxIterations"),
    ({"model": "script:/x", "memory": [{"label": "a b", "value": ""}]}, "clerk.json: /memory/0/label"),
    ('{"model":"script:/x","model":"script:/y"}', "clerk.json: /model"),
])
def test_a_file_that_is_no_agent_ends_the_process_at_start(lab, content, place):
    path = lab.file("agents/clerk.json", content)
    code, out, err = lab.cli("serve", "--agents", path.parent)
    assert code == 78 and out == b""
    assert str(path) in err.decode() and place in err.decode(), err
    # One that becomes so later is an error of its use.
    lab.file("agents/clerk.json", {"model": lab.script([say("ok")])})
    b = lab.bridge("--agents", str(path.parent))
    lab.file("agents/clerk.json", content)
    try:
        b.call("run.start", {"input": "x", "agentId": "clerk"})
        raise AssertionError("a file that is no agent was run")
    except RpcError as e:
        assert e.data["pointer"] == "/agentId" and place in e.error["message"]
    assert b.call("agent.list") == {"agents": []}
    lab.file("agents/clerk.json", {"model": lab.script([say("again")])})
    assert begin(b, "clerk")["answer"] == "again"


def test_a_file_that_takes_the_id_of_a_stored_agent_is_told_of_when_it_is_used(lab):
    folder = lab.path / "agents"
    folder.mkdir()
    b = lab.bridge("--agents", str(folder))
    a = create(b, {"model": lab.script([say("stored")])})
    assert begin(b, a)["answer"] == "stored"
    path = lab.file(f"agents/{a}.json", {"model": lab.script([say("file")])})
    for method, params in (("run.start", {"input": "go", "agentId": a}), ("agent.get", {"agentId": a})):
        e = b.refuses(method, params, "/agentId")
        assert path.name in e.error["message"], e.error
    path.unlink()
    assert begin(b, a)["answer"] == "stored"


def test_an_unknown_member_of_a_file_is_logged_and_with_strict_ends_the_process(lab):
    path = lab.file("agents/clerk.json", {"model": lab.script([say("ok")]), "tols": []})
    b = lab.bridge("--agents", str(path.parent))
    until(lambda: b"/tols" in b.stderr, "the warning")
    o = begin(b, "clerk")
    assert o["answer"] == "ok" and b.log_of(o["runId"], "run.started")[0]["warnings"][0].startswith("/tols")
    code, out, err = lab.cli("serve", "--strict", "--agents", path.parent)
    assert code == 78 and b"clerk.json: /tols" in err


def test_a_folder_that_cannot_be_read_ends_the_process_at_start(lab):
    code, out, err = lab.cli("serve", "--agents", lab.path / "nowhere")
    assert code == 78 and b"nowhere" in err
    code, out, err = lab.cli("serve", "--agents", lab.file("file"))
    assert code == 78 and b"file" in err
    code, out, err = lab.cli("serve", "--agents", "")
    assert code == 64 and b"--agents" in err


def test_an_id_of_a_file_that_the_store_has_too_ends_the_process_at_start(lab):
    b = lab.bridge()
    a = create(b, {"model": lab.script([say("stored")])})
    lab.file(f"agents/{a}.json", {"model": lab.script([say("file")])})
    code, out, err = lab.cli("serve", "--agents", lab.path / "agents")
    assert code == 78 and a.encode() in err


def test_the_folder_is_named_by_the_environment_or_a_file_too(lab, folder):
    assert begin(lab.bridge(env=base_env(lab.path, FOOTBRIDGE_AGENTS=folder)), "clerk")["answer"] == "from the file"
    config = lab.file("config.json", {"agents": str(folder)})
    assert begin(lab.bridge("--config", str(config)), "clerk")["answer"] == "from the file"


# ---- from a shell

def test_a_shell_runs_an_agent_by_its_id(lab, folder):
    assert lab.cli("run", "--agents", folder, "--agent", "clerk", "go") == (0, b"from the file\n", b"")
    b = lab.bridge()
    a = create(b, {"model": lab.script([say("stored")])})
    assert lab.cli("run", "--agent", a, "go") == (0, b"stored\n", b"")
    code, out, err = lab.cli("run", "--agent", "nobody", "go")
    assert code == 64 and b"nobody" in err and out == b""
    code, out, err = lab.cli("run", "--agents", folder, "--agent", "clerk", "--model", lab.script([say("x")]), "go")
    assert code == 64 and b"--model" in err
    lab.file("clerk", {"model": lab.script([say("a file here")])})
    assert lab.cli("run", "--agents", folder, "--agent", "clerk", "go")[1] == b"a file here\n"

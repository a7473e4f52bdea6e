"""Section 8: memory blocks of stored agents, which the agent edits itself."""
import json
import random
import sqlite3
import time

import pytest

from harness import TIME, TIMEOUT, RpcError, calls, contains, expect, say, sh, text_of, tool, until

TOOLS = ["memory_replace", "memory_insert", "memory_rethink"]


def create(b, turns, memory, **agent):
    model = turns if isinstance(turns, str) else b.lab.script(turns)
    return b.call("agent.create", {"agent": {"model": model, "memory": memory, **agent}})["agentId"]


def block(label="m", value="", **more):
    return {"label": label, "value": value, **more}


def memory(b, agent, label="m"):
    found, = b.call("memory.get", {"agentId": agent, "label": label})["blocks"]
    return found


def begin(b, agent, timeout=None, **more):
    return b.call("run.start", {"input": "go", "agentId": agent, **more}, timeout)


def replace(old, new, label="m"):
    return "memory_replace", {"label": label, "old": old, "new": new}


def insert(text, line=None, label="m"):
    return "memory_insert", {"label": label, "text": text, **({} if line is None else {"line": line})}


def rethink(value, label="m"):
    return "memory_rethink", {"label": label, "value": value}


# ---- what a block is

def test_a_block_begins_with_what_the_agent_declares(bridge):
    a = create(bridge, [say("ok")], [block("user", "Likes tea.", description="About the user."), block("rules", "Be brief.", limit=100, readOnly=True)])
    blocks = bridge.call("memory.get", {"agentId": a})["blocks"]
    assert all(TIME.match(x.pop("updatedAt")) for x in blocks)
    assert blocks == [
        {"label": "user", "description": "About the user.", "value": "Likes tea.", "limit": 20000, "version": 1},
        {"label": "rules", "value": "Be brief.", "limit": 100, "readOnly": True, "version": 1}]
    assert [x["label"] for x in bridge.call("memory.get", {"agentId": a, "label": "rules"})["blocks"]] == ["rules"]
    bridge.refuses("memory.get", {"agentId": a, "label": "nobody"}, "/label")
    assert bridge.call("memory.get", {"agentId": create(bridge, [say("ok")], [])}) == {"blocks": []}


def test_an_agent_with_memory_has_the_tools_for_it(bridge):
    a = create(bridge, [say("ok")], [block()], tools=[tool("t")])
    started, = bridge.log_of(begin(bridge, a)["runId"], "run.started")
    assert started["tools"] == [{"name": "t", "target": "client"}] + [{"name": n, "target": "server"} for n in TOOLS]
    bare = create(bridge, [say("ok")], [])
    assert bridge.log_of(begin(bridge, bare)["runId"], "run.started")[0]["tools"] == []


def test_memory_is_for_stored_agents(bridge, lab):
    model = lab.script([say("ok")])
    bridge.refuses("run.start", {"input": "x", "agent": {"model": model, "memory": [block()]}}, "/agent/memory")
    assert bridge.call("run.start", {"input": "x", "agent": {"model": model, "memory": []}})["answer"] == "ok"


@pytest.mark.parametrize("name", TOOLS + ["ask_user"])
def test_no_tool_takes_the_place_of_a_built_in_one(bridge, lab, name):
    a = create(bridge, [calls("t"), say("ok")], [block()], tools=[tool("t")])
    e = bridge.fails("run.start", {"input": "x", "agentId": a, "tools": [tool(name)]}, kind="tool.invalid")
    assert e.data["pointer"] == "/tools/0/name"
    o = begin(bridge, a)
    call = o["pendingToolCalls"][0]["callId"]
    bridge.fails("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": call, "content": "x"}], "tools": [tool(name)]}, kind="tool.invalid")
    assert bridge.submit(o["runId"], {call: "x"})["answer"] == "ok"


# ---- the agent's edits

@pytest.mark.parametrize("before,edit,after", [
    ("Likes tea.", replace("tea", "coffee"), "Likes coffee."),
    ("a\nb", replace("a\n", ""), "b"),
    ("é e\u0301", replace("e\u0301", "x"), "é x"),
    ("", insert("first"), "first"),
    ("a", insert("b"), "a\nb"),
    ("a\n", insert("b"), "a\nb"),
    ("a\nc", insert("b", 1), "a\nb\nc"),
    ("b", insert("a", 0), "a\nb"),
    ("a\nb\n", insert("c", 2), "a\nb\nc"),
    ("a", insert("b\nc\n", 1.0), "a\nb\nc\n"),
    ("a\r\nb", insert("x", 1), "a\r\nx\nb"),
    ("old", rethink("new \U0001F600"), "new \U0001F600"),
    ("old", rethink(""), ""),
])
def test_an_edit(bridge, before, edit, after):
    a = create(bridge, [calls(edit), say("ok", expect=expect(isError=False, content=contains(f"{len(after)} of 50 characters")))], [block(value=before, limit=50)])
    assert begin(bridge, a)["answer"] == "ok"
    found = memory(bridge, a)
    assert found["value"] == after and found["version"] == 2


@pytest.mark.parametrize("edit,words", [
    (replace("x", "y"), "no match"),
    (replace("aa", "y"), "2 times"),
    (replace("", "y"), "inputSchema"),
    (replace("e\u0301", "x"), "no match"),
    (insert("x", 3), "2 lines"),
    (insert("x", -1), "inputSchema"),
    (insert("x", 1.5), "inputSchema"),
    (insert("123456789"), "limit is 15"),
    (rethink("0123456789abcdef"), "16 characters"),
    (replace("é", "0123456789"), "limit is 15"),
    (rethink("x", "other"), 'There are: m, fixed'),
    (rethink("x", "fixed"), "read-only"),
    (("memory_rethink", {"label": "m"}), "inputSchema"),
    (("memory_rethink", {"label": "m", "value": "x", "more": 1}), "inputSchema"),
])
def test_an_edit_that_cannot_be_done_is_an_error_for_the_model_and_changes_nothing(bridge, edit, words):
    memory_blocks = [block(value="aaa\né bc", limit=15), block("fixed", "fixed", readOnly=True)]
    a = create(bridge, [calls(edit), say("ok", expect=expect(isError=True, content=contains(words)))], memory_blocks)
    before = bridge.call("memory.get", {"agentId": a})
    o = begin(bridge, a)
    assert o["status"] == "success", o
    assert bridge.call("memory.get", {"agentId": a}) == before


def test_an_edit_that_changes_nothing_makes_no_version(bridge):
    a = create(bridge, [calls(rethink("same"), replace("same", "same")), say("ok", expect=expect(isError=False))], [block(value="same")])
    assert begin(bridge, a)["answer"] == "ok"
    assert memory(bridge, a)["version"] == 1


def test_edits_of_one_message_all_count_in_its_order(bridge):
    a = create(bridge, [calls(*[insert(f"{n}") for n in range(20)], rethink("x", "other"), replace("19", "last")), say("ok")], [block(), block("other")])
    o = begin(bridge, a)
    assert memory(bridge, a)["value"].split("\n") == [str(n) for n in range(19)] + ["last"]
    assert memory(bridge, a)["version"] == 22 and memory(bridge, a, "other")["value"] == "x"
    done = bridge.log_of(o["runId"], "tool.completed")
    assert len(done) == 22 and not any(d["isError"] for d in done)


def test_memory_calls_go_with_client_and_server_calls(lab):
    b = lab.parent()
    b.handlers["mine"] = {"content": "from the client"}
    a = create(b, [calls("mine", insert("x"), "ours"), say("ok")], [block()], tools=[tool("mine"), sh("ours", "echo hi")])
    o = begin(b, a)
    assert o["answer"] == "ok" and memory(b, a)["value"] == "x"
    order = [d["name"] for d in b.log_of(o["runId"], "tool.completed")]
    assert order == ["memory_insert", "ours", "mine"]


def test_an_edit_is_seen_by_the_next_run(bridge):
    model = bridge.lab.script([calls(replace("0", "1")), say("ok")])
    a = create(bridge, model, [block(value="0")])
    assert begin(bridge, a)["answer"] == "ok"
    o = begin(bridge, a)
    assert bridge.log_of(o["runId"], "tool.completed")[0]["isError"] is True
    assert memory(bridge, a)["value"] == "1"


# ---- the client's

def test_a_client_sets_a_block(bridge):
    a = create(bridge, [say("ok")], [block(value="one", limit=5)])
    assert bridge.call("memory.set", {"agentId": a, "label": "m", "value": "two"}) == {"label": "m", "version": 2}
    assert bridge.call("memory.set", {"agentId": a, "label": "m", "value": "two"}) == {"label": "m", "version": 2}
    assert bridge.call("memory.set", {"agentId": a, "label": "m", "value": "\U0001F600" * 5, "ifVersion": 2}) == {"label": "m", "version": 3}
    bridge.fails("memory.set", {"agentId": a, "label": "m", "value": "x", "ifVersion": 2}, kind="agent.conflict")
    bridge.refuses("memory.set", {"agentId": a, "label": "m", "value": "123456"}, "/value")
    bridge.refuses("memory.set", {"agentId": a, "label": "x", "value": "1"}, "/label")
    bridge.refuses("memory.set", {"agentId": a, "label": "m"}, "/value")
    assert memory(bridge, a)["value"] == "\U0001F600" * 5


def test_a_read_only_block_is_changed_by_an_update_of_the_agent_alone(bridge, lab):
    model = lab.script([say("ok")])
    a = create(bridge, model, [block(value="one", readOnly=True)])
    bridge.fails("memory.set", {"agentId": a, "label": "m", "value": "two"}, kind="memory.readOnly")
    bridge.call("agent.update", {"agentId": a, "agent": {"model": model, "memory": [block(value="two", readOnly=True)]}})
    assert memory(bridge, a)["value"] == "two"


def test_an_update_keeps_what_was_edited_unless_it_declares_another_value(bridge, lab):
    model = lab.script([say("ok")])

    def update(*blocks):
        bridge.call("agent.update", {"agentId": a, "agent": {"model": model, "memory": list(blocks)}})

    a = create(bridge, model, [block(value="begin"), block("other", "o")])
    bridge.call("memory.set", {"agentId": a, "label": "m", "value": "edited"})
    update(block(value="begin", description="new", limit=100), block("other", "o"))
    found = memory(bridge, a)
    assert found["value"] == "edited" and found["description"] == "new" and found["limit"] == 100 and found["version"] == 3
    update(block(value="begin", description="new", limit=100), block("other", "o"))
    assert memory(bridge, a)["version"] == 3 and memory(bridge, a, "other")["version"] == 1
    update(block("other", "p"))
    assert [(x["label"], x["value"]) for x in bridge.call("memory.get", {"agentId": a})["blocks"]] == [("other", "p")]
    bridge.refuses("memory.get", {"agentId": a, "label": "m"}, "/label")
    update(block(value="begin"), block("other", "p"))
    assert memory(bridge, a)["value"] == "edited"
    update(block(value="anew"), block("other", "p"))
    assert memory(bridge, a)["value"] == "anew"


def test_a_block_that_becomes_read_only_is_so_for_the_runs_that_are_under_way(lab):
    b = lab.bridge()
    model = lab.script([calls("t"), calls(insert("x")), say("ok", expect=expect(isError=True, content=contains("read-only")))])
    a = create(b, model, [block()], tools=[tool("t")])
    o = begin(b, a)
    b.call("agent.update", {"agentId": a, "agent": {"model": model, "memory": [block(readOnly=True)]}})
    assert b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})["answer"] == "ok"


# ---- in files

def test_an_agent_in_a_file_has_memory_too(lab):
    model = lab.script([calls(insert("edited")), say("ok")])
    path = lab.file("agents/clerk.json", {"model": model, "memory": [block(value="begin")]})
    b = lab.bridge("--agents", str(path.parent))
    assert memory(b, "clerk")["value"] == "begin"
    assert begin(b, "clerk")["answer"] == "ok"
    assert memory(b, "clerk")["value"] == "begin\nedited"
    other = lab.bridge("--agents", str(path.parent))
    assert memory(other, "clerk")["value"] == "begin\nedited"
    lab.file("agents/clerk.json", {"model": model, "memory": [block(value="begin", description="d")], "name": "changed"})
    assert memory(b, "clerk")["value"] == "begin\nedited" and memory(b, "clerk")["description"] == "d"
    lab.file("agents/clerk.json", {"model": model, "memory": [block(value="other")]})
    assert memory(b, "clerk")["value"] == "other"
    assert b.call("memory.set", {"agentId": "clerk", "label": "m", "value": "set"})["version"] == 5


# ---- races and crashes

def history(lab, agent, label="m"):
    """What the store keeps of a block's past, oldest first."""
    with sqlite3.connect(f"file:{lab.path / 'runs.db'}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT id, json FROM documents WHERE kind = 'memoryHistory' ORDER BY id").fetchall()
    return [json.loads(j) for i, j in rows if i.startswith(f"{agent}/{label}/")]


def test_runs_that_edit_at_once_lose_no_edit(lab):
    bridges = [lab.bridge() for _ in range(3)]
    runs, edits = 6, 10
    a = create(bridges[0], [say("ok")], [block(limit=10**6)])
    waiting = []
    for n in range(3 * runs):
        # Each run has a version of the agent, and with it a script, of its own.
        model = lab.script([calls(insert(f"{n}:{k}")) for k in range(edits)] + [say("ok")])
        bridges[0].call("agent.update", {"agentId": a, "agent": {"model": model, "memory": [block(limit=10**6)]}})
        b = bridges[n % 3]
        waiting.append((b, begin(b, a, wait=False)["runId"]))
    for b, run in waiting:
        o = b.wait_run(run, 6 * TIMEOUT)
        assert o["status"] == "success" and not any(d["isError"] for d in b.log_of(o["runId"], "tool.completed"))
    found = memory(bridges[0], a)
    assert sorted(found["value"].split("\n")) == sorted(f"{n}:{k}" for n in range(3 * runs) for k in range(edits))
    assert found["version"] == 3 * runs * edits + 1
    for n in range(3 * runs):
        mine = [line for line in found["value"].split("\n") if line.startswith(f"{n}:")]
        assert mine == [f"{n}:{k}" for k in range(edits)]
    past = history(lab, a)
    assert len(past) == found["version"] and past[-1]["value"] == found["value"]
    for before, after in zip(past, past[1:]):
        assert after["value"].startswith(before["value"])


def test_a_client_and_a_run_that_edit_at_once_lose_no_edit(lab):
    a, b = lab.bridge(), lab.bridge()
    agent = create(a, [calls(insert(f"run {n}")) for n in range(50)] + [say("ok")], [block(limit=10**6)], limits={"maxIterations": 100})
    i = a.request("run.start", {"input": "go", "agentId": agent})
    done = 0
    while done < 20:
        found = memory(b, agent)
        try:
            value = "\n".join(filter(None, [found["value"], f"client {done}"]))
            b.call("memory.set", {"agentId": agent, "label": "m", "value": value, "ifVersion": found["version"]})
            done += 1
        except RpcError as e:
            assert e.kind == "agent.conflict"
    assert a.result(i, 6 * TIMEOUT)["status"] == "success"
    lines = memory(b, agent)["value"].split("\n")
    assert sorted(lines) == sorted([f"run {n}" for n in range(50)] + [f"client {n}" for n in range(20)])


def killed(lab, seed, rounds):
    """A run that edits 30 times, whose process is killed at random moments; another one takes it up each time."""
    chance = random.Random(seed)
    b = lab.bridge()
    agent = create(b, [calls(insert(f"{n}")) for n in range(30)] + [say("ok")], [block()], limits={"maxIterations": 100})
    i = b.request("run.start", {"input": "go", "agentId": agent, "wait": False})
    run = b.result(i)["runId"]
    for _ in range(rounds):
        time.sleep(chance.random() * 0.02)
        b.kill9()
        b = lab.bridge()
        b.request("run.resume", {"runId": run, "wait": False})
    assert b.wait_run(run, 6 * TIMEOUT)["status"] == "success"
    found = memory(b, agent)
    assert found["value"].split("\n") == [f"{n}" for n in range(30)] and found["version"] == 31
    done = b.log_of(run, "tool.completed")
    assert len(done) == 30 and not any(d["isError"] for d in done)
    assert [x["value"] for x in history(lab, agent)] == ["\n".join(f"{k}" for k in range(n)) for n in range(31)]


def test_a_killed_run_has_made_each_edit_once(lab):
    killed(lab, 1, 10)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_a_run_killed_again_and_again_has_made_each_edit_once(lab, seed):
    killed(lab, seed, 12)


def test_the_history_of_a_block_has_its_last_thousand_versions(lab):
    b = lab.bridge("--synchronous", "normal")
    agent = create(b, [say("ok")], [block(value="0"), block("m2", "x")])
    for n in range(1, 1010):
        b.call("memory.set", {"agentId": agent, "label": "m", "value": str(n)})
    assert memory(b, agent)["version"] == 1010
    past = history(lab, agent)
    assert [x["value"] for x in past] == [str(n) for n in range(10, 1010)] and past[-1]["by"] == "client"
    assert len(history(lab, agent, "m2")) == 1
    other = create(b, [say("ok")], [block(value="stays")])
    b.call("agent.delete", {"agentId": agent})
    assert history(lab, agent) == [] and history(lab, agent, "m2") == [] and len(history(lab, other)) == 1

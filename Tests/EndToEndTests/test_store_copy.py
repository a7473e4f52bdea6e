"""footbridge store copy: runs, agents and sessions from one store to another, to the byte."""
import pytest

import postgres
from harness import TIMEOUT, calls, say, sh, tool, until

KINDS = ["sqlite", "postgres"]


def place(lab, kind, name):
    if kind == "sqlite":
        return f"sqlite:{lab.path / name}.db"
    if not postgres.IS_INSTALLED:
        pytest.skip("PostgreSQL is not installed")
    return postgres.server().store(postgres.server().database())


def copy(lab, source, destination):
    return lab.cli("store", "copy", source, destination, store=False, timeout=8 * TIMEOUT)


def everything(b):
    """What can be read of a store, byte for byte."""
    runs = b.call("run.list", {"limit": 100})["runs"]
    found = {"runs": runs, "agents": b.call("agent.list"), "sessions": b.call("session.list")}
    for run in runs:
        i = b.request("run.events", {"runId": run["runId"], "limit": 1000})
        found[run["runId"]] = b.wait_response(i).raw_at("result")
    for session in found["sessions"]["sessions"]:
        found[session["sessionId"]] = b.call("session.messages", {"sessionId": session["sessionId"]})
    for agent in found["agents"]["agents"]:
        found[agent["agentId"]] = (b.call("agent.get", {"agentId": agent["agentId"]}), b.call("memory.get", {"agentId": agent["agentId"]}))
    return found


def fill(lab, store):
    """One run of each kind; the id of one that waits, and its model."""
    b = lab.parent(store=store)
    big = "\u0000 é \U0001F600 " + "x" * 700_000
    b.handlers["t"] = lambda params: {"content": [{"type": "text", "text": big}], "structuredContent": {"n": 0.1, "big": big[:90_000]}}
    assert b.run([calls("t"), calls("t"), say("done")], [tool("t")], metadata={"who": "me"}, idempotencyKey="a key")["status"] == "success"
    agent = b.call("agent.create", {"agent": {"model": lab.script([say("agent")]), "memory": [{"label": "user", "value": "likes tea"}]}})["agentId"]
    b.call("memory.set", {"agentId": agent, "label": "user", "value": "likes coffee"})
    session = b.call("session.create")["sessionId"]
    for n in range(2):
        assert b.run([say(f"turn {n}")], sessionId=session)["answer"] == f"turn {n}"
    o = b.call("run.start", {**b.params([calls("u"), say("after")], [tool("u")]), "delivery": "pause"})
    lab.finish()
    return o["runId"], o["pendingToolCalls"][0]["callId"], big


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_everything_is_copied_to_the_byte_and_goes_on_there(lab, source, to):
    a, b = place(lab, source, "a"), place(lab, to, "b")
    run, call, big = fill(lab, a)
    code, out, err = copy(lab, a, b)
    assert (code, err) == (0, b""), err
    assert b"runs: 4 copied, 0 already there, 0 left out" in out
    before, after = everything(lab.bridge(store=a)), everything(lab.bridge(store=b))
    assert before == after
    lab.finish()
    code, out, err = copy(lab, a, b)
    assert (code, err) == (0, b"") and b"runs: 0 copied, 4 already there, 0 left out" in out and b": 0 copied" in out
    there = lab.bridge(store=b)
    first = there.call("run.list", {"metadata": {"who": "me"}})["runs"][0]["runId"]
    data = there.log_of(first, "tool.completed")[0]
    assert there.whole(data["content"][0]["text"]) == big
    assert there.submit(run, {call: "x"})["answer"] == "after"
    assert lab.bridge(store=a).get(run)["status"] == "waiting_client_tool"


def test_what_a_result_named_as_a_blob_is_whole_in_the_copy(lab):
    a, b = place(lab, "sqlite", "a"), place(lab, "sqlite", "b")
    bridge = lab.parent(store=a)
    big = "x" * 100_000
    id = bridge.call("blob.write", {"data": big, "last": True})["id"]
    bridge.handlers["t"] = {"content": [{"type": "resource", "resource": {"uri": "u:1", "text": {"$blob": id}}}]}
    o = bridge.run([calls("t"), calls("u"), say("after")], [tool("t"), tool("u")], delivery="invoke", wait=False)
    call = bridge.next_invoke("u")
    lab.finish()
    assert copy(lab, a, b)[0] == 0
    there = lab.bridge(store=b)
    block, = there.whole(there.log_of(o["runId"], "tool.completed")[0]["content"])
    assert block == {"type": "resource", "resource": {"uri": "u:1", "text": big}}
    assert there.submit(o["runId"], {call.call_id: "x"})["answer"] == "after"


def test_what_has_gone_on_in_from_is_added_and_what_has_gone_on_in_both_is_left_out(lab):
    a, b = place(lab, "sqlite", "a"), place(lab, "sqlite", "b")
    bridge = lab.bridge(store=a)
    model = lab.script([calls("u"), calls("u"), say("after")])
    o = bridge.run(model, [tool("u")])
    lab.finish()
    assert copy(lab, a, b)[0] == 0
    o = lab.bridge(store=a).submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})
    lab.finish()
    code, out, err = copy(lab, a, b)
    assert code == 0 and b"runs: 1 copied" in out
    c = o["pendingToolCalls"][0]["callId"]
    assert lab.bridge(store=a).submit(o["runId"], {c: "here"})["answer"] == "after"
    assert lab.bridge(store=b).submit(o["runId"], {c: "there"})["answer"] == "after"
    lab.finish()
    code, out, err = copy(lab, a, b)
    assert code == 1 and b"1 left out" in out and o["runId"].encode() in err and b"gone on" in err


def test_a_run_that_a_process_drives_is_left_out_and_named(lab):
    a, b = place(lab, "sqlite", "a"), place(lab, "sqlite", "b")
    bridge = lab.bridge(store=a)
    done = bridge.run([say("done")])["runId"]
    run = bridge.background([calls("c"), say("ok")], [sh("c", f"while [ ! -e {lab.path}/go ]; do sleep 0.02; done")])
    until(lambda: bridge.get(run)["driver"] == "self")
    code, out, err = copy(lab, a, b)
    assert code == 1 and b"runs: 1 copied, 0 already there, 1 left out" in out and run.encode() in err and done.encode() not in err
    lab.file("go")
    assert bridge.wait_run(run, 4 * TIMEOUT)["answer"] == "ok"
    code, out, err = copy(lab, a, b)
    assert (code, err) == (0, b"") and b"runs: 1 copied, 1 already there, 0 left out" in out


def test_what_cannot_be_copied_is_said(lab):
    a = place(lab, "sqlite", "a")
    code, out, err = copy(lab, a, place(lab, "sqlite", "b"))
    assert code == 74 and b"a.db" in err
    assert not (lab.path / "a.db").exists() and not (lab.path / "b.db").exists()
    for words in (("store",), ("store", "copy", a), ("store", "move", a, a), ("store", "copy", a, a), ("store", "copy", a, "memory"), ("store", "copy", "x", a)):
        code, out, err = lab.cli(*words, store=False)
        assert code == 64 and out == b"" and err, words
    for words in (("frob",), ("frob", a), ("frob", a, a)):
        code, out, err = lab.cli("store", *words, store=False)
        assert code == 64 and b"'store frob'" in err and b"'store copy FROM TO'" in err, err
    lab.bridge(store=a)
    code, out, err = copy(lab, a, "postgresql://u:hidden@127.0.0.1:1/x")
    assert code == 74 and b"127.0.0.1" in err and b"hidden" not in err


def test_a_store_is_not_copied_onto_itself_by_another_path(lab):
    lab.bridge(store=f"sqlite:{lab.path}/a.db").finish()
    (lab.path / "link.db").symlink_to("a.db")
    for path in ("./a.db", "link.db", f"{lab.path}/../{lab.path.name}/a.db", "a.db"):
        code, out, err = copy(lab, "sqlite:a.db", f"sqlite:{path}")
        assert code == 64 and out == b"" and b"FROM and TO are the same store" in err, (path, err)

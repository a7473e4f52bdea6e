"""Section 5 (b): MCP servers, as others wrote them: mcp-server-time, mcp-server-git and mcp-server-fetch, and one on the `mcp` package.

`Tests/run.sh` installs them, in .build/mcp-1 on the 1.x line of the package and in .build/mcp-2 on the 2.x line, which speaks another revision of MCP.
What is not there is skipped, unless CI is true.
"""
import json
import os
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest

from harness import TIMEOUT, alive, calls, command, contains, expect, say, sh, text_of, tool, until

BUILD = Path(__file__).resolve().parents[2] / ".build"
PYTHON, PYTHON_2 = (str(BUILD / line / "bin/python") for line in ("mcp-1", "mcp-2"))
EVERYTHING = Path(__file__).resolve().parent / "mcp_servers" / "everything.py"
LONG = 6 * TIMEOUT


@cache
def has(module, python):
    return os.access(python, os.X_OK) and subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0


def needs(module, python=PYTHON):
    assert has(module, python) or os.environ.get("CI") != "true", f"{module} is not installed under {python}, and CI is true"
    return pytest.mark.skipif(not has(module, python), reason=f"{module} is not installed under {python}")


def server(module, *args, **more):
    return {"command": PYTHON, "args": ["-m", module, *map(str, args)], **more}


def everything(*args, **more):
    return {"command": PYTHON, "args": [str(EVERYTHING), *map(str, args)], **more}


def done(b, o):
    return b.log_of(o["runId"], "tool.completed")


def go(b, turns, servers, agent=None, **more):
    more.setdefault("timeout", LONG)
    return b.succeeds(turns, agent={"mcpServers": servers, **(agent or {})}, **more)


def one(b, name, arguments, servers, **more):
    """One call and its tool.completed."""
    return done(b, go(b, [calls((name, arguments)), say("ok")], servers, **more))[0]


# ---- servers that others wrote

@needs("mcp_server_time")
def test_the_time_server(bridge):
    o = go(bridge, [calls(("time__get_current_time", {"timezone": "Asia/Tokyo"})), say("ok", expect=expect(content=contains("Asia/Tokyo"), isError=False))],
           {"time": server("mcp_server_time")})
    d, = done(bridge, o)
    assert d["name"] == "time__get_current_time" and d["target"] == "server" and d["isError"] is False


@needs("mcp_server_time")
def test_an_error_of_the_time_server_is_an_error_for_the_model(bridge):
    d = one(bridge, "time__get_current_time", {"timezone": "Nowhere/Atall"}, {"time": server("mcp_server_time")})
    assert d["isError"] is True and "imezone" in text_of(d["content"])


@needs("mcp_server_time")
def test_arguments_that_do_not_fit_the_servers_schema_are_not_sent(bridge):
    d = one(bridge, "time__get_current_time", {"timezone": 3}, {"time": server("mcp_server_time")})
    assert d["isError"] is True and "timezone" in text_of(d["content"])


@needs("mcp_server_git")
def test_the_git_server(lab, bridge):
    repo = lab.path / "repo"
    for words in (["init", "-q", str(repo)], ["-C", str(repo), "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first words"]):
        subprocess.run(["git", *words], check=True, capture_output=True)
    (repo / "new.txt").write_text("new\n")
    servers = {"git": server("mcp_server_git", "--repository", repo)}
    o = go(bridge, [calls(("git__git_status", {"repo_path": str(repo)}), ("git__git_log", {"repo_path": str(repo)})), say("ok")], servers)
    status, log = done(bridge, o)
    assert "new.txt" in text_of(status["content"]) and "first words" in text_of(log["content"])


@needs("mcp_server_fetch")
def test_the_fetch_server_without_a_network(bridge):
    d = one(bridge, "fetch__fetch", {"url": "http://127.0.0.1:9/"}, {"fetch": server("mcp_server_fetch", "--ignore-robots-txt")})
    assert d["isError"] is True and "127.0.0.1" in text_of(d["content"])


# ---- one that does everything

pytest_everything = needs("mcp")


@pytest_everything
def test_every_kind_of_content_comes(bridge):
    d = one(bridge, "e__kinds", {}, {"e": everything()})
    assert [b["type"] for b in d["content"]] == ["text", "image", "audio", "resource_link", "resource"]
    assert d["content"][1]["data"] == "aGk=" and d["content"][1]["mimeType"] == "image/png"
    assert d["content"][4]["resource"]["text"] == "inside"


@pytest_everything
def test_structured_content_is_carried(bridge):
    d = one(bridge, "e__add", {"parts": [1, 2, 39]}, {"e": everything()})
    assert d["structuredContent"] == {"total": 42, "parts": [1, 2, 39]} and d["isError"] is False


@pytest_everything
def test_progress_reaches_observers(bridge):
    o = go(bridge, [calls(("e__steps", {"count": 3})), say("ok")], {"e": everything()})
    seen = [m.data for m in bridge.events(o["runId"], "tool.progress")]
    assert [(p["progress"], p["total"], p["message"]) for p in seen] == [(n, 3, f"step {n}") for n in (1, 2, 3)]
    assert {p["callId"] for p in seen} == {done(bridge, o)[0]["callId"]}


@pytest_everything
def test_a_tool_that_raises_is_an_error_for_the_model(bridge):
    d = one(bridge, "e__fail", {"words": "because of the weather"}, {"e": everything()})
    assert d["isError"] is True and "fail" in text_of(d["content"])


@pytest_everything
@pytest.mark.parametrize("name, arguments, word", [("crash", {"code": 5}, "exit code 5"), ("kill", {"number": 11}, "SIGSEGV")])
def test_a_server_that_ends_is_a_tool_error_and_is_started_again(lab, bridge, name, arguments, word):
    o = go(bridge, [calls((f"e__{name}", arguments)), calls(("e__echo", {"text": "again"})), say("ok", expect=expect(content=contains("again"), isError=False))],
           {"e": everything("--record", lab.path / "pids")})
    first, second = done(bridge, o)
    assert first["isError"] is True and word in text_of(first["content"]) and "e" in text_of(first["content"])
    assert second["isError"] is False
    assert len(lab.lines("pids")) == 2


@pytest_everything
def test_a_server_that_does_not_answer_a_call_is_a_tool_error_in_time(bridge):
    o = bridge.start([calls(("e__stall", {})), say("ok")], agent={"mcpServers": {"e": everything()}})
    run = bridge.start_id(o)
    bridge.wait_event("tool.started", timeout=LONG)
    start = time.monotonic()
    assert bridge.call("run.cancel", {"runId": run})["status"] == "cancelled"
    assert time.monotonic() - start < 5


@pytest_everything
def test_a_server_that_floods_does_no_harm(bridge):
    o = go(bridge, [calls(("e__flood", {"lines": 20_000})), calls(("e__echo", {"text": "well"})), say("ok")], {"e": everything()})
    assert [d["isError"] for d in done(bridge, o)] == [False, False]
    assert len(bridge.stderr) < 1_000_000


@pytest_everything
def test_a_result_beyond_the_limit_is_an_honest_error(lab):
    b = lab.bridge("--max-message-bytes", "1000000")
    o = go(b, [calls(("e__big", {"size": 3_000_000})), calls(("e__echo", {"text": "well"})), say("ok")], {"e": everything()})
    first, second = done(b, o)
    assert first["isError"] is True and "1000000" in text_of(first["content"]) and second["isError"] is False


@pytest_everything
def test_a_big_result_comes_whole(bridge):
    d = one(bridge, "e__big", {"size": 3_000_000}, {"e": everything()})
    assert text_of(bridge.whole(d)["content"]) == "x" * 3_000_000


@pytest_everything
def test_a_changed_list_is_followed(bridge):
    o = go(bridge, [calls(("e__grow", {"name": "sprout"})), calls("e__pid"), calls(("e__sprout", {"text": "hi"})), say("ok")], {"e": everything()})
    assert text_of(done(bridge, o)[2]["content"]) == "sprout: hi"
    assert "tools.changed" in bridge.log_types(o["runId"])


@pytest_everything
def test_only_the_tools_that_are_named_are_offered(bridge):
    o = go(bridge, [calls(("e__echo", {"text": "a"}), "e__pid"), say("ok")], {"e": everything(tools=["echo"])})
    assert {d["name"]: d["isError"] for d in done(bridge, o)} == {"e__echo": False, "e__pid": True}
    assert [t["name"] for t in bridge.log_of(o["runId"], "tools.changed")[0]["tools"]] == ["e__echo"]


@pytest_everything
def test_two_names_of_one_definition_share_a_process(bridge):
    o = go(bridge, [calls("a__pid", "b__pid"), say("ok")], {"a": everything(), "b": everything()})
    first, second = done(bridge, o)
    assert text_of(first["content"]) == text_of(second["content"])


@pytest_everything
def test_runs_share_a_process(lab, bridge):
    servers = {"e": everything("--record", lab.path / "pids")}
    for _ in range(3):
        one(bridge, "e__pid", {}, servers)
    assert len(lab.lines("pids")) == 1


@pytest_everything
def test_approval_of_the_tools_that_are_named(lab):
    b = lab.bridge()
    o = b.run([calls(("e__echo", {"text": "a"}), "e__pid"), say("ok")], agent={"mcpServers": {"e": everything(requiresApproval=["pid"])}}, timeout=LONG)
    assert o["status"] == "waiting_approval"
    call, = o["pendingToolCalls"]
    assert call["name"] == "e__pid" and call["needs"] == "approval" and call["target"] == "server"
    assert len(done(b, o)) == 1
    o = b.call("run.submitApprovals", {"runId": o["runId"], "approvals": [{"callId": call["callId"], "decision": "approve"}]}, LONG)
    assert o["status"] == "success" and done(b, o)[1]["isError"] is False


@pytest_everything
def test_the_environment_is_small_and_its_values_stay_out_of_sight(lab):
    secret = "sk-0123456789abcdef"
    b = lab.bridge(env={"MY_TOKEN": secret, "OTHER_TOKEN": "sk-other"})
    servers = {"e": everything(env={"TOKEN": "${MY_TOKEN}", "LITERAL": "literal-secret"})}
    o = go(b, [calls("e__environment"), calls(("e__say", {"words": f"the token is {secret}"})), say("ok")], servers)
    seen = json.loads(text_of(done(b, o)[0]["content"]))
    assert seen["TOKEN"] == secret and seen["LITERAL"] == "literal-secret" and seen["HOME"] == str(lab.path)
    assert "OTHER_TOKEN" not in seen and not [k for k in seen if k.startswith("FOOTBRIDGE")]
    until(lambda: b"the token is" in b.stderr)
    assert secret.encode() not in b.stderr
    log = json.dumps([b.log_of(o["runId"], "run.started"), b.get(o["runId"])["agent"]])
    assert secret not in log and "literal-secret" not in log


@pytest_everything
def test_a_variable_that_is_not_set_is_named(bridge):
    d = one(bridge, "e__echo", {"text": "a"}, {"e": everything(env={"TOKEN": "${NO_SUCH_VARIABLE}"})})
    assert d["isError"] is True and "NO_SUCH_VARIABLE" in text_of(d["content"])


def test_a_server_that_cannot_be_started_does_not_end_the_run(bridge):
    d = one(bridge, "e__echo", {}, {"e": {"command": "no-such-program-anywhere"}})
    assert d["isError"] is True and "no-such-program-anywhere" in text_of(d["content"])


def test_a_program_that_is_no_server_does_not_end_the_run(bridge):
    d = one(bridge, "e__echo", {}, {"e": {"command": "/bin/sh", "args": ["-c", "exit 9"]}})
    assert d["isError"] is True and "exit code 9" in text_of(d["content"])


def test_a_bridge_that_runs_no_commands_runs_no_servers(lab):
    b = lab.bridge("--no-commands", capabilities={"sampling": {"tools": {}}})
    agent = {"model": "parent:m", "mcpServers": {"e": {"command": "true"}}}
    assert "--no-commands" in str(b.fails("run.start", {"input": "go", "agent": agent}, kind="unsupportedCapability"))
    b.fails("agent.create", {"agent": agent}, kind="unsupportedCapability")
    assert b.call("run.list")["runs"] == []


@pytest_everything
def test_a_question_to_the_user_reaches_the_parent(lab):
    b = lab.bridge(capabilities={"elicitation": {}})
    r = b.start([calls(("e__ask_user", {"question": "who is there?"})), say("ok", expect=expect(content=contains("accept Ada")))], agent={"mcpServers": {"e": everything()}})
    m = b.wait(lambda m: not m.is_batch and m.is_request and m.method == "elicitation/create", "elicitation/create", LONG)
    assert m.params["message"] == "who is there?" and m.params["requestedSchema"]["properties"]["name"]
    b.answer(m, {"action": "accept", "content": {"name": "Ada"}})
    assert b.result(r, LONG)["status"] == "success"


@pytest_everything
def test_the_one_batch_with_everything(lab):
    """A command, two MCP servers and a client tool, and each of them fails once."""
    b = lab.parent()
    b.handlers["local"] = {"content": "from the client"}
    servers = {"e": everything(), "f": everything("--other")}
    tools = [sh("c", "echo from a command"), sh("bad", "exit 3"), tool("local")]
    o = go(b, [calls("c", "bad", "local", ("e__echo", {"text": "from e"}), "f__crash"), calls(("f__echo", {"text": "f again"})), say("ok")],
           servers, tools=tools)
    results = {d["name"]: d for d in done(b, o)}
    assert {n: d["isError"] for n, d in results.items()} == {
        "c": False, "bad": True, "local": False, "e__echo": False, "f__crash": True, "f__echo": False}


# ---- ends

def server_pids(lab):
    return [int(p) for p in lab.lines("pids")]


@pytest_everything
def test_the_end_of_the_bridge_ends_its_servers(lab):
    b = lab.bridge()
    one(b, "e__pid", {}, {"e": everything("--record", lab.path / "pids")})
    pid, = server_pids(lab)
    assert alive(pid)
    b.finish()
    until(lambda: not alive(pid))


@pytest_everything
def test_a_bridge_that_is_killed_leaves_no_server(lab):
    b = lab.bridge()
    b.start([calls("e__freeze"), say("ok")], agent={"mcpServers": {"e": everything("--record", lab.path / "pids")}})
    b.wait_event("tool.started", timeout=LONG)
    pid, = server_pids(lab)
    b.kill9()
    until(lambda: not alive(pid))


@pytest_everything
def test_a_call_of_a_server_interrupted_by_a_crash_is_not_made_again(lab):
    a = lab.bridge()
    servers = {"e": everything("--record", lab.path / "pids")}
    a.start([calls("e__stall"), say("ok", expect=expect(isError=True))], agent={"mcpServers": servers})
    run = a.wait_event("tool.started", timeout=LONG).run_id
    a.kill9()
    b = lab.bridge()
    o = b.call("run.resume", {"runId": run}, LONG)
    assert o["status"] == "success"
    d, = done(b, o)
    assert d["isError"] is True and "unknown" in text_of(d["content"]).lower()


@pytest_everything
def test_an_idempotent_tool_is_called_again_after_a_crash(lab):
    a = lab.bridge()
    servers = {"e": everything("--record", lab.path / "pids", idempotent=["stall"])}
    a.start([calls(("e__stall", {"seconds": 4})), say("ok", expect=expect(content=contains("woke up"), isError=False))], agent={"mcpServers": servers})
    run = a.wait_event("tool.started", timeout=LONG).run_id
    a.kill9()
    b = lab.bridge()
    o = b.call("run.resume", {"runId": run}, LONG)
    assert o["status"] == "success"
    assert [d["attempt"] for d in b.log_of(run, "tool.started")] == [1, 2]


@pytest_everything
@pytest.mark.long
def test_a_thousand_kills_of_the_bridge_leave_nothing(lab):
    servers = {"e": everything("--record", lab.path / "pids")}
    for _ in range(1000):
        b = lab.bridge(store="memory")
        b.start([calls("e__freeze", "c"), say("ok")], [command("c", ["sleep", "600"])], agent={"mcpServers": servers})
        b.wait_event("tool.started", timeout=LONG)
        b.kill9()
    until(lambda: not [p for p in server_pids(lab) if alive(p)])

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

from harness import TIMEOUT, Error, Never, alive, calls, command, contains, expect, say, sh, sub, text_of, tool, until

BUILD = Path(__file__).resolve().parents[2] / ".build"
PYTHON, PYTHON_2 = (str(BUILD / line / "bin/python") for line in ("mcp-1", "mcp-2"))
SERVERS = Path(__file__).resolve().parent / "mcp_servers"
EVERYTHING = SERVERS / "everything.py"
PAIR = [{"name": n, "inputSchema": {"type": "object"}} for n in ("a", "b")]
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


def plain(more={}, **options):
    return {"command": "python3", "args": [str(SERVERS / "plain.py"), json.dumps(options)], **more}


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


@pytest.mark.parametrize("names", [["a"], ["p__a"]], ids=["its own name", "the offered name"])
def test_either_name_of_a_tool_has_it_offered_and_called(bridge, names):
    o = go(bridge, [calls("p__a", "p__b"), say("ok")], {"p": plain({"tools": names}, tools=PAIR)})
    assert {d["name"]: d["isError"] for d in done(bridge, o)} == {"p__a": False, "p__b": True}
    assert [t["name"] for t in bridge.log_of(o["runId"], "tools.changed")[0]["tools"]] == ["p__a"]


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


@pytest.mark.parametrize("names, gated", [(["a"], ["p__a"]), (["p__a"], ["p__a"]), (["A"], ["p__a", "p__b"]), (["a", "c"], ["p__a", "p__b"])],
                         ids=["its own name", "the offered name", "a name of no tool", "one of two is no tool's"])
def test_a_gate_takes_either_name_of_a_tool_and_a_misplaced_one_is_before_all(lab, names, gated):
    b = lab.bridge()
    o = b.run([calls("p__a", "p__b"), say("ok")], agent={"mcpServers": {"p": plain({"requiresApproval": names}, tools=PAIR)}}, timeout=LONG)
    assert [(c["name"], c["needs"]) for c in o["pendingToolCalls"]] == [(n, "approval") for n in gated]
    warned = [w for d in b.log_of(o["runId"], "tools.changed") for w in d.get("warnings", [])]
    if gated == ["p__a"]:
        assert warned == []
    else:
        warning, = warned
        assert "'p'" in warning and f"({[n for n in names if n != 'a'][0]})" in warning


@pytest.mark.parametrize("change", ["args", "env"])
def test_an_approval_for_the_session_is_for_that_server_alone(lab, change):
    """The same program is not asked for again, in another process either; another one behind the same name is."""
    b, c = (lab.bridge(capabilities={"approvals": {}}) for _ in range(2))

    def turn(b, s, n):
        more = {"requiresApproval": True, **({"env": {"V": n}} if change == "env" else {})}
        results = {"echo": {"content": [{"type": "text", "text": n}]}} if change == "args" else {}
        return b.start([calls("p__echo"), say("ok")], agent={"mcpServers": {"p": plain(more, results=results)}}, sessionId=s)

    def approved(b, i):
        b.respond(b.next_request("approval.request", LONG), {"decision": "approve", "scope": "session"})
        return b.result(i, LONG)["status"]
    same, other = (b.call("session.create")["sessionId"] for _ in range(2))
    assert [approved(b, turn(b, s, "1")) for s in (same, other)] == ["success"] * 2
    # What was decided two turns ago comes from the log of the turn between them.
    assert b.result(turn(b, same, "1"), LONG)["status"] == "success"
    assert c.result(turn(c, same, "1"), LONG)["status"] == "success"
    assert c.collect(lambda m: m.is_request) == []
    assert approved(b, turn(b, other, "2")) == "success"


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
def test_a_batch_of_everything_in_which_everything_fails_in_every_way(lab):
    """A command, two MCP servers, a sub-agent and a client tool in one batch, round after round, and the run goes on each time."""
    b = lab.parent("--max-message-bytes", "1000000")
    number = {"type": "object", "properties": {"n": {"type": "integer"}}}
    tools = [sh("c", "echo from a command"), sh("exits", "exit 3"), sh("dies", "kill -SEGV $$"), sh("hangs", "sleep 600", timeoutMs=300),
             command("absent", ["no-such-program-anywhere"]), tool("local", number, outputSchema=number, timeoutMs=1000),
             sub(lab, "errs", [say("x", expect=expect(content="something else"))]), sub(lab, "loops", [calls("look"), say("x")], [sh("look", "true")], {"limits": {"maxIterations": 1}}),
             sub(lab, "slow", [say("x", delayMs=600_000)], timeoutMs=300), {"name": "nobody", "description": "", "agent": "no-such-agent"}, sub(lab, "s", [say("from the sub-agent")])]
    # Longer than a server has to show that it still reads: what waits for that is not lost.
    servers = {"e": everything(), "f": everything("--other", timeoutMs=6000)}
    rounds = [
        ({"exits": {}, "e__crash": {"code": 5}, "f__fail": {"words": "the weather"}, "errs": {"input": "?"}, "local": {"n": 1}},
         {"exits": "exit code 3", "errs": "script", "e__crash": "exit code 5", "f__fail": "the weather", "local": "not today"}, Error(message="not today")),
        ({"dies": {}, "e__kill": {"number": 9}, "f__stall": {}, "loops": {"input": "?"}, "local": {"n": 2}},
         {"dies": "SIGSEGV", "loops": "limit of model turns", "e__kill": "SIGKILL", "f__stall": "6000 ms", "local": "its result is unknown"}, Never),
        ({"hangs": {}, "e__close": {}, "f__no_such_tool": {}, "slow": {"input": "?"}, "local": {"n": "three"}},
         {"slow": "300 ms", "hangs": "timed out after 300 ms", "e__close": "closed its output", "f__no_such_tool": "no tool named", "local": "/n"}, Never),
        ({"absent": {}, "e__big": {"size": 2_000_000}, "f__freeze": {"seconds": 600}, "nobody": {"input": "?"}, "local": {"n": 4}},
         {"nobody": "could not be started", "absent": "no-such-program-anywhere", "e__big": "1000000 bytes", "f__freeze": "6000 ms", "local": "/n"}, {"structuredContent": {"n": "four"}})]
    answers = iter([r[2] for r in rounds if r[2] is not Never or r[0]["local"]["n"] != "three"] + [{"structuredContent": {"n": 5}}])
    b.handlers["local"] = lambda p: next(answers)
    last = {"c": {}, "e__echo": {"text": "from e"}, "f__echo": {"text": "from f"}, "s": {"input": "?"}, "local": {"n": 5}}
    o = go(b, [calls(*batch.items()) for batch, _, _ in rounds] + [calls(*last.items()), say("ok")], servers, tools=tools)
    results = done(b, o)
    assert len(results) == 5 * (len(rounds) + 1)
    for n, (_, words, _) in enumerate(rounds):
        told = {d["name"]: d for d in results[5 * n:5 * n + 5]}
        assert {name: told[name]["isError"] and words[name] in text_of(told[name]["content"]) for name in words} == dict.fromkeys(words, True), told
    assert {d["name"]: d["isError"] for d in results[-5:]} == dict.fromkeys(last, False)


# ---- the definition

def test_what_is_wrong_with_a_definition_is_named(bridge, lab):
    model = lab.script([say("ok")])
    for server, pointer in [({}, "command"), ({"command": ""}, "command"), ({"command": "x", "args": [1]}, "args/0"), ({"command": "x", "env": {"A": 1}}, "env/A"),
                            ({"command": "x", "timeoutMs": 0}, "timeoutMs"), ({"command": "x", "requiresApproval": "no"}, "requiresApproval")]:
        agent = {"model": model, "mcpServers": {"a/b": server}}
        bridge.refuses("run.start", {"input": "go", "agent": agent}, f"/agent/mcpServers/a~1b/{pointer}")
        bridge.refuses("agent.create", {"agent": agent}, f"/agent/mcpServers/a~1b/{pointer}")
    remote = {"model": model, "mcpServers": {"far": {"type": "http", "command": "x", "url": "http://127.0.0.1:9/"}}}
    assert bridge.fails("run.start", {"input": "go", "agent": remote}, kind="unsupportedCapability", valid=False).data["pointer"] == "/agent/mcpServers/far/type"


def test_unknown_members_of_a_server_are_named(lab):
    agent = {"mcpServers": {"p": plain({"requireApproval": True, "type": "stdio"})}}
    b = lab.bridge()
    o = go(b, [say("ok")], agent["mcpServers"])
    assert [w for w in b.log_of(o["runId"], "run.started")[0]["warnings"] if w.startswith("/agent/mcpServers/p/requireApproval")]
    strict = lab.bridge("--strict")
    strict.refuses("run.start", {"input": "go", "agent": {"model": lab.script([say("ok")]), **agent}}, "/agent/mcpServers/p/requireApproval")


def test_a_stored_agent_has_servers_and_its_env_is_shown_nowhere(lab, bridge):
    secret = "sk-literal-0123456789"
    agent = {"model": lab.script([calls(("p__echo", {"a": 1})), say("ok")]), "mcpServers": {"p": plain({"env": {"TOKEN": secret}})}}
    a = bridge.call("agent.create", {"agent": agent})["agentId"]
    shown = bridge.call("agent.get", {"agentId": a})["agent"]
    assert shown["mcpServers"]["p"]["env"] == {"TOKEN": "(hidden)"}
    bridge.call("agent.update", {"agentId": a, "agent": {**shown, "name": "other"}})
    o = bridge.call("run.start", {"input": "go", "agentId": a}, LONG)
    assert o["status"] == "success" and done(bridge, o)[0]["isError"] is False
    assert secret not in json.dumps(bridge.get(o["runId"])) and secret.encode() not in bridge.stderr


def test_an_agent_in_a_file_has_servers(lab):
    folder = lab.path / "agents"
    folder.mkdir()
    (folder / "helper.json").write_text(json.dumps({"model": lab.script([calls(("p__echo", {"a": 1})), say("ok")]), "mcpServers": {"p": plain()}}))
    b = lab.bridge("--agents", folder)
    o = b.call("run.start", {"input": "go", "agentId": "helper"}, LONG)
    assert o["status"] == "success" and done(b, o)[0]["isError"] is False


# ---- what becomes of calls

def test_structured_content_is_judged_by_the_servers_output_schema(bridge):
    schema = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
    tools = [{"name": n, "inputSchema": {"type": "object"}, "outputSchema": schema} for n in ("good", "bad", "none")]
    results = {"good": {"structuredContent": {"total": 3}}, "bad": {"content": [], "structuredContent": {"total": "3"}}, "none": {"content": [{"type": "text", "text": "3"}]}}
    o = go(bridge, [calls("p__good", "p__bad", "p__none"), say("ok")], {"p": plain(tools=tools, results=results)})
    by_name = {d["name"]: d for d in done(bridge, o)}
    assert {n: d["isError"] for n, d in by_name.items()} == {"p__good": False, "p__bad": True, "p__none": True}
    assert "/total" in text_of(by_name["p__bad"]["content"])


def test_a_tool_whose_schema_cannot_be_read_here_is_judged_by_its_server(bridge):
    tools = [{"name": "odd", "inputSchema": {"type": "object", "noSuchKeyword": {"a": 1}}, "outputSchema": {"type": "nonsense"}}]
    o = go(bridge, [calls(("p__odd", {"a": 1})), say("ok")], {"p": plain(tools=tools)})
    d, = done(bridge, o)
    assert d["isError"] is False and text_of(d["content"]) == '{"a": 1}'
    assert "p__odd" in bridge.log_of(o["runId"], "tools.changed")[0]["warnings"][0]


def test_a_servers_own_hints_do_not_permit_a_repeat(lab):
    tools = [{"name": "t", "inputSchema": {"type": "object"}, "annotations": {"idempotentHint": True, "readOnlyHint": True}}]
    servers = {"p": plain(tools=tools, silent="tools/call")}
    a = lab.bridge()
    a.start([calls("p__t"), say("ok", expect=expect(isError=True))], agent={"mcpServers": servers})
    run = a.wait_event("tool.started", timeout=LONG).run_id
    a.kill9()
    b = lab.bridge()
    assert b.call("run.resume", {"runId": run}, LONG)["status"] == "success"
    d, = done(b, {"runId": run})
    assert d["isError"] is True and "unknown" in text_of(d["content"]) and len(b.log_of(run, "tool.started")) == 1


def test_a_call_that_takes_too_long_is_a_tool_error_and_the_server_goes_on(bridge):
    servers = {"e": everything(timeoutMs=700)} if has("mcp", PYTHON) else pytest.skip("mcp is not installed")
    o = go(bridge, [calls("e__stall"), calls(("e__echo", {"text": "well"})), say("ok")], servers)
    first, second = done(bridge, o)
    assert first["isError"] is True and "700 ms" in text_of(first["content"]) and "unknown" in text_of(first["content"])
    assert second["isError"] is False


def test_a_long_result_is_cut_for_the_model(bridge):
    results = {"echo": {"content": [{"type": "text", "text": "x" * 5000}]}}
    o = go(bridge, [calls("p__echo"), say("ok", expect=expect(content=contains("of 5000 bytes")))], {"p": plain({"maxResultBytes": 1000}, results=results)})
    assert text_of(done(bridge, o)[0]["content"]) == "x" * 5000


def test_calls_that_may_not_run_beside_others_run_alone(lab, bridge):
    servers = {"p": plain({"parallel": False})}
    o = go(bridge, [calls(("p__echo", {"n": 1}), "c", ("p__echo", {"n": 2})), say("ok")], servers, tools=[sh("c", "echo hi")])
    order = [(e["type"], e["data"]["name"]) for e in bridge.log(o["runId"]) if e["type"] in ("tool.started", "tool.completed")]
    for at, (kind, name) in enumerate(order):
        if kind == "tool.started" and name == "p__echo":
            assert order[at + 1] == ("tool.completed", "p__echo"), order


def test_a_servers_hold_goes_over_to_the_process_that_goes_on(lab):
    """The first bridge dies while the run waits for its parent; the second one starts the server for itself."""
    servers = {"p": plain(record=str(lab.path / "pids"))}
    a = lab.bridge()
    o = a.run([calls(("p__echo", {"n": 1}), "local"), calls(("p__echo", {"n": 2})), say("ok")], [tool("local")], agent={"mcpServers": servers}, timeout=LONG)
    assert o["status"] == "waiting_client_tool"
    a.kill9()
    b = lab.bridge()
    o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: {"content": "given"}}, LONG)
    assert o["status"] == "success"
    assert [(d["name"], d["isError"]) for d in done(b, o)] == [("p__echo", False), ("local", False), ("p__echo", False)]
    assert len(lab.lines("pids")) == 2


def test_every_turn_of_a_session_has_them(lab, bridge):
    session = bridge.call("session.create", {})["sessionId"]
    for n in range(2):
        o = go(bridge, [calls(("p__echo", {"n": n})), say("ok")], {"p": plain(record=str(lab.path / "pids"))}, sessionId=session)
        assert done(bridge, o)[0]["isError"] is False
    assert len(lab.lines("pids")) == 1


def test_an_agents_own_tool_wins_over_a_servers(bridge):
    o = go(bridge, [calls("p__echo"), say("ok")], {"p": plain()}, agent={"tools": [sh("p__echo", "echo mine")]})
    assert text_of(done(bridge, o)[0]["content"]) == "mine\n"


def test_a_servers_tools_can_be_called_by_nobody_who_only_names_a_route(bridge):
    bridge.refuses("run.start", {"input": "go", "agent": {"model": "script:/x"}, "tools": [{"name": "t", "description": "d", "route": {"server": "s", "tool": "t"}}]},
                   "/tools/0/inputSchema")
    o = bridge.run([calls("t"), say("ok")], [{**tool("t"), "route": {"server": "s", "tool": "t"}}])
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["target"] == "client"


@pytest.mark.parametrize("method", ["initialize", "tools/list"])
@pytest.mark.parametrize("word", ["cancel", "pause"])
def test_a_run_that_waits_for_a_server_to_start_can_be_stopped(bridge, word, method):
    run = bridge.start_id(bridge.start([say("ok")], agent={"mcpServers": {"p": plain(silent=method)}}))
    bridge.wait_event("run.started", run)
    assert bridge.call(f"run.{word}", {"runId": run})["status"] == {"cancel": "cancelled", "pause": "paused"}[word]


# ---- both lines of the package, which speak different revisions

BOTH = [pytest.param(PYTHON, marks=needs("mcp")), pytest.param(PYTHON_2, marks=needs("mcp", PYTHON_2))]


@pytest.mark.parametrize("python", BOTH)
def test_both_lines_of_the_package_are_spoken(lab, python):
    b = lab.bridge(capabilities={"elicitation": {}})
    servers = {"e": {**everything("--record", lab.path / "pids"), "command": python}}
    b.start([calls(("e__echo", {"text": "hi"}), "e__kinds", ("e__add", {"parts": [1, 2]}), ("e__steps", {"count": 2})), calls("e__crash"),
             calls(("e__grow", {"name": "sprout"})), calls(("e__sprout", {"text": "hi"})), calls(("e__ask_user", {"question": "who?"})), say("ok")],
            agent={"mcpServers": servers})
    b.answer(b.next_request("elicitation/create", LONG), {"action": "accept", "content": {"name": "Ada"}})
    end = b.wait_event("run.completed", timeout=LONG)
    results = {d["name"]: d for d in done(b, end.data)}
    assert {n for n, d in results.items() if d["isError"]} == {"e__crash"}
    assert text_of(results["e__sprout"]["content"]) == "sprout: hi" and results["e__add"]["structuredContent"]["total"] == 3
    assert text_of(results["e__ask_user"]["content"]) == "accept Ada" and len(lab.lines("pids")) == 2


@needs("mcp_server_time", PYTHON_2)
def test_the_time_server_on_the_other_line(bridge):
    d = one(bridge, "time__get_current_time", {"timezone": "Asia/Tokyo"}, {"time": {**server("mcp_server_time"), "command": PYTHON_2}})
    assert d["isError"] is False


# ---- ends

@pytest.mark.parametrize("end", ["eof", "term"])
def test_a_server_that_does_not_want_to_end_does_not_keep_the_bridge(lab, end):
    b = lab.bridge()
    one(b, "p__echo", {}, {"p": plain(stubborn=True, record=str(lab.path / "pids"))})
    pid, = server_pids(lab)
    start = time.monotonic()
    assert (b.hang_up() if end == "eof" else (b.sigterm(), b.wait_exit())[1]) == 0
    # A second is what the page gives it; the rest is the machine's.
    assert time.monotonic() - start < 5
    until(lambda: not alive(pid))


def left(lab):
    """Processes that name the test's folder in their arguments, as all do that these tests have started. Numbers alone would be given to others."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(lab.path).encode() in file.read_bytes():
                found.append(file.parent.name)
        except OSError:
            pass
    return found


def start_and_kill(lab, when):
    """A bridge with a server and a command at work, which both would stay for ever."""
    b = lab.bridge(store="memory")
    servers = {"p": plain(stubborn=True, silent="tools/call", record=str(lab.path / "pids"))}
    b.start([calls("p__echo", "c"), say("ok")], [command("c", ["tail", "-f", str(lab.path / "pids")])], agent={"mcpServers": servers})
    when(b)
    b.kill9()


def test_kills_of_the_bridge_at_any_moment_leave_nothing(lab):
    for n in range(12):
        start_and_kill(lab, lambda b: b.wait_event("tool.started", timeout=LONG) if n % 3 else time.sleep(n / 50))
    until(lambda: not left(lab))


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


@pytest.mark.long
def test_a_thousand_kills_of_the_bridge_leave_nothing(lab):
    """python3 -m pytest Tests/EndToEndTests/test_mcp_servers.py -m long"""
    for _ in range(1000):
        start_and_kill(lab, lambda b: b.wait_event("tool.started", timeout=LONG))
    assert len(lab.lines("pids")) == 1000
    until(lambda: not left(lab))

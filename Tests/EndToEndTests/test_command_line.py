"""Section 13: the command, its options, environment and config file."""
import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import time

import pytest

from harness import BINARY, TIMEOUT, ULID, base_env, calls, contains, dumps, expect, loads, say, sh, tool, until

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def tool_file(lab, definition, name="tool.json"):
    return lab.file(name, definition)


def waiting(lab):
    """A waiting run, made by the command: (runId, callId)."""
    model = lab.script([calls(("t", {"a": 1})), say("the answer", expect=expect(content="the result"))])
    code, out, err = lab.cli("run", "--json", "--model", model, "--tool", tool_file(lab, tool("t")), "go")
    assert code == 75, err
    b = lab.bridge()
    r, = b.call("run.list", {"status": "waiting_client_tool"})["runs"]
    call, = b.get(r["runId"])["pendingToolCalls"]
    b.finish()
    return r["runId"], call["callId"]


# ---- run

def test_run_prints_the_answer_and_nothing_else_when_piped(lab):
    code, out, err = lab.cli("run", "--model", lab.script([say("the answer", expect={"role": "user", "content": "the prompt"})]), "the prompt")
    assert code == 0 and out.decode().rstrip("\n") == "the answer"
    assert err == b""


def test_run_with_a_prompt_of_several_words_or_odd_characters(lab):
    for prompt in ("two words", "ü 🚀", "--looks-like-a-flag"):
        model = lab.script([say("ok", expect={"content": prompt})])
        args = ["run", "--model", model] + (["--", prompt] if prompt.startswith("--") else [prompt])
        code, out, err = lab.cli(*args)
        assert code == 0, (prompt, err)


def test_run_with_a_command_tool_from_a_file(lab):
    model = lab.script([calls(("c", {"x": 1})), say("done", expect=expect(content=contains("worked")))])
    code, out, err = lab.cli("run", "--model", model, "--tool", tool_file(lab, sh("c", "echo worked")), "go")
    assert code == 0 and out.decode().rstrip("\n") == "done", err


def test_run_with_several_tools(lab):
    model = lab.script([calls("a", "b"), say("done", expect=expect(name="b", content=contains("B")))])
    a, b = tool_file(lab, sh("a", "echo A"), "a.json"), tool_file(lab, sh("b", "echo B"), "b.json")
    code, out, err = lab.cli("run", "--model", model, "--tool", a, "--tool", b, "go")
    assert code == 0, err


def test_run_with_an_agent_from_a_file(lab):
    agent = lab.file("agent.json", {"name": "helper", "model": lab.script([calls("c"), say("done")]), "tools": [sh("c", "true")]})
    code, out, err = lab.cli("run", "--agent", agent, "go")
    assert code == 0 and out.decode().rstrip("\n") == "done", err


def test_run_json_prints_json(lab):
    code, out, err = lab.cli("run", "--json", "--model", lab.script([say("the answer")]), "go")
    assert code == 0
    last = loads(out.strip()) if out.count(b"\n") <= 1 or out.startswith(b"{\n") else loads(out.splitlines()[-1])
    assert "the answer" in json.dumps(last) and "success" in json.dumps(last)


def test_run_exits_75_when_it_waits(lab):
    model = lab.script([calls("t"), say("x")])
    code, out, err = lab.cli("run", "--model", model, "--tool", tool_file(lab, tool("t")), "go")
    assert code == 75


def test_run_exits_1_on_error(lab):
    code, out, err = lab.cli("run", "--model", lab.script([]), "go")
    assert code == 1 and b"exhausted" in err.lower() + out.lower()


def test_run_exits_130_when_it_is_interrupted(lab):
    p = subprocess.Popen([BINARY, "run", "--model", lab.script([say("late", delayMs=60_000)]), "go"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=base_env(lab.path, FOOTBRIDGE_STORE=lab.store))
    try:
        b = lab.bridge()
        until(lambda: [r for r in b.call("run.list")["runs"] if r["driver"] == "other"], "the run")
        p.send_signal(signal.SIGINT)
        assert p.wait(TIMEOUT) == 130
        r, = b.call("run.list")["runs"]
        assert b.get(r["runId"])["driver"] == "none"
    finally:
        p.kill()
        p.wait()
        p.stdout.close(), p.stderr.close()


def test_run_exits_130_when_it_is_cancelled_by_another(lab):
    p = subprocess.Popen([BINARY, "run", "--model", lab.script([say("late", delayMs=60_000)]), "go"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=base_env(lab.path, FOOTBRIDGE_STORE=lab.store))
    try:
        b = lab.bridge()
        r = until(lambda: b.call("run.list", {"driver": "other"})["runs"], "the run")[0]
        b.call("run.cancel", {"runId": r["runId"]})
        assert p.wait(TIMEOUT) == 130
    finally:
        p.kill()
        p.wait()
        p.stdout.close(), p.stderr.close()


@pytest.mark.parametrize("content,code", [("{", (64, 78, 1)), ('{"name": 5}', (64, 78, 1)), (None, (64, 66, 78, 1))])
def test_run_with_a_bad_tool_file_says_which(lab, content, code):
    path = lab.path / "bad-tool.json"
    if content is not None:
        path.write_text(content)
    got, out, err = lab.cli("run", "--model", lab.script([say("x")]), "--tool", path, "go")
    assert got in code and out == b"" and b"bad-tool.json" in err


def test_run_with_an_unknown_provider_says_so(lab):
    code, out, err = lab.cli("run", "--model", "nosuchprovider:x", "go")
    assert code != 0 and out == b"" and b"nosuchprovider" in err


def on_a_terminal(lab, *args):
    """Runs the command with stdout and stderr on a terminal: (exit code, what was shown)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(BINARY, [BINARY, *map(str, args)], base_env(lab.path, FOOTBRIDGE_STORE=lab.store, TERM="xterm"))
    shown, end = b"", time.monotonic() + 2 * TIMEOUT
    try:
        while time.monotonic() < end:
            if select.select([fd], [], [], 0.1)[0]:
                try:
                    part = os.read(fd, 65536)
                except OSError:
                    break
                if not part:
                    break
                shown += part
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), shown.decode("utf-8", "replace")
    finally:
        os.close(fd)


def test_run_on_a_terminal_shows_progress_and_the_answer(lab):
    model = lab.script([calls("c"), say("the answer")])
    code, shown = on_a_terminal(lab, "run", "--model", model, "--tool", tool_file(lab, sh("c", "true")), "go")
    assert code == 0 and "the answer" in shown
    assert len(shown.strip()) > len("the answer"), "progress goes to a terminal"


# ---- the others

def test_runs_lists_what_is_there(lab):
    run, _ = waiting(lab)
    code, out, err = lab.cli("runs")
    assert code == 0 and run in out.decode() and "waiting_client_tool" in out.decode() and err == b""


def test_runs_of_an_empty_store(lab):
    lab.bridge().finish()
    code, out, err = lab.cli("runs")
    assert code == 0


def test_show_shows_a_run(lab):
    run, call = waiting(lab)
    code, out, err = lab.cli("show", run)
    assert code == 0 and run in out.decode() and "waiting_client_tool" in out.decode() and call in out.decode()


def test_events_prints_the_log(lab):
    run, _ = waiting(lab)
    code, out, err = lab.cli("events", run)
    assert code == 0
    for type in ("run.started", "model.completed", "run.paused"):
        assert type in out.decode()


def test_events_follow_goes_on_until_the_end(lab):
    run, call = waiting(lab)
    p = subprocess.Popen([BINARY, "events", run, "--follow"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=base_env(lab.path, FOOTBRIDGE_STORE=lab.store))
    try:
        shown = b""
        os.set_blocking(p.stdout.fileno(), False)

        def seen(word):
            nonlocal shown
            part = p.stdout.read()
            shown += part or b""
            return word in shown
        until(lambda: seen(b"run.paused"), "the events so far")
        lab.bridge().submit(run, {call: "the result"})
        until(lambda: seen(b"run.completed"), "the end")
        assert p.wait(TIMEOUT) == 0
    finally:
        p.kill()
        p.wait()
        p.stdout.close(), p.stderr.close()


def test_submit_answers_a_run_from_a_file(lab):
    run, call = waiting(lab)
    path = lab.file("results.json", {"results": [{"callId": call, "content": "the result"}]})
    code, out, err = lab.cli("submit", run, path)
    assert code == 0, (out, err)
    assert lab.bridge().get(run)["status"] == "success"


def test_submit_answers_a_run_from_stdin(lab):
    run, call = waiting(lab)
    code, out, err = lab.cli("submit", run, stdin=dumps({"results": [{"callId": call, "content": "the result"}]}))
    assert code == 0, (out, err)
    assert lab.bridge().get(run)["answer"] == "the answer"


@pytest.mark.parametrize("content", [b"{", b'{"results": 5}', b'{"results": [{"callId": "nobody", "content": "x"}]}', b""])
def test_a_bad_submit_fails_and_changes_nothing(lab, content):
    run, call = waiting(lab)
    code, out, err = lab.cli("submit", run, stdin=content)
    assert code not in (0, 75, 70) and err.strip()
    assert lab.bridge().get(run)["status"] == "waiting_client_tool"


def test_cancel_cancels(lab):
    run, _ = waiting(lab)
    code, out, err = lab.cli("cancel", run)
    assert code in (0, 130)
    assert lab.bridge().get(run)["status"] == "cancelled"


@pytest.mark.parametrize("args", [["show"], ["events"], ["cancel"], ["submit"]])
def test_an_unknown_run_is_an_error_that_says_so(lab, args):
    lab.bridge().finish()
    code, out, err = lab.cli(*args, "01ARZ3NDEKTSV4RRFFQ69G5FAV", stdin=b'{"results":[]}')
    assert code not in (0, 70, 75) and b"01ARZ3NDEKTSV4RRFFQ69G5FAV" in err and out == b""


def test_schema_prints_the_whole_document_or_one_method(lab):
    code, out, err = lab.cli("schema")
    assert code == 0 and "openrpc" in loads(out)
    for method in ("run.start", "tool.invoke", "initialize", "blob.read"):
        code, out, err = lab.cli("schema", method)
        assert code == 0 and method in out.decode()
        loads(out)


def test_schema_of_an_unknown_method(lab):
    code, out, err = lab.cli("schema", "no.such")
    assert code not in (0, 70) and b"no.such" in err and out == b""


def test_version_is_the_one_of_server_info(lab):
    code, out, err = lab.cli("--version")
    assert code == 0 and err == b"" and re.search(r"\d+\.\d+", out.decode())
    assert lab.bridge().init_result["serverInfo"]["version"] in out.decode()
    for args in (["--store", "memory", "--version"], ["run", "--version"]):
        assert lab.cli(*args, store=False) == (0, out, b"")


@pytest.mark.parametrize("args", [["help"], ["--help"]])
def test_help_lists_the_commands(lab, args):
    code, out, err = lab.cli(*args)
    assert code == 0
    for word in ("serve", "run", "runs", "show", "events", "submit", "cancel", "schema", "--store"):
        assert word in out.decode()


@pytest.mark.parametrize("command", ["serve", "run", "runs", "show", "events", "submit", "cancel", "schema"])
def test_help_of_a_command(lab, command):
    code, out, err = lab.cli("help", command)
    assert code == 0 and command in out.decode()


def test_help_of_two_commands_is_one_too_many(lab):
    code, out, err = lab.cli("help", "run", "runs")
    assert code == 64 and out == b"" and b"'runs'" in err
    assert lab.cli("help", "run", "--log-level", "debug")[0] == 0


def test_help_of_an_unknown_command(lab):
    assert lab.cli("help", "frobnicate")[0] == 64


def test_the_query_commands_make_no_process_wait_for_stdin(lab):
    code, out, err = lab.cli("--version", stdin=None)
    assert code == 0


def test_serve_is_the_default(lab):
    for args in ([], ["serve"]):
        code, out, err = lab.cli(*args, stdin=dumps(PING) + b"\n")
        assert code == 0 and loads(out) == {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_help_and_version_need_no_store(lab):
    for args in (["--version"], ["help"], ["schema"]):
        assert lab.cli(*args, env={"FOOTBRIDGE_STORE": "sqlite:/proc/nowhere/x.db"}, store=False)[0] == 0


# ---- options, environment, config

def limits_of(lab, *args, env=None):
    init = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2026-11-20", "clientInfo": {"name": "t", "version": "1"}, "capabilities": {}}}
    code, out, err = lab.cli(*args, stdin=dumps(init) + b"\n", env=env)
    assert code == 0, err
    return loads(out.splitlines()[0])["result"]["limits"]


def test_options_before_and_after_serve(lab):
    assert limits_of(lab, "--max-message-bytes", "123456")["maxMessageBytes"] == 123456
    assert limits_of(lab, "serve", "--max-message-bytes", "123456")["maxMessageBytes"] == 123456
    assert limits_of(lab, "serve", "--max-message-bytes=123456")["maxMessageBytes"] == 123456


def test_each_option_is_an_environment_variable(lab):
    got = limits_of(lab, env={"FOOTBRIDGE_MAX_MESSAGE_BYTES": "123456", "FOOTBRIDGE_MAX_CONCURRENT_RUNS": "7"})
    assert (got["maxMessageBytes"], got["maxConcurrentRuns"]) == (123456, 7)


def test_an_empty_environment_variable_is_none(lab):
    empty = {"FOOTBRIDGE_STORE": "", "FOOTBRIDGE_CONFIG": "", "FOOTBRIDGE_LOG_LEVEL": "", "FOOTBRIDGE_MAX_CONCURRENT_RUNS": "", "FOOTBRIDGE_STRICT": ""}
    assert limits_of(lab, env=empty) == limits_of(lab)


def test_an_option_wins_over_the_environment_and_that_over_the_config(lab):
    config = lab.file("config.json", {"max-message-bytes": 100001, "max-concurrent-runs": 5})
    got = limits_of(lab, "--config", config)
    assert (got["maxMessageBytes"], got["maxConcurrentRuns"]) == (100001, 5)
    got = limits_of(lab, "--config", config, env={"FOOTBRIDGE_MAX_MESSAGE_BYTES": "100002"})
    assert (got["maxMessageBytes"], got["maxConcurrentRuns"]) == (100002, 5)
    got = limits_of(lab, "--config", config, "--max-message-bytes", "100003", env={"FOOTBRIDGE_MAX_MESSAGE_BYTES": "100002"})
    assert got["maxMessageBytes"] == 100003


def test_the_config_may_name_the_store(lab):
    config = lab.file("config.json", {"store": f"sqlite:{lab.path}/from-config.db"})
    code, out, err = lab.cli("--config", config, store=False, stdin=dumps(PING) + b"\n")
    assert code == 0, err
    assert (lab.path / "from-config.db").exists()


def test_strict_by_option_environment_and_config(lab):
    line = {"jsonrpc": "2.0", "id": 1, "method": "run.start", "params": {"input": "x", "agent": {"model": lab.script([say("ok")]), "typo": 1}}}
    config = lab.file("config.json", {"strict": True})
    for args, env in ((["--strict"], {}), ([], {"FOOTBRIDGE_STRICT": "1"}), ([], {"FOOTBRIDGE_STRICT": "true"}), (["--config", config], {})):
        code, out, err = lab.cli(*args, env=env, stdin=dumps(line) + b"\n")
        got = [m for m in map(loads, out.splitlines()) if m.get("id") == 1][0]
        assert got.get("error", {}).get("code") == -32602, (args, env)


def test_the_default_store_is_under_xdg_state_home(lab):
    code, out, err = lab.cli(store=False, stdin=dumps(PING) + b"\n")
    assert code == 0, err
    path = lab.path / "state" / "footbridge" / "runs.db"
    assert path.exists() and mode(path) == 0o600 and mode(path.parent) == 0o700


def test_without_xdg_state_home_it_is_under_home(lab):
    code, out, err = lab.cli(store=False, env={"XDG_STATE_HOME": None}, stdin=dumps(PING) + b"\n")
    assert code == 0, err
    assert (lab.path / ".local" / "state" / "footbridge" / "runs.db").exists()


@pytest.mark.parametrize("home", [None, ""])
def test_without_a_home_the_store_must_be_named(lab, home):
    code, out, err = lab.cli(store=False, env={"XDG_STATE_HOME": None, "HOME": home}, stdin=dumps(PING) + b"\n")
    assert code == 78 and b"--store" in err, (code, err)


def test_files_are_0600_and_folders_0700_whatever_the_umask(lab):
    path = lab.path / "new" / "deep" / "runs.db"
    b = lab.bridge(store=f"sqlite:{path}", preexec=lambda: os.umask(0))
    b.run([say("ok")])
    for p in (path, path.with_name("runs.db-wal"), path.with_name("runs.db-shm")):
        assert p.exists() and mode(p) == 0o600, p
    assert mode(path.parent) == 0o700 and mode(path.parent.parent) == 0o700
    for p in path.parent.iterdir():
        assert mode(p) & 0o077 == 0, p


def test_a_memory_store_leaves_no_file(lab):
    b = lab.bridge("--store", "memory", cwd=lab.path)
    before = set(lab.path.iterdir())
    o = b.run([calls("t"), say("ok")], [tool("t")])
    assert b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})["status"] == "success"
    b.check_replay(o["runId"])
    assert {p.name for p in set(lab.path.iterdir()) - before} <= {"script-1.jsonl"}


def test_a_memory_store_is_forgotten(lab):
    a = lab.bridge("--store", "memory")
    a.run([say("ok")])
    a.hang_up()
    assert lab.bridge("--store", "memory").call("run.list") == {"runs": []}


def test_logs_go_to_stderr_and_stdout_stays_protocol(lab):
    for level in ("debug", "info"):
        b = lab.bridge("--log-level", level)
        b.succeeds([calls("c"), say("ok")], [sh("c", "echo noise >&2")])
        assert b.hang_up() == 0


def test_json_logs_are_json(lab):
    b = lab.bridge("--log-level", "debug", "--log-format", "json")
    b.succeeds([calls("c"), say("ok")], [sh("c", "true")])
    assert b.hang_up() == 0
    for line in bytes(b.stderr).splitlines():
        assert isinstance(loads(line), dict), line


def test_nothing_is_logged_by_default_when_all_is_well(lab):
    b = lab.bridge()
    b.succeeds([calls("c"), say("ok")], [sh("c", "true")])
    assert b.hang_up() == 0
    assert bytes(b.stderr) == b""


def test_no_key_stands_in_any_log_event_or_store(lab):
    secret = "sk-ant-very-secret-4711"
    b = lab.bridge("--log-level", "debug", env={"ANTHROPIC_API_KEY": secret, "OPENAI_API_KEY": secret})
    b.succeeds([calls("c"), say("ok")], [sh("c", "true")])
    assert b.hang_up() == 0
    assert secret.encode() not in bytes(b.stderr)
    assert not any(secret.encode() in m.raw for m in b.messages)
    for p in lab.path.glob("runs.db*"):
        assert secret.encode() not in p.read_bytes()


def test_a_terminal_on_stdin_of_serve_is_told_what_this_is(lab):
    """`footbridge` typed at a prompt: it must not crash, and ends with the end of input."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(BINARY, [BINARY], base_env(lab.path, FOOTBRIDGE_STORE=lab.store))
    try:
        os.write(fd, b"\x04")
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            got, status = os.waitpid(pid, os.WNOHANG)
            if got:
                break
            if select.select([fd], [], [], 0.05)[0]:
                try:
                    os.read(fd, 65536)
                    os.write(fd, b"\x04")
                except OSError:
                    pass
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pytest.fail("it did not end at the end of input")
        assert os.WIFEXITED(status)
    finally:
        os.close(fd)


def test_the_run_ids_of_the_command_are_those_of_the_protocol(lab):
    run, call = waiting(lab)
    assert ULID.match(run) and ULID.match(call)

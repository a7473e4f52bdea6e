"""Section 5 (a): server tools that are commands."""
import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest

from harness import TIMEOUT, alive, calls, command, contains, expect, raw_get, say, sh, text_of, until


def done(b, o):
    return b.log_of(o["runId"], "tool.completed")


def test_stdout_is_the_result(bridge):
    o = bridge.succeeds([calls("c"), say("ok", expect=expect(content=contains("hello from a command"), isError=False))], [sh("c", "echo hello from a command")])
    d, = done(bridge, o)
    assert d["isError"] is False and "hello from a command" in text_of(d["content"]) and d["exitCode"] == 0 and d["target"] == "server"


COUNT = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


def test_with_an_output_schema_stdout_is_the_structured_content(bridge):
    o = bridge.succeeds([calls("c"), say("ok", expect=expect(content='{"n": 1}\n', isError=False))], [sh("c", """echo '{"n": 1}'""", outputSchema=COUNT)])
    d, = done(bridge, o)
    assert d["isError"] is False and d["structuredContent"] == {"n": 1} and d["exitCode"] == 0


@pytest.mark.parametrize("output,words", [("n is 1", "not JSON"), ('{"n": "one"}', "/n")])
def test_with_an_output_schema_what_does_not_fit_is_a_tool_error_that_says_so(bridge, output, words):
    o = bridge.succeeds([calls("c"), say("ok", expect=expect(content=contains("outputSchema"), isError=True))], [sh("c", f"echo '{output}'", outputSchema=COUNT)])
    d, = done(bridge, o)
    assert d["isError"] is True and words in text_of(d["content"]) and "structuredContent" not in d
    assert d["exitCode"] == 0 and d["stdout"]


def test_arguments_come_as_json_on_stdin(lab, bridge):
    bridge.succeeds([calls(("c", {"a": [1, "ü", None]})), say("ok")], [sh("c", f"cat > {lab.path}/in")])
    assert json.loads((lab.path / "in").read_text()) == {"a": [1, "ü", None]}


def test_arguments_come_exactly(lab, bridge):
    arguments = '{"z":0.10,"n":18446744073709551615,"a":1e2,"s":"\\u0000","x":-0}'
    model = lab.script(['{"toolCalls":[{"name":"c","arguments":' + arguments + "}]}", say("ok")])
    bridge.succeeds(model, [sh("c", f"cat > {lab.path}/in")])
    assert (lab.path / "in").read_text().strip() == arguments


def test_stdin_ends_after_the_arguments(bridge):
    bridge.succeeds([calls(("c", {"a": 1})), say("ok", expect=expect(content=contains("ended")))], [sh("c", "cat >/dev/null; echo ended")])


def test_a_command_that_reads_no_stdin_is_fine(bridge):
    big = {"a": "x" * 500_000}
    bridge.succeeds([calls(("c", big)), say("ok", expect=expect(content=contains("fine")))], [sh("c", "exec <&-; echo fine")], timeout=3 * TIMEOUT)


def test_the_words_of_the_command_are_not_read_by_a_shell(bridge):
    bridge.succeeds([calls("c"), say("ok", expect=expect(content=contains("$HOME; a  b|*")))], [command("c", ["/bin/echo", "$HOME; a  b|*"])])


def test_a_program_is_found_on_the_path(bridge):
    bridge.succeeds([calls("c"), say("ok", expect=expect(content=contains("hi")))], [command("c", ["echo", "hi"])])


@pytest.mark.parametrize("code", [1, 2, 42, 255])
def test_an_exit_code_that_is_not_0_is_a_tool_error(bridge, code):
    o = bridge.succeeds([calls("c"), say("ok", expect=expect(isError=True))], [sh("c", f"echo partly; echo why >&2; exit {code}")])
    d, = done(bridge, o)
    assert d["isError"] is True and d["exitCode"] == code


def test_a_bridge_whose_parent_ignores_ended_children_still_learns_how_they_end(lab):
    b = lab.bridge(preexec=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    o = b.succeeds([calls(("c", {}), ("d", {})), say("ok")], [sh("c", "echo fine"), sh("d", "exit 3")])
    ends = {d["name"]: d for d in done(b, o)}
    assert ends["c"]["isError"] is False and "fine" in text_of(ends["c"]["content"])
    assert ends["d"]["isError"] is True and ends["d"]["exitCode"] == 3


def test_stdout_stderr_and_exit_code_are_kept(bridge):
    o = bridge.succeeds([calls("c"), say("ok")], [sh("c", "echo out; echo err >&2; exit 7")])
    d, = done(bridge, o)
    assert "out" in json.dumps([d.get("stdout"), d["content"]]) and "err" in json.dumps([d.get("stderr"), d["content"]]) and d["exitCode"] == 7


def test_the_model_sees_why_a_command_failed(bridge):
    bridge.succeeds([calls("c"), say("ok", expect=expect(isError=True, content=contains("because of the weather")))], [sh("c", "echo because of the weather >&2; exit 1")])


def test_a_signal_that_ends_a_command_is_a_tool_error(bridge):
    o = bridge.succeeds([calls("c"), say("ok", expect=expect(isError=True))], [sh("c", "kill -SEGV $$")])
    assert done(bridge, o)[0]["isError"] is True


def test_a_command_without_output(bridge):
    o = bridge.succeeds([calls("c"), say("ok", expect=expect(isError=False))], [sh("c", "true")])
    assert done(bridge, o)[0]["isError"] is False


def test_output_that_is_not_utf8_does_no_harm(bridge):
    o = bridge.succeeds([calls("c"), say("ok", expect=expect(content=contains("abc")))], [sh("c", "printf 'abc\\377\\376\\000def'; printf '\\200' >&2")])
    assert done(bridge, o)[0]["isError"] is False


def test_output_that_looks_like_protocol_is_only_output(bridge):
    line = '{"jsonrpc":"2.0","id":1,"result":{"deferred":true,"isError":true}}'
    o = bridge.succeeds([calls("c"), say("ok", expect=expect(content=contains(line)))], [sh("c", f"echo '{line}'")])
    assert done(bridge, o)[0]["isError"] is False


def test_deferred_and_augmentation_in_a_commands_output_are_ignored(bridge):
    o = bridge.succeeds([calls("c"), say("ok")], [sh("c", """echo '{"deferred":true,"content":"x","augmentation":{"updateState":{"a":1}}}'""")])
    assert "augmentation.applied" not in bridge.log_types(o["runId"])


def test_much_output_is_kept_whole(bridge):
    o = bridge.succeeds([calls("c"), say("ok")], [sh("c", "seq 1 200000")], timeout=3 * TIMEOUT)
    d, = done(bridge, o)
    kept = bridge.whole(d)
    whole = "".join(f"{n}\n" for n in range(1, 200_001)).strip()
    assert kept["isError"] is False
    assert whole in text_of(kept["content"]) or any(whole in part for part in kept.get("stdout", []))


def test_both_pipes_full_at_once_is_no_deadlock(bridge):
    script = "i=0; while [ $i -lt 3000 ]; do echo 'out out out out out out out out out out out out'; echo 'err err err err err err err err err err err' >&2; i=$((i+1)); done"
    bridge.succeeds([calls(("c", {"a": "x" * 200_000})), say("ok")], [sh("c", script)], timeout=3 * TIMEOUT)


# ---- environment and folder

def env_of(lab, b, tool):
    b.succeeds([calls("c"), say("ok", expect=expect(isError=False))], [tool])
    return dict(line.split("=", 1) for line in (lab.path / "env").read_text().splitlines() if "=" in line)


def test_the_environment_is_path_home_lang_tmpdir_and_the_tools_own(lab):
    b = lab.bridge(env={"SECRET_TOKEN": "hunter2", "ANTHROPIC_API_KEY": "sk-x"})
    env = env_of(lab, b, command("c", ["/usr/bin/env", "sh", "-c", f"/usr/bin/env > {lab.path}/env"], env={"MINE": "1", "B": "zwei €"}))
    assert env["HOME"] == str(lab.path) and env["LANG"] == "C.UTF-8" and env["PATH"] and env["TMPDIR"]
    assert env["MINE"] == "1" and env["B"] == "zwei €"
    assert "SECRET_TOKEN" not in env and "ANTHROPIC_API_KEY" not in env
    assert not [k for k in env if k.startswith("FOOTBRIDGE")]
    assert set(env) <= {"PATH", "HOME", "LANG", "TMPDIR", "MINE", "B", "PWD", "SHLVL", "_", "OLDPWD"}


def test_dollar_braces_read_the_bridges_environment(lab):
    b = lab.bridge(env={"SECRET_TOKEN": "hunter2"})
    env = env_of(lab, b, command("c", ["/usr/bin/env", "sh", "-c", f"/usr/bin/env > {lab.path}/env"],
                                 env={"TOKEN": "${SECRET_TOKEN}", "MIX": "a-${SECRET_TOKEN}-b", "PLAIN": "$SECRET_TOKEN"}))
    assert env["TOKEN"] == "hunter2" and env["MIX"] == "a-hunter2-b" and env["PLAIN"] == "$SECRET_TOKEN"


def test_the_tools_env_may_replace_path(lab):
    b = lab.bridge()
    env = env_of(lab, b, command("c", ["/bin/sh", "-c", f"/usr/bin/env > {lab.path}/env"], env={"PATH": "/nowhere", "HOME": "/elsewhere"}))
    assert env["PATH"] == "/nowhere" and env["HOME"] == "/elsewhere"


def test_secret_values_are_shown_nowhere(lab):
    b = lab.bridge(env={"SECRET_TOKEN": "hunter2"})
    o = b.succeeds([calls("c"), say("ok")], [sh("c", "true", env={"TOKEN": "${SECRET_TOKEN}", "LITERAL": "swordfish"})], agent={"tools": [sh("d", "true", env={"L": "opensesame"})]})
    shown = json.dumps([m.obj for m in b.messages]) + json.dumps(b.get(o["runId"]))
    for secret in ("hunter2", "swordfish", "opensesame"):
        assert secret not in shown


def test_cwd_is_the_folder_it_runs_in(lab, bridge):
    (lab.path / "folder").mkdir()
    bridge.succeeds([calls("c"), say("ok", expect=expect(content=contains(f"{lab.path}/folder")))], [sh("c", "pwd", cwd=str(lab.path / "folder"))])


def test_a_cwd_that_does_not_exist_is_a_tool_error(lab, bridge):
    bridge.succeeds([calls("c"), say("ok", expect=expect(isError=True))], [sh("c", "pwd", cwd=str(lab.path / "nowhere"))])


def test_signals_are_as_a_program_expects_them(bridge):
    """No blocked or ignored signal is inherited (SIGPIPE, SIGTERM); 32 and 33 belong to the C library."""
    o = bridge.succeeds([calls("c"), say("ok")], [sh("c", "grep -E 'SigBlk|SigIgn' /proc/self/status")])
    masks = dict(line.split(":\t") for line in text_of(done(bridge, o)[0]["content"]).splitlines())
    assert {k: int(v, 16) & 0x7fffffff for k, v in masks.items()} == {"SigBlk": 0, "SigIgn": 0}, masks


def test_a_command_has_three_descriptors_and_leads_a_process_group(bridge):
    o = bridge.succeeds([calls("c"), say("ok")], [sh("c", "ls /proc/$$/fd; echo $$; cut -d' ' -f5 /proc/$$/stat")])
    words = text_of(done(bridge, o)[0]["content"]).split()
    assert words[:3] == ["0", "1", "2"] and len(words) == 5 and words[3] == words[4]


def test_its_lines_are_progress_while_it_runs(lab, bridge):
    r = bridge.start([calls("c"), say("ok")], [sh("c", f"echo one; echo two; echo three >&2; while [ ! -e {lab.path}/go ]; do sleep 0.05; done; printf rest")])
    run = bridge.start_id(r)
    seen = []
    for stream, text in (("stdout", "one\ntwo\n"), ("stderr", "three\n")):
        m = bridge.wait_event("tool.progress", run, where=lambda m: m.data["stream"] == stream)
        assert m.data["text"] == text and "seq" not in m.params
        seen.append(m.data["callId"])
    lab.file("go", "")
    assert bridge.result(r)["status"] == "success"
    d, = done(bridge, {"runId": run})
    assert seen == [d["callId"]] * 2 and text_of(d["content"]) == "one\ntwo\nrest"
    assert [m.data["text"] for m in bridge.events(run, "tool.progress") if m.data["stream"] == "stdout"][-1] == "rest"


# ---- timeout, cancel

def group(lab, name="slow", **more):
    return sh(name, f"echo $$ > {lab.path}/pids; sleep 300 & echo $! >> {lab.path}/pids; wait", **more)


def pids_of(lab):
    until(lambda: len(lab.lines("pids")) == 2, "the command to start")
    return [int(x) for x in lab.lines("pids")]


def test_a_timeout_kills_the_process_group_and_is_a_tool_error(lab, bridge):
    start = time.monotonic()
    o = bridge.succeeds([calls("slow"), say("ok", expect=expect(isError=True))], [group(lab, timeoutMs=500)])
    assert 0.4 < time.monotonic() - start < 0.5 + 8
    until(lambda: not any(alive(p) for p in pids_of(lab)), "the process group to be gone")
    assert done(bridge, o)[0]["isError"] is True


def test_a_command_that_ignores_sigterm_is_killed_too(lab, bridge):
    bridge.succeeds([calls("slow"), say("ok", expect=expect(isError=True))],
                    [sh("slow", f"trap '' TERM INT HUP; echo $$ > {lab.path}/pids; echo $$ >> {lab.path}/pids; while :; do sleep 0.1; done", timeoutMs=500)], timeout=3 * TIMEOUT)
    until(lambda: not any(alive(p) for p in pids_of(lab)))


def test_output_before_the_timeout_is_kept(bridge):
    o = bridge.succeeds([calls("slow"), say("ok", expect=expect(isError=True))], [sh("slow", "echo got this far; sleep 60", timeoutMs=1000)])
    assert "got this far" in json.dumps(done(bridge, o)[0])


def test_cancelling_the_run_kills_the_command(lab, bridge):
    r = bridge.start([calls("slow"), say("ok")], [group(lab)])
    pids = pids_of(lab)
    start = time.monotonic()
    o = bridge.call("run.cancel", {"runId": bridge.start_id(r)})
    assert o["status"] == "cancelled" and time.monotonic() - start < 5
    assert bridge.result(r)["status"] == "cancelled"
    until(lambda: not any(alive(p) for p in pids))


def test_a_daemon_left_behind_does_not_hold_the_run(bridge):
    """The command exited; a child of it keeps the pipes open."""
    bridge.succeeds([calls("c"), say("ok", expect=expect(content=contains("started")))], [sh("c", "sleep 30 & echo started")], timeout=3 * TIMEOUT)


def test_no_zombies_are_left(lab, bridge):
    bridge.succeeds([{**calls("c", "c", "c"), "repeat": 5}, say("ok")], [sh("c", "true")])

    def children():
        found = []
        for task in Path(f"/proc/{bridge.pid}/task").iterdir():
            # A thread that ends meanwhile has none.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += (task / "children").read_text().split()
        return found
    until(lambda: children() == [], "all children to be reaped")


def test_no_descriptors_leak(lab, bridge):
    bridge.succeeds([calls("c"), say("ok")], [sh("c", "true")])
    before = len(os.listdir(f"/proc/{bridge.pid}/fd"))
    bridge.succeeds([{**calls("c", "c", "c", "c"), "repeat": 10}, say("ok")], [sh("c", "true")])
    until(lambda: len(os.listdir(f"/proc/{bridge.pid}/fd")) <= before + 2)


# ---- after a crash

def test_a_command_interrupted_by_a_crash_is_not_run_again(lab):
    a = lab.bridge()
    a.start([calls("c"), say("ok", expect=expect(isError=True, name="c"))], [sh("c", f"echo ran >> {lab.path}/ledger; sleep 300")])
    until(lambda: lab.lines("ledger"))
    run = a.wait_event("tool.started").run_id
    a.kill9()
    b = lab.bridge()
    o = b.call("run.resume", {"runId": run}, 2 * TIMEOUT)
    assert o["status"] == "success"
    assert lab.lines("ledger") == ["ran"]
    d, = done(b, o)
    assert d["isError"] is True
    assert "unknown" in json.dumps(d["content"]).lower()


@pytest.mark.parametrize("hint", ["idempotentHint", "readOnlyHint"])
def test_an_idempotent_command_is_run_again_with_a_higher_attempt(lab, hint):
    a = lab.bridge()
    line = f"echo ran >> {lab.path}/ledger; [ $(wc -l < {lab.path}/ledger) -ge 2 ] || sleep 300; echo fine"
    a.start([calls("c"), say("ok", expect=expect(isError=False, content=contains("fine")))], [sh("c", line, annotations={hint: True})])
    until(lambda: lab.lines("ledger"))
    run = a.wait_event("tool.started").run_id
    a.kill9()
    b = lab.bridge()
    o = b.call("run.resume", {"runId": run}, 2 * TIMEOUT)
    assert o["status"] == "success"
    assert lab.lines("ledger") == ["ran", "ran"]
    assert [d["attempt"] for d in b.log_of(run, "tool.started")] == [1, 2]
    assert len({d["callId"] for d in b.log_of(run, "tool.started")}) == 1


def test_a_command_that_was_done_before_the_crash_is_not_run_again(lab):
    a = lab.bridge()
    a.start([calls("quick", "slow"), say("ok")],
            [sh("quick", f"echo ran >> {lab.path}/ledger", annotations={"idempotentHint": True}), sh("slow", "sleep 300")])
    run = a.wait_event("tool.completed").run_id
    a.kill9()
    b = lab.bridge()
    assert b.call("run.resume", {"runId": run}, 2 * TIMEOUT)["status"] == "success"
    assert lab.lines("ledger") == ["ran"]


def test_output_json_is_text_for_the_model(bridge):
    o = bridge.succeeds([calls("c"), say("ok", expect=expect(content=contains('{"n":0.10}')))], [sh("c", """printf '{"n":0.10}'""")])
    raw = [t for t in bridge.replay(o["runId"]) if '"tool.completed"' in t][0]
    assert "0.10" in raw_get(raw, "data")

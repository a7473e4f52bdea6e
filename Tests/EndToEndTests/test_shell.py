"""Section 13: the commands for people, beyond what test_command_line.py looks at: what is shown where, and how a run goes on from a shell."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from harness import BINARY, CRASH, SCHEMAS, TIMEOUT, ULID, base_env, calls, check_outcome, contains, dumps, expect, loads, say, sh, tool, until

SLOW = 60_000


class Process:
    """A command that is still running; its output is read when asked for."""

    def __init__(self, lab, *args, env=None, stdin=subprocess.DEVNULL, **kw):
        self.proc = subprocess.Popen([BINARY, *map(str, args)], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=lab.path,
                                     env=base_env(lab.path, **{"FOOTBRIDGE_STORE": lab.store, **(env or {})}), start_new_session=True, **kw)
        self.out = b""
        os.set_blocking(self.proc.stdout.fileno(), False)

    def read(self):
        self.out += self.proc.stdout.read() or b""
        return self.out

    def sees(self, word):
        until(lambda: word in self.read(), f"{word!r} in the output, of which there is {self.out!r}")

    def ends(self):
        code = self.proc.wait(TIMEOUT)
        err = self.proc.stderr.read()
        assert not CRASH.search(err), err
        return code, self.read(), err

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close(), self.proc.stderr.close()


class Screen:
    """A command on a terminal: standard input, output and error."""

    def __init__(self, lab, *args, env=None, columns=100):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.clear()
            os.environ.update(base_env(lab.path, **{"FOOTBRIDGE_STORE": lab.store, "TERM": "xterm", **(env or {})}))
            os.chdir(lab.path)
            os.execv("/bin/sh", ["/bin/sh", "-c", f'stty rows 40 columns {columns}; exec "$@"', "sh", BINARY, *map(str, args)])
        self.shown = b""
        self.code = None

    def read(self, seconds=0.05):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                part = os.read(self.fd, 65536)
            except OSError:
                return False
            self.shown += part
            return bool(part)
        return True

    def sees(self, word):
        end = time.monotonic() + TIMEOUT
        while word not in self.shown:
            assert self.read() and time.monotonic() < end, self.shown
        return self

    def type(self, keys):
        os.write(self.fd, keys)
        return self

    def ends(self):
        """(exit code, what was shown)"""
        end = time.monotonic() + TIMEOUT
        while self.read():
            assert time.monotonic() < end, self.shown
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        assert not CRASH.search(self.shown), self.shown
        return self.code, self.shown.decode().replace("\r\n", "\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def on_screen(lab, *args, **kw):
    with Screen(lab, *args, **kw) as screen:
        return screen.ends()


def asleep(pid):
    """The main thread waits for something."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "S"


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def waiting(lab, names=("t",), then="the answer"):
    """A run that waits for one call of each tool: (runId, [callId])."""
    model = lab.script([calls(*((n, {"of": n}) for n in names)), say(then)])
    tools = lab.file("tools.json", [tool(n) for n in sorted(set(names))])
    code, out, err = lab.cli("run", "--json", "--model", model, "--tool", tools, "go")
    assert code == 75, err
    outcome = loads(out)
    return outcome["runId"], [c["callId"] for c in outcome["pendingToolCalls"]]


def show(lab, run):
    code, out, err = lab.cli("show", run, "--json")
    assert code == 0, err
    return loads(out)


def status(lab, run):
    return show(lab, run)["status"]


def events(lab, run, *more):
    code, out, err = lab.cli("events", run, *more)
    assert code == 0 and err == b"", err
    return out.splitlines()


# ---- run: what is printed where

def test_a_pipe_gets_the_answer_and_not_what_the_model_said_on_the_way(lab):
    model = lab.script([calls("c", text="let me look"), say("the answer")])
    code, out, err = lab.cli("run", "--model", model, "--tool", lab.file("c.json", sh("c", "echo noise; echo more >&2")), "go")
    assert (code, out, err) == (0, b"the answer\n", b"")


@pytest.mark.parametrize("has", [lambda t: {"toolkits": [{"name": "k", "description": "k", "tools": [t]}]}, lambda t: {"tools": [t], "toolkits": []}])
def test_an_agents_file_may_have_its_tools_in_toolkits(lab, has):
    model = lab.script([calls("c", text="let me look"), say("the answer")])
    agent = lab.file("a.json", {"model": model} | has(sh("c", "true")))
    assert lab.cli("run", "--agent", agent, "go") == (0, b"the answer\n", b"")


@pytest.mark.parametrize("text,out", [("one\ntwo\n", b"one\ntwo\n"), ("one\ntwo", b"one\ntwo\n"), ("", b""), ("ü 🦊\u001b[1m", "ü 🦊\u001b[1m\n".encode())])
def test_the_answer_is_exact_and_ends_its_line(lab, text, out):
    assert lab.cli("run", "--model", lab.script([say(text)]), "go") == (0, out, b"")
    model = lab.script([calls("c"), say(text)])
    assert lab.cli("run", "--model", model, "--tool", lab.file("c.json", sh("c", "true")), "go") == (0, out, b"")


@pytest.mark.parametrize("with_tool", [False, True])
def test_a_long_answer_comes_whole(lab, with_tool):
    text = "".join(f"line {i} of a long answer, ä and 🦊\n" for i in range(40_000))
    more = ["--tool", lab.file("c.json", sh("c", "true"))] if with_tool else []
    assert lab.cli("run", "--model", lab.script([say(text)]), *more, "go") == (0, text.encode(), b"")


def test_text_streams_into_a_pipe_when_no_tool_can_come_between(lab):
    with Process(lab, "run", "--model", lab.script([say("the first words of a long answer", delayMs=SLOW)]), "go") as p:
        p.sees(b"the first")
        assert b"answer" not in p.out


def test_a_slow_reader_loses_nothing(lab):
    text = "".join(f"line {i}\n" for i in range(300_000))
    with Process(lab, "run", "--model", lab.script([say(text)]), "go") as p:
        until(lambda: (show(lab, "last")["status"] if lab.cli("runs")[1] else None) == "success", "the run's end")
        os.set_blocking(p.proc.stdout.fileno(), True)
        assert p.proc.stdout.read() == text.encode()
        assert p.proc.wait(TIMEOUT) == 0


def test_interrupting_works_while_nobody_reads(lab):
    """The pipe is full, the run at work: a signal still cancels it, and a second one ends the process."""
    model = lab.script([calls("nobody", text="x" * 500_000), say("late", delayMs=SLOW)])
    with Process(lab, "run", "--model", model, "go") as p:
        until(lambda: lab.cli("runs")[1] and show(lab, "last")["usage"]["modelCalls"] == 1, "the second model call")
        p.proc.send_signal(signal.SIGINT)
        until(lambda: status(lab, "last") == "cancelled", "the cancel")
        assert p.proc.poll() is None, "what it has to say is not out yet"
        p.proc.send_signal(signal.SIGINT)
        assert p.proc.wait(TIMEOUT) == -signal.SIGINT


def test_a_reader_that_goes_away_ends_the_run_quietly(lab):
    with Process(lab, "run", "--model", lab.script([say("some text that streams slowly", delayMs=SLOW)]), "go") as p:
        p.sees(b"some")
        p.proc.stdout.close()
        assert p.proc.wait(TIMEOUT) == 130
        assert p.proc.stderr.read() == b""
        p.proc.stdout = open(os.devnull, "rb")
    assert status(lab, "last") == "cancelled"


def test_json_is_one_line_with_the_outcome(lab):
    model = lab.script([calls("t", text="on the way"), say("x" * 100_000)])
    code, out, err = lab.cli("run", "--json", "--model", model, "--tool", lab.file("t.json", sh("t", "true")), "go")
    assert code == 0 and err == b"" and out.endswith(b"\n") and out.count(b"\n") == 1
    outcome = loads(out)
    assert check_outcome(outcome) is None and outcome["answer"] == "x" * 100_000


def test_what_show_prints_as_json_is_what_run_get_answers(lab):
    run, _ = waiting(lab)
    assert show(lab, run) == lab.bridge().get(run)


def test_what_show_prints_as_json_has_state_and_context(lab):
    with_both = {"updateState": {"a": 1}, "addContext": [{"key": "k", "value": "v", "description": "d"}]}
    b = lab.bridge()
    run = b.result(b.start([say("ok")], augmentation=with_both))["runId"]
    shown = show(lab, run)
    assert shown == b.get(run) and shown["state"] == {"a": 1} and len(shown["context"]) == 1


def test_max_iterations_is_an_error_with_a_message(lab):
    agent = lab.file("agent.json", {"model": lab.script([{**calls("c"), "repeat": 5}]), "limits": {"maxIterations": 2}, "tools": [sh("c", "true")]})
    code, out, err = lab.cli("run", "--agent", agent, "go")
    assert code == 1 and out == b"" and b"2 model calls" in err and b"maxIterations" in err


def test_an_error_names_the_run_and_its_kind(lab):
    code, out, err = lab.cli("run", "--model", lab.script([say("x", expect={"content": "other"})]), "go")
    assert code == 1 and out == b"" and b"script.mismatch" in err and err.count(b"\n") == 1
    assert show(lab, "last")["runId"].encode() in err


def test_a_waiting_run_says_how_to_go_on_and_the_words_work(lab):
    model = lab.script([calls(("t", {"a": 1})), say("the answer", expect=expect(content="it's"))])
    path = lab.path / "a folder" / "runs.db"
    code, out, err = lab.cli("--store", f"sqlite:{path}", "run", "--model", model, "--tool", lab.file("t.json", tool("t")), "go", store=False)
    assert code == 75 and out == b""
    words = re.search(r"To go on: footbridge (submit .*)", err.decode())[1].replace("RESULT", "\"it's\"")
    p = subprocess.run(["/bin/sh", "-c", f"'{BINARY}' {words}"], capture_output=True, env=base_env(lab.path), cwd=lab.path)
    assert (p.returncode, p.stdout, p.stderr) == (0, b"the answer\n", b"")


def test_a_run_in_memory_says_that_it_is_gone(lab):
    code, out, err = lab.cli("--store", "memory", "run", "--model", lab.script([calls("t")]), "--tool", lab.file("t.json", tool("t")), "go")
    assert code == 75 and b"memory" in err and b"submit" not in err


# ---- run: what it is given

@pytest.mark.parametrize("given,seen", [(b"the prompt", "the prompt"), (b"the prompt\n", "the prompt"), (b"a\r\nb\r\n", "a\r\nb"), (b"a\n\n", "a\n"),
                                        ("ü🦊".encode(), "ü🦊"), (b"-", "-")])
def test_a_prompt_from_standard_input(lab, given, seen):
    code, out, err = lab.cli("run", "--model", lab.script([say("ok", expect={"content": seen})]), "-", stdin=given)
    assert (code, out) == (0, b"ok\n"), err


@pytest.mark.parametrize("args,stdin,word", [([], b"", b"PROMPT"), (["-"], b"", b"empty"), ([""], b"", b"empty"), (["-"], b"a\xff", b"UTF-8"),
                                             (["two", "words"], b"", b"quotes")])
def test_a_prompt_that_cannot_be_used(lab, args, stdin, word):
    code, out, err = lab.cli("run", "--model", lab.script([say("x")]), *args, stdin=stdin)
    assert code == 64 and out == b"" and word in err
    assert lab.cli("runs")[1] == b"", "no run was made"


def test_the_model_of_the_command_line_wins_over_the_agents(lab):
    agent = lab.file("agent.json", {"model": lab.script([say("agent's")]), "instructions": "be brief"})
    assert lab.cli("run", "--agent", agent, "--model", lab.script([say("mine")]), "go")[1] == b"mine\n"
    assert lab.cli("run", "--agent", agent, "go")[1] == b"agent's\n"
    agent = lab.file("bare.json", {"instructions": "no model"})
    assert lab.cli("run", "--agent", agent, "--model", lab.script([say("mine")]), "go")[1] == b"mine\n"
    code, out, err = lab.cli("run", "--agent", agent, "go")
    assert code == 64 and b"bare.json: /model" in err


def test_tool_files_may_hold_lists(lab):
    model = lab.script([calls("a", "b", "c"), say("done")])
    code, out, err = lab.cli("run", "--model", model, "--tool", lab.file("ab.json", [sh("a", "true"), sh("b", "true")]),
                             "--tool", lab.file("c.json", sh("c", "true")), "go")
    assert (code, out, err) == (0, b"done\n", b"")
    assert [t["name"] for t in loads(events(lab, "last")[0])["data"]["tools"]] == ["a", "b", "c"]


@pytest.mark.parametrize("content,place", [
    ('[{"name":"a","description":"d","inputSchema":{}},{"name":"b","description":"d"}]', "x.json: /1/inputSchema"),
    ('{"name":"a b","description":"d","inputSchema":{}}', "x.json: /name"),
    ('{"name":"a","description":"d","inputSchema":{"type":5}}', "'a'"),
    ('[\n  1 2\n]', "line 2, column 5"),
    ('"text"', "x.json"),
    ('', "x.json"),
])
def test_a_bad_tool_is_named_by_file_and_place(lab, content, place):
    code, out, err = lab.cli("run", "--model", lab.script([say("x")]), "--tool", lab.file("good.json", tool("g")), "--tool", lab.file("x.json", content), "go")
    assert code == 64 and out == b"" and place in err.decode()


@pytest.mark.parametrize("content,place", [('{"model": 5}', "agent.json: /model"), ('[]', "agent.json"), ('{"model":"x:y","limits":{"maxIterations":0}}', "agent.json: /limits/maxIterations"),
                                           ('{"model":"nocolon"}', "agent.json: /model")])
def test_a_bad_agent_is_named_by_file_and_place(lab, content, place):
    code, out, err = lab.cli("run", "--agent", lab.file("agent.json", content), "go")
    assert code == 64 and out == b"" and place in err.decode()


def test_a_typo_in_a_file_is_warned_of_and_refused_when_strict(lab):
    agent = lab.file("agent.json", {"model": lab.script([say("ok")]), "instruction": "typo"})
    code, out, err = lab.cli("run", "--agent", agent, "go")
    assert (code, out) == (0, b"ok\n") and b"agent.json: /instruction" in err
    code, out, err = lab.cli("run", "--strict", "--agent", agent, "go")
    assert code == 64 and out == b"" and b"agent.json: /instruction" in err


def test_which_model_is_asked(lab):
    code, out, err = lab.cli("run", "go")
    assert code == 64 and b"--model" in err and b"--agent" in err
    code, out, err = lab.cli("run", "--model", "nocolon", "go")
    assert code == 64 and b"--model: must be provider:name" in err


def test_no_commands_refuses_tools_with_a_command(lab):
    agent = lab.file("agent.json", {"model": lab.script([say("x")]), "tools": [sh("c", "true")]})
    code, out, err = lab.cli("run", "--no-commands", "--agent", agent, "go")
    assert code == 1 and out == b"" and b"--no-commands" in err


def test_a_command_does_not_adopt_what_others_left(lab):
    with Process(lab, "run", "--model", lab.script([say("x", delayMs=SLOW)]), "go") as p:
        until(lambda: lab.cli("runs")[1], "the run")
        p.proc.kill()
        p.proc.wait()
    assert lab.cli("runs", env={"FOOTBRIDGE_ADOPT": "1"})[0] == 0
    assert lab.cli("run", "--adopt", "--model", lab.script([say("y")]), "go")[0] == 0
    assert loads(lab.cli("runs", "--json")[1].splitlines()[1])["driver"] == "none"


# ---- run: signals

@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_run_and_its_commands(lab, sig):
    model = lab.script([calls("c"), say("x")])
    c = sh("c", f"echo $$ > {lab.path}/pid; exec sleep 60")
    with Process(lab, "run", "--model", model, "--tool", lab.file("c.json", c), "go") as p:
        until(lambda: lab.lines("pid"), "the command")
        p.proc.send_signal(sig)
        code, out, err = p.ends()
    assert (code, out) == (130, b"") and err == b""
    assert status(lab, "last") == "cancelled"
    until(lambda: not os.path.exists(f"/proc/{lab.lines('pid')[0]}"), "the end of the command")


def test_what_streamed_before_a_cancel_ends_its_line(lab):
    with Process(lab, "run", "--model", lab.script([say("some words and some more of them", delayMs=SLOW)]), "go") as p:
        p.sees(b"some")
        p.proc.send_signal(signal.SIGINT)
        code, out, err = p.ends()
    assert code == 130 and out.endswith(b"\n") and "some words and some more of them".startswith(out.decode().rstrip("\n"))


def test_a_hang_up_leaves_the_run_for_another_process(lab):
    script = lab.path / "script.jsonl"
    script.write_text(json.dumps(say("the answer", delayMs=SLOW)) + "\n")
    with Process(lab, "run", "--model", f"script:{script}", "go") as p:
        until(lambda: lab.cli("runs")[1], "the run")
        p.proc.send_signal(signal.SIGHUP)
        assert p.ends()[0] == 75
    assert (show(lab, "last")["status"], show(lab, "last")["driver"]) == ("running", "none")
    script.write_text(json.dumps(say("the answer")) + "\n")
    assert lab.cli("submit", "last") == (0, b"the answer\n", b"")


def test_nohup_keeps_the_run_going(lab):
    with Process(lab, "run", "--model", lab.script([say("the answer", delayMs=2000)]), "go",
                 preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as p:
        until(lambda: lab.cli("runs")[1], "the run")
        p.proc.send_signal(signal.SIGHUP)
        assert p.ends()[:2] == (0, b"the answer\n")


def test_reading_standard_input_can_be_interrupted(lab):
    run, _ = waiting(lab)
    with Process(lab, "submit", run, stdin=subprocess.PIPE) as p:
        until(lambda: asleep(p.proc.pid), "the reading")
        p.proc.send_signal(signal.SIGINT)
        assert p.proc.wait(TIMEOUT) == -signal.SIGINT
        p.proc.stdin.close()
    assert status(lab, run) == "waiting_client_tool"


# ---- on a terminal

def test_a_terminal_shows_everything_in_order(lab):
    model = lab.script([calls(("c", {"x": 1}), text="Let me look."), say("The answer.")])
    code, shown = on_screen(lab, "run", "--model", model, "--tool", lab.file("c.json", sh("c", "true")), "go")
    lines = plain(shown).splitlines()
    assert code == 0 and len(lines) == 4, shown
    assert lines[0] == "Let me look." and lines[1] == 'c: started {"x": 1}' and re.fullmatch(r"c: done in [\d.]+ m?s", lines[2]) and lines[3] == "The answer."


def test_a_failing_tool_is_shown_with_its_reason(lab):
    model = lab.script([calls("c"), say("well")])
    code, shown = on_screen(lab, "run", "--model", model, "--tool", lab.file("c.json", sh("c", "exit 3")), "go")
    assert code == 0 and re.search(r"c: failed after .*3", shown)


def test_no_colour_where_none_is_wanted(lab):
    model, c = lab.script([calls("c"), say("x")]), lab.file("c.json", sh("c", "true"))
    assert "\x1b" in on_screen(lab, "run", "--model", model, "--tool", c, "go")[1]
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_screen(lab, "run", "--model", model, "--tool", c, "go", env=env)[1]


def test_what_a_model_or_a_tool_says_cannot_drive_the_terminal(lab):
    evil = "a\u001b[2Jb\u009b31mc\rd\u202ee"
    model = lab.script([calls(("c", {"x": evil}), text=evil), say(evil)])
    c = lab.file("c.json", sh("c", "printf 'x\\033[2J'; exit 1"))
    code, shown = on_screen(lab, "run", "--model", model, "--tool", c, evil, env={"NO_COLOR": "1"})
    assert code == 0
    for args in (("show", "last"), ("runs",)):
        shown += on_screen(lab, *args)[1]
    assert not set(shown) & set("\u001b\u009b\r\u202e") and "a\ufffd[2Jb" in shown


def test_ctrl_c_on_a_terminal_cancels(lab):
    with Screen(lab, "run", "--model", lab.script([say("some words and some more of them", delayMs=SLOW)]), "go") as screen:
        screen.sees(b"some").type(b"\x03").sees(b"cancelling")
        code, shown = screen.ends()
    assert code == 130 and "is cancelled" in shown
    assert status(lab, "last") == "cancelled"


def test_submit_asks_for_input_on_a_terminal(lab):
    run, (call,) = waiting(lab)
    with Screen(lab, "submit", run) as screen:
        screen.sees(b"Ctrl-D").type(dumps({call: "x"}) + b"\n\x04")
        code, shown = screen.ends()
    assert code == 0 and "the answer" in shown
    with Screen(lab, "submit", run) as screen:
        code, shown = screen.ends()
    assert code == 1 and "waits for no result" in shown, "a run that waits for nothing reads nothing"


def test_runs_on_a_terminal_has_headings_and_fits(lab):
    waiting(lab)
    lab.cli("run", "--model", lab.script([say("x")]), "a prompt\nof many words " * 20)
    code, shown = on_screen(lab, "runs", columns=100)
    lines = shown.splitlines()
    assert code == 0 and len(lines) == 3 and lines[0].split() == ["RUN", "STATUS", "AGE", "DRIVER", "INPUT"]
    assert all(len(line) <= 100 for line in lines) and "a prompt of many words" in lines[1] and lines[1].endswith("...")


def test_runs_of_an_empty_store_is_silent_in_a_pipe_and_not_on_a_terminal(lab):
    lab.bridge().finish()
    assert lab.cli("runs") == (0, b"", b"")
    assert "there is no run" in on_screen(lab, "runs")[1]


def test_serve_on_a_terminal_says_what_it_waits_for(lab):
    with Screen(lab) as screen:
        screen.sees(b"footbridge help").type(b"\x04")
        assert screen.ends()[0] == 0


# ---- runs

def test_runs_are_listed_newest_first_in_plain_columns(lab):
    first, _ = waiting(lab)
    lab.cli("run", "--model", lab.script([say("x")]), "what\tis   this")
    code, out, err = lab.cli("runs")
    assert code == 0 and err == b""
    rows = [re.split(r"  +", line) for line in out.decode().splitlines()]
    assert [r[1] for r in rows] == ["success", "waiting_client_tool"] and rows[1][0] == first
    assert all(ULID.match(r[0]) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", r[2]) and r[3] == "none" for r in rows)
    assert [r[4] for r in rows] == ["what is this", "go"]


def test_runs_by_status_and_number(lab):
    waiting(lab)
    for _ in range(3):
        lab.cli("run", "--model", lab.script([say("x")]), "go")
    lab.cli("run", "--model", lab.script([]), "go")

    def statuses(*args):
        code, out, err = lab.cli("runs", *args)
        assert code == 0, err
        return [line.split()[1] for line in out.decode().splitlines()]
    assert statuses("--status", "success") == ["success"] * 3
    assert statuses("--status", "error,waiting_client_tool") == ["error", "waiting_client_tool"]
    assert statuses("--status", "waiting", "--status", "error") == ["error", "waiting_client_tool"]
    assert statuses("--status", "cancelled") == []
    assert statuses("--limit", "2") == ["error", "success"]
    for args in (["--status", "sucess"], ["--limit", "0"], ["--limit", "x"], ["extra"]):
        code, out, err = lab.cli("runs", *args)
        assert code == 64 and out == b"" and err, args


def test_runs_as_json_are_those_of_run_list(lab):
    waiting(lab)
    lab.cli("run", "--model", lab.script([say("x")]), "go")
    code, out, err = lab.cli("runs", "--json")
    assert code == 0 and [loads(line) for line in out.splitlines()] == lab.bridge().call("run.list")["runs"]


# ---- which run

def test_a_run_is_named_by_its_id_a_beginning_of_it_or_last(lab):
    run, _ = waiting(lab)
    for name in (run, run.lower(), run[:25], run[:8], "last"):
        assert lab.cli("show", name, "--json")[1] == lab.cli("show", run, "--json")[1], name
    newer, _ = waiting(lab)
    assert show(lab, "last")["runId"] == newer and show(lab, run)["runId"] == run


def test_a_beginning_of_several_ids_names_none(lab):
    b = lab.bridge()
    # The first 8 characters of an id are the time in seconds, nearly: now and then the clock moves on between the runs.
    for _ in range(50):
        prefix = os.path.commonprefix([b.background([say("x")]) for _ in range(6)])
        if len(prefix) >= 8:
            break
    code, out, err = lab.cli("show", prefix)
    assert code == 1 and out == b"" and b"several" in err and err.count(prefix.encode()) == 6 and b"..." in err


@pytest.mark.parametrize("name,code", [("0", 64), ("01ARZ3N", 64), ("01ARZ3ND", 1), ("01ARZ3NDEKTSV4RRFFQ69G5FAV", 1), ("01ARZ3NDEKTSV4RRFFQ69G5FAVX", 1),
                                       ("ZZZZZZZZZZ", 1), ("not-an-id", 1), ("last", 1), ("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", 1)])
def test_a_name_of_no_run(lab, name, code):
    lab.bridge().finish()
    got, out, err = lab.cli("show", name)
    assert got == code and out == b"" and (name.encode() in err or name == "last")


# ---- show

def test_show_says_how_a_run_stands(lab):
    run, (call,) = waiting(lab)
    out = lab.cli("show", run)[1].decode()
    rows = {line.split()[0]: line for line in out.splitlines() if line[:1].strip()}
    assert rows["status"].split()[1] == "waiting_client_tool" and rows["input"].split()[1:] == ["go"]
    assert call in rows["pending"] and '{"of": "t"}' in out and f"footbridge submit {run}" in out
    assert lab.cli("submit", run, "--text", "x")[0] == 0
    out = lab.cli("show", run)[1].decode()
    assert "success (end_turn)" in out and "2 model calls, 1 tool call" in out and "the answer" in out and "pending" not in out


def test_show_of_an_error_and_of_a_cancel_say_why(lab):
    lab.cli("run", "--model", lab.script([]), "go")
    assert "script.exhausted" in lab.cli("show", "last")[1].decode()
    run, _ = waiting(lab)
    lab.cli("cancel", run, "--reason", "not wanted any more")
    assert "not wanted any more" in lab.cli("show", run)[1].decode()


def test_show_hides_the_environment_of_tools(lab):
    agent = lab.file("agent.json", {"model": lab.script([say("x")]), "tools": [sh("c", "true", env={"TOKEN": "s3cr3t"})]})
    assert lab.cli("run", "--agent", agent, "go")[0] == 0
    for args in (["show", "last"], ["show", "last", "--json"], ["events", "last"], ["runs", "--json"]):
        assert b"s3cr3t" not in lab.cli(*args)[1], args


def test_show_has_long_values_whole(lab):
    text = "ä" * 100_000
    lab.cli("run", "--model", lab.script([say(text)]), "x" * 100_000)
    assert show(lab, "last")["answer"] == text
    assert text in lab.cli("show", "last")[1].decode()


# ---- events

def test_events_are_those_of_the_wire_to_the_byte(lab):
    run, (call,) = waiting(lab)
    assert lab.cli("submit", run, stdin=dumps({call: "ü" * 100_000}))[0] == 0
    lines = events(lab, run)
    b = lab.bridge()
    assert [line.decode() for line in lines] == b.replay(run)
    assert events(lab, run, "--after", "0") == lines and events(lab, run, "--after", "3") == lines[3:] and events(lab, run, "--after", "999") == []
    assert events(lab, run, "--follow") == lines and events(lab, run, "--follow", "--after", "999") == []


def test_events_of_a_long_run_come_whole(lab):
    agent = lab.file("agent.json", {"model": lab.script([{**calls("c"), "repeat": 400}, say("x")]), "limits": {"maxIterations": 500},
                                    "tools": [sh("c", "true", parallel=True)]})
    assert lab.cli("run", "--agent", agent, "go", timeout=60)[0] == 0
    assert [loads(line)["seq"] for line in events(lab, "last")] == list(range(1, show(lab, "last")["lastSeq"] + 1))


def test_a_reader_of_events_may_go_away(lab):
    agent = lab.file("agent.json", {"model": lab.script([{**calls("c"), "repeat": 200}, say("x")]), "limits": {"maxIterations": 500},
                                    "tools": [sh("c", "head -c 20000 /dev/zero | tr '\\0' x")]})
    assert lab.cli("run", "--agent", agent, "go", timeout=60)[0] == 0
    for command in ("events last", "events last --follow", "schema"):
        p = subprocess.run(["/bin/bash", "-c", f"set -o pipefail; '{BINARY}' {command} | head -1"], capture_output=True, cwd=lab.path,
                           env=base_env(lab.path, FOOTBRIDGE_STORE=lab.store), timeout=2 * TIMEOUT)
        assert p.returncode == 0 and p.stdout.count(b"\n") == 1 and p.stderr == b"", command


def test_a_follower_whose_reader_goes_away_ends_without_an_event(lab):
    run, _ = waiting(lab)
    with Process(lab, "events", run, "--follow") as p:
        p.sees(b"run.paused")
        p.proc.stdout.close()
        assert p.proc.wait(TIMEOUT) == 0 and p.proc.stderr.read() == b""
        p.proc.stdout = open(os.devnull, "rb")


def test_following_a_run_that_another_process_drives(lab):
    model = lab.script([calls("c"), calls("c"), say("x", delayMs=300)])
    with Process(lab, "run", "--model", model, "--tool", lab.file("c.json", sh("c", "sleep 0.2")), "go") as driver:
        until(lambda: lab.cli("runs")[1], "the run")
        with Process(lab, "events", "last", "--follow") as follower:
            code, out, err = follower.ends()
        assert driver.ends()[0] == 0
    assert (code, err) == (0, b"") and out.splitlines() == events(lab, "last")


def test_a_follower_of_a_run_that_is_deleted_ends(lab):
    run, _ = waiting(lab)
    with Process(lab, "events", run, "--follow", "--after", "999999") as p:
        b = lab.bridge()
        until(lambda: asleep(p.proc.pid), "the follower")
        b.call("run.cancel", {"runId": run})
        b.call("run.delete", {"runId": run})
        code, out, err = p.ends()
    assert code in (0, 1) and (code == 0 or b"no such run" in err)


# ---- submit

@pytest.mark.parametrize("shape", [
    lambda c: {"results": [{"callId": c, "content": "the result"}]},
    lambda c: [{"callId": c, "content": [{"type": "text", "text": "the result"}]}],
    lambda c: {c: "the result"},
    lambda c: {c: {"content": "the result"}},
])
def test_results_in_every_shape(lab, shape):
    model = lab.script([calls("t"), say("got it", expect=expect(content="the result"))])
    lab.cli("run", "--model", model, "--tool", lab.file("t.json", tool("t")), "go")
    run = show(lab, "last")
    data = dumps(shape(run["pendingToolCalls"][0]["callId"]))
    assert lab.cli("submit", run["runId"], "-", stdin=data) == (0, b"got it\n", b"")
    assert lab.cli("submit", run["runId"], lab.file("r.json", data)) == (0, b"got it\n", b""), "the same again is given already"


def test_a_result_of_more_than_text(lab):
    model = lab.script([calls("t"), say("got it", expect=expect(isError=True, content=contains("0.10")))])
    lab.cli("run", "--model", model, "--tool", lab.file("t.json", tool("t")), "go")
    run = show(lab, "last")
    call = run["pendingToolCalls"][0]["callId"]
    data = '{"%s": {"structuredContent": {"n": 0.10}, "isError": true}}' % call
    assert lab.cli("submit", "last", stdin=data.encode())[:2] == (0, b"got it\n")


def test_last_is_the_newest_run_that_is_no_sub_agents(lab):
    model = lab.script([calls(("s", {"input": "go"})), say("the answer")])
    below = {"name": "s", "description": "s", "agent": {"model": lab.script([calls("t"), say("below")]), "tools": [tool("t")]}}
    code, out, err = lab.cli("run", "--model", model, "--tool", lab.file("s.json", below), "go")
    assert code == 75
    outcome = show(lab, "last")
    assert "parentRunId" not in outcome and outcome["pendingToolCalls"][0]["runId"] != outcome["runId"]
    assert lab.cli("cancel", "last")[0] == 0
    assert status(lab, outcome["runId"]) == "cancelled"
    assert status(lab, outcome["pendingToolCalls"][0]["runId"]) == "cancelled"


def test_the_text_of_the_one_pending_call(lab):
    run, _ = waiting(lab)
    assert lab.cli("submit", run, "--text", "x") == (0, b"the answer\n", b"")
    code, out, err = lab.cli("submit", run, "--text", "x")
    assert code == 1 and b"success" in err and out == b""
    run, names = waiting(lab, ("t", "t"))
    code, out, err = lab.cli("submit", run, "--text", "x")
    assert code == 1 and all(n.encode() in err for n in names)
    code, out, err = lab.cli("submit", run, "--text", "x", lab.file("f.json", "{}"))
    assert code == 64


def test_part_of_the_results(lab):
    run, (a, b) = waiting(lab, ("a", "b"))
    code, out, err = lab.cli("submit", run, stdin=dumps({"results": [{"callId": a, "content": "A"}], "partial": True}))
    assert code == 75 and out == b"" and b.encode() in err and a.encode() not in err
    code, out, err = lab.cli("submit", run, "--json", stdin=dumps([{"callId": b, "content": "B"}]))
    outcome = loads(out)
    assert code == 0 and err == b"" and outcome["answer"] == "the answer" and outcome["verdicts"] == {b: "accepted"}


def test_the_judges_errors_are_printed_with_what_they_name(lab):
    run, (a, b) = waiting(lab, ("a", "b"))
    other = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    code, out, err = lab.cli("submit", run, stdin=dumps({a: "A", other: "x"}))
    assert code == 1 and out == b"" and f"missing: {b}" in err.decode() and f"unknown: {other}" in err.decode() and "run.invalidToolResults" in err.decode()
    assert lab.cli("submit", run, stdin=dumps({"results": [{"callId": a, "content": "A"}], "partial": True}))[0] == 75
    code, out, err = lab.cli("submit", run, stdin=dumps({a: "other", b: "B"}))
    assert code == 1 and f"{a}: conflict" in err.decode() and "run.alreadyClaimed" in err.decode()
    code, out, err = lab.cli("submit", run, stdin=dumps({"results": [{"callId": other, "content": "x"}], "partial": True}))
    assert code == 1 and f"{other}: unknown" in err.decode(), "none of them was taken"
    assert lab.cli("cancel", run)[0] == 0
    code, out, err = lab.cli("submit", run, stdin=dumps({b: "B"}))
    assert code == 1 and f"{b}: terminal" in err.decode() and "run.alreadyTerminal" in err.decode()


@pytest.mark.parametrize("content,place", [
    (b'{"results": [{"content": "x"}]}', "standard input: /results/0/callId"),
    (b'[{"callId": 5}]', "standard input: /0/callId"),
    (b'{"01ARZ3NDEKTSV4RRFFQ69G5FAV": {"content": 5}}', "/01ARZ3NDEKTSV4RRFFQ69G5FAV/content"),
    (b'{"01ARZ3NDEKTSV4RRFFQ69G5FAV": {"content": "a", "content": "b"}}', "/01ARZ3NDEKTSV4RRFFQ69G5FAV/content"),
    (b'{"01ARZ3NDEKTSV4RRFFQ69G5FAV": {"content": {"$blob": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}}}', "must be a string"),
    (b'{"01ARZ3NDEKTSV4RRFFQ69G5FAV": {"stdout": [{"$blob": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}]}}', "/stdout/0: must be a string"),
    (b'{"results": [], "partail": true}', "/partail"), (b'{"result": []}', "/result"), (b'{"results": [], "approvals": {}}', "/approvals"),
    (b'{"results": [], "runId": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}', "/runId"), (b'5', "standard input"), (b'{"results": [}', "line 1, column 14"),
])
def test_what_cannot_be_submitted_is_named(lab, content, place):
    run, _ = waiting(lab)
    code, out, err = lab.cli("submit", run, stdin=content)
    assert code == 64 and out == b"" and place in err.decode()
    assert status(lab, run) == "waiting_client_tool"


def test_a_submit_drives_the_run_on_to_where_it_waits_again(lab):
    model = lab.script([calls("t"), calls("c", text="on the way"), calls("t"), say("done")])
    lab.cli("run", "--model", model, "--tool", lab.file("t.json", [tool("t"), sh("c", "true")]), "go")
    code, out, err = lab.cli("submit", "last", "--text", "1")
    assert code == 75 and out == b"" and b"1 tool call" in err
    assert lab.cli("submit", "last", "--text", "2") == (0, b"done\n", b"")


def test_a_submit_on_a_terminal_streams_and_shows_progress(lab):
    model = lab.script([calls("t"), calls("c", text="On the way."), say("Done.")])
    lab.cli("run", "--model", model, "--tool", lab.file("t.json", [tool("t"), sh("c", "true")]), "go")
    code, shown = on_screen(lab, "submit", "last", "--text", "x")
    lines = plain(shown).splitlines()
    assert code == 0 and lines[1:3] == ["On the way.", "c: started {}"] and lines[-1] == "Done." and lines[0].startswith("t: done")


def test_a_paused_run_goes_on(lab):
    run, (call,) = waiting(lab)
    lab.bridge().call("run.pause", {"runId": run})
    assert status(lab, run) == "paused"
    assert lab.cli("submit", run, "--text", "x") == (0, b"the answer\n", b"")


def test_a_paused_run_without_pending_calls_goes_on_without_a_file(lab):
    agent = lab.file("agent.json", {"model": lab.script([calls("c"), say("done")]), "limits": {"maxIterations": 1, "onLimit": "pause"}, "tools": [sh("c", "true")]})
    code, out, err = lab.cli("run", "--agent", agent, "go")
    assert code == 75 and out == b"" and b"run.limitExceeded" in err and b"run.resume" in err
    assert lab.cli("submit", "last")[0] == 75, "the limit is as it was"


def test_a_run_whose_process_was_killed_goes_on(lab):
    script = lab.path / "script.jsonl"
    script.write_text(json.dumps(say("late", delayMs=SLOW)) + "\n")
    with Process(lab, "run", "--model", f"script:{script}", "go") as p:
        until(lambda: lab.cli("runs")[1], "the run")
        p.proc.kill()
        p.proc.wait()
    script.write_text(json.dumps(say("the answer")) + "\n")
    assert lab.cli("submit", "last") == (0, b"the answer\n", b"")


def test_interrupting_a_submit_cancels_the_run(lab):
    run, _ = waiting(lab)
    lab.path.joinpath("script-1.jsonl").write_text(json.dumps(calls("t")) + "\n" + json.dumps(say("late", delayMs=SLOW)) + "\n")
    with Process(lab, "submit", run, "--text", "x") as p:
        until(lambda: status(lab, run) == "running", "the model call")
        p.proc.send_signal(signal.SIGINT)
        assert p.ends() == (130, b"", b"")
    assert status(lab, run) == "cancelled"


# ---- cancel

def test_cancel_says_how_the_run_ended(lab):
    run, _ = waiting(lab)
    assert lab.cli("cancel", run[:20], "--reason", "enough") == (0, f"{run}  cancelled\n".encode(), b"")
    assert lab.bridge().log_of(run, "run.cancelled")[0]["reason"] == "enough"
    assert lab.cli("cancel", run)[:2] == (0, f"{run}  cancelled\n".encode())
    lab.cli("run", "--model", lab.script([say("x")]), "go")
    code, out, err = lab.cli("cancel", "last", "--json")
    assert code == 0 and loads(out)["status"] == "success" and err == b""


def test_cancel_of_a_run_that_another_process_drives(lab):
    with Process(lab, "run", "--model", lab.script([say("x", delayMs=SLOW)]), "go") as p:
        until(lambda: lab.cli("runs")[1], "the run")
        code, out, err = lab.cli("cancel", "last")
        assert code == 0 and out.endswith(b"  cancelled\n")
        code, out, err = p.ends()
    assert code == 130 and b"was cancelled" in err


# ---- schema

def test_the_schema_is_the_file(lab):
    assert lab.cli("schema")[1] == (SCHEMAS / "openrpc.json").read_bytes()


def every_name():
    document = json.loads((SCHEMAS / "openrpc.json").read_text())
    return [(list, e.get("name") or e["type"]) for list in ("methods", "x-reverse-methods", "x-notifications", "x-events") for e in document[list]]


@pytest.mark.parametrize("list,name", every_name())
def test_the_part_of_a_name_is_whole(lab, list, name):
    document = json.loads((SCHEMAS / "openrpc.json").read_text())
    code, out, err = lab.cli("schema", name)
    part = loads(out)
    assert code == 0 and part["openrpc"] == document["openrpc"]
    assert part[list] == [e for e in document[list] if name in (e.get("name"), e.get("type"))]
    wanted = set(re.findall(r'"\$ref": "#/components/(\w+/[\w.]+)"', json.dumps(part)))
    have = {f"{kind}/{n}" for kind, values in part["components"].items() for n in values}
    assert have == wanted, "every definition that is referred to, and no other"
    assert all(part["components"][kind][n] == document["components"][kind][n] for kind, n in (h.split("/") for h in have))


@pytest.mark.parametrize("name,near", [("run.strat", "run.start"), ("toolinvoke", "tool.invoke"), ("text.deltas", "text.delta"), ("cancel", "run.cancel"), ("qqqqqqqq", "run.start")])
def test_an_unknown_name_lists_near_ones(lab, name, near):
    code, out, err = lab.cli("schema", name)
    assert code == 64 and out == b"" and name in err.decode() and near in err.decode()


# ---- help, and what is not known

def test_help_lists_every_option_with_its_variable_and_default(lab):
    code, out, err = lab.cli("help", env={"FOOTBRIDGE_STORE": "nonsense"})
    assert code == 0 and err == b""
    text = out.decode()
    for name in ("store", "synchronous", "adopt", "strict", "no-commands", "framing", "on-eof", "protocol", "max-message-bytes", "max-concurrent-runs",
                 "log-level", "log-format", "config"):
        entry = re.search(rf"\n  --{name}\b.*\n.*\n +FOOTBRIDGE_{name.upper().replace('-', '_')}, default (.+)", text)
        assert entry and (entry[1] != "none" or name == "config"), name
    assert f"default sqlite:{lab.path}/state/footbridge/runs.db" in text
    assert max(map(len, text.replace(str(lab.path), "").splitlines())) <= 132


@pytest.mark.parametrize("command", ["serve", "run", "submit", "runs", "show", "events", "cancel", "store", "schema"])
def test_help_comes_in_every_way_and_the_same(lab, command):
    code, out, err = lab.cli("help", command)
    assert code == 0 and err == b"" and out
    assert lab.cli(command, "--help") == (code, out, err) and lab.cli(command, "-h") == (code, out, err)
    assert lab.cli("--store", "memory", command, "--help")[0] == 0


def test_help_of_a_prompt_is_none(lab):
    assert lab.cli("run", "--model", lab.script([say("ok", expect={"content": "--help"})]), "--", "--help")[1] == b"ok\n"


@pytest.mark.parametrize("args,words", [
    (["rnu"], ["'rnu'", "'run'"]), (["help", "sumbit"], ["'sumbit'", "'submit'"]), (["--sotre", "x"], ["'--sotre'", "'--store'"]),
    (["serve", "--strikt"], ["'--strikt'", "'--strict'"]), (["serve", "extra"], ["'extra'"]), (["run", "--modle", "x", "go"], ["'--modle'", "'--model'"]),
    (["runs", "--limt=3"], ["'--limt'", "'--limit'"]), (["show", "last", "--follow"], ["--follow", "'events'"]), (["--model", "x", "run"], ["--model", "'run'"]),
    (["run", "--model"], ["--model needs a value"]), (["events", "last", "--follow=yes"], ["--follow takes no value"]), (["show"], ["RUN is missing"]),
    (["show", "a", "b"], ["'b'"]), (["events", "last", "--after", "-1"], ["--after"]), (["-x"], ["'-x'"]), (["show", "-v", "last"], ["'-v'"]),
    (["\x1b[2Jx"], ["\ufffd[2Jx"]),
])
def test_what_is_not_known_is_named_with_what_is_near(lab, args, words):
    code, out, err = lab.cli(*args)
    assert code == 64 and out == b"" and b"Try 'footbridge help" in err and b"\x1b" not in err
    for word in words:
        assert word in err.decode(), err


# ---- the store, and the descriptors

@pytest.mark.parametrize("args", [["runs"], ["show", "last"], ["run", "--model", "script:/nowhere", "x"], ["submit", "last", "--text", "x"]])
def test_a_store_that_cannot_be_used(lab, args):
    for content, store in ((b"not a database, but long enough to be looked at" * 100, "garbage.db"), (None, "no/such\0folder".split("\0")[0] + "/x.db")):
        if content:
            lab.file(store, content)
            code, out, err = lab.cli("--store", f"sqlite:{lab.path}/{store}", *args)
            assert code == 74 and out == b"" and store.encode() in err
    code, out, err = lab.cli("--store", "sqlite:/proc/nowhere/x.db", *args)
    assert code == 74 and out == b"" and b"/proc/nowhere" in err


@pytest.mark.parametrize("args", [["runs"], ["runs", "--json"], ["show", "last"], ["events", "last"], ["cancel", "last"], ["submit", "last", "--text", "x"]])
def test_a_store_that_is_not_there_is_made_only_for_a_new_run(lab, args):
    for path in ("typo.db", "no/folder/typo.db", "file/typo.db"):
        lab.file("file", "no folder")
        code, out, err = lab.cli(*args, "--store", f"sqlite:{path}")
        assert code == 74 and out == b"" and f"there is no store {path}" in err.decode(), err
    assert {p.name for p in lab.path.iterdir()} == {"file"}
    assert lab.cli("run", "--store", "sqlite:new/made.db", "--model", lab.script([say("ok")]), "go")[:2] == (0, b"ok\n")
    assert lab.cli("show", "last", "--store", "sqlite:new/made.db")[0] == 0


def test_a_path_that_begins_with_a_tilde_is_refused_with_what_to_write(lab):
    for args, env, status, name in ((["--store", "sqlite:~/x.db"], {}, 64, "--store"), ([], {"FOOTBRIDGE_STORE": "sqlite:~/x.db"}, 78, "FOOTBRIDGE_STORE"),
                                    (["--config", lab.file("c.json", {"store": "sqlite:~/x.db"})], {}, 78, "c.json: /store")):
        code, out, err = lab.cli("run", "--model", lab.script([say("ok")]), "go", *args, env=env, store=False)
        assert code == status and out == b"" and name in err.decode() and "sqlite:$HOME/x.db" in err.decode() and "sqlite:./~/x.db" in err.decode(), err
    code, out, err = lab.cli("store", "copy", "sqlite:~/x.db", "sqlite:y.db")
    assert code == 64 and b"FROM has a path that begins with ~/" in err
    assert not (lab.path / "~").exists()
    assert lab.cli("run", "--model", lab.script([say("ok")]), "go", "--store", "sqlite:./~/x.db")[0] == 0 and (lab.path / "~" / "x.db").exists()


def test_a_folder_of_agents_is_checked_by_every_command_that_opens_a_store(lab):
    run, call = waiting(lab)
    broken = lab.file("broken/bad.json", "{").parent
    good = lab.file("good/clerk.json", {"model": lab.script([say("from the file")]), "x": 1}).parent
    model = lab.script([say("ok")])
    commands = (["run", "--model", model, "go"], ["run", "--agent", "clerk", "go"], ["runs"], ["show", run], ["events", run], ["submit", run, "--text", "x"], ["cancel", run])
    for args in commands:
        for folder, words in ((lab.path / "missing", "missing: No such file"), (broken, "bad.json")):
            code, out, err = lab.cli(*args, "--agents", folder)
            assert code == 78 and out == b"" and "--agents" in err.decode() and words in err.decode(), (args, err)
            assert (code, out, err) == lab.cli(*args, env={"FOOTBRIDGE_AGENTS": str(folder)}), args
    assert lab.cli("run", "--agent", "clerk", "--agents", good, "go")[:2] == (0, b"from the file\n")
    code, out, err = lab.cli("submit", run, "--text", "x", "--agents", good)
    assert code == 0 and err.count(b"clerk.json: /x") == 1, err


def test_output_that_cannot_be_written_is_an_error(lab):
    waiting(lab)
    with open("/dev/full", "wb") as full:
        p = subprocess.run([BINARY, "runs"], stdout=full, stderr=subprocess.PIPE, env=base_env(lab.path, FOOTBRIDGE_STORE=lab.store))
    assert p.returncode == 1 and b"No space left" in p.stderr


def test_closed_descriptors_do_no_harm(lab):
    model = lab.script([say("ok")])
    for redirection in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        p = subprocess.run(["/bin/sh", "-c", f"'{BINARY}' run --model {model} go {redirection}"], capture_output=True, env=base_env(lab.path, FOOTBRIDGE_STORE=lab.store))
        has_output = ">&-" not in redirection.replace("2>&-", "")
        assert (p.returncode, p.stdout) == ((0, b"ok\n") if has_output else (1, b"")), redirection
        if redirection == ">&-":
            assert b"standard output could not be written: Bad file descriptor" in p.stderr
    lab.bridge().check_replay(show(lab, "last")["runId"])


@pytest.mark.parametrize("args", [["schema"], ["schema", "run.start"], ["runs"], ["show", "last"], ["--version"], ["help"]])
def test_a_closed_output_is_an_error_of_whatever_was_to_be_printed(lab, args):
    waiting(lab)
    p = subprocess.run(["/bin/sh", "-c", 'exec "$@" >&-', "sh", BINARY, *args], stderr=subprocess.PIPE, env=base_env(lab.path, FOOTBRIDGE_STORE=lab.store))
    assert p.returncode == 1 and b"Bad file descriptor" in p.stderr, p.stderr


# ---- values that no option has

@pytest.mark.parametrize("args,words", [
    (["--max-message-bytes", "9" * 20], f"--max-message-bytes must be a number of at most 9007199254740991, not '{'9' * 20}'"),
    (["--max-message-bytes", "-" + "9" * 20], f"--max-message-bytes must be a number of at least 1024, not '-{'9' * 20}'"),
    (["--max-message-bytes", "1e6"], "--max-message-bytes must be a number of at least 1024, not '1e6'"),
    (["--max-concurrent-runs", "+" + "9" * 30], f"--max-concurrent-runs must be a number of at most 9007199254740991, not '+{'9' * 30}'"),
    (["--max-concurrent-runs", "0"], "--max-concurrent-runs must be a number of at least 1, not '0'"),
    (["runs", "--limit", "9" * 20], f"--limit must be a number of at most 9007199254740991, not '{'9' * 20}'"),
    (["runs", "--limit", "-"], "--limit must be a number of at least 1, not '-'"),
    (["--log-level", "bogus"], "--log-level must be debug, info, warning or error, not 'bogus'"),
    (["--log-format", " json"], "--log-format must be text or json, not ' json'"), (["--framing", "\x1b[2J"], "--framing must be auto, line or header, not '\ufffd[2J'"),
    (["--on-eof", ""], "--on-eof must be auto, drain or exit, not ''"), (["--synchronous", "off"], "--synchronous must be full or normal, not 'off'"),
    (["--adopt=maybe"], "--adopt must be true or false, not 'maybe'"), (["--protocol", "2020-01-01"], "--protocol must be 2026-11-20, not '2020-01-01'"),
    (["--config", ""], "--config needs a file"), (["--config=", "runs"], "--config needs a file"), (["--agents", ""], "--agents needs a folder"),
    (["show", " last"], "' last' names no run"), (["show", "a\tb\n"], "'a\ufffdb\ufffd' names no run"),
])
def test_a_value_that_an_option_cannot_have_is_shown_with_those_that_it_can(lab, args, words):
    lab.bridge().finish()
    code, out, err = lab.cli(*args)
    assert code == 64 and out == b"" and words in err.decode(), err


def test_a_variable_and_a_file_are_told_of_alike(lab):
    code, out, err = lab.cli(env={"FOOTBRIDGE_LOG_LEVEL": "bogus"})
    assert code == 78 and b"the environment variable FOOTBRIDGE_LOG_LEVEL must be debug, info, warning or error, not 'bogus'" in err
    code, out, err = lab.cli("--config", lab.file("c.json", {"max-concurrent-runs": 0}))
    assert code == 78 and b"c.json: /max-concurrent-runs: must be a number of at least 1, not '0'" in err


def test_a_relative_state_folder_without_a_home_is_said_to_be_one(lab):
    code, out, err = lab.cli("runs", store=False, env={"XDG_STATE_HOME": "rel", "HOME": None})
    assert code == 78 and b"HOME is not set, and XDG_STATE_HOME is not an absolute path" in err and b"--store" in err
    code, out, err = lab.cli("runs", store=False, env={"XDG_STATE_HOME": None, "HOME": None})
    assert code == 78 and b"neither HOME nor XDG_STATE_HOME is set" in err


def test_help_finds_a_command_of_two_words_by_both(lab):
    code, out, err = lab.cli("help", "store", "copy")
    assert (code, out, err) == lab.cli("help", "store") == lab.cli("store", "copy", "--help") and code == 0
    for args, word in ((["store", "move"], b"'move'"), (["store", "copy", "x"], b"'x'"), (["run", "copy"], b"'copy'")):
        code, out, err = lab.cli("help", *args)
        assert code == 64 and word in err, err

"""Section 1: every way the conversation can end."""
import fcntl
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import (BINARY, TIMEOUT, VERSION, After, Never, alive, base_env, calls, contains, dumps, expect, loads, say, sh,
                     text_of, tool, until)

SOON = 5.0  # the page says 1 s


def left_after(start):
    assert time.monotonic() - start < SOON, f"took {time.monotonic() - start:.1f} s"


# ---- stdin EOF after initialize

def test_eof_with_nothing_open_exits_0(bridge):
    start = time.monotonic()
    assert bridge.hang_up() == 0
    left_after(start)


def test_eof_with_a_waiting_run_answers_the_open_request_and_parks_the_call(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("ok", expect=expect(content="later"))], [tool("t")])
    b.next_invoke("t")
    start = time.monotonic()
    assert b.hang_up() == 0
    left_after(start)
    o = b.result(r)
    assert o["status"] == "waiting_client_tool" and o["driver"] == "none"
    call = o["pendingToolCalls"][0]
    assert call["state"] == "parked" and call["attempt"] == 1
    c = lab.bridge()
    assert c.get(o["runId"])["pendingToolCalls"][0] == call
    assert c.submit(o["runId"], {call["callId"]: "later"})["status"] == "success"


def test_eof_with_a_run_in_a_model_call_leaves_it_running_and_undriven(lab):
    b = lab.bridge()
    model = lab.script([say("late", delayMs=60_000)])
    r = b.start(model)
    run = b.start_id(r)
    b.wait_event("model.started", run)
    start = time.monotonic()
    assert b.hang_up() == 0
    left_after(start)
    o = b.result(r)
    assert o["status"] == "running" and o["driver"] == "none" and o["ended"] is False
    lab.rewrite(model, [say("now")])
    c = lab.bridge()
    assert c.get(run)["driver"] == "none"
    o = c.call("run.resume", {"runId": run})
    assert (o["status"], o["answer"]) == ("success", "now")


def test_eof_ends_commands_with_their_process_groups(lab):
    b = lab.bridge()
    r = b.start([calls("slow"), say("ok", expect=expect(isError=True))],
                [sh("slow", f"echo $$ > {lab.path}/pids; sleep 300 & echo $! >> {lab.path}/pids; echo ran >> {lab.path}/ledger; wait")])
    until(lambda: len(lab.lines("pids")) == 2 and lab.lines("ledger"), "the command")
    pids = [int(x) for x in lab.lines("pids")]
    start = time.monotonic()
    assert b.hang_up() == 0
    left_after(start)
    until(lambda: not any(alive(p) for p in pids), "the commands to be gone")
    o = b.result(r)
    assert o["driver"] == "none" and not o["ended"]
    c = lab.bridge()
    o = c.call("run.resume", {"runId": o["runId"]})
    assert o["status"] == "success"
    assert lab.lines("ledger") == ["ran"]
    assert c.log_of(o["runId"], "tool.completed")[0]["isError"] is True


def test_eof_answers_every_open_request_exactly_once(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("ok")], [tool("t")])
    b.next_invoke("t")
    run = b.start_id(r)
    waits = [b.request("run.wait", {"runId": run}) for _ in range(5)]
    busy = b.start([say("late", delayMs=60_000)])
    pings = [b.request("ping") for _ in range(20)]
    gets = [b.request("run.get", {"runId": run}) for _ in range(5)]
    assert b.hang_up() == 0
    for i in [r, *waits, *gets]:
        assert b.result(i)["runId"] == run
    for i in pings:
        assert b.result(i) == {}
    assert b.wait_response(busy)


def test_eof_answers_a_batch_that_is_open(lab):
    b = lab.parent()
    b.send_json([{"jsonrpc": "2.0", "id": "p", "method": "ping"},
                 {"jsonrpc": "2.0", "id": "r", "method": "run.start", "params": b.params([calls("t"), say("ok")], [tool("t")])}])
    b.next_invoke("t")
    assert b.hang_up() == 0
    got = {x["id"]: x for x in b.wait_batch().obj}
    assert got["p"]["result"] == {} and got["r"]["result"]["status"] == "waiting_client_tool"


def test_eof_answers_requests_that_came_just_before_it(lab):
    b = lab.bridge()
    ids = [b.request("run.list") for _ in range(50)]
    assert b.hang_up() == 0
    for i in ids:
        assert b.result(i) == {"runs": []}


def test_answers_that_arrived_before_the_eof_are_honoured(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("ok", expect=expect(content="in time"))], [tool("t")])
    invoke = b.next_invoke("t")
    b.respond(invoke, {"content": "in time"})
    assert b.hang_up() == 0
    run = b.result(r)["runId"]
    c = lab.bridge()
    done = c.log_of(run, "tool.completed")
    assert len(done) == 1 and done[0]["isError"] is False and done[0]["callId"] == invoke.call_id
    assert c.call("run.resume", {"runId": run})["status"] == "success"


def test_a_submit_that_arrived_before_the_eof_is_honoured(lab):
    b = lab.bridge()
    o = b.run([calls("t"), say("ok", expect=expect(content="in time"))], [tool("t")])
    s = b.request("run.submitToolResults", b.submit_params(o["runId"], {o["pendingToolCalls"][0]["callId"]: "in time"}))
    assert b.hang_up() == 0
    assert b.result(s)["status"] in ("running", "success")
    assert lab.bridge().call("run.resume", {"runId": o["runId"]})["status"] == "success"


@pytest.mark.parametrize("size", [3, 300_000])
@pytest.mark.parametrize("strategy, status", [("park", "waiting_client_tool"), ("fallbackMessage", "running"), ("failFast", "error")])
def test_an_answer_that_the_eof_cuts_off_is_none(lab, strategy, status, size):
    """As of a parent that is killed while it writes: the call gets its onDisconnect strategy, not an error of the tool."""
    b = lab.parent()
    r = b.start([calls("t"), say("ok")], [tool("t", onDisconnect=strategy)])
    invoke = b.next_invoke("t")
    b.send(b'{"jsonrpc":"2.0","id":"%s","result":{"content":"' % invoke.obj["id"].encode() + b"z" * size)
    assert b.hang_up() == 0
    o = b.result(r)
    assert o["status"] == status
    assert [c["state"] for c in o["pendingToolCalls"]] == (["parked"] if strategy == "park" else [])
    texts = [text_of(d["content"]) for d in lab.bridge().log_of(o["runId"], "tool.completed")]
    assert not any("could not be read" in text for text in texts)


def test_an_answer_without_its_line_end_is_honoured(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("ok")], [tool("t")])
    invoke = b.next_invoke("t")
    b.send(b'{"jsonrpc":"2.0","id":"%s","result":{"content":"in time"}}' % invoke.obj["id"].encode())
    assert b.hang_up() == 0
    assert [text_of(d["content"]) for d in lab.bridge().log_of(b.result(r)["runId"], "tool.completed")] == ["in time"]


def test_on_disconnect_fail_fast_ends_the_run(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("ok")], [tool("t", onDisconnect="failFast")])
    b.next_invoke("t")
    assert b.hang_up() == 0
    o = b.result(r)
    assert o["status"] == "error" and o["error"]["kind"] == "client.disconnected"


def test_on_disconnect_fallback_message_is_what_the_model_gets(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("went on", expect=expect(content="Client unavailable. Tool 't' may or may not have run; its result is unknown."))],
                [tool("t", onDisconnect="fallbackMessage")])
    b.next_invoke("t")
    assert b.hang_up() == 0
    run = b.result(r)["runId"]
    o = lab.bridge().call("run.resume", {"runId": run})
    assert (o["status"], o["answer"]) == ("success", "went on")


def test_on_disconnect_retry_parks_an_idempotent_call(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("ok")], [tool("t", onDisconnect="retryWithBackoff", annotations={"idempotentHint": True})])
    b.next_invoke("t")
    assert b.hang_up() == 0
    o = b.result(r)
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["state"] == "parked"


def test_on_disconnect_retry_of_a_call_that_may_not_be_repeated_is_the_fallback(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("went on", expect=expect(content="Client unavailable. Tool 't' may or may not have run; its result is unknown."))],
                [tool("t", onDisconnect="retryWithBackoff")])
    b.next_invoke("t")
    assert b.hang_up() == 0
    o = lab.bridge().call("run.resume", {"runId": b.result(r)["runId"]})
    assert (o["status"], o["answer"]) == ("success", "went on")


def test_the_agent_may_say_on_disconnect_for_all_tools(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("ok")], [tool("t")], agent={"clientTools": {"onDisconnect": "failFast"}})
    b.next_invoke("t")
    assert b.hang_up() == 0
    assert b.result(r)["error"]["kind"] == "client.disconnected"


def test_a_deferred_call_stays_deferred_over_the_end(lab):
    b = lab.parent()
    b.handlers["t"] = {"deferred": True}
    o = b.run([calls("t"), say("ok", expect=expect(content="much later"))], [tool("t", onDisconnect="failFast")])
    assert o["pendingToolCalls"][0]["state"] == "deferred"
    assert b.hang_up() == 0
    c = lab.bridge()
    o = c.get(o["runId"])
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["state"] == "deferred"
    assert c.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "much later"})["status"] == "success"


def test_a_batch_of_calls_with_some_answered_keeps_those(lab):
    b = lab.parent()
    r = b.start([calls("a", "b"), say("ok")], [tool("a"), tool("b")])
    b.respond(b.next_invoke("a"), {"content": "A"})
    b.wait_event("tool.completed")
    assert b.hang_up() == 0
    o = b.result(r)
    assert [c["name"] for c in o["pendingToolCalls"]] == ["b"]
    c = lab.bridge()
    assert c.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "B"})["status"] == "success"


# ---- stdin EOF without initialize: a pipe

def start_line(lab, turns, tools=None, id=1, **more):
    p = {"input": "go", "agent": {"model": lab.script(turns)}, **more}
    if tools:
        p["tools"] = tools
    return {"jsonrpc": "2.0", "id": id, "method": "run.start", "params": p}


def test_a_pipe_gets_its_answer_and_exit_0(lab):
    code, out, _ = lab.pipe(start_line(lab, [say("hello", delayMs=300)]))
    assert code == 0
    last = [m for m in out if m.get("id") == 1]
    assert len(last) == 1 and last[0]["result"]["answer"] == "hello"


def test_a_pipe_with_wait_false_still_works_to_the_end(lab):
    code, out, _ = lab.pipe(start_line(lab, [say("hello", delayMs=300)], wait=False))
    assert code == 0
    run = [m for m in out if m.get("id") == 1][0]["result"]["runId"]
    assert out[-1]["params"]["type"] == "run.completed"
    assert lab.bridge().get(run)["status"] == "success"


def test_a_pipe_left_with_a_waiting_run_exits_75(lab):
    code, out, _ = lab.pipe(start_line(lab, [calls("t"), say("ok")], [tool("t")]))
    assert code == 75
    assert [m for m in out if m.get("id") == 1][0]["result"]["status"] == "waiting_client_tool"


def test_a_pipe_left_with_a_paused_run_exits_75(lab):
    code, out, _ = lab.pipe(start_line(lab, [calls("nope"), say("ok")], limits={"maxIterations": 1, "onLimit": "pause"}))
    assert code == 75
    assert [m for m in out if m.get("id") == 1][0]["result"]["status"] == "paused"


def test_a_pipe_whose_run_fails_exits_0(lab):
    code, out, _ = lab.pipe(start_line(lab, []))
    assert code == 0
    assert [m for m in out if m.get("id") == 1][0]["result"]["status"] == "error"


def test_a_pipe_runs_commands_to_their_end(lab):
    code, out, _ = lab.pipe(start_line(lab, [calls("c"), say("ok", expect=expect(content=contains("worked")))], [sh("c", "sleep 0.5; echo worked")]))
    assert code == 0
    assert [m for m in out if m.get("id") == 1][0]["result"]["status"] == "success"


def test_a_pipe_of_several_runs(lab):
    code, out, _ = lab.pipe(*[start_line(lab, [say(f"a{n}", delayMs=100)], id=n) for n in range(8)])
    assert code == 0
    assert {m["id"]: m["result"]["answer"] for m in out if "id" in m} == {n: f"a{n}" for n in range(8)}


def test_an_empty_pipe_exits_0(lab):
    code, out, err = lab.pipe()
    assert (code, out) == (0, [])


def test_a_pipe_submits_to_a_run_of_another_process(lab):
    b = lab.bridge()
    o = b.run([calls("t"), say("ok", expect=expect(content="piped"))], [tool("t")])
    call = o["pendingToolCalls"][0]["callId"]
    code, out, _ = lab.pipe({"jsonrpc": "2.0", "id": 1, "method": "run.submitToolResults",
                             "params": {"runId": o["runId"], "results": [{"callId": call, "content": "piped"}]}})
    assert code == 0
    assert [m for m in out if m.get("id") == 1][0]["result"]["status"] == "success"


# ---- drain and --on-eof

def test_the_capability_drain_lets_work_go_on(lab):
    b = lab.bridge(capabilities={"drain": {}})
    r = b.start([say("slow", delayMs=800)])
    b.start_id(r)
    assert b.hang_up() == 0
    assert b.result(r)["answer"] == "slow"


def test_drain_with_a_run_that_needs_the_parent_exits_75(lab):
    b = lab.bridge(capabilities={"drain": {}, "tools": {}})
    r = b.start([calls("t"), say("ok")], [tool("t")])
    b.next_invoke("t")
    b.expected_exit = 75
    assert b.hang_up() == 75
    assert b.result(r)["status"] == "waiting_client_tool"


@pytest.mark.parametrize("ends, code", [(True, 0), (False, 75)], ids=["ended", "still waiting"])
def test_drain_exits_75_only_when_nobody_has_ended_what_was_left_waiting(lab, ends, code):
    a, b = lab.bridge(capabilities={"drain": {}}), lab.bridge()
    o = a.run([calls("t"), say("ok")], [tool("t")])
    if ends:
        assert b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})["status"] == "success"
    a.expected_exit = code
    assert a.hang_up() == code


def test_drain_pauses_a_run_whose_model_the_client_has_not_answered_for(lab):
    b = lab.bridge(capabilities={"drain": {}, "sampling": {}})
    r = b.start("parent:m")
    b.next_request("sampling/createMessage")
    b.expected_exit = 75
    assert b.hang_up() == 75
    o = b.result(r)
    assert (o["status"], o["error"]["kind"], o["error"]["retryable"]) == ("paused", "model.unavailable", True)


def test_drain_pauses_a_run_whose_model_the_client_is_about_to_be_asked_again_for(lab):
    b = lab.bridge(capabilities={"drain": {}, "sampling": {}})
    r = b.start("parent:m")
    b.respond_error(b.next_request("sampling/createMessage"), -32000, "asleep")
    b.wait_event("model.retried")
    b.expected_exit = 75
    assert b.hang_up() == 75
    assert b.result(r)["status"] == "paused"


def unread_pipe(lab, *args, requests=14):
    """A pipe with more answers than it has room for, and nobody who reads them yet; its input has ended."""
    p = subprocess.Popen([BINARY, "--store", lab.store, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=base_env(lab.path))
    with p.stdin:
        p.stdin.write(b"".join(b'{"id":%d,"method":"rpc.discover"}\n' % n for n in range(requests)))
    with pytest.raises(subprocess.TimeoutExpired):
        p.wait(2.5)
    return p


@pytest.mark.parametrize("args", [(), ("--on-eof", "drain")], ids=["a pipe", "--on-eof drain"])
def test_draining_waits_for_whoever_reads_the_answers(lab, args):
    p = unread_pipe(lab, *args)
    out = p.stdout.read()
    assert p.wait(TIMEOUT) == 0
    assert sorted(loads(line)["id"] for line in out.splitlines()) == list(range(14))


def test_a_signal_ends_the_wait_of_draining_for_whoever_reads_the_answers(lab):
    p = unread_pipe(lab)
    p.terminate()
    assert p.wait(SOON) == 0
    p.stdout.close()


def test_draining_ends_when_nobody_is_left_to_read_the_answers(lab):
    p = unread_pipe(lab)
    p.stdout.close()
    assert p.wait(SOON) == 0


def test_a_turn_of_many_megabytes_that_is_not_read_does_not_hold_up_the_end(lab):
    b, other = lab.bridge(), lab.bridge()
    b.pause_reading()
    b.start([say("y" * 12_000_000)])
    until(lambda: other.call("run.list")["runs"], "the run")
    b.sigterm()
    assert b.proc.wait(TIMEOUT) == 0
    b.killed = True  # what was not read is lost
    b.resume_reading()


def test_on_eof_drain_overrides_initialize(lab):
    b = lab.bridge("--on-eof", "drain")
    r = b.start([say("slow", delayMs=800)])
    b.start_id(r)
    assert b.hang_up() == 0
    assert b.result(r)["answer"] == "slow"


def test_on_eof_exit_overrides_a_pipe(lab):
    start = time.monotonic()
    code, out, _ = lab.pipe(start_line(lab, [say("never", delayMs=60_000)]), args=("--on-eof", "exit"))
    left_after(start)
    assert code == 0
    last = [m for m in out if m.get("id") == 1]
    assert len(last) == 1


def test_on_eof_exit_overrides_drain(lab):
    b = lab.bridge("--on-eof", "exit", capabilities={"drain": {}})
    r = b.start([say("never", delayMs=60_000)])
    b.wait_event("model.started")
    start = time.monotonic()
    assert b.hang_up() == 0
    left_after(start)
    assert b.result(r)["status"] == "running"


def test_on_eof_auto_is_the_default(lab):
    code, out, _ = lab.pipe(start_line(lab, [say("hello", delayMs=200)]), args=("--on-eof", "auto"))
    assert code == 0 and [m for m in out if m.get("id") == 1][0]["result"]["answer"] == "hello"


# ---- stdout gone

def test_stdout_gone_is_hanging_up_even_while_stdin_is_open(lab):
    b = lab.parent()
    b.start([calls("t"), say("ok")], [tool("t")])
    run = b.next_invoke("t").params["runId"]
    start = time.monotonic()
    b.close_stdout()
    assert b.wait_exit() == 0
    left_after(start)
    o = lab.bridge().get(run)
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["state"] == "parked"


def test_stdout_gone_while_idle_is_noticed(lab):
    b = lab.bridge()
    b.close_stdout()
    assert b.wait_exit() == 0


def test_stdout_gone_while_events_flow(lab):
    b = lab.bridge()
    b.start([{"text": "word " * 200, "toolCalls": [{"name": "no", "arguments": {}}], "delayMs": 20, "repeat": 500}], agent={"limits": {"maxIterations": 600}})
    b.wait_event("model.completed")
    b.close_stdout()
    assert b.wait_exit() == 0


def test_stdout_gone_under_a_pipe_like_head(lab):
    line = start_line(lab, [{"text": "word " * 200, "toolCalls": [{"name": "no", "arguments": {}}], "delayMs": 20, "repeat": 500}], limits={"maxIterations": 600})
    p = subprocess.Popen([BINARY, "--store", lab.store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=base_env(lab.path))
    from harness import dumps
    p.stdin.write(dumps(line) + b"\n")
    p.stdin.close()
    p.stdout.readline()
    p.stdout.close()
    try:
        assert p.wait(TIMEOUT) in (0, 75)
    finally:
        p.kill()
        p.wait()


# ---- a parent that does not read stderr

LATE = b'{"jsonrpc":"2.0","id":"b-%d","result":{"content":"late"}}\n'  # an answer to no request: one line of the log


@pytest.fixture
def unread(lab):
    """A bridge whose stderr is a pipe that is read only by those who ask for it, after so many lines have gone there that it is full."""
    p = subprocess.Popen([BINARY, "--store", lab.store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=base_env(lab.path))
    p.stdin.write(b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2026-11-20","clientInfo":{"name":"x","version":"1"},"capabilities":{}}}\n')
    for i in range(16000):
        p.stdin.write(LATE % (i + 5000))
    p.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    p.stdin.flush()
    stop = threading.Timer(TIMEOUT, p.kill)
    stop.start()
    yield p
    stop.cancel()
    p.kill()
    p.wait()


def test_nothing_waits_for_a_parent_that_does_not_read_stderr(unread):
    assert b'"id":0' in unread.stdout.readline()
    assert b'"id":1' in unread.stdout.readline()
    unread.stdin.close()
    assert unread.wait(TIMEOUT) == 0


def test_a_signal_ends_it_though_stderr_is_not_read(unread):
    assert unread.stdout.readline() and unread.stdout.readline()
    unread.send_signal(signal.SIGTERM)
    assert unread.wait(TIMEOUT) == 0


def test_what_stderr_had_no_room_for_is_counted(unread):
    assert unread.stdout.readline() and unread.stdout.readline()
    known = lost = 0
    while known + lost < 16000:
        line = unread.stderr.readline()
        assert line.startswith(b"footbridge: ") and line.endswith(b"\n"), line
        notice = re.search(rb"(\d+) lines of the log were dropped", line)
        if notice:
            lost += int(notice[1])
        else:
            known += 1
    assert known + lost == 16000 and lost > 0 < known


# ---- signals

@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_order_with_exit_0(lab, sig):
    b = lab.parent()
    r = b.start([calls("t"), say("ok")], [tool("t")])
    b.next_invoke("t")
    start = time.monotonic()
    b.signal(sig)
    assert b.wait_exit() == 0
    left_after(start)
    o = b.result(r)
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["state"] == "parked"


def test_at_sigterm_every_open_call_parks_whatever_on_disconnect_says(lab):
    b = lab.parent()
    r = b.start([calls("t", "u"), say("ok")], [tool("t", onDisconnect="failFast"), tool("u", onDisconnect="fallbackMessage")])
    b.next_invoke("t"), b.next_invoke("u")
    b.sigterm()
    assert b.wait_exit() == 0
    o = b.result(r)
    assert o["status"] == "waiting_client_tool"
    assert [(c["name"], c["state"]) for c in o["pendingToolCalls"]] == [("t", "parked"), ("u", "parked")]


def test_an_answer_that_came_before_sigterm_is_honoured(lab):
    for _ in range(10):
        b = lab.parent()
        r = b.start([calls("t"), say("ok")], [tool("t")])
        invoke = b.next_invoke("t")
        # So that the answer is still in the pipe when the signal comes.
        b.signal(signal.SIGSTOP)
        b.respond(invoke, {"content": "in time"})
        b.sigterm()
        b.signal(signal.SIGCONT)
        assert b.wait_exit() == 0
        assert [text_of(d["content"]) for d in lab.bridge().log_of(b.result(r)["runId"], "tool.completed")] == ["in time"]


def test_sigterm_with_a_run_in_a_model_call(lab):
    b = lab.bridge()
    r = b.start([say("late", delayMs=60_000)])
    b.wait_event("model.started")
    start = time.monotonic()
    b.sigterm()
    assert b.wait_exit() == 0
    left_after(start)
    assert b.result(r)["status"] == "running"


def test_sigterm_kills_commands(lab):
    b = lab.bridge()
    b.start([calls("slow"), say("ok")], [sh("slow", f"echo $$ > {lab.path}/pid; exec sleep 300")])
    until(lambda: lab.lines("pid"))
    pid = int(lab.lines("pid")[0])
    b.sigterm()
    assert b.wait_exit() == 0
    until(lambda: not alive(pid))


def test_sigterm_ends_a_draining_pipe(lab):
    b = lab.bridge(init=False)
    b.start([say("late", delayMs=60_000)])
    b.wait_event("model.started")
    b.close_stdin()
    b.sigterm()
    assert b.wait_exit() == 0


def test_sigterm_at_once_after_start(lab):
    for _ in range(5):
        b = lab.bridge(init=False)
        b.sigterm()
        code = b.wait_exit()
        # before its handlers are in place, the signal itself ends it
        b.expected_exit = (0, -signal.SIGTERM)
        assert code in (0, -signal.SIGTERM)


def test_a_second_signal_forces(lab):
    b = lab.bridge()
    b.pause_reading()
    for n in range(300):
        b.request("rpc.discover", id=f"d{n}")
    b.sigterm()
    try:
        b.proc.wait(0.3)
    except subprocess.TimeoutExpired:
        pass
    if b.proc.poll() is None:
        b.sigterm()
    b.proc.wait(SOON)
    b.killed = True  # what was not read may be lost
    b.resume_reading()


def test_unread_answers_do_not_keep_a_client_from_taking_them_later(lab):
    """Exit comes within 1 s of the last byte the parent took: a slow reader still gets all."""
    b = lab.bridge()
    b.pause_reading()
    ids = [b.request("rpc.discover", id=f"d{n}") for n in range(20)]
    b.close_stdin()
    b.resume_reading()
    assert b.wait_exit() == 0
    for i in ids:
        assert b.result(i)["openrpc"]


# ---- exit codes

@pytest.mark.parametrize("args", [["--no-such-flag"], ["--framing", "morse"], ["--on-eof", "dance"], ["--store"], ["frobnicate"],
                                  ["--max-message-bytes", "many"], ["--max-concurrent-runs", "-5"], ["--synchronous", "perhaps"], ["--log-format", "xml"],
                                  ["show"], ["cancel"], ["submit"], ["events"], ["run", "--no-such", "x"]])
def test_usage_errors_exit_64_and_say_what(lab, args):
    code, out, err = lab.cli(*args)
    assert code == 64, (code, err)
    assert out == b"" and err.strip()


def test_an_unusable_store_exits_74_and_names_the_file(lab):
    path = lab.file("garbage.db", b"this is no database, not at all\n" * 100)
    code, out, err = lab.cli("--store", f"sqlite:{path}", store=False)
    assert code == 74 and out == b"" and str(path).encode() in err


@pytest.mark.parametrize("content", ["{", '{"store": }', "[]", '"x"', ""])
def test_a_broken_config_exits_78_and_names_the_file(lab, content):
    path = lab.file("config.json", content)
    code, out, err = lab.cli("--config", path)
    assert code == 78 and out == b"" and b"config.json" in err


def test_a_missing_config_exits_78(lab):
    code, out, err = lab.cli("--config", lab.path / "nowhere.json")
    assert code == 78 and b"nowhere.json" in err


def test_a_bad_value_in_the_environment_or_config_is_a_usage_or_configuration_error(lab):
    assert lab.cli(env={"FOOTBRIDGE_FRAMING": "morse"})[0] in (64, 78)
    path = lab.file("c.json", {"framing": "morse"})
    assert lab.cli("--config", path)[0] in (64, 78)


def test_the_end_is_the_same_for_a_hundred_waiting_runs(lab):
    b = lab.parent()
    gate = threading.Event()
    b.handlers["t"] = After(gate, Never)
    ids = [b.start([calls("t"), say("ok")], [tool("t")]) for _ in range(100)]
    until(lambda: len(b.invocations) == 100, "all invocations", 2 * TIMEOUT)
    assert b.hang_up() == 0
    gate.set()
    for i in ids:
        o = b.result(i)
        assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["state"] == "parked"


def line(method, id, **params):
    return dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}) + b"\n"


@pytest.mark.parametrize("requests", [100, 3000])
def test_hanging_up_ends_the_process_with_stdout_unread(lab, requests):
    """Nobody reads: the process must not stay for ever, though the end of stdin may stand behind requests that it does not read for that."""
    b = lab.bridge()
    b.pause_reading()
    for n in range(requests):
        b.request("rpc.discover", id=f"d{n}")
    b.close_stdin()
    b.proc.wait(2 * TIMEOUT)
    b.killed = True
    b.resume_reading()


def test_hanging_up_a_socket_ends_the_process_with_stdout_unread(lab):
    """As Node makes them: stdin and stdout are sockets."""
    requests, stdin = socket.socketpair()
    responses, stdout = socket.socketpair()
    with requests, responses:
        with stdin, stdout:
            process = subprocess.Popen([BINARY, "--store", lab.store], stdin=stdin, stdout=stdout, env=base_env(lab.path))
        requests.sendall(line("initialize", 0, protocolVersion=VERSION, capabilities={}, clientInfo={"name": "test", "version": "0"}))
        requests.sendall(b"".join(line("rpc.discover", n + 1) for n in range(1000)))
        requests.shutdown(socket.SHUT_WR)
        assert process.wait(2 * TIMEOUT) == 0


def test_an_answer_behind_requests_whose_answers_nobody_reads_is_honoured(lab):
    """The parent answers a call and goes, without a look at what it had asked for."""
    b = lab.parent()
    run = b.start_id(b.start([calls("t"), say("ok", expect=expect(content="the answer"))], [tool("t")]))
    invocation = b.next_invoke("t")
    b.pause_reading()
    for n in range(1000):
        b.request("rpc.discover", id=f"d{n}")
    b.respond(invocation, {"content": "the answer"})
    b.close_stdin()
    b.proc.wait(2 * TIMEOUT)
    b.killed = True
    b.resume_reading()
    c = lab.bridge()
    assert not c.get(run)["pendingToolCalls"]
    assert c.call("run.resume", {"runId": run})["status"] == "success"


def test_who_drains_may_leave_much_unread_for_long(lab):
    """In a shell the reader may be a pager that somebody looks at."""
    with subprocess.Popen([BINARY, "--store", lab.store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=base_env(lab.path)) as process:
        process.stdin.write(b"".join(line("rpc.discover", n) for n in range(400)))
        process.stdin.close()
        time.sleep(2.5)
        assert [loads(answer)["id"] for answer in process.stdout] == list(range(400))
        assert process.wait(TIMEOUT) == 0


def stuck(lab):
    """A bridge whose engine is in a turn that waits: somebody else has the right to write, and keeps it."""
    b = lab.bridge()
    b.succeeds([say("ok")])
    lock = open(lab.path / "runs.db-lock", "r+b")
    fcntl.lockf(lock, fcntl.LOCK_EX, 1)
    request = b.start([say("never")])
    time.sleep(0.3)
    return b, lock, request


def test_hanging_up_in_a_turn_that_waits_for_the_store_leaves_no_request_unanswered(lab):
    b, lock, request = stuck(lab)
    b.close_stdin()
    assert b.wait_exit() == 0
    assert b.error_of(request).kind == "store.unavailable"
    lock.close()


def test_a_second_signal_after_hanging_up_forces_though_the_engine_is_in_a_turn(lab):
    b, lock, _ = stuck(lab)
    start = time.monotonic()
    b.close_stdin()
    time.sleep(0.1)
    b.sigterm()
    with pytest.raises(subprocess.TimeoutExpired):
        b.proc.wait(0.2)
    b.sigterm()
    assert b.proc.wait(SOON) == -signal.SIGTERM
    assert time.monotonic() - start < 1.2
    b.killed = True
    lock.close()


def test_one_signal_after_hanging_up_does_not_keep_it_from_ending_in_order(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("ok")], [tool("t")])
    b.next_invoke("t")
    b.close_stdin()
    b.sigterm()
    assert b.wait_exit() == 0
    assert b.result(r)["status"] == "waiting_client_tool"

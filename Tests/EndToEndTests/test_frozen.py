"""Section 3, "Who drives a run", and section 12.5: a bridge that was only frozen has a lease of ten seconds, and is fenced out when it is over."""
import fcntl
import signal
import struct
import time
from contextlib import contextmanager

import pytest

from harness import TIMEOUT, alive, assert_pending, calls, contains, expect, say, sh, text_of, tool, until

LEASE = 10


def freeze(b):
    b.signal(signal.SIGSTOP)
    return time.monotonic()


def thaw(b):
    b.signal(signal.SIGCONT)


def resume_when_free(b, run, **more):
    """Asks again as the bridge says, and returns the request that was not refused, with how often it was."""
    refused = 0
    while True:
        i = b.request("run.resume", {"runId": run, "wait": False, **more})
        m = b.wait_response(i)
        if m.error is None:
            return m.result, refused
        assert m.error["data"]["kind"] == "run.leaseHeld", m.error
        assert m.error["data"]["retryable"] is True and 0 < m.error["data"]["retryAfterMs"] <= LEASE * 1000
        refused += 1
        assert refused < 60, "the lease does not end"
        time.sleep(m.error["data"]["retryAfterMs"] / 1000)


def test_the_runs_of_a_frozen_bridge_are_taken_up_and_it_is_fenced_out(lab):
    a, b = lab.parent(), lab.parent()
    late = lab.script([say("late", delayMs=120_000)])
    in_model = a.start(late)
    model_run = a.start_id(in_model)
    in_command = a.start([calls("c"), say("told", expect=expect(content=contains("unknown"), isError=True))],
                         [sh("c", f"echo $$ > {lab.path}/pid; exec sleep 300")])
    command_run = a.start_id(in_command)
    with_call = a.start([calls("t"), say("done", expect=expect(content="from b"))], [tool("t")])
    call_run = a.start_id(with_call)
    invoke = a.next_invoke("t")
    a.wait_event("model.started", model_run)
    until(lambda: lab.lines("pid"))
    frozen = freeze(a)

    # Its claims still count.
    b.fails("run.resume", {"runId": model_run}, kind="run.leaseHeld")
    assert b.get(model_run)["driver"] == "other"
    assert_pending(b.get(call_run), ["t"], state="open", attempt=1)

    lab.rewrite(late, [say("now")])
    _, refused = resume_when_free(b, model_run)
    assert refused and time.monotonic() - frozen > LEASE - 3, "a lease that was not over was taken"
    assert b.wait_run(model_run, 3 * TIMEOUT)["answer"] == "now"
    resume_when_free(b, command_run)
    assert b.wait_run(command_run, 3 * TIMEOUT)["answer"] == "told"
    assert_pending(b.get(call_run), ["t"], state="parked", attempt=1)
    b.handlers["t"] = {"content": "from b"}
    assert b.call("run.resume", {"runId": call_run}, 3 * TIMEOUT)["answer"] == "done"
    again, = b.invokes("t")
    assert again.call_id == invoke.call_id and again.params["attempt"] == 2

    # The one that was frozen: its requests are answered by what became of the runs, and it touches nothing.
    thaw(a)
    for request, run in [(in_model, model_run), (in_command, command_run), (with_call, call_run)]:
        outcome = a.result(request, 3 * TIMEOUT)
        found = b.get(run)
        assert outcome["status"] == "success" and outcome == {name: found[name] for name in outcome}
        a.wait_event("run.completed", run)
        assert b.log(run) == a.log(run)
    a.wait_cancelled(invoke.id)
    until(lambda: not alive(int(lab.lines("pid")[0])), "the command of the frozen bridge to be ended")
    a.respond(invoke, {"content": "too late"})
    a.ping()
    assert b.log_types(model_run).count("model.started") == 2 and b.log_types(model_run).count("model.completed") == 1
    for run in (model_run, command_run, call_run):
        assert b.log_types(run).count("run.completed") == 1
    done, = b.log_of(call_run, "tool.completed")
    assert text_of(done["content"]) == "from b"


def test_answers_that_came_while_a_bridge_stood_still_are_in_time(lab):
    """Which of its threads runs first when it goes on does not matter: what lies in its input counts before its timers do."""
    a = lab.parent()
    ids = [a.start([calls("t"), say("ok")], [tool("t", timeoutMs=1500)]) for _ in range(8)]
    invokes = [a.next_invoke("t") for _ in ids]
    frozen = freeze(a)
    for m in invokes:
        a.respond(m, {"content": "in time"})
    until(lambda: time.monotonic() - frozen > 1.7, "the timeout to be over")
    thaw(a)
    for i in ids:
        o = a.result(i)
        assert [text_of(d["content"]) for d in a.log_of(o["runId"], "tool.completed")] == ["in time"]


def test_adopt_takes_up_what_a_frozen_bridge_drove(lab):
    a = lab.parent()
    model = lab.script([say("late", delayMs=120_000)])
    request = a.start(model, [tool("t")])
    run = a.start_id(request)
    a.wait_event("model.started", run)
    frozen = freeze(a)
    lab.rewrite(model, [calls("t"), say("ok")])
    b = lab.parent("--adopt")
    until(lambda: b.get(run)["status"] == "waiting_client_tool", "the run to be taken up", LEASE + 3 * TIMEOUT)
    assert time.monotonic() - frozen > LEASE - 3
    # It waits with delivery pause: no parent was asked.
    assert b.invokes() == []
    resumed, = b.log_of(run, "run.resumed")
    assert resumed["cause"] == "recovery"
    thaw(a)
    # It waits for nobody: that settles what the other bridge was asked.
    outcome = a.result(request, 3 * TIMEOUT)
    assert outcome["status"] == "waiting_client_tool" and a.invokes() == []
    call, = outcome["pendingToolCalls"]
    assert a.call("run.submitToolResults", a.submit_params(run, {call["callId"]: "x"}))["status"] == "success"
    assert a.log(run) == b.log(run)


def test_a_bridge_that_was_frozen_goes_on_where_nobody_took_its_runs(lab):
    a, b = lab.bridge(), lab.bridge()
    request = a.start([calls("c"), say("ok")], [sh("c", f"while [ ! -e {lab.path}/go ]; do sleep 0.05; done; echo went")])
    run = a.start_id(request)
    a.wait_event("tool.started", run)
    freeze(a)
    until(lambda: b.get(run)["driver"] == "none", "the lease to end", LEASE + 2 * TIMEOUT)
    thaw(a)
    until(lambda: b.get(run)["driver"] == "other", "the frozen one to be back")
    b.fails("run.resume", {"runId": run}, kind="run.leaseHeld")
    lab.file("go")
    assert a.result(request)["status"] == "success"
    assert "run.resumed" not in a.log_types(run)


def test_a_bridge_without_claims_and_one_that_only_waits_keep_their_word(lab):
    """A call that is out at a parent that takes its time stays open: the bridge shows that it is there as long as it waits."""
    a, b = lab.parent(), lab.bridge()
    request = a.start([calls("t"), say("ok")], [tool("t", timeoutMs=600_000)])
    run = a.start_id(request)
    invoke = a.next_invoke()
    for _ in range(2 * (LEASE + 2)):
        assert_pending(b.get(run), ["t"], state="open", attempt=1)
        time.sleep(0.5)
    a.respond(invoke, {"content": "x"})
    assert a.result(request)["status"] == "success"


# ---- what a store that cannot be written to just now holds up

@contextmanager
def nobody_may_write(lab):
    """Holds what every process holds while it writes."""
    with open(f"{lab.path}/runs.db-lock", "r+b") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLKW, struct.pack("hhqqixxxx", fcntl.F_WRLCK, 0, 0, 1, 0))
        yield


def test_a_store_that_is_not_writable_for_a_while_holds_up_no_ping(lab):
    b = lab.parent()
    request = b.start([calls("t"), calls("t"), say("ok")], [tool("t")])
    run = b.start_id(request)
    for done in range(2):
        invoke = b.next_invoke("t")
        with nobody_may_write(lab):
            b.respond(invoke, {"content": "x"})
            for _ in range(20):
                b.ping(3)
            # What is broken or unknown is answered as well, and a cancelled request.
            b.fails("no.such", {}, code=-32601, valid=False)
            waiting = b.request("run.wait", {"runId": run, "until": "ended"})
            b.notify("notifications/cancelled", {"requestId": waiting})
            assert b.error_of(waiting).code == -32800
            assert len(b.events(run, "tool.completed")) == done
    assert b.result(request)["answer"] == "ok"


@pytest.mark.parametrize("end", ["close_stdin", "sigterm"])
def test_a_bridge_ends_while_its_store_is_not_writable(lab, end):
    b = lab.parent()
    request = b.start([calls("t"), say("ok")], [tool("t")])
    run = b.start_id(request)
    invoke = b.next_invoke("t")
    with nobody_may_write(lab):
        b.respond(invoke, {"content": "kept"})
        b.ping()
        getattr(b, end)()
        time.sleep(0.3)
    b.wait_exit()
    assert b.wait_response(request)
    c = lab.parent()
    done, = c.log_of(run, "tool.completed")
    assert text_of(done["content"]) == "kept"
    c.call("run.resume", {"runId": run})
    assert c.wait_run(run)["answer"] == "ok"

"""Section 5's policies of one tool, wherever it was registered: what runs alone, how often, how many, how long, how much."""
import re
import threading
import time

import pytest

from harness import Never, calls, say, sh, tool, until
from told import opened, told, unchanged_by_kills  # noqa: F401

IDEMPOTENT = {"annotations": {"idempotentHint": True}}
HOMES = ["agent", "session", "connection", "run", "toolkit", "augmentation"]


def home(told, b, where, *tools):
    """The params of a run.start with these tools registered there."""
    if where == "agent":
        return {"agent": {"tools": list(tools)}}
    if where == "run":
        return {"tools": list(tools)}
    if where == "toolkit":
        return {"toolkits": [opened("kit", *tools)]}
    if where == "augmentation":
        return {"augmentation": {"injectToolkits": [opened("kit", *tools)]}}
    if where == "connection":
        b.call("tool.register", {"tools": list(tools)})
        return {}
    s = told.session(b)
    b.call("tool.register", {"tools": list(tools), "sessionId": s})
    return {"sessionId": s}


class Gauge:
    """A handler that knows how many of its calls are out at once."""

    def __init__(self, hold=0.03):
        self.now = self.most = 0
        self.together, self.open = set(), []
        self.lock, self.hold = threading.Lock(), hold

    def __call__(self, p):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.open.append(p["name"])
            self.together.add(tuple(sorted(self.open)))
        threading.Event().wait(self.hold)
        with self.lock:
            self.now -= 1
            self.open.remove(p["name"])
        return {"content": "ok"}


# ---------------------------------------------------------------- what runs alone

@pytest.mark.parametrize("where", HOMES)
def test_a_call_of_a_tool_that_is_not_parallel_runs_alone(told, where):
    b = told.bridge()
    gauge = Gauge()
    told.on("alone", gauge)
    told.on("other", gauge)
    model = told.script(calls("other", "alone", "other", "alone", "other"), "ok")
    told.succeeds(b, model, **home(told, b, where, tool("alone", parallel=False), tool("other")))
    assert not [t for t in gauge.together if "alone" in t and len(t) > 1], gauge.together
    assert told.at(model, 1).results == [("ok", False)] * 5


def test_commands_that_are_not_parallel_run_alone(lab, told):
    b = told.bridge()
    script = f"echo start >> {lab.path}/log; sleep 0.05; echo end >> {lab.path}/log"
    model = told.script(calls("S", "S", "S"), "ok")
    told.succeeds(b, model, toolkits=[opened("kit", sh("S", script, parallel=False))])
    assert lab.lines("log") == ["start", "end"] * 3


ALONE = {"a client call that is out": ("c", {}), "a client call that is out and runs alone": ("c", {"parallel": False})}


@pytest.mark.parametrize("out", ALONE)
@pytest.mark.parametrize("where", ["a command", "a client call"])
def test_an_approved_call_waits_for_a_call_that_is_out_when_either_runs_alone(lab, where, out):
    """Whatever is approved meanwhile, and whoever drives the run."""
    b = lab.parent()
    name, policy = ALONE[out]
    gated = {"requiresApproval": True, "parallel": bool(policy)}
    second = sh("g", "echo ran", **gated) if where == "a command" else tool("g", **gated)
    r = b.start([calls("g", name), say("ok")], [tool(name, **policy), second])
    c = b.next_invoke(name)
    run = c.params["runId"]
    other = lab.parent()
    pending = {p["name"]: p for p in b.get(run)["pendingToolCalls"]}
    id = other.request("run.submitApprovals", {"runId": run, "approvals": [{"callId": pending["g"]["callId"], "decision": "approve"}]})
    until(lambda: "approval.decided" in b.log_types(run))
    time.sleep(0.5)
    assert [d["callId"] for d in b.log_of(run, "tool.started")] == [c.call_id]
    b.respond(c, {"content": "done"})
    if where == "a client call":
        until(lambda: b.invokes("g") or other.invokes("g"))
        m, = b.invokes("g") + other.invokes("g")
        (b if b.invokes("g") else other).respond(m, {"content": "ran"})
    assert other.result(id)["status"] == "success" and b.result(r)["status"] == "success"
    assert [d["callId"] for d in b.log_of(run, "tool.started")] == [c.call_id, pending["g"]["callId"]]


def test_a_result_that_lets_a_command_run_which_had_to_wait_is_refused_where_it_cannot_run(lab):
    b = lab.parent()
    r = b.start([calls("g", "c"), say("ok")], [tool("c"), sh("g", "echo ran", requiresApproval=True, parallel=False)])
    c = b.next_invoke("c")
    run = c.params["runId"]
    g = next(p for p in b.get(run)["pendingToolCalls"] if p["name"] == "g")
    b.call("run.submitApprovals", {"runId": run, "approvals": [{"callId": g["callId"], "decision": "approve"}], "wait": False})
    other = lab.bridge("--no-commands")
    other.fails("run.submitToolResults", {"runId": run, "results": [{"callId": c.call_id, "content": "done"}]}, kind="unsupportedCapability")
    b.respond(c, {"content": "done"})
    assert b.result(r)["status"] == "success"
    assert [d["isError"] for d in b.log_of(run, "tool.completed")] == [False, False]


def test_at_most_so_many_calls_are_out_in_all_processes_together(lab):
    b = lab.parent()
    b.start([calls(*["t"] * 5), say("ok")], [tool("t")], agent={"clientTools": {"maxParallelInvocations": 2}})
    first = [b.next_invoke(), b.next_invoke()]
    run = first[0].params["runId"]
    other = lab.parent()
    id = other.request("run.resume", {"runId": run})
    time.sleep(0.6)
    assert not other.invokes() and len(b.invokes()) == 2
    for m in first:
        b.respond(m, {"content": "done"})
    seen = set()

    def answered():
        for side in (b, other):
            for m in side.invokes():
                if m.call_id not in seen and m not in first:
                    seen.add(m.call_id)
                    side.respond(m, {"content": "done"})
        return len(seen) == 3
    until(answered)
    assert other.result(id)["status"] == "success"


def test_others_run_together(told):
    b = told.bridge()
    barrier = threading.Barrier(3)
    told.on("T", lambda p: barrier.wait(10) and {"content": "ok"} or {"content": "ok"})
    model = told.script(calls("T", "T", "T"), "ok")
    told.succeeds(b, model, tools=[tool("T")])
    assert told.at(model, 1).results == [("ok", False)] * 3


# ---------------------------------------------------------------- how often, how many

@pytest.mark.parametrize("where", HOMES)
def test_max_calls_per_run(told, where):
    b = told.bridge()
    told.on("T", "did it")
    told.on("U", "u")
    model = told.script(calls("T", "T", "U"), calls("T", "U"), calls("T"), "ok")
    o = told.succeeds(b, model, **home(told, b, where, tool("T", maxCallsPerRun=3), tool("U")))
    assert told.at(model, 1).results == [("did it", False), ("did it", False), ("u", False)]
    assert told.at(model, 2).results == [("did it", False), ("u", False)]
    assert "T" in told.at(model, 3).failure
    assert len(b.invokes("T")) == 3 and o["status"] == "success"


def test_more_calls_than_allowed_in_one_batch(told):
    b = told.bridge()
    told.on("T", lambda p: {"content": str(p["arguments"]["n"])})
    model = told.script(calls(*[("T", {"n": n}) for n in range(4)]), "ok")
    told.succeeds(b, model, tools=[tool("T", maxCallsPerRun=2)])
    results = told.at(model, 1).results
    assert results[:2] == [("0", False), ("1", False)] and all(e for _, e in results[2:])
    assert sorted(m.params["arguments"]["n"] for m in b.invokes()) == [0, 1]


def test_max_calls_per_run_begins_anew_in_the_next_run_of_a_session(told):
    b = told.bridge()
    s = told.session(b)
    told.on("T", "did it")
    for _ in range(2):
        shown = told.one(calls("T"), "ok", b=b, sessionId=s, toolkits=[opened("kit", tool("T", maxCallsPerRun=1))])
        assert shown[1].result == "did it"


def test_max_calls_per_run_counts_over_processes(told):
    a = told.bridge()
    told.on("T", "did it")
    model = told.script(calls("T"), calls("W"), calls("T"), "ok")
    told.start(a, model, tools=[tool("T", maxCallsPerRun=1), tool("W")])
    m = a.next_invoke("W")
    a.kill9()
    b = told.bridge()
    told.on("W", "w")
    b.call("run.resume", {"runId": m.params["runId"]})
    assert told.at(model, 1).result == "did it" and told.at(model, 3).failure


def test_max_parallel_invocations(told):
    b = told.bridge()
    gauge = Gauge()
    told.on("T", gauge)
    model = told.script(calls(*["T"] * 7), "ok")
    told.succeeds(b, model, agent={"clientTools": {"maxParallelInvocations": 2}}, toolkits=[opened("kit", tool("T"))])
    assert gauge.most <= 2 and told.at(model, 1).results == [("ok", False)] * 7


def test_exactly_as_many_as_allowed_are_out(told):
    b = told.bridge()
    model = told.script(calls(*["T"] * 5), "ok")
    id = told.start(b, model, agent={"clientTools": {"maxParallelInvocations": 3}}, tools=[tool("T")])
    out = [b.next_invoke("T") for _ in range(3)]
    b.ping()
    assert len(b.invokes()) == 3
    states = sorted(c["state"] for c in b.get(out[0].params["runId"])["pendingToolCalls"])
    assert states.count("open") == 3 and len(states) == 5
    told.on("T", "ok")
    for m in out:
        b.respond(m, {"content": "ok"})
    assert b.result(id)["status"] == "success"


# ---------------------------------------------------------------- how much

def cut(told, b, text, most, where="run", **more):
    told.on("T", lambda p: {"content": text, **more})
    model = told.script(calls("T"), "ok")
    o = told.succeeds(b, model, **home(told, b, where, tool("T", maxResultBytes=most)))
    return told.at(model, 1).result, b.log_of(o["runId"], "tool.completed")[0]


@pytest.mark.parametrize("where", HOMES)
def test_a_result_that_is_too_large_is_cut_with_a_note_of_how_much(told, where):
    text = "".join(chr(97 + n % 26) for n in range(1000))
    seen, done = cut(told, told.bridge(), text, 100, where)
    head = re.match("[a-z]*", seen).group()[:100]
    assert text.startswith(head) and 50 <= len(head) <= 100
    note = seen[len(head):]
    assert text[:101] not in seen and len(seen) < 500
    assert {int(n) for n in re.findall(r"\d+", note.replace(",", ""))} & {100, 900, 1000}, note
    assert done["content"] == text


def test_a_result_that_just_fits_is_whole(told):
    assert cut(told, told.bridge(), "x" * 100, 100)[0] == "x" * 100


def test_no_character_is_cut_in_two(told):
    seen, _ = cut(told, told.bridge(), "ü🙂" * 100, 50)
    assert "\ufffd" not in seen and seen.startswith("ü🙂ü")


def test_a_command_is_cut_too_and_kept_whole(told):
    b = told.bridge()
    model = told.script(calls("S"), "ok")
    o = told.succeeds(b, model, tools=[sh("S", "head -c 5000 /dev/zero | tr '\\0' x", maxResultBytes=200)])
    seen = told.at(model, 1).result
    assert len(seen) < 700 and {int(n) for n in re.findall(r"\d+", seen.replace(",", ""))} & {200, 4800, 5000}, seen
    done, = b.log_of(o["runId"], "tool.completed")
    assert "x" * 5000 in str(done["content"]) + str(done.get("stdout", ""))


def test_blocks_are_counted_together(told):
    told.on("T", {"content": [{"type": "text", "text": "a" * 80}, {"type": "text", "text": "b" * 80}]})
    shown = told.one(calls("T"), "ok", tools=[tool("T", maxResultBytes=100)])
    seen = shown[1].result
    assert "a" * 80 in seen and "b" * 21 not in seen


# ---------------------------------------------------------------- how long, and what then

@pytest.mark.parametrize("where", HOMES)
def test_the_tools_timeout_and_strategy_hold_wherever_it_is_registered(told, where):
    b = told.bridge()
    told.on("T", Never)
    model = told.script(calls("T"), "ok")
    told.succeeds(b, model, **home(told, b, where, tool("T", timeoutMs=60, onTimeout="fallbackMessage")))
    assert b.invokes()[0].params["timeoutMs"] == 60
    assert told.at(model, 1).failure == "Client unavailable. Tool 'T' may or may not have run; its result is unknown."


def test_park_keeps_it_for_a_submit(told):
    b = told.bridge()
    told.on("T", Never)
    model = told.script(calls("T"), "ok")
    o = told.run(b, model, toolkits=[opened("kit", tool("T", timeoutMs=60, onTimeout="park"))])
    call, = o["pendingToolCalls"]
    assert (o["status"], call["state"]) == ("waiting_client_tool", "parked")
    b.submit(o["runId"], {call["callId"]: "late"})
    assert told.at(model, 1).result == "late"


def test_fail_fast_ends_the_run(told):
    b = told.bridge()
    told.on("T", Never)
    o = told.run(b, told.script(calls("T"), "ok"), toolkits=[opened("kit", tool("T", timeoutMs=60, onTimeout="failFast"))])
    assert (o["status"], o["error"]["kind"]) == ("error", "tool.timeout")


def test_retries_only_where_a_repeat_does_no_harm(told):
    b = told.bridge()
    tries = {"safe": 0, "unsafe": 0}

    def handler(p):
        tries[p["name"]] += 1
        return {"content": "at last"} if tries[p["name"]] > 1 else Never
    told.on("safe", handler)
    told.on("unsafe", handler)
    model = told.script(calls("safe", "unsafe"), "ok")
    told.succeeds(b, model, toolkits=[opened("kit", tool("safe", timeoutMs=250, onTimeout="retryWithBackoff", **IDEMPOTENT), tool("unsafe", timeoutMs=250, onTimeout="retryWithBackoff"))])
    safe, unsafe = told.at(model, 1).results
    assert safe == ("at last", False) and unsafe[1] and "may or may not have run" in unsafe[0]
    assert [m.params["attempt"] for m in b.invokes("safe")][:2] == [1, 2] and len(b.invokes("unsafe")) == 1


@pytest.mark.parametrize("strategy, status", [("park", "waiting_client_tool"), ("failFast", "error"), ("fallbackMessage", "running")])
def test_on_disconnect_of_the_tool_wins_over_the_agents(told, strategy, status):
    a = told.bridge()
    model = told.script(calls("T"), "ok")
    other = "failFast" if strategy != "failFast" else "park"
    id = told.start(a, model, agent={"clientTools": {"onDisconnect": other}}, toolkits=[opened("kit", tool("T", onDisconnect=strategy))])
    m = a.next_invoke("T")
    a.hang_up()
    o = a.result(id)
    assert o["status"] == status, o
    if status == "error":
        assert o["error"]["kind"] == "client.disconnected"
    if strategy == "fallbackMessage":
        told.bridge().call("run.resume", {"runId": m.params["runId"]})
        assert "may or may not have run" in told.at(model, 1).failure


def test_a_command_has_its_own_timeout(told):
    shown = told.one(calls("S"), "ok", tools=[sh("S", "sleep 20", timeoutMs=100)])
    assert shown[1].failure


def test_the_later_definition_brings_its_own_policies(told):
    b = told.bridge()
    told.on("T", "did it")
    model = told.script(calls("T"), calls("T"), "ok")
    told.succeeds(b, model, agent={"tools": [tool("T", maxCallsPerRun=1)]}, tools=[tool("T")])
    assert told.at(model, 2).result == "did it"


# ---------------------------------------------------------------- kills

def test_kill_9_between_any_two_steps_changes_nothing_that_the_model_sees(lab):
    def story(told):
        told.on("T", lambda p: {"content": "x" * 500})
        told.on("alone", "a")
        model = told.script(calls("T", "alone", "T"), calls("T", "alone"), "ok")
        return {"input": "go", "agent": {"model": model}, "toolkits": [opened("kit", tool("T", maxCallsPerRun=2, maxResultBytes=50, **IDEMPOTENT), tool("alone", parallel=False))]}, None

    shown = unchanged_by_kills(lab, story)
    assert [e for _, e in shown[2].results] == [True, False]

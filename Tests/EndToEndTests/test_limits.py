"""Section 8, limits: what ends or pauses a run, and going on with new ones."""
import pytest

from conversations import asked, reply, seen, session, turn, window
from harness import TIMEOUT, calls, say, sh, tool, until

LOOP = [{**calls("c"), "repeat": 50}, say("end")]
C = [sh("c", "true")]


def resume(b, run, **more):
    return b.call("run.resume", {"runId": run, **more})


def test_iterations_end_as_max_iterations_without_error(bridge):
    o = bridge.run(LOOP, C, limits={"maxIterations": 3})
    assert o["status"] == "max_iterations" and o["ended"] and "error" not in o and "stopReason" not in o
    assert o["usage"]["modelCalls"] == 3 and o["usage"]["toolCalls"] == 3
    assert bridge.log_types(o["runId"])[-1] == "run.completed"


def test_the_limit_is_judged_before_a_model_call(bridge):
    """The calls of the last allowed turn are still made."""
    o = bridge.run([calls("c"), say("never")], C, limits={"maxIterations": 1})
    assert o["status"] == "max_iterations" and o["usage"]["toolCalls"] == 1
    assert bridge.succeeds([calls("c"), say("yes")], C, limits={"maxIterations": 2}, answer="yes")


def test_twenty_five_iterations_are_the_default(bridge):
    o = bridge.run(LOOP, C, timeout=3 * TIMEOUT)
    assert o["status"] == "max_iterations" and o["usage"]["modelCalls"] == 25


def test_the_limits_of_the_run_win_over_the_agents(bridge):
    o = bridge.run(LOOP, C, agent={"limits": {"maxIterations": 2}}, limits={"maxIterations": 4})
    assert o["usage"]["modelCalls"] == 4
    o = bridge.run(LOOP, C, agent={"limits": {"maxIterations": 2}})
    assert o["usage"]["modelCalls"] == 2


def test_a_member_of_the_runs_limits_leaves_the_agents_other_members(bridge):
    o = bridge.run(LOOP, C, agent={"limits": {"maxIterations": 2, "onLimit": "pause"}}, limits={"maxIterations": 3})
    assert o["status"] == "paused" and o["usage"]["modelCalls"] == 3


def test_on_limit_pause_pauses_with_the_error(bridge):
    o = bridge.run(LOOP, C, limits={"maxIterations": 2, "onLimit": "pause"})
    assert o["status"] == "paused" and o["error"]["kind"] == "run.limitExceeded" and not o["ended"]


def test_resume_with_new_limits_goes_on_and_counters_go_on(bridge):
    o = bridge.run([{**calls("c"), "repeat": 4}, say("end")], C, limits={"maxIterations": 2, "onLimit": "pause"})
    run = o["runId"]
    o = resume(bridge, run, limits={"maxIterations": 3, "onLimit": "pause"})
    assert o["status"] == "paused" and o["usage"]["modelCalls"] == 3
    o = resume(bridge, run, limits={"maxIterations": 10})
    assert (o["status"], o["answer"], o["usage"]["modelCalls"]) == ("success", "end", 5)


def test_resume_at_a_limit_without_new_limits_does_not_go_past_it(bridge):
    o = bridge.run(LOOP, C, limits={"maxIterations": 2, "onLimit": "pause"})
    o = resume(bridge, o["runId"])
    assert o["status"] == "paused" and o["usage"]["modelCalls"] == 2


def test_a_run_paused_at_its_limit_goes_on_in_another_process(lab):
    a = lab.bridge()
    o = a.run([calls("c"), say("end")], C, limits={"maxIterations": 1, "onLimit": "pause"})
    a.kill9()
    assert resume(lab.bridge(), o["runId"], limits={"maxIterations": 5})["answer"] == "end"


def test_too_many_tool_calls_are_an_error(bridge):
    o = bridge.run(LOOP, C, limits={"maxToolCalls": 3})
    assert o["status"] == "error" and o["error"]["kind"] == "run.limitExceeded"
    assert o["usage"]["toolCalls"] <= 4


NUMBER = tool("v", {"type": "object", "properties": {"n": {"type": "integer"}}})


@pytest.mark.parametrize("call", ["nobody", ("v", {"n": "x"})], ids=["no such tool", "arguments that do not fit"])
def test_calls_that_are_refused_count_too(bridge, call):
    made = bridge.run(LOOP, C, limits={"maxToolCalls": 3})
    refused = bridge.run([{**calls(call), "repeat": 50}, say("end")], [NUMBER], limits={"maxToolCalls": 3})
    assert (refused["status"], refused["error"]) == (made["status"], made["error"])
    assert refused["usage"]["toolCalls"] == made["usage"]["toolCalls"]
    assert bridge.log_of(refused["runId"], "tool.started") == []


def test_too_many_tool_calls_pause_if_asked(bridge):
    o = bridge.run([{**calls("c"), "repeat": 5}, say("end")], C, limits={"maxToolCalls": 2, "onLimit": "pause"})
    assert o["status"] == "paused" and o["error"]["kind"] == "run.limitExceeded"
    o = resume(bridge, o["runId"], limits={"maxToolCalls": 100})
    assert (o["status"], o["answer"]) == ("success", "end")


def test_tool_calls_within_the_limit_are_fine(bridge):
    bridge.succeeds([calls("c", "c"), calls("c"), say("ok")], C, limits={"maxToolCalls": 3})


def test_a_deadline_is_an_error(bridge):
    o = bridge.run([say("late", delayMs=60_000)], limits={"deadlineMs": 300})
    assert o["status"] == "error" and o["error"]["kind"] == "run.limitExceeded"


def test_a_deadline_pauses_if_asked(bridge):
    model = bridge.lab.script([say("late", delayMs=60_000)])
    o = bridge.run(model, limits={"deadlineMs": 300, "onLimit": "pause"})
    assert o["status"] == "paused" and o["error"]["kind"] == "run.limitExceeded"


def test_a_deadline_stops_commands_too(lab, bridge):
    o = bridge.run([calls("slow"), say("x")], [sh("slow", "sleep 60")], limits={"deadlineMs": 500})
    assert o["status"] == "error" and o["error"]["kind"] == "run.limitExceeded"


def test_what_a_deadline_cut_off_is_told_apart_from_what_was_not_begun(lab):
    """The model of the session's next turn reads which call may have taken effect."""
    b = window(lab)
    s = session(b)
    tools = [sh("begun", f"echo did > {lab.path}/mark; exec sleep 60", parallel=False), sh("waiting", "true", parallel=False)]
    i = turn(b, s, "one", tools=tools, limits={"deadlineMs": 1500})
    reply(b, asked(b), calls=["begun", "waiting"])
    o = b.result(i)
    assert o["status"] == "error" and o["error"]["kind"] == "run.limitExceeded" and lab.lines("mark") == ["did"]
    i = turn(b, s, "two")
    m = asked(b)
    begun, waiting = [text for _, text in seen(m) if text.startswith("= ")]
    assert "Whether it took effect is unknown" in begun and "before this call was dispatched" not in begun
    assert "before this call was dispatched" in waiting and "unknown" not in waiting
    reply(b, m, "ok")
    assert b.result(i)["status"] == "success"


def test_a_deadline_counts_only_while_driven(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")], limits={"deadlineMs": 1500})
    m = parent.next_invoke()
    clock = parent.background([say("tick", delayMs=2500)])
    parent.wait_run(clock)
    parent.respond(m, {"content": "x"})
    assert parent.result(r)["status"] == "success"


def test_total_tokens_are_a_limit_where_they_are_counted(bridge):
    o = bridge.run(LOOP, C, limits={"maxIterations": 3})
    used = o["usage"]["inputTokens"] + o["usage"]["outputTokens"]
    if used == 0:
        pytest.skip("scripts count no tokens")
    o = bridge.run(LOOP, C, limits={"maxTotalTokens": 1})
    assert o["status"] == "error" and o["error"]["kind"] == "run.limitExceeded"


def test_open_calls_are_closed_when_a_limit_ends_the_run(bridge):
    o = bridge.run([calls(*["t"] * 5), say("x")], [tool("t")], limits={"maxToolCalls": 2})
    until(lambda: bridge.get(o["runId"])["ended"] or bridge.get(o["runId"])["status"] == "waiting_client_tool")
    if o["ended"]:
        assert len(bridge.log_of(o["runId"], "tool.completed")) == 5

"""Section 10: the script model."""
import json
import time

import pytest

from harness import calls, contains, expect, say, sh, tool


def test_each_line_is_one_model_turn(bridge):
    o = bridge.succeeds([calls("c"), calls("c"), say("three")], [sh("c", "true")], answer="three")
    assert [d["text"] for d in bridge.log_of(o["runId"], "model.completed")][-1] == "three"
    assert o["usage"]["modelCalls"] == 3


def test_a_turn_may_have_text_and_calls(bridge):
    o = bridge.succeeds([calls("c", text="let me look"), say("done")], [sh("c", "true")])
    first = bridge.log_of(o["runId"], "model.completed")[0]
    assert first["text"] == "let me look" and [c["name"] for c in first["toolCalls"]] == ["c"]


def test_text_streams_as_deltas(bridge):
    text = "The quick brown fox jumps over the lazy dog. Füchse! 🦊 " * 20
    o = bridge.succeeds([say(text)], answer=text)
    deltas = bridge.events(o["runId"], "text.delta")
    assert "".join(m.data["text"] for m in deltas) == text
    message = bridge.log_of(o["runId"], "model.completed")[0]["messageId"]
    assert {m.data["messageId"] for m in deltas} == {message}


def test_deltas_come_between_start_and_end_of_their_message(bridge):
    o = bridge.succeeds([say("some text that streams")])
    run = o["runId"]
    start, end = bridge.events(run, "model.started")[0], bridge.events(run, "model.completed")[0]
    deltas = bridge.events(run, "text.delta")
    assert deltas and all(start.i < m.i < end.i for m in deltas)


def test_an_expected_string_matches_when_equal(bridge):
    bridge.succeeds([say("ok", expect={"role": "user", "content": "exactly this"})], input="exactly this")


@pytest.mark.parametrize("content", ["exactly thi", "exactly this ", "Exactly this", contains("THIS"), contains("exactly  this")])
def test_a_mismatch_ends_the_run_with_script_mismatch(bridge, content):
    o = bridge.run([say("ok", expect={"role": "user", "content": content})], input="exactly this")
    assert o["status"] == "error" and o["error"]["kind"] == "script.mismatch" and o["error"]["message"]


def test_contains_matches_when_inside(bridge):
    bridge.succeeds([say("ok", expect={"role": "user", "content": contains("ctly th")})], input="exactly this")


def test_the_expectation_is_a_subset(bridge):
    bridge.succeeds([say("ok", expect={"role": "user"})])
    bridge.succeeds([say("ok", expect={})])
    assert bridge.run([say("ok", expect={"role": "tool"})])["error"]["kind"] == "script.mismatch"


def test_a_tool_message_has_name_call_id_and_is_error(bridge):
    bridge.succeeds([calls("c"), say("ok", expect={"role": "tool", "name": "c", "isError": False, "content": contains("hi")})], [sh("c", "echo hi")])
    bridge.succeeds([calls("c"), say("ok", expect={"role": "tool", "name": "c", "isError": True})], [sh("c", "exit 3")])
    assert bridge.run([calls("c"), say("ok", expect={"name": "d"})], [sh("c", "echo hi")])["error"]["kind"] == "script.mismatch"
    assert bridge.run([calls("c"), say("ok", expect={"isError": True})], [sh("c", "echo hi")])["error"]["kind"] == "script.mismatch"
    assert bridge.run([calls("c"), say("ok", expect={"callId": "none such"})], [sh("c", "echo hi")])["error"]["kind"] == "script.mismatch"


@pytest.mark.parametrize("which", ["a", "b", "c"])
def test_any_tool_message_of_the_last_batch_may_match(bridge, which):
    tools = [sh(n, f"echo from {n}") for n in "abc"]
    bridge.succeeds([calls("a", "b", "c"), say("ok", expect=expect(name=which, content=contains(f"from {which}")))], tools)


def test_tool_messages_of_an_earlier_batch_do_not_match(bridge):
    tools = [sh(n, f"echo from {n}") for n in "ab"]
    o = bridge.run([calls("a"), calls("b"), say("ok", expect=expect(name="a"))], tools)
    assert o["error"]["kind"] == "script.mismatch"


def test_a_turn_too_many_is_script_exhausted(bridge):
    o = bridge.run([calls("c")], [sh("c", "true")])
    assert o["status"] == "error" and o["error"]["kind"] == "script.exhausted"


def test_repeat_is_this_turn_so_many_times(bridge):
    o = bridge.succeeds([{**calls("c"), "repeat": 5}, say("ok")], [sh("c", "true")], answer="ok")
    assert o["usage"]["modelCalls"] == 6 and o["usage"]["toolCalls"] == 5


def test_delay_ms_delays_the_turn(bridge):
    start = time.monotonic()
    bridge.succeeds([say("ok", delayMs=400)])
    assert time.monotonic() - start >= 0.39


def test_arguments_are_carried_exactly(lab):
    b = lab.parent()
    arguments = '{"z":0.10,"big":18446744073709551615,"a":1e2,"s":"\\u0000 \\ud800 \\/","n":-0,"list":[1.0,{}],"":null}'
    model = lab.script(['{"toolCalls":[{"name":"t","arguments":' + arguments + "}]}", say("ok")])
    r = b.start(model, [tool("t")])
    invoke = b.next_invoke("t")
    assert invoke.raw_at("params", "arguments") == arguments
    run = invoke.params["runId"]
    assert b.wait_event("tool.started", run).raw_at("params", "data", "arguments") == arguments
    assert b.events(run, "model.completed")[0].raw_at("params", "data", "toolCalls", 0, "arguments") == arguments
    assert b.events(run, "run.paused")[0].raw_at("params", "data", "pendingToolCalls", 0, "arguments") == arguments
    m = b.wait_response(b.request("run.get", {"runId": run}))
    assert m.raw_at("result", "pendingToolCalls", 0, "arguments") == arguments
    b.respond(invoke, {"content": "x"})
    assert b.result(r)["status"] == "success"


def test_the_position_goes_on_after_a_restart(lab):
    a = lab.bridge()
    model = lab.script([calls("t"), calls("t", expect=expect(content="one")), say("end", expect=expect(content="two"))])
    o = a.run(model, [tool("t")])
    o = lab.bridge().submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "one"})
    a.kill9()
    o = lab.bridge().submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "two"})
    assert (o["status"], o["answer"]) == ("success", "end")


def test_the_position_counts_repeats_after_a_restart(lab):
    model = lab.script([{**calls("t"), "repeat": 3}, say("end")])
    o = lab.bridge().run(model, [tool("t")])
    for n in range(3):
        assert o["status"] == "waiting_client_tool"
        o = lab.bridge().submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: f"{n}"})
    assert (o["status"], o["answer"]) == ("success", "end")


def test_two_runs_on_one_script_have_their_own_positions(bridge):
    model = bridge.lab.script([calls("t"), say("end")])
    a, b = bridge.run(model, [tool("t")]), bridge.run(model, [tool("t")])
    assert a["status"] == b["status"] == "waiting_client_tool"
    for o in (a, b):
        assert bridge.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})["answer"] == "end"


def test_an_empty_turn_ends_the_run_with_an_empty_answer(bridge):
    o = bridge.run([{"text": ""}])
    assert o["status"] == "success" and o.get("answer", "") == ""


def test_unicode_in_a_script(bridge):
    bridge.succeeds([say("ok 東京", expect={"content": contains("ß🚀")})], input="ein ß🚀!", answer="ok 東京")


def test_a_script_line_that_is_no_json_never_hangs_the_run(lab, bridge):
    path = lab.file("bad.jsonl", '{"text": \n')
    m = bridge.wait_response(bridge.request("run.start", {"input": "x", "agent": {"model": f"script:{path}"}}))
    assert m.error is not None or m.result["status"] in ("error", "paused")


def test_a_relative_script_is_found_from_the_working_folder(lab):
    lab.script([say("found")], name="rel.jsonl")
    b = lab.bridge(cwd=lab.path)
    assert b.run("script:rel.jsonl")["answer"] == "found"


def test_a_large_text_streams_whole(bridge):
    text = "".join(f"{n} bottles of beer; " for n in range(20_000))
    o = bridge.run([say(text)], timeout=30)
    assert o["status"] == "success"
    assert "".join(m.data["text"] for m in bridge.events(o["runId"], "text.delta")) == text
    for m in bridge.events(o["runId"], "text.delta"):
        assert len(m.data["text"].encode()) <= 65536


def test_a_reading_script_shows_json_results_as_their_text(bridge):
    o = bridge.run([calls("t"), say("ok", expect=expect(content='{"b":1,"a":[0.10]}'))], [tool("t")])
    run, call = o["runId"], o["pendingToolCalls"][0]["callId"]
    r = bridge.request_raw("run.submitToolResults", '{"runId":"%s","results":[{"callId":"%s","structuredContent":{"b":1,"a":[0.10]}}]}' % (run, call))
    assert bridge.result(r)["status"] == "success"
    assert json.dumps(bridge.log_of(run, "tool.completed")[0]["structuredContent"]) == '{"b": 1, "a": [0.1]}'

"""Section 3, run.start: what goes in, when the answer comes, the RunOutcome, idempotency keys."""
import json
import threading
import time

import pytest

from harness import DEFER, After, Never, TIMEOUT, ULID, USAGE, assert_pending, calls, contains, dumps, expect, say, sh, tool, until


# ---- input

def test_input_may_be_a_string(bridge):
    bridge.succeeds([say("ok", expect={"role": "user", "content": "hello"})], input="hello", answer="ok")


def test_input_may_be_content_blocks(bridge):
    bridge.succeeds([say("ok", expect={"role": "user", "content": contains("hello")})], input=[{"type": "text", "text": "hello"}], answer="ok")


def test_input_may_be_messages(bridge):
    bridge.succeeds([say("ok", expect={"role": "user", "content": contains("third")})],
                    input=[{"role": "user", "content": "first"}, {"role": "assistant", "content": "second"}, {"role": "user", "content": "third"}], answer="ok")


def test_input_messages_may_have_blocks(bridge):
    bridge.succeeds([say("ok", expect={"role": "user", "content": contains("deep")})],
                    input=[{"role": "user", "content": [{"type": "text", "text": "deep"}]}], answer="ok")


def test_input_stands_in_run_started_as_it_was_given(bridge):
    for value in ("plain", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], [{"role": "user", "content": "x"}]):
        o = bridge.succeeds([say("ok")], input=value)
        assert bridge.log_of(o["runId"], "run.started")[0]["input"] == value


@pytest.mark.parametrize("params,pointer", [
    ({"agent": {"model": "script:/x"}}, "/input"),
    ({"input": 5, "agent": {"model": "script:/x"}}, "/input"),
    ({"input": None, "agent": {"model": "script:/x"}}, "/input"),
    ({"input": {"type": "text", "text": "x"}, "agent": {"model": "script:/x"}}, "/input"),
    ({"input": "x"}, ("/agent", "/agentId")),
    ({"input": "x", "agent": "script:/x"}, "/agent"),
    ({"input": "x", "agent": {}}, "/agent/model"),
    ({"input": "x", "agent": {"model": 5}}, "/agent/model"),
    ({"input": "x", "agent": {"model": "script:/x"}, "wait": "yes"}, "/wait"),
    ({"input": "x", "agent": {"model": "script:/x"}, "events": 1}, "/events"),
    ({"input": "x", "agent": {"model": "script:/x"}, "delivery": 1}, "/delivery"),
    ({"input": "x", "agent": {"model": "script:/x"}, "idempotencyKey": 1}, "/idempotencyKey"),
    ({"input": "x", "agent": {"model": "script:/x"}, "tools": {}}, "/tools"),
    ({"input": "x", "agent": {"model": "script:/x"}, "tools": [5]}, "/tools/0"),
    ({"input": "x", "agent": {"model": "script:/x"}, "tools": [{"description": "d"}]}, "/tools/0/name"),
    ({"input": "x", "agent": {"model": "script:/x"}, "limits": []}, "/limits"),
    ({"input": "x", "agent": {"model": "script:/x"}, "limits": {"maxIterations": "5"}}, "/limits/maxIterations"),
    ({"input": "x", "agent": {"model": "script:/x"}, "limits": {"maxIterations": 0}}, "/limits/maxIterations"),
    ({"input": "x", "agent": {"model": "script:/x"}, "limits": {"maxIterations": 10001}}, "/limits/maxIterations"),
    ({"input": "x", "agent": {"model": "script:/x"}, "limits": {"onLimit": "explode"}}, "/limits/onLimit"),
    ({"input": "x", "agent": {"model": "script:/x", "limits": {"maxIterations": 0}}}, "/agent/limits/maxIterations"),
    ({"input": "x", "agent": {"model": "script:/x"}, "metadata": {"a": 1}}, ("/metadata/a", "/metadata")),
    ({"input": "x", "agent": {"model": "script:/x"}, "metadata": []}, "/metadata"),
    ({"input": "x", "agent": {"model": "script:/x"}, "outputSchema": 5}, "/outputSchema"),
])
def test_wrong_params_are_invalid_params_with_the_pointer_and_leave_no_run(bridge, params, pointer):
    bridge.refuses("run.start", params, pointer)
    assert bridge.call("run.list")["runs"] == []


def test_an_unknown_provider_is_an_error_and_leaves_no_run(bridge):
    bridge.fails("run.start", {"input": "x", "agent": {"model": "nosuchprovider:model"}}, kind="model.unknownProvider")
    assert bridge.call("run.list")["runs"] == []


def test_a_script_that_does_not_exist_is_an_error_and_leaves_no_run(lab, bridge):
    e = bridge.fails("run.start", {"input": "x", "agent": {"model": f"script:{lab.path}/nowhere.jsonl"}})
    assert "nowhere.jsonl" in e.error["message"]
    assert bridge.call("run.list")["runs"] == []


def test_a_refused_run_start_sends_no_event(bridge):
    bridge.fails("run.start", {"input": "x", "agent": {"model": "nosuchprovider:model"}})
    bridge.ping()
    assert bridge.events() == []


# ---- wait

def test_with_wait_the_response_is_the_outcome(bridge):
    o = bridge.run([say("hello")])
    assert (o["status"], o["ended"], o["answer"], o["stopReason"], o["driver"]) == ("success", True, "hello", "end_turn", "none")
    assert o["pendingToolCalls"] == [] and "error" not in o and ULID.match(o["runId"])


def test_without_wait_the_response_precedes_every_event(bridge):
    r = bridge.start([say("hello")], wait=False)
    m = bridge.wait_response(r)
    run = m.result["runId"]
    bridge.wait_event("run.completed", run)
    assert min(e.i for e in bridge.events(run)) > m.i


def test_without_wait_the_run_is_durable_when_the_response_comes(lab):
    b = lab.bridge()
    run = b.background([say("late", delayMs=60_000)])
    assert lab.bridge().get(run)["runId"] == run
    b.call("run.cancel", {"runId": run})


def test_run_wait_gives_the_outcome_later(bridge):
    run = bridge.background([say("hello", delayMs=300)])
    o = bridge.wait_run(run)
    assert (o["status"], o["answer"]) == ("success", "hello")
    assert bridge.wait_run(run) == o


def test_run_wait_with_a_timeout_gives_the_outcome_as_it_stands(bridge):
    run = bridge.background([say("late", delayMs=60_000)])
    o = bridge.call("run.wait", {"runId": run, "timeoutMs": 200})
    assert o["status"] == "running" and o["driver"] == "self" and not o["ended"]
    o = bridge.call("run.wait", {"runId": run, "timeoutMs": 0})
    assert o["status"] == "running"
    bridge.call("run.cancel", {"runId": run})


def test_run_wait_for_an_unknown_run(bridge):
    bridge.fails("run.wait", {"runId": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, kind="run.notFound")


@pytest.mark.parametrize("id", ["", "x", "01ARZ3NDEKTSV4RRFFQ69G5FA!", "../../etc/passwd", "é" * 50, "'; drop table runs; --"])
def test_any_string_may_be_an_unknown_run(bridge, id):
    bridge.fails("run.get", {"runId": id}, kind="run.notFound")


def test_run_wait_from_another_process(lab):
    a, b = lab.bridge(), lab.bridge()
    run = a.background([say("hello", delayMs=800)])
    o = b.wait_run(run)
    assert (o["status"], o["answer"], o["driver"]) == ("success", "hello", "none")


def test_another_process_sees_the_driver_as_other(lab):
    a, b = lab.bridge(), lab.bridge()
    run = a.background([say("late", delayMs=60_000)])
    a.wait_event("model.started", run)
    assert a.get(run)["driver"] == "self"
    assert b.get(run)["driver"] == "other"
    a.call("run.cancel", {"runId": run})


# ---- run.accepted

def test_a_waiting_client_is_told_its_run_at_once(bridge):
    r = bridge.start([say("hello", delayMs=200)])
    o = bridge.result(r)
    events = bridge.events(o["runId"])
    assert events[0].type == "run.accepted" and events[0].seq is None and events[0].data["requestId"] == r
    assert len([e for e in events if e.type == "run.accepted"]) == 1


@pytest.mark.parametrize("id", ["a string", 1.5, 18446744073709551616, ""])
def test_run_accepted_names_the_request_by_its_own_id(bridge, id):
    bridge.request("run.start", bridge.params([say("x")]), id=id)
    m = bridge.wait_event("run.accepted")
    assert m.data["requestId"] == id
    bridge.result(id)


def test_without_wait_there_is_no_run_accepted(bridge):
    run = bridge.background([say("hello")])
    bridge.wait_event("run.completed", run)
    assert not bridge.events(run, "run.accepted")


def test_events_false_means_only_the_response(bridge):
    o = bridge.run([calls("nope"), say("hello")], events=False)
    assert o["answer"] == "hello"
    bridge.ping()
    assert bridge.events() == []
    assert "run.completed" in bridge.log_types(o["runId"])


def test_events_false_still_asks_the_parent(parent):
    parent.handlers["t"] = {"content": "x"}
    o = parent.succeeds([calls("t"), say("ok")], [tool("t")], events=False)
    assert parent.events() == [] and len(parent.invokes()) == 1
    assert parent.get(o["runId"])["usage"]["toolCalls"] == 1


# ---- when a run settles

def test_it_settles_when_nobody_is_to_be_asked(bridge):
    o = bridge.run([calls(("t", {"a": 1})), say("ok")], [tool("t")])
    assert (o["status"], o["driver"], o["ended"]) == ("waiting_client_tool", "none", False)
    call, = assert_pending(o, ["t"], state="parked", attempt=0)
    assert call["target"] == "client" and call["arguments"] == {"a": 1} and call["runId"] == o["runId"]
    assert "answer" not in o or not o["answer"]


def test_it_does_not_settle_while_a_call_is_open_at_a_connected_client(parent):
    r = parent.start([calls("t", "u"), say("ok")], [tool("t"), tool("u")])
    t = parent.next_invoke("t")
    u = parent.next_invoke("u")
    parent.respond(u, DEFER)
    w = parent.request("run.wait", {"runId": t.params["runId"], "timeoutMs": 300})
    o = parent.result(w)
    assert o["status"] == "waiting_client_tool"
    assert {c["name"]: c["state"] for c in o["pendingToolCalls"]} == {"t": "open", "u": "deferred"}
    assert not parent.collect(lambda m: m.is_response and m.id == r)
    parent.respond(t, DEFER)
    o = parent.result(r)
    assert [c["state"] for c in o["pendingToolCalls"]] == ["deferred", "deferred"]


def test_a_call_open_at_another_process_is_waited_for_too(lab):
    a, b = lab.parent(), lab.bridge()
    run = a.background([calls("t"), say("ok")], [tool("t")])
    invoke = a.next_invoke("t")
    w = b.request("run.wait", {"runId": run})
    b.ping()
    assert b.call("run.wait", {"runId": run, "timeoutMs": 300})["pendingToolCalls"][0]["state"] == "open"
    assert not b.collect(lambda m: m.is_response and m.id == w)
    a.respond(invoke, {"content": "x"})
    assert b.result(w)["status"] == "success"


def test_it_settles_when_the_client_of_another_process_is_gone(lab):
    a, b = lab.parent(), lab.bridge()
    run = a.background([calls("t"), say("ok")], [tool("t")])
    a.next_invoke("t")
    w = b.request("run.wait", {"runId": run})
    b.ping()
    a.hang_up()
    o = b.result(w)
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["state"] == "parked"


def test_it_settles_when_the_client_of_another_process_was_killed(lab):
    a, b = lab.parent(), lab.bridge()
    run = a.background([calls("t"), say("ok")], [tool("t")])
    a.next_invoke("t")
    w = b.request("run.wait", {"runId": run})
    b.ping()
    a.kill9()
    o = b.result(w, 3 * TIMEOUT)
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["state"] == "parked"


def test_run_wait_on_a_settled_run_answers_at_once(bridge):
    o = bridge.run([calls("t"), say("ok")], [tool("t")])
    assert bridge.wait_run(o["runId"])["pendingToolCalls"] == o["pendingToolCalls"]


# ---- RunOutcome

def test_usage_counts_model_and_tool_calls(bridge):
    o = bridge.run([calls("c", "c"), calls("c"), say("ok")], [sh("c", "true")])
    assert set(o["usage"]) >= USAGE
    assert o["usage"]["modelCalls"] == 3 and o["usage"]["toolCalls"] == 3


def test_the_answer_is_the_text_of_the_final_model_message(bridge):
    o = bridge.run([calls("c", text="thinking aloud"), say("final")], [sh("c", "true")])
    assert o["answer"] == "final"


def test_last_seq_is_the_seq_of_the_last_event(bridge):
    o = bridge.run([say("ok")])
    log = bridge.check_replay(o["runId"])
    assert o["lastSeq"] == log[-1]["seq"] == len(log)


def test_metadata_comes_back(bridge):
    o = bridge.run([say("ok")], metadata={"ticket": "42", "ü": "🚀", "": ""})
    assert o["metadata"] == {"ticket": "42", "ü": "🚀", "": ""}
    assert bridge.get(o["runId"])["metadata"] == o["metadata"]


def test_every_method_that_settles_gives_the_same_outcome(bridge):
    o = bridge.run([say("ok")], metadata={"a": "b"})
    run = o["runId"]
    assert bridge.wait_run(run) == o
    assert bridge.call("run.resume", {"runId": run}) == o
    assert bridge.call("run.cancel", {"runId": run}) == o
    assert bridge.call("run.pause", {"runId": run}) == o
    got = bridge.get(run)
    assert {k: got[k] for k in o} == o


def test_the_last_event_carries_the_outcome(bridge):
    o = bridge.run([say("ok")])
    e = bridge.wait_event("run.completed", o["runId"]).data
    inner = e.get("outcome", e)
    assert inner["status"] == "success" and inner["answer"] == "ok"


def test_how_a_run_ends_is_an_outcome_never_an_error(bridge):
    o = bridge.run([])
    assert o["status"] == "error" and o["error"]["kind"] == "script.exhausted" and isinstance(o["error"]["retryable"], bool)
    assert bridge.wait_event("run.error", o["runId"])


def test_the_agent_may_have_a_name_and_instructions(bridge):
    o = bridge.succeeds([say("ok")], agent={"name": "helper", "instructions": "be brief", "temperature": 0.1, "maxOutputTokens": 100})
    started = bridge.log_of(o["runId"], "run.started")[0]
    assert started["agent"]["name"] == "helper" and started["agent"]["model"].startswith("script:")


# ---- structured answers

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_output_schema_gives_a_structured_answer(bridge):
    o = bridge.run([say('{"n": 5, "m": 0.10}')], outputSchema=SCHEMA)
    assert o["status"] == "success" and o["structuredAnswer"] == {"n": 5, "m": 0.1}


def test_a_structured_answer_is_carried_exactly(bridge):
    r = bridge.start([say('{"z":0.10,"n":18446744073709551615,"a":1e2}')], outputSchema={"type": "object"})
    m = bridge.wait_response(r)
    assert m.raw_at("result", "structuredAnswer") == '{"z":0.10,"n":18446744073709551615,"a":1e2}'


@pytest.mark.parametrize("answer", ["not json", '{"n": "five"}', "{}", '{"n":1} and more'])
def test_an_answer_that_does_not_validate_is_no_success(bridge, answer):
    o = bridge.run([say(answer, repeat=30)], outputSchema=SCHEMA)
    assert o["status"] == "error" and o["error"]["kind"] == "model.invalidOutput"


def test_without_output_schema_there_is_no_structured_answer(bridge):
    assert "structuredAnswer" not in bridge.run([say('{"n":1}')])


def test_a_bad_output_schema_is_an_error_and_leaves_no_run(bridge):
    bridge.fails("run.start", bridge.params([say("{}")], outputSchema={"type": "no-such-type"}))
    assert bridge.call("run.list")["runs"] == []


# ---- idempotency keys

def test_the_same_key_and_params_are_the_same_run(bridge):
    p = bridge.params([say("once")], idempotencyKey="k1")
    a, b = bridge.call("run.start", p), bridge.call("run.start", p)
    assert a == b and a["status"] == "success"
    assert len(bridge.call("run.list")["runs"]) == 1


def test_another_key_is_another_run(bridge):
    p = bridge.params([say("once")])
    a, b = bridge.call("run.start", {**p, "idempotencyKey": "k1"}), bridge.call("run.start", {**p, "idempotencyKey": "k2"})
    assert a["runId"] != b["runId"]


def test_no_key_is_another_run(bridge):
    p = bridge.params([say("once")])
    assert bridge.call("run.start", p)["runId"] != bridge.call("run.start", p)["runId"]


@pytest.mark.parametrize("change", [
    lambda p: p.update(input="other"),
    lambda p: p["agent"].update(instructions="other"),
    lambda p: p.update(metadata={"a": "b"}),
    lambda p: p.update(limits={"maxIterations": 3}),
    lambda p: p.update(tools=[tool("t")]),
])
def test_the_same_key_with_other_params_is_a_conflict(bridge, change):
    p = bridge.params([say("once")], idempotencyKey="k1")
    bridge.call("run.start", p)
    other = json.loads(json.dumps(p))
    change(other)
    bridge.fails("run.start", other, kind="run.idempotencyConflict")
    assert len(bridge.call("run.list")["runs"]) == 1


@pytest.mark.parametrize("more", [{"wait": True}, {"events": False}, {"delivery": "pause"}, {"_meta": {"traceparent": "00-1"}}])
def test_wait_delivery_events_and_meta_do_not_count(bridge, more):
    p = bridge.params([say("once")], idempotencyKey="k1")
    a = bridge.call("run.start", p)
    assert bridge.call("run.start", {**p, **more})["runId"] == a["runId"]


def test_member_order_and_white_space_do_not_count(lab):
    b = lab.bridge()
    model = lab.script([say("once")])
    one = '{"input":"x","agent":{"model":%s,"instructions":"i"},"metadata":{"a":"1","b":"2"},"idempotencyKey":"k"}' % json.dumps(model)
    two = '{ "metadata" : {"b":"2", "a":"1"}, "idempotencyKey":"k",\t"agent":{"instructions":"i","model":%s}, "input":"x" }' % json.dumps(model)
    a, c = b.result(b.request_raw("run.start", one)), b.result(b.request_raw("run.start", two))
    assert a["runId"] == c["runId"]


def test_numbers_are_compared_by_their_text(lab):
    b = lab.bridge()
    p = '{"input":"x","agent":{"model":%s},"tools":[{"name":"t","description":"d","inputSchema":{"type":"object","properties":{"n":{"maximum":%s}}}}],"idempotencyKey":"k"}'
    model = json.dumps(lab.script([say("once")]))
    first = b.result(b.request_raw("run.start", p % (model, "1")))
    assert b.result(b.request_raw("run.start", p % (model, "1")))["runId"] == first["runId"]
    assert b.error_of(b.request_raw("run.start", p % (model, "1.0"))).kind == "run.idempotencyConflict"


def test_the_same_key_while_the_run_goes_waits_for_it(parent):
    p = parent.params([calls("t"), say("ok")], [tool("t")], idempotencyKey="k")
    ids = [parent.request("run.start", p) for _ in range(5)]
    invoke = parent.next_invoke("t")
    parent.respond(invoke, {"content": "x"})
    outcomes = [parent.result(i) for i in ids]
    assert all(o == outcomes[0] and o["status"] == "success" for o in outcomes)
    assert len(parent.invokes()) == 1


@pytest.mark.parametrize("is_batch", [True, False])
def test_the_same_key_twice_in_one_write_is_one_run_that_is_seen_whole(lab, is_batch):
    b = lab.bridge()
    p = b.params([say("once", delayMs=50)], idempotencyKey="k")
    requests = [{"jsonrpc": "2.0", "id": i, "method": "run.start", "params": p} for i in ("x", "y")]
    if is_batch:
        b.send_json(requests)
        outcomes = [r["result"] for r in b.wait_batch().obj]
    else:
        b.send(b"".join(dumps(r) + b"\n" for r in requests))
        outcomes = [b.result(r["id"]) for r in requests]
    assert outcomes[0] == outcomes[1] and outcomes[0]["status"] == "success"
    events = [e.seq for e in b.events(outcomes[0]["runId"]) if e.seq]
    assert events == list(range(1, outcomes[0]["lastSeq"] + 1))


def test_the_same_key_twice_in_one_write_is_one_run_where_there_is_room_for_one(lab):
    b = lab.bridge("--max-concurrent-runs", "1")
    p = b.params([say("once", delayMs=50)], idempotencyKey="k")
    b.send_json([{"jsonrpc": "2.0", "id": i, "method": "run.start", "params": p} for i in ("x", "y")])
    outcomes = [r["result"] for r in b.wait_batch().obj]
    assert outcomes[0] == outcomes[1] and outcomes[0]["status"] == "success"


def test_the_key_is_store_wide_over_processes(lab):
    a, b = lab.bridge(), lab.bridge()
    p = a.params([say("once")], idempotencyKey="k")
    first = a.call("run.start", p)
    assert b.call("run.start", p) == first
    b.fails("run.start", {**p, "input": "other"}, kind="run.idempotencyConflict")


def test_the_key_races_from_several_processes_into_one_run(lab):
    bridges = [lab.bridge() for _ in range(4)]
    p = bridges[0].params([say("once", delayMs=100)], idempotencyKey="k")
    ids = [b.request("run.start", p) for b in bridges]
    runs = {b.result(i)["runId"] for b, i in zip(bridges, ids)}
    assert len(runs) == 1
    assert len(bridges[0].call("run.list")["runs"]) == 1


def test_the_key_takes_up_a_run_that_nobody_drives(lab):
    a = lab.bridge()
    model = lab.script([say("late", delayMs=60_000)])
    p = a.params(model, idempotencyKey="k")
    r = a.request("run.start", p)
    run = a.start_id(r)
    a.wait_event("model.started", run)
    a.kill9()
    lab.rewrite(model, [say("now")])
    b = lab.bridge()
    o = b.call("run.start", p, 2 * TIMEOUT)
    assert o["runId"] == run and (o["status"], o["answer"]) == ("success", "now")


def test_the_key_lives_as_long_as_its_run(bridge):
    p = bridge.params([say("once")], idempotencyKey="k")
    first = bridge.call("run.start", p)
    bridge.call("run.delete", {"runId": first["runId"]})
    second = bridge.call("run.start", p)
    assert second["runId"] != first["runId"] and second["status"] == "success"


# ---- many

def test_two_hundred_runs_wait_at_once_and_ping_is_served(lab):
    b = lab.parent()
    gate = threading.Event()
    b.handlers["t"] = After(gate, {"content": "go"})
    model = lab.script([calls("t"), say("ok")])
    ids = [b.start(model, [tool("t")]) for _ in range(200)]
    until(lambda: len(b.invocations) == 200, "200 invocations", 3 * TIMEOUT)
    for _ in range(10):
        start = time.monotonic()
        b.ping()
        assert time.monotonic() - start < 1
    listed, cursor = [], None
    while True:
        page = b.call("run.list", {"status": "waiting_client_tool", "limit": 70, **({"cursor": cursor} if cursor else {})})
        listed += page["runs"]
        cursor = page.get("nextCursor")
        if not cursor:
            break
    assert len({r["runId"] for r in listed}) == 200 == len(listed)
    gate.set()
    for i in ids:
        assert b.result(i, 3 * TIMEOUT)["status"] == "success"


@pytest.mark.long
def test_a_thousand_runs_wait_at_once(lab):
    b = lab.parent()
    b.auto_replay = False
    b.handlers["t"] = Never
    model = lab.script([calls("t"), say("ok")])
    for _ in range(1000):
        b.start(model, [tool("t")])
    until(lambda: len(b.invocations) == 1000, "1000 invocations", 60)
    for _ in range(50):
        b.ping()
    assert b.hang_up(60) == 0


def test_a_thousand_small_runs_one_after_the_other_stay_in_order(lab):
    b = lab.bridge()
    model = lab.script([say("ok")])
    for n in range(100):
        assert b.run(model)["status"] == "success"
    assert len(b.call("run.list", {"limit": 1000})["runs"]) == 100


def test_a_large_input_goes_through(bridge):
    text = "x" * 3_000_000 + "end"
    o = bridge.run([say("ok", expect={"role": "user", "content": contains("xxend")})], input=text, timeout=3 * TIMEOUT)
    assert o["status"] == "success"
    assert len(dumps(o)) < 10_000


def test_meta_is_carried_through_to_tool_invoke_and_events(parent):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    r = parent.start([calls("t"), say("ok")], [tool("t")], _meta={"traceparent": trace})
    invoke = parent.next_invoke("t")
    assert invoke.params["_meta"]["traceparent"] == trace
    parent.respond(invoke, {"content": "x", "_meta": {"own": 1}})
    o = parent.result(r)
    assert trace in json.dumps([m.params for m in parent.events(o["runId"])])


def test_tools_of_the_run_win_over_tools_of_the_agent(parent):
    parent.handlers["t"] = {"content": "from the parent"}
    o = parent.succeeds([calls("t"), say("ok", expect=expect(content="from the parent"))], [tool("t")], agent={"tools": [sh("t", "echo from the agent")]})
    started = parent.log_of(o["runId"], "run.started")[0]
    assert [t for t in started["tools"] if t["name"] == "t"] == [{"name": "t", "target": "client"}] or \
        [t["target"] for t in started["tools"] if t["name"] == "t"] == ["client"]
    assert "t" in json.dumps(started["warnings"])

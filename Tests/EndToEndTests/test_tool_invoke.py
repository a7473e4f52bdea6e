"""Section 3, tool.invoke: what the parent is asked, and every form of its answer."""
import json

import pytest

from harness import DEFER, ULID, Error, Line, Raw, calls, contains, expect, loads, raw_get, say, text_of, tool


def one(parent, answer, want, tools=None, **more):
    """One call of `t`, answered with `answer`; the model must see `want`. The tool.completed data."""
    parent.handlers["t"] = answer
    o = parent.succeeds([calls("t"), say("ok", expect=expect(name="t", **want))], tools or [tool("t", **more)])
    return parent.log_of(o["runId"], "tool.completed")[0]


# ---- the request

def test_what_the_parent_is_asked(parent):
    r = parent.start([calls(("t", {"path": "a.csv"})), say("ok")], [tool("t")])
    m = parent.next_invoke()
    p = m.params
    assert p["name"] == "t" and p["arguments"] == {"path": "a.csv"} and p["attempt"] == 1
    assert ULID.match(p["callId"]) and p["runId"] == parent.start_id(r)
    assert p["timeoutMs"] == 30_000 and p["_meta"]["progressToken"] == p["callId"]
    assert "sessionId" not in p
    parent.respond(m, {"content": "x"})
    parent.result(r)


def test_the_call_id_is_the_one_of_the_events(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    m = parent.next_invoke()
    run = m.params["runId"]
    assert parent.wait_event("model.completed", run).data["toolCalls"][0]["callId"] == m.call_id
    started = parent.wait_event("tool.started", run).data
    assert started["callId"] == m.call_id and started["attempt"] == 1 and started["target"] == "client"
    parent.respond(m, {"content": "x"})
    parent.result(r)
    assert parent.wait_event("tool.completed", run).data["callId"] == m.call_id


@pytest.mark.parametrize("agent,more,timeout", [({}, {}, 30_000), ({"clientTools": {"invokeTimeoutMs": 5000}}, {}, 5000),
                                                ({}, {"timeoutMs": 7000}, 7000), ({"clientTools": {"invokeTimeoutMs": 5000}}, {"timeoutMs": 7000}, 7000)])
def test_the_timeout_is_the_tools_or_the_agents_or_30_seconds(parent, agent, more, timeout):
    r = parent.start([calls("t"), say("ok")], [tool("t", **more)], agent=agent)
    m = parent.next_invoke()
    assert m.params["timeoutMs"] == timeout
    parent.respond(m, {"content": "x"})
    parent.result(r)


def test_every_call_has_its_own_id(parent):
    parent.handlers["t"] = {"content": "x"}
    parent.succeeds([{**calls("t", "t", "t"), "repeat": 4}, say("ok")], [tool("t")])
    assert len({m.call_id for m in parent.invokes()}) == 12


# ---- the answer

def test_content_as_a_string(parent):
    d = one(parent, {"content": "plain"}, {"content": "plain", "isError": False})
    assert text_of(d["content"]) == "plain" and d["isError"] is False and d["durationMs"] >= 0


def test_content_as_blocks(parent):
    d = one(parent, {"content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]}, {"content": contains("two")})
    assert [b["text"] for b in d["content"]] == ["one ", "two"]


def test_structured_content_without_content_reaches_the_model_as_its_json_text(parent):
    d = one(parent, Raw('{"structuredContent":{"n":0.10,"a":[1,null]}}'), {"content": '{"n":0.10,"a":[1,null]}'})
    assert d["structuredContent"] == {"n": 0.1, "a": [1, None]}


@pytest.mark.parametrize("value", ["5", '"text"', "null", "true", "[]", "{}", "[1,2]"])
def test_structured_content_may_be_any_json(parent, value):
    one(parent, Raw('{"structuredContent":' + value + "}"), {"content": value})


def test_content_and_structured_content(parent):
    d = one(parent, {"content": "for the model", "structuredContent": {"for": "the store"}}, {"content": contains("for the model")})
    assert text_of(d["content"]) == "for the model" and d["structuredContent"] == {"for": "the store"}


def test_an_empty_result_is_a_result(parent):
    d = one(parent, {}, {"isError": False})
    assert d["isError"] is False


@pytest.mark.parametrize("content", ["", []])
def test_empty_content_is_content(parent, content):
    assert one(parent, {"content": content}, {"isError": False})["isError"] is False


def test_is_error_reaches_the_model(parent):
    d = one(parent, {"content": "no such file", "isError": True}, {"isError": True, "content": contains("no such file")})
    assert d["isError"] is True


def test_stdout_and_stderr_reach_the_model_labelled(parent):
    d = one(parent, {"content": "done", "stdout": ["line one", "line two"], "stderr": ["a warning"]}, {"content": contains("line two")})
    assert d["stdout"] == ["line one", "line two"] and d["stderr"] == ["a warning"]
    one(parent, {"content": "done", "stdout": ["line one"], "stderr": ["a warning"]}, {"content": contains("a warning")})
    one(parent, {"content": "done", "stdout": ["line one"], "stderr": ["a warning"]}, {"content": contains("stderr")})
    one(parent, {"stdout": ["only stdout"]}, {"content": contains("only stdout")})
    one(parent, {"stdout": ["only stdout"]}, {"content": contains("stdout")})


BLOCKS = [{"type": "json", "value": {"a": [1, {"b": None}]}}, {"type": "image", "data": "aGk=", "mimeType": "image/png"},
          {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}, {"type": "binary", "mimeType": "application/pdf", "data": "aGk=", "filename": "a.pdf"},
          {"type": "binary", "mimeType": "application/pdf", "url": "http://127.0.0.1:9/never-fetched"},
          {"type": "resource_link", "uri": "file:///a", "name": "a", "mimeType": "text/plain", "description": "d"},
          {"type": "resource", "resource": {"uri": "file:///a", "text": "inside", "mimeType": "text/plain"}},
          {"type": "text", "text": "t", "annotations": {"audience": ["user"], "priority": 0.5}, "_meta": {"x": 1}}]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b["type"])
def test_every_kind_of_block_is_kept_as_it_came(parent, block):
    d = one(parent, {"content": [{"type": "text", "text": "with "}, block]}, {"isError": False})
    kept = d["content"][1]
    assert {k: kept.get(k) for k in block} == block


def test_a_json_block_reaches_the_model_as_its_text(parent):
    one(parent, Raw('{"content":[{"type":"json","value":{"n":0.10}}]}'), {"content": contains('{"n":0.10}')})


def test_a_resource_with_text_reaches_the_model(parent):
    one(parent, {"content": [{"type": "resource", "resource": {"uri": "file:///a", "text": "inside the file"}}]}, {"isError": False})


def test_unknown_members_of_a_result_are_ignored(parent):
    one(parent, {"content": "x", "more": {"a": 1}, "_meta": {"b": 2}, "x-own": 3}, {"content": "x", "isError": False})


def test_a_json_rpc_error_is_a_tool_error_never_the_end(parent):
    d = one(parent, Error(-32000, "the disk is on fire"), {"isError": True, "content": contains("the disk is on fire")})
    assert d["isError"] is True


@pytest.mark.parametrize("error", [Error(-32601, "Method not found"), Error(-32602, "bad"), Error(1, "m", {"kind": "x"}), Error(-32800, "cancelled")])
def test_any_json_rpc_error_is_a_tool_error(parent, error):
    assert one(parent, error, {"isError": True})["isError"] is True


@pytest.mark.parametrize("error", ['{"code":"x","message":5}', "{}", "null", '"text"', "[]"])
def test_an_error_of_wrong_shape_is_a_tool_error_too(parent, error):
    assert one(parent, Line('{"jsonrpc":"2.0","id":%ID%,"error":' + error + "}"), {"isError": True})["isError"] is True


def test_an_error_without_capability_to_serve_the_method(parent):
    """A client that does not know tool.invoke answers -32601; the run lives on."""
    parent.handlers["t"] = Error(-32601, "tool.invoke?")
    o = parent.run([calls("t"), calls("t"), say("ok")], [tool("t")])
    assert o["status"] == "success"


# ---- exactness

EXACT = ['0.1', '1.0', '1e400', '-0', '-0.0', '1E+2', '18446744073709551615', '123456789012345678901234567890', '0.1000000000000000055511151231257827',
         '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude80"', '"/"', '"\\u00e9"', '"é"', '"\u2028"', '{"b":1,"a":2}', '{"a":1,"a":2}',
         '{"":{"":[]}}', '[[[[[]]]]]', '{"\\u0000":1}', '{"__proto__":1}', 'true', '[1,1.0,1.00]']


@pytest.mark.parametrize("value", EXACT)
def test_what_is_carried_is_carried_exactly(lab, value):
    b = lab.parent()
    b.handlers["t"] = Raw('{"content":"x","structuredContent":' + value + "}")
    o = b.succeeds([calls("t"), say("ok")], [tool("t")])
    live = b.events(o["runId"], "tool.completed")[0]
    assert live.raw_at("params", "data", "structuredContent") == value
    stored = [t for t in lab.bridge().replay(o["runId"]) if loads(t)["type"] == "tool.completed"][0]
    assert raw_get(stored, "data", "structuredContent") == value
    assert stored == live.raw_at("params")


@pytest.mark.parametrize("value", EXACT)
def test_a_submitted_result_is_carried_exactly(lab, value):
    a = lab.bridge()
    o = a.run([calls("t"), say("ok")], [tool("t")])
    b = lab.bridge()
    r = b.request_raw("run.submitToolResults", '{"runId":"%s","results":[{"callId":"%s","content":"x","structuredContent":%s}]}'
                      % (o["runId"], o["pendingToolCalls"][0]["callId"], value))
    assert b.result(r)["status"] == "success"
    assert b.events(o["runId"], "tool.completed")[0].raw_at("params", "data", "structuredContent") == value


@pytest.mark.parametrize("text,seen", [('"a\\u0000b"', "a\0b"), ('"a\\ud800b"', "a\ufffdb"), ('"\\ud83d\\ude80 \\u00e9 é"', "🚀 é é"), ('"tab\\tquote\\"back\\\\"', 'tab\tquote"back\\')])
def test_a_text_reaches_the_model_as_it_is(parent, text, seen):
    parent.handlers["t"] = Raw('{"content":' + text + "}")
    o = parent.run([calls("t"), say("ok", expect=expect(content=seen))], [tool("t")])
    assert o["status"] == "success", o
    raw = parent.events(o["runId"], "tool.completed")[0].raw_at("params", "data", "content")
    assert text_of(loads(raw)) == loads(text)


def test_order_and_duplicates_of_a_whole_document(lab):
    value = '{"z":1,"a":{"k":0.10,"k":0.20,"y":[{"x":-0,"w":"\\ud800"}]},"m":18446744073709551615}'
    b = lab.parent()
    b.handlers["t"] = Raw('{"structuredContent":' + value + "}")
    o = b.succeeds([calls("t"), say("ok", expect=expect(content=contains('{"k":0.10,"k":0.20,')))], [tool("t")])
    assert b.events(o["runId"], "tool.completed")[0].raw_at("params", "data", "structuredContent") == value


# ---- outputSchema

OUT = {"type": "object", "properties": {"rows": {"type": "array", "items": {"type": "integer"}}}, "required": ["rows"]}


def test_structured_content_that_fits_the_output_schema(parent):
    d = one(parent, {"structuredContent": {"rows": [1, 2]}}, {"isError": False}, outputSchema=OUT)
    assert d["structuredContent"] == {"rows": [1, 2]}


@pytest.mark.parametrize("value,pointer", [({"rows": [1, "x"]}, "/rows/1"), ({"rows": 5}, "/rows"), ({}, "")])
def test_a_mismatch_is_a_tool_error_naming_the_pointer(parent, value, pointer):
    d = one(parent, {"structuredContent": value}, {"isError": True, "content": contains(pointer)}, outputSchema=OUT)
    assert d["isError"] is True


def test_an_error_result_is_not_held_against_the_output_schema(parent):
    one(parent, {"content": "could not", "isError": True}, {"isError": True, "content": contains("could not")}, outputSchema=OUT)


# ---- deferred

def test_deferred_means_the_result_comes_later(parent):
    parent.handlers["t"] = DEFER
    o = parent.run([calls("t"), say("ok", expect=expect(content="late"))], [tool("t")])
    call, = o["pendingToolCalls"]
    assert (o["status"], call["state"], call["attempt"]) == ("waiting_client_tool", "deferred", 1)
    assert "tool.completed" not in parent.log_types(o["runId"])
    assert parent.submit(o["runId"], {call["callId"]: "late"})["status"] == "success"


def test_deferred_has_no_timeout(parent):
    parent.handlers["t"] = DEFER
    o = parent.run([calls("t"), say("ok")], [tool("t", timeoutMs=200, onTimeout="failFast")])
    o = parent.call("run.wait", {"runId": o["runId"], "timeoutMs": 100})
    for _ in range(8):
        parent.call("run.wait", {"runId": o["runId"], "timeoutMs": 100})
    until_over = parent.background([say("clock", delayMs=600)])
    parent.wait_run(until_over)
    o = parent.get(o["runId"])
    assert o["status"] == "waiting_client_tool" and o["pendingToolCalls"][0]["state"] == "deferred"


def test_deferred_is_answered_in_another_process(lab):
    a = lab.parent()
    a.handlers["t"] = DEFER
    o = a.run([calls("t"), say("ok", expect=expect(content="late"))], [tool("t")])
    a.kill9()
    b = lab.bridge()
    got = b.get(o["runId"])
    assert got["pendingToolCalls"][0]["state"] == "deferred"
    assert b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "late"})["status"] == "success"


def test_some_deferred_and_some_answered(parent):
    parent.handlers["a"] = {"content": "A"}
    parent.handlers["b"] = DEFER
    o = parent.run([calls("a", "b"), say("ok")], [tool("a"), tool("b")])
    assert [(c["name"], c["state"]) for c in o["pendingToolCalls"]] == [("b", "deferred")]
    o = parent.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "B"})
    assert o["status"] == "success"


def test_deferred_false_is_an_ordinary_result(parent):
    assert one(parent, {"content": "x", "deferred": False}, {"content": "x"})["isError"] is False


def test_the_submitter_of_a_deferred_result_may_not_defer_again_forever(parent):
    """Whatever the bridge says to `deferred` in a submit, the call can still be answered."""
    parent.handlers["t"] = DEFER
    o = parent.run([calls("t"), say("ok", expect=expect(content="late"))], [tool("t")])
    call = o["pendingToolCalls"][0]["callId"]
    parent.wait_response(parent.request("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": call, "deferred": True}]}, valid=False))
    got = parent.get(o["runId"])
    if not got["ended"]:
        assert parent.submit(o["runId"], {call: "late"})["status"] == "success"


# ---- sizes

def test_results_over_max_result_bytes_are_cut_for_the_model_and_kept_whole(parent):
    text = "begin " + "x" * 5000 + " end"
    parent.handlers["t"] = {"content": text}
    o = parent.succeeds([calls("t"), say("ok", expect=expect(content=contains("begin xxx")))], [tool("t", maxResultBytes=1000)])
    assert text_of(parent.log_of(o["runId"], "tool.completed")[0]["content"]) == text
    o = parent.run([calls("t"), say("ok", expect=expect(content=contains("x end")))], [tool("t", maxResultBytes=1000)])
    assert o["error"]["kind"] == "script.mismatch"


def test_a_megabyte_reaches_the_model_by_default_and_no_more(parent):
    parent.handlers["t"] = {"content": "x" * 1_000_000 + " end"}
    parent.succeeds([calls("t"), say("ok", expect=expect(content=contains("x end")))], [tool("t")], timeout=30)
    parent.handlers["t"] = {"content": "x" * 3_000_000 + " end"}
    o = parent.run([calls("t"), say("ok", expect=expect(content=contains("x end")))], [tool("t")], timeout=30)
    assert o["error"]["kind"] == "script.mismatch"


def test_cutting_never_breaks_a_character(parent):
    parent.handlers["t"] = {"content": "🚀" * 1000}
    for size in (1001, 1002, 1003):
        parent.succeeds([calls("t"), say("ok", expect=expect(content=contains("🚀")))], [tool("t", maxResultBytes=size)])


def test_a_large_result_comes_through_whole(parent):
    text = "0123456789" * 500_000
    parent.handlers["t"] = {"content": text}
    o = parent.run([calls("t"), say("ok", expect=expect(content=contains("0123456789")))], [tool("t")], timeout=30)
    assert o["status"] == "success"
    d = parent.log_of(o["runId"], "tool.completed")[0]
    assert text_of(parent.whole(d["content"])) == text


@pytest.mark.long
def test_fifty_megabytes_come_through_whole(parent):
    text = "0123456789" * 5_000_000
    parent.handlers["t"] = {"content": text}
    o = parent.run([calls("t"), say("ok")], [tool("t")], timeout=60)
    assert o["status"] == "success"
    assert parent.peak_kb() < 4 * 50_000 + 40_000
    assert text_of(parent.whole(parent.log_of(o["runId"], "tool.completed")[0]["content"])) == text


def test_json_in_json_is_not_unpacked(parent):
    text = json.dumps({"jsonrpc": "2.0", "id": "b-1", "result": {"isError": True}})
    one(parent, {"content": text}, {"content": text, "isError": False})

"""Section 4: events and big values."""
import json

import pytest

from conversations import blocks
from harness import TOOLS, ULID, Raw, calls, contains, dumps, expect, loads, say, sh, text_of, tool, until

BIG = "0123456789abcdef" * 5000  # 80,000 bytes
NOWHERE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


# ---- events

def test_an_event_is_in_the_store_before_it_is_on_the_wire(lab):
    a, b = lab.bridge(), lab.bridge()
    run = a.background([calls("c"), say("ok")], [sh("c", "true")])
    at = 0
    while True:
        m = a.wait(lambda m: m.is_event and m.run_id == run and m.seq is not None, start=at)
        at = m.i + 1
        assert b.call("run.events", {"runId": run, "afterSeq": m.seq - 1, "limit": 1})["events"][0]["seq"] == m.seq
        if m.type == "run.completed":
            break


def test_seq_starts_at_1_without_gaps(bridge):
    o = bridge.run([calls("c"), say("ok")], [sh("c", "true")])
    assert [m.seq for m in bridge.events(o["runId"], persisted=True)] == list(range(1, o["lastSeq"] + 1))


def test_seq_goes_on_over_pauses_and_processes(lab):
    a = lab.bridge()
    o = a.run([calls("t"), calls("t"), say("ok")], [tool("t")])
    for _ in range(2):
        b = lab.bridge()
        before = o["lastSeq"]
        o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})
        assert b.events(o["runId"], persisted=True)[0].seq == before + 1
    assert o["status"] == "success"
    b.check_replay(o["runId"])


def test_ephemeral_events_have_no_seq_and_are_not_in_the_log(bridge):
    o = bridge.run([say("streamed words")])
    ephemeral = [m for m in bridge.events(o["runId"]) if m.seq is None]
    assert {m.type for m in ephemeral} == {"run.accepted", "text.delta"}
    assert not set(bridge.log_types(o["runId"])) & {"run.accepted", "text.delta"}


def test_run_started(bridge):
    o = bridge.run([say("ok")], [tool("t"), sh("c", "true")], input="the input", agent={"name": "n"})
    d = bridge.log_of(o["runId"], "run.started")[0]
    assert d["agent"]["name"] == "n" and d["agent"]["model"].startswith("script:") and d["input"] == "the input"
    assert sorted((t["name"], t["target"]) for t in d["tools"]) == [("c", "server"), ("t", "client")]


def test_model_events(bridge):
    o = bridge.run([calls("c", text="hm"), say("ok")], [sh("c", "true")])
    started, completed = bridge.log_of(o["runId"], "model.started"), bridge.log_of(o["runId"], "model.completed")
    assert [d["messageId"] for d in started] == [d["messageId"] for d in completed] and len({d["messageId"] for d in started}) == 2
    assert completed[0]["text"] == "hm" and ULID.match(completed[0]["toolCalls"][0]["callId"]) and completed[0]["toolCalls"][0]["name"] == "c"
    assert completed[1]["text"] == "ok" and completed[1]["toolCalls"] == [] and completed[1]["stopReason"] == "end_turn"
    assert set(completed[0]["usage"]) >= {"inputTokens", "outputTokens"}


def test_tool_events(bridge):
    o = bridge.run([calls(("c", {"x": 1})), say("ok")], [sh("c", "echo out")])
    started, = bridge.log_of(o["runId"], "tool.started")
    completed, = bridge.log_of(o["runId"], "tool.completed")
    assert (started["name"], started["target"], started["arguments"], started["attempt"]) == ("c", "server", {"x": 1}, 1)
    assert (completed["callId"], completed["name"], completed["target"], completed["isError"]) == (started["callId"], "c", "server", False)
    assert completed["durationMs"] >= 0


@pytest.mark.parametrize("turns,limits,last", [([say("ok")], {}, "run.completed"), ([], {}, "run.error"),
                                               ([calls("nope"), say("x")], {"maxIterations": 1}, "run.completed")])
def test_the_last_event_says_how_it_ended(bridge, turns, limits, last):
    o = bridge.run(turns, limits=limits)
    types = bridge.log_types(o["runId"])
    assert types[-1] == last and sum(t in ("run.completed", "run.error", "run.cancelled") for t in types) == 1
    data = bridge.log(o["runId"])[-1]["data"]
    assert data["status"] == o["status"] and data["runId"] == o["runId"] and data["lastSeq"] == o["lastSeq"]


def test_the_response_follows_the_events_up_to_its_last_seq(bridge):
    for _ in range(20):
        r = bridge.start([calls("c"), say("ok")], [sh("c", "true")])
        m = bridge.wait_response(r)
        events = bridge.events(m.result["runId"], persisted=True)
        assert [e.seq for e in events] == list(range(1, m.result["lastSeq"] + 1)) and events[-1].i < m.i


def test_the_response_of_a_waiting_run_follows_its_pause(bridge):
    r = bridge.start([calls("t"), say("ok")], [tool("t")])
    m = bridge.wait_response(r)
    assert bridge.wait_event("run.paused", m.result["runId"]).i < m.i


# ---- big values: out

def big_result(parent, result, want="ok", **more):
    parent.handlers["t"] = result
    return parent.succeeds([calls("t"), say(want)], [tool("t", **more)], timeout=30)


def test_a_string_over_64_kib_stands_as_a_blob(parent):
    o = big_result(parent, {"content": BIG})
    m, = parent.events(o["runId"], "tool.completed")
    content = m.data["content"]
    blob = blob_in(content)
    assert blob["type"] == "string" and blob["bytes"] == len(BIG) and blob["preview"] == BIG[:1024]
    assert len(m.raw) < 10_000
    assert parent.read_blob(blob["$blob"]) == BIG
    parent.check_replay(o["runId"])


def test_a_string_up_to_64_kib_stands_as_itself(parent):
    o = big_result(parent, {"content": "x" * 60_000})
    assert text_of(parent.log_of(o["runId"], "tool.completed")[0]["content"]) == "x" * 60_000


def test_the_model_gets_the_whole(parent):
    parent.handlers["t"] = {"content": BIG + "the end"}
    parent.succeeds([calls("t"), say("ok", expect=expect(content=BIG + "the end"))], [tool("t")])


def test_a_carried_value_over_64_kib_is_a_json_blob_with_its_exact_text(parent):
    value = '{"z":0.10,"big":18446744073709551615,"a":[' + ",".join('{"n":1.0,"s":"\\u0000\\ud800"}' for _ in range(4000)) + "]}"
    o = big_result(parent, Raw('{"content":"x","structuredContent":' + value + "}"))
    blob = parent.log_of(o["runId"], "tool.completed")[0]["structuredContent"]
    assert blob["type"] == "json" and blob["bytes"] == len(value) and blob["preview"] == value[:1024]
    assert parent.read_blob(blob["$blob"]) == value


def test_big_arguments_are_a_blob_in_events_and_themselves_in_tool_invoke(lab):
    b = lab.parent()
    r = b.start([calls(("t", {"text": BIG})), say("ok")], [tool("t")])
    m = b.next_invoke()
    assert m.params["arguments"] == {"text": BIG}
    run = m.params["runId"]
    for type in ("model.completed", "tool.started", "run.paused"):
        event = b.wait_event(type, run)
        assert len(event.raw) < 20_000, type
        assert '"$blob"' in event.raw.decode()
    b.respond(m, {"content": "x"})
    assert b.result(r)["status"] == "success"


def test_a_big_answer_is_a_blob_in_the_event_and_itself_in_the_outcome(bridge):
    o = bridge.run([say(BIG)])
    assert o["answer"] == BIG
    event = bridge.wait_event("run.completed", o["runId"])
    assert event.data["answer"]["type"] == "string" and bridge.read_blob(event.data["answer"]["$blob"]) == BIG


def test_a_big_input_is_a_blob_in_run_started(bridge):
    o = bridge.run([say("ok", expect={"content": BIG})], input=BIG)
    assert o["status"] == "success"
    d = bridge.log_of(o["runId"], "run.started")[0]
    assert bridge.whole(d["input"]) == BIG


def test_big_stdout_is_a_blob(parent):
    o = big_result(parent, {"content": "x", "stdout": ["small", BIG]})
    d = parent.log_of(o["runId"], "tool.completed")[0]
    assert "$blob" in dumps(d["stdout"]).decode() and parent.whole(d["stdout"]) == ["small", BIG]


def test_a_blob_is_read_in_another_process_after_a_crash(lab):
    a = lab.parent()
    o = big_result(a, {"content": BIG})
    content = a.log_of(o["runId"], "tool.completed")[0]["content"]
    a.kill9()
    assert text_of(lab.bridge().whole(content)) == BIG


# ---- trace context

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "k=v"}


@pytest.mark.parametrize("meta", [None, {"other": 1}, TRACE, {**TRACE, "other": 1}], ids=["none", "another", "trace", "both"])
def test_the_trace_context_of_a_run_stands_in_all_its_events(lab, meta):
    """In those that no log has too, here and at an observer in another process."""
    a, c = lab.parent(), lab.bridge()
    s = a.call("session.create")["sessionId"]
    c.call("session.subscribe", {"sessionId": s})
    r = a.start([calls("t", text="some words"), say("more words")], [tool("t")], sessionId=s, **({"_meta": meta} if meta else {}))
    m = a.next_invoke()
    run = m.params["runId"]
    until(lambda: c.events(run, "run.paused"), "the observer to see the run")
    a.notify("notifications/progress", {"progressToken": m.call_id, "progress": 1})
    until(lambda: c.events(run, "tool.progress"), "the observer to see progress")
    a.respond(m, {"content": "x"})
    assert a.result(r)["status"] == "success"
    until(lambda: c.events(run, "run.completed"), "the observer to see the end")
    late = lab.bridge()
    late.call("run.subscribe", {"runId": run, "afterSeq": 0})
    until(lambda: late.events(run, "run.completed"), "the end")
    for one, kinds in ((a, {"run.accepted", "text.delta", "tool.progress"}), (c, {"text.delta", "tool.progress"}), (late, set())):
        seen = one.events(run)
        assert {e.type for e in seen if e.seq is None} == kinds
        assert [e.params.get("_meta") for e in seen] == [TRACE if meta and "traceparent" in meta else None] * len(seen)


def test_text_is_whole_for_a_client_that_can_read_little_beside_a_long_trace_context(lab):
    b = lab.bridge(capabilities={"maxMessageBytes": 4096})
    o = b.run([say("\x01" * 3000)], _meta={"traceparent": "t" * 900, "tracestate": "s" * 900})
    deltas = b.events(o["runId"], "text.delta")
    assert "".join(e.data["text"] for e in deltas) == "\x01" * 3000 and all(len(e.params["_meta"]["tracestate"]) == 900 for e in deltas)


# ---- blob.read

def blob_in(content):
    """The blob of a text result, whether it stands for the content or for the text of its block."""
    return content if isinstance(content, dict) else content[0]["text"]


def a_blob(parent, text):
    o = big_result(parent, {"content": text})
    return blob_in(parent.wait_event("tool.completed", o["runId"]).data["content"])["$blob"]


@pytest.mark.parametrize("length", [1000, 4096, 65536, 1_000_000])
def test_reading_in_parts_gives_the_whole(parent, length):
    id = a_blob(parent, BIG)
    assert parent.read_blob(id, length) == BIG


@pytest.mark.parametrize("length", [5000, 5001, 5002, 5003])
def test_parts_are_cut_at_character_borders(parent, length):
    text = "a€ß🚀" * 9000
    id = a_blob(parent, text)
    assert parent.read_blob(id, length) == text


def test_offset_and_length(parent):
    id = a_blob(parent, BIG)
    part = parent.call("blob.read", {"id": id, "offset": 16, "length": 16})
    assert part == {"id": id, "type": "string", "offset": 16, "bytes": len(BIG), "data": "0123456789abcdef", "eof": False}
    part = parent.call("blob.read", {"id": id, "offset": len(BIG) - 3, "length": 100})
    assert part["data"] == "def" and part["eof"] is True
    part = parent.call("blob.read", {"id": id, "offset": len(BIG)})
    assert part["data"] == "" and part["eof"] is True


def test_an_offset_beyond_the_end_does_no_harm(parent):
    id = a_blob(parent, BIG)
    m = parent.wait_response(parent.request("blob.read", {"id": id, "offset": len(BIG) + 1000}))
    assert (m.error and m.error["data"]["kind"] == "invalidParams") or (m.result["data"] == "" and m.result["eof"])


@pytest.mark.parametrize("id", [NOWHERE, "", "x"])
def test_an_unknown_blob(bridge, id):
    bridge.fails("blob.read", {"id": id}, kind="blob.notFound")


@pytest.mark.parametrize("params,pointer", [({}, "/id"), ({"id": 5}, "/id"), ({"id": NOWHERE, "offset": -1}, "/offset"),
                                            ({"id": NOWHERE, "offset": "x"}, "/offset"), ({"id": NOWHERE, "length": 0}, "/length"), ({"id": NOWHERE, "length": -1}, "/length")])
def test_wrong_blob_read_params(bridge, params, pointer):
    bridge.refuses("blob.read", params, pointer)


# ---- blob.write

def written(b, *chunks, **more):
    id, size = None, 0
    for n, chunk in enumerate(chunks):
        p = {"data": chunk, **(more if n == 0 else {}), **({"id": id} if id else {}), **({"last": True} if n == len(chunks) - 1 else {})}
        got = b.call("blob.write", p)
        assert id is None or got["id"] == id
        id = got["id"]
        size += len(chunk.encode())
        assert ULID.match(id) and got["bytes"] == size
    return id


def test_a_blob_from_chunks_may_be_named_in_a_result(parent):
    id = written(parent, "abc", "dëf", "🚀")
    parent.handlers["t"] = {"content": {"$blob": id}}
    o = parent.succeeds([calls("t"), say("ok", expect=expect(content="abcdëf🚀"))], [tool("t")])
    d = parent.log_of(o["runId"], "tool.completed")[0]
    assert text_of(parent.whole(d["content"])) == "abcdëf🚀"


def test_a_json_blob_may_be_named_as_structured_content(parent):
    id = written(parent, '{"n":', "0.10}", type="json")
    parent.handlers["t"] = {"structuredContent": {"$blob": id}}
    o = parent.succeeds([calls("t"), say("ok", expect=expect(content='{"n":0.10}'))], [tool("t")])
    assert parent.whole(parent.log_of(o["runId"], "tool.completed")[0]["structuredContent"]) == {"n": 0.1}


def test_a_blob_may_be_named_in_a_submit(bridge):
    o = bridge.run([calls("t"), say("ok", expect=expect(content=BIG))], [tool("t")])
    id = written(bridge, BIG[:40_000], BIG[40_000:])
    assert bridge.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: {"content": {"$blob": id}}})["status"] == "success"


def test_a_blob_may_be_named_in_an_embedded_resource(parent):
    id = written(parent, "the text")
    parent.handlers["t"] = {"content": [{"type": "resource", "resource": {"uri": "u:1", "text": {"$blob": id}}}]}
    o = parent.succeeds([calls("t"), say("ok", expect=expect(content=contains("the text")))], [tool("t")])
    block, = parent.whole(parent.log_of(o["runId"], "tool.completed")[0]["content"])
    assert block == {"type": "resource", "resource": {"uri": "u:1", "text": "the text"}}


PICTURE = {"type": "image", "mimeType": "image/png"}


@pytest.mark.parametrize("named, given", [
    (lambda name: [{"type": "text", "text": name}], [{"type": "text", "text": "aGk="}]),
    (lambda name: [{"role": "user", "content": name}], [{"role": "user", "content": "aGk="}]),
    (lambda name: [{"role": "user", "content": [{"type": "text", "text": name}]}], [{"role": "user", "content": [{"type": "text", "text": "aGk="}]}]),
    (lambda name: [{**PICTURE, "data": name}], [{**PICTURE, "data": "aGk="}]),
], ids=["a block", "a message", "a block of a message", "an image"])
def test_a_blob_named_in_the_input_is_the_input(lab, named, given):
    b = lab.bridge(capabilities={"sampling": {}})
    id = written(b, "aGk=")
    p = {"agent": {"model": "parent:m"}, "idempotencyKey": "k"}
    r = b.request("run.start", {**p, "input": named({"$blob": id})})
    m = b.next_request("sampling/createMessage")
    message, = m.params["messages"]
    assert message["role"] == "user" and "aGk=" in (text_of(blocks(message)), blocks(message)[0].get("data"))
    b.respond(m, {"role": "assistant", "content": {"type": "text", "text": "ok"}, "model": "m"})
    run = b.result(r)["runId"]
    assert b.log_of(run, "run.started")[0]["input"] == given
    # It is the same run by its key, however it is said.
    for input in (named({"$blob": id}), given):
        assert b.call("run.start", {**p, "input": input})["runId"] == run


@pytest.mark.parametrize("input, pointer", [
    ([{"type": "text", "text": {"$blob": NOWHERE}}], "/input/0/text"),
    ([{"role": "user", "content": {"$blob": NOWHERE}}], "/input/0/content"),
    ([{"role": "user", "content": [{"type": "text", "text": "x"}, {**PICTURE, "data": {"$blob": NOWHERE}}]}], "/input/0/content/1/data")])
def test_an_input_that_names_an_unknown_blob_is_refused(bridge, input, pointer):
    bridge.refuses("run.start", {"input": input, "agent": {"model": bridge.lab.script([say("never")])}}, pointer)
    assert bridge.call("run.list")["runs"] == []


def test_a_blob_that_was_sent_to_this_connection_may_be_named_too(parent):
    id = a_blob(parent, BIG)
    parent.handlers["t"] = {"content": {"$blob": id}}
    parent.succeeds([calls("t"), say("ok", expect=expect(content=BIG))], [tool("t")])


def test_blobs_may_be_named_as_items_of_stdout_and_stderr(bridge):
    """In a submit and in an answer, beside other items; the log has them as any string."""
    o = bridge.run([calls("t"), say("ok", expect=expect(content=contains("out of a blob")))], [tool("t")])
    out, err = written(bridge, "out of ", "a blob"), written(bridge, BIG)
    o = bridge.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: {"stdout": ["first", {"$blob": out}], "stderr": [{"$blob": err}]}})
    assert o["status"] == "success"
    d = bridge.log_of(o["runId"], "tool.completed")[0]
    assert bridge.whole(d["stdout"]) == ["first", "out of a blob"] and bridge.whole(d["stderr"]) == [BIG]


def test_an_answer_may_name_blobs_as_items_of_stdout(parent):
    parent.handlers["t"] = {"stdout": [{"$blob": written(parent, "out of a blob")}]}
    parent.succeeds([calls("t"), say("ok", expect=expect(content=contains("out of a blob")))], [tool("t")])


@pytest.mark.parametrize("result,place", [
    ({"content": "?"}, "/content"), ({"content": [{"type": "text", "text": "?"}]}, "/content/0/text"), ({"stdout": ["x", "?"]}, "/stdout/1"), ({"stderr": ["?"]}, "/stderr/0"),
])
def test_what_must_be_a_text_and_names_no_blob_is_refused_where_it_stands(bridge, result, place):
    """A blob of nobody's, and one that holds no text."""
    o = bridge.run([calls("t"), say("ok")], [tool("t")])
    for id in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", written(bridge, "[1]", type="json")):
        given = loads(dumps(result).replace(b'"?"', dumps({"$blob": id})))
        bridge.refuses("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": o["pendingToolCalls"][0]["callId"], **given}]}, "/results/0" + place)


@pytest.mark.parametrize("result,place", [({"structuredContent": "?"}, "/structuredContent"), ({"content": [{"type": "json", "value": "?"}]}, "/content/0/value")], ids=str)
def test_a_json_blob_whose_chunks_are_no_json_is_refused_where_it_is_named(bridge, result, place):
    id = bridge.call("blob.write", {"data": "[1,", "type": "json"})["id"]
    o = bridge.run([calls("t"), say("ok")], [tool("t")])
    given = loads(dumps(result).replace(b'"?"', dumps({"$blob": id})))
    bridge.refuses("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": o["pendingToolCalls"][0]["callId"], **given}]}, "/results/0" + place)
    bridge.refuses("blob.write", {"id": id, "data": "", "last": True}, "/data")


def test_a_blob_of_another_connection_is_literal(lab):
    a, b = lab.bridge(), lab.parent()
    id = written(a, "secret of a")
    b.handlers["t"] = {"content": "x", "structuredContent": {"$blob": id}}
    o = b.run([calls("t"), say("ok")], [tool("t")])
    d = b.log_of(o["runId"], "tool.completed")[0]
    assert "secret of a" not in json.dumps(b.whole(d))


@pytest.mark.parametrize("value", ['{"$blob":"x"}', '{"$blob":5}', '{"a":{"$blob":"01ARZ3NDEKTSV4RRFFQ69G5FAV","type":"string","bytes":1,"preview":"y"}}', '[{"$blob":null}]'])
def test_a_carried_value_that_holds_a_blob_member_is_stored_as_a_json_blob(parent, value):
    parent.handlers["t"] = Raw('{"content":"x","structuredContent":' + value + "}")
    o = parent.succeeds([calls("t"), say("ok")], [tool("t")])
    blob = parent.log_of(o["runId"], "tool.completed")[0]["structuredContent"]
    assert set(blob) >= {"$blob", "type", "bytes", "preview"} and blob["type"] == "json"
    assert parent.read_blob(blob["$blob"]) == value


def test_arguments_that_hold_a_blob_member_reach_the_parent_as_they_are(lab):
    b = lab.parent()
    r = b.start([calls(("t", {"$blob": "literally"})), say("ok")], [tool("t")])
    m = b.next_invoke()
    assert m.params["arguments"] == {"$blob": "literally"}
    started = b.wait_event("tool.started", m.params["runId"]).data["arguments"]
    assert loads(b.read_blob(started["$blob"])) == {"$blob": "literally"}
    b.respond(m, {"content": "x"})
    assert b.result(r)["status"] == "success"


def test_a_blob_in_a_commands_output_is_literal(lab, bridge):
    id = written(bridge, "should not appear")
    o = bridge.succeeds([calls("c"), say("ok", expect=expect(content=contains("$blob")))], [sh("c", f"""printf '{{"$blob":"{id}"}}'""")])
    assert "should not appear" not in json.dumps(bridge.whole(bridge.log_of(o["runId"], "tool.completed")[0]))


@pytest.mark.parametrize("params,pointer", [({}, "/data"), ({"data": 5}, "/data"), ({"data": "x", "type": "xml"}, "/type"), ({"data": "x", "last": "yes"}, "/last")])
def test_wrong_blob_write_params(bridge, params, pointer):
    bridge.refuses("blob.write", params, pointer)


def test_writing_to_an_unknown_blob(bridge):
    bridge.fails("blob.write", {"id": NOWHERE, "data": "x"}, kind="blob.notFound")


def test_a_json_blob_that_is_no_json_never_reaches_a_run(parent):
    parent.request("blob.write", {"data": "{not json", "type": "json", "last": True})
    m = parent.wait(lambda m: m.is_response and m.id == parent.next_id)
    if m.error is None:
        parent.handlers["t"] = {"structuredContent": {"$blob": m.result["id"]}}
        o = parent.run([calls("t"), say("ok")], [tool("t")])
        assert parent.log_of(o["runId"], "tool.completed")[0]["isError"] is True
    parent.ping()


def test_a_blob_may_be_read_by_the_one_who_wrote_it(bridge):
    id = written(bridge, "abc", "def")
    assert bridge.read_blob(id) == "abcdef"


def test_a_big_blob_in_many_chunks(parent):
    chunk = "0123456789" * 20_000
    id = written(parent, *[chunk] * 10)
    parent.handlers["t"] = {"content": {"$blob": id}}
    o = parent.succeeds([calls("t"), say("ok")], [tool("t")], timeout=30)
    assert text_of(parent.whole(parent.log_of(o["runId"], "tool.completed")[0]["content"])) == chunk * 10


# ---- a client that cannot read long lines

LIMIT = 50_000


def short(lab, **more):
    return lab.bridge(capabilities={"maxMessageBytes": LIMIT, **more})


def within(b):
    assert max(len(m.raw) for m in b.messages) <= LIMIT


def test_no_line_is_longer_than_the_client_can_read(lab):
    b = short(lab, **TOOLS)
    b.handlers["t"] = lambda p: {"content": "got"}
    o = b.run([calls(("t", {"text": "y" * 300_000})), say("z" * 60_000)], [tool("t")], timeout=30)
    assert o["status"] == "success"
    within(b)
    assert b.whole(o["answer"]) == "z" * 60_000
    within(b)


def test_big_arguments_reach_such_a_client_as_a_blob(lab):
    b = short(lab, **TOOLS)
    r = b.start([calls(("t", {"text": "y" * 300_000})), say("ok")], [tool("t")])
    m = b.next_invoke()
    assert len(m.raw) <= LIMIT
    assert b.whole(m.params["arguments"]) == {"text": "y" * 300_000}
    b.respond(m, {"content": "x"})
    assert b.result(r)["status"] == "success"
    within(b)


def test_a_member_named_blob_is_never_literal_for_such_a_client(lab):
    b = short(lab, **TOOLS)
    b.handlers["t"] = lambda p: {"structuredContent": {"$blob": "mine"}}
    o = b.run([calls(("t", {"a": {"$blob": "yours"}})), say("ok")], [tool("t")], augmentation={"updateState": {"s": [{"$blob": "ours"}]}})
    assert o["status"] == "success"
    arguments, = (m.params["arguments"] for m in b.invokes())
    assert set(arguments) == {"$blob", "type", "bytes", "preview"} and b.whole(arguments) == {"a": {"$blob": "yours"}}
    state = b.call("run.get", {"runId": o["runId"]})["state"]
    assert set(state) == {"$blob", "type", "bytes", "preview"} and b.whole(state) == {"s": [{"$blob": "ours"}]}


def test_reads_of_blobs_are_cut_to_fit(lab):
    b = short(lab)
    id = written(b, *["0123456789" * 4000] * 5)
    assert b.read_blob(id) == "0123456789" * 20_000
    within(b)


def test_events_that_are_small_enough_for_the_log_are_spilled_for_such_a_client(lab):
    b = lab.bridge(capabilities={"maxMessageBytes": 20_000})
    o = b.run([calls("c"), say("ok")], [sh("c", "head -c 50000 /dev/zero | tr '\\0' x")], timeout=30)
    assert o["status"] == "success"
    assert max(len(m.raw) for m in b.messages) <= 20_000
    until(lambda: b.events(o["runId"], "run.completed"))
    whole = b.whole(b.events(o["runId"], "tool.completed")[0].data)
    assert "x" * 50_000 in dumps(whole).decode()


def test_run_events_pages_fit_such_a_client(lab):
    a = lab.bridge()
    o = a.run([{**calls("c"), "repeat": 12}, say("ok")], [sh("c", "head -c 20000 /dev/zero | tr '\\0' x")], timeout=30)
    b = short(lab)
    assert len(b.log(o["runId"])) == o["lastSeq"]
    within(b)

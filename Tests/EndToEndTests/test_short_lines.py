"""Section 2's `maxMessageBytes`: no line is longer than the client can read, and what went into blobs comes back exactly.

The harness checks the length of every line that comes to such a client (`longest_line`).
"""
import json

import pytest

from harness import calls, dumps, loads, say, sh, tool, until

LIMIT = 4096
READ = {}  # blobs, by id
ALL = {"tools": {}, "approvals": {}, "elicitation": {}, "sampling": {"tools": {}}}


@pytest.fixture
def b(lab):
    return short(lab)


def short(lab, *args, limit=LIMIT, **kw):
    return lab.bridge(*args, capabilities={**ALL, "maxMessageBytes": limit}, **kw)


def whole(b, value):
    """What would stand there for a client that can read all: what is in a blob is not looked into any more."""
    if isinstance(value, dict) and "$blob" in value:
        text = READ.get(value["$blob"]) or READ.setdefault(value["$blob"], b.read_blob(value["$blob"]))
        found = text if value["type"] == "string" else loads(text)
        assert text.startswith(value["preview"])
        assert all(found[name] == member for name, member in value.items() if name not in ("$blob", "type", "bytes", "preview"))
        return found
    if isinstance(value, dict):
        return {k: whole(b, v) for k, v in value.items()}
    return [whole(b, v) for v in value] if isinstance(value, list) else value


def blobs(value):
    if isinstance(value, dict):
        return 1 if "$blob" in value else sum(map(blobs, value.values()))
    return sum(map(blobs, value)) if isinstance(value, list) else 0


def read_as(b, got, told):
    """`got` with what this client alone got as a blob in its place; a reference that the log has stays one, with a shorter preview."""
    if isinstance(got, dict) and "$blob" in got and not (isinstance(told, dict) and told.get("$blob") == got["$blob"]):
        return whole(b, got)
    if isinstance(got, dict) and "$blob" in got:
        assert told["preview"].startswith(got["preview"])
        return {**got, "preview": told["preview"]}
    if isinstance(got, dict) and isinstance(told, dict):
        return {k: read_as(b, v, told.get(k)) for k, v in got.items()}
    if isinstance(got, list) and isinstance(told, list) and len(got) == len(told):
        return [read_as(b, g, t) for g, t in zip(got, told)]
    return got


def logged(lab, b, run):
    """The log as another client reads it; the short one's, replayed and live, must come to the same."""
    told = lab.bridge().log(run)
    assert read_as(b, b.log(run), told) == told
    live = [m.params for m in b.events(run, persisted=True)]
    assert read_as(b, live, told[:len(live)]) == told[:len(live)]
    return told


def same(lab, b, method, params=None, blob=True):
    """A result that is what another client gets."""
    got = b.call(method, params)
    assert bool(blobs(got)) is blob
    assert whole(b, got) == lab.bridge().call(method, params)
    return got


# ---- requests of the bridge

def test_tool_invoke_with_a_large_meta(b):
    meta = {f"k{k}": "v" * 50 for k in range(200)} | {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    r = b.start([calls("t"), say("ok")], [tool("t")], _meta=meta)
    m = b.next_invoke()
    call = m.params["callId"]
    assert m.params["_meta"]["progressToken"] == call and m.params["_meta"]["traceparent"] == meta["traceparent"]
    assert m.params["arguments"] == {} and m.params["name"] == "t" and m.params["attempt"] == 1
    assert whole(b, m.params["_meta"]) == {**meta, "progressToken": call}
    b.respond(m, {"content": "x"})
    assert b.result(r)["status"] == "success"


def test_tool_invoke_with_a_meta_that_names_a_blob(b):
    r = b.start([calls("t"), say("ok")], [tool("t")], _meta={"$blob": "mine"})
    m = b.next_invoke()
    assert m.params["_meta"]["progressToken"] == m.params["callId"] and whole(b, m.params["_meta"])["$blob"] == "mine"
    b.respond(m, {"content": "x"})
    assert b.result(r)["status"] == "success"


def test_tool_invoke_with_arguments_of_any_size(lab):
    """Around the border the lines are neither too long nor stored without need."""
    b = short(lab)
    b.handlers["t"] = lambda p: {"content": dumps(whole(b, p["arguments"])).decode()[:20]}
    sizes = [*range(2800, 3900, 29), 8000]
    o = b.run([calls(("t", {"text": "y" * n, "quotes": '"' * 10})) for n in sizes] + [say("ok")], [tool("t")], limits={"maxIterations": 100}, timeout=60)
    assert o["status"] == "success"
    given = [whole(b, m.params["arguments"])["text"] for m in b.invokes()]
    assert [len(g) for g in given] == sizes
    assert not blobs(b.invokes()[0].params)


def test_of_a_commands_long_output_the_newest_is_shown(lab):
    b = short(lab)
    script = "sleep .3; echo first; sleep .3; seq 1 1500; sleep .3; echo last; sleep .3"
    r = b.start([calls("t"), say("ok")], [sh("t", script)])
    run = b.start_id(r)
    assert b.result(r)["answer"] == "ok"
    shown = [m.data["text"] for m in b.events(run, "tool.progress")]
    assert shown[0] == "first\n" and shown[-1] == "last\n"
    head, _, newest = shown[1].partition("\n")
    everything = "".join(f"{k}\n" for k in range(1, 1501))
    assert everything.endswith(newest) and head == f"[{len(everything) - len(newest)} bytes left out]"


def test_of_progress_with_a_long_message_the_numbers_are_shown(lab):
    b = short(lab)
    r = b.start([calls("t"), say("ok")], [tool("t")])
    m = b.next_invoke("t")
    b.notify("notifications/progress", {"progressToken": m.params["callId"], "progress": 2, "total": 3, "message": "M" * 5000})
    shown = b.wait_event("tool.progress").data
    assert (shown["progress"], shown["total"]) == (2, 3) and 100 < len(shown["message"]) < 5000 and set(shown["message"]) <= set("M …")
    b.respond(m, {"content": "x"})
    assert b.result(r)["answer"] == "ok"


def test_sampling_with_many_messages(b):
    said = [{"role": "user", "content": f"m{k}" * 20} for k in range(100)]
    r = b.start("parent:x", input=said, agent={"instructions": "I" * 5000}, tools=[tool(f"t{k}", description="D" * 100) for k in range(50)])
    m = b.next_request("sampling/createMessage")
    assert {"progressToken", "runId", "messageId"} <= set(m.params["_meta"]) and m.params["maxTokens"] > 0
    got = whole(b, m.params)
    assert [g["content"]["text"] for g in got["messages"]] == [s["content"] for s in said]
    assert got["systemPrompt"] == "I" * 5000 and [t["name"] for t in got["tools"]] == [f"t{k}" for k in range(50)]
    b.respond(m, {"role": "assistant", "model": "x", "content": {"type": "text", "text": "hm"}, "stopReason": "endTurn"})
    assert b.result(r)["answer"] == "hm"


def test_a_question_with_many_options(lab, b):
    options = [f"{k}" + "o" * 600 for k in range(12)]
    r = b.start([calls(("ask_user", {"question": "q", "options": options})), say("ok")], agent={"askUser": True})
    m = b.next_request("elicitation/create")
    assert m.params["message"] == "q" and {"runId", "callId"} <= set(m.params["_meta"])
    assert whole(b, m.params["requestedSchema"])["properties"]["answer"]["enum"] == options
    b.respond(m, {"action": "accept", "content": {"answer": options[3]}})
    o = b.result(r)
    assert o["status"] == "success"
    asked, = (e["data"] for e in logged(lab, b, o["runId"]) if e["type"] == "input.requested")
    assert asked["requestedSchema"] == whole(b, m.params["requestedSchema"])


def test_an_approval_with_all_that_is_long(b):
    r = b.start([calls(("t", {"a": ["x" * 30] * 300})), say("ok")], [tool("t", description="D" * 5000, requiresApproval=True)],
                _meta={f"k{k}": "v" * 50 for k in range(200)})
    m = b.next_request("approval.request")
    assert m.params["name"] == "t" and m.params["target"] == "client"
    got = whole(b, m.params)
    assert got["arguments"] == {"a": ["x" * 30] * 300} and got["description"] == "D" * 5000 and len(got["_meta"]) == 200
    b.respond(m, {"decision": "deny"})
    assert b.result(r)["status"] == "success"


def test_a_long_reason_why_a_request_is_taken_back(b):
    r = b.start([calls("t"), say("ok")], [tool("t")])
    run = b.next_invoke().params["runId"]
    o = b.call("run.cancel", {"runId": run, "reason": "R" * 9000})
    assert o["status"] == b.result(r)["status"] == "cancelled"
    until(lambda: b.events(run, "run.cancelled"))
    assert whole(b, b.events(run, "run.cancelled")[0].data)["reason"] == "R" * 9000


# ---- events and outcomes

def test_an_outcome_with_many_pending_calls(lab, b):
    tools = [tool(f"t{k}") for k in range(40)]
    o = b.run([calls(*[t["name"] for t in tools]), say("ok")], tools, delivery="pause")
    assert o["status"] == "waiting_client_tool" and blobs(o) == 1
    pending = whole(b, o)["pendingToolCalls"]
    assert [c["name"] for c in pending] == [t["name"] for t in tools]
    paused, = (e for e in logged(lab, b, o["runId"]) if e["type"] == "run.paused")
    assert [c["callId"] for c in paused["data"]["pendingToolCalls"]] == [c["callId"] for c in pending]
    assert whole(b, b.get(o["runId"]))["pendingToolCalls"] == pending
    o = b.submit(o["runId"], {c["callId"]: "x" for c in pending})
    assert o["status"] == "success" and set(whole(b, o)["verdicts"].values()) == {"accepted"}
    logged(lab, b, o["runId"])


def test_events_of_all_kinds(lab, b):
    b.handlers["c"] = {"content": [{"type": "text", "text": f"{k}"} for k in range(400)], "stdout": [f"line{k}" for k in range(900)],
                       "structuredContent": {f"k{k}": k for k in range(900)},
                       "augmentation": {"addContext": [{"key": f"k{k}", "description": "d", "value": "v" * 50} for k in range(100)]}}
    kit = {"name": "kit", "description": "K", "startCollapsed": False, "tools": [tool(f"kit{k}") for k in range(99)]}
    o = b.succeeds([calls("c", text="T" * 5000), calls(*["c"] * 20), say("z" * 9000)], [tool("c"), *[tool(f"u{k}") for k in range(99)]], toolkits=[kit],
                   input=[{"role": "user", "content": f"i{k}"} for k in range(300)], limits={f"u{k}" * 10: 1 for k in range(100)},
                   metadata={f"m{k}": "v" * 200 for k in range(30)}, timeout=60)
    types = {e["type"] for e in logged(lab, b, o["runId"])}
    assert {"run.started", "run.paused", "model.completed", "tool.completed", "augmentation.applied", "run.completed"} <= types
    same(lab, b, "run.get", {"runId": o["runId"]})
    assert len(whole(b, o)["warnings"]) == 100


def test_references_in_the_log_have_shorter_previews(lab, b):
    """A thousand characters that each take six bytes would be more than a line."""
    ones = "\x01" * 70_000
    o = b.succeeds([calls("c"), say(ones)], [sh("c", "head -c 70000 /dev/zero | tr '\\0' '\\1'")], timeout=30)
    assert b.read_blob(o["answer"]["$blob"]) == ones
    done, = (e["data"] for e in logged(lab, b, o["runId"]) if e["type"] == "tool.completed")
    assert len(done["content"][0]["text"]["preview"]) == 1024 and b.read_blob(done["content"][0]["text"]["$blob"]) == ones


def test_an_event_whose_every_member_is_short_or_a_name(lab, b):
    """The last resort: the whole `data`."""
    o = b.run([calls("t"), say("ok")], [tool("t")], delivery="pause")
    strange = "c" * 6000
    e = b.fails("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": strange, "content": "x"}]}, "run.invalidToolResults")
    assert e.data["missing"] == [o["pendingToolCalls"][0]["callId"]]
    b.call("run.submitToolResults", {"runId": o["runId"], "partial": True, "results": [{"callId": strange, "content": "x"}]})
    until(lambda: b.events(o["runId"], "tool.resultRejected"))
    logged(lab, b, o["runId"])


def test_previews_are_a_thousand_characters_where_they_fit(lab, b):
    o = b.succeeds([say("z" * 9000)])
    assert o["answer"]["preview"] == "z" * 1024
    o = short(lab, limit=100_000).succeeds([say("z" * 200_000)])
    assert o["answer"]["preview"] == "z" * 1024


def test_text_that_another_process_streams(lab):
    a, b = lab.bridge(), short(lab)
    s = a.call("session.create")["sessionId"]
    b.call("session.subscribe", {"sessionId": s})
    run = a.background([{"text": "s" * 30_000}], sessionId=s)
    until(lambda: b.events(run, "run.completed"))
    assert whole(b, b.events(run, "run.completed")[0].data)["answer"] == "s" * 30_000


@pytest.mark.parametrize("framing", ["line", "header"])
def test_answers_of_any_size(lab, framing):
    b = short(lab, framing=framing)
    turns = [{"text": "a" * n} for n in range(2500, 3900, 37)]
    for turn in turns:
        assert whole(b, b.succeeds([turn]))["answer"] == turn["text"]
    for m in b.messages:
        assert len(m.raw) + len(b"Content-Length: 4096\r\n\r\n") <= LIMIT


# ---- results

def test_rpc_discover(lab, b):
    got = same(lab, b, "rpc.discover")
    assert got["openrpc"] and got["info"]["title"] == "Footbridge"


def pages(b, method, name, **params):
    items, count, cursor = [], 0, None
    while True:
        got = b.call(method, {**params, **({"cursor": cursor} if cursor else {})})
        items += got[name]
        count += 1
        cursor = got.get("nextCursor")
        if cursor is None:
            return items, count


def paged(lab, b, method, name, **params):
    """Pages by what fits, which together are what another client gets."""
    items, count = pages(b, method, name, **params)
    assert count > 1
    told, _ = pages(lab.bridge(), method, name, **params)
    assert whole(b, items) == told
    return items, count


def test_run_list(lab, b):
    for k in range(30):
        b.succeeds([say("k" * (5000 if k % 10 == 0 else 20))], metadata={"a": "b" * (9000 if k == 7 else 20)})
    items, count = paged(lab, b, "run.list", "runs")
    assert len(items) == 30 and count < 15 and blobs(items) == 4
    got, count = pages(b, "run.list", "runs", limit=2)
    assert len(got) == 30 and count >= 15


def test_agent_list(lab, b):
    for k in range(40):
        b.call("agent.create", {"agent": {"model": "script:/x", "instructions": "i" * (6000 if k == 9 else 200)}})
    assert len(paged(lab, b, "agent.list", "agents")[0]) == 40


def test_agent_list_of_files(lab):
    for k in range(40):
        lab.file(f"agents/file-{k:02}.json", {"model": "script:/x", "instructions": "i" * 300})
    b = short(lab, "--agents", str(lab.path / "agents"))
    items, count = pages(b, "agent.list", "agents")
    assert [i["agentId"] for i in items] == [f"file-{k:02}" for k in range(40)] and count > 1


def test_sessions(lab, b):
    for k in range(30):
        s = b.call("session.create", {"metadata": {"a": "b" * (9000 if k == 7 else 200)}})["sessionId"]
    assert len(paged(lab, b, "session.list", "sessions")[0]) == 30
    for k in range(12):
        b.succeeds([calls("c"), {"text": "a" * (9000 if k == 5 else 300)}], [sh("c", "true")], sessionId=s, input="m" * 300)
    assert len(paged(lab, b, "session.messages", "messages", sessionId=s)[0]) == 48
    assert len(paged(lab, b, "session.messages", "messages", sessionId=s, limit=7)[0]) == 48


def test_what_a_session_knows(lab, b):
    s = b.call("session.create")["sessionId"]
    context = [{"key": f"k{k}", "description": "d", "value": "v" * 50} for k in range(100)]
    state = {f"s{k}": k for k in range(900)}
    got = whole(b, b.call("session.augment", {"sessionId": s, "augmentation": {"addContext": context, "updateState": state, **{f"u{k}" * 9: 1 for k in range(90)}}}))
    assert got["context"] == context and got["state"] == state and len(got["warnings"]) == 90
    b.call("toolkit.register", {"sessionId": s, "toolkits": [{"name": f"kit{k}", "description": "d", "tools": [tool(f"k{k}t{n}") for n in range(9)]} for k in range(9)]})
    same(lab, b, "session.get", {"sessionId": s})
    same(lab, b, "toolkit.list", {"sessionId": s})
    for _ in range(60):
        b.run([calls("t"), say("ok")], [tool("t")], delivery="pause", wait=False, sessionId=s)
    got = b.call("session.subscribe", {"sessionId": s})
    assert blobs(got) == 1 and len(whole(b, got)["runs"]) == 60


def test_memory_and_warnings(lab, b):
    agent = {"model": "script:/x", "memory": [{"label": f"m{k}", "description": "d" * 90, "value": "v" * 90} for k in range(40)], **{f"u{k}" * 9: 1 for k in range(90)}}
    made = b.call("agent.create", {"agent": agent})
    assert len(whole(b, made)["warnings"]) == 90
    same(lab, b, "memory.get", {"agentId": made["agentId"]})
    same(lab, b, "agent.get", {"agentId": made["agentId"]})
    got = b.call("tool.register", {"tools": [tool("w", **{f"unknown{k}": 1 for k in range(200)})]})
    assert len(whole(b, got)["warnings"]) == 200


# ---- errors

LONG = "m" * 6000


@pytest.mark.parametrize("method,params,kind,pointer", [
    ("run.start", {"input": "x", "agent": {"model": "script:/x"}, "metadata": {LONG: 1}}, "invalidParams", "/metadata"),
    ("run.start", {"input": "x", "agent": {"model": f"script:/{LONG}"}}, None, None),
    ("run.start", {"input": "x", "agent": {"model": f"{LONG}:x"}}, "model.unknownProvider", None),
    ("run.start", {"input": "x", "agent": {"model": "script:/x"}, "tools": [tool(LONG)]}, "tool.invalid", None),
    ("run.start", {"input": "x", "agent": {"model": "script:/x"}, "tools": [tool("a", schema={"properties": {LONG: {"type": "zz"}}})]}, "tool.invalidSchema", None),
    ("run.events", {"runId": "x", "\x01" * 3000: 1, "limit": LONG}, "invalidParams", "/limit"),
    ("no.such." + LONG, {}, "methodNotFound", None),
    ("session.get", {"sessionId": LONG}, "session.notFound", None),
], ids=str)
def test_errors_stay_errors(b, method, params, kind, pointer):
    m = b.wait_response(b.request(method, params, valid=False))
    assert m.error is not None and m.error["message"] and (kind is None or m.error["data"]["kind"] == kind)
    assert pointer is None or m.error["data"]["pointer"] == pointer


def test_an_error_with_long_lists(b):
    o = b.run([calls("t"), say("ok")], [tool("t")], delivery="pause")
    ids = [f"01M8NT7G2X0NNY99CBVTSC8E{k:02}" for k in range(99)]
    e = b.fails("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": c, "content": "x"} for c in ids]}, "run.invalidToolResults")
    got = whole(b, e.data)
    assert got["unknown"] == ids and got["missing"] == [o["pendingToolCalls"][0]["callId"]] and got["verdicts"] == {c: "unknown" for c in ids}


def test_lines_that_are_no_message(b):
    b.send_frame(b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"%s":1,"%s":2}}' % (LONG.encode(), LONG.encode()))
    m = b.wait(lambda m: m.is_response and m.id == 7)
    assert m.error["data"]["kind"] == "parseError"


def test_ids_that_leave_no_room(b):
    long = "i" * 900
    assert b.call("ping", id=long) == {}
    o = b.result(b.request("run.start", b.params([say("z" * 9000)]), id="j" + long))
    assert whole(b, o)["answer"] == "z" * 9000
    b.send_frame(dumps({"jsonrpc": "2.0", "id": "i" * 5000, "method": "ping"}))
    m = b.wait(lambda m: m.is_response and m.error is not None)
    assert m.id is None and m.error["data"]["kind"] == "invalidRequest"


def test_a_batch_is_answered_in_several_arrays(b):
    ids = [f"batch-{k}" for k in range(30)]
    b.send_json([{"jsonrpc": "2.0", "id": i, "method": "rpc.discover"} for i in ids])
    until(lambda: sum(len(m.obj) for m in b.messages if m.is_batch) == 30)
    assert sorted(r["id"] for m in b.messages if m.is_batch for r in m.obj) == sorted(ids)
    b.send_json([{"jsonrpc": "2.0", "id": i, "method": "ping"} for i in ids])
    until(lambda: sum(len(m.obj) for m in b.messages if m.is_batch) == 60)
    assert len([m for m in b.messages if m.is_batch][-1].obj) == 30


# ---- other sizes

@pytest.mark.parametrize("limit", [4096, 5000, 9000, 17_000, 40_000])
def test_any_limit(lab, limit):
    b = short(lab, limit=limit)
    b.handlers["t"] = {"content": [{"type": "text", "text": "c" * 3000}] * 40, "structuredContent": {"s": ["d" * 2000] * 40}}
    b.call("toolkit.register", {"toolkits": [{"name": "kit", "description": "K", "startCollapsed": False, "systemPrompt": "S" * 9000,
                                              "tools": [tool(f"x{k}", description="D" * 1500) for k in range(40)]}]})
    o = b.succeeds([calls(*[("t", {"text": "y" * 3000 * k}) for k in range(6)]), say("z" * 30_000)], [tool("t")], timeout=60)
    logged(lab, b, o["runId"])
    for m in b.invokes():
        assert set(whole(b, m.params["arguments"])["text"]) <= {"y"}
    assert b.call("toolkit.list") and whole(b, b.call("run.get", {"runId": o["runId"]}))["answer"] == "z" * 30_000


def test_what_is_carried_comes_back_to_the_byte(b):
    text = '{"n":18446744073709551615,"f":0.10,"a":[' + ",".join(["1e400", '"\\u0000\\ud800"'] * 400) + '],"n2":{"$blob":"mine"}}'
    r = b.start([json.dumps({"toolCalls": [{"name": "t", "arguments": "@"}]}).replace('"@"', text), say("ok")], [tool("t")])
    m = b.next_invoke()
    assert b.read_blob(m.params["arguments"]["$blob"]) == text
    b.respond(m, {"content": "x"})
    assert b.result(r)["status"] == "success"


@pytest.mark.parametrize("nested", [False, True])
def test_what_looks_like_the_name_of_a_blob_and_was_made_up_is_never_literal(lab, b, nested):
    """The very shape of a reference, in all that a message carries: what stands there is the bridge's own reference to it."""
    made_up = {"$blob": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "type": "json", "bytes": 3, "preview": "x"}
    made_up = {"v": [made_up]} if nested else made_up
    s = b.call("session.create")["sessionId"]
    b.call("session.augment", {"sessionId": s, "augmentation": {"updateState": made_up, "addContext": [{"key": "k", "description": "d", "value": made_up}]}})
    r = b.start([calls(("gated", made_up), ("plain", made_up)), say("ok")], [tool("gated", requiresApproval=True), tool("plain")], sessionId=s)
    asked, m = b.next_request("approval.request"), b.next_invoke()
    run = m.params["runId"]
    # Stored each time anew, so that it is another one than the log's.
    assert whole(b, asked.params["arguments"]) == whole(b, m.params["arguments"]) == made_up
    o = b.get(run)
    assert [whole(b, c["arguments"]) for c in o["pendingToolCalls"]] == [made_up, made_up]
    assert whole(b, o["state"]) == made_up and whole(b, b.call("session.get", {"sessionId": s})["state"]) == made_up
    listed, = b.call("run.list")["runs"]
    assert [whole(b, c["arguments"]) for c in listed["pendingToolCalls"]] == [made_up, made_up]
    b.respond(m, {"structuredContent": made_up})
    b.respond(asked, {"decision": "deny"})
    assert b.result(r)["status"] == "success"
    messages = b.call("session.messages", {"sessionId": s})["messages"]
    assert [whole(b, c["arguments"]) for c in messages[1]["toolCalls"]] == [made_up, made_up]
    assert whole(b, messages[3]["structuredContent"]) == made_up
    told = logged(lab, b, run)
    assert [whole(b, e["data"]["arguments"]) for e in told if e["type"] == "tool.started"] == [made_up]

"""Section 11: codes, kinds, pointers."""
import json

import pytest

from harness import ERRORS, KINDS, SCHEMAS, STANDARD, calls, say, tool

NOWHERE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def test_errors_json_lists_every_kind_of_the_page_once():
    if not (SCHEMAS / "errors.json").exists():
        pytest.fail("Schemas/errors.json is missing")
    assert set(ERRORS) >= KINDS | set(STANDARD.values())
    codes = [e["code"] for e in ERRORS.values()]
    assert len(set(codes)) == len(codes)
    for kind, e in ERRORS.items():
        assert (e["code"] in STANDARD and STANDARD[e["code"]] == kind) or e["code"] > 0


def test_the_openrpc_document_lists_the_codes(bridge):
    text = json.dumps(bridge.call("rpc.discover"))
    for kind, e in ERRORS.items():
        assert f'"{kind}"' in text and str(e["code"]) in text, kind


def provoke(lab):
    """(kind, how to get it), for what can be reached with the script model."""
    b = lab.bridge()
    p = b.params([calls("t"), say("ok")], [tool("t")])
    done = b.run([say("ok")])["runId"]
    waiting = b.call("run.start", p)
    c = waiting["pendingToolCalls"][0]["callId"]
    keyed = {**b.params([say("ok")]), "idempotencyKey": "k"}
    b.call("run.start", keyed)
    other = lab.bridge()
    busy = other.background([say("late", delayMs=60_000)])
    other.wait_event("model.started", busy)
    submit = "run.submitToolResults"
    return b, [
        ("methodNotFound", "no.such", {}),
        ("invalidParams", "run.get", {}),
        ("run.notFound", "run.get", {"runId": NOWHERE}),
        ("run.alreadyTerminal", submit, {"runId": done, "results": [{"callId": NOWHERE, "content": "x"}]}),
        ("run.alreadyTerminal", "run.addNote", {"runId": done, "text": "x"}),
        ("run.invalidToolResults", submit, {"runId": waiting["runId"], "results": [{"callId": c, "content": "x"}, {"callId": NOWHERE, "content": "x"}]}),
        ("run.notWaiting", submit, {"runId": busy, "results": [{"callId": NOWHERE, "content": "x"}]}),
        ("run.leaseHeld", "run.resume", {"runId": busy}),
        ("run.idempotencyConflict", "run.start", {**keyed, "input": "other"}),
        ("unsupportedCapability", "run.start", {**p, "delivery": "invoke"}),
        ("model.unknownProvider", "run.start", {"input": "x", "agent": {"model": "nosuchprovider:x"}}),
        ("tool.invalid", "run.start", {**p, "tools": [tool("bad name")]}),
        ("tool.invalidSchema", "run.start", {**p, "tools": [tool("t", {"type": "no-such"})]}),
        ("blob.notFound", "blob.read", {"id": NOWHERE}),
    ]


def test_every_kind_that_can_be_provoked_has_its_code_and_says_whether_to_retry(lab):
    b, cases = provoke(lab)
    for kind, method, params in cases:
        e = b.fails(method, params, kind=kind, valid=False)
        assert e.error["message"] and isinstance(e.data["retryable"], bool)
        if ERRORS:
            assert (e.code, e.data["retryable"]) == (ERRORS[kind]["code"], ERRORS[kind]["retryable"]), e.error
        if kind == "run.leaseHeld":
            assert isinstance(e.data["retryAfterMs"], int)


POINTERS = [
    ("run.start", {"input": "x", "agent": {"model": "script:/x", "limits": {"maxIterations": []}}}, "/agent/limits/maxIterations"),
    ("run.start", {"input": "x", "agent": {"model": "script:/x", "clientTools": {"invokeTimeoutMs": "x"}}}, "/agent/clientTools/invokeTimeoutMs"),
    ("run.start", {"input": "x", "agent": {"model": "script:/x", "tools": [{"name": "a", "description": "d", "inputSchema": {}}, {"name": 5}]}}, "/agent/tools/1/name"),
    ("run.start", {"input": "x", "agent": {"model": "script:/x"}, "tools": [{"name": "a", "description": "d", "inputSchema": {"type": "object"}, "timeoutMs": "x"}]}, "/tools/0/timeoutMs"),
    ("run.start", {"input": "x", "agent": {"model": "script:/x"}, "tools": [{"name": "a", "description": "d", "inputSchema": {"type": "object"}, "annotations": {"idempotentHint": "x"}}]},
     "/tools/0/annotations/idempotentHint"),
    ("run.start", {"input": [{"type": "text"}], "agent": {"model": "script:/x"}}, "/input/0/text"),
    ("run.wait", {"runId": NOWHERE, "timeoutMs": -1}, "/timeoutMs"),
    ("run.wait", {"runId": NOWHERE, "timeoutMs": "x"}, "/timeoutMs"),
    ("run.resume", {"runId": NOWHERE, "reissue": "x"}, "/reissue"),
    ("run.resume", {"runId": NOWHERE, "reissue": [5]}, "/reissue/0"),
    ("run.resume", {"runId": NOWHERE, "afterSeq": "x"}, "/afterSeq"),
    ("run.resume", {"runId": NOWHERE, "limits": {"maxIterations": 0}}, "/limits/maxIterations"),
    ("run.cancel", {"runId": NOWHERE, "reason": 5}, "/reason"),
    ("run.subscribe", {"runId": NOWHERE, "afterSeq": -1}, "/afterSeq"),
    ("run.submitToolResults", {"runId": NOWHERE, "results": [], "partial": "x"}, "/partial"),
    ("run.submitToolResults", {"results": []}, "/runId"),
    ("run.start", {"input": "x", "agent": {"model": "script:/x", "temperature": -1}}, "/agent/temperature"),
    ("run.start", {"input": "x", "agent": {"model": "script:/x", "maxOutputTokens": 0}}, "/agent/maxOutputTokens"),
    ("run.start", {"input": "x", "agent": {"model": "script:/x", "providerOptions": "x"}}, "/agent/providerOptions"),
    ("run.start", {"input": "x", "agent": {"model": "script:/x", "tools": [{**tool("a"), "annotations": {"title": 5}}]}}, "/agent/tools/0/annotations/title"),
    ("run.start", {"input": "x", "agent": {"model": "script:/x"}, "idempotencyKey": ""}, "/idempotencyKey"),
    ("run.list", {"status": []}, "/status"),
    ("agent.list", {"limit": 1001}, "/limit"),
    ("tool.register", {"tools": [{**tool("a"), "annotations": {"title": 5}}]}, "/tools/0/annotations/title"),
    ("tool.register", {"tools": [{"name": "s", "description": "d", "agent": {"model": "x"}}]}, "/tools/0/agent/model"),
]


SUB_AGENT = {"name": "s", "description": "d", "agent": {"model": "x"}}
SUB_AGENTS = [
    ({"agent": {"tools": [tool("a"), SUB_AGENT]}}, "/agent/tools/1/agent/model"),
    ({"agent": {"toolkits": [{"name": "k", "description": "d", "tools": [SUB_AGENT]}]}}, "/agent/toolkits/0/tools/0/agent/model"),
    ({"tools": [tool("a"), {"name": "t", "description": "d", "agent": {"model": "script:GOOD", "tools": [SUB_AGENT]}}]}, "/tools/1/agent/tools/0/agent/model"),
    ({"toolkits": [{"name": "k", "description": "d", "tools": [SUB_AGENT]}]}, "/toolkits/0/tools/0/agent/model"),
    ({"augmentation": {"injectToolkits": [{"name": "k", "description": "d", "tools": [SUB_AGENT]}]}}, "/augmentation/injectToolkits/0/tools/0/agent/model"),
]


@pytest.mark.parametrize("method,params,pointer", POINTERS, ids=[f"{m} {p}" for m, _, p in POINTERS])
def test_the_pointer_names_the_missing_or_wrong_member(bridge, method, params, pointer):
    bridge.refuses(method, params, pointer)


@pytest.mark.parametrize("given,pointer", SUB_AGENTS, ids=[p for _, p in SUB_AGENTS])
def test_the_model_of_a_sub_agent_is_named_where_it_stands(lab, bridge, given, pointer):
    model = lab.script([say("ok")])
    params = json.loads(json.dumps({"input": "x", **given, "agent": {"model": model, **given.get("agent", {})}}).replace("script:GOOD", model))
    bridge.refuses("run.start", params, pointer)


BAD = {"type": "no-such"}
KIT = {"name": "kit", "description": "d", "tools": [tool("a"), tool("b", BAD)]}


@pytest.mark.parametrize("method,params,pointer", [
    ("tool.register", {"tools": [tool("a"), tool("b", BAD)]}, "/tools/1/inputSchema/type"),
    ("tool.register", {"tools": [tool("b", outputSchema=BAD)]}, "/tools/0/outputSchema/type"),
    ("tool.register", {"tools": [{"name": "s", "description": "d", "agent": {"model": "script:/x", "tools": [tool("b", BAD)]}}]}, "/tools/0/agent/tools/0/inputSchema/type"),
    ("toolkit.register", {"toolkits": [KIT]}, "/toolkits/0/tools/1/inputSchema/type"),
    ("session.augment", {"augmentation": {"injectToolkits": [KIT]}}, "/augmentation/injectToolkits/0/tools/1/inputSchema/type"),
    ("run.start", {"input": "x", "agent": {"model": "script:/x", "toolkits": [KIT]}}, "/agent/toolkits/0/tools/1/inputSchema/type"),
    ("agent.create", {"agent": {"model": "script:/x", "tools": [tool("b", BAD)]}}, "/agent/tools/0/inputSchema/type"),
], ids=str)
def test_a_bad_schema_is_named_by_its_tool_and_its_place(bridge, method, params, pointer):
    if method == "session.augment":
        params = {**params, "sessionId": bridge.call("session.create")["sessionId"]}
    e = bridge.fails(method, params, kind="tool.invalidSchema", valid=False)
    assert (e.data["pointer"], e.data["tool"]) == (pointer, "b"), e.error
    twice = bridge.fails("run.start", {"input": "x", "agent": {"model": "script:/x", "tools": [tool("b"), tool("b")]}}, kind="tool.invalid")
    assert twice.data["tool"] == "b"


def test_a_tool_whose_name_is_taken_is_named(bridge):
    bridge.call("toolkit.register", {"toolkits": [{"name": "kit", "description": "d", "tools": [tool("inside")]}]})
    e = bridge.fails("tool.register", {"tools": [tool("inside")]}, kind="tool.invalid")
    assert (e.data["pointer"], e.data["tool"]) == ("/tools/0/name", "inside")


def test_a_run_of_no_session_is_in_no_list(bridge):
    bridge.run([say("ok")])
    for session in (NOWHERE, "no id"):
        assert bridge.call("run.list", {"sessionId": session}) == {"runs": []}


@pytest.mark.parametrize("value", [None, True, 5, 1.5, "x", [], {}])
@pytest.mark.parametrize("method,member", [("run.get", "runId"), ("run.wait", "runId"), ("run.wait", "timeoutMs"), ("run.start", "input"), ("run.start", "agent"),
                                           ("run.start", "wait"), ("run.start", "tools"), ("run.start", "metadata"), ("run.list", "limit"), ("run.list", "status"),
                                           ("blob.read", "id"), ("blob.write", "data"), ("run.addNote", "text"), ("run.submitToolResults", "results"),
                                           ("initialize", "capabilities"), ("initialize", "clientInfo"), ("initialize", "protocolVersion")])
def test_no_type_of_any_member_does_harm(lab, method, member, value):
    """Whatever the type, the answer is a result or an error of this request, and the next one is served."""
    b = lab.bridge(init=False)
    base = {"run.start": {"input": "x", "agent": {"model": "script:/nowhere"}}, "run.wait": {"runId": NOWHERE}, "run.addNote": {"runId": NOWHERE, "text": "x"},
            "run.submitToolResults": {"runId": NOWHERE, "results": []},
            "initialize": {"protocolVersion": "2026-11-20", "clientInfo": {"name": "x", "version": "1"}, "capabilities": {}}}.get(method, {})
    m = b.wait_response(b.request(method, {**base, member: value}, valid=False))
    if m.error:
        assert m.error["data"]["kind"] != "internalError", m
    b.ping()


def test_error_kinds_of_outcomes_are_of_the_list_too(bridge):
    for turns in ([], [say("x", expect={"content": "never"})]):
        o = bridge.run(turns)
        assert o["error"]["kind"] in KINDS


def test_an_error_message_is_one_readable_line(lab):
    b, cases = provoke(lab)
    for kind, method, params in cases:
        message = b.fails(method, params, valid=False).error["message"]
        assert "\n" not in message and len(message) < 1000 and "Optional(" not in message and "Error Domain" not in message, message

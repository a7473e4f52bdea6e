"""The mock of the providers, judged by their official SDKs (skipped, visibly, where `anthropic` or `openai` from PyPI is missing), and
its strictness, judged by requests that the real services refuse. The bridge has no part in these tests."""
import copy
import http.client
import json
import time

import pytest

from mock_models import Call, Drop, Raw, Server, Status, StreamError, Thought, Turn, Usage

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TEXT = "The façade has 3 rows 🙂, \"quoted\"\nand a second line."
USAGE = Usage(fresh=11, output=7, cache_read=200, cache_write=30, reasoning=4)


@pytest.fixture
def mock():
    server = Server(key="key-1")
    yield server
    server.close()


# ---------------------------------------------------------------- the official SDKs read what the mock says

def claude(mock):
    anthropic = pytest.importorskip("anthropic", reason="the official SDK `anthropic` is not installed (PyPI)")
    return anthropic, anthropic.Anthropic(api_key="key-1", base_url=mock.url, max_retries=0)


def gpt(mock):
    openai = pytest.importorskip("openai", reason="the official SDK `openai` is not installed (PyPI)")
    return openai, openai.OpenAI(api_key="key-1", base_url=mock.url + "/v1", max_retries=0)


CLAUDE = {"model": "m", "max_tokens": 2000, "tools": [{"name": "look", "description": "looks", "input_schema": SCHEMA}]}
VARIANTS = {"plain": {}, "crlf": {"crlf": True}, "comments": {"comments": True}, "bytes": {"piece": 1}, "multiline": {"multiline": True}, "tight": {"tight": True}}


@pytest.mark.parametrize("wire", VARIANTS.values(), ids=VARIANTS)
def test_the_anthropic_sdk_reads_a_turn(mock, wire):
    _, client = claude(mock)
    turn = Turn(blocks=[Thought("Let me think."), TEXT, Call("look", {"path": "ä.csv"}), Thought("and", redacted=True), Call("look", {})], usage=USAGE)
    mock.script("m", turn.with_(**wire), Turn("Done."))
    messages = [{"role": "user", "content": "go"}]
    with client.messages.stream(messages=messages, **CLAUDE) as stream:
        text = "".join(stream.text_stream)
        got = stream.get_final_message()
    assert text == TEXT
    assert [b.type for b in got.content] == ["thinking", "text", "tool_use", "redacted_thinking", "tool_use"]
    assert (got.content[0].thinking, got.content[2].input, got.content[4].input) == ("Let me think.", {"path": "ä.csv"}, {})
    assert got.stop_reason == "tool_use"
    u = got.usage
    assert (u.input_tokens, u.output_tokens, u.cache_read_input_tokens, u.cache_creation_input_tokens) == (11, 7, 200, 30)
    results = [{"type": "tool_result", "tool_use_id": got.content[i].id, "content": "3"} for i in (2, 4)]
    messages += [{"role": "assistant", "content": [b.model_dump(exclude_none=True, exclude={"citations", "caller", "parsed_output"}) for b in got.content]},
                 {"role": "user", "content": results}]
    with client.messages.stream(messages=messages, **CLAUDE) as stream:
        assert stream.get_final_text() == "Done."
    mock.check()
    assert [r.connection for r in mock.requests] == [1, 1]


def test_the_anthropic_sdk_understands_the_errors(mock):
    anthropic, client = claude(mock)
    for code, kind in [(400, "BadRequestError"), (401, "AuthenticationError"), (403, "PermissionDeniedError"), (404, "NotFoundError"), (409, "ConflictError"),
                       (429, "RateLimitError"), (500, "InternalServerError"), (529, "APIStatusError")]:
        mock.script("m", Status(code, "because", request_id="req_7"))
        with pytest.raises(getattr(anthropic, kind)) as e:
            client.messages.create(messages=[{"role": "user", "content": "go"}], stream=True, **CLAUDE)
        assert e.value.status_code == code and e.value.body["error"]["message"] == "because" and e.value.response.headers["request-id"] == "req_7"
    mock.script("m", StreamError(Turn("half an answer")))
    with pytest.raises(anthropic.APIStatusError, match="[Oo]verloaded"):
        list(client.messages.create(messages=[{"role": "user", "content": "go"}], stream=True, **CLAUDE))


@pytest.mark.parametrize("wire", VARIANTS.values(), ids=VARIANTS)
def test_the_openai_sdk_reads_a_chat_turn(mock, wire):
    _, client = gpt(mock)
    mock.script("m", Turn(TEXT, calls=[("look", {"path": "ä.csv"}), ("look", {"path": "b"})], usage=USAGE).with_(**wire), Turn("Done."))
    tools = [{"type": "function", "function": {"name": "look", "description": "looks", "parameters": SCHEMA}}]
    messages = [{"role": "user", "content": "go"}]
    with client.chat.completions.stream(model="m", messages=messages, tools=tools, stream_options={"include_usage": True}) as stream:
        got = stream.get_final_completion()
    m = got.choices[0].message
    assert m.content == TEXT
    assert [(c.function.name, json.loads(c.function.arguments)) for c in m.tool_calls] == [("look", {"path": "ä.csv"}), ("look", {"path": "b"})]
    assert got.choices[0].finish_reason == "tool_calls"
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.prompt_tokens_details.cached_tokens) == (241, 7, 200)
    messages.append({"role": "assistant", "content": m.content, "tool_calls": [{"id": c.id, "type": "function", "function": {"name": c.function.name,
                    "arguments": c.function.arguments}} for c in m.tool_calls]})
    messages += [{"role": "tool", "tool_call_id": c.id, "content": "3"} for c in m.tool_calls]
    with client.chat.completions.stream(model="m", messages=messages, tools=tools) as stream:
        got = stream.get_final_completion()
    assert got.choices[0].message.content == "Done." and got.usage is None
    mock.check()


def test_the_openai_sdk_reads_a_refusal_and_the_errors(mock):
    openai, client = gpt(mock)
    go = {"model": "m", "messages": [{"role": "user", "content": "go"}]}
    mock.script("m", Turn(refusal="I will not."))
    with client.chat.completions.stream(**go) as stream:
        assert stream.get_final_completion().choices[0].message.refusal == "I will not."
    for code, kind in [(400, "BadRequestError"), (401, "AuthenticationError"), (403, "PermissionDeniedError"), (404, "NotFoundError"), (409, "ConflictError"),
                       (429, "RateLimitError"), (500, "InternalServerError")]:
        mock.script("m", Status(code, "because", request_id="req_7"))
        with pytest.raises(getattr(openai, kind)) as e:
            client.chat.completions.create(stream=True, **go)
        assert e.value.request_id == "req_7" and "because" in e.value.message
    mock.script("m", StreamError(Turn("half an answer"), "server_error", "it broke"))
    with pytest.raises(openai.APIError, match="it broke"):
        list(client.chat.completions.create(stream=True, **go))


@pytest.mark.parametrize("wire", VARIANTS.values(), ids=VARIANTS)
def test_the_openai_sdk_reads_a_responses_turn(mock, wire):
    _, client = gpt(mock)
    turn = Turn(blocks=[Thought("First, look."), TEXT, Call("look", {"path": "ä.csv"}), Call("look", {"path": "b"})], usage=USAGE)
    mock.script("m", turn.with_(**wire), Turn("Done."), Turn("cut", stop="max_tokens"))
    tools = [{"type": "function", "name": "look", "description": "looks", "parameters": SCHEMA, "strict": False}]
    items = [{"role": "user", "content": "go"}]
    more = {"model": "m", "tools": tools, "store": False, "include": ["reasoning.encrypted_content"]}
    with client.responses.stream(input=items, **more) as stream:
        text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        got = stream.get_final_response()
    assert text == got.output_text == TEXT
    assert [o.type for o in got.output] == ["reasoning", "message", "function_call", "function_call"]
    assert got.output[0].summary[0].text == "First, look." and json.loads(got.output[2].arguments) == {"path": "ä.csv"}
    assert (got.usage.input_tokens, got.usage.output_tokens, got.usage.input_tokens_details.cached_tokens) == (241, 7, 200)
    keep = {"reasoning": ("id", "type", "summary", "encrypted_content"), "message": ("id", "type", "role", "content", "status"), "function_call": ("type", "call_id", "name", "arguments")}
    dumped = json.loads(got.model_dump_json())["output"]
    for o in dumped:
        for part in o.get("content") or ():
            part.pop("parsed", None)  # the SDK's own
    items += [{k: o[k] for k in keep[o["type"]]} for o in dumped]
    items += [{"type": "function_call_output", "call_id": o.call_id, "output": "3"} for o in got.output if o.type == "function_call"]
    with client.responses.stream(input=items, **more) as stream:
        assert stream.get_final_response().output_text == "Done."
    mock.check()
    events = [e.type for e in client.responses.create(input="go", stream=True, **more)]
    assert events[0] == "response.created" and events[-1] == "response.incomplete"


def test_the_openai_sdk_reads_the_failures_of_a_response(mock):
    openai, client = gpt(mock)
    mock.script("m", StreamError(Turn("half"), message="too long", code="context_length_exceeded"), StreamError(Turn("half"), "server_error", "broke", shape="nested"))
    events = list(client.responses.create(model="m", input="go", stream=True))
    assert events[-1].type == "response.failed" and events[-1].response.error.code == "context_length_exceeded"
    with pytest.raises(openai.APIError, match="broke"):
        list(client.responses.create(model="m", input="go", stream=True))


# ---------------------------------------------------------------- what the mock refuses

def post(mock, path, body, headers=()):
    c = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=10)
    c.request("POST", path, json.dumps(body), {"content-type": "application/json", **dict(headers)})
    r = c.getresponse()
    data = r.read()
    c.close()
    return r.status, data.decode()


def claude_post(mock, body, **headers):
    return post(mock, "/v1/messages", body, {"x-api-key": "key-1", "anthropic-version": "2023-06-01", **headers})


def gpt_post(mock, body, path="/v1/chat/completions", **headers):
    return post(mock, path, body, {"authorization": "Bearer key-1", **headers})


def edit(body, *changes):
    body = copy.deepcopy(body)
    for path, value in changes:
        at = body
        for step in path[:-1]:
            at = at[step]
        if value is DELETE:
            del at[path[-1]]
        else:
            at[path[-1]] = value
    return body


DELETE = object()
USE = {"type": "tool_use", "id": "toolu_x", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_x", "content": "3"}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
GOOD = {"model": "m", "max_tokens": 100, "stream": True, "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "look", "description": "", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": "go"}, {"role": "assistant", "content": [{"type": "text", "text": "hm"}, USE]},
                     {"role": "user", "content": [RESULT, {"type": "text", "text": "and?"}]}]}
M = "messages"
BAD_CLAUDE = {
    "an unknown member": ([(("foo",), 1)], "Extra inputs"),
    "no max_tokens": ([(("max_tokens",), DELETE)], "max_tokens: Field required"),
    "no stream": ([(("stream",), False)], "stream"),
    "a system message": ([((M, 0, "role"), "system")], "Unexpected role"),
    "an assistant first": ([((M,), GOOD[M][1:])], "first message"),
    "a prefill": ([((M,), GOOD[M][:1] + [{"role": "assistant", "content": "x"}])], "prefill"),
    "empty text": ([((M, 1, "content", 0, "text"), "")], "non-empty"),
    "blank text": ([((M, 1, "content", 0, "text"), " \n")], "non-whitespace"),
    "an empty message": ([((M, 0, "content"), [])], "non-empty content"),
    "no result": ([((M, 2, "content"), [{"type": "text", "text": "x"}])], "without `tool_result`"),
    "the result not first": ([((M, 2, "content"), [{"type": "text", "text": "x"}, RESULT])], "without `tool_result`"),
    "two results": ([((M, 2, "content"), [RESULT, RESULT])], "single result"),
    "a stray result": ([((M, 2, "content"), [RESULT, {**RESULT, "tool_use_id": "toolu_y"}])], "unexpected `tool_use_id`"),
    "one id twice": ([((M, 1, "content"), [USE, USE])], "unique"),
    "arguments that are no object": ([((M, 1, "content", 1, "input"), "x")], "valid dictionary"),
    "an id with a colon": ([((M, 1, "content", 1, "id"), "a:b")], "pattern"),
    "thinking nobody issued": ([((M, 1, "content"), [{"type": "thinking", "thinking": "x", "signature": "y"}, USE])], "Invalid `signature`"),
    "an image in an error": ([((M, 2, "content", 0), {**RESULT, "is_error": True, "content": [PNG]})], "all content must be type `text`"),
    "audio": ([((M, 2, "content", 0), {**RESULT, "content": [{"type": "audio", "data": "aa", "mimeType": "audio/wav"}]})], "does not match any"),
    "a tiff": ([((M, 2, "content", 0), {**RESULT, "content": [edit(PNG, (("source", "media_type"), "image/tiff"))]})], "media_type"),
    "base64 that is none": ([((M, 2, "content", 0), {**RESULT, "content": [edit(PNG, (("source", "data"), "$$"))]})], "base64"),
    "a document that is no PDF": ([((M, 2, "content", 0), {**RESULT, "content": [{"type": "document", "source": {"type": "base64", "media_type": "a/b", "data": "aaaa"}}]})], "application/pdf"),
    "five cache marks": ([((M, 2, "content"), [RESULT] + [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 4)], "maximum of 4"),
    "a tool's name with a dot": ([(("tools", 0, "name"), "a.b")], "pattern"),
    "two tools of one name": ([(("tools",), GOOD["tools"] * 2)], "unique"),
    "a schema without a type": ([(("tools", 0, "input_schema"), {})], "input_schema.type"),
    "anyOf at the top": ([(("tools", 0, "input_schema"), {"type": "object", "anyOf": []})], "top level"),
    "no tools": ([(("tools",), DELETE)], "must define tools"),
    "too much temperature": ([(("temperature",), 1.5)], "temperature"),
    "temperature with thinking": ([(("temperature",), 0.5), (("thinking",), {"type": "adaptive"})], "thinking"),
    "a budget above max_tokens": ([(("thinking",), {"type": "enabled", "budget_tokens": 1024})], "max_tokens"),
}


@pytest.mark.parametrize("changes,words", BAD_CLAUDE.values(), ids=BAD_CLAUDE)
def test_the_messages_api_refuses(mock, changes, words):
    mock.script("m", Turn("fine"))
    status, text = claude_post(mock, edit(GOOD, *changes))
    assert status == 400 and words in json.loads(text)["error"]["message"], text
    assert json.loads(text)["type"] == "error"
    with pytest.raises(AssertionError):
        mock.check()


def test_the_messages_api_takes_what_is_right_and_wants_its_headers(mock):
    mock.script("m", Turn("fine"))
    assert claude_post(mock, GOOD)[0] == 200
    mock.check()
    assert claude_post(mock, GOOD, **{"x-api-key": "other"})[0] == 401
    assert claude_post(mock, GOOD, **{"anthropic-version": ""})[0] == 400
    assert claude_post(mock, GOOD, **{"content-type": "text/plain"})[0] == 400


CALLED = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]}
CHAT = {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "go"}, CALLED, {"role": "tool", "tool_call_id": "c1", "content": "3"}]}
BAD_CHAT = {
    "an unknown member": ([(("foo",), 1)], "Unrecognized"),
    "no tool message": ([((M,), CHAT[M][:3])], "did not have response messages: c1"),
    "a user before the tool": ([((M,), CHAT[M][:3] + [CHAT[M][1], CHAT[M][3]])], "did not have response messages"),
    "a stray tool message": ([((M,), CHAT[M][:2] + CHAT[M][3:])], "must be a response"),
    "two answers": ([((M,), CHAT[M] + CHAT[M][3:])], "Duplicate"),
    "an image in a tool message": ([((M, 3, "content"), [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}])], "role tool"),
    "null for a user": ([((M, 1, "content"), None)], "null"),
    "no calls": ([((M, 2, "tool_calls"), []), ((M, 2, "content"), "x")], "empty array"),
    "arguments as an object": ([((M, 2, "tool_calls", 0, "function", "arguments"), {})], "expected a string"),
    "no id": ([((M, 2, "tool_calls", 0, "id"), "")], "id"),
    "an unknown field": ([((M, 2, "reasoning_content"), "x")], "reasoning_content"),
    "no tools": ([(("tools",), [])], "empty array"),
    "tool_choice alone": ([(("tools",), DELETE), (("tool_choice",), "auto")], "tool_choice"),
    "a schema without a type": ([(("tools", 0, "function", "parameters"), {})], "type"),
    "both limits": ([(("max_tokens",), 5), (("max_completion_tokens",), 5)], "same time"),
}


@pytest.mark.parametrize("changes,words", BAD_CHAT.values(), ids=BAD_CHAT)
def test_chat_completions_refuses(mock, changes, words):
    mock.script("m", Turn("fine"))
    status, text = gpt_post(mock, edit(CHAT, *changes))
    assert status == 400 and words in json.loads(text)["error"]["message"], text


RS = {"type": "reasoning", "id": "rs_1", "summary": []}
RESPONSES = {"model": "m", "stream": True, "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}],
             "input": [{"role": "user", "content": "go"}, {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
                       {"type": "function_call_output", "call_id": "c1", "output": "3"}]}
BAD_RESPONSES = {
    "an unknown member": ([(("messages",), 1)], "Unknown parameter"),
    "no output": ([(("input",), RESPONSES["input"][:2])], "No tool output found"),
    "a stray output": ([(("input",), RESPONSES["input"][:1] + RESPONSES["input"][2:])], "No tool call found"),
    "two outputs": ([(("input",), RESPONSES["input"] + RESPONSES["input"][2:])], "Duplicate"),
    "reasoning at the end": ([(("input",), RESPONSES["input"] + [RS])], "required following item"),
    "reasoning not sealed": ([(("store",), False), (("input",), [RESPONSES["input"][0], RS, *RESPONSES["input"][1:]])], "not persisted"),
    "reasoning nobody issued": ([(("input",), [RESPONSES["input"][0], {**RS, "encrypted_content": "x"}, *RESPONSES["input"][1:]])], "could not be verified"),
    "a chat tool": ([(("tools", 0), {"type": "function", "function": {}})], "Missing required"),
    "no strict": ([(("tools", 0, "strict"), DELETE)], "strict"),
    "input_text of an assistant": ([(("input", 0), {"role": "assistant", "content": [{"type": "input_text", "text": "x"}]})], "input_text"),
    "an id of another kind": ([(("input", 1, "id"), "call_1")], "begins with 'fc'"),
    "a limit below 16": ([(("max_output_tokens",), 5)], ">= 16"),
}


@pytest.mark.parametrize("changes,words", BAD_RESPONSES.values(), ids=BAD_RESPONSES)
def test_the_responses_api_refuses(mock, changes, words):
    mock.script("m", Turn("fine"))
    status, text = gpt_post(mock, edit(RESPONSES, *changes), "/v1/responses")
    assert status == 400 and words in json.loads(text)["error"]["message"], text


def test_openai_takes_what_is_right_and_wants_its_key(mock):
    mock.script("m", Turn("fine"), Turn("fine"))
    assert gpt_post(mock, CHAT)[0] == 200
    assert gpt_post(mock, RESPONSES, "/v1/responses")[0] == 200
    mock.check()
    assert gpt_post(mock, CHAT, authorization="Bearer other")[0] == 401
    assert gpt_post(mock, CHAT, authorization="")[0] == 401


def test_changed_or_missing_thinking_is_refused(mock):
    mock.script("m", Turn(blocks=[Thought("hm"), Call("look")]), *[Turn("fine")] * 9)
    claude_post(mock, {**GOOD, "messages": GOOD[M][:1]})
    thinking, use = mock.requests[0].issued
    use = {**use, "input": {}}
    result = {**RESULT, "tool_use_id": use["id"]}

    def status(*blocks):
        return claude_post(mock, {**GOOD, "messages": [GOOD[M][0], {"role": "assistant", "content": list(blocks)}, {"role": "user", "content": [result]}]})[0]
    assert status(thinking, use) == 200
    assert status(use) == 400
    assert status({**thinking, "thinking": "HM"}, use) == 400
    assert status(use, thinking) == 400


# ---------------------------------------------------------------- the faults are what they say

def raw_exchange(mock, body=CHAT):
    """The bytes of an answer after its head, chunk sizes taken off, and how it ended."""
    c = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=10)
    c.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json", "authorization": "Bearer key-1"})
    try:
        r = c.getresponse()
    except (http.client.RemoteDisconnected, ConnectionResetError) as e:
        return None, type(e).__name__
    try:
        return r.read(), "end"
    except (http.client.IncompleteRead, ConnectionResetError) as e:
        return getattr(e, "partial", b""), type(e).__name__
    finally:
        c.close()


def test_a_cut_comes_at_its_byte(mock):
    turn = Turn(TEXT)
    mock.script("m", turn)
    whole, how = raw_exchange(mock)
    assert how == "end"
    n = len(whole)
    for at, kind, ends in [(0, "fin", "IncompleteRead"), (10, "fin", "IncompleteRead"), (n, "fin", "IncompleteRead"), (n - 1, "end", "end"), (17, "end", "end"), (17, "reset", "ConnectionResetError")]:
        mock.script("m", turn.with_(cut=at, cut_how=kind, piece=None if at % 2 else 1))
        got, how = raw_exchange(mock)
        assert how == ends, (at, kind)
        if kind != "reset":
            assert len(got) == at and mock.requests[-1].sent == at
    mock.script("m", Drop(), Drop("reset"), Raw(b"<html>no</html>", "text/html"))
    assert raw_exchange(mock) == (None, "RemoteDisconnected")
    assert raw_exchange(mock)[0] is None
    assert raw_exchange(mock) == (b"<html>no</html>", "end")


def test_a_client_that_leaves_is_noticed(mock):
    mock.script("m", Turn(TEXT).with_(stall=20))
    c = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=10)
    c.request("POST", "/v1/chat/completions", json.dumps(CHAT), {"content-type": "application/json", "authorization": "Bearer key-1"})
    c.getresponse().read(20)
    r = mock.requests[0]
    assert r.held.wait(5) and not r.left.is_set()
    before = time.monotonic()
    c.sock.close() if c.sock else None
    c.close()
    import gc
    gc.collect()
    assert r.left.wait(5)
    assert r.left_at - before < 1

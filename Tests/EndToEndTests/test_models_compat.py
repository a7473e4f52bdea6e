"""Servers that resemble OpenAI's, each in its own way: Ollama, vLLM, llama.cpp, LM Studio, OpenRouter and whatever else people run."""
import pytest

from harness import tool
from mock_models import Call, Raw, Thought, Turn
from mock_models.fixtures import chat, completed, http, responses, retries, streamed  # noqa: F401

LOOK = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
LOOSE = {
    "no ids": {"ids": "missing"}, "empty ids": {"ids": "empty"}, "null ids": {"ids": "null"}, "the id in each fragment": {"ids": "repeated"},
    "arguments in one piece": {"whole": True}, "arguments as an object": {"as_object": True, "lax": True},
    "no index, one piece": {"index": "missing", "whole": True}, "index 0 for all, one piece": {"index": "zero", "whole": True},
    "no index, no ids, one piece": {"index": "missing", "whole": True, "ids": "missing"},
    "content null": {"null_content": True}, "the role in each delta": {"role_repeated": True}, "the name in each fragment": {"name_repeated": True, "whole": True},
    "no usage": {"usage": "none"}, "usage beside finish_reason": {"usage": "inline"}, "usage in each chunk": {"usage": "each"}, "usage unasked": {"usage": "always"},
    "no [DONE]": {"done": False}, "finish_reason stop after calls": {"finish": "stop"}, "no type": {"type_missing": True}, "null fields": {"null_fields": True},
    "no index of the choice": {"no_choice_index": True},
    "reasoning_content": {"reasoning": "reasoning_content", "lax": True}, "reasoning": {"reasoning": "reasoning", "lax": True},
    "Ollama": {"whole": True, "usage": "always", "role_repeated": True, "index": "zero"},
    "llama.cpp": {"null_content": True, "usage": "inline", "role_repeated": True},
    "Gemini": {"whole": True, "ids": "empty", "index": "zero", "usage": "inline", "role_repeated": True},
}


@pytest.mark.parametrize("compat", LOOSE.values(), ids=LOOSE)
def test_a_loose_server_is_understood(chat, compat):
    turn = Turn(blocks=[Thought("hm, hm"), "Let me look.", Call("look", {"path": "ä"}), Call("look", {"path": "b"})]).like(**compat)
    model = chat.script(turn, Turn("Done.").like(**{k: v for k, v in compat.items() if k != "finish"}))
    b = chat.parent()
    b.handlers["look"] = lambda p: {"content": "rows of " + p["arguments"]["path"]}
    o = b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    assert retries(b, o["runId"]) == []
    assert sorted(m.params["arguments"]["path"] for m in b.invocations) == ["b", "ä"]
    first, second = completed(b, o["runId"])
    assert first["text"] == "Let me look." and streamed(b, o["runId"])[first["messageId"]] == "Let me look."
    seen = chat.views(model)[1]
    assert seen.roles == ["user", "assistant", "tool", "tool"]
    assert [m.text for m in seen.messages[2:]] == ["rows of ä", "rows of b"]
    assert [c[1] for c in seen.messages[1].calls] == [{"path": "ä"}, {"path": "b"}]
    if compat.get("reasoning"):
        assert streamed(b, o["runId"], "reasoning.delta")[first["messageId"]] == "hm, hm"
    u = o["usage"]
    if compat.get("usage") == "none":
        assert u["inputTokens"] == 0
    else:
        assert (u["inputTokens"], u["outputTokens"]) == (20, 10)


LOOSE_ITEMS = {
    "llama.cpp": {"index": "missing", "ids": "missing"}, "vLLM": {"ids": "changing"}, "no places": {"index": "missing"}, "place 0 for all": {"index": "zero"},
    "place 0 for all, no ids": {"index": "zero", "ids": "missing"}, "place 0 for all, ids that change": {"index": "zero", "ids": "changing"},
    "no places, ids that change": {"index": "missing", "ids": "changing"},
}


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
@pytest.mark.parametrize("compat", LOOSE_ITEMS.values(), ids=LOOSE_ITEMS)
def test_items_named_loosely_are_told_apart(responses, compat, listed):
    turn = Turn(blocks=["Let me look.", Call("look", {"path": "ä"}), Call("look", {"path": "b"}), Call("list", {"path": "c"})]).like(**compat, listed=listed)
    model = responses.script(turn, Turn("Done.").like(**compat, listed=listed))
    b = responses.parent()
    b.handlers["look"] = b.handlers["list"] = lambda p: {"content": "rows of " + p["arguments"]["path"]}
    o = b.succeeds(model, [tool("look", LOOK), tool("list", LOOK)], answer="Done.")
    assert retries(b, o["runId"]) == []
    assert sorted((m.params["name"], m.params["arguments"]["path"]) for m in b.invocations) == [("list", "c"), ("look", "b"), ("look", "ä")]
    first = completed(b, o["runId"])[0]
    assert first["text"] == "Let me look." and streamed(b, o["runId"])[first["messageId"]] == "Let me look."
    assert [m.text for m in responses.views(model)[1].of("tool")] == ["rows of ä", "rows of b", "rows of c"]


def test_a_call_whose_id_comes_twice_is_two_calls(chat):
    model = chat.script(Turn(calls=[("look", {"path": "a"}), ("look", {"path": "b"})]).like(ids="same", index="missing", whole=True), "Done.")
    b = chat.parent()
    b.handlers["look"] = {"content": "rows"}
    b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    assert sorted(m.params["arguments"]["path"] for m in b.invocations) == ["a", "b"]
    assert len(set(chat.views(model)[1].messages[1].ids)) == 2


def test_ids_of_two_turns_may_be_the_same(chat):
    """llama.cpp and others count from call_0 in every answer."""
    model = chat.script(Turn(calls=[Call("look", {"path": "a"}, "call_0")]), Turn(calls=[Call("look", {"path": "b"}, "call_0")]), "Done.")
    b = chat.parent()
    b.handlers["look"] = lambda p: {"content": "rows of " + p["arguments"]["path"]}
    b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    assert [m.text for m in chat.views(model)[2].of("tool")] == ["rows of a", "rows of b"]


def test_an_answer_that_its_server_broke_off_is_retried_and_its_call_not_made(chat):
    model = chat.script(Turn("I will", calls=[("look", {"path": "a"})]).like(finish="insufficient_system_resource"), Turn(calls=[("look", {"path": "b"})]),
                        Turn("Half").like(finish="error"), Turn("Done."))
    b = chat.parent()
    b.handlers["look"] = "rows"
    o = b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    assert [i.params["arguments"] for i in b.invokes("look")] == [{"path": "b"}]
    assert [r["reason"] for r in retries(b, o["runId"])] == [f"it broke the answer off (finish reason {word})" for word in ("insufficient_system_resource", "error")]


@pytest.mark.parametrize("arguments", ["", " ", "null", "{}"])
def test_arguments_that_are_nothing_are_empty_arguments(http, arguments):
    if http.kind == "anthropic" and arguments == "null":
        pytest.skip("Anthropic streams an object or nothing")
    model = http.script(Turn(calls=[Call("now", arguments)]), "Noon.")
    b = http.parent()
    b.handlers["now"] = {"content": "12:00"}
    b.succeeds(model, [tool("now")], answer="Noon.")
    assert [m.params["arguments"] for m in b.invocations] == [{}]


def test_no_key_is_needed_where_none_is_asked_for(chat):
    """A local server has no keys: the bridge either wants a key all the same, or sends none."""
    chat.server.key = None
    model = chat.script("fine")
    b = chat.bridge(env={"OPENAI_API_KEY": None})
    m = b.wait_response(b.start(model))
    if m.error is not None:
        assert m.error["data"]["kind"] == "model.missingKey"
    else:
        assert m.result["answer"] == "fine" and chat.asked(model)[0].header("authorization") is None


def test_a_finish_reason_nobody_knows_is_the_end(chat):
    model = chat.script(Turn("Fine.").like(finish="eos_token"))
    assert chat.bridge().succeeds(model, answer="Fine.")["stopReason"] == "end_turn"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "a BOM"])
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/plain"])
def test_a_server_that_does_not_stream_is_understood_whatever_it_calls_its_answer(chat, kind, mark):
    body = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Here."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
    model = chat.script(Raw(mark + body, kind))
    chat.bridge().succeeds(model, answer="Here.")
    refused = chat.script(Raw(mark + b'{"error":{"message":"no such model","code":"model_not_found"}}', kind))
    error = chat.bridge().run(refused)["error"]
    assert error["kind"] == "model.rejected" and "no such model" in error["message"]


def test_several_choices_are_not_mixed(chat):
    """Only the first choice counts; another server may send more."""
    extra = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":1,"delta":{"content":"OTHER"},"finish_reason":null}]}\n\n'
    model = chat.script(Turn("Here.").with_(insert=(2, extra)))
    assert chat.bridge().succeeds(model)["answer"] == "Here."


# ---------------------------------------------------------------- the grammar of the stream

WIRES = {
    "one byte at a time": {"piece": 1}, "seven bytes at a time": {"piece": 7}, "CRLF": {"crlf": True}, "CR": {"cr": True}, "CRLF, one byte at a time": {"crlf": True, "piece": 1},
    "a BOM": {"bom": True}, "a BOM, one byte at a time": {"bom": True, "piece": 1}, "comments": {"comments": True}, "fields": {"fields": True}, "comments and CRLF, three bytes": {"comments": True, "crlf": True, "piece": 3},
    "data over several lines": {"multiline": True}, "no space after the colon": {"tight": True}, "no event names": {"unnamed": True},
    "a ping without data": {"insert": (1, b"event: ping\ndata:\n\n")}, "words under a name of their own": {"insert": (1, b"event: keepalive\ndata: hello\n\n")},
    "a content length": {"length": True}, "a body that ends with the connection": {"close": True}, "all at once": {"piece": 1 << 20},
}


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
def test_the_stream_is_read_as_the_grammar_says(http, wire):
    text = "Grüße 🙂 — data: event: \"\\n\" end."
    turn = Turn(blocks=[[text], Call("look", {"path": "ä🙂\r\n"})])
    model = http.script(turn.with_(**wire), Turn("Done.").with_(**wire))
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    o = b.succeeds(model, [tool("look", LOOK)], answer="Done.", timeout=20)
    assert retries(b, o["runId"]) == []
    assert completed(b, o["runId"])[0]["text"] == text
    assert b.invocations[0].params["arguments"] == {"path": "ä🙂\r\n"}

"""The same agent and tools, unchanged, on all four providers: what is asked of the model, what comes of its answer."""
import json
import re
import threading
import time

import pytest

from harness import tool, until
from mock_models import Call, Thought, Turn, Usage, view
from mock_models.fixtures import claude, completed, http, llm, retries, streamed, thinking  # noqa: F401

LOOK = {"type": "object", "properties": {"path": {"type": "string"}, "depth": {"type": "number"}}, "required": ["path"]}
TEXT = "Grüße 🙂 — \"quoted\", back\\slash,\nnew line,\ttab, and \u2028 the end."


def test_a_text_answer_is_streamed_in_order(llm):
    model = llm.script(Turn(list(TEXT)))
    b = llm.bridge()
    o = b.succeeds(model, answer=TEXT, input="Say it.")
    assert o["stopReason"] == "end_turn" and o["usage"]["modelCalls"] == 1
    run = o["runId"]
    done = completed(b, run)
    assert [(d["text"], d["toolCalls"], d["stopReason"]) for d in done] == [(TEXT, [], "end_turn")]
    assert streamed(b, run) == {done[0]["messageId"]: TEXT}
    seen, = llm.views(model)
    assert seen.roles == ["user"] and seen.messages[0].parts == [("text", "Say it.")]
    assert seen.tools == {}


def test_instructions_are_the_system_prompt(llm):
    model = llm.script("fine")
    llm.bridge().succeeds(model, agent={"instructions": "Be \"brief\".\nAnd kind: ü."})
    assert llm.views(model)[0].system == "Be \"brief\".\nAnd kind: ü."


def test_no_instructions_are_no_system_prompt(llm):
    model = llm.script("fine")
    llm.bridge().succeeds(model)
    assert llm.views(model)[0].system == ""


def test_tools_are_shown_with_their_schemas(llm):
    schema = {"type": "object", "properties": {"n": {"type": "number", "default": 0.1, "enum": [1e2, 0.30]}, "a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": ["string", "null"]}},
              "additionalProperties": False}
    model = llm.script("fine")
    llm.parent().succeeds(model, tools=[tool("b_tool", schema), tool("a-tool", LOOK, description="looks \"there\"")])
    seen, = llm.views(model)
    assert seen.tools == {"b_tool": ("the tool b_tool", schema), "a-tool": ("looks \"there\"", LOOK)}
    assert list(seen.tools) == ["b_tool", "a-tool"]


def test_a_tool_is_called_in_the_parent(llm):
    model = llm.script(Turn("Let me look.", calls=[("look", {"path": "ä.csv", "depth": 0.5})]), "Three rows.")
    b = llm.parent()
    b.handlers["look"] = lambda p: {"content": f"rows of {p['arguments']['path']}: 3"}
    o = b.succeeds(model, [tool("look", LOOK)], answer="Three rows.", input="How many?")
    assert o["usage"]["modelCalls"] == 2 and o["usage"]["toolCalls"] == 1
    assert b.invocations[0].params["arguments"] == {"path": "ä.csv", "depth": 0.5}
    seen = llm.views(model)[1]
    assert seen.roles == ["user", "assistant", "tool"]
    assert seen.messages[1].text == "Let me look."
    assert seen.messages[1].calls == [("look", {"path": "ä.csv", "depth": 0.5})]
    assert seen.messages[2].ids == seen.messages[1].ids
    assert seen.messages[2].text == "rows of ä.csv: 3" and not seen.messages[2].error
    first, second = completed(b, o["runId"])
    assert first["text"] == "Let me look."
    assert [(c["name"], c["arguments"]) for c in first["toolCalls"]] == [("look", {"path": "ä.csv", "depth": 0.5})]
    assert streamed(b, o["runId"]) == {first["messageId"]: "Let me look.", second["messageId"]: "Three rows."}


def test_a_paused_call_is_answered_in_another_process(llm):
    model = llm.script(Turn(calls=[("look", {"path": "a"})]), "Done.")
    a = llm.bridge()
    o = a.run(model, [tool("look", LOOK)], delivery="pause")
    assert o["status"] == "waiting_client_tool"
    call = o["pendingToolCalls"][0]
    a.kill9()
    b = llm.bridge()
    o = b.submit(o["runId"], {call["callId"]: "rows: 3"})
    assert (o["status"], o["answer"]) == ("success", "Done.")
    seen = llm.views(model)[1]
    assert seen.roles == ["user", "assistant", "tool"] and seen.messages[2].text == "rows: 3"


@pytest.mark.parametrize("after", [0, 0.0003, 0.0006, 0.001, 0.002, 0.004])
def test_a_kill_while_the_next_turn_is_prepared_neither_loses_nor_doubles_the_result(llm, after):
    """The request is made while the result is being written: whatever of the two was done, another process asks the model with one result."""
    model = llm.script(Turn(calls=[("look", {"path": "a"})]), *["Done."] * 3)
    a = llm.bridge()
    o = a.run(model, [tool("look", LOOK)], delivery="pause")
    call = o["pendingToolCalls"][0]["callId"]
    a.request("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": call, "content": "rows: 3"}]})
    time.sleep(after)
    a.kill9()
    b = llm.bridge()
    if b.get(o["runId"])["pendingToolCalls"]:
        o = b.submit(o["runId"], {call: "rows: 3"})
    else:
        o = b.call("run.resume", {"runId": o["runId"]}) if not b.get(o["runId"])["ended"] else b.get(o["runId"])
    assert (o["status"], o["answer"]) == ("success", "Done.")
    assert len(b.log_of(o["runId"], "tool.completed")) == 1
    for seen in llm.views(model)[1:]:
        assert seen.roles == ["user", "assistant", "tool"] and seen.messages[2].text == "rows: 3"


def test_what_another_process_adds_while_a_turn_is_prepared_is_shown_once_and_in_its_place(llm):
    """Its appends have those that the turns were prepared for refused: each request still goes on from the one before it, and the last has all."""
    turns, notes = 12, [f"note {n}" for n in range(40)]
    # A note that comes while the model ends is answered too.
    model = llm.script(*[Turn(calls=[("look", {"path": f"p{n}"})]) for n in range(turns)], *["Done."] * len(notes))
    a, b = llm.parent(), llm.bridge()
    begun = threading.Event()

    def handle(p):
        begun.set()
        time.sleep(0.005)
        return {"content": "of " + p["arguments"]["path"]}
    a.handlers["look"] = handle
    r = a.start(model, [tool("look", LOOK)])
    run = a.start_id(r)
    assert begun.wait(10)
    given = [text for text in notes if b.wait_response(b.request("run.addNote", {"runId": run, "text": text})).error is None]
    assert a.result(r)["status"] == "success"
    shown = [[m.text for m in seen.messages] for seen in llm.views(model)]
    for before, after in zip(shown, shown[1:]):
        assert after[:len(before)] == before or after[:len(before) - 1] == before[:-1] and after[len(before) - 1].startswith(before[-1])
    whole = "\n".join(shown[-1])
    assert re.findall(r"of p(\d+)", whole) == [str(n) for n in range(turns)]
    told = re.findall(r"note (\d+)", whole)
    assert told and told == [str(n) for n in range(len(told))]
    assert [d["text"] for d in b.log_of(run, "note.added")] == given == notes[:len(given)]


def test_parallel_calls_are_answered_in_their_order(llm):
    model = llm.script(Turn(calls=[("look", {"path": p}) for p in "abcd"]), "Done.")
    b = llm.parent()
    gate = {p: threading.Event() for p in "abcd"}

    def handle(p):
        path = p["arguments"]["path"]
        gate[path].wait(10)
        return {"content": f"of {path}", "isError": path == "c"}
    b.handlers["look"] = handle
    r = b.start(model, [tool("look", LOOK)])
    until(lambda: len(b.invocations) == 4, "four calls at once")
    for p in "dbca":
        gate[p].set()
    assert b.result(r)["answer"] == "Done."
    seen = llm.views(model)[1]
    assert seen.roles == ["user", "assistant", "tool", "tool", "tool", "tool"]
    assert [c[1]["path"] for c in seen.messages[1].calls] == list("abcd")
    assert [m.text[-1] for m in seen.messages[2:]] == list("abcd")
    assert [m.ids[0] for m in seen.messages[2:]] == seen.messages[1].ids
    assert len(set(seen.messages[1].ids)) == 4
    if seen.messages[4].error is not None:
        assert [m.error for m in seen.messages[2:]] == [False, False, True, False]


def test_a_call_without_arguments_has_empty_arguments(llm):
    model = llm.script(Turn(calls=[Call("now")]), "Noon.")
    b = llm.parent()
    b.handlers["now"] = {"content": "12:00"}
    b.succeeds(model, [tool("now")], answer="Noon.")
    assert b.invocations[0].params["arguments"] == {}
    assert llm.views(model)[1].messages[1].calls == [("now", {})]


def test_arguments_travel_exactly(llm):
    args = {"z": "ü\u0000\u001f\"\\/", "deep": [[{"a": None}], True, -0.5], "z2": "", "n": 12345678901234567}
    model = llm.script(Turn(calls=[("look", args)]), "Done.")
    b = llm.parent()
    b.handlers["look"] = {"content": "ok"}
    b.succeeds(model, [tool("look")], answer="Done.")
    assert b.invocations[0].params["arguments"] == args
    assert llm.views(model)[1].messages[1].calls == [("look", args)]


def test_numbers_of_arguments_keep_their_digits(http):
    text = '{"a":0.1,"b":18446744073709551615,"c":1.10,"d":1e400,"e":-0.0}'
    model = http.script(Turn(calls=[("look", text)]), "Done.")
    b = http.parent()
    b.handlers["look"] = {"content": "ok"}
    b.succeeds(model, [tool("look")], answer="Done.")
    assert b.invocations[0].raw_at("params", "arguments") == text
    body = http.asked(model)[1].body
    assert text.encode() in body or json.dumps(text).encode() in body


@pytest.mark.parametrize("text", ['{"path": "a', "nonsense", "[1]", '"x"', '{"path":"a","path":"b"}'], ids=["cut", "words", "list", "string", "duplicate"])
def test_arguments_that_are_no_object_are_an_error_for_the_model(http, text):
    model = http.script(Turn("Hm.", calls=[Call("look", text), ("look", {"path": "good"})]), "Sorry.")
    b = http.parent()
    b.handlers["look"] = {"content": "fine"}
    b.succeeds(model, [tool("look", LOOK)], answer="Sorry.")
    assert [m.params["arguments"] for m in b.invocations] == [{"path": "good"}]
    seen = http.views(model)[1]
    assert seen.roles == ["user", "assistant", "tool", "tool"]
    assert seen.messages[2].error in (True, None) and seen.messages[2].text and seen.messages[3].text == "fine"


def test_arguments_against_the_schema_and_unknown_tools_are_errors_for_the_model(llm):
    model = llm.script(Turn(calls=[("look", {"depth": "x"}), ("other", {})]), "Sorry.")
    b = llm.parent()
    b.succeeds(model, [tool("look", LOOK)], answer="Sorry.")
    assert b.invokes() == []
    seen = llm.views(model)[1]
    assert seen.roles == ["user", "assistant", "tool", "tool"]
    assert all(m.error in (True, None) and m.text for m in seen.messages[2:])
    assert "other" in seen.messages[3].text


def test_many_turns_go_over_one_connection(http):
    n = 12
    model = http.script(*[Turn(f"turn {i}", calls=[("look", {"path": str(i)})]) for i in range(n)], "Done.")
    b = http.parent()
    b.handlers["look"] = lambda p: {"content": "rows " + p["arguments"]["path"]}
    b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    asked = http.asked(model)
    assert len(asked) == n + 1
    assert len({r.connection for r in asked}) == 1
    views = http.views(model)
    for i, seen in enumerate(views):
        assert len(seen.messages) == 1 + 2 * i
    for before, after in zip(views, views[1:]):
        assert after.messages[:len(before.messages)] == before.messages


def test_what_was_sent_is_sent_the_same_again(http):
    """A provider's cache serves a prefix only if its bytes are the same: marks aside, each request begins as the one before."""
    model = http.script(*[Turn(f"turn {i}", calls=[("look", {"path": str(i), "depth": i / 7})]) for i in range(6)], "Done.")
    b = http.parent()
    b.handlers["look"] = {"content": [{"type": "text", "text": "a"}, {"type": "json", "value": {"b": [1.50]}}]}
    b.succeeds(model, [tool("look", LOOK)], agent={"instructions": "Be brief."})

    def prefix(body):
        items = body.get("messages") or body["input"]
        text = [json.dumps(unmark(m)) for m in items]
        head = {k: v for k, v in body.items() if k not in ("messages", "input")}
        return json.dumps(unmark(head)), text

    def unmark(v):
        if isinstance(v, dict):
            return {k: unmark(x) for k, x in v.items() if k != "cache_control"}
        return [unmark(x) for x in v] if isinstance(v, list) else v
    seen = [prefix(r.json) for r in http.asked(model)]
    for (head, items), (next_head, next_items) in zip(seen, seen[1:]):
        assert head == next_head and next_items[:len(items)] == items


@pytest.mark.parametrize("given,shown", [
    ([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], [("user", "onetwo")]),
    ([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": [{"type": "text", "text": "go"}]}],
     [("user", "hello"), ("assistant", "yes?"), ("user", "go")]),
], ids=["blocks", "messages"])
def test_input_may_be_blocks_or_messages(llm, given, shown):
    model = llm.script("fine")
    llm.bridge().succeeds(model, input=given)
    seen, = llm.views(model)
    assert [(m.role, m.text) for m in seen.messages] == shown


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_an_image_in_the_input_reaches_the_model(llm):
    model = llm.script("a dot")
    llm.bridge().succeeds(model, input=[{"type": "text", "text": "What is it?"}, {"type": "image", "data": PNG, "mimeType": "image/png"}])
    seen, = llm.views(model)
    assert seen.messages[-1].parts == [("text", "What is it?"), ("image", "image/png", PNG)]


def test_a_note_is_seen_at_the_next_turn(llm):
    model = llm.script(Turn(calls=[("look", {"path": "a"})]), "Done.")
    b = llm.parent()

    def look(p):
        b.call("run.addNote", {"runId": p["runId"], "text": "Hurry up."})
        return {"content": "rows"}
    b.handlers["look"] = look
    b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    seen = llm.views(model)[1]
    assert any("Hurry up." in m.text for m in seen.of("user")), seen.messages
    assert seen.messages[2].role == "tool" and seen.messages[2].text == "rows"


def test_usage_is_counted_over_turns(http):
    model = http.script(Turn(calls=[("look", {"path": "a"})], usage=Usage(fresh=100, output=20, cache_write=50)),
                        Turn("Done.", usage=Usage(fresh=7, output=3, cache_read=150, cache_write=0)))
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    o = b.succeeds(model, [tool("look", LOOK)])
    u = o["usage"]
    assert (u["inputTokens"], u["outputTokens"], u["cacheReadTokens"], u["modelCalls"], u["toolCalls"]) == (307, 23, 150, 2, 1)
    assert u["cacheWriteTokens"] == 50
    each = [d["usage"] for d in completed(b, o["runId"])]
    assert [(x["inputTokens"], x["outputTokens"], x["cacheReadTokens"]) for x in each] == [(150, 20, 0), (157, 3, 150)]


def test_a_token_limit_is_judged_on_what_the_provider_says(http):
    model = http.script(Turn(calls=[("look", {"path": "a"})], usage=Usage(fresh=900, output=200)), "never")
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    o = b.run(model, [tool("look", LOOK)], limits={"maxTotalTokens": 1000})
    assert (o["status"], o["error"]["kind"]) == ("error", "run.limitExceeded")


# ---------------------------------------------------------------- ends of a turn

def test_an_answer_cut_off_by_max_tokens_says_so(llm):
    model = llm.script(Turn("Once upon", stop="max_tokens"))
    o = llm.bridge().succeeds(model, answer="Once upon")
    assert o["stopReason"] == "max_tokens"


def test_a_call_cut_off_by_max_tokens_is_an_error_for_the_model(http):
    model = http.script(Turn("I call", calls=[Call("look", '{"path": "very lo')], stop="max_tokens"), "Shorter now.")
    b = http.parent()
    b.succeeds(model, [tool("look", LOOK)], answer="Shorter now.")
    assert b.invokes() == []
    seen = http.views(model)[1]
    assert seen.roles == ["user", "assistant", "tool"] and seen.messages[2].text


def test_of_several_calls_only_the_one_cut_off_is_an_error(http):
    model = http.script(Turn(calls=[("look", {"path": "a"}), Call("look", '{"path": "b')], stop="max_tokens"), "Done.")
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    seen = http.views(model)[1]
    assert seen.roles == ["user", "assistant", "tool", "tool"]
    assert "b" not in [m.params["arguments"]["path"] for m in b.invocations]


def test_a_refusal_is_an_answer_that_says_so(http):
    refusal = Turn("I will", stop="refusal") if http.kind == "anthropic" else Turn(refusal="I will not do that.")
    model = http.script(refusal)
    o = http.bridge().succeeds(model)
    assert o["stopReason"] == "refusal"
    assert "I will" in o["answer"]


def test_a_filtered_answer_is_a_refusal(http):
    model = http.script(Turn("Some words", stop="filter"))
    o = http.bridge().succeeds(model)
    assert o["stopReason"] == "refusal"


def test_a_full_context_ends_the_answer_like_max_tokens(claude):
    model = claude.script(Turn("Some words", stop="context"))
    o = claude.bridge().succeeds(model, answer="Some words")
    assert o["stopReason"] == "max_tokens"


def test_an_unknown_kind_of_event_is_passed_over(http):
    model = http.script(Turn("Fine.", calls=[("look", {"path": "a"})]).with_(unknown=True), Turn("Done.").with_(unknown=True))
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    o = b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    assert retries(b, o["runId"]) == []


# ---------------------------------------------------------------- reasoning

THINK = [Thought("First I look\nat ü."), Thought(redacted=True)]


def test_reasoning_goes_back_unchanged_before_its_calls(thinking):
    model = thinking.script(Turn(blocks=[*THINK, "I look.", Call("look", {"path": "a"})]), Turn(blocks=[Thought("Now I know."), Call("look", {"path": "b"})]), "Done.")
    b = thinking.parent()
    b.handlers["look"] = {"content": "rows"}
    o = b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    asked = thinking.asked(model)
    issued = [r.issued for r in asked]
    last = view(thinking.kind, asked[2].json)
    for turn, said in zip(issued, last.of("assistant")):
        assert said.thoughts == [x for x in turn if "hink" in x["type"] or x["type"] == "reasoning"]
    shown = streamed(b, o["runId"], "reasoning.delta")
    done = completed(b, o["runId"])
    assert shown == {done[0]["messageId"]: "First I look\nat ü.", done[1]["messageId"]: "Now I know."}
    assert streamed(b, o["runId"]).get(done[0]["messageId"]) == "I look."


def test_reasoning_survives_kill_9_between_turns(thinking):
    model = thinking.script(Turn(blocks=[*THINK, Call("look", {"path": "a"})]), Turn(blocks=[Thought("Again."), Call("look", {"path": "b"})]), "Done.")
    a = thinking.bridge()
    o = a.run(model, [tool("look", LOOK)], delivery="pause")
    a.kill9()
    for text in ("rows a", "rows b"):
        b = thinking.bridge()
        o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: text})
        if not o["ended"]:
            b.kill9()
    assert o["answer"] == "Done."
    asked = thinking.asked(model)
    last = view(thinking.kind, asked[2].json)
    for r, said in zip(asked, last.of("assistant")):
        assert said.thoughts == [x for x in r.issued if "hink" in x["type"] or x["type"] == "reasoning"] != []


def test_reasoning_between_calls_keeps_its_place(thinking):
    model = thinking.script(Turn(blocks=[Thought("one"), Call("look", {"path": "a"}), Thought("two"), Call("look", {"path": "b"})]), "Done.")
    b = thinking.parent()
    b.handlers["look"] = {"content": "rows"}
    b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    first, second = thinking.asked(model)
    order = [x["type"] for x in first.issued]
    if thinking.kind == "anthropic":
        sent = [x["type"] for x in second.json["messages"][1]["content"]]
    else:
        sent = [x.get("type") for x in second.json["input"] if x.get("type") in ("reasoning", "function_call")]
    assert sent == order


def test_an_answer_with_reasoning_only_is_no_answer_but_no_crash(thinking):
    model = thinking.script(Turn(blocks=[Thought("Only thoughts.")]), *["Well."] * 6)
    b = thinking.bridge()
    o = b.run(model, timeout=30)
    assert o["status"] in ("success", "error", "paused"), o


# ---------------------------------------------------------------- what an agent sets

def test_limits_of_an_answer_and_temperature_reach_the_request(llm):
    model = llm.script("fine")
    llm.bridge().succeeds(model, agent={"temperature": 0.25, "maxOutputTokens": 1234})
    body = llm.asked(model)[0].json
    limit = {"anthropic": ["max_tokens"], "openai": ["max_completion_tokens", "max_tokens"], "openai-responses": ["max_output_tokens"], "parent": ["maxTokens"]}[llm.kind]
    assert [body[k] for k in limit if k in body] == [1234]
    assert body["temperature"] == 0.25


def test_what_is_not_set_is_not_sent(http):
    model = http.script("fine")
    http.bridge().succeeds(model)
    body = http.asked(model)[0].json
    assert "temperature" not in body and "tools" not in body and "tool_choice" not in body
    if http.kind != "anthropic":
        assert not {"max_tokens", "max_completion_tokens", "max_output_tokens"} & set(body)
    assert body["stream"] is True and body["model"] == model.split(":")[1]


def test_provider_options_are_members_of_the_request(http):
    options = {"anthropic": '{"metadata":{"user_id":"u-1"},"top_k":40,"stop_sequences":["END"]}', "openai": '{"seed":7,"top_p":0.90,"user":"u-1"}',
               "openai-responses": '{"top_p":0.90,"store":false,"metadata":{"a":"b"},"prompt_cache_key":"k"}'}[http.kind]
    model = http.script("fine")
    http.bridge().succeeds(model, agent={"providerOptions": json.loads(options)})
    body = http.asked(model)[0].json
    for k, v in json.loads(options).items():
        assert body[k] == v, k


def test_provider_options_win_over_what_the_bridge_would_say(http):
    """Otherwise one member would stand twice in the request, which a server may read either way."""
    member = {"anthropic": "max_tokens", "openai": "max_completion_tokens", "openai-responses": "max_output_tokens"}[http.kind]
    model = http.script("fine")
    http.bridge().succeeds(model, agent={"maxOutputTokens": 500, "providerOptions": {member: 600}})
    body = http.asked(model)[0].body
    assert body.count(f'"{member}"'.encode()) == 1
    assert http.asked(model)[0].json[member] == 600


def test_reasoning_reaches_the_request(http):
    given, member, value = {
        "anthropic": ({"type": "enabled", "budget_tokens": 2048}, "thinking", {"type": "enabled", "budget_tokens": 2048}),
        "openai": ("high", "reasoning_effort", "high"),
        "openai-responses": ({"effort": "high", "summary": "auto"}, "reasoning", {"effort": "high", "summary": "auto"}),
    }[http.kind]
    model = http.script("fine")
    http.bridge().succeeds(model, agent={"reasoning": given, "maxOutputTokens": 4096})
    assert http.asked(model)[0].json[member] == value


def test_reasoning_may_be_a_word_on_every_provider(http):
    model = http.script("fine")
    http.bridge().succeeds(model, agent={"reasoning": "high"})
    body = http.asked(model)[0].json
    assert "high" in json.dumps({k: v for k, v in body.items() if k in ("thinking", "output_config", "reasoning_effort", "reasoning")}) or "thinking" in body, body


def test_an_output_schema_is_met_or_the_run_says_not(http):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    model = http.script('{"n": 3}')
    o = http.bridge().run(model, outputSchema=schema)
    assert o["structuredAnswer"] == {"n": 3}
    assert json.loads(http.views(model)[0].system.split("\n", 1)[1]) == schema, "the model is told what it has to fit"

"""Servers that mean no good, or are broken in ways of their own, and loads that a bridge must bear."""
import base64
import copy
import json
import os
import random
import re
import time

import pytest

from harness import tool, until
from mock_models import Call, Raw, Silence, Status, Thought, Turn, view
from mock_models.fixtures import claude, completed, http, llm, retries, streamed  # noqa: F401

LOOK = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
GOOD = Turn(blocks=[Thought("hm"), "I look.", Call("look", {"path": "a"}), Call("look", {"path": "b"})])


# ---------------------------------------------------------------- the HTTP around it

HTTPS = {"early hints": {"hints": True}, "trailers": {"trailers": True}, "both, one byte at a time": {"hints": True, "trailers": True, "piece": 1}}


@pytest.mark.parametrize("wire", HTTPS.values(), ids=HTTPS)
def test_heads_before_and_after_the_head_do_not_count(http, wire):
    model = http.script(Turn("Here.").with_(**wire), Turn("And here.").with_(**wire))
    b = http.bridge()
    for text in ("Here.", "And here."):
        o = b.succeeds(model, answer=text)
        assert retries(b, o["runId"]) == []


def test_a_kept_connection_that_is_gone_costs_no_answer(http):
    n = 6
    model = http.script(*[Turn(calls=[("look", {"path": str(i)})]).with_(hangup=True) for i in range(n)], "Done.")
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    o = b.succeeds(model, [tool("look", LOOK)], answer="Done.")
    assert len(http.asked(model)) == n + 1
    assert o["usage"]["modelCalls"] == n + 1


def test_a_large_request_does_not_wait_for_a_hundred_continue(http):
    """A server that ignores `Expect: 100-continue` costs a second for every large request."""
    model = http.script(Turn(calls=[("look", {"path": "a"})]), "Done.")
    b = http.parent()
    b.handlers["look"] = {"content": "x" * 900_000}
    b.succeeds(model, [tool("look", LOOK, maxResultBytes=2_000_000)], answer="Done.", input="y" * 3_000_000)
    assert [r.header("expect") for r in http.asked(model)] == [None, None]
    assert len(http.asked(model)[1].body) > 3_900_000


def test_a_refusal_before_the_body_was_read_has_its_words(http):
    http.server.early = Status(413, "far too large, says the gateway")
    b = http.bridge()
    o = b.run(f"{http.kind}:m", input="y" * 8_000_000, timeout=30, limits={"onModelUnavailable": "error"})
    assert o["status"] == "error"
    kind = "model.contextOverflow" if http.kind == "anthropic" else "model.rejected"  # its 413 is a request_too_large
    assert (o["error"]["kind"], "far too large" in o["error"]["message"]) == (kind, True), o


def test_connections_and_descriptors_are_not_leaked(http):
    b = http.bridge()
    b.succeeds(http.script("warm"))

    def descriptors():
        return len(os.listdir(f"/proc/{b.pid}/fd"))
    before = descriptors()
    for i in range(40):
        b.succeeds(http.script("Here."), answer="Here.")
    # A run may begin between the last word of an answer and the end of its bytes, which finds the first connection busy.
    assert http.server.connections <= 2
    for i in range(20):
        r = b.start(http.script(Silence()))
        http.server.wait_requests(42 + i)
        b.call("run.cancel", {"runId": b.start_id(r)})
        b.result(r)
    until(lambda: descriptors() <= before + 3, f"the descriptors to be closed again: {before}, {descriptors()}")


def test_a_hundred_streams_end_at_once_when_the_client_hangs_up(http):
    b = http.bridge()
    text = Turn(["one", "two", "three"])
    for i in range(100):
        b.start(http.script(text.with_(stall=b"two")))
    asked = http.server.wait_requests(100, timeout=30)
    for r in asked:
        assert r.held.wait(10)
    before = time.monotonic()
    assert b.hang_up() == 0
    assert time.monotonic() - before < 3
    for r in asked:
        assert r.left.wait(5)


def test_a_hundred_runs_stream_at_once(http):
    b = http.bridge()
    pieces = [f"{i} ü🙂 " for i in range(50)]
    going = [b.start(http.script(Turn(pieces))) for _ in range(100)]
    for r in going:
        o = b.result(r, timeout=60)
        assert o["answer"] == "".join(pieces)
        assert list(streamed(b, o["runId"]).values()) == ["".join(pieces)]


def test_a_parent_that_reads_late_gets_the_whole_answer(http):
    """Deltas that it has no room for are joined, and left out once the message that has them all is there."""
    pieces = [f"{i}: ü🙂 and more of it\n" for i in range(20_000)]
    model = http.script(Turn(pieces))
    b = http.bridge()
    b.pause_reading()
    r = b.start(model)
    asked = http.server.wait_requests(1, timeout=20)[0]
    assert asked.answered.wait(60), "the model's stream waits for the parent"
    b.resume_reading()
    o = b.result(r, timeout=60)
    text = "".join(pieces)
    assert (b.whole(o["answer"]) if isinstance(o["answer"], dict) else o["answer"]) == text
    assert all(text.startswith(shown) for shown in streamed(b, o["runId"]).values())


def test_large_arguments_in_many_fragments_are_not_slow(http):
    text = json.dumps({"path": "a" * 2_000_000})
    model = http.script(Turn(calls=[Call("look", text)]).with_(piece=1 << 16, fragments=50_000), "Done.")
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    b.auto_replay = False
    before = time.monotonic()
    b.succeeds(model, [tool("look", LOOK)], answer="Done.", timeout=120)
    assert time.monotonic() - before < 30
    assert b.whole(b.invocations[0].params["arguments"])["path"] == "a" * 2_000_000


# ---------------------------------------------------------------- what the events say

NASTY = [None, -1, 10**12, 2**63, 1.5, 1e308, True, "", "x", "\u0000", [], {}, [None], {"type": "x"}]


def events_of(llm, turn):
    """The events of an answer as (name, value), as the mock would send them."""
    out = []
    for part in llm.server.preview(llm.kind, turn).decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in part.split("\n") if ": " in line)
        if "data" in lines:
            out.append((lines.get("event"), json.loads(lines["data"]) if lines["data"] != "[DONE]" else "[DONE]"))
    return out


def leaves(value, path=()):
    yield path
    for k, v in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(v, (*path, k))


def change(value, path, new):
    if not path:
        return new
    value = copy.copy(value)
    if new is Ellipsis and len(path) == 1:
        del value[path[0]]
    else:
        value[path[0]] = change(value[path[0]], path[1:], new)
    return value


def mutants(llm):
    """Every value of every event, in turn, missing or of another kind; and every event missing, twice, or out of order."""
    events = events_of(llm, GOOD)

    def body(es):
        return b"".join((f"event: {n}\n" if n else "").encode() + b"data: " + (d if isinstance(d, str) else json.dumps(d)).encode() + b"\n\n" for n, d in es)
    for n, (name, data) in enumerate(events):
        yield f"event {n} missing", body(events[:n] + events[n + 1:])
        yield f"event {n} twice", body(events[:n + 1] + events[n:])
        yield f"event {n} first", body([events[n]] + events[:n] + events[n + 1:])
        if isinstance(data, str):
            continue
        for path in leaves(data):
            for new in [*NASTY, *([...] if path else [])]:
                yield f"event {n} {'/'.join(map(str, path))} = {new!r}", body(events[:n] + [(name, change(data, path, new))] + events[n + 1:])


# A mutant's seals are none that the mock gave out, and its script ends somewhere.
UNKNOWN = ("nothing is scripted", "Invalid `signature`", "could not be verified", "cannot be modified", "not persisted", ".summary", "].id'")


def endure(llm, bodies, at_once=40):
    """Each of the answers is given once; then the server behaves. Every run settles, and the bridge lives."""
    b = llm.parent(validate=False)
    b.auto_replay = False
    b.handlers["look"] = {"content": "rows"}
    llm.server.problems_expected = True
    for at in range(0, len(bodies), at_once):
        going = []
        for what, body in bodies[at:at + at_once]:
            model = llm.script(Raw(body), *["Done."] * 3)
            going.append((what, model, b.start(model, [tool("look", LOOK)], limits={"maxIterations": 8})))
        for what, model, r in going:
            try:
                o = b.result(r, timeout=60)
            except AssertionError as e:
                raise AssertionError(f"{what}: {e}") from None
            assert o["ended"] or o["status"] == "paused", (what, o)
            assert o["status"] in ("success", "error", "paused"), (what, o)
            bad = [x.problem for x in llm.asked(model) if x.problem and not any(w in x.problem for w in UNKNOWN)]
            assert not bad, f"{what}: the next request was not legal: {bad}"
    b.ping()


def test_events_that_say_nonsense_do_no_harm(http):
    """A sample of the mutants; --long takes all of them."""
    all_of_them = list(mutants(http))
    endure(http, random.Random(7).sample(all_of_them, 240))


@pytest.mark.long
def test_every_nonsense_in_every_event_does_no_harm(http):
    endure(http, list(mutants(http)))


def test_json_that_is_a_bomb_does_no_harm(http):
    deep = b"[" * 300_000
    name = {"anthropic": b"event: message_start\n", "openai": b"", "openai-responses": b"event: response.created\n"}[http.kind]
    bodies = [("deep", name + b"data: " + deep + b"\n\n"), ("deep objects", name + b"data: " + b'{"a":' * 300_000 + b"1" + b"}" * 300_000 + b"\n\n"),
              ("a long number", name + b'data: {"type":"message_start","usage":' + b"9" * 1_000_000 + b"}\n\n"), ("many members", name + b"data: {" + b",".join(b'"%d":1' % i for i in range(200_000)) + b"}\n\n"),
              ("many lines", b"data: x\n" * 400_000 + b"\n"), ("blank lines", b"\n" * 2_000_000), ("colons", b":\n" * 1_000_000), ("fields", b"x\n" * 1_000_000), ("nothing but CR", b"\r" * 1_000_000),
              ("a NUL", name + b"data: \x00\n\n"), ("duplicate keys", name + b'data: {"type":"a","type":"b","choices":[],"choices":[]}\n\n')]
    endure(http, bodies)


def test_deep_arguments_of_a_call_do_no_harm(http):
    text = '{"path":' + "[" * 5_000 + "]" * 5_000 + "}"
    model = http.script(Turn(calls=[Call("look", text)]), "Sorry.")
    b = http.parent(validate=False)
    b.handlers["look"] = {"content": "rows"}
    b.auto_replay = False
    b.succeeds(model, [tool("look")], answer="Sorry.")
    b.ping()


@pytest.mark.parametrize("usage", ['{"input_tokens":-5,"output_tokens":-5,"prompt_tokens":-5,"completion_tokens":-5}', '{"input_tokens":1e30,"output_tokens":9223372036854775807,"prompt_tokens":9223372036854775807,"completion_tokens":9223372036854775807}',
                                   '{"input_tokens":"7","output_tokens":null,"prompt_tokens":"7","completion_tokens":[]}', "null", "[]", '"x"'],
                         ids=["negative", "huge", "of other kinds", "null", "a list", "a string"])
def test_usage_that_is_nonsense_does_no_harm(http, usage):
    """Twice, so that sums overflow where they can."""
    steps = []
    for turn in (Turn(calls=[("look", {"path": "a"})]), Turn("Done.")):
        body = http.server.preview(http.kind, turn).decode()
        body = re.sub(r'"usage":\{(?:[^{}]|\{[^{}]*\})*\}', lambda m: '"usage":' + usage, body)
        assert usage in body
        steps.append(Raw(body.encode()))
    http.server.problems_expected = True
    model = http.script(*steps, *["Done."] * 5)
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    o = b.run(model, [tool("look", LOOK)], timeout=30)
    assert o["status"] in ("success", "paused", "error")
    assert all(v >= 0 for v in o["usage"].values())


def test_names_of_calls_that_are_no_names(http):
    odd = ["", "a b", "x" * 200, "look\n", "../look", "ü", "look;rm"]
    model = http.script(Turn(calls=[Call(n, {}) for n in odd]), "Sorry.")
    b = http.parent()
    o = b.succeeds(model, [tool("look")], answer="Sorry.")
    assert b.invokes() == []
    assert len(completed(b, o["runId"])[0]["toolCalls"]) == len(odd)
    seen = http.views(model)[1]
    assert [m.role for m in seen.messages[2:]] == ["tool"] * len(odd)


def test_ids_of_calls_that_are_no_ids(http):
    """What a provider gave as an id, it takes back; what another would refuse is not sent to it in its own words."""
    model = http.script(Turn(calls=[Call("look", {"path": "a"}, id="x" * 500), Call("look", {"path": "b"}, id="a:b/c d")]), "Done.")
    http.server.problems_expected = http.kind == "anthropic"
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    o = b.run(model, [tool("look", LOOK)], timeout=30)
    assert o["status"] in ("success", "error")


def test_five_hundred_calls_in_one_answer(http):
    model = http.script(Turn(calls=[Call("look", {"path": str(i)}) for i in range(500)]), "Done.")
    b = http.parent(validate=False)
    b.handlers["look"] = lambda p: {"content": p["arguments"]["path"]}
    b.succeeds(model, [tool("look", LOOK)], answer="Done.", timeout=60)
    assert [m.text for m in http.views(model)[1].of("tool")] == [str(i) for i in range(500)]


# ---------------------------------------------------------------- what an agent may ask that is hard to give

def test_reasoning_with_a_small_limit_is_still_a_legal_request(http):
    model = http.script("fine")
    o = http.bridge().run(model, agent={"reasoning": "high", "maxOutputTokens": 500})
    assert o["status"] == "success", o["error"]


@pytest.mark.parametrize("word", ["none", "minimal", "low", "medium", "high"])
def test_the_words_for_reasoning_are_legal(http, word):
    model = http.script("fine")
    o = http.bridge().run(model, agent={"reasoning": word})
    assert o["status"] == "success", o["error"]


@pytest.mark.parametrize("options", [{"stream": False}, {"messages": [], "input": []}, {"model": "other"}, {"tools": []}, {"": 1}])
def test_provider_options_that_take_the_request_apart_do_no_harm(http, options):
    http.server.problems_expected = True
    http.script("fine", name="other")
    model = http.script(*["fine"] * 6)
    b = http.bridge()
    m = b.wait_response(b.start(model, agent={"providerOptions": options}), timeout=30)
    assert m.error is not None or m.result["ended"] or m.result["status"] == "paused"
    assert not any(r.twice for r in http.server.requests)
    b.ping()


def test_a_schema_without_a_type_is_made_legal_or_refused_at_the_start(http):
    http.server.problems_expected = True
    model = http.script("fine")
    b = http.parent()
    m = b.wait_response(b.start(model, [{"name": "look", "description": "looks", "inputSchema": {"properties": {"a": {"type": "string"}}}}]))
    assert m.error is not None or m.result["status"] == "success", m.result


def test_a_tool_without_a_description(llm):
    model = llm.script("fine")
    llm.parent().succeeds(model, [{"name": "look", "description": "", "inputSchema": {"type": "object"}}])


def test_empty_instructions_are_legal(llm):
    model = llm.script("fine")
    llm.bridge().succeeds(model, agent={"instructions": ""})


@pytest.mark.parametrize("text", ["", " ", "\n", "\u00a0\v", "\u2003\x1f"])
def test_a_blank_input_is_refused_or_legal(http, text):
    """Anthropic refuses blank text; a bridge may say so before, or say it in other words."""
    http.server.problems_expected = True
    model = http.script("fine")
    b = http.bridge()
    m = b.wait_response(b.start(model, input=text))
    assert m.error is not None or m.result["ended"], m.obj


def test_a_blank_answer_beside_calls_is_not_sent_back_as_blank_text(claude):
    """Models say such things; the service refuses them in a request."""
    model = claude.script(Turn(blocks=["\n\n", Call("look", {"path": "a"})]), Turn(blocks=["", Call("look", {"path": "b"})]), "Done.")
    b = claude.parent()
    b.handlers["look"] = {"content": "rows"}
    b.succeeds(model, [tool("look", LOOK)], answer="Done.")


@pytest.mark.parametrize("blank", ["\v", "\x1f", "\u00a0", "\u2003", "\u3000"], ids=ascii)
def test_blank_is_what_the_service_takes_for_blank(claude, blank):
    """A control character is escaped wherever it goes, the others stand as they are."""
    model = claude.script(Turn(blocks=[blank, Call("look", {"path": "a"})]), "Done.", "Well.")
    b = claude.parent()
    b.handlers["look"] = {"content": blank}
    s = b.call("session.create")["sessionId"]
    b.succeeds(model, [tool("look", LOOK)], input=blank, sessionId=s, answer="Done.")
    b.succeeds(model, input="Hello", sessionId=s, answer="Well.")


def test_a_message_of_the_assistant_in_the_input_may_be_last(llm):
    """A prefill: Anthropic's newer models refuse it, so the bridge may only pass it on in a legal way, or the run says so."""
    llm.server.problems_expected = True
    model = llm.script(*["fine"] * 6)
    o = llm.bridge().run(model, input=[{"role": "user", "content": "go"}, {"role": "assistant", "content": "I"}], timeout=30)
    assert o["ended"] or o["status"] == "paused"


def test_consecutive_messages_of_one_role_are_legal(llm):
    model = llm.script("fine")
    llm.bridge().succeeds(model, input=[{"role": "user", "content": "one"}, {"role": "user", "content": "two"}, {"role": "assistant", "content": "a"},
                                        {"role": "assistant", "content": "b"}, {"role": "user", "content": "three"}])
    seen, = llm.views(model)
    assert [t for t in ("one", "two", "a", "b", "three") if t not in "".join(m.text for m in seen.messages)] == []


def test_a_pdf_in_the_input(http):
    pdf = base64.b64encode(b"%PDF-1.4 %%EOF").decode()
    model = http.script("fine")
    http.bridge().succeeds(model, input=[{"type": "text", "text": "Read."}, {"type": "binary", "data": pdf, "mimeType": "application/pdf", "filename": "a.pdf"}])
    assert ("document", "application/pdf", pdf) in view(http.kind, http.asked(model)[0].json).everything()

"""Faults of a model's server: what is retried and how it is told, what is not, and what the run is then."""
import email.utils
import gzip
import json
import threading
import time

import pytest

from harness import tool
from mock_models import Drop, Llm, Raw, Server, Silence, Status, StreamError, Turn
from mock_models.fixtures import completed, http, retries, sampling, streamed  # noqa: F401

FAST = (("retry-after-ms", "5"),)  # the bridge would wait longer
PIECES = ["This is half", " of an answer", ", and it goes on"]
HALF = Turn(PIECES)
MIDDLE = PIECES[1].encode()


def model_error(o, kind, retryable=None):
    assert o["error"]["kind"] == kind, o
    if retryable is not None:
        assert o["error"]["retryable"] is retryable
    return o["error"]["message"]


# ---------------------------------------------------------------- retried

@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 504, 529])
def test_a_status_is_retried(http, code):
    model = http.script(Status(code, "try again", headers=FAST), "Here.")
    b = http.bridge()
    o = b.succeeds(model, answer="Here.")
    told, = retries(b, o["runId"])
    assert told["attempt"] in (1, 2) and str(code) in told["reason"]
    assert isinstance(told["retryAfterMs"], int) and 0 <= told["retryAfterMs"] <= 2000
    assert len(http.asked(model)) == 2
    assert o["usage"]["modelCalls"] == 1
    first, second = http.asked(model)
    assert first.body == second.body


FAULTS = {
    "no answer": Drop(),
    "a reset": Drop("reset"),
    "only a head": Drop(after_head=True),
    "cut in the middle": HALF.with_(cut=MIDDLE),
    "reset in the middle": HALF.with_(cut=MIDDLE, cut_how="reset"),
    "a body that ends in the middle": HALF.with_(cut=MIDDLE, cut_how="end"),
    "no end marker": HALF.with_(no_end=True),
    "an empty body": Raw(b""),
    "HTML with 200": Raw(b"<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>", "text/html; charset=utf-8"),
    "HTML that calls itself an event stream": Raw(b"<!DOCTYPE html><html>\n\n<body><h1>data: Sign in</h1></body>\n\n</html>"),
    "JSON that is no stream": Raw(b'{"ok":true}', "application/json"),
    "malformed JSON in an event": HALF.with_(replace=(3, b"data: {\"type\":\"content_block_delta\",\"choices\":[{]\n\n")),
    "an event that is a list": HALF.with_(replace=(3, b"data: []\n\n")),
    "invalid UTF-8 in an event": HALF.with_(replace=(3, b"data: {\"type\":\"content_block_delta\",\"x\":\"\xff\xfe\"}\n\n")),
    "an empty answer": Turn(blocks=[]),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_broken_answer_is_retried(http, fault):
    model = http.script(fault, "Here.")
    b = http.bridge()
    o = b.succeeds(model, answer="Here.")
    told = retries(b, o["runId"])
    assert len(told) == 1 and told[0]["reason"], told
    assert len(http.asked(model)) == 2
    assert list(streamed(b, o["runId"]).values()) == ["Here."]
    assert [d["text"] for d in completed(b, o["runId"])] == ["Here."]


def test_every_fault_in_a_row_is_survived(http):
    """Retries count anew for each turn: an answer between them clears the count."""
    steps = []
    for f in FAULTS.values():
        steps += [f, Turn(calls=[("look", {})])]
    model = http.script(*steps, "Done.")
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    o = b.succeeds(model, [tool("look")], answer="Done.", timeout=60)
    # A connection that was kept may be gone when it is used again: what fails there at once may be sent once more without a word.
    assert len(FAULTS) - 2 <= len(retries(b, o["runId"])) <= len(FAULTS)
    assert len(b.invokes()) == len(FAULTS) and len(http.asked(model)) == 2 * len(FAULTS) + 1


STREAM_ERRORS = {
    "anthropic": [StreamError(HALF, "overloaded_error", "Overloaded"), StreamError(HALF, "api_error", "Internal server error"), StreamError(HALF, "rate_limit_error", "Slow down"),
                  StreamError(HALF, "timeout_error", "Too slow"), StreamError(HALF, after=0), StreamError(HALF, after=4)],
    "openai": [StreamError(HALF, "server_error", "The server had an error"), StreamError(HALF, "overloaded_error", "Overloaded", after=2),
               StreamError(HALF, "requests", "Rate limit", "rate_limit_exceeded", after=0)],
    "openai-responses": [StreamError(HALF, "server_error", "The server had an error", "server_error"), StreamError(HALF, "x", "Rate limit reached", "rate_limit_exceeded", after=3),
                         StreamError(HALF, "server_error", "broke", "server_error", shape="error"), StreamError(HALF, "server_error", "broke", "server_error", shape="nested"),
                         StreamError(HALF, "service_unavailable_error", "Our servers are currently overloaded", "server_is_overloaded")],
}


@pytest.mark.parametrize("kind,n", [(k, n) for k, v in STREAM_ERRORS.items() for n in range(len(v))])
def test_an_error_inside_the_stream_is_retried(lab, kind, n):
    llm = Llm(lab, kind)
    fault = STREAM_ERRORS[kind][n]
    model = llm.script(fault, "Here.")
    b = llm.bridge()
    o = b.succeeds(model, answer="Here.")
    told, = retries(b, o["runId"])
    assert fault.type in told["reason"] or fault.message in told["reason"] or (fault.code and fault.code in told["reason"]), told
    assert list(streamed(b, o["runId"]).values()) == ["Here."]
    llm.finish()
    llm.close()


def test_a_server_that_is_not_there_is_retried(http):
    """A port that nobody listens on, then somebody."""
    model = http.script("Here.", name="late")
    b = http.bridge(env={"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    r = b.start(model)
    told = [b.wait_event("model.retried")]
    assert told[0].data["reason"]
    run = told[0].run_id
    assert b.call("run.cancel", {"runId": run})["status"] == "cancelled"
    assert b.result(r)["status"] == "cancelled"


def test_partial_text_is_void_after_a_retry(http):
    """Observers are told before the new text comes, and the message's id is the same."""
    model = http.script(HALF.with_(cut=PIECES[2].encode()), "Something else.")
    b = http.bridge()
    o = b.succeeds(model, answer="Something else.")
    kinds = [(m.type, m.data.get("messageId")) for m in b.events(o["runId"]) if m.type in ("text.delta", "model.retried", "model.completed")]
    order = [k for k, _ in kinds]
    assert len({i for _, i in kinds}) == 1
    at = order.index("model.retried")
    assert "text.delta" in order[:at] and "text.delta" in order[at:] and order[-1] == "model.completed"


def test_a_retry_is_told_before_the_new_text_comes(http):
    """Also when the retry is at once and the bridge is busy: otherwise an observer throws the good text away."""
    b = http.bridge(validate=False)
    going = [b.start(http.script(Status(500, "no", headers=(("retry-after-ms", "1"),)), Turn(PIECES))) for _ in range(150)]
    for r in going:
        o = b.result(r, timeout=60)
        assert list(streamed(b, o["runId"]).values()) == ["".join(PIECES)], [(m.i, m.type, m.data) for m in b.events(o["runId"])]


def test_a_partial_call_is_not_made(http):
    call = Turn("Look.", calls=[("look", {"path": "x" * 100 + "y" * 100 + "z" * 100})])
    model = http.script(call.with_(cut=b"y" * 50), Turn(calls=[("look", {"path": "y"})]), "Done.")
    b = http.parent()
    b.handlers["look"] = {"content": "rows"}
    b.succeeds(model, [tool("look")], answer="Done.")
    assert [m.params["arguments"] for m in b.invocations] == [{"path": "y"}]


def test_usage_of_a_failed_attempt_is_not_counted_twice(http):
    model = http.script(HALF.with_(cut=MIDDLE), "Here.")
    o = http.bridge().succeeds(model, answer="Here.")
    assert (o["usage"]["inputTokens"], o["usage"]["outputTokens"], o["usage"]["modelCalls"]) == (10, 5, 1)


# ---------------------------------------------------------------- how long to wait

def wait_told(http, *headers, code=429):
    model = http.script(Status(code, "slow down", headers=headers), "Here.")
    b = http.bridge()
    before = time.monotonic()
    o = b.succeeds(model, answer="Here.", timeout=20)
    asked = http.asked(model)
    return retries(b, o["runId"])[0]["retryAfterMs"], (asked[1].at - asked[0].at) * 1000, time.monotonic() - before


def test_a_pause_in_the_wait_between_two_attempts_is_at_once(http):
    model = http.script(Status(429, "slow down", headers=(("retry-after", "300"),)), "Here.")
    b = http.bridge()
    i = b.start(model)
    run = b.wait_event("model.retried").run_id
    o = b.call("run.pause", {"runId": run})
    assert o["status"] == "paused" and "error" not in o and b.result(i)["status"] == "paused"
    assert len(http.asked(model)) == 1
    assert b.call("run.resume", {"runId": run})["answer"] == "Here."
    assert b.event_types(run).count("run.paused") == 1


def test_retry_after_in_seconds_is_honoured(http):
    told, gap, _ = wait_told(http, ("retry-after", "1"))
    assert 1000 <= told <= 1500 and gap >= 990


def test_retry_after_in_milliseconds_is_honoured(http):
    told, gap, _ = wait_told(http, ("retry-after-ms", "700"))
    assert 700 <= told <= 1100 and gap >= 690


def test_retry_after_as_a_date_is_honoured(http):
    told, gap, _ = wait_told(http, ("retry-after", email.utils.formatdate(time.time() + 2.5, usegmt=True)))
    assert 500 <= told <= 3000 and gap >= told - 50


@pytest.mark.parametrize("value", ["-5", "soon", "", "Tue, 01 Jan 2019 00:00:00 GMT", "99999999999999999999999", "1e3", "nan"])
def test_a_retry_after_that_is_nonsense_does_no_harm(http, value):
    model = http.script(Status(503, "slow down", headers=(("retry-after", value),)), "Here.")
    b = http.bridge()
    r = b.start(model)
    told = b.wait_event("model.retried").data
    assert told["retryAfterMs"] >= 0
    if told["retryAfterMs"] > 5000:
        b.call("run.cancel", {"runId": b.start_id(r)})
        b.result(r)
    else:
        assert b.result(r)["answer"] == "Here."


def test_the_wait_grows(http):
    model = http.script(*[Status(500, "no")] * 3, "Here.")
    b = http.bridge()
    o = b.succeeds(model, answer="Here.", timeout=30)
    told = [t["retryAfterMs"] for t in retries(b, o["runId"])]
    assert len(told) == 3 and told[2] > told[0]
    assert [t["attempt"] for t in retries(b, o["runId"])] in ([1, 2, 3], [2, 3, 4])


def test_a_cancel_ends_the_wait(http):
    model = http.script(Status(429, "slow down", headers=(("retry-after", "60"),)), "never")
    b = http.bridge()
    r = b.start(model)
    run = b.wait_event("model.retried").run_id
    before = time.monotonic()
    assert b.call("run.cancel", {"runId": run})["status"] == "cancelled"
    assert b.result(r)["status"] == "cancelled"
    assert time.monotonic() - before < 1
    assert len(http.asked(model)) == 1


def test_a_wait_longer_than_the_deadline_is_not_begun(http):
    model = http.script(*[Status(429, "slow down", headers=(("retry-after", "60"),))] * 9)
    before = time.monotonic()
    o = http.bridge().run(model, limits={"deadlineMs": 1500}, timeout=20)
    assert time.monotonic() - before < 10
    assert o["status"] in ("error", "paused") and o["error"]["kind"] in ("run.limitExceeded", "model.unavailable"), o


def test_a_kill_while_waiting_loses_nothing(http):
    model = http.script(Status(429, "slow down", headers=(("retry-after", "60"),)), "Here.")
    a = http.bridge()
    a.start(model)
    run = a.wait_event("model.retried").run_id
    a.kill9()
    b = http.bridge()
    assert b.call("run.resume", {"runId": run})["answer"] == "Here."


# ---------------------------------------------------------------- unavailable

def test_a_model_that_stays_away_pauses_the_run_and_resume_goes_on(http):
    model = http.script(*[Status(503, "the model is asleep", headers=FAST)] * 5, "Here.")
    b = http.bridge()
    o = b.run(model)
    assert o["status"] == "paused" and not o["ended"]
    message = model_error(o, "model.unavailable", True)
    assert "asleep" in message or "503" in message
    assert len(http.asked(model)) == 5
    assert len(retries(b, o["runId"])) == 4
    o = b.call("run.resume", {"runId": o["runId"]})
    assert (o["status"], o["answer"]) == ("success", "Here.")


def test_a_paused_run_goes_on_in_another_process(http):
    model = http.script(Turn(calls=[("look", {})]), *[Status(529, "busy", headers=FAST)] * 5, "Here.")
    a = http.parent()
    a.handlers["look"] = {"content": "rows"}
    o = a.run(model, [tool("look")])
    assert o["status"] == "paused"
    a.hang_up()
    b = http.bridge()
    assert b.call("run.resume", {"runId": o["runId"]})["answer"] == "Here."


def test_resume_may_fail_again_and_again(http):
    model = http.script(*[Status(500, "no", headers=FAST)] * 10, "Here.")
    b = http.bridge()
    run = b.run(model)["runId"]
    o = b.call("run.resume", {"runId": run})
    assert o["status"] == "paused"
    model_error(o, "model.unavailable", True)
    assert b.call("run.resume", {"runId": run})["answer"] == "Here."


def test_a_run_may_ask_to_end_when_the_model_is_away(http):
    model = http.script(*[Status(500, "no", headers=FAST)] * 5)
    b = http.bridge()
    o = b.run(model, limits={"onModelUnavailable": "error"})
    assert o["status"] == "error"
    model_error(o, "model.unavailable")


def test_cut_streams_pause_the_run_in_the_end(http):
    model = http.script(*[HALF.with_(cut=MIDDLE)] * 5, "Here.")
    b = http.bridge()
    o = b.run(model, timeout=30)
    assert o["status"] == "paused"
    model_error(o, "model.unavailable", True)
    assert b.call("run.resume", {"runId": o["runId"]})["answer"] == "Here."


# ---------------------------------------------------------------- rejected

@pytest.mark.parametrize("code", [400, 401, 402, 403, 404, 405, 413, 422])
def test_a_status_is_not_retried(http, code):
    model = http.script(Status(code, "because the moon is full", request_id="req_canary_77"), "never")
    b = http.bridge()
    o = b.run(model)
    assert o["status"] == "error" and o["ended"]
    message = model_error(o, "model.contextOverflow" if (http.kind, code) == ("anthropic", 413) else "model.rejected", False)
    assert "because the moon is full" in message and "req_canary_77" in message
    assert len(http.asked(model)) == 1
    assert retries(b, o["runId"]) == []


@pytest.mark.parametrize("body,type", [(b"", "text/plain"), (b"<html>nginx says no</html>", "text/html"), (b'{"error":"plain words"}', "application/json"),
                                       (b'{"detail":[{"msg":"fastapi says no"}]}', "application/json"), (b'{"error":{"message":null}}', "application/json"), (b'[]', "application/json"),
                                       (b'{"error":{"message":{"a":1},"code":400}}', "application/json"), (b"\xff\xfe\x00", "application/octet-stream"), (b"x" * 3_000_000, "text/plain")],
                         ids=["empty", "html", "words", "fastapi", "null", "list", "object", "binary", "long"])
def test_an_error_body_in_any_shape_is_survived(http, body, type):
    model = http.script(Status(400, body=body, content_type=type), "never")
    b = http.bridge()
    o = b.run(model)
    message = model_error(o, "model.rejected", False)
    assert message and len(message) < 5000
    for words in ("nginx says no", "plain words", "fastapi says no"):
        if words.encode() in body:
            assert words in message or "400" in message


@pytest.mark.parametrize("body,words", [
    ([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}], "INVALID_ARGUMENT: API key not valid."),
    ({"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "x"], "msg": "No extras"}]}, "type": "t"}, "t: No extras (body.x)"),
    ({"detail": [{"msg": "Field required", "loc": ["body", "y"]}]}, "Field required (body.y)"), ({"detail": "Not here"}, "Not here")],
    ids=["Gemini", "Mistral", "FastAPI", "detail"])
def test_the_words_of_an_error_are_shown(http, body, words):
    model = http.script(Status(422, body=json.dumps(body).encode()), "never")
    assert words in model_error(http.bridge().run(model), "model.rejected", False)


def test_a_compressed_answer_is_refused_by_the_name_of_its_coding(http):
    zipped = (("content-encoding", "gzip"),)
    model = http.script(Raw(gzip.compress(b"data: {}\n\n" * 99), headers=zipped), "never")
    b = http.bridge()
    o = b.run(model)
    assert "gzip" in model_error(o, "model.invalidOutput", False) and retries(b, o["runId"]) == []
    asked, = http.asked(model)
    assert asked.header("accept-encoding") == "identity"
    model = http.script(Status(400, body=gzip.compress(b'{"error":{"message":"bad field"}}'), headers=zipped), "never")
    message = model_error(b.run(model), "model.rejected", False)
    assert "gzip" in message and message.isascii()


def test_a_rejection_inside_the_stream_is_not_retried(http):
    fault = StreamError(HALF, "invalid_request_error", "because the moon is full", "invalid_prompt")
    model = http.script(fault, "never")
    b = http.bridge()
    o = b.run(model)
    assert "because the moon is full" in model_error(o, "model.rejected", False)
    assert len(http.asked(model)) == 1


def test_an_empty_purse_is_not_retried(http):
    """A quota that is used up comes as 429 too; asking again does not fill it."""
    if http.kind == "anthropic":
        fault = Status(400, "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.")
    else:
        fault = Status(429, "You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota", headers=FAST)
    model = http.script(*[fault] * 5)
    o = http.bridge().run(model)
    assert o["error"]["kind"] in ("model.rejected", "model.unavailable")
    assert "credit" in o["error"]["message"] or "quota" in o["error"]["message"]


# ---------------------------------------------------------------- too much context

OVERFLOWS = {
    "anthropic": [Status(400, "prompt is too long: 210345 tokens > 200000 maximum"), Status(400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"),
                  Status(413, "Request exceeds the maximum size", type="request_too_large")],
    "openai": [Status(400, "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens. Please reduce the length of the messages.", error_code="context_length_exceeded"),
               Status(400, body=json.dumps({"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.", "type": "BadRequestError", "param": None, "code": 400}).encode()),
               Status(400, body=json.dumps({"error": {"code": 400, "message": "the request exceeds the available context size. try increasing the context size or enable context shift", "type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 4}}).encode())],
    "openai-responses": [Status(400, "Your input exceeds the context window of this model. Please adjust your input and try again.", error_code="context_length_exceeded"),
                         Status(400, "This model's maximum prompt length is 131072 but the request contains 200000 tokens."),
                         Status(422, "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 100 `max_new_tokens`"),
                         Status(400, body=json.dumps([{"error": {"code": 400, "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "status": "INVALID_ARGUMENT"}}]).encode()),
                         StreamError(Turn("x"), message="Your input exceeds the context window of this model. Please adjust your input and try again.", code="context_length_exceeded"),
                         StreamError(Turn("x"), "invalid_request_error", "Your input exceeds the context window of this model.", "context_length_exceeded", shape="nested")],
}


@pytest.mark.parametrize("kind,n", [(k, n) for k, v in OVERFLOWS.items() for n in range(len(v))])
def test_too_much_context_has_a_kind_of_its_own(lab, kind, n):
    llm = Llm(lab, kind)
    model = llm.script(OVERFLOWS[kind][n], "never")
    o = llm.bridge().run(model)
    assert o["status"] == "error"
    message = model_error(o, "model.contextOverflow", False)
    assert any(words in message for words in ("context", "too long", "maximum", "`max_new_tokens`"))
    assert len(llm.asked(model)) == 1
    llm.close()


# ---------------------------------------------------------------- cancel, stall, deadline

@pytest.mark.parametrize("how", ["before the head", "in the middle"])
def test_a_cancel_closes_the_connection_at_once(http, how):
    slow = Silence() if how == "before the head" else HALF.with_(stall=MIDDLE)
    model = http.script(slow)
    b = http.bridge()
    r = b.start(model)
    asked = http.server.wait_requests(1)[0]
    assert asked.held.wait(5)
    run = b.start_id(r)
    if how == "in the middle":
        b.wait_event("text.delta")
    before = time.monotonic()
    o = b.call("run.cancel", {"runId": run, "reason": "enough"})
    assert o["status"] == "cancelled"
    assert asked.left.wait(5) and asked.left_at - before < 1
    assert b.result(r)["status"] == "cancelled"
    if how == "in the middle":
        shown = "".join(m.data["text"] for m in b.events(run, "text.delta"))
        assert b.log_of(run, "run.cancelled")[0]["partialText"].startswith(shown) and shown


def test_a_cancelled_request_closes_the_connection(http):
    model = http.script(Silence())
    b = http.bridge()
    r = b.start(model)
    asked = http.server.wait_requests(1)[0]
    b.notify("notifications/cancelled", {"requestId": r})
    assert b.error_of(r).code == -32800
    assert asked.left.wait(5)


def test_hanging_up_closes_the_connection_and_the_run_goes_on_elsewhere(http):
    model = http.script(HALF.with_(stall=MIDDLE), "Here.")
    a = http.bridge()
    r = a.start(model)
    run = a.start_id(r)
    asked = http.server.wait_requests(1)[0]
    assert asked.held.wait(5)
    before = time.monotonic()
    assert a.hang_up() == 0
    assert asked.left.wait(5) and asked.left_at - before < 1.5
    b = http.bridge()
    assert b.call("run.resume", {"runId": run})["answer"] == "Here."


def test_a_kill_in_the_middle_of_an_answer_loses_nothing(http):
    model = http.script(HALF.with_(stall=MIDDLE), "Here.")
    a = http.bridge()
    run = a.start_id(a.start(model))
    assert http.server.wait_requests(1)[0].held.wait(5)
    a.kill9()
    b = http.bridge()
    assert b.call("run.resume", {"runId": run})["answer"] == "Here."


def test_a_stall_ends_with_the_deadline_of_the_run(http):
    model = http.script(HALF.with_(stall=MIDDLE))
    before = time.monotonic()
    o = http.bridge().run(model, limits={"deadlineMs": 1000}, timeout=20)
    assert time.monotonic() - before < 10
    assert (o["status"], o["error"]["kind"]) == ("error", "run.limitExceeded")
    assert http.asked(model)[0].left.wait(5)


def test_a_stalled_run_delays_nobody(http):
    stalled = http.script(HALF.with_(stall=MIDDLE))
    quick = http.script(*["Here."] * 20)
    b = http.bridge()
    r = b.start(stalled)
    assert http.server.wait_requests(1)[0].held.wait(5)
    for _ in range(20):
        before = time.monotonic()
        b.succeeds(quick, answer="Here.")
        b.ping()
        assert time.monotonic() - before < 2
    b.call("run.cancel", {"runId": b.start_id(r)})
    b.result(r)


@pytest.mark.long
def test_a_stall_is_noticed_in_the_end(http):
    model = http.script(HALF.with_(stall=MIDDLE), "Here.")
    b = http.bridge()
    o = b.succeeds(model, answer="Here.", timeout=400)
    assert len(retries(b, o["runId"])) == 1


def test_deltas_are_sent_as_they_come(http):
    """The first piece reaches the parent before the server sends the next."""
    gate = threading.Event()
    model = http.script(Turn(["One, ", "two, ", "three."]).with_(hold=b"One, ", gate=gate))
    b = http.bridge()
    r = b.start(model)
    run = b.start_id(r)
    b.wait_event("text.delta", run)
    assert "".join(m.data["text"] for m in b.events(run, "text.delta")) == "One, "
    gate.set()
    assert b.result(r)["answer"] == "One, two, three."


# ---------------------------------------------------------------- redirects, hostile answers

@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(http, code):
    elsewhere = Server()
    try:
        model = http.script(*[Status(code, "over there", headers=(("location", elsewhere.url + "/v1/messages"), *FAST))] * 5)
        o = http.bridge().run(model)
        assert o["status"] in ("error", "paused") and o["error"]["kind"] in ("model.rejected", "model.unavailable"), o
        assert elsewhere.requests == [] and elsewhere.connections == 0
    finally:
        elsewhere.close()


def test_a_line_without_end_is_bounded(http):
    """200 MB in one event: the bridge gives up on it instead of holding it, and lives."""
    model = http.script(Raw(b"data: " + b"x" * 60_000_000), Raw(b"x" * 60_000_000), "Here.")
    b = http.bridge()
    o = b.succeeds(model, answer="Here.", timeout=60)
    assert len(retries(b, o["runId"])) == 2
    assert b.peak_kb() < 400_000


def test_a_long_answer_is_whole(http):
    text = "".join(f"{i}: ü🙂\n" for i in range(60_000))
    model = http.script(Turn([text[i:i + 997] for i in range(0, len(text), 997)]))
    b = http.bridge()
    o = b.run(model, timeout=60)
    whole = b.whole(o["answer"]) if isinstance(o["answer"], dict) else o["answer"]
    assert whole == text
    assert list(streamed(b, o["runId"]).values()) == [text]


# ---------------------------------------------------------------- the parent as the model

def test_an_error_of_the_parent_counts_as_unavailable(sampling):
    model = sampling.script(*[Status(32000, "the model is asleep")] * 5, "Here.")
    b = sampling.bridge()
    o = b.run(model, timeout=30)
    assert o["status"] == "paused"
    message = model_error(o, "model.unavailable", True)
    assert "asleep" in message
    while o["status"] == "paused":
        o = b.call("run.resume", {"runId": o["runId"]}, timeout=30)
    assert o["answer"] == "Here."


def test_a_cancel_cancels_the_request_to_the_parent(sampling):
    model = sampling.script(Silence())
    b = sampling.bridge()
    r = b.start(model)
    run = b.start_id(r)
    m = b.wait(lambda m: m.is_request and m.method == "sampling/createMessage", "sampling/createMessage")
    assert b.call("run.cancel", {"runId": run})["status"] == "cancelled"
    b.wait_cancelled(m.id)
    assert b.result(r)["status"] == "cancelled"


def test_a_kill_while_the_parent_thinks_asks_the_next_parent(sampling):
    model = sampling.script(Silence(), "Here.")
    a = sampling.bridge()
    run = a.start_id(a.start(model))
    a.wait(lambda m: m.is_request and m.method == "sampling/createMessage", "sampling/createMessage")
    a.kill9()
    b = sampling.bridge()
    assert b.call("run.resume", {"runId": run})["answer"] == "Here."

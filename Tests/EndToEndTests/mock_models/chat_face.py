"""The answers of OpenAI's Chat Completions, and of servers that resemble them.

Chunks: openai-python, src/openai/types/chat/chat_completion_chunk.py; https://platform.openai.com/docs/api-reference/chat-streaming.
Errors: https://platform.openai.com/docs/guides/error-codes. The fields `reasoning_content` and `reasoning` are vLLM's and
OpenRouter's (https://docs.vllm.ai/en/stable/features/reasoning_outputs, https://openrouter.ai/docs/use-cases/reasoning-tokens).
What a request must be is in chat_rules.py.
"""
from __future__ import annotations

from .sse import dress, event, pieces
from .turns import Call, Status, StreamError, Thought, compact

FINISH = {"end": "stop", "calls": "tool_calls", "max_tokens": "length", "refusal": "stop", "filter": "content_filter", "context": "length", "sequence": "stop"}
ERRORS = {400: ("invalid_request_error", None), 401: ("invalid_request_error", "invalid_api_key"), 403: ("invalid_request_error", "unsupported_country_region_territory"),
          404: ("invalid_request_error", "model_not_found"), 408: ("timeout", None), 409: ("conflict", None), 413: ("invalid_request_error", None),
          429: ("requests", "rate_limit_exceeded"), 500: ("server_error", None), 503: ("server_error", "slow_down")}
REQUEST_ID = "x-request-id"


def error_body(status: Status, request_id):
    kind, code = ERRORS.get(status.code, ("server_error" if status.code >= 500 else "invalid_request_error", None))
    return compact({"error": {"message": status.message or "the request failed", "type": status.type or kind, "param": None,
                              "code": status.error_code or code}}).encode()


def content(turn, ids):
    return [{"id": b.id or ids.next("call_"), "name": b.name, "arguments": b.text} for b in turn.blocks if isinstance(b, Call)]


def stream(turn, model, ids, fault: StreamError | None = None, asked_usage=True):
    """(events as bytes, the calls that were issued)."""
    w, c = turn.wire, turn.compat
    base = {"id": ids.next("chatcmpl-"), "object": "chat.completion.chunk", "created": 1_790_000_000, "model": model,
            "service_tier": "default", "system_fingerprint": "fp_0"}
    u = turn.usage
    usage = {"prompt_tokens": u.input, "completion_tokens": u.output, "total_tokens": u.input + u.output,
             "prompt_tokens_details": {"cached_tokens": u.cache_read, "cache_write_tokens": u.cache_write, "audio_tokens": 0},
             "completion_tokens_details": {"reasoning_tokens": u.reasoning, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}
    issued = content(turn, ids)
    out = []

    def chunk(delta, finish=None, **more):
        if c.role_repeated and finish is None:
            delta = {"role": "assistant", **delta}
        if c.null_fields:
            delta = {"content": None, "tool_calls": None, "refusal": None, **delta}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        if c.no_choice_index:
            del choice["index"]
        body = {**base, "choices": [choice], **more}
        if c.usage == "each":
            body["usage"] = usage
        elif asked_usage and c.usage == "normal":
            body.setdefault("usage", None)
        out.append((None, body))

    chunk({"role": "assistant", "content": None if turn.calls and turn.text is None else "", "refusal": None})
    at = 0
    for b in turn.blocks:
        if isinstance(b, Thought):
            if c.reasoning:
                for p in pieces(b.text, w.fragments):
                    chunk({c.reasoning: p, **({"reasoning_details": [{"type": "reasoning.text", "text": p, "index": 0}]} if c.reasoning == "reasoning" else {})})
        elif isinstance(b, Call):
            for delta in call_deltas(b, issued[at], at, c, w.fragments):
                chunk({"tool_calls": [delta], **({"content": None} if c.null_content else {})})
            at += 1
        else:
            for p in pieces(b, w.fragments):
                chunk({"content": p})
        if w.unknown:
            out.append((None, {**base, "object": "chat.completion.glow", "choices": [], "glow": {"content": "NOT TEXT"}}))
    for p in pieces(turn.refusal or ""):
        if p:
            chunk({"refusal": p})
    if fault is not None:
        keep = len(out) if fault.after is None else fault.after
        out = out[:keep] + [(None, {"error": {"message": fault.message, "type": fault.type, "param": None, "code": fault.code}})]
    else:
        if not w.no_end or c.done is False:
            finish = c.finish or FINISH[turn.reason]
            chunk({}, finish, **({"usage": usage} if c.usage == "inline" else {}))
        if (c.usage == "normal" and asked_usage) or c.usage == "always":
            out.append((None, {**base, "choices": [], "usage": usage}))
        if c.done and not w.no_end:
            out.append((None, "[DONE]"))
    return dress([event(name, data, w) for name, data in out], w), issued


def call_deltas(call, issued, at, c, fragments_wanted):
    """The fragments of one tool call: OpenAI says id, type and name in the first only."""
    text = call.text
    fragments = [text] if c.whole or c.as_object else ["", *pieces(text, fragments_wanted)]
    out = []
    for n, fragment in enumerate(fragments):
        function = {"arguments": (call.arguments if c.as_object else fragment)}
        if n == 0 or c.name_repeated:
            function = {"name": call.name, **function}
        delta = {"index": at, "id": issued["id"], "type": "function", "function": function}
        if c.ids == "same":
            delta["id"] = issued["id"] = "call_0"
        if (n > 0 and c.ids != "repeated") or c.ids == "missing":
            del delta["id"]
        elif c.ids in ("empty", "null"):
            delta["id"] = "" if c.ids == "empty" else None
        if n > 0 or c.type_missing:
            del delta["type"]
        if c.index == "missing":
            del delta["index"]
        elif c.index == "zero":
            delta["index"] = 0
        out.append(delta)
    if c.ids in ("missing", "empty", "null"):
        issued["id"] = None
    return out

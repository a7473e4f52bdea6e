"""The answers of Anthropic's Messages API.

Event flow and examples: https://platform.claude.com/docs/en/build-with-claude/streaming (also for ping, error events, and the
promise that new event types may come). Types: anthropic-sdk-python, src/anthropic/types/raw_message_stream_event.py and the
files beside it. Errors: https://platform.claude.com/docs/en/api/errors. What a request must be is in anthropic_rules.py.
"""
from __future__ import annotations

from .sse import dress, event, pieces
from .turns import Call, Status, StreamError, Thought, compact

STOP = {"end": "end_turn", "calls": "tool_use", "max_tokens": "max_tokens", "refusal": "refusal", "filter": "refusal",
        "context": "model_context_window_exceeded", "sequence": "stop_sequence"}
ERROR_TYPES = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
               404: "not_found_error", 409: "conflict_error", 413: "request_too_large", 429: "rate_limit_error",
               500: "api_error", 504: "timeout_error", 529: "overloaded_error"}
REQUEST_ID = "request-id"


def error_body(status: Status, request_id):
    kind = status.type or ERROR_TYPES.get(status.code, "api_error")
    return compact({"type": "error", "error": {"type": kind, "message": status.message or kind}, "request_id": request_id}).encode()


def content(turn, ids):
    """The content blocks of the finished message, as a client must send them back."""
    out = []
    for b in turn.blocks:
        if isinstance(b, Thought):
            if b.redacted:
                out.append({"type": "redacted_thinking", "data": ids.seal("redacted")})
            else:
                out.append({"type": "thinking", "thinking": b.text, "signature": ids.seal("signature")})
        elif isinstance(b, Call):
            out.append({"type": "tool_use", "id": b.id or ids.next("toolu_01"), "name": b.name, "input": b.text})
        else:
            out.append({"type": "text", "text": b if isinstance(b, str) else "".join(b)})
    return out


def stream(turn, model, ids, fault: StreamError | None = None):
    """(events as bytes, the content blocks that were issued)."""
    w = turn.wire
    blocks = content(turn, ids)
    u = turn.usage
    counted = {"input_tokens": u.fresh, "cache_creation_input_tokens": u.cache_write, "cache_read_input_tokens": u.cache_read}
    out = [("message_start", {"type": "message_start", "message": {
        "model": model, "id": ids.next("msg_01"), "type": "message", "role": "assistant", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {**counted, "cache_creation": {"ephemeral_5m_input_tokens": u.cache_write, "ephemeral_1h_input_tokens": 0},
                                         "output_tokens": 1, "service_tier": "standard"}}})]
    for n, (given, block) in enumerate(zip(turn.blocks, blocks)):
        out += block_events(n, given, block, w.fragments)
        if n == 0:
            out.append(("ping", {"type": "ping"}))
        if w.unknown:
            out.append(("content_block_glow", {"type": "content_block_glow", "index": n, "delta": {"type": "glow_delta", "text": "NOT TEXT"}}))
    if fault is not None:
        keep = len(out) if fault.after is None else fault.after
        out = out[:keep] + [("error", {"type": "error", "error": {"details": None, "type": fault.type, "message": fault.message},
                                       "request_id": ids.next("req_011")})]
    else:
        # The figures of message_delta are cumulative: those of message_start again, and the output so far.
        out.append(("message_delta", {"type": "message_delta", "delta": {"stop_reason": STOP[turn.reason], "stop_sequence": None},
                                      "usage": {**counted, "output_tokens": u.output}}))
        if not w.no_end:
            out.append(("message_stop", {"type": "message_stop"}))
    return dress([event(name, data, w) for name, data in out], w), blocks


def block_events(n, given, block, fragments):
    kind = block["type"]
    start = {"text": {"type": "text", "text": ""}, "thinking": {"type": "thinking", "thinking": "", "signature": ""},
             "redacted_thinking": block, "tool_use": {**block, "input": {}}}[kind]
    deltas = []
    if kind == "text":
        deltas = [{"type": "text_delta", "text": p} for p in pieces(given, fragments)]
    elif kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(given.text, fragments)] + [{"type": "signature_delta", "signature": block["signature"]}]
    elif kind == "tool_use":
        # No arguments at all come as a start and one empty fragment.
        text = "" if given.arguments == {} else given.text
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in ["", *(pieces(text, fragments) if text else [])]]
    return [("content_block_start", {"type": "content_block_start", "index": n, "content_block": start}),
            *(("content_block_delta", {"type": "content_block_delta", "index": n, "delta": d}) for d in deltas),
            ("content_block_stop", {"type": "content_block_stop", "index": n})]

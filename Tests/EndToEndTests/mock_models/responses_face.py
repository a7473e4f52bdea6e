"""The answers of OpenAI's Responses API.

Events: openai-python, src/openai/types/responses/response_*_event.py (one file each) and response.py;
https://platform.openai.com/docs/api-reference/responses-streaming. Reasoning items:
https://platform.openai.com/docs/guides/reasoning (encrypted_content in `response.output_item.added` may be incomplete: only the
item of `response.output_item.done` counts). What a request must be is in responses_rules.py.
"""
from __future__ import annotations

from .chat_face import REQUEST_ID, error_body  # noqa: F401  the same service, the same errors
from .sse import dress, event, pieces
from .turns import Call, StreamError, Thought

# What `Compat` says of ids and indices holds here of `item_id`, of the ids of calls' items, and of `output_index`.

def content(turn, ids):
    """The output items of the finished response."""
    out = []
    for b in turn.blocks:
        if isinstance(b, Thought):
            out.append({"id": ids.next("rs_"), "type": "reasoning", "summary": [{"type": "summary_text", "text": b.text}] if b.text and not b.redacted else [],
                        "encrypted_content": ids.seal("encrypted")})
        elif isinstance(b, Call):
            out.append({"id": ids.next("fc_"), "type": "function_call", "status": "completed", "arguments": b.text, "call_id": b.id or ids.next("call_"), "name": b.name})
        else:
            text = b if isinstance(b, str) else "".join(b)
            out.append({"id": ids.next("msg_"), "type": "message", "status": "completed", "role": "assistant",
                        "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}]})
    if turn.refusal:
        out.append({"id": ids.next("msg_"), "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "refusal", "refusal": turn.refusal}]})
    return out


def stream(turn, model, ids, fault: StreamError | None = None, request=None):
    """(events as bytes, the output items that were issued)."""
    w, u = turn.wire, turn.usage
    items = content(turn, ids)
    asked = request or {}
    response = {"id": ids.next("resp_"), "object": "response", "created_at": 1_790_000_000, "status": "in_progress", "background": False, "error": None,
                "incomplete_details": None, "instructions": asked.get("instructions"), "max_output_tokens": asked.get("max_output_tokens"), "model": model,
                "output": [], "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
                "store": asked.get("store", True), "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
                "top_p": 1.0, "truncation": "disabled", "usage": None, "user": None, "metadata": {}}
    out = []

    c = turn.compat

    def say(type, **data):
        if c.index != "normal" and "output_index" in data:
            data["output_index"] = 0
            if c.index == "missing":
                del data["output_index"]
        if c.ids == "changing" and "item_id" in data:
            data["item_id"] = ids.next("other_")
        if c.ids == "changing" and type == "response.output_item.added":
            data["item"] = renamed(data["item"], ids)
        if c.ids == "missing" and "item_id" in data:
            data["item_id"] = next(i.get("call_id", i["id"]) for i in items if i["id"] == data["item_id"])
        if c.ids == "missing" and data.get("item", {}).get("type") == "function_call":
            data["item"] = nameless(data["item"])
        out.append((type, {"type": type, "sequence_number": len(out), **data}))

    say("response.created", response=response)
    say("response.in_progress", response=response)
    given = [*turn.blocks, *([turn.refusal] if turn.refusal else [])]
    cut_short = turn.reason in ("max_tokens", "filter")
    for n, (source, item) in enumerate(zip(given, items)):
        last = n == len(items) - 1
        if cut_short and last and item["type"] != "reasoning":
            item["status"] = "incomplete"
        {"reasoning": reasoning, "function_call": function_call, "message": message}[item["type"]](say, n, source, item, w.fragments)
        if w.unknown:
            say("response.output_glow.delta", item_id=item["id"], output_index=n, delta="NOT TEXT")
    usage = {"input_tokens": u.input, "input_tokens_details": {"cached_tokens": u.cache_read, "cache_write_tokens": u.cache_write}, "output_tokens": u.output,
             "output_tokens_details": {"reasoning_tokens": u.reasoning}, "total_tokens": u.input + u.output}
    if fault is not None:
        keep = len(out) if fault.after is None else fault.after
        del out[keep:]
        if fault.shape == "error":
            say("error", code=fault.code, message=fault.message, param=None)
        elif fault.shape == "nested":
            say("error", error={"type": fault.type, "code": fault.code, "message": fault.message, "param": None})
        else:
            say("response.failed", response={**response, "status": "failed", "error": {"code": fault.code or "server_error", "message": fault.message}})
    elif not w.no_end:
        whole = [renamed(i, ids) for i in items] if c.ids == "changing" else [nameless(i) for i in items] if c.ids == "missing" else items
        done = {**response, "output": whole if c.listed else [], "usage": usage, "status": "completed"}
        if cut_short:
            reason = "max_output_tokens" if turn.reason == "max_tokens" else "content_filter"
            say("response.incomplete", response={**done, "status": "incomplete", "incomplete_details": {"reason": reason}})
        else:
            say("response.completed", response=done)
    return dress([event(name, data, w) for name, data in out], w), items


def renamed(item, ids):
    """As vLLM says an item again: under ids that it has made up anew."""
    return {**item, "id": ids.next("other_"), **({"call_id": ids.next("other_")} if "call_id" in item else {})}


def nameless(item):
    """As llama.cpp says a call: the call has an id, the item has none."""
    return {k: v for k, v in item.items() if k != "id"} if item["type"] == "function_call" else item


def reasoning(say, n, source, item, fragments):
    sealed = item["encrypted_content"]
    say("response.output_item.added", output_index=n, item={**item, "summary": [], "encrypted_content": sealed[:8]})
    if item["summary"]:
        text = item["summary"][0]["text"]
        at = {"item_id": item["id"], "output_index": n, "summary_index": 0}
        say("response.reasoning_summary_part.added", **at, part={"type": "summary_text", "text": ""})
        for p in pieces(text, fragments):
            say("response.reasoning_summary_text.delta", **at, delta=p)
        say("response.reasoning_summary_text.done", **at, text=text)
        say("response.reasoning_summary_part.done", **at, part={"type": "summary_text", "text": text})
    say("response.output_item.done", output_index=n, item=item)


def function_call(say, n, source, item, fragments):
    say("response.output_item.added", output_index=n, item={**item, "arguments": "", "status": "in_progress"})
    at = {"item_id": item["id"], "output_index": n}
    for p in pieces(item["arguments"], fragments):
        say("response.function_call_arguments.delta", **at, delta=p)
    say("response.function_call_arguments.done", **at, arguments=item["arguments"], name=item["name"])
    say("response.output_item.done", output_index=n, item=item)


def message(say, n, source, item, fragments):
    part = item["content"][0]
    say("response.output_item.added", output_index=n, item={**item, "content": [], "status": "in_progress"})
    at = {"item_id": item["id"], "output_index": n, "content_index": 0}
    if part["type"] == "refusal":
        say("response.content_part.added", **at, part={"type": "refusal", "refusal": ""})
        for p in pieces(part["refusal"], fragments):
            say("response.refusal.delta", **at, delta=p)
        say("response.refusal.done", **at, refusal=part["refusal"])
    else:
        say("response.content_part.added", **at, part={"type": "output_text", "annotations": [], "logprobs": [], "text": ""})
        for p in pieces(source, fragments):
            say("response.output_text.delta", **at, delta=p, logprobs=[])
        say("response.output_text.done", **at, text=part["text"], logprobs=[])
    say("response.content_part.done", **at, part=part)
    say("response.output_item.done", output_index=n, item=item)

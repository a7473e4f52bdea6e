"""What Anthropic's Messages API demands of a request, with the words it uses to refuse.

Parameters: anthropic-sdk-python, src/anthropic/types/message_create_params.py, *_block_param.py, tool_param.py;
https://platform.claude.com/docs/en/api/messages. The refusals of messages that do not fit together (tool_use without tool_result,
changed thinking, `is_error` with an image) are as users report them in public issues of anthropics/claude-code.
"""
from __future__ import annotations

import base64
import binascii
import json
import re

from .turns import Status

MEMBERS = set("""max_tokens messages model cache_control container diagnostics inference_geo metadata output_config service_tier speed
 stop_sequences system thinking tool_choice tools user_profile_id stream temperature top_k top_p mcp_servers context_management betas""".split())
# The second takes no sampling parameters (https://platform.claude.com/docs/en/api/migration-2026-10-21).
VERSIONS = ("2023-06-01", "2026-10-21")
BLOCKS = {
    "text": {"type", "text", "cache_control", "citations"},
    "image": {"type", "source", "cache_control", "transformations"},
    "document": {"type", "source", "cache_control", "citations", "context", "title"},
    "search_result": {"type", "source", "title", "content", "cache_control", "citations"},
    "tool_use": {"type", "id", "name", "input", "cache_control", "caller"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
}
USER = {"text", "image", "document", "search_result", "tool_result"}
ASSISTANT = {"text", "tool_use", "thinking", "redacted_thinking"}
IMAGES = {"image/jpeg", "image/png", "image/gif", "image/webp"}


class Refused(Exception):
    def __init__(self, message, code=400, type=None):
        super().__init__(message)
        self.status = Status(code, message, type)


def check(request, server):
    """None, or the Status that the real service would answer."""
    try:
        headers(request, server)
        body = request.json
        if not isinstance(body, dict):
            raise Refused("Input should be an object")
        if request.header("anthropic-version") != VERSIONS[0]:
            for name in ("temperature", "top_p", "top_k"):
                need(name not in body, f"{name}: Extra inputs are not permitted")
        body_rules(body, server)
    except Refused as e:
        return e.status
    return None


def need(condition, message):
    if not condition:
        raise Refused(message)


def headers(request, server):
    key = request.header("x-api-key") or (request.header("authorization") or "").removeprefix("Bearer ")
    if not key:
        raise Refused("x-api-key header is required", 401)
    if server.key is not None and key != server.key:
        raise Refused("invalid x-api-key", 401)
    version = request.header("anthropic-version")
    need(version, "anthropic-version: header is required")
    need(version in VERSIONS, f"anthropic-version: \"{version}\" is not a valid version")
    need((request.header("content-type") or "").split(";")[0].strip() == "application/json", "content-type: must be application/json")


def body_rules(body, server):
    for name in body:
        need(name in MEMBERS, f"{name}: Extra inputs are not permitted")
    for name in ("model", "max_tokens", "messages"):
        need(name in body, f"{name}: Field required")
    need(isinstance(body["model"], str) and body["model"], "model: String should have at least 1 character")
    limit = body["max_tokens"]
    need(isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1, "max_tokens: Input should be greater than or equal to 1")
    need(body.get("stream") is True, "stream: this server only streams")
    temperature = body.get("temperature", 1)
    need(isinstance(temperature, (int, float)) and 0 <= temperature <= 1, "temperature: range: 0..1")
    thinking = body.get("thinking")
    if thinking is not None:
        need(isinstance(thinking, dict) and thinking.get("type") in ("enabled", "disabled", "adaptive"), "thinking.type: Input should be 'enabled', 'disabled' or 'adaptive'")
        if thinking["type"] == "enabled":
            budget = thinking.get("budget_tokens")
            need(isinstance(budget, int) and budget >= 1024, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
            need(budget < limit, "`max_tokens` must be greater than `thinking.budget_tokens`.")
        if thinking["type"] != "disabled":
            need(temperature == 1, "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.")
    system(body.get("system"))
    tools(body)
    need(isinstance(body["messages"], list) and body["messages"], "messages: at least one message is required")
    messages(body, server)
    marks = count_marks(body)
    need(marks <= 4, f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")


def system(value):
    if value is None or isinstance(value, str):
        return
    need(isinstance(value, list), "system: Input should be a valid list")
    for n, b in enumerate(value):
        need(isinstance(b, dict) and b.get("type") == "text", f"system.{n}: Input should be a text block")
        block(f"system.{n}", b, {"text"})


def tools(body):
    value = body.get("tools")
    if value is None:
        need("tool_choice" not in body, "tool_choice may only be specified while providing tools")
        return
    need(isinstance(value, list), "tools: Input should be a valid list")
    seen = set()
    for n, t in enumerate(value):
        for name in t:
            need(name in ("name", "description", "input_schema", "cache_control", "type", "strict", "input_examples", "defer_loading", "eager_input_streaming",
                          "allowed_callers"), f"tools.{n}.custom.{name}: Extra inputs are not permitted")
        need(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", t.get("name") or ""), f"tools.{n}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        need(t["name"] not in seen, "tools: Tool names must be unique.")
        seen.add(t["name"])
        schema = t.get("input_schema")
        need(isinstance(schema, dict), f"tools.{n}.custom.input_schema: Field required")
        need(schema.get("type") == "object", f"tools.{n}.custom.input_schema.type: Input should be 'object'")
        need(not {"oneOf", "allOf", "anyOf"} & set(schema), f"tools.{n}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level")
        need(isinstance(t.get("description", ""), str), f"tools.{n}.custom.description: Input should be a valid string")
        mark(f"tools.{n}", t)


def mark(where, value):
    m = value.get("cache_control")
    if m is not None:
        need(isinstance(m, dict) and m.get("type") == "ephemeral" and set(m) <= {"type", "ttl"}, f"{where}.cache_control: Input tag does not match 'ephemeral'")


def count_marks(value):
    if isinstance(value, dict):
        inner = sum(count_marks(v) for k, v in value.items() if k not in ("input", "input_schema"))
        return inner + (1 if isinstance(value.get("cache_control"), dict) else 0)
    if isinstance(value, list):
        return sum(count_marks(v) for v in value)
    return 0


def base64_of(where, data):
    need(isinstance(data, str) and data, f"{where}.data: Field required")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"{where}.data: invalid base64 data") from None


def block(where, b, allowed):
    need(isinstance(b, dict) and isinstance(b.get("type"), str), f"{where}.type: Field required")
    kind = b["type"]
    need(kind in allowed, f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {sorted(allowed)}")
    for name in b:
        need(name in BLOCKS[kind], f"{where}.{kind}.{name}: Extra inputs are not permitted")
    mark(where, b)
    if kind == "text":
        need(isinstance(b.get("text"), str), f"{where}.text.text: Field required")
        need(b["text"], "messages: text content blocks must be non-empty")
        need(b["text"].strip(), "messages: text content blocks must contain non-whitespace text")
    elif kind == "image":
        s = b.get("source") or {}
        need(s.get("type") in ("base64", "url"), f"{where}.image.source: Input tag does not match")
        if s["type"] == "base64":
            need(s.get("media_type") in IMAGES, f"{where}.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'")
            base64_of(f"{where}.image.source.base64", s.get("data"))
            need(set(s) == {"type", "media_type", "data"}, f"{where}.image.source.base64: Extra inputs are not permitted")
    elif kind == "document":
        s = b.get("source") or {}
        need(s.get("type") in ("base64", "text", "url", "content"), f"{where}.document.source: Input tag does not match")
        if s["type"] == "base64":
            need(s.get("media_type") == "application/pdf", f"{where}.document.source.base64.media_type: Input should be 'application/pdf'")
            base64_of(f"{where}.document.source.base64", s.get("data"))
        elif s["type"] == "text":
            need(s.get("media_type") == "text/plain" and isinstance(s.get("data"), str) and s["data"], f"{where}.document.source.text: Field required")
    elif kind == "tool_use":
        need(re.fullmatch(r"[a-zA-Z0-9_-]+", b.get("id") or ""), f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        need(isinstance(b.get("input"), dict), f"{where}.tool_use.input: Input should be a valid dictionary")
        need(re.fullmatch(r"[a-zA-Z0-9_-]{1,200}", b.get("name") or ""), f"{where}.tool_use.name: String should match pattern")
    elif kind == "tool_result":
        result(where, b)


def result(where, b):
    need(isinstance(b.get("tool_use_id"), str), f"{where}.tool_result.tool_use_id: Field required")
    need(b.get("is_error") in (None, True, False), f"{where}.tool_result.is_error: Input should be a valid boolean")
    inner = b.get("content")
    need(inner is None or isinstance(inner, (str, list)), f"{where}.tool_result.content: Input should be a valid string")
    if isinstance(inner, list):
        for n, c in enumerate(inner):
            block(f"{where}.tool_result.content.{n}", c, {"text", "image", "document", "search_result"})
            need(not b.get("is_error") or c["type"] == "text", f"{where}.tool_result: all content must be type `text` if `is_error` is true")


def messages(body, server):
    given, merged = body["messages"], []
    for n, m in enumerate(given):
        need(isinstance(m, dict) and set(m) <= {"role", "content"}, f"messages.{n}: Extra inputs are not permitted")
        role = m.get("role")
        need(role in ("user", "assistant"), f"messages.{n}.role: Unexpected role \"{role}\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.")
        inner = m.get("content")
        need(isinstance(inner, (str, list)) and inner, f"messages.{n}: all messages must have non-empty content except for the optional final assistant message")
        blocks = [{"type": "text", "text": inner}] if isinstance(inner, str) else inner
        for i, b in enumerate(blocks):
            block(f"messages.{n}.content.{i}", b, USER if role == "user" else ASSISTANT)
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(blocks)  # consecutive messages of one role are one turn
        else:
            merged.append((role, list(blocks)))
    need(merged[0][0] == "user", 'messages: first message must use the "user" role')
    need(merged[-1][0] == "user", "This model does not support assistant message prefill. The conversation must end with a user message.")
    pairs(merged, body)
    thoughts(merged, body, server)


def pairs(merged, body):
    seen = set()
    open_ids = []
    for n, (role, blocks) in enumerate(merged):
        if role == "assistant":
            open_ids = [b["id"] for b in blocks if b["type"] == "tool_use"]
            for i in open_ids:
                need(i not in seen, "messages: `tool_use` ids must be unique")
                seen.add(i)
            continue
        lead = []
        for b in blocks:
            if b["type"] != "tool_result":
                break
            lead.append(b["tool_use_id"])
        for i, b in enumerate(blocks):
            if b["type"] == "tool_result":
                need(b["tool_use_id"] in open_ids, f"messages.{n}.content.{i}: unexpected `tool_use_id` found in `tool_result` blocks: {b['tool_use_id']}. "
                     "Each `tool_result` block must have a corresponding `tool_use` block in the previous message.")
        for i in open_ids:
            need(lead.count(i) < 2, f"messages.{n}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {i}")
        lost = [i for i in open_ids if i not in lead]
        need(not lost, f"messages.{n - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(lost)}. "
             "Each `tool_use` block must have a corresponding `tool_result` block in the next message.")
        open_ids = []
    need(not seen or body.get("tools"), "Requests which have `tool_use` or `tool_result` blocks in the conversation must define tools")


def thoughts(merged, body, server):
    """Every thinking block is one that was issued; and a message that was issued comes back with all of them, in their places."""
    for n, (role, blocks) in enumerate(merged):
        if role != "assistant":
            continue
        for i, b in enumerate(blocks):
            if b["type"] in ("thinking", "redacted_thinking"):
                need(server.issued(b), f"messages.{n}.content.{i}: Invalid `signature` in `thinking` block")
        for b in blocks:
            issued = b["type"] == "tool_use" and server.issued_with(b["id"])
            if not issued:
                continue
            thinking = [x for x in issued if x["type"] in ("thinking", "redacted_thinking")]
            if thinking:
                need(shape(issued) == [x for x in shape(blocks) if x in shape(issued)],
                     f"messages.{n}.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. "
                     "These blocks must remain as they were in the original response.")


def shape(blocks):
    """What must not change: thinking, and which calls it stands before."""
    out = []
    for b in blocks:
        if b["type"] in ("thinking", "redacted_thinking"):
            out.append(json.dumps(b, sort_keys=True))
        elif b["type"] == "tool_use":
            out.append("tool_use " + b["id"])
    return out

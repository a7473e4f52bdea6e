"""What OpenAI's Chat Completions demands of a request, with the words it uses to refuse.

Parameters: openai-python, src/openai/types/chat/completion_create_params.py and chat_completion_*_param.py;
https://platform.openai.com/docs/api-reference/chat/create.
"""
from __future__ import annotations

import base64
import binascii
import re

from .turns import Status

MEMBERS = set("""messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens metadata modalities moderation n
 parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed
 service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options""".split())
MESSAGE = {"system": {"role", "content", "name"}, "developer": {"role", "content", "name"}, "user": {"role", "content", "name"},
           "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls", "function_call"}, "tool": {"role", "content", "tool_call_id"}}
PARTS = {"system": {"text"}, "developer": {"text"}, "tool": {"text"}, "assistant": {"text", "refusal"}, "user": {"text", "image_url", "input_audio", "file"}}


class Refused(Exception):
    def __init__(self, message, code=400, error_code=None):
        super().__init__(message)
        self.status = Status(code, message, None, error_code)


def need(condition, message, error_code=None):
    if not condition:
        raise Refused(message, 400, error_code)


def check(request, server):
    try:
        headers(request, server)
        body = request.json
        need(isinstance(body, dict), "We could not parse the JSON body of your request.")
        body_rules(body, server, request.lax)
    except Refused as e:
        return e.status
    return None


def headers(request, server):
    value = request.header("authorization")
    if server.key is not None or value is not None:
        if not value or not value.startswith("Bearer ") or not value[7:].strip():
            raise Refused("You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
                          "(i.e. Authorization: Bearer YOUR_KEY).", 401)
        if server.key is not None and value[7:] != server.key:
            raise Refused("Incorrect API key provided.", 401, "invalid_api_key")
    need((request.header("content-type") or "").split(";")[0].strip() == "application/json", "you must provide a JSON body with content-type application/json")


def body_rules(body, server, lax):
    for name in body:
        need(lax or name in MEMBERS, f"Unrecognized request argument supplied: {name}")
    need(isinstance(body.get("model"), str) and body["model"], "you must provide a model parameter")
    need(body.get("stream") is True, "stream: this server only streams")
    options = body.get("stream_options")
    need(options is None or (isinstance(options, dict) and set(options) <= {"include_usage", "include_obfuscation"}), "Invalid type for 'stream_options'")
    need(not ("max_tokens" in body and "max_completion_tokens" in body), "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    for name in ("max_tokens", "max_completion_tokens"):
        limit = body.get(name, 1)
        need(isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1, f"Invalid '{name}': integer below minimum value. Expected a value >= 1")
    t = body.get("temperature", 1)
    need(isinstance(t, (int, float)) and 0 <= t <= 2, "Invalid 'temperature': decimal above maximum value. Expected a value <= 2")
    need(body.get("reasoning_effort") in (None, "none", "minimal", "low", "medium", "high", "xhigh", "max"), "Invalid value for 'reasoning_effort'")
    tools(body)
    messages(body.get("messages"), server, lax)


def tools(body):
    value = body.get("tools")
    if value is None:
        need("tool_choice" not in body, "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.")
        need("parallel_tool_calls" not in body, "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified.")
        return
    need(isinstance(value, list) and value, "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.")
    seen = set()
    for n, t in enumerate(value):
        need(isinstance(t, dict) and t.get("type") == "function" and set(t) <= {"type", "function"}, f"Invalid value: 'tools[{n}].type'")
        f = t.get("function") or {}
        need(set(f) <= {"name", "description", "parameters", "strict"}, f"Unknown parameter in 'tools[{n}].function'")
        need(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", f.get("name") or ""), f"Invalid 'tools[{n}].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.")
        need(f["name"] not in seen, f"Function names must be unique: {f['name']}")
        seen.add(f["name"])
        schema(f["name"], f.get("parameters"), f.get("strict"), "invalid_function_parameters")


def schema(name, value, strict, code):
    if value is None:
        return
    need(isinstance(value, dict) and value.get("type") == "object", f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', "
         f"got 'type: \"{value.get('type') if isinstance(value, dict) else None}\"'.", code)
    need(not {"oneOf", "anyOf", "allOf", "enum", "not"} & set(value), f"Invalid schema for function '{name}': schema must have type 'object' and not have "
         "'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.", code)
    if strict:
        need(value.get("additionalProperties") is False and set(value.get("required", ())) == set(value.get("properties", {})),
             f"Invalid schema for function '{name}': In context=(), 'additionalProperties' is required to be supplied and to be false.", code)


def part(where, p, role):
    need(isinstance(p, dict) and p.get("type") in PARTS[role], f"Invalid value: '{where}.type'. Supported values for role {role} are: {sorted(PARTS[role])}.")
    kind = p["type"]
    if kind == "text":
        need(isinstance(p.get("text"), str) and set(p) <= {"type", "text", "prompt_cache_breakpoint"}, f"Invalid '{where}.text'")
    elif kind == "image_url":
        url = (p.get("image_url") or {}).get("url") if isinstance(p.get("image_url"), dict) else None
        need(isinstance(url, str), f"Missing required parameter: '{where}.image_url.url'.")
        data_url(where, url, "image/")
    elif kind == "input_audio":
        a = p.get("input_audio") or {}
        need(a.get("format") in ("wav", "mp3"), f"Invalid value: '{where}.input_audio.format'. Supported values are: 'wav' and 'mp3'.")
        decode(where, a.get("data"))
    elif kind == "file":
        f = p.get("file") or {}
        need(set(f) <= {"file_data", "file_id", "filename"} and ("file_id" in f or ("file_data" in f and f.get("filename"))), f"Missing required parameter: '{where}.file'.")
        if "file_data" in f:
            data_url(where, f["file_data"], "application/pdf", links=False)


def data_url(where, url, kind, links=True):
    if links and url.startswith(("https://", "http://")):
        return
    m = re.fullmatch(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", url, re.S)
    need(m and m.group(1).startswith(kind), f"Invalid '{where}': expected a base64-encoded data URL of {kind}.", "invalid_base64")
    decode(where, m.group(2))


def decode(where, data):
    try:
        assert isinstance(data, str) and data
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError, AssertionError):
        raise Refused(f"Invalid '{where}': invalid base64 data.", 400, "invalid_base64") from None


def messages(given, server, lax):
    need(isinstance(given, list) and given, "Invalid 'messages': empty array. Expected an array with minimum length 1.")
    waiting, answered = [], set()
    for n, m in enumerate(given):
        where = f"messages[{n}]"
        need(isinstance(m, dict) and m.get("role") in MESSAGE, f"Invalid value: '{m.get('role') if isinstance(m, dict) else m}'. Supported values are: {sorted(MESSAGE)}.")
        role = m["role"]
        for name in m:
            need(lax or name in MESSAGE[role], f"Additional properties are not allowed ('{name}' was unexpected) - '{where}'")
        inner = m.get("content")
        calls = m.get("tool_calls") if role == "assistant" else None
        if inner is None:
            need(role == "assistant" and (calls or m.get("refusal")), f"Invalid value for 'content': expected a string, got null. - '{where}'")
        elif isinstance(inner, list):
            need(inner, f"Invalid '{where}.content': empty array.")
            for i, p in enumerate(inner):
                part(f"{where}.content[{i}]", p, role)
        else:
            need(isinstance(inner, str), f"Invalid type for '{where}.content': expected one of a string or array of objects.")
        if role == "tool":
            need(m.get("tool_call_id") in waiting, f"Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'. - '{where}'")
            need(m["tool_call_id"] not in answered, f"Duplicate tool_call_id {m['tool_call_id']} - '{where}'")
            answered.add(m["tool_call_id"])
            continue
        lost = [i for i in waiting if i not in answered]
        need(not lost, "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
             f"The following tool_call_ids did not have response messages: {', '.join(lost)}")
        waiting, answered = [], set()
        if "tool_calls" in m:
            need(isinstance(calls, list) and calls, f"Invalid '{where}.tool_calls': empty array.")
            waiting = [call_of(f"{where}.tool_calls[{i}]", c) for i, c in enumerate(calls)]
            need(len(set(waiting)) == len(waiting), f"Duplicate tool call ids - '{where}'")
    lost = [i for i in waiting if i not in answered]
    need(not lost, "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
         f"The following tool_call_ids did not have response messages: {', '.join(lost)}")


def call_of(where, c):
    need(isinstance(c, dict) and c.get("type") == "function", f"Invalid value: '{where}.type'. Supported values are: 'function' and 'custom'.")
    need(set(c) <= {"id", "type", "function"}, f"Unknown parameter in '{where}'")
    need(isinstance(c.get("id"), str) and c["id"], f"Missing required parameter: '{where}.id'.")
    f = c.get("function") or {}
    need(isinstance(f.get("name"), str) and f["name"], f"Missing required parameter: '{where}.function.name'.")
    need(isinstance(f.get("arguments"), str), f"Invalid type for '{where}.function.arguments': expected a string.")
    return c["id"]

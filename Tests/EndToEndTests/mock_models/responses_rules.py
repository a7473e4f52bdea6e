"""What OpenAI's Responses API demands of a request, with the words it uses to refuse.

Parameters: openai-python, src/openai/types/responses/response_create_params.py, response_input_param.py, function_tool_param.py;
https://platform.openai.com/docs/api-reference/responses/create. The pairing of reasoning items with what follows them is as users
report it (vercel/ai#7099, continuedev/continue#11994).
"""
from __future__ import annotations

import re

from .chat_rules import Refused, data_url, decode, headers, need, schema

MEMBERS = set("""access_programs background context_management conversation include input instructions max_output_tokens max_tool_calls metadata model moderation
 parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream
 stream_options temperature text tool_choice tools top_logprobs top_p truncation user""".split())
ITEMS = {"message": {"type", "id", "role", "content", "status", "phase"}, "function_call": {"type", "id", "call_id", "name", "arguments", "status"},
         "function_call_output": {"type", "id", "call_id", "output", "status"}, "reasoning": {"type", "id", "summary", "encrypted_content", "content", "status"}}


def check(request, server):
    try:
        headers(request, server)
        body = request.json
        need(isinstance(body, dict), "We could not parse the JSON body of your request.")
        body_rules(body, server)
    except Refused as e:
        return e.status
    return None


def body_rules(body, server):
    for name in body:
        need(name in MEMBERS, f"Unknown parameter: '{name}'.", "unknown_parameter")
    need(isinstance(body.get("model"), str) and body["model"], "Missing required parameter: 'model'.", "missing_required_parameter")
    need(body.get("stream") is True, "stream: this server only streams")
    limit = body.get("max_output_tokens", 16)
    need(isinstance(limit, int) and not isinstance(limit, bool) and limit >= 16,
         f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {limit} instead.", "integer_below_min_value")
    t = body.get("temperature", 1)
    need(isinstance(t, (int, float)) and 0 <= t <= 2, "Invalid 'temperature'")
    need(body.get("instructions") is None or isinstance(body["instructions"], str), "Invalid type for 'instructions': expected a string.")
    reasoning = body.get("reasoning")
    if reasoning is not None:
        need(isinstance(reasoning, dict) and set(reasoning) <= {"effort", "summary", "context", "generate_summary", "mode"}, "Invalid 'reasoning'")
        need(reasoning.get("effort") in (None, "none", "minimal", "low", "medium", "high", "xhigh", "max"), "Invalid value for 'reasoning.effort'")
        need(reasoning.get("summary") in (None, "auto", "concise", "detailed"), "Invalid value for 'reasoning.summary'")
    need(isinstance(body.get("include", []), list), "Invalid 'include'")
    tools(body)
    items(body, server)


def tools(body):
    value = body.get("tools")
    if value is None:
        return
    need(isinstance(value, list), "Invalid type for 'tools': expected an array.")
    seen = set()
    for n, t in enumerate(value):
        need(isinstance(t, dict) and t.get("type") == "function", f"Invalid value: 'tools[{n}].type'")
        need("function" not in t and isinstance(t.get("name"), str), f"Missing required parameter: 'tools[{n}].name'.", "missing_required_parameter")
        need(set(t) <= {"type", "name", "description", "parameters", "strict", "defer_loading", "allowed_callers", "output_schema"}, f"Unknown parameter in 'tools[{n}]'")
        need(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", t["name"]), f"Invalid 'tools[{n}].name': string does not match pattern.")
        need(t["name"] not in seen, f"Duplicate function name {t['name']}")
        seen.add(t["name"])
        need("parameters" in t, f"Missing required parameter: 'tools[{n}].parameters'.")
        # The SDK's types require `strict`; left out, the service takes the schema as strict, which changes it.
        need("strict" in t, f"Missing required parameter: 'tools[{n}].strict'.", "missing_required_parameter")
        schema(t["name"], t["parameters"], t["strict"], "invalid_function_parameters")


def items(body, server):
    given = body.get("input")
    if isinstance(given, str):
        need(given, "Missing required parameter: 'input'.")
        return
    need(isinstance(given, list) and given, "Missing required parameter: 'input'.")
    calls, outputs, ids = [], [], set()
    for n, item in enumerate(given):
        where = f"input[{n}]"
        need(isinstance(item, dict), f"Invalid type for '{where}': expected an object.")
        kind = item.get("type") or ("message" if "role" in item else None)
        need(kind in ITEMS, f"Invalid value: '{kind}'. Supported values are: {sorted(ITEMS)}. - '{where}.type'", "invalid_value")
        for name in item:
            need(name in ITEMS[kind], f"Unknown parameter: '{where}.{name}'.", "unknown_parameter")
        if item.get("id") is not None:
            prefix = {"message": "msg", "function_call": "fc", "reasoning": "rs", "function_call_output": "fc"}[kind]
            need(str(item["id"]).startswith(prefix), f"Invalid '{where}.id': '{item['id']}'. Expected an ID that begins with '{prefix}'.", "invalid_value")
            need(item["id"] not in ids, f"Duplicate item found with id {item['id']}. Remove duplicate items from your input and try again.")
            ids.add(item["id"])
        if kind == "message":
            message(where, item)
        elif kind == "function_call":
            for name in ("call_id", "name", "arguments"):
                need(isinstance(item.get(name), str) and (item[name] or name == "arguments"), f"Missing required parameter: '{where}.{name}'.", "missing_required_parameter")
            need(item["call_id"] not in calls, f"Duplicate function call with call_id {item['call_id']}")
            calls.append(item["call_id"])
        elif kind == "function_call_output":
            need(item.get("call_id") in calls, f"No tool call found for function call output with call_id {item.get('call_id')}.")
            need(item["call_id"] not in outputs, f"Duplicate function call output with call_id {item['call_id']}")
            outputs.append(item["call_id"])
            output(where, item.get("output"))
        else:
            reasoning_item(where, item, given, n, body, server)
    for c in calls:
        need(c in outputs, f"No tool output found for function call {c}.")
    followed(given, server)


def message(where, item):
    role, inner = item.get("role"), item.get("content")
    need(role in ("user", "assistant", "system", "developer"), f"Invalid value: '{role}'. - '{where}.role'", "invalid_value")
    if isinstance(inner, str):
        return
    need(isinstance(inner, list) and inner, f"Missing required parameter: '{where}.content'.")
    allowed = {"output_text", "refusal"} if role == "assistant" else {"input_text", "input_image", "input_file", "input_audio"}
    for i, p in enumerate(inner):
        part(f"{where}.content[{i}]", p, allowed)


def part(where, p, allowed):
    kind = p.get("type") if isinstance(p, dict) else None
    need(kind in allowed, f"Invalid value: '{kind}'. Supported values are: {sorted(allowed)}. - '{where}.type'", "invalid_value")
    if kind in ("input_text", "output_text"):
        need(isinstance(p.get("text"), str) and set(p) <= {"type", "text", "annotations", "logprobs"}, f"Invalid '{where}.text'")
    elif kind == "refusal":
        need(isinstance(p.get("refusal"), str), f"Invalid '{where}.refusal'")
    elif kind == "input_image":
        need(set(p) <= {"type", "detail", "file_id", "image_url"} and isinstance(p.get("image_url"), str), f"Invalid type for '{where}.image_url': expected a string.")
        data_url(where, p["image_url"], "image/")
    elif kind == "input_file":
        need(set(p) <= {"type", "detail", "file_data", "file_id", "file_url", "filename"}, f"Unknown parameter in '{where}'")
        need("file_data" not in p or p.get("filename"), f"Missing required parameter: '{where}.filename'.", "missing_required_parameter")
        if "file_data" in p:
            data_url(where, p["file_data"], "", links=False)
    elif kind == "input_audio":
        a = p.get("input_audio") or {}
        need(a.get("format") in ("wav", "mp3"), f"Invalid value: '{where}.input_audio.format'.")
        decode(where, a.get("data"))


def output(where, value):
    if isinstance(value, str):
        return
    need(isinstance(value, list) and value, f"Invalid type for '{where}.output': expected one of a string or array of objects.")
    for i, p in enumerate(value):
        part(f"{where}.output[{i}]", p, {"input_text", "input_image", "input_file"})


def reasoning_item(where, item, given, n, body, server):
    need(isinstance(item.get("id"), str), f"Missing required parameter: '{where}.id'.")
    need(isinstance(item.get("summary"), list), f"Missing required parameter: '{where}.summary'.", "missing_required_parameter")
    for s in item["summary"]:
        need(isinstance(s, dict) and s.get("type") == "summary_text" and isinstance(s.get("text"), str), f"Invalid '{where}.summary'")
    sealed = item.get("encrypted_content")
    if body.get("store") is False:
        need(sealed, f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input.")
    if sealed:
        need(server.issued({k: item.get(k) for k in ("id", "summary", "encrypted_content")}), f"The encrypted content for item {item['id']} could not be verified.", "invalid_encrypted_content")
    need(n + 1 < len(given) and (given[n + 1].get("type") in ("function_call", "reasoning") or given[n + 1].get("role") == "assistant"),
         f"Item '{item['id']}' of type 'reasoning' was provided without its required following item.")


def followed(given, server):
    """What was issued in one response with reasoning comes back with it, in order."""
    for n, item in enumerate(given):
        if item.get("type") != "function_call":
            continue
        issued = server.issued_with(item["call_id"])
        if not issued:
            continue
        before = []
        for i in issued:
            if i.get("call_id") == item["call_id"]:
                break
            if i["type"] == "reasoning":
                before.append(i["id"])
        sent = [g.get("id") for g in given[:n] if g.get("type") == "reasoning"]
        for i in before:
            need(i in sent, f"Item '{item.get('id', item['call_id'])}' of type 'function_call' was provided without its required 'reasoning' item: '{i}'.")

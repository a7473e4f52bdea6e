"""What a request says, in words that are the same for every provider, so that one test judges all of them."""
from __future__ import annotations

import json
import re
from dataclasses import dataclass, field


@dataclass
class Said:
    """One message. Parts are ("text", text) | ("image" | "audio" | "document", media type, base 64) | ("other", value)."""
    role: str                                    # "user", "assistant", "tool"
    parts: list = field(default_factory=list)
    calls: list = field(default_factory=list)    # (name, arguments as a value), of an assistant
    ids: list = field(default_factory=list)      # of the calls, or of the call that a tool message answers
    thoughts: list = field(default_factory=list)  # what the provider wants back unchanged
    error: bool | None = None                    # None: this format has no such flag

    @property
    def text(self):
        return "".join(p[1] for p in self.parts if p[0] == "text")

    def kinds(self):
        return [p[0] for p in self.parts]


@dataclass
class View:
    system: str
    messages: list
    tools: dict

    @property
    def roles(self):
        return [m.role for m in self.messages]

    def of(self, role):
        return [m for m in self.messages if m.role == role]

    def result(self, call_id):
        return next(m for m in self.messages if m.role == "tool" and m.ids == [call_id])

    def everything(self):
        """All parts, of whichever message."""
        return [p for m in self.messages for p in m.parts]


def view(face, body):
    return {"anthropic": anthropic, "openai": chat, "openai-responses": responses, "parent": sampling}[face](body)


def text_of(value):
    return value if isinstance(value, str) else "".join(b["text"] for b in value or ())


def data_url(url):
    m = re.fullmatch(r"data:([^;]+);base64,(.*)", url, re.S)
    return m.groups() if m else (None, url)


# ---- Anthropic

def anthropic(body):
    messages = []
    for m in body["messages"]:
        blocks = [{"type": "text", "text": m["content"]}] if isinstance(m["content"], str) else m["content"]
        if m["role"] == "assistant":
            messages.append(Said("assistant", [("text", b["text"]) for b in blocks if b["type"] == "text"],
                                 [(b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"], [b["id"] for b in blocks if b["type"] == "tool_use"],
                                 [b for b in blocks if b["type"] in ("thinking", "redacted_thinking")]))
            continue
        rest = []
        for b in blocks:
            if b["type"] == "tool_result":
                inner = b.get("content") or []
                inner = [{"type": "text", "text": inner}] if isinstance(inner, str) else inner
                messages.append(Said("tool", [anthropic_part(p) for p in inner], ids=[b["tool_use_id"]], error=bool(b.get("is_error"))))
            else:
                rest.append(anthropic_part(b))
        if rest:
            messages.append(Said("user", rest))
    return View(text_of(body.get("system")), messages, {t["name"]: (t.get("description"), t["input_schema"]) for t in body.get("tools", ())})


def anthropic_part(b):
    if b["type"] == "text":
        return ("text", b["text"])
    s = b.get("source") or {}
    if b["type"] in ("image", "document") and "data" in s:
        return (b["type"], s["media_type"], s["data"])
    return ("other", b)


# ---- Chat Completions

def chat(body):
    system, messages = [], []
    for m in body["messages"]:
        inner = m.get("content") or []
        parts = [("text", inner)] if isinstance(inner, str) else [chat_part(p) for p in inner]
        if m["role"] in ("system", "developer"):
            system.append(text_of(m["content"]))
        elif m["role"] == "assistant":
            calls = m.get("tool_calls") or []
            messages.append(Said("assistant", [p for p in parts if p[1]], [(c["function"]["name"], value_of(c["function"]["arguments"])) for c in calls], [c["id"] for c in calls],
                                 [{k: m[k] for k in ("reasoning", "reasoning_content", "reasoning_details") if k in m}] if any("reasoning" in k for k in m) else []))
        elif m["role"] == "tool":
            messages.append(Said("tool", parts, ids=[m["tool_call_id"]]))
        else:
            messages.append(Said("user", parts))
    return View("".join(system), messages, {t["function"]["name"]: (t["function"].get("description"), t["function"].get("parameters")) for t in body.get("tools", ())})


def value_of(text):
    """The arguments of a call as a value; as text where they are no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def chat_part(p):
    if p["type"] == "text":
        return ("text", p["text"])
    if p["type"] == "image_url":
        return ("image", *data_url(p["image_url"]["url"]))
    if p["type"] == "input_audio":
        return ("audio", "audio/" + p["input_audio"]["format"], p["input_audio"]["data"])
    if p["type"] == "file" and "file_data" in p["file"]:
        return ("document", *data_url(p["file"]["file_data"]))
    return ("other", p)


# ---- Responses

def responses(body):
    system, messages = [body.get("instructions") or ""], []
    given = body["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        kind = item.get("type", "message")
        if kind == "message":
            inner = item["content"]
            parts = [("text", inner)] if isinstance(inner, str) else [responses_part(p) for p in inner]
            if item["role"] in ("system", "developer"):
                system.append("".join(p[1] for p in parts))
            elif item["role"] == "user":
                messages.append(Said("user", parts))
            else:
                last(messages).parts += parts
        elif kind == "reasoning":
            last(messages).thoughts.append(item)
        elif kind == "function_call":
            said = last(messages)
            said.calls.append((item["name"], value_of(item["arguments"])))
            said.ids.append(item["call_id"])
        else:
            out = item["output"]
            messages.append(Said("tool", [("text", out)] if isinstance(out, str) else [responses_part(p) for p in out], ids=[item["call_id"]]))
    return View("".join(system), messages, {t["name"]: (t.get("description"), t["parameters"]) for t in body.get("tools", ())})


def last(messages):
    """The assistant's message that an item belongs to."""
    if not messages or messages[-1].role != "assistant":
        messages.append(Said("assistant"))
    return messages[-1]


def responses_part(p):
    if p["type"] in ("input_text", "output_text"):
        return ("text", p["text"])
    if p["type"] == "input_image":
        return ("image", *data_url(p["image_url"]))
    if p["type"] == "input_file" and "file_data" in p:
        return ("document", *data_url(p["file_data"]))
    if p["type"] == "input_audio":
        return ("audio", "audio/" + p["input_audio"]["format"], p["input_audio"]["data"])
    return ("other", p)


# ---- MCP's sampling/createMessage

def sampling(body):
    messages = []
    for m in body["messages"]:
        blocks = m["content"] if isinstance(m["content"], list) else [m["content"]]
        if m["role"] == "assistant":
            uses = [b for b in blocks if b["type"] == "tool_use"]
            messages.append(Said("assistant", [sampling_part(b) for b in blocks if b["type"] != "tool_use"], [(b["name"], b["input"]) for b in uses], [b["id"] for b in uses]))
            continue
        rest = []
        for b in blocks:
            if b["type"] == "tool_result":
                messages.append(Said("tool", [sampling_part(p) for p in b.get("content") or ()], ids=[b["toolUseId"]], error=bool(b.get("isError"))))
            else:
                rest.append(sampling_part(b))
        if rest:
            messages.append(Said("user", rest))
    return View(body.get("systemPrompt") or "", messages, {t["name"]: (t.get("description"), t["inputSchema"]) for t in body.get("tools", ())})


def sampling_part(b):
    if b["type"] == "text":
        return ("text", b["text"])
    if b["type"] in ("image", "audio"):
        return (b["type"], b["mimeType"], b["data"])
    if b["type"] == "resource" and "blob" in b["resource"]:
        return ("document", b["resource"].get("mimeType"), b["resource"]["blob"])
    return ("other", b)

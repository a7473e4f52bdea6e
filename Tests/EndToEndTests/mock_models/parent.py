"""A parent that answers MCP's `sampling/createMessage` with the turns that a test has scripted.

Revision 2025-11-25: https://modelcontextprotocol.io/specification/2025-11-25/client/sampling (messages with tool results hold nothing
else; every tool_use has its result in the next message), and its schema: CreateMessageRequestParams, CreateMessageResult,
ToolUseContent, ToolResultContent, ToolChoice.
"""
from __future__ import annotations

import json
import threading
from collections import defaultdict, deque

from .request import Ids
from .sse import pieces
from .turns import Call, Silence, Status, Thought

STOP = {"end": "endTurn", "calls": "toolUse", "max_tokens": "maxTokens", "sequence": "stopSequence", "refusal": "refusal"}
BLOCKS = {"text": {"type", "text"}, "image": {"type", "data", "mimeType"}, "audio": {"type", "data", "mimeType"}, "tool_use": {"type", "id", "name", "input"},
          "tool_result": {"type", "toolUseId", "content", "structuredContent", "isError"}}
RESULT_BLOCKS = {**BLOCKS, "resource_link": {"type", "uri", "name", "title", "description", "mimeType", "size", "icons"}, "resource": {"type", "resource"}}


class Asked:
    """One request for a message."""

    def __init__(self, message):
        self.message, self.json = message, message.params
        self.problem = self.step = None

    @property
    def model(self):
        hints = (self.json.get("modelPreferences") or {}).get("hints") or [{}]
        return hints[0].get("name")


class ParentModel:
    """Answers for every bridge it is attached to. Scripts belong to the name in the request's model hints."""

    def __init__(self):
        self.scripts = defaultdict(deque)
        self.requests: list[Asked] = []
        self.ids = Ids()
        self.cond = threading.Condition()
        self.closing = threading.Event()
        self.errors: list[str] = []
        self.problems_expected = False
        self.stream = True

    def script(self, name, *steps):
        self.scripts[name].extend(steps)
        return name

    def requests_of(self, name):
        return [r for r in self.requests if r.model == name]

    def check(self):
        assert not self.errors, self.errors[:3]
        bad = [(r.model, r.problem, json.dumps(r.json)[:1500]) for r in self.requests if r.problem]
        assert self.problems_expected or not bad, bad[:3]

    def close(self):
        self.closing.set()

    def attach(self, bridge):
        threading.Thread(target=self._serve, args=(bridge,), daemon=True).start()
        return bridge

    def _serve(self, bridge):
        at = 0
        while not self.closing.is_set() and not bridge.eof:
            with bridge.cond:
                while at < len(bridge.messages) and not self._is_mine(bridge.messages[at]):
                    at += 1
                if at >= len(bridge.messages):
                    bridge.cond.wait(0.1)
                    continue
                message = bridge.messages[at]
                bridge.taken.add(message.i)
            at += 1
            threading.Thread(target=self._answer, args=(bridge, Asked(message)), daemon=True).start()

    @staticmethod
    def _is_mine(m):
        return m.is_request and m.method == "sampling/createMessage"

    def _answer(self, bridge, asked):
        with self.cond:
            steps = self.scripts.get(asked.model)
            asked.step = step = steps.popleft() if steps else None
            asked.problem = problem(asked.json)
            self.requests.append(asked)
            self.cond.notify_all()
        try:
            if getattr(step, "expect", None):
                try:
                    step.expect(asked)
                except AssertionError as e:
                    self.errors.append(f"expect of {asked.model}: {e}")
            if asked.problem or step is None:
                bridge.respond_error(asked.message, -32602, asked.problem or f"nothing is scripted for {asked.model!r} any more")
            elif isinstance(step, Status):
                bridge.respond_error(asked.message, -step.code, step.message or "the model is not there")
            elif isinstance(step, Silence):
                return
            else:
                self._turn(bridge, asked, step)
        except OSError:
            pass  # the bridge is gone

    def _turn(self, bridge, asked, turn):
        token = (asked.json.get("_meta") or {}).get("progressToken")
        content, n = [], 0
        for b in turn.blocks:
            if isinstance(b, Thought):
                continue
            if isinstance(b, Call):
                content.append({"type": "tool_use", "id": b.id or self.ids.next("use_"), "name": b.name, "input": b.arguments})
                continue
            content.append({"type": "text", "text": b if isinstance(b, str) else "".join(b)})
            for p in pieces(b) if self.stream and token is not None else ():
                n += 1
                bridge.notify("notifications/progress", {"progressToken": token, "progress": n, "message": p})
        body = content[0] if len(content) == 1 and content[0]["type"] == "text" else content
        bridge.respond(asked.message, {"role": "assistant", "content": body, "model": asked.model or "m", "stopReason": STOP[turn.reason]})


def problem(p):
    """What is wrong with the params, or None."""
    try:
        check(p)
    except AssertionError as e:
        return str(e) or "not legal"
    return None


def check(p):
    assert isinstance(p.get("maxTokens"), int) and p["maxTokens"] > 0, "maxTokens is required"
    assert set(p) <= {"messages", "modelPreferences", "systemPrompt", "includeContext", "temperature", "maxTokens", "stopSequences", "metadata", "tools", "toolChoice", "_meta"}, f"members: {list(p)}"
    assert isinstance(p.get("systemPrompt", ""), str), "systemPrompt"
    for t in p.get("tools") or ():
        assert isinstance(t.get("name"), str) and isinstance(t.get("inputSchema"), dict) and t["inputSchema"].get("type") == "object", f"tool {t}"
    assert (p.get("toolChoice") or {"mode": "auto"}).get("mode") in ("auto", "required", "none"), "toolChoice"
    messages = p.get("messages")
    assert isinstance(messages, list) and messages, "messages"
    waiting = []
    for n, m in enumerate(messages):
        assert set(m) <= {"role", "content", "_meta"} and m["role"] in ("user", "assistant"), f"messages[{n}]: {list(m)}"
        blocks = m["content"] if isinstance(m["content"], list) else [m["content"]]
        assert blocks, f"messages[{n}] is empty"
        for b in blocks:
            assert b.get("type") in BLOCKS, f"messages[{n}]: a block of type {b.get('type')}"
            assert set(b) - {"annotations", "_meta"} <= BLOCKS[b["type"]], f"messages[{n}]: {list(b)}"
        kinds = {b["type"] for b in blocks}
        results = [b for b in blocks if b["type"] == "tool_result"]
        if waiting:
            assert m["role"] == "user" and kinds == {"tool_result"}, f"messages[{n}]: tool results, and nothing else, must follow tool uses"
            assert sorted(b["toolUseId"] for b in results) == sorted(waiting), f"messages[{n}]: not exactly the results of the tool uses before"
        else:
            assert not results, f"messages[{n}]: a result without its use"
        for b in results:
            for c in b.get("content") or ():
                assert c.get("type") in RESULT_BLOCKS and c["type"] not in ("tool_use", "tool_result"), f"messages[{n}]: a result of type {c.get('type')}"
                assert set(c) - {"annotations", "_meta"} <= RESULT_BLOCKS[c["type"]], f"messages[{n}]: {list(c)}"
            assert isinstance(b.get("structuredContent", {}), dict), "structuredContent is an object in this revision"
        uses = [b for b in blocks if b["type"] == "tool_use"]
        assert not uses or m["role"] == "assistant", f"messages[{n}]: a use of a tool by the user"
        for b in uses:
            assert isinstance(b["input"], dict) and b["id"] and b["name"], f"messages[{n}]: {b}"
        waiting = [b["id"] for b in uses]
    assert messages[-1]["role"] == "user" and not waiting, "the last message is the user's"

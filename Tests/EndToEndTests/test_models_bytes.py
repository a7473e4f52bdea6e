"""A fault at every byte: an answer of each format is cut wherever it can be, and the run ends as if nothing had been.

By default the borders of the events and a sample of the rest; with --long every byte, and every way of cutting.
"""
import threading

import pytest

from harness import tool
from mock_models import Call, Thought, Turn, view
from mock_models.fixtures import http, streamed  # noqa: F401

LOOK = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
FIRST = Turn(blocks=[Thought("Where? ü 🙂"), "Grüße 🙂, \"I\" look.\n", Call("look", {"path": "ä/🙂.csv"}), Call("look", {"path": "b"})])
LAST = Turn("Fertig: drei Zeilen 🙂.")
# What must have come before an answer can be whole. Chat Completions is over with its finish_reason; the rest may be missing.
ENDS = {"anthropic": b"event: message_stop", "openai": b'"finish_reason":"', "openai-responses": b"event: response.completed"}


class Campaign:
    """Runs with one fault each, so many at a time, on one bridge."""

    def __init__(self, llm, at_once=32):
        self.llm, self.at_once = llm, at_once
        self.b = llm.parent(validate=False)
        self.b.auto_replay = False
        self.b.handlers["look"] = lambda p: {"content": "rows of " + p["arguments"]["path"]}
        self.bodies = {}
        self.whole = self.measure()

    def measure(self):
        """The bytes of the two answers: names of one length give answers of one length."""
        self.run([("whole-000000", 0, {})])
        return self.bodies["whole-000000"]

    def run(self, cases):
        """Cases are (name, which answer is broken the first time: 0 or 1, its wire)."""
        for at in range(0, len(cases), self.at_once):
            part = cases[at:at + self.at_once]
            going = []
            for name, which, wire in part:
                self.llm.server.answer(name, Once(self.llm.kind, which, wire))
                going.append((name, which, wire, self.b.start(f"{self.llm.kind}:{name}", [tool("look", LOOK)])))
            for name, which, wire, r in going:
                self.judge(name, which, wire, self.b.result(r, timeout=60))
            self.forget()

    def forget(self):
        """What is judged is not kept: a campaign of 20,000 runs fits in memory."""
        with self.b.cond:
            for kept in (self.b.events_by_run, self.b.messages, self.b.taken, self.b.invocations, self.b.sent, self.b.last_seq, self.b.methods, self.b.req_params):
                kept.clear()
        with self.llm.server.cond:
            self.llm.server.requests.clear()

    def judge(self, name, which, wire, o):
        run = o["runId"]
        assert (o["status"], o["answer"]) == ("success", LAST.whole_text), (name, o)
        events = self.b.events_by_run[run]
        done = [m.data for m in events if m.type == "model.completed"]
        assert [d["text"] for d in done] == [FIRST.whole_text, LAST.whole_text], (name, done)
        told = [m.data for m in events if m.type == "model.retried"]
        shown = {}
        for m in events:
            if m.type == "text.delta":
                shown[m.data["messageId"]] = shown.get(m.data["messageId"], "") + m.data["text"]
            elif m.type == "model.retried":
                shown.pop(m.data["messageId"], None)
        assert shown == {d["messageId"]: d["text"] for d in done}, (name, shown)
        asked = self.llm.server.requests_of(name)
        assert len(asked) == 2 + len(told), (name, asked, told)
        assert len(told) <= 1, (name, told)
        self.bodies = {name: [asked[0].out, asked[-1].out]}
        cut, body = wire.get("cut"), asked[-1 if which else 0].out
        if cut is None:
            assert not told, (name, told)
        elif cut <= body.rindex(ENDS[self.llm.kind]):
            assert len(told) == 1, f"{name}: an answer cut at byte {cut} of {len(body)} was taken for whole"
        made = [m.params["arguments"]["path"] for m in self.b.invocations if m.params["runId"] == run]
        assert sorted(made) == ["b", "ä/🙂.csv"], (name, made)
        assert o["usage"]["modelCalls"] == 2 and o["usage"]["toolCalls"] == 2, (name, o["usage"])


class Once:
    """Answers as FIRST before the tools' results and as LAST after them; one of the two is broken, the first time."""

    def __init__(self, kind, which, wire):
        self.kind, self.which, self.wire, self.used = kind, which, wire, False

    def __call__(self, request):
        at = 1 if view(self.kind, request.json).of("tool") else 0
        turn = (FIRST, LAST)[at]
        if at == self.which and not self.used:
            self.used = True
            return turn.with_(**self.wire)
        return turn


def cases(which, positions, how):
    return [(f"{which}{how[0]}{n:010d}", which, {"cut": n, "cut_how": how}) for n in positions]


def borders(body):
    at, found = 0, {0, 1, len(body) - 1, len(body)}
    while (at := body.find(b"\n\n", at)) >= 0:
        found |= {at - 1, at, at + 1, at + 2, at + 3}
        at += 1
    return found | {i for i, byte in enumerate(body) if byte >= 0x80}


@pytest.mark.parametrize("how", ["fin", "end"])
@pytest.mark.parametrize("which", [0, 1], ids=["calls", "text"])
def test_an_answer_cut_anywhere_does_no_harm(http, which, how):
    c = Campaign(http)
    body = c.whole[which]
    positions = sorted(p for p in borders(body) | set(range(0, len(body), 89)) if 0 <= p <= len(body))
    c.run(cases(which, positions[:: max(1, len(positions) // 90)], how))


@pytest.mark.long
@pytest.mark.parametrize("how", ["fin", "reset", "end"])
@pytest.mark.parametrize("which", [0, 1], ids=["calls", "text"])
def test_an_answer_cut_at_every_byte_does_no_harm(http, which, how):
    c = Campaign(http, at_once=64)
    c.run(cases(which, range(len(c.whole[which]) + 1), how))


def test_two_hundred_runs_at_once_with_faults_of_all_kinds(http):
    """Many models, many faults, one bridge: nothing is mixed up."""
    b = http.parent(validate=False)
    b.handlers["look"] = lambda p: {"content": p["arguments"]["path"]}
    going = []
    for i in range(200):
        call = Turn(f"look {i}", calls=[("look", {"path": str(i)})])
        steps = [call.with_(cut=60 + 3 * i), call] if i % 3 == 0 else [call.with_(piece=1 + i)] if i % 3 == 1 else [call.with_(hold=40 + i, gate=threading.Event(), cut=200 + i), call]
        for s in steps:
            if s.wire.gate:
                s.wire.gate.set()
        going.append((i, b.start(http.script(*steps, f"done {i}"), [tool("look", LOOK)])))
    for i, r in going:
        o = b.result(r, timeout=60)
        assert o["answer"] == f"done {i}", o
        assert sorted(streamed(b, o["runId"]).values()) == sorted([f"look {i}", f"done {i}"]), "\n".join(str((m.i, m.seq, m.type, m.data))[:200] for m in b.events(o["runId"]))
        assert [m.params["arguments"] for m in b.invocations if m.params["runId"] == o["runId"]] == [{"path": str(i)}]

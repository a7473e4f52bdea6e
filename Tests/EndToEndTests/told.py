"""A model in the parent that shows what it was offered and told, and a way to ask whether a kill changes that.

The turns of a model are chosen by how many answers it is shown (beside those that were there when it was asked first), so that a turn which
a killed process has asked for is answered alike when another process asks again.
"""
from __future__ import annotations

import json
import re
import threading
from collections import defaultdict

import pytest

from harness import Error, Never, say, until
from mock_models.parent import problem
from mock_models.views import view

ASKS = ("sampling/createMessage", "approval.request", "elicitation/create")
ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


class Seen:
    """One request for a turn: what is offered (`tools`), what is told (`system`, `messages`)."""

    def __init__(self, params, turn):
        self.params, self.turn = params, turn
        v = view("parent", params)
        self.tools, self.system, self.messages = v.tools, v.system, v.messages

    @property
    def names(self):
        """The names of what is offered. No provider takes one twice."""
        names = [t["name"] for t in self.params.get("tools", ())]
        assert len(names) == len(set(names)), names
        return names

    def says(self, name):
        """The description of an offered tool."""
        return self.tools[name][0]

    @property
    def results(self):
        """The tool results of the last batch, in order: (text, is it an error). What the user says may follow them."""
        found, after = [], True
        for m in reversed(self.messages):
            if m.role == "user" and after:
                continue
            if m.role != "tool":
                break
            after = False
            found.append((m.text, m.error))
        return found[::-1]

    @property
    def result(self):
        """The one result of the last batch."""
        (text, error), = self.results
        assert not error, text
        return text

    @property
    def failure(self):
        (text, error), = self.results
        assert error, text
        return text

    @property
    def text(self):
        """All that is told, as one text."""
        return "\n".join([self.system, *(p[1] for m in self.messages for p in m.parts if p[0] == "text")])

    @property
    def shape(self):
        """All of it but what differs from run to run: ids stand as the how-manieth they are."""
        ids = {}
        p = {k: v for k, v in self.params.items() if k != "_meta"}
        return ID.sub(lambda m: ids.setdefault(m.group(), f"id-{len(ids) + 1}"), json.dumps(p, ensure_ascii=False, indent=1))


class Parent:
    """A parent with models of its own. It answers sampling by the script, and what `replies` says for approvals and questions."""

    def __init__(self, lab):
        self.lab = lab
        self.scripts: dict[str, list] = {}
        self.seen: dict[str, list[Seen]] = defaultdict(list)
        self.problems: list[str] = []
        self.cond = threading.Condition()
        self.gates: dict[tuple[str, int], threading.Event] = {}
        self.replies: dict[str, object] = {}
        self.handlers: dict[str, object] = {}
        self.asked: dict[str, list] = defaultdict(list)
        self.count = 0
        self.base: dict[str, int] = {}

    # ---- models

    def script(self, *turns):
        """The turns of a new model; returns its name."""
        self.count += 1
        self.scripts[f"m{self.count}"] = [say(t) if isinstance(t, str) else t for t in turns]
        return f"parent:m{self.count}"

    def more(self, model, *turns):
        self.scripts[model.split(":")[1]] += [say(t) if isinstance(t, str) else t for t in turns]

    def hold(self, model, turn):
        """That turn is not answered before the returned event is set."""
        return self.gates.setdefault((model.split(":")[1], turn), threading.Event())

    def all_seen(self, model):
        with self.cond:
            return list(self.seen[model.split(":")[1]])

    def at(self, model, turn, timeout=None):
        """What the model was shown for its turn `turn` (from 0), the last time it was asked; waits for it."""
        def found():
            return [s for s in self.all_seen(model) if s.turn == turn]
        return until(found, f"turn {turn} of {model}", timeout)[-1]

    def shows(self, model):
        """What it was shown, turn by turn."""
        last = {s.turn: s for s in self.all_seen(model)}
        return [last[n] for n in sorted(last)]

    # ---- bridges

    def bridge(self, *args, tools=True, approvals=False, questions=False, sampling=True, capabilities=None, **kw):
        caps = {"tools": {}} if tools else {}
        if approvals:
            caps["approvals"] = {}
        if questions:
            caps["elicitation"] = {}
        if sampling:
            caps["sampling"] = {"tools": {}}
        b = self.lab.bridge(*args, capabilities={**caps, **(capabilities or {})}, **kw)
        b.handlers = self.handlers
        threading.Thread(target=self._serve, args=(b,), daemon=True).start()
        return b

    def on(self, name, answer):
        """What the tool `name` answers; a text, a result, or a function of the params."""
        self.handlers[name] = (lambda p: {"content": answer}) if isinstance(answer, str) else answer

    def _serve(self, b):
        at = 0
        while not b.eof:
            with b.cond:
                while at < len(b.messages) and not self._mine(b.messages[at]):
                    at += 1
                if at >= len(b.messages):
                    b.cond.wait(0.5)
                    continue
                m = b.messages[at]
                b.taken.add(m.i)
            at += 1
            threading.Thread(target=self._answer, args=(b, m), daemon=True).start()

    def _mine(self, m):
        return m.is_request and (m.method == "sampling/createMessage" or m.method in self.replies)

    def _answer(self, b, m):
        try:
            if m.method == "sampling/createMessage":
                self._turn(b, m)
                return
            self.asked[m.method].append(m)
            reply = self.replies[m.method]
            b.answer(m, reply(m.params) if callable(reply) and reply is not Never else reply)
        except (OSError, ValueError):
            pass  # the bridge is gone
        except AssertionError as e:
            self.problems.append(str(e))

    def _turn(self, b, m):
        p = m.params
        name = p["modelPreferences"]["hints"][0]["name"]
        turn = sum(1 for x in p["messages"] if x["role"] == "assistant")
        wrong = problem(p)
        with self.cond:
            turn -= self.base.setdefault(name, turn)
            self.seen[name].append(Seen(p, turn))
        if wrong:
            self.problems.append(f"{name}, turn {turn}: {wrong}: {json.dumps(p)[:1500]}")
        gate = self.gates.get((name, turn))
        if gate:
            gate.wait(60)
        steps = self.scripts[name]
        if turn >= len(steps):
            self.problems.append(f"{name}: nothing is scripted for turn {turn}")
            b.respond_error(m, -32602, "nothing is scripted")
            return
        step = steps[turn]
        if isinstance(step, Error):
            b.respond_error(m, step.code, step.message)
            return
        blocks = [{"type": "text", "text": step["text"]}] if "text" in step else []
        blocks += [{"type": "tool_use", "id": f"use_{turn}_{k}", "name": c["name"], "input": c["arguments"]} for k, c in enumerate(step.get("toolCalls", ()))]
        b.respond(m, {"role": "assistant", "content": blocks[0] if len(blocks) == 1 and "text" in step else blocks, "model": name,
                      "stopReason": "toolUse" if step.get("toolCalls") else "endTurn"})

    # ---- runs

    def start(self, b, model, input="go", agent=None, **more):
        """Sends run.start, and returns the request's id."""
        p = {"input": input, **more}
        if "agentId" not in p:
            p["agent"] = {"model": model, **(agent or {})}
        return b.request("run.start", p)

    def run(self, b, model, timeout=None, **more):
        return b.result(self.start(b, model, **more), timeout)

    def succeeds(self, b, model, **more):
        o = self.run(b, model, **more)
        assert o["status"] == "success", o
        return o

    def one(self, *turns, b=None, **more):
        """A whole run of a new model on a new bridge; what it was shown, turn by turn."""
        model = self.script(*turns)
        self.succeeds(b or self.bridge(), model, **more)
        return self.shows(model)

    def session(self, b, **more):
        return b.call("session.create", more)["sessionId"]

    def check(self):
        assert not self.problems, self.problems[:3]


@pytest.fixture
def told(lab):
    told = Parent(lab)
    yield told
    told.check()


def toolkit(name, *tools, **more):
    return {"name": name, "description": f"the toolkit {name}", "tools": list(tools), **more}


def opened(name, *tools, **more):
    """A toolkit that is open from the start."""
    return toolkit(name, *tools, startCollapsed=False, **more)


def skill(name, *references, **more):
    refs = [{"toolName": r} if isinstance(r, str) else {"toolName": r[1], "toolkitName": r[0]} for r in references]
    return {"name": name, "description": f"the skill {name}", "references": refs, **more}


def item(key, value, description=None):
    return {"key": key, "description": description or f"the item {key}", "value": value}


def refused(b, method, params, kinds, *words):
    """The request is refused with one of these kinds, and the message or the data name all of `words`."""
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    e = b.error_of(b.request(method, params, valid=False))
    assert e.kind in kinds, e.error
    for w in words:
        assert w in json.dumps(e.error, ensure_ascii=False), f"{w!r} is not named: {e.error}"
    return e


def nothing_ran(b):
    assert b.call("run.list")["runs"] == []


# ---------------------------------------------------------------- a kill between any two steps

def unchanged_by_kills(lab, story, capabilities=None):
    """Runs `story(parent) -> params of run.start` once undisturbed; then once for each event of its log, killing the process when that event
    is seen, and taking the run up in another one; and some times killing one process after the other. Whatever the model is shown must be the same, and so must the outcome."""
    count = [0]

    def drive(kill_after=None, again=False):
        count[0] += 1
        store = f"sqlite:{lab.path / f'kill-{count[0]}.db'}"
        parent = Parent(lab)
        params, prepare = story(parent)
        name = params["agent"]["model"]
        b = parent.bridge(store=store, **(capabilities or {}))
        if prepare:
            params = {**params, **(prepare(b) or {})}
        id = b.request("run.start", params)
        if kill_after is None:
            o = b.result(id)
        else:
            m = b.wait(lambda m: m.is_event and m.seq == kill_after, f"event {kill_after}")
            run, seq = m.run_id, kill_after
            while True:
                b.kill9()
                b = parent.bridge(store=store, **(capabilities or {}))
                id = b.request("run.resume", {"runId": run})
                if not again:
                    break
                # Three events later once more, so that each process gets something done.
                m = b.wait(lambda m: (m.is_response and m.id == id) or (m.is_event and (m.seq or 0) >= seq + 3), "the end, or another kill")
                if m.is_response:
                    break
                seq = m.seq
            o = b.result(id)
        parent.check()
        shown = defaultdict(set)
        for s in parent.all_seen(name):
            shown[s.turn].add(s.shape)
        result = (o["status"], o.get("answer"), dict(shown)), o, b.log(o["runId"]), parent.shows(name)
        b.finish()
        return result

    whole, outcome, log, shows = drive()
    assert outcome["status"] == "success", outcome
    assert all(len(s) == 1 for s in whole[2].values())
    plan = [(e["seq"], e["type"], False) for e in log[:-1]] + [(n, "again and again", True) for n in (1, 2, 3)]
    for seq, type, repeated in plan:
        again = drive(seq, repeated)[0]
        assert again[:2] == whole[:2], (seq, type, again[:2])
        for turn, shapes in again[2].items():
            assert shapes == whole[2][turn], f"killed after {seq} ({type}), turn {turn}:\n" + "\n---\n".join(shapes) + "\n=== undisturbed:\n" + "".join(whole[2][turn])
    return shows

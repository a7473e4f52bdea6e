"""Conversations that are longer than their model can read: `agent.compaction`."""
import json
import re
import threading

import pytest

from conversations import fork, messages, said, session
from harness import say, text_of, tool
from mock_models import Status, Turn, Usage, view
from mock_models.fixtures import http, retries  # noqa: F401

TOO_LONG = {
    "anthropic": Status(400, "prompt is too long: 210345 tokens > 200000 maximum"),
    "openai": Status(400, "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens.", error_code="context_length_exceeded"),
    "openai-responses": Status(400, "Your input exceeds the context window of this model.", error_code="context_length_exceeded"),
}
SUMMARY = "Summary of the conversation so far:"
LONG = " and so on" * 20


def size(view):
    return len(view.system) + sum(len(m.text) + len(json.dumps(m.calls)) for m in view.messages)


def small(llm, window, answer=None, meanwhile=None):
    """A model that reads so many characters. It says `re: ` and the first word it was told last, or what `answer(view)` says.
    What it says waits for `meanwhile(view)`."""
    def choose(request):
        seen = view(llm.kind, request.json)
        if meanwhile:
            meanwhile(seen)
        if size(seen) > window:
            return TOO_LONG[llm.kind]
        made = answer(seen) if answer else None
        return made or Turn(f"re: {seen.messages[-1].text.split()[0]}{LONG}")
    llm.count += 1
    model = f"{llm.kind}:small-{llm.count}"
    llm.server.answer(model.split(":")[1], choose)
    return model


def told(view):
    """The first words of what the model was shown."""
    return [" ".join(m.text.split()[:2 if m.text.startswith("re:") else 1]) for m in view.messages]


def speak(b, s, model, text, **agent):
    return b.run(model, input=text + LONG, sessionId=s, agent=agent)


def test_without_it_a_run_ends_with_an_error_that_says_so_and_the_log_keeps_all(http):
    model = small(http, 1000)
    b = http.bridge()
    s = session(b)
    outcomes = [speak(b, s, model, f"q{n}") for n in range(4)]
    assert [o["status"] for o in outcomes[:2]] == ["success"] * 2
    assert [o["error"]["kind"] for o in outcomes[2:]] == ["model.contextOverflow"] * 2
    assert not outcomes[3]["error"]["retryable"]
    assert [t.split()[0] for r, t in said(b, s) if r == "user"] == ["q0", "q1", "q2", "q3"]


def test_truncate_leaves_older_turns_out_and_the_session_keeps_them(http):
    model = small(http, 1500)
    b = http.bridge()
    s = session(b)
    for n in range(12):
        o = speak(b, s, model, f"q{n}", compaction="truncate")
        assert o["status"] == "success" and o["answer"].startswith(f"re: q{n}"), o
    shown = [v for v in http.views(model) if size(v) <= 1500]
    for n, v in enumerate(shown):
        # What is shown is the end of the conversation, from the beginning of a turn on.
        whole = [x for k in range(n + 1) for x in (f"q{k}", f"re: q{k}")][:-1]
        assert told(v) == whole[-len(v.messages):] and v.messages[0].role == "user"
    assert [t.split()[0] for r, t in said(b, s) if r == "user"] == [f"q{n}" for n in range(12)]
    assert len(said(b, s)) == 24


def test_a_run_that_made_room_says_so(http):
    model = small(http, 1000)
    b = http.bridge()
    s = session(b)
    for n in range(2):
        speak(b, s, model, f"q{n}", compaction="truncate")
    o = speak(b, s, model, "q2", compaction="truncate")
    said_so, = retries(b, o["runId"])
    assert said_so["attempt"] == 1 and re.search(r"context was full: \d+ older messages were left out", said_so["reason"]), said_so
    assert o["usage"]["modelCalls"] == 1


def test_what_was_left_out_once_stays_out_also_in_another_process(http):
    model = small(http, 1500)
    b = http.bridge()
    s = session(b)
    for n in range(8):
        speak(b, s, model, f"q{n}", compaction="truncate")
    last = told(http.views(model)[-1])
    c = http.bridge()
    before = len(http.views(model))
    o = speak(c, s, model, "q8", compaction="truncate")
    assert o["status"] == "success"
    first = http.views(model)[before]
    assert told(first) == last + ["re: q7", "q8"], (told(first), last)


def test_what_another_process_left_out_is_not_sent_by_one_that_had_it(http):
    model = small(http, 1500)
    b, c = http.bridge(), http.bridge()
    s = session(b)
    for n in range(2):
        speak(b, s, model, f"q{n}", compaction="truncate")
    for n in range(2, 9):
        speak(c, s, model, f"q{n}", compaction="truncate")
    last = told(http.views(model)[-1])
    assert last[0] != "q0"
    before = len(http.views(model))
    assert speak(b, s, model, "q9", compaction="truncate")["status"] == "success"
    assert told(http.views(model)[before]) == last + ["re: q8", "q9"]


def test_what_was_left_out_stays_out_of_a_long_session(http):
    """So many turns that a new process does not read the log of each."""
    turns = 40
    model = small(http, 3000)
    b = http.bridge()
    s = session(b)
    for n in range(turns):
        assert speak(b, s, model, f"q{n}", compaction="truncate")["status"] == "success"
    last = told(http.views(model)[-1])
    before = len(http.views(model))
    assert speak(http.bridge(), s, model, "new", compaction="truncate")["status"] == "success"
    assert told(http.views(model)[before]) == last + [f"re: q{turns - 1}", "new"]


def test_summarize_has_the_model_say_what_is_left_out(http):
    def answer(seen):
        if seen.messages[-1].text.startswith("Summarise the conversation above"):
            asked.append(seen)
            return Turn("They said much.", usage=Usage(fresh=100, output=7))
        return None
    asked = []
    model = small(http, 1400, answer)
    b = http.bridge()
    s = session(b)
    outcomes = [speak(b, s, model, f"q{n}", compaction="summarize") for n in range(5)]
    assert [o["status"] for o in outcomes] == ["success"] * 5
    assert asked and told(asked[0])[0] == "q0"
    made = next(o for o in outcomes if retries(b, o["runId"]))
    assert "were summarised" in retries(b, made["runId"])[0]["reason"]
    assert made["usage"]["inputTokens"] == 110 and made["usage"]["outputTokens"] == 12 and made["usage"]["modelCalls"] == 2
    shown = http.views(model)[-1]
    assert SUMMARY in shown.messages[0].text and "They said much." in shown.messages[0].text
    assert len(said(b, s)) == 10 and "They said much." not in str(messages(b, s))
    fresh = http.bridge()
    before = len(http.views(model))
    assert speak(fresh, s, model, "after", compaction="summarize")["status"] == "success"
    first = http.views(model)[before]
    assert "They said much." in first.messages[0].text


def test_a_summary_is_not_asked_with_the_tools_of_the_provider(http):
    model = small(http, 1500, lambda seen: Turn("Much.") if seen.messages[-1].text.startswith("Summarise the conversation above") else None)
    schema, named = {"type": "object", "properties": {}}, {"name": "web_search", "description": "the provider's"}
    entry = {
        "anthropic": {**named, "input_schema": schema},
        "openai": {"type": "function", "function": {**named, "parameters": schema}},
        "openai-responses": {"type": "function", **named, "parameters": schema, "strict": False},
    }[model.split(":")[0]]
    b = http.bridge()
    s = session(b)
    for n in range(5):
        assert speak(b, s, model, f"q{n}", compaction="summarize", providerOptions={"tools": [entry]})["status"] == "success"
    bodies = [json.dumps(m.json) for m in http.asked(model)]
    assert {("Summarise the conversation above" in body, "web_search" in body) for body in bodies} == {(True, False), (False, True)}


def test_when_no_summary_comes_the_messages_are_left_out(http):
    def answer(seen):
        if seen.messages[-1].text.startswith("Summarise the conversation above"):
            return Status(400, "no summaries today")
        return None
    model = small(http, 1400, answer)
    b = http.bridge()
    s = session(b)
    for n in range(5):
        o = speak(b, s, model, f"q{n}", compaction="summarize")
        assert o["status"] == "success", o
    assert all(SUMMARY not in m.text for m in http.views(model)[-1].messages)


@pytest.mark.parametrize("made", ["blank", "refused"])
def test_what_is_no_summary_does_not_stand_for_the_messages(http, made):
    refused = Turn("I cannot.", stop="refusal") if http.kind == "anthropic" else Turn(refusal="I cannot.")
    made = Turn("  \n ") if made == "blank" else refused
    model = small(http, 1400, lambda seen: made if seen.messages[-1].text.startswith("Summarise the conversation above") else None)
    b = http.bridge()
    s = session(b)
    for n in range(5):
        o = speak(b, s, model, f"q{n}", compaction="summarize")
        assert o["status"] == "success", o
        retried = retries(b, o["runId"])
        assert all("were left out" in r["reason"] for r in retried)
        # What the model was asked beside the turn counts too.
        assert o["usage"]["modelCalls"] == 1 + len(retried)
    assert len(http.views(model)) > 5 and all(SUMMARY not in m.text for m in http.views(model)[-1].messages)


def test_one_message_that_is_too_long_cannot_be_helped(http):
    model = small(http, 500)
    b = http.bridge()
    for strategy in ("truncate", "summarize"):
        o = b.run(model, input="x" * 600, agent={"compaction": strategy})
        assert o["error"]["kind"] == "model.contextOverflow", o


@pytest.mark.parametrize("strategy", ["truncate", "summarize"])
def test_a_call_is_never_parted_from_its_result(http, strategy):
    """One turn of many calls that becomes too long: the provider refuses a call without a result, and a result without a call."""
    def answer(seen):
        if seen.messages[-1].text.startswith("Summarise the conversation above"):
            return Turn("Much was looked at.")
        done = int(re.search(r"(\d+) seen", seen.messages[-1].text).group(1)) if seen.messages[-1].role == "tool" else -1
        return Turn("all seen") if done == 11 else Turn(f"step {done + 1}", calls=[("look", {"n": done + 1}), ("look", {"n": done + 1})])
    model = small(http, 2500, answer)
    b = http.parent()
    b.handlers["look"] = lambda p: {"content": f"{p['arguments']['n']} seen" + LONG}
    o = b.succeeds(model, [tool("look")], answer="all seen", input="look at all", agent={"compaction": strategy})
    assert o["usage"]["toolCalls"] == 24 and retries(b, o["runId"])
    for v in http.views(model):
        calls = [i for m in v.of("assistant") for i in m.ids]
        assert [i for m in v.of("tool") for i in m.ids] == calls
        assert v.messages[0].text.startswith("look at all") or SUMMARY in str(v.messages[:2]) or "Summarise" in v.messages[-1].text


def test_a_process_killed_after_it_made_room_is_followed_by_one_that_knows(http):
    model = small(http, 1500, lambda seen: Turn("", calls=["wait"]) if seen.messages[-1].text.startswith("wait") else None)
    b = http.bridge()
    s = session(b)
    for n in range(4):
        speak(b, s, model, f"q{n}", compaction="truncate")
    o = b.run(model, [tool("wait")], input="wait" + LONG * 2, sessionId=s, agent={"compaction": "truncate"})
    assert o["status"] == "waiting_client_tool" and retries(b, o["runId"])
    last = told(http.views(model)[-1])
    b.kill9()
    c = http.bridge()
    before = len(http.views(model))
    done = c.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "It is over."})
    assert done["status"] == "success"
    assert told(http.views(model)[before])[:len(last)] == last


def test_a_branch_of_a_compacted_conversation_has_all_its_messages(http):
    model = small(http, 1500)
    b = http.bridge()
    s = session(b)
    for n in range(6):
        speak(b, s, model, f"q{n}", compaction="truncate")
    branch = fork(b, s, messages(b, s)[-1])
    o = b.run(model, input="other" + LONG, sessionId=s, branchId=branch, agent={"compaction": "truncate"})
    assert o["status"] == "success" and o["answer"].startswith("re: other")
    assert [text_of(m["content"]).split()[0] for m in messages(b, s, branchId=branch) if m["role"] == "user"] == [f"q{n}" for n in range(6)] + ["other"]


def test_a_branch_has_the_summary_of_what_it_shares(http):
    def answer(seen):
        if seen.messages[-1].text.startswith("Summarise the conversation above"):
            return Turn("The password is KIWI.")
        return None
    model = small(http, 1400, answer)
    b = http.bridge()
    s = session(b)
    for n in range(5):
        assert speak(b, s, model, f"q{n}", compaction="summarize")["status"] == "success"
    said = messages(b, s)
    shown = http.views(model)[-1]
    assert "KIWI" in shown.messages[0].text
    last, early = fork(b, s, said[-1]), fork(b, s, said[1])
    for bridge in (b, http.bridge()):
        before = len(http.views(model))
        assert bridge.run(model, input="new" + LONG, sessionId=s, branchId=last, agent={"compaction": "summarize"})["status"] == "success"
        first = http.views(model)[before]
        assert told(first)[:len(shown.messages)] == told(shown) and "KIWI" in first.messages[0].text
        last = fork(b, s, said[-1])
    # What main made room for later is not the matter of a branch that has left it before.
    before = len(http.views(model))
    assert b.run(model, input="new" + LONG, sessionId=s, branchId=early, agent={"compaction": "summarize"})["status"] == "success"
    assert told(http.views(model)[before]) == ["q0", "re: q0", "new"]


@pytest.mark.parametrize("strategy", ["truncate", "summarize"])
def test_a_note_does_not_take_the_question_out_of_sight(http, strategy):
    def answer(seen):
        if seen.messages[-1].text.startswith("Summarise the conversation above"):
            return Turn("Much was looked at.")
        done = max([int(n) for m in seen.messages for n in re.findall(r"(\d+) seen", m.text)], default=-1)
        return Turn("all seen") if done == 11 else Turn(f"step {done + 1}", calls=[("look", {"n": done + 1})])
    model = small(http, 1800, answer)
    b = http.parent()

    def look(p):
        if p["arguments"]["n"] == 2:
            b.call("run.addNote", {"runId": p["runId"], "text": "hurry up"})
        return {"content": f"{p['arguments']['n']} seen" + LONG}
    b.handlers["look"] = look
    o = b.succeeds(model, [tool("look")], answer="all seen", input="look at all", agent={"compaction": strategy})
    assert retries(b, o["runId"])
    asked = [v for v in http.views(model) if not v.messages[-1].text.startswith("Summarise")]
    assert all(v.messages[0].text.startswith("look at all") for v in asked)


@pytest.mark.parametrize("word", ["shorten", "", 1, {}])
def test_a_strategy_that_is_none_is_refused(bridge, lab, word):
    e = bridge.error_of(bridge.request("run.start", {"input": "x", "agent": {"model": lab.script(say("x")), "compaction": word}}))
    assert e.kind == "invalidParams" and e.data["pointer"] == "/agent/compaction"


@pytest.mark.parametrize("strategy, held", [("truncate", "the call"), ("summarize", "the call"), ("summarize", "the summary")])
def test_a_pause_while_room_is_made_comes_before_the_next_model_call(http, strategy, held):
    def is_summary(seen):
        return seen.messages[-1].text.startswith("Summarise the conversation above")

    def meanwhile(seen):
        asked.append(seen)
        if is_summary(seen) if held == "the summary" else size(seen) > 1400:
            reached.set()
            gate.wait(60)
    asked, reached, gate = [], threading.Event(), threading.Event()
    model = small(http, 1400, lambda seen: Turn("They said much.") if is_summary(seen) else None, meanwhile)
    b = http.bridge()
    s = session(b)
    for n in range(3):
        assert speak(b, s, model, f"q{n}", compaction=strategy)["status"] == "success"
    assert not reached.is_set()
    i = b.start(model, input="q3" + LONG, sessionId=s, agent={"compaction": strategy})
    run = b.start_id(i)
    assert reached.wait(60)
    j = b.request("run.pause", {"runId": run})
    assert b.get(run)["status"] == "running"
    calls = len(asked)
    gate.set()
    o = b.result(j)
    assert o["status"] == "paused" and "error" not in o
    assert b.result(i)["status"] == "paused" and len(asked) == calls
    # A summary that is not there yet is asked for when the run goes on.
    assert len(retries(b, run)) == (0 if (strategy, held) == ("summarize", "the call") else 1)
    done = b.call("run.resume", {"runId": run})
    assert done["status"] == "success" and done["answer"].startswith("re: q3")
    assert [("were summarised" in r["reason"]) == (strategy == "summarize") for r in retries(b, run)] == [True]

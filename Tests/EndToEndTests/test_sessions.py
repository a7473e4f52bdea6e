"""Section 9: sessions, their turns, what they keep, and what is asked of them."""
import json
import time

import pytest

from conversations import (NOWHERE, asked, blocks, messages, offered, reply, said, seen, session, speak, state, subscribe, system, turn, window)
from harness import TIME, ULID, calls, say, sh, text_of, tool, until

KIT = {"name": "csv", "description": "CSV files", "tools": [tool("read_rows"), tool("write_rows")]}


# ---- create, get, list

def test_a_new_session(bridge, lab):
    made = bridge.call("session.create", {"metadata": {"user": "ada"}})
    assert set(made) == {"sessionId", "branchId"} and all(ULID.match(v) for v in made.values())
    got = bridge.call("session.get", {"sessionId": made["sessionId"]})
    assert got == {**made, "metadata": {"user": "ada"}, "createdAt": got["createdAt"], "branches": [{"branchId": made["branchId"], "turns": 0}],
                   "state": None, "context": [], "toolkits": [], "tools": []}
    assert TIME.match(got["createdAt"])
    assert bridge.call("session.messages", {"sessionId": made["sessionId"]}) == {"messages": []}
    other = lab.bridge()
    assert other.call("session.get", {"sessionId": made["sessionId"]}) == got
    assert other.call("session.list") == {"sessions": [{**made, "metadata": {"user": "ada"}, "createdAt": got["createdAt"]}]}


def test_a_session_needs_nothing(bridge):
    made = bridge.call("session.create")
    got = bridge.call("session.get", {"sessionId": made["sessionId"]})
    assert got.get("metadata", {}) == {} and "agentId" not in got


def test_a_session_in_a_store_in_memory(lab):
    b = window(lab, store="memory")
    s = session(b)
    speak(b, s, "one", "1")
    i = turn(b, s, "two")
    m = asked(b)
    assert seen(m) == [("user", "one"), ("assistant", "1"), ("user", "two")]
    reply(b, m, "2")
    b.result(i)
    assert said(b, s) == [("user", "one"), ("assistant", "1"), ("user", "two"), ("assistant", "2")]


@pytest.mark.parametrize("metadata", ["x", {"a": 1}, ["a"], {"a": None}])
def test_metadata_that_is_no_object_of_strings_is_refused(bridge, metadata):
    bridge.refuses("session.create", {"metadata": metadata}, ("/metadata", "/metadata/a"))
    assert bridge.call("session.list") == {"sessions": []}


def test_sessions_are_listed_newest_first_in_pages(bridge):
    assert bridge.call("session.list") == {"sessions": []}
    made = []
    for _ in range(7):
        made.append(session(bridge))
        time.sleep(0.002)  # ids sort by their millisecond
    whole = bridge.call("session.list", {})
    assert [x["sessionId"] for x in whole["sessions"]] == made[::-1] and "nextCursor" not in whole
    for limit in (1, 2, 3, 6, 7):
        found, cursor = [], None
        while True:
            page = bridge.call("session.list", {"limit": limit, **({"cursor": cursor} if cursor else {})})
            assert len(page["sessions"]) <= limit
            found += [x["sessionId"] for x in page["sessions"]]
            cursor = page.get("nextCursor")
            if not cursor:
                break
        assert found == made[::-1], limit
    bridge.refuses("session.list", {"cursor": "nonsense"}, "/cursor")
    bridge.refuses("session.list", {"limit": 0}, "/limit")


def test_a_session_made_between_two_pages_moves_nothing(bridge):
    made = [session(bridge) for _ in range(5)]
    first = bridge.call("session.list", {"limit": 2})
    session(bridge)
    rest = bridge.call("session.list", {"cursor": first["nextCursor"]})
    assert {x["sessionId"] for x in first["sessions"] + rest["sessions"]} == set(made)
    assert len(first["sessions"] + rest["sessions"]) == 5


# ---- what is not there

def test_an_unknown_session(bridge, lab):
    for method, more in (("session.get", {}), ("session.delete", {}), ("session.clear", {}), ("session.messages", {}), ("session.subscribe", {}),
                         ("session.fork", {"atMessageId": NOWHERE}), ("session.augment", {"augmentation": {"updateState": 1}}),
                         ("toolkit.list", {}), ("toolkit.register", {"toolkits": [KIT]}), ("toolkit.unregister", {"names": ["csv"]}),
                         ("tool.register", {"tools": [tool("t")]}), ("tool.unregister", {"names": ["t"]}),
                         ("run.start", {"input": "x", "agent": {"model": lab.script([say("ok")])}})):
        for id in (NOWHERE, "no ULID", ""):
            bridge.fails(method, {"sessionId": id, **more}, kind="session.notFound")
    assert bridge.call("run.list") == {"runs": []}
    assert bridge.call("run.list", {"sessionId": NOWHERE}) == {"runs": []}


@pytest.mark.parametrize("method,more", [("session.get", {}), ("session.delete", {}), ("session.clear", {}), ("session.messages", {}),
                                         ("session.subscribe", {}), ("session.fork", {"atMessageId": NOWHERE}), ("session.augment", {"augmentation": {}})])
def test_the_session_must_be_named_by_a_string(bridge, method, more):
    bridge.refuses(method, more, ("/sessionId", ""))
    bridge.refuses(method, {"sessionId": 7, **more}, "/sessionId")


def test_an_unknown_branch_is_refused_and_leaves_no_run(bridge, lab):
    s, other = session(bridge), bridge.call("session.create")
    for branch in (NOWHERE, "x", other["branchId"]):
        for method, more in (("session.get", {}), ("session.messages", {}), ("run.start", {"input": "x", "agent": {"model": lab.script([say("ok")])}})):
            e = bridge.fails(method, {"sessionId": s, "branchId": branch, **more})
            assert e.kind == "session.notFound" or e.kind == "invalidParams" and e.data["pointer"] == "/branchId", e.error
    assert bridge.call("run.list") == {"runs": []}


def test_a_branch_without_a_session_is_refused(bridge, lab):
    made = bridge.call("session.create")
    bridge.refuses("run.start", {"input": "x", "agent": {"model": lab.script([say("ok")])}, "branchId": made["branchId"]}, ("/branchId", "/sessionId"))
    assert bridge.call("run.list") == {"runs": []}


def test_a_turn_that_is_wrong_leaves_no_trace_in_the_session(bridge, lab):
    s = session(bridge)
    model = lab.script([say("ok")])
    bridge.fails("run.start", {"input": "x", "sessionId": s}, kind="invalidParams", valid=False)
    bridge.fails("run.start", {"input": "x", "sessionId": s, "agent": {"model": "nobody:x"}}, kind="model.unknownProvider")
    bridge.fails("run.start", {"input": "x", "sessionId": s, "agent": {"model": model}, "tools": [tool("t", {"type": 7})]}, kind="tool.invalidSchema")
    bridge.fails("run.start", {"input": "x", "sessionId": s, "agentId": NOWHERE}, kind="agent.notFound")
    bridge.fails("run.start", {"input": "x", "sessionId": s, "agent": {"model": model}, "augmentation": {"expandToolkits": ["none"]}}, kind="toolkit.notFound")
    assert bridge.call("run.list", {"sessionId": s}) == {"runs": []} and messages(bridge, s) == []
    assert bridge.call("session.get", {"sessionId": s})["branches"][0]["turns"] == 0
    assert bridge.succeeds(model, sessionId=s)["sessionId"] == s


# ---- turns

def test_a_turn_goes_on_where_the_last_one_ended(lab):
    b = window(lab)
    s = session(b)
    for n in range(4):
        i = turn(b, s, f"question {n}")
        m = asked(b)
        assert seen(m) == [x for k in range(n) for x in (("user", f"question {k}"), ("assistant", f"answer {k}"))] + [("user", f"question {n}")]
        reply(b, m, f"answer {n}")
        o = b.result(i)
        assert o["sessionId"] == s and b.get(o["runId"])["sessionId"] == s
    assert said(b, s) == [x for k in range(4) for x in (("user", f"question {k}"), ("assistant", f"answer {k}"))]
    assert b.call("session.get", {"sessionId": s})["branches"][0]["turns"] == 4


def test_a_turn_in_another_process_after_a_kill(lab):
    a = window(lab)
    s = session(a)
    speak(a, s, "one", "1")
    a.kill9()
    b = window(lab)
    i = turn(b, s, "two")
    m = asked(b)
    assert seen(m) == [("user", "one"), ("assistant", "1"), ("user", "two")]
    reply(b, m, "2")
    assert b.result(i)["answer"] == "2"


def test_two_processes_take_turns(lab):
    a, b = window(lab), window(lab)
    s = session(a)
    for n in range(6):
        speak((a, b)[n % 2], s, f"q{n}", f"a{n}")
    expected = [x for n in range(6) for x in (("user", f"q{n}"), ("assistant", f"a{n}"))]
    assert said(a, s) == said(b, s) == expected


def test_the_main_branch_by_name_is_the_main_branch(lab):
    b = window(lab)
    made = b.call("session.create")
    speak(b, made["sessionId"], "one", "1")
    speak(b, made["sessionId"], "two", "2", branchId=made["branchId"])
    assert said(b, made["sessionId"]) == said(b, made["sessionId"], branchId=made["branchId"]) \
        == [("user", "one"), ("assistant", "1"), ("user", "two"), ("assistant", "2")]


def test_instructions_are_those_of_the_run_alone(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "one", agent={"instructions": "Speak Latin."})
    m = asked(b)
    assert system(m) == "Speak Latin."
    reply(b, m, "unus")
    b.result(i)
    i = turn(b, s, "two", agent={"instructions": "Speak Greek."})
    m = asked(b)
    assert system(m) == "Speak Greek." and seen(m) == [("user", "one"), ("assistant", "unus"), ("user", "two")]
    reply(b, m, "duo")
    b.result(i)


def test_the_turns_of_a_session_use_its_agent(lab):
    b = window(lab)
    a = b.call("agent.create", {"agent": {"model": "parent:m", "instructions": "Be brief."}})["agentId"]
    s = session(b, agentId=a)
    assert b.call("session.get", {"sessionId": s})["agentId"] == a
    assert b.call("session.list")["sessions"][0]["agentId"] == a
    i = b.request("run.start", {"input": "hello", "sessionId": s})
    m = asked(b)
    assert system(m) == "Be brief."
    reply(b, m, "hi")
    assert b.result(i)["agentId"] == a
    b.call("agent.update", {"agentId": a, "agent": {"model": "parent:m", "instructions": "Be long."}})
    i = b.request("run.start", {"input": "hello", "sessionId": s})
    m = asked(b)
    assert system(m) == "Be long."
    reply(b, m, "hi")
    b.result(i)
    i = turn(b, s, "own agent", agent={"instructions": "Own."})
    m = asked(b)
    assert system(m) == "Own."
    reply(b, m, "hi")
    assert "agentId" not in b.result(i)


def test_a_session_of_an_unknown_agent_is_not_made(bridge):
    bridge.fails("session.create", {"agentId": NOWHERE}, kind="agent.notFound")
    assert bridge.call("session.list") == {"sessions": []}


def test_tools_are_called_with_the_session_and_their_results_stay(lab):
    b = window(lab, capabilities={"tools": {}})
    s = session(b)
    i = turn(b, s, "count", tools=[tool("rows", {"type": "object", "properties": {"n": {"type": "number"}}}), sh("disk", "echo full")])
    reply(b, asked(b), "I look.", calls=[("rows", {"n": 1}), "disk"])
    invoke = b.next_invoke("rows")
    assert invoke.params["sessionId"] == s
    b.respond(invoke, {"content": "two rows", "structuredContent": {"rows": 2}})
    reply(b, asked(b), "Two.")
    run = b.result(i)["runId"]
    i = turn(b, s, "again?")
    m = asked(b)
    assert offered(m) == []
    assert [x[0] for x in seen(m)] == ["user", "assistant", "assistant", "assistant", "user", "user", "assistant", "user"]
    assert ("user", "= two rows") in seen(m) and any(t.startswith("= ") and "full" in t for _, t in seen(m))
    reply(b, m, "No.")
    b.result(i)
    got = messages(b, s)
    assert [x["role"] for x in got] == ["user", "assistant", "tool", "tool", "assistant", "user", "assistant"]
    assert len({x["id"] for x in got}) == 7 and all(ULID.match(x["id"]) for x in got)
    assert [c["name"] for c in got[1]["toolCalls"]] == ["rows", "disk"] == [got[2]["name"], got[3]["name"]]
    assert [c["callId"] for c in got[1]["toolCalls"]] == [got[2]["callId"], got[3]["callId"]]
    assert got[1]["toolCalls"][0]["arguments"] == {"n": 1} and got[2]["structuredContent"] == {"rows": 2}
    assert text_of(got[1]["content"]) == "I look." and text_of(got[2]["content"]) == "two rows"
    assert "full" in "".join(got[3].get("stdout", [])) + text_of(got[3]["content"])
    assert {x["runId"] for x in got[:5]} == {run} and len({x["runId"] for x in got}) == 2
    assert lab.bridge().call("session.messages", {"sessionId": s}) == {"messages": got}


def test_what_is_carried_stays_exact_in_the_messages(lab):
    b = lab.bridge()
    s = session(b)
    arguments, result = '{"b":0.10,"a":18446744073709551615}', '{"z":0.10,"y":18446744073709551615,"x":"\\u0000"}'
    o = b.run(['{"toolCalls":[{"name":"t","arguments":%s}]}' % arguments, say("done")], [tool("t")], sessionId=s)
    call = o["pendingToolCalls"][0]["callId"]
    b.result(b.request_raw("run.submitToolResults", f'{{"runId":"{o["runId"]}","results":[{{"callId":"{call}","structuredContent":{result}}}]}}'))
    for one in (b, lab.bridge()):
        m = one.wait_response(one.request("session.messages", {"sessionId": s}))
        assert m.raw_at("result", "messages", 1, "toolCalls", 0, "arguments") == arguments
        assert m.raw_at("result", "messages", 2, "structuredContent") == result


def test_an_input_of_several_messages_is_that_many(lab):
    b = window(lab)
    s = session(b)
    i = b.start("parent:m", input=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}], sessionId=s)
    m = asked(b)
    assert seen(m) == [("user", "a"), ("assistant", "b"), ("user", "c")]
    reply(b, m, "d")
    b.result(i)
    assert said(b, s) == [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    assert len({x["id"] for x in messages(b, s)}) == 4


def test_an_input_of_blocks_is_one_message(lab):
    b = window(lab)
    s = session(b)
    image = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}
    i = b.start("parent:m", input=[{"type": "text", "text": "see"}, image], sessionId=s)
    m = asked(b)
    assert seen(m) == [("user", "see"), ("user", "<image>")]
    reply(b, m, "a picture")
    b.result(i)
    assert messages(b, s)[0]["content"] == [{"type": "text", "text": "see"}, image]


def test_pages_of_messages(lab):
    b = lab.bridge()
    s = session(b)
    many = [{"role": ("user", "assistant")[n % 2], "content": f"m{n}"} for n in range(251)]
    b.succeeds([say("end")], input=many, sessionId=s)
    b.succeeds([say("end 2")], input="more", sessionId=s)
    expected = [f"m{n}" for n in range(251)] + ["end", "more", "end 2"]
    first = b.call("session.messages", {"sessionId": s})
    assert len(first["messages"]) == 100 and "nextCursor" in first
    whole = messages(b, s)
    assert [text_of(m["content"]) for m in whole] == expected
    assert len({m["id"] for m in whole}) == len(whole)
    for limit in (1, 7, 100, 250, 254, 1000):
        assert messages(b, s, limit=limit) == whole, limit
    b.refuses("session.messages", {"sessionId": s, "cursor": "nonsense"}, "/cursor")
    b.refuses("session.messages", {"sessionId": s, "limit": 0}, "/limit")


def test_a_page_cut_before_a_new_turn_goes_on_after_it(lab):
    b = lab.bridge()
    s = session(b)
    for n in range(3):
        b.succeeds([say(f"a{n}")], input=f"q{n}", sessionId=s)
    first = b.call("session.messages", {"sessionId": s, "limit": 4})
    b.succeeds([say("a3")], input="q3", sessionId=s)
    rest = b.call("session.messages", {"sessionId": s, "cursor": first["nextCursor"]})
    assert [text_of(m["content"]) for m in first["messages"] + rest["messages"]] == ["q0", "a0", "q1", "a1", "q2", "a2", "q3", "a3"]


def test_big_messages_come_back_whole(lab):
    b = lab.bridge()
    s = session(b)
    big = "x" * 200_000 + "end"
    b.succeeds([say("ok", expect={"role": "user", "content": big})], input=big, sessionId=s)
    b.succeeds([say("ok")], input="more", sessionId=s)
    got = b.whole(messages(b, s))
    assert text_of(got[0]["content"]) == big


# ---- turns that go wrong

def test_a_turn_that_ended_with_open_calls_leaves_a_complete_transcript(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "one", tools=[tool("t")])
    reply(b, asked(b), "calling", calls=["t", "t"])
    o = b.result(i)
    assert o["status"] == "waiting_client_tool"
    b.call("run.cancel", {"runId": o["runId"], "reason": "enough"})
    got = messages(b, s)
    assert [m["role"] for m in got] == ["user", "assistant", "tool", "tool"] and all(m["isError"] for m in got[2:])
    i = turn(b, s, "two")
    m = asked(b)
    shown = [x for message in m.params["messages"] for x in blocks(message)]
    uses = [x["id"] for x in shown if x["type"] == "tool_use"]
    results = [x["toolUseId"] for x in shown if x["type"] == "tool_result"]
    assert sorted(uses) == sorted(results) and len(uses) == 2
    assert seen(m)[-1] == ("user", "two")
    reply(b, m, "fine")
    assert b.result(i)["status"] == "success"


def test_after_an_error_the_session_goes_on(lab):
    b = window(lab)
    s = session(b)
    o = b.run([], input="broken", sessionId=s)
    assert o["status"] == "error"
    i = turn(b, s, "two")
    m = asked(b)
    assert seen(m)[-1] == ("user", "two") and ("user", "broken") in seen(m)
    reply(b, m, "fine")
    assert b.result(i)["status"] == "success"


def test_a_turn_cut_off_by_a_cancel_does_not_spoil_the_next(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "one")
    m = asked(b)
    b.notify("notifications/progress", {"progressToken": m.params["_meta"]["progressToken"], "progress": 1, "message": "half a sen"})
    b.wait_event("text.delta")
    b.call("run.cancel", {"runId": b.start_id(i)})
    assert b.result(i)["status"] == "cancelled"
    i = turn(b, s, "two")
    m = asked(b)
    assert seen(m)[0] == ("user", "one") and seen(m)[-1] == ("user", "two")
    reply(b, m, "fine")
    assert b.result(i)["status"] == "success"


def test_an_iteration_limit_ends_a_turn_and_the_next_goes_on(lab):
    b = window(lab)
    s = session(b)
    o = b.run([calls("t"), say("never")], [sh("t", "echo done")], input="one", sessionId=s, limits={"maxIterations": 1})
    assert o["status"] == "max_iterations"
    i = turn(b, s, "two")
    m = asked(b)
    assert [x for x in seen(m) if x[1].startswith("= ")] and seen(m)[-1] == ("user", "two")
    reply(b, m, "fine")
    assert b.result(i)["status"] == "success"


# ---- run.list, run.delete, idempotencyKey

def test_the_runs_of_a_session(lab):
    b = lab.bridge()
    s, other = session(b), session(b)
    mine = [b.succeeds([say("ok")], sessionId=s)["runId"] for _ in range(5)]
    b.succeeds([say("ok")], sessionId=other)
    b.succeeds([say("ok")])
    assert [r["runId"] for r in b.call("run.list", {"sessionId": s})["runs"]] == mine[::-1]
    assert all(r["sessionId"] == s for r in b.call("run.list", {"sessionId": s})["runs"])
    found, cursor = [], None
    while True:
        page = b.call("run.list", {"sessionId": s, "limit": 2, "status": "success", **({"cursor": cursor} if cursor else {})})
        found += [r["runId"] for r in page["runs"]]
        cursor = page.get("nextCursor")
        if not cursor:
            break
    assert found == mine[::-1]
    assert b.call("run.list", {"sessionId": s, "status": "error"}) == {"runs": []}


def test_a_run_of_a_session_may_be_deleted(lab):
    b = window(lab)
    s = session(b)
    speak(b, s, "one", "1")
    gone = speak(b, s, "two", "2")["runId"]
    speak(b, s, "three", "3")
    b.call("run.delete", {"runId": gone})
    b.fails("run.get", {"runId": gone}, kind="run.notFound")
    i = turn(b, s, "four")
    m = asked(b)
    assert seen(m)[-1] == ("user", "four") and ("user", "one") in seen(m) and ("user", "three") in seen(m)
    shown = seen(m)
    reply(b, m, "4")
    assert b.result(i)["status"] == "success"
    assert said(b, s) == shown + [("assistant", "4")]


def test_the_same_key_is_the_same_turn(lab):
    b = lab.bridge()
    s = session(b)
    p = b.params([say("ok")], input="once", sessionId=s, idempotencyKey="k")
    first = b.call("run.start", p)
    assert b.call("run.start", p)["runId"] == first["runId"] == lab.bridge().call("run.start", p)["runId"]
    assert said(b, s) == [("user", "once"), ("assistant", "ok")]
    b.fails("run.start", {**p, "sessionId": session(b)}, kind="run.idempotencyConflict")


# ---- clear

def test_a_cleared_session_begins_anew(lab):
    b, other = window(lab), window(lab)
    s = session(b)
    change = {"updateState": {"n": 1}, "addContext": [{"key": "k", "description": "d", "value": "v"}]}
    old = speak(b, s, "one", "1", toolkits=[KIT], augmentation=change)["runId"]
    before = b.call("session.get", {"sessionId": s})
    assert b.call("session.clear", {"sessionId": s}) == {}
    assert messages(b, s) == [] == messages(other, s)
    after = b.call("session.get", {"sessionId": s})
    for member in ("state", "context", "toolkits", "tools", "createdAt", "branchId"):
        assert after[member] == before[member], member
    assert b.get(old)["status"] == "success"
    i = turn(other, s, "two")
    m = asked(other)
    assert seen(m) == [("user", "two")] and offered(m) == ["csv"]
    reply(other, m, "2")
    other.result(i)
    assert said(b, s) == [("user", "two"), ("assistant", "2")]


def test_a_clear_is_seen_by_observers_in_all_processes(lab):
    a, b, c = lab.bridge(), lab.bridge(), lab.bridge()
    s = session(a)
    a.succeeds([say("ok")], sessionId=s)
    subscribe(a, s), subscribe(b, s)
    c.call("session.clear", {"sessionId": s})
    for one in (a, b):
        m = one.wait(lambda m: m.method == "session.event", "session.event")
        assert m.params["sessionId"] == s and m.params["type"] == "session.cleared" and TIME.match(m.params["time"])
    b.succeeds([say("ok")], sessionId=s)
    c.call("session.clear", {"sessionId": s})
    for one in (a, b):
        until(lambda: len(one.collect(lambda m: m.method == "session.event")) == 2, "the second session.event")
    c.ping()
    assert not c.collect(lambda m: m.method == "session.event")


def test_an_observer_sees_its_own_clear(lab):
    b = lab.bridge()
    s = session(b)
    b.succeeds([say("ok")], sessionId=s)
    subscribe(b, s)
    b.call("session.clear", {"sessionId": s})
    assert b.wait(lambda m: m.method == "session.event", "session.event").params["type"] == "session.cleared"


def test_a_clear_while_a_turn_is_at_work(lab):
    b = window(lab)
    s = session(b)
    speak(b, s, "one", "1")
    i = turn(b, s, "two")
    m = asked(b)
    b.call("session.clear", {"sessionId": s})
    reply(b, m, "2")
    assert b.result(i)["status"] == "success"
    after = said(b, s)
    assert ("user", "one") not in after and after in ([], [("user", "two"), ("assistant", "2")], [("assistant", "2")]), after
    i = turn(b, s, "three")
    m = asked(b)
    assert seen(m) == after + [("user", "three")]
    reply(b, m, "3")
    assert b.result(i)["status"] == "success"


# ---- delete

def test_a_deleted_session_takes_what_belongs_to_it(lab):
    b, other = lab.bridge(), lab.bridge()
    s, kept = session(b), session(b)
    runs = [b.succeeds([say("ok")], sessionId=s)["runId"] for _ in range(3)]
    stays = b.succeeds([say("ok")], sessionId=kept)["runId"]
    assert b.call("session.delete", {"sessionId": s}) == {}
    for one in (b, other):
        for run in runs:
            one.fails("run.get", {"runId": run}, kind="run.notFound")
            one.fails("run.events", {"runId": run}, kind="run.notFound")
        for method in ("session.get", "session.messages", "session.delete", "session.clear"):
            one.fails(method, {"sessionId": s}, kind="session.notFound")
        assert [x["sessionId"] for x in one.call("session.list")["sessions"]] == [kept]
        assert one.call("run.list", {"sessionId": s}) == {"runs": []}
        assert [r["runId"] for r in one.call("run.list")["runs"]] == [stays]
        one.fails("run.start", {"input": "x", "sessionId": s, "agent": {"model": lab.script([say("ok")])}}, kind="session.notFound")


def test_a_session_with_a_live_run_is_not_deleted(lab):
    b, other = window(lab), lab.bridge()
    s = session(b)
    i = turn(b, s, "one")
    m = asked(b)
    for one in (b, other):
        one.fails("session.delete", {"sessionId": s}, kind="invalidRequest")
    reply(b, m, "calling", calls=())
    b.result(i)
    w = b.run([calls("t"), say("x")], [tool("t")], sessionId=s)
    queued = b.run([say("x")], sessionId=s)
    assert (w["status"], queued["status"]) == ("waiting_client_tool", "queued")
    other.fails("session.delete", {"sessionId": s}, kind="invalidRequest")
    b.call("run.cancel", {"runId": queued["runId"]})
    other.fails("session.delete", {"sessionId": s}, kind="invalidRequest")
    b.call("run.cancel", {"runId": w["runId"]})
    assert other.call("session.delete", {"sessionId": s}) == {}
    b.fails("run.get", {"runId": w["runId"]}, kind="run.notFound")


def test_a_key_of_a_deleted_session_is_free(lab):
    b = lab.bridge()
    s = session(b)
    model = lab.script([say("ok")])
    first = b.succeeds(model, sessionId=s, idempotencyKey="k")["runId"]
    b.call("session.delete", {"sessionId": s})
    assert b.succeeds(model, idempotencyKey="k")["runId"] != first


# ---- what a session keeps: toolkits, state, context; not the plain tools

def test_toolkits_persist_and_plain_tools_do_not(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "one", tools=[tool("plain")], toolkits=[KIT])
    m = asked(b)
    assert sorted(offered(m)) == ["csv", "plain"]
    reply(b, m, "1")
    b.result(i)
    c = window(lab)
    i = turn(c, s, "two")
    m = asked(c)
    assert offered(m) == ["csv"]
    reply(c, m, "2")
    c.result(i)
    assert [t["name"] for t in c.call("session.get", {"sessionId": s})["tools"]] == ["csv"]
    assert [t["name"] for t in c.call("toolkit.list", {"sessionId": s})["tools"]] == ["csv"]


def test_what_was_expanded_stays_expanded(lab):
    b = window(lab, capabilities={"tools": {}})
    s = session(b)
    i = turn(b, s, "one", toolkits=[{**KIT, "systemPrompt": "Rows count from 1."}])
    m = asked(b)
    assert "Rows count from 1." not in system(m)
    reply(b, m, calls=["csv"])
    m = asked(b)
    assert set(offered(m)) >= {"read_rows", "write_rows"} and "Rows count from 1." in system(m)
    reply(b, m, "1")
    b.result(i)
    c = window(lab, capabilities={"tools": {}})
    i = turn(c, s, "two")
    m = asked(c)
    assert set(offered(m)) >= {"read_rows", "write_rows"} and "Rows count from 1." in system(m)
    reply(c, m, "2")
    c.result(i)
    assert {t["name"] for t in b.call("session.get", {"sessionId": s})["tools"]} >= {"read_rows", "write_rows"}


def test_state_and_context_persist_and_are_shown(lab):
    b = window(lab, capabilities={"tools": {}})
    s = session(b)
    item = {"key": "file", "description": "The open file.", "value": "sales.csv"}
    i = turn(b, s, "one", tools=[tool("t")], augmentation={"updateState": {"sheet": "quarter-3", "n": 1}, "addContext": [item]})
    m = asked(b)
    assert "quarter-3" in json.dumps(m.params) and "sales.csv" in json.dumps(m.params)
    reply(b, m, calls=["t"])
    b.respond(b.next_invoke("t"), {"content": "ok", "augmentation": {"patchState": {"sheet": "quarter-4", "n": None}}})
    m = asked(b)
    assert "quarter-4" in json.dumps(m.params)
    reply(b, m, "1")
    b.result(i)
    assert state(b, s) == ({"sheet": "quarter-4"}, [item])
    c = window(lab)
    assert state(c, s) == ({"sheet": "quarter-4"}, [item])
    i = turn(c, s, "two")
    m = asked(c)
    text = json.dumps(m.params)
    assert "quarter-4" in text and "sales.csv" in text and "quarter-3" not in text
    reply(c, m, "2")
    got = c.get(c.result(i)["runId"])
    assert (got["state"], got["context"]) == ({"sheet": "quarter-4"}, [item])


def test_reset_clears_state_context_and_registrations(lab):
    b = window(lab)
    s = session(b)
    b.call("toolkit.register", {"toolkits": [KIT], "sessionId": s})
    b.call("tool.register", {"tools": [tool("loose")], "sessionId": s})
    speak(b, s, "one", "1", toolkits=[{**KIT, "name": "more", "tools": [tool("other")]}],
          augmentation={"updateState": [1], "addContext": [{"key": "k", "description": "d", "value": "v"}]})
    assert {t["name"] for t in b.call("session.get", {"sessionId": s})["tools"]} == {"csv", "loose", "more"}
    i = turn(b, s, "two", resetClientState=True, tools=[tool("mine")])
    m = asked(b)
    assert offered(m) == ["mine"] and seen(m) == [("user", "one"), ("assistant", "1"), ("user", "two")]
    reply(b, m, "2")
    b.result(i)
    got = b.call("session.get", {"sessionId": s})
    assert (got["state"], got["context"], got["toolkits"], got["tools"]) == (None, [], [], [])
    i = turn(b, s, "three", resetClientState=True, augmentation={"updateState": 7}, toolkits=[KIT])
    m = asked(b)
    assert offered(m) == ["csv"]
    reply(b, m, "3")
    b.result(i)
    assert state(b, s) == (7, [])


def test_what_is_registered_for_a_session_is_offered_in_every_process(lab):
    a, b = window(lab), window(lab)
    s, other = session(a), session(a)
    a.call("toolkit.register", {"toolkits": [KIT], "sessionId": s})
    a.call("tool.register", {"tools": [tool("loose")], "sessionId": s})
    i = turn(b, s, "one")
    m = asked(b)
    assert sorted(offered(m)) == ["csv", "loose"]
    reply(b, m, "1")
    b.result(i)
    i = turn(b, other, "one")
    m = asked(b)
    assert offered(m) == []
    reply(b, m, "1")
    b.result(i)
    b.call("toolkit.unregister", {"names": ["csv"], "sessionId": s})
    b.call("tool.unregister", {"names": ["loose"], "sessionId": s})
    assert a.call("toolkit.list", {"sessionId": s})["tools"] == []
    a.fails("toolkit.unregister", {"names": ["csv"], "sessionId": s}, kind="toolkit.notFound")
    a.fails("tool.unregister", {"names": ["loose"], "sessionId": s}, kind="tool.notFound")


def test_a_registration_reaches_a_run_under_way(lab):
    a, b = window(lab, capabilities={"tools": {}}), lab.bridge()
    s = session(a)
    i = turn(a, s, "one", tools=[tool("t")])
    reply(a, asked(a), calls=["t"])
    invoke = a.next_invoke("t")
    b.call("tool.register", {"tools": [tool("late")], "sessionId": s})
    b.call("session.augment", {"sessionId": s, "augmentation": {"updateState": {"x": "from-b"}}})
    a.respond(invoke, {"content": "ok"})
    m = asked(a)
    assert sorted(offered(m)) == ["late", "t"] and "from-b" in json.dumps(m.params)
    reply(a, m, "1")
    run = a.result(i)["runId"]
    assert "tools.changed" in a.log_types(run)


def test_a_run_under_way_tells_of_tools_and_of_the_state_apart(lab):
    """What changed neither is not told, and is not taken twice."""
    changes = [({"augmentation": {"updateState": {"n": 1}, "addContext": [{"key": "k", "description": "d", "value": 2}]}},
                [("augmentation.applied", {"state": {"n": 1}, "context": [{"key": "k", "description": "d", "value": 2}]})]),
               ({"augmentation": {"updateState": {"n": 1}}}, []),
               ({"tools": [tool("late")]}, [("tools.changed", ["late", "t"])]),
               ({"augmentation": {"patchState": {"n": 3}, "hideTools": ["late"]}},
                [("tools.changed", ["t"]), ("augmentation.applied", {"state": {"n": 3}, "context": [{"key": "k", "description": "d", "value": 2}]})])]
    a, b = window(lab, capabilities={"tools": {}}), lab.bridge()
    s = session(a)
    i = turn(a, s, "one", tools=[tool("t")])
    told = []
    for change, tells in changes:
        reply(a, asked(a), calls=["t"])
        invoke = a.next_invoke("t")
        b.call("tool.register" if "tools" in change else "session.augment", {"sessionId": s, **change})
        a.respond(invoke, {"content": "ok"})
        told += tells
    m = asked(a)
    assert state(b, s)[0] == {"n": 3}
    reply(a, m, "1")
    run = a.result(i)["runId"]
    found = [(e["type"], sorted(t["name"] for t in e["data"]["tools"]) if e["type"] == "tools.changed" else e["data"]) for e in a.log(run)
             if e["type"] in ("tools.changed", "augmentation.applied")]
    assert found == told
    assert lab.bridge().get(run)["state"] == {"n": 3}


def test_session_augment_answers_and_is_all_or_nothing(lab):
    b = window(lab)
    s = session(b)
    item = {"key": "k", "description": "d", "value": {"deep": [0.5]}}
    change = {"updateState": {"a": 1, "b": 2}, "patchState": {"b": None, "c": 3}, "addContext": [item]}
    got = b.call("session.augment", {"sessionId": s, "augmentation": change})
    assert got == {"state": {"a": 1, "c": 3}, "context": [item]}
    b.fails("session.augment", {"sessionId": s, "augmentation": {"updateState": 9, "expandToolkits": ["none"]}}, kind="toolkit.notFound")
    b.fails("session.augment", {"sessionId": s, "augmentation": {"updateState": 9, "hideTools": ["none"]}}, kind="tool.notFound")
    assert state(b, s) == ({"a": 1, "c": 3}, [item])
    assert b.call("session.augment", {"sessionId": s, "augmentation": {"removeContext": ["k", "not there"]}}) == {"state": {"a": 1, "c": 3}, "context": []}


def test_two_processes_augment_at_once_and_lose_nothing(lab):
    bridges = [lab.bridge() for _ in range(3)]
    s = session(bridges[0])
    ids = [(b, b.request("session.augment", {"sessionId": s, "augmentation": {"patchState": {f"{n}-{k}": k}}}))
           for k in range(10) for n, b in enumerate(bridges)]
    for b, i in ids:
        b.result(i)
    assert state(bridges[0], s)[0] == {f"{n}-{k}": k for n in range(3) for k in range(10)}


def test_the_state_is_carried_exactly(lab):
    b = lab.bridge()
    s = session(b)
    text = '{"a":0.10,"b":18446744073709551615,"z":1,"c":"\\u0000"}'
    b.result(b.request_raw("session.augment", f'{{"sessionId":"{s}","augmentation":{{"updateState":{text}}}}}'))
    raw = b.wait_response(b.request("session.get", {"sessionId": s})).raw_at("result", "state")
    assert raw.replace(" ", "") == text


def test_an_approval_for_the_session_holds_in_its_next_turns(lab):
    b = lab.bridge(capabilities={"approvals": {}})
    s, other = session(b), session(b)
    asks = [sh("wipe", "echo wiped", requiresApproval=True)]
    model = lab.script([calls("wipe"), say("done")])
    i = b.start(model, asks, sessionId=s)
    b.respond(b.next_request("approval.request"), {"decision": "approve", "scope": "session"})
    assert b.result(i)["status"] == "success"
    assert b.run(model, asks, sessionId=s)["status"] == "success"
    assert lab.bridge().run(model, asks, sessionId=s)["status"] == "success"
    assert lab.bridge().run(model, asks, sessionId=other)["status"] == "waiting_approval"
    changed = [sh("wipe", "echo wiped; rm x", requiresApproval=True)]
    assert lab.bridge().run(model, changed, sessionId=s)["status"] == "waiting_approval"

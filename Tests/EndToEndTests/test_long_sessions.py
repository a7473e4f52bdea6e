"""Conversations so long that a process which has not seen them does not read the log of each turn."""
import sqlite3

import pytest

from conversations import asked, fork, messages, reply, said, seen, session, speak, turn, users, window
from harness import tool

TURNS = 75
BIG = "x" * 70_000


def spoken(numbers):
    return [x for n in numbers for x in (("user", f"q{n}"), ("assistant", f"a{n}"))]


@pytest.fixture
def long(lab):
    """A window, and a session of many turns."""
    b = window(lab)
    s = session(b)
    for n in range(TURNS):
        speak(b, s, f"q{n}", f"a{n}")
    return b, s


def shown(b, s, text="new", **more):
    """What a model is shown in a turn of this bridge."""
    i = turn(b, s, text, **more)
    m = asked(b, b.start_id(i))
    reply(b, m, "ok")
    assert b.result(i)["status"] == "success"
    return seen(m)


def test_a_fresh_process_shows_its_model_all_of_it(long, lab):
    b, s = long
    assert shown(window(lab), s, "new") == spoken(range(TURNS)) + [("user", "new")]
    assert shown(b, s, "newer") == spoken(range(TURNS)) + [("user", "new"), ("assistant", "ok"), ("user", "newer")]
    assert shown(window(lab), s, "newest")[-4:] == [("assistant", "ok"), ("user", "newer"), ("assistant", "ok"), ("user", "newest")]


def test_after_a_kill_another_process_goes_on(long, lab):
    b, s = long
    turn(b, s, "unanswered")
    asked(b)
    b.kill9()
    c = window(lab)
    run = c.call("run.list", {"sessionId": s, "limit": 1})["runs"][0]["runId"]
    i = c.request("run.resume", {"runId": run})
    m = asked(c, run)
    assert seen(m) == spoken(range(TURNS)) + [("user", "unanswered")]
    reply(c, m, "answered")
    assert c.result(i)["answer"] == "answered"
    assert shown(window(lab), s)[-3:] == [("user", "unanswered"), ("assistant", "answered"), ("user", "new")]


@pytest.mark.parametrize("at", [0, 1, 63, 64, 65, 100, 2 * TURNS - 1])
def test_a_branch_in_this_and_in_a_fresh_process(long, lab, at):
    b, s = long
    expected = spoken(range(TURNS))[:at + 1] + [("user", "new")]
    there = messages(b, s)[at]
    assert shown(b, s, branchId=fork(b, s, there)) == expected
    branch = fork(b, s, there)
    assert shown(window(lab), s, branchId=branch) == expected
    assert said(lab.bridge(), s, branchId=branch) == expected + [("assistant", "ok")]


def test_a_branch_of_a_branch_has_long_parts_of_both(long, lab):
    b, s = long
    first = fork(b, s, messages(b, s)[99])
    for n in range(TURNS):
        speak(b, s, f"b{n}", f"c{n}", branchId=first)
    second = fork(b, s, messages(b, s, branchId=first)[199])
    expected = spoken(range(50)) + [x for n in range(50) for x in (("user", f"b{n}"), ("assistant", f"c{n}"))] + [("user", "new")]
    assert shown(window(lab), s, branchId=second) == expected
    assert shown(b, s, branchId=fork(b, s, messages(b, s, branchId=first)[199])) == expected


def test_processes_that_take_turns_lose_nothing(lab):
    windows = [window(lab) for _ in range(3)]
    s = session(windows[0])
    for n in range(TURNS):
        speak(windows[n * 7 % 3], s, f"q{n}", f"a{n}")
    for b in (window(lab), *windows):
        i = turn(b, s, "new")
        m = asked(b, b.start_id(i))
        assert users(m)[:TURNS] == [f"q{n}" for n in range(TURNS)]
        reply(b, m, "ok")
        b.result(i)


def test_a_deleted_run_is_gone_from_all_of_the_store(long, lab):
    """Its messages stand nowhere any more."""
    b, s = long
    speak(b, s, "SECRET", "hush")
    for n in range(TURNS):
        speak(b, s, f"r{n}", f"b{n}")
    run = next(m["runId"] for m in messages(b, s) if m["content"] and "SECRET" in str(m["content"]))
    store = sqlite3.connect(lab.path / "runs.db")
    assert store.execute("SELECT count(*) FROM documents WHERE instr(json, CAST('SECRET' AS BLOB))").fetchone() == (1,)
    b.call("run.delete", {"runId": run})
    assert store.execute("SELECT count(*) FROM documents WHERE instr(json, CAST('SECRET' AS BLOB))").fetchone() == (0,)
    seen_now = shown(window(lab), s)
    assert seen_now == spoken(range(TURNS)) + [x for n in range(TURNS) for x in (("user", f"r{n}"), ("assistant", f"b{n}"))] + [("user", "new")]
    assert store.execute("SELECT count(*) FROM documents WHERE instr(json, CAST('SECRET' AS BLOB))").fetchone() == (0,)


def test_a_run_deleted_elsewhere_while_a_turn_is_at_work_does_not_come_back(lab):
    """The turn ends in a process that remembers the messages as they were before, and with it there are enough for a chapter."""
    a, b = window(lab), lab.bridge()
    s = session(a)
    runs = [speak(a, s, "SECRET" if n == 3 else f"q{n}", f"a{n}")["runId"] for n in range(31)]
    i = turn(a, s, "q31")
    m = asked(a)
    b.call("run.delete", {"runId": runs[3]})
    reply(a, m, "a31")
    a.result(i)
    for n, w in enumerate((a, window(lab), a)):
        i = turn(w, s, f"q{32 + n}")
        m = asked(w)
        assert users(m) == [f"q{k}" for k in range(33 + n) if k != 3]
        reply(w, m, f"a{32 + n}")
        w.result(i)
    store = sqlite3.connect(lab.path / "runs.db")
    assert store.execute("SELECT count(*) FROM documents WHERE instr(json, CAST('SECRET' AS BLOB))").fetchone() == (0,)


def test_a_cleared_session_leaves_nothing_in_sight(long, lab):
    b, s = long
    b.call("session.clear", {"sessionId": s})
    for n in range(TURNS):
        speak(b, s, f"r{n}", f"b{n}")
    assert shown(window(lab), s) == [x for n in range(TURNS) for x in (("user", f"r{n}"), ("assistant", f"b{n}"))] + [("user", "new")]


def test_a_deleted_session_leaves_nothing_in_the_store(long, lab):
    b, s = long
    b.call("session.delete", {"sessionId": s})
    store = sqlite3.connect(lab.path / "runs.db")
    assert [store.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("documents", "runs", "log", "blobs")] == [0] * 4


def test_calls_long_texts_and_odd_numbers_come_back_as_they_were(lab):
    b = window(lab, capabilities={"tools": {}})
    s = session(b)
    odd = {"n": 0.1, "deep": [1e2, {"ü": "\u0000\ud83d\ude00"}], "long": "y" * 5000}
    look = tool("look")
    for n in range(20):
        i = turn(b, s, BIG + str(n) if n % 5 == 0 else f"q{n}", tools=[look])
        run = b.start_id(i)
        reply(b, asked(b, run), "I look.", calls=[("look", odd)])
        b.answer(b.next_invoke("look"), {"content": "z" * (3000 if n % 4 == 0 else 30), "structuredContent": odd, "isError": n % 3 == 0})
        reply(b, asked(b, run), f"a{n}")
        assert b.result(i)["status"] == "success"
    here = shown(b, s, "one")
    there = shown(window(lab), s, "one")
    assert there[:len(here) - 1] == here[:-1] and len(here) == 20 * 5 + 1


def test_pages_of_messages_from_any_place(long, lab):
    b, s = long
    whole = messages(b, s)
    assert [m["id"] for m in messages(lab.bridge(), s, limit=7)] == [m["id"] for m in whole]
    assert len(whole) == 2 * TURNS

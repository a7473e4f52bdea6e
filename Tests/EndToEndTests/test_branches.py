"""Section 9: branches, which share what was said before they leave."""
import json

import pytest

from conversations import (NOWHERE, asked, branches, fork, messages, offered, reply, said, seen, session, speak, state, system, turn, window)
from harness import ULID, say, sh, tool, until

KIT = {"name": "csv", "description": "CSV files", "tools": [tool("read_rows")]}


def spoken(n):
    return [x for k in range(n) for x in (("user", f"q{k}"), ("assistant", f"a{k}"))]


@pytest.fixture
def three(lab):
    """A window, and a session of three turns."""
    b = window(lab)
    s = session(b)
    for n in range(3):
        speak(b, s, f"q{n}", f"a{n}")
    return b, s


def test_a_fork_at_each_message_has_what_was_said_up_to_it(three, lab):
    b, s = three
    whole = messages(b, s)
    main = branches(b, s)[0]["branchId"]
    for n, message in enumerate(whole, 1):
        branch = fork(b, s, message)
        assert ULID.match(branch) and branch != main
        assert messages(b, s, branchId=branch) == whole[:n]
        assert lab.bridge().call("session.messages", {"sessionId": s, "branchId": branch})["messages"] == whole[:n]
    assert messages(b, s) == whole
    got = branches(b, s)
    assert [x["turns"] for x in got] == [3] + [0] * 6 and [x.get("forkedFrom") for x in got] == [None] + [main] * 6


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5])
def test_a_turn_in_a_branch_is_shown_what_the_branch_has(three, at):
    b, s = three
    branch = fork(b, s, messages(b, s)[at])
    i = turn(b, s, "else", branchId=branch)
    m = asked(b)
    expected = spoken(3)[:at + 1] + [("user", "else")]
    assert seen(m) == expected
    reply(b, m, "other")
    o = b.result(i)
    assert o["status"] == "success" and o["sessionId"] == s
    assert said(b, s, branchId=branch) == expected + [("assistant", "other")]
    assert said(b, s) == spoken(3)
    assert [x["turns"] for x in branches(b, s)] == [3, 1]


def test_main_and_branch_go_on_apart(three, lab):
    b, s = three
    branch = fork(b, s, messages(b, s)[3])
    c = window(lab)
    for n in range(3):
        speak(b, s, f"main {n}", f"m{n}")
        speak(c, s, f"branch {n}", f"b{n}", branchId=branch)
    for one in (b, c):
        assert said(one, s) == spoken(3) + [x for n in range(3) for x in (("user", f"main {n}"), ("assistant", f"m{n}"))]
        assert said(one, s, branchId=branch) == spoken(2) + [x for n in range(3) for x in (("user", f"branch {n}"), ("assistant", f"b{n}"))]
    i = turn(c, s, "last", branchId=branch)
    m = asked(c)
    assert seen(m) == said(b, s, branchId=branch)[:-1] + [("user", "last")] or seen(m) == said(b, s, branchId=branch)
    reply(c, m, "ok")
    c.result(i)


def test_a_fork_of_a_fork_of_a_fork(three, lab):
    b, s = three
    trail, branch, expected = [], None, spoken(3)
    for n in range(5):
        here = messages(b, s, **({"branchId": branch} if branch else {}))
        cut = len(here) - 1 - n % 2
        branch = fork(b, s, here[cut])
        expected = expected[:cut + 1] + [("user", f"f{n}"), ("assistant", f"g{n}")]
        speak(b, s, f"f{n}", f"g{n}", branchId=branch)
        trail.append((branch, list(expected)))
        assert said(b, s, branchId=branch) == expected
    other = lab.bridge()
    for branch, expected in trail:
        assert said(other, s, branchId=branch) == expected
    assert said(other, s) == spoken(3)


def test_a_fork_of_a_branch_at_a_message_that_it_shares_with_main(three):
    b, s = three
    whole = messages(b, s)
    one = fork(b, s, whole[3])
    speak(b, s, "x", "y", branchId=one)
    two = fork(b, s, whole[1])
    assert said(b, s, branchId=two) == spoken(1)
    speak(b, s, "z", "w", branchId=two)
    assert said(b, s, branchId=two) == spoken(1) + [("user", "z"), ("assistant", "w")]
    assert said(b, s, branchId=one) == spoken(2) + [("user", "x"), ("assistant", "y")]


def test_pages_of_a_branch(three):
    b, s = three
    branch = fork(b, s, messages(b, s)[3])
    speak(b, s, "x", "y", branchId=branch)
    whole = messages(b, s, branchId=branch)
    for limit in (1, 2, 3, 4, 5, 6):
        assert messages(b, s, branchId=branch, limit=limit) == whole


def test_a_fork_at_a_message_that_is_not_there(three, lab):
    b, s = three
    other = session(b)
    foreign = speak(b, other, "x", "y")["runId"]
    theirs = messages(b, other)[0]["id"]
    for at in (NOWHERE, "x", "", theirs, foreign):
        e = b.fails("session.fork", {"sessionId": s, "atMessageId": at})
        assert e.kind == "invalidParams" and e.data["pointer"] == "/atMessageId" or e.kind == "session.notFound", e.error
    b.refuses("session.fork", {"sessionId": s}, ("/atMessageId", ""))
    b.refuses("session.fork", {"sessionId": s, "atMessageId": 7}, "/atMessageId")
    assert len(branches(b, s)) == 1


def test_a_fork_at_a_message_that_came_while_the_turn_before_it_is_not_ended(three):
    """What was said before it is not complete until then."""
    b, s = three
    latest = {"messageConcurrency": "latest"}
    slow = turn(b, s, "slow", agent=latest)
    m = asked(b)
    superseded, newest = [turn(b, s, text, agent=latest) for text in ("superseded", "newest")]
    run = b.result(superseded)["runId"]
    at = next(x for x in messages(b, s) if x["runId"] == run)
    e = b.fails("session.fork", {"sessionId": s, "atMessageId": at["id"]}, kind="invalidParams")
    assert e.data["pointer"] == "/atMessageId" and e.data["runId"] == b.start_id(slow)
    reply(b, m, "said")
    reply(b, asked(b), "more")
    b.result(slow), b.result(newest)
    assert said(b, s, branchId=fork(b, s, at)) == spoken(3) + [("user", "slow"), ("assistant", "said"), ("user", "superseded")]


# ---- calls and their results

@pytest.fixture
def called(lab):
    """A window, and a session whose one turn called three tools and then said something."""
    b = window(lab)
    s = session(b)
    i = turn(b, s, "go", tools=[sh(n, f"echo result of {n}") for n in "abc"])
    reply(b, asked(b), "I call.", calls=["a", "b", "c"])
    reply(b, asked(b), "done")
    b.result(i)
    return b, s


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_fork_at_a_call_or_a_result_brings_all_results(called, at):
    b, s = called
    whole = messages(b, s)
    assert [m["role"] for m in whole] == ["user", "assistant", "tool", "tool", "tool", "assistant"]
    branch = fork(b, s, whole[at])
    assert messages(b, s, branchId=branch) == whole[:5]
    i = turn(b, s, "else", branchId=branch)
    m = asked(b)
    assert len([x for x in seen(m) if x[1].startswith("= ")]) == 3 and seen(m)[-1] == ("user", "else")
    assert ("assistant", "done") not in seen(m)
    reply(b, m, "ok")
    assert b.result(i)["status"] == "success"


def test_a_fork_in_the_middle_of_a_turn_under_way(lab):
    b = window(lab)
    s = session(b)
    i = turn(b, s, "go", tools=[sh("a", "echo first")])
    reply(b, asked(b), "I call.", calls=["a"])
    held = asked(b)  # the turn's second model call is out
    here = messages(b, s)
    assert [m["role"] for m in here][:3] == ["user", "assistant", "tool"]
    for at, n in ((0, 1), (1, 3), (2, 3)):
        branch = fork(b, s, here[at])
        assert messages(b, s, branchId=branch) == here[:n]
        j = turn(b, s, "else", branchId=branch)
        m = asked(b)  # the branch does not wait for the turn of main
        assert seen(m)[-1] == ("user", "else") and len([x for x in seen(m) if x[1].startswith("= ")]) == (n == 3)
        reply(b, m, "ok")
        assert b.result(j)["status"] == "success"
    reply(b, held, "done")
    b.result(i)
    assert [r for r, _ in said(b, s)] == ["user", "assistant", "tool", "assistant"]


def test_a_fork_at_a_call_whose_result_is_still_to_come(lab):
    """A call is never without its result: until that is there, the call is no place for a fork; the message before it is."""
    b = window(lab)
    s = session(b)
    o = b.run("parent:m", input="x", sessionId=s, wait=False, tools=[tool("slow")])
    reply(b, asked(b), "I call.", calls=["slow"])
    b.wait_event("run.paused", o["runId"])
    here = messages(b, s)
    b.refuses("session.fork", {"sessionId": s, "atMessageId": here[1]["id"]}, "/atMessageId")
    assert len(messages(b, s, branchId=fork(b, s, here[0]))) == 1
    b.submit(o["runId"], {here[1]["toolCalls"][0]["callId"]: "at last"}, wait=False)
    held = asked(b)
    branch = fork(b, s, here[1])
    i = turn(b, s, "else", branchId=branch)
    m = asked(b)
    assert [x for x in seen(m) if x[1].startswith("= ")] == [("user", "= at last")] and seen(m)[-1] == ("user", "else")
    reply(b, m, "ok")
    assert b.result(i)["status"] == "success"
    reply(b, held, "done")
    b.wait_run(o["runId"])


# ---- concurrency

def test_branches_do_not_wait_for_each_other(three, lab):
    b, s = three
    made = [fork(b, s, m) for m in messages(b, s)]
    ids = [(turn(b, s, f"x {n}", branchId=br), br, n) for n, br in enumerate(made)]
    ids.append((turn(b, s, "x main"), None, "main"))
    held = {seen(m)[-1][1]: m for m in [asked(b) for _ in ids]}
    assert set(held) == {f"x {n}" for _, _, n in ids}
    for i, br, n in reversed(ids):
        reply(b, held[f"x {n}"], f"y {n}")
        assert b.result(i)["answer"] == f"y {n}"
        assert said(b, s, **({"branchId": br} if br else {}))[-2:] == [("user", f"x {n}"), ("assistant", f"y {n}")]


def test_each_branch_has_its_queue(three, lab):
    b, s = three
    branch = fork(b, s, messages(b, s)[1])
    first = turn(b, s, "b1", branchId=branch)
    held = asked(b)
    second = turn(b, s, "b2", branchId=branch)
    run = b.start_id(second)
    until(lambda: b.get(run)["status"] == "queued", "the second turn to be queued")
    speak(b, s, "main", "free")
    reply(b, held, "c1")
    b.result(first)
    m = asked(b)
    assert seen(m) == spoken(1) + [("user", "b1"), ("assistant", "c1"), ("user", "b2")]
    reply(b, m, "c2")
    assert b.result(second)["answer"] == "c2"


# ---- state, context, registrations

def test_state_and_context_are_the_branchs_own(lab):
    b = window(lab)
    s = session(b)

    def item(v):
        return {"key": "k", "description": "d", "value": v}
    speak(b, s, "q0", "a0", augmentation={"updateState": {"at": "main"}, "addContext": [item("main")]})
    branch = fork(b, s, messages(b, s)[1])
    assert state(b, s, branchId=branch) == ({"at": "main"}, [item("main")])
    speak(b, s, "q1", "a1", branchId=branch, augmentation={"patchState": {"at": "branch"}, "addContext": [item("branch")]})
    assert state(b, s, branchId=branch) == ({"at": "branch"}, [item("branch")])
    assert state(b, s) == ({"at": "main"}, [item("main")])
    i = turn(b, s, "q2")
    m = asked(b)
    assert '"branch' not in json.dumps(m.params).replace("\\", "") and "main" in json.dumps(m.params)
    reply(b, m, "a2")
    b.result(i)
    speak(b, s, "q3", "a3", augmentation={"updateState": None})
    assert state(b, s, branchId=branch) == ({"at": "branch"}, [item("branch")])


def test_a_branch_has_the_state_that_there_was_at_its_message(lab):
    """Not what the turn that it leaves comes to later."""
    b = window(lab, capabilities={"tools": {}})
    s = session(b)
    i = turn(b, s, "go", tools=[tool("t")], delivery="invoke", augmentation={"updateState": {"turn": 0}})
    reply(b, asked(b), "I call.", calls=["t"])
    call = b.next_invoke("t")
    early, waiting = (fork(b, s, messages(b, s)[0]) for _ in range(2))
    assert state(b, s, branchId=early) == ({"turn": 0}, [])
    item = {"key": "k", "description": "d", "value": "of main"}
    b.respond(call, {"content": "r", "augmentation": {"patchState": {"turn": 1}, "addContext": [item], "injectToolkits": [KIT]}})
    reply(b, asked(b), "I call again.", calls=["t"])
    b.respond(b.next_invoke("t"), {"content": "r", "augmentation": {"patchState": {"turn": 2}}})
    reply(b, asked(b), "done")
    b.result(i)
    here = messages(b, s)
    assert [m["role"] for m in here] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    for at, n in ((0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 2)):
        branch = fork(b, s, here[at])
        assert state(b, s, branchId=branch) == ({"turn": n}, [item] if n else [])
    for bridge in (b, window(lab)):
        assert state(bridge, s, branchId=waiting) == ({"turn": 0}, [])
        assert bridge.call("session.get", {"sessionId": s, "branchId": waiting})["tools"] == []
    i = turn(b, s, "else", branchId=early)
    m = asked(b)
    assert offered(m) == [] and "of main" not in system(m)
    reply(b, m, "ok")
    b.result(i)
    assert state(b, s, branchId=early) == ({"turn": 0}, []) and state(b, s) == ({"turn": 2}, [item])


def test_toolkits_of_a_branch_are_not_those_of_main(lab):
    b = window(lab)
    s = session(b)
    speak(b, s, "q0", "a0")
    branch = fork(b, s, messages(b, s)[1])
    speak(b, s, "q1", "a1", branchId=branch, toolkits=[KIT])
    i = turn(b, s, "q2")
    m = asked(b)
    assert offered(m) == []
    reply(b, m, "a2")
    b.result(i)
    i = turn(b, s, "q3", branchId=branch)
    m = asked(b)
    assert offered(m) == ["csv"]
    reply(b, m, "a3")
    b.result(i)
    assert [t["name"] for t in b.call("session.get", {"sessionId": s, "branchId": branch})["tools"]] == ["csv"]
    assert b.call("session.get", {"sessionId": s})["tools"] == []


def test_a_reset_in_a_branch_leaves_main_alone(lab):
    b = window(lab)
    s = session(b)
    speak(b, s, "q0", "a0", toolkits=[KIT], augmentation={"updateState": 1})
    branch = fork(b, s, messages(b, s)[1])
    speak(b, s, "q1", "a1", branchId=branch, resetClientState=True)
    assert state(b, s, branchId=branch) == (None, [])
    assert state(b, s) == (1, [])
    i = turn(b, s, "q2")
    m = asked(b)
    assert offered(m) == ["csv"]
    reply(b, m, "a2")
    b.result(i)


# ---- clear, delete, many

def test_a_clear_clears_all_branches(three):
    b, s = three
    old = messages(b, s)
    branch = fork(b, s, old[3])
    speak(b, s, "x", "y", branchId=branch)
    b.call("session.clear", {"sessionId": s})
    assert messages(b, s) == [] and messages(b, s, branchId=branch) == []
    assert b.fails("session.fork", {"sessionId": s, "atMessageId": old[3]["id"]}).kind in ("invalidParams", "session.notFound")
    i = turn(b, s, "new", branchId=branch)
    m = asked(b)
    assert seen(m) == [("user", "new")]
    reply(b, m, "n")
    b.result(i)
    assert said(b, s, branchId=branch) == [("user", "new"), ("assistant", "n")] and messages(b, s) == []
    assert fork(b, s, messages(b, s, branchId=branch)[0])


def test_a_deleted_session_takes_its_branches(three, lab):
    b, s = three
    branch = fork(b, s, messages(b, s)[3])
    run = speak(b, s, "x", "y", branchId=branch)["runId"]
    b.call("session.delete", {"sessionId": s})
    b.fails("run.get", {"runId": run}, kind="run.notFound")
    b.fails("session.messages", {"sessionId": s, "branchId": branch}, kind="session.notFound")


def test_a_live_run_in_a_branch_keeps_the_session(three):
    b, s = three
    branch = fork(b, s, messages(b, s)[3])
    i = turn(b, s, "x", branchId=branch)
    m = asked(b)
    b.fails("session.delete", {"sessionId": s}, kind="invalidRequest")
    reply(b, m, "y")
    b.result(i)
    b.call("session.delete", {"sessionId": s})


def test_a_hundred_branches(three, lab):
    b, s = three
    whole = messages(b, s)
    made = [fork(b, s, whole[n % 6]) for n in range(100)]
    assert len(set(made)) == 100
    assert {x["branchId"] for x in branches(b, s)[1:]} == set(made)
    model = lab.script([say("ok")])
    for n in (0, 50, 99):
        b.succeeds(model, input=f"in {n}", sessionId=s, branchId=made[n])
        assert said(b, s, branchId=made[n]) == spoken(3)[:n % 6 + 1] + [("user", f"in {n}"), ("assistant", "ok")]


def test_four_processes_fork_at_once(three, lab):
    b, s = three
    whole = messages(b, s)
    bridges = [b] + [lab.bridge() for _ in range(3)]
    ids = [(x, x.request("session.fork", {"sessionId": s, "atMessageId": whole[n % 6]["id"]}), n % 6) for n in range(12) for x in bridges]
    made = [(x.result(i)["branchId"], n) for x, i, n in ids]
    assert len({br for br, _ in made}) == 48 and len(branches(b, s)) == 49
    for br, n in made[::7]:
        assert messages(bridges[-1], s, branchId=br) == whole[:n + 1]


def test_a_killed_process_loses_no_branch(three, lab):
    b, s = three
    whole = messages(b, s)
    branch = fork(b, s, whole[2])
    b.kill9()
    c = window(lab)
    assert messages(c, s, branchId=branch) == whole[:3]
    speak(c, s, "x", "y", branchId=branch)
    assert said(c, s, branchId=branch) == spoken(1) + [("user", "q1"), ("user", "x"), ("assistant", "y")]

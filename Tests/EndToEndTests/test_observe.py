"""Section 3, the rest: get, list, events, subscribe, unsubscribe, delete."""
import json

import pytest

from harness import TIMEOUT, TIME, calls, dumps, expect, loads, raw_elements, say, sh, text_of, tool, until

STORES = ("sqlite", "postgres")

NOWHERE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def seqs(b, run):
    return [m.seq for m in b.events(run, persisted=True)]


def subscribe(b, run, **more):
    return b.call("run.subscribe", {"runId": run, **more})


# ---- list

def test_an_empty_store_has_no_runs(bridge):
    assert bridge.call("run.list") == {"runs": []}
    assert bridge.call("run.list", {}) == {"runs": []}


def test_newest_first(bridge):
    ids = [bridge.run([say("ok")])["runId"] for _ in range(5)]
    assert [r["runId"] for r in bridge.call("run.list")["runs"]] == ids[::-1]


def test_a_listed_run_says_how_it_is(bridge):
    o = bridge.run([say("ok")], metadata={"a": "b"})
    r, = bridge.call("run.list")["runs"]
    assert (r["runId"], r["status"], r["ended"], r["driver"], r["lastSeq"], r["metadata"]) == (o["runId"], "success", True, "none", o["lastSeq"], {"a": "b"})


def test_status_as_a_word_or_a_list(bridge):
    good = bridge.run([say("ok")])["runId"]
    bad = bridge.run([])["runId"]
    wait = bridge.run([calls("t"), say("x")], [tool("t")])["runId"]

    def listed(**p):
        return {r["runId"] for r in bridge.call("run.list", p)["runs"]}
    assert listed(status="success") == {good}
    assert listed(status=["error", "waiting_client_tool"]) == {bad, wait}
    assert listed(status="cancelled") == set()
    bridge.refuses("run.list", {"status": []}, "/status")
    assert listed() == {good, bad, wait}


def test_an_unknown_status_is_invalid_params(bridge):
    bridge.refuses("run.list", {"status": "sleeping"}, "/status")
    bridge.refuses("run.list", {"status": ["success", "sleeping"]}, ("/status/1", "/status"))


def test_metadata_is_a_subset(bridge):
    a = bridge.run([say("ok")], metadata={"team": "x", "n": "1"})["runId"]
    b = bridge.run([say("ok")], metadata={"team": "x", "n": "2"})["runId"]
    bridge.run([say("ok")])

    def listed(m):
        return {r["runId"] for r in bridge.call("run.list", {"metadata": m})["runs"]}
    assert listed({"team": "x"}) == {a, b}
    assert listed({"team": "x", "n": "2"}) == {b}
    assert listed({"team": "y"}) == set()
    assert listed({"nope": "x"}) == set()
    assert len(listed({})) == 3


def test_metadata_with_odd_keys_and_values(bridge):
    odd = {"it's": "a \"quote\"", "ü.$[0]": "🚀", "": "empty", "a.b": "%_"}
    a = bridge.run([say("ok")], metadata=odd)["runId"]
    bridge.run([say("ok")], metadata={"a": "x"})
    for k, v in odd.items():
        assert [r["runId"] for r in bridge.call("run.list", {"metadata": {k: v}})["runs"]] == [a], k


def test_metadata_of_many_members(bridge):
    many = {f"k{n}": f"v{n}" for n in range(3000)}
    a = bridge.run([say("ok")], metadata=many)["runId"]
    bridge.run([say("ok")], metadata={**many, "k2999": "other"})
    assert [r["runId"] for r in bridge.call("run.list", {"metadata": many})["runs"]] == [a]


def test_the_driver_filter(lab):
    a, b = lab.bridge(), lab.bridge()
    busy = a.background([say("late", delayMs=60_000)])
    a.wait_event("model.started", busy)
    done = a.run([say("ok")])["runId"]
    assert [r["runId"] for r in a.call("run.list", {"driver": "self"})["runs"]] == [busy]
    assert [r["runId"] for r in b.call("run.list", {"driver": "other"})["runs"]] == [busy]
    assert [r["runId"] for r in b.call("run.list", {"driver": "none"})["runs"]] == [done]
    a.call("run.cancel", {"runId": busy})


def test_limit_and_cursor_page_through_all(bridge):
    ids = [bridge.run([say("ok")])["runId"] for _ in range(7)][::-1]
    got, cursor, pages = [], None, 0
    while True:
        page = bridge.call("run.list", {"limit": 3, **({"cursor": cursor} if cursor else {})})
        got += [r["runId"] for r in page["runs"]]
        pages += 1
        assert len(page["runs"]) <= 3
        cursor = page.get("nextCursor")
        if not cursor:
            break
    assert got == ids and pages == 3


def test_a_page_is_not_disturbed_by_newer_runs(bridge):
    ids = [bridge.run([say("ok")])["runId"] for _ in range(4)][::-1]
    page = bridge.call("run.list", {"limit": 2})
    bridge.run([say("ok")])
    rest = bridge.call("run.list", {"limit": 10, "cursor": page["nextCursor"]})
    assert [r["runId"] for r in page["runs"] + rest["runs"]] == ids


@pytest.mark.parametrize("params,pointer", [({"limit": 0}, "/limit"), ({"limit": -1}, "/limit"), ({"limit": "x"}, "/limit"), ({"limit": 1.5}, "/limit"),
                                            ({"cursor": 5}, "/cursor"), ({"cursor": "no such cursor"}, "/cursor"), ({"metadata": "x"}, "/metadata"),
                                            ({"driver": "me"}, "/driver")])
def test_wrong_list_params(bridge, params, pointer):
    bridge.refuses("run.list", params, pointer)


def test_runs_of_other_processes_are_listed(lab):
    a, b = lab.bridge(), lab.bridge()
    run = a.run([say("ok")])["runId"]
    assert [r["runId"] for r in b.call("run.list")["runs"]] == [run]


# ---- events

def test_run_events_replays_what_was_sent_byte_for_byte(parent):
    parent.handlers["t"] = {"content": "é \u2028 🚀", "structuredContent": {"n": 0.1}}
    o = parent.succeeds([calls("t", text="wörk"), say("done")], [tool("t")])
    log = parent.check_replay(o["runId"])
    assert len(parent.events(o["runId"], persisted=True)) == len(log)


def test_run_events_is_the_same_in_every_process_and_every_time(lab):
    a = lab.bridge()
    o = a.run([calls("c"), say("ok")], [sh("c", "echo hi")])
    first = a.replay(o["runId"])
    assert a.replay(o["runId"]) == first and lab.bridge().replay(o["runId"]) == first


def test_after_seq_and_limit(bridge):
    o = bridge.run([calls("c"), say("ok")], [sh("c", "true")])
    run, whole = o["runId"], bridge.replay(o["runId"])
    assert bridge.replay(run, limit=1) == bridge.replay(run, limit=2) == bridge.replay(run, limit=1000) == whole
    m = bridge.wait_response(bridge.request("run.events", {"runId": run, "afterSeq": 3, "limit": 2}))
    assert raw_elements(m.raw_at("result", "events")) == whole[3:5] and m.result["nextSeq"] == 5
    last = bridge.call("run.events", {"runId": run, "afterSeq": len(whole) - 1})
    assert len(last["events"]) == 1 and "nextSeq" not in last
    for after in (len(whole), len(whole) + 5, 10**9):
        end = bridge.call("run.events", {"runId": run, "afterSeq": after})
        assert end["events"] == [] and "nextSeq" not in end


@pytest.mark.parametrize("params,pointer", [({"runId": NOWHERE, "afterSeq": -1}, "/afterSeq"), ({"runId": NOWHERE, "afterSeq": "x"}, "/afterSeq"),
                                            ({"runId": NOWHERE, "limit": 0}, "/limit"), ({"afterSeq": 1}, "/runId"), ({"runId": 5}, "/runId")])
def test_wrong_events_params(bridge, params, pointer):
    bridge.refuses("run.events", params, pointer)


@pytest.mark.parametrize("method", ["run.get", "run.wait", "run.events", "run.subscribe", "run.delete", "run.cancel", "run.pause", "run.resume"])
def test_an_unknown_run_is_not_found(bridge, method):
    bridge.fails(method, {"runId": NOWHERE}, kind="run.notFound")


# ---- subscribe

def test_subscribe_with_after_seq_replays_then_goes_live(lab):
    a, b = lab.parent(), lab.bridge()
    r = a.start([calls("t"), say("ok")], [tool("t")])
    m = a.next_invoke()
    run = m.params["runId"]
    sub = b.request("run.subscribe", {"runId": run, "afterSeq": 0})
    answer = b.wait_response(sub)
    assert answer.result["status"] == "waiting_client_tool" and answer.result["lastSeq"] >= 5
    b.wait_event("run.paused", run)
    assert min(e.i for e in b.events(run)) > answer.i, "the answer comes first, then the replay"
    a.respond(m, {"content": "x"})
    b.wait_event("run.completed", run)
    a.result(r)
    log = b.check_replay(run)
    assert seqs(b, run) == [e["seq"] for e in log]


def test_subscribe_without_after_seq_is_from_now(lab):
    a, b = lab.parent(), lab.bridge()
    r = a.start([calls("t"), say("ok")], [tool("t")])
    m = a.next_invoke()
    run = m.params["runId"]
    last = subscribe(b, run)["lastSeq"]
    a.respond(m, {"content": "x"})
    a.result(r)
    b.wait_event("run.completed", run)
    assert seqs(b, run) == list(range(last + 1, last + 1 + len(seqs(b, run))))


def test_subscribe_in_the_middle(lab):
    a, b = lab.bridge(), lab.bridge()
    o = a.run([calls("c"), say("ok")], [sh("c", "true")])
    subscribe(b, o["runId"], afterSeq=4)
    b.wait_event("run.completed", o["runId"])
    assert seqs(b, o["runId"]) == list(range(5, o["lastSeq"] + 1))


def test_subscribe_to_an_ended_run_replays_all(lab):
    a, b = lab.bridge(), lab.bridge()
    o = a.run([say("ok")])
    s = subscribe(b, o["runId"], afterSeq=0)
    assert s == {"status": "success", "lastSeq": o["lastSeq"]}
    b.wait_event("run.completed", o["runId"])
    assert seqs(b, o["runId"]) == list(range(1, o["lastSeq"] + 1))


def test_subscribe_to_an_ended_run_from_now_sends_nothing(bridge, lab):
    o = bridge.run([say("ok")])
    b = lab.bridge()
    subscribe(b, o["runId"])
    b.ping()
    assert b.events(o["runId"]) == []


def test_events_of_another_process_come_within_seconds_and_text_too(lab):
    a, b = lab.bridge(), lab.bridge()
    text = "streamed text, word by word. " * 10
    run = a.background([calls("c"), say(text, delayMs=600), ], [sh("c", f"while [ ! -e {lab.path}/go ]; do sleep 0.02; done")])
    a.wait_event("tool.started", run)
    subscribe(b, run, afterSeq=0)
    b.wait_event("tool.started", run)
    lab.file("go")
    done = a.wait_event("run.completed", run)
    assert b.wait_event("run.completed", run).t - done.t < 2.5
    assert "".join(m.data["text"] for m in b.events(run, "text.delta")) == text
    log = b.check_replay(run)
    assert seqs(b, run) == [e["seq"] for e in log]


def test_many_observers_see_the_same(lab):
    a = lab.parent()
    r = a.start([calls("t"), say("ok")], [tool("t")])
    m = a.next_invoke()
    run = m.params["runId"]
    observers = [lab.bridge() for _ in range(4)]
    for b in observers:
        subscribe(b, run, afterSeq=0)
    a.respond(m, {"content": "x"})
    o = a.result(r)
    for b in observers:
        b.wait_event("run.completed", run)
        assert seqs(b, run) == list(range(1, o["lastSeq"] + 1))
        assert [e.raw_at("params") for e in b.events(run, persisted=True)] == [e.raw_at("params") for e in a.events(run, persisted=True)]


def test_the_starter_sees_what_another_process_drives(lab):
    a, b = lab.bridge(), lab.bridge()
    o = a.run([calls("t"), calls("c"), say("ok")], [tool("t"), sh("c", "true")])
    run = o["runId"]
    b.submit(run, {o["pendingToolCalls"][0]["callId"]: "x"})
    a.wait_event("run.completed", run)
    assert seqs(a, run) == [e["seq"] for e in a.log(run)]


def test_nothing_is_sent_twice_to_the_starter_that_subscribes_too(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    m = parent.next_invoke()
    run = m.params["runId"]
    subscribe(parent, run)
    parent.respond(m, {"content": "x"})
    o = parent.result(r)
    assert seqs(parent, run) == list(range(1, o["lastSeq"] + 1))


def test_a_new_after_seq_replays_again(bridge):
    o = bridge.run([say("ok")])
    run, n = o["runId"], o["lastSeq"]
    before = len(bridge.messages)
    subscribe(bridge, run, afterSeq=1)
    until(lambda: seqs(bridge, run) == list(range(1, n + 1)) + list(range(2, n + 1)))
    assert len(bridge.messages) > before


def test_subscribe_twice_sends_each_event_once(lab):
    a, b = lab.parent(), lab.bridge()
    r = a.start([calls("t"), say("ok")], [tool("t")])
    m = a.next_invoke()
    run = m.params["runId"]
    subscribe(b, run)
    last = subscribe(b, run)["lastSeq"]
    a.respond(m, {"content": "x"})
    a.result(r)
    b.wait_event("run.completed", run)
    assert seqs(b, run) == sorted(set(seqs(b, run))) and seqs(b, run)[0] == last + 1


def test_unsubscribe_ends_all_sight_of_a_run(parent):
    r = parent.start([calls("t"), say("ok")], [tool("t")])
    m = parent.next_invoke()
    run = m.params["runId"]
    parent.call("run.unsubscribe", {"runId": run})
    before = len(parent.events(run))
    parent.respond(m, {"content": "x"})
    assert parent.result(r)["status"] == "success"
    parent.ping()
    assert len(parent.events(run)) == before


def test_unsubscribe_of_an_observer(lab):
    a, b = lab.parent(), lab.bridge()
    r = a.start([calls("t"), say("ok")], [tool("t")])
    m = a.next_invoke()
    run = m.params["runId"]
    subscribe(b, run, afterSeq=0)
    b.wait_event("run.paused", run)
    b.call("run.unsubscribe", {"runId": run})
    before = len(b.events(run))
    a.respond(m, {"content": "x"})
    a.result(r)
    b.ping()
    assert len(b.events(run)) == before


def test_unsubscribe_of_what_was_never_subscribed_is_harmless(lab):
    a, b = lab.bridge(), lab.bridge()
    o = a.run([say("ok")])
    m = b.wait_response(b.request("run.unsubscribe", {"runId": o["runId"]}))
    assert m.error is None or m.error["data"]["kind"] == "run.notFound"
    b.ping()


def test_a_connection_sees_only_its_own_runs(lab):
    a, b = lab.bridge(), lab.bridge()
    a.run([say("ok")])
    b.run([say("ok")])
    a.ping(), b.ping()
    assert len({m.run_id for m in a.events()}) == 1 and len({m.run_id for m in b.events()}) == 1


def test_the_submitter_sees_the_events_from_its_submit_on(lab):
    a, b = lab.bridge(), lab.bridge()
    o = a.run([calls("t"), say("ok")], [tool("t")])
    run = o["runId"]
    b.submit(run, {o["pendingToolCalls"][0]["callId"]: "x"})
    got = seqs(b, run)
    assert got and got == list(range(o["lastSeq"] + 1, o["lastSeq"] + 1 + len(got)))
    assert b.events(run)[-1].type == "run.completed"


def test_live_events_over_a_driver_that_is_killed_and_its_successor(lab):
    watcher = lab.bridge()
    a = lab.bridge()
    model = lab.script([calls("t"), say("late", delayMs=60_000)])
    o = a.run(model, [tool("t")])
    run = o["runId"]
    subscribe(watcher, run, afterSeq=0)
    a.submit(run, {o["pendingToolCalls"][0]["callId"]: "x"}, wait=False)
    watcher.wait_event("model.started", run, where=lambda m: m.seq > o["lastSeq"])
    a.kill9()
    lab.rewrite(model, [calls("t"), say("now")])
    b = lab.bridge()
    b.call("run.resume", {"runId": run}, 2 * TIMEOUT)
    watcher.wait_event("run.completed", run)
    log = watcher.check_replay(run)
    assert seqs(watcher, run) == [e["seq"] for e in log]


# ---- delete

def test_delete_of_an_ended_run(lab):
    b = lab.bridge()
    o = b.run([say("ok")])
    assert b.call("run.delete", {"runId": o["runId"]}) == {}
    for method in ("run.get", "run.events", "run.wait", "run.delete", "run.resume"):
        b.fails(method, {"runId": o["runId"]}, kind="run.notFound")
    assert b.call("run.list") == {"runs": []}
    assert lab.bridge().call("run.list") == {"runs": []}


@pytest.mark.parametrize("turns", [[calls("t"), say("x")], [say("late", delayMs=60_000)]])
def test_a_run_that_has_not_ended_is_not_deleted(bridge, turns):
    run = bridge.background(turns, [tool("t")])
    bridge.fails("run.delete", {"runId": run})
    assert bridge.get(run)["runId"] == run
    bridge.call("run.cancel", {"runId": run})
    bridge.call("run.delete", {"runId": run})


def test_delete_takes_only_its_own_run(bridge):
    a, b = bridge.run([say("a")])["runId"], bridge.run([say("b")])["runId"]
    bridge.call("run.delete", {"runId": a})
    assert [r["runId"] for r in bridge.call("run.list")["runs"]] == [b]
    assert bridge.log_types(b)[-1] == "run.completed"


# ---- get

def test_run_get_from_another_process_is_the_same(lab):
    a, b = lab.bridge(), lab.bridge()
    o = a.run([calls("t"), say("x")], [tool("t")])
    x, y = a.get(o["runId"]), b.get(o["runId"])
    assert x == y


def test_times_are_rfc_3339_with_milliseconds(bridge):
    o = bridge.run([say("ok")])
    for e in bridge.log(o["runId"]):
        assert TIME.match(e["time"])
    times = [e["time"] for e in bridge.log(o["runId"])]
    assert times == sorted(times)


def test_what_the_parent_gave_is_what_observers_see(lab):
    a, b = lab.parent(), lab.bridge()
    a.handlers["t"] = {"content": "the very words"}
    o = a.succeeds([calls("t"), say("ok", expect=expect(content="the very words"))], [tool("t")])
    assert text_of(b.log_of(o["runId"], "tool.completed")[0]["content"]) == "the very words"
    assert dumps(loads(json.dumps(b.log(o["runId"])))) == dumps(a.log(o["runId"]))

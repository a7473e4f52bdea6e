"""Section 3, run.submitToolResults: the whole order of judging, verdicts, evidence, races."""
import json
import threading

import pytest

from harness import DEFER, TIMEOUT, Raw, calls, contains, expect, say, sh, text_of, tool, until

STORES = ("sqlite", "postgres")

NOWHERE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
AB = [tool("a"), tool("b")]


def waiting(b, names=("t",), last=None, tools=None, **more):
    """A run that waits for these calls; (runId, [callIds])."""
    o = b.run([calls(*names), last or say("ok")], tools or [tool(n) for n in dict.fromkeys(names)], **more)
    assert o["status"] == "waiting_client_tool", o
    return o["runId"], [c["callId"] for c in o["pendingToolCalls"]]


def refused(b, run, results, kind, verdicts=None, **more):
    e = b.fails("run.submitToolResults", b.submit_params(run, results, **more), kind=kind)
    if verdicts is not None:
        assert e.data["verdicts"] == verdicts, e.error
    return e


def completed(b, run):
    return b.log_of(run, "tool.completed")


# ---- accepted

def test_a_submit_continues_the_run_and_answers_where_it_settles(bridge):
    run, (c,) = waiting(bridge, last=say("ok", expect=expect(content="result")))
    o = bridge.submit(run, {c: "result"})
    assert (o["status"], o["answer"], o["verdicts"]) == ("success", "ok", {c: "accepted"})
    assert [d["cause"] for d in bridge.log_of(run, "run.resumed")] == ["submit"]


def test_several_results_in_one_submit(bridge):
    run, (a, b) = waiting(bridge, ("a", "b"), last=say("ok", expect=expect(name="b", content="B")))
    o = bridge.submit(run, {b: "B", a: "A"})
    assert o["status"] == "success" and o["verdicts"] == {a: "accepted", b: "accepted"}


def test_a_submit_settles_at_the_next_pause(bridge):
    o = bridge.run([calls("a"), calls("b"), say("ok")], AB)
    o = bridge.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "A"})
    assert o["status"] == "waiting_client_tool" and [c["name"] for c in o["pendingToolCalls"]] == ["b"]
    assert bridge.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "B"})["status"] == "success"


def test_an_error_result_may_be_submitted(bridge):
    run, (c,) = waiting(bridge, last=say("ok", expect=expect(isError=True, content=contains("no"))))
    assert bridge.submit(run, {c: {"content": "no", "isError": True}})["status"] == "success"


def test_every_member_of_a_result_may_be_submitted(bridge):
    run, (c,) = waiting(bridge)
    result = {"content": [{"type": "text", "text": "x"}], "structuredContent": {"a": 1}, "stdout": ["out"], "stderr": ["err"], "isError": False}
    bridge.submit(run, {c: result})
    d, = completed(bridge, run)
    assert {k: d[k] for k in result} == result


def test_wait_false_answers_when_it_is_stored(bridge):
    run, (c,) = waiting(bridge, last=say("late", delayMs=60_000))
    o = bridge.submit(run, {c: "x"}, wait=False)
    assert not o["ended"] and o["verdicts"] == {c: "accepted"}
    assert len(completed(bridge, run)) == 1
    bridge.call("run.cancel", {"runId": run})


def test_a_submit_from_a_fresh_process(lab):
    a = lab.bridge()
    run, (c,) = waiting(a, last=say("ok", expect=expect(content="fresh")))
    assert a.hang_up() == 0
    b = lab.bridge()
    o = b.submit(run, {c: "fresh"})
    assert (o["status"], o["answer"]) == ("success", "ok")
    assert [m.type for m in b.events(run)][-1] == "run.completed"


def test_the_run_carries_its_command_tools_to_another_process(lab):
    a = lab.bridge()
    o = a.run([calls("t"), calls("c"), say("ok", expect=expect(content=contains("ran here")))], [tool("t")], agent={"tools": [sh("c", "echo ran here")]})
    a.kill9()
    assert lab.bridge().submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})["status"] == "success"


def test_a_submit_while_another_process_has_the_call_open(lab):
    a, b = lab.parent(), lab.bridge()
    r = a.start([calls("t"), say("ok", expect=expect(content="from b"))], [tool("t")])
    m = a.next_invoke()
    o = b.submit(m.params["runId"], {m.call_id: "from b"})
    assert o["status"] == "success" and o["verdicts"] == {m.call_id: "accepted"}
    a.wait_cancelled(m.id)
    assert a.result(r)["status"] == "success"
    assert a.wait_event("run.completed", m.params["runId"])


def test_a_submit_for_a_call_that_is_open_here(parent):
    r = parent.start([calls("t"), say("ok", expect=expect(content="by submit"))], [tool("t")])
    m = parent.next_invoke()
    assert parent.submit(m.params["runId"], {m.call_id: "by submit"})["status"] == "success"
    parent.wait_cancelled(m.id)
    assert parent.result(r)["status"] == "success"


# ---- delivery

def test_with_the_tools_capability_later_calls_go_to_the_submitter(lab):
    a = lab.bridge()
    o = a.run([calls("a"), calls("b"), say("ok")], AB)
    b = lab.parent()
    b.handlers["b"] = {"content": "B"}
    assert b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "A"})["status"] == "success"
    assert len(b.invokes("b")) == 1 and not a.invokes()


def test_without_it_the_run_pauses_again(lab):
    a = lab.parent()
    o = a.run([calls("a"), calls("b"), say("ok")], AB, delivery="pause")
    b = lab.bridge()
    o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "A"})
    assert o["status"] == "waiting_client_tool" and not a.invokes() and not b.invokes()


def test_delivery_pause_may_be_asked_for(lab):
    a = lab.bridge()
    o = a.run([calls("a"), calls("b"), say("ok")], AB)
    b = lab.parent()
    o = b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "A"}, delivery="pause")
    assert o["status"] == "waiting_client_tool" and not b.invokes()


def test_delivery_invoke_without_the_capability_is_an_error_and_claims_nothing(bridge):
    run, (c,) = waiting(bridge)
    refused(bridge, run, {c: "x"}, "unsupportedCapability", delivery="invoke")
    assert not completed(bridge, run)
    assert bridge.submit(run, {c: "y"})["status"] == "success"


def test_a_missing_script_is_an_error_and_claims_nothing(lab):
    a = lab.bridge()
    model = lab.script([calls("t"), say("ok", expect=expect(content="second try"))])
    o = a.run(model, [tool("t")])
    a.hang_up()
    path = lab.path / model.split("/")[-1]
    path.rename(lab.path / "away")
    b = lab.bridge()
    call = o["pendingToolCalls"][0]["callId"]
    b.fails("run.submitToolResults", b.submit_params(o["runId"], {call: "first try"}))
    assert not completed(b, o["runId"])
    assert b.get(o["runId"])["status"] == "waiting_client_tool"
    (lab.path / "away").rename(path)
    assert b.submit(o["runId"], {call: "second try"})["status"] == "success"


# ---- tools

def test_tools_replace_the_runs_plain_tools(parent):
    parent.handlers["new"] = {"content": "N"}
    o = parent.run([calls("old"), calls("new"), calls("old"), say("ok", expect=expect(name="old", isError=True))], [tool("old")], delivery="pause")
    o = parent.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "O"}, tools=[tool("new")], delivery="invoke")
    assert o["status"] == "success"
    assert len(parent.invokes("new")) == 1 and not parent.invokes("old")


def test_bad_tools_in_a_submit_claim_nothing(bridge):
    run, (c,) = waiting(bridge)
    e = bridge.fails("run.submitToolResults", bridge.submit_params(run, {c: "x"}, tools=[tool("bad", {"type": "no-such"})]), kind="tool.invalidSchema")
    assert "bad" in json.dumps(e.error)
    assert not completed(bridge, run)


# ---- refused

def test_an_unknown_run(bridge):
    refused(bridge, NOWHERE, {NOWHERE: "x"}, "run.notFound")


def test_a_submit_with_no_member_is_invalid_params(bridge):
    run, _ = waiting(bridge)
    bridge.fails("run.submitToolResults", {"runId": run}, kind="invalidParams", valid=False)
    bridge.fails("run.submitToolResults", {"runId": run, "partial": True, "wait": False}, kind="invalidParams", valid=False)


@pytest.mark.parametrize("results,pointer", [(5, "/results"), ({}, "/results"), ([5], "/results/0"), ([{"content": "x"}], "/results/0/callId"),
                                             ([{"callId": 5, "content": "x"}], "/results/0/callId")])
def test_results_of_wrong_types(bridge, results, pointer):
    run, (c,) = waiting(bridge)
    bridge.refuses("run.submitToolResults", {"runId": run, "results": results}, pointer)
    assert not completed(bridge, run)


@pytest.mark.parametrize("result", [{"content": 5}, {"content": [5]}, {"content": [{"type": "text"}]}, {"isError": "x"}, {"stdout": "x"}])
def test_a_result_of_wrong_shape_is_invalid_params_and_claims_nothing(bridge, result):
    run, (c,) = waiting(bridge)
    e = bridge.fails("run.submitToolResults", {"runId": run, "results": [{"callId": c, **result}]}, kind="invalidParams", valid=False)
    assert e.data["pointer"].startswith("/results/0/")
    assert bridge.submit(run, {c: "good"})["status"] == "success"


def test_a_missing_result(bridge):
    run, (a, b) = waiting(bridge, ("a", "b"))
    e = refused(bridge, run, {a: "A"}, "run.invalidToolResults")
    assert e.data["missing"] == [b] and e.data["unknown"] == [] and e.data["duplicate"] == []
    assert not completed(bridge, run), "nothing is claimed"
    assert bridge.submit(run, {a: "A2", b: "B"})["status"] == "success"


def test_an_unknown_result(bridge):
    run, (a,) = waiting(bridge, ("a",))
    e = refused(bridge, run, {a: "A", NOWHERE: "?"}, "run.invalidToolResults")
    assert e.data["unknown"] == [NOWHERE] and e.data["missing"] == []
    assert e.data["verdicts"][NOWHERE] == "unknown"
    assert not completed(bridge, run)
    assert bridge.get(run)["rejectedResults"] == 0, "sets refused as not exact are not kept"


def test_a_result_given_twice(bridge):
    run, (a, b) = waiting(bridge, ("a", "b"))
    e = refused(bridge, run, [{"callId": a, "content": "1"}, {"callId": a, "content": "2"}, {"callId": b, "content": "B"}], "run.invalidToolResults")
    assert e.data["duplicate"] == [a]
    assert not completed(bridge, run)


def test_missing_and_unknown_and_twice_at_once(bridge):
    run, (a, b) = waiting(bridge, ("a", "b"))
    e = refused(bridge, run, [{"callId": a, "content": "1"}, {"callId": a, "content": "1"}, {"callId": NOWHERE, "content": "?"}], "run.invalidToolResults")
    assert (e.data["missing"], e.data["unknown"], e.data["duplicate"]) == ([b], [NOWHERE], [a])


def test_an_empty_set_is_not_exact(bridge):
    run, _ = waiting(bridge)
    e = bridge.fails("run.submitToolResults", {"runId": run, "results": []})
    assert e.kind in ("run.invalidToolResults", "invalidParams")


def test_an_ended_run(bridge):
    run, (c,) = waiting(bridge)
    bridge.submit(run, {c: "x"})
    refused(bridge, run, {c: "other"}, "run.alreadyTerminal", {c: "terminal"})
    refused(bridge, run, {NOWHERE: "x"}, "run.alreadyTerminal", {NOWHERE: "terminal"})
    assert bridge.get(run)["rejectedResults"] == 2
    assert bridge.log_types(run)[-3:] == ["run.completed", "tool.resultRejected", "tool.resultRejected"]


@pytest.mark.parametrize("partial", [False, True])
def test_an_ended_run_refuses_partial_submits_too(bridge, partial):
    run, (c,) = waiting(bridge)
    bridge.call("run.cancel", {"runId": run})
    refused(bridge, run, {c: "x"}, "run.alreadyTerminal", {c: "terminal"}, partial=partial)


def test_another_result_for_a_stored_one_is_already_claimed(bridge):
    run, (a, b) = waiting(bridge, ("a", "b"))
    bridge.submit(run, {a: "A"}, partial=True)
    e = refused(bridge, run, {a: "other", b: "B"}, "run.alreadyClaimed")
    assert e.data["verdicts"][a] == "conflict"
    assert len(completed(bridge, run)) == 1, "nothing is claimed"
    assert bridge.get(run)["rejectedResults"] == 1
    rejected = bridge.log_of(run, "tool.resultRejected")
    assert [(d["callId"], d["verdict"]) for d in rejected] == [(a, "conflict")] and rejected[0]["bytes"] > 0
    assert bridge.submit(run, {b: "B"})["status"] == "success"


def test_nothing_pending_is_not_waiting(bridge):
    run = bridge.background([say("late", delayMs=60_000)])
    bridge.wait_event("model.started", run)
    refused(bridge, run, {NOWHERE: "x"}, "run.notWaiting")
    bridge.call("run.cancel", {"runId": run})


def test_conflict_goes_before_not_waiting(bridge):
    o = bridge.run([calls("t"), say("late", delayMs=60_000)], [tool("t")])
    run, c = o["runId"], o["pendingToolCalls"][0]["callId"]
    bridge.submit(run, {c: "x"}, wait=False)
    refused(bridge, run, {c: "y"}, "run.alreadyClaimed", {c: "conflict"})
    bridge.call("run.cancel", {"runId": run})


def test_terminal_goes_before_conflict(bridge):
    run, (c,) = waiting(bridge)
    bridge.submit(run, {c: "x"})
    refused(bridge, run, {c: "y"}, "run.alreadyTerminal")


# ---- duplicates

def test_the_same_result_again_is_a_duplicate_and_answers_as_run_wait_would(bridge):
    run, (c,) = waiting(bridge)
    first = bridge.submit(run, {c: "x"})
    again = bridge.submit(run, {c: "x"})
    assert again["verdicts"] == {c: "duplicate"}
    assert {k: v for k, v in again.items() if k != "verdicts"} == {k: v for k, v in first.items() if k != "verdicts"} == bridge.wait_run(run)
    assert bridge.get(run)["rejectedResults"] == 0
    assert len(completed(bridge, run)) == 1


def test_a_duplicate_counts_as_given(bridge):
    run, (a, b) = waiting(bridge, ("a", "b"))
    bridge.submit(run, {a: "A"}, partial=True)
    o = bridge.submit(run, {a: "A", b: "B"})
    assert o["status"] == "success" and o["verdicts"] == {a: "duplicate", b: "accepted"}


def test_all_duplicates_while_others_are_pending_answers_the_outcome(bridge):
    run, (a, b) = waiting(bridge, ("a", "b"))
    bridge.submit(run, {a: "A"}, partial=True)
    o = bridge.submit(run, {a: "A"})
    assert o["status"] == "waiting_client_tool" and o["verdicts"] == {a: "duplicate"}
    assert [c["callId"] for c in o["pendingToolCalls"]] == [b]


def test_a_duplicate_of_a_live_answer(parent):
    parent.handlers["t"] = {"content": "live"}
    o = parent.succeeds([calls("t"), say("ok")], [tool("t")])
    c = parent.invokes()[0].call_id
    assert parent.submit(o["runId"], {c: "live"})["verdicts"] == {c: "duplicate"}


def test_a_duplicate_from_another_process_after_a_crash(lab):
    a = lab.bridge()
    run, (c,) = waiting(a)
    a.submit(run, {c: "x"})
    a.kill9()
    b = lab.bridge()
    assert b.submit(run, {c: "x"})["verdicts"] == {c: "duplicate"}


RAW = '{"runId":"%s","results":[%s]}'


@pytest.mark.parametrize("first,second,same", [
    ('{"callId":"%s","structuredContent":{"a":1,"b":[2]}}', '{ "structuredContent" : {"b":[2],"a":1},\t"callId":"%s" }', True),
    ('{"callId":"%s","content":[{"type":"text","text":"x"}]}', '{"callId":"%s","content":[{"text":"x","type":"text"}]}', True),
    ('{"callId":"%s","content":"\\u00e9"}', '{"callId":"%s","content":"é"}', True),
    ('{"callId":"%s","structuredContent":1}', '{"callId":"%s","structuredContent":1.0}', False),
    ('{"callId":"%s","structuredContent":0.1}', '{"callId":"%s","structuredContent":0.10}', False),
    ('{"callId":"%s","structuredContent":1e2}', '{"callId":"%s","structuredContent":100}', False),
    ('{"callId":"%s","structuredContent":[1,2]}', '{"callId":"%s","structuredContent":[2,1]}', False),
    ('{"callId":"%s","structuredContent":18446744073709551615}', '{"callId":"%s","structuredContent":18446744073709551616}', False),
    ('{"callId":"%s","content":"x"}', '{"callId":"%s","content":"x","isError":true}', False),
    ('{"callId":"%s","content":"x"}', '{"callId":"%s","content":"x "}', False),
])
def test_equal_is_the_same_json_value_with_numbers_by_their_text(bridge, first, second, same):
    run, (c,) = waiting(bridge)
    assert bridge.result(bridge.request_raw("run.submitToolResults", RAW % (run, first % c)))["status"] == "success"
    r = bridge.request_raw("run.submitToolResults", RAW % (run, second % c))
    if same:
        assert bridge.result(r)["verdicts"] == {c: "duplicate"}
    else:
        assert bridge.error_of(r).kind == "run.alreadyTerminal"


def test_equal_over_64_kib(bridge):
    run, (c,) = waiting(bridge)
    text = "x" * 200_000
    bridge.submit(run, {c: text})
    assert bridge.submit(run, {c: text})["verdicts"] == {c: "duplicate"}
    refused(bridge, run, {c: text + "y"}, "run.alreadyTerminal")
    refused(bridge, run, {c: "y" + text[1:]}, "run.alreadyTerminal")


# ---- partial

def test_partial_results_are_durable_at_once_and_no_longer_pending(lab):
    b = lab.bridge()
    run, (x, y, z) = waiting(b, ("x", "y", "z"))
    o = b.submit(run, {y: "Y"}, partial=True)
    assert o["status"] == "waiting_client_tool" and o["verdicts"] == {y: "accepted"}
    assert [c["callId"] for c in o["pendingToolCalls"]] == [x, z]
    assert [d["callId"] for d in completed(lab.bridge(), run)] == [y]
    o = b.submit(run, {x: "X"}, partial=True)
    assert [c["callId"] for c in o["pendingToolCalls"]] == [z]
    o = b.submit(run, {z: "Z"}, partial=True)
    assert o["status"] == "success"


def test_partial_does_not_run_the_model_before_the_last(bridge):
    run, (a, b) = waiting(bridge, ("a", "b"))
    bridge.submit(run, {a: "A"}, partial=True)
    assert bridge.log_types(run).count("model.started") == 1


def test_partial_judges_ids_one_by_one(bridge):
    run, (a, b, c) = waiting(bridge, ("a", "b", "c"))
    bridge.submit(run, {a: "A"}, partial=True)
    o = bridge.submit(run, [{"callId": a, "content": "A"}, {"callId": b, "content": "B"}, {"callId": NOWHERE, "content": "?"}], partial=True)
    assert o["verdicts"] == {a: "duplicate", b: "accepted", NOWHERE: "unknown"}
    o = bridge.submit(run, [{"callId": b, "content": "other"}], partial=True)
    assert o["verdicts"] == {b: "conflict"} and o["status"] == "waiting_client_tool"
    rejected = bridge.log_of(run, "tool.resultRejected")
    assert [(d["callId"], d["verdict"]) for d in rejected] == [(NOWHERE, "unknown"), (b, "conflict")]
    assert bridge.get(run)["rejectedResults"] == 2
    o = bridge.submit(run, {c: "C"})
    assert o["status"] == "success"


def test_partial_with_only_unknown_ids(bridge):
    run, (a,) = waiting(bridge, ("a",))
    o = bridge.submit(run, {NOWHERE: "x"}, partial=True)
    assert o["verdicts"] == {NOWHERE: "unknown"} and o["status"] == "waiting_client_tool"


def test_partial_with_live_calls_open(parent):
    r = parent.start([calls("a", "b"), say("ok", expect=expect(name="a", content="by submit"))], AB)
    a, b = parent.next_invoke("a"), parent.next_invoke("b")
    run = a.params["runId"]
    s = parent.request("run.submitToolResults", parent.submit_params(run, {a.call_id: "by submit"}, partial=True, wait=False))
    assert parent.result(s)["verdicts"] == {a.call_id: "accepted"}
    parent.wait_cancelled(a.id)
    parent.respond(b, {"content": "B"})
    assert parent.result(r)["status"] == "success"


def test_the_evidence_is_kept_a_hundred_times_a_run_and_counted_on(bridge):
    run, (a, b) = waiting(bridge, ("a", "b"))
    bridge.submit(run, {a: "A"}, partial=True)
    for n in range(105):
        bridge.submit(run, [{"callId": a, "content": f"other {n}"}], partial=True)
    assert len(bridge.log_of(run, "tool.resultRejected")) == 100
    assert bridge.get(run)["rejectedResults"] in (100, 105)  # "their total": of those kept, or of all
    assert bridge.submit(run, {b: "B"})["status"] == "success"


def test_a_submit_needs_no_initialize(lab):
    a = lab.bridge()
    run, (c,) = waiting(a)
    b = lab.bridge(init=False)
    assert b.submit(run, {c: "x"})["status"] == "success"


# ---- races

def race(bridges, method, params):
    """The same moment, every bridge: [(bridge, Msg of the response)]."""
    barrier = threading.Barrier(len(bridges))
    out = [None] * len(bridges)

    def go(n):
        barrier.wait()
        out[n] = bridges[n].wait_response(bridges[n].request(method, params(n)), 3 * TIMEOUT)
    threads = [threading.Thread(target=go, args=(n,)) for n in range(len(bridges))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return out


def one_winner(bridges, rounds):
    first = bridges[0]
    model = first.lab.script([calls("t"), {"text": "ok"}])
    for _ in range(rounds):
        o = first.run(model, [tool("t")], delivery="pause")
        run, c = o["runId"], o["pendingToolCalls"][0]["callId"]
        got = race(bridges, "run.submitToolResults", lambda n: {"runId": run, "results": [{"callId": c, "content": f"from {n}"}]})
        won = [n for n, m in enumerate(got) if m is not None and m.error is None]
        assert len(won) == 1, got
        assert got[won[0]].result["verdicts"] == {c: "accepted"}
        for n, m in enumerate(got):
            if n not in won:
                assert m.error["data"]["kind"] in ("run.alreadyClaimed", "run.alreadyTerminal"), m
                assert m.error["data"]["verdicts"][c] in ("conflict", "terminal")
        done, = completed(first, run)
        assert text_of(done["content"]) == f"from {won[0]}"
        assert first.log_types(run).count("run.completed") == 1
        until(lambda: first.get(run)["rejectedResults"] == len(bridges) - 1)


def test_of_racing_submits_from_four_processes_exactly_one_is_accepted(lab):
    one_winner([lab.bridge() for _ in range(4)], 8)


@pytest.mark.long
def test_of_racing_submits_exactly_one_is_accepted_many_times(lab):
    one_winner([lab.bridge() for _ in range(8)], 150)


def test_of_racing_equal_submits_one_is_accepted_and_the_others_are_duplicates(lab):
    bridges = [lab.bridge() for _ in range(4)]
    model = lab.script([calls("t"), say("ok")])
    for _ in range(5):
        o = bridges[0].run(model, [tool("t")])
        run, c = o["runId"], o["pendingToolCalls"][0]["callId"]
        got = race(bridges, "run.submitToolResults", lambda n: {"runId": run, "results": [{"callId": c, "content": "equal"}]})
        assert None not in got, "a submit was not answered"
        verdicts = sorted(m.result["verdicts"][c] for m in got)
        assert verdicts == ["accepted", "duplicate", "duplicate", "duplicate"]
        assert all(m.result["status"] == "success" for m in got)
        assert len(completed(bridges[0], run)) == 1


def test_of_racing_submits_on_one_connection_exactly_one_is_accepted(bridge):
    for _ in range(5):
        run, (c,) = waiting(bridge)
        ids = [bridge.request("run.submitToolResults", bridge.submit_params(run, {c: f"{n}"})) for n in range(20)]
        got = [bridge.wait_response(i) for i in ids]
        assert sum(m.error is None for m in got) == 1
        assert len(completed(bridge, run)) == 1


def test_racing_partial_submits_continue_the_run_once(lab):
    bridges = [lab.bridge() for _ in range(4)]
    model = lab.script([calls("t", "t", "t", "t"), say("ok")])
    for _ in range(5):
        o = bridges[0].run(model, [tool("t")])
        run, ids = o["runId"], [c["callId"] for c in o["pendingToolCalls"]]
        got = race(bridges, "run.submitToolResults", lambda n: {"runId": run, "results": [{"callId": ids[n], "content": f"{n}"}], "partial": True})
        assert None not in got, "a submit was not answered"
        assert all(m.error is None and m.result["verdicts"] == {ids[n]: "accepted"} for n, m in enumerate(got)), got
        assert bridges[0].wait_run(run)["status"] == "success"
        assert bridges[0].log_types(run).count("model.started") == 2


def test_a_submit_and_a_live_answer_race_into_one_result(lab):
    a, b = lab.parent(), lab.bridge()
    model = lab.script([calls("t"), say("ok")])
    for n in range(8):
        r = a.start(model, [tool("t")])
        m = a.next_invoke()
        run = m.params["runId"]
        s = b.request("run.submitToolResults", b.submit_params(run, {m.call_id: "by submit"}))
        a.respond(m, {"content": "live"})
        won = b.wait_response(s)
        assert a.result(r)["status"] == "success"
        done, = completed(a, run)
        assert text_of(done["content"]) == ("live" if won.error else "by submit")


def test_a_submit_and_a_cancel_race_into_one_end(lab):
    a, b = lab.bridge(), lab.bridge()
    model = lab.script([calls("t"), say("ok")])
    for _ in range(8):
        o = a.run(model, [tool("t")])
        run, c = o["runId"], o["pendingToolCalls"][0]["callId"]
        s = a.request("run.submitToolResults", a.submit_params(run, {c: "x"}))
        x = b.request("run.cancel", {"runId": run})
        submitted, cancelled = a.wait_response(s), b.result(x)
        if submitted.error:
            assert submitted.error["data"]["kind"] == "run.alreadyTerminal" and cancelled["status"] == "cancelled"
        else:
            assert submitted.result["status"] in ("success", "cancelled")
        final = a.get(run)
        assert final["ended"] and final["status"] == cancelled["status"]
        assert len(completed(a, run)) == 1


def test_deferred_calls_are_answered_by_whoever_comes_first(lab):
    a, b = lab.parent(), lab.bridge()
    a.handlers["t"] = DEFER
    o = a.run([calls("t"), say("ok")], [tool("t")])
    c = o["pendingToolCalls"][0]["callId"]
    got = race([a, b], "run.submitToolResults", lambda n: {"runId": o["runId"], "results": [{"callId": c, "content": f"{n}"}]})
    assert sum(m.error is None for m in got) == 1


def test_a_submitted_result_fails_the_output_schema_like_a_live_one(bridge):
    out = {"type": "object", "properties": {"n": {"type": "integer"}}}
    run, (c,) = waiting(bridge, tools=[tool("t", outputSchema=out)], last=say("ok", expect=expect(isError=True, content=contains("/n"))))
    bridge.submit(run, {c: {"structuredContent": {"n": "x"}}})
    assert completed(bridge, run)[0]["isError"] is True


def test_a_live_result_that_repeats_a_submitted_one_changes_nothing(parent):
    r = parent.start([calls("a", "b"), say("ok")], AB)
    a, b = parent.next_invoke("a"), parent.next_invoke("b")
    run = a.params["runId"]
    parent.submit(run, {a.call_id: "A"}, partial=True, wait=False)
    parent.answer(a, Raw('{"content":"A"}'))
    parent.respond(b, {"content": "B"})
    assert parent.result(r)["status"] == "success"
    assert len(completed(parent, run)) == 2

"""Numbers at the end of what fits, and files that are none: bad input never ends the process, nor does it stop it."""
import os
import subprocess

import pytest

from harness import BINARY, base_env, calls, say, tool

LARGEST = 2**53 - 1
TURNS = [calls("a"), say("one")]
A = [tool("a")]

NUMBERS = {
    "limits.maxToolCalls": lambda n: {"limits": {"maxToolCalls": n}},
    "limits.maxTotalTokens": lambda n: {"limits": {"maxTotalTokens": n}},
    "limits.deadlineMs": lambda n: {"limits": {"deadlineMs": n}},
    "clientTools.invokeTimeoutMs": lambda n: {"agent": {"clientTools": {"invokeTimeoutMs": n}}},
    "clientTools.maxRetries": lambda n: {"agent": {"clientTools": {"maxRetries": n, "onTimeout": "retryWithBackoff"}}},
    "clientTools.maxParallelInvocations": lambda n: {"agent": {"clientTools": {"maxParallelInvocations": n}}},
    "agent.limits.deadlineMs": lambda n: {"agent": {"limits": {"deadlineMs": n}}},
    "agent.maxOutputTokens": lambda n: {"agent": {"maxOutputTokens": n}},
    "tool.timeoutMs": lambda n: {"tools": [tool("a", timeoutMs=n)]},
    "tool.maxResultBytes": lambda n: {"tools": [tool("a", maxResultBytes=n)]},
}


def approving(n):
    return {"agent": {"approvalTimeoutMs": n}, "tools": [tool("a", requiresApproval=True)]}


def start(lab, change, n):
    """One run on a bridge of its own; what came of it, once the bridge has shown that it lives."""
    b = lab.parent()
    b.handlers["a"] = {"content": "r"}
    params = b.params(TURNS, A)
    for name, value in change(n).items():
        params[name] = {**params.get(name, {}), **value} if isinstance(value, dict) else value
    id = b.request("run.start", params, valid=False)
    answer = b.wait_response(id)
    b.ping()
    return b, answer


@pytest.mark.parametrize("n", [2**63 - 1, 2**53, 10**18], ids=str)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_too_large_is_refused(lab, name, n):
    b, answer = start(lab, NUMBERS[name], n)
    error = answer.obj["error"]
    assert error["code"] == -32602 and error["data"]["pointer"].endswith("/" + name.split(".")[-1]), error
    assert str(LARGEST) in error["message"]
    assert b.call("run.list") == {"runs": []}


@pytest.mark.parametrize("name", NUMBERS)
def test_the_largest_number_is_one_like_others(lab, name):
    _, answer = start(lab, NUMBERS[name], LARGEST)
    assert answer.obj["result"]["status"] == "success"


def test_the_longest_approval_is_kept_and_can_be_given_by_another_process(lab):
    b, answer = start(lab, approving, LARGEST)
    outcome = answer.obj["result"]
    assert outcome["status"] == "waiting_approval"
    b.hang_up()
    other = lab.parent("--adopt")
    other.handlers["a"] = {"content": "r"}
    call = other.get(outcome["runId"])["pendingToolCalls"][0]
    assert other.call("run.submitApprovals", {"runId": outcome["runId"], "approvals": [{"callId": call["callId"], "decision": "approve"}]})["status"] == "success"


@pytest.mark.parametrize("n", [2**63 - 1, 2**53], ids=str)
@pytest.mark.parametrize("method,params", [
    ("run.wait", lambda run, n: {"runId": run, "timeoutMs": n}), ("run.events", lambda run, n: {"runId": run, "afterSeq": n}),
    ("run.events", lambda run, n: {"runId": run, "limit": n}), ("run.subscribe", lambda run, n: {"runId": run, "afterSeq": n}),
    ("run.list", lambda run, n: {"limit": n})], ids=["wait", "after", "limit", "subscribe", "list"])
def test_a_request_with_such_a_number_is_refused(lab, method, params, n):
    b = lab.bridge()
    run = b.run(TURNS, A)["runId"]
    answer = b.wait_response(b.request(method, params(run, n), valid=False))
    assert answer.obj["error"]["code"] == -32602
    b.ping()


def test_the_longest_wait_goes_on_until_the_run_settles(lab):
    b = lab.bridge()
    run = b.background([say("slow", delayMs=200)])
    assert b.call("run.wait", {"runId": run, "timeoutMs": LARGEST})["status"] == "success"


@pytest.mark.parametrize("turn", [say("x", delayMs=2**63 - 1), say("x", repeat=2**63 - 1), say("x", repeat=2**53)], ids=["delay", "repeat", "close"])
def test_a_script_with_such_a_number_is_none(lab, turn):
    b = lab.bridge()
    error = b.fails("run.start", b.params([turn]), kind="model.unavailable")
    assert "line 1" in str(error)
    assert b.run([{**say("x"), "repeat": LARGEST}, {**say("y"), "repeat": LARGEST}])["answer"] == "x"


def test_the_longest_quiet_time_can_be_cancelled(lab):
    b = lab.bridge()
    session = b.call("session.create", {})["sessionId"]
    for n, refused in ((2**63 - 1, True), (LARGEST, False)):
        params = b.params([say("x")], agent={"messageConcurrency": {"strategy": "debounce", "debounceMs": n}}, sessionId=session, wait=False)
        answer = b.wait_response(b.request("run.start", params, valid=False)).obj
        assert ("error" in answer) == refused, answer
    assert b.call("run.cancel", {"runId": answer["result"]["runId"]})["status"] == "cancelled"


@pytest.mark.parametrize("words", [["--max-message-bytes", str(2**63 - 1)], ["runs", "--limit", str(2**63 - 1)], ["events", "last", "--after", str(2**63 - 1)]], ids=lambda w: w[0])
def test_the_command_line_refuses_it_too(lab, words):
    done = subprocess.run([BINARY, "--store", lab.store, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=base_env(str(lab.path)))
    assert done.returncode == 64 and "must be a number of at most" in done.stderr, done


# Files


@pytest.fixture
def pipe(lab):
    path = lab.path / "pipe.json"
    os.mkfifo(path)
    return path


def test_a_script_that_is_no_file_is_refused_and_nobody_waits(lab, pipe):
    b = lab.bridge()
    for path in (pipe, "/dev/zero", "/dev/null", lab.path):
        error = b.fails("run.start", {"input": "x", "agent": {"model": f"script:{path}"}}, kind="model.unavailable")
        assert "it is not a regular file" in str(error)
    assert b.run([say("fine")])["answer"] == "fine"
    sub = {"name": "s", "description": "d", "inputSchema": {"type": "object"}, "agent": {"model": f"script:{pipe}"}}
    assert b.wait_response(b.request("run.start", b.params([calls(("s", {"input": "q"})), say("done")], [sub]), valid=False))
    b.ping()


def test_a_name_with_a_zero_byte_is_not_another_file(lab):
    b = lab.bridge()
    script = lab.script([say("other")])
    error = b.fails("run.start", {"input": "x", "agent": {"model": script + "\u0000.jsonl"}}, kind="model.unavailable")
    assert "zero byte" in str(error)


def test_an_agents_file_that_is_none_does_not_hold_the_others_up(lab, pipe):
    lab.file("agents/good.json", {"model": lab.script([say("fine")])})
    b = lab.bridge("--agents", str(lab.path / "agents"))
    os.mkfifo(lab.path / "agents" / "pipe.json")
    assert b.call("run.start", {"agentId": "good", "input": "x"})["answer"] == "fine"
    assert b.fails("agent.get", {"agentId": "pipe"}, code=-32602)
    assert [x["agentId"] for x in b.call("agent.list")["agents"]] == ["good"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["--version"], ["help"]], ids=" ".join)
def test_what_could_not_be_written_is_said(lab, words):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, *words], stdout=full, stderr=subprocess.PIPE, text=True, env=base_env(str(lab.path)))
    assert done.returncode == 1 and "standard output" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_answers_that_could_not_be_written_are_said(lab):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "--store", "memory"], input='{"jsonrpc":"2.0","id":1,"method":"ping"}\n', stdout=full, stderr=subprocess.PIPE,
                              text=True, env=base_env(str(lab.path)))
    assert done.returncode == 1 and "standard output could not be written: No space left on device" in done.stderr


WRONG_BLOCKS = [
    ({"type": "binary", "mimeType": "a/b", "data": "AA==", "filename": 5}, "/filename"),
    ({"type": "binary", "mimeType": "a/b", "url": "u", "data": 5}, "/data"),
    ({"type": "binary", "mimeType": "a/b", "data": None, "url": None}, "/data"),
    ({"type": "resource_link", "uri": "u", "name": "n", "size": -3}, "/size"),
    ({"type": "resource_link", "uri": "u", "name": "n", "size": "x"}, "/size"),
    ({"type": "resource_link", "uri": "u", "name": "n", "size": 0.5}, "/size"),
    ({"type": "resource_link", "uri": "u", "name": "n", "title": []}, "/title"),
    ({"type": "resource_link", "uri": "u", "name": "n", "mimeType": False}, "/mimeType"),
    ({"type": "resource", "resource": {}}, "/resource/uri"),
    ({"type": "resource", "resource": {"uri": None}}, "/resource/uri"),
    ({"type": "resource", "resource": {"uri": "u", "text": 5}}, "/resource/text"),
]


@pytest.mark.parametrize("block,place", WRONG_BLOCKS, ids=str)
def test_a_block_with_a_wrong_member_is_refused_where_it_stands(lab, block, place):
    b = lab.parent()
    b.refuses("run.start", {**b.params([say("ok")]), "input": [block]}, "/input/0" + place)
    b.refuses("run.start", {**b.params([say("ok")]), "input": [{"role": "user", "content": [block]}]}, "/input/0/content/0" + place)
    o = b.run([calls("t"), say("ok")], [tool("t")], delivery="pause")
    c = o["pendingToolCalls"][0]["callId"]
    b.refuses("run.submitToolResults", {"runId": o["runId"], "results": [{"callId": c, "content": [block]}]}, "/results/0/content/0" + place)
    assert b.submit(o["runId"], {c: "x"})["status"] == "success"


def test_a_block_with_good_members_is_carried(bridge):
    blocks = [{"type": "binary", "mimeType": "a/b", "data": "AA==", "url": "u", "filename": "f"}, {"type": "resource", "resource": {"uri": "u", "mimeType": "a/b", "blob": "AA=="}},
              {"type": "resource_link", "uri": "u", "name": "n", "title": "t", "description": "d", "mimeType": "a/b", "size": 3, "annotations": {"priority": None}}]
    o = bridge.run([calls("t"), say("ok")], [tool("t")])
    bridge.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: {"content": blocks}})
    assert bridge.log_of(o["runId"], "tool.completed")[0]["content"] == blocks

"""Section 5 (d): functions of a Swift program as tools. Builds the example and runs it."""
import json
import re
import shlex
import subprocess

import pytest

from harness import REPO, calls, say

EXAMPLE = REPO / "Examples/SwiftTools"


def command():
    """What the example says it is run by, from the product on."""
    line, = re.findall(r"^/// +swift run -c release (.*)$", (EXAMPLE / "Main.swift").read_text(), re.M)
    return shlex.split(line)


@pytest.fixture(scope="module")
def program():
    """In the build folder of the checkout, where most of it is built already; by the name that the example gives it."""
    product = command()[0]
    done = subprocess.run(["swift", "build", "-c", "release", "--product", product], cwd=REPO, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return REPO / ".build/release" / product


def run(program, store, model):
    done = subprocess.run([program, store, model], cwd=REPO, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def in_call_order(b, run):
    """Calls of one message are done in any order."""
    done = {r["callId"]: r for r in b.log_of(run, "tool.completed")}
    return [done[call["callId"]] for message in b.log_of(run, "model.completed") for call in message["toolCalls"]]


def test_the_example(lab, program):
    _, _, model = command()
    assert run(program, str(lab.path / "runs.db"), model) == ["note, attempt 1: three hours", "success: Three hours by bicycle."]
    # Its runs are as those of any client.
    b = lab.bridge()
    o, = b.call("run.list")["runs"]
    assert o["status"] == "success"
    results = in_call_order(b, o["runId"])
    assert results[0]["structuredContent"] == {"minutes": 180, "stops": 1}
    assert results[1]["isError"] is True and "nobody rides 600 km" in json.dumps(results[1]["content"])
    assert results[2]["isError"] is True and "inputSchema" in json.dumps(results[2]["content"])
    assert results[3]["content"] == "written down"


def test_the_schema_is_that_of_the_type(lab, program):
    """What the model is told when its arguments do not fit shows that they are judged by it."""
    trip = {"from": "Ulm", "kilometres": 1.5, "by": "train"}
    wrong = [{**trip, "by": "boat"}, {**trip, "stops": [1]}, {k: v for k, v in trip.items() if k != "from"}]
    model = lab.script([calls(*(("duration", w) for w in [*wrong, trip])), say("ok")])
    assert run(program, str(lab.path / "runs.db"), model) == ["success: ok"]
    b = lab.bridge()
    o, = b.call("run.list")["runs"]
    assert [r["isError"] for r in in_call_order(b, o["runId"])] == [True, True, True, False]


def test_what_is_wrong_before_a_run_is_an_error(lab, program):
    done = subprocess.run([program, lab.path / "runs.db", "nonsense:x"], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "model.unknownProvider" in done.stderr

"""`--record FILE`: what a real provider said becomes a script that says it again."""
import json
import resource
import stat

from harness import text_of, tool
from test_compaction import small
from mock_models import KEY, Call, Status, Thought, Turn
from mock_models.fixtures import completed, http, retries  # noqa: F401

LOOK = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TURNS = [Turn(blocks=[Thought("hm"), "Let me look. ü🙂\n\"q\"", Call("look", {"path": "a/ü", "n": 0.1}), Call("look", {"path": "b"})]), Turn(calls=[("look", {"path": "c"})]), "Done: ü🙂."]


def rows(p):
    return {"content": "rows of " + p["arguments"]["path"]}


def shape(b, run):
    return [(d["text"], [(c["name"], c["arguments"]) for c in d["toolCalls"]], d["stopReason"]) for d in completed(b, run)]


def test_a_served_run_is_recorded_and_replays_the_same(http):
    file = http.lab.path / "turns.jsonl"
    model = http.script(*TURNS)
    a = http.parent("--record", str(file))
    a.handlers["look"] = rows
    o = a.succeeds(model, [tool("look", LOOK)], answer="Done: ü🙂.")
    assert a.hang_up() == 0
    lines = [json.loads(x) for x in file.read_text(encoding="utf-8").splitlines()]
    assert [x.get("text", "") for x in lines] == ["Let me look. ü🙂\n\"q\"", "", "Done: ü🙂."]
    assert [[(c["name"], c["arguments"]) for c in x.get("toolCalls", [])] for x in lines] == [[("look", {"path": "a/ü", "n": 0.1}), ("look", {"path": "b"})], [("look", {"path": "c"})], []]
    b = http.lab.parent()
    b.handlers["look"] = rows
    again = b.succeeds(f"script:{file}", [tool("look", LOOK)], answer="Done: ü🙂.")
    assert shape(b, again["runId"]) == shape(a, o["runId"])


def test_only_answers_that_count_are_recorded(http):
    file = http.lab.path / "turns.jsonl"
    model = http.script(Status(500, "no", headers=(("retry-after-ms", "5"),)), Turn("half of it, and more").with_(cut=600), "Here.")
    b = http.bridge("--record", str(file))
    b.succeeds(model, answer="Here.")
    b.hang_up()
    lines = [json.loads(x) for x in file.read_text().splitlines()]
    assert len(lines) == 1 and lines[0]["text"] == "Here."


def test_a_call_that_was_cut_off_is_not_run_by_a_replay_either(http):
    file = http.lab.path / "turns.jsonl"
    cut, refused = Turn(calls=[("look", {"path": "a"}), ("look", {"path": "b"})], stop="max_tokens"), Turn("No", stop="filter" if http.kind != "anthropic" else "refusal")
    a = http.parent("--record", str(file))
    seen = {}
    for b, model in ((a, http.script(cut, Turn("Half", stop="max_tokens"))), (http.lab.parent(), f"script:{file}")):
        b.handlers["look"] = rows
        o = b.succeeds(model, [tool("look", LOOK)], answer="Half")
        seen[b] = (shape(b, o["runId"]), o["stopReason"], [text_of(e.data["content"]) for e in b.events(o["runId"], "tool.completed")], [i.params["arguments"] for i in b.invokes("look")])
        if b is a:
            assert a.hang_up() == 0
    real, again = seen.values()
    assert again == real and real[1] == "max_tokens"
    assert real[3] == [{"path": "a"}] and "cut off" in real[2][0] and real[2][1] == "rows of a"
    file.unlink()
    c = http.bridge("--record", str(file))
    assert c.succeeds(http.script(refused), answer="No")["stopReason"] == "refusal"
    assert c.hang_up() == 0
    assert http.lab.bridge().succeeds(f"script:{file}", answer="No")["stopReason"] == "refusal"


def test_a_recording_that_a_full_disk_ends_is_whole_as_far_as_it_goes(http):
    file = http.lab.path / "turns.jsonl"
    b = http.bridge("--record", str(file), store="memory")
    b.succeeds(http.script("One."), answer="One.")
    before = resource.prlimit(b.pid, resource.RLIMIT_FSIZE)
    # A store in memory writes to no other file.
    resource.prlimit(b.pid, resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    b.succeeds(http.script("Two. " + "x" * (1 << 20)))
    resource.prlimit(b.pid, resource.RLIMIT_FSIZE, before)
    b.succeeds(http.script("Three."), answer="Three.")
    assert b.hang_up() == 0
    assert [json.loads(x)["text"] for x in file.read_text().splitlines()] == ["One."]
    assert bytes(b.stderr).count(b"so no more are written to the file: it ends with the last turn before that") == 1


def test_a_summary_is_no_turn_of_the_recording(http):
    """And a replay, for which nothing is ever too long, plays the turns of the run."""
    file = http.lab.path / "turns.jsonl"
    asked = []

    def answer(seen):
        if seen.messages[-1].text.startswith("Summarise the conversation above"):
            asked.append(seen)
            return Turn("They looked much.")
        steps = len([m for m in seen.messages if m.calls])
        return Turn("The end.") if len(asked) and steps > 2 else Turn(calls=[("look", {"path": f"{len(asked)}-{steps}" + "x" * 100})])
    model = small(http, 1400, answer)
    a = http.parent("--record", str(file))
    a.handlers["look"] = rows
    o = a.succeeds(model, [tool("look", LOOK)], answer="The end.", agent={"compaction": "summarize"})
    assert asked and a.hang_up() == 0
    assert "They looked much." not in file.read_text()
    b = http.lab.parent()
    b.handlers["look"] = rows
    again = b.succeeds(f"script:{file}", [tool("look", LOOK)], answer="The end.", agent={"compaction": "summarize"})
    assert shape(b, again["runId"]) == shape(a, o["runId"])
    assert not [e for e in b.events(again["runId"]) if e.type in ("model.retried", "run.error")]


def test_the_key_is_not_recorded(http):
    file = http.lab.path / "turns.jsonl"
    b = http.bridge("--record", str(file))
    b.succeeds(http.script("Here."))
    b.hang_up()
    assert KEY not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) & 0o022 == 0


def test_a_recording_survives_kill_9(http):
    file = http.lab.path / "turns.jsonl"
    b = http.bridge("--record", str(file))
    b.succeeds(http.script("Here."))
    b.kill9()
    assert json.loads(file.read_text())["text"] == "Here."


def test_run_records_too(http):
    file = http.lab.path / "turns.jsonl"
    model = http.script("Grüße.")
    code, out, err = http.lab.cli("run", "--model", model, "--record", file, "Say it.", env=http.env())
    assert (code, out.decode().strip()) == (0, "Grüße."), err
    code, out, err = http.lab.cli("run", "--model", f"script:{file}", "Say it.")
    assert (code, out.decode().strip()) == (0, "Grüße."), err


def test_a_file_that_cannot_be_written_is_told_at_the_start(http):
    code, _, err = http.lab.cli("run", "--model", http.script("never"), "--record", "/nowhere/at/all.jsonl", "Say it.", env=http.env())
    assert code != 0 and b"/nowhere/at/all.jsonl" in err
    assert http.server.requests == []


def test_run_streams_the_answer_to_stdout(http):
    model = http.script(Turn(["One, ", "two, ", "three."]))
    code, out, _ = http.lab.cli("run", "--model", model, "Count.", env=http.env())
    assert (code, out.decode().rstrip("\n")) == (0, "One, two, three.")


def test_run_without_a_key_says_which(http):
    from mock_models import KEY_ENV
    code, out, err = http.lab.cli("run", "--model", f"{http.kind}:m", "Count.")
    assert code != 0 and KEY_ENV[http.kind].encode() in err and out == b""


def test_run_shows_no_partial_text_twice(http):
    """stdout cannot be taken back: after a retry the text is not said twice in full."""
    model = http.script(Turn(["One, ", "two, ", "three."]).with_(cut=900), Turn(["One, ", "two, ", "three."]))
    code, out, _ = http.lab.cli("run", "--model", model, "Count.", env=http.env())
    assert code == 0 and out.decode().rstrip("\n").endswith("One, two, three.")

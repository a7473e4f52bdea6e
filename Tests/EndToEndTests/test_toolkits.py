"""Section 6: toolkits, collapsed and open, their two kinds of instructions, hidden children, and skills."""
import pytest

from harness import calls, sh, tool
from told import opened, refused, skill, toolkit, told, unchanged_by_kills  # noqa: F401

A, B, C = tool("A"), tool("B"), tool("C")


def expanded(b, o):
    return b.log_of(o["runId"], "toolkit.expanded")


# ---------------------------------------------------------------- collapsed and open

def test_a_collapsed_toolkit_is_one_tool_of_its_name(told):
    first, = told.one("ok", toolkits=[toolkit("kit", A, B)], tools=[C])
    assert sorted(first.names) == ["C", "kit"]
    assert first.says("kit").startswith("the toolkit kit")
    assert first.tools["kit"][1]["type"] == "object"


def test_a_toolkit_may_be_open_from_the_start(told):
    first, = told.one("ok", toolkits=[opened("kit", A, B)])
    assert {"A", "B"} <= set(first.names)
    assert first.tools["A"] == ("the tool A", {"type": "object"})


def test_calling_it_opens_it(told):
    first, second = told.one(calls("kit"), "ok", toolkits=[toolkit("kit", A, B, C)])
    assert first.names == ["kit"]
    assert second.result == "kit expanded. Available functions: A, B, C"
    assert {"A", "B", "C"} <= set(second.names)


def test_it_is_opened_by_the_bridge_and_nobody_is_asked(told):
    b = told.bridge(tools=False)
    model = told.script(calls("kit"), "ok")
    o = told.succeeds(b, model, toolkits=[toolkit("kit", A)], delivery="pause")
    assert not b.invokes()
    done, = b.log_of(o["runId"], "tool.completed")
    assert (done["name"], done["isError"]) == ("kit", False)


def test_the_event_says_which_and_what_is_offered_now(told):
    b = told.bridge()
    model = told.script(calls("kit"), "ok")
    o = told.succeeds(b, model, toolkits=[toolkit("kit", A, sh("S", "true")), toolkit("other", B)])
    event, = expanded(b, o)
    assert event["toolkit"] == "kit" and "skill" not in event
    assert sorted(t["name"] for t in event["tools"]) == sorted(told.at(model, 1).names)
    assert {(t["name"], t["target"]) for t in event["tools"]} >= {("A", "client"), ("S", "server")}
    types = b.log_types(o["runId"])
    assert types.index("toolkit.expanded") < [i for i, t in enumerate(types) if t == "model.started"][1]


def test_opening_one_leaves_the_others_closed(told):
    _, second, third = told.one(calls("one"), calls("two"), "ok", toolkits=[toolkit("one", A), toolkit("two", B), toolkit("three", C)])
    assert {"A", "two", "three"} <= set(second.names) and not {"B", "C"} & set(second.names)
    assert {"A", "B", "three"} <= set(third.names) and "C" not in third.names


def test_two_are_opened_in_one_batch(told):
    _, second = told.one(calls("one", "two"), "ok", toolkits=[toolkit("one", A), toolkit("two", B)])
    assert [r[0] for r in second.results] == ["one expanded. Available functions: A", "two expanded. Available functions: B"]
    assert {"A", "B"} <= set(second.names)


def test_the_tools_that_came_with_it_are_called_in_the_parent(told):
    told.on("A", lambda p: {"content": f"A got {p['arguments']['n']}"})
    shown = told.one(calls("kit"), calls(("A", {"n": 4})), "ok", toolkits=[toolkit("kit", A)])
    assert shown[2].result == "A got 4"


def test_a_command_may_stand_in_a_toolkit(told):
    shown = told.one(calls("kit"), calls("S"), "ok", toolkits=[toolkit("kit", sh("S", "echo from a command"))])
    assert "from a command" in shown[2].result


def test_it_stays_open_for_the_rest_of_the_run_and_the_next_run_begins_anew(told):
    b = told.bridge()
    told.on("C", "c")
    model = told.script(calls("kit"), calls("C"), calls("C"), "ok")
    told.succeeds(b, model, toolkits=[toolkit("kit", A)], tools=[C])
    assert ["A" in s.names for s in told.shows(model)] == [False, True, True, True]
    other = told.script("ok")
    told.succeeds(b, other, toolkits=[toolkit("kit", A)])
    assert told.at(other, 0).names == ["kit"]


def test_in_a_session_it_stays_open(told):
    b = told.bridge()
    s = told.session(b)
    model = told.script(calls("kit"), "ok", "again")
    told.succeeds(b, model, sessionId=s, toolkits=[toolkit("kit", A, systemPrompt="MIND-THE-KIT")])
    told.succeeds(b, model, sessionId=s)
    third = told.at(model, 2)
    assert "A" in third.names and "MIND-THE-KIT" in third.system


def test_a_tool_may_name_its_toolkit_and_is_hidden_with_it(told):
    first, second = told.one(calls("kit"), "ok", toolkits=[toolkit("kit", A)], tools=[tool("X", toolkit="kit"), C])
    assert sorted(first.names) == ["C", "kit"]
    assert {"A", "X", "C"} <= set(second.names)
    functions = second.result.removeprefix("kit expanded. Available functions: ").split(", ")
    assert sorted(functions) == ["A", "X"]


# ---------------------------------------------------------------- two kinds of instructions

def test_the_function_result_is_appended_once(told):
    told.on("A", "a")
    first, second, third = told.one(calls("kit"), calls("A"), "ok", toolkits=[toolkit("kit", A, functionResult="TIP: select first.")])
    assert "TIP" not in first.text
    assert second.result.startswith("kit expanded. Available functions: A") and second.result.endswith("TIP: select first.")
    assert third.text.count("TIP: select first.") == 1 and "TIP" not in third.system


def test_the_system_prompt_stands_on_every_turn_while_it_is_open(told):
    told.on("A", "a")
    shown = told.one(calls("kit"), calls("A"), calls("A"), "ok", agent={"instructions": "BE KIND."}, toolkits=[toolkit("kit", A, systemPrompt="ASK FIRST.")])
    assert ["ASK FIRST." in s.system for s in shown] == [False, True, True, True]
    assert all("BE KIND." in s.system for s in shown)
    assert all(s.system.count("ASK FIRST.") == 1 for s in shown[1:])


def test_the_system_prompt_of_an_open_toolkit_stands_at_once_and_its_function_result_nowhere(told):
    first, = told.one("ok", toolkits=[opened("kit", A, systemPrompt="ASK FIRST.", functionResult="TIP.")])
    assert "ASK FIRST." in first.system and "TIP." not in first.text


def test_closing_takes_the_system_prompt_away(told):
    told.on("A", lambda p: {"content": "a", "augmentation": {"collapseToolkits": ["kit"]}})
    shown = told.one(calls("A"), "ok", toolkits=[opened("kit", A, systemPrompt="ASK FIRST.")])
    assert ["ASK FIRST." in s.system for s in shown] == [True, False]
    assert shown[1].names == ["kit"]


# ---------------------------------------------------------------- hidden children

def test_a_call_of_a_hidden_child_opens_its_parent_first(told):
    told.on("A", "a was here")
    b = told.bridge()
    model = told.script(calls("A"), "ok")
    o = told.succeeds(b, model, toolkits=[toolkit("kit", A, B, systemPrompt="ASK FIRST.")])
    second = told.at(model, 1)
    assert second.result == "a was here"
    assert {"A", "B"} <= set(second.names) and "ASK FIRST." in second.system
    event, = expanded(b, o)
    assert event["toolkit"] == "kit"
    types = b.log_types(o["runId"])
    assert types.index("toolkit.expanded") < types.index("tool.started")


def test_a_hidden_child_and_its_toolkit_in_one_batch(told):
    told.on("A", "a was here")
    b = told.bridge()
    model = told.script(calls("kit", "A"), "ok")
    o = told.succeeds(b, model, toolkits=[toolkit("kit", A)])
    assert [r[0] for r in told.at(model, 1).results] == ["kit expanded. Available functions: A", "a was here"]
    assert len(expanded(b, o)) == 1


def test_a_hidden_child_that_is_a_command(told):
    shown = told.one(calls("S"), "ok", toolkits=[toolkit("kit", sh("S", "echo from a command"), B)])
    assert "from a command" in shown[1].result and {"S", "B"} <= set(shown[1].names)


def test_a_hidden_child_is_still_gated(told):
    b = told.bridge()
    model = told.script(calls("A"), "ok")
    o = told.run(b, model, toolkits=[toolkit("kit", tool("A", requiresApproval=True))])
    assert o["status"] == "waiting_approval" and not b.invokes()


def test_arguments_of_a_hidden_child_are_validated(told):
    strict = tool("A", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    b = told.bridge()
    model = told.script(calls(("A", {"n": "x"})), "ok")
    told.succeeds(b, model, toolkits=[toolkit("kit", strict)])
    assert "/n" in told.at(model, 1).failure and not b.invokes()


def test_a_tool_of_no_toolkit_is_unknown(told):
    shown = told.one(calls("D"), "ok", toolkits=[toolkit("kit", A)])
    assert "D" in shown[1].failure


# ---------------------------------------------------------------- skills

def test_a_skill_is_a_tool(told):
    first, = told.one("ok", toolkits=[opened("kit", A, skills=[skill("pay", "A")])])
    assert {"A", "pay"} <= set(first.names)
    assert first.says("pay").startswith("the skill pay")


def test_a_skill_of_a_closed_toolkit_is_not_seen(told):
    first, second = told.one(calls("kit"), "ok", toolkits=[toolkit("kit", A, skills=[skill("pay", "A")])])
    assert first.names == ["kit"]
    assert {"A", "pay"} <= set(second.names)


def test_calling_a_skill_shows_its_result_once_and_its_prompt_from_then_on(told):
    told.on("A", "a")
    b = told.bridge()
    model = told.script(calls("pay"), calls("A"), "ok")
    o = told.succeeds(b, model, toolkits=[opened("kit", A, skills=[skill("pay", "A", functionResult="STEPS: 1, 2.", systemPrompt="PAY SLOWLY.")])])
    shown = told.shows(model)
    assert "STEPS: 1, 2." in shown[1].result
    assert shown[2].text.count("STEPS: 1, 2.") == 1 and "STEPS" not in shown[2].system
    assert ["PAY SLOWLY." in s.system for s in shown] == [False, True, True]
    assert not b.invokes("pay")
    event, = expanded(b, o)
    assert (event["toolkit"], event["skill"]) == ("kit", "pay")


def test_a_skill_makes_its_references_available(told):
    told.on("B", "b was here")
    shown = told.one(calls("pay"), calls("B"), "ok",
                     toolkits=[opened("kit", A, skills=[skill("pay", "A", ("other", "B"))]), toolkit("other", B)])
    assert "B" not in shown[0].names and "B" in shown[1].names
    assert shown[2].result == "b was here"


def test_a_call_of_a_hidden_skill_opens_its_toolkit_first(told):
    shown = told.one(calls("pay"), "ok", toolkits=[toolkit("kit", A, B, systemPrompt="ASK FIRST.", skills=[skill("pay", "A", functionResult="STEPS.", systemPrompt="PAY SLOWLY.")])])
    assert "STEPS." in shown[1].result
    assert {"A", "B", "pay"} <= set(shown[1].names) and "ASK FIRST." in shown[1].system and "PAY SLOWLY." in shown[1].system


def test_a_skill_opens_no_more_than_it_references(told):
    shown = told.one(calls("pay"), "ok", toolkits=[opened("kit", A, skills=[skill("pay", ("other", "B"))]), toolkit("other", B, C, systemPrompt="OTHER RULES.")])
    assert "B" in shown[1].names and "C" not in shown[1].names and "OTHER RULES." not in shown[1].system


def test_a_skill_without_a_function_result_still_answers(told):
    shown = told.one(calls("pay"), "ok", toolkits=[opened("kit", A, skills=[skill("pay", "A")])])
    assert shown[1].result


def test_a_skill_stays_active_in_its_session(told):
    b = told.bridge()
    s = told.session(b)
    model = told.script(calls("pay"), "ok", "again")
    told.succeeds(b, model, sessionId=s, toolkits=[opened("kit", A, skills=[skill("pay", ("other", "B"), systemPrompt="PAY SLOWLY.")]), toolkit("other", B)])
    c = told.bridge()
    told.succeeds(c, model, sessionId=s)
    third = told.at(model, 2)
    assert "PAY SLOWLY." in third.system and "B" in third.names


@pytest.mark.parametrize("bad, word", [
    (skill("pay", "gone"), "gone"),
    (skill("pay", ("kit", "gone")), "gone"),
    (skill("pay", ("nowhere", "A")), "nowhere"),
], ids=["no such tool", "not in that toolkit", "no such toolkit"])
@pytest.mark.parametrize("door", ["run.start", "toolkit.register"])
def test_a_reference_that_does_not_resolve_is_an_error_at_registration(told, bad, word, door):
    b = told.bridge()
    kit = toolkit("kit", A, skills=[bad])
    kinds = ("tool.notFound", "toolkit.notFound", "tool.invalid", "invalidParams")
    if door == "run.start":
        refused(b, door, {"input": "go", "agent": {"model": told.script("ok")}, "toolkits": [kit]}, kinds, "pay", word)
        assert b.call("run.list")["runs"] == []
    else:
        refused(b, door, {"toolkits": [kit]}, kinds, "pay", word)
        assert b.call("toolkit.list")["toolkits"] == []


# ---------------------------------------------------------------- names that meet

@pytest.mark.parametrize("toolkits, tools", [
    ([toolkit("kit", A)], [tool("kit")]), ([toolkit("kit", tool("kit"))], []), ([opened("one", A), opened("two", A)], []), ([toolkit("one", A), opened("two", A)], []),
    ([opened("one", A, skills=[skill("A", "A")])], []), ([opened("one", A, skills=[skill("B", "A")]), opened("two", B)], []), ([opened("one", A, skills=[skill("one", "A")])], []),
    ([opened("one", A, skills=[skill("B", "A")])], [B]), ([opened("one", A), toolkit("A", B)], []), ([opened("one", A)], [A]),
], ids=["toolkit and tool", "toolkit and its tool", "two toolkits' tools", "two toolkits' tools, one closed", "skill and tool", "skill and another's tool", "skill and its toolkit",
        "skill and plain tool", "toolkit and another's tool", "plain and of a toolkit"])
def test_of_one_level_no_name_is_offered_twice(told, toolkits, tools):
    """Either it is refused by name, or it is offered once (`names` sees to that)."""
    b = told.bridge()
    model = told.script("ok")
    m = b.wait_response(told.start(b, model, toolkits=toolkits, tools=tools))
    if m.error is not None:
        assert m.error["data"]["kind"] in ("tool.invalid", "invalidParams")
    else:
        assert told.at(model, 0).names


@pytest.mark.parametrize("low, high", [({"tools": [tool("kit")]}, {"toolkits": [toolkit("kit", A)]}), ({"toolkits": [toolkit("kit", A)]}, {"tools": [tool("kit")]}),
                                       ({"toolkits": [opened("one", A)]}, {"toolkits": [opened("two", A)]}), ({"toolkits": [opened("one", A, skills=[skill("s", "A")])]}, {"tools": [tool("s")]})],
                         ids=["tool, toolkit", "toolkit, tool", "tools of toolkits", "skill, tool"])
def test_over_two_levels_the_later_one_has_the_name(told, low, high):
    b = told.bridge()
    model = told.script("ok")
    o = told.succeeds(b, model, agent=low, **high)
    assert told.at(model, 0).names
    assert b.log_of(o["runId"], "run.started")[0]["warnings"]


def test_the_same_run_by_its_key(told):
    b = told.bridge()
    model = told.script("ok")
    kit = toolkit("kit", A, systemPrompt="ASK FIRST.")
    start = {"input": "go", "agent": {"model": model}, "toolkits": [kit], "augmentation": {"updateState": {"a": 1}}, "idempotencyKey": "k"}
    run = b.call("run.start", start)["runId"]
    assert b.call("run.start", start)["runId"] == run
    b.fails("run.start", {**start, "toolkits": [{**kit, "systemPrompt": "ASK LAST."}]}, "run.idempotencyConflict")
    b.fails("run.start", {**start, "augmentation": {"updateState": {"a": 2}}}, "run.idempotencyConflict")
    assert len(told.all_seen(model)) == 1


@pytest.mark.parametrize("what", [{"toolkits": [toolkit("kit", A)]}, {"agent": {"toolkits": [toolkit("kit", A)]}}, {"augmentation": {"injectToolkits": [toolkit("kit", A)]}}, {"agent": {"askUser": True}}],
                         ids=["run", "agent", "augmentation", "ask_user"])
def test_a_parent_that_samples_without_tools_is_not_given_any(told, what):
    b = told.bridge(sampling=False, capabilities={"sampling": {}})
    model = told.script("ok")
    agent = {"model": model, **what.get("agent", {})}
    b.fails("run.start", {"input": "go", **what, "agent": agent}, "unsupportedCapability")
    assert b.call("run.list")["runs"] == []
    told.succeeds(b, model)


def test_large_texts_come_through(told):
    """Over 64 KiB they stand in events as blobs (the harness sees to that), and reach the model whole."""
    told.on("A", "a" * 100_000)
    rules, tip = "R" * 100_000, "T" * 100_000
    b = told.bridge()
    model = told.script(calls("kit"), calls("A"), "ok")
    told.succeeds(b, model, toolkits=[toolkit("kit", A, systemPrompt=rules, functionResult=tip)])
    assert rules in told.at(model, 1).system and told.at(model, 1).result.endswith(tip) and told.at(model, 2).result == "a" * 100_000


# ---------------------------------------------------------------- kills

def test_kill_9_between_any_two_steps_changes_nothing_that_the_model_sees(lab):
    def story(told):
        told.on("A", "a")
        told.on("B", lambda p: {"content": f"b{p['arguments']['n']}"})
        model = told.script(calls("C"), calls("kit"), calls("A", ("B", {"n": 1})), calls("pay"), calls(("B", {"n": 2})), "ok")
        kit = toolkit("kit", A, functionResult="TIP.", systemPrompt="ASK FIRST.", skills=[skill("pay", ("other", "B"), functionResult="STEPS.", systemPrompt="PAY SLOWLY.")])
        told.on("C", "c")
        return {"input": "go", "agent": {"model": model, "instructions": "BE KIND."},
                "toolkits": [kit, toolkit("other", B, D, systemPrompt="OTHER RULES."), toolkit("third", C, E)]}, None

    D, E = tool("D"), tool("E")
    shown = unchanged_by_kills(lab, story)
    assert "ASK FIRST." in shown[2].system and "PAY SLOWLY." in shown[4].system and "OTHER RULES." in shown[3].system

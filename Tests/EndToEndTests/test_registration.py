"""Section 5: what is registered where, what overrides what, how it is taken back, and what is refused."""
import itertools
import json

import pytest

from harness import calls, sh, tool
from told import opened, refused, skill, toolkit, told, unchanged_by_kills  # noqa: F401

LEVELS = ["agent", "session", "connection", "run", "augmentation"]
A, B, C = tool("A"), tool("B"), tool("C")
BAD_NAMES = ["", "1a", "a b", "a.b", "a/b", "ü", "a" * 65, "a\n", "-a"]


def named(text):
    """The tool T, told apart by its description."""
    return {"name": "T", "description": text, "inputSchema": {"type": "object"}}


class Levels:
    """Registers at any of the five levels, then starts a run."""

    def __init__(self, told):
        self.told, self.b = told, told.bridge()
        self.session = told.session(self.b)
        self.agent, self.params = {}, {}

    def tools(self, level, *tools):
        if level == "agent":
            self.agent.setdefault("tools", []).extend(tools)
        elif level == "session":
            self.b.call("tool.register", {"tools": list(tools), "sessionId": self.session})
        elif level == "connection":
            self.b.call("tool.register", {"tools": list(tools)})
        elif level == "run":
            self.params.setdefault("tools", []).extend(tools)
        else:
            self.toolkits(level, opened("injected", *tools))

    def toolkits(self, level, *kits):
        if level == "agent":
            self.agent.setdefault("toolkits", []).extend(kits)
        elif level == "session":
            self.b.call("toolkit.register", {"toolkits": list(kits), "sessionId": self.session})
        elif level == "connection":
            self.b.call("toolkit.register", {"toolkits": list(kits)})
        elif level == "run":
            self.params.setdefault("toolkits", []).extend(kits)
        else:
            self.params.setdefault("augmentation", {}).setdefault("injectToolkits", []).extend(kits)

    def go(self):
        """What the model is shown first, and the warnings of the run."""
        model = self.told.script("ok")
        o = self.told.succeeds(self.b, model, agent=self.agent, sessionId=self.session, **self.params)
        return self.told.shows(model)[0], self.b.log_of(o["runId"], "run.started")[0].get("warnings", [])


# ---------------------------------------------------------------- five levels

@pytest.mark.parametrize("level", LEVELS)
def test_a_tool_of_each_level_is_offered(told, level):
    at = Levels(told)
    at.tools(level, named(level))
    seen, warnings = at.go()
    assert seen.says("T") == level and warnings == []


@pytest.mark.parametrize("level", LEVELS)
def test_a_toolkit_of_each_level_is_offered(told, level):
    at = Levels(told)
    at.toolkits(level, toolkit("kit", A))
    seen, warnings = at.go()
    assert seen.names == ["kit"] and warnings == []


@pytest.mark.parametrize("low, high", list(itertools.combinations(LEVELS, 2)))
def test_a_tool_of_a_later_level_wins_and_the_run_says_so(told, low, high):
    at = Levels(told)
    at.tools(low, named(low))
    at.tools(high, named(high))
    seen, warnings = at.go()
    assert seen.says("T") == high and seen.names.count("T") == 1
    assert any("T" in w and high in w and low in w for w in warnings), warnings


@pytest.mark.parametrize("low, high", list(itertools.combinations(LEVELS, 2)))
def test_a_toolkit_of_a_later_level_replaces_it_whole(told, low, high):
    at = Levels(told)
    at.toolkits(low, opened("kit", A, B, systemPrompt="OLD"))
    at.toolkits(high, opened("kit", B, C))
    seen, warnings = at.go()
    assert "A" not in seen.names and {"B", "C"} <= set(seen.names) and "OLD" not in seen.system
    assert any("kit" in w for w in warnings), warnings


def test_all_five_at_once_and_peeled_off_one_by_one(told):
    at = Levels(told)
    for level in LEVELS:
        at.tools(level, named(level))
    assert at.go()[0].says("T") == "augmentation"
    del at.params["augmentation"]
    at.b.call("session.augment", {"sessionId": at.session, "augmentation": {"removeToolkits": ["injected"]}})
    assert at.go()[0].says("T") == "run"
    del at.params["tools"]
    assert at.go()[0].says("T") == "connection"
    assert at.b.call("tool.unregister", {"names": ["T"]}) == {}
    assert at.go()[0].says("T") == "session"
    assert at.b.call("tool.unregister", {"names": ["T"], "sessionId": at.session}) == {}
    seen, warnings = at.go()
    assert seen.says("T") == "agent" and warnings == []


def test_a_tool_of_a_toolkit_wins_over_a_plain_one_of_an_earlier_level(told):
    at = Levels(told)
    at.tools("agent", named("plain"))
    at.toolkits("run", opened("kit", named("in the kit")))
    assert at.go()[0].says("T") == "in the kit"


def test_within_one_level_a_client_tool_wins_over_a_server_tool(told):
    told.on("T", "the client's")
    b = told.bridge()
    for tools in ([{**named("client"), "target": "client"}, sh("T", "echo no", description="server")], [sh("T", "echo no", description="server"), named("client")]):
        model = told.script(calls("T"), "ok")
        told.succeeds(b, model, tools=tools)
        first, second = told.shows(model)
        assert first.says("T") == "client" and first.names == ["T"] and second.result == "the client's"


def test_across_levels_a_server_tool_may_win_over_a_client_tool(told):
    told.on("T", "the client's")
    shown = told.one(calls("T"), "ok", agent={"tools": [named("client")]}, tools=[sh("T", "echo the command")])
    assert "the command" in shown[1].result


@pytest.mark.parametrize("low, high", list(itertools.combinations(LEVELS, 2)))
def test_overriding_never_removes_requires_approval(told, low, high):
    at = Levels(told)
    at.tools(low, {**named(low), "requiresApproval": True})
    at.tools(high, {**named(high), "requiresApproval": False})
    model = told.script(calls("T"), "ok")
    o = told.run(at.b, model, agent=at.agent, sessionId=at.session, **at.params)
    assert o["status"] == "waiting_approval" and not at.b.invokes()
    assert told.at(model, 0).says("T") == high


def test_replacing_a_toolkit_never_removes_requires_approval_of_a_tool_in_it(told):
    b = told.bridge()
    model = told.script(calls("T"), "ok")
    o = told.run(b, model, agent={"toolkits": [opened("kit", {**named("old"), "requiresApproval": True})]}, toolkits=[opened("kit", named("new"))])
    assert o["status"] == "waiting_approval" and not b.invokes()


def test_registering_again_replaces_and_may_do_so_often(told):
    b = told.bridge()
    for n in range(3):
        b.call("tool.register", {"tools": [named(f"version {n}")]})
        b.call("toolkit.register", {"toolkits": [opened("kit", tool(f"K{n}"))]})
    seen, = told.one("ok", b=b)
    assert seen.says("T") == "version 2" and "K2" in seen.names and "K1" not in seen.names


# ---------------------------------------------------------------- built-ins

def test_ask_user_cannot_be_overridden(told):
    b = told.bridge()
    agent = {"model": told.script("ok"), "askUser": True}
    refused(b, "run.start", {"input": "go", "agent": agent, "tools": [tool("ask_user")]}, "tool.invalid", "ask_user")
    refused(b, "run.start", {"input": "go", "agent": {**agent, "tools": [tool("ask_user")]}}, "tool.invalid", "ask_user")
    refused(b, "run.start", {"input": "go", "agent": agent, "toolkits": [toolkit("kit", tool("ask_user"))]}, "tool.invalid", "ask_user")
    refused(b, "run.start", {"input": "go", "agent": agent, "toolkits": [toolkit("ask_user", A)]}, "tool.invalid", "ask_user")
    refused(b, "run.start", {"input": "go", "agent": agent, "augmentation": {"injectToolkits": [toolkit("kit", tool("ask_user"))]}}, "tool.invalid", "ask_user")
    assert b.call("run.list")["runs"] == []


def test_a_registered_tool_does_not_take_the_place_of_a_built_in(told):
    """Whether it is refused at registration or when a run meets it, the model gets the built-in one or no run begins."""
    b = told.bridge()
    for method, params in (("tool.register", {"tools": [tool("ask_user", description="mine")]}), ("toolkit.register", {"toolkits": [opened("kit", tool("ask_user", description="mine"))]})):
        m = b.wait_response(b.request(method, params))
        if m.error is not None:
            assert m.error["data"]["kind"] == "tool.invalid" and "ask_user" in m.error["message"]
            continue
        model = told.script("ok")
        m = b.wait_response(told.start(b, model, agent={"askUser": True}))
        if m.error is not None:
            assert m.error["data"]["kind"] == "tool.invalid"
        else:
            assert told.at(model, 0).says("ask_user") != "mine"


# ---------------------------------------------------------------- names and shapes that are refused

@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_tool_name_is_refused_everywhere(told, name):
    b = told.bridge()
    s = told.session(b)
    bad, model = tool(name), told.script("ok")
    for method, params in [("tool.register", {"tools": [A, bad]}), ("tool.register", {"tools": [A, bad], "sessionId": s}),
                           ("toolkit.register", {"toolkits": [toolkit("kit", bad)]}), ("toolkit.register", {"toolkits": [toolkit("kit", bad)], "sessionId": s}),
                           ("run.start", {"input": "go", "agent": {"model": model}, "tools": [bad]}),
                           ("run.start", {"input": "go", "agent": {"model": model}, "toolkits": [toolkit("kit", bad)]}),
                           ("run.start", {"input": "go", "agent": {"model": model, "toolkits": [toolkit("kit", bad)]}}),
                           ("run.start", {"input": "go", "agent": {"model": model}, "augmentation": {"injectToolkits": [toolkit("kit", bad)]}}),
                           ("session.augment", {"sessionId": s, "augmentation": {"injectToolkits": [toolkit("kit", bad)]}})]:
        e = refused(b, method, params, "tool.invalid")
        assert e.data["pointer"].endswith("/name"), e.error
    assert b.call("toolkit.list", {"sessionId": s}) == {"toolkits": [], "tools": []}
    assert b.call("run.list")["runs"] == []


@pytest.mark.parametrize("name", BAD_NAMES)
def test_toolkits_and_skills_are_named_by_the_same_rule(told, name):
    b = told.bridge()
    kinds = ("tool.invalid", "invalidParams")
    refused(b, "toolkit.register", {"toolkits": [toolkit(name, A)]}, kinds)
    refused(b, "toolkit.register", {"toolkits": [toolkit("kit", A, skills=[skill(name, "A")])]}, kinds)
    assert b.call("toolkit.list")["toolkits"] == []


def test_what_a_session_is_offered_has_what_its_agent_has(told):
    """As the next turn has it, whichever level overrides which; and without an agent that is gone."""
    b = told.bridge()
    agent = {"model": told.script("ok"), "tools": [A, tool("both", title="the agent's")], "toolkits": [toolkit("kit", B)]}
    a = b.call("agent.create", {"agent": agent})["agentId"]
    s = b.call("session.create", {"agentId": a})["sessionId"]
    b.call("tool.register", {"tools": [tool("both", title="the session's")], "sessionId": s})
    b.call("tool.register", {"tools": [tool("here")]})
    listed = b.call("toolkit.list", {"sessionId": s})
    assert [(k["name"], k["level"], k["expanded"]) for k in listed["toolkits"]] == [("kit", "agent", False)]
    assert [t.get("title") for t in listed["tools"] if t["name"] == "both"] == ["the session's"]
    run = b.call("run.start", {"sessionId": s, "input": "go"})["runId"]
    assert [t["name"] for t in listed["tools"]] == [t["name"] for t in b.log_of(run, "run.started")[0]["tools"]]
    assert b.call("toolkit.list", {"sessionId": s}) == listed
    b.call("agent.delete", {"agentId": a})
    assert [t["name"] for t in b.call("toolkit.list", {"sessionId": s})["tools"]] == ["both", "here"]


def of_an_agent(told, b, *turns):
    """A session of an agent that has a tool `A` and a toolkit `kit` with `B`, and whose model is this one: (model, session)."""
    model = told.script(*turns)
    agent = b.call("agent.create", {"agent": {"model": model, "tools": [A], "toolkits": [toolkit("kit", B)]}})["agentId"]
    return model, told.session(b, agentId=agent)


REFERRING = {
    "a tool into a toolkit": (("tool.register", {"tools": [tool("X", toolkit="kit")]}), ["A", "kit"], ["A", "B", "X"]),
    "a skill of a tool": (("toolkit.register", {"toolkits": [opened("mine", C, skills=[skill("pay", "A")])]}), ["A", "C", "kit", "pay"], ["A", "B", "C", "pay"]),
    "a skill of a toolkit": (("toolkit.register", {"toolkits": [opened("mine", C, skills=[skill("pay", ("kit", "B"))])]}),
                             ["A", "C", "kit", "pay"], ["A", "B", "C", "pay"]),
    "opening a toolkit": (("session.augment", {"augmentation": {"expandToolkits": ["kit"]}}), ["A", "B"], ["A", "B"]),
    "hiding a tool": (("session.augment", {"augmentation": {"hideTools": ["A"]}}), ["kit"], ["B"]),
}


@pytest.mark.parametrize("change, shut, open", REFERRING.values(), ids=REFERRING)
def test_a_session_may_refer_to_what_its_agent_has_and_it_holds(told, change, shut, open):
    """In the next turn and in those after it, one of them in another process."""
    b = told.bridge()
    model, s = of_an_agent(told, b, "one", calls("kit") if "kit" in shut else "two", *["more"] * 4)
    b.call(change[0], {**change[1], "sessionId": s})
    for each, offered in ((b, shut), (b, shut), (told.bridge(), open)):
        listed, got = (each.call(method, {"sessionId": s}) for method in ("toolkit.list", "session.get"))
        assert [t["name"] for t in listed["tools"]] == [t["name"] for t in got["tools"]]
        if each is b:
            assert sorted(t["name"] for t in listed["tools"]) == shut
        before = len(told.shows(model))
        o = each.call("run.start", {"sessionId": s, "input": "go"})
        assert o["status"] == "success", o
        assert sorted(told.at(model, before).names) == offered, before


def test_what_a_session_has_is_what_its_next_turn_is_offered(told):
    b = told.bridge()
    model, s = of_an_agent(told, b, "one", "two")
    b.call("tool.register", {"tools": [C], "sessionId": s})
    for turn in range(2):
        got, listed = b.call("session.get", {"sessionId": s}), b.call("toolkit.list", {"sessionId": s})
        assert (got["tools"], got["toolkits"]) == (listed["tools"], listed["toolkits"])
        b.call("run.start", {"sessionId": s, "input": "go"})
        assert [t["name"] for t in got["tools"]] == told.at(model, turn).names
        assert sorted(told.at(model, turn).names) == ["A", "C", "kit"]


def test_a_tool_that_a_skill_of_the_agent_refers_to_is_not_taken_back(told):
    b = told.bridge()
    agent = {"model": told.script("one", "two"), "tools": [A, C], "toolkits": [toolkit("kit", B, skills=[skill("pay", "A")])]}
    a = b.call("agent.create", {"agent": agent})["agentId"]
    e = b.fails("tool.unregister", {"agentId": a, "names": ["A"]}, kind="tool.notFound")
    assert "A" in e.error["message"] and e.data["pointer"].startswith("/"), e.error
    assert b.call("run.start", {"agentId": a, "input": "go"})["status"] == "success"
    assert b.call("tool.unregister", {"agentId": a, "names": ["C"]}) == {}
    assert b.call("tool.register", {"agentId": a, "tools": [tool("D")]}) == {}
    assert b.call("run.start", {"agentId": a, "input": "go"})["status"] == "success"


@pytest.mark.parametrize("name", ["_", "a", "A-b_9", "a" * 64])
def test_good_names_are_good(told, name):
    b = told.bridge()
    b.call("tool.register", {"tools": [tool(name)]})
    b.call("toolkit.register", {"toolkits": [toolkit("k" + name[:63], A, skills=[skill("s" + name[:63], "A")])]})
    assert name in told.one("ok", b=b)[0].names


def test_a_schema_that_is_none_is_named_by_tool_and_pointer(told):
    b = told.bridge()
    s = told.session(b)
    bad = tool("bad_one", {"type": "object", "properties": {"a": {"type": "strin"}}})
    for method, params in [("tool.register", {"tools": [bad]}), ("toolkit.register", {"toolkits": [toolkit("kit", A, bad)], "sessionId": s}),
                           ("run.start", {"input": "go", "agent": {"model": told.script("ok")}, "toolkits": [toolkit("kit", A, bad)]}),
                           ("session.augment", {"sessionId": s, "augmentation": {"injectToolkits": [toolkit("kit", bad)]}})]:
        refused(b, method, params, "tool.invalidSchema", "bad_one", "/properties/a/type")
    assert b.call("toolkit.list", {"sessionId": s}) == {"toolkits": [], "tools": []}


@pytest.mark.parametrize("schema", [
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}},
    {"type": "object", "properties": {"a": {"$ref": "https://example.com/x.json"}}},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
    {"type": "object", "properties": {"a": {"minLength": -1}}},
], ids=["dangling", "remote", "pattern", "minLength"])
def test_a_hostile_schema_is_refused_when_it_is_registered(told, schema):
    b = told.bridge()
    refused(b, "tool.register", {"tools": [tool("bad_one", schema)]}, ("tool.invalidSchema", "tool.invalid"), "bad_one")


@pytest.mark.parametrize("what", [
    {"tools": [tool("twice"), tool("twice")]},
    {"toolkits": [toolkit("kit", tool("twice"), tool("twice"))]},
    {"toolkits": [toolkit("twice", A), toolkit("twice", B)]},
    {"toolkits": [toolkit("kit", A, skills=[skill("twice", "A"), skill("twice", "A")])]},
], ids=["tools", "tools of a toolkit", "toolkits", "skills"])
def test_the_same_name_twice_is_refused(told, what):
    b = told.bridge()
    kinds = ("tool.invalid", "invalidParams")
    refused(b, "tool.register" if "tools" in what else "toolkit.register", what, kinds, "twice")
    refused(b, "run.start", {"input": "go", "agent": {"model": told.script("ok")}, **what}, kinds, "twice")
    refused(b, "run.start", {"input": "go", "agent": {"model": told.script("ok"), **what}}, kinds, "twice")
    assert b.call("run.list")["runs"] == [] and b.call("toolkit.list") == {"toolkits": [], "tools": []}


def test_an_empty_group_is_refused(told):
    b = told.bridge()
    kinds = ("tool.invalid", "invalidParams")
    refused(b, "toolkit.register", {"toolkits": [toolkit("hollow")]}, kinds, "hollow")
    refused(b, "run.start", {"input": "go", "agent": {"model": told.script("ok")}, "toolkits": [toolkit("hollow")]}, kinds, "hollow")
    assert b.call("toolkit.list")["toolkits"] == []


@pytest.mark.parametrize("method, params, pointer", [
    ("toolkit.register", {}, "/toolkits"),
    ("toolkit.register", {"toolkits": "kit"}, "/toolkits"),
    ("toolkit.register", {"toolkits": [{"description": "x", "tools": [A]}]}, "/toolkits/0/name"),
    ("toolkit.register", {"toolkits": [{"name": "kit", "tools": [A]}]}, "/toolkits/0/description"),
    ("toolkit.register", {"toolkits": [{"name": "kit", "description": "x"}]}, "/toolkits/0/tools"),
    ("toolkit.register", {"toolkits": [toolkit("kit", A, startCollapsed="no")]}, "/toolkits/0/startCollapsed"),
    ("toolkit.register", {"toolkits": [toolkit("kit", {"name": "A", "inputSchema": {}})]}, "/toolkits/0/tools/0/description"),
    ("toolkit.register", {"toolkits": [toolkit("kit", {**A, "requiresApproval": "yes"})]}, "/toolkits/0/tools/0/requiresApproval"),
    ("toolkit.register", {"toolkits": [toolkit("kit", A, skills=[{"name": "s", "description": "x"}])]}, "/toolkits/0/skills/0/references"),
    ("toolkit.register", {"toolkits": [toolkit("kit", A, skills=[{"name": "s", "description": "x", "references": [{"name": "A"}]}])]}, "/toolkits/0/skills/0/references/0/toolName"),
    ("toolkit.unregister", {}, "/names"),
    ("tool.register", {}, "/tools"),
    ("tool.register", {"tools": [A, 5]}, "/tools/1"),
    ("tool.register", {"tools": [{**A, "parallel": "no"}]}, "/tools/0/parallel"),
    ("tool.register", {"tools": [{**A, "maxCallsPerRun": 0}]}, "/tools/0/maxCallsPerRun"),
    ("tool.register", {"tools": [A], "sessionId": 5}, "/sessionId"),
    ("tool.unregister", {"names": [1]}, "/names/0"),
    ("toolkit.list", {"sessionId": []}, "/sessionId"),
])
def test_what_is_wrong_is_named_by_its_pointer(told, method, params, pointer):
    e = refused(told.bridge(), method, params, ("invalidParams", "tool.invalid"))
    assert e.data["pointer"] == pointer, e.error


def test_a_refused_registration_registers_nothing(told):
    b = told.bridge()
    refused(b, "tool.register", {"tools": [A, tool("b b")]}, "tool.invalid")
    refused(b, "toolkit.register", {"toolkits": [toolkit("kit", A), toolkit("other", tool("b b"))]}, "tool.invalid")
    assert b.call("toolkit.list") == {"toolkits": [], "tools": []}
    assert told.one("ok", b=b)[0].names == []


# ---------------------------------------------------------------- what is not there

def test_unknown_things_are_named(told):
    b = told.bridge()
    s = told.session(b)
    nobody = "01M7W6C300ZESS10N00000000A"
    for where in ({}, {"sessionId": s}):
        refused(b, "toolkit.unregister", {"names": ["gone"], **where}, "toolkit.notFound", "gone")
        refused(b, "tool.unregister", {"names": ["gone"], **where}, "tool.notFound", "gone")
        refused(b, "tool.register", {"tools": [A], "toolkit": "gone", **where}, "toolkit.notFound", "gone")
        refused(b, "tool.register", {"tools": [tool("X", toolkit="gone")], **where}, "toolkit.notFound", "gone")
    refused(b, "run.start", {"input": "go", "agent": {"model": told.script("ok")}, "tools": [tool("X", toolkit="gone")]}, "toolkit.notFound", "gone")
    refused(b, "run.start", {"input": "go", "agent": {"model": told.script("ok"), "tools": [tool("X", toolkit="gone")]}}, "toolkit.notFound", "gone")
    for method, params in [("toolkit.register", {"toolkits": [toolkit("kit", A)]}), ("toolkit.unregister", {"names": ["kit"]}), ("toolkit.list", {}),
                           ("tool.register", {"tools": [A]}), ("tool.unregister", {"names": ["A"]}), ("session.augment", {"augmentation": {}})]:
        refused(b, method, {**params, "sessionId": nobody}, "session.notFound")
    refused(b, "tool.register", {"tools": [A], "agentId": nobody}, "agent.notFound")
    refused(b, "tool.unregister", {"names": ["A"], "agentId": nobody}, "agent.notFound")
    assert b.call("run.list")["runs"] == []


def test_unregistering_some_that_are_there_and_one_that_is_not_takes_nothing_back(told):
    b = told.bridge()
    b.call("tool.register", {"tools": [A, B]})
    refused(b, "tool.unregister", {"names": ["A", "gone"]}, "tool.notFound", "gone")
    assert sorted(told.one("ok", b=b)[0].names) == ["A", "B"]


def test_a_toolkit_of_a_later_level_is_not_there_for_an_earlier_one(told):
    b = told.bridge()
    s = told.session(b)
    b.call("toolkit.register", {"toolkits": [toolkit("kit", A)]})
    refused(b, "tool.register", {"tools": [B], "toolkit": "kit", "sessionId": s}, "toolkit.notFound", "kit")
    refused(b, "run.start", {"input": "go", "agent": {"model": told.script("ok"), "tools": [tool("X", toolkit="kit")]}}, "toolkit.notFound", "kit")


@pytest.mark.parametrize("door", ["tool.register", "run.start"])
def test_a_tool_joins_a_toolkit_of_its_own_or_an_earlier_level(told, door):
    b = told.bridge()
    b.call("toolkit.register", {"toolkits": [toolkit("kit", A)]})
    more = {}
    if door == "run.start":
        more = {"tools": [tool("X", toolkit="kit")]}
    else:
        b.call("tool.register", {"tools": [tool("X")], "toolkit": "kit"})
    first, second = told.one(calls("kit"), "ok", b=b, **more)
    assert first.names == ["kit"] and {"A", "X"} <= set(second.names)


# ---------------------------------------------------------------- warnings of members that nothing reads

def test_unknown_members_are_named_by_pointer(told):
    b = told.bridge()
    got = b.call("toolkit.register", {"toolkits": [toolkit("kit", {**A, "requires_approval": True}, colapsed=True)]})
    assert sorted(w.split(":")[0] for w in got["warnings"]) == ["/toolkits/0/colapsed", "/toolkits/0/tools/0/requires_approval"]
    got = b.call("tool.register", {"tools": [B, {**C, "timeout": 3}]})
    assert [w.split(":")[0] for w in got["warnings"]] == ["/tools/1/timeout"]
    assert "warnings" not in b.call("tool.register", {"tools": [{**B, "x-mine": 1}]})


def test_unknown_members_in_toolkits_of_a_run_are_named_by_pointer(told):
    b = told.bridge()
    o = told.succeeds(b, told.script("ok"), agent={"toolkits": [toolkit("one", {**A, "requires_approval": True})]}, toolkits=[toolkit("two", {**B, "requires_approval": True}, colapsed=True)],
                      augmentation={"injectToolkits": [toolkit("three", {**C, "requires_approval": True})]})
    assert sorted(w.split(":")[0] for w in o.get("warnings", [])) == ["/agent/toolkits/0/tools/0/requires_approval", "/augmentation/injectToolkits/0/tools/0/requires_approval",
                                                                      "/toolkits/0/colapsed", "/toolkits/0/tools/0/requires_approval"]


def test_strict_refuses_them(lab, told):
    b = told.bridge("--strict")
    b.refuses("run.start", {"input": "go", "agent": {"model": told.script("ok")}, "toolkits": [toolkit("kit", {**A, "requires_approval": True})]}, "/toolkits/0/tools/0/requires_approval")
    b.refuses("toolkit.register", {"toolkits": [toolkit("kit", {**A, "requires_approval": True})]}, "/toolkits/0/tools/0/requires_approval")
    b.refuses("tool.register", {"tools": [{**C, "timeout": 3}]}, "/tools/0/timeout")
    assert b.call("toolkit.list") == {"toolkits": [], "tools": []}


# ---------------------------------------------------------------- lifetimes

def test_what_a_connection_registers_ends_with_it_and_what_a_session_has_stays(told):
    a = told.bridge()
    s = told.session(a)
    a.call("tool.register", {"tools": [A]})
    a.call("toolkit.register", {"toolkits": [toolkit("kit", B)]})
    a.call("tool.register", {"tools": [C], "sessionId": s})
    a.call("toolkit.register", {"toolkits": [toolkit("skit", B)], "sessionId": s})
    a.kill9()
    b = told.bridge()
    assert told.one("ok", b=b)[0].names == []
    assert sorted(told.one("ok", b=b, sessionId=s)[0].names) == ["C", "skit"]


def test_a_session_keeps_the_toolkits_of_its_runs_but_not_their_tools(told):
    b = told.bridge()
    s = told.session(b)
    model = told.script("one", "two", "three")
    told.succeeds(b, model, sessionId=s, toolkits=[toolkit("kit", A)], tools=[C])
    told.succeeds(b, model, sessionId=s)
    told.succeeds(told.bridge(), model, sessionId=s)
    assert [sorted(x.names) for x in told.shows(model)] == [["C", "kit"], ["kit"], ["kit"]]


def test_another_session_sees_nothing_of_it(told):
    b = told.bridge()
    one, two = told.session(b), told.session(b)
    b.call("tool.register", {"tools": [A], "sessionId": one})
    told.one("ok", b=b, sessionId=one, toolkits=[toolkit("kit", B)])
    assert told.one("ok", b=b, sessionId=two)[0].names == []


def test_reset_client_state_clears_the_sessions_registrations(told):
    b = told.bridge()
    s = told.session(b)
    b.call("tool.register", {"tools": [A], "sessionId": s})
    b.call("toolkit.register", {"toolkits": [toolkit("kit", B)], "sessionId": s})
    assert told.one("ok", b=b, sessionId=s, resetClientState=True, tools=[C])[0].names == ["C"]
    assert told.one("ok", b=b, sessionId=s)[0].names == []
    assert b.call("toolkit.list", {"sessionId": s}) == {"toolkits": [], "tools": []}


def test_tools_registered_with_a_stored_agent(told):
    b = told.bridge()
    model = told.script("ok")
    agent = b.call("agent.create", {"agent": {"model": model}})
    b.call("tool.register", {"tools": [A], "agentId": agent["agentId"]})
    stored = b.call("agent.get", {"agentId": agent["agentId"]})
    assert stored["version"] == agent["version"] + 1
    told.succeeds(told.bridge(), model, agentId=agent["agentId"])
    assert told.at(model, 0).names == ["A"]
    b.call("tool.unregister", {"names": ["A"], "agentId": agent["agentId"]})
    refused(b, "tool.unregister", {"names": ["A"], "agentId": agent["agentId"]}, "tool.notFound", "A")


# ---------------------------------------------------------------- while a run is under way

def waiting(told, b, **more):
    """A run whose model has called W, which nobody has answered: (model, id of run.start, the tool.invoke)."""
    model = told.script(calls("W"), "ok")
    tools = [tool("W"), *more.pop("tools", ())]
    id = told.start(b, model, tools=tools, **more)
    return model, id, b.next_invoke("W")


def changed(b, run):
    """The names in each tools.changed, and whether the next model turn came after it."""
    types = b.log_types(run)
    found = [sorted(t["name"] for t in d["tools"]) for d in b.log_of(run, "tools.changed")]
    if found:
        assert types.index("tools.changed") < [i for i, t in enumerate(types) if t == "model.started"][1]
    return found


@pytest.mark.parametrize("scope", ["connection", "session"])
def test_a_registration_reaches_a_run_before_its_next_turn(told, scope):
    b = told.bridge()
    s = told.session(b)
    where = {"sessionId": s} if scope == "session" else {}
    model, id, m = waiting(told, b, sessionId=s)
    b.call("tool.register", {"tools": [A], **where})
    b.call("toolkit.register", {"toolkits": [toolkit("kit", B)], **where})
    b.respond(m, {"content": "w"})
    run = b.result(id)["runId"]
    assert sorted(told.at(model, 1).names) == ["A", "W", "kit"]
    assert changed(b, run)[-1] == ["A", "W", "kit"]
    assert b.log_of(run, "toolkit.registered")[-1]["toolkits"] == ["kit"]


@pytest.mark.parametrize("scope", ["connection", "session"])
def test_an_unregistration_reaches_it_too(told, scope):
    b = told.bridge()
    s = told.session(b)
    where = {"sessionId": s} if scope == "session" else {}
    b.call("tool.register", {"tools": [A], **where})
    b.call("toolkit.register", {"toolkits": [toolkit("kit", B)], **where})
    model, id, m = waiting(told, b, sessionId=s)
    b.call("tool.unregister", {"names": ["A"], **where})
    b.call("toolkit.unregister", {"names": ["kit"], **where})
    b.respond(m, {"content": "w"})
    run = b.result(id)["runId"]
    assert sorted(told.at(model, 0).names) == ["A", "W", "kit"] and told.at(model, 1).names == ["W"]
    assert changed(b, run)[-1] == ["W"]


@pytest.mark.parametrize("gate", [False, True])
def test_both_reach_a_run_that_waits_with_nothing_open(told, gate):
    b = told.bridge()
    b.call("tool.register", {"tools": [A]})
    model = told.script(calls("W"), calls("A", "B"), "ok")
    told.on("W", "w")
    told.on("B", "b")
    o = b.result(told.start(b, model, tools=[tool("W", requiresApproval=gate)], delivery="pause"))
    call, = o["pendingToolCalls"]
    b.call("tool.unregister", {"names": ["A"]})
    b.call("toolkit.register", {"toolkits": [opened("kit", B)]})
    given = {"approvals": [{"callId": call["callId"], "decision": "approve"}]} if gate else {"results": [{"callId": call["callId"], "content": "w"}]}
    assert b.call("run.submitToolResults", {"runId": o["runId"], **given, "delivery": "invoke"})["status"] == "success"
    assert sorted(told.at(model, 1).names) == ["B", "W"] and changed(b, o["runId"]) == [["B", "W"]]
    assert [m.params["name"] for m in b.invokes()] == (["W", "B"] if gate else ["B"])


def test_a_session_is_registered_with_by_another_process(told):
    b = told.bridge()
    s = told.session(b)
    model, id, m = waiting(told, b, sessionId=s)
    told.bridge().call("tool.register", {"tools": [A], "sessionId": s})
    b.respond(m, {"content": "w"})
    b.result(id)
    assert sorted(told.at(model, 1).names) == ["A", "W"]


def test_what_reached_a_run_stays_when_the_connection_ends(told):
    a = told.bridge()
    a.call("toolkit.register", {"toolkits": [toolkit("kit", B, systemPrompt="KIT RULES.")]})
    model = told.script(calls("W"), calls("kit"), "ok")
    told.start(a, model, tools=[tool("W")])
    m = a.next_invoke("W")
    a.call("tool.register", {"tools": [A]})
    a.hang_up()
    b = told.bridge()
    told.on("W", "w")
    o = b.call("run.resume", {"runId": m.params["runId"]})
    assert o["status"] == "success"
    # A was registered after the run began, and the connection ended before its next turn: that it stays is not promised.
    assert {"W", "kit"} <= set(told.at(model, 1).names)
    assert "B" in told.at(model, 2).names and "KIT RULES." in told.at(model, 2).system


def test_what_was_logged_as_changed_stays_when_the_connection_ends(told):
    a = told.bridge()
    told.on("W", lambda p: {"content": "w"})
    model = told.script(calls("W"), calls("V"), "ok")
    gate = told.hold(model, 0)
    id = told.start(a, model, tools=[tool("W"), tool("V")])
    a.start_id(id)
    told.at(model, 0)
    a.call("tool.register", {"tools": [A]})
    gate.set()
    m = a.next_invoke("V")
    assert sorted(told.at(model, 1).names) == ["A", "V", "W"]
    a.kill9()
    b = told.bridge()
    told.on("V", "v")
    b.call("run.resume", {"runId": m.params["runId"]})
    assert sorted(told.at(model, 2).names) == ["A", "V", "W"]


def test_a_pending_call_of_a_tool_that_was_taken_back_is_still_answered(told):
    b = told.bridge()
    b.call("toolkit.register", {"toolkits": [opened("kit", A, B)]})
    model = told.script(calls("A", "B"), "ok")
    id = told.start(b, model)
    first, second = b.next_invoke("A"), b.next_invoke("B")
    b.respond(first, {"content": "a"})
    b.call("toolkit.unregister", {"names": ["kit"]})
    b.respond(second, {"content": "b"})
    b.result(id)
    assert told.at(model, 1).results == [("a", False), ("b", False)] and told.at(model, 1).names == []


def test_a_registration_that_collides_with_the_runs_own_is_overridden(told):
    b = told.bridge()
    model, id, m = waiting(told, b, tools=[named("run")])
    b.call("tool.register", {"tools": [named("connection"), A]})
    b.respond(m, {"content": "w"})
    b.result(id)
    assert told.at(model, 1).says("T") == "run" and "A" in told.at(model, 1).names


def test_registering_what_was_there_changes_nothing(told):
    b = told.bridge()
    b.call("tool.register", {"tools": [A]})
    model, id, m = waiting(told, b)
    b.call("tool.register", {"tools": [A]})
    b.respond(m, {"content": "w"})
    run = b.result(id)["runId"]
    assert sorted(told.at(model, 1).names) == ["A", "W"] and changed(b, run) in ([], [["A", "W"]])


def test_tools_of_a_submit_replace_the_runs_plain_tools(told):
    b = told.bridge()
    model = told.script(calls("W"), "ok")
    o = told.run(b, model, agent={"tools": [C]}, tools=[tool("W"), A], toolkits=[toolkit("kit", B)], delivery="pause")
    call, = o["pendingToolCalls"]
    b.submit(o["runId"], {call["callId"]: "w"}, tools=[tool("X")])
    assert sorted(told.at(model, 1).names) == ["C", "X", "kit"]
    assert changed(b, o["runId"]) == [["C", "X", "kit"]]


# ---------------------------------------------------------------- toolkit.list and the events of the start

def test_toolkit_list_shows_what_a_model_would_be_offered(told):
    b = told.bridge()
    s = told.session(b)
    b.call("toolkit.register", {"toolkits": [toolkit("kit", A, B, skills=[skill("pay", "A")]), opened("wide", C, functionResult="F", systemPrompt="S")]})
    b.call("toolkit.register", {"toolkits": [toolkit("skit", tool("D"))], "sessionId": s})
    b.call("tool.register", {"tools": [tool("X", annotations={"readOnlyHint": True}, title="The X", timeoutMs=77, maxCallsPerRun=3, parallel=False)]})
    b.call("tool.register", {"tools": [tool("Y")], "sessionId": s})
    got = b.call("toolkit.list", {"sessionId": s})
    assert {(k["name"], k["level"], k["expanded"]) for k in got["toolkits"]} == {("kit", "connection", False), ("wide", "connection", True), ("skit", "session", False)}
    seen, = told.one("ok", b=b, sessionId=s)
    assert sorted(t["name"] for t in got["tools"]) == sorted(seen.names)
    assert {t["name"]: t["description"] for t in got["tools"]} == {n: seen.says(n) for n in seen.names}
    x, = (t for t in got["tools"] if t["name"] == "X")
    assert x == {**x, "annotations": {"readOnlyHint": True}, "title": "The X", "timeoutMs": 77, "maxCallsPerRun": 3, "parallel": False}
    assert sorted(k["name"] for k in b.call("toolkit.list")["toolkits"]) == ["kit", "wide"]


def test_toolkit_list_follows_what_was_opened_in_the_session(told):
    b = told.bridge()
    s = told.session(b)
    model = told.script(calls("kit"), "ok")
    told.succeeds(b, model, sessionId=s, toolkits=[toolkit("kit", A)])
    got = b.call("toolkit.list", {"sessionId": s})
    assert [(k["name"], k["expanded"]) for k in got["toolkits"]] == [("kit", True)]
    assert "A" in [t["name"] for t in got["tools"]]


def test_toolkit_list_for_a_client_with_short_lines(told):
    b = told.bridge(sampling=False, capabilities={"maxMessageBytes": 20_000})
    b.call("toolkit.register", {"toolkits": [opened("kit", tool("A", description="D" * 50_000), systemPrompt="S" * 50_000)]})
    m = b.wait_response(b.request("toolkit.list"))
    assert len(m.raw) <= 20_000
    assert b.whole(m.result)["toolkits"][0]["systemPrompt"] == "S" * 50_000


def test_a_deleted_session_has_nothing_registered(told):
    b = told.bridge()
    s = told.session(b)
    b.call("tool.register", {"tools": [A], "sessionId": s})
    b.call("session.delete", {"sessionId": s})
    for method, params in [("toolkit.list", {}), ("tool.register", {"tools": [A]}), ("session.augment", {"augmentation": {}})]:
        refused(b, method, {"sessionId": s, **params}, "session.notFound")


def test_values_of_env_are_not_shown(told):
    secret = "hush-hush"
    inner = sh("c", "true", env={"KEY": secret})
    helper = {"model": told.script("ok"), "tools": [inner], "toolkits": [opened("deep", {**inner, "name": "d"})], "mcpServers": {"git": {"command": "true", "env": {"KEY": secret}}}}

    def registered(name):
        """A command, and a sub-agent that has commands and a server of its own."""
        return [sh(name, "true", env={"KEY": secret}), tool(f"{name}_agent", agent=helper)]

    b = told.bridge()
    b.call("toolkit.register", {"toolkits": [opened("kit", *registered("S"))]})
    b.call("tool.register", {"tools": registered("R")})
    a = b.call("agent.create", {"agent": {"model": told.script("ok"), "tools": registered("T"), "toolkits": [opened("own", *registered("U"))]}})["agentId"]
    s = told.session(b, agentId=a)
    b.call("tool.register", {"tools": registered("V"), "sessionId": s})
    listing = b.call("toolkit.list", {"sessionId": s})
    hidden = {"KEY": "(hidden)"}
    shown = listing["tools"] + [t for k in listing["toolkits"] for t in k["tools"]]
    assert {t["name"] for t in shown} == {n + x for n in "RSTUV" for x in ("", "_agent")}
    for t in shown:
        if "agent" in t:
            assert t["agent"]["tools"][0]["env"] == t["agent"]["toolkits"][0]["tools"][0]["env"] == t["agent"]["mcpServers"]["git"]["env"] == hidden
        else:
            assert t["env"] == hidden
    b.call("toolkit.list")
    b.call("session.get", {"sessionId": s})
    o = told.succeeds(b, told.script("ok"))
    b.replay(o["runId"])
    b.get(o["runId"])
    assert not [m for m in b.messages if secret.encode() in m.raw]


def test_no_commands_refuses_commands_at_every_door(told):
    b = told.bridge("--no-commands")
    s = told.session(b)
    kit = toolkit("kit", sh("S", "touch no"))
    for method, params in [("tool.register", {"tools": [sh("S", "true")]}), ("toolkit.register", {"toolkits": [kit]}), ("toolkit.register", {"toolkits": [kit], "sessionId": s}),
                           ("run.start", {"input": "go", "agent": {"model": told.script("ok")}, "tools": [sh("S", "true")]}),
                           ("run.start", {"input": "go", "agent": {"model": told.script("ok")}, "toolkits": [kit]}),
                           ("run.start", {"input": "go", "agent": {"model": told.script("ok"), "toolkits": [kit]}}),
                           ("run.start", {"input": "go", "agent": {"model": told.script("ok")}, "augmentation": {"injectToolkits": [kit]}}),
                           ("session.augment", {"sessionId": s, "augmentation": {"injectToolkits": [kit]}})]:
        e = b.error_of(b.request(method, params))
        assert e.kind in ("unsupportedCapability", "tool.invalid"), e.error
    assert b.call("toolkit.list", {"sessionId": s})["toolkits"] == []


def test_the_start_of_a_run_says_what_it_has(told):
    b = told.bridge()
    model = told.script("ok")
    o = told.succeeds(b, model, toolkits=[toolkit("kit", A, B), opened("wide", C)], tools=[tool("X"), sh("S", "true")])
    started, = b.log_of(o["runId"], "run.started")
    assert {(t["name"], t["target"]) for t in started["tools"]} >= {("C", "client"), ("X", "client"), ("S", "server")}
    assert sorted(t["name"] for t in started["tools"]) == sorted(told.at(model, 0).names)
    registered, = b.log_of(o["runId"], "toolkit.registered")
    assert registered == {"toolkits": ["kit", "wide"], "totalTools": 5}


# ---------------------------------------------------------------- kills

def test_kill_9_between_any_two_steps_changes_nothing_that_the_model_sees(lab):
    def story(told):
        model = told.script(calls("W"), calls("kit"), calls("V"), "ok")
        told.on("W", "w")
        told.on("V", "v")

        def prepare(b):
            s = told.session(b)
            b.call("toolkit.register", {"toolkits": [toolkit("kit", A, systemPrompt="THE CONNECTION'S.")]})
            b.call("tool.register", {"tools": [named("connection"), tool("V")]})
            b.call("tool.register", {"tools": [named("session"), B], "sessionId": s})
            return {"sessionId": s}
        return {"input": "go", "agent": {"model": model, "tools": [named("agent"), C]}, "tools": [tool("W")]}, prepare

    shown = unchanged_by_kills(lab, story)
    assert sorted(shown[0].names) == ["B", "C", "T", "V", "W", "kit"] and shown[0].says("T") == "connection"
    assert "THE CONNECTION'S." in shown[2].system

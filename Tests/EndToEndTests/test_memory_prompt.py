"""Section 8: how a model is shown its memory, on every provider."""
from harness import tool
from mock_models import Call, Turn
from mock_models.fixtures import http, llm  # noqa: F401

WORDS = ("Your memory. It outlasts this conversation; keep in it what you will need later. Change it with memory_replace, memory_insert and memory_rethink. "
         "The blocks are shown as they are now; the line breaks next to <value> and </value> do not belong to them.")


def prompt(value):
    return [
        "Be brief.", WORDS,
        f'<memory_block label="user" characters="{len(value)}" limit="100">\n<description>Who "she" is.</description>\n<value>\n{value}\n</value>\n</memory_block>',
        '<memory_block label="rules" characters="10" limit="20000" read_only="true">\n<value>\nBe\nkind \U0001F642.\n</value>\n</memory_block>']


def test_memory_is_shown_in_the_system_prompt_as_it_is_at_each_turn(llm):
    model = llm.script(Turn(calls=[Call("memory_insert", {"label": "user", "text": "Likes tea."})]),
                       Turn(calls=[Call("memory_replace", {"label": "rules", "old": "Be", "new": "x"})]),
                       Turn(calls=[Call("look")]), "Done.")
    b = llm.parent()
    memory = [{"label": "user", "description": 'Who "she" is.', "value": "Ann.", "limit": 100},
              {"label": "rules", "value": "Be\nkind \U0001F642.", "readOnly": True}]
    a = b.call("agent.create", {"agent": {"model": model, "instructions": "Be brief.", "memory": memory}})["agentId"]

    def look(call):
        b.call("memory.set", {"agentId": a, "label": "user", "value": "Bob."})
        return {"content": "x"}

    b.handlers["look"] = look
    assert b.call("run.start", {"input": "go", "agentId": a, "tools": [tool("look")]})["answer"] == "Done."
    seen = llm.views(model)
    for view, value in zip(seen, ["Ann.", "Ann.\nLikes tea.", "Ann.\nLikes tea.", "Bob."], strict=True):
        at = 0
        for part in prompt(value):
            at = view.system.index(part, at) + len(part)
        assert view.system.endswith("</memory_block>")
        assert list(view.tools) == ["look", "memory_replace", "memory_insert", "memory_rethink"]

"""The same work done with LangGraph: a model behind HTTP, a tool that the parent answers, every step committed to SQLite.

It speaks as much of the bridge's wire as floors/parent.c needs, so that one parent measures both. A tool call is an `interrupt`, answered by
`Command(resume=...)`: what LangGraph's documentation has for work that is done outside of the process. The graph is the least that does it.
"""
import importlib.metadata
import json
import os
import sqlite3
import sys

from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt


@tool
def look(id: int, bytes: int) -> str:
    """Looks."""


def graph(path):
    model = ChatOpenAI(model="m", base_url=os.environ["OPENAI_BASE_URL"], streaming=True, max_retries=0).bind_tools([look])

    def think(state):
        return {"messages": [model.invoke(state["messages"])]}

    def act(state):
        calls = state["messages"][-1].tool_calls
        return {"messages": [ToolMessage(interrupt(call["args"]), tool_call_id=call["id"]) for call in calls]}

    builder = StateGraph(MessagesState)
    builder.add_node("think", think)
    builder.add_node("act", act)
    builder.add_edge(START, "think")
    builder.add_conditional_edges("think", lambda state: "act" if state["messages"][-1].tool_calls else END)
    builder.add_edge("act", "think")
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    return builder.compile(checkpointer=SqliteSaver(connection))


def say(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def run(agent, id):
    config = {"configurable": {"thread_id": str(id)}, "recursion_limit": 1_000_000}
    given, calls = {"messages": [("user", "go")]}, 0
    while True:
        state = agent.invoke(given, config, durability="sync")
        asked = state.get("__interrupt__")
        if not asked:
            return
        calls += 1
        say({"id": f"i{calls}", "method": "tool.invoke", "params": {"name": "look", "arguments": asked[0].value}})
        given = Command(resume=json.loads(sys.stdin.readline())["result"]["content"])


def main():
    if sys.argv[1] == "--version":
        print("LangGraph " + importlib.metadata.version("langgraph"))
        return
    agent = graph(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        if request["method"] == "run.start" and request["params"]["agent"]["model"].startswith("openai:"):
            run(agent, request["id"])
        say({"id": request["id"], "result": {}})


main()

"""The same work done with Dendrux: a model behind HTTP, a tool of the client that pauses the run, everything in its SQLite database.

It speaks as much of the bridge's wire as floors/parent.c needs, so that one parent measures both. The provider answers in one piece, since that is how
`Agent.run` asks.
"""
import asyncio
import importlib.metadata
import json
import os
import sys

if sys.argv[1:] == ["--version"]:
    print("Dendrux " + importlib.metadata.version("dendrux"))
    sys.exit()

from dendrux import Agent, tool
from dendrux.llm.openai import OpenAIProvider
from dendrux.types import PauseState, RunStatus, ToolResult


@tool(target="client")
async def look(id: int, bytes: int) -> str:
    """Looks."""
    return ""


def say(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


async def run(agent):
    calls = 0
    result = await agent.run("go")
    while result.status == RunStatus.WAITING_CLIENT_TOOL:
        results = []
        for call in pending(result):
            calls += 1
            say({"id": f"i{calls}", "method": "tool.invoke", "params": {"name": call.name, "arguments": call.params}})
            content = json.loads(sys.stdin.readline())["result"]["content"]
            results.append(ToolResult(name=call.name, call_id=call.id, payload=json.dumps(content)))
        result = await agent.submit_tool_results(result.run_id, results)
    if result.error:
        raise RuntimeError(result.error)


def pending(result):
    state = result.meta["pause_state"]
    return (state if isinstance(state, PauseState) else PauseState.from_dict(state)).pending_tool_calls


async def main(path):
    model = OpenAIProvider(model="m", base_url=os.environ["OPENAI_BASE_URL"].replace("/calls/", "/whole/calls/"), api_key="unused", max_retries=0)
    async with Agent(name="peer", provider=model, prompt="Look.", tools=[look], max_iterations=200, database_url=f"sqlite+aiosqlite:///{path}") as agent:
        for line in iter(sys.stdin.readline, ""):
            request = json.loads(line)
            if request["method"] == "run.start" and request["params"]["agent"]["model"].startswith("openai:"):
                await run(agent)
            say({"id": request["id"], "result": {}})


asyncio.run(main(sys.argv[1]))

"""The same work done with pydantic-ai: a model behind HTTP, a tool that the parent answers. Nothing is stored.

It speaks as much of the bridge's wire as floors/parent.c needs, so that one parent measures both.
"""
import importlib.metadata
import json
import os
import sys

if sys.argv[1:] == ["--version"]:
    print("pydantic-ai " + importlib.metadata.version("pydantic-ai-slim"))
    sys.exit()

from pydantic_ai import Agent, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def say(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


agent = Agent(OpenAIChatModel("m", provider=OpenAIProvider(base_url=os.environ["OPENAI_BASE_URL"], api_key="unused")))
calls = 0


@agent.tool_plain
def look(id: int, bytes: int) -> str:
    """Looks."""
    global calls
    calls += 1
    say({"id": f"i{calls}", "method": "tool.invoke", "params": {"name": "look", "arguments": {"id": id, "bytes": bytes}}})
    return json.loads(sys.stdin.readline())["result"]["content"]


async def run():
    # The loopback provider only streams.
    async with agent.run_stream("go", usage_limits=UsageLimits(request_limit=None)) as result:
        await result.get_output()


def main():
    import asyncio

    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if request["method"] == "run.start" and request["params"]["agent"]["model"].startswith("openai:"):
            asyncio.run(run())
        say({"id": request["id"], "result": {}})


main()

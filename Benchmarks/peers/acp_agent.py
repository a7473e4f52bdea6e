"""The least agent of `agent-client-protocol` on stdin and stdout: it can be initialised."""
import asyncio
import importlib.metadata
import sys

if sys.argv[1:] == ["--version"]:
    print("agent-client-protocol " + importlib.metadata.version("agent-client-protocol"))
    sys.exit()

from acp import Agent, InitializeResponse, run_agent


class Peer(Agent):
    async def initialize(self, protocol_version, **_):
        return InitializeResponse(protocol_version=protocol_version)


asyncio.run(run_agent(Peer()))

"""An MCP server on the `mcp` package (1.x or 2.x) that does all that a server may do, and much that it should not.

Everything it is asked to do it does by a tool. With `--record FILE` it writes its process id there at each start.
"""
import os
import signal
import sys
import time

import anyio
import mcp.types as types
from pydantic import BaseModel

try:
    from mcp.server.mcpserver import Context, MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import Context, FastMCP as Server

server = Server("everything")
if "--record" in sys.argv:
    with open(sys.argv[sys.argv.index("--record") + 1], "a") as record:
        record.write(f"{os.getpid()}\n")


class Sum(BaseModel):
    total: int
    parts: list[int]


class Name(BaseModel):
    name: str


@server.tool()
def echo(text: str) -> str:
    return text


@server.tool()
def pid() -> str:
    return str(os.getpid())


@server.tool()
def add(parts: list[int]) -> Sum:
    """Structured content, with an output schema."""
    return Sum(total=sum(parts), parts=parts)


@server.tool(structured_output=False)
def kinds() -> list:
    """Every kind of content."""
    return [types.TextContent.model_validate({"type": "text", "text": "words"}),
            types.ImageContent.model_validate({"type": "image", "data": "aGk=", "mimeType": "image/png"}),
            types.AudioContent.model_validate({"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}),
            types.ResourceLink.model_validate({"type": "resource_link", "uri": "file:///a.txt", "name": "a.txt", "mimeType": "text/plain"}),
            types.EmbeddedResource.model_validate({"type": "resource", "resource": {"uri": "file:///b.txt", "mimeType": "text/plain", "text": "inside"}})]


@server.tool()
def fail(words: str) -> str:
    raise ValueError(words)


@server.tool()
def crash(code: int = 3) -> str:
    os._exit(code)


@server.tool()
def kill(number: int = 9) -> str:
    os.kill(os.getpid(), number)
    time.sleep(60)
    return ""


@server.tool()
async def stall(seconds: float = 600) -> str:
    await anyio.sleep(seconds)
    return "woke up"


@server.tool()
def freeze(seconds: float = 600) -> str:
    """Blocks the whole server: it does not even read what it is sent."""
    time.sleep(seconds)
    return "thawed"


@server.tool()
async def steps(ctx: Context, count: int) -> str:
    for n in range(1, count + 1):
        await ctx.report_progress(n, count, f"step {n}")
    return "done"


@server.tool()
def flood(lines: int = 50_000) -> str:
    """Prints what is no message, and as much on stderr."""
    for n in range(lines):
        os.write(1, b"this is no message\n")
        os.write(2, b"this is on stderr\n")
    return "flooded"


@server.tool()
def big(size: int) -> str:
    return "x" * size


@server.tool()
def environment() -> dict:
    return dict(os.environ)


@server.tool()
def say(words: str) -> str:
    """On stderr."""
    print(words, file=sys.stderr, flush=True)
    return "said"


@server.tool()
def close() -> str:
    os.close(1)
    time.sleep(60)
    return ""


@server.tool()
def leave_child(fifo: str) -> str:
    """A child that holds a FIFO open and does not listen to SIGTERM."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open(fifo, "w"):
            time.sleep(600)
    return "left"


@server.tool()
async def grow(ctx: Context, name: str) -> str:
    """One tool more, and says so."""

    def grown(text: str) -> str:
        return f"{name}: {text}"

    server.add_tool(grown, name=name, description=f"grown: {name}")
    await (ctx.session.send_tool_list_changed() if hasattr(ctx.session, "send_tool_list_changed") else ctx.notify_tools_changed())
    return "grown"


@server.tool()
async def ask_user(ctx: Context, question: str) -> str:
    answer = await ctx.elicit(question, Name)
    return f"{answer.action} {answer.data.name if answer.action == 'accept' else ''}".strip()


@server.tool()
async def ask_model(ctx: Context, question: str) -> str:
    message = types.SamplingMessage.model_validate({"role": "user", "content": {"type": "text", "text": question}})
    answer = await ctx.session.create_message(messages=[message], max_tokens=100)
    content = answer.content[0] if isinstance(answer.content, list) else answer.content
    return content.text


@server.tool()
async def ask_roots(ctx: Context) -> str:
    answer = await ctx.session.list_roots()
    return f"{len(answer.roots)} roots"


if __name__ == "__main__":
    server.run()

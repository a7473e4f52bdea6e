"""The least server of the `mcp` SDK on stdin and stdout: one tool."""
import importlib.metadata
import sys

if sys.argv[1:] == ["--version"]:
    print("mcp " + importlib.metadata.version("mcp"))
    sys.exit()

try:
    from mcp.server import MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server

server = Server("peer")


@server.tool()
def look(id: int) -> str:
    """Looks."""
    return "twenty bytes of text"


server.run("stdio")

"""The binary driven by JSON-RPC clients that others wrote. Each is skipped, visibly, where it is not installed:
python3-pylsp-jsonrpc (Debian), `mcp` and `pygls` (PyPI), `vscode-jsonrpc` (npm, found by NODE_PATH)."""
import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading

import pytest

from harness import BINARY, TIMEOUT, VERSION, base_env, calls, expect, say, tool

INIT = {"protocolVersion": VERSION, "clientInfo": {"name": "somebody else's client", "version": "1"}, "capabilities": {"tools": {}}}


def start(lab, text="the answer"):
    model = lab.script([calls(("look", {"path": "a.csv"})), say(text, expect=expect(content="rows: 3"))])
    return {"input": "how many rows?", "agent": {"model": model}, "tools": [tool("look", {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})]}


# ---- python-lsp-jsonrpc: Content-Length framing, futures, $/cancelRequest

class Pylsp:
    def __init__(self, lab, handlers):
        jsonrpc = pytest.importorskip("pylsp_jsonrpc", reason="python3-pylsp-jsonrpc is not installed")
        from pylsp_jsonrpc import endpoint, streams
        assert jsonrpc
        self.p = subprocess.Popen([BINARY, "--store", lab.store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=base_env(lab.path))
        self.writer = streams.JsonRpcStreamWriter(self.p.stdin)
        self.reader = streams.JsonRpcStreamReader(self.p.stdout)
        self.endpoint = endpoint.Endpoint(handlers, self.writer.write)
        self.thread = threading.Thread(target=self.reader.listen, args=(self.endpoint.consume,), daemon=True)
        self.thread.start()

    def call(self, method, params=None):
        return self.endpoint.request(method, params).result(TIMEOUT)

    def __enter__(self):
        self.call("initialize", INIT)
        self.endpoint.notify("notifications/initialized", {})
        return self

    def __exit__(self, *_):
        try:
            self.p.stdin.close()
            assert self.p.wait(TIMEOUT) == 0
        finally:
            self.p.kill()
            self.p.wait()
            self.thread.join(TIMEOUT)
            self.endpoint.shutdown()
            self.p.stdout.close(), self.p.stderr.close()


def test_pylsp_jsonrpc_runs_the_main_job(lab):
    events = []

    def invoke(params):
        assert params["arguments"] == {"path": "a.csv"}
        return {"content": "rows: 3"}
    with Pylsp(lab, {"tool.invoke": invoke, "run.event": events.append}) as client:
        o = client.call("run.start", start(lab))
        assert (o["status"], o["answer"]) == ("success", "the answer")
        assert [e["seq"] for e in events if "seq" in e] == list(range(1, o["lastSeq"] + 1))
        assert client.call("ping", {}) == {}


def test_pylsp_jsonrpc_gets_errors_as_exceptions(lab):
    with Pylsp(lab, {}) as client:
        from pylsp_jsonrpc.exceptions import JsonRpcException
        with pytest.raises(JsonRpcException) as e:
            client.call("run.get", {"runId": "01ARZ3NDEKTSV4RRFFQ69G5FAV"})
        assert e.value.code > 0 and e.value.data["kind"] == "run.notFound"
        with pytest.raises(JsonRpcException) as e:
            client.call("no.such", {})
        assert e.value.code == -32601


def test_pylsp_jsonrpc_cancels_its_request(lab):
    with Pylsp(lab, {}) as client:
        f = client.endpoint.request("run.start", {"input": "x", "agent": {"model": lab.script([say("late", delayMs=60_000)])}})
        for _ in range(200):
            runs = client.call("run.list", {})["runs"]
            if runs:
                break
        # what Future.cancel() sends (this version then trips over the answer that the bridge owes it)
        client.endpoint.notify("$/cancelRequest", {"id": next(iter(client.endpoint._server_request_futures))})
        from pylsp_jsonrpc.exceptions import JsonRpcException
        with pytest.raises(JsonRpcException) as e:
            f.result(TIMEOUT)
        assert e.value.code == -32800
        assert client.call("run.wait", {"runId": runs[0]["runId"], "timeoutMs": 8000})["status"] == "cancelled"


def test_pylsp_jsonrpc_without_a_handler_is_a_tool_error_for_the_model(lab):
    with Pylsp(lab, {}) as client:
        p = start(lab)
        p["agent"]["model"] = lab.script([calls(("look", {"path": "a"})), say("went on", expect=expect(isError=True))])
        assert client.call("run.start", p)["answer"] == "went on"


# ---- the MCP SDK's stdio transport: lines

def test_the_mcp_sdks_stdio_client_runs_the_main_job(lab):
    pytest.importorskip("mcp", reason="mcp is not installed (PyPI)")
    anyio = pytest.importorskip("anyio")
    from mcp.client.stdio import StdioServerParameters, stdio_client
    from mcp.shared.message import SessionMessage
    from mcp.types import JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
    root = isinstance(JSONRPCMessage, type)

    def wrap(m):
        return SessionMessage(message=JSONRPCMessage(m) if root else m)

    async def go():
        server = StdioServerParameters(command=BINARY, args=["--store", lab.store], env=base_env(lab.path))
        errors = open(lab.path / "stderr", "w+")
        async with stdio_client(server, errlog=errors) as (read, write):
            async def ask(id, method, params):
                await write.send(wrap(JSONRPCRequest(jsonrpc="2.0", id=id, method=method, params=params)))
                while True:
                    got = await read.receive()
                    assert not isinstance(got, Exception), got
                    m = got.message.root if root else got.message
                    if getattr(m, "method", None) == "tool.invoke":
                        assert m.params["arguments"] == {"path": "a.csv"}
                        await write.send(wrap(JSONRPCResponse(jsonrpc="2.0", id=m.id, result={"content": [{"type": "text", "text": "rows: 3"}]})))
                    elif getattr(m, "method", None) is None and m.id == id:
                        return m.result
            with anyio.fail_after(2 * TIMEOUT):
                r = await ask(1, "initialize", INIT)
                assert r["protocolVersion"] == VERSION and r["serverInfo"]["name"]
                await write.send(wrap(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")))
                assert await ask(2, "ping", None) == {}
                o = await ask("three", "run.start", start(lab))
                assert (o["status"], o["answer"]) == ("success", "the answer")
        errors.seek(0)
        assert errors.read() == ""
        errors.close()
    anyio.run(go)


def test_a_handler_written_for_mcp_answers_unchanged(lab):
    """CallToolResult of the MCP SDK, dumped as the SDK does it, is a ToolResult."""
    pytest.importorskip("mcp", reason="mcp is not installed (PyPI)")
    from mcp.types import CallToolResult, TextContent
    fields = CallToolResult.model_fields
    more = {"structuredContent" if "structuredContent" in fields else "structured_content": {"rows": 3}, "isError" if "isError" in fields else "is_error": False}
    result = CallToolResult(content=[TextContent(type="text", text="rows: 3")], **more).model_dump(mode="json", by_alias=True, exclude_none=True)
    b = lab.parent()
    b.handlers["look"] = result
    o = b.call("run.start", start(lab))
    assert o["status"] in ("success", "error")
    d = b.log_of(o["runId"], "tool.completed")[0]
    assert d["structuredContent"] == {"rows": 3} and d["isError"] is False and d["content"][0]["text"] == "rows: 3"


# ---- pygls: asyncio, Content-Length framing

def test_pygls_json_rpc_client_runs_the_main_job(lab):
    pytest.importorskip("pygls", reason="pygls is not installed (PyPI)")
    try:
        from pygls.client import JsonRPCClient
    except ImportError:
        pytest.skip("this pygls has no JsonRPCClient")

    async def go():
        client = JsonRPCClient()
        seen = []

        @client.feature("tool.invoke")
        def invoke(params):
            seen.append(params.name)
            return {"content": "rows: 3"}

        @client.feature("run.event")
        def event(params):
            seen.append(params.type)
        await client.start_io(BINARY, "--store", lab.store, env=base_env(lab.path))
        try:
            r = await asyncio.wait_for(client.protocol.send_request_async("initialize", INIT), TIMEOUT)
            assert r.protocolVersion == VERSION
            o = await asyncio.wait_for(client.protocol.send_request_async("run.start", start(lab)), 2 * TIMEOUT)
            assert (o.status, o.answer) == ("success", "the answer")
            assert "look" in seen and "run.completed" in seen
        finally:
            client._server.stdin.close()
            await asyncio.wait_for(client.stop(), TIMEOUT)
        assert client._server.returncode == 0
    asyncio.run(go())


# ---- vscode-jsonrpc: what editors use

VSCODE = """
const rpc = require('vscode-jsonrpc/node'), cp = require('child_process');
const [binary, store, init, start] = process.argv.slice(1);
const child = cp.spawn(binary, ['--store', store], {stdio: ['pipe', 'pipe', 'inherit']});
const c = rpc.createMessageConnection(new rpc.StreamMessageReader(child.stdout), new rpc.StreamMessageWriter(child.stdin));
let events = 0;
c.onRequest('tool.invoke', p => ({content: 'rows: 3'}));
c.onNotification('run.event', p => { if (p.seq) events++; });
c.listen();
(async () => {
  await c.sendRequest('initialize', JSON.parse(init));
  c.sendNotification('notifications/initialized', {});
  const o = await c.sendRequest('run.start', JSON.parse(start));
  let kind;
  try { await c.sendRequest('run.get', {runId: 'x'}); } catch (e) { kind = e.data.kind; }
  const cancel = new rpc.CancellationTokenSource();
  const late = c.sendRequest('run.start', JSON.parse(process.env.LATE), cancel.token).catch(e => e.code);
  await c.sendRequest('ping', {});
  cancel.cancel();
  const code = await late;
  child.on('exit', exit => { console.log(JSON.stringify({status: o.status, answer: o.answer, lastSeq: o.lastSeq, events, kind, code, exit})); });
  child.stdin.end();
})();
"""


def test_vscode_jsonrpc_runs_the_main_job(lab):
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed")
    env = {**base_env(lab.path), "NODE_PATH": os.environ.get("NODE_PATH", "/usr/share/nodejs:/usr/lib/node_modules:/usr/local/lib/node_modules")}
    if subprocess.run([node, "-e", "require('vscode-jsonrpc/node')"], env=env, capture_output=True).returncode != 0:
        pytest.skip("vscode-jsonrpc is not installed (npm, NODE_PATH)")
    env["LATE"] = json.dumps({"input": "x", "agent": {"model": lab.script([say("late", delayMs=60_000)])}})
    p = subprocess.run([node, "-e", VSCODE, BINARY, lab.store, json.dumps(INIT), json.dumps(start(lab))], env=env, capture_output=True, timeout=3 * TIMEOUT)
    assert p.returncode == 0, p.stderr
    got = json.loads(p.stdout)
    assert (got["status"], got["answer"], got["exit"]) == ("success", "the answer", 0)
    assert got["events"] >= got["lastSeq"] and got["kind"] == "run.notFound" and got["code"] == -32800


# ---- no library at all

def test_twenty_lines_of_python_are_a_client(lab):
    program = """
import json, subprocess, sys
p = subprocess.Popen(sys.argv[1:3] + [sys.argv[3]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
def send(m):
    p.stdin.write(json.dumps({"jsonrpc": "2.0", **m}) + "\\n"); p.stdin.flush()
send({"id": 1, "method": "initialize", "params": json.loads(sys.argv[4])})
send({"id": 2, "method": "run.start", "params": json.loads(sys.argv[5])})
for line in p.stdout:
    m = json.loads(line)
    if m.get("method") == "tool.invoke":
        send({"id": m["id"], "result": {"content": "rows: 3"}})
    elif m.get("id") == 2:
        print(m["result"]["answer"]); break
p.stdin.close()
sys.exit(p.wait())
"""
    p = subprocess.run([sys.executable, "-c", program, BINARY, "--store", lab.store, json.dumps(INIT), json.dumps(start(lab))],
                       env=base_env(lab.path), capture_output=True, timeout=2 * TIMEOUT)
    assert (p.returncode, p.stdout.strip()) == (0, b"the answer"), p.stderr

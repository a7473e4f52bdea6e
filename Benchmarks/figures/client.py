"""A parent in Python that takes no JSON apart: bytes in, lines out, so that it costs little of what it measures."""
import json
import os
import subprocess

VERSION = "2026-11-20"
MODEL_STARTED = b'"type":"model.started"'
INVOKE = b'"method":"tool.invoke"'
TOOL = {"name": "look", "description": "Looks.", "inputSchema": {"type": "object"}}


def line(id, method, params):
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, separators=(",", ":"))


INITIALIZE = line(1, "initialize", {"protocolVersion": VERSION, "clientInfo": {"name": "benchmark", "version": "1"}, "capabilities": {"tools": {}}})
PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'


def run_start(id, script, model=None, **params):
    agent = {"model": model or f"script:{script}", "limits": {"maxIterations": 10000}}
    return line(id, "run.start", {"input": "go", "agent": agent, "tools": [TOOL]} | params)


def call(times, **arguments):
    """A script's turn that calls the tool, so many times in a row."""
    return {"toolCalls": [{"name": "look", "arguments": arguments or {"id": 1}}], "repeat": times}


class Process:
    """A child on two pipes."""

    def __init__(self, command, environment=None):
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env={**os.environ, **(environment or {})})
        self.pid = self.child.pid
        self.input = self.child.stdin.fileno()
        self.output = self.child.stdout.fileno()
        self.rest = b""
        self.lines = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        while os.read(self.output, 1 << 20):
            pass
        self.child.wait()

    def send(self, text):
        view = memoryview(text.encode() + b"\n" if isinstance(text, str) else text)
        while view:
            view = view[os.write(self.input, view):]

    def more(self):
        """The lines that came, at least one."""
        while True:
            taken = os.read(self.output, 1 << 20)
            if not taken:
                raise EOFError("the process has ended")
            *lines, self.rest = (self.rest + taken).split(b"\n")
            if lines:
                return lines

    def next(self):
        if not self.lines:
            self.lines = self.more()[::-1]
        return self.lines.pop()

    def until(self, *parts):
        """The next line that has one of the parts."""
        while True:
            line = self.next()
            if any(part in line for part in parts):
                return line

    def request(self, text, id):
        self.send(text)
        answer = self.until(b'"id":%d,"result"' % id, b'"id":%d,"error"' % id)
        if b'"error":{"code"' in answer:
            raise RuntimeError(answer.decode())
        return answer


class Bridge(Process):
    """A bridge that is initialised."""

    def __init__(self, command, environment=None):
        super().__init__(command, environment)
        self.request(INITIALIZE, 1)


def invocation_id(line):
    """The id of a tool.invoke, with its quotes."""
    start = line.index(b'"id":') + 5
    return line[start:line.index(b",", start)]


def answer(line, content=b'"twenty bytes of text"', member=b"content"):
    """The parent's answer to a tool.invoke."""
    return b'{"jsonrpc":"2.0","id":%b,"result":{"%b":%b}}\n' % (invocation_id(line), member, content)

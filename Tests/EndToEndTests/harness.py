"""Drives the real `footbridge` binary as a client would: a process, its pipes, and JSON-RPC.

Everything here is written from the protocol page alone. What a `Bridge` checks by itself, for every test:

* every message, both ways, against `Schemas/` (by `Schemas/validate.py`, a validator that others wrote);
* every error response: `data.kind`, `data.retryable`, the pairing of code and kind, the pointer of -32602;
* every RunOutcome: its members, and that they agree with each other;
* every request answered exactly once, when the process ends on its own;
* the `seq` of the events of each run: no gap, no repeat, in order, and from 1 on for a run that this connection began;
* at the end, the events seen live against `run.events`, byte for byte, and one `tool.completed` for each call;
* stderr: no trace of a crash.

No sleep is used to synchronise: every wait polls a condition, with a generous time limit.
"""
from __future__ import annotations

import fcntl
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import postgres

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
BINARY = os.environ.get("FOOTBRIDGE_BINARY") or str(REPO / ".build" / "release" / "footbridge")
SCHEMAS = REPO / "Schemas"
TIMEOUT = float(os.environ.get("FOOTBRIDGE_TEST_TIMEOUT", "10"))
VERSION = "2026-11-20"
ULID = re.compile(r"^[0-9A-HJKMNP-TV-Z]{26}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
CRASH = re.compile(rb"internal error: signal|Fatal error|Fatal access conflict|Simultaneous accesses|Segmentation|AddressSanitizer|ThreadSanitizer|\*\*\* Program crashed|Illegal instruction"
                   rb"|stack smashing|double free|malloc\(\)|free\(\): |swift::|Backtrace|Assertion .* failed")

ENDED = {"success", "error", "cancelled", "max_iterations"}
WAITING = {"waiting_client_tool", "waiting_approval", "waiting_human_input"}
STATUSES = ENDED | WAITING | {"queued", "running", "paused"}
USAGE = {"inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "modelCalls", "toolCalls"}
OUTCOME_METHODS = {"run.start", "run.wait", "run.resume", "run.pause", "run.cancel", "run.get", "run.submitToolResults"}
STANDARD = {-32700: "parseError", -32600: "invalidRequest", -32601: "methodNotFound", -32602: "invalidParams",
            -32603: "internalError", -32800: "cancelled"}
KINDS = set("""run.notFound run.notWaiting run.alreadyTerminal run.alreadyClaimed run.invalidToolResults run.leaseHeld run.limitExceeded
 run.idempotencyConflict run.superseded run.dropped session.notFound agent.notFound agent.conflict toolkit.notFound tool.notFound tool.invalid
 tool.invalidSchema tool.timeout client.disconnected memory.readOnly blob.notFound model.unknownProvider model.missingKey model.unavailable
 model.rejected model.invalidOutput model.contextOverflow script.mismatch script.exhausted store.unavailable store.full store.newer
 message.tooLarge overloaded unsupportedCapability shuttingDown""".split())
FINAL = {"run.completed", "run.error", "run.cancelled"}


# ---------------------------------------------------------------- raw JSON: slices of the text, never re-encoded

_decoder = json.JSONDecoder(strict=True)
_space = re.compile(r"[ \t\r\n]*")


def _skip(text, at):
    return _space.match(text, at).end()


def raw_members(text, at=0):
    """The members of the object at `at`, as (key, raw value) pairs in order, duplicates kept."""
    at = _skip(text, at)
    assert text[at] == "{", text[at:at + 40]
    at = _skip(text, at + 1)
    found = []
    if text[at] == "}":
        return found
    while True:
        key, at = _decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, at))
        assert text[at] == ":"
        start = _skip(text, at + 1)
        _, at = _decoder.raw_decode(text, start)
        found.append((key, text[start:at]))
        at = _skip(text, at)
        if text[at] == "}":
            return found
        assert text[at] == ","
        at = _skip(text, at + 1)


def raw_elements(text, at=0):
    at = _skip(text, at)
    assert text[at] == "[", text[at:at + 40]
    at = _skip(text, at + 1)
    found = []
    if text[at] == "]":
        return found
    while True:
        start = at
        _, at = _decoder.raw_decode(text, at)
        found.append(text[start:at])
        at = _skip(text, at)
        if text[at] == "]":
            return found
        assert text[at] == ","
        at = _skip(text, at + 1)


def raw_get(text, *path):
    """The exact text of the value at `path` (keys and indexes)."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    for step in path:
        if isinstance(step, int):
            text = raw_elements(text)[step]
        else:
            text = next(value for key, value in raw_members(text) if key == step)
    return text


def _no_constant(name):
    raise ValueError(f"{name} is not JSON")


def loads(raw):
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8")
    return json.loads(raw, parse_constant=_no_constant)


def dumps(obj):
    text = json.dumps(obj, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(obj, separators=(",", ":")).encode("ascii")


# ---------------------------------------------------------------- the validator that others wrote

class ValidatorMissing(Exception):
    pass


def make_validator():
    """An instance of Schemas/validate.py's WireValidator, or None while it does not exist yet (never in CI)."""
    if os.environ.get("FOOTBRIDGE_TEST_NO_SCHEMAS"):
        return None
    if not (SCHEMAS / "validate.py").exists():
        if os.environ.get("CI") == "true":
            raise ValidatorMissing(f"{SCHEMAS / 'validate.py'} is missing")
        return None
    if str(SCHEMAS) not in sys.path:
        sys.path.insert(0, str(SCHEMAS))
    from validate import WireValidator  # noqa: E402
    return WireValidator()


# ---------------------------------------------------------------- scripted answers of a parent

class Never:
    """The handler took the call and never answers."""


class Error:
    def __init__(self, code=-32000, message="the handler failed", data=None):
        self.code, self.message, self.data = code, message, data


class Raw:
    """A result given as JSON text, sent as it is."""
    def __init__(self, text):
        self.text = text


class Line:
    """A whole line, sent as it is; `%ID%` becomes the request's id as JSON."""
    def __init__(self, data):
        self.data = data if isinstance(data, bytes) else data.encode()


class After:
    """The answer, once `gate` (a callable, an Event) is open."""
    def __init__(self, gate, answer):
        self.gate, self.answer = gate, answer


DEFER = {"deferred": True}


# ---------------------------------------------------------------- messages

class Msg:
    __slots__ = ("raw", "obj", "i", "t")

    def __init__(self, raw, obj, i):
        self.raw, self.obj, self.i, self.t = raw, obj, i, time.monotonic()

    id = property(lambda self: self.obj.get("id"))
    method = property(lambda self: self.obj.get("method"))
    params = property(lambda self: self.obj.get("params"))
    result = property(lambda self: self.obj.get("result"))
    error = property(lambda self: self.obj.get("error"))
    is_batch = property(lambda self: isinstance(self.obj, list))
    is_request = property(lambda self: not self.is_batch and "method" in self.obj and "id" in self.obj)
    is_response = property(lambda self: not self.is_batch and "method" not in self.obj)
    is_event = property(lambda self: not self.is_batch and self.obj.get("method") == "run.event")
    type = property(lambda self: self.obj["params"]["type"])
    data = property(lambda self: self.obj["params"]["data"])
    seq = property(lambda self: self.obj["params"].get("seq"))
    run_id = property(lambda self: self.obj["params"]["runId"])
    call_id = property(lambda self: self.obj["params"]["callId"])

    def raw_at(self, *path):
        return raw_get(self.raw, *path)

    def __repr__(self):
        return f"<{self.i}: {self.raw[:300]!r}>"


class RpcError(AssertionError):
    def __init__(self, error, msg=None):
        super().__init__(json.dumps(error)[:2000])
        self.error, self.response = error, msg
        self.code = error.get("code")
        self.data = error.get("data") or {}
        self.kind = self.data.get("kind")


def check_outcome(outcome, method=None):
    """What is wrong with a RunOutcome, as text; None when it is in order."""
    o = outcome
    try:
        assert ULID.match(o["runId"]), "runId is not a ULID"
        assert o["status"] in STATUSES, f"unknown status {o['status']}"
        assert o["ended"] is (o["status"] in ENDED), "ended does not agree with status"
        assert o["driver"] in ("self", "other", "none"), "driver"
        assert set(o["usage"]) >= USAGE and all(isinstance(v, int) for v in o["usage"].values()), "usage"
        assert isinstance(o["lastSeq"], int) and o["lastSeq"] >= 1, "lastSeq"
        # For a client that cannot read long lines the list may be a blob.
        pending = o["pendingToolCalls"]
        assert isinstance(pending, list) or set(pending) == {"$blob", "type", "bytes", "preview"}, "pendingToolCalls"
        if o["ended"]:
            assert o["driver"] == "none", "an ended run has no driver"
            assert o["pendingToolCalls"] == [], "an ended run has no pending calls"
        if o["status"] == "success":
            assert o.get("stopReason") in ("end_turn", "max_tokens", "refusal"), "stopReason"
            assert "error" not in o, "success has no error"
        if o["status"] == "error":
            assert "error" in o, "status error without error"
        if o["status"] == "waiting_client_tool":
            assert o["pendingToolCalls"], "waiting for nothing"
        if "error" in o:
            e = o["error"]
            assert isinstance(e["kind"], str) and isinstance(e["message"], (str, dict)) and isinstance(e["retryable"], bool), "error"
        for call in pending if isinstance(pending, list) else []:
            assert ULID.match(call["callId"]), "callId is not a ULID"
            assert ULID.match(call["runId"]), "runId of a pending call"
            assert call["target"] in ("client", "server"), "target"
            assert call["needs"] in ("result", "approval", "input"), "needs"
            assert call["state"] in ("open", "deferred", "parked"), "state"
            assert isinstance(call["attempt"], int) and call["attempt"] >= 0, "attempt"
            assert "name" in call and "arguments" in call, "name and arguments"
    except (AssertionError, KeyError, TypeError) as e:
        return f"outcome of {method}: {type(e).__name__}: {e}: {json.dumps(o)[:1500]}"
    return None


try:
    ERRORS = {e["kind"]: e for e in json.loads((SCHEMAS / "errors.json").read_text())["kinds"]}
except (OSError, ValueError, KeyError):
    ERRORS = {}


def check_error(error):
    try:
        assert isinstance(error["code"], int) and isinstance(error["message"], str) and error["message"], "code and message"
        data = error["data"]
        assert isinstance(data["retryable"], bool), "data.retryable"
        kind = data["kind"]
        if error["code"] < 0:
            assert STANDARD.get(error["code"]) == kind, f"{error['code']} with kind {kind}"
        else:
            assert error["code"] > 0 and kind in KINDS, f"unknown kind {kind}"
        if kind in ERRORS:
            assert error["code"] == ERRORS[kind]["code"], f"{kind} with code {error['code']}, errors.json says {ERRORS[kind]['code']}"
        if error["code"] == -32602:
            assert isinstance(data["pointer"], str) and (data["pointer"] == "" or data["pointer"].startswith("/")), "data.pointer"
    except (AssertionError, KeyError, TypeError) as e:
        return f"error: {type(e).__name__}: {e}: {json.dumps(error)[:1500]}"
    return None


def assert_pending(outcome, names=None, state=None, attempt=None, needs="result"):
    calls = outcome["pendingToolCalls"]
    if names is not None:
        assert [c["name"] for c in calls] == list(names), calls
    for c in calls:
        assert c["needs"] == needs, c
        if state is not None:
            assert c["state"] == state, c
        if attempt is not None:
            assert c["attempt"] == attempt, c
    return calls


# ---------------------------------------------------------------- small words for scripts and tools

def say(text, **more):
    return {"text": text, **more}


def calls(*pairs, **more):
    """A turn that calls tools: calls("a", ("b", {"x": 1}))."""
    out = []
    for p in pairs:
        name, args = (p, {}) if isinstance(p, str) else p
        out.append({"name": name, "arguments": args})
    return {"toolCalls": out, **more}


def expect(role="tool", **more):
    return {"role": role, **more}


def contains(text):
    return {"contains": text}


def tool(name, schema=None, **more):
    return {"name": name, "description": f"the tool {name}", "inputSchema": schema or {"type": "object"}, **more}


def command(name, argv, schema=None, **more):
    return tool(name, schema, command=argv, **more)


def sh(name, script, schema=None, **more):
    return command(name, ["/bin/sh", "-c", script], schema, **more)


def sub(lab, name, turns, tools=(), agent=None, **more):
    """A tool that is an agent with a script."""
    model = turns if isinstance(turns, str) else lab.script(turns)
    return {"name": name, "description": f"the agent {name}", "agent": {"model": model, "tools": list(tools), **(agent or {})}, **more}


TOOLS = {"tools": {}}


# ---------------------------------------------------------------- waiting

def until(condition, what="the condition", timeout=None, step=0.01):
    """Polls until `condition()` is truthy, and returns it."""
    end = time.monotonic() + (timeout or TIMEOUT)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"timed out waiting for {what}")
        time.sleep(step)


def free_port():
    """A port on which nobody listens, below those that systems give to whoever asks for any."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def made_at(ulid):
    """Milliseconds since 1970 at which the id was made."""
    milliseconds = 0
    for digit in ulid[:10]:
        milliseconds = milliseconds * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(digit)
    return milliseconds


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, IndexError, ProcessLookupError):
        return False
    return state not in "ZX"


def base_env(home, **more):
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home), "LANG": "C.UTF-8", "TMPDIR": str(home),
           "XDG_STATE_HOME": str(Path(home) / "state")}
    for key in os.environ:
        if key.startswith(("ASAN_", "TSAN_", "UBSAN_", "LSAN_", "SWIFT_")) or key == "LD_LIBRARY_PATH":
            env[key] = os.environ[key]
    for key, value in more.items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = str(value)
    return env


# ---------------------------------------------------------------- the client

class Bridge:
    """One `footbridge` process and the client at its other end."""

    def __init__(self, *args, store=None, env=None, home="/tmp", cwd=None, framing="line", init=True, capabilities=None,
                 lab=None, reading=True, preexec=None, name=None, validate=True):
        self.args = list(args)
        if store is not None:
            self.args = ["--store", store] + self.args
        self.store, self.lab, self.framing, self.name = store, lab, framing, name or "bridge"
        self.capabilities = capabilities or {}
        self.longest_line = self.capabilities.get("maxMessageBytes", float("inf"))
        if not isinstance(self.longest_line, (int, float)):
            self.longest_line = float("inf")
        self.messages: list[Msg] = []
        self.cond = threading.Condition()
        self.taken: set[int] = set()
        self.sent: list[tuple[float, bytes]] = []
        self.sent_ids: Counter = Counter()
        self.got_ids: Counter = Counter()
        self.methods: dict[str, str] = {}
        self.req_params: dict[str, dict] = {}
        self.raw_used = False
        self.next_id = 1000
        self.violations: list[str] = []
        self.handlers: dict[str, object] = {}
        self.invocations: list[Msg] = []
        self.eof = False
        self.may_crash = False
        self.killed = False
        self.stdout_closed = False
        self.finished = self.destroyed = False
        self.expected_exit = None
        self.initialized = False
        self.auto_replay = True
        self.replayed: set[str] = set()
        self.events_by_run: dict[str, list[Msg]] = defaultdict(list)
        self.last_seq: dict[str, int] = {}
        self.free_seq: set[str] = set()
        self.begun: set[str] = set()  # runs that this connection is known to have begun, and sees
        self.check_seq = "optOut" not in (self.capabilities.get("events") or {})
        self.stdin_closed = False
        self.write_lock = threading.Lock()
        self.read_gate = threading.Event()
        if reading:
            self.read_gate.set()
        self.validator = make_validator() if validate else None
        self.validator_lock = threading.RLock()
        self.unsplit = bytearray()
        if not os.path.exists(BINARY):
            raise FileNotFoundError(f"no binary at {BINARY} (set FOOTBRIDGE_BINARY)")
        self.started_at = time.monotonic()
        self.started_wall = int(time.time() * 1000)
        self.proc = subprocess.Popen([BINARY, *self.args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env=base_env(home, **(env or {})), cwd=cwd, bufsize=0, preexec_fn=preexec, start_new_session=True)
        self.pid = self.proc.pid
        self.wake_r, self.wake_w = os.pipe()
        self.stderr = bytearray()
        self._stderr_thread = threading.Thread(target=self._read_stderr, daemon=True)
        self._stderr_thread.start()
        self._reader = threading.Thread(target=self._read_stdout, daemon=True)
        self._reader.start()
        if init:
            self.initialize()

    # ---- reading

    def _read_stderr(self):
        fd = self.proc.stderr.fileno()
        while True:
            try:
                chunk = os.read(fd, 65536)
            except OSError:
                return
            if not chunk:
                return
            self.stderr += chunk

    def _read_stdout(self):
        fd = self.proc.stdout.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self.wake_r, select.POLLIN)
        buffer = bytearray()
        scanned = 0
        try:
            while True:
                self.read_gate.wait()
                try:
                    poll.poll()
                    if self.stdout_closed:
                        self.proc.stdout.close()
                        break
                    chunk = os.read(fd, 1 << 20)
                except OSError:
                    break
                if not chunk:
                    break
                buffer += chunk
                while True:
                    if self.framing == "line":
                        end = buffer.find(b"\n", scanned)
                        if end < 0:
                            scanned = len(buffer)
                            break
                        frame, scanned = bytes(buffer[:end]), 0
                        del buffer[:end + 1]
                    else:
                        head = buffer.find(b"\r\n\r\n")
                        if head < 0:
                            break
                        header = bytes(buffer[:head]).decode("ascii")
                        m = re.search(r"(?im)^content-length: *(\d+)\s*$", header)
                        if not m:
                            self._violate(f"a header without Content-Length: {header!r}")
                            return
                        length = int(m.group(1))
                        if len(buffer) < head + 4 + length:
                            break
                        frame = bytes(buffer[head + 4:head + 4 + length])
                        del buffer[:head + 4 + length]
                    self._received(frame)
            if buffer and not self.killed and not self.stdout_closed:
                self._violate(f"stdout ended inside a message: {bytes(buffer[:200])!r}")
        finally:
            with self.cond:
                self.eof = True
                self.cond.notify_all()

    def _violate(self, text):
        self.violations.append(text)

    def _received(self, frame):
        try:
            obj = loads(frame)
        except (ValueError, UnicodeDecodeError, RecursionError) as e:
            self._violate(f"stdout carried something that is not JSON ({e}): {frame[:300]!r}")
            return
        if not isinstance(obj, (dict, list)):
            self._violate(f"stdout carried something that is no message: {frame[:300]!r}")
            return
        if len(frame) >= self.longest_line:
            self._violate(f"a line of {len(frame)} bytes for a client that reads {self.longest_line}: {frame[:300]!r}")
        msg = Msg(frame, obj, 0)
        for one in (obj if isinstance(obj, list) else [obj]):
            self._check_incoming(one)
        if not isinstance(obj, list):
            if self.validator:
                self._validate("bridge_message", obj)
            if msg.is_event:
                self._check_event(msg)
        elif self.validator:
            self._validate("bridge_message", obj)
        with self.cond:
            msg.i = len(self.messages)
            self.messages.append(msg)
            if msg.is_event:
                self.events_by_run[msg.run_id].append(msg)
            self.cond.notify_all()
        if msg.is_request:
            self._serve(msg)

    def _validate(self, which, obj):
        try:
            with self.validator_lock:
                getattr(self.validator, which)(obj)
        except Exception as e:  # whatever the validator raises is a finding
            self._violate(f"schema ({which}): {type(e).__name__}: {str(e)[:1500]} in {json.dumps(obj)[:600]}")

    def _check_incoming(self, obj):
        if obj.get("jsonrpc") != "2.0":
            self._violate(f"a message without jsonrpc 2.0: {json.dumps(obj)[:300]}")
        if "method" in obj:
            return
        if "id" not in obj or ("result" in obj) == ("error" in obj):
            self._violate(f"not a JSON-RPC response: {json.dumps(obj)[:300]}")
            return
        key = json.dumps(obj["id"])
        with self.cond:
            self.got_ids[key] += 1
            method = self.methods.get(key)
            params = self.req_params.get(key)
        if "error" in obj:
            problem = check_error(obj["error"])
            if problem:
                self._violate(problem)
            return
        if method in OUTCOME_METHODS and isinstance(obj["result"], dict):
            problem = check_outcome(obj["result"], method)
            if problem:
                self._violate(problem)
                return
            if method == "run.start" and params and params.get("wait") is False:
                self._note_start(obj["result"]["runId"], params)
            if method == "run.start" and params and params.get("wait", True) and params.get("events", True) and self.check_seq \
                    and "idempotencyKey" not in params:
                o = obj["result"]
                if self.last_seq.get(o["runId"], 0) < o["lastSeq"] and o["runId"] not in self.free_seq:
                    self._violate(f"the response of run.start (lastSeq {o['lastSeq']}) came before its events "
                                  f"(last seen {self.last_seq.get(o['runId'], 0)})")

    def _note_start(self, run, params):
        """A `run.start` names its run. With a key it may be an older one, or one that another process has just begun."""
        if not params or not params.get("events", True):
            return
        if "idempotencyKey" in params:
            others = self.lab is None or any(b is not self and b.store == self.store for b in self.lab.bridges)
            key = params["idempotencyKey"]
            with self.cond:
                unseen = any(p.get("idempotencyKey") == key and not p.get("events", True) for p in self.req_params.values())
            if others or unseen or made_at(run) < self.started_wall:
                return
        self.begun.add(run)

    def _check_event(self, msg):
        p = msg.params
        if not TIME.match(p.get("time", "")):
            self._violate(f"event time: {p.get('time')!r}")
        if not ULID.match(p.get("runId", "")):
            self._violate(f"event runId: {p.get('runId')!r}")
        if "data" not in p or "type" not in p:
            self._violate(f"event without type or data: {msg.raw[:300]!r}")
        seq = p.get("seq")
        if seq is None:
            if p.get("type") not in ("run.accepted", "text.delta", "reasoning.delta", "tool.progress"):
                self._violate(f"event {p.get('type')} without seq")
            if p.get("type") == "run.accepted":
                with self.cond:
                    params = self.req_params.get(json.dumps(p["data"]["requestId"]))
                self._note_start(p["runId"], params)
            return
        if not isinstance(seq, int) or seq < 1:
            self._violate(f"seq {seq!r}")
            return
        run = p["runId"]
        last = self.last_seq.get(run)
        if run not in self.free_seq and self.check_seq and last is not None and seq != last + 1:
            self._violate(f"seq {seq} after {last} in run {run}")
        if run in self.begun and run not in self.free_seq and self.check_seq and last is None and seq != 1:
            self._violate(f"the first event of run {run}, which this connection began, has seq {seq}")
        self.last_seq[run] = seq

    def _serve(self, msg):
        if msg.method == "ping":
            try:
                self.respond(msg, {})
            except OSError:
                pass
            return
        if msg.method != "tool.invoke":
            return
        handler = self.handlers.get(msg.params.get("name"))
        if handler is None:
            return
        with self.cond:
            self.taken.add(msg.i)
            self.invocations.append(msg)
            self.cond.notify_all()
        threading.Thread(target=self._answer, args=(msg, handler), daemon=True).start()

    def _answer(self, msg, handler):
        try:
            answer = handler(msg.params) if callable(handler) and handler is not Never else handler
            self.answer(msg, answer)
        except (BrokenPipeError, OSError, ValueError):
            pass
        except Exception as e:
            self._violate(f"handler of {msg.params.get('name')} failed: {type(e).__name__}: {e}")

    def answer(self, msg, answer):
        if isinstance(answer, After):
            gate = answer.gate
            if isinstance(gate, threading.Event):
                gate.wait(60)
            else:
                until(gate, "a gate", 60)
            answer = answer.answer
        if answer is Never or isinstance(answer, Never):
            return
        if isinstance(answer, Error):
            self.respond_error(msg, answer.code, answer.message, answer.data)
        elif isinstance(answer, Raw):
            self.respond_raw(msg, answer.text)
        elif isinstance(answer, Line):
            self.send_frame(answer.data.replace(b"%ID%", json.dumps(msg.id).encode()))
        else:
            self.respond(msg, answer)

    # ---- writing

    def send(self, data: bytes):
        """Bytes as they are. Nothing is counted; the validator is told what can be told."""
        self.raw_used = True
        if self.validator:
            self._remember(data)
        self._write(data)

    def _remember(self, data, last=False):
        with self.validator_lock:
            self.unsplit += data
            while self.unsplit:
                if self.framing == "line":
                    end = self.unsplit.find(b"\n")
                    if end < 0 and len(self.unsplit) > 4_000_000:
                        self.unsplit = bytearray(b"x")  # far too long to be remembered
                    if end < 0 and not last:
                        return
                    line = bytes(self.unsplit if end < 0 else self.unsplit[:end])
                    del self.unsplit[:len(line) + 1]
                else:
                    m = re.match(rb"(?is)((?:[\w-]+:[^\r\n]*\r\n)*?)content-length: *(\d+)\r\n(?:[\w-]+:[^\r\n]*\r\n)*\r\n", self.unsplit)
                    if not m or len(self.unsplit) < m.end() + int(m.group(2)):
                        return
                    line = bytes(self.unsplit[m.end():m.end() + int(m.group(2))])
                    del self.unsplit[:m.end() + int(m.group(2))]
                try:
                    self.validator.client_line(line.decode("utf-8").lstrip("\ufeff").strip())
                except (UnicodeDecodeError, RecursionError):
                    pass

    def _write(self, data: bytes):
        with self.write_lock:
            self.sent.append((time.monotonic(), data[:2000]))
            view = memoryview(data)
            fd = self.proc.stdin.fileno()
            try:
                while view:
                    view = view[os.write(fd, view[:1 << 20]):]
            except BrokenPipeError:
                until(lambda: self.proc.poll() is not None, "the bridge to end after it closed its stdin", 2)
                raise BrokenPipeError(f"the bridge is gone (exit {self.proc.poll()}): {bytes(self.stderr[-500:])!r}") from None

    def frame(self, body: bytes) -> bytes:
        if self.framing == "line":
            return body + b"\n"
        return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    def send_frame(self, body: bytes):
        """A body as it is, framed."""
        self.send(self.frame(body))

    def send_json(self, obj, valid=True):
        """`valid` says whether the test means this to be right; the validator remembers it either way."""
        for one in (obj if isinstance(obj, list) else [obj]):
            if isinstance(one, dict) and "method" in one and one.get("id") is not None:
                key = json.dumps(one["id"])
                with self.cond:
                    self.sent_ids[key] += 1
                    self.methods[key] = one["method"]
                    if isinstance(one.get("params"), dict):
                        self.req_params[key] = one["params"]
                params = one.get("params")
                if isinstance(params, dict) and (one["method"] in ("run.subscribe", "run.unsubscribe") or "afterSeq" in params):
                    if isinstance(params.get("runId"), str):
                        self.free_seq.add(params["runId"])
        if self.validator:
            self._validate("client_message", obj)
        self._write(self.frame(dumps(obj)))

    def _id(self):
        self.next_id += 1
        return self.next_id

    def request(self, method, params=None, id=None, valid=True):
        """Sends a request and returns its id."""
        if id is None:
            id = self._id()
        obj = {"jsonrpc": "2.0", "id": id, "method": method}
        if params is not None:
            obj["params"] = params
        self.send_json(obj, valid=valid)
        return id

    def request_raw(self, method, params_text, id=None):
        """A request whose params are JSON text, sent exactly as it is (and it must be JSON)."""
        if id is None:
            id = self._id()
        key = json.dumps(id)
        with self.cond:
            self.sent_ids[key] += 1
            self.methods[key] = method
        if self.validator:
            self._validate("client_message", {"jsonrpc": "2.0", "id": id, "method": method, "params": loads(params_text)})
        self._write(self.frame(f'{{"jsonrpc":"2.0","id":{key},"method":{json.dumps(method)},"params":{params_text}}}'.encode()))
        return id

    def notify(self, method, params=None, valid=True):
        obj = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            obj["params"] = params
        self.send_json(obj, valid=valid)

    def respond(self, msg, result, valid=True):
        id = msg.id if isinstance(msg, Msg) else msg
        self.send_json({"jsonrpc": "2.0", "id": id, "result": result}, valid=valid and isinstance(result, dict))

    def respond_raw(self, msg, text):
        """A result given as JSON text, sent exactly as it is."""
        id = msg.id if isinstance(msg, Msg) else msg
        if self.validator:
            self._validate("client_message", {"jsonrpc": "2.0", "id": id, "result": {}})
        self._write(self.frame(f'{{"jsonrpc":"2.0","id":{json.dumps(id)},"result":{text}}}'.encode()))

    def respond_error(self, msg, code=-32000, message="no", data=None):
        id = msg.id if isinstance(msg, Msg) else msg
        error = {"code": code, "message": message}
        if data is not None:
            error["data"] = data
        self.send_json({"jsonrpc": "2.0", "id": id, "error": error})

    def initialize(self, capabilities=None, version=VERSION):
        self.capabilities = self.capabilities if capabilities is None else capabilities
        result = self.call("initialize", {"protocolVersion": version, "clientInfo": {"name": "tests", "version": "0"},
                                          "capabilities": self.capabilities})
        self.notify("notifications/initialized")
        self.initialized = True
        self.init_result = result
        return result

    # ---- waiting

    def dump(self, limit=60):
        lines = [f"--- {self.name} {' '.join(self.args)} (pid {self.pid}, exit {self.proc.poll()})"]
        merged = [(t, "->", raw) for t, raw in self.sent] + [(m.t, "<-", m.raw) for m in self.messages]
        merged.sort(key=lambda x: x[0])
        if len(merged) > limit:
            lines.append(f"({len(merged) - limit} earlier messages left out)")
        for t, way, raw in merged[-limit:]:
            text = raw[:700].decode("utf-8", "replace").rstrip("\n") + (f" ...({len(raw)})" if len(raw) > 700 else "")
            lines.append(f"{t - self.started_at:8.3f} {way} {text}")
        if self.stderr:
            lines.append("stderr: " + bytes(self.stderr[-3000:]).decode("utf-8", "replace"))
        for v in self.violations[:10]:
            lines.append("VIOLATION: " + v)
        return "\n".join(lines)

    def wait(self, find, what="a message", timeout=None, start=0):
        """The first message from index `start` for which `find(msg)` is true."""
        end = time.monotonic() + (timeout or TIMEOUT)
        at = start
        with self.cond:
            while True:
                while at < len(self.messages):
                    m = self.messages[at]
                    at += 1
                    if find(m):
                        return m
                left = end - time.monotonic()
                if left <= 0 or self.eof:
                    why = "the bridge closed stdout" if self.eof else "timed out"
                    raise AssertionError(f"{self.name}: {why}, waiting for {what}\n" + "\n".join(self.violations[:5]))
                self.cond.wait(left)

    def wait_response(self, id, timeout=None):
        key = json.dumps(id)
        return self.wait(lambda m: m.is_response and json.dumps(m.id) == key, f"the response to {id!r}", timeout)

    def result(self, id, timeout=None):
        m = self.wait_response(id, timeout)
        if m.error is not None:
            raise RpcError(m.error, m)
        return m.result

    def error_of(self, id, timeout=None):
        m = self.wait_response(id, timeout)
        if m.error is None:
            raise AssertionError(f"expected an error, got {json.dumps(m.result)[:1000]}")
        return RpcError(m.error, m)

    def call(self, method, params=None, timeout=None, id=None):
        return self.result(self.request(method, params, id=id), timeout)

    def fails(self, method, params=None, kind=None, code=None, valid=True, timeout=None):
        e = self.error_of(self.request(method, params, valid=valid), timeout)
        if kind is not None:
            assert e.kind == kind, f"expected {kind}, got {e.error}"
        if code is not None:
            assert e.code == code, f"expected {code}, got {e.error}"
        return e

    def refuses(self, method, params, pointer=None, timeout=None):
        """Invalid params, with this pointer."""
        e = self.fails(method, params, kind="invalidParams", code=-32602, valid=False, timeout=timeout)
        if pointer is not None:
            allowed = (pointer,) if isinstance(pointer, str) else pointer
            assert e.data["pointer"] in allowed, e.error
        return e

    def wait_event(self, type, run=None, timeout=None, start=0, where=None):
        return self.wait(lambda m: m.is_event and m.type == type and (run is None or m.run_id == run) and (where is None or where(m)),
                         f"the event {type}", timeout, start)

    def wait_batch(self, timeout=None, start=0):
        return self.wait(lambda m: m.is_batch, "a batch", timeout, start)

    def next_request(self, method, timeout=None, where=None):
        """The next request of the bridge that no test or handler has taken yet."""
        def find(m):
            return m.is_request and m.method == method and m.i not in self.taken and (where is None or where(m))
        m = self.wait(find, f"a request {method}", timeout)
        with self.cond:
            self.taken.add(m.i)
        return m

    def next_invoke(self, name=None, timeout=None):
        return self.next_request("tool.invoke", timeout, lambda m: name is None or m.params["name"] == name)

    def invokes(self, name=None):
        """All tool.invoke requests seen so far."""
        with self.cond:
            return [m for m in self.messages if m.is_request and m.method == "tool.invoke" and (name is None or m.params["name"] == name)]

    def wait_cancelled(self, request_id, timeout=None):
        """The bridge's notifications/cancelled for one of its own requests."""
        return self.wait(lambda m: not m.is_batch and m.method == "notifications/cancelled" and m.params.get("requestId") == request_id,
                         f"notifications/cancelled for {request_id}", timeout)

    def collect(self, find):
        with self.cond:
            return [m for m in self.messages if find(m)]

    def events(self, run=None, type=None, persisted=None):
        return self.collect(lambda m: m.is_event and (run is None or m.run_id == run) and (type is None or m.type == type)
                            and (persisted is None or (m.seq is not None) == persisted))

    def event_types(self, run):
        return [m.type for m in self.events(run, persisted=True)]

    def ping(self, timeout=None):
        assert self.call("ping", timeout=timeout) == {}

    # ---- runs

    def params(self, turns, tools=None, input="go", agent=None, **more):
        """The params of a run.start with a script."""
        model = turns if isinstance(turns, str) else self.lab.script(turns)
        a = {"model": model, **(agent or {})}
        p = {"input": input, "agent": a, **more}
        if tools is not None:
            p["tools"] = tools
        return p

    def start(self, turns, tools=None, input="go", agent=None, **more):
        """Sends run.start and returns the request's id."""
        return self.request("run.start", self.params(turns, tools, input, agent, **more))

    def run(self, turns, tools=None, input="go", agent=None, timeout=None, **more):
        """run.start and its outcome."""
        return self.result(self.start(turns, tools, input, agent, **more), timeout)

    def start_id(self, request_id, timeout=None):
        """The runId of a run.start that is waited for."""
        m = self.wait(lambda m: (m.is_event and m.type == "run.accepted" and m.data["requestId"] == request_id)
                      or (m.is_response and m.id == request_id), "run.accepted", timeout)
        if m.is_response:
            if m.error is not None:
                raise RpcError(m.error, m)
            return m.result["runId"]
        return m.run_id

    def background(self, turns, tools=None, **more):
        """A run with wait: false; returns its runId."""
        return self.run(turns, tools, wait=False, **more)["runId"]

    def succeeds(self, *args, answer=None, **kw):
        o = self.run(*args, **kw)
        assert o["status"] == "success", o
        if answer is not None:
            assert o["answer"] == answer, o
        return o

    def get(self, run):
        return self.call("run.get", {"runId": run})

    def wait_run(self, run, timeout=None):
        return self.call("run.wait", {"runId": run}, timeout)

    def submit(self, run, results, timeout=None, **more):
        """submit(run, {callId: result or text}) -> outcome."""
        return self.call("run.submitToolResults", self.submit_params(run, results, **more), timeout)

    def submit_params(self, run, results, **more):
        if isinstance(results, dict):
            results = [{"callId": c, **({"content": r} if isinstance(r, str) else r)} for c, r in results.items()]
        return {"runId": run, "results": results, **more}

    def replay(self, run, limit=None):
        """All events of run.events, as raw texts."""
        out, after = [], 0
        while True:
            p = {"runId": run, "afterSeq": after}
            if limit:
                p["limit"] = limit
            m = self.wait_response(self.request("run.events", p))
            if m.error is not None:
                raise RpcError(m.error, m)
            out += raw_elements(m.raw_at("result", "events"))
            if "nextSeq" not in m.result:
                return out
            assert m.result["nextSeq"] > after, m.result["nextSeq"]
            after = m.result["nextSeq"]

    def log(self, run):
        """All events of run.events, parsed."""
        return [loads(t) for t in self.replay(run)]

    def log_types(self, run):
        return [e["type"] for e in self.log(run)]

    def log_of(self, run, type):
        return [e["data"] for e in self.log(run) if e["type"] == type]

    def check_replay(self, run):
        """Live events are the replayed ones, byte for byte; the log is well formed. Returns the log."""
        live = self.events(run, persisted=True)  # what was sent before we ask is in the store
        raw = self.replay(run)
        by_seq = {}
        for n, text in enumerate(raw, 1):
            e = loads(text)
            assert e["seq"] == n, f"run.events: seq {e['seq']} at place {n}"
            assert e["runId"] == run
            by_seq[n] = text
        if "maxMessageBytes" not in self.capabilities:
            for m in live:
                text = m.raw_at("params")
                assert text == by_seq.get(m.seq), f"live and replayed differ at seq {m.seq}:\n{text[:1500]}\n{str(by_seq.get(m.seq))[:1500]}"
        log = [loads(t) for t in raw]
        check_log(log)
        return log

    def check_replays(self, most=25):
        for run in list(self.events_by_run)[:most]:
            if run in self.replayed:
                continue
            self.replayed.add(run)
            try:
                self.check_replay(run)
            except RpcError as e:
                if e.kind != "run.notFound":
                    raise

    def read_blob(self, id, length=None):
        """A whole blob, by as many blob.read as it takes; each answer is checked."""
        text, offset = [], 0
        while True:
            p = {"id": id, "offset": offset}
            if length:
                p["length"] = length
            part = self.call("blob.read", p)
            assert part["id"] == id and part["offset"] == offset
            size = len(part["data"].encode("utf-8"))
            assert length is None or size <= length
            text.append(part["data"])
            offset += size
            if part["eof"]:
                assert offset == part["bytes"], (offset, part["bytes"])
                return "".join(text)
            assert size > 0, "blob.read makes no progress"

    def whole(self, value):
        """A value of an event, with every $blob in it fetched."""
        if isinstance(value, dict):
            if set(value) >= {"$blob", "type", "bytes", "preview"}:
                text = self.read_blob(value["$blob"])
                return text if value["type"] == "string" else loads(text)
            return {k: self.whole(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.whole(v) for v in value]
        return value

    # ---- ends

    def close_stdin(self):
        if not self.stdin_closed:
            self.stdin_closed = True
            if self.validator:
                self._remember(b"", last=True)
            with self.write_lock:
                try:
                    self.proc.stdin.close()
                except OSError:
                    pass

    def close_stdout(self):
        """The parent goes away as a reader: no read end is left."""
        self.stdout_closed = True
        os.write(self.wake_w, b"x")
        self._reader.join(TIMEOUT)

    def kill9(self):
        self.killed = True
        self.proc.kill()
        self.wait_exit()

    def signal(self, sig):
        self.proc.send_signal(sig)

    def sigterm(self):
        self.signal(signal.SIGTERM)

    def wait_exit(self, timeout=None):
        try:
            code = self.proc.wait(timeout or TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name}: the bridge did not exit\n{self.dump()}") from None
        if not self.stdout_closed:
            self.read_gate.set()
            self._reader.join(TIMEOUT)
        self._stderr_thread.join(2)
        return code

    def hang_up(self, timeout=None):
        """stdin EOF; returns the exit code."""
        self.close_stdin()
        return self.wait_exit(timeout)

    def pause_reading(self):
        self.read_gate.clear()

    def resume_reading(self):
        self.read_gate.set()

    def rss_kb(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        return 0

    def peak_kb(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1])
        return 0

    def check_stderr(self):
        m = None if self.may_crash else CRASH.search(bytes(self.stderr))
        assert not m, f"{self.name}: stderr has {m.group(0)!r}:\n{bytes(self.stderr[-4000:]).decode('utf-8', 'replace')}"

    def check_answered(self):
        for key, count in self.sent_ids.items():
            got = self.got_ids[key]
            assert got == count, f"{self.name}: request {key} ({self.methods.get(key)}) was answered {got} times, sent {count} times"
        if not self.raw_used:
            for key in self.got_ids:
                assert key in self.sent_ids, f"{self.name}: a response to {key}, which was never asked"

    def finish(self):
        """Ends the process if it still lives, and checks all that is checked by itself."""
        if self.finished:
            return
        self.finished = True
        self.read_gate.set()
        if self.proc.poll() is None and not self.stdin_closed and not self.stdout_closed and self.auto_replay and self.initialized:
            self.check_replays()
        if self.proc.poll() is None:
            self.close_stdin()
        code = self.wait_exit()
        self.check_stderr()
        if not self.killed:
            expected = self.expected_exit
            if expected is None:
                expected = (0,) if self.initialized else (0, 75)
            elif isinstance(expected, int):
                expected = (expected,)
            assert code in expected, f"{self.name}: exit {code}, expected {expected}"
            if not self.stdout_closed:
                self.check_answered()
        assert not self.violations, f"{self.name}:\n" + "\n".join(self.violations[:10])

    def destroy(self):
        """Whatever happened: nothing is left behind."""
        if self.destroyed:
            return
        self.destroyed = True
        self.read_gate.set()
        try:
            if self.proc.poll() is None:
                self.proc.kill()
            self.proc.wait(5)
        except Exception:
            pass
        self._reader.join(TIMEOUT)
        self._stderr_thread.join(TIMEOUT)
        # What a thread still reads stays open: the number would be that of another bridge's pipe, from which it took messages away.
        for f, reader in ((self.proc.stdin, None), (self.proc.stdout, self._reader), (self.proc.stderr, self._stderr_thread)):
            if reader and reader.is_alive():
                continue
            try:
                f.close()
            except Exception:
                pass
        if not self._reader.is_alive():
            os.close(self.wake_r), os.close(self.wake_w)


def check_log(log):
    """What holds for every log: order of seq, one end, one tool.completed for each call of an ended run."""
    assert [e["seq"] for e in log] == list(range(1, len(log) + 1))
    types = [e["type"] for e in log]
    assert types[0] == "run.started" or types[0] == "run.queued", types[:3]
    finals = [i for i, t in enumerate(types) if t in FINAL]
    assert len(finals) <= 1, types
    if finals:
        rest = types[finals[0] + 1:]
        assert all(t == "tool.resultRejected" for t in rest), types
    asked, done, attempts = [], Counter(), defaultdict(list)
    for e in log:
        d = e["data"]
        if e["type"] == "model.completed" and isinstance(d.get("toolCalls"), list):
            asked += [c["callId"] for c in d["toolCalls"]]
        elif e["type"] == "tool.completed":
            done[d["callId"]] += 1
        elif e["type"] == "tool.started":
            attempts[d["callId"]].append(d["attempt"])
    assert len(set(asked)) == len(asked), "a callId twice"
    for c, n in done.items():
        assert n == 1, f"{n} tool.completed for {c}"
    for c, a in attempts.items():
        assert all(x < y for x, y in zip(a, a[1:])), f"attempts of {c}: {a}"
    if finals:
        for c in asked:
            assert done[c] == 1, f"no tool.completed for {c} in an ended run: {types}"


# ---------------------------------------------------------------- what a test is given

def text_of(content):
    """The text of a `content`: a string, or blocks."""
    return content if isinstance(content, str) else "".join(b.get("text", "") for b in content)


class Lab:
    """A folder, a store in it, scripts, and the bridges that a test starts; all ended and checked when the test ends."""

    def __init__(self, path: Path, kind="sqlite"):
        self.path = path
        self.kind = kind
        self.bridges: list[Bridge] = []
        self.count = 0
        self.database = None

    @property
    def store(self):
        if self.kind == "sqlite":
            return f"sqlite:{self.path / 'runs.db'}"
        if self.database is None:
            self.database = postgres.server().database()
        return postgres.server().store(self.database)

    def bridge(self, *args, store=None, capabilities=None, **kw):
        if store is None and "--store" not in args:
            store = self.store
        if store is False:
            store = None
        b = Bridge(*args, store=store, home=self.path, lab=self, capabilities=capabilities, name=f"bridge {len(self.bridges) + 1}", **kw)
        self.bridges.append(b)
        return b

    def parent(self, *args, capabilities=None, **kw):
        """A bridge whose client answers tool.invoke."""
        return self.bridge(*args, capabilities={**TOOLS, **(capabilities or {})}, **kw)

    def script(self, turns, name=None):
        """A script file; `turns` is a list of turns (dicts, or raw lines). Returns the model's name."""
        self.count += 1
        path = self.path / (name or f"script-{self.count}.jsonl")
        path.write_text("".join((t if isinstance(t, str) else json.dumps(t)) + "\n" for t in turns), encoding="utf-8")
        return f"script:{path}"

    def rewrite(self, model, turns):
        """Puts other turns into the file of a model."""
        return self.script(turns, name=Path(model.split(":", 1)[1]).name)

    def file(self, name, content=""):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def lines(self, name):
        path = self.path / name
        return path.read_text().splitlines() if path.exists() else []

    def cli(self, *args, store=True, env=None, stdin=b"", timeout=None, cwd=None):
        """The command, as a shell would call it: (exit code, stdout, stderr)."""
        argv = [BINARY, *map(str, args)]
        if store:
            env = {"FOOTBRIDGE_STORE": self.store, **(env or {})}
        p = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout or 2 * TIMEOUT, env=base_env(self.path, **(env or {})), cwd=cwd or self.path)
        assert not CRASH.search(p.stderr), p.stderr[-3000:].decode("utf-8", "replace")
        assert p.returncode >= 0, f"ended by signal {-p.returncode}: {p.stderr[-2000:]!r}"
        return p.returncode, p.stdout, p.stderr

    def pipe(self, *lines, args=(), env=None, store=None, timeout=None):
        """A shell pipe: lines in, EOF, lines out. (exit code, parsed messages, stderr)"""
        data = b"".join((line if isinstance(line, bytes) else dumps(line)) + b"\n" for line in lines)
        argv = [BINARY, "--store", store or self.store, *args]
        p = subprocess.run(argv, input=data, capture_output=True, timeout=timeout or 2 * TIMEOUT, env=base_env(self.path, **(env or {})), cwd=self.path)
        assert not CRASH.search(p.stderr), p.stderr[-3000:].decode("utf-8", "replace")
        return p.returncode, [loads(x) for x in p.stdout.splitlines()], p.stderr

    def finish(self):
        for b in self.bridges:
            b.finish()

    def destroy(self):
        for b in self.bridges:
            b.destroy()


def nonblocking(fd):
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK)

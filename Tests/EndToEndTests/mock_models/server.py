"""An HTTP server on 127.0.0.1 that answers as the three providers do, turn by turn as a test has scripted.

A script belongs to a model's name: the name in the request says which turn comes next, so that many runs use one server at once.
Every request is kept: its bytes, headers, connection, what was wrong with it, and whether the client left before the end.
"""
from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict, deque
from email.utils import formatdate

from . import anthropic_face, anthropic_rules, chat_face, chat_rules, responses_face, responses_rules
from .request import Ids, Request
from .turns import Drop, Raw, Silence, Status, StreamError, Turn

FACES = {"/v1/messages": ("anthropic", anthropic_face, anthropic_rules), "/chat/completions": ("openai", chat_face, chat_rules),
         "/responses": ("openai-responses", responses_face, responses_rules)}


class Gone(Exception):
    """The client left."""


class Server:
    def __init__(self, key=None, tls=None, validate=True):
        self.key, self.validate, self.tls = key, validate, tls
        self.scripts: dict[str, deque] = defaultdict(deque)
        self.choosers: dict[str, object] = {}
        self.requests: list[Request] = []
        self.connections = 0
        self.handshake_failures = 0
        self.problems_expected = False
        self.errors: list[str] = []
        self.ids = Ids()
        self.sealed: set[str] = set()
        self.by_call: dict[str, list] = {}
        self.cond = threading.Condition()
        self.closing = threading.Event()
        self.early: Status | None = None   # answers a request as soon as its head is read, whatever its body says
        self.open: set[socket.socket] = set()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    # ---- for tests

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def script(self, name, *steps):
        """What the model of this name answers, request by request."""
        with self.cond:
            self.scripts[name].extend(steps)
        return name

    def answer(self, name, choose):
        """Lets `choose(request)` say what each request of this model is answered with."""
        self.choosers[name] = choose
        return name

    def requests_of(self, name):
        with self.cond:
            return [r for r in self.requests if r.model == name]

    def wait_requests(self, count, name=None, timeout=10):
        """The requests (of one model), once there are as many."""
        def found():
            return [r for r in self.requests if name is None or r.model == name]
        with self.cond:
            if not self.cond.wait_for(lambda: len(found()) >= count, timeout):
                raise AssertionError(f"{len(found())} requests instead of {count}: {found()}")
            return found()

    def left_over(self):
        return {name: list(steps) for name, steps in self.scripts.items() if steps}

    def check(self):
        """At the end of a test: every request was legal, and nothing failed in here."""
        assert not self.errors, self.errors[:3]
        if not self.problems_expected:
            bad = [(r, r.problem, r.body[:2000]) for r in self.requests if r.problem]
            assert not bad, bad[:3]

    def close(self):
        self.closing.set()
        # Ends the `accept` of the other thread, which would else go on with the number, whatever that is next.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        with self.cond:
            sockets = list(self.open)
            self.cond.notify_all()
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def preview(self, face, turn, model="preview"):
        """The SSE body of a turn as it will be sent (its ids have other digits, and as many)."""
        step, ids = (turn.turn, Ids()) if isinstance(turn, StreamError) else (turn, Ids())
        module = next(m for name, m, _ in FACES.values() if name == face)
        return b"".join(module.stream(step, model, ids, turn if isinstance(turn, StreamError) else None)[0])

    # ---- what was issued

    def issued(self, block):
        return json.dumps(block, sort_keys=True) in self.sealed

    def issued_with(self, call_id):
        return self.by_call.get(call_id)

    def _issue(self, face, blocks):
        with self.cond:
            for b in blocks:
                if face == "anthropic" and b["type"] in ("thinking", "redacted_thinking"):
                    self.sealed.add(json.dumps(b, sort_keys=True))
                elif face == "openai-responses" and b["type"] == "reasoning":
                    self.sealed.add(json.dumps({k: b[k] for k in ("id", "summary", "encrypted_content")}, sort_keys=True))
                call = {"anthropic": b.get("id") if b.get("type") == "tool_use" else None, "openai-responses": b.get("call_id")}.get(face)
                if call:
                    self.by_call[call] = blocks

    # ---- connections

    def _accept(self):
        while not self.closing.is_set():
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            with self.cond:
                self.connections += 1
                number = self.connections
                self.open.add(s)
            threading.Thread(target=self._connection, args=(s, number), daemon=True).start()

    def _connection(self, s, number):
        raw = s
        try:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                try:
                    s = self.tls.wrap_socket(s, server_side=True)
                except (ssl.SSLError, OSError):
                    self.handshake_failures += 1
                    return
            reader = s.makefile("rb")
            while not self.closing.is_set():
                request = self._read(s, reader, number)
                if request is None or not self._serve(s, request):
                    return
        except (Gone, ConnectionError, TimeoutError, ssl.SSLError):
            pass
        except OSError as e:
            if not self.closing.is_set():
                self.errors.append(f"connection {number}: {e!r}")
        except Exception as e:
            self.errors.append(f"connection {number}: {type(e).__name__}: {e}")
        finally:
            with self.cond:
                self.open.discard(raw)
            try:
                s.close()
            except OSError:
                pass

    def _read(self, s, reader, number):
        line = reader.readline(65536)
        if not line:
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = []
        while True:
            line = reader.readline(65536)
            if line in (b"\r\n", b"\n", b""):
                break
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name.strip(), value.strip()))
        low = {k.lower(): v for k, v in headers}
        if self.early is not None:
            request = Request(number, method, target, headers, b"")
            request.face, face = next((f[0], f[1]) for suffix, f in FACES.items() if request.path.endswith(suffix))
            self.requests.append(request)
            self._status(s, request, face, self.early)
            s.shutdown(socket.SHUT_WR)
            while s.recv(1 << 16):
                pass
            return None
        if low.get("expect", "").lower() == "100-continue":
            s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if low.get("transfer-encoding", "").lower() == "chunked":
            parts = []
            while size := int(reader.readline(100).split(b";")[0], 16):
                parts.append(reader.read(size))
                reader.readline(10)
            reader.readline(10)
            body = b"".join(parts)
        else:
            length = int(low.get("content-length", 0))
            body = reader.read(length)
            if len(body) < length:
                return None
        return Request(number, method, target, headers, body)

    # ---- answers

    def _serve(self, s, request):
        """Answers one request; says whether the connection goes on."""
        found = next(((suffix, *f) for suffix, f in FACES.items() if request.path.endswith(suffix)), None)
        suffix, request.face, face, rules = found or (None, "openai", chat_face, chat_rules)
        with self.cond:
            steps = self.scripts.get(request.model)
            choose = self.choosers.get(request.model)
            request.step = step = choose(request) if choose else steps.popleft() if steps else None
            request.lax = isinstance(step, Turn) and step.compat.lax
            bad = None
            if found is None or request.method != "POST":
                bad = Status(404, f"no such route: {request.method} {request.path}")
            elif self.validate:
                bad = rules.check(request, self)
                if bad is None and request.twice:
                    bad = Status(400, f"mock: members stand twice in the body: {request.twice[:5]}")
            if bad is None and step is None:
                bad = Status(400, f"mock: nothing is scripted for model {request.model!r} any more")
            if bad:
                request.problem = bad.message
            self.requests.append(request)
            self.cond.notify_all()
        try:
            if bad:
                return self._status(s, request, face, bad)
            return self._step(s, request, face, step)
        except (Gone, ConnectionError, ssl.SSLError):
            request.left_at = time.monotonic()
            request.left.set()
            return False
        finally:
            request.answered.set()
            with self.cond:
                self.cond.notify_all()

    def _step(self, s, request, face, step):
        if getattr(step, "expect", None):
            try:
                step.expect(request)
            except AssertionError as e:
                self.errors.append(f"expect of {request.model}: {e}")
        if isinstance(step, Status):
            return self._status(s, request, face, step)
        if isinstance(step, Raw):
            request.status = 200
            self._head(s, request, face, 200, step.content_type, step.headers, len(step.body))
            s.sendall(step.body)
            return True
        if isinstance(step, Drop):
            if step.after_head:
                self._head(s, request, face, 200, "text/event-stream", ())
            self._close(s, step.how)
            return False
        if isinstance(step, Silence):
            request.held.set()
            self._silent(s, request, step.gate)
            return False
        turn, fault = (step.turn, step) if isinstance(step, StreamError) else (step, None)
        extra = {}
        if face is chat_face:
            extra["asked_usage"] = bool((request.json.get("stream_options") or {}).get("include_usage"))
        elif face is responses_face:
            extra["request"] = request.json
        events, request.issued = face.stream(turn, request.model, self.ids, fault, **extra)
        self._issue(request.face, request.issued)
        if turn.delay:
            self._silent(s, request, None, turn.delay)
        return self._stream(s, request, face, turn.wire, events)

    def _status(self, s, request, face, status):
        request.status = status.code
        request_id = status.request_id or self.ids.next("req_011")
        body = status.body if status.body is not None else face.error_body(status, request_id)
        self._head(s, request, face, status.code, status.content_type, ((face.REQUEST_ID, request_id), *status.headers), len(body))
        s.sendall(body)
        return not status.hangup

    def _head(self, s, request, face, code, content_type, headers, length=None, close=False):
        lines = [f"HTTP/1.1 {code} Whatever", f"date: {formatdate(usegmt=True)}", f"content-type: {content_type}", "server: mock"]
        if not any(k == face.REQUEST_ID for k, _ in headers):
            lines.append(f"{face.REQUEST_ID}: {self.ids.next('req_011')}")
        lines += [f"{k}: {v}" for k, v in headers]
        if length is not None:
            lines.append(f"content-length: {length}")
        elif not close:
            lines.append("transfer-encoding: chunked")
        if close:
            lines.append("connection: close")
        s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def _stream(self, s, request, face, w, events):
        body = request.out = b"".join(events)
        w = w.placed(body)
        request.status = 200
        plain = w.length or w.close
        if w.hints:
            s.sendall(b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\nretry-after: 77\r\n\r\n")
        self._head(s, request, face, 200, "text/event-stream; charset=utf-8", (("cache-control", "no-cache"), *w.headers),
                   len(body) if w.length else None, close=w.close)
        stops = sorted({p for p in (w.cut, w.stall, w.hold) if p is not None and p < len(body)})
        borders = [] if w.piece else self._ends(events)
        at = 0
        while True:
            for stop in stops:
                if stop == at and stop == w.hold:
                    request.held.set()
                    self._silent(s, request, w.gate, 60)
                if stop == at and stop == w.stall:
                    request.held.set()
                    self._silent(s, request, None)
                    return False
                if stop == at and stop == w.cut:
                    if w.cut_how == "end" and not plain:
                        s.sendall(b"0\r\n\r\n")
                        return True
                    self._close(s, w.cut_how)
                    return False
            if at >= len(body):
                break
            end = at + w.piece if w.piece else next(b for b in borders if b > at)
            end = min([end, len(body), *(p for p in stops if p > at)])
            chunk = body[at:end]
            s.sendall(chunk if plain else b"%x\r\n%s\r\n" % (len(chunk), chunk))
            at = request.sent = end
            if w.pace:
                self._silent(s, request, None, w.pace)
        if w.cut is not None and w.cut >= len(body) and w.cut_how != "end":
            self._close(s, w.cut_how)  # everything came but the end of the HTTP body
            return False
        if not plain:
            s.sendall(b"0\r\n" + (b"x-checksum: abc\r\ncontent-type: text/html\r\n" if w.trailers else b"") + b"\r\n")
        return not (w.close or w.hangup)

    @staticmethod
    def _ends(events):
        out, at = [], 0
        for e in events:
            at += len(e)
            out.append(at)
        return out

    def _silent(self, s, request, gate, seconds=3600):
        """Nothing is said until the gate opens, the time is over, or the client leaves (which is noted at once)."""
        end = time.monotonic() + seconds
        while not self.closing.is_set() and time.monotonic() < end and not (gate and gate.is_set()):
            readable, _, _ = select.select([s], [], [], min(0.02, max(0, end - time.monotonic())))
            if readable:
                try:
                    if s.recv(1, 0 if self.tls else socket.MSG_PEEK) == b"":
                        raise Gone
                    time.sleep(0.005)
                except (ConnectionError, TimeoutError):
                    raise Gone from None

    @staticmethod
    def _close(s, how):
        if how == "reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            s.shutdown(socket.SHUT_WR)

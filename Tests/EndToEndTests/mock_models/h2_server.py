"""The same answers over HTTP/2 (RFC 9113), by the library `h2` (Debian: python3-h2), behind TLS with ALPN."""
from __future__ import annotations

import select
import ssl
import threading
import time

from .server import FACES, Server
from .turns import Status, StreamError


class H2Server(Server):
    """Takes a connection that chose `h2`; any other as the plain server does. Understands turns with `cut` ("reset": RST_STREAM), `stall` and `hold`,
    statuses, and `goaway` after so many requests of a connection."""

    def __init__(self, key, tls, goaway=None):
        tls.set_alpn_protocols(["h2", "http/1.1"])
        self.goaway = goaway
        self.protocols: list[str | None] = []
        super().__init__(key, tls)

    def _read(self, s, reader, number):
        self.protocols.append(s.selected_alpn_protocol())
        if self.protocols[-1] != "h2":
            return super()._read(s, reader, number)
        Connection(self, s, number).run()
        return None


class Connection:
    def __init__(self, server, s, number):
        import h2.config
        import h2.connection
        self.server, self.s, self.number = server, s, number
        self.lock = threading.Condition()
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.bodies, self.heads, self.requests, self.count, self.gone = {}, {}, {}, 0, False

    def run(self):
        import h2.events as e
        with self.lock:
            self.c.initiate_connection()
            self.flush()
        try:
            while not self.server.closing.is_set():
                select.select([self.s], [], [], 0.02)
                with self.lock:  # one thread at a time may use a TLS connection
                    if self.gone:
                        return
                    data = self.received()
                    if data == b"":
                        return
                    for event in self.c.receive_data(data) if data else ():
                        if isinstance(event, e.RequestReceived):
                            self.heads[event.stream_id], self.bodies[event.stream_id] = event.headers, bytearray()
                        elif isinstance(event, e.DataReceived):
                            self.bodies[event.stream_id] += event.data
                            self.c.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        elif isinstance(event, e.StreamEnded):
                            threading.Thread(target=self.serve, args=(event.stream_id,), daemon=True).start()
                        elif isinstance(event, e.StreamReset):
                            self.left(event.stream_id)
                        elif isinstance(event, e.ConnectionTerminated):
                            return
                    self.flush()
                    self.lock.notify_all()
        finally:
            with self.lock:
                for stream in list(self.requests):
                    self.left(stream)
                self.lock.notify_all()

    def received(self):
        """What has come: None when nothing has, empty at the end."""
        self.s.settimeout(0)
        try:
            return self.s.recv(1 << 16)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        finally:
            self.s.settimeout(10)

    def left(self, stream):
        r = self.requests.get(stream)
        if r and not r.answered.is_set():
            r.left_at = time.monotonic()
            r.left.set()

    def flush(self):
        data = self.c.data_to_send()
        if data:
            self.s.sendall(data)

    def serve(self, stream):
        from .request import Request
        head = dict(self.heads[stream])
        r = Request(self.number, head[":method"], head[":path"], [(k, v) for k, v in head.items() if not k.startswith(":")], bytes(self.bodies[stream]))
        self.requests[stream] = r
        r.face, face, rules = next(f for suffix, f in FACES.items() if r.path.endswith(suffix))
        with self.server.cond:
            steps = self.server.scripts.get(r.model)
            r.step = step = steps.popleft() if steps else None
            bad = rules.check(r, self.server)
            r.problem = bad.message if bad else None
            self.server.requests.append(r)
            self.server.cond.notify_all()
        try:
            step = bad or step or Status(400, "mock: nothing is scripted")
            if isinstance(step, Status):
                body = face.error_body(step, "req_h2")
                self.head(stream, step.code, "application/json", step.headers)
                self.send(stream, body, True)
            else:
                turn = step.turn if isinstance(step, StreamError) else step
                events, r.issued = face.stream(turn, r.model, self.server.ids, step if isinstance(step, StreamError) else None)
                self.server._issue(r.face, r.issued)
                self.stream(stream, r, turn.wire.placed(b"".join(events)), b"".join(events))
            r.answered.set()
        except (OSError, AssertionError, ConnectionError):
            pass
        self.count += 1
        if self.server.goaway and self.count == self.server.goaway:
            with self.lock:
                self.c.close_connection()
                self.flush()
                self.gone = True

    def stream(self, stream, r, w, body):
        self.head(stream, 200, "text/event-stream", w.headers)
        stop = next((p for p in (w.cut, w.stall, w.hold) if p is not None), len(body))
        self.send(stream, body[:stop], stop == len(body))
        r.status, r.sent = 200, stop
        if stop == len(body):
            return
        if w.cut is not None:
            with self.lock:
                self.c.reset_stream(stream, 2) if w.cut_how == "reset" else self.c.end_stream(stream)
                self.flush()
            return
        r.held.set()
        while not r.left.is_set() and not self.server.closing.is_set() and not (w.gate and w.gate.is_set()):
            time.sleep(0.01)
        assert w.gate and w.gate.is_set() and not r.left.is_set()
        self.send(stream, body[stop:], True)

    def head(self, stream, code, content_type, headers):
        with self.lock:
            self.c.send_headers(stream, [(":status", str(code)), ("content-type", content_type), *headers])
            self.flush()

    def send(self, stream, data, end):
        at = 0
        while at < len(data):
            with self.lock:
                room = min(self.c.local_flow_control_window(stream), self.c.max_outbound_frame_size, 700)
                if room <= 0:
                    self.lock.wait(1)
                    continue
                self.c.send_data(stream, data[at:at + room])
                self.flush()
            at += room
        if end:
            with self.lock:
                self.c.end_stream(stream)
                self.flush()

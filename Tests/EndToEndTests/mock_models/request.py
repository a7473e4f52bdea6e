"""A request as it came, with what became of it; and the ids of answers."""
from __future__ import annotations

import json
import re
import threading
import time


class Ids:
    """Ids of a fixed length, so that an answer has the same number of bytes each time."""

    def __init__(self, seed=0):
        self.count, self.lock = seed, threading.Lock()

    def next(self, prefix):
        with self.lock:
            self.count += 1
            return f"{prefix}{self.count:010d}abcdef"

    def seal(self, kind):
        return self.next(f"{kind}/+") + "A" * 40 + "=="


class Request:
    def __init__(self, connection, method, target, headers, body):
        self.connection, self.method, self.target, self.headers, self.body = connection, method, target, headers, body
        self.path = re.sub(r"^https?://[^/]*", "", target).split("?")[0]
        self.at = time.monotonic()
        self.face = self.problem = self.step = self.status = self.issued = None
        self.lax = False
        self.sent = 0
        self.out = b""                     # the whole SSE body of the answer, sent or not
        self.left = threading.Event()      # the client went away before the answer's end
        self.left_at = None
        self.answered = threading.Event()  # the answer is out, or given up
        self.held = threading.Event()      # the answer stands still where `hold` or `stall` says
        self.twice = []                    # members that stand twice in the body (what is only carried inside may be anything)
        try:
            self.json = json.loads(body, object_pairs_hook=self._object) if body else None
        except ValueError:
            self.json = None

    def _object(self, pairs):
        """Called for the outermost object last."""
        names = [k for k, _ in pairs]
        self.twice = [k for k in set(names) if names.count(k) > 1] if len(set(names)) < len(names) else []
        return dict(pairs)

    def header(self, name):
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return values[0] if values else None

    @property
    def model(self):
        return self.json.get("model") if isinstance(self.json, dict) else None

    def __repr__(self):
        return f"<{self.method} {self.path} {self.model} on {self.connection}: {self.status} {self.problem or ''}>"

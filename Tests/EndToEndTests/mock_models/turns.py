"""What a test scripts: turns of a model and faults of its server, in no provider's words."""
from __future__ import annotations

import dataclasses
import json
import threading
from dataclasses import dataclass, field


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass
class Call:
    """A tool call. `arguments` is a value, or the text that the model wrote (which need not be JSON)."""
    name: str
    arguments: object = field(default_factory=dict)
    id: str | None = None

    @property
    def text(self):
        return self.arguments if isinstance(self.arguments, str) else compact(self.arguments)


@dataclass
class Thought:
    """Reasoning that the provider wants back unchanged: text with a signature, or (`redacted`) only a sealed value."""
    text: str = ""
    redacted: bool = False


@dataclass
class Usage:
    """`fresh` is input that no cache knew; all input is fresh + cache_read + cache_write."""
    fresh: int = 10
    output: int = 5
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def input(self):
        return self.fresh + self.cache_read + self.cache_write


@dataclass
class Wire:
    """How the bytes of an answer travel. A position counts bytes of the SSE body; given as bytes, it is the end of the event that holds them."""
    cut: int | bytes | None = None    # stop after so many bytes
    cut_how: str = "fin"              # "fin": the connection closes inside the HTTP body; "reset": RST; "end": the HTTP body ends properly there
    stall: int | bytes | None = None  # silent after so many bytes, until the client leaves
    hold: int | bytes | None = None   # silent after so many bytes, until `gate` is set
    gate: threading.Event | None = None
    piece: int | None = None          # bytes in one write; None: one event a write
    pace: float = 0.0                 # seconds between writes
    crlf: bool = False
    cr: bool = False                  # lines end in a lone CR, which the SSE grammar allows too
    bom: bool = False
    comments: bool = False            # comment lines before and between events (OpenRouter keeps a connection alive with them)
    fields: bool = False              # `id:`, `retry:` and unknown fields, and events without data, which are none (the SDKs stumble over those)
    multiline: bool = False           # the JSON of an event spread over several data lines
    unnamed: bool = False             # no `event:` lines
    tight: bool = False               # no space after the colon
    unknown: bool = False             # events of types that nobody knows yet
    no_end: bool = False              # without its end marker
    insert: tuple[int, bytes] | None = None   # bytes put before the n-th event
    replace: tuple[int, bytes] | None = None  # the n-th event's bytes, other
    length: bool = False              # Content-Length instead of chunks
    close: bool = False               # Connection: close, body ends with the connection
    headers: tuple = ()
    fragments: int = 3                # how many deltas a text has, unless it came as a list
    hints: bool = False               # a 103 Early Hints before the answer's head
    trailers: bool = False            # header fields after the last chunk
    hangup: bool = False              # the connection closes, unannounced, after the whole answer

    def placed(self, body):
        """This wire with its positions as numbers."""
        def place(p):
            return body.index(b"\n\n", body.index(p)) + 2 if isinstance(p, bytes) else p
        return dataclasses.replace(self, cut=place(self.cut), stall=place(self.stall), hold=place(self.hold))


@dataclass
class Compat:
    """How servers that only resemble OpenAI's differ (Ollama, vLLM, llama.cpp, LM Studio, OpenRouter)."""
    ids: str = "normal"               # "missing", "empty", "null", "same" (one id for all calls), "repeated" (in every fragment), "changing" (others in each event)
    whole: bool = False               # arguments in one piece
    as_object: bool = False           # arguments as an object, not a string
    index: str = "normal"             # "missing", "zero" (0 for every call)
    null_content: bool = False        # content: null beside tool calls
    role_repeated: bool = False       # the role in every delta
    name_repeated: bool = False       # the function's name in every fragment
    usage: str = "normal"             # "none", "inline" (in the chunk with finish_reason), "always" (even unasked), "each" (in every chunk)
    done: bool = True                 # [DONE]
    finish: str | None = None         # finish_reason said instead of the right one
    reasoning: str | None = None      # "reasoning_content" (vLLM, DeepSeek) or "reasoning" (OpenRouter, newer vLLM)
    lax: bool = False                 # the server takes fields it does not know
    null_fields: bool = False         # "tool_calls": null, "content": null, "refusal": null in every delta
    no_choice_index: bool = False
    type_missing: bool = False        # tool calls without "type"
    listed: bool = True               # the end of a response lists its items


@dataclass
class Turn:
    """One model turn. `blocks` is what it is made of, in order: text (str, or list of str for its deltas), Thought, Call."""
    text: object = None
    calls: list = field(default_factory=list)
    thoughts: list = field(default_factory=list)
    stop: str | None = None           # "end", "calls", "max_tokens", "refusal", "filter", "context"; None: what the blocks say
    refusal: str | None = None
    usage: Usage = field(default_factory=Usage)
    wire: Wire = field(default_factory=Wire)
    compat: Compat = field(default_factory=Compat)
    blocks: list | None = None
    expect: object = None             # called with the Request before it is answered
    delay: float = 0.0

    def __post_init__(self):
        self.calls = [c if isinstance(c, Call) else Call(c) if isinstance(c, str) else Call(*c) for c in self.calls]
        self.thoughts = [Thought(t) if isinstance(t, str) else t for t in self.thoughts]
        if self.blocks is None:
            self.blocks = [*self.thoughts, *([self.text] if self.text is not None else []), *self.calls]
        else:
            self.calls = [b for b in self.blocks if isinstance(b, Call)]
            self.thoughts = [b for b in self.blocks if isinstance(b, Thought)]

    @property
    def whole_text(self):
        return "".join(b if isinstance(b, str) else "".join(b) for b in self.blocks if isinstance(b, (str, list)))

    @property
    def reason(self):
        return self.stop or ("calls" if self.calls else "refusal" if self.refusal else "end")

    def with_(self, **wire):
        """The same turn over a wire with these faults."""
        return dataclasses.replace(self, wire=dataclasses.replace(self.wire, **wire))

    def like(self, **compat):
        return dataclasses.replace(self, compat=dataclasses.replace(self.compat, **compat))


@dataclass
class Status:
    """An HTTP status with the provider's error body (or `body`), and headers."""
    code: int
    message: str | None = None
    type: str | None = None
    error_code: str | None = None
    headers: tuple = ()
    body: bytes | None = None
    content_type: str = "application/json"
    request_id: str | None = None
    hangup: bool = False
    expect: object = None


@dataclass
class Raw:
    """Any answer at all: HTTP 200 with these bytes."""
    body: bytes
    content_type: str = "text/event-stream"
    headers: tuple = ()
    expect: object = None


@dataclass
class Drop:
    """The connection closes without an answer: "fin", or "reset"; `after_head`: the status line and headers are sent first."""
    how: str = "fin"
    after_head: bool = False
    expect: object = None


@dataclass
class Silence:
    """No answer, until the client leaves or `gate` is set (then the connection closes)."""
    gate: threading.Event | None = None
    expect: object = None


@dataclass
class StreamError:
    """An error event inside the stream, after the turn's content (or its first `after` events)."""
    turn: Turn
    type: str = "overloaded_error"
    message: str = "Overloaded"
    code: str | None = None
    after: int | None = None
    shape: str = "normal"             # responses: "failed" (response.failed), "error" (flat, as in the SDK's types), "nested" (as seen on the wire)

    @property
    def expect(self):
        return self.turn.expect

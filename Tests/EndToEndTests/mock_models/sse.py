"""Server-sent events as bytes, with the variations that the grammar allows (html.spec.whatwg.org/multipage/server-sent-events.html)."""
from __future__ import annotations

import json

from .turns import compact


def event(name, data, wire):
    """One event; `name` None has no `event:` line, `data` is a value or text."""
    colon = ":" if wire.tight else ": "
    lines = []
    if name and not wire.unnamed:
        lines.append(f"event{colon}{name}")
    if isinstance(data, str):
        lines.append(f"data{colon}{data}")
    elif wire.multiline:
        lines += [f"data{colon}{part}" for part in json.dumps(data, ensure_ascii=False, indent=1).split("\n")]
    else:
        lines.append(f"data{colon}{compact(data)}")
    eol = "\r\n" if wire.crlf else "\r" if wire.cr else "\n"
    return (eol.join(lines) + eol * 2).encode()


def dress(events, wire):
    """The list of an answer's events, as bytes, with what `wire` adds."""
    eol = b"\r\n" if wire.crlf else b"\r" if wire.cr else b"\n"
    out = list(events)
    if wire.replace:
        out[wire.replace[0]] = wire.replace[1]
    if wire.insert:
        out.insert(wire.insert[0], wire.insert[1])
    if wire.comments:
        out = [part for n, e in enumerate(out) for part in ((b": OPENROUTER PROCESSING" + eol * 2) if n % 2 else (b":" + eol), e)]
        out.append(b": the end" + eol * 2)
    if wire.fields:
        out = [part for n, e in enumerate(out) for part in (b"id: %d" % n + eol + b"retry: 3000" + eol + b"glow: x" + eol + e, eol, b"id: x" + eol * 2, b"event: nothing" + eol * 2)]
    if wire.bom and out:
        out[0] = b"\xef\xbb\xbf" + out[0]
    return out


def pieces(text, wanted=None):
    """A text as deltas: the list it came as, or cut into three."""
    if isinstance(text, list):
        return text
    if not text:
        return [text] if text == "" else []
    n = wanted or 3
    size = max(1, -(-len(text) // n))
    return [text[i:i + size] for i in range(0, len(text), size)]

#!/usr/bin/env python3
"""Writes the two tables of figures in README.md from one run: Benchmarks/readme.py FIGURES.json

FIGURES.json is what `run.py --json` wrote. Whether a goal was missed is taken from the same run.
"""
import json
import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


class Figures:
    def __init__(self, path):
        self.sections = {section["name"]: section["rows"] for section in json.loads(Path(path).read_text())["figures"]}

    def row(self, section, what, after=0):
        """The row whose name begins like that; `after`: so many rows behind it, such as "the same"."""
        rows = self.sections[section]
        places = [place for place, row in enumerate(rows) if row["what"].startswith(what)]
        if not places:
            sys.exit(f"{section}: there is no row '{what}' (was it a whole run?)")
        return rows[places[0] + after]

    def value(self, *place):
        return short(self.row(*place)["value"])

    def floor(self, *place):
        return short(self.row(*place)["floor"])

    def ratio(self, *place):
        return short(self.row(*place)["ratio"])

    def missed(self, section, *names):
        """What to say behind a goal: nothing, or that it was missed."""
        rows = [self.row(section, name) if isinstance(name, str) else self.row(section, *name) for name in names]
        return ", missed" if any(row.get("reached") is False for row in rows) else ""


def short(number):
    """Three digits."""
    return f"{number:,.0f}" if number >= 1000 else f"{float(f'{number:.3g}'):g}"


def many(take, section, *names):
    return "; ".join(take(section, *(name if isinstance(name, tuple) else (name,))) for name in names)


def figures_table(f):
    v, fl, r, m = f.value, f.floor, f.ratio, f.missed
    started = "start, store there already"
    peers = ["start: footbridge beside mcp", "start: footbridge beside agent", "start: footbridge beside Codex"]
    calls = ["a call: footbridge beside LangGraph", "a call: footbridge beside Dendrux", "a call: footbridge beside pydantic"]
    stored = ["50 results of 1 KB", "50 results of 4 KB", "50 results of 10 KB", "50 results of 100 KB", "50 results of 1 MB"]
    scanned = ["plain ASCII", "source code", "German", "CJK", "rows"]
    pings = ["ping, p99, while they wait", "ping, p99, while they start", "ping, p99, while they end"]
    sockets = ["a string, to the model's socket", "rows, to the model's socket"]
    memory = ["a string, to the model's socket, peak", "rows, to the model's socket, peak", "a string, peak"]
    long, provided = f.row("sessions", "5,000 turns"), f.row("sessions", "openai: next turn")
    fresh = ("sessions", "5,000 turns", 1)
    pages = ["run.list", "run.list, status of one in a thousand", "run.list, sessionId", "run.list, metadata of one", "run.list, driver self"]
    submits = ["acknowledged submits a second, 1 run", "acknowledged submits a second, 10 runs", "acknowledged submits a second, 100 runs", "acknowledged submits a second, 100 runs, 10,000"]
    ping = "ping, both ends on one processor"
    libraries = [("one call of 100, wall", 2), ("one call of 1,000, wall", 2)]
    processors = [("one call of 100, processor", 1), ("one call of 1,000, processor", 1)]
    return [
        ("what", "footbridge", "floor, from the same run", "ratio", "goal"),
        ("---",) * 5,
        ("spawn to the answer of `initialize`", f"{v('start', started)} ms",
         f"{fl('start', started)} ms, a C program that echoes one line; {fl('start', started, 1)} ms, Python; {fl('start', started, 2)} ms, Node",
         f"{r('start', started)}; {r('start', started, 1)}; {r('start', started, 2)}", f"5{m('start', started)}; 0.125 of Node{m('start', (started, 2))}"),
        ("the same, later in the run", f"{v('peers', peers[0])} ms",
         f"{fl('peers', peers[0])} ms, a server of the `mcp` SDK; {fl('peers', peers[1])} ms, `agent-client-protocol`; {fl('peers', peers[2])} ms, Codex app-server",
         many(r, "peers", *peers), f"0.05{m('peers', *peers)}{' for Codex' if m('peers', peers[2]) else ''}"),
        ("the same, with 10,000 runs in the store; with 100,000", f"{v('start', 'start, 10,000 runs')}; {v('crowded', 'start')} ms",
         f"{fl('start', 'start, 10,000 runs')}; {fl('crowded', 'start')} ms, an empty store; 100 runs", f"{r('start', 'start, 10,000 runs')}; {r('crowded', 'start')}",
         f"1.2{m('start', 'start, 10,000 runs')}"),
        ("resident memory at rest", f"{v('start', 'resident')} MB", "", "", f"15 MB{m('start', 'resident')}"),
        ("a call of a client tool, durable, script model, wall", f"{v('calls', 'one call, wall')} us",
         f"{fl('calls', 'one call, wall')} us, two SQLite commits in C and a pipe round trip between two processors; {fl('calls', 'one call, wall', 2)} us, the store's own statements",
         f"{r('calls', 'one call, wall')}; {r('calls', 'one call, wall', 2)}", f"1.4{m('calls', 'one call, wall')}"),
        ("the same, processor time", f"{v('calls', 'one call, processor')} ms", f"{fl('calls', 'one call, processor')} ms; {fl('calls', 'one call, processor', 1)} ms",
         f"{r('calls', 'one call, processor')}; {r('calls', 'one call, processor', 1)}", f"0.4 ms{m('calls', 'one call, processor')}"),
        ("calls 901 to 1,000 of a run, over their floor", v("calls", "calls 901"), f"{fl('calls', 'calls 901')}, calls 1 to 100 over theirs", r("calls", "calls 901"), f"1.2{m('calls', 'calls 901')}"),
        ("a call, with 100 runs at once; its processor time", f"{v('calls', 'one call of 100 runs at once, wall')} us; {v('calls', 'one call of 100 runs at once, processor')} ms",
         f"{fl('calls', 'one call of 100 runs at once, wall')} us; {fl('calls', 'one call of 100 runs at once, processor')} ms, the floor of one run",
         f"{r('calls', 'one call of 100 runs at once, wall')}; {r('calls', 'one call of 100 runs at once, processor')}", ""),
        ("100 results of 100 KB, one call", f"{v('results', 'one call, wall')} us", f"{fl('results', 'one call, wall')} us, two commits with as many bytes", r("results", "one call, wall"),
         f"1.5{m('results', 'one call, wall')}"),
        ("bytes in the database for a byte of result: 1, 4, 10, 100 KB, 1 MB", many(v, "storage", *stored), many(fl, "storage", *stored) + ", one table of blobs",
         f"{r('storage', stored[0])} to {r('storage', stored[4])}", f"1.2 at 100 KB{m('storage', stored[3])}"),
        ("memory of a waiting run, of 1,000", f"{v('waiting', 'memory')} KB", "", "", f"30 KB{m('waiting', 'memory')}"),
        ("`ping` meanwhile, 99th percentile: while they wait; start; end", f"{many(v, 'waiting', *pings)} us", f"{fl('waiting', pings[0])} us, a C echo", "", f"5 ms{m('waiting', *pings)}"),
        ("a 50 MB result to the socket of an `openai:` model: a string; rows", f"{many(v, 'large', *sockets)} ms", f"{many(fl, 'large', *sockets)} ms, C: read, write, fsync, send",
         many(r, "large", *sockets), f"1.2; 1.6{m('large', *sockets)}"),
        ("peak memory for it, over the payload: a string; rows; either until the model's turn begins", many(v, "large", *memory), fl("large", memory[0]), "", f"1.8{m('large', *memory)}"),
        ("scanning text that is only carried: plain ASCII; source; German; CJK; rows", f"{many(v, 'scan', *scanned)} GB/s", f"{fl('scan', scanned[0])} GB/s, `memcpy`", "",
         f"8; 3.5; 3; 1.5; 1.8 GB/s{m('scan', *scanned)}"),
        ("`ping` there and back, both ends on one processor", f"{v('trips', ping)} us", f"{fl('trips', ping)} us, a C echo; {fl('trips', ping, 2)} us, a Node echo that has warmed up",
         f"{r('trips', ping)}; {r('trips', ping, 2)}", f"2{m('trips', ping)}; 0.5{m('trips', (ping, 2))}"),
        ("the same, the scheduler's choice", f"{v('trips', 'ping, median')} us", f"{fl('trips', 'ping, median')} us; {fl('trips', 'ping, median', 2)} us",
         f"{r('trips', 'ping, median')}; {r('trips', 'ping, median', 2)}", ""),
        ("a streamed delta, from the provider's bytes to the parent's line, median of 2,000: `anthropic:`; `openai:`",
         f"{many(v, 'latency', 'anthropic, one delta', 'openai, one delta')} us", f"{many(fl, 'latency', 'anthropic, one delta', 'openai, one delta')} us, a C relay",
         many(r, "latency", "anthropic, one delta", "openai, one delta"), f"300 us added{m('latency', 'anthropic, added', 'openai, added')}"),
        ("streamed deltas a second, in all", v("streaming", "deltas a second"), "", "", f"100,000{m('streaming', 'deltas a second')}"),
        ("a call of a client tool with a provider over HTTP, durable, of 100; of 1,000", f"{many(v, 'provided', 'one call of 100, wall', 'one call of 1,000, wall')} us",
         f"{many(fl, 'provided', 'one call of 100, wall', 'one call of 1,000, wall')} us, C: two commits, the exchange, a pipe round trip; "
         f"{many(fl, 'provided', *libraries)} us, the store's own statements and libcurl",
         many(r, "provided", "one call of 100, wall", "one call of 1,000, wall", *libraries), f"1.4{m('provided', 'one call of 100, wall', 'one call of 1,000, wall')}"),
        ("the same, processor time", f"{many(v, 'provided', 'one call of 100, processor', 'one call of 1,000, processor')} us",
         f"{many(fl, 'provided', 'one call of 100, processor', 'one call of 1,000, processor', *processors)} us",
         many(r, "provided", "one call of 100, processor", "one call of 1,000, processor", *processors),
         f"400 us{m('provided', 'one call of 100, processor', 'one call of 1,000, processor')}"),
        ("the same call, of 100, later in the run", f"{v('peers', calls[0])} us",
         f"{fl('peers', calls[0])} us, LangGraph with its SQLite checkpointer; {fl('peers', calls[1])} us, Dendrux; {fl('peers', calls[2])} us, pydantic-ai, which stores nothing",
         many(r, "peers", *calls), f"0.05{m('peers', *calls)}"),
        ("the next turn of a session of 5,000 turns (10,000 messages) to its first record; the first request of a fresh process",
         f"{short(long['value'])}; {v(*fresh)} ms", f"{short(long['floor'])}; {fl(*fresh)} ms, a session of 10 turns", f"{r('sessions', '5,000 turns')}; {r(*fresh)}",
         f"20 ms{m('sessions', '5,000 turns', ('5,000 turns', 1))}"),
        ("that turn over HTTP (2.3 MB are sent) to its first text: same process; on a new branch; a fresh process",
         f"{short(provided['value'])}; {v('sessions', 'openai: next turn', 2)}; {v('sessions', 'openai: next turn', 3)} ms",
         f"{short(provided['floor'])}; {fl('sessions', 'openai: next turn', 2)}; {fl('sessions', 'openai: next turn', 3)} ms, a session of 10 turns",
         f"{r('sessions', 'openai: next turn')}; {r('sessions', 'openai: next turn', 2)}; {r('sessions', 'openai: next turn', 3)}",
         f"20 ms{m('sessions', 'openai: next turn', ('openai: next turn', 2))}{', the last one missed' if m('sessions', ('openai: next turn', 3)) else ''}"),
        ("a fork of that session", f"{v('sessions', 'fork at')} ms", f"{fl('sessions', 'fork at')} ms, a session of 10 turns", r("sessions", "fork at"), f"5 ms{m('sessions', 'fork at')}"),
        ("processor share of 100 `run.subscribe`; of 100 `session.subscribe` besides, at rest", f"{many(v, 'observing', '100 run.subscribe', 'and 100')} %", "", "", f"1 %{m('observing', '100 run.subscribe', 'and 100')}"),
        ("an event of another process, after its own client had it: median; longest of 40; the first streamed text likewise",
         f"{v('observing', 'an event')}; {v('observing', 'an event', 1)}; {v('observing', 'the first streamed')}; {v('observing', 'the first streamed', 1)} ms", "", "",
         f"250 ms{m('observing', 'an event', ('an event', 1), 'the first streamed', ('the first streamed', 1))}"),
        ("first page of `run.list` in a store of 100,000 runs: all; one status in a thousand; a session; metadata of one run in ten; `driver: self`",
         f"{many(v, 'crowded', *pages)} ms", f"{many(fl, 'crowded', *pages)} ms, 100 runs", "", f"20 ms{m('crowded', *pages)}"),
        ("first page of `session.list`, 10,000 sessions", f"{v('crowded', 'session.list')} ms", f"{fl('crowded', 'session.list')} ms, 10 sessions", "", f"20 ms{m('crowded', 'session.list')}"),
        ("acknowledged `run.submitToolResults` a second: 1, 10, 100 runs; 100 while 10,000 others wait", many(v, "submits", *submits),
         f"{fl('submits', submits[0])} bare commits, one after another; a submit is two", "", ""),
        ("one of the last, with 100 on their way at once: median; 99th percentile", f"{v('submits', submits[3], 1)}; {v('submits', submits[3], 2)} ms", "", "", f"20 ms{m('submits', (submits[3], 2))}"),
    ]


def groups_table(f):
    v, fl = f.value, f.floor
    sqlite, postgres, bridges = [f"SQLite, {count} at once" for count in (1, 10, 100)], [f"PostgreSQL, {count} at once" for count in (1, 10, 100)], "8 bridges"
    return [
        ("results a second, each synced", "footbridge", "bare commits a second, same run"),
        ("---",) * 3,
        ("SQLite: 1, 10, 100 runs at once", many(v, "groups", *sqlite), f"{fl('groups', sqlite[0])}, one after another"),
        ("PostgreSQL: 1, 10, 100 runs at once", many(v, "groups", *postgres), f"{fl('groups', postgres[0])}, one client of pgbench"),
        ("PostgreSQL: 8 bridges, 1,000 runs at once (goal 2,000)", v("groups", bridges), f"{fl('groups', bridges)}, eight clients"),
        ("processor time of a result there: bridges; server", f"{v('groups', 'the same, processor of the bridges')}; {v('groups', 'the same, processor of the server')} ms", ""),
    ]


def main():
    figures = Figures(sys.argv[1])
    text = README.read_text()
    for rows in (figures_table(figures), groups_table(figures)):
        table = "".join("| " + " | ".join(cells) + " |\n" for cells in rows).replace(" --- |", "---|").replace("|  |", "| |").replace("|  |", "| |")
        begin = "| " + " | ".join(rows[0]) + " |\n"
        text, count = re.subn(re.escape(begin) + r"(?:\|.*\n)*", lambda _: table, text)
        if count != 1:
            sys.exit(f"README.md has no table that begins with: {begin}")
    README.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()

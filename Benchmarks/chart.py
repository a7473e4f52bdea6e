#!/usr/bin/env python3
"""Draws figures of one run as an SVG: Benchmarks/chart.py FIGURES.json [CHART.svg]

FIGURES.json is what `run.py --json` wrote. Bars are logarithmic, since a C program and a Python framework are three orders of magnitude apart.
"""
import json
import math
import sys
from html import escape
from pathlib import Path

from figures.table import number

# A panel: its title, its unit, the rows it is made of as (section, beginning of the row's name), and the name of our bar.
PANELS = [
    ("From spawning to the answer of initialize", "ms", [("peers", "start: footbridge beside")]),
    ("A call of a tool in the parent, model behind HTTP", "us", [("peers", "a call: footbridge beside")]),
    ("ping there and back, both ends on one processor", "us", [("trips", "ping, both ends on one processor"), ("trips", "the same")]),
    ("50 MB of text from the parent to the model's socket, durable", "ms", [("large", "a string, to the model's socket")]),
]
WIDTH, LABEL, BAR, STEP, HEAD = 860, 330, 16, 24, 46
OURS, THEIRS, INK, PALE = "#c2410c", "#94a3b8", "#1f2937", "#6b7280"


def bars(figures, wanted):
    """Names and values, ours first; a row that is there twice counts once."""
    found, own = {}, None
    for section, beginning in wanted:
        rows = figures.get(section, [])
        # "the same" continues the row before it: only those right behind the wanted one.
        start = next((index for index, row in enumerate(rows) if row["what"].startswith(wanted[0][1])), 0) if beginning == "the same" else 0
        for row in rows[start + 1 if beginning == "the same" else 0:]:
            if not row["what"].startswith(beginning):
                if beginning == "the same":
                    break
                continue
            own = row["value"] if own is None else own
            if row["floorName"]:
                found.setdefault(row["floorName"], row["floor"])
    return [("footbridge", own), *sorted(found.items(), key=lambda bar: bar[1])] if own is not None else []


def panel(title, unit, rows, top):
    low = 10 ** math.floor(math.log10(min(value for _, value in rows) / 1.5))
    high = max(value for _, value in rows)
    room = WIDTH - LABEL - 110
    lines = [f'<text x="0" y="{top + 18}" font-weight="600" fill="{INK}">{escape(title)}</text>']
    for index, (name, value) in enumerate(rows):
        y = top + 30 + index * STEP
        width = max(2, room * math.log(value / low) / math.log(high / low))
        lines.append(f'<text x="{LABEL - 10}" y="{y + 12}" text-anchor="end" fill="{INK}">{escape(name)}</text>')
        lines.append(f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{OURS if name == "footbridge" else THEIRS}"/>')
        lines.append(f'<text x="{LABEL + width + 6:.1f}" y="{y + 12}" fill="{PALE}">{number(value)} {unit}</text>')
    return lines, top + HEAD + len(rows) * STEP


def chart(run):
    figures = {section["name"]: section["rows"] for section in run["figures"]}
    body, top = [], 0
    for title, unit, wanted in PANELS:
        rows = bars(figures, wanted)
        if len(rows) > 1:
            lines, top = panel(title, unit, rows, top)
            body += lines
    note = f'Logarithmic. {run["about"]["machine"]}, {run["about"]["when"][:10]}, load {run["about"]["load"].split()[0]}.'
    body.append(f'<text x="0" y="{top + 14}" fill="{PALE}">{escape(note)}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -6 {WIDTH + 20} {top + 32}" font-family="system-ui, sans-serif" font-size="13">\n'
            f'<rect x="-10" y="-6" width="{WIDTH + 20}" height="{top + 32}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    drawn = chart(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).resolve().parent / "chart.svg").write_text(drawn)

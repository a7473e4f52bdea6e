"""What must hold after a crash: what the notebook says is in the store, and the store is sound."""
from __future__ import annotations

import re
import sqlite3
from collections import Counter

from parent import FINAL, Notebook, Parent, Place, Refused, demand, work

CRASH = re.compile(rb"internal error: signal|Fatal error|Fatal access|Segmentation|Program crashed|Illegal instruction|stack smashing|double free|Assertion .* failed")


def text(content):
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def whole(p: Parent, value):
    """A value of an event, with what is kept apart fetched."""
    if isinstance(value, list):
        return [whole(p, item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$blob" not in value:
        return {key: whole(p, item) for key, item in value.items()}
    parts, offset = [], 0
    while True:
        part = p.call("blob.read", {"id": value["$blob"], "offset": offset})
        parts.append(part["data"])
        offset += len(part["data"].encode())
        if part["eof"]:
            return "".join(parts)


def check_sound(place: Place):
    """The database by SQLite's own check. Some process of the bridge has it open meanwhile, so that this opening repairs nothing."""
    if place.store.startswith("sqlite:"):
        database = sqlite3.connect(place.file)
        found = database.execute("PRAGMA integrity_check").fetchall()
        database.close()
        demand(found == [("ok",)], f"the database is damaged: {found[:5]}")


def check_log(log, run):
    """One log by itself: no gap, one end, one result for each call."""
    demand([e["seq"] for e in log] == list(range(1, len(log) + 1)), f"run {run}: sequences {[e['seq'] for e in log]}")
    types = [e["type"] for e in log]
    ends = [n for n, type in enumerate(types) if type in FINAL]
    demand(len(ends) <= 1, f"run {run} has {len(ends)} ends")
    if ends:
        demand(set(types[ends[0] + 1:]) <= {"tool.resultRejected"}, f"run {run} goes on after its end: {types[ends[0]:]}")
    done = Counter(e["data"]["callId"] for e in log if e["type"] == "tool.completed")
    demand(not done or max(done.values()) == 1, f"run {run}: a call has {max(done.values(), default=0)} results")
    asked = [c["callId"] for e in log if e["type"] == "model.completed" for c in e["data"]["toolCalls"]]
    demand(len(asked) == len(set(asked)), f"run {run}: a call was made twice")
    demand(set(done) <= set(asked), f"run {run}: results of calls that were not made")
    if ends:
        demand(set(asked) == set(done), f"run {run} has ended, and calls have no result")


def check_facts(p: Parent, notebook: Notebook) -> dict:
    """Everything the notebook says is what a new process says. The logs of all runs."""
    logs = {}
    for run in notebook.runs():
        try:
            log = logs[run] = p.log(run)
        except Refused as error:
            demand(error.kind == "run.notFound" and run in notebook.doomed, f"a run is lost: {error}")
            notebook.deleted.add(run)
            continue
        check_log(log, run)
        for seq, event in notebook.events[run].items():
            demand(seq <= len(log), f"run {run}: event {seq} was seen, and the log ends at {len(log)}")
            demand(log[seq - 1] == event, f"run {run}: event {seq} was {event} and is {log[seq - 1]}")
        demand(len(log) >= notebook.reached[run], f"run {run}: an outcome named {notebook.reached[run]}, and the log ends at {len(log)}")
        check_answered(p, notebook, run, log)
    for run in notebook.deleted:
        try:
            p.call("run.get", {"runId": run})
            demand(False, f"run {run} was deleted, and is there")
        except Refused as error:
            demand(error.kind == "run.notFound", str(error))
    return logs


def check_answered(p, notebook, run, log):
    """What requests were answered for is in the log."""
    results = {e["data"]["callId"]: e["data"] for e in log if e["type"] == "tool.completed"}
    for (other, call), content in notebook.results.items():
        if other == run:
            demand(call in results, f"run {run}: an accepted result of {call} is lost")
            demand(text(whole(p, results[call]["content"])) == content, f"run {run}: the result of {call} is another")
    decisions = {e["data"]["callId"]: e["data"]["decision"] for e in log if e["type"] == "approval.decided"}
    for (other, call), decision in notebook.decisions.items():
        demand(other != run or decisions.get(call) == decision, f"run {run}: the decision on {call} is {decisions.get(call)}, not {decision}")
    inputs = {e["data"]["callId"] for e in log if e["type"] == "input.answered"}
    demand({call for other, call in notebook.inputs if other == run} <= inputs, f"run {run}: an answer is lost")
    notes = Counter(e["data"]["text"] for e in log if e["type"] == "note.added")
    for other, note in notebook.notes:
        demand(other != run or notes[note] >= 1, f"run {run}: the note {note!r} is lost")
    if run in notebook.ended:
        status = p.call("run.get", {"runId": run})["status"]
        demand(status == notebook.ended[run], f"run {run} had ended as {notebook.ended[run]} and is {status}")


def check_work(p: Parent, scenario, logs, place: Place):
    """Each call has the result of its work, and what may run once ran once."""
    ran = place.ledger()
    demand(len(ran) == len(set(ran)), f"a command that may run once ran twice: {ran}")
    for run, log in logs.items():
        calls = {c["callId"]: c for e in log if e["type"] == "model.completed" for c in e["data"]["toolCalls"]}
        for e in log:
            if e["type"] != "tool.completed" or e["data"]["isError"]:
                continue
            call, content = calls[e["data"]["callId"]], text(whole(p, e["data"]["content"]))
            if call["name"] in ("t", "u", "injected"):
                demand(scenario.is_work(content, call), f"run {run}: the result of {call} is {content[:200]!r}")
            if call["name"] == "once":
                demand(any(f'"n":{call["arguments"]["n"]}' in line.replace(" ", "") for line in ran), f"{call} has a result and did not run: {ran}")
    listed = p.call("run.list", {"limit": 100})["runs"]
    demand(len(listed) <= scenario.runs, f"{len(listed)} runs, of {scenario.runs} that were asked for")
    demand({run["runId"] for run in listed} >= set(logs), "a run is not in the list")


def check_stderr(place: Place):
    path = place.home / "stderr"
    found = CRASH.search(path.read_bytes()) if path.exists() else None
    demand(not found, f"stderr has {found and found.group(0)!r}")

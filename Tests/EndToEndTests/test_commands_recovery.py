"""Section 5 (a) and promise 3 over `kill -9`: a command does not outlive the bridge that runs it."""
import contextlib
import os
import random
import time
from pathlib import Path

import pytest

from harness import TIMEOUT, alive, calls, contains, expect, say, sh, text_of, until


def pids(lab, count=1):
    until(lambda: len(lab.lines("pids")) >= count, f"{count} process ids")
    return [int(p) for p in lab.lines("pids")]


def family(lab, name="c", **more):
    """A command with a child and a grandchild that ignore every signal they can."""
    line = f"trap '' TERM INT HUP; echo $$ >> {lab.path}/pids; (echo $(exec sh -c 'echo $PPID') >> {lab.path}/pids; sleep 301; sleep 301) & sleep 300; sleep 300"
    return sh(name, line, **more)


def interrupted(lab, tools, count):
    b = lab.bridge()
    b.start([calls(*(t["name"] for t in tools)), say("ok")], tools)
    run = b.wait_event("tool.started", timeout=2 * TIMEOUT).run_id
    found = pids(lab, count)
    b.kill9()
    return run, found


def test_a_killed_bridge_takes_its_command_and_the_whole_group_with_it(lab):
    _, found = interrupted(lab, [family(lab)], 2)
    until(lambda: not any(alive(p) for p in found))


def test_it_takes_all_of_its_commands_with_it(lab):
    _, found = interrupted(lab, [family(lab, f"c{n}") for n in range(5)], 10)
    until(lambda: not any(alive(p) for p in found))


def test_none_is_alive_when_the_run_is_taken_up_again(lab):
    run, found = interrupted(lab, [family(lab)], 2)
    b = lab.bridge()
    o = b.call("run.resume", {"runId": run}, 2 * TIMEOUT)
    assert o["status"] == "success"
    d, = b.log_of(run, "tool.completed")
    assert d["isError"] is True and "unknown" in text_of(d["content"]).lower()
    assert not any(alive(p) for p in found)


def test_an_idempotent_command_does_not_run_twice_at_once(lab):
    # A process that has ended may stand in the table for a moment, as a zombie.
    line = f"""echo $$ >> {lab.path}/pids
               [ $(wc -l < {lab.path}/pids) -ge 2 ] || sleep 300
               case "$(cut -d' ' -f3 /proc/$(head -1 {lab.path}/pids)/stat 2>/dev/null)" in ''|Z|X) echo fine ;; *) echo both ;; esac"""
    run, _ = interrupted(lab, [sh("c", line, annotations={"idempotentHint": True})], 1)
    b = lab.bridge()
    o = b.call("run.resume", {"runId": run}, 2 * TIMEOUT)
    d, = b.log_of(run, "tool.completed")
    assert o["status"] == "success" and text_of(d["content"]).strip() == "fine"


def test_nothing_but_the_commands_is_killed(lab):
    """What a command has put into a session of its own is not the bridge's."""
    b = lab.bridge()
    b.succeeds([calls("c"), say("ok", expect=expect(isError=False))],
               [sh("c", f"setsid sh -c 'echo $$ > {lab.path}/daemon; exec sleep 30' >/dev/null 2>&1 & while [ ! -s {lab.path}/daemon ]; do sleep 0.01; done")])
    b.start([calls("c"), say("ok")], [family(lab)])
    found = pids(lab, 2)
    daemon = int(lab.lines("daemon")[0])
    b.kill9()
    until(lambda: not any(alive(p) for p in found))
    assert alive(daemon)
    os.kill(daemon, 9)


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread that ends meanwhile has none.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(c) for c in (task / "children").read_text().split()]
    return found


def test_a_bridge_at_rest_has_no_children(lab, bridge):
    bridge.succeeds([{**calls("c", "c"), "repeat": 5}, say("ok")], [sh("c", "true")])
    until(lambda: children(bridge.pid) == [], "no children")


def test_a_command_is_ended_though_its_guard_was_killed_first(lab):
    b = lab.bridge()
    b.start([calls("c"), say("ok")], [family(lab)])
    found = pids(lab, 2)
    guards = [c for c in children(b.pid) if c not in found]
    for guard in guards:
        os.kill(guard, 9)
    # Another takes over.
    until(lambda: [c for c in children(b.pid) if c not in found and c not in guards])
    b.kill9()
    until(lambda: not any(alive(p) for p in found))


@pytest.mark.parametrize("end", ["eof", "term"])
def test_a_clean_end_leaves_nothing_either(lab, end):
    b = lab.bridge()
    b.start([calls("c"), say("ok")], [family(lab)])
    found = pids(lab, 2)
    if end == "eof":
        b.close_stdin()
    else:
        os.kill(b.pid, 15)
    b.proc.wait(2 * TIMEOUT)
    until(lambda: not any(alive(p) for p in found))


def test_kills_at_any_moment_leave_nothing(lab):
    """Commands start one after the other while the bridge is killed: between the start of a process and anything that knows of it, too."""
    chance = random.Random(7)
    for _ in range(20):
        b = lab.bridge(store="memory")
        b.start([{**calls("c", "c", "c"), "repeat": 200}, say("ok")], [sh("c", f"echo $$ >> {lab.path}/pids; [ $(($$ % 3)) = 0 ] && sleep 300; true")],
                limits={"maxIterations": 1000})
        time.sleep(chance.uniform(0.0, 0.3))
        b.kill9()
    until(lambda: not [p for p in pids(lab, 0) if alive(p)])


@pytest.mark.long
def test_a_thousand_kills_leave_nothing(lab):
    for n in range(1000):
        b = lab.bridge(store="memory")
        b.start([calls("c"), say("ok")], [family(lab)])
        pids(lab, 2 * n + 2)
        b.kill9()
    until(lambda: not [p for p in pids(lab, 0) if alive(p)])

"""What fails around the bridge: its store's files, its descriptors, its memory, its clock. It says so, goes on when the cause is gone, and claims nothing that is not so.

`Tests/Campaigns/faults.py` has calls of the store fail one after the other; the rest is here."""
import os
import re
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from harness import TIMEOUT, RpcError, calls, say, sh, text_of, tool, until
from mock_models import Turn
from mock_models.fixtures import chat  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Campaigns"))
import campaign  # noqa: E402
import faults  # noqa: E402
import powercut  # noqa: E402
from shim import Shim  # noqa: E402

WAITING = [calls("t", "t"), say("ok")]


@pytest.fixture
def stage(request):
    folder = campaign.scratch()
    yield campaign.Stage(request.param, folder)
    campaign.shutil.rmtree(folder, ignore_errors=True)


# ---- failing calls

@pytest.mark.parametrize("stage", faults.PLAYED, ids=lambda s: s.name, indirect=True)
def test_failing_calls_of_the_store_are_told_and_nothing_is_lost(stage):
    rehearsal = campaign.trial(stage, [])
    assert not rehearsal.violation, rehearsal
    verdicts = [faults.trial(stage, fault) for fault in faults.faults(rehearsal.kinds, every=29)]
    assert not [f"{v.scenario}: {v.plan[0]}: {v.violation}" for v in verdicts if v.violation]
    assert sum(bool(v.killed) for v in verdicts) >= 5


# ---- a power cut

def cut(recording, cuts, seeds=(0,)):
    return [v.violation for at in cuts for seed in seeds if (v := powercut.trial(recording, at, seed)).violation]


@pytest.mark.parametrize("stage", powercut.PLAYED, ids=lambda s: s.name, indirect=True)
def test_a_power_cut_loses_nothing_that_was_told(stage):
    recording = powercut.Recording(stage)
    cuts = recording.cuts()
    step = max(1, len(cuts) // 15)
    assert cut(recording, cuts[::step]) == []
    assert cut(recording, cuts[step // 2::2 * step], seeds=(1,)) == []


@pytest.mark.parametrize("stage", [s for s in powercut.PLAYED if s.name in ("Submit", "Invoke", "Commands")], ids=lambda s: s.name, indirect=True)
def test_what_a_failed_sync_was_about_is_not_taken_for_durable(stage):
    for failing in (1, 3, 5):
        recording = powercut.Recording(stage, failing=failing)
        assert any(r.type == "f" for r in recording.records)
        cuts = recording.cuts()
        assert cut(recording, cuts[::max(1, len(cuts) // 12)]) == []


@pytest.mark.parametrize("stage", [s for s in powercut.PLAYED if s.name == "Submit"], ids=lambda s: s.name, indirect=True)
def test_without_the_promise_a_power_cut_loses_what_was_told(stage):
    """`--synchronous normal` gives it up: this is how a loss looks to the test above."""
    recording = powercut.Recording(stage, ("--synchronous", "normal"))
    assert cut(recording, recording.cuts())


# ---- files that are taken away, or cannot be written

def waiting(b):
    """A run that waits for two results: (run, calls)."""
    b.auto_replay = False
    o = b.run(WAITING, [tool("t")])
    return o["runId"], [c["callId"] for c in o["pendingToolCalls"]]


def refused(b, run, results, *words):
    e = b.fails("run.submitToolResults", b.submit_params(run, results, partial=True), timeout=3 * TIMEOUT)
    assert e.kind in ("store.unavailable", "store.full"), e.error
    for word in words:
        assert str(word) in e.error["message"], e.error
    b.ping()


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_file_that_is_taken_away_is_noticed_before_anything_is_promised(lab, suffix):
    b = lab.bridge()
    run, (first, second) = waiting(b)
    b.submit(run, {first: "kept"}, partial=True)
    path = lab.path / f"runs.db{suffix}"
    path.rename(lab.path / "elsewhere")
    refused(b, run, {second: "refused"}, path)
    (lab.path / "elsewhere").rename(path)
    assert b.call("run.resume", {"runId": run}, 2 * TIMEOUT)["status"] == "waiting_client_tool"
    assert b.submit(run, {second: "taken"})["status"] == "success"
    b.kill9()
    after = lab.bridge()
    assert [text_of(d["content"]) for d in after.log_of(run, "tool.completed")] == ["kept", "taken"]


def test_no_new_store_is_made_where_one_was_taken_away(lab):
    b = lab.bridge(store=f"sqlite:{lab.path}/here/runs.db")
    run, (first, second) = waiting(b)
    (lab.path / "here").rename(lab.path / "elsewhere")
    for _ in range(3):
        assert b.fails("session.create", {}).kind == "store.unavailable"
        assert b.fails("run.get", {"runId": run}).kind == "store.unavailable"
    assert not (lab.path / "here").exists()
    (lab.path / "elsewhere").rename(lab.path / "here")
    assert b.call("run.resume", {"runId": run}, 2 * TIMEOUT)["status"] == "waiting_client_tool"
    assert b.submit(run, {first: "1", second: "2"})["status"] == "success"

def test_a_log_that_was_deleted_while_it_was_open_is_rescued(lab):
    b = lab.bridge()
    run, (first, second) = waiting(b)
    b.submit(run, {first: "kept"}, partial=True)
    (lab.path / "runs.db-wal").unlink()
    refused(b, run, {second: "refused"}, lab.path / "runs.db-wal")
    assert b.submit(run, {second: "taken"}, 2 * TIMEOUT)["status"] == "success"
    b.kill9()
    after = lab.bridge()
    assert [text_of(d["content"]) for d in after.log_of(run, "tool.completed")] == ["kept", "taken"]


@pytest.mark.parametrize("tried", [False, True], ids=["idle", "after a refused write"])
def test_a_log_that_was_deleted_while_it_was_open_is_rescued_at_the_end(lab, tried):
    b = lab.bridge()
    run, (first, second) = waiting(b)
    b.submit(run, {first: "kept"}, partial=True)
    (lab.path / "runs.db-wal").unlink()
    if tried:
        refused(b, run, {second: "refused"}, lab.path / "runs.db-wal")
    assert b.hang_up() == 0
    after = lab.bridge()
    assert [text_of(d["content"]) for d in after.log_of(run, "tool.completed")] == ["kept"]
    assert after.submit(run, {second: "taken"})["status"] == "success"


def test_a_log_that_was_lost_between_two_processes_is_no_crash(lab):
    a = lab.bridge()
    run, (first, _) = waiting(a)
    a.hang_up()
    a = lab.bridge()
    a.auto_replay = False
    a.submit(run, {first: "lost with the file"}, partial=True)
    a.kill9()
    (lab.path / "runs.db-wal").unlink()
    b = lab.bridge()
    o = b.get(run)
    assert o["status"] == "waiting_client_tool"
    assert b.submit(run, {c["callId"]: "again" for c in o["pendingToolCalls"]})["status"] == "success"
    db = sqlite3.connect(lab.path / "runs.db")
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    db.close()


def test_the_side_files_may_be_lost_between_two_processes(lab):
    a = lab.bridge()
    run, ids = waiting(a)
    a.kill9()
    for suffix in ("-lock", "-shm"):
        (lab.path / f"runs.db{suffix}").unlink()
    assert lab.bridge().submit(run, {c: "x" for c in ids})["status"] == "success"


@pytest.fixture
def small_disk(lab):
    """A file system of its own, as only root can have one."""
    folder = lab.path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    lab.destroy()
    subprocess.run(["umount", "-l", folder], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def test_a_disk_that_is_read_only_is_told_at_the_start(lab, small_disk):
    store = f"sqlite:{small_disk}/runs.db"
    b = lab.bridge(store=store)
    run, ids = waiting(b)
    b.kill9()
    remount(small_disk, "ro")
    code, out, err = lab.cli("--store", store, store=False)
    assert code == 74 and out == b"" and f"{small_disk}/runs.db".encode() in err and b"read-only" in err.lower(), err
    remount(small_disk, "rw")
    assert lab.bridge(store=store).submit(run, {c: "taken" for c in ids}, 2 * TIMEOUT)["status"] == "success"


def test_a_full_disk_is_told_in_words_that_help(lab, small_disk):
    b = lab.bridge(store=f"sqlite:{small_disk}/runs.db")
    run, (first, second) = waiting(b)
    refused(b, run, {first: "x" * 12_000_000}, small_disk / "runs.db", "free some space")
    assert b.submit(run, {first: "small", second: "too"}, 2 * TIMEOUT)["status"] == "success"


def limit_files(b, most):
    """How long a file may become that the bridge writes to: a full disk for one process, and without root."""
    resource.prlimit(b.pid, resource.RLIMIT_FSIZE, (most, resource.prlimit(b.pid, resource.RLIMIT_FSIZE)[1]))


def test_a_limit_for_the_size_of_files_is_a_full_disk(lab):
    b = lab.bridge()
    run, (first, second) = waiting(b)
    b.submit(run, {first: "kept"}, partial=True)
    limit_files(b, 1 << 20)
    for _ in range(2):
        b.fails("run.submitToolResults", b.submit_params(run, {second: "x" * 12_000_000}), kind="store.full", timeout=3 * TIMEOUT)
        b.ping()
        assert b.get(run)["status"] == "waiting_client_tool"
    limit_files(b, resource.RLIM_INFINITY)
    assert b.submit(run, {second: "taken"}, 2 * TIMEOUT)["status"] == "success"
    b.kill9()
    after = lab.bridge()
    assert [text_of(d["content"]) for d in after.log_of(run, "tool.completed")] == ["kept", "taken"]


def test_a_run_that_was_let_go_is_free_for_others_while_its_bridge_works_on(lab):
    a, b = lab.parent(), lab.bridge()
    a.auto_replay = False
    held = a.start([calls("hold"), say("held")], [tool("hold")])
    hold = a.next_invoke("hold")
    i = a.start([calls("c"), say("ok")], [sh("c", f"while [ ! -e {lab.path}/go ]; do sleep 0.05; done", idempotent=True)])
    run = a.start_id(i)
    a.wait_event("tool.started", run)
    limit_files(a, 4096)
    lab.file("go")
    assert a.error_of(i, 3 * TIMEOUT).kind == "store.full"
    b.fails("run.resume", {"runId": run}, kind="run.leaseHeld")
    limit_files(a, resource.RLIM_INFINITY)

    def resumed():
        m = b.wait_response(b.request("run.resume", {"runId": run}))
        assert m.error is None or m.error["data"]["kind"] == "run.leaseHeld", m
        return m.result
    assert until(resumed, "the run to be free", 2 * TIMEOUT, step=0.1)["status"] == "success"
    a.respond(hold, {"content": "x"})
    assert a.result(held)["answer"] == "held"


# ---- a byte that the disk has changed

def test_a_damaged_record_is_told_of_its_run_and_no_other(lab):
    b = lab.bridge()
    good, ids = waiting(b)
    done = b.succeeds([say("ok")])["runId"]
    bad = b.run(WAITING, [tool("t")], input="NEEDLE")["runId"]
    b.hang_up()
    with sqlite3.connect(lab.path / "runs.db") as db:
        (key, event), = db.execute("select key, event from log where instr(event, cast('\"NEEDLE' as blob)) > 0").fetchall()
        db.execute("update log set event = ? where key = ?", (event.replace(b'"NEEDLE', b"#NEEDLE"), key))
    db.close()
    after = lab.bridge()
    listed = {r["runId"]: r["status"] for r in after.call("run.list")["runs"]}
    assert listed == {good: "waiting_client_tool", done: "success", bad: "waiting_client_tool"}
    for method in ("run.get", "run.events", "run.resume", "run.cancel"):
        e = after.fails(method, {"runId": bad}, kind="store.unavailable")
        assert bad in e.error["message"] and "damaged" in e.error["message"], (method, e.error)
    assert after.get(done)["status"] == "success" and after.log_types(done)[-1] == "run.completed"
    code, out, err = lab.cli("runs")
    assert code == 0 and all(run in out.decode() for run in (good, done, bad)), (code, out, err)
    assert after.submit(good, {c: "x" for c in ids})["status"] == "success"


@pytest.mark.parametrize("back", [0, 1], ids=["the last", "one before"])
def test_a_missing_record_is_told_of_its_run_and_no_other(lab, back):
    """As the repair of a database may leave it."""
    b = lab.bridge()
    good, ids = waiting(b)
    bad = b.run(WAITING, [tool("t")])["runId"]
    b.hang_up()
    with sqlite3.connect(lab.path / "runs.db") as db:
        (number, last), = db.execute("select number, last_position from runs order by number desc limit 1").fetchall()
        assert db.execute("delete from log where key >> 32 = ? and (key >> 8) & 0xffffff = ?", (number, last - back)).rowcount == 1
    db.close()
    after = lab.bridge()
    assert {r["runId"] for r in after.call("run.list")["runs"]} == {good, bad}
    for method in ("run.get", "run.resume", "run.cancel"):
        e = after.fails(method, {"runId": bad}, kind="store.unavailable")
        assert bad in e.error["message"] and f"the record at position {last - back} is missing" in e.error["message"], (method, e.error)
    assert after.submit(good, {c: "x" for c in ids})["status"] == "success"


# ---- descriptors and memory

def descriptors(pid):
    return max(int(n) for n in os.listdir(f"/proc/{pid}/fd")) + 1


def test_without_descriptors_calls_fail_and_the_bridge_lives(lab):
    b = lab.bridge()
    run, ids = waiting(b)
    before = resource.prlimit(b.pid, resource.RLIMIT_NOFILE)
    # One is left, with which the script is read; a command needs more.
    resource.prlimit(b.pid, resource.RLIMIT_NOFILE, (descriptors(b.pid) + 1, before[1]))
    o = b.run([calls("c"), say("ok")], [sh("c", "echo fine")])
    done, = b.log_of(o["runId"], "tool.completed")
    assert o["status"] == "success" and done["isError"] is True
    b.ping()
    assert b.submit(run, {c: "x" for c in ids})["status"] == "success"
    resource.prlimit(b.pid, resource.RLIMIT_NOFILE, before)
    o = b.run([calls("c"), say("ok")], [sh("c", "echo fine")])
    assert [d["isError"] for d in b.log_of(o["runId"], "tool.completed")] == [False]


def limit_with_room(pid, room):
    """The limit with which so many more can be opened."""
    taken = {int(n) for n in os.listdir(f"/proc/{pid}/fd")}
    return [n for n in range(1000) if n not in taken][room]


def connections(pid):
    """Its sockets of TCP, by inode."""
    sockets = {os.readlink(f"/proc/{pid}/fd/{n}")[8:-1] for n in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{n}").startswith("socket:")}
    return sockets & {line.split()[9] for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]}


def test_a_command_that_is_said_not_to_have_started_did_not(lab):
    b = lab.bridge()
    b.succeeds([calls("c"), say("ok")], [sh("c", "true")])
    before = resource.prlimit(b.pid, resource.RLIMIT_NOFILE)
    told = {}
    for room in range(1, 16):
        mark = lab.path / f"mark{room}"
        resource.prlimit(b.pid, resource.RLIMIT_NOFILE, (limit_with_room(b.pid, room), before[1]))
        o = b.run([calls("c"), say("ok")], [sh("c", f": > {mark}; echo begun")])
        resource.prlimit(b.pid, resource.RLIMIT_NOFILE, before)
        d, = b.log_of(o["runId"], "tool.completed")
        told[mark] = d["isError"]
        assert not d["isError"] or re.fullmatch(r"The command( '/bin/sh')? cannot be started: Too many open files\.", text_of(d["content"])), (room, d)
    assert list(told.values())[0] is True and list(told.values())[-1] is False, told
    # What was left running by itself has had its time meanwhile.
    assert b.hang_up() == 0
    assert {mark: not mark.exists() for mark in told} == told


def test_the_limit_of_descriptors_is_raised_and_commands_have_it_as_it_was(lab):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    b = lab.bridge(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)))
    assert resource.prlimit(b.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    o = b.succeeds([calls("c"), say("ok")], [sh("c", "ulimit -Sn; ulimit -Hn")])
    d, = b.log_of(o["runId"], "tool.completed")
    assert text_of(d["content"]) == f"256\n{hard}\n"


def test_a_model_that_cannot_be_reached_for_want_of_descriptors_is_retried_with_that_reason(chat):
    first, second = chat.script(Turn("One.").with_(close=True)), chat.script("Two.")
    b = chat.bridge()
    b.succeeds(first, answer="One.")
    until(lambda: not connections(b.pid), "the end of the connection")
    before = resource.prlimit(b.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(b.pid, resource.RLIMIT_NOFILE, (limit_with_room(b.pid, 0), before[1]))
    request = b.start(second)
    told = b.wait_event("model.retried").data
    resource.prlimit(b.pid, resource.RLIMIT_NOFILE, before)
    assert told["reason"].startswith("Cannot connect to ") and told["reason"].endswith(": Too many open files."), told
    assert b.result(request)["answer"] == "Two."


@pytest.mark.parametrize("most", range(4, 20))
def test_a_start_with_few_descriptors_serves_or_ends_with_words(lab, most):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    b = lab.bridge(init=False, preexec=limit)
    b.auto_replay = False
    b.expected_exit = (0, 70, 74)
    try:
        b.initialize()
    except (AssertionError, BrokenPipeError):
        b.raw_used = b.killed = True
        assert b.wait_exit() in (70, 74, 127) and b.stderr  # 127: not even its libraries could be loaded
        return
    m = b.wait_response(b.start([say("ok")]))
    assert m.error is None or m.error["data"]["kind"] in ("model.unavailable", "store.unavailable"), m
    assert b.hang_up() == 0


def test_without_memory_nothing_that_was_told_is_lost(lab):
    b = lab.bridge()
    run, (first, second) = waiting(b)
    b.submit(run, {first: "kept"}, partial=True)
    used = int(Path(f"/proc/{b.pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.prlimit(b.pid, resource.RLIMIT_AS, (used + (8 << 20), resource.RLIM_INFINITY))
    b.raw_used = True
    try:
        b.submit(run, {second: "x" * 60_000_000}, 3 * TIMEOUT)
    except (AssertionError, BrokenPipeError):
        pass
    # It may end, as a process does that gets no memory, but not by a signal; and what it leaves is whole.
    try:
        resource.prlimit(b.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        b.ping()
    except (AssertionError, OSError):
        assert b.wait_exit() == 70, bytes(b.stderr)
    b.kill9()
    b.stderr.clear()
    after = lab.bridge()
    log = after.log_of(run, "tool.completed")
    assert text_of(log[0]["content"]) == "kept"
    if len(log) == 1:
        assert after.submit(run, {second: "taken"})["status"] == "success"


# ---- the clock

DAY = 86_400 * 1_000_000_000


@pytest.mark.parametrize("shift", [-400 * DAY, -DAY, -1_000_000_000, 1_000_000_000, DAY, 400 * DAY])
def test_a_clock_that_jumps_moves_nothing(lab, shift):
    shim = Shim(lab.path / "control", str(lab.path / "runs.db"))
    b = lab.parent(env=shim.environment)
    run = b.background([calls("t"), calls("t"), {**calls("c"), "delayMs": 50}, say("ok")], [tool("t", timeoutMs=60_000), sh("c", "echo fine")], limits={"deadlineMs": 120_000})
    first = b.next_invoke()
    shim.set(clock_shift=shift)
    b.respond(first, {"content": "one"})
    second = b.next_invoke()
    shim.set(clock_shift=-shift)
    b.respond(second, {"content": "two"})
    assert b.wait_run(run)["status"] == "success"
    other = b.succeeds([say("later")])
    listed = [r["runId"] for r in b.call("run.list")["runs"]]
    assert set(listed) == {run, other["runId"]}
    b.check_replays()
    b.kill9()
    after = lab.bridge()
    assert [text_of(d["content"]).strip() for d in after.log_of(run, "tool.completed")] == ["one", "two", "fine"]

"""The SQLite store as a user meets it: files that are wrong, several processes, a full disk."""
import fcntl
import os
import select
import shutil
import sqlite3
import stat
import subprocess
import tempfile
import termios
import threading
from pathlib import Path

import pytest

from harness import BINARY, TIMEOUT, base_env, calls, dumps, loads, say, text_of, tool, until

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


def serve(lab, store, *args):
    return lab.cli("--store", store, *args, store=False, stdin=PING)


def unusable(lab, store, *words):
    code, out, err = serve(lab, store)
    assert code == 74, (code, err)
    assert out == b""
    for word in words:
        assert str(word).encode() in err, err
    assert len(err.splitlines()) <= 5, err
    return err


def usable(lab, store):
    code, out, err = serve(lab, store)
    assert code == 0, err
    assert loads(out)["result"] == {}


# ---- files

@pytest.mark.parametrize("content", [b"this is no database\n" * 200, b"\x00" * 8192, b"SQLite format 3\x00" + b"\xff" * 4000, b"x", b'{"json": true}'])
def test_a_garbage_file_exits_74_names_the_file_and_is_left_alone(lab, content):
    path = lab.file("garbage.db", content)
    unusable(lab, f"sqlite:{path}", path)
    assert path.read_bytes() == content


def test_another_programs_database_is_not_taken_over(lab):
    path = lab.path / "other.db"
    db = sqlite3.connect(path)
    db.execute("create table customers (id integer primary key, name text)")
    db.execute("insert into customers values (1, 'Ada')")
    db.commit()
    db.close()
    code, out, err = serve(lab, f"sqlite:{path}")
    assert code in (0, 74)
    if code == 74:
        assert str(path).encode() in err
    db = sqlite3.connect(path)
    assert db.execute("select name from customers").fetchall() == [("Ada",)]
    db.close()


def test_an_empty_file_is_a_new_store_or_a_clear_error(lab):
    path = lab.file("empty.db", b"")
    code, out, err = serve(lab, f"sqlite:{path}")
    assert code in (0, 74)
    if code == 74:
        assert str(path).encode() in err


# ---- what is said while a store is being opened

SAID = b"".join(line + b"\n" for line in [
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-11-20","clientInfo":{"name":"t","version":"1"},"capabilities":{}}}',
    b"no JSON", b'{"jsonrpc":"2.0","id":2,"method":"ping"}', b'{"jsonrpc":"2.0","id":3,"method":"no.such"}',
    b'{"jsonrpc":"2.0","id":4,"method":"run.list","params":{}}'])


def opening(lab):
    """A bridge that waits for the right to write, which the caller has, and has read what was said to it."""
    lock = open(lab.path / "runs.db-lock", "r+b")
    fcntl.lockf(lock, fcntl.LOCK_EX, 1)
    p = subprocess.Popen([BINARY, "--store", f"sqlite:{lab.path}/runs.db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=base_env(lab.path))
    p.stdin.write(SAID)
    p.stdin.flush()
    until(lambda: fcntl.ioctl(p.stdin, termios.FIONREAD, b"\0" * 4) == b"\0" * 4, "the bridge has read its input")
    return p, lock


def test_what_is_said_while_the_store_is_opened_is_answered_once_it_is_open(lab):
    usable(lab, f"sqlite:{lab.path}/runs.db")
    p, lock = opening(lab)
    assert not select.select([p.stdout], [], [], 0.2)[0]
    lock.close()
    out, err = p.communicate(timeout=TIMEOUT)
    answers = [loads(line) for line in out.splitlines()]
    assert p.returncode == 0, err
    assert [answer["id"] for answer in answers] == [1, None, 2, 3, 4]
    assert ["result" in answer for answer in answers] == [True, False, True, False, True]


def test_of_a_store_that_cannot_be_opened_nothing_is_answered_whatever_was_said(lab):
    usable(lab, f"sqlite:{lab.path}/runs.db")
    p, lock = opening(lab)
    out, err = p.communicate(timeout=TIMEOUT)
    assert (p.returncode, out) == (74, b"") and f"{lab.path}/runs.db".encode() in err
    lock.close()


@pytest.mark.parametrize("option", ["--agents", "--record"])
def test_of_a_file_that_cannot_be_used_nothing_is_answered_whatever_was_said(lab, option):
    lab.file("agents/wrong.json", "no JSON")
    lab.file("file")
    code, out, err = lab.cli("--store", "memory", option, lab.path / ("agents" if option == "--agents" else "file/script"), store=False, stdin=SAID)
    assert (code, out) == (78, b""), err


def test_a_folder_as_the_store_exits_74(lab):
    (lab.path / "folder").mkdir()
    unusable(lab, f"sqlite:{lab.path}/folder", lab.path / "folder")


def test_a_missing_parent_folder_is_made(lab):
    path = lab.path / "a" / "b" / "c.db"
    usable(lab, f"sqlite:{path}")
    assert path.exists() and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_parent_that_is_a_file_exits_74(lab):
    lab.file("file", b"x")
    unusable(lab, f"sqlite:{lab.path}/file/runs.db", "file/runs.db")


def test_a_parent_that_cannot_be_made_exits_74(lab):
    unusable(lab, "sqlite:/proc/nowhere/runs.db", "/proc/nowhere")


@pytest.mark.parametrize("store", ["mongodb:x", "sqlite:", "", "x", "/tmp/x.db"])
def test_a_store_that_is_no_store_is_a_usage_or_configuration_error(lab, store):
    code, out, err = serve(lab, store)
    assert code in (64, 74, 78) and out == b"" and err.strip()


@pytest.mark.parametrize("name", ["with space.db", "ünï🚀.db", "per%20cent?.db", "quo'te\".db", "#hash;semi.db"])
def test_odd_file_names(lab, name):
    usable(lab, f"sqlite:{lab.path / name}")
    assert (lab.path / name).exists()


def test_a_relative_store_is_in_the_working_folder(lab):
    usable(lab, "sqlite:relative.db")
    assert (lab.path / "relative.db").exists()


def test_a_symlink_to_a_store_is_that_store(lab):
    a = lab.bridge()
    run = a.run([say("ok")])["runId"]
    a.hang_up()
    (lab.path / "link.db").symlink_to(lab.path / "runs.db")
    assert lab.bridge(store=f"sqlite:{lab.path}/link.db").get(run)["status"] == "success"


def as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


@pytest.fixture
def shared():
    """A folder that nobody can reach."""
    path = Path(tempfile.mkdtemp(prefix="footbridge-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def run_as_nobody(binary, store, home):
    return subprocess.run([binary, "--store", store], input=PING, capture_output=True, env=base_env(home), timeout=TIMEOUT, preexec_fn=as_nobody)


def binary_for_nobody(shared):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    copy = shared / "footbridge"
    shutil.copy(BINARY, copy)
    copy.chmod(0o755)
    try:
        p = subprocess.run([copy, "--version"], capture_output=True, timeout=TIMEOUT, preexec_fn=as_nobody, env=base_env(shared))
    except (PermissionError, OSError) as e:
        pytest.skip(f"another user cannot run the binary here: {e}")
    if p.returncode != 0:
        pytest.skip(f"another user cannot run the binary here: {p.stderr[-300:]!r}")
    return copy


def test_a_read_only_file_exits_74_and_names_it(lab, shared):
    binary = binary_for_nobody(shared)
    b = lab.bridge(store=f"sqlite:{shared}/runs.db")
    b.run([say("ok")])
    assert b.hang_up() == 0
    os.chmod(shared / "runs.db", 0o444)
    p = run_as_nobody(binary, f"sqlite:{shared}/runs.db", shared)
    assert p.returncode == 74 and p.stdout == b"" and f"{shared}/runs.db".encode() in p.stderr


def test_an_unreadable_file_exits_74_and_names_it(lab, shared):
    binary = binary_for_nobody(shared)
    (shared / "runs.db").write_bytes(b"")
    os.chmod(shared / "runs.db", 0o000)
    p = run_as_nobody(binary, f"sqlite:{shared}/runs.db", shared)
    assert p.returncode == 74 and f"{shared}/runs.db".encode() in p.stderr


def test_a_folder_that_may_not_be_written_exits_74(lab, shared):
    binary = binary_for_nobody(shared)
    p = run_as_nobody(binary, f"sqlite:{shared}/runs.db", shared)
    assert p.returncode == 74 and f"{shared}".encode() in p.stderr


def test_a_newer_store_exits_74_and_says_so(lab):
    b = lab.bridge()
    b.run([say("ok")])
    assert b.hang_up() == 0
    path = lab.path / "runs.db"
    db = sqlite3.connect(path)
    version = db.execute("pragma user_version").fetchone()[0]
    if version == 0:
        db.close()
        pytest.skip("the schema's version is not in user_version")
    db.execute("pragma user_version = 99999")
    db.commit()
    db.close()
    err = unusable(lab, f"sqlite:{path}", path)
    assert b"newer" in err.lower()
    db = sqlite3.connect(path)
    assert db.execute("pragma user_version").fetchone()[0] == 99999
    db.close()


def test_a_store_that_was_cut_off_is_an_error_not_a_crash(lab):
    b = lab.bridge()
    for _ in range(20):
        b.run([say("ok " * 500)])
    assert b.hang_up() == 0
    path = lab.path / "runs.db"
    for extra in ("-wal", "-shm"):
        if Path(f"{path}{extra}").exists():
            os.unlink(f"{path}{extra}")
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2 + 17])
    code, out, err = serve(lab, f"sqlite:{path}")
    assert code in (0, 74)


def test_the_store_is_a_whole_database_after_every_end(lab):
    for end in ("hang_up", "kill9", "sigterm"):
        b = lab.bridge()
        b.run([calls("t"), say("ok")], [tool("t")])
        if end == "sigterm":
            b.sigterm()
            b.wait_exit()
        else:
            getattr(b, end)()
        db = sqlite3.connect(lab.path / "runs.db")
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        db.close()


# ---- several processes on one store

def test_two_processes_on_one_store_both_work(lab):
    bridges = [lab.parent(), lab.parent()]
    model = lab.script([{**calls("t"), "repeat": 5}, say("ok")])
    ids = []
    for b in bridges:
        b.handlers["t"] = {"content": "x"}
        ids += [(b, b.start(model, [tool("t")])) for _ in range(10)]
    for b, i in ids:
        assert b.result(i, 3 * TIMEOUT)["status"] == "success"
    assert len(bridges[0].call("run.list", {"limit": 100})["runs"]) == 20


@pytest.mark.parametrize("deleted", ["elsewhere", "here", "with the session", "with the session elsewhere"])
def test_a_deleted_run_is_observed_no_more(lab, deleted):
    a, b = lab.bridge(), lab.bridge()
    s = a.call("session.create", {})["sessionId"]
    run = a.background([calls("t"), say("ok")], [tool("t")], delivery="pause", sessionId=s)
    until(lambda: a.get(run)["status"] == "waiting_client_tool")
    b.call("run.subscribe", {"runId": run, "afterSeq": 0})
    b.get(run)  # what follows from the answer is done
    board = sqlite3.connect(lab.path / "runs.db-live")
    assert board.execute("SELECT count(*) FROM observers").fetchone() == (1,)
    a.call("run.cancel", {"runId": run})
    b.wait_event("run.cancelled", run)
    by = a if deleted.endswith("elsewhere") else b
    by.call(*(("session.delete", {"sessionId": s}) if "session" in deleted else ("run.delete", {"runId": run})))
    until(lambda: board.execute("SELECT count(*) FROM observers").fetchone() == (0,))


def test_four_processes_start_on_a_new_store_at_the_same_moment(lab):
    for round in range(3):
        store = f"sqlite:{lab.path}/fresh-{round}.db"
        bridges = [lab.bridge(store=store, init=False) for _ in range(4)]
        for b in bridges:
            b.initialize()
        for b in bridges:
            assert b.run([say("ok")])["status"] == "success"
        assert len(bridges[0].call("run.list")["runs"]) == 4


def test_a_process_that_was_killed_in_the_middle_of_writing_leaves_a_usable_store(lab):
    for n in range(5):
        a = lab.parent()
        a.handlers["t"] = {"content": "y" * 100_000}
        a.start([{**calls("t"), "repeat": 200}, say("ok")], [tool("t")], agent={"limits": {"maxIterations": 300}})
        until(lambda: len(a.events(type="tool.completed")) > n)
        a.kill9()
        b = lab.bridge()
        b.succeeds([say("fine")], answer="fine")
        b.finish()


def test_a_reader_holding_a_transaction_does_not_stop_the_bridge(lab):
    b = lab.bridge()
    b.run([say("ok")])
    db = sqlite3.connect(lab.path / "runs.db", isolation_level=None)
    db.execute("begin")
    db.execute("select count(*) from sqlite_master").fetchone()
    for _ in range(20):
        assert b.run([say("ok")])["status"] == "success"
    db.execute("rollback")
    db.close()


def test_a_writer_that_locks_for_a_while_does_not_delay_ping(lab):
    b = lab.bridge()
    b.run([say("ok")])
    db = sqlite3.connect(lab.path / "runs.db", isolation_level=None)
    db.execute("begin immediate")
    r = b.start([say("ok")])
    for _ in range(20):
        b.ping()
    db.execute("rollback")
    db.close()
    assert b.result(r, 3 * TIMEOUT)["status"] == "success"


# ---- a full disk

def test_a_full_disk_is_an_error_and_the_process_lives(lab):
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = lab.path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True).returncode != 0:
        pytest.skip("no small file system can be mounted here")
    try:
        b = lab.parent(store=f"sqlite:{folder}/runs.db")
        b.auto_replay = False
        first = b.succeeds([say("fits")])
        b.handlers["t"] = {"content": "x" * 8_000_000}
        m = b.wait_response(b.start([calls("t"), say("ok")], [tool("t")]), 3 * TIMEOUT)
        assert m.error is not None and m.error["data"]["kind"] in ("store.full", "store.unavailable"), m
        b.ping()
        assert b.get(first["runId"])["status"] == "success"
        assert b.hang_up() == 0
    finally:
        for x in lab.bridges:
            x.destroy()
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def test_a_run_stopped_by_a_full_disk_goes_on_when_there_is_room(lab):
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = lab.path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True).returncode != 0:
        pytest.skip("no small file system can be mounted here")
    try:
        b = lab.bridge(store=f"sqlite:{folder}/runs.db")
        b.auto_replay = False
        o = b.run([calls("t"), say("ok")], [tool("t")])
        run, c = o["runId"], o["pendingToolCalls"][0]["callId"]
        e = b.fails("run.submitToolResults", b.submit_params(run, {c: "x" * 8_000_000}), timeout=3 * TIMEOUT)
        assert e.kind in ("store.full", "store.unavailable") and isinstance(e.data["retryable"], bool)
        subprocess.run(["mount", "-o", "remount,size=60m", str(folder)], check=True)
        o = b.submit(run, {c: "x" * 8_000_000}, 3 * TIMEOUT)
        assert o["status"] == "success"
        assert text_of(b.whole(b.log_of(run, "tool.completed")[0]["content"])) == "x" * 8_000_000
        assert b.hang_up() == 0
    finally:
        for x in lab.bridges:
            x.destroy()
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


# ---- much

def test_many_runs_at_once_in_several_processes(lab):
    bridges = [lab.parent() for _ in range(3)]
    gate = threading.Event()
    model = lab.script([calls("t"), say("ok")])
    ids = []
    for b in bridges:
        b.handlers["t"] = lambda p: (gate.wait(30), {"content": p["callId"]})[1]
        ids += [(b, b.start(model, [tool("t")])) for _ in range(40)]
    until(lambda: sum(len(b.invocations) for b in bridges) == 120, "all invocations", 3 * TIMEOUT)
    gate.set()
    for b, i in ids:
        assert b.result(i, 3 * TIMEOUT)["status"] == "success"


def test_a_store_may_be_copied_while_nothing_runs(lab):
    a = lab.bridge()
    o = a.run([calls("t"), say("ok")], [tool("t")])
    assert a.hang_up() == 0
    copy = lab.path / "copy"
    copy.mkdir()
    for p in lab.path.glob("runs.db*"):
        shutil.copy(p, copy / p.name)
    b = lab.bridge(store=f"sqlite:{copy}/runs.db")
    assert b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: "x"})["status"] == "success"
    assert lab.bridge().get(o["runId"])["status"] == "waiting_client_tool"
    assert len(dumps(o)) > 0


def test_a_copy_that_is_put_back_is_read_whole_whatever_lies_beside_it(lab):
    """`cp` of the one file while nothing runs, and later back; nobody has touched its `-wal` and `-shm`."""
    path, kept = lab.path / "runs.db", lab.path / "kept.db"
    model = lab.script([{**calls("t"), "repeat": 3}, say("ok")])

    def work(count, *, deleted=False):
        b = lab.parent()
        b.auto_replay = False
        b.handlers["t"] = lambda p: {"content": os.urandom(1500).hex()}
        runs = [b.succeeds(model, [tool("t")])["runId"] for _ in range(count)]
        logs = {run: b.replay(run) for run in runs}
        for run in runs if deleted else []:
            b.call("run.delete", {"runId": run})
        assert b.hang_up() == 0
        return logs
    logs = work(20)
    shutil.copy(path, kept)
    work(10), work(10, deleted=True)
    shutil.copy(kept, path)
    b = lab.parent()
    b.auto_replay = False
    assert {r["runId"] for r in b.call("run.list", {"limit": 100})["runs"]} == set(logs)
    assert {run: b.replay(run) for run in logs} == logs
    assert b.succeeds([say("new")], answer="new") and b.hang_up() == 0
    db = sqlite3.connect(path)
    assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
    db.close()

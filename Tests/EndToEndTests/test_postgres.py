"""The PostgreSQL store where servers, networks and processes fail, and what it needs of a server."""
import os
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import postgres
from harness import BINARY, TIMEOUT, base_env, calls, free_port, loads, say, sh, text_of, tool, until

STORES = ("postgres",)
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


def serve(lab, store, *args):
    return lab.cli("--store", store, *args, store=False, stdin=PING)


def unusable(lab, store, *words):
    code, out, err = serve(lab, store)
    assert code == 74, (code, err)
    assert out == b""
    for word in words:
        assert word.encode() in err, err
    assert len(err.splitlines()) <= 5, err
    return err


def many_calls(lab, turns, names=("t",)):
    return lab.script([*[calls(*names) for _ in range(turns)], say("all done")])


def check_once(b, run, turns):
    """The whole log is there, and each call has one result."""
    log = b.check_replay(run)
    asked = [c["callId"] for e in log if e["type"] == "model.completed" for c in e["data"]["toolCalls"]]
    done = [e["data"]["callId"] for e in log if e["type"] == "tool.completed"]
    assert len(asked) == turns and sorted(done) == sorted(asked)
    assert all(not e["data"]["isError"] for e in log if e["type"] == "tool.completed")
    assert [e["type"] for e in log if e["type"] in ("run.completed", "run.error", "run.cancelled")] == ["run.completed"]


def finish(b, run):
    """The outcome, after as many resumes as it takes."""
    for _ in range(100):
        try:
            o = b.call("run.resume", {"runId": run}, 4 * TIMEOUT)
            if o["ended"]:
                return o
        except Exception as e:
            assert getattr(e, "kind", None) in ("store.unavailable", "run.leaseHeld"), e
            time.sleep(0.1)  # as `retryable` asks
    raise AssertionError("the run did not come to its end")


# ---- beginning

def test_twenty_bridges_that_begin_at_once_on_an_empty_database(lab):
    store = lab.store
    model = lab.script([say("hello")])
    line = b'{"jsonrpc":"2.0","id":1,"method":"run.start","params":{"input":"go","agent":{"model":"%s"}}}\n' % model.encode()
    started = [subprocess.Popen([BINARY, "--store", store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=base_env(lab.path))
               for _ in range(20)]
    ended = []
    threads = [threading.Thread(target=lambda p=p: ended.append((p.communicate(line), p.returncode))) for p in started]
    for t in threads:
        t.start()
    for t in threads:
        t.join(8 * TIMEOUT)
    assert len(ended) == 20
    for (out, err), code in ended:
        assert code == 0, err
        assert loads(out.splitlines()[-1])["result"]["answer"] == "hello"
    assert postgres.server().sql("select count(*) from footbridge.store", lab.database) == ["1"]
    assert len(lab.bridge().call("run.list", {"limit": 100})["runs"]) == 20


def test_a_store_of_a_newer_bridge_is_refused(lab):
    lab.bridge()
    postgres.server().sql("update footbridge.store set version = 999", lab.database)
    unusable(lab, lab.store, "version 999", "newer")


def test_a_server_that_cannot_be_reached_ends_the_start_with_74_and_says_why(lab):
    folder, port = tempfile.mkdtemp(dir="/tmp"), free_port()
    unusable(lab, f"postgresql:///none?host={folder}", folder, "none")
    unusable(lab, f"postgresql://127.0.0.1:{port}/none", "127.0.0.1", "refused")
    unusable(lab, f"host=127.0.0.1 port={port} dbname=none", "127.0.0.1", "refused")
    unusable(lab, postgres.server().store("there_is_no_such"), "there_is_no_such", "does not exist")
    unusable(lab, "postgresql://no-such-host.invalid/x", "no-such-host.invalid")


def test_a_wrong_password_is_told_and_no_password_is_shown(lab):
    server = postgres.server()
    server.sql("drop role if exists locked")
    server.sql("create role locked login password 'right one'")
    database = server.database()
    host = server.folder.replace("/", "%2F")
    for store in (f"postgresql://locked:wr0ng-Secret@/{database}?host={host}", f"postgresql:///{database}?host={host}&user=locked&password=wr0ng-Secret",
                  f"host={server.folder} dbname={database} user=locked password='wr0ng-Secret'"):
        err = unusable(lab, store, "locked", "password", database)
        assert b"wr0ng" not in err
    for broken in ("postgresql://u:wr0ng%ZZ@h/d", "postgresql://u:wr0ng@h/d?nonsense=1", "password=wr0ng nonsense"):
        code, out, err = serve(lab, broken)
        assert code in (64, 74) and out == b"" and b"wr0ng" not in err, err
    server.sql(f"grant create on database {database} to locked")
    code, out, err = serve(lab, f"postgresql://locked:right%20one@/{database}?host={host}")
    assert code == 0, err
    code, out, err = lab.cli("--store", f"postgresql://locked:right%20one@/{database}?host={host}", "show", "last", store=False)
    assert code == 1 and b"right" not in err and database.encode() in err, err


def test_a_role_without_rights_is_told_which_it_needs(lab):
    server = postgres.server()
    server.sql("drop role if exists guest")
    server.sql("create role guest login")
    unusable(lab, server.store(server.database(), user="guest"), "permission denied")


def test_libpq_is_loaded_for_a_store_in_postgresql_alone(lab):
    def libraries(b):
        return Path(f"/proc/{b.pid}/maps").read_text()
    assert "libpq" in libraries(lab.bridge())
    assert "libpq" not in libraries(lab.bridge(store="memory"))


def test_a_bridge_has_at_most_two_connections(lab):
    b = lab.parent()
    b.handlers["t"] = {"content": "x"}
    requests = [b.start(many_calls(lab, 3), [tool("t")]) for _ in range(20)]
    for r in requests:
        assert b.result(r, 4 * TIMEOUT)["status"] == "success"
    count, = postgres.server().sql(f"select count(*) from pg_stat_activity where datname = '{lab.database}' and application_name = 'footbridge'")
    assert 1 <= int(count) <= 2


def test_settings_of_the_database_do_not_weaken_a_commit(lab):
    """The promise holds where somebody has switched synchronous commits off, and where another isolation is the default."""
    server = postgres.server()
    lab.store
    server.sql(f"alter database {lab.database} set synchronous_commit = off")
    server.sql(f"alter database {lab.database} set default_transaction_isolation = 'serializable'")
    for _ in range(3):
        a = lab.bridge()
        o = a.run([calls("t"), say("late", delayMs=60_000)], [tool("t")])
        run, c = o["runId"], o["pendingToolCalls"][0]["callId"]
        a.submit(run, {c: "kept"}, wait=False)
        server.restart()
        a.kill9()
        assert [text_of(d["content"]) for d in lab.bridge().log_of(run, "tool.completed")] == ["kept"]


# ---- TLS

@pytest.fixture(scope="module")
def tls():
    server = postgres.Server(port=free_port())
    yield server
    server.stop()


def test_tls_by_sslmode(lab, tls):
    database = tls.database()

    def store(mode):
        return tls.store(database, host="localhost", hostaddr="127.0.0.1", sslmode=mode)
    code, out, err = serve(lab, store("require"))
    assert code == 0, err
    b = lab.parent(store=store("require"))
    b.handlers["t"] = {"content": "x"}
    assert b.succeeds(many_calls(lab, 3), [tool("t")])
    used = tls.sql("select ssl, count(*) from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'footbridge' group by 1")
    assert used and all(row.startswith("t|") for row in used), used
    err = unusable(lab, store("verify-full"), "certificate")
    assert b"localhost" in err
    lab.finish()


# ---- a server that goes

def test_a_server_that_restarts_under_load_costs_no_run_and_no_result(lab):
    turns, runs = 40, 4
    server = postgres.Server()
    database = server.database()
    b = lab.parent(store=server.store(database))
    b.handlers["t"] = {"content": "x"}
    model = many_calls(lab, turns)
    ids = [b.start_id(b.start(model, [tool("t")], agent={"limits": {"maxIterations": 1000}})) for _ in range(runs)]
    for at in (5, 15, 25):
        until(lambda: len(b.invocations) > at * runs, timeout=4 * TIMEOUT)
        server.restart()
    for run in ids:
        assert finish(b, run)["answer"] == "all done"
    for run in ids:
        check_once(b, run, turns)
    lab.finish()
    server.stop()


def test_a_server_that_is_away_for_long_is_unavailable_and_then_serves_again(lab):
    server = postgres.Server()
    b = lab.parent(store=server.store(server.database()))
    o = b.run([say("one")])
    run = b.start_id(b.start(many_calls(lab, 2), [tool("t")]))
    m = b.next_invoke("t")
    server.pause()
    b.answer(m, {"content": "kept or not"})
    assert b.fails("run.get", {"runId": o["runId"]}, kind="store.unavailable", timeout=6 * TIMEOUT).error["data"]["retryable"] is True
    b.ping()
    server.resume()
    b.handlers["t"] = {"content": "x"}
    until(lambda: b.call("run.list")["runs"] if serves(b) else None, timeout=4 * TIMEOUT)
    assert b.get(o["runId"])["answer"] == "one"
    assert finish(b, run)["answer"] == "all done"
    check_once(b, run, 2)
    lab.finish()
    server.stop()


def serves(b):
    try:
        b.call("run.list", timeout=4 * TIMEOUT)
        return True
    except Exception as e:
        assert e.kind == "store.unavailable"
        return False


def test_terminated_connections_are_replaced(lab):
    turns = 60
    b = lab.parent()
    b.handlers["t"] = {"content": "x"}
    run = b.start_id(b.start(many_calls(lab, turns), [tool("t")], agent={"limits": {"maxIterations": 1000}}))
    for at in range(5, turns - 5, 5):
        until(lambda: len(b.invocations) > at, timeout=4 * TIMEOUT)
        postgres.server().sql(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{lab.database}' and pid <> pg_backend_pid()")
    assert finish(b, run)["answer"] == "all done"
    check_once(b, run, turns)


def test_observers_see_streamed_text_after_the_server_has_crashed(lab):
    """Who observes is in a table that a crash of the server empties: the observers declare it again."""
    server = postgres.Server()
    database = server.database()
    a, b = (lab.parent(store=server.store(database)) for _ in range(2))
    a.start([calls("t"), say("streamed later", delayMs=600)], [tool("t")])
    m = a.next_invoke("t")
    run = m.params["runId"]
    b.call("run.subscribe", {"runId": run})
    until(lambda: server.sql("select count(*) from footbridge.observers", database) == ["1"])
    server.restart()
    until(lambda: server.sql("select count(*) from footbridge.observers", database) == ["1"], timeout=2 * TIMEOUT)
    a.answer(m, {"content": "x"})
    b.wait_event("run.completed", run, timeout=4 * TIMEOUT)
    assert "".join(e.data["text"] for e in b.events(run, "text.delta")) == "streamed later"
    lab.finish()
    server.stop()


class Proxy:
    """Stands between a bridge and the server. `cut` closes the connection instead of passing on the server's next answer after a write."""

    def __init__(self, server):
        self.folder = tempfile.mkdtemp(prefix="fb-px-", dir="/tmp")
        self.to = f"{server.folder}/.s.PGSQL.5432"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.folder}/.s.PGSQL.5432")
        self.listener.listen()
        self.cuts = 0
        self.wanted = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.to)
            threading.Thread(target=self.carry, args=(client, server), daemon=True).start()

    def carry(self, client, server):
        """One thread a connection, so that an answer is known to belong to what was sent before it."""
        import select
        is_write = False
        try:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if client in ready:
                    data = client.recv(1 << 20)
                    if not data:
                        break
                    is_write = is_write or b"footbridge_" in data and b"tool.completed" in data
                    server.sendall(data)
                if server in ready:
                    data = server.recv(1 << 20)
                    if not data:
                        break
                    with self.lock:
                        if is_write and self.wanted > 0:
                            self.wanted -= 1
                            self.cuts += 1
                            break
                    is_write = False
                    client.sendall(data)
        except OSError:
            pass
        finally:
            client.close()
            server.close()


def test_a_commit_whose_answer_is_lost_counts_once(lab):
    """The proxy lets the write through and cuts the connection when its answer comes: the bridge must find out that it is done."""
    turns, cuts = 20, 8
    lab.store
    proxy = Proxy(postgres.server())
    b = lab.parent(store=f"postgresql:///{lab.database}?host={proxy.folder}&user=postgres")
    b.handlers["t"] = {"content": "x"}
    run = b.start_id(b.start(many_calls(lab, turns), [tool("t")], agent={"limits": {"maxIterations": 1000}}))
    for n in range(cuts):
        with proxy.lock:
            proxy.wanted = 1
        until(lambda: proxy.cuts > n, timeout=4 * TIMEOUT)
    assert b.wait_run(run, 8 * TIMEOUT)["answer"] == "all done"
    check_once(b, run, turns)
    assert proxy.cuts == cuts
    assert b"store failed" not in b.stderr, b.stderr


def test_a_server_that_only_reads_is_read_and_says_so_to_who_writes(lab):
    o = lab.bridge().run([say("before")])
    lab.finish()
    server = postgres.server()
    server.sql(f"alter database {lab.database} set default_transaction_read_only = on")
    b = lab.bridge()
    assert b.get(o["runId"])["answer"] == "before"
    m = b.fails("run.start", b.params([say("after")]), kind="store.unavailable")
    assert "read-only" in m.error["message"] and "primary" in m.error["message"]
    code, out, err = lab.cli("runs")
    assert code == 0 and o["runId"].encode() in out
    server.sql(f"alter database {lab.database} reset default_transaction_read_only")


def can_mount():
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs the right to mount")
def test_a_full_disk_of_the_server_is_told_and_nothing_of_the_change_is_stored(lab):
    server = postgres.Server()
    disk = tempfile.mkdtemp(prefix="fb-disk-", dir="/tmp")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=777", "none", disk], check=True)
    try:
        subprocess.run(["mkdir", "-m", "777", f"{disk}/t"], check=True)
        subprocess.run(["chown", f"--reference={server.folder}", f"{disk}/t"], check=True)
        server.sql(f"create tablespace small location '{disk}/t'")
        server.sql("create database full_one tablespace small")
        b = lab.bridge(store=server.store("full_one"))
        o = b.run([*[calls("t") for _ in range(40)], say("ok")], [tool("t")])
        run = o["runId"]
        stored = 0
        error = None
        while error is None and stored < 39:
            c = o["pendingToolCalls"][0]["callId"]
            try:
                o = b.submit(run, {c: os.urandom(500_000).hex()}, timeout=8 * TIMEOUT)
                stored += 1
            except Exception as e:
                error = e
        assert error is not None and error.kind == "store.full", error
        assert len(b.log_of(run, "tool.completed")) == stored
        lab.finish()
    finally:
        server.stop()
        subprocess.run(["umount", "-l", disk])


# ---- leases

def driven_elsewhere(lab, a):
    """A run that a process drives, as if that were on another machine."""
    run = a.background([calls("c"), say("ok")], [sh("c", f"read -r x; echo ran >> {lab.path}/ran; exec sleep 300")])
    until(lambda: lab.lines("ran"))
    postgres.server().sql("update footbridge.owners set machine = 'another'", lab.database)
    return run


def test_the_lease_of_a_process_on_another_machine_runs_out_within_10_seconds_of_its_death(lab):
    a = lab.bridge()
    run = driven_elsewhere(lab, a)
    b = lab.bridge()
    assert b.get(run)["driver"] == "other"
    m = b.fails("run.resume", {"runId": run}, kind="run.leaseHeld")
    assert m.error["data"]["retryable"] is True
    a.kill9()
    died = time.monotonic()
    until(lambda: b.get(run)["driver"] == "none", timeout=10)
    assert time.monotonic() - died > 1, "nobody can know so soon"
    assert b.call("run.resume", {"runId": run}, 4 * TIMEOUT)["status"] == "success"
    assert lab.lines("ran") == ["ran"]


def test_a_process_on_this_machine_is_known_to_be_dead_at_once(lab):
    a = lab.bridge()
    run = a.background([calls("c"), say("ok")], [sh("c", "exec sleep 300")])
    a.wait_event("tool.started", run)
    b = lab.bridge()
    assert b.get(run)["driver"] == "other"
    a.kill9()
    assert b.call("run.resume", {"runId": run}, 2 * TIMEOUT)["status"] == "success"


def test_a_bridge_that_cannot_look_at_a_process_does_not_take_it_for_dead(lab):
    """Without a descriptor it cannot read what the kernel says of others."""
    a, b = lab.bridge(), lab.bridge()
    run = a.background([calls("c"), say("ok")], [sh("c", f"echo ran >> {lab.path}/ran; exec sleep 300")])
    until(lambda: lab.lines("ran"))
    assert b.get(run)["driver"] == "other"
    before = resource.prlimit(b.pid, resource.RLIMIT_NOFILE)
    used = {int(n) for n in os.listdir(f"/proc/{b.pid}/fd")}
    resource.prlimit(b.pid, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), before[1]))
    assert b.get(run)["driver"] == "other"
    b.fails("run.resume", {"runId": run}, kind="run.leaseHeld")
    resource.prlimit(b.pid, resource.RLIMIT_NOFILE, before)
    assert b.get(run)["driver"] == "other"
    a.kill9()
    until(lambda: b.get(run)["driver"] == "none")


def test_adopt_takes_up_what_a_dead_process_on_another_machine_left(lab):
    a = lab.bridge()
    run = driven_elsewhere(lab, a)
    b = lab.bridge("--adopt")
    a.kill9()
    until(lambda: b.get(run)["status"] == "success", timeout=10 + 2 * TIMEOUT)
    assert lab.lines("ran") == ["ran"]


def test_a_process_that_was_frozen_past_its_lease_is_fenced_out_at_its_first_append(lab):
    """The frozen one has a result on its way; the other has finished the run meanwhile. What the first one does then changes nothing."""
    a = lab.parent()
    a.start(many_calls(lab, 2), [tool("t")])
    late = a.next_invoke("t")
    run = late.params["runId"]
    a.signal(signal.SIGSTOP)
    postgres.server().sql("update footbridge.owners set machine = 'another'", lab.database)
    b = lab.parent()
    b.handlers["t"] = {"content": "from the second"}
    until(lambda: b.get(run)["pendingToolCalls"][0]["state"] == "parked", timeout=10 + 2 * TIMEOUT)
    assert b.call("run.resume", {"runId": run}, 4 * TIMEOUT)["status"] == "success"
    before = b.log(run)
    a.answer(late, {"content": "from the frozen one"})
    a.signal(signal.SIGCONT)
    until(lambda: a.get(run)["ended"], timeout=4 * TIMEOUT)
    a.ping()
    results = [text_of(d["content"]) for d in b.log_of(run, "tool.completed")]
    assert results == ["from the second"] * 2
    assert b.log(run)[:len(before)] == before
    assert all(e["type"] == "tool.resultRejected" for e in b.log(run)[len(before):])


# ---- a pooler

class Pooler:
    """PgBouncer in transaction mode, with fewer connections to the server than there are clients."""

    def __init__(self, server, database, size=2):
        self.folder = tempfile.mkdtemp(prefix="fb-pb-", dir="/tmp")
        os.chmod(self.folder, 0o777)
        config = Path(self.folder, "pgbouncer.ini")
        config.write_text(f"""[databases]
{database} = host={server.folder} port=5432 user=postgres
[pgbouncer]
listen_addr =
unix_socket_dir = {self.folder}
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 100
server_check_delay = 0
""")
        argv = ["pgbouncer", str(config)]
        if os.geteuid() == 0:
            argv = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *argv]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=Path(self.folder, "log").open("wb"), cwd="/")
        until(lambda: Path(self.folder, ".s.PGSQL.6432").exists() or self.process.poll() is not None)
        assert self.process.poll() is None, Path(self.folder, "log").read_text()
        self.store = f"postgresql:///{database}?host={self.folder}&port=6432&user=postgres"

    def stop(self):
        self.process.terminate()
        self.process.wait()


def has_pgbouncer():
    return any(os.access(os.path.join(folder, "pgbouncer"), os.X_OK) for folder in [*os.environ.get("PATH", "").split(":"), "/usr/sbin"])


@pytest.mark.skipif(not has_pgbouncer(), reason="PgBouncer is not installed")
def test_through_a_pooler_in_transaction_mode(lab):
    """Four bridges share two server connections: runs, submits from other processes, observers, streamed text, sessions."""
    server = postgres.server()
    lab.store
    pooler = Pooler(server, lab.database)
    try:
        a, b, c, d = (lab.parent(store=pooler.store) for _ in range(4))
        for x in (a, b, c, d):
            x.handlers["t"] = {"content": "x"}
        model = many_calls(lab, 10)
        requests = [(x, x.start(model, [tool("t")])) for x in (a, b, c, d) for _ in range(5)]
        for x, r in requests:
            assert x.result(r, 8 * TIMEOUT)["answer"] == "all done"
        o = a.call("run.start", {**a.params([calls("u"), calls("v"), say("streamed", delayMs=400)], [tool("u"), tool("v")]), "delivery": "pause"}, 4 * TIMEOUT)
        run = o["runId"]
        c.call("run.subscribe", {"runId": run})
        o = b.submit(run, {o["pendingToolCalls"][0]["callId"]: "u"}, 4 * TIMEOUT, delivery="pause")
        o = d.submit(run, {o["pendingToolCalls"][0]["callId"]: "v"}, 4 * TIMEOUT)
        assert o["answer"] == "streamed"
        c.wait_event("run.completed", run, timeout=4 * TIMEOUT)
        assert "".join(m.params["data"]["text"] for m in c.events(run, "text.delta")) == "streamed"
        session = a.call("session.create")
        for x in (a, b, c):
            assert x.run([say("turn")], sessionId=session["sessionId"], timeout=4 * TIMEOUT)["answer"] == "turn"
        assert len(d.call("session.messages", {"sessionId": session["sessionId"]})["messages"]) == 6
        lab.finish()
        count, = server.sql(f"select count(*) from pg_stat_activity where datname = '{lab.database}' and usename = 'postgres' and pid <> pg_backend_pid()")
        assert int(count) <= 2, "the pooler is not between"
    finally:
        pooler.stop()

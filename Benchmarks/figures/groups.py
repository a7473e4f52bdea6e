"""Group commit, on both stores, and many bridges on one PostgreSQL."""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from .calls import ANSWER
from .client import INITIALIZE, call, run_start
from .machine import BINARY, HERE
from .table import Row

ABOUT = ("results a second: each is in the store, synced, before the run goes on; each takes two commits, shared by the runs that are ready together. "
         "Script model, parents in C, PostgreSQL on the same machine with fsync on")
BRIDGES, RUNS = 8, 1000
SERVER = HERE.parent / "Tests/postgres.sh"
PGBENCH = shutil.which("pgbench") or next((str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))), None)


def measure(machine):
    server = Server(machine) if PGBENCH else None
    rows = []
    try:
        bare = bare_sqlite(machine)
        for count in (1, 10, 100):
            rows.append(Row(f"SQLite, {count} at once", rate(many(machine, count, machine.bridge())), "/s", "SQLite, C library from Python: bare commits", bare))
        if not server:
            return rows + [Row("PostgreSQL is not installed here", 0, "")]
        bare = server.bare_commits(1)
        for count in (1, 10, 100):
            rows.append(Row(f"PostgreSQL, {count} at once", rate(many(machine, count, server.bridge())), "/s", "pgbench, 1 client: bare commits", bare))
        before = server.processor_seconds()
        took, results, processor = fleet(machine, server)
        of_server = server.processor_seconds() - before
        eight = server.bare_commits(BRIDGES)
        rows.append(Row(f"{BRIDGES} bridges, {RUNS} runs at once", results / took, "/s", f"pgbench, {BRIDGES} clients: bare commits", eight))
        rows.append(Row("the same, a result", took / results * 1e6, "us", "bare", 1e6 / eight, goal=500))
        rows.append(Row("the same, processor of the bridges for a result", processor / results / 1000, "ms"))
        rows.append(Row("the same, processor of the server for a result", of_server / results * 1000, "ms"))
    finally:
        if server:
            server.stop()
    return rows


class Server:
    """A private one, beside the other stores on the disk; its socket is in /tmp, for the length of its path."""

    def __init__(self, machine):
        self.link = tempfile.mkdtemp(prefix="fb-pg-", dir="/tmp")
        os.rmdir(self.link)
        self.folder = machine.file("postgres")
        os.makedirs(self.folder)
        # The server's user must be able to reach it.
        for folder in Path(self.folder).parents:
            if folder.owner() == "root" and folder.is_relative_to(machine.parent):
                folder.chmod(0o755)
        os.symlink(self.folder, self.link)
        subprocess.run([SERVER, "start", self.link, str(os.getpid())], check=True)
        self.count = 0

    def stop(self):
        subprocess.run([SERVER, "stop", self.link], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, text, database="postgres"):
        subprocess.run(["psql", "-X", "-q", "-h", self.link, "-U", "postgres", "-d", database, "-c", text], check=True, stdout=subprocess.DEVNULL)

    def database(self):
        self.count += 1
        self.sql(f"create database bench_{self.count}")
        return f"bench_{self.count}"

    def bridge(self, database=None):
        return [str(BINARY), "--store", f"postgresql:///{database or self.database()}?host={self.link}&user=postgres", "--log-level", "error"]

    def processor_seconds(self):
        """Of the server and all its processes, those that have ended too."""
        pid = int(Path(self.folder, "data/postmaster.pid").read_text().split()[0])
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(stat.parent.name) == pid:
                ticks += sum(int(field) for field in fields[11:15])
            elif int(fields[1]) == pid:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def bare_commits(self, clients):
        """Transactions of one row with the bytes of a call's events, a second."""
        database = self.database()
        self.sql("create table bare (number bigserial primary key, value bytea)", database)
        script = Path(self.folder, "insert.sql")
        script.write_text("insert into bare (value) values (decode(repeat('6a', 700), 'hex'));\n")
        done = subprocess.run([PGBENCH, "-n", "-M", "prepared", "-h", self.link, "-U", "postgres", "-c", str(clients), "-j", str(min(clients, 2)), "-T", "3", "-f", script, database],
                              check=True, stdout=subprocess.PIPE, text=True)
        return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])


def bare_sqlite(machine):
    with sqlite3.connect(machine.file("db"), isolation_level=None) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE bare (number INTEGER PRIMARY KEY, value BLOB)")
        value, count, start = b"j" * 700, 0, time.monotonic()
        while time.monotonic() - start < 2:
            database.execute("INSERT INTO bare (value) VALUES (?)", (value,))
            count += 1
        took = time.monotonic() - start
    database.close()
    return count / took


def request(machine, calls):
    return run_start(0, machine.script(call(calls), {"text": "done"})).replace('"id":0,', '"id":@,')


def many(machine, count, bridge):
    calls = max(10, (500 if machine.quick else 2000) // count)
    return machine.run("parent", "many", INITIALIZE, request(machine, calls), count, ANSWER, "--", *bridge)


def rate(run):
    return run["calls"] / run["wall"] * 1e6


def fleet(machine, server):
    """All bridges at once; from the first one's start to the last one's end."""
    calls = 10 if machine.quick else 30
    database = server.database()
    # The tables are there before the clock runs.
    subprocess.run([*server.bridge(database), "runs"], check=True, stdout=subprocess.DEVNULL)
    line = request(machine, calls)
    command = machine.floor("parent", "many", INITIALIZE, line, RUNS // BRIDGES, ANSWER, "--", *server.bridge(database))
    start = time.monotonic()
    parents = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(BRIDGES)]
    runs = [json.loads(parent.communicate()[0]) for parent in parents]
    took = time.monotonic() - start
    return took, sum(run["calls"] for run in runs), sum(run["cpu"] for run in runs)

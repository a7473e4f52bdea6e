"""What a result costs on the disk."""
import os
import random
import sqlite3

from .client import INVOKE, Bridge, answer, call, run_start
from .table import Row

ABOUT = "the database's file after a checkpoint, less that of an empty store, for each byte of result; results are lines of text"


def measure(machine):
    calls = 20 if machine.quick else 50
    words = random.Random(1)
    with Bridge(machine.bridge(empty := machine.file("db"))):
        pass
    base = file_size(empty)
    rows = []
    for name, size in [("1 KB", 1000), ("4 KB", 4000), ("10 KB", 10_000), ("100 KB", 100_000), ("1 MB", 1_000_000)]:
        results = [text(words, size) for _ in range(min(calls, 10))]
        store = machine.file("db")
        play(machine, store, results, calls)
        bare = bare_size(machine.file("db"), results, calls)
        rows.append(Row(f"{calls} results of {name}", (file_size(store) - base) / (calls * size), "", "one table of blobs", bare / (calls * size), goal=1.2 if size == 100_000 else None))
    store = machine.file("db")
    play(machine, store, [b'""'], 1000)
    rows.append(Row("a call with an empty result", (file_size(store) - base) / 1000, "bytes"))
    return rows


def text(words, size):
    """A JSON string of `size` bytes of text."""
    lines = b"".join(b"%x " % words.getrandbits(40) for _ in range(size // 8))
    return b'"%b"' % (lines + b"x" * size)[:size]


def play(machine, store, results, calls):
    with Bridge(machine.bridge(store)) as bridge:
        bridge.send(run_start(2, machine.script(call(calls), {"text": "done"})))
        for index in range(calls):
            bridge.send(answer(bridge.until(INVOKE), results[index % len(results)]))
        bridge.until(b'"id":2,"result"')


def file_size(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database.close()
    return os.path.getsize(path)


def bare_size(path, results, calls):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA page_size = 8192")
        database.execute("CREATE TABLE results (number INTEGER PRIMARY KEY, value BLOB)")
        for index in range(calls):
            database.execute("INSERT INTO results (value) VALUES (?)", (results[index % len(results)],))
    database.close()
    return os.path.getsize(path)

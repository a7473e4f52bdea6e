"""A private PostgreSQL server for the tests of one process, by Tests/postgres.sh; it ends with the process."""
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from urllib.parse import quote

SCRIPT = Path(__file__).resolve().parent.parent / "postgres.sh"
IS_INSTALLED = bool(shutil.which("psql")) and any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


class Server:
    """`port`: also listen there, with TLS by a certificate that nobody has signed."""

    def __init__(self, port=None):
        self.port = port
        self.folder = tempfile.mkdtemp(prefix="fb-pg-", dir="/tmp")
        self.count = 0
        self.run("start", self.folder, os.getpid())

    def run(self, *args):
        env = dict(os.environ, **({"POSTGRES_PORT": str(self.port)} if self.port else {}))
        done = subprocess.run([SCRIPT, *map(str, args)], capture_output=True, env=env, stdin=subprocess.DEVNULL, timeout=120)
        assert done.returncode == 0, (done.stdout, done.stderr)

    def restart(self):
        """As after a crash of the server."""
        self.run("restart", self.folder)

    def pause(self):
        """Stops the server, at once and without a last word; `resume` starts it again."""
        self.run("halt", self.folder)

    def resume(self):
        self.run("start", self.folder)

    def stop(self):
        self.run("stop", self.folder)

    def sql(self, text, database="postgres"):
        """The rows, as lines with | between the columns."""
        argv = ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port or 5432), "-U", "postgres", "-d", database, "-c", text]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def database(self):
        """The name of a new, empty one."""
        self.count += 1
        name = f"test_{os.getpid()}_{self.count}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def store(self, database, **more):
        """What --store takes."""
        parameters = {"host": self.folder, "port": self.port or 5432, "user": "postgres", **more}
        return f"postgresql:///{database}?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())


_server = None
_lock = threading.Lock()


def server():
    """The one that the tests of this process share, each in a database of its own."""
    global _server
    with _lock:
        if _server is None:
            _server = Server()
        return _server

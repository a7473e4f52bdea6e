"""The binary, the floor programs, a folder on the disk, and what /proc tells."""
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
BUILD = HERE.parent / ".build"
BINARY = Path(os.environ.get("FOOTBRIDGE_BINARY") or BUILD / "release/footbridge").resolve()
PYTHON = shutil.which("python3", path="/usr/bin") or shutil.which("python3")
NODE = shutil.which("node")


class Machine:
    """The floors, compiled, and an empty folder on the disk that is gone afterwards."""

    def __init__(self, quick, folder=None):
        self.quick = quick
        self.parent = folder or BUILD / "benchmarks"
        self.programs = BUILD / "benchmarks"
        self.programs.mkdir(parents=True, exist_ok=True)
        for source in (HERE / "floors").glob("*.c"):
            compile_floor(source, self.programs / source.stem)

    def __enter__(self):
        # Not in /tmp, which may be in memory: syncing must cost what it costs where stores lie.
        self.folder = Path(tempfile.mkdtemp(prefix="work-", dir=self.parent))
        self.files = 0
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, kind):
        """A path that is not used yet."""
        self.files += 1
        return str(self.folder / f"{self.files}.{kind}")

    def script(self, *turns):
        path = self.file("jsonl")
        Path(path).write_text("".join(json.dumps(turn) + "\n" for turn in turns))
        return path

    def bridge(self, store=None):
        where = store if store == "memory" else f"sqlite:{store or self.file('db')}"
        return [str(BINARY), "--store", where, "--log-level", "error"]

    def floor(self, name, *arguments):
        return [str(self.programs / name), *map(str, arguments)]

    def run(self, name, *arguments, environment=None):
        """What a floor program prints, as JSON."""
        command = self.floor(name, *arguments)
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}).stdout)


LIBRARIES = {"sqlite3.h": "-lsqlite3", "curl/curl.h": "-lcurl"}


def compile_floor(source, program):
    newest = max(file.stat().st_mtime for file in [source, *source.parent.glob("*.h")])
    if program.exists() and program.stat().st_mtime >= newest:
        return
    text = source.read_text()
    libraries = [library for header, library in LIBRARIES.items() if header in text]
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-o", program, source, "-pthread", *libraries], check=True)


def describe(machine):
    """Where and when, for a reader of the table."""
    def version(*command):
        return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.strip()

    processors = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    system = max((mount for mount in mounts if str(machine.folder).startswith(mount[1])), key=lambda mount: len(mount[1]))[2]
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "binary": f"{version(BINARY, '--version')}, {BINARY.stat().st_size / 1e6:.1f} MB",
        "machine": f"{os.cpu_count()} x {processors[0] if processors else platform.machine()}, Linux {platform.release()}",
        "stores": f"{system}, SQLite {sqlite3.sqlite_version}",
        "beside": ", ".join(filter(None, [version(PYTHON, "--version"), f"Node {version(NODE, '--version')}" if NODE else "no Node"])),
        "load": f"{os.getloadavg()[0]:.1f} (above 1: others work here too, read only the ratios)",
    }


def status(pid, name):
    """A size of /proc/PID/status, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(name)


def cpu_seconds(pid):
    """Processor time of all threads: what utime and stime of /proc/PID/stat count in ticks, in nanoseconds."""
    return time.clock_gettime((~pid << 3) | 2)


def paired_ratio(series, floor, block):
    """The median, over blocks measured one after the other, of the ratio of their medians: a disk that is slow for a while is slow for both."""
    ratios = [statistics.median(series[i:i + block]) / statistics.median(floor[i:i + block]) for i in range(0, len(series) - block + 1, block)]
    return statistics.median(ratios)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]

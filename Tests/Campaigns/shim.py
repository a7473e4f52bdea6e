"""The preloaded library `shim.c`: how it is built, and the page through which it is steered."""
from __future__ import annotations

import errno
import mmap
import os
import struct
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
LIBRARY = REPO / ".build" / "campaigns" / "shim.so"

# As in shim.c.
KINDS = ["none", "store write", "store sync", "store shape", "message in", "message out", "server out", "store read", "store open"]
STORE_WRITE, STORE_SYNC, STORE_SHAPE, WIRE_IN, WIRE_OUT, SERVER_OUT, STORE_READ, STORE_OPEN = range(1, 9)
BEFORE, AFTER, TORN, STOP = range(4)
HOW = ["before", "after", "in the middle of", "with its server restarted before"]
FIELDS = ["points", "kill_at", "kill_how", "fail_kinds", "fail_errno", "fail_from", "fail_count", "fail_seen", "fail_made", "clock_shift", "lock_tries"]
MOST_POINTS = 32768
SIZE = 8 * (len(FIELDS) + MOST_POINTS)
FOREVER = 1 << 40


def build() -> Path:
    """The library, made anew when its source is newer; safe beside others who do the same."""
    source = HERE / "shim.c"
    if not LIBRARY.exists() or LIBRARY.stat().st_mtime < source.stat().st_mtime:
        LIBRARY.parent.mkdir(parents=True, exist_ok=True)
        made = LIBRARY.with_name(f"shim-{os.getpid()}.so")
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", made, source, "-ldl", "-lpthread"], check=True)
        made.replace(LIBRARY)
    return LIBRARY


class Shim:
    """The shared page of one process."""

    def __init__(self, path: Path, store: str, journal: Path | None = None):
        self.path = path
        self.environment = {"LD_PRELOAD": str(build()), "SHIM_CONTROL": str(path), "SHIM_STORE": store}
        if journal:
            self.environment["SHIM_JOURNAL"] = str(journal)
        with open(path, "w+b") as file:
            file.truncate(SIZE)
            self.page = mmap.mmap(file.fileno(), SIZE)

    def get(self, field: str) -> int:
        return struct.unpack_from("q", self.page, 8 * FIELDS.index(field))[0]

    def set(self, **fields: int):
        for field, value in fields.items():
            struct.pack_into("q", self.page, 8 * FIELDS.index(field), value)

    def arm(self, number: int, how: int):
        """From here on the points are counted from 1, and that one ends the process; 0 for none."""
        self.set(kill_at=0)
        self.set(points=0, kill_how=how)
        self.set(kill_at=number)

    def fail(self, kinds, error: int | str, first: int = 1, count: int = FOREVER):
        """Calls of these kinds fail from the `first` on; an error "short" is a write of half."""
        self.set(fail_kinds=0)
        number = 0 if error == "short" else getattr(errno, error) if isinstance(error, str) else error
        self.set(fail_errno=number, fail_from=first, fail_count=count, fail_seen=0, fail_made=0)
        self.set(fail_kinds=sum(1 << kind for kind in kinds))

    def heal(self):
        self.set(fail_kinds=0)

    def kinds(self) -> list[int]:
        """What the points were that were passed since `arm`."""
        count = self.get("points")
        assert count <= MOST_POINTS, f"{count} points: more than the page has room for"
        return list(struct.unpack_from(f"{count}Q", self.page, 8 * len(FIELDS)))

    def close(self):
        self.page.close()
        os.unlink(self.path)

#!/usr/bin/env python3
"""Writes Sources/Footbridge/Linking/counts.profdata: how often each branch was taken while the program was measured, by which the compiler lays out the code of
each function (see Package.swift).

    Benchmarks/profile.py

Takes some minutes: it builds the program with counters into .build/counted, and has run.py measure that. To be run when much has changed, and before layout.py.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
COUNTS = REPO / "Sources/Footbridge/Linking/counts.profdata"
#: What is measured to be counted: nothing that waits, or needs what is not there everywhere.
FIGURES = ["start", "calls", "results", "waiting", "large", "trips", "streaming", "latency", "provided", "sessions", "submits"]
#: The program ends without what libraries want done at the end, and the counters are written there.
LAST_WORDS = "#include <stdlib.h>\nvoid _exit(int status) { exit(status); }\n"


def tool(name):
    """One of the compiler's own tools."""
    return Path(os.path.realpath(shutil.which("swiftc"))).with_name(name)


def build(folder):
    """The program with counters."""
    link = ["-Xswiftc", "-Xclang-linker", "-Xswiftc", "-fprofile-generate"]
    argv = ["swift", "build", "-c", "release", "--product", "footbridge", "--scratch-path", folder, *link]
    subprocess.run(argv, cwd=REPO, check=True, env=dict(os.environ, FOOTBRIDGE_COUNT="1"))
    return folder / "release/footbridge"


def main():
    binary = build(REPO / ".build/counted")
    with tempfile.TemporaryDirectory() as folder:
        last_words = Path(folder) / "last_words.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", last_words, "-x", "c", "-"], input=LAST_WORDS, text=True, check=True)
        counting = {"FOOTBRIDGE_BINARY": str(binary), "LD_PRELOAD": str(last_words), "LLVM_PROFILE_FILE": f"{folder}/%m-%p.profraw"}
        measure = [sys.executable, Path(__file__).with_name("run.py"), "--quick", *(word for name in FIGURES for word in ("--only", name))]
        subprocess.run(measure, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **counting})
        counted = sorted(Path(folder).glob("*.profraw"))
        # Sparse: a function that was never called is compiled as if nothing had been counted, and not as one that is rare. A process that did not end well has
        # left a file that cannot be read; the others do.
        subprocess.run([tool("llvm-profdata"), "merge", "-sparse", "-failure-mode=all", "-o", COUNTS, *counted], check=True)
    print(f"{len(counted)} processes counted, {COUNTS.stat().st_size:,} bytes; now build, run layout.py, and build again")


if __name__ == "__main__":
    main()

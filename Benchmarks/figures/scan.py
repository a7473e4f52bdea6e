"""The validating scan of what is only carried, without the rest of the program."""
import json
import os
import subprocess

from .machine import HERE
from .table import Row

ABOUT = "full RFC 8259 and UTF-8 validation of 50 MB, the fastest of 7 rounds; the sources of JSON compiled with -O beside a clock"
GOALS = {"plain ASCII": 8, "source code": 3.5, "German": 3, "CJK": 1.5, "rows": 1.8}
JSON = HERE.parent / "Sources/JSON"
FLAGS = ["-O", "-wmo", "-swift-version", "6", "-package-name", "footbridge", "-parse-as-library", "-enable-upcoming-feature", "MemberImportVisibility",
         "-enable-upcoming-feature", "InternalImportsByDefault", "-enable-upcoming-feature", "ExistentialAny", "-I", str(HERE.parent / "Sources/CJansson")]


def measure(machine):
    program = machine.programs / "scan"
    build(program)
    lines = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    rows = []
    for kind in map(json.loads, lines):
        name = kind["kind"]
        rows.append(Row(f"{name}, scanned", kind["carried"], "GB/s", "memcpy", kind["memcpy"], goal_least=GOALS[name]))
        rows.append(Row("the same", kind["carried"], "GB/s", "jansson", kind["jansson"]))
        rows.append(Row("the same", kind["carried"], "GB/s", "byte by byte", kind["bytewise"]))
    return rows


def build(program):
    sources = sorted(JSON.glob("*.swift"))
    own = HERE / "scan/scan.swift"
    newest = max(file.stat().st_mtime for file in [*sources, own])
    if program.exists() and program.stat().st_mtime >= newest:
        return
    swiftc = os.environ.get("SWIFTC", "swiftc")
    module = program.parent / "modules"
    module.mkdir(exist_ok=True)
    compiled = [*FLAGS, "-I", str(module)]
    subprocess.run([swiftc, *compiled, "-module-name", "JSON", "-emit-module", "-emit-module-path", module / "JSON.swiftmodule", "-c", "-o",
                    module / "JSON.o", *sources], check=True)
    subprocess.run([swiftc, *compiled, "-module-name", "Scan", own, module / "JSON.o", "-ljansson", "-o", program], check=True)

#!/usr/bin/env bash
# Checks what Sources/README.md states about who may import, name and read what (invariants 1 to 6, and the arrows between the rooms).
#
#   Tests/check-invariants.sh [ROOT]     prints FILE:LINE and the reason for each violation, and then exits with 1
exec python3 - "${1:-$(dirname "$0")/..}" << 'END'
import json, re, sys
from pathlib import Path

root = Path(sys.argv[1]).resolve()

# The arrows: what each target may import besides the system's modules. A target that is not here is a violation.
ARROWS = {
    "JSON": "CJansson",
    "POSIXSupport": "CPOSIX",
    "JSONSchema": "JSON CPCRE2",
    "JSONRPC": "JSON POSIXSupport",
    "AgentRuntime": "JSON",
    "SQLiteStore": "AgentRuntime JSON POSIXSupport CSQLite CSQLiteLog",
    "PostgresStore": "AgentRuntime JSON POSIXSupport CPostgres",
    "Models": "AgentRuntime JSON POSIXSupport CCurl",
    "ToolHosts": "AgentRuntime JSON JSONRPC POSIXSupport",
    "BridgeProtocol": "JSON",
    "BridgeService": "BridgeProtocol JSONRPC AgentRuntime JSON",
    "TestSupport": "AgentRuntime JSON JSONRPC POSIXSupport",
    "EngineHosting": "AgentRuntime JSON JSONSchema POSIXSupport",
    "FootbridgeKit": "AgentRuntime EngineHosting JSON Models POSIXSupport SQLiteStore ToolHosts",
    "Footbridge": "AgentRuntime EngineHosting BridgeProtocol BridgeService CSchemas JSON JSONRPC JSONSchema Models POSIXSupport PostgresStore SQLiteStore ToolHosts",
}
ADAPTERS = {"SQLiteStore", "PostgresStore", "Models", "ToolHosts", "JSONSchema"}
SYSTEM = {"Glibc", "Musl", "Darwin", "Synchronization"}
# Ways to read arguments and the environment, and to take signals; the second are defined in POSIXSupport. `Signals.block` takes none.
ARGUMENTS = re.compile(r"\b(?:CommandLine|ProcessInfo|environ|getenv|secure_getenv)\b")
SIGNALS = re.compile(
    r"\bSignalDescriptor\b|\bSignals\.restore\b|\bsigaction\b|\bsigwait(?:info)?\b|\bsignalfd\b|\bsignal\s*\(\s*SIG"
    r"|\bcposix_(?:take_signal|signal_descriptor)\b")
IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?"
    r"import\s+(?:(?:struct|class|enum|protocol|typealias|func|let|var)\s+)?(\w+)")
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"""(?:\\.|.)*?"""|"(?:\\.|[^"\\\n])*"', re.S)

violations = []


def violate(file, line, why):
    violations.append((str(file.relative_to(root)), line, why))


def split(source):
    """The code with comments and strings blanked out, line by line, and the string literals as (line, content)."""
    literals = []

    def blank(match):
        token = match.group()
        if token[0] == '"':
            literals.append((source.count("\n", 0, match.start()) + 1, token.strip('"')))
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(blank, source).split("\n"), literals


def method_names():
    """Every name of a method, notification or event: what JSONRPC must not know."""
    document = json.loads((root / "Schemas/openrpc.json").read_text())
    lists = [document["methods"], *(value for key, value in document.items() if key.startswith("x-") and isinstance(value, list))]
    return {entry.get("name") or entry["type"] for entries in lists for entry in entries}


def may_import(target, module, file, line):
    if module == "Foundation" or module.startswith("Foundation"):
        return violate(file, line, "invariant 6: nothing under Sources imports Foundation")
    if module in SYSTEM:
        return
    if target == "AgentRuntime" and module != "JSON":
        return violate(file, line, f"invariant 1: AgentRuntime imports only JSON, not {module}")
    if target in ADAPTERS and module in ADAPTERS:
        return violate(file, line, f"invariant 4: the adapter {target} imports the adapter {module}")
    if module not in ARROWS[target].split():
        violate(file, line, f"arrows: {target} may not import {module}")


if not (root / "Sources").is_dir():
    sys.exit(f"there is no Sources in {root}")
names = method_names()
importers = {}
for folder in sorted(path for path in (root / "Sources").iterdir() if path.is_dir()):
    files = sorted(folder.rglob("*.swift"))
    if files and folder.name not in ARROWS:
        violate(files[0], 1, f"arrows: {folder.name} is a target that the table in Tests/check-invariants.sh does not have")
        continue
    for file in files:
        code, literals = split(file.read_text())
        for number, text in enumerate(code, 1):
            if found := IMPORT.match(text):
                module = found[1]
                may_import(folder.name, module, file, number)
                if (root / "Sources" / module).is_dir() and not any((root / "Sources" / module).rglob("*.swift")):
                    importers.setdefault(module, {}).setdefault(folder.name, (file, number))
            for words, homes in ((ARGUMENTS, ["Footbridge"]), (SIGNALS, ["Footbridge", "POSIXSupport"])):
                if folder.name not in homes and (use := words.search(text)):
                    violate(file, number, f"invariant 5: only Footbridge reads arguments, environment and signals, not {folder.name}: {use.group()}")
        if folder.name == "JSONRPC":
            for number, literal in literals:
                if literal in names:
                    violate(file, number, f'invariant 3: JSONRPC holds the method name "{literal}"')
for module, targets in sorted(importers.items()):
    if len(targets) > 1:
        for target, (file, number) in sorted(targets.items()):
            violate(file, number, f"invariant 2: {module} is imported by {' and '.join(sorted(targets))}")

for file, line, why in violations:
    print(f"{file}:{line}: {why}")
if violations:
    sys.exit(1)
print(f"invariants 1 to 6 and the arrows hold in {sum(1 for _ in (root / 'Sources').rglob('*.swift'))} files")
END

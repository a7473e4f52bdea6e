"""The examples, the first command of the README, what the README says, and the scripts that a newcomer and a machine run."""
import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import BINARY, REPO, TIMEOUT, make_validator

EXAMPLES = REPO / "Examples"
README = (REPO / "README.md").read_text()
ARCHITECTURE = (REPO / "Sources/README.md").read_text()
PARENTS = {"parent.py": [sys.executable], "parent.mjs": ["node"], "pipe.sh": ["bash"]}
EXAMPLE = {**PARENTS, "two_windows.py": [sys.executable]}
CALL = "[0-9A-HJKMNP-TV-Z]{26}"
END = ["answer: January and February come to 4536.50.",
       "log: [0-9]+ events without a gap, one result for each of the two calls: nothing lost, nothing doubled"]
OUTPUT = {
    "parent.py": [f"bridge 1 asks for read_rows, call ({CALL}), attempt 1: it is killed while it waits", "bridge 1 ended by signal 9",
                  r"bridge 2 asks for read_rows, call \1, attempt 2: the parent reads them", *END],
    "parent.mjs": [f"bridge 1 asks for read_rows, call ({CALL}), attempt 1: it is killed while it waits", "bridge 1 ended by SIGKILL",
                   r"bridge 2 is given the result of read_rows, call \1: the parent has read the rows", *END],
    "pipe.sh": [f"bridge 1 waits for rows 1 to 4, call {CALL}: it is killed", "bridge 1 ended with status 137", *END],
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def run(command, tmp_path, **more):
    if command[0] == "node" and not shutil.which("node"):
        pytest.skip("node is not installed")
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(scratch), **more.pop("env", {"FOOTBRIDGE": BINARY})}
    done = subprocess.run(command, capture_output=True, text=True, timeout=6 * TIMEOUT, env=environment, stdin=subprocess.DEVNULL, **more)
    assert list(scratch.iterdir()) == [], "it leaves files behind"
    return done


@pytest.fixture
def checkout(tmp_path):
    """A checkout with the examples and the program, but without what is needed to build it."""
    root = tmp_path / "a check out"
    shutil.copytree(EXAMPLES, root / "Examples")
    (root / ".build/release").mkdir(parents=True)
    (root / ".build/release/footbridge").symlink_to(BINARY)
    return root


# ---- the examples

def test_an_agent_file_with_an_mcp_server_and_a_script_for_a_tool(tmp_path):
    server = REPO / ".build/mcp-1/bin/mcp-server-time"
    if not server.exists() and os.environ.get("CI") != "true":
        pytest.skip("mcp-server-time is not installed in .build/mcp-1 (Tests/run.sh does it)")
    done = run([BINARY, "run", "--store", "memory", "--agent", "helper.json", "What time is it in Tokyo?"], tmp_path, cwd=EXAMPLES,
               env={"PATH": f"{server.parent}:{os.environ['PATH']}"})
    assert (done.returncode, done.stdout) == (0, "12:00 UTC is 21:00 in Tokyo, and there is room on the disk.\n"), done.stderr


def test_the_readme_shows_the_script_for_a_tool():
    assert (EXAMPLES / "free-space.sh").read_text() in blocks("shell")



@pytest.mark.parametrize("name", PARENTS)
def test_an_example_kills_its_bridge_and_a_second_one_finishes_the_run(name, tmp_path):
    done = run([*PARENTS[name], EXAMPLES / name], tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch("\n".join(OUTPUT[name]) + "\n", done.stdout), done.stdout


def test_two_windows_see_the_same(tmp_path):
    done = run([sys.executable, EXAMPLES / "two_windows.py"], tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["user: Who is there?", "assistant: A bridge with two windows.", "user: Do I see that too?",
                                        "assistant: As soon as it is said.", "both windows have seen the same events of both turns, without a gap"]


@pytest.mark.parametrize("name", EXAMPLE)
def test_an_example_finds_the_program_beside_it(name, checkout, tmp_path):
    done = run([*EXAMPLE[name], Path("Examples") / name], tmp_path, cwd=checkout, env={})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", EXAMPLE)
def test_an_example_takes_a_relative_footbridge(name, checkout, tmp_path):
    done = run([*EXAMPLE[name], checkout / "Examples" / name], tmp_path, cwd=checkout / ".build", env={"FOOTBRIDGE": "release/footbridge"})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", PARENTS)
@pytest.mark.parametrize("file,old,new", [("sales.csv", "980.00", "980.01"), ("add-up.sh", "%.2f", "%.1f"), ("sales.jsonl", '"last":4', '"last":3')])
def test_an_example_fails_when_the_model_sees_something_else(name, file, old, new, checkout, tmp_path):
    path = checkout / "Examples" / file
    path.write_text(path.read_text().replace(old, new))
    done = subprocess.run([*PARENTS[name][:1], checkout / "Examples" / name], capture_output=True, timeout=6 * TIMEOUT) \
        if shutil.which(PARENTS[name][0]) else pytest.skip(f"{PARENTS[name][0]} is not installed")
    assert done.returncode != 0
    assert b"nothing lost" not in done.stdout


@pytest.mark.parametrize("name", EXAMPLE)
def test_an_example_is_under_60_lines(name):
    lines = (EXAMPLES / name).read_text().splitlines()
    assert len(lines) < 60
    assert max(map(len, lines)) <= 150


def test_the_examples_need_only_the_standard_library():
    imports = set()
    for file in ("parent.py", "two_windows.py"):
        for node in ast.walk(ast.parse((EXAMPLES / file).read_text())):
            if isinstance(node, ast.Import):
                imports |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imports.add(node.module)
    assert imports and {name.split(".")[0] for name in imports} <= set(sys.stdlib_module_names)
    modules = re.findall(r"\bfrom '([^']*)'|\bimport\(?\s*'([^']*)'|require\(", (EXAMPLES / "parent.mjs").read_text())
    assert modules and all((a or b).startswith("node:") for a, b in modules)


def test_the_shell_example_needs_only_what_every_debian_has(tmp_path):
    """With a PATH that has nothing but coreutils, sed, grep and awk (mawk, busybox or gawk)."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in "awk bash cat cut dirname grep mktemp realpath rm sed seq sh tr wc".split():
        (tools / name).symlink_to(shutil.which(name))
    done = subprocess.run([tools / "bash", EXAMPLES / "pipe.sh"], capture_output=True, text=True, timeout=6 * TIMEOUT,
                          env={"PATH": str(tools), "FOOTBRIDGE": BINARY})
    assert (done.returncode, done.stderr) == (0, "")


# ---- the first command

def test_the_quickstart_shows_the_main_job(tmp_path):
    done = run(["bash", EXAMPLES / "quickstart.sh", "--skip-build"], tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch("\n".join(OUTPUT["parent.py"]), "\n".join(line[2:] for line in lines[1:])), done.stdout


def test_the_quickstart_fails_when_the_main_job_fails(tmp_path):
    done = run(["bash", EXAMPLES / "quickstart.sh", "--skip-build"], tmp_path, env={"FOOTBRIDGE": "/bin/false"})
    assert done.returncode != 0


def test_the_quickstart_knows_no_other_option(tmp_path):
    done = run(["bash", EXAMPLES / "quickstart.sh", "--fast"], tmp_path)
    assert (done.returncode, done.stdout) == (64, "")
    assert "usage" in done.stderr


# ---- what is missing

SCRIPTS = {
    "apt-get": '#!/bin/sh\necho "$(id -u) $DEBIAN_FRONTEND $*" >> "$CALLS"\n[ -z "$APT_FAILS" ] || { echo "E: no route"; exit 100; }\n',
    "sudo": '#!/bin/sh\n[ "$1" != -n ] || { shift; [ -z "$SUDO_ASKS" ] || exit 1; }\necho "sudo $*" >> "$CALLS"\nexec "$@"\n',
    "root": "#!/bin/sh\necho 0\n", "user": "#!/bin/sh\necho 1000\n",
    "swift": '#!/bin/sh\necho "Swift version $VERSION (swift-$VERSION-RELEASE)"\n',
}


@pytest.fixture
def machine(tmp_path):
    """Runs a piece of shell behind Tests/install.sh on a machine that has only the programs named."""
    def run(code, programs, **env):
        tools = tmp_path / "bin"
        shutil.rmtree(tools, ignore_errors=True)
        tools.mkdir()
        for name in "bash sh cat env mktemp rm sed sort head tail true".split():
            (tools / name).symlink_to(shutil.which(name))
        for name in programs:
            path = tools / ("id" if name in ("root", "user") else name)
            path.write_text(SCRIPTS[name])
            path.chmod(0o755)
        calls = tmp_path / "calls"
        calls.write_text("")
        done = subprocess.run([tools / "bash", "-euc", f'. "{REPO}/Tests/install.sh"; {code}; echo went on'], capture_output=True, text=True,
                              env={"PATH": str(tools), "CALLS": str(calls), **env}, stdin=subprocess.DEVNULL, timeout=TIMEOUT)
        return done, calls.read_text().splitlines()
    return run


MISSING = 'want libx-dev "reads x" false; want bash "is there" command -v bash; want python3-y "tests" false; install_missing'
INSTALLING = ["0  update -q", "0 noninteractive install -q -y --no-install-recommends libx-dev python3-y"]


def test_nothing_is_installed_when_nothing_is_missing(machine):
    done, calls = machine('want bash "is there" command -v bash; install_missing', ["apt-get", "root"])
    assert (done.stdout, done.stderr, calls) == ("went on\n", "", [])


def test_root_installs_what_is_missing_and_says_so(machine):
    done, calls = machine(MISSING, ["apt-get", "root"])
    assert (done.returncode, done.stderr, calls) == (0, "", INSTALLING)
    assert done.stdout.splitlines() == ["  missing: libx-dev (reads x)", "  missing: python3-y (tests)",
                                        "  installing with: apt-get install libx-dev python3-y", "went on"]


def test_a_user_installs_with_sudo(machine):
    done, calls = machine(MISSING, ["apt-get", "user", "sudo"])
    assert done.returncode == 0
    assert [call for call in calls if call.startswith("sudo apt-get") or call.startswith("sudo env")] == [
        "sudo apt-get update -q", "sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends libx-dev python3-y"]
    assert "installing with: sudo apt-get install libx-dev python3-y" in done.stdout


@pytest.mark.parametrize("programs,env,why", [
    (["root"], {}, "this is not Debian or Ubuntu"),
    (["apt-get", "user"], {}, "you are not root and there is no sudo"),
    (["apt-get", "user", "sudo"], {"SUDO_ASKS": "1"}, "sudo wants a password and there is no terminal to ask for it"),
])
def test_where_it_cannot_install_it_lists_the_packages_and_ends(machine, programs, env, why):
    done, calls = machine(MISSING, programs, **env)
    assert (done.returncode, calls) == (1, [])
    assert why in done.stderr and "apt-get install libx-dev python3-y\n" in done.stderr
    assert "went on" not in done.stdout


def test_a_failure_of_apt_get_is_shown(machine):
    done, _ = machine(MISSING, ["apt-get", "root"], APT_FAILS="1")
    assert done.returncode == 1 and "E: no route" in done.stderr and "went on" not in done.stdout


@pytest.mark.parametrize("version,fits", [("6.3.1", True), ("6.3", True), ("6.10", True), ("7.0", True), ("6.2.4", False), ("5.10", False)])
def test_swift_must_be_6_3_or_newer(machine, version, fits):
    done, _ = machine("check_swift", ["swift"], VERSION=version)
    assert (done.returncode == 0) is fits is ("went on" in done.stdout)
    assert fits or "needs Swift 6.3 or newer" in done.stderr


def test_a_missing_swift_is_named(machine):
    done, _ = machine("check_swift", [])
    assert done.returncode == 1 and "no 'swift' on the PATH" in done.stderr and "https://www.swift.org/install/linux/" in done.stderr


# ---- the README

def test_the_shell_blocks_of_the_readme_run(checkout, tmp_path):
    commands = blocks("sh")
    assert commands[:2] == ["Examples/quickstart.sh\n", "Tests/run.sh\n"]
    for script in commands[:2]:
        assert os.access(REPO / script.strip(), os.X_OK)
    assert len(commands) > 2
    for block in commands[2:]:
        done = run(["bash", "-euo", "pipefail", "-c", block], tmp_path, cwd=checkout, env={})
        assert (done.returncode, done.stderr) == (0, ""), block
        assert "Hello from a script." in done.stdout


def test_the_parent_in_the_readme_is_that_of_the_example():
    [block] = blocks("python")
    assert block in (EXAMPLES / "parent.py").read_text()
    assert len(block.splitlines()) <= 40


def converse(store, validator):
    """The main job of the README, as (direction, line) pairs; two processes on one store."""
    lines = []

    def bridge():
        process = subprocess.Popen([BINARY, "--store", store], cwd=EXAMPLES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def send(message):
            validator.client_message(message)
            lines.append("→ " + json.dumps(message, ensure_ascii=False, separators=(",", ":")))
            print(lines[-1][2:], file=process.stdin, flush=True)

        def read(until):
            for line in process.stdout:
                message = json.loads(line)
                validator.bridge_message(message)
                lines.append("← " + line.rstrip("\n"))
                if until(message):
                    return message
            raise AssertionError("the bridge ended")
        return process, send, read

    def initialize(send):
        send({"jsonrpc": "2.0", "id": 1, "method": "initialize",
              "params": {"protocolVersion": "2026-11-20", "clientInfo": {"name": "readme", "version": "1"}, "capabilities": {"tools": {}}}})

    first, send, read = bridge()
    initialize(send)
    read(lambda m: m.get("id") == 1)
    send({"jsonrpc": "2.0", "id": 2, "method": "run.start", "params": json.loads((EXAMPLES / "sales.json").read_text())})
    call = read(lambda m: m.get("method") == "tool.invoke")["params"]
    first.kill()
    first.communicate(timeout=TIMEOUT)
    validator = make_validator()
    second, send, read = bridge()
    initialize(send)
    read(lambda m: m.get("id") == 1)
    send({"jsonrpc": "2.0", "id": 2, "method": "run.resume", "params": {"runId": call["runId"]}})
    again = read(lambda m: m.get("method") == "tool.invoke")
    assert again["params"]["callId"] == call["callId"]
    rows = (EXAMPLES / "sales.csv").read_text().splitlines()[1:5]
    send({"jsonrpc": "2.0", "id": again["id"], "result": {"content": "\n".join(rows)}})
    read(lambda m: m.get("id") == 2)
    second.communicate(timeout=TIMEOUT)
    return lines


def test_the_conversation_in_the_readme_is_what_happens(tmp_path):
    """Each of its lines, with `…` for anything, is a line of the real conversation, in this order."""
    real = iter(converse(f"sqlite:{tmp_path}/runs.db", make_validator()))
    shown = [line for block in blocks("text") for line in block.splitlines()]
    assert len(shown) > 15
    for line in shown:
        pattern = re.compile(".*".join(re.escape(part) for part in line.split("…")))
        assert any(pattern.fullmatch(candidate) for candidate in real), f"not there, or not here: {line}"


def test_the_readmes_name_every_method_event_option_and_room_there_is():
    document = json.loads((REPO / "Schemas/openrpc.json").read_text())
    names = [entry.get("name") or entry["type"] for key in ("methods", "x-reverse-methods", "x-notifications", "x-events") for entry in document[key]]
    options = re.findall(r'Known\(\s*"([a-z-]+)"', (REPO / "Sources/Footbridge/Options.swift").read_text())
    rooms = [path.name for path in (REPO / "Sources").iterdir() if path.is_dir()]
    assert len(names) > 40 and len(options) > 10 and len(rooms) > 15
    assert [name for name in names if f"`{name}`" not in README] == []
    assert [name for name in options if f"`--{name}" not in README] == []
    assert [name for name in rooms if f"`{name}`" not in ARCHITECTURE] == []


def test_the_kinds_of_error_in_the_readme_exist():
    kinds = {entry["kind"] for entry in json.loads((REPO / "Schemas/errors.json").read_text())["kinds"]}
    table = README.split("### Errors")[1].split("###")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`([^`]+)`", row)}
    assert len(named) > 15 and named <= kinds


def test_the_files_functions_and_links_in_the_readmes_exist():
    steps = re.findall(r"\| `([\w/+]+\.swift)` \| `(\w+)` \|", ARCHITECTURE)
    assert len(steps) > 10
    assert [(file, name) for file, name in steps if f"func {name}(" not in (REPO / "Sources" / file).read_text()] == []
    files = re.findall(r"`(\w+/[\w/+]+\.swift)`", README + ARCHITECTURE)
    assert len(files) > 10 and [file for file in files if not (REPO / "Sources" / file).exists()] == []
    for page in ["README.md", "Sources/README.md", "Benchmarks/README.md", "Schemas/README.md"]:
        links = re.findall(r"\]\((?!https://|#)([^)#]+)\)", (REPO / page).read_text())
        assert [link for link in links if not (REPO / page).parent.joinpath(link).exists()] == [], page
    assert len(re.findall(r"\]\((?!https://)", README)) > 8


def test_the_tests_that_the_readme_gives_for_the_promises_exist():
    table = README.split("## Promises")[1].split("\n## ")[0]
    cells = [(file, names) for file, names in re.findall(r"`(\w+\.py)`:((?: `test_\w+`,?)+)", table)]
    assert len(cells) > 8
    for file, names in cells:
        text = (REPO / "Tests/EndToEndTests" / file).read_text()
        for name in re.findall(r"`(test_\w+)`", names):
            assert f"def {name}(" in text, f"{file} has no {name}"


def test_the_readme_and_the_changelog_name_the_version_of_the_program():
    version = subprocess.run([BINARY, "--version"], capture_output=True, text=True, timeout=TIMEOUT).stdout.split()[1]
    assert f"## [{version}] - " in (REPO / "CHANGELOG.md").read_text()


# ---- the invariants

INVARIANTS = REPO / "Tests/check-invariants.sh"


def test_the_invariants_hold():
    done = subprocess.run([INVARIANTS], capture_output=True, text=True, timeout=6 * TIMEOUT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "invariants 1 to 6 and the arrows hold" in done.stdout


@pytest.mark.parametrize("file,line,number", [
    ("AgentRuntime/Run/X.swift", "import Synchronization", None),
    ("AgentRuntime/Run/X.swift", "package import POSIXSupport", "1"),
    ("AgentRuntime/Run/X.swift", "import SQLiteStore", "1"),
    ("Models/X.swift", "private import CJansson", "2"),
    ("JSONRPC/X.swift", 'let name = "tool.invoke"', "3"),
    ("JSONRPC/X.swift", 'let name: StaticString = "$/cancelRequest"', "3"),
    ("JSONRPC/X.swift", '// of "tool.invoke"', None),
    ("BridgeService/X.swift", 'let name = "tool.invoke"', None),
    ("ToolHosts/X.swift", "import struct SQLiteStore.Schema", "4"),
    ("SQLiteStore/X.swift", "@testable internal import Models", "4"),
    ("Models/X.swift", "let words = CommandLine.arguments", "5"),
    ("POSIXSupport/X.swift", 'let home = unsafe getenv("HOME")', "5"),
    ("ToolHosts/X.swift", "let signals = try SignalDescriptor([15])", "5"),
    ("ToolHosts/X.swift", "/* SignalDescriptor */ let environment = 1", None),
    ("POSIXSupport/X.swift", "let signals = try SignalDescriptor([15])", None),
    ("Footbridge/X.swift", "let words = CommandLine.arguments", None),
    ("Footbridge/X.swift", "import Foundation", "6"),
    ("JSON/X.swift", "public import FoundationEssentials", "6"),
    ("JSONRPC/X.swift", "import AgentRuntime", "arrows"),
    ("BridgeProtocol/X.swift", "import POSIXSupport", "arrows"),
    ("Utils/X.swift", "import JSON", "arrows"),
])
def test_a_broken_invariant_is_found_with_its_place(file, line, number, tmp_path):
    shutil.copytree(REPO / "Sources", tmp_path / "Sources")
    (tmp_path / "Schemas").mkdir()
    shutil.copy(REPO / "Schemas/openrpc.json", tmp_path / "Schemas")
    path = tmp_path / "Sources" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"/// A room's file.\n\n{line}\n")
    done = subprocess.run([INVARIANTS, tmp_path], capture_output=True, text=True, timeout=6 * TIMEOUT)
    if number is None:
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    else:
        place = 1 if file.startswith("Utils") else 3
        rule = number if number == "arrows" else f"invariant {number}"
        assert done.returncode == 1 and f"Sources/{file}:{place}: {rule}" in done.stdout, done.stdout

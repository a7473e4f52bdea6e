"""What others need for the same: programs that one spawns and talks JSON-RPC to, and libraries that run agents in process."""
import json
import os
import statistics
import subprocess

from . import provided
from .client import INITIALIZE, PING
from .machine import BUILD, HERE, PYTHON, paired_ratio
from .table import Row

ABOUT = ("spawn to the answer of `initialize`, and `ping` there and back, in turns with footbridge; a call of a tool in the parent with a model behind HTTP: "
         "footbridge durable, by the same parent in C and the same provider. What is not installed is named and not measured")
CALLS = 100
PEER_PYTHON = os.environ.get("FOOTBRIDGE_PEER_PYTHON") or next(
    (str(python) for python in [BUILD / "benchmarks/peers/bin/python"] if python.exists()), PYTHON)
ACP_INITIALIZE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": 1, "clientCapabilities": {}}})
CODEX_INITIALIZE = json.dumps({"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "benchmark", "version": "1"}}})
DURABLE = {"langgraph_sqlite.py": "synced SQLite", "dendrux_sqlite.py": "SQLite", "pydantic_ai_agent.py": "stores nothing"}


def measure(machine):
    rows = starts(machine) + trips(machine) + calls(machine)
    return rows


def script(name):
    """The command of a peer and its name with a version; nil when it is not there."""
    command = [PEER_PYTHON, str(HERE / "peers" / name)]
    probe = subprocess.run([*command, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if probe.returncode == 0:
        return command, probe.stdout.strip()
    print(f"\npeers: {name} cannot run (README.md says how to install it), so it is not measured", flush=True)
    return None


def codex():
    """OpenAI's app-server, without telemetry, pointed at no service."""
    probe = subprocess.run(
        [PEER_PYTHON, "-c", "import importlib.metadata as m, codex_cli_bin; print(codex_cli_bin.bundled_codex_path()); print(m.version('openai-codex-cli-bin'))"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if probe.returncode:
        print("\npeers: openai-codex-cli-bin is not installed, so it is not measured", flush=True)
        return None
    path, version = probe.stdout.split()
    home = BUILD / "benchmarks/codex"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(
        'model = "m"\nmodel_provider = "loopback"\ncheck_for_update_on_startup = false\n[analytics]\nenabled = false\n[otel]\nexporter = "none"\n'
        '[model_providers.loopback]\nname = "loopback"\nbase_url = "http://127.0.0.1:9/v1"\nwire_api = "responses"\n')
    # What it says about a sandbox is not for this table.
    return ["sh", "-c", f'CODEX_HOME={home} exec "$@" 2>/dev/null', "sh", path, "app-server"], f"Codex app-server {version}"


def starts(machine):
    """One after another with footbridge, each told what it understands."""
    found = [(peer, line) for peer, line in ((script("mcp_server.py"), INITIALIZE), (script("acp_agent.py"), ACP_INITIALIZE), (codex(), CODEX_INITIALIZE)) if peer]
    if not found:
        return []
    store = machine.file("db")
    commands = ["--", *machine.bridge(store)]
    for (command, _), line in found:
        commands += ["--", "say", line, *command]
    series = machine.run("trip", "start", 5 if machine.quick else 15, 0, INITIALIZE, *commands)
    own = statistics.median(series["0"]) / 1000
    return [Row(f"start: footbridge beside {name}", own, "ms", name, statistics.median(series[str(index)]) / 1000, goal_ratio=1 / 20)
            for index, ((_, name), _) in enumerate(found, 1)]


def trips(machine):
    peer = script("mcp_server.py")
    if not peer:
        return []
    command, name = peer
    series = machine.run("trip", "round", 200 if machine.quick else 1000, 50, PING, "--", *machine.bridge(), "--", *command)
    return [Row(f"ping: footbridge beside {name}", statistics.median(series["0"]), "us", name, statistics.median(series["1"]), paired_ratio(series["0"], series["1"], 50))]


def calls(machine):
    found = [(name, peer) for name in DURABLE if (peer := script(name))]
    if not found:
        return []
    own = provided.one_run(machine, CALLS, machine.bridge())
    bridge = statistics.median(own["0"])
    rows = []
    for name, (command, version) in found:
        # Its first calls have grown its log too; nine hundred more would take a minute.
        run = provided.one_run(machine, CALLS, [*command, machine.file("peer.db")], warm_calls=0)
        peer = run["0"]
        rows += [
            Row(f"a call: footbridge beside {version} ({DURABLE[name]})", bridge, "us", version, statistics.median(peer), goal_ratio=1 / 20),
            Row("the same, processor", own["cpu"][0], "us", version, run["cpu"][0]),
            Row(f"not ours: {version}, its last ten calls", statistics.median(peer[-10:]), "us", "its first ten", statistics.median(peer[:10])),
        ]
    return rows

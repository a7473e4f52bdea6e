"""A provider's deltas on their way to the parent."""
import statistics

from .client import INITIALIZE, run_start
from .machine import percentile
from .provider import PROTOCOLS, Provider
from .table import Row

ABOUT = "from before a provider on the loopback writes a delta until a parent in C has read its line; streams of 2,000, store on the disk, in turns with the floor"
DELTAS = 2000
GAP = 500
DELTA = '"type":"text.delta"'
FLOOR = "C: socket to pipe"


def measure(machine):
    return [row for protocol in sorted(PROTOCOLS) for row in of(machine, protocol)]


def of(machine, protocol):
    rounds = 1 if machine.quick else 3
    paced = [streams(machine, protocol, GAP) for _ in range(rounds)]
    burst = [streams(machine, protocol, 0) for _ in range(rounds)]
    late, floor_late = ([value for pair in paced for value in pair[side]["late"]] for side in (0, 1))
    wall, floor_wall = (statistics.median(pair[side]["wall"] / DELTAS for pair in burst) for side in (0, 1))
    cpu, floor_cpu = (statistics.median(pair[side]["cpu"] / DELTAS for pair in paced) for side in (0, 1))
    burst_cpu, burst_floor_cpu = (statistics.median(pair[side]["cpu"] / DELTAS for pair in burst) for side in (0, 1))
    median, floor_median = statistics.median(late), statistics.median(floor_late)
    return [
        Row(f"{protocol}, one delta every {GAP} us, median", median, "us", FLOOR, floor_median),
        Row(f"{protocol}, added to it by footbridge", median - floor_median, "us", goal=300),
        Row(f"{protocol}, p99", percentile(late, 0.99), "us", FLOOR, percentile(floor_late, 0.99)),
        Row(f"{protocol}, processor of one", cpu, "us", FLOOR, floor_cpu),
        Row(f"{protocol}, without a pause, wall of one", wall, "us", FLOOR, floor_wall),
        Row(f"{protocol}, without a pause, processor of one", burst_cpu, "us", FLOOR, burst_floor_cpu),
    ]


def streams(machine, protocol, gap):
    """The bridge's and the floor's, one after the other."""
    with Provider(machine) as provider:
        behaviour = f"stream/{DELTAS}/{gap}"
        environment = provider.environment(protocol, behaviour)
        run = run_start(2, None, model=f"{protocol}:m")
        bridge = machine.run("deltas", INITIALIZE, run, DELTA, '"id":2,"result"', 1, "--", *machine.bridge(), environment=environment)
        floor = machine.run("deltas", "", "go", '"', "end of answer", 1, "--", *machine.floor("relay", provider.port, provider.path(protocol, behaviour)))
    for side in (bridge, floor):
        if len(side["late"]) != DELTAS:
            raise RuntimeError(f"{len(side['late'])} deltas came of {DELTAS}")
    return bridge, floor

"""The short form of the crash campaign, `Tests/Campaigns/crash.py`: SIGKILL at every message, sync and change of a file of the store, and at every
fourth write to it, in every scenario. What is left must be as section 12 promises; `Tests/Campaigns/judge.py` says what is looked at."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Campaigns"))
import campaign  # noqa: E402
import postgres  # noqa: E402
import scenarios  # noqa: E402

EVERY = 4
ON_POSTGRES = 12


@pytest.fixture
def stage(request):
    folder = campaign.scratch()
    yield campaign.Stage(request.param, folder)
    campaign.shutil.rmtree(folder, ignore_errors=True)


every_scenario = pytest.mark.parametrize("stage", scenarios.ALL, ids=lambda s: s.name, indirect=True)


def rehearse(stage):
    verdict = campaign.trial(stage, [])
    assert not verdict.violation, verdict
    return verdict.kinds


@every_scenario
def test_a_bridge_killed_at_any_point_leaves_what_was_promised(stage):
    plans = campaign.plans(rehearse(stage), EVERY)
    verdicts = [campaign.trial(stage, plan) for plan in plans]
    assert not [str(v) for v in verdicts if v.violation]
    # How many writes there are differs a little from time to time, so the last points may not be there.
    assert sum(len(v.killed) for v in verdicts) >= 0.8 * len(plans)


def test_the_campaign_has_a_thousand_points():
    folder = campaign.scratch()
    try:
        assert sum(len(campaign.plans(rehearse(campaign.Stage(s, folder)), EVERY)) for s in scenarios.ALL) >= 1000
    finally:
        campaign.shutil.rmtree(folder, ignore_errors=True)


@every_scenario
def test_a_bridge_killed_while_it_recovers_leaves_the_same(stage):
    kinds = rehearse(stage)
    for first in range(1, len(kinds) + 1, max(1, len(kinds) // 6)):
        second = len(kinds) - first + 1
        verdict = campaign.trial(stage, [(first, campaign.AFTER), (second, campaign.BEFORE), (first, campaign.TORN)])
        assert not verdict.violation, verdict


@pytest.mark.skipif(not postgres.IS_INSTALLED, reason="PostgreSQL is not installed")
@pytest.mark.parametrize("scenario", scenarios.ON_POSTGRES, ids=lambda s: s.name)
def test_on_postgres_too(scenario):
    """At messages to the parent and to the server, both ways; all of them by `crash.py --store postgres`."""
    folder = campaign.scratch()
    try:
        stage = campaign.PostgresStage(scenario, folder, postgres.server())
        plans = campaign.plans(rehearse(stage))
        verdicts = [campaign.trial(stage, plan) for plan in plans[::max(1, len(plans) // ON_POSTGRES)]]
        assert not [str(v) for v in verdicts if v.violation]
        assert sum(len(v.killed) for v in verdicts) >= ON_POSTGRES // 3
    finally:
        campaign.shutil.rmtree(folder, ignore_errors=True)

"""The campaigns notice a promise that is broken on purpose: `Tests/Campaigns/broken.py`, with the debug build, which alone can do so."""
import os
import sys
from pathlib import Path

import pytest

from harness import BINARY, REPO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Campaigns"))
import broken  # noqa: E402

if not broken.DEBUG.exists() and os.environ.get("CI") != "true":
    pytest.skip("there is no debug build (swift build)", allow_module_level=True)


@pytest.mark.parametrize("what,trials,name", [(what, trials, name) for what, trials, names in broken.CASES for name in names])
def test_a_broken_promise_is_noticed(what, trials, name):
    assert broken.caught(what, trials, name)


@pytest.mark.parametrize("trials,name", [(broken.kills, "Submit"), (broken.kills, "TwoDoors"), (broken.cuts, "Submit")])
def test_the_same_build_without_a_broken_promise_is_sound(trials, name):
    assert broken.caught("", trials, name) == ""


def test_the_program_that_is_installed_has_no_such_switch():
    assert b"FOOTBRIDGE_BROKEN" in broken.DEBUG.read_bytes()
    assert b"FOOTBRIDGE_BROKEN" not in Path(BINARY).read_bytes() or Path(BINARY).resolve() == (REPO / broken.DEBUG).resolve()

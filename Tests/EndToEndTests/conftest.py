"""What every test is given: a `lab`. Long campaigns are left out unless asked for with `--long` or `-m long`."""
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
pytest.register_assert_rewrite("harness")
import harness  # noqa: E402
import postgres  # noqa: E402

LONGEST_TEST = 600


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the long campaigns too")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: a campaign of minutes, not part of the default suite")


def pytest_sessionstart(session):
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    if not os.access(harness.BINARY, os.X_OK):
        pytest.exit(f"no binary at {harness.BINARY}: build it (swift build -c release) or set FOOTBRIDGE_BINARY", returncode=4)
    if os.environ.get("CI") == "true" and not (harness.SCHEMAS / "validate.py").exists():
        pytest.exit(f"{harness.SCHEMAS / 'validate.py'} is missing", returncode=4)


def pytest_collection_modifyitems(config, items):
    if config.option.long or "long" in (config.option.markexpr or ""):
        return
    kept = [i for i in items if not i.get_closest_marker("long")]
    left = [i for i in items if i.get_closest_marker("long")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """After the body of a test that passed: end every bridge it started, and check what is always checked."""
    outcome = yield
    lab = pyfuncitem.funcargs.get("lab")
    if lab is None or getattr(outcome, "_excinfo", None) or getattr(outcome, "_exception", None):
        return
    try:
        lab.finish()
    except BaseException as e:
        if hasattr(outcome, "force_exception"):
            outcome.force_exception(e)
        else:
            outcome._result, outcome._excinfo = None, sys.exc_info()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test that hangs is ended, and shows where: it would hold up all others, and hide which one it is."""
    if item.get_closest_marker("long") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(*_):
        pytest.fail(f"the test has not ended within {LONGEST_TEST} s")
    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(LONGEST_TEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed and "lab" in getattr(item, "funcargs", {}):
        for b in item.funcargs["lab"].bridges:
            report.sections.append((b.name, b.dump()))


def pytest_generate_tests(metafunc):
    """A module that says STORES has each of its tests tried on each of them; FOOTBRIDGE_TEST_STORE says one for all modules."""
    if "lab" in metafunc.fixturenames and (stores := getattr(metafunc.module, "STORES", None)) and "FOOTBRIDGE_TEST_STORE" not in os.environ:
        metafunc.parametrize("store_kind", stores, indirect=True)


@pytest.fixture
def store_kind(request):
    kind = getattr(request, "param", os.environ.get("FOOTBRIDGE_TEST_STORE", "sqlite"))
    if kind == "postgres" and not postgres.IS_INSTALLED:
        pytest.skip("PostgreSQL is not installed")
    return kind


@pytest.fixture
def lab(tmp_path, store_kind):
    lab = harness.Lab(tmp_path, store_kind)
    yield lab
    lab.destroy()


@pytest.fixture
def bridge(lab):
    """A bridge whose client has initialized, with no capabilities."""
    return lab.bridge()


@pytest.fixture
def parent(lab):
    """A bridge whose client answers tool.invoke."""
    return lab.parent()


@pytest.fixture
def raw(lab):
    """A bridge that has been sent nothing yet."""
    return lab.bridge(init=False)

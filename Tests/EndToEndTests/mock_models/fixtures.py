"""Fixtures and small words for the tests of the models; a test file imports what it uses."""
from __future__ import annotations

import pytest

from .llm import HTTP, KINDS, Llm


@pytest.fixture(params=KINDS)
def llm(request, lab):
    """Each of the four providers in turn."""
    yield from _llm(lab, request.param)


@pytest.fixture(params=HTTP)
def http(request, lab):
    """Each of the three providers that speak HTTP."""
    yield from _llm(lab, request.param)


@pytest.fixture(params=["anthropic", "openai-responses"])
def thinking(request, lab):
    """Each of the two providers that want their reasoning back."""
    yield from _llm(lab, request.param)


@pytest.fixture
def claude(lab):
    yield from _llm(lab, "anthropic")


@pytest.fixture
def chat(lab):
    yield from _llm(lab, "openai")


@pytest.fixture
def responses(lab):
    yield from _llm(lab, "openai-responses")


@pytest.fixture
def sampling(lab):
    yield from _llm(lab, "parent")


def _llm(lab, kind):
    llm = Llm(lab, kind)
    try:
        yield llm
        llm.finish()
    finally:
        llm.close()


def streamed(bridge, run, type="text.delta"):
    """What an observer shows at the end, by message: the deltas in order, without those that a retry made void."""
    shown = {}
    for m in bridge.events(run):
        if m.type == type:
            shown[m.data["messageId"]] = shown.get(m.data["messageId"], "") + m.data["text"]
        elif m.type == "model.retried":
            shown.pop(m.data["messageId"], None)
    return shown


def retries(bridge, run):
    return [m.data for m in bridge.events(run, "model.retried")]


def completed(bridge, run):
    return [m.data for m in bridge.events(run, "model.completed")]

"""Keys, addresses and the road to them: environment variables, base URLs, proxies, TLS."""
import json
import os
import resource
import signal
import subprocess

import pytest

from harness import tool
from mock_models import HTTP, KEY, KEY_ENV, Raw, Status, StreamError, Turn
from mock_models.fixtures import http, sampling  # noqa: F401

CANARY = "sk-ant-CANARY-9f8e7d6c5b4a-ÄXYZ".replace("Ä", "A")


def key_of(request):
    return request.header("x-api-key") or (request.header("authorization") or "").removeprefix("Bearer ")


# ---------------------------------------------------------------- where the key comes from

def test_the_key_comes_from_the_environment(http):
    model = http.script("fine")
    http.bridge().succeeds(model)
    r = http.asked(model)[0]
    assert key_of(r) == KEY
    if http.kind == "anthropic":
        assert r.header("anthropic-version")
    else:
        assert r.header("x-api-key") is None


def test_an_agent_may_name_another_variable(http):
    http.server.key = None
    model = http.script("fine")
    b = http.bridge(env={"MY_KEY": "other-key"})
    b.succeeds(model, agent={"apiKeyEnv": "MY_KEY"})
    assert key_of(http.asked(model)[0]) == "other-key"


def no_runs(b):
    return b.call("run.list", {})["runs"] == []


def test_without_a_key_there_is_no_run(http):
    b = http.bridge(env={KEY_ENV[http.kind]: None, "OPENAI_BASE_URL": None, "ANTHROPIC_BASE_URL": None})
    e = b.fails("run.start", b.params(f"{http.kind}:m"), kind="model.missingKey")
    assert KEY_ENV[http.kind] in e.error["message"] and e.data["retryable"] is False
    assert no_runs(b)


def test_an_empty_key_is_none(http):
    b = http.bridge(env={KEY_ENV[http.kind]: "", "OPENAI_BASE_URL": None, "ANTHROPIC_BASE_URL": None})
    b.fails("run.start", b.params(f"{http.kind}:m"), kind="model.missingKey")


def test_a_named_variable_that_is_not_there(http):
    b = http.bridge()
    e = b.fails("run.start", b.params(f"{http.kind}:m", agent={"apiKeyEnv": "MY_OTHER_KEY"}), kind="model.missingKey")
    assert "MY_OTHER_KEY" in e.error["message"]
    assert no_runs(b)


@pytest.mark.parametrize("model", ["nobody:m", "m", "", ":m", "gpt-9", "Anthropic:m"])
def test_an_unknown_provider(lab, model):
    b = lab.bridge()
    e = b.error_of(b.request("run.start", b.params(model)))
    assert e.kind == "model.unknownProvider" or (e.kind == "invalidParams" and e.data["pointer"] == "/agent/model"), e.error
    assert no_runs(b)


def test_a_name_may_hold_colons_and_slashes(http):
    model = http.script("fine", name="meta/llama-3.1:70b@latest ü")
    http.bridge().succeeds(model)
    assert http.asked(model)[0].json["model"] == "meta/llama-3.1:70b@latest ü"


def test_a_provider_without_a_name(lab):
    b = lab.bridge(env={"ANTHROPIC_API_KEY": "x", "OPENAI_API_KEY": "x"})
    for kind in HTTP:
        e = b.error_of(b.request("run.start", b.params(f"{kind}:")))
        assert e.kind in ("model.unknownProvider", "invalidParams")


def test_a_key_with_a_line_break_sends_no_header_of_its_own(http):
    http.server.validate = False
    model = http.script(*["fine"] * 6)
    b = http.bridge(env={KEY_ENV[http.kind]: "abc\r\nx-evil: yes"})
    m = b.wait_response(b.start(model))
    assert all(r.header("x-evil") is None for r in http.server.requests)
    assert m.error is not None or m.result["ended"] or m.result["status"] == "paused"


def test_a_bridge_without_the_key_claims_nothing(http):
    model = http.script(Turn(calls=[("look", {})]), "Done.")
    a = http.bridge()
    o = a.run(model, [tool("look")], delivery="pause")
    a.hang_up()
    call = o["pendingToolCalls"][0]["callId"]
    b = http.bridge(env={KEY_ENV[http.kind]: None, "OPENAI_BASE_URL": None, "ANTHROPIC_BASE_URL": None})
    b.fails("run.submitToolResults", b.submit_params(o["runId"], {call: "rows"}), kind="model.missingKey")
    assert b.get(o["runId"])["status"] == "waiting_client_tool"
    b.hang_up()
    c = http.bridge()
    assert c.submit(o["runId"], {call: "rows"})["answer"] == "Done."


# ---------------------------------------------------------------- the key is nowhere else

def test_the_key_is_in_no_message_no_log_and_no_store(http):
    http.server.key = CANARY
    echo = f"Incorrect API key provided: {CANARY}. You can find your key at https://example.com."
    good = http.script(Turn("Look.", calls=[("look", {})]), Status(500, echo, headers=(("retry-after-ms", "5"),)), StreamError(Turn("x"), "overloaded_error", echo), "Done.")
    names = [http.script(Status(code, echo, request_id=f"req_{CANARY}")) for code in (400, 401, 403, 404)]
    names.append(http.script(Status(401, body=f"<html>{CANARY}</html>".encode(), content_type="text/html")))
    names.append(http.script(*[Raw(f"data: {CANARY}\n\n".encode())] * 5))
    names.append(http.script(StreamError(Turn("x"), "invalid_request_error", echo, "invalid_prompt")))
    names.append(http.script(*[Status(429, echo, headers=(("retry-after-ms", "5"), ("x-echo", CANARY)))] * 5))
    b = http.parent("--log-level", "debug", env={KEY_ENV[http.kind]: CANARY})
    b.handlers["look"] = {"content": "rows"}
    b.succeeds(good, [tool("look")], answer="Done.")
    for model in names:
        o = b.run(model, timeout=30)
        assert o["status"] in ("error", "paused")
        b.get(o["runId"])
    assert key_of(http.server.requests[0]) == CANARY
    b.hang_up()
    for m in b.messages:
        assert CANARY.encode() not in m.raw, m
    assert CANARY.encode() not in bytes(b.stderr)
    files = [p for p in b.lab.path.rglob("*") if p.is_file()]
    assert any(p.name.startswith("runs.db") for p in files)
    for p in files:
        assert CANARY.encode() not in p.read_bytes(), p


def test_the_key_is_not_in_the_arguments_of_the_process_nor_a_command_tool(http):
    from harness import sh
    model = http.script(Turn(calls=[("env", {})]), "Done.")
    b = http.bridge()
    o = b.succeeds(model, [sh("env", "env; cat /proc/$PPID/cmdline")], answer="Done.")
    assert KEY not in json.dumps(b.log(o["runId"]))


def dumps_core(process):
    """Whether the process, aborted where cores are allowed, leaves one."""
    os.kill(process.pid, signal.SIGABRT)
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT).si_code == os.CLD_DUMPED


def allow_cores():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_core_dump_is_not_made(http):
    """It would hold the key."""
    control = subprocess.Popen(["sleep", "60"], preexec_fn=allow_cores, cwd=http.lab.path)
    made = dumps_core(control)
    control.wait()
    if not made:
        pytest.skip("this machine writes no cores")
    model = http.script("fine")
    b = http.bridge(preexec=allow_cores, cwd=http.lab.path)
    b.succeeds(model)
    b.killed = b.may_crash = True
    assert not dumps_core(b.proc)
    b.wait_exit()


# ---------------------------------------------------------------- addresses

@pytest.mark.parametrize("tail", ["", "/"])
def test_base_urls_are_read_as_the_official_sdks_do(http, tail):
    base = http.base() + "/gateway/eu" + ("" if http.kind == "anthropic" else "/v1") + tail
    if http.kind != "anthropic":
        base = http.server.url + "/gateway/eu/v1" + tail
    else:
        base = http.server.url + "/gateway/eu" + tail
    model = http.script("fine")
    http.bridge(env={"ANTHROPIC_BASE_URL": base, "OPENAI_BASE_URL": base}).succeeds(model)
    assert http.asked(model)[0].target == {"anthropic": "/gateway/eu/v1/messages", "openai": "/gateway/eu/v1/chat/completions", "openai-responses": "/gateway/eu/v1/responses"}[http.kind]


def test_openai_has_no_v1_of_its_own(http):
    if http.kind == "anthropic":
        pytest.skip("Anthropic's base URL has none")
    model = http.script("fine")
    http.bridge(env={"OPENAI_BASE_URL": http.server.url}).succeeds(model)
    assert http.asked(model)[0].target == {"openai": "/chat/completions", "openai-responses": "/responses"}[http.kind]


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/v1", "file:///etc/passwd", "http://", "http://127.0.0.1:99999", "gopher://127.0.0.1:70/"])
def test_a_base_url_that_is_none(http, url):
    b = http.bridge(env={"ANTHROPIC_BASE_URL": url, "OPENAI_BASE_URL": url})
    m = b.wait_response(b.start(f"{http.kind}:m", limits={"onModelUnavailable": "error"}), timeout=30)
    assert m.error is not None or m.result["status"] == "error", m
    text = json.dumps(m.obj)
    assert "root:" not in text and KEY not in text


def test_a_password_in_the_base_url_is_shown_nowhere(http):
    base = http.base().replace("http://", "http://user:hunter2secret@")
    model = http.script(*[Status(500, "no", headers=(("retry-after-ms", "5"),))] * 5)
    b = http.bridge("--log-level", "debug", env={"ANTHROPIC_BASE_URL": base, "OPENAI_BASE_URL": base})
    m = b.wait_response(b.start(model), timeout=30)
    b.hang_up()
    assert m is not None
    assert not any(b"hunter2secret" in x.raw for x in b.messages) and b"hunter2secret" not in bytes(b.stderr)


# ---------------------------------------------------------------- proxies

def proxied(http, **env):
    """A run whose model's host does not exist; the mock stands in as the proxy."""
    model = http.script("fine")
    host = "http://model.invalid:8080" + ("" if http.kind == "anthropic" else "/v1")
    b = http.bridge(env={"ANTHROPIC_BASE_URL": host, "OPENAI_BASE_URL": host, **env})
    b.succeeds(model, timeout=20)
    return http.asked(model)[0]


def test_a_proxy_of_the_environment_is_used(http):
    r = proxied(http, http_proxy=http.server.url)
    assert r.target.startswith("http://model.invalid:8080/")


def test_all_proxy_is_used(http):
    assert proxied(http, all_proxy=http.server.url).target.startswith("http://model.invalid:8080/")


def test_no_proxy_is_honoured(http):
    model = http.script("fine")
    b = http.bridge(env={"http_proxy": "http://127.0.0.1:9", "no_proxy": "localhost,127.0.0.1"})
    b.succeeds(model)
    assert http.asked(model)[0].target.startswith("/")


# ---------------------------------------------------------------- the parent as the model

def test_a_parent_model_needs_the_capability(lab):
    b = lab.bridge()
    b.fails("run.start", b.params("parent:m"), kind="unsupportedCapability")
    assert no_runs(b)


def test_a_parent_model_with_tools_needs_sampling_with_tools(lab):
    b = lab.bridge(capabilities={"sampling": {}})
    b.fails("run.start", b.params("parent:m", [tool("look")]), kind="unsupportedCapability")
    assert no_runs(b)


def test_a_parent_model_without_tools_needs_no_more(sampling):
    model = sampling.script("fine")
    b = sampling.lab.bridge(capabilities={"sampling": {}})
    sampling.server.attach(b)
    b.succeeds(model, answer="fine")
    assert "tools" not in sampling.asked(model)[0].json

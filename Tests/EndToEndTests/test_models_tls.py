"""TLS and HTTP/2: who is trusted, and many streams over one connection."""
import shutil
import ssl
import subprocess
import time

import pytest

from harness import tool
from mock_models import KEY, Server, Status, Turn
from mock_models.fixtures import http, retries, streamed  # noqa: F401

LOOK = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


def certificate(folder, name):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, cert = folder / "tls.key", folder / "tls.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={name}"],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


def env(http, server, **more):
    url = server.url + ("" if http.kind == "anthropic" else "/v1")
    return {"ANTHROPIC_BASE_URL": url, "OPENAI_BASE_URL": url, **more}


def refused(http, server, **more):
    try:
        server.script("m", *["stolen"] * 9)
        b = http.bridge(env=env(http, server, **more))
        o = b.run(f"{http.kind}:m", limits={"onModelUnavailable": "error"}, timeout=30)
        assert o["status"] == "error" and o["error"]["kind"] in ("model.unavailable", "model.rejected"), o
        assert "certificate" in o["error"]["message"].lower()
        assert server.requests == []
    finally:
        server.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(http, tmp_path):
    context, _ = certificate(tmp_path, "IP:127.0.0.1")
    refused(http, Server(tls=context))


def test_a_certificate_of_somebody_else_is_refused(http, tmp_path):
    context, cert = certificate(tmp_path, "DNS:elsewhere.example")
    refused(http, Server(tls=context), SSL_CERT_FILE=cert)


def test_a_certificate_that_the_environment_vouches_for_is_trusted(http, tmp_path):
    context, cert = certificate(tmp_path, "IP:127.0.0.1")
    server = Server(key=KEY, tls=context)
    try:
        server.script("m", Turn(calls=[("look", {"path": "a"})]), Turn("Done."))
        b = http.parent(env=env(http, server, SSL_CERT_FILE=cert))
        b.handlers["look"] = {"content": "rows"}
        b.succeeds(f"{http.kind}:m", [tool("look", LOOK)], answer="Done.")
        assert server.connections == 1
        server.check()
    finally:
        server.close()


# ---------------------------------------------------------------- HTTP/2

@pytest.fixture
def two(http, tmp_path):
    """(server, bridge(**)) where the server offers HTTP/2."""
    pytest.importorskip("h2", reason="python3-h2 is not installed")
    from mock_models.h2_server import H2Server
    context, cert = certificate(tmp_path, "IP:127.0.0.1")
    made = []

    def server(**kw):
        made.append(H2Server(KEY, context, **kw))
        return made[-1], lambda: http.parent(env=env(http, made[-1], SSL_CERT_FILE=cert))
    yield server
    for s in made:
        s.check()
        s.close()


def test_http_2_is_spoken_where_it_is_offered(http, two):
    server, bridge = two()
    server.script("m", *[Turn(f"turn {i}", calls=[("look", {"path": str(i)})]) for i in range(5)], Turn("Done. ü🙂"))
    b = bridge()
    b.handlers["look"] = {"content": "rows"}
    o = b.succeeds(f"{http.kind}:m", [tool("look", LOOK)], answer="Done. ü🙂")
    assert server.protocols == ["h2"] and server.connections == 1
    assert retries(b, o["runId"]) == []


def test_many_runs_share_a_connection_and_a_cancel_ends_one_of_them(http, two):
    server, bridge = two()
    b = bridge()
    server.script("warm", Turn("warm"))
    b.succeeds(f"{http.kind}:warm")
    pieces = [f"{i} ü🙂 " for i in range(30)]
    server.script("stalled", Turn(pieces).with_(stall=b"3 \xc3\xbc"))
    stalled = b.start(f"{http.kind}:stalled")
    asked = server.wait_requests(1, "stalled")[0]
    assert asked.held.wait(10)
    going = []
    for i in range(30):
        server.script(f"m{i}", Turn(pieces))
        going.append(b.start(f"{http.kind}:m{i}"))
    for r in going:
        o = b.result(r, timeout=30)
        assert o["answer"] == "".join(pieces) and list(streamed(b, o["runId"]).values()) == ["".join(pieces)]
    before = time.monotonic()
    b.call("run.cancel", {"runId": b.start_id(stalled)})
    assert asked.left.wait(5) and asked.left_at - before < 1
    assert b.result(stalled)["status"] == "cancelled"
    server.script("after", Turn("after"))
    b.succeeds(f"{http.kind}:after", answer="after")
    assert server.connections <= 4, server.connections


@pytest.mark.parametrize("how", ["reset", "end"])
def test_a_stream_that_breaks_is_retried(http, two, how):
    server, bridge = two()
    turn = Turn(["One, ", "two, ", "three."])
    server.script("m", turn.with_(cut=b"two, ", cut_how=how), turn)
    b = bridge()
    o = b.succeeds(f"{http.kind}:m", answer="One, two, three.")
    assert len(retries(b, o["runId"])) == 1 and list(streamed(b, o["runId"]).values()) == ["One, two, three."]


def test_a_server_that_goes_away_between_turns_costs_no_answer(http, two):
    server, bridge = two(goaway=1)
    server.script("m", *[Turn(calls=[("look", {"path": str(i)})]) for i in range(4)], Turn("Done."))
    b = bridge()
    b.handlers["look"] = {"content": "rows"}
    b.succeeds(f"{http.kind}:m", [tool("look", LOOK)], answer="Done.", timeout=30)
    assert len(server.requests_of("m")) == 5


def test_a_status_over_http_2_has_its_words_and_its_wait(http, two):
    server, bridge = two()
    server.script("m", Status(429, "slow down", headers=(("retry-after-ms", "300"),)), Status(400, "because the moon is full"))
    b = bridge()
    o = b.run(f"{http.kind}:m")
    assert o["error"]["kind"] == "model.rejected" and "because the moon is full" in o["error"]["message"]
    assert retries(b, o["runId"])[0]["retryAfterMs"] >= 300

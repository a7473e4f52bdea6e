"""The providers against a server that nobody here wrote: LiteLLM's proxy (PyPI: `litellm[proxy]`), which speaks all three formats.

It reads what the bridge sends and writes what the bridge reads with code of its own; only the words come from the mock, which stands
behind it as the model that LiteLLM asks. Skipped, visibly, where there is no `litellm` in PATH or in FOOTBRIDGE_LITELLM.
"""
import os
import secrets
import shutil
import subprocess
import urllib.request

import pytest

from harness import free_port, tool, until
from mock_models import HTTP, KEY_ENV, URL_ENV, Server, Status, Thought, Turn
from mock_models.fixtures import completed, retries, streamed

LITELLM = os.environ.get("FOOTBRIDGE_LITELLM") or shutil.which("litellm")
LOOK = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
pytestmark = pytest.mark.skipif(not LITELLM, reason="LiteLLM's proxy is not installed (PyPI: litellm[proxy]); see FOOTBRIDGE_LITELLM")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    """(base URL, key, the mock behind it)."""
    folder = tmp_path_factory.mktemp("litellm")
    behind = Server(key=None, validate=False)
    port, key = free_port(), "sk-" + secrets.token_hex(24)
    # Servers that speak Chat Completions (vLLM), and OpenAI itself, which LiteLLM asks in the Responses API where it can. Each name is listed: what it knows by a
    # pattern only, it asks without streaming.
    config = "model_list:\n" + "".join(
        f"  - model_name: {kind}-m{n}\n    litellm_params: {{model: \"{kind}/m{n}\", api_key: none, api_base: \"{behind.url}/v1\"}}\n" for kind in ("hosted_vllm", "openai") for n in range(60))
    (folder / "config.yaml").write_text(config + f"general_settings: {{master_key: {key}}}\nlitellm_settings: {{num_retries: 0}}\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANG": "C.UTF-8"}
    with open(folder / "log", "wb") as log:
        p = subprocess.Popen([LITELLM, "--config", "config.yaml", "--port", str(port), "--host", "127.0.0.1", "--telemetry", "False"], cwd=folder, env=env, stdout=log, stderr=log)

    def up():
        assert p.poll() is None, (folder / "log").read_text()[-3000:]
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=2).status == 200
        except OSError:
            return False
    try:
        until(up, "LiteLLM's proxy", 120, step=0.3)
        yield f"http://127.0.0.1:{port}", key, behind
    finally:
        p.terminate()
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
        behind.close()


count = 0


@pytest.fixture(params=[(kind, behind) for kind in HTTP for behind in ("hosted_vllm", "openai")], ids=lambda p: f"{p[0]} over {p[1]}")
def real(request, proxy, lab):
    """(script(*turns) -> model, bridge(**) , requests(model))."""
    kind, behind = request.param
    url, key, mock = proxy

    def script(*steps):
        global count
        count += 1
        name = f"m{count}"
        mock.script(name, *[Turn(s) if isinstance(s, str) else s for s in steps])
        return f"{kind}:{behind}-{name}"

    def bridge(**kw):
        env = {KEY_ENV[kind]: key, URL_ENV[kind]: url + ("" if kind == "anthropic" else "/v1")}
        return lab.bridge(capabilities={"tools": {}}, env=env, **kw)
    return script, bridge, lambda model: mock.requests_of(model.split("-")[-1])


def test_a_text_answer(real):
    script, bridge, _ = real
    text = "Grüße 🙂 from a server that nobody here wrote."
    b = bridge()
    o = b.succeeds(script(text), answer=text, timeout=30)
    assert streamed(b, o["runId"]) == {completed(b, o["runId"])[0]["messageId"]: text}
    assert retries(b, o["runId"]) == []
    assert (o["stopReason"], o["usage"]["inputTokens"], o["usage"]["outputTokens"]) == ("end_turn", 10, 5)


def test_tools_are_called_and_their_results_arrive(real):
    script, bridge, asked = real
    model = script(Turn("Let me look.", calls=[("look", {"path": "ä"}), ("look", {"path": "b"})]), Turn(calls=[("look", {"path": "c"})]), "Three rows.")
    b = bridge()
    b.handlers["look"] = lambda p: {"content": "rows of " + p["arguments"]["path"], "isError": p["arguments"]["path"] == "b"}
    o = b.succeeds(model, [tool("look", LOOK)], agent={"instructions": "Be brief.", "maxOutputTokens": 500}, answer="Three rows.", timeout=30)
    assert sorted(m.params["arguments"]["path"] for m in b.invocations) == ["b", "c", "ä"]
    assert o["usage"]["modelCalls"] == 3 and retries(b, o["runId"]) == []
    last = asked(model)[-1].body.decode()
    for words in ("rows of ", "Be brief.", "look"):
        assert words in last


def test_an_image_in_a_result_arrives_or_is_refused_in_words(real):
    script, bridge, _ = real
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    b = bridge()
    b.handlers["look"] = {"content": [{"type": "text", "text": "the plot"}, {"type": "image", "data": png, "mimeType": "image/png"}]}
    o = b.run(script(Turn(calls=[("look", {"path": "a"})]), "A dot."), [tool("look", LOOK)], timeout=30)
    assert o.get("answer") == "A dot.", o


def test_reasoning_is_shown_where_the_server_passes_it_on(real):
    script, bridge, _ = real
    b = bridge()
    turn = Turn(blocks=[Thought("Let me think."), "Here."]).like(reasoning="reasoning_content")
    o = b.succeeds(script(turn), answer="Here.", timeout=30)
    assert "".join(streamed(b, o["runId"], "reasoning.delta").values()) in ("", "Let me think.")


def test_a_failure_behind_it_is_retried(real):
    script, bridge, _ = real
    b = bridge()
    o = b.succeeds(script(Status(503, "the model is asleep"), "Here."), answer="Here.", timeout=60)
    assert len(retries(b, o["runId"])) <= 2


def test_a_rejection_behind_it_has_its_words(real):
    script, bridge, _ = real
    b = bridge()
    o = b.run(script(*[Status(400, "because the moon is full")] * 3), timeout=60)
    assert o["status"] == "error" and o["error"]["kind"] == "model.rejected" and "because the moon is full" in o["error"]["message"]


def test_a_wrong_key_is_refused_and_not_shown(real, proxy, lab):
    kind = next(k for k in HTTP if real[0]("x").startswith(k + ":"))
    wrong = "sk-" + secrets.token_hex(24)
    b = lab.bridge(env={KEY_ENV[kind]: wrong, URL_ENV[kind]: proxy[0] + ("" if kind == "anthropic" else "/v1")})
    m = b.wait_response(b.start(f"{kind}:hosted_vllm-x"), timeout=30)
    assert m.result["status"] == "error" and m.result["error"]["kind"] == "model.rejected", m.obj
    assert not any(wrong.encode() in x.raw for x in b.messages)

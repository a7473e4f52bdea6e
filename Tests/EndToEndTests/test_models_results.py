"""What a provider's request holds of each kind of tool result."""
import base64
import json

import pytest

from harness import Error, Raw, sh, tool
from mock_models import Turn
from mock_models.fixtures import llm  # noqa: F401

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF").decode()
WAV = base64.b64encode(b"RIFF$\0\0\0WAVEfmt ").decode()
ZIP = base64.b64encode(b"PK\3\4" + bytes(range(256))).decode()


def after(llm, result, schema=None, **run):
    """The view of the request that follows a tool's result, and that result's message."""
    model = llm.script(Turn(calls=[("look", {})]), "Done.")
    b = llm.parent()
    b.handlers["look"] = result
    b.succeeds(model, [tool("look", schema)], answer="Done.", **run)
    seen = llm.views(model)[1]
    assert seen.roles[:3] == ["user", "assistant", "tool"]
    return seen, seen.messages[2]


def flat(seen):
    """All that the model can read, as one text."""
    return " ".join(str(x) for p in seen.everything() for x in p[1:])


def test_text(llm):
    _, said = after(llm, {"content": "3 rows\n\"ü\" 🙂"})
    assert said.text == "3 rows\n\"ü\" 🙂" and not said.error


def test_text_blocks(llm):
    seen, said = after(llm, {"content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]})
    assert "one" in said.text and "two" in said.text and said.text.index("one") < said.text.index("two")


@pytest.mark.parametrize("result", [{}, {"content": ""}, {"content": []}, {"content": [{"type": "text", "text": ""}]}, {"content": " \n"}],
                         ids=["nothing", "empty text", "no blocks", "an empty block", "blank"])
def test_empty_results_are_legal(llm, result):
    after(llm, result)


def test_an_error_is_marked(llm):
    _, said = after(llm, {"content": "no such file", "isError": True})
    assert "no such file" in said.text and said.error in (True, None)


def test_an_error_is_told_apart_where_the_format_has_no_flag(llm):
    seen, said = after(llm, {"content": "a.csv", "isError": True})
    assert said.error or "rror" in said.text or "fail" in said.text


def test_an_empty_error_is_legal(llm):
    after(llm, {"content": [], "isError": True})


def test_json(llm):
    _, said = after(llm, Raw('{"content":[{"type":"json","value":{"rows":[1,2.50],"u":"ü"}}]}'))
    assert json.loads(said.text) == {"rows": [1, 2.5], "u": "ü"} and "2.50" in said.text


def test_structured_content_alone_is_shown_as_json(llm):
    _, said = after(llm, {"structuredContent": {"rows": 3, "x": 0.10}})
    assert json.loads(said.text) == {"rows": 3, "x": 0.1}


def test_structured_content_that_is_no_object(llm):
    _, said = after(llm, {"structuredContent": [1, "two"]})
    assert json.loads(said.text) == [1, "two"]


def test_structured_content_beside_content_is_not_shown_twice(llm):
    _, said = after(llm, {"content": "three rows", "structuredContent": {"rows": 3}})
    assert said.text == "three rows"


@pytest.mark.parametrize("most", [1 << 20, 150_001, 20], ids=["whole", "cut where it is large", "cut where it is small"])
def test_large_structured_content(llm, most):
    rows = "[" + ",\t".join('{"n":%d,"x":0.10,"name":"Zo\u00eb \\"Z\\" \\\\ 🙂"}' % n for n in range(8000)) + "]"
    model = llm.script(Turn(calls=[("look", {})]), "Done.")
    b = llm.parent()
    b.handlers["look"] = Raw('{"structuredContent":%s}' % rows)
    b.succeeds(model, [tool("look", maxResultBytes=most)], answer="Done.")
    said = llm.views(model)[1].messages[2].text
    shown = rows.encode()[:most].decode(errors="ignore")
    assert said == (rows if shown == rows else f"{shown}\n[cut: the first {most} of {len(rows.encode())} bytes]")


def test_an_image(llm):
    seen, said = after(llm, {"content": [{"type": "text", "text": "the plot:"}, {"type": "image", "data": PNG, "mimeType": "image/png"}]})
    assert "the plot:" in said.text
    assert ("image", "image/png", PNG) in seen.everything()
    if llm.kind in ("anthropic", "openai-responses", "parent"):
        assert ("image", "image/png", PNG) in said.parts


def test_an_image_alone(llm):
    seen, said = after(llm, {"content": [{"type": "image", "data": PNG, "mimeType": "image/png"}]})
    assert ("image", "image/png", PNG) in seen.everything()


def test_images_of_parallel_calls(llm):
    model = llm.script(Turn(calls=[("look", {"n": 1}), ("look", {"n": 2})]), "Done.")
    b = llm.parent()
    b.handlers["look"] = lambda p: {"content": [{"type": "text", "text": f"plot {p['arguments']['n']}"}, {"type": "image", "data": PNG, "mimeType": "image/png"}]}
    b.succeeds(model, [tool("look")], answer="Done.")
    seen = llm.views(model)[1]
    assert seen.roles[:4] == ["user", "assistant", "tool", "tool"]
    assert seen.everything().count(("image", "image/png", PNG)) == 2
    assert ["plot 1" in seen.messages[2].text, "plot 2" in seen.messages[3].text] == [True, True]


def test_an_image_of_a_type_the_provider_does_not_take(llm):
    seen, _ = after(llm, {"content": [{"type": "image", "data": PNG, "mimeType": "image/tiff"}]})
    assert "image/tiff" in flat(seen)


def test_an_error_with_an_image(llm):
    _, said = after(llm, {"content": [{"type": "text", "text": "it broke, see:"}, {"type": "image", "data": PNG, "mimeType": "image/png"}], "isError": True})
    assert "it broke, see:" in said.text and said.error in (True, None)


def test_base64_that_is_none_does_not_poison_the_run(llm):
    seen, _ = after(llm, {"content": [{"type": "text", "text": "here"}, {"type": "image", "data": "not base64 $$", "mimeType": "image/png"}]})
    assert "here" in flat(seen)


def test_a_pdf(llm):
    seen, said = after(llm, {"content": [{"type": "binary", "data": PDF, "mimeType": "application/pdf", "filename": "report.pdf"}]})
    documents = [p for p in seen.everything() if p[0] == "document"]
    assert documents == [("document", "application/pdf", PDF)] or "report.pdf" in flat(seen)
    if llm.kind in ("anthropic", "openai-responses"):
        assert documents == [("document", "application/pdf", PDF)]


def test_a_pdf_without_a_name(llm):
    after(llm, {"content": [{"type": "binary", "data": PDF, "mimeType": "application/pdf"}]})


def test_a_binary_that_no_model_reads(llm):
    seen, said = after(llm, {"content": [{"type": "binary", "data": ZIP, "mimeType": "application/zip", "filename": "all.zip"}]})
    assert "all.zip" in flat(seen) and "application/zip" in flat(seen) or ("document", "application/zip", ZIP) in seen.everything()


def test_a_binary_at_a_url_is_not_fetched(llm):
    seen, said = after(llm, {"content": [{"type": "binary", "url": "http://127.0.0.1:9/x.pdf", "mimeType": "application/pdf", "filename": "x.pdf"}]})
    assert "http://127.0.0.1:9/x.pdf" in flat(seen)


def test_audio(llm):
    seen, said = after(llm, {"content": [{"type": "text", "text": "listen:"}, {"type": "audio", "data": WAV, "mimeType": "audio/wav"}]})
    assert "listen:" in said.text
    assert ("audio", "audio/wav", WAV) in seen.everything() or "audio/wav" in flat(seen)


def test_a_resource_with_text(llm):
    seen, said = after(llm, {"content": [{"type": "resource", "resource": {"uri": "file:///a.txt", "mimeType": "text/plain", "text": "the text of a"}}]})
    assert "the text of a" in json.dumps(seen.messages[2].parts) and "file:///a.txt" in json.dumps(seen.messages[2].parts)


def test_a_resource_with_bytes(llm):
    seen, said = after(llm, {"content": [{"type": "resource", "resource": {"uri": "file:///a.pdf", "mimeType": "application/pdf", "blob": PDF}}]})
    assert ("document", "application/pdf", PDF) in seen.everything() or "file:///a.pdf" in flat(seen)


def test_a_resource_that_is_an_image(llm):
    seen, said = after(llm, {"content": [{"type": "resource", "resource": {"uri": "file:///a.png", "mimeType": "image/png", "blob": PNG}}]})
    assert ("image", "image/png", PNG) in seen.everything() or "file:///a.png" in flat(seen)


def test_a_resource_link(llm):
    seen, said = after(llm, {"content": [{"type": "resource_link", "uri": "file:///a.csv", "name": "a.csv", "description": "the sales"}]})
    assert "file:///a.csv" in flat(seen) and "a.csv" in flat(seen)


def test_stdout_and_stderr_are_labelled(llm):
    _, said = after(llm, {"content": "done", "stdout": ["line one", "line two"], "stderr": ["a warning"]})
    text = said.text
    for word in ("done", "line one", "line two", "a warning", "stdout", "stderr"):
        assert word in text, text
    assert text.index("stderr") < text.index("a warning")
    assert text.index("stdout") < text.index("line one")


def test_a_block_of_an_unknown_type_is_legal(llm):
    seen, _ = after(llm, {"content": [{"type": "text", "text": "here"}, {"type": "text", "text": "there", "annotations": {"priority": 0.5}}]})
    assert "here" in flat(seen) and "there" in flat(seen)


def test_annotations_and_further_members_stay_at_home(llm):
    """Members that a provider does not know would be refused by it."""
    after(llm, {"content": [{"type": "text", "text": "here", "annotations": {"audience": ["user"]}, "x-more": 1}, {"type": "image", "data": PNG, "mimeType": "image/png", "annotations": {}}]})


def test_odd_characters_reach_the_model(llm):
    text = "nul \u0000 esc \u001b bell \u0007 bom \ufeff sep \u2028 max \U0010ffff end"
    _, said = after(llm, {"content": text})
    assert said.text == text


def test_a_lone_surrogate_becomes_a_replacement_character(llm):
    _, said = after(llm, Raw('{"content":"a\\ud83db"}'))
    assert said.text == "a\ufffdb"


def test_a_result_over_64_KiB_is_whole(llm):
    text = "".join(f"row {i}: \"ü\"\n" for i in range(20_000))
    _, said = after(llm, {"content": text})
    assert said.text == text


def test_a_result_over_the_limit_is_cut_with_a_note(llm):
    text = "0123456789" * 300
    model = llm.script(Turn(calls=[("look", {})]), "Done.")
    b = llm.parent()
    b.handlers["look"] = {"content": text}
    o = b.succeeds(model, [tool("look", maxResultBytes=1000)], answer="Done.")
    said = llm.views(model)[1].messages[2]
    assert said.text.startswith("0123456789") and len(said.text) < 1500 and "3000" in said.text.replace(",", "").replace(" ", "")
    assert b.whole(b.log_of(o["runId"], "tool.completed")[0]["content"]) in (text, [{"type": "text", "text": text}])


def test_a_large_image_is_whole(llm):
    data = base64.b64encode(base64.b64decode(PNG) + bytes(300_000)).decode()
    seen, _ = after(llm, {"content": [{"type": "image", "data": data, "mimeType": "image/png"}]})
    assert ("image", "image/png", data) in seen.everything()


def test_a_json_rpc_error_of_the_parent_is_an_error_for_the_model(llm):
    _, said = after(llm, Error(-32000, "the disk is full"))
    assert "the disk is full" in said.text and said.error in (True, None)


def test_a_command_result(llm):
    model = llm.script(Turn(calls=[("list", {}), ("fails", {})]), "Done.")
    b = llm.bridge()
    b.succeeds(model, [sh("list", "echo one; echo two"), sh("fails", "echo out; echo oops >&2; exit 3")], answer="Done.")
    seen = llm.views(model)[1]
    assert "one\ntwo" in seen.messages[2].text
    assert "oops" in seen.messages[3].text and "3" in seen.messages[3].text

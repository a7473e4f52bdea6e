"""Section 1: ids, shapes, batches, and lines that cannot be used."""
import json

import pytest

from harness import After, Line, calls, contains, dumps, expect, loads, raw_get, say, tool, until


def answered(b, line, kind, id=None, code=None, framing=b"\n"):
    """The line is answered once, with this kind, to this id; and the next message is served."""
    before = len(b.messages)
    b.send(line + framing)
    m = b.wait(lambda m: m.is_response, "an answer", start=before)
    assert m.error is not None, m
    assert m.error["data"]["kind"] == kind, m
    if code:
        assert m.error["code"] == code
    assert m.id == id and type(m.id) is type(id), m
    next_is_served(b, before + 1)


def next_is_served(b, at):
    b.send(b'{"jsonrpc":"2.0","id":"next","method":"ping"}\n')
    m = b.wait(lambda m: m.is_response, "the next answer", start=at)
    assert m.id == "next" and m.result == {}, m


def says_nothing(b, line):
    before = len(b.messages)
    b.send(line + b"\n")
    next_is_served(b, before)


# ---- ids

@pytest.mark.parametrize("id", ["0", "1", "-1", "-0", "1.5", "1.0", "1e3", "0.1", "9007199254740993", "18446744073709551615",
                                "123456789012345678901234567890", "-9223372036854775809",
                                '""', '"a"', '"1"', '"b-1"', '"null"', '"\\u00e9\\ud83d\\ude80"', '"a b\\n\\"c\\""', '"' + "x" * 1000 + '"'])
def test_an_id_comes_back_as_it_was(raw, id):
    raw.send(b'{"jsonrpc":"2.0","id":%s,"method":"ping"}\n' % id.encode())
    m = raw.wait(lambda m: m.is_response)
    assert m.result == {}
    back = raw_get(m.raw, "id")
    if id.startswith('"'):
        assert loads(back) == loads(id)
    else:
        assert back == id


@pytest.mark.parametrize("id", ["null", "{}", '{"a":1}', "[]", "[1]", "true", "false"])
def test_an_id_that_is_neither_string_nor_number_is_an_invalid_request(raw, id):
    answered(raw, b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % id.encode(), "invalidRequest", None, -32600)


def test_the_string_1_and_the_number_1_are_two_ids(lab):
    b = lab.parent()
    run = b.params([calls("t"), say("ok")], [tool("t")])
    b.request("run.start", run, id=1)
    first = b.next_invoke("t")
    b.request("ping", id="1")
    assert b.result("1") == {}
    b.respond(first, {"content": "x"})
    assert b.result(1)["status"] == "success"


def test_an_id_in_flight_is_an_invalid_request_and_the_first_goes_on(lab):
    b = lab.parent()
    b.request("run.start", b.params([calls("t"), say("ok")], [tool("t")]), id=7)
    invoke = b.next_invoke("t")
    b.raw_used = True
    b.request("ping", id=7)
    m = b.wait(lambda m: m.is_response and m.error is not None)
    assert m.error["code"] == -32600 and m.id in (7, None)
    b.sent_ids["7"] = b.got_ids["7"] + 1
    b.respond(invoke, {"content": "x"})
    m = b.wait(lambda m: m.is_response and m.result is not None and m.id == 7)
    assert m.result["status"] == "success"


def test_an_id_may_be_used_again_once_it_is_answered(raw):
    for _ in range(3):
        before = len(raw.messages)
        raw.send(b'{"jsonrpc":"2.0","id":7,"method":"ping"}\n')
        assert raw.wait(lambda m: m.is_response, start=before).result == {}


# ---- shapes

def test_a_missing_jsonrpc_member_is_accepted(raw):
    raw.send(b'{"id":1,"method":"ping"}\n')
    assert raw.wait_response(1).result == {}


@pytest.mark.parametrize("version", ['"1.0"', '"2.1"', "2.0", "2", "null", '""', "[]"])
def test_another_jsonrpc_version_is_an_invalid_request(raw, version):
    answered(raw, b'{"jsonrpc":%s,"id":1,"method":"ping"}' % version.encode(), "invalidRequest", 1, -32600)


def test_members_in_any_order(raw):
    raw.send(b'{"params":{},"method":"ping","id":1,"jsonrpc":"2.0"}\n')
    assert raw.wait_response(1).result == {}


def test_an_unknown_member_of_the_envelope_is_ignored(raw):
    raw.send(b'{"jsonrpc":"2.0","id":1,"method":"ping","x-more":{"a":[1]},"extra":1}\n')
    assert raw.wait_response(1).result == {}


def test_an_unknown_method_is_method_not_found(raw):
    answered(raw, b'{"jsonrpc":"2.0","id":1,"method":"no.such"}', "methodNotFound", 1, -32601)


@pytest.mark.parametrize("method", ["", "Ping", "run", "run.", "run.Start", "tools/call", "run.event", "\\u0000", "tool.invoke"])
def test_near_misses_are_unknown_methods(raw, method):
    answered(raw, b'{"jsonrpc":"2.0","id":1,"method":"%s"}' % method.encode(), "methodNotFound", 1, -32601)


def test_positional_params_of_a_method_that_exists_are_invalid_params(raw):
    answered(raw, b'{"jsonrpc":"2.0","id":1,"method":"run.get","params":["x"]}', "invalidParams", 1, -32602)


def test_positional_params_of_an_unknown_method_are_method_not_found(raw):
    answered(raw, b'{"jsonrpc":"2.0","id":1,"method":"no.such","params":["x"]}', "methodNotFound", 1, -32601)


@pytest.mark.parametrize("params", ['"x"', "1", "true"])
def test_params_that_are_no_structure_are_refused(raw, params):
    raw.send(b'{"jsonrpc":"2.0","id":1,"method":"run.get","params":%s}\n' % params.encode())
    assert raw.error_of(1).kind in ("invalidParams", "invalidRequest")
    raw.send(b'{"jsonrpc":"2.0","id":2,"method":"ping"}\n')
    assert raw.wait_response(2).result == {}


@pytest.mark.parametrize("method", ["run.get", "run.wait", "run.cancel", "run.resume", "run.pause", "run.events", "run.subscribe",
                                    "run.unsubscribe", "run.addNote", "run.delete", "run.submitToolResults"])
def test_missing_params_are_invalid_params_with_a_pointer(raw, method):
    raw.send(b'{"jsonrpc":"2.0","id":1,"method":"%s"}\n{"jsonrpc":"2.0","id":2,"method":"%s","params":{}}\n' % (method.encode(), method.encode()))
    assert raw.error_of(1).code == -32602
    e = raw.error_of(2)
    assert e.code == -32602 and e.data["pointer"] == "/runId"


@pytest.mark.parametrize("line", [b"{}", b'{"jsonrpc":"2.0"}', b'{"method":5}', b'{"jsonrpc":"2.0","method":1,"params":"bar"}',
                                  b"null", b"1", b'"ping"', b"true", b"-0.5"])
def test_json_that_is_no_message_is_an_invalid_request(raw, line):
    answered(raw, line, "invalidRequest", None, -32600)


@pytest.mark.parametrize("line", [b'{"jsonrpc":"2.0","id":3}', b'{"id":3,"method":5}', b'{"id":3,"method":null}', b'{"id":3,"method":["ping"]}',
                                  b'{"id":3,"params":{}}'])
def test_a_message_of_no_shape_is_an_invalid_request_to_its_id(raw, line):
    answered(raw, line, "invalidRequest", 3, -32600)


@pytest.mark.parametrize("line", [b'{"jsonrpc":"2.0","id":3,"result":1}', b'{"jsonrpc":"2.0","id":"b-1","result":{}}',
                                  b'{"jsonrpc":"2.0","id":"b-99","result":null}', b'{"jsonrpc":"2.0","id":"x","error":{"code":1,"message":"m"}}',
                                  b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}', b'{"id":1.5,"result":{}}'])
def test_a_response_nobody_asked_for_is_ignored(raw, line):
    says_nothing(raw, line)


@pytest.mark.parametrize("line", [b'{"jsonrpc":"2.0","method":"no.such"}', b'{"jsonrpc":"2.0","method":"$/progress","params":{"x":1}}',
                                  b'{"jsonrpc":"2.0","method":"notifications/initialized"}', b'{"jsonrpc":"2.0","method":"ping"}',
                                  b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}',
                                  b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"b-1"}}',
                                  b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}',
                                  b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":[1]}',
                                  b'{"jsonrpc":"2.0","method":"notifications/cancelled"}',
                                  b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"x"}}',
                                  b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"x","progress":1}}',
                                  b'{"jsonrpc":"2.0","method":"run.get","params":{"runId":"x"}}'])
def test_a_notification_is_never_answered(raw, line):
    says_nothing(raw, line)


# ---- batches

def batch(b, elements, timeout=None):
    before = len(b.messages)
    b.send((elements if isinstance(elements, bytes) else dumps(elements)) + b"\n")
    return b.wait_batch(timeout, start=before).obj


def by_id(items):
    return {json.dumps(i["id"]): i for i in items}


def test_a_batch_comes_back_as_one_array(raw):
    got = batch(raw, [{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": "two", "method": "no.such"}])
    assert len(got) == 2
    assert by_id(got)["1"]["result"] == {}
    assert by_id(got)['"two"']["error"]["code"] == -32601
    assert len(raw.messages) == 1


def test_a_batch_of_one_is_an_array_of_one(raw):
    assert batch(raw, [{"jsonrpc": "2.0", "id": 1, "method": "ping"}]) == [{"jsonrpc": "2.0", "id": 1, "result": {}}]


def test_an_empty_batch_is_an_invalid_request(raw):
    answered(raw, b"[]", "invalidRequest", None, -32600)
    answered(raw, b" [ ] ", "invalidRequest", None, -32600)


def test_a_batch_of_garbage_has_an_answer_for_each(raw):
    got = batch(raw, b'[1,2,"x",null,{},[]]')
    assert len(got) == 6
    for one in got:
        assert one["error"]["code"] == -32600 and one["id"] is None


def test_a_mixed_batch_answers_requests_and_garbage_but_not_notifications(raw):
    got = batch(raw, [{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "method": "notifications/initialized"}, 5,
                      {"jsonrpc": "2.0", "id": 9, "result": 1}, {"jsonrpc": "2.0", "id": 2, "method": "run.get", "params": {}}])
    assert len(got) == 3
    ids = by_id(got)
    assert ids["1"]["result"] == {} and ids["2"]["error"]["code"] == -32602 and ids["null"]["error"]["code"] == -32600


def test_a_batch_of_notifications_is_answered_by_nothing(raw):
    says_nothing(raw, b'[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"notifications/initialized"}]')


def test_a_batch_of_responses_is_answered_by_nothing(raw):
    says_nothing(raw, b'[{"jsonrpc":"2.0","id":1,"result":1},{"jsonrpc":"2.0","id":"b-5","result":{}}]')


def test_a_broken_batch_is_answered_once(raw):
    answered(raw, b'[{"jsonrpc":"2.0","id":1,"method":"ping"},', "parseError", None, -32700)
    answered(raw, b'[{"jsonrpc":"2.0","id":1,"method":"ping"}', "parseError", None, -32700)


def test_a_batch_of_many(raw):
    got = batch(raw, [{"jsonrpc": "2.0", "id": n, "method": "ping"} for n in range(1000)])
    assert {g["id"] for g in got} == set(range(1000))


def test_a_batch_comes_back_when_its_last_response_is_there(lab):
    b = lab.parent()
    b.send_json([{"jsonrpc": "2.0", "id": "p", "method": "ping"},
                 {"jsonrpc": "2.0", "id": "r", "method": "run.start", "params": b.params([calls("t"), say("ok")], [tool("t")])}])
    invoke = b.next_invoke("t")
    b.ping()
    assert not b.collect(lambda m: m.is_batch)
    b.respond(invoke, {"content": "x"})
    got = by_id(b.wait_batch().obj)
    assert got['"p"']["result"] == {} and got['"r"']["result"]["status"] == "success"


def test_an_id_of_a_batch_is_in_flight_until_the_batch_is_answered(lab):
    b = lab.parent()
    b.send_json([{"jsonrpc": "2.0", "id": "q", "method": "run.start", "params": b.params([calls("t"), say("ok")], [tool("t")])},
                 {"jsonrpc": "2.0", "id": "w", "method": "ping"}])
    invoke = b.next_invoke("t")
    b.request("ping", id="w")
    assert b.error_of("w").kind == "invalidRequest"
    b.respond(invoke, {"content": "x"})
    got = by_id(b.wait_batch().obj)
    assert got['"w"']["result"] == {} and got['"q"']["result"]["status"] == "success"
    before = len(b.messages)
    b.request("ping", id="w")
    assert b.wait(lambda m: not m.is_batch and m.id == "w", start=before).result == {}


def test_an_id_twice_in_a_batch_is_refused_the_second_time(raw):
    got = batch(raw, [{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 1, "method": "ping"}])
    assert got[0]["result"] == {} and got[1]["error"]["code"] == -32600


def test_an_answer_to_the_bridge_may_come_in_a_batch(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("ok", expect=expect(content="x"))], [tool("t")])
    invoke = b.next_invoke("t")
    b.send_json([{"jsonrpc": "2.0", "id": invoke.id, "result": {"content": "x"}}, {"jsonrpc": "2.0", "id": "p", "method": "ping"}])
    assert [x["id"] for x in b.wait_batch().obj] == ["p"]
    assert b.result(r)["status"] == "success"


# ---- lines that cannot be used

BAD_JSON = [b'{"jsonrpc":"2.0","id":7,"method":"ping"', b'{"jsonrpc":"2.0","id":7,"method":"ping",}', b'{"jsonrpc":"2.0","id":7,"method":ping}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":01}}', b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":1.}}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":NaN}}', b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":+1}}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":[1,]}}', b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\\x"}}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\t"}}', b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\x00"}}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":1\x00}}', b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{\'a\':1}}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":tru}}', b'{"jsonrpc":"2.0","id":7,"method":"ping" /* c */}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\\ud8"}}']
TRAILING = [b'{"jsonrpc":"2.0","id":7,"method":"ping"} x', b'{"jsonrpc":"2.0","id":7,"method":"ping"}}', b'{"jsonrpc":"2.0","id":7,"method":"ping"}{}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping"},', b'{"jsonrpc":"2.0","id":7,"method":"ping"}\x00']
BAD_UTF8 = [b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\xff"}}', b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\xc3"}}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\xed\xa0\x80"}}', b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\xc0\x80"}}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"\xf5\x80\x80\x80":1}}', b'{"jsonrpc":"2.0","id":7,"method":"pi\x80ng"}']
DUPLICATES = [b'{"jsonrpc":"2.0","id":7,"method":"ping","method":"ping"}', b'{"jsonrpc":"2.0","id":7,"method":"run.get","params":{"runId":"a","runId":"b"}}',
              b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{},"params":{}}',
              b'{"jsonrpc":"2.0","id":7,"method":"run.get","params":{"runId":"a","run\\u0049d":"b"}}',
              b'{"jsonrpc":"2.0","id":7,"method":"run.start","params":{"input":"x","agent":{"model":"a:b","model":"c:d"}}}']


@pytest.mark.parametrize("line", BAD_JSON + TRAILING)
def test_bad_json_is_answered_to_its_id_and_the_next_is_served(raw, line):
    answered(raw, line, "parseError", 7, -32700)


@pytest.mark.parametrize("line", BAD_UTF8)
def test_invalid_utf8_is_a_parse_error(raw, line):
    answered(raw, line, "parseError", 7, -32700)


@pytest.mark.parametrize("line", DUPLICATES)
def test_a_duplicate_key_is_a_parse_error(raw, line):
    answered(raw, line, "parseError", 7, -32700)


@pytest.mark.parametrize("line", [b"hello", b"{", b"]", b"}", b'"', b"{]", b"\x00", b"\xff\xfe", b"tru", b"nul", b"-", b"1 2", b'{"a"', b"<xml/>", b"GET / HTTP/1.1"])
def test_what_has_no_id_is_answered_to_null(raw, line):
    answered(raw, line, "parseError", None, -32700)


def test_an_id_inside_params_is_not_the_id_of_the_message(raw):
    answered(raw, b'{"jsonrpc":"2.0","method":"ping","params":{"id":5},}', "parseError", None, -32700)


def test_an_id_after_the_params_is_still_read(raw):
    answered(raw, b'{"method":"ping","params":{"id":5},"id":"mine",}', "parseError", "mine", -32700)


def test_a_duplicate_id_is_a_parse_error(raw):
    raw.send(b'{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}\n')
    m = raw.wait(lambda m: m.is_response)
    assert m.error["data"]["kind"] == "parseError" and m.id in (7, 8, None)
    next_is_served(raw, 1)


def test_a_hundred_bad_lines_are_answered_a_hundred_times(raw):
    raw.send(b"".join(b'{"id":%d,"method":"ping",}\n' % n for n in range(100)))
    until(lambda: len(raw.messages) == 100)
    assert {m.id for m in raw.messages} == set(range(100))
    next_is_served(raw, 100)


def test_half_a_message_then_eof_is_answered_once(lab):
    b = lab.bridge(init=False)
    b.send(b'{"jsonrpc":"2.0","id":1,"meth')
    b.close_stdin()
    assert b.wait_exit() == 0
    assert len(b.messages) == 1
    m = b.messages[0]
    assert m.error["data"]["kind"] == "parseError" and m.id == 1


def test_half_a_message_then_eof_after_initialize_is_answered_once(lab):
    b = lab.bridge()
    before = len(b.messages)
    b.send(b'{"jsonrpc":"2.0","id":"half","method":"run.start","params":{"input":"')
    assert b.hang_up() == 0
    assert len(b.messages) == before + 1
    m = b.messages[before]
    assert m.error["data"]["kind"] == "parseError" and m.id == "half"


def test_100000_open_brackets(raw):
    raw.send(b"[" * 100_000 + b"\n")
    m = raw.wait(lambda m: m.is_response)
    assert m.id is None and m.error["data"]["kind"] in ("parseError", "message.tooLarge")
    next_is_served(raw, 1)


def test_100000_nested_arrays(raw):
    answered(raw, b"[" * 100_000 + b"]" * 100_000, "message.tooLarge", None)


def test_100000_nested_arrays_in_params(raw):
    answered(raw, b'{"jsonrpc":"2.0","id":9,"method":"ping","params":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "message.tooLarge", 9)


def test_100000_nested_objects_in_params(raw):
    answered(raw, b'{"jsonrpc":"2.0","id":9,"method":"ping","params":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "message.tooLarge", 9)


def test_depth_within_the_limit_is_fine(raw):
    raw.send(b'{"jsonrpc":"2.0","id":9,"method":"ping","params":{"x":' + b"[" * 500 + b"]" * 500 + b"}}\n")
    assert raw.wait_response(9).result == {}


def test_depth_over_the_limit_is_too_large(raw):
    answered(raw, b'{"jsonrpc":"2.0","id":9,"method":"ping","params":{"x":' + b"[" * 520 + b"]" * 520 + b"}}", "message.tooLarge", 9)


def test_more_than_a_million_values_are_too_large(raw):
    answered(raw, b'{"jsonrpc":"2.0","id":9,"method":"ping","params":{"x":[' + b"1," * 1_000_100 + b"1]}}", "message.tooLarge", 9)


def test_a_batch_of_more_than_a_million_values_is_too_large(raw):
    answered(raw, b"[" + b"1," * 1_000_100 + b"1]", "message.tooLarge", None)


def test_half_a_million_values_are_fine(raw):
    raw.send(b'{"jsonrpc":"2.0","id":9,"method":"ping","params":{"x":[' + b"1," * 500_000 + b"1]}}\n")
    assert raw.wait_response(9).result == {}


def test_what_is_only_carried_does_not_count(lab):
    b = lab.parent()
    text = "[" + "1," * 1_100_000 + "1]"
    r = b.start([calls("t"), say("ok")], [tool("t")])
    b.respond_raw(b.next_invoke("t"), '{"content":"many","structuredContent":' + text + "}")
    assert b.result(r, 30)["status"] == "success"
    assert b.log_of(b.result(r)["runId"], "tool.completed")[0]["isError"] is False


# ---- long lines

def small(lab, **kw):
    return lab.bridge("--max-message-bytes", "100000", **kw)


@pytest.mark.parametrize("size", [100_100, 300_000, 5_000_000])
def test_an_overlong_line_is_answered_to_the_id_at_its_begin(lab, size):
    b = small(lab, init=False)
    answered(b, b'{"jsonrpc":"2.0","id":"first","method":"ping","params":{"x":"' + b"x" * size + b'"}}', "message.tooLarge", "first")


def test_an_overlong_line_is_answered_to_the_id_at_its_end(lab):
    b = small(lab, init=False)
    answered(b, b'{"jsonrpc":"2.0","method":"ping","params":{"x":"' + b"x" * 300_000 + b'"},"id":"last"}', "message.tooLarge", "last")


def test_an_overlong_line_with_its_id_in_the_middle_is_answered_to_null(lab):
    b = small(lab, init=False)
    answered(b, b'{"jsonrpc":"2.0","params":{"x":"' + b"x" * 150_000 + b'"},"id":5,"x-y":"' + b"y" * 150_000 + b'"}', "message.tooLarge", None)


def test_an_overlong_line_of_noise_is_answered_to_null(lab):
    answered(small(lab, init=False), b"x" * 400_000, "message.tooLarge", None)


def test_an_overlong_last_line_without_newline(lab):
    b = small(lab, init=False)
    b.send(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + b"x" * 300_000)
    b.close_stdin()
    assert b.error_of(1).kind == "message.tooLarge"
    assert b.wait_exit() == 0


def test_an_overlong_line_is_not_held_in_memory(lab):
    b = small(lab, init=False)
    b.send(b'{"id":0,"method":"ping"}\n')
    b.wait_response(0)
    before = b.peak_kb()
    b.send(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"')
    for _ in range(100):
        b.send(b"x" * 1_000_000)
    b.send(b'"}}\n')
    assert b.error_of(1, 30).kind == "message.tooLarge"
    assert b.peak_kb() - before < 50_000
    next_is_served(b, len(b.messages))


def test_a_line_just_within_the_limit_is_served(lab):
    b = small(lab, init=False)
    b.send(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + b"x" * 99_000 + b'"}}\n')
    assert b.wait_response(1).result == {}


def test_the_limit_is_announced(lab):
    assert small(lab).init_result["limits"]["maxMessageBytes"] == 100_000


# ---- broken answers to a request of the bridge

BROKEN = {
    "bad json": b'{"jsonrpc":"2.0","id":%ID%,"result":{"content":"x",}}',
    "cut off": b'{"jsonrpc":"2.0","id":%ID%,"result":{"content":"x',
    "trailing junk": b'{"jsonrpc":"2.0","id":%ID%,"result":{"content":"x"}} junk',
    "invalid utf-8": b'{"jsonrpc":"2.0","id":%ID%,"result":{"content":"\xff\xfe"}}',
    "duplicate member": b'{"jsonrpc":"2.0","id":%ID%,"result":{"content":"x"},"result":{"content":"y"}}',
    "id at the end": b'{"jsonrpc":"2.0","result":{"content":"x",},"id":%ID%}',
    "raw NUL": b'{"jsonrpc":"2.0","id":%ID%,"result":{"content":"a\x00b"}}',
    "over-long": b'{"jsonrpc":"2.0","id":%ID%,"result":{"content":"' + b"x" * 400_000 + b'"}}',
    "over-long, id last": b'{"jsonrpc":"2.0","result":{"content":"' + b"x" * 400_000 + b'"},"id":%ID%}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_a_tool_error_at_once(lab, name):
    b = lab.parent("--max-message-bytes", "200000")
    b.handlers["t"] = Line(BROKEN[name])
    o = b.run([calls("t"), say("went on", expect=expect(isError=True, name="t"))], [tool("t", timeoutMs=60_000)])
    assert (o["status"], o["answer"]) == ("success", "went on")
    assert [m for m in b.messages if m.is_response and m.error] == [], "nothing is sent for a broken answer"
    done = b.log_of(o["runId"], "tool.completed")[0]
    assert done["isError"] is True and done["content"]


@pytest.mark.parametrize("result", ["5", "null", "[]", '"text"', "true", "[{}]"])
def test_a_result_that_is_no_object_is_a_tool_error(lab, result):
    b = lab.parent()
    b.handlers["t"] = Line('{"jsonrpc":"2.0","id":%ID%,"result":' + result + "}")
    o = b.run([calls("t"), say("went on", expect=expect(isError=True))], [tool("t")])
    assert o["status"] == "success"
    assert b.log_of(o["runId"], "tool.completed")[0]["isError"] is True


@pytest.mark.parametrize("result", ['{"content":5}', '{"content":[5]}', '{"content":"x","isError":"yes"}', '{"content":"x","stdout":"not a list"}',
                                    '{"content":[{"type":"text"}]}', '{"content":{"type":"text","text":"x"}}'])
def test_a_result_of_wrong_types_never_ends_the_run(lab, result):
    b = lab.parent()
    b.handlers["t"] = Line('{"jsonrpc":"2.0","id":%ID%,"result":' + result + "}")
    o = b.run([calls("t"), say("went on")], [tool("t")])
    assert o["status"] == "success"
    assert b.log_of(o["runId"], "tool.completed")[0]["isError"] is True
    b.ping()


# ---- concurrency

def test_ping_is_answered_while_runs_are_busy(lab):
    b = lab.bridge()
    ids = [b.start([say("late", delayMs=1500)]) for _ in range(5)]
    for i in ids:
        b.start_id(i)
    for _ in range(20):
        b.ping()
    assert not [m for m in b.messages if m.is_response and m.id in ids]
    for i in ids:
        assert b.result(i)["status"] == "success"


def test_a_slow_run_does_not_delay_another(lab):
    b = lab.bridge()
    slow = b.start([say("slow", delayMs=3000)])
    b.start_id(slow)
    b.succeeds([say("quick")], answer="quick")
    assert not [m for m in b.messages if m.is_response and m.id == slow]
    b.call("run.cancel", {"runId": b.start_id(slow)})


def test_a_slow_command_does_not_delay_ping(lab):
    from harness import sh
    b = lab.bridge()
    i = b.start([calls("slow"), say("ok")], [sh("slow", "sleep 1; echo done")])
    b.wait_event("tool.started")
    for _ in range(20):
        b.ping()
    assert not [m for m in b.messages if m.is_response and m.id == i]
    assert b.result(i)["status"] == "success"


def test_the_ids_of_the_bridge_are_b_and_a_number_never_twice(lab):
    b = lab.parent()
    b.handlers["t"] = {"content": "x"}
    b.succeeds([{**calls("t", "t", "t"), "repeat": 3}, say("ok")], [tool("t")])
    ids = [m.id for m in b.invokes()]
    assert len(set(ids)) == 9
    for i in ids:
        assert i.startswith("b-") and i[2:].isdigit()


def test_a_client_may_use_the_ids_of_the_bridge_for_its_own_requests(lab):
    b = lab.parent()
    r = b.start([calls("t"), say("ok", expect=expect(content="x"))], [tool("t")])
    invoke = b.next_invoke("t")
    b.request("ping", id=invoke.id)
    b.wait(lambda m: m.is_response and m.id == invoke.id)
    b.respond(invoke, {"content": "x"})
    assert b.result(r)["status"] == "success"


def test_an_answer_given_twice_counts_once(lab):
    gate = __import__("threading").Event()
    b = lab.parent()
    b.handlers["u"] = After(gate, {"content": "u"})
    r = b.start([calls("t", "u"), say("ok", expect=expect(name="t", content="one"))], [tool("t"), tool("u")])
    invoke = b.next_invoke("t")
    b.respond(invoke, {"content": "one"})
    b.respond(invoke, {"content": "two"})
    b.ping()
    gate.set()
    o = b.result(r)
    assert o["status"] == "success"


def test_contains_is_a_word_of_the_script_not_of_the_wire(lab):
    b = lab.bridge()
    b.succeeds([say("yes", expect={"role": "user", "content": contains("needle")})], input="hay needle hay", answer="yes")

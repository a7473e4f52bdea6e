"""Section 1: bytes in and out. Lines, Content-Length, detection, descriptors."""
import fcntl
import json
import os
import subprocess
import termios
import threading

import pytest

from harness import BINARY, TIMEOUT, VERSION, base_env, calls, dumps, loads, nonblocking, say, sh, tool, until

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


def ping(n):
    return b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % n


def served(b, n):
    assert b.wait_response(n).result == {}


# ---- lines

def test_one_message_per_line(raw):
    raw.send(ping(1) + b"\n")
    served(raw, 1)


def test_two_messages_in_one_write(raw):
    raw.send(ping(1) + b"\n" + ping(2) + b"\n")
    served(raw, 1), served(raw, 2)


def test_a_message_in_two_writes(raw):
    raw.send(b'{"jsonrpc":"2.0","id":1,"met')
    raw.send(b'hod":"ping"}\n')
    served(raw, 1)


def test_crlf_ends_a_line(raw):
    raw.send(ping(1) + b"\r\n" + ping(2) + b"\r\n")
    served(raw, 1), served(raw, 2)


def test_blank_lines_are_passed_over(raw):
    raw.send(b"\n\r\n\n" + ping(1) + b"\n\n\n   \n" + ping(2) + b"\n")
    served(raw, 1), served(raw, 2)
    raw.send(ping(3) + b"\n")
    served(raw, 3)
    assert len(raw.messages) == 3


def test_white_space_around_a_message_is_json(raw):
    raw.send(b" \t" + ping(1) + b" \t \n")
    served(raw, 1)


def test_a_leading_bom_is_passed_over(raw):
    raw.send(b"\xef\xbb\xbf" + ping(1) + b"\n" + ping(2) + b"\n")
    served(raw, 1), served(raw, 2)
    assert not raw.messages[0].raw.startswith(b"\xef\xbb\xbf")


def test_a_last_line_without_newline_is_served(raw):
    raw.send(ping(1) + b"\n" + ping(2))
    raw.close_stdin()
    served(raw, 1), served(raw, 2)
    assert raw.wait_exit() == 0


def test_the_only_line_without_newline_is_served(raw):
    raw.send(ping(1))
    raw.close_stdin()
    served(raw, 1)
    assert raw.wait_exit() == 0


def test_what_comes_back_is_one_compact_line_each(raw):
    raw.send(b'{ "jsonrpc" : "2.0" , "id" : 1 , "method" : "rpc.discover" }\n' + ping(2) + b"\n")
    served(raw, 2)
    assert raw.wait_response(1).result["openrpc"]


def test_utf8_travels_as_utf8(lab):
    b = lab.bridge()
    text = "Grüße, 東京 — 🚀 \u2028 \u0085 \x7f"
    o = b.succeeds([say(text, expect={"role": "user", "content": "Straße 🛤"})], input="Straße 🛤", answer=text)
    assert b.get(o["runId"])["answer"] == text


@pytest.mark.parametrize("framing", ["line", "header"])
def test_one_byte_at_a_time(lab, framing):
    b = lab.bridge(init=False, framing=framing)
    script = lab.script([calls("look"), say("seen")])

    def drip(obj):
        data = b.frame(dumps(obj))
        for i in range(len(data)):
            b.send(data[i:i + 1])

    drip({"jsonrpc": "2.0", "id": 1, "method": "initialize",
          "params": {"protocolVersion": VERSION, "clientInfo": {"name": "é", "version": "1"}, "capabilities": {"tools": {}}}})
    assert b.wait_response(1).result["protocolVersion"] == VERSION
    b.initialized = True
    drip({"jsonrpc": "2.0", "method": "notifications/initialized"})
    drip({"jsonrpc": "2.0", "id": 2, "method": "run.start", "params": {"input": "🛤", "agent": {"model": script}, "tools": [tool("look")]}})
    invoke = b.next_invoke("look")
    drip({"jsonrpc": "2.0", "id": invoke.id, "result": {"content": "é"}})
    o = b.wait_response(2).result
    assert (o["status"], o["answer"]) == ("success", "seen")


def test_bytes_in_odd_portions(lab):
    b = lab.bridge(init=False)
    data = b"".join(ping(n) + b"\r\n" for n in range(1, 200))
    for size in (1, 2, 3, 5, 7, 11, 13, 64, 1000):
        b.send(data[:size])
        data = data[size:]
    b.send(data)
    for n in range(1, 200):
        served(b, n)


# ---- Content-Length

def header(body, extra=b""):
    return b"Content-Length: %d\r\n%s\r\n%s" % (len(body), extra, body)


def test_content_length_is_recognised_and_then_used_both_ways(lab):
    b = lab.bridge(init=False, framing="header")
    b.send(header(ping(1)))
    served(b, 1)
    b.send(header(ping(2)) + header(ping(3)))
    served(b, 2), served(b, 3)


def test_content_type_in_the_header_is_fine(lab):
    b = lab.bridge(init=False, framing="header")
    b.send(header(ping(1), b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n"))
    served(b, 1)
    b.send(b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n" + header(ping(2)))
    served(b, 2)


def test_content_length_counts_bytes_not_characters(lab):
    b = lab.bridge(init=False, framing="header")
    body = '{"jsonrpc":"2.0","id":"ü🚀","method":"ping"}'.encode()
    b.send(header(body) + header(ping(2)))
    served(b, "ü🚀"), served(b, 2)


def test_a_framed_body_may_have_newlines_in_it(lab):
    b = lab.bridge(init=False, framing="header")
    b.send(header(b'{\r\n  "jsonrpc": "2.0",\n\n  "id": 1,\n  "method": "ping"\n}\n') + header(ping(2)))
    served(b, 1), served(b, 2)


def test_a_broken_body_in_a_frame_is_answered_and_the_next_frame_served(lab):
    b = lab.bridge(init=False, framing="header")
    b.send(header(b'{"jsonrpc":"2.0","id":1,"method":') + header(ping(2)))
    e = b.error_of(1)
    assert e.kind == "parseError" and e.code == -32700
    served(b, 2)


def test_a_frame_over_the_limit_is_skipped_and_the_next_served(lab):
    b = lab.bridge("--max-message-bytes", "100000", init=False, framing="header")
    big = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + b"x" * 300_000 + b'"}}'
    b.send(header(big) + header(ping(2)))
    assert b.error_of(1).kind == "message.tooLarge"
    served(b, 2)


def test_half_a_frame_then_eof_ends_in_order(lab):
    b = lab.bridge(init=False, framing="header")
    b.send(header(ping(1)) + b"Content-Length: 500\r\n\r\n" + ping(2)[:20])
    served(b, 1)
    b.close_stdin()
    assert b.wait_exit() == 0
    assert len(b.messages) <= 2


def test_half_a_header_then_eof_ends_in_order(lab):
    code, out, err = lab.cli(stdin=b"Content-Len")
    assert code == 0


def test_framing_header_is_forced_by_the_option(lab):
    b = lab.bridge("--framing", "header", init=False, framing="header")
    b.send(header(ping(1)))
    served(b, 1)


def test_framing_line_is_forced_by_the_option(lab):
    b = lab.bridge("--framing", "line", init=False)
    b.send(ping(1) + b"\n")
    served(b, 1)


def test_framing_line_does_not_recognise_content_length(lab):
    b = lab.bridge("--framing", "line", init=False)
    b.send(header(ping(1)) + b"\n" + ping(2) + b"\n")
    served(b, 2)
    first = b.messages[0]
    assert first.error["data"]["kind"] == "parseError" and first.id is None


def test_framing_auto_recognises_both(lab):
    for framing in ("line", "header"):
        b = lab.bridge("--framing", "auto", init=False, framing=framing)
        b.send(b.frame(ping(1)))
        served(b, 1)


def test_a_whole_run_over_content_length(lab):
    b = lab.bridge(framing="header", capabilities={"tools": {}})
    b.handlers["look"] = {"content": "a\nb\r\n\r\nc"}
    o = b.succeeds([calls("look"), say("done", expect={"role": "tool", "content": "a\nb\r\n\r\nc"})], [tool("look")])
    b.check_replay(o["runId"])


# ---- what stdin and stdout are for the process and its children

def test_descriptor_0_is_dev_null_and_1_is_stderr(bridge):
    assert os.readlink(f"/proc/{bridge.pid}/fd/0") == "/dev/null"
    assert os.readlink(f"/proc/{bridge.pid}/fd/1") == os.readlink(f"/proc/{bridge.pid}/fd/2")


def test_it_never_sets_nonblock_on_what_it_inherited(lab):
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()
    err_r, err_w = os.pipe()
    p = subprocess.Popen([BINARY, "--store", lab.store], stdin=in_r, stdout=out_w, stderr=err_w, env=base_env(lab.path))
    try:
        os.write(in_w, PING + b"\n")
        assert loads(os.read(out_r, 65536))["result"] == {}
        assert not nonblocking(in_r) and not nonblocking(out_w) and not nonblocking(err_w)
        os.close(in_w)
        assert p.wait(TIMEOUT) == 0
        assert not nonblocking(in_r) and not nonblocking(out_w) and not nonblocking(err_w)
    finally:
        p.kill()
        p.wait()
        for fd in (in_r, out_r, out_w, err_r, err_w):
            os.close(fd)


def test_pipes_that_somebody_has_set_nonblocking_lose_nothing(lab):
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()
    for fd in (in_r, out_w):
        os.set_blocking(fd, False)
    p = subprocess.Popen([BINARY, "--store", lab.store], stdin=in_r, stdout=out_w, stderr=subprocess.PIPE, env=base_env(lab.path))
    try:
        os.close(in_r), os.close(out_w)
        requests = 60
        os.write(in_w, b"".join(b'{"jsonrpc":"2.0","id":%d,"method":"rpc.discover","params":{}}\n' % n for n in range(requests)))
        size = until(lambda: fcntl.fcntl(out_r, 1032) if waiting(out_r) else 0, "the first answer")  # F_GETPIPE_SZ
        until(lambda: waiting(out_r) > size - 65536, "the pipe to be full")
        os.close(in_w)
        output = b""
        while chunk := os.read(out_r, 1 << 20):
            output += chunk
        assert len(output) > 2 * size, "more answers are needed to fill the pipe"
        assert sorted(loads(line)["id"] for line in output.splitlines()) == list(range(requests))
        assert p.wait(TIMEOUT) == 0
    finally:
        p.kill()
        p.wait()
        p.stderr.close()
        os.close(out_r)


def waiting(fd):
    """Bytes that can be read."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4), "little")


def test_a_command_inherits_no_descriptor_of_the_bridge(lab):
    b = lab.bridge()
    o = b.succeeds([calls("fds"), say("ok")], [sh("fds", "ls -l /proc/self/fd | awk 'NR>1 {print $9, $11}'")])
    text = json.dumps(b.log_of(o["runId"], "tool.completed")[0]["content"])
    numbers = [int(part.split(" ")[0]) for part in text.replace('"', "").replace("\\n", "\n").splitlines() if part[:1].isdigit()]
    assert numbers and max(numbers) <= 3, text


def test_a_command_can_neither_read_the_protocol_nor_write_to_it(lab):
    b = lab.parent()
    o = b.start([calls("cat"), say("ok")], [sh("cat", 'cat; echo noise; echo \'{"jsonrpc":"2.0","id":"b-1","method":"ping"}\'')])
    b.ping()
    assert b.result(o)["status"] == "success"
    b.ping()


def test_works_over_a_socket_pair(lab):
    import socket
    mine, theirs = socket.socketpair()
    p = subprocess.Popen([BINARY, "--store", lab.store], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=base_env(lab.path))
    theirs.close()
    mine.settimeout(TIMEOUT)
    try:
        mine.sendall(PING + b"\n")
        assert loads(mine.recv(65536))["result"] == {}
        mine.shutdown(socket.SHUT_WR)
        assert p.wait(TIMEOUT) == 0
    finally:
        p.kill()
        p.wait()
        mine.close()


def test_works_with_files_for_stdin_and_stdout(lab):
    source = lab.file("in.jsonl", PING + b"\n" + ping(2) + b"\n")
    with open(source, "rb") as i, open(lab.path / "out.jsonl", "wb") as o:
        code = subprocess.run([BINARY, "--store", lab.store], stdin=i, stdout=o, stderr=subprocess.DEVNULL, env=base_env(lab.path), timeout=TIMEOUT).returncode
    assert code == 0
    assert {loads(x)["id"] for x in (lab.path / "out.jsonl").read_bytes().splitlines()} == {1, 2}


# ---- a client that does not read

def test_full_pipes_both_ways_are_no_deadlock(lab):
    b = lab.bridge(reading=False, init=False)
    count = 20_000
    writer = threading.Thread(target=lambda: b.send(b"".join(ping(n) + b"\n" for n in range(count))), daemon=True)
    writer.start()
    writer.join(1)
    b.resume_reading()
    writer.join(3 * TIMEOUT)
    assert not writer.is_alive()
    b.wait_response(count - 1, 3 * TIMEOUT)
    until(lambda: len(b.messages) == count, "all answers")
    assert {m.id for m in b.messages} == set(range(count))


def test_a_client_that_does_not_read_loses_no_event(lab):
    b = lab.parent()
    text = "word " * 2000
    script = lab.script([{"text": text, "toolCalls": [{"name": "no_such", "arguments": {}}], "repeat": 40}, say("end")])
    b.pause_reading()
    ids = [b.start(script, agent={"limits": {"maxIterations": 100}}) for _ in range(5)]
    other = lab.bridge()
    until(lambda: sum(r["status"] == "success" for r in other.call("run.list")["runs"]) == 5, "the runs to end unread", 4 * TIMEOUT)
    b.resume_reading()
    for i in ids:
        o = b.result(i, 3 * TIMEOUT)
        assert o["status"] == "success"
        log = b.check_replay(o["runId"])
        assert [m.seq for m in b.events(o["runId"], persisted=True)] == [e["seq"] for e in log]


@pytest.mark.long
def test_past_the_unread_limit_the_bridge_stops_reading_and_memory_stays_bounded(lab):
    b = lab.bridge(capabilities={})
    size = len(b.wait_response(b.request("rpc.discover")).raw)
    count = max(10, 300_000_000 // size)
    b.pause_reading()
    sent = []

    def write():
        for n in range(count):
            sent.append(b.request("rpc.discover", id=f"d{n}"))
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(15)
    assert b.peak_kb() < 400_000
    b.resume_reading()
    writer.join(120)
    assert not writer.is_alive()
    for i in (sent[0], sent[-1]):
        assert b.wait_response(i, 120).result["openrpc"]

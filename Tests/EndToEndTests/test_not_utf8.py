"""Paths and texts that are not UTF-8: none is taken for another one. What is needed and cannot be read is refused by its name, what is not needed stops nobody."""
import os

import pytest

from harness import calls, contains, dumps, expect, say, sh, until

# Latin-1; Python hands the byte on as it is.
BAD = "h\udce4user"


def everything(lab):
    return sorted(os.path.join(folder, name) for folder, folders, files in os.walk(os.fsencode(lab.path)) for name in folders + files)


@pytest.fixture
def folder(lab):
    """A folder whose name is not UTF-8."""
    path = lab.path / BAD
    path.mkdir()
    return path


@pytest.mark.parametrize("args,place", [
    (["runs", "--store", f"sqlite:{BAD}/x.db"], "argument 3 (after --store)"), (["runs", f"--store=sqlite:{BAD}/x.db"], "argument 2 (--store=)"),
    (["run", "--model", f"script:{BAD}/h.jsonl", "go"], "argument 3 (after --model)"), (["--config", f"{BAD}/c.json", "runs"], "argument 2 (after --config)"),
    (["run", "--model", "script:x", "--", "a\udcffb"], "argument 5"), ([BAD], "argument 1"), (["serve", "--record", f"{BAD}/rec"], "argument 3 (after --record)"),
])
def test_an_argument_is_refused_by_its_number_and_not_shown(lab, folder, args, place):
    (folder / "h.jsonl").write_text(dumps(say("x")).decode())
    before = everything(lab)
    code, out, err = lab.cli(*args)
    assert code == 64 and out == b"" and f"{place} is not UTF-8" in err.decode(), err
    assert b"user" not in err and b"\xef\xbf\xbd" not in err and everything(lab) == before


@pytest.mark.parametrize("variable", ["HOME", "XDG_STATE_HOME"])
def test_a_home_that_is_not_is_refused_where_the_store_would_be_in_it(lab, folder, variable):
    model = lab.script([say("ok")])
    before = everything(lab)
    env = {"XDG_STATE_HOME": None, variable: folder}
    for args in (["run", "--model", model, "go"], ["runs"], []):
        code, out, err = lab.cli(*args, store=False, env=env)
        assert code == 78 and out == b"" and f"{variable} is not UTF-8".encode() in err, (args, err)
    assert everything(lab) == before
    for args in (["schema"], ["--version"], ["help"], ["run", "--store", "memory", "--model", model, "go"]):
        assert lab.cli(*args, store=False, env=env)[0] == 0, args
    assert f"{variable} is not UTF-8".encode() in lab.cli("help", store=False, env=env)[1]


def test_a_relative_state_folder_is_none_whatever_it_is_called(lab):
    code, out, err = lab.cli("run", "--model", lab.script([say("ok")]), "go", store=False, env={"XDG_STATE_HOME": BAD})
    assert (code, out) == (0, b"ok\n") and (lab.path / ".local" / "state" / "footbridge" / "runs.db").exists(), err


@pytest.mark.parametrize("variable,args", [("STORE", ["--store", "memory"]), ("CONFIG", None), ("AGENTS", None), ("LOG_LEVEL", ["--log-level", "info"])])
def test_a_variable_of_an_option_is_refused_unless_the_command_line_comes_before_it(lab, variable, args):
    name = f"FOOTBRIDGE_{variable}"
    run = ["run", "--model", lab.script([say("ok")]), "go"]
    code, out, err = lab.cli(*run, env={name: BAD})
    assert code == 78 and out == b"" and f"{name} is not UTF-8" in err.decode()
    if args:
        assert lab.cli(*run, *args, env={name: BAD})[:2] == (0, b"ok\n")


def test_a_variable_that_nobody_needs_stops_nobody(lab):
    env = {"LANG": BAD, "TERM": BAD, "NO_COLOR": BAD, "SOMETHING": BAD, "OPENAI_API_KEY": BAD, "SSL_CERT_FILE": BAD, "https_proxy": BAD}
    assert lab.cli("run", "--model", lab.script([say("ok")]), "go", env=env) == (0, b"ok\n", b"")


def test_a_command_gets_a_variable_as_it_is_or_is_not_begun(lab, folder):
    def answer(tool, model):
        code, out, err = lab.cli("run", "--model", model, "--tool", lab.file("tool.json", tool), "go", env={"HOME": folder, "OTHER": BAD})
        assert code == 0, err
    refused = expect(content=contains("HOME, which is not UTF-8"), isError=True)
    answer(sh("c", "echo $HOME"), lab.script([calls("c"), say("ok", expect=refused)]))
    answer(sh("c", "echo $HOME", env={"HOME": "/own"}), lab.script([calls("c"), say("ok", expect=expect(content=contains("/own")))]))
    refused = expect(content=contains("OTHER, which is not UTF-8"), isError=True)
    answer(sh("c", "true", env={"HOME": "/", "X": "<${OTHER}>"}), lab.script([calls("c"), say("ok", expect=refused)]))


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI_BASE_URL", "http_proxy", "SSL_CERT_FILE"])
def test_a_model_that_needs_the_variable_fails_and_names_it(lab, variable):
    env = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", variable: BAD}
    agent = {"model": "openai:m", "limits": {"maxModelRetries": 0}}
    code, out, err = lab.cli("run", "--agent", lab.file("agent.json", agent), "go", env=env)
    assert code != 0 and out == b"" and f"{variable} is not UTF-8" in err.decode(), err


def test_a_store_whose_folder_is_called_so_is_refused_before_anything_is_made(lab, folder):
    model = lab.script([say("ok")])
    for path in ("x.db", "new/x.db"):
        code, out, err = lab.cli("run", "--store", f"sqlite:{path}", "--model", model, "go", cwd=folder)
        assert code == 74 and path in err.decode() and "not UTF-8" in err.decode() and os.listdir(folder) == [], err
    (lab.path / "link.db").symlink_to(folder / "x.db")
    (folder / "x.db").touch()
    code, out, err = lab.cli("run", "--store", "sqlite:link.db", "--model", model, "go")
    assert code == 74 and b"link.db" in err and b"not UTF-8" in err and os.listdir(folder) == ["x.db"]


def test_an_agent_file_that_is_called_so_ends_the_process_at_start_and_is_left_out_later(lab, folder):
    agents = lab.path / "agents"
    lab.file("agents/good.json", {"model": lab.script([say("ok")])})
    (agents / f"{BAD}.txt").touch()
    (agents / f".{BAD}.json").touch()
    b = lab.bridge("--agents", str(agents))
    assert [a["agentId"] for a in b.call("agent.list")["agents"]] == ["good"]
    (agents / f"{BAD}.json").write_text("{}")
    assert [a["agentId"] for a in b.call("agent.list")["agents"]] == ["good"]
    until(lambda: rb"h\xE4user.json is not UTF-8" in b.stderr, "the warning")
    code, out, err = lab.cli("serve", "--agents", agents)
    assert code == 78 and out == b"" and rb"h\xE4user.json is not UTF-8" in err and str(agents).encode() in err

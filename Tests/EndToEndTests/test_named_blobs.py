"""A blob that a run's log names goes with that run, whoever stored it: neither a deletion elsewhere nor the clearing up of loose blobs takes it."""
import sqlite3

import pytest

import postgres
from conversations import asked, messages, reply, session, turn, window
from harness import calls, expect, say, text_of, tool, until

BIG = "0123456789abcdef" * 6000
KINDS = ["sqlite", "postgres"]


class Place:
    """A store, and what only its database says."""

    def __init__(self, lab, kind):
        self.lab, self.kind = lab, kind
        if kind == "postgres":
            if not postgres.IS_INSTALLED:
                pytest.skip("PostgreSQL is not installed")
            self.database = postgres.server().database()
        self.store = f"sqlite:{lab.path / 'named.db'}" if kind == "sqlite" else postgres.server().store(self.database)

    def parent(self):
        return self.lab.parent(store=self.store)

    def a_week_goes_by(self):
        """All blobs are eight days older."""
        if self.kind == "postgres":
            postgres.server().sql("UPDATE footbridge.blobs SET created_at = created_at - interval '8 days', loose_since = loose_since - interval '8 days'", self.database)
        else:
            with sqlite3.connect(self.lab.path / "named.db") as db:
                db.execute("UPDATE blobs SET created_at = created_at - 8 * 86400000")
            db.close()

    def blobs(self):
        if self.kind == "postgres":
            return int(postgres.server().sql("SELECT count(*) FROM footbridge.blobs", self.database)[0])
        db = sqlite3.connect(self.lab.path / "named.db")
        try:
            return db.execute("SELECT count(*) FROM blobs").fetchone()[0]
        finally:
            db.close()


@pytest.fixture(params=KINDS)
def place(lab, request):
    return Place(lab, request.param)


def written(b, text):
    return b.call("blob.write", {"data": text, "last": True})["id"]


def content(b, run):
    return text_of(b.whole(b.log_of(run, "tool.completed")[0]["content"]))


def logged(b, run):
    """The blob that stands in the first result of a run."""
    found = b.log_of(run, "tool.completed")[0]["content"]
    return (found if "$blob" in found else found[0]["text"])["$blob"]


def test_what_a_result_names_stays_and_what_nothing_names_is_cleared_up(place):
    b = place.parent()
    b.handlers["t"] = lambda p: {"content": {"$blob": written(b, BIG)}}
    by_answer = b.succeeds([calls("t"), say("ok")], [tool("t")])["runId"]
    o = b.run([calls("t"), say("ok")], [tool("t")], delivery="pause")
    b.submit(o["runId"], {o["pendingToolCalls"][0]["callId"]: {"content": [{"type": "image", "mimeType": "image/png", "data": {"$blob": written(b, "aGk=")}}]}})
    loose, begun = written(b, BIG), b.call("blob.write", {"data": "x"})["id"]
    assert place.blobs() == 4
    place.lab.finish()
    place.a_week_goes_by()
    b = place.parent()
    assert b.succeeds([say("ok")])
    until(lambda: place.blobs() == 2)
    assert content(b, by_answer) == BIG and b.whole(b.log_of(o["runId"], "tool.completed")[0]["content"])[0]["data"] == "aGk="
    for id in (loose, begun):
        b.fails("blob.read", {"id": id}, kind="blob.notFound")
    for run in (by_answer, o["runId"]):
        b.call("run.delete", {"runId": run})
    assert place.blobs() == 0


@pytest.mark.parametrize("first", ["the one that stored it", "the one that named it"])
def test_what_a_result_names_of_another_run_goes_with_the_last_of_them(place, first):
    b = place.parent()
    b.handlers["t"] = {"content": BIG}
    whose = b.succeeds([calls("t"), say("ok")], [tool("t")])["runId"]
    id = logged(b, whose)
    b.handlers["t"] = {"content": {"$blob": id}}
    s = session(b)
    naming = b.succeeds([calls("t"), say("ok")], [tool("t")], sessionId=s)["runId"]
    assert logged(b, naming) == id and place.blobs() == 1
    gone, stays = (whose, naming) if first == "the one that stored it" else (naming, whose)
    b.call("run.delete", {"runId": gone})
    assert content(b, stays) == BIG
    if stays == naming:
        b.succeeds([say("ok")], sessionId=s)
        place.lab.finish()
        b = place.parent()
        b.succeeds([say("ok", expect=expect(role="user", content="go"))], sessionId=s)
        assert content(b, stays) == BIG
    b.call("run.delete", {"runId": stays})
    assert place.blobs() == 0


def test_a_long_answer_of_a_merged_message_outlives_the_turn_that_gave_it(lab):
    b = window(lab)
    s = session(b)
    merge = {"messageConcurrency": "merge"}
    first = turn(b, s, "one", agent=merge)
    m = asked(b)
    ids = [turn(b, s, f"q{n}", agent=merge) for n in range(2)]
    runs = [b.start_id(i) for i in ids]
    reply(b, m, "done")
    reply(b, asked(b), BIG)
    b.result(first)
    assert [b.result(i)["answer"] for i in ids] == [BIG, BIG]
    b.call("run.delete", {"runId": runs[1]})
    assert b.get(runs[0])["answer"] == BIG
    assert b.whole(b.log(runs[0])[-1]["data"]["answer"]) == BIG
    assert BIG not in str(messages(b, s))


@pytest.mark.parametrize("to", KINDS)
def test_what_a_result_named_is_in_the_copy(place, to):
    b = place.parent()
    b.handlers["t"] = lambda p: {"content": {"$blob": written(b, BIG)}}
    run = b.succeeds([calls("t"), say("ok")], [tool("t")])["runId"]
    place.lab.finish()
    other = f"sqlite:{place.lab.path / 'copy.db'}" if to == "sqlite" else Place(place.lab, to).store
    assert place.lab.cli("store", "copy", place.store, other, store=False)[0] == 0
    assert content(place.lab.bridge(store=other), run) == BIG

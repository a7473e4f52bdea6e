"""What the tests of sessions share: a client that is the model, what it was shown, and what a session says of itself."""
import threading

from harness import text_of

SAMPLING = {"sampling": {"tools": {}}}
NOWHERE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def window(lab, *args, capabilities=None, **kw):
    """A bridge whose client answers `sampling/createMessage`: what a model is shown, it is shown."""
    return lab.bridge(*args, capabilities={**SAMPLING, **(capabilities or {})}, **kw)


def session(b, **params):
    return b.call("session.create", params)["sessionId"]


def turn(b, s, text, model="parent:m", tools=None, agent=None, **more):
    """Sends the run.start of a turn; returns the request's id."""
    return b.start(model, tools, input=text, agent=agent, sessionId=s, **more)


def asked(b, run=None, timeout=None):
    """The next request for a message that nobody has taken."""
    return b.next_request("sampling/createMessage", timeout, lambda m: run is None or m.params["_meta"].get("runId") == run)


def times_asked(b):
    return len(b.collect(lambda m: m.is_request and m.method == "sampling/createMessage"))


def blocks(message):
    return message["content"] if isinstance(message["content"], list) else [message["content"]]


def seen(m):
    """What the model is shown, as (role, text): a call is `name(arguments)`, a result `= text`."""
    out = []
    for message in m.params["messages"]:
        for b in blocks(message):
            if b["type"] == "text":
                out.append((message["role"], b["text"]))
            elif b["type"] == "tool_use":
                out.append((message["role"], f"{b['name']}({b['input'] or ''})"))
            elif b["type"] == "tool_result":
                out.append((message["role"], "= " + text_of(b["content"])))
            else:
                out.append((message["role"], f"<{b['type']}>"))
    return out


def users(m):
    """What the users have said, of what the model is shown."""
    return [text for role, text in seen(m) if role == "user" and not text.startswith("= ")]


def offered(m):
    return [t["name"] for t in m.params.get("tools", [])]


def system(m):
    return m.params.get("systemPrompt", "")


def reply(b, m, text=None, calls=(), pieces=()):
    """Answers a request for a message; `pieces` are streamed before."""
    for n, piece in enumerate(pieces, 1):
        b.notify("notifications/progress", {"progressToken": m.params["_meta"]["progressToken"], "progress": n, "message": piece})
    if text is None:
        text = "".join(pieces)
    content = [{"type": "text", "text": text}] if text else []
    for n, call in enumerate(calls):
        name, arguments = (call, {}) if isinstance(call, str) else call
        content.append({"type": "tool_use", "id": f"{m.id}-{n}", "name": name, "input": arguments})
    b.respond(m, {"role": "assistant", "content": content[0] if len(content) == 1 and not calls else content, "model": "m",
                  "stopReason": "toolUse" if calls else "endTurn"})


def answers(b, text="ok"):
    """Answers every request for a message from here on, by a text or by what `text(m)` says."""
    def serve():
        try:
            while not b.eof:
                try:
                    m = b.next_request("sampling/createMessage", 600)
                except AssertionError:
                    return
                reply(b, m, text(m) if callable(text) else text)
        except (OSError, ValueError):
            pass  # the bridge is gone
    threading.Thread(target=serve, daemon=True).start()
    return b


def speak(b, s, text, answer="ok", **more):
    """A whole turn; returns its outcome."""
    i = turn(b, s, text, **more)
    reply(b, asked(b, b.start_id(i)), answer)
    o = b.result(i)
    assert o["status"] == "success", o
    return o


def messages(b, s, limit=None, **more):
    """All messages of a branch, over as many pages as it takes."""
    out, cursor = [], None
    while True:
        page = b.call("session.messages", {"sessionId": s, **more, **({"limit": limit} if limit else {}), **({"cursor": cursor} if cursor else {})})
        assert limit is None or len(page["messages"]) <= limit
        out += page["messages"]
        if "nextCursor" not in page:
            return out
        assert page["messages"], "an empty page that has another after it"
        cursor = page["nextCursor"]


def said(b, s, **more):
    """(role, text) of the messages of a branch."""
    return [(m["role"], text_of(m["content"])) for m in messages(b, s, **more)]


def branches(b, s):
    return b.call("session.get", {"sessionId": s})["branches"]


def fork(b, s, at):
    return b.call("session.fork", {"sessionId": s, "atMessageId": at["id"] if isinstance(at, dict) else at})["branchId"]


def status(b, run):
    return b.get(run)["status"]


def subscribe(b, s, **after):
    return b.call("session.subscribe", {"sessionId": s, **({"after": after} if after else {})})


def state(b, s, **more):
    got = b.call("session.get", {"sessionId": s, **more})
    return got["state"], got["context"]

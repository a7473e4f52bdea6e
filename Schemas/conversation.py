"""The rules of order that one schema cannot say, checked over a whole conversation (transcripts/*.jsonl)."""
import json

from wire import WireValidator, pointer, same_id, shared

SETTLING = {"run.start", "run.submitToolResults", "run.submitApprovals", "run.submitInput", "run.cancel", "run.resume", "run.pause"}
LAST = {"run.completed", "run.error", "run.cancelled"}


class Run:
    """What the log of one run says so far."""

    def __init__(self):
        self.log = []  # persisted events, in order
        self.calls = {}  # callId -> how often sent, of calls without tool.completed
        self.arguments = {}
        self.waiting = set()
        self.asked = {}  # callId -> whether it may be made, of calls that need approval; None until it is decided
        self.questions = set()
        self.message = None  # the model message that is being made
        self.text = ""  # what was streamed of it
        self.ended = False


class Conversation:
    """Takes the lines of a transcript in order; `fail` is raised as AssertionError."""

    def __init__(self):
        self.schemas = shared()
        self.runs = {}
        self.process = 0

    def begin_process(self):
        """A new bridge on the same store: the one before it is gone, and so is what it had open."""
        self.process += 1
        self.wire = WireValidator()
        self.requests = {}  # id -> request of the client, without an answer
        self.wrong = {}  # id -> pointers at which the request is wrong
        self.seen = {}  # runId -> last seq sent here
        self.accepted = {}  # id of a run.start -> runId
        self.sent = 0

    def line(self, line):
        assert set(line) <= {"from", "process", "message"}, "a line has from, message and, after the first process, process"
        process = line.get("process", 1)
        if process != self.process:
            assert process == self.process + 1, "processes are numbered from 1"
            self.begin_process()
        if line["from"] == "client":
            self.client(line["message"])
        else:
            assert line["from"] == "bridge", "from is client or bridge"
            self.bridge(line["message"])

    def end(self):
        assert not self.requests, f"no answer to {list(self.requests.values())[0]}"
        assert not self.wire.open_bridge_requests, "a request of the bridge is neither answered nor cancelled"

    # From the client. A request that does not validate must be answered by an error that says so.

    def client(self, message):
        self.wire.client_message(message)
        if "method" not in message:
            if "result" in message:
                name = self.wire.bridge_requests[same_id(message["id"])]
                table = self.schemas.reverse.get(name) or self.schemas.methods[name]
                problem = self.schemas.problem(f"{table[0]}.result", message["result"], ("result",))
                assert problem is None, problem
            return
        table = self.schemas.methods if "id" in message else self.schemas.notifications
        known = table.get(message["method"])
        if "id" in message:
            self.requests[same_id(message["id"])] = message
        if message["method"] in ("run.resume", "run.subscribe") and "afterSeq" in message["params"]:
            self.seen[message["params"]["runId"]] = message["params"]["afterSeq"]
        if known is None:
            assert "id" in message, f"unknown notification {message['method']}"
            return
        assert known[1]["x-direction"] in ("client", "both"), f"{message['method']} comes from the bridge"
        errors = list(self.schemas.validator(f"{known[0]}.params").iter_errors(message.get("params", {})))
        if errors:
            assert "id" in message, errors[0].message
            self.wrong[same_id(message["id"])] = {place for error in errors for place in places(error)}
        else:
            problem = self.schemas.problem(f"{known[0]}.params", message.get("params", {}), ("params",))
            assert problem is None, problem

    # From the bridge.

    def bridge(self, message):
        self.wire.bridge_message(message)
        if "method" not in message:
            self.response(message)
        elif message["method"] == "run.event":
            self.event(message["params"])
        elif message["method"] == "tool.invoke":
            self.invoke(message)
        elif message["method"] == "approval.request":
            self.ask(message["params"], message["params"]["runId"], message["params"]["callId"])
        elif message["method"] == "elicitation/create":
            self.ask(message["params"], message["params"]["_meta"]["runId"], message["params"]["_meta"]["callId"])
        if "id" in message and "method" in message:
            self.sent += 1
            assert message["id"] == f"b-{self.sent}", "the bridge counts its requests"

    def event(self, event):
        run = self.runs.setdefault(event["runId"], Run())
        if event["type"] == "run.accepted":
            request = self.requests.get(same_id(event["data"]["requestId"]))
            assert request and request["method"] == "run.start", "run.accepted names no open run.start"
            assert request["params"].get("wait", True) and request["params"].get("events", True), "run.accepted was not wanted"
            assert event["runId"] not in self.seen, "run.accepted is the first event of a run"
            self.seen[event["runId"]] = len(run.log)
            self.accepted[same_id(event["data"]["requestId"])] = event["runId"]
        if "seq" not in event:
            if event["type"] == "text.delta":
                assert event["data"]["messageId"] == run.message, "text of no open model turn"
                run.text += event["data"]["text"]
            return
        before = self.seen.get(event["runId"])
        assert before is None or event["seq"] == before + 1, f"seq {event['seq']} after {before}"
        self.seen[event["runId"]] = event["seq"]
        if event["seq"] <= len(run.log):
            assert json.dumps(event) == json.dumps(run.log[event["seq"] - 1]), "a replay differs from what was sent live"
            return
        assert event["seq"] == len(run.log) + 1, f"seq {event['seq']} after {len(run.log)}"
        run.log.append(event)
        self.fold(run, event, event["data"])

    def fold(self, run, event, data):
        kind = event["type"]
        assert (kind == "run.started") == (event["seq"] == 1), "run.started is seq 1"
        assert not run.ended or kind == "tool.resultRejected", f"{kind} after the run's end"
        if kind == "model.started":
            assert not run.calls, "a model turn while calls are open"
            run.message, run.text = data["messageId"], ""
        elif kind == "model.completed":
            assert data["messageId"] == run.message, "a model turn that did not begin"
            assert run.text in ("", data["text"]), "the streamed text is not the message"
            run.message = None
            run.calls = {call["callId"]: 0 for call in data["toolCalls"]}
            run.arguments = {call["callId"]: call["arguments"] for call in data["toolCalls"]}
        elif kind == "approval.requested":
            assert data["callId"] in run.calls and data["callId"] not in run.asked, "a call is asked for once"
            run.asked[data["callId"]] = None
        elif kind == "approval.decided":
            assert run.asked.get(data["callId"]) is None, "a call is decided once"
            run.asked[data["callId"]] = data["decision"] == "approve"
            run.arguments[data["callId"]] = data.get("arguments", run.arguments[data["callId"]])
        elif kind == "input.requested":
            run.questions.add(data["callId"])
        elif kind == "input.answered":
            assert data["callId"] in run.questions, "an answer to a question that nobody asked"
        elif kind == "tool.started":
            assert run.asked.get(data["callId"], True), "a call is dispatched without its approval"
            assert data["attempt"] == run.calls[data["callId"]] + 1, "attempts are counted"
            run.calls[data["callId"]] += 1
        elif kind == "tool.completed":
            del run.calls[data["callId"]]
            run.waiting.discard(data["callId"])
        elif kind == "run.paused":
            run.waiting = {call["callId"] for call in data["pendingToolCalls"]}
            assert run.waiting <= set(run.calls), "a pending call that no model made"
            for call in data["pendingToolCalls"]:
                assert call["attempt"] == run.calls[call["callId"]], "a pending call says how often it was sent"
        elif kind in LAST:
            assert not run.calls, f"the run ends with open calls {sorted(run.calls)}"
            assert data["lastSeq"] == event["seq"] and data["runId"] == event["runId"], "the outcome is of another place"
            run.ended = True

    def ask(self, params, run, call):
        run = self.runs[run]
        assert call in run.calls, "a question about a call that no model made"
        if "arguments" in params:
            assert run.asked[call] is None, "an approval that nobody needs"
            assert run.arguments[call] == params["arguments"], "an approval with other arguments"
        else:
            assert call in run.questions, "elicitation/create before input.requested"

    def invoke(self, message):
        params = message["params"]
        run = self.runs[params["runId"]]
        call = params["callId"]
        assert call in run.waiting, "tool.invoke before run.paused"
        assert run.calls[call] == params["attempt"], "tool.invoke without its tool.started"
        assert run.arguments[call] == params["arguments"], "tool.invoke with other arguments"
        assert self.seen[params["runId"]] == len(run.log), "tool.invoke before the event that announces it"

    def response(self, message):
        key = same_id(message["id"])
        request = self.requests.pop(key, None)
        if request is None:
            return
        wrong = self.wrong.pop(key, None)
        if "error" in message:
            if wrong and message["error"]["code"] == -32602:
                assert message["error"]["data"]["pointer"] in wrong, f"the pointer is none of {sorted(wrong)}"
            if request["method"] == "run.start" and message["error"]["code"] == -32800:
                assert self.runs[message["error"]["data"]["runId"]].ended, "the error comes before the end of the run"
            return
        assert not wrong, f"{request['method']} is wrong at {wrong} and was taken"
        outcome = message["result"]
        if request["method"] in SETTLING:
            run, seen = self.runs.get(outcome["runId"]), self.seen.get(outcome["runId"])
            if request["method"] == "run.start" and not request["params"].get("wait", True):
                joined = "idempotencyKey" in request["params"] and run is not None
                assert seen is None or joined, "with wait false the response precedes the events"
            elif request["params"].get("events", True):
                if request["method"] == "run.start":
                    assert self.accepted.get(key) == outcome["runId"], "no run.accepted"
                assert outcome["lastSeq"] == len(run.log), "the response comes before the run's events up to lastSeq"
                assert seen is None or seen == outcome["lastSeq"], "the response comes before the run's events up to lastSeq"
                assert outcome["ended"] == run.ended, "the outcome and the log differ"


def places(error):
    """The pointers, into params, that an error answer may give for this fault."""
    base = tuple(error.absolute_path)
    yield pointer(base)
    if error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield pointer(base + (name,))
    for part in error.context or ():
        yield from places(part)


def check(path):
    """Raises AssertionError with the line's number."""
    conversation = Conversation()
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                conversation.line(json.loads(text))
            except (AssertionError, KeyError, ValueError) as error:
                raise AssertionError(f"line {number}: {error if isinstance(error, AssertionError) else repr(error)}") from None
    try:
        conversation.end()
    except AssertionError as error:
        raise AssertionError(f"at the end: {error}") from None

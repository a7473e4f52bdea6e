"""Checks messages of the wire against the schemas of this folder. Needs jsonschema, 4.10.3 or newer."""
import json
import os
import re
import sys

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bundle  # noqa: E402

BIG = 65536  # bytes; a string or carried value above this stands in an event as a `$blob`
UNUSABLE = {"parseError", "invalidRequest", "message.tooLarge"}  # answers to lines that cannot be told to be a request
ANYWHERE = UNUSABLE | {"methodNotFound", "shuttingDown", "cancelled", "internalError"}  # answers that any request may get


def pointer(path):
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def same_id(identifier):
    """A key under which a request's id is found again: 1, "1" and true differ."""
    try:
        hash(identifier)
        return (type(identifier) is bool, identifier)
    except TypeError:
        return json.dumps(identifier)


def usable(identifier):
    return isinstance(identifier, (str, int, float)) and not isinstance(identifier, bool)


class Shape:
    """The members and items that a schema and all it refers to declare, whichever branch applies."""

    def __init__(self):
        self.open = self.carried = False
        self.members, self.others, self.items = {}, [], []


class Members:
    """Finds members that no schema declares, and big values that should have been blobs: what JSON Schema itself lets pass."""

    def __init__(self, definitions, blob):
        self.definitions, self.blob, self.shapes = definitions, blob, {}

    def shape(self, schema):
        found = self.shapes.get(id(schema))
        if found is None:
            found = Shape()
            self.gather(schema, found)
            # Whole before others see it: the connections of several bridges are checked on threads of their own.
            self.shapes[id(schema)] = found
        return found

    def gather(self, schema, into):
        if isinstance(schema, bool):
            into.open |= schema
            return
        if schema.get("x-carried"):
            into.open = into.carried = True
            return
        if "$ref" in schema:
            self.gather(self.definitions[schema["$ref"].rsplit("/", 1)[1]], into)
        branches = [part for word in ("allOf", "anyOf", "oneOf") for part in schema.get(word, ())]
        branches += [schema[word] for word in ("then", "else") if word in schema]
        for branch in branches:
            self.gather(branch, into)
        for name, member in schema.get("properties", {}).items():
            into.members.setdefault(name, []).append(member)
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            into.others.append(others)
        elif others is True or (others is None and schema.get("type") == "object" and not branches and "properties" not in schema):
            into.open = True
        if "items" in schema:
            into.items.append(schema["items"])

    def stray(self, schemas, value, path=(), event=False):
        """Yields (path, message); `event` says that big values must be blobs and that every `$blob` is one."""
        shapes = [self.shape(schema) for schema in schemas]
        if event and isinstance(value, (dict, list)) and any(shape.carried for shape in shapes) and weight(value) > BIG:
            yield path, "is a carried value over 64 KiB and should be a $blob"
        if isinstance(value, dict):
            if event and "$blob" in value:
                problem = next(self.blob.iter_errors(value), None)
                if problem:
                    yield path, f"is not a whole Blob: {problem.message}"
                return
            for name, member in value.items():
                inner = [schema for shape in shapes for schema in shape.members.get(name, ())]
                inner = inner or [schema for shape in shapes for schema in shape.others]
                if not inner:
                    if not (name == "_meta" or name.startswith("x-") or any(shape.open for shape in shapes)):
                        yield path + (name,), "is a member that the schema does not declare"
                        continue
                    inner = [True]
                yield from self.stray(inner, member, path + (name,), event)
        elif isinstance(value, list):
            inner = [schema for shape in shapes for schema in shape.items]
            if inner or event:
                for index, item in enumerate(value):
                    yield from self.stray(inner or [True], item, path + (index,), event)
        elif event and isinstance(value, str) and len(value) > BIG // 4 and len(value.encode("utf-8", "replace")) > BIG:
            yield path, "is a string over 64 KiB and should be a $blob"


def weight(value):
    """At most the bytes of the value's JSON text."""
    if isinstance(value, dict):
        return 2 + sum(4 + len(key) + weight(item) for key, item in value.items())
    if isinstance(value, list):
        return 1 + sum(1 + weight(item) for item in value)
    return len(value.encode("utf-8", "replace")) + 2 if isinstance(value, str) else 1


class Schemas:
    """All validators, made once and shared."""

    def __init__(self, contract=None):
        self.contract = contract = contract or bundle.Contract()
        prefix = "#/$defs/"
        definitions = bundle.components(contract, prefix)
        self.methods, self.reverse, self.notifications = {}, {}, {}
        for table, documents in ((self.methods, contract.methods), (self.reverse, contract.requests), (self.notifications, contract.notifications)):
            for file, document in documents.items():
                table[document["title"]] = (file, document)
                for part in ("params", "result"):
                    if part in document["$defs"]:
                        definitions[f"{file}.{part}"] = bundle.rewritten(document["$defs"][part], prefix)
        self.definitions = definitions
        self.root = Draft202012Validator({"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": definitions})
        self.made = {}
        self.members = Members(definitions, self.validator("Blob"))
        self.kinds = {row["kind"]: row for row in contract.errors}

    def validator(self, name):
        if name not in self.made:
            self.made[name] = self.root.evolve(schema={"$ref": f"#/$defs/{name}"})
        return self.made[name]

    def problem(self, name, value, base=(), declared=True, event=False):
        """The best-matching fault of `value` as `pointer: message`, or None."""
        validator = self.validator(name)
        if next(validator.iter_errors(value), None) is not None:
            error = best_match(validator.iter_errors(value))
            return f"{pointer(base + tuple(error.absolute_path))}: {error.message[:300]} ({name})"
        if declared or event:
            for path, message in self.members.stray([self.definitions[name]], value, (), event):
                if declared or "declare" not in message:
                    return f"{pointer(base + path)}: {message} ({name})"
        return None


_shared = None


def shared():
    global _shared
    if _shared is None:
        _shared = Schemas()
    return _shared


class WireValidator:
    """Follows one connection. Every message of the bridge is checked; those of the client are only remembered, whatever their shape.

    `bridge_message` raises AssertionError with the JSON pointer into the message and what is wrong there. With `declared` (the default)
    a member that no schema declares is wrong too, so that the schemas keep step with the program.
    """

    def __init__(self, declared=True, schemas=None):
        self.schemas = schemas or shared()
        self.declared = declared
        self.asked = {}  # id -> methods of the client's requests without an answer
        self.bridge_requests = {}  # id -> method of all requests the bridge has sent
        self.open_bridge_requests = set()
        self.known = set()  # ids of all requests of the client
        self.unusable = 0  # lines that are no request; each may be answered once, to any id

    # What the client sends.

    def client_line(self, line):
        """As `client_message`, for the text or bytes of a line, which may be anything."""
        try:
            message = json.loads(line)
        except ValueError:
            self.unusable += 1
            return
        self.client_message(message)

    def client_message(self, message):
        if isinstance(message, list):
            for part in message:
                self.client_message(part)
            self.unusable += not message
        elif isinstance(message, dict) and "method" in message and usable(message.get("id")):
            key = same_id(message["id"])
            self.asked.setdefault(key, []).append(message["method"])
            self.known.add(key)
        elif isinstance(message, dict) and "id" in message and ("result" in message or "error" in message):
            self.open_bridge_requests.discard(same_id(message["id"]))
        elif not (isinstance(message, dict) and "method" in message and "id" not in message):
            self.unusable += 1

    def unanswered(self):
        """The requests of the client that have no answer yet, as (id, method)."""
        return [(key[1] if isinstance(key, tuple) else key, name) for key, names in self.asked.items() for name in names]

    # What the bridge sends.

    def bridge_message(self, message):
        if isinstance(message, list):
            self.demand(message, "", "an empty batch")
            for index, part in enumerate(message):
                self.demand(isinstance(part, dict) and "method" not in part, f"/{index}", "a batch from the bridge holds only responses")
                self.response(part, (index,))
            return
        self.demand(isinstance(message, dict), "", "a message is an object")
        if "method" not in message:
            self.response(message, ())
        elif "id" in message:
            self.request(message)
        else:
            self.notification(message)

    def demand(self, holds, where, what):
        if not holds:
            raise AssertionError(f"{where}: {what}")

    def check(self, name, value, base=(), event=False):
        problem = self.schemas.problem(name, value, base, self.declared, event)
        if problem:
            raise AssertionError(problem)

    def request(self, message):
        self.check("Request", message)
        name, identifier = message["method"], message["id"]
        known = self.schemas.reverse.get(name) or self.schemas.methods.get(name)
        self.demand(known and known[1]["x-direction"] in ("bridge", "both"), "/method", f"the bridge sends no request {name!r}")
        self.demand(isinstance(identifier, str) and re.fullmatch("b-[1-9][0-9]*", identifier), "/id", f"{identifier!r} is not b-1, b-2, ...")
        self.demand(same_id(identifier) not in self.bridge_requests, "/id", f"{identifier!r} was used before")
        self.check(f"{known[0]}.params", message.get("params", {}), ("params",))
        self.bridge_requests[same_id(identifier)] = name
        self.open_bridge_requests.add(same_id(identifier))

    def notification(self, message):
        self.check("Notification", message)
        name, params = message["method"], message.get("params", {})
        known = self.schemas.notifications.get(name)
        self.demand(known and known[1]["x-direction"] in ("bridge", "both"), "/method", f"the bridge sends no notification {name!r}")
        if name == "run.event":
            self.event(params, ("params",))
            return
        self.check(f"{known[0]}.params", params, ("params",))
        if name == "notifications/cancelled":
            self.demand(same_id(params["requestId"]) in self.bridge_requests, "/params/requestId", "no request of the bridge has this id")
            self.open_bridge_requests.discard(same_id(params["requestId"]))

    def event(self, event, base=(), replay=False):
        self.check("Event", event, base)
        document = self.schemas.contract.events.get(event["type"])
        self.demand(document, pointer(base + ("type",)), f"no schema for events of type {event['type']!r}")
        ephemeral = document["x-ephemeral"]
        self.demand(("seq" not in event) == ephemeral, pointer(base + ("seq",)), f"{event['type']} is {'ephemeral' if ephemeral else 'persisted'}")
        self.demand(not (replay and ephemeral), pointer(base + ("type",)), "an ephemeral event in the log")
        # A client that cannot read long lines may get it as a blob.
        name = "Blob" if "$blob" in event["data"] else bundle.event_name(event["type"])
        self.check(name, event["data"], base + ("data",), event=True)

    def response(self, message, base):
        self.check("Response", message, base)
        key = same_id(message["id"])
        methods = self.asked.get(key, [])
        if "error" in message:
            self.error(message["error"], message["id"], methods, base + ("error",))
        else:
            self.demand(methods, pointer(base + ("id",)), f"an answer to {message['id']!r}, which was not asked or has its answer")
            self.result(message["result"], methods, base + ("result",))
        if not methods:
            self.asked.pop(key, None)

    def result(self, result, methods, base):
        problem = None
        for index, name in enumerate(methods):
            known = self.schemas.methods.get(name) if isinstance(name, str) else None
            if known is None:
                problem = problem or f"{pointer(base)}: a result for the method {name!r}, which does not exist"
                continue
            found = self.schemas.problem(f"{known[0]}.result", result, base, self.declared)
            if found is None:
                del methods[index]
                if name == "run.events":
                    for place, event in enumerate(result["events"]):
                        self.event(event, base + ("events", place), replay=True)
                return
            problem = problem or found
        raise AssertionError(problem)

    def error(self, error, identifier, methods, base):
        data = error["data"]
        row = self.schemas.kinds[data["kind"]]
        self.demand(error["code"] == row["code"], pointer(base + ("code",)), f"{data['kind']} has code {row['code']}, not {error['code']}")
        self.demand(data["retryable"] == row["retryable"], pointer(base + ("data", "retryable")), f"{data['kind']} has retryable {row['retryable']}")
        if not methods:
            spare = self.unusable > 0 or same_id(identifier) not in self.known
            self.demand(data["kind"] in UNUSABLE and spare, pointer(base), f"an error for {identifier!r}, which was not asked or has its answer")
            self.unusable -= self.unusable > 0
            return
        # Of two requests with one id, the later one is the invalid one.
        name = methods.pop(-1 if data["kind"] == "invalidRequest" else 0)
        known = self.schemas.methods.get(name) if isinstance(name, str) else None
        allowed = ANYWHERE | (set(known[1]["x-errors"]) if known else set())
        self.demand(data["kind"] in allowed, pointer(base + ("data", "kind")), f"{name!r} does not answer {data['kind']} (x-errors)")

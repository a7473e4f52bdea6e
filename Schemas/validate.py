#!/usr/bin/env python3
"""Checks the contract: `validate.py` everything in this folder, `validate.py --wire FILE...` recorded conversations.

Needs jsonschema (Debian's python3-jsonschema 4.10.3, or newer). As a module it gives WireValidator, for tests that drive the program.
A recorded conversation has the form of transcripts/*.jsonl; only the bridge's messages are judged, and each line by itself.
"""
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
try:
    from jsonschema import Draft7Validator, Draft202012Validator
except ImportError:
    raise SystemExit("validate.py needs jsonschema: apt-get install python3-jsonschema, or pip install jsonschema")
import bundle  # noqa: E402
import conversation  # noqa: E402
from wire import Schemas, WireValidator, pointer  # noqa: E402, F401

META = "https://meta.json-schema.tools/"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DRAFT7 = "http://json-schema.org/draft-07/schema"


def resolving(schema, documents, dialect):
    """A validator of `schema` that finds `documents` (uri -> document), with the means that this version of jsonschema has."""
    try:
        from referencing import Registry
        from referencing.jsonschema import DRAFT7, DRAFT202012
    except ImportError:
        from jsonschema import RefResolver

        # RefResolver drops a trailing slash, and would ask the network for what it does not find.
        store = {**documents, **{uri.rstrip("/"): document for uri, document in documents.items()}}
        return dialect(schema, resolver=RefResolver("", schema, store=store, handlers={"http": missing, "https": missing}))
    specification = DRAFT7 if dialect is Draft7Validator else DRAFT202012
    resources = [(uri, specification.create_resource(document)) for uri, document in documents.items()]
    registry = Registry().with_resources(resources + [(uri.rstrip("/"), resource) for uri, resource in resources])
    return dialect(schema, registry=registry)


def missing(uri):
    raise LookupError(f"{uri} is not here")


class Check:
    def __init__(self):
        self.problems = []
        self.contract = bundle.Contract()
        self.by_id = {document["$id"]: document for document in self.contract.documents.values()}

    def fault(self, where, what):
        self.problems.append(f"{where}: {what}")

    # Each file by itself.

    def files(self):
        for path, document in self.contract.documents.items():
            room, name = path[:-5].split("/", 1)
            title = document.get("title", "")
            expected = {"types": title, "notifications": "cancelRequest" if title == "$/cancelRequest" else title.replace("/", ".")}
            expected["requests"] = expected["notifications"]
            if name != expected.get(room, title):
                self.fault(path, f"the title {title!r} does not fit the file's name")
            if document.get("$schema") != DIALECT or document.get("$id") != "footbridge:" + path:
                self.fault(path, f"$schema must be {DIALECT} and $id footbridge:{path}")
            for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(document):
                self.fault(path, f"{pointer(error.absolute_path)}: {error.message}")
            if not document.get("description"):
                self.fault(path, "no description")
            self.walk(path, document, ())
            if room in ("methods", "requests", "notifications") and document.get("x-direction") not in ("client", "bridge", "both"):
                self.fault(path, "x-direction must be client, bridge or both")
            if room == "events" and not isinstance(document.get("x-ephemeral"), bool):
                self.fault(path, "x-ephemeral must be true or false")
            if room in ("methods", "requests") and not isinstance(document.get("x-errors"), list):
                self.fault(path, "x-errors must be a list")
            kinds = [row["kind"] for row in self.contract.errors]
            for kind in document.get("x-errors", ()):
                if kind not in kinds:
                    self.fault(path, f"x-errors: {kind} is not in errors.json")

    def walk(self, path, value, place):
        if isinstance(value, list):
            for index, item in enumerate(value):
                self.walk(path, item, place + (index,))
        if not isinstance(value, dict):
            return
        reference = value.get("$ref")
        if isinstance(reference, str):
            target, _, fragment = reference.partition("#")
            if target not in self.by_id or fragment not in ("", "/$defs/data"):
                self.fault(path, f"{pointer(place)}: {reference} leads nowhere")
        for key, item in value.items():
            if key in ("examples", "default", "enum", "const", "x-errors"):
                continue
            if key == "properties" and "then" not in place and "if" not in place and "else" not in place:
                for name, member in item.items():
                    if isinstance(member, dict) and not ({"description", "$ref", "const", "enum"} & set(member)):
                        self.fault(path, f"{pointer(place + (key, name))}: no description")
            self.walk(path, item, place + (key,))

    def errors(self):
        kinds = [row["kind"] for row in self.contract.errors]
        codes = [row["code"] for row in self.contract.errors]
        if len(set(kinds)) < len(kinds) or len(set(codes)) < len(codes):
            self.fault("errors.json", "a kind or a code stands there twice")
        standard = {"parseError": -32700, "invalidRequest": -32600, "methodNotFound": -32601, "invalidParams": -32602, "internalError": -32603, "cancelled": -32800}
        for row in self.contract.errors:
            if set(row) != {"kind", "code", "retryable", "description"}:
                self.fault("errors.json", f"{row['kind']}: the members are kind, code, retryable and description")
            if row["code"] != standard.get(row["kind"]) if row["kind"] in standard else row["code"] < 1001:
                self.fault("errors.json", f"{row['kind']}: wrong code {row['code']}")
        if self.contract.types["ErrorKind"]["enum"] != kinds:
            self.fault("types/ErrorKind.json", "the enum is not the list of errors.json")

    # Examples: by the files as they are, references and all, and then for members that no schema declares.

    def examples(self):
        schemas = Schemas(self.contract)
        for path, document in self.contract.documents.items():
            room, name = path[:-5].split("/", 1)
            parts = {"": document} if room == "types" else {"/$defs/" + key: part for key, part in document.get("$defs", {}).items()}
            wanted = {"types": 1, "methods": 2, "requests": 2}.get(room, 1)
            if len(parts) != wanted:
                self.fault(path, f"$defs must hold {'params and result' if wanted == 2 else 'one schema'}")
            if wanted == 2:  # an example without a result is a notification in OpenRPC
                given, answers = (len(document.get("$defs", {}).get(part, {}).get("examples", ())) for part in ("params", "result"))
                if answers < given:
                    self.fault(path, f"{given} examples of params, and {answers} of the result")
            for place, part in parts.items():
                if not part.get("examples"):
                    self.fault(path, f"{place}: no examples")
                validator = resolving({"$ref": document["$id"] + ("#" + place if place else "")}, self.by_id, Draft202012Validator)
                bundled = {"types": document["title"], "events": bundle.event_name(document["title"])}.get(room, f"{name}.{place[7:]}")
                for index, example in enumerate(part.get("examples", ())):
                    for error in validator.iter_errors(example):
                        self.fault(path, f"{place}/examples/{index}{pointer(error.absolute_path)}: {error.message}")
                    problem = schemas.problem(bundled, example, ("examples", index), event=room == "events")
                    if problem:
                        self.fault(path, place + problem)

    # The bundle, and what is published about OpenRPC.

    def openrpc(self):
        try:
            with open(os.path.join(HERE, "openrpc.json"), encoding="utf-8") as file:
                text = file.read()
        except OSError:
            return self.fault("openrpc.json", "is missing: run bundle.py")
        if text != bundle.text(self.contract):
            self.fault("openrpc.json", "is out of step with the schemas: run bundle.py")
        document = json.loads(text)
        for reference in set(re.findall(r'"\$ref": "([^"]*)"', text)):
            target = document
            for step in reference.split("/")[1:]:
                target = target.get(step, {})
            if not reference.startswith("#/components/") or not target:
                self.fault("openrpc.json", f"{reference} leads nowhere")
        suites = os.environ.get("FOOTBRIDGE_SUITES") or os.path.join(HERE, "..", "..", "shared", "suites")
        path = os.path.join(suites, "openrpc", "openrpc-document.schema.json")
        if not os.path.exists(path):
            print("SKIPPED: openrpc.json against the OpenRPC meta-schema ($FOOTBRIDGE_SUITES is not set, ../shared/suites is not there)")
            return
        with open(path, encoding="utf-8") as file:
            meta = json.load(file)
        # The source of the meta-schema has no list of versions (its release fills one in), and asks for JSON Schema's own by a name of its own.
        meta["properties"]["openrpc"] = {"type": "string", "pattern": r"^1\.[0-9]+\.[0-9]+$"}
        own = {"$schema": DRAFT7 + "#", "$id": META, "allOf": [{"$ref": DRAFT7 + "#"}]}
        own["definitions"] = {"JSONSchemaObject": {"properties": {"$ref": {"type": "string", "format": "uri-reference"}}}}
        documents = {META: own, DRAFT7: Draft7Validator.META_SCHEMA, meta["$id"]: meta}
        for error in resolving({"$ref": meta["$id"]}, documents, Draft7Validator).iter_errors(document):
            self.fault("openrpc.json", f"meta-schema: {pointer(error.absolute_path)}: {error.message[:300]}")

    def transcripts(self):
        folder = os.path.join(HERE, "transcripts")
        for name in sorted(os.listdir(folder)):
            try:
                conversation.check(os.path.join(folder, name))
            except AssertionError as error:
                self.fault(f"transcripts/{name}", str(error))

    def refusals(self):
        """The checker itself: each of these is wrong, and must be seen."""
        for what, messages in REFUSED.items():
            wire = WireValidator()
            wire.client_message({"id": 1, "method": "run.get"})
            wire.client_message({"id": 2, "method": "ping"})
            try:
                for message in messages:
                    wire.bridge_message({"jsonrpc": "2.0", **message})
            except AssertionError:
                continue
            self.fault("wire.py", f"did not see: {what}")


def event(kind, data, **more):
    return {"method": "run.event", "params": {"runId": "01M7W6C380NJX2AM9103W0PNQW", "type": kind, "time": "2026-11-20T10:00:00.000Z", "data": data, **more}}


def failed(code, kind, **data):
    return {"id": 1, "error": {"code": code, "message": "No.", "data": {"kind": kind, "retryable": False, **data}}}


CANCEL = {"method": "notifications/cancelled", "params": {"requestId": "b-1"}}
REFUSED = {
    "a second answer": [{"id": 2, "result": {}}, {"id": 2, "result": {}}],
    "a second answer, an error": [{"id": 2, "result": {}}, {**failed(-32600, "invalidRequest"), "id": 2}],
    "an answer nobody asked for": [{"id": "1", "result": {}}],
    "a result of the wrong shape": [{"id": 1, "result": {"runId": "x"}}],
    "a member nobody declared": [{"id": 2, "result": {"pong": True}}],
    "result and error together": [{"id": 2, "result": {}, "error": failed(1001, "run.notFound")["error"]}],
    "a code of another kind": [failed(1002, "run.notFound")],
    "a kind the method does not answer": [failed(1006, "run.leaseHeld")],
    "an error without data.kind": [{"id": 1, "error": {"code": 1001, "message": "No.", "data": {"retryable": False}}}],
    "retryable at odds with the table": [failed(1001, "run.notFound", retryable=True)],
    "-32602 without a pointer": [failed(-32602, "invalidParams")],
    "an unknown event": [event("run.vanished", {}, seq=1)],
    "a persisted event without seq": [event("run.resumed", {"cause": "invoke"})],
    "an ephemeral event with seq": [event("text.delta", {"messageId": "01M7W6C38CDZV8GPJM1V1AJGMZ", "text": "a"}, seq=2)],
    "event data of the wrong shape": [event("run.resumed", {"cause": "whim"}, seq=2)],
    "a big string in an event": [event("note.added", {"text": "a" * 65537}, seq=2)],
    "half a blob in an event": [event("note.added", {"text": {"$blob": "01M7W6C38CDZV8GPJM1V1AJGMZ"}}, seq=2)],
    "half a blob deep in a carried value": [event("tool.started", {"callId": "a", "name": "b", "target": "client", "attempt": 1, "arguments": {"c": [{"$blob": "d"}]}}, seq=2)],
    "a big carried value in an event": [event("tool.started", {"callId": "a", "name": "b", "target": "client", "attempt": 1, "arguments": {"c": ["d" * 60] * 1200}}, seq=2)],
    "a request id of the bridge used twice": [{"id": "b-1", "method": "ping"}, {"id": "b-1", "method": "ping"}],
    "a request id that is no b-N": [{"id": 7, "method": "ping"}],
    "a request the bridge does not send": [{"id": "b-1", "method": "run.get", "params": {"runId": "a"}}],
    "a cancel of a request never sent": [CANCEL],
    "a message without jsonrpc 2.0": [{"jsonrpc": "1.0", "id": 2, "result": {}}],
}


def wire_files(paths):
    """Recorded conversations: one validator a process."""
    problems = 0
    for path in paths:
        wires = {}
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for number, text in enumerate(file, 1):
                line = json.loads(text)
                wire = wires.setdefault(line.get("process", 1), WireValidator())
                try:
                    (wire.client_message if line["from"] == "client" else wire.bridge_message)(line["message"])
                except AssertionError as error:
                    problems += 1
                    print(f"{path}: line {number}: {error}", file=sys.stderr)
    return 1 if problems else 0


def main(arguments):
    if arguments[:1] == ["--wire"] and len(arguments) > 1:
        return wire_files(arguments[1:])
    if arguments:
        print("usage: validate.py [--wire FILE...]", file=sys.stderr)
        return 64
    check = Check()
    check.files()
    check.errors()
    if not check.problems:
        check.examples()
        check.openrpc()
        check.transcripts()
        check.refusals()
    for problem in check.problems:
        print(problem, file=sys.stderr)
    if check.problems:
        print(f"{len(check.problems)} problems", file=sys.stderr)
        return 1
    print(f"{len(check.contract.documents)} schemas, their examples, openrpc.json and the transcripts are in order")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

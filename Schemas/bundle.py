#!/usr/bin/env python3
"""Makes openrpc.json from the schemas beside it; `--check` only says whether it is in step.

Python 3, standard library only. The output depends on nothing but the schema files.
"""
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = "2026-11-20"
OPENRPC = "1.3.2"
WIDTH = 118


class Contract:
    """The schema files of this folder, read once. A document's key is its file name without `.json`."""

    def __init__(self, folder=HERE):
        self.folder = folder
        self.documents = {}  # path below the folder -> document
        for room in ("types", "methods", "requests", "notifications", "events"):
            documents = {}
            for name in sorted(os.listdir(os.path.join(folder, room))):
                if name.endswith(".json"):
                    documents[name[:-5]] = self.documents[f"{room}/{name}"] = self.read(f"{room}/{name}")
            setattr(self, room, documents)
        self.errors = self.read("errors.json")["kinds"]

    def read(self, path):
        with open(os.path.join(self.folder, path), encoding="utf-8") as file:
            try:
                return json.load(file)
            except ValueError as error:
                raise SystemExit(f"{path}: not JSON: {error}")


def component(reference):
    """The name under which the target of a `footbridge:` reference stands in one self-contained document."""
    found = re.fullmatch(r"footbridge:types/(\w+)\.json", reference)
    if found:
        return found[1]
    found = re.fullmatch(r"footbridge:events/([\w.]+)\.json#/\$defs/data", reference)
    if found:
        return event_name(found[1])
    raise SystemExit(f"cannot bundle the reference {reference}: only whole types and the data of events")


def event_name(kind):
    return "".join(part[0].upper() + part[1:] for part in kind.split(".")) + "Event"


def rewritten(value, prefix):
    """A copy in which every reference is local: `prefix` and the component's name."""
    if isinstance(value, dict):
        return {
            key: prefix + component(item) if key == "$ref" and isinstance(item, str) else rewritten(item, prefix)
            for key, item in value.items()
        }
    return [rewritten(item, prefix) for item in value] if isinstance(value, list) else value


def components(contract, prefix):
    """Every type, and the data of every event, by component name."""
    schemas = {}
    for document in contract.types.values():
        body = {key: item for key, item in document.items() if key not in ("$schema", "$id")}
        schemas[document["title"]] = rewritten(body, prefix)
    for kind, document in contract.events.items():
        body = {"title": event_name(kind), "description": document["description"], **document["$defs"]["data"]}
        schemas[event_name(kind)] = rewritten(body, prefix)
    return schemas


def descriptor(name, schema, required=False):
    """An OpenRPC content descriptor: what is said about the member stands there, the schema only says its shape."""
    outside = ("description", "x-later", "examples")
    described = {"name": name, **{key: schema[key] for key in outside[:2] if key in schema}}
    if required:
        described["required"] = True
    described["schema"] = {key: item for key, item in schema.items() if key not in outside}
    return described


def example_pairs(name, parameters, results):
    pairs = []
    for index, example in enumerate(parameters):
        pair = {"name": f"{name} {index + 1}", "params": [{"name": key, "value": item} for key, item in example.items()]}
        if index < len(results):
            pair["result"] = {"name": "result", "value": results[index]}
        pairs.append(pair)
    return pairs


def method(contract, document, prefix):
    name, parameters, result = document["title"], document["$defs"]["params"], document["$defs"].get("result")
    bundled = {
        "name": name,
        "summary": document["description"].split(". ")[0].rstrip(".") + ".",
        "description": document["description"],
        "x-direction": document["x-direction"],
        "paramStructure": "by-name",
    }
    beside = {key: item for key, item in parameters.items() if key not in ("type", "properties", "required", "examples")}
    if "properties" not in parameters and "allOf" in parameters:  # a shared type and what depends on it
        parameters = {**contract.types[component(parameters["allOf"][0]["$ref"])], **parameters}
    members = parameters.get("properties", {})
    bundled["params"] = [
        descriptor(key, rewritten(item, prefix), key in parameters.get("required", ())) for key, item in members.items()
    ]
    if beside:
        bundled["x-params-schema"] = rewritten(beside, prefix)
    if result is not None:
        bundled["result"] = descriptor("result", rewritten(result, prefix))
        bundled["errors"] = [{"$ref": f"#/components/errors/{kind}"} for kind in document["x-errors"]]
    bundled["examples"] = example_pairs(name, parameters["examples"], (result or {}).get("examples", ()))
    return bundled


def build(contract):
    prefix = "#/components/schemas/"
    return {
        "openrpc": OPENRPC,
        "info": {
            "title": "Footbridge",
            "version": VERSION,
            "description": "A durable agent runtime. JSON-RPC 2.0 on stdin and stdout, one message a line. `methods` are the requests a client "
            "sends; `x-reverse-methods` those the bridge sends to its client; `x-events` what `run.event` can hold. A member marked "
            "`x-later` belongs to a part of the protocol that this release does not serve (`unsupportedCapability`).",
            "license": {"name": "Apache-2.0"},
        },
        "methods": [method(contract, document, prefix) for document in contract.methods.values()],
        "x-reverse-methods": [method(contract, document, prefix) for document in contract.requests.values()],
        "x-notifications": [method(contract, document, prefix) for document in contract.notifications.values()],
        "x-events": [
            {
                "type": kind,
                "description": document["description"],
                "ephemeral": document["x-ephemeral"],
                "data": {"$ref": prefix + event_name(kind)},
            }
            for kind, document in contract.events.items()
        ],
        "components": {
            "schemas": components(contract, prefix),
            "errors": {
                row["kind"]: {
                    "code": row["code"],
                    "message": row["description"],
                    "data": {"kind": row["kind"], "retryable": row["retryable"]},
                }
                for row in contract.errors
            },
        },
    }


def one_line(value):
    if isinstance(value, dict) and value:
        return "{ " + ", ".join(f"{json.dumps(key)}: {one_line(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list) and value:
        return "[" + ", ".join(map(one_line, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def pretty(value, indent=0, taken=0):
    """JSON with two spaces of indent; what fits stands on one line. No string holds a line break, so joining the lines is safe."""
    flat = one_line(value)
    if not isinstance(value, (dict, list)) or not value or (len(flat) + indent + taken <= WIDTH and flat.count("{") <= 6):
        return flat
    pad = "\n" + " " * (indent + 2)
    if isinstance(value, dict):
        rows = []
        for key, item in value.items():
            label = json.dumps(key, ensure_ascii=False) + ": "
            rows.append(label + pretty(item, indent + 2, len(label) + 1))
        return "{" + pad + ("," + pad).join(rows) + "\n" + " " * indent + "}"
    return "[" + pad + ("," + pad).join(pretty(item, indent + 2, 1) for item in value) + "\n" + " " * indent + "]"


def text(contract):
    return pretty(build(contract)) + "\n"


def main(arguments):
    if arguments not in ([], ["--check"]):
        print("usage: bundle.py [--check]", file=sys.stderr)
        return 64
    path = os.path.join(HERE, "openrpc.json")
    wanted = text(Contract())
    if not arguments:
        with open(path, "w", encoding="utf-8") as file:
            file.write(wanted)
        return 0
    try:
        with open(path, encoding="utf-8") as file:
            found = file.read()
    except OSError:
        found = None
    if found != wanted:
        print("openrpc.json is out of step with the schemas: run Schemas/bundle.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

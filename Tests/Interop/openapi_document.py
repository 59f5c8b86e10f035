#!/usr/bin/env python3
"""The services' descriptions as they are answered: in JSON, each complete in itself.

schemas/openapi.yaml is the session API's; schemas/openapi-pipeline.yaml and openapi-recorder.yaml describe
what they have in common with it by reference. `$ref` may name a part of read-models/*.json or of openapi.yaml,
which is then put among the document's own components, under a name of its own; `x-as` takes the named part of openapi.yaml as it is,
but for the members that stand beside it (null: without them). Links to operations that the document does not have are left out.

Run as a program it writes the JSON files; `openapi.py` checks that they are this.
"""

import copy
import json
import pathlib

import yaml

SCHEMAS = pathlib.Path(__file__).resolve().parent.parent.parent / "schemas"
FOLDER = "read-models/"
COMMON = "openapi.yaml"
SERVICES = {"api": "openapi", "pipeline": "openapi-pipeline", "recorder": "openapi-recorder"}


def name_of(file, pointer, taken):
    """The component that a part of a read model becomes: session.json#/properties/rdp_config/properties/host is
    SessionRdpConfigHost, session.json#/properties/session_id SessionId, and the whole of audit.json AuditDocument.
    Generators of clients know no references into the middle of something."""
    stem = pathlib.PurePath(file).stem
    words = [word for part in pointer.split("/") if part not in ("", "properties") for word in part.split("_")]
    if not words:
        return f"{stem.title()}Document"
    name = "".join(word.title() for word in ([] if words[0] == stem else [stem]) + words)
    # What is written by hand keeps its name.
    return f"{name}Value" if name in taken else name


def at(node, pointer):
    """The part of a document that a JSON pointer names."""
    for part in pointer.lstrip("/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def merged(base, over):
    """`base` with the members of `over`, at every depth; schemas and examples are whole, null takes away."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    result = dict(base)
    for name, value in over.items():
        if value is None:
            result.pop(name, None)
        elif name in base and name not in ("schema", "example"):
            result[name] = merged(base[name], value)
        else:
            result[name] = value
    return result


def references(node):
    """Every component that a part names, as kind and name."""
    if isinstance(node, list):
        return set().union(*map(references, node))
    if not isinstance(node, dict):
        return set()
    target = node.get("$ref")
    found = {tuple(target.split("/")[2:4])} if isinstance(target, str) else set()
    return found.union(*map(references, node.values()))


class Document:
    """One service's description on its way to a document of its own."""

    def __init__(self, stem):
        self.common = yaml.safe_load((SCHEMAS / COMMON).read_text())
        self.is_common = f"{stem}.yaml" == COMMON
        self.parts, self.wanted = {}, set()
        own = yaml.safe_load((SCHEMAS / f"{stem}.yaml").read_text())
        self.taken = {name for document in (self.common, own)
                      for name in document.get("components", {}).get("schemas", {})}
        self.whole = self.expanded(own, self.is_common)
        self.take_components()
        self.drop_links()

    def expanded(self, node, is_common):
        """The part with inner references alone; `is_common`: whether it stands in openapi.yaml."""
        if isinstance(node, list):
            return [self.expanded(element, is_common) for element in node]
        if not isinstance(node, dict):
            return node
        result = {name: self.expanded(value, is_common) for name, value in node.items() if name != "x-as"}
        target = result.get("$ref")
        if isinstance(target, str):
            result["$ref"] = self.inner(target, is_common)
        if "x-as" in node:
            file, _, pointer = node["x-as"].partition("#")
            if file != COMMON:
                raise ValueError(f"x-as: {node['x-as']} is no part of {COMMON}")
            result = merged(self.expanded(copy.deepcopy(at(self.common, pointer)), True), result)
        return result

    def inner(self, target, is_common):
        file, _, pointer = target.partition("#")
        if file.startswith(FOLDER):
            name = name_of(file, pointer, self.taken)
            if self.parts.setdefault(name, (file, pointer)) != (file, pointer):
                raise ValueError(f"{target} and {'#'.join(self.parts[name])} are both {name}")
            return f"#/components/schemas/{name}"
        if file == COMMON or (is_common and not file):
            self.wanted.add(tuple(pointer.split("/")[2:4]))
        return f"#{pointer}"

    def take_components(self):
        """Everything that references name, and what that names in turn."""
        components = self.whole.setdefault("components", {})
        while self.wanted:
            kind, name = self.wanted.pop()
            if name not in components.setdefault(kind, {}):
                components[kind][name] = self.expanded(self.common["components"][kind][name], True)
        for name, (file, pointer) in sorted(self.parts.items()):
            model = json.loads((SCHEMAS / file).read_text())
            # OpenAPI 3.1 has the same dialect; an id would move the base of references.
            part = at(model, pointer) if pointer else model
            components["schemas"][name] = {
                member: value for member, value in part.items() if member not in ("$schema", "$id", "title")
            }
        if not self.is_common:
            self.whole["components"] = self.used(components)

    def used(self, components):
        """What is named from outside, and what that names in turn; parts of what was overridden are not."""
        found, more = set(), references(self.whole["paths"])
        while more - found:
            found |= more
            more = set().union(*(references(components[kind][name]) for kind, name in found))
        return {
            kind: {name: parts[name] for name in sorted(parts)
                   if kind == "securitySchemes" or (kind, name) in found}
            for kind, parts in sorted(components.items())
        }

    def drop_links(self):
        operations = [operation for item in self.whole["paths"].values() for operation in item.values()
                      if isinstance(operation, dict)]
        known = {operation["operationId"] for operation in operations}
        for response in (r for operation in operations for r in operation["responses"].values()):
            links = {name: link for name, link in response.pop("links", {}).items()
                     if link["operationId"] in known}
            if links:
                response["links"] = links


def document(service="api"):
    """The document as a client gets it."""
    return Document(SERVICES[service]).whole


def text(service="api"):
    """The file's text: a line for each of the top members, the paths and the components."""
    return json.dumps(document(service), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    for service, stem in SERVICES.items():
        (SCHEMAS / f"{stem}.json").write_text(text(service))

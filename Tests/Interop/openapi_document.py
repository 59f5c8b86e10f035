#!/usr/bin/env python3
"""schemas/openapi.yaml as the gateway answers it: in JSON, with the schemas of read models that it refers to.

Run as a program it writes schemas/openapi.json; `openapi.py` checks that the file and the answer are this.
"""

import json
import pathlib

import yaml

SCHEMAS = pathlib.Path(__file__).resolve().parent.parent.parent / "schemas"
FOLDER = "read-models/"


def name_of(file):
    """read-models/session.json -> SessionDocument"""
    return pathlib.PurePath(file).stem.title() + "Document"


def with_inner_references(node, files):
    """The document with references to files turned into references to its own components."""
    if isinstance(node, list):
        return [with_inner_references(element, files) for element in node]
    if not isinstance(node, dict):
        return node
    target = node.get("$ref")
    if isinstance(target, str) and target.startswith(FOLDER):
        file, _, pointer = target.partition("#")
        files.add(file)
        return {**node, "$ref": f"#/components/schemas/{name_of(file)}{pointer}"}
    return {name: with_inner_references(value, files) for name, value in node.items()}


def document():
    """The document as a client gets it."""
    files = set()
    whole = with_inner_references(yaml.safe_load((SCHEMAS / "openapi.yaml").read_text()), files)
    for file in sorted(files):
        model = json.loads((SCHEMAS / file).read_text())
        # OpenAPI 3.1 has the same dialect; an id would move the base of references.
        whole["components"]["schemas"][name_of(file)] = {
            name: value for name, value in model.items() if name not in ("$schema", "$id")
        }
    return whole


def text():
    """The file's text: a line for each of the top members, the paths and the components."""
    return json.dumps(document(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    (SCHEMAS / "openapi.json").write_text(text())

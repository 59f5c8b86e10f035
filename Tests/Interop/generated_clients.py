#!/usr/bin/env python3
"""Clients that other people's generators make of the three descriptions: nothing is dropped, and each of them does a
whole session against a live system.

The generators are openapi-python-client and OpenAPI Generator (which needs Java).
"""

import datetime
import hashlib
import importlib
import importlib.util
import io
import json
import os
import pathlib
import random
import re
import subprocess
import sys

import openapi_document
from kit import UNLIMITED, Checks, System, Workspace, eventually, seed_of

checks = Checks("generated_clients")
TOOLS = pathlib.Path(sys.executable).parent
# What the second one says of every document of this version of OpenAPI, and of parts that may be anything or null.
HARMLESS = ("Codegen property is null (e.g. map/dict of undefined type)", "OpenAPI 3.1 support is still in beta",
            "Failed to get the schema name: null")


def snake(name):
    return re.sub(r"(?<=[a-z0-9])([A-Z])|(?<=[A-Z])([A-Z])(?=[a-z])", r"_\1\2", name).lower()


def plain(value):
    """A model as JSON."""
    for name in ("to_dict", "model_dump"):
        if hasattr(value, name):
            return plain(getattr(value, name)())
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    if isinstance(value, dict):
        return {name: plain(element) for name, element in value.items()}
    return value


def models_of(document):
    """The components that every language has a type for: objects with members, and enumerations."""
    return {name for name, schema in document["components"]["schemas"].items()
            if schema.get("type") == "object" and schema.get("properties")
            or schema.get("type") == "string" and "enum" in schema}


def operations_of(document):
    return {operation["operationId"]: operation["tags"][0] for item in document["paths"].values()
            for operation in item.values() if isinstance(operation, dict)}


class PythonClient:
    """openapi-python-client: a module for each operation."""

    name = "openapi-python-client"

    def __init__(self, folder, service, file):
        self.package = f"first_{service}"
        done = subprocess.run(
            [TOOLS / "openapi-python-client", "generate", "--path", file, "--meta", "none", "--fail-on-warning",
             "--output-path", folder / self.package], capture_output=True, text=True, cwd=folder, timeout=120,
            env=dict(os.environ, PATH=f"{TOOLS}:{os.environ['PATH']}"))
        said = done.stdout + done.stderr
        self.problems = said if done.returncode or re.search("warning", said, re.I) else ""
        self.folder = folder / self.package

    def has(self, operation, tag):
        return (self.folder / "api" / snake(tag) / f"{snake(operation)}.py").exists()

    def models(self):
        return {path.stem for path in (self.folder / "models").glob("*.py")}

    def connect(self, url, token):
        module = importlib.import_module(self.package)
        self.client = module.AuthenticatedClient(base_url=url, token=token, timeout=60)

    def model(self, name, value):
        module = importlib.import_module(f"{self.package}.models")
        return getattr(module, name).from_dict(value)

    def one_of(self, choice, chosen, value):
        """What may be one of several things is simply one of them."""
        return self.model(chosen, value)

    def call(self, tag, operation, body=None, **parameters):
        module = importlib.import_module(f"{self.package}.api.{snake(tag)}.{snake(operation)}")
        if isinstance(body, bytes):
            body = importlib.import_module(f"{self.package}.types").File(payload=io.BytesIO(body))
        if body is not None:
            parameters["body"] = body
        answer = module.sync_detailed(client=self.client, **parameters)
        parsed = answer.parsed
        if hasattr(parsed, "payload"):
            parsed = parsed.payload.read()
        return int(answer.status_code), plain(parsed)


class GeneratorClient:
    """OpenAPI Generator: a class for each tag."""

    name = "OpenAPI Generator"

    def __init__(self, folder, service, file):
        self.package = f"second_{service}"
        jar = pathlib.Path(importlib.util.find_spec("openapi_generator_cli").origin).parent / "openapi-generator.jar"
        done = subprocess.run(
            ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-jar", jar, "generate", "-g", "python", "-i", file,
             "-o", folder / f"{self.package}_project", f"--additional-properties=packageName={self.package}"],
            capture_output=True, text=True, cwd=folder, timeout=180)
        said = [line for line in (done.stdout + done.stderr).splitlines()
                if re.search(r"\] (WARN|ERROR)|Exception in|unsupported|not supported", line)
                and not any(text in line for text in HARMLESS)]
        self.problems = "\n".join(said) if said or not done.returncode else done.stderr[-2000:]
        self.folder = folder / f"{self.package}_project" / self.package
        sys.path.insert(0, str(folder / f"{self.package}_project"))

    def has(self, operation, tag):
        path = self.folder / "api" / f"{snake(tag)}_api.py"
        return path.exists() and f"def {snake(operation)}(" in path.read_text()

    def models(self):
        return {path.stem for path in (self.folder / "models").glob("*.py")}

    def connect(self, url, token):
        module = importlib.import_module(self.package)
        configuration = module.Configuration(host=url, access_token=token)
        # By itself it writes +0000, which is no zone of RFC 3339.
        configuration.datetime_format = "%Y-%m-%dT%H:%M:%S.%fZ"
        self.client = module.ApiClient(configuration)

    def model(self, name, value):
        return getattr(importlib.import_module(self.package), name).from_dict(value)

    def one_of(self, choice, chosen, value):
        """What may be one of several things is a type of its own around it."""
        return getattr(importlib.import_module(self.package), choice)(self.model(chosen, value))

    def call(self, tag, operation, body=None, **parameters):
        module = importlib.import_module(self.package)
        api = getattr(module, f"{tag.title()}Api")(self.client)
        if body is not None:
            parameters[body_name(module, body)] = body
        try:
            answer = getattr(api, f"{snake(operation)}_with_http_info")(_request_timeout=60.0, **parameters)
        except module.ApiException as error:
            return error.status, json.loads(error.body or "null")
        return answer.status_code, bytes(answer.data) if isinstance(answer.data, bytearray) else plain(answer.data)


def body_name(module, body):
    """Its bodies are named by their types."""
    return "body" if isinstance(body, bytes) else snake(type(body).__name__)


def described(client, document):
    """What the generator made of it."""
    checks.equal(f"{client.name}, {client.package}: no complaint", client.problems, "")
    missing = [operation for operation, tag in operations_of(document).items() if not client.has(operation, tag)]
    checks.equal(f"{client.name}, {client.package}: every operation", missing, [])
    found = client.models()
    missing = {name for name in models_of(document) if snake(name) not in found}
    checks.equal(f"{client.name}, {client.package}: every model", missing, set())


def upload(service, tag, operation, session, number, piece):
    """The number of an upload's answer."""
    return service.call(
        tag, operation, id=session, body=piece, sequence_number=number, sha256=hashlib.sha256(piece).hexdigest(),
        timestamp=datetime.datetime(2026, 11, 21, 10, 0, number, tzinfo=datetime.timezone.utc), duration_seconds=1.0)[0]


def whole_session(api, source):
    """A session over the session API, from its making to its end."""
    statuses, say = {}, api.call

    def note(operation, answer):
        statuses[operation] = answer[0]
        return answer[1]

    made = note("createSession", say("sessions", "createSession", body=api.model("CreateSession", {
        "name": "generated", "rdp_config": {"host": "desk.example", "username": "anna"},
        "metadata": {"tags": ["one"], "project": "apollo"}})))
    name = made["session_id"]
    note("startSession", say("sessions", "startSession", id=name))
    pieces = [source.randbytes(source.randrange(1000, 90_000)) for _ in range(3)]
    statuses["uploads"] = [upload(api, "chunks", "uploadChunk", name, n, piece) for n, piece in enumerate(pieces, 1)]
    note("pauseSession", say("sessions", "pauseSession", id=name))
    statuses["an upload meanwhile"] = upload(api, "chunks", "uploadChunk", name, 4, b"late")
    note("resumeSession", say("sessions", "resumeSession", id=name))
    note("updateSession", say("sessions", "updateSession", id=name, body=api.model(
        "UpdateSession", {"name": "generated anew"})))
    note("pausePipeline", say("pipeline", "pausePipeline", id=name))
    note("resumePipeline", say("pipeline", "resumePipeline", id=name))
    note("stopSession", say("sessions", "stopSession", id=name))
    get = lambda: say("sessions", "getSession", id=name)[1]
    checks.check(f"{api.name}: it is completed", eventually(lambda: get()["status"] == "completed", 90),
                 f"found {get()['status']}, expected completed")
    listed = lambda: [s["session_id"] for s in say("sessions", "listSessions", project="apollo", limit=50)[1]["sessions"]]
    checks.check(f"{api.name}: it is listed", eventually(lambda: name in listed(), 30), listed())
    chunks = note("listChunks", say("chunks", "listChunks", id=name, limit=10))["chunks"]
    checks.equal(f"{api.name}: its chunks", [c["sequence_number"] for c in chunks], [1, 2, 3])
    place = {"id": name, "chunk_id": chunks[1]["chunk_id"]}
    checks.equal(f"{api.name}: one chunk", say("chunks", "getChunk", **place)[1]["size_bytes"], len(pieces[1]))
    checks.check(f"{api.name}: its bytes", say("chunks", "downloadChunk", **place)[1] == pieces[1])
    proof = note("getChunkProof", say("chunks", "getChunkProof", **place))
    checks.equal(f"{api.name}: its proof", (proof["leaf_index"], proof["tree_size"]), (1, 3))
    checks.check(f"{api.name}: the recording", say("media", "getMedia", id=name)[1] == b"".join(pieces))
    checks.equal(f"{api.name}: its figures", note("getSessionStatistics", say(
        "statistics", "getSessionStatistics", id=name))["storage_stats"]["chunks_count"], 3)
    types = [e["type"] for e in note("listSessionEvents", say("events", "listSessionEvents", id=name, limit=100))["events"]]
    checks.check(f"{api.name}: its events", types[0] == "SessionCreated" and "SessionCompleted" in types,
                 f"found {types}, expected SessionCreated to SessionCompleted")
    seen = lambda: {r["action"] for r in say("audit", "listAudit", session=name, limit=100)[1]["records"]}
    wanted = {"session.create", "session.start", "session.stop", "chunk.upload", "media.download"}
    checks.check(f"{api.name}: its records", eventually(lambda: wanted <= seen(), 30), f"found {seen()}, expected {wanted}")
    note("getPipeline", say("pipeline", "getPipeline", id=name))
    note("getStatistics", say("statistics", "getStatistics"))
    note("listEvents", say("events", "listEvents", limit=5))
    for operation in ("getHealth", "getReadiness", "getLiveness", "getStatus", "getMetrics", "getOpenAPI"):
        note(operation, say("system", operation))
    hold = api.model("SetHold", {"case": "K-1", "reason": "asked for"})
    note("setHold", say("holds", "setHold", id=name, body=hold))
    statuses["deletion of what is held"] = say("sessions", "deleteSession", id=name)[0]
    note("liftHold", say("holds", "liftHold", id=name, body=api.model("LiftHold", {"reason": "settled"})))
    note("deleteSession", say("sessions", "deleteSession", id=name))
    statuses["gone"] = say("sessions", "getSession", id=name)[0]
    expected = dict.fromkeys(statuses, 200) | {
        "createSession": 201, "uploads": [201] * 3, "an upload meanwhile": 409, "deletion of what is held": 409,
        "deleteSession": 204, "gone": 404}
    checks.equal(f"{api.name}: the statuses", statuses, expected)


def whole_pipeline(pipeline, api, source):
    """A session over the Pipeline Manager."""
    say = pipeline.call
    order = pipeline.one_of("SessionOrder", "CreateSession", {"name": "p", "rdp_config": {"host": "h", "username": "u"}})
    status, made = say("pipelines", "createPipeline", body=order)
    name = made["session_id"]
    found = [status, say("pipelines", "startPipeline", id=name)[0]]
    found.append(upload(pipeline, "pipelines", "processChunk", name, 1, source.randbytes(5000)))
    found += [say("pipelines", f"{verb}Pipeline", id=name)[0] for verb in ("pause", "resume", "stop")]
    at = lambda: say("pipelines", "getPipelineStatus", id=name)[1]["session_status"]
    checks.check(f"{pipeline.name}: a pipeline to its end", eventually(lambda: at() == "completed", 90), at())
    found += [say("pipelines", "cleanUpPipeline", id=name)[0], say("system", "getConfiguration")[0]]
    found += [say("system", operation)[0] for operation in (
        "getHealth", "getReadiness", "getLiveness", "getStatus", "getMetrics", "getOpenAPI")]
    checks.equal(f"{pipeline.name}: the Pipeline Manager's statuses", found, [201, 200, 201] + [200] * 11)
    checks.equal("and it is gone after all", api.call("sessions", "deleteSession", id=name)[0], 204)


def whole_recording(recorder, source):
    """A session over the Recorder."""
    say, piece = recorder.call, source.randbytes(50_000)
    order = recorder.one_of("RecordingOrder", "NewRecording", {"name": "r", "rdp_config": {"host": "h", "username": "u"}})
    status, made = say("recordings", "startRecording", body=order)
    if not checks.equal(f"{recorder.name}: a recording", (status, made.get("error")), (201, None)):
        return
    name = made["session_id"]
    found = [status, say("chunks", "processStream", id=name, body=piece)[0]]
    found += [say("recordings", f"{verb}Recording", id=name)[0] for verb in ("pause", "resume", "stop")]
    at = lambda: say("recordings", "getRecording", id=name)[1]["status"]
    checks.check(f"{recorder.name}: a recording to its end", eventually(lambda: at() == "completed", 90), at())
    listed = say("chunks", "listRecordedChunks", id=name)[1]["chunks"]
    checks.equal(f"{recorder.name}: its chunks", sum(chunk["size_bytes"] for chunk in listed), len(piece))
    found += [say("recordings", "listRecordings")[0], say("statistics", "getCompressionStats")[0]]
    found += [say("system", operation)[0] for operation in (
        "getHealth", "getReadiness", "getLiveness", "getStatus", "getMetrics", "getOpenAPI")]
    found.append(say("recordings", "deleteRecording", id=name)[0])
    checks.equal(f"{recorder.name}: the Recorder's statuses", found, [201, 201] + [200] * 11 + [204])


def main():
    source = random.Random(seed_of("generated_clients"))
    with Workspace("clients") as place:
        sys.path.insert(0, str(place))
        made = {}
        for kind in (PythonClient, GeneratorClient):
            for service, stem in openapi_document.SERVICES.items():
                with checks.section(f"{kind.name}, {service}"):
                    client = kind(place, service, openapi_document.SCHEMAS / f"{stem}.json")
                    made[kind, service] = client
                    described(client, openapi_document.document(service))
        importlib.invalidate_caches()
        with System(place / "data", *UNLIMITED) as system:
            token = pathlib.Path(system.endpoints["admin_token_file"]).read_text().strip()
            for (kind, service), client in made.items():
                client.connect(system.endpoints[f"{service}_url"] + "/api/v1", token)
            for kind in (PythonClient, GeneratorClient):
                with checks.section(f"{kind.name}: a session"):
                    whole_session(made[kind, "api"], source)
                with checks.section(f"{kind.name}: a pipeline"):
                    whole_pipeline(made[kind, "pipeline"], made[kind, "api"], source)
                with checks.section(f"{kind.name}: a recording"):
                    whole_recording(made[kind, "recorder"], source)
    checks.finish()


if __name__ == "__main__":
    main()

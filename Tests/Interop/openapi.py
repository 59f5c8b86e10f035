#!/usr/bin/env python3
"""The API against its description: schemathesis, and a client that knows nothing but the served document.

REEL_CONTRACT_SECONDS gives schemathesis longer than the usual 40 seconds for the session API and 10 for each of
the other services, and REEL_CONTRACT_EXAMPLES more examples of each operation than the usual 15.
"""

import base64
import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import threading
import urllib.parse

import jsonschema

import openapi_document
from kit import UNLIMITED, Checks, System, Workspace, environment, eventually, seed_of

checks = Checks("openapi")
HERE = pathlib.Path(__file__).resolve().parent


def the_document(system, service):
    """The document as it is served, which is what stands in the repository."""
    connection = connect(system.endpoints[f"{service}_url"])
    connection.request("GET", "/api/v1/openapi.json")
    answer = connection.getresponse()
    served = answer.read()
    stem = openapi_document.SERVICES[service]
    checks.equal(f"{service}: the document needs no token", answer.status, 200)
    document = openapi_document.document(service)
    checks.check(f"what is served is {stem}.yaml", served and json.loads(served) == document)
    checks.equal(
        f"schemas/{stem}.json is {stem}.yaml, to the byte",
        (openapi_document.SCHEMAS / f"{stem}.json").read_text(),
        openapi_document.text(service),
    )
    deep = sorted(set(re.findall(r'"\$ref": "(?!#/components/[a-zA-Z]+/[^/"]+")([^"]*)"', openapi_document.text(service))))
    checks.equal(f"{service}: every reference is to a component", deep, [])
    etag = answer.headers["ETag"]
    connection.request("GET", "/api/v1/openapi.json", headers={"If-None-Match": etag})
    again = connection.getresponse()
    checks.equal("and not sent again", (again.status, again.read()), (304, b""))
    return document


def connect(url):
    parts = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)


def contract(system, folder, service):
    """schemathesis with every check, authenticated, for a bounded time."""
    usual = 40 if service == "api" else 10
    seconds = int(os.environ.get("REEL_CONTRACT_SECONDS") or usual)
    examples = int(os.environ.get("REEL_CONTRACT_EXAMPLES") or 15)
    token = pathlib.Path(system.endpoints["admin_token_file"]).read_text().strip()
    # The same cases each time, so that a change is judged by what it changes; the long run takes fresh ones.
    seed = seed_of("openapi") if seconds > usual or "REEL_TEST_SEED" in os.environ else 20261121
    done = subprocess.run(
        [
            pathlib.Path(sys.executable).parent / "st",
            "--config-file",
            HERE / "schemathesis.toml",
            "run",
            openapi_document.SCHEMAS / f"{openapi_document.SERVICES[service]}.json",
            "--url",
            system.endpoints[f"{service}_url"] + "/api/v1",
            "-H",
            f"Authorization: Bearer {token}",
            "--checks",
            "all",
            "--max-time",
            str(seconds),
            "--max-examples",
            str(examples),
            # Python 3.11 loses count of its parser's depth when threads share it (gh-106905): with two
            # workers a run ends now and then with an error of its own.
            "--workers",
            "1",
            "--continue-on-failure",
            "--seed",
            str(seed),
            "--no-shrink",
            "--request-timeout",
            "60",
            "--generation-database",
            "none",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds * 3 + 120,
        env=environment(NO_COLOR="1", COLUMNS="200", PYTHONUTF8="1"),
    )
    (folder / f"schemathesis-{service}.log").write_text(done.stdout + done.stderr)
    found = re.search(r"([0-9]+) generated", done.stdout)
    cases = int(found.group(1)) if found else 0
    print(f"openapi: schemathesis, {service}, {cases} cases in at most {seconds} s", flush=True)
    failures = done.stdout.partition("= ERRORS =")[2] or done.stdout.partition("= FAILURES =")[2]
    failures = failures or done.stdout[-1500:] + done.stderr[-1500:]
    if not checks.check(f"{service}: schemathesis finds nothing", done.returncode == 0, failures):
        print(failures[:20000], flush=True)
    least = 300 if service == "api" else 10
    checks.check(f"{service}: schemathesis: {least} cases or more", cases >= least, cases)


class Client:
    """Calls operations by their ids, as the document has them, and holds every answer against it."""

    def __init__(self, document, url, token):
        self.document, self.url, self.token = document, url, token
        self.operations = {
            operation["operationId"]: (method, path, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if isinstance(operation, dict)
        }

    def resolve(self, node):
        while "$ref" in node:
            place = self.document
            for name in node["$ref"].removeprefix("#/").split("/"):
                place = place[name]
            node = place
        return node

    def target(self, operation_id, query=None, **path):
        method, template, _ = self.operations[operation_id]
        filled = template.format(**{n: urllib.parse.quote(v, safe="") for n, v in path.items()})
        base = self.document["servers"][0]["url"]
        return method.upper(), base + filled + (f"?{urllib.parse.urlencode(query)}" if query else "")

    def call(self, operation_id, query=None, body=None, headers=None, **path):
        """Status, body and headers; JSON is taken apart."""
        method, target = self.target(operation_id, query, **path)
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        wanted = self.operations[operation_id][2].get("requestBody", {}).get("content", {})
        if body is not None:
            headers["Content-Type"] = next(iter(wanted))
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = connect(self.url)
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, self.checked(operation_id, answer, content), answer.headers

    def checked(self, operation_id, answer, content):
        responses = self.operations[operation_id][2]["responses"]
        if str(answer.status) not in responses:
            checks.check(f"{operation_id}: {answer.status} is described", False, content[:300])
            return None
        described = self.resolve(responses[str(answer.status)])
        for name, header in described.get("headers", {}).items():
            if self.resolve(header).get("required") and name not in answer.headers:
                checks.check(f"{operation_id}: {answer.status} has {name}", False, answer.headers)
        media = (answer.headers.get("Content-Type") or "").split(";")[0]
        if media != "application/json" or not content:
            return content
        value = json.loads(content)
        schema = {**described["content"][media]["schema"], "components": self.document["components"]}
        errors = list(
            jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).iter_errors(
                value
            )
        )
        if errors:
            checks.check(f"{operation_id}: the answer keeps to its schema", False, errors[:3])
        return value

    def break_off(self, operation_id, query, body, **path):
        """Sends half of a body and closes the connection."""
        method, target = self.target(operation_id, query, **path)
        connection = connect(self.url)
        connection.putrequest(method, target)
        for name, value in [
            ("Authorization", f"Bearer {self.token}"),
            ("Content-Length", str(len(body))),
            ("Content-Type", "application/octet-stream"),
        ]:
            connection.putheader(name, value)
        connection.endheaders(body[: len(body) // 2])
        connection.close()


class Follower(threading.Thread):
    """Follows a session's events as they happen, with a connection that breaks now and then."""

    def __init__(self, client, session):
        super().__init__(daemon=True)
        self.client, self.session = client, session
        self.events, self.connections, self.problem = [], 0, None
        self.start()

    def run(self):
        try:
            while not self.is_complete():
                self.follow(3 + self.connections)
        except Exception as error:  # told by the thread that waits
            self.problem = error

    def is_complete(self):
        return bool(self.events) and self.events[-1]["type"] == "SessionCompleted"

    def follow(self, count):
        """Takes some events behind the last one, and breaks off."""
        method, target = self.client.target("listSessionEvents", id=self.session)
        headers = {"Authorization": f"Bearer {self.client.token}", "Accept": "text/event-stream"}
        if self.events:
            headers["Last-Event-ID"] = self.last
        connection = connect(self.client.url)
        connection.request(method, target, headers=headers)
        answer = connection.getresponse()
        described = self.client.operations["listSessionEvents"][2]["responses"]["200"]["content"]
        if answer.status != 200 or answer.headers["Content-Type"].split(";")[0] not in described:
            raise RuntimeError(f"{answer.status} {answer.headers}")
        self.connections += 1
        while count > 0 and not self.is_complete() and (line := answer.readline()):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.last = value
            elif name == "data":
                self.events.append(json.loads(value))
                count -= 1
        connection.close()


def chunk_query(number, **more):
    return dict(more, sequence_number=number, timestamp=f"2026-11-21T10:00:{number:02}Z")


def record(client, source):
    """A recording from its beginning to its end; session and bytes."""
    status, session, headers = client.call(
        "createSession",
        body={
            "name": "a desk",
            "rdp_config": {"host": "desk.example", "username": "anna"},
            "metadata": {"project": "apollo", "tags": ["one"]},
        },
    )
    name = session["session_id"]
    checks.equal("createSession", (status, headers["Location"]), (201, f"/api/v1/sessions/{name}"))
    follower = Follower(client, name)
    checks.equal(
        "an upload before the start is refused",
        client.call("uploadChunk", chunk_query(1), b"x", id=name)[0],
        409,
    )
    checks.equal("startSession", client.call("startSession", id=name)[1]["status"], "recording")
    pieces = [source.randbytes(source.randrange(1, 300_000)) for _ in range(6)]
    client.break_off("uploadChunk", chunk_query(1), pieces[0], id=name)
    for number in (1, 3, 2, 2, 4, 5, 6):
        piece = pieces[number - 1]
        digest = hashlib.sha256(piece).digest()
        header = {"Content-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:"}
        query = chunk_query(number, duration_seconds=1.5, frame_count=45)
        status, _, _ = client.call("uploadChunk", query, piece, headers=header, id=name)
        checks.check(f"uploadChunk {number}", status in (200, 201, 202), status)
    status, refused, _ = client.call("uploadChunk", chunk_query(6), b"other bytes", id=name)
    checks.equal(
        "other bytes under a number are refused", (status, refused["error"]["code"]), (409, "REEL_ERR_3003")
    )
    listed, cursor = [], None
    while True:
        query = {"limit": 4, **({"cursor": cursor} if cursor else {})}
        page = client.call("listChunks", query, id=name)[1]
        listed += [chunk["sequence_number"] for chunk in page["chunks"]]
        cursor = page["pagination"]["next_cursor"]
        if not cursor:
            break
    checks.equal("listChunks, page by page", listed, [1, 2, 3, 4, 5, 6])
    etag = client.call("getSession", id=name)[2]["ETag"]
    changed = {"metadata": {"priority": "high"}}
    checks.equal(
        "updateSession with its ETag",
        client.call("updateSession", body=changed, headers={"If-Match": etag}, id=name)[0],
        200,
    )
    changed = {"metadata": {"priority": "low"}}
    checks.equal(
        "and with one of before",
        client.call("updateSession", body=changed, headers={"If-Match": etag}, id=name)[0],
        412,
    )
    # Its last chunks may be stored before the answer is made.
    stopped = client.call("stopSession", id=name)[1]["status"]
    checks.check("stopSession", stopped in ("stopped", "processing", "completed"), stopped)
    return name, pieces, follower


def followed(client, name, follower):
    """What came live is what the pages have, each event once, in order."""
    follower.join(60)
    checks.check("the events were followed to the end", not follower.is_alive() and not follower.problem,
                 follower.problem or follower.events[-1:])
    paged, after = [], None
    while True:
        page = client.call("listSessionEvents", {"limit": 7, **({"after": after} if after else {})}, id=name)[1]
        paged, after = paged + page["events"], page["next_after"]
        if not page["has_more"]:
            break
    checks.check(f"live over {follower.connections} connections: the same as page by page",
                 follower.connections > 2 and follower.events == paged[:len(follower.events)],
                 (len(follower.events), len(paged)))


def fetch(client, name, pieces, follower):
    """What was recorded, as a client gets it back, and what there is to say of it."""
    done = eventually(lambda: client.call("getSession", id=name)[1]["status"] == "completed", 90, 0.2)
    if not checks.check("it is completed", done, client.call("getSession", id=name)[1]["status"]):
        return
    followed(client, name, follower)
    whole, found = b"".join(pieces), b""
    while len(found) < len(whole):
        last = min(len(found) + 250_000, len(whole)) - 1
        status, part, headers = client.call(
            "getMedia", headers={"Range": f"bytes={len(found)}-{last}"}, id=name
        )
        if not checks.equal(
            "getMedia by range",
            (status, headers["Content-Range"]),
            (206, f"bytes {len(found)}-{last}/{len(whole)}"),
        ):
            return
        found += part
    checks.check("the bytes are what was recorded", found == whole, (len(found), len(whole)))
    checks.equal(
        "a range behind the end",
        client.call("getMedia", headers={"Range": f"bytes={len(whole)}-"}, id=name)[0],
        416,
    )
    for chunk, piece in zip(client.call("listChunks", id=name)[1]["chunks"], pieces):
        place = {"id": name, "chunk_id": chunk["chunk_id"]}
        if not chunk["sequence_number"] % 3:
            checks.check("downloadChunk, original", client.call("downloadChunk", **place)[1] == piece)
        sealed = client.call("downloadChunk", {"form": "sealed"}, **place)[1]
        proof = client.call("getChunkProof", **place)[1]
        checks.check(f"the proof of chunk {chunk['sequence_number']} holds", proves(proof, sealed), proof)
    figures = client.call("getSessionStatistics", id=name)[1]
    checks.equal(
        "getSessionStatistics",
        (
            figures["storage_stats"]["total_size_bytes"],
            figures["storage_stats"]["chunks_count"],
            figures["recording_stats"]["total_frames"],
        ),
        (len(whole), 6, 270),
    )
    checks.check("getStatistics", client.call("getStatistics")[1]["system_stats"]["total_sessions"] >= 1)
    checks.equal("deleteSession", client.call("deleteSession", id=name)[0], 204)
    checks.equal("and it is gone", client.call("getSession", id=name)[0], 404)


def proves(proof, sealed):
    """RFC 9162, 2.1.3.2: whether the file is under the root."""
    digest = hashlib.sha256(b"\x00" + sealed).digest()
    if digest.hex() != proof["leaf_hash"]:
        return False
    number, last = proof["leaf_index"], proof["tree_size"] - 1
    for other in map(bytes.fromhex, proof["path"]):
        if last == 0:
            return False
        if number & 1 or number == last:
            digest = hashlib.sha256(b"\x01" + other + digest).digest()
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            digest = hashlib.sha256(b"\x01" + digest + other).digest()
        number, last = number >> 1, last >> 1
    return last == 0 and digest.hex() == proof["root"]


def main():
    source = random.Random(seed_of("openapi"))
    with Workspace("openapi") as place, System(place / "data", *UNLIMITED) as system:
        document = [the_document(system, service) for service in openapi_document.SERVICES][0]
        token = pathlib.Path(system.endpoints["admin_token_file"]).read_text().strip()
        client = Client(document, system.endpoints["api_url"], token)
        with checks.section("the client"):
            fetch(client, *record(client, source))
        for service in openapi_document.SERVICES:
            with checks.section("schemathesis"):
                contract(system, place, service)
    checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What somebody who means harm sends to the API.

Tokens are forged in `forged.py`, bodies are attacked in `malformed.py`, ten thousand connections are held open in
`crowd.py`; requests that could be read in two ways have a script of their own, `wire.py`.
"""

import contextlib
import json
import os
import pathlib
import secrets
import socket
import time
import urllib.parse

from crowd import crowd
from forged import tokens
from kit import UNLIMITED, Checks, System, Workspace, eventually
from malformed import DESK, bodies

checks = Checks("attacks")


class Wire:
    """Requests as bytes."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.place = (parts.hostname, parts.port)

    def open(self):
        return socket.create_connection(self.place, 30)

    def raw(self, data, ends=True):
        """Everything that is answered until the server closes, or says nothing more for a while."""
        with self.open() as wire:
            with contextlib.suppress(ConnectionError):
                wire.sendall(data)
            if ends:
                with contextlib.suppress(OSError):
                    wire.shutdown(socket.SHUT_WR)
            found = b""
            with contextlib.suppress(OSError):
                while part := wire.recv(1 << 16):
                    found += part
            return found

    def ask(self, method, target, token=None, body=None, kind="application/json", headers=()):
        """Status and body."""
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        lines = [f"{method} {target} HTTP/1.1", "Host: reel", "Connection: close", *headers]
        lines += [f"Authorization: Bearer {token}"] if token is not None else []
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"] if body is not None else []
        found = self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""), ends=False)
        head, _, content = found.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0
        return status, content

    def api(self, method, path, token=None, body=None, **more):
        status, content = self.ask(method, "/api/v1" + path, token, body, **more)
        with contextlib.suppress(ValueError):
            return status, json.loads(content)
        return status, content


def paths(system, wire, admin):
    """Ways out of the folder, in every place that takes a name."""
    (system.data / "canary").write_text("the canary of the data folder")
    names = [
        "..",
        "%2e%2e",
        "..%2f..%2fcanary",
        "%2e%2e%2f%2e%2e%2fcanary",
        "..%5c..%5ccanary",
        "%252e%252e%252fcanary",
        "..%00",
        "canary%00.reel",
        "....//",
        "%c0%ae%c0%ae%2f",
        "%ff",
        ".",
        "~",
        "a%0d%0aSet-Cookie:x",
        "%2fetc%2fpasswd",
        "a" * 101,
        "sess%20",
        "%e2%80%ae",
    ]
    found = {}
    for name in names:
        for path in (
            f"/sessions/{name}",
            f"/sessions/{name}/media",
            f"/sessions/{name}/chunks",
            f"/sessions/x/chunks/{name}/download?form=sealed",
            f"/sessions/x/chunks/{name}/proof",
        ):
            status, answer = wire.api("GET", path, admin)
            if status not in (400, 404) or "canary of" in str(answer):
                found[path] = status
        for target in (f"/api/v1/sessions/{name}/start", f"/api/v1/../{name}"):
            status, _ = wire.ask("POST", target, admin)
            if status not in (400, 404):
                found[target] = status
        body = {**DESK, "session_id": urllib.parse.unquote(name, errors="replace")}
        if (status := wire.api("POST", "/sessions", admin, body)[0]) != 422:
            found["session_id " + name] = status
    checks.equal("no name is a way out", found, {})
    status, session = wire.api("POST", "/sessions", admin, {**DESK, "name": "../../../etc/passwd; X: y"})
    checks.equal("a session's name is a text and nothing more", status, 201)
    files = [str(f) for f in system.data.rglob("*") if "passwd" in f.name]
    checks.equal("and names no file", files, [])


def texts(wire, admin):
    """Control characters are refused with the field's name; whatever is taken is found again by itself."""
    bad = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))]
    wrong = {}
    for character in bad:
        text = f"a{character}b"
        fields = {
            "name": {"name": text}, "metadata.project": {"metadata": {"project": text}},
            "metadata.environment": {"metadata": {"environment": text}}, "metadata.tags": {"metadata": {"tags": [text]}},
            "metadata.owner": {"metadata": {"owner": text}},
            "rdp_config.username": {"rdp_config": {"host": "h", "username": text}},
        }
        if character not in "\t\r\n":
            fields["description"] = {"description": text}
        refused(wrong, text, wire.api("POST", "/sessions", admin, {**DESK, **{
            name: value for body in fields.values() for name, value in body.items() if name != "metadata"},
            "metadata": {"project": text, "environment": text, "tags": [text], "owner": text}}), set(fields))
        for name in ("project", "environment", "tag", "owner"):
            query = urllib.parse.urlencode({name: text})
            refused(wrong, f"?{query}", wire.api("GET", f"/sessions?{query}", admin), {name})
    checks.equal("control characters are refused, and the fields named", wrong, {})
    good = ["a b", " a ", "a+b", "a&b=c", "%41", "e\u0301", "\u00e9", "\u212a", "K", "\u00c5", "\u212b", "\u200e",
            "\U0001f468\u200d\U0001f469", "\ufeff", "a,b", '"', "\\", "$", "*", "שלום", "ß", "SS", "-1", "null", "\u00a0"]
    made = {}
    for text in good:
        status, session = wire.api("POST", "/sessions", admin, {**DESK, "metadata": {
            "project": text, "environment": text, "tags": [text], "owner": text}})
        made[text] = session["session_id"] if status == 201 else f"{status} {session}"

    def found(name, text):
        answer = wire.api("GET", f"/sessions?limit=100&{urllib.parse.urlencode({name: text})}", admin)[1]
        return [session["session_id"] for session in answer.get("sessions", [])] or answer

    last = good[-1]
    eventually(lambda: found("tag", last) == [made[last]], 30)
    wrong = {(name, text): (found(name, text), made[text]) for text in good
             for name in ("project", "environment", "tag", "owner") if found(name, text) != [made[text]]}
    checks.equal("each text finds what was made with it, and nothing else", wrong, {})


def refused(wrong, what, answer, fields):
    """Notes an answer that is no refusal of exactly these fields."""
    status, body = answer
    named = {v["field"] for v in body["error"]["details"].get("violations", [])} if status == 422 else set()
    if (status, named) != (422, fields):
        wrong[what] = (status, named, fields)


def owners(system, wire, admin):
    """Who may see and touch what."""

    def token(name, role, *more):
        return system.reel("token", "--subject", name, "--role", role, *more).stdout.decode().strip()

    anna = token("anna", "session_operator", "--project", "apollo")
    otto, vera = token("otto", "session_operator"), token("vera", "session_viewer", "--project", "apollo")
    auditor = token("audrey", "auditor")
    mine = wire.api("POST", "/sessions", anna, {**DESK, "metadata": {"project": "apollo"}})[1]["session_id"]
    hidden = wire.api("POST", "/sessions", otto, DESK)[1]["session_id"]
    ids = lambda who: {s["session_id"] for s in wire.api("GET", "/sessions?limit=100", who)[1]["sessions"]}
    # Lists may be a moment behind.
    eventually(lambda: {mine, hidden} <= ids(admin), 30)
    checks.equal("a viewer lists what is its project's", ids(vera), {mine})
    checks.equal("an operator lists its own", ids(otto), {hidden})
    checks.equal(
        "asking for another's by owner shows nothing",
        wire.api("GET", "/sessions?owner=otto", vera)[1]["sessions"],
        [],
    )
    paths = [
        "",
        "/chunks",
        "/media",
        "/pipeline",
        "/statistics",
        "/chunks/x",
        "/chunks/x/download",
        "/chunks/x/proof",
    ]
    checks.equal(
        "what a viewer may not see is not there",
        {p: wire.api("GET", f"/sessions/{hidden}{p}", vera)[0] for p in paths},
        dict.fromkeys(paths, 404),
    )
    unknown = wire.api("GET", "/sessions/nothing", vera)[1]["error"]
    other = wire.api("GET", f"/sessions/{hidden}", vera)[1]["error"]
    checks.equal(
        "and in no way told apart",
        [other[k] for k in ("code", "message")],
        [unknown[k] for k in ("code", "message")],
    )
    deeds = [
        ("PUT", "", {"name": "x"}),
        ("DELETE", "", None),
        *[
            ("POST", f"/{verb}", None)
            for verb in ("start", "pause", "resume", "stop", "pipeline/pause", "pipeline/resume")
        ],
    ]
    for who, name in ((vera, "a viewer"), (auditor, "an auditor")):
        found = [wire.api(method, f"/sessions/{mine}{path}", who, body)[0] for method, path, body in deeds]
        checks.equal(f"{name} changes nothing", found, [403] * len(deeds))
    found = [
        wire.api(method, f"/sessions/{mine}{path}", otto, body)[0]
        for method, path, body in deeds
        if method != "DELETE"
    ]
    checks.equal("an operator touches nothing of another's", found, [404] * (len(deeds) - 1))
    checks.equal(
        "nobody gives away what is its own",
        wire.api("PUT", f"/sessions/{mine}", anna, {"metadata": {"owner": "otto"}})[0],
        403,
    )
    checks.equal(
        "nor makes what is another's",
        wire.api("POST", "/sessions", otto, {**DESK, "metadata": {"owner": "anna"}})[0],
        403,
    )
    checks.equal("figures of the system are not a viewer's", wire.api("GET", "/statistics", vera)[0], 403)
    first = wire.api("GET", "/sessions?limit=1", admin)[1]["pagination"]["next_cursor"]
    checks.equal(
        "a cursor of another's list is none",
        wire.api("GET", f"/sessions?limit=1&cursor={first}", vera)[0],
        422,
    )
    return mine, anna


def passwords(system, wire, admin):
    """A desktop's password goes in, and nothing of it comes out."""
    secret = "canary-" + secrets.token_hex(12)
    desk = {**DESK["rdp_config"], "password": secret}
    status, session = wire.api("POST", "/sessions", admin, {**DESK, "rdp_config": desk})
    name = session["session_id"]
    answers = [session]
    bad = [
        {**DESK, "rdp_config": {**desk, "port": 0}},
        {**DESK, "rdp_config": {**desk, "password": secret * 20}},
        {**DESK, "rdp_config": {**desk, "password": [secret]}},
        {**DESK, "session_id": name, "rdp_config": desk},
    ]
    answers += [wire.api("POST", "/sessions", admin, body) for body in bad]
    answers.append(wire.api("POST", "/sessions", admin, json.dumps(bad[0]).encode()[:-3]))
    answers.append(wire.api("PUT", f"/sessions/{name}", admin, {"rdp_config": desk}))
    answers += [wire.api("POST", f"/sessions/{name}/{verb}", admin) for verb in ("start", "stop")]
    answers += [
        wire.api("GET", path, admin)
        for path in (
            f"/sessions/{name}",
            f"/sessions/{name}/pipeline",
            f"/sessions/{name}/statistics",
            "/sessions?limit=100",
        )
    ]
    checks.check("no answer holds it", secret not in json.dumps(answers, default=str))
    checks.check("no event", secret not in json.dumps(system.events(name)))
    trail = system.reel("audit", "--json")
    checks.check(
        "no record of the trail", trail.returncode == 0 and secret.encode() not in trail.stdout, trail.stderr
    )
    checks.check("no line of the log", secret not in system.log.read_text(errors="replace"))
    holders = []
    for folder, _, files in os.walk(system.data):
        for file in files:
            with contextlib.suppress(OSError):
                if secret.encode() in pathlib.Path(folder, file).read_bytes():
                    holders.append(file)
    checks.equal("no file, those of the databases included", holders, [])


def loris(wire):
    """Connections that never finish their requests."""
    held = []
    for number in range(300):
        connection = wire.open()
        connection.sendall(b"GET /api/v1/sessions HTTP/1.1\r\nHost: reel\r\nX-%d: " % number)
        held.append(connection)
    return held


def loris_ends(wire, held):
    """They are closed while others are served; each further byte buys no time."""
    began, slowest, served = time.monotonic(), 0.0, True
    left = list(held)
    while left and time.monotonic() - began < 60:
        asked = time.monotonic()
        served = served and wire.api("GET", "/health/live")[0] == 200
        slowest = max(slowest, time.monotonic() - asked)
        for connection in list(left):
            try:
                connection.setblocking(False)
                connection.send(b"a")
                if connection.recv(4096) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                continue
            except OSError:
                connection.close()
                left.remove(connection)
        time.sleep(1)
    checks.equal("connections that send a byte now and then are closed", len(left), 0)
    checks.check("others were served meanwhile", served)
    checks.check("and nobody waited for them", slowest < 10, slowest)


def main():
    with Workspace("attacks") as place, System(place / "data", "--chunk-size", "1", *UNLIMITED) as system:
        wire = Wire(system.endpoints["api_url"])
        admin = pathlib.Path(system.endpoints["admin_token_file"]).read_text().strip()
        held = loris(wire)
        for name, part in (
            ("tokens", lambda: tokens(checks, system, wire, admin)),
            ("paths", lambda: paths(system, wire, admin)),
            ("texts", lambda: texts(wire, admin)),
            ("bodies", lambda: bodies(checks, wire, admin)),
            ("owners", lambda: owners(system, wire, admin)),
            ("passwords", lambda: passwords(system, wire, admin)),
            ("a crowd", lambda: crowd(checks, system, wire)),
        ):
            with checks.section(name):
                part()
        with checks.section("slow connections"):
            loris_ends(wire, held)
        checks.equal("the system is well", wire.api("GET", "/health")[0], 200)
        checks.check("no token stands in the log", admin not in system.log.read_text(errors="replace"))
    checks.finish()


if __name__ == "__main__":
    main()

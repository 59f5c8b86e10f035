#!/usr/bin/env python3
"""The API of a running system, from the outside: HTTP by Python's own library, bytes compared in the end.

A recording is uploaded with a broken connection in between and out of order, stopped, completed and fetched
by range; two gateways race; an uploader vanishes.
"""

import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import socket
import stat
import subprocess
import urllib.parse

from kit import REEL, Checks, System, Workspace, environment, eventually, seed_of

checks = Checks("api")
DESK = {"name": "a desk", "rdp_config": {"host": "desk.example", "username": "anna"}}


class Client:
    """One subject's view of one gateway."""

    def __init__(self, url, token):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.token = parts.hostname, parts.port, token

    def ask(self, method, path, body=None, headers=None, binary=False):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        elif body is not None:
            headers["Content-Type"] = "application/octet-stream"
        connection.request(method, "/api/v1" + path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content if binary else json.loads(content or b"null"), answer.headers

    def chunk_path(self, session, number, **more):
        query = urllib.parse.urlencode(dict(
            more, sequence_number=number, timestamp=f"2026-01-31T10:00:{number % 60:02}Z"))
        return f"/sessions/{session}/chunks?{query}"

    def upload(self, session, number, piece):
        digest = hashlib.sha256(piece).hexdigest()
        return self.ask("POST", self.chunk_path(session, number, sha256=digest), piece)[0]

    def break_off(self, session, number, piece):
        """Sends half of an upload and closes the connection."""
        with socket.create_connection((self.host, self.port), 60) as wire:
            wire.sendall(
                f"POST /api/v1{self.chunk_path(session, number)} HTTP/1.1\r\nHost: reel\r\n"
                f"Authorization: Bearer {self.token}\r\nContent-Type: application/octet-stream\r\n"
                f"Content-Length: {len(piece)}\r\n\r\n".encode() + piece[:len(piece) // 2])

    def begin(self):
        session = self.ask("POST", "/sessions", DESK)[1]["session_id"]
        self.ask("POST", f"/sessions/{session}/start")
        return session

    def status(self, session):
        return self.ask("GET", f"/sessions/{session}")[1]["status"]


def token(system, *options):
    done = system.reel("token", *options)
    checks.equal("reel token: status 0", done.returncode, 0)
    return done.stdout.decode().strip()


def recording(system, admin, source):
    """The whole way of one recording; answers its session."""
    pieces = [source.randbytes(source.randrange(1, 400_000)) for _ in range(9)]
    session = admin.begin()
    admin.break_off(session, 1, pieces[0])
    for number in (2, 4, 3, 1, 1, 5, 7, 6, 8, 9):
        status = admin.upload(session, number, pieces[number - 1])
        checks.check(f"chunk {number} is taken", status in (200, 201, 202), status)
    status, stopped, _ = admin.ask("POST", f"/sessions/{session}/stop")
    # Its last chunks may be stored before the answer is made.
    checks.check("it is stopped", status == 200 and stopped["status"] in ("stopped", "processing", "completed"),
                 (status, stopped))
    done = eventually(lambda: admin.status(session) == "completed", 120)
    checks.check("it is completed", done, admin.status(session))
    whole = b"".join(pieces)
    found = admin.ask("GET", f"/sessions/{session}/media", binary=True)[1]
    checks.check("media: the recorded bytes, identical", found == whole, (len(found), len(whole)))
    again = b""
    while len(again) < len(whole):
        last = min(len(again) + source.randrange(1, 500_000), len(whole)) - 1
        status, part, _ = admin.ask(
            "GET", f"/sessions/{session}/media", binary=True, headers={"Range": f"bytes={len(again)}-{last}"})
        checks.equal("media: a part", (status, len(part)), (206, last + 1 - len(again)))
        again += part
    checks.check("media: the parts make the whole", again == whole)
    checks.equal("reel verify: sound", system.reel("verify", session).returncode, 0)
    actors = {(event["authtype"], event["authid"]) for event in system.events(session)}
    checks.check("events name who asked", ("user", "admin") in actors, actors)
    return session


def races(system, admin, other):
    """Two gateways on one session."""
    wins = []
    for _ in range(10):
        session = admin.ask("POST", "/sessions", DESK)[1]["session_id"]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(c.ask, "POST", f"/sessions/{session}/start") for c in (admin, other)]
            wins.append(sorted(a.result()[0] for a in answers))
        name = f"name of {session}"
        admin.ask("PUT", f"/sessions/{session}", {"name": name})
        shown = [c.ask("GET", f"/sessions/{session}")[1]["name"] for c in (admin, other)]
        checks.equal("a change is seen at once where it was made", shown[0], name)
        checks.check("and through the other gateway when that has read the log", eventually(
            lambda: other.ask("GET", f"/sessions/{session}")[1]["name"] == name), shown)
    checks.equal("of two starts one wins, one gets a 409", wins, [[200, 409]] * 10)


def lost(system, session):
    """The uploader has been away since the session began."""
    stopped = [e for e in system.events(session) if e["type"] == "SessionStopped"]
    return bool(stopped) and stopped[0]["data"]["incomplete"]


def holds(system, admin):
    """Whose processing somebody has paused is told by `reel status`."""
    session = admin.begin()
    held = lambda: [(h["session_id"], h["by"], h["waiting_chunks"])
                    for h in json.loads(system.reel("status", "--json").stdout)["held_sessions"]]
    checks.equal("status names no session that isn't held", held(), [])
    checks.equal("a pipeline is paused", admin.ask("POST", f"/sessions/{session}/pipeline/pause")[0], 200)
    # Uploads are the sign of life of whoever records: without, the recording would be stopped before long.
    checks.equal("recording goes on", admin.upload(session, 1, b"some bytes"), 201)
    checks.check("status names the session, who paused it, and what waits",
                 eventually(lambda: held() == [(session, "admin", 1)], 30), held())
    text = system.reel("status").stdout.decode()
    checks.check("for people, too", f"HELD      session {session}" in text and "by admin" in text, text)
    checks.equal("recording still goes on", admin.upload(session, 2, b"more bytes"), 201)
    checks.equal("the pipeline goes on", admin.ask("POST", f"/sessions/{session}/pipeline/resume")[0], 200)
    checks.check("status names it no longer", eventually(lambda: held() == [], 30), held())


def main():
    source = random.Random(seed_of("api"))
    rates = [part for kind in ("create", "update", "status") for part in (f"--rate-{kind}", "100000")]
    with Workspace("api") as place, System(place / "data", "--uploader-idle", "5", *rates) as system:
        admin_file = system.endpoints["admin_token_file"]
        with open(admin_file) as file:
            admin = Client(system.endpoints["api_url"], file.read().strip())
        mode = stat.S_IMODE(os.stat(admin_file).st_mode)
        checks.equal("the admin token is for its user alone", mode, 0o600)
        checks.equal("health needs no token", Client(system.endpoints["api_url"], None).ask("GET", "/health/ready")[0], 200)
        checks.equal("everything else does",
                     Client(system.endpoints["api_url"], None).ask("GET", "/sessions")[0], 401)
        vanished = admin.begin()
        admin.upload(vanished, 1, b"some bytes")
        recording(system, admin, source)
        holds(system, admin)
        viewer = Client(system.endpoints["api_url"],
                        token(system, "--subject", "vera", "--role", "session_viewer"))
        checks.equal("a viewer makes no session", viewer.ask("POST", "/sessions", DESK)[0], 403)
        checks.equal("a viewer sees nothing that isn't its own",
                     viewer.ask("GET", "/sessions")[1]["pagination"]["total"], 0)
        log = open(place / "second.log", "ab")
        second = subprocess.Popen(
            [REEL, "serve", "api", "--data", str(system.data), "--token-keys", str(system.data / "tokens"),
             "--ready-file", str(place / "ready"), *rates],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=environment(**system.server_urls()))
        try:
            checks.check("a second gateway serves", eventually((place / "ready").exists, 60))
            text = (place / "second.log").read_text()
            url = text.split("http port open url=")[1].split()[0]
            races(system, admin, Client(url, admin.token))
        finally:
            second.terminate()
            checks.equal("and ends cleanly", second.wait(60), 0)
        checks.check("a recording whose uploader vanished is stopped as incomplete",
                     eventually(lambda: lost(system, vanished), 90), admin.status(vanished))
        checks.check("and completes", eventually(lambda: admin.status(vanished) == "completed", 60))
        text = system.log.read_text(errors="replace")
        checks.check("no token stands in the log", admin.token not in text)
    checks.finish()


if __name__ == "__main__":
    main()

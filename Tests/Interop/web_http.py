"""What HTTP promises a client: methods, conditions, ranges, compression, ids, traces, uploads."""

import gzip
import hashlib
import http.client
import json
import re
import secrets
import socket
import threading
import time
import urllib.parse

from kit import eventually

DESK = {"name": "a desk", "rdp_config": {"host": "desk.example", "username": "anna"}}
JSON = "application/json"
BYTES = "application/octet-stream"
GUARDS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class Answer:
    """Status, headers and body of one answer."""

    def __init__(self, answer):
        self.status, self.headers = answer.status, answer.headers
        self.body = answer.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]["code"]

    def __getitem__(self, name):
        return self.headers[name]


class Web:
    """One subject's view of one gateway; a connection that is kept."""

    def __init__(self, url, token=None, context=None):
        self.parts, self.token, self.context = urllib.parse.urlsplit(url), token, context
        self.connection = self.connect()

    def connect(self):
        place = self.parts.hostname, self.parts.port
        if self.parts.scheme == "https":
            return http.client.HTTPSConnection(*place, timeout=60, context=self.context)
        return http.client.HTTPConnection(*place, timeout=60)

    def __call__(self, method, path, body=None, headers=None, kind=None):
        """Bodies that are no bytes go as JSON; `path` is below /api/v1 unless it is `*`."""
        headers = dict(headers or {})
        if self.token and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            kind = kind or (BYTES if isinstance(body, bytes) else JSON)
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        if kind:
            headers["Content-Type"] = kind
        try:
            self.connection.request(method, path if path == "*" else "/api/v1" + path, body, headers)
            return Answer(self.connection.getresponse())
        except http.client.HTTPException:
            # The next request has a connection of its own.
            self.connection.close()
            raise

    def raw(self, data, seconds=30):
        """What is answered to bytes, up to the end of the connection or a silence."""
        with socket.create_connection((self.parts.hostname, self.parts.port), seconds) as wire:
            wire.sendall(data)
            found = b""
            wire.settimeout(seconds)
            try:
                while part := wire.recv(1 << 16):
                    found += part
            except TimeoutError:
                pass
            return found

    def begin(self, **more):
        """A session that records."""
        session = self("POST", "/sessions", {**DESK, **more}).json["session_id"]
        self("POST", f"/sessions/{session}/start")
        return session

    def chunk(self, session, number, piece, headers=None, **more):
        query = urllib.parse.urlencode(
            dict(more, sequence_number=number, timestamp=f"2026-11-21T10:00:{number % 60:02}Z"))
        return self("POST", f"/sessions/{session}/chunks?{query}", piece, headers)


def methods(checks, web, document, session):
    """HEAD, OPTIONS and 405 on every path that is described."""
    wrong = {}
    for template, item in document["paths"].items():
        described = {name.upper() for name in item if name in ("get", "post", "put", "delete", "patch")}
        allowed = described | {"OPTIONS"} | ({"HEAD"} if "GET" in described else set())
        path = template.replace("{id}", session).replace("{chunk_id}", f"{session}-chunk-000001")
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"} - described:
            answer = web(method, path)
            found = set((answer["Allow"] or "").replace(" ", "").split(","))
            if (answer.status, found) != (405, allowed) or not answer.code:
                wrong[f"{method} {template}"] = (answer.status, answer["Allow"])
        answer = web("OPTIONS", path)
        if (answer.status, set((answer["Allow"] or "").replace(" ", "").split(","))) != (204, allowed):
            wrong[f"OPTIONS {template}"] = (answer.status, answer["Allow"])
        if "GET" in described:
            # Figures and times differ between two answers, and figures that are new make it longer: then once more.
            found = []

            def alike():
                head, full = web("HEAD", path), web("GET", path)
                other = [name for name in ("Content-Type", "ETag", "Cache-Control") if head[name] != full[name]]
                lengths = [int(a["Content-Length"] or -1) for a in (head, full)]
                found[:] = head.status, full.status, head.body, other, lengths
                return head.status == full.status and not head.body and not other and abs(lengths[0] - lengths[1]) <= 200

            if not eventually(alike, 5):
                wrong[f"HEAD {template}"] = list(found)
    checks.equal("HEAD, OPTIONS and Allow on 405: every described path", wrong, {})
    checks.equal("OPTIONS *", web("OPTIONS", "*").status, 204)
    checks.equal("OPTIONS of nothing", web("OPTIONS", "/nothing").status, 404)
    # What is behind the head would be taken for the next answer.
    stream = web.raw(
        f"HEAD /api/v1/sessions/{session}/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {web.token}\r\n\r\n".encode())
    checks.check("HEAD of a stream of events: its head and nothing more",
                 stream.startswith(b"HTTP/1.1 200 ") and stream.endswith(b"\r\n\r\n")
                 and stream.count(b"\r\n\r\n") == 1 and b"text/event-stream" in stream, stream[-60:])
    checks.equal("a method nobody knows", web("BREW", "/sessions").status, 405)


def types(checks, web, session):
    """What bodies may be."""
    path = f"/sessions/{session}"
    cases = [
        ("PUT", path, b'{"name":"x"}', "text/plain", 415),
        ("PUT", path, b'{"name":"x"}', "application/x-www-form-urlencoded", 415),
        ("PUT", path, b'{"name":"desk"}', "application/json; charset=utf-8", 200),
        ("PUT", path, b'{"name":"desk"}', "APPLICATION/JSON", 200),
        ("POST", f"{path}/chunks?sequence_number=1&timestamp=2026-11-21T10:00:00Z", b"x", JSON, 415),
    ]
    found = [web(method, target, body, kind=kind).status for method, target, body, kind, _ in cases]
    checks.equal("Content-Type is checked", found, [case[-1] for case in cases])
    untyped = web.raw(
        f"PUT /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {web.token}\r\n"
        "Connection: close\r\nContent-Length: 2\r\n\r\n{}".encode())
    checks.equal("a body without a type", untyped.split(b" ", 2)[1:2], [b"415"])


def conditions(checks, web, session):
    """ETag, If-None-Match and If-Match."""
    path = f"/sessions/{session}"
    # Long enough to be compressed.
    web("PUT", path, {"metadata": {"description": "word " * 100}})
    etag = web("GET", path)["ETag"]
    for given, status in [
        (etag, 304), (f"W/{etag}", 304), (f'"x", {etag}', 304), ("*", 304), ('"x"', 200), (etag[:-1], 200),
    ]:
        answer = web("GET", path, headers={"If-None-Match": given})
        checks.check(
            f"If-None-Match {given.replace(etag, 'its own')[:24]}: {status}",
            answer.status == status and answer["ETag"] == etag and bool(answer.body) == (status == 200),
            (answer.status, answer["ETag"]))
    squeezed = web("GET", path, headers={"Accept-Encoding": "gzip"})
    checks.equal("gzip: the same content", gzip.decompress(squeezed.body), web("GET", path).body)
    checks.check("and a tag of its own", squeezed["ETag"] != etag and squeezed["Content-Encoding"] == "gzip",
                 squeezed.headers)
    again = {"If-None-Match": squeezed["ETag"], "Accept-Encoding": "gzip"}
    checks.equal("which is known again", web("GET", path, headers=again).status, 304)
    change = {"metadata": {"priority": "high"}}
    found = [
        web("PUT", path, change, {"If-Match": tag}).status
        for tag in ('"x"', f"W/{etag}", squeezed["ETag"], etag, "*")
    ]
    checks.equal("If-Match: stale, weak, compressed, stale by then, any", found, [412, 412, 200, 412, 200])
    checks.equal("DELETE with a stale If-Match",
                 web("DELETE", path, headers={"If-Match": etag}).status, 412)
    checks.equal("and the session is there", web("GET", path).status, 200)
    fresh = web("GET", path)["ETag"]
    web.chunk(session, 1, b"first")
    checks.equal("a chunk does not disturb an update",
                 web("PUT", path, {"name": "other"}, {"If-Match": fresh}).status, 200)
    # The pipeline moves, and both answers with it, until the chunk is stored.
    chunk = f"/chunks/{session}-chunk-000001"
    stored = eventually(lambda: web("GET", path + chunk).json["status"] == "stored", 60)
    checks.check("the pipeline comes to rest", stored, web("GET", path + chunk).body)
    for part in ("/pipeline", chunk):
        found = web("GET", path + part)
        same = web("GET", path + part, headers={"If-None-Match": found["ETag"] or "none"})
        checks.equal(f"ETag of {part.split('/')[1]}", (found.status, same.status, same.body), (200, 304, b""))


def ranges(checks, web, session, whole):
    """Range and If-Range, on media and on a sealed file."""
    media = f"/sessions/{session}/media"
    sealed = f"/sessions/{session}/chunks/{session}-chunk-000001/download?form=sealed"
    for name, path in (("media", media), ("a sealed file", sealed)):
        full = web("GET", path)
        if name == "media":
            checks.check("media: what was recorded", full.body == whole, (len(full.body), len(whole)))
        size = len(full.body)
        checks.equal(f"{name}: has ranges, and is in nobody's cache",
                     (full["Accept-Ranges"], full["Cache-Control"]), ("bytes", "no-store"))
        wrong = {}
        for text, start, end in [
            ("0-0", 0, 1), ("5-20", 5, 21), (f"{size - 3}-", size - 3, size), ("-7", size - 7, size),
            (f"-{size * 2}", 0, size), (f"10-{size * 9}", 10, size),
        ]:
            part = web("GET", path, headers={"Range": f"bytes={text}"})
            found = (part.status, part.body == full.body[start:end], part["Content-Range"])
            if found != (206, True, f"bytes {start}-{end - 1}/{size}"):
                wrong[text] = found
            head = web("HEAD", path, headers={"Range": f"bytes={text}"})
            if (head.status, head["Content-Length"], head.body) != (206, str(end - start), b""):
                wrong["HEAD " + text] = (head.status, head["Content-Length"])
        for text in (f"{size}-", f"{size + 5}-{size + 9}", "-0"):
            part = web("GET", path, headers={"Range": f"bytes={text}"})
            if (part.status, part["Content-Range"], part.code) != (416, f"bytes */{size}", "REEL_ERR_3014"):
                wrong[text] = (part.status, part["Content-Range"])
        # What is no range, or several, is answered with everything (RFC 9110 14.2).
        for text in ("bytes=5-2", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "bytes=", "bytes=--1"):
            part = web("GET", path, headers={"Range": text})
            if part.status != 200 or part.body != full.body:
                wrong[text] = part.status
        for tag, status in ((full["ETag"], 206), ('"x"', 200), (f"W/{full['ETag']}", 200)):
            part = web("GET", path, headers={"Range": "bytes=1-2", "If-Range": tag})
            if part.status != status:
                wrong["If-Range " + tag] = part.status
        same = web("GET", path, headers={"If-None-Match": full["ETag"], "Range": "bytes=1-2"})
        if same.status != 304:
            wrong["If-None-Match with Range"] = same.status
        checks.equal(f"{name}: ranges", wrong, {})


def compression(checks, web):
    """gzip where it helps and is wanted."""
    found = {}
    for wanted, squeezed in [
        ("gzip", True), ("gzip;q=0", False), ("identity", False), ("*", True), ("br, gzip;q=0.5", True),
        ("*;q=0", False), (None, False),
    ]:
        answer = web("GET", "/openapi.json", headers={"Accept-Encoding": wanted} if wanted else {})
        found[wanted] = (answer["Content-Encoding"] == "gzip", "Accept-Encoding" in str(answer.headers.get_all("Vary")))
        if answer.json["openapi"] != "3.1.0" if not squeezed else not gzip.decompress(answer.body):
            found[wanted] = "no content"
        if found[wanted] == (squeezed, True):
            del found[wanted]
    checks.equal("gzip goes by Accept-Encoding", found, {})
    small = web("GET", "/health/live", headers={"Accept-Encoding": "gzip"})
    checks.equal("what is small is not compressed", small["Content-Encoding"], None)


def identity(checks, system, web):
    """Request ids in and out, traces into the events, headers that guard."""
    trace, span, mark = secrets.token_hex(16), secrets.token_hex(8), f"check.{secrets.token_hex(8)}"
    headers = {"X-Request-Id": mark, "traceparent": f"00-{trace}-{span}-01"}
    made = web("POST", "/sessions", DESK, headers)
    checks.equal("a request's id comes back", made["X-Request-Id"], mark)
    event = system.events(made.json["session_id"])[0]
    checks.equal("and stands in the event", event["correlationid"], mark)
    checks.check("with the trace", re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-01", event["traceparent"]), event)
    records = eventually(lambda: [
        r for r in web("GET", f"/audit?session={made.json['session_id']}&limit=10").json["records"]
        if r["request_id"] == mark])
    checks.check("and the record of who did it has the id", records)
    error = web("GET", "/sessions/nothing", headers=headers)
    checks.equal("an error has it, too", (error["X-Request-Id"], error.json["error"]["request_id"]), (mark, mark))
    for bad in ("a b", "x" * 129, "é".encode("utf-8").decode("latin-1"), "<script>", ""):
        found = web("GET", "/health/live", headers={"X-Request-Id": bad})["X-Request-Id"]
        if not found or found == bad:
            checks.check(f"an id that is none is replaced: {bad!r:.20}", False, found)
    ids = {web("GET", "/health/live")["X-Request-Id"] for _ in range(20)}
    checks.equal("ids that nobody gave are all different", len(ids), 20)
    for bad in (f"00-{'0' * 32}-{span}-01", f"00-{trace}-{'0' * 16}-01", f"ff-{trace}-{span}-01", "x"):
        name = web("POST", "/sessions", DESK, {"traceparent": bad}).json["session_id"]
        found = system.events(name)[0]["traceparent"]
        checks.check("a trace that is none becomes a new one",
                     re.fullmatch("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]", found)
                     and trace not in found, found)
    for name, answer in {
        "an answer": made, "an error": error, "401": Web(web.parts.geturl())("GET", "/sessions"),
        "405": web("PATCH", "/sessions"), "404": web("GET", "/x"), "OPTIONS": web("OPTIONS", "/sessions"),
    }.items():
        missing = {k: answer[k] for k, v in GUARDS.items() if answer[k] != v}
        checks.equal(f"headers that guard: {name}", missing, {})
    checks.equal("no HSTS without TLS", made["Strict-Transport-Security"], None)
    path = f"/sessions/{made.json['session_id']}"
    kept = {name: web("GET", name)["Cache-Control"] for name in (path, "/sessions", path + "/events", "/x")}
    checks.equal("a reader alone keeps what has a tag, and nobody the rest", kept, {
        path: "private, no-cache", "/sessions": "no-store", path + "/events": "no-store", "/x": "no-store"})


def connections(checks, web):
    """Connections are kept, and closed when it was asked for."""
    one = b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    found = web.raw(one * 3 + last)
    checks.equal("four requests at once, four answers in order, then the end",
                 found.count(b"HTTP/1.1 200"), 4)
    old = web.raw(b"GET /api/v1/health/live HTTP/1.0\r\n\r\n")
    checks.check("HTTP/1.0 without Host: answered and closed", b" 200 OK" in old.split(b"\r\n")[0], old[:40])
    began = time.monotonic()
    head = (f"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {web.token}\r\n"
            f"Content-Type: {JSON}\r\nConnection: close\r\nExpect: 100-continue\r\n")
    with socket.create_connection((web.parts.hostname, web.parts.port), 30) as wire:
        body = json.dumps(DESK).encode()
        wire.sendall((head + f"Content-Length: {len(body)}\r\n\r\n").encode())
        checks.check("100 Continue comes before the body", wire.recv(100).startswith(b"HTTP/1.1 100"))
        wire.sendall(body)
        found = b""
        while part := wire.recv(1 << 16):
            found += part
        checks.check("and the answer after it", found.startswith(b"HTTP/1.1 201"), found[:60])
    refused = web.raw((head + f"Content-Length: {1 << 40}\r\n\r\n").encode(), 10)
    checks.check("a body that is too large is refused before it is sent",
                 refused.startswith(b"HTTP/1.1 413"), refused[:60])
    checks.check("at once", time.monotonic() - began < 20)


def uploads(checks, system, web, source):
    """A chunk counts once, whatever becomes of its upload; gaps are accounted for."""
    pieces = [source.randbytes(20_000 + number) for number in range(6)]
    session = web.begin()
    digest = lambda piece: hashlib.sha256(piece).hexdigest()
    first = web.chunk(session, 1, pieces[0], sha256=digest(pieces[0]))
    again = web.chunk(session, 1, pieces[0], sha256=digest(pieces[0]))
    other = web.chunk(session, 1, pieces[1])
    wrong = web.chunk(session, 2, pieces[1], sha256=digest(pieces[2]))
    checks.equal("taken, known, refused for other bytes, refused for another digest",
                 [a.status for a in (first, again, other, wrong)], [201, 200, 409, 422])
    # By the second time it may have been stored.
    same = ("chunk_id", "session_id", "sequence_number", "timestamp", "size_bytes")
    checks.equal("the same chunk twice", [again.json[name] for name in same], [first.json[name] for name in same])
    own = f"{session}-mine"
    checks.equal("an id of the caller's own", web.chunk(session, 2, pieces[1], chunk_id=own).status, 201)
    checks.equal("the same number under another id",
                 web.chunk(session, 2, pieces[1], chunk_id=own + "2").status, 409)
    far = [web.chunk(session, number, pieces[2]).status for number in (3 + 64, 3 + 65, 10**8)]
    checks.equal("at most 64 numbers ahead", far, [202, 409, 422])
    together = [0] * 6

    def send(place):
        other = Web(web.parts.geturl(), web.token)
        together[place] = other.chunk(session, 3, pieces[2], sha256=digest(pieces[2])).status

    threads = [threading.Thread(target=send, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checks.equal("six uploads of one chunk at once: one counts", sorted(together), [200] * 5 + [201])
    early = web.chunk(session, 5, pieces[4])
    checks.equal("one that comes early waits", early.status, 202)
    web("POST", f"/sessions/{session}/stop")
    done = eventually(lambda: web("GET", f"/sessions/{session}").json["status"] == "completed", 90)
    checks.check("a session with a gap is completed", done)
    listed = [c["sequence_number"] for c in web("GET", f"/sessions/{session}/chunks").json["chunks"]]
    checks.equal("with what came before the gap", listed, [1, 2, 3])
    stopped = [e["data"] for e in system.events(session) if e["type"] == "SessionStopped"]
    checks.equal("and known to be incomplete", [(e["incomplete"], e["chunk_count"]) for e in stopped], [(True, 3)])
    return session, b"".join(pieces[:3])


def large_upload(checks, system, web, megabytes):
    """A body goes to the disk in pieces, whatever its size."""
    session = web.begin()
    # Stages would take the chunk into memory: they wait.
    web("POST", f"/sessions/{session}/pipeline/pause")
    piece, process = bytes(1 << 20), system.process.pid
    before = resident(process)
    most = before
    connection = web.connect()
    connection.putrequest("POST", f"/api/v1/sessions/{session}/chunks?sequence_number=1"
                          "&timestamp=2026-11-21T10:00:00Z")
    for name, value in (("Authorization", f"Bearer {web.token}"), ("Content-Type", BYTES),
                        ("Content-Length", str(megabytes << 20))):
        connection.putheader(name, value)
    connection.endheaders()
    for _ in range(megabytes):
        connection.send(piece)
        most = max(most, resident(process))
    answer = Answer(connection.getresponse())
    connection.close()
    most = max(most, resident(process))
    checks.equal(f"an upload of {megabytes} MB", answer.status, 201)
    checks.check("takes a fraction of that in memory", most - before < megabytes << 20 >> 1,
                 f"{(most - before) >> 20} MB")
    print(f"web: {megabytes} MB uploaded, {(most - before) >> 10} KB more resident", flush=True)
    web("POST", f"/sessions/{session}/pipeline/resume")
    web("POST", f"/sessions/{session}/stop")


def resident(process):
    """Resident bytes of a process."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * 4096


class SlowBody:
    """An upload that sends a few bytes a second."""

    def __init__(self, web, session):
        self.ended = None
        self.began = time.monotonic()
        self.wire = socket.create_connection((web.parts.hostname, web.parts.port), 30)
        self.wire.sendall(
            f"POST /api/v1/sessions/{session}/chunks?sequence_number=60&timestamp=2026-11-21T10:00:00Z "
            f"HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {web.token}\r\nContent-Type: {BYTES}\r\n"
            "Content-Length: 100000\r\n\r\n".encode())
        self.thread = threading.Thread(target=self.drip, daemon=True)
        self.thread.start()

    def drip(self):
        try:
            while time.monotonic() - self.began < 120:
                self.wire.sendall(b"x" * 10)
                time.sleep(0.5)
        except OSError:
            self.ended = time.monotonic() - self.began
        finally:
            self.wire.close()

    def check(self, checks):
        self.thread.join(125)
        checks.check("a body that hardly comes is broken off after half a minute",
                     self.ended is not None and self.ended > 25, self.ended)

"""Requests that are no proper HTTP, and bodies that are no proper content."""

import json

DESK = {"name": "a desk", "rdp_config": {"host": "desk.example", "username": "anna"}}


def framing(checks, wire, admin):
    """Requests that a proxy and a server could read differently: a refusal, and the end of the connection."""
    inner = b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    head = (
        f"POST /api/v1/sessions HTTP/1.1\r\nAuthorization: Bearer {admin}\r\n"
        "Content-Type: application/json\r\n"
    ).encode()
    host = b"Host: reel\r\n"
    size = b"Content-Length: %d\r\n" % (5 + len(inner))
    cases = {
        "length and chunked": host + size + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        "chunked and length": host + b"Transfer-Encoding: chunked\r\n" + size + b"\r\n0\r\n\r\n" + inner,
        "two lengths": host + b"Content-Length: 5\r\n" + size + b"\r\n12345" + inner,
        "the same length twice": host + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n12345" + inner,
        "a list of lengths": host + b"Content-Length: 5, 5\r\n\r\n12345" + inner,
        "a signed length": host + b"Content-Length: +5\r\n\r\n12345" + inner,
        "a hexadecimal length": host + b"Content-Length: 0x5\r\n\r\n12345" + inner,
        "a length beyond 64 bits": host + b"Content-Length: 18446744073709551621\r\n\r\n12345" + inner,
        "a coding nobody knows": host + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
        "two codings": host
        + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
        + inner,
        "a blank before the colon": host
        + b"Transfer-Encoding : chunked\r\n"
        + size
        + b"\r\n0\r\n\r\n"
        + inner,
        "a folded line": host + b"X: a\r\n Transfer-Encoding: chunked\r\n" + size + b"\r\n0\r\n\r\n" + inner,
        "a bare line feed": host + b"X: a\nTransfer-Encoding: chunked\r\n" + size + b"\r\n0\r\n\r\n" + inner,
        "no host": b"Content-Length: 0\r\n\r\n",
        "two hosts": host + b"Host: other\r\nContent-Length: 0\r\n\r\n",
        "a NUL in a header": host + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
        "a chunk without a size": host + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + inner,
    }
    wrong = {}
    for name, rest in cases.items():
        found = wire.raw(head + rest)
        count = found.count(b"HTTP/1.1 ")
        # libmicrohttpd refuses lengths that are no numbers by itself, and writes the head of that answer
        # twice. What counts is that nothing but refusals comes, then the end: nobody answers the inner one.
        statuses = {line.split(b" ", 2)[1] for line in found.splitlines() if line.startswith(b"HTTP/1.1 ")}
        if not statuses <= {b"400", b"501", b"413"} or b"healthy" in found or not count:
            wrong[name] = (count, found[:60])
    checks.equal(f"{len(cases)} ways to smuggle a request are refused", wrong, {})


def bodies(checks, wire, admin):
    """JSON and uploads that are too much, or nothing that can be read."""
    texts = {
        "nothing": (b"", 400),
        "cut off": (b'{"name": "a', 400),
        "no object": (b"[]", 422),
        "NaN": (b'{"name": NaN}', 400),
        "a number beyond all": (b'{"name": 1e999}', 400),
        "no UTF-8": (b'{"name": "\xff\xfe"}', 400),
        "half a surrogate": (b'{"name": "\\ud800"}', 400),
        "a name twice": (b'{"name": "a", "name": "b"}', 400),
        "a thousand levels": (b'{"a":' * 1000 + b"1" + b"}" * 1000, 400),
        "more behind": (json.dumps(DESK).encode() + b"{}", 400),
        "ten thousand levels": (b"[" * 10000, 400),
        "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(DESK).encode(), 400),
        "too long": (b'{"name": "' + b"a" * 70_000 + b'"}', 413),
        "far too long": (b" " * (2 << 20), 413),
        "a thousand unknown members": (json.dumps({f"m{n}": n for n in range(1000)}).encode(), 422),
    }
    found = {name: wire.api("POST", "/sessions", admin, body)[0] for name, (body, _) in texts.items()}
    checks.equal("bodies that are none", found, {name: status for name, (_, status) in texts.items()})
    checks.equal("XML", wire.api("POST", "/sessions", admin, b"<a/>", kind="application/xml")[0], 415)
    zipped = ["Content-Encoding: gzip"]
    checks.equal(
        "a compressed body", wire.api("POST", "/sessions", admin, b"\x1f\x8b", headers=zipped)[0], 415
    )
    name = wire.api("POST", "/sessions", admin, DESK)[1]["session_id"]
    wire.api("POST", f"/sessions/{name}/start", admin)
    target = f"/sessions/{name}/chunks?sequence_number=1&timestamp=2026-11-21T10:00:00Z"
    kind = "application/octet-stream"
    checks.equal(
        "an upload beyond the limit", wire.api("POST", target, admin, bytes((1 << 20) + 1), kind=kind)[0], 413
    )
    head = (
        f"POST /api/v1{target} HTTP/1.1\r\nHost: reel\r\nAuthorization: Bearer {admin}\r\n"
        f"Content-Type: {kind}\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    ).encode()
    piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    found = wire.raw(head + piece * 17 + b"0\r\n\r\n", ends=False)
    checks.equal("the same without a length", found.split(b" ", 2)[1:2], [b"413"])
    checks.equal("an empty upload", wire.api("POST", target, admin, b"", kind=kind)[0], 422)
    checks.equal(
        "nothing of these is recorded",
        wire.api("GET", f"/sessions/{name}/chunks", admin)[1]["pagination"]["total"],
        0,
    )
    header = [f"X-Long: {'a' * 20_000}"]
    checks.equal("a header that is too large", wire.api("GET", "/sessions", admin, headers=header)[0], 431)
    checks.check(
        "a target that is too long",
        wire.ask("GET", "/api/v1/sessions?project=" + "a" * 9000, admin)[0] in (414, 431),
    )

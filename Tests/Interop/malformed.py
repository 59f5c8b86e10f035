"""Bodies that are no proper content."""

import json

DESK = {"name": "a desk", "rdp_config": {"host": "desk.example", "username": "anna"}}


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
        "the other half": (b'{"name": "\\udc00"}', 400),
        "halves in the wrong order": (b'{"name": "\\udc00\\ud800"}', 400),
        "half a surrogate as bytes": (b'{"name": "\xed\xa0\x80"}', 400),
        "overlong UTF-8": (b'{"name": "\xc0\x80"}', 400),
        "a name twice, spelt in two ways": (b'{"name": "a", "n\\u0061me": "b"}', 400),
        "a control character as a byte": (b'{"name": "a\x01"}', 400),
        "NUL as a byte": (b'{"name": "a\x00"}', 400),
        "a number of ten thousand digits": (b'{"name": ' + b"9" * 10_000 + b"}", 400),
        "a number with a sign": (b'{"name": +1}', 400),
        "a number with zeros before it": (b'{"name": 01}', 400),
        "a comma at the end": (b'{"name": "a",}', 400),
        "a comment": (b'{/* a */}', 400),
        "UTF-16": (json.dumps(DESK).encode("utf-16"), 400),
        "UTF-16 without a mark": (json.dumps(DESK).encode("utf-16-le"), 400),
        "UTF-32": (json.dumps(DESK).encode("utf-32-be"), 400),
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

"""Requests as bytes, each with what it is answered with; and a second opinion on any other.

`CASES` is the table: name, bytes, and what has to be found. A canary, a good request with an id of its own, is
sent right behind each case, and what stands in a body holds a third request, `inner`. Found is written as the
statuses in the order of the answers, then `canary` where that was answered too, then `end` where the connection
was ended before it: `200 canary`, `400 end`. Nobody may ever answer `inner`, nor anything behind an end.

`expected` reads any bytes by the letter of RFC 9110 and 9112 and says what a server may answer.
"""

import re

LIVE = b"/api/v1/health/live"
SINGLE = (b"authorization", b"content-length", b"content-type", b"expect", b"if-range", b"last-event-id",
          b"origin", b"range", b"host")
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HOST = re.compile(rb"(\[[0-9A-Za-z.:_~-]+\]|[0-9A-Za-z._~-]+)(:[0-9]{0,5})?")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
IDENTITY = re.compile(rb"[A-Za-z0-9._-]{1,100}")


def request(name, method=b"GET", target=LIVE, fields=b"", body=b"", version=b"HTTP/1.1"):
    """A whole request with this id."""
    return (method + b" " + target + b" " + version + b"\r\nHost: reel\r\nX-Request-Id: " + name.encode()
            + b"\r\n" + fields + b"\r\n" + body)


CANARY = request("canary", fields=b"Connection: close\r\n")
INNER = request("inner")


def get(fields=b"", body=b"", **more):
    return request("case", fields=fields, body=body, **more)


def post(fields=b"", body=b""):
    # A POST that is refused only after its body was read: the path is there, the method is not.
    return request("case", b"POST", fields=fields, body=body)


def line(first, fields=b"Host: reel\r\n"):
    return first + b"\r\n" + fields + b"\r\n"


def sized(body, field=b"Content-Length: %d\r\n"):
    return post(field % len(body), body)


CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"
BEHIND = END + INNER


def framing():
    """How a body is delimited."""
    yield "a length", sized(INNER), "405 canary"
    yield "a length of nothing", post(b"Content-Length: 0\r\n"), "405 canary"
    yield "a length with zeros before it", sized(INNER, b"Content-Length: 000%d\r\n"), "405 canary"
    yield "a name in capitals", sized(INNER, b"CONTENT-LENGTH: %d\r\n"), "405 canary"
    yield "blanks around a length", sized(INNER, b"Content-Length: \t %d\r\n"), "405 canary"
    yield "a blank behind a length", sized(INNER, b"Content-Length: %d \r\n"), "400 end"
    for what, value in {
        "no digits": b"five", "a sign": b"+5", "a minus": b"-5", "a list": b"5, 5", "a list of the same": b"5,5",
        "a hexadecimal one": b"0x5", "a fraction": b"5.0", "an exponent": b"5e0", "an empty one": b"",
        "an underscore": b"1_0", "digits of another script": "٥".encode(), "quotes": b'"5"', "a blank within": b"1 0",
    }.items():
        yield f"a length that is {what}", post(b"Content-Length: " + value + b"\r\n", b"12345" + INNER), "400 end"
    for value, status in ((1 << 63, 405), ((1 << 64) - 1, 405), (1 << 64, 413), ((1 << 64) + 5, 413), (10**40, 413)):
        # What fits 64 bits is too much of what the path does not take.
        yield f"length {value}", post(b"Content-Length: %d\r\n" % value, b"12345" + INNER), f"{status} end"
    twice = b"Content-Length: 5\r\nContent-Length: %d\r\n"
    yield "two lengths", post(twice % (5 + len(INNER)), b"12345" + INNER), "400 end"
    yield "the same length twice", post(twice % 5, b"12345" + INNER), "400 end"
    yield "chunks", post(CHUNKED, b"5\r\n12345\r\n" + END), "405 end"
    yield "chunks, written large", post(b"TRANSFER-ENCODING: CHUNKED\r\n", b"5\r\n12345\r\n" + END), "405 end"
    yield "chunks, and another request behind them", post(CHUNKED, BEHIND), "405 end"
    size = b"Content-Length: %d\r\n" % (len(BEHIND))
    yield "length and chunked", post(size + CHUNKED, BEHIND), "400 end"
    yield "chunked and length", post(CHUNKED + size, BEHIND), "400 end"
    yield "chunked and a length that is none", post(CHUNKED + b"Content-Length: x\r\n", BEHIND), "400 end"
    for what, value, status in [
        ("twice", b"chunked, chunked", 501), ("behind another", b"gzip, chunked", 501),
        ("before another", b"chunked, identity", 501), ("none", b"identity", 501), ("empty", b"", 501),
        ("unknown", b"xchunked", 501), ("in quotes", b'"chunked"', 501), ("with a parameter", b"chunked;q=1", 501),
        ("with a comma", b"chunked,", 501), ("behind a comma", b",chunked", 501), ("cut", b"chunke", 501),
        ("with the sign for Kelvin", "chun\u212aed".encode(), 501), ("with a blank behind", b"chunked ", 400),
        ("with a tab behind", b"chunked\t", 400), ("with a soft hyphen", "chun\u00adked".encode(), 501),
    ]:
        yield f"a coding {what}", post(b"Transfer-Encoding: " + value + b"\r\n", BEHIND), f"{status} end"
    yield "two codings", post(CHUNKED + b"Transfer-Encoding: identity\r\n", BEHIND), "501 end"
    yield "the same coding twice", post(CHUNKED + CHUNKED, BEHIND), "501 end"
    for code in [*range(0x20), 0x7F]:
        if code != 0x09:
            for where, value in (("behind", b"chunked%c" % code), ("before", b"%cchunked" % code),
                                 ("within", b"chun%cked" % code)):
                yield (f"a coding with {code:#04x} {where}",
                       post(b"Transfer-Encoding: " + value + b"\r\n", BEHIND), "400 end")
    yield "a coding with NUL and a line feed behind", post(b"Transfer-Encoding: chunked\0\n", BEHIND), "400 end|405 end"
    old = request("case", b"POST", version=b"HTTP/1.0", fields=CHUNKED, body=BEHIND)
    yield "chunked in HTTP/1.0", old, "400 end"
    yield "a body that GET does not have", get(b"Content-Length: %d\r\n" % len(INNER), INNER), "200 end"
    yield "chunks that GET does not have", get(CHUNKED, BEHIND), "200 end"
    yield "a body that HEAD does not have", request(
        "case", b"HEAD", fields=b"Content-Length: %d\r\n" % len(INNER), body=INNER), "200 end"


def chunks():
    """What stands between chunks: whatever is taken there, nothing behind it is answered."""
    for what, body, status in [
        ("a size that is none", b"zz\r\n" + BEHIND, 400), ("an empty size", b"\r\n" + BEHIND, 400),
        ("a sign", b"+1\r\na\r\n" + BEHIND, 400), ("0x", b"0x1\r\na\r\n" + BEHIND, 400),
        ("a blank behind the size", b"1 \r\na\r\n" + BEHIND, 400), ("a blank before it", b" 1\r\na\r\n" + BEHIND, 400),
        ("more than its size", b"1\r\nab\r\n" + BEHIND, 400), ("less than its size", b"3\r\na\r\n" + BEHIND, 400),
        ("a size that takes half of a line's end", b"2\r\na\r\n" + BEHIND, 405),
        ("a size beyond 64 bits", b"1" + b"0" * 16 + b"\r\na\r\n" + BEHIND, 413),
        ("zeros before the size", b"0001\r\na\r\n" + BEHIND, 405), ("an extension", b"1;a=b\r\na\r\n" + BEHIND, 405),
        ("an extension in quotes", b'1;a="\\"b"\r\na\r\n' + BEHIND, 405),
        ("an extension with a carriage return", b"1;a\rb\r\na\r\n" + BEHIND, 405),
        ("bare line feeds", b"1\na\n0\n\n" + INNER, 405), ("a line feed in an extension", b"1;\na\r\n" + BEHIND, 405),
        ("a trailer", b"0\r\nX-A: b\r\n\r\n" + INNER, 405),
        ("a length in the trailer", b"0\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER, 405),
        ("a coding in the trailer", b"0\r\nTransfer-Encoding: chunked\r\n\r\n" + INNER, 405),
        ("a trailer that is none", b"0\r\nfoo\r\n\r\n" + INNER, 400),
    ]:
        yield f"chunks with {what}", post(CHUNKED, body), f"{status} end"
    for count in (33, 100, 300, 370, 380, 381, 382, 383, 384, 385, 400, 1000):
        body = b"0\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(count)) + b"\r\n"
        yield f"{count} trailers", post(CHUNKED, body + INNER), "431 end"


def lines():
    """First lines and fields."""
    yield "a request", get(), "200 canary"
    yield "empty lines before it", b"\r\n\r\n" + get(), "200 canary"
    yield "HTTP/1.0", request("case", version=b"HTTP/1.0"), "200 end"
    yield "HTTP/1.0 without a host", line(b"GET " + LIVE + b" HTTP/1.0", b""), "200 end"
    for version, status in ((b"HTTP/1.2", 505), (b"HTTP/2.0", 505), (b"HTTP/0.9", 505), (b"http/1.1", 400),
                            (b"HTTP/1.1x", 400), (b"HTTP/11", 400), (b"HTTP/01.1", 400), (b"HTTP/1.1\0", 400),
                            (b"HTTP /1.1", 400), (b"ICY/1.1", 400), (b"HTTP/1.1\r", 400)):
        yield f"version {version!r}", line(b"GET " + LIVE + b" " + version), f"{status} end"
    yield "no version", line(b"GET " + LIVE), "400 end"
    # libmicrohttpd closes without a word what it can't take for a line of HTTP at all.
    yield "one word", line(b"GET"), "400 end"
    yield "a preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 end"
    yield "two blanks before the target", line(b"GET  " + LIVE + b" HTTP/1.1"), "400 end"
    yield "two blanks behind the target", line(b"GET " + LIVE + b"  HTTP/1.1"), "400 end"
    yield "a blank behind the version", line(b"GET " + LIVE + b" HTTP/1.1 "), "400 end"
    yield "a tab for a blank", line(b"GET\t" + LIVE + b" HTTP/1.1"), "400 end"
    yield "a blank before the method", line(b" GET " + LIVE + b" HTTP/1.1"), "400 end"
    yield "a bare line feed behind the first line", b"GET " + LIVE + b" HTTP/1.1\nHost: reel\r\n\r\n", "400 end"
    for method in (b"get", b"X-Y", b"M" * 4000):
        yield f"method {method[:9]!r}", request("case", method), "405 canary"
    for method in (b"G@T", b"G/T", b"GE\0T", b"GE\x01T", "GÉT".encode(), b'"GET"'):
        yield f"method {method!r}", request("case", method), "400 end"
    for what, fields in {
        "a blank before the colon": b"X-A : b\r\n", "a tab before the colon": b"X-A\t: b\r\n",
        "a blank before the name": b" X-A: b\r\n", "no colon": b"X-A\r\n", "no name": b": b\r\n",
        "a folded line": b"X-A: b\r\n c\r\n", "a line folded with a tab": b"X-A: b\r\n\tc\r\n",
        "a line folded with nothing": b"X-A: b\r\n \r\n", "a name in two lines": b"X-\r\n A: b\r\n",
        "a bare line feed": b"X-A: b\nX-B: c\r\n", "a bare line feed at the end": b"X-A: b\n",
        "a bare carriage return": b"X-A: b\rX-B: c\r\n", "two carriage returns": b"X-A: b\r\r\n",
        "NUL in a value": b"X-A: b\0c\r\n", "NUL at a value's end": b"X-A: b\0\r\n", "NUL alone": b"X-A:\0\r\n",
        "NUL in a name": b"X\0A: b\r\n", "a bracket in a name": b"X(A): b\r\n", "a letter beyond ASCII in a name":
        "X-É: b\r\n".encode(), "DEL": b"X-A: \x7f\r\n", "ESC": b"X-A: \x1b[2J\r\n",
        "a coding behind a line feed": b"X-A: b\nTransfer-Encoding: chunked\r\n",
        "a coding in a folded line": b"X-A: b\r\n Transfer-Encoding: chunked\r\n",
        "a name with a blank that hides a coding": b"Transfer-Encoding : chunked\r\n",
    }.items():
        yield what, get(fields), "400 end"
    yield "the header's end without a carriage return", b"GET " + LIVE + b" HTTP/1.1\r\nHost: reel\r\n\n", "400 end"
    # Where these come in pieces nobody can tell them from lawful ends: the connection ends behind them.
    for what, end in (("NUL and a line feed", b"\0\n"), ("a colon and a line feed", b":\n")):
        yield f"{what} for a line's end", get(b"X-A: b" + end + b"X-B: c\r\n"), "400 end|200 end"
        yield f"{what} for an empty line", get(end + INNER), "400 end|200 end"
    yield "letters beyond ASCII in a value", get("X-A: é\r\n".encode()), "200 canary"
    yield "bytes that are no text in a value", get(b"X-A: \xff\xfe\r\n"), "200 canary"
    yield "a tab in a value", get(b"X-A: b\tc\r\n"), "200 canary"
    yield "an empty value", get(b"X-A:\r\nX-B: \t\r\n"), "200 canary"
    for name in ("Authorization", "Content-Type", "Range", "If-Range", "Expect", "Origin", "Last-Event-ID"):
        fields = f"{name}: 100-continue\r\n{name}: 100-continue\r\n".encode()
        yield f"{name} twice", get(fields), "400 end"
    for size in (0, 5):
        expecting = b"Expect: 100-continue\r\nContent-Length: %d\r\n" % size
        yield f"an expectation, {size} bytes", post(expecting, b"x" * size), "405 end" if size else "417 end"
    yield "an expectation without a body", get(b"Expect: 100-continue\r\n"), "417 end"
    yield "another expectation", get(b"Expect: tea\r\n"), "417 end"
    yield "two expectations in one", get(b"Expect: 100-continue, tea\r\n"), "417 end"
    yield "a request to go on as HTTP/2", get(
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), "200 canary"
    yield "a request to go on as WebSocket", get(
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), "200 canary"
    yield "Connection: close", get(b"Connection: close\r\n"), "200 end"
    yield "Connection: close among others", get(b"Connection: keep-alive, Close\r\n"), "200 end"


def targets():
    """Hosts and targets."""
    first = b"GET " + LIVE + b" HTTP/1.1"
    for host in (b"reel", b"reel:8087", b"127.0.0.1:8087", b"[::1]:8087", b"a_b.example", b"reel:"):
        yield f"host {host!r}", line(first, b"Host: " + host + b"\r\n"), "200 canary"
    for host in (b"", b"a b", b"a/b", b"u@reel", b"a,b", b"reel:x", b"reel:123456", b"[::1", b"[]", b":80", b"a?b",
                 b"a#b", b"a%00b", "é".encode(), b"a\\b"):
        yield f"host {host!r}", line(first, b"Host: " + host + b"\r\n"), "400 end"
    yield "no host", line(first, b""), "400 end"
    yield "two hosts", line(first, b"Host: reel\r\nHost: other\r\n"), "400 end"
    yield "the same host twice", line(first, b"Host: reel\r\nHost: reel\r\n"), "400 end"
    for target, status in [
        (b"http://reel" + LIVE, "200 canary"), (b"HTTP://REEL" + LIVE, "200 canary"),
        (b"https://reel" + LIVE, "200 canary"), (b"http://other" + LIVE, "400 end"),
        (b"http://u:p@reel" + LIVE, "400 end"), (b"http://reel:80" + LIVE, "400 end"), (b"http://" + LIVE, "400 end"),
        (b"http:" + LIVE, "400 end"), (b"ftp://reel" + LIVE, "400 end"), (b"reel:80", "400 end"), (b"*", "400 end"),
        (b"api/v1/health/live", "400 end"), (b"/" + LIVE, "404 canary"), (LIVE + b"/", "404 canary"),
        (b"/api/v1//health/live", "404 canary"), (b"/api/v1/./health/live", "400 end"),
        (b"/api/v1/x/../health/live", "400 end"), (b"/api/v1/%2e%2E/health", "400 end"), (b"/api/v1/.%2e/x", "400 end"),
        (b"/api/v1%2fhealth/live", "404 canary"), (b"/api/v1/health%2flive", "404 canary"),
        (b"/api/v1/health\\live", "404 canary"), (b"/api/v1/health;a=b/live", "404 canary"), (LIVE + b"%00", "400 end"),
        (LIVE + b"%0a", "400 end"), (LIVE + b"%7f", "400 end"), (LIVE + b"%1b", "400 end"), (LIVE + b"%", "400 end"),
        (LIVE + b"%4", "400 end"), (LIVE + b"%zz", "400 end"), (LIVE + b"%c0%ae", "400 end"),
        (LIVE + b"%c0%80", "400 end"), (LIVE + b"%ff", "400 end"), (LIVE + b"%ed%a0%80", "400 end"),
        (LIVE + b"%f4%90%80%80", "400 end"), (LIVE + b"%e0%80%af", "400 end"), (LIVE + b"\xff", "400 end"),
        (LIVE + b"#a", "400 end"), (LIVE + b"?a#b", "400 end"), (LIVE + b"?a b", "400 end"),
        (LIVE + b"\0?a", "400 end"), (LIVE + b"?a\0b", "400 end"), (LIVE + b"?a\x01b", "400 end"),
        (LIVE + b"\r?a", "400 end"), (LIVE + b"?a\tb", "400 end"), (LIVE + b"?a=%", "400 end"),
        (LIVE + b"?a=%c3%28", "400 end"), (LIVE + b"?%c0%80=a", "400 end"), (LIVE + b"?", "200 canary"),
        (LIVE + b"?a", "200 canary"), (LIVE + b"?a=b&c=%26%3d+%20", "200 canary"), (LIVE + b"?=&&=", "200 canary"),
        (LIVE + b"??/../", "200 canary"), ("/api/v1/health/é".encode(), "404 canary"),
    ]:
        yield f"target {target!r}", request("case", target=target), status


def crowds():
    """As many of everything as fit, and more: an answer at once."""
    for count in (99, 100, 300, 450, 480, 490, 500, 510, 1000, 4000, 8000):
        for item in (b"", b"a", b"=", b"a=b"):
            if (len(item) + 1) * count < 8000:
                yield (f"{count} times {item!r} in a query",
                       request("case", target=LIVE + b"?" + b"&".join([item] * count)),
                       "200 canary" if count <= 100 else "400 end")
    yield "a target that is too long", request("case", target=LIVE + b"?" + b"a" * 9000), "414 end"
    yield "one that is far too long", request("case", target=LIVE + b"?" + b"a" * 90000), "414 end"
    for count in (20, 100, 130, 200, 300, 375, 380, 381, 382, 383, 384, 385, 390, 400, 500, 1000):
        fields = b"".join(b"X-%d: a\r\n" % number for number in range(count))
        yield f"{count} fields", get(fields), "200 canary" if count <= 100 else "431 end"
    for count in (20, 60, 300, *range(425, 485, 7), 500, 530, 560, 1000, 3000):
        for item in (b";", b"a=b;"):
            yield (f"{count} cookies {item!r}", get(b"Cookie: " + item * count + b"\r\n"),
                   "200 canary" if count <= 60 else "431 end")
    yield "a value of 3500 bytes", get(b"X-A: " + b"a" * 3500 + b"\r\n"), "200 canary"
    # More than 4 KiB: the connection ends behind it.
    for size in (4100, 8000, 16000):
        yield f"a value of {size} bytes", get(b"X-A: " + b"a" * size + b"\r\n"), "200 end"
    for size in (16400, 20000, 27000, 28000, 28200, 28400, 28600, 30000, 100000):
        yield f"a value of {size} bytes", get(b"X-A: " + b"a" * size + b"\r\n"), "431 end"
        yield f"a name of {size} bytes", get(b"X" * size + b": a\r\n"), "431 end"
        yield f"a cookie of {size} bytes", get(b"Cookie: " + b"a" * size + b"\r\n"), "431 end"
    yield "a long method", request("case", b"M" * 40000), "414 end"


CASES = [row for part in (framing, chunks, lines, targets, crowds) for row in part()]


def expected(data):
    """What a server may answer to bytes: the ids of the requests that are lawful, in order (None where one has
    none of its own), and how it goes on: `end` where the last one ends the connection, `waits` where its body is
    not whole, `refused` where the next one is not lawful, `open` where nothing is left.

    By libmicrohttpd's grace an empty line before a request may end with a line feed alone, and a line that
    begins with NUL is an empty one, whatever follows in it: it is passed over, and nobody answers it."""
    ids = []
    while True:
        data = re.sub(rb"\A(\r\n|\n|\0[^\r\n]*\r?\n)+", b"", data)
        if not data:
            return ids, "open"
        head = re.match(rb"((?:[^\r\n\0]+\r\n)+)\r\n", data)
        if not head:
            return ids, "refused"
        first, *fields = head.group(1).split(b"\r\n")[:-1]
        lawful = read_head(first, fields)
        if lawful is None:
            return ids, "refused"
        name, length, ends = lawful
        data = data[head.end():]
        ids.append(name)
        if len(data) < length:
            return ids, "waits"
        if ends:
            return ids, "end"
        data = data[length:]


def read_head(first, lines):
    """Id, length of the body, and whether the connection ends with it; None where it is not lawful."""
    parts = re.fullmatch(rb"([^ ]+) ([^ ]+) HTTP/1\.([01])", first)
    if not parts or not TOKEN.fullmatch(parts[1]) or not lawful_target(parts[1], parts[2]):
        return None
    old, fields = parts[3] == b"0", {}
    for text in lines:
        name, colon, value = text.partition(b":")
        if not colon or not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
            return None
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
        if name.lower() in (b"transfer-encoding", b"content-length") and value != value.rstrip(b" \t"):
            return None
    if any(len(fields.get(name, [])) > 1 for name in SINGLE) or (b"host" not in fields and not old):
        return None
    host = fields.get(b"host", [b"reel"])[0]
    absolute = re.match(rb"https?://([^/?]*)", parts[2], re.I)
    if not HOST.fullmatch(host) or (absolute and absolute[1].lower() != host.lower()):
        return None
    codings, lengths = fields.get(b"transfer-encoding", []), fields.get(b"content-length", [])
    if codings and (old or lengths or [c.lower() for c in codings] != [b"chunked"]):
        return None
    if lengths and not re.fullmatch(rb"[0-9]{1,19}", lengths[0]):
        return None
    length = int(lengths[0]) if lengths else 0
    expectation = fields.get(b"expect", [])
    if expectation and (expectation[0].lower() != b"100-continue" or not (length or codings)):
        return None
    options = {word.strip().lower() for value in fields.get(b"connection", []) for word in value.split(b",")}
    given = fields.get(b"x-request-id", [])
    name = given[0].decode() if len(given) == 1 and IDENTITY.fullmatch(given[0]) else None
    # What is between chunks is not looked at: the request is answered, or refused without its id.
    name = None if codings else name
    # Who waits to be told to go on is refused at once, and can't be understood any more if it goes on anyway.
    ends = bool(codings or expectation) or b"close" in options or (old and b"keep-alive" not in options)
    return name, length, ends or (length > 0 and parts[1] not in (b"POST", b"PUT", b"PATCH"))


def lawful_target(method, target):
    if target == b"*":
        return method == b"OPTIONS"
    if not target.startswith(b"/") and not re.match(rb"https?://[^/?]", target, re.I):
        return False
    if b"#" in target or re.search(rb"[\0-\x20\x7f]|%(?![0-9A-Fa-f]{2})", target):
        return False
    path, _, query = re.sub(rb"(?i)^https?://[^/?]*", b"", target).partition(b"?")
    decode = lambda text: re.sub(rb"%(..)", lambda found: bytes.fromhex(found[1].decode()), text)
    for part in path.split(b"/"):
        if decode(part) in (b".", b"..") or re.search(rb"[\0-\x1f\x7f]", decode(part)):
            return False
    if query.count(b"&") >= 100:
        return False
    try:
        return all(decode(part).decode() is not None for part in re.split(rb"[/?&=]", target))
    except UnicodeDecodeError:
        return False

#!/usr/bin/env python3
"""Requests that two readers could read in two ways, as bytes over plain and over encrypted connections.

`framing.py` has the table, and a second opinion on what chance makes of lawful requests. The first answer that
says so ends a connection: libmicrohttpd writes the head of some refusals of its own twice, and what is behind
an end is looked at for answers to others alone. REEL_WIRE_REQUESTS makes more by chance than the usual 3000.
"""

import collections
import contextlib
import os
import random
import re
import socket
import ssl
import sys
import urllib.parse

import framing
from kit import UNLIMITED, Checks, System, Workspace, seed_of
from web_tls import Authority, Gateway

checks = Checks("wire")
Answer = collections.namedtuple("Answer", "status name ends")
CONTROLS = [*range(0x20), 0x7F]


class Wire:
    """One server's connections."""

    def __init__(self, url, context=None):
        parts = urllib.parse.urlsplit(url)
        self.place, self.context = (parts.hostname, parts.port), context

    def exchange(self, pieces):
        """Everything that comes back until the server closes the connection; None when it does not."""
        with socket.create_connection(self.place, 20) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = self.context.wrap_socket(plain, server_hostname=self.place[0]) if self.context else plain
            found = b""
            try:
                # What is sent after the server has closed comes back as an error, before what was answered.
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    for piece in pieces:
                        wire.sendall(piece)
                while part := wire.recv(1 << 16):
                    found += part
            except TimeoutError:
                return None
            except (ConnectionError, ssl.SSLError):
                # The end of a connection with bytes that nobody has read.
                pass
            return found


def answers(found, to_head=False):
    """The answers up to the first that ends the connection, and whether nothing is answered behind it."""
    list_, rest = [], found
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 ([0-9]{3}) ", head)
        if not status:
            return list_ + [Answer("garbage", head[:40], True)], rest
        fields = {}
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip()
        if status[1] == b"100":
            continue
        length = 0 if status[1] in (b"204", b"304") or to_head else int(fields.get(b"content-length", b"0"))
        ends = fields.get(b"connection", b"").lower() == b"close"
        list_.append(Answer(status[1].decode(), fields.get(b"x-request-id", b"").decode("latin-1"), ends))
        if ends:
            return list_, rest[length:]
        rest = rest[length:]
    return list_, b""


def told(found, to_head=False):
    """What was found, in the words of the table."""
    if found is None:
        return "no answer"
    list_, rest = answers(found, to_head)
    words = ["canary" if a.name == "canary" else "INNER" if a.name == "inner" else a.status for a in list_]
    if re.search(rb"X-Request-Id: (canary|inner)", rest):
        words.append("MORE")
    return " ".join(words if "canary" in words else words + ["end"])


def table(name, wire, source, cases):
    """The table, each case at once and in pieces of any sizes."""
    wrong = {}
    for case, data, wanted in cases:
        whole = data + framing.CANARY
        cuts = sorted(source.sample(range(1, len(whole)), 3))
        in_pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)])]
        # A header that comes in pieces, or is long, is answered, and nothing behind it.
        for pieces, lawful in (([whole], {wanted.split("|")[0]}),
                               (in_pieces, {*wanted.split("|"), wanted.replace("canary", "end")})):
            found = told(wire.exchange(pieces), data.startswith(b"HEAD"))
            # What has no line of HTTP at all may be closed without a word.
            if found not in lawful and not (found == "end" and "400 end" in lawful):
                wrong[case] = f"{found}, expected {wanted}"
    checks.equal(f"{name}: {len(cases)} requests, each in two ways", wrong, {})


def every_control(wire):
    """Each control character at each place of a header: refused, or lawful there, and nothing else answered."""
    good = framing.get(b"X-A: b\r\n")
    wrong = {}
    for place in range(len(good)):
        for code in CONTROLS:
            data = good[:place] + bytes([code]) + good[place:] + framing.CANARY
            judge(wrong, data, wire)
    checks.equal("every control character at every place of a header", wrong, {})


def judge(wrong, data, wire):
    """Whether what comes back is what a server may answer to bytes that end with the canary."""
    ids, goes_on = framing.expected(data)
    if goes_on == "waits":
        return
    found = wire.exchange([data])
    if found is None:
        wrong[data] = f"no answer, expected {ids} {goes_on}"
        return
    list_, rest = answers(found, data.startswith(b"HEAD"))
    names = [answer.name for answer in list_]
    lawful = len(list_) >= len(ids) and all(n in (None, name) for n, name in zip(ids, names))
    refused = list_[len(ids):]
    if goes_on == "refused":
        # One refusal, or the end without a word.
        lawful = lawful and len(refused) <= 1 and all(int(a.status) >= 400 for a in refused)
    elif refused or (goes_on == "end" and not (list_ and list_[-1].ends)):
        lawful = False
    if not lawful or re.search(rb"X-Request-Id: (canary|inner)", rest):
        wrong[data] = f"{list_}, expected {ids} {goes_on}"


def by_chance(name, wire, source, count):
    """Lawful requests, one behind the other, with a few bytes changed."""
    wrong, lawful = {}, 0
    for _ in range(count):
        data = bytearray(b"".join(lawful_request(source, number) for number in range(source.randrange(1, 4))))
        for _ in range(source.choice([0, 1, 1, 1, 2, 3])):
            change(source, data)
        data = bytes(data) + framing.CANARY
        lawful += framing.expected(data)[1] != "refused"
        judge(wrong, data, wire)
    checks.equal(f"{name}: {count} requests made by chance", dict(list(wrong.items())[:3]), {})
    # Neither kind alone would say anything.
    checks.check(f"{name}: some of them lawful, some not", count // 10 < lawful < count * 9 // 10, lawful)


def lawful_request(source, number):
    """A request as clients send it."""
    method = source.choice([b"GET", b"GET", b"POST", b"PUT", b"DELETE"])
    target = framing.LIVE + source.choice([b"", b"?a=b&c", b"?%41=%c3%a9"])
    fields = b"".join(source.sample(
        [b"X-A: b\r\n", b"Accept: */*\r\n", b"Cookie: a=b; c=d\r\n", b"X-Empty:\r\n", b"User-Agent: a (b)\r\n"],
        source.randrange(3)))
    body = b""
    if method in (b"POST", b"PUT") and source.random() < 0.8:
        body = source.choice([b"12345", framing.INNER, b"0\r\n\r\n" + framing.INNER])
        fields += b"Content-Length: %d\r\n" % len(body)
    return framing.request(f"lawful-{number}", method, target, fields, body)


PIECES = [b"\0", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b";", b",", b"\x0b", b"\x7f", b"\xff", b"0", b"a", b"%00",
          b"\0\n", b"\r\n ", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n",
          b"Transfer-Encoding:\x0bchunked\r\n", b"Content-Length: 0\r\n", b"Expect: 100-continue\r\n"]


def change(source, data):
    """Puts something in, takes something away, or doubles something."""
    place = source.randrange(len(data))
    kind = source.random()
    if kind < 0.4:
        starts = [m.end() for m in re.finditer(rb"\r\n", bytes(data))]
        piece = source.choice(PIECES)
        # Whole lines go where lines begin.
        place = source.choice(starts) if piece.endswith(b"\r\n") and len(piece) > 2 and starts else place
        data[place:place] = piece
    elif kind < 0.7:
        data[place] = source.choice([*CONTROLS, 0x20, 0x3A, 0x80])
    elif kind < 0.85:
        del data[place:place + source.choice([1, 1, 2, 5])]
    else:
        size = source.choice([1, 2, 20])
        data[place:place] = data[place:place + size]


def main():
    source = random.Random(seed_of("wire"))
    authority = Authority("tests")
    count = int(os.environ.get("REEL_WIRE_REQUESTS") or 3000)
    with Workspace("wire") as place, System(place / "data", *UNLIMITED) as system:
        authority.issue(place, "site")
        options = ["--tls-cert", place / "site.pem", "--tls-key", place / "site.key", *UNLIMITED]
        with Gateway(system, place, "gateway", *options) as gateway:
            plain, encrypted = Wire(system.endpoints["api_url"]), Wire(gateway.url, authority.trusted())
            sections = {
                "plain": lambda: table("plain", plain, source, framing.CASES),
                "TLS": lambda: table("TLS", encrypted, source, framing.CASES),
                "controls": lambda: every_control(plain),
                "chance": lambda: by_chance("plain", plain, source, count),
                "chance, TLS": lambda: by_chance("TLS", encrypted, source, count // 10),
            }
            for name in sys.argv[1:] or list(sections):
                with checks.section(name):
                    sections[name]()
        checks.equal("the system is well", told(plain.exchange([framing.CANARY])), "canary")
    checks.finish()


if __name__ == "__main__":
    main()

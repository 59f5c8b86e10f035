#!/usr/bin/env python3
"""The API as the web has it, through the running program: HTTP's own rules, CORS, TLS, tokens of others,
followers that don't read. Arguments name the parts to run; without any all are.
"""

import pathlib
import random
import socket
import sys

from cryptography.hazmat.primitives.asymmetric import rsa

import openapi_document
from kit import UNLIMITED, Checks, System, Workspace, eventually, seed_of
from web_http import (
    SlowBody, Web, compression, conditions, connections, identity, large_upload, methods, ranges, types,
    uploads,
)
from web_live import NeverRead
from web_tls import Authority, Gateway, encrypted
from web_tokens import tokens

checks = Checks("web")
PAGE, OTHER = "https://dashboard.example", "http://localhost:3000"
EXPOSED = {"ETag", "X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
           "Retry-After", "Location", "Content-Range", "Accept-Ranges"}


def words(text):
    return {word.strip() for word in (text or "").split(",")}


def pages(system, web):
    """Which web pages may read answers (CORS)."""
    wanted = {"Access-Control-Request-Method": "PUT",
              "Access-Control-Request-Headers": "authorization, content-type, if-match"}
    stranger = Web(web.parts.geturl())
    for origin in (PAGE, OTHER):
        asked = stranger("OPTIONS", "/sessions/x", headers={"Origin": origin, **wanted})
        allowed = (asked.status, asked["Access-Control-Allow-Origin"],
                   "PUT" in words(asked["Access-Control-Allow-Methods"]),
                   {"Authorization", "Content-Type", "If-Match"} <= words(asked["Access-Control-Allow-Headers"]),
                   bool(asked["Access-Control-Max-Age"]))
        checks.equal(f"preflight from {origin}", allowed, (204, origin, True, True, True))
        read = web("GET", "/sessions", headers={"Origin": origin})
        checks.equal("and the answer can be read", read["Access-Control-Allow-Origin"], origin)
        missing = EXPOSED - words(read["Access-Control-Expose-Headers"])
        checks.equal("with the headers that clients need", missing, set())
        refused = stranger("GET", "/sessions", headers={"Origin": origin})
        checks.equal("a refusal, too", (refused.status, refused["Access-Control-Allow-Origin"]), (401, origin))
    for origin in ("https://evil.example", "https://dashboard.example.evil.example", "null",
                   "http://dashboard.example", "https://dashboard.example:8443", PAGE + "/", ""):
        asked = stranger("OPTIONS", "/sessions", headers={"Origin": origin, **wanted})
        read = web("GET", "/sessions", headers={"Origin": origin})
        found = [name for answer in (asked, read) for name in answer.headers
                 if name.lower().startswith("access-control-")]
        checks.equal(f"nothing for {origin!r}", found, [])
        checks.check("Vary names Origin all the same",
                     all("Origin" in answer.headers.get_all("Vary", []) for answer in (asked, read)))
    # Tokens come in a header that pages set themselves: no cookies, no credentials of the browser's.
    checks.equal("credentials are not allowed", read["Access-Control-Allow-Credentials"], None)
    plain = stranger("OPTIONS", "/sessions", headers={"Origin": PAGE})
    checks.equal("OPTIONS that is no preflight", plain["Access-Control-Allow-Methods"], None)
    for bad in ("dashboard.example", "https://dashboard.example/", "https://a.example,", "https://"):
        done = system.reel("up", "--cors-origins", bad)
        checks.check(f"--cors-origins {bad}: status 2", done.returncode == 2
                     and "--cors-origins" in done.stderr, (done.returncode, done.stderr))


def limited(system, folder):
    """A gateway with narrow limits, one without keys, and one for every page."""
    # A subject of its own, since limits are counted over all gateways.
    other = system.reel("token", "--subject", "nora", "--role", "admin").stdout.decode().strip()
    with Gateway(system, folder, "narrow", "--rate-delete", "2", "--cors-origins", "*") as narrow:
        web = Web(narrow.url, other)
        answers = [web("DELETE", "/sessions/nothing") for _ in range(3)]
        checks.equal("the third of two is refused", [a.status for a in answers], [404, 404, 429])
        last = answers[-1]
        checks.check("Retry-After says when", 1 <= int(last["Retry-After"]) <= 65, last["Retry-After"])
        checks.equal("and the limits stand there",
                     [(a["X-RateLimit-Limit"], a["X-RateLimit-Remaining"]) for a in answers],
                     [("2", "1"), ("2", "0"), ("2", "0")])
        checks.equal("by name", (last.code, last.json["error"]["details"]["category"]),
                     ("REEL_ERR_3010", "temporary"))
        checks.equal("other kinds are free", web("GET", "/sessions").status, 200)
        Web(system.endpoints["api_url"], other)("GET", "/statistics")
        checks.equal("what was asked of one gateway counts at another", web("GET", "/statistics").status, 429)
        any_page = web("GET", "/health", headers={"Origin": "https://any.example"})
        checks.equal("*: for every page", any_page["Access-Control-Allow-Origin"], "*")
    # Not with a folder of keys: on an address that others reach.
    options = ["--address", "0.0.0.0", "--connections", "10", *UNLIMITED]
    with Gateway(system, folder, "keyless", *options, keys=False) as keyless:
        web = Web(keyless.url.replace("0.0.0.0", "127.0.0.1"), other)
        found = {path: web("GET", path).status for path in (
            "/health", "/health/live", "/health/ready", "/sessions", "/metrics", "/status", "/audit", "/events",
            "/statistics")}
        checks.equal("without keys nothing but health answers", found, {
            path: 200 if path.startswith("/health") else 401 for path in found})
        crowded(web)


def crowded(web):
    """As many connections as may be open are; more wait until one of them goes."""
    place = web.parts.hostname, web.parts.port
    held = [socket.create_connection(place, 30) for _ in range(9)]
    checks.equal("the last connection that fits", web("GET", "/health/live").status, 200)
    one_more = socket.create_connection(place, 30)
    one_more.sendall(b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    one_more.settimeout(2)
    try:
        found = one_more.recv(100)
    except OSError:
        found = b""
    checks.equal("one more is not served", found, b"")
    one_more.close()
    for other in held:
        other.close()
    served = eventually(lambda: b" 200 " in web.raw(
        b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 5), 30)
    checks.check("others are when there is room again", served)


def main():
    source = random.Random(seed_of("web"))
    authority = Authority("tests")
    options = ["--chunk-size", "64", "--cors-origins", f"{PAGE}, {OTHER}", *UNLIMITED]
    with Workspace("web") as place, System(place / "data", *options) as system:
        url = system.endpoints["api_url"]
        admin = pathlib.Path(system.endpoints["admin_token_file"]).read_text().strip()
        web, folder = Web(url, admin), system.data / "tokens"
        idle = NeverRead(checks, system, web)
        slow = SlowBody(web, web.begin())
        (place / "tls").mkdir()
        # With RSA there are ciphers without forward secrecy that a server could choose.
        authority.issue(place / "tls", "site", rsa.generate_private_key(65537, 2048))
        gateway = Gateway(system, place / "tls", "gateway", "--tls-cert", place / "tls" / "site.pem",
                          "--tls-key", place / "tls" / "site.key", *UNLIMITED)
        with gateway:
            sections = {
                "followers": idle.write,
                "uploads": lambda: ranges(checks, web, *uploads(checks, system, web, source)),
                "methods": lambda: methods(checks, web, openapi_document.document(), web.begin()),
                "types": lambda: types(checks, web, web.begin()),
                "conditions": lambda: conditions(checks, web, web.begin()),
                "compression": lambda: compression(checks, web),
                "identity": lambda: identity(checks, system, web),
                "connections": lambda: connections(checks, web),
                "large uploads": lambda: large_upload(checks, system, web, 48),
                "pages": lambda: pages(system, web),
                "tokens": lambda: tokens(checks, system, url, folder),
                "TLS": lambda: encrypted(checks, system, place / "tls", authority, gateway, admin),
                "limits": lambda: limited(system, place),
                "slow bodies": lambda: slow.check(checks),
                "followers that were closed": idle.check_end,
            }
            wanted = sys.argv[1:] or list(sections)
            for name in wanted:
                with checks.section(name):
                    sections[name]()
    checks.finish()


if __name__ == "__main__":
    main()

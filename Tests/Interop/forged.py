"""Tokens that must not pass, made with PyJWT and by hand."""

import base64
import hashlib
import hmac
import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kit import eventually


def part(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header, claims, secret):
    message = f"{part(header)}.{part(claims)}"
    return f"{message}.{part(hmac.new(secret, message.encode(), hashlib.sha256).digest())}"


def tokens(checks, system, wire, admin):
    """Tokens that must not pass, beside ones of the same making that must."""
    folder = system.data / "tokens"
    secret = (folder / "embedded.hs256").read_bytes()
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "outside.pem").write_bytes(pem)
    now = int(time.time())
    good = {"iss": "reel", "aud": "reel", "sub": "mallory", "exp": now + 600, "roles": ["admin"]}
    header = {"alg": "HS256", "kid": "embedded", "typ": "JWT"}
    rs256 = lambda claims, kid="outside": jwt.encode(claims, private, "RS256", headers={"kid": kid})

    def status(token):
        return wire.api("GET", "/sessions", token)[0]

    checks.equal("HS256 by hand passes", status(by_hand(header, good, secret)), 200)
    checks.check(
        "RS256 with a key that was put there passes",
        eventually(lambda: status(rs256(good)) == 200, 20),
        status(rs256(good)),
    )
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    whole = by_hand(header, good, secret)
    front, signature = whole.rsplit(".", 1)
    # One whose signature has a letter that the two alphabets write differently.
    other = next(
        token
        for token in (by_hand(header, {**good, "jti": str(n)}, secret) for n in range(1000))
        if "-" in token.rsplit(".", 1)[1]
    )
    bad = {
        "none": f'{part({"alg": "none", "typ": "JWT"})}.{part(good)}.',
        "none with a key's id": f'{part({"alg": "none", "kid": "embedded"})}.{part(good)}.',
        "nOnE": f'{part({"alg": "nOnE"})}.{part(good)}.{signature}',
        "no algorithm": by_hand({"kid": "embedded"}, good, secret),
        "the public key as secret": by_hand({"alg": "HS256", "kid": "outside"}, good, pem),
        "the public key as secret, unnamed": by_hand({"alg": "HS256"}, good, pem),
        "the public key's text as secret": by_hand({"alg": "HS256", "kid": "outside"}, good, pem.strip()),
        "RS256 with the secret's id": rs256(good, "embedded"),
        "a stranger's key": jwt.encode(good, stranger, "RS256", headers={"kid": "outside"}),
        "its own key in the header": by_hand(
            {**header, "jwk": {"kty": "oct", "k": part(b"k" * 32)}}, good, b"k" * 32
        ),
        "a key's address in the header": by_hand({**header, "jku": "http://127.0.0.1:9/"}, good, b"k" * 32),
        "a key id that is a path": by_hand({"alg": "HS256", "kid": "../../../../dev/null"}, good, b""),
        "critical extensions": by_hand({**header, "crit": ["b64"], "b64": False}, good, secret),
        "another audience": by_hand(header, {**good, "aud": "other"}, secret),
        "no audience": by_hand(header, {k: v for k, v in good.items() if k != "aud"}, secret),
        "another issuer": by_hand(header, {**good, "iss": "other"}, secret),
        "no issuer": by_hand(header, {k: v for k, v in good.items() if k != "iss"}, secret),
        "expired": by_hand(header, {**good, "exp": now - 3600}, secret),
        "no expiry": by_hand(header, {k: v for k, v in good.items() if k != "exp"}, secret),
        "an expiry that is text": by_hand(header, {**good, "exp": "never"}, secret),
        "an expiry beyond all years": by_hand(header, {**good, "exp": 1e300}, secret),
        "not valid yet": by_hand(header, {**good, "nbf": now + 3600}, secret),
        "issued in the future": by_hand(header, {**good, "iat": now + 3600}, secret),
        "no subject": by_hand(header, {**good, "sub": ""}, secret),
        "a subject that is a list": by_hand(header, {**good, "sub": ["admin"]}, secret),
        "claims that stand twice": by_hand(
            header,
            b'{"iss":"reel","aud":"reel","sub":"a","sub":"b","exp":%d,"roles":["admin"]}' % (now + 600),
            secret,
        ),
        "a header that stands twice": by_hand(b'{"alg":"none","alg":"HS256","kid":"embedded"}', good, secret),
        "claims that are no JSON": by_hand(header, b"\xff\xfe", secret),
        "claims of a thousand levels": by_hand(header, b'{"a":' * 1000 + b"1" + b"}" * 1000, secret),
        "too large": by_hand(header, {**good, "x": "y" * 9000}, secret),
        "no signature": front + ".",
        "half a signature": front + "." + signature[:20],
        "padding": whole + "=",
        "another alphabet": other.rsplit(".", 1)[0] + "." + other.rsplit(".", 1)[1].replace("-", "+"),
        "four parts": whole + ".e30",
        "one part": "x",
        "nothing": "",
        "blanks inside": whole.replace(".", ". ", 1),
        "bits that don't count": front + "." + signature[:-1] + unused_bits(signature[-1]),
        "another's signature": f"{part(header)}.{part({**good, 'sub': 'admin'})}.{signature}",
    }
    found = {name: status(token) for name, token in bad.items()}
    wrong = {
        name: code
        for name, code in found.items()
        if code not in ((401, 431) if name == "too large" else (401,))
    }
    checks.equal(f"{len(bad)} bad tokens are refused", wrong, {})
    checks.equal(
        "roles that nobody knows allow nothing",
        status(by_hand(header, {**good, "roles": ["root", "ADMIN"]}, secret)),
        403,
    )
    for scheme in ("Basic", "bearer:", "Token"):
        line = f"Authorization: {scheme} {admin}"
        checks.equal(f"{scheme} is no bearer token", wire.api("GET", "/sessions", headers=[line])[0], 401)
    twice = [f"Authorization: Bearer {admin}", "Authorization: Bearer x"]
    checks.check("two tokens are none", wire.api("GET", "/sessions", headers=twice)[0] in (400, 401))
    checks.equal("a token in the query is none", wire.api("GET", f"/sessions?access_token={admin}")[0], 401)
    status, answer = wire.api("GET", "/sessions", bad["expired"])
    checks.check("a refusal does not repeat the token", bad["expired"] not in json.dumps(answer), answer)


def unused_bits(letter):
    """Another letter whose first four bits are the same: 32 bytes leave two bits over."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return letters[letters.index(letter) ^ 1]

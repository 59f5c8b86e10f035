"""Tokens by PyJWT for the API, and tokens of the API for PyJWT; keys that change while requests run."""

import base64
import json
import secrets
import threading
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kit import eventually
from web_http import Web


def pair(kind):
    """A new private key of an algorithm."""
    if kind == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ES256" else ed25519.Ed25519PrivateKey.generate()


def pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def jwk(key, kind, name):
    """The public half in JSON, as PyJWT writes it."""
    made = jwt.get_algorithm_by_name(kind).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": name, "use": "sig", "alg": kind}


def claims(**more):
    now = int(time.time())
    return {"iss": "reel", "aud": "reel", "sub": "ida", "iat": now, "exp": now + 600,
            "roles": ["session_viewer"], **more}


def status(url, token):
    return Web(url, token)("GET", "/sessions").status


def put(path, content):
    """As a rotation does: the whole file at once."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.chmod(0o600)
    new.rename(path)


def minted_elsewhere(checks, url, folder):
    """PyJWT signs, Reel believes it: every algorithm, keys in PEM and in JSON."""
    shared = secrets.token_bytes(48)
    put(folder / "shared.hs256", shared)
    signers = [("HS256", "shared", shared)]
    members = []
    for kind in ("RS256", "ES256", "EdDSA"):
        in_pem, in_json = pair(kind), pair(kind)
        put(folder / f"pem-{kind}.pem", pem(in_pem))
        members.append(jwk(in_json, kind, f"set-{kind}"))
        signers += [(kind, f"pem-{kind}", in_pem), (kind, f"set-{kind}", in_json)]
    members.append({"kty": "oct", "kid": "set-HS256", "alg": "HS256",
                    "k": base64.urlsafe_b64encode(shared[::-1]).rstrip(b"=").decode()})
    signers.append(("HS256", "set-HS256", shared[::-1]))
    put(folder / "set.jwks.json", json.dumps({"keys": members}).encode())
    last = jwt.encode(claims(), *signers[-1][::-2], headers={"kid": signers[-1][1]})
    eventually(lambda: status(url, last) == 200, 30)
    for kind, name, key in signers:
        named = jwt.encode(claims(), key, kind, headers={"kid": name})
        plain = jwt.encode(claims(aud=["other", "reel"]), key, kind)
        swapped = jwt.encode(claims(), key, kind, headers={"kid": "embedded"})
        checks.equal(f"{kind} by PyJWT, key {name}: with its id, without one, with another's",
                     [status(url, token) for token in (named, plain, swapped)], [200, 200, 401])
    now = int(time.time())
    hs256 = lambda **more: jwt.encode(claims(**more), shared, "HS256", headers={"kid": "shared"})
    checks.equal("a minute of leeway: ended, begins, is issued a little before or after now",
                 [status(url, hs256(**{name: now + by}))
                  for name, by in (("exp", -30), ("nbf", 30), ("iat", 30))], [200] * 3)
    checks.equal("and no more than that",
                 [status(url, hs256(**{name: now + by}))
                  for name, by in (("exp", -90), ("nbf", 300), ("iat", 300))], [401] * 3)
    return signers


def minted_here(checks, system):
    """`reel token` signs, PyJWT believes it."""
    secret = (system.data / "tokens" / "embedded.hs256").read_bytes()
    done = system.reel("token", "--subject", "anna", "--role", "session_operator,auditor",
                       "--project", "apollo,gemini", "--expires", "15m")
    token = done.stdout.decode().strip()
    found = jwt.decode(token, secret, ["HS256"], audience="reel", issuer="reel",
                       options={"require": ["exp", "iat", "sub", "iss", "aud"]})
    checks.equal("reel token, read by PyJWT", (found["sub"], found["roles"], found["projects"]),
                 ("anna", ["session_operator", "auditor"], ["apollo", "gemini"]))
    checks.equal("good for as long as was asked", found["exp"] - found["iat"], 900)
    checks.equal("its key's id", jwt.get_unverified_header(token)["kid"], "embedded")
    try:
        jwt.decode(token, secret[::-1], ["HS256"], audience="reel")
        checks.check("another secret is refused by PyJWT", False)
    except jwt.InvalidSignatureError:
        checks.check("another secret is refused by PyJWT", True)


def rotation(checks, system, url, folder, other):
    """A key follows another while requests run: none fails, and the old one ends when it is gone."""
    old, new = pair("ES256"), pair("ES256")
    put(folder / "turn.jwks.json", json.dumps({"keys": [jwk(old, "ES256", "old")]}).encode())
    token = lambda key, name: jwt.encode(claims(), key, "ES256", headers={"kid": name})
    checks.check("the old key counts", eventually(lambda: status(url, token(old, "old")) == 200, 20))
    present = [token(old, "old")]
    stop, failed, count = threading.Event(), [], [0]

    def ask():
        web = Web(url)
        while not stop.is_set():
            found = web("GET", "/sessions", headers={"Authorization": f"Bearer {present[0]}"}).status
            count[0] += 1
            if found != 200:
                failed.append(found)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    put(folder / "turn.jwks.json", json.dumps(
        {"keys": [jwk(old, "ES256", "old"), jwk(new, "ES256", "new")]}).encode())
    taken = eventually(lambda: status(url, token(new, "new")) == 200, 20)
    present[0] = token(new, "new")
    time.sleep(0.2)
    put(folder / "turn.jwks.json", json.dumps({"keys": [jwk(new, "ES256", "new")]}).encode())
    gone = eventually(lambda: status(url, token(old, "old")) == 401, 20)
    stop.set()
    for thread in threads:
        thread.join()
    print(f"web: {count[0]} requests while keys changed", flush=True)
    checks.check("the new key counts while the old one still does", taken)
    checks.check("the old one ends when it is gone", gone)
    checks.equal("no request failed meanwhile", failed, [])
    checks.check("there were requests all the time", count[0] > 20, count[0])
    put(folder / "turn.jwks.json", b"{")
    checks.check("a file that is damaged has no keys any more",
                 eventually(lambda: status(url, token(new, "new")) == 401, 20))
    checks.check("which is said", eventually(lambda: "turn.jwks.json" in system.log.read_text(), 10))
    checks.equal("and hurts no other file", status(url, other), 200)
    put(folder / "turn.jwks.json", json.dumps({"keys": [jwk(new, "ES256", "new")]}).encode())
    checks.check("it counts again when it is mended",
                 eventually(lambda: status(url, token(new, "new")) == 200, 20))


def tokens(checks, system, url, folder):
    """All of it."""
    kind, name, key = minted_elsewhere(checks, url, folder)[0]
    minted_here(checks, system)
    rotation(checks, system, url, folder, jwt.encode(claims(), key, kind, headers={"kid": name}))

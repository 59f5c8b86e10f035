"""HTTPS through the program: versions, ciphers, certificates, what is wrong with them, and their renewal."""

import contextlib
import datetime
import http.client
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from kit import REEL, environment, eventually, reel
from web_http import DESK, Web

PEM = serialization.Encoding.PEM


class Authority:
    """Somebody who signs certificates for 127.0.0.1."""

    def __init__(self, name):
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.sign(self.key.public_key(), self.name, authority=True)

    def sign(self, public, name, authority=False):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder(
            self.name, name, public, x509.random_serial_number(), now - datetime.timedelta(hours=1),
            now + datetime.timedelta(days=30))
        builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
        uses = {"sign", "cert"} if authority else {"sign"}
        if isinstance(public, rsa.RSAPublicKey):
            uses.add("encipher")
        usage = [name in uses for name in (
            "sign", "commit", "encipher", "data", "agree", "cert", "crl", "only", "off")]
        builder = builder.add_extension(x509.KeyUsage(*usage), critical=True)
        place = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([place]), critical=False)
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        builder = builder.add_extension(identifier, critical=False)
        of_signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return builder.add_extension(of_signer, critical=False).sign(self.key, hashes.SHA256())

    def issue(self, folder, name, key=None):
        """Files with a certificate for 127.0.0.1 and its key; the certificate's serial number."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a gateway")])
        certificate = self.sign(key.public_key(), subject)
        text = key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        for path, content in ((f"{name}.pem", certificate.public_bytes(PEM)), (f"{name}.key", text)):
            new = folder / f"{path}.new"
            new.write_bytes(content)
            new.chmod(0o600)
            new.rename(folder / path)
        return certificate.serial_number

    def trusted(self):
        """A client's context that believes this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.certificate.public_bytes(PEM).decode())
        return context


class Gateway:
    """`reel serve api` beside a running system."""

    def __init__(self, system, folder, name, *options, keys=True):
        self.log, self.ready = folder / f"{name}.log", folder / f"{name}.ready"
        options = [*options, *(["--token-keys", system.data / "tokens"] if keys else [])]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [REEL, "serve", "api", "--data", str(system.data), "--ready-file", str(self.ready),
                 *map(str, options)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment(**system.server_urls()))
        self.url = None

    def wait(self):
        if not eventually(self.ready.exists, 60):
            raise RuntimeError(f"the gateway does not come into service: {self.said()[-600:]}")
        self.url = self.said().split("http port open url=")[1].split()[0]
        return self

    def said(self):
        return self.log.read_text(errors="replace")

    def __enter__(self):
        return self.wait()

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)


def shake(url, context):
    """The connection after a handshake, or the reason why there is none."""
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 30) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=parts.hostname) as wire:
                # With TLS 1.3 a refusal may come after what the client takes for the end.
                wire.sendall(b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if not wire.recv(100).startswith(b"HTTP/1.1 200"):
                    return "no answer", None, None, None
                serial = x509.load_der_x509_certificate(wire.getpeercert(True)).serial_number
                return wire.version(), wire.cipher()[0], wire.selected_alpn_protocol(), serial
        except (ssl.SSLError, ConnectionError) as error:
            return type(error).__name__, None, None, None


def versions(checks, url, authority):
    """TLS 1.2 with forward secrecy and authenticated encryption, or 1.3; nothing else."""
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        context = authority.trusted()
        context.minimum_version = context.maximum_version = version
        found = shake(url, context)
        good = found[0] == name and (
            "GCM" in found[1] or "CHACHA20" in found[1] or "CCM" in found[1]) and (
            name == "TLSv1.3" or found[1].startswith(("ECDHE", "DHE")))
        checks.check(f"{name} with a modern cipher", good, found)
    with contextlib.suppress(AttributeError):
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            context = authority.trusted()
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            checks.check(f"{version.name} is refused", "Error" in shake(url, context)[0], shake(url, context))
    taken = {}
    for name in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384",
                 "DHE-RSA-AES128-SHA256", "NULL-SHA256", "AES128-SHA256", "CAMELLIA256-SHA"):
        context = authority.trusted()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.set_ciphers(f"{name}:@SECLEVEL=0")
        except ssl.SSLError:
            continue
        if "Error" not in (found := shake(url, context))[0]:
            taken[name] = found
    checks.equal("ciphers without forward secrecy or authenticated encryption are refused", taken, {})
    for offer, chosen in ((["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), ([], None)):
        context = authority.trusted()
        if offer:
            context.set_alpn_protocols(offer)
        checks.equal(f"ALPN {offer}", shake(url, context)[2], chosen)
    context = authority.trusted()
    context.set_alpn_protocols(["h2"])
    checks.check("ALPN without HTTP/1.1 is refused", "Error" in shake(url, context)[0], shake(url, context))
    checks.check("an authority nobody knows: the client refuses",
                 "CertVerification" in shake(url, Authority("stranger").trusted())[0])
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 30) as plain:
        plain.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            checks.check("plain HTTP gets no answer", b"HTTP" not in plain.recv(1000))
    if shutil.which("openssl"):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"{parts.hostname}:{parts.port}", "-tls1_2", "-cipher",
             "ALL:COMPLEMENTOFALL:!ECDHE:!DHE:@SECLEVEL=0"], input=b"", capture_output=True, timeout=60)
        checks.check("openssl finds no cipher without forward secrecy",
                     done.returncode != 0 and b"Cipher is (NONE)" in done.stdout, done.stdout[-300:])


def service(checks, url, authority, token):
    """The API as such, over TLS."""
    web = Web(url, token, authority.trusted())
    made = web("POST", "/sessions", DESK)
    checks.equal("a session is made over TLS", made.status, 201)
    checks.check("with HSTS", (made["Strict-Transport-Security"] or "").startswith("max-age=3153600"),
                 made.headers)
    session = made.json["session_id"]
    web("POST", f"/sessions/{session}/start")
    piece = os.urandom(700_000)
    checks.equal("a chunk is uploaded", web.chunk(session, 1, piece).status, 201)
    web("POST", f"/sessions/{session}/stop")
    done = eventually(lambda: web("GET", f"/sessions/{session}").json["status"] == "completed", 90)
    checks.check("and the session completed", done)
    checks.check("the media comes back identical", web("GET", f"/sessions/{session}/media").body == piece)
    sealed = web("GET", f"/sessions/{session}/chunks/{session}-chunk-000001/download?form=sealed")
    part = web("GET", f"/sessions/{session}/chunks/{session}-chunk-000001/download?form=sealed",
               headers={"Range": "bytes=100-600000"})
    checks.check("a file by range, too", part.status == 206 and part.body == sealed.body[100:600001],
                 part.status)
    stream = Web(url, token, authority.trusted())
    stream.connection.request("GET", f"/api/v1/sessions/{session}/events", headers={
        "Accept": "text/event-stream", "Authorization": f"Bearer {token}"})
    answer = stream.connection.getresponse()
    lines = [answer.readline() for _ in range(4)]
    checks.check("events are followed", b"id: 1\n" in lines, lines)
    stream.connection.close()


def renewal(checks, gateway, folder, authority):
    """A new certificate is shown without a restart, and connections go on with the old one."""
    before = shake(gateway.url, authority.trusted())[3]
    kept = Web(gateway.url, None, authority.trusted())
    kept("GET", "/health/live")
    # Half of a renewal: a certificate whose key has not come.
    old_key = (folder / "site.key").read_bytes()
    serial = authority.issue(folder, "next")
    (folder / "next.pem").rename(folder / "site.pem")
    # A connection that nothing goes over for a minute is closed: it is used while others wait.
    said = eventually(lambda: kept("GET", "/health/live") and "not the certificate's key" in gateway.said(), 30)
    checks.check("a certificate without its key is told of", said, gateway.said()[-400:])
    checks.equal("and the old one is shown", shake(gateway.url, authority.trusted())[3], before)
    (folder / "next.key").rename(folder / "site.key")
    shown = eventually(lambda: kept("GET", "/health/live")
                       and shake(gateway.url, authority.trusted())[3] == serial, 30)
    checks.check("the new one is shown when its key is there", shown)
    checks.equal("open connections go on", kept("GET", "/health/live").status, 200)
    checks.check("no key stands in the log", old_key.split(b"\n")[1].decode() not in gateway.said())


def refusals(checks, folder, authority):
    """What can't be used is refused at the start, with the setting that names it."""
    authority.issue(folder, "one")
    authority.issue(folder, "two", rsa.generate_private_key(65537, 2048))
    (folder / "junk.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (folder / "empty.pem").write_text("")
    (folder / "locked.key").write_bytes(rsa.generate_private_key(65537, 2048).private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")))
    (folder / "closed.key").write_bytes((folder / "one.key").read_bytes())
    (folder / "closed.key").chmod(0)
    cases = [
        ("no such certificate", "none.pem", "one.key", "--tls-cert", "No such file"),
        ("no such key", "one.pem", "none.key", "--tls-key", "No such file"),
        ("a certificate that is none", "junk.pem", "one.key", "--tls-cert", "no certificate"),
        ("an empty one", "empty.pem", "one.key", "--tls-cert", "no certificate"),
        ("a key for a certificate", "one.key", "one.key", "--tls-cert", "no certificate"),
        ("a certificate for a key", "one.pem", "one.pem", "--tls-key", "no private key"),
        ("another's key", "one.pem", "two.key", "--tls-key", "not the certificate's key"),
        ("a key with a passphrase", "one.pem", "locked.key", "--tls-key", "passphrase"),
        ("a folder for a key", "one.pem", ".", "--tls-key", "directory"),
    ]
    if os.geteuid() != 0:
        cases.append(("a key that may not be read", "one.pem", "closed.key", "--tls-key", "denied"))
    env = environment(REDIS_URL="redis://127.0.0.1:1", MONGODB_URL="mongodb://127.0.0.1:1")
    for name, certificate, key, setting, word in cases:
        options = ["--tls-cert", folder / certificate, "--tls-key", folder / key]
        for command in (["up"], ["serve", "api"]):
            done = reel(*command, *options, data=folder / "none", env=env, timeout=30)
            checks.check(f"reel {command[0]}: {name}: status 2, and the setting is named",
                         done.returncode == 2 and word in done.stderr
                         and f"reel {command[0]}: {setting} (REEL_TLS_" in done.stderr,
                         (done.returncode, done.stderr))


def encrypted(checks, system, folder, authority, gateway, token):
    """All of it, on a gateway that was started with `site.pem`."""
    for name, part in (
        ("versions", lambda: versions(checks, gateway.url, authority)),
        ("service", lambda: service(checks, gateway.url, authority, token)),
        ("renewal", lambda: renewal(checks, gateway, folder, authority)),
        ("refusals", lambda: refusals(checks, folder, authority)),
    ):
        with checks.section(f"TLS, {name}"):
            part()

"""What the interoperability scripts share: checks, a running system, Redis without a client library.

Nothing here uses Reel's own code: the scripts see the command line and the formats of the design.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
SCHEMAS = REPOSITORY / "schemas"
REEL = os.environ.get("REEL") or str(REPOSITORY / ".build" / "debug" / "reel")
MIB = 1 << 20
# Options of `reel up` that leave nobody over a limit.
UNLIMITED = [
    part
    for kind in (
        "create", "status", "chunks", "bulk", "update", "delete", "pipeline", "statistics", "unauthenticated")
    for part in (f"--rate-{kind}", "10000000")
]


# Of a value that is not what it should be, so many characters are shown.
SHOWN = 1000


def shortened(text, most=SHOWN):
    """The text, without its middle where it is too long: what is wrong may stand at its end."""
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


def differing(found, expected):
    """Both values, without the members of dictionaries that are the same in both."""
    if not (isinstance(found, dict) and isinstance(expected, dict)):
        return found, expected
    same = {name for name in found if name in expected and found[name] == expected[name]}
    return tuple({name: value[name] for name in value if name not in same} for value in (found, expected))


class Checks:
    """Counts and prints one line per check."""

    def __init__(self, script):
        self.script = script
        self.passed = self.failed = 0

    def check(self, name, holds, detail=""):
        """One check; `detail` says what was found where it fails."""
        if holds:
            self.passed += 1
            print(f"PASS {self.script}: {name}", flush=True)
        else:
            self.failed += 1
            text = shortened(" ".join(str(detail).split()), 2 * SHOWN + 40)
            print(f"FAIL {self.script}: {name}{': ' + text if text else ''}", flush=True)
        return bool(holds)

    def equal(self, name, found, expected):
        """A check that two values are the same. Where they are not, what is different of them is shown."""
        if found == expected:
            return self.check(name, True)
        found, expected = differing(found, expected)
        detail = f"found {shortened(repr(found))}, expected {shortened(repr(expected))}"
        return self.check(name, False, detail)

    def skip(self, name, reason):
        print(f"SKIP {self.script}: {name}: {reason}", flush=True)

    @contextlib.contextmanager
    def section(self, name):
        """A part whose exception is one failed check and doesn't end the script."""
        try:
            yield
        except Exception as error:  # whatever it is, it belongs into the report
            self.check(name, False, f"{type(error).__name__}: {error}")

    def finish(self):
        print(f"{self.script}: {self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


def seed_of(script):
    """The seed of random choices: REEL_TEST_SEED, else a new one; printed, so that it can be repeated."""
    seed = int(os.environ.get("REEL_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"{script}: REEL_TEST_SEED={seed}", flush=True)
    return seed


def environment(**more):
    """The environment of the command line, without settings of whoever runs the tests."""
    kept = {"REEL_MONGOD", "REEL_TOOLS"}
    dropped = {"REDIS_URL", "MONGODB_URL", "PORT", "SERVICE_NAME"}
    clean = {
        name: value
        for name, value in os.environ.items()
        if name in kept or not (name in dropped or name.startswith("REEL"))
    }
    clean.update(more)
    return clean


def eventually(condition, seconds=30, every=0.05):
    """Looks until `condition` answers something true; its last answer when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(every)


RESERVED = []


def free_port():
    """A port for a server that is started next, or comes back later. Not one that the system gives to whoever
    asks for any, or to connections that go out (32768 and above). It is kept from everybody else who looks for
    one, as Loopback.reservePort keeps it: by a UDP socket on the same number."""
    source = random.SystemRandom()
    for _ in range(1000):
        port = source.randrange(10_000, 32_000)
        mark = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                mark.bind(("127.0.0.1", port))
            except OSError:
                mark.close()
                continue
        RESERVED.append(mark)
        return port
    raise RuntimeError("no port from 10000 to 31999 is free")


class Workspace:
    """A temporary folder, removed in the end; kept when REEL_INTEROP_KEEP is set."""

    def __init__(self, kind):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"reel-{kind}-"))

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        if os.environ.get("REEL_INTEROP_KEEP"):
            print(f"kept {self.path}")
        else:
            shutil.rmtree(self.path, ignore_errors=True)


def reel(*arguments, data=None, stdin=None, timeout=180, **more):
    """Runs one command to its end; stdout as bytes, stderr as text."""
    command = [REEL, *map(str, arguments)] + (["--data", str(data)] if data else [])
    done = subprocess.run(
        command, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True, timeout=timeout, env=more.pop("env", None) or environment(), **more)
    done.stderr = done.stderr.decode(errors="replace")
    return done


class System:
    """`reel up` on a data folder."""

    def __init__(self, data, *options, env=None):
        self.data = pathlib.Path(data)
        self.options = [str(option) for option in options]
        self.env = env or environment()
        self.log = self.data.parent / f"{self.data.name}.log"
        self.process = None
        self.endpoints = None

    def launch(self):
        """Starts it and waits for nothing."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [REEL, "up", "--data", str(self.data), *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)

    def start(self, seconds=90):
        """Starts it and waits until it is ready."""
        self.launch()
        self.endpoints = eventually(self._ready, seconds)
        if not self.endpoints:
            tail = self.log.read_text(errors="replace")[-1500:]
            status = self.process.poll()
            self.kill()
            raise RuntimeError(f"reel up was not ready within {seconds} s (status {status}): {tail}")
        return self

    def _ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(
                f"reel up ended with {self.process.returncode}: "
                + self.log.read_text(errors="replace")[-1500:])
        try:
            endpoints = json.loads((self.data / "endpoints.json").read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        # A file that a killed predecessor left describes a system that is gone.
        return endpoints if endpoints.get("pid", self.process.pid) == self.process.pid else None

    def reel(self, *arguments, **more):
        return reel(*arguments, data=self.data, **more)

    def stop(self, seconds=60):
        """Ends it as an administrator would; its exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode if self.process else None

    def kill(self):
        """SIGKILL, without a chance to write anything."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.stop()

    def redis(self):
        return Redis(self.endpoints["redis_url"])

    def server_urls(self):
        """Its servers as variables of another process's environment, where no stranger reads passwords."""
        return {
            "REDIS_URL": self.endpoints["redis_url"], "MONGODB_URL": self.endpoints["mongodb_url"],
            "REEL_VAULT_MONGODB_URL": self.endpoints["mongodb_vault_url"]}

    def child(self, program):
        """Process id of a server below `reel up`; None when there is none."""
        parents, names = {}, {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    text = (entry / "stat").read_text()
                    name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:]
                    parents[int(entry.name)] = int(rest.split()[1])
                    names[int(entry.name)] = name
        for pid, name in names.items():
            above = pid
            while above in parents and above != self.process.pid:
                above = parents[above]
            if above == self.process.pid and name.startswith(program):
                return pid
        return None

    def events(self, session):
        """The session's events as the command line prints them."""
        done = self.reel("events", session, "--json")
        if done.returncode != 0:
            raise RuntimeError(f"reel events: status {done.returncode}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def status(self, session):
        """The session's state, folded from its events."""
        status = None
        for event in self.events(session):
            status = {
                "SessionCreated": "created", "SessionPaused": "paused", "SessionResumed": "recording",
                "SessionStopped": "stopped", "SessionProcessing": "processing",
                "SessionCompleted": "completed", "SessionFailed": "failed", "SessionDeleted": "deleted",
            }.get(event["type"], status)
            if event["type"] == "SessionStarted":
                status = event["data"]["status"]
        return status


class Redis:
    """RESP2 over a socket: just enough to read a stream as it is, fields in their order."""

    def __init__(self, url, timeout=30):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 6379), timeout)
        self.input = self.socket.makefile("rb")
        if parts.password:
            self("AUTH", *([parts.username] if parts.username else []), urllib.parse.unquote(parts.password))
        if parts.path.strip("/"):
            self("SELECT", parts.path.strip("/"))

    def __call__(self, *arguments):
        words = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        self.socket.sendall(request)
        return self._answer()

    def _answer(self):
        line = self.input.readline()
        if not line:
            raise ConnectionResetError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.input.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._answer() for _ in range(int(rest))]
        raise RuntimeError(f"not RESP: {line!r}")

    def partitions(self):
        return int(self("HGET", "reel:meta", "partitions"))

    def stream(self, session):
        """The entries of a session in its partition: entry id, and pairs of field and value."""
        key = f"reel:{{p{partition(session, self.partitions()):03d}}}:log"
        entries = []
        for entry, flat in self("XRANGE", key, "-", "+"):
            pairs = list(zip(flat[::2], flat[1::2]))
            if dict(pairs).get(b"partitionkey") == session.encode():
                entries.append((entry.decode(), pairs))
        return entries

    def sessions(self):
        """Every session of the log; records of the audit trail stand in histories of their own."""
        keys = set()
        for number in range(self.partitions()):
            for _, flat in self("XRANGE", f"reel:{{p{number:03d}}}:log", "-", "+"):
                keys.add(dict(zip(flat[::2], flat[1::2]))[b"partitionkey"].decode())
        return {key for key in keys if not key.startswith("audit/")}


def partition(key, count):
    """Where a key's events stand (design 3.1 and part 2)."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % count


def mixed(seed, size, incompressible=0.5):
    """Bytes that are partly text and partly noise, the same for the same seed."""
    source = random.Random(seed)
    parts, length = [], 0
    while length < size:
        block = source.randrange(1, 96 * 1024)
        if source.random() < incompressible:
            part = source.randbytes(block)
        else:
            line = f"{source.randrange(1 << 30)} window moved, key pressed, screen redrawn\n".encode()
            part = line * (block // len(line) + 1)
        parts.append(part)
        length += len(part)
    return b"".join(parts)[:size]


def files_below(folder):
    """Every file below a folder with its size."""
    folder = pathlib.Path(folder)
    return {str(f.relative_to(folder)): f.stat().st_size for f in folder.rglob("*") if f.is_file()}

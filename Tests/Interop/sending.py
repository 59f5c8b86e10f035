"""Senders of streams as processes of their own, which can be frozen, woken and killed; and Recorders beside a
running system."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile

from kit import REEL, environment, eventually
from roles import DESK, Service


class Sender:
    """`curl` that sends what it is fed through a pipe as a recording's stream."""

    def __init__(self, service, session, query="", length=None):
        self.out = tempfile.NamedTemporaryFile()
        framing = [] if length is None else ["-H", f"Content-Length: {length}", "-H", "Transfer-Encoding:"]
        self.process = subprocess.Popen(
            ["curl", "-s", "-o", self.out.name, "-w", "%{http_code}", "-X", "POST", "-T", ".", *framing,
             "-H", f"Authorization: Bearer {service.token}", "-H", "Content-Type: application/octet-stream",
             f"{service.url}/chunks/{session}/process{query}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def send(self, data):
        """Feeds it; whether it still takes anything."""
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
            return True
        except (BrokenPipeError, ValueError):
            return False

    def freeze(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def wake(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def finish(self, seconds=30):
        """Ends its input; the status of the answer, and what it says. Status 0: the connection broke."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.process.stdin.close()
        return self.answer(seconds)

    def answer(self, seconds=30):
        """What is answered although it could still send."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None, {}
        status = int(self.process.stdout.read() or b"0")
        with open(self.out.name, "rb") as file:
            body = file.read()
        return status, json.loads(body) if body.startswith(b"{") else {}


def piped(system, session, *options, **pipes):
    """`reel record -` of a session, fed through a pipe."""
    return subprocess.Popen(
        [REEL, "record", "-", "--name", "n", "--session-id", session, *options, "--data", str(system.data)],
        stdin=subprocess.PIPE, env=environment(), **{"stdout": subprocess.DEVNULL, **pipes})


def in_hand(system, session, count, seconds=30):
    """Whether so many bytes of a chunk that is not full have come to the spool."""
    def look():
        with contextlib.suppress(FileNotFoundError):
            folder = pathlib.Path(system.endpoints["spool"]) / session
            return any(path.stat().st_size >= count for path in folder.glob(".tmp-*"))
        return False
    return eventually(look, seconds)


class Recorder(Service):
    """`reel serve recorder` beside a running system, on the same folders."""

    def __init__(self, system, folder, name, *options):
        self.system, self.options = system, options
        self.log, self.ready = folder / f"{name}.log", folder / f"{name}.ready"
        self.process = None
        super().__init__(None, token_of(system))

    def start(self):
        self.ready.unlink(missing_ok=True)
        places = self.system.endpoints
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [REEL, "serve", "recorder", "--data", str(self.system.data), "--ready-file", str(self.ready),
                 "--spool", places["spool"], "--chunk-store", places["chunk_store"],
                 "--keys", places["keys"], "--token-keys", str(self.system.data / "tokens"),
                 *map(str, self.options)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment(**self.system.server_urls()))
        if not eventually(self.ready.exists, 60):
            raise RuntimeError(f"no recorder: {self.log.read_text(errors='replace')[-800:]}")
        self.url = self.log.read_text(errors="replace").split("http port open url=")[1].split()[0]
        self.url = self.url.removesuffix("/api/v1")
        return self

    def signal(self, number):
        os.kill(self.process.pid, number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(60)


def token_of(system):
    with open(system.endpoints["admin_token_file"], encoding="utf-8") as file:
        return file.read().strip()


def recording(service):
    """A recording that has begun; its id."""
    status, answer = service.ask("POST", "/recordings/start", DESK)
    if status != 201:
        raise RuntimeError(f"start: {status} {answer}")
    return answer["session_id"]


def progress(service, session):
    status, answer = service.ask("GET", f"/recordings/{session}")
    if status != 200:
        raise RuntimeError(f"progress: {status} {answer}")
    return answer["progress"]


def stopped(system, session):
    """What the log says of a session's end; None while it has none."""
    ends = [e["data"] for e in system.events(session) if e["type"] == "SessionStopped"]
    return ends[0] if ends else None


def media(system, session, seconds=60):
    """What the session gives out once it is completed; None when it never is."""
    if not eventually(lambda: system.status(session) == "completed", seconds, 0.1):
        return None
    return system.reel("export", session, "-o", "-").stdout

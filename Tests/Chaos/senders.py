"""Recordings that several senders bring over HTTP: they take over from each other, freeze, wake and die."""

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

from kit import mixed

# A sender that gets no answer for so long tries elsewhere.
PATIENCE_SECONDS = 60
ERRORS = (OSError, ValueError, KeyError)


@dataclasses.dataclass
class Sent:
    """What those who sent a recording know: its source, and how far they were told that it is recorded."""
    session: str
    source: pathlib.Path
    acknowledged: int
    export: pathlib.Path = None


class Places:
    """Where streams are taken: by `reel up`, and by workers that have the role, each at a port of its own."""

    def __init__(self, fleet):
        self.fleet = fleet

    def urls(self):
        found = []
        with contextlib.suppress(*ERRORS):
            endpoints = json.loads((self.fleet.system.data / "endpoints.json").read_bytes())
            found.append(endpoints["recorder_url"].removesuffix("/api/v1"))
        for worker in self.fleet.workers:
            with contextlib.suppress(OSError, IndexError):
                lines = [line for line in worker.log.read_text(errors="replace").splitlines()
                         if "http port open" in line and "role=recorder" in line]
                found.append(lines[-1].split("url=")[1].split()[0].removesuffix("/api/v1"))
        return found

    def token(self):
        endpoints = json.loads((self.fleet.system.data / "endpoints.json").read_bytes())
        return pathlib.Path(endpoints["admin_token_file"]).read_text(encoding="utf-8").strip()


class Stream:
    """One recording: a source, and whoever sends it from where it is told to go on."""

    def __init__(self, places, session, seed, folder):
        self.places, self.session, self.folder = places, session, folder
        self.random = random.Random(seed)
        # No part of it stands in it twice: what is doubled or missing shows.
        pool = mixed(seed, 1 << 20)
        self.source = b"".join(b"%010d" % at + pool[at:at + 1014] for at in range(0, len(pool) - 1024, 1024))
        self.acknowledged, self.senders = 0, []
        self.ending, self.over = threading.Event(), threading.Event()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def is_alive(self):
        return self.thread.is_alive()

    def end_input(self):
        self.ending.set()

    # What it asks of the system.

    def ask(self, method, path, body=None, seconds=20):
        """Status and answer of any place; None when none answers."""
        for url in sorted(self.places.urls(), key=lambda _: self.random.random()):
            try:
                request = urllib.request.Request(url + path, body, method=method, headers={
                    "Authorization": f"Bearer {self.places.token()}", "Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=seconds) as answer:
                    return answer.status, json.loads(answer.read())
            except urllib.error.HTTPError as error:
                with error, contextlib.suppress(*ERRORS):
                    return error.code, json.loads(error.read())
            except ERRORS:
                continue
        return None

    def look(self):
        """The recording's status and next offset, which is what was acknowledged; None when nobody says."""
        found = self.ask("GET", f"/recordings/{self.session}")
        if not found or found[0] != 200:
            return None
        offset = found[1]["progress"]["next_offset"]
        self.told(offset)
        return found[1]["status"], offset

    def told(self, offset):
        with self.lock:
            self.acknowledged = max(self.acknowledged, offset)

    # Its life.

    def _run(self):
        try:
            if self._start():
                while not self.ending.is_set():
                    found = self.look()
                    if found and found[0] != "recording":
                        break
                    if found:
                        self.send(found[1])
                    self.ending.wait(self.random.uniform(0, 0.5))
            self._stop()
        finally:
            for sender in list(self.senders):
                sender.kill()
            self.over.set()

    def _start(self):
        while not self.ending.wait(1):
            found = self._begin()
            # What was begun and not answered is there.
            place = self.look()
            if found and (found[0] == 201 or place and place[0] != "created"):
                return True
            # What was made and not begun, the same request begins.
        return False

    def _begin(self):
        return self.ask("POST", "/recordings/start", json.dumps({
            "session_id": self.session, "name": self.session,
            "rdp_config": {"host": "chaos", "username": "chaos"}}).encode())

    def _stop(self):
        for _ in range(200):
            place = self.look()
            if not place and self.ask("GET", "/recordings?limit=1"):
                return  # it was never made
            if place and place[0] == "created":
                self._begin()  # it was made while it could not be begun, and has an end only then
            found = self.ask("POST", f"/recordings/{self.session}/stop")
            if found and found[0] in (200, 409) and (self.look() or ("recording",))[0] not in (
                    "created", "recording", "paused"):
                self.look()
                return
            time.sleep(0.5)

    def send(self, offset):
        """One sender, from this place on; until it is refused, breaks, or has sent some of it."""
        urls = self.places.urls()
        try:
            token = self.places.token()
        except ERRORS:
            return  # the system is just starting again
        if not urls:
            return
        sender = Sender(
            self.random.choice(urls), token, self.session, offset, self.source[offset:],
            self.random.randrange(1 << 30))
        self.senders.append(sender)
        try:
            if place := sender.run(self.ending):
                self.told(place)
        finally:
            self.senders.remove(sender)

    # What is done to it.

    def second(self):
        """Another sender, beside whoever is at it; whether that could be begun."""
        found = self.look()
        if not found or found[0] != "recording" or not self.senders:
            return False
        threading.Thread(target=self.send, args=(found[1],), daemon=True).start()
        return True

    def running(self):
        return [sender.process.pid for sender in list(self.senders) if sender.process.poll() is None]


class Sender:
    """`curl` that is fed a part of the source."""

    def __init__(self, url, token, session, offset, rest, seed):
        self.rest, self.random = rest, random.Random(seed)
        self.process = subprocess.Popen(
            ["curl", "-s", "--max-time", str(PATIENCE_SECONDS), "-X", "POST", "-T", ".", "-H",
             f"Authorization: Bearer {token}", "-H", "Content-Type: application/octet-stream",
             f"{url}/chunks/{session}/process?offset={offset}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def run(self, ending):
        """Feeds it for a while; the place that it was told, or None."""
        end, at = time.monotonic() + self.random.uniform(1, 15), 0
        try:
            while not ending.is_set() and time.monotonic() < end and at < len(self.rest):
                part = self.rest[at:at + self.random.randrange(1, 20_000)]
                self.process.stdin.write(part)
                self.process.stdin.flush()
                at += len(part)
                ending.wait(self.random.uniform(0, 0.2))
            self.process.stdin.close()
        except (BrokenPipeError, ValueError):
            pass
        with contextlib.suppress(*ERRORS, subprocess.TimeoutExpired):
            said = self.process.communicate(timeout=PATIENCE_SECONDS)[0]
            answer = json.loads(said)
            if "next_offset" in answer:
                return answer["next_offset"]
        self.kill()
        return None

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)


def freeze(fleet, stream, seconds):
    """Stops a sender for a while; another one goes on meanwhile. The process, or None."""
    pids = stream.running()
    if not pids:
        return None
    fleet.stall(pids[0], seconds)
    stream.second()
    return pids[0]


def kill(stream):
    """Kills a sender; the process, or None."""
    for pid in stream.running():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid
    return None

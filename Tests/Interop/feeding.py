"""A recorder that is fed through a pipe: what it got, and what it said."""

import random
import re
import subprocess
import threading

from kit import REEL, environment, mixed

ACKNOWLEDGED = re.compile(r"chunk (\d+) recorded: (\d+) bytes")


class Feed:
    """A recorder that is fed through a pipe, and what it says it has recorded.

    `part_bytes` and `pause_seconds` bound what it gets at once and the waits between.
    """

    def __init__(
            self, system, session, seed, codec, chunk_mb=0.25, part_bytes=100_000, pause_seconds=0.03,
            env=None, prefix=()):
        self.session, self.killed, self.status = session, False, None
        self.fed, self.acknowledged, self.said = bytearray(), {}, []
        self.source = random.Random(seed)
        self.part_bytes, self.pause_seconds = part_bytes, pause_seconds
        self.stopping = threading.Event()
        self.process = subprocess.Popen(
            [*prefix, REEL, "record", "-", "--name", session, "--session-id", session, "--chunk-size",
             str(chunk_mb), "--codec", codec, "--verbose", "--data", str(system.data)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=env or environment())
        self.threads = [
            threading.Thread(target=target, daemon=True) for target in (self._feed, self._listen)]
        for thread in self.threads:
            thread.start()

    def _feed(self):
        pool = mixed(self.source.randrange(1 << 30), 1 << 21)
        try:
            while not self.stopping.is_set():
                at = self.source.randrange(len(pool) - self.part_bytes)
                size = self.source.randrange(1, self.part_bytes)
                part = self.source.randbytes(8) + pool[at:at + size]
                # Before the write: a pipe may take a part of it and break.
                self.fed += part
                self.process.stdin.write(part)
                self.process.stdin.flush()
                self.stopping.wait(self.source.random() * self.pause_seconds)
            self.process.stdin.close()
        except (BrokenPipeError, ValueError):
            pass

    def _listen(self):
        for line in self.process.stderr:
            text = line.decode(errors="replace").rstrip()
            self.said.append(text)
            if found := ACKNOWLEDGED.search(text):
                self.acknowledged[int(found[1])] = int(found[2])

    def is_alive(self):
        return self.process.poll() is None

    def kill(self):
        self.killed = True
        self.process.kill()
        self._end()

    def end_input(self):
        """Ends its input and doesn't wait."""
        self.stopping.set()

    def finish(self, seconds=90):
        """Ends its input and waits until it is done."""
        self.stopping.set()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.said.append(f"did not end within {seconds} s after its input had ended")
            self.process.kill()
        self._end()

    def _end(self):
        self.stopping.set()
        self.status = self.process.wait()
        for thread in self.threads:
            thread.join(10)

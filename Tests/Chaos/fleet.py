"""The processes of a run: `reel up`, further workers on the same servers, recorders. Keeps them going."""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import time

from checker import Inflicted, Told
from feeding import Feed
from kit import MIB, REEL, UNLIMITED, Redis, System, environment, free_port, reel
from senders import Places, Sent, Stream

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
# libfaketime changes the environment of the first program that it is loaded into, and a Swift program finds
# its arguments from there: so another program comes first, which becomes it.
PREFIX = ["/usr/bin/env"]
SERVED_ROLES = ["pipeline", "recorder", "processor", "storage", "projector"]
# Recordings that come over HTTP, at a time.
STREAMS = 2


class Clock:
    """A wall clock of one process that can be stepped; monotonic time goes on as it does."""

    available = FAKETIME.exists()

    def __init__(self, path):
        self.path, self.offset = path, 0
        self.step(0)

    def step(self, seconds):
        self.offset += seconds
        new = self.path.with_suffix(".new")
        new.write_text(f"{self.offset:+d}\n")
        new.replace(self.path)

    def environment(self):
        return environment(
            LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(self.path), FAKETIME_CACHE_DURATION="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
            # Without this it counts waits on the monotonic clock by the wall clock: they end at once.
            FAKETIME_FORCE_MONOTONIC_FIX="0")


class Keeper:
    """A process that is started again whenever it ends, as a service manager does."""

    def __init__(self, name, launch, log):
        self.name, self.launch, self.log = name, launch, log
        self.process = None
        self.asked, self.due = None, 0.0
        self.ends = []

    def tick(self):
        """Notices an end and starts it again, a second later when it was not our doing."""
        if self.process and self.process.poll() is not None:
            status, self.process = self.process.returncode, None
            if self.asked is None or (self.asked == signal.SIGTERM and status != 0):
                lines = self.log.read_text(errors="replace").splitlines() or [""]
                self.ends.append((status, lines[-1][:300]))
                self.due = time.monotonic() + 1
            self.asked = None
        if self.process is None and time.monotonic() >= self.due:
            self.process = self.launch()

    def signal(self, number):
        """Signals the process if it runs; whether it did."""
        if self.process is None or self.process.poll() is not None:
            return False
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.asked = number
        self.process.send_signal(number)
        return True

    def stop(self):
        """Asks the process to end, once: a second signal would end it before it is done."""
        if self.asked != signal.SIGTERM:
            self.signal(signal.SIGTERM)


class Fleet:
    """Everything that was started, so that it can be hurt, healed and ended."""

    def __init__(self, folder, seed, workers, disks):
        self.folder, self.seed, self.disks = folder, seed, disks
        self.source = random.Random(seed)
        self.spool, self.store, self.archive = folder / "spool", folder / "chunks", folder / "archive"
        self.live, self.told, self.stalls = [], [], []
        self.streams, self.sent, self.next_stream = [], [], 0.0
        self.made, self.next_feed = 0, 0.0
        self.inflicted, self.next_retry = Inflicted(), 0.0
        ports = [free_port() for _ in range(2)]
        self.urls, self.serves = (None, None), False
        keys = folder / "data" / "keys"
        # All of them share the folders, and archive what they can as soon as they can.
        self.shared = [
            "--spool", self.spool, "--chunk-store", self.store, "--keys", keys, "--archive", self.archive,
            "--archive-after-events", 10, "--archive-every", 1, "--chunk-size", "0.0625"]
        self.system = System(
            folder / "data", "--redis-port", ports[0], "--mongodb-port", ports[1], *UNLIMITED, *self.shared)
        self.places = Places(self)
        self.up = Keeper("reel up", self._launch_up, self.system.log)
        self.workers = [
            Keeper(f"worker {n}", lambda n=n: self._launch_worker(n), folder / f"worker-{n}.log")
            for n in range(workers)]
        self.clocks = {}

    def start(self):
        """The system first; its workers need a log."""
        for folder in (self.spool, self.store, self.archive):
            folder.mkdir(exist_ok=True)
        if self.disks:
            self.disks.mount(self)
        self.system.start()
        self.up.process = self.system.process
        self.urls = self.system.endpoints["redis_url"], self.system.endpoints["mongodb_url"]
        self.serves = reel("serve", "--help").returncode == 0
        for worker in self.workers:
            worker.tick()

    def _launch_up(self):
        # Stages chained in memory and stages that hand on through the spool take over from each other.
        more = self.source.choice([[], [], ["--no-chaining"], ["--workers", "1"]])
        kept = self.system.options
        self.system.options = kept + more
        self.system.launch()
        self.system.options = kept
        return self.system.process

    def _launch_worker(self, number):
        name = f"worker-{number}"
        where = ["--data", self.folder / name]
        command = ["serve", *SERVED_ROLES] if self.serves else ["up"]
        where += [*UNLIMITED, "--token-keys", self.folder / "data" / "tokens"]
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                [*PREFIX, REEL, *command, *map(str, where + self.shared), "--workers", "1"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._clock(name) | self.system.server_urls())

    def _clock(self, name):
        """The environment of a process with a clock of its own."""
        if not Clock.available:
            return environment()
        if name not in self.clocks:
            self.clocks[name] = Clock(self.folder / f"{name}.clock")
        return self.clocks[name].environment()

    def keep_feeding(self, count):
        """Replaces recorders that have ended; each records for some 10 to 50 seconds."""
        for feed in [feed for feed in self.live if not feed.is_alive()]:
            self.collect(feed)
        while (len(self.live) < count and time.monotonic() >= self.next_feed
               and (self.system.data / "endpoints.json").exists()):
            # On a full disk every one ends at once.
            self.next_feed = time.monotonic() + 0.5
            name = f"chaos-{self.seed}-{self.made}"
            self.made += 1
            codec = ["zstd", "lz4", "none", "gzip"][self.made % 4]
            feed = Feed(
                self.system, name, self.seed + self.made, codec, chunk_mb=0.0625, part_bytes=32_000,
                pause_seconds=0.2, env=self._clock(name), prefix=PREFIX)
            feed.until = time.monotonic() + self.source.uniform(10, 50)
            self.live.append(feed)
        for feed in self.live:
            if time.monotonic() >= feed.until:
                feed.end_input()

    def keep_sending(self, count=STREAMS):
        """Replaces recordings over HTTP that have ended; each lasts for some 20 to 60 seconds."""
        for stream in [stream for stream in self.streams if not stream.is_alive()]:
            self.collect_stream(stream)
        while (len(self.streams) < count and time.monotonic() >= self.next_stream
               and (self.system.data / "endpoints.json").exists()):
            self.next_stream = time.monotonic() + 0.5
            self.made += 1
            stream = Stream(
                self.places, f"stream-{self.seed}-{self.made}", self.seed + self.made, self.folder / "sent")
            stream.until = time.monotonic() + self.source.uniform(20, 60)
            self.streams.append(stream)
        for stream in self.streams:
            if time.monotonic() >= stream.until:
                stream.end_input()

    def collect_stream(self, stream, patience=120):
        """Waits for a recording's end, and keeps what was sent, and what its senders were told."""
        stream.end_input()
        stream.over.wait(patience)
        stream.folder.mkdir(exist_ok=True)
        source = stream.folder / stream.session
        source.write_bytes(stream.source)
        self.sent.append(Sent(stream.session, source, stream.acknowledged))
        if stream in self.streams:
            self.streams.remove(stream)

    def collect(self, feed, patience=90):
        """Waits for a recorder's end, and keeps what it was told and what it said."""
        feed.finish(patience)
        fed = self.folder / "fed" / feed.session
        fed.parent.mkdir(exist_ok=True)
        fed.write_bytes(feed.fed)
        self.told.append(
            Told(feed.session, fed, feed.acknowledged, feed.status, feed.killed, feed.said[-20:]))
        if clock := self.clocks.pop(feed.session, None):
            clock.path.unlink()
        if feed in self.live:
            self.live.remove(feed)

    def stall(self, pid, seconds):
        """SIGSTOP, and SIGCONT when the time is over, if it is still the same process."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self.stalls.append((time.monotonic() + seconds, pid, started(pid)))

    def wake(self, everything=False):
        now = time.monotonic()
        for stall in [s for s in self.stalls if everything or s[0] <= now]:
            self.stalls.remove(stall)
            if started(stall[1]) == stall[2] is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(stall[1], signal.SIGCONT)

    def redis(self, timeout=30):
        return Redis(self.urls[0], timeout)

    def keep_running(self):
        for keeper in [self.up, *self.workers]:
            keeper.tick()

    def tick(self, recorders):
        """What is due now: stalls that are over, processes that ended, recorders to start and to end."""
        self.wake()
        self.keep_running()
        self.keep_feeding(recorders)
        self.keep_sending()

    def heal(self):
        """Undoes every fault that lasts, and lets recorders end."""
        self.wake(everything=True)
        if self.disks:
            self.disks.free(self)
        for each in [*self.live, *self.streams]:
            each.end_input()
        deadline = time.monotonic() + 90
        while any(each.is_alive() for each in [*self.live, *self.streams]) and time.monotonic() < deadline:
            self.keep_running()
            time.sleep(0.2)
        for feed in list(self.live):
            self.collect(feed, patience=1)
        for stream in list(self.streams):
            self.collect_stream(stream, patience=1)

    def retry_parked(self):
        """Has chunks tried again that something in the chunk store kept from being stored."""
        if not self.inflicted.blocked or time.monotonic() < self.next_retry:
            return
        self.next_retry = time.monotonic() + 3
        done = self.system.reel("parked", "list", "--json")
        parked = json.loads(done.stdout)["parked"] if done.returncode == 0 else []
        for session in self.inflicted.blocked & {one["session_id"] for one in parked}:
            self.system.reel("parked", "retry", "--session", session)

    def stop_all(self):
        """Ends all work cleanly, the servers as well; recorders and senders wait."""
        for worker in self.workers:
            worker.stop()
        for worker in self.workers:
            if worker.process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(60)
        self.up.stop()
        if self.up.process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.up.process.wait(60)
            self.system.kill()
            if self.up.process.returncode not in (0, -signal.SIGKILL):
                self.up.ends.append((self.up.process.returncode, "a clean restart"))

    def start_all(self):
        """Starts everything again."""
        self.up.process, self.up.asked = self.system.start().process, None
        self.keep_running()

    def restart(self):
        """Ends all work cleanly and starts it again: what was left unfinished is swept up then."""
        self.stop_all()
        self.start_all()

    def end(self):
        """Ends every process that was started here."""
        self.wake(everything=True)
        for feed in self.live:
            feed.kill()
        for stream in self.streams:
            stream.end_input()
        for worker in self.workers:
            worker.stop()
        for worker in self.workers:
            if worker.process:
                try:
                    worker.process.wait(20)
                except subprocess.TimeoutExpired:
                    worker.process.kill()
        self.system.stop()
        if self.disks:
            self.disks.unmount(self)


class Disks:
    """Spool, chunk store and archive on memory disks, which can be made full and free again at once."""

    SIZES = {"spool": 64 * MIB, "store": 4096 * MIB, "archive": 1024 * MIB}

    def mount(self, fleet):
        for name, size in self.SIZES.items():
            folder = getattr(fleet, name)
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "reel-chaos", folder], check=True)

    def resize(self, folder, size):
        return subprocess.run(
            ["mount", "-o", f"remount,size={size}", folder], capture_output=True).returncode == 0

    def fill(self, fleet, name):
        """Shrinks the disk to what is on it; whether that could be done."""
        folder = getattr(fleet, name)
        facts = os.statvfs(folder)
        used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
        return self.resize(folder, max(used, 4096) + 8192)

    def free(self, fleet, names=tuple(SIZES)):
        for name in names:
            self.resize(getattr(fleet, name), self.SIZES[name])

    def unmount(self, fleet):
        for name in self.SIZES:
            subprocess.run(["umount", "-l", getattr(fleet, name)], capture_output=True)


def started(pid):
    """When a process was started, as the kernel counts; None when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2:].split()[19]

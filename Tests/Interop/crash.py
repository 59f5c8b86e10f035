#!/usr/bin/env python3
"""Kills everything at random moments and starts it again: what was acknowledged is stored, once, in order.

REEL_CRASH_ROUNDS is the number of kills of `reel up` (20); redis-server and mongod get a sixth of it each.
"""

import collections
import os
import random
import re
import signal
import time

from feeding import Feed
from formats import Schemas, sequence_problems
from kit import Checks, System, Workspace, eventually, seed_of

checks = Checks("crash")
ROUNDS = int(os.environ.get("REEL_CRASH_ROUNDS", "20"))
KINDS = ["ChunkRecorded", "ChunkCompressed", "ChunkSealed", "ChunkValidated", "ChunkStored"]


class Run:
    """The system, its recorders, and what becomes of them."""

    def __init__(self, system, seed):
        self.system, self.seed, self.source = system, seed, random.Random(seed)
        self.live, self.done = [], []

    def keep_feeding(self, count=2):
        """Replaces recorders that have ended."""
        for feed in [feed for feed in self.live if not feed.is_alive()]:
            feed.finish()
            self.live.remove(feed)
            self.done.append(feed)
        while len(self.live) < count:
            number = len(self.live) + len(self.done)
            codec = ["zstd", "lz4", "none", "gzip"][number % 4]
            self.live.append(Feed(self.system, f"crash-{self.seed}-{number}", self.seed + number, codec))

    def end_oldest(self, kill=False):
        if self.live:
            feed = self.live.pop(0)
            feed.kill() if kill else feed.finish()
            self.done.append(feed)

    def pause(self):
        """A random moment of work."""
        time.sleep(self.source.uniform(0.05, 1.5))

    def kill_up(self):
        for number in range(ROUNDS):
            self.keep_feeding()
            self.pause()
            if number % 5 == 4:
                self.end_oldest(kill=True)
            self.system.kill()
            if number % 6 == 5:
                # Killed again while it is still starting.
                self.system.launch()
                self.pause()
                self.system.kill()
            # Stages chained in memory and stages that hand on through the spool take over from each other.
            self.system.options = self.source.choice([[], ["--no-chaining"], ["--workers", "1"]])
            self.system.start()
            if number % 4 == 3:
                self.end_oldest()
        checks.check(f"reel up comes back after {ROUNDS} kills", True)

    def kill_server(self, program, rounds):
        for number in range(rounds):
            self.keep_feeding()
            self.pause()
            pid = self.system.child(program)
            if not checks.check(f"{program} is a child of reel up (kill {number + 1})", pid):
                return
            os.kill(pid, signal.SIGKILL)
            back = eventually(lambda: self.system.child(program) not in (None, pid), 30)
            checks.check(f"{program} is started again (kill {number + 1})", back and self._is_running())

    def _is_running(self):
        return self.system.process.poll() is None

    def finish(self):
        while self.live:
            self.end_oldest()


def check_session(system, schemas, feed, folder):
    """What was acknowledged is stored, once, in order, and comes back."""
    name = f"{feed.session} ({'killed' if feed.killed else 'fed to the end'})"
    if not feed.killed:
        checks.check(f"{name}: the recorder ends well", feed.status == 0, f"{feed.status} {feed.said[-6:]}")
    looked = system.reel("events", feed.session, "--json")
    if looked.returncode == 1 and feed.killed and not feed.acknowledged:
        return checks.check(f"{name}: killed before it was made", True)
    eventually(lambda: system.status(feed.session) in ("completed", "failed"), 100, 0.5)
    checks.equal(f"{name}: completed", system.status(feed.session), "completed")
    events = system.events(feed.session)
    problem = sequence_problems(events)
    checks.check(f"{name}: sequences without gaps, ids once", not problem, problem)
    wrong = [(e["type"], p) for e in events for p in schemas.problems(e)]
    checks.check(f"{name}: events follow their schemas", not wrong, wrong[:3])
    counts = {
        kind: collections.Counter(e["data"]["sequence_number"] for e in events if e["type"] == kind)
        for kind in KINDS}
    chunks = len(counts["ChunkRecorded"])
    once = all(c == collections.Counter(range(1, chunks + 1)) for c in counts.values())
    found = {kind: [n for n, times in c.items() if times != 1] or len(c) for kind, c in counts.items()}
    checks.check(f"{name}: exactly one event of each kind for each of {chunks} chunks", once, found)
    recorded = [e["data"] for e in events if e["type"] == "ChunkRecorded"]
    sizes = {fact["sequence_number"]: fact["size_bytes"] for fact in recorded}
    lost = {n: size for n, size in feed.acknowledged.items() if sizes.get(n) != size}
    checks.check(f"{name}: all {len(feed.acknowledged)} acknowledged chunks are in the log", not lost, lost)
    stopped = [e["data"] for e in events if e["type"] == "SessionStopped"]
    incomplete = len(stopped) == 1 and stopped[0]["incomplete"]
    checks.check(f"{name}: incomplete only when its recorder died", incomplete == feed.killed, stopped)
    done = system.reel("verify", feed.session)
    checks.check(f"{name}: verify says yes", done.returncode == 0,
                 f"{done.returncode} {done.stdout.decode(errors='replace')} {done.stderr}")
    target = folder / "back"
    done = system.reel("export", feed.session, "-o", target)
    back = target.read_bytes() if done.returncode == 0 else b""
    target.unlink(missing_ok=True)
    least = sum(feed.acknowledged.values())
    same = len(back) >= least and feed.fed[:len(back)] == back
    whole = feed.killed or len(back) == len(feed.fed)
    found = f"{len(back)} bytes of {len(feed.fed)}, {least} acknowledged"
    checks.check(f"{name}: export is what was fed", done.returncode == 0 and same and whole,
                 f"{done.returncode} {found} {done.stderr}")


def check_rest(system):
    spool = system.endpoints.get("spool")
    if spool:
        left = eventually(lambda: not list_files(spool), 30)
        checks.check("nothing is left in the spool", left, list_files(spool))
    store = system.endpoints["chunk_store"]
    odd = [path for path in list_files(store) if not re.fullmatch(r"[\w-]+/\d{8}\.reel", path)]
    checks.check("nothing unfinished is left in the chunk store", not odd, odd[:5])


def list_files(folder):
    found = []
    for place, _, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(place, name), folder) for name in names]
    return found


def main():
    seed = seed_of("crash")
    began = time.monotonic()
    with Workspace("crash") as folder, System(folder / "data").start() as system:
        run = Run(system, seed)
        try:
            with checks.section("kills of reel up"):
                run.kill_up()
            for program in ("redis-server", "mongod"):
                with checks.section(f"kills of {program}"):
                    run.kill_server(program, max(1, ROUNDS // 6))
        finally:
            with checks.section("the last recorders"):
                run.finish()
        print(f"crash: kills done after {time.monotonic() - began:.0f} s", flush=True)
        schemas = Schemas()
        for feed in run.done:
            with checks.section(feed.session):
                check_session(system, schemas, feed, folder)
        total = sum(len(feed.acknowledged) for feed in run.done)
        checks.check("chunks were acknowledged", total > ROUNDS, total)
        with checks.section("leftovers"):
            check_rest(system)
    checks.finish()


if __name__ == "__main__":
    main()

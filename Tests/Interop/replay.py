#!/usr/bin/env python3
"""Kills `reel replay` at random moments: what is shown stays whole, and the next replay takes over and ends
right. While another one is at work it says who, since when and how far."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import pymongo

from kit import MIB, REEL, Checks, System, Workspace, environment, eventually, mixed, seed_of

checks = Checks("replay")
KILLS = int(os.environ.get("REEL_REPLAY_KILLS", "2"))


# A replay that was killed counts as running for 6 seconds; the rest is for a slow machine.
TAKEN_OVER_SECONDS = 12
# Who is at work, and how far, in words.
HOW_FAR = r"(rebuilding|comparing|settling|swapping), \d+% \([\d,]+ of [\d,]+ events\)"


def record(system, name, size, seed, chunk_size="0.01"):
    done = system.reel("record", "-", "--name", name, "--session-id", name, "--chunk-size", chunk_size,
                       "--wait", stdin=mixed(seed, size))
    checks.equal(f"recording {name} succeeds", done.returncode, 0)


def replay(system, *options):
    # A system mends its read models by itself, too: one waits for it.
    done = system.reel("replay", "--json", "--wait", *options)
    report = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, dict(report, stderr=done.stderr)


def start_replay(system):
    return subprocess.Popen(
        [REEL, "replay", "--data", str(system.data)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment())


@contextlib.contextmanager
def slowed(pid):
    """Lets a process do little, so that one may look at it at work. Killed meanwhile, it is gone."""
    over = threading.Event()

    def run():
        with contextlib.suppress(ProcessLookupError):
            while not over.is_set():
                os.kill(pid, signal.SIGSTOP)
                over.wait(0.25)
                os.kill(pid, signal.SIGCONT)
                # Enough for what it says every few seconds, also on a machine of half the speed.
                over.wait(0.05)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def lease(views):
    return views.checkpoints.find_one({"_id": "rebuild"}) or {}


def has_begun(views, worker):
    """Whether this one has the lease, and has built something."""
    found = lease(views)
    return worker in found.get("worker", "") and found.get("progress", {}).get("events", 0) > 0


def tamper(views, seed):
    """Changes, drops and adds documents; what has to be found."""
    source = random.Random(seed)
    chunks = [chunk["chunk_id"] for chunk in views.chunks.find({}, {"chunk_id": 1})]
    changed, dropped = source.sample(sorted(chunks), 2)
    views.chunks.update_one({"chunk_id": changed}, {"$set": {"size_bytes": -1, "merkle_hash": "00"}})
    views.chunks.delete_one({"chunk_id": dropped})
    views.sessions.insert_one({"session_id": f"stray-{seed}", "name": "nobody's"})
    return {(changed, "changed"), (dropped, "missing"), (f"stray-{seed}", "extra")}


class Watch(threading.Thread):
    """Reads the session all the time: it must always be there, and never older than before."""

    def __init__(self, views, session):
        super().__init__(daemon=True)
        self.views, self.session = views, session
        self.over, self.reads, self.bad, self.version = threading.Event(), 0, [], 0
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                found = self.views.sessions.find_one({"session_id": self.session})
            except pymongo.errors.OperationFailure as error:
                # A read that was going on while its collection was replaced.
                if error.code != 175:
                    self.bad.append(str(error))
                continue
            self.reads += 1
            if not found or found["version"] < self.version:
                self.bad.append(f"{found and found['version']} after {self.version}")
            else:
                self.version = found["version"]


def main():
    seed = seed_of("replay")
    source = random.Random(seed)
    with Workspace("replay") as place, System(place / "data") as system:
        views = pymongo.MongoClient(system.endpoints["mongodb_url"]).reel
        for number in range(2):
            record(system, f"session-{number}", MIB // 2, seed + number)
        record(system, "long", MIB, seed + 9, "0.001")
        status, report = replay(system, "--verify")
        checks.equal("what was projected is what the log says", (status, report.get("differences")), (0, 0))
        for part in (killed, at_work, rebuilder_at_work):
            with checks.section(part.__name__):
                part(system, views)
        watch = Watch(views, "session-1")
        for kill in range(KILLS):
            expected = tamper(views, seed + kill)
            process = start_replay(system)
            time.sleep(source.uniform(0.02, 0.6))
            process.kill()
            process.wait()
            began = time.monotonic()
            status, report = replay(system)
            checks.check("it is taken over within seconds", time.monotonic() - began < TAKEN_OVER_SECONDS,
                         time.monotonic() - began)
            found = {(item["key"], item["difference"]) for item in report.get("listed", [])}
            checks.check("after a kill the next replay ends", status == 0, report)
            # Killed after its swap it had nothing left to find.
            checks.check("it found what was tampered with", found in (expected, set()), found)
            status, report = replay(system, "--verify")
            checks.check("then nothing differs", (status, report.get("differences")) == (0, 0), report)
            left = [name for name in views.list_collection_names() if name.startswith("replay_")]
            checks.equal("nothing is left over", left, [])
        watch.over.set()
        watch.join()
        checks.check("a reader saw every session all the time", not watch.bad and watch.reads, watch.bad[:3])
        expected = tamper(views, seed + 99)
        status, report = replay(system, "--verify")
        found = {(item["key"], item["difference"]) for item in report.get("listed", [])}
        checks.equal("--verify finds what was tampered with", (status, found), (1, expected))
        checks.check("a replay stays below 300 MB", report["peak_rss_bytes"] < 300 * MIB, report)
        moments(system)
        status, report = replay(system, "--session", "no-such-session")
        checks.equal("an unknown session is answered by 1", status, 1)
        checks.equal("a replay swaps", replay(system)[1].get("swapped"), True)


def killed(system, views):
    """A replay that is killed in the middle says until then what it does; the next one goes on with it."""
    views.sessions.update_one({"session_id": "session-1"}, {"$set": {"name": "somebody's"}})
    process = start_replay(system)
    with slowed(process.pid):
        me = f"reel replay (pid {process.pid} on {socket.gethostname()})"
        checks.check("the lease says who is at work, and how far", eventually(
            lambda: has_begun(views, me), 30), lease(views))
        process.kill()
        process.wait()
    found = lease(views)
    now = views.command("hello")["localTime"]
    checks.check("the lease says since when", found.get("since") and 0 <= (
        now - found["since"]).total_seconds() < 60, found)
    progress = found.get("progress", {})
    checks.check("and how much there is to do", progress.get("step") == "rebuilding"
                 and 0 < progress.get("events", 0) < progress.get("total", 0), found)
    checks.check("and ends soon", (found["until"] - now).total_seconds() <= 6, (found, now))
    began = time.monotonic()
    done = system.reel("replay", "--json")
    took, report = time.monotonic() - began, json.loads(done.stdout or "{}")
    checks.equal("killed: the next one takes over", (done.returncode, report.get("swapped")), (0, True))
    checks.check("killed: within seconds", took < TAKEN_OVER_SECONDS, took)
    checks.check("killed: it says whom it waits for, and how far that was", re.search(
        re.escape(me) + r", since \d{4}-\d\d-\d\dT[\d:.]+Z, " + HOW_FAR, done.stderr), done.stderr)


def says_who(system, who, what):
    """A replay beside another one that is at work."""
    began = time.monotonic()
    done = system.reel("replay")
    took = time.monotonic() - began
    checks.check(f"{what}: a second one says who, since when and how far", done.returncode == 3 and re.search(
        "another replay is running: " + who + r", since \d{4}-\d\d-\d\dT[\d:.]+Z, " + HOW_FAR, done.stderr)
        and "--wait" in done.stderr, (done.returncode, done.stderr))
    checks.check(f"{what}: and soon", took < 8, took)


def waits_for(system, who, what, slow):
    """Another one that waits for it, and then does its own work; `slow` ends when the first may go on."""
    waiting = subprocess.Popen(
        [REEL, "replay", "--wait", "--json", "--data", str(system.data)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=environment())
    said = []
    listener = threading.Thread(target=lambda: said.extend(iter(waiting.stderr.readline, "")), daemon=True)
    listener.start()
    shown = re.compile("waiting for " + who + ", since .*, " + HOW_FAR)
    checks.check(f"{what}: --wait shows how far it is", eventually(
        lambda: any(shown.search(line) for line in list(said)), 30), said)
    slow.close()
    try:
        report = json.loads(waiting.communicate(timeout=60)[0] or "{}")
    finally:
        waiting.kill()
    checks.equal(f"{what}: and replays when it has ended",
                 (waiting.returncode, report.get("differences")), (0, 0))


def at_work(system, views):
    views.sessions.update_one({"session_id": "session-1"}, {"$set": {"name": "somebody's"}})
    with contextlib.ExitStack() as slow:
        process = start_replay(system)
        slow.enter_context(slowed(process.pid))
        me = re.escape(f"reel replay (pid {process.pid} on {socket.gethostname()})")
        eventually(lambda: has_begun(views, f"pid {process.pid} "), 30)
        says_who(system, me, "at work")
        waits_for(system, me, "at work", slow)
    checks.equal("at work: the first one ended well", process.wait(), 0)


def rebuilder_at_work(system, views):
    """What a killed replay had built is gone on with by a running system that needs it."""
    with contextlib.ExitStack() as slow:
        process = start_replay(system)
        with slowed(process.pid):
            eventually(lambda: has_begun(views, f"pid {process.pid} "), 30)
            begun = lease(views).get("run")
            slow.enter_context(slowed(system.process.pid))
            views.chunks.drop()
            process.kill()
            process.wait()
        checks.check("rebuilder: it takes over", eventually(
            lambda: has_begun(views, "rebuilder"), 60), lease(views))
        checks.equal("rebuilder: it goes on with the same rebuild", lease(views).get("run"), begun)
        place = f"(pid {system.process.pid} on {socket.gethostname()})"
        me = re.escape(f"the rebuilder of a running system {place}")
        says_who(system, me, "rebuilder")
        waits_for(system, me, "rebuilder", slow)


def moments(system):
    """The session as it was at each of some events."""
    events = system.events("session-0")
    for place in (0, 2, len(events) // 2, len(events) - 1):
        event = events[place]
        done = system.reel("sessions", "show", "session-0", "--at", int(event["sequence"]), "--json")
        shown = json.loads(done.stdout)
        chunks = sum(1 for item in events[:place + 1] if item["type"] == "ChunkRecorded")
        checks.equal(
            f"the session as it was at event {place + 1}",
            (shown["version"], shown["statistics"]["chunks_count"]), (place + 1, chunks))
        done = system.reel("replay", "--session", "session-0", "--until", event["time"], "--json")
        until = json.loads(done.stdout)["session"]["version"]
        # Workers' clocks differ by milliseconds: the history ends where the first later event stands.
        times = [item["time"] <= event["time"] for item in events]
        checks.check("and by its time", all(times[:until]) and not any(times[until:until + 1]), until)


main()
checks.finish()

#!/usr/bin/env python3
"""Kills `reel replay` at random moments: what is shown stays whole, and the next replay ends right."""

import json
import os
import random
import signal
import subprocess
import threading
import time

import pymongo

from kit import MIB, REEL, Checks, System, Workspace, environment, eventually, mixed, seed_of

checks = Checks("replay")
KILLS = int(os.environ.get("REEL_REPLAY_KILLS", "2"))


def record(system, name, size, seed):
    done = system.reel("record", "-", "--name", name, "--session-id", name, "--chunk-size", "0.01",
                       "--wait", stdin=mixed(seed, size))
    checks.equal(f"recording {name} succeeds", done.returncode, 0)


def replay(system, *options):
    done = None

    def is_free():
        # A system mends its read models by itself, too: then it says so, and one waits.
        nonlocal done
        done = system.reel("replay", "--json", *options)
        return "another replay is running" not in done.stderr

    eventually(is_free, 60)
    return done.returncode, (json.loads(done.stdout) if done.stdout else {"stderr": done.stderr})


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
        status, report = replay(system, "--verify")
        checks.equal("what was projected is what the log says", (status, report.get("differences")), (0, 0))
        watch = Watch(views, "session-1")
        for kill in range(KILLS):
            expected = tamper(views, seed + kill)
            process = subprocess.Popen(
                [REEL, "replay", "--data", str(system.data)], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=environment())
            time.sleep(source.uniform(0.02, 0.6))
            process.send_signal(signal.SIGKILL)
            process.wait()
            status, report = replay(system)
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

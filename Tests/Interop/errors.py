#!/usr/bin/env python3
"""Everything that can go wrong outside: a clear message, the right exit status, nothing half done."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

from kit import (
    MIB, REEL, Checks, System, Workspace, environment, eventually, files_below, free_port, mixed, partition,
    reel, seed_of)

checks = Checks("errors")
FINAL = {"completed", "failed", "deleted"}
UNKNOWN = "sess-00000000000000000000000000"
# What a crash or an error that nobody thought of leaves behind.
RAW = re.compile(r"Fatal error|Thread \d+ crashed|Swift/|Error Domain=|core dumped|\bnil\b|Optional\(")


def expect(what, done, status, *words):
    """The exit status; a message on stderr that names `words`; nothing on stdout."""
    stderr = done.stderr
    named = all(re.search(word, stderr, re.I) for word in words)
    checks.check(f"{what}: status {status}", done.returncode == status, f"{done.returncode} {stderr}")
    checks.check(
        f"{what}: a clear message", stderr.strip() and named and not RAW.search(stderr),
        f"wanted {words}: {stderr}")
    checks.check(f"{what}: nothing on stdout", not done.stdout.strip(), done.stdout)


class Untouched:
    """Nothing may have been made: no session in the log, no file in spool or store."""

    def __init__(self, system):
        self.system = system
        self.before = self.look()

    def look(self):
        endpoints = self.system.endpoints
        folders = [endpoints[name] for name in ("spool", "chunk_store") if name in endpoints]
        return self.system.redis().sessions(), [files_below(folder) for folder in folders]

    def check(self, what):
        after = self.look()
        checks.check(f"{what}: nothing half done", after == self.before, after)


def usage(system, folder):
    """What the caller can get wrong: status 2, and nothing is made."""
    good, empty = folder / "good", folder / "empty"
    good.write_bytes(mixed(1, 5000))
    empty.write_bytes(b"")
    huge = folder / "huge"
    with open(huge, "wb") as file:
        file.truncate((1 << 30) + 1)
    untouched = Untouched(system)
    cases = [
        ("a file beyond the size that a session may have", [huge, "--max-size", 1],
         ["--max-size", "storage_config.max_size_gb", "1073741824"]),
        ("a size of 0", [good, "--max-size", 0], ["max-size"]),
        ("no retention", [good, "--retention-days", 0], ["retention-days"]),
        ("a retention beyond a year", [good, "--retention-days", 366], ["retention-days", "365"]),
        ("no such file", [folder / "missing"], ["missing"]),
        ("an empty file", [empty], ["empty"]),
        ("a folder", [folder], ["folder|directory"]),
        ("chunk size 0", [good, "--chunk-size", 0], ["chunk-size"]),
        ("chunk size -1", [good, "--chunk-size=-1"], ["chunk-size"]),
        ("chunk size 101", [good, "--chunk-size", 101], ["chunk-size", "100"]),
        ("chunk size 100.1", [good, "--chunk-size", 100.1], ["chunk-size", "100"]),
        ("chunk size nan", [good, "--chunk-size", "nan"], ["chunk-size"]),
        ("chunk size ten", [good, "--chunk-size", "ten"], ["chunk-size"]),
        ("an unknown codec", [good, "--codec", "brotli"], ["codec", "zstd"]),
        ("an unknown option", [good, "--colour", "red"], ["--colour"]),
        ("an empty tag too many", [good, *(["--tag", "t"] * 11)], ["tag"]),
        ("a session id with a slash", [good, "--session-id", "../x"], ["session-id"]),
    ]
    for what, arguments, words in cases:
        expect(what, system.reel("record", *arguments, "--name", "n"), 2, *words)
    expect("no name", system.reel("record", good), 2, "name")
    expect("an empty name", system.reel("record", good, "--name", ""), 2, "name")
    expect("an unknown command", system.reel("rewind"), 2, "rewind")
    bad = environment(REEL_CHUNK_SIZE_MB="many")
    expect("a bad value in the environment", system.reel("record", good, "--name", "n", env=bad), 2,
           "REEL_CHUNK_SIZE_MB")
    untouched.check("bad usage")


def nothing_to_record(system, _):
    """Standard input that ends at once is bad input, as an empty file is."""
    before = system.redis().sessions()
    done = system.reel("record", "-", "--name", "n", "--wait", stdin=b"")
    checks.equal("empty standard input: status", done.returncode, 2)
    checks.check("empty standard input: a clear message", "nothing to record" in str(done.stderr), done.stderr)
    checks.equal("empty standard input: nothing half done", system.redis().sessions() - before, set())


def unknown_session(system, folder):
    untouched = Untouched(system)
    for command in (["verify"], ["events"], ["export"], ["keys", "export"], ["sessions", "show"], ["chunks"]):
        more = ["-o", folder / "out"] if command == ["export"] else []
        done = system.reel(*command, UNKNOWN, *more)
        expect(f"{' '.join(command)} of an unknown session", done, 1, UNKNOWN)
    checks.check("export of an unknown session leaves no file", not (folder / "out").exists())
    untouched.check("an unknown session")


def taken(system, folder):
    """Ports and folders that somebody else has."""
    expect("a second reel up on the same data", system.reel("up", timeout=60), 3, "in use|another")
    checks.check("the first reel up goes on", system.process.poll() is None)
    for option in ("--redis-port", "--mongodb-port"):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            data = folder / f"port{option}"
            done = reel("up", option, port, data=data, timeout=90)
            expect(f"{option} is taken", done, 3, str(port))
            checks.check(f"{option} is taken: no endpoints", not (data / "endpoints.json").exists())


def unreachable(folder):
    """Servers that are not there."""
    good = folder / "good"
    nowhere = free_port()
    done = reel("up", "--redis-url", f"redis://127.0.0.1:{nowhere}", data=folder / "noredis", timeout=120)
    expect("Redis cannot be reached", done, 3, "redis|log", str(nowhere))
    url = f"mongodb://127.0.0.1:{nowhere}/?serverSelectionTimeoutMS=3000"
    done = reel("up", "--mongodb-url", url, data=folder / "nomongo", timeout=120)
    expect("MongoDB cannot be reached", done, 3, "mongo", str(nowhere))
    for command in (["record", good, "--name", "n"], ["verify", UNKNOWN], ["events", UNKNOWN, "--json"]):
        done = reel(*command, data=folder / "nothing")
        expect(f"{command[0]} without a running system", done, 3, "reel up")
    checks.check("no data folder is made by a command", not (folder / "nothing").exists())


def after_kill(folder):
    """The system was killed: its endpoints file is still there, and nobody listens."""
    with System(folder / "killed").start() as system:
        system.kill()
        eventually(lambda: not system.child("redis-server"), 10)
        for command in (["record", folder / "good", "--name", "n"], ["verify", UNKNOWN]):
            expect(f"{command[0]} after the system was killed", system.reel(*command), 3, "reel up|reach")
        system.start()
        checks.equal("a killed system starts again, without a session", system.redis().sessions(), set())


def no_permission(folder):
    """A data folder that may not be written, for somebody who is not root."""
    if os.geteuid() != 0:
        user = []
    elif shutil.which("setpriv"):
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    else:
        return checks.skip("a folder without permission", "root, and no setpriv")
    locked = folder / "locked"
    locked.mkdir()
    folder.chmod(0o755)
    program = folder / "reel"
    shutil.copy(REEL, program)
    program.chmod(0o755)
    locked.chmod(0o555)
    probe = subprocess.run([*user, program, "--help"], capture_output=True, env=environment())
    if probe.returncode != 0:
        return checks.skip("a folder without permission", "the program cannot be started by another user")
    for what, data in (("is read-only", locked), ("cannot be made", locked / "inner")):
        done = subprocess.run(
            [*user, program, "up", "--data", data], capture_output=True, timeout=60, env=environment())
        done.stderr = done.stderr.decode(errors="replace")
        expect(f"a data folder that {what}", done, 3, "locked", "permission")
    checks.check("nothing was made in it", not list(locked.iterdir()))


@contextlib.contextmanager
def small_disk(path, size):
    """A tmpfs of `size` bytes; None where it cannot be mounted."""
    path.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={size}".encode()
    mounted = libc.mount(b"tmpfs", str(path).encode(), b"tmpfs", 0, options) == 0
    try:
        yield path if mounted else None
    finally:
        if mounted:
            libc.umount2(str(path).encode(), 2)


def full_spool(folder):
    """A chunk that can never fit into the spool's disk."""
    source = folder / "large"
    source.write_bytes(mixed(3, 20 * MIB, 1))
    with small_disk(folder / "tiny", 6 * MIB) as disk:
        if not disk:
            return checks.skip("a full disk", "a tmpfs cannot be mounted here")
        with System(folder / "fullspool", "--spool", disk).start() as system:
            done = system.reel("record", source, "--name", "n", "--chunk-size", 10, timeout=150)
            checks.check("a full disk: status 3", done.returncode == 3, f"{done.returncode} {done.stderr}")
            clear = re.search("space|full|room", done.stderr, re.I) and not RAW.search(done.stderr)
            checks.check("a full disk: a clear message", clear, done.stderr)
            sessions = system.redis().sessions()
            final = eventually(lambda: all(system.status(s) in FINAL for s in sessions), 90, 0.5)
            states = [system.status(s) for s in sessions]
            checks.check("a full disk: no session stays half done", final, states)
            left = eventually(lambda: not files_below(disk), 20)
            checks.check("a full disk: no leftovers in the spool", left, files_below(disk))
            small = folder / "good"
            done = system.reel("record", small, "--name", "n", "--chunk-size", 1, "--wait")
            checks.check("a full disk: what fits is recorded", done.returncode == 0, done.stderr)


def full_store(folder):
    """The chunk store's disk is full: nothing is lost, and it goes on once there is room."""
    source = folder / "large"
    with small_disk(folder / "tinystore", 4 * MIB) as disk:
        if not disk:
            return checks.skip("a full chunk store", "a tmpfs cannot be mounted here")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(3 * MIB))
        # Without a reserve: else recordings are closed as soon as a half written file takes the last of it.
        reserve = ["--disk-reserve", 0]
        with System(folder / "fullstore", "--chunk-store", disk, *reserve).start() as system:
            part = source.read_bytes()[:3 * MIB]
            done = system.reel("record", "-", "--name", "n", "--chunk-size", 1, *reserve, stdin=part)
            session = done.stdout.decode().strip()
            went_on = done.returncode == 0 and session
            checks.check("a full chunk store: recording goes on", went_on, done.stderr)
            told = eventually(lambda: re.search("space|full", system.log.read_text(), re.I), 30)
            checks.check("a full chunk store: the log tells", told)
            ballast.unlink()
            done = eventually(lambda: system.status(session) == "completed", 90, 0.5)
            checks.check("a full chunk store: completed once there is room", done, system.status(session))
            status = system.reel("verify", session).returncode
            checks.equal("a full chunk store: verify", status, 0)


def truncated_spool(folder):
    """A spool file that lost its end in a crash: its chunk is given up and named, the others are stored."""
    with System(folder / "spooled").start() as system:
        # The roles stand still, the servers go on: what is recorded now stays in the spool.
        system.process.send_signal(signal.SIGSTOP)
        data = mixed(4, 5 * MIB)
        done = system.reel("record", "-", "--name", "n", "--chunk-size", 1, stdin=data)
        session = done.stdout.decode().strip()
        checks.check("recording needs only the servers", done.returncode == 0 and session, done.stderr)
        paths = {
            e["data"]["sequence_number"]: e["data"]["spool_path"]
            for e in system.events(session) if e["type"] == "ChunkRecorded"}
        spool = pathlib.Path(system.endpoints["spool"])
        system.kill()
        file = spool / paths[2]
        file.write_bytes(file.read_bytes()[:1000])
        system.start()
        # A chunk that was given up holds its session open, so that it can be tried again.
        def told(kind):
            return {
                e["data"]["sequence_number"] for e in system.events(session) if e["type"] == kind}

        settled = eventually(lambda: told("ChunkFailed") and len(told("ChunkStored")) == 4, 60, 0.5)
        # Its owner died with the system: the leases run out first.
        eventually(lambda: system.status(session) in ("processing", "failed"), 30, 0.2)
        state = system.status(session)
        checks.check("a truncated spool file: the session waits for its chunk, or has failed",
                     settled and state in ("processing", "failed"), state)
        events = system.events(session)
        failed = [e["data"] for e in events if e["type"] == "ChunkFailed"]
        stored = sorted(e["data"]["sequence_number"] for e in events if e["type"] == "ChunkStored")
        checks.check("a truncated spool file: its chunk alone failed, with the reason",
                     [f["sequence_number"] for f in failed] == [2] and failed[0]["causes"], failed)
        checks.equal("a truncated spool file: the others are stored", stored, [1, 3, 4, 5])
        done = system.reel("verify", session)
        text = done.stdout.decode() + done.stderr
        checks.check("a truncated spool file: verify says no", done.returncode == 1,
                     f"{done.returncode} {text}")
        done = system.reel("export", session, "-o", folder / "partial")
        refused = done.returncode == 1 and not (folder / "partial").exists()
        checks.check("a truncated spool file: export says no and leaves no file", refused,
                     f"{done.returncode} {done.stderr}")
        if "parked" not in system.reel("--help").stdout.decode():
            return checks.skip("a truncated spool file: the parked event", "no 'reel parked' yet")
        done = system.reel("parked", "list", "--json")
        checks.check("a truncated spool file: the event is parked, not gone",
                     done.returncode == 0 and session in done.stdout.decode(), done.stdout[:300])


STRANGER = """
local id = redis.call('XADD', ARGV[1] .. ':log', '*', 'stranger', 'yes')
if ARGV[2] ~= '' then redis.call('RPUSH', ARGV[1] .. ':s:' .. ARGV[2], id) end
return id
"""


def add_stranger(system, session, named=True):
    """An entry in the session's partition that nobody can read, as a part of its history; its place."""
    redis = system.redis()
    place = f"p{partition(session, redis.partitions()):03d}"
    entry = redis("EVAL", STRANGER, 0, f"reel:{{{place}}}", session if named else "")
    return f"{place}/{entry.decode()}"


def unreadable_of_one(system, source):
    """A session with such an entry, and with a chunk that is lost: both are named, and nothing else waits."""
    # The roles stand still, the servers go on: what is recorded now is not worked on yet.
    system.process.send_signal(signal.SIGSTOP)
    done = system.reel("record", source, "--name", "n", "--chunk-size", 1)
    bad = done.stdout.decode().strip()
    recorded = [e["data"] for e in system.events(bad) if e["type"] == "ChunkRecorded"]
    place = add_stranger(system, bad)
    (pathlib.Path(system.endpoints["spool"]) / recorded[1]["spool_path"]).unlink()
    system.process.send_signal(signal.SIGCONT)
    done = system.reel("record", source, "--name", "good", "--chunk-size", 1, "--wait")
    checks.equal("an unreadable entry: other sessions are completed", done.returncode, 0)

    def parked():
        return json.loads(system.reel("parked", "list", "--json").stdout)["parked"]

    def is_told():
        own = {p["stage"] for p in parked() if p["position"] == place}
        lost = [p for p in parked() if p["subject"] == recorded[1]["chunk_id"] and p["stage"] == "compress"]
        return {"compress", "completion", "projector"} <= own and lost and lost[0]

    lost = eventually(is_told, 60, 0.3)
    checks.check("an unreadable entry: parked list names it, and the chunk that is lost", lost, parked())
    checks.check("an unreadable entry: the lost chunk says so", lost and place in str(lost["errors"]), lost)
    stages = json.loads(system.reel("status", "--json").stdout)["stages"]
    counts = {stage["name"]: stage["parked"] for stage in stages}
    checks.equal("an unreadable entry: status counts it", counts["compress"], 2)
    return bad, place


def unreadable_commands(system, bad, place):
    """What each command makes of it: an answer that names it, status 1, and everything else."""
    for arguments in (["events", bad], ["events"]):
        done = system.reel(*arguments, "--json")
        what = f"an unreadable entry: {' '.join(arguments[:1 + (len(arguments) > 1)])}"
        checks.check(f"{what} names it, status 1", done.returncode == 1 and place in done.stderr, done.stderr)
        types = {json.loads(line)["type"] for line in done.stdout.splitlines()}
        checks.check(f"{what} goes on behind it", {"SessionCreated", "ChunkStored"} <= types, types)
    done = system.reel("verify", bad, "--json")
    found = json.loads(done.stdout)["findings"]
    named = [f for f in found if f["kind"] == "log" and place in f["text"]]
    checks.check("an unreadable entry: verify finds it", done.returncode == 1 and len(named) == 1, found)
    for command in ("export", "-o", "-"), ("sessions", "show", "--at", "100"), ("keys", "export"):
        done = system.reel(*command, bad)
        checks.check(
            f"an unreadable entry: {command[0]} says so, status 1",
            done.returncode == 1 and place in done.stderr and not done.stdout,
            f"{done.returncode} {done.stderr}")
    for more in (["--verify"], []):
        done = system.reel("replay", "--json", *more)
        report = json.loads(done.stdout or b"{}")
        listed = [hole["position"] for hole in report.get("unreadable", [])]
        waiting = [session["session_id"] for session in report.get("waiting", [])]
        checks.check(
            f"an unreadable entry: {' '.join(['replay', *more])} goes on and lists it, status 1",
            done.returncode == 1 and listed == [place] and waiting == [bad] and report["differences"] == 0,
            done.stderr or report)


def unreadable_follower(system, source):
    """`reel events --follow` names an entry as it comes, and goes on."""
    follower = subprocess.Popen(
        [REEL, "events", "--follow", "--json", "--type", "SessionCompleted", "--data", str(system.data)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        session = json.loads(follower.stdout.readline())["partitionkey"]
        place = add_stranger(system, session, named=False)
        done = system.reel("record", source, "--name", "last", "--chunk-size", 1, "--wait")
        last = done.stdout.decode().strip()
        found = next(line for line in follower.stdout if last in line)
        checks.check("an unreadable entry: a follower goes on", found)
    finally:
        follower.send_signal(signal.SIGTERM)
        _, text = follower.communicate(timeout=60)
    named = [line for line in text.splitlines() if place in line]
    checks.check("an unreadable entry: a follower is told once", len(named) == 1, text)


def unreadable(folder):
    """An entry of the log that nobody can read concerns its own session alone."""
    source = folder / "three"
    source.write_bytes(mixed(5, 3 * MIB))
    with System(folder / "unreadable").start() as system:
        bad, place = unreadable_of_one(system, source)
        unreadable_commands(system, bad, place)
        unreadable_follower(system, source)
        checks.check("an unreadable entry: the process goes on", system.process.poll() is None)
        checks.equal("an unreadable entry: it ends well", system.stop(), 0)


def main():
    seed_of("errors")
    with Workspace("errors") as folder:
        with System(folder / "data").start() as system:
            for part in (usage, nothing_to_record, unknown_session, taken):
                with checks.section(part.__name__):
                    part(system, folder)
            with checks.section("still well"):
                done = system.reel("record", folder / "good", "--name", "n", "--wait", "--json")
                checks.check("after all that, recording works", done.returncode == 0, done.stderr)
                checks.check("record --json is JSON", "session_id" in json.loads(done.stdout))
        for part in (unreachable, after_kill, no_permission, full_spool, full_store, truncated_spool,
                     unreadable):
            with checks.section(part.__name__):
                part(folder)
    checks.finish()


if __name__ == "__main__":
    main()

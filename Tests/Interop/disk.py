#!/usr/bin/env python3
"""Disks that fill up, for real: a small file system under spool and chunk store."""

import contextlib
import json
import os
import pathlib
import subprocess
import threading

from kit import REEL, Checks, System, Workspace, environment, eventually, mixed, seed_of

checks = Checks("disk")
DISK, RESERVE = 96, 40  # MiB; recordings are closed below 20


@contextlib.contextmanager
def small_disk(place):
    """A file system in memory at `place`; None where mounting isn't allowed."""
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=700", "reel-test", str(place)],
        capture_output=True, text=True)
    if done.returncode != 0:
        yield done.stderr.strip() or "mount failed"
        return
    try:
        yield None
    finally:
        subprocess.run(["umount", str(place)], check=False)


def fill_until(place, free_mib):
    """A file that leaves so much room."""
    space = os.statvfs(place)
    size = space.f_bavail * space.f_frsize - free_mib * (1 << 20)
    with open(place / "filler", "ab") as file:
        file.write(bytes(max(0, size)))


def guard_states(system):
    done = system.reel("status", "--json")
    return {room["state"] for room in json.loads(done.stdout)["disk_guard"]} if done.returncode == 0 else done


def refusing(system, place):
    fill_until(place, 30)
    checks.equal("below the reserve: status says so", guard_states(system), {"refusing"})
    checks.check("below the reserve: so does its text", b"NO NEW SESSIONS" in system.reel("status").stdout)
    done = system.reel("record", "-", "--name", "late", "--session-id", "late", stdin=b"x" * 100_000)
    checks.equal("below the reserve: a new session is refused with status 3", done.returncode, 3)
    checks.check("with the disk, its room and what to do",
                 str(place) in done.stderr and "MiB free" in done.stderr and "make room" in done.stderr,
                 done.stderr)
    checks.equal("no session was made", system.reel("events", "late", "--json").returncode, 1)
    checks.check("the system's log says so", eventually(
        lambda: "no new session begins" in system.log.read_text(errors="replace"), 15))
    os.unlink(place / "filler")
    checks.equal("room again: status says so", guard_states(system), {"open"})


def closing(system, place, seed):
    """The disk fills while a recording runs."""
    original = mixed(seed, 24 << 20, incompressible=1)
    recorder = subprocess.Popen(
        [REEL, "record", "-", "--name", "closed", "--session-id", "closed", "--chunk-size", "0.5",
         "--verbose", "--codec", "none", "--data", str(system.data)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=False,
        env=system.env)
    said, acknowledged = [], []

    def listen():
        for line in recorder.stderr:
            text = line.decode(errors="replace").strip()
            said.append(text)
            if text.startswith("chunk ") and " recorded: " in text:
                acknowledged.append(int(text.split(": ")[1].split()[0]))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    recorder.stdin.write(original[:4 << 20])
    recorder.stdin.flush()
    checks.check("the recording runs", eventually(lambda: len(acknowledged) >= 6, 30), said)
    fill_until(place, 8)
    with contextlib.suppress(BrokenPipeError):
        recorder.stdin.write(original[4 << 20:])
        recorder.stdin.close()
    status = recorder.wait(60)
    listener.join(10)
    text = "\n".join(said)
    checks.equal("a disk that gets full: the recording ends with status 3", status, 3)
    checks.check("and says why, and what was kept",
                 "recordings are closed" in text and "session closed keeps" in text, text[-600:])
    checks.check("the session completes with what there is",
                 eventually(lambda: system.status("closed") == "completed", 40), system.status("closed"))
    stopped = [e["data"] for e in system.events("closed") if e["type"] == "SessionStopped"]
    checks.check("it is stopped once, by the recorder, as incomplete",
                 len(stopped) == 1 and stopped[0].get("reason") == "recorder_failed"
                 and stopped[0].get("incomplete") is True, stopped)
    exported = system.reel("export", "closed", "-o", "-").stdout
    checks.check("everything that was acknowledged is there, and in its place",
                 len(exported) >= sum(acknowledged) and exported == original[:len(exported)],
                 (len(exported), sum(acknowledged)))
    checks.equal("and verifies", system.reel("verify", "closed").returncode, 0)
    os.unlink(place / "filler")
    done = system.reel("record", "-", "--name", "after", "--wait", "--chunk-size", "0.5", stdin=original[:1 << 20])
    checks.equal("with room again a recording completes", done.returncode, 0)


def main():
    seed = seed_of("disk")
    with Workspace("disk") as folder, small_disk(folder / "small") as problem:
        place = pathlib.Path(folder) / "small"
        if problem:
            checks.skip("a small disk", f"a file system cannot be mounted here: {problem}")
            checks.check("the guard is declared", b"--disk-reserve" in subprocess.run(
                [REEL, "record", "--help"], capture_output=True, env=environment()).stdout)
            checks.finish()
        env = environment(
            REEL_RECORDING_PATH=str(place / "spool"), REEL_CHUNK_OUTPUT_PATH=str(place / "chunks"),
            REEL_DISK_RESERVE_MB=str(RESERVE))
        with System(folder / "data", env=env) as system:
            # What 'reel status' and 'reel record' are told is what 'reel up' was told.
            run = system.reel
            system.reel = lambda *arguments, **more: run(*arguments, env=env, **more)
            with checks.section("refusing"):
                checks.equal("enough room: open", guard_states(system), {"open"})
                refusing(system, place)
            with checks.section("closing"):
                closing(system, place, seed)
    checks.finish()


main()

#!/usr/bin/env python3
"""Records 2 GB from standard input: neither `reel up` nor `reel record` grows beyond 200 MB."""

import hashlib
import os
import random
import subprocess
import threading

from kit import MIB, REEL, Checks, System, Workspace, environment, eventually, seed_of

checks = Checks("memory")
LIMIT_MB = 200
TOTAL = int(float(os.environ.get("REEL_MEMORY_GB", "2")) * (1 << 30))


def peak_mb(pid):
    """VmHWM in megabytes; None when the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


class Peak(threading.Thread):
    """Watches a process until it ends: its peak only ever grows, so the last look is the peak."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.megabytes, self.over = pid, 0.0, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.02):
            found = peak_mb(self.pid)
            if found is None:
                return
            self.megabytes = max(self.megabytes, found)


def feed(pipe, seed):
    """Writes TOTAL bytes, part noise and part text; answers their digest."""
    source, digest, left = random.Random(seed), hashlib.sha256(), TOTAL
    noise = source.randbytes(4 * MIB)
    text = b"".join(b"%d key pressed, screen redrawn\n" % source.randrange(1 << 40) for _ in range(1 << 16))
    while left:
        # A part of fixed noise with a number in front: no chunk is like another, and nobody waits for us.
        block = (source.randbytes(16) + (noise if source.random() < 0.5 else text))[:left]
        pipe.write(block)
        digest.update(block)
        left -= len(block)
    pipe.close()
    return digest.hexdigest()


def hash_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def run(command):
    """Runs a command and answers its exit status and its peak in megabytes."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=environment())
    peak = Peak(process.pid)
    _, stderr = process.communicate(timeout=600)
    return process.returncode, peak.megabytes, stderr.decode(errors="replace")


def main():
    seed = seed_of("memory")
    with Workspace("memory") as folder, System(folder / "data").start() as system:
        up = Peak(system.process.pid)
        recorder = subprocess.Popen(
            [REEL, "record", "-", "--name", "long", "--data", system.data, "--quiet"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        peak = Peak(recorder.pid)
        fed = feed(recorder.stdin, seed)
        stdout, stderr = recorder.stdout.read(), recorder.stderr.read()
        status = recorder.wait(300)
        session = stdout.decode().strip()
        checks.check(f"{TOTAL >> 20} MB from standard input are recorded", status == 0, f"{status} {stderr}")
        done = eventually(lambda: system.status(session) == "completed", 300, 0.5)
        checks.check("and completed", done, system.status(session))
        checks.check(f"reel record stays under {LIMIT_MB} MB", 0 < peak.megabytes < LIMIT_MB,
                     f"{peak.megabytes:.0f} MB")
        checks.check(f"reel up stays under {LIMIT_MB} MB", 0 < up.megabytes < LIMIT_MB,
                     f"{up.megabytes:.0f} MB")
        print(f"memory: reel record {peak.megabytes:.0f} MB, reel up {up.megabytes:.0f} MB", flush=True)
        target = folder / "back"
        for command in (["export", session, "-o", str(target)], ["verify", session]):
            status, megabytes, stderr = run([REEL, *command, "--data", str(system.data)])
            checks.check(f"reel {command[0]} answers 0", status == 0, f"{status} {stderr}")
            checks.check(f"reel {command[0]} stays under {LIMIT_MB} MB", 0 < megabytes < LIMIT_MB,
                         f"{megabytes:.0f} MB")
        checks.equal("what comes back is what went in", hash_of(target), fed)
    checks.finish()


if __name__ == "__main__":
    main()

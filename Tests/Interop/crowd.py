"""Ten thousand connections that are held open and ask for nothing."""

import contextlib
import resource
import socket
import struct
import time

from kit import eventually

IDLE, HALF_OPEN, BATCH = 10_000, 1_000, 500
# What the server may have open besides; see raiseFileLimit.
OTHERS = 3_000
# 36 KiB are a connection's own, and there is whatever the requests themselves need.
MEMORY_LIMIT = 700 << 20
REQUEST = b"GET /api/v1/health/live HTTP/1.1\r\nHost: reel\r\n\r\n"


def resident(pid):
    """Resident memory of a process in bytes."""
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def answers(connection):
    """Whether the request that was sent is answered as it should be."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = connection.recv(1 << 14)
        if not part:
            return False
        found += part
    return found.startswith(b"HTTP/1.1 200 ")


def leave(held):
    """Closes at once, so that no port is left behind that can't be used for a while."""
    for connection in held:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def crowd(checks, system, wire):
    """Connections that have been served and stay, and others that never finish their header."""
    name = f"{IDLE + HALF_OPEN:,} connections"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = IDLE + HALF_OPEN + OTHERS
    if hard != resource.RLIM_INFINITY and hard < needed:
        checks.skip(name, f"the hard limit of open files is {hard:,}, and {needed:,} are needed")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))

    def connections():
        _, text = wire.ask("GET", "/metrics")
        return max(
            (int(float(line.split()[-1])) for line in text.decode().splitlines()
             if line.startswith("reel_http_connections ")), default=0)

    before = resident(system.process.pid)
    held, served, used = [], 0, []
    try:
        for _ in range(0, IDLE, BATCH):
            batch = [wire.open() for _ in range(BATCH)]
            held += batch
            for connection in batch:
                connection.sendall(REQUEST)
            served += sum(answers(connection) for connection in batch)
            used.append(time.monotonic())
        checks.equal(f"all of {IDLE:,} connections are served", served, IDLE)
        opened = [wire.open() for _ in range(HALF_OPEN)]
        held += opened
        for connection in opened:
            connection.sendall(REQUEST[:30])
        # Whoever asks for nothing is let go after a minute, which a slow machine may need for all of this.
        count = connections()
        fresh = BATCH * sum(time.monotonic() - at < 50 for at in used)
        checks.check(f"{fresh:,} of them stay open", count >= fresh, count)
        slowest, well = 0.0, True
        for _ in range(50):
            asked = time.monotonic()
            well = wire.api("GET", "/health/live")[0] == 200 and well
            slowest = max(slowest, time.monotonic() - asked)
        checks.check("others are served meanwhile", well)
        checks.check("and nobody waits for them", slowest < 10, slowest)
        grown = resident(system.process.pid) - before
        checks.check("they take a bounded memory", grown < MEMORY_LIMIT, f"{grown >> 20} MiB")
        print(f"attacks: {len(held):,} connections took {grown >> 20} MiB; slowest {slowest * 1000:.0f} ms")
    finally:
        leave(held)
    checks.check("they are gone when they hang up", eventually(lambda: connections() < 1_000, 60))
    checks.equal("and others are served", wire.api("GET", "/health/live")[0], 200)

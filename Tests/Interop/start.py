#!/usr/bin/env python3
"""How the program is started: with descriptors closed, with output that cannot be written, on a terminal that goes
away, and where /proc is not mounted.
"""

import http.client
import itertools
import os
import pathlib
import pty
import signal
import subprocess
import sys

from kit import REEL, Checks, System, Workspace, environment, eventually, reel

checks = Checks("start")
SETS = [closed for size in range(4) for closed in itertools.combinations((0, 1, 2), size)]


def started(arguments, closed=(), log=None, env=None, before=""):
    """A process that begins with these descriptors closed; those that are open are pipes, or go to the log."""
    # By a shell, not by preexec_fn: there Python's own pipe to the child would get one of the numbers.
    shell = before + 'exec "$@" ' + " ".join(f"{number}>&-" for number in closed)
    output = subprocess.PIPE if log is None else log
    return subprocess.Popen(
        ["sh", "-c", shell, "sh", REEL, *map(str, arguments)], env=env or environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if 1 in closed else output, stderr=subprocess.DEVNULL if 2 in closed else output)


def ended(process, seconds=120):
    """Status, standard output and standard error."""
    out, error = process.communicate(timeout=seconds)
    return process.returncode, (out or b"").decode(), (error or b"").decode()


def named(closed):
    return f"{', '.join(map(str, closed)) or 'none'} closed"


def listening(pid):
    """A port that a process listens on; None while there is none."""
    sockets = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(entry))
        except OSError:
            continue
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
            return int(fields[1].split(":")[1], 16)
    return None


def healthy(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/health/live")
    return connection.getresponse().status


def commands(system, place):
    """Commands that end: what they say, and what they record."""
    source = (place / "source").read_bytes()
    wrong = {}
    for closed in SETS:
        status, out, error = ended(started(["--version"], closed))
        wanted = (3 if 1 in closed else 0, 1 not in closed, {1} == set(closed) - {0})
        found = (status, out.startswith("reel "), "standard output" in error)
        if found != wanted:
            wrong[f"--version, {named(closed)}"] = (found, wanted)
        name = "closed-" + ("".join(map(str, closed)) or "none")
        status, out, error = ended(started(
            ["record", place / "source", "--name", name, "--session-id", name, "--data", system.data], closed))
        # Where nobody can be told the session's id, the recording is kept all the same.
        wanted = (3 if 1 in closed else 0, "" if 1 in closed else name)
        if (status, out.strip()) != wanted:
            wrong[f"record, {named(closed)}"] = ((status, out, error), wanted)
        whole = lambda: system.reel("export", name, "-o", "-").stdout == source
        if not eventually(whole, 60):
            wrong[f"export of what was recorded, {named(closed)}"] = system.reel("export", name, "-o", "-").stderr
    checks.equal("commands with descriptors closed", wrong, {})
    wrong = {}
    for closed in [closed for closed in SETS if 0 in closed]:
        status, _, error = ended(started(["record", "-", "--name", "x", "--data", system.data], closed))
        if status != 2 or (2 not in closed and "standard input is closed" not in error):
            wrong[named(closed)] = (status, error)
    checks.equal("record - with standard input closed: status 2, and why", wrong, {})
    for what, redirection in (("a folder", "</tmp"), ("a file that is written", "0>>/dev/null")):
        status, _, error = ended(subprocess.Popen(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", REEL, "record", "-", "--name", "x", "--data",
             str(system.data)], stderr=subprocess.PIPE, env=environment()))
        checks.check(f"record - from {what}: status 2, and why",
                     status == 2 and "standard input" in error, f"found {(status, error)}, expected 2")


def outputs(system, place):
    """Standard output and error that are full, or that nobody reads."""
    session = system.reel("record", place / "source", "--name", "outputs", "--wait").stdout.decode().strip()
    for arguments in (["--version"], ["sessions", "list"], ["events", session, "--json"], ["export", session, "-o", "-"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([REEL, *arguments, *(["--data", system.data] if len(arguments) > 1 else [])],
                                  stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, env=environment())
        error = done.stderr.decode()
        checks.check(f"{' '.join(arguments[:2])} to a full disk: status 3, and why", done.returncode == 3
                     and "standard output" in error and "No space left" in error,
                     f"found {(done.returncode, error)}, expected 3")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([REEL, "events", session, "--json", "--data", system.data], stdout=writing,
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    os.close(writing)
    left = list(pathlib.Path("/dev/shm").glob(f"mongoc-{system.process.pid}"))
    checks.equal("a service leaves no name in /dev/shm, which would stay when it is killed", left, [])
    script = ': > "/dev/shm/mongoc-$$"; exec "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", REEL, "--version"], stdin=subprocess.DEVNULL,
                          capture_output=True, env=environment())
    checks.equal("a name that a killed process with the same number has left: no complaint",
                 (done.returncode, done.stderr), (0, b""))
    checks.equal("events to a pipe that nobody reads: no complaint", (done.returncode, done.stderr), (0, b""))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = subprocess.Popen([REEL, "export", session, "-o", "-", "--data", system.data], stdout=writing,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    os.close(writing)
    found = b""
    while part := os.read(reading, 1 << 12):
        found += part
    os.close(reading)
    status, _, error = ended(process)
    checks.check("export to a pipe that does not wait: everything", status == 0 and len(found) == 300_000,
                 f"found {(status, len(found), error)}, expected (0, 300000, '')")


def services(system, place):
    """A service with descriptors closed serves; what it opens gets other numbers."""
    env = environment(**system.server_urls())
    keys = ["--keys", system.endpoints["keys"]]
    running = {}
    for closed in SETS:
        ready = place / ("ready-" + ("".join(map(str, closed)) or "none"))
        with open(f"{ready}.log", "ab") as log:
            process = started(["serve", "api", "--data", f"{ready}.data", *keys, "--ready-file", ready], closed, log, env)
        running[closed] = (process, ready)
    wrong = {}
    for closed, (process, ready) in running.items():
        if not eventually(ready.exists, 90):
            wrong[named(closed)] = f"not in service, status {process.poll()}: {pathlib.Path(f'{ready}.log').read_text()}"
            continue
        held = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
        wanted = ["/dev/null" if number in (0, *closed) else f"{ready}.log" for number in range(3)]
        found = (healthy(listening(process.pid)), held)
        if found != (200, wanted):
            wrong[named(closed)] = (found, wanted)
    checks.equal("a service with descriptors closed is in service", wrong, {})
    for process, _ in running.values():
        process.terminate()
    checks.equal("and ends cleanly", [process.wait(60) for process, _ in running.values()], [0] * len(running))


def embedded(place):
    """`reel up` with everything closed, its servers too; and what a hang-up does to it."""
    system = System(place / "all-closed")
    system.process = started(["up", "--data", system.data], (0, 1, 2))
    system.endpoints = eventually(system._ready, 90)
    checks.check("reel up with 0, 1 and 2 closed serves", system.endpoints, f"status {system.process.poll()}")
    held = [os.readlink(f"/proc/{system.process.pid}/fd/{number}") for number in range(3)]
    checks.equal("with nothing in their place", held, ["/dev/null"] * 3)
    # What was a log line would be in there.
    lock = (system.data / "reel.lock").read_text()
    checks.check("and nothing in its lock but its process id", lock.strip() in ("", str(system.process.pid)), lock)
    servers = [system.child(program) for program in ("redis-server", "mongod")]
    system.process.send_signal(signal.SIGHUP)
    system.process.send_signal(signal.SIGHUP)
    checks.equal("a hang-up ends it as SIGTERM does", system.process.wait(60), 0)
    checks.check("and its servers", eventually(lambda: not any(
        os.path.exists(f"/proc/{server}") for server in servers), 10), servers)


def terminals(system, place):
    """A terminal that is closed, and one that nobody hears of."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [REEL, "record", str(place / "pipe"), "--name", "terminal", "--session-id", "terminal", "--data", system.data],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=environment(),
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0))
    os.close(slave)
    # Opened for reading, too, so that it does not wait for a reader that may have ended.
    with open(place / "pipe", "r+b", buffering=0) as pipe:
        pipe.write(b"some bytes")
        recording = lambda: system.reel("sessions", "show", "terminal", "--json").returncode == 0
        checks.check("recording on a terminal", eventually(recording, 60))
        os.close(master)
        checks.equal("the terminal is closed: it ends as by Ctrl-C", process.wait(60), 130)
    checks.equal("and keeps what it has", system.status("terminal") in ("stopped", "processing", "completed"), True)
    with open(place / "nohup.log", "ab") as log:
        ready = place / "nohup"
        env = environment(**system.server_urls())
        process = started(
            ["serve", "api", "--data", place / "nohup.data", "--keys", system.endpoints["keys"], "--ready-file", ready],
            log=log, env=env, before="trap '' HUP; ")
    checks.check("under nohup: in service", eventually(ready.exists, 90))
    process.send_signal(signal.SIGHUP)
    checks.equal("and a hang-up is ignored", healthy(listening(process.pid)), 200)
    process.terminate()
    checks.equal("SIGTERM is not", process.wait(60), 0)


def without_proc(system, place):
    """/proc hidden, in a namespace of mounts of its own."""
    hide = "mount -t tmpfs none /proc 2>/dev/null && exec \"$@\""
    ways = [["unshare", "-m"], ["unshare", "-rm"]]
    way = next((way for way in ways if subprocess.run(
        [*way, "sh", "-c", hide, "sh", "true"], capture_output=True).returncode == 0), None)
    if way is None:
        return checks.skip("without /proc", "no namespace of mounts may be made here")

    def hidden(*arguments, **more):
        return subprocess.Popen([*way, "sh", "-c", hide, "sh", REEL, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(**more))

    status, out, error = ended(hidden("--version"))
    checks.check("without /proc: arguments arrive", status == 0 and out.startswith("reel "), (status, out, error))
    status, out, error = ended(hidden("record", place / "source", "--name", "hidden", "--wait", "--data", system.data))
    checks.equal("and it records", status, 0)
    status, out, error = ended(hidden("verify", out.strip(), "--data", system.data))
    checks.check("and verifies", status == 0, f"found {(status, out, error)}, expected 0")
    hiding = System(place / "hidden")
    hiding.process = subprocess.Popen(
        [*way, "sh", "-c", hide, "sh", REEL, "up", "--data", str(hiding.data)], stdin=subprocess.DEVNULL,
        stdout=open(hiding.log, "wb"), stderr=subprocess.STDOUT, env=environment())
    try:
        hiding.endpoints = eventually(hiding._ready, 90)
        if checks.check("and reel up serves", hiding.endpoints, hiding.log.read_text()[-500:]):
            port = int(hiding.endpoints["api_url"].rsplit(":", 1)[1])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/api/v1/openapi.json")
            checks.equal("and finds its description", connection.getresponse().status, 200)
            done = reel("record", place / "source", "--name", "hidden", "--wait", data=hiding.data)
            checks.check("and seals", done.returncode == 0, f"found {(done.returncode, done.stderr)}, expected 0")
    finally:
        checks.equal("and ends cleanly", hiding.stop(), 0)


def arguments():
    """Arguments that are no text."""
    done = reel("sessions", "show", b"\xff\xfe".decode(errors="surrogateescape"))
    checks.check("an argument that is no UTF-8: status 2, and which",
                 (done.returncode, "argument 3 is not UTF-8" in done.stderr) == (2, True),
                 f"found {(done.returncode, done.stderr)}, expected 2")


def main():
    with Workspace("start") as place:
        (place / "source").write_bytes(os.urandom(300_000))
        os.mkfifo(place / "pipe")
        with System(place / "data") as system:
            parts = {
                "commands": lambda: commands(system, place), "outputs": lambda: outputs(system, place),
                "services": lambda: services(system, place), "terminals": lambda: terminals(system, place),
                "without /proc": lambda: without_proc(system, place), "arguments": arguments,
                "embedded": lambda: embedded(place),
            }
            for name in sys.argv[1:] or list(parts):
                with checks.section(name):
                    parts[name]()
    checks.finish()


main()

#!/usr/bin/env python3
"""Roles as processes: any number of each on servers of somebody else; probes, stopping, refusals."""

import json
import signal
import subprocess
import time

from kit import Checks, Workspace, environment, eventually, mixed, reel, seed_of
from servers import Servers, Site

checks = Checks("serve")


def refusals(folder):
    urls = {"REDIS_URL": "redis://127.0.0.1:1", "MONGODB_URL": "mongodb://127.0.0.1:1"}
    cases = [
        ("no role", [], urls, "ROLE is missing"),
        ("an unknown role", ["cook"], urls, "cook"),
        ("one port for two roles", ["pipeline", "recorder", "--port", "8083", "--recorder-port", "8083"], urls,
         "8083"),
        ("half of a certificate", ["api", "--tls-cert", "/none"], urls, "--tls-key"),
        ("stages of nobody", ["pipeline", "--stages", "compress"], urls, "--stages"),
        ("an unknown stage", ["processor", "--stages", "compress,shred"], urls, "shred"),
        ("no Redis", ["pipeline"], {"MONGODB_URL": urls["MONGODB_URL"]}, "REDIS_URL"),
        ("no MongoDB", ["pipeline"], {"REDIS_URL": urls["REDIS_URL"]}, "MONGODB_URL"),
        ("a bad value of any variable", ["pipeline"], dict(urls, REEL_CODEC="rar"), "REEL_CODEC"),
    ]
    for name, arguments, more, word in cases:
        done = reel("serve", *arguments, data=folder / "none", env=environment(**more), timeout=20)
        checks.check(f"{name}: refused with status 2 and a word on it",
                     done.returncode == 2 and word in done.stderr, (done.returncode, done.stderr))
    began = time.monotonic()
    done = reel("serve", "projector", "--startup-wait", "1", data=folder / "none",
                env=environment(**urls), timeout=30)
    checks.check("servers that stay away: status 3 after the wait",
                 done.returncode == 3 and time.monotonic() - began < 20, (done.returncode, done.stderr))
    checks.check("and the address is named", "127.0.0.1:1" in done.stderr, done.stderr)


def startup(site, servers):
    """Everything starts at once after a power cut: roles wait for servers."""
    role = site.serve("pipeline", name="pipeline", ready=False)
    checks.check("a role that starts first says what it waits for",
                 eventually(lambda: "waiting for a server" in role.said()), role.said())
    checks.check("and is not in service", role.check().returncode == 1 and role.file() is None)
    servers.start_redis()
    servers.start_mongo()
    checks.check("it comes into service when the servers do", eventually(role.is_in_service, 40), role.said())
    eventually(lambda: role.check().returncode == 0, 20)
    done = role.check()
    checks.check("the probe says so", done.returncode == 0 and b"pipeline" in done.stdout, done.stderr)
    return role


def record(site, seed, size, *more):
    original = mixed(seed, size)
    done = site.reel("record", "-", "--name", "apart", "--chunk-size", "0.25", "--wait", *more, stdin=original)
    return done, original, done.stdout.decode().strip()


def proven(site, what, done, original, session):
    checks.check(f"{what}: recorded and completed", done.returncode == 0, (done.returncode, done.stderr))
    checks.equal(f"{what}: verified", site.reel("verify", session).returncode, 0)
    checks.check(f"{what}: exported identical",
                 site.reel("export", session, "-o", "-").stdout == original)


def apart(site, seed):
    """One process for each stage, two for the first."""
    for number in range(2):
        site.serve("processor", "--stages", "compress", "--workers", 2, name=f"compress-{number}")
    sealing = site.serve("processor", "--stages", "encrypt,validate", name="seal")
    site.serve("storage", name="storage")
    site.serve("projector", name="projector")
    done, original, session = record(site, seed, 5_000_000)
    proven(site, "stages in processes of their own", done, original, session)
    found = site.reel("sessions", "show", session, "--json")
    checks.check("the projector of another process has shown it",
                 eventually(lambda: b'"completed"' in site.reel("sessions", "show", session, "--json").stdout),
                 found.stdout)
    events = [json.loads(line) for line in site.reel("events", session, "--json").stdout.splitlines()]
    compressed = [e["data"].get("spool_path") for e in events if e["type"] == "ChunkCompressed"]
    sealed = [e["data"].get("spool_path") for e in events if e["type"] == "ChunkSealed"]
    checks.check("compressed chunks were handed over through the spool", compressed and all(compressed))
    checks.check("sealed ones in memory, to the stage beside", sealed and not any(sealed))
    left = [f for f in (site.folder / "spool").rglob("*") if f.is_file()]
    checks.equal("nothing is left in the spool", left, [])
    status = site.reel("status", "--json")
    checks.check("reel status finds the system by its servers", status.returncode == 0, status.stderr)
    behind = {stage["name"]: stage["behind"] for stage in json.loads(status.stdout)["stages"]}
    checks.check("and has the lag that an autoscaler reads, of every stage",
                 set(behind) == {"compress", "encrypt", "validate", "store"}
                 and all(isinstance(count, int) for count in behind.values()), behind)
    return sealing


def killed(site, seed, sealing):
    """kill -9 in the middle: others take over."""
    second = site.serve("processor", "storage", name="spare")
    original = mixed(seed, 12_000_000)
    recorder = subprocess.Popen(
        [*reel_command(), "record", "-", "--name", "killed", "--session-id", "killed", "--chunk-size",
         "0.25", "--wait", "--verbose"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=site.env)
    recorder.stdin.write(original[:6_000_000])
    recorder.stdin.flush()
    sealing.process.kill()
    recorder.stdin.write(original[6_000_000:])
    recorder.stdin.close()
    recorder.stdin = None
    _, said = recorder.communicate(timeout=90)
    checks.check("kill -9 of the only sealing process: completed all the same",
                 recorder.returncode == 0, said[-500:])
    checks.equal("and verified", site.reel("verify", "killed").returncode, 0)
    checks.check("and identical", site.reel("export", "killed", "-o", "-").stdout == original)
    return second


def reel_command():
    from kit import REEL
    return [REEL]


def probes(site, servers, role):
    servers.stop("redis")
    checks.check("Redis away: not ready",
                 eventually(lambda: (role.file() or {}).get("state") == "cut_off", 20), role.file())
    done = role.check()
    checks.check("Redis away: the probe for traffic says no", done.returncode == 1, done.stderr)
    checks.equal("Redis away: the probe for life says yes", role.check("live").returncode, 0)
    servers.start_redis()
    checks.check("Redis back: ready again, without a restart",
                 eventually(lambda: role.check().returncode == 0, 20), role.said()[-500:])
    role.process.send_signal(signal.SIGSTOP)
    stale = json.loads(role.ready_file.read_text())
    stale["time"] = "2020-01-01T00:00:00.000Z"
    role.ready_file.write_text(json.dumps(stale))
    done = role.check("live")
    checks.check("a process that hangs: the probe for life says no",
                 done.returncode == 1 and "hangs" in done.stderr, done.stderr)
    role.process.send_signal(signal.SIGCONT)
    checks.check("and yes when it goes on", eventually(lambda: role.check("live").returncode == 0, 10))


def stopping(site, seed):
    """SIGTERM under load: what is in hand is finished, and the others do the rest."""
    original = mixed(seed, 6_000_000)
    feeding = subprocess.Popen(
        [*reel_command(), "record", "-", "--name", "s", "--session-id", "stopping", "--chunk-size", "0.1",
         "--wait"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=site.env)
    feeding.stdin.write(original[:3_000_000])
    feeding.stdin.flush()
    first = next(role for role in site.roles if role.process.poll() is None and "storage" in role.said()[:400])
    began = time.monotonic()
    checks.equal("SIGTERM: status 0", first.end(), 0)
    checks.check("SIGTERM: within the deadline", time.monotonic() - began < 25)
    checks.check("SIGTERM: the ready file is gone", first.file() is None)
    checks.equal("SIGTERM: the probe says no", first.check().returncode, 1)
    said = first.said()
    checks.check("SIGTERM: says that it stops and that it has", "stopping" in said and "stopped" in said)
    feeding.stdin.write(original[3_000_000:])
    feeding.stdin.close()
    feeding.stdin = None
    _, said = feeding.communicate(timeout=90)
    checks.check("SIGTERM: the recording completes with the others", feeding.returncode == 0, said[-500:])
    checks.equal("SIGTERM: and is verified", site.reel("verify", "stopping").returncode, 0)


def main():
    seed = seed_of("serve")
    with Workspace("serve") as folder:
        with checks.section("refusals"):
            refusals(folder)
        with Servers(folder) as servers, Site(folder, servers) as site, checks.section("a site"):
            role = startup(site, servers)
            sealing = apart(site, seed)
            killed(site, seed + 1, sealing)
            stopping(site, seed + 2)
            probes(site, servers, role)
            statuses = [role.end() for role in site.roles if role is not sealing]
            checks.check("everybody ends with status 0", set(statuses) == {0}, statuses)
    checks.finish()


main()

#!/usr/bin/env python3
"""What an operator gets wrong, and puts right again: a Redis over its memory, one that cannot save, a
replica, settings that keep less or evict, an archive that cannot be written, a changed password, a user
without INFO, an emptied server. It is named, looked at, waited for."""

import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

from api import DESK, Client
from feeding import Feed
from kit import REEL, Checks, Redis, System, Workspace, environment, eventually, mixed
from servers import Servers

checks = Checks("operators")
PARTITIONS = 4


def record(system, session):
    done = system.reel(
        "record", "-", "--name", session, "--session-id", session, "--chunk-size", 0.02,
        stdin=mixed(len(session), 60_000))
    if done.returncode == 0:
        eventually(lambda: system.status(session) == "completed", 20)
    return done


def port_says(system, path):
    """What the API's port answers, whatever its status."""
    try:
        with urllib.request.urlopen(system.endpoints["api_url"] + path, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def figure(system, name):
    """The value of a metric without labels, as text."""
    for line in port_says(system, "/metrics").splitlines():
        if line.startswith(name + " "):
            return line.split(" ")[1]
    return None


def is_seen(name, system, session, words, folder):
    """A log that takes no writes is read, and what is wrong with it is named everywhere."""
    checks.check(f"{name}: health names it",
                 eventually(lambda: words in port_says(system, "/health"), 15), port_says(system, "/health"))
    checks.equal(f"{name}: the figures say so", figure(system, "reel_redis_takes_writes"), "0")
    done = system.reel("status")
    checks.check(f"{name}: status names it", done.returncode == 0
                 and f"TROUBLE: {words}" in done.stdout.decode(), (done.returncode, done.stdout, done.stderr))
    for command in (["events", session], ["events", "--limit", 3], ["verify", session], ["archive", "status"],
                    ["archive", "verify"], ["parked", "list"], ["partitions", "list"], ["replay", "--verify"],
                    ["sessions", "show", session], ["proof", session, 1]):
        done = system.reel(*command)
        checks.equal(f"{name}: {command[0]} {command[1]} answers", done.returncode, 0)
    out = folder / f"{session}.out"
    before = time.monotonic()
    # Both wait for the log for a while.
    with concurrent.futures.ThreadPoolExecutor() as both:
        recording, exporting = both.submit(record, system, "refused"), both.submit(
            system.reel, "export", session, "-o", out)
    done = recording.result()
    checks.check(f"{name}: recording says why it cannot", done.returncode == 3 and words in done.stderr,
                 (done.returncode, done.stderr))
    done = exporting.result()
    checks.check(f"{name}: an export that could leave no record is refused, and says why",
                 done.returncode == 3 and words in done.stderr and not out.exists(),
                 (done.returncode, done.stderr))
    checks.check(f"{name}: within the time that is waited", time.monotonic() - before < 60)


def is_over(name, system, session):
    """Everything goes on by itself."""
    checks.check(f"{name}: over: health is well",
                 eventually(lambda: json.loads(port_says(system, "/health"))["status"] == "healthy", 40),
                 port_says(system, "/health"))
    checks.equal(f"{name}: over: recordings are taken", record(system, session).returncode, 0)
    checks.equal(f"{name}: over: and sound", system.reel("verify", session).returncode, 0)
    checks.equal(f"{name}: over: nobody ended", system.process.poll(), None)


def over_memory(system, folder):
    redis = system.redis()
    redis("CONFIG", "SET", "maxmemory", "1mb")
    is_seen("over memory", system, "first", "the server is at its maxmemory", folder)
    done = system.reel("archive", "run", "--all")
    checks.equal("over memory: room can be made", done.returncode, 0)
    left = sum(redis("XLEN", f"reel:{{p{n:03d}}}:log") for n in range(PARTITIONS))
    checks.check("over memory: and is made without being asked", left <= PARTITIONS, left)
    checks.equal("over memory: what left Redis is sound", system.reel("verify", "first").returncode, 0)
    redis("CONFIG", "SET", "maxmemory", "0")
    is_over("over memory", system, "second")


def cannot_save(system, folder):
    """stop-writes-on-bgsave-error, and a snapshot that fails: a folder stands where it should be written."""
    redis = system.redis()
    redis("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
    redis("CONFIG", "SET", "save", "3600 100000")
    place = system.data / "redis" / redis("CONFIG", "GET", "dbfilename")[1].decode()
    place.unlink(missing_ok=True)
    (place / "in the way").mkdir(parents=True)
    redis("BGSAVE")
    checks.check("cannot save: the server refuses", eventually(lambda: refuses(redis), 10))
    is_seen("cannot save", system, "first", "the server cannot write its disk", folder)
    (place / "in the way").rmdir()
    place.rmdir()
    redis("CONFIG", "SET", "save", "")
    redis("BGSAVE")
    is_over("cannot save", system, "third")


def refuses(redis):
    try:
        redis("DEL", "nothing")
    except RuntimeError as error:
        return "MISCONF" in str(error)
    return False


def replica(system, folder):
    redis = system.redis()
    redis("REPLICAOF", "127.0.0.1", "1")
    is_seen("a replica", system, "first", "the server is a read-only replica", folder)
    redis("REPLICAOF", "NO", "ONE")
    is_over("a replica", system, "fourth")


def warned(system):
    """What `reel status` says of settings that keep less than once; None where it says nothing."""
    done = system.reel("status", "--json")
    return json.loads(done.stdout)["redis"].get("worsened") if done.returncode == 0 else None


def less_durable(system):
    """Somebody switches off what an append has survived."""
    words = "the server's settings have become worse"
    redis = system.redis()
    redis("CONFIG", "SET", "appendfsync", "no")
    checks.check("less durable: health says so within seconds",
                 eventually(lambda: words in port_says(system, "/health"), 10),
                 port_says(system, "/health"))
    checks.equal("less durable: and the figures", figure(system, "reel_redis_durable"), "0")
    checks.check("less durable: and the log", words in system.log.read_text())
    done = system.reel("status")
    checks.check("less durable: and reel status, as a warning", done.returncode == 0
                 and f"WARNING: {words}" in done.stdout.decode() and b"TROUBLE" not in done.stdout,
                 (done.returncode, done.stdout, done.stderr))
    system.stop()
    # The server of `reel up` starts with its own settings again; whoever changes them before a process looks
    # at them is whoever changes the file of a server that is not Reel's.
    system.start()
    checks.check("less durable: a server that is set right is no trouble", warned(system) is None
                 and words not in port_says(system, "/health"), port_says(system, "/health"))


def less_durable_for_good(folder):
    """A server that is not Reel's keeps its settings while processes come and go."""
    words = "the server's settings have become worse"
    with Servers(folder) as servers:
        servers.start_redis()
        servers.start_mongo()
        redis = Redis(servers.redis_url)
        system = System(folder / "settings", "--redis-url", servers.redis_url, "--mongodb-url",
                        servers.mongodb_url, "--partitions", PARTITIONS).start()
        eventually(lambda: redis("HGET", "reel:meta", "durability") == b"always 0", 10)
        system.stop()
        redis("CONFIG", "SET", "appendfsync", "everysec")
        system.start()
        checks.check("less durable: said by a process that never saw it better",
                     eventually(lambda: words in port_says(system, "/health"), 10)
                     and words in system.log.read_text(), port_says(system, "/health"))
        found = warned(system)
        checks.check("less durable: and by reel status", "appendfsync was always once" in (found or ""), found)
        done = system.reel("durability", "accept", "--reason", "slow disks")
        checks.check("less durable: somebody accepts it", done.returncode == 0
                     and words in done.stdout.decode(), (done.returncode, done.stdout, done.stderr))
        checks.check("less durable: then nobody says it any more", warned(system) is None and eventually(
            lambda: json.loads(port_says(system, "/health"))["status"] == "healthy", 10),
            port_says(system, "/health"))
        kept = [one for one in json.loads(system.reel("audit", "--json").stdout)["records"]
                if one.get("resource_id") == "durability" or "durability accept" in json.dumps(one)]
        checks.check("less durable: who accepted it is on record", len(kept) == 1
                     and "slow disks" in json.dumps(kept), kept)
        done = system.reel("durability", "accept", "--reason", "again")
        checks.equal("less durable: there is nothing more to accept", done.returncode, 1)
        system.stop()


def demanded(folder):
    """Settings that a log that has to be durable cannot have, while everything runs."""
    env = environment(REEL_DURABILITY="durable")
    with System(folder / "demanded", "--partitions", PARTITIONS, env=env) as system:
        redis = system.redis()
        with open(system.endpoints["admin_token_file"]) as file:
            admin = Client(system.endpoints["api_url"], file.read().strip())
        for number, (setting, value, right, words) in enumerate([
                ("appendfsync", "everysec", "always", "durable appends are demanded"),
                ("maxmemory-policy", "allkeys-lru", "noeviction", "maxmemory-policy is allkeys-lru")]):
            name = f"demanded, {setting}"
            fed = Feed(system, f"fed-{number}", number, "zstd", env=env)
            eventually(lambda: len(fed.acknowledged) > 1, 20)
            redis("CONFIG", "SET", setting, value)
            checks.check(f"{name}: health says so within seconds",
                         eventually(lambda: words in port_says(system, "/health"), 10),
                         port_says(system, "/health"))
            checks.equal(f"{name}: and the figures", figure(system, "reel_redis_settings_suitable"), "0")
            checks.check(f"{name}: and the log", f"{words}" in system.log.read_text()
                         and "nothing is appended until then" in system.log.read_text())
            done = system.reel("status", env=env)
            checks.check(f"{name}: and reel status", done.returncode == 0
                         and f"TROUBLE: {words}" in done.stdout.decode(),
                         (done.returncode, done.stdout, done.stderr))
            status, answer, _ = admin.ask("POST", "/sessions", DESK)
            checks.check(f"{name}: the API takes no session", status == 503, (status, answer))
            checks.check(f"{name}: a recorder waits and says why",
                         eventually(lambda: any(words in line for line in fed.said), 15) and fed.is_alive(),
                         fed.said[-3:])
            ends = [redis("XINFO", "STREAM", f"reel:{{p{n:03d}}}:log")[13] for n in range(PARTITIONS)
                    if redis("EXISTS", f"reel:{{p{n:03d}}}:log")]
            done = system.reel("record", "-", "--name", "n", "--session-id", f"refused-{number}",
                               stdin=mixed(1, 1000), env=env)
            checks.check(f"{name}: recording says why it cannot", done.returncode == 3
                         and words in done.stderr, (done.returncode, done.stderr))
            checks.equal(f"{name}: nothing is appended meanwhile", [
                redis("XINFO", "STREAM", f"reel:{{p{n:03d}}}:log")[13] for n in range(PARTITIONS)
                if redis("EXISTS", f"reel:{{p{n:03d}}}:log")], ends)
            redis("CONFIG", "SET", setting, right)
            is_over(name, system, f"after-{number}")
            checks.equal(f"{name}: over: and the figures",
                         figure(system, "reel_redis_settings_suitable"), "1")
            fed.finish()
            checks.equal(f"{name}: the recording is whole", fed.status, 0)
            checks.check(f"{name}: completed and sound", eventually(
                lambda: system.status(f"fed-{number}") == "completed", 20)
                and system.reel("verify", f"fed-{number}").returncode == 0, system.status(f"fed-{number}"))


STUCK = 'reel_archive_stuck_partitions{reason="failed"}'


def is_stuck(name, system, words, why, status=True):
    """An archiver that cannot go on is named in health, figures, archive status and reel status."""
    checks.check(f"{name}: health says so",
                 eventually(lambda: f"the archiver is stuck in {words}" in port_says(system, "/health"), 30),
                 port_says(system, "/health"))
    checks.check(f"{name}: and the figures", (figure(system, STUCK) or "0") != "0", figure(system, STUCK))
    done = system.reel("archive", "status")
    checks.check(f"{name}: and archive status, with the reason", done.returncode == 0
                 and "STUCK" in done.stdout.decode() and why in done.stdout.decode(),
                 (done.returncode, done.stdout, done.stderr))
    if status:
        status_says_stuck(name, system, words, why)


def status_says_stuck(name, system, words, why):
    done = system.reel("status")
    checks.check(f"{name}: and reel status", done.returncode == 0
                 and f"STUCK     archiver, {words}" in done.stdout.decode() and why in done.stdout.decode(),
                 (done.returncode, done.stdout, done.stderr))
    done = system.reel("status", "--json")
    found = json.loads(done.stdout)["archive"]["stuck"] if done.returncode == 0 else []
    checks.check(f"{name}: and its JSON", found and all(why in one["reason"] for one in found), found)


def goes_on(name, system):
    checks.check(f"{name}: over: health is well",
                 eventually(lambda: json.loads(port_says(system, "/health"))["status"] == "healthy", 40),
                 port_says(system, "/health"))
    checks.equal(f"{name}: over: the figures say so", figure(system, STUCK), "0")
    said = system.reel("archive", "status").stdout + system.reel("status").stdout
    checks.check(f"{name}: over: and archive status and reel status", said and b"STUCK" not in said, said)


def stuck(folder):
    """An archiver that can't go on: something stands in its folder's place, or nobody says what may go."""
    with Servers(folder) as servers:
        servers.start_redis()
        servers.start_mongo()
        system = System(
            folder / "stuck", "--redis-url", servers.redis_url, "--mongodb-url", servers.mongodb_url,
            "--partitions", PARTITIONS, "--archive-every", 1, "--archive-after-events", 10,
            "--archive-after-hours", 8000).start()
        # The folder is made with the first segment. Not a question of rights: who is root is asked for none.
        place = system.data / "archive"
        place.write_text("in the way")
        for number in range(3):
            record(system, f"s{number}")
        is_stuck("no folder", system, "", str(place))
        place.unlink()
        checks.check("no folder: over: the log is archived",
                     eventually(lambda: list(place.rglob("*.seg")), 20), list(place.rglob("*")))
        goes_on("no folder", system)
        servers.stop("mongo")
        why = "what may be archived cannot be found out"
        is_stuck("no read models", system, "all partitions", why, status=False)
        checks.equal("no read models: the figures count all of them", figure(system, STUCK), str(PARTITIONS))
        # Without read models `reel status` shows nothing. They are back, and the archiver is not: it is
        # what it was stuck in last that is shown.
        system.kill()
        servers.start_mongo()
        status_says_stuck("no read models", system, "all partitions, since ", why)
        system.start()
        goes_on("no read models", system)
        checks.equal("stuck: and archiving goes on", system.reel("archive", "run", "--all").returncode, 0)
        system.stop()


def feed(recorder, count):
    with contextlib.suppress(OSError, ValueError):
        recorder.stdin.write(os.urandom(count))
        recorder.stdin.flush()


def emptied(system):
    """FLUSHALL while a recorder holds its connection."""
    recorder = subprocess.Popen(
        [REEL, "record", "-", "--name", "open", "--session-id", "open", "--chunk-size", "0.02", "--verbose",
         "--data", str(system.data)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    recorder.stdin.write(os.urandom(100_000))
    recorder.stdin.flush()
    eventually(lambda: system.status("open") is not None, 10)
    system.redis()("FLUSHALL")
    # In a thread: a recorder that waits for its log reads no more than it can keep.
    threading.Thread(target=feed, args=(recorder, 100_000), daemon=True).start()
    checks.check("emptied: health says that no log stands there", eventually(
        lambda: "no log stands there any more" in port_says(system, "/health"), 10),
        port_says(system, "/health"))
    for command in (["status"], ["events", "first"], ["verify", "first"], ["replay"], ["archive", "run"]):
        done = system.reel(*command)
        checks.check(f"emptied: {command[0]} names the log that is missing", done.returncode == 3
                     and "no log stands there any more" in done.stderr and "keep them" in done.stderr,
                     (done.returncode, done.stderr))
    began = time.monotonic()
    recorder.send_signal(signal.SIGINT)
    try:
        status, said = recorder.wait(20), recorder.stderr.read().decode()
    finally:
        recorder.kill()
    checks.check("emptied: Ctrl-C ends the recorder at once, with what it could not do",
                 time.monotonic() - began < 8 and status == 3 and "no log stands there" in said,
                 (status, said))
    checks.equal("emptied: the others are still there", system.process.poll(), None)
    system.stop()
    try:
        system.start()
        said = "it started"
    except RuntimeError as error:
        said = str(error)
    checks.check("emptied: the next start refuses, and advises to keep what is left", "holds no log" in said
                 and "keep them" in said and "--log-from-archive" in said and "drop" not in said, said)
    system.options.append("--log-from-archive")
    system.start()
    # All but the newest event of each partition, which never leaves the server.
    said = system.reel("events", "first").stdout.decode()
    checks.check("emptied: what was archived comes back", "SessionCreated" in said and "ChunkStored" in said, said)


def password(folder):
    """Another password, every connection cut, and back: everybody waits."""
    with Servers(folder) as servers:
        servers.start_redis()
        servers.start_mongo()
        redis = Redis(servers.redis_url)
        redis("ACL", "SETUSER", "app", "on", ">right", "~*", "&*", "+@all", "-info")
        url = servers.redis_url.replace("redis://", "redis://app:right@")
        system = System(folder / "password", "--redis-url", url, "--mongodb-url", servers.mongodb_url,
                        "--partitions", PARTITIONS).start()
        checks.equal("without INFO: sessions are recorded", record(system, "first").returncode, 0)
        done = system.reel("status")
        checks.check("without INFO: status says what is not known, and why", done.returncode == 0
                     and b"its user may not call INFO" in done.stdout,
                     (done.returncode, done.stdout, done.stderr))
        feed = Feed(system, "fed", 3, "zstd")
        eventually(lambda: len(feed.acknowledged) > 2, 20)
        redis("ACL", "SETUSER", "app", "resetpass", ">wrong")
        for line in redis("CLIENT", "LIST").decode().splitlines():
            facts = dict(part.split("=", 1) for part in line.split(" "))
            if facts["user"] == "app":
                redis("CLIENT", "KILL", "ID", facts["id"])
        words = "the server refuses the user or the password"
        checks.check("password: health names it", eventually(
            lambda: words in port_says(system, "/health"), 10), port_says(system, "/health"))
        checks.check("password: and so does every role that waits", eventually(
            lambda: "waiting for" in port_says(system, "/health"), 15), port_says(system, "/health"))
        checks.equal("password: the server is not called reachable",
                     figure(system, "reel_redis_reachable"), "0")
        checks.equal("password: what it last said is not taken for now",
                     figure(system, "reel_redis_takes_writes"), "NaN")
        done = system.reel("status")
        checks.check("password: status names it", done.returncode == 3 and words in done.stderr, done.stderr)
        checks.check("password: the recorder waits and says so",
                     eventually(lambda: any(words in line for line in feed.said), 15) and feed.is_alive(),
                     feed.said[-3:])
        redis("ACL", "SETUSER", "app", "resetpass", ">right")
        is_over("password", system, "second")
        feed.finish()
        checks.equal("password: the recording is whole", feed.status, 0)
        checks.check("password: it is completed",
                     eventually(lambda: system.status("fed") == "completed", 20), system.status("fed"))
        checks.equal("password: and sound", system.reel("verify", "fed").returncode, 0)
        system.stop()


def main():
    with Workspace("operators") as folder:
        with checks.section("one server"):
            with System(folder / "data", "--partitions", PARTITIONS) as system:
                record(system, "first")
                for part in (over_memory, cannot_save, replica):
                    with checks.section(part.__name__):
                        part(system, folder)
                for part in (less_durable, emptied):
                    with checks.section(part.__name__):
                        part(system)
        with checks.section("demanded"):
            demanded(folder)
        with checks.section("password"):
            password(folder)
    for part in (less_durable_for_good, stuck):
        with Workspace(part.__name__) as folder, checks.section(part.__name__):
            part(folder)
    checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The Redis users that ops/docs/redis-acl.md documents, read from there: a whole session with exactly their
permissions on one server, with Sentinel and on a cluster; then each permission is taken away and named."""

import contextlib
import re
import subprocess
import threading

from kit import REEL, REPOSITORY, Checks, Redis, Workspace, eventually, mixed
from servers import Servers, Site
from topology import Cluster, ReplicaSet, Sentinels

checks = Checks("acl")
ROLES = ("pipeline", "recorder", "processor", "storage", "projector")


def rules():
    """The rules of the document's blocks: of the user, what may be missing, with Sentinel, on sentinels, on a
    cluster."""
    text = (REPOSITORY / "ops" / "docs" / "redis-acl.md").read_text()
    blocks = [block.split()[3:] for block in re.findall(r"```\n(ACL SETUSER reel .*?)```", text, re.S)]
    named = dict(zip(("needed", "more", "sentinel", "sentinels", "cluster"), blocks, strict=True))
    for name in ("needed", "sentinels"):
        named[name] = [word.replace(">PASSWORD", ">secret") for word in named[name]]
    return named


RULES = rules()


def with_user(url):
    return url.replace("://", "://reel:secret@", 1)


def set_user(ask, *names):
    ask("ACL", "SETUSER", "reel", "reset", *(word for name in names for word in RULES[name]))


def record(site, session, chunk_size=0.02):
    return site.reel("record", "-", "--name", session, "--session-id", session, "--chunk-size", chunk_size,
                     stdin=mixed(len(session), 60_000))


def is_sound(site, session):
    return site.reel("verify", session).returncode == 0


def whole_session(site, what, session="least"):
    """Everything that people do, with nothing refused."""
    checks.equal(f"{what}: records", record(site, session).returncode, 0)
    checks.check(f"{what}: and it is completed and sound", eventually(
        lambda: is_sound(site, session), 60, 0.5))
    for command in (["status"], ["export", session, "-o", site.folder / session], ["events"],
                    ["hold", "set", session, "--case", "c", "--reason", "r"],
                    ["hold", "lift", session, "--reason", "r"], ["replay", "--wait"],
                    ["archive", "run", "--all"], ["archive", "verify"], ["parked", "list"],
                    ["partitions", "list"], ["verify", session]):
        done = site.reel(*command)
        checks.check(f"{what}: {' '.join(map(str, command[:2]))}", done.returncode == 0,
                     (done.returncode, done.stderr))


def refused(ask):
    """What the server has refused the user: commands and keys."""
    found = []
    for entry in ask("ACL", "LOG"):
        facts = dict(zip(entry[::2], entry[1::2]))
        found.append((facts[b"reason"].decode(), facts[b"object"].decode()))
    return sorted(set(found))


def documented(folder, servers):
    redis = Redis(servers.redis_url)
    plain, servers.redis_url = servers.redis_url, with_user(servers.redis_url)
    optional = {word[1:] for word in RULES["more"]}
    with Site(folder, servers) as site:
        set_user(redis, "needed", "more")
        site.serve(*ROLES)
        whole_session(site, "the documented user")
        checks.equal("the documented user: nothing was refused", refused(redis), [])
        set_user(redis, "needed")
        whole_session(site, "without what may be missing", "less")
        unexpected = [item for item in refused(redis) if item[1] not in optional]
        checks.equal("without what may be missing: nothing else was refused", unexpected, [])
        set_user(redis, "needed", "more")
        with checks.section("each"):
            each(site, redis)
    servers.redis_url = plain


# What meets most permissions at once; the others are met by roles, or by a recording.
QUICK = (["events", "least"], ["hold", "set", "least", "--case", "c", "--reason", "r"], ["status"],
         ["verify", "least"], ["archive", "run", "--all"], ["parked", "list"])
# Met only after something else has gone wrong (a parked chunk, a lost history, a worker that died, a rate
# limit, a session that comes back from the archive), or once in a log's life.
RARE = {"+scan", "+get", "+hdel", "+smembers", "+unlink", "+expire", "+pexpire", "+pttl", "+set", "+hsetnx",
        "+hincrby", "+hexists", "+persist", "+ttl", "+sadd", "+zrem", "+xclaim", "+xgroup|create",
        "+xgroup|delconsumer", "+xgroup|destroy", "+xinfo|consumers", "+xsetid"}


def named(text, rule):
    """Whether an error names the permission, and what to do."""
    return f"lacks the permission {rule}:" in text and f"'ACL SETUSER <user> {rule}'" in text


def meeting_command(site, rule):
    """The command that could not do without it, and its status; None where all of them could."""
    for command in QUICK:
        done = site.reel(*command)
        # One that goes on without it says so, too.
        if named(done.stderr, rule) and done.returncode != 0:
            return command[0], done.returncode
    return None


def met_by_roles(site, said_by_role, rule, session):
    """Whether a recording, or the role that works on it, names it. A recorder that waits is ended."""
    recorder = subprocess.Popen(
        [REEL, "record", "-", "--name", session, "--session-id", session, "--chunk-size", "0.002"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=site.env)
    said = []
    threading.Thread(target=lambda: said.extend(iter(recorder.stderr.readline, b"")), daemon=True).start()
    with contextlib.suppress(OSError):
        recorder.stdin.write(mixed(7, 30_000))
        recorder.stdin.close()
    found = eventually(lambda: named(said_by_role(), rule) or any(
        named(line.decode(), rule) for line in list(said)), 12, 0.1)
    recorder.kill()
    recorder.wait()
    return found


def halves(redis):
    """Events that stand in the log twice: what was refused behind its first write was written again."""
    seen, twice = set(), []
    for number in range(redis.partitions()):
        for _, flat in redis("XRANGE", f"reel:{{p{number:03d}}}:log", "-", "+"):
            fields = dict(zip(flat[::2], flat[1::2]))
            place = (fields[b"partitionkey"].decode(), int(fields[b"sequence"]))
            if place in seen:
                twice.append(place)
            seen.add(place)
    return twice


def each(site, redis):
    """Every permission that is documented as needed is taken away, alone, and given back."""
    role = site.roles[0]
    taken = [word for word in RULES["needed"] if word[0] in "+~" and word not in RARE]
    twice = []
    for number, rule in enumerate(taken):
        if rule == "+function|load":
            redis("FUNCTION", "FLUSH")
        before = len(role.said())
        redis("ACL", "SETUSER", "reel", *(["resetkeys"] if rule[0] == "~" else [f"-{rule[1:]}"]))
        met = meeting_command(site, rule)
        if met:
            checks.equal(f"without {rule}: {met[0]} names it and ends with 3", met[1], 3)
        else:
            checks.check(f"without {rule}: it is named to whoever records or in the roles' log",
                         met_by_roles(site, lambda at=before: role.said()[at:], rule, f"without-{number}"),
                         role.said()[-300:])
        redis("ACL", "SETUSER", "reel", rule)
        # The archive takes it away later.
        twice += halves(redis)
    checks.equal("given back: the roles never ended", role.process.poll(), None)
    checks.equal("given back: sessions are recorded", record(site, "given-back").returncode, 0)
    for session in ("least", "less", "given-back"):
        checks.check(f"given back: {session} is completed and sound", eventually(
            lambda: is_sound(site, session), 60, 0.5), site.reel("verify", session).stdout)
    checks.equal("given back: nothing was written by halves", twice + halves(redis), [])
    checks.equal("given back: no partition was halted, and no halt lifted", redis("HGETALL", "reel:halted"), [])


def with_sentinel(folder):
    """The user on the servers, and another one on sentinels that let nobody in without a password."""
    with Sentinels(folder / "redis", replicas=1) as redis, ReplicaSet(folder / "mongo", members=1) as mongo:
        redis.wait()
        mongo.wait()
        for server in redis.servers:
            set_user(server.ask, "needed", "more", "sentinel")
        asked = [Redis(f"redis://127.0.0.1:{sentinel.port}") for sentinel in redis.sentinels]
        for sentinel in asked:
            sentinel("ACL", "SETUSER", "reel", "reset", *RULES["sentinels"])
            sentinel("ACL", "SETUSER", "default", "resetpass", ">another")
        topology_session(folder, redis, mongo, "with Sentinel")
        for what, server in [("servers", server.ask) for server in redis.servers] + [
                ("sentinels", sentinel) for sentinel in asked]:
            checks.equal(f"with Sentinel: the {what} refused nothing", refused(server), [])


def on_a_cluster(folder):
    with Cluster(folder / "redis") as redis, ReplicaSet(folder / "mongo", members=1) as mongo:
        redis.wait()
        mongo.wait()
        for server in redis.servers:
            set_user(server.ask, "needed", "more", "cluster")
        topology_session(folder, redis, mongo, "on a cluster")
        for server in redis.servers:
            checks.equal("on a cluster: nothing was refused", refused(server.ask), [])


def topology_session(folder, redis, mongo, what):
    place = folder / "site"
    place.mkdir()
    redis.redis_url, redis.mongodb_url = with_user(redis.redis_url), mongo.mongodb_url
    with Site(place, redis) as site:
        site.env["REEL_MIN_REPLICAS"] = "1"
        site.serve(*ROLES)
        whole_session(site, what)


def main():
    with Workspace("acl") as folder:
        with checks.section("one server"), Servers(folder) as servers:
            servers.start_redis()
            servers.start_mongo()
            documented(folder, servers)
    for part in (with_sentinel, on_a_cluster):
        with Workspace("acl") as folder, checks.section(part.__name__):
            part(folder)
    checks.finish()


if __name__ == "__main__":
    main()

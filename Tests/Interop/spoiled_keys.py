#!/usr/bin/env python3
"""Keys of the log in Redis that somebody has spoiled who can write there: each command that needs one says so
with status 1 and names the key, `reel status` names each and shows the rest, and nobody else is touched."""

import json

from hostile import API
from kit import UNLIMITED, Checks, System, Workspace, environment, eventually, mixed, partition

checks = Checks("spoiled_keys")
SETTINGS = {"REEL_DISK_RESERVE_MB": "0"}
PARTITIONS = 4
READERS = ("verify", "export", "proof", "events")
SUBSCRIPTIONS = {"completion", "removal", "projector", "session-facts", "verifications"}


def near(name, number):
    """A session id that stands in a partition."""
    return next(f"{name}-{n}" for n in range(1000) if partition(f"{name}-{n}", PARTITIONS) == number)


HERE = 1
TARGET, NEIGHBOUR, OLD, FAR = near("target", HERE), near("neighbour", HERE), near("old", HERE), near("far", 2)
PREFIX = f"reel:{{p{HERE:03d}}}"
INDEX, IDS = f"{PREFIX}:s:{TARGET}", f"{PREFIX}:i:{TARGET}"


def command(reader, session):
    return {"verify": ["verify", session], "events": ["events", session],
            "export": ["export", session, "-o", "-"],
            "proof": ["proof", session, f"{session}-chunk-000001"]}[reader]


class Keys:
    """The keys as they were, and as somebody leaves them."""

    def __init__(self, system):
        self.system, self.redis = system, system.redis()
        self.kept = {}

    def keep(self, key):
        self.kept.setdefault(key, self.redis("DUMP", key))

    def heal(self):
        """Puts everything back, and waits until nobody says that anything is wrong."""
        for key, value in self.kept.items():
            self.redis("DEL", key)
            if value is not None:
                self.redis("RESTORE", key, 0, value)
        self.kept = {}

        def is_well():
            code, said, _ = self.status()
            return code == 0 and not said["halted_partitions"]
        return eventually(is_well)

    def status(self):
        done = self.system.reel("status", "--json")
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    def replace(self, key, *words):
        """Another value, made by a command."""
        self.keep(key)
        self.redis("DEL", key)
        if words:
            self.redis(words[0], key, *words[1:])

    def change(self, key, *words):
        self.keep(key)
        self.redis(words[0], key, *words[1:])


def answers(system, name, session, status, key, readers=READERS):
    """What commands say of one session: the status, and the key that is the reason."""
    for reader in readers:
        done = system.reel(*command(reader, session))
        said = done.stderr + (done.stdout.decode(errors="replace") if reader == "verify" else "")
        holds = done.returncode == status and (status == 0 or key in said)
        checks.check(f"{name}: {reader}", holds, (done.returncode, said[-400:]))


def untouched(system, name, *sessions):
    found = {s: system.reel(*command("proof", s)).returncode for s in sessions}
    checks.equal(f"{name}: others are as they were", set(found.values()), {0})


def named(keys, name, *expected):
    """`reel status` ends with 1, names the keys, and shows everything else."""
    code, said, stderr = keys.status()
    found = {item["key"]: item for item in said.get("spoiled_keys", [])}
    holds = code == 1 and set(expected) <= set(found) and all(item["reason"] for item in found.values())
    checks.check(f"{name}: status names it", holds, (code, list(found.values()), stderr[-300:]))
    names = {item["name"] for item in said.get("subscriptions", [])}
    whole = len(said.get("stages", [])) == 4 and names == SUBSCRIPTIONS
    checks.check(f"{name}: status shows the rest", whole and said.get("sessions"), (names, stderr[-300:]))
    text = keys.system.reel("status")
    lines = [line for line in text.stdout.decode().splitlines() if line.startswith("SPOILED")]
    checks.check(f"{name}: people see it, too",
                 text.returncode == 1 and all(any(key in line for line in lines) for key in expected),
                 (text.returncode, lines))


def healed(keys, name):
    """Put back, everything goes on, without anybody's help."""
    holds = keys.heal()
    checks.check(f"{name}: put back, all is well", holds, "" if holds else keys.status())


def of_one_session(keys):
    """What tells of one session: the list of its entries, and the hash of its ids."""
    redis, system = keys.redis, keys.system
    entries = redis("LRANGE", INDEX, 0, -1)
    other = redis("LRANGE", f"{PREFIX}:s:{NEIGHBOUR}", 0, -1)
    # Name, key, how, and whether the key itself shows it, without a look at the entries.
    cases = [
        ("the list is a string", INDEX, lambda: keys.replace(INDEX, "SET", "spoiled"), True),
        ("the list is a hash", INDEX, lambda: keys.replace(INDEX, "HSET", "a", "b"), True),
        ("the list is gone", INDEX, lambda: keys.replace(INDEX), True),
        ("the list has text", INDEX, lambda: keys.change(INDEX, "LSET", 1, "no entry id"), False),
        ("the list has an entry of another session", INDEX,
         lambda: keys.change(INDEX, "LSET", 1, other[1]), False),
        ("the list is another session's", INDEX, lambda: keys.replace(INDEX, "RPUSH", *other), False),
        ("the list has an entry that is nowhere", INDEX, lambda: keys.change(INDEX, "LSET", 1, "1-1"), False),
        ("the list is out of order", INDEX,
         lambda: keys.replace(INDEX, "RPUSH", *reversed(entries)), False),
        ("the list lacks its end", INDEX, lambda: keys.change(INDEX, "RPOP"), True),
        ("the list lacks its beginning", INDEX, lambda: keys.change(INDEX, "LPOP"), True),
        ("the list has an entry twice", INDEX, lambda: keys.change(INDEX, "RPUSH", entries[0]), False),
        ("the hash is a string", IDS, lambda: keys.replace(IDS, "SET", "spoiled"), True),
        ("the hash is a list", IDS, lambda: keys.replace(IDS, "RPUSH", "spoiled"), True),
        ("the hash is gone", IDS, lambda: keys.replace(IDS), True),
        ("the hash counts with text", IDS, lambda: keys.change(IDS, "HSET", "b", "many"), True),
        ("the hash counts below zero", IDS, lambda: keys.change(IDS, "HSET", "b", "-1"), True),
        ("the hash counts beyond all numbers", IDS, lambda: keys.change(IDS, "HSET", "b", "9" * 30), True),
        ("the hash counts one too many", IDS, lambda: keys.change(IDS, "HSET", "b", "1"), False),
        ("the hash lacks its count", IDS, lambda: keys.change(IDS, "HDEL", "b"), True),
        ("the hash has an id too many", IDS, lambda: keys.change(IDS, "HSET", "x" * 16, "y" * 13), True),
    ]
    for name, key, spoil, shows in cases:
        with checks.section(name):
            spoil()
            answers(system, name, TARGET, 1, TARGET)
            untouched(system, name, NEIGHBOUR, FAR)
            if shows:
                code, said, _ = keys.status()
                about = [item for item in said["spoiled_keys"] if TARGET in item["key"]]
                checks.check(f"{name}: status names it",
                             code == 1 and about and about[0]["partition"] == HERE,
                             (code, said["spoiled_keys"]))
            healed(keys, name)
            checks.equal(f"{name}: and proven", system.reel(*command("proof", TARGET)).returncode, 0)
    with checks.section("the API"):
        client = API(system)
        keys.replace(INDEX, "SET", "spoiled")
        for path in ("events", "media"):
            status, answer = client.ask("GET", f"/sessions/{TARGET}/{path}")
            checks.check(f"the API does not say that a server is away ({path})", status == 500,
                         (status, answer))
            status, answer = client.ask("GET", f"/sessions/{NEIGHBOUR}/{path}")
            checks.check(f"the API gives out others ({path})", status == 200, (status, answer))
        healed(keys, "the API")


def of_archived_sessions(keys):
    """What tells of the archive: nothing of an archived session is to be had without it."""
    system, archive, segments = keys.system, f"{PREFIX}:archive", f"{PREFIX}:segments"
    cases = [
        ("the archive's hash is a string", archive, lambda: keys.replace(archive, "SET", "spoiled"), 1),
        ("the archive ends at text", archive, lambda: keys.change(archive, "HSET", "through", "nowhere"), 1),
        ("the archive counts with text", archive, lambda: keys.change(archive, "HSET", "count", "many"), 1),
        ("the archive has no hash", archive, lambda: keys.change(archive, "HDEL", "hash"), 1),
        ("the segments are a string", segments, lambda: keys.replace(segments, "SET", "spoiled"), 1),
        # Without records the segments themselves lead from one to the next, and the archiver makes new ones.
        ("the segments' records are text", segments, lambda: keys.change(segments, "LSET", 0, "spoiled"), 0),
    ]
    for name, key, spoil, status in cases:
        with checks.section(name):
            spoil()
            answers(system, name, OLD, status, key, ("verify", "export", "proof"))
            if status:
                named(keys, name, key)
            untouched(system, name, FAR)
            done = system.reel("archive", "verify")
            checks.check(f"{name}: archive verify", done.returncode == status, (done.returncode, done.stderr))
            healed(keys, name)


def beside_the_sessions(keys):
    """What says how far somebody is, or who does what: no session's record depends on it."""
    system, redis = keys.system, keys.redis
    texts = {
        "ranks": "SET", "checkpoints": "SET", "parked:store": "SET", "tries:store": "SET",
        "parked:projector": "RPUSH", "retry:completion": "SET", "given-up:projector": "SET",
        "lease:completion": "RPUSH", "lease:verification": "SET", "index:session-facts-1": "SET",
        "index:verification-1": "RPUSH", "index:verification-faults-1": "SET",
    }
    for name, word in texts.items():
        with checks.section(name):
            key = f"{PREFIX}:{name}"
            keys.replace(key, word, "spoiled")
            named(keys, name, key)
            answers(system, name, TARGET, 0, key, ("verify", "proof"))
            untouched(system, name, FAR)
            done = system.reel("parked", "list", "--json")
            expected = 1 if name.startswith("parked") else 0
            said = not expected or key in done.stderr
            checks.check(f"{name}: parked list", done.returncode == expected and said
                         and "parked" in json.loads(done.stdout), (done.returncode, done.stderr))
            healed(keys, name)
    for name, key, words in (
            ("a checkpoint is text", f"{PREFIX}:checkpoints", ("HSET", "completion", "nowhere")),
            ("an index's place is text", f"{PREFIX}:index:session-facts-1", ("HSET", "", "nowhere"))):
        with checks.section(name):
            keys.change(key, *words)
            named(keys, name, key)
            healed(keys, name)
    with checks.section("the stream"):
        key = f"{PREFIX}:log"
        keys.replace(key, "SET", "spoiled")
        answers(system, "the stream is a string", TARGET, 1, key)
        named(keys, "the stream is a string", key)
        untouched(system, "the stream is a string", FAR)
        healed(keys, "the stream is a string")
    with checks.section("the halts"):
        keys.replace("reel:halted", "SET", "spoiled")
        named(keys, "the book of halts is a string", "reel:halted")
        answers(system, "the book of halts is a string", TARGET, 0, "", ("verify", "export", "proof"))
        healed(keys, "the book of halts")
    with checks.section("what says which log it is"):
        cases = {"a string": ("SET", "spoiled"), "without its partitions": ("HSET", "format", "1")}
        for name, words in cases.items():
            keys.replace("reel:meta", *words)
            for words in (command("verify", TARGET), ["status"]):
                done = system.reel(*words)
                checks.check(f"reel:meta is {name}: {words[0]}",
                             done.returncode == 1 and "reel:meta" in done.stderr,
                             (done.returncode, done.stderr))
            healed(keys, f"reel:meta is {name}")


def together(keys):
    """Many at once: each is named, and the rest is shown all the same."""
    system = keys.system
    spoiled = [INDEX, f"{PREFIX}:checkpoints", f"{PREFIX}:lease:completion", f"{PREFIX}:index:verification-1",
               "reel:{p003}:parked:store", "reel:{p000}:checkpoints", "reel:members:removal"]
    for key in spoiled:
        keys.replace(key, "SET", "spoiled")
    named(keys, "many at once", *spoiled)
    code, said, _ = keys.status()
    shown = {p["partition"] for stage in said["stages"] for p in stage["partitions"]}
    checks.check("many at once: the sound partition has its figures", shown == {2}, shown)
    checks.check("many at once: the verifications are told of", "failures" in said.get("verified", {}), said)
    untouched(system, "many at once", FAR)
    healed(keys, "many at once")


def goes_on(system):
    """After all of that the system is what it was."""
    for session in (TARGET, NEIGHBOUR, OLD, FAR):
        checks.equal(f"{session} is sound in the end", system.reel("verify", session).returncode, 0)
    record(system, near("late", HERE), 9)
    checks.equal("nobody ended", system.process.poll(), None)


def record(system, session, seed):
    done = system.reel("record", "-", "--name", session, "--session-id", session, "--chunk-size", 0.02,
                       "--wait", stdin=mixed(seed, 60_000))
    checks.check(f"{session} is recorded", done.returncode == 0, done.stderr)


def main():
    with Workspace("spoiled_keys") as work, checks.section("spoiled keys"):
        options = ["--partitions", PARTITIONS, *UNLIMITED]
        with System(work / "data", *options, env=environment(**SETTINGS)) as system:
            record(system, OLD, 1)
            # The newest event of a partition is never archived.
            record(system, near("behind", HERE), 1)
            key = f"{PREFIX}:archive"
            archived = eventually(lambda: system.reel("archive", "run", "--all").returncode == 0
                                  and system.redis()("EXISTS", key)
                                  and not system.redis()("EXISTS", f"{PREFIX}:s:{OLD}"))
            checks.check("the old session is archived", archived)
            for number, session in enumerate((NEIGHBOUR, TARGET, FAR)):
                record(system, session, 2 + number)
            keys = Keys(system)
            done = system.reel("status", "--json")
            said = json.loads(done.stdout)
            checks.equal("nothing is spoiled at first", (done.returncode, said["spoiled_keys"]), (0, []))
            for part in (of_one_session, of_archived_sessions, beside_the_sessions, together):
                with checks.section(part.__name__):
                    part(keys)
            goes_on(system)
    checks.finish()


if __name__ == "__main__":
    main()

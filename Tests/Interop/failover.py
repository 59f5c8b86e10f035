#!/usr/bin/env python3
"""Failovers under the whole program: `reel serve` and `reel record` on Sentinel, on a cluster and on a replica set,
with masters killed, slots moved and primaries deposed in the middle of recordings; and one failover that loses
acknowledged events, which halts partitions until somebody accepts the loss."""

import collections
import json
import signal
import subprocess
import threading
import time

import pymongo

from feeding import Feed
from formats import sequence_problems
from kit import REEL, Checks, Workspace, eventually, partition, seed_of
from servers import Site
from topology import Cluster, ReplicaSet, Sentinels, key_slot

checks = Checks("failover")
PARTITIONS = 16
KINDS = ["ChunkRecorded", "ChunkCompressed", "ChunkSealed", "ChunkValidated", "ChunkStored"]


class Place(Site):
    """A site on servers that fail over."""

    def __init__(self, folder, redis, mongo, **more):
        folder.mkdir(exist_ok=True)
        redis.mongodb_url = mongo.mongodb_url
        super().__init__(folder, redis)
        self.env.update(more)
        self.data, self.feeds, self.watchers = folder / "none", [], []

    def __exit__(self, *_):
        for user in self.feeds + self.watchers:
            if user.process.poll() is None:
                user.process.kill()
                user.process.wait()
        super().__exit__()

    def work(self, **more):
        self.env.update(more)
        self.serve("processor", "storage", "--workers", 2, name="stages")
        self.serve("pipeline", "projector", name="ordered")

    def feed(self, session, seed):
        feed = Feed(self, session, seed, "zstd", chunk_mb=0.05, part_bytes=30_000, pause_seconds=0.05,
                    env=self.env)
        self.feeds.append(feed)
        return feed

    def more(self, what, count=5, seconds=60):
        """Waits until every recorder that runs had so many more chunks acknowledged."""
        feeds = [feed for feed in self.feeds if feed.is_alive()]
        before = {feed.session: len(feed.acknowledged) for feed in feeds}
        done = feeds and eventually(
            lambda: all(len(f.acknowledged) >= before[f.session] + count for f in feeds), seconds)
        checks.check(f"{self.folder.name}: recordings go on {what}", done,
                     [(f.session, before[f.session], len(f.acknowledged), f.said[-3:]) for f in feeds])

    def events(self, session):
        done = self.reel("events", session, "--json")
        return [json.loads(line) for line in done.stdout.splitlines()] if done.returncode == 0 else []

    def shown(self, session):
        done = self.reel("sessions", "show", session, "--json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def status(self):
        done = self.reel("status", "--json")
        if done.returncode != 0:
            raise RuntimeError(f"reel status: {done.returncode} {done.stderr}")
        return json.loads(done.stdout)

    def finish(self):
        for feed in self.feeds:
            feed.end_input()
        for feed in self.feeds:
            feed.finish()

    def end(self):
        for role in self.roles:
            role.process.terminate()
        return [role.process.wait(60) for role in self.roles]


def whole(place, feed, lossy=False):
    """What was acknowledged is stored, once, in order, and comes back; with a loss, what the log still has."""
    name = f"{place.folder.name}: {feed.session}"
    if not lossy:
        checks.check(f"{name}: the recorder ends well", feed.status == 0, (feed.status, feed.said[-4:]))
    ended = eventually(lambda: place.shown(feed.session).get("status") == "completed", 60, 0.3)
    checks.check(f"{name}: completed, and shown so", ended, place.shown(feed.session).get("status"))
    events = place.events(feed.session)
    checks.equal(f"{name}: sequences without gaps, ids once", sequence_problems(events), "")
    counts = [collections.Counter(e["data"]["sequence_number"] for e in events if e["type"] == kind)
              for kind in KINDS]
    chunks = len(counts[0])
    checks.check(f"{name}: exactly one event of each kind for each of {chunks} chunks",
                 chunks and all(c == collections.Counter(range(1, chunks + 1)) for c in counts),
                 [sorted(c.items())[-3:] for c in counts])
    sizes = {e["data"]["sequence_number"]: e["data"]["size_bytes"] for e in events
             if e["type"] == "ChunkRecorded"}
    if lossy:
        checks.check(f"{name}: acknowledged chunks were lost", len(feed.acknowledged) > chunks,
                     (len(feed.acknowledged), chunks))
        stopped = [e["data"]["incomplete"] for e in events if e["type"] == "SessionStopped"]
        checks.equal(f"{name}: it is incomplete", stopped, [True])
    else:
        gone = {n: size for n, size in feed.acknowledged.items() if sizes.get(n) != size}
        checks.check(f"{name}: all {len(feed.acknowledged)} acknowledged chunks are stored", not gone, gone)
    done = place.reel("verify", feed.session)
    checks.check(f"{name}: verify says yes", done.returncode == 0, (done.stdout, done.stderr))
    back = place.reel("export", feed.session, "-o", "-").stdout
    expected = feed.fed[:sum(sizes.values())] if lossy else feed.fed
    checks.check(f"{name}: export is what was fed", back == expected, (len(back), len(expected)))


class Watcher:
    """A command that goes on until it is asked to stop, while servers come and go."""

    def __init__(self, place, name, *arguments):
        self.place, self.name, self.path = place, name, place.folder / f"{name}.out"
        place.watchers.append(self)
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                [REEL, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL,
                env=place.env)

    def lines(self):
        return [json.loads(line) for line in self.path.read_text().splitlines(True) if line.endswith("\n")]

    def end(self):
        self.process.send_signal(signal.SIGINT)
        checks.equal(f"{self.place.folder.name}: {self.name} has lasted, and ends well", self.process.wait(60), 0)
        return self.lines()


def followed(place, follower, watcher):
    """Whoever followed the log has seen every event of it once, in order; status went on, too."""
    name = place.folder.name
    expected = {feed.session: [e["id"] for e in place.events(feed.session)] for feed in place.feeds}
    def seen():
        ids = collections.defaultdict(list)
        for event in follower.lines():
            # What the commands themselves have left is in the log, too.
            if event["partitionkey"] in expected:
                ids[event["partitionkey"]].append(event["id"])
        return ids
    eventually(lambda: seen() == expected, 30, 0.3)
    checks.check(f"{name}: a follower has seen every event once, in order", seen() == expected,
                 {key: (len(ids), len(seen()[key])) for key, ids in expected.items()})
    follower.end()
    last = watcher.end()[-1]["sessions"]
    checks.equal(f"{name}: status --watch shows the end", last, {"completed": len(place.feeds)})


def commands(place, session):
    """Every command that asks a running system finds its way."""
    name = place.folder.name
    for words in ["sessions list", "sessions show S", "chunks S", "events S", "events --json", "proof S 1",
                  "keys export S --json", "verify S --json", "status --partitions", "status --json", "parked list",
                  "partitions list", "archive status", "archive run --all", "archive verify", "replay",
                  "replay --session S", "sessions show S --at 1"]:
        done = place.reel(*[session if word == "S" else word for word in words.split()])
        checks.check(f"{name}: reel {words}", done.returncode == 0, (done.returncode, done.stderr))


def sound(place):
    """Nothing is halted or parked, and the read models are what the log says."""
    name = place.folder.name
    status = place.status()
    checks.equal(f"{name}: nothing is halted", status["halted_partitions"], [])
    checks.equal(f"{name}: nothing is parked",
                 [s["name"] for s in status["stages"] + status["subscriptions"] if s["parked"]], [])
    done = place.reel("replay", "--verify")
    checks.check(f"{name}: the read models are what the log says", done.returncode == 0,
                 (done.stdout, done.stderr))
    checks.equal(f"{name}: every role is still the process that was started, and ends well",
                 set(place.end()), {0})


def sentinel(folder, seed):
    """A master that no replica follows is killed, then MongoDB's primary, then its next one is deposed."""
    with Sentinels(folder / "redis", replicas=2) as redis, ReplicaSet(folder / "mongo") as mongo, \
            Place(folder / "sentinel", redis, mongo, REEL_MIN_REPLICAS="1") as place:
        redis.wait()
        mongo.wait()
        place.work()
        told = place.status()["redis"]
        checks.check("sentinel: status tells what an append has survived",
                     "1 replica has it" in told["durability"] and "master reel" in told["address"], told)
        follower = Watcher(place, "events-follow", "events", "--follow", "--json")
        watcher = Watcher(place, "status-watch", "status", "--watch", "--json")
        place.feed("sentinel-a", seed)
        place.feed("sentinel-b", seed + 1)
        place.more("at first")
        # What comes now is on the master alone: nobody is told that it is recorded, nobody reads it, and it is
        # no loss when it is gone. An entry that nobody may see is there for certain: an event for the second
        # time.
        checks.check("sentinel: the replicas are cut off", redis.cut_off())
        log, master = f"reel:{{p{partition('sentinel-a', PARTITIONS):03d}}}:log", redis.master()
        newest = master.ask("XREVRANGE", log, "+", "-", "COUNT", "1")[0][1]
        alone = master.ask("XADD", log, "*", *newest)
        for feed in place.feeds:
            checks.check(f"sentinel: {feed.session} waits for a replica", eventually(
                lambda: "replicas confirmed" in (feed.said or [""])[-1], 20))
        old, new = redis.kill_master()
        checks.equal("sentinel: what no replica has is gone", new.ask("XRANGE", log, alone, alone), [])
        redis.mend()
        place.more("on the new master")
        old.start()
        primary = mongo.primary()
        primary.kill()
        place.feed("sentinel-c", seed + 2)
        place.more("without MongoDB's primary")
        checks.check("sentinel: another member is primary", eventually(mongo.primary, 60))
        primary.start()
        place.more("with another primary")
        checks.check("sentinel: the primary steps down",
                     eventually(lambda: mongo.step_down(), 60))
        place.more("after it was deposed")
        place.finish()
        for feed in place.feeds:
            whole(place, feed)
        followed(place, follower, watcher)
        sound(place)


def cluster(folder, seed):
    """Slots move, a master hands over, and another one is killed."""
    with Cluster(folder / "redis") as redis, ReplicaSet(folder / "mongo", members=1) as mongo, \
            Place(folder / "cluster", redis, mongo, REEL_MIN_REPLICAS="1") as place:
        redis.wait()
        mongo.wait()
        place.work()
        slots = [key_slot(f"reel:{{p{number:03d}}}:log") for number in range(PARTITIONS)]
        checks.equal("cluster: partitions live on every master",
                     {redis.owner(slot) for slot in slots}, set(redis.servers[:3]))
        for number in range(3):
            place.feed(f"cluster-{number}", seed + number)
        place.more("at first")
        used = sorted({partition(feed.session, PARTITIONS) for feed in place.feeds})
        for number in used:
            checks.check(f"cluster: the slot of partition {number} moves", redis.move(slots[number], 0.02))
        # Where processes and members are known stands on some node, too.
        checks.check("cluster: so does that of the marks", redis.move(key_slot("reel:halted")))
        place.more("after slots have moved")
        master = redis.owner(slots[used[0]])
        replica = redis.replica_of(master)
        def told():
            # A node gives up after five seconds without enough votes, and has to be told again.
            if (replica.ask("ROLE") or [b""])[0] == b"slave":
                replica.ask("CLUSTER", "FAILOVER")
            return eventually(lambda: redis.owner(slots[used[0]]) is replica, 10)
        checks.check("cluster: a replica takes over as it was told", eventually(told, 60))
        place.more("on the replica")
        # What is appended there is acknowledged again once the killed node is back, as a replica.
        replica.kill()
        checks.check("cluster: a killed master's replica takes over",
                     eventually(lambda: redis.owner(slots[used[0]]) is master, 180))
        replica.start()
        place.more("after a master was killed")
        place.finish()
        for feed in place.feeds:
            whole(place, feed)
        commands(place, place.feeds[0].session)
        sound(place)


def loss(folder, seed):
    """A failover to a replica that lags: acknowledged events are gone, and nobody goes on in silence."""
    with Sentinels(folder / "redis", replicas=1, down_after_ms=4000) as redis, \
            ReplicaSet(folder / "mongo", members=1) as mongo, \
            Place(folder / "loss", redis, mongo) as place:
        redis.wait()
        mongo.wait()
        place.work()
        told = place.status()["redis"]["durability"]
        checks.check("loss: status says that a failover may lose events", "REEL_MIN_REPLICAS" in told, told)
        feeds = [place.feed("loss-a", seed), place.feed("loss-b", seed + 1)]
        place.more("at first")
        checks.check("loss: the replica is cut off", redis.cut_off())
        kept = {feed.session: len(place.events(feed.session)) for feed in feeds}
        place.more("without it")
        for feed in feeds:
            checks.check(f"loss: {feed.session}: what will be lost is stored, and shown",
                         eventually(lambda: goes_beyond(place, feed, kept[feed.session]), 60, 0.3))
        redis.kill_master()
        redis.mend()
        for feed in feeds:
            eventually(lambda: not feed.is_alive(), 60)
            feed.finish()
            said = " ".join(feed.said)
            checks.check(f"loss: {feed.session}: its recorder ends with status 3 and says why", feed.status == 3
                         and "has lost events that were acknowledged" in said
                         and "reel partitions lift" in said, (feed.status, said[-600:]))
        halted = halts(place, feeds)
        refusals(place, feeds[0], halted)
        lifted(place, halted, feeds)
        for feed in feeds:
            whole(place, feed, lossy=True)
        again = place.reel("record", "-", "--name", "again", "--session-id", same_partition(feeds[0], "again"),
                           "--wait", stdin=b"recorded where the log was halted" * 1000)
        checks.check("loss: recordings complete where the log was halted", again.returncode == 0, again.stderr)
        sound(place)


def goes_beyond(place, feed, count):
    """Whether a chunk that was recorded after the session's first `count` events is stored, and the read model
    has seen such events."""
    fresh = {e["data"]["sequence_number"] for e in place.events(feed.session)[count:]
             if e["type"] == "ChunkRecorded"}
    stored = {e["data"]["sequence_number"] for e in place.events(feed.session) if e["type"] == "ChunkStored"}
    with pymongo.MongoClient(place.servers.mongodb_url) as client:
        document = client.reel.sessions.find_one({"session_id": feed.session}) or {}
    return fresh & stored and document.get("version", 0) > count


def halts(place, feeds):
    """What `reel status` and `reel partitions list` say; the numbers of the halted partitions."""
    expected = {partition(feed.session, PARTITIONS) for feed in feeds}
    eventually(lambda: {h["partition"] for h in place.status()["halted_partitions"]} >= expected, 30)
    told = {h["partition"]: h["reason"] for h in place.status()["halted_partitions"]}
    checks.check("loss: status --json names the halted partitions", set(told) >= expected and all(
        "has lost events that were acknowledged" in why for why in told.values()), told)
    text = place.reel("status").stdout.decode()
    lines = [line for line in text.splitlines() if line.startswith("HALTED ")]
    checks.equal("loss: status has a line for each", lines, [
        f"HALTED    partition {number}: {told[number]}" for number in sorted(told)])
    checks.check("loss: and says what to do", "reel partitions lift" in text, text)
    listed = json.loads(place.reel("partitions", "list", "--json").stdout)
    checks.equal("loss: partitions list --json", listed, {
        "halted": [{"partition": n, "reason": told[n]} for n in sorted(told)], "lifted": []})
    text = place.reel("partitions", "list").stdout.decode()
    checks.check("loss: partitions list", all(f"p{n:03d}" in text and "halted" in text for n in told), text)
    def said():
        return "".join(role.said() for role in place.roles)

    checks.check("loss: the roles say so, too", eventually(
        lambda: all(f"partition {n} is halted" in said() for n in told), 30), said()[-800:])
    return sorted(told)


def same_partition(feed, name):
    """A session id in the partition of another one."""
    wanted = partition(feed.session, PARTITIONS)
    return next(f"{name}-{n}" for n in range(10_000) if partition(f"{name}-{n}", PARTITIONS) == wanted)


def refusals(place, feed, halted):
    """Nothing begins in a halted partition; everything else goes on."""
    done = place.reel("record", "-", "--name", "refused", "--session-id", same_partition(feed, "refused"),
                      stdin=b"x" * 1000)
    checks.check("loss: a session of a halted partition is refused with status 3", done.returncode == 3
                 and "halted" in done.stderr and "reel partitions lift" in done.stderr,
                 (done.returncode, done.stderr))
    content = b"the others go on" * 5000
    done = place.reel("record", "-", "--name", "other", "--wait", stdin=content)
    session = done.stdout.decode().strip()
    checks.check("loss: new sessions begin and complete elsewhere", done.returncode == 0
                 and partition(session, PARTITIONS) not in halted, (done.returncode, done.stderr))
    checks.equal("loss: and are verified", place.reel("verify", session).returncode, 0)
    checks.equal("loss: and exported identical", place.reel("export", session, "-o", "-").stdout, content)
    for what, arguments, status, word in [
            ("no word of acceptance", [halted[0], "--reason", "r"], 2, "--accept-loss"),
            ("no reason", [halted[0], "--accept-loss"], 2, "--reason"),
            ("no partition", ["x1", "--accept-loss", "--reason", "r"], 2, "must be a partition"),
            ("one that there is not", ["99", "--accept-loss", "--reason", "r"], 1, "no partition"),
            ("one that is not halted", [next(n for n in range(16) if n not in halted), "--accept-loss",
                                        "--reason", "r"], 1, "not halted")]:
        done = place.reel("partitions", "lift", *arguments)
        checks.check(f"loss: lift is refused: {what}", done.returncode == status and word in done.stderr,
                     (done.returncode, done.stderr))
    checks.equal("loss: all of them are still halted",
                 [h["partition"] for h in place.status()["halted_partitions"]], halted)


def lifted(place, halted, feeds):
    """Somebody accepts the loss; the processes that run go on by themselves."""
    lost = {}
    for number in halted:
        arguments = ["partitions", "lift", f"p{number:03d}", "--accept-loss", "--reason", "the test said so"]
        done = place.reel(*arguments, "--json")
        if checks.check(f"loss: partition {number} is lifted", done.returncode == 0,
                        (done.returncode, done.stderr)):
            told = json.loads(done.stdout)
            checks.check(f"loss: partition {number}: what was accepted, by whom and why is told",
                         told["partition"] == number and told["reason"] == "the test said so"
                         and "has lost events" in told["halt"] and told["lifted_by"], told)
            lost.update({session["session_id"]: session for session in told["sessions"]})
        checks.equal(f"loss: partition {number} is lifted once", place.reel(*arguments).returncode, 1)
    with pymongo.MongoClient(place.servers.mongodb_url) as client:
        place_of = {r["audit_id"]: int(r["log_position"][1:4]) for r in client.reel.audit.find({})}
    checked = json.loads(place.reel("replay", "--verify", "--collection", "audit", "--json").stdout)
    extra = [d["key"] for d in checked["listed"] if place_of.get(d["key"]) in halted]
    checks.equal("loss: no record of the audit trail is shown that was lost with these partitions", extra, [])
    for feed in feeds:
        session = lost.get(feed.session, {})
        checks.check(f"loss: {feed.session} is told to have lost events",
                     (session.get("shown_events") or 0) > session.get("logged_events", 1 << 30), session)
        aside = [f"{number:08d}.reel" for number in session.get("files_set_aside", [])]
        found = place.folder / "chunks" / ".lost" / feed.session
        checks.equal(f"loss: {feed.session}: files of lost chunks are set aside",
                     sorted(path.name for path in found.glob("*")), aside)
        checks.check(f"loss: {feed.session}: there are such files", aside)
    checks.check("loss: status has no such line any more", b"HALTED" not in place.reel("status").stdout)
    listed = json.loads(place.reel("partitions", "list", "--json").stdout)
    checks.equal("loss: partitions list keeps who lifted what", (
        listed["halted"], [entry["partition"] for entry in listed["lifted"]]), ([], halted))
    checks.check("loss: running roles go on by themselves", eventually(lambda: all(
        f"partition {n} goes on" in role.said() for n in halted for role in place.roles), 30))


def main():
    seed = seed_of("failover")
    began = time.monotonic()
    with Workspace("failover") as folder:
        def run(scenario, number):
            place = folder / f"{scenario.__name__}-servers"
            place.mkdir()
            with checks.section(scenario.__name__):
                scenario(place, seed + 100 * number)
            print(f"failover: {scenario.__name__} took {time.monotonic() - began:.0f} s", flush=True)
        threads = [threading.Thread(target=run, args=(scenario, number))
                   for number, scenario in enumerate((sentinel, cluster, loss))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    checks.finish()


main()

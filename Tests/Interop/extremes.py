#!/usr/bin/env python3
"""Numbers beyond all reason, written straight into the log, the databases and Redis' own counters: every role
lives, other sessions complete, every question is answered, and a restart changes nothing about that."""

import datetime
import json
import os
import random

import pymongo

from hostile import API, Forger, extremes, numbers
from kit import SCHEMAS, UNLIMITED, Checks, System, Workspace, environment, eventually, seed_of

checks = Checks("extremes")
# The log's own retention is not what is tested, and nothing may rest between two looks.
SETTINGS = {"REEL_DISK_RESERVE_MB": "0"}
HELD = 24


def hostile_sessions(forger, source):
    """For each number of each event a session of its own in whose history it is beyond reason."""
    made = []
    for file in sorted((SCHEMAS / "events" / "golden").glob("*.json")):
        kind, version = file.name.split(".")[0], int(file.name.split(".")[1][1:])
        if kind == "AuditRecorded":
            continue
        schema = json.loads((SCHEMAS / "events" / f"{kind}.v{version}.json").read_text())
        data = json.loads(file.read_text().splitlines()[0])["data"]
        for path, number in numbers(schema):
            # Every number is tried in every run, by other values each time; the Swift tests try all of them.
            for place, value in source.sample(list(enumerate(extremes(number))), 3):
                session = f"bad-{kind}-v{version}-{'-'.join(path)}-{place}".replace("_", "-")[:100]
                if forger.session(session, kind, version, data, path, value):
                    made.append(session)
    return made


def lawful_sessions(forger):
    """Sessions whose numbers are the largest that are lawful: they are read, and added up."""
    made = []
    for number in range(HELD):
        session = f"large-{number}"
        forger.begin(session)
        for chunk in range(1, 4):
            forger.chunk(session, chunk)
        made.append(session)
    return made


def answers(system, sessions, name):
    """Every way of asking; none is left without an answer."""
    client, lost = API(system), []

    def ask(path, allowed):
        try:
            status = client.ask("GET", path)[0]
        except OSError as error:
            status = repr(error)
        if status not in allowed:
            lost.append((path, status))

    # What needs the whole of a session that can't be read says so with 500, and nothing else does.
    for session in sessions:
        for part in ("", "/statistics", "/chunks", "/pipeline", "/events", "/media"):
            ask(f"/sessions/{session}{part}", (200, 404, 409, 500))
    for path in ("/sessions?limit=100", "/statistics", "/events?limit=1000", "/sessions?status=recording"):
        ask(path, (200,))
    checks.equal(f"{name}: every request is answered", lost[:5], [])
    commands = [
        (["status", "--json"], (0,)), (["sessions", "list", "--limit", "1000", "--json"], (0,)),
        (["sessions", "list"], (0,)), (["parked", "list", "--json"], (0,)), (["replay", "--verify"], (0, 1)),
        (["sessions", "expire", "--dry-run", "--at", "9999-12-31T23:59:59Z"], (0,)),
        (["archive", "verify"], (0,)), (["audit", "--json"], (0,)),
    ]
    for session in sessions[::37]:
        commands += [
            (["verify", session], (0, 1)), (["events", session, "--json"], (0, 1)),
            (["export", session, "-o", "/dev/null"], (1,)), (["sessions", "show", session], (0, 1)),
            (["chunks", session], (0, 1)), (["sessions", "show", session, "--at", "1"], (0, 1)),
        ]
    found = {}
    for command, allowed in commands:
        done = system.reel(*command)
        if done.returncode not in allowed:
            found[" ".join(command)] = (done.returncode, done.stderr[-200:])
    checks.equal(f"{name}: every command answers", found, {})


def lives(system, work, name):
    """No role has gone, and what is recorded now is completed."""
    checks.check(f"{name}: the process lives", system.process.poll() is None, system.log.read_text()[-800:])
    source = work / "source.bin"
    source.write_bytes(os.urandom(300_000))
    done = system.reel("record", source, "--name", "good", "--chunk-size", "0.1", "--wait", timeout=120)
    session = done.stdout.decode().strip()
    if not checks.equal(f"{name}: a new recording is completed", done.returncode, 0):
        return
    target = work / "out.bin"
    done = system.reel("export", session, "-o", target)
    same = done.returncode == 0 and target.read_bytes() == source.read_bytes()
    checks.check(f"{name}: and comes back as it was", same, done.stderr)
    checks.equal(f"{name}: it verifies", system.reel("verify", session).returncode, 0)


def totals(system):
    return API(system).ask("GET", "/statistics")[1]


def counters(system):
    """Redis' own numbers, as somebody who may write there sets them."""
    redis = system.redis()
    most = 2**63 - 1
    changed = 0
    for number in range(redis.partitions()):
        key = f"reel:{{p{number:03d}}}"
        for group in redis("XINFO", "GROUPS", f"{key}:log"):
            name = dict(zip(group[::2], group[1::2]))[b"name"]
            redis("XGROUP", "SETID", f"{key}:log", name, "$", "ENTRIESREAD", most)
            changed += 1
        # Who works on a partition, and how long still.
        if number % 4 == 1:
            redis("HSET", f"{key}:lease:projector", "until", most, "span", most)
    checks.check("there are groups whose counters are set", changed)


def documents(system, sessions):
    """Numbers that BSON has and JSON has not, in every field of every collection."""
    client = pymongo.MongoClient(system.endpoints["mongodb_url"])
    values = [2**63 - 1, -(2**63), float("nan"), float("inf"), -1.5, 1e308, 5e-324]
    place = 0
    for collection in client["reel"].list_collection_names():
        for document in client["reel"][collection].find().limit(40):
            changes = {}
            for path, value in flat(document):
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    changes[path] = values[place % len(values)]
                    place += 1
            if changes and path_is_safe(collection, document):
                client["reel"][collection].update_one({"_id": document["_id"]}, {"$set": changes})
    return place


def path_is_safe(collection, document):
    """The marker's own numbers say what the database is; everything else may be anything."""
    return not (collection == "checkpoints" and document["_id"] == "read-models")


def flat(node, place=""):
    if isinstance(node, dict):
        for name, value in node.items():
            if name != "_id":
                yield from flat(value, f"{place}.{name}" if place else name)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from flat(value, f"{place}.{index}")
    else:
        yield place, node


def events(work):
    with System(work / "data", *UNLIMITED, env=environment(**SETTINGS)) as system:
        lives(system, work, "before")
        forger = Forger(system.redis())
        bad, large = hostile_sessions(forger, random.Random(seed_of("extremes"))), lawful_sessions(forger)
        forger.flush()
        checks.check("there are hostile sessions of every kind", len(bad) > 150, len(bad))
        lives(system, work, "hostile events")

        def folded():
            shown = API(system).ask("GET", f"/sessions/{large[-1]}/statistics")
            return shown[0] == 200 and shown[1]["storage_stats"]["chunks_count"] == 3 and shown[1]
        shown = eventually(folded, 60, 0.3)
        checks.check("the largest lawful numbers are read and added up", shown, shown)
        figures = shown and shown["recording_stats"]
        checks.equal("their frames", figures and figures["total_frames"], 3 * (2**31 - 1))
        checks.check("and the whole system's are sums", eventually(
            lambda: totals(system)["system_stats"]["total_storage_bytes"] >= HELD * 3 * 104_861_748, 30),
            totals(system))
        answers(system, bad + large, "hostile events")
        counters(system)
        lives(system, work, "hostile counters")
        found = system.reel("status", "--json")
        checks.equal("hostile counters: status answers", found.returncode, 0)
    with System(work / "data", *UNLIMITED, env=environment(**SETTINGS)) as system:
        lives(system, work, "after a restart")
        answers(system, (bad + large)[::11], "after a restart")
        touched = documents(system, large)
        checks.check("there are documents whose numbers are set", touched > 300, touched)
        lives(system, work, "hostile documents")
        client, lost = API(system), []
        for path in [f"/sessions/{s}{p}" for s in large[:4] for p in ("", "/statistics", "/chunks")] + [
                "/sessions", "/statistics"]:
            try:
                client.ask("GET", path)
            except OSError as error:
                lost.append((path, repr(error)))
        checks.equal("hostile documents: every request is answered", lost, [])
    with System(work / "data", *UNLIMITED, env=environment(**SETTINGS)) as system:
        lives(system, work, "after another restart")


def remarkable_times(client, desk, now):
    """What can't be is refused, and what is only odd is taken and said."""
    session = client.ask("POST", "/sessions", desk)[1]["session_id"]
    client.ask("POST", f"/sessions/{session}/start")
    old = (now - datetime.timedelta(days=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
    chunks = f"/sessions/{session}/chunks?sequence_number"
    status, answer = client.ask("POST", f"{chunks}=1&timestamp={old}", b"x")
    said = [warning["field"] for warning in answer.get("reel", {}).get("warnings", [])]
    checks.equal("a time a week before the upload is taken and said", [status, said], [201, ["timestamp"]])
    for moment in ("2199-01-01T00:00:00Z", "1969-12-31T23:59:59Z"):
        status, answer = client.ask("POST", f"{chunks}=2&timestamp={moment}", b"x")
        fields = [v["field"] for v in answer["error"]["details"]["violations"]]
        checks.equal(f"{moment[:4]} is refused", [status, fields], [422, ["timestamp"]])
    client.ask("DELETE", f"/sessions/{session}")


def media_time(work):
    """What is said of chunks counts, and not when they came: the same everywhere it is shown."""
    with System(work / "media", *UNLIMITED, env=environment(**SETTINGS)) as system:
        client = API(system)
        desk = {"name": "a desk", "rdp_config": {"host": "desk.example", "username": "anna"}}
        session = client.ask("POST", "/sessions", desk)[1]["session_id"]
        client.ask("POST", f"/sessions/{session}/start")
        begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)
        taken = []
        for number in range(10):
            moment = (begin + datetime.timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            taken.append(client.ask(
                "POST", f"/sessions/{session}/chunks?sequence_number={number + 1}&timestamp={moment}"
                "&duration_seconds=60&frame_count=1800", b"x")[0])
        checks.equal("ten chunks are taken", taken, [201] * 10)
        client.ask("POST", f"/sessions/{session}/stop")
        state = lambda: client.ask("GET", f"/sessions/{session}")[1].get("status")
        checks.check("the session is completed", eventually(lambda: state() == "completed", 60), state())
        shown = client.ask("GET", f"/sessions/{session}/statistics")[1]["recording_stats"]
        checks.equal("ten minutes that were uploaded at once", [
            shown["active_duration_seconds"], shown["total_frames"], shown["average_fps"]], [600, 18000, 30])

        def document():
            done = system.reel("sessions", "show", session, "--json")
            found = json.loads(done.stdout) if done.returncode == 0 else {}
            return found.get("status") == "completed" and found["statistics"]
        found = eventually(document, 30)
        checks.equal("the read model says the same", found and [
            found["duration_seconds"], found["average_fps"]], [600, 30])
        listed = next(line for line in system.reel("sessions", "list").stdout.decode().splitlines()
                      if line.startswith(session))
        checks.check("the list says the same", " 600 " in listed, listed)
        then = system.reel("sessions", "show", session, "--at", "9999-12-31T23:59:59Z", "--json")
        checks.equal("the log says the same", json.loads(then.stdout)["statistics"], found)
        checks.equal("replay says the same", system.reel("replay", "--verify").returncode, 0)
        whole = totals(system)["system_stats"]
        checks.equal("and the sums", whole["average_session_duration_seconds"], 600)
        remarkable_times(client, desk, begin)


def main():
    with Workspace("extremes") as work:
        with checks.section("media time"):
            media_time(work)
        with checks.section("hostile numbers"):
            events(work)
    checks.finish()


if __name__ == "__main__":
    main()

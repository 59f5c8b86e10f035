#!/usr/bin/env python3
"""Documents of the read models that somebody has spoiled, number by number: they are left out and named, all
others are shown, and a replay makes every one what it was."""

import json
import os
import random

import pymongo

from hostile import API
from kit import UNLIMITED, Checks, System, Workspace, environment, eventually, mixed, seed_of

checks = Checks("spoiled_documents")
SETTINGS = {"REEL_DISK_RESERVE_MB": "0"}
SESSIONS = 9
COLLECTIONS = ("sessions", "chunks", "pipeline", "folds", "audit")
# Nothing of these is a number, a count or a time of anything.
VALUES = [-1, -(2**63), 2**63 - 1, float("nan"), float("inf"), -1.5, 1e308, "7", None, [], {}, True]


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def numbers(node, place=""):
    """The paths of a document's numbers; a list is told by its first element."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name != "_id":
                yield from numbers(value, f"{place}.{name}" if place else name)
    elif isinstance(node, list) and node:
        yield from numbers(node[0], f"{place}.0")
    elif is_number(node):
        yield place


def shape(path):
    return ".".join("0" if part.isdigit() else part for part in path.split("."))


class Documents:
    """The read models, as they were and as they are."""

    def __init__(self, system):
        self.database = pymongo.MongoClient(system.endpoints["mongodb_url"])["reel"]

    def read(self, collection):
        """Every document by its own key, without the server's id."""
        key = {"chunks": "chunk_id", "audit": "audit_id"}.get(collection, "session_id")
        return {d[key]: {name: value for name, value in d.items() if name != "_id"}
                for d in self.database[collection].find()}, key

    def keep(self):
        return {name: self.read(name)[0] for name in COLLECTIONS}

    def spoil(self, collection, key, path, value):
        name = self.read(collection)[1]
        self.database[collection].update_one({name: key}, {"$set": {path: value}})


def plan(kept, source):
    """Rounds of changes, each (collection, key, path, value): every number is changed once, each time in
    another document where there are enough; one session is left alone."""
    left = {}
    for collection in COLLECTIONS:
        places = {}
        for key, document in kept[collection].items():
            for path in numbers(document):
                places.setdefault(shape(path), []).append((key, path))
        left[collection] = list(places.values())
    rounds = []
    while any(left.values()):
        changes = []
        for collection, paths in left.items():
            used = set()
            for candidates in list(paths):
                free = [c for c in candidates if c[0] not in used and not c[0].startswith("sound")]
                if free:
                    key, path = source.choice(free)
                    used.add(key)
                    changes.append((collection, key, path, source.choice(VALUES)))
                    paths.remove(candidates)
                elif all(c[0].startswith("sound") for c in candidates):
                    paths.remove(candidates)
        rounds.append(changes)
    return rounds


def asked(system, sessions, name):
    """Every list shows what is sound, and every other question has an answer."""
    client, wrong = API(system), []

    def ask(path, allowed):
        status, answer = client.ask("GET", path)
        if status not in allowed:
            wrong.append((path, status, answer))
        return answer
    for path in ("/sessions?limit=100", "/statistics", "/events?limit=1000", "/sessions?status=completed",
                 "/sessions?owner=anna", "/audit?limit=100"):
        answer = ask(path, (200,))
        if path.startswith("/sessions?limit"):
            shown = [s["session_id"] for s in answer.get("sessions", [])]
            checks.check(f"{name}: a sound session is listed", "sound" in shown, shown)
    for session in sessions:
        sound = session == "sound"
        ask(f"/sessions/{session}/chunks", (200,))
        for part in ("", "/statistics", "/pipeline"):
            ask(f"/sessions/{session}{part}", (200,) if sound else (200, 404, 500))
        # What the log alone decides is as it was.
        for part in ("/media", "/events"):
            ask(f"/sessions/{session}{part}", (200,))
    checks.equal(f"{name}: every question has an answer", wrong[:4], [])
    commands = [(["sessions", "list"], 0), (["sessions", "list", "--json"], 0), (["audit", "--json"], 0),
                (["hold", "list", "--json"], 0), (["sessions", "expire", "--dry-run"], 0)]
    commands += [(["chunks", session], 0) for session in sessions]
    found = {" ".join(c): (done.returncode, done.stderr[-200:]) for c, wanted in commands
             if (done := system.reel(*c)).returncode != wanted}
    checks.equal(f"{name}: every command answers", found, {})


def named(system, changes, name):
    """Whoever looks at the system is told where the documents are that are left out."""
    done = system.reel("status", "--json")
    if checks.equal(f"{name}: status answers", done.returncode, 0):
        said = done.stdout.decode()
        missing = {c[0] for c in changes if f"reel.{c[0]}" not in said and c[0] != "audit"}
        checks.check(f"{name}: status names the collections", not missing, (missing, said[-800:]))


def spoiled(work):
    source = random.Random(seed_of("spoiled_documents"))
    with System(work / "data", "--partitions", 4, *UNLIMITED, env=environment(**SETTINGS)) as system:
        sessions = [f"desk-{n}" for n in range(SESSIONS - 1)] + ["sound"]
        for number, session in enumerate(sessions):
            done = system.reel("record", "-", "--name", session, "--session-id", session, "--chunk-size",
                               0.02, "--wait", stdin=mixed(number, 60_000))
            checks.equal(f"{session} is recorded", done.returncode, 0)
        checks.equal("replay", system.reel("replay").returncode, 0)
        documents = Documents(system)
        rounds = plan(documents.keep(), source)
        tried = sum(len(changes) for changes in rounds)
        checks.check("there are numbers to spoil", tried > 60, tried)
        if os.environ.get("REEL_SPOILED") != "all":
            rounds = source.sample(rounds, 2)
        for number, changes in enumerate(rounds):
            name = f"round {number + 1}"
            kept = documents.keep()
            for change in changes:
                documents.spoil(*change)
            asked(system, sessions, name)
            named(system, changes, name)
            done = system.reel("replay", timeout=120)
            checks.check(f"{name}: replay mends them", done.returncode == 0, (done.returncode, done.stderr))
            now = documents.keep()
            left = [c for c in changes if c[0] != "audit" and now[c[0]].get(c[1]) != kept[c[0]][c[1]]]
            checks.equal(f"{name}: every document is what it was", left[:6], [])
            done = system.reel("replay", "--verify", timeout=120)
            checks.check(f"{name}: and nothing differs", done.returncode == 0, (done.stdout, done.stderr))
            said = json.loads(system.reel("status", "--json").stdout)
            checks.equal(f"{name}: status names none any more", said["foreign_documents"], [])
        checks.equal("nobody ended", system.process.poll(), None)


def main():
    with Workspace("spoiled_documents") as work, checks.section("spoiled documents"):
        spoiled(work)
    checks.finish()


if __name__ == "__main__":
    main()

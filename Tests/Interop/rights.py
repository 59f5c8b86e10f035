#!/usr/bin/env python3
"""Who may see what, while somebody else can write the database of the read models: documents are changed,
swapped, copied, restored, invented and given wrong types, and every path is asked by somebody who sees some
sessions only. What is shown may be spoiled; nobody may see or do more than the log says.
"""

import json
import signal
import time
import urllib.request

import pymongo

from kit import UNLIMITED, Checks, System, Workspace, environment, eventually, mixed, seed_of
from web_http import Web

checks = Checks("rights")
SETTINGS = {"REEL_DISK_RESERVE_MB": "0"}
SECRET = "zq-secret"
COLLECTIONS = ("sessions", "folds", "chunks", "pipeline", "audit")


def desk(name, project, tags=()):
    return {"name": name, "rdp_config": {"host": f"{name}.host", "username": f"{name}-user"},
            "metadata": {"project": project, "tags": list(tags), "description": f"about {name}"}}


class Person:
    """One subject on all three services of a gateway."""

    def __init__(self, system, name, role, projects=()):
        words = ["token", "--subject", name, "--role", role]
        for project in projects:
            words += ["--project", project]
        self.name = name
        self.token = system.reel(*words).stdout.decode().strip()
        self.ports = {port: Web(system.endpoints[f"{port}_url"], self.token)
                      for port in ("api", "pipeline", "recorder")}

    def __call__(self, method, path, body=None, port="api", **more):
        return self.ports[port](method, path, body, **more)

    def listed(self, query="", port="api"):
        """Ids of a whole list, page by page, and its total; None where it is refused for now."""
        path, member = ("/sessions", "sessions") if port == "api" else ("/recordings", "recordings")
        ids, total, cursor = [], None, ""
        for _ in range(50):
            answer = self("GET", f"{path}?limit=2{query}{cursor}", port=port)
            if answer.status != 200:
                return None, answer.status
            page = answer.json
            total = page["pagination"]["total"] if total is None else total
            ids += [s["session_id"] for s in page[member]]
            if self.name == "mallory" and SECRET in json.dumps(page):
                checks.check("no list holds a secret", False, page)
            if not page["pagination"]["has_next"]:
                return sorted(ids), total
            cursor = f"&cursor={page['pagination']['next_cursor']}"
        return ids, "endless"


def make(person, name, project, chunks=2, tags=()):
    """A recorded session with stored chunks."""
    made = person("POST", "/sessions", dict(desk(name, project, tags), session_id=name))
    checks.equal(f"{name} is made", made.status, 201)
    person("POST", f"/sessions/{name}/start")
    for number in range(1, chunks + 1):
        path = f"/sessions/{name}/chunks?sequence_number={number}&timestamp=2026-01-31T10:00:00.000Z"
        checks.equal("a chunk is taken", person("POST", path, mixed(number, 5_000)).status, 201)
    person("POST", f"/sessions/{name}/stop")
    checks.check(f"{name} is completed", eventually(
        lambda: person("GET", f"/sessions/{name}").json["status"] == "completed"))
    return person("GET", f"/sessions/{name}/chunks").json["chunks"][0]["chunk_id"]


def paths(session, chunk):
    """Every path of a session, by port: method, path and body."""
    reads = [("api", "GET", f"/sessions/{session}{rest}", None) for rest in (
        "", "/chunks", "/chunks?limit=1", f"/chunks/{chunk}", f"/chunks/{chunk}/download",
        f"/chunks/{chunk}/download?form=sealed", f"/chunks/{chunk}/proof", "/media", "/pipeline", "/statistics",
        "/events")]
    reads += [("pipeline", "GET", f"/pipelines/{session}/status", None),
              ("recorder", "GET", f"/recordings/{session}", None), ("recorder", "GET", f"/chunks/{session}", None)]
    writes = [("api", "PUT", f"/sessions/{session}", {"name": "mine now"}),
              ("api", "POST", f"/sessions/{session}/hold", {"case": "c", "reason": "r"}),
              ("api", "DELETE", f"/sessions/{session}/hold", {"reason": "r"}),
              ("api", "DELETE", f"/sessions/{session}", None),
              ("api", "POST", f"/sessions/{session}/chunks?sequence_number=9&timestamp=2026-01-31T10:00:00Z", b"x"),
              ("pipeline", "POST", f"/pipelines/{session}/chunks?sequence_number=9&timestamp=2026-01-31T10:00:00Z",
               b"x"),
              ("pipeline", "DELETE", f"/pipelines/{session}", None),
              ("recorder", "DELETE", f"/recordings/{session}", None),
              ("recorder", "POST", f"/chunks/{session}/process", b"x"),
              ("recorder", "POST", "/recordings/start", {"session_id": session})]
    writes += [("api", "POST", f"/sessions/{session}/{word}", None) for word in (
        "start", "pause", "resume", "stop", "pipeline/pause", "pipeline/resume")]
    writes += [("pipeline", "POST", f"/pipelines/{session}/{word}", None) for word in (
        "start", "stop", "pause", "resume")]
    writes += [("recorder", "POST", f"/recordings/{session}/{word}", None) for word in ("stop", "pause", "resume")]
    return reads, writes


def nothing_to_see(what, person, session, chunk, withWrites=True):
    """Whoever may not see a session is answered as if there were none, on every path."""
    reads, writes = paths(session, chunk)
    open_, leaks = [], []
    for port, method, path, body in reads + (writes if withWrites else []):
        answer = person(method, path, body, port=port)
        if answer.status not in (403, 404):
            open_.append((port, method, path, answer.status))
        if SECRET.encode() in answer.body.replace(session.encode(), b""):
            leaks.append((port, method, path))
    checks.equal(f"{what}: no path is open", open_, [])
    checks.equal(f"{what}: no path says anything", leaks, [])


class Forger:
    """Somebody who can write the database of the read models, and puts it back afterwards."""

    def __init__(self, url):
        self.client = pymongo.MongoClient(url)
        self.db = self.client.reel
        self.kept = {name: list(self.db[name].find({})) for name in COLLECTIONS}

    def restore(self):
        for name, documents in self.kept.items():
            self.db[name].delete_many({})
            if documents:
                self.db[name].insert_many(documents)

    def set(self, session, values):
        """Changes a session's document and the fold that lists are made of."""
        self.db.sessions.update_one({"session_id": session}, {"$set": values})
        self.db.folds.update_one(
            {"session_id": session}, {"$set": {f"session.{name}": value for name, value in values.items()}})

    def copy(self, source, target, keeps=()):
        """Puts one session's documents under another's id; `keeps` stays the target's."""
        for name, path in (("sessions", ""), ("folds", "session."), ("pipeline", "")):
            found = self.db[name].find_one({"session_id": source})
            before = self.db[name].find_one({"session_id": target})
            if not found or not before:
                continue
            found["_id"], found["session_id"] = before["_id"], target
            inner, old = (found["session"], before["session"]) if path else (found, before)
            if name != "pipeline":
                inner["session_id"] = target
                for member in keeps:
                    inner["metadata"][member] = old["metadata"][member]
            self.db[name].replace_one({"_id": before["_id"]}, found)


def takes_over(forger):
    """Owner and project of everything become the attacker's."""
    for values in ({"metadata.owner": "mallory"}, {"metadata.project": "moon"},
                   {"metadata.owner": "mallory", "metadata.project": "moon", "version": 10 ** 9}):
        def forge(values=values):
            for session in ("v1", "v2", "v3"):
                forger.set(session, values)
        yield f"taken over by {'/'.join(values)}", forge


def forgeries(forger):
    yield from takes_over(forger)

    def swapped():
        own = {name: forger.db[name].find_one({"session_id": "m1"}) for name in ("sessions", "folds", "pipeline")}
        forger.copy("v1", "m1")
        for name, document in own.items():
            there = forger.db[name].find_one({"session_id": "v1"})
            document["_id"], document["session_id"] = there["_id"], "v1"
            if "session" in document:
                document["session"]["session_id"] = "v1"
            forger.db[name].replace_one({"_id": there["_id"]}, document)
    yield "documents are swapped", swapped
    yield "documents are copied", lambda: forger.copy("v1", "m1")
    yield "documents are copied under the own owner", lambda: forger.copy("v1", "m1", ("owner", "project"))

    def relabelled():
        for chunk in forger.db.chunks.find({"session_id": "m1"}):
            forger.db.chunks.delete_one({"_id": chunk["_id"]})
        forger.db.chunks.update_many({"session_id": "v1"}, {"$set": {"session_id": "m1"}})
        forger.db.pipeline.delete_one({"session_id": "m1"})
        forger.db.pipeline.update_one({"session_id": "v1"}, {"$set": {"session_id": "m1"}})
        forger.db.audit.update_many({"session_id": "v1"}, {"$set": {"session_id": "m1"}})
    yield "chunks, pipeline and records are given to the own session", relabelled

    def invented():
        for number in range(30):
            for name in ("sessions", "folds"):
                document = dict(forger.db[name].find_one({"session_id": "v1"}))
                del document["_id"]
                document["session_id"] = f"phantom-{number}"
                inner = document["session"] if name == "folds" else document
                inner["session_id"] = f"phantom-{number}"
                inner["metadata"]["owner"] = "mallory"
                forger.db[name].insert_one(document)
    yield "sessions are invented", invented

    for value in ([], ["mallory", "vera"], {"$eq": "mallory"}, 7, True, None, b"mallory"):
        def typed(value=value):
            for session in ("v1", "v2"):
                # No two of them are arrays: an index takes one.
                forger.set(session, {"metadata.owner": value, "metadata.project": "moon", "metadata.tags": "hot"})
        yield f"an owner of another type: {value!r:.30}", typed
    yield "several projects", lambda: [forger.set(session, {
        "metadata.owner": "mallory", "metadata.project": ["moon", "sun"], "metadata.tags": "hot"})
        for session in ("v1", "v2")]
    for values in ({"metadata": "mallory"}, {"created_at": "now"}, {"version": "9"}, {"status": 7},
                   {"name": {"x": 1}}, {"reel": []}):
        yield f"a member of another type: {values!r:.40}", lambda values=values: forger.set("v1", dict(
            values, **({} if "metadata" in values else {"metadata.owner": "mallory"})))
    yield "it is called deleted", lambda: forger.set("v1", {"status": "deleted", "metadata.owner": "mallory"})


def own_lists(what, mallory, own):
    """Lists of somebody who sees some sessions: exactly those, or none for now; totals count nothing else."""
    queries = {"": own, "&owner=mallory": own, "&owner=vera": [], "&project=moon": own, "&project=sun": [],
               "&tag=hot": [], "&status=completed": own, "&status=deleted": []}
    for query, wanted in queries.items():
        found, total = mallory.listed(query)
        if found is None:
            # What can't be read at all is nobody's: a document of the wrong type spoils the list.
            checks.check(f"{what}: {query} is refused as a whole", total >= 500, total)
            continue
        checks.check(f"{what}: nothing else is listed{query}", set(found) <= set(wanted), found)
        checks.check(f"{what}: nothing else is counted{query}", total <= len(wanted), total)
    found, total = mallory.listed(port="recorder")
    checks.check(f"{what}: recordings", found is None or set(found) <= set(own) and total <= len(own), found)
    for offset in (0, 1, len(own), len(own) + 5):
        page = mallory("GET", f"/sessions?limit=1&offset={offset}")
        if page.status == 200:
            ids = [s["session_id"] for s in page.json["sessions"]]
            checks.check(f"{what}: an offset of {offset} shows nothing else", set(ids) <= set(own), ids)
            checks.check(f"{what}: nor counts it", page.json["pagination"]["total"] <= len(own))


def forged(system, people, chunk):
    mallory, vera, admin = people["mallory"], people["vera"], people["admin"]
    own = ["m1", "m2", "m3"]
    forger = Forger(system.endpoints["mongodb_url"])
    before = {query: mallory.listed(query) for query in ("", "&owner=mallory", "&status=completed")}
    for query, found in before.items():
        checks.equal(f"what is there is listed{query}", found, (own, 3))
    nothing_to_see("before", mallory, "v1", chunk)
    for what, forge in forgeries(forger):
        with checks.section(what):
            forge()
            for session in ("v1", "v2"):
                nothing_to_see(f"{what}, {session}", mallory, session, chunk, withWrites=session == "v1")
            for path in ("", "/chunks", "/pipeline", "/statistics", "/events", "/media"):
                answer = mallory("GET", f"/sessions/m1{path}")
                checks.check(f"{what}: the own session{path} shows nothing of another's",
                             SECRET.encode() not in answer.body, answer.body[:300])
                checks.equal(f"{what}: and is there", answer.status, 200)
            foreign = mallory("GET", f"/sessions/m1/chunks/{chunk}")
            checks.equal(f"{what}: no chunk of another's in the own session", foreign.status, 404)
            for port, path in (("pipeline", "/pipelines/m1/status"), ("recorder", "/recordings/m1"),
                               ("recorder", "/chunks/m1")):
                answer = mallory("GET", path, port=port)
                checks.check(f"{what}: {path}", answer.status == 200 and SECRET.encode() not in answer.body)
            own_lists(what, mallory, own)
            # Whose it is sees it all the same, one by one.
            checks.equal(f"{what}: its owner sees it", vera("GET", "/sessions/v1").status, 200)
            checks.equal(f"{what}: as it is", vera("GET", "/sessions/v1").json["metadata"]["owner"], "vera")
            checks.equal(f"{what}: statistics of all are not for everybody",
                         mallory("GET", "/statistics").status, 403)
        forger.restore()
    takeover = next(iter(takes_over(forger)))[1]
    takeover()
    page = admin("GET", "/sessions?limit=100").json["sessions"]
    shown = {s["session_id"]: s["metadata"]["owner"] for s in page}
    checks.equal("who sees everything is shown what the log says", shown.get("v1"), "vera")
    forger.restore()
    with urllib.request.urlopen(system.endpoints["api_url"] + "/metrics") as answer:
        figures = answer.read().decode()
    counted = [float(line.split()[1]) for line in figures.splitlines()
               if line.startswith("reel_read_model_contradictions ")]
    checks.check("contradictions are counted", counted and counted[0] > 0, counted)
    told = [line for line in system.log.read_text().splitlines()
            if "contradict" in line and "v1" in line]
    checks.equal("and each session is named once", len(told), 1)


def given_away(system, people):
    """What was restored to how it was before a session was given to somebody else lets nobody back in."""
    mallory, vera, admin = people["mallory"], people["vera"], people["admin"]
    chunk = make(mallory, "given", "moon")
    forger = Forger(system.endpoints["mongodb_url"])
    old = {name: forger.db[name].find_one({"session_id": "given"}) for name in ("sessions", "folds", "pipeline")}
    changed = admin("PUT", "/sessions/given", {
        "name": f"{SECRET}-given", "metadata": {"owner": "vera", "project": "sun", "description": SECRET}})
    checks.equal("it is given away", changed.status, 200)
    nothing_to_see("given away, at once", mallory, "given", chunk)
    checks.check("the read models follow", eventually(
        lambda: forger.db.sessions.find_one({"session_id": "given"})["metadata"]["owner"] == "vera"
        and forger.db.folds.find_one({"session_id": "given"})["session"]["metadata"]["owner"] == "vera"))
    for bump in (0, 10 ** 6):
        for name, document in old.items():
            document = json_copy(document)
            for inner in (document, document.get("session", {})):
                if bump and "version" in inner:
                    inner["version"] = bump
            forger.db[name].replace_one({"_id": document["_id"]}, document)
        what = "the older documents are back" + (", called newer" if bump else "")
        nothing_to_see(what, mallory, "given", chunk)
        own_lists(what, mallory, ["m1", "m2", "m3"])
        checks.equal(f"{what}: its new owner sees what is new",
                     vera("GET", "/sessions/given").json["name"], f"{SECRET}-given")
    forger.restore()


def json_copy(document):
    """A deep copy; documents hold nothing but values."""
    if isinstance(document, dict):
        return {name: json_copy(value) for name, value in document.items()}
    return [json_copy(value) for value in document] if isinstance(document, list) else document


def no_models(system, people):
    """Without any documents, and without the server, nobody sees more or less than before."""
    mallory = people["mallory"]
    forger = Forger(system.endpoints["mongodb_url"])
    for name in COLLECTIONS:
        forger.db[name].delete_many({})
    checks.equal("the own session is there", mallory("GET", "/sessions/m1").status, 200)
    checks.equal("another's is not", mallory("GET", "/sessions/v1").status, 404)
    checks.equal("nothing is listed", mallory.listed()[0], [])
    forger.restore()
    checks.equal("and then it is again", mallory.listed(), (["m1", "m2", "m3"], 3))


def restarted(system, people):
    """A gateway that begins knows whose everything is before it answers."""
    mallory = people["mallory"]
    checks.equal("lists after a restart", mallory.listed(), (["m1", "m2", "m3"], 3))
    redis = system.redis()
    kept = sum(len(redis("HKEYS", key)) - 1 for key in redis("KEYS", "*:index:session-facts-1"))
    checks.equal("facts of every session are kept beside the log", kept, 7)
    done = people["admin"]("DELETE", "/sessions/m3").status
    checks.equal("one is deleted", done, 204)
    checks.equal("and gone for everybody", mallory("GET", "/sessions/m3").status, 404)
    checks.check("also from lists and totals", eventually(lambda: mallory.listed() == (["m1", "m2"], 2)),
                 mallory.listed())


def gather(system):
    return {"mallory": Person(system, "mallory", "session_operator", ["moon"]),
            "vera": Person(system, "vera", "session_operator", ["sun"]),
            "admin": Person(system, "root", "admin")}


def main():
    seed_of("rights")
    with Workspace("rights") as folder:
        data = folder / "data"
        options = ("--partitions", "4", *UNLIMITED)
        with System(data, *options, env=environment(**SETTINGS)) as system:
            people = gather(system)
            for number in (3, 2, 1):
                make(people["mallory"], f"m{number}", "moon", chunks=1)
                chunk = make(people["vera"], f"v{number}", "sun", tags=["hot", SECRET])
            checks.check("all is shown", eventually(
                lambda: people["admin"].listed("&status=completed")[1] == 6))
            with checks.section("forged documents"):
                forged(system, people, chunk)
            with checks.section("given away"):
                given_away(system, people)
            with checks.section("no read models"):
                no_models(system, people)
        with System(data, *options, env=environment(**SETTINGS)) as system:
            with checks.section("after a restart"):
                restarted(system, gather(system))
    checks.finish()


if __name__ == "__main__":
    main()

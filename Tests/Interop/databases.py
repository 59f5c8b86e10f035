#!/usr/bin/env python3
"""What somebody with a shell does to MongoDB while Reel runs: takes rights away, makes rules of their own, drops
collections, puts documents of their own there, takes keys out. Each is named, waited for, and mended."""

import contextlib
import json
import os
import pathlib
import shutil
import time
import urllib.parse
import urllib.request

import bson
import pymongo

from kit import Checks, System, Workspace, environment, eventually, free_port, mixed
from servers import Servers, Site
from web_tls import PEM, Authority

checks = Checks("databases")
WAITING = 'reel_waiting_roles{remedy="operators"}'
COLLECTIONS = ["sessions", "chunks", "pipeline", "folds", "audit"]


class Place:
    """A running system, and its databases by their own users and by their administrator."""

    def __init__(self, system):
        self.system = system
        urls = system.endpoints
        self.views = pymongo.MongoClient(urls["mongodb_url"], serverSelectionTimeoutMS=10_000)["reel"]
        self.vault = pymongo.MongoClient(
            urls["mongodb_vault_url"], serverSelectionTimeoutMS=10_000)["reel_vault"]
        login = json.loads((system.data / "credentials.json").read_bytes())["mongodb_admin"]
        self.admin = pymongo.MongoClient(
            urls["mongodb_url"].split("@")[1].split("/")[0], username=login["user"],
            password=login["password"], directConnection=True)
        self.token = pathlib.Path(urls["admin_token_file"]).read_text().strip()

    def record(self, name, *options, wait=True):
        """Records something; answers the session's id."""
        done = self.system.reel(
            "record", "-", "--name", name, *options, *(["--wait"] if wait else []), stdin=os.urandom(5000))
        if done.returncode != 0:
            raise RuntimeError(f"record {name}: status {done.returncode}: {done.stderr}")
        return done.stdout.decode().strip()

    def ask(self, path, url=None, raw=False):
        """A request to the API; status and body."""
        request = urllib.request.Request(
            (url or self.system.endpoints["api_url"]) + path, headers={"Authorization": f"Bearer {self.token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                body = answer.read()
                return answer.status, body if raw else json.loads(body)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def status(self):
        done = self.system.reel("status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def figure(self, name):
        """A figure of the storage role, which looks at keys, or the API's."""
        text = b""
        for role in ("api_url", "storage_url"):
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(self.system.endpoints[role] + "/metrics", timeout=10) as answer:
                    text += answer.read()
        values = [float(line.split()[-1]) for line in text.decode().splitlines() if line.startswith(name + " ")]
        return max(values, default=None)

    def health(self):
        return {c["name"]: c["status"] for c in components(self.ask("/health")[1])}

    def said(self):
        return self.system.log.read_text(errors="replace")


def components(health):
    """Every component of a health answer, wherever it stands."""
    if isinstance(health, dict):
        if "name" in health and "status" in health:
            yield health
        for name, value in health.items():
            if isinstance(value, dict) and "status" in value and "name" not in value:
                yield {"name": name, "status": value["status"]}
            yield from components(value)
    elif isinstance(health, list):
        for value in health:
            yield from components(value)


def shown(place, session):
    document = place.views.sessions.find_one({"session_id": session}) or {}
    return document.get("status")


def rights(place):
    """Users are taken away and put back while sessions are recorded."""
    login = json.loads((place.system.data / "credentials.json").read_bytes())["mongodb"]
    place.admin.admin.command("dropUser", login["user"])
    done = place.system.reel("sessions", "list")
    checks.check(
        "rights: a command says that the login is refused, and what to look at",
        done.returncode == 3 and "Authentication failed" in done.stderr and "servers.md" in done.stderr
        and login["password"] not in done.stderr, (done.returncode, done.stderr))
    place.admin.admin.command("createUser", login["user"], pwd="another", roles=[])
    checks.check("rights: roles say that they wait", eventually(
        lambda: "projector: MongoDB" in place.said() and "servers.md" in place.said(), 30), place.said()[-600:])
    checks.check("rights: a figure does", eventually(lambda: place.figure(WAITING) > 0, 20),
                 place.figure(WAITING))
    session = place.record("meanwhile", wait=False)
    place.admin.admin.command("updateUser", login["user"], pwd=login["password"], roles=[
        {"role": "readWrite", "db": "reel"}, {"role": "dbAdmin", "db": "reel"}])
    checks.check("rights: put back, everything goes on by itself",
                 eventually(lambda: shown(place, session) == "completed", 60), shown(place, session))
    checks.check("rights: then nobody waits", eventually(lambda: place.figure(WAITING) == 0, 40),
                 place.figure(WAITING))
    checks.check("rights: no password stands in the log", login["password"] not in place.said())
    checks.check("rights: nothing had to be started again", place.system.process.poll() is None)


def vault_rights(place):
    """The user of the keys' database loses its rights while the system runs, and gets them back."""
    login = json.loads((place.system.data / "credentials.json").read_bytes())["mongodb_vault"]
    roles = place.admin.admin.command("usersInfo", login["user"])["users"][0]["roles"]
    before = place.record("before the vault's user")
    place.admin.admin.command("updateUser", login["user"], roles=[])
    done = place.system.reel("record", "-", "--name", "no vault", stdin=b"x")
    checks.check("vault rights: a command says that it may not, and what to look at", done.returncode == 3
                 and "not authorized on reel_vault" in done.stderr and "servers.md" in done.stderr
                 and login["password"] not in done.stderr, (done.returncode, done.stderr))
    checks.check("vault rights: the log says so", eventually(
        lambda: "not authorized on reel_vault" in place.said(), 60), place.said()[-600:])
    place.admin.admin.command("updateUser", login["user"], roles=roles)
    after = place.record("after the vault's user")
    checks.equal("vault rights: what was recorded before and after opens",
                 [place.system.reel("verify", session).returncode for session in (before, after)], [0, 0])
    checks.check("vault rights: no password stands in the log", login["password"] not in place.said())
    checks.check("vault rights: nothing had to be started again", place.system.process.poll() is None)


def certificates(folder):
    """MongoDB shows a certificate of a stranger's, and later the right one again, while roles run."""
    authority, stranger = Authority("MongoDB's"), Authority("nobody's")
    place, both = folder / "tls", folder / "tls" / "both.pem"
    place.mkdir()
    (folder / "tokens").mkdir()
    (folder / "tokens" / "any.hs256").write_bytes(os.urandom(32))
    (folder / "tokens" / "any.hs256").chmod(0o600)
    (place / "authority.pem").write_bytes(authority.certificate.public_bytes(PEM))

    def restart(servers, signer):
        servers.stop("mongo")
        signer.issue(place, "mongod")
        both.write_bytes((place / "mongod.pem").read_bytes() + (place / "mongod.key").read_bytes())
        servers.start_mongo("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", both,
                            tls=True, tlsAllowInvalidCertificates=True)

    port = free_port()

    def waiting():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(WAITING)), None)

    with Servers(folder) as servers:
        believed = urllib.parse.quote(str(place / "authority.pem"), safe="")
        servers.mongodb_url += f"&tls=true&tlsCAFile={believed}"
        servers.start_redis()
        restart(servers, authority)
        with Site(folder, servers) as site:
            site.env |= {"PORT": str(port), "REEL_TOKEN_KEYS": str(folder / "tokens"), "REEL_DISK_RESERVE_MB": "0"}
            role = site.serve("pipeline", "recorder", "processor", "storage", "api", "projector")

            def record(name):
                return site.reel("record", "-", "--name", name, "--session-id", name, "--wait",
                                 stdin=mixed(1, 5000))

            def is_shown(name):
                done = site.reel("sessions", "show", name, "--json")
                return done.returncode == 0 and json.loads(done.stdout).get("status") == "completed"
            checks.equal("certificates: recorded over TLS", record("first").returncode, 0)
            checks.check("certificates: and shown", eventually(lambda: is_shown("first"), 30),
                         role.said()[-600:])
            restart(servers, stranger)
            checks.check("certificates: roles say that they wait, and what to look at", eventually(
                lambda: "look at the certificates" in role.said(), 60), role.said()[-800:])
            checks.check("certificates: a figure does", eventually(lambda: waiting() > 0, 30), waiting())
            done = site.reel("sessions", "list")
            checks.check("certificates: so does a command", done.returncode == 3
                         and "look at the certificates" in done.stderr, (done.returncode, done.stderr))
            restart(servers, authority)
            checks.check("certificates: put right, nobody waits", eventually(lambda: waiting() == 0, 90),
                         waiting())
            checks.equal("certificates: recordings are taken again", record("second").returncode, 0)
            checks.check("certificates: and shown", eventually(lambda: is_shown("second"), 60),
                         role.said()[-600:])
            checks.equal("certificates: nothing had to be started again", role.process.poll(), None)


def rules(place):
    """Somebody's unique index keeps a session out."""
    place.views.sessions.create_index([("name", 1)], unique=True, name="mine",
                                      partialFilterExpression={"name": {"$gte": "unique"}})
    first, second = place.record("unique-name"), place.record("unique-name", wait=False)
    other = place.record("zz-other")
    checks.check("rules: others go on", eventually(lambda: shown(place, other) == "completed", 30),
                 shown(place, other))

    def parked():
        done = place.system.reel("parked", "list", "--json")
        return [line for line in done.stdout.decode().splitlines() if second in line]
    found = eventually(parked, 60)
    checks.check("rules: the session is parked, and the index named",
                 found and "index: mine" in json.dumps(found), found)
    checks.check("rules: its values are not", "unique-name" not in json.dumps(found), found)
    checks.check("rules: it is not shown, and the first one is",
                 (shown(place, first), shown(place, second)) == ("completed", None), shown(place, second))
    subscriptions = {s["name"]: s["parked"] for s in place.status()["subscriptions"]}
    checks.equal("rules: status counts it", subscriptions["projector"], 1)
    place.views.sessions.drop_index("mine")
    done = place.system.reel("parked", "retry", "--stage", "projector")
    checks.equal("rules: it is asked for again", done.returncode, 0)
    checks.check("rules: and shown", eventually(lambda: shown(place, second) == "completed", 30),
                 shown(place, second))


def dropped(place):
    """Collections go, and come back whole, while the system runs."""
    place.views.sessions.create_index([("name", 1)], name="mine")
    place.views.command("create", "names", viewOn="sessions", pipeline=[{"$project": {"name": 1}}])
    before = {name: place.views[name].count_documents({}) for name in COLLECTIONS}
    indexes = {name: set(place.views[name].index_information()) for name in COLLECTIONS}
    for name in ("sessions", "audit"):
        place.views[name].drop()
        begun = time.monotonic()
        whole = eventually(lambda name=name: (
            place.views[name].count_documents({}) >= before[name]
            and not place.status().get("mongodb", {}).get("read_models_lack")
            and set(place.views[name].index_information()) >= indexes[name] - {"mine"}), 60)
        seconds = time.monotonic() - begun
        checks.check(f"dropped: {name} is whole again with its indexes", whole and seconds < 30, seconds)
        checks.check(f"dropped: that is said of {name}", f"reel.{name} was dropped or renamed" in place.said())
    place.views.chunks.drop_index("chunk_id_1")
    checks.check("dropped: an index is made again", eventually(
        lambda: "chunk_id_1" in place.views.chunks.index_information(), 15))
    place.views.sessions.create_index([("name", 1)], name="mine")
    place.views.sessions.update_one({}, {"$set": {"name": "changed by somebody"}})
    done = place.system.reel("replay")
    checks.check("replay: it mends what was changed",
                 done.returncode == 0 and not place.views.sessions.find_one({"name": "changed by somebody"}),
                 done.stderr)
    checks.check("replay: others' indexes stay", "mine" in place.views.sessions.index_information())
    checks.equal("replay: views on a collection go on", place.views.names.count_documents({}),
                 place.views.sessions.count_documents({}))
    client = pymongo.MongoClient(place.system.endpoints["mongodb_url"])
    client.drop_database("reel")
    checks.check("dropped: the whole database comes back", eventually(
        lambda: place.views.sessions.count_documents({}) >= before["sessions"], 60))
    client.close()


def foreign(place):
    """Documents of somebody's, and one of ours with a field of another type."""
    spoilt = place.views.sessions.find_one({"status": "completed"})["session_id"]
    total = place.ask("/api/v1/sessions?limit=100")[1]["pagination"]["total"]
    for document in ({"note": "no id"}, {"session_id": 7}, {"session_id": ["a"]}, {
            "session_id": "stranger", "created_at": 5, "status": "completed"},
            {"session_id": "large", "created_at": "now", "text": "x" * 4_000_000}):
        place.views.sessions.insert_one(document)
    place.views.sessions.update_one({"session_id": spoilt}, {"$set": {"statistics": "none"}})
    place.views.audit.insert_one({"audit_id": 5})
    place.views.checkpoints.insert_one({"_id": "mine", "subscription": "projector", "position": 3})
    status, body = place.ask("/api/v1/sessions?limit=100")
    found = {s["session_id"] for s in body.get("sessions", [])}
    checks.check("foreign: lists show all others", status == 200 and len(found) == total - 1
                 and spoilt not in found and "stranger" not in found, (status, len(found), total))
    checks.equal("foreign: the trail answers", place.ask("/api/v1/audit?limit=5")[0], 200)
    checks.equal("foreign: statistics answer", place.ask("/api/v1/statistics")[0], 200)
    checks.equal("foreign: the command lists", place.system.reel("sessions", "list").returncode, 0)
    named = lambda: place.status().get("foreign_documents", [])
    checks.check("foreign: status names them", eventually(
        lambda: len(n := named()) >= 7 and any("statistics" in d["reason"] for d in n), 30), named())
    text = place.system.reel("status").stdout.decode()
    checks.check("foreign: also for people", "FOREIGN" in text and "reel.sessions" in text, text)
    checks.check("foreign: so does the log", "is none of Reel's" in place.said())
    checks.check("foreign: and a figure", eventually(
        lambda: (place.figure("reel_mongodb_foreign_documents") or 0) >= 5, 20),
        place.figure("reel_mongodb_foreign_documents"))
    session = place.record("after foreign documents")
    checks.check("foreign: new sessions are shown", eventually(lambda: shown(place, session) == "completed", 30),
                 shown(place, session))
    checks.equal("foreign: a replay builds without them", place.system.reel("replay").returncode, 0)
    checks.check("foreign: then none is left", eventually(
        lambda: place.status().get("foreign_documents") == [], 30), place.status().get("foreign_documents"))
    checks.equal("foreign: and the session is shown again", shown(place, spoilt), "completed")


def expect_missing(place, what, kinds, session):
    """Every place that has to tell of a missing key does."""
    done = place.system.reel("keys", "check", "--json")
    found = json.loads(done.stdout)["findings"] if done.stdout else []
    checks.check(f"{what}: keys check names it", done.returncode == 1 and {
        f["kind"] for f in found} == kinds and session in {f["session_id"] for f in found}, (found, done.stderr))
    status = place.status().get("missing_keys", {})
    checks.check(f"{what}: status counts it", status.get("count") == len(found), status)
    checks.check(f"{what}: a figure does within seconds", eventually(
        lambda: place.figure("reel_vault_missing_keys") == len(found), 20),
        place.figure("reel_vault_missing_keys"))
    checks.check(f"{what}: health does", eventually(
        lambda: "degraded" in json.dumps(place.ask("/health")), 20), place.ask("/health"))
    checks.check(f"{what}: the log does", eventually(lambda: f"session {session}: " in place.said(), 20))


def expect_closed(place, what, session):
    """Nothing of the session is given out, and everybody is told why."""
    done = place.system.reel("verify", session, "--json")
    checks.check(f"{what}: verify finds it", done.returncode == 1 and b"no data key" in done.stdout,
                 (done.returncode, done.stdout, done.stderr))
    target = place.system.data.parent / "out"
    done = place.system.reel("export", session, "-o", target)
    checks.check(f"{what}: export says so, and what to do", done.returncode != 0 and session in done.stderr
                 and "backup" in done.stderr, (done.returncode, done.stderr))
    target.unlink(missing_ok=True)
    chunk = place.views.chunks.find_one({"session_id": session})["chunk_id"]
    for path in (f"/api/v1/sessions/{session}/media", f"/api/v1/sessions/{session}/chunks/{chunk}/download"):
        status, body = place.ask(path, raw=True)
        error = body.get("error", {}) if isinstance(body, dict) else {}
        checks.check(
            f"{what}: {path.rsplit('/', 1)[1]} says so", error.get("code") == "REEL_ERR_3009"
            and error["details"]["category"] == "admin_required" and session in error["message"],
            (status, body))


def expect_open(place, what, session):
    checks.equal(f"{what}: put back, it opens", place.system.reel("verify", session).returncode, 0)
    checks.equal(f"{what}: and no key is missing", place.system.reel("keys", "check").returncode, 0)
    checks.check(f"{what}: the figure goes back", eventually(
        lambda: place.figure("reel_vault_missing_keys") == 0, 20), place.figure("reel_vault_missing_keys"))


def keys(place):
    """Keys are taken out of the vault, replaced, and put back."""
    keys, session = place.vault["keys"], place.record("a key of its own")
    other = place.record("another key")
    kept, others = keys.find_one({"session_id": session}), keys.find_one({"session_id": other})
    keys.delete_one({"_id": kept["_id"]})
    expect_missing(place, "a key is gone", {"missing"}, session)
    expect_closed(place, "a key is gone", session)
    keys.insert_one(kept)
    expect_open(place, "a key is gone", session)

    forged = {**kept, "nonce": others["nonce"], "ciphertext": others["ciphertext"]}
    keys.replace_one({"_id": kept["_id"]}, forged)
    expect_missing(place, "another session's key", {"unusable"}, session)
    keys.replace_one({"_id": kept["_id"]}, kept)
    expect_open(place, "another session's key", session)

    everything = list(keys.find())
    keys.drop()
    expect_missing(place, "the collection is dropped", {"missing"}, session)
    keys.insert_many(everything)
    checks.check("the collection is dropped: put back, it has its indexes", eventually(
        lambda: place.record("with an index") and {"session_id_1", "key_id_1"} <= set(keys.index_information()), 20))
    expect_open(place, "the collection is dropped", session)

    folder = pathlib.Path(place.system.endpoints["keys"])
    kek = folder / f"{kept['kek_id']}.kek"
    aside = folder.parent / kek.name
    shutil.move(kek, aside)
    expect_missing(place, "a key-encryption key is gone", {"unwrappable"}, session)
    shutil.move(aside, kek)
    expect_open(place, "a key-encryption key is gone", session)
    return session


def lost_folder(place, session):
    """The folder of keys is empty at a start."""
    system, folder = place.system, pathlib.Path(place.system.endpoints["keys"])
    system.stop()
    aside = folder.with_name("keys-aside")
    folder.rename(aside)
    done = system.reel("up", timeout=90)
    checks.check("an emptied folder of keys is refused at the start", done.returncode == 3
                 and str(folder) in done.stderr and "reel keys init" in done.stderr,
                 (done.returncode, done.stderr[-500:]))
    checks.check("and no key was made in it", not list(folder.glob("*.kek")), list(folder.glob("*")))
    checks.equal("keys init wants to be sure", system.reel("keys", "init").returncode, 2)
    done = system.reel("keys", "init", "--accept-loss")
    checks.check("with it a new key is made", done.returncode == 0 and len(list(folder.glob("*.kek"))) == 1,
                 done.stderr)
    checks.equal("and no second one", system.reel("keys", "init", "--accept-loss").returncode, 1)
    system.start()
    fresh = Place(system)
    checks.check("new sessions are recorded", system.reel("verify", fresh.record("new")).returncode == 0)
    done = system.reel("keys", "check", "--json")
    found = json.loads(done.stdout)["findings"]
    checks.check("the former ones are named", {f["kind"] for f in found} == {"unwrappable"}
                 and session in {f["session_id"] for f in found}, found[:2])
    for path in aside.glob("*.kek"):
        shutil.copy2(path, folder)
    checks.equal("their key put back beside it opens them", system.reel("verify", session).returncode, 0)
    checks.equal("and no key is missing", system.reel("keys", "check").returncode, 0)


def main():
    assert bson  # pymongo's own, not another package of the name
    with Workspace("databases") as folder:
        with System(folder / "data", "--partitions", "4", env=environment(
                REEL_RETENTION_EVERY_SECONDS="0", REEL_RATE_STATUS="1000000")) as system:
            place = Place(system)
            for part in (rights, vault_rights, rules, dropped, foreign):
                with checks.section(part.__name__):
                    part(place)
            with checks.section("keys"):
                lost_folder(place, keys(place))
        with checks.section("certificates"):
            certificates(folder)
    checks.finish()


if __name__ == "__main__":
    main()

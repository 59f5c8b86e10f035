#!/usr/bin/env python3
"""Who may use the servers: strangers on the same machine, data folders of before there were passwords, lost and
exposed files, new passwords, and the smallest rights on servers that Reel did not start."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import time

import pymongo
from pymongo.errors import OperationFailure

from kit import REEL, Checks, Redis, System, Workspace, environment, eventually, free_port, reel
from servers import Servers, Site, mongod_program

checks = Checks("credentials")
MIB = 1 << 20


def mongo(url, **more):
    return pymongo.MongoClient(url, serverSelectionTimeoutMS=10_000, **more)


def passwords(data):
    """Every secret of the folder's servers."""
    kept = json.loads((data / "credentials.json").read_bytes())
    return [login["password"] for login in kept.values() if isinstance(login, dict)] + [
        (data / "mongodb" / "keyfile").read_text().strip()]


def raw_redis(port, *commands):
    """What a stranger is answered, without any library."""
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        reader = link.makefile("rb")
        answers = []
        for command in commands:
            link.sendall(command.encode() + b"\r\n")
            answers.append(reader.readline().decode().strip())
        return answers


def strangers(system, session):
    port = int(system.endpoints["redis_url"].rsplit(":", 1)[1])
    commands = [
        "PING", "INFO", "XRANGE reel:{p000}:log - +", "CONFIG SET appendfsync no", "CONFIG GET *", "FLUSHALL",
        "ACL LIST", "SHUTDOWN NOSAVE", "CLIENT LIST", "AUTH default nothing", "HELLO 2"]
    answers = raw_redis(port, *commands)
    open_to_all = [f"{c}: {a}" for c, a in zip(commands, answers) if not a.startswith(("-NOAUTH", "-WRONGPASS"))]
    checks.equal("Redis answers a stranger nothing", open_to_all, [])
    address = system.endpoints["mongodb_url"].split("@")[1].split("/")[0]
    client = mongo(f"mongodb://{address}/?directConnection=true")
    answered = []
    for name, ask in (
            ("read models", lambda: client.reel.sessions.find_one()),
            ("keys", lambda: client.reel_vault["keys"].find_one()),
            ("a write", lambda: client.reel.sessions.insert_one({"session_id": "x"})),
            ("databases", client.list_database_names),
            ("a user", lambda: client.admin.command("createUser", "x", pwd="x", roles=["root"])),
            ("the end", lambda: client.admin.command("shutdown")),
            ("its log", lambda: client.admin.command("getLog", "global"))):
        try:
            answered.append(f"{name}: {ask()}")
        except OperationFailure as error:
            if error.code != 13:
                answered.append(f"{name}: {error}")
    checks.equal("mongod answers a stranger nothing", answered, [])
    client.close()
    checks.check("and all goes on", system.reel("verify", session).returncode == 0)


def refused(action):
    try:
        action()
        return False
    except OperationFailure as error:
        return error.code == 13


def users(system, session):
    views, vault = mongo(system.endpoints["mongodb_url"]), mongo(system.endpoints["mongodb_vault_url"])
    reader = mongo(system.endpoints["mongodb_read_url"])
    checks.check("the read models' user sees sessions", views.reel.sessions.find_one({"session_id": session}))
    checks.check("and no key", refused(lambda: views.reel_vault["keys"].find_one()))
    checks.check("nor writes one", refused(lambda: views.reel_vault["keys"].delete_many({})))
    checks.check("the vault's user sees keys", vault.reel_vault["keys"].find_one({"session_id": session}))
    checks.check("and no session", refused(lambda: vault.reel.sessions.find_one()))
    checks.check("nor writes one", refused(lambda: vault.reel.sessions.delete_many({})))
    checks.check("dashboards read sessions", reader.reel.sessions.find_one({"session_id": session}))
    checks.check("and write none", refused(lambda: reader.reel.sessions.delete_many({})))
    checks.check("and see no key", refused(lambda: reader.reel_vault["keys"].find_one()))
    for client in (views, vault, reader):
        client.close()


def secrecy(system, said):
    """No secret in what anybody but the files' owner can read, nor in what is printed."""
    secrets = [secret.encode() for secret in passwords(system.data)]
    exposed = []
    for process in pathlib.Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                text = (process / "cmdline").read_bytes()
                exposed += [f"{process}: {text}" for secret in secrets if secret in text]
    checks.equal("no password is among any process's arguments", exposed, [])
    for path in system.data.rglob("*"):
        if not path.is_file():
            continue
        text = path.read_bytes()
        if any(secret in text for secret in secrets):
            mode = stat.S_IMODE(path.stat().st_mode)
            expected = path.name in ("credentials.json", "endpoints.json", "keyfile")
            if mode & 0o077 or not expected:
                exposed.append(f"{path.relative_to(system.data)}: {mode:o}")
    checks.equal("passwords stand in three files for their owner alone", exposed, [])
    outputs = said + [system.log.read_bytes()]
    outputs += [(system.data / "redis" / "redis.conf").read_bytes()]
    found = [text[:200] for text in outputs for secret in secrets if secret in text]
    checks.equal("nothing that was printed has one", found, [])


def outputs(system, session):
    """What commands print, also when they fail."""
    said = []
    for arguments in (
            ["status"], ["status", "--json"], ["sessions", "list"], ["sessions", "show", session],
            ["events", session, "--json"], ["verify", session], ["parked", "list"], ["partitions", "list"],
            ["archive", "status"], ["audit"], ["replay", "--verify"]):
        done = system.reel(*arguments)
        checks.check(f"reel {' '.join(arguments[:2])} works", done.returncode == 0, done.stderr)
        said += [done.stdout, done.stderr.encode()]
    urls = system.server_urls()
    for name, url in urls.items():
        # Wrong in three ways: another password, a port where nobody is, another scheme.
        for wrong in (url.replace("@", "x@"), url.split("@")[0] + "@127.0.0.1:1/", "x" + url):
            done = reel("status", env=environment(**(urls | {name: wrong}), REEL_DATA=str(system.data / "no")))
            checks.check(f"a wrong {name} is refused", done.returncode in (2, 3) or name.startswith("REEL"),
                         (done.returncode, done.stderr))
            said += [done.stdout, done.stderr.encode()]
    option = reel("status", "--redis-url", urls["REDIS_URL"], "--mongodb-url", urls["MONGODB_URL"],
                  "--vault-mongodb-url", urls["REEL_VAULT_MONGODB_URL"], data=system.data)
    checks.check("a password on the command line is warned of", "every user of this machine can read"
                 in option.stderr and option.returncode == 0, option.stderr)
    return said + [option.stdout, option.stderr.encode()]


def record(system, name, content):
    done = system.reel("record", "-", "--name", name, "--wait", stdin=content)
    if done.returncode != 0:
        raise RuntimeError(f"record: {done.stderr}")
    return done.stdout.decode().strip()


def without_passwords(data):
    """Makes the folder what it was before its servers had passwords: no files of them, no users."""
    port = free_port()
    kept = json.loads((data / "credentials.json").read_bytes())["mongodb_admin"]
    options = ["--dbpath", str(data / "mongodb" / "db"), "--port", str(port), "--bind_ip", "127.0.0.1"]
    process = subprocess.Popen([mongod_program(), *options], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = mongo(f"mongodb://127.0.0.1:{port}/?directConnection=true")
        # Without its replica set's name it is a server of its own, that takes everybody.
        found = {user["user"] for user in client.admin.command("usersInfo")["users"]}
        checks.check("the folder had users", kept["user"] in found, found)
        client.admin.command("dropAllUsersFromDatabase")
        client.close()
    finally:
        process.terminate()
        process.wait(60)
    for path in (data / "credentials.json", data / "redis" / "users.acl", data / "mongodb" / "keyfile"):
        path.unlink()


def upgrades(place, content):
    """A folder of before is opened, however often that is cut off."""
    system = System(place / "old", "--partitions", "4").start()
    session = record(system, "before", content)
    system.stop()
    for delay in (None, 0.05, 0.4, 0.8, 1.1, 1.4, 1.8, 2.4):
        without_passwords(system.data)
        if delay is not None:
            system.launch()
            time.sleep(delay)  # a moment of the start, not a wait for anything
            system.kill()
        system.start()
        export = place / "export"
        name = "an old folder" if delay is None else f"one whose upgrade was killed after {delay} s"
        done = system.reel("export", session, "-o", export)
        checks.check(f"{name}: the recording is whole",
                     done.returncode == 0 and export.read_bytes() == content, done.stderr)
        export.unlink(missing_ok=True)
        port = int(system.endpoints["redis_url"].rsplit(":", 1)[1])
        checks.check(f"{name}: Redis takes no stranger", raw_redis(port, "PING")[0].startswith("-NOAUTH"))
        reader = mongo(system.endpoints["mongodb_read_url"])
        checks.equal(f"{name}: the read models are there", reader.reel.sessions.count_documents({}), 1)
        reader.close()
        if delay is not None and delay > 1.5:
            checks.check(f"{name}: and more is recorded", record(system, "more", content))
            system.reel("sessions", "list")
        system.stop()
        if delay is not None and delay > 1.5:
            break
    return system


def lost(system):
    """Files that are gone, damaged or open, and new passwords."""
    data, file = system.data, system.data / "credentials.json"
    before, urls = file.read_bytes(), dict(system.endpoints)

    def start(*options):
        return reel("up", *options, data=data, timeout=60)
    file.unlink()
    done = start()
    checks.check("a lost file is an error that names it and the way out",
                 done.returncode == 3 and str(file) in done.stderr and "--rotate-credentials" in done.stderr,
                 (done.returncode, done.stderr[-400:]))
    for content, mode, word in ((b"{}", 0o600, "damaged"), (before, 0o644, "chmod 600"), (b"", 0o600, "damaged")):
        file.write_bytes(content)
        file.chmod(mode)
        done = start()
        checks.check(f"so is one that is {word}", done.returncode == 3 and word in done.stderr,
                     (done.returncode, done.stderr[-400:]))
    system.options.append("--rotate-credentials")
    system.start()
    checks.check("the way out leads out", file.read_bytes() != before and
                 stat.S_IMODE(file.stat().st_mode) == 0o600)
    new = dict(system.endpoints)
    names = ["redis_url", "mongodb_url", "mongodb_vault_url", "mongodb_read_url"]
    checks.equal("all URLs are new", [name for name in names if new[name] == urls[name]], [])

    def password(url):
        return url.split("@")[0].rsplit(":", 1)[1]
    port = int(new["redis_url"].rsplit(":", 1)[1])
    old = raw_redis(port, f"AUTH reel {password(urls['redis_url'])}")
    checks.check("the old password of Redis opens nothing", old[0].startswith("-WRONGPASS"), old)
    for name in names[1:]:
        client = mongo(new[name].replace(password(new[name]), password(urls[name])))
        with contextlib.closing(client):
            try:
                client.admin.command("ping")
                checks.check(f"the old password of {name} opens nothing", False)
            except OperationFailure as error:
                checks.equal(f"the old password of {name} opens nothing", error.code, 18)
    checks.check("sessions are listed", system.reel("sessions", "list").returncode == 0)
    system.stop()
    system.options.remove("--rotate-credentials")
    system.start()
    checks.equal("without the option they stay", [n for n in names if system.endpoints[n] != new[n]], [])
    system.stop()


class GuardedServers(Servers):
    """Servers of somebody else that ask for a login, and give Reel no more than it says it needs."""

    def prepare(self):
        place = self.folder / "key"
        place.write_text("c2VjcmV0c2VjcmV0")
        place.chmod(0o600)
        self.start_mongo()
        client = mongo(self.mongodb_url)
        for user, database in (("views", "reel"), ("keys", "reel_vault")):
            client.admin.command("createUser", user, pwd="pw", roles=[{"role": "readWrite", "db": database}])
        client.close()
        self.stop("mongo")
        self.key = place
        self.start_guarded()
        self.views = self.mongodb_url.replace("://", "://views:pw@") + "&authSource=admin"
        self.keys = self.mongodb_url.replace("://", "://keys:pw@") + "&authSource=admin"

    def start_guarded(self):
        self._start("mongo", [
            mongod_program(), "--port", str(self.mongo_port), "--bind_ip", "127.0.0.1", "--dbpath",
            str(self.folder / "mongodb"), "--replSet", "reel", "--oplogSize", "64", "--auth", "--keyFile",
            str(self.key)])
        client = pymongo.MongoClient(
            f"mongodb://127.0.0.1:{self.mongo_port}", directConnection=True, serverSelectionTimeoutMS=60000)
        if not eventually(lambda: client.admin.command("hello")["isWritablePrimary"], 60):
            raise RuntimeError("mongod did not become primary")
        client.close()


def smallest_rights(place, content):
    """What the documents call the smallest rights is enough for everything."""
    with GuardedServers(place) as servers:
        servers.start_redis()
        servers.prepare()
        with Site(place, servers) as site:
            site.env |= {"MONGODB_URL": servers.views, "REEL_VAULT_MONGODB_URL": servers.keys}
            site.serve("processor", "storage", "pipeline", "projector")
            done = site.reel("record", "-", "--name", "x", "--wait", stdin=content)
            session = done.stdout.decode().strip()
            checks.check("a recording is made", done.returncode == 0, done.stderr)
            for arguments in (["status"], ["verify", session], ["replay"], ["replay", "--session", session],
                              ["replay", "--verify"], ["sessions", "list"], ["keys", "export", session]):
                done = site.reel(*arguments)
                checks.check(f"reel {' '.join(arguments[:2])} works", done.returncode == 0, done.stderr[-500:])
            wrong = dict(site.env, REEL_VAULT_MONGODB_URL=servers.views)
            done = reel("export", session, "-o", "/dev/null", env=wrong)
            checks.check("a user without rights is told so", done.returncode == 3 and
                         "not authorized on reel_vault" in done.stderr, (done.returncode, done.stderr))
            checks.check("and shown no command", "lsid" not in done.stderr, done.stderr)


def main():
    content = os.urandom(200_000)
    with Workspace("credentials") as place:
        with checks.section("strangers"):
            with System(place / "data") as system:
                session = record(system, "x", content)
                for name in ("credentials.json", "endpoints.json"):
                    mode = stat.S_IMODE((system.data / name).stat().st_mode)
                    checks.equal(f"{name} is for its owner alone", oct(mode), oct(0o600))
                strangers(system, session)
                users(system, session)
                secrecy(system, outputs(system, session))
        with checks.section("old folders"):
            system = upgrades(place, content)
            lost(system)
        with checks.section("smallest rights"):
            (place / "guarded").mkdir()
            smallest_rights(place / "guarded", content)
    checks.finish()


if __name__ == "__main__":
    main()

"""A system whose stores are put back after each forgery, byte by byte: Redis, MongoDB, chunk store, archive.

Everything is recorded by a whole system, which then ends: nothing of Reel runs while something is forged, and
what answers afterwards (the command line, a gateway) has seen nothing of it before. Each session has a
partition of its own, so that one forgery never stands in another one's way.
"""

import base64
import concurrent.futures
import dataclasses
import datetime
import http.client
import json
import os
import pathlib
import random
import shutil
import subprocess
import threading
import urllib.parse

import pymongo
from bson.raw_bson import RawBSONDocument

from forgery_log import Pipe, Stream
from formats import leaf_hash, merkle_root
from kit import REEL, UNLIMITED, System, environment, eventually, free_port, partition, reel
from servers import Servers

PARTITIONS = 256
VOLATILE = (b"reel:alive:", b"reel:members:", b"reel:rate:", b":lease:")
SIZES = [4000, 3000, 3000, 2500]
# Seconds after which an answer is none, on a busy machine.
PATIENCE = 90


def tree(folder):
    """Whatever stands below a folder: bytes of files, targets of links, kinds of other things."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = "folder" if path.is_dir() else "special"
    return found


def put_back(folder, kept):
    """Makes a folder what it was."""
    folder, now = pathlib.Path(folder), tree(folder)
    for name in sorted(now, reverse=True):
        path = folder / name
        if now[name] == kept.get(name) or not os.path.lexists(path):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for name, content in kept.items():
        path = folder / name
        if content == "folder":
            path.mkdir(exist_ok=True)
        elif isinstance(content, bytes) and (not path.is_file() or path.read_bytes() != content):
            path.write_bytes(content)


class Client:
    """Whoever uploads."""

    def __init__(self, endpoints):
        parts = urllib.parse.urlsplit(endpoints["api_url"])
        self.place = (parts.hostname, parts.port)
        self.token = pathlib.Path(endpoints["admin_token_file"]).read_text().strip()

    def ask(self, method, path, body=None):
        """A request that must succeed."""
        kind = "application/json" if isinstance(body, dict) else "application/octet-stream"
        connection = http.client.HTTPConnection(*self.place, timeout=60)
        connection.request(
            method, "/api/v1" + path, json.dumps(body).encode() if isinstance(body, dict) else body,
            {"Authorization": f"Bearer {self.token}", "Content-Type": kind})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status not in (200, 201, 202):
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]}")


@dataclasses.dataclass
class Target:
    """One recorded session, and what it was before anybody forged anything."""

    world: "World"
    session: str
    encrypted: bool
    pieces: list
    key: bytes | None = None
    files: dict = dataclasses.field(default_factory=dict)
    events: list = dataclasses.field(default_factory=list)
    root: str = ""

    @property
    def partition(self):
        return partition(self.session, PARTITIONS)

    @property
    def original(self):
        return b"".join(self.pieces)

    @property
    def shape(self):
        return "keyed" if self.key else "sealed" if self.encrypted else "plain"

    @property
    def folder(self):
        return self.world.store / self.session

    def path(self, number):
        return self.folder / f"{number:08d}.reel"

    def chunk_id(self, number):
        return f"{self.session}-chunk-{number:06d}"

    @property
    def stream(self):
        return Stream(self.world.redis, self.session, self.partition)


class World:
    """Servers, folders, sessions."""

    def __init__(self, folder, servers, seed):
        self.folder, self.servers, self.source = folder, servers, random.Random(seed)
        self.data = folder / "data"
        self.store, self.archive = self.data / "chunks", self.data / "archive"
        self.env = environment(
            REDIS_URL=servers.redis_url, MONGODB_URL=servers.mongodb_url, REEL_DATA=str(self.data),
            REEL_PARTITIONS=str(PARTITIONS), REEL_DISK_RESERVE_MB="0", REEL_RETENTION_EVERY_SECONDS="0",
            REEL_ARCHIVE_AFTER_EVENTS="100000", REEL_ARCHIVE_AFTER_HOURS="8000")
        self.targets, self.used = [], set()
        self.redis = self.mongo = self.kept = None
        self.tokens, self.chains, self.lock = {}, {}, threading.Lock()

    def reel(self, *words, **more):
        """A command; one that does not come to its end has ended with 124."""
        try:
            return reel(*words, env=self.env, timeout=PATIENCE, **more)
        except subprocess.TimeoutExpired as late:
            return subprocess.CompletedProcess(late.cmd, 124, late.stdout or b"", f"no end in {PATIENCE} s")

    def system(self):
        return System(self.data, *UNLIMITED, env=self.env)

    def connect(self):
        self.redis = Pipe(self.servers.redis_url)
        self.mongo = pymongo.MongoClient(
            f"mongodb://127.0.0.1:{self.servers.mongo_port}", directConnection=True,
            document_class=RawBSONDocument)

    # Recording

    def name(self, beside=None):
        """An id whose events stand in a partition that no session has; or in that of another session."""
        while True:
            name = f"sess-{self.source.randrange(1 << 60):026X}"
            place = partition(name, PARTITIONS)
            if place == beside or beside is None and place not in self.used:
                self.used.add(place)
                return name

    def record(self, sealed, plain, keyed, beside=()):
        """Sessions of every shape, and one in the partition of each of `beside`."""
        with self.system() as system:
            admin = Client(system.endpoints)
            made = [self.prepare(self.name(), n < sealed + keyed) for n in range(sealed + keyed + plain)]
            others = [self.prepare(self.name(beside=t.partition), True) for t in beside]
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                list(pool.map(lambda target: self.upload(admin, target), made + others))
            for target in made[:keyed]:
                done = self.reel("keys", "export", target.session, "--json")
                target.key = base64.b64decode(json.loads(done.stdout)["data_key"])
            for subject in ("anna", "mallory"):
                done = self.reel("token", "--subject", subject, "--role", "session_viewer")
                self.tokens[subject] = done.stdout.decode().strip()
            self.tokens["admin"] = admin.token
            self.connect()
            self.settle(made + others)
        self.targets += made

    def prepare(self, name, encrypted):
        text = b"".join(b"%d window moved, key pressed\n" % self.source.randrange(1 << 20)
                        for _ in range(400))
        pieces = [text[:SIZES[0]]] + [self.source.randbytes(size) for size in SIZES[1:3]]
        return Target(self, name, encrypted, pieces + [text[-SIZES[3]:]])

    def upload(self, admin, target):
        path = f"/sessions/{target.session}"
        admin.ask("POST", "/sessions", {
            "session_id": target.session, "name": "a desk",
            "rdp_config": {"host": "desk.example", "username": "anna"},
            "storage_config": {"encryption_enabled": target.encrypted}, "metadata": {"owner": "anna"}})
        admin.ask("PUT", path, {"name": "the desk"})
        admin.ask("POST", f"{path}/start")
        moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        for number, piece in enumerate(target.pieces, 1):
            admin.ask("POST", f"{path}/chunks?sequence_number={number}&timestamp={moment}", piece)
        admin.ask("POST", f"{path}/stop")

    def settle(self, targets):
        """Waits until everything is stored and shown."""
        shown = self.mongo["reel"]

        def level(target):
            found = shown.sessions.find_one({"session_id": target.session})
            piped = shown.pipeline.find_one({"session_id": target.session})
            version = self.redis("LLEN", f"reel:{{p{target.partition:03d}}}:s:{target.session}")
            return found and found["status"] == "completed" and piped and version == found["version"]
        for target in targets:
            if not eventually(lambda: level(target), 60):
                raise RuntimeError(f"session {target.session} does not come to its end")

    # What is kept

    def keep(self):
        """Notes what everything is before it is forged."""
        for target in self.targets:
            target.files = {n: target.path(n).read_bytes() for n in range(1, len(target.pieces) + 1)}
            target.events = target.stream.events()
            target.root = merkle_root([leaf_hash(file) for file in target.files.values()]).hex()
        self.kept = (self.redis.dump(VOLATILE), self.documents(), tree(self.store), tree(self.archive))

    def keep_archived(self):
        """The same when everything is archived: events and files are what they were."""
        self.kept = (self.redis.dump(VOLATILE), self.documents(), tree(self.store), tree(self.archive))
        self.chains = {target.session: self.chain(target) for target in self.targets}

    def chain(self, target):
        """What Redis keeps of a partition's archive: the hash that vouches for it, and how far it goes."""
        return self.redis("HMGET", f"reel:{{p{target.partition:03d}}}:archive", "hash", "through", "count")

    def write(self, target, events):
        target.stream.write(events)

    def documents(self):
        """Every document of every database of ours, by name and as bytes."""
        found = {}
        for base in sorted(self.mongo.list_database_names()):
            for name in self.mongo[base].list_collection_names() if base.startswith("reel") else ():
                found[base, name] = sorted(document.raw for document in self.mongo[base][name].find())
        return found

    def look(self, target):
        """Everything that a forgery of this session can change, to see that it changed something."""
        log = f"{target.stream.prefix}:log".encode()
        keys = [key for key in sorted(self.redis("KEYS", f"{target.stream.prefix}:*"))
                if key != log and not any(part in key for part in VOLATILE)]
        # The same entries may be packed in other ways.
        stream = self.redis.many([("XRANGE", log, "-", "+"), *(("DUMP", key) for key in keys)])
        archive = {name: value for name, value in tree(self.archive).items()
                   if f"p{target.partition:03d}" in name}
        documents = [self.mongo[base][name].find({"session_id": target.session}).to_list()
                     for base, name in (("reel", "sessions"), ("reel", "chunks"), ("reel", "pipeline"),
                                        ("reel_vault", "keys"))]
        folder = target.folder.is_symlink(), tree(target.folder)
        return stream, archive, folder, [[d.raw for d in part] for part in documents]

    def restore(self):
        """Everything as it was kept."""
        keys, documents, files, segments = self.kept
        now = self.redis.dump(VOLATILE)
        commands = [("DEL", key) for key in now if key not in keys]
        commands += [("RESTORE", key, 0, value, "REPLACE") for key, value in keys.items()
                     if now.get(key) != value]
        self.redis.many(commands)
        found = self.documents()
        for (base, name), kept in documents.items():
            if found.get((base, name)) != kept:
                self.mongo[base][name].delete_many({})
                if kept:
                    self.mongo[base][name].insert_many([RawBSONDocument(raw) for raw in kept])
        put_back(self.store, files)
        put_back(self.archive, segments)


class Gateway:
    """`reel serve api` that has seen nothing yet."""

    def __init__(self, world, number):
        self.world, self.number = world, number

    def __enter__(self):
        ready = self.world.folder / f"gateway-{self.number}.ready"
        self.log = self.world.folder / f"gateway-{self.number}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [REEL, "serve", "api", "--data", str(self.world.data), "--ready-file", str(ready),
                 "--token-keys", str(self.world.data / "tokens"), "--port", str(free_port()), *UNLIMITED],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.world.env)
        eventually(lambda: ready.exists() or self.process.poll() is not None, PATIENCE)
        said = self.log.read_text(errors="replace")
        if not ready.exists() or self.process.poll() is not None:
            self.__exit__()
            raise RuntimeError(f"the gateway is not in service ({self.process.returncode}): {said[-800:]}")
        parts = urllib.parse.urlsplit(said.split("http port open url=")[1].split()[0])
        self.place = (parts.hostname, parts.port)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, path, who="admin", first=None, count=0):
        """Status, body, and whether the body is whole; of some bytes, where a first one is named."""
        connection = http.client.HTTPConnection(*self.place, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {self.world.tokens[who]}"}
        if first is not None:
            headers["Range"] = f"bytes={first}-{first + count - 1}"
        try:
            connection.request("GET", "/api/v1" + path, headers=headers)
            answer = connection.getresponse()
            try:
                return answer.status, answer.read(), True
            except http.client.IncompleteRead as part:
                return answer.status, part.partial, False
        except (OSError, http.client.HTTPException) as error:
            # Neither content nor a refusal.
            return 0, repr(error).encode(), False
        finally:
            connection.close()


def servers_of(folder):
    """The servers of a world."""
    servers = Servers(folder)
    servers.start_redis()
    servers.start_mongo()
    return servers

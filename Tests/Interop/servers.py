"""A redis-server and a mongod that Reel did not start, and roles of Reel in processes of their own."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

import pymongo

from kit import REEL, Redis, environment, eventually, free_port, reel


def mongod_program():
    """Where ops/install puts it, or where the caller says."""
    tools = os.environ.get("REEL_TOOLS") or os.path.expanduser("~/.cache/reel")
    return os.environ.get("REEL_MONGOD") or shutil.which("mongod") or f"{tools}/mongod"


class Servers:
    """Both servers on ports of their own; they may be stopped and started again."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.redis_port, self.mongo_port = free_port(), free_port()
        self.redis_url = f"redis://127.0.0.1:{self.redis_port}"
        self.mongodb_url = f"mongodb://127.0.0.1:{self.mongo_port}/?replicaSet=reel"
        self.processes = {}

    def start_redis(self):
        place = self.folder / "redis"
        place.mkdir(exist_ok=True)
        self._start("redis", [
            "redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--dir", str(place),
            "--appendonly", "yes", "--appendfsync", "always", "--save", "",
            "--maxmemory-policy", "noeviction"])
        if not eventually(self._redis_answers, 30):
            raise RuntimeError("redis-server did not start")

    def _redis_answers(self):
        try:
            return Redis(self.redis_url)("PING") == b"PONG"
        except (OSError, RuntimeError):
            return False

    def start_mongo(self, *options, **client_options):
        """`options` are mongod's; with `client_options` its replica set is made."""
        place = self.folder / "mongodb"
        isNew = not place.exists()
        place.mkdir(exist_ok=True)
        self._start("mongo", [
            mongod_program(), "--port", str(self.mongo_port), "--bind_ip", "127.0.0.1", "--dbpath",
            str(place), "--replSet", "reel", "--oplogSize", "64", "--logpath", str(place / "log"),
            *map(str, options)])
        client = pymongo.MongoClient(
            f"mongodb://127.0.0.1:{self.mongo_port}", directConnection=True, serverSelectionTimeoutMS=60000,
            **client_options)
        if isNew:
            client.admin.command("replSetInitiate", {
                "_id": "reel", "members": [{"_id": 0, "host": f"127.0.0.1:{self.mongo_port}"}]})
        if not eventually(lambda: client.admin.command("hello")["isWritablePrimary"], 60):
            raise RuntimeError("mongod did not become primary")
        client.close()

    def _start(self, name, command):
        self.processes[name] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self, name):
        process = self.processes.pop(name, None)
        if process:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in list(self.processes):
            self.stop(name)


class Site:
    """Servers, shared folders, and the processes that use them."""

    def __init__(self, folder, servers):
        self.folder, self.servers = pathlib.Path(folder), servers
        self.env = environment(
            REDIS_URL=servers.redis_url, MONGODB_URL=servers.mongodb_url, REEL_DATA=str(self.folder / "none"),
            REEL_RECORDING_PATH=str(self.folder / "spool"), REEL_KEYS=str(self.folder / "keys"),
            REEL_CHUNK_OUTPUT_PATH=str(self.folder / "chunks"), REEL_PARTITIONS="16")
        self.roles = []

    def reel(self, *arguments, **more):
        return reel(*arguments, env=self.env, **more)

    def serve(self, *arguments, name=None, ready=True, seconds=60):
        """One more process; waits until it is in service."""
        role = Role(self, len(self.roles), arguments, name)
        self.roles.append(role)
        if ready and not eventually(role.is_in_service, seconds):
            raise RuntimeError(f"reel serve {arguments} is not in service: {role.said()[-800:]}")
        return role

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for role in self.roles:
            role.process.send_signal(signal.SIGCONT)
            role.process.terminate()
        for role in self.roles:
            role.end()


class Role:
    """One `reel serve`."""

    def __init__(self, site, number, arguments, name):
        self.site = site
        self.ready_file = site.folder / f"ready-{number}"
        self.log = site.folder / f"role-{number}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [REEL, "serve", *map(str, arguments), "--ready-file", str(self.ready_file)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(site.env, SERVICE_NAME=name or f"role-{number}"))

    def said(self):
        return self.log.read_text(errors="replace")

    def file(self):
        try:
            return json.loads(self.ready_file.read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def is_in_service(self):
        return (self.file() or {}).get("pid") == self.process.pid

    def check(self, question="ready"):
        return self.site.reel("serve", "check", "--for", question, "--ready-file", self.ready_file)

    def end(self, seconds=40):
        """SIGTERM; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

"""Servers as they run where one of each is too few: a master with replicas and sentinels, a cluster, and a
replica set of MongoDB. Real processes on loopback; a node is killed by its process id and started again."""

import pathlib
import subprocess
import time

import pymongo
import pymongo.errors

from kit import Redis, eventually, free_port
from servers import mongod_program

SLOTS = 16384


def key_slot(key):
    """The slot of a key (Redis Cluster specification: CRC16/XMODEM of the hash tag)."""
    tag = key[key.index("{") + 1:key.index("}")] if "{" in key else key
    crc = 0
    for byte in tag.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1 & 0xFFFF
    return crc % SLOTS


class Node:
    """One server process."""

    def __init__(self, folder, name, command, port):
        self.folder, self.name, self.port = pathlib.Path(folder) / name, name, port
        self.folder.mkdir(parents=True, exist_ok=True)
        self.command, self.process = command, None

    def start(self):
        with open(self.folder / "out", "ab") as out:
            self.process = subprocess.Popen(
                [word.replace("FOLDER", str(self.folder)) for word in self.command],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        return self

    def kill(self):
        """SIGKILL: it can say nothing to anybody."""
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    def ask(self, *words):
        """One command on a connection of its own; None where nobody answers, or not yet."""
        try:
            return Redis(f"redis://127.0.0.1:{self.port}", timeout=5)(*words)
        except (OSError, ConnectionError):
            return None
        except RuntimeError as error:
            if str(error).startswith(("LOADING", "IOERR")):
                return None
            raise

    def info(self, section):
        text = self.ask("INFO", section) or b""
        return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)


class Nodes:
    """Nodes that end with this object."""

    def __init__(self, folder):
        self.folder, self.nodes = pathlib.Path(folder), []

    def add(self, name, command, port):
        node = Node(self.folder, name, command, port).start()
        self.nodes.append(node)
        return node

    def redis(self, name, *more):
        port = free_port()
        return self.add(name, [
            "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", "FOLDER",
            "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--repl-diskless-sync-delay",
            "0", "--repl-ping-replica-period", "1", "--maxmemory-policy", "noeviction", *more], port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.terminate()
        for node in self.nodes:
            node.end()


class Sentinels(Nodes):
    """A master, replicas, and three sentinels. They don't promote a replica that has had no master for more
    than ten times the time after which a master counts as down."""

    def __init__(self, folder, replicas, down_after_ms=1000):
        super().__init__(folder)
        self.down_after_ms = down_after_ms
        master = self.redis("redis-0")
        self.servers = [master] + [
            self.redis(f"redis-{number + 1}", "--replicaof", f"127.0.0.1 {master.port}")
            for number in range(replicas)]
        self.sentinels = [self._sentinel(number, master.port) for number in range(3)]
        self.redis_url = "redis+sentinel://" + ",".join(
            f"127.0.0.1:{s.port}" for s in self.sentinels) + "/reel"

    def _sentinel(self, number, master):
        port, place = free_port(), self.folder / f"sentinel-{number}"
        place.mkdir(parents=True)
        (place / "sentinel.conf").write_text(
            f"bind 127.0.0.1\nport {port}\ndir {place}\nsentinel monitor reel 127.0.0.1 {master} 2\n"
            f"sentinel down-after-milliseconds reel {self.down_after_ms}\n"
            "sentinel failover-timeout reel 6000\n"
            "sentinel parallel-syncs reel 2\n")
        return self.add(
            f"sentinel-{number}", ["redis-server", "FOLDER/sentinel.conf", "--sentinel"], port)

    def wait(self):
        replicas = len(self.servers) - 1
        ready = eventually(lambda: all(
            f"slaves={replicas},sentinels=3" in s.info("sentinel").get("master0", "")
            for s in self.sentinels) and self.in_step(), 60)
        if not ready:
            raise RuntimeError("the sentinels do not find each other")

    def in_step(self):
        """Whether every replica that runs follows a master."""
        found = [s.info("replication") for s in self.servers if s.process.poll() is None]
        replicas = [facts for facts in found if facts.get("role") == "slave"]
        return len(replicas) == len(found) - 1 and all(
            facts.get("master_link_status") == "up" for facts in replicas)

    def master(self):
        """The server that a majority of the sentinels names, if it says of itself that it is one."""
        ports = [int(answer[1]) for s in self.sentinels
                 if (answer := s.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "reel"))]
        for server in self.servers:
            if ports.count(server.port) >= 2 and server.process.poll() is None and (
                    (server.ask("ROLE") or [b""])[0] == b"master"):
                return server
        return None

    def kill_master(self):
        """Kills the master; answers it, and the one that has taken its place."""
        old = self.master()
        old.kill()
        new = eventually(lambda: (found := self.master()) is not old and found, 60)
        if not new:
            raise RuntimeError("no replica was promoted")
        return old, new

    def cut_off(self):
        """No replica takes over anything any more: they can't log in again."""
        master = self.master()
        replicas = [server for server in self.servers if server is not master]
        for replica in replicas:
            replica.ask("CONFIG", "SET", "masteruser", "nobody")
            replica.ask("CONFIG", "SET", "masterauth", "nothing")
        master.ask("CLIENT", "KILL", "TYPE", "replica")
        return eventually(lambda: all(
            r.info("replication").get("master_link_status") == "down" for r in replicas), 20)

    def mend(self):
        for server in self.servers:
            server.ask("CONFIG", "SET", "masteruser", "")
            server.ask("CONFIG", "SET", "masterauth", "")


class Cluster(Nodes):
    """A cluster of three masters, each with a replica."""

    def __init__(self, folder):
        super().__init__(folder)
        self.buses, servers = [], []
        for number in range(6):
            self.buses.append(free_port())
            servers.append(self.redis(
                f"node-{number}", "--cluster-enabled", "yes", "--cluster-port", str(self.buses[-1]),
                "--cluster-node-timeout", "4000", "--cluster-replica-validity-factor", "0",
                "--cluster-allow-replica-migration", "no"))
        self.servers = servers
        self.redis_url = "redis+cluster://" + ",".join(f"127.0.0.1:{s.port}" for s in servers[:2])

    def wait(self):
        masters, replicas = self.servers[:3], self.servers[3:]
        if not eventually(lambda: all(s.ask("PING") == b"PONG" for s in self.servers), 60):
            raise RuntimeError("the nodes do not answer")
        for number, master in enumerate(masters):
            master.ask("CLUSTER", "ADDSLOTSRANGE", SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1)
        for number, server in enumerate(self.servers):
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number:
                server.ask("CLUSTER", "MEET", "127.0.0.1", masters[0].port, self.buses[0])
        self._agree()
        for master, replica in zip(masters, replicas):
            replica.ask("CLUSTER", "REPLICATE", master.ask("CLUSTER", "MYID"))
        if not eventually(lambda: all(
                r.info("replication").get("master_link_status") == "up" for r in replicas), 60):
            raise RuntimeError("the replicas are not in step")
        self._agree()

    def _agree(self):
        def agreed(server):
            info = (server.ask("CLUSTER", "INFO") or b"").decode()
            return "cluster_state:ok" in info and f"cluster_known_nodes:{len(self.servers)}" in info
        if not eventually(lambda: all(agreed(server) for server in self.servers), 60):
            raise RuntimeError("the nodes do not agree")

    def nodes_view(self):
        """Lines of CLUSTER NODES, as some node that runs sees them."""
        for server in self.servers:
            if server.process.poll() is None and (text := server.ask("CLUSTER", "NODES")):
                return [line.split() for line in text.decode().splitlines()]
        return []

    def at(self, line):
        port = int(line[1].split("@")[0].rsplit(":", 1)[1])
        return next(server for server in self.servers if server.port == port)

    def owner(self, slot):
        """The master that serves a slot."""
        for line in self.nodes_view():
            for word in line[8:] if "master" in line[2] and "fail" not in line[2] else []:
                ends = word.strip("[]").split("-")
                if ends[0].isdigit() and int(ends[0]) <= slot <= int(ends[-1] if ends[-1].isdigit() else -1):
                    return self.at(line)
        return None

    def replica_of(self, master):
        own = master.ask("CLUSTER", "MYID").decode()
        return next(self.at(line) for line in self.nodes_view() if line[3] == own)

    def move(self, slot, pause=0.0):
        """Moves a slot to another master, key by key. A replica may take a master's place of its own accord
        meanwhile, when the machine stands still for a while: then it is moved as things stand now."""
        def moved():
            try:
                return self._move(slot, pause)
            except (RuntimeError, StopIteration, AttributeError, OSError) as problem:
                print(f"cluster: slot {slot} did not move yet: {problem}")
                return False
        return eventually(moved, 60)

    def _move(self, slot, pause):
        source = self.owner(slot)
        target = next(self.at(line) for line in self.nodes_view()
                      if "master" in line[2] and "fail" not in line[2] and self.at(line) is not source)
        source_id, target_id = source.ask("CLUSTER", "MYID"), target.ask("CLUSTER", "MYID")
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 5):
            for key in keys:
                source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
            time.sleep(pause)
        for server in (target, source):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        return eventually(lambda: self.owner(slot) is target, 20)


class ReplicaSet(Nodes):
    """MongoDB's: any number of members, one of them the primary."""

    def __init__(self, folder, members=3):
        super().__init__(folder)
        self.members = []
        for number in range(members):
            port = free_port()
            self.members.append(self.add(f"mongod-{number}", [
                mongod_program(), "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", "FOLDER",
                "--replSet", "reel", "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25"], port))
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        self.mongodb_url = f"mongodb://{hosts}/?replicaSet=reel"

    def wait(self):
        config = {
            "_id": "reel", "settings": {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500},
            "members": [{"_id": number, "host": f"127.0.0.1:{member.port}"}
                        for number, member in enumerate(self.members)]}
        try:
            with pymongo.MongoClient(
                    "127.0.0.1", self.members[0].port, directConnection=True,
                    serverSelectionTimeoutMS=60000) as client:
                client.admin.command("replSetInitiate", config)
        except pymongo.errors.ServerSelectionTimeoutError as error:
            first = self.members[0]
            said = (first.folder / "out").read_text(errors="replace")[-1500:]
            raise RuntimeError(f"{first.name} (status {first.process.poll()}) did not answer: {said}") from error
        if not eventually(self.primary, 60):
            raise RuntimeError("no member became primary")

    def primary(self):
        for member in self.members:
            if member.process.poll() is not None:
                continue
            try:
                with pymongo.MongoClient(
                        "127.0.0.1", member.port, directConnection=True,
                        serverSelectionTimeoutMS=2000) as client:
                    if client.admin.command("hello")["isWritablePrimary"]:
                        return member
            except pymongo.errors.PyMongoError:
                continue
        return None

    def step_down(self):
        """Makes the primary give its place to another one; no when none is ready for it yet."""
        old = self.primary()
        if not old:
            return False
        try:
            with pymongo.MongoClient("127.0.0.1", old.port, directConnection=True) as client:
                client.admin.command("replSetStepDown", 30, secondaryCatchUpPeriodSecs=10)
        except pymongo.errors.AutoReconnect:
            pass  # it may close its connections
        except pymongo.errors.OperationFailure:
            return False
        return eventually(lambda: self.primary() not in (None, old), 30)

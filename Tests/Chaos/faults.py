"""What is done to the processes, and how often."""

import contextlib
import os
import shutil
import signal
import threading
import time

import senders
from databases import Databases
from fleet import Clock
from logins import Logins
from special_files import SpecialFiles
from streams import NAMING_SECONDS, Streams


class Faults:
    """One method a kind: answers what it did, or None when that can't be done just now."""

    # Name of the method, kind as printed, weight.
    KINDS = [
        ("kill_up", "kill -9 reel up", 8), ("stop_up", "clean restart of reel up", 3),
        ("stall_up", "stall reel up", 6), ("kill_worker", "kill -9 a worker", 10),
        ("stop_worker", "clean restart of a worker", 4), ("stall_worker", "stall a worker", 10),
        ("second_sender", "second senders", 8), ("freeze_sender", "frozen senders", 8),
        ("kill_sender", "kill -9 a sender", 4),
        ("kill_recorder", "kill -9 a recorder", 8), ("stall_recorder", "stall a recorder", 8),
        ("kill_redis", "kill -9 redis-server", 8), ("freeze_redis", "freeze redis-server", 8),
        ("kill_mongod", "kill -9 mongod", 8), ("freeze_mongod", "freeze mongod", 5),
        ("destroy_groups", "destroy consumer groups", 8), ("reset_connections", "reset connections", 10),
        ("slow_disk", "slow disk", 4), ("full_spool", "full disk of the spool", 5),
        ("full_store", "full disk of the chunk store", 5),
        ("full_archive", "full disk of the archive", 4), ("step_clock", "step a clock", 8),
        ("over_memory", "Redis over its memory", 5), ("cannot_save", "Redis that cannot save", 5),
        ("rotate_passwords", "other passwords and rights in MongoDB", 6),
        ("drop_collections", "drop collections in MongoDB", 5),
        ("rotate_redis", "other password and rights in Redis", 6),
        ("cut_stream", "entries cut out of a stream", 6),
        ("special_file", "special files in the chunk store", 6),
        # It takes more than a minute, in which nothing else is done.
        ("old_redis", "an old Redis beside a newer archive", 1),
    ]

    def __init__(self, fleet, source, longest, recorders):
        self.fleet, self.source, self.longest, self.recorders = fleet, source, longest, recorders
        self.timers = []
        self.databases, self.logins = Databases(fleet, source), Logins(fleet, source)
        self.streams, self.specials = Streams(fleet, source), SpecialFiles(fleet, source)
        self.healing = False

    def possible(self):
        """The kinds that this machine and these options allow, and those left out with the reason."""
        left_out = {}
        if not self.fleet.disks:
            left_out |= dict.fromkeys(
                ("full_spool", "full_store", "full_archive"), "no memory disk can be mounted here")
        if not self.fleet.workers:
            left_out |= dict.fromkeys(("kill_worker", "stop_worker", "stall_worker"), "--workers 0")
        if not Clock.available:
            left_out["step_clock"] = "libfaketime is not installed"
        kinds = [kind for kind in self.KINDS if kind[0] not in left_out]
        return kinds, {kind[1]: left_out[kind[0]] for kind in self.KINDS if kind[0] in left_out}

    def seconds(self, least, most):
        """A duration; long ones are rarer than short ones."""
        most = max(least, min(most, self.longest))
        return least + (most - least) * self.source.random() ** 2

    def later(self, seconds, action):
        """Does something after a while; `end` does what is still open."""
        self.timers.append((time.monotonic() + seconds, action))

    def undo(self, seconds=60):
        """Undoes what lasts. What can't be undone while a server is away is tried again."""
        self.fleet.wake(everything=True)
        now = time.monotonic()
        self.streams.overdue = now + NAMING_SECONDS
        while self.timers and time.monotonic() < now + seconds:
            self.tick(everything=True)
            self.fleet.keep_running()
            time.sleep(0.2)
        self.healing, self.streams.overdue = False, None

    def tick(self, everything=False):
        now = time.monotonic()
        self.healing = everything
        for timer in [t for t in self.timers if everything or t[0] <= now]:
            self.timers.remove(timer)
            timer[1]()

    def kill_up(self):
        return "reel up" if self.fleet.up.signal(signal.SIGKILL) else None

    def stop_up(self):
        if any(pid for _, pid, _ in self.fleet.stalls):
            return None  # a stalled server can't end cleanly
        return "reel up" if self.fleet.up.signal(signal.SIGTERM) else None

    def stall_up(self):
        process = self.fleet.up.process
        return self._stall(process.pid, self.seconds(1, 20), "reel up") if process else None

    def _worker(self):
        running = [w for w in self.fleet.workers if w.process and w.process.poll() is None]
        return self.source.choice(running) if running else None

    def kill_worker(self):
        worker = self._worker()
        return worker.name if worker and worker.signal(signal.SIGKILL) else None

    def stop_worker(self):
        worker = self._worker()
        if worker is None or any(pid == worker.process.pid for _, pid, _ in self.fleet.stalls):
            return None
        return worker.name if worker.signal(signal.SIGTERM) else None

    def stall_worker(self):
        worker = self._worker()
        return self._stall(worker.process.pid, self.seconds(2, 50), worker.name) if worker else None

    def _recorder(self):
        feeds = [feed for feed in self.fleet.live if feed.is_alive()]
        return self.source.choice(feeds) if feeds else None

    def kill_recorder(self):
        feed = self._recorder()
        if feed is None:
            return None
        feed.kill()
        return feed.session

    def stall_recorder(self):
        feed = self._recorder()
        return self._stall(feed.process.pid, self.seconds(2, 60), feed.session) if feed else None

    def _stream(self):
        running = [stream for stream in self.fleet.streams if stream.running()]
        return self.source.choice(running) if running else None

    def second_sender(self):
        stream = self._stream()
        return stream.session if stream and stream.second() else None

    def freeze_sender(self):
        stream, seconds = self._stream(), self.seconds(2, 40)
        pid = senders.freeze(self.fleet, stream, seconds) if stream else None
        return f"process {pid} of {stream.session}, {seconds:.1f} s" if pid else None

    def kill_sender(self):
        stream = self._stream()
        pid = senders.kill(stream) if stream else None
        return f"process {pid} of {stream.session}" if pid else None

    def _stall(self, pid, seconds, name):
        self.fleet.stall(pid, seconds)
        return f"{name}, {seconds:.1f} s"

    def _server(self, program):
        return self.fleet.system.child(program) if self.fleet.up.process else None

    def _kill_server(self, program):
        pid = self._server(program)
        if pid is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return f"process {pid}"

    def kill_redis(self):
        return self._kill_server("redis-server")

    def kill_mongod(self):
        return self._kill_server("mongod")

    def freeze_redis(self):
        pid = self._server("redis-server")
        return self._stall(pid, self.seconds(1, 20), f"process {pid}") if pid else None

    def freeze_mongod(self):
        pid = self._server("mongod")
        return self._stall(pid, self.seconds(1, 20), f"process {pid}") if pid else None

    def _redis(self):
        """A connection, unless the server is away or frozen."""
        try:
            redis = self.fleet.redis(timeout=2)
            redis("TIME")  # one that cannot save refuses PING
            return redis
        except (OSError, RuntimeError):
            return None

    def destroy_groups(self):
        redis = self._redis()
        if redis is None:
            return None
        try:
            count, everything = 0, self.source.random() < 0.5
            for number in range(redis.partitions()):
                key = f"reel:{{p{number:03d}}}:log"
                for facts in redis("XINFO", "GROUPS", key) if redis("EXISTS", key) else []:
                    if everything or self.source.random() < 0.3:
                        count += redis("XGROUP", "DESTROY", key, facts[1])
            return f"{count} groups" if count else None
        except (OSError, RuntimeError):
            return None

    def reset_connections(self):
        redis = self._redis()
        try:
            return f"{redis('CLIENT', 'KILL', 'TYPE', 'normal')} connections" if redis else None
        except (OSError, RuntimeError):
            return None

    def over_memory(self):
        """No write is taken for a while. A server that is started again meanwhile has its own limit."""
        redis = self._redis()
        try:
            if redis is None or redis("CONFIG", "SET", "maxmemory", "1mb") != b"OK":
                return None
        except (OSError, RuntimeError):
            return None
        seconds = self.seconds(2, 15)
        self.later(seconds, lambda: self._configure("maxmemory", "0"))
        return f"{seconds:.1f} s"

    def cannot_save(self):
        """A folder stands where the snapshot should be written: no write is taken for a while (MISCONF)."""
        redis = self._redis()
        place = self.fleet.folder / "data" / "redis" / "dump.rdb"
        if redis is None or place.is_dir():
            return None
        try:
            redis("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
            redis("CONFIG", "SET", "save", "3600 1000000")
            place.unlink(missing_ok=True)
            (place / "in the way").mkdir(parents=True)
            redis("BGSAVE")
        except (OSError, RuntimeError):
            pass  # it is undone all the same
        seconds = self.seconds(2, 15)
        self.later(seconds, lambda: self._save_again(place))
        return f"{seconds:.1f} s"

    def _save_again(self, place):
        shutil.rmtree(place, ignore_errors=True)
        self._configure("save", "")
        self._configure("stop-writes-on-bgsave-error", "no")

    def _configure(self, name, value):
        """Sets it as soon as the server answers."""
        redis = self._redis()
        try:
            if redis is not None and redis("CONFIG", "SET", name, value) == b"OK":
                return
        except (OSError, RuntimeError):
            pass
        if self.fleet.up.process:
            self.later(0.5, lambda: self._configure(name, value))

    def slow_disk(self):
        """Writers that sync as fast as they can, on the disk that the servers sync to."""
        seconds = self.seconds(2, 8)
        for number in range(2):
            path = self.fleet.folder / f"hog-{number}"
            threading.Thread(target=write_hard, args=(path, seconds), daemon=True).start()
        return f"{seconds:.1f} s"

    def _fill(self, name):
        if not self.fleet.disks.fill(self.fleet, name):
            return None
        seconds = self.seconds(1, 12)
        self.later(seconds, lambda: self.fleet.disks.free(self.fleet, (name,)))
        return f"{seconds:.1f} s"

    def full_spool(self):
        return self._fill("spool")

    def full_store(self):
        return self._fill("store")

    def full_archive(self):
        return self._fill("archive")

    def rotate_passwords(self):
        """Somebody changes MongoDB's users, and a while later puts them right."""
        taken = self.databases.take_away() if self.fleet.up.process else None
        if taken is None:
            return None
        name, deed = taken
        seconds = self.seconds(1, 20)
        self.later(seconds, lambda: self._give_back(name))
        return f"{deed}, {seconds:.1f} s"

    def _give_back(self, name):
        if self.healing:
            self.databases.give_back_for_sure(name)
        elif not self.databases.give_back(name):
            self.later(1, lambda: self._give_back(name))

    def rotate_redis(self):
        """Somebody changes Reel's user in Redis, and a while later puts it right."""
        redis = self._redis()
        deed = self.logins.take_away(redis) if redis else None
        if deed is None:
            return None
        seconds = self.seconds(1, 20)
        self.later(seconds, self._give_login_back)
        return f"{deed}, {seconds:.1f} s"

    def _give_login_back(self):
        if not self.logins.give_back():
            self.later(0.5, self._give_login_back)

    def cut_stream(self):
        """Entries that are not archived leave a stream, and come back when the partition is halted."""
        redis = self._redis()
        try:
            done = self.streams.cut_out(redis) if redis else None
        except (OSError, RuntimeError):
            return None
        if done is None:
            return None
        cut, deed = done
        seconds = self.seconds(2, 20)
        self.later(seconds, lambda: self._put_back(cut))
        return f"{deed}, {seconds:.1f} s"

    def _put_back(self, cut):
        redis = self._redis()
        try:
            done = redis is not None and self.streams.put_back(redis, cut)
        except (OSError, RuntimeError):
            done = False
        if not done:
            self.later(0.5, lambda: self._put_back(cut))

    def special_file(self):
        """Something that is no file stands in the chunk store, where the next chunk would come or beside."""
        done = self.specials.put()
        if done is None:
            return None
        path, inode, deed = done
        if inode is None:
            return f"{deed}, left there"
        seconds = self.seconds(2, 20)
        self.later(seconds, lambda: self.specials.take_away(path, inode))
        return f"{deed}, {seconds:.1f} s"

    def old_redis(self):
        """An old copy of Redis' folder is put back, when everything since then is archived."""
        self.undo()
        if self.timers or not self.fleet.up.process:
            return None
        return self.streams.old_copy(self.recorders)

    def drop_collections(self):
        return self.databases.drop_something() if self.fleet.up.process else None

    def step_clock(self):
        name = self.source.choice(sorted(self.fleet.clocks)) if self.fleet.clocks else None
        if name is None:
            return None
        step = self.source.choice([-1, 1]) * self.source.choice([1, 5, 20, 90, 3600])
        self.fleet.clocks[name].step(step)
        return f"{name}, {step:+d} s"


def write_hard(path, seconds):
    """Makes every sync on this disk wait, for a while."""
    deadline, block = time.monotonic() + seconds, os.urandom(1 << 21)
    with open(path, "wb", buffering=0) as file:
        while time.monotonic() < deadline:
            file.seek(0)
            file.write(block)
            os.fsync(file.fileno())
    path.unlink(missing_ok=True)

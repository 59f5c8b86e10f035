"""What somebody with a shell does to the log's streams: entries cut out, an old copy of Redis put back."""

import dataclasses
import json
import shutil
import time

from archive import joined, place, read_log
from checker import Findings
from settling import settle

# Seconds after healing began in which the system has to name what was cut out.
NAMING_SECONDS = 30
# Events that one decision of a fleet's has at most.
LONGEST_DECISION = 20


@dataclasses.dataclass
class Cut:
    """A partition of which entries were cut out: what it was, and up to where it was archived then."""
    number: int
    dump: bytes
    entries: list
    through: str

    @property
    def key(self):
        return f"reel:{{p{self.number:03d}}}:log"

    @property
    def archive(self):
        return f"reel:{{p{self.number:03d}}}:archive"


class Streams:
    """The streams of a fleet's log."""

    def __init__(self, fleet, source):
        self.fleet, self.source = fleet, source
        self.cut = {}
        self.overdue = None

    # Entries are cut out, and put back.

    def cut_out(self, redis):
        """Cuts entries out of a stream; answers the cut and what was done, or None."""
        numbers = [number for number in range(redis.partitions()) if number not in self.cut]
        for number in self.source.sample(numbers, len(numbers)):
            cut = Cut(number, b"", [], "0-0")
            redis("WATCH", cut.key)
            if redis("XLEN", cut.key) < 4 or redis("HGET", "reel:halted", f"p{number:03d}"):
                continue
            cut.entries = redis("XRANGE", cut.key, "-", "+")
            deed, command = self._deed(cut)
            redis("MULTI")
            redis("DUMP", cut.key)
            redis("HGET", cut.archive, "through")
            redis(*command)
            answer = redis("EXEC")
            if answer is None:
                return None  # somebody was quicker
            cut.dump, cut.through = answer[0], (answer[1] or b"0-0").decode()
            self.cut[number] = cut
            # Every one of them was acknowledged, and is in the log in the end.
            self.fleet.inflicted.kept |= {
                dict(zip(flat[::2], flat[1::2]))[b"id"].decode() for _, flat in cut.entries}
            return cut, f"p{number:03d}: {deed} of {len(cut.entries)}"
        return None

    def _deed(self, cut):
        length = len(cut.entries)
        kept = self.source.randrange(1, length - 1)
        return self.source.choice([
            (f"the first {length - kept}", ("XTRIM", cut.key, "MAXLEN", kept)),
            ("all", ("XTRIM", cut.key, "MAXLEN", 0)),
            ("one", ("XDEL", cut.key, self.source.choice(cut.entries)[0])),
            ("the newest", ("XDEL", cut.key, cut.entries[-1][0]))])

    def put_back(self, redis, cut):
        """Puts back what was cut out, once the partition is halted; whether it is done."""
        name = f"p{cut.number:03d}"
        is_overdue = self.overdue is not None and time.monotonic() > self.overdue
        if not redis("HGET", "reel:halted", name):
            if not is_overdue:
                return False
            self.fleet.inflicted.noticed.append(f"{name}: entries were cut out, and it was not halted")
        redis("WATCH", cut.key, cut.archive)
        last = place(cut.entries[-1][0].decode())
        # What others appended before they noticed stays.
        since = [one for one in redis("XRANGE", cut.key, "-", "+") if place(one[0].decode()) > last]
        through = (redis("HGET", cut.archive, "through") or b"0-0").decode()
        redis("MULTI")
        redis("RESTORE", cut.key, 0, cut.dump, "REPLACE")
        for entry, flat in since:
            redis("XADD", cut.key, entry, *flat)
        if place(through) > place(cut.through):
            milliseconds, counter = place(through)
            redis("XTRIM", cut.key, "MINID", f"{milliseconds}-{counter + 1}")
        if redis("EXEC") is None:
            return False
        del self.cut[cut.number]
        return True

    # An old copy of Redis comes back, beside an archive that is newer.

    def old_copy(self, recorders):
        """Keeps a copy, records on, archives all, and puts the copy back; what it did, or None.

        What was archived must be in the log afterwards. The newest event of each partition never leaves
        Redis; its loss is accepted, as an operator does who has no newer copy.
        """
        fleet = self.fleet
        fleet.stop_all()
        data, old = fleet.system.data / "redis", fleet.folder / "old-redis"
        shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(data, old)
        fleet.start_all()
        end = time.monotonic() + self.source.uniform(5, 15)
        while time.monotonic() < end:
            fleet.tick(recorders)
            time.sleep(0.05)
        fleet.heal()
        if not settle(fleet, 120):
            return None
        if not self._archive_all():
            return None
        known = self._archived()
        fleet.stop_all()
        shutil.rmtree(data)
        shutil.copytree(old, data)
        fleet.inflicted.kept |= known
        fleet.start_all()
        lifted = self._lift()
        return f"{len(known)} events were archived, {lifted} partitions lack their newest event"

    def _archive_all(self, seconds=60):
        """Archives what may go; whether nothing but the newest decision of each partition is left."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.fleet.system.reel("archive", "run", "--all")
            redis = self.fleet.redis()
            if all(self._is_one_decision(redis(
                    "XRANGE", f"reel:{{p{number:03d}}}:log", "-", "+", "COUNT", LONGEST_DECISION + 1))
                   for number in range(redis.partitions())):
                return True
            time.sleep(0.5)
        return False

    @staticmethod
    def _is_one_decision(entries):
        """Whether entries were appended together: an archiver leaves those of the newest append as a whole."""
        parts = ("partitionkey", "time", "source", "correlationid", "causationid")
        known = [dict(zip(fields[::2], fields[1::2])) for _, fields in entries]
        return len({tuple(one.get(part.encode()) for part in parts) for one in known}) <= 1

    def _archived(self):
        """The ids of all events that the archive has and the server's record vouches for."""
        log = read_log(self.fleet.redis(), self.fleet.archive)
        return {
            dict(pairs)[b"id"].decode() for number, entries in joined(log, Findings()).items()
            for entry, pairs in entries if place(entry) <= place(log.trimmed[number].through)}

    def _lift(self):
        """Goes on without the events that were in Redis alone; how many partitions had to be lifted."""
        fleet, lifted = self.fleet, set()
        quiet, deadline = time.monotonic() + 6, time.monotonic() + 90
        while time.monotonic() < min(quiet, deadline):
            fleet.keep_running()
            done = fleet.system.reel("partitions", "list", "--json")
            halted = json.loads(done.stdout)["halted"] if done.returncode == 0 else []
            for one in halted:
                number = one["partition"]
                if "archive" in one["reason"]:
                    fleet.inflicted.noticed.append(f"p{number:03d}: after an old copy: {one['reason']}")
                done = fleet.system.reel(
                    "partitions", "lift", number, "--accept-loss", "--reason", "chaos: an old copy of Redis")
                lifted |= {number} if done.returncode == 0 else set()
            if done.returncode != 0 or halted:
                quiet = time.monotonic() + 6
            time.sleep(0.5)
        return len(lifted)

"""What somebody who can write Redis can do to a session's events: whole streams made anew, with every list,
hash and counter beside them as the server would have them."""

import copy
import hashlib
import json

from formats import merkle_root
from kit import Redis


class Pipe(Redis):
    """The same connection for many commands at once."""

    def many(self, commands):
        """The answers to commands that are sent before any answer is read."""
        answers, commands = [], list(commands)
        for at in range(0, len(commands), 200):
            batch = commands[at:at + 200]
            parts = []
            for arguments in batch:
                words = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
                parts.append(
                    b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            self.socket.sendall(b"".join(parts))
            answers += [self._answer() for _ in batch]
        return answers

    def dump(self, volatile):
        """Every key with its bytes, but for those that time changes."""
        keys = [key for key in sorted(self("KEYS", "reel:*")) if not any(part in key for part in volatile)]
        return {key: value for key, value in zip(keys, self.many(("DUMP", key) for key in keys)) if value}


class Event:
    """One entry: its place, and its fields in their order."""

    def __init__(self, place, fields):
        self.place, self.fields = place, fields

    @classmethod
    def read(cls, entry):
        return cls(entry[0].decode(), [[n.decode(), v] for n, v in zip(entry[1][::2], entry[1][1::2])])

    def copy(self):
        return copy.deepcopy(self)

    def __getitem__(self, name):
        return next(value for field, value in self.fields if field == name).decode()

    def __setitem__(self, name, value):
        for field in self.fields:
            if field[0] == name:
                field[1] = value if isinstance(value, bytes) else str(value).encode()

    @property
    def type(self):
        return self["type"]

    @property
    def data(self):
        return json.loads(self["data"])

    @data.setter
    def data(self, value):
        self["data"] = json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def tell(self, **changed):
        """Other values of members that it has."""
        data = self.data
        data.update({name: value for name, value in changed.items() if name in data})
        self.data = data

    def number(self):
        return self.data.get("sequence_number")


def ordered(place):
    return tuple(int(part) for part in place.split("-"))


class Stream:
    """A session's events in the stream of its partition."""

    def __init__(self, redis, session, number):
        self.redis, self.session = redis, session
        self.prefix = f"reel:{{p{number:03d}}}"

    def entries(self):
        return [Event.read(entry) for entry in self.redis("XRANGE", f"{self.prefix}:log", "-", "+")]

    def events(self):
        return [event for event in self.entries() if event["partitionkey"] == self.session]

    def facts(self):
        flat = self.redis("XINFO", "STREAM", f"{self.prefix}:log")
        return {name.decode(): value for name, value in zip(flat[::2], flat[1::2])}

    def write(self, events, archived=0):
        """Makes the stream anew with these events of the session, and whatever tells of them beside it.

        Events that are more than there were get places behind the last one.
        """
        log, facts = f"{self.prefix}:log", self.facts()
        entries = self.entries()
        others = [e for e in entries if e["partitionkey"] != self.session]
        before = sorted(ordered(e.place) for e in entries)
        gone = facts["entries-added"] - len(before)
        places = sorted({ordered(event.place) for event in events})
        last = max(before + places) if before or places else (1, 0)
        while len(places) < len(events):
            last = (last[0], last[1] + 1)
            places.append(last)
        for event, place in zip(events, places):
            event.place = f"{place[0]}-{place[1]}"
        self.replace(log, sorted(others + events, key=lambda e: ordered(e.place)), gone)
        self.list(events, archived)

    def replace(self, log, entries, gone):
        groups = []
        for flat in self.redis("XINFO", "GROUPS", log):
            groups.append(dict(zip(flat[::2], flat[1::2])))
        end = self.facts()["last-generated-id"].decode()
        self.redis("DEL", log)
        commands = [("XADD", log, e.place, *(part for field in e.fields for part in field)) for e in entries]
        if not entries:
            commands = [("XGROUP", "CREATE", log, "none", "0", "MKSTREAM"),
                        ("XGROUP", "DESTROY", log, "none")]
        newest = max([ordered(e.place) for e in entries] + [ordered(end)])
        commands.append(("XSETID", log, f"{newest[0]}-{newest[1]}", "ENTRIESADDED", len(entries) + gone,
                         "MAXDELETEDID", "0-0"))
        commands += [("XGROUP", "CREATE", log, group[b"name"], f"{newest[0]}-{newest[1]}", "ENTRIESREAD",
                      len(entries) + gone) for group in groups]
        self.redis.many(commands)

    def list(self, events, archived=0):
        """The list of the session's places, and the hash of its ids."""
        index, ids = f"{self.prefix}:s:{self.session}", f"{self.prefix}:i:{self.session}"
        flat = self.redis("HGETALL", ids)
        known = dict(zip(flat[::2], flat[1::2]))
        values = [b"b", known.get(b"b", b"%d" % archived)]
        for place, event in enumerate(events, archived + 1):
            name = hashlib.sha256(event["id"].encode()).digest()[:16]
            values += [name, place.to_bytes(5, "big") + known.get(name, bytes(13))[5:]]
        commands = [("DEL", index, ids)]
        if events:
            commands += [("RPUSH", index, *(event.place for event in events)), ("HSET", ids, *values)]
        self.redis.many(commands)


# What makes a history whole again after it was changed


def renumber(events, first=1):
    for number, event in enumerate(events, first):
        event["sequence"] = f"{number:012d}"
    return events


def of_chunk(events, number):
    return [e for e in events if e.type.startswith("Chunk") and e.number() == number]


def tell(events, number, **changed):
    """The same of a chunk in every event that says it."""
    for event in of_chunk(events, number):
        event.tell(**changed)
    return events


def recount(events):
    """Counts, sums and the Merkle root, as the chunks' events have them now."""
    recorded = [e.data for e in events if e.type == "ChunkRecorded"]
    stored = sorted((e.data for e in events if e.type == "ChunkStored"), key=lambda d: d["sequence_number"])
    try:
        root = merkle_root([bytes.fromhex(d["merkle_hash"]) for d in stored]).hex()
    except ValueError:
        root = "0" * 64

    def total(list_, name):
        return sum(d[name] for d in list_ if isinstance(d[name], int))
    facts = {"chunk_count": len(recorded), "size_bytes": total(recorded, "size_bytes"),
             "sealed_bytes": total(stored, "sealed_bytes"), "merkle_root": root, "root": root,
             "leaf_count": len(stored)}
    for event in events:
        if not event.type.startswith("Chunk"):
            event.tell(**facts)
    return events


def move(events, session, old, new):
    """Chunk `old` becomes chunk `new` in all that is told of it."""
    identity = f"{session}-chunk-{old:06d}", f"{session}-chunk-{new:06d}"
    for event in of_chunk(events, old):
        for field, value in event.fields:
            event[field] = value.replace(identity[0].encode(), identity[1].encode())
        event["data"] = event["data"].replace(f"/{old:08d}.", f"/{new:08d}.")
        event.tell(sequence_number=new)
    return events


def taking(events, kind, number=None):
    """The first event of a type, of a chunk where it has one."""
    return next(e for e in events if e.type == kind and (number is None or e.number() == number))

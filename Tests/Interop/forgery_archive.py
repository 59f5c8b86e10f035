"""A, A+C, R+A and R+A+C: everything that whoever can write the archive's folder can do to the segments that
hold a session's events, with all hashes of theirs computed anew; and with the chain in Redis, where he can
write that as well."""

import hashlib
import json
import struct

import zstandard

import forgery_both
import forgery_events
from forgery_checks import ACCEPT, RIGHT, Forgery
from forgery_log import Event, renumber
from formats import STREAM_FIELDS
from kit import eventually

ORDER = ["partitionkey", "id", "type", "subject", "time", "source", "authtype", "authid", "traceparent",
         "correlationid", "causationid"]


def number(value):
    """LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        value, shift = 0, 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def bytes(self):
        length = self.number()
        self.at += length
        return self.data[self.at - length:self.at]


def decoded(payload):
    """The entries of a segment, as events of a stream."""
    reader, events = Reader(payload), []
    while reader.at < len(payload):
        body = Reader(reader.bytes())
        place = f"{body.number()}-{body.number()}"
        sequence, version = body.number(), body.number()
        texts = dict(zip(ORDER, [body.bytes() for _ in ORDER]))
        texts |= {"specversion": b"1.0", "datacontenttype": b"application/json", "data": body.bytes(),
                  "sequence": b"%012d" % sequence,
                  "dataschema": b"urn:reel:event:%s:%d" % (texts["type"], version)}
        events.append(Event(place, [[name, texts[name]] for name in STREAM_FIELDS]))
    return events


def encoded(events):
    payload = b""
    for event in events:
        milliseconds, counter = event.place.split("-")
        version = event["dataschema"].rsplit(":", 1)[1]
        body = b"".join(number(int(value)) for value in (milliseconds, counter, event["sequence"], version))
        for name in [*ORDER, "data"]:
            value = next(v for n, v in event.fields if n == name)
            body += number(len(value)) + value
        payload += number(len(body)) + body
    return payload


def index_of(events):
    ranges = {}
    for event in events:
        key, sequence = event["partitionkey"], int(event["sequence"])
        ranges[key] = (ranges.get(key, (sequence, 0))[0], sequence)
    return b"".join(sorted(hashlib.sha256(key.encode()).digest()[:8] + struct.pack(">QQ", *both)
                           for key, both in ranges.items()))


class Segment:
    """One file of the archive, taken apart and put together again with hashes that fit."""

    def __init__(self, path):
        self.path = path
        file = path.read_bytes()
        header, index, length = struct.unpack_from("<IIQ", file, 8)
        self.header = json.loads(file[24:24 + header])
        self.index = file[24 + header:24 + header + index]
        stored = file[24 + header + index + 32:-32]
        self.payload = stored if len(stored) == length else zstandard.ZstdDecompressor().decompress(stored)

    @property
    def events(self):
        return decoded(self.payload)

    def fill(self, events):
        """Other entries, and whatever the file says of them itself."""
        self.payload, self.index = encoded(events), index_of(events)
        self.header["count"] = len(events)
        if events:
            self.header["first"] = events[0].place
        return self

    def build(self, text=None):
        """The file, and its two hashes."""
        text = text if text is not None else json.dumps(self.header, separators=(",", ":")).encode()
        front = b"REELSEG1" + struct.pack("<IIQ", len(text), len(self.index), len(self.payload))
        front += text + self.index
        first = hashlib.sha256(front).digest()
        packed = zstandard.ZstdCompressor(level=3).compress(self.payload)
        whole = front + first + (packed if len(packed) < len(self.payload) else self.payload)
        last = hashlib.sha256(whole).digest()
        return whole + last, last.hex(), first.hex()

    def write(self, text=None):
        file, whole, front = self.build(text)
        self.path.write_bytes(file)
        return whole, front


def segments(target):
    """The files of the session's partition, from the first on."""
    found = target.world.archive.glob(f"*/p{target.partition:03d}/*.seg")
    return sorted((Segment(path) for path in found), key=lambda s: s.header["count_before"])


def rechain(target, list_):
    """Writes segments so that each names the one before it, and has Redis name them all."""
    prefix, previous, before, records = target.stream.prefix, "", 0, []
    for segment in list_:
        segment.header["previous"], segment.header["count_before"] = previous, before
        previous, front = segment.write()
        records.append(f"{segment.header['after']} {segment.header['last']} {before} "
                       f"{segment.header['count']} {previous} {front}")
        before += segment.header["count"]
    redis = target.world.redis
    redis("HSET", f"{prefix}:archive", "hash", previous, "count", before)
    redis("DEL", f"{prefix}:segments")
    redis("RPUSH", f"{prefix}:segments", *records)
    redis("ZADD", f"{prefix}:ranks", -before, "trimmed")
    left = target.stream.entries()
    newest = left[-1].place
    redis("XSETID", f"{prefix}:log", newest, "ENTRIESADDED", before + len(left), "MAXDELETEDID", "0-0")


def placed(places, events):
    """Events at the places that there were, the last one at the last; what is more, before the first."""
    milliseconds, extra = int(places[0].split("-")[0]), max(0, len(events) - len(places))
    before = [f"{milliseconds - 1}-{n}" for n in range(extra)]
    for event, place in zip(events, [*before, *places[:len(events) - extra - 1], places[-1]]):
        event.place = place
    return events


def archived(change, chain):
    """What a function makes of a session's events, written into the segments that hold them: the last ones
    into the last segment, as many as it has, and all others into the first."""
    def apply(target):
        list_ = segments(target)
        parts = [[e for e in s.events if e["partitionkey"] == target.session] for s in list_]
        forged = change(target, [event.copy() for part in parts for event in part])
        forged, content = forged if isinstance(forged, tuple) else (forged, None)
        behind = len(forged) - sum(len(part) for part in parts[1:])
        shares = [forged[:behind], forged[behind:]]
        for segment, own, share in zip(list_, parts, shares):
            others = [e for e in segment.events if e["partitionkey"] != target.session]
            share = placed([event.place for event in own], share) if own else []
            merged = sorted(share + others, key=lambda e: tuple(map(int, e.place.split("-"))))
            segment.fill(merged)
        if chain:
            rechain(target, list_)
            return content
        for segment in list_:
            segment.write()
        return None
    return apply


# The changes that are made to events, as R makes them


def changes():
    """Name, change, and whether nothing in the log contradicts it."""
    free = [("the name", forgery_events.member("SessionCreated", "name", "x")),
            ("a time", forgery_events.field("ChunkStored", "time", "2020-01-01T00:00:00.000Z")),
            ("who it was", forgery_events.field("SessionStopped", "authid", "mallory")),
            ("the change of a name left out", forgery_events.drop(1))]
    for name, change in free:
        yield name, change, True
    bad = {"an event dropped": forgery_events.drop(12), "an event doubled": forgery_events.double(12, False),
           "two events exchanged": forgery_events.exchange(4),
           "nothing told of chunk 2": lambda t, e: forgery_events.without(t, e, 2),
           "nothing told of the last chunk": lambda t, e: forgery_events.without(t, e, 4),
           "the root left out": lambda t, e: renumber([x for x in e if x.type != "MerkleRootComputed"]),
           "a chunk's hash": forgery_events.member("ChunkStored", "merkle_hash", "ab" * 32),
           "a chunk's hash, agreed": forgery_events.agreed(merkle_hash="ab" * 32),
           "no digest, agreed": forgery_events.agreed(content_digest=""),
           "a digest ABC, agreed": forgery_events.agreed(content_digest="ABC"),
           "no cipher, agreed": forgery_events.agreed(cipher="none"),
           "the root": forgery_events.member("MerkleRootComputed", "root", "cd" * 32),
           "a subject": forgery_events.field("ChunkStored", "subject", "other"),
           "a session's id": forgery_events.member("ChunkStored", "session_id", "other"),
           "the first event dropped": lambda t, e: e[1:],
           "another's history": lambda t, e: forgery_events.adopted(t, forgery_events.another(t))}
    for name, change in bad.items():
        yield name, change, False


def both_changes():
    """With the files: name, change, and what an accepted one makes of the content."""
    yield "a plain file, no digest", lambda t, e: forgery_both.unsealed(
        t, e, forgery_both.altered(t.pieces[1]), ""), False
    yield "a plain file, digest ABC", lambda t, e: forgery_both.unsealed(
        t, e, forgery_both.altered(t.pieces[1]), "ABC", True), False
    yield "a plain file, its digest", lambda t, e: forgery_both.unsealed(
        t, e, forgery_both.altered(t.pieces[1]), None, True), False
    for region in ("payload", "nonce", "tag", "header cipher", "header codec"):
        yield f"a bit of {region}", forgery_both.changed_file(forgery_both.flip(region)), False
    yield "another session's file", forgery_both.changed_file(
        lambda t, f: forgery_events.another(t).files[2]), False
    yield "2 and 3 exchanged", forgery_both.arranged(1, 3, 2, 4), False
    yield "chunk 2 left out", forgery_both.arranged(1, 3, 4), False
    yield "the last one left out", forgery_both.arranged(1, 2, 3), True
    yield "all but the first left out", forgery_both.arranged(1), True


def rewritten():
    why = "whoever writes the segments and the chain makes both fit; the chain's hash that was kept differs"
    for name, change, free in changes():
        yield Forgery("A", f"rewritten: {name}", archived(change, False), content="safe")
        if free:
            yield Forgery("R+A", f"rewritten, free: {name}", archived(change, True), ACCEPT, RIGHT,
                          anchor="chain", why=why)
        else:
            yield Forgery("R+A", f"rewritten: {name}", archived(change, True), content="safe")
    for name, change, free in both_changes():
        yield Forgery("A+C", f"rewritten: {name}", archived(change, False), content="refuse",
                      chunks=(4,) if "left out" in name else (2,))
        if free:
            yield Forgery("R+A+C", f"rewritten, free: {name}", archived(change, True), ACCEPT, "forged",
                          anchor="chain", why=why, chunks=(1, 4))
        else:
            yield Forgery("R+A+C", f"rewritten: {name}", forgery_both.dropping(archived(change, True)),
                          content="refuse", chunks=(2,))


# Segments as files


def header(place, **changed):
    def apply(target):
        segment = segments(target)[place]
        for name, value in changed.items():
            segment.header[name] = value(segment.header[name]) if callable(value) else value
        segment.write()
    return apply


def raw(change, place=0):
    """Bytes of a file, without putting anything right."""
    def apply(target):
        segment = segments(target)[place]
        file = segment.path.read_bytes()
        changed = change(target, file)
        if changed is None:
            segment.path.unlink()
        else:
            segment.path.write_bytes(changed)
    return apply


def flipped(share):
    def change(_, file):
        at = min(len(file) - 1, int(share * len(file)))
        return file[:at] + bytes([file[at] ^ 4]) + file[at + 1:]
    return change


def exchanged(target):
    one, other = segments(target)[:2]
    files = one.path.read_bytes(), other.path.read_bytes()
    one.path.write_bytes(files[1])
    other.path.write_bytes(files[0])


def elsewhere(target):
    """The first segment of another partition, whole."""
    other = next(t for t in target.world.targets if t.partition != target.partition)
    return segments(other)[0].path.read_bytes()


def filled(change):
    def apply(target):
        segment = segments(target)[0]
        change(segment)
        segment.write()
    return apply


def names():
    def renamed(target):
        path = segments(target)[0].path
        path.rename(path.with_name("0-0_9-9.seg"))

    def linked(target):
        path = segments(target)[0].path
        path.rename(target.world.folder / f"{target.session}.segment")
        path.symlink_to(target.world.folder / f"{target.session}.segment")

    def doubled(target):
        path = segments(target)[1].path
        path.with_name(f"{path.stem}9.seg").write_bytes(path.read_bytes())
    yield Forgery("A", "file: under another name", renamed, content="safe")
    yield Forgery("A", "file: a link to it", linked, content="safe")
    yield Forgery("A", "more: a segment that nothing names", doubled, "either", "safe")


def files():
    for place in (0, 1):
        for share in (0, 0.01, 0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 1):
            yield Forgery("A", f"a bit: segment {place + 1} at {share}", raw(flipped(share), place),
                          content="safe")
        yield Forgery("A", f"file: segment {place + 1} is gone", raw(lambda t, f: None, place),
                      content="safe")
        yield Forgery("A", f"file: segment {place + 1} is cut off", raw(lambda t, f: f[:-40], place),
                      content="safe")
        yield Forgery("A", f"file: segment {place + 1} is empty", raw(lambda t, f: b"", place),
                      content="safe")
        yield Forgery("A", f"file: segment {place + 1} is longer", raw(lambda t, f: f + bytes(8), place),
                      content="safe")
        yield Forgery("A", f"file: segment {place + 1} is another partition's", raw(
            lambda t, f: elsewhere(t), place), content="safe")
        for name, value in {"epoch": "other", "partition": 1, "after": "1-1", "first": "1-1", "last": "9-9",
                            "count": lambda v: v + 1, "count_before": lambda v: v + 1, "format": 2,
                            "previous": "ab" * 32}.items():
            yield Forgery("A", f"header: {name} of segment {place + 1}", header(place, **{name: value}),
                          content="safe")
    yield Forgery("A", "file: two segments exchanged", exchanged, content="safe")
    yield Forgery("A", "entries: none", filled(lambda s: s.fill([])), content="safe")
    yield Forgery("A", "entries: half of them", filled(lambda s: s.fill(s.events[:10])), content="safe")
    yield Forgery("A", "entries: backwards", filled(lambda s: s.fill(s.events[::-1])), content="safe")
    yield Forgery("A", "entries: an index that names nobody", filled(lambda s: setattr(s, "index", b"")),
                  content="safe")
    yield Forgery("A", "entries: an index that names others", filled(
        lambda s: setattr(s, "index", bytes(24))), content="safe")
    yield Forgery("A", "entries: bytes that are none", filled(lambda s: setattr(s, "payload", b"\xff" * 99)),
                  content="safe")


def chains():
    """R alone, on what Redis says of the archive."""
    def command(*words):
        def apply(target):
            prefix = target.stream.prefix
            target.world.redis(*[word.replace("P:", f"{prefix}:") if isinstance(word, str) else word
                                 for word in words])
        return apply
    # What starts takes back what somebody with a key has vouched for: then the chain is what it was.
    for name, words in {"another hash": ("HSET", "P:archive", "hash", "ab" * 32),
                        "no hash": ("HSET", "P:archive", "hash", ""),
                        "a hash that is gone": ("HDEL", "P:archive", "hash"),
                        "through later": ("HSET", "P:archive", "through", "9999999999999-0"),
                        "another count": ("HSET", "P:archive", "count", "3"),
                        "all gone": ("DEL", "P:archive")}.items():
        yield Forgery("R", f"chain: {name}", command(*words), "either", "safe", anchor="mended")
    for name, words in {"records gone": ("DEL", "P:segments"), "the last record gone": ("RPOP", "P:segments"),
                        "a record that is none": ("LSET", "P:segments", "0", "x")}.items():
        yield Forgery("R", f"records: {name}", command(*words), "either", "safe")


def forgeries(source):
    return [*rewritten(), *files(), *names(), *chains()]


def prepare(world):
    """Archives everything, records another session in each partition, and archives that as well: the events
    of the first ones stand in two segments, and nothing of them in Redis."""
    targets, world.targets = world.targets, []
    with world.system():
        archive(world, targets, 1)
    world.record(0, 0, 0, beside=targets)
    world.targets = targets
    with world.system():
        archive(world, targets, 2)
    for target in targets:
        kept = [e for s in segments(target) for e in s.events if e["partitionkey"] == target.session]
        if [e.fields for e in kept] != [e.fields for e in target.events]:
            raise RuntimeError(f"{target.session}: {len(kept)} of its events are archived")
    world.keep_archived()


def archive(world, targets, count):
    """Nothing leaves Redis before everybody has gone past it."""
    said = []

    def is_done():
        done = world.reel("archive", "run", "--all")
        said.append(f"{done.returncode}: {done.stdout.decode()[-300:]} {done.stderr[-300:]}")
        return all(len(segments(target)) >= count for target in targets)
    if not eventually(is_done, 60, 0.5):
        raise RuntimeError(f"not everything is archived: {said[-1]}")

"""The log as streams and archived segments together, read by the formats that ops/docs/formats.md describes.

Shares no code with Reel. What doesn't fit together is a finding; what is left is read all the same.
"""

import dataclasses
import functools
import hashlib
import json
import re
import struct

import zstandard

from formats import STREAM_FIELDS

NAME = re.compile(r"(\d+-\d+)_(\d+-\d+)\.seg")
START = "0-0"
ENTRY_TEXTS = [
    "partitionkey", "id", "type", "subject", "time", "source", "authtype", "authid", "traceparent",
    "correlationid", "causationid", "data"]


@dataclasses.dataclass
class Trimmed:
    """What the server says of a partition's archive: up to where, how many entries, the last hash, and its
    records of all segments."""
    through: str = START
    count: int = 0
    hash: str = ""
    records: tuple = ()


@dataclasses.dataclass
class Log:
    """The raw evidence by partition: the stream's entries, bytes of segments by name, what was trimmed."""
    epoch: str
    streams: dict
    segments: dict
    trimmed: dict


@dataclasses.dataclass(frozen=True)
class Segment:
    """One segment, taken apart and found sound in itself."""
    header: dict
    index: bytes
    entries: tuple
    hash: str
    front_hash: str

    @property
    def record(self):
        """What the server keeps of it."""
        head = self.header
        return " ".join(map(str, (
            head["after"], head["last"], head["count_before"], head["count"], self.hash, self.front_hash)))


def place(entry):
    """An entry id as numbers, which sort as the log does."""
    milliseconds, counter = entry.split("-")
    return int(milliseconds), int(counter)


def read_log(redis, archive):
    """Everything at rest or in motion: a partition that is trimmed while it is read is read again."""
    log = Log(redis("HGET", "reel:meta", "epoch").decode(), {}, {}, {})
    for number in range(redis.partitions()):
        folder = archive / log.epoch / f"p{number:03d}"
        while True:
            before = read_trimmed(redis, number)
            # What is named now is in the stream that is read next, or was trimmed before.
            paths = sorted(folder.glob("*")) if folder.exists() else []
            log.streams[number] = read_stream(redis, number)
            if read_trimmed(redis, number) == before:
                break
        log.trimmed[number] = before
        names = {path.name for path in paths}
        # A voucher beside its segment needs the system's key, and is for the system to read.
        log.segments[number] = {
            path.name: path.read_bytes() for path in paths
            if not path.name.startswith(".tmp-") and not is_voucher(path, paths)}
    return log


def is_voucher(path, paths):
    """Whether it is what somebody with a key has left beside a segment that is there."""
    return path.suffix == ".vouched" and path.with_suffix("") in paths


def read_trimmed(redis, number):
    found = redis("HMGET", f"reel:{{p{number:03d}}}:archive", "through", "count", "hash")
    through, count, digest = found
    records = redis("LRANGE", f"reel:{{p{number:03d}}}:segments", 0, -1)
    return Trimmed(
        (through or START.encode()).decode(), int(count or 0), (digest or b"").decode(),
        tuple(record.decode() for record in records))


def read_stream(redis, number):
    entries, start = [], "-"
    while page := redis("XRANGE", f"reel:{{p{number:03d}}}:log", start, "+", "COUNT", 5000):
        entries += [(e.decode(), list(zip(flat[::2], flat[1::2]))) for e, flat in page]
        start = "(" + entries[-1][0]
    return entries


class Reader:
    """LEB128 numbers and texts with their length, one after the other."""

    def __init__(self, content):
        self.content, self.at = content, 0

    def number(self):
        value = shift = 0
        while True:
            byte = self.content[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self):
        length = self.number()
        start, self.at = self.at, self.at + length
        if self.at > len(self.content):
            raise ValueError("a text goes beyond the end")
        return self.content[start:self.at]


def entry(content):
    """Entry id and fields of one archived event, as its stream entry had them."""
    reader = Reader(content)
    milliseconds, counter, sequence, version = (reader.number() for _ in range(4))
    known = {name: reader.text() for name in ENTRY_TEXTS}
    if reader.at != len(content):
        raise ValueError("an entry has more in it than it should")
    known |= {
        "specversion": b"1.0", "datacontenttype": b"application/json", "sequence": b"%012d" % sequence,
        "dataschema": b"urn:reel:event:%s:%d" % (known["type"], version)}
    return f"{milliseconds}-{counter}", [(name.encode(), known[name]) for name in STREAM_FIELDS]


@functools.lru_cache(maxsize=None)
def segment(content):
    """Takes a segment apart; ValueError says what is wrong with it."""
    if len(content) < 88 or content[:8] != b"REELSEG1":
        raise ValueError("it does not begin as a segment does")
    header_bytes, index_bytes, payload_bytes = struct.unpack_from("<IIQ", content, 8)
    front = 24 + header_bytes + index_bytes
    if hashlib.sha256(content[:-32]).digest() != content[-32:]:
        raise ValueError("its SHA-256 is not what it ends with")
    if hashlib.sha256(content[:front]).digest() != content[front:front + 32]:
        raise ValueError("the SHA-256 of its beginning is wrong")
    stored = content[front + 32:-32]
    if len(stored) != payload_bytes:
        stored = zstandard.ZstdDecompressor().decompress(stored, max_output_size=max(payload_bytes, 1))
    if len(stored) != payload_bytes:
        raise ValueError("its entries are cut off")
    reader, entries = Reader(stored), []
    while reader.at < len(stored):
        entries.append(entry(reader.text()))
    if not entries:
        raise ValueError("there is nothing in it")
    header = json.loads(content[24:24 + header_bytes])
    return Segment(
        header, content[24 + header_bytes:front], tuple(entries), content[-32:].hex(),
        content[front:front + 32].hex())


def expected_index(entries):
    """First and last sequence of each key, under the first 8 bytes of the key's SHA-256, sorted."""
    ranges = {}
    for _, pairs in entries:
        fields = dict(pairs)
        ranges.setdefault(fields[b"partitionkey"], []).append(int(fields[b"sequence"]))
    return b"".join(sorted(
        hashlib.sha256(key).digest()[:8] + struct.pack(">QQ", min(found), max(found))
        for key, found in ranges.items()))


def sound_segments(number, log, findings):
    """The segments of a partition that are whole and what their names say, by hash."""
    found = {}
    for name, content in log.segments[number].items():
        where = f"p{number:03d}/{name}"
        match = NAME.fullmatch(name)
        if not match:
            findings.odd.append(f"{where}: was left in the archive")
            continue
        try:
            one = segment(content)
        except Exception as error:  # whatever damaged bytes do to a reader
            findings.lost.append(f"{where}: {type(error).__name__}: {error}")
            continue
        wanted = {
            "format": 1, "epoch": log.epoch, "partition": number, "after": match[1], "last": match[2],
            "first": one.entries[0][0], "count": len(one.entries)}
        wrong = {key: one.header.get(key) for key, value in wanted.items() if one.header.get(key) != value}
        if wrong or one.entries[-1][0] != match[2] or place(one.entries[0][0]) <= place(match[1]):
            findings.lost.append(f"{where}: its header does not fit: {wrong}")
            continue
        if one.index != expected_index(one.entries):
            findings.odd.append(f"{where}: its index is not that of its entries")
        found[one.hash] = one
    return found


def chained(number, segments, trimmed, findings):
    """The segments that the server's record vouches for, from the newest back to the first, in order."""
    chain, through, left, digest = [], trimmed.through, trimmed.count, trimmed.hash
    while through != START:
        one = segments.get(digest)
        if one is None or one.header["last"] != through:
            findings.lost.append(
                f"p{number:03d}: trimmed up to {through}, and no segment ends there with hash {digest[:16]}")
            return chain[::-1]
        if one.header["count_before"] + one.header["count"] != left:
            findings.lost.append(
                f"p{number:03d}: the segment up to {through} ends with another event than the {left}th")
        chain.append(one)
        through, left, digest = one.header["after"], one.header["count_before"], one.header["previous"]
    if left or digest:
        findings.lost.append(f"p{number:03d}: the first segment says that {left} events come before it")
    # Records may be missing: then readers read the segments instead.
    for one, record in zip(chain[::-1], trimmed.records):
        if one.record != record:
            findings.odd.append(f"p{number:03d}: the server's record of a segment is {record}, not {one.record}")
    return chain[::-1]


def joined(log, findings):
    """Every partition's entries, archive and stream as one; what contradicts or is missing is found here."""
    partitions = {}
    for number, stream in log.streams.items():
        trimmed = log.trimmed[number]
        segments = sound_segments(number, log, findings)
        chain = chained(number, segments, trimmed, findings)
        archived = [one for part in chain for one in part.entries]
        live = [one for one in stream if place(one[0]) > place(trimmed.through)]
        if len(live) != len(stream):
            findings.odd.append(
                f"p{number:03d}: {len(stream) - len(live)} entries up to {trimmed.through} were trimmed, "
                "and are in the stream")
        whole = archived + live
        places = [place(one[0]) for one in whole]
        if any(a >= b for a, b in zip(places, places[1:])):
            findings.odd.append(f"p{number:03d}: entries are not in order")
        check_same(number, whole, [stream, *(one.entries for one in segments.values())], findings)
        findings.segments += len(chain)
        findings.archived += len(archived)
        partitions[number] = whole
    return partitions


def check_same(number, whole, copies, findings):
    """What stands in several places is the same everywhere, and nothing stands elsewhere alone."""
    known = dict(whole)
    for copy in copies:
        for name, pairs in copy:
            if name not in known:
                findings.lost.append(f"p{number:03d}/{name}: is in a segment, and not in the log")
            elif known[name] != pairs:
                findings.lost.append(f"p{number:03d}/{name}: segment and stream say different things")

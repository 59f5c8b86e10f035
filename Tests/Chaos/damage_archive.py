"""Damages of the archive for the checker's self-test, on copies of the evidence."""

import hashlib
import json
import struct

from archive import ENTRY_TEXTS, Trimmed, expected_index, joined, segment
from checker import Findings


def flattened(log):
    """The same log with all of it in streams, where single entries are easily damaged."""
    streams = joined(log, Findings())
    return type(log)(log.epoch, streams, {n: {} for n in streams}, {n: Trimmed() for n in streams})


def number_bytes(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def text_bytes(text):
    return number_bytes(len(text)) + text


def encoded_entry(name, pairs):
    fields = {key.decode(): value for key, value in pairs}
    milliseconds, counter = map(int, name.split("-"))
    version = int(fields["dataschema"].rsplit(b":", 1)[1])
    body = b"".join(map(number_bytes, (milliseconds, counter, int(fields["sequence"]), version)))
    return text_bytes(body + b"".join(text_bytes(fields[name]) for name in ENTRY_TEXTS))


def forged(content, entries=None, index=None, **header):
    """A segment with other contents, whose checksums are right."""
    old = segment(content)
    head = json.dumps(old.header | header).encode()
    entries = old.entries if entries is None else entries
    index = expected_index(entries) if index is None else index
    payload = b"".join(encoded_entry(*one) for one in entries)
    front = b"REELSEG1" + struct.pack("<IIQ", len(head), len(index), len(payload)) + head + index
    front += hashlib.sha256(front).digest() + payload
    return front + hashlib.sha256(front).digest()


def pick(log, source):
    """Partition and name of an archived segment that the server's record vouches for, not the last one."""
    found = []
    for number, segments in log.segments.items():
        chain, digest = {segment(c).hash: (name, c) for name, c in segments.items()}, log.trimmed[number].hash
        while digest:
            name, content = chain[digest]
            if digest != log.trimmed[number].hash:
                found.append((number, name))
            digest = segment(content).header["previous"]
    return source.choice(found)


def newest(log, source):
    """Partition and name of a segment that the server's record names itself, with a stream behind it."""
    number = source.choice([n for n, state in log.trimmed.items() if state.count and log.streams[n]])
    for name, content in log.segments[number].items():
        if segment(content).hash == log.trimmed[number].hash:
            return number, name
    raise RuntimeError(f"partition {number} has no segment with the hash that the server names")


def remove(evidence, source):
    number, name = pick(evidence.log, source)
    del evidence.log.segments[number][name]


def flip_bit(evidence, source):
    number, name = pick(evidence.log, source)
    content = bytearray(evidence.log.segments[number][name])
    content[source.randrange(len(content))] ^= 1 << source.randrange(8)
    evidence.log.segments[number][name] = bytes(content)


def cut_off(evidence, source):
    number, name = pick(evidence.log, source)
    content = evidence.log.segments[number][name]
    evidence.log.segments[number][name] = content[:source.randrange(len(content))]


def exchange(evidence, source):
    """Whole and with right checksums, but an event says something else: only the chain of hashes tells."""
    number, name = pick(evidence.log, source)
    content = evidence.log.segments[number][name]
    entries = list(segment(content).entries)
    at = source.randrange(len(entries))
    entries[at] = changed(entries[at])
    evidence.log.segments[number][name] = forged(content, entries)


def changed(entry):
    name, pairs = entry
    fields = dict(pairs)
    fields[b"data"] = fields[b"data"].replace(b'":', b'" :', 1)
    return name, list(fields.items())


def leave_out(evidence, source):
    """An archiver that skipped an event: file, chain and counts are as if it had never been."""
    log = evidence.log
    number, name = newest(log, source)
    content = log.segments[number][name]
    entries = list(segment(content).entries)
    del entries[source.randrange(len(entries) - 1)]
    log.segments[number][name] = forged(
        content, entries, count=len(entries), first=entries[0][0])
    log.trimmed[number].hash = segment(log.segments[number][name]).hash
    log.trimmed[number].count -= 1


def trim_too_much(evidence, source):
    """An entry that went from the stream and into no segment."""
    log = evidence.log
    number, _ = newest(log, source)
    del log.streams[number][0]


def wait(change):
    """A segment that is written and not trimmed yet, of the first entries of a stream."""
    def damage(evidence, source):
        log = evidence.log
        number, name = newest(log, source)
        entries = [change(one) for one in log.streams[number][:1]]
        after, last = log.trimmed[number].through, entries[-1][0]
        content = forged(
            log.segments[number][name], entries, after=after, first=last, last=last, count=1,
            count_before=log.trimmed[number].count, previous=log.trimmed[number].hash)
        log.segments[number][f"{after}_{last}.seg"] = content
    return damage


def contradict(change):
    """An entry that was trimmed stands in the stream all the same."""
    def damage(evidence, source):
        log = evidence.log
        number, name = newest(log, source)
        log.streams[number].insert(0, change(segment(log.segments[number][name]).entries[-1]))
    return damage


def repeat_archived(evidence, source):
    """What was archived comes again under an entry id of its own."""
    log = evidence.log
    number, name = newest(log, source)
    _, pairs = segment(log.segments[number][name]).entries[-1]
    milliseconds, counter = log.streams[number][-1][0].split("-")
    log.streams[number].append((f"{milliseconds}-{int(counter) + 1}", pairs))


def spoil_index(evidence, source):
    log = evidence.log
    number, name = newest(log, source)
    content = log.segments[number][name]
    log.segments[number][name] = forged(content, index=segment(content).index[24:])
    log.trimmed[number].hash = segment(log.segments[number][name]).hash


def rename(evidence, source):
    log = evidence.log
    number, name = pick(log, source)
    log.segments[number][f"{name.split('_')[0]}_{log.trimmed[number].through}.seg"] = (
        log.segments[number].pop(name))


def misrecord(evidence, source):
    """The server's record of a segment names another hash."""
    number = source.choice([n for n, state in evidence.log.trimmed.items() if state.records])
    state = evidence.log.trimmed[number]
    records = list(state.records)
    at = source.randrange(len(records))
    parts = records[at].split(" ")
    parts[4] = parts[4][::-1]
    records[at] = " ".join(parts)
    state.records = tuple(records)


def leave(evidence, source):
    number, _ = newest(evidence.log, source)
    evidence.log.segments[number]["half.seg"] = b"REELSEG1"


def forget_hash(evidence, source):
    number, _ = newest(evidence.log, source)
    evidence.log.trimmed[number].hash = "0" * 64


def miscount(evidence, source):
    number, _ = newest(evidence.log, source)
    evidence.log.trimmed[number].count += 1


def same(entry):
    return entry


# What is done, and where it must be found.
DAMAGE = [
    ("an archived segment is missing", remove, "lost"),
    ("a bit of a segment is flipped", flip_bit, "lost"),
    ("a segment is cut off", cut_off, "lost"),
    ("a segment was exchanged for one with right checksums", exchange, "lost"),
    ("a segment has another's name", rename, "lost"),
    ("an event was left out of a segment", leave_out, "lost"),
    ("an entry was trimmed that no segment holds", trim_too_much, "lost"),
    ("a segment that waits says something else than the stream", wait(changed), "lost"),
    ("a trimmed entry is in the stream and says something else", contradict(changed), "lost"),
    ("a trimmed entry is still in the stream", contradict(same), "odd"),
    ("an archived event stands in the stream again", repeat_archived, "duplicated"),
    ("the server names a segment that is nowhere", forget_hash, "lost"),
    ("the server counts an event more than is archived", miscount, "lost"),
    ("a segment's index lacks a session", spoil_index, "odd"),
    ("the server's record of a segment names another hash", misrecord, "odd"),
    ("something in the archive that is no segment", leave, "odd"),
]

# Not damage: a segment that an archiver wrote and did not come to trim.
HARMLESS = [("a segment that waits to be trimmed", wait(same))]

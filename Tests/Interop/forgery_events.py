"""R: everything that whoever can write Redis can do to a session's events. He has no key."""

from forgery_checks import ACCEPT, RIGHT, Forgery
from forgery_files import another
from forgery_log import move, recount, renumber, taking, tell

KINDS = ["SessionCreated", "SessionUpdated", "SessionStarted", "PipelineStateChanged", "ChunkRecorded",
         "ChunkCompressed", "ChunkSealed", "ChunkValidated", "ChunkStored", "SessionStopped",
         "SessionProcessing", "MerkleRootComputed", "SessionCompleted"]
# Created, updated, started twice, its pipeline twice; stopped, the pipeline; processing, root, completed, the
# pipeline; and five of each of four chunks.
COUNT = 32
# Members that nothing else in the system depends on: what they say only whoever kept it can know.
FREE = {
    "SessionCreated": {"name", "rdp_config", "recording_config", "storage_config", "metadata", "capture"},
    "SessionUpdated": {"name"}, "SessionStopped": {"reason"},
    "ChunkRecorded": {"timestamp", "duration_seconds", "frame_count", "dropped_frames", "spool_path"},
    "ChunkCompressed": {"processing_ms"}, "ChunkSealed": {"processing_ms"},
    "ChunkValidated": {"processing_ms"}, "ChunkStored": {"processing_ms"},
}
NOTHING_DEPENDS = "it says what nothing else depends on; whoever writes the log can write it otherwise"


def by(change):
    """Writes the events that a function makes of a session's."""
    def apply(target):
        events = [event.copy() for event in target.events]
        forged = change(target, events)
        if isinstance(forged, tuple):
            forged, content = forged
        else:
            content = None
        target.world.write(target, forged if forged is not None else events)
        return content
    return apply


def refused(name, change, content="safe", attacker="R", **more):
    return Forgery(attacker, name, by(change), content=content, **more)


def anchored(name, change, anchor="events", why=NOTHING_DEPENDS, content=RIGHT, attacker="R", **more):
    return Forgery(attacker, name, by(change), ACCEPT, content, anchor=anchor, why=why, **more)


# Events as a whole


def drop(place):
    def change(_, events):
        del events[place]
        return renumber(events)
    return change


def double(place, renamed):
    def change(_, events):
        copy = events[place].copy()
        if renamed:
            copy["id"] = copy["id"] + "-again"
        events.insert(place + 1, copy)
        return renumber(events)
    return change


def exchange(place):
    def change(_, events):
        events[place], events[place + 1] = events[place + 1], events[place]
        return renumber(events)
    return change


# Events whose order is no matter of chance: type, and number of the chunk.
ORDERS = [
    (("SessionCreated",), ("SessionCompleted",)), (("SessionStopped",), ("SessionProcessing",)),
    (("SessionProcessing",), ("MerkleRootComputed",)), (("MerkleRootComputed",), ("SessionCompleted",)),
    (("SessionCreated",), ("SessionUpdated",)), (("ChunkRecorded", 1), ("ChunkRecorded", 2)),
    (("ChunkRecorded", 3), ("ChunkRecorded", 4)), (("ChunkStored", 1), ("ChunkStored", 4)),
    (("ChunkRecorded", 2), ("ChunkCompressed", 2)), (("ChunkCompressed", 2), ("ChunkSealed", 2)),
    (("ChunkSealed", 2), ("ChunkValidated", 2)), (("ChunkValidated", 2), ("ChunkStored", 2)),
    (("ChunkRecorded", 4), ("ChunkStored", 4)),
    (("ChunkStored", 2), ("MerkleRootComputed",)), (("ChunkRecorded", 4), ("SessionStopped",)),
]


def trading(one, other):
    """Two events in each other's place."""
    def change(_, events):
        first, second = (events.index(taking(events, *which)) for which in (one, other))
        events[first], events[second] = events[second], events[first]
        return renumber(events)
    return change


def torn(place):
    """Takes an entry out of the stream, and puts nothing right."""
    def apply(target):
        target.world.redis("XDEL", f"{target.stream.prefix}:log", target.events[place].place)
    return apply


def wholes():
    for place in range(COUNT):
        # The second event is the change of a name.
        name = f"number {place + 1}"
        if place == 1:
            yield anchored(f"dropped: {name}", drop(place))
            yield anchored(f"doubled under another id: {name}", double(place, True))
        else:
            yield refused(f"dropped: {name}", drop(place))
            yield refused(f"doubled under another id: {name}", double(place, True))
        yield refused(f"doubled: {name}", double(place, False))
        yield Forgery("R", f"torn out: {name}", torn(place), content="safe")
        if place < COUNT - 1:
            # Stages of different chunks may have come in either order.
            yield refused(f"exchanged: {name} and the next", exchange(place), content="safe", verify="either")
    for place in (0, 2, 3, 4):
        yield refused(f"order: number {place + 1} and the next", exchange(place))
    for one, other in ORDERS:
        words = (" ".join(str(part) for part in which) for which in (one, other))
        yield refused(f"order: {' and '.join(words)}", trading(one, other))
    for number in range(1, 5):
        for name, kinds in [("recorded", ("ChunkRecorded",)), ("stored", ("ChunkStored",)),
                            ("every stage", ("ChunkCompressed", "ChunkSealed", "ChunkValidated"))]:
            yield refused(f"dropped by kind: {name} of chunk {number}", lambda t, events, n=number, k=kinds:
                          renumber([e for e in events if not (e.type in k and e.number() == n)]))
    for kind in KINDS:
        if kind != "SessionUpdated":
            yield refused(f"dropped by kind: every {kind}", lambda t, events, k=kind: renumber(
                [e for e in events if e.type != k]))
    for count in (1, 2, 3, 4, 10, 20):
        yield refused(f"dropped: the first {count}", lambda t, events, n=count: events[n:])
        yield refused(f"dropped: the first {count}, renumbered", lambda t, events, n=count: renumber(
            events[n:]))
        yield refused(f"dropped: the last {count}", lambda t, events, n=count: events[:-n])
    yield Forgery("R", "dropped: the whole session", by(lambda t, events: []), chunks=(1, 4))


# Fields


def field(kind, name, value):
    def change(_, events):
        event = taking(events, kind)
        event[name] = value(event) if callable(value) else value
        return events
    return change


ENVELOPE = {
    "id": "other/1", "type": "SessionNoted", "specversion": "2.0", "subject": "other", "time": "yesterday",
    "dataschema": lambda e: e["dataschema"][:-1] + "9", "datacontenttype": "text/plain",
    "partitionkey": "other", "sequence": "000000000099", "data": "{}",
}
OPEN = {
    "time": "2020-01-01T00:00:00.000Z", "source": "/reel/other",
    "authtype": lambda e: "user" if e["authtype"] == "system" else "system", "authid": "mallory",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "correlationid": "x",
    "causationid": "x",
}
LOOSE_IDS = {"SessionUpdated"}


def envelopes():
    for kind in KINDS:
        for name, value in ENVELOPE.items():
            if name == "id" and kind in LOOSE_IDS:
                yield anchored(f"envelope: {name} of {kind}", field(kind, name, value))
            else:
                yield refused(f"envelope: {name} of {kind}", field(kind, name, value))
        for name, value in OPEN.items():
            yield anchored(f"envelope, free: {name} of {kind}", field(kind, name, value))
    for version in (0, 2, 3):
        yield refused(f"envelope: version {version} of ChunkStored", field(
            "ChunkStored", "dataschema", f"urn:reel:event:ChunkStored:{version}"))
    yield refused("envelope: another type's schema", field(
        "ChunkStored", "dataschema", "urn:reel:event:ChunkSealed:1"))
    yield refused("envelope: no data", field("ChunkStored", "data", ""))
    yield refused("envelope: data that is no JSON", field("ChunkStored", "data", b"\xff{"))


def otherwise(value):
    """Another value of the same kind; members of objects likewise."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2
    if isinstance(value, str):
        if len(value) == 64:
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        return value[:-1] + ("7" if value[-1:] != "7" else "8")
    if isinstance(value, dict):
        known = ("username", "frame_rate", "retention_days", "owner")
        return {name: otherwise(part) if name in known else part for name, part in value.items()}
    return value


MEMBERS = {
    "SessionCreated": ["session_id", "name", "rdp_config", "recording_config", "storage_config", "metadata"],
    "SessionUpdated": ["session_id", "name"], "SessionStarted": ["session_id", "status"],
    "PipelineStateChanged": ["session_id", "from", "to", "trigger"],
    "SessionStopped": ["session_id", "reason", "incomplete", "chunk_count", "size_bytes"],
    "SessionProcessing": ["session_id", "chunk_count"],
    "MerkleRootComputed": ["session_id", "root", "leaf_count"],
    "SessionCompleted": ["session_id", "merkle_root", "chunk_count", "size_bytes", "sealed_bytes",
                         "incomplete"],
}
CONTENT = ["chunk_id", "session_id", "sequence_number", "size_bytes", "content_digest", "key_id", "cipher",
           "codec"]
COMPRESSED = ["compressed_bytes", "compression_ratio", "processing_ms"]
SEALED = ["sealed_bytes", "merkle_hash"]
MEMBERS |= {
    "ChunkRecorded": [*CONTENT, "timestamp", "duration_seconds", "frame_count", "dropped_frames",
                      "spool_path"],
    "ChunkCompressed": [*CONTENT, *COMPRESSED], "ChunkSealed": [*CONTENT, *COMPRESSED, *SEALED],
    "ChunkValidated": [*CONTENT, *COMPRESSED, *SEALED],
    "ChunkStored": [*CONTENT, *COMPRESSED, *SEALED, "storage_path"],
}


def member(kind, name, value, number=None):
    def change(_, events):
        event = taking(events, kind, number)
        data = event.data
        if value is None:
            del data[name]
        else:
            data[name] = value(data[name]) if callable(value) else value
        event.data = data
        return events
    return change


VALID = {"timestamp": "2020-01-01T00:00:00.000Z", "reason": "recorder_lost"}


def members():
    for kind, names in MEMBERS.items():
        for name in names:
            value = VALID.get(name, otherwise)
            if name in FREE.get(kind, ()):
                yield anchored(f"member, free: {name} of {kind}", member(kind, name, value))
            else:
                yield refused(f"member: {name} of {kind}", member(kind, name, value))
            if (kind, name) == ("SessionCreated", "rdp_config"):
                # A file or a stream has none.
                yield anchored(f"member gone, free: {name} of {kind}", member(kind, name, None))
            elif (kind, name) != ("SessionUpdated", "name"):
                yield refused(f"member gone: {name} of {kind}", member(kind, name, None))
        yield refused(f"member: one more in {kind}", lambda t, events, k=kind: more(events, k))
    for kind, names in {"ChunkRecorded": ["content_digest"], "ChunkStored": ["content_digest", "merkle_hash"],
                        "MerkleRootComputed": ["root"], "SessionCompleted": ["merkle_root"]}.items():
        for name in names:
            for what, value in {"empty": "", "ABC": "ABC", "upper case": str.upper, "short": lambda v: v[:62],
                                "zeros": "0" * 64, "a number": 7}.items():
                yield refused(f"digest: {what} {name} of {kind}", member(kind, name, value))
    for kind, name in [("ChunkRecorded", "size_bytes"), ("ChunkStored", "sealed_bytes"),
                       ("ChunkStored", "compressed_bytes"), ("ChunkRecorded", "frame_count"),
                       ("ChunkStored", "processing_ms"), ("SessionCompleted", "size_bytes"),
                       ("ChunkStored", "sequence_number"), ("MerkleRootComputed", "leaf_count")]:
        for value in (-1, 2 ** 63 - 1, 2 ** 63, 1e308, "7"):
            yield refused(f"extreme: {value} as {name} of {kind}", member(kind, name, value))


def more(events, kind):
    event = taking(events, kind)
    event.data = {**event.data, "note": "x"}
    return events


# Several events that agree with each other


def agreed(number=2, **changed):
    def change(_, events):
        return recount(tell(events, number, **{
            name: value(events) if callable(value) else value for name, value in changed.items()}))
    return change


def without(target, events, *numbers, renumbered=True):
    """Nothing is told of some chunks; those behind them move up."""
    kept = [e for e in events if not (e.type.startswith("Chunk") and e.number() in numbers)]
    left = sorted({e.number() for e in kept if e.type == "ChunkRecorded"})
    if renumbered:
        for new, old in enumerate(left, 1):
            if new != old:
                move(kept, target.session, old, new)
    return renumber(recount(kept))


def agreements():
    other = {"merkle_hash": "ab" * 32, "content_digest": "cd" * 32, "key_id": f"key-{'0' * 32}"}
    for name, value in {**other, "cipher": "none", "codec": "lz4", "size_bytes": 2999, "sealed_bytes": 3000,
                        "compressed_bytes": 2000, "storage_path": "../x"}.items():
        yield refused(f"agreed: {name} of one chunk", agreed(**{name: value}))
    for what, value in {"empty": "", "ABC": "ABC", "the next chunk's": lambda events: taking(
            events, "ChunkRecorded", 3).data["content_digest"]}.items():
        yield refused(f"agreed: {what} content_digest", agreed(content_digest=value))
        yield refused(f"agreed: {what} content_digest, and no cipher", agreed(
            content_digest=value, cipher="none"))
    for what, value in {"empty": "", "ABC": "ABC", "the next chunk's": lambda events: taking(
            events, "ChunkStored", 3).data["merkle_hash"]}.items():
        yield refused(f"agreed: {what} merkle_hash, and a root of them", agreed(merkle_hash=value))
    for number in (1, 2, 3, 4):
        yield refused(f"agreed: nothing is told of chunk {number}", lambda t, e, n=number: without(t, e, n))
        yield refused(f"agreed: nothing is told of chunk {number}, a gap in its place",
                      lambda t, e, n=number: without(t, e, n, renumbered=False))
    yield refused("agreed: nothing is told of any chunk", lambda t, e: without(t, e, 1, 2, 3, 4))
    yield refused("agreed: two chunks trade their files", lambda t, e: recount(trade(
        e, ("merkle_hash", "sealed_bytes", "content_digest"), 2, 3)))
    yield refused("agreed: another session's chunk", lambda t, e: recount(tell(e, 2, **{
        name: taking(another(t).events, "ChunkStored", 2).data[name] for name in (
            "merkle_hash", "content_digest", "key_id", "sealed_bytes")})))
    yield refused("agreed: another session's whole history", lambda t, e: adopted(t, another(t)))


def trade(events, names, one, other):
    first, second = (taking(events, "ChunkStored", n).data for n in (one, other))
    tell(events, one, **{name: second[name] for name in names})
    return tell(events, other, **{name: first[name] for name in names})


def adopted(target, other):
    """Another session's events under this session's name."""
    events = [event.copy() for event in other.events]
    for event in events:
        for name, value in event.fields:
            event[name] = value.replace(other.session.encode(), target.session.encode())
    return events


def appended(kind, data, subject=None, name=None):
    """One more event at the end."""
    def change(target, events):
        event = events[-1].copy()
        facts = {"session_id": target.session, **data(target)}
        event["type"], event["subject"] = kind, subject(target) if subject else target.session
        event["id"] = name(target) if name else f"{target.session}/{kind}/late"
        event["dataschema"] = f"urn:reel:event:{kind}:1"
        event.data = facts
        events.append(event)
        return renumber(events)
    return change


def late():
    """Events that nobody had a reason for."""
    for number in (1, 4):
        facts = {"sequence_number": number}
        yield refused(f"forged: ChunkDeleted {number}", appended(
            "ChunkDeleted", lambda t, f=facts: {"chunk_id": t.chunk_id(f["sequence_number"]), **f},
            lambda t, f=facts: t.chunk_id(f["sequence_number"]),
            lambda t, f=facts: t.chunk_id(f["sequence_number"]) + "/ChunkDeleted"))
    for kind in ("ChunkStored", "ChunkRecorded", "ChunkSealed", "MerkleRootComputed", "SessionCompleted",
                 "SessionProcessing", "SessionStopped", "SessionCreated"):
        yield refused(f"forged: {kind} once more at the end", lambda t, events, k=kind: again(events, k))
    for kind, data in {"SessionPaused": {}, "SessionResumed": {}, "SessionFailed": {"reason": "x"},
                       "SessionStarted": {"status": "recording"}, "SessionStarted ": {"status": "starting"},
                       "PipelineStateChanged": {"from": "stopped", "to": "active", "trigger": "start"},
                       "KeyDestroyed": {}, "SessionNoted": {}}.items():
        yield refused(f"forged: {kind} {data} at the end", appended(kind.strip(), lambda t, d=data: d))
    yield refused("forged: SessionDeleted at the end", appended(
        "SessionDeleted", lambda t: {}, name=lambda t: f"{t.session}/SessionDeleted"))
    yield refused("forged: stored for a chunk that nobody recorded", lambda t, events: renumber(
        events + [unknown(t, events)]))


def again(events, kind):
    events.append(taking(events, kind).copy())
    return renumber(events)


def unknown(target, events):
    event = taking(events, "ChunkStored", 4).copy()
    move([event], target.session, 4, 5)
    return event


# What stands beside the stream


def lists():
    def command(*words):
        def apply(target):
            index, ids = (f"{target.stream.prefix}:{kind}:{target.session}" for kind in "si")
            places = [event.place for event in target.events]
            target.world.redis.many([[{"INDEX": index, "IDS": ids, "SECOND": places[1], "THIRD": places[2],
                                       "LAST": places[-1]}.get(word, word) for word in words]])
        return apply
    for name, words in {
            "its last place is gone": ("RPOP", "INDEX"), "its first place is gone": ("LPOP", "INDEX"),
            "a place in the middle is gone": ("LREM", "INDEX", 1, "THIRD"),
            "a place stands twice": ("LINSERT", "INDEX", "AFTER", "THIRD", "THIRD"),
            "a place is another's": ("LSET", "INDEX", 4, "LAST"),
            "a place is none": ("LSET", "INDEX", 4, "here"),
            "a place has no entry": ("LSET", "INDEX", 4, "5-5"),
            "it is gone": ("DEL", "INDEX"), "the ids are gone": ("DEL", "IDS"),
            "it begins later": ("HSET", "IDS", "b", "3"), "its beginning is no number": (
                "HSET", "IDS", "b", "x"), "it is text": ("SET", "INDEX", "spoiled"),
            "the ids are text": ("SET", "IDS", "spoiled"), "an id too many": ("HSET", "IDS", "x", "y"),
            "the ids do not say where it begins": ("HDEL", "IDS", "b")}.items():
        yield Forgery("R", f"list: {name}", command(*words), content="safe")


def forgeries(source):
    return [*wholes(), *envelopes(), *members(), *agreements(), *late(), *lists()]

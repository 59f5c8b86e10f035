"""Compares the log, the files, the read models and what clients were told. Reads nothing but `Evidence`."""

import collections
import dataclasses
import os
import pathlib
import re

from archive import Log, joined
from fold import differences, fold, holds_after, milliseconds_of
from formats import Sealed, cloud_event, content_digest, leaf_hash, merkle_root
from kit import partition

KINDS = ["ChunkRecorded", "ChunkCompressed", "ChunkSealed", "ChunkValidated", "ChunkStored"]
INDEXES = {
    "sessions": {
        "session_id_1", "status_1", "created_at_-1", "metadata.project_1", "metadata.environment_1",
        "metadata.tags_1"},
    "chunks": {
        "chunk_id_1", "session_id_1_sequence_number_1", "session_id_1_timestamp_1", "status_1",
        "merkle_hash_1", "created_at_-1"},
    "pipeline": {"session_id_1", "pipeline_status_1", "updated_at_-1"},
    "audit": {"audit_id_1", "time_-1_audit_id_-1"},
}
LIFE = ["SessionCreated", "SessionStopped", "SessionProcessing", "MerkleRootComputed", "SessionCompleted"]


@dataclasses.dataclass
class Told:
    """What one recorder's user knows: what went in, what was acknowledged, how it ended."""
    session: str
    fed: pathlib.Path
    acknowledged: dict
    status: int
    killed: bool
    said: list


@dataclasses.dataclass
class Inflicted:
    """What was done that decides what must, and what may be there."""
    # Ids of events that somebody took away and put back, or that were archived before an old Redis came.
    kept: set = dataclasses.field(default_factory=set)
    # Sessions with something in the way of their chunks: these may be given up, and are stored in the end.
    blocked: set = dataclasses.field(default_factory=set)
    # Names in the chunk store of what was put there to stay.
    left: set = dataclasses.field(default_factory=set)
    # What was seen to be wrong while it happened.
    noticed: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Evidence:
    """Everything that the checker may look at."""
    log: Log
    store: pathlib.Path
    spool: pathlib.Path
    documents: dict
    keys: dict
    told: list
    sent: list = dataclasses.field(default_factory=list)
    # Names of the indexes of each collection.
    indexes: dict = dataclasses.field(default_factory=dict)
    inflicted: Inflicted = dataclasses.field(default_factory=Inflicted)


class Findings:
    """What is wrong, by what it means to a user. `odd` is wrong without being any of the three."""

    def __init__(self):
        self.skipped, self.duplicated, self.lost, self.odd = [], [], [], []
        self.sessions = self.events = self.chunks = self.acknowledged = 0
        self.segments = self.archived = self.sent = self.retried = 0
        self.ends = collections.Counter()

    def sound(self):
        return not (self.skipped or self.duplicated or self.lost or self.odd)


def events_of(partitions):
    """Every event with its partition and, as `position`, its place in the log."""
    for number, entries in partitions.items():
        for entry, pairs in entries:
            event = cloud_event(pairs)
            event["position"] = f"p{number:03d}/{entry}"
            yield number, event


def histories(partitions, findings):
    """Events by session, in the order of the log; what is misplaced or stands twice is found here."""
    sessions, ids = collections.defaultdict(list), set()
    for number, event in events_of(partitions):
        findings.events += 1
        session = event["partitionkey"]
        if partition(session, len(partitions)) != number:
            findings.lost.append(f"{session}: event {event['id']} stands in partition {number}")
        if event["id"] in ids:
            findings.duplicated.append(f"{session}: event id {event['id']} stands twice")
        ids.add(event["id"])
        sessions[session].append(event)
    trail = {key: sessions.pop(key) for key in list(sessions) if key.startswith("audit/")}
    findings.sessions = len(sessions)
    return sessions, trail


def check_sequences(session, events, findings):
    numbers = [int(event["sequence"]) for event in events]
    counts = collections.Counter(numbers)
    for number, times in counts.items():
        if times > 1:
            findings.duplicated.append(f"{session}: sequence {number} stands {times} times")
    if gaps := set(range(1, max(numbers) + 1)) - set(numbers):
        findings.lost.append(f"{session}: no events of sequences {sorted(gaps)[:10]}")
    if numbers != sorted(numbers):
        findings.odd.append(f"{session}: sequences are not in order")


def check_life(session, events, findings, blocked=frozenset()):
    """One event of each kind for each chunk, and one of each step of the session's life."""
    status = fold(events)[0]["status"]
    counts = collections.Counter(
        (event["type"], event["data"].get("sequence_number")) for event in events
        if event["type"] in KINDS or event["type"] in LIFE or event["type"] == "ChunkFailed")
    numbers = [number for kind, number in counts if kind == "ChunkRecorded"]
    findings.chunks += len(numbers)
    for key, times in counts.items():
        failed = key[0] == "ChunkFailed"
        # Each failure of a chunk that is tried again is an event of its own.
        if times > 1 and not failed:
            findings.duplicated.append(f"{session}: {key} happened {times} times")
        findings.retried += failed and ("ChunkStored", key[1]) in counts
        if failed and (session not in blocked or ("ChunkStored", key[1]) not in counts):
            findings.lost.append(f"{session}: chunk {key[1]} was given up")
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        findings.lost.append(f"{session}: chunks are numbered {sorted(numbers)[:20]}")
    missing = [(kind, n) for n in numbers for kind in KINDS if (kind, n) not in counts]
    findings.skipped += [f"{session}: no {kind} of chunk {n}" for kind, n in missing]
    if status == "failed" and not numbers:
        return
    if status != "completed":
        findings.lost.append(f"{session}: ended as {status} with {len(numbers)} chunks")
    findings.skipped += [f"{session}: no {kind}" for kind in LIFE if (kind, None) not in counts]


def check_holds(session, events, findings):
    """Nothing is deleted, given up or cleaned up while a case holds it."""
    holds = []
    for event in events:
        kind, data = event["type"], event["data"]
        if kind.startswith("LegalHold"):
            holds = holds_after(holds, event)
        cleans = kind == "PipelineStateChanged" and data["trigger"] in ("cleanup", "cleanup_complete", "destroy")
        if holds and (kind in ("SessionDeleted", "ChunkDeleted") or cleans):
            findings.lost.append(f"{session}: {event['id']} while {holds[0]['case']} holds it")


def check_files(session, events, evidence, findings, told):
    """Every stored chunk is there, unchanged, and decrypts to what went in; answers the bytes recorded."""
    of = {kind: {} for kind in ("ChunkRecorded", "ChunkStored")}
    for event in events:
        if event["type"] in of:
            of[event["type"]][event["data"]["sequence_number"]] = event["data"]
    leaves, offset = [], 0
    with open(told.fed, "rb") if told else open("/dev/null", "rb") as fed:
        for number, fact in sorted(of["ChunkRecorded"].items()):
            stored = of["ChunkStored"].get(number)
            expected = fed.read(fact["size_bytes"])
            offset += fact["size_bytes"]
            if stored is None:
                continue
            problem, leaf = file_problem(session, fact, stored, evidence, expected if told else None)
            leaves.append(leaf)
            if problem:
                findings.lost.append(f"{session}: chunk {number}: {problem}")
    for event in events:
        if event["type"] == "MerkleRootComputed":
            data = event["data"]
            if data["leaf_count"] != len(leaves) or data["root"] != merkle_root(leaves).hex():
                findings.lost.append(f"{session}: the Merkle root is not that of its {len(leaves)} files")
    return offset


def file_problem(session, recorded, stored, evidence, expected):
    path = evidence.store / stored["storage_path"]
    if path.is_symlink() or path.parent.is_symlink() or path.exists() and not path.is_file():
        return "something else than a file stands in its place", b""
    try:
        content = path.read_bytes()
    except OSError as error:
        return str(error), b""
    leaf = leaf_hash(content)
    if leaf.hex() != stored["merkle_hash"]:
        return "the file is not the one in the log", leaf
    key = evidence.keys.get(session)
    if key is None:
        return "there is no key of the session", leaf
    try:
        original = Sealed(content).original(key)
    except Exception as error:  # whatever a damaged file does to a reader
        return f"{type(error).__name__}: {error}", leaf
    if content_digest(key, original) != recorded["content_digest"]:
        return "the content is not what was recorded", leaf
    if expected is not None and original != expected:
        return "the content is not what went in", leaf
    return None, leaf


def check_told(told, events, total, findings):
    """What a recorder said must hold, whatever happened afterwards."""
    name = told.session
    findings.acknowledged += len(told.acknowledged)
    sizes = {e["data"]["sequence_number"]: e["data"]["size_bytes"] for e in events
             if e["type"] == "ChunkRecorded"}
    for number, size in told.acknowledged.items():
        if sizes.get(number) != size:
            findings.lost.append(f"{name}: chunk {number} was acknowledged with {size} bytes, "
                                 f"the log says {sizes.get(number)}")
    end = "killed" if told.killed else f"ended with {told.status}"
    findings.ends[end] += 1
    if told.killed:
        return
    # Status 2 is for a stream without a byte.
    allowed = (0, 1, 3) if told.fed.stat().st_size else (0, 1, 2, 3)
    if told.status not in allowed:
        findings.odd.append(f"{name}: the recorder {end}: {told.said[-3:]}")
    if told.status == 0:
        fed = told.fed.stat().st_size
        if total != fed:
            findings.lost.append(f"{name}: the recorder said all is recorded: {total} bytes of {fed}")
        stopped = [e["data"] for e in events if e["type"] == "SessionStopped"]
        if any(fact["incomplete"] for fact in stopped):
            findings.odd.append(f"{name}: the recorder said all is recorded; the log says incomplete")


def check_sent(sent, total, findings):
    """What senders were told is recorded is given out, once and in order."""
    name = sent.session
    findings.sent += sent.acknowledged
    if total < sent.acknowledged:
        findings.lost.append(f"{name}: {sent.acknowledged} bytes were acknowledged, the log has {total}")
    source = sent.source.read_bytes()
    try:
        found = sent.export.read_bytes() if sent.export else b""
    except OSError as error:
        findings.lost.append(f"{name}: it is not given out: {error}")
        return
    if found == source[:total] and len(found) >= sent.acknowledged:
        return
    at = next((n for n, (a, b) in enumerate(zip(found, source)) if a != b), min(len(found), len(source)))
    where = f"{len(found)} bytes are given out for {total} in the log, {sent.acknowledged} acknowledged"
    # What comes once more pushes the rest behind; what is missing draws it near.
    # So long a part has one of the numbers that stand in the source, whole.
    rest = found[at:at + 1100]
    (findings.duplicated if len(found) > total or len(rest) == 1100 and rest in source[:at]
     else findings.lost).append(f"{name}: {where}; they differ from byte {at} on")


def check_documents(sessions, evidence, findings):
    """The read models are what an own fold of the log says: nothing behind, nothing twice."""
    seen = {kind: collections.defaultdict(list) for kind in ("sessions", "chunks", "pipeline")}
    for kind, by_id in seen.items():
        for document in evidence.documents[kind]:
            by_id[document["chunk_id" if kind == "chunks" else "session_id"]].append(document)
    expected = {kind: {} for kind in seen}
    for session, events in sessions.items():
        view, chunks, pipeline = fold(events)
        expected["sessions"][session] = view
        expected["pipeline"][session] = pipeline
        expected["chunks"].update(chunks)
    for kind, by_id in seen.items():
        for name in set(by_id) | set(expected[kind]):
            found, wanted = by_id.get(name, []), expected[kind].get(name)
            if len(found) > 1 or wanted is None:
                findings.duplicated.append(f"{kind} {name}: {len(found)} documents, the log has "
                                           f"{'one' if wanted else 'none'}")
            elif not found:
                findings.skipped.append(f"{kind} {name}: no document")
            else:
                compare(kind, name, found[0], wanted, findings)


def compare(kind, name, document, wanted, findings):
    if kind == "sessions":
        holds = document.get("reel", {}).get("holds", [])
        document = {**document, "holds": [h | {"set_at": milliseconds_of(h["set_at"])} for h in holds]}
        verified = document.get("reel", {}).get("verification")
        if verified:
            verified = verified | {"at": milliseconds_of(verified["at"])}
            document["reel"] = {**document["reel"], "verification": verified}
    if kind == "pipeline":
        items = {s["stage_name"]: s["metrics"]["items_processed"] for s in document["stages"]}
        document = {**document, "items": items}
    for field, found, value in differences(document, wanted):
        text = f"{kind} {name}: {field} is {found!r}, the log says {value!r}"
        numbers = isinstance(found, (int, float)) and isinstance(value, (int, float))
        # A count above the log's is an event that was applied twice.
        (findings.duplicated if numbers and found > value else findings.skipped).append(text)


# What a record says is shown as it stands in the log; empty and absent are the same.
RECORD_FIELDS = ("action", "session_id", "outcome", "reason", "changed", "session_sequence", "range", "case")


def check_trail(trail, evidence, findings):
    """Records of who did what: without gaps in each history, and each shown once, as the log has it."""
    shown = collections.defaultdict(list)
    for document in evidence.documents["audit"]:
        shown[document["audit_id"]].append(document)
    records = {}
    for key, events in trail.items():
        check_sequences(key, events, findings)
        records.update({event["id"]: event for event in events})
    for name in set(shown) | set(records):
        found, event = shown.get(name, []), records.get(name)
        if event is None:
            findings.lost.append(f"audit {name}: the log has no event of what is shown")
        elif len(found) > 1:
            findings.duplicated.append(f"audit {name}: {len(found)} documents")
        elif not found:
            findings.skipped.append(f"audit {name}: no document")
        elif any((found[0].get(field) or None) != event["data"].get(field) for field in RECORD_FIELDS):
            findings.skipped.append(f"audit {name}: the document is another than the log's event")


def check_indexes(evidence, findings):
    """Every collection has the indexes of the design, also after somebody has dropped it."""
    for name, expected in INDEXES.items():
        missing = expected - set(evidence.indexes[name])
        findings.odd += [f"collection {name}: it has no index {index}" for index in sorted(missing)]


def check_rest(sessions, evidence, findings):
    """No file that the log doesn't know, and nothing unfinished."""
    known = {e["data"]["storage_path"] for events in sessions.values() for e in events
             if e["type"] == "ChunkStored"}
    left = evidence.inflicted.left
    for path in sorted(evidence.store.rglob("*")):
        name = str(path.relative_to(evidence.store))
        is_ours = any(one == name or name.startswith(one + "/") for one in left)
        is_folder = path.is_dir() and not path.is_symlink() and "/" not in name
        if is_ours or is_folder or name in known:
            continue
        if path.is_symlink() or not path.is_file():
            findings.odd.append(f"file {name}: is no file, and nobody has left it there")
        elif re.fullmatch(r"[\w-]+/\d{8}\.reel", name):
            findings.duplicated.append(f"file {name}: the log doesn't know it")
        else:
            findings.odd.append(f"file {name}: was left in the chunk store")
    for name in sorted(left):
        if not os.path.lexists(evidence.store / name):
            findings.odd.append(f"file {name}: is nobody's, and was taken away")
    rest = [path for path in evidence.spool.rglob("*") if path.is_file()]
    findings.odd += [f"file {path.relative_to(evidence.spool)}: was left in the spool" for path in rest]


def check_kept(partitions, evidence, findings):
    """Events that were taken away and came back."""
    gone = evidence.inflicted.kept - {event["id"] for _, event in events_of(partitions)}
    findings.lost += [f"event {name}: is not in the log any more" for name in sorted(gone)]


def check(evidence):
    """Everything; the findings hold the counts as well."""
    findings = Findings()
    findings.odd += evidence.inflicted.noticed
    partitions = joined(evidence.log, findings)
    sessions, trail = histories(partitions, findings)
    check_kept(partitions, evidence, findings)
    told = {one.session: one for one in evidence.told}
    sent = {one.session: one for one in evidence.sent}
    for session, events in sessions.items():
        check_sequences(session, events, findings)
        check_life(session, events, findings, evidence.inflicted.blocked)
        check_holds(session, events, findings)
        total = check_files(session, events, evidence, findings, told.get(session))
        if session in told:
            check_told(told[session], events, total, findings)
        if session in sent:
            check_sent(sent[session], total, findings)
    for session in set(told) - set(sessions):
        check_told(told[session], [], 0, findings)
    for session in set(sent) - set(sessions):
        check_sent(sent[session], 0, findings)
    check_documents(sessions, evidence, findings)
    check_trail(trail, evidence, findings)
    check_indexes(evidence, findings)
    check_rest(sessions, evidence, findings)
    return findings

"""The main fields of the read models, folded from a session's raw events: an opinion of our own."""

import datetime

CHUNK_STATUS = {
    "ChunkRecorded": "recorded", "ChunkCompressed": "compressed", "ChunkSealed": "encrypted",
    "ChunkValidated": "encrypted", "ChunkStored": "stored", "ChunkFailed": "failed",
    "ChunkDeleted": "deleted",
}
SESSION_STATUS = {
    "SessionCreated": "created", "SessionPaused": "paused", "SessionResumed": "recording",
    "SessionStopped": "stopped", "SessionProcessing": "processing", "SessionCompleted": "completed",
    "SessionFailed": "failed", "SessionDeleted": "deleted",
}
PIPELINE_STATUS = {
    "created": "inactive", "starting": "inactive", "active": "active", "pausing": "paused",
    "paused": "paused", "error": "error",
}
STAGE_OF = {
    "ChunkCompressed": "compress", "ChunkSealed": "encrypt", "ChunkValidated": "validate",
    "ChunkStored": "store",
}


def milliseconds(text):
    """A time of the log in whole milliseconds."""
    return milliseconds_of(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")))


def milliseconds_of(moment):
    """A moment in whole milliseconds; without a zone it is UTC, as the database's driver gives it."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


class Clock:
    """Recorded time: it runs between start and rest, and never steps back."""

    def __init__(self):
        self.finished = 0
        self.since = self.until = None

    def take(self, event):
        now = milliseconds(event["time"])
        kind = event["type"]
        if kind == "SessionResumed" or kind == "SessionStarted" and event["data"]["status"] == "recording":
            if self.since is None:
                self.since = self.until = now
        elif kind in SESSION_STATUS and kind != "SessionCreated" or kind == "SessionStarted":
            self._advance(now)
            self.finished = self.total()
            self.since = self.until = None
        self._advance(now)

    def _advance(self, now):
        if self.until is not None:
            self.until = max(self.until, now)

    def total(self):
        return self.finished + (max(0, self.until - self.since) if self.since is not None else 0)


def holds_after(holds, event):
    """The cases that hold a session after an event that sets or lifts one, in the order of their setting."""
    case = event["data"]["case"]
    if event["type"] == "LegalHoldLifted":
        return [hold for hold in holds if hold["case"] != case]
    if any(hold["case"] == case for hold in holds):
        return holds
    return holds + [{
        "case": case, "reason": event["data"]["reason"], "set_by": event["authid"],
        "set_at": milliseconds(event["time"])}]


def fold(events):
    """Session, chunks by id, and pipeline of one history; every event carries its `position`."""
    session, chunks, clock = {"status": None, "holds": []}, {}, Clock()
    pipeline = {"pipeline_status": "inactive"}
    items = dict.fromkeys(STAGE_OF.values(), 0)
    recorded = recorded_bytes = errors = original = payload = 0
    for event in events:
        kind, data = event["type"], event["data"]
        stamp = {"version": int(event["sequence"]), "log_position": event["position"]}
        clock.take(event)
        if kind == "SessionCreated":
            session.update(session_id=data["session_id"], name=data["name"])
        session["status"] = data["status"] if kind == "SessionStarted" else SESSION_STATUS.get(
            kind, session["status"])
        if kind.startswith("LegalHold"):
            session["holds"] = holds_after(session["holds"], event)
        errors += kind in ("SessionFailed", "ChunkFailed")
        if kind == "PipelineStateChanged":
            pipeline["pipeline_status"] = PIPELINE_STATUS.get(data["to"], "stopped")
        if kind in STAGE_OF:
            items[STAGE_OF[kind]] += 1
        if kind in CHUNK_STATUS:
            chunk = chunks.setdefault(data["chunk_id"], {
                "chunk_id": data["chunk_id"], "sequence_number": data["sequence_number"]})
            chunk.update(stamp, status=CHUNK_STATUS[kind])
            if kind == "ChunkRecorded":
                chunk["size_bytes"] = data["size_bytes"]
                recorded += 1
                recorded_bytes += data["size_bytes"]
            if kind == "ChunkStored":
                chunk.update(merkle_hash=data["merkle_hash"], storage_path=data["storage_path"])
                original += data["size_bytes"]
                payload += data["compressed_bytes"]
        session.update(stamp)
        pipeline.update(stamp)
    session["statistics"] = {
        "duration_seconds": clock.total() // 1000, "chunks_count": recorded, "size_bytes": recorded_bytes,
        "error_count": errors, "compression_ratio": min(1, payload / original) if original else 0}
    pipeline["items"] = items
    return session, chunks, pipeline


def differences(found, expected, place=""):
    """Fields of `expected` that `found` has otherwise: name, found, expected."""
    result = []
    for name, value in expected.items():
        other = (found or {}).get(name)
        if isinstance(value, dict):
            result += differences(other, value, f"{place}{name}.")
        elif isinstance(value, float) and isinstance(other, (int, float)):
            if abs(value - other) > 1e-9:
                result.append((place + name, other, value))
        elif other != value:
            result.append((place + name, other, value))
    return result

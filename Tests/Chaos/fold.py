"""The main fields of the read models, folded from a session's raw events: an opinion of our own."""

import datetime
import math

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
    """The time of what was recorded, by what is said of the chunks (ops/decisions/media-time.md)."""

    def __init__(self):
        self.covered = 0
        self.open = None
        self.film = None
        self.is_file = False

    def take(self, event):
        kind, data = event["type"], event["data"]
        if kind == "SessionCreated":
            self.is_file, self.film = data["capture"]["source"] == "file", data.get("media")
        elif kind in ("SessionPaused", "SessionStopped", "SessionFailed", "SessionDeleted"):
            self.open = None
        elif kind == "ChunkRecorded" and not self.is_file:
            start = milliseconds(data["timestamp"])
            if self.open is not None:
                self.covered += max(0, start - self.open)
            length = math.floor(data["duration_seconds"] * 1000 + 0.5)
            self.covered += length
            self.open = None if length else start

    def share(self, recorded_bytes):
        return min(1, recorded_bytes / self.film["size_bytes"])

    def total(self, recorded_bytes):
        """Milliseconds that the chunks cover; of a film, so much of its length as is recorded of it."""
        if not self.is_file:
            return self.covered
        seconds = (self.film or {}).get("duration_seconds")
        return 0 if seconds is None else math.floor(seconds * 1000 * self.share(recorded_bytes) + 0.5)

    def frames(self, told, recorded_bytes):
        """What the chunks' sources have told; of a film that of which nobody told any, its own."""
        own = (self.film or {}).get("frame_count") if self.is_file else None
        return told if told or own is None else math.floor(own * self.share(recorded_bytes) + 0.5)

    def rate(self, frames, told, recorded_bytes):
        own = (self.film or {}).get("frame_rate") if self.is_file else None
        if own is not None and not told and recorded_bytes:
            return float(own)
        total = self.total(recorded_bytes)
        return frames * 1000 / total if total else 0.0


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
    recorded = recorded_bytes = errors = original = payload = frames = dropped = 0
    for event in events:
        kind, data = event["type"], event["data"]
        stamp = {"version": int(event["sequence"]), "log_position": event["position"]}
        clock.take(event)
        if kind == "SessionCreated":
            session.update(
                session_id=data["session_id"], name=data["name"], rdp_config=data.get("rdp_config"),
                reel={"media": data.get("media"), "verification": None})
        session["status"] = data["status"] if kind == "SessionStarted" else SESSION_STATUS.get(
            kind, session["status"])
        if kind.startswith("LegalHold"):
            session["holds"] = holds_after(session["holds"], event)
        if kind == "SessionVerified":
            session["reel"]["verification"] = {
                "outcome": data["outcome"], "at": milliseconds(event["time"]), "by": event["authid"],
                "findings": data["findings"][:5], "findings_count": data["findings_count"]}
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
                frames += data["frame_count"]
                dropped += data.get("dropped_frames", 0)
            if kind == "ChunkStored":
                chunk.update(merkle_hash=data["merkle_hash"], storage_path=data["storage_path"])
                original += data["size_bytes"]
                payload += data["compressed_bytes"]
        session.update(stamp)
        pipeline.update(stamp)
    shown = clock.frames(frames, recorded_bytes)
    session["statistics"] = {
        "duration_seconds": clock.total(recorded_bytes) // 1000, "chunks_count": recorded,
        "size_bytes": recorded_bytes, "frame_count": shown, "dropped_frames": dropped,
        "average_fps": clock.rate(shown, frames, recorded_bytes), "error_count": errors,
        "compression_ratio": min(1, payload / original) if original else 0}
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

"""The read models, as a dashboard sees them: fields, types and indexes of seed 000, by pymongo."""

import datetime
import json

import jsonschema
import pymongo

from kit import SCHEMAS, eventually, partition

STAMPS = {"version": int, "log_position": str}
# Optional fields may be null or absent; they stand with a question mark.
SESSION = {
    "session_id": str, "name": str, "status": str, "created_at": datetime.datetime,
    "started_at?": datetime.datetime, "stopped_at?": datetime.datetime,
    "rdp_config?": {
        "host": str, "port?": int, "username?": str, "domain?": str, "use_tls?": bool, "ignore_cert?": bool},
    "recording_config": {
        "frame_rate?": int, "resolution?": str, "quality?": str, "compression": str, "bitrate?": int,
        "audio_enabled?": bool, "cursor_enabled?": bool},
    "storage_config": {
        "retention_days": int, "max_size_gb": int, "encryption_enabled": bool,
        "compression_enabled": bool, "backup_enabled": bool, "archive_enabled": bool},
    "metadata": {
        "project?": str, "environment?": str, "tags": list, "description?": str, "owner?": str,
        "priority?": str},
    "statistics": {
        "duration_seconds": int, "chunks_count": int, "size_bytes": int, "frame_count": int,
        "dropped_frames": int, "error_count": int, "average_fps": float, "compression_ratio": float},
    "updated_at": datetime.datetime, **STAMPS,
    "reel": {
        "holds": [{"case": str, "reason": str, "set_by": str, "set_at": datetime.datetime}],
        "media?": {
            "container": str, "size_bytes": int, "duration_seconds?": float, "width?": int, "height?": int,
            "frame_rate?": float, "frame_count?": int, "audio": bool},
        "verification?": {
            "outcome": str, "at": datetime.datetime, "by": str, "findings": [str], "findings_count": int}},
}
CHUNK = {
    "chunk_id": str, "session_id": str, "sequence_number": int, "timestamp": datetime.datetime,
    "status": str, "size_bytes": int, "duration_seconds": float, "frame_count": int, "merkle_hash?": str,
    "storage_path?": str, "compression_ratio?": float, "quality_score?": float, "encryption_key_id?": str,
    "created_at": datetime.datetime, "processed_at?": datetime.datetime,
    "updated_at": datetime.datetime, **STAMPS,
}
METRICS = {"memory_usage_bytes": int, "cpu_usage_percent": float}
PIPELINE = {
    "session_id": str, "pipeline_status": str,
    "stages": [{
        "stage_name": str, "status": str, "last_processed?": datetime.datetime,
        "metrics": {
            "items_processed": int, "errors_count": int, "processing_time_ms": float,
            "throughput_per_second": float, **METRICS},
        "error_message?": str, "retry_count": int, "max_retries": int}],
    "overall_metrics": {
        "total_processing_time_ms": float, "throughput_fps": float, "error_rate": float, **METRICS},
    "created_at": datetime.datetime, "updated_at": datetime.datetime, **STAMPS,
}
INDEXES = {
    "sessions": [
        ({"session_id": 1}, True), ({"status": 1}, False), ({"created_at": -1}, False),
        ({"metadata.project": 1}, False), ({"metadata.environment": 1}, False),
        ({"metadata.tags": 1}, False)],
    "chunks": [
        ({"chunk_id": 1}, True), ({"session_id": 1, "sequence_number": 1}, False),
        ({"session_id": 1, "timestamp": 1}, False), ({"status": 1}, False), ({"merkle_hash": 1}, False),
        ({"created_at": -1}, False)],
    "pipeline": [
        ({"session_id": 1}, True), ({"pipeline_status": 1}, False), ({"updated_at": -1}, False)],
}


def type_problems(value, shape, place=""):
    """Where a document differs from its shape; booleans are no integers."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{place} is no array"]
        return [p for item in value for p in type_problems(item, shape[0], place + "[]")]
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{place} is no document"]
        names = {name.rstrip("?") for name in shape}
        found = [f"{place}.{name} is unknown" for name in value if name not in names and name != "_id"]
        for name, inner in shape.items():
            plain = name.rstrip("?")
            if plain in value and (value[plain] is not None or plain == name):
                found += type_problems(value[plain], inner, f"{place}.{plain}")
            elif plain == name:
                found.append(f"{place}.{name} is missing")
        return found
    fits = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return [] if fits else [f"{place} is {type(value).__name__}, not {shape.__name__}"]


def as_json(value):
    """A document as the schemas see it: dates as RFC 3339 text."""
    if isinstance(value, dict):
        return {name: as_json(inner) for name, inner in value.items() if name != "_id"}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds") + "Z"
    return value


def validator(kind):
    """The published schema of a read model."""
    names = {"sessions": ["session", "sessions"], "chunks": ["chunk", "chunks"], "pipeline": ["pipeline"]}
    for name in names[kind]:
        path = SCHEMAS / "read-models" / f"{name}.json"
        if path.exists():
            schema = json.loads(path.read_text())
            jsonschema.Draft202012Validator.check_schema(schema)
            return jsonschema.Draft202012Validator(
                schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    raise FileNotFoundError(f"no schema of {kind} in schemas/read-models")


def check_indexes(checks, database):
    for name, expected in INDEXES.items():
        found = [
            (dict(index["key"]), bool(index.get("unique"))) for index in database[name].list_indexes()]
        missing = [index for index in expected if (index[0], index[1]) not in found]
        checks.check(f"indexes of {name}", not missing, f"missing {missing}")


def check_session(checks, database, redis, recording, session, data, events):
    name = recording.name
    last = len(redis.stream(session))
    document = eventually(
        lambda: next((d for d in database.sessions.find({"session_id": session, "version": last})), None), 15)
    if not checks.check(f"{name}: the read model is at the log's last event", document, f"event {last}"):
        return
    problems = type_problems(document, SESSION) + [
        error.message for error in validator("sessions").iter_errors(as_json(document))]
    checks.check(f"{name}: session document", not problems, problems[:4])
    entry = redis.stream(session)[-1][0]
    place = f"p{partition(session, redis.partitions()):03d}/{entry}"
    checks.equal(f"{name}: log_position of the session", document["log_position"], place)
    created = next(e["data"] for e in events if e["type"] == "SessionCreated")
    said = {part: {field: value for field, value in (document[part] or {}).items() if value is not None}
            for part in ("rdp_config", "recording_config", "storage_config", "metadata")}
    same = all(said[part] == created.get(part, {}) for part in said)
    checks.check(
        f"{name}: the session document says what the event says",
        same and document["name"] == created["name"] and document["status"] == "completed", said)
    chunks = list(database.chunks.find({"session_id": session}).sort("sequence_number", 1))
    problems = [p for chunk in chunks for p in type_problems(chunk, CHUNK)] + [
        error.message for chunk in chunks for error in validator("chunks").iter_errors(as_json(chunk))]
    checks.check(f"{name}: chunk documents", not problems and chunks, problems[:4])
    stored = [e["data"] for e in events if e["type"] == "ChunkStored"]
    facts = sorted(
        (s["sequence_number"], s["chunk_id"], s["merkle_hash"], s["storage_path"], s["size_bytes"],
         s["compression_ratio"]) for s in stored)
    found = [
        (c["sequence_number"], c["chunk_id"], c["merkle_hash"], c["storage_path"], c["size_bytes"],
         c["compression_ratio"]) for c in chunks]
    checks.check(
        f"{name}: chunk documents say what the events say",
        facts == found and all(c["status"] == "stored" for c in chunks), f"{found[:2]} {facts[:2]}")
    totals = document["statistics"]
    checks.check(
        f"{name}: statistics", totals["chunks_count"] == len(stored) and totals["size_bytes"] == len(data),
        totals)
    pipeline = database.pipeline.find_one({"session_id": session})
    problems = ["missing"] if not pipeline else type_problems(pipeline, PIPELINE) + [
        error.message for error in validator("pipeline").iter_errors(as_json(pipeline))]
    checks.check(
        f"{name}: pipeline document", not problems and pipeline["pipeline_status"] == "stopped",
        problems[:4] or pipeline)


def check(checks, system, kept):
    """Every recorded session's documents, and what holds for all."""
    client = pymongo.MongoClient(system.endpoints["mongodb_url"], serverSelectionTimeoutMS=10_000)
    vault = pymongo.MongoClient(system.endpoints["mongodb_vault_url"], serverSelectionTimeoutMS=10_000)
    redis, database = system.redis(), client["reel"]
    for recording, session, data, events, _ in kept:
        with checks.section(f"{recording.name}: read model"):
            check_session(checks, database, redis, recording, session, data, events)
    check_indexes(checks, database)
    keys = list(vault["reel_vault"]["keys"].find())
    vault.close()
    everything = {
        "sessions": database.sessions.find(), "pipeline": database.pipeline.find(), "reel_vault.keys": keys}
    for name, documents in everything.items():
        found = sorted(document["session_id"] for document in documents)
        checks.equal(f"one document a session of the log in {name}", found, sorted(redis.sessions()))
    text = repr(keys).encode() + b"".join(
        repr(document).encode() for name in database.list_collection_names()
        for document in database[name].find())
    bare = [
        r.name for r, *_, key in kept
        if repr(key)[2:-1].encode() in text or key.hex().encode() in text]
    checks.check("no data key stands unwrapped in MongoDB", not bare, bare)
    client.close()

"""Histories that nobody but an attacker would write: entries as the log's format has them, indexed, with
numbers beyond all reason."""

import copy
import hashlib
import http.client
import json
import pathlib
import urllib.parse

from kit import partition

FIELDS = (
    "id", "type", "source", "specversion", "subject", "time", "dataschema", "datacontenttype",
    "partitionkey", "sequence", "authtype", "authid", "traceparent", "correlationid", "causationid", "data")
TIME = "2026-11-21T10:00:00.000Z"
DIGEST = "0" * 64


class API:
    """A system's API, as its administrator."""

    def __init__(self, system):
        parts = urllib.parse.urlsplit(system.endpoints["api_url"])
        self.place = (parts.hostname, parts.port)
        self.token = pathlib.Path(system.endpoints["admin_token_file"]).read_text().strip()

    def ask(self, method, path, body=None):
        """Status and what was answered: JSON where it is any, else bytes."""
        connection = http.client.HTTPConnection(*self.place, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}"}
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        elif body is not None:
            headers["Content-Type"] = "application/octet-stream"
        connection.request(method, "/api/v1" + path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        try:
            return answer.status, json.loads(content)
        except ValueError:
            return answer.status, content


class Raw:
    """JSON text that `json` would not write."""

    def __init__(self, text):
        self.text = text


def extremes(schema):
    """What may stand where a number of this schema belongs: JSON text."""
    bounds = [int(schema["maximum"]) + 1] if "maximum" in schema else []
    bounds += [int(schema["minimum"]) - 1]
    return [Raw(text) for text in (
        "9223372036854775807", "-9223372036854775808", "1e308", "1e-320", "9" * 400, *map(str, bounds))]


def numbers(schema, place=()):
    """The paths of all numbers that a schema describes, and their schemas."""
    for name, part in schema.get("properties", {}).items():
        if part.get("type") in ("integer", "number"):
            yield (*place, name), part
        elif part.get("type") == "object":
            yield from numbers(part, (*place, name))


def text_of(data):
    """JSON text of data that may hold `Raw`."""
    raw = []

    def marked(node):
        if isinstance(node, Raw):
            raw.append(node.text)
            return f"raw {len(raw) - 1} raw"
        if isinstance(node, dict):
            return {k: marked(v) for k, v in node.items()}
        return [marked(v) for v in node] if isinstance(node, list) else node
    text = json.dumps(marked(data), ensure_ascii=False, separators=(",", ":"))
    for place, value in enumerate(raw):
        text = text.replace(f'"raw {place} raw"', value)
    return text


CREATED = {
    "name": "forged", "rdp_config": {
        "host": "h", "port": 3389, "username": "u", "use_tls": True, "ignore_cert": False},
    "recording_config": {
        "frame_rate": 30, "resolution": "1920x1080", "quality": "high", "compression": "zstd",
        "audio_enabled": True, "cursor_enabled": True},
    "storage_config": {
        "retention_days": 365, "max_size_gb": 1000, "encryption_enabled": True, "compression_enabled": True,
        "backup_enabled": False, "archive_enabled": False},
    "metadata": {"tags": []}, "capture": {"source": "stream", "chunk_size_bytes": 104857600}}


class Forger:
    """Writes into a log's streams and indexes, many entries at once."""

    def __init__(self, redis):
        self.redis = redis
        self.partitions = redis.partitions()
        self.sequences = {}

    def flush(self):
        """Everything is written when this returns: each call waits for its answer."""

    def add(self, session, kind, version, data):
        key = f"reel:{{p{partition(session, self.partitions):03d}}}"
        sequence = self.sequences[session] = self.sequences.get(session, 0) + 1
        identity = f"{session}/{kind}/{sequence}"
        values = {
            "id": identity, "type": kind, "source": "/forger", "specversion": "1.0",
            "subject": data.get("chunk_id", session), "time": TIME,
            "dataschema": f"urn:reel:event:{kind}:{version}", "datacontenttype": "application/json",
            "partitionkey": session, "sequence": f"{sequence:012d}", "data": text_of(data)}
        flat = [part for name in FIELDS for part in (name, values.get(name, ""))]
        entry = self.redis("XADD", f"{key}:log", "*", *flat)
        self.redis("RPUSH", f"{key}:s:{session}", entry)
        value = sequence.to_bytes(5, "big") + b"forged!!"
        digest = hashlib.sha256(identity.encode()).digest()[:16]
        self.redis("HSET", f"{key}:i:{session}", "b", "0", digest, value)

    def begin(self, session, **changes):
        self.add(session, "SessionCreated", 1, {"session_id": session, **CREATED, **changes})
        self.add(session, "SessionStarted", 1, {"session_id": session, "status": "starting"})
        self.add(session, "SessionStarted", 1, {"session_id": session, "status": "recording"})

    def chunk(self, session, number):
        """A chunk of which everything is as large as it may lawfully be, recorded and stored."""
        known = {
            "chunk_id": f"{session}-chunk-{number:06d}", "session_id": session, "sequence_number": number,
            "size_bytes": 104857600, "content_digest": DIGEST, "key_id": "key-forged",
            "cipher": "xchacha20poly1305", "codec": "zstd"}
        self.add(session, "ChunkRecorded", 2, {
            **known, "timestamp": TIME, "duration_seconds": Raw("1.7976931348623157e308"),
            "frame_count": 2**31 - 1, "dropped_frames": 2**31 - 1, "quality_score": 100,
            "spool_path": f"{session}/{number:08d}.raw"})
        self.add(session, "ChunkStored", 1, {
            **known, "compressed_bytes": 104857600, "compression_ratio": 1, "sealed_bytes": 104861748,
            "merkle_hash": DIGEST, "processing_ms": 31536000000,
            "storage_path": f"{session}/{number:08d}.reel"})

    def session(self, session, kind, version, data, path, value):
        """A history in which one number of one event is another; False where the event has no such number."""
        data = copy.deepcopy(data)
        node = data
        for name in path[:-1]:
            node = node.get(name, {})
        if path[-1] not in node:
            return False
        node[path[-1]] = value
        if "session_id" in data:
            data["session_id"] = session
        if "chunk_id" in data:
            data["chunk_id"] = f"{session}-chunk-000001"[:100]
        if kind == "SessionCreated":
            self.add(session, kind, version, data)
        else:
            self.begin(session)
            self.add(session, kind, version, data)
        self.add(session, "SessionFailed", 1, {"session_id": session, "error": "forged"})
        return True

"""When a fleet has nothing left to do, by its log and its read models."""

import collections
import time

import pymongo

from archive import joined, read_log
from checker import Findings, events_of
from fold import fold


def whole_log(fleet):
    """Every entry of every partition, from archive and stream; what is wrong with them is said later."""
    return joined(read_log(fleet.redis(), fleet.archive), Findings())


def by_session(partitions):
    """The events of each session, and the ids of the records of who did what."""
    sessions, trail = collections.defaultdict(list), set()
    for _, event in events_of(partitions):
        if event["partitionkey"].startswith("audit/"):
            trail.add(event["id"])
        else:
            sessions[event["partitionkey"]].append(event)
    return sessions, trail


def is_settled(fleet):
    """Whether every session has ended and the read models, the audit trail's too, are at the log's end."""
    sessions, trail = by_session(whole_log(fleet))
    versions, expected = {}, {}
    for events in sessions.values():
        session, chunks, _ = fold(events)
        if session["status"] not in ("completed", "failed"):
            return False
        versions[session["session_id"]] = session["version"]
        expected |= {chunk["chunk_id"]: chunk["version"] for chunk in chunks.values()}
    client = pymongo.MongoClient(fleet.urls[1], serverSelectionTimeoutMS=5000)
    try:
        found = {d["session_id"]: d["version"] for d in client["reel"].sessions.find()}
        pipelines = {d["session_id"]: d["version"] for d in client["reel"].pipeline.find()}
        chunks = {d["chunk_id"]: d["version"] for d in client["reel"].chunks.find()}
        shown = {d["audit_id"] for d in client["reel"].audit.find({}, ["audit_id"])}
        # What somebody has dropped is built again, and put in place as a whole.
        marker = client["reel"].checkpoints.find_one("read-models") or {}
    finally:
        client.close()
    whole = not marker.get("lost") and not marker.get("swap")
    return whole and found == pipelines == versions and chunks == expected and shown == trail


def settle(fleet, seconds):
    """Waits until nothing is left to do; whether that came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        fleet.keep_running()
        try:
            if is_settled(fleet):
                return True
            fleet.retry_parked()
        except (OSError, RuntimeError, pymongo.errors.PyMongoError):
            pass  # still starting
        time.sleep(1)
    return False

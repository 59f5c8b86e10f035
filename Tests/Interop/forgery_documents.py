"""M: everything that whoever can write MongoDB can do to the documents of sessions and of keys.

The documents of sessions are made from the log: they can be spoiled, and must open nothing to anybody. Those
of keys are needed to open a session: without the right one nothing is given out.
"""

import datetime

import bson

from forgery_checks import ACCEPT, REFUSE, Forgery


def documents(target, base, name):
    return target.world.mongo[base][name]


def setting(name, path, value, base="reel", **which):
    """Another value of a field, in the session's documents that match."""
    def apply(target):
        query = {"session_id": target.session, **which}
        found = value(target) if callable(value) else value
        documents(target, base, name).update_many(query, {"$set": {path: found}})
    return apply


def without(name, base="reel", **which):
    def apply(target):
        documents(target, base, name).delete_many({"session_id": target.session, **which})
    return apply


def other(target):
    return next(t for t in target.world.targets if t is not target and t.encrypted == target.encrypted)


def spoiled(name, apply, **more):
    """Nothing but views is spoiled: the log and the files say what they said."""
    return Forgery("M", name, apply, ACCEPT, "safe", **more)


SESSIONS = {
    "status": ["recording", "deleted", "created", "", 7], "session_id": ["sess-other"],
    "name": ["x", 7], "version": [1, 10 ** 9, -1, "x", 2 ** 62], "log_position": ["0-0", "x", 7],
    "storage_config.encryption_enabled": [False], "metadata.project": ["mallory"],
    "metadata.owner": ["mallory"], "metadata": [{}, 7], "statistics": [None, 7], "created_at": ["x"],
    "chunk_count": [1, -1], "total_size_bytes": [1, -1], "merkle_root": ["0" * 64, 7], "reel": [{}, 7],
    "reel.holds": [[{"case": "x"}]], "metadata.tags": [["legal-hold"], 7],
}
CHUNKS = {
    "storage_path": [lambda t: f"{other(t).session}/00000002.reel", "../keys/x", "/etc/passwd", "", 7,
                     lambda t: f"{t.session}/00000003.reel"],
    "sequence_number": [1, 3, 0, -1, 2 ** 40], "size_bytes": [1, 0, -1, 2 ** 62], "status": ["failed", "", 7],
    "chunk_id": ["x", lambda t: t.chunk_id(9)], "session_id": [lambda t: other(t).session],
    "checksum": ["", "0" * 64, 7], "merkle_hash": ["", "ABC", "0" * 64], "content_digest": ["", "0" * 64],
    "encryption_key_id": ["", f"key-{'0' * 32}", lambda t: other_key(t)], "compression_ratio": [0, 1e308, -1],
    "compressed_size_bytes": [1, -1], "sealed_bytes": [1, 0, 2 ** 62], "codec": ["none", "lz4"],
    "cipher": ["none"], "version": [1, 10 ** 9, -1], "log_position": ["x"],
}


def other_key(target):
    found = documents(target, "reel_vault", "keys").find_one({"session_id": other(target).session})
    return found["key_id"]


def views():
    for path, values in SESSIONS.items():
        for place, value in enumerate(values):
            apply = setting("sessions", path, value)
            yield spoiled(f"session: {path}, value {place + 1}", apply, stranger=True)
    for path, values in CHUNKS.items():
        for place, value in enumerate(values):
            yield spoiled(f"chunk: {path}, value {place + 1}", chunk(path, value), stranger=place == 0)
    for name in ("sessions", "chunks", "pipeline"):
        yield spoiled(f"gone: all of {name}", without(name), stranger=True)
    yield spoiled("gone: chunk 2", lambda t: documents(t, "reel", "chunks").delete_many(
        {"chunk_id": t.chunk_id(2)}))
    yield spoiled("more: chunk 5", extra_chunk)
    yield spoiled("exchanged: chunks 2 and 3", exchanged_chunks, chunks=(2, 3))
    yield spoiled("exchanged: all of another session's chunks", lambda t: under_this_name(t, "chunks"))
    yield spoiled("owner: the stranger, everywhere", everywhere, stranger=True)
    yield spoiled("owner: the stranger, of a newer version", newer, stranger=True)


def chunk(path, value):
    def apply(target):
        found = value(target) if callable(value) else value
        documents(target, "reel", "chunks").update_many(
            {"chunk_id": target.chunk_id(2)}, {"$set": {path: found}})
    return apply


def plain(document):
    return bson.decode(document.raw)


def extra_chunk(target):
    document = plain(documents(target, "reel", "chunks").find_one({"chunk_id": target.chunk_id(4)}))
    document.pop("_id")
    documents(target, "reel", "chunks").insert_one(
        {**document, "chunk_id": target.chunk_id(5), "sequence_number": 5})


def exchanged_chunks(target):
    """Each of two documents gets everything of the other but its id."""
    place = documents(target, "reel", "chunks")
    found = [plain(place.find_one({"chunk_id": target.chunk_id(n)})) for n in (2, 3)]
    for one, another in (found, found[::-1]):
        place.replace_one({"_id": one["_id"]}, {**another, "_id": one["_id"], "chunk_id": one["chunk_id"]})


def under_this_name(target, name):
    place = documents(target, "reel", name)
    foreign = [plain(d) for d in place.find({"session_id": other(target).session})]
    for document in foreign:
        own = document["chunk_id"].replace(other(target).session, target.session)
        kept = plain(place.find_one({"chunk_id": own}))
        place.replace_one({"_id": kept["_id"]}, {
            **document, "_id": kept["_id"], "chunk_id": own, "session_id": target.session})


def everywhere(target):
    for name in ("sessions", "chunks", "pipeline"):
        documents(target, "reel", name).update_many(
            {"session_id": target.session},
            {"$set": {"owner": "mallory", "metadata.owner": "mallory", "reel.owner": "mallory"}})


def newer(target):
    documents(target, "reel", "sessions").update_many(
        {"session_id": target.session}, {"$set": {"metadata.owner": "mallory", "version": 10 ** 6}})


# Keys


def flipped(field):
    def apply(target):
        place = documents(target, "reel_vault", "keys")
        found = place.find_one({"session_id": target.session})
        value = bytearray(found[field])
        value[len(value) // 2] ^= 1
        place.update_one({"session_id": target.session}, {"$set": {field: bson.Binary(bytes(value))}})
    return apply


def traded(*fields):
    """What wraps another session's key in the document of this one."""
    def apply(target):
        place = documents(target, "reel_vault", "keys")
        found = plain(place.find_one({"session_id": other(target).session}))
        if "key_id" in fields:
            place.delete_one({"session_id": found["session_id"]})
        place.update_one({"session_id": target.session}, {"$set": {name: found[name] for name in fields}})
    return apply


def keys():
    for field in ("ciphertext", "nonce"):
        yield Forgery("M", f"key: a bit of {field}", flipped(field))
    for field, values in {"key_id": [f"key-{'0' * 32}", "", 7], "kek_id": ["kek-other", "", 7],
                          "nonce": [b"", b"x" * 24, 7], "ciphertext": [b"", b"x" * 48, 7],
                          "session_id": ["sess-other"]}.items():
        for place, value in enumerate(values):
            if isinstance(value, bytes):
                value = bson.Binary(value)
            yield Forgery("M", f"key: {field}, value {place + 1}", setting(
                "keys", field, value, base="reel_vault"), REFUSE)
    yield Forgery("M", "key: gone", without("keys", base="reel_vault"))
    yield Forgery("M", "key: another session's, wrapped", traded("ciphertext", "nonce"))
    yield Forgery("M", "key: state destroyed", setting(
        "keys", "state", "destroyed", base="reel_vault"), "either", "safe")
    yield Forgery("M", "key: made at another time", setting(
        "keys", "created_at", datetime.datetime(2020, 1, 1), base="reel_vault"), "either", "safe")


def forgeries(source):
    return [*views(), *keys()]

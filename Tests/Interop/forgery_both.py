"""R+C: everything that whoever can write Redis and the chunk store can do to events and files at once. He has
no key, but makes every hash, count and sum fit."""

import json

from forgery_checks import ACCEPT, Forged, Forgery
from forgery_events import anchored, by, refused
from forgery_files import altered, another, made, regions, resealed
from forgery_log import move, of_chunk, recount, renumber, taking, tell
from formats import Sealed, leaf_hash

BOTH_FIT = "whoever writes the log and the files makes both fit; the root that was kept is another one"


def refile(target, events, number, file, **changed):
    """Another file for a chunk, with all that is told of it made anew."""
    target.path(number).write_bytes(file)
    tell(events, number, merkle_hash=leaf_hash(file).hex(), sealed_bytes=len(file), **changed)
    return recount(events)


def plain_file(target, content, codec="none", key_id=None, number=2):
    header = {**Sealed(target.files[number]).header, "cipher": "none", "codec": codec,
              "original_bytes": len(content)}
    if key_id is not None:
        header["key_id"] = key_id
    return made(header, content)


def unsealed(target, events, content, digest=None, whole=False, key_id=None, number=2):
    """A plain file, told of as such; the whole session too, where that is wanted."""
    changed = {"cipher": "none", "codec": "none", "compressed_bytes": len(content), "compression_ratio": 1,
               "size_bytes": len(content)}
    if digest is not None:
        changed["content_digest"] = digest
    if key_id is not None:
        changed["key_id"] = key_id
    if whole:
        created = taking(events, "SessionCreated")
        created.data = {**created.data, "storage_config": {
            **created.data["storage_config"], "encryption_enabled": False}}
    file = plain_file(target, content, key_id=key_id, number=number)
    return refile(target, events, number, file, **changed)


def plains():
    def forgery(name, change, **more):
        return refused(f"plain: {name}", change, "refuse", "R+C", **more)
    for whole in (False, True):
        side = "the session says so too" if whole else "the session is encrypted"
        for what, digest in {"its digest": None, "no digest": "", "ABC": "ABC", "zeros": "0" * 64,
                             "upper case": "AB" * 32}.items():
            yield forgery(f"other bytes, {what}, {side}", lambda t, e, d=digest, w=whole: unsealed(
                t, e, altered(t.pieces[1]), d, w))
        yield forgery(f"other bytes, no key id, {side}", lambda t, e, w=whole: unsealed(
            t, e, altered(t.pieces[1]), "", w, ""))
        yield forgery(f"the next chunk's bytes, its digest, {side}", lambda t, e, w=whole: unsealed(
            t, e, t.pieces[2], None, w))
        yield forgery(f"fewer bytes, {side}", lambda t, e, w=whole: unsealed(t, e, b"AAAA", None, w))
        yield forgery(f"nothing, {side}", lambda t, e, w=whole: unsealed(t, e, b"", "", w))
    yield forgery("the recorded bytes, the session is encrypted", lambda t, e: unsealed(t, e, t.pieces[1]))
    yield Forgery(
        "R+C", "plain, free: the recorded bytes, the session says so too",
        by(lambda t, e: (unsealed(t, e, t.pieces[1], None, True), unchanged(t))), ACCEPT, "forged",
        anchor="events", chunks=(2,), why="the bytes are those that were recorded, which the digest says; "
        "that they were once encrypted nobody else has kept")
    for what, digest in {"its digest": None, "no digest": "", "ABC": "ABC", "the next one's": "next"}.items():
        def change(t, e, d=digest):
            if d == "next":
                d = taking(e, "ChunkRecorded", 3).data["content_digest"]
            return unsealed(t, e, altered(t.pieces[1]), d)
        yield forgery(f"other bytes in a session without encryption, {what}", change, shape="plain")


def unchanged(target):
    return Forged(dict(enumerate(target.pieces, 1)))


def changed_file(change, **told):
    def apply(target, events):
        return refile(target, events, 2, change(target, target.files[2]), **told)
    return apply


def flip(region):
    def change(_, file):
        first, behind = regions(file)[region]
        at = (first + behind) // 2
        return file[:at] + bytes([file[at] ^ 1]) + file[at + 1:]
    return change


def damages():
    def forgery(name, change, shape="sealed", **told):
        return refused(f"damage: {name}", changed_file(change, **told), "refuse", "R+C", shape=shape)
    for shape in ("sealed", "plain"):
        for region in ["magic", "header length", "payload", *(("nonce", "tag") if shape == "sealed" else ()),
                       *(f"header {name}" for name in ("chunk_id", "session_id", "sequence_number", "codec",
                                                       "cipher", "original_bytes", "key_id",
                                                       "key_commitment"))]:
            yield forgery(f"{shape}, a bit of {region}", flip(region), shape)
        yield forgery(f"{shape}, cut off", lambda t, f: f[:-20], shape)
        yield forgery(f"{shape}, longer", lambda t, f: f + b"AAAA", shape)
        yield forgery(f"{shape}, empty", lambda t, f: b"", shape)
        yield forgery(f"{shape}, another session's", lambda t, f: another(t).files[2], shape)
        yield forgery(f"{shape}, the next one's", lambda t, f: t.files[3], shape)
        yield forgery(f"{shape}, blanks in the header", lambda t, f: made(
            json.dumps(Sealed(f).header, sort_keys=True).encode(), f[Sealed(f).nonce_at:]), shape)
        yield forgery(f"{shape}, another commitment", lambda t, f: rewritten(
            f, key_commitment="0" * 64), shape)
    yield forgery("codec told and written otherwise", lambda t, f: rewritten(f, codec="lz4"), codec="lz4")
    yield forgery("lengths told and written otherwise", lambda t, f: rewritten(f, original_bytes=2999),
                  size_bytes=2999)
    yield forgery("key told and written otherwise", lambda t, f: rewritten(f, key_id=f"key-{'0' * 32}"),
                  key_id=f"key-{'0' * 32}")


def rewritten(file, **changed):
    sealed = Sealed(file)
    return made({**sealed.header, **changed}, file[sealed.nonce_at:])


def renamed(target, file, number):
    """A plain file's header for another place; a sealed one's too, which its tag then contradicts."""
    return rewritten(file, chunk_id=target.chunk_id(number), sequence_number=number)


def arranged(*order):
    """The session's chunks in another order, some left out or twice: events, files, counts and root."""
    def change(target, events):
        kept = [e for e in events if not e.type.startswith("Chunk")]
        stage = {kind: [] for kind in ("ChunkRecorded", "rest")}
        for new, old in enumerate(order, 1):
            moved = move([e.copy() for e in of_chunk(events, old)], target.session, old, new)
            file = target.files[old] if new == old else renamed(target, target.files[old], new)
            tell(moved, new, merkle_hash=leaf_hash(file).hex(), sealed_bytes=len(file))
            stage["ChunkRecorded"] += [e for e in moved if e.type == "ChunkRecorded"]
            stage["rest"] += [e for e in moved if e.type != "ChunkRecorded"]
            target.path(new).write_bytes(file)
        for number in range(len(order) + 1, 5):
            target.path(number).unlink()
        stop = next(n for n, e in enumerate(kept) if e.type == "SessionStopped")
        done = next(n for n, e in enumerate(kept) if e.type == "SessionProcessing")
        made_anew = kept[:stop] + stage["ChunkRecorded"] + kept[stop:done] + stage["rest"] + kept[done:]
        return renumber(recount(made_anew)), Forged({
            new: target.pieces[old - 1] for new, old in enumerate(order, 1)})
    return change


def orders():
    every = {"2 and 3 exchanged": (1, 3, 2, 4), "chunk 2 left out": (1, 3, 4), "chunk 1 left out": (2, 3, 4),
             "chunk 3 in place of 2": (1, 3, 3, 4), "the last one twice": (1, 2, 3, 4, 4),
             "backwards": (4, 3, 2, 1)}
    for name, order in every.items():
        yield Forgery("R+C", f"order: sealed, {name}", dropping(by(arranged(*order))), content="refuse",
                      chunks=tuple(n for n, old in enumerate(order, 1) if n != old)[:2])
        yield anchored(f"order, free: plain, {name}", arranged(*order), "root", BOTH_FIT, "forged", "R+C",
                       shape="plain", chunks=(2, 3))
    for name, order in {"the last one left out": (1, 2, 3), "the last two left out": (1, 2),
                        "all but the first left out": (1,)}.items():
        for shape in ("sealed", "plain"):
            yield anchored(f"end, free: {shape}, {name}", arranged(*order), "root", BOTH_FIT, "forged", "R+C",
                           shape=shape, chunks=(1, 4))
    yield anchored("older, free: another sealing of the same bytes", lambda t, e: (
        refile(t, e, 2, resealed(t, 2)), unchanged(t)), "root", BOTH_FIT, "forged", "R+C", shape="keyed",
        chunks=(1,))
    yield Forgery("R+C", "older: other bytes under the key of another session", by(
        lambda t, e: refile(t, e, 2, foreign(t))), content="refuse")


def dropping(apply):
    """A forgery that must be refused has no content of its own."""
    def refused_one(target):
        apply(target)
    return refused_one


def foreign(target):
    """Whoever has another session's key can seal with that."""
    other = next(t for t in target.world.targets if t.key and t is not target)
    own = Sealed(target.files[2]).header
    return resealed(other, 2, altered(target.pieces[1]), **{**own, "codec": "none"})


def forgeries(source):
    return [*plains(), *damages(), *orders()]

"""C: everything that whoever can write the chunk store can do to a sealed file. He has no key."""

import json
import os
import shutil
import struct

from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt

from forgery_checks import Forgery
from formats import Sealed, subkey

CHUNK = 2


def made(header, rest, magic=b"REELCHK1", length=None):
    """A file from a header, as it stands, and whatever follows."""
    text = header if isinstance(header, bytes) else canonical(header)
    return magic + struct.pack("<I", len(text) if length is None else length) + text + rest


def canonical(header):
    return json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def put(change, number=CHUNK):
    """Writes what a function makes of a chunk's file."""
    def apply(target):
        target.path(number).write_bytes(change(target, target.files[number]))
    return apply


def regions(file):
    """Every part of a file by name: where it begins and ends."""
    sealed = Sealed(file)
    end = len(file) - (16 if sealed.nonce else 0)
    found = {"magic": (0, 8), "header length": (8, 12), "payload": (sealed.payload_at, end)}
    if sealed.nonce:
        found |= {"nonce": (sealed.nonce_at, sealed.payload_at), "tag": (end, len(file))}
    for name in sealed.header:
        at = file.index(b'"%s":' % name.encode())
        found[f"header {name}'s name"] = (at + 1, at + 1 + len(name))
        first = at + len(name) + 3
        value = json.dumps(sealed.header[name], ensure_ascii=False).encode()
        found[f"header {name}"] = (first, first + len(value))
    return found


REGIONS = ["magic", "header length", "payload", "nonce", "tag", *(
    f"header {name}{part}" for name in (
        "chunk_id", "session_id", "sequence_number", "codec", "cipher", "original_bytes", "key_id",
        "key_commitment") for part in ("", "'s name"))]


def flipped(source, region, where):
    bit, share = source.randrange(8), source.random()

    def change(_, file):
        first, behind = regions(file)[region]
        at = {"first": first, "last": behind - 1}.get(where, first + int(share * (behind - first)))
        return file[:at] + bytes([file[at] ^ 1 << bit]) + file[at + 1:]
    return change


def flips(source):
    for shape in ("sealed", "plain"):
        for region in REGIONS:
            if shape == "plain" and region in ("nonce", "tag"):
                continue
            for where in ("first", "last", "between"):
                if region.endswith("name") and where != "between":
                    continue
                yield Forgery("C", f"a bit: {shape}, {region}, {where}",
                              put(flipped(source, region, where)), shape=shape)


OTHER = {
    "chunk_id": lambda t: [t.chunk_id(3), f"sess-{'0' * 26}-chunk-000002", ""],
    "session_id": lambda t: [f"sess-{'0' * 26}", "", "../x"],
    "sequence_number": lambda t: [3, 1, 0, -1, 2 ** 53, 2 ** 63, 2.5, "2"],
    "codec": lambda t: ["zstd", "lz4", "gzip", "none", "brotli", ""],
    "cipher": lambda t: ["none", "xchacha20poly1305", "aes", ""],
    "original_bytes": lambda t: [0, 2999, 3001, -1, 2 ** 53, 2 ** 63, 2 ** 64, 1e308],
    "key_id": lambda t: ["", f"key-{'0' * 32}", None],
    "key_commitment": lambda t: ["", "0" * 64, "F" * 64, "ABC"],
}


def rewritten(name, place):
    """Another value in a header that is well formed and has its right length."""
    def change(target, file):
        sealed = Sealed(file)
        values = [v for v in OTHER[name](target) if v != sealed.header[name]]
        return made({**sealed.header, name: values[place % len(values)]}, file[sealed.nonce_at:])
    return change


def reshaped(kind):
    """A header of another form."""
    def change(_, file):
        sealed = Sealed(file)
        header, rest = sealed.header, file[sealed.nonce_at:]
        text = sealed.header_bytes
        match kind:
            case "another member":
                return made({**header, "note": "x"}, rest)
            case "a member twice":
                return made(text[:-1] + b',"cipher":"none"}', rest)
            case "blanks":
                return made(json.dumps(header, sort_keys=True).encode(), rest)
            case "another order":
                return made(json.dumps(dict(reversed(header.items())), separators=(",", ":")).encode(), rest)
            case "escapes":
                return made(text.replace(b"cipher", b"ciph\\u0065r"), rest)
            case "nothing":
                return made(b"", rest)
            case "no JSON":
                return made(b"\xff" * len(text), rest)
            case "a list":
                return made(b"[]", rest)
            case "length 0":
                return made(text, rest, length=0)
            case "length 2^32-1":
                return made(text, rest, length=2 ** 32 - 1)
            case "length one more":
                return made(text, rest, length=len(text) + 1)
            case "another magic":
                return made(text, rest, magic=b"REELCHK2")
        raise ValueError(kind)
    return change


RESHAPED = ["another member", "a member twice", "blanks", "another order", "escapes", "nothing", "no JSON",
            "a list", "length 0", "length 2^32-1", "length one more", "another magic"]


def plain_file(target, number, content, codec="none", key_id="", commitment=None, size=None):
    """A file that claims to be without encryption."""
    header = {**Sealed(target.files[number]).header, "cipher": "none", "codec": codec, "key_id": key_id}
    if commitment is not None:
        header["key_commitment"] = commitment
    if size is not None:
        header["original_bytes"] = size
    return made(header, content)


def altered(content):
    """Other bytes, as many as there were."""
    return bytes(byte ^ 0x55 for byte in content)


def plains():
    """Content that nobody encrypted in place of a sealed file."""
    def forgery(name, change, number=CHUNK):
        return Forgery("C", f"plain: {name}", put(change, number), chunks=(number,))
    yield forgery("other bytes, no key id", lambda t, f: plain_file(t, 2, altered(t.pieces[1])))
    yield forgery("other bytes, no key id, chunk 1", lambda t, f: plain_file(t, 1, altered(t.pieces[0])), 1)
    yield forgery("the recorded bytes", lambda t, f: plain_file(t, 2, t.pieces[1]))
    yield forgery("the key's id", lambda t, f: plain_file(
        t, 2, altered(t.pieces[1]), key_id=Sealed(f).header["key_id"]))
    yield forgery("no commitment", lambda t, f: plain_file(t, 2, altered(t.pieces[1]), commitment=""))
    yield forgery("as long as the file was", lambda t, f: stretched(t, f))
    yield forgery("as long as the file was, and no key id", lambda t, f: stretched(t, f, key_id=""))
    yield forgery("zeros", lambda t, f: plain_file(t, 2, bytes(3000)))
    yield forgery("nothing at all", lambda t, f: plain_file(t, 2, b"", size=0))
    yield forgery("codec zstd", lambda t, f: plain_file(t, 2, altered(t.pieces[1]), codec="zstd"))
    yield forgery("the bytes without any header", lambda t, f: altered(t.pieces[1]))
    yield Forgery("C", "plain: other bytes in a session without encryption", put(
        lambda t, f: f[:Sealed(f).payload_at] + altered(Sealed(f).payload)), shape="plain")
    yield Forgery("C", "plain: another cipher's name in a session without encryption", put(
        lambda t, f: made({**Sealed(f).header, "cipher": "xchacha20poly1305"},
                          os.urandom(24) + Sealed(f).payload + bytes(16))), shape="plain")


def stretched(target, file, **more):
    header = {**Sealed(file).header, "cipher": "none", "codec": "none", **more}
    return made(header, altered(target.pieces[1]) + bytes(len(file)))[:len(file)]


def lengths(source):
    for shape in ("sealed", "plain"):
        for name, cut in {
                "nothing": lambda f: 0, "1 byte": lambda f: 1, "the magic": lambda f: 8,
                "the header's length": lambda f: 12, "half of the header": lambda f: 100,
                "the header": lambda f: Sealed(f).payload_at, "half": lambda f: len(f) // 2,
                "all but 16": lambda f: len(f) - 16, "all but 1": lambda f: len(f) - 1}.items():
            yield Forgery("C", f"cut off: {shape}, {name}", put(
                lambda t, f, cut=cut: f[:cut(f)]), shape=shape)
        noise = source.randbytes(100)
        tails = {"a zero": lambda f: b"\0", "noise": lambda f: noise, "itself": lambda f: f}
        for name, tail in tails.items():
            yield Forgery("C", f"longer: {shape}, {name}", put(
                lambda t, f, tail=tail: f + tail(f)), shape=shape)


def another(target):
    """A session of the same shape that nobody touches."""
    return next(t for t in target.world.targets if t is not target and t.encrypted == target.encrypted)


def as_own(target, number, file):
    """Another session's file with a header that names this session's chunk."""
    own, sealed = Sealed(target.files[number]).header, Sealed(file)
    return made({**sealed.header, **{name: own[name] for name in (
        "chunk_id", "session_id", "sequence_number", "key_id", "key_commitment")}}, file[sealed.nonce_at:])


def swaps():
    def exchange(one, other):
        def apply(target):
            target.path(one).write_bytes(target.files[other])
            target.path(other).write_bytes(target.files[one])
        return apply
    for shape in ("sealed", "plain"):
        def forgery(name, apply, chunks=(2,), shape=shape):
            return Forgery("C", f"exchanged: {shape}, {name}", apply, shape=shape, chunks=chunks)
        yield forgery("2 and 3", exchange(2, 3), (2, 3))
        yield forgery("1 and 2", exchange(1, 2), (1, 2))
        yield forgery("3 in place of 2", put(lambda t, f: t.files[3]))
        yield forgery("3 in place of 2, renamed", put(lambda t, f: as_own(t, 2, t.files[3])))
        yield forgery("another session's", put(lambda t, f: another(t).files[2]))
        yield forgery("another session's, renamed", put(lambda t, f: as_own(t, 2, another(t).files[2])))
        yield forgery("another session's, under its whole header", put(
            lambda t, f: f[:Sealed(f).payload_at] + another(t).files[2][-len(Sealed(f).payload):]))
        yield forgery("two halves", put(lambda t, f: f[:2000] + t.files[3][2000:]))


def resealed(target, number, content=None, **more):
    """The same bytes under the session's own key and another nonce, as a worker that was too late may have
    left them."""
    old = Sealed(target.files[number])
    plain = old.plain(target.key) if content is None else content
    head = made({**old.header, **more}, os.urandom(24))
    return head + crypto_aead_xchacha20poly1305_ietf_encrypt(plain, head, head[-24:], subkey(target.key, 1))


def things():
    """Other things than the file."""
    def gone(target):
        target.path(2).unlink()

    def linked(other):
        def apply(target):
            target.path(2).unlink()
            target.path(2).symlink_to(other(target))
        return apply

    def outside(target):
        kept = target.world.folder / f"{target.session}.kept"
        kept.write_bytes(target.files[2])
        return kept

    def special(make):
        def apply(target):
            target.path(2).unlink()
            make(target.path(2))
        return apply

    def folder_link(target):
        moved = target.world.folder / f"{target.session}.moved"
        # Of an earlier time: what was there is put back by its files.
        shutil.rmtree(moved, ignore_errors=True)
        target.folder.rename(moved)
        target.folder.symlink_to(moved)

    def extra(content, name="00000005.reel"):
        return lambda target: (target.folder / name).write_bytes(content(target))
    every = (1, 2, 3, 4)
    yield Forgery("C", "thing: the file is gone", gone)
    yield Forgery("C", "thing: the last file is gone", lambda t: t.path(4).unlink(), chunks=(4,))
    yield Forgery("C", "thing: all files are gone", lambda t: [t.path(n).unlink() for n in every],
                  chunks=every)
    yield Forgery("C", "thing: a link to the next file", linked(lambda t: t.path(3)))
    yield Forgery("C", "thing: a link to the file itself, elsewhere", linked(outside))
    yield Forgery("C", "thing: a link to nothing", linked(lambda t: "nothing"))
    yield Forgery("C", "thing: a FIFO", special(os.mkfifo))
    yield Forgery("C", "thing: a folder", special(os.mkdir))
    yield Forgery("C", "thing: a link in place of the session's folder", folder_link, content="refuse")
    yield Forgery("C", "more: the last file again", extra(lambda t: t.files[4]), content="safe")
    yield Forgery("C", "more: another session's", extra(lambda t: another(t).files[2]), content="safe")
    yield Forgery("C", "more: a stray file", extra(lambda t: b"what is this", "stray.txt"), content="right")
    yield Forgery("C", "more: a file far away", extra(lambda t: t.files[4], "00000009.reel"), content="right")
    yield Forgery("C", "older: another sealing of the same bytes", put(lambda t, f: resealed(t, 2)),
                  shape="keyed")


def forgeries(source):
    found = [*flips(source)]
    for shape in ("sealed", "plain"):
        for name, values in OTHER.items():
            for place in range(len(values(_Nobody())) - 1):
                found.append(Forgery("C", f"header: {shape}, {name}, value {place + 1}",
                                     put(rewritten(name, place)), shape=shape))
        found += [Forgery("C", f"header: {shape}, {kind}", put(reshaped(kind)), shape=shape)
                  for kind in RESHAPED]
    return [*found, *plains(), *lengths(source), *swaps(), *things()]


class _Nobody:
    """Only to count the values."""

    def chunk_id(self, number):
        return str(number)

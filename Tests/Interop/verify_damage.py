#!/usr/bin/env python3
"""Damages sealed files in every way there is: `reel verify` notices and names each, and nothing else."""

import pathlib
import random
import re

from formats import Sealed
from kit import MIB, Checks, System, Workspace, mixed, seed_of

checks = Checks("verify")


class Target:
    """A session's sealed files, and what they held before they were damaged."""

    def __init__(self, system, session):
        self.system, self.session = system, session
        self.folder = pathlib.Path(system.endpoints["chunk_store"]) / session
        self.kept = {path.name: path.read_bytes() for path in sorted(self.folder.iterdir())}

    def name(self, number):
        return f"{number:08d}.reel"

    def put(self, number, content):
        (self.folder / self.name(number)).write_bytes(content)

    def heal(self):
        for path in self.folder.iterdir():
            if path.name not in self.kept:
                path.unlink()
        for name, content in self.kept.items():
            path = self.folder / name
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)

    def verify(self):
        done = self.system.reel("verify", self.session)
        return done.returncode, done.stdout.decode(errors="replace") + done.stderr

    def names_number(self, text, number):
        """Whether a report names a chunk: by file, by id, or by its number."""
        words = [self.name(number), f"{self.session}-chunk-{number:06d}"]
        return any(word in text for word in words) or bool(re.search(rf"\bchunk {number}\b", text))

    def expect(self, what, numbers, others=True):
        """The damage that was done is noticed; `numbers` are named, and no sound chunk with `others`."""
        status, text = self.verify()
        missing = [n for n in numbers if not self.names_number(text, n)]
        checks.check(f"{what}: noticed and named", status == 1 and not missing, f"status {status}: {text}")
        sound = [n for n in range(1, len(self.kept) + 1) if n not in numbers]
        problems = "\n".join(
            line for line in text.splitlines() if not re.search(r"\b(ok|sound|intact)\b", line, re.I))
        blamed = [n for n in sound if self.names_number(problems, n)]
        if others:
            checks.check(f"{what}: no sound chunk is blamed", not blamed, f"{blamed}: {text}")
        self.heal()

    def expect_sound(self, what):
        status, text = self.verify()
        checks.check(f"{what}: 0", status == 0, f"status {status}: {text}")


def flips(sealed, source):
    """Offsets of every class of bytes, several of each: the first, the last, and some between."""
    end = sealed.payload_at + len(sealed.payload)
    classes = {
        "magic": (0, 8), "header length": (8, 12), "header": (12, sealed.nonce_at),
        "nonce": (sealed.nonce_at, sealed.payload_at),
        "payload": (sealed.payload_at, end - 16), "tag": (end - 16, end),
    }
    if sealed.header["cipher"] == "none":
        classes.pop("nonce")
        classes.pop("tag")
        classes["payload"] = (sealed.payload_at, end)
    for kind, (first, behind) in classes.items():
        offsets = {first, behind - 1} | {source.randrange(first, behind) for _ in range(2)}
        for offset in sorted(offsets):
            yield kind, offset


def damage(target, kind, source):
    """One session, every damage."""
    original = {n: target.kept[target.name(n)] for n in range(1, len(target.kept) + 1)}
    for part, offset in flips(Sealed(original[2]), source):
        content = bytearray(original[2])
        content[offset] ^= 1 << source.randrange(8)
        target.put(2, content)
        target.expect(f"{kind}: a bit of the {part} at {offset}", [2])
    length = len(original[3])
    cuts = {0, 1, 8, 11, 12, 100, Sealed(original[3]).payload_at, length // 2, length - 16, length - 1}
    for cut in sorted(cuts):
        target.put(3, original[3][:cut])
        target.expect(f"{kind}: cut off after {cut} of {length} bytes", [3])
    target.put(1, original[1] + b"\0")
    target.expect(f"{kind}: a byte too much", [1])
    for number in (1, 2, len(original)):
        (target.folder / target.name(number)).unlink()
        target.expect(f"{kind}: file {number} is missing", [number])
    target.put(1, original[2])
    target.put(2, original[1])
    target.expect(f"{kind}: files 1 and 2 swapped", [1, 2])
    target.put(2, original[1])
    # The report may well say whose file it is that stands there.
    target.expect(f"{kind}: file 1 in place of file 2", [2], others=False)
    extra = len(original) + 1
    target.put(extra, original[1])
    status, text = target.verify()
    checks.check(f"{kind}: an extra file: noticed and named",
                 status == 1 and target.names_number(text, extra), f"status {status}: {text}")
    target.heal()
    (target.folder / "stray.txt").write_bytes(b"what is this")
    status, text = target.verify()
    checks.check(f"{kind}: a stray file: noticed and named", status == 1 and "stray.txt" in text,
                 f"status {status}: {text}")
    target.heal()
    for path in target.folder.iterdir():
        path.unlink()
    target.expect(f"{kind}: all files are missing", list(original))
    target.expect_sound(f"{kind}: healed")


def record(system, folder, seed, *options):
    file = folder / "source"
    file.write_bytes(mixed(seed, MIB + 1234))
    done = system.reel("record", file, "--name", "target", "--chunk-size", 0.25, "--wait", *options)
    if done.returncode != 0:
        raise RuntimeError(f"record: status {done.returncode}: {done.stderr}")
    return Target(system, done.stdout.decode().strip())


def main():
    seed = seed_of("verify")
    source = random.Random(seed)
    with Workspace("verify") as folder, System(folder / "data").start() as system:
        with checks.section("recording"):
            sealed = record(system, folder, seed)
            plain = record(system, folder, seed + 1, "--no-encryption", "--codec", "lz4")
            other = record(system, folder, seed)
            for kind, target in (("encrypted", sealed), ("unencrypted", plain)):
                target.expect_sound(f"{kind}: undamaged")
                with checks.section(kind):
                    damage(target, kind, source)
            sealed.put(2, other.kept[other.name(2)])
            sealed.expect("a file of another session with the same content", [2], others=False)
            plain.put(2, sealed.kept[sealed.name(2)])
            plain.expect("a file of another session", [2], others=False)
            other.expect_sound("the other session")
        with checks.section("unknown session"):
            done = system.reel("verify", "sess-00000000000000000000000000")
            checks.check("a session that does not exist: 1", done.returncode == 1, done.stderr)
    checks.finish()


if __name__ == "__main__":
    main()

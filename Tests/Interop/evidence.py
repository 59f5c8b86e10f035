#!/usr/bin/env python3
"""What `verify`, `export`, `proof`, `proof check` and `proof consistency` say: of sound sessions, of damaged
ones, of one that still records, of one that is deleted meanwhile. Proofs are checked by RFC 9162 alone."""

import hashlib
import json
import pathlib
import subprocess
import threading
import time

import pymongo

from forgery_archive import Segment
from formats import leaf_hash, merkle_root
from holds import api, token
from kit import MIB, REEL, UNLIMITED, Checks, System, Workspace, environment, eventually, mixed, reel, seed_of

checks = Checks("evidence")
CHUNK = MIB // 4


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def included(leaf, index, size, path):
    """RFC 9162, section 2.1.3.2: the root that a path leads to."""
    if index >= size:
        return None
    number, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if number & 1 or number == last:
            root = node(sibling, root)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            root = node(root, sibling)
        number, last = number >> 1, last >> 1
    return root if last == 0 else None


def consistent(first, second, first_root, second_root, path):
    """RFC 9162, section 2.1.4.2."""
    path = list(path)
    if first == second:
        return not path and first_root == second_root
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    number, last = first - 1, second - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            old, new = node(sibling, old), node(sibling, new)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            new = node(new, sibling)
        number, last = number >> 1, last >> 1
    return old == first_root and new == second_root and last == 0


class Session:
    """A recorded session, its files and what was recorded."""

    def __init__(self, system, name, seed, size):
        self.system, self.id, self.content = system, name, mixed(seed, size)
        done = system.reel("record", "-", "--name", name, "--session-id", name, "--chunk-size", 0.25,
                           "--wait", stdin=self.content)
        if done.returncode != 0:
            raise RuntimeError(f"record: status {done.returncode}: {done.stderr}")
        self.folder = pathlib.Path(system.endpoints["chunk_store"]) / name
        self.files = [path.read_bytes() for path in sorted(self.folder.iterdir())]
        self.leaves = [leaf_hash(content) for content in self.files]
        self.root = merkle_root(self.leaves)

    def path(self, number):
        return self.folder / f"{number:08d}.reel"

    def report(self):
        done = self.system.reel("verify", self.id, "--json")
        return done.returncode, json.loads(done.stdout)


def outcome(system, session):
    done = system.reel("verify", session, "--json")
    return done.returncode, json.loads(done.stdout)["outcome"]


def recording(system, folder, seed):
    """A session that still records is neither given out as if it were whole nor called sound."""
    content = mixed(seed, 5 * CHUNK)
    process = subprocess.Popen(
        [REEL, "record", "-", "--name", "open", "--session-id", "open", "--chunk-size", "0.25",
         "--data", str(system.data)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment())
    process.stdin.write(content[:4 * CHUNK + 1])
    process.stdin.flush()
    stored = lambda: sum(event["type"] == "ChunkStored" for event in system.events("open"))
    exists = eventually(lambda: system.reel("events", "open").returncode == 0)
    checks.check("some chunks are stored while it records", exists and eventually(lambda: stored() >= 4))
    out = folder / "open.bin"
    done = system.reel("export", "open", "-o", out)
    checks.equal("export of a session that records: status, file", (done.returncode, out.exists()),
                 (1, False))
    checks.check("it says that it still records", "is recording" in done.stderr, done.stderr)
    done = system.reel("export", "open", "-o", out, "--partial")
    checks.equal("--partial: status 1, as more may come", done.returncode, 1)
    checks.check("--partial: it says so", "more may come" in done.stderr, done.stderr)
    checks.check("--partial gives out the beginning", out.read_bytes() == content[:4 * CHUNK])
    report = json.loads(system.reel("export", "open", "-o", out, "--partial", "--json").stdout)
    checks.equal("--partial --json", (report["may_grow"], report["whole"], report["exported_bytes"]),
                 (True, False, 4 * CHUNK))
    checks.equal("verify: nothing binds it yet", outcome(system, "open"), (1, "unfinished"))
    process.communicate(content[4 * CHUNK + 1:], timeout=60)
    checks.check("completed", eventually(lambda: system.status("open") == "completed"), system.status("open"))
    done = system.reel("export", "open", "-o", out)
    checks.check("and given out whole", done.returncode == 0 and out.read_bytes() == content, done.stderr)
    checks.equal("and sound", outcome(system, "open"), (0, "sound"))


def damaged(system, folder, session):
    """What is sound of a damaged session is given out, and every gap is named."""
    whole, out = session.content, folder / "rest.bin"
    damage = bytearray(session.files[1])
    damage[-1] ^= 1
    session.path(2).write_bytes(damage)
    session.path(4).unlink()
    out.write_bytes(b"before")
    done = session.system.reel("export", session.id, "-o", out)
    checks.equal("export of a damaged session leaves the file as it was",
                 (done.returncode, out.read_bytes()), (1, b"before"))
    checks.check("it points to --partial", "--partial" in done.stderr, done.stderr)
    done = system.reel("export", session.id, "-o", out, "--partial", "--json")
    report = json.loads(done.stdout)
    rest = whole[:CHUNK] + whole[2 * CHUNK:3 * CHUNK] + whole[4 * CHUNK:]
    checks.check("--partial gives out the sound chunks", done.returncode == 1 and out.read_bytes() == rest,
                 done.stderr)
    gaps = [(gap["sequence_number"], gap["first_byte"], gap["behind_last_byte"], gap["output_offset"])
            for gap in report["gaps"]]
    checks.equal("and names the gaps", gaps,
                 [(2, CHUNK, 2 * CHUNK, CHUNK), (4, 3 * CHUNK, 4 * CHUNK, 2 * CHUNK)])
    done = system.reel("export", session.id, "-o", "-", "--partial")
    checks.check("for people, on standard error",
                 done.stdout == rest and all(f"left out chunk {n}" in done.stderr for n in (2, 4)),
                 done.stderr)
    status, found = session.report()
    checks.equal("verify names the same", (status, [f["kind"] for f in found["findings"]]),
                 (1, ["damaged", "missing", "root"]))
    for number in (2, 4):
        session.path(number).write_bytes(session.files[number - 1])
    checks.equal("healed", (session.report()[0], session.report()[1]["merkle_root"]), (0, session.root.hex()))


def check(folder, document, *words):
    path = folder / "proof.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return reel("proof", "check", path, *words)


def proofs(system, folder, session, other):
    """A proof proves what it says under the root that somebody trusts, and nothing without."""
    root, count = session.root.hex(), len(session.files)
    for number in range(1, count + 1):
        proof = json.loads(system.reel("proof", session.id, number).stdout)
        path = [bytes.fromhex(text) for text in proof["path"]]
        found = included(session.leaves[number - 1], number - 1, count, path)
        checks.equal(f"the proof of chunk {number}, by RFC 9162", found, session.root)
    proof = json.loads(system.reel("proof", session.id, 2).stdout)
    file, leaf = session.path(2), session.leaves[1].hex()
    done = check(folder, proof, file, "--root", root)
    text = done.stdout.decode()
    words = (session.id, proof["chunk_id"], "chunk 2 of session", root, "says the proof")
    checks.check("proof check says what it has proven",
                 done.returncode == 0 and all(word in text for word in words), text + done.stderr)
    done = check(folder, proof, "--leaf-hash", leaf, "--root", root)
    text = done.stdout.decode()
    checks.check("a hash alone says nothing of whose it is",
                 done.returncode == 0 and session.id not in text and root in text, text)
    placed = ["--root", root, "--tree-size", count]
    text = check(folder, proof, file, *placed).stdout.decode()
    checks.check("with the tree's size its place is proven",
                 f"as leaf 2 of {count} under" in text and "says the proof" not in text, text)
    checks.equal("and that as JSON", [
        json.loads(check(folder, proof, file, *placed, "--json").stdout)[name]
        for name in ("leaf_index", "tree_size", "sequence_number")], [1, count, 2])
    proven = json.loads(check(folder, proof, "--leaf-hash", leaf, "--root", root, "--json").stdout)
    checks.check("nor as JSON", proven["proven"] and "session_id" not in proven, proven)
    own = dict(proof, root=leaf, tree_size=1, leaf_index=0, path=[])
    # The same path leads to the same root from the last place of a smaller tree.
    last = json.loads(system.reel("proof", session.id, count).stdout)
    last = dict(last, tree_size=4, leaf_index=3, storage_path=f"{session.id}/00000004.reel")
    checks.equal("a path proves no place", included(
        session.leaves[-1], 3, 4, [bytes.fromhex(text) for text in last["path"]]), session.root)
    done = check(folder, last, "--leaf-hash", last["leaf_hash"], "--root", root, "--json")
    checks.check("and no place is said to be proven",
                 not {"leaf_index", "tree_size"} & set(json.loads(done.stdout)), done.stdout)
    refused = {
        "without a root": (2, proof, file), "with a root that is none": (2, proof, file, "--root", "abc"),
        "with neither file nor hash": (2, proof, "--root", root),
        "with both": (2, proof, file, "--leaf-hash", leaf, "--root", root),
        "under another root": (1, proof, file, "--root", other.root.hex()),
        "that leads to a root of its own": (1, own, file, "--root", root),
        "of another file": (1, proof, session.path(3), "--root", root),
        "of another hash": (1, proof, "--leaf-hash", session.leaves[2].hex(), "--root", root),
        "of another session": (1, dict(proof, session_id=other.id), file, "--root", root),
        "of another chunk": (1, dict(proof, chunk_id=f"{session.id}-chunk-000003"), file, "--root", root),
        "of another path": (1, dict(proof, storage_path=f"{session.id}/00000003.reel"), file, "--root", root),
        "of another place": (1, dict(proof, leaf_index=2), file, "--root", root),
        "of a larger tree": (
            1, dict(proof, tree_size=count + 1), file, "--root", root, "--tree-size", count),
        "that leads to the root from another place": (
            1, last, "--leaf-hash", last["leaf_hash"], "--root", root, "--tree-size", count),
        "with a shorter path": (1, dict(proof, path=proof["path"][1:]), file, "--root", root),
        "with a longer path": (1, dict(proof, path=proof["path"] + [leaf]), file, "--root", root),
        "in upper case": (1, dict(proof, leaf_hash=leaf.upper()), file, "--root", root),
        "with a member too many": (1, dict(proof, note="x"), file, "--root", root),
        "with a member too few": (
            1, {name: value for name, value in proof.items() if name != "chunk_id"}, file, "--root", root),
        "with a place that is no number": (1, dict(proof, leaf_index="1"), file, "--root", root),
        "with a place beyond all numbers": (1, dict(proof, leaf_index=1 << 70), file, "--root", root),
        "with another algorithm": (1, dict(proof, algorithm="md5"), file, "--root", root),
        "that is no JSON": (1, "{", file, "--root", root),
    }
    for what, (status, document, *words) in refused.items():
        done = check(folder, document, *words)
        checks.check(f"a proof {what} is refused with {status}",
                     done.returncode == status and not done.stdout and done.stderr,
                     (done.returncode, done.stderr))


def consistency(system, folder, session):
    """Whoever has kept the root of the first chunks learns that they are still the first ones."""
    count, path = len(session.files), folder / "consistency.json"
    for first in range(1, count + 1):
        proof = json.loads(system.reel("proof", "consistency", session.id, "--from", first).stdout)
        old = merkle_root(session.leaves[:first])
        checks.check(f"from {first} of {count}, by RFC 9162", consistent(
            first, count, old, session.root, [bytes.fromhex(h) for h in proof["path"]]), proof)
    proof = json.loads(system.reel("proof", "consistency", session.id, "--from", 2, "--to", 3).stdout)
    roots = [merkle_root(session.leaves[:n]).hex() for n in (2, 3)]
    both = ["--first-root", roots[0], "--second-root", roots[1]]

    def status(document, *words):
        path.write_text(json.dumps(document))
        return reel("proof", "consistency", "check", path, *words).returncode

    checks.equal("checked by the program", status(proof, *both), 0)
    checks.equal("refused with other roots", [
        status(proof, "--first-root", roots[1], "--second-root", roots[0]),
        status(dict(proof, first_root=roots[1]), *both), status(dict(proof, first_size=1), *both),
        status(dict(proof, path=proof["path"][::-1] + [roots[0]]), *both), status(proof),
        status(proof, "--first-root", roots[0])], [1, 1, 1, 1, 2, 2])
    for words in (["--from", count + 1], ["--from", 3, "--to", 2]):
        done = system.reel("proof", "consistency", session.id, *words)
        checks.equal(f"no proof {' '.join(map(str, words))}", done.returncode, 1)


def deletion(system, folder, seed):
    """Deleted while it is read: no damage, and said."""
    admin = token(system, "admin")
    found = set()
    for turn in range(6):
        session = Session(system, f"gone-{turn}", seed + turn, 12 * CHUNK)
        answers = {}
        out = folder / f"gone-{turn}.bin"
        words = {"verify": ["verify", session.id, "--json"], "export": ["export", session.id, "-o", out]}
        threads = [
            threading.Thread(target=lambda name=name: answers.update({name: system.reel(*words[name])}))
            for name in words
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.05 * turn)
        status, _ = api(system, "DELETE", f"/sessions/{session.id}", admin)
        for thread in threads:
            thread.join()
        checks.check(f"deleted in turn {turn}", status in (200, 204), status)
        said = json.loads(answers["verify"].stdout)["outcome"]
        found.add(said)
        checks.check(f"turn {turn}: verify does not cry damage",
                     said in ("sound", "deleted", "deleted_meanwhile"), answers["verify"].stdout)
        export = answers["export"]
        checks.check(f"turn {turn}: export gives out all or says that it was deleted",
                     export.returncode == 0 and out.read_bytes() == session.content
                     or export.returncode == 1 and "was deleted" in export.stderr and not out.exists(),
                     (export.returncode, export.stderr))
        removed = eventually(lambda: not session.folder.exists() or not any(session.folder.iterdir()))
        checks.check(f"turn {turn}: its files are gone", removed)
        checks.equal(f"turn {turn}: then", outcome(system, session.id), (1, "deleted"))
    print(f"evidence: verify said {sorted(found)} meanwhile", flush=True)


def read_models(system):
    """All documents of the read models, but for what MongoDB gives them itself."""
    with pymongo.MongoClient(system.endpoints["mongodb_url"], serverSelectionTimeoutMS=10_000) as client:
        return {name: sorted(repr(sorted(one.items())) for one in client["reel"][name].find({}, {"_id": 0}))
                for name in ("sessions", "chunks")}


def forged_segment(system, session):
    """Of an archived segment with other contents, and hashes of its own that fit, no read model is built."""
    while json.loads(system.reel("archive", "run", "--all", "--json").stdout)["segments"]:
        pass

    def made(segment):
        return [e for e in segment.events if e.type == "SessionCreated" and e["partitionkey"] == session.id]
    path = next(path for path in (system.data / "archive").rglob("*.seg") if made(Segment(path)))
    kept, before = path.read_bytes(), read_models(system)
    segment = Segment(path)
    events = segment.events
    for event in events:
        if event.type == "SessionCreated" and event["partitionkey"] == session.id:
            event.tell(name="somebody else's")
    segment.fill(events).write()
    checks.equal("a forged segment is read as its forger means it", made(Segment(path))[0].data["name"],
                 "somebody else's")
    # Who reads for the first time has nothing of it in memory.
    done = system.reel("replay")
    checks.check("a forged segment: replay refuses it by name", done.returncode in (1, 3)
                 and path.stem in done.stderr + done.stdout.decode(),
                 (done.returncode, done.stdout[-400:], done.stderr[-400:]))
    checks.equal("a forged segment: replay puts nothing in place", read_models(system), before)
    done = system.reel("replay", "--verify")
    checks.check("a forged segment: nothing is compared with it either", done.returncode in (1, 3)
                 and path.stem in done.stderr + done.stdout.decode(),
                 (done.returncode, done.stdout[-400:], done.stderr[-400:]))
    path.write_bytes(kept)
    checks.equal("a segment that is what it was: replay builds of it", system.reel("replay").returncode, 0)
    checks.equal("and of it what there was", read_models(system), before)


def main():
    seed = seed_of("evidence")
    with Workspace("evidence") as folder, System(folder / "data", *UNLIMITED).start() as system:
        session = Session(system, "one", seed, 5 * CHUNK + 77)
        other = Session(system, "two", seed + 1, 3 * CHUNK)
        for name, part in {
            "recording": lambda: recording(system, folder, seed + 2),
            "damaged": lambda: damaged(system, folder, session),
            "proofs": lambda: proofs(system, folder, session, other),
            "consistency": lambda: consistency(system, folder, session),
            "deletion": lambda: deletion(system, folder, seed + 3),
            "forged segment": lambda: forged_segment(system, other),
        }.items():
            with checks.section(name):
                part()
    checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Reads everything that Reel writes with other people's tools, knowing only part 3 of the design."""

import base64
import dataclasses
import json

from pymerkle import InmemoryTree

import readmodels
from formats import (
    HEADER_FIELDS, STREAM_FIELDS, Schemas, Sealed, cloud_event, content_digest, leaf_hash, merkle_root,
    sequence_problems, subkey)
from kit import (
    MIB, Checks, System, Workspace, eventually, files_below, mixed, partition, seed_of)

checks = Checks("interop")
SCHEMAS = Schemas()


@dataclasses.dataclass
class Recording:
    """What is recorded, and how."""

    name: str
    size: int
    codec: str
    chunk_mb: float | None
    noise: float = 0.5
    options: tuple = ()
    from_stdin: bool = False

    @property
    def encrypted(self):
        return "--no-encryption" not in self.options


RECORDINGS = [
    Recording("zstd, default chunks", 12 * MIB + 345, "zstd", None),
    Recording("none", 3 * MIB + 1, "none", 1),
    Recording("lz4, quarter megabytes", 2 * MIB + 77, "lz4", 0.25),
    Recording("gzip, half megabytes", 2 * MIB + 5, "gzip", 0.5, from_stdin=True),
    Recording("zstd over noise", MIB, "zstd", 0.25, noise=1),
    Recording("lz4 over noise", MIB, "lz4", 0.25, noise=1),
    Recording("gzip over text, exact multiple", 2 * MIB, "gzip", 1, noise=0),
    Recording("unencrypted zstd", 2 * MIB + 9, "zstd", 0.5, options=("--no-encryption",)),
    Recording("unencrypted none", MIB + 9, "none", 0.5, options=("--no-encryption",)),
    Recording("one byte", 1, "zstd", 1),
    Recording("smallest chunks", 21 * 1024 + 3, "zstd", 0.0009765625),
    Recording(
        "Wartung »Tür« 録画 \"quoted\" \\ 🎥", 300_000, "zstd", 0.125,
        options=(
            "--project", "Rügen", "--environment", "production", "--tag", "audit", "--tag", "zwei Wörter",
            "--description", "line one\nline two", "--owner", "ops@example.org", "--priority", "critical",
        )),
]


def record(system, folder, recording, seed):
    data = mixed(seed, recording.size, recording.noise)
    file = folder / "source"
    file.write_bytes(data)
    chunk = ["--chunk-size", recording.chunk_mb] if recording.chunk_mb else []
    done = system.reel(
        "record", "-" if recording.from_stdin else file, "--name", recording.name, "--codec",
        recording.codec, "--wait", *chunk, *recording.options,
        stdin=data if recording.from_stdin else None)
    checks.equal(f"{recording.name}: record answers 0", done.returncode, 0) or print(done.stderr)
    lines = done.stdout.decode().split("\n")
    checks.check(
        f"{recording.name}: the session id stands alone on stdout",
        len(lines) == 2 and lines[1] == "" and lines[0].startswith("sess-"), done.stdout)
    return lines[0], data


def check_events(system, redis, name, session):
    """The command line and the stream tell the same, and both follow the schemas."""
    printed = system.events(session)
    stream = redis.stream(session)
    checks.equal(f"{name}: partition by SHA-256 holds the session", len(stream), len(printed))
    fields = {tuple(field.decode() for field, _ in pairs) for _, pairs in stream}
    checks.equal(f"{name}: stream fields and their order", fields, {tuple(STREAM_FIELDS)})
    raw = [cloud_event(pairs) for _, pairs in stream]
    checks.check(f"{name}: command line and stream hold the same events", raw == printed)
    for where, events in (("command line", printed), ("stream", raw)):
        wrong = [(e["type"], p) for e in events for p in SCHEMAS.problems(e)]
        checks.check(f"{name}: every event of the {where} follows its schema", not wrong, wrong[:3])
    checks.check(f"{name}: sequences without gaps", not sequence_problems(raw), sequence_problems(raw))
    checks.check(f"{name}: partitionkey", all(e["partitionkey"] == session for e in raw))
    subjects = all(e["subject"] == e["data"].get("chunk_id", session) for e in raw)
    checks.check(f"{name}: subjects are the chunk or the session", subjects)
    text = b"".join(value for _, pairs in stream for _, value in pairs)
    checks.check(f"{name}: no event speaks of a password", b"password" not in text.lower())
    return raw


def check_history(name, events):
    """The order of a session's life, and one event of a kind for each chunk."""
    types = [event["type"] for event in events]
    life = [t for t in types if t.startswith("Session") or t == "MerkleRootComputed"]
    expected = [
        "SessionCreated", "SessionStarted", "SessionStarted", "SessionStopped", "SessionProcessing",
        "MerkleRootComputed", "SessionCompleted",
    ]
    checks.equal(f"{name}: the session's life", life, expected)
    statuses = [e["data"]["status"] for e in events if e["type"] == "SessionStarted"]
    checks.equal(f"{name}: started twice", statuses, ["starting", "recording"])
    kinds = ["ChunkRecorded", "ChunkCompressed", "ChunkSealed", "ChunkValidated", "ChunkStored"]
    per_kind = {k: [e["data"]["sequence_number"] for e in events if e["type"] == k] for k in kinds}
    count = len(per_kind["ChunkRecorded"])
    once = all(sorted(numbers) == list(range(1, count + 1)) for numbers in per_kind.values())
    checks.check(f"{name}: every chunk has one event of each kind", once and count > 0, per_kind)
    ids = all(
        e["id"] == f"{e['data']['chunk_id']}/{e['type']}" for e in events if e["type"].startswith("Chunk"))
    checks.check(f"{name}: ids are derived from the chunk", ids)
    steps = [e["data"] for e in events if e["type"] == "PipelineStateChanged"]
    joined = all(a["to"] == b["from"] for a, b in zip(steps, steps[1:]))
    closed = steps and steps[-1]["to"] == "stopped"
    checks.check(f"{name}: the pipeline's steps join", joined and closed, steps)


def check_files(system, recording, session, data, events, key_id, data_key):
    """Every sealed file: form, encryption, codec, digests, tree."""
    name, store = recording.name, system.endpoints["chunk_store"]
    recorded = {e["data"]["sequence_number"]: e["data"] for e in events if e["type"] == "ChunkRecorded"}
    stored = {e["data"]["sequence_number"]: e["data"] for e in events if e["type"] == "ChunkStored"}
    wrong, originals, leaves, nonces = [], [], [], set()
    tree = InmemoryTree(algorithm="sha256")

    def expect(number, what, holds):
        if not holds:
            wrong.append(f"chunk {number}: {what}")

    for number in sorted(stored):
        fact, first = stored[number], recorded[number]
        expect(number, "storage_path", fact["storage_path"] == f"{session}/{number:08d}.reel")
        expect(number, "chunk_id", fact["chunk_id"] == f"{session}-chunk-{number:06d}")
        with open(f"{store}/{fact['storage_path']}", "rb") as file:
            content = file.read()
        sealed = Sealed(content)
        header = sealed.header
        original = sealed.original(data_key)
        originals.append(original)
        leaves.append(leaf_hash(content))
        tree.append_entry(content)
        expect(number, "canonical header", sealed.is_canonical())
        expect(number, f"header fields {sorted(header)}", set(header) == HEADER_FIELDS)
        expect(number, "key_commitment", header["key_commitment"] == subkey(data_key, 3).hex())
        expect(number, "key_id", header["key_id"] == key_id == fact["key_id"] == first["key_id"])
        expect(number, "ids of the header", (header["chunk_id"], header["session_id"],
               header["sequence_number"]) == (fact["chunk_id"], session, number))
        expect(number, "original_bytes", header["original_bytes"] == len(original) == fact["size_bytes"])
        expect(number, "codec", header["codec"] == fact["codec"] in (recording.codec, "none"))
        cipher = "xchacha20poly1305" if recording.encrypted else "none"
        expect(number, "cipher", header["cipher"] == fact["cipher"] == cipher)
        expect(number, "sealed_bytes", fact["sealed_bytes"] == len(content))
        output = sealed.plain(data_key)
        expect(number, "compressed_bytes", fact["compressed_bytes"] == len(output) <= len(original))
        ratio = len(output) / len(original)
        expect(number, "compression_ratio", abs(fact["compression_ratio"] - ratio) < 1e-9)
        expect(number, "content_digest", first["content_digest"] == content_digest(data_key, original))
        expect(number, "merkle_hash", fact["merkle_hash"] == leaves[-1].hex())
        if recording.encrypted:
            expect(number, "fresh nonce", sealed.nonce not in nonces and any(sealed.nonce))
            nonces.add(sealed.nonce)
    checks.check(f"{name}: every sealed file reads as designed", not wrong and originals, wrong[:5])
    checks.check(f"{name}: decrypted and decompressed are the recorded bytes", b"".join(originals) == data)
    size = int((recording.chunk_mb or 10) * MIB)
    lengths = [len(original) for original in originals]
    cut = [min(size, len(data) - at) for at in range(0, len(data), size)]
    checks.check(f"{name}: chunks are cut at their size", lengths == cut, lengths[:8])
    if recording.codec != "none" and recording.noise == 1:
        kept = all(f["codec"] == "none" and f["compression_ratio"] == 1 for f in stored.values())
        checks.check(f"{name}: what does not shrink is kept with codec none", kept)
    root = next(e["data"] for e in events if e["type"] == "MerkleRootComputed")
    completed = next(e["data"] for e in events if e["type"] == "SessionCompleted")
    checks.equal(f"{name}: Merkle root, by pymerkle", tree.get_root().hex(), root["root"])
    checks.equal(f"{name}: Merkle root, by RFC 9162", merkle_root(leaves).hex(), root["root"])
    checks.equal(f"{name}: leaf_count", root["leaf_count"], len(leaves))
    checks.check(
        f"{name}: the completed session's sums",
        completed["merkle_root"] == root["root"] and completed["size_bytes"] == len(data)
        and completed["chunk_count"] == len(leaves) and not completed["incomplete"]
        and completed["sealed_bytes"] == sum(fact["sealed_bytes"] for fact in stored.values()), completed)


def export_key(system, name, session):
    done = system.reel("keys", "export", session, "--json")
    checks.equal(f"{name}: keys export answers 0", done.returncode, 0) or print(done.stderr)
    key = json.loads(done.stdout)
    checks.equal(f"{name}: keys export names the session", key["session_id"], session)
    data_key = base64.b64decode(key["data_key"], validate=True)
    checks.equal(f"{name}: the data key has 32 bytes", len(data_key), 32)
    return key["key_id"], data_key


def check_key_stays_secret(system, redis, session, key_id, data_key, name):
    """The key itself stands in no event; taking it out left one."""
    last = cloud_event(redis.stream(session)[-1][1])
    checks.check(
        f"{name}: KeyExported says which key, and who took it",
        last["type"] == "KeyExported" and last["data"]["key_id"] == key_id and last.get("authid"), last)
    problems = SCHEMAS.problems(last)
    checks.check(f"{name}: KeyExported follows its schema", not problems, problems)
    secrets = [data_key, data_key.hex().encode(), base64.b64encode(data_key)]
    values = b"\n".join(value for _, pairs in redis.stream(session) for _, value in pairs)
    checks.check(f"{name}: no event holds the key", not any(s in values for s in secrets))


def check_recording(system, folder, recording, seed, kept):
    redis, name = system.redis(), recording.name
    session, data = record(system, folder, recording, seed)
    events = check_events(system, redis, name, session)
    check_history(name, events)
    key_id, data_key = export_key(system, name, session)
    check_files(system, recording, session, data, events, key_id, data_key)
    check_key_stays_secret(system, redis, session, key_id, data_key, name)
    back = folder / "back"
    back.unlink(missing_ok=True)
    done = system.reel("export", session, "-o", back)
    checks.check(f"{name}: export gives back the recorded bytes",
                 done.returncode == 0 and back.read_bytes() == data, done.stderr)
    done = system.reel("verify", session)
    checks.check(f"{name}: verify says yes", done.returncode == 0, f"{done.returncode} {done.stderr}")
    kept.append((recording, session, data, events + system.events(session)[len(events):], data_key))


def check_meta(redis):
    flat = redis("HGETALL", "reel:meta")
    meta = {k.decode(): v.decode() for k, v in zip(flat[::2], flat[1::2])}
    fields = {"format", "partitions", "created_at", "epoch"}
    checks.check("reel:meta has its fields", fields <= set(meta) and meta["format"] == "1", meta)
    streams = {k.decode() for k in redis("KEYS", "reel:{p*}:log")}
    names = {f"reel:{{p{n:03d}}}:log" for n in range(int(meta["partitions"]))}
    checks.check("streams are named by partition", streams and streams <= names, streams - names)
    misplaced = []
    for number in range(int(meta["partitions"])):
        for _, flat in redis("XRANGE", f"reel:{{p{number:03d}}}:log", "-", "+"):
            key = dict(zip(flat[::2], flat[1::2]))[b"partitionkey"].decode()
            if partition(key, int(meta["partitions"])) != number:
                misplaced.append((number, key))
    checks.check("every event stands in its partition", not misplaced, misplaced[:3])


def long_session_id(system, seed):
    """The caller's own id, as long as it may be: every id made from it keeps within its bound."""
    session = "".join(chr(ord("a") + (seed + n) % 26) for n in range(97)) + "_-7"
    done = system.reel("record", "-", "--name", "long", "--session-id", session, "--wait", stdin=b"x" * 5000)
    checks.equal("a session id of 100 characters: record answers 0", done.returncode, 0) or print(done.stderr)
    events = check_events(system, system.redis(), "a session id of 100 characters", session)
    check_history("a session id of 100 characters", events)
    checks.equal("a session id of 100 characters: verify", system.reel("verify", session).returncode, 0)
    again = system.reel("record", "-", "--name", "long", "--session-id", session, stdin=b"y")
    checks.check("the same session id again: status 1", again.returncode == 1 and again.stderr.strip(),
                 f"{again.returncode} {again.stderr}")


def main():
    seed = seed_of("interop")
    with Workspace("interop") as folder, System(folder / "data").start() as system:
        kept = []
        for number, recording in enumerate(RECORDINGS):
            with checks.section(recording.name):
                check_recording(system, folder, recording, seed + number, kept)
        with checks.section("a session id of 100 characters"):
            long_session_id(system, seed)
        with checks.section("reel:meta"):
            check_meta(system.redis())
        with checks.section("spool"):
            spool = system.endpoints.get("spool")
            if spool:
                left = eventually(lambda: not files_below(spool), 10)
                checks.check("the spool is empty when everything is stored", left, files_below(spool))
        with checks.section("read models"):
            readmodels.check(checks, system, kept)
        with checks.section("stop"):
            checks.equal("reel up ends with 0 when asked to", system.stop(), 0)
        with checks.section("stages that hand on through the spool"):
            again = [dataclasses.replace(r, name=f"unchained {r.name}") for r in RECORDINGS[1:8:3]]
            system.options = ["--no-chaining"]
            system.start()
            for number, recording in enumerate(again):
                check_recording(system, folder, recording, seed - number, kept)
            readmodels.check(checks, system, kept)
            for _, session, *_ in kept:
                status = system.reel("verify", session).returncode
                checks.equal(f"after a restart, verify {session}", status, 0)
    checks.finish()


if __name__ == "__main__":
    main()

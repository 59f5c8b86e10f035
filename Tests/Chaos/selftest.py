"""Proves that the checker can fail: damages copies of sound evidence, each of which must be noticed."""

import copy
import dataclasses
import os
import random
import shutil

import damage_archive


def entries_of(evidence, kind):
    """Places of all entries of an event type: partition, index."""
    return [
        (number, index) for number, entries in evidence.log.streams.items()
        for index, (_, pairs) in enumerate(entries) if dict(pairs)[b"type"] == kind]


def some_file(evidence, source):
    return source.choice(sorted(path for path in evidence.store.rglob("*.reel")))


def drop_event(kind):
    def damage(evidence, source):
        number, index = source.choice(entries_of(evidence, kind))
        del evidence.log.streams[number][index]
    return damage


def double_event(evidence, source):
    number, index = source.choice(entries_of(evidence, b"ChunkStored"))
    entries = evidence.log.streams[number]
    entries.insert(index + 1, entries[index])


def repeat_under_new_id(evidence, source):
    """A duplicate effect that takes the next sequence and another id: only its content tells."""
    number, index = source.choice(entries_of(evidence, b"ChunkSealed"))
    entries = evidence.log.streams[number]
    fields = dict(entries[index][1])
    last = max(int(dict(p)[b"sequence"]) for _, p in entries
               if dict(p)[b"partitionkey"] == fields[b"partitionkey"])
    fields |= {b"id": fields[b"id"] + b"-again", b"sequence": b"%012d" % (last + 1)}
    entries.append((entries[-1][0], list(fields.items())))


def remove_file(evidence, source):
    some_file(evidence, source).unlink()


def flip_bit(evidence, source):
    path = some_file(evidence, source)
    content = bytearray(path.read_bytes())
    content[source.randrange(len(content))] ^= 1 << source.randrange(8)
    path.write_bytes(content)


def add_file(evidence, source):
    path = some_file(evidence, source)
    shutil.copy(path, path.with_name("99999999.reel"))


def leave_unfinished(evidence, source):
    some_file(evidence, source).with_suffix(".tmp").write_bytes(b"half")


def put_in_place(make):
    """Something else stands where a chunk's file was."""
    def damage(evidence, source):
        path = some_file(evidence, source)
        moved = path.rename(evidence.store.parent / f"moved-{path.parent.name}")
        make(path, moved)
    return damage


def put_beside(evidence, source):
    os.mkfifo(some_file(evidence, source).with_name("00010000.reel"))


def forget_left(evidence, source):
    evidence.inflicted.left.add(f"{some_file(evidence, source).parent.name}/stray")


def forget_kept(evidence, source):
    """An event that had been archived is gone with an old Redis, without a gap in its session."""
    evidence.inflicted.kept.add("sess-gone/SessionCreated")


def notice(evidence, source):
    evidence.inflicted.noticed.append("p000: entries were cut out, and it was not halted")


def give_up(evidence, source):
    """A chunk was given up and not stored, though it was only something in its way that had to go."""
    number, index = source.choice(entries_of(evidence, b"ChunkStored"))
    entries = evidence.log.streams[number]
    entry, pairs = entries[index]
    fields = dict(pairs)
    evidence.inflicted.blocked.add(fields[b"partitionkey"].decode())
    fields |= {b"id": fields[b"id"] + b"-failed", b"type": b"ChunkFailed"}
    entries[index] = (entry, list(fields.items()))


def change_fed(evidence, source):
    told = max(evidence.told, key=lambda one: one.fed.stat().st_size)
    content = bytearray(told.fed.read_bytes())
    content[source.randrange(len(content))] ^= 1
    told.fed = evidence.store / "fed"
    told.fed.write_bytes(content)


def acknowledge_more(evidence, source):
    acknowledged = source.choice(evidence.told).acknowledged
    acknowledged[max(acknowledged) + 1] = 65536


def claim_more(evidence, source):
    told = source.choice(evidence.told)
    content = told.fed.read_bytes() + b"more"
    told.fed = evidence.store / "fed"
    told.fed.write_bytes(content)


def lift_in_document(evidence, source):
    """A document says that a case holds its session no longer; the log says that it does."""
    held = [document for document in evidence.documents["sessions"] if document["reel"]["holds"]]
    source.choice(held)["reel"]["holds"].pop()


def delete_held(evidence, source):
    """A held session was deleted."""
    number, index = source.choice(entries_of(evidence, b"LegalHoldSet"))
    entries = evidence.log.streams[number]
    fields = dict(entries[index][1])
    key = fields[b"partitionkey"]
    last = max(int(dict(p)[b"sequence"]) for _, p in entries if dict(p)[b"partitionkey"] == key)
    fields |= {
        b"id": key + b"/SessionDeleted", b"type": b"SessionDeleted", b"sequence": b"%012d" % (last + 1),
        b"dataschema": b"urn:reel:event:SessionDeleted:1", b"data": b'{"session_id":"%s"}' % key}
    entries.append((entries[-1][0], list(fields.items())))


def damage_export(change):
    def damage(evidence, source):
        sent = max(evidence.sent, key=lambda one: one.acknowledged)
        content = change(sent.export.read_bytes(), source)
        sent.export = evidence.store / "export"
        sent.export.write_bytes(content)
    return damage


def double_part(content, source):
    at = source.randrange(1024, len(content))
    return content[:at] + content[at - 1024:]


def swap_parts(content, source):
    at = source.randrange(2048, len(content))
    return content[:at - 2048] + content[at - 1024:at] + content[at - 2048:at - 1024] + content[at:]


def leave_part_out(content, source):
    at = source.randrange(1024, len(content))
    return content[:at - 1024] + content[at:]


def promise_more(evidence, source):
    sent = max(evidence.sent, key=lambda one: one.acknowledged)
    sent.acknowledged = sent.source.stat().st_size + 1


def drop_document(kind):
    def damage(evidence, source):
        evidence.documents[kind].remove(source.choice(evidence.documents[kind]))
    return damage


def double_document(kind):
    def damage(evidence, source):
        evidence.documents[kind].append(source.choice(evidence.documents[kind]))
    return damage


def drop_index(evidence, source):
    name = source.choice(sorted(evidence.indexes))
    evidence.indexes[name] = [index for index in evidence.indexes[name] if index == "_id_"]


def change_document(kind, field, change):
    def damage(evidence, source):
        place = source.choice(evidence.documents[kind])
        *path, last = field.split(".")
        for name in path:
            place = place[name]
        place[last] = change(place[last])
    return damage


# What is done, and where it must be found.
DAMAGE = [
    ("an event of a stage is missing from the log", drop_event(b"ChunkCompressed"), "skipped"),
    ("a recorded chunk's event is missing from the log", drop_event(b"ChunkRecorded"), "lost"),
    ("a session's end is missing from the log", drop_event(b"SessionCompleted"), "lost"),
    ("an event stands twice in the log", double_event, "duplicated"),
    ("an event happened again under another id", repeat_under_new_id, "duplicated"),
    ("a file is missing", remove_file, "lost"),
    ("a bit of a file is flipped", flip_bit, "lost"),
    ("a file that the log doesn't know", add_file, "duplicated"),
    ("an unfinished file in the chunk store", leave_unfinished, "odd"),
    ("a FIFO stands in a file's place", put_in_place(lambda path, _: os.mkfifo(path)), "lost"),
    ("a link to the file itself stands in its place",
     put_in_place(lambda path, moved: path.symlink_to(moved)), "lost"),
    ("a folder stands in a file's place", put_in_place(lambda path, _: path.mkdir()), "lost"),
    ("a FIFO was left beside the files", put_beside, "odd"),
    ("what others put beside the files was taken away", forget_left, "odd"),
    ("a chunk with something in its way was given up for good", give_up, "lost"),
    ("an event that was archived is not in the log any more", forget_kept, "lost"),
    ("what was noticed while it happened", notice, "odd"),
    ("what went in is not what is stored", change_fed, "lost"),
    ("a chunk was acknowledged that is nowhere", acknowledge_more, "lost"),
    ("a recorder said all is recorded, and it isn't", claim_more, "lost"),
    ("a held session was deleted", delete_held, "lost"),
    ("a document does not show that a case holds its session", lift_in_document, "skipped"),
    ("a part of a stream is given out twice", damage_export(double_part), "duplicated"),
    ("two parts of a stream are given out in the wrong order", damage_export(swap_parts), "lost"),
    ("a part of a stream is not given out", damage_export(leave_part_out), "lost"),
    ("the end of a stream is not given out", damage_export(lambda content, _: content[:-1]), "lost"),
    ("a sender was told of more than there is", promise_more, "lost"),
    ("a session has no document", drop_document("sessions"), "skipped"),
    ("a chunk has no document", drop_document("chunks"), "skipped"),
    ("a pipeline has no document", drop_document("pipeline"), "skipped"),
    ("a record of who did what has no document", drop_document("audit"), "skipped"),
    ("a record of who did what has two documents", double_document("audit"), "duplicated"),
    ("a record of who did what says something else",
     change_document("audit", "outcome", lambda _: "denied"), "skipped"),
    ("a collection has lost its indexes", drop_index, "odd"),
    ("a session has two documents", double_document("sessions"), "duplicated"),
    ("a chunk has two documents", double_document("chunks"), "duplicated"),
    ("a session's status is another",
     change_document("sessions", "status", lambda _: "recording"), "skipped"),
    ("a session's document is behind", change_document("sessions", "version", lambda v: v - 1), "skipped"),
    ("a chunk was counted twice",
     change_document("sessions", "statistics.chunks_count", lambda n: n + 1), "duplicated"),
    ("a chunk was not counted",
     change_document("sessions", "statistics.chunks_count", lambda n: n - 1), "skipped"),
    ("a chunk's size is another", change_document("chunks", "size_bytes", lambda n: n - 1), "skipped"),
    ("a chunk's hash is another", change_document("chunks", "merkle_hash", lambda h: h[::-1]), "skipped"),
    ("a pipeline's version is behind", change_document("pipeline", "version", lambda v: v - 1), "skipped"),
]


def copied(evidence, log, store):
    """Evidence that may be damaged."""
    return dataclasses.replace(
        evidence, store=store, documents=copy.deepcopy(evidence.documents), told=copy.deepcopy(evidence.told),
        sent=copy.deepcopy(evidence.sent), indexes=copy.deepcopy(evidence.indexes),
        inflicted=copy.deepcopy(evidence.inflicted),
        log=dataclasses.replace(
            log, streams={n: list(e) for n, e in log.streams.items()},
            segments={n: dict(s) for n, s in log.segments.items()}, trimmed=copy.deepcopy(log.trimmed)))


def run(check, evidence, folder, seed):
    """Every kind of damage, on a copy each; prints a line for each, answers the exit status."""
    clean = check(evidence)
    wrong = []

    def say(holds, name):
        wrong.extend([] if holds else [name])
        print(f"{'PASS' if holds else 'FAIL'} chaos: the checker {name}", flush=True)

    say(clean.sound() and clean.acknowledged and clean.sent and clean.sessions, "finds sound evidence sound")
    say(clean.archived and clean.archived < clean.events, "has a log before it that is archived in part")
    flat = damage_archive.flattened(evidence.log)
    cases = [(*case, flat) for case in DAMAGE] + [(*case, evidence.log) for case in damage_archive.DAMAGE]
    for number, (name, damage, where, log) in enumerate(cases):
        store = folder / "damaged"
        shutil.copytree(evidence.store, store)
        damaged = copied(evidence, log, store)
        damage(damaged, random.Random(seed + number))
        found = getattr(check(damaged), where)
        shutil.rmtree(store)
        say(found, f"notices: {name}")
    for name, change in damage_archive.HARMLESS:
        unharmed = copied(evidence, evidence.log, evidence.store)
        change(unharmed, random.Random(seed))
        say(check(unharmed).sound(), f"minds nothing: {name}")
    return 1 if wrong else 0

#!/usr/bin/env python3
"""Several senders of one recording, senders that freeze and wake, sources that end early, and pauses: what
was acknowledged is given out once and in order, and nothing that ended early is called complete.

Arguments name the parts to run; without any all are.
"""

import concurrent.futures
import datetime
import json
import os
import signal
import subprocess
import sys
import time

import pymongo

from between import crowded, nothing, waiting
from kit import REEL, UNLIMITED, Checks, System, Workspace, environment, eventually, mixed, seed_of
from roles import Service
from sending import Recorder, Sender, media, piped, progress, recording, stopped, token_of

checks = Checks("senders")


class Scene:
    """A system, its own Recorder, and a second one that parts may hurt."""

    def __init__(self, system, other, folder, seed):
        self.system, self.other, self.folder, self.seed = system, other, folder, seed
        self.checks = checks
        self.here = Service(system.endpoints["recorder_url"].removesuffix("/api/v1"), token_of(system))
        self.api = Service(system.endpoints["api_url"].removesuffix("/api/v1"), self.here.token)

    def with_recorder(self, name):
        """The same with another second Recorder."""
        return Recorder(self.system, self.folder, name, *UNLIMITED)

    def stop(self, session, service=None):
        return (service or self.here).ask("POST", f"/recordings/{session}/stop")[0]

    def whole(self, what, session, expected, incomplete=False):
        """The session ends as it should, with these bytes."""
        found = media(self.system, session)
        checks.equal(f"{what}: what is given out", found, expected)
        ended = stopped(self.system, session) or {}
        checks.equal(f"{what}: incomplete", ended.get("incomplete"), incomplete)
        if found is not None:
            done = self.system.reel("verify", session)
            checks.check(f"{what}: sound", done.returncode == 0, done.stderr)

    def has(self, session, offset, seconds=30, service=None):
        """Whether the recording has come to this place."""
        return eventually(lambda: progress(service or self.here, session)["next_offset"] == offset, seconds)


def overlapping(scene):
    """Two senders that know nothing of each other, the second while the first is at it."""
    def one(number):
        other = scene.other if number % 2 else scene.here
        session = recording(scene.here)
        first = Sender(scene.here, session)
        first.send(b"AAAA")
        time.sleep(0.57)  # the first one's bytes have to arrive, and more of it to come
        second = Sender(other, session)
        second.send(b"BBB")
        time.sleep(0.02 * (number % 3))
        first.send(b"CC")
        statuses = [sender.finish() for sender in (first, second)]
        scene.stop(session)
        return session, statuses

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(one, range(8)))
    for session, ((first, one), (second, two)) in sessions:
        # Whoever was told of success has its bytes in one piece; who was refused, those before that at most.
        allowed = {
            (201, 201): {b"AAAACCBBB", b"BBBAAAACC"}, (409, 201): {b"AAAABBB", b"BBB"},
            (201, 409): {b"AAAACC"},
        }.get((first, second), set())
        found = media(scene.system, session)
        checks.check(f"two senders, answered {first} and {second}", found in allowed, (found, one, two))


def frozen(scene):
    """A sender stands still, another one goes on, and the first comes back."""
    def one(what, other, wakes):
        session = recording(scene.here)
        first = Sender(scene.here, session, "?offset=0")
        first.send(b"first ")
        checks.check(f"frozen sender, {what}: its bytes come into the log", scene.has(session, 6))
        first.freeze()
        second = Sender(other, session, "?offset=6")
        second.send(b"second ")
        status, answer = second.finish()
        checks.equal(f"frozen sender, {what}: it is resumed", (status, answer.get("next_offset")), (201, 13))
        first.send(b"first again ")
        if wakes:
            first.wake()
            status, answer = first.finish()
            place = answer.get("error", {}).get("details", {}).get("next_offset")
            checks.equal(f"frozen sender, {what}: it is told", (status, place), (409, 13))
            scene.stop(session)
        else:
            scene.stop(session)
            first.kill()
        scene.whole(f"frozen sender, {what}", session, b"first second ")

    cases = [("here", scene.here, True), ("over another process", scene.other, True),
             ("killed", scene.here, False)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda case: one(*case), cases))


def frozen_process(scene):
    """The process that holds a sender's bytes stands still."""
    with scene.with_recorder("frozen") as other:
        for what, query in (("with an offset", "?offset=0"), ("without", "")):
            session = recording(scene.here)
            first = Sender(other, session, query)
            first.send(b"lost to all")
            time.sleep(1)  # for the bytes to arrive there; nobody can be asked whether they have
            other.signal(signal.SIGSTOP)
            second = Sender(scene.here, session, query)
            second.send(b"resumed")
            status, _ = second.finish()
            other.signal(signal.SIGCONT)
            told, answer = first.finish()
            checks.equal(
                f"a frozen Recorder, {what}: resumed, and refused when it wakes", (status, told), (201, 409))
            checks.equal(f"a frozen Recorder, {what}: where to go on",
                         answer.get("error", {}).get("details", {}).get("next_offset"), 7)
            scene.stop(session)
            scene.whole(f"a frozen Recorder, {what}", session, b"resumed")


def early(scene):
    """A stream that is refused learns it while it sends, not when it has sent everything."""
    session = recording(scene.here)
    first = Sender(scene.here, session)
    first.send(b"AAAA")
    time.sleep(1)  # for the bytes to arrive
    second = Sender(scene.other, session)
    second.send(b"BB")
    second.finish()
    first.send(b"CC")
    status, answer = first.answer(10)
    checks.equal("a sender that lost its place is told at its next bytes",
                 (status, answer.get("error", {}).get("code")), (409, "REEL_ERR_3004"))
    scene.stop(session)
    scene.whole("a sender that lost its place", session, b"AAAABB")


def first_chunk_seconds(scene, session):
    """From the arrival of a recording's first byte to the event of its first chunk; None before that."""
    events = map(json.loads, scene.system.reel("events", session, "--json").stdout.splitlines())
    chunk = next((event for event in events if event["type"] == "ChunkRecorded"), None)
    if not chunk:
        return None
    arrived, recorded = (datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
                         for text in (chunk["data"]["timestamp"], chunk["time"]))
    return (recorded - arrived).total_seconds()


def idle(scene):
    """Within ten seconds what has come is safe, though nothing more comes: kill -9 takes nothing of it."""
    with scene.with_recorder("idle") as other:
        session = recording(scene.here)
        senders = [Sender(other, recording(scene.here)) for _ in range(20)]
        first = Sender(other, session)
        first.send(b"AAAA")
        for sender in senders:
            sender.send(b"x")
        with subprocess.Popen(
                [REEL, "record", "-", "--name", "idle", "--data", str(scene.system.data)], env=environment(),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as recorder:
            recorder.stdin.write(b"BBBB")
            recorder.stdin.flush()
            name = recorder.stdout.readline().decode().strip()
            for what, one in (("an idle stream", session), ("idle standard input", name)):
                # A busy machine takes its time to bring bytes and answers; what is promised is between those.
                eventually(lambda: first_chunk_seconds(scene, one) is not None, 30)
                seconds = first_chunk_seconds(scene, one)
                checks.check(f"{what} is in the log ten seconds after its first byte",
                             seconds is not None and seconds <= 10, seconds)
            other.kill()
            recorder.kill()
        for sender in [first, *senders]:
            sender.kill()
        other.start()
        checks.equal("kill -9 takes nothing of it", progress(other, session)["next_offset"], 4)
        scene.stop(session)
        scene.whole("a Recorder that was killed with a stream open", session, b"AAAA", incomplete=True)


def shrinking(scene):
    """Files that are not what they were when the recording began."""
    def damage(path, way):
        before = os.stat(path)
        if way == "cut off":
            os.truncate(path, 40 << 20)
        elif way.startswith("cut off and filled again"):
            os.truncate(path, 0)
            with open(path, "wb") as file:
                file.truncate(96 << 20)
        elif way.startswith("grown"):
            with open(path, "ab") as file:
                file.write(b"more")
        if "time" in way:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def one(way, as_input=False):
        path = scene.folder / way.replace(" ", "-").replace(",", "")
        source = mixed(scene.seed, 1 << 20)
        with open(path, "wb") as file:
            for _ in range(96):
                file.write(source)
        with open(path, "rb") as standard_input:
            recorder = subprocess.Popen(
                [REEL, "record", "-" if as_input else path, "--name", way, "--chunk-size", "1", "--verbose",
                 "--data", str(scene.system.data)],
                stdin=standard_input if as_input else subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env=environment())
        for line in recorder.stderr:
            if b"chunk 3 recorded" in line:
                break
        damage(path, way)
        said = recorder.stderr.read().decode(errors="replace")
        name = recorder.stdout.read().decode().strip()
        status = recorder.wait(120)
        what = f"a file that is {way} while it is recorded{', as standard input' if as_input else ''}"
        if way == "left alone":
            checks.equal(f"{what}: status", status, 0)
        else:
            checks.equal(f"{what}: status", status, 1)
            checks.check(f"{what}: it is said", "while it was read" in said and "keeps" in said, said[-600:])
        if "time" in way:
            # Who reads just when it is empty has met its end, and needs no times.
            is_met = "filled again" in way and "cut off while it was read" in said
            checks.check(f"{what}: and what tells of it",
                         is_met or "(ctime)" in said and "(mtime)" not in said, said[-600:])
        ended = stopped(scene.system, name) or {}
        checks.equal(f"{what}: incomplete", ended.get("incomplete"), way != "left alone")
        found = media(scene.system, name, 120)
        expected = source * 96
        size = ended.get("size_bytes", 0)
        if "filled again" not in way:
            checks.check(
                f"{what}: what was recorded is what was there", found == expected[:size], len(found or b""))
        path.unlink()

    for way in ("cut off", "cut off and filled again", "grown", "left alone",
                "cut off and filled again, its time put back", "grown, its time put back"):
        one(way)
    one("cut off", as_input=True)


def pauses(scene):
    """A pause holds a stream: the same connection goes on afterwards."""
    def one(what, service, seconds):
        session = recording(scene.here)
        sender = Sender(scene.here, session)
        sender.send(b"before ")
        time.sleep(1)  # for the bytes to arrive
        path = f"/recordings/{session}"
        checks.equal(f"pause {what}: what came is recorded",
                     service.ask("POST", path + "/pause")[1]["progress"]["next_offset"], 7)
        sender.send(b"meanwhile ")
        dropped = eventually(lambda: progress(service, session)["dropped_bytes"] == 10, 20)
        checks.check(
            f"pause {what}: what comes meanwhile is dropped, and said", dropped, progress(service, session))
        time.sleep(seconds)
        service.ask("POST", path + "/resume")
        time.sleep(1)  # in another process it is noticed a moment later
        sender.send(b"after")
        status, answer = sender.finish()
        checks.equal(f"pause {what}: the stream goes on",
                     (status, answer.get("recorded_bytes"), answer.get("dropped_bytes")), (201, 12, 10))
        scene.stop(session)
        scene.whole(f"pause {what}", session, b"before after")

    # For longer than a connection may be quiet otherwise.
    cases = [("here", scene.here, 32), ("over another process", scene.other, 0)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        more = pool.submit(refused_while_paused, scene), pool.submit(recorder_pauses, scene)
        list(pool.map(lambda case: one(*case), cases))
        for part in more:
            part.result()


def refused_while_paused(scene):
    session = recording(scene.here)
    sender = Sender(scene.here, session, "?while_paused=refuse")
    sender.send(b"before")
    time.sleep(1)  # for the bytes to arrive
    scene.here.ask("POST", f"/recordings/{session}/pause")
    sender.send(b"meanwhile")
    status, answer = sender.answer(10)
    checks.equal("a sender that wants to be told of a pause",
                 (status, answer.get("error", {}).get("details", {}).get("next_offset")), (409, 6))


def recorder_pauses(scene):
    """`reel record` of a file waits for the end of a pause, and loses nothing."""
    path, source = scene.folder / "paused", mixed(scene.seed + 1, 64 << 20)
    path.write_bytes(source)
    recorder = subprocess.Popen(
        [REEL, "record", path, "--name", "paused", "--chunk-size", "0.25", "--verbose", "--session-id",
         f"paused-{scene.seed}", "--data", str(scene.system.data)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    for line in recorder.stderr:
        if b"chunk 5 recorded" in line:
            break
    session = f"paused-{scene.seed}"
    status = scene.here.ask("POST", f"/recordings/{session}/pause")[0]
    # It takes what it has in hand along into the pause, and nothing more.
    before = progress(scene.here, session)["next_offset"]
    time.sleep(1.5)
    after = progress(scene.here, session)["next_offset"]
    checks.check("a paused file waits", status == 200 and before == after and recorder.poll() is None,
                 (status, before, after, recorder.poll()))
    scene.here.ask("POST", f"/recordings/{session}/resume")
    recorder.stderr.read()
    checks.equal("a paused file: status", recorder.wait(120), 0)
    scene.whole("a paused file", session, source)


def strangers(scene):
    """Others send into the session that `reel record` makes."""
    for what in ("a stream", "a chunk with a number"):
        session = f"stranger-{scene.seed}-{what.split()[1]}"
        recorder = piped(scene.system, session, "--chunk-size", "0.0625", stderr=subprocess.PIPE)
        recorder.stdin.write(b"R" * 65536 + b"rest")
        recorder.stdin.flush()
        scene.has(session, 65536)
        if what == "a stream":
            sender = Sender(scene.here, session)
            sender.send(b"stream")
            status, _ = sender.finish()
            checks.equal("a stream beside reel record: it takes over", status, 201)
        else:
            status, _ = scene.api.ask(
                "POST", f"/api/v1/sessions/{session}/chunks?sequence_number=2&timestamp=2026-11-21T10:00:00Z",
                b"number")
            checks.equal("a chunk beside reel record: it is taken", status, 201)
        said = recorder.communicate(b"more", timeout=60)[1].decode()
        checks.check(f"{what} beside reel record: status 1, and why",
                     recorder.returncode == 1 and ("taken over" in said or "goes on at" in said),
                     (recorder.returncode, said[-400:]))
        scene.stop(session)
        own = b"rest" if what == "a stream" else b""
        scene.whole(f"{what} beside reel record", session, b"R" * 65536 + own + what.split()[-1].encode(),
                    incomplete=what != "a stream")


def racing(scene):
    """Uploads and streams that race with a stop are taken, or refused with 409."""
    def one(number):
        session = recording(scene.here)
        path = f"/api/v1/sessions/{session}/chunks?sequence_number=1&timestamp=2026-11-21T10:00:00Z"
        body = bytes(200_000)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            upload = pool.submit(scene.api.ask, "POST", path, body)
            stream = pool.submit(scene.other.ask, "POST", f"/chunks/{session}/process", body)
            time.sleep(0.004 * (number % 12))
            stop = pool.submit(scene.stop, session)
            results = upload.result(), stream.result(), stop.result()
        # The stream's chunk may be the very chunk that is uploaded: then it is there already.
        sizes = sum(answer.get("size_bytes", answer.get("recorded_bytes", 0))
                    for status, answer in results[:2] if status == 201)
        return session, [results[0][0], results[1][0]], results, sizes

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        rounds = list(pool.map(one, range(24)))
    codes = {"REEL_ERR_3003", "REEL_ERR_3004"}
    wrong = [(statuses, results) for _, statuses, results, _ in rounds
             if not set(statuses) <= {200, 201, 409}
             or any(s == 409 and a["error"]["code"] not in codes for s, a in results[:2])]
    checks.equal("whoever races with a stop is taken or refused", wrong, [])
    lost = [(session, sizes) for session, _, _, sizes in rounds
            if (stopped(scene.system, session) or {}).get("size_bytes") != sizes]
    checks.equal("and what was taken is there, the rest is not", lost, [])


def keyless(scene):
    """A key that is gone is named."""
    session = recording(scene.here)
    client = pymongo.MongoClient(scene.system.endpoints["mongodb_vault_url"], serverSelectionTimeoutMS=10_000)
    with client:
        gone = client["reel_vault"]["keys"].delete_one({"session_id": session})
    checks.equal("a key is taken away", gone.deleted_count, 1)
    path = f"/api/v1/sessions/{session}/chunks?sequence_number=1&timestamp=2026-11-21T10:00:00Z"
    for what, (status, answer) in [
            ("an upload", scene.api.ask("POST", path, b"x")),
            ("a stream", scene.other.ask("POST", f"/chunks/{session}/process", b"x"))]:
        error = answer.get("error", {}) if isinstance(answer, dict) else {}
        checks.equal(f"{what} without its key: status, code, category",
                     (status, error.get("code"), error.get("details", {}).get("category")),
                     (500, "REEL_ERR_3009", "admin_required"))
        checks.check(f"{what} without its key: it is named", session in error.get("message", "")
                     and "reel_vault" in error.get("message", ""), error)


# The long ones first; most of them wait most of the time.
PARTS = [pauses, idle, shrinking, frozen, frozen_process, overlapping, strangers, racing, early, crowded,
         nothing, waiting, keyless]


def main():
    seed = seed_of("senders")
    wanted = [part for part in PARTS if not sys.argv[1:] or part.__name__ in sys.argv[1:]]
    with Workspace("senders") as folder:
        with System(folder / "data", *UNLIMITED) as system, \
                Recorder(system, folder, "other", *UNLIMITED) as other:
            scene = Scene(system, other, folder, seed)

            def run(part):
                with checks.section(part.__name__):
                    began = time.monotonic()
                    part(scene)
                    print(f"senders: {part.__name__}: {time.monotonic() - began:.1f} s", flush=True)

            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                list(pool.map(run, wanted))
            parked = system.reel("parked", "list", "--json").stdout.decode()
            checks.check("nothing is parked after all", "ChunkRecorded" not in parked, parked)
    checks.finish()


if __name__ == "__main__":
    main()

"""Parts of senders.py: requests that bring nothing beside a stream, chunks that wait for a stream's, and bytes
that wait for room."""

import json
import subprocess

from kit import UNLIMITED
from sending import Recorder, Sender, in_hand, piped, recording

# So many chunks are taken ahead of the stages (ops/docs/limits.md).
AHEAD = 64
CHUNK = 1 << 16


def nothing(scene):
    """Requests that bring nothing take no stream away, and hide nothing that is missing."""
    session = recording(scene.here)
    first = Sender(scene.here, session)
    first.send(b"AAAA")
    scene.checks.check("a stream is at it", in_hand(scene.system, session, 4))
    status, _ = scene.here.ask("POST", f"/chunks/{session}/process", b"")
    scene.checks.equal("an empty body is refused", status, 422)
    first.send(b"CC")
    scene.checks.equal("and takes nobody's stream", first.finish()[0], 201)
    scene.stop(session)
    scene.whole("a stream beside an empty body", session, b"AAAACC")

    session = recording(scene.here)
    first = Sender(scene.other, session)
    first.send(b"AAAA")
    scene.checks.check("a stream is at it in another process", in_hand(scene.system, session, 4))
    second = Sender(scene.here, session)
    scene.checks.equal("an empty body of unknown length is refused", second.finish()[0], 422)
    first.send(b"CC")
    scene.checks.equal("the stream that it took is refused", first.finish()[0], 409)
    scene.stop(session)
    scene.whole("a stream that an empty body took", session, b"AAAA", incomplete=True)

    session = f"nothing-{scene.seed}"
    recorder = piped(scene.system, session, "--chunk-size", "0.0625", stderr=subprocess.DEVNULL)
    recorder.stdin.write(b"R" * 65536 + b"rest")
    recorder.stdin.flush()
    scene.has(session, 65536)
    recorder.kill()
    recorder.wait()
    Sender(scene.here, session).finish()
    scene.stop(session)
    scene.whole("a recorder that died before an empty body", session, b"R" * 65536, incomplete=True)


def waiting(scene):
    """Chunks with numbers that wait for a stream's."""
    def upload(session, number, data):
        path = f"/api/v1/sessions/{session}/chunks?sequence_number={number}&timestamp=2026-11-21T10:00:00Z"
        return scene.api.ask("POST", path, data)[0]

    session = recording(scene.here)
    stream = Sender(scene.other, session)
    stream.send(b"AAAA")
    scene.checks.check("a stream is at it before its chunk", in_hand(scene.system, session, 4))
    scene.checks.equal("a chunk waits for a stream's", upload(session, 2, b"number"), 202)
    scene.checks.equal("the stream ends", stream.finish()[0], 201)
    scene.checks.check("the chunk that waited follows it", scene.has(session, 10))
    scene.stop(session)
    scene.whole("a chunk behind a stream", session, b"AAAAnumber")

    for number, left in ((2, False), (3, True)):
        session = f"waiting-{scene.seed}-{number}"
        recorder = piped(scene.system, session, "--json", "--wait", stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
        recorder.stdin.write(b"AAAA")
        recorder.stdin.flush()
        scene.checks.check(f"reel record before chunk {number}: it is at it",
                           in_hand(scene.system, session, 4))
        scene.checks.equal(f"reel record before chunk {number}: the chunk waits",
                           upload(session, number, b"number"), 202)
        said, told = recorder.communicate(timeout=60)
        answer = json.loads(said)
        scene.checks.equal(f"reel record before chunk {number}: status, incomplete",
                           (recorder.returncode, answer["incomplete"]), (1 if left else 0, left))
        scene.checks.equal(f"reel record before chunk {number}: it says so", b"incomplete" in told, left)
        scene.whole(f"reel record before chunk {number}", session, b"AAAA" + (b"" if left else b"number"),
                    incomplete=left)


def crowded(scene):
    """A stop while a stream has brought more than there is room for."""
    with Recorder(scene.system, scene.folder, "crowded", *UNLIMITED, "--chunk-size", "0.0625") as small:
        for what, stopper in (("in the same process", small), ("in another process", scene.here)):
            session = recording(small)
            # Until it is stopped nothing makes room.
            status, _ = scene.api.ask("POST", f"/api/v1/sessions/{session}/pipeline/pause")
            scene.checks.equal(f"{what}: the stages pause", status, 200)
            stream = Sender(small, session)
            stream.send(b"F" * (AHEAD * CHUNK) + b"rest")
            scene.checks.check(f"{what}: there is room for no more", scene.has(session, AHEAD * CHUNK))
            scene.checks.equal(f"{what}: it is stopped", scene.stop(session, stopper), 200)
            scene.checks.equal(f"{what}: the rest is refused", stream.finish()[0], 409)
            scene.whole(f"a stop {what} before there was room", session, b"F" * (AHEAD * CHUNK),
                        incomplete=True)

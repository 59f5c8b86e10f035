"""Parts of senders.py: requests that bring nothing beside a stream, and chunks that wait for a stream's."""

import json
import subprocess
import time

from kit import REEL, environment, eventually
from sending import Sender, recording


def nothing(scene):
    """Requests that bring nothing take no stream away, and hide nothing that is missing."""
    session = recording(scene.here)
    first = Sender(scene.here, session)
    first.send(b"AAAA")
    time.sleep(0.57)  # the first one's bytes have to arrive
    status, answer = scene.here.ask("POST", f"/chunks/{session}/process", b"")
    scene.checks.equal("an empty body is refused", status, 422)
    first.send(b"CC")
    scene.checks.equal("and takes nobody's stream", first.finish()[0], 201)
    scene.stop(session)
    scene.whole("a stream beside an empty body", session, b"AAAACC")

    session = recording(scene.here)
    first = Sender(scene.other, session)
    first.send(b"AAAA")
    time.sleep(0.57)
    scene.checks.equal("an empty body of unknown length is refused", Sender(scene.here, session).finish()[0], 422)
    first.send(b"CC")
    scene.checks.equal("the stream that it took is refused", first.finish()[0], 409)
    scene.stop(session)
    scene.whole("a stream that an empty body took", session, b"AAAA", incomplete=True)

    session = f"nothing-{scene.seed}"
    recorder = subprocess.Popen(
        [REEL, "record", "-", "--name", "n", "--session-id", session, "--chunk-size", "0.0625", "--data",
         str(scene.system.data)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=environment())
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
    time.sleep(0.57)  # its first bytes have to arrive
    scene.checks.equal("a chunk waits for a stream's", upload(session, 2, b"number"), 202)
    scene.checks.equal("the stream ends", stream.finish()[0], 201)
    scene.checks.check("the chunk that waited follows it", scene.has(session, 10))
    scene.stop(session)
    scene.whole("a chunk behind a stream", session, b"AAAAnumber")

    for number, left in ((2, False), (3, True)):
        session = f"waiting-{scene.seed}-{number}"
        recorder = subprocess.Popen(
            [REEL, "record", "-", "--name", "n", "--session-id", session, "--json", "--wait", "--data",
             str(scene.system.data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=environment())
        recorder.stdin.write(b"AAAA")
        recorder.stdin.flush()
        eventually(lambda: upload(session, number, b"number") == 202, 30)
        said, told = recorder.communicate(timeout=60)
        answer = json.loads(said)
        scene.checks.equal(f"reel record before chunk {number}: status, incomplete",
                     (recorder.returncode, answer["incomplete"]), (1 if left else 0, left))
        scene.checks.equal(f"reel record before chunk {number}: it says so", b"incomplete" in told, left)
        scene.whole(f"reel record before chunk {number}", session, b"AAAA" + (b"" if left else b"number"),
                    incomplete=left)

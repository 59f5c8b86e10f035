#!/usr/bin/env python3
"""Films: what a file says of itself is shown as facts, what nobody states is absent, and no file, however it
is broken or whatever it names, keeps its own recording from going on."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import time

import jsonschema

from kit import REEL, SCHEMAS, UNLIMITED, Checks, System, Workspace, environment, eventually, seed_of

checks = Checks("films")
SETTINGS = {"REEL_DISK_RESERVE_MB": "0"}
CREATED = json.loads((SCHEMAS / "events" / "SessionCreated.v2.json").read_text())
FACTS = jsonschema.Draft202012Validator(CREATED["properties"]["media"])
# The argument by which the program looks into a film, in a process of its own.
LOOK = "internal-look-into-film"
LOOK_SECONDS = 5


def make(path, *options):
    """A film of four seconds: 1280x720, 25 pictures a second, with a tone."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=4",
         "-f", "lavfi", "-i", "sine=frequency=440:duration=4", "-c:v", "mpeg4", "-q:v", "20", *options,
         str(path)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"ffmpeg: {done.stderr[-400:]}")
    return path


def look(path, folder=None):
    """Looks into a file as `reel record` does: exit status, facts or None, and seconds."""
    reading, writing = os.pipe()
    began = time.monotonic()
    with open(path, "rb") as film:
        process = subprocess.Popen(
            [REEL, LOOK, str(film.fileno()), str(writing)], pass_fds=[film.fileno(), writing],
            cwd=folder or "/", env={"SWIFT_BACKTRACE": "enable=no"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(writing)
        try:
            status = process.wait(LOOK_SECONDS * 3)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    return status, json.loads(text) if text else None, time.monotonic() - began


class Recorded:
    """A recording of a file, and everything that is shown of it."""

    def __init__(self, system, path, *options):
        done = system.reel("record", path, "--name", path.name, "--wait", *options, timeout=120)
        self.name, self.status, self.remarks = path.name, done.returncode, done.stderr
        self.session = done.stdout.decode().strip()
        self.created = system.events(self.session)[0]

        def completed():
            shown = system.reel("sessions", "show", self.session, "--json")
            found = json.loads(shown.stdout) if shown.returncode == 0 else {}
            return found if found.get("status") == "completed" else None
        self.shown = eventually(completed, 30) or {}
        self.statistics = self.shown.get("statistics", {})

    def is_recorded(self):
        remark = [line for line in self.remarks.splitlines() if line.startswith("reel record:")]
        checks.equal(f"{self.name}: it is recorded", (self.status, remark), (0, []))


def stated(part):
    """What of a configuration is stated."""
    return {name: value for name, value in (part or {}).items() if value is not None}


def facts(system, work):
    """Films of several containers."""
    films = {
        "matroska,webm": make(work / "film.mkv"), "mov,mp4,m4a,3gp,3g2,mj2": make(work / "film.mp4"),
        "avi": make(work / "film.avi"),
    }
    for container, path in films.items():
        film = Recorded(system, path)
        name = path.name
        film.is_recorded()
        media = film.shown["reel"]["media"]
        found = stated(media)
        checks.equal(f"{name}: container, size, picture and sound", [
            media["container"], media["size_bytes"], media["width"], media["height"], media["audio"]],
            [container, path.stat().st_size, 1280, 720, True])
        checks.check(f"{name}: its length and rate", abs(media["duration_seconds"] - 4) < 0.2
                     and abs(media["frame_rate"] - 25) < 0.1, found)
        checks.equal(f"{name}: they are in the session's first event", film.created["data"]["media"], found)
        errors = list(jsonschema.Draft202012Validator(CREATED).iter_errors(film.created["data"]))
        checks.equal(f"{name}: which has its schema", [
            film.created["dataschema"], [error.message for error in errors]], [CREATED["$id"], []])
        checks.equal(f"{name}: no desktop is shown", film.shown["rdp_config"], None)
        checks.equal(f"{name}: of the recording what the film says, and how it is kept", stated(
            film.shown["recording_config"]), {
                "frame_rate": 25, "resolution": "1280x720", "audio_enabled": True, "compression": "zstd"})
        checks.equal(f"{name}: a recording of four seconds", film.statistics["duration_seconds"], 4)
        checks.check(f"{name}: its rate is the film's", abs(film.statistics["average_fps"] - 25) < 0.1,
                     film.statistics)
        if media["frame_count"] is not None:
            frames = media["frame_count"]
            checks.equal(f"{name}: its frames are the film's", film.statistics["frame_count"], frames)
            checks.check(f"{name}: 25 a second", abs(frames - 100) <= 1, media)
        line = next(line for line in system.reel("sessions", "list").stdout.decode().splitlines()
                    if line.startswith(film.session))
        checks.check(f"{name}: and so in the list", " 4 " in line, line)
        target = work / "out"
        system.reel("export", film.session, "-o", target)
        checks.check(f"{name}: it comes back byte for byte", target.read_bytes() == path.read_bytes())
    return films


def no_films(system, work):
    """Files that are none, or are none any more."""
    noise = work / "noise.bin"
    noise.write_bytes(random.Random(7).randbytes(300_000))
    short = work / "short.bin"
    short.write_bytes(b"\0")
    for path in (noise, short):
        film = Recorded(system, path)
        film.is_recorded()
        checks.equal(f"{path.name}: nothing is shown that nobody stated", [
            film.shown["reel"]["media"], film.shown["rdp_config"], stated(film.shown["recording_config"]),
            film.statistics["duration_seconds"], film.statistics["average_fps"]],
            [None, None, {"compression": "zstd"}, 0, 0])
    film = Recorded(system, noise, "--rdp-host", "desk.example", "--rdp-user", "anna")
    checks.equal("what is stated of the desktop is shown, and no more", stated(film.shown["rdp_config"]),
                 {"host": "desk.example", "username": "anna"})
    done = system.reel("record", noise, "--name", "x", "--rdp-user", "anna")
    checks.check("a user without a desktop is refused", done.returncode == 2 and "--rdp-host" in done.stderr,
                 (done.returncode, done.stderr))


def namers(work, film):
    """Files that name other files: nothing is opened for them, and nothing is told of what they name."""
    secret = work / "secret.mkv"
    shutil.copy(film, secret)
    texts = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile '{secret}'\nduration 9\n",
        "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
                    "m=video 5000 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "list.mpd": f'<?xml version="1.0"?><MPD type="static" mediaPresentationDuration="PT9S"><Period>'
                    f'<BaseURL>{secret}</BaseURL></Period></MPD>',
        "image%03d.png": "x",
    }
    for name, text in texts.items():
        path = work / name
        path.write_text(text)
        status, found, seconds = look(path, work)
        checks.check(f"{name}: nothing is told of what it names", found is None and status == 0,
                     (status, found, seconds))


def broken(work, films, number):
    """Films with bytes changed, cut out, doubled and cut off: an answer within bounds, or none, in time."""
    source = random.Random(seed_of("films"))
    bad, ends = [], {}
    originals = [path.read_bytes() for path in films.values()]
    path = work / "broken"
    for turn in range(number):
        content = bytearray(source.choice(originals))
        for _ in range(source.choice([1, 3, 30, 300])):
            # What describes a film stands at its beginning, or at its end.
            near = source.choice([0, 0, max(0, len(content) - 6000)])
            place = min(len(content) - 9, near + source.randrange(6000))
            kind = source.randrange(4)
            if kind == 0:
                content[place] = source.randrange(256)
            elif kind == 1:
                content[place:place + 8] = source.choice([b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 8])
            elif kind == 2:
                del content[place:place + source.randrange(1, 9)]
            else:
                content[place:place] = content[place:place + source.randrange(1, 99)]
        if source.randrange(4) == 0:
            del content[source.randrange(len(content)):]
        path.write_bytes(content)
        status, found, seconds = look(path)
        ends[status] = ends.get(status, 0) + 1
        if found is not None and not FACTS.is_valid(found) or status > 1 or seconds > LOOK_SECONDS + 3:
            bad.append((turn, status, found, seconds))
            shutil.copy(path, work / f"bad-{turn}")
    print(f"films: {number} broken films, ended with {ends}", flush=True)
    checks.equal("a broken film brings facts within bounds, or none, and soon", bad[:3], [])


def cut_off(system, work, film):
    """A film that ends early is recorded like any other file."""
    cut = work / "cut.mkv"
    cut.write_bytes(film.read_bytes()[:200_000])
    half = Recorded(system, cut)
    checks.equal("a film that is cut off is recorded", half.status, 0)
    checks.check("and verifies", system.reel("verify", half.session).returncode == 0)


def main():
    with Workspace("films") as work:
        with System(work / "data", *UNLIMITED, env=environment(**SETTINGS)) as system:
            made = {}
            with checks.section("facts"):
                made = facts(system, work)
            with checks.section("no films"):
                no_films(system, work)
            with checks.section("cut"):
                cut_off(system, work, next(iter(made.values())))
            with checks.section("replay"):
                checks.equal("replay says the same of all", system.reel("replay", "--verify").returncode, 0)
        with checks.section("files that name others"):
            namers(work, made["matroska,webm"])
        with checks.section("broken films"):
            broken(work, made, int(os.environ.get("REEL_FILMS_BROKEN") or 120))
    checks.finish()


if __name__ == "__main__":
    main()

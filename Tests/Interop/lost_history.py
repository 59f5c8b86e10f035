#!/usr/bin/env python3
"""A log that lacks what it had: an old copy of Redis beside a newer archive, and streams that somebody has
cut. What the archive has comes back; what neither has is named, and nothing is built over it."""

import json
import shutil
import urllib.request

from holds import api, token
from kit import Checks, System, Workspace, eventually, free_port, mixed, partition

checks = Checks("lost_history")
PARTITIONS = 4
# Nothing leaves Redis but when the script says so.
CALM = ("--partitions", PARTITIONS, "--archive-after-events", 100_000, "--archive-after-hours", 8000)


def named(name, number):
    """A session id in a partition."""
    return next(f"{name}-{n}" for n in range(1000) if partition(f"{name}-{n}", PARTITIONS) == number)


def record(system, session, size=60_000, completes=True):
    """Records a session of some chunks; waits until it is completed."""
    done = system.reel(
        "record", "-", "--name", session, "--session-id", session, "--chunk-size", 0.02,
        stdin=mixed(len(session), size))
    if completes and done.returncode == 0:
        eventually(lambda: system.status(session) == "completed", 20)
    return done


def archive_all(system):
    """Archives what may go, until nothing more does."""
    for _ in range(50):
        done = system.reel("archive", "run", "--all", "--json")
        if done.returncode != 0 or not json.loads(done.stdout)["segments"]:
            return done
    return done


def status(system):
    done = system.reel("status", "--json")
    if done.returncode != 0:
        raise RuntimeError(f"reel status: status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def history(system, session):
    """The events of a session that can be read, whatever else is said of its partition."""
    lines = system.reel("events", session, "--json").stdout.splitlines()
    return [json.loads(line) for line in lines]


def halted(system):
    """The halted partitions with their reasons."""
    return {one["partition"]: one["reason"] for one in status(system)["halted_partitions"]}


def listed(system):
    """The partitions that somebody has halted, for everybody."""
    found = json.loads(system.reel("partitions", "list", "--json").stdout)["halted"]
    return [one["partition"] for one in found]


def health(system):
    """What the API says of its health, and the figure of halted partitions."""
    base = system.endpoints["api_url"]
    def text(path):
        try:
            with urllib.request.urlopen(base + path, timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()
    return text("/health"), text("/metrics")


def restored(folder):
    """An old copy of Redis' data beside a newer archive: what is in the archive comes back by itself."""
    system = System(folder / "restored", *CALM).start()
    before, after, last = named("before", 1), named("after", 1), named("last", 1)
    record(system, before)
    system.stop()
    shutil.copytree(system.data / "redis", folder / "old")
    system.start()
    checks.equal("restored: a session is recorded", record(system, after).returncode, 0)
    whole = system.events(after)
    # The newest event of a partition always stays in Redis: this one pushes it into the archive.
    record(system, last)
    newest = system.events(last)
    archive_all(system)
    trail = json.loads(system.reel("audit", "--json").stdout)["records"]
    system.stop()
    put_back(system, folder / "old")
    system.start()
    checks.equal("restored: the session's events are those that were archived",
                 history(system, after), whole)
    checks.equal("restored: and it is sound", system.reel("verify", after).returncode, 0)
    checks.check("restored: the log says what was taken back",
                 "were taken back into the log" in system.log.read_text(), system.log.read_text()[-500:])
    done = system.reel("archive", "verify")
    checks.equal("restored: archive verify is content", done.returncode, 0)
    # One event of each partition was in Redis alone; its loss is said, and never more.
    reasons = eventually(lambda: halted(system), 10)
    checks.check("restored: what was in Redis alone is named as lost", 1 in reasons, reasons)
    # Whoever made the lost step again would have read models and log tell two stories.
    left = history(system, last)
    checks.check("restored: nothing is appended behind the loss before somebody has decided",
                 0 < len(left) < len(newest) and left == newest[:len(left)], (left, newest))
    text, figures = health(system)
    checks.check("restored: health says so", "halted partitions: " in text, text)
    checks.check("restored: and the figures",
                 f"reel_halted_partitions {len(reasons)}" in figures.splitlines(),
                 [line for line in figures.splitlines() if "halted" in line])
    done = system.reel("replay")
    checks.check("restored: read models that may know more than the log are not replaced",
                 done.returncode == 1 and b"nothing was put in place" in done.stdout,
                 (done.returncode, done.stdout[-400:], done.stderr))
    done = system.reel("events")
    checks.check("restored: the whole log is not printed as if it were all", done.returncode == 1
                 and "partition 1 is halted" in done.stderr, (done.returncode, done.stderr[-300:]))
    told = system.log.read_text()
    checks.check("restored: the halt stays until then", "partition 1 goes on" not in told, told[-800:])
    done = system.reel("partitions", "lift", 1, "--accept-loss", "--reason", "an old copy", "--json")
    checks.equal("restored: the halt is lifted", done.returncode, 0)
    checks.equal("restored: nothing that is in the archive is given up", history(system, after), whole)
    checks.equal("restored: no sealed file is set aside",
                 list((system.data / "chunks").glob("**/*.lost")), [])
    eventually(lambda: not halted(system).get(1), 10)
    # The step that was lost is taken again: whole, and once.
    again = eventually(lambda: system.status(last) == "completed", 30)
    checks.check("restored: the newest recording is completed again, and sound",
                 again and system.reel("verify", last).returncode == 0, system.status(last))
    checks.equal("restored: the partition takes recordings again",
                 record(system, named("again", 1)).returncode, 0)
    now = {one["audit_id"] for one in json.loads(system.reel("audit", "--json").stdout)["records"]}
    gone = [one for one in trail if one["audit_id"] not in now and one.get("session_id") == after]
    checks.equal("restored: the trail still has who recorded the session", gone, [])
    system.stop()


def put_back(system, old):
    shutil.rmtree(system.data / "redis")
    shutil.copytree(old, system.data / "redis")


def verify_names_what_is_beyond(name, system):
    """`archive verify` while a partition is halted for what the archive has and the log does not."""
    done = system.reel("archive", "verify")
    # It ends with the first; records of who did what may stand in another partition.
    names = [f"{path.parent.name}/{path.name}" for path in (system.data / "archive").rglob("*.seg")]
    checks.check(f"{name}: archive verify names the segment that goes beyond the log", done.returncode == 1
                 and "it goes beyond what the log was archived up to" in done.stderr
                 and any(one in done.stderr for one in names), (done.returncode, done.stdout, done.stderr))


def contradicted(folder):
    """An old copy of Redis went on without its archive: nothing is merged or archived over it."""
    system = System(folder / "contradicted", *CALM).start()
    record(system, named("before", 1))
    system.stop()
    shutil.copytree(system.data / "redis", folder / "other")
    system.start()
    one, two = named("one", 1), named("two", 1)
    record(system, one)
    record(system, two)
    archive_all(system)
    system.stop()
    put_back(system, folder / "other")
    (system.data / "archive").rename(folder / "away")
    system.start()
    lost = eventually(lambda: halted(system), 10)
    for number in lost:
        system.reel("partitions", "lift", number, "--accept-loss", "--reason", "no archive here")
    eventually(lambda: not halted(system), 10)
    record(system, named("three", 1))
    system.stop()
    shutil.rmtree(system.data / "archive", ignore_errors=True)
    (folder / "away").rename(system.data / "archive")
    system.start()
    reason = (eventually(lambda: halted(system), 10) or {}).get(1, "")
    checks.check("contradicted: an archive that says something else halts the partition",
                 "contradicts the archive" in reason, reason)
    verify_names_what_is_beyond("contradicted", system)
    done = system.reel("archive", "run", "--all")
    checks.check("contradicted: nothing is archived over it",
                 done.returncode != 0 and "halted" in done.stderr,
                 (done.returncode, done.stderr))
    done = system.reel("partitions", "lift", 1, "--accept-loss", "--reason", "the log is right")
    checks.equal("contradicted: who decides for the log lifts it", done.returncode, 0)
    checks.check("contradicted: the segments that do not join are kept beside the archive",
                 list((system.data / "archive").rglob("*.lost")), list((system.data / "archive").rglob("*")))
    # Records of who did what contradict in other partitions.
    for number in halted(system):
        system.reel("partitions", "lift", number, "--accept-loss", "--reason", "the log is right")
    eventually(lambda: not halted(system), 10)
    record(system, named("four", 1))
    done = archive_all(system)
    checks.check("contradicted: archiving goes on", done.returncode == 0, (done.stdout, done.stderr))
    done = system.reel("archive", "verify")
    checks.check("contradicted: and its chain is whole", done.returncode == 0, (done.stdout, done.stderr))
    system.stop()


def unvouched(folder):
    """Somebody who can write the archive's folder and has no key can't write events by it."""
    system = System(folder / "unvouched", *CALM).start()
    record(system, named("before", 1))
    system.stop()
    shutil.copytree(system.data / "redis", folder / "older")
    system.start()
    after = named("after", 1)
    record(system, after)
    record(system, named("last", 1))
    archive_all(system)
    system.stop()
    put_back(system, folder / "older")
    for path in (system.data / "archive").rglob("*.vouched"):
        path.unlink()
    system.start()
    reason = (eventually(lambda: halted(system), 10) or {}).get(1, "")
    checks.check("unvouched: a segment that nobody vouches for is not believed", "vouched" in reason, reason)
    verify_names_what_is_beyond("unvouched", system)
    done = system.reel("events", after)
    checks.equal("unvouched: none of its events is in the log",
                 (done.returncode, done.stdout), (1, b""))
    system.reel("partitions", "lift", 1, "--from-archive", "--reason", "I copied it myself")
    checks.equal("unvouched: an operator may say that it is right: its events are back",
                 system.reel("verify", after).returncode, 0)
    system.stop()


# What somebody did to a stream; `own` are places of the session's events: records of who did what lie between.
CUTS = [
    ("a trimmed head", lambda redis, key, own: redis("XTRIM", key, "MINID", own[-3])),
    ("a deleted entry", lambda redis, key, own: redis("XDEL", key, own[9])),
    ("a deleted newest entry",
     lambda redis, key, own: redis("XDEL", key, redis("XREVRANGE", key, "+", "-", "COUNT", 1)[0][0])),
    ("a stream without entries", lambda redis, key, own: redis("XTRIM", key, "MAXLEN", 0)),
    ("a stream that is gone", lambda redis, key, own: redis("DEL", key)),
]
# Some partitions stay whole: records of who did what go there.
STREAMS = len(CUTS) + 3


def cut(folder):
    """What is gone from a stream and not archived is loss, wherever it stood."""
    system = System(folder / "cut", "--partitions", STREAMS, *CALM[2:]).start()
    session = {n: next(f"s{n}-{i}" for i in range(1000) if partition(f"s{n}-{i}", STREAMS) == n)
               for n in range(len(CUTS))}
    other = {n: next(f"o{n}-{i}" for i in range(1000) if partition(f"o{n}-{i}", STREAMS) == n)
             for n in range(len(CUTS))}
    for number in session:
        record(system, session[number])
    ends = {number: system.redis()("XINFO", "STREAM", f"reel:{{p{number:03d}}}:log") for number in session}
    checks.equal("cut: every partition has its session", len(ends), len(CUTS))
    redis = system.redis()
    for number, (_, change) in enumerate(CUTS):
        key = f"reel:{{p{number:03d}}}:log"
        change(redis, key, [place for place, fields in redis("XRANGE", key, "-", "+")
                            if b"AuditRecorded" not in fields])
    # Roles look about once a second; from then on nobody appends.
    marked = eventually(lambda: set(listed(system)) == set(session), 20)
    checks.check("cut: roles halt every partition within seconds", marked, listed(system))
    found = halted(system)
    for number, (name, _) in enumerate(CUTS):
        checks.check(f"{name} halts its partition", number in found, found)
        done = record(system, other[number], completes=False)
        checks.check(f"{name}: nothing is recorded behind it",
                     done.returncode == 3 and "halted" in done.stderr,
                     (done.returncode, done.stderr))
        done = system.reel("events", session[number])
        checks.check(f"{name}: events says what is missing", done.returncode == 1 and done.stderr.strip(),
                     (done.returncode, done.stdout[-200:], done.stderr[-300:]))
        for words in (["verify", session[number]], ["export", session[number], "-o", folder / "out"]):
            done = system.reel(*words)
            # One event may say nothing of the content.
            allowed = (0, 1) if "entry" in name else (1,)
            checks.check(f"{name}: {words[0]} does not call it whole", done.returncode in allowed,
                         (done.returncode, done.stdout[-200:], done.stderr[-300:]))
    done = system.reel("archive", "run", "--all")
    checks.check("cut: archiving says what it cannot do", done.returncode == 3 and "halted" in done.stderr,
                 (done.returncode, done.stderr))
    whole = [path.name for path in (system.data / "archive").rglob("*.seg")
             if path.parent.name in {f"p{n:03d}" for n in session}]
    checks.equal("cut: no segment claims what is gone", whole, [])
    checks.check("cut: replay replaces nothing", system.reel("replay").returncode == 1)
    system.stop()
    system.start()
    checks.equal("cut: after a restart the same partitions are halted", set(halted(system)), set(session))
    lift_cut(system, session, other)
    system.stop()


def lift_cut(system, session, other):
    """An operator accepts the loss: the partition goes on, and what is gone stays named."""
    done = system.reel("partitions", "lift", 0, "--accept-loss", "--reason", "trimmed by hand")
    checks.equal("cut: the loss is accepted", done.returncode, 0)
    eventually(lambda: 0 not in halted(system), 10)
    fresh = next(f"f-{i}" for i in range(1000) if partition(f"f-{i}", STREAMS) == 0)
    done = record(system, fresh)
    checks.check("cut: then recordings are taken again", done.returncode == 0, done.stderr)
    done = system.reel("events", session[0])
    checks.check("cut: a history without its beginning stays an error", done.returncode == 1
                 and "cannot be read" in done.stderr, (done.returncode, done.stderr[-300:]))
    done = system.reel("events")
    checks.check("cut: among all events, too", done.returncode == 1
                 and f"{session[0]} lacks sequences 1 to " in done.stderr,
                 (done.returncode, done.stderr[-600:]))
    checks.equal("cut: and verify does not call it sound", system.reel("verify", session[0]).returncode, 1)
    nowhere_whole(system, session[0])
    system.reel("archive", "run", "--all")
    checks.equal("cut: nothing of it was archived as whole", system.reel("events", session[0]).returncode, 1)
    checks.equal("cut: the new session is sound", system.reel("verify", fresh).returncode, 0)


def nowhere_whole(system, name):
    """Of a history without its beginning nothing is given out, shown as right, or built anew."""
    out = system.data.parent / "cut.out"
    done = system.reel("export", name, "-o", out)
    checks.check("cut: export gives nothing out, and says why", done.returncode == 1 and not out.exists()
                 and f"session {name}" in done.stderr, (done.returncode, done.stderr[-300:]))
    # What it shows is what was projected when all of it was there.
    done = system.reel("sessions", "show", name)
    checks.check("cut: shown, it is not called sound", done.returncode == 0 and name in done.stdout.decode()
                 and "sound" not in done.stdout.decode(), (done.returncode, done.stdout, done.stderr))
    done = system.reel("replay")
    said = done.stdout.decode()
    checks.check("cut: replay names it", f"session {name} ends before " in said, said[-900:])
    checks.check("cut: and puts nothing in place", done.returncode == 1 and "nothing was put in place" in said
                 and name in system.reel("sessions", "show", name).stdout.decode(),
                 (done.returncode, said[-300:]))
    admin = token(system, "admin")
    for path in ("", "/events", "/media", "/chunks"):
        status, body = api(system, "GET", f"/sessions/{name}{path}", admin)
        error = body.get("error", {})
        checks.check(f"cut: the API says so at {path or 'the session'}",
                     (status, error.get("code")) == (500, "REEL_ERR_3015")
                     and error["details"]["category"] == "admin_required"
                     and "cannot be read: p000/" in error["message"], (status, body))


def main():
    for part in (restored, contradicted, unvouched, cut):
        with Workspace("lost") as folder, checks.section(part.__name__):
            part(folder)
    checks.finish()


if __name__ == "__main__":
    main()

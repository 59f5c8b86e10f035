#!/usr/bin/env python3
"""What a verification comes to stays: as an event, in the trail, in the session and in figures, whoever asked
for it. What is due is verified in the background, damage named, unless that is switched off."""

import json
import pathlib
import time
import urllib.request

from forgery_archive import number
from formats import Schemas
from kit import UNLIMITED, Checks, System, Workspace, environment, eventually, mixed, partition, seed_of

checks = Checks("verifications")
PARTITIONS = 4
SWITCHED_OFF = "no session is verified by itself"


def lines(done):
    return [json.loads(line) for line in done.stdout.decode().splitlines() if line.strip()]


def verified(system, session):
    """The verifications in a session's history."""
    return [e for e in lines(system.reel("events", session, "--json")) if e["type"] == "SessionVerified"]


def shown(system, session):
    """The last verification as the API answers it."""
    token = pathlib.Path(system.endpoints["admin_token_file"]).read_text().strip()
    request = urllib.request.Request(
        f"{system.endpoints['api_url']}/api/v1/sessions/{session}",
        headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["reel"]["verification"]


def verify(system, session, status, *options):
    done = system.reel("verify", session, "--json", *options)
    checks.equal(f"reel verify {' '.join(options)} ends with {status}", done.returncode, status)
    return json.loads(done.stdout)


def a_sound_session(system):
    checks.equal("nobody has verified it", shown(system, "one"), None)
    report = verify(system, "one", 0)
    checks.equal("it is sound, and that is kept", (report["outcome"], report["recorded"]), ("sound", True))
    events = verified(system, "one")
    checks.equal("the history has it", [e["data"]["outcome"] for e in events], ["sound"])
    schemas = Schemas()
    for event in events:
        problems = schemas.problems(event)
        checks.check("the event is what its schema says", not problems, problems)
    view = eventually(lambda: shown(system, "one"))
    checks.equal("the session shows it", (view["outcome"], view["findings"]), ("sound", []))
    again = verify(system, "one", 0, "--without-key")
    checks.equal("without a key no more is said than was looked at", again["outcome"], "unopened")
    checks.equal("a history with verifications is lawful", verify(system, "one", 0)["outcome"], "sound")


def damage(system):
    path = pathlib.Path(system.endpoints["chunk_store"]) / "two" / "00000001.reel"
    content = path.read_bytes()
    path.unlink()
    report = verify(system, "two", 1)
    checks.equal("damage is kept", (report["outcome"], report["recorded"]), ("damaged", True))
    view = eventually(lambda: shown(system, "two"))
    checks.check("the session shows it", view["outcome"] == "damaged" and "missing two/00000001.reel" in
                 view["findings"][0], view)
    text = system.reel("sessions", "show", "two").stdout.decode()
    checks.check("and people see it", "damaged" in text and "missing two/" in text, text)
    records = eventually(lambda: trail(system, "two"))
    checks.check("the trail has it", records and records[0]["outcome"] == "failed"
                 and "missing" in records[0]["reason"], records)
    path.write_bytes(content)
    checks.equal("once it is mended, it is sound", verify(system, "two", 0)["outcome"], "sound")
    view = eventually(lambda: (v := shown(system, "two"))["outcome"] == "sound" and v)
    checks.check("and the session shows that", view, shown(system, "two"))


def trail(system, session):
    """Records of the session's verifications."""
    done = system.reel("audit", "--session", session, "--json")
    return [r for r in json.loads(done.stdout)["records"] if r["action"] == "session.verify"]


def figures(system):
    """What the port of the role storage has of verifications."""
    with urllib.request.urlopen(system.endpoints["storage_url"] + "/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines
                                                   if line.startswith(("reel_session", "reel_verification")))}


def of(outcome):
    return f'reel_session_verifications{{outcome="{outcome}"}}'


def aged(system, session, hours):
    """Has the log's facts say that nobody has looked at the session for so long: no period is below a day."""
    redis = system.redis()
    key = f"reel:{{p{partition(session, PARTITIONS):03d}}}:index:verification-1"
    # Form, whether it is over, outcome: then version, time, findings.
    facts = eventually(lambda: (found := redis("HGET", key, session)) and found[1] == 1 and found, 30)
    version = facts[3:3 + next(place for place, byte in enumerate(facts[3:], 1) if byte < 0x80)]
    since = int((time.time() - hours * 3600) * 1000)
    redis("HSET", key, session, facts[:3] + version + number(since) + number(0))


def switched_off(system, seed):
    """With 0 days nothing is verified but by whoever asks."""
    for name in ("kept", "hurt", "young"):
        done = system.reel("record", "-", "--name", name, "--session-id", name, "--wait",
                           stdin=mixed(seed, 3_000_000))
        checks.equal(f"recording {name}", done.returncode, 0)
    for name in ("kept", "hurt"):
        aged(system, name, 25)
    path = pathlib.Path(system.endpoints["chunk_store"]) / "hurt" / "00000001.reel"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    system.stop()
    system.start()
    checks.check("0 days: the log says that nothing is verified by itself",
                 eventually(lambda: system.log.read_text().count(SWITCHED_OFF) == 2, 30))
    # Whatever looks at its start has done so by the time that a recording has come to its end.
    system.reel("record", "-", "--name", "more", "--session-id", "more", "--wait", stdin=mixed(seed, 1000))
    checks.equal("0 days: what is due is not verified",
                 [verified(system, name) + trail(system, name) for name in ("kept", "hurt")], [[], []])
    found = figures(system)
    checks.equal("0 days: figures say so", [found.get(name) for name in (
        of("sound"), of("damaged"), "reel_sessions_faulty", "reel_verification_worked_seconds",
        "reel_verification_rested_seconds")], [0] * 5)
    checks.check("0 days: nobody looks for what waits",
                 str(found["reel_verification_oldest_seconds"]) == "nan", found)
    return path


def background(system, path):
    """With a day, what waits for longer is verified; what is found shows everywhere."""
    system.start()
    events = eventually(lambda: verified(system, "hurt"), 60)
    checks.equal("background: damage is found", [e["data"]["outcome"] for e in events], ["damaged"])
    checks.equal("background: by itself", [(e["data"]["trigger"], e.get("authid")) for e in events],
                 [("background", "verification")])
    problems = [Schemas().problems(event) for event in events]
    checks.check("background: the event is what its schema says", not any(problems), problems)
    records = eventually(lambda: trail(system, "hurt"), 30)
    checks.equal("background: the trail has it, once", len(records), 1)
    for record in records:
        checks.check("background: its record says what was found, and who looked",
                     record["outcome"] == "failed" and "hurt/00000001.reel" in record["reason"]
                     and {"name": "trigger", "value": "background"} in record["details"]
                     and "verification" in json.dumps(record["actor"]), record)
    view = eventually(lambda: shown(system, "hurt"), 30)
    checks.check("background: the session shows it", view["outcome"] == "damaged"
                 and "hurt/00000001.reel" in view["findings"][0] and view["findings_count"] == 2, view)
    checks.check("background: the log names it", "session=hurt" in system.log.read_text(),
                 system.log.read_text()[-600:])
    sound = eventually(lambda: verified(system, "kept"), 60)
    checks.equal("background: what is sound is verified too", [e["data"]["outcome"] for e in sound],
                 ["sound"])
    checks.equal("background: what is not due is not", verified(system, "young"), [])
    found = eventually(lambda: (f := figures(system)).get("reel_sessions_faulty") == 1 and f, 20) or {}
    checks.equal("background: figures count it", [found.get(name) for name in (
        of("sound"), of("damaged"), of("partial"), "reel_sessions_faulty")], [1, 1, 0, 1])
    # Of those that are left the oldest was recorded a moment ago.
    checks.check("background: nobody waits any more",
                 eventually(lambda: figures(system)["reel_verification_oldest_seconds"] < 3600, 20),
                 figures(system))
    found = figures(system)
    worked, rested = (found[f"reel_verification_{name}_seconds"] for name in ("worked", "rested"))
    checks.check("background: for a share of a fifth it rests four times as long as it reads",
                 worked > 0 and 3.5 * worked < rested + 0.02 and rested <= 4 * worked + 0.02,
                 (worked, rested))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    checks.equal("background: mended, it is sound", verify(system, "hurt", 0)["outcome"], "sound")
    checks.check("background: and no session is faulty",
                 eventually(lambda: figures(system)["reel_sessions_faulty"] == 0, 30), figures(system))


def by_itself(folder, seed):
    settings = {"REEL_DISK_RESERVE_MB": "0", "REEL_VERIFY_SHARE_PERCENT": "20"}
    system = System(folder / "background", "--partitions", PARTITIONS, *UNLIMITED,
                    env=environment(REEL_VERIFY_EVERY_DAYS="0", **settings))
    with system:
        path = switched_off(system, seed)
        system.stop()
        system.env = environment(REEL_VERIFY_EVERY_DAYS="1", **settings)
        background(system, path)


def main():
    seed = seed_of("verifications")
    with Workspace("verifications") as folder:
        with System(folder / "data", "--partitions", PARTITIONS, *UNLIMITED,
                    env=environment(REEL_DISK_RESERVE_MB="0")) as system:
            for name in ("one", "two"):
                done = system.reel("record", "-", "--name", name, "--session-id", name, "--wait",
                                   stdin=mixed(seed, 40_000))
                checks.equal(f"recording {name}", done.returncode, 0)
            with checks.section("a sound session"):
                a_sound_session(system)
            with checks.section("damage"):
                damage(system)
            done = system.reel("replay", "--verify")
            checks.equal("the read models are what the log says", done.returncode, 0)
        with checks.section("by itself"):
            by_itself(folder, seed)
    checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What a verification comes to stays: as an event, in the trail, in the session and in a figure."""

import json
import pathlib
import urllib.request

from formats import Schemas
from kit import UNLIMITED, Checks, System, Workspace, environment, eventually, mixed, seed_of

checks = Checks("verifications")


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
    trail = lambda: [r for r in json.loads(system.reel(
        "audit", "--session", "two", "--json").stdout)["records"] if r["action"] == "session.verify"]
    records = eventually(trail)
    checks.check("the trail has it", records and records[0]["outcome"] == "failed"
                 and "missing" in records[0]["reason"], records)
    path.write_bytes(content)
    checks.equal("once it is mended, it is sound", verify(system, "two", 0)["outcome"], "sound")
    view = eventually(lambda: (v := shown(system, "two"))["outcome"] == "sound" and v)
    checks.check("and the session shows that", view, shown(system, "two"))


def main():
    seed = seed_of("verifications")
    with Workspace("verifications") as folder:
        with System(folder / "data", "--partitions", "4", *UNLIMITED,
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
    checks.finish()


if __name__ == "__main__":
    main()

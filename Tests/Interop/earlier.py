#!/usr/bin/env python3
"""Data folders of earlier versions: the present program opens, verifies, exports and replays them."""

import hashlib
import json
import os
import pathlib
import tarfile

from kit import REPOSITORY, Checks, System, Workspace, environment, eventually

checks = Checks("earlier")
# The recordings are older than any retention by now.
SETTINGS = {"REEL_RETENTION_EVERY_SECONDS": "0", "REEL_DISK_RESERVE_MB": "0"}


def listed(system):
    done = system.reel("sessions", "list", "--json")
    return {s["session_id"]: s for s in json.loads(done.stdout)["sessions"]} if done.returncode == 0 else {}


def look(system, expected):
    """What is in the folder is what was put there."""
    sessions = listed(system)
    alive = {name for name, session in expected.items() if session["status"] != "deleted"}
    checks.equal("every session is listed", sorted(sessions), sorted(alive))
    for name, session in expected.items():
        events = system.events(name)
        numbers = [int(event["sequence"]) for event in events]
        checks.equal(f"{name}: its history is whole", numbers, list(range(1, len(numbers) + 1)))
        checks.check(
            f"{name}: nothing of its history is gone", len(events) >= session["events"],
            f"found {len(events)} events, expected {session['events']} or more")
        checks.equal(f"{name}: its state", system.status(name), session["status"])
        if session["status"] != "completed":
            continue
        found = sessions[name]
        checks.equal(
            f"{name}: what is shown of it",
            [found["name"], found["metadata"]["owner"], found["statistics"]["chunks_count"]],
            [session["name"], session["owner"], session["chunks"]])
        said = events[0]["data"]
        for part in ("rdp_config", "recording_config"):
            shown = {k: v for k, v in (found[part] or {}).items() if v is not None}
            checks.equal(f"{name}: {part} is what its first event says", shown, said.get(part, {}))
        done = system.reel("verify", name, "--json")
        checks.equal(f"{name}: verify", done.returncode, 0)
        checks.check(f"{name}: its Merkle root", session["root"].encode() in done.stdout, done.stdout)
        target = system.data.parent / "exported"
        done = system.reel("export", name, "-o", target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest() if target.exists() else done.stderr
        checks.equal(f"{name}: its bytes", digest, session["sha256"])
        target.unlink(missing_ok=True)


def replay(system):
    done = system.reel("replay", "--verify")
    checks.equal("replay finds the read models as the log has them", done.returncode, 0)
    done = system.reel("replay")
    checks.equal("replay builds them again", done.returncode, 0)
    done = system.reel("archive", "verify")
    checks.equal("the archive verifies", done.returncode, 0)


def go_on(system):
    """New work in the old folder."""
    source = system.data.parent / "new.bin"
    source.write_bytes(os.urandom(5000))
    done = system.reel("record", source, "--name", "new", "--session-id", "new", "--wait")
    checks.equal("a new recording in the old folder", done.returncode, 0)
    checks.equal("it verifies", system.reel("verify", "new").returncode, 0)
    done = system.reel("archive", "run", "--all")
    checks.equal("the log goes on into the old archive", done.returncode, 0)
    checks.equal("it verifies from there", system.reel("verify", "new").returncode, 0)
    checks.equal("the archive verifies with it", system.reel("archive", "verify").returncode, 0)


def level(system):
    """Processes of the earlier version are gone, so the log's format level rises by itself."""
    def reached():
        shown = json.loads(system.reel("status", "--json").stdout)["format_level"]
        return shown if shown["level"] == shown["newest"] else None
    checks.check(
        "the log rises to this version's format level", eventually(reached, 60),
        system.reel("status", "--json").stdout)


def tag_becomes_a_case(system, expected):
    """What was held by its tag is held by an event, once, and the tag means nothing from then on."""
    tagged = "old-held"
    if tagged not in expected:
        return
    done = lambda: not json.loads(system.reel("status", "--json").stdout)["legal_holds"]["tag_counts"]
    checks.check("the tag is taken over", eventually(done, 60))
    holds = [event for event in system.events(tagged) if event["type"].startswith("LegalHold")]
    checks.equal("by one event, in the name of the system", [
        (event["type"], event["data"]["case"], event["authtype"]) for event in holds],
        [("LegalHoldSet", "legal-hold tag", "system")])
    others = [name for name in expected if name != tagged and any(
        event["type"].startswith("LegalHold") for event in system.events(name))]
    checks.equal("no other session is held", others, [])
    listed = json.loads(system.reel("hold", "list", "--json").stdout)["sessions"]
    checks.equal("it is listed as held", [session["session_id"] for session in listed], [tagged])
    due = json.loads(system.reel(
        "sessions", "expire", "--dry-run", "--at", "2040-01-01T00:00:00Z", "--json").stdout)["sessions"]
    checks.check("retention passes over it", due and tagged not in [s["session_id"] for s in due], due)


def run(folder):
    expected = json.loads((folder / "expected.json").read_text())
    with Workspace("earlier") as work:
        data = work / "data"
        with tarfile.open(folder / "data.tar.xz") as archive:
            archive.extractall(data)
        with System(data, env=environment(**SETTINGS)) as system:
            level(system)
            tag_becomes_a_case(system, expected)
            look(system, expected)
            replay(system)
            go_on(system)
        with System(data, env=environment(**SETTINGS)) as system:
            look(system, expected | {"new": new_facts(system, work)})
            tag_becomes_a_case(system, expected)


def new_facts(system, work):
    roots = [event["data"]["root"] for event in system.events("new") if event["type"] == "MerkleRootComputed"]
    return {
        "status": "completed", "events": 10, "name": "new", "owner": None, "chunks": 1, "root": roots[-1],
        "sha256": hashlib.sha256((work / "new.bin").read_bytes()).hexdigest()}


def main():
    folders = sorted(path.parent for path in (REPOSITORY / "Tests" / "Fixtures").glob("*/data.tar.xz"))
    checks.check("there are folders of earlier versions", folders)
    for folder in folders:
        with checks.section(f"the folder of {pathlib.Path(folder).name}"):
            run(folder)
    checks.finish()


if __name__ == "__main__":
    main()

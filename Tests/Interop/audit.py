#!/usr/bin/env python3
"""Who did what: commands leave records, in the log and in the read model, and `reel audit` finds them."""

from datetime import datetime, timedelta, timezone
import json
import pwd
import os

import jsonschema
import pymongo

from formats import Schemas, cloud_event
from kit import SCHEMAS, Checks, System, Workspace, eventually, mixed, seed_of
from web_http import Web

checks = Checks("audit")
USER = pwd.getpwuid(os.getuid()).pw_name


def audit(system, *options):
    done = system.reel("audit", "--json", *options)
    return json.loads(done.stdout) if done.returncode == 0 else {"records": [], "stderr": done.stderr}


def records_of_log(redis):
    found = []
    for number in range(redis.partitions()):
        for _, flat in redis("XRANGE", f"reel:{{p{number:03d}}}:log", "-", "+"):
            event = cloud_event(list(zip(flat[::2], flat[1::2])))
            if event["partitionkey"].startswith("audit/"):
                found.append(event)
    return found


def without_nulls(view):
    """A record as its event has it."""
    data = {name: value for name, value in view.items() if value is not None}
    for name in ("audit_id", "time", "version", "log_position"):
        data.pop(name)
    if not data["changed"]:
        del data["changed"]
    data["details"] = {item["name"]: item["value"] for item in data["details"]}
    data["actor"] = {name: value for name, value in data["actor"].items() if value is not None}
    return data


def main():
    seed = seed_of("audit")
    with Workspace("audit") as folder, System(folder / "data").start() as system:
        for name in ("one", "two"):
            done = system.reel("record", "-", "--name", name, "--session-id", name, "--wait",
                               stdin=mixed(seed, 40_000))
            checks.equal(f"recording {name}", done.returncode, 0)
        version = json.loads(system.reel("sessions", "show", "one", "--json").stdout)["version"]
        key = json.loads(system.reel("keys", "export", "one", "--json").stdout)["data_key"]
        checks.equal("exporting", system.reel("export", "one", "-o", str(folder / "out")).returncode, 0)
        checks.equal("no key of no session", system.reel("keys", "export", "none").returncode, 1)
        expected = [("session.export", "allowed"), ("key.export", "allowed"), ("session.record", "allowed")]
        shown = lambda: [(r["action"], r["outcome"]) for r in audit(system, "--session", "one")["records"]]
        checks.check("what was done to a session, the newest first",
                     eventually(lambda: shown() == expected), shown())
        checks.equal("no session's history moves for a record", version + 1,
                     json.loads(system.reel("sessions", "show", "one", "--json").stdout)["version"])
        check_records(system, key)
        check_options(system)
        check_purposes(system, folder)
        check_content(system)
        check_retention(system)
        check_schemas(system)


def check_retention(system):
    """What was kept for long enough goes: seen from a month ahead, since nothing here is as old as that."""
    later = lambda days: (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    due = lambda days: {s["session_id"]: s for s in json.loads(system.reel(
        "sessions", "expire", "--dry-run", "--at", later(days), "--json").stdout)["sessions"]}
    checks.equal("nothing is due a day before its retention has passed", due(29), {})
    found = due(31)
    checks.equal("everything that is over is due a day after", sorted(found), ["one", "two"])
    checks.check("a dry run deletes nothing", not any(s["is_deleted"] for s in found.values()), found)
    table = system.reel("sessions", "expire", "--dry-run", "--at", later(31))
    checks.check("for people", table.returncode == 0 and b"one" in table.stdout, table.stdout)
    now = json.loads(system.reel("sessions", "expire", "--json").stdout)
    checks.equal("nothing is due now", (now["sessions"], now["deleted"], now["dry_run"]), ([], 0, False))
    checks.equal("sessions stay", json.loads(system.reel("sessions", "show", "one", "--json").stdout)["status"],
                 "completed")
    done = system.reel("sessions", "expire", "--at", later(31))
    checks.check("another time than now is for looking alone", done.returncode == 2 and "--dry-run" in done.stderr,
                 done.stderr)


def check_purposes(system, folder):
    """What is taken out on the machine may carry a case and a reason."""
    purpose = ("--case", "2026-117", "--reason", "court order of 3 March")
    checks.equal("a key for a case", system.reel("keys", "export", "two", *purpose).returncode, 0)
    checks.equal("bytes for a case",
                 system.reel("export", "two", "-o", str(folder / "two"), *purpose).returncode, 0)
    checks.equal("a key of no session", system.reel("keys", "export", "no-such", *purpose).returncode, 1)
    checks.check("all three are shown", eventually(lambda: audit(system, "--session", "no-such")["records"]))
    records = {r["action"]: r for r in audit(system, "--session", "two", "--limit", "2")["records"]}
    checks.equal("both", sorted(records), ["key.export", "session.export"])
    for action, record in records.items():
        checks.equal(f"{action} says what for", (record["case"], record["reason"]), (purpose[1], purpose[3]))
    version = json.loads(system.reel("sessions", "show", "two", "--json").stdout)["version"]
    checks.equal("the key's record names its event", records["key.export"]["session_sequence"], version)
    failed = audit(system, "--session", "no-such")["records"][0]
    checks.check("what failed says why it did, and what for",
                 failed["case"] == purpose[1] and failed["reason"] != purpose[3]
                 and {"name": "given_reason", "value": purpose[3]} in failed["details"], failed)
    for options in (["--case", " x"], ["--reason", ""], ["--case", "x" * 101]):
        done = system.reel("keys", "export", "two", *options)
        checks.check(f"{options[0]} is refused by name", done.returncode == 2 and options[0] in done.stderr,
                     done.stderr)


def check_content(system):
    """What is changed and taken out over HTTP."""
    token = system.reel("token", "--subject", "ida", "--role", "admin").stdout.decode().strip()
    web = Web(system.endpoints["api_url"], token)
    for first in (0, 1000, 39_000, 5):
        part = web("GET", "/sessions/two/media?case=2026-117&reason=a%20look",
                   headers={"Range": f"bytes={first}-{first + 9}"})
        checks.equal("a part is a part", (part.status, len(part.body)), (206, 10))
    checks.equal("all is all", len(web("GET", "/sessions/two/media").body), 40_000)
    changed = web("PUT", "/sessions/two", {"name": "very-secret", "metadata": {"project": "very-secret"}})
    checks.equal("changed", changed.status, 200)
    shown = lambda: [r for r in audit(system, "--actor", "ida", "--session", "two")["records"]]
    checks.check("a viewing is one record, a download another, a change a third",
                 eventually(lambda: [r["action"] for r in shown()] == [
                     "session.update", "media.download", "media.download"]), shown())
    update, whole, viewing = shown()
    checks.equal("the change names its fields", update["changed"], ["name", "metadata.project"])
    checks.equal("and its event", update["session_sequence"],
                 json.loads(system.reel("sessions", "show", "two", "--json").stdout)["version"])
    checks.check("and no values", "very-secret" not in json.dumps(update), update)
    checks.equal("the viewing says what was answered first",
                 (viewing["status_code"], viewing["range"], viewing["case"], viewing["reason"]),
                 (206, {"first": 0, "last": 9, "length": 40_000}, "2026-117", "a look"))
    checks.equal("the download was of everything", (whole["status_code"], whole["range"]), (200, None))


def check_schemas(system):
    """Everything that the log holds by now, and everything that is shown."""
    events = records_of_log(system.redis())
    schemas = Schemas()
    problems = [problem for event in events for problem in schemas.problems(event)]
    checks.equal("records follow their schema", problems, [])
    checks.equal("all of the newest version", {event["dataschema"] for event in events},
                 {"urn:reel:event:AuditRecorded:2"})
    validator = jsonschema.Draft202012Validator(json.loads((SCHEMAS / "read-models" / "audit.json").read_text()))
    views = audit(system)["records"]
    checks.equal("views follow theirs to the end",
                 [e.message for view in views for e in validator.iter_errors(view)], [])
    data = {event["id"]: event["data"] for event in events}
    checks.check("views say what the events say to the end",
                 all(without_nulls(view) == data[view["audit_id"]] for view in views))


def check_records(system, key):
    events = records_of_log(system.redis())
    views = audit(system)["records"]
    checks.check("everything in the log is shown, and nothing else",
                 sorted(view["audit_id"] for view in views) == sorted(event["id"] for event in events))
    schema = json.loads((SCHEMAS / "read-models" / "audit.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    checks.equal("views follow theirs", [e.message for view in views for e in validator.iter_errors(view)], [])
    data = {event["id"]: event["data"] for event in events}
    checks.check("views say what the events say",
                 all(without_nulls(view) == data[view["audit_id"]] for view in views))
    checks.check("the local user did it", {view["actor"]["subject"] for view in views} == {USER}, views[:1])
    text = json.dumps([events, views])
    checks.check("no key stands in the trail", key not in text)
    database = pymongo.MongoClient(system.endpoints["mongodb_url"])["reel"]
    documents = list(database["audit"].find({}, {"_id": 0}))
    checks.equal("documents have the fields of the schema",
                 {tuple(sorted(document)) for document in documents}, {tuple(sorted(schema["properties"]))})


def check_options(system):
    everything = audit(system)["records"]
    checks.equal("by outcome", [r["session_id"] for r in audit(system, "--outcome", "failed")["records"]],
                 ["none"])
    checks.equal("by action", [r["session_id"] for r in audit(system, "--action", "session.record")["records"]],
                 ["two", "one"])
    checks.equal("by actor", len(audit(system, "--actor", USER)["records"]), len(everything))
    checks.equal("by another actor", audit(system, "--actor", "nobody-else")["records"], [])
    middle = everything[1]["time"]
    checks.equal("since and until", audit(system, "--since", middle, "--until", middle)["records"],
                 [r for r in everything if r["time"] == middle])
    pages, cursor = [], []
    while True:
        page = audit(system, "--limit", "2", *cursor)
        pages += page["records"]
        if not page["next_cursor"]:
            break
        cursor = ["--after", page["next_cursor"]]
    checks.equal("page by page", pages, everything)
    table = system.reel("audit", "--session", "one")
    text = table.stdout.decode()
    checks.check("for people", table.returncode == 0 and "key.export" in text and USER in text, text)
    for options in (["--outcome", "maybe"], ["--since", "yesterday"], ["--limit", "0"], ["--after", "x"],
                    ["--action", "DROP TABLE"]):
        done = system.reel("audit", *options)
        checks.check(f"{options} is refused by name", done.returncode == 2 and options[0] in done.stderr,
                     done.stderr)


main()
checks.finish()

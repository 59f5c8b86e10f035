#!/usr/bin/env python3
"""Legal holds through the program: nobody deletes what a case holds, whichever way it is tried."""

import datetime
import json
import shutil
import urllib.request

import jsonschema
import pymongo

from formats import Schemas
from kit import SCHEMAS, UNLIMITED, Checks, System, Workspace, environment, eventually, mixed, seed_of

checks = Checks("holds")
SETTINGS = {"REEL_DISK_RESERVE_MB": "0"}


def run(system, *words, status=0):
    """A command; what it printed, as JSON where it is."""
    done = system.reel(*words)
    checks.equal(" ".join(("reel",) + words[:2]) + f" ends with {status}", done.returncode, status)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return done.stdout.decode() + done.stderr


def api(system, method, path, token, body=None):
    request = urllib.request.Request(
        system.endpoints["api_url"] + "/api/v1" + path, method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def token(system, role):
    return system.reel("token", "--subject", f"the-{role}", "--role", role).stdout.decode().strip()


def cases(answer):
    return [hold["case"] for hold in answer["holds"]]


def record(system, name, seed, *options):
    done = system.reel("record", "-", "--name", name, "--session-id", name, "--wait", *options,
                       stdin=mixed(seed, 40_000))
    checks.equal(f"recording {name}", done.returncode, 0)


def later(days):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def due(system):
    found = run(system, "sessions", "expire", "--dry-run", "--at", later(400), "--json")
    return sorted(session["session_id"] for session in found["sessions"])


def commands(system, admin):
    """Setting, listing and lifting on the command line and over HTTP alike."""
    first = run(system, "hold", "set", "one", "--case", "2026-117", "--reason", "subpoena", "--json")
    checks.equal("one case holds it", (first["is_held"], cases(first)), (True, ["2026-117"]))
    status, second = api(system, "POST", "/sessions/one/hold", admin, {"case": "B", "reason": "audit"})
    checks.equal("a second case, over HTTP", (status, cases(second)), (200, ["2026-117", "B"]))
    again = run(system, "hold", "set", "one", "--case", "B", "--reason", "other", "--json")
    checks.equal("given again it changes nothing", [h["reason"] for h in again["holds"]], ["subpoena", "audit"])
    checks.check("for people", "is held by: 2026-117, B" in run(
        system, "hold", "set", "one", "--case", "B", "--reason", "r"))
    listed = lambda *options: [s["session_id"] for s in run(system, "hold", "list", "--json", *options)["sessions"]]
    checks.check("held sessions are listed", eventually(lambda: listed() == ["one"]), listed())
    checks.equal("by case", (listed("--case", "B"), listed("--case", "C")), (["one"], []))
    checks.check("for people, with who and why", "subpoena" in run(system, "hold", "list"))
    for option in (("--held",), ("--case", "B")):
        shown = run(system, "sessions", "list", "--json", *option)["sessions"]
        checks.equal(f"sessions list {' '.join(option)}", [s["session_id"] for s in shown], ["one"])
    checks.check("sessions show", "held by" in run(system, "sessions", "show", "one"))
    run(system, "hold", "set", "absent", "--case", "A", "--reason", "r", status=1)
    run(system, "hold", "lift", "one", "--reason", "which", status=1)
    run(system, "hold", "lift", "one", "--case", "C", "--reason", "none", status=1)
    run(system, "hold", "lift", "two", "--reason", "none", status=1)
    for words in (("set", "one", "--case", "A"), ("set", "one", "--reason", "r"), ("lift", "one"),
                  ("set", "one", "--case", " A", "--reason", "r"), ("list", "--case", "x" * 101),
                  ("set", "one", "--case", "A", "--reason", "\x1b[2J")):
        run(system, "hold", *words, status=2)
    for word in ("set", "lift", "list"):
        checks.check(f"hold {word} --help", "Usage: reel hold" in run(system, "hold", word, "--help"))


def nobody_deletes(system, admin):
    manager = token(system, "session_manager")
    for who, name in ((admin, "admin"), (manager, "session_manager")):
        status, answer = api(system, "DELETE", "/sessions/one", who)
        checks.equal(f"DELETE by {name}", (status, answer["error"]["code"]), (409, "REEL_ERR_3004"))
    checks.equal("retention passes over it", due(system), ["two"])
    checks.equal("its bytes are there", system.reel("verify", "one").returncode, 0)


def traces(system, admin):
    """In the log, the read models, the trail, the figures and the status."""
    schemas = Schemas()
    events = [event for event in system.events("one") if event["type"].startswith("LegalHold")]
    checks.equal("two events", [event["type"] for event in events], ["LegalHoldSet"] * 2)
    for event in events:
        checks.equal("the event follows its schema", schemas.problems(event), [])
    with pymongo.MongoClient(system.endpoints["mongodb_url"]) as client:
        held = lambda: client.reel.sessions.find_one({"session_id": "one"}).get("reel", {}).get("holds", [])
        checks.check("the document names both", eventually(lambda: len(held()) == 2), held())
        checks.equal("with who", {hold["set_by"] for hold in held()} >= {"admin"}, True)
    document = run(system, "sessions", "show", "one", "--json")
    jsonschema.validate(document, json.loads((SCHEMAS / "read-models" / "session.json").read_text()))
    actions = lambda: {r["action"] for r in run(system, "audit", "--session", "one", "--json")["records"]}
    checks.check("the trail has it", eventually(lambda: "hold.set" in actions()), actions())
    checks.equal("status counts it", run(system, "status", "--json")["legal_holds"],
                 {"sessions": 1, "tag_counts": False})
    with urllib.request.urlopen(system.endpoints["projector_url"] + "/metrics") as answer:
        checks.check("so do the figures", b"\nreel_held_sessions 1" in answer.read())


def free_again(system, admin):
    auditor = token(system, "auditor")
    status, answer = api(system, "DELETE", "/sessions/one/hold", auditor, {"case": "B", "reason": "closed"})
    checks.equal("one is lifted", (status, cases(answer)), (200, ["2026-117"]))
    checks.equal("the other holds", api(system, "DELETE", "/sessions/one", admin)[0], 409)
    last = run(system, "hold", "lift", "one", "--reason", "closed", "--json")
    checks.equal("the last is lifted", (last["is_held"], last["holds"]), (False, []))
    checks.check("and it is due again", eventually(lambda: due(system) == ["one", "two"]), due(system))
    done = system.reel("replay", "--verify")
    checks.equal("the read models are what the log says", done.returncode, 0)


def the_tag_means_nothing(system, admin):
    operator = token(system, "session_operator")
    desk = {"name": "t", "rdp_config": {"host": "h", "username": "u"}, "metadata": {"tags": ["legal-hold"]}}
    name = api(system, "POST", "/sessions", operator, desk)[1]["session_id"]
    checks.equal("the tag can be taken away", api(
        system, "PUT", f"/sessions/{name}", operator, {"metadata": {"tags": []}})[0], 200)
    api(system, "PUT", f"/sessions/{name}", operator, {"metadata": {"tags": ["legal-hold"]}})
    checks.equal("and holds nothing", api(system, "DELETE", f"/sessions/{name}", admin)[0], 204)


def what_a_loss_leaves(data, seed):
    """A hold that the log has lost is named when the loss is accepted, and no file of its session is moved."""
    with System(data, env=environment(**SETTINGS)) as system:
        record(system, "kept", seed)
    shutil.copytree(data / "redis", data.parent / "old-redis")
    with System(data, env=environment(**SETTINGS)) as system:
        run(system, "hold", "set", "kept", "--case", "lost", "--reason", "r", "--json")
        checks.check("the read models know of it", eventually(
            lambda: run(system, "hold", "list", "--json")["sessions"]))
    shutil.rmtree(data / "redis")
    shutil.copytree(data.parent / "old-redis", data / "redis")
    with System(data, env=environment(**SETTINGS)) as system:
        halted = lambda: run(system, "partitions", "list", "--json")["halted"]
        checks.check("the loss is noticed", eventually(halted), halted())
        lost = []
        for halt in halted():
            found = run(system, "partitions", "lift", str(halt["partition"]), "--accept-loss", "--reason",
                        "test", "--json")
            lost += [(s["session_id"], s["lost_holds"], s["files_set_aside"]) for s in found["sessions"]]
        checks.check("it is said which hold was lost", ("kept", ["lost"], []) in lost, lost)


def main():
    seed = seed_of("holds")
    with Workspace("holds") as folder:
        data = folder / "data"
        with System(data, "--partitions", "4", *UNLIMITED, env=environment(**SETTINGS)) as system:
            admin = open(system.endpoints["admin_token_file"]).read().strip()
            for name in ("one", "two"):
                record(system, name, seed)
            with checks.section("commands"):
                commands(system, admin)
            with checks.section("nobody deletes what is held"):
                nobody_deletes(system, admin)
            with checks.section("traces"):
                traces(system, admin)
            with checks.section("free again"):
                free_again(system, admin)
            with checks.section("the tag"):
                the_tag_means_nothing(system, admin)
        with checks.section("a loss"):
            what_a_loss_leaves(data, seed)
    checks.finish()


if __name__ == "__main__":
    main()

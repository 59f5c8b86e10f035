#!/usr/bin/env python3
"""A second domain, hosted by a program of its own (Tests/ToyReel): its events, stage, view, endpoint and
command on real servers, killed and restarted, replayed, archived, parked and in status, beside recorded sessions."""

import json
import pathlib
import urllib.error
import urllib.request

import pymongo

import kit
from kit import Checks, System, Workspace, eventually, mixed

checks = Checks("toy")
kit.REEL = str(pathlib.Path(kit.REEL).with_name("toyreel"))


def token(system, role):
    done = system.reel("token", "--subject", "ann", "--role", role)
    return done.stdout.decode().strip() if isinstance(done.stdout, bytes) else done.stdout.strip()


def ask(system, method, path, who, body=None):
    request = urllib.request.Request(
        system.endpoints["api_url"] + path, method=method, data=body and json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {who}")
    if body:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def lamps(system, who, colour):
    status, answer = ask(system, "GET", f"/api/v1/lamps?colour={colour}", who)
    return [(lamp["lamp_id"], lamp["works"]) for lamp in answer] if status == 200 else status


def told(record):
    return {detail["name"]: detail["value"] for detail in record["details"]}


def parked(system):
    return json.loads(system.reel("parked", "list", "--json").stdout)["parked"]


with Workspace("toy") as place:
    options = ["--archive-after-events", "10", "--archive-every", "1", "--partitions", "2",
               *kit.UNLIMITED]
    with System(place / "data", *options) as system:
        keeper, viewer = token(system, "lamp_keeper"), token(system, "session_viewer")
        # Endpoint, permission, command.
        checks.equal("an endpoint of the domain makes a lamp",
                     ask(system, "POST", "/api/v1/lamps", keeper, {"lamp_id": "l1", "colour": "red"})[0], 201)
        status, answer = ask(system, "POST", "/api/v1/lamps", keeper, {"lamp_id": "l1", "colour": "red"})
        checks.equal("a rule of the domain refuses it twice", (status, answer["error"]["code"]),
                     (409, "REEL_ERR_3003"))
        checks.equal("whose role has no such permission is refused",
                     ask(system, "POST", "/api/v1/lamps", viewer, {"lamp_id": "l9", "colour": "red"})[0], 403)
        checks.equal("a field that breaks a rule is named",
                     ask(system, "POST", "/api/v1/lamps", keeper, {"colour": "red"})[0], 422)
        done = system.reel("lamps", "--id", "l2", "--colour", "red")
        checks.equal("a command of the domain makes another", done.returncode, 0)
        # Stage and view with an index.
        checks.check("the stage tests both, and the view shows it",
                    eventually(lambda: lamps(system, keeper, "red") == [("l1", True), ("l2", True)], 60))
        status, answer = ask(system, "GET", "/api/v1/lamps?works=x", keeper)
        fields = [violation["field"] for violation in answer["error"]["details"].get("violations", [])]
        checks.equal("a field without index is no criterion", (status, fields), (422, ["works"]))
        # A recorded session beside it, by the same servers and roles.
        recorded = system.reel(
            "record", "-", "--name", "film", "--session-id", "film", "--chunk-size", "0.01", "--wait",
            stdin=mixed(7, 40_000))
        checks.equal("sessions are recorded beside it", recorded.returncode, 0)
        checks.equal("and verified", system.reel("verify", "film").returncode, 0)
        # Parked.
        ask(system, "POST", "/api/v1/lamps", keeper, {"lamp_id": "dark", "colour": "black"})
        checks.check("what the stage cannot do is set aside",
                    eventually(lambda: any(item["stage"] == "test-lamp" for item in parked(system)), 60))
        name = next((item["id"] for item in parked(system) if item["stage"] == "test-lamp"), "")
        retried = system.reel("parked", "retry", name)
        checks.equal("it can be tried again", retried.returncode, 0)
        checks.check("and is set aside again",
                    eventually(lambda: any(item["stage"] == "test-lamp" for item in parked(system)), 60))
        discarded = system.reel("parked", "discard", name, "--reason", "it is black")
        checks.equal("it can be discarded", discarded.returncode, 0)
        status_text = system.reel("status", "--json").stdout
        checks.check("status tells of the stage", "test-lamp" in str(status_text))
        # Who made lamps, and who was not let.
        def made():
            records = json.loads(system.reel("audit", "--action", "lamp.make", "--json").stdout)["records"]
            return sorted((record["outcome"], record["status_code"]) for record in records
                          if "command" not in told(record))
        checks.check("each request to make a lamp has one record", eventually(lambda: made() == [
            ("allowed", 201), ("allowed", 201), ("denied", 403), ("denied", 409), ("denied", 422)], 60))
        def commands():
            records = json.loads(system.reel("audit", "--action", "lamp.make", "--json").stdout)["records"]
            return sorted((record["outcome"], record["actor"]["type"]) for record in records
                          if told(record).get("command") == "lamps")
        checks.equal("a command that is refused ends with 1",
                     system.reel("lamps", "--id", "l2", "--colour", "red").returncode, 1)
        checks.check("each command to make a lamp has one record, in the name of whoever ran it",
                     eventually(lambda: commands() == [("allowed", "user"), ("denied", "user")], 60), commands())
        records = json.loads(system.reel("audit", "--action", "lamp.make", "--json").stdout)["records"]
        checks.check("records of requests name the kind of thing", all(
            record["resource_type"] == "other" and record["session_id"] is None
            and (told(record).get("kind") == "lamp" or told(record).get("command") == "lamps")
            for record in records), records)
        # A program that hosts less.
        kit.REEL, toyreel = str(pathlib.Path(kit.REEL).with_name("reel")), kit.REEL
        refused = system.reel(
            "serve", "projector", "--redis-url", system.endpoints["redis_url"],
            "--mongodb-url", system.endpoints["mongodb_url"])
        kit.REEL = toyreel
        checks.check("a program without the domain is not let in, and says why",
                     refused.returncode == 3 and "category 'lamp'" in str(refused.stderr), refused.stderr)
        # kill -9 in the midst of work.
        for number in range(60):
            ask(system, "POST", "/api/v1/lamps", keeper, {"lamp_id": f"k{number}", "colour": "blue"})
        system.kill()
        system.start()
        checks.check("after kill -9 every lamp is tested, and none twice", eventually(
            lambda: len(lamps(system, keeper, "blue")) == 60
            and all(works for _, works in lamps(system, keeper, "blue")), 90))
        # Archive: events of the domain leave Redis, and are read all the same.
        checks.check("its events are archived", eventually(
            lambda: json.loads(system.reel("archive", "status", "--json").stdout)["archived_events"] > 0, 90))
        checks.equal("the archive verifies", system.reel("archive", "verify").returncode, 0)
        # Replay: a document that somebody has changed is found and mended.
        mongo = pymongo.MongoClient(system.endpoints["mongodb_url"])["reel"]
        checks.equal("the index of the view is there",
                     "colour_1" in mongo["lamps"].index_information(), True)
        mongo["lamps"].update_one({"lamp_id": "l1"}, {"$set": {"colour": "green"}})
        checks.equal("replay finds a changed lamp",
                     system.reel("replay", "--verify", "--wait").returncode, 1)
        checks.equal("replay puts it right",
                     system.reel("replay", "--collection", "lamps", "--wait").returncode, 0)
        checks.equal("as the log has it", mongo["lamps"].find_one({"lamp_id": "l1"})["colour"], "red")
        checks.equal("and nothing differs any more",
                     system.reel("replay", "--verify", "--wait").returncode, 0)
        versions = sorted(lamp["version"] for lamp in mongo["lamps"].find({"colour": "blue"}))
        checks.equal("each has exactly two events", versions, [2] * 60)

checks.finish()

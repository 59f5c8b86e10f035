#!/usr/bin/env python3
"""Every role on a port of its own, and the services that sessions are worked with over: in one process, and in
processes apart."""

import http.client
import json
import pathlib
import random
import re
import urllib.error
import urllib.parse
import urllib.request

from kit import UNLIMITED, Checks, System, Workspace, eventually, free_port, seed_of
from servers import Servers, Site

checks = Checks("roles")
ROLES = ["pipeline", "recorder", "processor", "storage", "api", "projector"]
CONTENT = {"event_log", "roles", "read_models", "keys", "disks"}
HEALTH = {"projector": {"event_log", "roles", "read_models"}}


def get(url):
    """Status and body."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Service:
    """One role's port, with a token."""

    def __init__(self, url, token):
        self.url, self.token = url, token

    def ask(self, method, path, body=None, token=None):
        """Status and body; JSON is taken apart."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        if body is not None:
            is_bytes = isinstance(body, bytes)
            headers["Content-Type"] = "application/octet-stream" if is_bytes else "application/json"
            body = body if is_bytes else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, content, kind = answer.status, answer.read(), answer.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            status, content, kind = error.code, error.read(), error.headers["Content-Type"]
        return status, json.loads(content) if content and "json" in (kind or "") else content


    def begin(self, path):
        """A POST whose body comes in pieces, and may never come to its end."""
        parts = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        connection.putrequest("POST", path)
        for name, value in (("Authorization", f"Bearer {self.token}"), ("Transfer-Encoding", "chunked"),
                            ("Content-Type", "application/octet-stream")):
            connection.putheader(name, value)
        connection.endheaders()
        return connection


DESK = {"name": "a desk", "rdp_config": {"host": "desk.example", "username": "anna"}}


def pipelines(what, manager, source):
    """A recording through the Pipeline Manager alone; its session and bytes."""
    status, made = manager.ask("POST", "/pipelines", DESK)
    name = made.get("session_id")
    checks.equal(f"{what}: POST /pipelines", (status, made.get("state")), (201, "created"))
    checks.equal(f"{what}: of a session that is there",
                 manager.ask("POST", "/pipelines", {"session_id": name})[0], 200)
    status, started = manager.ask("POST", f"/pipelines/{name}/start")
    checks.equal(f"{what}: start", (status, started.get("state")), (200, "active"))
    checks.equal(f"{what}: and not twice", manager.ask("POST", f"/pipelines/{name}/start")[0], 409)
    paused = manager.ask("POST", f"/api/v1/pipelines/{name}/pause")[1]
    checks.equal(f"{what}: pause", (paused.get("state"), paused.get("is_held")), ("paused", True))
    pieces = [source.randbytes(source.randrange(1, 200_000)) for _ in range(3)]
    for number, piece in enumerate(pieces, 1):
        query = f"sequence_number={number}&timestamp=2026-11-21T10:00:0{number}Z"
        checks.equal(f"{what}: chunk {number}",
                     manager.ask("POST", f"/pipelines/{name}/chunks?{query}", piece)[0], 201)
    resumed = manager.ask("POST", f"/pipelines/{name}/resume")[1]
    checks.equal(f"{what}: resume", (resumed.get("state"), resumed.get("is_held")), ("active", False))
    checks.equal(f"{what}: no cleaning up while it works", manager.ask("DELETE", f"/pipelines/{name}")[0], 409)
    checks.equal(f"{what}: stop", manager.ask("POST", f"/pipelines/{name}/stop")[0], 200)

    def look():
        return manager.ask("GET", f"/pipelines/{name}/status")[1]

    eventually(lambda: look()["state"] == "stopped", 90)
    done = look()
    checks.equal(f"{what}: it comes to its end",
                 (done["state"], done["session_status"], done["chunks"]),
                 ("stopped", "completed", {"recorded": 3, "stored": 3, "failed": 0}))
    status, cleaned = manager.ask("DELETE", f"/pipelines/{name}")
    checks.equal(f"{what}: cleaned up", (status, cleaned.get("state")), (200, "destroyed"))
    checks.equal(f"{what}: nobody without a token", manager.ask("GET", "/config", token="none")[0], 401)
    status, config = manager.ask("GET", "/config")
    checks.check(f"{what}: the configuration", status == 200 and "pipeline" in config["roles"], config)
    checks.check(f"{what}: the status counts sessions",
                 manager.ask("GET", "/status")[1]["sessions"]["recording"] >= 0)
    return name, b"".join(pieces)


def recordings(what, recorder, source):
    """A recording through the Recorder alone; its session and bytes."""
    status, refused = recorder.ask("POST", "/recordings/start", dict(DESK, source="rdp"))
    checks.equal(f"{what}: no client connects to a desktop, and that is said",
                 (status, refused["error"]["code"]), (501, "REEL_ERR_3002"))
    status, started = recorder.ask("POST", "/recordings/start", DESK)
    name = started.get("session_id")
    checks.equal(f"{what}: POST /recordings/start", (status, started.get("status")), (201, "recording"))
    whole = source.randbytes(300_000)
    half = source.randrange(1, 200_000)
    path = f"/chunks/{name}/process"
    broken = recorder.begin(path)
    broken.send(b"%x\r\n%s\r\n" % (half, whole[:half]))

    def look():
        return recorder.ask("GET", f"/recordings/{name}")[1]

    eventually(lambda: look()["progress"]["recorder_alive"], 30)
    broken.close()
    # What has arrived when the connection breaks is recorded; how much that is, the recording says.
    eventually(lambda: look()["progress"]["next_offset"] > 0, 60)
    place = look()["progress"]["next_offset"]
    checks.check(f"{what}: what has arrived of a stream that breaks is kept", 0 < place <= half, (place, half))
    checks.equal(f"{what}: a stream goes on where it ended, or not at all",
                 recorder.ask("POST", f"{path}?offset={place + 1}", b"x")[0], 409)
    status, taken = recorder.ask("POST", f"{path}?offset={place}", whole[place:])
    checks.equal(f"{what}: POST /chunks/…/process", (status, taken.get("next_offset")), (201, len(whole)))
    for step, state in (("pause", "paused"), ("resume", "recording")):
        checks.equal(f"{what}: {step}",
                     recorder.ask("POST", f"/api/v1/recordings/{name}/{step}")[1]["status"], state)
    running = recorder.ask("GET", "/recordings?status=recording")[1]
    listed = eventually(lambda: name in [
        item["session_id"] for item in recorder.ask("GET", "/recordings?status=recording")[1]["recordings"]], 60)
    checks.check(f"{what}: GET /recordings", listed, running)
    checks.equal(f"{what}: stop", recorder.ask("POST", f"/recordings/{name}/stop")[0], 200)
    checks.check(f"{what}: it is completed", eventually(lambda: look()["status"] == "completed", 90), look())
    done = look()["progress"]
    checks.check(f"{what}: every chunk is stored",
                 done["chunks_recorded"] == done["chunks_stored"] > 1 and not done["incomplete"], done)
    chunks = recorder.ask("GET", f"/chunks/{name}")[1]["chunks"]
    checks.equal(f"{what}: GET /chunks/…", sum(chunk["size_bytes"] for chunk in chunks), len(whole))
    eventually(lambda: recorder.ask("GET", "/compression/stats")[1]["original_bytes"] >= len(whole), 60)
    stats = recorder.ask("GET", "/compression/stats")[1]
    checks.check(f"{what}: GET /compression/stats", stats["original_bytes"] >= len(whole)
                 and stats["chunks_count"] >= len(chunks), stats)
    return name, whole


def basics(role, url):
    """What every role's port answers."""
    status, body = get(url + "/status")
    checks.equal(f"{role}: its port is its own", (status, json.loads(body)["role"]), (200, role))
    for path in ("/health", "/health/live", "/health/ready", "/api/v1/health"):
        status, body = get(url + path)
        checks.equal(f"{role}: {path}", (status, json.loads(body)["status"]), (200, "healthy"))
    found = json.loads(get(url + "/health")[1])
    parts = {name for kind in ("services", "database", "storage") for name in found[kind]}
    checks.equal(f"{role}: health is that of what it needs", parts, HEALTH.get(role, CONTENT))
    status, body = get(url + "/metrics")
    checks.check(f"{role}: metrics", status == 200 and b"# TYPE" in body, body[:200])


def together(folder, source):
    """`reel up`: all ports in one process, announced in endpoints.json."""
    named = free_port()
    with System(folder / "data", "--recorder-port", named, *UNLIMITED) as system:
        urls = {role: system.endpoints[f"{role}_url"] for role in ROLES}
        checks.equal("every role has another port", len(set(urls.values())), len(ROLES))
        checks.equal("a port that is named is taken", urls["recorder"], f"http://127.0.0.1:{named}")
        for role in ROLES:
            basics(role, urls[role])
        checks.equal("sessions are asked for at the API's port", get(urls["api"] + "/api/v1/sessions")[0], 401)
        checks.equal("and not at the projector's", get(urls["projector"] + "/api/v1/sessions")[0], 404)
        token = pathlib.Path(system.endpoints["admin_token_file"]).read_text().strip()
        api = Service(urls["api"] + "/api/v1", token)
        name, whole = pipelines("together", Service(urls["pipeline"], token), source)
        checks.check("the session API gives back what the Pipeline Manager took",
                     api.ask("GET", f"/sessions/{name}/media")[1] == whole)
        other, recorded = recordings("together", Service(urls["recorder"], token), source)
        checks.check("and what the Recorder took",
                     api.ask("GET", f"/sessions/{other}/media")[1] == recorded)
        checks.equal("the Recorder removes a recording",
                     Service(urls["recorder"], token).ask("DELETE", f"/recordings/{other}")[0], 204)
        checks.equal("and the session is gone", api.ask("GET", f"/sessions/{other}")[0], 404)
        wanted = {"session.start", "chunk.upload", "session.stop", "pipeline.control"}

        def trail():
            return {record["action"] for record in api.ask("GET", f"/audit?session={name}")[1]["records"]}

        checks.check("the trail has what was done over every port",
                     eventually(lambda: wanted <= trail(), 60), trail())
        checks.equal("it ends with status 0", system.stop(), 0)


def apart(site, source):
    """`reel serve`: a process for some roles."""
    port = free_port()
    pair = site.serve("processor", "storage", "--port", port)
    found = dict(
        (role, url) for url, role in re.findall(r"http port open url=(\S+) role=(\w+)", pair.said()))
    checks.equal("a process has a port for each of its roles", set(found), {"processor", "storage"})
    checks.equal("the first one's is the one named", found["processor"], f"http://127.0.0.1:{port}")
    for role, url in found.items():
        basics(role, url)
    site.serve("projector", name="projector")
    keys = site.folder / "tokens"
    keys.mkdir(mode=0o700)
    done = site.reel("token", "--subject", "anna", "--role", "session_manager", "--token-keys", keys)
    token = done.stdout.decode().strip()
    manager = site.serve("pipeline", "--token-keys", keys, *UNLIMITED, name="pipeline")
    url = re.search(r"http port open url=(\S+) role=pipeline", manager.said()).group(1)
    name, whole = pipelines("apart", Service(url, token), source)
    checks.check("what processes apart have made is exported",
                 site.reel("export", name, "-o", "-").stdout == whole)
    recorder = site.serve("recorder", "--token-keys", keys, *UNLIMITED, name="recorder")
    url = re.search(r"http port open url=(\S+) role=recorder", recorder.said()).group(1)
    other, recorded = recordings("apart", Service(url, token), source)
    checks.check("what a recorder apart has taken is exported",
                 site.reel("export", other, "-o", "-").stdout == recorded)
    events = [json.loads(line) for line in site.reel("events", name, "--json").stdout.splitlines()]
    checks.equal("the log has who said so, and where", (events[0]["authid"], events[0]["source"]),
                 ("anna", "/reel/pipeline"))
    checks.equal("they end with status 0", {role.end() for role in site.roles}, {0})


def main():
    source = random.Random(seed_of("roles"))
    with Workspace("roles") as folder:
        with checks.section("together"):
            together(folder, source)
        with Servers(folder) as servers, Site(folder, servers) as site, checks.section("apart"):
            servers.start_redis()
            servers.start_mongo()
            apart(site, source)
    checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Every role on a port of its own: in one process, and in processes apart."""

import json
import re
import urllib.error
import urllib.request

from kit import Checks, System, Workspace, free_port
from servers import Servers, Site

checks = Checks("roles")
ROLES = ["pipeline", "recorder", "processor", "storage", "api", "projector"]
HEALTH = {"pipeline": 3, "recorder": 3, "processor": 3, "storage": 3, "api": 3, "projector": 2}


def get(url):
    """Status and body."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def basics(role, url):
    """What every role's port answers."""
    status, body = get(url + "/status")
    checks.equal(f"{role}: its port is its own", (status, json.loads(body)["role"]), (200, role))
    for path in ("/health", "/health/live", "/health/ready", "/api/v1/health"):
        status, body = get(url + path)
        checks.equal(f"{role}: {path}", (status, json.loads(body)["status"]), (200, "healthy"))
    found = json.loads(get(url + "/health")[1])
    parts = [name for kind in ("services", "database", "storage") for name in found[kind]]
    checks.equal(f"{role}: health is that of what it needs", len(parts), HEALTH[role])
    status, body = get(url + "/metrics")
    checks.check(f"{role}: metrics", status == 200 and b"# TYPE" in body, body[:200])


def together(folder):
    """`reel up`: all ports in one process, announced in endpoints.json."""
    named = free_port()
    with System(folder / "data", "--recorder-port", named) as system:
        urls = {role: system.endpoints[f"{role}_url"] for role in ROLES}
        checks.equal("every role has another port", len(set(urls.values())), len(ROLES))
        checks.equal("a port that is named is taken", urls["recorder"], f"http://127.0.0.1:{named}")
        for role in ROLES:
            basics(role, urls[role])
        checks.equal("sessions are asked for at the API's port", get(urls["api"] + "/api/v1/sessions")[0], 401)
        checks.equal("and not at the projector's", get(urls["projector"] + "/api/v1/sessions")[0], 404)
        checks.equal("it ends with status 0", system.stop(), 0)


def apart(site):
    """`reel serve`: a process for some roles."""
    port = free_port()
    pair = site.serve("processor", "storage", "--port", port)
    found = dict(
        (role, url) for url, role in re.findall(r"http port open url=(\S+) role=(\w+)", pair.said()))
    checks.equal("a process has a port for each of its roles", set(found), {"processor", "storage"})
    checks.equal("the first one's is the one named", found["processor"], f"http://127.0.0.1:{port}")
    for role, url in found.items():
        basics(role, url)
    checks.equal("it ends with status 0", pair.end(), 0)


def main():
    with Workspace("roles") as folder:
        with checks.section("together"):
            together(folder)
        with Servers(folder) as servers, Site(folder, servers) as site, checks.section("apart"):
            servers.start_redis()
            servers.start_mongo()
            apart(site)
    checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Ordered roles in several processes: equal shares, and what happens when an owner is killed, stopped or
ended."""

import collections
import signal
import time

from kit import Checks, Redis, Workspace, eventually, mixed, seed_of
from servers import Servers, Site

checks = Checks("owners")
SUBSCRIPTIONS = ("completion", "projector")
PARTITIONS = 16


def owners(redis, subscription):
    """Owner of each partition by its lease; those that were given back are None."""
    found = [redis("HGET", f"reel:{{p{number:03d}}}:lease:{subscription}", "owner")
             for number in range(PARTITIONS)]
    return [owner or None for owner in found]


def shares(redis, subscription):
    return sorted(collections.Counter(owners(redis, subscription)).values())


def settled(redis, *wanted):
    return all(None not in owners(redis, name) and shares(redis, name) == sorted(wanted)
               for name in SUBSCRIPTIONS)


def generations(redis, subscription):
    return [int(redis("HGET", f"reel:{{p{number:03d}}}:lease:{subscription}", "generation"))
            for number in range(PARTITIONS)]


def record(site, seed, name):
    original = mixed(seed, 2_000_000)
    done = site.reel("record", "-", "--name", name, "--session-id", name, "--chunk-size", "0.25", "--wait",
                     stdin=original)
    checks.check(f"{name}: a recording completes", done.returncode == 0, (done.returncode, done.stderr))
    checks.equal(f"{name}: verified", site.reel("verify", name).returncode, 0)
    checks.check(f"{name}: the read model shows it completed", eventually(
        lambda: b'"completed"' in site.reel("sessions", "show", name, "--json").stdout))


def main():
    seed = seed_of("owners")
    with Workspace("owners") as folder, Servers(folder) as servers, Site(folder, servers) as site:
        servers.start_redis()
        servers.start_mongo()
        with checks.section("owners"):
            site.serve("processor", "storage", name="stages")
            first = site.serve("pipeline", "projector", name="first")
            redis = Redis(servers.redis_url)
            checks.check("a single process owns everything", eventually(lambda: settled(redis, 16)))
            second = site.serve("pipeline", "projector", name="second")
            checks.check("two own half each", eventually(lambda: settled(redis, 8, 8)))
            third = site.serve("pipeline", "projector", name="third")
            checks.check("three own a third each", eventually(lambda: settled(redis, 5, 5, 6)))
            record(site, seed, "shared")

            began = time.monotonic()
            second.process.kill()
            second.process.wait()
            taken = eventually(lambda: settled(redis, 8, 8), 20)
            took = time.monotonic() - began
            checks.check(f"kill -9: all partitions have new owners in less than 5 s ({took:.1f} s)",
                         taken and took < 5, took)
            record(site, seed + 1, "taken-over")

            before = {name: generations(redis, name) for name in SUBSCRIPTIONS}
            third.process.send_signal(signal.SIGSTOP)
            checks.check("a stopped process loses its partitions", eventually(lambda: settled(redis, 16), 20))
            record(site, seed + 2, "stalled")
            third.process.send_signal(signal.SIGCONT)
            checks.check("and owns half again once it goes on", eventually(lambda: settled(redis, 8, 8)))
            checks.check("generations never go back", all(
                old <= new for name in SUBSCRIPTIONS
                for old, new in zip(before[name], generations(redis, name))))
            record(site, seed + 3, "woken")

            checks.equal("SIGTERM: status 0", third.end(), 0)
            checks.check("SIGTERM: the others own everything within two seconds",
                         eventually(lambda: settled(redis, 16), 2), [owners(redis, n) for n in SUBSCRIPTIONS])
            checks.equal("the last one ends", first.end(), 0)
            checks.check("and gives everything back",
                         all(set(owners(redis, name)) == {None} for name in SUBSCRIPTIONS))
            checks.equal("nobody is a member any more", [
                redis("ZCARD", f"reel:members:{name}") for name in SUBSCRIPTIONS], [0, 0])
    checks.finish()


main()

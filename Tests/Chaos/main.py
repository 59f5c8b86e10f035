"""Hurts a running system at random, heals it, and lets the checker say what became of it."""

import argparse
import base64
import collections
import concurrent.futures
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pymongo

import selftest
from archive import read_log
from checker import Evidence, check
from faults import Faults
from fleet import Disks, Fleet
from kit import Workspace
from settling import by_session, settle, whole_log

SETTLE_SECONDS = 240


def say(text):
    print(f"chaos: {text}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(
        prog="ops/chaos",
        description="Kills, stalls, freezes and starves a running Reel while it records, then compares the "
        "log, the files, the read models and what the recorders' users were told. Ends with a table, and "
        "with status 0 only when nothing was skipped, duplicated or lost. Needs what 'ops/install test' "
        "installs; works in a temporary folder and ends only what it started.",
        epilog="REEL names the program (default: the debug build); REEL_TOOLS the folder of ops/install.")
    parser.add_argument("--faults", type=int, default=200, metavar="N", help="how many (default 200)")
    parser.add_argument(
        "--minutes", type=float, default=20, metavar="M",
        help="over how long they are spread (default 20); healing and checking come on top, at most 10")
    parser.add_argument("--seed", type=int, metavar="S", help="repeats the choices of another run")
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N",
        help="processes beside 'reel up' that work on the same log (default 2)")
    parser.add_argument("--recorders", type=int, default=3, metavar="N", help="at a time (default 3)")
    parser.add_argument(
        "--only", action="append", metavar="KIND", choices=[kind[0] for kind in Faults.KINDS],
        help="inflict this kind, and others so named, and nothing else: "
        + ", ".join(kind[0] for kind in Faults.KINDS))
    parser.add_argument("--keep", action="store_true", help="keep the folder of data and logs")
    parser.add_argument(
        "--self-test", action="store_true",
        help="inflict nothing, but damage copies of the evidence: the checker must notice each")
    chosen = parser.parse_args()
    for name, least in (("faults", 0), ("minutes", 0), ("workers", 0), ("recorders", 1)):
        if getattr(chosen, name) < least:
            parser.error(f"--{name}: must be at least {least}")
    return chosen


def inflict(fleet, faults, source, options):
    """The faults, at random moments; answers how many of each kind."""
    counts, began = collections.Counter(), time.monotonic()
    kinds, left_out = faults.possible()
    kinds = [kind for kind in kinds if not options.only or kind[0] in options.only]
    if not kinds:
        raise RuntimeError("none of these faults is possible here")
    for kind, reason in left_out.items():
        say(f"left out: {kind}: {reason}")
    # Every kind once before any comes again by chance.
    waiting = source.sample(kinds, len(kinds))
    moments = sorted(source.uniform(0.5, options.minutes * 60) for _ in range(options.faults))
    for number, moment in enumerate(moments):
        # What can't be done just now (its process is gone) is made up for later.
        while time.monotonic() < began + moment:
            step(fleet, faults, options)
        deadline = time.monotonic() + 60
        done = None
        while done is None and time.monotonic() < deadline:
            kind = waiting[0] if waiting else source.choices(kinds, [k[2] for k in kinds])[0]
            started = time.monotonic()
            done = getattr(faults, kind[0])()
            took = time.monotonic() - started
            if took > 5:
                began, deadline = began + took, deadline + took  # the others are spread over the rest
            if waiting:
                # What took long in vain comes again by chance alone.
                waiting.append(waiting.pop(0)) if done is None and took < 5 else waiting.pop(0)
            if done is None:
                step(fleet, faults, options)
        if done is not None:
            counts[kind[1]] += 1
            say(f"{time.monotonic() - began:7.1f} s  {number + 1}: {kind[1]} ({done})")
    while time.monotonic() < began + options.minutes * 60:
        step(fleet, faults, options)
    return counts


def step(fleet, faults, options):
    faults.tick()
    fleet.tick(options.recorders)
    time.sleep(0.05)


def export_keys(fleet):
    """The data key of every session, as an investigator gets it."""
    def key(session):
        done = fleet.system.reel("keys", "export", session, "--json")
        if done.returncode != 0:
            say(f"keys export {session}: status {done.returncode}: {done.stderr.strip()}")
            return session, None
        return session, base64.b64decode(json.loads(done.stdout)["data_key"])
    sessions = sorted(by_session(whole_log(fleet))[0])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return {session: key for session, key in pool.map(key, sessions) if key}


def hold_some(fleet):
    """Every second session is held by two cases, one of which is lifted again from every other of them."""
    for number, session in enumerate(sorted(by_session(whole_log(fleet))[0])[::2]):
        for case in ("first", "second"):
            fleet.system.reel("hold", "set", session, "--case", case, "--reason", "chaos")
        if number % 2:
            fleet.system.reel("hold", "lift", session, "--case", "first", "--reason", "chaos")


def export_sent(fleet):
    """Has every recording that came over HTTP given out."""
    for sent in fleet.sent:
        path = sent.source.with_suffix(".export")
        done = fleet.system.reel("export", sent.session, "-o", path)
        if done.returncode == 0:
            sent.export = path
        elif sent.acknowledged:
            say(f"export {sent.session}: status {done.returncode}: {done.stderr.strip()}")


def gather(fleet):
    """Reads everything that is to be compared."""
    keys = export_keys(fleet)
    export_sent(fleet)
    hold_some(fleet)
    settled = settle(fleet, SETTLE_SECONDS)  # taking out a key is an event as well
    client = pymongo.MongoClient(fleet.urls[1], serverSelectionTimeoutMS=20_000)
    documents = {name: list(client["reel"][name].find()) for name in
                 ("sessions", "chunks", "pipeline", "audit")}
    indexes = {name: list(client["reel"][name].index_information()) for name in documents}
    client.close()
    log = read_log(fleet.redis(), fleet.archive)
    return Evidence(
        log, fleet.store, fleet.spool, documents, keys, fleet.told, fleet.sent, indexes,
        fleet.inflicted), settled


def print_table(seed, counts, fleet, findings):
    rows = [(kind, count) for kind, count in sorted(counts.items())]
    rows += [("faults", sum(counts.values())), ("recordings", len(fleet.told)), ("streams", len(fleet.sent))]
    rows += [(f"  {end}", count) for end, count in sorted(findings.ends.items())]
    rows += [
        ("sessions in the log", findings.sessions), ("events", findings.events),
        ("  archived", findings.archived), ("  archived segments", findings.segments),
        ("chunks in the log", findings.chunks), ("chunks acknowledged", findings.acknowledged),
        ("  given up, tried again, stored", findings.retried),
        ("bytes acknowledged to streams", findings.sent),
        ("processes that ended by themselves", sum(len(k.ends) for k in [fleet.up, *fleet.workers])),
        ("other problems", len(findings.odd)), ("skipped", len(findings.skipped)),
        ("duplicated", len(findings.duplicated)), ("lost", len(findings.lost))]
    print(f"\n{'seed ' + str(seed):<40}{'count':>10}")
    for name, count in rows:
        print(f"{name:<40}{count:>10}", flush=True)


def report_ends(told):
    """Why recorders ended early that were not killed: the last thing that they said."""
    reasons = collections.Counter(
        (one.status, re.sub(r"chaos-\S+|\d+", "N", (one.said or ["nothing"])[-1])[:160])
        for one in told if not one.killed and one.status != 0)
    for (status, text), count in reasons.most_common(10):
        say(f"{count} recorders ended with {status}: {text}")


def report(findings):
    for name in ("odd", "skipped", "duplicated", "lost"):
        for text in getattr(findings, name)[:20]:
            say(f"{name}: {text}")


def run(options, folder):
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    say(f"seed {seed}: {options.faults} faults over {options.minutes:g} minutes")
    source = random.Random(seed)
    disks = Disks() if os.environ.get("REEL_CHAOS_MOUNTS") == "1" else None
    fleet = Fleet(folder, seed, options.workers, disks)
    try:
        fleet.start()
        faults = Faults(
            fleet, source, longest=max(5, options.minutes * 60 / 4), recorders=options.recorders)
        counts = inflict(fleet, faults, source, options)
        say("healing")
        faults.undo()
        if faults.timers:
            fleet.inflicted.noticed.append(f"{len(faults.timers)} faults could not be undone")
        fleet.heal()
        if not settle(fleet, SETTLE_SECONDS):
            say(f"not everything came to its end within {SETTLE_SECONDS} s")
        fleet.restart()
        evidence, settled = gather(fleet)
        faults.specials.look_outside()
        if not settled:
            say("the read models did not catch up")
        say("checking")
        findings = check(evidence)
        for keeper in [fleet.up, *fleet.workers]:
            for status, line in keeper.ends:
                say(f"{keeper.name} ended by itself with {status}: {line}")
        report_ends(fleet.told)
        print_table(seed, counts, fleet, findings)
        report(findings)
        if options.self_test:
            return selftest.run(check, evidence, folder, seed)
        return 0 if findings.sound() and sum(counts.values()) >= options.faults else 1
    finally:
        fleet.end()


def main():
    options = arguments()
    if options.self_test:
        options.faults, options.minutes, options.workers, options.recorders = 0, 0.15, 0, 3
    if options.keep:
        os.environ["REEL_INTEROP_KEEP"] = "1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Workspace("chaos") as folder:
        try:
            return run(options, folder)
        except (RuntimeError, subprocess.SubprocessError, OSError) as error:
            say(f"could not go on: {error}")
            return 3


if __name__ == "__main__":
    sys.exit(main())

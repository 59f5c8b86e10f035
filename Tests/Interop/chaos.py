#!/usr/bin/env python3
"""A short run of `ops/chaos`, and the proof that its checker can fail.

REEL_CHAOS_FAULTS (20) and REEL_CHAOS_MINUTES (1) make it longer.
"""

import os
import re
import subprocess
import sys

from kit import REEL, REPOSITORY, Checks, seed_of

checks = Checks("chaos")
PROGRAM = REPOSITORY / "ops" / "chaos"


def chaos(*options):
    """Runs it, its lines passed on as they come; its exit status and what it printed."""
    kept = {name: value for name, value in os.environ.items() if name != "REEL_CHAOS_MOUNTS"}
    process = subprocess.Popen(
        [str(PROGRAM), *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", env=kept | {"REEL": REEL, "REEL_PYTHON": sys.executable})
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if not line.startswith(("PASS ", "FAIL ")):
            print(line, end="", flush=True)
    return process.wait(), lines


def counts(lines):
    """The table of a run."""
    rows = (re.fullmatch(r"(.{40}) *(\d+)", line) for line in lines)
    return {row[1].strip(): int(row[2]) for row in rows if row}


def self_test(seed):
    status, lines = chaos("--self-test", "--seed", seed)
    for line in lines:
        if found := re.fullmatch(r"(PASS|FAIL) chaos: (.*)", line):
            checks.check(found[2], found[1] == "PASS")
    checks.equal("the self-test ends with 0", status, 0)


def short_run(seed):
    faults = int(os.environ.get("REEL_CHAOS_FAULTS", "20"))
    status, lines = chaos(
        "--faults", faults, "--minutes", os.environ.get("REEL_CHAOS_MINUTES", "1"), "--seed", seed)
    table = counts(lines)
    checks.equal("faults", table.get("faults"), faults)
    for name, word in (("other problems", "odd"), ("skipped",) * 2, ("duplicated",) * 2, ("lost",) * 2):
        found = [line for line in lines if line.startswith(f"chaos: {word}: ")][:5]
        checks.check(name, table.get(name) == 0, found or table)
    for name in ("events", "archived", "chunks acknowledged"):
        checks.check(f"there were {name}", table.get(name, 0) > faults, table)
    checks.equal("the run ends with 0", status, 0)


def main():
    seed = seed_of("chaos")
    with checks.section("self-test"):
        self_test(seed)
    with checks.section("short run"):
        short_run(seed)
    status, lines = chaos("--faults", "none")
    checks.equal("a bad option is refused with 2", status, 2)
    checks.finish()


if __name__ == "__main__":
    main()

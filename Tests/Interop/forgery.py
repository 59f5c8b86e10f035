#!/usr/bin/env python3
"""Every attacker who can write some of the stores and has no key, and every change that he can make.

R can write Redis, C the chunk store, A the archive's folder, M MongoDB; H hands over a proof. Each forgery
says what must come of it (`Forgery` in forgery_checks.py): refused, without an effect, or accepted because
nobody can know without an anchor, and then which anchor shows it. Sessions that nobody forged are looked at
beside each batch, and a forgery that changed nothing is a failure.

A sample is run, of every attacker and kind; REEL_FORGERY_COUNT runs more, `all` of them. REEL_FORGERY_SEED
repeats a run, REEL_FORGERY_ONLY picks those whose attacker and name hold a text.
"""

import collections
import concurrent.futures
import os
import random
import time

import forgery_archive
import forgery_both
import forgery_documents
import forgery_events
import forgery_files
import forgery_proofs
from forgery_checks import ACCEPT, NOBODY, REFUSE, RIGHT, Forged, Forgery, Verdicts, accepted, judge
from forgery_world import Gateway, World, servers_of
from kit import Checks, Workspace

checks = Checks("forgery")
SAMPLE = 64
UNFORGED = Forgery(
    NOBODY, "nobody forged it", lambda target: None, ACCEPT, RIGHT, "any", (1, 4), stranger=True)
AT_ONCE = 8


def seed_of_run():
    seed = int(os.environ.get("REEL_FORGERY_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"forgery: REEL_FORGERY_SEED={seed}", flush=True)
    return seed


def chosen(forgeries, source):
    """All of them, or a sample in which every attacker and every kind of change has its part."""
    only = os.environ.get("REEL_FORGERY_ONLY")
    if only:
        return [f for f in forgeries if only in f"{f.attacker}: {f.name}"]
    wanted = os.environ.get("REEL_FORGERY_COUNT") or str(SAMPLE)
    if wanted == "all":
        return list(forgeries)
    groups = collections.defaultdict(list)
    for forgery in forgeries:
        groups[forgery.attacker, forgery.name.split(":")[0]].append(forgery)
    for group in groups.values():
        source.shuffle(group)
    order = list(groups)
    source.shuffle(order)
    picked = []
    while len(picked) < min(int(wanted), len(forgeries)):
        for name in order:
            if groups[name] and len(picked) < int(wanted):
                picked.append(groups[name].pop())
    return picked


class Run:
    """Batches of forgeries in one world."""

    def __init__(self, world):
        self.world, self.gateways, self.number = world, 0, 0
        self.done, self.through = collections.Counter(), collections.Counter()
        self.free = collections.Counter()
        self.files = [f for f in forgery_files.forgeries(world.source)
                      if f.content == REFUSE and f.chunks == (2,)]

    def batches(self, forgeries):
        """As many at once as there are sessions for them; one of each shape is left alone."""
        left = list(forgeries)
        while left:
            free = collections.defaultdict(list)
            for target in self.world.targets:
                free[target.shape].append(target)
            alone = [targets.pop() for shape, targets in sorted(free.items()) if shape != "keyed"]
            batch, later = [], []
            for forgery in left:
                # Who wants no certain shape can have either.
                shape = forgery.shape
                if free[shape]:
                    batch.append((forgery, free[shape].pop(0)))
                else:
                    later.append(forgery)
            if not batch:
                raise RuntimeError(f"no session of shape {left[0].shape}")
            self.batch(batch, alone)
            left = later

    def batch(self, batch, alone):
        before = {target.session: self.world.look(target) for _, target in batch}
        forged = {}
        for forgery, target in batch:
            try:
                answer = forgery.apply(target)
                forged[target.session] = answer if isinstance(answer, Forged) else None
            except Exception as error:  # the suite's own fault, which must show
                checks.check(f"{forgery.attacker}: {forgery.name} can be made", False,
                             f"{type(error).__name__}: {error}")
            if self.world.look(target) == before[target.session]:
                checks.check(f"{forgery.attacker}: {forgery.name} changes something", False)
        try:
            self.ask(batch, alone, forged)
        finally:
            self.world.restore()

    def gateway(self, alone):
        """One that serves what nobody forged: its own records may have their place in a forged partition."""
        for _ in range(6):
            self.gateways += 1
            gateway = Gateway(self.world, self.gateways)
            gateway.__enter__()
            if all(gateway.get(f"/sessions/{t.session}/media")[:2] == (200, t.original) for t in alone):
                return gateway
            gateway.__exit__()
        raise RuntimeError("no gateway gives out what nobody forged")

    def ask(self, batch, alone, forged):
        gateway = self.gateway(alone)
        try:
            work = batch + [(UNFORGED, target) for target in alone]
            self.number += len(work)

            def one(item):
                place, (forgery, target) = item
                answers = Verdicts(self.world, gateway, target, forgery, forged.get(target.session), place)
                return forgery, target, answers.all()
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                for forgery, target, found in pool.map(one, enumerate(work, self.number)):
                    self.report(forgery, target, found)
            self.behind(gateway, alone)
        finally:
            gateway.__exit__()

    def behind(self, gateway, alone):
        """Files that are forged when the gateway has read the events and sent the content before."""
        for target in alone:
            forgery = self.world.source.choice([f for f in self.files if f.shape == target.shape])
            forgery.apply(target)
            self.number += 1
            asked = Verdicts(self.world, gateway, target, forgery, None, self.number)
            found = {"media": asked.media(), "range 2": asked.range(2), "download 2": asked.download(
                2, "original", target.pieces[1]), "sealed 2": asked.download(2, "sealed", target.files[2])}
            self.report(forgery, target, found, "C, while a gateway knows the session")

    def report(self, forgery, target, found, attacker=None):
        wrong = judge(forgery, found)
        name = f"{attacker or forgery.attacker}: {forgery.name}"
        if forgery is UNFORGED:
            checks.check(f"{target.shape}: a session that nobody forged is sound", not wrong, f"{wrong}")
            return
        self.done[forgery.attacker] += 1
        self.free[forgery.attacker] += forgery.verify == ACCEPT
        if accepted(wrong):
            self.through[forgery.attacker] += 1
        detail = "; ".join(f"{who}: {answer}, expected {wanted}" for who, answer, wanted in wrong)
        checks.check(name, not wrong, f"{target.session}: {detail}")

    def sum(self):
        for attacker in sorted(self.done):
            print(f"forgery: {attacker}: {self.done[attacker]} forgeries, {self.free[attacker]} that only an "
                  f"anchor shows or that concern nothing, {self.through[attacker]} got through", flush=True)
        print(f"forgery: {self.done.total()} in all, {self.through.total()} got through", flush=True)


def main():
    seed = seed_of_run()
    source, began = random.Random(seed), time.monotonic()
    live = [*forgery_files.forgeries(source), *forgery_events.forgeries(source),
            *forgery_both.forgeries(source), *forgery_documents.forgeries(source)]
    archived = forgery_archive.forgeries(source)
    proofs = forgery_proofs.forgeries(source)
    checks.check("there are at least 500 forgeries", len(live) + len(archived) + len(proofs) >= 500,
                 f"{len(live)} + {len(archived)} + {len(proofs)}")
    picked = {id(f) for f in chosen(live + archived + proofs, source)}
    live, archived, proofs = ([f for f in part if id(f) in picked] for part in (live, archived, proofs))
    counts = collections.Counter(f.shape for f in live)
    beyond = collections.Counter(f.shape for f in archived)

    def share(shape, most):
        return min(most, max(counts[shape], beyond[shape])) + 1
    with Workspace("forgery") as folder, servers_of(folder) as servers:
        world = World(folder, servers, seed)
        run = Run(world)
        with checks.section("sessions"):
            world.record(share("sealed", 40), share("plain", 16), min(4, counts["keyed"] + beyond["keyed"]))
            world.keep()
            print(f"forgery: recorded after {time.monotonic() - began:.0f} s", flush=True)
            with checks.section("forgeries"):
                run.batches(live)
            with checks.section("proofs"):
                forgery_proofs.run(run, checks, world, proofs)
            with checks.section("archive"):
                if archived:
                    forgery_archive.prepare(world)
                    run.batches(archived)
        run.sum()
    print(f"forgery: {time.monotonic() - began:.0f} s", flush=True)
    checks.finish()


if __name__ == "__main__":
    main()

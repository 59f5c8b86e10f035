internal import EventSourcing

/// What every `PartitionLeases` promises, and fenced appends and checkpoints with it. Needs a log of four
/// partitions or more.
package enum LeaseContract {
    /// All cases.
    package static let cases: [ContractCase] = membership + leasing + fencing

    private static let long = 60_000

    private static func spin(_ what: String, until condition: () throws -> Bool) throws {
        var polls = 0
        while try !condition() {
            polls += 1
            try expect(polls < 100_000, "never: \(what)")
            spinPause()
        }
    }

    /// Takes a lease from its owner as if that had been silent for too long.
    private static func lapse(_ fence: Fence, _ leases: any PartitionLeases) throws {
        _ = try leases.renew([fence], forMilliseconds: 1)
        try spin("a lease runs out") { try leases.holders(fence.subscription)[fence.partition].isFree }
    }

    private static let membership = [
        ContractCase("members are all who attend, sorted, until they leave or are silent") { log in
            let leases = try log.leases()
            try expectEqual(try leases.attend("s", as: "b/0", forMilliseconds: long), ["b/0"], "one")
            try expectEqual(try leases.attend("s", as: "c/0", forMilliseconds: long), ["b/0", "c/0"], "two")
            let other = try log.leases()
            try expectEqual(
                try other.attend("s", as: "a/10", forMilliseconds: long), ["a/10", "b/0", "c/0"], "three")
            try expectEqual(try leases.attend("t", as: "x/0", forMilliseconds: long), ["x/0"], "others")
            try leases.leave("s", as: "b/0")
            try leases.leave("s", as: "nobody")
            _ = try leases.attend("s", as: "c/0", forMilliseconds: 1)
            try spin("a silent member is gone") {
                try other.attend("s", as: "a/10", forMilliseconds: long) == ["a/10"]
            }
        }
    ]

    private static let leasing = [
        ContractCase("a lease is one member's; its generation grows with every change of owner") { log in
            let (one, two) = (try log.leases(), try log.leases())
            let first = try one.acquire("s", [0, 2], as: "a", forMilliseconds: long)
            try expectEqual(first.map(\.partition), [0, 2], "partitions")
            try expectEqual(first.map(\.generation), [1, 1], "generations")
            try expectEqual(Set(first.map(\.owner)), ["a"], "owner")
            try expectEqual(
                try two.acquire("s", [0, 1, 2], as: "b", forMilliseconds: long).map(\.partition), [1],
                "what was free")
            try expectEqual(
                try one.acquire("s", [2, 0], as: "a", forMilliseconds: long).map(\.generation), [1, 1],
                "the same again")
            try one.release(first)
            let second = try two.acquire("s", [0, 2], as: "b", forMilliseconds: long)
            try expectEqual(second.map(\.generation), [2, 2], "after a release")
            try one.release(first)
            try expectEqual(
                try two.renew(second, forMilliseconds: long), second, "a late release of another")
            try two.release(second)
            try expectEqual(
                try two.acquire("s", [0], as: "b", forMilliseconds: long).map(\.generation), [3],
                "taken again after a release")
        },
        ContractCase("subscriptions lease apart from each other") { log in
            let leases = try log.leases()
            try expectEqual(
                try leases.acquire("s", [0], as: "a", forMilliseconds: long).count, 1, "of one")
            try expectEqual(
                try leases.acquire("t", [0], as: "b", forMilliseconds: long).count, 1, "of the other")
        },
        ContractCase("a lease that has run out may be taken, and is held until then") { log in
            let (one, two) = (try log.leases(), try log.leases())
            let first = try one.acquire("s", [0, 1], as: "a", forMilliseconds: long)
            try lapse(first[0], one)
            try lapse(first[1], one)
            try expectEqual(try one.renew([first[1]], forMilliseconds: long), [first[1]], "renewed late")
            let second = try two.acquire("s", [0, 1], as: "b", forMilliseconds: long)
            try expectEqual(second.map(\.partition), [0], "taken")
            try expectEqual(second.map(\.generation), [2], "generation")
            try expectEqual(try one.renew(first, forMilliseconds: long), [first[1]], "still held")
            try one.release(first)
            try expectEqual(try two.renew(second, forMilliseconds: long), second, "held by the other")
        },
        ContractCase("holders tell of every partition who has it, for how long, in which generation") { log in
            let leases = try log.leases()
            let count = try log.open().partitioning.count
            let free = try leases.holders("s")
            try expectEqual(free.map(\.partition), Array(0..<count), "partitions")
            try expect(free.allSatisfy { $0.isFree && $0.owner.isEmpty && $0.generation == 0 }, "\(free)")
            let fences = try leases.acquire("s", [1, 3], as: "a", forMilliseconds: long)
            let held = try leases.holders("s")
            try expectEqual(held.filter { !$0.isFree }.map(\.partition), [1, 3], "held")
            try expectEqual(held[1].owner, "a", "owner")
            try expectEqual(held[1].generation, 1, "generation")
            try expect((1...long).contains(held[1].remainingMilliseconds), "\(held[1])")
            try leases.release([fences[0]])
            try lapse(fences[1], leases)
            let after = try leases.holders("s")
            try expect(after[1].isFree && after[1].owner.isEmpty, "\(after[1])")
            try expect(after[3].isFree && after[3].owner.isEmpty, "\(after[3])")
            try expectEqual(after[3].generation, 1, "the last generation stays known")
        },
        ContractCase("no two of many members ever get the same partition in the same generation") { log in
            let grants = Grants()
            try concurrently(6) { number in
                let leases = try log.leases()
                for _ in 0..<25 {
                    let got = try leases.acquire(
                        "s", [0, 1, 2, 3], as: "m\(number)", forMilliseconds: long)
                    for fence in got { try grants.add(fence) }
                    try leases.release(got)
                }
            }
            let last = try log.leases().holders("s")
            try expectEqual(grants.count, Int(last.reduce(0) { $0 + $1.generation }), "grants")
        },
    ]

    private static let fencing = [
        ContractCase("an append under a fence happens only while its owner has the partition") { log in
            let store = try log.open()
            let (one, two) = (try log.leases(), try log.leases())
            let key = SampleEvents.key(in: 1, of: store.partitioning)
            func append(_ id: String, _ fence: Fence?) throws -> AppendOutcome {
                try store.append([
                    AppendBatch(to: key, expecting: .any, [SampleEvents.event(id)], fence: fence)
                ])[0]
            }
            let never = Fence(subscription: "s", partition: 1, owner: "a", generation: 1)
            try expectEqual(try append("e0", never), .fenced(generation: 0), "a lease never given")
            let first = try one.acquire("s", [1], as: "a", forMilliseconds: long)
            guard case .appended = try append("e1", first[0]) else {
                throw ContractViolation(description: "the owner was refused")
            }
            try lapse(first[0], one)
            guard case .appended = try append("e2", first[0]) else {
                throw ContractViolation(description: "refused although nobody else has it")
            }
            let second = try two.acquire("s", [1], as: "b", forMilliseconds: long)
            try expectEqual(try append("e3", first[0]), .fenced(generation: 2), "a late owner")
            try expectEqual(try append("e2", first[0]), .fenced(generation: 2), "a late repetition")
            var forged = second[0]
            forged.owner = "a"
            try expectEqual(try append("e3", forged), .fenced(generation: 2), "another's generation")
            try expectEqual(try store.version(of: key), 2, "events")
            guard case .appended = try append("e3", second[0]), case .appended = try append("e4", nil) else {
                throw ContractViolation(description: "the new owner, or one without a fence, was refused")
            }
            try two.release(second)
            try expectEqual(try append("e5", second[0]), .fenced(generation: 2), "after a release")
        },
        ContractCase("batches are fenced each by itself, and a fence of another partition is a mistake") {
            log in
            let store = try log.open()
            let leases = try log.leases()
            let held = try leases.acquire("s", [0], as: "a", forMilliseconds: long)[0]
            let lost = Fence(subscription: "s", partition: 2, owner: "a", generation: 1)
            let keys = [0, 2].map { SampleEvents.key(in: $0, of: store.partitioning) }
            let outcomes = try store.append([
                AppendBatch(to: keys[1], expecting: .any, [SampleEvents.event("e0")], fence: lost),
                AppendBatch(to: keys[0], expecting: .any, [SampleEvents.event("e1")], fence: held),
            ])
            try expectEqual(outcomes[0], .fenced(generation: 0), "without the lease")
            guard case .appended = outcomes[1] else {
                throw ContractViolation(description: "the owner got \(outcomes[1])")
            }
            do throws(LogFailure) {
                _ = try store.append([
                    AppendBatch(to: keys[1], expecting: .any, [SampleEvents.event("e0")], fence: held)
                ])
            } catch { return try expectEqual(error.kind, .invalid, "kind of \(error)") }
            throw ContractViolation(description: "a fence of another partition was taken")
        },
        ContractCase("a checkpoint under a fence is saved only while its owner has the partition") { log in
            let checkpoints = try log.checkpoints()
            let (one, two) = (try log.leases(), try log.leases())
            func position(_ partition: Int, _ time: UInt64) -> LogPosition {
                LogPosition(partition: partition, milliseconds: time, counter: 0)
            }
            let old = try one.acquire("s", [0, 1], as: "a", forMilliseconds: long)
            try checkpoints.save("s", [position(0, 5), position(1, 5)], under: old)
            try one.release([old[0]])
            let new = try two.acquire("s", [0], as: "b", forMilliseconds: long)
            try checkpoints.save("s", [position(0, 9)], under: new)
            do {
                try checkpoints.save("s", [position(0, 6), position(1, 6)], under: old)
                throw ContractViolation(description: "a late owner saved a checkpoint")
            } catch let failure as LogFailure {
                try expectEqual(failure.kind, .fenced, "kind of \(failure)")
                try expect(failure.isTransient, "a fenced member goes on with what it owns")
            }
            try expectEqual(
                try checkpoints.load("s"), [0: position(0, 9), 1: position(1, 6)], "checkpoints")
            try checkpoints.save("s", [position(0, 3)])
            try expectEqual(try checkpoints.load("s")[0], position(0, 3), "without a fence")
        },
    ]
}

/// Fences that were given out; each may come once.
private final class Grants: Sendable {
    private let given = Monitor<Set<Fence>>([])

    func add(_ fence: Fence) throws {
        let isNew = given.with { $0.insert(fence).inserted }
        // Owners differ between threads, so generations are compared without them.
        let twins = given.with { all in
            all.count { $0.partition == fence.partition && $0.generation == fence.generation }
        }
        try expect(isNew && twins == 1, "given out twice: \(fence)")
    }

    var count: Int { given.with { $0.count } }
}

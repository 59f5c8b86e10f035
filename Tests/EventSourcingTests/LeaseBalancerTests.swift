import EventSourcing
import Testing

/// Partitions' leases as the log keeps them, and members that act on views of different age.
private struct World {
    struct Member {
        var balancer: LeaseBalancer
        var moves: LeaseBalancer.Moves?
    }

    let partitions: Int
    var generator: Chooser
    var owners: [String?]
    var generations: [UInt64]
    var members: [String: Member] = [:]
    var names = 0
    /// Partitions that were given to somebody; each gift has a generation of its own.
    var gifts = 0

    init(partitions: Int, seed: UInt64) {
        self.partitions = partitions
        generator = Chooser(state: seed)
        owners = Array(repeating: nil, count: partitions)
        generations = Array(repeating: 0, count: partitions)
    }

    var holders: [LeaseHolder] {
        (0..<partitions).map {
            LeaseHolder(
                partition: $0, owner: owners[$0] ?? "", generation: generations[$0],
                remainingMilliseconds: owners[$0] == nil ? 0 : 1000)
        }
    }

    mutating func join() {
        names += 1
        let name = "m\(generator.next() % 1000)/\(names)"
        members[name] = Member(balancer: LeaseBalancer(subscription: "s", member: name))
    }

    /// A clean end, or a death whose leases run out at once as far as the others can see.
    mutating func leave(_ name: String) {
        members[name] = nil
        for partition in owners.indices where owners[partition] == name { owners[partition] = nil }
    }

    /// A lease that ran out while its owner stalled.
    mutating func steal(_ partition: Int) { owners[partition] = nil }

    /// A member looks, and acts later.
    mutating func look(_ name: String) {
        let (names, holders) = (members.keys.sorted(), holders)
        let moves = members[name]?.balancer.decide(members: names, holders: holders)
        members[name]?.moves = moves
    }

    /// Carries out what was decided; answers whether anything was to be done.
    @discardableResult
    mutating func act(_ name: String) -> Bool {
        guard let moves = members[name]?.moves else { return false }
        members[name]?.moves = nil
        members[name]?.balancer.forget(moves.release)
        for fence in moves.release where owners[fence.partition] == name {
            owners[fence.partition] = nil
        }
        var taken: [Fence] = []
        for partition in moves.acquire {
            if owners[partition] == nil {
                owners[partition] = name
                generations[partition] += 1
                gifts += 1
            }
            guard owners[partition] == name else { continue }
            taken.append(
                Fence(
                    subscription: "s", partition: partition, owner: name, generation: generations[partition]))
        }
        // Sometimes the answer is lost.
        if generator.next() % 10 != 0 { members[name]?.balancer.acquired(taken) }
        return !moves.isEmpty
    }
}

private struct Chooser: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state ^ (state >> 33)) &* 0xFF51_AFD7_ED55_8CCD >> 7
    }
}

@Suite("Lease balancer")
struct LeaseBalancerTests {
    private func holders(_ owners: [String], generation: UInt64 = 1) -> [LeaseHolder] {
        owners.enumerated().map {
            LeaseHolder(
                partition: $0, owner: $1, generation: generation, remainingMilliseconds: $1.isEmpty ? 0 : 9)
        }
    }

    private func owning(_ partitions: [Int], as member: String) -> LeaseBalancer {
        var balancer = LeaseBalancer(subscription: "s", member: member)
        balancer.acquired(
            partitions.map { Fence(subscription: "s", partition: $0, owner: member, generation: 1) })
        return balancer
    }

    @Test("a single member takes everything that is free, and only that")
    func alone() {
        var balancer = LeaseBalancer(subscription: "s", member: "a")
        let moves = balancer.decide(members: ["a"], holders: holders(["", "", "dead", ""]))
        #expect(moves.acquire.sorted() == [0, 1, 3])
        #expect(moves.release == [])
        #expect(balancer.decide(members: [], holders: holders(["", ""])).acquire.sorted() == [0, 1])
    }

    @Test("what is above the share is given back, and no more")
    func release() {
        var balancer = owning([0, 1, 2, 3, 4], as: "a")
        let moves = balancer.decide(
            members: ["a", "b"], holders: holders(["a", "a", "a", "a", "a"]))
        #expect(moves.release.map(\.partition) == [3, 4])
        #expect(moves.acquire == [])
        balancer.forget(moves.release)
        #expect(balancer.fences.map(\.partition) == [0, 1, 2])
        #expect(balancer.decide(members: ["a", "b"], holders: holders(["a", "a", "a", "", ""])).isEmpty)
    }

    @Test("what others took meanwhile is lost; what has run out untaken is not")
    func lost() {
        var balancer = owning([0, 1, 2], as: "a")
        var view = holders(["b", "", "a"])
        view[0].generation = 2
        let moves = balancer.decide(members: ["a"], holders: view)
        #expect(moves.lost.map(\.partition) == [0])
        #expect(moves.acquire == [1])
        #expect(balancer.fences.map(\.partition) == [1, 2])
    }

    @Test("a lease in its name that it does not know of is asked for again")
    func unknown() {
        var balancer = owning([0], as: "a")
        #expect(balancer.decide(members: ["a", "b"], holders: holders(["a", "a", "b"])).acquire == [1])
        let above = balancer.decide(members: ["a", "b", "c"], holders: holders(["a", "a", "b"]))
        #expect(above.release == [Fence(subscription: "s", partition: 1, owner: "a", generation: 1)])
    }

    @Test("members come, go and die in any order: one owner each, and in the end equal shares")
    func convergence() {
        let seed = UInt64.random(in: .min ... .max)
        for round in 0..<400 {
            var world = World(partitions: [1, 2, 3, 7, 16, 64][round % 6], seed: seed &+ UInt64(round))
            for _ in 0..<120 {
                let names = world.members.keys.sorted()
                let name = names.randomElement(using: &world.generator)
                switch world.generator.next() % 16 {
                case 0 where names.count < 20: world.join()
                case 1: if let name { world.leave(name) }
                case 2: world.steal(Int(world.generator.next() % UInt64(world.partitions)))
                case 3...8: if let name { world.look(name) }
                default: if let name { world.act(name) }
                }
            }
            if world.members.isEmpty { world.join() }
            let names = world.members.keys.sorted()
            var turns = 0
            var isQuiet = false
            while !isQuiet, turns < 40 {
                isQuiet = true
                for name in names.shuffled(using: &world.generator) {
                    world.look(name)
                    if world.act(name) { isQuiet = false }
                }
                turns += 1
            }
            let shares = names.map { name in world.owners.count { $0 == name } }
            #expect(isQuiet, "seed \(seed), round \(round): still moving after \(turns) turns")
            #expect(shares.reduce(0, +) == world.partitions, "seed \(seed), round \(round)")
            #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= 1, "seed \(seed), round \(round): \(shares)")
            for name in names {
                let held = world.members[name]?.balancer.held ?? [:]
                let owned = world.owners.indices.filter { world.owners[$0] == name }
                #expect(held.keys.sorted() == owned, "seed \(seed), round \(round)")
                #expect(held.allSatisfy { $1.generation == world.generations[$0] })
            }
        }
    }

    @Test("one more member moves only its own share")
    func minimal() {
        for (partitions, count) in [(16, 1), (16, 3), (256, 7), (5, 4)] {
            var world = World(partitions: partitions, seed: 1)
            func settle() {
                for _ in 0..<6 * (count + 1) {
                    for name in world.members.keys.sorted() {
                        world.look(name)
                        world.act(name)
                    }
                }
            }
            for _ in 0..<count { world.join() }
            settle()
            let before = world.gifts
            world.join()
            settle()
            #expect(world.gifts - before == partitions / (count + 1), "\(partitions), \(count)")
        }
    }
}

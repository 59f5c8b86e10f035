import Engine
import EventSourcing
import Pipeline
import Simulation
import Supervision
import TestServers
import Testing

@Suite("Ordered subscriptions", .timeLimit(.minutes(10)))
struct OrderedSubscriptionTests {
    @Test("members that come and go cleanly handle every event once, in order", arguments: LogKind.allCases)
    func cleanHandOver(_ kind: LogKind) throws {
        let crew = Crew(try kind.open(partitions: 8))
        try crew.append(0..<300)
        try crew.join("a/0")
        try crew.wait(forEvents: 100)
        try crew.join("b/0")
        try crew.append(300..<500)
        try crew.wait(forShares: [4, 4], of: "a/0", "b/0")
        try crew.join("c/0")
        try crew.append(500..<700)
        try crew.end("a/0")
        try crew.append(700..<900)
        try crew.wait(forShares: [4, 4], of: "b/0", "c/0")
        try crew.end("b/0")
        try crew.append(900..<1000)
        try crew.wait(forEvents: 1000)
        try crew.end("c/0")
        crew.ledger.requireOrder()
        #expect(crew.ledger.entries.count == 1000, "a clean hand-over delivers nothing again")
        #expect(try crew.shares() == [:])
        #expect(try crew.log.leases().attend("ledger", as: "z/0", forMilliseconds: 1) == ["z/0"])
    }

    @Test("shares differ by one at most, and nothing moves without need", arguments: LogKind.allCases)
    func balance(_ kind: LogKind) throws {
        let crew = Crew(try kind.open(partitions: 8))
        func changes() throws -> UInt64 {
            try crew.log.leases().holders("ledger").reduce(0) { $0 + $1.generation }
        }
        try crew.join("a/0")
        try crew.wait(forShares: [8], of: "a/0")
        #expect(try changes() == 8)
        try crew.join("b/0")
        try crew.wait(forShares: [4, 4], of: "a/0", "b/0")
        #expect(try changes() == 12)
        try crew.join("c/0")
        try crew.wait(forShares: [2, 3, 3], of: "a/0", "b/0", "c/0")
        #expect(try changes() == 14)
        try crew.end("b/0")
        try crew.wait(forShares: [4, 4], of: "a/0", "c/0")
        #expect(try changes() == 17)
        try crew.end("a/0")
        try crew.wait(forShares: [8], of: "c/0")
        #expect(try changes() == 21)
    }

    @Test("two members handle different partitions at the same time", arguments: LogKind.allCases)
    func parallel(_ kind: LogKind) throws {
        let crew = Crew(try kind.open(partitions: 2))
        let inside = Shared<Set<String>>([])
        func meet(_ name: String) -> LedgerHandler.Step {
            { _, _ in
                inside.change { _ = $0.insert(name) }
                // Each waits in its handler until the other one is in its own.
                try eventually("both handle") { inside.value.count == 2 }
            }
        }
        try crew.join("a/0", meet("a"))
        try crew.join("b/0", meet("b"))
        try crew.wait(forShares: [1, 1], of: "a/0", "b/0")
        try crew.append(0..<20)
        try crew.wait(forEvents: 20)
        for (partition, entries) in Dictionary(grouping: crew.ledger.entries, by: \.position.partition) {
            #expect(Set(entries.map(\.member)).count == 1, "partition \(partition)")
        }
    }

    @Test("a killed member's partitions are taken over within five seconds, nothing is lost")
    func takeover() throws {
        let crew = Crew(try LogKind.redis.open(partitions: 8), timing: LeaseTiming())
        let killed = try crew.join("a/0")
        try crew.join("b/0")
        try crew.append(0..<100)
        try crew.wait(forEvents: 100)
        try crew.wait(forShares: [4, 4], of: "a/0", "b/0")
        killed.kill()
        let began = ContinuousClock.now
        try crew.append(100..<200)
        try crew.wait(forEvents: 200)
        let elapsed = ContinuousClock.now - began
        print("takeover after \(elapsed)")
        #expect(elapsed < .seconds(5))
        #expect(try crew.shares() == ["b/0": 8])
        crew.ledger.requireOrder()
    }

    @Test(
        "a member that fails again and again leaves its partitions to others, and takes part again when healed",
        arguments: LogKind.allCases)
    func sick(_ kind: LogKind) throws {
        let crew = Crew(try kind.open(partitions: 8), timing: LeaseTiming())
        let sick = try crew.join("a/0")
        try crew.join("b/0")
        try crew.append(0..<100)
        try crew.wait(forEvents: 100)
        try crew.wait(forShares: [4, 4], of: "a/0", "b/0")
        sick.failFeeds(
            with: LogFailure(.lostHistory, operation: "follow", key: "test", text: "wrong here alone"))
        try crew.append(100..<200)
        try crew.wait(forEvents: 200)
        sick.failFeeds(with: nil)
        try crew.wait(forShares: [4, 4], of: "a/0", "b/0")
        crew.ledger.requireOrder()
    }

    @Test("what a killed member had applied and not saved comes again, in order", arguments: LogKind.allCases)
    func applied(_ kind: LogKind) throws {
        let crew = Crew(try kind.open(partitions: 1))
        try crew.append(0..<5, keys: 1)
        let died = StopSignal()
        let view = Shared<GatedLog?>(nil)
        let gated = try crew.join("a/0") { event, _ in
            guard event.sequence == 3 else { return }
            try eventually("the view is known") { view.value != nil }
            view.value?.kill()
            died.set()
        }
        view.change { $0 = gated }
        died.wait()
        try crew.join("b/0")
        try crew.wait(forEvents: 5)
        try eventually("b has saved") { try crew.log.checkpoints().load("ledger")[0] != nil }
        #expect(crew.ledger.entries.filter { $0.member == "b/0" }.map(\.sequence) == [1, 2, 3, 4, 5])
        crew.ledger.requireOrder()
    }

    @Test("a stalled owner that wakes up late can neither append nor save", arguments: LogKind.allCases)
    func stalled(_ kind: LogKind) throws {
        let crew = Crew(try kind.open(partitions: 1))
        try crew.append(0..<3, keys: 1)
        let (stalled, saved) = (StopSignal(), Shared<[LogPosition]>([]))
        let view = Shared<GatedLog?>(nil)
        let refusals = Shared<[LogFailure]>([])
        crew.onSave = { positions in saved.change { $0 += positions } }
        let gated = try crew.join("a/0") { event, store in
            guard event.sequence == 2, !stalled.isSet else { return }
            try eventually("the view is known") { view.value != nil }
            view.value?.freeze()
            stalled.set()
            // Waits here until it wakes up, long after somebody else has taken the partition.
            do {
                _ = try store.append(
                    [SampleEvents.event("late")], to: event.partitionKey, expecting: .any)
            } catch let failure as LogFailure {
                refusals.change { $0.append(failure) }
                throw failure
            }
        }
        view.change { $0 = gated }
        stalled.wait()
        crew.onSave = { _ in }
        try crew.join("b/0")
        try crew.wait(forEvents: 3)
        try eventually("b has saved") { try crew.log.checkpoints().load("ledger")[0] != nil }
        let checkpoint = try crew.log.checkpoints().load("ledger")
        gated.thaw()
        try eventually("the late append is answered") { !refusals.value.isEmpty }
        #expect(refusals.value.map(\.kind) == [.fenced])
        #expect(saved.value == [])
        #expect(try crew.log.checkpoints().load("ledger") == checkpoint)
        #expect(try crew.log.open().version(of: "key-0") == 3)
        // It goes on as a member like any other.
        try crew.end("b/0")
        try crew.append(3..<6, keys: 1)
        try crew.wait(forEvents: 6)
        #expect(crew.ledger.entries.suffix(3).map(\.member) == ["a/0", "a/0", "a/0"])
        #expect(Set(crew.ledger.entries.filter { $0.member == "b/0" }.map(\.sequence)) == [1, 2, 3])
        crew.ledger.requireOrder()
    }

    @Test(
        "a batch longer than a lease costs nothing while the member is alive, and its partitions when it is stuck"
    )
    func longBatch() throws {
        var timing = Crew.fast
        timing.processingMilliseconds = 2000
        let crew = Crew(try LogKind.memory.open(partitions: 2), timing: timing)
        let (entered, go) = (StopSignal(), StopSignal())
        try crew.join("a/0") { _, _ in
            entered.set()
            go.wait()
        }
        try crew.wait(forShares: [2], of: "a/0")
        try crew.append(0..<1, keys: 1)
        entered.wait()
        let began = ContinuousClock.now
        try crew.join("b/0")
        // Three times as long as a lease: it would have been taken over long since.
        while ContinuousClock.now - began < .milliseconds(1500) {
            #expect(try crew.shares() == ["a/0": 2])
            StopSignal().wait(milliseconds: 20)
        }
        try eventually("a stuck member loses its partitions") { try crew.shares() == ["b/0": 2] }
        go.set()
        try crew.wait(forEvents: 1)
        try crew.wait(forShares: [1, 1], of: "a/0", "b/0")
    }

    @Test("checkpoints that are saved while catching up never pass an event", arguments: LogKind.allCases)
    func catchingUp(_ kind: LogKind) throws {
        // What commanded/eventstore repaired in pull request 327: live events that arrived during a catch-up
        // let the checkpoint jump over everything in between.
        let crew = Crew(try kind.open(partitions: 2))
        try crew.append(0..<3000)
        let (ledger, log, saves) = (crew.ledger, crew.log, Shared<Int>(0))
        let early = Shared<[LogPosition]>([])
        crew.onSave = { positions in
            let handled = Set(ledger.entries.map(\.position))
            for position in positions {
                let events = try log.open().read(after: .start(of: position.partition), limit: 10_000)
                let missing = events.contains { $0.position <= position && !handled.contains($0.position) }
                if missing { early.change { $0.append(position) } }
            }
            saves.change { $0 += 1 }
            // Now and then a save fails, and it begins anew from the last one.
            if saves.value % 5 == 3 {
                throw LogFailure(.timedOut, operation: "save", key: "test", text: "no answer")
            }
        }
        try crew.join("a/0")
        var next = 3000
        while Set(ledger.entries.map(\.position)).count < next, next < 4000 {
            try crew.append(next..<next + 10)
            next += 10
        }
        try crew.wait(forEvents: next)
        #expect(early.value == [])
        #expect(saves.value > 3)
        crew.ledger.requireOrder()
        try eventually("everything is saved") {
            try log.checkpoints().load("ledger").allSatisfy { try log.open().end(of: $0.key) == $0.value }
        }
    }

    @Test("a store of a member refuses what is not its own")
    func notOwned() throws {
        let log = try LogKind.memory.open(partitions: 2)
        let store = FencedStore(try log.open())
        let keys = [0, 1].map { SampleEvents.key(in: $0, of: store.partitioning) }
        store.own(try log.leases().acquire("s", [0], as: "a/0", forMilliseconds: 1000))
        _ = try store.append([SampleEvents.event("e")], to: keys[0], expecting: .absent)
        let failure = #expect(throws: LogFailure.self) {
            try store.append([SampleEvents.event("e")], to: keys[1], expecting: .absent)
        }
        #expect(failure?.kind == .fenced)
        #expect(try store.version(of: keys[1]) == 0)
        #expect(try store.load(keys[0], after: 0, limit: 5).count == 1)
    }

    @Test("an event that cannot be handled halts its own partition alone, and goes on in order")
    func poison() throws {
        let crew = Crew(try LogKind.memory.open(partitions: 4))
        try crew.append(0..<200)
        let bad = try #require(try crew.log.open().load("key-0", after: 0, limit: 3).last)
        let isHealed = StopSignal()
        try crew.join("a/0") { event, _ in
            if event.position == bad.position, !isHealed.isSet { throw StepFailure(text: "bad") }
        }
        try crew.append(200..<400)
        let others = try (0..<4).filter { $0 != bad.position.partition }.flatMap {
            try crew.log.open().read(after: .start(of: $0), limit: 1000).map(\.position)
        }
        try eventually("the other partitions go on") {
            Set(crew.ledger.entries.map(\.position)).isSuperset(of: others)
        }
        #expect(!crew.ledger.entries.contains { $0.position == bad.position })
        #expect(!crew.ledger.entries.contains { $0.key == "key-0" && $0.sequence > bad.sequence })
        isHealed.set()
        try crew.wait(forEvents: 400)
        crew.ledger.requireOrder()
    }
}

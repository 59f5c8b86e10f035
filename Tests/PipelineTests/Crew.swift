import Engine
import Base
import EventSourcing
import Pipeline
import Simulation
import Supervision
import Testing

/// What the members of a crew have handled, in the order in which they did.
final class Ledger: Sendable {
    struct Entry: Sendable, Hashable {
        var member: String
        var position: LogPosition
        var key: String
        var sequence: UInt64
    }

    private let written = Lock<[Entry]>([])

    var entries: [Entry] { written.withLock { $0 } }

    func add(_ event: RecordedEvent, by member: String) {
        written.withLock {
            $0.append(
                Entry(
                    member: member, position: event.position, key: event.partitionKey,
                    sequence: event.sequence))
        }
    }

    /// Checks that every key's events came in order without a gap; ones that came again do not count.
    func requireOrder(_ source: SourceLocation = #_sourceLocation) {
        var last: [String: UInt64] = [:]
        for entry in entries {
            let before = last[entry.key] ?? 0
            #expect(entry.sequence <= before + 1, "\(entry) after \(before)", sourceLocation: source)
            last[entry.key] = max(before, entry.sequence)
        }
    }
}

/// Writes down what it is given.
final class LedgerHandler: OrderedHandler {
    typealias Step = @Sendable (RecordedEvent, any EventStore) throws -> Void

    let name = "ledger"
    private let member: String
    private let ledger: Ledger
    private let step: Step

    init(_ member: String, _ ledger: Ledger, _ step: @escaping Step) {
        (self.member, self.ledger, self.step) = (member, ledger, step)
    }

    func handle(_ events: [RecordedEvent], _ store: any EventStore) throws {
        for event in events {
            try step(event, store)
            ledger.add(event, by: member)
        }
    }

    func reset() {}
}

/// Members of one ordered subscription, each on a thread of its own.
final class Crew {
    private struct Member {
        var stop: StopSignal
        var thread: OwnThread<Void>
        var log: GatedLog
    }

    /// A tenth of the real times, so that tests need not wait.
    static let fast: LeaseTiming = {
        var timing = LeaseTiming()
        timing.leaseMilliseconds = 500
        timing.beatMilliseconds = 70
        timing.balanceMilliseconds = 40
        timing.marginMilliseconds = 100
        return timing
    }()

    let log: any EventLog
    let ledger = Ledger()
    /// Told of the checkpoints of members that join from now on, before they are saved.
    var onSave: @Sendable ([LogPosition]) throws -> Void = { _ in }
    private let timing: LeaseTiming
    private var members: [String: Member] = [:]

    init(_ log: any EventLog, timing: LeaseTiming = Crew.fast) { (self.log, self.timing) = (log, timing) }

    deinit {
        for member in members.values {
            member.log.thaw()
            member.stop.set()
        }
        for member in members.values { _ = member.thread.wait(milliseconds: 10_000) }
    }

    /// Starts a member; answers its own view of the log.
    @discardableResult
    func join(_ name: String, _ step: @escaping LedgerHandler.Step = { _, _ in }) throws -> GatedLog {
        let (stop, gated) = (StopSignal(), GatedLog(log, onSave: onSave))
        let (ledger, timing) = (ledger, timing)
        let thread = try OwnThread(name: name) {
            try OrderedWorker(
                handler: LedgerHandler(name, ledger, step), log: gated, member: name, timing: timing,
                report: .silent
            ).run(stop: stop)
        }
        members[name] = Member(stop: stop, thread: thread, log: gated)
        return gated
    }

    /// Ends a member as an operator would.
    func end(_ name: String) throws {
        let left = members.removeValue(forKey: name)
        let member = try #require(left)
        member.stop.set()
        try member.thread.join()
    }

    /// How many partitions each member holds.
    func shares() throws -> [String: Int] {
        let holders = try log.leases().holders("ledger").filter { !$0.isFree }
        return Dictionary(grouping: holders, by: \.owner).mapValues(\.count)
    }

    /// Waits until the members hold these shares.
    func wait(forShares shares: [Int], of names: String...) throws {
        try eventually("\(names) hold \(shares)") {
            let found = try self.shares()
            return Set(found.keys) == Set(names) && found.values.sorted() == shares.sorted()
        }
    }

    /// Appends events to keys that spread over the partitions.
    func append(_ range: Range<Int>, keys: Int = 20) throws {
        let outcomes = try log.open().append(
            range.map {
                AppendBatch(
                    to: "key-\($0 % keys)", expecting: .any, [SampleEvents.event("e\($0)", number: $0)])
            })
        for outcome in outcomes {
            guard case .appended = outcome else { throw StepFailure(text: "\(outcome)") }
        }
    }

    /// Waits until this many different events were handled.
    func wait(forEvents count: Int) throws {
        try eventually("\(count) events are handled") {
            Set(ledger.entries.map(\.position)).count >= count
        }
    }
}

/// An event that a handler cannot deal with.
struct StepFailure: Error {
    var text: String
}

/// A value that several threads change.
final class Shared<Value: Sendable>: Sendable {
    private let guarded: Lock<Value>

    init(_ value: Value) { guarded = Lock(value) }

    var value: Value { guarded.withLock { $0 } }

    func change(_ body: (inout Value) -> Void) { guarded.withLock { body(&$0) } }
}

package import Engine
package import Base
package import EventSourcing
internal import Recording
package import Supervision

/// Holds, once for a log, every session that was held by the tag `legal-hold`: each by an event of its own.
///
/// It goes through the whole log, the archived part too, and decides on each session's history. Of all
/// processes that could, the one with the lease does; whoever is interrupted begins anew, and nothing is done
/// twice. As long as one session that may have the tag cannot be read, the work is not done, and
/// the tag goes on keeping sessions from being deleted.
package final class HoldTagTakeover {
    /// Name of the work and of its lease; who did it, as events and records of the audit trail say.
    package static let name = "holds"

    private static let leaseMilliseconds = 60_000
    private static let lookMilliseconds = 1_000
    private static let batch = 500
    private static let types: Set<String> = ["SessionCreated", "SessionUpdated"]

    private let log: any EventLog
    private let isDone: () throws -> Bool
    private let markDone: () throws -> Void
    private let clock: any WallClock
    private let member: String
    private let report: RoleLog
    private let onTaken: (String) throws -> Void
    /// Up to where each partition was gone through.
    private var reached: [Int: LogPosition] = [:]
    /// Sessions that may have the tag and cannot be read, and why.
    private var undecided: [String: String] = [:]
    private let context = EventContext(source: "/reel/storage", actor: .system(HoldTagTakeover.name))

    /// - Parameters:
    ///   - isDone: whether it is done, by whomever.
    ///   - markDone: notes that it is.
    ///   - member: name of this process among those that could do it.
    ///   - onTaken: called with each session that is held by an event from now on.
    package init(
        log: any EventLog, isDone: @escaping () throws -> Bool, markDone: @escaping () throws -> Void,
        clock: any WallClock, member: String, report: RoleLog, onTaken: @escaping (String) throws -> Void
    ) {
        self.log = log
        self.isDone = isDone
        self.markDone = markDone
        self.clock = clock
        self.member = member
        self.report = report
        self.onTaken = onTaken
    }

    /// Works until it is done, then waits for `stop`. Call on a thread of its own.
    package func run(stop: StopSignal) throws {
        try waitingOutFailures(of: "holds by tag", stop: stop, report: report) { succeeded in
            while !stop.isSet {
                // Before, a process of an earlier version could not read what is written here.
                if try isDone() { return stop.wait() }
                if log.level.number >= SessionEvent.levelOfHolds, try pass(stop) { return stop.wait() }
                succeeded()
                stop.wait(milliseconds: Self.lookMilliseconds)
            }
        }
    }

    /// Looks at what of the log it has not seen, and again at sessions that could not be decided on.
    /// - Returns: whether it is done.
    @discardableResult
    package func pass(_ stop: StopSignal) throws -> Bool {
        let leases = try log.leases()
        let store = try log.open()
        func goesOn() throws -> Bool {
            guard !stop.isSet else { return false }
            return try !leases.acquire(
                Self.name, [0], as: member, forMilliseconds: Self.leaseMilliseconds
            ).isEmpty
        }
        guard try goesOn() else { return false }
        for session in undecided.keys.sorted() { try decide(session, store) }
        var isWhole = true
        // What comes while the whole log is gone through, the second walk finds.
        for partition in Array(0..<store.partitioning.count) + Array(0..<store.partitioning.count) {
            do {
                guard try walk(partition, store, while: goesOn) else { return false }
            } catch let error as LogFailure where error.kind == .lostHistory || error.kind == .corrupt {
                isWhole = false
            }
        }
        guard isWhole, undecided.isEmpty else { return false }
        try markDone()
        report(
            .info, "holds: the tag \(HoldTag.name) means nothing from now on; what had it is held by an event"
        )
        return true
    }

    /// Goes on in one partition up to its end; false when somebody else does, or it was stopped.
    private func walk(
        _ partition: Int, _ store: any EventStore, while goesOn: () throws -> Bool
    ) throws -> Bool {
        let feed = try log.follow(after: [reached[partition] ?? .start(of: partition)])
        while try goesOn() {
            var events: [RecordedEvent] = []
            do throws(LogFailure) { events = try feed.next(limit: Self.batch, waitMilliseconds: 0) } catch {
                // Whose it is nobody can tell; a session that it belongs to can't be deleted either.
                guard let position = error.unreadableEntry else { throw error }
                feed.seek(to: position)
                reached[partition] = position
                continue
            }
            for event in events where Self.mayBeTagged(event) { try decide(event.partitionKey, store) }
            if let last = events.last {
                reached[partition] = last.position
            } else if try store.end(of: partition) <= reached[partition] ?? .start(of: partition) {
                // A partition that is halted answers nothing either, and has no end.
                return true
            }
        }
        return false
    }

    private static func mayBeTagged(_ event: RecordedEvent) -> Bool {
        // JSON has many ways to write a text: the history decides.
        types.contains(event.type)
            && (event.data.contains(UInt8(ascii: "\\")) || event.data.contains(HoldTag.name.utf8))
    }

    /// Holds the session if it has the tag now. One that nobody can decide on keeps no other.
    private func decide(_ session: String, _ store: any EventStore) throws {
        let handler = CommandHandler(session: session, store: store, clock: clock)
        do throws(CommandError<SessionRejection>) {
            try handler.catchUp()
            let facts = try handler.handle(.takeOverTag, id: "\(session)/hold-by-tag", context: context)
            undecided[session] = nil
            if facts.isEmpty { return }
        } catch {
            switch error {
            // There is no such session, or no longer.
            case .rejected: undecided[session] = nil
            case .failed(let failure) where failure.kind == .unreadable: complain(session, "\(failure)")
            case .failed(let failure): throw failure
            case .malformed(let event): complain(session, "\(event)")
            }
            return
        }
        report(.info, "holds: session=\(session) is held by case '\(HoldTag.caseName)'")
        try onTaken(session)
    }

    private func complain(_ session: String, _ text: String) {
        if undecided.updateValue(text, forKey: session) == nil {
            report(.error, "holds: session=\(session) may have the tag \(HoldTag.name): \(text)")
        }
    }
}

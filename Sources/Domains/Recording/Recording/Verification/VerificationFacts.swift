internal import Base
package import EventSourcing

/// When a session was verified last, and what that came to: a fold of the few events that end, verify and
/// delete sessions.
///
/// Read models show verifications; which sessions are due, and which are faulty, is decided on these facts,
/// which come from the log alone: whoever can write the read models hides no session, and makes none look
/// verified.
package struct VerificationFacts: Sendable, Hashable {
    /// Sequence of the last event of the session that is contained.
    package var version: UInt64
    /// Whether the session is completed or failed, and so is verified from time to time.
    package var isOver: Bool
    /// When its contents were looked at last, or when it was over; milliseconds since 1970 by the clock of
    /// the log's server. 0: it has to be looked at as soon as can be.
    package var since_ms: UInt64
    /// What the last verification came to that looked at everything; of one that only hashed, that nothing
    /// better is known. Nil when there was none.
    package var outcome: VerificationOutcome?
    /// How many findings it had.
    package var findingCount: Int
    package init(
        version: UInt64, isOver: Bool, since_ms: UInt64, outcome: VerificationOutcome? = nil,
        findingCount: Int = 0
    ) {
        self.version = version
        self.isOver = isOver
        self.since_ms = since_ms
        self.outcome = outcome
        self.findingCount = findingCount
    }

    /// Whether somebody has to look after the session.
    package var isFaulty: Bool { outcome?.isFault ?? false }
}

extension VerificationFacts: HistoryFact {
    /// What keeps beside the log when each session was verified last.
    package static let subscription = Subscription(
        "verifications", .index, parks: false, holdsBack: false, indexes: [indexName, faultsIndexName])

    /// Under which name they are kept beside the log. Another form of coding is another name.
    package static let indexName = "verification-1"
    /// Under which name those of faulty sessions alone are kept, which are few.
    package static let faultsIndexName = "verification-faults-1"

    /// The types of events that make facts; others change nothing.
    package static let eventTypes: Set<String> = [
        "SessionCompleted", "SessionFailed", "SessionVerified", "SessionDeleted",
    ]

    /// What an event does. One that was taken in before does nothing.
    /// - Parameter facts: of its session; nil where none are known.
    package static func change(
        _ facts: VerificationFacts?, by event: RecordedEvent
    ) -> FactChange<VerificationFacts> {
        guard eventTypes.contains(event.type) else { return .none }
        if let facts, event.sequence <= facts.version { return .none }
        guard case .session(let fact)? = try? RecordingEvent(event) else { return .unreadable }
        var next = facts ?? VerificationFacts(version: 0, isOver: false, since_ms: 0)
        next.version = event.sequence
        switch fact {
        case .completed, .failed:
            next.isOver = true
            next.since_ms = event.position.milliseconds
        case .verified(let verified): next.take(verified, at: event.position.milliseconds)
        case .deleted: return .remove
        default: return .none
        }
        return .become(next)
    }

    /// Records of the audit trail are no sessions.
    package static func concerns(_ partitionKey: String) -> Bool { Category.bare.contains(partitionKey) }

    /// Faulty ones stand in an index of their own, too.
    package func belongs(in index: String) -> Bool { isFaulty }

    /// A session of which something cannot be read may be over, and is to be looked at.
    package static func unreadable(_ facts: VerificationFacts?, at sequence: UInt64) -> VerificationFacts? {
        VerificationFacts(
            version: max(sequence, facts?.version ?? 0), isOver: true, since_ms: 0, outcome: facts?.outcome,
            findingCount: facts?.findingCount ?? 0)
    }

    private mutating func take(_ verified: SessionEvent.Verified, at time_ms: UInt64) {
        // Who only hashed because that was asked for has not seen what a look at the contents would find.
        if verified.outcome == .unopened {
            if outcome == nil { outcome = .unopened }
            return
        }
        since_ms = time_ms
        outcome = verified.outcome
        findingCount = verified.findingCount
    }
}

extension VerificationFacts {
    private static let form: UInt8 = 1
    private static let overFlag: UInt8 = 1

    private static func code(_ outcome: VerificationOutcome?) -> UInt8 {
        guard let outcome, let place = VerificationOutcome.lasting.firstIndex(of: outcome) else { return 0 }
        return UInt8(place + 1)
    }

    /// The facts in a few bytes: the form; whether the session is over; the outcome, as its place in
    /// `VerificationOutcome.lasting` from 1, or 0; version, time and number of findings in LEB128.
    package var bytes: [UInt8] {
        var bytes = [Self.form, isOver ? Self.overFlag : 0, Self.code(outcome)]
        VariableInteger.append(version, to: &bytes)
        VariableInteger.append(since_ms, to: &bytes)
        VariableInteger.append(UInt64(max(0, findingCount)), to: &bytes)
        return bytes
    }

    /// Reads them; nil for anything else.
    package init?(bytes: [UInt8]) {
        var rest = bytes[...]
        guard rest.popFirst() == Self.form, let flags = rest.popFirst(), flags <= Self.overFlag,
            let code = rest.popFirst(), Int(code) <= VerificationOutcome.lasting.count,
            let version = VariableInteger.take(from: &rest), let since = VariableInteger.take(from: &rest),
            let count = VariableInteger.take(from: &rest).flatMap({ Int(exactly: $0) }), rest.isEmpty
        else { return nil }
        self.init(
            version: version, isOver: flags == Self.overFlag, since_ms: since,
            outcome: code == 0 ? nil : VerificationOutcome.lasting[Int(code) - 1], findingCount: count)
    }
}

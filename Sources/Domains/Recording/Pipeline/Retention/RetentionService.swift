package import Base
package import EventSourcing
package import Recording

/// A session that may have been kept for long enough.
package struct RetentionCandidate: Sendable, Hashable {
    /// Its id.
    package var sessionID: String
    /// Up to when it was kept.
    package var keptUntil: Timestamp
    package init(sessionID: String, keptUntil: Timestamp) {
        self.sessionID = sessionID
        self.keptUntil = keptUntil
    }
}

/// Where to look for sessions that were kept for long enough. The log decides; this may be behind.
package protocol RetentionCandidates: AnyObject {
    /// Sessions that were kept until before `now`, by that moment and then by id, from behind one on.
    func candidates(
        before now: Timestamp, behind last: RetentionCandidate?, limit: Int
    ) throws -> [RetentionCandidate]
}

/// Deletes sessions that were kept for as long as their storage configuration says. One thread.
///
/// Deleting is the session's own event, decided on its history in the log; files, keys and passwords go as
/// they do when somebody deletes a session (`SessionRemoval`).
package final class RetentionService {
    /// What became of a candidate.
    package struct Outcome: Sendable {
        /// The session as the log has it, before it was deleted.
        package var session: SessionView
        /// What its retention says.
        package var verdict: Retention.Verdict
        /// Whether it was deleted by this call.
        package var isDeleted: Bool
    }

    private let store: any EventStore
    private let clock: any WallClock
    private let tagCounts: () throws -> Bool

    /// A service over the log.
    /// - Parameter tagCounts: whether their tag still keeps sessions as a case would (`HoldTag`).
    package init(
        _ store: any EventStore, clock: any WallClock, tagCounts: @escaping () throws -> Bool = { false }
    ) {
        self.store = store
        self.clock = clock
        self.tagCounts = tagCounts
    }

    /// Deletes the session if its retention has passed by `now`; nil when the log knows no such session.
    /// - Parameter context: who does it; nil only looks.
    package func expire(_ session: String, now: Timestamp, context: EventContext?) throws -> Outcome? {
        // Asked before the session is looked at: what is no longer held by its tag is held by an event.
        let tagCounts = try tagCounts()
        guard let fold = try SessionAsOf(session, at: .sequence(.max), in: store)?.fold else { return nil }
        var outcome = Outcome(
            session: fold.session,
            verdict: Retention.verdict(fold.session, now: now, tagCounts: tagCounts), isDeleted: false)
        guard let context, case .due = outcome.verdict else { return outcome }
        let handler = CommandHandler(session: session, store: store, clock: clock)
        do throws(CommandError<SessionRejection>) {
            try handler.catchUp()
            // A hold, or a longer retention, that came since it was looked at counts.
            let facts = try handler.handle(
                .expire(fold.session, now: now, tagCounts: tagCounts), id: "\(session)/retention",
                context: context)
            outcome.isDeleted = !facts.isEmpty
        } catch {
            switch error {
            // Somebody else was faster.
            case .rejected: break
            case .failed(let failure): throw failure
            case .malformed(let event): throw event
            }
        }
        return outcome
    }
}

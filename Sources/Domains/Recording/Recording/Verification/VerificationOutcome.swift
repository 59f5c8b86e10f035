package import Base
internal import ReadModels

/// What a verification of one session has come to. It never says more than was looked at.
package enum VerificationOutcome: String, Sendable, CaseIterable {
    /// The session is completed; its history, every sealed file and the Merkle root are what was written, and
    /// every file opens to what was recorded.
    case sound
    /// History, files and root are what was written; whoever asked wanted no content opened.
    case unopened
    /// History, files and root are what was written; nothing can be opened, because the key is gone.
    case keyMissing = "key_missing"
    /// The session has failed: what is stored of it is what was recorded, and no root binds it.
    case partial
    /// Something contradicts the log, or the log itself: missing, changed or forged.
    case damaged
    /// Nothing else is wrong, but a part of the history cannot be read: nobody can say what belongs to it.
    case unreadable
    /// Nothing is wrong so far: the session is not over, and more may come.
    case unfinished
    /// The session is deleted, and nothing of it is left but its history.
    case deleted
    /// The session was deleted while it was looked at: whatever was found says nothing.
    case deletedMeanwhile = "deleted_meanwhile"

    /// Whether something is wrong that somebody has to look after.
    package var isFault: Bool { self == .damaged || self == .keyMissing || self == .unreadable }

    /// Whether it can stand in a session's history.
    package var isLasting: Bool { Self.lasting.contains(self) }

    /// Those that can stand in a session's history. The others are answered, and noted in the trail.
    package static let lasting: [VerificationOutcome] = [.sound, .unopened, .keyMissing, .partial, .damaged]
}

/// What asked for a verification.
package enum VerificationTrigger: String, Sendable, CaseIterable {
    /// `reel verify`.
    case command
    /// The role `storage`, because it was time.
    case background
}

/// The session's last verification, as dashboards see it.
package struct VerificationView: Sendable, Hashable {
    /// What it came to.
    package var outcome: VerificationOutcome
    /// When.
    package var at: Timestamp
    /// Who asked for it, as the event's envelope says.
    package var by: String
    /// The first findings; the event has more.
    package var findings: [String]
    /// How many there were.
    package var findingCount: Int

    /// The most findings that are shown.
    package static let maximumFindings = 5

    /// A verification from its parts; of findings those that are shown.
    package init(
        outcome: VerificationOutcome, at: Timestamp, by: String, findings: [String], findingCount: Int
    ) {
        self.outcome = outcome
        self.at = at
        self.by = by
        self.findings = Array(findings.prefix(Self.maximumFindings))
        self.findingCount = findingCount
    }

    init(_ event: SessionEvent.Verified, _ stamp: EventStamp) {
        self.init(
            outcome: event.outcome, at: stamp.time, by: stamp.actor, findings: event.findings,
            findingCount: event.findingCount)
    }
}

extension VerificationView {
    func encodeShown(_ json: inout JSONWriter) {
        json.member("outcome", outcome.rawValue)
        json.member("at", at)
        json.member("by", by)
        json.member("findings", findings)
        json.member("findings_count", findingCount)
    }
}

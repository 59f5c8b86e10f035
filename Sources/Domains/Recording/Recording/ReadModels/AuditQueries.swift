package import Base
package import ReadModels

/// Which records are asked for; absent criteria match all.
package struct AuditFilter: Sendable, Hashable {
    /// The session that they concern.
    package var session: String?
    /// Name of who did it.
    package var actor: String?
    /// What was done.
    package var action: AuditAction?
    /// Whether it was done.
    package var outcome: AuditOutcome?
    /// At this time or later.
    package var since: Timestamp?
    /// At this time or earlier.
    package var until: Timestamp?

    /// All records.
    package init() {}

    /// Whether a record is among them.
    package func matches(_ view: AuditView) -> Bool {
        let record = view.record
        return session.map { record.sessionID == $0 } ?? true
            && actor.map { record.actor.subject == $0 } ?? true
            && action.map { record.action == $0 } ?? true
            && outcome.map { record.outcome == $0 } ?? true
            && since.map { view.stamp.time >= $0 } ?? true
            && until.map { view.stamp.time <= $0 } ?? true
    }
}

/// The place behind a record, which the next page goes on from. Holds no secret and grants nothing; one
/// that was made up leads to another place of the same list, and nowhere else.
package struct AuditCursor: Sendable, Hashable, Comparable {
    /// When the record's event happened.
    package var time: Timestamp
    /// The record's id.
    package var id: String

    /// The place behind a record.
    package init(_ view: AuditView) { self.init(time: view.stamp.time, id: view.id) }
    package init(time: Timestamp, id: String) {
        self.time = time
        self.id = id
    }

    /// Milliseconds and id, as in `1763697000000-01KAJ…`.
    package var text: String { "\(time.milliseconds)-\(id)" }

    /// Reads what `text` writes; nil for anything else.
    package init?(_ text: String) {
        guard let dash = text.firstIndex(of: "-"), let milliseconds = Int64(text[..<dash]),
            milliseconds >= 0, let time = Timestamp(exactly: milliseconds), text.utf8.count <= 300
        else { return nil }
        self.time = time
        id = String(text[text.index(after: dash)...])
        guard !id.isEmpty, self.text == text else { return nil }
    }

    /// The order of the trail: by time, then by id.
    package static func < (a: AuditCursor, b: AuditCursor) -> Bool {
        a.time == b.time ? a.id.utf8.lexicographicallyPrecedes(b.id.utf8) : a.time < b.time
    }
}

/// A page of the trail, the newest first.
package struct AuditPage: Sendable, Hashable {
    /// The records.
    package var records: [AuditView]
    /// Where the next page begins; nil on the last.
    package var next: AuditCursor?
    package init(records: [AuditView], next: AuditCursor?) {
        self.records = records
        self.next = next
    }
}

/// What auditors ask. Calls block and may come from several threads; what they answer can lag behind the
/// log.
package protocol AuditQueries: Sendable {
    /// Records behind a place, the newest first.
    /// - Parameter limit: the most records of the page, from 1.
    func records(
        _ filter: AuditFilter, after cursor: AuditCursor?, limit: Int
    ) throws(QueryFailure) -> AuditPage
}

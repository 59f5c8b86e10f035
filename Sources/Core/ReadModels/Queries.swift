package import Base
package import EventSourcing

/// A part of an ordered list.
package struct Page: Sendable, Hashable {
    /// The most items in it.
    package var limit: Int
    /// Items before it.
    package var offset: Int

    /// A part from its bounds; negative ones count as 0.
    package init(limit: Int, offset: Int = 0) {
        self.limit = max(0, limit)
        self.offset = max(0, offset)
    }
}

/// Why a query has no answer. Never that something does not exist: that is an answer.
package struct QueryFailure: TransientFailure, Sendable, Hashable, CustomStringConvertible {
    /// What happened, to what, and where; free of credentials.
    package var description: String
    /// Whether no server was reached.
    package var isUnreachable: Bool
    /// What has to happen before it has one.
    package var remedy: Remedy
    /// Whether a document is not what Reel wrote, and not the server away: the description names it.
    package var isOfRecord: Bool
    /// The field of the question that breaks a rule; whoever asked can do something about it.
    package var violation: Violation?
    package init(_ description: String, isUnreachable: Bool, remedy: Remedy, isOfRecord: Bool = false) {
        self.description = description
        self.isUnreachable = isUnreachable
        self.remedy = remedy
        self.isOfRecord = isOfRecord
    }

    /// A question that is refused.
    package init(_ violation: Violation) {
        self.init("\(violation)", isUnreachable: false, remedy: .none)
        self.violation = violation
    }
}

internal import Base
package import EventSourcing

/// What one document adds to the sums over all documents of its view.
package struct TotalsShare: Sendable, Hashable {
    /// The group that it is counted in.
    package var group: String
    /// What it adds, in the order of the sums' names.
    package var sums: [Int]
    /// The least of a measure in it; nil where it has none.
    package var least: Double?
    /// The greatest of the same measure in it; nil where it has none.
    package var most: Double?
    package init(group: String, sums: [Int], least: Double? = nil, most: Double? = nil) {
        self.group = group
        self.sums = sums
        self.least = least
        self.most = most
    }
}

/// Names of what is summed, as it stands in the checkpoints.
package struct TotalsNames: Sendable, Hashable {
    /// Of the counts by group.
    package var groups: String
    /// Of the sums.
    package var sums: [String]
    /// Of the least of the measure.
    package var least: String
    /// Of the greatest of the measure.
    package var most: String
    /// Of the id of a history of which less is counted than there is.
    package var history: String
    package init(groups: String, sums: [String], least: String, most: String, history: String) {
        self.groups = groups
        self.sums = sums
        self.least = least
        self.most = most
        self.history = history
    }
}

/// Sums over all documents of a view with scope `history`, kept beside the checkpoints so that nobody has to
/// go through all documents for them.
package struct ViewTotals<State: Sendable>: Sendable {
    let names: TotalsNames
    let share: @Sendable (State) -> TotalsShare

    /// - Parameter share: what a state adds.
    package init(_ names: TotalsNames, share: @escaping @Sendable (State) -> TotalsShare) {
        self.names = names
        self.share = share
    }

    func declaration<Fact>(
        _ collection: CollectionDeclaration, _ view: View<Fact, State>
    ) -> TotalsDeclaration {
        let share = share
        return TotalsDeclaration(names: names, collection: collection) { (fields) throws(BSONError) in
            let state = try view.read(fields)
            let identity = view.identity(state)
            return TotalsDeclaration.Stored(
                share: share(state), version: identity.version, position: identity.position)
        }
    }
}

/// What is known of a view's sums by those who do not fold it.
package struct TotalsDeclaration: Sendable {
    /// What a stored document adds.
    package struct Stored: Sendable {
        /// What it adds.
        package let share: TotalsShare
        /// Its version.
        package let version: UInt64
        /// The last event in it.
        package let position: LogPosition
    }

    /// The names of the sums.
    package let names: TotalsNames
    /// The collection whose documents are summed.
    package let collection: CollectionDeclaration
    /// Reads what a document of that collection adds.
    package let stored: @Sendable (BSONFields) throws(BSONError) -> Stored
}

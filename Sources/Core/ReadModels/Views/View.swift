package import EventSourcing

/// Which events a view's documents are folded from, and what a document's key is.
package enum ViewScope: Sendable, Hashable {
    /// One document for each history, of all of its events. Its key is the history's id.
    case history
    /// One document for each subject within a history, of the events of these types. The first of them begins
    /// it.
    case part(begunBy: String, of: Set<String>)
    /// One document for each event. It never changes.
    case record

    /// What a stored document contains was stored before in views of a lower rank.
    var rank: Int {
        switch self {
        case .record: 0
        case .part: 1
        case .history: 2
        }
    }
}

/// What tells a document from others, and how far it has come.
package struct ViewIdentity: Sendable, Hashable {
    /// The value of the document's key.
    package var key: String
    /// Sequence of the last event in it. A document of one version has one content.
    package var version: UInt64
    /// Place of that event in the log.
    package var position: LogPosition
    package init(_ key: String, version: UInt64, position: LogPosition) {
        self.key = key
        self.version = version
        self.position = position
    }
}

/// A read model: how its documents follow from events. It is pure; whoever stores it adds guards, fences,
/// gaps, comparison and swap.
///
/// The state is what is folded. It may be shown in several collections; the last of them keeps it whole, so
/// that it can be gone on from.
package struct View<Fact: Sendable, State: Sendable>: Sendable {
    let scope: ViewScope
    let collections: [ViewCollection<State>]
    let identity: @Sendable (State) -> ViewIdentity
    let begin: @Sendable (Fact, EventStamp) -> State?
    let evolve: @Sendable (inout State, Fact, EventStamp) -> Void
    let read: @Sendable (BSONFields) throws(BSONError) -> State
    let totals: ViewTotals<State>?

    /// A view from its parts.
    /// - Parameters:
    ///   - collections: in the order in which they are written; the last keeps the state.
    ///   - begin: the state after the first event; nil where that cannot begin one.
    ///   - read: reads a document of the last collection.
    ///   - totals: sums over all documents that are kept along; one view of all may have them.
    package init(
        _ scope: ViewScope, in collections: [ViewCollection<State>],
        identity: @escaping @Sendable (State) -> ViewIdentity,
        begin: @escaping @Sendable (Fact, EventStamp) -> State?,
        evolve: @escaping @Sendable (inout State, Fact, EventStamp) -> Void,
        read: @escaping @Sendable (BSONFields) throws(BSONError) -> State,
        totals: ViewTotals<State>? = nil
    ) {
        self.scope = scope
        self.collections = collections
        self.identity = identity
        self.begin = begin
        self.evolve = evolve
        self.read = read
        self.totals = totals
    }
}

/// A collection that a view is shown in, and how its documents are made.
package struct ViewCollection<State: Sendable>: Sendable {
    let declaration: CollectionDeclaration
    let document: @Sendable (State) -> BSONDocument
    package init(_ declaration: CollectionDeclaration, document: @escaping @Sendable (State) -> BSONDocument)
    {
        self.declaration = declaration
        self.document = document
    }
}

/// What a store of documents has to know of a collection.
package struct CollectionDeclaration: Sendable {
    /// Its name.
    package let name: String
    /// Field of the documents' own id, which has the collection's unique index.
    package let key: String
    /// Field that names the history which a document belongs to; nil where it belongs to none.
    package let history: String?
    /// Field of the place of the last event in a document; a dot leads into a field of a field.
    package let position: String
    /// Field of a time that puts lists in order; nil where nobody lists them.
    package let order: String?
    /// Whether nobody but the projection reads it.
    package let isInternal: Bool
    /// Its indexes.
    package let indexes: [DocumentIndex]
    /// Whether a document reads as those of this collection do; throws what is wrong.
    package let check: @Sendable (BSONFields) throws(BSONError) -> Void
    /// The category of the histories that it is made from.
    package internal(set) var category = Category.bare

    /// Whether its documents belong to histories.
    package var isOfHistories: Bool { history != nil }

    /// - Parameter check: throws what is wrong with a document of this collection.
    package init(
        _ name: String, key: String, history: String?, position: String = "log_position",
        order: String? = nil, isInternal: Bool = false, indexes: [DocumentIndex],
        check: @escaping @Sendable (BSONFields) throws(BSONError) -> Void
    ) {
        self.name = name
        self.key = key
        self.history = history
        self.position = position
        self.order = order
        self.isInternal = isInternal
        self.indexes = [DocumentIndex([(key, 1)], unique: true)] + indexes
        self.check = check
    }
}

/// A document as it is to be stored.
package struct DocumentWrite: Sendable {
    /// The value of its key.
    package let key: String
    /// Its version.
    package let version: UInt64
    /// All of it.
    package let document: BSONDocument
    /// Whether it is most likely not stored yet. Right or wrong, the result is the same; right is faster.
    package let isNew: Bool
    /// Partition key of the history whose event is in it.
    package let history: String
    /// The first event in it that is not stored.
    package let since: LogPosition
}

/// What the events of several batches changed of one view, as values.
package protocol ViewWrite: Sendable {
    /// In the order in which they are written.
    var collections: [CollectionDeclaration] { get }
    /// The documents of one of them.
    func documents(in place: Int) -> [DocumentWrite]
}

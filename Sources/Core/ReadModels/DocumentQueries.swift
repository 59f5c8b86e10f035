package import Base
internal import EventSourcing

/// A condition that a document has to meet. A dot in a field's name leads into a field of a field.
package enum DocumentFilter: Sendable, Hashable {
    /// The field is this text; of an array, one of its items is.
    case text(String, String)
    /// The field is this whole number.
    case number(String, Int64)
    /// The field is this truth value.
    case flag(String, Bool)
    /// The field is this time or later.
    case since(String, Timestamp)
    /// The field is this time or earlier.
    case until(String, Timestamp)

    /// Name of the field.
    package var field: String {
        switch self {
        case .text(let field, _), .number(let field, _), .flag(let field, _), .since(let field, _),
            .until(let field, _):
            field
        }
    }
}

/// A part of a list of documents: which, in which order, how many.
package struct DocumentList: Sendable, Hashable {
    /// What they have to be; all of it.
    package var filters: [DocumentFilter]
    /// Field that puts them in order; the key where it is nil.
    package var order: String?
    /// Whether the greatest comes first.
    package var isDescending: Bool
    /// Which part.
    package var page: Page
    package init(
        _ filters: [DocumentFilter] = [], by order: String? = nil, isDescending: Bool = false, _ page: Page
    ) {
        self.filters = filters
        self.order = order
        self.isDescending = isDescending
        self.page = page
    }
}

/// Questions to the documents of views, by fields that have an index. Calls block; any thread may call. What
/// is answered can lag behind the log, and leaves out documents that do not read.
package protocol DocumentQueries: Sendable {
    /// The document with this key; nil when there is none.
    func document(_ key: String, in collection: String) throws(QueryFailure) -> BSONFields?
    /// A part of a list.
    func documents(_ list: DocumentList, in collection: String) throws(QueryFailure) -> [BSONFields]
    /// How many documents meet all conditions.
    func count(_ filters: [DocumentFilter], in collection: String) throws(QueryFailure) -> Int
}

extension CollectionDeclaration {
    /// Refuses a question by a field that no index has: it would go through all documents.
    package func require(_ filters: [DocumentFilter], order: String? = nil) throws(QueryFailure) {
        let indexed = Set(indexes.flatMap(\.keys).map(\.field))
        for field in filters.map(\.field) + (order.map { [$0] } ?? []) where !indexed.contains(field) {
            throw QueryFailure(Violation(field, "no index of \(name) has this field"))
        }
    }
}

extension ViewSet {
    /// What is declared of a collection; throws where no view is shown in it.
    package func declaration(of collection: String) throws(QueryFailure) -> CollectionDeclaration {
        guard let found = collections.first(where: { $0.name == collection }) else {
            throw QueryFailure("no view is shown in \(collection)", isUnreachable: false, remedy: .none)
        }
        return found
    }
}

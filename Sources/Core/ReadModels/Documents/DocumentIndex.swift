/// An index of a collection of documents.
package struct DocumentIndex: Sendable, Equatable {
    /// The fields in order, each ascending (1) or descending (-1).
    package let keys: [(field: String, direction: Int32)]
    /// Whether no two documents may have the same values.
    package let isUnique: Bool
    /// A field that is true in the documents that stand in the index; nil for all documents.
    package let onlyWhere: String?
    package init(
        _ keys: [(field: String, direction: Int32)], unique: Bool = false, onlyWhere: String? = nil
    ) {
        self.keys = keys
        self.isUnique = unique
        self.onlyWhere = onlyWhere
    }

    /// The name that the server's own tools would give it.
    package var name: String { keys.map { "\($0.field)_\($0.direction)" }.joined(separator: "_") }

    /// Whether they are the same.
    package static func == (left: DocumentIndex, right: DocumentIndex) -> Bool {
        left.name == right.name && left.isUnique == right.isUnique && left.onlyWhere == right.onlyWhere
    }
}

internal import Base
internal import ReadModels

/// Documents in the collections of the read models that are not as Reel writes them: somebody else's, or
/// changed by hand. They are left out of every answer, and the others are shown.
///
/// What a process has met, for its log and its figures. Any thread.
package final class ForeignDocuments: Sendable {
    /// One of them.
    package struct Document: Sendable, Hashable, CustomStringConvertible {
        /// The collection by its full name.
        package let collection: String
        /// Its `_id`, in words.
        package let id: String
        /// What is wrong with it.
        package let reason: String
        /// What finds it again; nil where that is not known.
        let identity: BSONDocument?

        /// Collection, id and reason in one line.
        package var description: String {
            "\(collection): the document \(id) is none of Reel's: \(reason)"
        }
    }

    /// More of them are counted as one.
    static let limit = 1_000

    private let known = Lock<[String: Document]>([:])
    private let onNew: @Sendable (Document) -> Void

    /// None so far. `onNew` is told of each once.
    package init(onNew: @escaping @Sendable (Document) -> Void = { _ in }) { self.onNew = onNew }

    /// Those that were met and not found mended since.
    package var current: [Document] {
        known.withLock { $0.values.sorted { ($0.collection, $0.id) < ($1.collection, $1.id) } }
    }

    /// How many those are.
    package var count: Int { known.withLock { $0.count } }

    func note(_ document: BSONDocument, in collection: String, _ error: BSONError) {
        note(try? document.fields(), in: collection, error)
    }

    @discardableResult
    func note(_ fields: BSONFields?, in collection: String, _ error: BSONError) -> Document {
        let id = BSONFields.identity(fields?["_id"])
        let document = Document(
            collection: collection, id: id.text, reason: "\(error)", identity: id.filter)
        note(document)
        return document
    }

    func note(_ document: Document) {
        let isNew = known.withLock { known in
            let key = document.key
            if known[key] != nil || known.count >= Self.limit { return false }
            known[key] = document
            return true
        }
        if isNew { onNew(document) }
    }

    /// It is gone, or was mended.
    func forget(_ document: Document) { known.withLock { $0[document.key] = nil } }
}

extension ForeignDocuments.Document {
    fileprivate var key: String { "\(collection) \(id)" }
}

extension BSONFields {
    /// A document's own `_id`: in words, and as a filter, which is nil for kinds that we don't look up.
    static func identity(_ id: BSONValue?) -> (text: String, filter: BSONDocument?) {
        guard let id else { return ("without _id", nil) }
        let filter = BSONDocument { builder in
            switch id {
            case .objectID(let bytes): builder.append("_id", objectID: bytes)
            case .string(let text): builder.append("_id", text)
            case .int32(let number): builder.append("_id", int32: number)
            case .int64(let number): builder.append("_id", int64: number)
            case .double(let number): builder.append("_id", double: number)
            default: break
            }
        }
        return (Self.text(of: id), filter == .empty ? nil : filter)
    }

    private static func text(of id: BSONValue) -> String {
        switch id {
        case .objectID(let bytes):
            Hexadecimal.text(bytes)
        case .string(let text): "'\(text.prefix(100))'"
        case .int32(let number): "\(number)"
        case .int64(let number): "\(number)"
        case .double(let number): "\(number)"
        default: "with an _id of another kind"
        }
    }
}

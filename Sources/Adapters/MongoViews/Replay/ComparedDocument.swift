internal import EventSourcing
internal import ReadModels

/// A document as a comparison sees it, without the server's own `_id`.
struct ComparedDocument {
    let bytes: BSONDocument
    /// Field of the place of the last event in it.
    let positionField: String
    /// Its own id; nil when the field is missing or no text, which only somebody else can have written.
    let key: String?

    /// What a query has to ask for.
    static let projection = BSONDocument { $0.append("_id", int32: 0) }

    init(_ bytes: BSONDocument, of collection: CollectionDeclaration) throws(BSONError) {
        self.bytes = bytes
        positionField = collection.position
        key = try Self.text(collection.key, in: bytes)
    }

    private static func text(_ name: String, in document: BSONDocument) throws(BSONError) -> String? {
        if let first = document.firstField(ifNamed: name) { return first }
        guard case .string(let text)? = try document.fields()[name] else { return nil }
        return text
    }

    /// Its version, 0 when that does not read.
    var version: Int64 { (try? bytes.fields().int("version")) ?? 0 }

    /// Place of the last event in it; nil when that does not read.
    var position: LogPosition? {
        guard var fields = try? bytes.fields() else { return nil }
        let path = positionField.split(separator: ".").map(String.init)
        for name in path.dropLast() {
            guard let inner = try? fields.document(name) else { return nil }
            fields = inner
        }
        return path.last.flatMap { try? fields.position($0) }
    }

    /// The fields in which two documents differ, with dots into nested ones.
    static func changes(_ a: BSONDocument, _ b: BSONDocument, in path: String = "") -> [String] {
        guard let left = try? a.fields(), let right = try? b.fields() else { return [path] }
        var changed: [String] = []
        for name in Set(left.names).union(right.names).sorted() where left[name] != right[name] {
            let inner = path.isEmpty ? name : "\(path).\(name)"
            if case .document(let one)? = left[name], case .document(let other)? = right[name] {
                changed += changes(one, other, in: inner)
            } else {
                changed.append(inner)
            }
        }
        // The same fields in another order.
        return changed.isEmpty ? [path.isEmpty ? "(order of fields)" : path] : changed
    }
}

extension BSONDocument {
    /// The text of the first field, when it is one and has this name: our own documents begin so.
    func firstField(ifNamed name: String) -> String? {
        let name = name.utf8
        let start = 5 + name.count
        guard bytes.count > start + 6, bytes[4] == BSONType.string.rawValue,
            bytes[5..<start].elementsEqual(name), bytes[start] == 0
        else { return nil }
        let length = (0..<4).reduce(0) { $0 | Int(bytes[start + 1 + $1]) << (8 * $1) }
        let text = start + 5
        guard length >= 1, text + length <= bytes.count - 1 else { return nil }
        return String(decoding: bytes[text..<text + length - 1], as: UTF8.self)
    }
}

internal import Base
internal import EventSourcing
internal import ReadModels

// Documents that are none of Reel's are met by whoever reads them. So that others can tell of them as well,
// each is noted beside the checkpoints, and the note goes when the document does.

extension MongoReadModels {
    /// Notes that are kept, and documents without a key that are looked for, at most.
    private static var reviewLimit: Int { 100 }
    private static var notePrefix: String { "foreign/" }

    /// Brings `foreign` up to date: takes in what others have noted, looks by index for documents without a
    /// key or a place in their list, and forgets those that are gone or were mended.
    /// - Parameter isKeeping: whether notes are written and removed; looking on changes nothing.
    package func reviewForeign(isKeeping: Bool) throws {
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try wrap { () throws(MongoFailure) in
                let noted = try readNotes(client)
                let all = Array(zip(collections.documents, collections.declarations))
                for (name, declaration) in all {
                    try look(name, declaration.key, client) { $0.append("$gte", "") }
                }
                for (name, declaration) in all {
                    guard let field = declaration.order else { continue }
                    try look(name, field, client) { $0.append("$gte", date_ms: .min) }
                }
                var kept: [ForeignDocuments.Document] = []
                for document in foreign.current {
                    if try isStillForeign(document, client) {
                        kept.append(document)
                    } else {
                        foreign.forget(document)
                    }
                }
                if isKeeping { try write(kept, noted: noted, client) }
            }
        }
    }

    /// Notes the documents that are none of Reel's among some of the internal collections: nobody reads one
    /// but the projector, when its history goes on.
    package func reviewStates(atMost limit: Int) throws {
        let query = MongoFind(limit: Int64(limit))
        let foreign = foreign
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            for (name, declaration) in zip(collections.documents, collections.declarations)
            where declaration.isInternal {
                try wrap { () throws(MongoFailure) in
                    _ = try client.find(query, in: name) { (fields) throws(BSONError) in
                        do throws(BSONError) { try declaration.check(fields) } catch {
                            foreign.note(fields, in: name.description, error)
                        }
                    }
                }
            }
        }
    }

    private func readNotes(
        _ client: borrowing MongoClient
    ) throws(MongoFailure) -> Set<String> {
        var query = MongoFind(limit: Int64(Self.reviewLimit))
        query.filter = BSONDocument { builder in
            builder.append("_id") { builder in
                builder.append("$gt", Self.notePrefix)
                builder.append("$lt", "foreign0")
            }
        }
        let notes = try client.find(query, in: collections.checkpoints) { (fields) throws(BSONError) in
            (
                id: (try? fields.string("_id")) ?? "",
                document: try? ForeignDocuments.Document(
                    collection: fields.string("collection"), id: fields.string("document"),
                    reason: fields.string("reason"), identity: fields.rawDocument("identity"))
            )
        }
        for note in notes { if let document = note.document { foreign.note(document) } }
        return Set(notes.map(\.id))
    }

    /// Documents in which a field is of another type stand apart in the field's index. A comparison that all
    /// values of the right type fulfil bounds the index; `$type` does not, and would go through everything.
    private func look(
        _ name: MongoNamespace, _ field: String, _ client: borrowing MongoClient,
        not anyOfType: (inout BSONBuilder) -> Void
    ) throws(MongoFailure) {
        var query = MongoFind(limit: Int64(Self.reviewLimit))
        query.filter = BSONDocument { builder in
            builder.append(field) { $0.append("$not", anyOfType) }
        }
        query.projection = BSONDocument { $0.append(field, int32: 1) }
        let foreign = foreign
        _ = try client.find(query, in: name) { (fields) throws(BSONError) in
            foreign.note(fields, in: name.description, .field(field))
        }
    }

    private func isStillForeign(
        _ document: ForeignDocuments.Document, _ client: borrowing MongoClient
    ) throws(MongoFailure) -> Bool {
        guard let identity = document.identity,
            let name = (collections.documents + [collections.checkpoints]).first(where: {
                $0.description == document.collection
            })
        else { return true }
        let isSound = try client.findOne(MongoFind(filter: identity), in: name) {
            (fields) throws(BSONError) in reads(fields, in: name)
        }
        return isSound == false
    }

    /// Whether a document reads as those of its collection do.
    private func reads(_ fields: BSONFields, in name: MongoNamespace) -> Bool {
        do throws(BSONError) {
            if let place = collections.documents.firstIndex(of: name) {
                try collections.declarations[place].check(fields)
            } else {
                _ = try fields.position("position")
            }
            return true
        } catch {
            return false
        }
    }

    private func write(
        _ documents: [ForeignDocuments.Document], noted: Set<String>, _ client: borrowing MongoClient
    ) throws(MongoFailure) {
        func id(_ document: ForeignDocuments.Document) -> String {
            "\(Self.notePrefix)\(document.collection)/\(document.id)"
        }
        let kept = Set(documents.map(id))
        for note in noted where !kept.contains(note) {
            try client.deleteOne(BSONDocument { $0.append("_id", note) }, in: collections.checkpoints)
        }
        let fresh = documents.filter { !noted.contains(id($0)) }
        let writes = fresh.prefix(max(0, Self.reviewLimit - noted.count)).map { document in
            MongoWrite.insert(
                BSONDocument { builder in
                    builder.append("_id", id(document))
                    builder.append("collection", document.collection)
                    builder.append("document", document.id)
                    builder.append("reason", document.reason)
                    if let identity = document.identity { builder.append("identity", document: identity) }
                    builder.append("noticed_at", date_ms: SystemClock().now().milliseconds)
                })
        }
        _ = try client.bulkWrite(writes, to: collections.checkpoints)
    }
}

extension BSONFields {
    /// A nested document as it is; nil when there is none.
    fileprivate func rawDocument(_ key: String) -> BSONDocument? {
        guard case .document(let document)? = self[key] else { return nil }
        return document
    }
}

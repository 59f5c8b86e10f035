internal import ReadModels

extension MongoClient {
    /// What the server takes at most in one document.
    static let maximumDocumentBytes = 16 * 1_048_576

    /// Stores documents unless the collection has them at the same version or a later one; answers those that
    /// rules of others did not let in: their unique indexes, validators, or their size.
    ///
    /// A document of one version has one content, so what is there at the same version is what would have
    /// been written. The first pass inserts or replaces; where the unique index of the key refuses that, the
    /// document exists, and the second pass replaces it if it is older. Two passes, because two writers that
    /// both find nothing may both insert: the one that is refused must not give way to an older version. What
    /// stands under the key without a version that reads is somebody else's, and gives way.
    /// - Parameter keyName: the field of the collection's unique index.
    func store(
        _ documents: [DocumentWrite], by keyName: String, in name: MongoNamespace
    ) throws(MongoFailure) -> [MongoRefusal] {
        if documents.isEmpty { return [] }
        let sizes = documents.map { $0.document.bytes.count <= Self.maximumDocumentBytes }
        // libmongoc makes one command of each run of equal operations.
        let places =
            documents.indices.filter { sizes[$0] && documents[$0].isNew }
            + documents.indices.filter { sizes[$0] && !documents[$0].isNew }
        let first = places.map { place in
            let item = documents[place]
            return item.isNew
                ? MongoWrite.insert(item.document) : replacement(item, keyName, upsert: true)
        }
        let outcome = try bulkWriteEach(first, to: name, key: keyName)
        var refused = documents.indices.filter { !sizes[$0] }.map { place in
            let text = "a document of \(documents[place].document.bytes.count) bytes is too large"
            return MongoRefusal(
                place: place,
                failure: MongoFailure(
                    text, code: MongoFailure.documentTooLarge, at: target("bulk write", name)))
        }
        refused += outcome.refused.map { MongoRefusal(place: places[$0.place], failure: $0.failure) }
        // An index of somebody's may have been asked before the key's own: then the document may be there,
        // too.
        let others = outcome.refused.filter { $0.failure.code == MongoFailure.duplicateKey }.map(\.place)
        let existing = (outcome.duplicates + others).map { places[$0] }
        if !existing.isEmpty {
            let second = existing.map { replacement(documents[$0], keyName, upsert: false) }
            let again = try bulkWriteEach(second, to: name, key: keyName)
            let known = Set(refused.map(\.place))
            refused += again.refused.map { MongoRefusal(place: existing[$0.place], failure: $0.failure) }
                .filter { !known.contains($0.place) }
        }
        return refused.isEmpty ? [] : try stillMissing(refused, documents, keyName, in: name)
    }

    /// Those refusals whose documents are not there at their version: what was written before, by anybody,
    /// may be refused for a rule that is newer, or by an index that is asked before the key's own.
    private func stillMissing(
        _ refused: [MongoRefusal], _ documents: [DocumentWrite], _ keyName: String,
        in name: MongoNamespace
    ) throws(MongoFailure) -> [MongoRefusal] {
        var query = MongoFind(
            filter: BSONDocument { builder in
                builder.append(keyName) { $0.append("$in", array: refused.map { documents[$0.place].key }) }
            })
        query.projection = BSONDocument { builder in
            builder.append(keyName, int32: 1)
            builder.append("version", int32: 1)
        }
        let found = try find(query, in: name) { (fields) throws(BSONError) in
            // What does not read is not what was to be written.
            ((try? fields.string(keyName)) ?? "", (try? fields.int("version")) ?? 0)
        }
        let versions = Dictionary(found, uniquingKeysWith: max)
        return refused.filter { refusal in
            let item = documents[refusal.place]
            return versions[item.key].map { $0 < Int64(clamping: item.version) } ?? true
        }
    }

    private func replacement(_ item: DocumentWrite, _ keyName: String, upsert: Bool) -> MongoWrite {
        let filter = BSONDocument { builder in
            builder.append(keyName, item.key)
            builder.append("version") { condition in
                // Unlike "lower" this holds where there is no number at all.
                condition.append("$not") { $0.append("$gte", int64: Int64(clamping: item.version)) }
            }
        }
        return .replace(filter: filter, with: item.document, upsert: upsert)
    }
}

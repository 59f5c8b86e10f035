/// A whole document at one version, as it is to be stored.
struct VersionedDocument {
    /// The field of the collection's unique index.
    let keyName: String
    let key: String
    let version: UInt64
    let document: BSONDocument
    /// Whether it is most likely not stored yet. Right or wrong, the result is the same; right is faster.
    let isNew: Bool
}

extension MongoClient {
    /// Stores documents unless the collection has them at the same version or a later one.
    ///
    /// A document of one version has one content, so what is there at the same version is what would have
    /// been written. The first pass inserts or replaces; where the unique index refuses that, the document
    /// exists, and the second pass replaces it if it is older. Two passes, because two writers that both
    /// find nothing may both insert: the one that is refused must not give way to an older version.
    func store(_ documents: [VersionedDocument], in name: MongoNamespace) throws(MongoFailure) {
        if documents.isEmpty { return }
        // libmongoc makes one command of each run of equal operations.
        let ordered = documents.filter(\.isNew) + documents.filter { !$0.isNew }
        let first = ordered.map { item in
            item.isNew ? MongoWrite.insert(item.document) : replacement(item, upsert: true)
        }
        let outcome = try bulkWrite(first, to: name)
        if outcome.duplicates.isEmpty { return }
        let second = outcome.duplicates.map { replacement(ordered[$0], upsert: false) }
        _ = try bulkWrite(second, to: name)
    }

    private func replacement(_ item: VersionedDocument, upsert: Bool) -> MongoWrite {
        let filter = BSONDocument { builder in
            builder.append(item.keyName, item.key)
            builder.append("version") { $0.append("$lt", int64: Int64(clamping: item.version)) }
        }
        return .replace(filter: filter, with: item.document, upsert: upsert)
    }
}

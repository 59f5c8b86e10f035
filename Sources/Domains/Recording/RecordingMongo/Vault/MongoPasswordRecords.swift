internal import Base
internal import EventSourcing
package import MongoViews
internal import ReadModels
package import Recording

/// Sealed RDP passwords in MongoDB, beside the wrapped keys and apart from the read models. Written with
/// majority concern and journal, read with majority concern.
///
/// One document a session, its `_id` the session's, so that the guard of a write needs no further index. A
/// document without ciphertext is the mark of a password that was removed for good.
package struct MongoPasswordRecords: PasswordRecords {
    private let pool: MongoPool
    private let name: MongoNamespace

    /// The passwords in collection `rdp_passwords` of a database; connects to nothing yet.
    package init(_ pool: MongoPool, database: String = "reel_vault") {
        self.pool = pool
        self.name = MongoNamespace(database: database, collection: "rdp_passwords")
    }

    /// Keeps a record unless the session's password was removed for good.
    package func put(_ record: PasswordRecord) throws -> Bool {
        // Where the mark is, the guard finds nothing, and the upsert meets the mark's own id.
        let filter = BSONDocument { builder in
            builder.append("_id", record.sessionID)
            builder.append("is_removed") { $0.append("$ne", true) }
        }
        let outcome = try pool.withClient { (client) throws(MongoFailure) in
            try client.bulkWrite(
                [.replace(filter: filter, with: BSONDocument(record), upsert: true)], to: name)
        }
        if outcome.duplicates.isEmpty { return true }
        // Two that made the first record at once look the same as the mark to the one that came second.
        guard try self.record(ofSession: record.sessionID) != nil else { return false }
        let again = try pool.withClient { (client) throws(MongoFailure) in
            try client.bulkWrite(
                [.replace(filter: filter, with: BSONDocument(record), upsert: true)], to: name)
        }
        return again.duplicates.isEmpty
    }

    /// The record of a session.
    package func record(ofSession sessionID: String) throws -> PasswordRecord? {
        var query = MongoFind(
            filter: BSONDocument { builder in
                builder.append("_id", sessionID)
                builder.append("is_removed") { $0.append("$ne", true) }
            })
        query.majority = true
        return try pool.withClient { (client) throws(MongoFailure) in
            try client.findOne(query, in: name, PasswordRecord.init)
        }
    }

    /// Removes a session's record: what was sealed is overwritten by a document without it.
    package func remove(session sessionID: String, forGood: Bool) throws {
        let filter = BSONDocument { $0.append("_id", sessionID) }
        let mark = BSONDocument { $0.append("is_removed", true) }
        _ = try pool.withClient { (client) throws(MongoFailure) in
            guard forGood else { return try client.deleteOne(filter, in: name) }
            _ = try client.bulkWrite([.replace(filter: filter, with: mark, upsert: true)], to: name)
        }
    }
}

extension BSONDocument {
    fileprivate init(_ record: PasswordRecord) {
        self.init { builder in
            builder.append("kek_id", record.keyEncryptionKeyID)
            builder.append("nonce", binary: record.nonce)
            builder.append("ciphertext", binary: record.ciphertext)
            builder.append("updated_at", date_ms: record.updatedAt.milliseconds)
        }
    }
}

extension PasswordRecord {
    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init(
            sessionID: try fields.string("_id"), keyEncryptionKeyID: try fields.string("kek_id"),
            nonce: try fields.binary("nonce"), ciphertext: try fields.binary("ciphertext"),
            updatedAt: try fields.time("updated_at"))
    }
}

internal import Base
internal import EventSourcing
package import MongoViews
internal import ReadModels
package import Recording

/// Wrapped data keys in MongoDB, in a database apart from the read models: those may be dropped at any
/// time, while a lost key is a lost recording. Written with majority concern and journal, read with
/// majority concern, so that a key that was answered can't be rolled back.
package struct MongoKeyArchive: KeyArchive {
    private let pool: MongoPool
    private let name: MongoNamespace

    /// The keys in collection `keys` of a database; connects to nothing yet.
    package init(_ pool: MongoPool, database: String = "reel_vault") {
        self.pool = pool
        self.name = MongoNamespace(database: database, collection: "keys")
    }

    /// What makes one key a session, and one session a key.
    static let indexes = [
        DocumentIndex([("session_id", 1)], unique: true), DocumentIndex([("key_id", 1)], unique: true),
    ]

    /// Makes sure that the unique indexes are there, and answers the records for the calling thread.
    package func open() throws -> any KeyRecords {
        try pool.withClient { (client) throws(MongoFailure) in
            try client.createIndexes(Self.indexes, on: name)
        }
        return MongoKeyRecords(pool: pool, name: name)
    }
}

/// The kept keys, as one thread sees them.
final class MongoKeyRecords: KeyRecords {
    private let pool: MongoPool
    private let name: MongoNamespace

    init(pool: MongoPool, name: MongoNamespace) {
        self.pool = pool
        self.name = name
    }

    func keep(_ record: KeyRecord) throws -> KeyRecord {
        let found = try pool.withClient { (client) throws(MongoFailure) in
            _ = try client.bulkWrite([.insert(BSONDocument(record))], to: name, key: "session_id")
            // Whether it was inserted or refused, what counts is what is there now.
            guard let kept = try find(record.sessionID, client) else {
                let text = "key \(record.keyID) of session \(record.sessionID) belongs to another session"
                throw MongoFailure(text, at: client.target("keep key", name))
            }
            return kept
        }
        return try Self.readable(found, record.sessionID)
    }

    func record(ofSession sessionID: String) throws -> KeyRecord? {
        let found = try pool.withClient { (client) throws(MongoFailure) in try find(sessionID, client) }
        return try found.map { try Self.readable($0, sessionID) }
    }

    private static func readable(
        _ found: Result<KeyRecord, BSONError>, _ sessionID: String
    ) throws(UnreadableKeyRecord) -> KeyRecord {
        switch found {
        case .success(let record): return record
        case .failure(let error): throw UnreadableKeyRecord(sessionID: sessionID, text: "\(error)")
        }
    }

    func destroy(ofSession sessionID: String) throws {
        try pool.withClient { (client) throws(MongoFailure) in
            try client.deleteOne(BSONDocument { $0.append("session_id", sessionID) }, in: name)
        }
    }

    private func find(
        _ sessionID: String, _ client: borrowing MongoClient
    ) throws(MongoFailure) -> Result<KeyRecord, BSONError>? {
        var query = MongoFind(filter: BSONDocument { $0.append("session_id", sessionID) })
        query.majority = true
        return try client.findOne(query, in: name) { fields in
            do throws(BSONError) { return .success(try KeyRecord(fields)) } catch { return .failure(error) }
        }
    }
}

extension BSONDocument {
    fileprivate init(_ record: KeyRecord) {
        self.init { builder in
            builder.append("session_id", record.sessionID)
            builder.append("key_id", record.keyID)
            builder.append("kek_id", record.keyEncryptionKeyID)
            builder.append("nonce", binary: record.nonce)
            builder.append("ciphertext", binary: record.ciphertext)
            builder.append("created_at", date_ms: record.createdAt.milliseconds)
            builder.append("state", "active")
        }
    }
}

extension KeyRecord {
    init(_ fields: BSONFields) throws(BSONError) {
        self.init(
            sessionID: try fields.string("session_id"), keyID: try fields.string("key_id"),
            keyEncryptionKeyID: try fields.string("kek_id"), nonce: try fields.binary("nonce"),
            ciphertext: try fields.binary("ciphertext"), createdAt: try fields.time("created_at"))
    }
}

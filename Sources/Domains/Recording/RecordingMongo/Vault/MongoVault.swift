package import Base
internal import EventSourcing
package import MongoViews
internal import ReadModels
package import Recording

/// The vault's database as a whole: whether it is fit to keep keys, and what is missing in it. May be shared
/// by threads.
package struct MongoVault: Sendable {
    private let pool: MongoPool
    private let database: String
    private let keyNames: MongoNamespace
    private let findingNames: MongoNamespace

    /// The vault in a database of a deployment; connects to nothing yet.
    package init(_ pool: MongoPool, database: String = "reel_vault") {
        self.pool = pool
        self.database = database
        keyNames = MongoNamespace(database: database, collection: "keys")
        findingNames = MongoNamespace(database: database, collection: "findings")
    }

    /// The hosts that it is on, without credentials.
    package var host: String { pool.host }
    /// Wrapped data keys.
    package var keys: MongoKeyArchive { MongoKeyArchive(pool, database: database) }
    /// Sealed passwords of desktops.
    package var passwords: MongoPasswordRecords { MongoPasswordRecords(pool, database: database) }

    /// Makes sure that keys can be kept: their unique indexes are there. Answers what of others may keep a
    /// key out, in sentences.
    package func prepare() throws -> [String] {
        _ = try keys.open()
        return try pool.withClient { (client) throws(MongoFailure) in
            let own = Set(MongoKeyArchive.indexes.map(\.name) + ["_id_"])
            var notes: [String] = []
            for index in try client.indexes(of: keyNames) where index.isUnique && !own.contains(index.name) {
                notes.append("\(keyNames) has a unique index of somebody's, \(index.name)")
            }
            for facts in try client.collections(in: database)
            where [keyNames.collection, "rdp_passwords"].contains(facts.name) {
                if (try? facts.options.fields())?.isNull("validator") == false {
                    notes.append("\(database).\(facts.name) has a validator of somebody's")
                }
            }
            return notes
        }
    }

    /// Ids of the key-encryption keys that kept keys are wrapped by, some of them where there are many.
    package func wrappers() throws -> [String] {
        var query = MongoFind(limit: 1_000)
        query.projection = BSONDocument { $0.append("kek_id", int32: 1) }
        let found = try pool.withClient { (client) throws(MongoFailure) in
            try client.find(query, in: keyNames, passingOver: ForeignDocuments()) {
                (fields) throws(BSONError) in try fields.string("kek_id")
            }
        }
        return Set(found).sorted()
    }

    /// What is kept of these sessions. A document that does not read is not among it.
    package func records(ofSessions sessions: [String]) throws -> [KeyRecord] {
        if sessions.isEmpty { return [] }
        var query = MongoFind(
            filter: BSONDocument { builder in
                builder.append("session_id") { $0.append("$in", array: sessions) }
            })
        query.majority = true
        return try pool.withClient { (client) throws(MongoFailure) in
            try client.find(query, in: keyNames, passingOver: ForeignDocuments(), KeyRecord.init)
        }
    }

    /// What tells quickly that something was taken out: the collection's own identity, which another one of
    /// the same name does not have, and how many documents it counts.
    package struct Outline: Sendable, Equatable {
        fileprivate var uuid: [UInt8]
        /// Documents by the server's own books.
        package var count: Int64

        /// Whether more was taken out since an earlier look than the keys of sessions that were deleted would
        /// explain: the collection is another one.
        package func isOther(than earlier: Outline) -> Bool { uuid != earlier.uuid }
    }

    /// The outline as it is now.
    package func outline() throws -> Outline {
        try pool.withClient { (client) throws(MongoFailure) in
            let facts = try client.collections(in: database).first { $0.name == keyNames.collection }
            return Outline(uuid: facts?.uuid ?? [], count: try client.estimatedCount(of: keyNames))
        }
    }

    // MARK: - Findings

    /// What the last look at all keys has found, kept beside them for those who don't look themselves.
    package struct Report: Sendable, Equatable {
        /// Findings that are kept with their names, at most.
        package static let namedLimit = 100

        /// When the look ended.
        package var time: Timestamp
        /// How many keys cannot be had.
        package var count: Int
        /// The first of them, in sentences.
        package var named: [String]
        package init(time: Timestamp, count: Int, named: [String]) {
            self.time = time
            self.count = count
            self.named = named
        }
    }

    private static let reportFilter = BSONDocument { $0.append("_id", "keys") }

    /// Keeps the report of a look.
    package func keep(_ report: Report) throws {
        let document = BSONDocument { builder in
            builder.append("_id", "keys")
            builder.append("checked_at", date_ms: report.time.milliseconds)
            builder.append("count", int64: Int64(report.count))
            builder.append("named", array: Array(report.named.prefix(Report.namedLimit)))
        }
        _ = try pool.withClient { (client) throws(MongoFailure) in
            try client.bulkWrite(
                [.replace(filter: Self.reportFilter, with: document, upsert: true)], to: findingNames)
        }
    }

    /// The report of the last look; nil when there was none.
    package func report() throws -> Report? {
        try pool.withClient { (client) throws(MongoFailure) in
            try client.findOne(
                MongoFind(filter: Self.reportFilter), in: findingNames, passingOver: ForeignDocuments()
            ) { (fields) throws(BSONError) in
                Report(
                    time: try fields.time("checked_at"), count: try fields.count("count"),
                    named: try fields.strings("named"))
            }
        }
    }
}

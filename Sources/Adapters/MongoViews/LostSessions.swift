internal import Base
package import EventSourcing
internal import Recording

/// The newest event of a session that the read models contain.
package struct ShownSession: Sendable, Hashable {
    /// The session.
    package var sessionID: String
    /// Sequence of that event.
    package var version: UInt64
    /// Where it stood in the log.
    package var position: LogPosition
}

/// After the log has lost events of a partition: what the read models took from them.
extension MongoReadModels {
    /// The sessions of a partition that are shown, each with its newest event. Reads all of them; memory
    /// grows with their number.
    package func sessions(ofPartition partition: Int) throws -> [ShownSession] {
        let filter = BSONDocument { builder in
            builder.append("log_position") {
                $0.append("$regex", "^\(LogPosition.partitionName(partition))/")
            }
        }
        var query = MongoFind(filter: filter)
        query.projection = BSONDocument { builder in
            for name in ["session_id", "version", "log_position"] { builder.append(name, int32: 1) }
        }
        var newest: [String: ShownSession] = [:]
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            // A projector that died while it wrote may have left any of them ahead of the others.
            for name in [collections.sessions, collections.chunks, collections.pipeline] {
                let found = try wrap { () throws(MongoFailure) in
                    try client.find(query, in: name, passingOver: foreign) { (fields) throws(BSONError) in
                        ShownSession(
                            sessionID: try fields.string("session_id"),
                            version: UInt64(clamping: try fields.int("version")),
                            position: try fields.position("log_position"))
                    }
                }
                for session in found
                where newest[session.sessionID].map({ $0.version < session.version }) ?? true {
                    newest[session.sessionID] = session
                }
            }
        }
        return newest.values.sorted { $0.sessionID < $1.sessionID }
    }

    /// The sessions of a partition that are shown as held, each with the cases that hold it.
    package func heldSessions(ofPartition partition: Int) throws -> [String: [String]] {
        var query = MongoFind(hint: Collections.foldsByHold)
        query.filter = BSONDocument { builder in
            builder.append("is_held", true)
            builder.append("session.log_position") {
                $0.append("$regex", "^\(LogPosition.partitionName(partition))/")
            }
        }
        let sessions = try queries.find(query, in: collections.folds) { (fields) throws(BSONError) in
            try SessionView(try fields.document("session"))
        }
        return Dictionary(
            sessions.map { ($0.sessionID, $0.holds.map(\.caseName)) }, uniquingKeysWith: { $1 })
    }

    /// The records of who did what that are shown of a partition, each with its place in the log, in the
    /// log's order. Reads all of them; memory grows with their number.
    package func auditRecords(
        ofPartition partition: Int
    ) throws -> [(auditID: String, position: LogPosition)] {
        var query = MongoFind(
            filter: BSONDocument { builder in
                builder.append("log_position") {
                    $0.append("$regex", "^\(LogPosition.partitionName(partition))/")
                }
            })
        query.projection = BSONDocument { builder in
            for name in ["audit_id", "log_position"] { builder.append(name, int32: 1) }
        }
        return try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try wrap { () throws(MongoFailure) in
                try client.find(query, in: collections.audit, passingOver: foreign) {
                    (fields) throws(BSONError) in
                    (
                        auditID: try fields.string("audit_id"),
                        position: try fields.position("log_position")
                    )
                }
            }
        }.sorted { $0.position < $1.position }
    }

    /// Removes records of who did what whose events the log has lost.
    package func removeAuditRecords(_ auditIDs: [String]) throws {
        if auditIDs.isEmpty { return }
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try wrap { () throws(MongoFailure) in
                try client.deleteAll(collections.audit, "audit_id", among: auditIDs)
            }
        }
    }

    /// Removes sessions of a partition from the read models, and lets the projector read the partition again
    /// from its start: those of them that are in the log come back as the log has them. What is there
    /// already is passed over.
    /// - Parameter end: the last event of the partition.
    package func startOver(partition: Int, upTo end: LogPosition, without sessions: [String]) throws {
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            // Projectors forget what they keep in memory before they write again.
            let forgetting = BSONDocument { builder in
                builder.append("$set") {
                    $0.append("generation", "lift-\(ULID.make(at: SystemClock().now()))")
                }
            }
            let marker = BSONDocument { $0.append("_id", Checkpoints.markerID) }
            let checkpoint = BSONDocument {
                $0.append("_id", "\(Self.subscription.name)/\(LogPosition.partitionName(partition))")
            }
            // What is counted begins anew, too, and lacks something until it has come to the log's end.
            var totals = PartitionTotals(of: partition)
            totals.wholeFrom = end
            let lineage = try wrap { () throws(MongoFailure) in
                try Checkpoints(collections: collections, epoch: "").lineage(client)
            }
            let start = BSONDocument { builder in
                builder.append("$set") { builder in
                    builder.append("position", LogPosition.start(of: partition).description)
                    builder.append("totals") { builder in
                        totals.append(to: &builder, lineage: lineage)
                    }
                }
            }
            try wrap { () throws(MongoFailure) in
                _ = try client.bulkWrite(
                    [.update(filter: marker, with: forgetting, upsert: false)], to: collections.checkpoints)
                // Who did what stands in partitions of its own keys, and is no part of a session.
                let documents = collections.documents.filter { $0 != collections.audit }
                for name in documents where !sessions.isEmpty {
                    try client.deleteAll(name, "session_id", among: sessions)
                }
                _ = try client.bulkWrite(
                    [.update(filter: checkpoint, with: start, upsert: false)], to: collections.checkpoints)
            }
        }
    }
}

extension MongoClient {
    /// Keys of one command.
    private static let keysPerDelete = 1_000

    /// Removes every document whose field is one of some values, acknowledged by a majority.
    fileprivate func deleteAll(
        _ name: MongoNamespace, _ field: String, among values: [String]
    ) throws(MongoFailure) {
        for start in stride(from: 0, to: values.count, by: Self.keysPerDelete) {
            let part = Array(values[start..<min(start + Self.keysPerDelete, values.count)])
            let request = BSONDocument { builder in
                builder.append("delete", name.collection)
                builder.append("deletes", array: [part]) { builder, key, part in
                    builder.append(key) { builder in
                        builder.append("q") { query in
                            query.append(field) { $0.append("$in", array: part) }
                        }
                        builder.append("limit", int32: 0)
                    }
                }
                appendDurability(to: &builder)
            }
            _ = try command(request, operation: "delete", on: name)
        }
    }
}

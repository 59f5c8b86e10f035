internal import Base
package import EventSourcing
internal import ReadModels

/// The newest event of a history that the read models contain.
package struct ShownHistory: Sendable, Hashable {
    /// The history's partition key.
    package var partitionKey: String
    /// Sequence of that event.
    package var version: UInt64
    /// Where it stood in the log.
    package var position: LogPosition
}

/// After the log has lost events of a partition: what the read models took from them.
extension MongoReadModels {
    /// The histories of a partition that are shown, each with its newest event. Reads all of them; memory
    /// grows with their number.
    package func histories(ofPartition partition: Int) throws -> [ShownHistory] {
        var newest: [String: ShownHistory] = [:]
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            // A projector that died while it wrote may have left any of them ahead of the others.
            for (name, collection) in zip(collections.documents, collections.declarations)
            where !collection.isInternal {
                guard let history = collection.history else { continue }
                var query = MongoFind(filter: Self.filter(ofPartition: partition, collection))
                query.projection = BSONDocument { builder in
                    for field in [history, "version", collection.position] { builder.append(field, int32: 1) }
                }
                let found = try wrap { () throws(MongoFailure) in
                    try client.find(query, in: name, passingOver: foreign) { (fields) throws(BSONError) in
                        ShownHistory(
                            partitionKey: collection.category.key(of: try fields.string(history)),
                            version: UInt64(clamping: try fields.int("version")),
                            position: try fields.position(collection.position))
                    }
                }
                for shown in found
                where newest[shown.partitionKey].map({ $0.version < shown.version }) ?? true {
                    newest[shown.partitionKey] = shown
                }
            }
        }
        return newest.values.sorted { $0.partitionKey < $1.partitionKey }
    }

    /// The documents of a partition in a collection of no history, each with its key and its place
    /// in the log, in the log's order. Reads all of them; memory grows with their number.
    package func records(
        ofPartition partition: Int, in collection: String
    ) throws -> [(key: String, position: LogPosition)] {
        guard let declaration = collections.declarations.first(where: { $0.name == collection }) else {
            return []
        }
        var query = MongoFind(filter: Self.filter(ofPartition: partition, declaration))
        query.projection = BSONDocument { builder in
            for field in [declaration.key, declaration.position] { builder.append(field, int32: 1) }
        }
        return try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try wrap { () throws(MongoFailure) in
                try client.find(query, in: collections[collection], passingOver: foreign) {
                    (fields) throws(BSONError) in
                    (key: try fields.string(declaration.key), position: try fields.position("log_position"))
                }
            }
        }.sorted { $0.position < $1.position }
    }

    private static func filter(ofPartition partition: Int, _ collection: CollectionDeclaration)
        -> BSONDocument
    {
        BSONDocument { builder in
            builder.append(collection.position) {
                $0.append("$regex", "^\(LogPosition.partitionName(partition))/")
            }
        }
    }

    /// Removes documents of a collection whose events the log has lost.
    package func remove(_ keys: [String], from collection: String) throws {
        guard !keys.isEmpty,
            let declaration = collections.declarations.first(where: { $0.name == collection })
        else { return }
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try wrap { () throws(MongoFailure) in
                try client.deleteAll(collections[collection], declaration.key, among: keys)
            }
        }
    }

    /// Removes histories of a partition from the read models, and lets the projector read the partition again
    /// from its start: those of them that are in the log come back as the log has them. What is there
    /// already is passed over.
    /// - Parameters:
    ///   - end: the last event of the partition.
    ///   - histories: partition keys of those that are removed.
    package func startOver(partition: Int, upTo end: LogPosition, without histories: [String]) throws {
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
            let names = collections.views.totals?.names
            let start = BSONDocument { builder in
                builder.append("$set") { builder in
                    builder.append("position", LogPosition.start(of: partition).description)
                    guard let names else { return }
                    builder.append("totals") { builder in
                        totals.append(to: &builder, names, lineage: lineage)
                    }
                }
            }
            try wrap { () throws(MongoFailure) in
                _ = try client.bulkWrite(
                    [.update(filter: marker, with: forgetting, upsert: false)], to: collections.checkpoints)
                for (name, collection) in zip(collections.documents, collections.declarations) {
                    // What belongs to no history is no part of one.
                    guard let history = collection.history else { continue }
                    let ids = histories.filter(collection.category.contains).map(collection.category.id)
                    try client.deleteAll(name, history, among: ids)
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

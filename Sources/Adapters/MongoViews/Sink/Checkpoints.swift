internal import Base
internal import EventSourcing
internal import ReadModels

/// How far subscriptions have come, kept in the database of the read models.
///
/// One more document, the marker, names the log that the read models are built from and this life of the
/// database. A checkpoint counts only in the life that it was saved in: after the database was dropped no
/// checkpoint can claim what is gone, not even one that was being saved meanwhile.
struct Checkpoints: Sendable {
    let collections: Collections
    /// Epoch of the log (`reel:meta`).
    let epoch: String
    /// Where documents are noted that are none of ours.
    var foreign = ForeignDocuments()

    static let markerID = "read-models"

    /// What a database is marked with whose documents are all as this version of the program makes them.
    /// In those of format 1 states may lack sums that were not known then, and nothing is counted; those of
    /// format 2 have other times, and lack fields.
    static let format: Int32 = 3

    /// What was found when a database was made ready.
    struct Preparation {
        /// The name of the database's present life.
        var instance: String
        /// What was not as it was left, in sentences: collections and indexes that are gone.
        var damage: [String]
    }

    /// Makes collections, indexes and marker where they are missing.
    func prepare(_ client: borrowing MongoClient) throws(ProjectionFailure) -> Preparation {
        // Another log's read models are left alone.
        let present = try instance(client)
        let integrity = CollectionIntegrity(collections)
        if let present {
            try RebuildMarker(collections).mend(client)
            return Preparation(instance: present, damage: try integrity.mend(client))
        }
        try integrity.create(client)
        let fresh = Self.freshInstance()
        let uuids = try integrity.uuids(client)
        let marker = BSONDocument { builder in
            builder.append("_id", Self.markerID)
            builder.append("format", int32: Self.format)
            builder.append("epoch", epoch)
            builder.append("instance", fresh)
            builder.append("created_at", date_ms: SystemClock().now().milliseconds)
            builder.append("uuids", uuids)
        }
        try wrap { () throws(MongoFailure) in
            // One that does not read says nothing, and would be in the way.
            try client.deleteOne(Self.spoiltMarker, in: collections.checkpoints)
            // Another projector may have been faster; then its marker counts.
            _ = try client.bulkWrite([.insert(marker)], to: collections.checkpoints)
        }
        guard let instance = try instance(client) else {
            throw ProjectionFailure.checkpointsLost(database: collections.database)
        }
        return Preparation(instance: instance, damage: [])
    }

    /// A marker whose names are none.
    private static let spoiltMarker = BSONDocument { builder in
        builder.append("_id", markerID)
        builder.append("$or", array: ["instance", "epoch"]) { builder, key, field in
            builder.append(key) { builder in
                builder.append(field) { $0.append("$not") { $0.append("$type", "string") } }
            }
        }
    }

    /// The database's present life, and the epoch of the log that it shows; nil when it has no marker.
    func marker(
        _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> (instance: String, epoch: String)? {
        let query = MongoFind(filter: BSONDocument { $0.append("_id", Self.markerID) })
        return try wrap { () throws(MongoFailure) in
            try client.findOne(query, in: collections.checkpoints, passingOver: foreign) {
                (fields) throws(BSONError) in
                (instance: try fields.string("instance"), epoch: try fields.string("epoch"))
            }
        }
    }

    /// The database's present life; nil when it has no marker.
    func instance(_ client: borrowing MongoClient) throws(ProjectionFailure) -> String? {
        guard let found = try marker(client) else { return nil }
        guard found.epoch == epoch else {
            throw .otherLog(database: collections.database, found: found.epoch, expected: epoch)
        }
        return found.instance
    }

    func load(
        _ subscription: String, instance: String, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> [Int: LogPosition] {
        let filter = BSONDocument { builder in
            builder.append("subscription", subscription)
            builder.append("instance", instance)
        }
        let positions = try wrap { () throws(MongoFailure) in
            // A checkpoint that does not read is none: its partition is gone through again.
            try client.find(MongoFind(filter: filter), in: collections.checkpoints, passingOver: foreign) {
                (fields) throws(BSONError) in try fields.position("position")
            }
        }
        return Dictionary(positions.map { ($0.partition, $0) }, uniquingKeysWith: max)
    }

    /// Writes the generations of a new owner into its partitions' checkpoints: from then on no earlier owner
    /// can move them, not even one that wakes up before the new one has saved anything.
    func claim(
        _ subscription: String, _ fences: [Fence], _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        let writes = fences.map { fence in
            let update = BSONDocument { builder in
                builder.append("$set") { fields in
                    fields.append("generation", int64: Int64(clamping: fence.generation))
                    fields.append("owner", fence.owner)
                }
            }
            let filter = Self.filter(subscription, fence.partition, fence)
            return MongoWrite.update(filter: filter, with: update, upsert: false)
        }
        _ = try wrap { () throws(MongoFailure) in
            try client.bulkWrite(writes, to: collections.checkpoints)
        }
        try requireUnfenced(subscription, fences, client)
    }

    private func requireUnfenced(
        _ subscription: String, _ fences: [Fence], _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        let filter = BSONDocument { builder in
            builder.append("subscription", subscription)
            builder.append("generation") { $0.append("$gt", int64: 0) }
        }
        let found = try wrap { () throws(MongoFailure) in
            try client.find(MongoFind(filter: filter), in: collections.checkpoints, passingOver: foreign) {
                (fields) throws(BSONError) in
                (partition: try fields.count("partition"), generation: try fields.int("generation"))
            }
        }
        let own = Dictionary(fences.map { ($0.partition, $0.generation) }, uniquingKeysWith: max)
        let refused = found.filter { found in
            own[found.partition].map { $0 < UInt64(clamping: found.generation) } ?? false
        }
        if !refused.isEmpty {
            throw .fenced(subscription: subscription, partitions: refused.map(\.partition).sorted())
        }
    }

    /// Finds a partition's checkpoint unless a later generation has it.
    private static func filter(_ subscription: String, _ partition: Int, _ fence: Fence?) -> BSONDocument {
        BSONDocument { builder in
            builder.append("_id", "\(subscription)/\(LogPosition.partitionName(partition))")
            guard let fence else { return }
            builder.append("generation") { condition in
                // Unlike "lower or equal" this holds where there is no generation yet, or no whole number.
                condition.append("$not") { builder in
                    builder.append("$gt", int64: Int64(clamping: fence.generation))
                    builder.append("$type", array: ["int", "long"])
                }
            }
        }
    }

    /// Saves positions, each unless a later generation than its fence has the partition, and makes sure
    /// that the database is still in the same life. The sums of these partitions stand in the same
    /// documents, so that both are of one moment.
    func save(
        _ subscription: String, _ positions: [LogPosition], with totals: ProjectedTotals? = nil,
        under fences: [Int: Fence] = [:], instance: String, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        let now = SystemClock().now()
        let names = collections.views.totals?.names
        let writes = positions.map { position in
            let fence = fences[position.partition]
            let document = BSONDocument { builder in
                builder.append("subscription", subscription)
                builder.append("partition", int32: Int32(clamping: position.partition))
                builder.append("position", position.description)
                builder.append("epoch", epoch)
                builder.append("instance", instance)
                builder.append("updated_at", date_ms: now.milliseconds)
                if let fence {
                    builder.append("generation", int64: Int64(clamping: fence.generation))
                    builder.append("owner", fence.owner)
                }
                if let totals, let names, let part = totals[position.partition] {
                    builder.append("totals") { part.append(to: &$0, names, lineage: totals.lineage) }
                }
            }
            let filter = Self.filter(subscription, position.partition, fence)
            return MongoWrite.replace(filter: filter, with: document, upsert: true)
        }
        let outcome = try wrap { () throws(MongoFailure) in
            try client.bulkWrite(writes, to: collections.checkpoints)
        }
        // A guard that does not match makes an upsert insert a second document of that id, and fail.
        if !outcome.duplicates.isEmpty {
            let partitions = outcome.duplicates.map { positions[$0].partition }
            throw .fenced(subscription: subscription, partitions: partitions.sorted())
        }
        guard try self.instance(client) == instance else {
            throw .checkpointsLost(database: collections.database)
        }
    }

    /// The sums of all partitions.
    func totals(
        _ subscription: String, instance: String, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> ProjectedTotals {
        do throws(MongoFailure) { return try projectedTotals(subscription, instance: instance, client) } catch
        {
            throw .database(error)
        }
    }

    /// What only building everything again can mend; nil when there is nothing, or no read models.
    /// - Parameter isQuick: whether only the marker is looked at, and not the sums.
    func shortcoming(
        _ subscription: String, isQuick: Bool, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> ReadModelShortcoming? {
        guard let life = try instance(client) else { return nil }
        let marker = MongoFind(filter: BSONDocument { $0.append("_id", Self.markerID) })
        let found = try wrap { () throws(MongoFailure) in
            try client.findOne(marker, in: collections.checkpoints) { (fields) throws(BSONError) in
                (
                    // What does not read was made by no version.
                    format: (try? fields.int("format")) ?? Int64(Self.format),
                    lost: (try? fields.strings("lost")) ?? []
                )
            }
        }
        if let found {
            if found.format < Int64(Self.format) { return .earlierFormat }
            // What other versions show is nothing that building it here could mend.
            let shown = Set(collections.documents.map(collections.plainName(of:)))
            let lost = found.lost.filter(shown.contains)
            if !lost.isEmpty {
                return .lostCollections(
                    lost.map {
                        MongoNamespace(database: collections.database, collection: $0).description
                    })
            }
        }
        if isQuick { return nil }
        if collections.views.totals == nil { return nil }
        let book = try totals(subscription, instance: life, client)
        return book.unknown.isEmpty ? nil : .unknownTotals(partitions: book.unknown.sorted())
    }

    /// Saves the sums of a partition alone, whose checkpoint stays, unless a later generation has it.
    func save(
        _ totals: PartitionTotals, of subscription: String, lineage: String, under fence: Fence?,
        _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        let partition = totals.position.partition
        guard let names = collections.views.totals?.names else { return }
        let update = BSONDocument { builder in
            builder.append("$set") { builder in
                builder.append("totals") { totals.append(to: &$0, names, lineage: lineage) }
            }
        }
        let filter = Self.filter(subscription, partition, fence)
        let outcome = try wrap { () throws(MongoFailure) in
            try client.bulkWrite(
                [.update(filter: filter, with: update, upsert: false)], to: collections.checkpoints)
        }
        guard outcome.matched > 0 else {
            throw .fenced(subscription: subscription, partitions: [partition])
        }
    }

    private static func freshInstance() -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// Runs database work inside a function that throws projection failures.
func wrap<Answer>(
    _ body: () throws(MongoFailure) -> Answer
) throws(ProjectionFailure) -> Answer {
    do { return try body() } catch { throw .database(error) }
}

package import EventSourcing
package import ReadModels

/// What the read models lack that only building all of them again can give them.
package enum ReadModelShortcoming: Sendable, Equatable, CustomStringConvertible {
    /// They were begun by an earlier version of the program, which did not keep all the sums of today.
    case earlierFormat
    /// These collections were dropped or renamed, or hold documents twice; what they hold now is short.
    case lostCollections([String])
    /// What these partitions add to the totals is not known; totals are right, but cost a walk over all
    /// documents.
    case unknownTotals(partitions: [Int])

    /// What it means.
    package var description: String {
        switch self {
        case .earlierFormat: "made by an earlier version: they lack what was not kept then"
        case .lostCollections(let names):
            names.joined(separator: ", ")
                + (names.count == 1 ? " was dropped or spoilt: it is" : " were dropped or spoilt: they are")
                + " built again from the log"
        case .unknownTotals(let partitions):
            "totals are not kept for "
                + partitions.map(LogPosition.partitionName).joined(separator: " ")
                + ": each question for them goes through all documents"
        }
    }
}

/// The read models in MongoDB: what builds them, and what asks them. May be shared by threads; whatever it
/// makes belongs to one thread, but for the queries.
package struct MongoReadModels: Sendable {
    let pool: MongoPool
    /// The collections that they are shown in.
    package let collections: Collections
    /// Documents that are not as Reel writes them, as far as somebody here has met them.
    package let foreign: ForeignDocuments

    /// The read models in a database of a deployment; connects to nothing yet.
    package init(
        _ pool: MongoPool, _ views: ViewSet, database: String = "reel",
        foreign: ForeignDocuments = ForeignDocuments()
    ) {
        self.pool = pool
        self.collections = Collections(views, database: database)
        self.foreign = foreign
    }

    /// The subscription that builds them.
    package static let subscription = Subscription("projector", .apart, parks: true, holdsBack: true)

    /// What builds them from the log, for the calling thread.
    /// - Parameters:
    ///   - name: name of its checkpoints.
    ///   - epoch: the log's epoch (`reel:meta`); read models of another log are refused.
    ///   - log: where a history is read again that has a gap in the read model. Without it a gap is thrown.
    package func projection(
        name: String = MongoReadModels.subscription.name, epoch: String, log: (any EventStore)? = nil,
        limits: MongoProjection.Limits = MongoProjection.Limits()
    ) -> MongoProjection {
        MongoProjection(
            name: name, pool: pool, collections: collections, epoch: epoch, log: log, limits: limits,
            foreign: foreign)
    }

    /// How far a projection has come, by partition, for those who look on: nothing is made, finished or
    /// claimed, and a replay that is under way is left alone. Empty when the database is new or was dropped,
    /// because what was in it is gone.
    /// - Parameters:
    ///   - epoch: the log's epoch (`reel:meta`); the progress of read models of another log is refused.
    ///   - name: name of the checkpoints.
    package func progress(
        epoch: String, name: String = MongoReadModels.subscription.name
    ) throws -> [Int: LogPosition] {
        let store = Checkpoints(collections: collections, epoch: epoch)
        return try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            guard let instance = try store.instance(client) else { return [:] }
            return try store.load(name, instance: instance, client)
        }
    }

    /// Epoch of the log that they show; nil while there are none.
    package func epoch() throws -> String? {
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try Checkpoints(collections: collections, epoch: "").marker(client)?.epoch
        }
    }

    /// Moves them to a database of their own, `<database>_before_<epoch>`, where they stay.
    /// - Returns: its name.
    package func setAside(epoch: String) throws -> String {
        let target = "\(collections.database)_before_\(epoch)"
        try pool.withClient { (client) throws(MongoFailure) in
            // The marker last: a move that was cut off is gone on with.
            for name in collections.documents + [collections.checkpoints] {
                _ = try client.rename(
                    name, to: MongoNamespace(database: target, collection: name.collection))
            }
        }
        return target
    }

    /// What they lack that only a rebuild of everything can give them; nil when there is nothing.
    /// - Parameter isQuick: whether the sums are left out, which takes one look at each partition.
    package func shortcoming(epoch: String, isQuick: Bool = false) throws -> ReadModelShortcoming? {
        let store = Checkpoints(collections: collections, epoch: epoch, foreign: foreign)
        return try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try store.shortcoming(Self.subscription.name, isQuick: isQuick, client)
        }
    }

    /// What builds them from the log beside those that are shown, for the calling thread.
    /// - Parameters:
    ///   - scope: which of them.
    ///   - epoch: the log's epoch (`reel:meta`); read models of another log are refused.
    ///   - log: where a history is read again that has a gap.
    ///   - programVersion: only the same version of the program goes on with an interrupted rebuild.
    ///   - worker: who rebuilds, for people: others who want to rebuild meanwhile are told.
    ///   - name: name of the checkpoints of those that are shown.
    package func rebuild(
        _ scope: RebuildScope, epoch: String, log: (any EventStore)?, programVersion: String, worker: String,
        name: String = MongoReadModels.subscription.name,
        limits: MongoProjection.Limits = MongoProjection.Limits()
    ) -> MongoRebuild {
        MongoRebuild(
            pool: pool, collections: collections, epoch: epoch, log: log, scope: scope,
            programVersion: programVersion, worker: worker, subscription: name, limits: limits,
            foreign: foreign)
    }

    /// What the queries of domains ask.
    package var documents: MongoDocuments {
        MongoDocuments(pool: pool, collections: collections, foreign: foreign)
    }

    /// Drops the database of the read models; running projections notice and build it again.
    package func drop() throws(MongoFailure) {
        try pool.withClient { (client) throws(MongoFailure) in
            try client.dropDatabase(collections.database)
        }
    }
}

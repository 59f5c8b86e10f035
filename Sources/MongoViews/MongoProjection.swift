public import EventSourcing
internal import Recording

/// Builds the read models `sessions`, `chunks` and `pipeline` from the log. One instance per thread; calls
/// block.
///
/// Effects are exact under redelivery, reordering of whole batches between partitions, crashes at any
/// point, and several owners of a partition at once: every document is written whole, guarded by the
/// session's sequence. After any failure the caller asks for `checkpoints()` and goes on from there.
public final class MongoProjection: Projection {
    /// Name of the subscription and its checkpoints.
    public let name: String
    /// Sessions that were read again from the log because the read model lacked a part of their history.
    /// Each one was a gap; 0 in a sound system.
    public private(set) var repairs = 0

    private let pool: MongoPool
    private let collections: Collections
    private let store: Checkpoints
    private let log: (any EventStore)?
    private var instance: String?
    private var folder: ProjectionFolder

    /// Limits of what one projection keeps in memory and sends at once.
    public struct Limits: Sendable {
        /// Sessions whose state is kept; up to twice as many at times.
        public var sessions = 4_000
        /// Chunks whose state is kept; up to twice as many at times.
        public var chunks = 20_000
        /// Keys of one query.
        public var keysPerQuery = 1_000

        /// The defaults.
        public init() {}
    }

    private let keysPerQuery: Int

    init(
        name: String, pool: MongoPool, collections: Collections, epoch: String, log: (any EventStore)?,
        limits: Limits
    ) {
        self.name = name
        self.pool = pool
        self.collections = collections
        self.store = Checkpoints(collections: collections, epoch: epoch)
        self.log = log
        self.folder = ProjectionFolder(sessionLimit: limits.sessions, chunkLimit: limits.chunks)
        self.keysPerQuery = max(1, limits.keysPerQuery)
    }

    /// Makes collections and indexes where they are missing, and answers how far this projection came.
    public func checkpoints() throws -> [Int: LogPosition] {
        try withClient { (client) throws(ProjectionFailure) in
            folder.forget()
            let instance = try store.prepare(client)
            self.instance = instance
            return try store.load(name, instance: instance, client)
        }
    }

    /// Whether the database is still the one that the checkpoints came from. A projection without new
    /// events asks this from time to time: nothing else would tell it that its database was dropped.
    public func isIntact() throws -> Bool {
        try withClient { (client) throws(ProjectionFailure) in
            let present = try store.instance(client)
            return present != nil && present == instance
        }
    }

    /// Applies events and then saves the last position of each partition among them.
    public func apply(_ events: [RecordedEvent]) throws {
        if events.isEmpty { return }
        try withClient { (client) throws(ProjectionFailure) in
            do throws(ProjectionFailure) {
                let instance: String
                if let present = self.instance {
                    instance = present
                } else {
                    instance = try store.prepare(client)
                    self.instance = instance
                }
                try foldAll(events, client)
                try write(client)
                try store.save(name, Self.ends(of: events), instance: instance, client)
                folder.finish()
            } catch {
                // What was written is not known; what is stored tells when it is loaded again.
                folder.forget()
                if case .checkpointsLost = error { instance = nil }
                throw error
            }
        }
    }

    private func withClient<Answer>(
        _ body: (borrowing MongoClient) throws(ProjectionFailure) -> Answer
    ) throws(ProjectionFailure) -> Answer {
        var answer: Result<Answer, ProjectionFailure>?
        try wrap { () throws(MongoFailure) in
            try pool.withClient { (client) throws(MongoFailure) in
                do throws(ProjectionFailure) { answer = .success(try body(client)) } catch {
                    answer = .failure(error)
                }
            }
        }
        guard let answer else { preconditionFailure("withClient runs its body or throws") }
        return try answer.get()
    }

    // MARK: - Folding

    private func foldAll(
        _ events: [RecordedEvent], _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        let missing = folder.begin(events)
        for fold in try load(
            missing.sessions, by: "session_id", in: collections.folds, client, SessionFold.init)
        {
            folder.adopt(fold)
        }
        for chunk in try load(missing.chunks, by: "chunk_id", in: collections.chunks, client, ChunkView.init)
        {
            folder.adopt(chunk)
        }
        for event in events {
            do throws(ProjectionFailure) {
                try folder.fold(event)
            } catch {
                guard error.isRepairable else { throw error }
                // In a dropped database every session has a gap; that is then the failure to name.
                guard try store.instance(client) == instance else {
                    throw .checkpointsLost(database: collections.database)
                }
                guard let log else { throw error }
                try repair(event, from: log)
            }
        }
    }

    /// Reads a session again from its first event. The events of the batch that it brings along are then
    /// known and have no further effect.
    private func repair(_ event: RecordedEvent, from log: any EventStore) throws(ProjectionFailure) {
        var last: UInt64 = 0
        while last < event.sequence {
            let page: [RecordedEvent]
            do { page = try log.load(event.partitionKey, after: last, limit: 500) } catch {
                throw .log(error)
            }
            for event in page { try folder.fold(event) }
            guard let end = page.last else {
                throw .gap(
                    sessionID: event.partitionKey, contained: last, given: event.sequence,
                    position: event.position)
            }
            last = end.sequence
        }
        repairs += 1
    }

    private func load<Model>(
        _ keys: [String], by keyName: String, in name: MongoNamespace, _ client: borrowing MongoClient,
        _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(ProjectionFailure) -> [Model] {
        var models: [Model] = []
        for start in stride(from: 0, to: keys.count, by: keysPerQuery) {
            let part = Array(keys[start..<min(start + keysPerQuery, keys.count)])
            let filter = BSONDocument { builder in
                builder.append(keyName) { $0.append("$in", array: part) }
            }
            models += try wrap { () throws(MongoFailure) in
                try client.find(MongoFind(filter: filter), in: name, decode)
            }
        }
        return models
    }

    // MARK: - Writing

    /// Writes what the batch touched; the folds last, so that whatever a stored fold contains was stored
    /// in the other collections before.
    private func write(_ client: borrowing MongoClient) throws(ProjectionFailure) {
        let folds = folder.touchedFolds
        let sessions = folds.map { Self.document($0, BSONDocument($0.model.session)) }
        let pipelines = folds.map { Self.document($0, BSONDocument($0.model.pipeline.view)) }
        let kept = folds.map { Self.document($0, BSONDocument($0.model)) }
        let chunks = folder.touchedChunks.map { state in
            VersionedDocument(
                keyName: "chunk_id", key: state.model.chunkID, version: state.model.version,
                document: BSONDocument(state.model), isNew: state.isNew)
        }
        try wrap { () throws(MongoFailure) in
            try client.store(chunks, in: collections.chunks)
            try client.store(pipelines, in: collections.pipeline)
            try client.store(sessions, in: collections.sessions)
            try client.store(kept, in: collections.folds)
        }
    }

    private static func document(
        _ state: Projected<SessionFold>, _ document: BSONDocument
    ) -> VersionedDocument {
        VersionedDocument(
            keyName: "session_id", key: state.model.sessionID, version: state.model.version,
            document: document, isNew: state.isNew)
    }

    private static func ends(of events: [RecordedEvent]) -> [LogPosition] {
        var ends: [Int: LogPosition] = [:]
        for event in events {
            let position = event.position
            ends[position.partition] = max(ends[position.partition] ?? position, position)
        }
        return Array(ends.values)
    }
}

extension ProjectionFailure {
    /// Whether reading the session again from the log can help.
    fileprivate var isRepairable: Bool {
        switch self {
        case .gap, .unknownChunk: true
        case .malformed, .checkpointsLost, .otherLog, .database, .log: false
        }
    }
}

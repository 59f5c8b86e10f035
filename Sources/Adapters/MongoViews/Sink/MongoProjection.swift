package import EventSourcing
package import ReadModels

/// Builds the read models of all views from the log. One instance per thread; calls block.
///
/// Effects are exact under redelivery, reordering of whole batches between partitions, crashes at any
/// point, and several owners of a partition at once: every document is written whole, guarded by the
/// sequence of its history. After any failure the caller asks for `checkpoints()` and goes on from there.
package final class MongoProjection: ResumableProjection {
    /// Name of the subscription and its checkpoints.
    package let name: String
    /// Histories that were read again from the log because the read model lacked a part of them.
    /// Each one was a gap; 0 in a sound system.
    package private(set) var repairs = 0

    private let pool: MongoPool
    private let collections: Collections
    private let store: Checkpoints
    private let log: (any EventStore)?
    private var instance: String?
    /// When collections and indexes are looked at next.
    private var nextLook = ContinuousClock.now
    private var fences: [Int: Fence] = [:]
    private var generation = ""
    private let folder: ProjectionFolder

    /// Limits of what one projection keeps in memory and sends at once.
    package struct Limits: Sendable {
        /// States that are kept in memory.
        package var states = FolderLimits()
        /// Keys of one query.
        package var keysPerQuery = 1_000
        /// Batches of at least so many events are taken for catching up: their effects may be written
        /// together with those of the next batches, while the next ones are folded already.
        package var catchUpBatch = 2_000
        /// The most events whose effects wait to be written while catching up. With 0 every `apply` has
        /// written everything when it returns. With more, whoever calls has to call `apply([])` when
        /// there are no events, which writes what waits.
        package var eventsHeld = 0
        /// Milliseconds between two looks whether collections and indexes are still there.
        package var lookMilliseconds = 2_000

        /// The defaults.
        package init() {}
    }

    private let limits: Limits
    private let foreign: ForeignDocuments
    private var heldEnds: [Int: LogPosition] = [:]
    private var heldEvents = 0
    private var running: BackgroundWrite?

    init(
        name: String, pool: MongoPool, collections: Collections, epoch: String, log: (any EventStore)?,
        limits: Limits, foreign: ForeignDocuments
    ) {
        self.name = name
        self.pool = pool
        self.collections = collections
        self.store = Checkpoints(collections: collections, epoch: epoch, foreign: foreign)
        self.log = log
        self.folder = ProjectionFolder(collections.views, limits.states, readsHistories: log != nil)
        self.limits = limits
        self.foreign = foreign
    }

    deinit {
        // Its outcome matters to nobody any more; whoever goes on does so from the checkpoints.
        try? running?.join()
    }

    /// Makes collections and indexes where they are missing, and answers how far this projection came.
    package func checkpoints() throws -> [Int: LogPosition] {
        forget()
        return try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            let marker = RebuildMarker(collections)
            try marker.finishAbandoned(client)
            let prepared = try store.prepare(client)
            // Said once: it was noted what has to be built again, and the next call finds nothing amiss.
            if !prepared.damage.isEmpty { throw .damaged(prepared.damage) }
            let instance = prepared.instance
            self.instance = instance
            nextLook = .now + .milliseconds(limits.lookMilliseconds)
            if !fences.isEmpty { try store.claim(name, Array(fences.values), client) }
            generation = try marker.state(client).generation
            if collections.views.totals != nil {
                folder.totals = try store.totals(name, instance: instance, client)
            }
            return try store.load(name, instance: instance, client)
        }
    }

    /// What is saved from now on is fenced by these generations; `checkpoints()` has to be called next.
    package func own(_ fences: [Fence]) {
        forget()
        self.fences = Dictionary(fences.map { ($0.partition, $0) }, uniquingKeysWith: { $1 })
    }

    /// Whether the database is still the one that the checkpoints came from.
    package func isIntact() throws -> Bool {
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            let present = try store.instance(client)
            return present != nil && present == instance
        }
    }

    /// Applies events and then saves the last position of each partition among them. Without events,
    /// writes what waits, and throws when the database has been dropped: a projection that waits for
    /// events is to be called so from time to time, since nothing else would tell it.
    ///
    /// `checkpoints()` has to be called before the first events and after every failure.
    package func apply(_ events: [RecordedEvent]) throws {
        do throws(ProjectionFailure) {
            try look()
            if events.isEmpty { return try idle() }
            try take(events)
            if events.count >= limits.catchUpBatch, limits.eventsHeld > 0 {
                if heldEvents >= limits.eventsHeld { try writeBehind() }
            } else {
                try writeNow()
            }
        } catch {
            // What was written is not known; what is stored tells when it is loaded again.
            forget()
            if case .checkpointsLost = error { instance = nil }
            throw error
        }
    }

    /// Lets the checkpoints pass events that were left out.
    package func pass(_ ends: [LogPosition]) {
        for end in ends {
            heldEnds[end.partition] = end
            folder.totals?.pass(end)
        }
        heldEvents += ends.count
    }

    /// Applies and writes events of one history that was left out; checkpoints move by `apply` alone.
    package func resume(_ events: [RecordedEvent]) throws {
        do throws(ProjectionFailure) {
            guard let life = instance else { throw .checkpointsLost(database: collections.database) }
            guard let first = events.first else { return }
            // Nothing of other histories waits to be written then.
            if heldEvents > 0 { try writeNow() }
            try pool.withProjectionClient { (client) throws(ProjectionFailure) in
                try resume(events, of: first.partitionKey, first.position.partition, life, client)
            }
        } catch {
            forget()
            throw error
        }
    }

    /// Those among the events that can't be understood, whatever was applied before them.
    package func malformed(among events: [RecordedEvent]) -> [any EventFailure] {
        collections.views.malformed(among: events).map { ProjectionFailure.fold($0) }
    }

    /// The history's documents and the sums cannot be written together: until both are, the sums say up to
    /// where they contain the history.
    private func resume(
        _ events: [RecordedEvent], of history: String, _ partition: Int, _ life: String,
        _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        try recallTotals(life, client)
        folder.forgetStates()
        folder.isResuming = true
        defer { folder.isResuming = false }
        let counted = collections.views.totals.flatMap { totals in
            let category = totals.collection.category
            return category.contains(history) ? (totals: totals, id: category.id(of: history)) : nil
        }
        if let counted, var part = folder.totals?[partition], part.behind[counted.id] == nil {
            part.behind[counted.id] = try storedVersion(counted.id, counted.totals, client)
            folder.totals?.known[partition] = part
        }
        let before = folder.totals
        try foldAll(events, life, client)
        if counted != nil, let before, let part = before[partition] {
            try store.save(part, of: name, lineage: before.lineage, under: fences[partition], client)
        }
        let reached = folder.touchedVersion(of: history)
        if let write = nextWrite() {
            try finishRunning()
            try write.perform(client)
        }
        if let counted, let book = folder.totals, var part = book[partition] {
            // What stands behind the checkpoint is counted when it comes by itself.
            if part.behind[counted.id] == reached { part.behind[counted.id] = nil }
            folder.totals?.known[partition] = part
            try store.save(part, of: name, lineage: book.lineage, under: fences[partition], client)
        }
        folder.forgetStates()
    }

    /// How far the stored document of a history has come; 0 where there is none that reads.
    private func storedVersion(
        _ id: String, _ totals: TotalsDeclaration, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> UInt64 {
        let query = MongoFind(filter: BSONDocument { $0.append(totals.collection.key, id) })
        let found = try wrap { () throws(MongoFailure) in
            try client.findOne(
                query, in: collections[totals.collection.name], passingOver: foreign, totals.stored)
        }
        return found?.version ?? 0
    }

    /// After a failure the sums are those that are stored.
    private func recallTotals(
        _ life: String, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        guard folder.totals == nil, collections.views.totals != nil else { return }
        folder.totals = try store.totals(name, instance: life, client)
        for end in heldEnds.values { folder.totals?.pass(end) }
    }

    private func take(_ events: [RecordedEvent]) throws(ProjectionFailure) {
        // Without asking where to begin, a projection could save a checkpoint behind what it never saw.
        guard let life = instance else { throw .checkpointsLost(database: collections.database) }
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try foldAll(events, life, client)
        }
        heldEvents += events.count
        for event in events { heldEnds[event.position.partition] = event.position }
    }

    /// Looks now and then whether everything is there that is written to. Somebody may have dropped it: the
    /// server would make it again with the next write, short and without indexes.
    private func look() throws(ProjectionFailure) {
        guard instance != nil, ContinuousClock.now >= nextLook else { return }
        let damage = try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try CollectionIntegrity(collections).mend(client)
        }
        nextLook = .now + .milliseconds(limits.lookMilliseconds)
        if !damage.isEmpty { throw .damaged(damage) }
    }

    private func idle() throws(ProjectionFailure) {
        if heldEvents > 0 { try writeNow() }
        try finishRunning()
        guard let instance else { return }
        let present = try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try store.instance(client)
        }
        guard present == instance else { throw .checkpointsLost(database: collections.database) }
    }

    private func forget() {
        // A write that failed is no news here, and one that did not is seen when its documents are loaded.
        try? finishRunning()
        folder.forget()
        heldEnds = [:]
        heldEvents = 0
    }

    // MARK: - Folding

    private func foldAll(
        _ events: [RecordedEvent], _ life: String, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        let log = log
        try recallTotals(life, client)
        repairs += try folder.take(events) { (requests) throws(ProjectionFailure) in
            // What is loaded must contain what is being written.
            try finishRunning()
            for request in requests { try load(request, client) }
        } history: { (gap, event, sequence) throws(ProjectionFailure) in
            // In a dropped database every history has a gap; that is then the failure to name.
            if sequence == 0, try store.instance(client) != life {
                throw .checkpointsLost(database: collections.database)
            }
            guard let log else { throw .fold(gap) }
            do throws(LogFailure) {
                // No further than the event: what comes behind may be what nobody can read.
                let due = event.sequence - sequence
                return try log.load(event.partitionKey, after: sequence, limit: Int(min(due, 500)))
            } catch {
                guard error.kind == .unreadable else { throw .log(error) }
                throw .unreadable(error, history: event.partitionKey, position: event.position)
            }
        } failure: {
            .fold($0)
        }
    }

    private func load(
        _ request: StateRequest, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        let keys = request.keys
        for start in stride(from: 0, to: keys.count, by: limits.keysPerQuery) {
            let part = Array(keys[start..<min(start + limits.keysPerQuery, keys.count)])
            let filter = BSONDocument { builder in
                builder.append(request.collection.key) { $0.append("$in", array: part) }
            }
            // What does not read counts as missing: the history is read again, and written over it.
            _ = try wrap { () throws(MongoFailure) in
                try client.find(
                    MongoFind(filter: filter), in: collections[request.collection.name],
                    passingOver: foreign, request.take)
            }
        }
    }

    // MARK: - Writing

    private func writeNow() throws(ProjectionFailure) {
        if folder.totals == nil, let instance {
            try pool.withProjectionClient { (client) throws(ProjectionFailure) in
                try recallTotals(instance, client)
            }
        }
        guard let write = nextWrite() else { return }
        try finishRunning()
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in try write.perform(client) }
    }

    /// Writes while the next events are folded. One write at a time: their order is what makes a stored
    /// checkpoint true.
    private func writeBehind() throws(ProjectionFailure) {
        guard let write = nextWrite() else { return }
        try finishRunning()
        let pool = pool
        running = BackgroundWrite { () throws(ProjectionFailure) in
            try pool.withProjectionClient { (client) throws(ProjectionFailure) in try write.perform(client) }
        }
    }

    private func finishRunning() throws(ProjectionFailure) {
        let write = running
        running = nil
        try write?.join()
    }

    private func nextWrite() -> ProjectionWrite? {
        guard let instance else { return nil }
        let write = ProjectionWrite(
            views: folder.writes(), ends: Array(heldEnds.values), totals: folder.totals,
            subscription: name, fences: fences, instance: instance, generation: generation, store: store)
        folder.finish()
        heldEnds = [:]
        heldEvents = 0
        return write
    }
}

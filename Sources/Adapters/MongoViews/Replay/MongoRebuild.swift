package import EventSourcing
package import ReadModels

/// Read models that are built beside those that are shown, in collections of the same database whose names
/// begin with `replay_` and the rebuild's id, and then take their place. One instance per thread; calls
/// block.
///
/// Built by the same projection with the same guards, so that a killed rebuild goes on from its own
/// checkpoints. The swap is described in ops/decisions/replay.md.
package final class MongoRebuild: ReadModelRebuild {
    /// Called with the number of documents that were compared so far.
    package var onCompared: (Int) -> Void = { _ in }
    /// Whether `begin` found work of an interrupted rebuild to go on with.
    package private(set) var isResumed = false

    private let pool: MongoPool
    private let shown: Collections
    private let epoch: String
    private let log: (any EventStore)?
    private let scope: RebuildScope
    private let programVersion: String
    private let subscription: String
    /// The document that says that this one runs.
    var lease: RebuildLease
    private let limits: MongoProjection.Limits
    private let foreign: ForeignDocuments
    private var work: Work?
    private var suspects: [Comparison.Suspect] = []
    /// Documents that could not be decided, for whose keys there was no room.
    private var overflow = 0
    private var progress: RebuildProgress?
    /// How often the lease is renewed at most.
    private static let renewal = Duration.milliseconds(1_500)

    /// What exists between `begin` and the end.
    private struct Work {
        let id: String
        let built: Collections
        let projection: MongoProjection
        let instance: String
        var until: [Int: LogPosition]
        var renewed = ContinuousClock.now
    }

    init(
        pool: MongoPool, collections: Collections, epoch: String, log: (any EventStore)?, scope: RebuildScope,
        programVersion: String, worker: String, subscription: String, limits: MongoProjection.Limits,
        foreign: ForeignDocuments
    ) {
        self.pool = pool
        self.shown = collections
        self.epoch = epoch
        self.log = log
        self.scope = scope
        self.programVersion = programVersion
        self.subscription = subscription
        self.limits = limits
        self.foreign = foreign
        self.lease = RebuildLease(collections: shown, owner: Self.randomID(), worker: worker)
    }

    /// Id of the rebuild, once it has begun: what its collections' names carry.
    package var id: String { work?.id ?? "" }

    private var history: String? {
        if case .history(let key) = scope { return key }
        return nil
    }

    /// Places, in the order of `Collections.documents`, of the collections that change. A state is what the
    /// projector goes on from, so that it belongs to whatever is folded from it.
    private var places: [Int] {
        let all = shown.declarations
        return switch scope {
        case .everything: Array(all.indices)
        case .history(let key): all.indices.filter { all[$0].isOfHistories && all[$0].category.contains(key) }
        case .collection(let name):
            all.indices.filter { place in
                all[place].name == name || all[place].name == shown.views.view(in: name)?.state?.name
            }
        }
    }

    /// Takes up what an interrupted rebuild of the same scope left, or begins afresh. Throws `.rebuilding`
    /// while another rebuild is running.
    package func begin() throws -> [Int: LogPosition] {
        let store = Checkpoints(collections: shown, epoch: epoch, foreign: foreign)
        let (built, instance) = try pool.withProjectionClient {
            (client) throws(ProjectionFailure) -> (Collections, String) in
            try RebuildMarker(shown).finishAbandoned(client)
            // Whatever is damaged among those that are shown, this replaces them.
            let instance = try store.prepare(client).instance
            try takeLease(client)
            try endAbandoned(client)
            var built = try choose(client)
            if try !isUsable(built, client) {
                try lease.note(nil, client)
                try takeLease(client)
                built = try choose(client)
                _ = try CollectionRules(from: shown, to: built).adopt(client)
            }
            return (built, instance)
        }
        let projection = MongoProjection(
            name: subscription, pool: pool, collections: built, epoch: epoch, log: log, limits: limits,
            foreign: foreign)
        let until = try projection.checkpoints()
        isResumed = !until.isEmpty
        work = Work(
            id: built.rebuild ?? "", built: built, projection: projection, instance: instance, until: until)
        return until
    }

    private func takeLease(_ client: borrowing MongoClient) throws(ProjectionFailure) {
        // Whoever had it may have given it back between the two looks.
        for _ in 0..<3 {
            if try lease.take(client) { return }
            if let holder = try lease.holder(client) { throw .rebuilding(holder) }
        }
        throw .held(by: "of another process")
    }

    /// Ends what a rebuild left that was killed while projectors were held: a swap that has begun is
    /// finished, and nobody waits any longer for one that has not.
    private func endAbandoned(_ client: borrowing MongoClient) throws(ProjectionFailure) {
        let marker = RebuildMarker(shown)
        let state = try marker.state(client)
        if let swap = state.swap {
            try marker.finish(swap, client)
        } else if let holder = state.holder {
            try marker.release(holder, client)
        }
    }

    /// The collections of the rebuild to go on with. What others left behind is dropped.
    private func choose(_ client: borrowing MongoClient) throws(ProjectionFailure) -> Collections {
        let plan = "\(programVersion) \(scope)"
        var run = try lease.run(client)
        if history != nil || run?.plan != plan { run = nil }
        // One that was put in place is over, whoever did it. Under its id projectors would not notice the
        // next swap, and a process that wakes up late would take what is built now for its own.
        if try run?.id == RebuildMarker(shown).state(client).generation { run = nil }
        let chosen = run ?? RebuildLease.Run(id: Self.randomID(), plan: plan)
        try lease.note(chosen, client)
        try wrap { () throws(MongoFailure) in
            let names = try client.collectionNames(
                in: shown.database, startingWith: Collections.rebuildPrefix)
            for rebuild in Set(names.compactMap { shown.rebuild(of: $0) }) where rebuild != chosen.id {
                try shown.built(by: rebuild).drop(client)
            }
        }
        return shown.built(by: chosen.id)
    }

    /// Makes the collections of a rebuild, or finds those of an interrupted one as they were left. False when
    /// somebody has changed them, or the rules of those that are shown.
    private func isUsable(
        _ built: Collections, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> Bool {
        let store = Checkpoints(collections: built, epoch: epoch, foreign: foreign)
        guard try CollectionRules(from: shown, to: built).adopt(client) else { return false }
        guard try store.instance(client) != nil else { return true }
        guard try store.prepare(client).damage.isEmpty else { return false }
        return try store.shortcoming(subscription, isQuick: true, client) == nil
    }

    /// Builds on with these events; without any, everything given so far is written when it returns.
    package func apply(_ events: [RecordedEvent]) throws {
        guard var work else { throw ProjectionFailure.checkpointsLost(database: shown.database) }
        try work.projection.apply(events)
        for event in events { work.until[event.position.partition] = event.position }
        self.work = work
        try keepLease()
    }

    /// Says how far it is, and that it is at work.
    package func note(_ progress: RebuildProgress) throws {
        // Another step is news.
        if progress.step != self.progress?.step { work?.renewed = .now - Self.renewal }
        self.progress = progress
        try keepLease()
    }

    /// What stands up to these positions and was not given is not built.
    package func pass(_ ends: [LogPosition]) {
        guard var work else { return }
        work.projection.pass(ends)
        for end in ends { work.until[end.partition] = end }
        self.work = work
    }

    /// Forgets what was not written, and answers up to where everything was.
    package func goBack() throws -> [Int: LogPosition] {
        guard var work else { throw ProjectionFailure.checkpointsLost(database: shown.database) }
        work.until = try work.projection.checkpoints()
        self.work = work
        return work.until
    }

    private func keepLease() throws(ProjectionFailure) {
        guard let work, ContinuousClock.now - work.renewed >= Self.renewal else { return }
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            if try lease.renew(progress, client) { return }
            if let holder = try lease.holder(client) { throw .rebuilding(holder) }
            throw .held(by: "of another process")
        }
        self.work?.renewed = .now
    }

    // MARK: - Comparing

    /// Compares document by document; what cannot be decided yet is kept for `settle`.
    package func compare() throws -> ReadModelComparison {
        guard let work else { throw ProjectionFailure.checkpointsLost(database: shown.database) }
        let comparison = try pool.withProjectionClient {
            (client) throws(ProjectionFailure) -> Comparison in
            var comparison = Comparison(
                shown: shown, built: work.built, history: history,
                shownUntil: try shownUntil(client), builtUntil: work.until)
            for place in places {
                try comparison.compare(place, client) { (count) throws(ProjectionFailure) in
                    onCompared(count)
                    try keepLease()
                }
            }
            if history == nil, !Set(places).isDisjoint(with: shown.summed) {
                comparison.compareTotals(try sums(in: shown, client), try sums(in: work.built, client))
            }
            return comparison
        }
        suspects = comparison.suspects
        var result = comparison.result
        overflow = result.unsettled
        result.unsettled += suspects.count
        return result
    }

    private func sums(
        in collections: Collections, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> ProjectedTotals {
        let store = Checkpoints(collections: collections, epoch: epoch)
        guard let instance = try store.instance(client) else {
            throw .checkpointsLost(database: shown.database)
        }
        return try store.totals(subscription, instance: instance, client)
    }

    /// Whether what is shown lacks what only a rebuild of everything can give it, whatever it says.
    package func isDue() throws -> Bool {
        guard scope == .everything else { return false }
        return try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try Checkpoints(collections: shown, epoch: epoch)
                .shortcoming(subscription, isQuick: false, client) != nil
        }
    }

    private func shownUntil(_ client: borrowing MongoClient) throws(ProjectionFailure) -> [Int: LogPosition] {
        let store = Checkpoints(collections: shown, epoch: epoch)
        guard let work else { return [:] }
        return try store.load(subscription, instance: work.instance, client)
    }

    /// Looks again at what could not be decided; only what it finds out is in its answer.
    package func settle() throws -> ReadModelComparison {
        guard let work else { throw ProjectionFailure.checkpointsLost(database: shown.database) }
        var result = ReadModelComparison()
        var open: [Comparison.Suspect] = []
        try keepLease()
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            let shownUntil = try shownUntil(client)
            for var suspect in suspects {
                let seen = try document(suspect, in: shown, client)
                let expected = try document(suspect, in: work.built, client)
                var verdict = Comparison.verdict(
                    seen, expected, shownUntil: shownUntil, builtUntil: work.until)
                let version = seen?.version ?? -1
                if verdict == .open, let seen, version == suspect.seenVersion,
                    version > expected?.version ?? -1
                {
                    // It was there before everything that stood in the log was applied, and the log has
                    // nothing that could have made it.
                    verdict = .differ(
                        expected.map { .changed(ComparedDocument.changes(seen.bytes, $0.bytes)) } ?? .extra)
                }
                switch verdict {
                case .equal: break
                case .differ(let kind):
                    if let seen, seen.version > expected?.version ?? -1 { result.ahead += 1 }
                    result.add(
                        ReadModelDifference(
                            collection: shown.documents[suspect.place].collection, key: suspect.key, kind))
                case .open:
                    suspect.seenVersion = version
                    open.append(suspect)
                }
            }
        }
        suspects = open
        result.unsettled = open.count + overflow
        return result
    }

    private func document(
        _ suspect: Comparison.Suspect, in collections: Collections, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> ComparedDocument? {
        let name = collections.documents[suspect.place]
        let collection = collections.declarations[suspect.place]
        var query = MongoFind(filter: BSONDocument { $0.append(collection.key, suspect.key) })
        query.projection = ComparedDocument.projection
        query.limit = 1
        do {
            let cursor = try client.stream(query, in: name)
            guard let found = try cursor.next() else { return nil }
            return try ComparedDocument(found, of: collection)
        } catch let error as MongoFailure {
            throw .database(error)
        } catch {
            let target = MongoTarget(
                operation: "compare", collection: name.description, host: client.host)
            throw .database(MongoFailure("a document does not read", at: target))
        }
    }

    // MARK: - Ending

    /// From now on, for `milliseconds`, projectors write nothing that is not in the log already.
    package func hold(milliseconds: Int) throws {
        let id = id
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            // What can be done before costs nobody a wait.
            try adoptRules(client)
            guard try RebuildMarker(shown).hold(by: id, milliseconds: milliseconds, client) else {
                throw .held(by: "of another process")
            }
        }
    }

    /// Lets projectors go on.
    package func release() throws {
        let id = id
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try RebuildMarker(shown).release(id, client)
        }
    }

    /// Puts what was built in the place of what is shown. False when the hold had ended before.
    package func swap() throws -> Bool {
        guard let work else { throw ProjectionFailure.checkpointsLost(database: shown.database) }
        let marker = RebuildMarker(shown)
        let isDone = try pool.withProjectionClient { (client) throws(ProjectionFailure) -> Bool in
            if let history {
                return try HistorySwap(
                    shown: shown, built: work.built, places: places, history: history,
                    completion: marker.completion(of: work.id)
                ).perform(client)
            }
            try adoptRules(client)
            let swap = RebuildMarker.Swap(
                rebuild: work.id, collections: places.map { shown.documents[$0].collection })
            guard try marker.begin(swap, client) else { return false }
            try marker.finish(swap, client)
            return true
        }
        if isDone { try discard() }
        return isDone
    }

    /// Indexes that somebody has made or dropped meanwhile. One history is put among the documents that there
    /// are, under the rules that there are.
    private func adoptRules(_ client: borrowing MongoClient) throws(ProjectionFailure) {
        guard let work, history == nil else { return }
        try CollectionRules(from: shown, to: work.built).catchUp(places, client)
    }

    /// Throws away what was built.
    package func discard() throws {
        guard let work else { return }
        self.work = nil
        suspects = []
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try wrap { () throws(MongoFailure) in try work.built.drop(client) }
            try lease.note(nil, client)
        }
    }

    /// Leaves what was built for the next rebuild of the same scope.
    package func suspend() throws {
        guard work != nil else { return }
        work = nil
        try pool.withProjectionClient { (client) throws(ProjectionFailure) in try lease.giveBack(client) }
    }

    /// Sixteen hexadecimal digits; see `Collections.rebuild(of:)`.
    private static func randomID() -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

package import ReadModels
internal import Engine
internal import EventSourcing
package import MongoViews
internal import Pipeline
internal import Recording
package import RedisLog

/// The projection against its ceilings, on servers of its own.
package struct ProjectBenchmark {
    /// Events whose effects are written together, as in `reel replay`.
    static let eventsHeld = 20_000
    private static let rounds = 3

    let log: RedisEventLog
    let pool: MongoPool
    /// The read models that are made.
    let views: ViewSet
    /// Events to project, rounded up to whole sessions.
    let events: Int

    /// A benchmark on a log and a server of its own.
    package init(log: RedisEventLog, pool: MongoPool, views: ViewSet, events: Int) {
        (self.log, self.pool, self.views, self.events) = (log, pool, views, events)
    }

    /// All rates in events a second.
    package struct Result {
        /// Nothing measured yet.
        package init() {}
        /// Events that were projected.
        package var events = 0
        /// Documents that came of them.
        package var documents = 0
        /// Bytes of those.
        package var documentBytes = 0
        /// Read, folded and written, with checkpoints; the median of the rounds.
        package var rate = 0.0
        /// The same documents by bare bulk writes; the median of the rounds.
        package var ceiling = 0.0
        /// XRANGE on one connection, nothing decoded.
        package var plainRead = 0.0
        /// Read and decoded by the threads that a replay has.
        package var read = 0.0
        /// Folded to documents, nothing read or written.
        package var fold = 0.0
        /// The most memory that was resident while projecting, bytes.
        package var peakRSS: Int?

        /// What the projection reaches of the bare writes.
        package var ratio: Double { ceiling > 0 ? rate / ceiling : 0 }
    }

    /// Measures everything in turn. Blocks.
    /// - Parameter tell: told of every step.
    package func run(_ tell: (String) throws -> Void) throws -> Result {
        var result = Result()
        try tell("appending \(events) events …")
        result.events = try fill()
        try tell("reading …")
        result.plainRead = try rate(result.events) { _ = try log.plainRead(pageSize: ReadAhead.pageSize) }
        result.read = try rate(result.events) { try pages { _ in } }
        var rates: [Double] = []
        var ceilings: [Double] = []
        let ceiling = ProjectionCeiling(pool, views, eventsPerWrite: Self.eventsHeld)
        for round in 1...Self.rounds {
            try tell("projecting, round \(round) of \(Self.rounds) …")
            PeakMemory.reset()
            rates.append(try projection(round, result.events))
            if round == 1 {
                // From now on this process holds all documents itself.
                result.peakRSS = PeakMemory.bytes
                result.fold = try fold(result.events)
                try pages { try ceiling.take($0) }
                ceiling.finish()
            }
            let database = "reel_bench_bare_\(round)"
            try ceiling.prepare(database: database)
            ceilings.append(try rate(result.events) { try ceiling.write(database: database) })
            try MongoReadModels(pool, views, database: database).drop()
        }
        result.rate = rates.sorted()[Self.rounds / 2]
        result.ceiling = ceilings.sorted()[Self.rounds / 2]
        result.documents = ceiling.documents
        result.documentBytes = ceiling.bytes
        return result
    }

    private func projection(_ round: Int, _ events: Int) throws -> Double {
        let models = MongoReadModels(pool, views, database: "reel_bench_\(round)")
        var limits = MongoProjection.Limits()
        limits.catchUpBatch = 1
        limits.eventsHeld = Self.eventsHeld
        let projection = models.projection(epoch: log.epoch, log: try log.open(), limits: limits)
        _ = try projection.checkpoints()
        let rate = try rate(events) {
            try pages { try projection.apply($0) }
            try projection.apply([])
        }
        try models.drop()
        return rate
    }

    private func fold(_ events: Int) throws -> Double {
        // Reading takes its own time, which is not to be counted.
        let clock = ContinuousClock()
        var spent = Duration.zero
        let folder = ProjectionCeiling(pool, views, eventsPerWrite: Self.eventsHeld)
        try pages { page in spent += try clock.measure { try folder.take(page, keeping: false) } }
        spent += clock.measure { folder.finish() }
        return Double(events) / max(spent / .seconds(1), 1e-9)
    }

    private func pages(_ body: ([RecordedEvent]) throws -> Void) throws {
        let store = try log.open()
        let ends = try (0..<log.partitioning.count).map { try store.end(of: $0) }
        let reader = try ReadAhead(log, after: [:], upTo: ends, threads: 2)
        while let page = try reader.nextPage() { try body(page.events) }
    }

    private func rate(_ events: Int, _ body: () throws -> Void) throws -> Double {
        let time = try ContinuousClock().measure(body)
        return Double(events) / max(time / .seconds(1), 1e-9)
    }

    // MARK: - The log

    private func fill() throws -> Int {
        let store = try log.open()
        var workload = SessionWorkload(events: events)
        while let batches = workload.next() { try SessionWorkload.append(batches, to: store) }
        return workload.made
    }
}

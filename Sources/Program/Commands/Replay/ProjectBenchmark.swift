import Engine
import EventSourcing
import MongoViews
import Pipeline
import Recording
import RedisLog

/// The projection against its ceilings, on servers of its own.
struct ProjectBenchmark {
    /// Events whose effects are written together, as in `reel replay`.
    static let eventsHeld = 20_000
    private static let rounds = 3

    let log: RedisEventLog
    let pool: MongoPool
    /// Events to project, rounded up to whole sessions.
    let events: Int

    /// All rates in events a second.
    struct Result {
        var events = 0
        var documents = 0
        var documentBytes = 0
        /// Read, folded and written, with checkpoints; the median of the rounds.
        var rate = 0.0
        /// The same documents by bare bulk writes; the median of the rounds.
        var ceiling = 0.0
        /// XRANGE on one connection, nothing decoded.
        var plainRead = 0.0
        /// Read and decoded by the threads that a replay has.
        var read = 0.0
        /// Folded to documents, nothing read or written.
        var fold = 0.0
        /// The most memory that was resident while projecting, bytes.
        var peakRSS: Int?

        var ratio: Double { ceiling > 0 ? rate / ceiling : 0 }
    }

    func run(_ tell: (String) throws -> Void) throws -> Result {
        var result = Result()
        try tell("appending \(events) events …")
        result.events = try fill()
        try tell("reading …")
        result.plainRead = try rate(result.events) { _ = try log.plainRead(pageSize: ReadAhead.pageSize) }
        result.read = try rate(result.events) { try pages { _ in } }
        var rates: [Double] = []
        var ceilings: [Double] = []
        let ceiling = ProjectionCeiling(pool, .all, eventsPerWrite: Self.eventsHeld)
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
            try MongoReadModels(pool, .all, database: database).drop()
        }
        result.rate = rates.sorted()[Self.rounds / 2]
        result.ceiling = ceilings.sorted()[Self.rounds / 2]
        result.documents = ceiling.documents
        result.documentBytes = ceiling.bytes
        return result
    }

    private func projection(_ round: Int, _ events: Int) throws -> Double {
        let models = MongoReadModels(pool, .all, database: "reel_bench_\(round)")
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
        let folder = ProjectionCeiling(pool, .all, eventsPerWrite: Self.eventsHeld)
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

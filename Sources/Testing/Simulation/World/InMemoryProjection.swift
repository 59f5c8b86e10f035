internal import EventSourcing
internal import Recording

/// Builds the read models from the log with the fold of the real projection, and with its order of
/// writes: whole documents guarded by their version, the folds last, and then the checkpoints.
final class InMemoryProjection: ResumableProjection {
    static let subscription = "read-models"

    let name = InMemoryProjection.subscription
    private let database: ReadModelDatabase
    private let log: any EventStore
    private let process: SimulatedProcess
    private let poison: Poison
    // Small, so that states are dropped and loaded again.
    private var folder = ProjectionFolder(sessionLimit: 2, chunkLimit: 4)
    private var fences: [Int: Fence] = [:]
    private var ends: [Int: LogPosition] = [:]

    init(_ database: ReadModelDatabase, log: any EventStore, process: SimulatedProcess, poison: Poison) {
        self.database = database
        self.log = log
        self.process = process
        self.poison = poison
    }

    func own(_ fences: [Fence]) {
        forget()
        self.fences = Dictionary(fences.map { ($0.partition, $0) }, uniquingKeysWith: { $1 })
    }

    func checkpoints() throws -> [Int: LogPosition] {
        forget()
        for fence in fences.values.sorted(by: { $0.partition < $1.partition }) {
            try process.databaseStep("claim view checkpoint")
            try claim(fence)
        }
        try process.databaseStep("load view checkpoints")
        return database.checkpoints
    }

    private func claim(_ fence: Fence) throws(LogFailure) {
        let known = database.generations[fence.partition] ?? 0
        guard fence.generation >= known else {
            throw .fenced("save view checkpoint", fence.description, generation: known)
        }
        database.generations[fence.partition] = fence.generation
    }

    func apply(_ events: [RecordedEvent]) throws {
        do {
            try take(events)
            for event in events { ends[event.position.partition] = event.position }
            try write()
        } catch {
            forget()
            throw error
        }
    }

    func pass(_ ends: [LogPosition]) {
        for end in ends { self.ends[end.partition] = end }
    }

    func resume(_ events: [RecordedEvent]) throws {
        do {
            try take(events)
            try write()
        } catch {
            forget()
            throw error
        }
    }

    private func forget() {
        folder.forget()
        ends = [:]
    }

    private func take(_ events: [RecordedEvent]) throws {
        guard !events.isEmpty else { return }
        // An event that can't be understood ends the batch with nothing of it written.
        try poison.pass(name, events) { _ in }
        try process.databaseStep("load views")
        _ = try folder.take(events) { (sessions, chunks) throws(any Error) in
            (sessions.compactMap { database.folds[$0] }, chunks.compactMap { database.chunks[$0] })
        } history: { (_, event, sequence) throws(any Error) in
            let page = try log.load(event.partitionKey, after: sequence, limit: 500)
            try poison.pass(name, page.filter { $0.sequence <= event.sequence }) { _ in }
            return page
        } failure: {
            $0
        }
    }

    private func write() throws {
        let folds = folder.touchedFolds.map(\.model)
        for record in folder.records {
            try process.databaseStep("write audit view")
            database.store(record)
        }
        database.acknowledge()
        for chunk in folder.touchedChunks.map(\.model) {
            try store(chunk, chunk.chunkID, in: \.chunks, "write chunk view")
        }
        database.acknowledge()
        for fold in folds {
            try store(fold.pipeline.view, fold.sessionID, in: \.pipelines, "write pipeline view")
        }
        database.acknowledge()
        for fold in folds { try store(fold.session, fold.sessionID, in: \.sessions, "write session view") }
        database.acknowledge()
        for fold in folds { try store(fold, fold.sessionID, in: \.folds, "write fold") }
        database.acknowledge()
        folder.finish()
        for (partition, position) in ends.sorted(by: { $0.key < $1.key }) {
            try process.databaseStep("save view checkpoint")
            if let fence = fences[partition] { try claim(fence) }
            database.checkpoints[partition] = position
        }
        ends = [:]
    }

    private func store<Document: Versioned>(
        _ document: Document, _ key: String,
        in collection: ReferenceWritableKeyPath<ReadModelDatabase, [String: Document]>, _ step: String
    ) throws {
        try process.databaseStep(step)
        database.store(document, key, in: collection)
    }
}

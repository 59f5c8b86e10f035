internal import EventSourcing
internal import Recording
internal import ReadModels

/// Builds the read models from the log by the views of the real projection, and with its order of
/// writes: whole documents guarded by their version, states last, and then the checkpoints.
final class InMemoryProjection: ResumableProjection {
    static let subscription = "read-models"

    let name = InMemoryProjection.subscription
    private let database: ReadModelDatabase
    private let log: any EventStore
    private let process: SimulatedProcess
    private let poison: Poison
    // Small, so that states are dropped and loaded again.
    private let folder = ProjectionFolder(RecordingViews.all, FolderLimits(histories: 2, parts: 4))
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
        _ = try folder.take(events) { (requests) throws(any Error) in
            for request in requests {
                for key in request.keys {
                    guard let stored = database.document(key, in: request.collection.name) else { continue }
                    try request.take(try stored.fields())
                }
            }
        } history: { (_, event, sequence) throws(any Error) in
            let page = try log.load(event.partitionKey, after: sequence, limit: 500)
            try poison.pass(name, page.filter { $0.sequence <= event.sequence }) { _ in }
            return page
        } failure: {
            $0
        }
    }

    private func write() throws {
        for view in folder.writes() {
            for (place, collection) in view.collections.enumerated() {
                for document in view.documents(in: place) {
                    try process.databaseStep("write \(collection.name)")
                    database.store(document, in: collection.name)
                }
                database.acknowledge()
            }
        }
        folder.finish()
        for (partition, position) in ends.sorted(by: { $0.key < $1.key }) {
            try process.databaseStep("save view checkpoint")
            if let fence = fences[partition] { try claim(fence) }
            database.checkpoints[partition] = position
        }
        ends = [:]
    }
}

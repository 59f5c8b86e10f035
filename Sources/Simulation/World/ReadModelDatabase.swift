internal import EventSourcing
public import Recording

/// A document that replaces another only when it is newer.
protocol Versioned {
    var version: UInt64 { get }
}

extension ChunkView: Versioned {}
extension SessionView: Versioned {}
extension PipelineView: Versioned {}
extension SessionFold: Versioned {}

/// The read models in memory, with the rules of the real database: each write of a document is atomic, a
/// bulk of them is not, and a document is replaced where its version is lower.
open class ReadModelDatabase {
    /// Collection `chunks`, by chunk id.
    public internal(set) var chunks: [String: ChunkView] = [:]
    /// Collection `sessions`, by session id.
    public internal(set) var sessions: [String: SessionView] = [:]
    /// Collection `pipeline`, by session id.
    public internal(set) var pipelines: [String: PipelineView] = [:]
    /// Collection `audit`, by the records' ids.
    public internal(set) var records: [String: AuditView] = [:]
    var folds: [String: SessionFold] = [:]
    var checkpoints: [Int: LogPosition] = [:]
    /// Generation of the last owner that claimed or saved each partition's checkpoint.
    var generations: [Int: UInt64] = [:]

    /// An empty database.
    public init() {}

    /// Whether a stored document gives way to another one.
    open func isReplaced(version stored: UInt64, by version: UInt64) -> Bool { stored < version }

    func store<Document: Versioned>(
        _ document: Document, _ key: String,
        in collection: ReferenceWritableKeyPath<ReadModelDatabase, [String: Document]>
    ) {
        if let stored = self[keyPath: collection][key],
            !isReplaced(version: stored.version, by: document.version)
        {
            return
        }
        self[keyPath: collection][key] = document
    }
}

/// Builds the read models from the log as the real projection does: folds events onto what is stored,
/// writes whole documents guarded by their version, the folds last, and then the checkpoints.
final class InMemoryProjection: Projection {
    let name = "read-models"
    private let database: ReadModelDatabase
    private let log: any EventStore
    private let process: SimulatedProcess
    private var folds: [String: SessionFold] = [:]
    private var chunks: [String: ChunkView] = [:]
    private var touchedFolds: Set<String> = []
    private var touchedChunks: Set<String> = []
    private var records: [String: AuditView] = [:]
    private var fences: [Int: Fence] = [:]
    private var ends: [Int: LogPosition] = [:]

    init(_ database: ReadModelDatabase, log: any EventStore, process: SimulatedProcess) {
        self.database = database
        self.log = log
        self.process = process
    }

    func own(_ fences: [Fence]) {
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
        guard !events.isEmpty else { return }
        do {
            try load(events)
            for event in events {
                do { try fold(event) } catch is Gap { try repair(event) }
            }
            try write()
            for event in events { ends[event.position.partition] = event.position }
            for (partition, position) in ends.sorted(by: { $0.key < $1.key }) {
                try process.databaseStep("save view checkpoint")
                if let fence = fences[partition] { try claim(fence) }
                database.checkpoints[partition] = position
            }
            ends = [:]
        } catch {
            forget()
            throw error
        }
    }

    private struct Gap: Error {}

    private func forget() {
        folds = [:]
        chunks = [:]
        touchedFolds = []
        touchedChunks = []
        records = [:]
        ends = [:]
    }

    private func load(_ events: [RecordedEvent]) throws {
        try process.databaseStep("load views")
        for event in events {
            if folds[event.partitionKey] == nil {
                folds[event.partitionKey] = database.folds[event.partitionKey]
            }
            if chunks[event.subject] == nil { chunks[event.subject] = database.chunks[event.subject] }
        }
    }

    private func fold(_ event: RecordedEvent) throws {
        if AuditRecord.isHistory(event.partitionKey) {
            records[event.id] = try AuditView(event)
            return
        }
        let key = event.partitionKey
        let fact = try RecordingEvent(event)
        let stamp = EventStamp(event)
        let known = event.sequence == 1 ? nil : folds[key]
        if event.sequence != 1 {
            guard let known, event.sequence <= known.version + 1 else { throw Gap() }
        }
        if case .chunk(let chunk) = fact { try fold(chunk, stamp) }
        if var known {
            guard event.sequence == known.version + 1 else { return }
            folds[key] = nil
            known.evolve(fact, stamp)
            folds[key] = known
        } else {
            folds[key] = SessionFold(fact, stamp)
        }
        touchedFolds.insert(key)
    }

    private func fold(_ event: ChunkEvent, _ stamp: EventStamp) throws {
        let id = event.chunk.chunkID
        if let first = ChunkView(event, stamp) {
            chunks[id] = first
        } else {
            guard var chunk = chunks[id] ?? database.chunks[id] else { throw Gap() }
            guard stamp.sequence > chunk.version else { return }
            chunk.evolve(event, stamp)
            chunks[id] = chunk
        }
        touchedChunks.insert(id)
    }

    private func repair(_ event: RecordedEvent) throws {
        var last: UInt64 = 0
        while last < event.sequence {
            let page = try log.load(event.partitionKey, after: last, limit: 500)
            for event in page { try fold(event) }
            guard let end = page.last else { throw Gap() }
            last = end.sequence
        }
    }

    private func write() throws {
        for (id, record) in records.sorted(by: { $0.key < $1.key }) {
            try process.databaseStep("write audit view")
            database.records[id] = record
        }
        records = [:]
        for id in touchedChunks.sorted() {
            try process.databaseStep("write chunk view")
            if let chunk = chunks[id] { database.store(chunk, id, in: \.chunks) }
        }
        let folds = touchedFolds.sorted().compactMap { self.folds[$0] }
        for fold in folds {
            try process.databaseStep("write pipeline view")
            database.store(fold.pipeline.view, fold.sessionID, in: \.pipelines)
        }
        for fold in folds {
            try process.databaseStep("write session view")
            database.store(fold.session, fold.sessionID, in: \.sessions)
        }
        for fold in folds {
            try process.databaseStep("write fold")
            database.store(fold, fold.sessionID, in: \.folds)
        }
        touchedFolds = []
        touchedChunks = []
    }
}

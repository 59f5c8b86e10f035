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
    /// Takes writes back that are not durable yet, in their order.
    private var unacknowledged: [(ReadModelDatabase) -> Void] = []

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
        let before = self[keyPath: collection][key]
        unacknowledged.append { $0[keyPath: collection][key] = before }
        self[keyPath: collection][key] = document
    }

    /// A record is a document by itself and never changes.
    func store(_ record: AuditView) {
        let before = records[record.id]
        unacknowledged.append { $0.records[record.id] = before }
        records[record.id] = record
    }

    /// What was written is durable from now on.
    open func acknowledge() { unacknowledged.removeAll() }

    /// The power is cut: of the writes that nobody was told of yet the last ones may be gone.
    func losePower(_ chance: inout Chance) {
        let kept = chance.number(in: 0...unacknowledged.count)
        for undo in unacknowledged[kept...].reversed() { undo(self) }
        unacknowledged.removeAll()
    }
}

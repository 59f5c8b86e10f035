internal import EventSourcing
package import Recording

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
package final class ReadModelDatabase {
    /// What a test may break.
    package struct Rules: Sendable {
        /// Whether a stored document of one version gives way to one of another.
        package var isReplaced: @Sendable (_ stored: UInt64, _ by: UInt64) -> Bool = { $0 < $1 }
        /// Whether what was acknowledged stays when the power is cut.
        package var keepsWhatItAcknowledges = true

        package init() {}
    }

    private let rules: Rules
    /// Collection `chunks`, by chunk id.
    package internal(set) var chunks: [String: ChunkView] = [:]
    /// Collection `sessions`, by session id.
    package internal(set) var sessions: [String: SessionView] = [:]
    /// Collection `pipeline`, by session id.
    package internal(set) var pipelines: [String: PipelineView] = [:]
    /// Collection `audit`, by the records' ids.
    package internal(set) var records: [String: AuditView] = [:]
    var folds: [String: SessionFold] = [:]
    var checkpoints: [Int: LogPosition] = [:]
    /// Generation of the last owner that claimed or saved each partition's checkpoint.
    var generations: [Int: UInt64] = [:]
    /// Takes writes back that are not durable yet, in their order.
    private var unacknowledged: [(ReadModelDatabase) -> Void] = []

    /// An empty database.
    package init(_ rules: Rules = Rules()) { self.rules = rules }

    func store<Document: Versioned>(
        _ document: Document, _ key: String,
        in collection: ReferenceWritableKeyPath<ReadModelDatabase, [String: Document]>
    ) {
        if let stored = self[keyPath: collection][key],
            !rules.isReplaced(stored.version, document.version)
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
    func acknowledge() {
        if rules.keepsWhatItAcknowledges { unacknowledged.removeAll() }
    }

    /// The power is cut: of the writes that nobody was told of yet the last ones may be gone.
    func losePower(_ chance: inout Chance) {
        let kept = chance.number(in: 0...unacknowledged.count)
        for undo in unacknowledged[kept...].reversed() { undo(self) }
        unacknowledged.removeAll()
    }
}

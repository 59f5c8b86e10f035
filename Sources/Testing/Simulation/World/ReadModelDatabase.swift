internal import EventSourcing
internal import ReadModels
package import Recording

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

    private struct Stored {
        var version: UInt64
        var document: BSONDocument
    }

    private let rules: Rules
    /// Documents by collection and key.
    private var collections: [String: [String: Stored]] = [:]
    var checkpoints: [Int: LogPosition] = [:]
    /// Generation of the last owner that claimed or saved each partition's checkpoint.
    var generations: [Int: UInt64] = [:]
    /// Takes writes back that are not durable yet, in their order.
    private var unacknowledged: [(ReadModelDatabase) -> Void] = []

    /// An empty database.
    package init(_ rules: Rules = Rules()) { self.rules = rules }

    /// The document with a key; nil when there is none.
    func document(_ key: String, in collection: String) -> BSONDocument? {
        collections[collection]?[key]?.document
    }

    /// Stores a document unless there is one that stays.
    func store(_ write: DocumentWrite, in collection: String) {
        let before = collections[collection]?[write.key]
        if let before, !rules.isReplaced(before.version, write.version) { return }
        unacknowledged.append { $0.collections[collection, default: [:]][write.key] = before }
        collections[collection, default: [:]][write.key] = Stored(
            version: write.version, document: write.document)
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

    /// The documents of a collection as what they show; one that does not read is missing.
    private func read<Model>(
        _ collection: String, _ decode: (BSONFields) throws(BSONError) -> Model
    ) -> [String: Model] {
        (collections[collection] ?? [:]).compactMapValues { try? decode(try $0.document.fields()) }
    }
}

// What is shown of recorded sessions.
extension ReadModelDatabase {
    /// Collection `chunks`, by chunk id.
    package var chunks: [String: ChunkView] { read(RecordingViews.chunks, ChunkView.init) }
    /// Collection `sessions`, by session id.
    package var sessions: [String: SessionView] { read(RecordingViews.sessions, SessionView.init) }
    /// Collection `pipeline`, by session id.
    package var pipelines: [String: PipelineView] { read(RecordingViews.pipeline, PipelineView.init) }
    /// Collection `audit`, by the records' ids.
    package var records: [String: AuditView] { read(RecordingViews.audit, AuditView.init) }
    var folds: [String: SessionFold] { read(RecordingViews.folds, SessionFold.init) }
}

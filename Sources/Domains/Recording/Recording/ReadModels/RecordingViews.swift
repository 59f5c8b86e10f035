internal import EventSourcing
package import ReadModels

/// The read models of recorded sessions and of the audit trail, with the collections and indexes of seed 000.
package enum RecordingViews {
    /// Collection of the sessions.
    package static let sessions = "sessions"
    /// Collection of the chunks.
    package static let chunks = "chunks"
    /// Collection of the sessions' pipelines.
    package static let pipeline = "pipeline"
    /// Collection from which the projector goes on with each session.
    package static let folds = "folds"
    /// Collection of the records of who did what.
    package static let audit = "audit"

    /// All of them.
    package static let all = ViewSet([recorded, trail])

    private static let recorded = CategoryViews<RecordingEvent>(.bare) { (event) throws(MalformedEvent) in
        try RecordingEvent(event)
    }.showing(chunkView).showing(sessionView)

    private static let trail = CategoryViews<AuditView>(AuditRecord.category) {
        (event) throws(MalformedEvent) in try AuditView(event)
    }.showing(auditView)

    // MARK: - Chunks

    private static let chunkView = View<RecordingEvent, ChunkView>(
        .part(begunBy: "ChunkRecorded", of: ChunkEvent.typeNames),
        in: [ViewCollection(chunkCollection) { BSONDocument($0) }],
        identity: { ViewIdentity($0.chunkID, version: $0.version, position: $0.logPosition) },
        begin: { fact, stamp in
            guard case .chunk(let event) = fact else { return nil }
            return ChunkView(event, stamp)
        },
        evolve: { chunk, fact, stamp in
            if case .chunk(let event) = fact { chunk.evolve(event, stamp) }
        },
        read: { (fields) throws(BSONError) in try ChunkView(fields) })

    private static let chunkCollection = CollectionDeclaration(
        chunks, key: "chunk_id", history: "session_id", order: "created_at",
        indexes: [
            DocumentIndex([("session_id", 1), ("sequence_number", 1)]),
            DocumentIndex([("session_id", 1), ("timestamp", 1)]),
            DocumentIndex([("status", 1)]),
            DocumentIndex([("merkle_hash", 1)]),
            DocumentIndex([("created_at", -1)]),
        ],
        check: { (fields) throws(BSONError) in _ = try ChunkView(fields) })

    // MARK: - Sessions

    /// Session and pipeline are two faces of one fold, which is stored last and whole.
    private static let sessionView = View<RecordingEvent, SessionFold>(
        .history,
        in: [
            ViewCollection(pipelineCollection) { BSONDocument($0.pipeline.view) },
            ViewCollection(sessionCollection) { BSONDocument($0.session) },
            ViewCollection(foldCollection) { BSONDocument($0) },
        ],
        identity: {
            ViewIdentity($0.sessionID, version: $0.version, position: $0.session.logPosition)
        },
        begin: { SessionFold($0, $1) }, evolve: { $0.evolve($1, $2) },
        read: { (fields) throws(BSONError) in try SessionFold(fields) },
        totals: ViewTotals(RecordingTotals.names) { RecordingTotals.share(of: $0) })

    private static let pipelineCollection = CollectionDeclaration(
        pipeline, key: "session_id", history: "session_id", order: "updated_at",
        indexes: [DocumentIndex([("pipeline_status", 1)]), DocumentIndex([("updated_at", -1)])],
        check: { (fields) throws(BSONError) in _ = try PipelineView(fields) })

    private static let sessionCollection = CollectionDeclaration(
        sessions, key: "session_id", history: "session_id", order: "created_at",
        indexes: [
            DocumentIndex([("status", 1)]),
            DocumentIndex([("created_at", -1)]),
            DocumentIndex([("metadata.project", 1)]),
            DocumentIndex([("metadata.environment", 1)]),
            DocumentIndex([("metadata.tags", 1)]),
        ],
        check: { (fields) throws(BSONError) in _ = try SessionView(fields) })

    private static let foldCollection = CollectionDeclaration(
        folds, key: "session_id", history: "session_id", position: "session.log_position",
        isInternal: true,
        indexes: [foldsByOwner, foldsByProject, foldsByEnvironment, foldsByTag, foldsByEnd, foldsByHold],
        check: { (fields) throws(BSONError) in
            _ = try SessionFold(fields)
            _ = try fields.count("version")
        })

    /// Whose sessions somebody sees is asked of `folds`, which is ours alone: the indexes of `sessions` are
    /// seed 000's and none more, and no owner is among them. Behind what puts a list in order stands what
    /// else may be asked about, so that counting needs the keys alone.
    package static let foldsByOwner = foldIndex(
        by: "metadata.owner", with: ["metadata.project", "metadata.environment"])
    /// The same by project.
    package static let foldsByProject = foldIndex(by: "metadata.project", with: ["metadata.environment"])
    /// The same by environment.
    package static let foldsByEnvironment = foldIndex(by: "metadata.environment", with: [])
    /// The same by tag.
    package static let foldsByTag = foldIndex(
        by: "metadata.tags", with: ["metadata.project", "metadata.environment", "metadata.owner"])

    /// When sessions have been kept for long enough.
    package static let foldsByEnd = DocumentIndex([("kept_until", 1), ("session_id", 1)])

    /// Sessions that a case holds, which are few: no others stand in the index.
    package static let foldsByHold = DocumentIndex(
        [("is_held", 1), ("session.created_at", -1), ("session.session_id", -1), ("session.status", 1)],
        onlyWhere: "is_held")

    private static func foldIndex(by field: String, with others: [String]) -> DocumentIndex {
        let order: [(field: String, direction: Int32)] = [
            (field, 1), ("created_at", -1), ("session_id", -1), ("status", 1),
        ]
        return DocumentIndex(
            (order + others.map { ($0, 1) }).map { ("session.\($0.field)", $0.direction) })
    }

    // MARK: - Audit trail

    private static let auditView = View<AuditView, AuditView>(
        .record, in: [ViewCollection(auditCollection) { BSONDocument($0) }],
        identity: { ViewIdentity($0.id, version: $0.stamp.sequence, position: $0.stamp.position) },
        begin: { record, _ in record }, evolve: { _, _, _ in },
        read: { (fields) throws(BSONError) in try AuditView(fields) })

    private static let auditCollection = CollectionDeclaration(
        audit, key: "audit_id", history: nil, order: "time",
        indexes: [DocumentIndex([("time", -1), ("audit_id", -1)])]
            + ["session_id", "actor.subject", "action", "outcome"].map {
                DocumentIndex([($0, 1), ("time", -1), ("audit_id", -1)])
            },
        check: { (fields) throws(BSONError) in _ = try AuditView(fields) })
}

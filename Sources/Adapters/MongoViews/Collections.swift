/// The collections of the read models' database, and their indexes: those of seed 000 word for word.
struct Collections: Sendable {
    let sessions: MongoNamespace
    let chunks: MongoNamespace
    let pipeline: MongoNamespace
    /// From where the projector goes on with each session; see FoldDocument.swift.
    let folds: MongoNamespace
    /// Records of who did what.
    let audit: MongoNamespace
    /// How far the projector has come. Here, so that whoever drops the database drops them too and
    /// everything is built again from the log's beginning.
    let checkpoints: MongoNamespace
    let database: String
    /// What their names begin with; empty for those that are shown, so that nobody else's are meant.
    let prefix: String
    /// Id of the rebuild that they belong to; nil for those that are shown.
    let rebuild: String?

    /// The collections that are shown; or, with the id of a rebuild, those that it builds beside them.
    init(database: String, rebuild: String? = nil) {
        let prefix = rebuild.map { "\(Self.rebuildPrefix)\($0)_" } ?? ""
        func name(_ collection: String) -> MongoNamespace {
            MongoNamespace(database: database, collection: prefix + collection)
        }
        self.database = database
        self.prefix = prefix
        self.rebuild = rebuild
        sessions = name("sessions")
        chunks = name("chunks")
        pipeline = name("pipeline")
        folds = name("folds")
        audit = name("audit")
        checkpoints = name("checkpoints")
    }

    /// What the names of all collections begin with that are built beside those that are shown.
    static let rebuildPrefix = "replay_"

    /// The rebuild that a collection belongs to by its name; nil for anybody else's.
    static func rebuild(of name: String) -> String? {
        let rest = name.dropFirst(rebuildPrefix.count)
        let id = rest.prefix(16)
        guard name.hasPrefix(rebuildPrefix), id.utf8.count == 16,
            id.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        let own = Collections(database: "", rebuild: String(id))
        return (own.documents + [own.checkpoints]).contains { $0.collection == name } ? String(id) : nil
    }

    /// The collections of documents, in the order in which they are written.
    var documents: [MongoNamespace] { [chunks, pipeline, sessions, folds, audit] }

    /// Drops them all. What others keep in the same database is left alone.
    func drop(_ client: borrowing MongoClient) throws(MongoFailure) {
        for name in documents + [checkpoints] { try client.dropCollection(name) }
    }

    /// Whose sessions somebody sees is asked of `folds`, which is ours alone: the indexes of `sessions` are
    /// seed 000's and none more, and no owner is among them. Behind what puts a list in order stands what
    /// else may be asked about, so that counting needs the keys alone.
    static let foldsByOwner = folds(by: "metadata.owner", with: ["metadata.project", "metadata.environment"])
    static let foldsByProject = folds(by: "metadata.project", with: ["metadata.environment"])
    static let foldsByEnvironment = folds(by: "metadata.environment", with: [])
    static let foldsByTag = folds(
        by: "metadata.tags", with: ["metadata.project", "metadata.environment", "metadata.owner"])

    /// When sessions have been kept for long enough.
    static let foldsByEnd = MongoIndex([("kept_until", 1), ("session_id", 1)])

    /// Sessions that a case holds, which are few: no others stand in the index.
    static let foldsByHold = MongoIndex(
        [("is_held", 1), ("session.created_at", -1), ("session.session_id", -1), ("session.status", 1)],
        onlyWhere: "is_held")

    private static func folds(by field: String, with others: [String]) -> MongoIndex {
        let order: [(field: String, direction: Int32)] = [
            (field, 1), ("created_at", -1), ("session_id", -1), ("status", 1),
        ]
        return MongoIndex((order + others.map { ($0, 1) }).map { ("session.\($0.field)", $0.direction) })
    }

    var indexes: [(MongoNamespace, [MongoIndex])] {
        [
            (
                sessions,
                [
                    MongoIndex([("session_id", 1)], unique: true),
                    MongoIndex([("status", 1)]),
                    MongoIndex([("created_at", -1)]),
                    MongoIndex([("metadata.project", 1)]),
                    MongoIndex([("metadata.environment", 1)]),
                    MongoIndex([("metadata.tags", 1)]),
                ]
            ),
            (
                chunks,
                [
                    MongoIndex([("chunk_id", 1)], unique: true),
                    MongoIndex([("session_id", 1), ("sequence_number", 1)]),
                    MongoIndex([("session_id", 1), ("timestamp", 1)]),
                    MongoIndex([("status", 1)]),
                    MongoIndex([("merkle_hash", 1)]),
                    MongoIndex([("created_at", -1)]),
                ]
            ),
            (
                pipeline,
                [
                    MongoIndex([("session_id", 1)], unique: true),
                    MongoIndex([("pipeline_status", 1)]),
                    MongoIndex([("updated_at", -1)]),
                ]
            ),
            (
                folds,
                [
                    MongoIndex([("session_id", 1)], unique: true), Self.foldsByOwner,
                    Self.foldsByProject, Self.foldsByEnvironment, Self.foldsByTag,
                    Self.foldsByEnd, Self.foldsByHold,
                ]
            ),
            (
                audit,
                [MongoIndex([("audit_id", 1)], unique: true), MongoIndex([("time", -1), ("audit_id", -1)])]
                    + ["session_id", "actor.subject", "action", "outcome"].map {
                        MongoIndex([($0, 1), ("time", -1), ("audit_id", -1)])
                    }
            ),
        ]
    }
}

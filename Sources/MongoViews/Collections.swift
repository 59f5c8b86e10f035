/// The collections of the read models' database, and their indexes: those of seed 000 word for word.
struct Collections: Sendable {
    let sessions: MongoNamespace
    let chunks: MongoNamespace
    let pipeline: MongoNamespace
    /// From where the projector goes on with each session; see FoldDocument.swift.
    let folds: MongoNamespace
    /// How far the projector has come. Here, so that whoever drops the database drops them too and
    /// everything is built again from the log's beginning.
    let checkpoints: MongoNamespace
    let database: String

    init(database: String) {
        func name(_ collection: String) -> MongoNamespace {
            MongoNamespace(database: database, collection: collection)
        }
        self.database = database
        sessions = name("sessions")
        chunks = name("chunks")
        pipeline = name("pipeline")
        folds = name("folds")
        checkpoints = name("checkpoints")
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
            (folds, [MongoIndex([("session_id", 1)], unique: true)]),
        ]
    }
}

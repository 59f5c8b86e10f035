package import MongoViews
package import ReadModels
package import Recording

/// The queries of dashboards and the API on the read models. Calls block; any thread may call.
package struct MongoQueries: RecordingQueries {
    let documents: MongoDocuments

    /// One session, also a deleted one; nil when there is none.
    package func session(_ sessionID: String) throws(QueryFailure) -> SessionView? {
        try documents.one(sessionID, in: RecordingViews.sessions, SessionView.init)
    }

    /// One chunk; nil when there is none.
    package func chunk(_ chunkID: String) throws(QueryFailure) -> ChunkView? {
        try documents.one(chunkID, in: RecordingViews.chunks, ChunkView.init)
    }

    /// A session's pipeline; nil when there is none.
    package func pipeline(ofSession sessionID: String) throws(QueryFailure) -> PipelineView? {
        try documents.one(sessionID, in: RecordingViews.pipeline, PipelineView.init)
    }

    /// Whether the server answers; throws why not.
    package func ping() throws(QueryFailure) { try documents.ping() }

    func find<Model>(
        _ query: MongoFind, in name: String, _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> [Model] {
        try documents.find(query, in: name, decode)
    }

    func rows<Place, Model>(
        _ query: MongoFind, in name: String, place: (BSONFields) throws(BSONError) -> Place,
        _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> [ListRow<Place, Model>] {
        try documents.rows(query, in: name, place: place, decode)
    }

    func count(
        _ filter: BSONDocument, in name: String, hint: DocumentIndex? = nil, limit: Int64 = 0
    ) throws(QueryFailure) -> Int {
        try documents.count(filter, in: name, hint: hint, limit: limit)
    }
}

extension MongoReadModels {
    /// What dashboards and the API ask of recorded sessions.
    package var queries: MongoQueries { MongoQueries(documents: documents) }
}

internal import EventSourcing
package import Recording

/// The queries of dashboards and the API on the read models. Calls block; any thread may call.
package struct MongoQueries: RecordingQueries {
    let pool: MongoPool
    let collections: Collections
    let foreign: ForeignDocuments

    /// How long the server may work on one query, in milliseconds.
    static let maximum_ms: Int64 = 10_000

    /// One session, also a deleted one; nil when there is none.
    package func session(_ sessionID: String) throws(QueryFailure) -> SessionView? {
        try one("session_id", sessionID, in: collections.sessions, SessionView.init)
    }

    /// One chunk; nil when there is none.
    package func chunk(_ chunkID: String) throws(QueryFailure) -> ChunkView? {
        try one("chunk_id", chunkID, in: collections.chunks, ChunkView.init)
    }

    /// A session's pipeline; nil when there is none.
    package func pipeline(ofSession sessionID: String) throws(QueryFailure) -> PipelineView? {
        try one("session_id", sessionID, in: collections.pipeline, PipelineView.init)
    }

    /// Whether the server answers; throws why not.
    package func ping() throws(QueryFailure) {
        _ = try ask { (client) throws(MongoFailure) in try client.hello() }
    }

    /// Finds documents. Those that are none of ours are noted and left out.
    func find<Model>(
        _ query: MongoFind, in name: MongoNamespace, _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> [Model] {
        var query = query
        query.maximum_ms = Self.maximum_ms
        return try ask { (client) throws(MongoFailure) in
            do throws(MongoFailure) {
                return try client.find(query, in: name, passingOver: foreign, decode)
            } catch {
                guard query.hint != nil, error.isServers(MongoFailure.badValue) else { throw error }
                // Somebody has dropped the index, or the projector has not made it yet.
                query.hint = nil
                return try client.find(query, in: name, passingOver: foreign, decode)
            }
        }
    }

    /// Finds the rows of a list: what puts them in order, and what is shown. One that has its place in the
    /// order and does not read counts when pages are cut, and is left out of what is shown.
    func rows<Model>(
        _ query: MongoFind, in name: MongoNamespace, place: (BSONFields) throws(BSONError) -> Model.Place,
        _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> [ListRow<Model>] {
        let foreign = foreign
        return try find(query, in: name) { (fields) throws(BSONError) in
            let place = try place(fields)
            do throws(BSONError) { return ListRow(place: place, model: try decode(fields)) } catch {
                foreign.note(fields, in: name.description, error)
                return ListRow(place: place, model: nil)
            }
        }
    }

    private func one<Model>(
        _ keyName: String, _ key: String, in name: MongoNamespace,
        _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> Model? {
        let query = MongoFind(filter: BSONDocument { $0.append(keyName, key) })
        let foreign = foreign
        var spoiled: ForeignDocuments.Document?
        do throws(QueryFailure) {
            return try ask { (client) throws(MongoFailure) in
                try client.findOne(query, in: name) { (fields) throws(BSONError) in
                    do throws(BSONError) { return try decode(fields) } catch {
                        spoiled = foreign.note(fields, in: name.description, error)
                        throw error
                    }
                }
            }
        } catch {
            // Here it is what was asked for: there is no answer, but to say so.
            guard let spoiled else { throw error }
            throw QueryFailure(
                "\(spoiled); 'reel replay' makes it anew", isUnreachable: false, remedy: .none,
                isOfRecord: true)
        }
    }

    func count(
        _ filter: BSONDocument, in name: MongoNamespace, hint: MongoIndex? = nil, limit: Int64 = 0
    ) throws(QueryFailure) -> Int {
        func counted(
            _ hint: MongoIndex?, _ client: borrowing MongoClient
        ) throws(MongoFailure) -> Int64 {
            try client.count(filter, in: name, hint: hint, limit: limit, maximum_ms: Self.maximum_ms)
        }
        return Int(
            try ask { (client) throws(MongoFailure) in
                do throws(MongoFailure) { return try counted(hint, client) } catch {
                    guard hint != nil, error.isServers(MongoFailure.badValue) else { throw error }
                    return try counted(nil, client)
                }
            })
    }

    func ask<Answer>(
        _ body: (borrowing MongoClient) throws(MongoFailure) -> Answer
    ) throws(QueryFailure) -> Answer {
        var tries = 1
        while true {
            do { return try pool.withClient(body) } catch {
                // A replay has put another collection in the place of the one that was being read.
                if error.isServers(MongoFailure.queryPlanKilled), tries < 10 {
                    tries += 1
                    continue
                }
                throw QueryFailure(
                    error.description, isUnreachable: error.isUnreachable, remedy: error.remedy)
            }
        }
    }
}

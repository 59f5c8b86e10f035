internal import EventSourcing
package import ReadModels

/// One row of a list: its place, which every document of the list has, and what is shown of it; nil when the
/// document is none of ours.
package struct ListRow<Place, Model> {
    /// Where it stands in the list's order.
    package let place: Place
    /// What is shown.
    package let model: Model?
}

/// Questions to the documents of the read models, for the queries of domains. Calls block; any thread may
/// call. Documents that are none of ours are noted and left out.
package struct MongoDocuments: Sendable {
    let pool: MongoPool
    /// The collections that are asked.
    package let collections: Collections
    let foreign: ForeignDocuments

    /// How long the server may work on one query, in milliseconds.
    static let maximum_ms: Int64 = 10_000

    /// Whether the server answers; throws why not.
    package func ping() throws(QueryFailure) {
        _ = try ask { (client) throws(MongoFailure) in try client.hello() }
    }

    /// Finds documents of a collection.
    package func find<Model>(
        _ query: MongoFind, in name: String, _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> [Model] {
        var query = query
        query.maximum_ms = Self.maximum_ms
        let name = collections[name]
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
    package func rows<Place, Model>(
        _ query: MongoFind, in name: String, place: (BSONFields) throws(BSONError) -> Place,
        _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> [ListRow<Place, Model>] {
        let (foreign, full) = (foreign, collections[name].description)
        return try find(query, in: name) { (fields) throws(BSONError) in
            let place = try place(fields)
            do throws(BSONError) { return ListRow(place: place, model: try decode(fields)) } catch {
                foreign.note(fields, in: full, error)
                return ListRow(place: place, model: nil)
            }
        }
    }

    /// The document with this key; nil when there is none.
    package func one<Model>(
        _ key: String, in name: String, _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> Model? {
        guard let declaration = collections.declarations.first(where: { $0.name == name }) else { return nil }
        let query = MongoFind(filter: BSONDocument { $0.append(declaration.key, key) })
        let (foreign, name) = (foreign, collections[name])
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

    /// How many documents a filter finds.
    package func count(
        _ filter: BSONDocument, in name: String, hint: DocumentIndex? = nil, limit: Int64 = 0
    ) throws(QueryFailure) -> Int {
        let name = collections[name]
        func counted(
            _ hint: DocumentIndex?, _ client: borrowing MongoClient
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

    /// How many documents a collection has by the server's own books.
    package func estimatedCount(of name: String) throws(QueryFailure) -> Int {
        let name = collections[name]
        return Int(try ask { (client) throws(MongoFailure) in try client.estimatedCount(of: name) })
    }

    /// What comes out of an aggregation.
    package func aggregate<Model>(
        _ stages: [BSONDocument], in name: String, _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> [Model] {
        let name = collections[name]
        return try ask { (client) throws(MongoFailure) in
            try client.aggregate(stages, in: name, passingOver: foreign, decode)
        }
    }

    /// The sums that the projector keeps, by partition; nil when they are not whole.
    package func keptTotals() throws(QueryFailure) -> ProjectedTotals? {
        try ask { (client) throws(MongoFailure) in
            let store = Checkpoints(collections: collections, epoch: "")
            guard let life = try store.life(client) else { return nil }
            let book = try store.projectedTotals(MongoReadModels.subscription.name, instance: life, client)
            return book.isWhole ? book : nil
        }
    }

    private func ask<Answer>(
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

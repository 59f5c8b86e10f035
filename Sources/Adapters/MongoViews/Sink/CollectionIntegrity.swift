internal import ReadModels

/// Whether the collections of the read models, and their indexes, are those that were left there.
///
/// The marker knows each collection by its UUID, which a collection keeps for as long as it lives and no
/// other one ever gets. One that was dropped or renamed, and made again by the next write, has another: what
/// it holds is short, and only the log can tell the rest. That is noted in the marker, for whoever builds it
/// again.
struct CollectionIntegrity {
    private let collections: Collections

    init(_ collections: Collections) { self.collections = collections }

    /// What the marker says of collections.
    private struct Known {
        /// By name without prefix; nil in databases of a version that did not note them.
        var uuids: [String: [UInt8]]?
        /// Those whose documents are known to be short.
        var lost: Set<String> = []
        /// What changes when a rebuild is put in place.
        var generation = ""
        /// Whether one is being put in place.
        var isSwapping = false
        /// Whether they were made by a version that may have had fewer indexes.
        var isEarlier = false
    }

    /// Makes the collections with their indexes.
    func create(_ client: borrowing MongoClient) throws(ProjectionFailure) {
        for (name, indexes) in collections.indexes {
            if try makeIndexes(indexes, on: name, client) { continue }
            // Written to a collection that had just been dropped and had no unique index: remains of a former
            // life, which are built again.
            try wrap { () throws(MongoFailure) in
                try client.dropCollection(name)
                try client.createIndexes(indexes, on: name)
            }
        }
    }

    /// The UUIDs of the collections, as the marker has them.
    func uuids(
        _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> (inout BSONBuilder) -> Void {
        let facts = try facts(client)
        let found = collections.documents.map { name in
            (collections.plainName(of: name), facts[name.collection]?.uuid ?? [])
        }
        return { builder in for (name, uuid) in found { builder.append(name, binary: uuid) } }
    }

    /// Looks at collections and indexes, makes what is missing, and notes what has lost its documents.
    /// Answers what was not as it should be, in sentences; nothing, where all is well. Reads alone, then.
    func mend(_ client: borrowing MongoClient) throws(ProjectionFailure) -> [String] {
        guard let known = try known(client), !known.isSwapping else { return [] }
        let facts = try facts(client)
        var damage: [String] = []
        var lost: Set<String> = []
        for (name, indexes) in collections.indexes {
            let plain = collections.plainName(of: name)
            let fact = facts[name.collection]
            if let fact, !fact.isCollection {
                let text = "it is a view, and no collection: give it another name"
                throw .database(
                    MongoFailure(text, kind: .unsuitable, at: client.target("look at collections", name)))
            }
            let isSame = known.uuids.map { $0[plain] == fact?.uuid } ?? (fact != nil)
            // A view that is new, or was taken up again by this version of the program, has nothing yet.
            let isNew = known.uuids.map { $0[plain] == nil } ?? false
            if !isSame || isNew {
                lost.insert(plain)
                damage.append(
                    isNew
                        ? "\(name) is new; it is built from the log"
                        : "\(name) was dropped or renamed; it is built again from the log")
            }
            // Where documents stand twice under one key, only building it again helps.
            if known.lost.contains(plain), isSame, !isNew { continue }
            let present = try wrap { () throws(MongoFailure) in try client.indexes(of: name) }
            let missing = indexes.filter { index in !present.contains { $0.serves(as: index) } }
            if missing.isEmpty { continue }
            guard try makeIndexes(missing, on: name, client) else {
                if lost.insert(plain).inserted {
                    damage.append("\(name) holds documents twice; it is built again from the log")
                }
                continue
            }
            if isSame, !isNew, !known.isEarlier {
                let names = missing.map(\.name).joined(separator: ", ")
                damage.append("\(name) had lost its index \(names), which was made again")
            }
        }
        // What is not shown any more is not kept up: whoever shows it again finds it new.
        let shown = collections.documents.map(collections.plainName(of:))
        let given = Set((known.uuids ?? [:]).keys).subtracting(shown)
        if !lost.isEmpty || known.uuids == nil || !given.isEmpty { try note(lost, known, client) }
        return damage
    }

    /// False when documents stand twice under a key that has to be unique.
    private func makeIndexes(
        _ indexes: [DocumentIndex], on name: MongoNamespace, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> Bool {
        do throws(MongoFailure) {
            try client.createIndexes(indexes, on: name)
            return true
        } catch  where error.isServers(MongoFailure.duplicateKey) {
            return false
        } catch {
            throw .database(error)
        }
    }

    private func facts(
        _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> [String: MongoCollectionFacts] {
        let found = try wrap { () throws(MongoFailure) in
            try client.collections(in: collections.database)
        }
        return Dictionary(found.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    }

    private func known(_ client: borrowing MongoClient) throws(ProjectionFailure) -> Known? {
        let query = MongoFind(filter: BSONDocument { $0.append("_id", Checkpoints.markerID) })
        return try wrap { () throws(MongoFailure) in
            try client.findOne(query, in: collections.checkpoints) { (fields) throws(BSONError) in
                var known = Known()
                if let uuids = try? fields.document("uuids") {
                    var found: [String: [UInt8]] = [:]
                    for name in uuids.names { found[name] = try? uuids.binary(name) }
                    known.uuids = found
                }
                known.lost = Set((try? fields.strings("lost")) ?? [])
                known.generation = (try? fields.string("generation")) ?? ""
                known.isSwapping = !fields.isNull("swap")
                known.isEarlier = ((try? fields.int("format")) ?? 0) < Int64(Checkpoints.format)
                return known
            }
        }
    }

    /// Notes the present collections, and those that are short, unless a rebuild was put in place meanwhile.
    private func note(
        _ lost: Set<String>, _ known: Known, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        let uuids = try uuids(client)
        let filter = BSONDocument { builder in
            builder.append("_id", Checkpoints.markerID)
            builder.appendNull("swap")
            if known.generation.isEmpty {
                builder.append("generation") {
                    $0.append("$in", array: [nil, ""] as [String?]) { $0.append($1, $2) }
                }
            } else {
                builder.append("generation", known.generation)
            }
        }
        let update = BSONDocument { builder in
            builder.append("$set") { $0.append("uuids", uuids) }
            if !lost.isEmpty {
                builder.append("$addToSet") { builder in
                    builder.append("lost") { $0.append("$each", array: lost.sorted()) }
                }
            }
        }
        _ = try wrap { () throws(MongoFailure) in
            try client.bulkWrite(
                [.update(filter: filter, with: update, upsert: false)], to: collections.checkpoints)
        }
    }
}

extension Collections {
    /// A collection's name without the prefix of a rebuild.
    func plainName(of name: MongoNamespace) -> String { String(name.collection.dropFirst(prefix.count)) }
}

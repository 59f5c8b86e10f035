package import ReadModels

/// What a server knows of a collection.
package struct MongoCollectionFacts: Sendable, Equatable {
    /// Its name.
    package let name: String
    /// Whether it is one that can be written to, and no view.
    let isCollection: Bool
    /// What it keeps when it gets another name, and no other collection ever has; empty for a view.
    package let uuid: [UInt8]
    /// What it was made with, and what was set later: validator, collation …
    package let options: BSONDocument
}

/// What a server knows of an index.
package struct MongoIndexFacts: Sendable, Equatable {
    /// Its name.
    package let name: String
    /// Whether no two documents may have the same values.
    package let isUnique: Bool
    /// The fields in order, each with its direction or kind.
    let keys: BSONDocument
    /// All of it, as it is made.
    let specification: BSONDocument

    /// Whether it does what one of ours does. One of the same name that does something else is in its way.
    func serves(as index: DocumentIndex) -> Bool {
        guard name == index.name, isUnique == index.isUnique else { return false }
        var place = 0
        var isSame = true
        do throws(BSONError) {
            try keys.forEach { (field, value) throws(BSONError) in
                isSame = isSame && index.keys.indices.contains(place)
                guard isSame else { return }
                let (name, direction) = index.keys[place]
                isSame = name == field && value.isDirection(direction)
                place += 1
            }
        } catch {
            return false
        }
        return isSame && place == index.keys.count
    }
}

extension MongoClient {
    /// The names of a database's collections that begin with `prefix`.
    func collectionNames(
        in database: String, startingWith prefix: String
    ) throws(MongoFailure) -> [String] {
        try collections(in: database).map(\.name).filter { $0.hasPrefix(prefix) }
    }

    /// The collections and views of a database.
    package func collections(in database: String) throws(MongoFailure) -> [MongoCollectionFacts] {
        let name = MongoNamespace(database: database, collection: "")
        let request = BSONDocument { builder in
            builder.append("listCollections", int32: 1)
            builder.append("cursor") { $0.append("batchSize", int32: 10_000) }
        }
        return try firstBatch(of: request, "list collections", on: name) { (fields) throws(BSONError) in
            let info = try fields.document("info")
            var options = BSONDocument.empty
            if case .document(let found)? = fields["options"] { options = found }
            return MongoCollectionFacts(
                name: try fields.string("name"),
                isCollection: try fields.string("type") == "collection",
                uuid: info.isNull("uuid") ? [] : try info.binary("uuid"), options: options)
        }
    }

    /// The indexes of a collection; none when there is no such collection.
    package func indexes(of name: MongoNamespace) throws(MongoFailure) -> [MongoIndexFacts] {
        let request = BSONDocument { builder in
            builder.append("listIndexes", name.collection)
            builder.append("cursor") { $0.append("batchSize", int32: 1_000) }
        }
        var found: [MongoIndexFacts] = []
        do throws(MongoFailure) {
            found = try firstBatch(of: request, "list indexes", on: name, whole: MongoIndexFacts.init)
        } catch  where error.isServers(MongoFailure.namespaceNotFound) {}
        return found
    }

    /// Makes a collection with the options of another one.
    func createCollection(
        _ name: MongoNamespace, options: BSONDocument
    ) throws(MongoFailure) {
        let request = BSONDocument { builder in
            builder.append("create", name.collection)
            builder.appendFields(of: options)
            appendDurability(to: &builder)
        }
        _ = try command(request, operation: "create collection", on: name)
    }

    /// Makes an index as another collection has it.
    func createIndex(_ index: MongoIndexFacts, on name: MongoNamespace) throws(MongoFailure) {
        let request = BSONDocument { builder in
            builder.append("createIndexes", name.collection)
            builder.append("indexes", array: [index.specification]) { $0.append($1, document: $2) }
            appendDurability(to: &builder)
        }
        _ = try command(request, operation: "create index \(index.name)", on: name)
    }

    /// Drops an index by its name.
    func dropIndex(_ index: String, on name: MongoNamespace) throws(MongoFailure) {
        let request = BSONDocument { builder in
            builder.append("dropIndexes", name.collection)
            builder.append("index", index)
            appendDurability(to: &builder)
        }
        _ = try command(request, operation: "drop index \(index)", on: name)
    }

    private func firstBatch<Found>(
        of request: BSONDocument, _ operation: String, on name: MongoNamespace,
        _ read: (BSONFields) throws(BSONError) -> Found
    ) throws(MongoFailure) -> [Found] {
        try firstBatch(of: request, operation, on: name) { (document: BSONDocument) throws(BSONError) in
            try read(try document.fields())
        }
    }

    private func firstBatch<Found>(
        of request: BSONDocument, _ operation: String, on name: MongoNamespace,
        whole read: (BSONDocument) throws(BSONError) -> Found
    ) throws(MongoFailure) -> [Found] {
        let reply = try command(request, operation: operation, on: name)
        do throws(BSONError) {
            var found: [Found] = []
            for item in try reply.fields().document("cursor").array("firstBatch") {
                guard case .document(let document) = item else { throw .field("firstBatch") }
                found.append(try read(document))
            }
            return found
        } catch {
            throw MongoFailure(error, at: target(operation, name))
        }
    }
}

extension MongoIndexFacts {
    fileprivate init(_ specification: BSONDocument) throws(BSONError) {
        let fields = try specification.fields()
        guard case .document(let keys)? = fields["key"] else { throw .field("key") }
        self.init(
            name: try fields.string("name"),
            isUnique: fields.isNull("unique") ? false : try fields.bool("unique"), keys: keys,
            specification: specification)
    }
}

extension BSONValue {
    /// Whether it is the direction of a field in an index; other tools write it as a number of another type.
    fileprivate func isDirection(_ direction: Int32) -> Bool {
        switch self {
        case .int32(let value): value == direction
        case .int64(let value): value == Int64(direction)
        case .double(let value): value == Double(direction)
        default: false
        }
    }
}

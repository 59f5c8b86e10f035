extension MongoClient {
    /// Drops a collection; succeeds when there is none.
    func dropCollection(_ name: MongoNamespace) throws(MongoFailure) {
        let request = BSONDocument { builder in
            builder.append("drop", name.collection)
            appendDurability(to: &builder)
        }
        do throws(MongoFailure) {
            _ = try command(request, operation: "drop", on: name)
        } catch  where error.code == MongoFailure.namespaceNotFound {}
    }

    /// Gives a collection another name, in place of the collection that has it, in one step. False when
    /// there is no such collection (any more).
    func rename(_ name: MongoNamespace, to target: MongoNamespace) throws(MongoFailure) -> Bool {
        let request = BSONDocument { builder in
            builder.append("renameCollection", name.description)
            builder.append("to", target.description)
            builder.append("dropTarget", true)
            appendDurability(to: &builder)
        }
        let admin = MongoNamespace(database: "admin", collection: "")
        do throws(MongoFailure) {
            _ = try command(request, operation: "rename \(name)", on: admin)
            return true
        } catch  where error.code == MongoFailure.namespaceNotFound {
            return false
        }
    }

    /// The names of a database's collections that begin with `prefix`.
    func collectionNames(
        in database: String, startingWith prefix: String
    ) throws(MongoFailure) -> [String] {
        let request = BSONDocument { builder in
            builder.append("listCollections", int32: 1)
            builder.append("nameOnly", true)
            builder.append("cursor") { $0.append("batchSize", int32: 10_000) }
        }
        let name = MongoNamespace(database: database, collection: "")
        let reply = try command(request, operation: "list collections", on: name)
        do throws(BSONError) {
            var names: [String] = []
            for item in try reply.fields().document("cursor").array("firstBatch") {
                guard case .document(let found) = item else { throw .field("firstBatch") }
                names.append(try found.fields().string("name"))
            }
            return names.filter { $0.hasPrefix(prefix) }
        } catch {
            throw MongoFailure(error, at: target("list collections", name))
        }
    }

    /// Drops a whole database; succeeds when there is none.
    func dropDatabase(_ database: String) throws(MongoFailure) {
        let request = BSONDocument { builder in
            builder.append("dropDatabase", int32: 1)
            appendDurability(to: &builder)
        }
        let name = MongoNamespace(database: database, collection: "")
        _ = try command(request, operation: "drop database", on: name)
    }
}

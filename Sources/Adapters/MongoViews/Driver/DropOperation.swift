internal import ReadModels

extension MongoClient {
    /// Drops a collection; succeeds when there is none.
    func dropCollection(_ name: MongoNamespace) throws(MongoFailure) {
        let request = BSONDocument { builder in
            builder.append("drop", name.collection)
            appendDurability(to: &builder)
        }
        do throws(MongoFailure) {
            _ = try command(request, operation: "drop", on: name)
        } catch  where error.isServers(MongoFailure.namespaceNotFound) {}
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
        } catch  where error.isServers(MongoFailure.namespaceNotFound) {
            return false
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

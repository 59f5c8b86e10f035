extension MongoClient {
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

internal import CMongo
internal import ReadModels

extension MongoClient {
    /// Changes the document that the filter finds by one aggregation stage, in one step; answers whether
    /// there was one. Stages know the server's time as `$$NOW`.
    func updateOne(
        _ filter: BSONDocument, with stage: BSONDocument, in name: MongoNamespace
    ) throws(MongoFailure) -> Bool {
        let request = BSONDocument { builder in
            builder.append("update", name.collection)
            builder.append("updates", array: [filter]) { builder, key, filter in
                builder.append(key) { builder in
                    builder.append("q", document: filter)
                    builder.append("u", array: [stage]) { $0.append($1, document: $2) }
                }
            }
            appendDurability(to: &builder)
        }
        let target = target("update", name)
        let reply = try command(request, operation: "update", on: name)
        do throws(BSONError) {
            return try reply.fields().int("n") > 0
        } catch {
            throw MongoFailure(error, at: target)
        }
    }
}

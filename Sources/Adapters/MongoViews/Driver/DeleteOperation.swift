internal import CMongo
package import ReadModels

extension MongoClient {
    /// Removes the document that the filter finds, if there is one.
    package func deleteOne(_ filter: BSONDocument, in name: MongoNamespace) throws(MongoFailure) {
        let request = BSONDocument { builder in
            builder.append("delete", name.collection)
            builder.append("deletes", array: [filter]) { builder, key, filter in
                builder.append(key) { builder in
                    builder.append("q", document: filter)
                    builder.append("limit", int32: 1)
                }
            }
            appendDurability(to: &builder)
        }
        _ = try command(request, operation: "delete", on: name)
    }
}

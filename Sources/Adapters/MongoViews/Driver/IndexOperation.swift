package import ReadModels

extension MongoClient {
    /// Makes sure that a collection has these indexes; existing ones are left alone.
    package func createIndexes(_ indexes: [DocumentIndex], on name: MongoNamespace) throws(MongoFailure) {
        let request = BSONDocument { builder in
            builder.append("createIndexes", name.collection)
            builder.append("indexes", array: indexes) { builder, key, index in
                builder.append(key) { builder in
                    builder.append("key") { builder in
                        for (field, direction) in index.keys { builder.append(field, int32: direction) }
                    }
                    builder.append("name", index.name)
                    if index.isUnique { builder.append("unique", true) }
                    if let field = index.onlyWhere {
                        builder.append("partialFilterExpression") { $0.append(field, true) }
                    }
                }
            }
            appendDurability(to: &builder)
        }
        _ = try command(request, operation: "create indexes", on: name)
    }
}

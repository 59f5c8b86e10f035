/// An index of a collection.
struct MongoIndex: Sendable, Equatable {
    /// The fields in order, each ascending (1) or descending (-1).
    let keys: [(field: String, direction: Int32)]
    let isUnique: Bool
    /// A field that is true in the documents that stand in the index; nil for all documents.
    let onlyWhere: String?

    init(
        _ keys: [(field: String, direction: Int32)], unique: Bool = false, onlyWhere: String? = nil
    ) {
        self.keys = keys
        self.isUnique = unique
        self.onlyWhere = onlyWhere
    }

    /// The name that the server's own tools would give it.
    var name: String { keys.map { "\($0.field)_\($0.direction)" }.joined(separator: "_") }

    static func == (left: MongoIndex, right: MongoIndex) -> Bool {
        left.name == right.name && left.isUnique == right.isUnique && left.onlyWhere == right.onlyWhere
    }
}

extension MongoClient {
    /// Makes sure that a collection has these indexes; existing ones are left alone.
    func createIndexes(_ indexes: [MongoIndex], on name: MongoNamespace) throws(MongoFailure) {
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

package import ReadModels
internal import Base

extension MongoDocuments: DocumentQueries {
    /// The document with this key; nil when there is none.
    package func document(_ key: String, in collection: String) throws(QueryFailure) -> BSONFields? {
        let declaration = try collections.views.declaration(of: collection)
        return try one(key, in: collection) { (fields) throws(BSONError) in
            try declaration.check(fields)
            return fields
        }
    }

    /// A part of a list.
    package func documents(
        _ list: DocumentList, in collection: String
    ) throws(QueryFailure) -> [BSONFields] {
        let declaration = try collections.views.declaration(of: collection)
        try declaration.require(list.filters, order: list.order)
        if list.page.limit == 0 { return [] }
        var query = MongoFind(
            filter: Self.filter(list.filters), skip: Int64(list.page.offset), limit: Int64(list.page.limit))
        query.sort = BSONDocument { builder in
            let direction: Int32 = list.isDescending ? -1 : 1
            if let order = list.order { builder.append(order, int32: direction) }
            if list.order != declaration.key { builder.append(declaration.key, int32: direction) }
        }
        return try find(query, in: collection) { (fields) throws(BSONError) in
            try declaration.check(fields)
            return fields
        }
    }

    /// How many documents meet all conditions.
    package func count(
        _ filters: [DocumentFilter], in collection: String
    ) throws(QueryFailure) -> Int {
        try collections.views.declaration(of: collection).require(filters)
        return try count(Self.filter(filters), in: collection)
    }

    private static func filter(_ filters: [DocumentFilter]) -> BSONDocument {
        BSONDocument { builder in
            guard !filters.isEmpty else { return }
            builder.append("$and", array: filters) { builder, key, filter in
                builder.append(key) { builder in
                    switch filter {
                    case .text(let field, let text): builder.append(field, text)
                    case .number(let field, let number): builder.append(field, int64: number)
                    case .flag(let field, let flag): builder.append(field, flag)
                    case .since(let field, let time):
                        builder.append(field) { $0.append("$gte", date_ms: time.milliseconds) }
                    case .until(let field, let time):
                        builder.append(field) { $0.append("$lte", date_ms: time.milliseconds) }
                    }
                }
            }
        }
    }
}

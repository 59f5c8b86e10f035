internal import Base
internal import EventSourcing
package import ReadModels

/// One promise of `DocumentQueries`, checked on documents that the case makes.
package struct DocumentQueriesCase: Sendable, CustomStringConvertible {
    /// The promise in a sentence.
    package let description: String
    private let documents: [BSONDocument]
    private let body: @Sendable (any DocumentQueries) throws -> Void

    fileprivate init(
        _ description: String, _ documents: [BSONDocument],
        _ body: @escaping @Sendable (any DocumentQueries) throws -> Void
    ) {
        self.description = description
        self.documents = documents
        self.body = body
    }

    /// Checks it; throws `ContractViolation` or what the queries throw. Blocks.
    /// - Parameter make: queries of these views over these documents, by collection.
    package func check(
        _ make: (ViewSet, [String: [BSONDocument]]) throws -> any DocumentQueries
    ) throws {
        try body(make(DocumentQueriesContract.views, [DocumentQueriesContract.things: documents]))
    }
}

/// What all stores of documents promise to those who ask.
package enum DocumentQueriesContract {
    /// The collection of all cases.
    package static let things = "things"

    /// A view whose documents have a field of each kind that can be asked for.
    package static let views = ViewSet([
        CategoryViews(Category("thing")) { (event) throws(MalformedEvent) in event.subject }
            .showing(
                View<String, ViewIdentity>(
                    .history,
                    in: [
                        ViewCollection(
                            CollectionDeclaration(
                                things, key: "id", history: "id",
                                indexes: ["name", "size", "on", "at", "tags", "owner.name"]
                                    .map { DocumentIndex([($0, 1)]) },
                                check: { (fields) throws(BSONError) in
                                    _ = try fields.string("name")
                                    _ = try fields.int("size")
                                })
                        ) { identity in BSONDocument { $0.append("id", identity.key) } }
                    ],
                    identity: { $0 },
                    begin: { ViewIdentity($0, version: $1.sequence, position: $1.position) },
                    evolve: { $0.version = $2.sequence },
                    read: { (fields) throws(BSONError) in
                        ViewIdentity(try fields.string("id"), version: 1, position: .start(of: 0))
                    }))
    ])

    private static let start: Int64 = 1_700_000_000_000

    private static func thing(
        _ id: String, name: String = "a", size: Int64 = 1, on: Bool = true, at: Int64 = 0,
        tags: [String] = [], owner: String = "ann"
    ) -> BSONDocument {
        BSONDocument { builder in
            builder.append("id", id)
            builder.append("name", name)
            builder.append("size", int64: size)
            builder.append("on", on)
            builder.append("at", date_ms: start + at)
            builder.append("tags", array: tags)
            builder.append("owner") { $0.append("name", owner) }
        }
    }

    private static func ids(
        _ queries: any DocumentQueries, _ filters: [DocumentFilter] = [], by order: String? = nil,
        isDescending: Bool = false, page: Page = Page(limit: 100)
    ) throws -> [String] {
        try queries.documents(
            DocumentList(filters, by: order, isDescending: isDescending, page), in: things
        ).map { fields in try fields.string("id") }
    }

    private static func expectRefused(
        _ field: String, _ body: () throws(QueryFailure) -> Void
    ) throws {
        do { try body() } catch {
            return try expectEqual(error.violation?.field, field, "the field that \(error) names")
        }
        throw ContractViolation(description: "a question by \(field), which no index has, was answered")
    }

    /// The promises.
    package static let cases = [
        DocumentQueriesCase(
            "a document is found by its key, and none by another", [thing("one"), thing("two")]
        ) {
            queries in
            try expectEqual(try queries.document("one", in: things)?.string("id"), "one", "the document")
            try expect(try queries.document("on", in: things) == nil, "a part of a key finds nothing")
            try expect(try queries.document("", in: things) == nil, "no key finds nothing")
        },
        DocumentQueriesCase(
            "each kind of condition finds what it says, and nothing of another type",
            [
                thing("a", name: "x", size: 5, on: true, at: 10, tags: ["red"], owner: "bob"),
                thing("b", name: "5", size: 6, on: false, at: 20, tags: ["red", "blue"], owner: "ann"),
                thing("c", name: "X", size: -5, on: true, at: 30, tags: [], owner: ""),
            ]
        ) { queries in
            func time(_ offset: Int64) -> Timestamp { Timestamp(milliseconds: start + offset) }
            let expected: [([DocumentFilter], [String])] = [
                ([], ["a", "b", "c"]),
                ([.text("name", "x")], ["a"]),
                ([.text("name", "5")], ["b"]),
                ([.number("size", 5)], ["a"]),
                ([.number("size", -5)], ["c"]),
                ([.number("name", 5)], []),
                ([.flag("on", false)], ["b"]),
                ([.since("at", time(20))], ["b", "c"]),
                ([.until("at", time(20))], ["a", "b"]),
                ([.since("at", time(11)), .until("at", time(29))], ["b"]),
                ([.text("tags", "red")], ["a", "b"]),
                ([.text("tags", "blue"), .text("tags", "red")], ["b"]),
                ([.text("owner.name", "ann")], ["b"]),
                ([.text("owner.name", "")], ["c"]),
                ([.flag("on", true), .text("tags", "red")], ["a"]),
                ([.text("name", "$ne"), .text("name", "x")], []),
                ([.since("size", time(0))], []),
            ]
            for (filters, wanted) in expected {
                try expectEqual(try ids(queries, filters), wanted, "\(filters)")
                try expectEqual(try queries.count(filters, in: things), wanted.count, "count \(filters)")
            }
        },
        DocumentQueriesCase(
            "a list is in order, equal ones by their keys, either way, and pages lose none",
            [
                thing("d", size: 2), thing("a", size: 3), thing("c", size: 2), thing("b", size: -1),
                thing("e", size: 2),
            ]
        ) { queries in
            try expectEqual(try ids(queries), ["a", "b", "c", "d", "e"], "by key")
            let ascending = ["b", "c", "d", "e", "a"]
            try expectEqual(try ids(queries, by: "size"), ascending, "ascending")
            try expectEqual(
                try ids(queries, by: "size", isDescending: true), Array(ascending.reversed()), "descending")
            for limit in 1...5 {
                let pages = try stride(from: 0, to: 6, by: limit).flatMap { offset in
                    try ids(queries, by: "size", page: Page(limit: limit, offset: offset))
                }
                try expectEqual(pages, ascending, "pages of \(limit)")
            }
            try expectEqual(try ids(queries, page: Page(limit: 0)), [], "a page of none")
            try expectEqual(try ids(queries, page: Page(limit: 5, offset: 9)), [], "behind the end")
        },
        DocumentQueriesCase("a field that no index has is refused and named", [thing("a")]) { queries in
            try expectRefused("weight") { () throws(QueryFailure) in
                _ = try queries.documents(
                    DocumentList([.number("weight", 1)], Page(limit: 1)), in: things)
            }
            try expectRefused("owner") { () throws(QueryFailure) in
                _ = try queries.documents(DocumentList(by: "owner", Page(limit: 1)), in: things)
            }
            try expectRefused("$where") { () throws(QueryFailure) in
                _ = try queries.count([.text("$where", "true")], in: things)
            }
        },
        DocumentQueriesCase("a collection that no view is shown in is refused", []) { queries in
            for name in ["other", "", "system.users"] {
                do { _ = try queries.document("a", in: name) } catch { continue }
                throw ContractViolation(description: "a question to \(name) was answered")
            }
        },
        DocumentQueriesCase(
            "a document that does not read is left out of lists, and said to be so where it is asked for",
            [thing("a"), BSONDocument { $0.append("id", "spoiled") }, thing("z")]
        ) { queries in
            try expectEqual(try ids(queries), ["a", "z"], "the list")
            do throws(QueryFailure) { _ = try queries.document("spoiled", in: things) } catch {
                return try expect(error.isOfRecord, "\(error) is of the record")
            }
            throw ContractViolation(description: "a document that does not read was answered")
        },
    ]
}

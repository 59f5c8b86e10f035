internal import Base
internal import EventSourcing
package import ReadModels

/// Documents in memory, with the rules by which MongoDB compares values and puts them in order.
package struct InMemoryDocuments: DocumentQueries {
    private let views: ViewSet
    private let documents: [String: [BSONDocument]]

    /// The documents of collections, by the collection's name.
    package init(_ views: ViewSet, _ documents: [String: [BSONDocument]]) {
        self.views = views
        self.documents = documents
    }

    /// The document with this key; nil when there is none.
    package func document(_ key: String, in collection: String) throws(QueryFailure) -> BSONFields? {
        let declaration = try views.declaration(of: collection)
        guard let found = matching([.text(declaration.key, key)], in: collection).first else { return nil }
        do throws(BSONError) { try declaration.check(found) } catch {
            throw QueryFailure(
                "\(collection) \(key): \(error)", isUnreachable: false, remedy: .none, isOfRecord: true)
        }
        return found
    }

    /// A part of a list.
    package func documents(
        _ list: DocumentList, in collection: String
    ) throws(QueryFailure) -> [BSONFields] {
        let declaration = try views.declaration(of: collection)
        try declaration.require(list.filters, order: list.order)
        let fields = [list.order, declaration.key].compactMap { $0 }
        let found = matching(list.filters, in: collection).sorted { left, right in
            for field in fields {
                let (first, second) = (Self.place(of: field, in: left), Self.place(of: field, in: right))
                if first != second { return (first < second) != list.isDescending }
            }
            return false
        }
        return found.dropFirst(list.page.offset).prefix(list.page.limit).filter { document in
            (try? declaration.check(document)) != nil
        }
    }

    /// How many documents meet all conditions.
    package func count(_ filters: [DocumentFilter], in collection: String) throws(QueryFailure) -> Int {
        try views.declaration(of: collection).require(filters)
        return matching(filters, in: collection).count
    }

    private func matching(_ filters: [DocumentFilter], in collection: String) -> [BSONFields] {
        (documents[collection] ?? []).compactMap { try? $0.fields() }.filter { document in
            filters.allSatisfy { filter in
                Self.values(at: filter.field, in: document).contains { filter.isMet(by: $0) }
            }
        }
    }

    /// What stands at a path, and the items of each array there.
    private static func values(at path: String, in document: BSONFields) -> [BSONValue] {
        let steps = path.split(separator: ".", maxSplits: 1).map(String.init)
        guard let first = steps.first, let value = document[first] else { return [] }
        var reached = [value]
        if case .array(let items) = value { reached += items }
        guard steps.count > 1 else { return reached }
        return reached.flatMap { value -> [BSONValue] in
            guard case .document(let inner) = value, let fields = try? inner.fields() else { return [] }
            return values(at: steps[1], in: fields)
        }
    }

    private static func place(of field: String, in document: BSONFields) -> Place {
        values(at: field, in: document).first.map(Place.init) ?? .nothing
    }

    /// Where a value stands among others: by its type first, in the server's order.
    private enum Place: Comparable {
        case nothing
        case number(Double)
        case text(String)
        case other
        case flag(Int)
        case time(Int64)

        init(_ value: BSONValue) {
            self =
                switch value {
                case .null: .nothing
                case .int32(let number): .number(Double(number))
                case .int64(let number): .number(Double(number))
                case .double(let number): .number(number)
                case .string(let text): .text(text)
                case .bool(let flag): .flag(flag ? 1 : 0)
                case .date(let time): .time(time)
                default: .other
                }
        }
    }
}

extension DocumentFilter {
    /// Whether a value is what the condition asks for. A value of another type never is.
    fileprivate func isMet(by value: BSONValue) -> Bool {
        switch (self, value) {
        case (.text(_, let wanted), .string(let text)): text == wanted
        case (.number(_, let wanted), .int32(let number)): Int64(number) == wanted
        case (.number(_, let wanted), .int64(let number)): number == wanted
        case (.number(_, let wanted), .double(let number)): number == Double(wanted)
        case (.flag(_, let wanted), .bool(let flag)): flag == wanted
        case (.since(_, let bound), .date(let time)): time >= bound.milliseconds
        case (.until(_, let bound), .date(let time)): time <= bound.milliseconds
        default: false
        }
    }
}

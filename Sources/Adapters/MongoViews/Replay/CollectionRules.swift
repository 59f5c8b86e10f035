internal import ReadModels

/// What others have set on the collections that are shown: options such as validators and collations, and
/// indexes that are none of ours. A rebuild has the same from its beginning, so that nothing is let in that
/// the shown ones would not let in, and nothing of it is lost when collections change places.
struct CollectionRules {
    private let shown: Collections
    private let built: Collections

    init(from shown: Collections, to built: Collections) {
        self.shown = shown
        self.built = built
    }

    /// Makes the collections of a rebuild that are not there yet. False when one was made with other options:
    /// then what is in it does not count.
    func adopt(_ client: borrowing MongoClient) throws(ProjectionFailure) -> Bool {
        try wrap { () throws(MongoFailure) in
            let facts = try self.facts(client)
            for (from, to) in zip(shown.documents, built.documents) {
                guard let original = facts[from.collection] else { continue }
                if let copy = facts[to.collection] {
                    guard copy.options == original.options else { return false }
                } else {
                    try client.createCollection(to, options: original.options)
                }
                try copyIndexes(from, to, client)
            }
            return true
        }
    }

    /// Takes over what was changed on the shown collections meanwhile, for those at these places.
    func catchUp(_ places: [Int], _ client: borrowing MongoClient) throws(ProjectionFailure) {
        try wrap { () throws(MongoFailure) in
            let facts = try self.facts(client)
            for place in places {
                let (from, to) = (shown.documents[place], built.documents[place])
                guard let original = facts[from.collection] else { continue }
                guard facts[to.collection]?.options == original.options else {
                    let text = "its options were changed while it was built again: start once more"
                    throw MongoFailure(text, kind: .unsuitable, at: client.target("replace collection", from))
                }
                try copyIndexes(from, to, client)
            }
        }
    }

    private func facts(
        _ client: borrowing MongoClient
    ) throws(MongoFailure) -> [String: MongoCollectionFacts] {
        Dictionary(
            try client.collections(in: shown.database).map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    }

    private func copyIndexes(
        _ from: MongoNamespace, _ to: MongoNamespace, _ client: borrowing MongoClient
    ) throws(MongoFailure) {
        let own = Set(
            (shown.indexes.first { $0.0 == from }?.1 ?? []).map(\.name) + ["_id_"])
        let wanted = try client.indexes(of: from).filter { !own.contains($0.name) }
        let present = try client.indexes(of: to).filter { !own.contains($0.name) }
        for index in present where !wanted.contains(index) { try client.dropIndex(index.name, on: to) }
        for index in wanted where !present.contains(index) { try client.createIndex(index, on: to) }
    }
}

package import ReadModels

/// The collections of the read models' database: those of all views, and the checkpoints.
package struct Collections: Sendable {
    /// The views that are shown in them.
    package let views: ViewSet
    /// The collections of documents, in the order of the views.
    package let documents: [MongoNamespace]
    /// How far the projector has come. Here, so that whoever drops the database drops them too and
    /// everything is built again from the log's beginning.
    package let checkpoints: MongoNamespace
    /// Name of the database.
    package let database: String
    /// What their names begin with; empty for those that are shown, so that nobody else's are meant.
    let prefix: String
    /// Id of the rebuild that they belong to; nil for those that are shown.
    let rebuild: String?

    /// The collections that are shown; or, with the id of a rebuild, those that it builds beside them.
    package init(_ views: ViewSet, database: String, rebuild: String? = nil) {
        let prefix = rebuild.map { "\(Self.rebuildPrefix)\($0)_" } ?? ""
        func name(_ collection: String) -> MongoNamespace {
            MongoNamespace(database: database, collection: prefix + collection)
        }
        self.views = views
        self.database = database
        self.prefix = prefix
        self.rebuild = rebuild
        documents = views.collections.map { name($0.name) }
        checkpoints = name("checkpoints")
    }

    /// Those that a rebuild builds beside these.
    func built(by rebuild: String) -> Collections {
        Collections(views, database: database, rebuild: rebuild)
    }

    /// What is declared of them, in the order of `documents`.
    var declarations: [CollectionDeclaration] { views.collections }

    /// A collection of documents by the name that its view gives it.
    package subscript(name: String) -> MongoNamespace {
        MongoNamespace(database: database, collection: prefix + name)
    }

    /// What the names of all collections begin with that are built beside those that are shown.
    package static let rebuildPrefix = "replay_"

    /// The rebuild that a collection belongs to by its name; nil for anybody else's.
    func rebuild(of name: String) -> String? {
        let rest = name.dropFirst(Self.rebuildPrefix.count)
        let id = rest.prefix(16)
        guard name.hasPrefix(Self.rebuildPrefix), id.utf8.count == 16,
            id.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        let own = built(by: String(id))
        return (own.documents + [own.checkpoints]).contains { $0.collection == name } ? String(id) : nil
    }

    /// Drops them all. What others keep in the same database is left alone.
    func drop(_ client: borrowing MongoClient) throws(MongoFailure) {
        for name in documents + [checkpoints] { try client.dropCollection(name) }
    }

    /// The indexes of each collection of documents.
    var indexes: [(MongoNamespace, [DocumentIndex])] {
        Array(zip(documents, declarations.map(\.indexes)))
    }

    /// Places in `documents` of those that show a view whose sums are kept.
    var summed: [Int] {
        declarations.indices.filter { declarations[$0].name == views.totals?.collection.name }
    }
}

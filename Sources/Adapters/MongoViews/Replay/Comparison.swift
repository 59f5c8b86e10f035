internal import EventSourcing
internal import ReadModels

/// Compares the collections that are shown with those that were built beside them.
///
/// A projector goes on writing to the former meanwhile, and what was built ends somewhere in the log. So two
/// documents of one version have to be equal, whenever they are read. Of two versions one side may just be
/// behind; who is wrong follows from how far each side says it has come. What does not follow yet is looked
/// at again (`Suspects`).
struct Comparison {
    /// Documents that are kept to be looked at again; more are counted only.
    static let suspectLimit = 20_000

    let shown: Collections
    let built: Collections
    /// Only the documents of the history with this partition key.
    let history: String?
    /// How far the projector has come, read before its documents are.
    let shownUntil: [Int: LogPosition]
    /// How far what was built has come.
    let builtUntil: [Int: LogPosition]
    private(set) var result = ReadModelComparison()
    private(set) var suspects: [Suspect] = []

    struct Suspect: Hashable {
        let place: Int
        let key: String
        /// Version of the shown document when it was seen last.
        var seenVersion: Int64
    }

    init(
        shown: Collections, built: Collections, history: String?, shownUntil: [Int: LogPosition],
        builtUntil: [Int: LogPosition]
    ) {
        self.shown = shown
        self.built = built
        self.history = history
        self.shownUntil = shownUntil
        self.builtUntil = builtUntil
    }

    /// Goes through one collection on both sides, in the order of the key.
    mutating func compare(
        _ place: Int, _ client: borrowing MongoClient, progress: (Int) throws(ProjectionFailure) -> Void
    ) throws(ProjectionFailure) {
        let collection = shown.declarations[place]
        let query = query(collection)
        let left = try Self.open(query, shown.documents[place], client)
        let right = try Self.open(query, built.documents[place], client)
        var seen = try Self.next(left, collection, client.host)
        var expected = try Self.next(right, collection, client.host)
        while seen != nil || expected != nil {
            let order = Self.order(seen, expected)
            try judge(order <= 0 ? seen : nil, order >= 0 ? expected : nil, place)
            if order >= 0 {
                result.documents += 1
                if result.documents.isMultiple(of: 2_000) { try progress(result.documents) }
                expected = try Self.next(right, collection, client.host)
            }
            if order <= 0 { seen = try Self.next(left, collection, client.host) }
        }
    }

    /// Compares the sums of partitions that both sides have counted up to the same event. Where they are not
    /// known, nothing wrong is shown.
    mutating func compareTotals(_ seen: ProjectedTotals, _ expected: ProjectedTotals) {
        for (partition, built) in expected.known.sorted(by: { $0.key < $1.key }) {
            guard let shown = seen.known[partition], shown.isWhole, shown.position == built.position,
                shown.behind.isEmpty, !shown.agrees(with: built)
            else { continue }
            result.add(
                ReadModelDifference(
                    collection: "checkpoints", key: LogPosition.partitionName(partition),
                    .changed(["totals"])))
        }
    }

    private func query(_ collection: CollectionDeclaration) -> MongoFind {
        var query = MongoFind()
        if let history, let field = collection.history {
            query.filter = BSONDocument { $0.append(field, collection.category.id(of: history)) }
        }
        query.sort = BSONDocument { $0.append(collection.key, int32: 1) }
        query.projection = ComparedDocument.projection
        query.batchSize = 1_000
        return query
    }

    private static func open(
        _ query: MongoFind, _ name: MongoNamespace, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> MongoCursor {
        do { return try client.stream(query, in: name) } catch { throw .database(error) }
    }

    private static func next(
        _ cursor: borrowing MongoCursor, _ collection: CollectionDeclaration, _ host: String
    ) throws(ProjectionFailure) -> ComparedDocument? {
        let document: BSONDocument?
        do { document = try cursor.next() } catch { throw .database(error) }
        guard let document else { return nil }
        do { return try ComparedDocument(document, of: collection) } catch {
            let target = MongoTarget(operation: "compare", collection: collection.name, host: host)
            throw .database(MongoFailure(error, at: target))
        }
    }

    /// Negative when `a` comes first. A document without a key is nobody's partner.
    private static func order(_ a: ComparedDocument?, _ b: ComparedDocument?) -> Int {
        guard let a else { return 1 }
        guard let b, let left = a.key else { return -1 }
        guard let right = b.key else { return 1 }
        if left == right { return 0 }
        return left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
    }

    private mutating func judge(
        _ seen: ComparedDocument?, _ expected: ComparedDocument?, _ place: Int
    ) throws(ProjectionFailure) {
        let collection = shown.documents[place].collection
        let key = seen?.key ?? expected?.key ?? ""
        switch Self.verdict(seen, expected, shownUntil: shownUntil, builtUntil: builtUntil) {
        case .equal: break
        case .differ(let kind):
            result.add(ReadModelDifference(collection: collection, key: key, kind))
            if let seen, seen.version > expected?.version ?? -1 { result.ahead += 1 }
        case .open where suspects.count < Self.suspectLimit:
            suspects.append(Suspect(place: place, key: key, seenVersion: seen?.version ?? -1))
        case .open: result.unsettled += 1
        }
    }

    enum Verdict: Equatable {
        case equal
        case differ(ReadModelDifference.Kind)
        /// One side may be behind.
        case open
    }

    static func verdict(
        _ seen: ComparedDocument?, _ expected: ComparedDocument?, shownUntil: [Int: LogPosition],
        builtUntil: [Int: LogPosition]
    ) -> Verdict {
        switch (seen, expected) {
        case (nil, nil): return .equal
        case (let seen?, let expected?):
            if seen.bytes == expected.bytes { return .equal }
            let versions = (seen.version, expected.version)
            let isExplained =
                versions.0 == versions.1
                || versions.0 < versions.1 && contains(shownUntil, expected.position)
                || versions.0 > versions.1 && contains(builtUntil, seen.position)
            guard isExplained else { return .open }
            return .differ(.changed(ComparedDocument.changes(seen.bytes, expected.bytes)))
        case (let seen?, nil):
            if seen.key == nil || seen.position == nil { return .differ(.extra) }
            return contains(builtUntil, seen.position) ? .differ(.extra) : .open
        case (nil, let expected?):
            return contains(shownUntil, expected.position) ? .differ(.missing) : .open
        }
    }

    /// Whether a side that has come so far contains the event at this place. One that cannot be read tells
    /// nothing.
    private static func contains(_ ends: [Int: LogPosition], _ position: LogPosition?) -> Bool {
        guard let position, let end = ends[position.partition] else { return false }
        return position <= end
    }
}

internal import EventSourcing
internal import ReadModels

/// Puts the documents of one history in the place of those that are shown, in one transaction with the
/// marker. Only what differs is written.
struct HistorySwap {
    /// Documents that one transaction changes; a history in which more parts differ takes several, the state
    /// itself and the marker in the last.
    private static let limit = 2_000

    let shown: Collections
    let built: Collections
    /// Places of the collections that change.
    let places: [Int]
    /// Its partition key.
    let history: String
    let completion: MongoTransaction.Write

    /// False when the hold had ended before.
    func perform(_ client: borrowing MongoClient) throws(ProjectionFailure) -> Bool {
        do throws(MongoFailure) {
            var transaction = MongoTransaction()
            for place in places {
                try add(
                    shown.declarations[place], from: built.documents[place], to: shown.documents[place],
                    &transaction, client)
            }
            try forgetTotals(&transaction, client)
            transaction.writes.append((shown.checkpoints, completion))
            return try client.perform(transaction)
        } catch {
            throw .database(error)
        }
    }

    private func add(
        _ collection: CollectionDeclaration, from source: MongoNamespace, to target: MongoNamespace,
        _ transaction: inout MongoTransaction, _ client: borrowing MongoClient
    ) throws(MongoFailure) {
        let keyName = collection.key
        guard var query = ofHistory(collection) else { return }
        query.sort = BSONDocument { $0.append(keyName, int32: 1) }
        query.projection = ComparedDocument.projection
        let cursor = try client.stream(query, in: source)
        while let document = try cursor.next() {
            guard let key = document.firstField(ifNamed: keyName) else { continue }
            let filter = BSONDocument { $0.append(keyName, key) }
            var same = MongoFind(filter: filter)
            same.projection = ComparedDocument.projection
            same.limit = 1
            let present = try client.stream(same, in: target)
            if try present.next() == document { continue }
            transaction.writes.append((target, .replace(filter: filter, with: document)))
            try flush(&transaction, client)
        }
        query.projection = nil
        let shownCursor = try client.stream(query, in: target)
        while let document = try shownCursor.next() {
            let fields: BSONFields
            do { fields = try document.fields() } catch {
                throw MongoFailure(error, at: client.target("replace history", target))
            }
            if case .string(let key)? = fields[keyName],
                try client.count(BSONDocument { $0.append(keyName, key) }, in: source) > 0
            {
                continue
            }
            guard let id = BSONFields.identity(fields["_id"]).filter else { continue }
            transaction.writes.append((target, .delete(filter: id)))
            try flush(&transaction, client)
        }
    }

    private func ofHistory(_ collection: CollectionDeclaration) -> MongoFind? {
        collection.history.map { field in
            MongoFind(filter: BSONDocument { $0.append(field, collection.category.id(of: history)) })
        }
    }

    /// Where the history adds something else to the sums of its partition than it did, they are not known any
    /// more, until everything is built again.
    private func forgetTotals(
        _ transaction: inout MongoTransaction, _ client: borrowing MongoClient
    ) throws(MongoFailure) {
        guard let totals = shown.views.totals, totals.collection.category.contains(history),
            let query = ofHistory(totals.collection)
        else { return }
        let before = try client.findOne(
            query, in: shown[totals.collection.name], passingOver: ForeignDocuments(), totals.stored)
        let after = try client.findOne(query, in: built[totals.collection.name], totals.stored)
        guard let position = (after ?? before)?.position,
            PartitionTotals(of: before?.share) != PartitionTotals(of: after?.share)
        else { return }
        let partition = LogPosition.partitionName(position.partition)
        let filter = BSONDocument { builder in
            builder.append("_id", "\(MongoReadModels.subscription.name)/\(partition)")
            builder.append("totals") { $0.append("$exists", true) }
        }
        guard try client.count(filter, in: shown.checkpoints) > 0 else { return }
        let update = BSONDocument { builder in builder.append("$unset") { $0.append("totals", "") } }
        transaction.writes.append((shown.checkpoints, .update(filter: filter, with: update)))
    }

    private func flush(
        _ transaction: inout MongoTransaction, _ client: borrowing MongoClient
    ) throws(MongoFailure) {
        guard transaction.writes.count >= Self.limit else { return }
        _ = try client.perform(transaction)
        transaction.writes = []
    }
}

internal import EventSourcing
internal import Recording

/// Puts the documents of one session in the place of those that are shown, in one transaction with the
/// marker. Only what differs is written.
struct SessionSwap {
    /// Documents that one transaction changes; a session in which more chunks differ takes several, the
    /// session itself and the marker in the last.
    private static let limit = 2_000

    let shown: Collections
    let built: Collections
    let session: String
    let completion: MongoTransaction.Write

    /// False when the hold had ended before.
    func perform(_ client: borrowing MongoClient) throws(ProjectionFailure) -> Bool {
        do throws(MongoFailure) {
            var transaction = MongoTransaction()
            for (target, source) in zip(shown.documents, built.documents) where target != shown.audit {
                try add(from: source, to: target, &transaction, client)
            }
            try forgetTotals(&transaction, client)
            transaction.writes.append((shown.checkpoints, completion))
            return try client.perform(transaction)
        } catch {
            throw .database(error)
        }
    }

    private func add(
        from source: MongoNamespace, to target: MongoNamespace, _ transaction: inout MongoTransaction,
        _ client: borrowing MongoClient
    ) throws(MongoFailure) {
        let keyName = Comparison.keyName(target.collection)
        var query = MongoFind(filter: BSONDocument { $0.append("session_id", session) })
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
                throw MongoFailure(error, at: client.target("replace session", target))
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

    /// Where the session adds something else to the sums of its partition than it did, they are not known any
    /// more, until everything is built again.
    private func forgetTotals(
        _ transaction: inout MongoTransaction, _ client: borrowing MongoClient
    ) throws(MongoFailure) {
        let query = MongoFind(filter: BSONDocument { $0.append("session_id", session) })
        let before = try client.findOne(
            query, in: shown.folds, passingOver: ForeignDocuments(), SessionFold.init)
        let after = try client.findOne(query, in: built.folds, SessionFold.init)
        guard let position = (after ?? before)?.session.logPosition,
            PartitionTotals(of: before) != PartitionTotals(of: after)
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

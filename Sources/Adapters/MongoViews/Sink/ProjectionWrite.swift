internal import EventSourcing
internal import ReadModels

/// Everything that one or several batches changed, as values: what is to be written, and the positions that
/// may be saved once it is.
struct ProjectionWrite: Sendable {
    /// In the order in which they are written.
    let views: [any ViewWrite]
    let ends: [LogPosition]
    /// The sums as they are at these positions.
    let totals: ProjectedTotals?
    let subscription: String
    let fences: [Int: Fence]
    let instance: String
    /// Which rebuild the read models came from when the first of the events was read.
    let generation: String
    let store: Checkpoints

    /// Writes the documents, those that keep a state last, so that whatever a stored state contains was
    /// stored in the other collections before; then the checkpoints.
    func perform(_ client: borrowing MongoClient) throws(ProjectionFailure) {
        try RebuildMarker(store.collections).require(generation, client)
        for view in views {
            for (place, collection) in view.collections.enumerated() {
                try put(view.documents(in: place), collection, client)
            }
        }
        try store.save(subscription, ends, with: totals, under: fences, instance: instance, client)
    }

    /// Stores documents. When one is not let in, whatever contains the same events must not be stored either,
    /// and no checkpoint may pass them.
    private func put(
        _ documents: [DocumentWrite], _ collection: CollectionDeclaration, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        let name = store.collections[collection.name]
        let refused = try wrap { () throws(MongoFailure) in
            try client.store(documents, by: collection.key, in: name)
        }
        guard let first = refused.first else { return }
        let document = documents[first.place]
        throw .refused(first.failure, key: document.history, position: document.since)
    }
}

extension MongoPool {
    /// Lends a client to work that fails as a projection does.
    func withProjectionClient<Answer>(
        _ body: (borrowing MongoClient) throws(ProjectionFailure) -> Answer
    ) throws(ProjectionFailure) -> Answer {
        var answer: Result<Answer, ProjectionFailure>?
        try wrap { () throws(MongoFailure) in
            try withClient { (client) throws(MongoFailure) in
                do throws(ProjectionFailure) { answer = .success(try body(client)) } catch {
                    answer = .failure(error)
                }
            }
        }
        guard let answer else { preconditionFailure("withClient runs its body or throws") }
        return try answer.get()
    }
}

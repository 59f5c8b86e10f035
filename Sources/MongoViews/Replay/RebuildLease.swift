internal import EventSourcing
internal import Recording

/// Who rebuilds, and what: one document beside the checkpoints, so that there is one rebuild at a time and
/// the next one finds what an interrupted one left.
struct RebuildLease: Sendable {
    private static let id = "rebuild"

    let collections: Collections
    /// This process's part in it; new for every rebuild object, so that no two are taken for one.
    let owner: String
    /// How long a rebuild that says nothing is taken for running.
    var lease_ms: Int64 = 6_000

    /// What the document says of the last rebuild.
    struct Run: Equatable {
        var id: String
        /// What is rebuilt, and by which version of the program: only the same goes on with it.
        var plan: String
    }

    /// Takes the lease; false while somebody else has it.
    func take(_ client: borrowing MongoClient) throws(ProjectionFailure) -> Bool {
        // Where it is there already, or another one makes it first, that one stays.
        _ = try wrap { () throws(MongoFailure) in
            try client.bulkWrite(
                [.insert(BSONDocument { $0.append("_id", Self.id) })], to: collections.checkpoints)
        }
        let filter = BSONDocument { builder in
            builder.append("_id", Self.id)
            builder.append("$expr") { builder in
                builder.append("$not") { $0.append("$gt", array: ["$until", "$$NOW"]) }
            }
        }
        return try change(client, filter)
    }

    /// Keeps the lease; false when it was lost.
    func renew(_ client: borrowing MongoClient) throws(ProjectionFailure) -> Bool {
        try change(client, ours)
    }

    private var ours: BSONDocument {
        BSONDocument { builder in
            builder.append("_id", Self.id)
            builder.append("owner", owner)
        }
    }

    private func change(
        _ client: borrowing MongoClient, _ filter: BSONDocument
    ) throws(ProjectionFailure) -> Bool {
        let stage = BSONDocument { builder in
            builder.append("$set") { builder in
                builder.append("owner", owner)
                builder.append("until") { builder in
                    builder.append("$add", array: [true, false]) { builder, key, isNow in
                        if isNow {
                            builder.append(key, "$$NOW")
                        } else {
                            builder.append(key, int64: lease_ms)
                        }
                    }
                }
            }
        }
        return try wrap { () throws(MongoFailure) in
            try client.updateOne(filter, with: stage, in: collections.checkpoints)
        }
    }

    /// The rebuild that was begun last and neither ended nor was thrown away.
    func run(_ client: borrowing MongoClient) throws(ProjectionFailure) -> Run? {
        let found = try wrap { () throws(MongoFailure) in
            try client.findOne(MongoFind(filter: ours), in: collections.checkpoints) {
                (fields) throws(BSONError) -> Run? in
                // What does not read is nothing to go on with.
                guard let id = try? fields.string("run"), let plan = try? fields.string("plan") else {
                    return nil
                }
                return Run(id: id, plan: plan)
            }
        }
        return found.flatMap { $0 }
    }

    /// Names the rebuild that is going on; with nil there is none any more, and the lease is given back.
    func note(_ run: Run?, _ client: borrowing MongoClient) throws(ProjectionFailure) {
        let update = BSONDocument { builder in
            if let run {
                builder.append("$set") { builder in
                    builder.append("run", run.id)
                    builder.append("plan", run.plan)
                }
            } else {
                builder.append("$unset") { builder in
                    for name in ["run", "plan", "until", "owner"] { builder.append(name, "") }
                }
            }
        }
        _ = try wrap { () throws(MongoFailure) in
            try client.bulkWrite(
                [.update(filter: ours, with: update, upsert: false)], to: collections.checkpoints)
        }
    }

    /// Gives the lease back and leaves what was built for the next rebuild of the same plan.
    func giveBack(_ client: borrowing MongoClient) throws(ProjectionFailure) {
        let update = BSONDocument { builder in
            builder.append("$unset") { builder in
                builder.append("until", "")
                builder.append("owner", "")
            }
        }
        _ = try wrap { () throws(MongoFailure) in
            try client.bulkWrite(
                [.update(filter: ours, with: update, upsert: false)], to: collections.checkpoints)
        }
    }
}

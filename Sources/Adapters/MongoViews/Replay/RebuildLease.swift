internal import Base
internal import EventSourcing
internal import ReadModels

/// Who rebuilds, since when, what, and how far it is: one document beside the checkpoints, so that there is
/// one rebuild at a time, whoever finds it knows whose, and the next one finds what an interrupted one left.
struct RebuildLease: Sendable {
    private static let id = "rebuild"
    /// What the document says of whoever is at work, and nothing of what was built.
    private static let work = ["owner", "worker", "since", "until", "progress"]

    let collections: Collections
    /// This process's part in it; new for every rebuild object, so that no two are taken for one.
    let owner: String
    /// Who that is, for people.
    let worker: String
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
        return try change(client, filter) { builder in
            builder.append("worker", worker)
            builder.append("since", "$$NOW")
            // What somebody else said of his work is not this one's.
            builder.append("progress", "$$REMOVE")
        }
    }

    /// Keeps the lease, and says how far the work is; false when it was lost.
    func renew(
        _ progress: RebuildProgress?, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> Bool {
        try change(client, ours) { builder in
            guard let progress else { return }
            builder.append("progress") { builder in
                builder.append("step", progress.step.rawValue)
                builder.append("events", int64: Int64(progress.events))
                builder.append("total", int64: Int64(progress.total))
            }
        }
    }

    /// Who has the lease at this moment; nil when nobody has.
    func holder(_ client: borrowing MongoClient) throws(ProjectionFailure) -> RunningRebuild? {
        try wrap { () throws(MongoFailure) in
            let lasts = BSONDocument { builder in
                builder.append("_id", Self.id)
                builder.append("$expr") { $0.append("$gt", array: ["$until", "$$NOW"]) }
            }
            var query = MongoFind(filter: lasts)
            query.projection = BSONDocument { builder in
                for name in ["worker", "since", "progress", "until"] { builder.append(name, int32: 1) }
                builder.append("left_ms") { $0.append("$subtract", array: ["$until", "$$NOW"]) }
            }
            return try client.findOne(query, in: collections.checkpoints, Self.read)
        }
    }

    private static func read(_ fields: BSONFields) throws(BSONError) -> RunningRebuild {
        // Versions that did not say who they are, nor how far, are to be met, too.
        RunningRebuild(
            worker: (try? fields.string("worker")) ?? "a process of another version",
            since: (try? fields.date_ms("since")).flatMap { Timestamp(exactly: $0) },
            progress: (try? fields.document("progress")).flatMap(Self.progress),
            until: Timestamp(milliseconds: try fields.date_ms("until")),
            left_ms: Int(clamping: try fields.int("left_ms")))
    }

    private static func progress(_ fields: BSONFields) -> RebuildProgress? {
        guard let step = (try? fields.string("step")).flatMap({ RebuildProgress.Step(rawValue: $0) }),
            let events = try? fields.int("events"), let total = try? fields.int("total")
        else { return nil }
        return RebuildProgress(step: step, events: Int(clamping: events), total: Int(clamping: total))
    }

    private var ours: BSONDocument {
        BSONDocument { builder in
            builder.append("_id", Self.id)
            builder.append("owner", owner)
        }
    }

    private func change(
        _ client: borrowing MongoClient, _ filter: BSONDocument, _ more: (inout BSONBuilder) -> Void
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
                more(&builder)
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
                    for name in Self.work + ["run", "plan"] { builder.append(name, "") }
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
                for name in Self.work { builder.append(name, "") }
            }
        }
        _ = try wrap { () throws(MongoFailure) in
            try client.bulkWrite(
                [.update(filter: ours, with: update, upsert: false)], to: collections.checkpoints)
        }
    }
}

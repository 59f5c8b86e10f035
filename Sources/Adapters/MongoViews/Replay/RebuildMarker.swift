internal import ReadModels

/// What the marker of the read models says about rebuilds: who holds them, which swap has begun, and which
/// rebuild they came from. All times are the server's, so that no machine's clock matters.
///
/// A hold that ran out counts for nothing. A swap that has begun is finished by whoever finds it: the next
/// projector, or the next rebuild. Every step of it can be done again, and names only collections of its
/// own rebuild, so that a process that was stopped for long can do no harm when it wakes up.
struct RebuildMarker: Sendable {
    let collections: Collections

    init(_ collections: Collections) {
        self.collections = collections
    }

    struct State: Equatable {
        /// Id of the last rebuild that was swapped in; empty before the first.
        var generation = ""
        /// Who holds the read models; nil when nobody does, or the hold ran out.
        var holder: String?
        var swap: Swap?
    }

    struct Swap: Equatable {
        let rebuild: String
        /// The collections that change places, without prefix.
        let collections: [String]
    }

    func state(_ client: borrowing MongoClient) throws(ProjectionFailure) -> State {
        let found = try wrap { () throws(MongoFailure) in
            var query = MongoFind(filter: Self.isMarker)
            query.projection = BSONDocument { builder in
                for name in ["generation", "hold", "swap"] { builder.append(name, int32: 1) }
                builder.append("is_held", Self.holdLasts)
            }
            return try client.findOne(query, in: collections.checkpoints, Self.read)
        }
        return found ?? State()
    }

    /// What does not read says nothing.
    private static func read(_ fields: BSONFields) throws(BSONError) -> State {
        var state = State()
        state.generation = (try? fields.string("generation")) ?? ""
        if try fields.bool("is_held") { state.holder = try? fields.document("hold").string("by") }
        if let swap = try? fields.document("swap"), let rebuild = try? swap.string("rebuild"),
            let collections = try? swap.strings("collections")
        {
            state.swap = Swap(rebuild: rebuild, collections: collections)
        }
        return state
    }

    /// Takes out a swap or a hold that does not read: nobody could ever end it.
    func mend(_ client: borrowing MongoClient) throws(ProjectionFailure) {
        let members = [
            ("swap", ["swap.rebuild": "string", "swap.collections": "array"]),
            ("hold", ["hold.by": "string", "hold.until": "date"]),
        ]
        let writes = members.map { member, types in
            let filter = BSONDocument { builder in
                builder.append("_id", Checkpoints.markerID)
                builder.append(member) { $0.append("$exists", true) }
                builder.append("$or", array: types.sorted { $0.key < $1.key }) { builder, key, item in
                    builder.append(key) { builder in
                        builder.append(item.key) { $0.append("$not") { $0.append("$type", item.value) } }
                    }
                }
            }
            let update = BSONDocument { builder in builder.append("$unset") { $0.append(member, "") } }
            return MongoWrite.update(filter: filter, with: update, upsert: false)
        }
        _ = try wrap { () throws(MongoFailure) in
            try client.bulkWrite(writes, to: collections.checkpoints)
        }
    }

    /// Before anybody begins: finishes a swap that was left half done. One whose hold still lasts is being
    /// carried out.
    func finishAbandoned(_ client: borrowing MongoClient) throws(ProjectionFailure) {
        let state = try state(client)
        if state.holder == nil, let swap = state.swap { try finish(swap, client) }
    }

    /// Before a projector writes: throws while the read models are held, and when they are no longer those
    /// that its memory comes from. Looked at after its events were read, so that whatever it writes all the
    /// same stood in the log before a hold that it did not see.
    func require(_ generation: String, _ client: borrowing MongoClient) throws(ProjectionFailure) {
        let state = try state(client)
        if let holder = state.holder ?? state.swap?.rebuild { throw .held(by: holder) }
        guard state.generation == generation else { throw .replaced(database: collections.database) }
    }

    /// Holds the read models for a while; false when another rebuild does, or is being swapped in.
    func hold(
        by rebuild: String, milliseconds: Int, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) -> Bool {
        let filter = BSONDocument { builder in
            builder.append("_id", Checkpoints.markerID)
            builder.appendNull("swap")
            builder.append("$or", array: [true, false]) { builder, key, isOurs in
                builder.append(key) { builder in
                    if isOurs {
                        builder.append("hold.by", rebuild)
                    } else {
                        builder.append("$expr") { $0.append("$not") { Self.holdLasts(&$0) } }
                    }
                }
            }
        }
        return try change(client, filter) { builder in
            builder.append("$set") { builder in
                builder.append("hold") { builder in
                    builder.append("by", rebuild)
                    builder.append("until") { builder in
                        builder.append("$add", array: [true, false]) { builder, key, isNow in
                            if isNow {
                                builder.append(key, "$$NOW")
                            } else {
                                builder.append(key, int64: Int64(milliseconds))
                            }
                        }
                    }
                }
            }
        }
    }

    /// The point of no return: false, and nothing changed, when the hold has ended before.
    func begin(_ swap: Swap, _ client: borrowing MongoClient) throws(ProjectionFailure) -> Bool {
        try change(client, stillHeld(by: swap.rebuild)) { builder in
            builder.append("$set") { builder in
                builder.append("swap") { builder in
                    builder.append("rebuild", swap.rebuild)
                    builder.append("collections", array: swap.collections)
                }
            }
        }
    }

    /// Lets projectors go on; they forget what they kept in memory when `rebuild` is now what is shown.
    func release(_ rebuild: String, _ client: borrowing MongoClient) throws(ProjectionFailure) {
        let filter = BSONDocument { builder in
            builder.append("_id", Checkpoints.markerID)
            builder.append("hold.by", rebuild)
            builder.appendNull("swap")
        }
        _ = try change(client, filter) { $0.append("$unset", array: ["hold"]) }
    }

    /// Carries out a swap that has begun, from wherever it was left.
    func finish(_ swap: Swap, _ client: borrowing MongoClient) throws(ProjectionFailure) {
        let built = collections.built(by: swap.rebuild)
        for (from, to) in zip(built.documents, collections.documents)
        where swap.collections.contains(to.collection) {
            // One that is not there has got its new name before.
            _ = try wrap { () throws(MongoFailure) in try client.rename(from, to: to) }
        }
        let uuids = try CollectionIntegrity(collections).uuids(client)
        let isSummed = collections.summed.contains {
            swap.collections.contains(collections.documents[$0].collection)
        }
        if isSummed { try moveTotals(of: swap.rebuild, from: built, client) }
        let filter = BSONDocument { builder in
            builder.append("_id", Checkpoints.markerID)
            builder.append("swap.rebuild", swap.rebuild)
        }
        let update = BSONDocument { builder in
            builder.append("$set") { builder in
                builder.append("generation", swap.rebuild)
                builder.append("uuids", uuids)
                if isSummed { builder.append("totals_lineage", swap.rebuild) }
                if swap.collections.count == collections.documents.count {
                    builder.append("format", int32: Checkpoints.format)
                }
            }
            builder.append("$unset") { builder in
                builder.append("hold", "")
                builder.append("swap", "")
            }
            builder.append("$pullAll") { $0.append("lost", array: swap.collections) }
        }
        try wrap { () throws(MongoFailure) in
            _ = try client.bulkWrite(
                [.update(filter: filter, with: update, upsert: false)], to: collections.checkpoints)
            try built.drop(client)
        }
    }

    /// Puts the sums that were built beside the checkpoints that stay. Somebody who wakes up late finds them
    /// there, or, after yet another rebuild, leaves some that no lineage is asked for.
    private func moveTotals(
        of rebuild: String, from built: Collections, _ client: borrowing MongoClient
    ) throws(ProjectionFailure) {
        guard let names = collections.views.totals?.names else { return }
        try wrap { () throws(MongoFailure) in
            let query = MongoFind(
                filter: BSONDocument { builder in
                    builder.append("totals") { $0.append("$exists", true) }
                })
            let found = try client.find(query, in: built.checkpoints) { (fields) throws(BSONError) in
                (
                    id: try fields.string("_id"),
                    totals: try? PartitionTotals(try fields.document("totals"), names)
                )
            }
            let updates = found.compactMap { found -> MongoWrite? in
                guard let totals = found.totals else { return nil }
                let filter = BSONDocument { builder in
                    builder.append("_id", found.id)
                    builder.append("totals.lineage") { $0.append("$ne", rebuild) }
                }
                let update = BSONDocument { builder in
                    builder.append("$set") { builder in
                        builder.append("totals") { totals.append(to: &$0, names, lineage: rebuild) }
                    }
                }
                return MongoWrite.update(filter: filter, with: update, upsert: false)
            }
            _ = try client.bulkWrite(updates, to: collections.checkpoints)
        }
    }

    /// What a transaction changes in the marker when it has put a history's documents in place itself.
    func completion(of rebuild: String) -> MongoTransaction.Write {
        let update = BSONDocument { builder in
            builder.append("$set") { $0.append("generation", rebuild) }
            builder.append("$unset") { $0.append("hold", "") }
        }
        return .update(filter: stillHeld(by: rebuild), with: update)
    }

    private func stillHeld(by rebuild: String) -> BSONDocument {
        BSONDocument { builder in
            builder.append("_id", Checkpoints.markerID)
            builder.append("hold.by", rebuild)
            builder.appendNull("swap")
            builder.append("$expr", Self.holdLasts)
        }
    }

    private static let isMarker = BSONDocument { $0.append("_id", Checkpoints.markerID) }

    private static func holdLasts(_ builder: inout BSONBuilder) {
        builder.append("$gt", array: ["$hold.until", "$$NOW"])
    }

    /// Updates one document by an aggregation stage, which knows the server's time.
    private func change(
        _ client: borrowing MongoClient, _ filter: BSONDocument, _ stage: (inout BSONBuilder) -> Void
    ) throws(ProjectionFailure) -> Bool {
        try wrap { () throws(MongoFailure) in
            try client.updateOne(filter, with: BSONDocument(stage), in: collections.checkpoints)
        }
    }
}

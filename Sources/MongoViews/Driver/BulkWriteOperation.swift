internal import Arithmetic
internal import CMongo

/// One write of a bulk.
enum MongoWrite: Sendable, Equatable {
    case insert(BSONDocument)
    /// Puts a whole document in the place of the one that the filter finds.
    case replace(filter: BSONDocument, with: BSONDocument, upsert: Bool)
    /// Applies update operators to the one document that the filter finds.
    case update(filter: BSONDocument, with: BSONDocument, upsert: Bool)
}

/// What became of a bulk whose writes all either took effect or met a document that was there already.
struct MongoBulkOutcome: Sendable, Equatable {
    var inserted: Int64 = 0
    /// Documents that the filters of replacements and updates found.
    var matched: Int64 = 0
    /// Documents that replacements and updates with `upsert` made.
    var upserted: Int64 = 0
    /// Places in the given writes of those refused by a unique index, ascending. For an insert or a
    /// guarded upsert that means: a document with this key exists and the guard did not let it be replaced.
    var duplicates: [Int] = []
}

extension MongoClient {
    /// Carries out all writes in any order, acknowledged by a majority that has them in its journal.
    ///
    /// Duplicate keys are reported by place and do not stop the other writes. Any other refused write, and
    /// any lack of acknowledgement, is thrown; the other writes may then have taken effect all the same.
    func bulkWrite(
        _ writes: [MongoWrite], to name: MongoNamespace
    ) throws(MongoFailure) -> MongoBulkOutcome {
        if writes.isEmpty { return MongoBulkOutcome() }
        let options = BSONDocument { builder in
            builder.append("ordered", false)
            appendDurability(to: &builder)
        }
        let target = target("bulk write", name)
        return try withCollection(name) { (collection) throws(MongoFailure) in
            let bulk = options.withBSON {
                mongoc_collection_create_bulk_operation_with_opts(collection, $0)
            }
            guard let bulk else { throw MongoFailure("no bulk handle", at: target) }
            defer { mongoc_bulk_operation_destroy(bulk) }
            for write in writes {
                var error = bson_error_t()
                guard Self.add(write, to: bulk, &error) else { throw MongoFailure(error, at: target) }
            }
            var error = bson_error_t()
            let (serverID, reply) = BSONDocument.reply { mongoc_bulk_operation_execute(bulk, $0, &error) }
            var outcome = try Self.outcome(of: reply, succeeded: serverID != 0, error, at: target)
            outcome.duplicates.removeAll { !writes.indices.contains($0) }
            try Self.check(outcome, accountsFor: writes, at: target)
            return outcome
        }
    }

    /// Every write but an update without upsert leaves a trace in the reply; a missing trace means that a
    /// part of the bulk was never acknowledged.
    private static func check(
        _ outcome: MongoBulkOutcome, accountsFor writes: [MongoWrite], at target: MongoTarget
    ) throws(MongoFailure) {
        var expected = 0
        for write in writes {
            switch write {
            case .insert, .replace(_, _, upsert: true), .update(_, _, upsert: true): expected += 1
            case .replace, .update: break
            }
        }
        let seen =
            outcome.inserted +| outcome.matched +| outcome.upserted +| Int64(outcome.duplicates.count)
        guard seen >= expected else {
            let text = "only \(seen) of \(expected) writes were acknowledged"
            throw MongoFailure(text, isTransient: true, at: target)
        }
    }

    private static let upsert = BSONDocument { $0.append("upsert", true) }

    private static func add(
        _ write: MongoWrite, to bulk: OpaquePointer, _ error: inout bson_error_t
    ) -> Bool {
        switch write {
        case .insert(let document):
            return document.withBSON { mongoc_bulk_operation_insert_with_opts(bulk, $0, nil, &error) }
        case .replace(let filter, let document, let isUpsert):
            return lend(filter, document, isUpsert) {
                mongoc_bulk_operation_replace_one_with_opts(bulk, $0, $1, $2, &error)
            }
        case .update(let filter, let document, let isUpsert):
            return lend(filter, document, isUpsert) {
                mongoc_bulk_operation_update_one_with_opts(bulk, $0, $1, $2, &error)
            }
        }
    }

    private static func lend(
        _ filter: BSONDocument, _ document: BSONDocument, _ isUpsert: Bool,
        _ body: (OpaquePointer, OpaquePointer, OpaquePointer) -> Bool
    ) -> Bool {
        filter.withBSON { filter in
            document.withBSON { document in
                (isUpsert ? upsert : .empty).withBSON { body(filter, document, $0) }
            }
        }
    }

    /// Tells guard misses from errors. libmongoc reports any refused write as a failed bulk.
    private static func outcome(
        of reply: BSONDocument, succeeded: Bool, _ error: bson_error_t, at target: MongoTarget
    ) throws(MongoFailure) -> MongoBulkOutcome {
        var outcome = MongoBulkOutcome()
        var refusals: [BSONFields] = []
        do throws(BSONError) {
            let fields = try reply.fields()
            if !fields.isNull("nInserted") {
                outcome.inserted = try fields.int("nInserted")
                outcome.matched = try fields.int("nMatched")
                outcome.upserted = try fields.int("nUpserted")
            }
            if succeeded { return outcome }
            if !fields.isNull("writeErrors") {
                for case .document(let refusal) in try fields.array("writeErrors") {
                    refusals.append(try refusal.fields())
                }
            }
            for refusal in refusals where try refusal.int("code") == Int64(MongoFailure.duplicateKey) {
                outcome.duplicates.append(Int(clamping: try refusal.int("index")))
            }
        } catch {
            throw MongoFailure(error, at: target)
        }
        // Anything but a bulk that failed for its duplicate keys alone is an error: a lost connection, a
        // missing majority, or another refusal beside the duplicates.
        guard outcome.duplicates.count == refusals.count, !refusals.isEmpty,
            error.code == MongoFailure.duplicateKey
        else {
            throw refusal(among: refusals, at: target) ?? MongoFailure(error, reply: reply, at: target)
        }
        outcome.duplicates.sort()
        return outcome
    }

    /// The first refusal that is not about a duplicate key.
    private static func refusal(among refusals: [BSONFields], at target: MongoTarget) -> MongoFailure? {
        for refusal in refusals {
            guard case .int32(let code) = refusal["code"], case .string(let text) = refusal["errmsg"],
                UInt32(bitPattern: code) != MongoFailure.duplicateKey
            else { continue }
            return MongoFailure(text, code: UInt32(bitPattern: code), at: target)
        }
        return nil
    }
}

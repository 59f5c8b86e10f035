internal import Base
internal import CMongo
package import ReadModels

/// One write of a bulk.
package enum MongoWrite: Sendable, Equatable {
    /// Adds a document.
    case insert(BSONDocument)
    /// Puts a whole document in the place of the one that the filter finds.
    case replace(filter: BSONDocument, with: BSONDocument, upsert: Bool)
    /// Applies update operators to the one document that the filter finds.
    case update(filter: BSONDocument, with: BSONDocument, upsert: Bool)
}

extension MongoWrite {
    /// The text that a field has in the inserted document, or in the filter.
    func key(_ name: String) -> String? {
        let document: BSONDocument
        switch self {
        case .insert(let inserted): document = inserted
        case .replace(let filter, _, _), .update(let filter, _, _): document = filter
        }
        if let first = document.firstField(ifNamed: name) { return first }
        return try? document.fields().string(name)
    }
}

/// What became of a bulk whose writes the server has all judged.
package struct MongoBulkOutcome: Sendable, Equatable {
    var inserted: Int64 = 0
    /// Documents that the filters of replacements and updates found.
    var matched: Int64 = 0
    /// Documents that replacements and updates with `upsert` made.
    var upserted: Int64 = 0
    /// Places in the given writes of those that met a document of the same key, ascending. For an insert or
    /// a guarded upsert that means: a document with this key exists and the guard did not let it be replaced.
    package var duplicates: [Int] = []
    /// Writes that rules of others did not let in: their unique indexes, validators, size.
    var refused: [MongoRefusal] = []
}

/// One write that was refused for what it is about.
struct MongoRefusal: Sendable, Equatable {
    /// Its place in the given writes.
    let place: Int
    let failure: MongoFailure
}

extension MongoClient {
    /// Carries out all writes in any order, acknowledged by a majority that has them in its journal.
    ///
    /// Writes that meet a document of the same key are reported by place and do not stop the others. Any
    /// other refused write, and any lack of acknowledgement, is thrown; the other writes may then have taken
    /// effect all the same.
    /// - Parameter key: the field whose unique index says that a document is there already.
    package func bulkWrite(
        _ writes: [MongoWrite], to name: MongoNamespace, key: String = "_id"
    ) throws(MongoFailure) -> MongoBulkOutcome {
        let outcome = try bulkWriteEach(writes, to: name, key: key)
        if let first = outcome.refused.first { throw first.failure }
        return outcome
    }

    /// The same, and answers which writes were refused by rules of others instead of throwing.
    func bulkWriteEach(
        _ writes: [MongoWrite], to name: MongoNamespace, key: String = "_id"
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
            var outcome = try Self.outcome(of: reply, at: target)
            if serverID == 0 {
                try Self.judge(reply, error, writes, key: key, at: target, &outcome)
            }
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
            outcome.inserted +| outcome.matched +| outcome.upserted
            +| Int64(outcome.duplicates.count +| outcome.refused.count)
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

    private static func outcome(
        of reply: BSONDocument, at target: MongoTarget
    ) throws(MongoFailure) -> MongoBulkOutcome {
        var outcome = MongoBulkOutcome()
        do throws(BSONError) {
            let fields = try reply.fields()
            if fields.isNull("nInserted") { return outcome }
            outcome.inserted = try fields.int("nInserted")
            outcome.matched = try fields.int("nMatched")
            outcome.upserted = try fields.int("nUpserted")
            return outcome
        } catch {
            throw MongoFailure(error, at: target)
        }
    }

    /// Tells guard misses, and refusals that are about a document, from failures of the whole bulk. libmongoc
    /// reports any refused write as a failed bulk.
    private static func judge(
        _ reply: BSONDocument, _ error: bson_error_t, _ writes: [MongoWrite], key: String,
        at target: MongoTarget, _ outcome: inout MongoBulkOutcome
    ) throws(MongoFailure) {
        let whole = MongoFailure(error, reply: reply, at: target)
        var refusals: [(place: Int, failure: MongoFailure, fields: BSONFields)] = []
        var isUnconfirmed = false
        do throws(BSONError) {
            let fields = try reply.fields()
            if !fields.isNull("writeConcernErrors") {
                isUnconfirmed = try !fields.array("writeConcernErrors").isEmpty
            }
            if !fields.isNull("writeErrors") {
                for case .document(let refusal) in try fields.array("writeErrors") {
                    let fields = try refusal.fields()
                    let code = UInt32(truncatingIfNeeded: try fields.int("code"))
                    let text = (try? fields.string("errmsg")) ?? "refused"
                    refusals.append(
                        (
                            Int(clamping: try fields.int("index")),
                            MongoFailure(text, code: code, at: target), fields
                        ))
                }
            }
        } catch {
            throw MongoFailure(error, at: target)
        }
        if isUnconfirmed {
            throw MongoFailure("no majority has confirmed it", isTransient: true, at: target)
        }
        // A lost connection or a missing majority, or refusals that no document is to blame for.
        let isOfWrites = refusals.contains { $0.failure.code == whole.code }
        guard !refusals.isEmpty, isOfWrites else { throw whole }
        if let other = refusals.first(where: { !$0.failure.isOfDocument }) { throw other.failure }
        for (place, failure, fields) in refusals.sorted(by: { $0.place < $1.place }) {
            guard writes.indices.contains(place) else { throw whole }
            if failure.code == MongoFailure.duplicateKey,
                isDuplicate(fields, of: writes[place].key(key), in: key)
            {
                outcome.duplicates.append(place)
            } else {
                outcome.refused.append(MongoRefusal(place: place, failure: failure))
            }
        }
    }

    /// Whether the document that is in the way has the same key. The index's fields and the value in it tell:
    /// an index of somebody's over other fields, or one that takes other texts for the same, has another
    /// reason.
    private static func isDuplicate(_ refusal: BSONFields, of value: String?, in key: String) -> Bool {
        guard let value, let pattern = try? refusal.document("keyPattern"), pattern.names == [key],
            let found = try? refusal.document("keyValue").string(key)
        else { return false }
        return found == value
    }
}

extension MongoFailure {
    /// Whether it is about the document that was to be written, and not about the server, its settings or
    /// our rights there.
    fileprivate var isOfDocument: Bool {
        switch kind {
        case .refused, .other: true
        case .unreachable, .certificate, .denied, .otherSet, .notPrimary, .busy, .unsuitable: false
        }
    }
}

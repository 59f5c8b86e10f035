internal import CMongo
internal import EventSourcing
internal import ReadModels

/// Writes to several collections that take effect together or not at all.
struct MongoTransaction {
    enum Write: Sendable {
        /// Puts a whole document in the place of the one that the filter finds, or makes it.
        case replace(filter: BSONDocument, with: BSONDocument)
        case delete(filter: BSONDocument)
        /// Applies update operators to the one document that the filter finds. When it finds none the
        /// whole transaction is given up.
        case update(filter: BSONDocument, with: BSONDocument)
    }

    var writes: [(MongoNamespace, Write)] = []
}

extension MongoClient {
    private static let tries = 10

    /// Carries out a transaction, acknowledged by a majority. False, and nothing changed, when one of its
    /// updates found no document. What other writers were in the way of is tried again.
    func perform(_ transaction: MongoTransaction) throws(MongoFailure) -> Bool {
        var attempt = 1
        while true {
            do throws(MongoFailure) { return try performOnce(transaction) } catch {
                guard error.isTransient, !error.isUnreachable, attempt < Self.tries else { throw error }
                attempt += 1
            }
        }
    }

    private func performOnce(_ transaction: MongoTransaction) throws(MongoFailure) -> Bool {
        let target = target("transaction", MongoNamespace(database: "", collection: ""))
        var error = bson_error_t()
        guard let handle = mongoc_client_start_session(self.handle, nil, &error) else {
            throw MongoFailure(error, at: target)
        }
        defer { mongoc_client_session_destroy(handle) }
        guard let options = mongoc_transaction_opts_new(), let concern = mongoc_write_concern_new() else {
            throw MongoFailure("no memory for a transaction", at: target)
        }
        defer {
            mongoc_transaction_opts_destroy(options)
            mongoc_write_concern_destroy(concern)
        }
        mongoc_write_concern_set_wmajority(concern, settings.writeTimeout_ms)
        mongoc_write_concern_set_journal(concern, true)
        mongoc_transaction_opts_set_write_concern(options, concern)
        guard mongoc_client_session_start_transaction(handle, options, &error) else {
            throw MongoFailure(error, at: target)
        }
        let (isAppended, option) = BSONDocument.reply {
            mongoc_client_session_append(handle, $0, &error)
        }
        guard isAppended else { throw MongoFailure(error, at: target) }
        for (name, write) in transaction.writes {
            guard try apply(write, to: name, option) else {
                mongoc_client_session_abort_transaction(handle, nil)
                return false
            }
        }
        let (isCommitted, reply) = BSONDocument.reply {
            mongoc_client_session_commit_transaction(handle, $0, &error)
        }
        guard isCommitted else { throw MongoFailure(error, reply: reply, at: target) }
        return true
    }

    private func apply(
        _ write: MongoTransaction.Write, to name: MongoNamespace, _ option: BSONDocument
    ) throws(MongoFailure) -> Bool {
        let target = target("transaction", name)
        var error = bson_error_t()
        return try withCollection(name) { (collection) throws(MongoFailure) in
            let upserting = BSONDocument(extending: option) { $0.append("upsert", true) }
            let (isDone, reply) = BSONDocument.reply { reply in
                switch write {
                case .replace(let filter, let document):
                    lend(filter, document, upserting) {
                        mongoc_collection_replace_one(collection, $0, $1, $2, reply, &error)
                    }
                case .update(let filter, let document):
                    lend(filter, document, option) {
                        mongoc_collection_update_one(collection, $0, $1, $2, reply, &error)
                    }
                case .delete(let filter):
                    lend(filter, .empty, option) { filter, _, options in
                        mongoc_collection_delete_one(collection, filter, options, reply, &error)
                    }
                }
            }
            guard isDone else { throw MongoFailure(error, reply: reply, at: target) }
            guard case .update = write else { return true }
            do throws(BSONError) { return try reply.fields().int("matchedCount") > 0 } catch {
                throw MongoFailure(error, at: target)
            }
        }
    }

    private func lend(
        _ filter: BSONDocument, _ document: BSONDocument, _ options: BSONDocument,
        _ body: (OpaquePointer, OpaquePointer, OpaquePointer) -> Bool
    ) -> Bool {
        filter.withBSON { filter in
            document.withBSON { document in options.withBSON { body(filter, document, $0) } }
        }
    }
}

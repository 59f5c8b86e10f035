internal import CMongo
internal import ReadModels

/// What a server says about itself.
struct MongoHello: Sendable, Equatable {
    /// The name of the replica set; nil for a lone server, which can give no majority guarantees.
    let replicaSet: String?
    /// Whether the server that answered takes writes.
    let isWritable: Bool
    /// The newest wire protocol it speaks.
    let maxWireVersion: Int64
}

extension MongoClient {
    /// Asks the primary who it is, which also proves that it is reached.
    func hello() throws(MongoFailure) -> MongoHello {
        let reply = try command(
            BSONDocument { $0.append("hello", int32: 1) }, operation: "hello",
            on: MongoNamespace(database: "admin", collection: ""))
        let target = target("hello", MongoNamespace(database: "admin", collection: ""))
        do throws(BSONError) {
            let fields = try reply.fields()
            return MongoHello(
                replicaSet: try fields.optionalString("setName"),
                isWritable: try fields.bool("isWritablePrimary"),
                maxWireVersion: try fields.int("maxWireVersion"))
        } catch {
            throw MongoFailure(error, at: target)
        }
    }

    /// Runs a command on a database's primary and returns its reply.
    func command(
        _ command: BSONDocument, operation: String, on name: MongoNamespace
    ) throws(MongoFailure) -> BSONDocument {
        var error = bson_error_t()
        let (succeeded, reply) = command.withBSON { command in
            BSONDocument.reply { reply in
                mongoc_client_write_command_with_opts(handle, name.database, command, nil, reply, &error)
            }
        }
        guard succeeded else { throw MongoFailure(error, reply: reply, at: target(operation, name)) }
        return reply
    }
}

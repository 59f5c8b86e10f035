/// Makes a mongod a replica set of one and finds out whether it takes writes, over a plain socket:
/// OP_MSG frames (MongoDB wire protocol, opcode 2013) with hand-written BSON. No shell, no driver.
struct ReplicaSet {
    let name: String
    let port: UInt16

    private var host: String { "127.0.0.1:\(port)" }

    /// One step towards a writable primary. A fresh server is initiated; one whose configuration names
    /// another port (its data was moved, or its old port is taken) is given the right one by force.
    func advance() -> Readiness {
        do throws(Refusal) {
            let link = try Link(port: port)
            let hello = try link.run([BSON.Field("hello", .int32(1))])
            if hello["isWritablePrimary"] == .bool(true) {
                // A primary of itself under another address would be unreachable for drivers.
                return hello["me"]?.text == host ? .ready : try reconfigure(link)
            }
            let config = try link.run([BSON.Field("replSetGetConfig", .int32(1))], accepting: [94])
            guard let members = config["config"]?["members"] else {
                try link.run([BSON.Field("replSetInitiate", document(version: 1))], accepting: [23])
                return .notYet("replica set initiated")
            }
            if members[0]?["host"]?.text != host { return try reconfigure(link) }
            return .notYet("waiting to be primary")
        } catch {
            return .notYet(error.reason)
        }
    }

    private func reconfigure(_ link: borrowing Link) throws(Refusal) -> Readiness {
        let config = try link.run([BSON.Field("replSetGetConfig", .int32(1))])
        let version = config["config"]?["version"]?.number ?? 1
        try link.run([
            BSON.Field("replSetReconfig", document(version: version + 1)), BSON.Field("force", .bool(true)),
        ])
        return .notYet("replica set moved to \(host)")
    }

    private func document(version: Int) -> BSON {
        let member = BSON.document([BSON.Field("_id", .int32(0)), BSON.Field("host", .string(host))])
        return .document([
            BSON.Field("_id", .string(name)), BSON.Field("version", .int32(Int32(clamping: version))),
            BSON.Field("members", .array([member])),
        ])
    }
}

private struct Refusal: Error {
    let reason: String
}

/// A connection that runs commands on database `admin`.
private struct Link: ~Copyable {
    private let socket: LoopbackSocket

    init(port: UInt16) throws(Refusal) {
        do throws(SystemFailure) {
            // Initiation writes the oplog; on a slow disk that takes seconds.
            socket = try LoopbackSocket(port: port, timeoutMilliseconds: 10_000)
        } catch {
            throw Refusal(reason: error.description)
        }
    }

    /// The answer of one command. Error codes in `accepting` are answers too
    /// (94 NotYetInitialized, 23 AlreadyInitialized).
    @discardableResult
    borrowing func run(_ command: [BSON.Field], accepting codes: [Int] = []) throws(Refusal) -> BSON {
        let answer: BSON
        do {
            let body = BSON.encode(command + [BSON.Field("$db", .string("admin"))])
            // Flags 0, then one section of kind 0: the command itself.
            let payload: [UInt8] = [0, 0, 0, 0, 0] + body
            let length = Int32(16 + payload.count)
            try socket.send([length, 1, 0, 2013].flatMap(BSON.littleEndian) + payload)
            let head = try socket.receive(16)
            let size = head[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
            guard size > 21, size < 1 << 20 else { throw BSON.Malformed() }
            let rest = try socket.receive(size - 16)
            answer = try BSON.decode(rest[5...])
        } catch {
            throw Refusal(reason: "\(command[0].name): \(error)")
        }
        if answer["ok"]?.number == 1 || codes.contains(answer["code"]?.number ?? -1) { return answer }
        throw Refusal(reason: "\(command[0].name): \(answer["errmsg"]?.text ?? "refused")")
    }
}

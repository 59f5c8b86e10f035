internal import Base
internal import CMongo
internal import Supervision

/// Why a mongod did not do what its supervisor asked of it. Never shows a password.
struct MongoRefusal: Error, CustomStringConvertible {
    let description: String
    /// Whether it did not take the login.
    var isLoginRefused = false
}

/// One connection that runs commands on a mongod on 127.0.0.1, as somebody or as nobody.
struct MongoAdministration: ~Copyable {
    private let client: OpaquePointer

    /// Connects, and logs in.
    init(port: UInt16, as login: ServerLogin?) throws(MongoRefusal) {
        reel_mongoc_begin()
        do throws(SystemFailure) {
            // The library waits for a server that does not listen yet; a probe has no time for that.
            _ = try LoopbackSocket(port: port, timeoutMilliseconds: 1_000)
        } catch {
            throw MongoRefusal(description: error.description)
        }
        // Initiation writes the oplog; on a slow disk that takes seconds.
        let text =
            "mongodb://127.0.0.1:\(port)/?directConnection=true&serverSelectionTimeoutMS=1000"
            + "&connectTimeoutMS=1000&socketTimeoutMS=10000"
        guard let uri = mongoc_uri_new(text) else {
            throw MongoRefusal(description: "the address of port \(port) was refused")
        }
        defer { mongoc_uri_destroy(uri) }
        if let login {
            // The server's own user stands in no database.
            let source = login.user == "__system" ? "local" : "admin"
            guard mongoc_uri_set_username(uri, login.user), mongoc_uri_set_password(uri, login.password),
                mongoc_uri_set_auth_source(uri, source),
                mongoc_uri_set_auth_mechanism(uri, "SCRAM-SHA-256")
            else { throw MongoRefusal(description: "the login of \(login.user) was refused") }
        }
        guard let client = mongoc_client_new_from_uri(uri) else {
            throw MongoRefusal(description: "no client for port \(port)")
        }
        mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2)
        self.client = client
    }

    deinit {
        mongoc_client_destroy(client)
    }

    /// The answer of one command on database `admin`, whose members `build` writes, its name first. Error
    /// codes in `accepting` are answers too.
    @discardableResult
    borrowing func run(
        accepting codes: Set<UInt32> = [], _ build: (inout JSONWriter) -> Void
    ) throws(MongoRefusal) -> JSONValue {
        var writer = JSONWriter()
        writer.object(build)
        var error = bson_error_t()
        guard let command = bson_new_from_json(writer.bytes, writer.bytes.count, &error) else {
            throw MongoRefusal(description: "a command could not be built")
        }
        defer { bson_destroy(command) }
        let (isDone, answer) = withReply { reply in
            mongoc_client_command_simple(client, "admin", command, nil, reply, &error)
        }
        guard isDone || error.domain == MONGOC_ERROR_SERVER.rawValue && codes.contains(error.code) else {
            let isLoginRefused =
                error.domain == MONGOC_ERROR_CLIENT.rawValue
                && error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE.rawValue
            throw MongoRefusal(description: Self.text(error), isLoginRefused: isLoginRefused)
        }
        guard let answer else { throw MongoRefusal(description: "its answer does not read") }
        return answer
    }

    /// Runs a call that makes a reply, and reads it.
    private borrowing func withReply(_ body: (OpaquePointer) -> Bool) -> (Bool, JSONValue?) {
        // `bson_t` is aligned to 128 bytes, which Swift imports as an opaque pointer only; its size is fixed
        // by libbson's ABI.
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 128) { memory in
            guard let base = memory.baseAddress else { return (false, nil) }
            let reply = OpaquePointer(base)
            bson_init(reply)
            let isDone = body(reply)
            defer { bson_destroy(reply) }
            guard let text = bson_as_relaxed_extended_json(reply, nil) else { return (isDone, nil) }
            defer { bson_free(text) }
            return (isDone, try? JSONValue(parsing: Array(String(cString: text).utf8)))
        }
    }

    /// The server's text without the command that it repeats: passwords stand in some.
    private static func text(_ error: bson_error_t) -> String {
        let text = withUnsafeBytes(of: error.message) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard let end = text.firstRange(of: " to execute command") else { return text }
        return String(text[..<end.lowerBound])
    }
}

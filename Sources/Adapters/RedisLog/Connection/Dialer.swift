internal import EventSourcing

/// A connection to one server, logged in.
final class Node {
    let address: RedisAddress
    let connection: RedisConnection
    /// Whether the functions there are known to be ours, or newer ones.
    private var hasFunctions = false
    /// `master` or `slave`; nil when it was not asked.
    private(set) var role: String?

    fileprivate init(_ address: RedisAddress, _ connection: RedisConnection) {
        self.address = address
        self.connection = connection
    }

    fileprivate func greet(as name: String, askingRole: Bool) throws(LogFailure) {
        var commands = CommandBuffer()
        if !address.password.isEmpty {
            commands.command(
                address.user.isEmpty ? ["AUTH", address.password] : ["AUTH", address.user, address.password])
        }
        if address.database != 0 { commands.command("SELECT", String(address.database)) }
        if askingRole { commands.command("ROLE") }
        let named = commands.count
        // A name helps whoever looks at the server's clients; a user that may not give one goes without.
        commands.command("CLIENT", "SETNAME", name)
        var answered = 0
        try connection.exchange(
            "connect", "\(address)", commands, { $0.hasPrefix("NOPERM") || $0.contains("unknown command") },
            &answered
        ) { index, view throws(LogFailure) in
            if let text = view.errorText, index < named {
                throw ServerError.failure(text, operation: "connect", key: "\(self.address)")
            }
            if askingRole, index == named - 1 { role = view[0]?.string }
        }
    }

    /// Id of the server's run, which is another one after every start; nil when it does not tell.
    func run() throws(LogFailure) -> String? {
        var commands = CommandBuffer()
        commands.command("INFO", "server")
        var run: String?
        var answered = 0
        try connection.exchange(
            "connect", "\(address)", commands, { $0.hasPrefix("NOPERM") || $0.contains("unknown command") },
            &answered
        ) { _, view in
            for line in (view.string ?? "").split(whereSeparator: \.isNewline) where line.hasPrefix("run_id:")
            {
                run = String(line.dropFirst("run_id:".count))
            }
        }
        return run
    }

    /// Loads the functions where they are missing or older than ours; a newer version is left alone.
    func seeToFunctions() throws(LogFailure) {
        if hasFunctions { return }
        var commands = CommandBuffer()
        commands.command("FCALL", "reel_version", "0")
        var version = 0
        var answered = 0
        try connection.exchange(
            "look for functions", "\(address)", commands,
            { ServerError.kind(of: $0) == .functionMissing }, &answered
        ) { version = $1.integer ?? 0 }
        if version < FunctionLibrary.version { try loadFunctions() }
        hasFunctions = true
    }

    /// Loads the functions.
    func loadFunctions() throws(LogFailure) {
        var commands = CommandBuffer()
        commands.command("FUNCTION", "LOAD", "REPLACE", FunctionLibrary.source)
        var answered = 0
        try connection.exchange("load functions", "\(address)", commands, { _ in false }, &answered) { _, _ in
        }
        hasFunctions = true
    }
}

/// Makes connections that are logged in and named.
struct Dialer {
    let options: RedisEventLog.Options
    let name: String

    func connect(to address: RedisAddress, askingRole: Bool = false) throws(LogFailure) -> Node {
        let connection = try RedisConnection(
            to: address, connectMilliseconds: options.connectMilliseconds,
            commandMilliseconds: options.commandMilliseconds)
        let node = Node(address, connection)
        try node.greet(as: name, askingRole: askingRole)
        return node
    }
}

extension RedisConnection {
    /// Sends commands and lends each reply, by its index, to `body`, until one fails. All replies are
    /// read before anything is thrown, so that the connection stays in step.
    func exchange(
        _ operation: String, _ key: String, _ commands: CommandBuffer, _ accepting: (String) -> Bool,
        _ answered: inout Int, _ body: (Int, ReplyView) throws(LogFailure) -> Void
    ) throws(LogFailure) {
        try send(commands)
        var failure: LogFailure?
        for index in 0..<commands.count {
            do throws(LogFailure) {
                try receive { view throws(LogFailure) in
                    answered += 1
                    guard failure == nil else { return }
                    do throws(LogFailure) {
                        if let text = view.errorText, !accepting(text) {
                            throw ServerError.failure(text, operation: operation, key: key)
                        }
                        try body(index, view)
                    } catch { failure = error }
                }
                // A server that says why and hangs up (too many clients) is believed.
            } catch { throw failure ?? error }
        }
        if let failure { throw failure }
    }
}

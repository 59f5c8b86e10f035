internal import EventSourcing

/// A connection to one server, logged in.
final class Node {
    let address: RedisAddress
    let connection: RedisConnection
    /// Version of the functions there; 0 when there are none.
    private(set) var functionsVersion = 0
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
        commands.command("CLIENT", "SETNAME", name)
        let asked = commands.count
        commands.command("FCALL_RO", "reel_version", "0")
        if askingRole { commands.command("ROLE") }
        var answered = 0
        try connection.exchange(
            "connect", "\(address)", commands, { ServerError.kind(of: $0) == .functionMissing }, &answered
        ) { index, view in
            if index == asked { functionsVersion = view.integer ?? 0 }
            if index == asked + 1 { role = view[0]?.string }
        }
    }

    /// Loads the functions where they are missing or older than ours; a newer version is left alone.
    func seeToFunctions() throws(LogFailure) {
        if functionsVersion < FunctionLibrary.version { try loadFunctions() }
    }

    /// Loads the functions.
    func loadFunctions() throws(LogFailure) {
        var commands = CommandBuffer()
        commands.command("FUNCTION", "LOAD", "REPLACE", FunctionLibrary.source)
        var answered = 0
        try connection.exchange("load functions", "\(address)", commands, { _ in false }, &answered) { _, _ in
        }
        functionsVersion = FunctionLibrary.version
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

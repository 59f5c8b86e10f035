internal import EventSourcing

/// A connection that is made again when it was lost, for one thread. Blocks.
///
/// Every call that goes through here may be made twice in effect: reads, and writes that are idempotent
/// by event id, entry id or value. So a connection that turns out to have died while it was idle is
/// replaced and the call repeated once; after a timeout it is not, the server may be busy with it. A
/// call whose function the server has lost is repeated once after loading the functions again.
final class RedisClient {
    let address: RedisAddress
    let options: RedisEventLog.Options
    /// How many connections were made; a change tells a subscription that replies may have been lost.
    private(set) var generation = 0

    private let name: String
    /// The log that is expected behind the address; nil while it is being found out.
    private let epoch: String?
    private var connection: RedisConnection?
    private var backoff = Backoff()
    private var generator = SystemRandomNumberGenerator()
    private var nextAttempt = 0

    init(_ address: RedisAddress, options: RedisEventLog.Options, epoch: String?, name: String) {
        self.address = address
        self.options = options
        self.epoch = epoch
        self.name = name
    }

    /// Throws the connection away; the next call makes a new one.
    func disconnect() { connection = nil }

    /// Sends commands in one go and lends each reply, by its index, to `body`. Error replies are thrown
    /// as failures unless `accepting` says that `body` wants to see them. All replies are read
    /// before anything is thrown, so that the connection stays in step.
    func pipeline(
        _ operation: String, _ key: String, _ commands: CommandBuffer,
        accepting: (String) -> Bool = { _ in false },
        _ body: (Int, ReplyView) throws(LogFailure) -> Void
    ) throws(LogFailure) {
        guard commands.count > 0 else { return }
        var repeats = connection != nil
        var reloads = true
        while true {
            let connection = try ready(operation)
            var answered = 0
            do throws(LogFailure) {
                try exchange(connection, operation, key, commands, accepting, &answered, body)
                return
            } catch {
                if error.kind == .functionMissing, reloads, !connection.isBroken {
                    reloads = false
                    try reloadFunctions()
                    continue
                }
                guard connection.isBroken else { throw error }
                self.connection = nil
                options.notify(.disconnected("\(error)"))
                guard repeats, answered == 0, error.kind == .unreachable else {
                    throw LogFailure(error.kind, operation: operation, key: key, text: error.text)
                }
                repeats = false
            }
        }
    }

    /// Sends one command and answers its reply, copied out.
    func command(
        _ operation: String, _ key: String, _ arguments: [String],
        accepting: (String) -> Bool = { _ in false }
    ) throws(LogFailure) -> Reply {
        var commands = CommandBuffer()
        commands.command(arguments)
        var reply = Reply.null
        try pipeline(operation, key, commands, accepting: accepting) { _, view in reply = Reply(view) }
        return reply
    }

    private func exchange(
        _ connection: RedisConnection, _ operation: String, _ key: String, _ commands: CommandBuffer,
        _ accepting: (String) -> Bool, _ answered: inout Int,
        _ body: (Int, ReplyView) throws(LogFailure) -> Void
    ) throws(LogFailure) {
        try connection.send(commands)
        var failure: LogFailure?
        for index in 0..<commands.count {
            try connection.receive { view throws(LogFailure) in
                answered += 1
                guard failure == nil else { return }
                do throws(LogFailure) {
                    if let text = view.errorText, !accepting(text) {
                        throw ServerError.failure(text, operation: operation, key: key)
                    }
                    try body(index, view)
                } catch { failure = error }
            }
        }
        if let failure { throw failure }
    }

    /// Loads the functions again after the server lost them.
    func reloadFunctions() throws(LogFailure) {
        options.notify(.functionsReloaded)
        try loadFunctions(try ready("load functions"))
    }

    private func ready(_ operation: String) throws(LogFailure) -> RedisConnection {
        if let connection { return connection }
        pause(milliseconds: nextAttempt - monotonicMilliseconds())
        do throws(LogFailure) {
            let made = try RedisConnection(
                to: address, connectMilliseconds: options.connectMilliseconds,
                commandMilliseconds: options.commandMilliseconds)
            try greet(made)
            connection = made
            generation += 1
            backoff.succeeded()
            return made
        } catch {
            nextAttempt = monotonicMilliseconds() + backoff.failed(using: &generator)
            throw LogFailure(
                error.kind, operation: operation, key: "\(address)", text: "connecting: \(error.text)")
        }
    }

    /// Logs in, checks that this is the expected log, and sees to the functions.
    private func greet(_ connection: RedisConnection) throws(LogFailure) {
        var commands = CommandBuffer()
        if !address.password.isEmpty {
            commands.command(
                address.user.isEmpty ? ["AUTH", address.password] : ["AUTH", address.user, address.password])
        }
        if address.database != 0 { commands.command("SELECT", String(address.database)) }
        commands.command("CLIENT", "SETNAME", name)
        let meta = commands.count
        commands.command("HGET", LogKeys.meta, "epoch")
        commands.command("FCALL_RO", "reel_version", "0")
        var found: String?
        var version = 0
        var answered = 0
        try exchange(
            connection, "connect", "\(address)", commands,
            { ServerError.kind(of: $0) == .functionMissing }, &answered
        ) { index, view throws(LogFailure) in
            if index == meta { found = view.string }
            if index == meta + 1 { version = view.integer ?? 0 }
        }
        if let epoch, found != epoch {
            throw LogFailure(
                .unsuitable, operation: "connect", key: "\(address)",
                text: "another log stands there now (epoch \(found ?? "missing"), expected \(epoch)); "
                    + "start again, and rebuild what was derived from the old one")
        }
        if version < FunctionLibrary.version { try loadFunctions(connection) }
    }

    private func loadFunctions(_ connection: RedisConnection) throws(LogFailure) {
        var commands = CommandBuffer()
        commands.command("FUNCTION", "LOAD", "REPLACE", FunctionLibrary.source)
        var answered = 0
        try exchange(
            connection, "load functions", "\(address)", commands, { _ in false }, &answered
        ) { _, _ in }
    }
}

internal import EventSourcing

/// Finds the master that sentinels watch: asks them in turn, and believes an answer only when the server
/// it names says of itself that it is a master. One thread. Blocks.
struct Sentinels {
    private var sentinels: [RedisAddress]
    private let master: String
    private let options: RedisEventLog.Options

    init(_ sentinels: [RedisAddress], master: String, options: RedisEventLog.Options) {
        self.sentinels = sentinels
        self.master = master
        self.options = options
    }

    /// A connection to the master.
    mutating func connect(_ dialer: Dialer) throws(LogFailure) -> Node {
        var answers: [String] = []
        for (index, sentinel) in sentinels.enumerated() {
            let place = "\(sentinel.selecting(0))"
            do throws(LogFailure) {
                let address = try ask(sentinel)
                let node = try dialer.connect(to: address, askingRole: true)
                guard node.role == "master" else {
                    answers.append("\(place) names \(address), which is a replica")
                    continue
                }
                // The one that knew is asked first the next time.
                sentinels.swapAt(0, index)
                return node
            } catch {
                // A password that is refused will be refused everywhere.
                if error.remedy == .operators { throw error }
                answers.append("\(place): \(error.text)")
            }
        }
        throw LogFailure(
            .unreachable, operation: "connect", key: "master \(master)",
            text: "no sentinel leads to a master: \(answers.joined(separator: "; "))")
    }

    private func ask(_ sentinel: RedisAddress) throws(LogFailure) -> RedisAddress {
        let connection = try RedisConnection(
            to: sentinel, connectMilliseconds: min(options.connectMilliseconds, 1000),
            commandMilliseconds: min(options.commandMilliseconds, 1000))
        var reply = try self.reply(connection, ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master], sentinel)
        if case .error(let text) = reply, text.hasPrefix("NOAUTH"), !sentinel.password.isEmpty {
            let login = sentinel.user.isEmpty ? [sentinel.password] : [sentinel.user, sentinel.password]
            _ = try self.reply(connection, ["AUTH"] + login, sentinel)
            reply = try self.reply(connection, ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master], sentinel)
        }
        if case .error(let text) = reply {
            throw ServerError.failure(text, operation: "ask a sentinel", key: "\(sentinel)")
        }
        guard reply.elements.count == 2, let host = reply.elements[0].text,
            let port = reply.elements[1].integer, RedisAddress.ports.contains(port)
        else {
            throw LogFailure(
                .unreachable, operation: "ask a sentinel", key: "\(sentinel)",
                text: "it watches no master of the name \(master)")
        }
        return sentinel.moved(toHost: host, port: port)
    }

    private func reply(
        _ connection: RedisConnection, _ words: [String], _ sentinel: RedisAddress
    ) throws(LogFailure) -> Reply {
        var commands = CommandBuffer()
        commands.command(words)
        var reply = Reply.null
        var answered = 0
        try connection.exchange("ask a sentinel", "\(sentinel)", commands, { _ in true }, &answered) {
            reply = Reply($1)
        }
        return reply
    }
}

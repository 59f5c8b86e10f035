package import Supervision

extension TestRedis {
    /// Sends a command and answers the reply as text, the elements of an array line by line. An error
    /// reply begins with `-`. A connection of its own, five seconds at most.
    @discardableResult
    package func run(_ words: String...) throws(SystemFailure) -> String {
        try RedisAdmin.run(words, port: port)
    }
}

/// Just enough of the protocol to administer servers: one command, one reply.
enum RedisAdmin {
    static func run(_ words: [String], port: UInt16) throws(SystemFailure) -> String {
        let socket = try LoopbackSocket(port: port, timeoutMilliseconds: 5_000)
        let command =
            "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        try socket.send(Array(command.utf8))
        return try reply(socket)
    }

    private static func reply(_ socket: borrowing LoopbackSocket) throws(SystemFailure) -> String {
        let line = try self.line(socket)
        let rest = String(line.dropFirst())
        switch line.first {
        case "$":
            guard let length = Int(rest), length >= 0 else { return "" }
            return String(decoding: try socket.receive(length + 2).dropLast(2), as: UTF8.self)
        case "*":
            var parts: [String] = []
            for _ in 0..<max(0, Int(rest) ?? 0) { parts.append(try reply(socket)) }
            return parts.joined(separator: "\n")
        case "-": return line
        default: return rest
        }
    }

    private static func line(_ socket: borrowing LoopbackSocket) throws(SystemFailure) -> String {
        var bytes: [UInt8] = []
        while true {
            let byte = try socket.receive(1)[0]
            if byte == 0x0A { return String(decoding: bytes.dropLast(), as: UTF8.self) }
            bytes.append(byte)
        }
    }
}

/// Asks until the answer is yes, or a time is over.
func awaiting(
    _ server: String, _ what: String, milliseconds: Int = 20_000,
    _ condition: () throws(SystemFailure) -> Bool
) throws(ServerFailure) {
    let stop = StopSignal()
    var waited = 0
    while true {
        do throws(SystemFailure) {
            if try condition() { return }
        } catch {
            // A server that is not there now may be there soon.
            if waited >= milliseconds { throw .system(server: server, error) }
        }
        guard waited < milliseconds else {
            throw .notReady(server: server, milliseconds: milliseconds, reason: what, log: "")
        }
        _ = stop.wait(milliseconds: 10)
        waited += 10
    }
}

internal import CHiredis
internal import EventSourcing
internal import Glibc

/// One connection of one thread. After any timeout or I/O error it is broken for good: hiredis may
/// still hold half a reply, and the next command would read it as its own.
final class RedisConnection {
    private let context: UnsafeMutablePointer<redisContext>
    private let address: RedisAddress
    /// Where the reply lies that was received last.
    private var arena = ReplyArena()
    /// Whether an error made it useless.
    private(set) var isBroken = false

    /// Connects. Blocks at most `connectMilliseconds`, apart from looking up the host's name.
    init(
        to address: RedisAddress, connectMilliseconds: Int, commandMilliseconds: Int
    ) throws(LogFailure) {
        Self.ignoreBrokenPipes
        self.address = address
        let made = redisConnectWithTimeout(address.host, Int32(address.port), timeval(connectMilliseconds))
        guard let made else {
            throw LogFailure(.unreachable, operation: "connect", key: "\(address)", text: "out of memory")
        }
        context = made
        guard made.pointee.err == 0 else {
            // deinit runs from here on and frees the context.
            throw LogFailure(.unreachable, operation: "connect", key: "\(address)", text: Self.text(of: made))
        }
        guard redisSetTimeout(made, timeval(commandMilliseconds)) == REDIS_OK else {
            throw LogFailure(.unreachable, operation: "connect", key: "\(address)", text: Self.text(of: made))
        }
        _ = redisEnableKeepAlive(made)
        arena.serve(made)
    }

    deinit { redisFree(context) }

    /// hiredis writes without MSG_NOSIGNAL: a write to a server that is gone would end the process.
    /// A handler that the process has installed itself is left alone.
    private static let ignoreBrokenPipes: Void = {
        var current = sigaction()
        guard sigaction(SIGPIPE, nil, &current) == 0, current.__sigaction_handler.sa_handler == nil else {
            return
        }
        signal(SIGPIPE, SIG_IGN)
    }()

    /// Puts commands into the send buffer; they leave with the next `receive`.
    func send(_ commands: CommandBuffer) throws(LogFailure) {
        let status = commands.bytes.withUnsafeBytes { raw in
            raw.withMemoryRebound(to: CChar.self) {
                redisAppendFormattedCommand(context, $0.baseAddress, $0.count)
            }
        }
        guard status == REDIS_OK else { throw broken() }
    }

    /// Waits for the next reply and lends it to `body`.
    func receive<R>(_ body: (ReplyView) throws(LogFailure) -> R) throws(LogFailure) -> R {
        // Whoever the reply is lent to may end this connection.
        let arena = arena
        defer { withExtendedLifetime(arena) {} }
        return try body(try next())
    }

    private func next() throws(LogFailure) -> ReplyView {
        arena.reset()
        var raw: UnsafeMutableRawPointer?
        errno = 0
        guard redisGetReply(context, &raw) == REDIS_OK, let raw else { throw broken() }
        return ReplyView(raw.assumingMemoryBound(to: redisReply.self))
    }

    /// Sends what is in the send buffer without awaiting an answer.
    func flush() throws(LogFailure) {
        var done: Int32 = 0
        errno = 0
        while done == 0 {
            guard redisBufferWrite(context, &done) == REDIS_OK else { throw broken() }
        }
    }

    /// Waits for the next reply and hands it over.
    func receiveOwned() throws(LogFailure) -> OwnedReply {
        let reply = OwnedReply(try next(), in: arena)
        arena = ReplyArena()
        arena.serve(context)
        return reply
    }

    private func broken() -> LogFailure {
        let code = errno
        isBroken = true
        // SO_RCVTIMEO and SO_SNDTIMEO show up as EAGAIN on a blocking socket.
        let timedOut = context.pointee.err == REDIS_ERR_IO && (code == EAGAIN || code == ETIMEDOUT)
        return LogFailure(
            timedOut ? .timedOut : .unreachable, operation: "command", key: "\(address)",
            text: timedOut ? "no answer in time" : Self.text(of: context))
    }

    private static func text(of context: UnsafeMutablePointer<redisContext>) -> String {
        let text = withUnsafeBytes(of: context.pointee.errstr) { raw in
            String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        return text.isEmpty ? "the connection failed (code \(context.pointee.err))" : text
    }
}

private func timeval(_ milliseconds: Int) -> timeval {
    Glibc.timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
}

internal import Base
internal import CMicrohttpd

/// An answer in libmicrohttpd's form. Made on any thread, queued on the connection's.
final class Answer: @unchecked Sendable {
    // Sendable because whoever holds it uses `response` alone: first the job that makes it, then the
    // connection's thread.
    let status: Int
    private let response: OpaquePointer

    /// Nil when there is no memory, or a header can't be sent.
    init?(_ prepared: PreparedResponse, _ headers: [HeaderField], for exchange: Exchange) {
        guard let response = Self.make(prepared.body, exchange) else { return nil }
        self.response = response
        status = prepared.status
        if exchange.method == "HEAD", prepared.isWithoutLength {
            // To HEAD, libmicrohttpd 0.9.75 sends the last chunk of a body that has no length, which the
            // client takes for the beginning of the next answer.
            reel_http_end_by_closing(response)
        }
        for header in headers { MHD_add_response_header(response, header.name, header.value) }
        for header in prepared.headers { MHD_add_response_header(response, header.name, header.value) }
    }

    deinit { MHD_destroy_response(response) }

    private static func make(_ body: Response.Body, _ exchange: Exchange) -> OpaquePointer? {
        switch body {
        case .none: return MHD_create_response_from_buffer(0, nil, .RESPMEM_PERSISTENT)
        case .bytes(var bytes):
            return bytes.withUnsafeMutableBytes {
                MHD_create_response_from_buffer($0.count, $0.baseAddress, .RESPMEM_MUST_COPY)
            }
        case .file(let file, let range):
            guard let descriptor = file.duplicate() else { return nil }
            return MHD_create_response_from_fd_at_offset64(UInt64(range.count), descriptor, range.lowerBound)
        case .stream(let stream, let length):
            return BodyPump.response(StreamPump(stream, exchange.core.transfers, exchange.record), length)
        case .events(let stream):
            // Events are written straight into the connection's memory: the response needs none of its own.
            return BodyPump.response(EventPump(stream, exchange.record), nil, blockBytes: 1 << 10)
        case .ranged: return nil
        }
    }

    /// False when the connection has to be given up.
    func queue(on connection: OpaquePointer, closing: Bool) -> Bool {
        if closing { MHD_add_response_header(response, "Connection", "close") }
        return MHD_queue_response(connection, UInt32(status), response) == .YES
    }
}

/// What libmicrohttpd asks for the next bytes of a body.
class BodyPump {
    /// Bytes written into `out`; 0 when the connection was put to sleep; nil at the end.
    func read(into out: UnsafeMutableRawBufferPointer) throws -> Int? { nil }

    /// Nobody asks any more.
    func close() {}

    /// A response that asks `pump`, and lets it go at its end.
    static func response(
        _ pump: BodyPump, _ length: UInt64?, blockBytes: Int = ServerCore.pieceBytes
    ) -> OpaquePointer? {
        let context = Unmanaged.passRetained(pump)
        let response = MHD_create_response_from_callback(
            length ?? UInt64.max, blockBytes,
            { context, _, out, count in
                guard let context, let out else { return -2 }
                let pump = Unmanaged<BodyPump>.fromOpaque(context).takeUnretainedValue()
                do {
                    // -1 is the end, -2 an error: libmicrohttpd's macros are not importable.
                    return try pump.read(into: UnsafeMutableRawBufferPointer(start: out, count: count)) ?? -1
                } catch {
                    return -2
                }
            }, context.toOpaque(),
            { context in
                guard let context else { return }
                Unmanaged<BodyPump>.fromOpaque(context).takeRetainedValue().close()
            })
        if response == nil { context.release() }
        return response
    }
}

/// A follower's connection.
final class EventPump: BodyPump {
    private let stream: EventStream
    private let record: ConnectionRecord

    init(_ stream: EventStream, _ record: ConnectionRecord) {
        self.stream = stream
        self.record = record
        record.boundSending()
    }

    override func read(into out: UnsafeMutableRawBufferPointer) -> Int? {
        stream.read(into: out, for: record)
    }

    override func close() { stream.finish() }
}

/// A body that a job makes piece by piece: at most one piece waits, and the next one is made while it
/// is sent.
final class StreamPump: BodyPump, @unchecked Sendable {
    // Sendable because what changes is behind `state`.
    private enum Ending { case whole, broken }

    private struct State {
        var piece: [UInt8] = []
        var next: [UInt8]?
        var offset = 0
        var ending: Ending?
        var isMaking = false
        var isClosed = false
        var sleeping = false
    }

    private let stream: any ByteStream
    private let pool: WorkPool
    private let record: ConnectionRecord
    private let state = Lock(State())

    struct Broken: Error {}

    init(_ stream: any ByteStream, _ pool: WorkPool, _ record: ConnectionRecord) {
        self.stream = stream
        self.pool = pool
        self.record = record
    }

    override func read(into out: UnsafeMutableRawBufferPointer) throws -> Int? {
        let (count, makes) = try state.withLock { state throws -> (Int?, Bool) in
            if state.offset == state.piece.count, let next = state.next.take() {
                state.piece = next
                state.offset = 0
            }
            let makes = state.next == nil && state.ending == nil && !state.isMaking
            if makes { state.isMaking = true }
            let size = min(out.count, state.piece.count - state.offset)
            if size > 0 {
                state.piece.withUnsafeBytes {
                    let piece = UnsafeRawBufferPointer(rebasing: $0[state.offset..<state.offset + size])
                    out.copyMemory(from: piece)
                }
                state.offset += size
                return (size, makes)
            }
            switch state.ending {
            case .whole: return (nil, false)
            case .broken: throw Broken()
            case nil: break
            }
            guard record.suspend(for: self) else { throw Broken() }
            state.sleeping = true
            return (0, makes)
        }
        if makes { submit() }
        return count
    }

    private func submit() {
        if pool.submit(always: true, { [self] in make() }) { return }
        finish(.failure(Broken()))
    }

    private func make() {
        finish(Result { try stream.next() })
    }

    private func finish(_ result: Result<[UInt8]?, any Error>) {
        let (wakes, closes, makes) = state.withLock { state -> (Bool, Bool, Bool) in
            state.isMaking = false
            var makes = false
            switch result {
            case .success(.some(let piece)):
                if piece.isEmpty {
                    makes = !state.isClosed
                    state.isMaking = makes
                } else {
                    state.next = piece
                }
            case .success(nil): state.ending = .whole
            case .failure: state.ending = .broken
            }
            let wakes = state.sleeping && !makes
            if wakes { state.sleeping = false }
            return (wakes, state.isClosed && !state.isMaking, makes)
        }
        if makes { submit() }
        if wakes { record.resume() }
        if closes { stream.close() }
    }

    override func close() {
        let closes = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed && !state.isMaking
        }
        // Otherwise the job that is under way closes it.
        if closes, !pool.submit(always: true, { [stream] in stream.close() }) { stream.close() }
    }
}

extension StreamPump: Suspendable {
    func release() {
        state.withLock { state in
            state.sleeping = false
            state.ending = .broken
        }
        record.resume()
    }
}

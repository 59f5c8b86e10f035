internal import Base
internal import CGnuTLS
internal import CMicrohttpd
internal import Glibc
import Synchronization

/// Whatever a connection can sleep for.
protocol Suspendable: Sendable {
    /// The server stops: wake the connection, now.
    func release()
}

/// Milliseconds of a clock that never jumps.
func monotonicMilliseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}

/// Nanoseconds of a clock that never jumps; for durations.
func monotonicNanoseconds() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// One open connection: where it stands, and whether it sleeps. It is there from the accept to the close.
final class ConnectionRecord: @unchecked Sendable {
    // Sendable because `handle` is libmicrohttpd's, used by its own thread or under `sleep` while the
    // connection is suspended and can't go away.
    private let handle: OpaquePointer
    private let socket: CInt
    /// What the connection's TLS session refers to, for as long as there is one.
    private let identity: TLSIdentity?
    let peer: Peer

    /// See `boundSending`; Linux takes twice as much, for what it keeps beside the bytes.
    private static let sendingBytes = 64 << 10

    /// What the client is expected to do.
    enum Phase: UInt8 {
        /// Send a request, or nothing at all.
        case waiting
        /// Send the rest of a request's header.
        case header
        /// Send a body.
        case body
        /// Nothing: it is our turn.
        case handling
        /// Take the answer.
        case answer
    }

    private struct Sleep {
        var reason: (any Suspendable)?
        var isStopping = false
        var isOpen = true
    }

    private let quietSeconds: UInt32
    private let sleep = Lock(Sleep())
    private let resting = Lock<(any BodySink)?>(nil)
    /// Used on the connection's own thread alone.
    private var isWatched = false
    private let phase = Atomic<UInt8>(Phase.waiting.rawValue)
    private let since: Atomic<Int64>
    /// Body bytes of the present request that have come in, to be compared with its age.
    private let received = Atomic<UInt64>(0)

    init(_ handle: OpaquePointer, peer: Peer, identity: TLSIdentity?, quietSeconds: Int) {
        self.handle = handle
        self.peer = peer
        self.quietSeconds = UInt32(clamping: quietSeconds)
        self.identity = identity
        socket = reel_http_socket(handle)
        since = Atomic(monotonicMilliseconds())
    }

    func enter(_ phase: Phase) {
        self.phase.store(phase.rawValue, ordering: .relaxed)
        since.store(monotonicMilliseconds(), ordering: .relaxed)
        if phase == .body { received.store(0, ordering: .relaxed) }
    }

    func count(received bytes: Int) { received.wrappingAdd(UInt64(bytes), ordering: .relaxed) }

    /// What the client is doing, for how many milliseconds, and how much body it has sent.
    func look(now: Int64) -> (phase: Phase, age: Int64, received: UInt64) {
        let phase = Phase(rawValue: phase.load(ordering: .relaxed)) ?? .handling
        return (phase, now - since.load(ordering: .relaxed), received.load(ordering: .relaxed))
    }

    /// Puts the connection to sleep; on its own thread only. False when the server stops: then answer
    /// at once. So it is where the connection sleeps already, which libmicrohttpd does not bear.
    func suspend(for reason: any Suspendable) -> Bool {
        sleep.withLock { sleep in
            guard !sleep.isStopping, sleep.reason == nil else { return false }
            MHD_suspend_connection(handle)
            sleep.reason = reason
            return true
        }
    }

    /// Wakes the connection; from any thread; nothing happens when it is awake.
    func resume() {
        sleep.withLock { sleep in
            guard sleep.reason != nil else { return }
            sleep.reason = nil
            MHD_resume_connection(handle)
        }
    }

    var isSleeping: Bool { sleep.withLock { $0.reason != nil } }

    /// From now on the connection never sleeps; what it sleeps for is told.
    func stop() {
        let reason = sleep.withLock { sleep in
            sleep.isStopping = true
            return sleep.reason
        }
        reason?.release()
    }

    /// From now on the sink of its body says whether it may be quiet; on the connection's own thread.
    func watch(_ sink: any BodySink) {
        resting.withLock { $0 = sink }
        // libmicrohttpd would close what rests; the server looks after it instead.
        reel_http_set_quiet(handle, 0)
        isWatched = true
    }

    /// The sink of its body has nothing to say any more.
    func forgetSink() { resting.withLock { $0 = nil } }

    /// The body is over; on the connection's own thread.
    func endWatch() {
        guard isWatched else { return }
        isWatched = false
        reel_http_set_quiet(handle, quietSeconds)
    }

    /// The client's time for what it does begins now.
    func startAgain(_ now: Int64) { since.store(now, ordering: .relaxed) }

    /// Whether a body may be quiet.
    var mayRest: Bool { resting.withLock { $0 }?.mayRest ?? false }

    /// Lets the system keep no more than some of what was sent and is not taken: by itself it would keep
    /// megabytes for each follower that does not read.
    func boundSending() {
        var size = CInt(Self.sendingBytes)
        sleep.withLock { sleep in
            guard sleep.isOpen else { return }
            setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    /// Writes an answer past libmicrohttpd; on the connection's own thread only, before anything else of an
    /// answer was written. What does not fit the socket's buffer is lost: the connection is closed next.
    func sendPast(_ bytes: [UInt8]) { _ = write(bytes) }

    /// The same for whoever is still sending, and says that nothing follows; while the connection sleeps,
    /// too. False where none of it was taken.
    func sendEarly(_ bytes: [UInt8]) -> Bool {
        sleep.withLock { sleep in
            guard sleep.isOpen, write(bytes) > 0 else { return false }
            if let session = reel_http_tls_session(handle) {
                gnutls_bye(OpaquePointer(session), GNUTLS_SHUT_WR)
            }
            shutdown(socket, CInt(SHUT_WR))
            return true
        }
    }

    private func write(_ bytes: [UInt8]) -> Int {
        if let session = reel_http_tls_session(handle) {
            return gnutls_record_send(OpaquePointer(session), bytes, bytes.count)
        }
        return send(socket, bytes, bytes.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
    }

    /// Breaks the connection off; its thread notices and tells the request.
    func breakOff() {
        sleep.withLock { sleep in
            // The descriptor is closed, and may be somebody else's, once `isOpen` is false.
            if sleep.isOpen { shutdown(socket, CInt(SHUT_RDWR)) }
        }
    }

    /// The connection is about to be closed.
    func close() { sleep.withLock { $0.isOpen = false } }
}

/// All open connections.
final class ConnectionRegistry: Sendable {
    private let records = Lock<[ObjectIdentifier: ConnectionRecord]>([:])

    func add(_ record: ConnectionRecord) { records.withLock { $0[ObjectIdentifier(record)] = record } }

    func remove(_ record: ConnectionRecord) {
        record.close()
        records.withLock { $0[ObjectIdentifier(record)] = nil }
    }

    var count: Int { records.withLock { $0.count } }

    var all: [ConnectionRecord] { records.withLock { Array($0.values) } }
}

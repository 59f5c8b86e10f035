internal import CPosix
internal import Glibc
package import Supervision

/// A client that follows server-sent events over any number of connections to this machine: one thread, and
/// few instructions for an event. For one thread; calls block.
package final class FollowClient {
    private struct Connection {
        var file: CInt
        var scanner = EventScanner()
    }

    private static let receiveBytes = 256 << 10
    private static let eventsAtOnce = 256
    private static let pauseNanoseconds = 50_000_000

    private let poller: CInt
    private var connections: [Connection] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: FollowClient.receiveBytes, alignment: 16)

    /// Connections whose server has closed them, or answered something else than a stream.
    package private(set) var ended = 0

    /// Connects to 127.0.0.1, once for each request; the requests ask for streams of events whose ids are
    /// numbers.
    package init(port: UInt16, requests: [[UInt8]]) throws(SystemFailure) {
        poller = epoll_create1(CInt(EPOLL_CLOEXEC))
        guard poller >= 0 else { throw SystemFailure("make", "an epoll descriptor") }
        connections.reserveCapacity(requests.count)
        for request in requests {
            let file = try Loopback.connect(to: port)
            connections.append(Connection(file: file))
            var event = epoll_event()
            event.events = EPOLLIN.rawValue
            event.data.u64 = UInt64(connections.count - 1)
            guard epoll_ctl(poller, EPOLL_CTL_ADD, file, &event) == 0 else {
                throw SystemFailure("wait for", "a connection")
            }
            let sent = request.withUnsafeBytes {
                Glibc.send(file, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard sent == request.count else { throw SystemFailure("send to", "127.0.0.1:\(port)") }
        }
    }

    deinit {
        for connection in connections where connection.file >= 0 { Glibc.close(connection.file) }
        if poller >= 0 { Glibc.close(poller) }
        buffer.deallocate()
    }

    /// Streams that have begun and not ended.
    package var following: Int {
        connections.reduce(0) { $0 + ($1.scanner.hasBegun && $1.file >= 0 ? 1 : 0) }
    }

    /// Takes events until `isOver` says so; it is asked after everything that came at once, and twenty times
    /// a second at least.
    /// - Parameter onEvent: gets the number of the request whose event it is, the event's id, and when it
    ///   came, in nanoseconds of `now`.
    package func listen(
        until isOver: () -> Bool, onEvent: (_ request: Int, _ id: UInt64, _ at: UInt64) -> Void
    ) throws(SystemFailure) {
        var events = [epoll_event](repeating: epoll_event(), count: Self.eventsAtOnce)
        while !isOver() {
            var pause = timespec(tv_sec: 0, tv_nsec: Self.pauseNanoseconds)
            let found = epoll_pwait2(poller, &events, CInt(events.count), &pause, nil)
            guard found >= 0 || errno == EINTR else { throw SystemFailure("wait for", "events") }
            for event in events.prefix(Int(max(0, found))) { receive(Int(event.data.u64), onEvent) }
        }
    }

    private func receive(_ index: Int, _ onEvent: (Int, UInt64, UInt64) -> Void) {
        let count = recv(connections[index].file, buffer.baseAddress, buffer.count, 0)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { return drop(index) }
        let now = Self.now()
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        do throws(EventScanner.Malformed) {
            try connections[index].scanner.take(bytes) { onEvent(index, $0, now) }
        } catch {
            return drop(index)
        }
        if connections[index].scanner.hasEnded { drop(index) }
    }

    private func drop(_ index: Int) {
        Glibc.close(connections[index].file)
        connections[index].file = -1
        ended += 1
    }

    /// Nanoseconds of a clock that never jumps.
    package static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

import Glibc

/// Ports and plain sockets on 127.0.0.1.
package enum Loopback {
    /// A port that nobody listens on or has reserved. It is taken below the range that the system gives to
    /// outgoing connections: a server that restarts on its port must not find it used by somebody's client.
    package static func freePort() throws(SystemFailure) -> UInt16 {
        for _ in 0..<200 {
            let port = UInt16.random(in: 12_000..<32_000)
            if isFree(port), PortReservation(port) != nil { return port }
        }
        throw SystemFailure("find a free port", "127.0.0.1", code: EADDRINUSE)
    }

    /// Whether a server could listen on `port` now.
    package static func isFree(_ port: UInt16) -> Bool {
        let file = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard file >= 0 else { return false }
        defer { close(file) }
        var on: CInt = 1
        setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
        return withAddress(port) { bind(file, $0, $1) == 0 && listen(file, 1) == 0 }
    }

    /// Connects; the descriptor, which is the caller's, never blocks from then on.
    package static func connect(to port: UInt16) throws(SystemFailure) -> CInt {
        let file = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard file >= 0 else { throw SystemFailure("open socket to", "127.0.0.1:\(port)") }
        var (limit, on) = (timeval(tv_sec: 10, tv_usec: 0), CInt(1))
        // On Linux the send limit also bounds connect.
        setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(file, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
        guard withAddress(port, { Glibc.connect(file, $0, $1) == 0 }),
            fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK) == 0
        else {
            let failure = SystemFailure("connect to", "127.0.0.1:\(port)")
            close(file)
            throw failure
        }
        return file
    }

    /// A free port that no other call of this or of another process gives away, for as long as the
    /// reservation is kept.
    package static func reservePort() throws(SystemFailure) -> PortReservation {
        for _ in 0..<200 {
            if let reservation = PortReservation(try freePort()) { return reservation }
        }
        throw SystemFailure("reserve a port", "127.0.0.1", code: EADDRINUSE)
    }

    fileprivate static func withAddress<Answer>(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Answer
    ) -> Answer {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
        }
    }
}

/// A port that is somebody's although nobody listens there now: of a server that comes back on it, or is
/// still to be started. The mark is a UDP socket on the same number, which the kernel gives to one process
/// alone, and takes back when that ends.
package final class PortReservation: Sendable {
    /// The reserved port.
    package let port: UInt16
    private let file: CInt

    /// Nil when somebody else has reserved it.
    init?(_ port: UInt16) {
        self.port = port
        file = socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        let file = file
        guard file >= 0 else { return nil }
        // The descriptor is complete, so that deinit runs from here on.
        guard Loopback.withAddress(port, { bind(file, $0, $1) == 0 }) else { return nil }
    }

    deinit { if file >= 0 { close(file) } }
}

/// One blocking TCP connection to 127.0.0.1 with a time limit on every call; for probes.
package struct LoopbackSocket: ~Copyable {
    private let file: CInt
    private let address: String

    /// Connects.
    package init(port: UInt16, timeoutMilliseconds: Int) throws(SystemFailure) {
        address = "127.0.0.1:\(port)"
        file = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard file >= 0 else { throw SystemFailure("open socket to", address) }
        var limit = timeval(tv_sec: timeoutMilliseconds / 1000, tv_usec: timeoutMilliseconds % 1000 * 1000)
        let size = socklen_t(MemoryLayout<timeval>.size)
        // On Linux the send limit also bounds connect.
        setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        let file = file
        guard Loopback.withAddress(port, { connect(file, $0, $1) == 0 }) else {
            throw SystemFailure("connect to", address)
        }
    }

    deinit { if file >= 0 { close(file) } }

    /// Sends all of it.
    package func send(_ bytes: [UInt8]) throws(SystemFailure) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(file, $0.baseAddress?.advanced(by: sent), bytes.count - sent, CInt(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw SystemFailure("send to", address) }
            sent += count
        }
    }

    /// Exactly `count` bytes.
    package func receive(_ count: Int) throws(SystemFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count { bytes += try receiveSome(upTo: count - bytes.count) }
        return bytes
    }

    /// What comes first, one byte at least.
    package func receiveSome(upTo limit: Int) throws(SystemFailure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        while true {
            let count = recv(file, &bytes, limit, 0)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw SystemFailure("receive from", address) }
            guard count > 0 else { throw SystemFailure("receive from", address, code: ECONNRESET) }
            return Array(bytes[..<count])
        }
    }
}

import Glibc
import Simulation
import Synchronization

/// A relay on loopback that can lose the answer to a request: the server carries it out, and the
/// connection dies before the client hears of it.
final class LossyProxy: Sendable {
    let port: Int
    private let listener: Int32
    private let server: UInt16
    private let loses = Atomic<Bool>(false)
    private let lost = Atomic<Int>(0)

    init(to server: UInt16) throws {
        self.server = server
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 16) == 0
                    && getsockname(listener, $0, &length) == 0
            }
        }
        guard status else { throw ConditionNotMet(description: "no port for the relay") }
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(listener) }

    /// How many answers were lost.
    var lostAnswers: Int { lost.load(ordering: .acquiring) }

    /// Loses the next answer.
    func loseNextAnswer() { loses.store(true, ordering: .releasing) }

    /// Ends `relay`: no connection is taken any more.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    /// Serves one connection after the other until `stop`. Blocks.
    func relay() {
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else { return }
            let upstream = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = Self.loopback(server)
            let connected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(upstream, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            if connected { exchange(client, upstream) }
            close(client)
            close(upstream)
        }
    }

    private func exchange(_ client: Int32, _ upstream: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            var waiting = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0),
                pollfd(fd: upstream, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waiting, 2, 10_000) > 0 else { return }
            for (from, to) in [(0, 1), (1, 0)] where waiting[from].revents != 0 {
                let count = read(waiting[from].fd, &buffer, buffer.count)
                guard count > 0 else { return }
                if from == 1, loses.exchange(false, ordering: .acquiringAndReleasing) {
                    lost.add(1, ordering: .releasing)
                    return
                }
                guard send(waiting[to].fd, buffer, count, Int32(MSG_NOSIGNAL)) == count else {
                    return
                }
            }
        }
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}

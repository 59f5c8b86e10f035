import Foundation
import Glibc
import Testing

/// The first line of Redis's answer to one inline command, over a connection of its own.
func ask(_ port: UInt16, _ command: String, milliseconds: Int = 5_000) throws -> String {
    try ask(port, [command], milliseconds: milliseconds)[0]
}

/// The first lines of Redis's answers to inline commands, one after the other over one connection.
func ask(_ port: UInt16, _ commands: [String], milliseconds: Int = 5_000) throws -> [String] {
    let file = try connection(to: port, milliseconds: milliseconds)
    defer { close(file) }
    return try commands.map { command in
        let bytes = Array("\(command)\r\n".utf8)
        try #require(send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
        var answer = [UInt8](repeating: 0, count: 512)
        let count = recv(file, &answer, answer.count, 0)
        guard count > 0 else { throw NoAnswer() }
        let text = String(decoding: answer[..<count], as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    }
}

/// A server did not answer in time.
struct NoAnswer: Error {}

/// A TCP connection to 127.0.0.1 whose calls end after `milliseconds`.
func connection(to port: UInt16, milliseconds: Int) throws -> Int32 {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var limit = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = address(port)
    let connected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
    try #require(connected, "nobody listens on \(port)")
    return file
}

/// Somebody else's server: takes `port` for as long as the returned descriptor is open.
func listener(on port: UInt16) throws -> Int32 {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = address(port)
    let bound = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
    try #require(bound && listen(file, 1) == 0)
    return file
}

private func address(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
}

/// Looks again until `condition` holds; `false` when it does not within `milliseconds`.
func eventually(milliseconds: Int = 60_000, _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = ContinuousClock.now + .milliseconds(milliseconds)
    while ContinuousClock.now < deadline {
        if try condition() { return true }
        usleep(2_000)
    }
    return try condition()
}

/// Whether a process exists and has not ended (a zombie has).
func isAlive(_ pid: Int32) -> Bool {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    // The state is the first field after the name in parentheses.
    let state = status.split(separator: ")").last?.split(separator: " ").first
    return state != "Z" && state != "X"
}

/// A temporary folder, removed when the object goes.
final class Scratch {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "reel-scratch-\(UUID().uuidString)"
        mkdir(path, 0o700)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

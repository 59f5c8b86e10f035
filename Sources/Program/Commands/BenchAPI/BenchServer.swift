import Bench
import Glibc
import HTTPLoad
import Recording
import Supervision
import APIKit
import Gateway
import Console

/// A server under measurement, as a process of its own; it ends with this object.
final class BenchServer {
    let port: UInt16
    private let child: ChildProcess

    private static let startMilliseconds = 60_000
    private static let stopMilliseconds = 30_000

    /// Starts this program with other arguments and `--port`, and waits until it listens.
    /// - Parameter readyFile: is there when it is in service; nil when listening is enough.
    init(_ arguments: [String], log: String, readyFile: String? = nil) throws {
        guard let program = ProcessStart.programPath else {
            throw CommandFailure(.dependency, "this program's own file cannot be found")
        }
        port = try Loopback.freePort()
        if let readyFile { unlink(readyFile) }
        let ready = readyFile.map { ["--ready-file", $0] } ?? []
        child = try ChildProcess(
            ChildProcess.Command(program, arguments + ["--port", "\(port)"] + ready, logFile: log))
        let pause = StopSignal()
        let deadline = ContinuousClock.now + .milliseconds(Self.startMilliseconds)
        while !isReady(readyFile) {
            guard child.isRunning, ContinuousClock.now < deadline else {
                let lines = (try? FileText.read(log))?.split(separator: "\n").suffix(3) ?? []
                throw CommandFailure(
                    .dependency,
                    "'reel \(arguments.prefix(2).joined(separator: " "))' did not start: "
                        + lines.joined(separator: "; "))
            }
            pause.wait(milliseconds: 20)
        }
    }

    /// Starts a gateway, perhaps with other roles, whose limits on requests nobody reaches.
    convenience init(
        gatewayOf setup: BenchSetup, mongoURL: String, keys: String, connections: Int, roles: [String]
    ) throws {
        let rates = RateClass.recording.flatMap {
            ["--rate-\($0.rawValue)", "\(RateClass.bounds.upperBound)"]
        }
        try self.init(
            ["serve"] + roles + [
                "--data", "\(setup.place)/system", "--redis-url", setup.redisURL, "--mongodb-url", mongoURL,
                "--token-keys", keys, "--disk-reserve", "0", "--connections", "\(connections)",
            ] + rates, log: "\(setup.place)/gateway.log", readyFile: "\(setup.place)/ready")
    }

    deinit { child.terminate(withinMilliseconds: Self.stopMilliseconds) }

    private func isReady(_ file: String?) -> Bool {
        if let file { return access(file, F_OK) == 0 }
        guard let connection = try? LoadClient(port: port, connections: 1) else { return false }
        return connection.count == 1
    }

    /// Memory that it has resident, in bytes; nil where /proc does not tell.
    var residentBytes: Int? { PeakMemory.figure("VmRSS", of: "\(child.pid)") }

    /// Processor time that it has used, its own and the system's; nil where /proc does not tell.
    var processorSeconds: Double? {
        guard let text = try? FileText.read("/proc/\(child.pid)/stat"), let end = text.lastIndex(of: ")")
        else {
            return nil
        }
        let fields = text[end...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else {
            return nil
        }
        return (user + system) / Double(sysconf(CInt(_SC_CLK_TCK)))
    }

    /// The answer to one request, as it comes over the wire.
    func answer(to request: BenchRequest) throws -> [UInt8] {
        let socket = try LoopbackSocket(port: port, timeoutMilliseconds: 30_000)
        try socket.send(request.bytes)
        var bytes: [UInt8] = []
        while true {
            bytes += try socket.receiveSome(upTo: 1 << 16)
            if let answer = SavedAnswer(bytes), let length = answer.length(in: bytes),
                answer.body.count >= length
            {
                return bytes
            }
        }
    }
}

/// A request to the gateway.
struct BenchRequest {
    let bytes: [UInt8]

    init(
        _ method: String, _ path: String, token: String, headers: [String] = [], body: String? = nil
    ) {
        var text =
            "\(method) /api/v1\(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \(token)\r\n"
        for header in headers { text += "\(header)\r\n" }
        if let body {
            text += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        } else {
            text += "\r\n"
        }
        bytes = Array(text.utf8)
    }
}

extension SavedAnswer {
    /// What `Content-Length` says.
    fileprivate func length(in bytes: [UInt8]) -> Int? {
        let text = String(decoding: bytes.prefix(bytes.count - body.count), as: UTF8.self)
        guard let field = text.firstRange(of: "\r\nContent-Length: ") else { return nil }
        return Int(text[field.upperBound...].prefix { $0.isNumber })
    }
}

import Console
import Glibc
import HTTPServer
import Supervision

/// `reel bench bare`: libmicrohttpd and nothing else.
enum BenchBareCommand: Command {
    static let port = Setting(
        "port", "PORT", .port, defaultNote: "any free port", help: "Port to listen on, at 127.0.0.1")
    static let connections = Setting(
        "connections", "N", .integer(10...100_000), default: "12000",
        help: "Connections that may be open at once")

    static let declaration = CommandDeclaration(
        "bench", "bare", summary: "Answer every request with the same bytes, by libmicrohttpd alone",
        details:
            "What 'reel bench api' measures the gateway against, with the same settings of libmicrohttpd. FILE "
            + "holds an answer as 'curl -i' saves it. Prints its URL and runs until SIGINT or SIGTERM.",
        positionals: [Positional("FILE", .path, help: "The answer: status line, headers, body")],
        options: [
            port.declaration, connections.declaration, Common.data.declaration, Common.config.declaration,
        ],
        examples: ["reel bench bare answer.txt --port 9000"],
        statuses: [Common.usageStatus, "3  the file cannot be read, or the port is taken"])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let stop = StopSignal()
        try SignalWatcher.start(stop)
        let path = settings.positionals[0]
        guard let answer = SavedAnswer(Array(try FileText.read(path).utf8)) else {
            throw UsageError(["\(path) holds no answer of a server"], command: settings.command.name)
        }
        var server = ServerSettings()
        server.port = settings[port] ?? 0
        server.connections = try settings.require(connections)
        let bare = try BareServer(server, headers: answer.headers, body: answer.body)
        try Output.line("http://127.0.0.1:\(bare.port)")
        stop.wait()
        withExtendedLifetime(bare) {}
        return .success
    }
}

/// An answer as it came over the wire.
struct SavedAnswer {
    /// What the server that sends it again does not set itself.
    var headers: [HeaderField] = []
    var body: [UInt8]

    /// Nil for what is no answer.
    init?(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.hasPrefix("HTTP/1.1 "), let end = text.firstRange(of: "\r\n\r\n") else { return nil }
        body = Array(text[end.upperBound...].utf8)
        for line in text[..<end.lowerBound].split(separator: "\r\n").dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let name = String(line[..<colon])
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            if ["content-length", "date", "connection"].contains(name.lowercased()) { continue }
            headers.append(HeaderField(name, String(value)))
        }
    }
}

/// A redis-server in a data folder, with the settings of `ops/redis.conf`.
public struct EmbeddedRedis: ServerDescription {
    /// One line of a Redis configuration file.
    public struct Directive: Sendable, Equatable {
        /// The setting's name.
        public let name: String
        /// Its value as Redis writes it.
        public let value: String

        /// `name value`.
        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The settings the log depends on. `ops/redis.conf` has the same, with the reasons; a test
    /// compares them. They are here so that the program needs no file beside it.
    public static let directives: [Directive] = [
        Directive("bind", "127.0.0.1"),
        Directive("protected-mode", "yes"),
        Directive("tcp-keepalive", "60"),
        Directive("timeout", "0"),
        Directive("daemonize", "no"),
        Directive("appendonly", "yes"),
        Directive("appendfsync", "always"),
        Directive("no-appendfsync-on-rewrite", "no"),
        Directive("aof-use-rdb-preamble", "yes"),
        Directive("aof-load-truncated", "yes"),
        Directive("auto-aof-rewrite-percentage", "100"),
        Directive("auto-aof-rewrite-min-size", "64mb"),
        Directive("save", "\"\""),
        Directive("maxmemory-policy", "noeviction"),
        Directive("enable-debug-command", "no"),
        Directive("enable-module-command", "no"),
    ]

    /// `redis-server`.
    public let name = "redis-server"
    /// Where the append-only file, the configuration and the log are.
    public let folder: String
    /// The port it listens on.
    public let port: UInt16
    /// Settings that come after `directives` and so win over them.
    public let extra: [Directive]
    /// The program's name (looked for on PATH) or path.
    public let program: String

    /// A server in `folder` on `port`. `REEL_REDIS_SERVER` names another program.
    public init(folder: String, port: UInt16, extra: [Directive] = [], program: String? = nil) {
        self.folder = folder
        self.port = port
        self.extra = extra
        self.program = program ?? environmentVariable("REEL_REDIS_SERVER") ?? "redis-server"
    }

    /// `redis://127.0.0.1:<port>`.
    public var url: String { "redis://127.0.0.1:\(port)" }

    /// Writes `<folder>/redis.conf` and starts the server with it.
    public func command() throws(ServerFailure) -> ChildProcess.Command {
        guard let path = findProgram(program) else {
            throw .programNotFound(
                server: name, advice: "\(program) is not on PATH: run ops/install, or set REEL_REDIS_SERVER")
        }
        let own = [Directive("port", "\(port)"), Directive("dir", quoted(folder))]
        let lines = (Self.directives + own + extra).map { "\($0.name) \($0.value)\n" }
        let file = "\(folder)/redis.conf"
        do throws(SystemFailure) { try writeFile(file, lines.joined()) } catch {
            throw .folderNotWritable(server: name, error)
        }
        return ChildProcess.Command(path, [file])
    }

    /// An inline PING over a plain connection: the server must answer PONG, which it doesn't while it
    /// loads its file.
    public func probe() -> Readiness {
        do throws(SystemFailure) {
            let socket = try LoopbackSocket(port: port, timeoutMilliseconds: 1_000)
            try socket.send(Array("PING\r\n".utf8))
            let answer = try String(decoding: socket.receiveSome(upTo: 256), as: UTF8.self)
            return answer == "+PONG\r\n" ? .ready : .notYet(answer.filter { !$0.isNewline })
        } catch {
            return .notYet(error.description)
        }
    }

    private func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}

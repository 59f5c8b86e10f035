internal import Base
package import Supervision

/// A redis-server in a data folder, with the settings of `ops/redis.conf`.
package struct EmbeddedRedis: ServerDescription {
    /// One line of a Redis configuration file.
    package struct Directive: Sendable, Equatable {
        /// The setting's name.
        package let name: String
        /// Its value as Redis writes it.
        package let value: String

        /// `name value`.
        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The settings the log depends on. `ops/redis.conf` has the same, with the reasons; a test
    /// compares them. They are here so that the program needs no file beside it.
    package static let directives: [Directive] = [
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
        Directive("shutdown-on-sigterm", "nosave force"),
        Directive("maxmemory-policy", "noeviction"),
        Directive("enable-debug-command", "no"),
        Directive("enable-module-command", "no"),
    ]

    /// `redis-server`.
    package let name = "redis-server"
    /// Where the append-only file, the configuration and the log are.
    package let folder: String
    /// The port it listens on.
    package let port: UInt16
    /// Its one user; nil for a server that takes everybody, as tests and benchmarks have it.
    package let login: ServerLogin?
    /// Settings that come after `directives` and so win over them.
    package let extra: [Directive]
    /// The program's name (looked for on PATH) or path.
    package let program: String

    /// A server in `folder` on `port`. `REEL_REDIS_SERVER` names another program.
    package init(
        folder: String, port: UInt16, login: ServerLogin? = nil, extra: [Directive] = [],
        program: String? = nil
    ) {
        self.folder = folder
        self.port = port
        self.login = login
        self.extra = extra
        self.program = program ?? environmentVariable("REEL_REDIS_SERVER") ?? "redis-server"
    }

    /// `redis://[user:password@]127.0.0.1:<port>`.
    package var url: String { "redis://\(login?.urlPrefix ?? "")127.0.0.1:\(port)" }

    /// Where a server with a user keeps it: hashes alone.
    static func userFile(in folder: String) -> String { "\(folder)/users.acl" }

    /// Writes `<folder>/redis.conf`, and `<folder>/users.acl` where it has a user, and starts the server with
    /// them. No password stands in either, nor among the arguments.
    package func command() throws(ServerFailure) -> ChildProcess.Command {
        guard let path = findProgram(program) else {
            throw .programNotFound(
                server: name, advice: "\(program) is not on PATH: run ops/install, or set REEL_REDIS_SERVER")
        }
        var own = [Directive("port", "\(port)"), Directive("dir", quoted(folder))]
        let file = "\(folder)/redis.conf"
        do throws(SystemFailure) {
            if let login {
                let users = Self.userFile(in: folder)
                try writeFile(users, Self.users(login))
                own.append(Directive("aclfile", quoted(users)))
            }
            let lines = (Self.directives + own + extra).map { "\($0.name) \($0.value)\n" }
            try writeFile(file, lines.joined())
        } catch {
            throw .folderNotWritable(server: name, error)
        }
        return ChildProcess.Command(path, [file])
    }

    /// The one user may do everything, and nobody does anything without being it: `default`, whom every
    /// connection begins as, is switched off.
    ///
    /// It keeps its rights all the same. In its name Redis 7.0 reads its file again at a start, and drops
    /// each transaction of it that the user may not carry out: without rights, all that was acknowledged.
    private static func users(_ login: ServerLogin) -> String {
        let hash = Hexadecimal.text(SHA256.digest(of: login.password.utf8))
        return "user default off resetpass ~* &* +@all\n"
            + "user \(login.user) on #\(hash) ~* &* +@all\n"
    }

    /// An inline PING over a plain connection, once it is logged in: the server must answer PONG, which it
    /// doesn't while it loads its file.
    package func probe() -> Readiness {
        do throws(SystemFailure) {
            let socket = try LoopbackSocket(port: port, timeoutMilliseconds: 1_000)
            if let login {
                let answer = try Self.ask("AUTH \(login.user) \(login.password)", socket)
                guard answer == "+OK\r\n" else { return .notYet(answer.filter { !$0.isNewline }) }
            }
            let answer = try Self.ask("PING", socket)
            return answer == "+PONG\r\n" ? .ready : .notYet(answer.filter { !$0.isNewline })
        } catch {
            return .notYet(error.description)
        }
    }

    private static func ask(
        _ command: String, _ socket: borrowing LoopbackSocket
    ) throws(SystemFailure) -> String {
        try socket.send(Array("\(command)\r\n".utf8))
        return try String(decoding: socket.receiveSome(upTo: 256), as: UTF8.self)
    }

    private func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}

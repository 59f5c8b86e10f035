package import Supervision

/// A mongod in a data folder, as a replica set of one (which transactions, change streams and majority
/// writes need).
package struct EmbeddedMongo: ServerDescription {
    /// The replica set's name.
    package static let replicaSet = "reel"

    /// `mongod`.
    package let name = "mongod"
    /// The folder of the log and of `db`, where the database is.
    package let folder: String
    /// The port it listens on.
    package let port: UInt16
    /// Its users; nil for a server that takes everybody, as tests and benchmarks have it.
    package let logins: ServerCredentials.MongoLogins?
    /// The program's path, when it is not to be looked for.
    package let program: String?
    private let arguments: [String]
    private let report: @Sendable (String) -> Void
    /// Whoever knows it is the server itself: by it the server is administered before it has users, and when
    /// their passwords are not what they should be. New for each start of ours.
    private let clusterKey = ServerLogin(user: "__system", password: ServerLogin.randomText())

    /// A server in `folder` on `port`; the program is looked for as `findMongod` says. `arguments` stand
    /// behind the usual ones; `report` is told when its users had to be mended.
    package init(
        folder: String, port: UInt16, logins: ServerCredentials.MongoLogins? = nil, program: String? = nil,
        arguments: [String] = [], report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.folder = folder
        self.port = port
        self.logins = logins
        self.program = program
        self.arguments = arguments
        self.report = report
    }

    /// `mongodb://[user:password@]127.0.0.1:<port>/?replicaSet=reel`, for the user of the read models where
    /// there are users.
    package var url: String { url(of: logins?.readModels) }

    /// The same for another user.
    package func url(of login: ServerLogin?) -> String {
        "mongodb://\(login?.urlPrefix ?? "")127.0.0.1:\(port)/?replicaSet=\(Self.replicaSet)"
            + (login == nil ? "" : "&authSource=admin")
    }

    /// Where a server with users has the key that makes it ask who somebody is.
    static func keyFile(in folder: String) -> String { "\(folder)/keyfile" }

    /// The mongod to use: `REEL_MONGOD`, else the one on PATH, else what `ops/install` put into
    /// `REEL_TOOLS` (by default `~/.cache/reel`). `nil` when there is none.
    package static func findMongod() -> String? {
        if let path = environmentVariable("REEL_MONGOD") { return findProgram(path) }
        if let path = findProgram("mongod") { return path }
        let home = environmentVariable("HOME") ?? "/root"
        let tools = environmentVariable("REEL_TOOLS") ?? "\(home)/.cache/reel"
        return findProgram("\(tools)/mongod")
    }

    /// Makes `<folder>/db`, and writes `<folder>/keyfile` where it has users, and starts the server on them.
    /// No password stands among the arguments.
    package func command() throws(ServerFailure) -> ChildProcess.Command {
        guard let path = program.map({ findProgram($0) }) ?? Self.findMongod() else {
            throw .programNotFound(
                server: name,
                advice: "run ops/install, or set REEL_MONGOD to the path of a mongod 6.0 or newer")
        }
        let database = "\(folder)/db"
        var protection: [String] = []
        do throws(SystemFailure) {
            try makeFolder(database)
            if logins != nil {
                let file = Self.keyFile(in: folder)
                try writeFile(file, clusterKey.password + "\n")
                protection = [
                    "--auth", "--keyFile", file,
                    // Without this whoever comes first to a server without users may make one.
                    "--setParameter", "enableLocalhostAuthBypass=false",
                ]
            }
        } catch {
            throw .folderNotWritable(server: name, error)
        }
        return ChildProcess.Command(
            path,
            protection + [
                "--replSet", Self.replicaSet, "--bind_ip", "127.0.0.1", "--port", "\(port)",
                "--dbpath", database, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25",
                // The default is 5 % of the disk; a set of one has nobody to catch up from it.
                "--oplogSize", "512",
                "--setParameter", "diagnosticDataCollectionEnabled=false",
                // A stopping primary waits 15 s for a successor. There is none.
                "--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100",
            ] + arguments)
    }

    /// Ready when it takes writes and has its users; makes it a replica set and makes them on the way.
    /// Idempotent.
    package func probe() -> Readiness {
        do throws(MongoRefusal) {
            let administration = try MongoAdministration(port: port, as: logins == nil ? nil : clusterKey)
            let readiness = try ReplicaSet(name: Self.replicaSet, port: port).advance(administration)
            guard let logins, readiness == .ready else { return readiness }
            try MongoUsers(logins, port: port, report: report).makeSure(administration)
            return .ready
        } catch {
            return .notYet(error.description)
        }
    }
}

import Glibc

/// A mongod in a data folder, as a replica set of one (which transactions, change streams and majority
/// writes need).
public struct EmbeddedMongo: ServerDescription {
    /// The replica set's name.
    public static let replicaSet = "reel"

    /// `mongod`.
    public let name = "mongod"
    /// The folder of the log and of `db`, where the database is.
    public let folder: String
    /// The port it listens on.
    public let port: UInt16
    /// The program's path, when it is not to be looked for.
    public let program: String?

    /// A server in `folder` on `port`; the program is looked for as `findMongod` says.
    public init(folder: String, port: UInt16, program: String? = nil) {
        self.folder = folder
        self.port = port
        self.program = program
    }

    /// `mongodb://127.0.0.1:<port>/?replicaSet=reel`.
    public var url: String { "mongodb://127.0.0.1:\(port)/?replicaSet=\(Self.replicaSet)" }

    /// The mongod to use: `REEL_MONGOD`, else the one on PATH, else what `ops/install` put into
    /// `REEL_TOOLS` (by default `~/.cache/reel`). `nil` when there is none.
    public static func findMongod() -> String? {
        if let path = environmentVariable("REEL_MONGOD") { return findProgram(path) }
        if let path = findProgram("mongod") { return path }
        let home = environmentVariable("HOME") ?? "/root"
        let tools = environmentVariable("REEL_TOOLS") ?? "\(home)/.cache/reel"
        return findProgram("\(tools)/mongod")
    }

    /// Makes `<folder>/db` and starts the server on it.
    public func command() throws(ServerFailure) -> ChildProcess.Command {
        guard let path = program.map({ findProgram($0) }) ?? Self.findMongod() else {
            throw .programNotFound(
                server: name,
                advice: "run ops/install, or set REEL_MONGOD to the path of a mongod 6.0 or newer")
        }
        let database = "\(folder)/db"
        do throws(SystemFailure) { try makeFolder(database) } catch {
            throw .folderNotWritable(server: name, error)
        }
        return ChildProcess.Command(
            path,
            [
                "--replSet", Self.replicaSet, "--bind_ip", "127.0.0.1", "--port", "\(port)",
                "--dbpath", database, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25",
                // The default is 5 % of the disk; a set of one has nobody to catch up from it.
                "--oplogSize", "512",
                "--setParameter", "diagnosticDataCollectionEnabled=false",
                // A stopping primary waits 15 s for a successor. There is none.
                "--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100",
            ])
    }

    /// Ready when it takes writes; makes it a replica set on the way. Idempotent.
    public func probe() -> Readiness {
        ReplicaSet(name: Self.replicaSet, port: port).advance()
    }
}

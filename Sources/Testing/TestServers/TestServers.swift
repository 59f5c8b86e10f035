internal import Base
import Glibc
package import EmbeddedServers
package import Supervision
import Synchronization

/// A real server for tests: its data in a temporary folder of its own, gone when the object or the
/// test process ends, however that ends. Methods block for as long as the server needs.
package class TestServer: @unchecked Sendable {
    // Sendable because everything here is a constant of a Sendable type; classes that others inherit
    // from can't have that checked.
    private let child = Lock<ChildProcess?>(nil)
    private let description: any ServerDescription

    /// Where the server keeps its data and its log.
    package var folder: String { description.folder }
    /// The port on 127.0.0.1; restarts keep it.
    package var port: UInt16 { description.port }
    /// The host, always `127.0.0.1`.
    package var host: String { "127.0.0.1" }

    init(_ description: any ServerDescription) throws(ServerFailure) {
        self.description = description
        TestFolders.shared.add(description.folder)
        try restart()
    }

    deinit {
        kill()
        TestFolders.shared.remove(description.folder)
    }

    /// The running server's process id; `nil` when it has ended.
    package var pid: Int32? {
        child.withLock { child in child.flatMap { $0.isRunning ? $0.pid : nil } }
    }

    /// SIGKILL: the server ends without a chance to write anything. Returns when it has ended.
    package func kill() {
        child.withLock { child in
            child?.send(SIGKILL)
            _ = child?.wait()
        }
    }

    /// Ends the server as an administrator would, with SIGTERM.
    package func stop() {
        child.withLock { child in _ = child?.terminate(withinMilliseconds: 10_000) }
    }

    /// Starts it again on the same port and data; stops it first when it runs.
    package func restart() throws(ServerFailure) {
        try child.withLock { child throws(ServerFailure) in
            child?.terminate(withinMilliseconds: 10_000)
            // SIGKILL at our end: nobody needs the data, and nobody waits for a clean shutdown.
            let started = try description.start(deathSignal: SIGKILL)
            child = started
            TestFolders.shared.own(started, folder: description.folder)
        }
    }

    /// SIGSTOP: the server keeps its connections and answers nobody, like a host that hangs.
    package func pause() {
        child.withLock { child in _ = child?.send(SIGSTOP) }
    }

    /// SIGCONT: ends a pause.
    package func resume() {
        child.withLock { child in _ = child?.send(SIGCONT) }
    }

    /// The server's log, for a failing test's message.
    package var logFile: String { description.logFile }
}

/// A real redis-server with the embedded default's settings.
package final class TestRedis: TestServer, @unchecked Sendable {
    private static let sharedServer = SharedServer { () throws(ServerFailure) in try TestRedis.start() }
    private let databases = Atomic<Int>(1)

    /// Starts one; takes about 50 ms. `settings` win over the embedded default's.
    package static func start(
        settings: [EmbeddedRedis.Directive] = []
    ) throws(ServerFailure) -> TestRedis {
        let extra = [EmbeddedRedis.Directive("databases", "4096")] + settings
        return try TestRedis(
            EmbeddedRedis(folder: TestFolders.fresh("redis"), port: testPort("redis"), extra: extra))
    }

    /// One server for the whole test process, started at first use. Don't kill or pause this one.
    package static var shared: TestRedis {
        get throws(ServerFailure) { try sharedServer.value() }
    }

    /// `redis://127.0.0.1:<port>`, database 0.
    package var url: String { "redis://\(host):\(port)" }

    /// The number of a database that nobody else was given; select it to be apart from other tests on
    /// the same server. Functions are the whole server's.
    package func freshDatabase() -> Int {
        databases.wrappingAdd(1, ordering: .relaxed).oldValue
    }
}

/// A real mongod, a replica set of one that takes writes when `start` returns.
package final class TestMongo: TestServer, @unchecked Sendable {
    private static let sharedServer = SharedServer { () throws(ServerFailure) in try TestMongo.start() }
    private static let databases = Atomic<Int>(1)

    /// Its users; nil for a server that takes everybody.
    package let logins: ServerCredentials.MongoLogins?

    /// Starts one; takes one to two seconds.
    /// - Parameters:
    ///   - hasUsers: whether it takes its users alone.
    ///   - arguments: more arguments of the program.
    package static func start(
        hasUsers: Bool = false, arguments: [String] = []
    ) throws(ServerFailure) -> TestMongo {
        try TestMongo(
            EmbeddedMongo(
                folder: TestFolders.fresh("mongo"), port: testPort("mongod"),
                logins: hasUsers ? ServerCredentials.generate().mongo : nil, arguments: arguments))
    }

    private init(_ description: EmbeddedMongo) throws(ServerFailure) {
        logins = description.logins
        try super.init(description)
    }

    /// One server for the whole test process, started at first use. Don't kill or pause this one.
    package static var shared: TestMongo {
        get throws(ServerFailure) { try sharedServer.value() }
    }

    /// `mongodb://127.0.0.1:<port>/?replicaSet=reel`, for the user of the read models where it has users.
    package var url: String { url(of: logins?.readModels) }

    /// The same for another user, or for nobody.
    package func url(of login: ServerLogin?) -> String {
        EmbeddedMongo(folder: "", port: port).url(of: login)
    }

    /// A database name that nobody else was given: `<prefix>_<pid>_<number>`.
    package func freshDatabaseName(_ prefix: String = "test") -> String {
        "\(prefix)_\(getpid())_\(Self.databases.wrappingAdd(1, ordering: .relaxed).oldValue)"
    }
}

/// Ports of this process's servers, which restart on them. Tests of other processes run beside these.
private let reservedPorts = Lock<[PortReservation]>([])

func testPort(_ server: String) throws(ServerFailure) -> UInt16 {
    do throws(SystemFailure) {
        let reservation = try Loopback.reservePort()
        reservedPorts.withLock { $0.append(reservation) }
        return reservation.port
    } catch {
        throw .system(server: server, error)
    }
}

/// A server started at first use; a failed start is tried again by the next user.
private final class SharedServer<Server: TestServer>: Sendable {
    private let started = Lock<Server?>(nil)
    private let start: @Sendable () throws(ServerFailure) -> Server

    init(_ start: @escaping @Sendable () throws(ServerFailure) -> Server) {
        self.start = start
    }

    func value() throws(ServerFailure) -> Server {
        try started.withLock { server throws(ServerFailure) in
            if let server { return server }
            let fresh = try start()
            server = fresh
            return fresh
        }
    }
}

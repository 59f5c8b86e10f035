import Base
import EmbeddedServers
import Foundation
import Glibc
import Supervision
import Testing

@Suite("Supervised servers")
struct SupervisedServerTests {
    private var quick: SupervisedServer.Policy {
        var policy = SupervisedServer.Policy()
        policy.backoff = Backoff(firstMilliseconds: 5, limitMilliseconds: 20)
        policy.attempts = 3
        policy.readyMilliseconds = 20_000
        return policy
    }

    private func runningPid(_ server: SupervisedServer) -> Int32? {
        if case .running(let pid) = server.state { pid } else { nil }
    }

    @Test func aKilledRedisComesBackOnItsPortWithItsData() throws {
        let scratch = Scratch()
        let server = SupervisedServer.redis(folder: scratch.path + "/redis", policy: quick)
        #expect(server.state == .idle)
        try server.start()
        defer { server.stop() }
        let port = server.port
        let first = try #require(runningPid(server))
        #expect(try ask(port, "SET k v") == "+OK")
        kill(first, SIGKILL)
        #expect(eventually { runningPid(server).map { $0 != first } ?? false })
        #expect(server.port == port)
        #expect(try ask(port, "GET k") == "$1")
        server.stop()
        #expect(server.state == .stopped)
        #expect(Loopback.isFree(port))
    }

    /// A server that holds the lock of its folder, as one does whose supervisor was killed.
    private func left(in folder: String) throws -> (ChildProcess, FolderLock) {
        let lock = try FolderLock(folder: folder)
        let port = try Loopback.freePort()
        try "\(port)\n".write(toFile: folder + "/port", atomically: true, encoding: .utf8)
        let server = try EmbeddedRedis(folder: folder, port: port).start(inherited: [lock.descriptor])
        lock.note(pid: server.pid)
        #expect(try ask(port, "SET k v") == "+OK")
        return (server, lock)
    }

    @Test("a server that a killed supervisor left, and that does not end, is killed")
    func leftAndFrozen() throws {
        let scratch = Scratch()
        let folder = scratch.path + "/redis"
        var (orphan, lock): (ChildProcess, FolderLock?) = try left(in: folder)
        kill(orphan.pid, SIGSTOP)
        lock = nil
        #expect(lock == nil)
        var policy = quick
        policy.lockMilliseconds = 300
        let server = SupervisedServer.redis(folder: folder, policy: policy)
        try server.start()
        #expect(try ask(server.port, "GET k") == "$1")
        server.stop()
        orphan.terminate(withinMilliseconds: 1_000)
    }

    @Test("a server that a living supervisor has is left alone")
    func owned() throws {
        let scratch = Scratch()
        let folder = scratch.path + "/redis"
        let (owned, lock) = try left(in: folder)
        var policy = quick
        policy.lockMilliseconds = 300
        #expect(throws: ServerFailure.self) {
            try SupervisedServer.redis(folder: folder, policy: policy).start()
        }
        #expect(owned.status == nil)
        owned.terminate(withinMilliseconds: 10_000)
        withExtendedLifetime(lock) {}
    }

    @Test("a Redis that cannot save ends when it is asked to")
    func unableToSave() throws {
        let scratch = Scratch()
        let folder = scratch.path + "/redis"
        let (server, lock) = try left(in: folder)
        let port = try #require(UInt16(String(contentsOfFile: folder + "/port", encoding: .utf8).dropLast()))
        #expect(try ask(port, "CONFIG SET save \"3600 1\"") == "+OK")
        try FileManager.default.createDirectory(
            atPath: folder + "/dump.rdb/in the way", withIntermediateDirectories: true)
        #expect(try ask(port, "SET k w") == "+OK")
        kill(server.pid, SIGTERM)
        #expect(eventually { server.status != nil })
        withExtendedLifetime(lock) {}
        server.terminate(withinMilliseconds: 1_000)
    }

    @Test func theNextSupervisorWaitsForTheServerOfADeadOne() throws {
        let scratch = Scratch()
        let folder = scratch.path + "/redis"
        // A server that holds the lock and, like one that writes a lot, takes its time to end.
        var lock: FolderLock? = try FolderLock(folder: folder)
        let port = try Loopback.freePort()
        try "\(port)\n".write(toFile: folder + "/port", atomically: true, encoding: .utf8)
        let orphan = try EmbeddedRedis(folder: folder, port: port)
            .start(inherited: [try #require(lock).descriptor])
        lock = nil
        let server = SupervisedServer.redis(folder: folder, policy: quick)
        let starting = try OwnThread(name: "second") { try server.start() }
        #expect(eventually { server.state == .starting })
        #expect(!starting.wait(milliseconds: 100))
        orphan.terminate(withinMilliseconds: 10_000)
        try starting.join()
        // It waited before it looked at the port, so the noted one was free again.
        #expect(server.port == port)
        server.stop()
    }

    @Test func aServerKeepsItsPortUnlessSomebodyTookIt() throws {
        let scratch = Scratch()
        let folder = scratch.path + "/redis"
        func start() throws -> UInt16 {
            let server = SupervisedServer.redis(folder: folder, policy: quick)
            try server.start()
            defer { server.stop() }
            return server.port
        }
        let port = try start()
        #expect(try start() == port)
        let stranger = try listener(on: port)
        defer { close(stranger) }
        #expect(try start() != port)
    }

    @Test func aTakenPortIsNamed() throws {
        let scratch = Scratch()
        let port = try Loopback.freePort()
        let stranger = try listener(on: port)
        defer { close(stranger) }
        let server = SupervisedServer.redis(folder: scratch.path, port: port, policy: quick)
        let failure = ServerFailure.portTaken(server: "redis-server", port: port)
        #expect(throws: failure) { try server.start() }
        #expect(server.state == .failed(failure))
    }

    @Test func aMissingProgramIsNamedWithAdvice() throws {
        let scratch = Scratch()
        let mongo = EmbeddedMongo(folder: scratch.path, port: try Loopback.freePort(), program: "/no/mongod")
        let error = #expect(throws: ServerFailure.self) { try mongo.start() }
        #expect(error?.description.contains("run ops/install") == true)
        let redis = EmbeddedRedis(
            folder: scratch.path, port: try Loopback.freePort(), program: "no-such-redis")
        let other = #expect(throws: ServerFailure.self) { try redis.start() }
        #expect(other?.description.contains("no-such-redis is not on PATH") == true)
    }

    @Test func aFolderThatCannotBeUsedIsNamed() {
        let server = SupervisedServer.redis(folder: "/dev/null/redis", policy: quick)
        let failure = SystemFailure("create folder", "/dev/null/redis", code: ENOTDIR)
        #expect(throws: ServerFailure.folderNotWritable(server: "redis-server", failure)) {
            try server.start()
        }
    }

    @Test func aServerThatDiesAtStartShowsItsLog() throws {
        let scratch = Scratch()
        let redis = EmbeddedRedis(
            folder: scratch.path, port: try Loopback.freePort(), extra: [.init("no-such-setting", "1")])
        let error = #expect(throws: ServerFailure.self) { try redis.start() }
        guard case .diedAtStart(_, .exited(1), let log) = error else {
            Issue.record("expected diedAtStart, got \(String(describing: error))")
            return
        }
        #expect(log.contains("no-such-setting"))
    }

    /// A server that only sleeps: it runs and never answers, or claims that it does.
    private struct Sleeper: ServerDescription {
        let name = "sleeper"
        let folder: String
        let port: UInt16
        var seconds = "600"
        var answer = Readiness.notYet("asleep")

        func command() throws(ServerFailure) -> ChildProcess.Command { .init("/bin/sleep", [seconds]) }
        func probe() -> Readiness { answer }
    }

    /// Lives as long as its turn says, and answers when it is the one that stays.
    private struct Killed: ServerDescription {
        let name = "killed"
        let folder: String
        let port: UInt16
        let starts: Monitor<Int>
        let deaths: Int
        var signal = SIGKILL

        func command() throws(ServerFailure) -> ChildProcess.Command {
            let turn = starts.update { starts in
                starts += 1
                return starts
            }
            return .init("/bin/sh", ["-c", turn > deaths ? "exec sleep 600" : "kill -\(signal) $$"])
        }
        func probe() -> Readiness { starts.withLock { $0 } > deaths ? .ready : .notYet("dying") }
    }

    @Test(arguments: [2, 3, 4])
    func aServerThatIsKilledWhileItStartsIsStartedAgainAFewTimes(deaths: Int) throws {
        let scratch = Scratch()
        let path = scratch.path
        let (starts, said) = (Monitor(0), Monitor<[String]>([]))
        let server = SupervisedServer(
            name: "killed", folder: path, policy: quick, report: { line in said.update { $0.append(line) } }
        ) {
            Killed(folder: path, port: $0, starts: starts, deaths: deaths)
        }
        // Three more than the first one, as when it serves.
        guard deaths <= quick.attempts else {
            #expect(throws: ServerFailure.diedAtStart(server: "killed", status: .signalled(9), log: "")) {
                try server.start()
            }
            return
        }
        try server.start()
        defer { server.stop() }
        #expect(starts.withLock { $0 } == deaths + 1)
        #expect(said.withLock { $0 }.count == deaths)
        #expect(runningPid(server) != nil)
    }

    @Test func aServerThatCrashesWhileItStartsIsNotStartedAgain() throws {
        let scratch = Scratch()
        let path = scratch.path
        let starts = Monitor(0)
        let server = SupervisedServer(name: "killed", folder: path, policy: quick) {
            Killed(folder: path, port: $0, starts: starts, deaths: 1, signal: SIGABRT)
        }
        #expect(throws: ServerFailure.diedAtStart(server: "killed", status: .signalled(6), log: "")) {
            try server.start()
        }
        #expect(starts.withLock { $0 } == 1)
    }

    @Test func aServerThatNeverAnswersIsEnded() throws {
        let scratch = Scratch()
        let sleeper = Sleeper(folder: scratch.path, port: try Loopback.freePort())
        #expect(
            throws: ServerFailure.notReady(server: "sleeper", milliseconds: 50, reason: "asleep", log: "")
        ) {
            try sleeper.start(readyWithinMilliseconds: 50)
        }
    }

    @Test func startingEndsWithTheStopSignal() throws {
        let scratch = Scratch()
        let path = scratch.path
        let stop = StopSignal()
        let server = SupervisedServer(name: "sleeper", folder: path, policy: quick) {
            Sleeper(folder: path, port: $0)
        }
        let starting = try OwnThread(name: "starting") { try server.start(stop: stop) }
        #expect(eventually { server.port != 0 })
        stop.set()
        #expect(throws: ServerFailure.stopped(server: "sleeper")) { try starting.join() }
    }

    @Test func theSignalThatEndsStartingDoesNotEndARunningServer() throws {
        let scratch = Scratch()
        let server = SupervisedServer.redis(folder: scratch.path + "/redis", policy: quick)
        let stop = StopSignal()
        try server.start(stop: stop)
        stop.set()
        #expect(try ask(server.port, "PING") == "+PONG")
        #expect(runningPid(server) != nil)
        server.stop()
        #expect(server.state == .stopped)
    }

    @Test func aServerThatKeepsDyingIsGivenUp() throws {
        let scratch = Scratch()
        let path = scratch.path
        let reports = Lock<[String]>([])
        let server = SupervisedServer(
            name: "sleeper", folder: path, policy: quick,
            report: { line in reports.withLock { $0.append(line) } },
            describe: { Sleeper(folder: path, port: $0, seconds: "0.05", answer: .ready) })
        #expect(throws: ServerFailure.self) { try server.run(stop: StopSignal()) }
        guard case .failed(.gaveUp(_, attempts: 3, _)) = server.state else {
            Issue.record("expected gaveUp, got \(server.state)")
            return
        }
        #expect(reports.withLock { $0.count } >= 3)
    }

    @Test func aGroupStartsServersInOrderAndEndsThem() throws {
        let scratch = Scratch()
        let redis = SupervisedServer.redis(folder: scratch.path + "/redis", policy: quick)
        let second = SupervisedServer.redis(folder: scratch.path + "/second", policy: quick)
        let stop = StopSignal()
        let group = try OwnThread(name: "group") { try ServiceGroup([redis, second]).run(stop: stop) }
        #expect(eventually { runningPid(second) != nil })
        #expect(runningPid(redis) != nil)
        stop.set()
        try group.join()
        #expect(redis.state == .stopped)
        #expect(second.state == .stopped)
    }
}

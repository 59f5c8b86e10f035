package import Base
import Glibc

/// A server that is kept running: started, waited for, started again on the same port when it dies,
/// ended in the end. Its data folder is locked as long as we or the server live, so a second
/// supervisor waits for the first one's server to be gone before it touches the data.
package final class SupervisedServer: Service {
    /// What it is doing.
    package enum State: Sendable, Equatable {
        /// Not started yet.
        case idle
        /// Started for the first time, not ready yet.
        case starting
        /// It serves, under this process id.
        case running(pid: Int32)
        /// It died; try number `attempt` comes next.
        case restarting(attempt: Int)
        /// It could not be kept running.
        case failed(ServerFailure)
        /// Ended because we asked.
        case stopped
    }

    /// Limits, all in milliseconds but `attempts`.
    package struct Policy: Sendable {
        /// How long a predecessor's server may take to be gone.
        package var lockMilliseconds = 20_000
        /// How long the server may take to be ready.
        package var readyMilliseconds = 60_000
        /// How long it may take to end before it is killed.
        package var stopMilliseconds = 15_000
        /// Waits between restarts.
        package var backoff = Backoff(firstMilliseconds: 100, limitMilliseconds: 10_000)
        /// Restarts in a row before giving up.
        package var attempts = 10
        /// When it has served this long, the next death is the first again.
        package var stableMilliseconds = 30_000

        /// The defaults.
        package init() {}
    }

    private struct Live {
        var state = State.idle
        var port: UInt16 = 0
    }

    /// The server's name.
    package let name: String
    /// Its data folder.
    package let folder: String

    private let givenPort: UInt16?
    private let policy: Policy
    private let describe: @Sendable (UInt16) -> any ServerDescription
    private let report: @Sendable (String) -> Void
    private let live = Monitor(Live())
    private let ending = StopSignal()

    /// A server in `folder`. Without a `port` it gets a free one at its first start and keeps it, in
    /// `<folder>/port`, as long as nobody else takes it. `report` is told of deaths and restarts.
    package init(
        name: String, folder: String, port: UInt16? = nil, policy: Policy = Policy(),
        report: @escaping @Sendable (String) -> Void = { _ in },
        describe: @escaping @Sendable (UInt16) -> any ServerDescription
    ) {
        self.name = name
        self.folder = folder
        givenPort = port
        self.policy = policy
        self.report = report
        self.describe = describe
    }

    /// What it is doing now.
    package var state: State { live.withLock { $0.state } }

    /// The port on 127.0.0.1; 0 before the first start.
    package var port: UInt16 { live.withLock { $0.port } }

    /// Starts the server and returns when it is ready; from then on it is kept running until `stop` is
    /// called; `stop` only ends the starting. A server is started once. Call on a thread of your own.
    package func start(stop: StopSignal = StopSignal()) throws(ServerFailure) {
        let isFirst = live.update { live in
            defer { if live.state == .idle { live.state = .starting } }
            return live.state == .idle
        }
        precondition(isFirst, "\(name): started twice")
        // Only for as long as this takes: a server that serves ends after those who use it.
        stop.whenSet { [ending, live] in
            if live.withLock({ $0.state == .starting }) { ending.set() }
        }
        do throws(ServerFailure) {
            let lock = try takeFolder()
            let port = try choosePort()
            live.update { $0.port = port }
            let description = describe(port)
            let child = try firstLaunch(description, lock)
            do throws(SystemFailure) {
                try startThread(name: name) { self.keepRunning(description, lock, child) }
            } catch {
                child.terminate(withinMilliseconds: policy.stopMilliseconds)
                throw .system(server: name, error)
            }
        } catch {
            live.update { $0.state = .failed(error) }
            throw error
        }
    }

    /// Ends the server with SIGTERM, with SIGKILL when that takes too long; returns when it is gone.
    /// Call on a thread of your own. Doing it again changes nothing.
    package func stop() {
        ending.set()
        live.wait { live in
            switch live.state {
            case .idle, .failed, .stopped: true
            case .starting, .running, .restarting: nil
            }
        }
    }

    /// As a service: starts unless somebody has, runs until `stop`, throws when it gives up.
    package func run(stop: StopSignal) throws {
        stop.whenSet { [ending, live] in
            ending.set()
            live.update { _ in }
        }
        if state == .idle { try start(stop: stop) }
        let failure: ServerFailure? =
            live.wait { live in
                if case .failed(let failure) = live.state { return .some(failure) }
                return live.state == .stopped ? .some(nil) : nil
            } ?? nil
        if let failure { throw failure }
    }

    /// Blocks until it serves, has failed, or `stop` is set.
    package func waitUntilReady(stop: StopSignal) {
        stop.whenSet { [live] in live.update { _ in } }
        live.wait { live in
            switch live.state {
            case .idle, .starting, .restarting: stop.isSet ? true : nil
            case .running, .failed, .stopped: true
            }
        }
    }

    private func takeFolder() throws(ServerFailure) -> FolderLock {
        var isFirst = true
        while true {
            do throws(FolderLockFailure) {
                return try FolderLock(
                    folder: folder, waitMilliseconds: policy.lockMilliseconds, stop: ending)
            } catch {
                switch error {
                case .system(let failure): throw .folderNotWritable(server: name, failure)
                case .stopped: throw .stopped(server: name)
                case .held(let path, let pid):
                    // It has had as long to end as one has that is asked to.
                    guard isFirst, let pid, LeftServer.end(pid, holding: path) else {
                        throw .folderInUse(server: name, error)
                    }
                    isFirst = false
                    report(
                        "\(name): process \(pid), which a supervisor that is gone has left, did not end; killed"
                    )
                }
            }
        }
    }

    /// Only with the folder locked: a dying predecessor still has the port that is noted there.
    private func choosePort() throws(ServerFailure) -> UInt16 {
        if let givenPort { return givenPort }
        let note = "\(folder)/port"
        let text = endOfFile(note, limit: 16).split(separator: "\n").first
        if let port = text.flatMap({ UInt16($0) }), Loopback.isFree(port) { return port }
        do throws(SystemFailure) {
            let port = try Loopback.freePort()
            try writeFile(note, "\(port)\n")
            return port
        } catch {
            throw .system(server: name, error)
        }
    }

    /// A server that somebody kills is started again, as it is later on. One that ends by itself, or crashes,
    /// has said why, and would again.
    private func firstLaunch(
        _ description: any ServerDescription, _ lock: FolderLock
    ) throws(ServerFailure) -> ChildProcess {
        var attempt = 0
        while true {
            do throws(ServerFailure) { return try launch(description, lock) } catch {
                guard case .diedAtStart(_, .signalled(let signal), _) = error,
                    signal == SIGKILL || signal == SIGTERM, attempt < policy.attempts
                else { throw error }
                attempt += 1
                report("\(name) was ended by signal \(signal) while starting; starting it again")
                if ending.wait(milliseconds: policy.backoff.milliseconds(attempt: attempt)) {
                    throw .stopped(server: name)
                }
            }
        }
    }

    private func launch(
        _ description: any ServerDescription, _ lock: FolderLock
    ) throws(ServerFailure) -> ChildProcess {
        let child = try description.start(
            inherited: [lock.descriptor], readyWithinMilliseconds: policy.readyMilliseconds, stop: ending)
        lock.note(pid: child.pid)
        live.update { $0.state = .running(pid: child.pid) }
        return child
    }

    private func keepRunning(_ description: any ServerDescription, _ lock: FolderLock, _ first: ChildProcess)
    {
        ending.whenSet { [live] in live.update { _ in } }
        var child = first
        var attempt = 0
        while true {
            let since = monotonicMilliseconds()
            let status = awaitEnd(of: child)
            guard let status else {
                child.terminate(withinMilliseconds: policy.stopMilliseconds)
                return live.update { $0.state = .stopped }
            }
            if monotonicMilliseconds() - since >= policy.stableMilliseconds { attempt = 0 }
            report("\(name) died (\(status)); restarting it")
            switch restart(description, lock, after: status, &attempt) {
            case .success(let next): child = next
            case .failure(.stopped): return live.update { $0.state = .stopped }
            case .failure(let failure):
                report(failure.description)
                return live.update { $0.state = .failed(failure) }
            }
        }
    }

    /// How the child ended by itself; `nil` when it is to end.
    private func awaitEnd(of child: ChildProcess) -> ChildProcess.Status? {
        child.whenEnded { [live] _ in live.update { _ in } }
        return live.wait { [ending] _ -> ChildProcess.Status?? in
            if ending.isSet { return .some(nil) }
            return child.status.map { .some($0) }
        } ?? nil
    }

    private func restart(
        _ description: any ServerDescription, _ lock: FolderLock, after status: ChildProcess.Status,
        _ attempt: inout Int
    ) -> Result<ChildProcess, ServerFailure> {
        var last = "it died (\(status))"
        while attempt < policy.attempts {
            attempt += 1
            let number = attempt
            live.update { $0.state = .restarting(attempt: number) }
            if ending.wait(milliseconds: policy.backoff.milliseconds(attempt: attempt)) {
                return .failure(.stopped(server: name))
            }
            do throws(ServerFailure) {
                let child = try launch(description, lock)
                report("\(name) serves again on port \(description.port)")
                return .success(child)
            } catch {
                if case .stopped = error { return .failure(error) }
                last = error.description
                report("\(name), try \(attempt): \(last)")
            }
        }
        return .failure(.gaveUp(server: name, attempts: attempt, last: last))
    }
}

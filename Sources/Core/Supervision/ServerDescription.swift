/// What a server is: where its data is, how it is started, when it is ready.
package protocol ServerDescription: Sendable {
    /// The program's name, for messages, log file and threads.
    var name: String { get }
    /// Its data folder; nobody else's. The log is `<folder>/<name>.log`, the lock `<folder>/lock`.
    var folder: String { get }
    /// The port on 127.0.0.1 that it listens on.
    var port: UInt16 { get }
    /// How to start it now; writes the configuration files it needs. Log file and descriptors are
    /// added by the caller.
    func command() throws(ServerFailure) -> ChildProcess.Command
    /// Looks once whether it answers, within about a second.
    func probe() -> Readiness
}

/// The answer of a probe.
package enum Readiness: Sendable, Equatable {
    /// It serves.
    case ready
    /// Not now, and why.
    case notYet(String)
}

extension ServerDescription {
    /// Where the server's output goes.
    package var logFile: String { "\(folder)/\(name).log" }
}

/// Why a server could not be started or kept running.
package enum ServerFailure: Error, Equatable, CustomStringConvertible {
    /// Somebody else listens on the port.
    case portTaken(server: String, port: UInt16)
    /// The program is in none of the places; `advice` says what to do.
    case programNotFound(server: String, advice: String)
    /// The data folder can't be made or written.
    case folderNotWritable(server: String, SystemFailure)
    /// Another process uses the data folder.
    case folderInUse(server: String, FolderLockFailure)
    /// The program ended before it was ready; `log` is the end of its output.
    case diedAtStart(server: String, status: ChildProcess.Status, log: String)
    /// It runs but does not answer.
    case notReady(server: String, milliseconds: Int, reason: String, log: String)
    /// It was to end while it was being started.
    case stopped(server: String)
    /// It died too often in a row; `last` is the newest of the failures.
    case gaveUp(server: String, attempts: Int, last: String)
    /// The system refused something else.
    case system(server: String, SystemFailure)

    /// What happened, to what, and what to do.
    package var description: String {
        switch self {
        case .portTaken(let server, let port):
            "\(server): port \(port) is taken by another program; end it or choose another port"
        case .programNotFound(let server, let advice):
            "\(server): program not found; \(advice)"
        case .folderNotWritable(let server, let failure):
            "\(server): its data folder can't be used: \(failure)"
        case .folderInUse(let server, let failure):
            "\(server): its data folder is in use: \(failure)"
        case .diedAtStart(let server, let status, let log):
            "\(server): ended while starting (\(status)); the end of its log:\n\(log)"
        case .notReady(let server, let milliseconds, let reason, let log):
            "\(server): not ready after \(milliseconds) ms (\(reason)); the end of its log:\n\(log)"
        case .stopped(let server):
            "\(server): asked to stop while starting"
        case .gaveUp(let server, let attempts, let last):
            "\(server): given up after \(attempts) restarts in a row; the last failure: \(last)"
        case .system(let server, let failure):
            "\(server): \(failure)"
        }
    }
}

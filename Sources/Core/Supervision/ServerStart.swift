import Glibc

extension ServerDescription {
    /// Starts the server once and returns when its probe says that it is ready, or throws and leaves
    /// nothing running. `inherited` are descriptors for it to keep (a `FolderLock`'s), `deathSignal`
    /// is what it gets when we end. Call on a thread of your own.
    package func start(
        inherited: [Int32] = [], deathSignal: Int32? = nil, readyWithinMilliseconds: Int = 30_000,
        stop: StopSignal? = nil
    ) throws(ServerFailure) -> ChildProcess {
        do throws(SystemFailure) { try makeFolder(folder) } catch {
            throw .folderNotWritable(server: name, error)
        }
        guard Loopback.isFree(port) else { throw .portTaken(server: name, port: port) }
        var command = try command()
        command.logFile = logFile
        command.inherited += inherited
        if let deathSignal { command.deathSignal = deathSignal }
        let child: ChildProcess
        do throws(SystemFailure) { child = try ChildProcess(command) } catch {
            if error.code == ENOENT { throw .programNotFound(server: name, advice: "no \(error.subject)") }
            throw .system(server: name, error)
        }
        do throws(ServerFailure) {
            try awaitReady(child, limit: readyWithinMilliseconds, stop: stop)
        } catch {
            child.terminate(withinMilliseconds: 2_000)
            throw error
        }
        return child
    }

    private func awaitReady(
        _ child: ChildProcess, limit: Int, stop: StopSignal?
    ) throws(ServerFailure) {
        let deadline = monotonicMilliseconds() + limit
        var pause = 2
        while true {
            let readiness = probe()
            // The child may have died while somebody else answered on its port: look at it first.
            if let status = child.status {
                throw .diedAtStart(server: name, status: status, log: lastLines(of: logFile))
            }
            guard case .notYet(let reason) = readiness else { return }
            if stop?.isSet == true { throw .stopped(server: name) }
            let left = deadline - monotonicMilliseconds()
            if left <= 0 {
                throw .notReady(
                    server: name, milliseconds: limit, reason: reason, log: lastLines(of: logFile))
            }
            // Waiting on the child ends early when it dies.
            _ = child.wait(milliseconds: min(left, pause))
            pause = min(pause * 2, 50)
        }
    }
}

/// The last lines of a log, for an error message.
func lastLines(of path: String, count: Int = 8) -> String {
    endOfFile(path).split(separator: "\n").suffix(count).joined(separator: "\n")
}

import CPosix
import Glibc

/// A program running as our child: in a process group of its own (so that Ctrl-C at the terminal does
/// not reach it), with an empty signal mask and default handlers, no descriptor of ours but the chosen
/// ones, and ending when we end, even by kill -9.
///
/// All methods block at most for their limit and may be called from any thread. Signals are sent by
/// pid, only while the child has not been reaped, so never to a stranger that got the same number.
package final class ChildProcess: Sendable {
    /// What to run, and how.
    package struct Command: Sendable {
        /// Path of the program; PATH is not searched (see `findProgram`).
        package var program: String
        /// Arguments after the program's name. Other users can read them: no secrets here.
        package var arguments: [String]
        /// Environment variables to add or replace.
        package var environment: [String: String]
        /// Working folder; ours when `nil`.
        package var folder: String?
        /// File that stdout and stderr are appended to; ours when `nil`.
        package var logFile: String?
        /// Descriptors that the child keeps, under the same numbers.
        package var inherited: [Int32]
        /// Signal that the child gets when our process ends, however that happens; 0 for none.
        package var deathSignal: Int32

        /// A command with our environment, no inherited descriptors, and SIGTERM when we end.
        package init(
            _ program: String, _ arguments: [String] = [], environment: [String: String] = [:],
            folder: String? = nil, logFile: String? = nil, inherited: [Int32] = [],
            deathSignal: Int32? = nil
        ) {
            self.program = program
            self.arguments = arguments
            self.environment = environment
            self.folder = folder
            self.logFile = logFile
            self.inherited = inherited
            self.deathSignal = deathSignal ?? SIGTERM
        }
    }

    /// How a process ended.
    package enum Status: Sendable, Equatable, CustomStringConvertible {
        /// By itself, with this status.
        case exited(Int32)
        /// By this signal.
        case signalled(Int32)

        init(waitStatus: Int32) {
            let signal = waitStatus & 0x7f
            self = signal == 0 ? .exited(waitStatus >> 8 & 0xff) : .signalled(signal)
        }

        /// In words.
        package var description: String {
            switch self {
            case .exited(let status): "exit status \(status)"
            case .signalled(let signal): "signal \(signal)"
            }
        }
    }

    private struct State {
        var status: Status?
        var handlers: [@Sendable (Status) -> Void] = []
    }

    /// The child's process id; its process group has the same.
    package let pid: Int32

    private let state: Monitor<State>

    /// Starts the program; returns when it runs. Throws when the log file can't be opened or the
    /// program can't be executed (`ENOENT`, `EACCES`, …).
    package init(_ command: Command) throws(SystemFailure) {
        var output: Int32 = -1
        if let logFile = command.logFile {
            output = open(logFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            if output < 0 { throw SystemFailure("open log file", logFile) }
        }
        defer { if output >= 0 { close(output) } }
        let log = output
        let pid = try ForkThread.run { Self.spawn(command, output: log) }.get()
        let state = Monitor(State())
        self.pid = pid
        self.state = state
        do throws(SystemFailure) {
            try startThread(name: "wait \(pid)", stackBytes: 1 << 16) { Self.reap(pid, into: state) }
        } catch {
            Glibc.kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw error
        }
    }

    private static func spawn(_ command: Command, output: Int32) -> Result<pid_t, SystemFailure> {
        var code: Int32 = 0
        let environment = currentEnvironment().merging(command.environment) { $1 }
            .map { "\($0.key)=\($0.value)" }
        let pid = withCStrings([command.program] + command.arguments) { arguments in
            withCStrings(environment) { environment in
                command.inherited.withUnsafeBufferPointer { kept in
                    command.program.withCString { path in
                        withOptionalCString(command.folder) { folder in
                            var child = reel_child(
                                path: path, arguments: arguments, environment: environment,
                                folder: folder, output: output, kept: kept.baseAddress,
                                kept_count: Int32(kept.count), death_signal: command.deathSignal)
                            return reel_spawn(&child, &code)
                        }
                    }
                }
            }
        }
        return pid > 0 ? .success(pid) : .failure(SystemFailure("run", command.program, code: code))
    }

    private static func reap(_ pid: pid_t, into state: Monitor<State>) {
        // First wait without reaping: the pid must stay the child's until the lock is held.
        let code = reel_await_end(pid)
        let (status, handlers) = state.update { state in
            var raw: Int32 = 0
            if code == 0 { waitpid(pid, &raw, 0) }
            let status = Status(waitStatus: raw)
            state.status = status
            defer { state.handlers = [] }
            return (status, state.handlers)
        }
        for handler in handlers { handler(status) }
    }

    /// How it ended, or `nil` while it runs.
    package var status: Status? { state.withLock { $0.status } }

    /// Whether it has not ended yet.
    package var isRunning: Bool { status == nil }

    /// Blocks until the child has ended.
    package func wait() -> Status {
        guard let status = state.wait(for: { $0.status }) else {
            preconditionFailure("a wait without a limit ended without an answer")
        }
        return status
    }

    /// Blocks until the child has ended; `nil` when it still runs after `milliseconds`.
    package func wait(milliseconds: Int) -> Status? {
        state.wait(milliseconds: milliseconds) { $0.status }
    }

    /// Runs `handler` once when the child has ended, on a thread of its own; at once when it has.
    package func whenEnded(_ handler: @escaping @Sendable (Status) -> Void) {
        let status = state.withLock { state in
            if state.status == nil { state.handlers.append(handler) }
            return state.status
        }
        if let status { handler(status) }
    }

    /// Sends a signal; `false` when the child has ended already.
    @discardableResult
    package func send(_ signal: Int32) -> Bool {
        state.withLock { $0.status == nil && Glibc.kill(pid, signal) == 0 }
    }

    /// Asks the child to end with SIGTERM, and after `milliseconds` makes it end with SIGKILL.
    /// Returns when it has ended.
    @discardableResult
    package func terminate(withinMilliseconds milliseconds: Int) -> Status {
        send(SIGTERM)
        // A stopped process does not act on SIGTERM until it is continued.
        send(SIGCONT)
        if let status = wait(milliseconds: milliseconds) { return status }
        send(SIGKILL)
        return wait()
    }
}

private func withOptionalCString<Answer>(
    _ string: String?, _ body: (UnsafePointer<CChar>?) -> Answer
) -> Answer {
    if let string { return string.withCString(body) }
    return body(nil)
}

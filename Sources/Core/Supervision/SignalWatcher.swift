import CPosix
import Glibc

/// Turns SIGINT, SIGTERM and SIGHUP into a `StopSignal`, for the whole process. The second of them ends the
/// process at once with status 130, whatever state it is in. SIGHUP, which comes when the terminal is
/// closed, stays ignored where it was (`nohup`), and counts once. SIGPIPE is ignored from then on: writing
/// to a closed connection is an error like others.
///
/// A handler and a pipe are used instead of blocking the signals, because Swift's own threads may have
/// been started before us with an open mask. This file is the only one that may call
/// `reel_watch_signals`.
package enum SignalWatcher {
    /// Starts watching; call once, early, in `main`.
    package static func start(_ stop: StopSignal) throws(SystemFailure) {
        var ends: [CInt] = [-1, -1]
        guard reel_pipe(&ends) == 0 else { throw SystemFailure("pipe", "for signals") }
        let (reading, writing) = (ends[0], ends[1])
        try startThread(name: "signals", stackBytes: 1 << 16) {
            var number: UInt8 = 0
            while read(reading, &number, 1) != 1 {
                if errno != EINTR { return }
            }
            stop.set()
        }
        let code = reel_watch_signals(writing)
        guard code == 0 else { throw SystemFailure("sigaction", "SIGINT and others", code: code) }
    }
}

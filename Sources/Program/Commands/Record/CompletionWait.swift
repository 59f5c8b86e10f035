import Base
import Console
import EventSourcing
import RedisLog
import Recording
import Supervision

/// Waits until a stopped session is completed. One thread.
struct CompletionWait {
    let session: String
    let log: RedisEventLog
    let report: RecordingReport

    /// How long the log may be away before the wait is given up.
    private static let patience = Duration.seconds(60)
    private static let lookMilliseconds = 50

    /// The status that the session ended in; nil when `stop` is set first.
    /// - Throws: when a chunk was given up, with its error; when the log stays away.
    func wait(stop: StopSignal) throws -> SessionStatus? {
        var missingSince: ContinuousClock.Instant?
        let handler = CommandHandler(session: session, store: try log.open(), clock: SystemClock())
        while true {
            do throws(CommandError<SessionRejection>) {
                try handler.catchUp()
                missingSince = nil
            } catch {
                guard case .failed(let failure) = error, failure.mayEnd, failure.kind != .lostHistory else {
                    throw SessionErrors.plain(error, session)
                }
                let since = missingSince ?? ContinuousClock.now
                if missingSince == nil { report.note("waiting for the log: \(failure.text)") }
                missingSince = since
                if ContinuousClock.now - since > Self.patience { throw failure }
            }
            let state = handler.state
            report.completing(stored: state.merkleHashes.count, of: state.chunkCount, bytes: state.sizeBytes)
            switch state.status {
            case .completed, .failed, .deleted: return state.status
            default: break
            }
            if let (number, error) = state.failures.min(by: { $0.key < $1.key }) {
                let others = state.failures.count - 1
                throw CommandFailure(
                    .no,
                    "session \(session): chunk \(number) was given up\(others > 0 ? ", and \(others) more" : ""): "
                        + "\(error)")
            }
            if stop.wait(milliseconds: Self.lookMilliseconds) { return nil }
        }
    }
}

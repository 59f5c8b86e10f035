import Base
import EventSourcing
import MongoViews
import Pipeline
import RecordingMongo
import Recording
import Sealing

/// What a process knows of keys that cannot be had, for its health and its figures. Any thread.
final class KeyWatch: Sendable {
    private struct State {
        var report: MongoVault.Report?
        var failure: String?
    }

    private let state = Lock(State())

    /// The report of the last whole look, by whichever process; nil before the first.
    var report: MongoVault.Report? { state.withLock { $0.report } }
    /// Why keys cannot be looked at; nil while they can.
    var failure: String? { state.withLock { $0.failure } }

    /// Takes a report in; answers the one before.
    func take(_ report: MongoVault.Report?) -> MongoVault.Report? {
        state.withLock { state in
            defer { state.report = report }
            return state.report
        }
    }

    /// Notes why keys cannot be looked at, or that they can.
    func note(failure: (any Error)?) {
        let text = failure.map { ($0 as? MongoFailure)?.summary ?? "\($0)" }
        state.withLock { $0.failure = text }
    }
}

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

/// One look at all keys, page by page: what the read models say is recorded against what the vault has. Of
/// what it finds, the log decides: a session that was deleted meanwhile needs no key.
struct KeySweep {
    /// Sessions of one page.
    static let pageSize = 500

    private let views: MongoReadModels
    private let vault: MongoVault
    private let inspection: KeyInspection
    private let store: any EventStore
    /// The session that it has come to.
    private(set) var place = ""
    /// What was found so far.
    private(set) var findings: [KeyFinding] = []
    /// Sessions that were looked at.
    private(set) var sessions = 0

    init(views: MongoReadModels, vault: MongoVault, ring: KeyRing, store: any EventStore) {
        self.views = views
        self.vault = vault
        inspection = KeyInspection(ring: ring)
        self.store = store
    }

    /// Looks at the next page; false when there is none.
    mutating func next() throws -> Bool {
        let demands = try views.keyDemands(behind: place, limit: Self.pageSize)
        guard let last = demands.last else { return false }
        let records = try vault.records(ofSessions: demands.map(\.sessionID))
        for finding in try inspection.findings(demands, among: records) {
            if try isStillNeeded(finding.sessionID) { findings.append(finding) }
        }
        sessions += demands.count
        place = last.sessionID
        return true
    }

    /// Begins again.
    mutating func restart() {
        place = ""
        findings = []
        sessions = 0
    }

    private func isStillNeeded(_ session: String) throws -> Bool {
        let handler = CommandHandler<SessionDecider>(session: session, store: store, clock: SystemClock())
        do { try handler.catchUp() } catch {
            // One whose history does not read was not deleted as far as anybody knows.
            guard case .failed(let failure) = error, failure.mayEnd else { return true }
            throw failure
        }
        return handler.state.status != .deleted && handler.state.chunkCount > 0
    }
}

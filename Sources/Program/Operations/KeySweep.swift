internal import Base
package import EventSourcing
package import MongoViews
internal import Pipeline
package import RecordingMongo
package import Recording
package import Sealing

/// One look at all keys, page by page: what the read models say is recorded against what the vault has. Of
/// what it finds, the log decides: a session that was deleted meanwhile needs no key.
package struct KeySweep {
    /// Sessions of one page.
    static let pageSize = 500

    private let views: MongoReadModels
    private let vault: MongoVault
    private let inspection: KeyInspection
    private let store: any EventStore
    /// The session that it has come to.
    private(set) var place = ""
    /// What was found so far.
    package private(set) var findings: [KeyFinding] = []
    /// Sessions that were looked at.
    package private(set) var sessions = 0

    package init(views: MongoReadModels, vault: MongoVault, ring: KeyRing, store: any EventStore) {
        self.views = views
        self.vault = vault
        inspection = KeyInspection(ring: ring)
        self.store = store
    }

    /// Looks at the next page; false when there is none.
    package mutating func next() throws -> Bool {
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
    package mutating func restart() {
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

package import EventSourcing
package import MongoViews
internal import Pipeline
internal import RecordingMongo
package import RedisLog
internal import Recording
package import ChunkFiles
internal import Console

/// Lifts the halt of a partition, and puts right what was derived from the events that the log has lost. One
/// thread.
///
/// The halt goes last: a command that was cut off before can simply be given again.
package final class PartitionService {
    /// A session of which events were lost.
    package struct LostSession {
        /// Its id.
        package var sessionID: String
        /// Events that the read models had seen; nil when they had seen none that is lost.
        package var shownEvents: UInt64?
        /// Events that the log has.
        package var loggedEvents: UInt64
        /// Events in the midst of its history that are gone: what is left of it can be looked at, and no
        /// more.
        package var gaps = 0
        /// Numbers of the chunks whose sealed files no event describes any more; they were set aside.
        package var chunks: [Int]
        /// Cases that held it as far as the read models had seen, and that the log knows nothing of.
        package var lostHolds: [String] = []
    }

    /// What came of it.
    package struct Outcome {
        /// What the log notes of it.
        package var lifting: LiftedHalt
        /// Those that lack events, and what became of them.
        package var sessions: [LostSession]
        /// Records of who did what that the log has lost, and that are shown no more.
        package var auditRecords: Int
    }

    private let halts: RedisHalts
    private let store: any EventStore
    private let facts: any LogIndex
    private let views: MongoReadModels
    private let chunks: ChunkStore

    package init(_ log: RedisEventLog, _ views: MongoReadModels, _ chunks: ChunkStore) throws {
        halts = log.halts()
        store = try log.open()
        facts = try log.index(SessionFacts.indexName)
        self.views = views
        self.chunks = chunks
    }

    /// Takes back what the archive has of a halted partition, on the word of whoever asks.
    /// - Returns: the lifting, which the log made because nothing is missing any more; nil when the partition
    ///   is not halted.
    /// - Throws: `CommandFailure`, when it is still missing something.
    package func takeBack(_ partition: Int) throws -> Outcome? {
        guard try halts.list().contains(where: { $0.partition == partition }) else { return nil }
        if let text = try halts.takeBack(partition) {
            throw CommandFailure(.no, "partition \(LogPosition.partitionName(partition)): \(text)")
        }
        if let outcome = try mended(partition) { return outcome }
        let halt = try halts.list().first { $0.partition == partition }
        throw CommandFailure(
            .no, "what the archive has was taken back, and something is missing still: \(halt?.reason ?? "")")
    }

    /// The outcome for a partition that lacks nothing any more; nil when it does.
    private func mended(_ partition: Int) throws -> Outcome? {
        guard try halts.mend().contains(partition) else { return nil }
        return try halts.lifted().first { $0.partition == partition }.map {
            Outcome(lifting: $0, sessions: [], auditRecords: 0)
        }
    }

    /// - Returns: nil when the partition is not halted.
    package func lift(_ partition: Int, by actor: Actor, because reason: String) throws -> Outcome? {
        guard try halts.list().contains(where: { $0.partition == partition }) else { return nil }
        // Nothing is given up that the archive has, or that is there again.
        if let outcome = try mended(partition) { return outcome }
        var lost: [String: LostSession] = [:]
        var damaged: [String: LostSession] = [:]
        let held = try views.heldSessions(ofPartition: partition)
        for shown in try views.histories(ofPartition: partition) {
            let session = shown.partitionKey
            var found = LostSession(
                sessionID: session, shownEvents: shown.version,
                loggedEvents: try store.version(of: session), chunks: [])
            if try isLost(shown) { lost[session] = found; continue }
            found.gaps = try gaps(in: session)
            if found.gaps > 0 { damaged[session] = found }
        }
        // The read models may have been behind when it happened. Files of sessions that neither the log nor
        // the read models know are somebody else's.
        for session in try chunks.sessions() where store.partitioning.partition(of: session) == partition {
            let version = try lost[session]?.loggedEvents ?? store.version(of: session)
            guard version > 0 || lost[session] != nil else { continue }
            // What a case holds stays where it is, described or not.
            guard try logged(session).legalHolds.isEmpty, held[session] == nil else { continue }
            let numbers = try setAside(session)
            guard !numbers.isEmpty else { continue }
            lost[session, default: LostSession(sessionID: session, loggedEvents: version, chunks: [])]
                .chunks =
                numbers
        }
        for (session, cases) in held {
            let known = try logged(session).legalHolds
            let gone = cases.filter { !known.contains($0) }
            lost[session]?.lostHolds = gone
            damaged[session]?.lostHolds = gone
        }
        let sessions = lost.values.sorted { $0.sessionID < $1.sessionID }
        let records = try lostRecords(partition)
        try views.remove(records, from: RecordingViews.audit)
        try views.startOver(
            partition: partition, upTo: try store.end(of: partition),
            without: sessions.filter { $0.shownEvents != nil }.map(\.sessionID))
        try facts.clear(partition)
        return try halts.lift(partition, by: actor.id, because: reason).map {
            Outcome(
                lifting: $0, sessions: sessions + damaged.values.sorted { $0.sessionID < $1.sessionID },
                auditRecords: records.count)
        }
    }

    /// The session as far as the log can be read.
    private func logged(_ session: String) throws -> SessionState {
        var state = SessionState()
        try store.forEachEntry(of: session) { entry in
            guard let event = entry.event else { return }
            SessionDecider.evolve(&state, try RecordingEvent(event))
        }
        return state
    }

    /// Records that are shown and that the log does not have: both are gone through in the log's order.
    private func lostRecords(_ partition: Int) throws -> [String] {
        let shown = try views.records(ofPartition: partition, in: RecordingViews.audit)
        var lost: [String] = []
        var page: [LogPosition: String] = [:]
        var (reached, isAtEnd) = (LogPosition.start(of: partition), false)
        for record in shown {
            while !isAtEnd, reached < record.position {
                let events = try store.read(after: reached, limit: 1000)
                page = Dictionary(events.map { ($0.position, $0.id) }, uniquingKeysWith: { $1 })
                if let last = events.last { reached = last.position } else { isAtEnd = true }
            }
            if page[record.position] != record.key { lost.append(record.key) }
        }
        return lost
    }

    /// Events of a session's history that cannot be read any more.
    private func gaps(in session: String) throws -> Int {
        var count = 0
        try store.forEachEntry(of: session) { entry in if entry.event == nil { count += 1 } }
        return count
    }

    /// Whether the newest event that the read models have of a session is not the one that the log has.
    private func isLost(_ shown: ShownHistory) throws -> Bool {
        guard shown.version > 0 else { return false }
        let entry = try store.entries(of: shown.partitionKey, after: shown.version - 1, limit: 1).entries
            .first
        return entry?.position != shown.position
    }

    /// Moves away sealed files of chunks that the log does not know; answers their numbers. None where it
    /// may know more than can be read.
    private func setAside(_ session: String) throws -> [Int] {
        var recorded: Set<Int> = []
        var isReadable = true
        try store.forEachEntry(of: session) { entry in
            guard let event = entry.event else { return isReadable = false }
            if case .chunk(.recorded(let chunk)) = try RecordingEvent(event) {
                recorded.insert(chunk.chunk.sequenceNumber)
            }
        }
        guard isReadable else { return [] }
        var numbers: [Int] = []
        for file in try chunks.list(session: session).files where !recorded.contains(file.sequenceNumber) {
            if try chunks.setAside(session: session, sequence: file.sequenceNumber) {
                numbers.append(file.sequenceNumber)
            }
        }
        return numbers.sorted()
    }
}

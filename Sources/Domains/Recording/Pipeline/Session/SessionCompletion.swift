package import Engine
package import Base
package import EventSourcing
internal import Recording
package import ChunkFiles
internal import Sealing
internal import ReadModels

/// Closes sessions: when a stopped session's last chunk is stored, computes the Merkle root over the
/// sealed files' leaf hashes in sequence order and completes it.
///
/// It folds every session that is still open from the events as they come; one that it meets in the
/// middle (after a restart) is loaded from the log first. What it appends expects the version that it
/// decided on and has derived ids, so that a repeated event, or a second owner, changes nothing.
package final class SessionCompletion: OrderedHandler {
    /// Its subscription: what it has not seen stays in the log's server.
    package static let subscription = Subscription("completion", .log, parks: true, holdsBack: true)

    /// Name of the subscription and its checkpoint.
    package var name: String { Self.subscription.name }

    private struct Tracked {
        var state: SessionState
        var version: UInt64
        var lastUse: UInt64
        let partition: Int
        /// Whether it was said that it cannot be closed.
        var isTold = false
    }

    /// Open sessions that are kept in memory; the one that was idle longest makes room.
    private static let maximumTracked = 10_000
    /// Events of a session that are loaded at once.
    private static let pageSize = 500

    private let spool: Spool
    private let clock: any WallClock
    private let report: RoleLog
    private let context = EventContext(
        source: "/reel/processor", actor: .system(SessionCompletion.subscription.name))
    private var tracked: [String: Tracked] = [:]
    private var uses: UInt64 = 0

    /// A handler that knows no session yet.
    /// - Parameter spool: what a completed session left there is removed.
    package init(spool: Spool, clock: any WallClock, report: RoleLog) {
        self.spool = spool
        self.clock = clock
        self.report = report
    }

    /// Forgets all sessions; they are loaded again when their next event comes.
    package func reset() { tracked.removeAll() }

    /// Forgets the sessions of these partitions.
    package func forget(_ partitions: Set<Int>) {
        if !partitions.isEmpty { tracked = tracked.filter { !partitions.contains($0.value.partition) } }
    }

    /// Takes events in and closes what is ready.
    package func handle(_ events: [RecordedEvent], _ store: any EventStore) throws {
        var touched: [String: RecordedEvent] = [:]
        // Nothing is completed for the sake of what is no session's.
        for event in events where Category.bare.contains(event.partitionKey) {
            try naming(event) { try take(event, store) }
            touched[event.partitionKey] = event
        }
        // In the order of the log, so that the same events are always followed by the same steps.
        for (session, event) in touched.sorted(by: { $0.value.position < $1.value.position }) {
            try naming(event) { try closeIfReadable(session, because: event, store) }
        }
    }

    /// What cannot be read or understood lies ahead here: the session waits where the feed meets it, or at
    /// the event behind it, and no event before it is to blame.
    private func closeIfReadable(
        _ session: String, because event: RecordedEvent, _ store: any EventStore
    ) throws {
        do { try close(session, because: event, store) } catch
            where error is MalformedEvent || (error as? LogFailure)?.kind == .unreadable
        {
            guard tracked[session]?.isTold == false else { return }
            tracked[session]?.isTold = true
            report(.error, "completion: session=\(session) cannot be closed: \(error)")
        }
    }

    /// Every event of a session is needed to close it.
    package func malformed(among events: [RecordedEvent]) -> [any EventFailure] {
        FoldFailure.malformed(among: events.filter { Category.bare.contains($0.partitionKey) }) {
            (event) throws(MalformedEvent) in _ = try RecordingEvent(event)
        }
    }

    /// Says with which event it could not go on when the log holds something that can't be understood.
    private func naming(_ event: RecordedEvent, _ body: () throws -> Void) throws {
        do { try body() } catch let error as MalformedEvent {
            tracked[event.partitionKey] = nil
            throw UnreadableEvent(position: event.position, isFinal: true, description: "\(error)")
        } catch let error as LogFailure where error.kind == .unreadable {
            // An earlier event of the session, which nothing else names: this one cannot do without it.
            tracked[event.partitionKey] = nil
            throw UnreadableEvent(position: event.position, isFinal: false, description: "\(error)")
        }
    }

    private func take(_ event: RecordedEvent, _ store: any EventStore) throws {
        uses += 1
        let key = event.partitionKey
        var entry: Tracked
        if let known = tracked[key] {
            entry = known
        } else {
            makeRoom()
            entry = Tracked(
                state: SessionState(), version: 0, lastUse: uses, partition: event.position.partition)
        }
        // Emptying the slot keeps the state's dictionaries unshared, so that folding does not copy them.
        tracked[key] = nil
        entry.lastUse = uses
        if event.sequence == entry.version + 1 {
            SessionDecider.evolve(&entry.state, try RecordingEvent(event))
            entry.version = event.sequence
        } else if event.sequence > entry.version {
            // Up to the event, and no farther: what lies ahead may be what nobody can understand.
            while entry.version < event.sequence {
                let missing = min(Self.pageSize, Int(clamping: event.sequence - entry.version))
                let page = try store.load(key, after: entry.version, limit: missing)
                for earlier in page {
                    try naming(earlier) { SessionDecider.evolve(&entry.state, try RecordingEvent(earlier)) }
                    entry.version = earlier.sequence
                }
                if page.isEmpty { break }
            }
        }
        tracked[key] = entry
    }

    private func makeRoom() {
        guard tracked.count >= Self.maximumTracked else { return }
        if let idle = tracked.min(by: { $0.value.lastUse < $1.value.lastUse }) { tracked[idle.key] = nil }
    }

    private func close(_ session: String, because event: RecordedEvent, _ store: any EventStore) throws {
        guard let entry = tracked[session] else { return }
        switch entry.state.status {
        case .stopped, .processing:
            // Chunks that were given up hold the session open, so that they can be tried again.
            let handler = CommandHandler(session: session, store: store, clock: clock)
            let context = context.caused(by: event)
            if entry.state.status == .stopped {
                try ignoringRejection { () throws(CommandError<SessionRejection>) in try handler.catchUp() }
                try ignoringRejection { () throws(CommandError<SessionRejection>) in
                    try handler.handle(.process, id: "\(session)/process", context: context)
                }
            }
            guard entry.state.isEverythingStored else { return }
            try complete(handler, session, context)
        case .completed, .failed, .deleted:
            tracked[session] = nil
            // Leftovers cost space, not truth; `SpoolSweep` removes what could not be removed now. Of a
            // session that a case holds they may be all there is of what was uploaded out of turn.
            if entry.state.status == .completed, !mayBeHeld(session, entry, store) {
                _ = try? spool.removeSession(session)
            }
        default: return
        }
    }

    /// Whether a case may hold the session by now: by what is known, or by an event that lies ahead of a
    /// handler that is behind. What cannot be read may be a hold.
    private func mayBeHeld(_ session: String, _ entry: Tracked, _ store: any EventStore) -> Bool {
        var state = entry.state
        do {
            try store.forEach(of: session, after: entry.version) { event in
                SessionDecider.evolve(&state, try RecordingEvent(event))
            }
        } catch { return true }
        return !state.legalHolds.isEmpty
    }

    private func complete(
        _ handler: CommandHandler<SessionDecider>, _ session: String, _ context: EventContext
    ) throws {
        try ignoringRejection { () throws(CommandError<SessionRejection>) in try handler.catchUp() }
        guard handler.state.status == .processing, let hashes = handler.state.orderedMerkleHashes else {
            return
        }
        let root = MerkleTree(leafHashes: hashes.compactMap { Digest(hex: $0) }).root.hex
        try ignoringRejection { () throws(CommandError<SessionRejection>) in
            try handler.handle(.complete(merkleRoot: root), id: "\(session)/complete", context: context)
        }
        report(.info, "completion: session=\(session) chunks=\(hashes.count) merkle_root=\(root)")
    }

    /// A rejection says that somebody else has done it, or that it is not the time: both are fine.
    private func ignoringRejection(
        _ body: () throws(CommandError<SessionRejection>) -> Void
    ) throws {
        do { try body() } catch {
            switch error {
            case .rejected: return
            case .failed(let failure): throw failure
            case .malformed(let event): throw event
            }
        }
    }
}

/// An event of a session that can't be understood.
private struct UnreadableEvent: EventFailure, CustomStringConvertible {
    let position: LogPosition?
    let isFinal: Bool
    let description: String
}

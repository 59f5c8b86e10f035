internal import ChunkFiles
package import Engine
package import Base
package import EventSourcing
package import Recording
internal import Files

/// Removes what there is of deleted sessions: the data key, so that nothing that it sealed can be read
/// again wherever a copy may be, the RDP password, sealed files and spool. Then it says so of each chunk.
///
/// Everything that it does may be done again: a crash at any point leaves the deletion to be handled once
/// more, by whoever owns the partition then, and what is gone stays gone. It acts on what the log says of
/// a session and on nothing else, so reading the log anew removes nothing that was not removed before.
package final class SessionRemoval: OrderedHandler {
    /// Its subscription: what it has not seen stays in the log's server.
    package static let subscription = Subscription("removal", .log, parks: true, holdsBack: true)

    /// Where the content of sessions is, and what opens it.
    package struct Places: Sendable {
        var vault: VaultAccess
        var passwords: (any PasswordRecords)?
        package init(_ vault: VaultAccess, passwords: (any PasswordRecords)?) {
            self.vault = vault
            self.passwords = passwords
        }
    }

    private static let deletedType = SessionEvent.deleted(sessionID: "").typeName
    /// Sessions of which is known whether they live; beyond this many all are looked up again.
    private static let maximumKnown = 20_000

    private let places: Places
    private let clock: any WallClock
    private let report: RoleLog
    private let context = EventContext(
        source: "/reel/storage", actor: .system(SessionRemoval.subscription.name))
    private var keys: (any KeyRecords)?
    private var isDeleted: [String: Bool] = [:]

    /// Name of the subscription and its checkpoint.
    package var name: String { Self.subscription.name }

    /// A handler that knows no session yet.
    package init(_ places: Places, clock: any WallClock, report: RoleLog) {
        self.places = places
        self.clock = clock
        self.report = report
    }

    /// Forgets which sessions live.
    package func reset() { isDeleted.removeAll() }

    /// Takes events in and removes what they say is deleted.
    package func handle(_ events: [RecordedEvent], _ store: any EventStore) throws {
        for event in events where Category.bare.contains(event.partitionKey) {
            let session = event.partitionKey
            if event.type == Self.deletedType {
                try naming(event) { try remove(session, because: event, store) }
                know(session, isDeleted: true)
            } else if event.sequence == 1 {
                know(session, isDeleted: false)
            } else if event.type == StageName.store.emits {
                // A worker that had begun before the session was deleted, and stored it after.
                try naming(event) {
                    guard try isDeleted(session, store) else { return }
                    try requireFree(session, store)
                    try removeFile(event)
                }
            }
        }
    }

    private func know(_ session: String, isDeleted: Bool) {
        if self.isDeleted.count >= Self.maximumKnown { self.isDeleted.removeAll() }
        self.isDeleted[session] = isDeleted
    }

    private func isDeleted(_ session: String, _ store: any EventStore) throws -> Bool {
        if let known = isDeleted[session] { return known }
        var found = false
        // What cannot be read deletes nothing.
        try store.forEachEntry(of: session) { if $0.event?.type == Self.deletedType { found = true } }
        know(session, isDeleted: found)
        return found
    }

    private func remove(_ session: String, because event: RecordedEvent, _ store: any EventStore) throws {
        try requireFree(session, store)
        let keys = try keys ?? places.vault.archive.open()
        self.keys = keys
        // The key first: without it what could not be removed yet is unreadable.
        try keys.destroy(ofSession: session)
        try places.passwords?.remove(session: session, forGood: true)
        let files = try places.vault.chunks.removeSession(session)
        try places.vault.spool.removeSession(session)
        let handler = CommandHandler(session: session, store: store, clock: clock)
        var told = 0
        do throws(CommandError<SessionRejection>) {
            try handler.catchUp()
            while handler.state.deletedThrough < handler.state.chunkCount {
                told += try handler.handle(
                    .deleteChunks(through: handler.state.chunkCount), id: "\(session)/removal",
                    context: context.caused(by: event)
                ).count
            }
        } catch {
            switch error {
            case .failed(let failure): throw failure
            case .malformed(let event): throw event
            case .rejected(let rejection): throw rejection
            }
        }
        guard files + told > 0 else { return }
        report(.info, "removal: session=\(session) files=\(files) chunks=\(told) removed, key destroyed")
    }

    /// The rules let nobody delete what a case holds. Whatever else wrote the deletion, the content stays. So
    /// it does while any of the history cannot be read: whoever can write the log could spoil the hold first.
    private func requireFree(_ session: String, _ store: any EventStore) throws {
        var state = SessionState()
        try store.forEachEntry(of: session) { entry in
            switch entry {
            case .event(let event): SessionDecider.evolve(&state, try RecordingEvent(event))
            case .unreadable(let hole): throw UnknownHold(hole: hole)
            }
        }
        guard state.legalHolds.isEmpty else {
            throw SessionRejection.held(cases: state.legalHolds, command: "have its content removed")
        }
    }

    private func removeFile(_ event: RecordedEvent) throws {
        guard case .chunk(let stored) = try RecordingEvent(event) else { return }
        let (session, number) = (stored.chunk.sessionID, stored.chunk.sequenceNumber)
        try places.vault.chunks.remove(session: session, sequence: number)
        // Nothing of a deleted session will be read from the spool again.
        try places.vault.spool.removeSession(session)
    }

    /// Says with which event it could not go on, unless waiting may help: other sessions do not wait for one
    /// whose files can't be removed.
    private func naming(_ event: RecordedEvent, _ body: () throws -> Void) throws {
        do { try body() } catch {
            if error.mayEnd { throw error }
            if let failure = error as? StorageFailure, failure.isTransient { throw failure }
            throw RemovalFailure(position: event.position, description: "\(error)")
        }
    }
}

/// An entry of a deleted session's history that may be a hold.
private struct UnknownHold: Error, CustomStringConvertible {
    let hole: UnreadableHole
    var description: String {
        "the session's content is kept, because a hold may stand in its history: \(hole)"
    }
}

/// A deleted session of which something can't be removed.
private struct RemovalFailure: EventFailure, CustomStringConvertible {
    let position: LogPosition?
    let description: String
}

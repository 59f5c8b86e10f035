internal import ChunkFiles
internal import Base
internal import Recording
internal import Supervision
internal import Synchronization
internal import Files
internal import Sealing

/// Takes the bytes of one stream, of any length: cuts them into chunks, each of which is in the log when it
/// is full, or some seconds old. What has arrived is kept, whatever becomes of the source.
///
/// One caller writes and ends it; `ChunkIntake.run` and whoever stops, pauses or takes over the recording
/// reach it from other threads. An error that is thrown ends the stream: the same is thrown from then on.
///
/// `@unchecked`: everything that changes is touched by who has the turn alone, and flags are atomic.
package final class StreamWriter: @unchecked Sendable {
    /// The chunk in hand, and when it began and bytes last came to it, by both clocks.
    struct Hand {
        let chunk: ChunkWriter
        let most: Int
        let first: Timestamp
        let began: ContinuousClock.Instant
        var last: Timestamp
    }

    /// A chunk that is durable in the spool, and not known to be in the log.
    struct Pending {
        var chunk: ChunkEvent.Recorded
        var place: StreamPlace
    }

    /// The recording is paused, or is about to be.
    struct Hold {
        let since: ContinuousClock.Instant
        /// Whether the log has said so.
        var isConfirmed: Bool
        var lookedAt: ContinuousClock.Instant
    }

    static let lookMilliseconds = 50
    /// Whose stream it is, is asked so often at most.
    private static let ownerMilliseconds = 100

    /// The session's id.
    package let session: String
    let id = StreamNotes.newWriter()
    let intake: ChunkIntake
    let order: StreamOrder
    let notes: StreamNotes
    let turn = ExclusiveTurn()
    private let description: SessionDescription
    private let keyID: String
    private let digester: HMACSHA256

    var hand: Hand?
    var pending: Pending?
    /// Where its next chunk belongs; nil as long as it belongs wherever the recording ends.
    var place: StreamPlace?
    var hold: Hold? { didSet { holding.store(hold != nil, ordering: .releasing) } }
    /// Whether its source has come to its end.
    var isAtEnd = false
    /// Why nothing more is taken.
    var failure: (any Error)?
    /// The last request of another process that was carried out.
    var answered: String?
    /// When the first byte came.
    var beganAt: Timestamp?
    var chunkIDs: [String] = []
    var recordedBytes = 0
    var receivedBytes = 0
    var droppedBytes = 0
    /// Bytes that streams before this one had dropped, and what of all was noted.
    var droppedBefore = 0
    var droppedNoted = 0
    private var askedOwner: ContinuousClock.Instant?
    private let holding = Atomic<Bool>(false)

    init(
        _ intake: ChunkIntake, _ order: StreamOrder, _ description: SessionDescription, key: SessionKey,
        at place: StreamPlace
    ) {
        self.intake = intake
        self.order = order
        self.description = description
        if order.offset != nil { self.place = place }
        session = order.session
        keyID = key.keyID
        digester = key.contentDigester()
        notes = StreamNotes(intake.spool, order.session)
    }

    /// Whether the recording is paused, so that nothing need come for as long as that lasts.
    package var isHeld: Bool { holding.load(ordering: .acquiring) }

    /// Takes the next bytes. Waits while there is no room for them.
    /// - Throws: why nothing more is taken: `SessionRejection`, `IntakeRefusal`, `DiskShortage`,
    ///   `StorageFailure`, `CommandError<SessionRejection>`.
    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        turn.take { receivedBytes += bytes.count }
        while !rest.isEmpty {
            let isTaken = try turn.take { try ending { try take(&rest) } }
            if !isTaken { try waitForRoom() }
        }
    }

    /// Takes bytes into the chunk in hand; false where there is none.
    private func take(_ rest: inout Slice<UnsafeRawBufferPointer>) throws -> Bool {
        try requireOwner()
        if hold != nil, try !goesOn() {
            switch order.whilePaused {
            case .drop:
                droppedBytes += rest.count
                rest = rest[rest.endIndex...]
                return true
            case .refuse: throw IntakeRefusal.paused(next: try nextPlace())
            case .hold: return false
            }
        }
        if pending != nil {
            try recordPending(until: patienceEnd)
            return true
        }
        guard var hand else { return false }
        let part = rest.prefix(hand.most - hand.chunk.byteCount)
        try hand.chunk.write(UnsafeRawBufferPointer(rebasing: part))
        hand.last = intake.clock.now()
        rest = rest.dropFirst(part.count)
        self.hand = hand
        if hand.chunk.byteCount == hand.most || isDue(hand) { try recordHand(until: patienceEnd) }
        return true
    }

    /// Another stream may have been opened in another process.
    private func requireOwner() throws {
        let now = Machine.now
        if let askedOwner, now - askedOwner < .milliseconds(Self.ownerMilliseconds) { return }
        askedOwner = now
        guard try isOwner() else { throw IntakeRefusal.takenOver(next: try nextPlace()) }
    }

    /// How many bytes may be read of the source at once, so that nothing is read that has to wait for room
    /// while a chunk is in hand.
    package var wantedBytes: Int {
        turn.take { hand.map { $0.most - $0.chunk.byteCount } ?? intake.limits.chunkBytes }
    }

    func isDue(_ hand: Hand) -> Bool {
        Machine.now - hand.began >= .milliseconds(intake.limits.chunkMilliseconds)
    }

    // MARK: - Room

    /// Begins the next chunk. Nothing more is read from the source while too much waits for the stages, or
    /// the spool has no room.
    private func waitForRoom() throws {
        let began = Machine.now
        let quiet = order.stop ?? StopSignal()
        var isWaiting = false
        while true {
            let isStopped = order.stop?.isSet ?? false
            let isLast =
                isStopped
                || intake.limits.roomMilliseconds.map { Machine.now - began >= .milliseconds($0) } ?? false
            let found = Result { try patiently { try intake.log.look(at: session) } }
            let reason = try turn.take {
                try ending { try beginHand(try found.get(), isLast: isLast, isStopped: isStopped) }
            }
            guard let reason else { break }
            isWaiting = true
            order.observer?.waits(for: reason)
            quiet.wait(milliseconds: Self.lookMilliseconds)
        }
        if isWaiting { order.observer?.waits(for: nil) }
    }

    /// Begins a chunk where there is room; else what there is to be waited for. Nil, too, where there is
    /// nothing to be begun.
    private func beginHand(_ state: SessionState, isLast: Bool, isStopped: Bool) throws -> String? {
        guard hand == nil else { return nil }
        if state.status == .paused { pauseNoticed() }
        if hold != nil, try !goesOn() {
            guard order.whilePaused == .hold else { return nil }
            guard !isStopped else { throw IntakeRefusal.paused(next: state.nextPlace) }
            return "the recording to be resumed"
        }
        // Resumed since it was looked at.
        guard state.status != .paused else { return nil }
        try ChunkIntake.requireRecording(state)
        try intake.requireRoom(for: 1, in: state)
        let maximum = min(order.maximumBytes ?? .max, description.storage.maximumBytes)
        let most = min(intake.limits.chunkBytes, maximum - state.sizeBytes)
        guard most > 0 else {
            throw IntakeRefusal.sizeLimit(
                Violation("storage_config.max_size_gb", "allows \(maximum) bytes"))
        }
        if !isStopped, let reason = try processingToCatchUp(state, isLast: isLast) { return reason }
        do throws(StorageFailure) {
            let file = try intake.spool.begin(session: session, byteCount: most, beyondLimit: isStopped)
            let now = intake.clock.now()
            if beganAt == nil { beganAt = now }
            hand = Hand(
                chunk: ChunkWriter(file, description, keyID: keyID, digester: digester), most: most,
                first: now, began: Machine.now, last: now)
        } catch {
            guard !isLast, case .full(_, let limit, _, _) = error else { throw error }
            return "room in the spool, whose quota is \(limit >> 20) MiB"
        }
        return nil
    }

    /// Too much that is recorded and not stored holds a stream up, so that the spool stays bounded. While a
    /// disk is short, one chunk is too much: storing it frees its place in the spool.
    private func processingToCatchUp(_ state: SessionState, isLast: Bool) throws -> String? {
        let limits = intake.limits
        let most = max(1, min(limits.chunksAhead, limits.bytesAhead / max(1, limits.chunkBytes)))
        let isShort = try intake.diskGuard?.tightest().map { $0.state != .open } ?? false
        guard state.backlog >= (isShort ? 1 : most) else { return nil }
        guard !isLast else { throw IntakeRefusal.backlog(chunks: state.backlog) }
        return isShort && state.backlog < most
            ? "chunks to be stored, for a disk is short" : "processing to catch up"
    }

    // MARK: - The end

    /// The source has come to its end: records what is in hand.
    package func finish() throws -> StreamSummary {
        turn.take { isAtEnd = true }
        while true {
            let isDone = try turn.take {
                try ending {
                    if hold != nil { _ = try goesOn() }
                    try recordHand(until: patienceEnd)
                    return pending == nil
                }
            }
            if isDone { break }
            // The recording is paused, and its source waits.
            order.observer?.waits(for: "the recording to be resumed")
            guard order.stop?.isSet != true else {
                throw try turn.take { try ending { throw IntakeRefusal.paused(next: try nextPlace()) } }
            }
            (order.stop ?? StopSignal()).wait(milliseconds: Self.lookMilliseconds)
        }
        return try turn.take {
            let next = try place ?? ending { try patiently { try nextPlace() } }
            noteDropped()
            leave()
            return StreamSummary(
                chunkIDs: chunkIDs, recordedBytes: recordedBytes, droppedBytes: droppedBytes, next: next)
        }
    }

    /// The source broke, or was given up: what has arrived is recorded as far as that can be done at once,
    /// and the recording is incomplete unless somebody goes on with it from there.
    package func breakOff() {
        turn.take {
            guard failure == nil else { return }
            let limit = Machine.now + .milliseconds(intake.limits.handoverMilliseconds)
            do { try recordHand(until: limit) } catch { end(with: error) }
            guard failure == nil else { return }
            let isNoted = pending == nil && noteMissing()
            noteDropped()
            leave(isNoted: isNoted)
        }
    }

    /// Nothing came, and nothing was to come.
    package func cancel() {
        turn.take {
            guard failure == nil else { return }
            hand = nil
            leave()
        }
    }
}

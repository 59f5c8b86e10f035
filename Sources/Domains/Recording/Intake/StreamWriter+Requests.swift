internal import Base
internal import EventSourcing
internal import Recording
internal import Supervision
internal import Files

/// What others want of a stream: the timer, whoever stops or pauses the recording, whoever takes it over.
extension StreamWriter {
    /// The log is asked so often whether a paused recording goes on.
    private static let holdMilliseconds = 200
    /// So long a pause that was announced has to come.
    private static let announcedMilliseconds = 3000

    /// Does what is due: to be called some times a second, by any thread. Does nothing while somebody writes
    /// to the stream, who looks after it too.
    package func look() {
        _ = turn.takeIfFree {
            guard failure == nil else { return }
            do { try lookAround() } catch {
                if !Self.mayPass(error) { end(with: intake.explained(error, of: session)) }
            }
        }
    }

    private func lookAround() throws {
        // A note that can't be read now is read at the next look.
        if let request = try? notes.asked(), request.id != answered { try carryOut(request) }
        guard try isOwner() else { throw IntakeRefusal.takenOver(next: try nextPlace()) }
        // What is old enough was closed once; what the log did not take then is tried again.
        if let hand, isDue(hand) { try recordHand(until: Machine.now) }
        try recordPending(until: Machine.now)
        if hold != nil { _ = try goesOn() }
        noteDropped()
    }

    private func carryOut(_ request: StreamNotes.Request) throws {
        switch request.wish {
        case .settle:
            try recordHand(until: Machine.now)
            // Looked at again until whoever asked has waited for long enough.
            guard !hasUnplacedBytes else { return }
        case .pause:
            try recordHand(until: Machine.now)
            announcePause()
        case .resume: hold = nil
        case .over: try ChunkIntake.requireUnfinished(try intake.log.look(at: session))
        }
        do throws(StorageFailure) {
            try notes.open(id, answered: request.id, isOwing: isOwing)
            answered = request.id
        } catch {}
    }

    /// Whether trying again later may help, so that nothing is given up yet.
    static func mayPass(_ error: any Error) -> Bool {
        switch error {
        case CommandError<SessionRejection>.failed(let failure): mayPass(failure)
        case let failure as LogFailure: failure.mayEnd && failure.kind != .lostHistory
        // A chunk that could not be written is gone from the hand.
        default: false
        }
    }

    /// Whether bytes that have come are not recorded, or some that its source has promised have not come.
    var isOwing: Bool {
        hasUnplacedBytes || pending != nil || hand.map { $0.chunk.byteCount > 0 } ?? false
            || order.promisedBytes.map { receivedBytes < $0 } ?? false
    }

    /// Whether bytes have come that are in no chunk yet: they wait for room, or are just being taken. What a
    /// source gives that waits while the recording is paused is none of the recording's yet.
    private var hasUnplacedBytes: Bool {
        if hold != nil, order.whilePaused == .hold { return false }
        let placed = recordedBytes + droppedBytes + (pending?.chunk.content.sizeBytes ?? 0)
        return receivedBytes > placed + (hand?.chunk.byteCount ?? 0)
    }

    /// Whether nobody else has opened a stream of this session since. Where the note of that is gone, the
    /// session may be over.
    func isOwner() throws -> Bool {
        let owner: String?
        do throws(StorageFailure) { owner = try notes.owner() } catch {
            // What can't be read says nothing; the log decides on each chunk.
            return true
        }
        if let owner { return owner == id }
        try ChunkIntake.requireUnfinished(try intake.log.look(at: session))
        return true
    }

    // MARK: - Whoever stops, pauses or takes over

    /// Records what is in hand, and what is just being taken.
    /// - Returns: whether anything of the source is missing.
    func settle() -> Bool {
        let deadline = Machine.now + .milliseconds(intake.limits.handoverMilliseconds)
        while true {
            let answer: Bool? = turn.take {
                guard failure == nil else { return false }
                do { try recordHand(until: patienceEnd) } catch {
                    end(with: intake.explained(error, of: session))
                    return true
                }
                return hasUnplacedBytes && Machine.now < deadline ? nil : isOwing
            }
            if let answer { return answer }
            StopSignal().wait(milliseconds: Self.lookMilliseconds)
        }
    }

    /// The recording is about to be paused.
    func pause() {
        turn.take {
            guard failure == nil else { return }
            do { try recordHand(until: patienceEnd) } catch {
                end(with: intake.explained(error, of: session))
                return
            }
            announcePause()
        }
    }

    /// The recording goes on.
    func resume() { turn.take { hold = nil } }

    /// Another writer goes on. What has come since this one was settled was never acknowledged, and its
    /// sender learns where the recording ends.
    func displace(next: StreamPlace) {
        turn.take { if failure == nil { end(with: IntakeRefusal.takenOver(next: next)) } }
    }

    /// The session is over: whatever comes is refused.
    func sessionIsOver(_ rejection: SessionRejection) {
        turn.take { if failure == nil { end(with: rejection) } }
    }

    /// A request that this process has made itself needs no answer.
    func know(_ request: StreamNotes.Request) { turn.take { answered = request.id } }

    // MARK: - A pause

    private func announcePause() {
        guard hold == nil else { return }
        let now = Machine.now
        hold = Hold(since: now, isConfirmed: false, lookedAt: now)
    }

    /// The log has said that the recording is paused.
    func pauseNoticed() {
        let now = Machine.now
        if hold == nil { hold = Hold(since: now, isConfirmed: true, lookedAt: now) }
        hold?.isConfirmed = true
    }

    /// Whether the recording goes on; looked at now and then.
    func goesOn() throws -> Bool {
        guard var hold else { return true }
        let now = Machine.now
        guard now - hold.lookedAt >= .milliseconds(Self.holdMilliseconds) else { return false }
        hold.lookedAt = now
        self.hold = hold
        let state: SessionState
        do { state = try intake.log.look(at: session) } catch {
            guard Self.mayPass(error) else { throw error }
            return false
        }
        if state.status == .paused {
            self.hold?.isConfirmed = true
            let limit = intake.limits.pausedSeconds
            guard now - hold.since <= .seconds(limit) else {
                throw IntakeRefusal.pausedTooLong(seconds: limit)
            }
            return false
        }
        try ChunkIntake.requireRecording(state)
        guard hold.isConfirmed || now - hold.since >= .milliseconds(Self.announcedMilliseconds) else {
            return false
        }
        self.hold = nil
        return true
    }

    // MARK: - The end

    /// Runs `body`; what it throws ends the stream.
    func ending<Answer>(_ body: () throws -> Answer) throws -> Answer {
        if let failure {
            // Whoever took over has gone on meanwhile.
            guard case IntakeRefusal.takenOver = failure, let next = try? nextPlace() else { throw failure }
            throw IntakeRefusal.takenOver(next: next)
        }
        do { return try body() } catch {
            let told = intake.explained(error, of: session)
            end(with: told)
            throw told
        }
    }

    /// Nothing more is taken. What was in hand is gone; its sender is told why.
    func end(with error: any Error) {
        let wasOwing = isOwing
        hand = nil
        failure = error
        var isNoted = true
        switch error {
        case SessionRejection.wrongState(let status, _) where status != .paused: break
        // Whoever took over has noted that, and goes on from where this one was.
        case IntakeRefusal.takenOver: if wasOwing, let place { isNoted = noteMissing(at: place) }
        case SessionRejection.outOfPlace(let next, _): isNoted = noteMissing(at: next)
        default:
            // Nobody can say yet whether the log has it, so nor where what comes after it belongs.
            isNoted = if let pending { isAtEnd && noteMissing(at: pending.place) } else { noteMissing() }
        }
        noteDropped()
        leave(isNoted: isNoted)
    }

    /// Notes that the recording lacks what was to come here, unless somebody brings it.
    /// - Parameter missing: nil for where the recording ends now.
    /// - Returns: whether that is noted, or need not be.
    func noteMissing(at missing: StreamPlace? = nil) -> Bool {
        // A number that others have passed by now would say nothing.
        guard let missing = missing ?? (try? nextPlace()) else { return false }
        do {
            try notes.lacks(missing.sequenceNumber)
            return true
        } catch {
            // Without a folder the session is over.
            return error.isMissing
        }
    }

    /// Says to other processes what was dropped.
    func noteDropped() {
        guard droppedBytes != droppedNoted else { return }
        do {
            try notes.setDropped(droppedBefore + droppedBytes)
            droppedNoted = droppedBytes
        } catch {}
    }

    /// Nobody looks after it any more.
    /// - Parameter isNoted: whether what it lacks is noted. Where the disk took no note, that the stream was
    ///   open says so.
    func leave(isNoted: Bool = true) {
        if isNoted { try? notes.close(id) }
        intake.streams.remove(self)
    }
}

internal import ChunkFiles
internal import Base
internal import EventSourcing
internal import Recording
internal import Supervision

/// How a stream's chunks come into the log. All of it with the turn.
extension StreamWriter {
    /// So long the log is waited for once `order.stop` is set. What it does not know then is stopped by
    /// whoever watches over recorders.
    private static let endingMilliseconds = 1000

    /// Until when the log is waited for by somebody who has time.
    var patienceEnd: ContinuousClock.Instant {
        Machine.now + .milliseconds(intake.limits.logMilliseconds)
    }

    /// Does something on the log, waiting for a while until it is there again, or an operator has put right
    /// what keeps it from being used. Once `order.stop` is set that is a short while.
    func patiently<Answer>(
        until end: ContinuousClock.Instant? = nil, _ body: () throws -> Answer
    ) throws -> Answer {
        var end = end ?? patienceEnd
        let backoff = Backoff(firstMilliseconds: 100, limitMilliseconds: 2000)
        var tries = 0
        var isEnding = false
        while true {
            let cause: LogFailure
            do { return try body() } catch CommandError<SessionRejection>.failed(let failure) {
                cause = failure
            } catch let failure as LogFailure { cause = failure }
            if !isEnding, order.stop?.isSet ?? false {
                isEnding = true
                end = min(end, Machine.now + .milliseconds(Self.endingMilliseconds))
            }
            guard Self.mayPass(cause), Machine.now < end else { throw cause }
            order.observer?.waits(for: "the log: \(cause.text)")
            tries += 1
            let pause = isEnding ? 100 : backoff.milliseconds(attempt: tries)
            (isEnding ? StopSignal() : order.stop ?? StopSignal()).wait(milliseconds: pause)
        }
    }

    /// Where the recording goes on, as the log has it.
    func nextPlace() throws -> StreamPlace { try intake.log.look(at: session).nextPlace }

    /// Records the chunk in hand, if there is any of it.
    func recordHand(until end: ContinuousClock.Instant) throws {
        try recordPending(until: end)
        guard pending == nil, let hand else { return }
        guard hand.chunk.byteCount > 0 else {
            self.hand = nil
            return
        }
        // Where nobody can say that now, the bytes stay in hand.
        let place = try place ?? firstPlace(until: end)
        self.hand = nil
        let reference = ChunkReference(sessionID: session, sequenceNumber: place.sequenceNumber)
        let since = hand.first.milliseconds(since: beganAt ?? hand.first)
        let chunk = try hand.chunk.finish(
            as: reference,
            capturedAt: order.capturedAt.map { $0.advanced(byMilliseconds: since) } ?? hand.first,
            durationSeconds: durationSeconds(of: hand))
        pending = Pending(chunk: chunk, place: place)
        try recordPending(until: end)
    }

    /// Seconds of media: a stream's are those in which it came; when a file was read says nothing about it.
    private func durationSeconds(of hand: Hand) -> Double {
        guard order.arrivesInRealTime else { return 0 }
        return Double(max(0, hand.last.milliseconds(since: hand.first))) / 1000
    }

    /// Where a stream begins of which nobody has said that: where the recording ends, as long as nobody else
    /// has opened another one. In this order: whoever opens one later finds this one's chunk recorded, or
    /// records another one there, and then the log refuses this one's.
    private func firstPlace(until end: ContinuousClock.Instant) throws -> StreamPlace {
        let place = try patiently(until: end) { try nextPlace() }
        guard try isOwner() else { throw IntakeRefusal.takenOver(next: place) }
        return place
    }

    /// Has the log decide on the chunk that lies in the spool. It stays pending where the log can't be
    /// reached until `end`, and where the recording is paused and its source waits.
    func recordPending(until end: ContinuousClock.Instant) throws {
        while let pending {
            do {
                let chunk = pending.chunk
                _ = try patiently(until: end) {
                    try intake.log.record(chunk, at: pending.place.offset, context: order.context)
                }
                recorded(pending)
                // One that came with the next number may have waited for this one. Where it can't be looked
                // for now, that is done when the recording is stopped, at the latest.
                try? intake.recordHeld(session, context: order.context)
            } catch CommandError<SessionRejection>.rejected(let rejection) {
                guard try settle(rejection, of: pending) else { return }
            }
        }
    }

    private func recorded(_ done: Pending) {
        pending = nil
        place = done.place.after(bytes: done.chunk.content.sizeBytes)
        chunkIDs.append(done.chunk.chunk.chunkID)
        recordedBytes += done.chunk.content.sizeBytes
        order.observer?.recorded(chunks: chunkIDs.count, bytes: recordedBytes)
    }

    /// What becomes of a chunk that the log refuses; answers whether to try again.
    private func settle(_ rejection: SessionRejection, of refused: Pending) throws -> Bool {
        let path = refused.chunk.spoolPath
        switch rejection {
        case .wrongState(.paused, _):
            pauseNoticed()
            if order.whilePaused == .hold { return false }
            pending = nil
            intake.discard(path)
            guard order.whilePaused == .drop else {
                throw IntakeRefusal.paused(next: refused.place)
            }
            droppedBytes += refused.chunk.content.sizeBytes
            return false
        case .outOfPlace(let next, _):
            // Nothing of it was recorded yet, and nobody has said where it begins: it begins here.
            if place == nil, try isOwner() {
                var moved = refused
                moved.chunk.spoolPath = try intake.spool.renumber(path, to: next.sequenceNumber)
                moved.chunk.chunk = ChunkReference(sessionID: session, sequenceNumber: next.sequenceNumber)
                moved.place = next
                pending = moved
                return true
            }
            pending = nil
            intake.discard(path)
            if try !isOwner() { throw IntakeRefusal.takenOver(next: next) }
            throw rejection
        case .notFound:
            // It was there when the stream began.
            pending = nil
            intake.discard(path)
            throw SessionRejection.wrongState(.deleted, command: "record a chunk")
        default:
            pending = nil
            intake.discard(path)
            throw rejection
        }
    }
}

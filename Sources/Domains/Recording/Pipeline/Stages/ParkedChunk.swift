package import Base
package import EventSourcing
internal import Recording

/// What the log says when a stage gives a chunk up.
package enum ParkedChunk {
    /// `ChunkFailed` for a delivery that is parked; nothing for an event that is not about a chunk.
    package static func events(
        for delivery: Delivery, _ reason: ParkedReason, clock: any WallClock, at level: FormatLevel
    ) throws(LogFailure) -> [ProposedEvent] {
        guard case .chunk(let event)? = try? RecordingEvent(delivery.event) else { return [] }
        let known = reason.errors.filter { !$0.isEmpty }.prefix(20).map { String($0.prefix(2000)) }
        let causes = known.isEmpty ? ["no reason was given"] : known
        let failed = RecordingEvent.chunk(
            .failed(event.chunk, stage: reason.stage, attempts: reason.attempts, causes: causes))
        let context = EventContext(source: "/reel/processor", actor: .system("processor"))
        // Derived from what went wrong, too: a chunk that is tried again and fails for another reason
        // says so, and parking it once more for the same one does not.
        let cause = SHA256.digest(of: causes.joined(separator: "\n").utf8).prefix(4)
            .map { String($0, radix: 16) }.joined()
        let place = delivery.event.position.entryID
        return [
            try ProposedEvent(
                failed, id: "\(event.chunk.chunkID)/ChunkFailed/\(place)/\(cause)",
                time: clock.now(), context: context.caused(by: delivery.event), at: level)
        ]
    }
}

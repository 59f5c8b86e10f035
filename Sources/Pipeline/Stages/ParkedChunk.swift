public import EventSourcing
internal import Recording

/// What the log says when a stage gives a chunk up.
public enum ParkedChunk {
    /// `ChunkFailed` for a delivery that is parked; nothing for an event that is not about a chunk.
    public static func events(
        for delivery: Delivery, _ reason: ParkedReason, clock: any WallClock
    ) -> [ProposedEvent] {
        guard case .chunk(let event)? = try? RecordingEvent(delivery.event) else { return [] }
        let known = reason.errors.filter { !$0.isEmpty }.prefix(20).map { String($0.prefix(2000)) }
        let causes = known.isEmpty ? ["no reason was given"] : known
        let failed = RecordingEvent.chunk(
            .failed(event.chunk, stage: reason.stage, attempts: reason.attempts, causes: causes))
        let context = EventContext(source: "/reel/processor", actor: .system("processor"))
        return [
            ProposedEvent(
                failed, id: "\(event.chunk.chunkID)/ChunkFailed/\(delivery.event.position.entryID)",
                time: clock.now(), context: context.caused(by: delivery.event))
        ]
    }
}

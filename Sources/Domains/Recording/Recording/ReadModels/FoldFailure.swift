package import EventSourcing

/// Why an event cannot be taken into the read models.
package enum FoldFailure: TransientFailure, EventFailure, Sendable, Equatable, CustomStringConvertible {
    /// An event does not follow the last one that the read model contains.
    case gap(sessionID: String, contained: UInt64, given: UInt64, position: LogPosition)
    /// An event of a chunk whose first event neither the read model nor the batch contains.
    case unknownChunk(chunkID: String, position: LogPosition)
    /// An event that cannot be understood, or a history that does not begin with `SessionCreated`.
    case malformed(MalformedEvent, sessionID: String, position: LogPosition)

    /// Whether reading the session again from the log can help. Such an event must hold up what follows,
    /// and never be set aside.
    package var isRepairable: Bool {
        switch self {
        case .gap, .unknownChunk: true
        case .malformed: false
        }
    }

    /// A gap may be closed; then the same event can be applied.
    package var remedy: Remedy { isRepairable ? .time : .none }

    /// The place of the event that cannot be taken in.
    package var position: LogPosition? {
        switch self {
        case .gap(_, _, _, let position), .unknownChunk(_, let position), .malformed(_, _, let position):
            position
        }
    }

    /// What can't be understood now can't be understood later.
    package var isFinal: Bool { !isRepairable }

    /// Those among the events that can't be understood, whatever stands before them.
    package static func malformed(among events: [RecordedEvent]) -> [FoldFailure] {
        events.compactMap { event in
            do throws(MalformedEvent) {
                if AuditRecord.isHistory(event.partitionKey) {
                    _ = try AuditView(event)
                } else {
                    _ = try RecordingEvent(event)
                }
                return nil
            } catch {
                return .malformed(error, sessionID: event.partitionKey, position: event.position)
            }
        }
    }

    /// What it is where everything was taken in that stands before the event: what is missing then was never
    /// there, and never comes.
    func inWholeHistory(of event: RecordedEvent) -> FoldFailure {
        guard case .unknownChunk(let chunk, let position) = self else { return self }
        return .malformed(
            MalformedEvent(type: event.type, text: "chunk \(chunk) was never recorded"),
            sessionID: event.partitionKey, position: position)
    }

    /// What happened, and to what.
    package var description: String {
        switch self {
        case .gap(let session, let contained, let given, let position):
            "session \(session): event \(given) at \(position) does not follow event \(contained), "
                + "the last one in the read model"
        case .unknownChunk(let chunk, let position):
            "chunk \(chunk): the event at \(position) is about a chunk that the read model doesn't have"
        case .malformed(let event, let session, let position):
            "session \(session): \(event) (at \(position))"
        }
    }
}

package import EventSourcing

/// Why an event cannot be taken into the read models.
package enum FoldFailure: TransientFailure, EventFailure, Sendable, Equatable, CustomStringConvertible {
    /// An event does not follow the last one of its history that the read model contains.
    case gap(history: String, contained: UInt64, given: UInt64, position: LogPosition)
    /// An event of a part of a history whose first event neither the read model nor the batch contains.
    case unknownPart(String, position: LogPosition)
    /// An event that cannot be understood, or a history that does not begin as it has to.
    case malformed(MalformedEvent, history: String, position: LogPosition)

    /// Whether reading the history again from the log can help. Such an event must hold up what follows,
    /// and never be set aside.
    package var isRepairable: Bool {
        switch self {
        case .gap, .unknownPart: true
        case .malformed: false
        }
    }

    /// A gap may be closed; then the same event can be applied.
    package var remedy: Remedy { isRepairable ? .time : .none }

    /// The place of the event that cannot be taken in.
    package var position: LogPosition? {
        switch self {
        case .gap(_, _, _, let position), .unknownPart(_, let position), .malformed(_, _, let position):
            position
        }
    }

    /// What can't be understood now can't be understood later.
    package var isFinal: Bool { !isRepairable }

    /// Those among the events that can't be understood, whatever stands before them.
    package static func malformed(
        among events: [RecordedEvent], _ read: (RecordedEvent) throws(MalformedEvent) -> Void
    ) -> [FoldFailure] {
        events.compactMap { event in
            do throws(MalformedEvent) { try read(event) } catch {
                return .malformed(error, history: event.partitionKey, position: event.position)
            }
            return nil
        }
    }

    /// What it is where everything was taken in that stands before the event: what is missing then was never
    /// there, and never comes.
    func inWholeHistory(of event: RecordedEvent) -> FoldFailure {
        guard case .unknownPart(let part, let position) = self else { return self }
        return .malformed(
            MalformedEvent(type: event.type, text: "\(part) was never begun"),
            history: event.partitionKey, position: position)
    }

    /// What happened, and to what.
    package var description: String {
        switch self {
        case .gap(let history, let contained, let given, let position):
            "\(history): event \(given) at \(position) does not follow event \(contained), "
                + "the last one in the read model"
        case .unknownPart(let part, let position):
            "\(part): the event at \(position) is about something that the read model doesn't have"
        case .malformed(let event, let history, let position):
            "\(history): \(event) (at \(position))"
        }
    }
}

internal import EventSourcing
internal import Recording

/// What is to become a session of a simulated world, and what those who send it were told.
protocol PlannedSession: AnyObject {
    var sessionID: String { get }
    /// What somebody still does for it; nil when nobody does.
    var unfinished: String? { get }
    /// Chunks that were acknowledged, as far as their sender counts them.
    var acknowledged: Int { get }

    /// What was promised and is not so, of a session that is in the log.
    func violations(_ state: SessionState) -> [String]

    /// What is wrong with the recorded bytes of a session that is completed.
    func violations(ofBytes bytes: [UInt8], _ state: SessionState, _ events: [RecordedEvent]) -> [String]
}

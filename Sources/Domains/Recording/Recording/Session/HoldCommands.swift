// Legal holds: a session that any case holds is neither deleted nor given up.

extension SessionDecider {
    static func changeHolds(
        _ command: SessionCommand, _ state: SessionState
    ) throws(SessionRejection) -> [RecordingEvent] {
        switch command {
        case .hold(let name, let reason): return try hold(name, reason, state)
        case .liftHold(let name, let reason): return try lift(name, reason, state)
        case .takeOverTag:
            guard state.holdingCases(tagCounts: true).contains(HoldTag.caseName),
                !state.legalHolds.contains(HoldTag.caseName)
            else { return [] }
            return [set(HoldTag.caseName, HoldTag.reason, state)]
        default: return []
        }
    }

    private static func hold(
        _ name: String, _ reason: String, _ state: SessionState
    ) throws(SessionRejection) -> [RecordingEvent] {
        let violations = CaseText.violations(ofCase: name) + CaseText.violations(ofReason: reason)
        guard violations.isEmpty else { throw .invalid(violations) }
        // Given again, whatever the reason: the case holds it.
        if state.legalHolds.contains(name) { return [] }
        guard state.legalHolds.count < LegalHold.maximumCases else { throw .tooManyHolds }
        return [set(name, reason, state)]
    }

    private static func lift(
        _ name: String?, _ reason: String, _ state: SessionState
    ) throws(SessionRejection) -> [RecordingEvent] {
        let violations = CaseText.violations(ofReason: reason)
        guard violations.isEmpty else { throw .invalid(violations) }
        guard let first = state.legalHolds.first else { throw .notHeld(caseName: name) }
        if let name, !state.legalHolds.contains(name) { throw .notHeld(caseName: name) }
        if name == nil, state.legalHolds.count > 1 { throw .severalHolds(cases: state.legalHolds) }
        let change = SessionEvent.HoldChange(
            sessionID: state.sessionID, caseName: name ?? first, reason: reason)
        return [.session(.legalHoldLifted(change))]
    }

    private static func set(_ name: String, _ reason: String, _ state: SessionState) -> RecordingEvent {
        .session(
            .legalHoldSet(
                SessionEvent.HoldChange(sessionID: state.sessionID, caseName: name, reason: reason)))
    }
}

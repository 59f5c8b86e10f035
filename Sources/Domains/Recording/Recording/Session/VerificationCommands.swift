// Verifications: what was found stays in the history of the session that it was found of.

extension SessionDecider {
    /// Keeps what lasts. A look at a session that is not over says nothing of what it will be, unless
    /// something is damaged already.
    static func recordVerification(
        _ verified: SessionEvent.Verified, _ state: SessionState, _ status: SessionStatus
    ) throws(SessionRejection) -> [RecordingEvent] {
        let violations = verified.violations
        guard violations.isEmpty else { throw .invalid(violations) }
        let isOver = status == .completed || status == .failed
        guard isOver || verified.outcome == .damaged else { return [] }
        if verified.outcome == .sound, status != .completed { return [] }
        return [.session(.verified(verified))]
    }
}

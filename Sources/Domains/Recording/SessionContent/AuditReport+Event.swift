package import Recording

extension AuditReport {
    /// The report as it stands in the session's history.
    package func event(_ trigger: VerificationTrigger, durationMilliseconds: Int) -> SessionEvent.Verified {
        SessionEvent.Verified(
            sessionID: sessionID, outcome: outcome, trigger: trigger, version: Int(clamping: version),
            chunkCount: chunks, bytesRead: sealedBytes, contentsOpened: contentChecked,
            merkleRoot: computedRoot, durationMilliseconds: durationMilliseconds,
            findings: findings.filter { !$0.kind.isNote }.map(\.description),
            findingCount: findingCount - noteCount)
    }
}

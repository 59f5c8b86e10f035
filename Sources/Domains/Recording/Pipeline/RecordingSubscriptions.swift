package import EventSourcing
internal import Recording

extension SubscriptionRegistry {
    /// Who reads the log for recorded sessions, and what one process at a time does for them.
    package static let recording = SubscriptionRegistry(
        StageName.allCases.map(\.subscription) + [
            SessionCompletion.subscription, SessionRemoval.subscription, SessionFacts.subscription,
            VerificationFacts.subscription,
        ],
        tasks: [VerificationSweep.leaseName, RetentionSweep.leaseName])
}

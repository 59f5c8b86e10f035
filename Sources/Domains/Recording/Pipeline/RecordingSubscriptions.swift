package import EventSourcing

extension SubscriptionRegistry {
    /// Who reads the log for recorded sessions, and what one process at a time does for them.
    package static let recording = SubscriptionRegistry(
        StageName.allCases.map(\.subscription) + [
            SessionCompletion.subscription, SessionRemoval.subscription, SessionFactsWorker.subscription,
            VerificationIndexWorker.subscription,
        ],
        tasks: [VerificationSweep.leaseName, RetentionSweep.leaseName])
}

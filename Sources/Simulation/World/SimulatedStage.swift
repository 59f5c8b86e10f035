internal import EventSourcing

/// A stage that fails on some chunks a few times before it gets to work.
final class PoisonedStage: Stage {
    private let inner: any Stage
    private let disturbances: Disturbances

    init(_ inner: any Stage, _ disturbances: Disturbances) {
        self.inner = inner
        self.disturbances = disturbances
    }

    var name: String { inner.name }
    var consumes: Set<String> { inner.consumes }

    func handle(_ delivery: Delivery) -> StageOutcome {
        if disturbances.poisons(delivery.event.subject) {
            return .failed(errors: ["chunk \(delivery.event.subject): poison"])
        }
        return inner.handle(delivery)
    }

    func settled(_ delivery: Delivery, appended: Bool) { inner.settled(delivery, appended: appended) }
    func resultID(of delivery: Delivery) -> String? { inner.resultID(of: delivery) }
}

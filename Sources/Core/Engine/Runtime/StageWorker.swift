package import Base
package import EventSourcing
package import Supervision

/// How often a failing item is tried, and how long is waited in between.
package struct RetryPolicy: Sendable, Hashable {
    /// Tries before an item is parked.
    package var maximumTries: Int
    /// Deliveries before an item is parked unseen: it kills every process that touches it.
    package var maximumDeliveries: Int
    /// Milliseconds before the second try; doubled for each further one, with jitter.
    package var baseMilliseconds: Int
    /// No wait is longer.
    package var capMilliseconds: Int

    /// Three tries, from half a second.
    package init(
        maximumTries: Int = 3, maximumDeliveries: Int = 50, baseMilliseconds: Int = 500,
        capMilliseconds: Int = 10_000
    ) {
        self.maximumTries = maximumTries
        self.maximumDeliveries = maximumDeliveries
        self.baseMilliseconds = baseMilliseconds
        self.capMilliseconds = capMilliseconds
    }
}

/// The loop around one stage on one thread: read a batch, handle it, append what it emits, acknowledge.
///
/// The order is what makes effects exactly-once: the stage's files are durable before its events are
/// appended, and a delivery is acknowledged only after that. Whatever dies in between is delivered
/// again, and the derived event ids let the repeated work have no further effect.
package final class StageWorker {
    private let stage: any Stage
    private let log: any EventLog
    private let consumer: ConsumerName
    private let policy: RetryPolicy
    private let clock: any WallClock
    private let report: RoleLog
    private let gate: (any StageGate)?
    private let parkedEvents: (Delivery, ParkedReason) throws(LogFailure) -> [ProposedEvent]

    private var waiting: Set<LogPosition> = []
    /// How often work on a delivery ended in a failure that no waiting mends. It begins again each time.
    private var broken: [LogPosition: Int] = [:]
    private var batch = BatchSize()

    /// Milliseconds after which a delivery that is held back is looked at again.
    private static let heldMilliseconds = 500

    /// A worker that is not running yet.
    /// - Parameters:
    ///   - gate: says which histories' deliveries have to wait; nil where none ever has to.
    ///   - parkedEvents: what is appended when a delivery is given up.
    package init(
        stage: any Stage, log: any EventLog, consumer: ConsumerName, policy: RetryPolicy,
        clock: any WallClock, report: RoleLog, gate: (any StageGate)? = nil,
        parkedEvents: @escaping (Delivery, ParkedReason) throws(LogFailure) -> [ProposedEvent]
    ) {
        self.stage = stage
        self.log = log
        self.consumer = consumer
        self.policy = policy
        self.clock = clock
        self.report = report
        self.gate = gate
        self.parkedEvents = parkedEvents
    }

    /// Works until `stop` is set and the batch in hand is settled. Call on a thread of its own.
    /// - Throws: what is wrong with the program; everything else is waited out, and said.
    package func run(stop: StopSignal) throws {
        try waitingOutFailures(
            of: stage.name, loop: "\(stage.name) \(consumer)", stop: stop, report: report,
            backoff: Backoff(), unless: { ($0 as? LogFailure)?.kind == .invalid }
        ) { succeeded in
            // A partition that is halted is left out from the next time on; the others go on.
            let store = try log.open()
            let subscription = try log.join(group: stage.name, consumer: consumer, types: stage.consumes)
            while !stop.isSet {
                try turn(store, subscription, stop)
                succeeded()
            }
        }
    }

    /// One turn of the loop.
    private func turn(
        _ store: any EventStore, _ subscription: any CompetingSubscription, _ stop: StopSignal
    ) throws(LogFailure) {
        let deliveries = try subscription.next(limit: batch.limit, waitMilliseconds: 1000)
        guard !deliveries.isEmpty else { return }
        var finished: [(Delivery, [ProposedEvent])] = []
        for delivery in deliveries {
            // What is left is pending in this worker's name; others take it when the process says goodbye.
            if stop.isSet { break }
            let began = Machine.now
            let before = finished.count
            try counting([delivery]) { () throws(LogFailure) in
                try handle(delivery, store, subscription, &finished)
            }
            let isIdle = finished.count > before && finished[before].1.isEmpty
            if !isIdle { batch.took(Machine.now - began) }
        }
        try counting(finished.map(\.0)) { () throws(LogFailure) in
            try settle(finished, store, subscription)
        }
        batch.next()
    }

    /// Counts failures of work on deliveries, but for those that time or an operator mends.
    private func counting(
        _ deliveries: [Delivery], _ work: () throws(LogFailure) -> Void
    ) throws(LogFailure) {
        do throws(LogFailure) { try work() } catch {
            if !error.isTransient {
                for delivery in deliveries { broken[delivery.event.position, default: 0] += 1 }
            }
            throw error
        }
    }

    private func handle(
        _ delivery: Delivery, _ store: any EventStore, _ subscription: any CompetingSubscription,
        _ finished: inout [(Delivery, [ProposedEvent])]
    ) throws(LogFailure) {
        if let failures = broken[delivery.event.position], failures > policy.maximumDeliveries {
            // What cannot be worked on cannot be asked about either.
            return try park(
                delivery, ["tried \(failures) times without an outcome"], attempts: failures, store,
                subscription)
        }
        let answer = try gate?.answer(for: delivery.event.partitionKey, store) ?? .open
        if answer == .held {
            return try wait(
                delivery, Self.heldMilliseconds, .info, "it is held back", subscription)
        }
        if delivery.attempt > policy.maximumDeliveries {
            try park(
                delivery, ["delivered \(delivery.attempt) times without an outcome"],
                attempts: delivery.attempt, store, subscription)
            return
        }
        switch answer == .over ? stage.discard(delivery) : stage.handle(delivery) {
        case .done(let events):
            finished.append((delivery, events))
        case .wait(let milliseconds, let reason):
            try wait(delivery, milliseconds, .warning, reason, subscription)
        case .failed(let errors):
            let count = try subscription.countTry(of: delivery)
            guard count < policy.maximumTries else {
                try park(delivery, errors, attempts: count, store, subscription)
                return
            }
            let backoff = Backoff(
                firstMilliseconds: policy.baseMilliseconds, limitMilliseconds: policy.capMilliseconds)
            let delay = backoff.milliseconds(attempt: count)
            report(
                .warning,
                "\(stage.name): \(delivery.event.subject) failed (try \(count)): \(errors.first ?? "")")
            try subscription.retry(delivery, afterMilliseconds: delay)
        }
    }

    /// Hands a delivery back that nothing is wrong with. Waiting is an outcome: however often it comes again
    /// in this process, it is not one that kills whoever touches it, and is never parked for that.
    private func wait(
        _ delivery: Delivery, _ milliseconds: Int, _ level: RoleLog.Level, _ reason: String,
        _ subscription: any CompetingSubscription
    ) throws(LogFailure) {
        if waiting.insert(delivery.event.position).inserted {
            report(level, "\(stage.name): \(delivery.event.subject) waits: \(reason)")
        }
        try subscription.retry(
            Delivery(event: delivery.event, attempt: 0), afterMilliseconds: milliseconds)
    }

    private func settle(
        _ finished: [(Delivery, [ProposedEvent])], _ store: any EventStore,
        _ subscription: any CompetingSubscription
    ) throws(LogFailure) {
        guard !finished.isEmpty else { return }
        let emitting = finished.filter { !$0.1.isEmpty }
        let outcomes =
            emitting.isEmpty
            ? []
            : try store.append(
                emitting.map { AppendBatch(to: $0.0.event.partitionKey, expecting: .any, $0.1) })
        for ((delivery, _), outcome) in zip(emitting, outcomes) {
            // An id that is taken by another body is a race that somebody else has won: what their event
            // describes is theirs to finish. The same body, even from an earlier try, is ours.
            var appended = false
            if case .appended = outcome { appended = true }
            stage.settled(delivery, appended: appended)
        }
        for (delivery, events) in finished where events.isEmpty { stage.settled(delivery, appended: false) }
        try subscription.acknowledge(finished.map { $0.0.event.position })
        for (delivery, _) in finished { forget(delivery) }
    }

    private func forget(_ delivery: Delivery) {
        waiting.remove(delivery.event.position)
        broken[delivery.event.position] = nil
    }

    private func park(
        _ delivery: Delivery, _ errors: [String], attempts: Int, _ store: any EventStore,
        _ subscription: any CompetingSubscription
    ) throws(LogFailure) {
        let reason = ParkedReason(
            stage: stage.name, errors: errors, attempts: attempts, time: clock.now())
        guard try giveUp(delivery, reason, store) else {
            report(.info, "\(stage.name): \(delivery.event.subject) failed late: another worker has done it")
            try subscription.acknowledge([delivery.event.position])
            return forget(delivery)
        }
        try subscription.park(delivery, reason)
        forget(delivery)
        report(
            .error,
            "\(stage.name): \(delivery.event.subject) parked after \(reason.attempts) tries: "
                + errors.joined(separator: ": "))
    }

    /// Says in the log that the delivery is given up, unless its result is there: a worker that was taken
    /// for dead fails late at what another has done, and the log must not say that it failed after all.
    /// - Returns: whether it is given up.
    private func giveUp(
        _ delivery: Delivery, _ reason: ParkedReason, _ store: any EventStore
    ) throws(LogFailure) -> Bool {
        let events = try parkedEvents(delivery, reason)
        let key = delivery.event.partitionKey
        do throws(LogFailure) {
            return try giveUp(events, of: key, unless: stage.resultID(of: delivery), store)
        } catch {
            // A history that is lost in the archive: what the log cannot take, the shelf says.
            guard error.kind == .corrupt else { throw error }
            report(
                .error, "\(stage.name): the log does not say that \(delivery.event.subject) failed: \(error)")
            return true
        }
    }

    /// Appends events unless the history holds a result. What cannot be read there is no result: its place
    /// is counted, so that nothing that comes meanwhile is overlooked.
    private func giveUp(
        _ events: [ProposedEvent], of key: String, unless result: String?, _ store: any EventStore
    ) throws(LogFailure) -> Bool {
        var version: UInt64 = 0
        while true {
            var page = LogPage()
            repeat {
                page = try store.entries(of: key, after: version, limit: 500)
                if let result, page.entries.contains(where: { $0.event?.id == result }) { return false }
                version = page.entries.last?.sequence ?? version
            } while !page.isLast
            guard !events.isEmpty else { return true }
            guard case .conflict = try store.append(events, to: key, expecting: .exactly(version)) else {
                return true
            }
        }
    }
}

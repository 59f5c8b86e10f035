internal import EventSourcing

/// Carries out the calls that one user of an in-memory log makes, and sees what they do.
protocol CallWatcher: Sendable {
    /// Carries a call out, or not: `body` is its effect, on `state`.
    /// - Parameter isNothing: whether an answer tells that nothing was there.
    func call<R>(
        _ operation: String, _ state: Monitor<InMemoryState>, isNothing: (R) -> Bool,
        _ body: () throws(LogFailure) -> R
    ) throws(LogFailure) -> R

    /// Somebody found nothing and waits for what may come.
    func idle()

    /// How many events a read that asks for `limit` brings at most.
    func readLimit(_ limit: Int) -> Int

    /// Called at the moment at which batches take effect.
    func appended(_ batches: [AppendBatch], _ outcomes: [AppendOutcome])

    /// Called at the moment at which a try is counted.
    func counted(_ name: String, _ position: LogPosition)

    /// Called at the moment at which an event is set aside.
    func parked(_ name: String, _ position: LogPosition, _ reason: ParkedReason)
}

package import EventSourcing

/// Folds the events of one category into the states of its views. One thread.
package protocol CategoryFolding: AnyObject {
    /// Whether one of the views keeps sums.
    var keepsTotals: Bool { get }
    /// An event of the next batch.
    func expect(_ event: RecordedEvent)
    /// What has to be loaded for the events that are expected.
    func requests() -> [StateRequest]
    /// Takes over what was loaded, and folds again what is ahead of the sums.
    /// - Parameters:
    ///   - rewinds: whether a history can be read again.
    ///   - page: the next events of the history of an event, behind a sequence.
    func adoptLoaded<Failure: Error>(
        among events: [RecordedEvent], rewinds: Bool,
        page: (RecordedEvent, UInt64) throws(Failure) -> [RecordedEvent],
        failure: (FoldFailure) -> Failure
    ) throws(Failure)
    /// Takes in the next event.
    func fold(_ event: RecordedEvent) throws(FoldFailure)
    /// Version of the history's document that was touched since the last write.
    func touchedVersion(of history: String) -> UInt64?
    /// What is to be written, each with the rank of its view.
    func writes() -> [(rank: Int, write: any ViewWrite)]
    /// What was touched has been taken away to be written.
    func finish()
    /// Forgets all states.
    func forget()
}

/// Folds events that are decoded to one type of fact. Each is decoded once, for all views.
final class CategoryFolder<Fact: Sendable>: CategoryFolding {
    private let decode: @Sendable (RecordedEvent) throws(MalformedEvent) -> Fact
    /// By rank: whatever a document contains is in those of lower ranks.
    private let states: [ViewStates<Fact>]
    let keepsTotals: Bool

    init(
        _ decode: @escaping @Sendable (RecordedEvent) throws(MalformedEvent) -> Fact,
        _ states: [ViewStates<Fact>], keepsTotals: Bool
    ) {
        self.keepsTotals = keepsTotals
        self.decode = decode
        self.states = states
    }

    func expect(_ event: RecordedEvent) { for view in states { view.expect(event) } }

    func requests() -> [StateRequest] { states.compactMap { $0.request() } }

    func adoptLoaded<Failure: Error>(
        among events: [RecordedEvent], rewinds: Bool,
        page: (RecordedEvent, UInt64) throws(Failure) -> [RecordedEvent],
        failure: (FoldFailure) -> Failure
    ) throws(Failure) {
        for view in states {
            for rewind in view.adoptLoaded(among: events, rewinds: rewinds) {
                try fold(again: rewind, in: view, page, failure)
            }
        }
    }

    /// What is stored of a history is ahead of the sums, as after a crash between two writes: its state is
    /// made as it was counted last, from its history.
    private func fold<Failure: Error>(
        again rewind: Rewind, in view: ViewStates<Fact>,
        _ page: (RecordedEvent, UInt64) throws(Failure) -> [RecordedEvent],
        _ failure: (FoldFailure) -> Failure
    ) throws(Failure) {
        var version: UInt64 = 0
        while version < rewind.end {
            let last = version
            for earlier in try page(rewind.event, last)
            where earlier.sequence > version && earlier.sequence <= rewind.end {
                do throws(MalformedEvent) { version = view.rewind(earlier, try decode(earlier)) } catch {
                    throw failure(Self.malformed(error, earlier))
                }
            }
            guard version > last else {
                throw failure(
                    .gap(
                        history: rewind.event.partitionKey, contained: last, given: rewind.event.sequence,
                        position: rewind.event.position))
            }
        }
        view.endRewind(of: rewind.event.partitionKey)
    }

    func fold(_ event: RecordedEvent) throws(FoldFailure) {
        var isWanted = false
        // Whole histories first: what is missing there is missing everywhere.
        for view in states.reversed() where try view.wants(event) { isWanted = true }
        guard isWanted else { return }
        let fact: Fact
        do { fact = try decode(event) } catch { throw Self.malformed(error, event) }
        let stamp = EventStamp(event)
        for view in states { try view.take(fact, stamp, event) }
    }

    private static func malformed(_ error: MalformedEvent, _ event: RecordedEvent) -> FoldFailure {
        .malformed(error, history: event.partitionKey, position: event.position)
    }

    func touchedVersion(of history: String) -> UInt64? {
        for view in states.reversed() {
            if let version = view.touchedVersion(of: history) { return version }
        }
        return nil
    }

    func writes() -> [(rank: Int, write: any ViewWrite)] {
        states.compactMap { view in view.write().map { (view.rank, $0) } }
    }

    func finish() { for view in states { view.finish() } }
    func forget() { for view in states { view.forget() } }
}

package import EventSourcing

/// Limits of what is kept in memory.
package struct FolderLimits: Sendable {
    /// Histories whose state is kept for each view; up to twice as many at times.
    package var histories: Int
    /// Parts whose state is kept for each view; up to twice as many at times.
    package var parts: Int
    package init(histories: Int = 4_000, parts: Int = 20_000) {
        self.histories = histories
        self.parts = parts
    }
}

/// Folds batches of events into the states of views. No I/O: says what it needs to have loaded, and what has
/// to be written. One thread.
///
/// Why it is exact under redelivery: a state is always the fold of all its events up to its version, so there
/// is one content per version, and taking in an event again is noticed by its sequence. A first event starts
/// afresh without looking at what is stored; hence going through the log from its beginning repairs
/// everything, whatever the database contains.
package final class ProjectionFolder {
    private let folders: [(category: Category, folder: any CategoryFolding)]
    private let keeper = TotalsKeeper()
    private let readsHistories: Bool

    /// A folder for the views of a set.
    /// - Parameter readsHistories: whether a history can be read again from the log.
    package init(_ views: ViewSet, _ limits: FolderLimits = FolderLimits(), readsHistories: Bool = true) {
        let keeper = keeper
        folders = views.categories.map { ($0.category, $0.makeFolder(limits, keeper)) }
        self.readsHistories = readsHistories
    }

    /// The sums that are kept along, by partition; nil where nobody keeps them.
    package var totals: ProjectedTotals? {
        get { keeper.book }
        set { keeper.book = newValue }
    }

    /// Whether the events are those of a history that was held back.
    package var isResuming: Bool {
        get { keeper.isResuming }
        set { keeper.isResuming = newValue }
    }

    /// Who folds the events of a history; nil where nothing is shown of it.
    private func folder(of partitionKey: String) -> (any CategoryFolding)? {
        folders.first { $0.category.contains(partitionKey) }?.folder
    }

    /// Takes in a batch: loads what it needs, folds the events one after the other, and reads a history
    /// again from its first event where a part of it is missing.
    /// - Parameters:
    ///   - load: loads stored states, as far as there are any.
    ///   - history: the next events of the history that has the gap, after a sequence; none at its end.
    ///     May throw instead: the gap itself, where nothing can be read.
    ///   - failure: what a failure of the fold is to the caller.
    /// - Returns: how many histories were read again.
    package func take<Failure: Error>(
        _ events: [RecordedEvent], load: ([StateRequest]) throws(Failure) -> Void,
        history: (_ gap: FoldFailure, _ event: RecordedEvent, _ sequence: UInt64) throws(Failure) ->
            [RecordedEvent],
        failure: (FoldFailure) -> Failure
    ) throws(Failure) -> Int {
        for event in events { folder(of: event.partitionKey)?.expect(event) }
        let requests = folders.flatMap { $0.folder.requests() }
        if !requests.isEmpty { try load(requests) }
        for (_, folder) in folders {
            try folder.adoptLoaded(
                among: events, rewinds: readsHistories,
                page: { (event, last) throws(Failure) in
                    try history(Self.gap(event, after: last), event, last)
                }, failure: failure)
        }
        var repairs = 0
        for event in events {
            guard let folder = folder(of: event.partitionKey) else { continue }
            do throws(FoldFailure) { try folder.fold(event) } catch {
                guard error.isRepairable else { throw failure(error) }
                try repair(event, error, folder, history, failure)
                // What was counted of it is not known, unless it was held back.
                if !isResuming, folder.keepsTotals { keeper.lose(event.position.partition) }
                repairs += 1
            }
        }
        if !isResuming, totals != nil {
            let ends = Dictionary(
                events.map { ($0.position.partition, $0.position) }, uniquingKeysWith: { $1 })
            for end in ends.values { totals?.pass(end) }
        }
        return repairs
    }

    private func repair<Failure: Error>(
        _ event: RecordedEvent, _ gap: FoldFailure, _ folder: any CategoryFolding,
        _ history: (FoldFailure, RecordedEvent, UInt64) throws(Failure) -> [RecordedEvent],
        _ failure: (FoldFailure) -> Failure
    ) throws(Failure) {
        var last: UInt64 = 0
        while last < event.sequence {
            let page = try history(gap, event, last)
            // What comes behind is not due yet, and may be what nobody can take in.
            for earlier in page where earlier.sequence <= event.sequence {
                do throws(FoldFailure) { try folder.fold(earlier) } catch {
                    throw failure(error.inWholeHistory(of: earlier))
                }
            }
            guard let end = page.last else { throw failure(Self.gap(event, after: last)) }
            last = end.sequence
        }
    }

    private static func gap(_ event: RecordedEvent, after version: UInt64) -> FoldFailure {
        .gap(
            history: event.partitionKey, contained: version, given: event.sequence, position: event.position)
    }

    /// Version of the history's document that was touched since the last write.
    package func touchedVersion(of history: String) -> UInt64? {
        folder(of: history)?.touchedVersion(of: history)
    }

    /// What is to be written, in this order: what a document contains was written before in those of a lower
    /// rank.
    package func writes() -> [any ViewWrite] {
        folders.flatMap { $0.folder.writes() }.enumerated()
            .sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }
            .map(\.element.write)
    }

    /// What was touched has been taken away to be written.
    package func finish() { for (_, folder) in folders { folder.finish() } }

    /// Forgets everything, after a batch that may have been written in part.
    package func forget() {
        forgetStates()
        totals = nil
    }

    /// Forgets the states, and keeps the sums.
    package func forgetStates() { for (_, folder) in folders { folder.forget() } }
}

internal import EventSourcing

/// What the next write has to know about a document's state in memory. Not generic, so that tables of them
/// are searched by code that the compiler has made for them.
class KeptState {
    var version: UInt64
    /// Partition key of the history that it belongs to.
    let history: String
    /// Whether it was folded from its first event in this batch, and is thus most likely not stored yet.
    var isNew: Bool
    /// Where the first event stands that was taken into it since it was written last; nil when there is none.
    var since: LogPosition?
    var isTouched = false

    init(version: UInt64, of history: String, isNew: Bool) {
        self.version = version
        self.history = history
        self.isNew = isNew
    }

    /// It is being written.
    func settle() {
        isTouched = false
        isNew = false
        since = nil
    }
}

/// A document's state in memory.
final class Projected<State>: KeptState {
    var state: State

    init(_ state: State, version: UInt64, of history: String, isNew: Bool) {
        self.state = state
        super.init(version: version, of: history, isNew: isNew)
    }
}

/// Stored states that have to be loaded before events are folded.
package struct StateRequest {
    /// The collection that they stand in.
    package let collection: CollectionDeclaration
    /// Values of the documents' keys.
    package let keys: [String]
    /// Takes a document; throws where it does not read. What is not taken counts as missing.
    package let take: (BSONFields) throws(BSONError) -> Void
}

/// A state that is ahead of the sums: it is folded again, up to where it was counted.
struct Rewind {
    /// The last event of the history among those that are taken in.
    let event: RecordedEvent
    /// The last sequence that may be in the state.
    let end: UInt64
}

/// The states of one view in memory.
class ViewStates<Fact: Sendable> {
    let collections: [CollectionDeclaration]
    let rank: Int

    init(_ collections: [CollectionDeclaration], rank: Int) {
        self.collections = collections
        self.rank = rank
    }

    /// An event of the next batch.
    func expect(_ event: RecordedEvent) {}

    /// What has to be loaded for the events that are expected; nil where all is there.
    func request() -> StateRequest? { nil }

    /// Takes over what was loaded; answers the states that have to be folded again.
    func adoptLoaded(among events: [RecordedEvent], rewinds: Bool) -> [Rewind] { [] }

    /// Folds an event of a history that is rewound; answers the version that is reached.
    func rewind(_ event: RecordedEvent, _ fact: Fact) -> UInt64 { 0 }

    /// The history is rewound.
    func endRewind(of history: String) {}

    /// Whether the event has to be taken in; throws where what stands before it is missing.
    func wants(_ event: RecordedEvent) throws(FoldFailure) -> Bool { false }

    /// Takes in an event.
    func take(_ fact: Fact, _ stamp: EventStamp, _ event: RecordedEvent) throws(FoldFailure) {}

    /// Version of a history's state that was touched since the last write.
    func touchedVersion(of history: String) -> UInt64? { nil }

    /// What is to be written; nil when that is nothing.
    func write() -> (any ViewWrite)? { nil }

    /// What was touched has been taken away to be written.
    func finish() {}

    /// Forgets all states.
    func forget() {}
}

/// The states of one view that were touched, ready to be written by another thread.
struct StatesWrite<Fact: Sendable, State: Sendable>: ViewWrite {
    struct Item: Sendable {
        let state: State
        let isNew: Bool
        let history: String
        let since: LogPosition?
    }

    let view: View<Fact, State>
    let collections: [CollectionDeclaration]
    let items: [Item]

    func documents(in place: Int) -> [DocumentWrite] {
        let document = view.collections[place].document
        // By places in the buffer: a loop over the items would copy each state first.
        return items.withUnsafeBufferPointer { items in
            items.indices.map { place in
                let identity = view.identity(items[place].state)
                return DocumentWrite(
                    key: identity.key, version: identity.version, document: document(items[place].state),
                    isNew: items[place].isNew, history: items[place].history,
                    since: items[place].since ?? identity.position)
            }
        }
    }
}

/// Documents of single events: nothing of them is loaded, kept or checked for gaps.
final class RecordStates<Fact: Sendable, State: Sendable>: ViewStates<Fact> {
    private let view: View<Fact, State>
    private var items: [StatesWrite<Fact, State>.Item] = []

    init(_ view: View<Fact, State>, _ collections: [CollectionDeclaration]) {
        self.view = view
        super.init(collections, rank: view.scope.rank)
    }

    override func wants(_ event: RecordedEvent) throws(FoldFailure) -> Bool { true }

    override func take(_ fact: Fact, _ stamp: EventStamp, _ event: RecordedEvent) throws(FoldFailure) {
        guard let state = view.begin(fact, stamp) else { return }
        items.append(
            StatesWrite.Item(
                state: state, isNew: true, history: event.partitionKey, since: event.position))
    }

    override func write() -> (any ViewWrite)? {
        items.isEmpty ? nil : StatesWrite(view: view, collections: collections, items: items)
    }

    override func finish() { items = [] }
    override func forget() { items = [] }
}

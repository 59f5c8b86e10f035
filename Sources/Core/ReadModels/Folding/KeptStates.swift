internal import EventSourcing

/// States that are kept in memory and loaded where they are missing.
class KeptStates<Fact: Sendable, State: Sendable>: ViewStates<Fact> {
    let view: View<Fact, State>
    /// Those that the events since the last write concern.
    private(set) var touched: [KeptState] = []
    private var cache: GenerationCache<KeptState>
    // What is used between two writes is held here, however small the cache is.
    private var batch: [String: KeptState] = [:]
    /// Keys that have to be loaded, each with its history.
    private var missing: [String: String] = [:]
    /// Keys whose first event is in the batch.
    private var beginning: Set<String> = []
    private var loaded: [State] = []
    /// The histories of the keys that were asked for.
    private var asked: [String: String] = [:]

    init(_ view: View<Fact, State>, _ collections: [CollectionDeclaration], limit: Int) {
        self.view = view
        cache = GenerationCache(limit: limit)
        super.init(collections, rank: view.scope.rank)
    }

    /// An event of the next batch is about this key.
    func expect(_ key: String, of history: String, isFirst: Bool) {
        if isFirst {
            beginning.insert(key)
        } else if batch[key] == nil, !beginning.contains(key) {
            if let cached = cache.value(key) {
                batch[key] = cached
            } else {
                missing[key] = history
            }
        }
    }

    override func request() -> StateRequest? {
        asked = missing
        (missing, beginning) = ([:], [])
        guard !asked.isEmpty, let state = collections.last else { return nil }
        return StateRequest(collection: state, keys: asked.keys.sorted()) {
            [self] (fields) throws(BSONError) in loaded.append(try view.read(fields))
        }
    }

    /// What was loaded, each with its history.
    func takeLoaded() -> [(state: State, history: String)] {
        defer { (loaded, asked) = ([], [:]) }
        return loaded.compactMap { state in
            asked[view.identity(state).key].map { (state, $0) }
        }
    }

    func known(_ key: String) -> Projected<State>? { batch[key] as? Projected<State> }

    /// What is known of a state without looking into it.
    func kept(_ key: String) -> KeptState? { batch[key] }

    @discardableResult
    func keep(_ state: State, _ key: String, of history: String, isNew: Bool) -> Projected<State> {
        // A start from the first event replaces what the batch or the cache had.
        if isNew, let earlier = batch[key], earlier.isTouched { touched.removeAll { $0 === earlier } }
        let projected = Projected(
            state, version: view.identity(state).version, of: history, isNew: isNew)
        batch[key] = projected
        cache.insert(projected, for: key)
        return projected
    }

    func touch(_ state: KeptState, by event: RecordedEvent?) {
        if let event, state.since == nil { state.since = event.position }
        if state.isTouched { return }
        state.isTouched = true
        touched.append(state)
    }

    /// Takes the next event into a state.
    func evolve(_ state: Projected<State>, _ fact: Fact, _ stamp: EventStamp, _ event: RecordedEvent) {
        view.evolve(&state.state, fact, stamp)
        state.version = event.sequence
        touch(state, by: event)
    }

    override func write() -> (any ViewWrite)? {
        if touched.isEmpty { return nil }
        var items: [StatesWrite<Fact, State>.Item] = []
        items.reserveCapacity(touched.count)
        for state in touched {
            guard let state = state as? Projected<State> else { continue }
            items.append(
                StatesWrite.Item(
                    state: state.state, isNew: state.isNew, history: state.history, since: state.since))
        }
        return StatesWrite(view: view, collections: collections, items: items)
    }

    override func finish() {
        for state in touched { state.settle() }
        touched = []
        batch = [:]
    }

    override func forget() {
        finish()
        cache.removeAll()
        (missing, beginning, loaded, asked) = ([:], [], [], [:])
    }
}

/// States of parts of histories.
final class PartStates<Fact: Sendable, State: Sendable>: KeptStates<Fact, State> {
    private let first: String
    /// Few: comparing short texts takes less time than hashing one.
    private let types: [String]

    init(
        _ view: View<Fact, State>, _ first: String, _ types: Set<String>,
        _ collections: [CollectionDeclaration], _ limit: Int
    ) {
        self.first = first
        self.types = types.sorted()
        super.init(view, collections, limit: limit)
    }

    override func expect(_ event: RecordedEvent) {
        guard types.contains(event.type) else { return }
        expect(event.subject, of: event.partitionKey, isFirst: event.type == first)
    }

    override func adoptLoaded(among events: [RecordedEvent], rewinds: Bool) -> [Rewind] {
        for (state, history) in takeLoaded() {
            keep(state, view.identity(state).key, of: history, isNew: false)
        }
        return []
    }

    override func wants(_ event: RecordedEvent) throws(FoldFailure) -> Bool { types.contains(event.type) }

    override func take(_ fact: Fact, _ stamp: EventStamp, _ event: RecordedEvent) throws(FoldFailure) {
        guard types.contains(event.type) else { return }
        if event.type == first, let state = view.begin(fact, stamp) {
            let key = view.identity(state).key
            return touch(keep(state, key, of: event.partitionKey, isNew: true), by: event)
        }
        guard let state = known(event.subject) else {
            throw .unknownPart(event.subject, position: event.position)
        }
        if event.sequence > state.version { evolve(state, fact, stamp, event) }
    }
}

/// States of whole histories.
final class HistoryStates<Fact: Sendable, State: Sendable>: KeptStates<Fact, State> {
    private let category: Category
    private let keeper: TotalsKeeper
    /// States that are folded again, by history.
    private var rewound: [String: State] = [:]

    init(
        _ view: View<Fact, State>, _ category: Category, _ collections: [CollectionDeclaration],
        _ limit: Int, _ keeper: TotalsKeeper
    ) {
        self.category = category
        self.keeper = keeper
        super.init(view, collections, limit: limit)
    }

    override func expect(_ event: RecordedEvent) {
        expect(
            category.id(of: event.partitionKey), of: event.partitionKey, isFirst: event.sequence == 1)
    }

    override func adoptLoaded(among events: [RecordedEvent], rewinds: Bool) -> [Rewind] {
        var ahead: [Rewind] = []
        for (state, history) in takeLoaded() {
            let identity = view.identity(state)
            guard view.totals != nil,
                let (event, end) = keeper.beginning(of: identity.key, history, identity, among: events)
            else {
                adopt(state, of: history)
                continue
            }
            if rewinds {
                ahead.append(Rewind(event: event, end: end))
            } else {
                keeper.lose(event.position.partition)
                adopt(state, of: history)
            }
        }
        return ahead
    }

    /// Takes over a stored state. It is written again with its batch: when the database was dropped between
    /// two writes the state may be there without the documents that it belongs to.
    private func adopt(_ state: State, of history: String) {
        touch(keep(state, view.identity(state).key, of: history, isNew: false), by: nil)
    }

    override func rewind(_ event: RecordedEvent, _ fact: Fact) -> UInt64 {
        let history = event.partitionKey
        if var state = rewound.removeValue(forKey: history) {
            view.evolve(&state, fact, EventStamp(event))
            rewound[history] = state
        } else {
            rewound[history] = view.begin(fact, EventStamp(event))
        }
        return rewound[history].map { view.identity($0).version } ?? 0
    }

    override func endRewind(of history: String) {
        if let state = rewound.removeValue(forKey: history) { adopt(state, of: history) }
    }

    override func wants(_ event: RecordedEvent) throws(FoldFailure) -> Bool {
        if event.sequence == 1 { return true }
        guard let state = kept(category.id(of: event.partitionKey)) else { throw Self.gap(event, after: 0) }
        if event.sequence <= state.version { return false }
        guard event.sequence == state.version + 1 else { throw Self.gap(event, after: state.version) }
        return true
    }

    static func gap(_ event: RecordedEvent, after version: UInt64) -> FoldFailure {
        .gap(
            history: event.partitionKey, contained: version, given: event.sequence, position: event.position)
    }

    override func take(_ fact: Fact, _ stamp: EventStamp, _ event: RecordedEvent) throws(FoldFailure) {
        let id = category.id(of: event.partitionKey)
        let counted = keeper.isCounted(event, of: id) ? view.totals?.share : nil
        if event.sequence != 1, let state = known(id) {
            if event.sequence <= state.version { return }
            let before = counted.map { $0(state.state) }
            evolve(state, fact, stamp, event)
            if let counted, let before { count(event, from: before, to: counted(state.state)) }
            return
        }
        guard let first = view.begin(fact, stamp) else {
            let text = "a history does not begin with \(event.type)"
            throw .malformed(
                MalformedEvent(type: event.type, text: text), history: event.partitionKey,
                position: event.position)
        }
        let key = view.identity(first).key
        guard key == id else {
            throw .malformed(
                MalformedEvent(type: event.type, text: "it names \(key), and stands in \(id)"),
                history: event.partitionKey, position: event.position)
        }
        touch(keep(first, key, of: event.partitionKey, isNew: true), by: event)
        if let counted { count(event, from: nil, to: counted(first)) }
    }

    private func count(_ event: RecordedEvent, from before: TotalsShare?, to after: TotalsShare) {
        keeper.count(event, of: category.id(of: event.partitionKey), from: before, to: after)
    }

    override func touchedVersion(of history: String) -> UInt64? {
        touched.first { $0.history == history }?.version
    }
}

internal import EventSourcing

/// What indexes keep beside an in-memory log.
struct InMemoryIndexPart {
    var values: [String: [UInt8]] = [:]
    var place: LogPosition?
}

final class InMemoryLogIndex: LogIndex {
    private let name: String
    private let log: InMemoryEventLog

    init(_ name: String, _ log: InMemoryEventLog) {
        self.name = name
        self.log = log
    }

    func places() throws(LogFailure) -> [Int: LogPosition] {
        try log.call("load index places") { state in
            (state.indexes[name] ?? [:]).compactMapValues(\.place)
        }
    }

    func write(
        _ changes: [(key: String, value: [UInt8]?)], upTo place: LogPosition, under fence: Fence?
    ) throws(LogFailure) {
        try log.call("write index") { state throws(LogFailure) in
            if let fence, !state.holds(fence) {
                throw .fenced("write index", fence.description, generation: state.generation(fence))
            }
            var part = state.indexes[name]?[place.partition] ?? InMemoryIndexPart()
            for (key, value) in changes { part.values[key] = value }
            part.place = place
            state.indexes[name, default: [:]][place.partition] = part
        }
    }

    func values(_ keys: [String], in partition: Int) throws(LogFailure) -> [String: [UInt8]] {
        try log.call("read index") { state in
            let values = state.indexes[name]?[partition]?.values ?? [:]
            return Dictionary(
                keys.compactMap { key in values[key].map { (key, $0) } }, uniquingKeysWith: { $1 })
        }
    }

    func scan(
        _ partition: Int, _ body: (_ page: [(key: String, value: [UInt8])]) -> Void
    ) throws(LogFailure) -> LogPosition? {
        let part = try log.call("load index") { $0.indexes[name]?[partition] }
        guard let part, let place = part.place else { return nil }
        body(part.values.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        return place
    }

    func clear(_ partition: Int) throws(LogFailure) {
        try log.call("clear index") { $0.indexes[name]?[partition] = nil }
    }
}

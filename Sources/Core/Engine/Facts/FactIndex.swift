package import EventSourcing

/// The facts of all histories as they stand beside the log. Calls block; one thread.
package final class FactIndex<Fact: HistoryFact> {
    private let all: any LogIndex
    /// Those that hold a part of all, by their names.
    private let parts: [(name: String, index: any LogIndex)]

    /// Opens the indexes that the fact's subscription names.
    package init(_ log: any EventLog) throws(LogFailure) {
        var opened: [(name: String, index: any LogIndex)] = []
        for name in Fact.subscription.indexes { opened.append((name, try log.index(name))) }
        guard let first = opened.first else {
            throw LogFailure(
                .invalid, operation: "open index", key: Fact.subscription.name,
                text: "the subscription names no index")
        }
        all = first.index
        parts = Array(opened.dropFirst())
    }

    /// Up to where all of them contain each partition; one of which any knows nothing is absent.
    package func places() throws(LogFailure) -> [Int: LogPosition] {
        var places = try all.places()
        for part in parts {
            let others = try part.index.places()
            places = places.reduce(into: [:]) { both, one in
                if let other = others[one.key] { both[one.key] = min(one.value, other) }
            }
        }
        return places
    }

    /// The facts of some histories of a partition, as far as there are any.
    package func facts(
        of keys: some Collection<String>, in partition: Int
    ) throws(LogFailure) -> [String: Fact] {
        var facts: [String: Fact] = [:]
        for (key, bytes) in try all.values(Array(keys), in: partition) { facts[key] = Fact(bytes: bytes) }
        return facts
    }

    /// Takes changes over; nil for histories of which there is nothing to be known any more. What is
    /// contained may be written again.
    package func write(
        _ changes: [String: Fact?], upTo place: LogPosition, under fence: Fence?
    ) throws(LogFailure) {
        let order = changes.sorted { $0.key < $1.key }
        // All of them last: what it has is in the others as well.
        for part in parts {
            let changes = order.map { key, fact in
                (key: key, value: fact.flatMap { $0.belongs(in: part.name) ? $0.bytes : nil })
            }
            try part.index.write(changes, upTo: place, under: fence)
        }
        try all.write(order.map { (key: $0.key, value: $0.value?.bytes) }, upTo: place, under: fence)
    }

    /// Goes through all facts of a partition.
    /// - Parameter name: of the index; the first of the subscription's where it is nil.
    package func scan(
        _ partition: Int, in name: String? = nil, _ body: (String, Fact) -> Void
    ) throws(LogFailure) {
        let part = parts.first { $0.name == name }
        guard let index = name == nil ? all : part?.index else {
            throw LogFailure(
                .invalid, operation: "scan", key: name ?? "",
                text: "\(Fact.subscription.name) keeps no such index behind its first")
        }
        _ = try index.scan(partition) { page in
            for (key, bytes) in page {
                guard let fact = Fact(bytes: bytes) else { continue }
                body(key, fact)
            }
        }
    }

    /// Forgets a partition: it is built again from its beginning.
    package func clear(_ partition: Int) throws(LogFailure) {
        try all.clear(partition)
        for part in parts { try part.index.clear(partition) }
    }
}

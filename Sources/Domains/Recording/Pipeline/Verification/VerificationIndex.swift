internal import EventSourcing
internal import Recording

/// The facts of all sessions that are over, and those of faulty ones apart, as they stand beside the log.
/// Calls block; one thread.
final class VerificationIndex {
    private let all: any LogIndex
    private let faults: any LogIndex

    init(_ log: any EventLog) throws(LogFailure) {
        all = try log.index(VerificationFacts.indexName)
        faults = try log.index(VerificationFacts.faultsIndexName)
    }

    /// Up to where both contain each partition; one of which either knows nothing is absent.
    func places() throws(LogFailure) -> [Int: LogPosition] {
        let other = try faults.places()
        var places: [Int: LogPosition] = [:]
        for (partition, place) in try all.places() {
            guard let faulty = other[partition] else { continue }
            places[partition] = min(place, faulty)
        }
        return places
    }

    /// The facts of some sessions of a partition, as far as there are any.
    func facts(
        of sessions: some Collection<String>, in partition: Int
    ) throws(LogFailure) -> [String: VerificationFacts] {
        var facts: [String: VerificationFacts] = [:]
        for (session, bytes) in try all.values(Array(sessions), in: partition) {
            facts[session] = VerificationFacts(bytes: bytes)
        }
        return facts
    }

    /// Takes changes over; nil for sessions of which there is nothing to be known any more. What is contained
    /// may be written again.
    func write(
        _ changes: [String: VerificationFacts?], upTo place: LogPosition, under fence: Fence?
    ) throws(LogFailure) {
        let order = changes.sorted { $0.key < $1.key }
        try faults.write(
            order.map { (key: $0.key, value: $0.value.flatMap { $0.isFaulty ? $0.bytes : nil }) },
            upTo: place,
            under: fence)
        try all.write(order.map { (key: $0.key, value: $0.value?.bytes) }, upTo: place, under: fence)
    }

    /// Goes through all sessions of a partition.
    func scan(
        _ partition: Int, _ body: (String, VerificationFacts) -> Void
    ) throws(LogFailure) {
        try Self.scan(all, partition, body)
    }

    /// Goes through the faulty sessions of a partition.
    func scanFaults(
        _ partition: Int, _ body: (String, VerificationFacts) -> Void
    ) throws(LogFailure) {
        try Self.scan(faults, partition, body)
    }

    private static func scan(
        _ index: any LogIndex, _ partition: Int, _ body: (String, VerificationFacts) -> Void
    ) throws(LogFailure) {
        _ = try index.scan(partition) { page in
            for (session, bytes) in page {
                guard let facts = VerificationFacts(bytes: bytes) else { continue }
                body(session, facts)
            }
        }
    }

    /// Forgets a partition: it is built again from its beginning.
    func clear(_ partition: Int) throws(LogFailure) {
        try all.clear(partition)
        try faults.clear(partition)
    }
}

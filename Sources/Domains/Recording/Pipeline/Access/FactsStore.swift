internal import Base
internal import EventSourcing
internal import Recording
internal import Access

/// Facts of many sessions in memory, for any number of threads: each looks at one of its parts at a time.
final class FactsStore: Sendable {
    private final class Part: Sendable {
        let table = Lock(FactsTable())
    }

    private struct Shared {
        var owner: SharedOwnership
        /// Sessions of it.
        var count: Int
    }

    private let parts = (0..<64).map { _ in Part() }
    private let owners = Lock<[Ownership: Shared]>([:])

    private func part(of key: FactsKey) -> Part {
        parts[Int(truncatingIfNeeded: key.low) & (parts.count - 1)]
    }

    func facts(_ session: String) -> SessionFacts? {
        let key = FactsKey(session)
        return part(of: key).table.withLock { $0[key] }.map(Self.facts)
    }

    private static func facts(_ kept: FactsTable.Facts) -> SessionFacts {
        SessionFacts(
            ownership: kept.owner.ownership, description: kept.description, version: kept.version)
    }

    /// How many sessions have an ownership that passes.
    func count(where passes: (Ownership) -> Bool) -> Int {
        owners.withLock { owners in
            owners.reduce(0) { $0 + (passes($1.key) ? $1.value.count : 0) }
        }
    }

    var count: Int { parts.reduce(0) { $0 + $1.table.withLock { $0.count } } }

    /// Takes facts over that are newer than what is known.
    func put(_ facts: SessionFacts, of session: String) {
        let key = FactsKey(session)
        part(of: key).table.withLock { table in
            let known = table[key]
            if let known, known.version >= facts.version { return }
            set(facts, known, key, &table)
        }
    }

    /// Takes an event in.
    func take(_ event: RecordedEvent) {
        guard SessionFacts.eventTypes.contains(event.type) else { return }
        let key = FactsKey(event.partitionKey)
        part(of: key).table.withLock { table in
            let known = table[key]
            switch SessionFacts.change(known.map(Self.facts), by: event) {
            case .none: break
            case .become(let new): set(new, known, key, &table)
            case .remove, .unreadable: remove(known, key, &table)
            }
        }
    }

    /// Forgets a session.
    func remove(_ session: String) {
        let key = FactsKey(session)
        part(of: key).table.withLock { remove($0[key], key, &$0) }
    }

    /// Forgets everything.
    func removeAll() {
        for part in parts {
            part.table.withLock { table in
                // Counted while nobody can put anything there.
                owners.withLock { owners in table.forEach { Self.leave($0.owner, &owners) } }
                table = FactsTable()
            }
        }
    }

    private func set(
        _ facts: SessionFacts, _ known: FactsTable.Facts?, _ key: FactsKey, _ table: inout FactsTable
    ) {
        var owner = known?.owner
        if owner?.ownership != facts.ownership {
            owner = owners.withLock { owners in
                if let known { Self.leave(known.owner, &owners) }
                var shared =
                    owners[facts.ownership] ?? Shared(owner: SharedOwnership(facts.ownership), count: 0)
                shared.count += 1
                owners[facts.ownership] = shared
                return shared.owner
            }
        }
        guard let owner else { return }
        table[key] = FactsTable.Facts(owner: owner, description: facts.description, version: facts.version)
    }

    private func remove(_ known: FactsTable.Facts?, _ key: FactsKey, _ table: inout FactsTable) {
        guard let known else { return }
        owners.withLock { Self.leave(known.owner, &$0) }
        table[key] = nil
    }

    private static func leave(_ owner: SharedOwnership, _ owners: inout [Ownership: Shared]) {
        guard var shared = owners[owner.ownership] else { return }
        shared.count -= 1
        owners[owner.ownership] = shared.count > 0 ? shared : nil
    }
}

internal import EventSourcing
internal import Synchronization

/// What this process knows of the log's history, shared by all its clients.
///
/// A server that comes back, or takes another's place, may lack events that were acknowledged or read
/// before (a failover to a replica that lagged, a restored backup). Appending there would give their
/// sequences to others, and reading on would skip them in silence. So each new connection is asked for
/// the newest position that is known of each partition; a partition that lacks it is halted, here and,
/// by a mark in the log, for every process.
final class HistoryWatch: Sendable {
    private struct State {
        var known: [LogPosition?]
        var halted: [Int: String] = [:]
    }

    private let state: Mutex<State>
    private let anyHalted = Atomic<Bool>(false)

    init(partitions: Int) { state = Mutex(State(known: Array(repeating: nil, count: partitions))) }

    /// Takes in positions that the log has acknowledged or delivered.
    func witness(_ positions: some Sequence<LogPosition>) {
        state.withLock { state in
            for position in positions where state.known.indices.contains(position.partition) {
                if let last = state.known[position.partition], last >= position { continue }
                state.known[position.partition] = position
            }
        }
    }

    /// The newest position of each partition that is not halted.
    var known: [LogPosition] {
        state.withLock { state in
            state.known.compactMap { $0 }.filter { state.halted[$0.partition] == nil && $0.milliseconds > 0 }
        }
    }

    /// Whether any partition is halted; costs next to nothing.
    var hasHalted: Bool { anyHalted.load(ordering: .relaxed) }

    /// The halted partitions.
    var halted: Set<Int> { hasHalted ? state.withLock { Set($0.halted.keys) } : [] }

    /// Why a partition is halted; nil when it is not.
    func reason(_ partition: Int) -> String? {
        hasHalted ? state.withLock { $0.halted[partition] } : nil
    }

    /// Halts a partition; false when it was halted before.
    @discardableResult
    func halt(_ partition: Int, _ reason: String) -> Bool {
        state.withLock { state in
            guard state.halted[partition] == nil else { return false }
            state.halted[partition] = reason
            anyHalted.store(true, ordering: .relaxed)
            return true
        }
    }

    /// Refuses a write to a halted partition.
    func requireIntact(_ partition: Int, _ operation: String) throws(LogFailure) {
        guard let reason = reason(partition) else { return }
        throw LogFailure(
            .lostHistory, operation: operation, key: LogPosition.partitionName(partition),
            text: "the partition is halted: \(reason)")
    }

    /// Those of the partitions that are not halted.
    func intact(_ partitions: [Int]) -> [Int] {
        hasHalted ? partitions.filter { reason($0) == nil } : partitions
    }
}

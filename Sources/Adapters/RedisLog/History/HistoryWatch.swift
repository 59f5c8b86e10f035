internal import Base
internal import EventSourcing
internal import Synchronization

/// What this process knows of the log's history, shared by all its clients.
///
/// A server that comes back, or takes another's place, may lack events that were acknowledged or read
/// before (a failover to a replica that lagged, a restored backup). Appending there would give their
/// sequences to others, and reading on would skip them in silence. So each new connection is asked for
/// the newest position that is known of each partition; a partition that lacks it is halted, here and,
/// by a mark in the log, for every process, until somebody lifts the halt.
final class HistoryWatch: Sendable {
    private struct Halt {
        var reason: String
        /// The partition's last lifting when it was halted: only another one lifts this halt.
        var lifting: String?
        /// The newest position that is known to be missing.
        var missing: LogPosition?
        /// Whether this process alone keeps off the partition, until others have put it right.
        var isLocal: Bool
    }

    private struct State {
        var known: [LogPosition?]
        /// The newest position that replicas have, by server and partition. Servers are kept apart: one that
        /// was deposed may have what its successor lacks.
        var confirmed: [String: [Int: LogPosition]] = [:]
        var toldOfShortfall: Int?
        var halted: [Int: Halt] = [:]
        var epoch = 0
        /// Why this is not the log that it was, and when that was found.
        var other: (failure: LogFailure, at: Int)?
        /// Why nothing may be appended to the server as it is set now.
        var objection: String?
    }

    /// Whether the log is the one that this process opened.
    enum Standing {
        case same
        /// It was not, a moment ago.
        case other(LogFailure)
        /// It was not the last time; it is time to look again.
        case doubtful
    }

    /// What a look at the log's marks has changed.
    struct Change: Equatable {
        var halted: [Int] = []
        var lifted: [Int] = []
        /// Halted partitions whose mark has vanished.
        var unmarked: [Int] = []
    }

    private let state: Lock<State>
    private let anyHalted = Atomic<Bool>(false)
    private let isOther = Atomic<Bool>(false)
    /// Milliseconds between two looks whether the log is back.
    private static let lookMilliseconds = 1_000
    private let lifts = Atomic<Int>(0)

    /// What takes back what the archive has; nil where this process has no archive.
    let recovery: PartitionRecovery?

    init(partitions: Int, recovery: PartitionRecovery? = nil) {
        state = Lock(State(known: Array(repeating: nil, count: partitions)))
        self.recovery = recovery
    }

    // MARK: - The server's settings

    private let isObjected = Atomic<Bool>(false)

    /// Why nothing may be appended to the server as it is set now; nil when it may.
    var objection: String? {
        isObjected.load(ordering: .relaxed) ? state.withLock { $0.objection } : nil
    }

    /// Notes whether the server's settings suit a log.
    /// - Returns: whether that is news.
    func note(objection: String?) -> Bool {
        state.withLock { state in
            defer { state.objection = objection }
            isObjected.store(objection != nil, ordering: .relaxed)
            return state.objection != objection
        }
    }

    /// How many halts were lifted while this process ran. What was read before a lifting may be lost.
    var liftings: Int { lifts.load(ordering: .acquiring) }

    // MARK: - Another log

    /// Whether this is the log that it was; costs next to nothing while it is.
    var standing: Standing {
        guard isOther.load(ordering: .relaxed) else { return .same }
        return state.withLock { state in
            guard let other = state.other else { return .same }
            let isFresh = monotonicMilliseconds() - other.at < Self.lookMilliseconds
            return isFresh ? .other(other.failure) : .doubtful
        }
    }

    /// Notes that another log stands there, or none, or (with nil) that it is the right one again.
    /// - Returns: whether that is news.
    @discardableResult
    func note(otherLog failure: LogFailure?) -> Bool {
        state.withLock { state in
            let isNews = (state.other == nil) != (failure == nil)
            state.other = failure.map { ($0, monotonicMilliseconds()) }
            isOther.store(failure != nil, ordering: .relaxed)
            return isNews
        }
    }

    // MARK: - Positions

    /// Takes in positions that the log has acknowledged or delivered.
    /// - Parameter liftings: as of when they were asked for; nothing is taken in that is older than the last
    ///   lifting.
    func witness(_ positions: some Sequence<LogPosition>, liftings: Int) {
        state.withLock { state in
            guard state.epoch == liftings else { return }
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

    /// Takes in positions that a server's replicas have.
    func confirm(_ positions: some Sequence<LogPosition>, on server: String) {
        state.withLock { state in
            for position in positions {
                let known = state.confirmed[server]?[position.partition] ?? position
                state.confirmed[server, default: [:]][position.partition] = max(known, position)
            }
        }
    }

    /// Whether a server's replicas have a position, or a newer one of its partition.
    func isConfirmed(_ position: LogPosition, on server: String) -> Bool {
        state.withLock { $0.confirmed[server]?[position.partition].map { position <= $0 } ?? false }
    }

    /// Notes that something waits for replicas.
    /// - Returns: whether nobody has said so for a while.
    func noteShortfall(every milliseconds: Int) -> Bool {
        let now = monotonicMilliseconds()
        return state.withLock { state in
            if let last = state.toldOfShortfall, now - last < milliseconds { return false }
            state.toldOfShortfall = now
            return true
        }
    }

    /// Whether any partition is halted; costs next to nothing.
    var hasHalted: Bool { anyHalted.load(ordering: .relaxed) }

    /// The halted partitions.
    var halted: Set<Int> { hasHalted ? state.withLock { Set($0.halted.keys) } : [] }

    /// Why a partition is halted; nil when it is not.
    func reason(_ partition: Int) -> String? {
        hasHalted ? state.withLock { $0.halted[partition]?.reason } : nil
    }

    /// Halts a partition; false when it was halted before.
    /// - Parameter book: the marks and liftings as of which it is halted.
    @discardableResult
    func halt(
        _ partition: Int, _ reason: String, _ book: HaltRegistry, missing: LogPosition? = nil,
        isLocal: Bool = false
    ) -> Bool {
        state.withLock { state in
            guard state.halted[partition] == nil else { return false }
            state.halted[partition] = Halt(
                reason: reason, lifting: book.liftings[partition], missing: missing, isLocal: isLocal)
            anyHalted.store(true, ordering: .relaxed)
            return true
        }
    }

    /// Partitions that this process alone keeps off.
    var haltedHere: [Int] {
        hasHalted ? state.withLock { $0.halted.filter(\.value.isLocal).keys.sorted() } : []
    }

    /// Opens a partition that this process alone kept off.
    func release(_ partition: Int) {
        state.withLock { state in
            guard state.halted[partition]?.isLocal == true else { return }
            state.halted[partition] = nil
            anyHalted.store(!state.halted.isEmpty, ordering: .relaxed)
        }
    }

    /// The newest position that this process knows of a partition, halted or not.
    func newest(_ partition: Int) -> LogPosition? {
        state.withLock { state in
            let known = state.known.indices.contains(partition) ? state.known[partition] : nil
            return [known, state.halted[partition]?.missing].compactMap { $0 }.max()
        }
    }

    /// Takes in what the log says now: new marks, and halts that were lifted. What is known of a partition
    /// whose halt was lifted is forgotten: it may be what was lost.
    func take(_ book: HaltRegistry) -> Change {
        var change = Change()
        for (partition, reason) in book.marks where halt(partition, reason, book) {
            change.halted.append(partition)
        }
        guard hasHalted else { return change }
        state.withLock { state in
            for (partition, halt) in state.halted where book.marks[partition] == nil && !halt.isLocal {
                guard book.liftings[partition] != halt.lifting else {
                    change.unmarked.append(partition)
                    continue
                }
                state.halted[partition] = nil
                if state.known.indices.contains(partition) { state.known[partition] = nil }
                state.confirmed.removeAll()
                state.epoch += 1
                change.lifted.append(partition)
            }
            anyHalted.store(!state.halted.isEmpty, ordering: .relaxed)
            lifts.store(state.epoch, ordering: .releasing)
        }
        return change
    }

    /// Refuses a write to a halted partition.
    func requireIntact(_ partition: Int, _ operation: String) throws(LogFailure) {
        guard let reason = reason(partition) else { return }
        throw LogFailure(
            .lostHistory, operation: operation, key: LogPosition.partitionName(partition),
            text: "the partition is halted: \(reason)")
    }

    /// Ends what began before a halt was lifted: it may hold events that are no longer in the log, and goes
    /// on from where its checkpoints say.
    func requireSame(_ liftings: Int, _ operation: String, _ key: String) throws(LogFailure) {
        guard liftings != self.liftings else { return }
        throw LogFailure(
            .lostHistory, operation: operation, key: key,
            text: "a halted partition was opened again; what was read of it before may be lost, so that "
                + "reading begins anew")
    }

    /// Those of the partitions that are not halted.
    func intact(_ partitions: [Int]) -> [Int] {
        hasHalted ? partitions.filter { reason($0) == nil } : partitions
    }
}

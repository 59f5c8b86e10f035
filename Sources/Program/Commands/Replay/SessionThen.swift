import Console
import EventSourcing
import Pipeline
import RedisLog

/// Sessions as they were.
enum SessionThen {
    static func find(_ id: String, _ moment: Moment, _ system: RunningSystem) throws -> SessionAsOf {
        let store = try system.log.open()
        guard try store.version(of: id) > 0 else {
            throw CommandFailure(.no, "there is no session \(id)")
        }
        let partition = store.partitioning.partition(of: id)
        if case .position(let position) = moment, position.partition != partition {
            let name = LogPosition.partitionName(partition)
            throw UsageError(["\(position): session \(id) is in partition \(name); name a place there"])
        }
        guard let found = try SessionAsOf(id, at: moment, in: store) else {
            throw CommandFailure(.no, "there was no session \(id) yet at that moment")
        }
        return found
    }
}

extension Rule where Value == Moment {
    /// A moment in a session's history.
    static let moment = Rule(
        "must be a time (2026-11-21T00:53:58Z), a place in the log (p007/1700000000000-0) or a version (12)"
    ) { Moment($0) }
}

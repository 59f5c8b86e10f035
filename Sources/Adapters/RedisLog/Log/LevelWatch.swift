internal import EventSourcing
internal import Synchronization

/// The log's format level as this process knows it. It never goes back.
final class LevelWatch: Sendable {
    /// Field of `reel:meta`; logs of builds that know of no levels lack it.
    static let field = "level"

    private let known: Atomic<Int>

    init() { known = Atomic(FormatLevel.first.number) }

    var level: FormatLevel { FormatLevel(known.load(ordering: .relaxed)) ?? .first }

    /// Takes over what the log says.
    /// - Throws: `unsuitable` when it says more than this build reads, or nothing that can be read.
    @discardableResult
    func learn(_ text: String?) throws(LogFailure) -> FormatLevel {
        guard let found = text.map({ FormatLevel($0) }) ?? .first else {
            throw LogFailure(
                .corrupt, operation: "open", key: LogKeys.meta, text: "its level is no number from 1")
        }
        guard found <= .newest else {
            throw LogFailure(
                .unsuitable, operation: "open", key: LogKeys.meta,
                text: "the log is at format level \(found) and this version reads levels up to "
                    + "\(FormatLevel.newest): upgrade this program")
        }
        known.max(found.number, ordering: .relaxed)
        return level
    }

    /// What stands in a liveness mark: the level that the process reads, and for people where it is.
    static let mark = "\(FormatLevel.newest) \(ProcessName.host):\(ProcessName.pid)"
}

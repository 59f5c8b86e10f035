package import Base
package import EventSourcing

/// The categories of histories that the processes of a log host, as they have said: fields
/// `category:<name>` of `reel:meta`, without a name for the bare one.
///
/// A process that lacks one would pass over its events for good, and let them leave the log before its stages
/// have begun. Calls block; any thread.
package struct RedisHostedCategories: Sendable {
    private static let prefix = "category:"
    private let log: RedisEventLog

    init(_ log: RedisEventLog) { self.log = log }

    /// Refuses a process that hosts less than others have said.
    /// - Returns: those of its own that nobody has said before.
    /// - Throws: `unsuitable`, naming what it lacks.
    @discardableResult
    package func require(_ own: [Category]) throws(LogFailure) -> [Category] {
        let reply = try log.client("categories").command(
            "read hosted domains", LogKeys.meta, ["HKEYS", LogKeys.meta])
        let known = Set(
            reply.elements.compactMap(\.text).filter { $0.hasPrefix(Self.prefix) }
                .map { String($0.dropFirst(Self.prefix.count)) })
        let lacking = known.subtracting(own.map(\.name)).sorted()
        guard lacking.isEmpty else {
            throw LogFailure(
                .unsuitable, operation: "open", key: LogKeys.meta,
                text: "the log has histories of \(Self.text(lacking)), which this program does not host: it "
                    + "would pass over their events. Start the program that hosts them. Where nobody needs "
                    + "them any more: HDEL \(LogKeys.meta) \(Self.prefix)\(lacking[0])")
        }
        return own.filter { !known.contains($0.name) }
    }

    /// Says what this process hosts, for those that host less.
    /// - Returns: what nobody has said before.
    /// - Throws: `unsuitable` where others host more.
    package func add(_ own: [Category], at time: Timestamp) throws(LogFailure) -> [Category] {
        let new = try require(own)
        for category in new {
            do throws(LogFailure) { try note(category, at: time) } catch {
                // A log that takes no writes now is no reason not to start; who brings more must be seen.
                if category != .bare { throw error }
            }
        }
        // Of two that begin at once, each with what the other lacks, at least one sees the other here.
        if !new.isEmpty { try require(own) }
        return new
    }

    private func note(_ category: EventSourcing.Category, at time: Timestamp) throws(LogFailure) {
        _ = try log.client("categories").command(
            "note hosted domains", LogKeys.meta,
            ["HSETNX", LogKeys.meta, Self.prefix + category.name, time.rfc3339])
    }

    private static func text(_ names: [String]) -> String {
        names.map { $0.isEmpty ? "no category" : "category '\($0)'" }.joined(separator: " and of ")
    }
}

extension RedisEventLog {
    /// What the processes of this log host.
    package var hostedCategories: RedisHostedCategories { RedisHostedCategories(self) }
}

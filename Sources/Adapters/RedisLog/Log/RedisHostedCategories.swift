internal import Base
package import EventSourcing

/// The categories of histories that the processes of a log host, as they have said: fields
/// `category:<name>` of `reel:meta`, without a name for the bare one, each with the server's time.
///
/// A process that lacks one would pass over its events for good, and let them leave the log before its stages
/// have begun. For one thread. Calls block.
package final class RedisHostedCategories {
    private static let prefix = "category:"
    /// How often a process looks whether others host more.
    package static let lookMilliseconds = 5_000
    /// So long after somebody has brought a category, whoever lacks it has ended.
    package static let settlingMilliseconds: Int64 = 11_000

    private let client: RedisClient

    init(_ client: RedisClient) { self.client = client }

    /// Those that others have said, and this process does not host; sorted.
    package func lacking(_ own: [Category]) throws(LogFailure) -> [Category] {
        Self.lacking(own, try known())
    }

    /// Those of this process that the log does not know, or not any more.
    package func unsaid(_ own: [Category]) throws(LogFailure) -> [Category] {
        let known = try known()
        return own.filter { known[$0.name] == nil }
    }

    /// Whether a process of this log has ever hosted a category.
    package func isHosted(_ category: Category) throws(LogFailure) -> Bool {
        try known()[category.name] != nil
    }

    /// Says what this process hosts, for those that host less. May be said again, for a server that has lost
    /// it.
    /// - Parameter isFresh: whether this process has made the log: then nobody else is at work.
    /// - Returns: milliseconds to wait before the first event of any of them: until then somebody who lacks
    ///   one may still be at work.
    /// - Throws: `unsuitable`, naming what it lacks, where others host more. Then nothing has changed.
    package func add(_ own: [Category], isFresh: Bool = false) throws(LogFailure) -> Int64 {
        let before = try known()
        try Self.require(own, before)
        let now = try time()
        var added: [String] = []
        for category in own where before[category.name] == nil {
            do throws(LogFailure) {
                let field = Self.prefix + category.name
                let reply = try client.command(
                    "note hosted domains", LogKeys.meta, ["HSETNX", LogKeys.meta, field, now.rfc3339])
                if reply.integer == 1 { added.append(field) }
            } catch {
                // A log that takes no writes now is no reason not to start; who brings more must be seen.
                if category != .bare { throw error }
            }
        }
        let all = added.isEmpty ? before : try known()
        do throws(LogFailure) { try Self.require(own, all) } catch {
            // Of two that begin at once, each with what the other lacks, neither is to keep out the other.
            _ = try client.command("note hosted domains", LogKeys.meta, ["HDEL", LogKeys.meta] + added)
            throw error
        }
        let since = own.filter { $0 != .bare }.compactMap { all[$0.name] ?? now }.max()
        guard let since else { return 0 }
        let left = Self.settlingMilliseconds - now.milliseconds(since: since)
        guard left > 0, !isFresh else { return 0 }
        return min(left, Self.settlingMilliseconds)
    }

    /// The failure of a process that lacks categories.
    package static func failure(_ lacking: [Category]) -> LogFailure {
        let names = lacking.map { $0 == .bare ? "no category" : "category '\($0.name)'" }
        let fields = lacking.map { prefix + $0.name }.joined(separator: " ")
        return LogFailure(
            .unsuitable, operation: "open", key: LogKeys.meta,
            text:
                "the log has histories of \(names.joined(separator: " and of ")), which this program does not "
                + "host: it would pass over their events. Start the program that hosts them. Where nobody "
                + "needs them any more: HDEL \(LogKeys.meta) \(fields)")
    }

    private static func lacking(_ own: [Category], _ known: [String: Timestamp]) -> [Category] {
        Set(known.keys).subtracting(own.map(\.name)).sorted().map { Category($0) }
    }

    private static func require(
        _ own: [Category], _ known: [String: Timestamp]
    ) throws(LogFailure) {
        let lacking = lacking(own, known)
        guard lacking.isEmpty else { throw failure(lacking) }
    }

    /// Names, and since when. What is no time was written by hand, and is older than any.
    private func known() throws(LogFailure) -> [String: Timestamp] {
        let reply = try client.command("read hosted domains", LogKeys.meta, ["HGETALL", LogKeys.meta])
        let texts = reply.elements.map { $0.text ?? "" }
        var found: [String: Timestamp] = [:]
        for at in stride(from: 0, to: texts.count - 1, by: 2) where texts[at].hasPrefix(Self.prefix) {
            let name = String(texts[at].dropFirst(Self.prefix.count))
            found[name] = Timestamp(rfc3339: texts[at + 1]) ?? Timestamp(milliseconds: 0)
        }
        return found
    }

    private func time() throws(LogFailure) -> Timestamp {
        let reply = try client.command("read hosted domains", LogKeys.meta, ["TIME"])
        guard let seconds = reply.elements.first?.text.flatMap({ Int64($0) }) else {
            throw LogFailure(
                .corrupt, operation: "read hosted domains", key: LogKeys.meta, text: "TIME answers no time")
        }
        return Timestamp(milliseconds: seconds *| 1000)
    }
}

extension RedisEventLog {
    /// What the processes of this log host.
    package func hostedCategories() -> RedisHostedCategories { RedisHostedCategories(client("categories")) }
}

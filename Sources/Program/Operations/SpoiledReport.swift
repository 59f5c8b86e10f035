package import Base
internal import Console
package import EventSourcing
internal import MongoViews
internal import Pipeline
internal import Recording
package import RedisLog

/// What `reel status` says of keys in Redis that hold something else than Reel wrote. What depends on one of
/// them is left out, and everything else is shown.
package struct SpoiledReport {
    /// Keys of histories that are looked at on the spot; where there are more, verifying finds the rest.
    private static let onTheSpot = 20_000
    /// Lines that are shown to people.
    private static let shown = 20

    private(set) var keys: [SpoiledKey] = []
    /// Partitions of which no figures are shown.
    package private(set) var partitions: Set<Int> = []
    /// Whether the keys of every history were looked at.
    private var isComplete = true
    /// Why keys cannot be looked at; nil when they can.
    private var failure: String?

    package init(of log: RedisEventLog) throws(LogFailure) {
        do throws(LogFailure) {
            let found = try log.spoiledKeys(keysAtMost: Self.onTheSpot)
            keys = found.keys
            partitions = found.partitions
            isComplete = found.isComplete
        } catch {
            // The rest of the status is worth seeing.
            guard error.kind == .denied else { throw error }
            failure = error.text
        }
    }

    /// Whether no spoiled key was found.
    package var isEmpty: Bool { keys.isEmpty }

    /// Does what cannot be done where a key is spoiled, and notes that key then.
    package mutating func without<Answer>(_ fallback: Answer, _ body: () throws -> Answer) throws -> Answer {
        do { return try body() } catch let error as LogFailure where error.isOfRecord {
            if !keys.contains(where: { $0.key == error.key }) {
                keys.append(SpoiledKey(key: error.key, text: error.text))
            }
            return fallback
        }
    }

    /// Lines for people, with an empty one behind them; none when all is well.
    package var lines: [String] {
        var lines = failure.map { ["SPOILED   keys cannot be looked at: \($0)"] } ?? []
        lines += keys.prefix(Self.shown).map { key in
            let place = key.partition.map { "partition \($0), " } ?? ""
            return Table.printable("SPOILED   \(place)\(key)")
        }
        if keys.count > Self.shown {
            lines.append("          and \(Quantity.grouped(keys.count - Self.shown)) more; --json names all")
        }
        if !isComplete {
            lines.append(
                "          of \(Quantity.grouped(Self.onTheSpot)) keys of histories and no more; 'reel verify' "
                    + "and the background look at each")
        }
        if !partitions.isEmpty {
            let names = partitions.sorted().map { "\($0)" }.joined(separator: ", ")
            lines.append("          no figures are shown of the partitions \(names)")
        }
        if !keys.isEmpty {
            lines.append("          what to do: ops/docs/operating.md, 'Keys that somebody has spoiled'")
        }
        return lines.isEmpty ? [] : lines + [""]
    }

    /// Writes the members that tell of them.
    package func write(into json: inout JSONWriter) {
        json.key("spoiled_keys")
        json.array { list in
            for key in keys {
                list.object { json in
                    json.key("partition")
                    if let partition = key.partition { json.value(partition) } else { json.null() }
                    json.member("key", key.key)
                    json.member("reason", key.text)
                }
            }
        }
        if let failure { json.member("spoiled_keys_failure", failure) }
    }
}

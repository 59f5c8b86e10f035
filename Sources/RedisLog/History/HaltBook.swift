public import EventSourcing

/// A halt that somebody has lifted.
public struct LiftedHalt: Sendable, Hashable {
    /// The partition.
    public var partition: Int
    /// When, by the clock of whoever did it.
    public var at: Timestamp
    /// Who.
    public var by: String
    /// Why, in their words.
    public var reason: String
    /// What had been noticed, and when.
    public var halt: String
}

/// What `reel:halted` says, as of one moment: one hash, so that marks and liftings are of the same one.
///
/// Field `p003` holds the reason while the partition is halted and is empty afterwards; field `p003 lifted`
/// holds the last lifting. Both are written by one command. A mark that vanished without a lifting was
/// lost in a failover, and means nothing.
struct HaltBook: Equatable {
    /// Reasons of the partitions that are halted.
    private(set) var marks: [Int: String] = [:]
    /// The last lifting of each partition that was ever halted, as it is stored.
    private(set) var liftings: [Int: String] = [:]

    private static let lifted = " lifted"

    /// No partition was ever halted.
    init() {}

    /// Reads the answer of HGETALL.
    init(_ pairs: [Reply]) {
        for index in stride(from: 0, to: pairs.count - 1, by: 2) {
            guard let field = pairs[index].text, let value = pairs[index + 1].text else { continue }
            if let partition = LogKeys.partition(named: field) {
                if !value.isEmpty { marks[partition] = value }
            } else if field.hasSuffix(Self.lifted),
                let partition = LogKeys.partition(named: String(field.dropLast(Self.lifted.count)))
            {
                liftings[partition] = value
            }
        }
    }

    /// The command that halts a partition.
    static func halt(_ partition: Int, _ reason: String) -> [String] {
        ["HSET", LogKeys.halted, LogPosition.partitionName(partition), reason]
    }

    /// The command that lifts a halt.
    static func lift(_ lifting: LiftedHalt) -> [String] {
        let name = LogPosition.partitionName(lifting.partition)
        var writer = JSONWriter()
        writer.object { json in
            json.member("at", lifting.at.rfc3339)
            json.member("by", lifting.by)
            json.member("reason", lifting.reason)
            json.member("halt", lifting.halt)
        }
        return [
            "HSET", LogKeys.halted, name, "", name + lifted, String(decoding: writer.bytes, as: UTF8.self),
        ]
    }

    /// The last lifting of each partition, in order; what is not one of ours is left out.
    var lifted: [LiftedHalt] {
        liftings.sorted { $0.key < $1.key }.compactMap { partition, text in
            guard let json = try? JSONValue(parsing: Array(text.utf8)),
                let at = json["at"]?.string.flatMap({ Timestamp(rfc3339: $0) }),
                let by = json["by"]?.string, let reason = json["reason"]?.string,
                let halt = json["halt"]?.string
            else { return nil }
            return LiftedHalt(partition: partition, at: at, by: by, reason: reason, halt: halt)
        }
    }
}

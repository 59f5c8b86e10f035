package import Base
internal import EventSourcing

/// A halt that somebody has lifted.
package struct LiftedHalt: Sendable, Hashable {
    /// The partition.
    package var partition: Int
    /// When, by the clock of whoever did it.
    package var at: Timestamp
    /// Who.
    package var by: String
    /// Why, in their words.
    package var reason: String
    /// What had been noticed, and when.
    package var halt: String
}

/// What `reel:halted` says, as of one moment: one hash, so that marks and liftings are of the same one.
///
/// Field `p003` holds the reason while the partition is halted and is empty afterwards; field `p003 missing`
/// the newest entry that is known to be missing, by which anybody can tell whether it is back; field `p003
/// lifted` the last lifting. They are written by one command. A mark that vanished without a lifting was lost
/// in a failover, and means nothing.
struct HaltRegistry: Equatable {
    /// Reasons of the partitions that are halted.
    private(set) var marks: [Int: String] = [:]
    /// The newest position that is missing, where a mark says it; the start of the partition where no
    /// position tells, and nil where an earlier version set the mark.
    private(set) var missing: [Int: LogPosition] = [:]
    /// The last lifting of each partition that was ever halted, as it is stored.
    private(set) var liftings: [Int: String] = [:]

    private static let lifted = " lifted"
    private static let missing = " missing"

    /// No partition was ever halted.
    init() {}

    /// Reads the answer of HGETALL.
    init(_ pairs: [Reply]) {
        var missing: [Int: String] = [:]
        for index in stride(from: 0, to: pairs.count - 1, by: 2) {
            guard let field = pairs[index].text, let value = pairs[index + 1].text else { continue }
            if let partition = LogKeys.partition(named: field) {
                if !value.isEmpty { marks[partition] = value }
            } else if let partition = Self.partition(field, Self.lifted) {
                liftings[partition] = value
            } else if let partition = Self.partition(field, Self.missing), !value.isEmpty {
                missing[partition] = value
            }
        }
        for (partition, entry) in missing where marks[partition] != nil {
            self.missing[partition] = LogPosition(partition: partition, entryID: entry)
        }
    }

    private static func partition(_ field: String, _ suffix: String) -> Int? {
        field.hasSuffix(suffix) ? LogKeys.partition(named: String(field.dropLast(suffix.count))) : nil
    }

    /// Fields and values that halt a partition.
    static func halt(_ partition: Int, _ reason: String, missing position: LogPosition?) -> [String] {
        let name = LogPosition.partitionName(partition)
        return [name, reason, name + missing, (position ?? .start(of: partition)).entryID]
    }

    /// Fields and values that lift a halt.
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
            name, "", name + missing, "", name + lifted, String(decoding: writer.bytes, as: UTF8.self),
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

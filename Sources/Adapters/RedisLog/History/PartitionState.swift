internal import EventSourcing

/// What a partition says of itself: what is in its stream, what has left it, and what should have.
///
/// The server counts every entry that was ever added to a stream, and every one that the archiver trims is
/// counted in two places beside it. So nothing can leave a stream unnoticed, however it went: trimmed by a
/// stranger, deleted in its middle, or with the whole key.
struct PartitionState: Sendable, Equatable {
    let partition: Int
    /// Entries in the stream.
    var length: Int
    /// Entries that were ever added to it.
    var added: Int
    /// The newest entry that it ever had; its start when it had none.
    var end: LogPosition
    /// The oldest entry that is in it.
    var first: LogPosition?
    /// Up to where the archive has it.
    var through: LogPosition
    /// Entries that are in the archive alone.
    var count: Int
    /// Hash of the last archived segment.
    var hash: String
    /// Entries whose loss somebody has accepted.
    var lost: Int
    /// `count` as it stands among the ranks; nil where it does not.
    var trimmed: Int?
    /// Entries that it had when its last milestone was set.
    var atLeast = 0
    /// Up to where its last recorded segment goes.
    var recorded: LogPosition?
    /// Positions that subscriptions beside the log have come to, and that no entry has; by their names.
    var strays: [String: LogPosition]
    /// What keeps it from being looked at: a key that holds something else; empty otherwise.
    var damage = ""
    /// Why the archiver cannot go on there, and since when; empty when it can.
    var stuck = ""

    /// Entries that have left the stream.
    var gone: Int { added - length }

    /// What shows that acknowledged events are gone which nothing else has; empty where all is well.
    var findings: [String] {
        guard damage.isEmpty else { return [damage] }
        var found: [String] = []
        let expected = count + lost
        if gone > expected {
            found.append(
                "\(gone - expected) of its entries are gone that the archive does not have"
                    + (first.map { "; it begins at \($0.entryID) now" } ?? "; it is empty now"))
        }
        if gone < expected {
            found.append(
                "\(expected) of its entries should have left it, and \(gone) did: its stream was made anew, or "
                    + "what it says of its archive was changed")
        }
        if let first, first <= through {
            found.append(
                "it begins at \(first.entryID), and says that it was archived up to \(through.entryID)")
        }
        if let recorded, recorded > through {
            found.append(
                "it says that it was archived up to \(through.entryID), and has a record of a segment up to "
                    + recorded.entryID)
        }
        if (count > 0) != (through.milliseconds > 0) {
            found.append("it says that \(count) entries were archived, up to \(through.entryID)")
        }
        if length + count + lost < atLeast {
            found.append("it has \(length + count) entries, and had at least \(atLeast)")
        }
        if end < through {
            found.append("it ends at \(end.entryID), and says that it was archived up to \(through.entryID)")
        }
        if let trimmed, trimmed != count {
            found.append(
                "it says in two places how many of its entries are archived: \(count) and \(trimmed)")
        }
        for (name, place) in strays.sorted(by: { $0.key < $1.key }) {
            found.append("\(name) has handled it up to \(place.entryID), and that is not in it")
        }
        return found
    }
}

extension PartitionState {
    /// The keys that `ServerScript.state` wants.
    static func keys(_ partition: Int) -> [String] {
        [
            LogKeys.log(partition), LogKeys.archive(partition), LogKeys.ranks(partition),
            LogKeys.checkpoints(partition), LogKeys.segments(partition),
        ]
    }

    /// A partition that says nothing, or what cannot be.
    init(damage: String, partition: Int) {
        let start = LogPosition.start(of: partition)
        self.init(
            partition: partition, length: 0, added: 0, end: start, through: start, count: 0, hash: "",
            lost: 0, strays: [:], damage: damage)
    }

    /// Reads the answer of `ServerScript.state`.
    init(_ reply: ReplyView, partition: Int) throws(LogFailure) {
        func text(_ index: Int) -> String { reply[index]?.string ?? "" }
        func place(_ text: String) throws(LogFailure) -> LogPosition {
            guard !text.isEmpty else { return .start(of: partition) }
            guard let place = LogPosition(partition: partition, entryID: text) else {
                throw LogFailure(
                    .corrupt, operation: "look at partition", key: LogKeys.archive(partition),
                    text: "not an entry id: \(text)")
            }
            return place
        }
        func number(_ index: Int, _ name: String) throws(LogFailure) -> Int? {
            let text = text(index)
            guard !text.isEmpty else { return nil }
            guard let number = Int(text), (0...(1 << 53)).contains(number) else {
                throw LogFailure(
                    .corrupt, operation: "look at partition", key: LogKeys.archive(partition),
                    text: "\(name) is no number: \(text)")
            }
            return number
        }
        self.partition = partition
        length = reply[0]?.quantity ?? 0
        added = reply[1]?.quantity ?? 0
        end = try place(text(2))
        first = text(3).isEmpty ? nil : try place(text(3))
        through = try place(text(4))
        count = try number(5, "count") ?? 0
        hash = text(6)
        lost = try number(7, "lost") ?? 0
        trimmed = try number(8, "trimmed")
        stuck = text(9)
        atLeast = text(11).split(separator: ":").last.flatMap { Int($0) } ?? 0
        let record = text(12).split(separator: " ")
        recorded = record.count > 1 ? LogPosition(partition: partition, entryID: record[1]) : nil
        strays = [:]
        let found = reply[10]
        for index in stride(from: 0, to: (found?.count ?? 0) - 1, by: 2) {
            guard let name = found?[index]?.string, let entry = found?[index + 1]?.string,
                let place = LogPosition(partition: partition, entryID: entry)
            else { continue }
            strays[name] = place
        }
    }
}

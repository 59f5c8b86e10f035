internal import EventSourcing

/// Asks the log whether it still is what this process knows: its epoch, its halted partitions, and the
/// newest known position of each partition.
struct HistoryCheck {
    /// Sends commands and lends the replies in order; accepts the error reply of a missing key.
    typealias Run = (CommandBuffer, (Int, ReplyView) throws(LogFailure) -> Void) throws(LogFailure) -> Void

    let watch: HistoryWatch
    let epoch: String
    /// The address, for errors.
    let place: String
    let notify: @Sendable (RedisLogNotice) -> Void

    /// Nil while the log is being found out.
    init?(
        _ watch: HistoryWatch?, _ epoch: String?, _ place: RedisLocation, _ options: RedisEventLog.Options
    ) {
        guard let watch, let epoch else { return nil }
        self.watch = watch
        self.epoch = epoch
        self.place = "\(place)"
        notify = options.notify
    }

    /// Error replies that are answers here.
    static func missingKey(_ text: String) -> Bool { text.contains("no such key") }

    /// Halts the partitions that lack what is known of them.
    /// - Parameter positions: what is known; each is that of an event, or the start of its partition.
    /// - Returns: partitions of which it has come out only now that they are halted: whoever asked may be
    ///   about to write there.
    /// - Throws: `otherLog` when another log stands there, or none.
    func verify(_ positions: [LogPosition], _ run: Run) throws(LogFailure) -> [Int] {
        var commands = CommandBuffer()
        commands.command("HGET", LogKeys.meta, "epoch")
        commands.command("HGETALL", LogKeys.halted)
        let known = positions.filter { $0.milliseconds > 0 && watch.reason($0.partition) == nil }
        for position in known {
            commands.command("XRANGE", LogKeys.log(position.partition), position.entryID, position.entryID)
        }
        let before = watch.halted
        var missing: [LogPosition] = []
        var book = HaltBook()
        try run(commands) { index, reply throws(LogFailure) in
            switch index {
            case 0: try self.requireEpoch(reply.string)
            case 1:
                book = HaltBook(Reply(reply).elements)
                self.takeMarks(book)
            default: if reply.count == 0 { missing.append(known[index - 2]) }
            }
        }
        missing.removeAll { watch.reason($0.partition) != nil }
        if !missing.isEmpty { try halt(missing, book, run) }
        return watch.halted.subtracting(before).sorted()
    }

    /// The failure of a call in whose course partitions turned out to be halted. Nothing was sent. It is
    /// transient: the same call again is refused where it concerns one of them, and goes through elsewhere.
    func notedOnly(_ halted: [Int]) -> LogFailure {
        let names = halted.map(LogPosition.partitionName).joined(separator: ", ")
        return LogFailure(
            .refusingWrites, operation: "connect", key: place,
            text: "\(names) turned out to be halted; everything else goes on")
    }

    private func requireEpoch(_ found: String?) throws(LogFailure) {
        guard found != epoch else { return }
        throw LogFailure(
            .otherLog, operation: "connect", key: place,
            text: found.map { "another log stands there now: its epoch is \($0), expected \(epoch)" }
                ?? "no log stands there any more, expected that of epoch \(epoch): the server was emptied")
    }

    private func takeMarks(_ book: HaltBook) {
        for (partition, reason) in book.marks where watch.halt(partition, reason, book) {
            notify(.partitionHalted(partition, reason))
        }
    }

    /// Looks closer: an entry may be missing because its part of the stream was archived and trimmed.
    private func halt(_ missing: [LogPosition], _ book: HaltBook, _ run: Run) throws(LogFailure) {
        var commands = CommandBuffer()
        for position in missing { commands.command("XINFO", "STREAM", LogKeys.log(position.partition)) }
        var lost: [(LogPosition, String)] = []
        try run(commands) { index, reply in
            let position = missing[index]
            guard let end = Self.end(of: Reply(reply), without: position) else { return }
            lost.append((position, "it ends at \(end), and \(position) is not in it"))
        }
        guard !lost.isEmpty else { return }
        commands.removeAll()
        for (position, text) in lost {
            let reason =
                "the server has lost events that were acknowledged: \(text) (noticed "
                + "\(SystemClock().now().rfc3339))"
            if watch.halt(position.partition, reason, book) {
                notify(.partitionHalted(position.partition, reason))
            }
            commands.command(HaltBook.halt(position.partition, reason))
        }
        try run(commands) { _, _ in }
    }

    /// Where a stream ends that should have an entry at `position` and has not; nil when the entry was
    /// trimmed, which happens from the stream's start only.
    static func end(of stream: Reply, without position: LogPosition) -> String? {
        var facts: [String: Reply] = [:]
        let pairs = stream.elements
        for index in stride(from: 0, to: pairs.count - 1, by: 2) {
            if let name = pairs[index].text { facts[name] = pairs[index + 1] }
        }
        guard let generated = facts["last-generated-id"]?.text,
            let last = LogPosition(partition: position.partition, entryID: generated)
        else { return "its start" }
        let end = last.milliseconds == 0 ? "its start" : generated
        if last < position { return end }
        let first = facts["first-entry"]?.elements.first?.text.flatMap {
            LogPosition(partition: position.partition, entryID: $0)
        }
        guard let first, first <= position else { return nil }
        return end
    }
}

internal import Base
internal import EventSourcing

/// Asks the log whether it still is what this process knows: its epoch, its halted partitions, and the
/// newest known position of each partition.
struct HistoryCheck {
    /// Sends commands and lends the replies in order, with error replies that are answers here.
    typealias Run = (CommandBuffer, (Int, ReplyView) throws(LogFailure) -> Void) throws(LogFailure) -> Void

    let watch: HistoryWatch
    let epoch: String
    /// The address, for errors.
    let place: String
    /// Whether nothing is to be written: what is found counts for this process alone.
    let onlyLooks: Bool
    let notify: @Sendable (RedisLogNotice) -> Void

    /// Nil while the log is being found out.
    init?(
        _ watch: HistoryWatch?, _ epoch: String?, _ place: RedisLocation, _ options: RedisEventLog.Options
    ) {
        guard let watch, let epoch else { return nil }
        self.watch = watch
        self.epoch = epoch
        self.place = "\(place)"
        onlyLooks = options.onlyLooks
        notify = options.notify
    }

    /// Error replies that are answers here: a key is missing, or holds something else; a mark can't be
    /// written now.
    static func isAnswer(_ text: String) -> Bool {
        missingKey(text) || [.refusingWrites, .denied, .corrupt].contains(ServerError.kind(of: text))
    }

    /// The error reply of a missing key.
    static func missingKey(_ text: String) -> Bool { text.contains("no such key") }

    /// Halts the partitions that lack what is known of them, and that the archive does not have either.
    /// - Parameter positions: what is known; each is that of an event, or the start of its partition.
    /// - Returns: partitions of which it has come out only now that they are halted: whoever asked may be
    ///   about to write there.
    /// - Throws: `otherLog` when another log stands there, or none.
    func verify(_ positions: [LogPosition], _ run: Run) throws(LogFailure) -> [Int] {
        let before = watch.halted
        var (missing, book) = try missing(positions, run)
        if !missing.isEmpty, let recovery = watch.recovery {
            let losses = try recovery.run(missing.map(\.partition))
            try halt(losses, book, run)
            (missing, book) = try self.missing(missing, run)
        }
        if !missing.isEmpty { try halt(try lost(missing, run), book, run) }
        return watch.halted.subtracting(before).sorted()
    }

    /// Which of some positions no entry has, in partitions that are not halted; and the log's marks.
    private func missing(
        _ positions: [LogPosition], _ run: Run
    ) throws(LogFailure) -> ([LogPosition], HaltRegistry) {
        var commands = CommandBuffer()
        commands.command("HGET", LogKeys.meta, "epoch")
        commands.command("HGETALL", LogKeys.halted)
        let known = positions.filter { $0.milliseconds > 0 && watch.reason($0.partition) == nil }
        for position in known {
            commands.command("XRANGE", LogKeys.log(position.partition), position.entryID, position.entryID)
        }
        var missing: [LogPosition] = []
        var book = HaltRegistry()
        try run(commands) { index, reply throws(LogFailure) in
            switch index {
            case 0:
                try self.requireTold(reply, LogKeys.meta)
                try self.requireEpoch(reply.string)
            case 1:
                // Who looks on is told of it elsewhere.
                if self.onlyLooks, reply.errorText.map(ServerError.kind(of:)) == .corrupt { return }
                try self.requireTold(reply, LogKeys.halted)
                book = HaltRegistry(Reply(reply).elements)
                self.takeMarks(book)
            default:
                try self.requireTold(reply)
                if reply.count == 0 { missing.append(known[index - 2]) }
            }
        }
        return (missing.filter { watch.reason($0.partition) == nil }, book)
    }

    /// What may not be read says nothing of what is there.
    /// - Parameter key: the key that has to be what it was; where it is another one's, what was put in its
    ///   place is one of the ways in which an entry can be gone.
    private func requireTold(_ reply: ReplyView, _ key: String? = nil) throws(LogFailure) {
        guard let text = reply.errorText, !Self.missingKey(text) else { return }
        let failure = ServerError.failure(text, operation: "connect", key: key ?? place)
        if failure.kind == .corrupt, key == nil { return }
        throw failure
    }

    /// The failure of a call in whose course partitions turned out to be halted. Nothing was sent. It is
    /// transient: the same call again is refused where it concerns one of them, and goes through elsewhere.
    func notedOnly(_ halted: [Int]) -> LogFailure {
        let names = halted.map(LogPosition.partitionName).joined(separator: ", ")
        return LogFailure(
            .refusingWrites, operation: "connect", key: place,
            text: "\(names) turned out to be halted; everything else goes on")
    }

    // MARK: - Another log

    private func requireEpoch(_ found: String?) throws(LogFailure) {
        if found == epoch {
            if watch.note(otherLog: nil) { notify(.logReturned) }
            return
        }
        throw otherLog(found: found, "connect")
    }

    /// The failure of whoever finds another log, or none, where this one was; from now on everybody does.
    func otherLog(found: String?, _ operation: String) -> LogFailure {
        let failure = LogFailure(
            .otherLog, operation: operation, key: place,
            text: found.map { "another log stands there now: its epoch is \($0), expected \(epoch)" }
                ?? "no log stands there any more, expected that of epoch \(epoch): the server was emptied")
        if watch.note(otherLog: failure) { notify(.logReplaced(failure.text)) }
        return failure
    }

    // MARK: - Halting

    private func takeMarks(_ book: HaltRegistry) {
        for (partition, reason) in book.marks where watch.halt(partition, reason, book) {
            notify(.partitionHalted(partition, reason))
        }
    }

    /// Looks closer: an entry may be missing because its part of the stream was archived and trimmed.
    private func lost(_ missing: [LogPosition], _ run: Run) throws(LogFailure) -> [PartitionLoss] {
        var commands = CommandBuffer()
        for position in missing { commands.command("HGET", LogKeys.archive(position.partition), "through") }
        for position in missing { commands.command("XINFO", "STREAM", LogKeys.log(position.partition)) }
        var through: [LogPosition] = []
        var lost: [PartitionLoss] = []
        try run(commands) { index, reply throws(LogFailure) in
            try self.requireTold(reply)
            let position = missing[index % missing.count]
            guard index >= missing.count else {
                let entry = reply.string ?? ""
                return through.append(
                    LogPosition(partition: position.partition, entryID: entry)
                        ?? .start(of: position.partition))
            }
            guard position > through[index - missing.count] else { return }
            let end = Self.end(of: Reply(reply), partition: position.partition)
            lost.append(
                PartitionLoss(
                    partition: position.partition, text: "it ends at \(end), and \(position) is not in it",
                    missing: position))
        }
        return lost
    }

    /// Halts partitions: in this process at once, and by a mark in the log for every other one. A mark that
    /// can't be written now is written later (`RedisHalts.refresh`).
    func halt(_ losses: [PartitionLoss], _ book: HaltRegistry, _ run: Run) throws(LogFailure) {
        var fields: [String] = []
        for loss in losses {
            let what =
                loss.isKnown
                ? "the server has lost events that were acknowledged"
                : "whether the server has lost events cannot be told"
            let reason = "\(what): \(loss.text) (noticed \(SystemClock().now().rfc3339))"
            let isLocal = loss.isLocal || onlyLooks
            guard watch.halt(loss.partition, reason, book, missing: loss.missing, isLocal: isLocal) else {
                continue
            }
            notify(.partitionHalted(loss.partition, reason))
            if !isLocal { fields += HaltRegistry.halt(loss.partition, reason, missing: loss.missing) }
        }
        guard !fields.isEmpty else { return }
        var commands = CommandBuffer()
        commands.run(.set, [LogKeys.halted], fields)
        try run(commands) { _, _ in }
    }

    /// Where a stream ends, as its facts say.
    private static func end(of stream: Reply, partition: Int) -> String {
        var facts: [String: Reply] = [:]
        let pairs = stream.elements
        for index in stride(from: 0, to: pairs.count - 1, by: 2) {
            if let name = pairs[index].text { facts[name] = pairs[index + 1] }
        }
        guard let generated = facts["last-generated-id"]?.text,
            let last = LogPosition(partition: partition, entryID: generated), last.milliseconds > 0
        else { return "its start" }
        return generated
    }
}

package import Base
package import EventSourcing

/// Moves closed segments of partitions into the archive, and makes room in the server. Blocks; one thread.
///
/// The order is always: segment written and durable, read again and compared with the log entry by entry,
/// stream trimmed (atomically, and only if nobody needs what goes), indexes shrunk. A run that ends anywhere
/// is gone on with by the next one; two runs at once do work twice and no harm: only one of them trims.
package final class RedisArchiver {
    let client: RedisClient
    let log: RedisEventLog
    let archive: Archive
    let policy: ArchivePolicy
    let reachedStep: (ArchiveStep) throws(LogFailure) -> Void

    init(
        _ log: RedisEventLog, _ archive: Archive, _ policy: ArchivePolicy,
        _ reached: @escaping (ArchiveStep) throws(LogFailure) -> Void
    ) {
        client = log.client("archiver")
        self.log = log
        self.archive = archive
        self.policy = policy
        reachedStep = reached
    }

    /// How far a partition was trimmed.
    struct State {
        var through: LogPosition
        var count = 0
        var hash = ""
        var shrunk: LogPosition
        var stuck = ""

        /// Whether a segment joins what was trimmed.
        func isContinued(by link: SegmentLink) -> Bool {
            link.name.after == through && link.countBefore == count && link.previousHash == hash
        }
    }

    /// Archives what may go of one partition.
    /// - Parameters:
    ///   - limit: a position that a subscription with a checkpoint elsewhere has come to: nothing behind it
    ///     is archived. Nil when there is none.
    ///   - all: also what is neither old nor much.
    /// - Throws: `corrupt` when the archive lacks a segment or has a damaged one, naming it, and
    ///   `lostHistory` while the partition is halted, also when it is halted because of what was found here;
    ///   nothing was trimmed then.
    package func run(
        partition: Int, upTo limit: LogPosition? = nil, all: Bool = false
    ) throws(LogFailure) -> ArchiveRun {
        var run = ArchiveRun()
        try log.history.requireIntact(partition, "archive")
        // What is gone and not archived is lost, and nothing is archived over it.
        try client.requireWhole([partition], "archive")
        while true {
            var state = try state(of: partition)
            try requireSegments(&state)
            let holds = try holds(of: partition, upTo: limit)
            var found = try waiting(after: state)
            if found == nil { found = try close(after: state, holds, all: all) }
            guard let name = found else { return run }
            if let hold = holds.first(where: { !$0.allows(name.last) }) {
                run.hold = hold
                return run
            }
            switch try trim(name, state) {
            case .trimmed(let events):
                run.segments += 1
                run.events += events
            case .held(let hold):
                run.hold = hold
                return run
            case .moved: break
            }
        }
    }

    /// State of all partitions' archives.
    package func status() throws(LogFailure) -> [PartitionArchive] {
        var all: [PartitionArchive] = []
        for partition in 0..<log.partitioning.count {
            let state = try state(of: partition)
            let key = LogKeys.log(partition)
            let live = try client.command("archive status", key, ["XLEN", key]).integer ?? 0
            let lowest = try holds(of: partition, upTo: nil).min { $0.position < $1.position }
            all.append(
                PartitionArchive(
                    partition: partition, through: state.through, archivedEvents: state.count,
                    liveEvents: live, hold: live == 0 ? nil : lowest, stuck: state.stuck))
        }
        return all
    }

    func state(of partition: Int) throws(LogFailure) -> State {
        let key = LogKeys.archive(partition)
        let facts = try client.command(
            "archive", key, ["HMGET", key, "through", "count", "hash", "shrunk", "stuck"]
        ).elements
        let start = LogPosition.start(of: partition)
        func position(_ index: Int) throws(LogFailure) -> LogPosition {
            guard facts.indices.contains(index), let text = facts[index].text else { return start }
            guard let position = LogPosition(partition: partition, entryID: text) else {
                throw LogFailure(.corrupt, operation: "archive", key: key, text: "not an entry id: \(text)")
            }
            return position
        }
        return State(
            through: try position(0), count: facts.count > 1 ? facts[1].quantity ?? 0 : 0,
            hash: facts.count > 2 ? facts[2].text ?? "" : "", shrunk: try position(3),
            stuck: facts.count > 4 ? facts[4].text ?? "" : "")
    }

    /// What was trimmed must be in the archive before more is; and records and indexes follow that an
    /// earlier run, or an earlier version, has left.
    private func requireSegments(_ state: inout State) throws(LogFailure) {
        guard state.through.milliseconds > 0 else { return }
        let partition = state.through.partition
        let (chain, isRecorded) = try archive.currentChain(of: partition) { from throws(LogFailure) in
            try self.client.archiveRecords(of: partition, from: from)
        }
        do throws(SegmentFailure) { try archive.requireFiles(of: chain) } catch {
            throw error.asLogFailure("archive")
        }
        if !isRecorded { try record(chain) }
        guard state.shrunk < state.through else { return }
        for link in chain.links(after: state.shrunk) where link.name.last <= state.through {
            try shrink(try events(of: link, in: chain), state.shrunk)
        }
        state.shrunk = state.through
    }

    /// Lets the server have the records of all segments. A server that is short of memory can do without:
    /// they spare readers time, and nothing else.
    private func record(_ chain: SegmentChain) throws(LogFailure) {
        let key = LogKeys.segments(chain.partition)
        do throws(LogFailure) {
            _ = try client.call(
                "archive", key, "reel_record_segments", [LogKeys.archive(chain.partition), key],
                [chain.through.entryID, chain.anchor.hash] + chain.links.map(\.record))
        } catch {
            guard error.kind == .refusingWrites else { throw error }
        }
    }

    private func events(
        of link: SegmentLink, in chain: SegmentChain
    ) throws(LogFailure) -> [RecordedEvent] {
        do throws(SegmentFailure) {
            let payload = try archive.payload(of: link, confirmedBy: chain.next(after: link))
            guard let events = SegmentCoding.decode(payload, partition: link.name.last.partition) else {
                throw SegmentFailure(
                    .damaged, segment: "\(link.name)", text: "an entry does not follow the format")
            }
            return events
        } catch { throw error.asLogFailure("archive") }
    }

    /// A segment that was written, joins what was trimmed, and was not trimmed yet itself. One that begins
    /// there and joins another one is of a log that was archived in other segments before it was put back;
    /// where the log has all of it, it is passed over.
    private func waiting(after state: State) throws(LogFailure) -> SegmentName? {
        let names: [SegmentName]
        do throws(SegmentFailure) { names = try archive.names(state.through.partition) } catch {
            throw error.asLogFailure("archive")
        }
        for name in names where name.after == state.through {
            let segment = try waiting(name)
            if state.isContinued(by: segment.link) { return name }
            let live = try range(
                after: name.after, through: name.last, limit: segment.events.count + 1
            ).events
            if live == segment.events { continue }
            // Unless somebody else has trimmed meanwhile.
            if try self.state(of: state.through.partition).through != state.through { return nil }
            throw try contradiction(segment.link)
        }
        return nil
    }

    // MARK: Closing

    /// Writes a segment of what may go; nil when that is too little.
    private func close(
        after state: State, _ holds: [ArchiveHold], all: Bool
    ) throws(LogFailure) -> SegmentName? {
        let partition = state.through.partition
        let begin = SystemClock().now().advanced(byMilliseconds: -Int64(policy.afterMilliseconds))
        let old = UInt64(clamping: begin.milliseconds)
        let key = LogKeys.log(partition)
        let entries = try client.command("archive", key, ["XRANGE", key, "-", "+", "COUNT", "1"]).elements
        guard
            let oldest = entries.first?.elements.first?.text.flatMap({ text in
                LogPosition(partition: partition, entryID: text)
            }), holds.allSatisfy({ $0.allows(oldest) })
        else { return nil }
        let length = try client.command("archive", key, ["XLEN", key]).integer ?? 0
        guard all || length > policy.afterEvents || oldest.milliseconds < old else { return nil }
        let limit = max(policy.afterEvents, LogLimits.eventsPerAppend) + 1
        let (page, unreadable) = try range(after: state.through, through: nil, limit: limit)
        // What cannot be read stays where it is, and says so; what stands before it may go.
        if let unreadable, page.isEmpty { throw unreadable }
        var (count, bytes) = (0, 0)
        for event in page.prefix(policy.afterEvents) {
            guard holds.allSatisfy({ $0.allows(event.position) }), bytes < policy.segmentBytes else { break }
            bytes += event.data.count
            count += 1
        }
        let isFull =
            count >= policy.afterEvents || bytes >= policy.segmentBytes
            || (unreadable != nil && length > policy.afterEvents)
        if !isFull, !all { count = page.prefix(count).prefix { $0.position.milliseconds < old }.count }
        let events = page.prefix(
            try cut(count, of: page, after: state, holds, isFull: page.count == limit))
        guard let first = events.first, let last = events.last else { return nil }
        // Had somebody else trimmed meanwhile, the first events would be missing here.
        guard try self.state(of: partition).through == state.through else { return nil }
        let header = SegmentHeader(
            epoch: archive.epoch, after: state.through, first: first.position, last: last.position,
            count: events.count, countBefore: state.count, previousHash: state.hash)
        try reachedStep(.closing)
        do throws(SegmentFailure) { try archive.write(Array(events), header: header) } catch {
            throw error.asLogFailure("archive")
        }
        try reachedStep(.written)
        return header.name
    }

    /// How many events of a page go when `count` of them may: an append goes whole or stays whole. A server
    /// that is restored to an old state, and gets back from the archive what that has, would otherwise have
    /// half of a decision, and nobody who makes the other half.
    ///
    /// One append that is more than may go at once goes all the same. Where a full page of events, which is
    /// more than one append can have, are one like the other, they are cut somewhere.
    static func whole(_ count: Int, of page: [RecordedEvent], isFull: Bool) -> Int {
        guard count > 0 else { return 0 }
        return wholes(count, of: page).first ?? (isFull ? count : 0)
    }

    /// All numbers of events of a page with which appends go whole: from `count` down, then the larger ones.
    private static func wholes(_ count: Int, of page: [RecordedEvent]) -> [Int] {
        func isWhole(_ place: Int) -> Bool {
            !page.indices.contains(place) || !page[place - 1].mayBelongTogether(with: page[place])
        }
        // The last ones of a page may go on behind it.
        return (1...count).reversed().filter(isWhole) + (count..<max(count, page.count)).filter(isWhole)
    }

    /// How many events of a page go. Where a segment of that name is there, which joins another one before
    /// it, the log is cut elsewhere: both stay, each on its way.
    private func cut(
        _ count: Int, of page: [RecordedEvent], after state: State, _ holds: [ArchiveHold], isFull: Bool
    ) throws(LogFailure) -> Int {
        let after = state.through
        func mayGo(_ count: Int) -> Bool { holds.allSatisfy { $0.allows(page[count - 1].position) } }
        let wanted = Self.whole(count, of: page, isFull: isFull)
        guard wanted > 0, mayGo(wanted) else { return 0 }
        do throws(SegmentFailure) {
            let names = Set(try archive.names(after.partition))
            func name(_ count: Int) -> SegmentName {
                SegmentName(after: after, last: page[count - 1].position)
            }
            guard names.contains(name(wanted)) else { return wanted }
            // Another archiver has just written it.
            if state.isContinued(by: try archive.link(of: name(wanted))) { return wanted }
            let free = Self.wholes(wanted, of: page).first { mayGo($0) && !names.contains(name($0)) }
            if free == nil { try archive.setAside(name(wanted)) }
            return free ?? wanted
        } catch { throw error.asLogFailure("archive") }
    }

    /// Events as the server has them now, up to an entry that cannot be read.
    private func range(
        after: LogPosition, through: LogPosition?, limit: Int
    ) throws(LogFailure) -> (events: [RecordedEvent], unreadable: LogFailure?) {
        let key = LogKeys.log(after.partition)
        var commands = CommandBuffer()
        var decoder = EntryDecoder()
        var events: [RecordedEvent] = []
        var unreadable: LogFailure?
        while events.count < limit, unreadable == nil {
            let from = events.last?.position ?? after
            let count = min(1000, limit - events.count)
            commands.removeAll()
            commands.command(
                "XRANGE", key, "(" + from.entryID, through?.entryID ?? "+", "COUNT", String(count))
            var found = 0
            try client.pipeline("archive", key, commands) { _, reply throws(LogFailure) in
                found = reply.count
                try reply.forEach { entry throws(LogFailure) in
                    guard unreadable == nil else { return }
                    do throws(LogFailure) {
                        events.append(
                            try decoder.decode(entry, partition: after.partition, operation: "archive"))
                    } catch {
                        guard error.kind == .unreadable else { throw error }
                        unreadable = error
                    }
                }
            }
            if found < count { break }
        }
        guard try client.confirm(events.suffix(1).map(\.position), "archive").isWhole else {
            throw LogFailure(
                .unconfirmed, operation: "archive", key: key,
                text: "too few replicas have what is to be archived")
        }
        return (events, unreadable)
    }

    // MARK: Trimming

    private enum Trim {
        case trimmed(events: Int)
        case held(ArchiveHold)
        /// Somebody else has trimmed meanwhile.
        case moved
    }

    /// A segment that nothing vouches for but the comparison with the stream, or a hash that is known.
    func waiting(
        _ name: SegmentName
    ) throws(LogFailure) -> (link: SegmentLink, events: [RecordedEvent]) {
        do throws(SegmentFailure) { return try archive.waiting(name) } catch {
            throw error.asLogFailure("archive")
        }
    }

    /// Compares a segment with the log, and trims the log if it is the same and nobody needs it.
    private func trim(_ name: SegmentName, _ state: State) throws(LogFailure) -> Trim {
        let partition = name.last.partition
        let segment = try waiting(name)
        let live = try range(
            after: name.after, through: name.last, limit: segment.events.count + 1
        ).events
        guard live == segment.events, state.isContinued(by: segment.link) else {
            if try self.state(of: partition).through != state.through { return .moved }
            throw try contradiction(segment.link)
        }
        if let wrong = try oddIndex(of: segment.events) {
            // Somebody else may have trimmed meanwhile, and let the indexes follow.
            if try self.state(of: partition).through != state.through { return .moved }
            try client.halt([wrong])
            try log.history.requireIntact(partition, "archive")
        }
        do throws(SegmentFailure) { try archive.vouch(for: segment.link) } catch {
            throw error.asLogFailure("archive")
        }
        try reachedStep(.verified)
        let known = try groupNames(partition)
        let reply = try halting(partition) { () throws(LogFailure) in
            try client.run(
                "trim", LogKeys.log(partition), .trim,
                keys(partition, known) + [LogKeys.segments(partition)],
                [
                    name.last.entryID, name.after.entryID, String(segment.link.countThrough),
                    segment.link.hash,
                ] + required(known) + [segment.link.record])
        }
        let facts = reply.elements
        switch facts.first?.integer {
        case 0:
            guard facts.count > 1, facts[1].integer == segment.events.count else {
                throw LogFailure(
                    .corrupt, operation: "trim", key: LogKeys.log(partition),
                    text: "\(facts[1].integer ?? 0) entries went instead of \(segment.events.count)")
            }
            try reachedStep(.trimmed)
            try shrink(segment.events, state.through)
            return .trimmed(events: segment.events.count)
        case 1:
            return .held(try hold(facts.dropFirst(), partition))
        default: return .moved
        }
    }

    /// Halts a partition of which the server itself says that something is lost.
    func halting<Answer>(
        _ partition: Int, _ body: () throws(LogFailure) -> Answer
    ) throws(LogFailure) -> Answer {
        do throws(LogFailure) { return try body() } catch {
            guard error.kind == .lostHistory else { throw error }
            try client.requireWhole([partition], "archive")
            try client.halt([PartitionLoss(partition: partition, text: error.text, missing: nil)])
            throw error
        }
    }

    /// What a segment that waits, and is not what the log holds, means. One that was compared with the log
    /// before is the log's own: it has lost what the segment has, and others have written on.
    private func contradiction(_ link: SegmentLink) throws(LogFailure) -> LogFailure {
        let partition = link.name.last.partition
        var isVouched: Bool?
        do throws(SegmentFailure) { isVouched = try archive.isVouched(link) } catch {
            throw error.asLogFailure("archive")
        }
        if isVouched == true {
            try client.halt([
                PartitionLoss(
                    partition: partition,
                    text:
                        "it contradicts the archive, whose segment \(link.name) it once held; nothing is merged",
                    missing: nil)
            ])
            try log.history.requireIntact(partition, "archive")
        }
        return LogFailure(
            .corrupt, operation: "archive", key: "\(LogPosition.partitionName(partition))/\(link.name)",
            text:
                "the segment is not what the log holds, and nobody has vouched for it; nothing was trimmed. "
                + "Move it away")
    }

    /// What is lost where a history's index is gone, or is not its own.
    private func oddIndex(of events: [RecordedEvent]) throws(LogFailure) -> PartitionLoss? {
        var last: [String: RecordedEvent] = [:]
        for event in events { last[event.partitionKey] = event }
        guard let partition = events.first?.position.partition else { return nil }
        let checked = last.values.sorted { $0.position < $1.position }
        var commands = CommandBuffer()
        for start in stride(from: 0, to: checked.count, by: 100) {
            let some = checked[start..<min(checked.count, start + 100)]
            commands.run(
                .indexed,
                some.flatMap {
                    [LogKeys.index(partition, $0.partitionKey), LogKeys.ids(partition, $0.partitionKey)]
                }, some.flatMap { [String($0.sequence), $0.position.entryID] })
        }
        var wrong: [RecordedEvent] = []
        try client.pipeline("archive", LogKeys.log(partition), commands) { index, reply in
            reply.forEach { number in
                let place = 100 * index + (number.quantity ?? 0) - 1
                if checked.indices.contains(place) { wrong.append(checked[place]) }
            }
        }
        guard let first = wrong.first else { return nil }
        let others = wrong.count > 1 ? " and \(wrong.count - 1) more" : ""
        return PartitionLoss(
            partition: partition,
            text: "what it says of \(first.partitionKey)\(others) is gone, or is not so: event "
                + "\(first.sequence) stands at \(first.position.entryID), and its index does not say so",
            missing: nil)
    }

    /// Lets everybody see why the archiver can't go on in a partition, or (with an empty text) that it can.
    /// - Parameter since: when that began.
    package func note(stuck text: String, since: Timestamp, in partition: Int) throws(LogFailure) {
        let key = LogKeys.archive(partition)
        guard !text.isEmpty else {
            _ = try client.command("archive", key, ["HDEL", key, "stuck"])
            return
        }
        _ = try client.run(
            "archive", key, .set, [key], ["stuck", "\(since.rfc3339) \(text.prefix(1000))"])
    }
}

extension RedisEventLog {
    /// Moves closed segments into the archive, on the calling thread.
    /// - Parameter reached: called at every step; what it throws ends the run there. For tests.
    /// - Throws: `unsuitable` when the log was opened without an archive.
    package func archiver(
        _ policy: ArchivePolicy, reached: @escaping (ArchiveStep) throws(LogFailure) -> Void = { _ in }
    ) throws(LogFailure) -> RedisArchiver {
        guard let archive else {
            throw LogFailure(
                .unsuitable, operation: "archive", key: "\(address)",
                text: "the log was opened without an archive")
        }
        return RedisArchiver(self, archive, policy, reached)
    }
}

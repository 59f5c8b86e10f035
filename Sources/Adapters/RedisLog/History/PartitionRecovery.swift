internal import Base
internal import EventSourcing

/// Takes back into the log what the archive has and the server lacks.
///
/// Redis and the archive together are the log. A server that comes back without its newest events (an old
/// copy of its data, a replica that lagged) may find them in the archive: segments that begin where the
/// server was trimmed, join by their hashes, agree with everything that the server has, and go on beyond its
/// end. Their events are put back where they stood, with their ids, sequences and entries. Nobody else may
/// append there meanwhile: an append that comes between contradicts the archive, and the partition is halted.
///
/// Only what somebody with a key has vouched for is taken back (`SegmentStore.isVouched`): whoever can write
/// the archive's folder must not be able to write events.
final class PartitionRecovery: Sendable {
    let location: RedisLocation
    let options: RedisEventLog.Options
    let epoch: String
    let partitioning: Partitioning
    let archive: Archive
    private let levels: LevelWatch
    /// One thread at a time; the server that was looked at last, by its run.
    private let lastRun = Lock<String?>(nil)

    init(
        _ location: RedisLocation, _ partitioning: Partitioning, epoch: String, _ archive: Archive,
        _ levels: LevelWatch, _ options: RedisEventLog.Options
    ) {
        self.location = location
        self.partitioning = partitioning
        self.epoch = epoch
        self.archive = archive
        self.levels = levels
        self.options = options
    }

    /// Looks at all partitions, unless it was done since the server began to run.
    /// - Parameter serverRun: id of the server's run; nil where it does not tell.
    func run(onServer serverRun: String?) throws(LogFailure) -> [PartitionLoss] {
        try lastRun.withLock { last throws(LogFailure) in
            if let serverRun, serverRun == last { return [] }
            let losses = try recover(Array(0..<partitioning.count), byHand: false)
            last = serverRun
            return losses
        }
    }

    /// Looks at some partitions, and takes back what can be.
    /// - Parameter byHand: an operator has said that the archive is right: also what nobody vouches for.
    /// - Returns: what the archive has and can't be taken back, and why.
    func run(_ partitions: [Int], byHand: Bool = false) throws(LogFailure) -> [PartitionLoss] {
        try lastRun.withLock { _ throws(LogFailure) in try recover(partitions, byHand: byHand) }
    }

    /// Sets aside segments that hold what a partition does not: its loss is accepted, and they are no part of
    /// the log any more.
    func setAsideWhatDoesNotJoin(_ partition: Int) throws(LogFailure) {
        for name in try strangers(in: partition) {
            do throws(SegmentFailure) { try archive.setAside(name) } catch {
                throw error.asLogFailure("set aside")
            }
        }
    }

    /// Segments that are not trimmed in the log yet and hold what it does not.
    func strangers(in partition: Int) throws(LogFailure) -> [SegmentName] {
        let client = RedisClient(location, options: options, epoch: epoch, name: "reel/recovery")
        let inspector = PartitionInspector(client: client)
        var (found, before): ([SegmentName], PartitionState?) = ([], nil)
        // Again where somebody has trimmed meanwhile.
        for _ in 0..<5 {
            guard let state = try inspector.states([partition]).first, state != before else { break }
            before = state
            found = try TakingBack(self, client, levels, isByHand: false).strangers(state)
            if found.isEmpty { break }
        }
        return found
    }

    private func recover(_ partitions: [Int], byHand: Bool) throws(LogFailure) -> [PartitionLoss] {
        // Its own client asks nobody what is known: that is what it is there to find out.
        let client = RedisClient(location, options: options, epoch: epoch, name: "reel/recovery")
        var losses: [PartitionLoss] = []
        let inspector = PartitionInspector(client: client)
        for state in try inspector.states(partitions) {
            let recovery = TakingBack(self, client, levels, isByHand: byHand)
            var loss = try recovery.run(state)
            // Somebody else may have archived meanwhile, or taken the same back.
            var (now, tries) = (state, 0)
            while loss != nil, tries < 5, let next = try inspector.states([state.partition]).first,
                next != now
            {
                (now, tries) = (next, tries + 1)
                loss = try recovery.run(now)
            }
            if let loss { losses.append(loss) }
        }
        return losses
    }
}

/// Taking back the events of one partition. One thread.
final class TakingBack {
    let owner: PartitionRecovery
    let client: RedisClient
    private let store: RedisEventStore
    private let isByHand: Bool
    private var decoder = EntryDecoder()

    /// Events that are put back in one call.
    private static let eventsPerCall = 100

    fileprivate init(
        _ owner: PartitionRecovery, _ client: RedisClient, _ levels: LevelWatch, isByHand: Bool
    ) {
        self.owner = owner
        self.client = client
        self.isByHand = isByHand
        store = RedisEventStore(client, epoch: owner.epoch, owner.partitioning, levels, owner.archive)
    }

    /// - Returns: what can't be taken back; nil when there was nothing, or all of it was.
    fileprivate func run(_ state: PartitionState) throws(LogFailure) -> PartitionLoss? {
        var state = state
        let names: [SegmentName]
        do throws(SegmentFailure) { names = try owner.archive.names(state.partition) } catch {
            // Without the archive nothing can be taken back, and nothing else depends on it here.
            if case .storage(transient: true) = error.kind { throw error.asLogFailure("take back") }
            return nil
        }
        if !state.findings.isEmpty {
            guard let mended = try mend(state, names) else { return nil }
            state = mended
        }
        let open = names.filter { $0.last > state.through }
        guard let newest = open.map(\.last).max() else { return nil }
        if newest > state.end, owner.options.onlyLooks || !owner.archive.hasKey {
            var loss = loss(
                state,
                "the archive has events up to \(newest.entryID) that are not in it; 'reel up', or 'reel serve' "
                    + "with a role that has the keys, takes them back")
            loss.isLocal = true
            return loss
        }
        guard isByHand else { return try takeBack(open, state, believing: .vouched) }
        // What somebody vouches for comes first; the rest only goes on from there.
        _ = try takeBack(open, state, believing: .vouched)
        guard let now = try PartitionInspector(client: client).states([state.partition]).first else {
            return nil
        }
        return try takeBack(open, now, believing: .all)
    }

    /// Which of the segments that go beyond the log's end are believed.
    private enum Belief {
        case vouched, all
    }

    private func loss(_ state: PartitionState, _ text: String) -> PartitionLoss {
        PartitionLoss(
            partition: state.partition, text: "it ends at \(state.end.entryID), and \(text)", missing: nil)
    }

    // MARK: - What the archive has

    /// Goes along the segments that are not trimmed in the log yet, each joining one before it, and puts back
    /// what of them the log lacks behind its end: as far as a way leads that is to be believed, whatever
    /// stands beyond.
    private func takeBack(
        _ names: [SegmentName], _ state: PartitionState, believing belief: Belief
    ) throws(LogFailure) -> PartitionLoss? {
        let way = try way(along: names, state, believing: belief)
        var (reached, end, taken) = (state.through, state.end, 0)
        for link in way.path {
            let events: [RecordedEvent]
            do throws(SegmentFailure) { events = try segment(link).filter { $0.position > reached } } catch {
                if case .storage(transient: true) = error.kind { throw error.asLogFailure("take back") }
                return unknown(state, "the segment that follows in the archive cannot be read: \(error)")
            }
            let there = try entries(after: reached, through: link.name.last)
            if let text = contradiction(events, there, upTo: end) { return loss(state, text) }
            reached = link.name.last
            let missing = events.filter { $0.position > end }
            guard !missing.isEmpty else { continue }
            do throws(LogFailure) {
                if let text = try putBack(missing, behind: end, state) { return loss(state, text) }
            } catch {
                // Nobody may append there before it is done, whoever has to make room or to allow it.
                guard error.kind == .refusingWrites || error.remedy == .operators else { throw error }
                return loss(
                    state,
                    "the events behind that are in the archive and can't be taken back now: \(error.text)")
            }
            taken += missing.count
            end = reached
        }
        if taken > 0 { owner.options.notify(.takenBack(state.partition, events: taken, from: state.end)) }
        var now = state
        now.end = end
        return try rest(names, way, now)
    }

    /// A loss of which only something says that there is more, which cannot be believed as it stands.
    private func unknown(_ state: PartitionState, _ text: String) -> PartitionLoss {
        var loss = loss(state, text)
        loss.isKnown = false
        return loss
    }

    /// The entries of a segment that was found by its hash.
    func segment(_ link: SegmentLink) throws(SegmentFailure) -> [RecordedEvent] {
        let (found, events) = try owner.archive.waiting(link.name)
        guard found == link else {
            throw SegmentFailure(
                .damaged, segment: "\(link.name)", text: "it is another one than a moment before")
        }
        return events
    }

    private func ends(of state: PartitionState) throws(LogFailure) -> [LogPosition: String] {
        var hashes = [LogPosition.start(of: state.partition): ""]
        hashes[state.through] = state.hash
        let records = try client.archiveRecords(of: state.partition, from: 0).records
        var chain = SegmentChain(partition: state.partition)
        chain.append(records, through: state.through)
        // The records are believed as far as they lead to what the log names.
        if chain.anchor.hash == state.hash { for link in chain.links { hashes[link.name.last] = link.hash } }
        return hashes
    }

    /// Where segments lead, and what does not lead on.
    private struct Way {
        /// Those that lead from where the log's archive ends as far as there is one to be believed.
        var path: [SegmentLink] = []
        /// Why others are not believed, or lead nowhere.
        var doubts: [SegmentName: String] = [:]
        var obstacles: [SegmentName: String] = [:]
        /// Those that nobody but the archiver can have left.
        var vouched: Set<SegmentName> = []
        /// What kept one from being read that may be read later.
        var transient: [SegmentName: SegmentFailure] = [:]
    }

    /// The segments that lead from where the log's archive ends as far as the archive goes. Of those that go
    /// beyond the log's end, only such as are to be believed: an archiver that died, or woke up late, leaves
    /// segments that nobody vouches for.
    private func way(
        along names: [SegmentName], _ state: PartitionState, believing belief: Belief
    ) throws(LogFailure) -> Way {
        var paths = SegmentPaths(from: try ends(of: state))
        var way = Way()
        // Those that begin earlier first: what a segment goes on from is known when its turn comes.
        for name in names.sorted() {
            let link: SegmentLink
            let isVouched: Bool?
            do throws(SegmentFailure) {
                link = try owner.archive.link(of: name)
                isVouched = try owner.archive.isVouched(link)
            } catch {
                way.obstacles[name] = "the segment that follows in the archive cannot be read: \(error)"
                if case .storage(transient: true) = error.kind { way.transient[name] = error }
                continue
            }
            if isVouched == true { way.vouched.insert(name) }
            if belief == .vouched, name.last > state.end, isVouched != true {
                way.doubts[name] = doubt(link, isVouched)
            } else if paths.reach(name.after), !paths.add(link) {
                way.obstacles[name] =
                    "the segment \(name) of the archive does not join: it names another one before it than the "
                    + "log does"
            }
        }
        way.path = paths.reached.last.map(paths.path) ?? []
        return way
    }

    /// What of the segments beside the way the log does not have; nil when it has all of it.
    /// - Parameter state: of the log, with what was put back.
    private func rest(
        _ names: [SegmentName], _ way: Way, _ state: PartitionState
    ) throws(LogFailure) -> PartitionLoss? {
        let reached = way.path.last?.name.last ?? state.through
        let path = Set(way.path.map(\.name))
        var beyond: [SegmentName] = []
        for name in names.sorted() where !path.contains(name) {
            // Of a log that was archived in other segments before it was put back, or of two archivers at
            // once, and all of it is in the log.
            if name.last <= state.end, way.transient[name] == nil, try !isStranger(name, state) { continue }
            // What the way has passed is the log's, unless somebody vouches for something else.
            if name.last <= reached {
                guard way.vouched.contains(name) else { continue }
                return loss(
                    state, "it contradicts the archive, whose segment \(name) it once held; nothing is merged"
                )
            }
            if let failure = way.transient[name] { throw failure.asLogFailure("take back") }
            beyond.append(name)
        }
        if beyond.isEmpty { return nil }
        return unknown(
            state,
            beyond.compactMap { way.doubts[$0] }.first ?? beyond.compactMap { way.obstacles[$0] }.first
                ?? "the archive goes on, and no segment joins where the log's archive ends, at "
                + reached.entryID)
    }

    /// Segments that are not trimmed in the log yet and hold what it does not.
    fileprivate func strangers(_ state: PartitionState) throws(LogFailure) -> [SegmentName] {
        let names: [SegmentName]
        do throws(SegmentFailure) { names = try owner.archive.names(state.partition) } catch {
            throw error.asLogFailure("set aside")
        }
        var strangers: [SegmentName] = []
        for name in names where name.last > state.through {
            if try isStranger(name, state) { strangers.append(name) }
        }
        return strangers
    }

    private func isStranger(_ name: SegmentName, _ state: PartitionState) throws(LogFailure) -> Bool {
        let events: [RecordedEvent]
        do throws(SegmentFailure) { events = try owner.archive.waiting(name).events } catch {
            if case .storage(transient: true) = error.kind { throw error.asLogFailure("compare") }
            return true
        }
        let there = try entries(after: max(name.after, state.through), through: name.last)
        return there.map(\.event) != events.filter { $0.position > state.through }
    }

    /// Why a segment that goes beyond the log's end, and that nobody vouches for, is not believed.
    private func doubt(_ link: SegmentLink, _ isVouched: Bool?) -> String {
        "the segment \(link.name) of the archive goes on from there, and "
            + (isVouched == false
                ? "is not the one that was vouched for: somebody has put it there"
                : "nobody with a key has vouched for it; 'reel partitions lift --from-archive' takes it back all "
                    + "the same")
    }

    /// What of the log is not what the archive has; nil when they agree up to the log's end.
    private func contradiction(
        _ archived: [RecordedEvent], _ there: [Entry], upTo end: LogPosition
    ) -> String? {
        var rest = there[...]
        for event in archived where event.position <= end {
            let entry = rest.popFirst()
            if let entry, entry.event == event { continue }
            var what = "goes on to \(end.entryID) without it"
            if let entry {
                what =
                    "has \(entry.event.map { "\($0.type) of \($0.partitionKey)" } ?? "something else") at "
                    + entry.position.entryID
            }
            return "it contradicts the archive: the archive has \(event.type) of \(event.partitionKey) at "
                + "\(event.position.entryID), and the log \(what). One was written over the other; nothing is "
                + "merged"
        }
        guard let entry = rest.first else { return nil }
        return
            "it contradicts the archive: the log has \(entry.position.entryID), where the archive has nothing. "
            + "One was written over the other; nothing is merged"
    }

    private struct Entry {
        let position: LogPosition
        /// Nil when it cannot be read.
        let event: RecordedEvent?
    }

    private func entries(after: LogPosition, through: LogPosition) throws(LogFailure) -> [Entry] {
        let key = LogKeys.log(after.partition)
        var entries: [Entry] = []
        while true {
            var commands = CommandBuffer()
            let from = entries.last?.position ?? after
            commands.command("XRANGE", key, "(" + from.entryID, through.entryID, "COUNT", "1000")
            var count = 0
            try client.pipeline("take back", key, commands) { _, reply throws(LogFailure) in
                count = reply.count
                try reply.forEach { entry throws(LogFailure) in
                    let position = try EntryCoding.position(
                        entry[0], partition: after.partition, operation: "take back")
                    entries.append(Entry(position: position, event: readable(entry, after.partition)))
                }
            }
            if count < 1000 { return entries }
        }
    }

    private func readable(_ entry: ReplyView, _ partition: Int) -> RecordedEvent? {
        do throws(LogFailure) {
            return try decoder.decode(entry, partition: partition, operation: "take back")
        } catch { return nil }
    }

    // MARK: - Putting back

    /// - Returns: why it can't be; nil when it is done.
    private func putBack(
        _ events: [RecordedEvent], behind end: LogPosition, _ state: PartitionState
    ) throws(LogFailure) -> String? {
        var (end, rest) = (end, events[...])
        while !rest.isEmpty {
            let some = Array(rest.prefix(Self.eventsPerCall))
            rest = rest.dropFirst(some.count)
            for key in Set(some.map(\.partitionKey)) { try store.bringBack(key, in: state.partition) }
            let reply = try call(some, behind: end, state)
            switch reply.elements.first?.integer {
            case 0: end = some.last?.position ?? end
            case 2:
                // Somebody else takes the same back, or has appended: the next look tells.
                throw LogFailure(
                    .timedOut, operation: "take back", key: LogKeys.log(state.partition),
                    text: "the partition changed meanwhile")
            case 5: return "\(reply.elements.last?.text ?? "its indexes are damaged")"
            default:
                let facts = reply.elements
                let (key, version) =
                    facts.count > 2 ? (facts[1].text ?? "", facts[2].quantity ?? 0) : ("", 0)
                return
                    "the archive goes on with an event of \(key) that does not follow what the log has of it, "
                    + "which is \(version) events"
            }
        }
        return nil
    }

    private func call(
        _ events: [RecordedEvent], behind end: LogPosition, _ state: PartitionState
    ) throws(LogFailure) -> Reply {
        let partition = state.partition
        var places: [String: Int] = [:]
        var keys = [LogKeys.log(partition), LogKeys.ranks(partition), LogKeys.archive(partition)]
        for event in events where places[event.partitionKey] == nil {
            places[event.partitionKey] = places.count + 1
            keys += [
                LogKeys.index(partition, event.partitionKey), LogKeys.ids(partition, event.partitionKey),
            ]
        }
        var commands = CommandBuffer()
        let width = EntryCoding.argumentsPerEvent + 4
        commands.begin(3 + keys.count + 3 + events.count * width)
        commands.beginCall("reel_take_back", keys: keys.count)
        for key in keys { commands.add(key) }
        commands.add(end.entryID)
        commands.add(state.through.entryID)
        commands.add(events.count)
        for event in events {
            commands.add(places[event.partitionKey] ?? 0)
            commands.add(event.partitionKey)
            commands.add(event.position.entryID)
            commands.add(String(event.sequence))
            EntryCoding.encode(event.event, into: &commands)
        }
        var reply = Reply.null
        try client.pipeline("take back", LogKeys.log(partition), commands) { _, view in reply = Reply(view) }
        return reply
    }
}

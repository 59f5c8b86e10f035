internal import Base
internal import EventSourcing

/// A member of a consumer group over all partitions, for one thread.
final class RedisCompetingSubscription: CompetingSubscription {
    let client: RedisClient
    let partitioning: Partitioning
    let group: String
    let consumer: ConsumerName
    let types: Set<String>

    var book = DeliveryRegistry()
    /// Entries to acknowledge with the next command: effects are durable, or the type is not ours.
    var acknowledgements: [LogPosition] = []
    /// Entries that may have a count of failed tries: tried here, or delivered before.
    private var tried: Set<LogPosition> = []
    /// Entries that were fetched, and of which nobody knows yet that replicas have them.
    private var unconfirmed: Set<LogPosition> = []
    /// Partitions of which nothing more is fetched until replicas have what was fetched.
    private var heldBack: Set<Int> = []
    /// Milliseconds between two looks at what replicas did not have, and how long each waits for them.
    private static let (probeMilliseconds, probeWaitMilliseconds) = (200, 20)
    private var nextProbe = 0
    var commands = CommandBuffer()
    var schedule: SurveySchedule
    private var rotation: StreamRotation
    private var joinedGeneration = 0
    private var groupsKnown = false
    private let liftings: Int
    private var decoder = EntryDecoder()

    init(
        _ client: RedisClient, _ partitioning: Partitioning, group: String, consumer: ConsumerName,
        types: Set<String>
    ) throws(LogFailure) {
        self.client = client
        self.partitioning = partitioning
        self.group = group
        self.consumer = consumer
        self.types = types
        liftings = client.history?.liftings ?? 0
        rotation = StreamRotation(partitions: partitioning.count, member: consumer.number)
        schedule = SurveySchedule(
            surveyMilliseconds: client.options.surveyMilliseconds,
            processingMilliseconds: client.options.processingMilliseconds)
        _ = try createGroups()
        groupsKnown = true
    }

    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [Delivery] {
        let limit = max(1, limit)
        let deadline = monotonicMilliseconds() + min(max(waitMilliseconds, 0), 1000)
        if waitMilliseconds <= 0 { rotation.restart() }
        var reads = 0
        while true {
            try client.history?.requireSame(liftings, "read group", group)
            do throws(LogFailure) {
                if !groupsKnown { try recreateGroups() }
                if client.generation != joinedGeneration { try readOwnPending() }
                try probe()
                try survey(room: limit - book.available(at: monotonicMilliseconds()))
                let now = monotonicMilliseconds()
                let room = limit - book.available(at: now)
                if room > 0 {
                    // Something is there already: look for more, but do not wait for it.
                    let wait = room < limit ? 0 : deadline - now
                    if !(rotation.isQuiet && wait <= 0) { try fetch(room: room, waitMilliseconds: wait) }
                    reads += 1
                }
            } catch {
                if error.kind == .otherLog { forgetUnsettled() }
                guard error.kind == .noGroup, reads < 100 else { throw error }
                groupsKnown = false
                reads += 1
                continue
            }
            let now = monotonicMilliseconds()
            let available = book.available(at: now)
            if available >= limit || (available > 0 && (rotation.isQuiet || reads >= 4))
                || (available == 0 && rotation.isQuiet && now >= deadline)
            {
                let deliveries = try confirmed(book.take(limit, at: now))
                client.history?.witness(deliveries.lazy.map(\.event.position), liftings: liftings)
                return deliveries
            }
        }
    }

    /// Those deliveries that as many replicas as an append needs have. The others are withheld; what another
    /// server that has taken over lacks was never delivered.
    private func confirmed(_ deliveries: [Delivery]) throws(LogFailure) -> [Delivery] {
        let asked = deliveries.filter { unconfirmed.contains($0.event.position) }
        guard !asked.isEmpty else { return deliveries }
        for delivery in asked where heldBack.contains(delivery.event.position.partition) {
            book.withhold(delivery)
        }
        let positions = asked.map(\.event.position).filter { !heldBack.contains($0.partition) }
        do throws(LogFailure) {
            let confirmation = try client.confirm(positions, "read group")
            settle(confirmation, of: positions)
            for delivery in asked where confirmation.unconfirmed.contains(delivery.event.position.partition) {
                book.withhold(delivery)
            }
        } catch {
            let handedOut = deliveries.filter { book.isHandedOut($0.event.position) }
            for delivery in handedOut { book.withhold(delivery) }
            for partition in Set(handedOut.map(\.event.position.partition)) { book.release(partition) }
            throw error
        }
        return deliveries.filter { book.isHandedOut($0.event.position) }
    }

    /// Looks whether replicas have what is withheld: all of it at once, seldom, and without waiting long.
    private func probe() throws(LogFailure) {
        let now = monotonicMilliseconds()
        guard !heldBack.isEmpty, now >= nextProbe else { return }
        nextProbe = now + Self.probeMilliseconds
        let positions = Array(book.withheldPositions)
        // What is withheld may have gone to another member.
        heldBack.formIntersection(positions.map(\.partition))
        settle(try client.confirm(positions, "read group", within: Self.probeWaitMilliseconds), of: positions)
    }

    private func settle(_ confirmation: ReadConfirmation, of positions: [LogPosition]) {
        for position in positions {
            if confirmation.gone.contains(position.partition) {
                forget(position)
                // The new server may have some of it in this member's name.
                joinedGeneration = -1
            } else if confirmation.covers(position.partition) {
                unconfirmed.remove(position)
            }
        }
        for partition in Set(positions.map(\.partition)).subtracting(confirmation.unconfirmed) {
            heldBack.remove(partition)
            book.release(partition)
        }
        heldBack.formUnion(confirmation.unconfirmed)
    }

    /// Forgets an entry that is settled, or somebody else's.
    func forget(_ position: LogPosition) {
        book.remove(position)
        unconfirmed.remove(position)
    }

    /// Drops what was fetched and not handed out, and what was to be acknowledged: some of it may have come
    /// from the log that stands in this one's place. What is of this log is pending still, and is read again
    /// once it is back.
    private func forgetUnsettled() {
        for position in book.waiting { forget(position) }
        acknowledgements.removeAll()
    }

    func acknowledge(_ positions: [LogPosition]) throws(LogFailure) {
        // Remembered before it is sent: when the connection dies now, the next command carries them.
        acknowledgements.append(contentsOf: positions)
        for position in positions { forget(position) }
        commands.removeAll()
        forgetTries(of: positions)
        try run("acknowledge") { _, _ in }
    }

    func countTry(of delivery: Delivery) throws(LogFailure) -> Int {
        let position = delivery.event.position
        tried.insert(position)
        let key = LogKeys.tries(position.partition, group)
        return try client.countTry(key, of: position)
    }

    /// Adds what removes the counts of entries that are done with.
    private func forgetTries(of positions: [LogPosition]) {
        guard !tried.isEmpty else { return }
        for position in positions where tried.remove(position) != nil {
            commands.command("HDEL", LogKeys.tries(position.partition, group), position.entryID)
        }
    }

    func retry(_ delivery: Delivery, afterMilliseconds: Int) throws(LogFailure) {
        book.delay(delivery, until: monotonicMilliseconds() + max(0, afterMilliseconds))
    }

    func park(_ delivery: Delivery, _ reason: ParkedReason) throws(LogFailure) {
        let record = ParkedEvent(delivery.event, group: group, reason: reason)
        try park(record)
        forget(delivery.event.position)
        commands.removeAll()
        tried.insert(delivery.event.position)
        forgetTries(of: [delivery.event.position])
        try run("park") { _, _ in }
    }

    func park(_ record: ParkedEvent) throws(LogFailure) {
        let position = record.position
        _ = try client.call(
            "park", "\(position)", "reel_park",
            [LogKeys.log(position.partition), LogKeys.parked(position.partition, group)],
            [group, position.entryID, record.json, consumer.description])
    }

    /// Runs what is in `commands`, the outstanding acknowledgements before it, in one round trip.
    func run(
        _ operation: String, _ body: (Int, ReplyView) throws(LogFailure) -> Void
    ) throws(LogFailure) {
        guard !acknowledgements.isEmpty else {
            return try client.pipeline(operation, group, commands, body)
        }
        var all = CommandBuffer()
        let sent = acknowledgements.count
        var byPartition: [Int: [LogPosition]] = [:]
        for position in acknowledgements { byPartition[position.partition, default: []].append(position) }
        for (partition, positions) in byPartition {
            all.begin(3 + positions.count)
            all.add("XACK")
            all.add(LogKeys.log(partition))
            all.add(group)
            for position in positions { all.add(position.entryID) }
        }
        let before = all.count
        all.append(commands)
        try client.pipeline(operation, group, all) { index, reply throws(LogFailure) in
            if index >= before { try body(index - before, reply) }
        }
        acknowledgements.removeFirst(sent)
    }

    /// Takes in one entry that is now pending for this member.
    func accept(
        _ entry: ReplyView, partition: Int, attempt: Int, malformed: inout [UnreadableEntry]
    ) throws(LogFailure) {
        let position = try EntryCoding.position(entry[0], partition: partition, operation: "read group")
        do throws(LogFailure) {
            let event = try decoder.decode(entry, partition: partition, operation: "read group")
            if types.contains(event.type) {
                if attempt > 1 { tried.insert(position) }
                let isNews = book.offer(Delivery(event: event, attempt: attempt))
                if isNews, client.confirmsReads { unconfirmed.insert(position) }
            } else {
                acknowledgements.append(position)
            }
        } catch {
            malformed.append(UnreadableEntry(position: position, text: error.text, entry: Reply(entry)))
        }
    }

    /// Sets aside entries that cannot be read: they would come back for ever.
    func setAside(_ malformed: [UnreadableEntry]) throws(LogFailure) {
        for entry in malformed {
            let reason = entry.reason(stage: group, attempts: 0, time: SystemClock().now())
            try park(ParkedEvent(entry, group: group, reason: reason))
            client.options.notify(.entryMalformed(group: group, entry.position, entry.text))
        }
    }

    /// Acknowledges entries that are pending and no longer in the log: unless they were lost, so that their
    /// partition halts.
    func dismiss(_ missing: [LogPosition]) throws(LogFailure) {
        guard !missing.isEmpty else { return }
        try client.requireWhole(Set(missing.map(\.partition)).sorted(), "read group")
        for position in missing {
            acknowledgements.append(position)
            forget(position)
            client.options.notify(.entryMissing(group: group, position))
        }
    }

    private func fetch(room: Int, waitMilliseconds: Int) throws(LogFailure) {
        let read = rotation.next(room: room)
        let partitions: [Int]
        let count: Int
        var block: Int?
        switch read {
        case .window(let window, let each): (partitions, count) = (window, each)
        case .wait(let all, let each):
            let now = monotonicMilliseconds()
            let probe = heldBack.isEmpty ? Int.max : nextProbe
            let due = min(book.nextDue ?? Int.max, schedule.nextSurvey, probe)
            (partitions, count) = (all, each)
            block = max(1, min(waitMilliseconds, due - now, 1000))
        }
        let intact = (client.history?.intact(partitions) ?? partitions).filter { !heldBack.contains($0) }
        guard !intact.isEmpty else {
            pause(milliseconds: block ?? 0)
            return rotation.finished(read, entries: 0)
        }
        let together = client.readsStreamsTogether
        let command = StreamRead(words: words, count: count, wait: block)
        var poll = PollPause(waitMilliseconds: together ? 0 : block ?? 0, streams: intact.count)
        var entries = 0
        var malformed: [UnreadableEntry] = []
        repeat {
            commands.removeAll()
            command.encode(intact.map { ($0, ">") }, together: together, into: &commands)
            let reads = commands.count
            commands.command("HGET", LogKeys.meta, "epoch")
            try run("read group") { index, reply throws(LogFailure) in
                guard index < reads else { return try self.client.requireEpoch(reply, "read group") }
                try reply.forEach { stream throws(LogFailure) in
                    let partition = try self.partition(of: stream)
                    try stream[1]?.forEach { entry throws(LogFailure) in
                        entries += 1
                        try self.accept(entry, partition: partition, attempt: 1, malformed: &malformed)
                    }
                }
            }
        } while entries == 0 && poll.again()
        rotation.finished(read, entries: entries)
        try setAside(malformed)
    }

    private var words: [String] { ["XREADGROUP", "GROUP", group, consumer.description] }

    private func partition(of stream: ReplyView) throws(LogFailure) -> Int {
        guard let partition = stream[0]?.string.flatMap(LogKeys.partition(of:)) else {
            throw LogFailure(.corrupt, operation: "read group", key: group, text: "an unknown stream")
        }
        return partition
    }

    /// What is pending under this member's name and not known here: replies that were lost with a connection.
    /// Looked at without being delivered again: that would be counted, and this may come often.
    private func readOwnPending() throws(LogFailure) {
        let pageSize = 100
        var cursors = Dictionary(uniqueKeysWithValues: (0..<partitioning.count).map { ($0, "-") })
        var generation = joinedGeneration
        while !cursors.isEmpty {
            let page = client.history?.intact(cursors.keys.sorted()) ?? cursors.keys.sorted()
            guard !page.isEmpty else { break }
            commands.removeAll()
            for partition in page {
                commands.command(
                    "XPENDING", LogKeys.log(partition), group, cursors[partition] ?? "-", "+",
                    String(pageSize),
                    consumer.description)
            }
            for partition in cursors.keys where !page.contains(partition) { cursors[partition] = nil }
            var found: [(position: LogPosition, deliveries: Int)] = []
            try run("read own pending") { index, reply throws(LogFailure) in
                try reply.forEach { entry throws(LogFailure) in
                    let position = try EntryCoding.position(
                        entry[0], partition: page[index], operation: "read own pending")
                    cursors[page[index]] = "(" + position.entryID
                    if !self.book.knows(position) { found.append((position, entry[3]?.quantity ?? 1)) }
                }
                if reply.count < pageSize { cursors[page[index]] = nil }
            }
            generation = client.generation
            try recover(found)
        }
        joinedGeneration = generation
    }

    /// Fetches pending entries of this member.
    private func recover(_ found: [(position: LogPosition, deliveries: Int)]) throws(LogFailure) {
        guard !found.isEmpty else { return }
        commands.removeAll()
        for (position, _) in found {
            commands.command("XRANGE", LogKeys.log(position.partition), position.entryID, position.entryID)
        }
        var missing: [LogPosition] = []
        var malformed: [UnreadableEntry] = []
        try run("read own pending") { index, reply throws(LogFailure) in
            let (position, deliveries) = found[index]
            tried.insert(position)
            guard let entry = reply[0] else { return missing.append(position) }
            try self.accept(
                entry, partition: position.partition, attempt: deliveries +| 1, malformed: &malformed)
        }
        try dismiss(missing)
        try setAside(malformed)
        try showWaiting()
    }

    /// Creates the group where it is missing, at the start of the log: nothing is skipped. Looked at first,
    /// because a server at its maxmemory takes no new group, and works with those that there are.
    private func createGroups() throws(LogFailure) -> Int {
        let missing = try partitionsWithoutGroup()
        guard !missing.isEmpty else { return 0 }
        commands.removeAll()
        for partition in missing {
            commands.command("XGROUP", "CREATE", LogKeys.log(partition), group, "0", "MKSTREAM")
        }
        var created = 0
        try client.pipeline("create group", group, commands, accepting: { $0.hasPrefix("BUSYGROUP") }) {
            _, reply in
            if reply.errorText == nil { created += 1 }
        }
        return created
    }

    private func partitionsWithoutGroup() throws(LogFailure) -> [Int] {
        commands.removeAll()
        for partition in 0..<partitioning.count {
            commands.command("XINFO", "GROUPS", LogKeys.log(partition))
        }
        commands.command("HGET", LogKeys.meta, "epoch")
        var missing: [Int] = []
        try client.pipeline("look for group", group, commands, accepting: HistoryCheck.missingKey) {
            partition, reply throws(LogFailure) in
            guard partition < self.partitioning.count else {
                // In another log there is nothing of ours, and nothing is made there.
                return try self.client.requireEpoch(reply, "look for group")
            }
            var isThere = false
            reply.forEach { if $0[1]?.string == self.group { isThere = true } }
            if !isThere { missing.append(partition) }
        }
        return missing
    }

    private func recreateGroups() throws(LogFailure) {
        let created = try createGroups()
        groupsKnown = true
        rotation.restart()
        if created > 0 { client.options.notify(.groupRecreated(group: group, partitions: created)) }
    }
}

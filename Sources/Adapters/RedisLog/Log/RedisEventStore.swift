internal import Base
internal import EventSourcing

/// The log in Redis, for one thread.
final class RedisEventStore: EventStore {
    let partitioning: Partitioning
    var level: FormatLevel { levels.level }
    private let levels: LevelWatch
    private let client: RedisClient
    private let epoch: String
    private let archive: ArchiveAccess
    private var isInspected = false
    /// The client's generation when it read last.
    private var readGeneration = 0
    private var commands = CommandBuffer()
    private var decoder = EntryDecoder()

    /// Bytes that leave in one pipeline; more are sent in several, so that neither side buffers it all.
    private static let bytesPerPipeline = 4 << 20

    init(
        _ client: RedisClient, epoch: String, _ partitioning: Partitioning, _ levels: LevelWatch,
        _ archive: Archive?
    ) {
        self.levels = levels
        self.client = client
        self.epoch = epoch
        self.partitioning = partitioning
        self.archive = ArchiveAccess(client, archive)
    }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        for batch in batches { try batch.requireWithinLimits(partitioning) }
        try requireSuitable(batches)
        let liftings = client.history?.liftings ?? 0
        try requireIntact(batches)
        var answers: [Answer?] = Array(repeating: nil, count: batches.count)
        try send(Array(batches.indices), batches, &answers)
        let generation = client.generation
        // The server knows nothing of some keys: they are looked up in the archive, and asked again.
        var tries = 0
        while true {
            let unknown = answers.indices.filter { answers[$0]?.isUnsettled == true }
            if unknown.isEmpty { break }
            tries += 1
            guard tries < 100 else {
                throw LogFailure(
                    .timedOut, operation: "append", key: batches[unknown[0]].partitionKey,
                    text: "the archive changed at every look")
            }
            try begin(unknown.filter { answers[$0]?.evicted == nil }, batches)
            try lookUp(unknown.filter { answers[$0]?.evicted != nil }, batches, answers)
            try send(unknown, batches, &answers)
        }
        var outcomes: [AppendOutcome] = []
        outcomes.reserveCapacity(batches.count)
        for (batch, answer) in zip(batches, answers) {
            if let answer { outcomes.append(try outcome(of: batch, answer)) }
        }
        let appended = outcomes.compactMap {
            if case .appended(let events) = $0 { events.last?.position } else { nil }
        }
        // After a reconnect nobody knows which server has confirmed what.
        if client.generation == generation { client.remember(appended) }
        client.history?.witness(appended, liftings: liftings)
        return outcomes
    }

    /// Refuses appends to a server whose settings have changed so that it may lose them.
    private func requireSuitable(_ batches: [AppendBatch]) throws(LogFailure) {
        if client.options.onlyLooks, !isInspected {
            // Whoever opened the log to look has not looked at this.
            _ = client.history?.note(objection: try ServerSettings.weakest(client).objection)
            isInspected = true
        }
        guard let objection = client.history?.objection else { return }
        throw LogFailure(
            .unsuitable, operation: "append", key: batches.first?.partitionKey ?? "\(client.address)",
            text: objection)
    }

    private func requireIntact(_ batches: [AppendBatch]) throws(LogFailure) {
        guard let history = client.history, history.hasHalted else { return }
        for batch in batches {
            try history.requireIntact(partitioning.partition(of: batch.partitionKey), "append")
        }
    }

    /// Sends some of the batches in as many pipelines as their size takes.
    private func send(
        _ indexes: [Int], _ batches: [AppendBatch], _ answers: inout [Answer?]
    ) throws(LogFailure) {
        var rest = AppendCall.group(indexes, batches, partitioning)[...]
        while !rest.isEmpty {
            commands.removeAll()
            var sent: [AppendCall] = []
            while let call = rest.first, commands.bytes.count < Self.bytesPerPipeline {
                call.encode(batches, epoch: epoch, looked: { answers[$0]?.evicted }, into: &commands)
                sent.append(call)
                rest.removeFirst()
            }
            if client.confirmsReads {
                // An append that finds its events there writes nothing, and nothing would be waited for.
                for partition in Set(sent.map(\.partition)).sorted() {
                    commands.run(
                        .confirm, [LogKeys.confirmation(partition), LogKeys.log(partition)], ["0-0"])
                }
            }
            var losses: [PartitionLoss] = []
            try client.pipeline("append", "\(client.address)", commands, confirming: true) {
                offset, reply throws(LogFailure) in
                guard offset < sent.count else { return }
                let call = sent[offset]
                for (place, index) in call.batches.enumerated() {
                    let answer = try self.answer(to: batches[index], call.partition, reply[place])
                    if case .damaged(let text) = answer {
                        losses.append(PartitionLoss(partition: call.partition, text: text, missing: nil))
                    }
                    answers[index] = answer
                }
            }
            guard let loss = losses.first else { continue }
            try client.halt(losses)
            try client.history?.requireIntact(loss.partition, "append")
            throw LogFailure(.lostHistory, operation: "append", key: "\(client.address)", text: loss.text)
        }
    }

    /// Brings back from the archive what it has of the keys of some batches.
    private func lookUp(
        _ indexes: [Int], _ batches: [AppendBatch], _ answers: [Answer?]
    ) throws(LogFailure) {
        if indexes.isEmpty { return }
        try archive.ask(
            Set(indexes.map { partitioning.partition(of: batches[$0].partitionKey) }).sorted(), "append")
        var looked: Set<String> = []
        for index in indexes where looked.insert(batches[index].partitionKey).inserted {
            let key = batches[index].partitionKey
            let partition = partitioning.partition(of: key)
            let (version, fields) = try archive.idFields(key, in: partition)
            guard version > 0, let evicted = answers[index]?.evicted else { continue }
            try restore(key, partition, evicted, version, fields)
        }
    }

    /// Says of the partitions of some batches, to which nobody has appended yet, that they belong to this
    /// log: unless the server was emptied, or is another one.
    private func begin(_ indexes: [Int], _ batches: [AppendBatch]) throws(LogFailure) {
        for partition in Set(indexes.map { partitioning.partition(of: batches[$0].partitionKey) }).sorted() {
            commands.removeAll()
            commands.command("HGET", LogKeys.meta, "epoch")
            try client.pipeline("append", LogKeys.meta, commands) { _, reply throws(LogFailure) in
                try self.client.requireEpoch(reply, "append")
            }
            let keys = [LogKeys.ranks(partition), LogKeys.archive(partition)]
            let reply = try client.call(
                "append", LogKeys.ranks(partition), "reel_begin",
                client.readsStreamsTogether ? keys + [LogKeys.meta] : keys, [epoch])
            guard reply.elements.first?.integer == 0 else {
                throw client.otherLog(found: reply.elements.last?.text ?? "", "append")
            }
        }
    }

    /// What the server says to an append.
    private enum Answer {
        case outcome(AppendOutcome)
        /// Some of the events that were present are archived: where they stand is to be found there.
        case archived([AppendedEvent])
        /// The server knows nothing of the partition key; its history may be archived.
        case unknown(evicted: Int)
        /// The partition does not say that it belongs to this log, and the partition key is new there.
        case unclaimed
        /// What the server has of the partition key is not whole.
        case damaged(String)

        /// Whether the same append has to be made again.
        var isUnsettled: Bool {
            switch self {
            case .outcome, .archived, .damaged: false
            case .unknown, .unclaimed: true
            }
        }

        /// The counter that a look into the archive has to be based on, where one is needed.
        var evicted: Int? {
            guard case .unknown(let evicted) = self else { return nil }
            return evicted
        }
    }

    /// The outcome of an answer; where archived events stand is asked of the archive.
    private func outcome(of batch: AppendBatch, _ answer: Answer) throws(LogFailure) -> AppendOutcome {
        let events: [AppendedEvent]
        switch answer {
        case .outcome(let outcome): return outcome
        case .archived(let found): events = found
        case .unknown, .unclaimed, .damaged: throw missing("append", batch.partitionKey, "no outcome")
        }
        let partition = partitioning.partition(of: batch.partitionKey)
        var settled = events
        for index in events.indices where events[index].position.milliseconds == 0 {
            let sequence = events[index].sequence
            let found = try archive.load(batch.partitionKey, in: partition, after: sequence -| 1, limit: 1)
            guard let event = found.first, event.sequence == sequence else {
                throw missing("append", batch.partitionKey, "sequence \(sequence) is not in the archive")
            }
            settled[index].position = event.position
        }
        return .appended(settled)
    }

    /// Brings version and ids of an evicted partition key back into the server.
    private func restore(
        _ key: String, _ partition: Int, _ evicted: Int, _ version: UInt64, _ fields: [[UInt8]]
    ) throws(LogFailure) {
        commands.removeAll()
        commands.begin(8 + fields.count)
        commands.beginCall("reel_restore", keys: 3)
        for word in [
            LogKeys.index(partition, key), LogKeys.ids(partition, key), LogKeys.ranks(partition),
            String(evicted), String(version),
        ] { commands.add(word) }
        for field in fields { commands.add(field) }
        // Whether it was this call or another one that did it makes no difference.
        try client.pipeline("restore", key, commands) { _, _ in }
    }

    /// Brings back version and ids of a partition key that the server knows nothing of, where the archive has
    /// all of its events.
    func bringBack(_ key: String, in partition: Int) throws(LogFailure) {
        guard try history(key, partition, after: 0, limit: 0, "restore").base == nil else { return }
        try archive.ask([partition], "restore")
        let (version, fields) = try archive.idFields(key, in: partition)
        guard version > 0 else { return }
        let ranks = LogKeys.ranks(partition)
        let evicted = try client.command("restore", ranks, ["ZSCORE", ranks, "evicted"])
        try restore(key, partition, 0 -| (evicted.integer ?? 0), version, fields)
    }

    private func missing(_ operation: String, _ key: String, _ text: String) -> LogFailure {
        LogFailure(.corrupt, operation: operation, key: key, text: text)
    }

    private func answer(
        to batch: AppendBatch, _ partition: Int, _ reply: ReplyView?
    ) throws(LogFailure) -> Answer {
        let detail = reply?[1]?.integer ?? 0
        switch reply?[0]?.integer {
        case 1: return .outcome(.conflict(actual: UInt64(clamping: detail)))
        case 2 where batch.events.indices.contains(detail -| 1):
            return .outcome(.idTaken(eventID: batch.events[detail - 1].id))
        case 3: return .outcome(.fenced(generation: UInt64(clamping: detail)))
        case 4: return .unknown(evicted: detail)
        case 6: return .unclaimed
        case 5:
            let text = reply?[1]?.string ?? ""
            return .damaged(ServerError.finding(in: text))
        case 0 where reply?.count == 1 + 2 * batch.events.count:
            var appended: [AppendedEvent] = []
            appended.reserveCapacity(batch.events.count)
            var isComplete = true
            for index in batch.events.indices {
                let sequence = reply?[1 + 2 * index]?.integer ?? 0
                var position = LogPosition.start(of: partition)
                if sequence < 0, reply?[2 + 2 * index]?.string == "" {
                    isComplete = false
                } else {
                    position = try EntryCoding.position(
                        reply?[2 + 2 * index], partition: partition, operation: "append")
                }
                appended.append(
                    AppendedEvent(
                        sequence: UInt64(sequence.magnitude), position: position, wasPresent: sequence < 0))
            }
            return isComplete ? .outcome(.appended(appended)) : .archived(appended)
        default:
            throw LogFailure(
                .corrupt, operation: "append", key: batch.partitionKey, text: "an unexpected answer")
        }
    }

    func load(_ partitionKey: String, after sequence: UInt64, limit: Int) throws(LogFailure)
        -> [RecordedEvent]
    {
        guard limit > 0, sequence < UInt64(Int.max) else { return [] }
        let partition = partitioning.partition(of: partitionKey)
        let history = try history(
            partitionKey, partition, after: sequence, limit: min(limit, 1 << 30), "load")
        guard let base = history.base else {
            return try archive.load(partitionKey, in: partition, after: sequence, limit: limit)
        }
        var events: [RecordedEvent] = []
        if sequence < base {
            events = try archive.load(
                partitionKey, in: partition, after: sequence, limit: min(limit, Int(base - sequence)))
            guard events.count == min(limit, Int(base - sequence)) else {
                throw .unreadable(
                    "load", archive.known(partition),
                    "the archive has \(partitionKey) up to sequence \(sequence + UInt64(events.count)) instead "
                        + "of \(base), which \(LogKeys.ids(partition, partitionKey)) says: what comes behind "
                        + "it is lost")
            }
        }
        let entries = history.entries.prefix(limit - events.count)
        let live = try load(partitionKey, partition, entries, after: max(sequence, base))
        try confirm(live.last?.position, "load")
        return events + live
    }

    /// Waits until replicas have what was read up to a position. Who only looks sees what there is.
    private func confirm(_ position: LogPosition?, _ operation: String) throws(LogFailure) {
        guard let position, client.options.confirmsReads, position > archive.known(position.partition),
            !client.isConfirmed(position, readAt: readGeneration)
        else { return }
        let confirmation = try client.confirm(CollectionOfOne(position), operation)
        guard !confirmation.isWhole else { return }
        throw LogFailure(
            .unconfirmed, operation: operation, key: "\(position)",
            text: confirmation.gone.isEmpty
                ? client.options.durability.shortfall(confirmation.replicas)
                : "it was read, and another server has taken over that lacks it")
    }

    /// Events of one partition key by their entries. Some may have been trimmed since the entries were read.
    private func load(
        _ key: String, _ partition: Int, _ entries: ArraySlice<String>, after sequence: UInt64
    ) throws(LogFailure) -> [RecordedEvent] {
        var events: [RecordedEvent] = []
        events.reserveCapacity(entries.count)
        var gone: [String] = []
        let log = LogKeys.log(partition)
        var rest = entries
        var next = sequence + 1
        while !rest.isEmpty {
            let page = Array(rest.prefix(1000))
            rest = rest.dropFirst(1000)
            commands.removeAll()
            for (offset, entry) in page.enumerated() {
                guard LogPosition(partition: partition, entryID: entry) != nil else {
                    throw LogFailure(
                        .corrupt, operation: "load", key: LogKeys.index(partition, key),
                        text: "it has something else where the entry id of sequence \(next + UInt64(offset)) "
                            + "belongs")
                }
                commands.command("XRANGE", log, entry, entry)
            }
            try client.pipeline("load", key, commands) { offset, reply throws(LogFailure) in
                defer { next += 1 }
                guard let entry = reply[0] else { return gone.append(page[offset]) }
                let event = try decoder.decode(entry, partition: partition, operation: "load")
                guard event.partitionKey == key, event.sequence == next else {
                    throw .unreadable(
                        "load", event.position,
                        "it is sequence \(event.sequence) of \(event.partitionKey), and stands for sequence "
                            + "\(next) of \(key) in \(LogKeys.index(partition, key))")
                }
                events.append(event)
            }
            readGeneration = client.generation
        }
        guard let last = gone.last else { return events }
        try archive.ask([partition], "load")
        let known = archive.known(partition)
        guard let position = LogPosition(partition: partition, entryID: last) else {
            throw missing("load", key, "\(last) is not an entry id")
        }
        if position > known {
            let lost = gone.compactMap { LogPosition(partition: partition, entryID: $0) }.first { $0 > known }
            try noteLoss(in: partition)
            throw .unreadable(
                "load", lost ?? position,
                "the stream \(log) lacks it, and \(LogKeys.index(partition, key)) has it")
        }
        let archived = try archive.load(key, in: partition, after: sequence, limit: gone.count)
        guard archived.count == gone.count, archived.last?.position == position else {
            throw missing("load", key, "entry \(last) of \(log) is neither there nor in the archive")
        }
        return archived + events
    }

    /// Halts a partition from which something is gone, unless that was accepted. Who reads goes on with what
    /// there is.
    private func noteLoss(in partition: Int) throws(LogFailure) {
        do throws(LogFailure) { try client.requireWhole([partition], "load") } catch {
            guard error.kind == .lostHistory else { throw error }
        }
    }

    /// What the server knows of a partition key: how many events only the archive has (nil when it may have
    /// all of them), the version, and entries.
    private func history(
        _ key: String, _ partition: Int, after sequence: UInt64, limit: Int, _ operation: String
    ) throws(LogFailure) -> (base: UInt64?, version: UInt64, entries: [String]) {
        commands.removeAll()
        commands.run(
            .history,
            [LogKeys.index(partition, key), LogKeys.ids(partition, key), LogKeys.ranks(partition)],
            [String(sequence), String(limit)])
        commands.command("HGET", LogKeys.meta, "epoch")
        var base = 0
        var version = 0
        var entries: [String] = []
        do throws(LogFailure) {
            try client.pipeline(operation, key, commands) { index, reply throws(LogFailure) in
                // Who is not there may be in the log that was.
                if index == 1 { return try self.client.requireEpoch(reply, operation) }
                base = reply[0]?.integer ?? 0
                version = reply[1]?.integer ?? 0
                reply[2]?.forEach { entries.append($0.string ?? "") }
            }
        } catch {
            if error.kind == .lostHistory {
                try client.halt([PartitionLoss(partition: partition, text: error.text, missing: nil)])
            }
            throw error
        }
        return (base < 0 ? nil : UInt64(base), UInt64(clamping: version), entries)
    }

    func version(of partitionKey: String) throws(LogFailure) -> UInt64 {
        let partition = partitioning.partition(of: partitionKey)
        let history = try history(partitionKey, partition, after: 0, limit: 0, "version")
        guard history.base == nil else { return history.version }
        return try archive.version(of: partitionKey, in: partition)
    }

    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        guard limit > 0 else { return [] }
        let partition = position.partition
        if position >= archive.known(partition) {
            let key = LogKeys.log(partition)
            commands.removeAll()
            commands.command("XRANGE", key, "(" + position.entryID, "+", "COUNT", String(limit))
            // Asked afterwards: whatever was trimmed before the range was read shows up here.
            commands.command("HGET", LogKeys.archive(partition), "through")
            commands.command("HGET", LogKeys.meta, "epoch")
            var events: [RecordedEvent] = []
            try client.pipeline("read", key, commands) { index, reply throws(LogFailure) in
                switch index {
                case 1:
                    try self.archive.learn(partition, reply, "read")
                    return
                case 2: return try self.client.requireEpoch(reply, "read")
                default: break
                }
                events.reserveCapacity(reply.count)
                try reply.forEach { entry throws(LogFailure) in
                    events.append(try decoder.decode(entry, partition: partition, operation: "read"))
                }
            }
            readGeneration = client.generation
            if position >= archive.known(partition) {
                try confirm(events.last?.position, "read")
                return events
            }
        }
        var events = try archive.read(after: position, limit: limit, "read")
        if events.count < limit {
            events += try read(after: archive.known(partition), limit: limit - events.count)
        }
        return events
    }

    func verifyArchive(of partitionKey: String) throws(LogFailure) {
        try archive.verify(partitioning.partition(of: partitionKey))
    }

    func end(of partition: Int) throws(LogFailure) -> LogPosition {
        let key = LogKeys.log(partition)
        let reply = try client.command("end", key, ["XREVRANGE", key, "+", "-", "COUNT", "1"])
        readGeneration = client.generation
        guard let entry = reply.elements.first?.elements.first?.text else { return .start(of: partition) }
        guard let position = LogPosition(partition: partition, entryID: entry) else {
            throw LogFailure(.corrupt, operation: "end", key: key, text: "not an entry id")
        }
        try confirm(position, "end")
        return position
    }
}

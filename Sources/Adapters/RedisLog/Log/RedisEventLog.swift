internal import Base
package import EventSourcing

/// What happened behind a subscription or a connection and was dealt with: for logs and counters.
package enum RedisLogNotice: Sendable, Hashable {
    /// A connection was lost; the text says why. It is made again by the next call.
    case disconnected(String)
    /// The server had lost the functions; they were loaded again.
    case functionsReloaded
    /// A consumer group had vanished in this many partitions and was created at the log's start:
    /// everything is delivered again, and effects are idempotent.
    case groupRecreated(group: String, partitions: Int)
    /// Entries of a member that is gone or stuck were taken over.
    case claimed(group: String, from: String, entries: Int)
    /// A pending entry is no longer in the log; it was acknowledged.
    case entryMissing(group: String, LogPosition)
    /// An entry does not follow the format; it was parked.
    case entryMalformed(group: String, LogPosition, String)
    /// The name of a member that is gone and had nothing pending was removed.
    case memberRemoved(group: String, String)
    /// A partition lacks events that were acknowledged or read before; the text says which. Nothing is
    /// appended to it or read from it until the halt is lifted (`RedisHalts`).
    case partitionHalted(Int, String)
    /// Somebody has lifted a partition's halt; the text says who, and why.
    case partitionLifted(Int, String)
    /// Another log stands where this one was, or none; nothing is appended to it or read from it.
    case logReplaced(String)
    /// The log that was expected stands there again.
    case logReturned
    /// So many events that the archive has and the server lacked behind a position were put back.
    case takenBack(Int, events: Int, from: LogPosition)
    /// Why the server takes no writes; nil when it takes them again.
    case serverRefuses(String?)
    /// Why nothing is appended to the server as it is set now; nil when it is set right again.
    case settingsObjected(String?)
    /// How the server's settings have changed, and what an acknowledged append has survived with them: less
    /// than it once was, or as much as ever.
    case durabilityChanged(String, isWorse: Bool)
    /// What was read is held back, because fewer replicas have it than an append needs.
    case readsWait(String)
    /// What a partition says of its archive was damaged, and was put right: it was archived up to a position.
    case archiveMended(Int, through: LogPosition)
}

/// The event log in Redis, as the whole process sees it. Each opened view has a connection of its own.
package final class RedisEventLog: EventLog {
    /// Limits and intervals, all in milliseconds.
    package struct Options: Sendable {
        /// For making a connection.
        package var connectMilliseconds = 2000
        /// For an answer; must be above the longest wait of a blocking read (1000).
        package var commandMilliseconds = 5000
        /// An entry that a live member holds for longer than this is taken over by another one.
        package var processingMilliseconds = 60_000
        /// Between two looks for entries of members that are gone.
        package var surveyMilliseconds = 700
        /// What an append must have survived before it is acknowledged.
        package var durability = Durability()
        /// Everybody who may read the log and go on where they stopped: nobody else may, and nothing is
        /// archived that one of them holds back. Nil where anybody may.
        package var subscriptions: SubscriptionRegistry?
        /// Where closed segments of the log are archived; nil when this process has no access to them.
        package var archive: (any SegmentStore)?
        /// Whether nothing is demanded of the server's settings, because nobody means to append: who looks
        /// at a log that is in trouble must be able to.
        package var onlyLooks = false
        /// Whether what is loaded has to be safe from a failover, as far as `durability` says: whoever acts
        /// on it needs that, who only shows it does not. Subscriptions always wait for it.
        package var confirmsReads = true
        /// Told what was dealt with. Called on the thread that noticed.
        package var notify: @Sendable (RedisLogNotice) -> Void = { _ in }

        /// The usual limits.
        package init() {}
    }

    /// The log's partitions.
    package let partitioning: Partitioning
    /// Random id that the log got when it was created.
    package let epoch: String
    /// Where the log is.
    package let address: RedisLocation
    let options: Options
    let history: HistoryWatch
    let levels: LevelWatch
    let archive: Archive?
    /// The partitions that figures, leases, checkpoints and indexes are read of: all, unless some were left
    /// out.
    package let counted: [Int]
    private let board = Lock(LogCondition())

    /// How the log is, as of the last look of this process's `LogWatch`.
    package var condition: LogCondition { board.withLock { $0 } }

    func keep(_ condition: LogCondition) { board.withLock { $0 = condition } }

    private init(
        _ address: RedisLocation, _ partitioning: Partitioning, _ epoch: String, _ levels: LevelWatch,
        _ options: Options
    ) {
        self.levels = levels
        let archive = options.archive.map { Archive($0, epoch: epoch) }
        history = HistoryWatch(
            partitions: partitioning.count,
            recovery: archive.map {
                PartitionRecovery(address, partitioning, epoch: epoch, $0, levels, options)
            })
        self.address = address
        self.partitioning = partitioning
        self.epoch = epoch
        self.options = options
        self.archive = archive
        counted = Array(0..<partitioning.count)
    }

    private init(_ log: RedisEventLog, counting partitions: [Int]) {
        levels = log.levels
        history = log.history
        address = log.address
        partitioning = log.partitioning
        epoch = log.epoch
        options = log.options
        archive = log.archive
        counted = partitions
    }

    /// The same log for whoever looks on, with figures, leases, checkpoints and indexes of the other
    /// partitions alone: what was put in the place of one partition's keys hides nothing of the others.
    package func leavingOut(_ partitions: Set<Int>) -> RedisEventLog {
        RedisEventLog(self, counting: counted.filter { !partitions.contains($0) })
    }

    /// Finds the log, or creates it where there is none. Blocks.
    /// - Parameters:
    ///   - url: one of `RedisLocation`'s.
    ///   - partitions: number of partitions of a new log; nil when it must exist already. An existing
    ///     log keeps the number that it was created with.
    ///   - remembered: events of this log that somebody else remembers, as read models do. A partition that
    ///     lacks one, and whose archive lacks it, is halted before anybody appends there.
    package static func open(
        _ url: String, createWith partitions: Int?, remembered: [LogPosition] = [],
        options: Options = Options()
    ) throws(LogFailure) -> RedisEventLog {
        let address = try RedisLocation(url: url)
        guard partitions == nil || partitions.flatMap(Partitioning.init) != nil else {
            throw LogFailure(
                .invalid, operation: "open", key: "\(address)", text: "a log has 1...4096 partitions")
        }
        guard options.commandMilliseconds >= 1500 else {
            throw LogFailure(
                .invalid, operation: "open", key: "\(address)",
                text: "the limit for an answer must be 1500 ms or more, above the longest blocking read")
        }
        try options.durability.requireSensible(commandMilliseconds: options.commandMilliseconds)
        let client = RedisClient(address, options: options, epoch: nil, name: "reel/open")
        if !options.onlyLooks {
            for (place, settings) in try ServerSettings.read(client) {
                try settings.requireSuitable(at: "\(place)")
            }
        }
        let levels = LevelWatch()
        let (partitioning, epoch) = try found(client, partitions, levels)
        let log = RedisEventLog(address, partitioning, epoch, levels, options)
        do throws(LogFailure) { try RedisHalts(client, log.history).refresh() } catch {
            // Who means to append has to know what is halted; who looks on is told of the key elsewhere.
            guard options.onlyLooks, error.isOfRecord else { throw error }
        }
        let known = try log.possible(remembered, client)
        log.history.witness(known, liftings: log.liftings)
        try log.takeBack()
        try log.compare(known)
        return log
    }

    /// The epoch of the log at a URL; nil where there is none. Blocks, and writes nothing.
    package static func epoch(
        at url: String, options: Options = Options()
    ) throws(LogFailure) -> String? {
        let address = try RedisLocation(url: url)
        let client = RedisClient(address, options: options, epoch: nil, name: "reel/open")
        return try client.command("open", LogKeys.meta, ["HGET", LogKeys.meta, "epoch"]).text
    }

    /// Makes a log that was lost again where there is none, empty: what its archive has is taken back when it
    /// is opened.
    package static func recreate(
        _ url: String, epoch: String, partitions: Int, options: Options = Options()
    ) throws(LogFailure) {
        let address = try RedisLocation(url: url)
        guard Partitioning(count: partitions) != nil, !epoch.isEmpty else {
            throw LogFailure(
                .invalid, operation: "recreate", key: "\(address)", text: "a log has 1...4096 partitions")
        }
        let client = RedisClient(address, options: options, epoch: nil, name: "reel/open")
        for (place, settings) in try ServerSettings.read(client) {
            try settings.requireSuitable(at: "\(place)")
        }
        let reply = try client.call(
            "recreate", LogKeys.meta, "reel_create", [LogKeys.meta],
            [
                LogKeys.format, String(partitions), SystemClock().now().rfc3339, epoch,
                "\(FormatLevel.newest)",
            ])
        guard reply.elements.count > 2, reply.elements[2].text == epoch else {
            throw LogFailure(
                .unsuitable, operation: "recreate", key: "\(address)", text: "there is another log by now")
        }
    }

    private static func found(
        _ client: RedisClient, _ partitions: Int?, _ levels: LevelWatch
    ) throws(LogFailure) -> (Partitioning, String) {
        // Looked at first: a server that refuses writes can be opened all the same.
        var meta = try client.command(
            "open", LogKeys.meta, ["HMGET", LogKeys.meta, "format", "partitions", "epoch", LevelWatch.field]
        ).elements
        if meta.allSatisfy({ $0.text == nil }) {
            guard let partitions else {
                throw LogFailure(
                    .unsuitable, operation: "open", key: "\(client.address)",
                    text: "there is no log; 'reel up' or 'reel serve' makes one")
            }
            let now = SystemClock().now()
            meta = try client.call(
                "open", LogKeys.meta, "reel_create", [LogKeys.meta],
                [
                    LogKeys.format, String(partitions), now.rfc3339, ULID.make(at: now),
                    "\(FormatLevel.newest)",
                ]
            ).elements
        }
        guard meta.count >= 3 else {
            throw LogFailure(
                .corrupt, operation: "open", key: LogKeys.meta, text: "an answer of another form")
        }
        guard meta[0].text == LogKeys.format else {
            throw LogFailure(
                .unsuitable, operation: "open", key: LogKeys.meta,
                text:
                    "the log has format \(meta[0].text ?? "unknown"); this version reads "
                    + "format \(LogKeys.format)"
            )
        }
        guard let partitioning = meta[1].integer.flatMap(Partitioning.init), let epoch = meta[2].text else {
            throw LogFailure(
                .corrupt, operation: "open", key: LogKeys.meta, text: "partitions or epoch is missing")
        }
        // A library of an earlier version answers without the level.
        try levels.learn(meta.count > 3 ? meta[3].text : nil)
        return (partitioning, epoch)
    }

    /// Takes back what the archive has and the server lacks, before anybody appends.
    private func takeBack() throws(LogFailure) {
        guard let recovery = history.recovery else { return }
        let client = client("recovery")
        if case .cluster = address {
            return try client.halt(try recovery.run(Array(0..<partitioning.count)))
        }
        for isLast in [false, true] {
            // Connecting looks, and says once that partitions turned out to be halted.
            do throws(LogFailure) {
                _ = try client.command("open", LogKeys.meta, ["HGET", LogKeys.meta, "epoch"])
                return
            } catch { guard error.kind == .refusingWrites, !isLast else { throw error } }
        }
    }

    /// Those of some positions that this log may have had. One of a time that has not come yet, by the
    /// server's clock, is nobody's memory of it: no partition halts for what somebody has made up.
    private func possible(
        _ remembered: [LogPosition], _ client: RedisClient
    ) throws(LogFailure) -> [LogPosition] {
        guard !remembered.isEmpty else { return [] }
        let now = try client.serverMilliseconds("open") +| 60_000
        return remembered.filter {
            (0..<partitioning.count).contains($0.partition) && $0.milliseconds <= now
        }
    }

    /// Halts the partitions that lack what is remembered of them, now that what the archive has is back.
    private func compare(_ remembered: [LogPosition]) throws(LogFailure) {
        guard !remembered.isEmpty else { return }
        let client = client("recovery")
        let inspector = PartitionInspector(client: client)
        let newest = Dictionary(remembered.map { ($0.partition, $0) }, uniquingKeysWith: max)
        var losses: [PartitionLoss] = []
        for state in try inspector.states(history.intact(newest.keys.sorted())) {
            guard let place = newest[state.partition],
                try inspector.has(place, in: state, archive) == false
            else { continue }
            losses.append(
                PartitionLoss(
                    partition: state.partition,
                    text: "it ends at \(state.end.entryID), and \(place), which was read from it before, "
                        + "is nowhere",
                    missing: place))
        }
        try client.halt(losses)
    }

    /// The log's format level, as far as this process knows.
    package var level: FormatLevel { levels.level }

    /// The format level, for whoever raises it.
    package func formatLevel() -> RedisFormatLevel { RedisFormatLevel(client("level"), levels) }

    /// The settings that matter to a log; in a cluster those of the master whose appends are worth least.
    package func inspect() throws(LogFailure) -> ServerSettings {
        try ServerSettings.weakest(client("inspect"))
    }

    /// Partitions that are halted because acknowledged events are missing, for operators.
    package func halts() -> RedisHalts {
        RedisHalts(RedisClient(address, options: options, epoch: epoch, name: "reel/halts"), history)
    }

    func client(_ role: String) -> RedisClient {
        RedisClient(address, options: options, epoch: epoch, name: "reel/\(role)", history: history)
    }

    /// A store for the calling thread; it connects at its first call.
    package func open() throws(LogFailure) -> any EventStore {
        RedisEventStore(client("store"), epoch: epoch, partitioning, levels, archive)
    }

    /// A member of a consumer group for the calling thread. Connects, and creates the group where it is
    /// missing. The caller's process beats `ConsumerName.mark(ofInstance:)` before it joins.
    package func join(
        group: String, consumer: ConsumerName, types: Set<String>
    ) throws(LogFailure) -> any CompetingSubscription {
        try options.subscriptions?.require(group, .group)
        return try RedisCompetingSubscription(
            client("group"), partitioning, group: group, consumer: consumer, types: types)
    }

    /// The events of some partitions in order, for the calling thread. Connects, and refuses a position
    /// beyond the end of its partition as `corrupt`.
    package func follow(after positions: [LogPosition]) throws(LogFailure) -> any OrderedFeed {
        try RedisOrderedFeed(client("feed"), positions, archive)
    }

    /// Liveness marks for the calling thread.
    package func liveness() throws(LogFailure) -> any Liveness { RedisLiveness(client("liveness"), levels) }

    /// Checkpoints kept beside the log, for the calling thread.
    package func checkpoints() throws(LogFailure) -> any CheckpointStore {
        RedisCheckpointStore(client("checkpoints"), counted, options.subscriptions)
    }

    /// Leases of the partitions of ordered subscriptions, for the calling thread.
    package func leases() throws(LogFailure) -> any PartitionLeases {
        RedisPartitionLeases(client("leases"), counted)
    }

    /// What ordered subscriptions hold back, for the calling thread.
    package func orderedParking() throws(LogFailure) -> any OrderedParking {
        RedisOrderedParking(client("parking"))
    }

    /// Values that a subscription keeps beside the log, for the calling thread.
    package func index(_ name: String) throws(LogFailure) -> any LogIndex {
        RedisLogIndex(name, client("index"), counted)
    }

    /// How many halts were lifted while this process ran: what was read before may have been lost.
    package var liftings: Int { history.liftings }

    /// Events that were set aside, for operators.
    package func parkedEvents() -> RedisParkedEvents { RedisParkedEvents(client("parked"), partitioning) }

    /// How far groups are behind, for operators.
    package func groups() -> RedisGroups { RedisGroups(client("groups"), counted, archive) }
}

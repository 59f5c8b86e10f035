internal import EventSourcing

/// How many replicas must have what was written, and for how long they are waited for.
struct ReplicaDemand {
    var replicas: Int
    var milliseconds: Int
}

/// A connection's writes that fewer replicas have than are asked for.
struct ReplicaShortfall {
    /// How many replicas have them.
    var replicas: Int
    /// The commands of the pipeline, by their places in it.
    var commands: Set<Int>
}

/// What of that which was read is safe from a failover.
struct ReadConfirmation {
    /// Partitions of which too few replicas have what was read; it may be asked for again.
    var unconfirmed: Set<Int> = []
    /// Partitions that have another server now, which lacks what was read.
    var gone: Set<Int> = []
    /// How many replicas have what is not confirmed.
    var replicas = 0

    /// Whether everything that was read of a partition is confirmed.
    func covers(_ partition: Int) -> Bool {
        !unconfirmed.contains(partition) && !gone.contains(partition)
    }

    /// Whether everything is.
    var isWhole: Bool { unconfirmed.isEmpty && gone.isEmpty }
}

/// What a failover may still take back is nobody's to act on: whoever acts on what it reads waits for as many
/// replicas as an append needs.
extension RedisClient {
    /// Milliseconds between two words about what waits for replicas.
    private static let noticeMilliseconds = 60_000
    /// Milliseconds that readers leave between two looks at what too few replicas have.
    static let unconfirmedPauseMilliseconds = 50

    /// Whether anything has to be confirmed.
    var confirmsReads: Bool { options.durability.minReplicas > 0 }

    /// Asks whether as many replicas as an append needs have what was read, and waits for them.
    /// - Parameters:
    ///   - positions: of entries that were read from the streams.
    ///   - milliseconds: how long to wait; nil for as long as an append does.
    func confirm(
        _ positions: some Sequence<LogPosition>, _ operation: String, within milliseconds: Int? = nil
    ) throws(LogFailure) -> ReadConfirmation {
        guard confirmsReads else { return ReadConfirmation() }
        var newest: [Int: LogPosition] = [:]
        for position in positions {
            newest[position.partition] = max(position, newest[position.partition] ?? position)
        }
        guard !newest.isEmpty else { return ReadConfirmation() }
        let asked = newest.values.sorted()
        var commands = CommandBuffer()
        for position in asked {
            commands.run(
                .confirm, [LogKeys.confirmation(position.partition), LogKeys.log(position.partition)],
                [position.entryID])
        }
        var confirmation = ReadConfirmation()
        let limit = min(milliseconds ?? Int.max, options.durability.waitMilliseconds)
        let shortfall = try confirming(operation, "\(asked[0])", commands, within: limit) { index, reply in
            let partition = asked[index].partition
            if reply.errorText != nil {
                confirmation.unconfirmed.insert(partition)
            } else if reply.integer != 1 {
                confirmation.gone.insert(partition)
            }
        }
        if let shortfall {
            confirmation.replicas = shortfall.replicas
            let short = shortfall.commands.map { asked[$0].partition }
            confirmation.unconfirmed.formUnion(Set(short).subtracting(confirmation.gone))
        }
        // Also where a node of a cluster takes no writes.
        if let waiting = asked.first(where: { confirmation.unconfirmed.contains($0.partition) }),
            history?.noteShortfall(every: Self.noticeMilliseconds) == true
        {
            options.notify(.readsWait("\(waiting): \(options.durability.shortfall(confirmation.replicas))"))
        }
        remember(asked.filter { confirmation.covers($0.partition) })
        return confirmation
    }

    /// Takes in what replicas have on the server that this client has now.
    func remember(_ positions: some Sequence<LogPosition>) {
        guard confirmsReads, let server else { return }
        history?.confirm(positions, on: server)
    }

    /// Whether somebody in this process knows that the replicas of the server from which a position was read
    /// have it.
    /// - Parameter generation: the client's when it was read: another server may have taken over since.
    func isConfirmed(_ position: LogPosition, readAt generation: Int) -> Bool {
        guard confirmsReads, generation == self.generation, let server else { return !confirmsReads }
        return history?.isConfirmed(position, on: server) == true
    }
}

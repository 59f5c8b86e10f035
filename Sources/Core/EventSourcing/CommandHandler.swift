package import Base

/// Why a command was not carried out.
package enum CommandError<Rejection: Error>: Error {
    /// The rules forbid it.
    case rejected(Rejection)
    /// The log could not be reached or read.
    case failed(LogFailure)
    /// The history cannot be understood.
    case malformed(MalformedEvent)
}

/// A failure that may be one of the log, in other words.
package protocol LogFailureCarrier: Error {
    /// The log's; nil where it is none.
    var logFailure: LogFailure? { get }
}

extension CommandError: LogFailureCarrier, TransientFailure {
    /// What the log failed with.
    package var logFailure: LogFailure? { if case .failed(let failure) = self { failure } else { nil } }
    /// What can end the log's failure; the rules' refusal and damage end by nothing.
    package var remedy: Remedy { logFailure?.remedy ?? .none }
    /// Whether a fence did not hold.
    package var isFenced: Bool { logFailure?.isFenced ?? false }
}

/// Carries out commands of one partition key on the log, with optimistic concurrency: decide on what is
/// known, append expecting that version, and on a conflict take in what is new and decide again.
package final class CommandHandler<D: Decider> {
    /// Key of the aggregate's events.
    package let partitionKey: String
    /// The folded state, at `version`.
    package private(set) var state: D.State = D.initial
    /// Sequence of the last event that `state` contains.
    package private(set) var version: UInt64 = 0
    /// What the last `handle` has appended; empty where it brought nothing, and where others' events, or a
    /// repetition, came between.
    package private(set) var appended: [RecordedEvent] = []

    private let store: any EventStore
    private let clock: any WallClock
    private let decode: (RecordedEvent) throws(MalformedEvent) -> D.Fact

    /// A handler that knows nothing yet.
    package init(
        partitionKey: String, store: any EventStore, clock: any WallClock,
        decode: @escaping (RecordedEvent) throws(MalformedEvent) -> D.Fact
    ) {
        self.partitionKey = partitionKey
        self.store = store
        self.clock = clock
        self.decode = decode
    }

    /// Takes in what was appended since the last call.
    package func catchUp() throws(CommandError<D.Rejection>) {
        let pageSize = 500
        while true {
            let page: [RecordedEvent]
            do { page = try store.load(partitionKey, after: version, limit: pageSize) } catch {
                throw .failed(error)
            }
            for event in page {
                do { D.evolve(&state, try decode(event)) } catch { throw .malformed(error) }
                version = event.sequence
            }
            if page.count < pageSize { return }
        }
    }

    /// Decides on commands one after the other and appends what they bring, all or none. Answers the
    /// facts; they are durable.
    /// - Parameters:
    ///   - eventID: the id of the n-th fact; the same command given again must answer the same ids.
    ///   - attempts: how often a conflict is answered by deciding again. Every conflict means that
    ///     somebody else made progress.
    @discardableResult
    package func handle(
        _ commands: [D.Command], context: EventContext, attempts: Int = 100,
        eventID: (Int, D.Fact) -> String
    ) throws(CommandError<D.Rejection>) -> [D.Fact] {
        appended = []
        for _ in 0..<attempts {
            let facts: [D.Fact]
            do { facts = try decide(commands) } catch { throw .rejected(error) }
            if facts.isEmpty { return [] }
            let now = clock.now()
            let outcome: AppendOutcome
            let events: [ProposedEvent]
            do {
                events = try propose(facts, at: now, context, eventID)
                outcome = try store.append(
                    events, to: partitionKey, expecting: version == 0 ? .absent : .exactly(version))
            } catch { throw .failed(error) }
            switch outcome {
            case .appended(let places):
                if places.first?.sequence == version + 1, places.last?.wasPresent == false {
                    for fact in facts { D.evolve(&state, fact) }
                    appended = zip(events, places).map { event, place in
                        RecordedEvent(
                            event: event, partitionKey: partitionKey, sequence: place.sequence,
                            position: place.position)
                    }
                    version += UInt64(facts.count)
                } else {
                    try catchUp()
                }
                return facts
            case .conflict(let actual):
                guard actual >= version else { throw .failed(shorter(than: actual)) }
                try catchUp()
            case .fenced(let generation):
                throw .failed(.fenced("append", partitionKey, generation: generation))
            case .idTaken(let id):
                // Somebody did the same thing in another way; knowing it, the rules decide.
                let known = version
                try catchUp()
                if version == known {
                    throw .failed(
                        LogFailure(
                            .invalid, operation: "append", key: partitionKey,
                            text: "event id \(id) is in the log with another body"))
                }
            }
        }
        throw .failed(
            LogFailure(
                .timedOut, operation: "append", key: partitionKey,
                text: "\(attempts) version conflicts in a row"))
    }

    private func propose(
        _ facts: [D.Fact], at time: Timestamp, _ context: EventContext, _ eventID: (Int, D.Fact) -> String
    ) throws(LogFailure) -> [ProposedEvent] {
        var events: [ProposedEvent] = []
        events.reserveCapacity(facts.count)
        for (index, fact) in facts.enumerated() {
            events.append(
                try ProposedEvent(
                    fact, id: eventID(index, fact), time: time, context: context, at: store.level))
        }
        return events
    }

    /// The log has less of the history than was read of it, or written to it, before.
    private func shorter(than actual: UInt64) -> LogFailure {
        LogFailure(
            .lostHistory, operation: "append", key: partitionKey,
            text: "the log has \(actual) events of it now, and had \(version) before: it has lost some, or "
                + "is another log")
    }

    private func decide(_ commands: [D.Command]) throws(D.Rejection) -> [D.Fact] {
        if commands.count == 1 { return try D.decide(commands[0], state) }
        var (foreseen, facts) = (state, [D.Fact]())
        for command in commands {
            let next = try D.decide(command, foreseen)
            for fact in next { D.evolve(&foreseen, fact) }
            facts += next
        }
        return facts
    }
}

extension ProposedEvent {
    /// A domain event in its envelope, in the newest version that may be written at a level.
    /// - Throws: `levelTooLow` where none may.
    package init(
        _ fact: some Event, id: String, time: Timestamp, context: EventContext, at level: FormatLevel
    ) throws(LogFailure) {
        guard let version = fact.version(at: level) else { throw .beyondLevel(level, type: fact.typeName) }
        self.init(fact, id: id, time: time, context: context, version: version)
    }

    /// A domain event in its envelope, in a version that its type has.
    package init(
        _ fact: some Event, id: String, time: Timestamp, context: EventContext, version: Int
    ) {
        var writer = JSONWriter()
        fact.encode(version, into: &writer)
        self.init(
            id: id, type: fact.typeName, version: version, subject: fact.subject, time: time,
            context: context, data: writer.bytes)
    }
}

package import EventSourcing

/// Reads a session's history event by event and says what in it cannot have come about lawfully: the rules by
/// which events are decided and appended, applied backwards. Pure; it believes nothing because of what stands
/// elsewhere in the same history.
///
/// It proves that the history is one that Reel can have written: complete from its first event, each step one
/// that the state machines have, each chunk told of by one event of each kind, counts and sums right. It does
/// not prove that Reel has written it: whoever can write the log can write a lawful history.
package struct HistoryAudit: Sendable {
    /// The most findings that are kept; more are counted.
    package static let maximumFindings = 1000
    /// Numbers above this are no sizes or counts of anything.
    static let maximumNumber = 1 << 53

    /// The session.
    package let sessionID: String
    /// What was found so far, in the order of the events; at most `maximumFindings`.
    package private(set) var findings: [HistoryFinding] = []
    /// How many findings there are.
    package private(set) var findingCount = 0
    /// The fold of the events so far.
    package private(set) var state = SessionState()
    /// What is told of each chunk, by number.
    package internal(set) var chunks: [Int: ChunkTrail] = [:]
    /// Sequence of the last entry; 0 before the first.
    package private(set) var version: UInt64 = 0
    /// The first entry that cannot be read.
    package private(set) var hole: UnreadableHole?
    /// Id of the session's data key, as the first event that names it has it.
    package internal(set) var keyID: String?

    /// Sums as the events before bear them out; nil beyond all bounds.
    var sizeBytes: Int? = 0
    var sealedBytes: Int? = 0
    /// Sequence of the event with which the session was completed, or failed.
    var overSince: UInt64?
    /// Whether the session was without encryption at some time.
    var wasPlain = false
    /// What was appended together with the event before, and has to follow it.
    private var pending: [Expected] = []
    private var last: LogPosition?
    private var freeIDs: Set<String> = []
    private var batches = AppendedBatches()

    /// An audit that has read nothing.
    package init(of sessionID: String) { self.sessionID = sessionID }

    /// Whether nothing was found.
    package var isLawful: Bool { findingCount == 0 }

    mutating func note(_ rule: HistoryFinding.Rule, _ text: String) { note(rule, nil, text) }

    mutating func note(_ rule: HistoryFinding.Rule, _ subject: String?, _ text: String) {
        findingCount += 1
        guard findings.count < Self.maximumFindings else { return }
        findings.append(HistoryFinding(rule, subject ?? sessionID, sequence: version, text))
    }

    /// Notes what an entry that cannot be read may explain, unless there is one: then that is what is wrong.
    mutating func noteLack(_ rule: HistoryFinding.Rule, _ subject: String? = nil, _ text: String) {
        if hole == nil { note(rule, subject, text) }
    }

    /// Takes in the next entry of the history.
    package mutating func take(_ entry: LogEntry) {
        requireSequence(entry)
        version = entry.sequence
        switch entry {
        case .unreadable(let unreadable):
            hole = hole ?? unreadable
            note(.unreadable, "\(unreadable)")
        case .event(let event):
            let fact: RecordingEvent
            do { fact = try RecordingEvent(event) } catch {
                hole =
                    hole
                    ?? UnreadableHole(position: event.position, sequence: event.sequence, text: "\(error)")
                return note(.unreadable, "its payload is not understood: \(error)")
            }
            requireIdentity(event, fact)
            requireForm(event, fact)
            let isExpected = requirePending(fact)
            guard check(fact, isExpected) else { return }
            // By the state before the event, of which no copy is kept: it would be copied at every change.
            if pending.isEmpty { pending = Expected.following(fact, state) }
            SessionDecider.evolve(&state, fact)
        }
    }

    /// What is decided together is appended together, so that nothing comes between.
    /// - Returns: whether it follows from what was decided before.
    private mutating func requirePending(_ fact: RecordingEvent) -> Bool {
        guard let expected = pending.first else { return false }
        if expected.isMet(by: fact) {
            pending.removeFirst()
            return true
        }
        pending = []
        noteLack(.order, fact.subject, "\(fact.typeName) stands where \(expected) belongs")
        return false
    }

    /// Sequences without gaps, positions that rise within one partition.
    private mutating func requireSequence(_ entry: LogEntry) {
        let expected = version &+ 1
        if entry.sequence != expected {
            version = entry.sequence
            note(.sequence, "sequence \(entry.sequence) stands where \(expected) belongs")
        }
        if let last, entry.position.partition != last.partition || entry.position <= last {
            note(
                .sequence,
                "sequence \(entry.sequence) stands at \(entry.position), and the one before at \(last)")
        }
        last = entry.position
    }

    /// Key, id and subject of the envelope.
    private mutating func requireIdentity(_ event: RecordedEvent, _ fact: RecordingEvent) {
        let subject = fact.subject
        if event.partitionKey != sessionID {
            note(.identity, subject, "its partition key is \(event.partitionKey), not \(sessionID)")
        }
        if event.event.subject != subject {
            note(.identity, subject, "its subject is \(event.event.subject), not \(subject)")
        }
        if fact.sessionID != sessionID {
            note(.identity, subject, "it is about session \(fact.sessionID)")
        }
        if let id = fact.derivedID {
            if event.id != id { note(.identity, subject, "its id is \(event.id), not \(id)") }
            return batches.takeDerived()
        }
        if case .chunk = fact {
            batches.takeDerived()
        } else if let problem = batches.take(event.id, at: event.sequence) {
            noteLack(.order, subject, problem)
        }
        if case .chunk(let chunk) = fact, !event.id.hasPrefix(chunk.derivedID) {
            note(.identity, subject, "its id \(event.id) is not that of a failure of \(chunk.chunk.chunkID)")
        }
        if !freeIDs.insert(event.id).inserted { note(.identity, subject, "event \(event.id) stands twice") }
    }

    /// Judges an event by what came before it. What comes before `SessionCreated` can be taken into account
    /// when that may be what can't be read.
    /// - Returns: whether it can be taken into account.
    private mutating func check(_ fact: RecordingEvent, _ isExpected: Bool) -> Bool {
        var isCreation = false
        if case .session(.created) = fact { isCreation = true }
        if state.status == nil, !isCreation {
            noteLack(.transition, fact.subject, "\(fact.typeName) stands before SessionCreated")
            if hole == nil { return false }
        }
        switch fact {
        case .session(let event): return check(event)
        case .chunk(let event): return check(event)
        case .pipeline(let step):
            if step.from != state.pipeline {
                noteLack(
                    .transition, nil,
                    "the pipeline goes from \(step.from.rawValue) to \(step.to.rawValue), and it was "
                        + state.pipeline.rawValue)
            }
            if step.trigger.removesContent { requireFree("the pipeline is cleaned up") }
            // By itself; with a step of the session others are.
            if !isExpected, let status = state.status, !step.trigger.isAllowed(whileSessionIs: status) {
                noteLack(
                    .transition, nil,
                    "the pipeline's step \(step.trigger.rawValue) of a session that is \(status.rawValue)")
            }
            return true
        }
    }

    /// What a history that ends here lacks. Findings that show only then are added to those of the events.
    package func concluded() -> HistoryAudit {
        var audit = self
        audit.version = 0
        if state.status == nil { audit.noteLack(.transition, nil, "there is no SessionCreated") }
        if let expected = pending.first { audit.noteLack(.order, nil, "\(expected) is missing at the end") }
        audit.version = version
        return audit
    }
}

extension RecordingEvent {
    /// The session that the payload names.
    var sessionID: String {
        switch self {
        case .session(let event): event.sessionID
        case .chunk(let event): event.chunk.sessionID
        case .pipeline(let step): step.sessionID
        }
    }
}

/// What one command has appended stands together, in the order in which it was decided: events without an id
/// of their own are `<command>/<place>`, from 0 on.
private struct AppendedBatches: Sendable {
    /// The last place of each command, and where it stands.
    private var last: [Substring: (place: UInt64, sequence: UInt64)] = [:]
    /// How many events before this one have ids that name no command.
    private var derived: UInt64 = 0

    /// An event whose id says nothing of its command.
    mutating func takeDerived() { derived += 1 }

    /// - Returns: what is wrong with the event's place; nil for one that may stand here.
    mutating func take(_ id: String, at sequence: UInt64) -> String? {
        defer { derived = 0 }
        guard let slash = id.lastIndex(of: "/"), let place = UInt64(id[id.index(after: slash)...]) else {
            return nil
        }
        let command = id[..<slash]
        defer { last[command] = (place, sequence) }
        if let known = last[command] {
            let isNext = known.place < place && place - known.place == sequence &- known.sequence
            return isNext ? nil : "event \(id) does not stand behind \(command)/\(known.place)"
        }
        return place <= derived ? nil : "event \(id) stands without the one before it"
    }
}

/// The sum of two numbers of bytes; nil where one is none, or the sum is beyond all bounds.
func boundedSum(_ sum: Int?, _ number: Int) -> Int? {
    guard let sum, (0...HistoryAudit.maximumNumber).contains(number) else { return nil }
    let (total, overflow) = sum.addingReportingOverflow(number)
    return overflow ? nil : total
}

/// An event that was appended together with the one before it.
private enum Expected: Sendable, CustomStringConvertible {
    case completion
    case step(PipelineStep)

    /// What follows an event, by the rules by which it was decided.
    static func following(_ fact: RecordingEvent, _ state: SessionState) -> [Expected] {
        let triggers: [PipelineTrigger]
        switch fact {
        case .session(.merkleRootComputed): return [.completion]
        case .session(.started(_, .starting)): triggers = [.start]
        case .session(.started): triggers = [.startComplete]
        case .session(.paused): triggers = [.pause, .pauseComplete]
        case .session(.resumed): triggers = state.isHeld ? [] : [.resume]
        case .session(.stopped): triggers = [.stop]
        case .session(.completed): triggers = [.stopComplete]
        case .session(.failed): triggers = [.error]
        case .session(.deleted): triggers = state.pipeline.wayToDestruction
        case .pipeline(let step) where step.trigger == .pause:
            // A pause that somebody has asked for is complete at once.
            let next = PipelineStep(sessionID: step.sessionID, from: step.to, .pauseComplete)
            return next.map { [.step($0)] } ?? []
        default: triggers = []
        }
        return SessionDecider.pipeline(state, triggers).compactMap { fact in
            if case .pipeline(let step) = fact { .step(step) } else { nil }
        }
    }

    func isMet(by fact: RecordingEvent) -> Bool {
        switch (self, fact) {
        case (.completion, .session(.completed)): true
        case (.step(let expected), .pipeline(let found)): expected == found
        default: false
        }
    }

    var description: String {
        switch self {
        case .completion: "SessionCompleted"
        case .step(let step): "the pipeline's step \(step.trigger.rawValue)"
        }
    }
}

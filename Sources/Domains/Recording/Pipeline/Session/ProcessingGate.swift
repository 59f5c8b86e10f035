package import Engine
package import EventSourcing
internal import Recording
package import Supervision

/// What a process knows of sessions whose pipelines are paused by themselves: it follows the log from its
/// end, and a session that began before is looked up once, when its first chunk comes.
///
/// So nothing has to be kept anywhere: whoever starts anew, or has missed something, forgets everything and
/// looks sessions up again. One for all stage workers of a process; any thread may ask.
package final class ProcessingGate: StageGate {
    private struct Known {
        var version: UInt64
        var holds: ProcessingHolds
        var isDeleted: Bool

        func answer(_ session: String) -> GateAnswer {
            isDeleted ? .over : holds.holds(session) ? .held : .open
        }

        /// Takes in an event; false when it can't be understood.
        mutating func take(_ event: RecordedEvent) -> Bool {
            guard event.sequence > version else { return true }
            guard let fact = try? RecordingEvent(event) else { return false }
            version = event.sequence
            holds.evolve(fact)
            if case .session(.deleted) = fact { isDeleted = true }
            return true
        }
    }

    private struct State {
        /// Changes whenever everything is forgotten.
        var generation = 0
        /// Partitions whose events come in.
        var followed: Set<Int> = []
        var known: [String: Known] = [:]
        /// Sessions that somebody is looking up, and what came of them meanwhile.
        var sought: [String: [RecordedEvent]] = [:]
    }

    /// Beyond this many, those that are not held are forgotten, which costs one more look at each.
    private static let maximumKnown = 20_000
    /// What moves a session or its pipeline.
    private static let types = RecordingEvent.typeNames.filter { !$0.hasPrefix("Chunk") }

    private let log: any EventLog
    private let report: RoleLog
    private let state = Monitor(State())

    /// A gate that does not follow the log yet: until it does, every chunk's session is looked up.
    package init(log: any EventLog, report: RoleLog) {
        self.log = log
        self.report = report
    }

    /// Follows the log until `stop` is set. Call on a thread of its own.
    package func run(stop: StopSignal) throws {
        try waitingOutFailures(of: "holds", stop: stop, report: report) { succeeded in
            defer { forget(following: []) }
            // What is looked up from here on is loaded behind these ends, so that nothing lies between.
            let ends = try ends()
            let feed = try log.follow(after: ends)
            while !stop.isSet {
                do throws(LogFailure) {
                    let events = try feed.next(limit: 500, waitMilliseconds: 1000)
                    if !events.isEmpty { take(events) }
                } catch {
                    guard let position = error.unreadableEntry else { throw error }
                    // It may have said something of any session: each is looked up again.
                    report(.error, "holds: \(error); going on behind it")
                    feed.seek(to: position)
                    forget(following: Set(ends.map(\.partition)))
                }
                succeeded()
            }
        }
    }

    /// Whether the session's chunks may be worked on. Knows of a pause as soon as the log has told this
    /// process, so that at most the chunks that are being begun with at that moment still go on.
    /// - Parameter store: for looking up a session that began before this process.
    /// Where its history holds what can't be read or understood, the rest of it counts: the stage finds out
    /// by itself what it can do for the chunk.
    /// - Throws: when it has to be looked up and the log can't be reached.
    package func answer(for session: String, _ store: any EventStore) throws(LogFailure) -> GateAnswer {
        let partition = store.partitioning.partition(of: session)
        let (known, generation) = state.withLock { state -> (Known?, Int) in
            if let known = state.known[session] { return (known, state.generation) }
            if state.followed.contains(partition), state.sought[session] == nil {
                state.sought[session] = []
            }
            return (nil, state.generation)
        }
        if let known { return known.answer(session) }
        do throws(LogFailure) {
            let (found, version) = try look(up: session, store)
            return learn(session, found, version, generation)
        } catch {
            state.withLock { $0.sought[session] = nil }
            // Nothing at all is to be had of its history: that must not end whoever asks.
            if error.kind == .corrupt { return .open }
            throw error
        }
    }

    private func look(
        up session: String, _ store: any EventStore
    ) throws(LogFailure) -> (SessionState, version: UInt64) {
        var (state, version) = (SessionState(), UInt64(0))
        var page = LogPage()
        repeat {
            page = try store.entries(of: session, after: version, limit: 500)
            for entry in page.entries {
                if let fact = entry.event.flatMap({ try? RecordingEvent($0) }) {
                    SessionDecider.evolve(&state, fact)
                }
                version = entry.sequence
            }
        } while !page.isLast
        return (state, version)
    }

    private func learn(
        _ session: String, _ found: SessionState, _ version: UInt64, _ generation: Int
    ) -> GateAnswer {
        var fresh = Known(
            version: version,
            holds: ProcessingHolds(
                held: found.isHeld ? [session] : [], resting: found.status == .paused ? [session] : []),
            isDeleted: found.status == .deleted)
        return state.withLock { state in
            // Somebody else was faster, or everything was forgotten meanwhile: this answer is for now alone.
            guard state.generation == generation, let missed = state.sought.removeValue(forKey: session)
            else { return (state.known[session] ?? fresh).answer(session) }
            let isClear = missed.allSatisfy { fresh.take($0) }
            if isClear { keep(fresh, of: session, &state) }
            return fresh.answer(session)
        }
    }

    private func keep(_ known: Known, of session: String, _ state: inout State) {
        if state.known.count >= Self.maximumKnown {
            state.known = state.known.filter { $0.value.holds.holds($0.key) }
            if state.known.count >= Self.maximumKnown { state.known.removeAll() }
        }
        state.known[session] = known
    }

    /// The ends of all partitions that can be read; one that is halted gives nothing to work on either.
    private func ends() throws -> [LogPosition] {
        let store = try log.open()
        var ends: [LogPosition] = []
        for partition in 0..<store.partitioning.count {
            do { ends.append(try store.end(of: partition)) } catch {
                guard error.kind == .lostHistory || error.isOfRecord else { throw error }
            }
        }
        forget(following: Set(ends.map(\.partition)))
        return ends
    }

    private func forget(following partitions: Set<Int>) {
        state.withLock { state in
            state = State(generation: state.generation + 1, followed: partitions)
        }
    }

    private func take(_ events: [RecordedEvent]) {
        state.withLock { state in
            for event in events where Self.types.contains(event.type) {
                let session = event.partitionKey
                state.sought[session]?.append(event)
                if event.sequence == 1, state.known[session] == nil {
                    keep(
                        Known(version: 0, holds: ProcessingHolds(), isDeleted: false), of: session, &state)
                }
                // What can't be understood, or needs no stage any more, is looked up if it is asked for.
                let isClear = state.known[session]?.take(event) ?? false
                if !isClear || event.type == "SessionCompleted" { state.known[session] = nil }
            }
        }
    }
}

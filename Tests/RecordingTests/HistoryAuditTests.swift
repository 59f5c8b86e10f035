import EventSourcing
import Recording
import Testing

@testable import Recording

@Suite("Histories that can have come about, and others")
struct HistoryAuditTests {
    @Test("what Reel writes is lawful at every point of its life")
    func lawful() throws {
        for history in [
            try LawfulHistory.completed(), try LawfulHistory.completed(encrypted: false),
            try LawfulHistory.deleted(),
        ] {
            let events = try history.events
            var audit = HistoryAudit(of: LawfulHistory.sessionID)
            for event in events {
                audit.take(.event(event))
                #expect(audit.findings == [], "\(event.type)")
            }
            #expect(audit.concluded().findings == [])
            #expect(audit.version == UInt64(events.count))
        }
    }

    @Test("late workers, failures after the end, and files that were adopted are lawful")
    func late() throws {
        var late = try LawfulHistory(encrypted: true)
        try late.command(.start, .begin)
        for number in 1...3 { try late.record(number) }
        late.chained(1)
        try late.command(.stop(.recorderLost, incomplete: true), .delete(tagCounts: false))
        // A worker that had begun before; and one whose attempt was parked.
        late.chained(2)
        late.failed(2)
        late.failed(3)
        try late.command(.deleteChunks(through: 3))
        #expect(HistoryAudit.of(try late.events).findings == [])

        // A pipeline that is paused and goes on by itself.
        var held = try LawfulHistory()
        try held.command(.start, .begin, .pipeline(.pause), .pause, .resume, .pipeline(.resume))
        #expect(HistoryAudit.of(try held.events).findings == [])
        let complete = try #require(
            held.facts.firstIndex {
                if case .pipeline(let step) = $0 { step.trigger == .pauseComplete } else { false }
            })
        held.facts.removeSubrange(complete...)
        #expect(HistoryAudit.of(try held.events).findings.map(\.rule) == [.order])

        // What was handed over is stored by a worker that finds the chunk's file there already.
        var adopted = try LawfulHistory(encrypted: true)
        try adopted.command(.start, .begin)
        try adopted.record(1)
        adopted.handedOver(1, storedHash: 9)
        #expect(HistoryAudit.of(try adopted.events).findings == [])
        // One worker that did all of it says the same in all events.
        var chained = adopted
        chained.facts.removeLast(4)
        chained.add(.chunk(.compressed(chained.compressed(1, spoolPath: nil))))
        chained.add(.chunk(.sealed(chained.sealed(1))))
        chained.add(.chunk(.validated(chained.sealed(1, hash: 9))))
        #expect(HistoryAudit.of(try chained.events).findings.map(\.rule) == [.content])
    }

    @Test("an event that was taken out shows, but for those that need not have happened")
    func takenOut() throws {
        let events = try LawfulHistory.deleted().events
        var unnoticed: Set<String> = []
        for index in events.indices {
            var forged = events
            let gone = forged.remove(at: index)
            #expect(!HistoryAudit.of(forged).isLawful || index == events.count - 1, "a gap at \(index)")
            if HistoryAudit.of(renumbered(forged)).isLawful { unnoticed.insert("\(index) \(gone.type)") }
        }
        // Whoever can take out the newest event, or one that nothing depends on, leaves a lawful history.
        let last = "\(events.count - 1) ChunkDeleted"
        let free = unnoticed.subtracting([last]).map { $0.split(separator: " ")[1] }
        #expect(Set(free) == ["SessionUpdated", "ChunkFailed", "KeyExported", "SessionVerified"])
        #expect(unnoticed.contains(last))
    }

    @Test("an event that stands twice shows, but for those that may happen again")
    func doubled() throws {
        let events = try LawfulHistory.deleted().events
        var unnoticed: Set<String> = []
        for index in events.indices {
            var forged = events
            forged.insert(forged[index], at: index + 1)
            #expect(!HistoryAudit.of(renumbered(forged)).isLawful, "\(events[index].type) twice")
            // Under another id, where ids are free.
            forged[index + 1].event.id += "-again"
            if HistoryAudit.of(renumbered(forged)).isLawful { unnoticed.insert(events[index].type) }
        }
        #expect(unnoticed == ["SessionUpdated", "ChunkFailed", "KeyExported", "SessionVerified"])
    }

    @Test("events that changed places show, unless it makes no difference")
    func exchanged() throws {
        let events = try LawfulHistory.deleted().events
        let state = HistoryAudit.of(events).state
        for index in events.indices.dropLast() {
            var forged = events
            forged.swapAt(index, index + 1)
            #expect(!HistoryAudit.of(forged).isLawful, "sequences \(index + 1) and \(index + 2)")
            let audit = HistoryAudit.of(renumbered(forged))
            guard audit.isLawful else { continue }
            #expect(audit.state == state, "\(events[index].type) and \(events[index + 1].type)")
        }
    }

    @Test("what one command has appended stands together, in its order")
    func batches() throws {
        let events = try LawfulHistory.deleted().events
        for index in events.indices.dropLast() where events[index].type != "PipelineStateChanged" {
            guard events[index + 1].type == "PipelineStateChanged" else { continue }
            var forged = events
            forged.swapAt(index, index + 1)
            #expect(!HistoryAudit.of(renumbered(forged)).isLawful, "\(events[index].type) and its step")
        }
        var late = try LawfulHistory()
        try late.command(.start)
        late.facts.append(.session(.updated(SessionEvent.Updated(sessionID: LawfulHistory.sessionID))))
        var forged = try late.events
        #expect(HistoryAudit.of(forged).findings == [])
        forged[3].event.id = "another/1"
        #expect(HistoryAudit.of(forged).findings.map(\.rule) == [.order])
    }

    @Test("whole chunks, the end and the middle of a session can't be taken out of a completed one")
    func chunks() throws {
        let history = try LawfulHistory.completed()
        for number in 1...3 {
            let id = history.recorded(number).chunk.chunkID
            let forged = try history.events.filter { $0.event.subject != id }
            #expect(!HistoryAudit.of(renumbered(forged)).isLawful, "chunk \(number)")
        }
        for type in ["MerkleRootComputed", "SessionStopped", "SessionProcessing", "ChunkStored"] {
            let forged = try history.events.filter { $0.type != type }
            #expect(!HistoryAudit.of(renumbered(forged)).isLawful, "\(type)")
        }
    }

    @Test(
        "a deletion of chunks that no deletion of the session precedes shows, and so does any other late event"
    )
    func forgedEnds() throws {
        var history = try LawfulHistory.completed()
        let chunk = history.recorded(1).chunk
        history.facts.append(.chunk(.deleted(chunk)))
        #expect(HistoryAudit.of(try history.events).findings.map(\.rule) == [.transition])
        var deleted = try LawfulHistory.deleted()
        for late in [
            .session(.updated(SessionEvent.Updated(sessionID: LawfulHistory.sessionID))),
            .session(.keyExported(sessionID: LawfulHistory.sessionID, keyID: "key-1")),
            .session(.started(sessionID: LawfulHistory.sessionID, status: .starting)),
            .chunk(.recorded(deleted.recorded(4))),
        ] as [RecordingEvent] {
            deleted.facts.append(late)
            #expect(!HistoryAudit.of(try deleted.events).isLawful, "\(late.typeName)")
            deleted.facts.removeLast()
        }
    }

    @Test("a verification that says what cannot have been found there shows")
    func verifications() throws {
        let completed = try LawfulHistory.completed()
        func rules(_ change: (inout SessionEvent.Verified) -> Void) throws -> [HistoryFinding.Rule] {
            var verified = SessionEvent.Verified(
                sessionID: LawfulHistory.sessionID, outcome: .sound, trigger: .command,
                version: completed.facts.count, chunkCount: 3, bytesRead: 1, contentsOpened: true,
                merkleRoot: History.hash(7),
                durationMilliseconds: 1, findings: [], findingCount: 0)
            change(&verified)
            var forged = completed
            forged.facts.append(.session(.verified(verified)))
            return HistoryAudit.of(try forged.events).findings.map(\.rule)
        }
        #expect(try rules { _ in } == [])
        #expect(try rules { $0.merkleRoot = History.hash(8) } == [.counts])
        #expect(try rules { $0.merkleRoot = nil } == [.counts])
        #expect(try rules { $0.chunkCount = 2 } == [.counts])
        #expect(try rules { $0.contentsOpened = false } == [.form])
        #expect(try rules { $0.outcome = .damaged } == [.form])
        #expect(try rules { $0.version = 100_000 } == [.counts])
        #expect(try rules { $0.version = 9 } == [.counts])
        // That a key was missing may have been found before the session was over.
        let early = SessionEvent.Verified(
            sessionID: LawfulHistory.sessionID, outcome: .keyMissing, trigger: .command, version: 9,
            chunkCount: 3, bytesRead: 1, contentsOpened: false, merkleRoot: nil, durationMilliseconds: 1,
            findings: ["the key is missing"], findingCount: 1)
        #expect(try rules { $0 = early } == [])
        var open = try LawfulHistory()
        try open.command(.start, .begin)
        open.facts.append(.session(.verified(History.verified(.partial, opened: true))))
        #expect(HistoryAudit.of(try open.events).findings.map(\.rule).contains(.transition))
    }

    @Test("a session that a case holds is not removed, and each case holds it once")
    func holds() throws {
        var history = try LawfulHistory.completed()
        try history.command(.hold(caseName: "a", reason: "r"), .hold(caseName: "b", reason: "r"))
        #expect(HistoryAudit.of(try history.events).findings == [])
        let change = { SessionEvent.HoldChange(sessionID: LawfulHistory.sessionID, caseName: $0, reason: $1) }
        let forgeries: [([RecordingEvent], [HistoryFinding.Rule])] = [
            ([.session(.legalHoldSet(change("a", "again")))], [.repetition]),
            ([.session(.legalHoldLifted(change("c", "r")))], [.order]),
            ([.session(.legalHoldSet(change("", "r")))], [.form]),
            ([.session(.legalHoldLifted(change("a", String(repeating: "x", count: 501))))], [.form]),
        ]
        for (facts, rules) in forgeries {
            var forged = history
            forged.facts += facts
            #expect(HistoryAudit.of(try forged.events).findings.map(\.rule) == rules, "\(facts)")
        }
        // A deletion that was decided without the holds.
        var deleted = try LawfulHistory.deleted()
        let lifted = try #require(deleted.facts.firstIndex { $0.typeName == "LegalHoldLifted" })
        deleted.facts.remove(at: lifted)
        let rules = HistoryAudit.of(try deleted.events).findings.map(\.rule)
        #expect(rules == [.transition, .transition])
        deleted.facts.append(.session(.legalHoldSet(change("late", "r"))))
        #expect(HistoryAudit.of(try deleted.events).findings.count == 3)
    }

    @Test("a step of the pipeline that nobody can have asked for shows")
    func steps() throws {
        var history = try LawfulHistory()
        try history.command(.start, .begin)
        let stop = try #require(PipelineStep(sessionID: LawfulHistory.sessionID, from: .active, .stop))
        history.facts.append(.pipeline(stop))
        #expect(HistoryAudit.of(try history.events).findings.map(\.rule) == [.transition])
    }

    @Test("a chunk that is not encrypted shows in a session that is, in all of its events")
    func plainChunk() throws {
        let plain = try LawfulHistory.completed(encrypted: false)
        var mixed = plain
        mixed.facts[0] = try LawfulHistory(encrypted: true).facts[0]
        let audit = HistoryAudit.of(try mixed.events)
        #expect(audit.findings.map(\.rule) == [.cipher, .cipher, .cipher])
        #expect(HistoryAudit.of(try plain.events).isLawful)
    }

    @Test("sequences, positions, ids, subjects and keys that are not those of the events show")
    func envelopes() throws {
        let events = try LawfulHistory.completed().events
        let changes: [(String, (inout RecordedEvent) -> Void)] = [
            ("sequence", { $0.sequence += 1 }), ("position", { $0.position.milliseconds -= 500 }),
            ("partition", { $0.position.partition += 1 }), ("key", { $0.partitionKey = "other" }),
            ("subject", { $0.event.subject = "other" }),
        ]
        for index in events.indices {
            for (what, change) in changes {
                var forged = events
                change(&forged[index])
                // The place of the first event is as good as any before the second.
                if what == "position" && index == 0 { continue }
                #expect(!HistoryAudit.of(forged).isLawful, "\(what) of \(events[index].type)")
            }
            guard try RecordingEvent(events[index]).derivedID != nil else { continue }
            var forged = events
            forged[index].event.id = "other/\(index)"
            #expect(!HistoryAudit.of(forged).isLawful, "id of \(events[index].type)")
        }
        var late = events
        late.removeFirst()
        #expect(!HistoryAudit.of(late).isLawful, "a history that begins with its second event")
        #expect(!HistoryAudit.of([]).isLawful)
    }

    @Test("an entry that can't be read is one finding, and keeps nobody from naming what it can't explain")
    func holes() throws {
        let history = try LawfulHistory.completed()
        let events = try history.events
        func hole(_ index: Int) -> LogEntry {
            .unreadable(
                UnreadableHole(
                    position: events[index].position, sequence: UInt64(index + 1), text: "spoiled"))
        }
        for index in events.indices {
            var entries = events.map(LogEntry.event)
            entries[index] = hole(index)
            let audit = HistoryAudit.of(entries: entries)
            #expect(audit.findings.map(\.rule) == [.unreadable], "\(index): \(audit.findings)")
            #expect(audit.hole?.sequence == UInt64(index + 1))
        }
        var entries = events.map(LogEntry.event)
        let paused = try #require(events.firstIndex { $0.type == "SessionPaused" })
        entries[paused] = hole(paused)
        let stored = try #require(events.lastIndex { $0.type == "ChunkStored" })
        var forged = history.sealed(3, path: LawfulHistory.storagePath(3))
        forged.content.digest = "ABC"
        var facts = history.facts
        facts[stored] = .chunk(.stored(forged))
        entries[stored] = .event(try LawfulHistory.events(facts)[stored])
        #expect(HistoryAudit.of(entries: entries).findings.map(\.rule) == [.unreadable, .content])
    }

    @Test("figures that nothing can have counted show, although nothing else depends on them")
    func figures() throws {
        let history = try LawfulHistory.completed()
        for wrong in [-1, 1e308, 0x1p63] {
            var forged = history
            for (place, fact) in history.facts.enumerated() {
                switch fact {
                case .chunk(.recorded(var payload)) where payload.chunk.sequenceNumber == 1:
                    (payload.frameCount, payload.droppedFrames) = (.max, -1)
                    payload.durationSeconds = wrong
                    forged.facts[place] = .chunk(.recorded(payload))
                case .chunk(.compressed(var payload)) where payload.chunk.sequenceNumber == 1:
                    payload.processingMilliseconds = wrong
                    forged.facts[place] = .chunk(.compressed(payload))
                case .chunk(.stored(var payload)) where payload.chunk.sequenceNumber == 1:
                    payload.processingMilliseconds = wrong
                    forged.facts[place] = .chunk(.stored(payload))
                default: break
                }
            }
            let found = HistoryAudit.of(try forged.events).findings
            // A decoder may refuse them before.
            if found.contains(where: { $0.rule == .unreadable }) { continue }
            #expect(found.allSatisfy { $0.rule == .form }, "\(wrong): \(found)")
            for (name, count) in [
                ("duration_seconds", 1), ("frame_count", 1), ("dropped_frames", 1), ("processing_ms", 2),
            ] {
                let named = found.count { $0.text.hasPrefix("\(name) ") && $0.text.hasSuffix("out of range") }
                #expect(named == count, "\(name) \(wrong): \(found)")
            }
        }
    }

    @Test("findings are bounded, and counted beyond")
    func many() throws {
        let event = try LawfulHistory.completed().events[3]
        let audit = HistoryAudit.of(Array(repeating: event, count: 3000))
        #expect(audit.findings.count == HistoryAudit.maximumFindings)
        #expect(audit.findingCount > 3000)
    }
}

import Base
import EventSourcing
import Recording
import Simulation
import Testing
import ReadModels

/// Random commands, and the facts that stages add beside them, against one session.
private struct RandomSession {
    var random: RandomEvents
    var state = SessionDecider.initial
    var facts: [RecordingEvent] = []
    var rejections = 0

    init(seed: UInt64) { random = RandomEvents(seed: seed) }

    mutating func take(_ fact: RecordingEvent) {
        SessionDecider.evolve(&state, fact)
        facts.append(fact)
    }

    mutating func command() -> SessionCommand {
        switch random.int(0...18) {
        case 0: .create(History.creation)
        case 1: .update(SessionEvent.Updated(sessionID: History.sessionID))
        case 2: .start
        case 3, 4: .begin
        case 5, 6, 7, 8:
            .recordChunk(
                History.recorded(state.chunkCount + random.pick([0, 1, 1, 1, 2]), bytes: random.int(0...99)))
        case 9: .pause
        case 10: .resume
        case 11:
            random.int(0...2) == 0
                ? .stop(random.pick(SessionEvent.StopReason.allCases), incomplete: random.flag()) : .resume
        case 12: .process
        case 13: .complete(merkleRoot: History.hash(random.int(0...9)))
        case 14: random.pick([.exportKey(keyID: "k"), .fail(error: "x"), .giveUp(error: "x")])
        case 15: random.pick([.delete(tagCounts: false), .pipeline(.cleanup), .pipeline(.destroy)])
        case 16: .hold(caseName: random.pick(["A", "B", "C"]), reason: "r")
        case 17: .liftHold(caseName: random.pick([nil, "A", "B", "C"]), reason: "r")
        default: .recordVerification(random.verified())
        }
    }

    mutating func turn() {
        if state.chunkCount > 0, random.int(0...2) == 0 {
            let number = random.int(1...state.chunkCount)
            let reference = ChunkReference(sessionID: History.sessionID, sequenceNumber: number)
            if state.merkleHashes[number] == nil {
                take(
                    random.int(0...3) == 0
                        ? .chunk(.failed(reference, stage: "store", attempts: 3, causes: ["disk"]))
                        : .chunk(.stored(History.stored(number, sealedBytes: random.int(0...99)))))
            }
        }
        do {
            for fact in try SessionDecider.decide(command(), state) { take(fact) }
        } catch {
            rejections += 1
        }
    }
}

@Suite("Folding a session's history")
struct SessionFoldTests {
    @Test("Folding the log equals evolving step by step, over random commands")
    func foldEqualsEvolve() throws {
        let seed = testSeed("fold equals evolve")
        var reached: Set<SessionStatus> = []
        var rejections = 0
        for round in 0..<400 {
            var session = RandomSession(seed: seed &+ UInt64(round))
            for _ in 0..<60 { session.turn() }
            rejections += session.rejections
            var folded = SessionDecider.initial
            for fact in session.facts {
                var writer = JSONWriter()
                let version = try fact.newestVersion
                fact.encode(version, into: &writer)
                let data = try JSONValue(parsing: writer.bytes)
                SessionDecider.evolve(
                    &folded, try RecordingEvent(type: fact.typeName, version: version, data: data))
                if let status = folded.status { reached.insert(status) }
            }
            try #require(folded == session.state, "round \(round) of seed \(seed)")
            try checkHistory(session, "round \(round) of seed \(seed)")
        }
        #expect(reached == Set(SessionStatus.allCases))
        #expect(rejections > 0)
    }

    /// What must hold of every history, whatever was asked.
    private func checkHistory(_ session: RandomSession, _ place: String) throws {
        var pipeline = PipelineState.created
        var numbers: [Int] = []
        var bytes = 0
        var cases: Set<String> = []
        for fact in session.facts {
            switch fact {
            case .session(.legalHoldSet(let hold)): cases.insert(hold.caseName)
            case .session(.legalHoldLifted(let hold)):
                try #require(cases.remove(hold.caseName) != nil, "\(place): a case is lifted that is not set")
            case .session(.deleted):
                try #require(cases.isEmpty, "\(place): deleted while \(cases) hold it")
            case .pipeline(let step):
                let isKept = session.state.status != .deleted && [.cleanup, .destroy].contains(step.trigger)
                try #require(!isKept || cases.isEmpty, "\(place): cleaned up while \(cases) hold it")
                try #require(step.from == pipeline, "\(place): the pipeline jumps")
                pipeline = step.to
            case .chunk(.recorded(let payload)):
                numbers.append(payload.chunk.sequenceNumber)
                bytes += payload.content.sizeBytes
            case .session(.stopped(let payload)):
                try #require(payload.chunkCount == numbers.count, "\(place)")
                try #require(payload.sizeBytes == bytes, "\(place)")
            default: break
            }
        }
        try #require(numbers == Array(stride(from: 1, through: numbers.count, by: 1)), "\(place)")
        try #require(Set(session.state.legalHolds) == cases, "\(place)")
        try #require(session.state.pipeline == pipeline, "\(place)")
        try #require(session.state.chunkCount == numbers.count, "\(place)")
        try #require(session.state.sizeBytes == bytes, "\(place)")
    }

    @Test("A refused command changes nothing, and the same command is decided the same way")
    func pure() throws {
        let seed = testSeed("decisions are pure")
        var session = RandomSession(seed: seed)
        for _ in 0..<500 {
            let command = session.command()
            let before = session.state
            let first = Result { try SessionDecider.decide(command, before) }
            let second = Result { try SessionDecider.decide(command, before) }
            #expect((try? first.get()) == (try? second.get()))
            #expect(session.state == before)
            for fact in (try? first.get()) ?? [] { session.take(fact) }
        }
    }
}

@Suite("Events of chunks that were never recorded")
struct UnrecordedChunkTests {
    @Test("the event is what cannot be understood, where the whole history lacks the chunk's first one")
    func final() throws {
        let facts: [RecordingEvent] = [
            .session(.created(History.creation)),
            .session(.started(sessionID: History.sessionID, status: .recording)),
            .chunk(.stored(History.stored(1))),
        ]
        let events = try facts.enumerated().map { place, fact in
            RecordedEvent(
                event: try ProposedEvent(
                    fact, id: "\(place)", time: .earliest,
                    context: EventContext(source: "/", actor: .system("t")), at: .newest),
                partitionKey: History.sessionID, sequence: UInt64(place + 1),
                position: LogPosition(partition: 0, milliseconds: 1, counter: UInt64(place)))
        }
        let folder = ProjectionFolder(RecordingViews.all)
        let failure = #expect(throws: FoldFailure.self) {
            _ = try folder.take(events) { _ throws(FoldFailure) in
            } history: { (_, _, sequence) throws(FoldFailure) in
                events.filter { $0.sequence > sequence }
            } failure: {
                $0
            }
        }
        #expect(failure?.position == events[2].position)
        #expect(failure?.isFinal == true)
    }
}

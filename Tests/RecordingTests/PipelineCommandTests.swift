import EventSourcing
import Recording
import Simulation
import Testing
import Base

private let id = History.sessionID

/// In which states of its session a pipeline may be given which trigger, told again beside the code.
private let allowed: [String: Set<String>] = [
    "start": ["created", "starting"],
    "start_complete": ["starting", "recording"],
    "pause": living, "pause_complete": living, "resume": living,
    "stop": ended, "stop_complete": ended, "error": ended, "recover": ended, "cleanup": ended,
    "cleanup_complete": ended, "destroy": ended,
]
private let living: Set<String> = [
    "created", "starting", "recording", "paused", "stopped", "processing", "completed", "failed",
]
private let ended: Set<String> = ["completed", "failed"]

/// A history that leaves the session in `status` and its pipeline in `pipeline`.
private func history(_ status: SessionStatus, _ pipeline: PipelineState) throws -> [RecordingEvent] {
    let facts = try History.leading(to: status, chunks: 2)
    if Specification.state(after: facts).pipeline == pipeline { return facts }
    for from in PipelineState.allCases {
        for trigger in PipelineTrigger.allCases where from.after(trigger) == pipeline {
            return facts + [try History.step(from, trigger)]
        }
    }
    return facts
}

@Suite("Commands on pipelines")
struct PipelineCommandTests {
    @Test("Every session state, pipeline state and trigger", arguments: SessionStatus.allCases)
    func everyTriple(status: SessionStatus) throws {
        for pipeline in PipelineState.allCases {
            let before = try history(status, pipeline)
            try #require(Specification.state(after: before).pipeline == pipeline)
            for trigger in PipelineTrigger.allCases {
                let spec = given(before).when(.pipeline(trigger))
                if status == .deleted {
                    spec.thenRejected(.notFound)
                } else if let next = pipeline.after(trigger),
                    allowed[trigger.rawValue]?.contains(status.rawValue) == true
                {
                    if trigger == .pause {
                        spec.then(
                            try History.step(pipeline, trigger), try History.step(next, .pauseComplete))
                    } else {
                        spec.then(try History.step(pipeline, trigger))
                    }
                    #expect(spec.state.status == status)
                } else {
                    spec.thenRejected(
                        .wrongPipelineState(pipeline, trigger: trigger, session: status))
                }
            }
        }
        given([]).when(.pipeline(.pause)).thenRejected(.notFound)
    }

    @Test("Whatever its pipeline does, a deleted session's is destroyed")
    func deletion() throws {
        for status in [SessionStatus.created, .stopped, .completed, .failed] {
            for pipeline in PipelineState.allCases {
                let spec = given(try history(status, pipeline)).when(.delete(tagCounts: false))
                #expect(spec.state.status == .deleted)
                #expect(spec.state.pipeline == .destroyed, "\(status) \(pipeline)")
            }
        }
    }

    @Test("Only a pipeline that was paused by itself holds back, and it goes on when somebody says so")
    func holds() throws {
        var facts = try History.leading(to: .recording)
        var holds = ProcessingHolds()
        for fact in facts { holds.evolve(fact) }
        func carryOut(_ command: SessionCommand) throws {
            let new = try SessionDecider.decide(command, Specification.state(after: facts))
            facts += new
            for fact in new { holds.evolve(fact) }
        }
        func expect(_ isHeld: Bool, _ pipeline: PipelineState, _ location: SourceLocation = #_sourceLocation)
        {
            let state = Specification.state(after: facts)
            #expect(state.isHeld == isHeld && state.pipeline == pipeline, sourceLocation: location)
            #expect(holds.holds(id) == isHeld, sourceLocation: location)
        }
        try carryOut(.pause)
        expect(false, .paused)
        try carryOut(.resume)
        expect(false, .active)
        try carryOut(.pipeline(.pause))
        expect(true, .paused)
        try carryOut(.pause)
        expect(true, .paused)
        try carryOut(.resume)
        expect(true, .paused)
        try carryOut(.recordChunk(History.recorded(1)))
        try carryOut(.pipeline(.resume))
        expect(false, .active)
        try carryOut(.pipeline(.pause))
        try carryOut(.stop(.requested, incomplete: false))
        expect(false, .stopping)
    }

    @Test("Holds followed in the log are those of the folds, over random commands")
    func randomHolds() throws {
        let seed = testSeed("holds")
        var random = RandomEvents(seed: seed)
        var reached: Set<Bool> = []
        for round in 0..<300 {
            var state = SessionDecider.initial
            var holds = ProcessingHolds()
            for _ in 0..<40 {
                let command: SessionCommand = random.pick([
                    .create(History.creation), .start, .begin, .pause, .resume, .pipeline(.pause),
                    .pipeline(.resume), .pipeline(.pause), .process, .fail(error: "x"),
                    .stop(.requested, incomplete: false),
                ])
                if case .stop = command, random.int(0...4) > 0 { continue }
                if case .fail = command, random.int(0...4) > 0 { continue }
                for fact in (try? SessionDecider.decide(command, state)) ?? [] {
                    SessionDecider.evolve(&state, fact)
                    holds.evolve(fact)
                }
                try #require(holds.holds(id) == state.isHeld, "round \(round) of seed \(seed)")
                reached.insert(state.isHeld)
            }
        }
        #expect(reached == [true, false])
    }
}

@Suite("Commands on chunks")
struct ChunkCommandTests {
    @Test("A chunk given again changes nothing; another one in its place is refused, whatever the state")
    func again() throws {
        for status in [SessionStatus.recording, .paused, .stopped, .processing, .completed, .failed] {
            let facts = try History.leading(to: status, chunks: 2)
            given(facts).when(.recordChunk(History.recorded(1))).then()
            var other = History.recorded(1)
            other.content.digest = String(repeating: "1", count: 64)
            let spec = given(facts).when(.recordChunk(other))
            spec.thenRejected(
                status == .recording
                    ? .chunkTaken(number: 1) : .wrongState(status, command: "record a chunk"))
        }
        let facts = try History.leading(to: .recording, chunks: 2)
        var renamed = History.recorded(2)
        renamed.chunk.chunkID = "\(id)-mine"
        given(facts).when(.recordChunk(renamed)).thenRejected(.chunkTaken(number: 2))
        var longer = History.recorded(2)
        longer.content.sizeBytes += 1
        given(facts).when(.recordChunk(longer)).thenRejected(.chunkTaken(number: 2))
    }

    @Test("An id of one's own is taken once, and cannot be mistaken for another session's")
    func ids() throws {
        let recording = try History.leading(to: .recording)
        var own = History.recorded(1)
        own.chunk.chunkID = "\(id)-take-1"
        let one = recording + [.chunk(.recorded(own))]
        given(recording).when(.recordChunk(own)).then(.chunk(.recorded(own)))
        given(one).when(.recordChunk(own)).then()
        var second = History.recorded(2)
        second.chunk.chunkID = own.chunk.chunkID
        given(one).when(.recordChunk(second)).thenRejected(.chunkTaken(number: 1))
        for stolen in ["other-chunk-000001", "\(id)-chunk-000007", "\(id)-x-chunk-1", "take", "a/b", ""] {
            second.chunk.chunkID = stolen
            guard
                case .failure(.invalid(let violations)) = Result(catching: {
                    try SessionDecider.decide(.recordChunk(second), Specification.state(after: one))
                }).mapError({ $0 as? SessionRejection ?? .notFound })
            else {
                Issue.record("\(stolen) was taken")
                continue
            }
            #expect(violations.map(\.field) == ["chunk_id"])
        }
    }

    @Test("Chunks keep to the rules of the seed")
    func rules() throws {
        let recording = try History.leading(to: .recording)
        func broken(_ change: (inout ChunkEvent.Recorded) -> Void) -> [String] {
            var chunk = History.recorded(1)
            change(&chunk)
            do {
                _ = try SessionDecider.decide(.recordChunk(chunk), Specification.state(after: recording))
                return []
            } catch {
                guard case .invalid(let violations) = error else { return ["\(error)"] }
                return violations.map(\.field)
            }
        }
        #expect(broken { $0.content.sizeBytes = -1 } == ["size_bytes"])
        #expect(broken { $0.content.sizeBytes = 0 } == [])
        #expect(broken { $0.durationSeconds = -0.001 } == ["duration_seconds"])
        #expect(broken { $0.durationSeconds = .nan } == ["duration_seconds"])
        #expect(broken { $0.durationSeconds = 0 } == [])
        #expect(broken { $0.frameCount = -1 } == ["frame_count"])
        #expect(broken { $0.droppedFrames = -1 } == ["dropped_frames"])
        for score in [-0.1, 100.1, .nan] { #expect(broken { $0.qualityScore = score } == ["quality_score"]) }
        for score in [0, 100] { #expect(broken { $0.qualityScore = Double(score) } == []) }
        #expect(broken { $0.codec = "zip" } == ["codec"])
        #expect(broken { $0.content.digest = String(repeating: "g", count: 64) } == ["content_digest"])
        #expect(broken { $0.content.digest = String(repeating: "a", count: 62) } == ["content_digest"])
    }

    @Test("A deleted session's chunks are noted as deleted, a bounded number at once, each one once")
    func deletion() throws {
        let count = SessionDecider.deletionsAtOnce + 3
        var facts = try History.leading(to: .completed, chunks: count)
        given(facts).when(.deleteChunks(through: count))
            .thenRejected(.wrongState(.completed, command: "have its chunks deleted"))
        facts.append(.session(.deleted(sessionID: id)))
        var deleted: [Int] = []
        for _ in 0..<3 {
            let state = Specification.state(after: facts)
            for fact in try SessionDecider.decide(.deleteChunks(through: .max), state) {
                guard case .chunk(.deleted(let chunk)) = fact else { continue }
                deleted.append(chunk.sequenceNumber)
                facts.append(fact)
            }
            #expect(deleted.count <= SessionDecider.deletionsAtOnce * (state.deletedThrough == 0 ? 1 : 2))
        }
        #expect(deleted == Array(1...count))
        given([]).when(.deleteChunks(through: 1)).thenRejected(.notFound)
    }
}

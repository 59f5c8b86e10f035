import Recording
import Testing
import Base

private let id = History.sessionID

@Suite("What a session decides")
struct SessionDeciderTests {
    @Test("A session has at most the bytes that its configuration allows", arguments: [-1, 0, 1])
    func size(_ beyond: Int) throws {
        var storage = StorageConfig()
        storage.maxSizeGB = 2
        let most = 2 << 30
        #expect(storage.maximumBytes == most)
        let violation = storage.violation(ofBytes: most + beyond)
        #expect((violation == nil) == (beyond <= 0))
        #expect(violation.map(\.field) ?? "storage_config.max_size_gb" == "storage_config.max_size_gb")
        #expect(violation?.rule.contains("2147483648") ?? true)
    }

    @Test("Creation with broken rules is refused with every one of them")
    func invalidCreation() {
        var creation = History.creation
        creation.sessionID = "not an id"
        creation.name = ""
        creation.rdp?.port = 0
        creation.recording.frameRate = 121
        creation.storage.retentionDays = 366
        creation.metadata.priority = "urgent"
        creation.capture.chunkSizeBytes = 0
        given([]).when(.create(creation)).thenRejected(.invalid(creation.violations))
        #expect(creation.violations.count == 7)
    }

    @Test("Starting asks for a recorder, and the pipeline starts")
    func start() throws {
        given(try History.leading(to: .created)).when(.start).then(
            .session(.started(sessionID: id, status: .starting)), try History.step(.created, .start))
    }

    @Test("A recorder that begins makes the pipeline active")
    func begin() throws {
        given(try History.leading(to: .starting)).when(.begin).then(
            .session(.started(sessionID: id, status: .recording)),
            try History.step(.starting, .startComplete))
    }

    @Test("Pausing takes the pipeline through pausing to paused, and back")
    func pauseAndResume() throws {
        given(try History.leading(to: .recording)).when(.pause).then(
            .session(.paused(sessionID: id)), try History.step(.active, .pause),
            try History.step(.pausing, .pauseComplete))
        given(try History.leading(to: .paused)).when(.resume).then(
            .session(.resumed(sessionID: id)), try History.step(.paused, .resume))
    }

    @Test("Chunks come one after the other")
    func chunks() throws {
        let recording = try History.leading(to: .recording, chunks: 2)
        let third = History.recorded(3)
        given(recording).when(.recordChunk(third)).then(.chunk(.recorded(third)))
        for number in [Int.min, -1, 0, 4, 1000, Int.max] {
            given(recording).when(.recordChunk(History.recorded(number)))
                .thenRejected(.outOfOrder(expected: 3, got: number))
        }
        given(try History.leading(to: .paused)).when(.recordChunk(History.recorded(1)))
            .thenRejected(.wrongState(.paused, command: "record a chunk"))
    }

    @Test("Stopping counts what was recorded", arguments: SessionEvent.StopReason.allCases)
    func stop(reason: SessionEvent.StopReason) throws {
        given(try History.leading(to: .recording, chunks: 2)).when(.stop(reason, incomplete: true)).then(
            History.stopped(reason, incomplete: true, chunks: 2, bytes: 200),
            try History.step(.active, .stop))
        let paused = given(try History.leading(to: .paused, chunks: 1))
            .when(.stop(reason, incomplete: false))
            .then(
                History.stopped(reason, chunks: 1, bytes: 100), try History.step(.paused, .stop))
        #expect(paused.state.incomplete == false)
    }

    @Test("Processing waits for the recorded chunks")
    func process() throws {
        given(try History.leading(to: .stopped, chunks: 3)).when(.process).then(
            .session(.processing(sessionID: id, chunkCount: 3)))
    }

    @Test("Completion closes the tree and the pipeline")
    func complete() throws {
        let completed = SessionEvent.Completed(
            sessionID: id, merkleRoot: History.hash(9), chunkCount: 2, sizeBytes: 200, sealedBytes: 120,
            incomplete: false)
        let spec = given(try History.leading(to: .processing, chunks: 2))
            .when(.complete(merkleRoot: History.hash(9)))
            .then(
                .session(.merkleRootComputed(sessionID: id, root: History.hash(9), leafCount: 2)),
                .session(.completed(completed)), try History.step(.stopping, .stopComplete))
        #expect(spec.state.merkleRoot == History.hash(9))
        #expect(spec.state.pipeline == .stopped)
    }

    @Test("A session without chunks can be completed")
    func completeNothing() throws {
        let spec = given(try History.leading(to: .processing, chunks: 0))
            .when(.complete(merkleRoot: History.hash(0)))
        #expect(spec.state.status == .completed)
        #expect(spec.state.orderedMerkleHashes == [])
    }

    @Test("Completion is refused while a chunk is not stored")
    func completeTooEarly() throws {
        let stopped = try History.leading(to: .stopped, chunks: 3)
        let waiting: [RecordingEvent] =
            stopped + [
                .session(.processing(sessionID: id, chunkCount: 3)), .chunk(.stored(History.stored(1))),
                .chunk(.stored(History.stored(3))),
            ]
        let spec = given(waiting).when(.complete(merkleRoot: History.hash(0)))
            .thenRejected(.unfinished(stored: 2, of: 3))
        #expect(!spec.state.isEverythingStored)
        #expect(spec.state.orderedMerkleHashes == nil)
        let done = Specification.state(after: waiting + [.chunk(.stored(History.stored(2)))])
        #expect(done.isEverythingStored)
        #expect(done.orderedMerkleHashes == [1, 2, 3].map(History.hash))
    }

    @Test("Giving up puts the pipeline into error")
    func fail() throws {
        let pipelines: [(SessionStatus, PipelineState)] = [
            (.starting, .starting), (.recording, .active), (.processing, .stopping),
        ]
        for (status, pipeline) in pipelines {
            given(try History.leading(to: status)).when(.fail(error: "disk")).then(
                .session(.failed(sessionID: id, error: "disk")), try History.step(pipeline, .error))
        }
    }

    @Test("Deletion destroys the pipeline where its machine allows it")
    func delete() throws {
        let pipelines: [(SessionStatus, PipelineState)] = [
            (.created, .created), (.completed, .stopped), (.failed, .error),
        ]
        for (status, pipeline) in pipelines {
            given(try History.leading(to: status)).when(.delete(tagCounts: false)).then(
                .session(.deleted(sessionID: id)), try History.step(pipeline, .destroy))
        }
    }

    @Test("Deleting a stopped session ends the pipeline that it leaves stopping")
    func deleteStopped() throws {
        let spec = given(try History.leading(to: .stopped, chunks: 1)).when(.delete(tagCounts: false)).then(
            .session(.deleted(sessionID: id)), try History.step(.stopping, .stopComplete),
            try History.step(.stopped, .destroy))
        #expect(spec.state.pipeline == .destroyed)
    }

    @Test("A change is checked against the same rules as creation")
    func update() throws {
        var change = SessionEvent.Updated(sessionID: id)
        change.name = "renamed"
        change.storage = StorageConfig()
        let created = try History.leading(to: .created)
        given(created).when(.update(change)).then(.session(.updated(change)))

        change.name = String(repeating: "x", count: 256)
        change.storage?.maxSizeGB = 0
        change.recording = RecordingConfig()
        change.recording?.quality = "best"
        change.metadata = SessionMetadata()
        change.metadata?.tags = Array(repeating: "t", count: 11)
        given(created).when(.update(change)).thenRejected(
            .invalid([
                Violation("name", "must have 1 to 255 characters"),
                Violation("recording_config.quality", "must be one of: low, medium, high, ultra"),
                Violation("storage_config.max_size_gb", "must be between 1 and 1000"),
                Violation("metadata.tags", "must have at most 10 tags"),
            ]))
    }

    @Test("Taking out the key leaves a trace")
    func exportKey() throws {
        given(try History.leading(to: .completed)).when(.exportKey(keyID: "key-1")).then(
            .session(.keyExported(sessionID: id, keyID: "key-1")))
    }

    @Test("A chunk that failed and is stored at last no longer counts as failed")
    func recovery() throws {
        let failed: RecordingEvent = .chunk(
            .failed(
                ChunkReference(sessionID: id, sequenceNumber: 1), stage: "store", attempts: 3,
                causes: ["disk"]))
        let history = try History.leading(to: .recording, chunks: 1) + [failed]
        #expect(Specification.state(after: history).failures == [1: "disk"])
        let healed = Specification.state(after: history + [.chunk(.stored(History.stored(1)))])
        #expect(healed.failures.isEmpty)
        #expect(healed.sealedBytes == 60)
    }

    @Test("Every rejection says what happened")
    func sentences() {
        let rejections: [(SessionRejection, String)] = [
            (.notFound, "there is no such session"),
            (.exists, "a session with this id exists already"),
            (.wrongState(.paused, command: "start"), "a session that is paused cannot start"),
            (.invalid([Violation("a", "is bad"), Violation("b", "too")]), "a is bad; b too"),
            (.outOfOrder(expected: 3, got: 5), "chunk 5 was given where 3 comes next"),
            (.unfinished(stored: 1, of: 2), "only 1 of 2 chunks are stored"),
        ]
        for (rejection, sentence) in rejections { #expect(rejection.description == sentence) }
    }

    @Test("What happens once has an id made from it; the rest is told apart by the command")
    func eventIDs() throws {
        for type in RecordingEvent.typeNames {
            for event in try Samples.of(type) {
                let told = event.eventID(command: "cmd", index: 4)
                let many: Set<String> = [
                    "SessionUpdated", "SessionStarted", "SessionPaused", "SessionResumed", "KeyExported",
                    "PipelineStateChanged", "LegalHoldSet", "LegalHoldLifted", "SessionVerified",
                ]
                #expect(told == (many.contains(type) ? "cmd/4" : "\(event.subject)/\(type)"))
            }
        }
    }
}

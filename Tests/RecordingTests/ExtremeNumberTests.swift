import Base
import EventSourcing
import Recording
import Simulation
import Testing
import ReadModels

@Suite("Numbers beyond all reason")
struct ExtremeNumberTests {
    @Test("a number is read exactly where its schema allows it", arguments: TypeVersion.all)
    func bounds(_ item: TypeVersion) throws {
        let schema = try Repository.schema(of: item.type, version: item.version)
        let lines = try Repository.goldenLines(of: item.type, version: item.version)
        for (path, numberSchema) in schema.numberPaths {
            var tried = 0
            for line in lines {
                let data = try #require(try JSONValue(parsing: line)["data"])
                for number in ExtremeNumbers.texts(around: numberSchema) {
                    guard let text = data.text(with: path, as: number) else { continue }
                    tried += 1
                    let lawful = ExtremeNumbers.isLawful(number, by: numberSchema)
                    let event = event(item, text)
                    #expect((event != nil) == lawful, "\(item) \(path) = \(number.prefix(40))")
                }
            }
            #expect(tried > 0, "no golden line of \(item) has \(path)")
        }
    }

    @Test("every number of every event has bounds in its schema", arguments: TypeVersion.all)
    func bounded(_ item: TypeVersion) throws {
        let schema = try Repository.schema(of: item.type, version: item.version)
        for (path, number) in schema.numberPaths {
            #expect(number["minimum"] != nil, "\(item) \(path)")
            // Uploads may say of a chunk that it is as long as they like.
            if path == ["duration_seconds"], item.type == "ChunkRecorded" { continue }
            #expect(number["maximum"] != nil, "\(item) \(path)")
        }
    }

    @Test("whatever can be read is folded, counted, shown and judged by a process that lives on")
    func lives() async {
        await #expect(processExitsWith: .success) {
            var tried = 0
            for item in TypeVersion.all {
                let schema = try Repository.schema(of: item.type, version: item.version)
                for line in try Repository.goldenLines(of: item.type, version: item.version) {
                    let data = try JSONValue(parsing: line)["data"] ?? .null
                    for (path, number) in schema.numberPaths {
                        for text in ExtremeNumbers.texts(around: number) {
                            guard let changed = data.text(with: path, as: text),
                                let event = Extremes.event(item, changed)
                            else { continue }
                            try Extremes.use(event)
                            tried += 1
                        }
                    }
                }
            }
            try #require(tried > 300, "\(tried)")
        }
    }

    @Test("so is what no decoder has looked at")
    func unchecked() async {
        await #expect(processExitsWith: .success) {
            for seed in UInt64(0)..<400 {
                var random = RandomEvents(seed: seed)
                try Extremes.use(try Extremes.unchecked(&random))
            }
        }
    }

    private func event(_ item: TypeVersion, _ text: String) -> RecordingEvent? { Extremes.event(item, text) }
}

/// Events with numbers at the ends of their types, and everything that is done with events.
enum Extremes {
    static let whole = [Int.min, Int.min + 1, -1, 0, 1, 1 << 53, Int.max - 1, Int.max]
    static let numbers = [
        -Double.infinity, -1e308, -1, -0.0, 0, .leastNonzeroMagnitude, 1, 1e17, 1e308,
        .greatestFiniteMagnitude, .infinity,
        .nan,
    ]
    static let times = [Int64.min, -1, 0, Int64.max].map(Timestamp.init(milliseconds:))

    static func event(_ item: TypeVersion, _ text: String) -> RecordingEvent? {
        guard let data = try? JSONValue(parsing: Array(text.utf8)) else { return nil }
        return try? RecordingEvent(type: item.type, version: item.version, data: data)
    }

    /// An event of every kind that has numbers, with any in them.
    static func unchecked(_ random: inout RandomEvents) throws -> RecordingEvent {
        let number = random.pick(whole)
        let chunk = ChunkReference(sessionID: Samples.sessionID, sequenceNumber: number, chunkID: "c")
        let content = ChunkContent(
            sizeBytes: random.pick(whole), digest: "d", keyID: "k", cipher: "xchacha20poly1305")
        let sealed = ChunkEvent.Sealed(
            chunk: chunk, content: content, codec: "zstd", compressedBytes: random.pick(whole),
            sealedBytes: random.pick(whole), merkleHash: "m",
            processingMilliseconds: random.pick(numbers), path: "p")
        switch random.int(0...5) {
        case 0:
            return .chunk(
                .recorded(
                    ChunkEvent.Recorded(
                        chunk: chunk, content: content, codec: "zstd", capturedAt: random.pick(times),
                        durationSeconds: random.pick(numbers), frameCount: random.pick(whole),
                        droppedFrames: random.pick(whole), qualityScore: random.pick(numbers),
                        spoolPath: "p")))
        case 1:
            return .chunk(
                .compressed(
                    ChunkEvent.Compressed(
                        chunk: chunk, content: content, codec: "zstd", compressedBytes: random.pick(whole),
                        processingMilliseconds: random.pick(numbers), spoolPath: nil)))
        case 2: return .chunk(random.pick([.sealed(sealed), .validated(sealed), .stored(sealed)]))
        case 3: return .chunk(.failed(chunk, stage: "store", attempts: random.pick(whole), causes: ["x"]))
        case 4:
            return .session(
                .completed(
                    SessionEvent.Completed(
                        sessionID: Samples.sessionID, merkleRoot: "r", chunkCount: random.pick(whole),
                        sizeBytes: random.pick(whole), sealedBytes: random.pick(whole), incomplete: false)))
        default:
            var creation = History.creation
            creation.storage.retentionDays = random.pick(whole)
            creation.storage.maxSizeGB = random.pick(whole)
            creation.recording.frameRate = random.pick(whole)
            creation.capture.chunkSizeBytes = random.pick(whole)
            creation.capture.source = .file
            var media = MediaFacts(container: "x", sizeBytes: random.pick(whole), audio: true)
            media.durationSeconds = random.pick(numbers)
            media.frameRate = random.pick(numbers)
            media.frameCount = random.pick(whole)
            creation.media = media
            return .session(.created(creation))
        }
    }

    /// Folds a history in which the event stands several times, and asks everything of it.
    static func use(_ event: RecordingEvent) throws {
        var facts: [RecordingEvent] = [.session(.created(History.creation))]
        if case .session(.created) = event { facts = [event] }
        facts += [
            .session(.started(sessionID: History.sessionID, status: .recording)),
            .chunk(.recorded(History.recorded(1))), .chunk(.stored(History.stored(1))), event, event, event,
            .session(.completed(completed)),
        ]
        var state = SessionDecider.initial
        var folded: SessionFold?
        var totals = RecordingTotals()
        for (place, fact) in facts.enumerated() {
            SessionDecider.evolve(&state, fact)
            let stamp = EventStamp(
                time: place.isMultiple(of: 2) ? .latest : .earliest, sequence: UInt64(place + 1),
                position: .start(of: 0))
            if var fold = folded {
                fold.evolve(fact, stamp)
                folded = fold
            } else {
                folded = SessionFold(fact, stamp)
            }
            if let folded { totals.add(PartitionTotals(of: RecordingTotals.share(of: folded))) }
        }
        for _ in 0..<3 { totals.add(PartitionTotals(of: folded.map(RecordingTotals.share))) }
        try show(try #require(folded), state, totals)
        try decide(state, event)
        try project(facts)
    }

    private static let completed = SessionEvent.Completed(
        sessionID: History.sessionID, merkleRoot: "r", chunkCount: 1, sizeBytes: 1, sealedBytes: 1,
        incomplete: false)

    private static func show(_ fold: SessionFold, _ state: SessionState, _ totals: RecordingTotals) throws {
        var writer = JSONWriter()
        fold.session.encode(into: &writer, as: .document)
        writer.removeAll()
        fold.pipeline.view.encode(into: &writer, as: .document)
        writer.removeAll()
        SessionStatisticsResponse(fold).encode(into: &writer)
        writer.removeAll()
        SystemStatisticsResponse(totals, StorageCapacity(totalBytes: .max, availableBytes: .min))
            .encode(into: &writer)
        writer.removeAll()
        CompressionStatsResponse(totals, algorithms: []).encode(into: &writer)
        writer.removeAll()
        RecordingStatusResponse(
            fold.session, state, isRecorderAlive: nil, waiting: .max, droppedBytes: .max
        ).encode(into: &writer)
        writer.removeAll()
        PipelineStatusResponse(fold.pipeline.view, state)?.encode(into: &writer)
        for now in times + [.latest, .earliest] {
            _ = Retention.verdict(fold.session, now: now, tagCounts: true).description
        }
        _ = fold.session.storage.violation(ofBytes: .max)
    }

    private static func decide(_ state: SessionState, _ event: RecordingEvent) throws {
        var commands: [SessionCommand] = [
            .delete(tagCounts: true), .deleteChunks(through: .max), .complete(merkleRoot: "r"),
            .stop(.requested, incomplete: true),
        ]
        if case .chunk(.recorded(let chunk)) = event { commands.append(.recordChunk(chunk)) }
        if case .session(.created(let creation)) = event { commands.append(.create(creation)) }
        for command in commands {
            do { _ = try SessionDecider.decide(command, state) } catch { _ = error.description }
        }
        if case .chunk(let chunk) = event, var view = ChunkView(.recorded(History.recorded(1)), stamp) {
            view.evolve(chunk, stamp)
            var writer = JSONWriter()
            view.encode(into: &writer, as: .document)
        }
        _ = state.orderedMerkleHashes
    }

    private static let stamp = EventStamp(time: .latest, sequence: 1, position: .start(of: 0))

    /// Through the projection, as the log has them, where they can be written at all.
    private static func project(_ facts: [RecordingEvent]) throws {
        let folder = ProjectionFolder(RecordingViews.all)
        folder.totals = ProjectedTotals(lineage: "", known: [:], unknown: [])
        var events: [RecordedEvent] = []
        for (place, fact) in facts.enumerated() {
            let proposed = try ProposedEvent(
                fact, id: "\(place)", time: .latest, context: EventContext(source: "/", actor: .system("t")),
                at: .newest)
            events.append(
                RecordedEvent(
                    event: proposed, partitionKey: History.sessionID, sequence: UInt64(place + 1),
                    position: LogPosition(partition: 0, milliseconds: .max, counter: UInt64(place))))
        }
        for event in events {
            do throws(FoldFailure) {
                _ = try folder.take([event]) { _ throws(FoldFailure) in
                } history: { (gap, _, _) throws(FoldFailure) in
                    throw gap
                } failure: {
                    $0
                }
            } catch { _ = error.description }
        }
    }
}

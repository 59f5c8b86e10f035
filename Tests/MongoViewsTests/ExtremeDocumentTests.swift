import Base
import EventSourcing
import Testing

@testable import MongoViews
@testable import Recording
import ReadModels

@Suite("Documents whose numbers are beyond all reason")
struct ExtremeDocumentTests {
    @Test("every number of every document may be anything: it is refused, or everything goes on with it")
    func extremes() async {
        // A trap would end the process that the documents are read in.
        await #expect(processExitsWith: .success) {
            let tried = try ExtremeDocuments.run()
            guard tried.lawful > 100, tried.refused > 1_000 else { throw BSONError.field("\(tried)") }
        }
    }

    @Test("what is no number, and what is out of bounds, is refused by name")
    func refused() throws {
        let fold = try #require(ExtremeDocuments.folds().first { $0.tally.chunkCount > 0 })
        let names: [(String, BSONValue)] = [
            ("duration_seconds", .int64(-1)), ("frame_count", .int64(-1)), ("average_fps", .double(.nan)),
            ("average_fps", .double(.infinity)), ("compression_ratio", .double(-1)),
        ]
        for (name, value) in names {
            let document = BSONDocument(fold.session)
            let bytes = try ExtremeDocuments.replacing(name, by: value, in: document.bytes)
            #expect(throws: BSONError.field(name), "\(name) \(value)") {
                _ = try SessionView(try BSONDocument(bytes: bytes).fields())
            }
        }
    }
}

/// Documents as they are stored, with one number of them changed.
private enum ExtremeDocuments {
    static func folds() -> [SessionFold] { all }

    private static let all: [SessionFold] = {
        var histories = Histories(seed: 77)
        var folds: [String: SessionFold] = [:]
        for event in histories.log(sessions: 6, chunks: 1...6) {
            guard let fact = try? RecordingEvent(event) else { continue }
            let stamp = EventStamp(event)
            if folds[event.partitionKey] != nil {
                folds[event.partitionKey]?.evolve(fact, stamp)
            } else {
                folds[event.partitionKey] = SessionFold(fact, stamp)
            }
        }
        return folds.sorted { $0.key < $1.key }.map(\.value)
    }()

    private struct Case {
        let document: BSONDocument
        let read: (BSONFields) throws -> Void
    }

    static func run() throws -> (lawful: Int, refused: Int) {
        var tried = (lawful: 0, refused: 0)
        let chunk = try #require(chunk)
        for fold in folds() {
            var totals = PartitionTotals(of: fold)
            totals.wholeFrom = .start(of: 0)
            totals.behind["s"] = 3
            let cases = [
                Case(document: BSONDocument(fold.session)) { use(try SessionView($0)) },
                Case(document: BSONDocument(fold.pipeline.view)) { use(try PipelineView($0)) },
                Case(document: BSONDocument(fold)) { use(try SessionFold($0)) },
                Case(document: BSONDocument(chunk)) { use(try ChunkView($0)) },
                Case(document: BSONDocument { totals.append(to: &$0, RecordingTotals.names, lineage: "l") }) {
                    use(try PartitionTotals($0, RecordingTotals.names))
                },
            ]
            for item in cases {
                for bytes in changed(item.document.bytes) {
                    do {
                        try item.read(try BSONDocument(bytes: bytes).fields())
                        tried.lawful += 1
                    } catch { tried.refused += 1 }
                }
            }
        }
        return tried
    }

    // MARK: - Changing

    private static let extremes: [(type: UInt8, bits: UInt64)] = {
        let whole: [Int64] = [.min, -1, 0, 1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, .max]
        let numbers: [Double] = [
            .nan, .signalingNaN, .infinity, -.infinity, -0.0, 1e308, -1e308, .leastNonzeroMagnitude,
            .greatestFiniteMagnitude, 0x1p63, 0.5,
        ]
        var all: [(type: UInt8, bits: UInt64)] = numbers.map { (type: 0x01, bits: $0.bitPattern) }
        for number in whole {
            all.append((type: 0x12, bits: UInt64(bitPattern: number)))
            all.append((type: 0x09, bits: UInt64(bitPattern: number)))
        }
        return all
    }()

    /// The document with each of its numbers and times replaced by each extreme.
    static func changed(_ bytes: [UInt8]) -> [[UInt8]] {
        var all: [[UInt8]] = []
        forEachNumber(of: bytes) { place, value, _ in
            for extreme in extremes { all.append(patched(bytes, place, value, extreme.type, extreme.bits)) }
        }
        return all
    }

    static func replacing(_ name: String, by value: BSONValue, in bytes: [UInt8]) throws -> [UInt8] {
        var result: [UInt8]?
        let (type, bits): (UInt8, UInt64) =
            switch value {
            case .int64(let number): (0x12, UInt64(bitPattern: number))
            case .double(let number): (0x01, number.bitPattern)
            default: throw BSONError.field(name)
            }
        forEachNumber(of: bytes) { place, at, key in
            if key == name, result == nil { result = patched(bytes, place, at, type, bits) }
        }
        return try #require(result, "no field \(name)")
    }

    private static func patched(
        _ bytes: [UInt8], _ place: Int, _ value: Int, _ type: UInt8, _ bits: UInt64
    ) -> [UInt8] {
        var bytes = bytes
        bytes[place] = type
        for index in 0..<8 { bytes[value + index] = UInt8(truncatingIfNeeded: bits >> UInt64(8 * index)) }
        return bytes
    }

    /// Where the values of eight bytes stand (https://bsonspec.org), inner documents and arrays included.
    private static func forEachNumber(of bytes: [UInt8], _ body: (Int, Int, String) -> Void) {
        var at = 4
        func length(_ at: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
        }
        while at < bytes.count {
            let type = bytes[at]
            let place = at
            at += 1
            if type == 0 { continue }
            let end = bytes[at...].firstIndex(of: 0) ?? bytes.count
            let key = String(decoding: bytes[at..<end], as: UTF8.self)
            at = end + 1
            switch type {
            case 0x01, 0x09, 0x12:
                body(place, at, key)
                at += 8
            case 0x02: at += 4 + length(at)
            case 0x03, 0x04: at += 4
            case 0x05: at += 5 + length(at)
            case 0x08: at += 1
            case 0x10: at += 4
            default: break
            }
        }
    }

    // MARK: - Going on

    private static let recorded = ChunkEvent.recorded(
        ChunkEvent.Recorded(
            chunk: ChunkReference(sessionID: "s", sequenceNumber: 7),
            content: ChunkContent(
                sizeBytes: NumberBounds.chunkBytes.upperBound, digest: String(repeating: "0", count: 64),
                keyID: "k", cipher: "xchacha20poly1305"),
            codec: "zstd", capturedAt: .latest, durationSeconds: NumberBounds.seconds.upperBound,
            frameCount: NumberBounds.frames.upperBound, droppedFrames: NumberBounds.frames.upperBound,
            qualityScore: 100, spoolPath: "x"))
    private static let chunk = ChunkView(
        recorded, EventStamp(time: .earliest, sequence: 1, position: .start(of: 0)))

    private static func use(_ fold: SessionFold) {
        var fold = fold
        for number in 1...3 {
            fold.evolve(
                .chunk(recorded),
                EventStamp(
                    time: .latest, sequence: fold.version &+ UInt64(number), position: .start(of: 0)))
        }
        use(fold.session)
        use(fold.pipeline.view)
        use(PartitionTotals(of: fold))
        var writer = JSONWriter()
        SessionStatisticsResponse(fold).encode(into: &writer)
        _ = BSONDocument(fold)
    }

    private static func use(_ session: SessionView) {
        var writer = JSONWriter()
        session.encode(into: &writer, as: .document)
        for now in [Timestamp.earliest, .latest] {
            _ = Retention.verdict(session, now: now, tagCounts: true).description
        }
        _ = BSONDocument(session)
    }

    private static func use(_ pipeline: PipelineView) {
        var writer = JSONWriter()
        pipeline.encode(into: &writer, as: .document)
        _ = BSONDocument(pipeline)
    }

    private static func use(_ chunk: ChunkView) {
        var chunk = chunk
        chunk.evolve(recorded, EventStamp(time: .latest, sequence: .max, position: .start(of: 0)))
        var writer = JSONWriter()
        chunk.encode(into: &writer, as: .document)
        _ = BSONDocument(chunk)
    }

    private static func use(_ totals: PartitionTotals) {
        var totals = totals
        for fold in folds() { totals.count(from: nil, to: RecordingTotals.share(of: fold)) }
        _ = BSONDocument { totals.append(to: &$0, RecordingTotals.names, lineage: "l") }
        var sums = RecordingTotals()
        for _ in 0..<4 { sums.add(totals) }
        var writer = JSONWriter()
        SystemStatisticsResponse(sums, StorageCapacity(totalBytes: 1, availableBytes: 2)).encode(
            into: &writer)
        CompressionStatsResponse(sums, algorithms: []).encode(into: &writer)
    }
}

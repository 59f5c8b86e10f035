import Base
import EventSourcing
import Foundation
import Recording
import Simulation
import Testing
import ReadModels

private let time = Timestamp(milliseconds: 1_767_225_600_123)
private let stamp = EventStamp(time: time, sequence: 3, position: .start(of: 0))

private func json(_ write: (inout JSONWriter) -> Void) throws -> JSONValue {
    var writer = JSONWriter()
    write(&writer)
    return try JSONValue(parsing: writer.bytes)
}

private func names(_ value: JSONValue?) -> [String] { value?.members?.map(\.name) ?? [] }

@Suite("Responses")
struct ResponseTests {
    private func fold(_ facts: [RecordingEvent] = []) throws -> SessionFold {
        var fold = try #require(SessionFold(.session(.created(History.creation)), stamp))
        for (place, fact) in facts.enumerated() {
            fold.evolve(
                fact,
                EventStamp(
                    time: Timestamp(milliseconds: time.milliseconds + Int64(place + 1) * 1000),
                    sequence: UInt64(place + 4), position: .start(of: 0)))
        }
        return fold
    }

    @Test("A session has the fields of the seed and its name, no password, and null where there is nothing")
    func session() throws {
        let view = try fold().session
        let shown = try json { view.encode(into: &$0) }
        #expect(
            names(shown) == [
                "session_id", "name", "status", "created_at", "started_at", "stopped_at", "rdp_config",
                "recording_config", "storage_config", "metadata", "statistics", "reel",
            ])
        #expect(shown["reel"]?["media"]?.isNull == true)
        #expect(shown["started_at"]?.isNull == true && shown["created_at"]?.string == time.rfc3339)
        #expect(
            names(shown["rdp_config"]) == ["host", "port", "username", "domain", "use_tls", "ignore_cert"])
        #expect(shown["recording_config"]?["bitrate"]?.isNull == true)
        #expect(shown["metadata"]?["project"]?.isNull == true)
        #expect(names(shown["statistics"]).count == 8)
    }

    @Test("The last verification is shown, with its first findings; null where there was none")
    func verification() throws {
        var fold = try fold()
        let never = fold.session
        #expect(try json { never.encode(into: &$0) }["reel"]?["verification"]?.isNull == true)
        fold.evolve(.session(.verified(History.verified(.sound))), stamp)
        var stampOfAnna = stamp
        stampOfAnna.actor = "anna"
        let findings = (1...7).map { "missing file \($0)" }
        fold.evolve(.session(.verified(History.verified(.damaged, findings: findings))), stampOfAnna)
        let view = fold.session
        for form in [ViewForm.response, .document] {
            let shown = try json { view.encode(into: &$0, as: form) }
            let verification = shown["reel"]?["verification"]
            #expect(names(verification) == ["outcome", "at", "by", "findings", "findings_count"])
            #expect(verification?["outcome"]?.string == "damaged")
            #expect(verification?["by"]?.string == "anna")
            #expect(verification?["findings"]?.array?.compactMap(\.string) == Array(findings.prefix(5)))
            #expect(verification?["findings_count"]?.integer == 7)
        }
    }

    @Test("A verification changes nothing that If-Match asks about, and does not make a session newer")
    func verificationChangesNothing() throws {
        let before = try fold().session
        let after = try fold([.session(.verified(History.verified(.sound)))]).session
        #expect(SessionDescription(after).tag == SessionDescription(before).tag)
        #expect(after.updatedAt == before.updatedAt)
        #expect(after.version == before.version + 1)
    }

    @Test("Which cases hold a session is shown to those who may know, in the order in which they were set")
    func holds() throws {
        func change(_ name: String) -> SessionEvent.HoldChange {
            SessionEvent.HoldChange(sessionID: History.sessionID, caseName: name, reason: "for \(name)")
        }
        let facts: [RecordingEvent] = ["A", "B", "C"].map { .session(.legalHoldSet(change($0))) }
        var stampOfAnna = stamp
        stampOfAnna.actor = "anna"
        var fold = try fold()
        for fact in facts + [.session(.legalHoldLifted(change("A"))), facts[1]] {
            fold.evolve(fact, stampOfAnna)
        }
        let view = fold.session
        #expect(try json { view.encode(into: &$0) }["holds"] == nil)
        let shown = try #require(try json { view.encode(into: &$0, showsHolds: true) }["holds"]?.array)
        #expect(shown.map { $0["case"]?.string } == ["B", "C"])
        #expect(shown.first.map(names) == ["case", "reason", "set_by", "set_at"])
        #expect(shown.first?["set_by"]?.string == "anna" && shown.first?["reason"]?.string == "for B")
        let document = try json { view.encode(into: &$0, as: .document) }
        #expect(document["reel"]?["holds"]?.array == shown)
    }

    @Test("Documents have the fields of the read models' schemas, in their order")
    func documents() throws {
        let fold = try fold()
        let chunk = try #require(ChunkView(.recorded(History.recorded(1)), stamp))
        let documents: [(String, JSONValue)] = [
            ("session", try json { fold.session.encode(into: &$0, as: .document) }),
            ("chunk", try json { chunk.encode(into: &$0, as: .document) }),
            ("pipeline", try json { fold.pipeline.view.encode(into: &$0, as: .document) }),
        ]
        for (name, document) in documents {
            let file = Repository.root.appendingPathComponent("schemas/read-models/\(name).json")
            let schema = try JSONValue(parsing: Array(try Data(contentsOf: file)))
            #expect(names(document) == names(schema["properties"]), "\(name)")
        }
    }

    @Test("A chunk tells of its processing once there was some")
    func chunk() throws {
        var view = try #require(ChunkView(.recorded(History.recorded(1)), stamp))
        var shown = try json { view.encode(into: &$0) }
        #expect(
            names(shown) == [
                "chunk_id", "session_id", "sequence_number", "timestamp", "status", "size_bytes",
                "duration_seconds", "frame_count", "merkle_hash", "storage_path", "processing_info",
            ])
        #expect(shown["processing_info"]?.isNull == true)
        view.evolve(.stored(History.stored(1)), stamp)
        shown = try json { view.encode(into: &$0) }
        #expect(
            names(shown["processing_info"]) == ["compression_ratio", "encryption_enabled", "quality_score"])
        #expect(shown["processing_info"]?["encryption_enabled"] == .bool(true))
        #expect(shown["processing_info"]?["compression_ratio"]?.number == 0.5)
    }

    @Test("A page says where it lies", arguments: [(0, 3, false), (5, 8, true)])
    func pagination(offset: Int, total: Int, hasPrevious: Bool) throws {
        let info = PaginationInfo(Page(limit: 3, offset: offset), total: total)
        let response = SessionListResponse(sessions: [try fold().session], pagination: info)
        let shown = try json { response.encode(into: &$0) }
        #expect(names(shown) == ["sessions", "pagination"])
        let page = try #require(shown["pagination"])
        #expect(names(page) == ["total", "limit", "offset", "has_next", "has_previous", "next_cursor"])
        #expect(page["has_previous"] == .bool(hasPrevious) && page["has_next"] == .bool(false))
        #expect(PaginationInfo(Page(limit: 2, offset: offset), total: total).hasNext)
    }

    @Test("Statistics are counted from the events: pauses, qualities, processing times, errors")
    func statistics() throws {
        // Chunks of a second each from the 1st to the 5th second, and one from the 10th on.
        func recorded(_ number: Int, _ score: Double?) -> RecordingEvent {
            var chunk = History.recorded(number)
            chunk.capturedAt = time.advanced(byMilliseconds: number == 5 ? 10_000 : Int64(number) * 1000)
            chunk.qualityScore = score
            chunk.frameCount = 30
            chunk.droppedFrames = 2
            return .chunk(.recorded(chunk))
        }
        func sealed(_ number: Int, _ ms: Double) -> ChunkEvent.Sealed {
            var payload = History.stored(number)
            payload.processingMilliseconds = ms
            return payload
        }
        let compressed = ChunkEvent.Compressed(
            chunk: History.recorded(1).chunk, content: History.recorded(1).content, codec: "zstd",
            compressedBytes: 50, processingMilliseconds: 4, spoolPath: nil)
        let facts: [RecordingEvent] = [
            .session(.started(sessionID: History.sessionID, status: .recording)), recorded(1, 90),
            recorded(2, 89.9), recorded(3, 50), recorded(4, 49), recorded(5, nil),
            .chunk(.compressed(compressed)), .session(.paused(sessionID: History.sessionID)),
            .chunk(.stored(sealed(1, 6))), .chunk(.stored(sealed(2, 3))),
            .session(.resumed(sessionID: History.sessionID)), History.stopped(chunks: 5, bytes: 500),
            .chunk(.failed(History.recorded(3).chunk, stage: "store", attempts: 3, causes: ["x"])),
        ]
        let response = SessionStatisticsResponse(try fold(facts))
        let shown = try json { response.encode(into: &$0) }
        func number(_ section: String, _ name: String) -> Double? { shown[section]?[name]?.number }
        #expect(number("recording_stats", "total_duration_seconds") == 10)
        #expect(number("recording_stats", "active_duration_seconds") == 5)
        #expect(number("recording_stats", "paused_duration_seconds") == 5)
        #expect(number("recording_stats", "average_fps") == 30)
        #expect(shown["time_range"]?["start"]?.string == time.advanced(byMilliseconds: 1000).rfc3339)
        #expect(shown["time_range"]?["end"]?.string == time.advanced(byMilliseconds: 11_000).rfc3339)
        #expect(number("recording_stats", "total_frames") == 150)
        #expect(number("recording_stats", "dropped_frames") == 10)
        #expect(number("storage_stats", "total_size_bytes") == 500)
        #expect(number("storage_stats", "compressed_size_bytes") == 100)
        #expect(number("storage_stats", "average_chunk_size_bytes") == 100)
        #expect(number("quality_stats", "min_quality_score") == 49)
        #expect(number("quality_stats", "max_quality_score") == 90)
        #expect(number("quality_stats", "average_quality_score") == 69.725)
        let classes = ["excellent", "good", "fair", "poor"]
        for name in classes {
            #expect(shown["quality_stats"]?["quality_distribution"]?[name]?.number == 0.25, "\(name)")
        }
        #expect(number("performance_stats", "average_processing_time_ms") == 6.5)
        #expect(number("performance_stats", "max_processing_time_ms") == 10)
        #expect(number("performance_stats", "min_processing_time_ms") == 3)
        #expect(number("performance_stats", "error_rate") == 0.25)
        let empty = SessionStatisticsResponse(try fold())
        let nothing = try json { empty.encode(into: &$0) }
        #expect(nothing["recording_stats"]?["total_duration_seconds"]?.integer == 0)
        #expect(nothing["time_range"]?["start"] == nothing["time_range"]?["end"])
    }

    @Test("System statistics bring sums and capacities together")
    func system() throws {
        var totals = RecordingTotals()
        totals.sessions = [.created: 1, .recording: 2, .paused: 1, .completed: 4]
        totals.durationSeconds = 70
        totals.startedCount = 7
        totals.storedBytes = 99
        let capacity = StorageCapacity(totalBytes: 1000, availableBytes: 400)
        let shown = try json { SystemStatisticsResponse(totals, capacity).encode(into: &$0) }
        let stats = try #require(shown["system_stats"])
        #expect(stats["total_sessions"]?.integer == 8 && stats["active_sessions"]?.integer == 3)
        #expect(stats["average_session_duration_seconds"]?.integer == 10)
        #expect(stats["total_storage_bytes"]?.integer == 99)
        #expect(shown["storage_stats"]?["used_capacity_bytes"]?.integer == 600)
        #expect(shown["performance_stats"]?["error_rate"]?.number == 0)
        #expect(StorageCapacity(totalBytes: 5, availableBytes: 9).usedBytes == 0)
    }
}

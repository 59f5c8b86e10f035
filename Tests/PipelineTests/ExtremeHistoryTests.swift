import Engine
import Base
import EventSourcing
import Foundation
import Pipeline
import Recording
import RedisLog
import SessionContent
import Simulation
import Supervision
import TestServers
import Testing

@Suite("Histories with numbers beyond all reason")
struct ExtremeHistoryTests {
    @Test("verify and export answer, and call nothing sound that nobody can have recorded")
    func verifiedAndExported() async {
        await #expect(processExitsWith: .success) {
            do { try ExtremeHistories().tryAll() } catch { Issue.record("\(error)") }
        }
    }
}

/// Sessions that were recorded, with the real files, and their histories in a real log with one number of one
/// event changed.
private final class ExtremeHistories {
    /// A session's events, and those of former versions that say the same.
    private struct History {
        let session: String
        let events: [RecordedEvent]
    }

    /// What says nothing that anything else depends on: any lawful number may have been written there.
    private static let free: Set<String> = [
        "rdp_config.port", "recording_config.frame_rate", "recording_config.bitrate",
        "storage_config.retention_days", "storage_config.max_size_gb", "capture.chunk_size_bytes",
        "media.size_bytes", "media.duration_seconds", "media.width", "media.height", "media.frame_rate",
        "media.frame_count", "duration_seconds", "frame_count", "dropped_frames", "quality_score",
        "processing_ms", "attempts", "bytes_read", "duration_ms",
    ]
    private static let patience = Duration.seconds(20)
    /// How many values of each number are tried; `all` in REEL_EXTREMES for every one.
    private static let sample = 4

    private let pieces: [[UInt8]]
    private let plant: Plant
    private let server: TestRedis
    private let database: Int
    private var random: SeededGenerator
    private var tried: [String: Int] = [:]
    private var soundOnes = 0

    init() throws {
        let bytes = sampleBytes(10_000)
        pieces = stride(from: 0, to: bytes.count, by: 4096).map {
            Array(bytes[$0..<min($0 + 4096, bytes.count)])
        }
        plant = try Plant(InMemoryEventLog(partitions: 1))
        server = try TestRedis.shared
        database = server.freshDatabase()
        random = SeededGenerator(seed: testSeed("ExtremeHistories"))
        try record("s", bytes)
        try record("d", bytes)
        plant.rest()
        try note("s")
        try delete("d")
    }

    /// Chunk 2 fails once, and is stored at the next try.
    private func record(_ id: String, _ bytes: [UInt8]) throws {
        var media = MediaFacts(container: "avi", sizeBytes: bytes.count, audio: false)
        (media.durationSeconds, media.frameRate, media.frameCount) = (10, 30, 300)
        (media.width, media.height) = (1920, 1080)
        try plant.record(bytes, as: id) { options in
            options.session.media = media
            options.session.recording.bitrate = 5000
        }
        let chunk = ChunkReference(sessionID: id, sequenceNumber: 2, chunkID: "\(id)-chunk-000002")
        try append(.chunk(.failed(chunk, stage: "compress", attempts: 3, causes: ["no room"])), to: id)
        if id == "s" {
            try plant.startWorkers([StageName.allCases])
            try plant.startCompletion()
        }
        try plant.wait(for: .completed, of: id)
    }

    private func append(_ fact: RecordingEvent, to session: String) throws {
        let event = try ProposedEvent(
            fact, id: fact.derivedID ?? "\(fact.subject)/ChunkFailed/1", time: SystemClock().now(),
            context: EventContext(source: "/test", actor: .system("test")), at: .newest)
        _ = try plant.log.open().append([event], to: session, expecting: .any)
    }

    /// Everything that may come after.
    private func note(_ id: String) throws {
        var change = SessionEvent.Updated(sessionID: id)
        change.recording = RecordingConfig()
        change.recording?.bitrate = 4000
        change.storage = StorageConfig()
        try plant.command(.update(change), on: id)
        for _ in 1...2 {
            let verified = try verifier(plant.log).verify(
                id, .command, context: EventContext(source: "/test", actor: .system("test")),
                stop: StopSignal())
            try #require(verified?.isRecorded == true, "\(String(describing: verified))")
        }
    }

    private func delete(_ id: String) throws {
        try plant.command(.delete(tagCounts: false), on: id)
        let removal = SessionRemoval(
            SessionRemoval.Places(plant.vault, passwords: nil), clock: SystemClock(), report: .silent)
        try removal.handle(try plant.events(of: id), try plant.log.open())
    }

    // What is tried

    func tryAll() throws {
        let completed = try measured("s")
        try expectUnchangedIsSound(completed)
        try tryNumbers(of: completed)
        try tryNumbers(of: History(session: "d", events: try plant.events(of: "d")))
        for file in try FileManager.default.contentsOfDirectory(atPath: Repository.events.path).sorted() {
            let parts = file.split(separator: ".")
            guard parts.count == 3, parts[2] == "json", parts[0] != "AuditRecorded",
                let version = Int(parts[1].dropFirst())
            else { continue }
            let type = String(parts[0])
            for (path, _) in try Repository.schema(of: type, version: version).numberPaths {
                let name = "\(type).v\(version) \(path.joined(separator: "."))"
                #expect(tried[name, default: 0] >= 2, "\(name) was tried \(tried[name, default: 0]) times")
            }
        }
        // Of what is refused always nothing is learnt.
        #expect(soundOnes > 10, "\(soundOnes) of \(tried.values.reduce(0, +)) were sound")
    }

    /// The session's history, in which every number stands that may.
    private func measured(_ session: String) throws -> History {
        let events = try plant.events(of: session).map { event in
            let fact: RecordingEvent = try RecordingEvent(event)
            guard case .chunk(.recorded(var payload)) = fact else { return event }
            payload.qualityScore = 80
            var event = event
            let source = event.event
            event.event = try ProposedEvent(
                RecordingEvent.chunk(.recorded(payload)), id: source.id, time: source.time,
                context: source.context, at: .newest)
            return event
        }
        return History(session: session, events: events)
    }

    private func expectUnchangedIsSound(_ history: History) throws {
        let found = try ask(history.session, try write(history.events.map(\.event), of: history.session))
        try #require(found.isSound && found.exported == pieces.flatMap { $0 }, "\(found)")
    }

    /// The last event of each type, in each of its versions.
    private func tryNumbers(of history: History) throws {
        var places: [String: Int] = [:]
        for (place, event) in history.events.enumerated() where event.data.isEmpty == false {
            if event.type.hasPrefix("Chunk"), !event.subject.hasSuffix("2") { continue }
            places[event.type] = place
        }
        for (type, place) in places.sorted(by: { $0.value < $1.value }) {
            for version in 1...history.events[place].event.version {
                let event = try former(history.events[place].event, version)
                for (path, schema) in try Repository.schema(of: type, version: version).numberPaths {
                    try tryNumber(history, place, event, path, schema)
                }
            }
        }
    }

    /// The event as a former build has written it.
    private func former(_ event: ProposedEvent, _ version: Int) throws -> ProposedEvent {
        guard version < event.version else { return event }
        let known = try Repository.schema(of: event.type, version: version)["properties"]?.members ?? []
        var data = try JSONValue(parsing: event.data)
        for member in data.members ?? [] where !known.contains(where: { $0.name == member.name }) {
            data = data.replacing([member.name], with: nil)
        }
        var former = event
        former.version = version
        former.data = data.encoded
        if event.type == "ChunkFailed" {
            former.data = former.data.dropLast() + Array(#","error":"x"}"#.utf8)
        }
        return former
    }

    private func tryNumber(
        _ history: History, _ place: Int, _ event: ProposedEvent, _ path: [String], _ schema: JSONValue
    ) throws {
        let data = try JSONValue(parsing: event.data)
        let name = path.joined(separator: ".")
        let known = path.reduce(Optional(data)) { $0?[$1] }?.number
        var texts = ExtremeNumbers.texts(around: schema)
        if ProcessInfo.processInfo.environment["REEL_EXTREMES"] != "all" {
            texts = Array(texts.shuffled(using: &random).prefix(Self.sample))
        }
        for text in texts {
            let value = (try? JSONValue(parsing: Array(text.utf8)))?.number
            // The same number in other words.
            if value != nil, value == known { continue }
            guard let changed = data.text(with: path, as: text) else { continue }
            var events = history.events.map(\.event)
            events[place] = event
            events[place].data = Array(changed.utf8)
            let log = try write(events, of: history.session)
            let what = "\(event.type).v\(event.version) \(name) = \(text.prefix(40))"
            let isPossible = Self.free.contains(name) && ExtremeNumbers.isLawful(text, by: schema)
            judge(try ask(history.session, log), what, isPossible)
            tried["\(event.type).v\(event.version) \(name)", default: 0] += 1
        }
    }

    private func judge(_ found: Answers, _ what: String, _ isPossible: Bool) {
        #expect(isPossible || !found.isSound, "\(what) is sound")
        #expect(found.took < Self.patience, "\(what) takes \(found.took)")
        if let bytes = found.exported { #expect(bytes == pieces.flatMap { $0 }, "\(what): other bytes") }
        #expect(
            found.isSound || found.exported == nil || found.isUnread, "\(what) is exported, and not sound")
        var rest = found.partial[...]
        for piece in pieces where rest.starts(with: piece) { rest = rest.dropFirst(piece.count) }
        #expect(rest.isEmpty, "\(what): \(rest.count) bytes that nobody has recorded")
        for failure in found.failures { Issue.record("\(what): \(failure)") }
        if found.isSound { soundOnes += 1 }
    }

    // The log, and who is asked

    /// Makes a log of these events alone.
    private func write(_ events: [ProposedEvent], of session: String) throws -> RedisEventLog {
        let script = "redis.call('SELECT', ARGV[1]) redis.call('FLUSHDB') return 'ok'"
        let answer = try server.run("EVAL", script, "0", "\(database)")
        try #require(answer == "ok", "\(answer)")
        let log = try RedisEventLog.open("\(server.url)/\(database)", createWith: 1)
        try #require(try log.formatLevel().raise().isEmpty)
        _ = try log.open().append(events, to: session, expecting: .absent)
        return log
    }

    private struct Answers {
        var isSound = false
        /// Whether an event of it can't be read, and it is known that no chunk lacks.
        var isUnread = false
        var exported: [UInt8]?
        var partial: [UInt8] = []
        var failures: [String] = []
        var took = Duration.zero
    }

    private func verifier(_ log: any EventLog) throws -> SessionVerifier {
        let keys = { [plant] in try plant.vault.openKeys() }
        return SessionVerifier(
            store: try log.open(), chunks: plant.vault.chunks, keys: keys, clock: SystemClock())
    }

    /// As the commands do: verified and told, exported whole, and whatever is sound of it.
    private func ask(_ session: String, _ log: RedisEventLog) throws -> Answers {
        var found = Answers()
        let began = ContinuousClock.now
        do {
            let verified = try verifier(log).verify(
                session, .command, context: EventContext(source: "/test", actor: .system("test")),
                stop: StopSignal())
            let report = try #require(verified).report
            var writer = JSONWriter()
            verified?.encode(into: &writer)
            for finding in report.findings { writer.value("\(finding)") }
            found.isSound = report.isSound
            found.isUnread = report.outcome == .unreadable
        } catch { found.failures.append("verify: \(error)") }
        let exporter = SessionExporter(
            store: try log.open(), chunks: plant.vault.chunks, keys: try plant.vault.openKeys())
        do {
            var bytes: [UInt8] = []
            try exporter.export(session) { part, _ in bytes.append(contentsOf: part) }
            found.exported = bytes
        } catch let failure as ContentFailure {
            _ = failure.description
        } catch { found.failures.append("export: \(error)") }
        do {
            let report = try exporter.exportSound(session) { part, _ in
                found.partial.append(contentsOf: part)
            }
            var writer = JSONWriter()
            report.encode(into: &writer)
        } catch let failure as ContentFailure {
            _ = failure.description
        } catch { found.failures.append("export --partial: \(error)") }
        found.took = ContinuousClock.now - began
        return found
    }
}

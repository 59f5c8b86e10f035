import Engine
import Base
import EventSourcing
import Pipeline
import Recording
@testable import RecordingMongo
import RedisLog
import Simulation
import Supervision
import TestServers
import Testing

@testable import MongoViews
@testable import ReadModels

/// What other people's rules keep out of a collection is said, holds up its own session alone, and is never
/// taken for a document that is there already.
@Suite("Documents that are not let in", .timeLimit(.minutes(10)))
struct RefusedDocumentTests {
    private let fixture: ReplayFixture

    init() throws { fixture = try ReplayFixture(partitions: 2) }

    /// A rule of somebody's, and which failure tells of it.
    enum Rule: CaseIterable, Sendable {
        case uniqueName, uniqueInAnyCase, validator, uniqueNestedFold

        var word: String {
            switch self {
            case .uniqueName: "index: name_1"
            case .uniqueInAnyCase: "index: any_case"
            case .validator: "Document failed validation"
            case .uniqueNestedFold: "index: session.name_1"
            }
        }
    }

    private func command(_ name: MongoNamespace, _ build: (inout BSONBuilder) -> Void) throws {
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            _ = try client.command(BSONDocument(build), operation: "test", on: name)
        }
    }

    private func createIndex(
        _ index: String, _ field: String, on name: MongoNamespace, ignoringCase: Bool = false
    ) throws {
        try command(name) { builder in
            builder.append("createIndexes", name.collection)
            builder.append("indexes", array: [0]) { builder, key, _ in
                builder.append(key) { builder in
                    builder.append("key") { $0.append(field, int32: 1) }
                    builder.append("name", index)
                    builder.append("unique", true)
                    if ignoringCase {
                        builder.append("collation") { builder in
                            builder.append("locale", "en")
                            builder.append("strength", int32: 1)
                        }
                    }
                }
            }
        }
    }

    private func make(_ rule: Rule) throws {
        let shown = fixture.collections
        // The collections are there, with our indexes.
        _ = try fixture.projection().checkpoints()
        switch rule {
        case .uniqueName: try createIndex("name_1", "name", on: shown.sessions)
        case .uniqueInAnyCase:
            try createIndex("any_case", "session_id", on: shown.sessions, ignoringCase: true)
        case .uniqueNestedFold: try createIndex("session.name_1", "session.name", on: shown.folds)
        case .validator:
            try command(shown.sessions) { builder in
                builder.append("collMod", shown.sessions.collection)
                builder.append("validator") { builder in
                    builder.append("session_id") { $0.append("$ne", Self.second) }
                }
            }
        }
    }

    private func drop(_ rule: Rule) throws {
        let shown = fixture.collections
        switch rule {
        case .uniqueName: try drop("name_1", on: shown.sessions)
        case .uniqueInAnyCase: try drop("any_case", on: shown.sessions)
        case .uniqueNestedFold: try drop("session.name_1", on: shown.folds)
        case .validator:
            try command(shown.sessions) { builder in
                builder.append("collMod", shown.sessions.collection)
                builder.append("validator") { _ in }
            }
        }
    }

    private func drop(_ index: String, on name: MongoNamespace) throws {
        try fixture.pool.withClient { (client) throws(MongoFailure) in try client.dropIndex(index, on: name) }
    }

    private static let second = "SESS-A"

    /// Two sessions that the rules take for one, and one that nothing is wrong with.
    private func record() throws {
        var events: [ProposedEvent] = []
        var keys: [String] = []
        for id in ["sess-a", Self.second, "sess-other"] {
            let created = SessionEvent.Created(
                sessionID: id, name: id == "sess-other" ? "other" : "same",
                rdp: RDPConfig(host: "desk.example", username: "ann"), recording: RecordingConfig(),
                storage: StorageConfig(), metadata: SessionMetadata(),
                capture: CaptureConfig(source: .stream, chunkSizeBytes: 4096))
            for (number, event) in [
                RecordingEvent.session(.created(created)),
                .session(.started(sessionID: id, status: .starting)),
                .session(.started(sessionID: id, status: .recording)),
            ].enumerated() {
                events.append(
                    ProposedEvent(
                        sample: event, id: "\(id)/\(number)", time: SystemClock().now(),
                        context: EventContext(source: "/test", actor: .system("test"))))
                keys.append(id)
            }
        }
        for (event, key) in zip(events, keys) {
            _ = try fixture.store.append([event], to: key, expecting: .any)
        }
    }

    private func running(_ body: () throws -> Void) throws {
        let stop = StopSignal()
        let (models, log) = (fixture.models, fixture.log)
        let thread = try OwnThread(name: "projector") {
            let projection = models.projection(epoch: log.epoch, log: try log.open())
            try ProjectionWorker(projection: projection, log: log, report: .silent).run(stop: stop)
        }
        defer {
            stop.set()
            _ = thread.wait(milliseconds: 10_000)
        }
        try body()
    }

    private func eventually(_ what: String, _ condition: () throws -> Bool) throws {
        let pause = StopSignal()
        let deadline = ContinuousClock.now + .seconds(60)
        while !(try condition()) {
            try #require(ContinuousClock.now < deadline, "not within 60 s: \(what)")
            _ = pause.wait(milliseconds: 20)
        }
    }

    @Test(
        "it is named and parked with its session, others go on, and mended it is shown",
        arguments: Rule.allCases)
    func rules(_ rule: Rule) throws {
        try make(rule)
        try record()
        let parked = fixture.log.parkedEvents()
        func shown(_ session: String) throws -> UInt64 {
            try fixture.models.queries.session(session)?.version ?? 0
        }
        func isCaughtUp() throws -> Bool {
            let ends = try (0..<2).map { try fixture.store.end(of: $0) }
            let progress = try fixture.models.progress(epoch: fixture.log.epoch)
            return ends.allSatisfy { $0.milliseconds == 0 || progress[$0.partition] == $0 }
        }
        try running {
            try eventually("one session is parked, and the checkpoints pass it") {
                try parked.count(group: MongoReadModels.subscription.name) == 1 && isCaughtUp()
            }
            let event = try #require(try parked.list(group: MongoReadModels.subscription.name).first)
            #expect(event.reason.attempts == 3)
            let text = event.reason.errors.joined(separator: " ")
            #expect(text.contains(rule.word), "\(text)")
            #expect(!text.contains("\"same\""), "a value of a document is shown: \(text)")
            #expect(try shown("sess-other") == 3)
            // In `folds` the second one is refused, which leaves its other documents where they are.
            if rule != .uniqueNestedFold {
                #expect(Set([try shown("sess-a"), try shown(Self.second)]) == [0, 3])
            }
            try drop(rule)
            let name = MongoReadModels.subscription.name
            #expect(try parked.retry(subscription: name, event.position) == .done)
            try eventually("nothing is parked") {
                try parked.count(group: MongoReadModels.subscription.name) == 0
            }
        }
        try fixture.expectShown()
    }

    @Test("a rebuild lists what is not let in, and does not put itself in the place of what shows more")
    func rebuilds() throws {
        try record()
        try fixture.project()
        try make(.validator)
        try fixture.tamper(
            fixture.collections.pipeline, "session_id", "sess-other", "pipeline_status", "lost")
        let outcome = try fixture.replay()
        #expect(outcome.waiting.map(\.partitionKey) == [Self.second])
        #expect(outcome.waiting.first?.reason.contains("Document failed validation") == true)
        #expect(outcome.isWithheld && !outcome.isSwapped)
        try drop(.validator)
        #expect(try fixture.replay().isSwapped)
        try fixture.expectShown()
    }

    @Test("a document that is too large for the server holds up its own session alone")
    func tooLarge() throws {
        let name = fixture.collections.sessions
        func document(_ key: String, _ bytes: Int) -> DocumentWrite {
            DocumentWrite(
                key: key, version: 1,
                document: BSONDocument { builder in
                    builder.append("session_id", key)
                    builder.append("version", int64: Int64(1))
                    builder.append("text", String(repeating: "x", count: bytes))
                }, isNew: key != "b", history: key, since: .start(of: 0))
        }
        let refused = try fixture.pool.withClient { (client) throws(MongoFailure) in
            try client.store(
                [document("a", 10), document("b", 17_000_000), document("c", 17_000_000), document("d", 10)],
                by: "session_id", in: name)
        }
        #expect(refused.map(\.place).sorted() == [1, 2])
        #expect(refused.allSatisfy { $0.failure.kind == .refused && $0.failure.text.contains("too large") })
        let found = try fixture.pool.withClient { (client) throws(MongoFailure) in
            try client.find(MongoFind(), in: name) { (fields) throws(BSONError) in
                try fields.string("session_id")
            }
        }
        #expect(found.sorted() == ["a", "d"])
    }

    @Test("what is there at its version is no refusal, whichever index is asked first")
    func thereAlready() throws {
        let name = fixture.collections.sessions
        // Older than the key's own index, so that the server asks it first.
        try createIndex("name_1", "name", on: name)
        _ = try fixture.projection().checkpoints()
        func document(_ key: String, _ version: UInt64) -> DocumentWrite {
            DocumentWrite(
                key: key, version: version,
                document: BSONDocument { builder in
                    builder.append("session_id", key)
                    builder.append("name", "same")
                    builder.append("version", int64: Int64(version))
                }, isNew: true, history: key, since: .start(of: 0))
        }
        func store(_ documents: DocumentWrite...) throws -> [Int] {
            try fixture.pool.withClient { (client) throws(MongoFailure) in
                try client.store(documents, by: "session_id", in: name).map(\.place)
            }
        }
        #expect(try store(document("a", 2)) == [])
        #expect(try store(document("a", 2)) == [])
        #expect(try store(document("a", 1), document("b", 1)) == [1])
        #expect(try store(document("a", 3)) == [])
        #expect(
            try fixture.pool.withClient { (client) throws(MongoFailure) in
                try client.find(MongoFind(), in: name) { (fields) throws(BSONError) in
                    try fields.int("version")
                }
            } == [3])
    }
}

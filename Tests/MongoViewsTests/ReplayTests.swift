import Base
import Engine
import EventSourcing
import Pipeline
import Recording
@testable import RecordingMongo
import Simulation
import Supervision
import TestServers
import Testing

@testable import MongoViews
import ReadModels

@Suite("Replay", .timeLimit(.minutes(10)))
struct ReplayTests {
    @Test("A rebuild equals what was projected event by event, and changes nothing then")
    func rebuildEqualsIncremental() throws {
        let fixture = try ReplayFixture()
        try fixture.append(fixture.history(seed: 1, sessions: 12))
        try fixture.project()
        for verify in [true, false] {
            let outcome = try fixture.replay(verify: verify)
            #expect(outcome.comparison.differences == 0, "\(outcome.comparison.listed)")
            #expect(outcome.comparison.unsettled == 0)
            #expect(outcome.comparison.documents > 36)
            #expect(!outcome.isSwapped)
            #expect(try outcome.events == fixture.events().count)
        }
        try fixture.expectShown()
    }

    @Test("Documents that were changed, dropped or added are found, and mended")
    func differences() throws {
        let fixture = try ReplayFixture()
        try fixture.append(fixture.history(seed: 2, sessions: 10))
        try fixture.projectAtOnce()
        let shown = fixture.collections
        let chunk = try #require(try Expected(fixture.events()).chunks.keys.min())
        try fixture.tamper(shown.chunks, "chunk_id", chunk, "status", "lost")
        try fixture.tamper(shown.sessions, "session_id", "sess-3", "metadata.project", "mine")
        try fixture.tamper(shown.folds, "session_id", "sess-4", "session.name", "other")
        try fixture.delete(shown.pipeline, "session_id", "sess-5")
        try fixture.write(
            .insert(
                BSONDocument { builder in
                    builder.append("session_id", "sess-never")
                    builder.append("version", int64: Int64(3))
                }), to: shown.sessions)
        try fixture.write(.insert(BSONDocument { $0.append("note", "no id") }), to: shown.chunks)
        let expected: Set<ReadModelDifference> = [
            ReadModelDifference(collection: "chunks", key: chunk, .changed(["status"])),
            ReadModelDifference(collection: "sessions", key: "sess-3", .changed(["metadata.project"])),
            ReadModelDifference(collection: "folds", key: "sess-4", .changed(["session.name"])),
            ReadModelDifference(collection: "pipeline", key: "sess-5", .missing),
            ReadModelDifference(collection: "sessions", key: "sess-never", .extra),
            ReadModelDifference(collection: "chunks", key: "", .extra),
        ]
        let verified = try fixture.replay(verify: true)
        #expect(Set(verified.comparison.listed) == expected)
        #expect(verified.comparison.differences == expected.count && !verified.isSwapped)
        // Looking changes nothing.
        #expect(try Set(fixture.replay(verify: true).comparison.listed) == expected)
        let outcome = try fixture.replay()
        #expect(outcome.isSwapped && outcome.comparison.differences == expected.count)
        try fixture.expectShown()
        #expect(try fixture.replay(verify: true).comparison.differences == 0)
    }

    @Test("A version that the log can't have made is found, one that it may still make is waited for")
    func behindAndBeyond() throws {
        let fixture = try ReplayFixture()
        let history = fixture.history(seed: 3, sessions: 4)
        try fixture.append(Array(history.prefix(history.count / 2)))
        try fixture.projectAtOnce()
        try fixture.append(Array(history.dropFirst(history.count / 2)))
        // The projector is behind and doesn't run: nobody can say that anything is wrong.
        let behind = try fixture.replay(verify: true)
        #expect(behind.comparison.differences == 0)
        #expect(behind.comparison.unsettled > 0)
        try fixture.projectAtOnce()
        try fixture.write(
            .update(
                filter: BSONDocument { $0.append("session_id", "sess-1") },
                with: BSONDocument { builder in
                    builder.append("$set") { builder in
                        builder.append("version", int64: Int64(9_999))
                        builder.append("log_position", "p001/9999999999999-0")
                    }
                }, upsert: false), to: fixture.collections.sessions)
        let beyond = try fixture.replay(verify: true)
        #expect(beyond.comparison.listed.map(\.key) == ["sess-1"])
        #expect(beyond.comparison.unsettled == 0)
    }

    @Test("A dropped collection and a dropped database are built again")
    func dropped() throws {
        let fixture = try ReplayFixture()
        try fixture.append(fixture.history(seed: 4, sessions: 8))
        try fixture.projectAtOnce()
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            try client.dropCollection(fixture.collections.chunks)
        }
        let outcome = try fixture.replay()
        #expect(outcome.isSwapped && outcome.comparison.listed.allSatisfy { $0.kind == .missing })
        try fixture.expectShown()
        try fixture.models.drop()
        #expect(try fixture.replay().isSwapped)
        // Where no projector has been yet, there is no checkpoint that could have sums.
        try fixture.expectShown(counted: false)
        try fixture.project()
        try fixture.expectShown()
    }

    @Test("One collection is rebuilt, the others are left as they are")
    func oneCollection() throws {
        let fixture = try ReplayFixture()
        try fixture.append(fixture.history(seed: 5, sessions: 6))
        try fixture.projectAtOnce()
        let shown = fixture.collections
        try fixture.tamper(shown.sessions, "session_id", "sess-1", "name", "x")
        try fixture.tamper(shown.pipeline, "session_id", "sess-2", "pipeline_status", "x")
        let outcome = try fixture.replay(.collection("sessions"))
        #expect(outcome.isSwapped && outcome.comparison.listed.map(\.key) == ["sess-1"])
        let left = try fixture.replay(verify: true).comparison
        #expect(left.listed.map(\.key) == ["sess-2"])
        #expect(try fixture.replay(.collection("chunks")).comparison.differences == 0)
        #expect(try fixture.replay(.collection("pipeline")).isSwapped)
        try fixture.expectShown()
    }

    @Test("One session is rebuilt, the others are left as they are")
    func oneSession() throws {
        let fixture = try ReplayFixture()
        try fixture.append(fixture.history(seed: 6, sessions: 6))
        try fixture.projectAtOnce()
        let shown = fixture.collections
        let chunks = try Expected(fixture.events()).chunks.values
        let chunk = try #require(chunks.filter { $0.sessionID == "sess-1" }.map(\.chunkID).min())
        try fixture.tamper(shown.chunks, "chunk_id", chunk, "status", "lost")
        try fixture.delete(shown.pipeline, "session_id", "sess-1")
        try fixture.write(
            .insert(
                BSONDocument { builder in
                    builder.append("chunk_id", "sess-1-chunk-999999")
                    builder.append("session_id", "sess-1")
                }), to: shown.chunks)
        try fixture.tamper(shown.sessions, "session_id", "sess-2", "name", "x")
        #expect(try fixture.replay(.history("sess-1"), verify: true).comparison.differences == 3)
        let outcome = try fixture.replay(.history("sess-1"))
        #expect(outcome.isSwapped && outcome.comparison.differences == 3)
        #expect(try fixture.replay(.history("sess-1"), verify: true).comparison.differences == 0)
        #expect(try fixture.replay(verify: true).comparison.listed.map(\.key) == ["sess-2"])
        #expect(try fixture.replay(.history("sess-2")).isSwapped)
        try fixture.expectShown()
    }

    @Test("A projector that kept a wrong fold in memory forgets it with the swap")
    func memoryIsForgotten() throws {
        let fixture = try ReplayFixture(partitions: 1)
        let history = fixture.history(seed: 7, sessions: 1)
        try fixture.append(Array(history.prefix(5)))
        try fixture.projectAtOnce()
        try fixture.tamper(fixture.collections.folds, "session_id", "sess-0", "session.name", "wrong")
        let projector = fixture.projection()
        let from = try projector.checkpoints()
        try fixture.append([history[5]])
        let begin = try #require(from[0])
        let first = try fixture.store.read(after: begin, limit: 10)
        try projector.apply(first)
        #expect(try fixture.models.queries.session("sess-0")?.name == "wrong")
        #expect(try fixture.replay().isSwapped)
        try fixture.append(Array(history.dropFirst(6)))
        let last = try #require(first.last).position
        let rest = try fixture.store.read(after: last, limit: 1_000)
        #expect(throws: ProjectionFailure.replaced(database: fixture.collections.database)) {
            try projector.apply(rest)
        }
        #expect(try projector.checkpoints()[0] == last)
        try projector.apply(rest)
        try fixture.expectShown()
    }

    @Test("A log that holds both versions of an event is projected and rebuilt alike")
    func bothVersions() throws {
        let fixture = try ReplayFixture(partitions: 1)
        let failed = #"{"chunk_id":"CHUNK","session_id":"sess-0","sequence_number":1,"stage":"store","#
        var log = Array(fixture.history(seed: 8, sessions: 1).prefix(5))
        let recorded = try #require(log.last?.event)
        let chunk = ChunkReference(sessionID: "sess-0", sequenceNumber: 1)
        let content = ChunkContent(sizeBytes: 5, digest: "0", keyID: "k", cipher: "none")
        var events = [
            ProposedEvent(
                sample: RecordingEvent.chunk(
                    .recorded(
                        ChunkEvent.Recorded(
                            chunk: chunk, content: content, codec: "none", capturedAt: recorded.time,
                            durationSeconds: 1, frameCount: 0, spoolPath: "x"))),
                id: "both/recorded", time: recorded.time, context: recorded.context)
        ]
        log.removeAll { $0.type == "ChunkRecorded" }
        for (version, member) in [
            (1, #""attempts":3,"error":"no room"}"#), (2, #""attempts":4,"causes":["a","b"]}"#),
        ] {
            let text = (failed + member).replacing("CHUNK", with: chunk.chunkID)
            events.append(
                ProposedEvent(
                    id: "both/\(version)", type: "ChunkFailed", version: version, subject: chunk.chunkID,
                    time: recorded.time, context: recorded.context, data: Array(text.utf8)))
        }
        try fixture.append(log)
        for (count, message) in [(2, "no room"), (3, "a: b")] {
            for event in events.prefix(count) {
                _ = try fixture.store.append([event], to: "sess-0", expecting: .any)
            }
            try fixture.project()
            let stages = try #require(try fixture.models.queries.pipeline(ofSession: "sess-0")).stages
            #expect(stages.first { $0.name == "store" }?.errorMessage == message)
        }
        #expect(try fixture.replay(verify: true).comparison.differences == 0)
        // What is stored stays as it was written.
        let stored = try fixture.events().filter { $0.type == "ChunkFailed" }
        #expect(stored.map(\.event.version) == [1, 2])
        #expect(stored.first?.data == events[1].data)
        try fixture.expectShown()
    }

    @Test("A session at a moment equals the fold of the prefix")
    func atAMoment() throws {
        let fixture = try ReplayFixture()
        try fixture.append(fixture.history(seed: 9, sessions: 3))
        for session in ["sess-0", "sess-1"] {
            let history = try fixture.store.load(session, after: 0, limit: 1_000)
            for (index, event) in history.enumerated() {
                let prefix = try Expected(Array(history.prefix(index + 1)))
                for text in ["\(event.sequence)", "\(event.position)"] {
                    let moment = try #require(Moment(text))
                    let found = try #require(try SessionAsOf(session, at: moment, in: fixture.store))
                    #expect(found.fold.session == prefix.sessions[session])
                    #expect(found.fold.pipeline.view == prefix.pipelines[session])
                    #expect(Set(found.chunks) == Set(prefix.chunks.values))
                }
                let sameTime = history.prefix { $0.time <= event.time }
                let moment = try #require(Moment(event.time.rfc3339))
                let found = try SessionAsOf(session, at: moment, in: fixture.store)
                #expect(found?.fold.version == sameTime.last?.sequence)
            }
            let first = try #require(history.first).time
            let before = Timestamp(milliseconds: first.milliseconds - 1)
            #expect(try SessionAsOf(session, at: .time(before), in: fixture.store) == nil)
        }
        for text in ["", "0", "-3", "yesterday", "p001/", "p001/5"] { #expect(Moment(text) == nil) }
    }
}

import ChunkFiles
import Engine
import Base
import EventSourcing
import Foundation
import Pipeline
import Recording
import Simulation
import Supervision
import TestServers
import Testing
import Files

@Suite("What a legal hold keeps")
struct LegalHoldTests {
    private func hold(_ plant: Plant, _ session: String) throws {
        try plant.command(.hold(caseName: "A", reason: "r"), on: session)
    }

    /// Writes past the rules, as whoever can write the log could.
    private func force(_ fact: SessionEvent, on session: String, _ store: any EventStore) throws {
        let event = try ProposedEvent(
            RecordingEvent.session(fact), id: "\(session)/forced-\(fact.typeName)",
            time: SystemClock().now(), context: EventContext(source: "/x", actor: .system("x")), at: .newest)
        _ = try store.append([event], to: session, expecting: .any)
    }

    private func lifted(_ session: String) -> SessionEvent {
        .legalHoldLifted(SessionEvent.HoldChange(sessionID: session, caseName: "A", reason: "r"))
    }

    @Test(
        "content is not removed for a deletion that no rule would have allowed", arguments: LogKind.allCases)
    func forgedDeletion(_ kind: LogKind) throws {
        let plant = try Plant(try kind.open())
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        let bytes = [UInt8](repeating: 7, count: 9000)
        try plant.record(bytes, as: "held")
        try plant.wait(for: .completed, of: "held")
        try hold(plant, "held")
        let store = try plant.log.open()
        try force(.deleted(sessionID: "held"), on: "held", store)
        let removal = SessionRemoval(
            SessionRemoval.Places(plant.vault, passwords: InMemoryPasswordRecords()), clock: SystemClock(),
            report: .silent)
        let last = try #require(try plant.events(of: "held").last)
        #expect(throws: (any Error).self) { try removal.handle([last], store) }
        #expect(try plant.vault.archive.open().record(ofSession: "held") != nil)
        #expect(try plant.vault.chunks.list(session: "held").files.count == 3)
        // Without the case the same deletion removes it.
        try force(lifted("held"), on: "held", store)
        try removal.handle([last], store)
        #expect(try plant.vault.archive.open().record(ofSession: "held") == nil)
    }

    @Test("a handler that is behind removes nothing of what is held by now", arguments: LogKind.allCases)
    func holdAhead(_ kind: LogKind) throws {
        let plant = try Plant(try kind.open())
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        try plant.record(sampleBytes(100), as: "held")
        try plant.wait(for: .completed, of: "held")
        try eventually("the spool is emptied") { try plant.vault.spool.sessions().isEmpty }
        plant.rest()
        let completed = try #require(try plant.events(of: "held").last { $0.type == "SessionCompleted" })
        try hold(plant, "held")
        try plant.vault.spool.makeFolder(of: "held")
        let store = try plant.log.open()
        func handle() throws {
            try SessionCompletion(spool: plant.vault.spool, clock: SystemClock(), report: .silent)
                .handle([completed], store)
        }
        try handle()
        #expect(try plant.vault.spool.sessions() == ["held"])
        try force(lifted("held"), on: "held", store)
        try handle()
        #expect(try plant.vault.spool.sessions().isEmpty)
    }

    @Test(
        "a hold that cannot be read keeps the content, and removal goes on when it can and is lifted",
        arguments: LogKind.allCases, Spoiling.allCases)
    func spoiltHold(_ kind: LogKind, _ spoiling: Spoiling) throws {
        let plant = try Plant(try kind.open(partitions: 1))
        let (log, name) = (plant.log, SessionRemoval.subscription.name)
        let store = try log.open()
        for session in ["held", "first", "second"] {
            try plant.record(sampleBytes(9000), as: session)
            let image = ScratchBuffer()
            image.append([1, 2, 3])
            _ = try image.withBytes { try plant.vault.chunks.store($0, session: session, sequence: 1) }
        }
        try hold(plant, "held")
        let place = try #require(try plant.events(of: "held").last).position
        let (stop, vault) = (StopSignal(), plant.vault)
        let thread = try OwnThread(name: "removal") {
            let handler = SessionRemoval(
                SessionRemoval.Places(vault, passwords: InMemoryPasswordRecords()), clock: SystemClock(),
                report: .silent)
            try OrderedWorker(
                handler: handler, log: log, policy: RetryPolicy(baseMilliseconds: 1), report: .silent
            ).run(stop: stop)
        }
        defer {
            stop.set()
            _ = thread.wait(milliseconds: 10_000)
        }
        func isThere(_ session: String) throws -> Bool {
            try plant.vault.archive.open().record(ofSession: session) != nil
                && plant.vault.chunks.list(session: session).files.count == 1
                && plant.vault.spool.sequences(session: session) == [1, 2, 3]
        }
        func isGone(_ session: String) throws -> Bool {
            try plant.vault.archive.open().record(ofSession: session) == nil
                && plant.vault.chunks.list(session: session).files.isEmpty
                && plant.vault.spool.sequences(session: session).isEmpty
        }
        func reason() throws -> String? {
            try log.parked(behind: name).values.first.map { $0.errors.joined() }
        }
        // What this one's deletion stands behind, it has read.
        try plant.command(.delete(tagCounts: false), on: "first")
        try eventually("it has read the hold") { try isGone("first") }
        try log.spoil(place, spoiling)
        try force(.deleted(sessionID: "held"), on: "held", store)
        try eventually("the deletion is parked") { try reason() != nil }
        #expect(try reason()?.contains("\(place)") == true)
        try plant.command(.delete(tagCounts: false), on: "second")
        try eventually("others go on") { try isGone("second") }
        #expect(try isThere("held"))
        // Mended, it is a hold again.
        try log.spoil(place, nil)
        let parked = try #require(try log.parked(behind: name).keys.first)
        try log.retry(name, parked)
        try eventually("it is held") { try reason()?.contains("legal hold") == true }
        #expect(try isThere("held"))
        try force(lifted("held"), on: "held", store)
        try log.retry(name, parked)
        try eventually("nothing holds it any more") { try isGone("held") }
    }

    @Test("nobody empties the spool of a held session, however it ended")
    func spool() throws {
        let plant = try Plant(InMemoryEventLog(partitions: 4))
        let store = try plant.log.open()
        for session in ["held", "free"] {
            try plant.command(.create(Plant.session(session, chunkBytes: 4096)), on: session)
            try plant.command(.start, on: session)
            try plant.command(.begin, on: session)
            // What was uploaded before its turn, acknowledged with 202, and never had its turn.
            try leave(plant, session)
            if session == "held" { try hold(plant, session) }
            try plant.command(.stop(.requested, incomplete: true), on: session)
        }
        func files(_ session: String) -> Int {
            let path = "\(plant.vault.spool.root)/\(session)"
            return (try? FileManager.default.contentsOfDirectory(atPath: path).count) ?? 0
        }
        let completion = SessionCompletion(spool: plant.vault.spool, clock: SystemClock(), report: .silent)
        for session in ["held", "free"] {
            for _ in 0..<3 { try completion.handle(try plant.events(of: session), store) }
            #expect(try plant.state(of: session).status == .completed)
        }
        #expect(files("held") == 1 && files("free") == 0)
        // A session of which nothing is held shows that the sweep has gone through all of them.
        try leave(plant, "free")
        try swept(plant) { files("free") == 0 }
        #expect(files("held") == 1)
        try plant.command(.liftHold(caseName: nil, reason: "r"), on: "held")
        try swept(plant) { files("held") == 0 }
    }

    @Test("what was never finished goes, also of a held session and of one that the log does not know")
    func unfinished() throws {
        let plant = try Plant(InMemoryEventLog(partitions: 4))
        try plant.command(.create(Plant.session("held", chunkBytes: 4096)), on: "held")
        try hold(plant, "held")
        let root = plant.vault.spool.root
        for session in ["held", "ghost"] {
            try plant.vault.spool.makeFolder(of: session)
            let path = "\(root)/\(session)/.tmp-0123456789abcdef"
            try Data("x".utf8).write(to: URL(fileURLWithPath: path))
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -7200)], ofItemAtPath: path)
        }
        func isThere(_ session: String) throws -> Bool {
            try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(session)")
                .contains { $0.hasPrefix(".tmp-") }
        }
        try swept(plant) { (try? !isThere("held") && !isThere("ghost")) ?? false }
        #expect(try !isThere("held") && !isThere("ghost"))
    }

    /// Leaves a file in the spool that no event names.
    private func leave(_ plant: Plant, _ session: String) throws {
        _ = try [UInt8](repeating: 1, count: 3).withUnsafeBytes {
            try plant.vault.spool.write($0, session: session, sequence: 7)
        }
    }

    /// Sweeps the spool once.
    private func swept(_ plant: Plant, until isDone: () -> Bool) throws {
        let (stop, spool, log) = (StopSignal(), plant.vault.spool, plant.log)
        let thread = try OwnThread(name: "sweep") {
            try SpoolSweep(spool: spool, log: log, report: .silent).run(stop: stop)
        }
        try eventually("the spool is swept", isDone)
        stop.set()
        try thread.join()
    }

    @Test("a parked chunk of a held session is not given up, and can be once it is free")
    func discard() throws {
        let plant = try Plant(InMemoryEventLog(partitions: 4))
        for command in [
            .create(Plant.session("s", chunkBytes: 4096)), .start, .begin,
            .stop(.requested, incomplete: false),
        ] as [SessionCommand] {
            try plant.command(command, on: "s")
        }
        try hold(plant, "s")
        let decisions = ParkedDecisions(
            store: try plant.log.open(), clock: SystemClock(), actor: .system("test"), source: "/test")
        let refusal = try decisions.discard(session: "s", eventID: "e", causes: ["disk lost"])
        #expect(refusal?.contains("legal hold") == true)
        #expect(try plant.state(of: "s").status == .stopped)
        #expect(try decisions.retry(session: "s", eventID: "e") == nil)
        try plant.command(.liftHold(caseName: "A", reason: "r"), on: "s")
        #expect(try decisions.discard(session: "s", eventID: "e", causes: ["disk lost"]) == nil)
        #expect(try plant.state(of: "s").status == .failed)
    }
}

@Suite("Taking over the tag legal-hold")
struct HoldTagTakeoverTests {
    private let log = InMemoryEventLog(partitions: 4)

    private func make(_ id: String, tags: [String]) throws {
        var created = Plant.session(id, chunkBytes: 4096)
        created.metadata.tags = tags
        try Plant.command(.create(created), on: id, in: try log.open())
    }

    private func change(_ id: String, tags: [String]) throws {
        var change = SessionEvent.Updated(sessionID: id)
        change.metadata = SessionMetadata()
        change.metadata?.tags = tags
        try Plant.command(.update(change), on: id, in: try log.open())
    }

    private func holds(of id: String) throws -> [String] {
        let handler = CommandHandler(session: id, store: try log.open(), clock: SystemClock())
        try handler.catchUp()
        return handler.state.legalHolds
    }

    private final class Mark: Sendable {
        let done = Lock(0)
        let taken = Lock<[String]>([])
    }

    private func takeover(_ mark: Mark, member: String = "a/0") -> HoldTagTakeover {
        HoldTagTakeover(
            log: log, isDone: { mark.done.withLock { $0 > 0 } },
            markDone: { mark.done.withLock { $0 += 1 } }, clock: SystemClock(), member: member,
            report: .silent, onTaken: { id in mark.taken.withLock { $0.append(id) } })
    }

    @Test("whatever has the tag is held by an event, once; whatever has it no more is not")
    func takesOver() throws {
        for number in 0..<700 { try make("tagged-\(number)", tags: ["x", "legal-hold"]) }
        try make("plain", tags: ["legal-holds"])
        try make("untagged", tags: ["legal-hold"])
        try change("untagged", tags: [])
        try make("later", tags: [])
        try change("later", tags: ["legal-hold"])
        try make("deleted", tags: ["legal-hold"])
        try Plant.command(.delete(tagCounts: false), on: "deleted", in: try log.open())
        let mark = Mark()
        #expect(try takeover(mark).pass(StopSignal()))
        #expect(mark.done.withLock { $0 } == 1)
        #expect(mark.taken.withLock { Set($0) }.count == 701 && mark.taken.withLock { $0.count } == 701)
        for id in ["tagged-0", "tagged-699", "later"] { #expect(try holds(of: id) == ["legal-hold tag"]) }
        for id in ["plain", "untagged"] { #expect(try holds(of: id).isEmpty) }
        let events = log.allEvents().filter { $0.type == "LegalHoldSet" }
        #expect(events.count == 701 && events.allSatisfy { $0.context.actor == .system("holds") })
        // Interrupted before it was noted, it is done again and changes nothing.
        #expect(try takeover(mark).pass(StopSignal()))
        #expect(log.allEvents().filter { $0.type == "LegalHoldSet" }.count == 701)
    }

    @Test("one of several processes does it; who is interrupted leaves the rest to others")
    func owner() throws {
        for number in 0..<50 { try make("s\(number)", tags: ["legal-hold"]) }
        let mark = Mark()
        #expect(try !log.leases().acquire("holds", [0], as: "b/0", forMilliseconds: 60_000).isEmpty)
        #expect(try !takeover(mark).pass(StopSignal()))
        #expect(mark.taken.withLock { $0.isEmpty })
        let stopped = StopSignal()
        stopped.set()
        #expect(try !takeover(mark, member: "b/0").pass(stopped))
        #expect(try takeover(mark, member: "b/0").pass(StopSignal()))
        #expect(mark.taken.withLock { $0.count } == 50)
    }

    @Test("nothing is written while a process of an earlier version still reads the log")
    func level() throws {
        try make("s", tags: ["legal-hold"])
        log.setLevel(.first)
        let (mark, stop) = (Mark(), StopSignal())
        let log = log
        let thread = try OwnThread(name: "takeover") {
            try HoldTagTakeover(
                log: log, isDone: { mark.done.withLock { $0 > 0 } },
                markDone: { mark.done.withLock { $0 += 1 } }, clock: SystemClock(), member: "a/0",
                report: .silent, onTaken: { _ in }
            ).run(stop: stop)
        }
        _ = stop.wait(milliseconds: 1500)
        #expect(log.allEvents().count == 1 && mark.done.withLock { $0 } == 0)
        log.setLevel(.newest)
        for _ in 0..<1000 where mark.done.withLock({ $0 }) == 0 { _ = stop.wait(milliseconds: 10) }
        stop.set()
        try thread.join()
        #expect(try holds(of: "s") == ["legal-hold tag"])
    }

    @Test("a session that cannot be read keeps the tag in force, and no other from being taken over")
    func unreadable() throws {
        try make("damaged", tags: ["legal-hold"])
        try make("sound", tags: ["legal-hold"])
        let hole = log.addUnreadable(to: "damaged", .wholly)
        let mark = Mark()
        let takeover = takeover(mark)
        #expect(try !takeover.pass(StopSignal()))
        #expect(try holds(of: "sound") == ["legal-hold tag"])
        #expect(mark.done.withLock { $0 } == 0)
        #expect(try !takeover.pass(StopSignal()))
        log.spoil(hole, nil)
        // What stands there is a stranger's still: it cannot be understood.
        #expect(try !takeover.pass(StopSignal()))
        #expect(mark.done.withLock { $0 } == 0)
    }

    @Test("a tag that JSON writes in another way is one all the same")
    func escaped() throws {
        try make("s", tags: ["legal-hold"])
        var event = try #require(log.allEvents().first).event
        let text = String(decoding: event.data, as: UTF8.self)
        event.data = Array(
            text.replacingOccurrences(of: "legal-hold", with: #"legal\u002dhold"#)
                .replacingOccurrences(of: #""session_id":"s""#, with: #""session_id":"t""#).utf8)
        (event.id, event.subject) = ("t/SessionCreated", "t")
        _ = try log.open().append([event], to: "t", expecting: .absent)
        #expect(try takeover(Mark()).pass(StopSignal()))
        #expect(try holds(of: "t") == ["legal-hold tag"])
    }
}

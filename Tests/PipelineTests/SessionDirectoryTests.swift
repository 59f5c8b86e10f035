import Engine
import Base
import EventSourcing
import Recording
import Simulation
import Supervision
import TestServers
import Testing

@testable import Pipeline
import Access

/// A feed with its directory, running while the test does.
private final class Running {
    let directory: SessionDirectory
    let feed: LiveFeed
    private let stop = StopSignal()
    private var threads: [OwnThread<Void>] = []

    init(_ log: any EventLog) throws {
        let directory = SessionDirectory(log: log, report: .silent)
        let feed = LiveFeed(log: log, listener: directory, report: .silent)
        (self.directory, self.feed) = (directory, feed)
        threads.append(try OwnThread(name: "live") { [stop] in try feed.run(stop: stop) })
        threads.append(try OwnThread(name: "directory") { [stop] in try directory.run(stop: stop) })
        feed.waitUntilReady(stop: stop)
        directory.waitUntilReady(stop: stop)
    }

    func wait(_ what: String, _ condition: () -> Bool) {
        for _ in 0..<2_000 where !condition() { stop.wait(milliseconds: 10) }
        #expect(condition(), "never: \(what)")
    }

    deinit {
        stop.set()
        for thread in threads { _ = thread.wait(milliseconds: 10_000) }
    }
}

/// Keeps facts beside the log while the test does.
private final class Keeping {
    private let stop = StopSignal()
    private let thread: OwnThread<Void>

    init(_ log: any EventLog) throws {
        let worker = FactWorker(
            SessionFacts.self, log: log, member: "\(ULID.make(at: SystemClock().now()))/0", report: .silent)
        // Used on its thread alone.
        nonisolated(unsafe) let lent = worker
        thread = try OwnThread(name: "facts") { [stop] in try lent.run(stop: stop) }
    }

    func end() throws {
        stop.set()
        try thread.join()
    }

    deinit {
        stop.set()
        _ = thread.wait(milliseconds: 10_000)
    }
}

/// A log of sessions that are made, changed and deleted at random, and what is known of them by counting
/// along.
private struct Town {
    let log: any EventLog
    let store: any EventStore
    var random: Chance
    var alive: [String: Ownership] = [:]
    private var versions: [String: UInt64] = [:]
    private var made = 0

    init(_ log: any EventLog, seed: UInt64) throws {
        self.log = log
        store = try log.open()
        random = Chance(seed: seed)
    }

    private mutating func ownership() -> Ownership {
        let owners = [nil, "", "ada", "bob", "cem"]
        let projects = [nil, "apollo", "zeus"]
        return Ownership(
            owner: owners.randomElement(using: &random) ?? nil,
            project: projects.randomElement(using: &random) ?? nil)
    }

    private static func metadata(_ ownership: Ownership) -> SessionMetadata {
        var metadata = SessionMetadata()
        (metadata.owner, metadata.project) = (ownership.owner, ownership.project)
        return metadata
    }

    mutating func append(_ event: SessionEvent, to session: String) throws {
        let version = (versions[session] ?? 0) + 1
        versions[session] = version
        let event = ProposedEvent(
            sample: RecordingEvent.session(event), id: "\(session)/\(version)", time: SystemClock().now(),
            context: EventContext(source: "/t", actor: .system("t")))
        _ = try store.append([event], to: session, expecting: .any)
    }

    mutating func make() throws -> String {
        made += 1
        let session = "sess-\(made)"
        let ownership = ownership()
        try append(
            .created(
                SessionEvent.Created(
                    sessionID: session, name: "n", rdp: RDPConfig(host: "h", username: "u"),
                    recording: RecordingConfig(), storage: StorageConfig(),
                    metadata: Self.metadata(ownership),
                    capture: CaptureConfig(source: .stream, chunkSizeBytes: 1024))), to: session)
        alive[session] = ownership
        return session
    }

    mutating func give(_ session: String, _ ownership: Ownership) throws {
        var change = SessionEvent.Updated(sessionID: session)
        change.metadata = Self.metadata(ownership)
        try append(.updated(change), to: session)
        alive[session] = ownership
    }

    mutating func turn() throws {
        let some = alive.keys.sorted().randomElement(using: &random)
        switch (Int.random(in: 0..<10, using: &random), some) {
        case (0..<4, _), (_, nil): _ = try make()
        case (4..<7, let session?): try give(session, ownership())
        case (7, let session?):
            try append(.deleted(sessionID: session), to: session)
            alive[session] = nil
        case (_, let session?): try append(.paused(sessionID: session), to: session)
        }
    }

    func expectKnown(by directory: SessionDirectory) {
        #expect(directory.sessionCount == alive.count)
        for (session, ownership) in alive { #expect(directory.facts(of: session)?.ownership == ownership) }
        for owner in ["", "ada", "bob", "cem"] {
            #expect(
                directory.count { $0.owner == owner } == alive.values.count { $0.owner == owner },
                "of \(owner)")
        }
    }
}

@Suite("The directory of sessions", .timeLimit(.minutes(5)))
struct SessionDirectoryTests {
    @Test(
        "It knows whose every session is, from the log alone or from what is kept, and goes on with it",
        arguments: LogKind.allCases, [false, true])
    func loads(kind: LogKind, isKept: Bool) throws {
        let log = try kind.open()
        var town = try Town(log, seed: 7)
        for _ in 0..<300 { try town.turn() }
        if isKept {
            let keeping = try Keeping(log)
            try waitForFacts(of: log, town)
            try keeping.end()
            // What comes behind it is read from the log.
            for _ in 0..<100 { try town.turn() }
        }
        let running = try Running(log)
        #expect(running.directory.isLoaded)
        town.expectKnown(by: running.directory)
        for _ in 0..<200 { try town.turn() }
        let last = try town.make()
        running.wait("the last session is known") { running.directory.facts(of: last) != nil }
        running.wait("all is known") { running.directory.sessionCount == town.alive.count }
        town.expectKnown(by: running.directory)
        #expect(running.directory.facts(of: "nobody's") == nil)
    }

    /// Waits until every partition's place is its end.
    private func waitForFacts(of log: any EventLog, _ town: Town) throws {
        let index = try log.index(SessionFacts.indexName)
        let ends = (0..<town.store.partitioning.count)
        for _ in 0..<3_000 {
            let places = try index.places()
            if try ends.allSatisfy({
                try places[$0] ?? .start(of: $0) == town.store.end(of: $0)
            }) {
                return
            }
            pause()
        }
        Issue.record("the facts never came to the log's end")
    }

    private func pause() { StopSignal().wait(milliseconds: 10) }

    @Test(
        "What is kept is what the log says, whoever goes on with it after whom", arguments: LogKind.allCases)
    func kept(kind: LogKind) throws {
        let log = try kind.open()
        var town = try Town(log, seed: 3)
        for _ in 0..<3 {
            let keeping = try Keeping(log)
            for _ in 0..<150 { try town.turn() }
            try waitForFacts(of: log, town)
            try keeping.end()
            var found: [String: Ownership] = [:]
            let index = try log.index(SessionFacts.indexName)
            for partition in 0..<town.store.partitioning.count {
                _ = try index.scan(partition) { page in
                    for (key, value) in page { found[key] = SessionFacts(bytes: value)?.ownership }
                }
            }
            #expect(found == town.alive)
        }
    }

    @Test("What is learned early counts until the feed comes to it, and never again what is older")
    func learns() throws {
        let log = InMemoryEventLog()
        var town = try Town(log, seed: 1)
        let session = try town.make()
        let running = try Running(log)
        let known = try #require(running.directory.facts(of: session))
        var early = known
        (early.ownership, early.version) = (Ownership(owner: "eve", project: nil), 3)
        running.directory.learn(early, of: session)
        #expect(running.directory.facts(of: session) == early)
        running.directory.learn(known, of: session)
        #expect(running.directory.facts(of: session) == early)
        try town.give(session, Ownership(owner: "ada", project: nil))
        let other = try town.make()
        running.wait("the other is known") { running.directory.facts(of: other) != nil }
        #expect(running.directory.facts(of: session) == early)
        try town.append(.paused(sessionID: session), to: session)
        try town.give(session, Ownership(owner: "bob", project: nil))
        running.wait("the feed has gone past it") {
            running.directory.facts(of: session)?.ownership.owner == "bob"
        }
    }

    @Test(
        "Whose session an entry is of that cannot be read, its history has to say", arguments: [false, true])
    func holes(isLive: Bool) throws {
        let log = InMemoryEventLog()
        var town = try Town(log, seed: 1)
        let (session, other) = (try town.make(), try town.make())
        let early = isLive ? try Running(log) : nil
        if let early { #expect(early.directory.facts(of: session) != nil) }
        _ = log.addUnreadable(to: session, .partly)
        _ = log.addUnreadable(to: other, .wholly)
        let running = try early ?? Running(log)
        let last = try town.make()
        running.wait("the last session is known") { running.directory.facts(of: last) != nil }
        running.wait("the damaged one is forgotten") { running.directory.facts(of: session) == nil }
        // Of an entry that does not say whose it is nobody can know it.
        #expect(running.directory.facts(of: other) != nil)
    }

    @Test("What is kept beside the log forgets a session of which an entry cannot be read")
    func keptHoles() throws {
        let log = InMemoryEventLog()
        var town = try Town(log, seed: 1)
        let (session, other) = (try town.make(), try town.make())
        _ = log.addUnreadable(to: session, .partly)
        try town.append(.paused(sessionID: other), to: other)
        let keeping = try Keeping(log)
        try waitForFacts(of: log, town)
        try keeping.end()
        let index = try log.index(SessionFacts.indexName)
        func isKept(_ session: String) throws -> Bool {
            let partition = log.partitioning.partition(of: session)
            return try index.values([session], in: partition)[session] != nil
        }
        #expect(try !isKept(session))
        #expect(try isKept(other))
    }

    @Test("After a loss that was accepted nothing of what is lost is known")
    func losses() throws {
        let log = InMemoryEventLog(partitions: 4)
        var town = try Town(log, seed: 5)
        let session = try town.make()
        try town.give(session, Ownership(owner: "ada", project: nil))
        let running = try Running(log)
        // Otherwise what comes now may be read with what was there before, and not be followed.
        running.wait("it follows the log") { running.feed.isFollowing && running.directory.isLoaded }
        try town.give(session, Ownership(owner: "eve", project: nil))
        running.wait("it is eve's") { running.directory.facts(of: session)?.ownership.owner == "eve" }
        #expect(running.feed.lastSeen(session) == 3)
        log.lose(newest: 1, of: session)
        running.wait("it is ada's again") {
            running.feed.isFollowing && running.directory.isLoaded
                && running.directory.facts(of: session)?.ownership.owner == "ada"
        }
        #expect(running.feed.lastSeen(session) == nil)
    }

    @Test(
        "A table of facts holds what a dictionary would, in any order of changes",
        arguments: 0..<20 as Range<UInt64>)
    func table(seed: UInt64) throws {
        var random = Chance(seed: seed)
        var table = FactsTable()
        var wanted: [FactsKey: UInt64] = [:]
        let owner = SharedOwnership(Ownership(owner: nil, project: nil))
        let facts = SessionFacts(History.creation("s"))
        // Few different homes, so that keys stand in each other's way.
        let keys = (0..<200).map { number in
            FactsKey(
                high: UInt64(number % 23) << 59 | UInt64.random(in: 0..<4, using: &random),
                low: UInt64(number))
        }
        for _ in 0..<4000 {
            guard let key = keys.randomElement(using: &random) else { continue }
            if Int.random(in: 0..<5, using: &random) < 2 {
                table[key] = nil
                wanted[key] = nil
            } else {
                let version = UInt64.random(in: 1...1000, using: &random)
                table[key] = FactsTable.Facts(owner: owner, description: facts.description, version: version)
                wanted[key] = version
            }
            #expect(table.count == wanted.count)
        }
        for key in keys { #expect(table[key]?.version == wanted[key], "seed \(seed)") }
    }
}

private enum History {
    static func creation(_ session: String) -> SessionEvent.Created {
        SessionEvent.Created(
            sessionID: session, name: "n", rdp: RDPConfig(host: "h", username: "u"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .stream, chunkSizeBytes: 1024))
    }
}

import Base
import EventSourcing
import Recording
import Testing
import ReadModels
import Access

private let epoch = Timestamp(milliseconds: 1_700_000_000_000)

/// An event as the log hands it out.
private func recorded(_ fact: RecordingEvent, _ sequence: UInt64) throws -> RecordedEvent {
    let version = try #require(fact.version(at: .newest))
    let proposed = ProposedEvent(
        fact, id: "e/\(sequence)", time: epoch, context: EventContext(source: "/t", actor: .system("t")),
        version: version)
    return RecordedEvent(
        event: proposed, partitionKey: fact.subject, sequence: sequence,
        position: LogPosition(partition: 0, milliseconds: sequence, counter: 0))
}

/// A random history of one session, as events and as the view that they lead to.
private struct RandomHistory {
    private(set) var events: [RecordedEvent] = []
    private(set) var view: SessionView

    init(seed: UInt64, changes: Int) throws {
        var random = RandomEvents(seed: seed)
        var created = random.created()
        created.sessionID = "s"
        let first = try recorded(.session(.created(created)), 1)
        events = [first]
        var fold = try #require(SessionFold(.session(.created(created)), EventStamp(first)))
        for number in 0..<changes {
            var fact = RecordingEvent.session(.paused(sessionID: "s"))
            if random.flag() {
                var change = random.updated()
                change.sessionID = "s"
                fact = .session(.updated(change))
            }
            let event = try recorded(fact, UInt64(number + 2))
            events.append(event)
            fold.evolve(fact, EventStamp(event))
        }
        view = fold.session
    }
}

private func fold(_ events: [RecordedEvent], _ start: SessionFacts? = nil) -> SessionFacts? {
    var facts = start
    for event in events {
        switch SessionFacts.change(facts, by: event) {
        case .none: break
        case .become(let new): facts = new
        case .remove, .unreadable: facts = nil
        }
    }
    return facts
}

@Suite("Facts of sessions")
struct SessionFactsTests {
    @Test("Folded from the log they say what the session's view says", arguments: 0..<200 as Range<UInt64>)
    func folds(seed: UInt64) throws {
        let history = try RandomHistory(seed: seed, changes: 12)
        let facts = try #require(fold(history.events))
        #expect(facts.ownership == Ownership(history.view.metadata))
        #expect(facts.agreement(with: history.view) == .same)
        // Events that come again, from wherever on, change nothing.
        var random = RandomEvents(seed: seed)
        let from = random.int(0...history.events.count - 1)
        #expect(fold(Array(history.events[from...]), facts) == facts)
        // What is kept beside the log is the same when it is read.
        #expect(SessionFacts(bytes: facts.bytes) == facts)
    }

    @Test(
        "Whoever learns of a command's outcome knows what whoever reads its event knows",
        arguments: 0..<50 as Range<UInt64>)
    func learning(seed: UInt64) throws {
        let history = try RandomHistory(seed: seed, changes: 1)
        let before = try #require(fold([history.events[0]]))
        let learned = before.changed(to: SessionDescription(history.view), version: 2)
        #expect(learned.ownership == Ownership(history.view.metadata))
        #expect(learned.agreement(with: history.view) == .same)
        #expect(learned.changed(to: SessionDescription(history.view), version: 1) == learned)
    }

    @Test("A deleted session has none, and neither has one whose change cannot be read")
    func ends() throws {
        let created = try recorded(.session(.created(History.creation)), 1)
        let deleted = try recorded(.session(.deleted(sessionID: History.sessionID)), 2)
        #expect(fold([created]) != nil)
        #expect(fold([created, deleted]) == nil)
        var change = try recorded(.session(.updated(SessionEvent.Updated(sessionID: History.sessionID))), 2)
        #expect(fold([created, change]) != nil)
        change.event.version = 99
        #expect(fold([created, change]) == nil)
        // What comes behind it is no beginning.
        let later = try recorded(.session(.updated(SessionEvent.Updated(sessionID: History.sessionID))), 3)
        #expect(fold([created, change, later]) == nil)
    }

    private static let forgeries: [(String, @Sendable (inout SessionView) -> Void)] = [
        ("name", { $0.name += "x" }), ("owner", { $0.metadata.owner = "mallory" }),
        ("no owner", { $0.metadata.owner = nil }), ("project", { $0.metadata.project = "zeus" }),
        ("tags", { $0.metadata.tags.append("t") }), ("environment", { $0.metadata.environment = "e" }),
        ("description", { $0.metadata.description = "d" }), ("priority", { $0.metadata.priority = "p" }),
        ("host", { $0.rdp?.host = "h" }), ("username", { $0.rdp?.username = "u" }),
        ("desktop", { $0.rdp = nil }),
        ("bitrate", { $0.recording.bitrate = 77 }), ("retention", { $0.storage.retentionDays = 1 }),
    ]

    @Test("What is described otherwise contradicts them, or is behind", arguments: forgeries.map(\.0))
    func contradicts(name: String) throws {
        let forge = try #require(Self.forgeries.first { $0.0 == name }).1
        var creation = History.creation
        (creation.metadata.owner, creation.metadata.project) = ("olga", "apollo")
        let events = try [
            recorded(.session(.created(creation)), 1),
            recorded(.session(.updated(SessionEvent.Updated(sessionID: History.sessionID))), 5),
        ]
        let facts = try #require(fold(events))
        var view = try #require(SessionView(.session(.created(creation)), EventStamp(events[0])))
        view.version = 7
        #expect(facts.agreement(with: view) == .same)
        forge(&view)
        #expect(facts.agreement(with: view) == .contradicting)
        view.version = 4
        #expect(facts.agreement(with: view) == .behind)
        view.version = 7
        view.status = .deleted
        #expect(facts.agreement(with: view) == .contradicting)
    }

    @Test("What stands beside the log is read by later releases: its bytes never change")
    func golden() throws {
        var creation = History.creation
        (creation.metadata.owner, creation.metadata.project) = ("olga", "apollo")
        var facts = SessionFacts(creation)
        facts.version = 300
        let bytes: [UInt8] = facts.bytes
        let hex = bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        #expect(hex == Self.goldenHex)
        facts.ownership = Ownership(owner: nil, project: "")
        #expect(Array(facts.bytes.prefix(4)) == [1, 2, 0xAC, 2])
        #expect(facts.bytes.suffix(1) == [0])
    }

    private static let goldenHex =
        "0103ac028dd9eb39c08f415cfd2f990c9d477ed27abd2bb0044d003f51fc353bbe561a0a1dd6745d19531f68"
        + "046f6c67610661706f6c6c6f"

    @Test("Bytes that are none of theirs are nobody's facts")
    func garbage() {
        let bytes = SessionFacts(History.creation).bytes
        for count in bytes.indices { #expect(SessionFacts(bytes: Array(bytes[..<count])) == nil) }
        #expect(SessionFacts(bytes: bytes + [0]) == nil)
        var random = RandomEvents(seed: 1)
        for _ in 0..<2000 {
            let noise = (0..<random.int(0...80)).map { _ in UInt8(random.int(0...255)) }
            if let facts = SessionFacts(bytes: noise) { #expect(facts.bytes == noise) }
            var changed = bytes
            changed[random.int(0...bytes.count - 1)] = UInt8(random.int(0...255))
            if let facts = SessionFacts(bytes: changed) {
                #expect(SessionFacts(bytes: facts.bytes) == facts)
            }
        }
    }
}

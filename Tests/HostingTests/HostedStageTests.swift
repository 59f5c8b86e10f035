import APIKit
import Base
import Console
import Engine
import EventSourcing
import HTTPServer
import Hosting
import ReadModels
import Simulation
import Testing

private struct Painted: Event {
    var colour: String
    var typeName: String { "Painted" }
    var subject: String { "door" }

    init(_ colour: String) { self.colour = colour }

    init(type: String, version: Int, data: JSONValue) throws(MalformedEvent) {
        guard let colour = data["colour"]?.string else { throw MalformedEvent(type: type, text: "no colour") }
        self.colour = colour
    }

    func version(at level: FormatLevel) -> Int? { colour == "tomorrow's" ? nil : 1 }

    func encode(_ version: Int, into writer: inout JSONWriter) {
        writer.object { $0.member("colour", colour) }
    }
}

private struct Broken: TransientFailure {
    let remedy: Remedy
}

@Suite("A stage as a value")
struct HostedStageTests {
    private let log = InMemoryEventLog(partitions: 1)

    private func stage(
        _ handle: @escaping @Sendable (RecordedEvent, DomainHost) throws -> [any Event]
    ) throws -> any Stage {
        let host = DomainHost(
            log: log, store: try StorePool(log), documents: InMemoryDocuments(ViewSet([]), [:]),
            clock: SimulatedClock())
        return HostedStage("paint", consumes: ["Sampled"], handle: handle).make(
            host, in: Category("door"))
    }

    private func delivery(_ history: String = "door/1") throws -> Delivery {
        let store = try log.open()
        _ = try store.append([AppendBatch(to: history, expecting: .any, [SampleEvents.event("e1")])])
        let event = try #require(try store.load(history, after: 0, limit: 1).first)
        return Delivery(event: event, attempt: 1)
    }

    @Test("work that comes again emits the same ids, each of its own, with its cause")
    func again() throws {
        let stage = try stage { _, _ in [Painted("red"), Painted("blue")] }
        let delivery = try delivery()
        for _ in 0..<2 {
            guard case .done(let facts) = stage.handle(delivery) else {
                return #expect(Bool(false), "the work is not done")
            }
            #expect(facts.map(\.id) == ["e1/paint", "e1/paint/1"])
            #expect(facts.map(\.type) == ["Painted", "Painted"])
            #expect(facts.allSatisfy { $0.context.causationID == "e1" })
            #expect(stage.resultID(of: delivery) == facts.first?.id)
        }
    }

    @Test("events of other categories are passed over, whatever their type", arguments: ["sess-1", "lamp/1"])
    func foreign(_ history: String) throws {
        guard case .done(let facts) = try stage({ _, _ in [Painted("red")] }).handle(try delivery(history))
        else { return #expect(Bool(false), "it is not passed over") }
        #expect(facts.isEmpty)
    }

    @Test("results that the log would refuse fail this work alone")
    func limits() throws {
        let long = String(repeating: "x", count: LogLimits.bytesPerPayload)
        let many = (0...LogLimits.eventsPerAppend).map { _ in Painted("red") }
        for facts in [[Painted(long)], many] {
            guard case .failed(let errors) = try stage({ _, _ in facts }).handle(try delivery()) else {
                return #expect(Bool(false), "it is taken")
            }
            #expect(!errors.isEmpty)
        }
    }

    @Test("nothing to do is done, without an event")
    func nothing() throws {
        guard case .done(let facts) = try stage({ _, _ in [] }).handle(try delivery()) else {
            return #expect(Bool(false), "it is not done")
        }
        #expect(facts.isEmpty)
    }

    @Test(
        "what time or an operator can end is waited out; all else counts as a try",
        arguments: [
            (Remedy.time, true), (.operators, true), (.none, false),
        ])
    func failures(_ remedy: Remedy, _ waits: Bool) throws {
        let outcome = try stage { _, _ in throw Broken(remedy: remedy) }.handle(try delivery())
        switch outcome {
        case .wait(let milliseconds, _): #expect(waits && milliseconds > 0)
        case .failed(let errors): #expect(!waits && !errors.isEmpty)
        case .done: #expect(Bool(false), "it is not done")
        }
    }

    @Test("an event that processes of an earlier version could not read is waited for, or fails: never half")
    func level() throws {
        let stage = try stage { _, _ in [Painted("red"), Painted("tomorrow's")] }
        if case .done = stage.handle(try delivery()) { #expect(Bool(false), "half of it is done") }
    }
}

@Suite("A domain as a value")
struct DomainTests {
    @Test("its stages and its other readers are its subscriptions, and hold back what leaves the log")
    func subscriptions() {
        var domain = Domain(Category("door"))
        domain.stages = [HostedStage("paint", consumes: ["Sampled"]) { _, _ in [] }]
        domain.readers = SubscriptionRegistry([Subscription("count", .apart, parks: false, holdsBack: true)])
        #expect(domain.subscriptions.all.map(\.name) == ["paint", "count"])
        #expect(domain.subscriptions.parking.map(\.name) == ["paint"])
    }

    @Test("domains that share a name do not fit together, and what it is is said")
    func conflicts() {
        func domain(_ category: String, _ stage: String) -> Domain {
            var domain = Domain(Category(category))
            domain.stages = [HostedStage(stage, consumes: []) { _, _ in [] }]
            return domain
        }
        #expect(Domain.conflicts(among: [domain("door", "paint"), domain("lamp", "test")]).isEmpty)
        #expect(
            Domain.conflicts(among: [domain("door", "paint"), domain("lamp", "paint")])
                == ["the subscription 'paint' stands twice"])
        #expect(
            Domain.conflicts(among: [domain("door", "paint"), domain("door", "test")])
                == ["the category 'door' stands twice"])
    }

    @Test("what a program has already taken fits no domain either")
    func programNames() {
        var domain = Domain(Category("door"))
        let id = Setting("data", "ID", .identifier, help: "Its id")
        domain.commands = [
            HostedCommand(
                CommandDeclaration(
                    "status", summary: "Look", options: [id.declaration], examples: [], statuses: []),
                action: nil
            ) { _, _, _ in [] }
        ]
        domain.errors = [.tooLarge]
        #expect(Domain.conflicts(among: [domain]).count == 1)
        #expect(
            Domain.conflicts(among: [domain], in: ProgramNames(commands: ["status"], options: ["data"])) == [
                "the error '\(ErrorCode.tooLarge.name)' stands twice",
                "the command 'status' stands twice",
                "the option of 'status' 'data' stands twice",
            ])
    }

    @Test("two domains show nothing in one collection, nor in one that the projection keeps")
    func collections() {
        func domain(_ category: String, _ collection: String) -> Domain {
            var domain = Domain(Category(category))
            let view = View<String, ViewIdentity>(
                .history,
                in: [
                    ViewCollection(
                        CollectionDeclaration(
                            collection, key: "id", history: "id", indexes: [],
                            check: { (_) throws(BSONError) in })
                    ) { identity in BSONDocument { $0.append("id", identity.key) } }
                ],
                identity: { $0 }, begin: { ViewIdentity($0, version: $1.sequence, position: $1.position) },
                evolve: { $0.version = $2.sequence },
                read: { (fields) throws(BSONError) in
                    ViewIdentity(try fields.string("id"), version: 1, position: .start(of: 0))
                })
            domain.views = [
                CategoryViews(Category(category)) { (event) throws(MalformedEvent) in event.subject }
                    .showing(view)
            ]
            return domain
        }
        #expect(Domain.conflicts(among: [domain("door", "doors"), domain("lamp", "lamps")]).isEmpty)
        #expect(
            Domain.conflicts(among: [domain("door", "things"), domain("lamp", "things")])
                == ["the collection 'things' stands twice"])
        for name in ["checkpoints", "replay_x"] {
            #expect(
                Domain.conflicts(among: [domain("door", name)])
                    == ["the collection '\(name)' is kept for the projection itself"])
        }
    }

    @Test("a failure of the log is one, whoever carries it")
    func carried() {
        struct No: Error {}
        let away = LogFailure(.unreachable, operation: "append", key: "k", text: "gone")
        let carried = CommandError<No>.failed(away)
        #expect(carried.remedy == away.remedy && carried.remedy == .time)
        #expect(CommandError<No>.rejected(No()).remedy == .none)
        #expect(ErrorAnswers().answer(carried) == ErrorAnswers().answer(away))
        #expect(ErrorAnswers().answer(carried).status == 503)
    }
}

import Base
import EventSourcing
import Simulation
import Testing

private struct Counted: Event, Equatable {
    var by: Int64
    var typeName: String { by < 900 ? "Counted" : "CountedMany" }
    /// The newer version, and the newer type, are of a later level.
    func version(at level: FormatLevel) -> Int? {
        by < 900 ? (level < .newest ? 1 : 2) : (level < .newest ? nil : 1)
    }
    var subject: String { "counter" }

    init(by: Int64) { self.by = by }

    init(type: String, version: Int, data: JSONValue) throws(MalformedEvent) {
        guard let by = data["by"]?.integer else { throw MalformedEvent(type: type, text: "by is missing") }
        self.by = by
    }

    func encode(_ version: Int, into writer: inout JSONWriter) {
        writer.object {
            $0.member("by", by)
            if version == 2 { $0.member("unit", "1") }
        }
    }
}

/// Counts up to a limit.
private enum Counter: Decider {
    struct Full: Error, Equatable {}

    static let initial: Int64 = 0

    static func decide(_ command: Int64, _ state: Int64) throws(Full) -> [Counted] {
        guard state + command <= 1000 else { throw Full() }
        return command == 0 ? [] : [Counted(by: command)]
    }

    static func evolve(_ state: inout Int64, _ fact: Counted) { state += fact.by }
}

@Suite("Carrying out commands")
struct CommandHandlerTests {
    private let context = EventContext(source: "/reel/test", actor: .system("test"))

    private func handler(_ store: any EventStore) -> CommandHandler<Counter> {
        CommandHandler(partitionKey: "c", store: store, clock: SimulatedClock()) {
            event throws(MalformedEvent) in
            let data: JSONValue
            do throws(JSONError) { data = try JSONValue(parsing: event.data) } catch {
                throw MalformedEvent(type: event.type, text: error.description)
            }
            return try Counted(type: event.type, version: event.event.version, data: data)
        }
    }

    @Test("what a process of an earlier version could not read is written once all of them can")
    func levels() throws {
        let log = InMemoryEventLog()
        log.setLevel(.first)
        let handler = handler(try log.open())
        try handler.handle([2], context: context) { n, _ in "a\(n)" }
        let failure = #expect(throws: CommandError<Counter.Full>.self) {
            try handler.handle([3, 900], context: context) { n, _ in "b\(n)" }
        }
        guard case .failed(let reason)? = failure else {
            Issue.record("expected a failure of the log, found \(String(describing: failure))")
            return
        }
        #expect(reason.kind == .levelTooLow && reason.key == "CountedMany" && reason.isTransient)
        #expect(log.allEvents().map(\.event.dataSchema) == ["urn:reel:event:Counted:1"])
        log.setLevel(.newest)
        try handler.handle([3, 900], context: context) { n, _ in "b\(n)" }
        #expect(
            log.allEvents().map(\.event.dataSchema).sorted() == [
                "urn:reel:event:Counted:1", "urn:reel:event:Counted:2", "urn:reel:event:CountedMany:1",
            ])
        #expect((handler.state, handler.version) == (905, 3))
    }

    @Test("facts are appended, folded, and seen by another handler")
    func simple() throws {
        let log = InMemoryEventLog()
        let first = handler(try log.open())
        #expect(try first.handle([2], context: context) { n, _ in "a\(n)" } == [Counted(by: 2)])
        #expect(try first.handle([0], context: context) { n, _ in "none\(n)" }.isEmpty)
        #expect((first.state, first.version) == (2, 1))
        let second = handler(try log.open())
        try second.catchUp()
        #expect((second.state, second.version) == (2, 1))
    }

    @Test("a conflict is answered by taking in what is new and deciding again")
    func conflicts() throws {
        let log = InMemoryEventLog()
        let one = handler(try log.open())
        let two = handler(try log.open())
        for round in 0..<5 {
            _ = try one.handle([1], context: context) { _, _ in "one\(round)" }
            _ = try two.handle([10], context: context) { _, _ in "two\(round)" }
        }
        #expect((two.state, two.version) == (55, 10))
    }

    @Test("a decision that a newer state forbids is rejected, not appended")
    func rejectedAfterConflict() throws {
        let log = InMemoryEventLog()
        let one = handler(try log.open())
        let two = handler(try log.open())
        _ = try one.handle([900], context: context) { _, _ in "one" }
        let error = #expect(throws: CommandError<Counter.Full>.self) {
            try two.handle([200], context: context) { _, _ in "two" }
        }
        guard case .rejected = error else {
            Issue.record("expected a rejection, found \(String(describing: error))")
            return
        }
        #expect(try log.open().version(of: "c") == 1)
    }

    @Test("many threads that count at once: every command counts once")
    func concurrent() throws {
        let log = InMemoryEventLog()
        try concurrently(4) { thread in
            let mine = handler(try log.open())
            for number in 0..<50 {
                _ = try mine.handle([1], context: context, attempts: 10_000) { _, _ in "\(thread)/\(number)" }
            }
        }
        let reader = handler(try log.open())
        try reader.catchUp()
        #expect((reader.state, reader.version) == (200, 200))
    }

    @Test("a command given again after its answer was lost counts once")
    func lostAnswer() throws {
        let log = InMemoryEventLog()
        let mine = handler(try log.open())
        let lost = LogFailure(.unreachable, operation: "append", key: "c", text: "the answer was lost")
        log.inject { $0 == "append" ? .after(lost) : nil }
        let error = #expect(throws: CommandError<Counter.Full>.self) {
            try mine.handle([5], context: context) { _, _ in "once" }
        }
        guard case .failed(lost) = error else {
            Issue.record("expected a failure, found \(String(describing: error))")
            return
        }
        log.inject(nil)
        _ = try mine.handle([5], context: context) { _, _ in "once" }
        #expect((mine.state, mine.version) == (5, 1))
    }

    @Test("an id that is taken by another body is a failure that does not go away")
    func idTaken() throws {
        let log = InMemoryEventLog()
        let mine = handler(try log.open())
        _ = try mine.handle([1], context: context) { _, _ in "same" }
        let error = #expect(throws: CommandError<Counter.Full>.self) {
            try mine.handle([2], context: context) { _, _ in "same" }
        }
        guard case .failed(let failure) = error else {
            Issue.record("expected a failure, found \(String(describing: error))")
            return
        }
        #expect(failure.kind == .invalid)
        #expect(!failure.isTransient)
    }
}

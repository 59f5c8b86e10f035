import Engine
import Base
import EventSourcing
import Pipeline
import Recording
import Simulation
import Testing

@Suite("Events before one that nobody can understand")
struct PoisonAheadTests {
    @Test("are handled by who meets the session in its middle, as after a restart")
    func completion() throws {
        let plant = try Plant(InMemoryEventLog(partitions: 1))
        let store = try plant.log.open()
        let context = EventContext(source: "/test", actor: .system("test"))
        let facts: [RecordingEvent] = [
            .session(.created(Plant.session("s", chunkBytes: 2000))),
            .session(.started(sessionID: "s", status: .starting)),
            .session(.started(sessionID: "s", status: .recording)),
        ]
        var proposed = try facts.enumerated().map { place, fact in
            try ProposedEvent(fact, id: "e\(place)", time: SystemClock().now(), context: context, at: .newest)
        }
        var poison = proposed[2]
        poison.id = "poison"
        poison.type = "ChunkDeleted"
        poison.version = 1
        poison.data = Array(#"{"session_id":"s","chunk_id":"c","sequence_number":9e99}"#.utf8)
        proposed.append(poison)
        _ = try store.append(proposed, to: "s", expecting: .any)
        let events = try plant.events(of: "s")
        let completion = SessionCompletion(
            spool: plant.vault.spool, clock: SystemClock(), report: .silent)
        try completion.handle([events[1]], store)
        completion.reset()
        try completion.handle([events[2]], store)
        completion.reset()
        do {
            try completion.handle([events[3]], store)
            Issue.record("what nobody can understand was handled")
        } catch let failure as any EventFailure {
            #expect(failure.position == events[3].position)
            #expect(failure.isFinal)
        }
    }
}

import Bench
import EventSourcing
import Recording
import Simulation
import Testing

@Suite("What benchmarks fill a log with")
struct SessionWorkloadTests {
    @Test("as many events as were asked for, rounded up to whole sessions that end well")
    func whole() throws {
        let log = InMemoryEventLog(partitions: 4)
        let store = try log.open()
        var workload = SessionWorkload(events: 250)
        var histories: Set<String> = []
        var events = 0
        while let batches = workload.next() {
            try SessionWorkload.append(batches, to: store)
            histories.formUnion(batches.map(\.partitionKey))
            events += batches.reduce(0) { $0 + $1.events.count }
        }
        #expect(events == workload.made && events >= 250)
        #expect(!histories.isEmpty)
        for history in histories {
            var state = SessionState()
            for event in try store.load(history, after: 0, limit: 1000) {
                SessionDecider.evolve(&state, try RecordingEvent(event))
            }
            #expect(state.status == .completed)
            #expect(state.failures.isEmpty)
        }
    }
}

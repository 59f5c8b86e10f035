import Base
import EventSourcing
import Simulation
import Synchronization
import Testing

@testable import Operations

@Suite struct LogMergeTests {
    /// A clock that moves a millisecond at every look.
    private final class Ticking: WallClock {
        private let time = Atomic<Int64>(1_000)
        func now() -> Timestamp {
            Timestamp(milliseconds: time.wrappingAdd(1, ordering: .relaxed).newValue)
        }
    }

    private func append(_ number: Int, to key: String, _ store: any EventStore) throws {
        let event = ProposedEvent(
            id: "\(number)", type: "T", version: 1, subject: key, time: Timestamp(milliseconds: 0),
            context: EventContext(source: "/test", actor: .system("test")), data: Array("{}".utf8))
        _ = try store.append([event], to: key, expecting: .any)
    }

    @Test func eventsOfAllPartitionsComeByTheTimeOfTheirAppend() throws {
        let log = InMemoryEventLog(partitions: 7, clock: Ticking(), blocks: false)
        let store = try log.open()
        // More than a page in some partitions, none in others.
        let count = 3_000
        for number in 0..<count { try append(number, to: "session-\(number * number % 11)", store) }
        var merge = LogMerge(store)
        #expect(merge.positions == (0..<7).map { LogPosition.start(of: $0) })
        var ids: [String] = []
        while let entry = try merge.next() { ids.append(entry.event?.id ?? "\(entry.position)") }
        #expect(ids == (0..<count).map(String.init))
        for partition in 0..<7 { #expect(merge.positions[partition] == (try store.end(of: partition))) }
    }

    @Test func whatCannotBeReadComesInItsPlace() throws {
        let log = InMemoryEventLog(partitions: 3, clock: Ticking(), blocks: false)
        let store = try log.open()
        for number in 0..<100 { try append(number, to: "session-\(number % 7)", store) }
        let places = log.allEvents().filter { ["17", "18", "99"].contains($0.id) }.map(\.position)
        for place in places { log.spoil(place, .wholly) }
        var merge = LogMerge(store)
        var (ids, holes): ([String], [LogPosition]) = ([], [])
        while let entry = try merge.next() {
            ids.append(entry.event?.id ?? "-")
            if entry.event == nil { holes.append(entry.position) }
        }
        #expect(ids == (0..<100).map { [17, 18, 99].contains($0) ? "-" : String($0) })
        #expect(Set(holes) == Set(places))
        for partition in 0..<3 { #expect(merge.positions[partition] == (try store.end(of: partition))) }
    }

    @Test func anEmptyLogHasNoEvent() throws {
        var merge = LogMerge(try InMemoryEventLog(blocks: false).open())
        #expect(try merge.next() == nil)
    }
}

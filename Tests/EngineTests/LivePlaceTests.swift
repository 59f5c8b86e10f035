import EventSourcing
import Simulation
import Testing

@testable import Engine

@Suite("Places in one word")
struct LivePlaceTests {
    private func random(_ partitions: Int, _ generator: inout SystemRandomNumberGenerator) -> [LogPosition] {
        (0..<partitions).map { partition in
            Bool.random(using: &generator)
                ? .start(of: partition)
                : LogPosition(
                    partition: partition,
                    milliseconds: 1_763_000_000_000 + UInt64.random(in: 0..<86_400_000, using: &generator),
                    counter: UInt64.random(in: 0..<300, using: &generator))
        }
    }

    @Test("what is written is read, and nothing else", arguments: [1, 4, 16, 256])
    func roundTrip(partitions: Int) throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            let places = random(partitions, &generator)
            let word = LivePlace.encode(places)
            #expect(LivePlace.decode(word, partitions: partitions) == places)
            #expect(LivePlace.decode(word, partitions: partitions + 1) == nil)
            #expect(LivePlace.decode(word + "A", partitions: partitions) == nil)
            #expect(LivePlace.decode(String(word.dropLast()), partitions: partitions) == nil)
            #expect(word.utf8.count <= 16 + partitions * 8)
            #expect(word.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" })
        }
    }

    @Test("what the feed shows while an older page is on its way is read after it", arguments: [true, false])
    func pageOnItsWay(isOfSession: Bool) throws {
        func event(_ sequence: UInt64) -> RecordedEvent {
            RecordedEvent(
                event: SampleEvents.event("e\(sequence)"), partitionKey: "s", sequence: sequence,
                position: LogPosition(partition: 0, milliseconds: sequence, counter: 0))
        }
        var cursor =
            isOfSession
            ? LiveCursor.history(next: 1, shown: 0, isBehind: true)
            : LiveCursor.places([.start(of: 0)], unread: [0: .start(of: 0)])
        let partition = isOfSession ? nil : 0
        // The page was read with one event; then the feed brings the second, before the page is taken.
        func entry(_ sequence: UInt64) -> LogEntry { .event(event(sequence)) }
        let late = LiveStep(entry(2), previous: event(1).position)
        #expect(cursor.judge(late) == .later)
        cursor.fallBehind(late)
        #expect(cursor.isNextOfHistory(entry(1)))
        cursor.advance(LiveStep(entry(1), previous: nil))
        cursor.finish(LivePage(entries: [entry(1)], partition: partition, isLast: true))
        #expect(cursor.isBehind)
        cursor.advance(LiveStep(entry(2), previous: nil))
        cursor.finish(LivePage(entries: [entry(2)], partition: partition, isLast: true))
        #expect(!cursor.isBehind)
        #expect(cursor.judge(late) == .known)
        let next = LiveStep(entry(3), previous: event(2).position)
        #expect(cursor.judge(next) == .next)
    }

    @Test("extreme places")
    func extremes() {
        let largest = LogPosition(partition: 1, milliseconds: .max, counter: .max)
        let places = [LogPosition(partition: 0, milliseconds: 1, counter: 0), largest]
        #expect(LivePlace.decode(LivePlace.encode(places), partitions: 2) == places)
        #expect(LivePlace.decode("", partitions: 2) == nil)
        #expect(LivePlace.decode(String(repeating: "_", count: 60), partitions: 2) == nil)
    }
}

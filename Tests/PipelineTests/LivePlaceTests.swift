import EventSourcing
import Testing

@testable import Pipeline

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

    @Test("extreme places")
    func extremes() {
        let largest = LogPosition(partition: 1, milliseconds: .max, counter: .max)
        let places = [LogPosition(partition: 0, milliseconds: 1, counter: 0), largest]
        #expect(LivePlace.decode(LivePlace.encode(places), partitions: 2) == places)
        #expect(LivePlace.decode("", partitions: 2) == nil)
        #expect(LivePlace.decode(String(repeating: "_", count: 60), partitions: 2) == nil)
    }
}

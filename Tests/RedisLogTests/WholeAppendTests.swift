import EventSourcing
import RedisLog
import Simulation
import Testing

@testable import RedisLog

/// What was appended in one decision is archived as a whole, or stays as a whole.
@Suite("Whole appends in the archive")
struct WholeAppendTests {
    /// Appends of random sizes to a few keys; where the events of each stand.
    private func appendDecisions(
        _ log: RedisEventLog, _ count: Int, sizes: ClosedRange<Int>, _ random: inout SeededGenerator
    ) throws -> [[LogPosition]] {
        let store = try log.open()
        var (decisions, number): ([[LogPosition]], Int) = ([], 0)
        for decision in 0..<count {
            let events = (0..<Int.random(in: sizes, using: &random)).map { _ in
                number += 1
                // One time for all of a decision.
                return SampleEvents.event("Sampled-\(number)", number: decision)
            }
            let key = "key-\(Int.random(in: 0..<3, using: &random))"
            guard case .appended(let places) = try store.append(events, to: key, expecting: .any) else {
                throw ConditionNotMet(description: "not appended")
            }
            decisions.append(places.map(\.position))
        }
        return decisions
    }

    @Test("no segment ends within a decision, however small segments are", arguments: [1, 2, 5, 40])
    func segments(_ afterEvents: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let archived = try ArchivedLog(partitions: 1)
        let decisions = try appendDecisions(archived.log, 60, sizes: 1...7, &random)
        let before = try archived.everything(keys: 3)
        var policy = ArchivePolicy()
        policy.afterEvents = afterEvents
        try archived.archive(policy)
        let ends = Set(try archived.names(0).map(\.last))
        #expect(!ends.isEmpty, "seed \(seed)")
        for positions in decisions {
            let within = positions.dropLast().filter(ends.contains)
            #expect(within.isEmpty, "seed \(seed): a segment ends within \(positions)")
        }
        // All that stays is the newest decision.
        let live = try rawClient(archived.log).raw("XLEN", LogKeys.log(0)).integer
        #expect(live == decisions.last?.count, "seed \(seed)")
        #expect(try archived.everything(keys: 3) == before, "seed \(seed)")
    }

    @Test("a decision that somebody has not read to its end stays whole")
    func held() throws {
        let archived = try ArchivedLog(partitions: 1)
        var random = SeededGenerator(seed: 7)
        let decisions = try appendDecisions(archived.log, 10, sizes: 3...3, &random)
        let run = try archived.archive(upTo: decisions[4][1])[0]
        #expect(run.events == 12)
        #expect(try archived.names(0).last?.last == decisions[3].last)
        #expect(try archived.archive(upTo: decisions[4][2])[0].events == 3)
    }

    @Test("a run of events that cannot be told apart is cut somewhere, and the archiver goes on")
    func longRun() {
        func event(_ sequence: Int, of key: String = "key") -> RecordedEvent {
            RecordedEvent(
                event: SampleEvents.event("Sampled-\(sequence)"), partitionKey: key,
                sequence: UInt64(sequence),
                position: LogPosition(partition: 0, milliseconds: UInt64(sequence), counter: 0))
        }
        let run = (1...20).map { event($0) }
        #expect(RedisArchiver.whole(10, of: run, isFull: true) == 10)
        #expect(RedisArchiver.whole(0, of: run, isFull: true) == 0)
        #expect(RedisArchiver.whole(20, of: run, isFull: true) == 20)
        #expect(RedisArchiver.whole(0, of: [], isFull: false) == 0)
        // The log's newest decision stays.
        #expect(RedisArchiver.whole(19, of: run, isFull: false) == 0)
        // It begins behind another one, and ends before another one.
        #expect(RedisArchiver.whole(10, of: [event(0, of: "other")] + run, isFull: true) == 1)
        #expect(RedisArchiver.whole(10, of: run + [event(21, of: "other")], isFull: true) == 20)
    }
}

import EventSourcing
import Simulation
import Testing

/// The rules of append in their plainest form.
private struct Model {
    var histories: [String: [ProposedEvent]] = [:]

    enum Answer: Equatable {
        case appended([UInt64], [Bool])
        case conflict(UInt64)
        case taken(String)
        case fenced(UInt64)
    }

    mutating func append(_ batch: AppendBatch) -> Answer {
        var history = histories[batch.partitionKey] ?? []
        let before = history.count
        var sequences: [UInt64] = []
        var present: [Bool] = []
        for event in batch.events {
            if let index = history.firstIndex(where: { $0.id == event.id }) {
                guard history[index].data == event.data else { return .taken(event.id) }
                sequences.append(UInt64(index + 1))
                present.append(true)
            } else {
                history.append(event)
                sequences.append(UInt64(history.count))
                present.append(false)
            }
        }
        let wanted: Int? =
            switch batch.expected {
            case .any: nil
            case .absent: 0
            case .exactly(let version): Int(version)
            }
        if history.count > before, let wanted, wanted != before { return .conflict(UInt64(before)) }
        histories[batch.partitionKey] = history
        return .appended(sequences, present)
    }
}

@Suite("Append against a model")
struct AppendModelTests {
    private func batch(using generator: inout SeededGenerator) -> AppendBatch {
        let key = "key-\(Int.random(in: 0..<4, using: &generator))"
        let expected: ExpectedVersion =
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: .absent
            case 1: .exactly(UInt64.random(in: 0..<12, using: &generator))
            default: .any
            }
        let events = (0..<Int.random(in: 1...4, using: &generator)).map { _ in
            // Few ids and fewer bodies, so that all kinds of collisions happen.
            let id = Int.random(in: 0..<40, using: &generator)
            let body = Int.random(in: 0..<8, using: &generator) == 0 ? 1 : 0
            return SampleEvents.event("id-\(id)", number: body)
        }
        return AppendBatch(to: key, expecting: expected, events)
    }

    private func run(_ log: any EventLog, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var model = Model()
        let store = try log.open()
        for round in 0..<40 {
            let batches = (0..<Int.random(in: 1...12, using: &generator)).map { _ in
                batch(using: &generator)
            }
            let outcomes = try store.append(batches)
            for (batch, outcome) in zip(batches, outcomes) {
                let answer: Model.Answer =
                    switch outcome {
                    case .appended(let events): .appended(events.map(\.sequence), events.map(\.wasPresent))
                    case .conflict(let actual): .conflict(actual)
                    case .idTaken(let id): .taken(id)
                    case .fenced(let generation): .fenced(generation)
                    }
                #expect(answer == model.append(batch), "seed \(seed), round \(round): \(batch)")
            }
        }
        for (key, history) in model.histories {
            let loaded = try store.load(key, after: 0, limit: 1000)
            #expect(loaded.map(\.event.id) == history.map(\.id), "seed \(seed), \(key)")
            #expect(loaded.map(\.data) == history.map(\.data), "seed \(seed), \(key)")
        }
    }

    @Test("in Redis", arguments: [1, 2, 3, UInt64.random(in: 0...UInt64.max)])
    func redis(seed: UInt64) throws { try run(try freshLog(), seed: seed) }

    @Test("in memory", arguments: [1, 2, 3, UInt64.random(in: 0...UInt64.max)])
    func memory(seed: UInt64) throws { try run(InMemoryEventLog(), seed: seed) }
}

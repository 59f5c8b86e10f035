internal import Base
internal import EventSourcing

/// What every `OrderedParking` promises. Needs a log of four partitions or more.
package enum ParkingContract {
    /// All cases.
    package static let cases: [ContractCase] = [
        ContractCase("tries are counted by event and subscription, whoever counts, until the event is parked")
        {
            log in
            let events = try append(log, keys: 1, each: 2)
            let (one, two) = (try log.orderedParking(), try log.orderedParking())
            try expectEqual(try one.countTry("s", of: events[0].position), 1, "first try")
            try expectEqual(try two.countTry("s", of: events[0].position), 2, "second try")
            try expectEqual(try two.countTry("s", of: events[1].position), 1, "tries of another event")
            try expectEqual(try two.countTry("t", of: events[0].position), 1, "tries of another subscription")
            try one.park("s", events[0], reason, under: nil)
            try expectEqual(try two.countTry("s", of: events[0].position), 1, "a try after parking")
            try one.release("s", events[0].position, under: nil)
            try expectEqual(try two.countTry("s", of: events[0].position), 1, "a try after the release")
        },
        ContractCase("a parked event holds back its own key, in its own subscription and partition alone") {
            log in
            let events = try append(log, keys: 12, each: 3)
            let parking = try log.orderedParking()
            let poison = events[4]
            try expectEqual(try parking.heldBack("s", in: poison.position.partition), HeldBack(), "before")
            try parking.park("s", poison, reason, under: nil)
            let held = HeldKey(
                partitionKey: poison.partitionKey, position: poison.position, sequence: poison.sequence,
                isRetryAsked: false)
            for partition in 0..<(try log.open()).partitioning.count {
                let isHere = partition == poison.position.partition
                try expectEqual(
                    try log.orderedParking().heldBack("s", in: partition),
                    HeldBack(keys: isHere ? [held] : []), "held back in \(partition)")
                try expectEqual(try parking.heldBack("t", in: partition), HeldBack(), "of another")
            }
            // The same once more, as after an answer that was lost.
            try parking.park("s", poison, reason, under: nil)
            try expectEqual(
                try parking.heldBack("s", in: poison.position.partition), HeldBack(keys: [held]), "again")
        },
        ContractCase("what is released holds back nothing, and releasing it again is no error") { log in
            let events = try append(log, keys: 2, each: 1)
            let parking = try log.orderedParking()
            for event in events { try parking.park("s", event, reason, under: nil) }
            for _ in 0..<2 { try parking.release("s", events[0].position, under: nil) }
            let held = try events.flatMap { try parking.heldBack("s", in: $0.position.partition).keys }
            try expectEqual(Set(held.map(\.partitionKey)), [events[1].partitionKey], "held back")
        },
        ContractCase("a late owner can neither park nor release") { log in
            let event = try append(log, keys: 1, each: 1)[0]
            let partition = event.position.partition
            let leases = try log.leases()
            let parking = try log.orderedParking()
            let first = try leases.acquire("s", [partition], as: "a", forMilliseconds: 60_000)
            try leases.release(first)
            let second = try leases.acquire("s", [partition], as: "b", forMilliseconds: 60_000)
            try expectFenced { () throws(LogFailure) in
                try parking.park("s", event, reason, under: first[0])
            }
            try expectEqual(try parking.heldBack("s", in: partition), HeldBack(), "after a late owner")
            try parking.park("s", event, reason, under: second[0])
            try expectFenced { () throws(LogFailure) in
                try parking.release("s", event.position, under: first[0])
            }
            try expectEqual(try parking.heldBack("s", in: partition).keys.count, 1, "held back")
            try parking.release("s", event.position, under: second[0])
            try expectEqual(try parking.heldBack("s", in: partition), HeldBack(), "after its owner")
        },
    ]

    private static let reason = ParkedReason(
        stage: "s", errors: ["it \"broke\"", "because"], attempts: 3,
        time: Timestamp(milliseconds: 1_700_000_000_000))

    private static func append(_ log: any EventLog, keys: Int, each: Int) throws -> [RecordedEvent] {
        let store = try log.open()
        return try (0..<keys).flatMap { key in
            let events = (0..<each).map { SampleEvents.event("\(key)/\($0)", number: $0) }
            _ = try store.append(events, to: "key-\(key)", expecting: .absent)
            return try store.load("key-\(key)", after: 0, limit: each)
        }
    }
}

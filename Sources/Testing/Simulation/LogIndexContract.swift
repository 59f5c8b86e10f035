internal import EventSourcing

/// What every `LogIndex` promises. Needs a log of four partitions or more.
package enum LogIndexContract {
    /// All cases.
    package static let cases: [ContractCase] = [
        ContractCase("values, their place and nothing else are what was written last") { log in
            let index = try log.index("i")
            try expectEqual(try index.places(), [:], "places of nothing")
            try expect(try index.scan(1) { _ in } == nil, "a place of nothing")
            try index.write([("a", [1, 0, 255]), ("b", []), ("c", [3])], upTo: place(1, 5), under: nil)
            try index.write([("b", nil), ("a", [4]), ("d", [7]), ("d", [8])], upTo: place(1, 9), under: nil)
            try index.write([], upTo: place(2, 3), under: nil)
            let other = try log.index("i")
            try expectEqual(try other.places(), [1: place(1, 9), 2: place(2, 3)], "places")
            try expectEqual(try all(other, 1), ["a": [4], "c": [3], "d": [8]], "values")
            try expectEqual(try all(other, 2), [:], "values of another partition")
            try expectEqual(
                try other.values(["a", "b", "d", "x"], in: 1), ["a": [4], "d": [8]], "values by key")
            try expectEqual(try other.values([], in: 1), [:], "values of no key")
            try expectEqual(try log.index("j").places(), [:], "places of another name")
            try expectEqual(try all(log.index("j"), 1), [:], "values of another name")
        },
        ContractCase("a partition that is cleared has neither values nor a place") { log in
            let index = try log.index("i")
            for partition in 0..<2 {
                try index.write([("a", [1])], upTo: place(partition, 5), under: nil)
            }
            try index.clear(0)
            try index.clear(3)
            try expectEqual(try index.places(), [1: place(1, 5)], "places")
            try expectEqual(try all(index, 0), [:], "values")
            try expectEqual(try all(index, 1), ["a": [1]], "values of another partition")
        },
        ContractCase("many values come page by page, each of them") { log in
            let index = try log.index("i")
            let numbers = 0..<3_100
            try index.write(
                numbers.map { ("session-\($0)", Array("\($0)".utf8)) }, upTo: place(0, 1), under: nil)
            try expectEqual(
                try all(index, 0),
                Dictionary(uniqueKeysWithValues: numbers.map { ("session-\($0)", Array("\($0)".utf8)) }),
                "values")
            try index.write(
                numbers.filter { !$0.isMultiple(of: 10) }.map { ("session-\($0)", nil) }, upTo: place(0, 2),
                under: nil)
            try expectEqual(try all(index, 0).count, 310, "values that were left")
            try expectEqual(try index.values(numbers.map { "session-\($0)" }, in: 0).count, 310, "by key")
        },
        ContractCase("a late owner changes neither values nor place") { log in
            let index = try log.index("i")
            let leases = try log.leases()
            let first = try leases.acquire("s", [1], as: "a", forMilliseconds: 60_000)
            try index.write([("a", [1])], upTo: place(1, 5), under: first[0])
            try leases.release(first)
            let second = try leases.acquire("s", [1], as: "b", forMilliseconds: 60_000)
            try expectFenced { () throws(LogFailure) in
                try index.write([("a", [2]), ("b", [2])], upTo: place(1, 7), under: first[0])
            }
            try expectEqual(try all(index, 1), ["a": [1]], "values after a late owner")
            try expectEqual(try index.places(), [1: place(1, 5)], "place after a late owner")
            try index.write([("a", [3])], upTo: place(1, 6), under: second[0])
            try expectEqual(try all(index, 1), ["a": [3]], "values after the owner")
        },
    ]

    private static func place(_ partition: Int, _ milliseconds: UInt64) -> LogPosition {
        LogPosition(partition: partition, milliseconds: milliseconds, counter: 2)
    }

    private static func all(_ index: any LogIndex, _ partition: Int) throws -> [String: [UInt8]] {
        var values: [String: [UInt8]] = [:]
        _ = try index.scan(partition) { page in for (key, value) in page { values[key] = value } }
        return values
    }
}

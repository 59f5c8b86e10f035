internal import Base

/// Which partition keys have events in a segment, and which sequences: 24 bytes each, sorted, so that
/// loading one history reads only the segments that it is in.
///
/// A record is the first 8 bytes of the key's SHA-256, then the first and the last sequence, 8 bytes each,
/// all big endian. Two keys may share the 8 bytes: then both records stand there.
package struct SegmentIndex: Sendable {
    /// Bytes of one record.
    package static let recordBytes = 24
    private let bytes: [UInt8]

    /// Nil when the bytes are no whole number of records.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count.isMultiple(of: Self.recordBytes) else { return nil }
        self.bytes = bytes
    }

    /// The index of events in the order of their log.
    package init(of events: [RecordedEvent]) {
        var ranges: [String: (first: UInt64, last: UInt64)] = [:]
        for event in events {
            ranges[event.partitionKey, default: (event.sequence, event.sequence)].last = event.sequence
        }
        let records = ranges.map { key, range in
            var record = Self.mark(of: key)
            for number in [range.first, range.last] {
                for shift in stride(from: 56, through: 0, by: -8) {
                    record.append(UInt8(truncatingIfNeeded: number >> UInt64(shift)))
                }
            }
            return record
        }
        bytes = Array(records.sorted { $0.lexicographicallyPrecedes($1) }.joined())
    }

    /// The index as bytes.
    package var encoded: [UInt8] { bytes }

    /// What a key is found by.
    package static func mark(of key: String) -> [UInt8] { Array(SHA256.digest(of: key.utf8).prefix(8)) }

    /// Sequences that a key with this mark may have in the segment; nil when it has none.
    package func range(_ mark: [UInt8]) -> ClosedRange<UInt64>? {
        let wanted = mark.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        var low = 0
        var high = bytes.count / Self.recordBytes
        while low < high {
            let middle = (low + high) / 2
            if number(middle, 0) < wanted { low = middle + 1 } else { high = middle }
        }
        var found: ClosedRange<UInt64>?
        while low < bytes.count / Self.recordBytes, number(low, 0) == wanted {
            let first = min(number(low, 8), found?.lowerBound ?? .max)
            let last = max(number(low, 16), found?.upperBound ?? 0)
            guard first <= last else { return found }
            found = first...last
            low += 1
        }
        return found
    }

    private func number(_ record: Int, _ offset: Int) -> UInt64 {
        let start = record * Self.recordBytes + offset
        var value: UInt64 = 0
        for index in start..<start + 8 { value = value << 8 | UInt64(bytes[index]) }
        return value
    }
}

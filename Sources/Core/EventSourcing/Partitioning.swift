internal import Base

/// How many partitions a log has, and which one a key belongs to. Fixed when the log is created.
package struct Partitioning: Sendable, Hashable {
    /// The most partitions that a log has.
    package static let maximumCount = 4096

    /// Number of partitions, 1...4096.
    package let count: Int

    /// Nil outside 1...4096.
    package init?(count: Int) {
        guard (1...Self.maximumCount).contains(count) else { return nil }
        self.count = count
    }

    /// The first 8 bytes, big endian, of SHA-256(partition key), modulo the number of partitions.
    package func partition(of key: String) -> Int {
        let prefix = SHA256.withDigest(of: key) { UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)) }
        return Int(prefix % UInt64(count))
    }
}

/// The place of an event in the log: partition and stream entry id.
package struct LogPosition: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Partition number, from 0.
    package var partition: Int
    /// The milliseconds part of the stream entry id.
    package var milliseconds: UInt64
    /// The counter part of the stream entry id.
    package var counter: UInt64
    package init(partition: Int, milliseconds: UInt64, counter: UInt64) {
        self.partition = partition
        self.milliseconds = milliseconds
        self.counter = counter
    }

    /// The position before the first event of a partition.
    package static func start(of partition: Int) -> LogPosition {
        LogPosition(partition: partition, milliseconds: 0, counter: 0)
    }

    /// The last place before this one, whether an entry stands there or not: reading after it begins here.
    package var predecessor: LogPosition {
        if counter > 0 {
            return LogPosition(partition: partition, milliseconds: milliseconds, counter: counter - 1)
        }
        guard milliseconds > 0 else { return self }
        return LogPosition(partition: partition, milliseconds: milliseconds - 1, counter: .max)
    }

    /// The entry id alone, as Redis writes it: `1700000000000-0`.
    package var entryID: String { "\(milliseconds)-\(counter)" }

    /// `p007/1700000000000-0`.
    package var description: String { "\(Self.partitionName(partition))/\(entryID)" }

    /// `p` and three digits at least.
    package static func partitionName(_ partition: Int) -> String {
        let digits = String(partition)
        return "p" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits
    }

    /// A position from a partition and an entry id; nil when the id is not `digits-digits`.
    package init?(partition: Int, entryID: some StringProtocol) {
        self.init(partition: partition, entryID: entryID.utf8)
    }

    /// A position from a partition and the UTF-8 of an entry id; nil when the id is not `digits-digits`.
    @inlinable
    package init?(partition: Int, entryID: some Sequence<UInt8>) {
        // Every event that is read has one: no pieces are cut out, digits are read where they stand.
        var parts: (UInt64, UInt64) = (0, 0)
        var digits = (0, 0)
        var isBehindDash = false
        for byte in entryID {
            if byte == UInt8(ascii: "-"), !isBehindDash {
                isBehindDash = true
                continue
            }
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            let (tens, isTooLarge) = (isBehindDash ? parts.1 : parts.0).multipliedReportingOverflow(by: 10)
            let (sum, isAlsoTooLarge) = tens.addingReportingOverflow(UInt64(byte - 0x30))
            if isTooLarge || isAlsoTooLarge { return nil }
            if isBehindDash {
                parts.1 = sum
                digits.1 += 1
            } else {
                parts.0 = sum
                digits.0 += 1
            }
        }
        guard digits.0 > 0, digits.1 > 0 else { return nil }
        self.init(partition: partition, milliseconds: parts.0, counter: parts.1)
    }

    /// Reads what `description` writes.
    package init?(_ text: String) {
        guard text.hasPrefix("p"), let slash = text.firstIndex(of: "/"),
            let partition = Int(text[text.index(after: text.startIndex)..<slash]),
            (0..<Partitioning.maximumCount).contains(partition)
        else { return nil }
        self.init(partition: partition, entryID: text[text.index(after: slash)...])
    }

    /// By partition, then in the order of its stream.
    package static func < (a: LogPosition, b: LogPosition) -> Bool {
        (a.partition, a.milliseconds, a.counter) < (b.partition, b.milliseconds, b.counter)
    }
}

internal import EventSourcing
internal import Recording

extension LiveFilter {
    static func isAudit(_ partitionKey: String) -> Bool { AuditRecord.isHistory(partitionKey) }
}

/// All of a log's places in one word, for `Last-Event-ID` of those who follow everything.
///
/// The log has no order between its partitions, so one position does not say what was delivered of the
/// others; the exact answer is a position for each. Base64url (RFC 4648, section 5) of: the byte 1; the
/// number of partitions; the lowest milliseconds of a position; then for each partition 0 for its start, or
/// 1 and the milliseconds above the lowest, and the counter. Numbers are LEB128.
enum LivePlace {
    static func encode(_ positions: [LogPosition]) -> String {
        var bytes: [UInt8] = [1]
        bytes.reserveCapacity(8 + positions.count * 5)
        let base = positions.lazy.map(\.milliseconds).filter { $0 > 0 }.min() ?? 0
        VariableInteger.append(UInt64(positions.count), to: &bytes)
        VariableInteger.append(base, to: &bytes)
        for position in positions {
            guard position.milliseconds > 0 else {
                bytes.append(0)
                continue
            }
            VariableInteger.append(position.milliseconds - base + 1, to: &bytes)
            VariableInteger.append(position.counter, to: &bytes)
        }
        return Base64URL.encode(bytes)
    }

    /// Nil for anything that `encode` does not write for a log of so many partitions.
    static func decode(_ text: String, partitions: Int) -> [LogPosition]? {
        guard text.utf8.count <= 8 + partitions * 28, let bytes = Base64URL.decode(text), bytes.first == 1
        else { return nil }
        var rest = bytes.dropFirst()
        guard VariableInteger.take(from: &rest) == UInt64(partitions),
            let base = VariableInteger.take(from: &rest)
        else { return nil }
        var positions: [LogPosition] = []
        positions.reserveCapacity(partitions)
        for partition in 0..<partitions {
            guard let above = VariableInteger.take(from: &rest) else { return nil }
            guard above > 0 else {
                positions.append(.start(of: partition))
                continue
            }
            let (milliseconds, isTooLarge) = base.addingReportingOverflow(above - 1)
            guard !isTooLarge, let counter = VariableInteger.take(from: &rest) else { return nil }
            positions.append(
                LogPosition(partition: partition, milliseconds: milliseconds, counter: counter))
        }
        return rest.isEmpty && encode(positions) == text ? positions : nil
    }
}

/// Base64 with the alphabet for URLs and without padding (RFC 4648, section 5).
enum Base64URL {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count * 4 + 2) / 3)
        var bits: UInt32 = 0
        var count = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            count += 8
            while count >= 6 {
                count -= 6
                out.append(alphabet[Int(bits >> UInt32(count)) & 63])
            }
        }
        if count > 0 { out.append(alphabet[Int(bits << UInt32(6 - count)) & 63]) }
        return String(decoding: out, as: UTF8.self)
    }

    static func decode(_ text: String) -> [UInt8]? {
        var out: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for byte in text.utf8 {
            guard let value = value(byte) else { return nil }
            bits = bits << 6 | value
            count += 6
            if count >= 8 {
                count -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return out
    }

    private static func value(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x41...0x5A: UInt32(byte) - 0x41
        case 0x61...0x7A: UInt32(byte) - 0x61 + 26
        case 0x30...0x39: UInt32(byte) - 0x30 + 52
        case 0x2D: 62
        case 0x5F: 63
        default: nil
        }
    }
}

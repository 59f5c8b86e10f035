internal import Base
internal import EventSourcing

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
        guard text.utf8.count <= 8 + partitions * 28, let bytes = Base64URL.decode(text.utf8),
            bytes.first == 1
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

internal import Base
internal import EventSourcing
internal import Glibc

/// Reads events out of replies, for one thread. Texts that come again and again are made once.
struct EntryDecoder {
    // A table for each attribute, so that one does not drive out the other.
    private var ids = TextTable(bits: 0)
    private var types = TextTable(bits: 4)
    private var sources = TextTable(bits: 2)
    private var subjects = TextTable(bits: 8)
    private var keys = TextTable(bits: 8)
    private var actorTypes = TextTable(bits: 2)
    private var actors = TextTable(bits: 4)
    private var traces = TextTable(bits: 4)
    private var correlations = TextTable(bits: 8)
    private var causes = TextTable(bits: 8)

    private static let schemaPrefix: StaticString = "urn:reel:event:"
    /// Where the values stand that are the same in every entry: specversion and datacontenttype.
    private static let constants: [(place: Int, text: StaticString)] = [(7, "1.0"), (15, "application/json")]
    private static let sequenceDigits = 12

    /// Reads `[entry id, [name, value, …]]`.
    mutating func decode(
        _ entry: ReplyView, partition: Int, operation: String
    ) throws(LogFailure) -> RecordedEvent {
        let position = try EntryCoding.position(entry[0], partition: partition, operation: operation)
        let fields = EntryCoding.fields
        guard let values = entry[1], values.count == 2 * fields.count else {
            throw EntryCoding.corrupt(position, operation, "an entry has not \(fields.count) fields")
        }
        for index in 0..<fields.count where values[2 * index]?.equals(fields[index]) != true {
            throw EntryCoding.corrupt(position, operation, "field \(index + 1) is not \(fields[index])")
        }
        for (place, constant) in Self.constants where values[place]?.equals(constant) != true {
            throw EntryCoding.corrupt(
                position, operation, "\(fields[(place - 1) / 2]) is not \(constant)")
        }
        guard let time = values[11]?.withBytes({ Timestamp(rfc3339: $0) }) else {
            throw EntryCoding.corrupt(position, operation, "time is not RFC 3339")
        }
        guard let sequence = values[19]?.withBytes(paddedNumber), RecordedEvent.sequences.contains(sequence)
        else {
            throw EntryCoding.corrupt(
                position, operation, "sequence is not a positive number of \(Self.sequenceDigits) digits")
        }
        let type = types.text(values[3])
        guard let version = values[13]?.withBytes({ version($0, of: values[3]) }) else {
            throw EntryCoding.corrupt(position, operation, "dataschema is not that of \(type)")
        }
        let context = EventContext(
            source: sources.text(values[5]),
            actor: Actor(type: actorTypes.text(values[21]), id: actors.text(values[23])),
            traceparent: traces.text(values[25]), correlationID: correlations.text(values[27]),
            causationID: causes.text(values[29]))
        let event = ProposedEvent(
            id: ids.text(values[1]), type: type, version: Int(version), subject: subjects.text(values[9]),
            time: time, context: context, data: values[31]?.bytes ?? [])
        return RecordedEvent(
            event: event, partitionKey: keys.text(values[17]), sequence: sequence, position: position)
    }

    /// A number without sign.
    private func number(_ digits: some Collection<UInt8>) -> UInt64? {
        var number: UInt64 = 0
        for byte in digits {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            let (tens, isTooLarge) = number.multipliedReportingOverflow(by: 10)
            let (sum, isAlsoTooLarge) = tens.addingReportingOverflow(UInt64(byte - 0x30))
            if isTooLarge || isAlsoTooLarge { return nil }
            number = sum
        }
        return digits.isEmpty ? nil : number
    }

    /// A number in the one form in which it is written: padded with zeros.
    private func paddedNumber(_ digits: UnsafeBufferPointer<UInt8>) -> UInt64? {
        let isPadded =
            digits.count == Self.sequenceDigits
            || digits.count > Self.sequenceDigits && digits.first != UInt8(ascii: "0")
        return isPadded ? number(digits) : nil
    }

    /// The version at the end of `urn:reel:event:<type>:<version>`.
    private func version(_ schema: UnsafeBufferPointer<UInt8>, of type: ReplyView?) -> UInt64? {
        guard let type else { return nil }
        let prefix = Self.schemaPrefix
        return type.withBytes { type in
            let start = prefix.utf8CodeUnitCount
            let colon = start + type.count
            guard schema.count > colon + 1, let bytes = schema.baseAddress, let name = type.baseAddress,
                memcmp(bytes, prefix.utf8Start, start) == 0,
                memcmp(bytes + start, name, type.count) == 0,
                schema[colon] == UInt8(ascii: ":")
            else { return nil }
            guard schema[colon + 1] != UInt8(ascii: "0") else { return nil }
            return number(schema[(colon + 1)...]).flatMap { $0 <= UInt64(Int32.max) ? $0 : nil }
        }
    }
}

/// The last texts of one attribute by their bytes. What was made lately is handed out again instead of
/// being made anew.
private struct TextTable {
    private var texts: [String]
    private let shift: UInt64

    /// - Parameter bits: the logarithm of how many texts are kept; 0 keeps none.
    init(bits: UInt64) {
        texts = Array(repeating: "", count: bits == 0 ? 0 : 1 << Int(bits))
        shift = 64 - bits
    }

    mutating func text(_ view: ReplyView?) -> String {
        guard let view else { return "" }
        return view.withBytes { bytes in
            // Shorter ones need no memory of their own.
            guard bytes.count > 15, !texts.isEmpty, let start = UnsafeRawPointer(bytes.baseAddress) else {
                return String(decoding: bytes, as: UTF8.self)
            }
            let (head, tail) = (
                start.loadUnaligned(as: UInt64.self),
                (start + bytes.count - 8).loadUnaligned(as: UInt64.self)
            )
            let mixed = (head ^ (tail &* 31)) &* 0x9E37_79B9_7F4A_7C15
            let place = Int(truncatingIfNeeded: mixed >> shift)
            let known = texts[place].utf8.withContiguousStorageIfAvailable {
                guard $0.count == bytes.count, let text = $0.baseAddress else { return false }
                return memcmp(text, start, bytes.count) == 0
            }
            if known == true { return texts[place] }
            let text = String(decoding: bytes, as: UTF8.self)
            texts[place] = text
            return text
        }
    }
}

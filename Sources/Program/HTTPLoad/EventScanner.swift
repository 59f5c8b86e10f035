internal import Glibc

/// Takes the answer to somebody who follows server-sent events apart, as far as measuring needs: whether it
/// is one, and the ids of its events, which have to be numbers. Without I/O.
struct EventScanner {
    /// What cannot be followed.
    struct Malformed: Error, Equatable {}

    private enum Place {
        case head
        /// The line with a piece's length.
        case length
        /// So many bytes of a piece are left.
        case piece(Int)
        /// Behind a piece, or behind the last one: so many bytes of a line's end.
        case pieceEnd(Int, isLast: Bool)
        case ended
    }

    private static let headLimit = 16 << 10
    private static let lineLimit = 32

    private var place = Place.head
    /// What has come of the head, or of a length's line.
    private var begun: [UInt8] = []
    /// What has come of a line of the stream, its beginning alone.
    private var line: [UInt8] = []
    private var isLineEmpty = true
    private var id: UInt64?

    /// Whether the head was there and the stream has begun.
    private(set) var hasBegun = false
    /// Whether the stream has come to its end.
    var hasEnded: Bool { if case .ended = place { true } else { false } }

    /// Takes what came next; `onEvent` gets the id of every event that is whole.
    mutating func take(_ bytes: UnsafeRawBufferPointer, _ onEvent: (UInt64) -> Void) throws(Malformed) {
        var rest = bytes
        while !rest.isEmpty {
            switch place {
            case .head: rest = try takeHead(rest)
            case .length: rest = try takeLength(rest)
            case .piece(let left):
                let count = min(left, rest.count)
                takeText(UnsafeRawBufferPointer(rebasing: rest[..<count]), onEvent)
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                place = count == left ? .pieceEnd(2, isLast: false) : .piece(left - count)
            case .pieceEnd(let left, let isLast):
                guard rest[0] == (left == 2 ? 13 : 10) else { throw Malformed() }
                rest = UnsafeRawBufferPointer(rebasing: rest[1...])
                place = left == 2 ? .pieceEnd(1, isLast: isLast) : isLast ? .ended : .length
            case .ended: throw Malformed()
            }
        }
    }

    private mutating func takeHead(
        _ bytes: UnsafeRawBufferPointer
    ) throws(Malformed) -> UnsafeRawBufferPointer {
        for (index, byte) in bytes.enumerated() {
            begun.append(byte)
            guard begun.count <= Self.headLimit else { throw Malformed() }
            guard byte == 10, begun.suffix(4) == [13, 10, 13, 10] else { continue }
            let text = String(decoding: begun, as: UTF8.self).lowercased()
            guard text.hasPrefix("http/1.1 200 "), text.contains("\r\ntransfer-encoding: chunked\r\n"),
                text.contains("\r\ncontent-type: text/event-stream")
            else { throw Malformed() }
            begun = []
            hasBegun = true
            place = .length
            return UnsafeRawBufferPointer(rebasing: bytes[(index + 1)...])
        }
        return UnsafeRawBufferPointer(rebasing: bytes[bytes.count...])
    }

    private mutating func takeLength(
        _ bytes: UnsafeRawBufferPointer
    ) throws(Malformed) -> UnsafeRawBufferPointer {
        for (index, byte) in bytes.enumerated() {
            guard byte == 10 else {
                begun.append(byte)
                guard begun.count <= Self.lineLimit else { throw Malformed() }
                continue
            }
            let digits = String(decoding: begun.prefix { $0 != 13 }, as: UTF8.self)
            guard let length = Int(digits, radix: 16), length >= 0 else { throw Malformed() }
            begun = []
            place = length == 0 ? .pieceEnd(2, isLast: true) : .piece(length)
            return UnsafeRawBufferPointer(rebasing: bytes[(index + 1)...])
        }
        return UnsafeRawBufferPointer(rebasing: bytes[bytes.count...])
    }

    /// Long lines, which most bytes are in, are passed over without being looked at.
    private mutating func takeText(_ bytes: UnsafeRawBufferPointer, _ onEvent: (UInt64) -> Void) {
        guard let base = bytes.baseAddress else { return }
        var start = 0
        while start < bytes.count {
            let found = memchr(base + start, 10, bytes.count - start)
            let end = found.map { UnsafeRawPointer($0) - base } ?? bytes.count
            if end > start {
                isLineEmpty = false
                let wanted = min(end - start, Self.lineLimit - line.count)
                if wanted > 0 { line.append(contentsOf: bytes[start..<(start + wanted)]) }
            }
            if found != nil { endLine(onEvent) }
            start = end + 1
        }
    }

    private mutating func endLine(_ onEvent: (UInt64) -> Void) {
        if isLineEmpty {
            if let id { onEvent(id) }
            id = nil
        } else if line.starts(with: "id: ".utf8) {
            id = UInt64(String(decoding: line.dropFirst(4), as: UTF8.self))
        }
        line.removeAll(keepingCapacity: true)
        isLineEmpty = true
    }
}

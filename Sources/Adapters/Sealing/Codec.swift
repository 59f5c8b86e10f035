/// How a chunk's payload is compressed, by the name written in headers and events.
package enum Codec: String, CaseIterable, Hashable, Sendable {
    /// The original bytes.
    case none
    /// One Zstandard frame with content size, without checksum (RFC 8878).
    case zstd
    /// One LZ4 frame with content size.
    case lz4
    /// One gzip member (RFC 1952).
    case gzip

    /// The level used when none is given; nil where there are no levels.
    package var defaultLevel: Int? {
        switch self {
        case .zstd: 3
        case .gzip: 6
        case .none, .lz4: nil
        }
    }

    /// The levels that may be asked for; nil where there are no levels.
    package var levels: ClosedRange<Int>? {
        switch self {
        case .zstd: 1...19
        case .gzip: 1...9
        case .none, .lz4: nil
        }
    }
}

/// Why bytes could not be compressed or decompressed. None of these goes away by trying again.
package enum CodecFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The codec has no such level.
    case unknownLevel(Codec, level: Int)
    /// The library refused the call; the text is its own.
    case library(Codec, text: String)
    /// The bytes are no valid frame of the codec; the text is the library's own.
    case damaged(Codec, text: String)
    /// The frame ends before its end mark.
    case truncated(Codec)
    /// Bytes follow the frame.
    case trailingBytes(Codec, count: Int)
    /// The frame holds another number of bytes than was declared. `found` is nil where it holds more, which
    /// is where decompression stops.
    case wrongSize(Codec, declared: Int, found: Int?)
    /// More bytes than the limit or the library takes in one call.
    case tooLarge(Codec, bytes: Int, limit: Int)

    /// One line for people.
    package var description: String {
        switch self {
        case .unknownLevel(let codec, let level):
            "\(codec.rawValue) has no level \(level); levels are \(Self.text(codec.levels))"
        case .library(let codec, let text): "\(codec.rawValue) failed: \(text)"
        case .damaged(let codec, let text): "payload is no valid \(codec.rawValue) frame: \(text)"
        case .truncated(let codec): "\(codec.rawValue) frame is cut short"
        case .trailingBytes(let codec, let count): "\(count) bytes follow the \(codec.rawValue) frame"
        case .wrongSize(let codec, let declared, let found):
            "\(codec.rawValue) frame holds \(found.map(String.init) ?? "more") bytes, "
                + "declared are \(declared)"
        case .tooLarge(let codec, let bytes, let limit):
            "\(bytes) bytes are more than the limit of \(limit) for \(codec.rawValue)"
        }
    }

    private static func text(_ levels: ClosedRange<Int>?) -> String {
        levels.map { "\($0.lowerBound) to \($0.upperBound)" } ?? "not used"
    }
}

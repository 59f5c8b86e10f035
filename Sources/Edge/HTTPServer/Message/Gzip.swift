internal import Base
internal import CZlib

/// Compresses whole bodies (RFC 1952). The working memory, 256 KiB, is kept for the next one.
final class Gzip: @unchecked Sendable {
    // Sendable because `stream` is only touched while it is taken out of `idle`.
    private let stream: UnsafeMutablePointer<z_stream>

    private static let idle = Lock<[Gzip]>([])
    private static let keptAtMost = 16

    private init?() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 15 bits of window, 16 more for the gzip format; level 4 costs half of the usual 6.
        let code = deflateInit2_(
            stream, 4, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            CInt(MemoryLayout<z_stream>.size))
        guard code == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// The compressed bytes; nil when they would not be fewer, or there is no memory.
    static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        guard let gzip = idle.withLock({ $0.popLast() }) ?? Gzip() else { return nil }
        defer { idle.withLock { if $0.count < keptAtMost { $0.append(gzip) } } }
        return gzip.run(bytes)
    }

    private func run(_ bytes: [UInt8]) -> [UInt8]? {
        guard deflateReset(stream) == Z_OK, bytes.count < Int(UInt32.max) else { return nil }
        var input = bytes
        var isWhole = false
        let output = [UInt8](unsafeUninitializedCapacity: bytes.count) { out, count in
            input.withUnsafeMutableBufferPointer { input in
                stream.pointee.next_in = input.baseAddress
                stream.pointee.avail_in = UInt32(input.count)
                stream.pointee.next_out = out.baseAddress
                stream.pointee.avail_out = UInt32(out.count)
                isWhole = deflate(stream, Z_FINISH) == Z_STREAM_END
            }
            count = out.count - Int(stream.pointee.avail_out)
        }
        return isWhole && output.count < bytes.count ? output : nil
    }
}

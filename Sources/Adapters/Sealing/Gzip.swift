internal import CZlib

/// One gzip member for each chunk, without name and time, so that the same input gives the same bytes.
final class GzipEncoder: FrameEncoder {
    /// Window of 32 KB, gzip framing.
    static let windowBits: Int32 = 15 + 16
    private static let sampleBytes = 64 * 1024

    // On the heap because zlib keeps the address of the structure.
    private let stream: UnsafeMutablePointer<z_stream>
    private let probe: ZstdEncoder

    init(level: Int) throws(CodecFailure) {
        probe = try ZstdEncoder(level: 1)
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let status = deflateInit2_(
            stream, Int32(level), Z_DEFLATED, Self.windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            stream.deallocate()
            throw .library(.gzip, text: "deflateInit2 answered \(status)")
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    func room(for count: Int) -> Int { count }

    func encode(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecFailure) -> Int? {
        guard source.count <= Int(UInt32.max) else {
            throw .tooLarge(.gzip, bytes: source.count, limit: Int(UInt32.max))
        }
        guard try mayShrink(source, scratch: target) else { return nil }
        deflateReset(stream)
        // zlib only reads its input; the field lacks `const`.
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: source.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(source.count)
        stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let room = min(target.count, source.count - 1)
        stream.pointee.avail_out = UInt32(room)
        switch deflate(stream, Z_FINISH) {
        case Z_STREAM_END: return room - Int(stream.pointee.avail_out)
        case Z_OK, Z_BUF_ERROR: return nil
        case let status: throw .library(.gzip, text: "deflate answered \(status)")
        }
    }

    /// deflate spends a quarter of a second on 10 MB that do not shrink; Zstandard sees the same in 2 ms.
    /// Samples first, so that data which shrinks pays almost nothing. Zstandard skips ahead where it finds
    /// nothing and drops gains below 1/64, so a chunk that deflate would shrink by one or two percent may
    /// stay as it is.
    private func mayShrink(
        _ source: UnsafeRawBufferPointer, scratch: UnsafeMutableRawBufferPointer
    ) throws(CodecFailure) -> Bool {
        guard source.count > 4 * Self.sampleBytes else { return true }
        for start in [0, source.count / 2, source.count - Self.sampleBytes] {
            let sample = UnsafeRawBufferPointer(rebasing: source[start..<start + Self.sampleBytes])
            if try probe.encode(sample, into: scratch) != nil { return true }
        }
        return try probe.encode(source, into: scratch) != nil
    }
}

final class GzipDecoder: FrameDecoder {
    private let stream: UnsafeMutablePointer<z_stream>

    init() throws(CodecFailure) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let status = inflateInit2_(
            stream, GzipEncoder.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            stream.deallocate()
            throw .library(.gzip, text: "inflateInit2 answered \(status)")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    func decode(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecFailure) -> Int? {
        let limit = Int(UInt32.max)
        guard source.count <= limit, target.count <= limit else {
            throw .tooLarge(.gzip, bytes: max(source.count, target.count), limit: limit)
        }
        inflateReset(stream)
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: source.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(source.count)
        stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(target.count)
        let status = inflate(stream, Z_FINISH)
        let left = Int(stream.pointee.avail_in)
        let written = target.count - Int(stream.pointee.avail_out)
        switch status {
        case Z_STREAM_END:
            guard left == 0 else { throw .trailingBytes(.gzip, count: left) }
            return written
        case Z_OK, Z_BUF_ERROR:
            if left == 0 { throw .truncated(.gzip) }
            return nil
        default:
            let text = stream.pointee.msg.map { String(cString: $0) } ?? "inflate answered \(status)"
            throw .damaged(.gzip, text: text)
        }
    }
}

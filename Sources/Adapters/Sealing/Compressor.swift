package import Files
/// What a codec's library has to do for `Compressor`.
protocol FrameEncoder: AnyObject {
    /// Room that `encode` needs for `count` bytes.
    func room(for count: Int) -> Int
    /// Writes one whole frame into `target`; nil when the frame would not be smaller than `source`.
    func encode(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecFailure) -> Int?
}

/// Compresses chunks with one codec and level, and keeps the library's working memory between them.
///
/// One thread; the same input gives the same output. Call on a thread of its own: a chunk takes milliseconds.
package final class Compressor {
    /// The codec asked for.
    package let codec: Codec
    /// The level in use; nil where the codec has none.
    package let level: Int?
    private let encoder: (any FrameEncoder)?

    /// - Parameter level: nil for the codec's default; ignored nowhere: a level for a codec without levels is
    ///   refused.
    package init(codec: Codec, level: Int? = nil) throws(CodecFailure) {
        let chosen = level ?? codec.defaultLevel
        if let chosen, codec.levels?.contains(chosen) != true {
            throw .unknownLevel(codec, level: chosen)
        }
        self.codec = codec
        self.level = chosen
        switch codec {
        case .none: encoder = nil
        case .zstd: encoder = try ZstdEncoder(level: chosen ?? 3)
        case .lz4: encoder = try LZ4Encoder()
        case .gzip: encoder = try GzipEncoder(level: chosen ?? 6)
        }
    }

    /// Replaces the contents of `output` with one frame of `input`.
    /// - Returns: the codec to declare. `none` when the frame would not be smaller than the input: then
    ///   `output` is empty and the original bytes are the payload.
    package func compress(
        _ input: UnsafeRawBufferPointer, into output: ScratchBuffer
    ) throws(CodecFailure) -> Codec {
        output.removeAll()
        output.reserve(room(for: input.count))
        let room = UnsafeMutableRawBufferPointer(start: output.base, count: output.capacity)
        guard let written = try encode(input, into: room) else { return .none }
        output.setCount(written)
        return codec
    }

    /// Room that `encode` needs in the worst case.
    func room(for count: Int) -> Int {
        encoder?.room(for: count) ?? 0
    }

    /// Writes one frame into `target`, which has `room(for:)` bytes or more; nil when it does not shrink.
    func encode(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecFailure) -> Int? {
        guard let encoder, !source.isEmpty else { return nil }
        return try encoder.encode(source, into: target)
    }
}

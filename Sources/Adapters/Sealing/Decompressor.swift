package import Files
/// What a codec's library has to do for `Decompressor`.
protocol FrameDecoder: AnyObject {
    /// Reads one frame that fills `source` exactly and writes at most `target.count` bytes.
    /// - Returns: bytes written, or nil when the frame holds more than fits.
    func decode(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecFailure) -> Int?
}

/// Restores chunks from any codec, and keeps the libraries' working memory between them. One thread.
package final class Decompressor {
    private var zstd: ZstdDecoder?
    private var lz4: LZ4Decoder?
    private var gzip: GzipDecoder?

    /// A decompressor; each codec's memory is taken at its first use.
    package init() {}

    /// Replaces the contents of `output` with the original of `payload`: exactly `originalBytes`, or an error
    /// and an empty `output`. Never writes more than `originalBytes`, whatever the payload says; refuses
    /// frames that are cut short and bytes behind the frame.
    package func decompress(
        _ payload: UnsafeRawBufferPointer, codec: Codec, originalBytes: Int, into output: ScratchBuffer
    ) throws(CodecFailure) {
        output.removeAll()
        guard originalBytes >= 0 else {
            throw .wrongSize(codec, declared: originalBytes, found: nil)
        }
        guard let decoder = try decoder(for: codec) else {
            guard payload.count == originalBytes else {
                throw .wrongSize(.none, declared: originalBytes, found: payload.count)
            }
            output.append(payload)
            return
        }
        output.reserve(originalBytes)
        let room = UnsafeMutableRawBufferPointer(start: output.base, count: originalBytes)
        let written = try decoder.decode(payload, into: room)
        guard written == originalBytes else {
            throw .wrongSize(codec, declared: originalBytes, found: written)
        }
        output.setCount(originalBytes)
    }

    private func decoder(for codec: Codec) throws(CodecFailure) -> (any FrameDecoder)? {
        switch codec {
        case .none:
            return nil
        case .zstd:
            let decoder = if let zstd { zstd } else { try ZstdDecoder() }
            zstd = decoder
            return decoder
        case .lz4:
            let decoder = if let lz4 { lz4 } else { try LZ4Decoder() }
            lz4 = decoder
            return decoder
        case .gzip:
            let decoder = if let gzip { gzip } else { try GzipDecoder() }
            gzip = decoder
            return decoder
        }
    }
}

internal import CLZ4

/// One LZ4 frame for each chunk: content size in the header, independent blocks of 4 MB, no checksums.
final class LZ4Encoder: FrameEncoder {
    private let context: OpaquePointer

    init() throws(CodecFailure) {
        var created: OpaquePointer?
        let result = LZ4F_createCompressionContext(&created, UInt32(LZ4F_VERSION))
        guard let created, LZ4F_isError(result) == 0 else { throw .library(.lz4, text: "out of memory") }
        context = created
    }

    deinit {
        LZ4F_freeCompressionContext(context)
    }

    func room(for count: Int) -> Int {
        var preferences = Self.preferences(contentBytes: count)
        return LZ4F_compressFrameBound(count, &preferences)
    }

    func encode(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecFailure) -> Int? {
        guard let start = target.baseAddress else { return nil }
        var preferences = Self.preferences(contentBytes: source.count)
        var used = try Self.check(LZ4F_compressBegin(context, start, target.count, &preferences))
        used += try Self.check(
            LZ4F_compressUpdate(
                context, start + used, target.count - used, source.baseAddress, source.count, nil))
        used += try Self.check(LZ4F_compressEnd(context, start + used, target.count - used, nil))
        return used < source.count ? used : nil
    }

    private static func preferences(contentBytes: Int) -> LZ4F_preferences_t {
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockSizeID = LZ4F_max4MB
        preferences.frameInfo.blockMode = LZ4F_blockIndependent
        preferences.frameInfo.contentSize = UInt64(contentBytes)
        // Straight from the source to the target: the library keeps no copy of a block.
        preferences.autoFlush = 1
        return preferences
    }

    private static func check(_ result: Int) throws(CodecFailure) -> Int {
        guard LZ4F_isError(result) == 0 else {
            throw .library(.lz4, text: String(cString: LZ4F_getErrorName(result)))
        }
        return result
    }
}

final class LZ4Decoder: FrameDecoder {
    private let context: OpaquePointer
    private static let frameMagic: UInt32 = 0x184D_2204

    init() throws(CodecFailure) {
        var created: OpaquePointer?
        let result = LZ4F_createDecompressionContext(&created, UInt32(LZ4F_VERSION))
        guard let created, LZ4F_isError(result) == 0 else { throw .library(.lz4, text: "out of memory") }
        context = created
    }

    deinit {
        LZ4F_freeDecompressionContext(context)
    }

    func decode(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecFailure) -> Int? {
        guard source.count >= 4, let input = source.baseAddress, let output = target.baseAddress else {
            throw .truncated(.lz4)
        }
        guard UInt32(littleEndian: source.loadUnaligned(as: UInt32.self)) == Self.frameMagic else {
            throw .damaged(.lz4, text: "no frame magic")
        }
        LZ4F_resetDecompressionContext(context)
        var options = LZ4F_decompressOptions_t()
        options.stableDst = 1
        var taken = 0
        var written = 0
        while taken < source.count {
            var inputBytes = source.count - taken
            var outputBytes = target.count - written
            let hint = LZ4F_decompress(
                context, output + written, &outputBytes, input + taken, &inputBytes, &options)
            guard LZ4F_isError(hint) == 0 else {
                throw .damaged(.lz4, text: String(cString: LZ4F_getErrorName(hint)))
            }
            taken += inputBytes
            written += outputBytes
            if hint == 0 {
                guard taken == source.count else {
                    throw .trailingBytes(.lz4, count: source.count - taken)
                }
                return written
            }
            // Neither side moved: the target is full and the frame has more.
            if inputBytes == 0, outputBytes == 0 { return nil }
        }
        // The whole input may be taken while decoded bytes still wait for room.
        if written == target.count, try hasPendingOutput() { return nil }
        throw .truncated(.lz4)
    }

    private func hasPendingOutput() throws(CodecFailure) -> Bool {
        var inputBytes = 0
        var outputBytes = 1
        var byte: UInt8 = 0
        var nothing: UInt8 = 0
        let hint = LZ4F_decompress(context, &byte, &outputBytes, &nothing, &inputBytes, nil)
        guard LZ4F_isError(hint) == 0 else {
            throw .damaged(.lz4, text: String(cString: LZ4F_getErrorName(hint)))
        }
        return outputBytes > 0
    }
}

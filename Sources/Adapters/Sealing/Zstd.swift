internal import CZstd

/// One Zstandard frame for each chunk: content size in the header, no checksum (the seal has a better one).
final class ZstdEncoder: FrameEncoder {
    private let context: OpaquePointer

    init(level: Int) throws(CodecFailure) {
        guard let context = ZSTD_createCCtx() else { throw .library(.zstd, text: "out of memory") }
        self.context = context
        try Self.check(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level)))
        try Self.check(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1))
        try Self.check(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 0))
    }

    deinit {
        ZSTD_freeCCtx(context)
    }

    func room(for count: Int) -> Int { count }

    func encode(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecFailure) -> Int? {
        // One byte less than the input: the library itself gives up on what does not shrink.
        let room = min(target.count, source.count - 1)
        let result = ZSTD_compress2(context, target.baseAddress, room, source.baseAddress, source.count)
        if ZSTD_isError(result) == 0 { return result }
        if ZSTD_getErrorCode(result) == ZSTD_error_dstSize_tooSmall { return nil }
        throw .library(.zstd, text: String(cString: ZSTD_getErrorName(result)))
    }

    private static func check(_ result: Int) throws(CodecFailure) {
        guard ZSTD_isError(result) == 0 else {
            throw .library(.zstd, text: String(cString: ZSTD_getErrorName(result)))
        }
    }
}

final class ZstdDecoder: FrameDecoder {
    private let context: OpaquePointer
    private static let frameMagic: UInt32 = 0xFD2F_B528

    init() throws(CodecFailure) {
        guard let context = ZSTD_createDCtx() else { throw .library(.zstd, text: "out of memory") }
        self.context = context
    }

    deinit {
        ZSTD_freeDCtx(context)
    }

    func decode(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecFailure) -> Int? {
        guard source.count >= 4 else { throw .truncated(.zstd) }
        // Skippable frames are valid input to the library and would hide bytes.
        guard UInt32(littleEndian: source.loadUnaligned(as: UInt32.self)) == Self.frameMagic else {
            throw .damaged(.zstd, text: "no frame magic")
        }
        let frameBytes = ZSTD_findFrameCompressedSize(source.baseAddress, source.count)
        if ZSTD_isError(frameBytes) != 0 { throw Self.failure(frameBytes) }
        guard frameBytes == source.count else {
            throw .trailingBytes(.zstd, count: source.count - frameBytes)
        }
        let declared = ZSTD_getFrameContentSize(source.baseAddress, source.count)
        // The two highest values mean "unknown" and "error"; the decompression decides then.
        if declared < UInt64.max - 1, declared != UInt64(target.count) {
            throw .wrongSize(.zstd, declared: target.count, found: Int(clamping: declared))
        }
        let result = ZSTD_decompressDCtx(
            context, target.baseAddress, target.count, source.baseAddress, source.count)
        if ZSTD_isError(result) == 0 { return result }
        if ZSTD_getErrorCode(result) == ZSTD_error_dstSize_tooSmall { return nil }
        throw Self.failure(result)
    }

    private static func failure(_ result: Int) -> CodecFailure {
        // Asking for the size of a frame that is cut short answers "wrong size of source".
        if ZSTD_getErrorCode(result) == ZSTD_error_srcSize_wrong { return .truncated(.zstd) }
        return .damaged(.zstd, text: String(cString: ZSTD_getErrorName(result)))
    }
}

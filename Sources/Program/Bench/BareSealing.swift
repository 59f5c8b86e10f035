internal import CCrypto
internal import CZstd
internal import Glibc

/// What the sealing path is measured against: the same work with the C libraries and system calls alone, in
/// the fewest lines. No events, no names, no checks that the libraries don't make. One thread.
///
/// Errors end the benchmark; nothing here may be used for data that matters.
package final class BareSealing {
    /// A library or system call that did not do its work.
    package struct Failure: Error, CustomStringConvertible {
        /// Which call.
        package var description: String
    }

    private let folder: String
    private let compressor: OpaquePointer
    private let decompressor: OpaquePointer
    private let cipher: OpaquePointer
    private let mac: OpaquePointer
    private let key = [UInt8](repeating: 7, count: 32)
    private let nonce = [UInt8](repeating: 9, count: 12)
    private let raw: UnsafeMutableRawBufferPointer
    private let packed: UnsafeMutableRawBufferPointer
    private let sealed: UnsafeMutableRawBufferPointer

    /// Contexts and buffers for chunks of `chunkBytes`, with files in `folder`.
    package init(folder: String, chunkBytes: Int, level: Int) throws {
        guard let compressor = ZSTD_createCCtx(), let decompressor = ZSTD_createDCtx(),
            let cipher = EVP_CIPHER_CTX_new(), let algorithm = EVP_MAC_fetch(nil, "HMAC", nil)
        else { throw Failure(description: "out of memory") }
        defer { EVP_MAC_free(algorithm) }
        guard let mac = EVP_MAC_CTX_new(algorithm) else { throw Failure(description: "out of memory") }
        ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, Int32(level))
        self.folder = folder
        self.compressor = compressor
        self.decompressor = decompressor
        self.cipher = cipher
        self.mac = mac
        let room = ZSTD_compressBound(chunkBytes)
        raw = .allocate(byteCount: chunkBytes, alignment: 4096)
        packed = .allocate(byteCount: room, alignment: 4096)
        sealed = .allocate(byteCount: room + 16, alignment: 4096)
    }

    deinit {
        ZSTD_freeCCtx(compressor)
        ZSTD_freeDCtx(decompressor)
        EVP_CIPHER_CTX_free(cipher)
        EVP_MAC_CTX_free(mac)
        raw.deallocate()
        packed.deallocate()
        sealed.deallocate()
    }

    /// What the recorder does: reads a chunk of the source, authenticates it, writes it durably.
    package func record(_ number: Int, from descriptor: Int32) throws {
        guard pread(descriptor, raw.baseAddress, raw.count, off_t(number * raw.count)) == raw.count else {
            throw Failure(description: "pread of the source")
        }
        try authenticate(raw)
        try write(UnsafeRawBufferPointer(raw), to: "\(number).raw")
    }

    /// What the stages do: reads the chunk, compresses, encrypts, hashes, opens again, writes it durably.
    package func seal(_ number: Int) throws {
        let source = "\(folder)/\(number).raw"
        let descriptor = open(source, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0, read(descriptor, raw.baseAddress, raw.count) == raw.count else {
            throw Failure(description: "read of \(source)")
        }
        close(descriptor)
        let packedBytes = ZSTD_compress2(
            compressor, packed.baseAddress, packed.count, raw.baseAddress, raw.count)
        let shrinks = ZSTD_isError(packedBytes) == 0 && packedBytes < raw.count
        let payload = UnsafeRawBufferPointer(
            rebasing: shrinks
                ? UnsafeRawBufferPointer(packed)[..<packedBytes] : UnsafeRawBufferPointer(raw)[...])
        try crypt(payload, into: sealed, encrypting: true)
        let file = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(sealed)[..<(payload.count + 16)])
        try digest(file)
        let opened = UnsafeRawBufferPointer(rebasing: file[..<payload.count])
        try crypt(opened, into: packed, encrypting: false)
        if shrinks {
            let restored = ZSTD_decompressDCtx(
                decompressor, raw.baseAddress, raw.count, packed.baseAddress, packedBytes)
            guard restored == raw.count else { throw Failure(description: "ZSTD_decompressDCtx") }
            try authenticate(raw)
        } else {
            try authenticate(UnsafeMutableRawBufferPointer(rebasing: packed[..<raw.count]))
        }
        try write(file, to: "\(number).sealed")
        unlink(source)
    }

    private func write(_ bytes: UnsafeRawBufferPointer, to name: String) throws {
        let temporary = "\(folder)/\(name).tmp"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0, Glibc.write(descriptor, bytes.baseAddress, bytes.count) == bytes.count,
            fsync(descriptor) == 0
        else { throw Failure(description: "write of \(temporary)") }
        close(descriptor)
        guard rename(temporary, "\(folder)/\(name)") == 0 else { throw Failure(description: "rename") }
        let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0, fsync(directory) == 0 else { throw Failure(description: "fsync of the folder") }
        close(directory)
    }

    private func authenticate(_ bytes: UnsafeMutableRawBufferPointer) throws {
        var digest = [UInt8](repeating: 0, count: 32)
        var count = 0
        // The parameter keeps pointers to both strings: they must outlive the call.
        let done = OSSL_MAC_PARAM_DIGEST.withCString { name in
            "SHA256".withCString { digest -> Bool in
                let parameters = [
                    OSSL_PARAM_construct_utf8_string(name, UnsafeMutablePointer(mutating: digest), 0),
                    OSSL_PARAM_construct_end(),
                ]
                return EVP_MAC_init(mac, key, key.count, parameters) == 1
            }
        }
        guard done,
            EVP_MAC_update(mac, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count) == 1,
            EVP_MAC_final(mac, &digest, &count, digest.count) == 1
        else { throw Failure(description: "EVP_MAC") }
    }

    private func digest(_ bytes: UnsafeRawBufferPointer) throws {
        var digest = [UInt8](repeating: 0, count: 32)
        guard EVP_Digest(bytes.baseAddress, bytes.count, &digest, nil, EVP_sha256(), nil) == 1 else {
            throw Failure(description: "EVP_Digest")
        }
    }

    private func crypt(
        _ bytes: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, encrypting: Bool
    ) throws {
        var written: Int32 = 0
        let algorithm = EVP_chacha20_poly1305()
        guard EVP_CipherInit_ex2(cipher, algorithm, key, nonce, encrypting ? 1 : 0, nil) == 1,
            EVP_CipherUpdate(
                cipher, target.baseAddress?.assumingMemoryBound(to: UInt8.self), &written,
                bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(bytes.count)) == 1
        else { throw Failure(description: "EVP_CipherUpdate") }
        guard encrypting else { return }
        let tag = target.baseAddress.map { $0 + bytes.count }
        guard
            EVP_CipherFinal_ex(cipher, tag?.assumingMemoryBound(to: UInt8.self), &written) == 1,
            EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1
        else { throw Failure(description: "EVP_CipherFinal_ex") }
    }
}

internal import CSodium

/// libsodium's one-time set-up, which must happen before any other thread calls it.
enum Sodium {
    static let isReady = sodium_init() >= 0

    static func fillRandom(_ target: UnsafeMutableRawBufferPointer) {
        precondition(isReady, "libsodium could not be set up: no source of randomness")
        guard let start = target.baseAddress, !target.isEmpty else { return }
        randombytes_buf(start, target.count)
    }

    static func randomBytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { target, written in
            fillRandom(UnsafeMutableRawBufferPointer(target))
            written = count
        }
    }

    static func wipe(_ target: UnsafeMutableRawBufferPointer) {
        guard let start = target.baseAddress else { return }
        sodium_memzero(start, target.count)
    }
}

/// Key material: wiped when the last owner lets go, never printed.
///
/// Plain heap instead of `sodium_malloc`: guarded pages cost several mappings for each key, and a worker that
/// knows 20,000 sessions would run into the kernel's limit of 65,530 mappings.
final class SecretBytes: @unchecked Sendable, CustomStringConvertible, CustomReflectable {
    // Sendable: the storage is written in `init` only.
    private let storage: UnsafeMutableRawBufferPointer

    init(count: Int, filling fill: (UnsafeMutableRawBufferPointer) -> Void) {
        storage = .allocate(byteCount: max(count, 1), alignment: 16)
        self.count = count
        fill(UnsafeMutableRawBufferPointer(rebasing: storage[..<count]))
    }

    convenience init(copying bytes: UnsafeRawBufferPointer) {
        self.init(count: bytes.count) { $0.copyMemory(from: bytes) }
    }

    convenience init(randomCount count: Int) {
        self.init(count: count) { Sodium.fillRandom($0) }
    }

    deinit {
        Sodium.wipe(storage)
        storage.deallocate()
    }

    let count: Int

    func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(rebasing: storage[..<count]))
    }

    var description: String { "<\(count) secret bytes>" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

extension UnsafeRawBufferPointer {
    /// The bytes as C functions want them that accept no null pointer.
    var octets: UnsafePointer<UInt8> {
        guard let baseAddress else { preconditionFailure("a buffer without storage") }
        return baseAddress.assumingMemoryBound(to: UInt8.self)
    }
}

extension UnsafeMutableRawBufferPointer {
    /// The bytes as C functions want them that accept no null pointer.
    var octets: UnsafeMutablePointer<UInt8> {
        guard let baseAddress else { preconditionFailure("a buffer without storage") }
        return baseAddress.assumingMemoryBound(to: UInt8.self)
    }
}

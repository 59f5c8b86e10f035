/// Reusable, page-aligned bytes for one thread: grows, never shrinks, and never zero-fills.
///
/// A hot loop keeps one of these per role (what comes in, what goes out) and uses it again and again, so that
/// nothing is allocated after the first few. Not `Sendable` on purpose; hand it over with `sending`.
package final class ScratchBuffer {
    private static let alignment = 4096
    private static let growthStep = 64 * 1024

    /// Start of the storage; changes whenever the buffer grows.
    package private(set) var base: UnsafeMutableRawPointer
    /// Bytes that fit without allocating again.
    package private(set) var capacity: Int
    /// Bytes in use, from the start.
    package private(set) var count = 0

    /// An empty buffer with room for `capacity` bytes.
    package init(capacity: Int = 0) {
        self.capacity = Self.rounded(capacity)
        base = .allocate(byteCount: self.capacity, alignment: Self.alignment)
    }

    deinit {
        base.deallocate()
    }

    /// True when no byte is in use.
    package var isEmpty: Bool { count == 0 }

    /// Makes room for `total` bytes and keeps the bytes in use.
    package func reserve(_ total: Int) {
        guard total > capacity else { return }
        let grown = Self.rounded(max(total, capacity + capacity / 2))
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: grown, alignment: Self.alignment)
        fresh.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = fresh
        capacity = grown
    }

    /// Forgets the bytes in use and keeps the storage.
    package func removeAll() {
        count = 0
    }

    /// Adds bytes at the end. `bytes` must not lie inside this buffer.
    package func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        reserve(count + bytes.count)
        (base + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    /// Adds bytes at the end.
    package func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Makes room for `size` more bytes, lets `fill` write them and say how many it wrote, and counts those.
    /// - Returns: the number of bytes added.
    @discardableResult
    package func appendUninitialized<E: Error>(
        _ size: Int, fill: (UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> Int {
        reserve(count + size)
        let written = try fill(UnsafeMutableRawBufferPointer(start: base + count, count: size))
        precondition(written >= 0 && written <= size, "more bytes written than there was room for")
        count += written
        return written
    }

    /// Lends the bytes in use; the pointer ends with the closure.
    package func withBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Lends the bytes in use for changing in place; the pointer ends with the closure.
    package func withMutableBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeMutableRawBufferPointer(start: base, count: count))
    }

    /// A copy of the bytes in use; for tests and edges, not for hot paths.
    package func copyBytes() -> [UInt8] {
        withBytes { [UInt8]($0) }
    }

    /// Declares the first `total` bytes of the storage to be in use; they must have been written.
    package func setCount(_ total: Int) {
        precondition(total >= 0 && total <= capacity, "count beyond the storage")
        count = total
    }

    private static func rounded(_ size: Int) -> Int {
        max(growthStep, (size + growthStep - 1) / growthStep * growthStep)
    }
}

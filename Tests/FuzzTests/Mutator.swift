import Simulation

/// Changes bytes the way that disks, crashes and attackers do.
struct Mutator {
    var random: SeededGenerator
    /// Pieces that are put in: fragments and numbers that the formats give a meaning.
    private let dictionary: [[UInt8]]

    private static let numbers: [UInt64] = [
        0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0xFFF, 0x1000, 0x1001, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
        1 << 29, (1 << 29) + 1, (1 << 53) - 1, 1 << 53, UInt64(Int64.max), 1 << 63, UInt64.max,
    ]

    init(seed: UInt64, dictionary: [String] = []) {
        random = SeededGenerator(seed: seed)
        self.dictionary = dictionary.map { Array($0.utf8) }
    }

    mutating func below(_ limit: Int) -> Int { limit > 0 ? Int.random(in: 0..<limit, using: &random) : 0 }

    mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }

    mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    /// A number at the edge of some type or limit, or any.
    mutating func number() -> UInt64 { oneIn(4) ? random.next() >> UInt64(below(64)) : pick(Self.numbers) }

    /// The bytes with one to four changes. `other` is another file of the kind, pieces of which are put in.
    mutating func mutate(_ original: [UInt8], other: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0...below(4) { change(&bytes, other) }
        return bytes
    }

    private mutating func change(_ bytes: inout [UInt8], _ other: [UInt8]) {
        // Most of what is read with care stands at the beginning or the end.
        let span = oneIn(3) ? min(64, bytes.count) : bytes.count
        let at = oneIn(6) ? bytes.count - min(bytes.count, below(65)) : below(span)
        switch below(12) {
        case 0, 1:
            guard at < bytes.count else { return }
            bytes[at] ^= 1 << UInt8(below(8))
        case 2:
            guard at < bytes.count else { return }
            bytes[at] = pick([0, 1, 0x7F, 0x80, 0xFF, UInt8(truncatingIfNeeded: random.next())])
        case 3: bytes.removeSubrange(at..<min(bytes.count, at + 1 + below(40)))
        case 4: bytes.insert(contentsOf: self.bytes(1 + below(40)), at: at)
        case 5: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + below(200))], at: at)
        case 6: bytes.removeSubrange(below(bytes.count + 1)...)
        case 7:
            let end = min(bytes.count, at + 1 + below(64))
            bytes.replaceSubrange(at..<end, with: Array(repeating: 0, count: end - at))
        case 8:
            let from = below(other.count + 1)
            let piece = other[from..<min(other.count, from + below(200))]
            bytes.replaceSubrange(at..<min(bytes.count, at + piece.count), with: piece)
        case 9:
            let width = pick([1, 2, 4, 8])
            var value = number()
            for offset in at..<min(bytes.count, at + width) {
                bytes[offset] = UInt8(truncatingIfNeeded: value)
                value >>= 8
            }
        case 10:
            guard !dictionary.isEmpty else { return }
            let piece = pick(dictionary)
            bytes.replaceSubrange(at..<min(bytes.count, at + piece.count), with: piece)
        default: bytes.append(contentsOf: self.bytes(1 + below(64)))
        }
    }
}

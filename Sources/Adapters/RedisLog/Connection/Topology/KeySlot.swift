/// Which of a cluster's 16,384 slots a key lives in: CRC16 (XMODEM: polynomial 0x1021, no reflection,
/// start 0) of the key, or of its hash tag where it has one (Redis Cluster specification, "hash tags").
enum KeySlot {
    static let count = 16_384

    static func of(_ key: some Collection<UInt8>) -> Int { Int(crc16(hashed(key))) % count }

    static func of(_ key: String) -> Int { of(Array(key.utf8)) }

    /// What is hashed: what stands between the first `{` and the first `}` after it, unless that is empty.
    private static func hashed<Key: Collection<UInt8>>(_ key: Key) -> Key.SubSequence {
        guard let open = key.firstIndex(of: 0x7B) else { return key[...] }
        let rest = key[key.index(after: open)...]
        guard let close = rest.firstIndex(of: 0x7D), close != rest.startIndex else { return key[...] }
        return rest[..<close]
    }

    static func crc16(_ bytes: some Sequence<UInt8>) -> UInt16 {
        var crc: UInt16 = 0
        for byte in bytes { crc = crc << 8 ^ table[Int(UInt8(crc >> 8) ^ byte)] }
        return crc
    }

    private static let table: [UInt16] = (0..<256).map { index in
        var value = UInt16(index) << 8
        for _ in 0..<8 { value = value & 0x8000 == 0 ? value << 1 : value << 1 ^ 0x1021 }
        return value
    }
}

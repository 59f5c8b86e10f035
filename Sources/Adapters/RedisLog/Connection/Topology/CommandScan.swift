/// The commands of a buffer, one by one, each with the key that decides where it goes. Reads only what
/// `CommandBuffer` wrote; knows the commands that this module sends.
struct CommandScan {
    /// One command.
    struct Part {
        /// Its bytes in the buffer.
        let range: Range<Int>
        /// Slot of its first key; nil for a command without keys, which any node may answer.
        let slot: Int?
    }

    private let bytes: [UInt8]
    private var at = 0

    /// All commands of a buffer in order.
    static func parts(of commands: CommandBuffer) -> [Part] {
        var scan = CommandScan(bytes: commands.bytes)
        var parts: [Part] = []
        parts.reserveCapacity(commands.count)
        while scan.at < scan.bytes.count { parts.append(scan.next()) }
        return parts
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func next() -> Part {
        let start = at
        let count = header()
        let name = argument()
        var left = count - 1
        var key: ArraySlice<UInt8>?
        switch String(decoding: name, as: UTF8.self) {
        case "FCALL", "FCALL_RO", "EVAL", "EVAL_RO":
            // FCALL name numkeys key …, EVAL script numkeys key …
            _ = argument()
            let keys = argument()
            left -= 2
            if !keys.elementsEqual([0x30]) { key = take(&left) }
        case "XGROUP", "XINFO", "MEMORY", "OBJECT":
            _ = argument()
            left -= 1
            key = take(&left)
        case "XREAD", "XREADGROUP":
            while left > 0, key == nil {
                let word = argument()
                left -= 1
                if word.elementsEqual("STREAMS".utf8) { key = take(&left) }
            }
        case let name where Self.keyless.contains(name): break
        default: key = take(&left)
        }
        while left > 0 { _ = take(&left) }
        return Part(range: start..<at, slot: key.map { KeySlot.of($0) })
    }

    private static let keyless: Set<String> = [
        "INFO", "CONFIG", "CLIENT", "FUNCTION", "PING", "ROLE", "TIME", "WAIT", "CLUSTER", "FLUSHALL",
        "DBSIZE", "SCAN", "AUTH", "SCRIPT", "DEBUG",
    ]

    private mutating func take(_ left: inout Int) -> ArraySlice<UInt8>? {
        guard left > 0 else { return nil }
        left -= 1
        return argument()
    }

    private mutating func argument() -> ArraySlice<UInt8> {
        let length = header()
        defer { at += length + 2 }
        return bytes[at..<at + length]
    }

    /// The number after `*` or `$`, up to the end of its line.
    private mutating func header() -> Int {
        at += 1
        var value = 0
        while bytes[at] != 0x0D {
            value = value * 10 + Int(bytes[at] - 48)
            at += 1
        }
        at += 2
        return value
    }
}

/// Commands in the server's wire format (RESP2), one behind the other, in one reused buffer.
///
/// Arguments are counted and length-prefixed, never formatted or quoted: any byte may stand in them.
struct CommandBuffer {
    private(set) var bytes: [UInt8] = []
    /// Commands in the buffer: as many replies will come.
    private(set) var count = 0
    /// Whether a command among them calls a function, which must be there.
    private(set) var callsFunctions = false

    /// Forgets the commands and keeps the memory.
    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        count = 0
        callsFunctions = false
    }

    /// Begins a command of `arguments` arguments, its name included; each must follow.
    mutating func begin(_ arguments: Int) {
        bytes.append(0x2A)
        decimal(arguments)
        count += 1
    }

    mutating func add(_ word: StaticString) {
        length(word.utf8CodeUnitCount)
        bytes.append(contentsOf: UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
        end()
    }

    mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            length(utf8.count)
            bytes.append(contentsOf: utf8)
        }
        end()
    }

    mutating func add(_ data: [UInt8]) {
        length(data.count)
        bytes.append(contentsOf: data)
        end()
    }

    mutating func add(_ data: Slice<UnsafeRawBufferPointer>) {
        length(data.count)
        bytes.append(contentsOf: data)
        end()
    }

    mutating func add(_ integer: Int) { add(String(integer)) }

    /// A whole command of text arguments.
    mutating func command(_ arguments: String...) {
        begin(arguments.count)
        for argument in arguments { add(argument) }
    }

    /// A whole command of text arguments.
    mutating func command(_ arguments: [String]) {
        begin(arguments.count)
        for argument in arguments { add(argument) }
    }

    mutating func noteFunctionCall() { callsFunctions = true }

    private mutating func length(_ count: Int) {
        bytes.append(0x24)
        decimal(count)
    }

    private mutating func decimal(_ value: Int) {
        if value < 10 {
            bytes.append(48 + UInt8(value))
        } else {
            var divisor = 10
            while value / divisor >= 10 { divisor *= 10 }
            while divisor > 0 {
                bytes.append(48 + UInt8(value / divisor % 10))
                divisor /= 10
            }
        }
        end()
    }

    private mutating func end() {
        bytes.append(0x0D)
        bytes.append(0x0A)
    }
}

extension CommandBuffer {
    /// Puts the commands of another buffer behind these.
    mutating func append(_ other: CommandBuffer) {
        bytes.append(contentsOf: other.bytes)
        count += other.count
        callsFunctions = callsFunctions || other.callsFunctions
    }

    /// Puts one command behind these, as it stands in another buffer.
    mutating func append(raw command: ArraySlice<UInt8>) {
        bytes.append(contentsOf: command)
        count += 1
    }
}

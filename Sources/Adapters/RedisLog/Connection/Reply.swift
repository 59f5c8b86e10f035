internal import CHiredis
internal import Glibc

/// A reply of the server while hiredis owns it. Valid only inside the closure that receives it; every
/// accessor copies out.
struct ReplyView {
    private let reply: UnsafePointer<redisReply>

    init(_ reply: UnsafePointer<redisReply>) { self.reply = reply }

    var isNil: Bool { reply.pointee.type == REDIS_REPLY_NIL }
    var isArray: Bool { reply.pointee.type == REDIS_REPLY_ARRAY }

    /// Text of an error reply.
    var errorText: String? {
        reply.pointee.type == REDIS_REPLY_ERROR ? withBytes { String(decoding: $0, as: UTF8.self) } : nil
    }

    /// An integer reply, or a string of digits.
    var integer: Int? {
        switch reply.pointee.type {
        case REDIS_REPLY_INTEGER: Int(reply.pointee.integer)
        case REDIS_REPLY_STRING: string.flatMap { Int($0) }
        default: nil
        }
    }

    /// An integer reply that counts something, or says how long something lasts: never negative, and so
    /// small that sums stay in bounds, whatever somebody has put into the server.
    var quantity: Int? { integer.map(Reply.quantity) }

    /// A string or status reply; bytes that are not UTF-8 are repaired.
    var string: String? {
        switch reply.pointee.type {
        case REDIS_REPLY_STRING, REDIS_REPLY_STATUS: withBytes { String(decoding: $0, as: UTF8.self) }
        default: nil
        }
    }

    /// The bytes of a string or status reply.
    var bytes: [UInt8]? {
        switch reply.pointee.type {
        case REDIS_REPLY_STRING, REDIS_REPLY_STATUS: withBytes { Array($0) }
        default: nil
        }
    }

    /// Number of elements of an array, 0 for anything else.
    var count: Int { isArray ? reply.pointee.elements : 0 }

    /// An element of an array.
    subscript(index: Int) -> ReplyView? {
        guard index >= 0, index < count, let element = reply.pointee.element[index] else { return nil }
        return ReplyView(element)
    }

    /// Calls `body` for each element in order.
    func forEach<E: Error>(_ body: (ReplyView) throws(E) -> Void) throws(E) {
        for index in 0..<count {
            if let element = self[index] { try body(element) }
        }
    }

    /// Borrows the bytes of a string, status or error reply; none for anything else.
    func withBytes<R>(_ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        guard let text = reply.pointee.str else { return body(UnsafeBufferPointer(start: nil, count: 0)) }
        let length = reply.pointee.len
        return text.withMemoryRebound(to: UInt8.self, capacity: length) {
            body(UnsafeBufferPointer(start: $0, count: length))
        }
    }

    /// Whether a string reply has exactly these bytes.
    func equals(_ word: StaticString) -> Bool {
        withBytes {
            guard $0.count == word.utf8CodeUnitCount, let bytes = $0.baseAddress else { return false }
            return memcmp(bytes, word.utf8Start, $0.count) == 0
        }
    }
}

/// A reply that is kept for a while, with the memory that it lies in.
final class OwnedReply {
    private let reply: ReplyView
    private let arena: ReplyArena

    init(_ reply: ReplyView, in arena: ReplyArena) {
        self.reply = reply
        self.arena = arena
    }

    /// Lends the reply for the time of a call.
    func lend<R, E: Error>(_ body: (ReplyView) throws(E) -> R) throws(E) -> R {
        // Without this the memory might be given back as soon as nothing else is asked of the arena.
        defer { withExtendedLifetime(arena) {} }
        return try body(reply)
    }

    /// Text of an error reply.
    var errorText: String? { lend { $0.errorText } }

    /// An integer reply.
    var integer: Int? { lend { $0.integer } }
    var quantity: Int? { lend { $0.quantity } }
}

/// A reply of the server, copied out.
enum Reply: Sendable, Hashable {
    case null
    case integer(Int)
    case string([UInt8])
    case array([Reply])
    case error(String)

    init(_ view: ReplyView) {
        if view.isArray {
            var elements: [Reply] = []
            elements.reserveCapacity(view.count)
            view.forEach { elements.append(Reply($0)) }
            self = .array(elements)
        } else if let text = view.errorText {
            self = .error(text)
        } else if let bytes = view.bytes {
            self = .string(bytes)
        } else if let integer = view.integer {
            self = .integer(integer)
        } else {
            self = .null
        }
    }

    var text: String? {
        guard case .string(let bytes) = self else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    var integer: Int? {
        switch self {
        case .integer(let integer): integer
        case .string(let bytes): Int(String(decoding: bytes, as: UTF8.self))
        default: nil
        }
    }

    /// As `ReplyView.quantity`.
    var quantity: Int? { integer.map(Self.quantity) }

    fileprivate static func quantity(_ integer: Int) -> Int { min(max(0, integer), 1 << 53) }

    var elements: [Reply] {
        guard case .array(let elements) = self else { return [] }
        return elements
    }
}

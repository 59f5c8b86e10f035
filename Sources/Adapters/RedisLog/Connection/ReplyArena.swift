internal import CHiredis
internal import Glibc

/// Memory for the parts of one reply.
///
/// hiredis makes two allocations for each part, and a page of the log has 70,000 parts. Here they lie one
/// behind the other in blocks that are kept from reply to reply; the structures are hiredis' own. One
/// thread.
final class ReplyArena {
    private static let firstBlockBytes = 16 << 10
    private static let blockBytes = 256 << 10
    /// What is kept for the next reply; more is given back.
    private static let keptBlocks = 32

    private var blocks: [UnsafeMutableRawBufferPointer] = []
    private var current = -1
    private var free = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    deinit { for block in blocks { block.deallocate() } }

    /// Forgets everything that was made here.
    func reset() {
        while blocks.count > Self.keptBlocks { blocks.removeLast().deallocate() }
        current = blocks.isEmpty ? -1 : 0
        free = blocks.first ?? UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// Makes a connection's reader put its replies here from now on.
    func serve(_ context: UnsafeMutablePointer<redisContext>) {
        guard let reader = context.pointee.reader else { return }
        reader.pointee.fn = ReplyFunctions.shared.functions
        reader.pointee.privdata = Unmanaged.passUnretained(self).toOpaque()
    }

    fileprivate func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
        let rounded = (bytes + 15) & ~15
        while rounded > free.count {
            if current + 1 < blocks.count, blocks[current + 1].count >= rounded {
                current += 1
            } else {
                let usual = blocks.isEmpty ? Self.firstBlockBytes : Self.blockBytes
                current += 1
                blocks.insert(.allocate(byteCount: max(usual, rounded), alignment: 16), at: current)
            }
            free = blocks[current]
        }
        let start = free.baseAddress
        free = UnsafeMutableRawBufferPointer(rebasing: free[rounded...])
        return start
    }

    fileprivate func makeReply(
        _ task: UnsafePointer<redisReadTask>, _ type: Int32
    ) -> UnsafeMutablePointer<redisReply>? {
        guard let memory = allocate(MemoryLayout<redisReply>.size) else { return nil }
        let reply = memory.initializeMemory(as: redisReply.self, repeating: redisReply(), count: 1)
        reply.pointee.type = type
        if let parent = task.pointee.parent?.pointee.obj {
            let place = Int(task.pointee.idx)
            parent.assumingMemoryBound(to: redisReply.self).pointee.element[place] = reply
        }
        return reply
    }
}

/// The functions by which hiredis makes the parts of a reply.
private struct ReplyFunctions: @unchecked Sendable {
    // Sendable because nothing writes to it after it was made.
    static let shared = ReplyFunctions()

    let functions: UnsafeMutablePointer<redisReplyObjectFunctions>

    private init() {
        functions = .allocate(capacity: 1)
        functions.initialize(
            to: redisReplyObjectFunctions(
                createString: { task, text, count in
                    guard let task, let text, let arena = arena(task),
                        let reply = arena.makeReply(task, task.pointee.type),
                        let copy = arena.allocate(count + 1)
                    else { return nil }
                    memcpy(copy, text, count)
                    copy.storeBytes(of: 0, toByteOffset: count, as: UInt8.self)
                    reply.pointee.str = copy.assumingMemoryBound(to: CChar.self)
                    reply.pointee.len = count
                    return UnsafeMutableRawPointer(reply)
                },
                createArray: { task, count in
                    guard let task, let arena = arena(task),
                        let reply = arena.makeReply(task, REDIS_REPLY_ARRAY)
                    else { return nil }
                    if count > 0 {
                        typealias Element = UnsafeMutablePointer<redisReply>?
                        guard let memory = arena.allocate(Int(count) * MemoryLayout<Element>.stride) else {
                            return nil
                        }
                        reply.pointee.element = memory.initializeMemory(
                            as: Element.self, repeating: nil, count: Int(count))
                    }
                    reply.pointee.elements = Int(count)
                    return UnsafeMutableRawPointer(reply)
                },
                createInteger: { task, value in
                    guard let task, let reply = arena(task)?.makeReply(task, REDIS_REPLY_INTEGER) else {
                        return nil
                    }
                    reply.pointee.integer = value
                    return UnsafeMutableRawPointer(reply)
                },
                createNil: { task in
                    guard let task, let reply = arena(task)?.makeReply(task, REDIS_REPLY_NIL) else {
                        return nil
                    }
                    return UnsafeMutableRawPointer(reply)
                },
                // The arena forgets all parts of a reply at once.
                freeObject: { _ in }))
    }
}

private func arena(_ task: UnsafePointer<redisReadTask>) -> ReplyArena? {
    guard let arena = task.pointee.privdata else { return nil }
    return Unmanaged<ReplyArena>.fromOpaque(arena).takeUnretainedValue()
}

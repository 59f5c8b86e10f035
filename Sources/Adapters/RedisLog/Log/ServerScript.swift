internal import EventSourcing

/// What runs inside the server and is sent along with every call, so that it depends on nothing that was
/// written there before.
///
/// Reading and making room must go on where nothing may be written: at maxmemory a library of functions can
/// no longer be loaded, on a replica and after a disk failed it can't either.
struct ServerScript: Sendable {
    /// The script, its flags in its first line.
    let text: String
    /// Whether the server runs it where it refuses writes.
    let isReadOnly: Bool

    private init(reading parts: [String], _ function: String) {
        text = Self.text("no-writes", parts, function)
        isReadOnly = true
    }

    private init(makingRoom parts: [String], _ function: String) {
        text = Self.text("allow-oom", parts, function)
        isReadOnly = false
    }

    private init(growing parts: [String], _ function: String) {
        text = Self.text("", parts, function)
        isReadOnly = false
    }

    private static func text(_ flag: String, _ parts: [String], _ function: String) -> String {
        "#!lua flags=\(flag)\n" + ([Library.calls] + parts).joined(separator: "\n")
            + "\nreturn \(function)(KEYS, ARGV)"
    }

    private typealias Library = FunctionLibrary

    /// Keys index, ids, ranks; arguments a sequence and how many entries. Answers how many events only the
    /// archive has (-1 when it may have all of them), the version, and entry ids.
    static let history = ServerScript(
        reading: [Library.looks, Library.counters, Library.history], "history")
    /// What is wrong with what tells of partition keys: see `FunctionLibrary.contradictions`.
    static let contradictions = ServerScript(
        reading: [Library.looks, Library.counters, Library.history, Library.contradictions],
        "contradictions")
    /// Key log; arguments an entry id to count behind, one to count up to, and the most to count.
    static let count = ServerScript(reading: [Library.count], "count")
    /// Key of a lease. Answers owner, generation and milliseconds that are left.
    static let leaseRead = ServerScript(reading: [Library.leaseState, Library.leaseRead], "lease_read")
    /// As `reel_holds` was: see `FunctionLibrary.archive`.
    static let holds = ServerScript(reading: [Library.order, Library.holds], "holds")
    /// As `reel_trim` was: see `FunctionLibrary.archive`.
    static let trim = ServerScript(
        makingRoom: [Library.streamFacts, Library.order, Library.holds, Library.trim], "trim")
    /// Lets indexes and ids of partition keys follow the stream: see `FunctionLibrary.shrinkAll`.
    static let shrink = ServerScript(
        makingRoom: [Library.looks, Library.order, Library.shrink, Library.shrinkAll], "shrink_all")
    /// What a partition says of itself: see `FunctionLibrary.state`.
    static let state = ServerScript(
        reading: [Library.streamFacts, Library.order, Library.state], "state")
    /// Which entries are not there: see `FunctionLibrary.absent`.
    static let absent = ServerScript(reading: [Library.absent], "absent")
    /// Which places of indexes are wrong: see `FunctionLibrary.indexed`.
    static let indexed = ServerScript(reading: [Library.looks, Library.indexed], "indexed")
    /// Puts right what a partition says of its archive: see `FunctionLibrary.mend`.
    static let mend = ServerScript(makingRoom: [Library.streamFacts, Library.mend], "mend")
    /// Gives up what is lost: see `FunctionLibrary.acceptLoss`.
    static let acceptLoss = ServerScript(
        makingRoom: [Library.streamFacts, Library.order, Library.acceptLoss], "accept_loss")
    /// Writes nothing, and could: refused by whoever takes no writes, for whatever reason.
    static let probe = ServerScript(growing: ["local function probe() return 1 end"], "probe")
    /// Keys and arguments of HSET. For books of a fixed size: they are kept at maxmemory, too.
    static let set = ServerScript(makingRoom: [Library.plain("HSET", "set")], "set")
    /// Keys confirmation and log; argument an entry id. Writes, so that replicas can be waited for: newer
    /// servers wait for a connection's own writes alone. Answers whether the entry is there.
    static let confirm = ServerScript(
        makingRoom: [
            """
            local function confirm(keys, args)
              call('SET', keys[1], '1')
              return #call('XRANGE', keys[2], args[1], args[1])
            end
            """
        ], "confirm")
    /// Key of a mark; arguments a value and milliseconds after which it is gone.
    static let mark = ServerScript(
        makingRoom: ["local function mark(k, a) return call('SET', k[1], a[1], 'PX', a[2]) end"], "mark"
    )
}

extension FunctionLibrary {
    /// A function that does what a command does, on one key.
    fileprivate static func plain(_ command: String, _ name: String) -> String {
        "local function \(name)(keys, args) return call('\(command)', keys[1], unpack(args)) end"
    }
}

extension CommandBuffer {
    /// A call of a function of the library, which is loaded where it is missing.
    mutating func call(_ function: StaticString, _ keys: [String], _ arguments: [String]) {
        begin(3 + keys.count + arguments.count)
        beginCall(function, keys: keys.count)
        for key in keys { add(key) }
        for argument in arguments { add(argument) }
    }

    /// The beginning of such a call, behind `begin`: the keys follow, and the arguments.
    mutating func beginCall(_ function: StaticString, keys: Int) {
        add("FCALL" as StaticString)
        add(function)
        add(keys)
        noteFunctionCall()
    }

    /// A run of a script.
    mutating func run(_ script: ServerScript, _ keys: [String], _ arguments: [String]) {
        begin(3 + keys.count + arguments.count)
        add(script.isReadOnly ? "EVAL_RO" as StaticString : "EVAL")
        add(script.text)
        add(keys.count)
        for key in keys { add(key) }
        for argument in arguments { add(argument) }
    }
}

extension RedisClient {
    /// Calls a function of the library and answers its reply, copied out.
    func call(
        _ operation: String, _ key: String, _ function: StaticString, _ keys: [String], _ arguments: [String]
    ) throws(LogFailure) -> Reply {
        var commands = CommandBuffer()
        commands.call(function, keys, arguments)
        return try reply(operation, key, commands)
    }

    /// Runs a script and answers its reply, copied out.
    func run(
        _ operation: String, _ key: String, _ script: ServerScript, _ keys: [String],
        _ arguments: [String] = []
    ) throws(LogFailure) -> Reply {
        var commands = CommandBuffer()
        commands.run(script, keys, arguments)
        return try reply(operation, key, commands)
    }

    private func reply(
        _ operation: String, _ key: String, _ commands: CommandBuffer
    ) throws(LogFailure) -> Reply {
        var reply = Reply.null
        try pipeline(operation, key, commands) { _, view in reply = Reply(view) }
        return reply
    }
}

internal import Base
internal import EventSourcing
internal import Intake
internal import Pipeline
internal import Recording
internal import SessionContent
internal import Supervision
internal import Files

/// A process that takes streams and chunks, as a Recorder's or a gateway's does.
///
/// Sendable because whoever touches it has the turn.
final class Gateway: @unchecked Sendable {
    let process: SimulatedProcess
    let log: any IntakeLog
    let intake: ChunkIntake
    let keys: SessionKeys
    let marks: any Liveness

    init(
        _ process: SimulatedProcess, _ log: any IntakeLog, _ intake: ChunkIntake, _ keys: SessionKeys,
        _ marks: any Liveness
    ) {
        self.process = process
        self.log = log
        self.intake = intake
        self.keys = keys
        self.marks = marks
    }
}

/// The log as a gateway's intake reaches it: what it knows of each session is kept, as a gateway does.
///
/// Sendable because whoever touches it has the turn.
private final class GatewayLog: IntakeLog, @unchecked Sendable {
    private let log: any EventLog
    private let clock: any WallClock
    private var sessions: [String: SingleSessionLog] = [:]

    init(_ log: any EventLog, _ clock: any WallClock) {
        self.log = log
        self.clock = clock
    }

    private func history(_ session: String) throws -> SingleSessionLog {
        if let known = sessions[session] { return known }
        let made = SingleSessionLog(
            CommandHandler(session: session, store: try log.open(), clock: clock))
        sessions[session] = made
        return made
    }

    func look(at session: String) throws -> SessionState { try history(session).look(at: session) }

    func record(
        _ chunk: ChunkEvent.Recorded, at offset: Int?, context: EventContext
    ) throws -> (isNew: Bool, state: SessionState) {
        try history(chunk.chunk.sessionID).record(chunk, at: offset, context: context)
    }
}

/// Gateways, and those who send to them.
extension World {
    private static let context = EventContext(source: "/reel/simulation", actor: .system("sender"))

    func bootGateway(_ index: Int, _ chunkMilliseconds: Int, _ process: SimulatedProcess) {
        run("intake", process) { [self] in
            let log = log(for: process)
            let vault = try vault(for: process)
            var limits = IntakeLimits()
            limits.chunkBytes = streams.map(\.chunkBytes).min() ?? 1024
            limits.chunkMilliseconds = chunkMilliseconds
            limits.lookers = 1
            let clock = ProcessClock(process: process)
            let sessions = variations.intakeLog(GatewayLog(log, clock))
            let intake = ChunkIntake(
                log: sessions, spool: vault.spool, clock: clock, diskGuard: nil, limits: limits)
            gateways[index] = Gateway(process, sessions, intake, try vault.openKeys(), try log.liveness())
            try intake.run(stop: process.stop)
        }
    }

    /// Starts whoever has to do with a stream: it is made, sent, and stopped when all have done their part.
    func startSenders(_ stream: PlannedStream) {
        let client = SimulatedProcess("client \(stream.sessionID)", life: 0, world: disturbances)
        client.start("studio") { [self] in
            _ = client.wait(milliseconds: stream.delay_ms) { false }
            guard make(stream, client) else {
                stream.isDone = true
                return
            }
            stream.working = stream.senders
            for number in 1...stream.senders {
                client.start("sender \(number)") { [self] in
                    send(stream, client, number)
                    stream.working -= 1
                }
            }
            if stream.isPaused { client.start("pauser") { [self] in pause(stream, client) } }
            while stream.working > 0 { _ = client.wait(milliseconds: 500) { stream.working == 0 } }
            _ = attempt(client, atMost: 1000) { gateway -> Bool? in
                try self.stop(stream, gateway)
                return true
            }
            stream.isDone = true
        }
    }

    /// Does something at some gateway, in a thread of it, as a request; again at another one while that
    /// fails. Nil when it never worked, or `body` answered nil.
    private func attempt<Answer: Sendable>(
        _ client: SimulatedProcess, atMost tries: Int, _ body: @escaping (Gateway) throws -> Answer?
    ) -> Answer? {
        for _ in 0..<tries {
            if client.isDead { return nil }
            let here = gateways.values.filter { !$0.process.isDead }.sorted {
                $0.process.name < $1.process.name
            }
            guard !here.isEmpty else {
                _ = client.wait(milliseconds: 1000) { false }
                continue
            }
            let gateway = here[scheduler.chance.number(in: 0...here.count - 1)]
            let request = Request<Answer>(body)
            gateway.process.start("request") { [scheduler] in
                do { request.answer = .some(try request.body(gateway)) } catch {
                    scheduler.remark("request failed: \(error)")
                }
                request.isOver = true
            }
            while !request.isOver, !gateway.process.isDead, !client.isDead {
                _ = client.wait(milliseconds: 200) { request.isOver }
            }
            if request.isOver, !gateway.process.isDead, let answer = request.answer { return answer }
            _ = client.wait(milliseconds: scheduler.chance.number(in: 100...1500)) { false }
        }
        return nil
    }

    private func make(_ stream: PlannedStream, _ client: SimulatedProcess) -> Bool {
        let made = attempt(client, atMost: 1000) { gateway -> Bool? in
            _ = try gateway.keys.make(forSession: stream.sessionID, at: gateway.process.wallTime)
            try gateway.marks.beat(RecorderMark.name(ofSession: stream.sessionID), forMilliseconds: 60_000)
            if try self.state(stream, gateway).status == nil {
                try self.command([.create(stream.created), .start, .begin], on: stream, gateway)
            }
            return true
        }
        return made == true
    }

    private func handler(
        _ stream: PlannedStream, _ gateway: Gateway
    ) throws -> CommandHandler<SessionDecider> {
        let handler = CommandHandler(
            session: stream.sessionID, store: try log(for: gateway.process).open(),
            clock: ProcessClock(process: gateway.process))
        try handler.catchUp()
        return handler
    }

    private func state(_ stream: PlannedStream, _ gateway: Gateway) throws -> SessionState {
        try gateway.log.look(at: stream.sessionID)
    }

    private func command(
        _ commands: [SessionCommand], on stream: PlannedStream, _ gateway: Gateway
    ) throws {
        commandCount += 1
        try handler(stream, gateway).handle(
            commands, id: "\(stream.sessionID)/client-\(commandCount)", context: Self.context)
    }

    /// As the session API does.
    private func stop(_ stream: PlannedStream, _ gateway: Gateway) throws {
        let status = try state(stream, gateway).status
        guard status == .recording || status == .paused else { return }
        let closing = try gateway.intake.closing(stream.sessionID, context: Self.context)
        defer { closing.end() }
        try command([.stop(.requested, incomplete: closing.isIncomplete)], on: stream, gateway)
        try gateway.intake.end(stream.sessionID)
    }

    private func pause(_ stream: PlannedStream, _ client: SimulatedProcess) {
        while stream.working > 0, !client.isDead {
            _ = client.wait(milliseconds: scheduler.chance.number(in: 500...8000)) { false }
            let isPausing = scheduler.chance.happens(0.5)
            _ = attempt(client, atMost: 2) { gateway -> Bool? in
                if isPausing { gateway.intake.pause(stream.sessionID) }
                do { try self.command([isPausing ? .pause : .resume], on: stream, gateway) } catch {
                    if isPausing { gateway.intake.resume(stream.sessionID) }
                    throw error
                }
                if !isPausing { gateway.intake.resume(stream.sessionID) }
                return true
            }
        }
        _ = attempt(client, atMost: 3) { gateway -> Bool? in
            try self.command([.resume], on: stream, gateway)
            gateway.intake.resume(stream.sessionID)
            return true
        }
    }

    // MARK: - What a sender does

    private func send(_ stream: PlannedStream, _ client: SimulatedProcess, _ number: Int) {
        _ = client.wait(milliseconds: scheduler.chance.number(in: 0...3000)) { false }
        for _ in 0..<scheduler.chance.number(in: 2...12) {
            let isOver = attempt(client, atMost: 1) { gateway -> Bool? in
                guard try self.state(stream, gateway).status == .recording else { return nil }
                switch stream.kind {
                case .resumed: return try self.sendRest(stream, gateway)
                case .independent: return try self.sendWords(stream, gateway)
                case .numbered: return try self.sendChunks(stream, gateway)
                }
            }
            if isOver == true { return }
            _ = client.wait(milliseconds: scheduler.chance.number(in: 100...2000)) { false }
        }
    }

    /// Before each piece: a sender may be slow, or stand still, or be cut off.
    private func mayGoOn(_ stream: PlannedStream, _ gateway: Gateway) throws -> Bool {
        if disturbances.breaksSender() { return false }
        if disturbances.freezesSender() {
            StopSignal().wait(milliseconds: scheduler.chance.number(in: 1000...30_000))
        } else if scheduler.chance.happens(0.3) {
            StopSignal().wait(milliseconds: scheduler.chance.number(in: 100...3000))
        }
        try gateway.marks.beat(RecorderMark.name(ofSession: stream.sessionID), forMilliseconds: 30_000)
        return true
    }

    /// Everything behind the place where the recording ends; true when there is nothing left.
    private func sendRest(_ stream: PlannedStream, _ gateway: Gateway) throws -> Bool {
        let start = try state(stream, gateway).nextPlace
        stream.told(start)
        guard start.offset < stream.source.count else { return true }
        var order = StreamOrder(session: stream.sessionID, context: Self.context)
        order.offset = start.offset
        if scheduler.chance.happens(0.5) { order.promisedBytes = stream.source.count - start.offset }
        let summary = try put(Array(stream.source[start.offset...]), order, stream, gateway)
        stream.told(summary.next)
        return summary.next.offset >= stream.source.count
    }

    private func sendWords(_ stream: PlannedStream, _ gateway: Gateway) throws -> Bool {
        let words = scheduler.chance.number(in: 1...150)
        let request = stream.begin(words: words)
        let order = StreamOrder(session: stream.sessionID, context: Self.context)
        let summary = try put(PlannedStream.words(request, words), order, stream, gateway)
        stream.finish(request, recorded: summary.recordedBytes, dropped: summary.droppedBytes)
        return scheduler.chance.happens(0.4)
    }

    /// One stream, piece by piece.
    private func put(
        _ bytes: [UInt8], _ order: StreamOrder, _ stream: PlannedStream, _ gateway: Gateway
    ) throws -> StreamSummary {
        let writer = try gateway.intake.openStream(
            order, key: try gateway.keys.key(ofSession: stream.sessionID))
        stream.hasBegun = true
        do {
            var rest = bytes[...]
            while !rest.isEmpty {
                guard try mayGoOn(stream, gateway) else { throw BrokenConnection() }
                let part = rest.prefix(scheduler.chance.number(in: 1...60) * 4)
                try part.withUnsafeBytes { try writer.write($0) }
                rest = rest.dropFirst(part.count)
            }
            return try writer.finish()
        } catch {
            writer.breakOff()
            throw error
        }
    }

    /// All chunks behind those that are recorded, some of them out of their order; true when all are there.
    private func sendChunks(_ stream: PlannedStream, _ gateway: Gateway) throws -> Bool {
        let first = try state(stream, gateway).chunkCount + 1
        var numbers = Array(first..<max(first, stream.chunkSizes.count + 1))
        for index in numbers.indices.dropFirst() where scheduler.chance.happens(0.3) {
            numbers.swapAt(index - 1, index)
        }
        for number in numbers {
            let bytes = stream.chunk(number)
            let upload = ChunkUpload(
                chunk: ChunkReference(sessionID: stream.sessionID, sequenceNumber: number),
                capturedAt: gateway.process.wallTime)
            let key = try gateway.keys.key(ofSession: stream.sessionID)
            let chunk: NumberedChunk
            do {
                chunk = try gateway.intake.openChunk(
                    upload, length: bytes.count, key: key, context: Self.context)
            } catch {
                // It was looked at, and there is no room for it.
                if error is StorageFailure || error is IntakeRefusal { stream.begin(chunk: number) }
                throw error
            }
            stream.hasBegun = true
            stream.begin(chunk: number)
            do {
                try bytes.prefix(bytes.count / 2).withUnsafeBytes { try chunk.write($0) }
                guard try mayGoOn(stream, gateway) else { throw BrokenConnection() }
                try bytes.dropFirst(bytes.count / 2).withUnsafeBytes { try chunk.write($0) }
                if case (.held, _) = try chunk.finish() { continue }
                let end = stream.chunkSizes.prefix(number).reduce(0, +)
                stream.told(StreamPlace(sequenceNumber: number + 1, offset: end))
            } catch {
                chunk.breakOff()
                throw error
            }
        }
        return try state(stream, gateway).chunkCount >= stream.chunkSizes.count
    }
}

private struct BrokenConnection: Error {}

/// A request on its way. Sendable because whoever touches it has the turn.
private final class Request<Answer>: @unchecked Sendable {
    let body: (Gateway) throws -> Answer?
    var answer: Answer??
    var isOver = false

    init(_ body: @escaping (Gateway) throws -> Answer?) { self.body = body }
}

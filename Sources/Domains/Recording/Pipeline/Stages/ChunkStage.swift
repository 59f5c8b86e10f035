package import Base
package import EventSourcing
internal import Recording
internal import SessionContent
internal import ChunkFiles
internal import Files
package import Sealing

/// A chain of chunk stages on one thread: reads a chunk once, hands it on in memory, writes it once.
///
/// With one stage it hands its result on through the spool. The results are the same but for nonces.
package final class ChunkStage: Stage {
    /// The stages of the chain, in order.
    package let chain: [StageName]
    /// Consumer group of the first stage.
    package let name: String
    /// What the first stage takes up.
    package let consumes: Set<String>

    private let log: any EventLog
    private let clock: any WallClock
    private let workshop: ChunkWorkshop
    private let context = EventContext(source: "/reel/processor", actor: .system("processor"))
    private var history: (any EventStore)?

    /// A chain that has handled nothing yet.
    /// - Parameters:
    ///   - chain: consecutive stages, not empty.
    ///   - levels: compression levels by codec; the codec's default where absent.
    package init(
        chain: [StageName], log: any EventLog, vault: VaultAccess, levels: [Codec: Int],
        clock: any WallClock
    ) throws {
        precondition(!chain.isEmpty, "a chain has at least one stage")
        self.chain = chain
        self.log = log
        self.clock = clock
        name = chain[0].rawValue
        consumes = [chain[0].consumes]
        workshop = ChunkWorkshop(vault: vault, keys: try vault.openKeys(), levels: levels)
    }

    /// Takes one chunk through the chain.
    package func handle(_ delivery: Delivery) -> StageOutcome {
        guard Category.bare.contains(delivery.event.partitionKey) else { return .done([]) }
        let event: ChunkEvent
        do {
            guard case .chunk(let chunkEvent) = try RecordingEvent(delivery.event) else { return .done([]) }
            event = chunkEvent
        } catch { return .failed(errors: ["\(error)"]) }
        // Without a place in the spool the chunk was handed on in memory: there is nothing to do here.
        guard let item = ChunkItem(event) else { return .done([]) }
        do { return .done(try run(item, delivery)) } catch {
            if let failure = error as? StorageFailure, failure.isMissing {
                return missing(failure, item, delivery)
            }
            return outcome(of: error, item.chunk)
        }
    }

    private func run(_ item: ChunkItem, _ delivery: Delivery) throws -> [ProposedEvent] {
        let now = clock.now()
        let context = context.caused(by: delivery.event)
        let level = log.level
        return try workshop.run(item, through: chain).map {
            try ProposedEvent(
                RecordingEvent.chunk($0), id: $0.derivedID, time: now, context: context, at: level)
        }
    }

    private func outcome(of error: any Error, _ chunk: ChunkReference) -> StageOutcome {
        do { throw error } catch let failure as StorageFailure
            where failure.isOutOfSpace || failure.isTransient
        {
            return .wait(milliseconds: 2000, reason: "\(failure)")
        } catch let fault as SealedFileFault where fault.isTransient {
            return .wait(milliseconds: 2000, reason: "\(fault)")
        } catch KeyFailure.unknownKeyEncryptionKey(let id, let folder) {
            // Another process wraps with a key that this one's folder lacks: it is put right by sharing
            // the folder, and no chunk is to blame.
            return .wait(
                milliseconds: 5000,
                reason: "the folder \(folder) has no key \(id); share one folder of keys among all processes")
        } catch let failure as KeyFailure where failure.isTransient {
            return .wait(milliseconds: 1000, reason: "\(failure)")
        } catch  where error.mayEnd {
            // A server that is away, or that an operator has to put right: no chunk is to blame.
            return .wait(milliseconds: 1000, reason: "\(error)")
        } catch {
            return .failed(errors: ["chunk \(chunk.chunkID): \(error)"])
        }
    }

    /// The spool is emptied once the chunk is stored; a late redelivery then finds nothing, rightly. Where
    /// the log has no event of that, it has lost it, and the chunk's file says what the spool had.
    private func missing(
        _ failure: StorageFailure, _ item: ChunkItem, _ delivery: Delivery
    ) -> StageOutcome {
        let chunk = item.chunk
        let gone = "chunk \(chunk.chunkID): \(failure)"
        var holes: [UnreadableHole] = []
        do {
            let store = try history ?? log.open()
            history = store
            let done = result(of: chunk)
            var isDone = false
            try store.forEachEntry(of: chunk.sessionID) { entry in
                switch entry {
                case .event(let event): if event.id == done { isDone = true }
                case .unreadable(let hole): holes.append(hole)
                }
            }
            if isDone { return .done([]) }
        } catch let failure as LogFailure where failure.kind == .corrupt {
            history = nil
            return .failed(errors: [gone, "its session's history: \(failure)"])
        } catch {
            history = nil
            return .wait(milliseconds: 1000, reason: "\(error)")
        }
        do {
            // Where what cannot be read was this very result, its id keeps the log from taking another.
            if let restored = try workshop.restore(item) { return .done(try run(restored, delivery)) }
            return .failed(errors: [gone] + holes.prefix(3).map { "its session's history: \($0)" })
        } catch { return outcome(of: error, chunk) }
    }

    private func result(of chunk: ChunkReference) -> String { "\(chunk.chunkID)/\(chain[0].emits)" }

    /// The first stage's event about the chunk.
    package func resultID(of delivery: Delivery) -> String? {
        guard case .chunk(let event)? = try? RecordingEvent(delivery.event) else { return nil }
        return result(of: event.chunk)
    }

    /// Removes what there is of a chunk whose session was deleted: a worker may have begun with it before
    /// and died after.
    package func discard(_ delivery: Delivery) -> StageOutcome {
        guard case .chunk(let event)? = try? RecordingEvent(delivery.event) else { return .done([]) }
        let path = ChunkItem(event)?.path
        do { try workshop.discard(event.chunk, spooled: path) } catch {
            return outcome(of: error, event.chunk)
        }
        return .done([])
    }

    /// Empties the spool of a chunk that is stored; removes what a lost race left there.
    package func settled(_ delivery: Delivery, appended: Bool) {
        guard case .chunk(let event)? = try? RecordingEvent(delivery.event), let item = ChunkItem(event)
        else {
            return
        }
        workshop.settle(item, isStored: chain.last == .store, appended: appended)
    }
}

/// A chunk as a stage finds it: what the event says, and where its bytes are.
struct ChunkItem {
    enum Form {
        /// The recorded bytes; the codec that was asked for.
        case raw(codec: String)
        /// The codec's output.
        case payload(codec: String, bytes: Int)
        /// The sealed file, and whether it was validated.
        case sealed(ChunkEvent.Sealed)
    }

    var chunk: ChunkReference
    var content: ChunkContent
    var form: Form
    var path: String

    /// Nil for events that leave nothing to take up.
    init?(_ event: ChunkEvent) {
        switch event {
        case .recorded(let payload):
            (chunk, content, path) = (payload.chunk, payload.content, payload.spoolPath)
            form = .raw(codec: payload.codec)
        case .compressed(let payload):
            guard let path = payload.spoolPath else { return nil }
            (chunk, content, self.path) = (payload.chunk, payload.content, path)
            form = .payload(codec: payload.codec, bytes: payload.compressedBytes)
        case .sealed(let payload), .validated(let payload):
            guard let path = payload.path else { return nil }
            (chunk, content, self.path) = (payload.chunk, payload.content, path)
            form = .sealed(payload)
        case .stored, .failed, .deleted: return nil
        }
    }
}

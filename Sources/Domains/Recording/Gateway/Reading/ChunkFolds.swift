internal import Base
internal import EventSourcing
internal import Recording
internal import ReadModels
internal import Engine

/// The chunks of sessions as the log has them, kept so that each history is read on from where it ended.
final class ChunkFolds: Sendable {
    /// Bytes that are kept, about.
    private static let bytesKept = 32 << 20
    private static let bytesPerChunk = 700

    /// Chunks by their numbers.
    private struct Kept: Sendable {
        /// Sequence of the session's last event in it.
        var version: UInt64 = 0
        var chunks: [Int: ChunkView] = [:]
    }

    private let store: StorePool
    private let kept = SharedCache<String, Kept>(limit: bytesKept) { ($0.chunks.count + 1) * bytesPerChunk }

    init(_ store: StorePool) { self.store = store }

    /// The session's chunks in the order of their numbers.
    func chunks(of session: String) throws -> [ChunkView] {
        var found = kept[session] ?? Kept()
        // Held by nobody else, so that it is changed in place.
        kept[session] = nil
        try store.forEach(of: session, after: found.version) { event in
            found.version = event.sequence
            guard case .chunk(let fact) = try RecordingEvent(event) else { return }
            let number = fact.chunk.sequenceNumber
            if found.chunks[number] == nil {
                found.chunks[number] = ChunkView(fact, EventStamp(event))
            } else {
                found.chunks[number]?.evolve(fact, EventStamp(event))
            }
        }
        if found.version > 0 { kept[session] = found }
        return found.chunks.values.sorted { $0.sequenceNumber < $1.sequenceNumber }
    }
}

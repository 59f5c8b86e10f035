internal import EventSourcing
internal import Pipeline
internal import Recording

/// Which processes there are, and which stages they own.
struct Layout {
    var processors: [[[StageName]]]
    var completions: Int
    var projectors: Int
    var ledgers: Int
    var gateways: Int
    /// How old a gateway lets a stream's chunk become.
    var chunkMilliseconds: Int

    static func random(_ chance: inout Chance) -> Layout {
        let all = Set(StageName.allCases)
        var processors: [[[StageName]]]
        switch chance.number(in: 0...4) {
        case 0: processors = [StageName.chains(of: all)]
        case 1: processors = [StageName.chains(of: all, chaining: false)]
        case 2: processors = [[[.compress, .encrypt]], [[.validate, .store]]]
        case 3: processors = [[[.compress]], [[.encrypt, .validate], [.store]]]
        default: processors = [[[.compress], [.validate]], [[.encrypt], [.store]]]
        }
        // A second owner of the same stages, or one that owns them all.
        switch chance.number(in: 0...2) {
        case 0: processors += processors
        case 1: processors.append(StageName.chains(of: all))
        default: break
        }
        return Layout(
            processors: processors, completions: chance.number(in: 1...2),
            projectors: chance.number(in: 1...2), ledgers: chance.number(in: 1...2),
            gateways: chance.number(in: 1...2),
            chunkMilliseconds: [1000, 8000, 30_000][chance.number(in: 0...2)])
    }
}

/// A recording that is to be made, and what its recorder was told.
///
/// Sendable because whoever touches it has the turn.
final class PlannedRecording: PlannedSession, @unchecked Sendable {
    let sessionID: String
    let bytes: [UInt8]
    let delay_ms: Int
    let chunksAhead: Int
    let created: SessionEvent.Created
    /// Chunks that were acknowledged.
    private(set) var acknowledged = 0
    /// Their bytes.
    private(set) var acknowledgedBytes = 0
    /// The recorder's last word, if it got that far.
    var summary: RecordingSummary?
    var hasEnded = false
    var process: SimulatedProcess?
    /// So many bytes its source is cut off to, and when, after the recording was begun.
    let cut: (bytes: Int, delay_ms: Int)?

    init(_ number: Int, _ chance: inout Chance) {
        sessionID = "session-\(number)-\(chance.number(in: 0...9999))"
        var bytes: [UInt8] = []
        let count = chance.number(in: 1...4200)
        bytes.reserveCapacity(count)
        let isRandom = chance.happens(0.3)
        for index in 0..<count {
            bytes.append(isRandom ? UInt8(truncatingIfNeeded: chance.next()) : UInt8(index / 7 % 256))
        }
        self.bytes = bytes
        delay_ms = chance.number(in: 0...3000)
        chunksAhead = chance.number(in: 1...5)
        var recording = RecordingConfig()
        recording.compression = ["zstd", "lz4", "gzip"][chance.number(in: 0...2)]
        cut =
            chance.happens(0.2)
            ? (chance.number(in: 0...count - 1), chance.number(in: 0...3000)) : nil
        created = SessionEvent.Created(
            sessionID: sessionID, name: sessionID, rdp: RDPConfig(host: "localhost", username: "tester"),
            recording: recording, storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .file, chunkSizeBytes: 1024))
    }

    func told(_ progress: RecordingProgress) {
        acknowledged = progress.chunks
        acknowledgedBytes = progress.bytes
    }

    var unfinished: String? { !hasEnded && process?.isDead != true ? "it is being recorded" : nil }

    func violations(_ state: SessionState) -> [String] {
        var found: [String] = []
        if state.chunkCount < acknowledged || state.sizeBytes < acknowledgedBytes {
            found.append("\(acknowledged) chunks were acknowledged, the log has \(state.chunkCount)")
        }
        if let summary, summary.reason == .endOfSource,
            summary.bytes != bytes.count || state.sizeBytes != bytes.count
        {
            found.append("\(summary.bytes) bytes were reported, the log has \(state.sizeBytes)")
        }
        let isOver = state.status == .stopped || state.status == .completed
        if isOver, !state.incomplete, state.sizeBytes < bytes.count {
            found.append("it is complete with \(state.sizeBytes) of \(bytes.count) bytes")
        }
        return found
    }

    func violations(ofBytes found: [UInt8], _ state: SessionState, _ events: [RecordedEvent]) -> [String] {
        found == Array(bytes.prefix(state.sizeBytes)) ? [] : ["it does not come back as it was recorded"]
    }

    static func random(_ chance: inout Chance) -> [PlannedRecording] {
        let count = chance.number(in: 1...3)
        return (1...count).map { PlannedRecording($0, &chance) }
    }
}

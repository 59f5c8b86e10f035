internal import EventSourcing
internal import Recording

/// A session that is made through gateways by several senders at once, and what they were told.
///
/// Sendable because whoever touches it has the turn.
final class PlannedStream: PlannedSession, @unchecked Sendable {
    enum Kind: CaseIterable {
        /// All senders have the same source, and go on where they are told that the recording ends.
        case resumed
        /// Each request brings bytes of its own, and begins wherever the recording ends.
        case independent
        /// All senders have the same chunks, and give them with their numbers.
        case numbered
    }

    let sessionID: String
    let kind: Kind
    let senders: Int
    let source: [UInt8]
    /// The sizes that numbered senders cut the source into.
    let chunkSizes: [Int]
    let delay_ms: Int
    let chunkBytes: Int
    let created: SessionEvent.Created
    /// Whether somebody pauses it now and then.
    let isPaused: Bool

    /// Senders that are at it, and whoever stops it in the end.
    var working = 0
    var isDone = false
    /// The furthest place that anybody was told the recording has come to.
    private(set) var toldBytes = 0
    private(set) var toldChunks = 0
    /// What independent requests were told, by their number.
    private(set) var requests: [Int: Request] = [:]
    /// Whether anybody has begun to send.
    var hasBegun = false
    /// The highest number of a chunk that anybody has begun to send, where chunks have numbers. Of one that
    /// its sender has kept back nobody can know.
    private(set) var begunChunks = 0
    /// Whether nothing happened that may take notes of missing bytes away.
    var keepsNotes = true

    struct Request {
        var words: Int
        /// Bytes that were acknowledged, and those that were dropped; nil when it did not come to its end.
        var finished: (recorded: Int, dropped: Int)?
    }

    private init(_ number: Int, _ chance: inout Chance) {
        sessionID = "stream-\(number)-\(chance.number(in: 0...9999))"
        kind = Kind.allCases[chance.number(in: 0...Kind.allCases.count - 1)]
        senders = chance.number(in: 2...4)
        let count = chance.number(in: 50...600) * 4
        var source: [UInt8] = []
        source.reserveCapacity(count)
        // Four bytes in a row stand nowhere twice, so that a doubled or a missing part shows.
        for index in 0..<count / 4 { withUnsafeBytes(of: UInt32(index).bigEndian) { source += $0 } }
        self.source = source
        chunkBytes = [64, 256, 1024][chance.number(in: 0...2)]
        var (sizes, left) = ([Int](), count)
        while left > 0 {
            sizes.append(min(left, chance.number(in: 1...chunkBytes)))
            left -= sizes[sizes.count - 1]
        }
        chunkSizes = sizes
        delay_ms = chance.number(in: 0...2000)
        isPaused = kind == .independent && chance.happens(0.4)
        created = SessionEvent.Created(
            sessionID: sessionID, name: sessionID, rdp: RDPConfig(host: "localhost", username: "tester"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .stream, chunkSizeBytes: 1024))
    }

    /// In two worlds of three, one or two of them.
    static func random(_ chance: inout Chance) -> [PlannedStream] {
        let count = chance.number(in: 0...2)
        return stride(from: 1, through: count, by: 1).map { PlannedStream($0, &chance) }
    }

    /// The words of an independent request.
    static func words(_ request: Int, _ count: Int) -> [UInt8] {
        (0..<count).flatMap { index in
            withUnsafeBytes(of: UInt32(request << 16 | index).bigEndian, Array.init)
        }
    }

    /// The bytes of a chunk with a number.
    func chunk(_ number: Int) -> [UInt8] {
        let start = chunkSizes.prefix(number - 1).reduce(0, +)
        return Array(source[start..<start + chunkSizes[number - 1]])
    }

    // MARK: - What they were told

    func begin(words: Int) -> Int {
        requests[requests.count + 1] = Request(words: words)
        return requests.count
    }

    func finish(_ request: Int, recorded: Int, dropped: Int) {
        requests[request]?.finished = (recorded, dropped)
    }

    func begin(chunk number: Int) { begunChunks = max(begunChunks, number) }

    func told(_ place: StreamPlace) {
        toldBytes = max(toldBytes, place.offset)
        toldChunks = max(toldChunks, place.sequenceNumber - 1)
    }

    // MARK: - What has to hold

    var unfinished: String? { isDone ? nil : "\(working) senders are at it" }
    var acknowledged: Int { toldChunks }

    func violations(_ state: SessionState) -> [String] {
        var found: [String] = []
        if state.sizeBytes < toldBytes || state.chunkCount < toldChunks {
            found.append(
                "\(toldBytes) bytes in \(toldChunks) chunks were acknowledged, the log has \(state.sizeBytes) "
                    + "in \(state.chunkCount)")
        }
        let isOver = state.status == .stopped || state.status == .completed
        let mayTell = kind != .independent && keepsNotes && hasBegun
        let begun = kind == .numbered ? chunkSizes.prefix(begunChunks).reduce(0, +) : source.count
        if isOver, mayTell, !state.incomplete, state.sizeBytes < begun {
            found.append("it is complete with \(state.sizeBytes) of \(begun) bytes")
        }
        return found
    }

    func violations(ofBytes bytes: [UInt8], _ state: SessionState, _ events: [RecordedEvent]) -> [String] {
        guard kind == .independent else {
            return bytes == Array(source.prefix(bytes.count))
                ? [] : ["its bytes are not those of its source, once each and in order"]
        }
        return wordViolations(bytes)
    }

    /// Each request's words stand in one piece, in order and once each; those that were acknowledged all.
    private func wordViolations(_ bytes: [UInt8]) -> [String] {
        guard bytes.count.isMultiple(of: 4) else { return ["\(bytes.count) bytes are no words"] }
        var counts: [Int: Int] = [:]
        var (current, last) = (0, -1)
        for start in stride(from: 0, to: bytes.count, by: 4) {
            let word = bytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
            let (request, index) = (word >> 16, word & 0xFFFF)
            if request != current {
                guard counts[request] == nil else { return ["request \(request) stands in two pieces"] }
                (current, last) = (request, -1)
            }
            // Only a pause leaves words out.
            guard index == last + 1 || isPaused && index > last else {
                return ["request \(request) has word \(index) after \(last)"]
            }
            last = index
            counts[request, default: 0] += 1
        }
        return requests.sorted { $0.key < $1.key }.compactMap { number, request in
            let found = (counts[number] ?? 0) * 4
            guard let finished = request.finished else { return nil }
            if found != finished.recorded {
                return "request \(number): \(finished) acknowledged, \(found) there"
            }
            return finished.recorded + finished.dropped == request.words * 4
                ? nil : "request \(number): \(finished) of \(request.words * 4) bytes"
        }
    }
}

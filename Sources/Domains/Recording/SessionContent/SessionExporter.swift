package import Base
package import EventSourcing
internal import Recording
package import ChunkFiles
internal import Files
internal import Sealing

/// A stretch of a recording that could not be given out.
package struct ExportGap: Sendable, Hashable {
    /// The chunk.
    package var sequenceNumber: Int
    /// Its id; nil where the log tells nothing of a chunk of this number.
    package var chunkID: String?
    /// Which bytes of the recording it holds; nil where the length of it, or of one before it, is not known.
    package var bytes: Range<Int>?
    /// Where in what was given out it is missing.
    package var outputOffset: Int
    /// Why.
    package var reason: String
}

/// What was given out of a session, and what was not.
package struct ExportReport: Sendable, Hashable {
    /// The session.
    package var sessionID: String
    /// Where it was in its life.
    package var status: String
    /// Whether more may be recorded: what was given out is what there is up to now.
    package var mayGrow: Bool
    /// Whether the recording ended early.
    package var isIncomplete: Bool
    /// Chunks that the log tells of.
    package var chunks = 0
    /// Chunks that were given out.
    package var exportedChunks = 0
    /// Bytes that were given out.
    package var exportedBytes = 0
    /// What is wrong with the log itself.
    package var contradictions: [String] = []
    /// What was left out, in the order of the recording.
    package var gaps: [ExportGap] = []

    /// Whether all that there will ever be of the session was given out.
    package var isWhole: Bool { gaps.isEmpty && !mayGrow && contradictions.isEmpty }
}

/// Gives back the recorded bytes of a session, each chunk verified before it is handed out. One thread.
package final class SessionExporter {
    private let store: any EventStore
    private let chunks: ChunkStore
    private let keys: SessionKeys
    private let reader = SealedFileReader()
    private let image = ScratchBuffer()
    private let original = ScratchBuffer()

    /// An exporter.
    package init(store: any EventStore, chunks: ChunkStore, keys: SessionKeys) {
        self.store = store
        self.chunks = chunks
        self.keys = keys
    }

    /// Hands out the chunks of a session that is recorded to its end, in order: all of them, or an error.
    /// - Parameter body: gets the original bytes, and how many bytes there are in all.
    /// - Returns: what was given out.
    /// - Throws: `ContentFailure`; `deletedMeanwhile` where a session is deleted while it is read.
    @discardableResult
    package func export(
        _ session: String, _ body: (UnsafeRawBufferPointer, _ totalBytes: Int) throws -> Void
    ) throws -> ExportReport {
        guard let history = try SessionHistory(of: session, in: store) else {
            throw ContentFailure.notFound(session)
        }
        let contents = try history.contents()
        try comparing(history) { try contents.requireEnd(in: chunks) }
        let key = try comparing(history) { try keys.key(ofSession: session) }
        var report = ExportReport(history)
        for chunk in contents.chunks {
            try comparing(history) {
                try reader.open(chunk, from: chunks, key: key, image: image, into: original)
            }
            try original.withBytes { try body($0, contents.sizeBytes) }
            report.exportedChunks += 1
            report.exportedBytes +|= original.count
        }
        return report
    }

    /// Hands out what is sound of a session, in whatever state it is, and says what is not.
    /// - Parameter body: gets the original bytes, and how many bytes there may be in all.
    /// - Throws: `ContentFailure.notFound`, `deleted`, `deletedMeanwhile`; `KeyMissing` when nothing can be
    ///   opened.
    package func exportSound(
        _ session: String, _ body: (UnsafeRawBufferPointer, _ totalBytes: Int) throws -> Void
    ) throws -> ExportReport {
        guard let history = try SessionHistory(of: session, in: store) else {
            throw ContentFailure.notFound(session)
        }
        guard history.state.status != .deleted else { throw ContentFailure.deleted(session) }
        let key = try comparing(history) { try keys.key(ofSession: session) }
        var report = ExportReport(history)
        let findings = history.findings
        report.contradictions = findings.filter { $0.subject == session }.map(\.description)
        do throws(ContentFailure) { try history.contents().requireEnd(in: chunks) } catch {
            if case .contradiction(_, let finding) = error, findings.isEmpty {
                report.contradictions.append("\(finding)")
            }
        }
        let blamed = Dictionary(findings.map { ($0.subject, $0.description) }) { first, _ in first }
        let trails = history.trails
        let numbers = trails.keys.sorted()
        let total = trails.values.reduce(0) { boundedSum($0, $1.sizeBytes ?? 0) }
        // Where a chunk begins in the recording; nil behind one whose length nobody knows.
        var offset: Int? = 0
        var expected = 1
        for number in numbers {
            // Numbers that nothing is told of; a forged one may be far away.
            if expected < number {
                report.leaveOut(expected, reason: Self.missing(expected..<number))
                offset = nil
            }
            expected = number +| 1
            guard let trail = trails[number] else { continue }
            let range = Self.range(of: trail, from: offset)
            offset = range?.upperBound
            do {
                try check(trail, blamed)
                try open(trail, key)
            } catch let reason as LeftOut {
                report.leaveOut(number, id: trail.chunk.chunkID, range, reason: reason.text)
                continue
            }
            try original.withBytes { try body($0, total) }
            report.exportedChunks += 1
            report.exportedBytes +|= original.count
        }
        try requireNotDeleted(history)
        return report
    }

    /// Which bytes of the recording a chunk holds; nil where nobody knows.
    private static func range(of trail: ChunkTrail, from offset: Int?) -> Range<Int>? {
        guard let start = offset, let size = trail.sizeBytes else { return nil }
        let (end, overflow) = start.addingReportingOverflow(size)
        return overflow ? nil : start..<end
    }

    private static func missing(_ numbers: Range<Int>) -> String {
        numbers.count == 1
            ? "the log tells nothing of this chunk"
            : "the log tells nothing of the chunks \(numbers.lowerBound) to \(numbers.upperBound - 1)"
    }

    /// Why a chunk is not handed out.
    private struct LeftOut: Error { var text: String }

    private func check(_ trail: ChunkTrail, _ blamed: [String: String]) throws {
        if let finding = blamed[trail.chunk.chunkID] {
            throw LeftOut(text: "the log contradicts itself: \(finding)")
        }
        guard trail.stored == nil else { return }
        throw LeftOut(text: trail.failure.map { "given up: \($0)" } ?? "not stored yet")
    }

    private func open(_ trail: ChunkTrail, _ key: SessionKey) throws {
        guard let stored = trail.stored else { return }
        do throws(SealedFileFault) {
            try reader.open(
                try SealedChunk(stored), from: chunks, key: key, image: image, into: original)
        } catch {
            if let storage = error.storage, storage.isShortage { throw storage }
            throw LeftOut(text: error.text)
        }
    }

    /// What fails is compared with what the log says then: a session that was deleted meanwhile is no damage.
    private func comparing<R>(_ history: SessionHistory, _ body: () throws -> R) throws -> R {
        do { return try body() } catch {
            try requireNotDeleted(history)
            if let fault = error as? SealedFileFault {
                if let storage = fault.storage, storage.isShortage { throw storage }
                throw ContentFailure.damaged(fault)
            }
            throw error
        }
    }

    private func requireNotDeleted(_ history: SessionHistory) throws {
        var now = history
        try now.catchUp(with: store)
        if now.state.status == .deleted { throw ContentFailure.deletedMeanwhile(now.sessionID) }
    }
}

extension ExportReport {
    fileprivate init(_ history: SessionHistory) {
        let status = history.state.status
        self.init(
            sessionID: history.sessionID, status: status?.rawValue ?? "unknown",
            mayGrow: ![.stopped, .processing, .completed, .failed].contains(status),
            isIncomplete: history.state.incomplete, chunks: history.trails.count)
    }

    fileprivate mutating func leaveOut(
        _ number: Int, id: String? = nil, _ range: Range<Int>? = nil, reason: String
    ) {
        gaps.append(
            ExportGap(
                sequenceNumber: number, chunkID: id, bytes: range, outputOffset: exportedBytes, reason: reason
            ))
    }

    /// The report as a document.
    package func encode(into writer: inout JSONWriter) {
        writer.object { json in
            json.member("session_id", sessionID)
            json.member("status", status)
            json.member("whole", isWhole)
            json.member("may_grow", mayGrow)
            json.member("incomplete", isIncomplete)
            json.member("chunks_count", chunks)
            json.member("exported_chunks", exportedChunks)
            json.member("exported_bytes", exportedBytes)
            json.member("contradictions", contradictions)
            json.key("gaps")
            json.array { list in
                for gap in gaps {
                    list.object { json in
                        json.member("sequence_number", gap.sequenceNumber)
                        json.member("chunk_id", gap.chunkID)
                        if let bytes = gap.bytes {
                            json.member("first_byte", bytes.lowerBound)
                            json.member("behind_last_byte", bytes.upperBound)
                        }
                        json.member("output_offset", gap.outputOffset)
                        json.member("reason", gap.reason)
                    }
                }
            }
        }
    }
}

/// A sum that stays where it is when it would leave all bounds.
private func boundedSum(_ sum: Int, _ number: Int) -> Int {
    let (total, overflow) = sum.addingReportingOverflow(number)
    return overflow ? sum : total
}

package import Base
internal import EventSourcing
package import Recording
internal import ChunkFiles

/// Something that is wrong with a stored session.
package struct Finding: Sendable, Hashable, CustomStringConvertible {
    /// What kind of damage.
    package enum Kind: String, Sendable, CaseIterable {
        /// A file that the log describes is not there.
        case missing
        /// Something else than a regular file of the chunk store's own stands there.
        case special
        /// A file is shorter than the log says.
        case truncated
        /// A file is longer than the log says.
        case extended
        /// A file's bytes were changed: header, nonce, payload or tag.
        case damaged
        /// A file of this session stands in another chunk's place.
        case swapped
        /// A file of another session stands here.
        case foreign
        /// A file that the log does not know.
        case extra
        /// The file is as it was sealed, but does not open to what was recorded.
        case unreadable
        /// The root in the log is not the root of the files.
        case root
        /// The log itself contradicts itself.
        case log
        /// The session is not completed: nothing binds its chunks yet.
        case unfinished
        /// The session was deleted: its files and its key are removed, or will be.
        case deleted

        /// Whether it only says where the session is in its life.
        package var isNote: Bool { self == .unfinished || self == .deleted }
    }

    /// What kind of damage.
    package var kind: Kind
    /// The file, relative to the chunk store, or the session's id.
    package var subject: String
    /// What exactly.
    package var text: String
    package init(kind: Kind, subject: String, text: String) {
        self.kind = kind
        self.subject = subject
        self.text = text
    }

    /// `kind subject: text`.
    package var description: String { "\(kind.rawValue) \(subject): \(text)" }

    /// What is wrong with a chunk's file.
    init(_ fault: SealedFileFault) {
        let kind: Kind =
            switch fault.check {
            case .malformed: .log
            case .missing: .missing
            case .special: .special
            case .truncated: .truncated
            case .extended: .extended
            case .swapped: .swapped
            case .foreign: .foreign
            case .damaged: .damaged
            case .header, .key, .payload, .content, .disk: .unreadable
            }
        self.init(kind: kind, subject: fault.subject, text: fault.text)
    }

    /// What is wrong with the history.
    init(_ finding: HistoryFinding) {
        self.init(
            kind: finding.rule == .root ? .root : .log, subject: finding.subject, text: "\(finding)")
    }
}

/// What an audit of one session found.
package struct AuditReport: Sendable, Hashable {
    /// The most findings that are kept; more are counted.
    package static let maximumFindings = 1000

    /// The session.
    package var sessionID: String
    /// What it has come to.
    package var outcome = VerificationOutcome.damaged
    /// Where the session was in its life when the look ended; nil where its history does not say.
    package var status: SessionStatus?
    /// Whether the recording ended early: everything that was recorded is there, and not everything was.
    package var isIncomplete = false
    /// Sequence of the last event that was taken into account.
    package var version: UInt64 = 0
    /// Chunks that the log describes as stored.
    package var chunks = 0
    /// Bytes of their files.
    package var sealedBytes = 0
    /// Recorded bytes that came back out of them.
    package var originalBytes = 0
    /// The root in the log.
    package var merkleRoot: String?
    /// The root of the files as they are now.
    package var computedRoot: String?
    /// Whether the files were opened, or only hashed because there is no key.
    package var contentChecked = true
    /// What is wrong, or keeps the session from being sound, at most `maximumFindings`; empty when all is
    /// well.
    package private(set) var findings: [Finding] = []
    /// How many findings there are.
    package private(set) var findingCount = 0
    /// How many of them only say where the session is in its life: nothing is wrong with that.
    package private(set) var noteCount = 0
    /// Whether one of them is that the session's key cannot be had.
    var isKeyMissing = false

    /// A report without findings.
    package init(sessionID: String) { self.sessionID = sessionID }

    /// Whether everything holds that was to be looked at.
    package var isSound: Bool { outcome == .sound || outcome == .unopened && status == .completed }

    mutating func note(_ finding: Finding) {
        findingCount += 1
        if finding.kind.isNote { noteCount += 1 }
        if findings.count < Self.maximumFindings { findings.append(finding) }
    }

    mutating func note(_ kind: Finding.Kind, _ subject: String, _ text: String) {
        note(Finding(kind: kind, subject: subject, text: text))
    }

    mutating func count(_ more: Int) { findingCount += more }

    /// Takes over what a look at the files has found.
    mutating func take(_ files: AuditReport) {
        chunks = files.chunks
        sealedBytes = files.sealedBytes
        originalBytes = files.originalBytes
        contentChecked = files.contentChecked
        computedRoot = files.computedRoot
        isKeyMissing = files.isKeyMissing
        for finding in files.findings { note(finding) }
        count(files.findingCount - files.findings.count)
    }
}

extension AuditReport {
    /// The report as a document.
    package func encode(into writer: inout JSONWriter) {
        writer.object { encodeMembers(into: &$0) }
    }

    func encodeMembers(into json: inout JSONWriter) {
        json.member("session_id", sessionID)
        json.member("outcome", outcome.rawValue)
        json.member("verified", isSound)
        json.key("status")
        if let status { json.value(status.rawValue) } else { json.null() }
        json.member("incomplete", isIncomplete)
        json.member("version", Int(clamping: version))
        json.member("chunks_count", chunks)
        json.member("sealed_bytes", sealedBytes)
        json.member("original_bytes", originalBytes)
        json.member("content_checked", contentChecked)
        json.key("merkle_root")
        if let merkleRoot { json.value(merkleRoot) } else { json.null() }
        json.key("computed_root")
        if let computedRoot { json.value(computedRoot) } else { json.null() }
        json.member("findings_count", findingCount)
        json.key("findings")
        json.array { list in
            for finding in findings {
                list.object { item in
                    item.member("kind", finding.kind.rawValue)
                    item.member("subject", finding.subject)
                    item.member("text", finding.text)
                }
            }
        }
    }
}

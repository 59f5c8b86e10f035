package import Base
internal import EventSourcing

extension SessionEvent {
    /// The session's files, log and proofs were compared. Schema: `schemas/events/SessionVerified.v1.json`.
    package struct Verified: Sendable, Hashable {
        /// The session's id.
        package var sessionID: String
        /// What it came to.
        package var outcome: VerificationOutcome
        /// What asked for it.
        package var trigger: VerificationTrigger
        /// Sequence of the session's last event that was compared.
        package var version: Int
        /// Chunks whose files were looked at.
        package var chunkCount: Int
        /// Bytes of sealed files that were read.
        package var bytesRead: Int
        /// Whether the files were opened; otherwise they were hashed alone.
        package var contentsOpened: Bool
        /// Root of the files as they were found, 64 hexadecimal digits; nil where one of them lacks.
        package var merkleRoot: String?
        /// How long it took, rests included.
        package var durationMilliseconds: Int
        /// What was found, each `kind subject: text`; at most `maximumFindings`.
        package private(set) var findings: [String]
        /// How many findings there were.
        package private(set) var findingCount: Int

        /// The most findings that an event holds.
        package static let maximumFindings = 50
        /// The most characters of a finding.
        package static let maximumFindingLength = 500

        /// A payload from its parts; findings are cut to what an event holds.
        package init(
            sessionID: String, outcome: VerificationOutcome, trigger: VerificationTrigger, version: Int,
            chunkCount: Int, bytesRead: Int, contentsOpened: Bool, merkleRoot: String?,
            durationMilliseconds: Int, findings: [String], findingCount: Int
        ) {
            self.sessionID = sessionID
            self.outcome = outcome
            self.trigger = trigger
            self.version = Self.bounded(version, NumberBounds.sessionSequence)
            self.chunkCount = Self.bounded(chunkCount, NumberBounds.chunkCount)
            self.bytesRead = Self.bounded(bytesRead, NumberBounds.sessionBytes)
            self.contentsOpened = contentsOpened
            self.merkleRoot = merkleRoot
            self.durationMilliseconds = Self.bounded(durationMilliseconds, NumberBounds.sessionBytes)
            self.findings = findings.prefix(Self.maximumFindings).map {
                AuditText.bounded($0, Self.maximumFindingLength) ?? "?"
            }
            let isCut = self.findings.count == Self.maximumFindings
            self.findingCount =
                isCut
                ? Self.bounded(findingCount, findings.count...NumberBounds.sessionBytes.upperBound)
                : self.findings.count
        }

        /// Every rule that is broken: an outcome must not say more than was looked at.
        package var violations: [Violation] {
            var rules = Rules()
            rules.require("outcome", outcome.isLasting, "cannot stand in a history")
            let isWhole = contentsOpened && findingCount == 0
            rules.require("outcome", outcome != .sound || isWhole, "is sound of what was not looked at")
            let isClean = outcome != .unopened && outcome != .partial || findingCount == 0
            rules.require("findings", isClean, "contradict the outcome")
            let isCounted =
                findings.count == Self.maximumFindings
                ? findingCount >= findings.count : findingCount == findings.count
            rules.require("findings_count", isCounted, "is not the number of findings")
            let isUnopened = outcome == .unopened || outcome == .keyMissing
            rules.require("contents_opened", !isUnopened || !contentsOpened, "contradicts the outcome")
            let isNamed = outcome != .damaged && outcome != .keyMissing || findingCount > 0
            rules.require("findings", isNamed, "must say what is wrong")
            return rules.violations
        }
    }
}

extension SessionEvent.Verified {
    private static func bounded(_ number: Int, _ bounds: ClosedRange<Int>) -> Int {
        min(max(number, bounds.lowerBound), bounds.upperBound)
    }

    func encodeMembers(into json: inout JSONWriter) {
        json.member("outcome", outcome.rawValue)
        json.member("trigger", trigger.rawValue)
        json.member("version", version)
        json.member("chunk_count", chunkCount)
        json.member("bytes_read", bytesRead)
        json.member("contents_opened", contentsOpened)
        json.member("merkle_root", merkleRoot)
        json.member("duration_ms", durationMilliseconds)
        json.member("findings", findings)
        json.member("findings_count", findingCount)
    }

    init(sessionID: String, _ json: FieldReader, type: String) throws(MalformedEvent) {
        let findings = try json.requiredStrings("findings")
        let count = try json.integer("findings_count", NumberBounds.sessionBytes)
        self.init(
            sessionID: sessionID, outcome: try json.choice("outcome"), trigger: try json.choice("trigger"),
            version: try json.integer("version", NumberBounds.sessionSequence),
            chunkCount: try json.integer("chunk_count", NumberBounds.chunkCount),
            bytesRead: try json.integer("bytes_read", NumberBounds.sessionBytes),
            contentsOpened: try json.bool("contents_opened"),
            merkleRoot: try json.optionalString("merkle_root"),
            durationMilliseconds: try json.integer("duration_ms", NumberBounds.sessionBytes),
            findings: findings,
            findingCount: count)
        // What is in the log was written within these bounds, or by somebody else. Whether its members agree
        // is judged with the history.
        guard self.findings == findings, outcome.isLasting else {
            throw MalformedEvent(type: type, text: "findings or outcome are none that a history can hold")
        }
        findingCount = count
    }
}

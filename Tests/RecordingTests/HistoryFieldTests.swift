import Base
import EventSourcing
import Recording
import Simulation
import Testing

@testable import Recording

/// One member of a payload that was changed.
private struct Change {
    var path: String
    var data: JSONValue
}

@Suite("Members of events that were changed")
struct HistoryFieldTests {
    /// Members that can say anything without contradicting anything else: whoever can write the log can
    /// change them, and only an anchor outside of it tells.
    private static let free: Set<String> = [
        "SessionCreated.name", "SessionCreated.rdp_config", "SessionCreated.recording_config",
        "SessionCreated.storage_config", "SessionCreated.metadata", "SessionCreated.capture",
        "SessionStopped.reason", "ChunkRecorded.timestamp", "ChunkRecorded.duration_seconds",
        "ChunkRecorded.frame_count", "ChunkRecorded.dropped_frames", "ChunkRecorded.spool_path",
        "ChunkCompressed.processing_ms", "ChunkCompressed.spool_path", "ChunkSealed.processing_ms",
        "ChunkSealed.spool_path", "ChunkValidated.processing_ms", "ChunkValidated.spool_path",
        "ChunkStored.processing_ms", "ChunkFailed.stage", "ChunkFailed.attempts", "ChunkFailed.causes",
        "LegalHoldSet.reason", "LegalHoldLifted.reason", "SessionVerified.version",
        "SessionVerified.bytes_read", "SessionVerified.duration_ms",
        // Of a chunk that went from worker to worker; the root tells, which `SessionHistory` compares.
        "ChunkStored.merkle_hash",
    ]

    private static let extremes: [JSONValue] = [
        .integer(.max), .integer(.min), .integer(-1), .integer(0), .integer(1 << 53), .number(1e308),
        .number(0.5), .string(""), .string("ABC"), .string(String(repeating: "F", count: 64)),
        .string(String(repeating: "x", count: 5000)), .bool(true), .null, .array([]), .object([]),
        .array([.string("x")]),
    ]

    /// Every payload that differs in one member, with the member's name.
    private func changes(of data: JSONValue) -> [Change] {
        guard let members = data.members else { return [] }
        var changes: [Change] = []
        for (place, member) in members.enumerated() {
            func with(_ value: JSONValue) {
                guard value != member.value else { return }
                var changed = members
                changed[place].value = value
                changes.append(Change(path: member.name, data: .object(changed)))
            }
            for value in Self.extremes { with(value) }
            switch member.value {
            case .integer(let number): for near in [number - 1, number + 1] { with(.integer(near)) }
            case .number(let number): with(.number(number / 2))
            case .string(let text):
                with(.string(text + "0"))
                with(.string(text.uppercased()))
                with(.string(String(text.reversed())))
            case .bool(let flag): with(.bool(!flag))
            default: break
            }
            var without = members
            without.remove(at: place)
            changes.append(Change(path: member.name, data: .object(without)))
        }
        changes.append(
            Change(
                path: "(another)",
                data: .object(members + [JSONValue.Member(name: "note", value: .string("x"))])))
        return changes
    }

    @Test("every change shows, but for members that nothing else depends on, and none ends the process")
    func everyMember() throws {
        var unnoticed: Set<String> = []
        var count = 0
        let events = try LawfulHistory.deleted().events
        var before = HistoryAudit(of: LawfulHistory.sessionID)
        for (index, event) in events.enumerated() {
            for change in changes(of: try JSONValue(parsing: event.data)) {
                var forged = event
                forged.event.data = change.data.encoded
                var audit = before
                audit.take(.event(forged))
                for later in events[(index + 1)...] where audit.isLawful { audit.take(.event(later)) }
                count += 1
                if audit.concluded().isLawful { unnoticed.insert("\(event.type).\(change.path)") }
            }
            before.take(.event(event))
        }
        #expect(count > 3000)
        #expect(unnoticed.subtracting(Self.free) == [])
        #expect(unnoticed.contains("SessionCreated.name") && unnoticed.contains("ChunkFailed.causes"))
    }

    @Test("sizes beyond all bounds are findings, each at its event")
    func sizes() throws {
        var history = try LawfulHistory()
        try history.command(.start, .begin)
        for number in 1...3 {
            var recorded = history.recorded(number)
            recorded.content.sizeBytes = .max
            history.facts.append(.chunk(.recorded(recorded)))
        }
        let audit = HistoryAudit.of(try history.events)
        let named = audit.findings.filter { "\($0)".contains("size_bytes") }
        #expect(named.count == 3, "\(audit.findings)")
    }

    @Test("payloads of every version that was ever written are judged")
    func versions() throws {
        for type in RecordingEvent.typeNames {
            for version in 1...3 {
                let isKnown = Repository.hasSchema(of: type, version: version)
                let isWritten = try isWritten(type, version)
                let isFormer = HistoryAudit.formerMembers[type]?[version] != nil
                #expect(isKnown == (isWritten || isFormer), "\(type) version \(version)")
            }
        }
    }

    private func isWritten(_ type: String, _ version: Int) throws -> Bool {
        try Samples.of(type).contains { fact in
            (1...FormatLevel.newest.number).contains { number in
                FormatLevel(number).flatMap { fact.version(at: $0) } == version
            }
        }
    }
}

import Base
import EventSourcing
import Recording
import Simulation
import Testing

private let over: [SessionStatus] = [.completed, .failed]
private let open = SessionStatus.allCases.filter { !over.contains($0) && $0 != .deleted }

@Suite("What of verifications stays in a session's history")
struct VerificationDeciderTests {
    @Test("A completed session keeps whatever it came to", arguments: VerificationOutcome.lasting)
    func completed(outcome: VerificationOutcome) throws {
        let findings = outcome.isFault ? ["what is wrong"] : []
        let verified = History.verified(outcome, findings: findings)
        let history = try History.leading(to: .completed, chunks: 2)
        let spec = given(history).when(.recordVerification(verified)).then(.session(.verified(verified)))
        #expect(spec.state.status == .completed)
    }

    @Test("A failed session keeps everything but that it is sound: no root binds what is there")
    func failed() throws {
        let history = try History.leading(to: .failed, chunks: 2)
        for outcome in VerificationOutcome.lasting {
            let verified = History.verified(outcome, findings: outcome.isFault ? ["f"] : [])
            let spec = given(history).when(.recordVerification(verified))
            if outcome == .sound { spec.then() } else { spec.then(.session(.verified(verified))) }
        }
    }

    @Test("Of a session that is not over, damage stays and nothing else does", arguments: open)
    func unfinished(status: SessionStatus) throws {
        let history = try History.leading(to: status)
        for outcome in VerificationOutcome.lasting {
            let verified = History.verified(outcome, findings: outcome.isFault ? ["f"] : [])
            let spec = given(history).when(.recordVerification(verified))
            if outcome == .damaged { spec.then(.session(.verified(verified))) } else { spec.then() }
        }
    }

    @Test("A session that is deleted, or was never there, keeps none")
    func absent() throws {
        let command = SessionCommand.recordVerification(History.verified(.damaged, findings: ["f"]))
        given([]).when(command).thenRejected(.notFound)
        given(try History.leading(to: .deleted)).when(command).thenRejected(.notFound)
    }

    @Test("Nothing is said to be sound that was not looked at")
    func neverMoreThanLookedAt() throws {
        let history = try History.leading(to: .completed)
        func refused(_ verified: SessionEvent.Verified) {
            let spec = given(history).when(.recordVerification(verified))
            spec.thenRejected(.invalid(verified.violations))
            #expect(!verified.violations.isEmpty, "\(verified) is taken")
        }
        refused(History.verified(.sound, opened: false))
        refused(History.verified(.sound, findings: ["extra file"]))
        refused(History.verified(.damaged))
        refused(History.verified(.keyMissing))
        refused(History.verified(.unopened, opened: true))
        refused(History.verified(.unopened, findings: ["f"]))
        refused(History.verified(.partial, findings: ["f"]))
        for outcome in VerificationOutcome.allCases where !outcome.isLasting {
            refused(History.verified(outcome, findings: ["f"]))
        }
    }

    @Test("An event holds at most 50 findings of at most 500 characters, and says how many there were")
    func bounds() {
        let long = String(repeating: "é", count: 600)
        let many = History.verified(.damaged, findings: (0..<80).map { "\($0) \(long)" })
        #expect(many.findings.count == 50 && many.findingCount == 80)
        #expect(many.findings.allSatisfy { $0.unicodeScalars.count == 500 })
        #expect(
            History.verified(.damaged, findings: ["a\u{0}\nb\u{202E}"]).findings == [
                "a\u{FFFD}\u{FFFD}b\u{FFFD}"
            ])
    }

    @Test("A payload that contradicts itself, or is out of bounds, is not read")
    func malformed() throws {
        func decode(_ change: (String, JSONValue)) throws {
            var writer = JSONWriter()
            SessionEvent.verified(History.verified(.damaged, findings: ["a", "b"])).encode(1, into: &writer)
            let data = try JSONValue(parsing: writer.bytes).replacing([change.0][...], with: change.1)
            _ = try RecordingEvent(type: "SessionVerified", version: 1, data: data)
        }
        try decode(("chunk_count", .integer(7)))
        let wrong: [(String, JSONValue)] = [
            ("outcome", .string("deleted")), ("outcome", .string("fine")), ("trigger", .string("me")),
            ("findings", .array([.string("a"), .string("")])),
            ("findings", .array([.string("a"), .string("b\n")])),
            ("findings", .array([.string("a"), .string(String(repeating: "b", count: 501))])),
            ("version", .integer(0)), ("chunk_count", .integer(-1)), ("chunk_count", .integer(100_000_000)),
            ("bytes_read", .integer(.max)), ("duration_ms", .integer(.max)),
        ]
        for change in wrong {
            #expect(throws: MalformedEvent.self, "\(change) is taken") { try decode(change) }
        }
    }

    @Test("It is written from the level on that knows it, and no earlier")
    func level() throws {
        let event = RecordingEvent.session(.verified(History.verified(.sound)))
        #expect(event.version(at: .first) == nil)
        #expect(event.version(at: .newest) == 1)
    }
}

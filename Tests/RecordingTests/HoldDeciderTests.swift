import EventSourcing
import Recording
import Testing

private let id = History.sessionID

private func hold(_ name: String, _ reason: String = "r") -> RecordingEvent {
    .session(.legalHoldSet(SessionEvent.HoldChange(sessionID: id, caseName: name, reason: reason)))
}

private func lift(_ name: String, _ reason: String = "r") -> RecordingEvent {
    .session(.legalHoldLifted(SessionEvent.HoldChange(sessionID: id, caseName: name, reason: reason)))
}

private let living = SessionStatus.allCases.filter { $0 != .deleted }

@Suite("What a session under legal hold decides")
struct HoldDeciderTests {
    @Test("A case holds a session in any state of its life, also while it records", arguments: living)
    func set(status: SessionStatus) throws {
        let history = try History.leading(to: status)
        let spec = given(history).when(.hold(caseName: "2026-1", reason: "subpoena"))
            .then(hold("2026-1", "subpoena"))
        #expect(spec.state.legalHolds == ["2026-1"])
        #expect(spec.state.status == status)
    }

    @Test("What is deleted, or was never there, is held by nobody")
    func absent() throws {
        let commands: [SessionCommand] = [
            .hold(caseName: "A", reason: "r"), .liftHold(caseName: "A", reason: "r"),
            .liftHold(caseName: nil, reason: "r"), .takeOverTag,
        ]
        for command in commands {
            given([]).when(command).thenRejected(.notFound)
            given(try History.leading(to: .deleted)).when(command).thenRejected(.notFound)
        }
    }

    @Test("A case that holds it already goes on doing so, whatever the reason is now")
    func again() throws {
        let held = try History.leading(to: .completed) + [hold("A", "first")]
        let spec = given(held).when(.hold(caseName: "A", reason: "second")).then()
        #expect(spec.state.legalHolds == ["A"])
    }

    @Test("It is free when the last of several cases is lifted, in whatever order")
    func several() throws {
        let held = try History.leading(to: .completed) + [hold("A"), hold("B"), hold("C")]
        let one = given(held).when(.liftHold(caseName: "B", reason: "done")).then(lift("B", "done"))
        #expect(one.state.legalHolds == ["A", "C"])
        let two = held + [lift("B"), lift("A")]
        given(two).when(.delete(tagCounts: false))
            .thenRejected(.held(cases: ["C"], command: "be deleted"))
        let last = given(two).when(.liftHold(caseName: nil, reason: "done")).then(lift("C", "done"))
        #expect(last.state.legalHolds.isEmpty)
        let free = given(two + [lift("C")]).when(.delete(tagCounts: false))
        #expect(free.state.status == .deleted)
    }

    @Test("Of several cases one has to be named; one that does not hold it cannot be lifted")
    func unnamed() throws {
        let completed = try History.leading(to: .completed)
        let two = completed + [hold("A"), hold("B")]
        given(two).when(.liftHold(caseName: nil, reason: "r")).thenRejected(.severalHolds(cases: ["A", "B"]))
        given(two).when(.liftHold(caseName: "C", reason: "r")).thenRejected(.notHeld(caseName: "C"))
        given(two + [lift("A")]).when(.liftHold(caseName: "A", reason: "r"))
            .thenRejected(.notHeld(caseName: "A"))
        for name in [nil, "A"] {
            given(completed).when(.liftHold(caseName: name, reason: "r"))
                .thenRejected(.notHeld(caseName: name))
        }
    }

    @Test("What destroys content is refused while a case holds it, and allowed when none does")
    func destroying() throws {
        let pipelineOver = try History.leading(to: .completed)
        let commands: [([RecordingEvent], SessionCommand, String)] = [
            (pipelineOver, .delete(tagCounts: false), "be deleted"),
            (try History.leading(to: .failed), .delete(tagCounts: true), "be deleted"),
            (try History.leading(to: .created), .delete(tagCounts: false), "be deleted"),
            (try History.leading(to: .stopped), .delete(tagCounts: false), "be deleted"),
            // Also where its state would not allow it anyway: the case is what counts.
            (try History.leading(to: .recording), .delete(tagCounts: false), "be deleted"),
            (try History.leading(to: .processing), .giveUp(error: "lost"), "be given up"),
            (pipelineOver, .pipeline(.cleanup), "have its pipeline cleaned up"),
            (pipelineOver, .pipeline(.destroy), "have its pipeline cleaned up"),
        ]
        for (history, command, phrase) in commands {
            given(history + [hold("A")]).when(command).thenRejected(.held(cases: ["A"], command: phrase))
            let freed = given(history + [hold("A"), lift("A")]).when(command).state
            let never = given(history).when(command).state
            #expect(freed.status == never.status && freed.pipeline == never.pipeline, "\(command)")
        }
        // It may fail by itself: that destroys nothing.
        let failed = given(try History.leading(to: .recording) + [hold("A")]).when(.fail(error: "disk"))
        #expect(failed.state.status == .failed && failed.state.legalHolds == ["A"])
    }

    @Test("A pipeline that was being cleaned up when the hold came is not cleaned up to its end")
    func caughtInTheMiddle() throws {
        let cleaning = try History.leading(to: .completed) + [try History.step(.stopped, .cleanup)]
        given(cleaning + [hold("A")]).when(.pipeline(.cleanupComplete))
            .thenRejected(.held(cases: ["A"], command: "have its pipeline cleaned up"))
    }

    @Test("Texts that could not be told apart, or would move a cursor, are no case and no reason")
    func texts() throws {
        let created = try History.leading(to: .created)
        let bad = [
            "", String(repeating: "x", count: 501), "a\u{0}", "a\nb", "\u{1B}[2J", "\u{202E}x", " a", "a ",
            "\u{3000}a", " ",
        ]
        for text in bad {
            #expect(!CaseText.violations(ofReason: text).isEmpty, "\(text.debugDescription)")
            #expect(!CaseText.violations(ofCase: text).isEmpty, "\(text.debugDescription)")
            given(created).when(.hold(caseName: text, reason: text)).thenRejected(
                .invalid(CaseText.violations(ofCase: text) + CaseText.violations(ofReason: text)))
            given(created + [hold("A")]).when(.liftHold(caseName: "A", reason: text))
                .thenRejected(.invalid(CaseText.violations(ofReason: text)))
        }
        for text in ["x", "2026/117 – \u{00C4}rger & co.", String(repeating: "録", count: 100)] {
            given(created).when(.hold(caseName: text, reason: text)).then(hold(text, text))
        }
        #expect(!CaseText.violations(ofCase: String(repeating: "x", count: 101)).isEmpty)
        #expect(CaseText.violations(ofReason: String(repeating: "x", count: 500)).isEmpty)
    }

    @Test("A hundred cases hold a session at most")
    func bound() throws {
        let full = try History.leading(to: .created) + (1...100).map { hold("case \($0)") }
        given(full).when(.hold(caseName: "one more", reason: "r")).thenRejected(.tooManyHolds)
        given(full).when(.hold(caseName: "case 7", reason: "r")).then()
    }

    @Test("Nobody writes a hold to a log that a process of an earlier version still reads")
    func level() throws {
        let event = SessionEvent.legalHoldSet(
            SessionEvent.HoldChange(sessionID: id, caseName: "A", reason: "r"))
        #expect(event.version(at: .first) == nil)
        #expect(event.version(at: .newest) == 1)
        #expect(SessionEvent.deleted(sessionID: id).version(at: .first) == 1)
    }

    @Test("Every refusal says what holds the session, and names no case to those who delete")
    func sentences() {
        let rejections: [(SessionRejection, String)] = [
            (
                .held(cases: ["A"], command: "be deleted"),
                "a session under legal hold cannot be deleted; one case holds it"
            ),
            (
                .held(cases: ["A", "B"], command: "be given up"),
                "a session under legal hold cannot be given up; 2 cases hold it"
            ),
            (.notHeld(caseName: "A"), "no case A holds the session"),
            (.notHeld(caseName: nil), "no case holds the session"),
            (.severalHolds(cases: ["A", "B"]), "2 cases hold the session; name one of them: A, B"),
            (.tooManyHolds, "100 cases hold the session, and no more may"),
        ]
        for (rejection, sentence) in rejections {
            #expect(rejection.description == sentence)
        }
    }
}

@Suite("The tag that was a hold")
struct HoldTagTests {
    private func tagged(_ status: SessionStatus, _ tags: [String] = ["x", "legal-hold"]) throws
        -> [RecordingEvent]
    {
        var change = SessionEvent.Updated(sessionID: id)
        change.metadata = SessionMetadata()
        change.metadata?.tags = tags
        return try History.leading(to: status) + [.session(.updated(change))]
    }

    @Test("While it counts, nobody deletes a session that has it")
    func counts() throws {
        given(try tagged(.completed)).when(.delete(tagCounts: true))
            .thenRejected(.held(cases: ["legal-hold tag"], command: "be deleted"))
        let later = given(try tagged(.completed)).when(.delete(tagCounts: false))
        #expect(later.state.status == .deleted)
    }

    @Test("It becomes a case once, and means nothing from then on")
    func takenOver() throws {
        let before = try tagged(.completed)
        let taken = given(before).when(.takeOverTag).then(hold(HoldTag.caseName, HoldTag.reason))
        #expect(taken.state.legalHolds == ["legal-hold tag"])
        let after = before + [hold(HoldTag.caseName, HoldTag.reason)]
        given(after).when(.takeOverTag).then()
        // The tag is taken away: the case holds it. The case is lifted: the tag does not.
        var untagged = SessionEvent.Updated(sessionID: id)
        untagged.metadata = SessionMetadata()
        given(after + [.session(.updated(untagged))]).when(.delete(tagCounts: true))
            .thenRejected(.held(cases: ["legal-hold tag"], command: "be deleted"))
        let lifted = after + [lift(HoldTag.caseName)]
        given(lifted).when(.takeOverTag).then()
        #expect(given(lifted).when(.delete(tagCounts: true)).state.status == .deleted)
    }

    @Test("A session without the tag, or that lost it, is not taken over")
    func others() throws {
        given(try tagged(.recording, ["legal-holds"])).when(.takeOverTag).then()
        given(try tagged(.recording) + (try tagged(.recording, [])).suffix(1)).when(.takeOverTag).then()
        given(try tagged(.recording)).when(.takeOverTag).then(hold(HoldTag.caseName, HoldTag.reason))
    }
}

import ChunkFiles
import Base
import Foundation
import Intake
import Recording
import Supervision
import Testing

@Suite("Chunks with numbers", .timeLimit(.minutes(5)))
struct NumberTests {
    private func isRecorded(_ outcome: NumberedChunk.Outcome) -> Bool {
        if case .recorded = outcome { true } else { false }
    }

    @Test("they are recorded in their order, whichever process takes them, and once each")
    func order() throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        for (number, text, process) in [(3, "three", here), (2, "two", there), (3, "three", there)] {
            guard case .held(waitingFor: 1) = try rig.put(text, as: number, process) else {
                Issue.record("\(text) does not wait")
                return
            }
        }
        #expect(refusal { try rig.put("other", as: 3, here) } as? SessionRejection == .chunkTaken(number: 3))
        #expect(try there.intake.waiting(Rig.session) == 2)
        #expect(isRecorded(try rig.put("one", as: 1, there)))
        #expect(try rig.media == "onetwothree")
        guard case .present = try rig.put("two", as: 2, here) else {
            Issue.record("given again it is new")
            return
        }
        #expect(refusal { try rig.put("six", as: 2, here) } as? SessionRejection == .chunkTaken(number: 2))
        // Of all that was written what the log names is left, and what was said of chunks that waited is
        // gone.
        #expect(try rig.spool.recorded(session: Rig.session).count == 3)
        #expect(try rig.spool.files(session: Rig.session, by: "held").isEmpty)
        #expect(try !rig.stop(here))
    }

    @Test("of two with one number one is recorded, and its bytes are nobody else's")
    func rivals() throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        let (one, other) = (try rig.chunk(1, here), try rig.chunk(1, there))
        try one.write("from here")
        try other.write("from there")
        #expect(isRecorded(try other.finish().0))
        #expect(refusal { _ = try one.finish() } as? SessionRejection == .chunkTaken(number: 1))
        #expect(try rig.media == "from there")
        #expect(try rig.spool.recorded(session: Rig.session).count == 1)
    }

    @Test("one that waits outlives a pause with its bytes")
    func heldInPause() throws {
        let rig = try Rig()
        let process = try rig.process()
        try rig.put("two", as: 2, process)
        try rig.command(.pause)
        #expect(
            refusal { try rig.put("one", as: 1, process) } as? SessionRejection
                == .wrongState(.paused, command: "record a chunk"))
        try process.intake.recordHeld(Rig.session, context: Rig.context)
        try rig.command(.resume)
        try rig.put("one", as: 1, process)
        #expect(try rig.media == "onetwo")
    }

    @Test("one that waited for a chunk of a stream follows it, and the stream learns that it lost its place")
    func heldBehindStream() throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        let stream = try rig.open(here)
        try rig.put("two", as: 2, there)
        // More than one chunk of the stream.
        let refused = refusal {
            try stream.write("0123456789abcdefghij")
            _ = try stream.finish()
        }
        #expect(
            refused as? SessionRejection
                == .outOfPlace(
                    expected: StreamPlace(sequenceNumber: 3, offset: 19),
                    got: StreamPlace(sequenceNumber: 2, offset: 16)))
        #expect(try rig.media == "0123456789abcdeftwo")
        #expect(try rig.spool.files(session: Rig.session, by: "held").isEmpty)
        #expect(try rig.stop(there), "the rest of the stream is missing")
    }

    @Test("one that waited in vain, because another has its number by now, makes the recording incomplete")
    func heldInVain() throws {
        let rig = try Rig()
        let process = try rig.process()
        try rig.put("two", as: 2, process)
        let path = try #require(try rig.spool.recorded(session: Rig.session).first?.relative)
        try rig.record(1...2)
        #expect(try process.intake.isLacking(rig.state))
        try rig.put("three", as: 3, process)
        #expect(try rig.state.chunkCount == 3)
        #expect(try rig.spool.files(session: Rig.session, by: "held").isEmpty)
        #expect(try !rig.spool.recorded(session: Rig.session).map(\.relative).contains(path))
        // Whatever comes after it.
        #expect(try rig.stop(process))
    }

    @Test("one that waits is recorded when a stream opens whose turn has come behind it")
    func heldThenOpened() throws {
        let rig = try Rig()
        let process = try rig.process()
        try rig.put("two", as: 2, process)
        #expect(refusal { _ = try rig.open(process) } as? IntakeRefusal == .numbersWait(for: 1))
        try rig.record(1...1)
        let stream = try rig.open(process, at: 8)
        #expect(try rig.state.chunkCount == 2)
        try stream.write("three")
        _ = try stream.finish()
        #expect(try rig.state.chunkCount == 3)
        #expect(try !rig.stop(process))
    }

    @Test("one whose note was spoiled may never have been recorded: that makes the recording incomplete")
    func spoiledNote() throws {
        let rig = try Rig()
        let process = try rig.process()
        try rig.put("two", as: 2, process)
        let note = try #require(try rig.spool.files(session: Rig.session, by: "held").first?.relative)
        try Data("{}".utf8).write(to: URL(fileURLWithPath: "\(rig.root)/\(note)"))
        try rig.record(1...2)
        #expect(try process.intake.isLacking(rig.state))
        try rig.put("three", as: 3, process)
        #expect(try rig.spool.files(session: Rig.session, by: "held").isEmpty)
        #expect(try rig.stop(process))
    }

    @Test(
        "none is told that it waits while the recording is being stopped",
        arguments: ["stops", "goes on", "dies"])
    func whileStopping(_ end: String) throws {
        let rig = try Rig()
        rig.limits.handoverMilliseconds = end == "dies" ? 100 : 60_000
        let (here, there) = (try rig.process(), try rig.process())
        let closing = try here.intake.closing(Rig.session, context: Rig.context)
        #expect(!closing.isIncomplete)
        let outcome = try OwnThread(name: "uploader") { [box = Box(rig, there)] in
            Result { try box.rig.put("two", as: 2, box.process) }
        }
        if end == "dies" {
            let failure = refusal { _ = try outcome.join().get() }
            #expect(failure as? IntakeRefusal == .beingStopped)
            // A note of somebody who is dead holds nobody up.
            for name in try rig.spool.notes(of: Rig.session).names() where name.hasPrefix("closing-") {
                try rig.age("\(Rig.session)/.\(name)")
            }
            guard case .held(waitingFor: 1) = try rig.put("two", as: 2, there) else {
                Issue.record("it does not wait")
                return
            }
            #expect(closing.isIncomplete, "it was taken for dead")
            return
        }
        // It lies there, and nobody has said so.
        try eventually("it lies there") {
            try !rig.spool.files(session: Rig.session, by: "held").isEmpty
        }
        #expect(!outcome.wait(milliseconds: 200))
        if end == "stops" {
            try rig.command(.stop(.requested, incomplete: closing.isIncomplete))
            #expect(try !rig.state.incomplete)
            closing.end()
            let expected = SessionRejection.wrongState(.stopped, command: "record a chunk")
            #expect(refusal { _ = try outcome.join().get() } as? SessionRejection == expected)
        } else {
            closing.end()
            guard case .held(waitingFor: 1) = try outcome.join().get() else {
                Issue.record("it does not wait")
                return
            }
            #expect(try rig.stop(here))
        }
    }

    /// Sendable because one thread after the other uses it.
    private struct Box: @unchecked Sendable {
        let rig: Rig
        let process: TestProcess

        init(_ rig: Rig, _ process: TestProcess) { (self.rig, self.process) = (rig, process) }
    }

    @Test("one whose number a stream takes meanwhile is refused, and was promised to nobody")
    func overtaken() throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        let stream = try rig.open(here)
        let late = try rig.chunk(2, there)
        try late.write("late")
        try stream.write("0123456789abcdefghij0123456789abcdefghij")
        #expect(try rig.state.chunkCount == 2)
        #expect(refusal { _ = try late.finish() } as? SessionRejection == .chunkTaken(number: 2))
        _ = try stream.finish()
        #expect(try !rig.stop(here))
    }

    @Test("chunks that wait under the names of the builds before this one are recorded in their turn")
    func oldNames() throws {
        let rig = try Rig()
        let process = try rig.process()
        try rig.put("two", as: 2, process)
        let folder = "\(rig.root)/\(Rig.session)/"
        let (old, oldHeld) = ("00000002.upload-00112233445566aa", "00000002.held-00112233445566bb")
        let held = try #require(try rig.spool.files(session: Rig.session, by: "held").first?.relative)
        let bytes = try #require(try rig.spool.recorded(session: Rig.session).first?.relative)
        let text = try String(contentsOfFile: "\(rig.root)/\(held)", encoding: .utf8)
        try text.replacing(bytes, with: "\(Rig.session)/\(old)")
            .write(toFile: folder + oldHeld, atomically: true, encoding: .utf8)
        try FileManager.default.moveItem(atPath: "\(rig.root)/\(bytes)", toPath: folder + old)
        try FileManager.default.removeItem(atPath: "\(rig.root)/\(held)")
        try rig.put("one", as: 1, process)
        #expect(try rig.media == "onetwo")
        #expect(try rig.spool.files(session: Rig.session, by: "held").isEmpty)
    }
}

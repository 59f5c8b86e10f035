import Base
import EventSourcing
import Intake
import Recording
import Supervision
import Testing

@Suite("Streams of a paused recording", .timeLimit(.minutes(5)))
struct PauseTests {
    /// What a stream's source is told.
    private final class Told: StreamObserver {
        let reasons = Lock<[String]>([])

        func recorded(chunks: Int, bytes: Int) {}
        func waits(for reason: String?) { if let reason { reasons.withLock { $0.append(reason) } } }
    }

    private func pause(_ rig: Rig, over process: TestProcess) throws {
        process.intake.pause(Rig.session)
        try rig.command(.pause)
    }

    private func resume(_ rig: Rig, over process: TestProcess) throws {
        try rig.command(.resume)
        process.intake.resume(Rig.session)
    }

    @Test(
        "what came before is recorded, what comes meanwhile is dropped and said, and the stream goes on",
        arguments: [true, false])
    func dropped(isSameProcess: Bool) throws {
        let rig = try Rig()
        let here = try rig.process()
        let other = isSameProcess ? here : try rig.process()
        let stream = try rig.open(here, at: 0)
        try stream.write("AAAA")
        try pause(rig, over: other)
        #expect(try rig.media == "AAAA")
        #expect(stream.isHeld)
        try stream.write("drop")
        try stream.write("ped")
        #expect(try rig.state.sizeBytes == 4)
        try resume(rig, over: other)
        // In another process it is noticed at the next look.
        try eventually("it goes on") { !stream.isHeld }
        try stream.write("BBBB")
        let summary = try stream.finish()
        #expect(summary.recordedBytes == 8 && summary.droppedBytes == 7)
        #expect(summary.next == StreamPlace(sequenceNumber: 3, offset: 8))
        #expect(try rig.media == "AAAABBBB")
        #expect(try other.intake.droppedBytes(of: Rig.session) == 7)
        #expect(try !rig.stop(other))
    }

    @Test("a stream that nobody has told of a pause learns it from the log")
    func unannounced() throws {
        let rig = try Rig()
        let process = try rig.process()
        let stream = try rig.open(process, at: 0)
        try stream.write("AAAA")
        try rig.command(.pause)
        try stream.write("0123456789ABCDEF")
        #expect(stream.isHeld)
        #expect(try rig.state.sizeBytes == 0)
        try rig.command(.resume)
        try eventually("it goes on") { !stream.isHeld }
        try stream.write("BBBB")
        let summary = try stream.finish()
        // What was in hand at the pause belongs to neither side of it for sure.
        #expect(summary.recordedBytes == 4 && summary.droppedBytes == 20)
        #expect(try rig.media == "BBBB")
    }

    @Test("where its sender wants to be told, the next bytes are refused, and none are lost")
    func refused() throws {
        let rig = try Rig()
        let process = try rig.process()
        let stream = try rig.open(process, at: 0) { $0.whilePaused = .refuse }
        try stream.write("AAAA")
        try pause(rig, over: process)
        let next = StreamPlace(sequenceNumber: 2, offset: 4)
        #expect(refusal { try stream.write("BB") } as? IntakeRefusal == .paused(next: next))
        stream.breakOff()
        try resume(rig, over: process)
        let again = try rig.open(process, at: 4)
        try again.write("BB")
        #expect(try again.finish().droppedBytes == 0)
        #expect(try rig.media == "AAAABB")
        #expect(try !rig.stop(process))
    }

    @Test("a source that can wait loses nothing")
    func held() throws {
        let rig = try Rig()
        let process = try rig.process()
        let told = Told()
        let stream = try rig.open(process, at: 0) {
            $0.whilePaused = .hold
            $0.observer = told
        }
        try stream.write("AAAA")
        try pause(rig, over: process)
        let writing = try OwnThread<StreamSummary>(name: "source") {
            try stream.write("BBBBBBBBBBBBBBBBBBBB")
            return try stream.finish()
        }
        try eventually("it waits") { told.reasons.withLock { $0.contains("the recording to be resumed") } }
        #expect(try rig.state.sizeBytes == 4)
        try resume(rig, over: process)
        let summary = try writing.join()
        #expect(summary.recordedBytes == 24 && summary.droppedBytes == 0)
        #expect(try rig.media == "AAAABBBBBBBBBBBBBBBBBBBB")
    }

    @Test("a pause that does not come lets the stream go on")
    func cancelled() throws {
        let rig = try Rig()
        let process = try rig.process()
        let stream = try rig.open(process, at: 0)
        process.intake.pause(Rig.session)
        #expect(stream.isHeld)
        try eventually("it goes on") { !stream.isHeld }
        try stream.write("AA")
        #expect(try stream.finish().recordedBytes == 2)
    }

    @Test("a pause that lasts too long ends the stream, and a stop ends it in a pause, too")
    func ended() throws {
        let rig = try Rig()
        let process = try rig.process { $0.pausedSeconds = 0 }
        let stream = try rig.open(process, at: 0)
        try pause(rig, over: process)
        let error = { refusal { for _ in 0..<2000 { try stream.write("x") } } }
        try eventually("it is refused") {
            (try? stream.write("x")) == nil
        }
        #expect(error() as? IntakeRefusal == .pausedTooLong(seconds: 0))
        try resume(rig, over: process)
        let other = try rig.process()
        let second = try rig.open(other, at: 0)
        try pause(rig, over: other)
        try rig.stop(process)
        let expected = SessionRejection.wrongState(.stopped, command: "record a chunk")
        try eventually("it is refused") { (try? second.write("x")) == nil }
        #expect(refusal { try second.write("x") } as? SessionRejection == expected)
    }
}

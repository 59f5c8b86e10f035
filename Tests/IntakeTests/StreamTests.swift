import ChunkFiles
import Base
import EventSourcing
import Foundation
import Intake
import Recording
import Simulation
import Supervision
import Testing

@Suite("Streams", .timeLimit(.minutes(5)))
struct StreamTests {
    private func isTakenOver(_ error: (any Error)?, at place: StreamPlace) -> Bool {
        error as? IntakeRefusal == .takenOver(next: place)
    }

    @Test("a stream is cut into chunks, and its end says where the recording goes on")
    func life() throws {
        let rig = try Rig()
        let process = try rig.process()
        let stream = try rig.open(process, at: 0)
        try stream.write("0123456789abcdefghij")
        #expect(try rig.state.chunkCount == 1)
        let summary = try stream.finish()
        #expect(summary.recordedBytes == 20 && summary.droppedBytes == 0 && summary.chunkIDs.count == 2)
        #expect(summary.next == StreamPlace(sequenceNumber: 3, offset: 20))
        #expect(try rig.media == "0123456789abcdefghij")
        let late = refusal { try rig.open(process, at: 0).write("x") } as? SessionRejection
        #expect(
            late
                == .outOfPlace(
                    expected: StreamPlace(sequenceNumber: 3, offset: 20),
                    got: StreamPlace(sequenceNumber: 3, offset: 0)))
        #expect(try !rig.stop(process))
    }

    @Test("a second sender takes over; what the first had in hand is recorded, and nothing of it afterwards")
    func takeover() throws {
        let rig = try Rig()
        let process = try rig.process()
        let first = try rig.open(process)
        try first.write("AAAA")
        let second = try rig.open(process)
        #expect(try rig.media == "AAAA")
        let next = StreamPlace(sequenceNumber: 2, offset: 4)
        #expect(isTakenOver(refusal { try first.write("CC") }, at: next))
        try second.write("BBB")
        #expect(isTakenOver(refusal { _ = try first.finish() }, at: next))
        #expect(try second.finish().recordedBytes == 3)
        first.breakOff()
        #expect(try rig.media == "AAAABBB")
        #expect(try !rig.stop(process))
    }

    @Test(
        "a stream that takes over and brings nothing leaves the recording incomplete",
        arguments: [false, true], [false, true])
    func emptyTakeover(isElsewhere: Bool, isBroken: Bool) throws {
        let rig = try Rig()
        let here = try rig.process()
        let there = isElsewhere ? try rig.process() : here
        try rig.open(here).write("AAAA")
        // What it has in hand is gone, or comes with the takeover.
        if isElsewhere { here.freeze() }
        let second = try rig.open(there)
        if isBroken { second.breakOff() } else { second.cancel() }
        #expect(try rig.media == (isElsewhere ? "" : "AAAA"))
        #expect(try rig.stop(there))
    }

    @Test("so it is when the first one's bytes arrive in another process")
    func takeoverElsewhere() throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        let first = try rig.open(here)
        try first.write("AAAA")
        let second = try rig.open(there)
        #expect(try rig.media == "AAAA")
        let next = StreamPlace(sequenceNumber: 2, offset: 4)
        try second.write("BBB")
        #expect(isTakenOver(refusal { try first.write("CC") }, at: next))
        #expect(try second.finish().next == StreamPlace(sequenceNumber: 3, offset: 7))
        #expect(try rig.media == "AAAABBB")
        #expect(try !rig.stop(here))
    }

    @Test(
        "what a process holds that was frozen is refused when it wakes up, and the stream can be resumed",
        arguments: [nil, 0])
    func frozenProcess(_ offset: Int?) throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        let first = try rig.open(here, at: offset)
        try first.write("AAAA")
        here.freeze()
        // It is asked in vain to record what it holds, and was told of no byte of it.
        let second = try rig.open(there, at: offset)
        try second.write("AAAABBB")
        _ = try second.finish()
        let next = StreamPlace(sequenceNumber: 2, offset: 7)
        #expect(isTakenOver(refusal { _ = try first.finish() }, at: next))
        #expect(try rig.media == "AAAABBB")
        #expect(try !rig.stop(there))
    }

    @Test("a chunk that was on its way to the log when another was recorded there is refused by the log")
    func staleAppend() throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        let first = try rig.open(here, at: 0)
        try first.write("AAAA")
        let (isHeld, mayGo) = (StopSignal(), StopSignal())
        here.log.beforeRecording.withLock {
            $0 = { _ in
                isHeld.set()
                mayGo.wait()
            }
        }
        let thread = try OwnThread<String>(name: "first") {
            do { return "\(try first.finish())" } catch { return "\(error)" }
        }
        isHeld.wait()
        let second = try rig.open(there, at: 0)
        try second.write("XX")
        _ = try second.finish()
        mayGo.set()
        #expect(try thread.join().contains("taken over"))
        #expect(try rig.media == "XX")
    }

    @Test("an answer that was lost leads to the same chunk once, and to success")
    func lostAnswer() throws {
        let rig = try Rig()
        let process = try rig.process()
        let stream = try rig.open(process)
        try stream.write("AAAA")
        rig.log.inject { operation in
            operation == "append"
                ? .after(LogFailure(.unreachable, operation: operation, key: "s", text: "lost")) : nil
        }
        process.log.beforeRecording.withLock {
            $0 = { [log = rig.log, held = process.log] _ in
                if held.recordings.withLock({ $0 }) > 1 { log.inject(nil) }
            }
        }
        #expect(try stream.finish().recordedBytes == 4)
        #expect(try rig.media == "AAAA")
        #expect(process.log.recordings.withLock { $0 } == 2)
    }

    @Test("the same bytes of two senders are two senders' bytes")
    func sameBytes() throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        for process in [here, there] {
            let stream = try rig.open(process)
            try stream.write("AAAA")
            _ = try stream.finish()
        }
        #expect(try rig.media == "AAAAAAAA")
        // In one place as well: the log is asked by two at once.
        let first = try rig.open(here)
        try first.write("BBBB")
        here.freeze()
        let second = try rig.open(there)
        try second.write("BBBB")
        #expect(try second.finish().recordedBytes == 4)
        #expect(refusal { _ = try first.finish() } != nil)
        #expect(try rig.media == "AAAAAAAABBBB")
    }

    @Test("a sender that says nothing of its place begins wherever the recording ends by then")
    func floating() throws {
        let rig = try Rig()
        let process = try rig.process()
        let stream = try rig.open(process)
        try stream.write("stream")
        try rig.put("number", as: 1, process)
        #expect(try stream.finish().next == StreamPlace(sequenceNumber: 3, offset: 12))
        #expect(try rig.media == "numberstream")
        // Once it has a place it keeps to it: nothing is mixed into the middle of it.
        let other = try rig.open(process)
        try other.write("0123456789abcdef-")
        try rig.put("number", as: 4, process)
        let error = refusal { _ = try other.finish() } as? SessionRejection
        #expect(
            error
                == .outOfPlace(
                    expected: StreamPlace(sequenceNumber: 5, offset: 34),
                    got: StreamPlace(sequenceNumber: 4, offset: 28)))
        #expect(try rig.media == "numberstream0123456789abcdefnumber")
        #expect(try rig.stop(process))
    }

    @Test("a chunk is in the log some seconds after its first byte, whether or not more comes")
    func idle() throws {
        let rig = try Rig()
        let process = try rig.process { $0.chunkMilliseconds = 300 }
        let streams = try (0..<3).map { _ in
            let stream = try rig.open(process)
            try stream.write("AA")
            return stream
        }
        try eventually("it is recorded") { try rig.state.sizeBytes == 6 }
        #expect(try streams[2].finish().recordedBytes == 2)
    }

    @Test("while the log is away a chunk that is old enough waits, and is recorded when it is back")
    func idleWithoutLog() throws {
        let rig = try Rig()
        let process = try rig.process { $0.chunkMilliseconds = 200 }
        let stream = try rig.open(process, at: 0)
        try stream.write("AA")
        rig.log.inject { .before(LogFailure(.unreachable, operation: $0, key: "s", text: "away")) }
        try eventually("it was tried") { process.log.recordings.withLock { $0 } > 2 }
        rig.log.inject(nil)
        try eventually("it is recorded") { try rig.state.sizeBytes == 2 }
        try stream.write("BB")
        #expect(try stream.finish().next == StreamPlace(sequenceNumber: 3, offset: 4))
        #expect(try rig.media == "AABB")
    }

    @Test(
        "what arrives after the session is over is refused, and its folder in the spool is nobody's business")
    func over() throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        let stream = try rig.open(here)
        try stream.write("AA")
        let chunk = try rig.chunk(2, there)
        try chunk.write("BB")
        #expect(try rig.stop(there))
        try rig.spool.removeSession(Rig.session)
        let expected = SessionRejection.wrongState(.stopped, command: "record a chunk")
        #expect(refusal { try stream.write("CC") } as? SessionRejection == expected)
        #expect(refusal { _ = try chunk.finish() } as? SessionRejection == expected)
        try rig.command(.delete(tagCounts: false))
        let deleted = SessionRejection.wrongState(.deleted, command: "record a chunk")
        #expect(refusal { _ = try rig.open(here) } as? SessionRejection == deleted)
    }
}

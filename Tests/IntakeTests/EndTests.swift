import ChunkFiles
import Base
import EventSourcing
import Foundation
import Intake
import Recording
import Supervision
import Testing
import Files
import Sealing

/// What ends early is never called complete; what is made up for is.
@Suite("Recordings that lack something", .timeLimit(.minutes(5)))
struct EndTests {
    @Test("a source that broke makes the recording incomplete, unless somebody goes on from there")
    func broken() throws {
        for isResumed in [false, true] {
            let rig = try Rig()
            let process = try rig.process()
            let stream = try rig.open(process)
            try stream.write("AAAA")
            stream.breakOff()
            #expect(try rig.media == "AAAA")
            if isResumed {
                let again = try rig.open(process, at: 4)
                try again.write("BB")
                _ = try again.finish()
            }
            #expect(try rig.stop(process) == !isResumed)
            #expect(try rig.state.incomplete == !isResumed)
        }
    }

    @Test("a stop before all has come that was promised makes it incomplete; before it none was, not")
    func promised() throws {
        for promise in [nil, 4, 5] {
            let rig = try Rig()
            let process = try rig.process()
            let stream = try rig.open(process, at: 0) { $0.promisedBytes = promise }
            try stream.write("AAAA")
            #expect(try rig.stop(process) == (promise == 5))
            #expect(try rig.media == "AAAA")
        }
    }

    @Test("a stop over another process has all of what arrived before it")
    func stoppedElsewhere() throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        let stream = try rig.open(here)
        try stream.write("AAAA")
        #expect(try !rig.stop(there))
        #expect(try rig.media == "AAAA")
        let expected = SessionRejection.wrongState(.stopped, command: "record a chunk")
        try eventually("it is refused") { (try? stream.write("x")) == nil }
        #expect(refusal { try stream.write("x") } as? SessionRejection == expected)
    }

    @Test("a stop while a process does not answer that may hold bytes makes it incomplete")
    func frozen() throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process { $0.handoverMilliseconds = 50 })
        let stream = try rig.open(here)
        try stream.write("AAAA")
        here.freeze()
        #expect(try rig.stop(there))
        #expect(try rig.media.isEmpty)
        withExtendedLifetime(stream) {}
    }

    @Test("a stream that a process took with it makes it incomplete, unless somebody opens another one")
    func killed() throws {
        for isResumed in [false, true] {
            let rig = try Rig()
            // What the killed process would have left.
            try rig.spool.makeFolder(of: Rig.session)
            try rig.spool.notes(of: Rig.session).write("stream-0123456789abcdef", " ")
            let process = try rig.process { $0.handoverMilliseconds = 50 }
            if isResumed {
                let stream = try rig.open(process)
                try stream.write("AAAA")
                _ = try stream.finish()
            }
            #expect(try rig.stop(process) == !isResumed)
        }
    }

    /// Lets the n-th file call fail, and all after it, as if the process had died there; or that call alone.
    private final class Death: FileWatcher {
        private let left: Lock<Int>
        private let isSingle: Bool

        init(atCall number: Int, alone isSingle: Bool = false) {
            left = Lock(number)
            self.isSingle = isSingle
        }

        var happened: Bool { left.withLock { $0 <= 0 } }

        func before(_ operation: String, _ path: String) throws(FileFailure) {
            let isAlive = left.withLock { left in
                left -= 1
                return left > 0 || isSingle && left < 0
            }
            guard isAlive else { throw FileFailure(operation, path, code: 5) }
        }
    }

    @Test(
        "a process that dies anywhere in taking a stream over, or can't go on, hides nothing of what was cut off",
        arguments: [false, true], [false, true])
    func diedTakingOver(isOwn: Bool, isSingle: Bool) throws {
        var points = 0
        for number in 1... {
            let rig = try Rig()
            let dying = try rig.process { $0.handoverMilliseconds = 1 }
            var first: StreamWriter?
            if isOwn {
                first = try rig.open(dying)
            } else {
                // What another process had open when it was killed; nothing of it is recorded.
                try rig.spool.makeFolder(of: Rig.session)
                try rig.spool.notes(of: Rig.session).write("stream-0123456789abcdef", " ")
            }
            let death = Death(atCall: number, alone: isSingle)
            let second = FileCalls.$watcher.withValue(death) { try? rig.open(dying) }
            dying.freeze()
            #expect(try rig.stop(try rig.process { $0.handoverMilliseconds = 1 }), "died at call \(number)")
            withExtendedLifetime((first, second)) {}
            guard death.happened else { break }
            points += 1
        }
        #expect(points > 10)
    }

    @Test(
        "a process that dies anywhere in taking a numbered chunk hides nothing of it", arguments: [1, 3])
    func diedTakingAChunk(chunk: Int) throws {
        var points = 0
        for number in 1... {
            let rig = try Rig()
            let dying = try rig.process()
            let death = Death(atCall: number)
            _ = FileCalls.$watcher.withValue(death) { try? rig.put("one", as: chunk, dying) }
            dying.freeze()
            let files = try? FileManager.default.contentsOfDirectory(atPath: "\(rig.root)/\(Rig.session)")
            let isMissing = try rig.stop(try rig.process())
            // Either it is recorded, or the recording lacks it, once any of it was in the spool.
            let isRecorded = try rig.state.chunkCount > 0
            #expect(isMissing == (!isRecorded && files?.isEmpty == false), "died at call \(number)")
            guard death.happened else { break }
            points += 1
        }
        #expect(points > 5)
    }

    /// A disk that takes no note of what is missing.
    private struct FullDisk: FileWatcher {
        func before(_ operation: String, _ path: String) throws(FileFailure) {
            if operation == "create" || operation == "rename" { throw FileFailure(operation, path, code: 28) }
        }
    }

    @Test("a source that broke makes the recording incomplete where the disk is full, too")
    func brokenOnAFullDisk() throws {
        for isResumed in [false, true] {
            let rig = try Rig()
            let process = try rig.process { $0.handoverMilliseconds = 1 }
            let stream = try rig.open(process)
            try stream.write("AAAAAAAAAAAAAAAA")
            FileCalls.$watcher.withValue(FullDisk()) { stream.breakOff() }
            if isResumed {
                let again = try rig.open(process, at: 16)
                try again.write("BB")
                _ = try again.finish()
            }
            #expect(try rig.stop(process) == !isResumed)
        }
    }

    @Test(
        "a stop has what is just being taken, and is incomplete where that waits for room",
        arguments: [
            true, false,
        ], [true, false])
    func waitingForRoom(isHere: Bool, getsRoom: Bool) throws {
        let rig = try Rig()
        rig.limits.chunksAhead = 1
        rig.limits.handoverMilliseconds = getsRoom ? 10_000 : 1500
        let (here, there) = (try rig.process(), try rig.process())
        let stream = try rig.open(here)
        // One chunk and a part of the next, which waits for the first to be stored.
        let sender = try OwnThread(name: "sender") { try? stream.write("0123456789abcdefghij") }
        try eventually("it is recorded") { try rig.state.chunkCount == 1 }
        // Its sender looks for room now and then: the stop comes before that.
        if getsRoom { try rig.giveUp(chunk: 1) }
        #expect(try rig.stop(isHere ? here : there) == !getsRoom)
        #expect(try rig.media == (getsRoom ? "0123456789abcdefghij" : "0123456789abcdef"))
        _ = sender.wait(milliseconds: 10_000)
    }

    @Test(
        "where the log goes away over a chunk, what was to come after it is not forgotten",
        arguments: [
            true, false,
        ], [true, false])
    func lostAnswer(isRecorded: Bool, isWhole: Bool) throws {
        let rig = try Rig()
        rig.limits.logMilliseconds = 50
        rig.limits.handoverMilliseconds = 100
        let (here, there) = (try rig.process(), try rig.process())
        let log = here.log
        @Sendable func goAway() throws {
            log.isAway.withLock { $0 = true }
            throw HeldLog.away
        }
        if isRecorded {
            log.afterRecording.withLock { $0 = goAway }
        } else {
            log.beforeRecording.withLock { $0 = { _ in try goAway() } }
        }
        let stream = try rig.open(here)
        if isWhole {
            try stream.write("0123456789")
            #expect(refusal { _ = try stream.finish() } is LogFailure)
        } else {
            #expect(refusal { try stream.write("0123456789abcdefghij") } is LogFailure)
        }
        #expect(try rig.state.chunkCount == (isRecorded ? 1 : 0))
        #expect(try rig.stop(there) == !(isRecorded && isWhole))
    }

    @Test("so it is with a stream that has no place yet while others go on")
    func lostBeforeItsPlace() throws {
        let rig = try Rig()
        rig.limits.logMilliseconds = 50
        rig.limits.handoverMilliseconds = 100
        let (here, there) = (try rig.process(), try rig.process())
        let stream = try rig.open(here)
        try stream.write("AAAA")
        try rig.put("one", as: 1, there)
        here.log.isAway.withLock { $0 = true }
        stream.breakOff()
        #expect(try rig.stop(there))
    }

    @Test("what a sweep removes of uploads that were cut off, or overtaken, makes it incomplete all the same")
    func swept() throws {
        for way in ["cut off", "overtaken", "made up for"] {
            let rig = try Rig()
            let process = try rig.process()
            try rig.put("one", as: 1, process)
            let folder = "\(rig.root)/\(Rig.session)"
            switch way {
            case "overtaken":
                try rig.put("three", as: 3, process)
                let paths = try rig.spool.recorded(session: Rig.session).filter { $0.sequence == 3 }
                try rig.age(try #require(paths.first).relative)
                try rig.record(2...3)
                // Its sender may just be told that another has its number.
                try SpoolLeftovers(rig.spool, of: Rig.session, try rig.state, ageSeconds: 3600)
                    .removeOvertaken { Issue.record("\($0)") }
                let notes = try rig.spool.files(session: Rig.session, by: "held")
                try rig.age(try #require(notes.first).relative)
            default:
                try Data("tw".utf8).write(
                    to: URL(fileURLWithPath: folder + "/.tmp-00000002-0123456789abcdef"))
                try rig.age("\(Rig.session)/.tmp-00000002-0123456789abcdef")
            }
            var removed: [String] = []
            let leftovers = SpoolLeftovers(rig.spool, of: Rig.session, try rig.state, ageSeconds: 3600)
            try leftovers.removeUnfinished { removed.append($0) }
            try leftovers.removeOvertaken { removed.append($0) }
            let left = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(!left.contains { $0.hasPrefix(".tmp-") || $0.hasPrefix("00000003") }, "\(left)")
            // What waited and was overtaken has gone with what was said of it.
            #expect(removed.count == (way == "overtaken" ? 0 : 1), "\(removed)")
            if way == "made up for" { try rig.put("two", as: 2, process) }
            #expect(try rig.stop(process) == (way != "made up for"), "\(way)")
        }
    }

    @Test("a sweep leaves alone what somebody may be writing")
    func sweptWhileWriting() throws {
        let rig = try Rig()
        let process = try rig.process()
        let chunk = try rig.chunk(1, process)
        try chunk.write("on")
        let leftovers = SpoolLeftovers(rig.spool, of: Rig.session, try rig.state, ageSeconds: 3600)
        try leftovers.removeUnfinished { Issue.record("\($0)") }
        try leftovers.removeOvertaken { Issue.record("\($0)") }
        try chunk.write("e")
        _ = try chunk.finish()
        #expect(try rig.media == "one")
        #expect(try !rig.stop(process))
    }

    @Test(
        "a chunk that a full disk refuses and takes no note of is not forgotten",
        arguments: [
            "in the process that knows", "elsewhere, later", "elsewhere, while the disk is full",
        ])
    func refusedByAFullDisk(way: String) throws {
        let rig = try Rig()
        let (here, there) = (try rig.process(), try rig.process())
        try rig.put("one", as: 1, here)
        let isRunning = way == "elsewhere, later"
        if !isRunning { here.freeze() }
        let failure = FileCalls.$watcher.withValue(FullDisk()) { refusal { try rig.put("two", as: 2, here) } }
        #expect((failure as? StorageFailure)?.isOutOfSpace == true)
        if isRunning {
            try eventually("it is noted") { try there.intake.isLacking(rig.state) }
        }
        switch way {
        case "in the process that knows": #expect(try rig.stop(here))
        case "elsewhere, later": #expect(try rig.stop(there))
        default: #expect(try FileCalls.$watcher.withValue(FullDisk()) { try rig.stop(there) })
        }
    }

    @Test("a chunk that was refused because nobody had its key makes it incomplete, unless it comes again")
    func refusedForItsKey() throws {
        for isComing in [false, true] {
            let rig = try Rig()
            let process = try rig.process()
            let upload = ChunkUpload(
                chunk: ChunkReference(sessionID: Rig.session, sequenceNumber: 1),
                capturedAt: SystemClock().now())
            func noKey() throws -> SessionKey { throw HeldLog.away }
            #expect(
                refusal {
                    _ = try process.intake.openChunk(
                        upload, length: 3, key: try noKey(), context: Rig.context)
                } is LogFailure)
            if isComing { try rig.put("one", as: 1, process) }
            #expect(try rig.stop(process) == !isComing)
        }
    }

    @Test("a chunk that was begun and not recorded makes it incomplete, unless it comes after all")
    func numbered() throws {
        for way in ["broken", "held", "under way", "digest", "made up for"] {
            let rig = try Rig()
            let process = try rig.process()
            try rig.put("one", as: 1, process)
            let number = way == "held" ? 3 : 2
            let chunk = try rig.chunk(number, process)
            try chunk.write("two")
            switch way {
            case "broken", "made up for": chunk.breakOff()
            case "held": _ = try chunk.finish()
            default: break
            }
            if way == "made up for" { try rig.put("two", as: 2, process) }
            #expect(try rig.stop(process) == (way != "made up for"), "\(way)")
            withExtendedLifetime(chunk) {}
        }
    }

    @Test("a sender that was refused for want of room makes it incomplete, unless it comes again")
    func refused() throws {
        for isComing in [false, true] {
            let rig = try Rig()
            let process = try rig.process { $0.chunksAhead = 1 }
            try rig.put("one", as: 1, process)
            #expect(refusal { try rig.put("two", as: 2, process) } as? IntakeRefusal == .backlog(chunks: 1))
            let roomy = try rig.process()
            if isComing { try rig.put("two", as: 2, roomy) }
            #expect(try rig.stop(roomy) == !isComing)
        }
    }

    @Test("what many refused tries leave is one note")
    func bounded() throws {
        let rig = try Rig()
        let process = try rig.process { $0.chunksAhead = 1 }
        try rig.put("one", as: 1, process)
        for _ in 0..<5 { _ = refusal { try rig.put("two", as: 2, process) } }
        for _ in 0..<5 {
            let stream = try rig.open(try rig.process())
            stream.breakOff()
        }
        let notes = try rig.spool.notes(of: Rig.session).names()
        #expect(notes.filter { $0.hasPrefix("lacking-") } == ["lacking-2"])
        #expect(notes.filter { $0.hasPrefix("stream-") }.isEmpty)
    }
}

import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

/// A process that starts knows of the log what the read models know: a server that lacks it is noticed before
/// anybody appends there.
@Suite("What somebody remembers of the log is asked for before anybody appends")
struct RememberedEventsTests {
    private let archived: ArchivedLog
    private var log: RedisEventLog { archived.log }
    private let positions: [LogPosition]

    init() throws {
        archived = try ArchivedLog(partitions: 2)
        positions = try appendSamples(archived.log, 0..<40)
    }

    private func newest(_ partition: Int) throws -> LogPosition {
        try #require(positions.last { $0.partition == partition })
    }

    private func reopened(
        _ remembered: [LogPosition], archive: (any SegmentStore)? = nil, _ notices: Notices = Notices()
    ) throws -> RedisEventLog {
        try RedisEventLog.open(
            "redis://127.0.0.1:\(log.address.first.port)/\(log.address.first.database)", createWith: nil,
            remembered: remembered, options: notices.options { $0.archive = archive ?? archived.store })
    }

    private func key(in partition: Int) -> String { SampleEvents.key(in: partition, of: log.partitioning) }

    @Test("a partition that lacks what is remembered takes no appends from the start; the others do")
    func lost() throws {
        let copy = try DatabaseCopy(log)
        let seen = try appendSamples(log, 40..<60)
        try copy.restore(log)
        let lost = try #require(seen.last { $0.partition == 1 })
        let opened = try reopened([try newest(0), lost])
        let refused = #expect(throws: LogFailure.self) {
            try opened.open().append([SampleEvents.event("no")], to: key(in: 1), expecting: .any)
        }
        #expect(refused?.kind == .lostHistory)
        #expect(try opened.halts().list().map(\.partition) == [1])
        #expect(try opened.halts().list().first?.reason.contains("\(lost)") == true)
        _ = try opened.open().append([SampleEvents.event("yes")], to: key(in: 0), expecting: .any)
        // By a mark in the log every other process knows.
        #expect(try reopened([]).history.halted == [1])
    }

    @Test("nothing is halted for what is there, or in the archive, or of a time that has not come")
    func present() throws {
        let older = try #require(positions.first { $0.partition == 0 })
        try archived.archive()
        #expect(try rawClient(log).raw("XLEN", LogKeys.log(0)).integer == 1)
        var future = try newest(1)
        future.milliseconds += 3_600_000
        let elsewhere = LogPosition(partition: 7, milliseconds: older.milliseconds, counter: 0)
        let opened = try reopened([older, try newest(0), future, elsewhere, .start(of: 1)])
        #expect(try opened.halts().list().isEmpty)
    }

    @Test("a halt stays while what is missing is missing, also when others wrote on and archived that")
    func stays() throws {
        let copy = try DatabaseCopy(log)
        let seen = try appendSamples(log, 40..<60)
        try copy.restore(log)
        let lost = try #require(seen.last { $0.partition == 1 })
        // Somebody who knows of nothing goes on, and archives it beyond the place that is lost.
        let other = try reopened([])
        var number = 0
        func goOn() throws {
            number += 1
            let event = SampleEvents.event("on-\(number)", number: number)
            _ = try other.open().append([event], to: key(in: 1), expecting: .any)
        }
        try waitUntil("entries come later than the lost one") {
            try goOn()
            return try other.open().end(of: 1) > lost
        }
        for _ in 0..<3 { try goOn() }
        let run = try other.archiver(ArchivePolicy()).run(partition: 1, all: true)
        #expect(run.events > 0)
        try #require(try PartitionInspector(client: rawClient(log)).states([1])[0].through > lost)
        let opened = try reopened([lost])
        #expect(try opened.halts().list().map(\.partition) == [1])
        #expect(try opened.halts().mend() == [])
        #expect(try reopened([]).halts().mend() == [])
    }

    @Test("a partition that was halted for something else keeps what is remembered of it")
    func halted() throws {
        let copy = try DatabaseCopy(log)
        let seen = try appendSamples(log, 40..<60)
        try archived.archive()
        let lost = try #require(seen.last { $0.partition == 1 })
        try copy.restore(log)
        // What the archive has is not vouched for: both partitions halt, whatever is remembered.
        archived.store.forgetVouchers()
        let opened = try reopened([lost])
        #expect(try opened.halts().list().map(\.partition) == [0, 1])
        for partition in 0..<2 { #expect(try opened.halts().takeBack(partition) == nil) }
        // The newest event was in the server alone.
        #expect(try opened.halts().mend() == [0])
        try opened.halts().refresh()
        #expect(try opened.halts().list().map(\.partition) == [1])
        // Another process can't open it either.
        #expect(try reopened([]).halts().mend() == [])
    }

    @Test("what comes back to the server opens the partition again")
    func returned() throws {
        let seen = try appendSamples(log, 40..<60)
        let whole = try DatabaseCopy(log)
        let lost = try #require(seen.last { $0.partition == 1 })
        try rawClient(log).raw("XDEL", LogKeys.log(1), lost.entryID)
        let opened = try reopened([lost])
        #expect(try opened.halts().list().map(\.partition) == [1])
        try whole.restore(log, where: { $0 != LogKeys.halted })
        #expect(try opened.halts().mend() == [1])
    }
}

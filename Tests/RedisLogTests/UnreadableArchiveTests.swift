import EventSourcing
import RedisLog
import TestServers
import Testing

@testable import RedisLog

@Suite("Unreadable entries and the archive")
struct UnreadableArchiveTests {
    @Test(
        "what stands before an unreadable entry is archived; it stays, and is named",
        arguments: ["partly", "wholly"])
    func stays(_ spoiling: String) throws {
        let archived = try ArchivedLog(partitions: 1)
        let positions = try appendSamples(archived.log, 0..<100)
        let before = try archived.everything(keys: 23)
        func spoil(_ how: String) throws {
            try TestRedis.shared.spoil(
                database: archived.log.address.first.database, stream: LogKeys.log(0),
                entry: positions[50].entryID, how)
        }
        try spoil(spoiling)
        var policy = ArchivePolicy()
        policy.afterEvents = 20
        let failure = #expect(throws: LogFailure.self) { try archived.archive(policy) }
        #expect(failure?.unreadableEntry == positions[50])
        #expect(try archived.log.archiver(policy).status()[0].archivedEvents == 50)
        #expect(try rawClient(archived.log).raw("XLEN", LogKeys.log(0)).integer == 50)
        let feed = try archived.reopened().follow(after: [.start(of: 0)])
        var seen: [LogPosition] = []
        while seen.count < 50 {
            seen += try feed.next(limit: 30, waitMilliseconds: 100).map(\.position)
        }
        #expect(seen == Array(positions[..<50]))
        let named = #expect(throws: LogFailure.self) { try feed.next(limit: 30, waitMilliseconds: 100) }
        #expect(named?.unreadableEntry == positions[50])
        try spoil("mend")
        let rest = try archived.archive(policy)[0].events
        #expect(rest >= 30 && rest < 50, "\(rest)")
        #expect(try archived.everything(keys: 23) == before)
    }
}

import Base
import Engine
import EventSourcing
import Gateway
import Recording
import Simulation
import Supervision
import Testing

@Suite("Whom a feed shows what")
struct FollowingTests {
    @Test(
        "records of the audit trail are for those alone who may read it, under whatever id they are asked for"
    )
    func auditTrail() throws {
        let log = InMemoryEventLog()
        let feed = LiveFeed(log: log, report: .silent)
        let stop = StopSignal()
        let thread = try OwnThread(name: "feed") { try feed.run(stop: stop) }
        defer {
            stop.set()
            _ = thread.wait(milliseconds: 10_000)
        }
        feed.waitUntilReady(stop: StopSignal())
        let record = AuditRecord.historyKey("writer", 1)
        /// What a follower is shown until it is enough, or nothing comes for a minute.
        func shown(_ filter: LiveFilter, until isEnough: ([String]) -> Bool) throws -> [String] {
            let ready = Monitor(0)
            let follower = try feed.follow(filter, from: .beginning) { ready.update { $0 += 1 } }
            defer { follower.cancel() }
            var (found, seen): ([String], Int) = ([], 0)
            while !isEnough(found) {
                guard case .items(let events) = follower.take(limit: 100) else { break }
                found += events.compactMap { event in
                    ["secret", "marker"].first {
                        String(decoding: event.event.json, as: UTF8.self).contains($0)
                    }
                }
                guard events.isEmpty else { continue }
                guard let now = ready.wait(milliseconds: 60_000, for: { $0 > seen ? $0 : nil }) else { break }
                seen = now
            }
            return found.sorted()
        }
        let store = try log.open()
        _ = try store.append([SampleEvents.event("secret")], to: record, expecting: .any)
        _ = try store.append([SampleEvents.event("marker")], to: "session", expecting: .any)
        let all = try shown(.everything(includesAudit: true)) { $0.count == 2 }
        #expect(all == ["marker", "secret"])
        #expect(try shown(.everything(includesAudit: false)) { $0.contains("marker") } == ["marker"])
        // Whoever follows the record itself is shown nothing: not by the time that all of it was read for
        // others who began later.
        let follower = try feed.follow(.session(record), from: .beginning, onReady: {})
        defer { follower.cancel() }
        for _ in 0..<20 { _ = try shown(.everything(includesAudit: true)) { $0.count == 2 } }
        guard case .items(let events) = follower.take(limit: 100) else {
            return #expect(Bool(false), "it ended")
        }
        #expect(events.isEmpty)
    }
}

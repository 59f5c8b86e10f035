import Base
import Supervision
import Testing

@Suite("Service groups")
struct ServiceGroupTests {
    struct Broken: Error {}

    /// What happened, in order.
    final class Diary: Sendable {
        private let lines = Lock<[String]>([])
        func write(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    struct Recorded: Service {
        let name: String
        let diary: Diary
        var ready = StopSignal()
        var work: @Sendable (StopSignal) throws -> Void = { $0.wait() }

        func run(stop: StopSignal) throws {
            diary.write("\(name) starts")
            ready.set()
            defer { diary.write("\(name) ends") }
            try work(stop)
        }

        func waitUntilReady(stop: StopSignal) {
            let either = StopSignal()
            stop.whenSet { either.set() }
            ready.whenSet { either.set() }
            either.wait()
        }
    }

    private func problems(_ services: [any Service], within: Int = 10_000, stop: StopSignal = StopSignal())
        -> [String]
    {
        do throws(ServiceGroupFailure) {
            try ServiceGroup(services, stopWithinMilliseconds: within).run(stop: stop)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test func servicesStartInOrderAndStopInReverse() throws {
        let diary = Diary()
        let stop = StopSignal()
        let last = Recorded(name: "c", diary: diary)
        last.ready.whenSet { stop.set() }
        let services: [any Service] = [
            Recorded(name: "a", diary: diary), Recorded(name: "b", diary: diary), last,
        ]
        #expect(problems(services, stop: stop) == [])
        #expect(diary.all == ["a starts", "b starts", "c starts", "c ends", "b ends", "a ends"])
    }

    @Test func oneThatThrowsStopsTheOthers() {
        let diary = Diary()
        let second = Recorded(name: "b", diary: diary) { _ in throw Broken() }
        #expect(problems([Recorded(name: "a", diary: diary), second]) == ["b failed: Broken()"])
        #expect(diary.all == ["a starts", "b starts", "b ends", "a ends"])
    }

    @Test func oneThatReturnsUnaskedIsAFailure() {
        let diary = Diary()
        let second = Recorded(name: "b", diary: diary) { _ in }
        #expect(
            problems([Recorded(name: "a", diary: diary), second]) == ["b ended although nobody asked it to"])
    }

    @Test func theNextIsNotStartedWhenOneFailsBeforeItIsReady() {
        let diary = Diary()
        struct NeverReady: Service {
            let name = "never"
            func run(stop: StopSignal) throws { throw Broken() }
            func waitUntilReady(stop: StopSignal) { stop.wait() }
        }
        #expect(problems([NeverReady(), Recorded(name: "b", diary: diary)]) == ["never failed: Broken()"])
        #expect(diary.all == [])
    }

    @Test func whatFailsWhileStoppingIsTold() {
        let diary = Diary()
        let first = Recorded(name: "a", diary: diary) { stop in
            stop.wait()
            throw Broken()
        }
        let second = Recorded(name: "b", diary: diary) { _ in }
        #expect(problems([first, second]) == ["b ended although nobody asked it to", "a failed: Broken()"])
    }

    @Test func oneThatDoesNotStopIsNamedAndLeft() {
        let diary = Diary()
        let release = StopSignal()
        let stop = StopSignal()
        let deaf = Recorded(name: "deaf", diary: diary) { _ in release.wait() }
        deaf.ready.whenSet { stop.set() }
        #expect(problems([deaf], within: 20, stop: stop) == ["deaf did not stop within 20 ms"])
        release.set()
    }

    @Test func aGroupOfNoneWaitsForItsSignal() throws {
        let stop = StopSignal()
        let group = try OwnThread(name: "group") { try ServiceGroup([]).run(stop: stop) }
        #expect(!group.wait(milliseconds: 10))
        stop.set()
        try group.join()
    }
}

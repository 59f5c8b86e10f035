import Glibc
import Supervision
import Testing

@Suite("Threads and stop signals")
struct ThreadTests {
    struct Broken: Error, Equatable {}

    @Test func aThreadGivesItsValueToAsyncAndToBlockingCallers() async throws {
        let thread = try OwnThread(name: "forty-two") { 42 }
        #expect(try await thread.value == 42)
        #expect(try thread.join() == 42)
        #expect(thread.isFinished)
    }

    @Test func aThreadThrowsWhatItsClosureThrew() async throws {
        let thread = try OwnThread(name: "broken") { () throws -> Int in throw Broken() }
        await #expect(throws: Broken.self) { try await thread.value }
        #expect(throws: Broken.self) { try thread.join() }
    }

    @Test func aThreadHasItsNameAndItsStack() throws {
        let thread = try OwnThread(name: "a-name-that-is-too-long", stackBytes: 4 << 20) {
            // More than a thread of the default 1 MiB could hold.
            withUnsafeTemporaryAllocation(byteCount: 3 << 20, alignment: 16) { $0[0] = 1 }
            let file = open("/proc/thread-self/comm", O_RDONLY)
            defer { close(file) }
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = read(file, &bytes, bytes.count)
            return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
        }
        #expect(try thread.join() == "a-name-that-is-\n")
    }

    @Test func waitingForAThreadHasALimit() throws {
        let stop = StopSignal()
        let thread = try OwnThread(name: "waits") { stop.wait() }
        #expect(!thread.wait(milliseconds: 10))
        #expect(!thread.isFinished)
        stop.set()
        #expect(thread.wait(milliseconds: 10_000))
    }

    @Test func manyAwaitOneThread() async throws {
        let stop = StopSignal()
        let thread = try OwnThread(name: "many") { () -> Int in
            stop.wait()
            return 7
        }
        let sum = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<20 { group.addTask { try await thread.value } }
            stop.set()
            return try await group.reduce(0, +)
        }
        #expect(sum == 140)
    }

    @Test func aStopSignalWakesWaitersAndStaysSet() throws {
        let stop = StopSignal()
        #expect(!stop.isSet)
        #expect(!stop.wait(milliseconds: 1))
        let waiter = try OwnThread(name: "waiter") { stop.wait(milliseconds: 60_000) }
        stop.set()
        stop.set()
        #expect(try waiter.join())
        #expect(stop.isSet)
        #expect(stop.wait(milliseconds: 0))
    }

    @Test func handlersRunOnceEvenWhenTheyComeLate() {
        let stop = StopSignal()
        let late = StopSignal()
        let early = StopSignal()
        stop.whenSet { early.set() }
        #expect(!early.isSet)
        stop.set()
        #expect(early.isSet)
        stop.whenSet { late.set() }
        #expect(late.isSet)
    }

    @Test func sigtermSetsTheSignalAndSigpipeIsIgnored() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let stop = StopSignal()
            try SignalWatcher.start(stop)
            kill(getpid(), SIGPIPE)
            kill(getpid(), SIGTERM)
            exit(stop.wait(milliseconds: 10_000) ? 7 : 8)
        }
    }

    @Test func theSecondSignalEndsTheProcessWith130() async {
        await #expect(processExitsWith: .exitCode(130)) {
            let stop = StopSignal()
            try SignalWatcher.start(stop)
            kill(getpid(), SIGINT)
            stop.wait()
            kill(getpid(), SIGINT)
            // Any thread may take it, a moment later; this one must not end the process first.
            StopSignal().wait(milliseconds: 10_000)
            exit(1)
        }
    }
}

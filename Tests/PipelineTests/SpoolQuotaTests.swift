import Base
import Pipeline
import Recording
import Supervision
import TestServers
import Testing
import Files

/// A quota over what all recorders of a data folder leave in the spool.
@Suite("Quota of the spool", .timeLimit(.minutes(10)))
struct SpoolQuotaTests {
    private static let chunk = 4096

    @Test("without room for a chunk no session begins, and none is made")
    func refuses() throws {
        let plant = try Plant(try LogKind.memory.open())
        try plant.record(sampleBytes(2 * Self.chunk), as: "first")
        do {
            try plant.record(sampleBytes(100), as: "late", spoolLimitBytes: 3 * Self.chunk - 1)
            Issue.record("recorded")
        } catch let failure as RecordingFailure {
            guard case .failed(let error, kept: nil) = failure else {
                Issue.record("\(failure)")
                return
            }
            guard case .full(_, let limit, let used, _)? = error as? StorageFailure else {
                Issue.record("\(error)")
                return
            }
            #expect(limit == 3 * Self.chunk - 1 && used == 2 * Self.chunk)
        }
        #expect(try plant.state(of: "late").status == nil)
        try plant.record(sampleBytes(100), as: "late", spoolLimitBytes: 3 * Self.chunk)
    }

    @Test("several recorders wait for each other's chunks to be stored, stay within it and lose nothing")
    func shared() throws {
        let plant = try Plant(try LogKind.memory.open())
        let limit = 5 * Self.chunk
        let waiting = Lock<Set<String>>([])
        let highest = Lock(0)
        let begun = Lock<Set<String>>([])
        let names = ["a", "b", "c"]
        let threads = try names.map { name in
            let plant = Unchecked(plant)
            return try OwnThread<Void>(name: name) {
                try plant.value.record(
                    sampleBytes(12 * Self.chunk, seed: 7), as: name, spoolLimitBytes: limit
                ) { progress in
                    let raw = names.reduce(0) {
                        $0 + ((try? plant.value.vault.spool.sequences(session: $1).count) ?? 0)
                    }
                    highest.withLock { $0 = max($0, raw * Self.chunk) }
                    // None takes a second chunk before all have begun: who comes late would be refused.
                    if progress.chunks == 1, progress.waitingFor == nil {
                        _ = begun.withLock { $0.insert(name) }
                        try? eventually("all have begun") { begun.withLock { $0.count } == names.count }
                    }
                    guard progress.waitingFor?.contains("quota") == true else { return }
                    _ = waiting.withLock { $0.insert(name) }
                }
            }
        }
        // Nobody stores anything: each comes to where it waits, or has nothing it could wait with.
        try eventually("all of them wait") { waiting.withLock { $0 } == Set(names) }
        #expect(threads.allSatisfy { !$0.isFinished })
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        for thread in threads { try thread.join() }
        #expect(highest.withLock { $0 } <= limit && highest.withLock { $0 } >= limit - Self.chunk)
        for name in names {
            try plant.wait(for: .completed, of: name)
            #expect(try plant.export(name) == sampleBytes(12 * Self.chunk, seed: 7))
        }
    }

    @Test("who is stopped while waiting keeps what was read")
    func stopped() throws {
        let plant = try Plant(try LogKind.memory.open())
        let stop = StopSignal()
        let bytes = sampleBytes(10 * Self.chunk)
        let summary = try plant.record(bytes, as: "s", spoolLimitBytes: 2 * Self.chunk, stop: stop) {
            if $0.waitingFor != nil { stop.set() }
        }
        #expect(summary.reason == .interrupted && summary.chunks == 3)
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.export("s") == Array(bytes.prefix(3 * Self.chunk)))
    }
}

/// A plant whose recorders are used by one thread each.
private struct Unchecked: @unchecked Sendable {
    let value: Plant

    init(_ value: Plant) { self.value = value }
}

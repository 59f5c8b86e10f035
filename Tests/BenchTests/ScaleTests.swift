import Bench
import Pipeline
import RedisLog
import TestServers
import Testing

@testable import Pipeline

/// Workers of one stage over a real Redis, on work that waits.
@Suite(.serialized) struct ScaleTests {
    private func run(_ benchmark: ScaleBenchmark, workers: Int) throws -> ScaleBenchmark.Result {
        try benchmark.run(workers: workers, log: try LogKind.redis.open(partitions: 16))
    }

    /// More workers, more at once, with nothing to configure. How much faster that is, `reel bench scale`
    /// says: a rate is no test on a machine that others use.
    @Test func fourWorkersWorkOnFourItemsAtOnce() throws {
        let benchmark = ScaleBenchmark(waitMilliseconds: 20, itemsPerWorker: 48)
        let (one, four) = (try run(benchmark, workers: 1), try run(benchmark, workers: 4))
        #expect(one.items == 48 && four.items == 192)
        #expect(one.atOnce == 1 && four.atOnce == 4)
    }

    /// Whatever their number, nobody is idle while others have work, and no partition waits for others.
    @Test(arguments: [1, 2, 4, 16, 20])
    func partitionsAreServedEvenly(workers: Int) throws {
        let benchmark = ScaleBenchmark(waitMilliseconds: 10, itemsPerWorker: max(20, 200 / workers))
        let result = try run(benchmark, workers: workers)
        let perPartition = (result.items + 15) / 16
        #expect(result.repeated == 0)
        // Half of each partition is done when half of all is, but for what is in the workers' hands.
        let slack = perPartition / 4 + 3
        let halves = result.halfwayPerPartition
        #expect(
            halves.lowerBound >= perPartition / 2 - slack && halves.upperBound <= perPartition / 2 + slack)
        // A thread that the machine lets begin late does less; one that is given nothing does one at most.
        let fair = result.items / workers
        #expect(result.perWorker.lowerBound >= max(2, fair / 5))
    }
}

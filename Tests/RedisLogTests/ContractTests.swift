import EventSourcing
import Simulation
import Testing

@testable import RedisLog

@Suite("Contracts on Redis")
struct RedisContractTests {
    @Test("store", arguments: EventStoreContract.cases)
    func store(_ contract: ContractCase) throws { try contract.check(try freshLog()) }

    @Test("subscription", arguments: SubscriptionContract.cases)
    func subscription(_ contract: ContractCase) throws { try contract.check(try freshLog(partitions: 8)) }

    @Test("feed", arguments: FeedContract.cases)
    func feed(_ contract: ContractCase) throws { try contract.check(try freshLog()) }

    @Test("leases", arguments: LeaseContract.cases)
    func leases(_ contract: ContractCase) throws { try contract.check(try freshLog()) }

    @Test("rate counter", arguments: RateCounterContract.cases)
    func rates(_ contract: RateCounterCase) throws {
        let log = try freshLog()
        try contract.check { log.rateCounter(clock: $0) }
    }

    @Test("rates counted by the server's own clock leave Redis by themselves")
    func ratesLapse() throws {
        let log = try freshLog()
        let grant = try log.rateCounter().take(2, of: "user:a b", under: RateRule(name: "r", limit: 5))
        #expect(grant.granted == 2 && grant.remaining == 3)
        #expect((60_000...65_000).contains(grant.resetMilliseconds))
        let client = rawClient(log)
        let keys = try client.raw("KEYS", "reel:rate:*").elements.compactMap(\.text)
        #expect(keys.count == 1 && keys.allSatisfy { !$0.contains("a b") })
        let left = try client.raw("PTTL", keys.first ?? "").integer ?? -1
        #expect((1...65_000).contains(left))
    }

    @Test("parking", arguments: ParkingContract.cases)
    func parking(_ contract: ContractCase) throws { try contract.check(try freshLog()) }

    @Test("index", arguments: LogIndexContract.cases)
    func index(_ contract: ContractCase) throws { try contract.check(try freshLog()) }
}

@Suite("Contracts in memory")
struct InMemoryContractTests {
    @Test("store", arguments: EventStoreContract.cases)
    func store(_ contract: ContractCase) throws { try contract.check(InMemoryEventLog()) }

    @Test("subscription", arguments: SubscriptionContract.cases)
    func subscription(_ contract: ContractCase) throws { try contract.check(InMemoryEventLog(partitions: 8)) }

    @Test("feed", arguments: FeedContract.cases)
    func feed(_ contract: ContractCase) throws { try contract.check(InMemoryEventLog()) }

    @Test("leases", arguments: LeaseContract.cases)
    func leases(_ contract: ContractCase) throws { try contract.check(InMemoryEventLog()) }

    @Test("rate counter", arguments: RateCounterContract.cases)
    func rates(_ contract: RateCounterCase) throws {
        try contract.check { InMemoryRateCounter(clock: $0) }
    }

    @Test("parking", arguments: ParkingContract.cases)
    func parking(_ contract: ContractCase) throws { try contract.check(InMemoryEventLog()) }

    @Test("index", arguments: LogIndexContract.cases)
    func index(_ contract: ContractCase) throws { try contract.check(InMemoryEventLog()) }
}

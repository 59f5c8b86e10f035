import EventSourcing
import RedisLog
import Simulation
import Testing

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
}

import EventSourcing
import Testing

@testable import Commands

@Suite("Registered subscriptions")
struct SubscriptionTests {
    @Test("no two have the same name, value or lease, and what keeps its place with values has some")
    func distinct() {
        let registry = SubscriptionRegistry.all
        let names = registry.all.map(\.name) + registry.tasks
        #expect(Set(names).count == names.count)
        #expect(Set(registry.indexes).count == registry.indexes.count)
        for subscription in registry.all where subscription.checkpoint == .index {
            #expect(!subscription.indexes.isEmpty, "\(subscription.name)")
        }
    }
}

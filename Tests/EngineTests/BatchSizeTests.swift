import Testing

@testable import Engine

@Suite("How many events are taken at once")
struct BatchSizeTests {
    @Test func batchesFollowTheWork() {
        var size = BatchSize()
        #expect(size.limit == 1)
        // Nothing but events that are none of its business: it stays careful.
        for _ in 0..<20 { size.next() }
        #expect(size.limit == 8)
        for _ in 0..<20 {
            size.took(.microseconds(50))
            size.next()
        }
        #expect(size.limit == 64)
        // One slow item is enough.
        size.took(.milliseconds(30))
        size.next()
        #expect(size.limit == 1)
        size.took(.milliseconds(100))
        size.next()
        #expect(size.limit == 1)
        var batches = 0
        while size.limit < 64, batches < 200 {
            size.took(.microseconds(50))
            size.next()
            batches += 1
        }
        #expect((10..<100).contains(batches))
    }
}

import Base
import Testing

@Suite("Waiting times between tries")
struct BackoffTests {
    @Test("they double up to the limit, and lie between half of that and all of it")
    func doubling() {
        let backoff = Backoff(firstMilliseconds: 100, limitMilliseconds: 1_000)
        for (attempt, most) in [
            (1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (60, 1_000), (.max, 1_000),
        ] {
            for _ in 0..<50 {
                #expect((most / 2...most).contains(backoff.milliseconds(attempt: attempt)))
            }
        }
        #expect(Backoff(firstMilliseconds: .max, limitMilliseconds: 7).milliseconds(attempt: 9) <= 7)
        #expect(Backoff(firstMilliseconds: .min, limitMilliseconds: .min).milliseconds(attempt: .min) == 1)
    }

    @Test("each failure in a row makes the next wait longer, and a success begins anew")
    func inARow() {
        var backoff = Backoff(firstMilliseconds: 20, limitMilliseconds: 1000)
        let waits = (0..<100).map { _ in backoff.next() }
        #expect(backoff.failures == 100)
        #expect((10...20).contains(waits[0]))
        #expect((20...40).contains(waits[1]))
        #expect(waits.allSatisfy { $0 <= 1000 })
        #expect(waits[99] >= 500)
        backoff.reset()
        #expect(backoff.next() <= 20)
    }
}

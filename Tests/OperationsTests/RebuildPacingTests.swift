import Operations
import Testing

@Suite("Rebuilds that follow each other")
struct RebuildPacingTests {
    @Test("the first ones for a reason come at once, later ones wait longer and longer, up to an hour")
    func repeated() {
        var pacing = RebuildPacing()
        var now: Int64 = 0
        var pauses: [Int64] = []
        for _ in 0..<12 {
            let left = pacing.left(before: "x was dropped", at: now)
            pauses.append(left / 1000)
            now += left + 1_000
            pacing.note("x was dropped", at: now)
        }
        #expect(pauses == [0, 0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600])
    }

    @Test("another reason, or the same one much later, waits for nothing")
    func others() {
        var pacing = RebuildPacing()
        for now: Int64 in [0, 1, 2] { pacing.note("x was dropped", at: now) }
        #expect(pacing.left(before: "x was dropped", at: 3) > 0)
        #expect(pacing.left(before: "y was dropped", at: 3) == 0)
        #expect(pacing.left(before: "x was dropped", at: 10_000_000) == 0)
        pacing.note("x was dropped", at: 10_000_000)
        #expect(pacing.left(before: "x was dropped", at: 10_000_001) == 0)
    }
}

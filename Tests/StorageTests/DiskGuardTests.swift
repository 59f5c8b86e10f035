import Testing
import ChunkFiles
import Files

@Suite struct DiskGuardTests {
    private func room(_ available: Int, of total: Int, reserve: Int?) throws -> DiskGuard.Room {
        let watched = DiskGuard(paths: ["/a"], reserveBytes: reserve) { _ in
            DiskSpace(availableBytes: available, totalBytes: total)
        }
        return try #require(try watched.look().first)
    }

    @Test(arguments: [
        (100, DiskGuard.State.open), (99, .refusing), (50, .refusing), (49, .closing), (0, .closing),
    ])
    func whatIsAllowed(available: Int, state: DiskGuard.State) throws {
        #expect(try room(available, of: 1000, reserve: 100).state == state)
    }

    @Test func noReserveAllowsEverything() throws {
        #expect(try room(0, of: 1000, reserve: 0).state == .open)
    }

    /// 5 %, at least 1 GiB, at most a quarter.
    @Test func theUsualReserve() throws {
        let gib = 1 << 30
        #expect(DiskGuard.usualReserve(ofDiskWith: 100 * gib) == 5 * gib)
        #expect(DiskGuard.usualReserve(ofDiskWith: 10 * gib) == gib)
        #expect(DiskGuard.usualReserve(ofDiskWith: 2 * gib) == gib / 2)
        #expect(try room(gib - 1, of: 10 * gib, reserve: nil).state == .refusing)
    }

    @Test func theTightestDiskCounts() throws {
        let watched = DiskGuard(paths: ["/a", "/b"], reserveBytes: 100) { path in
            DiskSpace(availableBytes: path == "/a" ? 500 : 20, totalBytes: 1000)
        }
        let tightest = try #require(try watched.tightest())
        #expect(tightest.path == "/b" && tightest.state == .closing)
        #expect("\(DiskShortage(tightest))".contains("/b"))
        #expect(try DiskGuard(paths: [], reserveBytes: 1).tightest() == nil)
    }

    @Test func theSystemIsAsked() throws {
        let rooms = try DiskGuard(paths: ["/"], reserveBytes: nil).look()
        #expect(rooms.allSatisfy { $0.space.totalBytes > 0 })
        #expect(throws: StorageFailure.self) {
            try DiskGuard(paths: ["/no/such/folder"], reserveBytes: nil).look()
        }
    }
}

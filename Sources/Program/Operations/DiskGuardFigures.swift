internal import Files
package import Base
internal import Console
package import ChunkFiles

/// What the guard over the disks allows, as 'reel status' shows it.
package struct DiskGuardFigures {
    private let rooms: [DiskGuard.Room]

    package init(_ diskGuard: DiskGuard) throws { rooms = try diskGuard.look() }

    /// One line: what is allowed, and which disk is the reason.
    package var text: String {
        guard let tightest = rooms.max(by: { $0.state < $1.state }) else { return "nothing is guarded" }
        let reserve = "\(Quantity.bytes(tightest.refuseBelowBytes)) are kept free"
        return switch tightest.state {
        case .open: "enough room; \(reserve)"
        case .refusing: "NO NEW SESSIONS, recordings go slowly: \(DiskShortage(tightest))"
        case .closing: "RECORDINGS ARE CLOSED: \(DiskShortage(tightest))"
        }
    }

    /// One object for each folder.
    package func write(into list: inout JSONWriter) {
        for room in rooms {
            list.object { json in
                json.member("path", room.path)
                json.member("state", room.state.rawValue)
                json.member("available_bytes", room.space.availableBytes)
                json.member("total_bytes", room.space.totalBytes)
                json.member("refuse_below_bytes", room.refuseBelowBytes)
                json.member("close_below_bytes", room.closeBelowBytes)
            }
        }
    }
}

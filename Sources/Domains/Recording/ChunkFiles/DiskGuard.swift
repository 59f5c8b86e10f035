package import Files
internal import Base
internal import Glibc

/// How much is kept free on the disks of the spool and the chunk store, and what happens below that.
///
/// Above the reserve nothing does. Below it no new session begins, and running recordings wait for each
/// chunk to be stored before they read on. Below half of it they are closed, while there is still room for
/// what they have in hand. Calls ask the system each time and take microseconds.
package struct DiskGuard: Sendable {
    /// What is allowed.
    package enum State: String, Sendable, CaseIterable, Comparable {
        /// Everything.
        case open
        /// Running recordings go on slowly; new ones are refused.
        case refusing
        /// Running recordings are closed.
        case closing

        /// The stricter one is greater.
        package static func < (a: State, b: State) -> Bool { a.place < b.place }
        private var place: Int { State.allCases.firstIndex(of: self) ?? 0 }
    }

    /// One folder's disk.
    package struct Room: Sendable, Hashable {
        /// The folder.
        package var path: String
        /// Its disk.
        package var space: DiskSpace
        /// Below this many free bytes no new session begins.
        package var refuseBelowBytes: Int
        /// Below this many free bytes recordings are closed.
        package var closeBelowBytes: Int { refuseBelowBytes / 2 }

        /// What is allowed as far as this disk is concerned.
        package var state: State {
            if space.availableBytes >= refuseBelowBytes { return .open }
            return space.availableBytes >= closeBelowBytes ? .refusing : .closing
        }
    }

    private let paths: [String]
    private let reserveBytes: Int?
    private let space: @Sendable (String) throws(StorageFailure) -> DiskSpace

    /// A guard over the disks of some folders.
    /// - Parameters:
    ///   - reserveBytes: what is kept free; 0 allows everything. Nil: 5 % of the disk and at least 1 GiB, but
    ///     never more than a quarter of the disk.
    ///   - space: how much room there is; the system's answer unless a test gives another.
    package init(
        paths: [String], reserveBytes: Int?,
        space: @escaping @Sendable (String) throws(StorageFailure) -> DiskSpace = DiskSpace.of
    ) {
        self.paths = paths
        self.reserveBytes = reserveBytes
        self.space = space
    }

    /// The reserve of a disk when nobody has named one.
    package static func usualReserve(ofDiskWith totalBytes: Int) -> Int {
        min(max(totalBytes / 20, 1 << 30), totalBytes / 4)
    }

    /// Looks at every folder's disk.
    package func look() throws(StorageFailure) -> [Room] {
        var rooms: [Room] = []
        for path in paths {
            let space = try space(path)
            let reserve = reserveBytes ?? Self.usualReserve(ofDiskWith: space.totalBytes)
            rooms.append(Room(path: path, space: space, refuseBelowBytes: reserve))
        }
        return rooms
    }

    /// The disk that allows least; nil without any folder.
    package func tightest() throws(StorageFailure) -> Room? {
        try look().max { $0.state < $1.state }
    }
}

/// Less is free than is kept in reserve.
package struct DiskShortage: Error, Sendable, Hashable, CustomStringConvertible {
    /// The disk.
    package var room: DiskGuard.Room

    /// A shortage on a disk.
    package init(_ room: DiskGuard.Room) { self.room = room }

    /// One sentence: what was found, and what was decided.
    package var description: String {
        func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }
        let limit = room.state == .closing ? room.closeBelowBytes : room.refuseBelowBytes
        return "the disk of \(room.path) has \(mebibytes(room.space.availableBytes)) free of "
            + "\(mebibytes(room.space.totalBytes)), less than the \(mebibytes(limit)) at which "
            + (room.state == .closing ? "recordings are closed" : "no new session begins")
    }
}

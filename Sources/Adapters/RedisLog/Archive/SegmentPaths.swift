internal import EventSourcing

/// A place where a segment ends or begins, and which one ends there: none, with an empty hash, at the start.
struct ArchivePlace: Hashable {
    let position: LogPosition
    let hash: String

    init(_ position: LogPosition, _ hash: String) {
        self.position = position
        self.hash = hash
    }
}

/// The ways along the segments on a partition's shelf, from places where the log's archive ends or has
/// ended.
///
/// Several segments may cover the same stretch: those of two archivers at once, and those of a server that
/// was put back to an older state, whose archiver cut otherwise than before. Each names the hash of the one
/// before it. Whoever follows the longest that joins may come to an end where another way leads on, so all of
/// them are known before one is chosen.
struct SegmentPaths {
    private let beginnings: Set<ArchivePlace>
    private var links: [ArchivePlace: SegmentLink] = [:]
    private var places: Set<LogPosition>

    /// - Parameter ends: places that segments may go on from, with the hash of the segment that ends there.
    init(from ends: [LogPosition: String]) {
        beginnings = Set(ends.map { ArchivePlace($0.key, $0.value) })
        places = Set(ends.keys)
    }

    /// Whether some known segment ends where another one begins. Which one, its hash tells.
    func reach(_ position: LogPosition) -> Bool { places.contains(position) }

    /// Takes in a segment that goes on from a known one. Those that begin earlier come first.
    /// - Returns: whether it does.
    mutating func add(_ link: SegmentLink) -> Bool {
        let before = ArchivePlace(link.name.after, link.previousHash)
        guard beginnings.contains(before) || links[before] != nil else { return false }
        links[ArchivePlace(link.name.last, link.hash)] = link
        places.insert(link.name.last)
        return true
    }

    /// The segments that ways lead to, the farthest last.
    var reached: [SegmentLink] {
        links.values.sorted { ($0.name.last, $0.hash) < ($1.name.last, $1.hash) }
    }

    /// The segments that lead to one of them, in order, with itself as the last.
    func path(to link: SegmentLink) -> [SegmentLink] {
        var path = [link]
        var before = ArchivePlace(link.name.after, link.previousHash)
        while !beginnings.contains(before), let link = links[before] {
            path.append(link)
            before = ArchivePlace(link.name.after, link.previousHash)
        }
        return path.reversed()
    }
}

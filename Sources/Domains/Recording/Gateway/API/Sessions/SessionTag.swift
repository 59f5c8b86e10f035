internal import HTTPServer

/// The `ETag` of a session: its version, which every event moves, and the tag of its description, which only
/// changes of the description move.
///
/// A read is fresh while the whole of it is the same. A change (`If-Match`) concerns the description alone: a
/// session that records gets a new version with every chunk, and that must not stand in a change's way.
struct SessionTag: Sendable, Hashable {
    var version: UInt64
    var description: String

    var etag: EntityTag { EntityTag("\(version)-\(description)") }

    /// The tags of descriptions in the strong entity tags of a list that we gave; others match nothing.
    static func descriptions(in list: String) -> [String] {
        // Ours hold no comma and no quote.
        list.split(separator: ",").compactMap { element in
            let tag = String(element).trimmingBlanks
            guard tag.utf8.count > 2, tag.first == "\"", tag.last == "\"" else { return nil }
            var parts = tag.dropFirst().dropLast().split(separator: "-", omittingEmptySubsequences: false)
            if parts.count == 3, parts[2] == "gzip" { parts.removeLast() }
            guard parts.count == 2, UInt64(parts[0]) != nil, parts[1].utf8.count == 32 else { return nil }
            return String(parts[1])
        }
    }
}

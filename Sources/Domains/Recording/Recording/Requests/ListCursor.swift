internal import Base
internal import Access

/// From where a page of a list goes.
package enum ListStart: Sendable, Hashable {
    /// The most items that may be skipped by count; a cursor goes as deep as the list.
    package static let maximumOffset = 1_000_000

    /// Behind so many items. The server passes over all of them.
    case offset(Int)
    /// Behind the last item of an earlier page. As fast for the last page as for the first.
    case after(ListCursor)

    /// Items before the page.
    package var offset: Int {
        switch self {
        case .offset(let offset): offset
        case .after(let cursor): cursor.shown
        }
    }
}

/// The place behind a page's last item, which the next page goes on from.
///
/// Its text is opaque, at most 320 characters, and good for the list that it was made for alone: a hash over
/// place, list and filters ends it. It holds no secret and grants nothing.
package struct ListCursor: Sendable, Hashable {
    /// The last item of the page.
    package enum Place: Sendable, Hashable {
        /// A session, by the milliseconds of its creation and its id.
        case session(created_ms: Int64, id: String)
        /// A chunk, by its number.
        case chunk(sequenceNumber: Int)
    }

    /// The last item of the page.
    package var place: Place
    /// Items up to there.
    package var shown: Int
    /// Items of the list as they were counted for its first page, so that no page counts them again.
    package var total: Int
    package init(_ place: Place, shown: Int, total: Int) {
        self.place = place
        self.shown = max(0, shown)
        self.total = max(0, total)
    }

    /// The text for the list of this name.
    package func text(of list: String) -> String {
        let body = bytes
        return Hexadecimal.text(body + Self.mark(body, list))
    }

    /// Reads a text; nil when it is none, or one of another list.
    package init?(_ text: String, of list: String) {
        guard text.utf8.count <= 320, let bytes = Hexadecimal.bytes(text), bytes.count > 8 else { return nil }
        let body = Array(bytes.dropLast(8))
        guard Array(bytes.suffix(8)) == Self.mark(body, list) else { return nil }
        var reader = ByteReader(body[...])
        // Its hash is no secret: anybody can make one up.
        guard let kind = reader.integer(1), let shown = reader.integer(8), let total = reader.integer(8),
            Self.counts.contains(shown), Self.counts.contains(total), let number = reader.integer(8)
        else { return nil }
        switch kind {
        case 1:
            guard let id = String(validating: reader.rest, as: UTF8.self), Identifier.isValid(id),
                Timestamp(exactly: number) != nil
            else { return nil }
            place = .session(created_ms: number, id: id)
        case 2:
            guard reader.rest.isEmpty, let number = Int(exactly: number),
                NumberBounds.sequenceNumber.contains(number)
            else { return nil }
            place = .chunk(sequenceNumber: number)
        default: return nil
        }
        self.shown = Int(clamping: shown)
        self.total = Int(clamping: total)
    }

    /// How many items a list may have.
    private static let counts: ClosedRange<Int64> = 0...9_007_199_254_740_991

    private var bytes: [UInt8] {
        func big(_ value: Int64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
        switch place {
        case .session(let created_ms, let id):
            return [1] + big(Int64(shown)) + big(Int64(total)) + big(created_ms) + Array(id.utf8)
        case .chunk(let number):
            return [2] + big(Int64(shown)) + big(Int64(total)) + big(Int64(number))
        }
    }

    private static func mark(_ body: [UInt8], _ list: String) -> [UInt8] {
        Array(SHA256.digest(of: body + Array("reel-list-1\n\(list)".utf8)).prefix(8))
    }
}

/// Takes big-endian integers off bytes.
private struct ByteReader {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func integer(_ width: Int) -> Int64? {
        guard rest.count >= width else { return nil }
        let value = rest.prefix(width).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        rest = rest.dropFirst(width)
        return Int64(bitPattern: value)
    }
}

extension SessionFilter {
    /// Name of the list of matching sessions, for cursors: equal exactly for equal filters.
    package var listName: String {
        var writer = JSONWriter()
        writer.object { json in
            json.member("status", status?.rawValue)
            json.member("project", project)
            json.member("environment", environment)
            json.member("tag", tag)
            json.member("owner", owner)
            json.member("held", isHeld.map { "\($0)" })
            json.member("case", caseName)
            if let audience {
                json.member("seen_by", audience.owner)
                json.member("seen_in", audience.projects.sorted())
            }
        }
        return "sessions\(writer.text)"
    }
}

extension ChunkFilter {
    /// Name of the list of a session's matching chunks, for cursors: equal exactly for equal filters.
    package func listName(ofSession sessionID: String) -> String {
        var writer = JSONWriter()
        writer.object { json in
            json.member("session_id", sessionID)
            json.member("status", status?.rawValue)
            json.member("from", from?.milliseconds)
            json.member("to", to?.milliseconds)
        }
        return "chunks\(writer.text)"
    }
}

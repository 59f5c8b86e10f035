package import ReadModels
package import Base
internal import EventSourcing

/// Where a page lies in its list.
package struct PaginationInfo: Sendable, Hashable {
    /// Items in the list.
    package var total: Int
    /// The most items on the page.
    package var limit: Int
    /// Items before the page.
    package var offset: Int
    /// Whether items follow.
    package var hasNext: Bool
    /// What asks for the page that follows; nil when none does, and where a list has no cursors.
    package var nextCursor: String?
    /// Whether items come before.
    package var hasPrevious: Bool { offset > 0 }
    package init(total: Int, limit: Int, offset: Int, hasNext: Bool, nextCursor: String? = nil) {
        self.total = total
        self.limit = limit
        self.offset = offset
        self.hasNext = hasNext
        self.nextCursor = nextCursor
    }

    /// The place of a page that is found by counting.
    package init(_ page: Page, total: Int) {
        self.init(
            total: total, limit: page.limit, offset: page.offset, hasNext: page.offset +| page.limit < total)
    }

    /// Writes the member `pagination`.
    package func encode(into json: inout JSONWriter) {
        json.member("pagination") { json in
            json.member("total", total)
            json.member("limit", limit)
            json.member("offset", offset)
            json.member("has_next", hasNext)
            json.member("has_previous", hasPrevious)
            json.nullable("next_cursor", nextCursor)
        }
    }
}

/// `SessionListResponse`.
package struct SessionListResponse: Sendable, Hashable {
    /// The sessions of the page, the newest first.
    package var sessions: [SessionView]
    /// Where the page lies.
    package var pagination: PaginationInfo
    package init(sessions: [SessionView], pagination: PaginationInfo) {
        self.sessions = sessions
        self.pagination = pagination
    }

    /// Writes the object.
    /// - Parameter showsHolds: whether responses have the cases that hold the sessions.
    package func encode(
        into json: inout JSONWriter, as form: ViewForm = .response, showsHolds: Bool = false
    ) {
        json.object { json in
            json.key("sessions")
            json.array { list in
                for session in sessions { session.encode(into: &list, as: form, showsHolds: showsHolds) }
            }
            pagination.encode(into: &json)
        }
    }
}

/// `ChunkListResponse`. Its `pagination.limit` goes up to 1000.
package struct ChunkListResponse: Sendable, Hashable {
    /// The chunks of the page, in the order of their numbers.
    package var chunks: [ChunkView]
    /// Where the page lies.
    package var pagination: PaginationInfo
    package init(chunks: [ChunkView], pagination: PaginationInfo) {
        self.chunks = chunks
        self.pagination = pagination
    }

    /// Writes the object.
    package func encode(into json: inout JSONWriter, as form: ViewForm = .response) {
        json.object { json in
            json.key("chunks")
            json.array { list in for chunk in chunks { chunk.encode(into: &list, as: form) } }
            pagination.encode(into: &json)
        }
    }
}

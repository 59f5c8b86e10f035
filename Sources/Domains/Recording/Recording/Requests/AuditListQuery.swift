/// `GET /audit`.
package struct AuditListQuery: Sendable, Hashable {
    /// Which records.
    package var filter = AuditFilter()
    /// The most records on the page, 1 to 1000.
    package var limit = 50
    /// Behind which record the page begins; nil for the newest.
    package var cursor: AuditCursor?

    /// The parameters `session`, `actor`, `action`, `outcome`, `since`, `until`, `limit` and `cursor`.
    package init(_ parameters: [(name: String, value: String)]) throws(RequestFailure) {
        var reader = RequestParameters(parameters)
        filter.session = reader.text("session", lengths: 1...100)
        filter.actor = reader.text("actor", lengths: 1...128)
        if let text = reader.text("action") {
            filter.action = AuditAction(rawValue: text)
            if filter.action == nil {
                reader.refuse("action", "must be words of a to z and _, joined by dots")
            }
        }
        filter.outcome = reader.choice("outcome")
        filter.since = reader.time("since")
        filter.until = reader.time("until")
        if let since = filter.since, let until = filter.until, until < since {
            reader.refuse("until", "must not be before since")
        }
        limit = reader.integer("limit", 1...1000, otherwise: 50)
        if let text = reader.text("cursor") {
            cursor = AuditCursor(text)
            if cursor == nil { reader.refuse("cursor", "must be a next_cursor of an earlier page") }
        }
        try reader.finish()
    }
}

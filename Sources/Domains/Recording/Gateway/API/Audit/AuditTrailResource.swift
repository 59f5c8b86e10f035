internal import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording

/// `/audit`: who did what to which session, when.
struct AuditTrailResource: Sendable {
    let queries: (any AuditQueries)?

    var endpoints: [Endpoint] {
        [Endpoint(.get, "/audit", .readAudit, .status, .auditRead, .noted, answer: list)]
    }

    private func list(_ call: Call) throws -> Response {
        let query = try AuditListQuery(call.parameters)
        guard let queries else {
            throw ErrorInfo(.dependencyUnavailable, "this server keeps no records of who did what")
        }
        let page = try queries.records(query.filter, after: query.cursor, limit: query.limit)
        var writer = JSONWriter(reserving: 512 * (page.records.count + 1))
        writer.object { json in
            json.key("records")
            json.array { list in for record in page.records { record.encode(into: &list) } }
            json.key("next_cursor")
            if let next = page.next { json.value(next.text) } else { json.null() }
        }
        return .json(writer.bytes, headers: [HeaderField("Cache-Control", "no-store")])
    }
}

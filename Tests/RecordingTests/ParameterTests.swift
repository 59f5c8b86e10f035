import Base
import EventSourcing
import Recording
import Testing
import Access

private typealias Pairs = [(name: String, value: String)]

/// The fields that a query breaks rules with.
private func broken<Query>(_ read: () throws(RequestFailure) -> Query) -> [String] {
    do {
        _ = try read()
        return []
    } catch { return error.violations.map(\.field) }
}

@Suite("Parameters of requests")
struct ParameterTests {
    @Test("Lists have the seed's defaults")
    func defaults() throws {
        let sessions = try SessionListQuery([], seenBy: nil)
        #expect(sessions.limit == 50 && sessions.start == .offset(0) && sessions.filter == SessionFilter())
        let chunks = try ChunkListQuery([], ofSession: "s")
        #expect(chunks.limit == 100 && chunks.start == .offset(0) && chunks.filter == ChunkFilter())
    }

    @Test("Every parameter is taken over")
    func everything() throws {
        let audience = Audience(owner: "me", projects: ["p"])
        let query = try SessionListQuery(
            [
                ("status", "recording"), ("project", "p"), ("environment", "e"), ("tag", "t"), ("owner", "o"),
                ("limit", "7"), ("offset", "14"),
            ], seenBy: audience)
        #expect(query.filter.status == .recording && query.filter.project == "p")
        #expect(query.filter.environment == "e" && query.filter.tag == "t" && query.filter.owner == "o")
        #expect(query.filter.audience == audience && query.limit == 7 && query.start == .offset(14))
        let chunks = try ChunkListQuery(
            [
                ("status", "stored"), ("start_time", "2026-01-01T00:00:00Z"),
                ("end_time", "2026-01-01T01:00:00+01:00"), ("limit", "1000"),
            ], ofSession: "s")
        #expect(chunks.filter.status == .stored && chunks.limit == 1000)
        #expect(chunks.filter.from == chunks.filter.to)
    }

    @Test(
        "Bounds hold at, below and above",
        arguments: [
            ("limit", ["1", "50", "100"], ["0", "-0", "-1", "101", "", "1.0", "+1", "1e1", "٣", " 1"]),
            (
                "offset", ["0", "1000000"],
                ["-1", "1000001", "99999999999999999999", "-99999999999999999999"]
            ),
            (
                "project", ["", String(repeating: "ä", count: 100)],
                [String(repeating: "ä", count: 101), "\0"]
            ),
            ("environment", [String(repeating: "e", count: 50)], [String(repeating: "e", count: 51), "a\n"]),
            ("tag", [String(repeating: "e", count: 50)], [String(repeating: "e", count: 51), "\u{7F}"]),
            ("owner", [String(repeating: "e", count: 100)], [String(repeating: "e", count: 101), "\u{9}"]),
            ("status", SessionStatus.allCases.map(\.rawValue), ["", "Recording", "stored"]),
        ])
    func sessionBounds(name: String, good: [String], bad: [String]) {
        for value in good {
            #expect(
                broken { () throws(RequestFailure) in try SessionListQuery([(name, value)], seenBy: nil) }
                    == [])
        }
        for value in bad {
            #expect(
                broken { () throws(RequestFailure) in try SessionListQuery([(name, value)], seenBy: nil) }
                    == [name],
                "\(value)")
        }
    }

    @Test(
        "Bounds of chunk lists",
        arguments: [
            ("limit", ["1", "1000"], ["0", "1001"]),
            ("status", ChunkStatus.allCases.map(\.rawValue), ["recording", ""]),
            ("start_time", ["2026-02-28T23:59:59.999Z"], ["2026-02-29T00:00:00Z", "yesterday", "", "0"]),
            ("end_time", ["2024-02-29T00:00:00Z"], ["2026-01-01"]),
        ])
    func chunkBounds(name: String, good: [String], bad: [String]) {
        for value in good {
            #expect(
                broken { () throws(RequestFailure) in try ChunkListQuery([(name, value)], ofSession: "s") }
                    == [])
        }
        for value in bad {
            #expect(
                broken { () throws(RequestFailure) in try ChunkListQuery([(name, value)], ofSession: "s") }
                    == [name])
        }
    }

    @Test("Every offending parameter is listed: unknown ones, repeated ones, contradictions")
    func all() {
        let wrong = broken { () throws(RequestFailure) in
            try SessionListQuery(
                [("limit", "0"), ("limt", "5"), ("tag", "a"), ("tag", "b"), ("status", "x"), ("limt", "6")],
                seenBy: nil)
        }
        #expect(wrong.sorted() == ["limit", "limt", "status", "tag"])
        let backwards = broken { () throws(RequestFailure) in
            try ChunkListQuery(
                [("start_time", "2026-01-01T00:00:01Z"), ("end_time", "2026-01-01T00:00:00Z")], ofSession: "s"
            )
        }
        #expect(backwards == ["end_time"])
        let many = Pairs(repeating: ("limit", "1"), count: 101)
        #expect(
            broken { () throws(RequestFailure) in try SessionListQuery(many, seenBy: nil) }.contains("query"))
    }

    @Test("An upload says which chunk it is, and when it was captured")
    func upload() throws {
        let least: Pairs = [("sequence_number", "3"), ("timestamp", "2026-01-01T00:00:00Z")]
        let chunk = try ChunkUpload(least, ofSession: "s")
        #expect(chunk.chunk == ChunkReference(sessionID: "s", sequenceNumber: 3))
        #expect(chunk.durationSeconds == 0 && chunk.frameCount == 0 && chunk.digest == nil)
        let digest = String(repeating: "AB", count: 32)
        let more = try ChunkUpload(
            least + [
                ("chunk_id", "s-mine"), ("duration_seconds", "2.5e0"), ("frame_count", "75"),
                ("dropped_frames", "4"), ("quality_score", "99.5"), ("sha256", digest),
            ], ofSession: "s")
        #expect(more.chunk.chunkID == "s-mine" && more.durationSeconds == 2.5 && more.frameCount == 75)
        #expect(more.droppedFrames == 4 && more.qualityScore == 99.5)
        #expect(more.digest == digest.lowercased())
        let nothing = broken { () throws(RequestFailure) in try ChunkUpload([], ofSession: "s") }
        #expect(nothing.sorted() == ["sequence_number", "timestamp"])
        let bad: Pairs = [
            ("sequence_number", "0"), ("sequence_number", "100000000"), ("chunk_id", "a/b"),
            ("chunk_id", "other"),
            ("chunk_id", "s-x-chunk-000001"), ("duration_seconds", "-0.1"), ("duration_seconds", "NaN"),
            ("duration_seconds", "1e999"), ("frame_count", "-1"), ("frame_count", "2147483648"),
            ("dropped_frames", "-1"),
            ("quality_score", "-0.1"), ("quality_score", "100.1"), ("quality_score", "good"),
            ("sha256", String(repeating: "a", count: 63)), ("sha256", String(repeating: "g", count: 64)),
        ]
        for (name, value) in bad {
            let query = least.filter { $0.name != name } + [(name, value)]
            #expect(
                broken { () throws(RequestFailure) in try ChunkUpload(query, ofSession: "s") } == [name],
                "\(value)")
        }
    }
}

@Suite("Cursors")
struct CursorTests {
    private let list = SessionFilter().listName
    private let session = ListCursor(.session(created_ms: -5, id: "sess-1"), shown: 50, total: 1234)

    @Test("A cursor is what it was, in its own list alone")
    func roundTrip() throws {
        let text = session.text(of: list)
        #expect(ListCursor(text, of: list) == session)
        let most = 9_007_199_254_740_991
        let last = Timestamp.latest.milliseconds
        let longest = ListCursor(
            .session(created_ms: last, id: String(repeating: "x", count: 100)), shown: most, total: most)
        #expect(longest.text(of: list).utf8.count <= 320)
        #expect(ListCursor(longest.text(of: list), of: list) == longest)
        // Anybody can make one up, and nobody may bring the server to add to what can't be added to.
        for beyond in [
            ListCursor(.session(created_ms: .max, id: "x"), shown: 1, total: 1),
            ListCursor(.session(created_ms: .min, id: "x"), shown: 1, total: 1),
            ListCursor(.session(created_ms: 1, id: "x"), shown: .max, total: 1),
            ListCursor(.session(created_ms: 1, id: "x"), shown: 1, total: .max),
            ListCursor(.chunk(sequenceNumber: .max), shown: 1, total: 1),
            ListCursor(.chunk(sequenceNumber: 100_000_000), shown: 1, total: 1),
        ] { #expect(ListCursor(beyond.text(of: list), of: list) == nil) }
        let chunk = ListCursor(.chunk(sequenceNumber: 7), shown: 7, total: 9)
        let chunks = ChunkFilter().listName(ofSession: "s")
        #expect(ListCursor(chunk.text(of: chunks), of: chunks) == chunk)

        var others: [SessionFilter] = Array(repeating: SessionFilter(), count: 6)
        others[0].status = .recording
        others[1].project = ""
        others[2].environment = "e"
        others[3].tag = "t"
        others[4].owner = "o"
        others[5].audience = Audience(owner: "o", projects: [])
        #expect(Set(others.map(\.listName)).count == 6)
        for other in others { #expect(ListCursor(text, of: other.listName) == nil) }
        #expect(ListCursor(chunk.text(of: chunks), of: ChunkFilter().listName(ofSession: "t")) == nil)
    }

    @Test("Damaged, cut, lengthened and foreign texts are refused")
    func damage() {
        let text = session.text(of: list)
        for length in 0..<text.count { #expect(ListCursor(String(text.prefix(length)), of: list) == nil) }
        for place in text.indices {
            var changed = text
            changed.replaceSubrange(place...place, with: text[place] == "0" ? "1" : "0")
            #expect(ListCursor(changed, of: list) == nil)
        }
        for other in [text + "00", text.uppercased(), "é", String(repeating: "0", count: 400), "zz"] {
            #expect(ListCursor(other, of: list) == nil, "\(other)")
        }
    }

    @Test("A query takes a cursor in place of an offset")
    func query() throws {
        let text = session.text(of: list)
        let query = try SessionListQuery([("cursor", text)], seenBy: nil)
        #expect(query.start == .after(session) && query.start.offset == 50)
        func wrong(_ parameters: Pairs) -> [String] {
            broken { () throws(RequestFailure) in try SessionListQuery(parameters, seenBy: nil) }
        }
        #expect(wrong([("cursor", text), ("offset", "0")]) == ["cursor"])
        #expect(wrong([("cursor", text), ("status", "created")]) == ["cursor"])
        #expect(wrong([("cursor", "")]) == ["cursor"])
    }
}

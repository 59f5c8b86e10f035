import Base
import EventSourcing
import Gateway
import HTTPServer
import Recording
import Simulation
import Testing

/// What the trail says about changes, and about recorded bytes that are given out.
@Suite("What the trail says")
struct TrailTests {
    private let writer = MemoryAuditWriter()
    private let clock = MovableClock()

    private func gateway() throws -> TestGateway {
        try TestGateway { parts, _ in (parts.audit, parts.clock) = (writer, clock) }
    }

    /// A gateway and a session of three bytes in two chunks.
    private func completed() throws -> (TestGateway, String) {
        let gateway = try gateway()
        let id = try gateway.makeSession()
        _ = try gateway.ask("POST", "/sessions/\(id)/start")
        for (number, bytes) in [[UInt8]([1, 2]), [3]].enumerated() {
            let answer = try gateway.upload(bytes, number + 1, to: id)
            try #require(answer.status == 201, "\(answer.text)")
        }
        _ = try gateway.ask("POST", "/sessions/\(id)/stop")
        try gateway.startProcessing()
        try gateway.wait(for: "completed", of: id)
        return (gateway, id)
    }

    private func records(_ action: AuditAction) -> [AuditRecord] {
        writer.records.filter { $0.action == action }
    }

    @Test("A change is on record with the names of its fields and the session's sequence, and no values")
    func changes() throws {
        let gateway = try gateway()
        let id = try gateway.makeSession()
        #expect(records(.sessionCreate).map(\.sessionSequence) == [1])
        let secret = "kQ7-never-kept"
        let changed = try gateway.ask(
            "PUT", "/sessions/\(id)",
            body: #"{"name":"\#(secret)","metadata":{"description":"\#(secret)","tags":["\#(secret)"]}}"#)
        #expect(changed.status == 200, "\(changed.text)")
        let record = try #require(records(.sessionUpdate).first)
        #expect(record.changed == ["name", "metadata.description", "metadata.tags"])
        #expect(record.sessionSequence == 2)
        #expect(!"\(writer.records)".contains(secret))
        // What changes nothing, and what is refused, has changed nothing.
        _ = try gateway.ask("PUT", "/sessions/\(id)", body: #"{"name":"\#(secret)"}"#)
        _ = try gateway.ask("PUT", "/sessions/\(id)", as: "vera", body: #"{"name":"other"}"#)
        #expect(records(.sessionUpdate).map(\.changed) == [record.changed, [], []])
        #expect(records(.sessionUpdate).map(\.sessionSequence) == [2, 2, nil])
        _ = try gateway.ask("POST", "/sessions/\(id)/start")
        let last = gateway.log.allEvents().filter { $0.partitionKey == id }.map(\.sequence).max()
        #expect(records(.sessionStart).map(\.sessionSequence) == [last])
    }

    @Test("A hold is on record with its case and reason")
    func holds() throws {
        let gateway = try gateway()
        let id = try gateway.makeSession()
        let hold = #"{"case":"4711","reason":"subpoena"}"#
        #expect(try gateway.ask("POST", "/sessions/\(id)/hold", body: hold).status == 200)
        #expect(try gateway.ask("DELETE", "/sessions/\(id)/hold", body: hold).status == 200)
        #expect(try gateway.ask("DELETE", "/sessions/\(id)/hold", body: hold).status >= 400)
        for action in [AuditAction.holdSet, .holdLift] {
            let record = try #require(records(action).first)
            #expect(record.caseName == "4711" && record.reason == "subpoena")
        }
        #expect(records(.holdSet).first?.sessionSequence == 2)
        let refused = try #require(records(.holdLift).last)
        #expect(refused.details["given_reason"] == "subpoena")
        #expect(refused.reason != "subpoena")
    }

    @Test("Bytes that are given out are on record with the status and the range that were answered")
    func ranges() throws {
        let (gateway, id) = try completed()
        let path = "/sessions/\(id)/media"
        #expect(try gateway.ask("GET", path, ["Range: bytes=1-1"]).status == 206)
        #expect(try gateway.ask("GET", path).status == 200)
        let found = records(.mediaDownload)
        #expect(found.map(\.statusCode) == [206, 200])
        #expect(found.map(\.range) == [AuditRange(first: 1, last: 1, length: 3), nil])
        // What was refused was given to nobody.
        #expect(try gateway.ask("GET", path, ["Range: bytes=7-"]).status == 416)
        #expect(records(.mediaDownload).last?.statusCode == 416)
        #expect(records(.mediaDownload).last?.outcome == .denied)
        let tag = try #require(try gateway.ask("GET", path)[header: "ETag"])
        #expect(try gateway.ask("GET", path, ["If-None-Match: \(tag)"]).status == 304)
        #expect(records(.mediaDownload).last?.statusCode == 304)
        // A range of other bytes than those that the client has is all of them.
        #expect(try gateway.ask("GET", path, ["Range: bytes=1-1", #"If-Range: "x""#]).status == 200)
        #expect(records(.mediaDownload).last?.statusCode == 200)
    }

    @Test("A viewing is one record, however often its viewer jumps")
    func viewings() throws {
        let (gateway, id) = try completed()
        func jump(
            _ more: String = "", as token: String = "admin", with headers: [String] = []
        ) throws {
            for range in ["0-0", "2-2", "1-2", "0-"] {
                let part = try gateway.ask(
                    "GET", "/sessions/\(id)/media\(more)", as: token, ["Range: bytes=\(range)"] + headers)
                #expect(part.status == 206)
            }
        }
        func count() -> Int { records(.mediaDownload).count }
        try jump()
        #expect(count() == 1)
        clock.move(seconds: 599)
        try jump()
        #expect(count() == 1)
        // Another viewer, another program, another purpose.
        try jump(as: "auditor")
        #expect(count() == 2)
        try jump(with: ["User-Agent: other"])
        #expect(count() == 3)
        try jump("?case=4711&reason=court%20order")
        #expect(count() == 4)
        #expect(records(.mediaDownload).last?.caseName == "4711")
        #expect(records(.mediaDownload).last?.reason == "court order")
        // All at once is another download each time.
        for _ in 0..<2 { #expect(try gateway.ask("GET", "/sessions/\(id)/media").status == 200) }
        #expect(count() == 6)
        try jump()
        #expect(count() == 6)
        // Whoever comes back later views again; and nothing goes on for ever.
        clock.move(seconds: 601)
        try jump()
        #expect(count() == 7)
        for _ in 0..<13 {
            clock.move(seconds: 300)
            try jump()
        }
        #expect(count() == 8)
    }

    @Test("Each chunk that is downloaded is on record, with the form, and a purpose that is well formed")
    func chunks() throws {
        let (gateway, id) = try completed()
        let list = try gateway.ask("GET", "/sessions/\(id)/chunks").json["chunks"]?.array ?? []
        let chunks = list.compactMap { $0["chunk_id"]?.string }
        try #require(chunks.count == 2)
        for chunk in chunks {
            for form in ["original", "sealed"] {
                for range in ["0-0", "0-1"] {
                    _ = try gateway.ask(
                        "GET", "/sessions/\(id)/chunks/\(chunk)/download?form=\(form)",
                        ["Range: bytes=\(range)"])
                }
            }
        }
        #expect(records(.chunkDownload).map(\.resource.id) == [chunks[0], chunks[0], chunks[1], chunks[1]])
        let forms = records(.chunkDownload).map { $0.details["form"] }
        #expect(forms == ["original", "sealed", "original", "sealed"])
        let wrong = try gateway.ask(
            "GET", "/sessions/\(id)/chunks/\(chunks[0])/download?case=%20a&reason=&form=x&colour=red")
        #expect(wrong.status == 422)
        #expect(Set(wrong.fields) == ["case", "reason", "form", "colour"])
        let twice = try gateway.ask("GET", "/sessions/\(id)/media?case=a&case=b")
        #expect(twice.fields == ["case"])
    }

    @Test("Where the record cannot be kept no viewing has begun")
    func away() throws {
        let (gateway, id) = try completed()
        writer.isAway = true
        for _ in 0..<2 {
            let part = try gateway.ask("GET", "/sessions/\(id)/media", ["Range: bytes=0-0"])
            #expect(part.status == 503)
        }
        writer.isAway = false
        let count = records(.mediaDownload).count { $0.outcome == .allowed }
        #expect(count == 0)
        #expect(try gateway.ask("GET", "/sessions/\(id)/media", ["Range: bytes=0-0"]).status == 206)
        #expect(records(.mediaDownload).last?.statusCode == 206)
    }
}

import Base
import EventSourcing
import Gateway
import HTTPServer
import Pipeline
import Recording
import SessionContent
import Simulation
import Supervision
import Testing
import ChunkFiles
import Sealing

/// Bytes that depend on `seed` alone.
func sampleBytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { index in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return index.isMultiple(of: 3) ? 7 : UInt8(truncatingIfNeeded: state)
    }
}

@Suite("Chunks over HTTP")
struct ChunkTests {
    /// A gateway and a session that records.
    private func recording(
        _ change: (inout GatewayParts, inout GatewaySettings) -> Void = { _, _ in }
    ) throws -> (TestGateway, String) {
        let gateway = try TestGateway(change)
        let id = try gateway.makeSession()
        let start = try gateway.ask("POST", "/sessions/\(id)/start")
        try #require(start.status == 200)
        return (gateway, id)
    }

    @Test("What is uploaded is completed, downloaded in both forms, proven, and sent by range")
    func wholeWay() throws {
        let (gateway, id) = try recording()
        try gateway.startProcessing()
        let parts = [sampleBytes(300_000), sampleBytes(1, seed: 2), sampleBytes(70_000, seed: 3)]
        for (index, part) in parts.enumerated() {
            let answer = try gateway.upload(part, index + 1, to: id, as: "admin", "&duration_seconds=1.5")
            #expect(answer.status == 201, "\(answer.text)")
            #expect(answer.json["size_bytes"]?.integer == Int64(part.count))
        }
        #expect(try gateway.ask("POST", "/sessions/\(id)/stop").status == 200)
        try gateway.wait(for: "completed", of: id)

        let list = try gateway.ask("GET", "/sessions/\(id)/chunks?limit=2")
        #expect(list.json["chunks"]?.array?.count == 2)
        #expect(list.json["pagination"]?["total"]?.integer == 3)
        #expect(list.json["pagination"]?["has_next"]?.bool == true)

        let whole = parts.flatMap { $0 }
        let media = try gateway.ask("GET", "/sessions/\(id)/media")
        #expect(media.status == 200)
        #expect(media.body == whole)
        for (first, last) in [(0, 0), (299_990, 300_010), (300_000, 300_000), (370_000, 370_000)] {
            let part = try gateway.ask("GET", "/sessions/\(id)/media", ["Range: bytes=\(first)-\(last)"])
            #expect(part.status == 206)
            #expect(part.body == Array(whole[first...last]))
            #expect(part[header: "Content-Range"] == "bytes \(first)-\(last)/\(whole.count)")
        }
        let tail = try gateway.ask("GET", "/sessions/\(id)/media", ["Range: bytes=-10"])
        #expect(tail.body == Array(whole.suffix(10)))
        let beyond = try gateway.ask("GET", "/sessions/\(id)/media", ["Range: bytes=370001-"])
        #expect(beyond.status == 416)
        #expect(beyond.code == "REEL_ERR_3014")

        let chunk = try #require(list.json["chunks"]?.array?.first?["chunk_id"]?.string)
        let original = try gateway.ask("GET", "/sessions/\(id)/chunks/\(chunk)/download")
        #expect(original.body == parts[0])
        let sealed = try gateway.ask("GET", "/sessions/\(id)/chunks/\(chunk)/download?form=sealed")
        #expect(sealed.status == 200)
        let file = try gateway.ask("GET", "/sessions/\(id)/chunks/\(chunk)")
        let leaf = sealed.body.withUnsafeBytes { LeafHasher().hash($0) }
        #expect(file.json["merkle_hash"]?.string == leaf.hex)
        let proof = try gateway.ask("GET", "/sessions/\(id)/chunks/\(chunk)/proof")
        let read = try ChunkProof(parsing: proof.body)
        #expect(read.isValid)
        #expect(read.leafHash == leaf)
    }

    @Test("Given again it changes nothing; with other bytes it is refused")
    func idempotent() throws {
        let (gateway, id) = try recording()
        #expect(try gateway.upload([1, 2, 3], 1, to: id).status == 201)
        #expect(try gateway.upload([1, 2, 3], 1, to: id).status == 200)
        let other = try gateway.upload([1, 2, 4], 1, to: id)
        #expect(other.status == 409)
        #expect(other.code == "REEL_ERR_3003")
        #expect(gateway.events(of: id).filter { $0.type == "ChunkRecorded" }.count == 1)
        // The bytes of the refused ones are gone.
        #expect(try gateway.vault.spool.usage().files == 1)
    }

    @Test("Chunks may come out of order within bounds; what was waited for brings the rest")
    func outOfOrder() throws {
        let (gateway, id) = try recording()
        let second = try TestGateway(beside: gateway)
        for number in [3, 2, 5] {
            let answer = try gateway.upload([UInt8(number)], number, to: id)
            #expect(answer.status == 202, "\(answer.text)")
            #expect(answer.json["waiting_for"]?.integer == 1)
        }
        #expect(try second.upload([3], 3, to: id).status == 202)
        #expect(try second.upload([4], 3, to: id).code == "REEL_ERR_3003")
        #expect(try second.upload([1], 1, to: id).status == 201)
        let recorded = gateway.events(of: id).filter { $0.type == "ChunkRecorded" }
        #expect(recorded.count == 3)
        #expect(try gateway.upload([9], 4 + 64, to: id).status == 202)
        let far = try gateway.upload([9], 4 + 65, to: id)
        #expect(far.status == 409)
        #expect(far.code == "REEL_ERR_3004")
    }

    @Test("What never had its turn makes the recording incomplete", arguments: [true, false])
    func gap(isMissing: Bool) throws {
        let (gateway, id) = try recording()
        #expect(try gateway.upload([1], 1, to: id).status == 201)
        if isMissing { #expect(try gateway.upload([3], 3, to: id).status == 202) }
        #expect(try gateway.ask("POST", "/sessions/\(id)/stop").status == 200)
        let stop = try #require(gateway.events(of: id).first { $0.type == "SessionStopped" })
        #expect(try JSONValue(parsing: stop.data)["incomplete"]?.bool == isMissing)
    }

    @Test("Bytes that are not what the digest says are not recorded")
    func digest() throws {
        let (gateway, id) = try recording()
        let sum = "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81"
        #expect(try gateway.upload([1, 2, 4], 1, to: id, as: "admin", "&sha256=\(sum)").fields == ["sha256"])
        let header = "Content-Digest: sha-256=:A5BYxvLAy0ksUzsKTRTvd8wPeKvMztUofYShogEc+4E=:"
        #expect(try gateway.upload([1, 2, 4], 1, to: id, headers: [header]).fields == ["sha256"])
        let bad = try gateway.upload([1, 2, 3], 1, to: id, headers: ["Content-Digest: sha-256=:AAAA:"])
        #expect(bad.fields == ["Content-Digest"])
        #expect(try gateway.vault.spool.usage().files == 0)
        #expect(try gateway.upload([1, 2, 3], 1, to: id, headers: [header]).status == 201)
    }

    @Test("A broken upload leaves nothing, and the next one is taken")
    func broken() throws {
        let (gateway, id) = try recording()
        do {
            let client = try Client(gateway.server.port)
            let query = "sequence_number=1&timestamp=2026-01-31T10:00:00Z"
            let head = [
                "POST /api/v1/sessions/\(id)/chunks?\(query) HTTP/1.1", "Host: reel",
                "Authorization: Bearer admin", "Content-Type: application/octet-stream",
                "Content-Length: 100000", "", "",
            ]
            try client.send(Array(head.joined(separator: "\r\n").utf8) + sampleBytes(50_000))
        }
        for _ in 0..<6000 where try gateway.vault.spool.usage().files > 0 { gateway.pause() }
        #expect(try gateway.upload(sampleBytes(100_000), 1, to: id).status == 201)
        #expect(try gateway.vault.spool.usage().files == 1)
    }

    @Test(
        "Uploads obey the quota of the spool: refused with a time to come back, and taken when there is room")
    func quota() throws {
        let (gateway, id) = try recording { parts, settings in
            settings.chunkBytes = 1024
            guard let small = try? Spool(root: parts.spool.root, limitBytes: 4096) else { return }
            parts.spool = small
        }
        func expectFull(_ answer: WireAnswer, _ source: SourceLocation = #_sourceLocation) {
            #expect(answer.status == 507 && answer.code == "REEL_ERR_3007", sourceLocation: source)
            #expect(answer[header: "Retry-After"] == "2", sourceLocation: source)
            #expect(answer.text.contains("quota"), sourceLocation: source)
        }
        let parts = (1...5).map { sampleBytes(1024, seed: UInt64($0)) }
        #expect(try gateway.upload(parts[0], 1, to: id).status == 201)
        #expect(try gateway.upload(parts[1], 2, to: id).status == 201)
        // One that comes early leaves room for the chunk that it waits for.
        #expect(try gateway.upload(sampleBytes(600), 4, to: id).status == 202)
        expectFull(try gateway.upload(sampleBytes(600), 5, to: id))
        #expect(try gateway.upload(sampleBytes(100), 3, to: id).status == 201)
        #expect(try gateway.upload(parts[3], 5, to: id).status == 201)
        let used = try gateway.vault.spool.usage().bytes
        expectFull(try gateway.upload(parts[4], 6, to: id))
        // What was refused leaves nothing, and nothing new begins meanwhile.
        #expect(try gateway.vault.spool.usage().bytes == used)
        let other = try gateway.makeSession()
        expectFull(try gateway.ask("POST", "/sessions/\(other)/start"))
        try gateway.startProcessing()
        for _ in 0..<6000 where try gateway.vault.spool.usage().bytes > 1024 { gateway.pause() }
        #expect(try gateway.upload(parts[4], 6, to: id).status == 201)
        #expect(try gateway.ask("POST", "/sessions/\(other)/start").status == 200)
    }

    @Test("A session has no more bytes than its configuration allows, which is named")
    func sessionSize() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession(as: "admin", #""storage_config":{"max_size_gb":1}"#)
        try #require(try gateway.ask("POST", "/sessions/\(id)/start").status == 200)
        // A gigabyte is not recorded for this: events say that it was.
        let full = 100 << 20
        func chunk(_ number: Int, _ bytes: Int) -> SessionCommand {
            .recordChunk(
                ChunkEvent.Recorded(
                    chunk: ChunkReference(sessionID: id, sequenceNumber: number),
                    content: ChunkContent(
                        sizeBytes: bytes, digest: String(repeating: "0", count: 64), keyID: "k",
                        cipher: "none"),
                    codec: "none", capturedAt: Timestamp(milliseconds: 0), durationSeconds: 0,
                    frameCount: 0, spoolPath: "none"))
        }
        let handler = CommandHandler(session: id, store: try gateway.log.open(), clock: SystemClock())
        let context = EventContext(source: "/t", actor: .system("t"))
        try handler.catchUp()
        let sizes = Array(repeating: full, count: 10) + [(1 << 30) - 10 * full - 100]
        try handler.handle(
            sizes.enumerated().map { chunk($0.offset + 1, $0.element) }, id: "large", context: context)
        #expect(try gateway.upload(sampleBytes(100), 12, to: id).status == 201)
        let beyond = try gateway.upload([1], 13, to: id)
        #expect(beyond.status == 413 && beyond.fields == ["storage_config.max_size_gb"])
        #expect(try gateway.vault.spool.usage().bytes == 100)
        // Of several that were let in at once, the log takes what has room.
        try handler.catchUp()
        let failure = #expect(throws: CommandError<SessionRejection>.self) {
            try handler.handle(chunk(13, 1), id: "more", context: context)
        }
        guard case .rejected(.invalid(let violations)) = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(violations.map(\.field) == ["storage_config.max_size_gb"])
    }

    @Test("Too much, too little, and what does not say what it is are refused before or after the bytes")
    func refused() throws {
        let (gateway, id) = try recording { _, settings in settings.chunkBytes = 1024 }
        let large = try gateway.upload(sampleBytes(1025), 1, to: id)
        #expect(large.status == 413)
        #expect(large.code == "REEL_ERR_3013")
        #expect(try gateway.upload(sampleBytes(1024), 1, to: id).status == 201)
        #expect(try gateway.upload([], 2, to: id).fields == ["body"])
        let unnamed = try Client(gateway.server.port).ask(
            "POST", "/api/v1/sessions/\(id)/chunks?frame_count=-1", as: "admin",
            ["Content-Type: application/octet-stream"], body: [1])
        #expect(Set(unnamed.fields) == ["sequence_number", "timestamp", "frame_count"])
        #expect(try gateway.upload([1], 2, to: id, as: "auditor").status == 403)
        #expect(try gateway.upload([1], 2, to: id, as: "olga").status == 404)
        #expect(try gateway.upload([1], 2, to: "sess-nowhere").code == "REEL_ERR_3001")
        #expect(try gateway.ask("GET", "/sessions/\(id)/chunks/none").code == "REEL_ERR_3005")
        _ = try gateway.ask("POST", "/sessions/\(id)/stop")
        let late = try gateway.upload([1], 2, to: id)
        #expect(late.status == 409)
        #expect(late.code == "REEL_ERR_3004")
        // The same chunk again is still the same chunk.
        #expect(try gateway.upload(sampleBytes(1024), 1, to: id).status == 200)
    }

    @Test("An upload is seen at once, whatever the read models know", arguments: [0, 1])
    func readYourWrites(mode: Int) throws {
        let (gateway, id) = try recording()
        gateway.queries.set(mode == 0 ? .behind : .unreachable)
        for number in 1...3 { #expect(try gateway.upload([1], number, to: id).status == 201) }
        let list = try gateway.ask("GET", "/sessions/\(id)/chunks?limit=2")
        #expect(list.json["chunks"]?.array?.count == 2)
        let cursor = try #require(list.json["pagination"]?["next_cursor"]?.string)
        let rest = try gateway.ask("GET", "/sessions/\(id)/chunks?limit=2&cursor=\(cursor)")
        #expect(rest.json["chunks"]?.array?.map { $0["sequence_number"]?.integer } == [3])
        #expect(try gateway.ask("GET", "/sessions/\(id)").json["statistics"]?["chunks_count"]?.integer == 3)
    }

    @Test("Of two gateways that take one chunk, both say yes and one records it")
    func raceOnChunk() throws {
        let (first, id) = try recording()
        let second = try TestGateway(beside: first)
        for number in 1...10 {
            let answers = try [first, second].map { gateway in
                let port = gateway.server.port
                return try OwnThread(name: "uploader") {
                    try Client(port).ask(
                        "POST",
                        "/api/v1/sessions/\(id)/chunks?sequence_number=\(number)"
                            + "&timestamp=2026-01-31T10:00:00Z", as: "admin",
                        ["Content-Type: application/octet-stream"], body: [UInt8(number)])
                }
            }.map { try $0.join().status }
            #expect(Set(answers).isSubset(of: [200, 201]), "\(answers)")
            #expect(answers.contains(201))
        }
        #expect(first.events(of: id).filter { $0.type == "ChunkRecorded" }.count == 10)
        #expect(try first.vault.spool.usage().files == 10)
    }

    @Test("Media is refused until everything is stored")
    func mediaTooEarly() throws {
        let (gateway, id) = try recording()
        _ = try gateway.upload([1], 1, to: id)
        #expect(try gateway.ask("GET", "/sessions/\(id)/media").code == "REEL_ERR_3004")
        _ = try gateway.ask("POST", "/sessions/\(id)/stop")
        #expect(try gateway.ask("GET", "/sessions/\(id)/media").code == "REEL_ERR_3004")
    }

    @Test("A pipeline can be looked at, held and let go")
    func pipeline() throws {
        let (gateway, id) = try recording()
        #expect(
            try gateway.ask("GET", "/sessions/\(id)/pipeline").json["pipeline_status"]?.string == "active")
        let paused = try gateway.ask("POST", "/sessions/\(id)/pipeline/pause")
        #expect(paused.json["pipeline_status"]?.string == "paused")
        let again = try gateway.ask("POST", "/sessions/\(id)/pipeline/pause")
        #expect(again.status == 409)
        #expect(again.code == "REEL_ERR_3006")
        let resumed = try gateway.ask("POST", "/sessions/\(id)/pipeline/resume")
        #expect(resumed.json["pipeline_status"]?.string == "active")
    }
}

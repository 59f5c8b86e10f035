import ChunkFiles
import Base
import EventSourcing
import Foundation
import Gateway
import Glibc
import Pipeline
import Recording
import Simulation
import Testing
import Sealing

@Suite("Content that is not as it was recorded, over HTTP", .timeLimit(.minutes(2)))
struct DamagedContentTests {
    private static let parts = [
        sampleBytes(300_000), sampleBytes(200_000, seed: 2), sampleBytes(70_000, seed: 3),
    ]

    private struct Scene {
        let gateway: TestGateway
        let id: String

        init() throws {
            gateway = try TestGateway()
            id = try gateway.makeSession()
            try #require(try gateway.ask("POST", "/sessions/\(id)/start").status == 200)
            try gateway.startProcessing()
            for (index, part) in parts.enumerated() {
                try #require(try gateway.upload(part, index + 1, to: id).status == 201)
            }
            try #require(try gateway.ask("POST", "/sessions/\(id)/stop").status == 200)
            try gateway.wait(for: "completed", of: id)
        }

        func path(_ number: Int) throws -> String {
            try gateway.vault.chunks.path(session: id, sequence: number)
        }

        /// Reads of the second chunk, and of what contains it.
        var reads: [(path: String, headers: [String])] {
            let chunk = "/sessions/\(id)/chunks/\(id)-chunk-000002/download"
            return [
                ("/sessions/\(id)/media", ["Range: bytes=300000-300000"]),
                ("/sessions/\(id)/media", ["Range: bytes=300010-"]),
                ("/sessions/\(id)/media", ["Range: bytes=-270000"]), (chunk, []),
                (chunk, ["Range: bytes=5-6"]), (chunk + "?form=sealed", []),
                (chunk + "?form=sealed", ["Range: bytes=0-7"]),
            ]
        }

        func expectRefused(_ what: String, _ check: String) throws {
            for (path, headers) in reads {
                let answer = try gateway.ask("GET", path, headers)
                #expect(answer.status == 500, "\(what): \(path) \(headers)")
                let message = answer.json["error"]?["message"]?.string ?? ""
                #expect(message.contains("\(id)/00000002.reel"), "\(what): \(message)")
                #expect(message.contains("(\(check))"), "\(what): \(message)")
            }
            // What is sound is given out as before.
            let first = try gateway.ask("GET", "/sessions/\(id)/media", ["Range: bytes=0-299999"])
            #expect(first.status == 206 && first.body == parts[0])
            // A part of the whole is no whole: the connection ends.
            let whole = try? gateway.ask("GET", "/sessions/\(id)/media")
            #expect(whole == nil, "\(what): \(whole?.status ?? 0), \(whole?.body.count ?? 0) bytes")
        }
    }

    @Test("a plain file in place of an encrypted one, as anybody can make it, is never given out")
    func plainFile() throws {
        let scene = try Scene()
        let header = try SealedHeader(
            chunk: ChunkIdentity(
                chunkID: "\(scene.id)-chunk-000002", sessionID: scene.id, sequenceNumber: 2), codec: .none,
            cipher: .none, originalBytes: 200_000, keyID: "", keyCommitment: "")
        let encoded = header.encoded()
        let length = withUnsafeBytes(of: UInt32(encoded.count).littleEndian) { [UInt8]($0) }
        let forged = [UInt8]("REELCHK1".utf8) + length + encoded + Array(repeating: 0x66, count: 200_000)
        let size = try Data(contentsOf: URL(fileURLWithPath: try scene.path(2))).count
        try Data(forged).write(to: URL(fileURLWithPath: try scene.path(2)))
        try scene.expectRefused("plain", forged.count < size ? "truncated" : "extended")
        // One of the right length, too.
        try Data((forged + Array(repeating: 0x66, count: size)).prefix(size))
            .write(to: URL(fileURLWithPath: try scene.path(2)))
        try scene.expectRefused("plain, of the right length", "damaged")
    }

    @Test("special files are named, hold up nobody, and cost nothing")
    func special() throws {
        let scene = try Scene()
        try #require(unlink(try scene.path(2)) == 0 && mkfifo(try scene.path(2), 0o600) == 0)
        for _ in 0..<6 { try scene.expectRefused("a pipe", "special") }
        try #require(unlink(try scene.path(2)) == 0 && symlink("/dev/zero", try scene.path(2)) == 0)
        try scene.expectRefused("a link", "special")
        try #require(unlink(try scene.path(2)) == 0)
        try scene.expectRefused("nothing", "missing")
        try Data([1]).write(to: URL(fileURLWithPath: try scene.path(2)))
        try #require(truncate(try scene.path(2), 1 << 30) == 0)
        try scene.expectRefused("a gigabyte", "extended")
    }

    @Test("a log that contradicts itself gives out no media and no proof, and says why")
    func contradiction() throws {
        let scene = try Scene()
        let stored = try #require(
            scene.gateway.events(of: scene.id).first { $0.type == "ChunkStored" })
        var event = stored.event
        event.id += "-again"
        _ = try scene.gateway.log.open().append([event], to: scene.id, expecting: .any)
        for path in [
            "media", "chunks/\(scene.id)-chunk-000001/proof", "chunks/\(scene.id)-chunk-000001/download",
        ] {
            let answer = try scene.gateway.ask("GET", "/sessions/\(scene.id)/\(path)")
            #expect(answer.status == 500 && answer.code == "REEL_ERR_3007", "\(path)")
            #expect(answer.text.contains("contradicts itself: event 27:"), "\(answer.text)")
        }
    }

    @Test("what a chunk's file is checked against does not come from the read models")
    func readModels() throws {
        let scene = try Scene()
        let whole = Self.parts.flatMap { $0 }
        #expect(try scene.gateway.ask("GET", "/sessions/\(scene.id)/media").body == whole)
        // The read models know nothing any more, or can't be asked.
        for mode in [LogQueries.Mode.behind, .unreachable] {
            scene.gateway.queries.set(mode)
            #expect(try scene.gateway.ask("GET", "/sessions/\(scene.id)/media").body == whole)
        }
    }
}

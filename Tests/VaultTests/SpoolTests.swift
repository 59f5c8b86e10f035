import Foundation
import Glibc
import Synchronization
import Testing

@testable import Vault

@Suite("Spool")
struct SpoolTests {
    let folder: TemporaryFolder
    let spool: Spool
    let buffer = ScratchBuffer()

    init() throws {
        folder = try TemporaryFolder()
        spool = try Spool(root: folder.path + "/spool")
    }

    private func put(_ bytes: [UInt8], _ sequence: Int = 1, _ kind: SpoolKind = .raw) throws -> String {
        try bytes.withUnsafeBytes {
            try spool.write($0, session: "sess-A", sequence: sequence, kind: kind)
        }
    }

    private func get(_ path: String, _ expected: Int? = nil) throws -> [UInt8] {
        try spool.read(path, expectedBytes: expected, into: buffer)
        return buffer.copyBytes()
    }

    @Test("raw chunks have their place; handovers each a name of their own")
    func names() throws {
        #expect(try put([1, 2]) == "sess-A/00000001.raw")
        #expect(try Spool.rawPath(session: "sess-A", sequence: 1) == "sess-A/00000001.raw")
        let one = try put([3], 1, .handover(stage: "compress"))
        let two = try put([4], 1, .handover(stage: "compress"))
        #expect(one != two)
        #expect(one.hasPrefix("sess-A/00000001.compress-"))
        #expect(try get(one) == [3])
        #expect(try get(two) == [4])
        #expect(try get("sess-A/00000001.raw", 2) == [1, 2])
        #expect(try spool.rawSequences(session: "sess-A") == [1])
        #expect(try folder.names("spool/sess-A").count == 3, "no temporary name is left")
    }

    @Test("a raw chunk is replaced by one that is recorded again")
    func replacement() throws {
        _ = try put([1, 2])
        _ = try put([3])
        #expect(try get("sess-A/00000001.raw") == [3])
    }

    @Test("a wrong size names file, expected and found bytes")
    func sizes() throws {
        let path = try put([1, 2, 3])
        let full = "\(spool.root)/\(path)"
        let found = failure(StorageFailure.self) { _ = try get(path, 5) }
        #expect(found == .wrongSize(path: full, expected: 5, found: 3))
        #expect(found?.description == "\(full) has 3 bytes, recorded were 5")
        #expect(
            failure(StorageFailure.self) { _ = try get("sess-A/00000002.raw") }
                == .missing(path: folder.path + "/spool/sess-A/00000002.raw"))
    }

    @Test("paths that could leave the folder are refused")
    func traversal() {
        let paths = [
            "", "x", "../x", "sess-A/..", "sess-A/../../etc", "/etc/passwd", "sess-A/00000001",
            "sess-A/x.raw",
            "sess-A/00000001.", "sess-A/00000001.a/b", "sess-A/00000001..", "a/b/00000001.raw",
            "sess-A/00000000.raw",
        ]
        for path in paths {
            #expect(failure(StorageFailure.self) { _ = try get(path) } == .invalidIdentifier(path))
        }
        #expect(throws: StorageFailure.self) { _ = try put([1], 1, .handover(stage: "../x")) }
        #expect(throws: StorageFailure.self) { _ = try put([1], 0) }
    }

    @Test("purging takes every file of one chunk and nothing else")
    func purging() throws {
        _ = try put([1], 1)
        _ = try put([1], 1, .handover(stage: "encrypt"))
        _ = try put([1], 11)
        #expect(try spool.purge(session: "sess-A", sequence: 1) == 2)
        #expect(try spool.purge(session: "sess-A", sequence: 1) == 0)
        #expect(try folder.names("spool/sess-A") == ["00000011.raw"])
        #expect(try spool.removeSession("sess-A") == 1)
        #expect(try spool.sessions().isEmpty)
        #expect(try spool.purge(session: "sess-gone", sequence: 1) == 0)
    }

    @Test("usage counts bytes and files; sweeping takes old temporary names")
    func usage() throws {
        _ = try put([1, 2, 3], 1)
        _ = try put([4, 5], 2)
        #expect(try spool.usage() == SpoolUsage(bytes: 5, files: 2))
        try folder.write([0], to: "spool/sess-A/.tmp-old")
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -1000)],
            ofItemAtPath: folder.path + "/spool/sess-A/.tmp-old")
        #expect(try spool.sweepTemporaries(olderThanSeconds: 2000) == 0)
        #expect(try spool.sweepTemporaries(olderThanSeconds: 600) == 1)
        #expect(try spool.usage().files == 2)
    }

    @Test("a full spool refuses, says so, and takes again what was made room for")
    func limit() throws {
        let small = try Spool(root: folder.path + "/small", limitBytes: 1000)
        let chunk = [UInt8](repeating: 1, count: 400)
        func put(_ sequence: Int) throws {
            _ = try chunk.withUnsafeBytes {
                try small.write($0, session: "sess-A", sequence: sequence, kind: .raw)
            }
        }
        try put(1)
        try put(2)
        let found = failure(StorageFailure.self) { try put(3) }
        #expect(found == .full(path: small.root, limitBytes: 1000, usedBytes: 800, neededBytes: 400))
        #expect(found?.isOutOfSpace == true && found?.isTransient == true)
        #expect(try small.purge(session: "sess-A", sequence: 1) == 1)
        try put(3)
        #expect(try small.usage() == SpoolUsage(bytes: 800, files: 2))
    }

    @Test("what comes piece by piece takes its room at the beginning, and keeps what it needed")
    func uploadsWithinLimit() throws {
        let small = try Spool(root: folder.path + "/uploads", limitBytes: 1000)
        func begin(_ sequence: Int) throws -> SpoolUpload {
            try small.begin(session: "sess-A", sequence: sequence, stage: "upload", byteCount: 600)
        }
        let first = try begin(1)
        #expect(try small.usage() == SpoolUsage(bytes: 600, files: 1))
        let found = failure(StorageFailure.self) { _ = try begin(2) }
        #expect(found == .full(path: small.root, limitBytes: 1000, usedBytes: 600, neededBytes: 600))
        // What was refused leaves nothing behind.
        #expect(try small.usage() == SpoolUsage(bytes: 600, files: 1))
        try [UInt8](repeating: 1, count: 250).withUnsafeBytes { try first.append($0) }
        try first.commit()
        #expect(try small.usage() == SpoolUsage(bytes: 250, files: 1))
        let buffer = ScratchBuffer()
        try small.read(first.relative, expectedBytes: 250, into: buffer)
        #expect(buffer.copyBytes() == [UInt8](repeating: 1, count: 250))
        _ = try begin(3)
    }

    @Test("what is handed on, and what was asked to be kept all the same, is written beyond the limit")
    func beyondLimit() throws {
        let small = try Spool(root: folder.path + "/beyond", limitBytes: 1000)
        let chunk = [UInt8](repeating: 1, count: 800)
        func put(_ sequence: Int, _ kind: SpoolKind, beyond: Bool = false) throws {
            _ = try chunk.withUnsafeBytes {
                try small.write($0, session: "sess-A", sequence: sequence, kind: kind, beyondLimit: beyond)
            }
        }
        try small.requireRoom(for: 1000)
        try put(1, .raw)
        #expect(failure(StorageFailure.self) { try small.requireRoom(for: 201) }?.isOutOfSpace == true)
        try put(1, .handover(stage: "compress"))
        #expect(failure(StorageFailure.self) { try put(2, .raw) }?.isOutOfSpace == true)
        try put(2, .raw, beyond: true)
        #expect(try small.usage() == SpoolUsage(bytes: 2400, files: 3))
        // What was refused has left nothing behind.
        let names = try FileManager.default.contentsOfDirectory(atPath: small.root + "/sess-A")
        #expect(names.count == 3)
    }

    @Test("many who write at once stay within the limit together, and all come in when there is room")
    func together() throws {
        let root = folder.path + "/together"
        let (writers, each, limit) = (4, 8, 3000)
        let watch = try Spool(root: root, limitBytes: limit)
        let highest = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: writers) { writer in
            // Each has a spool of its own, as in a process of its own.
            guard let own = try? Spool(root: root, limitBytes: limit) else { return }
            let chunk = [UInt8](repeating: UInt8(writer), count: 1000)
            for number in 1...each {
                while true {
                    let path = try? chunk.withUnsafeBytes {
                        try own.write($0, session: "sess-\(writer)", sequence: number, kind: .raw)
                    }
                    guard let path else {
                        sched_yield()
                        continue
                    }
                    // Finished files alone: who is refused has taken room for a moment.
                    let found = (0..<writers).reduce(0) {
                        $0 + ((try? own.rawSequences(session: "sess-\($1)").count) ?? 0)
                    }
                    highest.withLock { $0 = max($0, found * 1000) }
                    _ = try? own.remove(path)
                    break
                }
            }
        }
        #expect(highest.withLock { $0 } <= limit)
        #expect(try watch.usage() == SpoolUsage(bytes: 0, files: 0))
    }

    @Test("files are for their owner only")
    func modes() throws {
        var status = stat()
        try #require(stat("\(spool.root)/\(try put([1]))", &status) == 0)
        #expect(status.st_mode & 0o077 == 0)
    }
}

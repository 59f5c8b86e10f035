import Base
import Foundation
import Glibc
import Testing

@testable import ChunkFiles
@testable import Files

@Suite("Spool")
struct SpoolTests {
    let folder: TemporaryFolder
    let spool: Spool
    let buffer = ScratchBuffer()

    init() throws {
        folder = try TemporaryFolder()
        spool = try Spool(root: folder.path + "/spool")
    }

    private func put(_ bytes: [UInt8], _ sequence: Int = 1) throws -> String {
        try bytes.withUnsafeBytes { try spool.write($0, session: "sess-A", sequence: sequence) }
    }

    private func hand(_ bytes: [UInt8], by stage: String, of source: String) throws -> String {
        let sequence = Int(source.split(separator: "/")[1].prefix(8)) ?? 1
        return try bytes.withUnsafeBytes {
            try spool.write($0, by: stage, of: source, sequence: sequence)
        }
    }

    private func get(_ path: String, _ expected: Int? = nil) throws -> [UInt8] {
        try spool.read(path, expectedBytes: expected, into: buffer)
        return buffer.copyBytes()
    }

    @Test("whatever is written has a name that nobody else can have, and says what it was made of")
    func names() throws {
        let (first, second) = (try put([1, 2]), try put([3]))
        #expect(first != second)
        for path in [first, second] { #expect(path.hasPrefix("sess-A/00000001.raw-") && path.count == 36) }
        let (one, two) = (
            try hand([3], by: "compress", of: first), try hand([4], by: "compress", of: first)
        )
        #expect(one != two)
        let lineage = first.suffix(16)
        for path in [one, two] { #expect(path.hasPrefix("sess-A/00000001.compress-\(lineage)-")) }
        let third = try hand([5], by: "encrypt", of: one)
        #expect(third.hasPrefix("sess-A/00000001.encrypt-\(lineage)-"))
        #expect(try get(one) == [3])
        #expect(try get(two) == [4])
        #expect(try get(first, 2) == [1, 2])
        #expect(try spool.recorded(session: "sess-A").map(\.relative) == [first, second].sorted())
        #expect(try folder.names("spool/sess-A").count == 5, "no temporary name is left")
    }

    @Test("recorded bytes get the number that they are recorded with, whichever they were begun for")
    func renumbered() throws {
        let writer = try spool.begin(session: "sess-A", byteCount: 10, for: 7)
        #expect(try spool.begun(session: "sess-A") == [7])
        try [UInt8]([1, 2]).withUnsafeBytes { try writer.append($0) }
        let path = try writer.commit(as: 8)
        #expect(try spool.begun(session: "sess-A").isEmpty)
        let moved = try spool.renumber(path, to: 9)
        #expect(moved == path.replacing("00000008", with: "00000009"))
        #expect(try get(moved) == [1, 2])
        #expect(try spool.recorded(session: "sess-A").map(\.sequence) == [9])
    }

    @Test("notes are whole or absent, count for nothing, and go with the folder")
    func notes() throws {
        let notes = spool.notes(of: "sess-A")
        #expect(try notes.read("writer") == nil && notes.names().isEmpty)
        #expect(failure(StorageFailure.self) { try notes.write("writer", "x") }?.isMissing == true)
        _ = try put([1])
        try notes.write("writer", "one")
        try notes.write("writer", "two")
        try notes.write("lacking-7", "")
        #expect(try notes.read("writer") == "two" && notes.read("lacking-7") == "")
        #expect(try notes.names() == ["lacking-7", "writer"])
        #expect(try spool.usage() == SpoolUsage(bytes: 1, files: 1))
        try notes.remove("writer")
        try notes.remove("writer")
        #expect(try notes.names() == ["lacking-7"])
        for name in ["../x", "", "tmp-x", "a/b"] {
            #expect(throws: StorageFailure.self, "\(name)") { try notes.write(name, "x") }
        }
        #expect(try spool.removeSession("sess-A") == 2)
        #expect(try notes.read("lacking-7") == nil)
    }

    @Test("a wrong size names file, expected and found bytes")
    func sizes() throws {
        let path = try put([1, 2, 3])
        let full = "\(spool.root)/\(path)"
        let found = failure(StorageFailure.self) { _ = try get(path, 5) }
        #expect(found == .wrongSize(path: full, expected: 5, found: 3))
        #expect(found?.description == "\(full) has 3 bytes, recorded were 5")
        #expect(
            failure(StorageFailure.self) { _ = try get("sess-A/00000002.raw-0123456789abcdef") }
                == .missing(path: folder.path + "/spool/sess-A/00000002.raw-0123456789abcdef"))
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
        #expect(throws: StorageFailure.self) {
            _ = try hand([1], by: "../x", of: "sess-A/00000001.raw-0123456789abcdef")
        }
        #expect(throws: StorageFailure.self) { _ = try hand([1], by: "compress", of: "../x/00000001.raw") }
        #expect(throws: StorageFailure.self) { _ = try put([1], 0) }
    }

    @Test("purging takes what an event describes and what was made of it, and nothing of anybody else")
    func purging() throws {
        let own = try put([1], 1)
        let compressed = try hand([2], by: "compress", of: own)
        _ = try hand([2], by: "compress", of: own)
        _ = try hand([3], by: "encrypt", of: compressed)
        _ = try hand([4], by: "held", of: own)
        // Other senders' files of the same number, one of them with its own results, and a chunk of another.
        let other = try put([5], 1)
        let others = try hand([6], by: "compress", of: other)
        let eleventh = try put([7], 11)
        #expect(try spool.purge(compressed, of: "sess-A") == 5)
        #expect(try spool.purge(compressed, of: "sess-A") == 0)
        let names = [other, others, eleventh].map { String($0.split(separator: "/")[1]) }.sorted()
        #expect(try folder.names("spool/sess-A") == names)
        // An event of one session that names a file of another describes nothing.
        let refused = failure(StorageFailure.self) { try spool.purge(other, of: "sess-B") }
        #expect(refused == .invalidIdentifier(other))
        #expect(try get(other) == [5])
        #expect(try spool.removeSession("sess-A") == 3)
        #expect(try spool.sessions().isEmpty)
        #expect(try spool.purge("sess-gone/00000001.raw-0123456789abcdef", of: "sess-gone") == 0)
    }

    @Test("files of the builds before are read and purged by the names that their events give")
    func oldNames() throws {
        _ = try put([1])
        for (name, byte) in [
            ("00000001.raw", 1), ("00000001.compress-00112233445566aa", 2), ("00000002.raw", 3),
            ("00000002.upload-00112233445566bb", 4),
        ] { try folder.write([UInt8(byte)], to: "spool/sess-A/\(name)") }
        #expect(try get("sess-A/00000001.raw") == [1])
        #expect(try spool.recorded(session: "sess-A").map(\.sequence).sorted() == [1, 1, 2, 2])
        #expect(try spool.purge("sess-A/00000001.compress-00112233445566aa", of: "sess-A") == 1)
        #expect(try spool.purge("sess-A/00000002.upload-00112233445566bb", of: "sess-A") == 1)
        // It says nothing of whose it is: what else has the number may be anybody's.
        let made = try hand([9], by: "compress", of: "sess-A/00000001.raw")
        #expect(made.hasPrefix("sess-A/00000001.compress-"))
        #expect(try spool.purge("sess-A/00000001.raw", of: "sess-A") == 1)
        #expect(try get(made) == [9])
        #expect(try get("sess-A/00000002.raw") == [3])
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
        var removed: [String] = []
        for age in [2000, 600] {
            try spool.sweepTemporaries(of: "sess-A", olderThanSeconds: age) { path, number in
                removed.append("\(age) \(path) \(number ?? 0)")
            }
        }
        #expect(removed == ["600 sess-A/.tmp-old 0"])
        #expect(try spool.usage().files == 2)
    }

    @Test("a full spool refuses, says so, and takes again what was made room for")
    func limit() throws {
        let small = try Spool(root: folder.path + "/small", limitBytes: 1000)
        let chunk = [UInt8](repeating: 1, count: 400)
        var paths: [String] = []
        func put(_ sequence: Int) throws {
            let path = try chunk.withUnsafeBytes {
                try small.write($0, session: "sess-A", sequence: sequence)
            }
            paths.append(path)
        }
        try put(1)
        try put(2)
        let found = failure(StorageFailure.self) { try put(3) }
        #expect(found == .full(path: small.root, limitBytes: 1000, usedBytes: 800, neededBytes: 400))
        #expect(found?.isOutOfSpace == true && found?.isTransient == true)
        #expect(try small.purge(paths[0], of: "sess-A") == 1)
        try put(3)
        #expect(try small.usage() == SpoolUsage(bytes: 800, files: 2))
    }

    @Test("what comes piece by piece takes its room at the beginning, and keeps what it needed")
    func uploadsWithinLimit() throws {
        let small = try Spool(root: folder.path + "/uploads", limitBytes: 1000)
        func begin() throws -> SpoolWriter { try small.begin(session: "sess-A", byteCount: 600) }
        let first = try begin()
        #expect(try small.usage() == SpoolUsage(bytes: 600, files: 1))
        let found = failure(StorageFailure.self) { _ = try begin() }
        #expect(found == .full(path: small.root, limitBytes: 1000, usedBytes: 600, neededBytes: 600))
        // What was refused leaves nothing behind.
        #expect(try small.usage() == SpoolUsage(bytes: 600, files: 1))
        try [UInt8](repeating: 1, count: 250).withUnsafeBytes { try first.append($0) }
        let path = try first.commit(as: 1)
        #expect(try small.usage() == SpoolUsage(bytes: 250, files: 1))
        let buffer = ScratchBuffer()
        try small.read(path, expectedBytes: 250, into: buffer)
        #expect(buffer.copyBytes() == [UInt8](repeating: 1, count: 250))
        _ = try begin()
    }

    @Test("what is handed on, and what was asked to be kept all the same, is written beyond the limit")
    func beyondLimit() throws {
        let small = try Spool(root: folder.path + "/beyond", limitBytes: 1000)
        let chunk = [UInt8](repeating: 1, count: 800)
        func put(_ sequence: Int, beyond: Bool = false) throws -> String {
            let writer = try small.begin(session: "sess-A", byteCount: chunk.count, beyondLimit: beyond)
            try chunk.withUnsafeBytes { try writer.append($0) }
            return try writer.commit(as: sequence)
        }
        try small.requireRoom(for: 1000)
        let path = try put(1)
        #expect(failure(StorageFailure.self) { try small.requireRoom(for: 201) }?.isOutOfSpace == true)
        _ = try chunk.withUnsafeBytes { try small.write($0, by: "compress", of: path, sequence: 1) }
        #expect(failure(StorageFailure.self) { _ = try put(2) }?.isOutOfSpace == true)
        _ = try put(2, beyond: true)
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
        let highest = Lock(0)
        DispatchQueue.concurrentPerform(iterations: writers) { writer in
            // Each has a spool of its own, as in a process of its own.
            guard let own = try? Spool(root: root, limitBytes: limit) else { return }
            let chunk = [UInt8](repeating: UInt8(writer), count: 1000)
            for number in 1...each {
                while true {
                    let path = try? chunk.withUnsafeBytes {
                        try own.write($0, session: "sess-\(writer)", sequence: number)
                    }
                    guard let path else {
                        sched_yield()
                        continue
                    }
                    // Finished files alone: who is refused has taken room for a moment.
                    let found = (0..<writers).reduce(0) {
                        $0 + ((try? own.recorded(session: "sess-\($1)").count) ?? 0)
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

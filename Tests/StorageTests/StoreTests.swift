import Blobs
import Base
import Dispatch
import Glibc
import Foundation
import Testing

@testable import ChunkFiles
@testable import Files

@Suite("Chunk store")
struct ChunkStoreTests {
    let folder: TemporaryFolder
    let store: ChunkStore
    let buffer = ScratchBuffer()

    init() throws {
        folder = try TemporaryFolder()
        store = try ChunkStore(root: folder.path + "/a/chunks/")
    }

    private func put(_ bytes: [UInt8], _ sequence: Int = 1, session: String = "sess-A") throws -> PutOutcome {
        try bytes.withUnsafeBytes { try store.store($0, session: session, sequence: sequence) }
    }

    private func get(_ sequence: Int = 1) throws -> [UInt8] {
        try store.read(
            session: "sess-A", sequence: sequence, into: buffer, expectedBytes: nil, maximumBytes: 1 << 20)
        return buffer.copyBytes()
    }

    @Test("a file is written once; the first one stays")
    func writeOnce() throws {
        #expect(try put([1, 2, 3]) == .stored)
        #expect(try put([4, 5]) == .alreadyStored(bytes: 3))
        #expect(try get() == [1, 2, 3])
        #expect(try ChunkStore.relativePath(session: "sess-A", sequence: 1) == "sess-A/00000001.reel")
        #expect(try folder.names("a/chunks/sess-A") == ["00000001.reel"])
        #expect(try store.size(session: "sess-A", sequence: 1) == 3)
        #expect(try store.size(session: "sess-A", sequence: 2) == nil)
    }

    @Test("of writers that race, one wins, the others learn of it, and nothing else is left")
    func race() throws {
        let results = Lock<[Int: PutOutcome]>([:])
        let store = store
        for round in 1...20 {
            results.withLock { $0 = [:] }
            DispatchQueue.concurrentPerform(iterations: 6) { writer in
                let image = [UInt8](repeating: UInt8(writer), count: 20_000 + writer)
                let outcome = image.withUnsafeBytes {
                    try? store.store($0, session: "sess-A", sequence: round)
                }
                if let outcome { results.withLock { $0[writer] = outcome } }
            }
            let outcomes = results.withLock { $0 }
            #expect(outcomes.count == 6)
            let winners = outcomes.filter { $0.value == .stored }.keys
            let winner = try #require(winners.first)
            #expect(winners.count == 1)
            #expect(try get(round) == [UInt8](repeating: UInt8(winner), count: 20_000 + winner))
            #expect(outcomes.values.filter { $0 == .alreadyStored(bytes: 20_000 + winner) }.count == 5)
        }
        #expect(try folder.names("a/chunks/sess-A").count == 20)
    }

    @Test("ids and numbers that could leave the folder are refused before the disk is touched")
    func identifiers() throws {
        for session in ["", "..", "a/b", "/etc", ".tmp-x"] {
            #expect(
                failure(StorageFailure.self) { _ = try put([1], session: session) }
                    == .invalidIdentifier(session))
        }
        for number in [-1, 0, 100_000_000] {
            #expect(failure(StorageFailure.self) { _ = try put([1], number) } == .invalidSequence(number))
        }
        #expect(try folder.names("a/chunks").isEmpty)
    }

    @Test("reads are bounded and name what is wrong")
    func reading() throws {
        _ = try put([1, 2, 3, 4])
        let path = try store.path(session: "sess-A", sequence: 1)
        #expect(
            failure(StorageFailure.self) {
                try store.read(
                    session: "sess-A", sequence: 1, into: buffer, expectedBytes: nil, maximumBytes: 3)
            } == .tooLarge(path: path, bytes: 4, limit: 3))
        #expect(
            failure(StorageFailure.self) {
                try store.read(
                    session: "sess-A", sequence: 1, into: buffer, expectedBytes: 5, maximumBytes: 100)
            } == .wrongSize(path: path, expected: 5, found: 4))
        #expect(
            failure(StorageFailure.self) { _ = try get(2) }
                == .missing(path: try store.path(session: "sess-A", sequence: 2)))
    }

    @Test("lists chunks by number and shows what does not belong")
    func listing() throws {
        _ = try put([1], 2)
        _ = try put([1, 2], 1)
        for name in ["stray.txt", "00000000.reel", "0000000x.reel", "00000003.reel.bak", ".tmp-1"] {
            try folder.write([0], to: "a/chunks/sess-A/\(name)")
        }
        let listing = try store.list(session: "sess-A")
        #expect(listing.files.map(\.sequenceNumber) == [1, 2])
        #expect(listing.files.map(\.bytes) == [2, 1])
        #expect(
            listing.others.map(\.name) == [
                "00000000.reel", "00000003.reel.bak", "0000000x.reel", "stray.txt",
            ])
        #expect(try store.list(session: "sess-none") == SessionListing(files: [], others: []))
        #expect(try store.sessions() == ["sess-A"])
    }

    @Test("removes files and sessions; sweeping takes old temporary names only")
    func removal() throws {
        _ = try put([1])
        _ = try put([1], 2)
        #expect(try store.remove(session: "sess-A", sequence: 1))
        #expect(try !store.remove(session: "sess-A", sequence: 1))
        try folder.write([0], to: "a/chunks/sess-A/.tmp-old")
        try folder.write([0], to: "a/chunks/sess-A/.tmp-new")
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -1000)],
            ofItemAtPath: folder.path + "/a/chunks/sess-A/.tmp-old")
        #expect(try store.sweepTemporaries(olderThanSeconds: 600) == 1)
        #expect(try folder.names("a/chunks/sess-A") == [".tmp-new", "00000002.reel"])
        #expect(try store.removeSession("sess-A") == 2)
        #expect(try store.removeSession("sess-A") == 0)
        #expect(try folder.names("a/chunks").isEmpty)
    }

    @Test("failures carry call, path and the system's words, and say whether to wait")
    func failures() throws {
        try folder.write([0], to: "file")
        let found = failure(StorageFailure.self) { _ = try ChunkStore(root: folder.path + "/file/x") }
        guard case .file(let cause) = found else {
            Issue.record("\(String(describing: found))")
            return
        }
        #expect(cause.path.hasPrefix(folder.path + "/file"))
        #expect(cause.description == "mkdir \(cause.path): \(cause.text)")
        #expect(!cause.isTransient && !cause.isOutOfSpace)
        let full = FileFailure("write", "x", code: ENOSPC)
        #expect(full.isTransient && full.isOutOfSpace)
        #expect(StorageFailure.file(full).isOutOfSpace)
        #expect(FileFailure("open", "x", code: EMFILE).isTransient)
        #expect(!FileFailure("open", "x", code: EACCES).isTransient)
        let space = try DiskSpace.of(folder.path)
        #expect(space.availableBytes > 0 && space.availableBytes <= space.totalBytes)
    }
}

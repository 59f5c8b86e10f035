import Blobs
import ChunkFiles
import Files
import Foundation
import Glibc
import Simulation
import Testing

@Suite("Stores of blobs keep their contract")
struct BlobStoreTests {
    @Test("files", arguments: BlobStoreContract.cases)
    func files(_ promise: BlobStoreCase) throws {
        let folder = try TemporaryFolder()
        try promise.check(FileBlobs(root: folder.path + "/blobs"))
    }

    @Test("in memory", arguments: BlobStoreContract.cases)
    func inMemory(_ promise: BlobStoreCase) throws {
        try promise.check(InMemoryBlobs())
    }

    @Test("a store of files names what somebody else has put there, and follows no link")
    func others() throws {
        let folder = try TemporaryFolder()
        let store = try FileBlobs(root: folder.path)
        _ = try [1].withUnsafeBytes { try store.putIfAbsent($0, BlobName("a/1")) }
        try folder.write([1], to: "a/not a name")
        try folder.write([1], to: "a/.tmp-unfinished")
        #expect(symlink("/etc/passwd", folder.path + "/a/link") == 0)
        let found = try store.list(["a"])
        #expect(found.blobs == [StoredBlob(name: "1", bytes: MemoryLayout<Int>.size)])
        #expect(
            found.others == [
                OtherName(name: "link", kind: .symbolicLink), OtherName(name: "not a name", kind: .regular),
            ])
        #expect(throws: StorageFailure.notAFile(path: folder.path + "/a/link", .symbolicLink)) {
            try store.read(BlobName("a/link"), from: 0, count: 1, into: ScratchBuffer())
        }
        #expect(try store.sweepUnfinished(["a"], olderThanSeconds: 3600) == 0)
        #expect(try store.sweepUnfinished(["a"], olderThanSeconds: -10) == 1)
        #expect(try folder.names("a") == ["1", "link", "not a name"])
    }

    @Test("the chunk store works on any store of blobs")
    func chunks() throws {
        let chunks = ChunkStore(InMemoryBlobs())
        let image: [UInt8] = [1, 2, 3]
        let outcome = try image.withUnsafeBytes { try chunks.store($0, session: "sess-A", sequence: 1) }
        #expect(outcome == .stored)
        #expect(try chunks.size(session: "sess-A", sequence: 1) == 3)
        #expect(try chunks.sessions() == ["sess-A"])
        #expect(try chunks.list(session: "sess-A").files.map(\.sequenceNumber) == [1])
        #expect(try chunks.setAside(session: "sess-A", sequence: 1))
        #expect(try chunks.sessions() == [])
        #expect(try !chunks.remove(session: "sess-A", sequence: 1))
        #expect(throws: StorageFailure.invalidIdentifier("../x")) {
            try chunks.size(session: "../x", sequence: 1)
        }
    }
}

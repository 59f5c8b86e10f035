import Foundation
import Glibc
import Testing

@testable import Blobs
@testable import ChunkFiles
@testable import Files
@testable import Sealing

/// Things that a hostile hand puts where a file belongs.
enum Planted: String, CaseIterable, Sendable {
    case pipe, socket, folder, device, linkToFile, linkToFolder, linkToNothing, linkToDevice

    var kind: FileKind {
        switch self {
        case .pipe: .pipe
        case .socket: .socket
        case .folder: .folder
        case .device: .characterDevice
        case .linkToFile, .linkToFolder, .linkToNothing, .linkToDevice: .symbolicLink
        }
    }

    /// Puts it there; false where this user may not.
    func put(at path: String, outside: String) -> Bool {
        switch self {
        case .pipe: mkfifo(path, 0o600) == 0
        case .socket: Self.bindSocket(path)
        case .folder: mkdir(path, 0o700) == 0
        // The endless device: whoever reads it to its end never comes back.
        case .device: mknod(path, S_IFCHR | 0o600, 1 << 8 | 5) == 0
        case .linkToFile: symlink("\(outside)/file", path) == 0
        case .linkToFolder: symlink(outside, path) == 0
        case .linkToNothing: symlink("\(outside)/none", path) == 0
        case .linkToDevice: symlink("/dev/zero", path) == 0
        }
    }

    private static func bindSocket(_ path: String) -> Bool {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}

/// A store with two chunks, and a folder outside of it that nobody may touch.
private struct Scene {
    let folder: TemporaryFolder
    let store: ChunkStore
    let buffer = ScratchBuffer()
    var outside: String { folder.path + "/outside" }
    var session: String { folder.path + "/chunks/sess-A" }

    init() throws {
        folder = try TemporaryFolder()
        store = try ChunkStore(root: folder.path + "/chunks")
        try FileManager.default.createDirectory(
            atPath: folder.path + "/outside", withIntermediateDirectories: true)
        for name in ["file", "00000001.reel", "00000002.reel", ".tmp-old"] {
            try folder.write([1, 2, 3], to: "outside/\(name)")
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -10_000)],
                ofItemAtPath: folder.path + "/outside/" + name)
        }
        for number in 1...2 {
            _ = try [UInt8]([1, 2, 3]).withUnsafeBytes {
                try store.store($0, session: "sess-A", sequence: number)
            }
        }
    }

    func expectOutsideUntouched(_ what: String) throws {
        #expect(
            try folder.names("outside") == [".tmp-old", "00000001.reel", "00000002.reel", "file"], "\(what)")
        for name in try folder.names("outside") {
            #expect(try folder.read("outside/\(name)") == [1, 2, 3], "\(what): \(name)")
        }
    }

    /// Every call that could follow something out of the store, or wait for somebody.
    var calls: [(String, () throws -> Void)] {
        let bytes: [UInt8] = [9, 9, 9]
        return [
            (
                "read",
                {
                    try store.read(
                        session: "sess-A", sequence: 1, into: buffer, expectedBytes: 3, maximumBytes: 100)
                }
            ),
            ("size", { _ = try store.size(session: "sess-A", sequence: 1) }),
            (
                "store",
                { _ = try bytes.withUnsafeBytes { try store.store($0, session: "sess-A", sequence: 1) } }
            ),
            ("list", { _ = try store.list(session: "sess-A") }),
            ("setAside", { _ = try store.setAside(session: "sess-A", sequence: 1) }),
            ("remove", { _ = try store.remove(session: "sess-A", sequence: 1) }),
            ("sweep", { _ = try store.sweepTemporaries(olderThanSeconds: 0) }),
            ("removeSession", { _ = try store.removeSession("sess-A") }),
        ]
    }
}

@Suite("Special files where the store's own belong", .timeLimit(.minutes(1)))
struct SpecialFileTests {
    @Test(
        "anything but a regular file in a chunk's place is named, and the next chunk is read",
        arguments: Planted.allCases)
    func inPlace(_ planted: Planted) throws {
        let scene = try Scene()
        let path = scene.session + "/00000001.reel"
        try #require(unlink(path) == 0)
        guard planted.put(at: path, outside: scene.outside) else { return }
        func refused(_ what: String, _ call: () throws -> Void) {
            let found = failure(StorageFailure.self, call)
            #expect(found == .notAFile(path: path, planted.kind), "\(what)")
        }
        refused("read") {
            try scene.store.read(
                session: "sess-A", sequence: 1, into: scene.buffer, expectedBytes: 3, maximumBytes: 100)
        }
        refused("size") { _ = try scene.store.size(session: "sess-A", sequence: 1) }
        refused("store") {
            _ = try [UInt8]([7]).withUnsafeBytes {
                try scene.store.store($0, session: "sess-A", sequence: 1)
            }
        }
        try scene.store.read(
            session: "sess-A", sequence: 2, into: scene.buffer, expectedBytes: 3, maximumBytes: 100)
        #expect(scene.buffer.copyBytes() == [1, 2, 3])
        let listing = try scene.store.list(session: "sess-A")
        #expect(listing.files.map(\.sequenceNumber) == [2])
        #expect(listing.others == [OtherName(name: "00000001.reel", kind: planted.kind)])
        #expect(try scene.store.removeSession("sess-A") >= 1)
        #expect(try scene.folder.names("chunks").isEmpty)
        try scene.expectOutsideUntouched("\(planted)")
    }

    @Test(
        "a session's folder that is none is never followed, and removing the session touches nothing else",
        arguments: Planted.allCases.filter { $0 != .folder })
    func sessionFolder(_ planted: Planted) throws {
        let calls = try Scene().calls.map(\.0)
        for (number, call) in calls.enumerated() {
            let scene = try Scene()
            try FileManager.default.removeItem(atPath: scene.session)
            guard planted.put(at: scene.session, outside: scene.outside) else { return }
            let found = failure(StorageFailure.self) { try scene.calls[number].1() }
            switch call {
            case "sweep", "removeSession": #expect(found == nil, "\(call)")
            default: #expect(found == .notAFolder(path: scene.session, planted.kind), "\(call)")
            }
            try scene.expectOutsideUntouched("\(planted): \(call)")
            #expect(try scene.folder.names("chunks") == (call == "removeSession" ? [] : ["sess-A"]))
        }
    }

    @Test("lost files are not moved along a link")
    func lostFolder() throws {
        for place in [".lost", ".lost/sess-A"] {
            let scene = try Scene()
            let lost = scene.folder.path + "/chunks/" + place
            if place != ".lost" { try #require(mkdir(scene.folder.path + "/chunks/.lost", 0o700) == 0) }
            try #require(symlink(scene.outside, lost) == 0)
            let found = failure(StorageFailure.self) {
                _ = try scene.store.setAside(session: "sess-A", sequence: 1)
            }
            #expect(found == .notAFolder(path: lost, .symbolicLink))
            try scene.expectOutsideUntouched(place)
            #expect(try scene.folder.names("chunks/sess-A").count == 2)
        }
    }

    @Test("hostile names are shown and removed, folders in folders too, and links in them are not followed")
    func names() throws {
        let scene = try Scene()
        let long = String(repeating: "x", count: 255)
        for name in ["a\nb", long, "00000001.reel ", "\u{1B}[31m", ".tmp-\u{7}"] {
            try #require(creat(scene.session + "/" + name, 0o600) >= 0)
        }
        let notText = [CChar](Array((scene.session + "/").utf8).map { CChar(bitPattern: $0) }) + [-1, -2, 0]
        try #require(creat(notText, 0o600) >= 0)
        var deep = scene.session
        for _ in 0..<5 {
            deep += "/.tmp-d"
            try #require(mkdir(deep, 0o700) == 0)
            try #require(symlink(scene.outside, deep + "/link") == 0)
        }
        let listing = try scene.store.list(session: "sess-A")
        #expect(listing.files.map(\.sequenceNumber) == [1, 2])
        #expect(listing.others.count == 6)
        #expect(listing.others.contains(OtherName(name: ".tmp-d", kind: .folder)))
        #expect(listing.others.contains(OtherName(name: "\u{FFFD}\u{FFFD}", kind: .regular)))
        #expect(try scene.store.sweepTemporaries(olderThanSeconds: -5) == 1)
        #expect(try scene.store.removeSession("sess-A") == 2 + 5 + 5)
        #expect(try scene.folder.names("chunks").isEmpty)
        try scene.expectOutsideUntouched("names")
    }

    @Test("of a file that is too large nothing is read")
    func large() throws {
        let scene = try Scene()
        let path = scene.session + "/00000001.reel"
        try #require(truncate(path, 1 << 30) == 0)
        #expect(
            failure(StorageFailure.self) {
                try scene.store.read(
                    session: "sess-A", sequence: 1, into: scene.buffer, expectedBytes: 3, maximumBytes: 100)
            } == .wrongSize(path: path, expected: 3, found: 1 << 30))
        #expect(
            failure(StorageFailure.self) {
                try scene.store.read(
                    session: "sess-A", sequence: 1, into: scene.buffer, expectedBytes: nil, maximumBytes: 1000
                )
            } == .tooLarge(path: path, bytes: 1 << 30, limit: 1000))
        #expect(scene.buffer.capacity < 1 << 20)
    }

    @Test("the folder that a store was opened with stays its folder, whatever its path becomes")
    func replacedRoot() throws {
        let scene = try Scene()
        let root = scene.folder.path + "/chunks"
        try #require(rename(root, scene.folder.path + "/moved") == 0)
        try #require(symlink(scene.outside, root) == 0)
        for (_, call) in scene.calls { _ = failure(StorageFailure.self, call) }
        try scene.expectOutsideUntouched("replaced root")
        #expect(try scene.folder.names("moved") == [".lost"])
    }

    @Test("the administrator's own link to the store is followed")
    func linkedRoot() throws {
        let scene = try Scene()
        let link = scene.folder.path + "/link"
        try #require(symlink(scene.folder.path + "/chunks", link) == 0)
        let store = try ChunkStore(root: link + "/")
        try store.read(
            session: "sess-A", sequence: 2, into: scene.buffer, expectedBytes: 3, maximumBytes: 100)
        #expect(scene.buffer.copyBytes() == [1, 2, 3])
    }
}

@Suite("Special files in spool, archive and key folder", .timeLimit(.minutes(1)))
struct SpecialFilesElsewhereTests {
    @Test("the spool opens nothing but its own files", arguments: Planted.allCases)
    func spool(_ planted: Planted) throws {
        let folder = try TemporaryFolder()
        let outside = folder.path + "/outside"
        try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
        try folder.write([1, 2, 3], to: "outside/file")
        try folder.write([1, 2, 3], to: "outside/00000001.raw")
        let spool = try Spool(root: folder.path + "/spool")
        let buffer = ScratchBuffer()
        let path = try [UInt8]([1, 2, 3]).withUnsafeBytes {
            try spool.write($0, session: "sess-A", sequence: 1)
        }
        let full = "\(spool.root)/\(path)"
        try #require(unlink(full) == 0)
        guard planted.put(at: full, outside: outside) else { return }
        let found = failure(StorageFailure.self) { try spool.read(path, expectedBytes: 3, into: buffer) }
        #expect(found == .notAFile(path: full, planted.kind))
        #expect(try spool.usage() == SpoolUsage(bytes: 0, files: 0))
        _ = try spool.removeSession("sess-A")
        #expect(try folder.names("spool").isEmpty)
        guard planted != .folder else { return }
        let session = spool.root + "/sess-A"
        _ = planted.put(at: session, outside: outside)
        for call in [
            { try spool.read(path, expectedBytes: 3, into: buffer) },
            { _ = try spool.purge(path, of: "sess-A") }, { _ = try spool.remove(path) },
            { _ = try spool.recorded(session: "sess-A") },
            {
                _ = try [UInt8]([1]).withUnsafeBytes {
                    try spool.write($0, session: "sess-A", sequence: 1)
                }
            },
        ] as [() throws -> Void] {
            #expect(failure(StorageFailure.self, call) == .notAFolder(path: session, planted.kind))
        }
        _ = try spool.removeSession("sess-A")
        #expect(try folder.names("spool").isEmpty)
        #expect(try folder.names("outside") == ["00000001.raw", "file"])
    }

    @Test("the archive opens nothing but its own files", arguments: Planted.allCases)
    func archive(_ planted: Planted) throws {
        let folder = try TemporaryFolder()
        let outside = folder.path + "/outside"
        try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
        try folder.write([1, 2, 3], to: "outside/file")
        let files = ArchiveFiles(root: folder.path + "/archive")
        let file = ArchiveFile(header: [1], index: [2], payload: [3])
        #expect(try files.write(file, in: ["E", "p000"], name: "a.seg"))
        let path = folder.path + "/archive/E/p000/a.seg"
        try #require(unlink(path) == 0)
        guard planted.put(at: path, outside: outside) else { return }
        for call in [
            { _ = try files.read(in: ["E", "p000"], name: "a.seg") },
            { _ = try files.readFront(in: ["E", "p000"], name: "a.seg") },
            { _ = try files.readSealed(in: ["E", "p000"], name: "a.seg") },
        ] as [() throws -> Void] {
            #expect(
                failure(ArchiveFailure.self, call) == .storage(.notAFile(path: path, planted.kind)))
        }
        guard planted != .folder else { return }
        try FileManager.default.removeItem(atPath: folder.path + "/archive/E")
        _ = planted.put(at: folder.path + "/archive/E", outside: outside)
        for call in [
            { _ = try files.write(file, in: ["E", "p000"], name: "a.seg") },
            { _ = try files.names(in: ["E", "p000"]) },
            { _ = try files.readFront(in: ["E", "p000"], name: "a.seg") },
            { _ = try files.sweepTemporaries(in: ["E", "p000"], olderThanSeconds: 0) },
        ] as [() throws -> Void] {
            let found = failure(ArchiveFailure.self, call)
            #expect(found == .storage(.notAFolder(path: folder.path + "/archive/E", planted.kind)))
        }
        #expect(try folder.names("outside") == ["file"])
    }

    @Test("a key file that is none is named, and nothing waits for it", arguments: Planted.allCases)
    func keys(_ planted: Planted) throws {
        let folder = try TemporaryFolder()
        let outside = folder.path + "/outside"
        try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
        try folder.write([1, 2, 3], to: "outside/file")
        let keys = folder.path + "/keys"
        let ring = try KeyRing.open(folder: keys)
        for name in ["active", "\(try ring.activeKey().id).kek"] {
            try #require(rename("\(keys)/\(name)", "\(keys)/kept") == 0)
            guard planted.put(at: "\(keys)/\(name)", outside: outside) else { return }
            let found = failure(KeyFailure.self) { _ = try KeyRing.open(folder: keys) }
            let text = found.map { "\($0)" } ?? "nothing"
            #expect(text.contains("\(keys)/\(name)") && text.contains(planted.kind.rawValue), "\(text)")
            try FileManager.default.removeItem(atPath: "\(keys)/\(name)")
            try #require(rename("\(keys)/kept", "\(keys)/\(name)") == 0)
        }
        let large = "\(keys)/\(try ring.activeKey().id).kek"
        try #require(truncate(large, 1 << 30) == 0)
        let found = failure(KeyFailure.self) { _ = try KeyRing.open(folder: keys) }
        #expect(found == .damagedFile(path: large, reason: "it has \(1 << 30) bytes"))
    }
}

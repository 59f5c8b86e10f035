import Base
import Glibc
import Testing

@testable import Sealing

/// A key folder with an active and a retired key, and sessions' keys wrapped by each.
private final class Keys {
    let folder: ScratchFolder
    private(set) var files: [(name: String, bytes: [UInt8])] = []
    private(set) var wrapped: [WrappedKey] = []
    private var commitments: [Digest] = []

    init() throws {
        folder = try ScratchFolder()
        let ring = try KeyRing.open(folder: folder.path + "/keys")
        for number in 1...2 {
            let key = try SessionKey.generate(sessionID: "sess-\(number)", keyID: "key-\(number)")
            wrapped.append(try ring.wrap(key))
            commitments.append(key.commitment)
            if number == 1 { try ring.rotate() }
        }
        let ids = try ring.keys().map { $0.id + ".kek" }
        for name in ids + ["active"] { files.append((name, try #require(folder.get("keys/" + name)))) }
    }

    func isRight(_ key: SessionKey, _ number: Int) -> Bool { key.commitment == commitments[number] }

    /// Spoils a file of the folder, or puts another one beside it.
    func change(_ file: (name: String, bytes: [UInt8]), _ mutator: inout Mutator) throws {
        let path = "keys/" + file.name
        let bytes = mutator.mutate(file.bytes, other: mutator.pick(files).bytes)
        switch mutator.below(30) {
        case 0: try folder.putSpecial(at: path, kind: mutator.below(3), bytes: file.bytes)
        case 1: folder.remove(path)
        case 2:
            try folder.put(file.bytes, at: path, mode: mutator.pick([0o640, 0o604, 0o660, 0o666, 0o777]))
        case 3: try folder.put(bytes, at: "keys/" + mutator.pick(["x.kek", "kek-0.kek", ".kek", "activ"]))
        default: try folder.put(bytes, at: path)
        }
    }

    /// What stands in the folder: mode and bytes of each file.
    func snapshot() throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for name in try folder.names("keys") {
            let mode = folder.mode("keys/" + name)
            found[name] = [UInt8(mode >> 8 & 0xFF), UInt8(mode & 0xFF)]
            if !folder.isSpecial("keys/" + name) { found[name]? += folder.get("keys/" + name) ?? [] }
        }
        return found
    }

    /// A file of the ring that is no regular file, or that others may read.
    var exposed: String? {
        files.map(\.name).first { name in
            let mode = folder.mode("keys/" + name)
            return mode != 0 && (folder.isSpecial("keys/" + name) || mode & 0o077 != 0)
        }
    }

    /// Whether a snapshot is that of the folder that was made.
    func isSound(_ snapshot: [String: [UInt8]]) -> Bool {
        let mode = UInt32(S_IFREG) | 0o600
        return snapshot
            == Dictionary(
                uniqueKeysWithValues: files.map {
                    ($0.name, [UInt8(mode >> 8 & 0xFF), UInt8(mode & 0xFF)] + $0.bytes)
                })
    }

    /// The folder as it was.
    func restore(_ names: [String]) throws {
        for name in try folder.names("keys") where !files.contains(where: { $0.name == name }) {
            folder.remove("keys/" + name)
        }
        for file in files where names.contains(file.name) {
            try folder.put(file.bytes, at: "keys/" + file.name)
        }
    }
}

@Suite("Key folders and wrapped keys that were changed at random", .serialized)
struct KeyFuzzTests {
    @Test("give the key that was wrapped, or are refused, and nothing in the folder is replaced")
    func keyFolder() throws {
        let campaign = Campaign("keys")
        let keys = try Keys()
        let words = ["kek-", ".kek", "active", "\n", "\r\n", " ", "/", "..", "\u{0}", "ABCDEF"]
        try campaign.run { seed in
            var mutator = Mutator(seed: seed, dictionary: words)
            let file = mutator.pick(keys.files)
            defer { try? keys.restore([file.name]) }
            try keys.change(file, &mutator)
            let before = try keys.snapshot()
            let number = mutator.below(keys.wrapped.count)
            let verdict: Campaign.Verdict
            do throws(KeyFailure) {
                let key = try KeyRing.open(folder: keys.folder.path + "/keys").unwrap(keys.wrapped[number])
                guard keys.isRight(key, number) else {
                    return .wrong("another key comes out than was wrapped")
                }
                if let name = keys.exposed { return .wrong("\(name) is used although others could reach it") }
                verdict = keys.isSound(before) ? .unchanged : .right
            } catch {
                guard !keys.isSound(before) else { return .wrong("what is sound is refused: \(error)") }
                verdict = .refused
            }
            let after = try keys.snapshot()
            for (name, found) in before where after[name] != found { return .wrong("\(name) was replaced") }
            return verdict
        }
    }

    @Test("wrapped keys in a database give the key that was wrapped, or are refused")
    func wrappedKeys() throws {
        let campaign = Campaign("wrapped keys")
        let keys = try Keys()
        let ring = try KeyRing.open(folder: keys.folder.path + "/keys")
        try campaign.run { seed in
            var mutator = Mutator(seed: seed, dictionary: ["kek-", "sess-", "key-", "\n", "/", ".."])
            let number = mutator.below(keys.wrapped.count)
            let (original, other) = (keys.wrapped[number], keys.wrapped[1 - number])
            func text(_ value: String, _ otherValue: String, _ mutator: inout Mutator) -> String {
                guard mutator.oneIn(4) else { return value }
                if mutator.oneIn(2) { return otherValue }
                return String(
                    decoding: mutator.mutate(Array(value.utf8), other: Array(otherValue.utf8)), as: UTF8.self)
            }
            func field(_ value: [UInt8], _ otherValue: [UInt8], _ mutator: inout Mutator) -> [UInt8] {
                guard mutator.oneIn(4) else { return value }
                return mutator.oneIn(3) ? otherValue : mutator.mutate(value, other: otherValue)
            }
            let changed = WrappedKey(
                sessionID: text(original.sessionID, other.sessionID, &mutator),
                keyID: text(original.keyID, other.keyID, &mutator),
                keyEncryptionKeyID: text(original.keyEncryptionKeyID, other.keyEncryptionKeyID, &mutator),
                nonce: field(original.nonce, other.nonce, &mutator),
                ciphertext: field(original.ciphertext, other.ciphertext, &mutator))
            do throws(KeyFailure) {
                let key = try ring.unwrap(changed)
                guard changed == original || changed == other else { return .wrong("\(changed) is taken") }
                return keys.isRight(key, changed == original ? number : 1 - number)
                    ? .unchanged : .wrong("another key comes out than was wrapped")
            } catch { return changed == original ? .wrong("what is sound is refused: \(error)") : .refused }
        }
    }
}

import Base
import CSodium
import Dispatch
import Glibc
import Testing

@testable import Sealing

@Suite("Keys")
struct KeyTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func ring() throws -> KeyRing { try KeyRing.open(folder: folder.path + "/keys") }
    private func bytes(_ key: SessionKey) -> [UInt8] { key.withDataKey { [UInt8]($0) } }

    @Test("subkeys are libsodium's, and printing shows no key")
    func derivation() throws {
        let raw = [UInt8](0..<32)
        let key = try raw.withUnsafeBytes { try SessionKey(sessionID: "s", keyID: "k", dataKey: $0) }
        var subkey = [UInt8](repeating: 0, count: 32)
        #expect(crypto_kdf_derive_from_key(&subkey, 32, 3, "reelchnk", raw) == 0)
        #expect(key.commitment.bytes == subkey)
        #expect(crypto_kdf_derive_from_key(&subkey, 32, 2, "reelchnk", raw) == 0)
        let message = [UInt8]("content".utf8)
        let expected = subkey.withUnsafeBytes { HMACSHA256(key: $0) }
        #expect(
            message.withUnsafeBytes { key.contentDigester().authenticate($0) }
                == message.withUnsafeBytes { expected.authenticate($0) })
        var dumped = ""
        dump(key, to: &dumped)
        #expect("\(key)" == "SessionKey(k of s)")
        #expect(!dumped.contains("dataKey"))
        #expect(throws: KeyFailure.self) {
            try raw[..<31].withUnsafeBytes { _ = try SessionKey(sessionID: "s", keyID: "k", dataKey: $0) }
        }
        #expect(throws: KeyFailure.self) { try SessionKey.generate(sessionID: "../x") }
    }

    @Test("a wrapped key unwraps to itself, and every change is refused")
    func wrapping() throws {
        let ring = try ring()
        let key = try SessionKey.generate(sessionID: "sess-A")
        let wrapped = try ring.wrap(key)
        #expect(bytes(try ring.unwrap(wrapped)) == bytes(key))
        #expect(try ring.unwrap(wrapped).commitment == key.commitment)
        func changed(
            session: String = "sess-A", key: String? = nil, nonce: [UInt8]? = nil, cipher: [UInt8]? = nil
        ) -> KeyFailure? {
            let copy = WrappedKey(
                sessionID: session, keyID: key ?? wrapped.keyID,
                keyEncryptionKeyID: wrapped.keyEncryptionKeyID, nonce: nonce ?? wrapped.nonce,
                ciphertext: cipher ?? wrapped.ciphertext)
            return failure(KeyFailure.self) { _ = try ring.unwrap(copy) }
        }
        func isRefused(_ failure: KeyFailure?) -> Bool {
            if case .unwrapFailed = failure { true } else { false }
        }
        #expect(isRefused(changed(session: "sess-B")))
        #expect(isRefused(changed(key: "key-other")))
        for index in wrapped.nonce.indices {
            var nonce = wrapped.nonce
            nonce[index] ^= 1
            #expect(isRefused(changed(nonce: nonce)))
        }
        for index in wrapped.ciphertext.indices {
            var cipher = wrapped.ciphertext
            cipher[index] ^= 0x80
            #expect(isRefused(changed(cipher: cipher)))
        }
        #expect(changed(nonce: []) == .invalid(what: "nonce", reason: "0 bytes"))
        #expect(changed(cipher: [1]) == .invalid(what: "ciphertext", reason: "1 bytes"))
    }

    @Test("after a rotation old keys unwrap, new ones use the new key, rewrapping moves over")
    func rotation() throws {
        let ring = try ring()
        let other = try self.ring()
        let key = try SessionKey.generate(sessionID: "sess-A")
        let old = try ring.wrap(key)
        let active = try ring.rotate()
        #expect(active.state == .active)
        #expect(try ring.keys().map(\.state) == [.active, .retired])
        #expect(try other.activeKey().id == active.id, "another process sees the rotation")
        #expect(bytes(try other.unwrap(old)) == bytes(key))
        let new = try #require(try ring.rewrap(old))
        #expect(new.keyEncryptionKeyID == active.id)
        #expect(try ring.rewrap(new) == nil)
        #expect(bytes(try other.unwrap(new)) == bytes(key))
        let unknown = WrappedKey(
            sessionID: "sess-A", keyID: key.keyID, keyEncryptionKeyID: "kek-gone", nonce: new.nonce,
            ciphertext: new.ciphertext)
        #expect(
            failure(KeyFailure.self) { _ = try ring.unwrap(unknown) }
                == .unknownKeyEncryptionKey(id: "kek-gone", folder: ring.folder))
        // A key under another's id must not pass for it.
        let mixed = WrappedKey(
            sessionID: "sess-A", keyID: key.keyID, keyEncryptionKeyID: old.keyEncryptionKeyID,
            nonce: new.nonce, ciphertext: new.ciphertext)
        #expect(throws: KeyFailure.self) { try ring.unwrap(mixed) }
    }

    @Test("files are private, whole, and what they were on the next start")
    func persistence() throws {
        let first = try ring().activeKey().id
        #expect(try ring().activeKey().id == first)
        #expect(try folder.names("keys") == ["active", "\(first).kek"])
        #expect(try folder.read("keys/\(first).kek").count == 65)
        for name in try folder.names("keys") {
            var status = stat()
            try #require(lstat(folder.path + "/keys/" + name, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
        }
    }

    @Test("files and folders open to others are refused by name", arguments: [0o640, 0o604, 0o660, 0o644])
    func permissions(mode: Int) throws {
        let id = try ring().activeKey().id
        try folder.setMode(mode, of: "keys/\(id).kek")
        #expect(
            failure(KeyFailure.self) { _ = try ring() }
                == .exposed(path: folder.path + "/keys/\(id).kek", mode: UInt32(mode)))
        try folder.setMode(0o600, of: "keys/\(id).kek")
        _ = try ring()
        try folder.setMode(0o770, of: "keys")
        #expect(
            failure(KeyFailure.self) { _ = try ring() }
                == .exposed(path: folder.path + "/keys", mode: 0o770))
        try folder.setMode(0o700, of: "keys")
    }

    @Test("a damaged key file is named")
    func damage() throws {
        let id = try ring().activeKey().id
        let good = try folder.read("keys/\(id).kek")
        for bad in [
            [], Array(good.dropLast()), Array(good.dropFirst()), good + good,
            [UInt8](repeating: 10, count: 65),
        ] {
            try folder.write(bad, to: "keys/\(id).kek")
            try folder.setMode(0o600, of: "keys/\(id).kek")
            let found = failure(KeyFailure.self) { _ = try ring() }
            guard case .damagedFile(let path, _) = found else {
                Issue.record("\(String(describing: found))")
                continue
            }
            #expect(path.hasSuffix("\(id).kek"))
        }
    }

    @Test("processes that start at once agree on one key")
    func firstUse() throws {
        let path = folder.path + "/keys"
        let active = Lock<Set<String>>([])
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            let id = (try? KeyRing.open(folder: path).activeKey().id) ?? "failed"
            active.withLock { _ = $0.insert(id) }
        }
        let agreed = active.withLock { $0 }
        #expect(agreed.count == 1)
        #expect(try folder.names("keys").count == 2)
    }
}

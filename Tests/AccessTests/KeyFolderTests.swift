import Base
import Glibc
import Testing

@testable import Access

/// A folder that is removed with everything in it.
private final class Folder {
    let path: String

    init() throws {
        var template = Array("/tmp/reel-keys-XXXXXX".utf8CString)
        path = String(cString: try #require(mkdtemp(&template)))
    }

    deinit {
        for name in names { unlink(path + "/" + name) }
        rmdir(path)
    }

    var names: [String] {
        guard let listing = opendir(path) else { return [] }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = String(decoding: DirectoryEntry(entry).nameBytes, as: UTF8.self)
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func write(_ name: String, _ bytes: some Collection<UInt8>, mode: mode_t = 0o600) throws {
        let file = open(path + "/" + name, O_CREAT | O_TRUNC | O_WRONLY, 0o600)
        try #require(file >= 0)
        defer { close(file) }
        try #require(Glibc.write(file, Array(bytes), bytes.count) == bytes.count)
        try #require(fchmod(file, mode) == 0)
    }
}

@Suite("Keys in a folder")
struct KeyFolderTests {
    private let secret = [UInt8](repeating: 7, count: 32)

    private func failure(_ folder: Folder) -> String? {
        do throws(KeyFailure) {
            _ = try KeyFolder(path: folder.path)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test("Keys of all kinds, each with the id that its file gives it")
    func kinds() throws {
        let folder = try Folder()
        try folder.write("hs.hs256", secret)
        let pem = try #require(KeyHandle(generating: ())?.privatePEM)
        try folder.write("ed.key.pem", pem)
        let set = """
            {"keys":[
            {"kty":"RSA","kid":"r","n":"\(Vector.modulus)","e":"AQAB","alg":"RS256","use":"sig"},
            {"kty":"EC","kid":"c","crv":"P-256","x":"\(Vector.x)","y":"\(Vector.y)"},
            {"kty":"OKP","kid":"o","crv":"Ed25519","x":"\(Vector.ed)"},
            {"kty":"EC","kid":"other","crv":"P-384","x":"AA","y":"AA"},
            {"kty":"RSA","kid":"enc","use":"enc"},
            {"kty":"RSA","kid":"pss","alg":"PS256","n":"\(Vector.modulus)","e":"AQAB"}]}
            """
        try folder.write("all.jwks.json", set.utf8, mode: 0o644)
        try folder.write("notes.txt", "x".utf8)
        try folder.write(".hidden.pem", "x".utf8)
        let keys = try KeyFolder(path: folder.path)
        #expect(keys.ids == ["c", "ed", "hs", "o", "r"])
        let algorithms = keys.all.mapValues(\.algorithm)
        #expect(algorithms == ["c": .es256, "ed": .eddsa, "hs": .hs256, "o": .eddsa, "r": .rs256])
    }

    @Test("Secrets that others can read, short ones and damaged files are refused with the reason")
    func refused() throws {
        let cases: [(String, [UInt8], mode_t, String)] = [
            ("k.hs256", secret, 0o644, "chmod 600"), ("k.hs256", secret, 0o620, "chmod 600"),
            ("k.hs256", Array(secret.dropLast()), 0o600, "32 bytes"), ("k.hs256", [], 0o600, "32 bytes"),
            ("k.pem", Array("no".utf8), 0o644, "PEM"), ("k.pem", [], 0o644, "PEM"),
            ("k.key.pem", try #require(KeyHandle(generating: ())?.privatePEM), 0o640, "chmod 600"),
            ("k.jwks.json", Array(#"{"keys":7}"#.utf8), 0o644, "set of JSON web keys"),
            ("k.jwks.json", Array(#"{"keys":[{"kty":"oct","kid":"a","k":"AA"}]}"#.utf8), 0o644, "chmod 600"),
            ("k.jwks.json", Array(#"{"keys":[{"kty":"oct","kid":"a","k":"AA"}]}"#.utf8), 0o600, "too weak"),
            (
                "k.jwks.json", Array(#"{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}"#.utf8),
                0o600, "too weak"
            ),
            // A point that isn't on the curve.
            (
                "k.jwks.json",
                Array(
                    #"{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"\#(Vector.x)","y":"\#(Vector.x)"}]}"#
                        .utf8),
                0o600, "too weak"
            ),
        ]
        for (name, bytes, mode, reason) in cases {
            let folder = try Folder()
            try folder.write(name, bytes, mode: mode)
            let failure = failure(folder)
            #expect(failure?.contains(reason) == true, "\(name): \(failure ?? "taken")")
        }
        let twice = try Folder()
        try twice.write("k.hs256", secret)
        let pem = try #require(KeyHandle(generating: ())?.privatePEM)
        try twice.write("k.key.pem", pem)
        #expect(failure(twice)?.contains("another file") == true)
    }

    @Test("Keys come and go while the folder is used, and a bad file hurts nobody")
    func rotation() throws {
        let folder = try Folder()
        try folder.write("old.hs256", secret)
        let keys = try KeyFolder(path: folder.path)
        let verifier = TokenVerifier(keys, TokenPolicy())
        let old = try mint("old", secret)
        #expect(try verifier.verify(old, at: at(1000)).keyID == "old")
        let other = [UInt8](repeating: 8, count: 40)
        try folder.write("new.hs256", other)
        try folder.write("bad.pem", "x".utf8)
        keys.lookSoon()
        #expect(try verifier.verify(try mint("new", other), at: at(1000)).keyID == "new")
        #expect(try verifier.verify(old, at: at(1000)).keyID == "old")
        #expect(keys.problems.map(\.path) == [folder.path + "/bad.pem"])
        unlink(folder.path + "/old.hs256")
        unlink(folder.path + "/bad.pem")
        keys.lookSoon()
        #expect(throws: TokenRefusal.unknownKey) { try verifier.verify(old, at: at(1000)) }
        #expect(keys.problems == [] && keys.ids == ["new"])
        // The same name with other bytes: what the old bytes signed is refused.
        try folder.write("new.hs256", secret)
        keys.lookSoon()
        #expect(throws: TokenRefusal.badSignature) {
            try verifier.verify(try mint("new", other), at: at(1000))
        }
    }

    private func mint(_ id: String, _ secret: [UInt8]) throws -> String {
        let key = try #require(TokenKey(id: id, secret: secret))
        let mint = try #require(TokenMint(key: key, issuer: nil, audience: nil))
        return mint.token(subject: "a", roles: [], lifetimeSeconds: 60, at: at(1000))
    }

    @Test("A mint makes its key once, for its owner alone, and the folder knows it")
    func minting() throws {
        for algorithm in [SignatureAlgorithm.hs256, .eddsa] {
            let folder = try Folder()
            func open() throws -> TokenMint {
                try TokenMint.opening(
                    folder: folder.path, id: "local", algorithm: algorithm, issuer: "reel", audience: "reel")
            }
            let first = try open()
            let token = try open().token(subject: "ada", roles: ["admin"], lifetimeSeconds: 60, at: at(1000))
            let names = folder.names
            #expect(names == [algorithm == .hs256 ? "local.hs256" : "local.key.pem"])
            var status = stat()
            #expect(stat(folder.path + "/" + names[0], &status) == 0 && status.st_mode & 0o777 == 0o600)
            let verifier = TokenVerifier(
                try KeyFolder(path: folder.path), TokenPolicy(issuer: "reel", audience: "reel"))
            #expect(try verifier.verify(token, at: at(1001)).roles == ["admin"])
            let again = first.token(subject: "bob", roles: [], lifetimeSeconds: 60, at: at(1000))
            #expect(try verifier.verify(again, at: at(1001)).subject == "bob")
        }
        let folder = try Folder()
        #expect(throws: KeyFailure.self) {
            try TokenMint.opening(folder: folder.path, id: "x", algorithm: .rs256, issuer: nil, audience: nil)
        }
        let (_, rsa) = try Vector.rs256()
        #expect(TokenMint(key: rsa, issuer: nil, audience: nil) == nil)
    }
}

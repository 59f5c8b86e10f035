package import Base
internal import CCrypto
internal import Glibc

/// Makes tokens, with an HS256 or an Ed25519 key.
package struct TokenMint: Sendable {
    private let key: TokenKey
    private let issuer: String?
    private let audience: String?

    /// Nil when `key` can't sign.
    package init?(key: TokenKey, issuer: String?, audience: String?) {
        guard key.signature(over: []) != nil else { return nil }
        self.key = key
        self.issuer = issuer
        self.audience = audience
    }

    /// The mint of the key `id` in a folder, which is made, as a new secret of 32 bytes or a new Ed25519
    /// key, when it isn't there. Whoever is second when two begin at once uses the first one's.
    package static func opening(
        folder: String, id: String, algorithm: SignatureAlgorithm, issuer: String?, audience: String?
    ) throws(KeyFailure) -> TokenMint {
        let name: String
        switch algorithm {
        case .hs256: name = "\(id).hs256"
        case .eddsa: name = "\(id).key.pem"
        case .rs256, .es256:
            throw KeyFailure(path: folder, reason: "tokens are signed with HS256 or EdDSA keys here")
        }
        let path = folder + "/" + name
        if access(path, F_OK) != 0 { try create(path, folder, algorithm) }
        let keys = try KeyFile.read(path, name: name)
        guard let key = keys.first, let mint = TokenMint(key: key, issuer: issuer, audience: audience) else {
            throw KeyFailure(path: path, reason: "it is no key that can sign")
        }
        return mint
    }

    private static func create(
        _ path: String, _ folder: String, _ algorithm: SignatureAlgorithm
    ) throws(KeyFailure) {
        if mkdir(folder, 0o700) != 0, errno != EEXIST {
            throw KeyFailure(path: folder, reason: "the folder can't be made")
        }
        var bytes = [UInt8](repeating: 0, count: 32)
        if algorithm == .eddsa {
            guard let pem = KeyHandle(generating: ())?.privatePEM else {
                throw KeyFailure(path: path, reason: "no key can be made")
            }
            bytes = pem
        } else {
            guard RAND_bytes(&bytes, CInt(bytes.count)) == 1 else {
                throw KeyFailure(path: path, reason: "the system gives no randomness")
            }
        }
        // Under its own name only when it is whole: somebody may be reading the folder.
        let random = UInt64.random(in: 0...UInt64.max)
        let draft = folder + "/.draft-\(getpid())-\(random)"
        let descriptor = open(draft, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw KeyFailure(path: path, reason: "it can't be made") }
        defer { unlink(draft) }
        let written = write(descriptor, bytes, bytes.count)
        let isSafe = fsync(descriptor) == 0
        close(descriptor)
        guard written == bytes.count, isSafe else {
            throw KeyFailure(path: path, reason: "it can't be written")
        }
        guard link(draft, path) == 0 || errno == EEXIST else {
            throw KeyFailure(path: path, reason: "it can't be made")
        }
    }

    /// A token for `subject`, valid from `now` on for `lifetimeSeconds`.
    package func token(
        subject: String, roles: [String], projects: [String] = [], lifetimeSeconds: Int64, at now: Timestamp
    ) -> String {
        var header = JSONWriter()
        header.object {
            $0.member("alg", key.algorithm.rawValue)
            $0.member("kid", key.id)
            $0.member("typ", "JWT")
        }
        let second = now.milliseconds / 1000
        var payload = JSONWriter()
        payload.object { out in
            if let issuer { out.member("iss", issuer) }
            out.member("sub", subject)
            if let audience { out.member("aud", audience) }
            out.member("exp", second + lifetimeSeconds)
            out.member("nbf", second)
            out.member("iat", second)
            out.member("jti", ULID.make(at: now))
            out.key("roles")
            out.array { for role in roles { $0.value(role) } }
            guard !projects.isEmpty else { return }
            out.key("projects")
            out.array { for project in projects { $0.value(project) } }
        }
        let message = Base64URL.encode(header.bytes) + "." + Base64URL.encode(payload.bytes)
        guard let signature = key.signature(over: Array(message.utf8)) else {
            preconditionFailure("a key that could sign can't any more")
        }
        return message + "." + Base64URL.encode(signature)
    }
}

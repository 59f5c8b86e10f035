internal import Base

/// A file of keys in JSON (RFC 7517).
enum JSONWebKeySet {
    /// What is wrong with a set.
    struct Problem: Error, Equatable {
        let text: String
    }

    /// The keys of a set; keys of kinds that aren't known are passed over, as the RFC wants it, and so
    /// are keys for encryption. Secrets are taken only where `allowsSecrets`.
    static func read(_ bytes: [UInt8], allowsSecrets: Bool) throws(Problem) -> [TokenKey] {
        guard let set = try? JSONValue(parsing: bytes, maximumDepth: 8),
            case .array(let members)? = set["keys"]
        else { throw Problem(text: "it is no set of JSON web keys") }
        var keys: [TokenKey] = []
        for member in members {
            if let key = try key(member, allowsSecrets: allowsSecrets) { keys.append(key) }
        }
        return keys
    }

    private static func key(_ value: JSONValue, allowsSecrets: Bool) throws(Problem) -> TokenKey? {
        func text(_ name: String) -> String? {
            guard case .string(let text)? = value[name] else { return nil }
            return text
        }
        func bytes(_ name: String) -> [UInt8]? { text(name).flatMap { Base64URL.decode($0.utf8) } }
        guard let type = text("kty") else { throw Problem(text: "a key has no kty") }
        guard text("use").map({ $0 == "sig" }) ?? true else { return nil }
        guard let id = text("kid"), !id.isEmpty else { throw Problem(text: "a key has no kid") }
        let key: TokenKey?
        switch (type, text("crv")) {
        case ("oct", _):
            guard allowsSecrets else {
                throw Problem(text: "key \(id) is a secret, and the file can be read by others: chmod 600")
            }
            key = bytes("k").flatMap { TokenKey(id: id, secret: $0) }
        case ("RSA", _):
            guard let modulus = bytes("n"), let exponent = bytes("e") else {
                throw Problem(text: "key \(id) lacks n or e")
            }
            key = TokenKey(id: id, publicKeyInfo: DER.rsa(modulus: modulus, exponent: exponent))
        case ("EC", "P-256"):
            guard let x = bytes("x"), let y = bytes("y"), x.count == 32, y.count == 32 else {
                throw Problem(text: "key \(id) has no point of P-256")
            }
            key = TokenKey(id: id, publicKeyInfo: DER.p256(x: x, y: y))
        case ("OKP", "Ed25519"):
            guard let x = bytes("x"), x.count == 32 else {
                throw Problem(text: "key \(id) has no Ed25519 key in x")
            }
            key = TokenKey(id: id, publicKeyInfo: DER.ed25519(x))
        default: return nil
        }
        guard let key else { throw Problem(text: "key \(id) is too weak or damaged") }
        guard text("alg").map({ $0 == key.algorithm.rawValue }) ?? true else { return nil }
        return key
    }
}

package import Base

/// What a token says about who holds it.
package struct Claims: Sendable, Hashable {
    /// Whom it is about (`sub`).
    package let subject: String
    /// The names of its roles (`roles`); whether they exist is the caller's matter.
    package let roles: [String]
    /// The projects that it may see into (`projects`, and `project` for one).
    package let projects: [String]
    /// Its own id (`jti`).
    package let tokenID: String?
    /// When it ends (`exp`).
    package let expires: Timestamp
    /// The id of the key that signed it.
    package let keyID: String
}

/// Why a token is refused. What is wrong with the signature is never told apart further.
package enum TokenRefusal: String, Error, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// It is larger than the policy allows.
    case tooLarge = "the token is too large"
    /// It doesn't have three parts of base 64 for URLs.
    case malformed = "the token is not three parts of base64url"
    /// The header is no JSON object with an algorithm, or names a member twice.
    case badHeader = "the token's header is no proper JSON object"
    /// The header says that something must be understood that isn't.
    case critical = "the token's header has critical extensions"
    /// The algorithm is none that is known; `none` is one of those.
    case unknownAlgorithm = "the token's algorithm is not accepted"
    /// No key has this id, or there is no key of the algorithm.
    case unknownKey = "the token's key is not known"
    /// The key is for another algorithm.
    case wrongAlgorithm = "the token's key is for another algorithm"
    /// The signature is not the key's.
    case badSignature = "the token's signature is wrong"
    /// The claims are no JSON object, or one of them is of the wrong kind.
    case badClaims = "the token's claims are not well formed"
    /// `sub` or a project is no name that an owner can have.
    case badNames = "the token's sub has more than 100 characters, or it or a project has control characters"
    /// A claim that must be there is absent.
    case missingClaim = "the token lacks a claim: sub and exp must be there, iss and aud where wanted"
    /// Somebody else issued it.
    case wrongIssuer = "the token has another issuer"
    /// It is meant for somebody else.
    case wrongAudience = "the token is for another audience"
    /// It has ended.
    case expired = "the token has expired"
    /// It has not begun.
    case notYetValid = "the token is not valid yet"
    /// It claims to come from the future.
    case issuedInFuture = "the token was issued in the future"
    /// It is valid for longer than the policy allows.
    case livesTooLong = "the token is valid for too long"

    /// In words.
    package var description: String { rawValue }
}

/// What a token must be like, besides being signed by a known key.
package struct TokenPolicy: Sendable {
    /// The only issuer (`iss`); nil for any.
    package var issuer: String?
    /// One of the token's audiences (`aud`); nil for any.
    package var audience: String?
    /// How far clocks may be apart, in seconds.
    package var leewaySeconds: Int64
    /// How long a token may be valid, in seconds, from its issue on; nil for any time. It needs `iat`.
    package var longestSeconds: Int64?
    /// The largest token, in bytes.
    package var limitBytes: Int

    /// A policy with these bounds.
    package init(
        issuer: String? = nil, audience: String? = nil, leewaySeconds: Int64 = 60,
        longestSeconds: Int64? = nil, limitBytes: Int = 8192
    ) {
        self.issuer = issuer
        self.audience = audience
        self.leewaySeconds = leewaySeconds
        self.longestSeconds = longestSeconds
        self.limitBytes = limitBytes
    }
}

/// Checks tokens (RFC 7519, JWS compact form) against the keys of a folder.
package struct TokenVerifier: Sendable {
    private let keys: @Sendable () -> [String: TokenKey]
    private let policy: TokenPolicy

    /// Keys from a folder, as it is at each check. A check looks at the folder at most once a second,
    /// and blocks for that long.
    package init(_ folder: KeyFolder, _ policy: TokenPolicy) {
        keys = { folder.all }
        self.policy = policy
    }

    /// Keys that don't change. Of two with the same id the first one counts.
    package init(keys: [TokenKey], _ policy: TokenPolicy) {
        let byID = Dictionary(keys.map { ($0.id, $0) }) { first, _ in first }
        self.keys = { byID }
        self.policy = policy
    }

    /// The claims of a good token. Nothing in a token is believed before its signature was checked, but
    /// which key to take.
    package func verify(_ token: String, at now: Timestamp) throws(TokenRefusal) -> Claims {
        let bytes = Array(token.utf8)
        guard bytes.count <= policy.limitBytes else { throw .tooLarge }
        let parts = bytes.split(separator: 0x2E, omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Base64URL.decode(parts[0]),
            let payload = Base64URL.decode(parts[1]), let signature = Base64URL.decode(parts[2])
        else { throw .malformed }
        let message = Array(bytes[..<(parts[2].startIndex - 1)])
        let key = try signer(header, signature, message)
        guard let claims = try? JSONValue(parsing: payload, maximumDepth: 8), claims.members != nil else {
            throw .badClaims
        }
        return try check(claims, key, now)
    }

    private func signer(
        _ header: [UInt8], _ signature: [UInt8], _ message: [UInt8]
    ) throws(TokenRefusal) -> TokenKey {
        guard let header = try? JSONValue(parsing: header, maximumDepth: 8), header.members != nil,
            let name = header["alg"]?.string
        else { throw .badHeader }
        guard header["crit"] == nil else { throw .critical }
        if let type = header["typ"], type.string == nil { throw .badHeader }
        guard let algorithm = SignatureAlgorithm(rawValue: name) else { throw .unknownAlgorithm }
        let keys = keys()
        if let named = header["kid"] {
            guard let id = named.string else { throw .badHeader }
            guard let key = keys[id] else { throw .unknownKey }
            guard key.algorithm == algorithm else { throw .wrongAlgorithm }
            guard key.verifies(signature, over: message) else { throw .badSignature }
            return key
        }
        let candidates = keys.values.filter { $0.algorithm == algorithm }
        guard !candidates.isEmpty else { throw keys.isEmpty ? .unknownKey : .wrongAlgorithm }
        guard let key = candidates.first(where: { $0.verifies(signature, over: message) }) else {
            throw .badSignature
        }
        return key
    }

    private func check(
        _ claims: JSONValue, _ key: TokenKey, _ now: Timestamp
    ) throws(TokenRefusal) -> Claims {
        let leeway = policy.leewaySeconds *| 1000
        guard let subject = try text(claims, "sub"), !subject.isEmpty,
            let expires = try time(claims, "exp")
        else { throw .missingClaim }
        guard now < expires.advanced(byMilliseconds: leeway) else { throw .expired }
        if let begins = try time(claims, "nbf"), now < begins.advanced(byMilliseconds: -leeway) {
            throw .notYetValid
        }
        let issued = try time(claims, "iat")
        if let issued, now < issued.advanced(byMilliseconds: -leeway) { throw .issuedInFuture }
        if let longest = policy.longestSeconds {
            guard let issued else { throw .missingClaim }
            guard expires.milliseconds(since: issued) <= longest *| 1000 else { throw .livesTooLong }
        }
        let issuer = try text(claims, "iss")
        if let wanted = policy.issuer {
            guard let issuer else { throw .missingClaim }
            guard issuer.isIdentical(to: wanted) else { throw .wrongIssuer }
        }
        let audiences = try texts(claims, "aud")
        if let wanted = policy.audience {
            guard let audiences else { throw .missingClaim }
            guard audiences.contains(where: { $0.isIdentical(to: wanted) }) else { throw .wrongAudience }
        }
        var projects = try texts(claims, "projects") ?? []
        if let project = try texts(claims, "project") { projects += project }
        // Owners and projects are compared with them, and records are kept of them.
        guard subject.unicodeScalars.count <= 100, ([subject] + projects).allSatisfy(\.isOneLine) else {
            throw .badNames
        }
        return Claims(
            subject: subject, roles: try texts(claims, "roles") ?? [], projects: projects,
            tokenID: try text(claims, "jti"), expires: expires, keyID: key.id)
    }

    private func text(_ claims: JSONValue, _ name: String) throws(TokenRefusal) -> String? {
        guard let value = claims[name] else { return nil }
        guard let text = value.string else { throw .badClaims }
        return text
    }

    /// One text, or an array of them.
    private func texts(_ claims: JSONValue, _ name: String) throws(TokenRefusal) -> [String]? {
        guard let value = claims[name] else { return nil }
        if let text = value.string { return [text] }
        let elements = value.array?.map(\.string)
        guard let elements, !elements.contains(nil) else { throw .badClaims }
        return elements.compactMap { $0 }
    }

    /// Seconds since 1970, perhaps with a fraction. Times beyond the year 9999 are none.
    private func time(_ claims: JSONValue, _ name: String) throws(TokenRefusal) -> Timestamp? {
        guard let value = claims[name] else { return nil }
        guard let seconds = value.number, seconds >= 0,
            let time = Timestamp(exactly: Int64(saturating: seconds * 1000))
        else { throw .badClaims }
        return time
    }
}

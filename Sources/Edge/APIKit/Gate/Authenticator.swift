package import Base
package import Access
internal import HTTPServer

/// Finds out who sends a request. Runs on the threads of handlers and must not block for long.
package protocol Authenticator: Sendable {
    /// Whether tokens can be checked at all; without keys nobody is let in.
    var hasKeys: Bool { get }
    /// The subject that the token speaks for.
    func subject(ofToken token: String) throws(TokenRefusal) -> Subject
    /// The subject, and until when the token holds.
    func admission(ofToken token: String) throws(TokenRefusal) -> Admission
    /// What is known of a token that was checked before and still holds; nil where it has to be checked.
    /// Never blocks.
    func knownAdmission(ofToken token: String) -> Admission?
}

/// Somebody who is known, for a while.
package struct Admission: Sendable, Hashable {
    /// Who it is.
    package var subject: Subject
    /// From when on the token does not hold any longer; nil when it always does.
    package var expires: Timestamp?
    package init(subject: Subject, expires: Timestamp?) {
        self.subject = subject
        self.expires = expires
    }
}

extension Authenticator {
    /// For authenticators whose tokens hold for ever.
    package func admission(ofToken token: String) throws(TokenRefusal) -> Admission {
        Admission(subject: try subject(ofToken: token), expires: nil)
    }

    /// For authenticators that remember nothing.
    package func knownAdmission(ofToken token: String) -> Admission? { nil }

    /// Who sends the request; 401 when nobody good says so.
    func caller(of request: Request) throws -> Subject { try admission(of: request).subject }

    /// Who sends the request, and for how long; 401 when nobody good says so.
    func admission(of request: Request) throws -> Admission {
        guard hasKeys else {
            throw ErrorInfo(
                .notAuthenticated, "this server has no keys to check tokens with, so it lets nobody in")
        }
        guard let token = request.bearerToken else {
            throw ErrorInfo(
                .notAuthenticated, "a token is needed: send Authorization: Bearer and the token")
        }
        do { return try admission(ofToken: token) } catch {
            throw ErrorInfo(.notAuthenticated, "\(error)")
        }
    }
}

/// Takes tokens that are signed by a key of a folder.
package struct TokenAuthenticator: Authenticator {
    private let keys: KeyFolder?
    private let verifier: TokenVerifier?
    private let leewayMilliseconds: Int64
    private let clock: any WallClock
    private let roles: Set<Role>
    private let known = SharedCache<TokenDigest, Known>(limit: 10_000)

    /// What a token that was checked says.
    private struct Known: Sendable {
        let admission: Admission
        /// Of the keys that it was checked with.
        let generation: UInt64
        let checked: Timestamp
    }

    /// - Parameters:
    ///   - keys: nil: nobody is let in.
    ///   - roles: those that there are.
    package init(_ keys: KeyFolder?, _ policy: TokenPolicy, roles: [Role], clock: any WallClock) {
        self.keys = keys
        self.roles = Set(roles)
        self.clock = clock
        leewayMilliseconds = policy.leewaySeconds *| 1000
        verifier = keys.map { TokenVerifier($0, policy) }
    }

    /// Whether the folder has any key now.
    package var hasKeys: Bool { keys.map { !$0.isEmpty } ?? false }

    /// Roles that nobody knows count for nothing.
    package func subject(ofToken token: String) throws(TokenRefusal) -> Subject {
        try admission(ofToken: token).subject
    }

    /// With the leeway that is given to its expiry.
    package func admission(ofToken token: String) throws(TokenRefusal) -> Admission {
        guard let keys, let verifier else { throw .unknownKey }
        // Before the keys are used: those that come meanwhile make another generation.
        let generation = keys.generation
        let now = clock.now()
        let admission = try admission(verifier, token, now)
        known[TokenDigest(token)] = Known(admission: admission, generation: generation, checked: now)
        return admission
    }

    /// Nothing but the time and the keys can make a token that was good a bad one.
    package func knownAdmission(ofToken token: String) -> Admission? {
        guard let generation = keys?.settledGeneration, let known = known[TokenDigest(token)],
            known.generation == generation, let expires = known.admission.expires
        else { return nil }
        let now = clock.now()
        // A clock that was set back may have come to where the token did not hold yet.
        return now >= known.checked && now < expires ? known.admission : nil
    }

    private func admission(
        _ verifier: TokenVerifier, _ token: String, _ now: Timestamp
    ) throws(TokenRefusal) -> Admission {
        let claims = try verifier.verify(token, at: now)
        let subject = Subject(
            id: claims.subject, roles: roles.intersection(claims.roles.map { Role($0) }),
            projects: Set(claims.projects))
        return Admission(
            subject: subject,
            expires: claims.expires.advanced(byMilliseconds: leewayMilliseconds))
    }
}

/// Stands for a token in memory, so that nobody finds one there.
private struct TokenDigest: Hashable, Sendable {
    private let words: SIMD4<UInt64>

    init(_ token: String) {
        words = SHA256.withDigest(of: token) { $0.loadUnaligned(as: SIMD4<UInt64>.self) }
    }
}

public import Access
public import EventSourcing
internal import HTTPServer
public import Recording

/// Finds out who sends a request. Runs on the threads of handlers and must not block for long.
public protocol Authenticator: Sendable {
    /// Whether tokens can be checked at all; without keys nobody is let in.
    var hasKeys: Bool { get }
    /// The subject that the token speaks for.
    func subject(ofToken token: String) throws(TokenRefusal) -> Subject
    /// The subject, and until when the token holds.
    func admission(ofToken token: String) throws(TokenRefusal) -> Admission
}

/// Somebody who is known, for a while.
public struct Admission: Sendable, Hashable {
    /// Who it is.
    public var subject: Subject
    /// From when on the token does not hold any longer; nil when it always does.
    public var expires: Timestamp?

    /// An admission from its parts.
    public init(subject: Subject, expires: Timestamp?) {
        self.subject = subject
        self.expires = expires
    }
}

extension Authenticator {
    /// For authenticators whose tokens hold for ever.
    public func admission(ofToken token: String) throws(TokenRefusal) -> Admission {
        Admission(subject: try subject(ofToken: token), expires: nil)
    }

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
public struct TokenAuthenticator: Authenticator {
    private let keys: KeyFolder?
    private let verifier: TokenVerifier?
    private let leewayMilliseconds: Int64
    private let clock: any WallClock

    /// - Parameter keys: nil: nobody is let in.
    public init(_ keys: KeyFolder?, _ policy: TokenPolicy, clock: any WallClock) {
        self.keys = keys
        self.clock = clock
        leewayMilliseconds = policy.leewaySeconds * 1000
        verifier = keys.map { TokenVerifier($0, policy) }
    }

    /// Whether the folder has any key now.
    public var hasKeys: Bool { keys.map { !$0.isEmpty } ?? false }

    /// Roles that nobody knows count for nothing. A name is bounded, because it goes into events.
    public func subject(ofToken token: String) throws(TokenRefusal) -> Subject {
        try admission(ofToken: token).subject
    }

    /// With the leeway that is given to its expiry.
    public func admission(ofToken token: String) throws(TokenRefusal) -> Admission {
        guard let verifier else { throw .unknownKey }
        let claims = try verifier.verify(token, at: clock.now())
        guard (1...LogLimits.bytesPerIdentifier).contains(claims.subject.utf8.count) else {
            throw .badClaims
        }
        let subject = Subject(
            id: claims.subject, roles: Set(claims.roles.compactMap(Role.init(rawValue:))),
            projects: Set(claims.projects))
        return Admission(
            subject: subject,
            expires: Timestamp(milliseconds: claims.expires.milliseconds + leewayMilliseconds))
    }
}

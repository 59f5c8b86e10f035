internal import HTTPServer
public import Recording

/// Finds out who sends a request. Runs on the threads of handlers and must not block for long.
public protocol Authenticator: Sendable {
    /// Whether tokens can be checked at all; without keys nobody is let in.
    var hasKeys: Bool { get }
    /// The subject that the token speaks for.
    /// - Throws: `TokenRefusal` when the token is not good.
    func subject(ofToken token: String) throws(TokenRefusal) -> Subject
}

/// Why a token was not taken. Never holds the token.
public struct TokenRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    /// In a sentence, for whoever sent it.
    public var description: String

    /// A refusal.
    public init(_ description: String) { self.description = description }
}

extension Authenticator {
    /// Who sends the request; 401 when nobody good says so.
    func caller(of request: Request) throws(HTTPError) -> Subject {
        guard hasKeys else {
            throw HTTPError(
                ErrorInfo(
                    .notAuthenticated, "this server has no keys to check tokens with, so it lets nobody in"))
        }
        guard let token = request.bearerToken else {
            throw HTTPError(
                ErrorInfo(.notAuthenticated, "a token is needed: send Authorization: Bearer and the token"))
        }
        do { return try subject(ofToken: token) } catch {
            throw HTTPError(ErrorInfo(.notAuthenticated, "the token is refused: \(error)"))
        }
    }
}

internal import Base
internal import EventSourcing
package import HTTPServer
internal import ReadModels

/// The form that every error of the API has, and what failures become.
package struct ErrorAnswers: Sendable {
    private let codes: [String: ErrorCode]
    private let answers: [@Sendable (any Error) -> HTTPError?]

    /// Answers to what every service meets.
    package init() {
        codes = Dictionary(ErrorCode.general.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        answers = []
    }

    private init(_ codes: [String: ErrorCode], _ answers: [@Sendable (any Error) -> HTTPError?]) {
        self.codes = codes
        self.answers = answers
    }

    /// The same with a domain's own codes, and answers to its own errors, which come first.
    /// - Parameter answer: nil for errors that are none of the domain's.
    package func adding(
        _ codes: [ErrorCode], _ answer: @escaping @Sendable (any Error) -> HTTPError?
    ) -> ErrorAnswers {
        let more = codes.map { ($0.name, $0) }
        return ErrorAnswers(self.codes.merging(more) { $1 }, answers + [answer])
    }

    /// The error's form in HTTP.
    package func render(_ error: HTTPError, _ context: ErrorContext) -> (contentType: String, body: [UInt8]) {
        var writer = JSONWriter()
        let code = codes[error.code] ?? Self.layerCode(error)
        error.info(code).encode(into: &writer, requestID: context.requestID, at: SystemClock().now())
        return ("application/json", writer.bytes)
    }

    /// What a handler's error is answered with. What nobody foresaw says nothing of itself.
    package func answer(_ error: any Error) -> HTTPError {
        if let error = error as? HTTPError { return error }
        if let info = error as? ErrorInfo { return HTTPError(info) }
        for answer in answers {
            if let found = answer(error) { return found }
        }
        if let carrier = error as? any LogFailureCarrier, let failure = carrier.logFailure {
            return answer(failure)
        }
        switch error {
        case let failure as LogFailure where failure.isOfRecord: return Self.unreadable(failure)
        case let failure as LogFailure: return Self.unavailable("the event log", failure.isTransient)
        case let failure as QueryFailure where failure.isOfRecord:
            return HTTPError(ErrorInfo(.dependencyUnavailable, "\(failure)", status: 500))
        case let failure as QueryFailure where failure.violation != nil:
            return HTTPError(ErrorInfo(failure.violation.map { [$0] } ?? []))
        case let failure as QueryFailure: return Self.unavailable("the read models", failure.isTransient)
        case let failure as any TransientFailure where failure.isTransient:
            return Self.unavailable("a server", true)
        default:
            return HTTPError(
                ErrorInfo(.dependencyUnavailable, "something failed unexpectedly", status: 500))
        }
    }

    /// One entry, or what tells of one history's: others are not concerned, and waiting does not help.
    private static func unreadable(_ failure: LogFailure) -> HTTPError {
        let text =
            failure.unreadableEntry == nil
            ? "the log's record is not what was written: \(failure.key): \(failure.text)"
            : "the history holds an entry that cannot be read: \(failure.key)"
        return HTTPError(ErrorInfo(.dependencyUnavailable, text, status: 500))
    }

    /// What is answered while something that is needed is away.
    package static func unavailable(_ what: String, _ isTransient: Bool) -> HTTPError {
        HTTPError(
            ErrorInfo(
                .dependencyUnavailable, "\(what) cannot be reached or used now",
                retryAfter: isTransient ? 1 : nil))
    }

    /// The codes of what the HTTP layer refuses by itself.
    private static func layerCode(_ error: HTTPError) -> ErrorCode {
        switch HTTPError.Layer(rawValue: error.code) {
        case .tooLarge, .targetTooLong, .headerTooLarge: .tooLarge
        case .preconditionFailed: .wrongState
        case .overloaded, .internalError: .dependencyUnavailable
        default: error.status >= 500 ? .dependencyUnavailable : .malformedRequest
        }
    }
}

extension ServerSettings {
    /// The form of errors that all services have.
    package mutating func answerErrors(with errors: ErrorAnswers) {
        renderError = errors.render
        errorFor = { error, _ in errors.answer(error) }
    }
}

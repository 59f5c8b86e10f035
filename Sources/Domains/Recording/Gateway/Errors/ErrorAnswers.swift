internal import Base
internal import EventSourcing
package import HTTPServer
internal import Intake
internal import Recording
internal import SessionContent
internal import Vault
internal import ReadModels

/// The form that every error of the API has (DESIGN 3.7), and what failures become.
package enum ErrorAnswers {
    /// The error's form in HTTP.
    package static func render(_ error: HTTPError, _ context: ErrorContext) -> (
        contentType: String, body: [UInt8]
    ) {
        var writer = JSONWriter()
        info(error).encode(into: &writer, requestID: context.requestID, at: SystemClock().now())
        return ("application/json", writer.bytes)
    }

    /// What a handler's error is answered with. What nobody foresaw says nothing of itself.
    package static func answer(_ error: any Error) -> HTTPError {
        switch error {
        case let error as HTTPError: error
        case let info as ErrorInfo: HTTPError(info)
        case let failure as RequestFailure: HTTPError(ErrorInfo(failure))
        case let rejection as SessionRejection: HTTPError(ErrorInfo(rejection))
        case let error as CommandError<SessionRejection>: answer(inside: error)
        case let failure as LogFailure where failure.isOfRecord: unreadable(failure)
        case let failure as LogFailure: unavailable("the event log", failure.isTransient)
        case let failure as QueryFailure where failure.isOfRecord:
            HTTPError(ErrorInfo(.dependencyUnavailable, "\(failure)", status: 500))
        case let failure as QueryFailure: unavailable("the read models", failure.isTransient)
        case let failure as StorageFailure: storage(failure)
        case is DiskShortage: HTTPError(ErrorInfo(.storage, "\(error)", retryAfter: 60))
        case let refusal as IntakeRefusal: HTTPError(ErrorInfo(refusal))
        case is KeyMissing: HTTPError(ErrorInfo(.encryption, "\(error)"))
        case KeyFailure.unknownKeyEncryptionKey(let id, _):
            HTTPError(
                ErrorInfo(
                    .encryption,
                    "the session's key is wrapped by the key-encryption key \(id), which is not in this "
                        + "process's folder of keys (REEL_KEYS); all processes share one such folder"))
        case is KeyFailure: HTTPError(ErrorInfo(.encryption, "the session's key cannot be used"))
        case let fault as SealedFileFault: damaged(fault)
        case let failure as ContentFailure: content(failure)
        case let failure as ProofFailure: proof(failure)
        case let failure as any TransientFailure where failure.isTransient:
            unavailable("a server", true)
        default: HTTPError(ErrorInfo(.dependencyUnavailable, "something failed unexpectedly", status: 500))
        }
    }

    private static func answer(inside error: CommandError<SessionRejection>) -> HTTPError {
        switch error {
        case .rejected(let rejection): HTTPError(ErrorInfo(rejection))
        case .failed(let failure): answer(failure)
        case .malformed:
            HTTPError(
                ErrorInfo(
                    .dependencyUnavailable, "the session's history holds an event that is not understood",
                    status: 500))
        }
    }

    /// One entry, or what tells of one session's: others are not concerned, and waiting does not help.
    private static func unreadable(_ failure: LogFailure) -> HTTPError {
        let text =
            failure.unreadableEntry == nil
            ? "the log's record is not what was written: \(failure.key): \(failure.text)"
            : "the session's history holds an entry that cannot be read: \(failure.key)"
        return HTTPError(ErrorInfo(.dependencyUnavailable, text, status: 500))
    }

    private static func unavailable(_ what: String, _ isTransient: Bool) -> HTTPError {
        HTTPError(
            ErrorInfo(
                .dependencyUnavailable, "\(what) cannot be reached or used now",
                retryAfter: isTransient ? 1 : nil))
    }

    /// A chunk that can't be given out as it was recorded: which one, and which check it failed.
    private static func damaged(_ fault: SealedFileFault) -> HTTPError {
        if fault.isTransient {
            return HTTPError(ErrorInfo(.storage, "\(fault.subject) cannot be read now", retryAfter: 2))
        }
        // What a disk says may name its folders.
        let text = fault.check == .disk ? "the file cannot be read" : fault.text
        let code: ErrorCode = fault.check == .key || fault.check == .payload ? .encryption : .storage
        let check = fault.check.rawValue
        return HTTPError(
            ErrorInfo(code, "\(fault.subject) is not given out (\(check)): \(text)", status: 500))
    }

    private static func content(_ failure: ContentFailure) -> HTTPError {
        switch failure {
        case .notFound, .deleted, .deletedMeanwhile: HTTPError(ErrorInfo(SessionRejection.notFound))
        case .unended(_, let status):
            HTTPError(
                ErrorInfo(.wrongState, "the session is \(status.rawValue), not recorded to its end"))
        case .failed: HTTPError(ErrorInfo(.wrongState, "\(failure)"))
        case .unfinished: HTTPError(ErrorInfo(.wrongState, "\(failure)", retryAfter: 1))
        case .unreadable, .contradiction: HTTPError(ErrorInfo(.storage, "\(failure)", status: 500))
        case .damaged(let fault): damaged(fault)
        }
    }

    private static func proof(_ failure: ProofFailure) -> HTTPError {
        switch failure {
        case .noSession, .deleted: HTTPError(ErrorInfo(SessionRejection.notFound))
        case .noChunk: HTTPError(ErrorInfo(.chunkNotFound, "\(failure)"))
        case .unfinished:
            HTTPError(
                ErrorInfo(.wrongState, "the session is not completed: its tree is not closed yet"))
        case .noTree: HTTPError(ErrorInfo(.wrongState, "\(failure)"))
        case .contradiction: HTTPError(ErrorInfo(.storage, "\(failure)", status: 500))
        }
    }

    private static func storage(_ failure: StorageFailure) -> HTTPError {
        if case .full(_, let limit, _, _) = failure {
            // It passes by itself, as chunks are stored.
            let text = "there is no room left in the spool, whose quota is \(limit >> 20) MiB"
            return HTTPError(ErrorInfo(.storage, text, retryAfter: 2))
        }
        if failure.isOutOfSpace {
            return HTTPError(ErrorInfo(.storage, "there is no room left for recordings", retryAfter: 60))
        }
        if failure.isMissing {
            return HTTPError(ErrorInfo(.storage, "the file is gone", status: 500))
        }
        return HTTPError(ErrorInfo(.storage, "a file cannot be read or written", status: 500))
    }

    /// The error as the domain's error body has it.
    private static func info(_ error: HTTPError) -> ErrorInfo {
        let code = ErrorCode.allCases.first { $0.name == error.code } ?? layerCode(error)
        return ErrorInfo(
            code, error.message, status: error.status, violations: error.violations,
            retryAfter: error.retryAfter, next: error.next)
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

extension ErrorInfo {
    /// Bytes that are not taken.
    fileprivate init(_ refusal: IntakeRefusal) {
        switch refusal {
        case .sizeLimit(let violation): self.init(.tooLarge, "\(refusal)", violations: [violation])
        case .backlog, .beingStopped: self.init(.dependencyUnavailable, "\(refusal)", retryAfter: 1)
        case .takenOver, .numbersWait, .paused, .pausedTooLong:
            self.init(.wrongState, "\(refusal)", next: refusal.next)
        }
    }
}

extension HTTPError {
    /// The domain's error, on its way through the HTTP layer.
    init(_ info: ErrorInfo, headers: [HeaderField] = []) {
        var details: [JSONValue.Member] = []
        if !info.violations.isEmpty {
            let list = info.violations.map { violation in
                JSONValue.object([
                    JSONValue.Member(name: "field", value: .string(violation.field)),
                    JSONValue.Member(name: "rule", value: .string(violation.rule)),
                ])
            }
            details.append(JSONValue.Member(name: "violations", value: .array(list)))
        }
        var headers = headers
        if let next = info.next {
            let (number, offset) = (Int64(next.sequenceNumber), Int64(next.offset))
            details.append(JSONValue.Member(name: Self.nextNumber, value: .integer(number)))
            details.append(JSONValue.Member(name: Self.nextOffset, value: .integer(offset)))
        }
        if let seconds = info.retryAfter {
            details.append(JSONValue.Member(name: "retry_after_seconds", value: .integer(Int64(seconds))))
            headers.append(HeaderField("Retry-After", "\(seconds)"))
        }
        if info.code == .notAuthenticated {
            headers.append(HeaderField("WWW-Authenticate", "Bearer realm=\"reel\""))
        }
        self.init(
            status: info.status, code: info.code.name, message: info.message, details: details,
            headers: headers)
    }

    private static let nextNumber = "next_sequence_number"
    private static let nextOffset = "next_offset"

    fileprivate var next: StreamPlace? {
        func number(_ name: String) -> Int? {
            details.first { $0.name == name }?.value.integer.flatMap { Int(exactly: $0) }
        }
        guard let sequence = number(Self.nextNumber), let offset = number(Self.nextOffset) else { return nil }
        return StreamPlace(sequenceNumber: sequence, offset: offset)
    }

    fileprivate var violations: [Violation] {
        let list = details.first { $0.name == "violations" }?.value.array ?? []
        return list.compactMap { item in
            guard let field = item["field"]?.string, let rule = item["rule"]?.string else { return nil }
            return Violation(field, rule)
        }
    }

    fileprivate var retryAfter: Int? {
        details.first { $0.name == "retry_after_seconds" }?.value.integer.flatMap { Int(exactly: $0) }
    }
}

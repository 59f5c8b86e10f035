package import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Intake
package import Recording
internal import SessionContent
internal import ChunkFiles
internal import Files
internal import Sealing

// The codes of errors that only services of recorded sessions have (DESIGN 3.7).
extension ErrorCode {
    /// There is no such session, or not for who asks.
    package static let sessionNotFound = ErrorCode(3001, status: 404, .userFixable)
    /// The session has no such chunk.
    package static let chunkNotFound = ErrorCode(3005, status: 404, .userFixable)
    /// The pipeline is not in a state that allows this.
    package static let pipeline = ErrorCode(3006, status: 409, .userFixable)
    /// Something cannot be compressed, or what was cannot be expanded.
    package static let compression = ErrorCode(3008, status: 500, .adminRequired)
    /// A key cannot be used, or a file does not open with it.
    package static let encryption = ErrorCode(3009, status: 500, .adminRequired)

    /// All of them.
    package static let recording: [ErrorCode] = [
        .sessionNotFound, .chunkNotFound, .pipeline, .compression, .encryption,
    ]
}

extension ErrorAnswers {
    /// The form that every error of the services has, and what failures become.
    package static let recording = ErrorAnswers().adding(ErrorCode.recording, RecordingErrors.answer)
}

/// What the domain's own errors are answered with.
enum RecordingErrors {
    static func answer(_ error: any Error) -> HTTPError? {
        switch error {
        case let failure as RequestFailure: HTTPError(ErrorInfo(failure))
        case let rejection as SessionRejection: HTTPError(ErrorInfo(rejection))
        case let error as CommandError<SessionRejection>: answer(inside: error)
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
        default: nil
        }
    }

    private static func answer(inside error: CommandError<SessionRejection>) -> HTTPError {
        switch error {
        case .rejected(let rejection): HTTPError(ErrorInfo(rejection))
        case .failed(let failure): ErrorAnswers.recording.answer(failure)
        case .malformed:
            HTTPError(
                ErrorInfo(
                    .dependencyUnavailable, "the session's history holds an event that is not understood",
                    status: 500))
        }
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
}

extension ErrorInfo {
    /// A request that was not understood.
    package init(_ failure: RequestFailure) {
        switch failure {
        case .tooLarge: self.init(.tooLarge, failure.description)
        case .malformed: self.init(.malformedRequest, failure.description)
        case .invalid(let violations): self.init(violations)
        }
    }

    /// A command that the rules refuse.
    package init(_ rejection: SessionRejection) {
        switch rejection {
        case .notFound: self.init(.sessionNotFound, rejection.description)
        case .exists: self.init(.existsAlready, rejection.description)
        case .wrongState, .outOfOrder, .unfinished: self.init(.wrongState, rejection.description)
        case .outOfPlace(let expected, _):
            self.init(.wrongState, rejection.description, details: expected.details)
        case .wrongPipelineState: self.init(.pipeline, rejection.description)
        case .changedMeanwhile: self.init(.wrongState, rejection.description, status: 412)
        case .chunkTaken: self.init(.existsAlready, rejection.description)
        case .held, .notHeld, .tooManyHolds: self.init(.wrongState, rejection.description)
        case .severalHolds(let cases):
            self.init(
                .wrongState, rejection.description,
                violations: [Violation("case", "must be one of: \(cases.joined(separator: ", "))")])
        case .invalid(let violations): self.init(RequestFailure.invalid(violations))
        }
    }

    /// Bytes that are not taken.
    fileprivate init(_ refusal: IntakeRefusal) {
        switch refusal {
        case .sizeLimit(let violation): self.init(.tooLarge, "\(refusal)", violations: [violation])
        case .backlog, .beingStopped: self.init(.dependencyUnavailable, "\(refusal)", retryAfter: 1)
        case .takenOver, .numbersWait, .paused, .pausedTooLong:
            self.init(.wrongState, "\(refusal)", details: refusal.next?.details ?? [])
        }
    }
}

extension StreamPlace {
    /// Where the recording goes on, for whoever was about to go on elsewhere.
    fileprivate var details: [ErrorDetail] {
        [ErrorDetail("next_sequence_number", sequenceNumber), ErrorDetail("next_offset", offset)]
    }
}

import Console
import EventSourcing
import Glibc
import Intake
import MongoViews
import Pipeline
import Recording
import SessionContent
import Supervision
import ChunkFiles
import Files
import Sealing
import ReadModels

/// Turns errors into messages on stderr and exit statuses.
enum Failures {
    /// - Parameter command: the command that failed; empty before there is one.
    static func report(_ error: any Error, of command: String) -> ExitStatus {
        // Whoever read our output has seen enough: nothing to say, and nobody to say it to.
        if error is OutputClosed { return .success }
        let error = (error as? any LogFailureCarrier)?.logFailure ?? error
        let status = status(of: error)
        if let usage = error as? UsageError {
            let command = usage.command.map { "reel \($0)" } ?? "reel"
            for problem in usage.problems { Output.error("\(command): \(problem)") }
            Output.error("Try '\(command) --help'.")
        } else {
            let hint =
                [UpCommand.declaration.name, ServeCommand.declaration.name].contains(command)
                ? "look at that server, and at REDIS_URL and MONGODB_URL" : "is 'reel up' running?"
            Output.error("reel: \(withoutCredentials(message(of: error, hint: hint)))")
        }
        return status
    }

    static func status(of error: any Error) -> ExitStatus {
        switch error {
        case let failure as CommandFailure: failure.status
        case is UsageError: .usage
        case let failure as SourceFailure: failure.isBadInput ? .usage : .dependency
        case let failure as LogFailure where failure.isOfRecord: .no
        case let failure as QueryFailure where failure.isOfRecord: .no
        case is SessionRejection, is MalformedEvent, is KeyMissing: .no
        case let failure as KeyFailure where failure.isOfRecord: .no
        case let failure as RecordingFailure:
            switch failure {
            case .rejected: .no
            case .interrupted: .interrupted
            case .source(let source): status(of: source)
            // What ended early, and was kept up to there.
            case .failed(is SourceFailure, _), .failed(is IntakeRefusal, _), .failed(is SizeLimit, _): .no
            case .failed(let inner, _): status(of: inner)
            }
        default: .dependency
        }
    }

    private static let haltedHint =
        "'reel partitions list' says which partitions are halted, and 'reel partitions lift --help' what to do"

    /// - Parameter hint: what to do when a server cannot be reached.
    static func message(of error: any Error, hint: String) -> String {
        switch error {
        case let failure as CommandFailure: failure.message
        case let failure as LogFailure where failure.kind == .unreachable || failure.kind == .timedOut:
            "the event log cannot be reached: \(failure); \(hint)"
        case let failure as LogFailure where failure.kind == .unreadable:
            "\(failure); it holds back its own session alone, and 'reel parked list' says who waits for it"
        case let failure as LogFailure where failure.kind == .corrupt:
            "\(failure); nobody is away: what is kept there is not what Reel wrote, and 'reel status' names "
                + "what else is spoiled"
        case let failure as LogFailure where failure.kind == .lostHistory:
            "\(failure); \(haltedHint)"
        case let failure as MongoFailure where failure.isUnreachable:
            "\(failure); \(hint)"
        case let failure as QueryFailure where failure.isUnreachable:
            "\(failure); \(hint)"
        case let failure as RecordingFailure:
            if case .failed(let shortage as DiskShortage, _) = failure {
                "\(failure); make room on that disk, or keep less free with --disk-reserve (\(shortage.room.path))"
            } else if case .failed(let inner as LogFailure, _) = failure, inner.kind == .lostHistory {
                "\(failure); \(haltedHint)"
            } else if case .failed(let inner as MongoFailure, _) = failure, inner.isUnreachable {
                "\(failure); \(hint)"
            } else if case .failed(StorageFailure.full, _) = failure {
                "\(failure); wait until chunks are stored, or raise REEL_SPOOL_QUOTA_MB"
            } else {
                "\(failure)"
            }
        case let failure as StorageFailure where failure.isOutOfSpace:
            "\(failure); make room on that disk and try again"
        default: "\(error)"
        }
    }
}

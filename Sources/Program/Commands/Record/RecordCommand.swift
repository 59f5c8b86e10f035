import Operations
internal import ChunkFiles
import Base
import Console
import Glibc
import Intake
import Pipeline
import Recording
import RedisLog
import Supervision

/// `reel record`: records a file or standard input as one session.
enum RecordCommand: Command {
    static let declaration = CommandDeclaration(
        "record", summary: "Record a file or standard input as a session",
        details: "Prints the session's id alone on standard output, as soon as something is recorded. "
            + "Returns when everything is recorded durably and the session is stopped; its chunks are then "
            + "still being sealed by the running system, unless --wait is given. Ctrl-C stops the session "
            + "and keeps what was recorded.",
        positionals: [Positional("FILE", .path, help: "The file to record; - for standard input")],
        options: RecordSettings.declarations,
        examples: [
            "reel record desktop.mkv --name 'Friday deployment'",
            "ffmpeg -i rtsp://… -f matroska - | reel record - --name camera --wait",
            "reel record trace.bin --name trace --chunk-size 0.25 --codec gzip --tag audit --json",
        ],
        statuses: [
            "1  the session may not be made like that; it ended early and is incomplete: the file was cut off or "
                + "written to meanwhile, or could not be read, or somebody stopped it or sends its stream now, or others have "
                + "begun to send bytes to it that never came; "
                + "with --wait: it failed or a chunk was given up",
            "2  bad usage: an option or value that breaks a rule, no such file, an empty file, a folder",
            Common.dependencyStatus, "130  interrupted; what was recorded until then is kept",
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        // Everything the caller can have got wrong is found before anything is made.
        let path = settings.positional(0) ?? "-"
        guard path != "-" || !ProcessStart.wasClosed(STDIN_FILENO) else {
            throw UsageError(
                ["standard input is closed: name a file, or let something be read from there"],
                command: "record")
        }
        let source = path == "-" ? ByteSource.standardInput() : try ByteSource.file(path)
        var session = try RecordSettings.session(
            from: settings, source: path == "-" || source.totalBytes == nil ? .stream : .file)
        if let size = source.totalBytes, let violation = session.storage.violation(ofBytes: size) {
            throw UsageError(
                ["--max-size (\(violation.field)): \(violation.rule), and \(path) has \(size)"],
                command: "record")
        }
        let look = FilmLook(source, of: session)
        // A system that is just being started again is no reason to lose a recording.
        let system = try RunningSystem(settings, for: .changing, patienceMilliseconds: 10_000)
        if settings[RecordSettings.session] == nil {
            session.sessionID = try system.newSessionID(instead: session.sessionID)
        }
        let stop = StopSignal()
        try SignalWatcher.start(stop)

        let ending = StopSignal()
        defer { ending.set() }
        try watch(system.log, until: ending)
        let report = RecordingReport(settings, session.sessionID, totalBytes: source.totalBytes)
        let vault = try system.vault(spoolLimitBytes: try Common.spoolLimit(settings))
        if let remark = look.finish(&session) { Output.error("reel record: \(remark)") }
        var options = RecordingOptions(session: session)
        options.whilePaused = settings[RecordSettings.whilePaused].flatMap(PausePolicy.init)
        options.diskGuard = Common.diskGuard(settings, spool: vault.spool.root, chunks: vault.chunks.root)
        let recorder = Recorder(
            log: system.log, vault: vault, clock: SystemClock(), actor: CurrentUser.actor,
            options: options, progress: { report.take($0) })
        let summary: RecordingSummary
        let trail = CommandTrail(system.log, stop: stop)
        let (id, resource) = (session.sessionID, AuditResource(.session, id: session.sessionID))
        do {
            summary = try trail.recordingFailure(of: .sessionRecord, on: resource, session: id) {
                try recorder.record(source, stop: stop)
            }
        } catch {
            report.abandon()
            throw error
        }
        do {
            try trail.keep(
                .sessionRecord, on: resource, session: id, reason: summary.reason.rawValue,
                details: ["chunks": "\(summary.chunks)", "bytes": "\(summary.bytes)"])
        } catch {
            // The recording is there, and its own events say whose it is.
            Output.error("reel record: no record of it could be left in the audit trail: \(error)")
        }
        report.recorded(summary)
        if summary.reason == .interrupted {
            Output.error("reel record: interrupted; \(kept(summary))")
            // Whoever interrupts may take the terminal away: the status says what counts.
            try? report.finish(summary, status: .stopped)
            return .interrupted
        }
        if summary.incomplete {
            report.note(
                "reel record: the session is incomplete: bytes that others have begun to send are missing, "
                    + "or it could not be found out whether any are")
        }
        guard settings[RecordSettings.wait] else {
            try report.finish(summary, status: .stopped)
            return summary.incomplete ? .no : .success
        }
        let completion = CompletionWait(session: session.sessionID, log: system.log, report: report)
        let status = try completion.wait(stop: stop)
        try report.finish(summary, status: status ?? .stopped)
        if status == nil {
            Output.error("reel record: no longer waiting; \(kept(summary)) and is being completed")
            return .interrupted
        }
        return status == .completed && !summary.incomplete ? .success : .no
    }

    /// Looks after the log while the recording lasts: whether it is still the same, what is halted, whether
    /// it keeps what is appended.
    private static func watch(_ log: RedisEventLog, until ending: StopSignal) throws {
        _ = try OwnThread(name: "log-watch") {
            let watch = log.watch()
            while !ending.wait(milliseconds: 1_000) { watch.look() }
        }
    }

    private static func kept(_ summary: RecordingSummary) -> String {
        "session \(summary.sessionID) keeps \(summary.chunks) \(summary.chunks == 1 ? "chunk" : "chunks"), "
            + "\(Quantity.bytes(summary.bytes))"
    }
}

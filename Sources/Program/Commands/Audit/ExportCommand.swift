import Operations
import Base
import RedisLog
import Console
import EventSourcing
import Glibc
import Pipeline
import Recording
import SessionContent
import Supervision

/// `reel export`: gives back the recorded bytes.
enum ExportCommand: Command {
    static let output = Setting(
        "output", "FILE", .path, short: "o", isRequired: true,
        help: "Where the recorded bytes go; - for standard output")
    static let partial = Flag(
        "partial",
        help:
            "Give out what is sound of a session that is damaged or not recorded to its end; say what is not"
    )

    static let declaration = CommandDeclaration(
        "export", summary: "Give back the recorded bytes of a session",
        details:
            "Every chunk is checked before its bytes are handed out. A file appears under its name, in "
            + "place of one that was there, only when it is whole and durable; when a chunk is damaged, or "
            + "the session is still recording, nothing is left behind and nothing replaced.\nWith "
            + "--partial the sound chunks are handed out one after the other, and what was left out is "
            + "said on standard error: which chunks, which bytes of the recording they hold, where in the "
            + "output they are missing, and why. With --json that is a JSON document, on standard output "
            + "unless the bytes go there.",
        positionals: [Common.session],
        options: [output.declaration, partial.declaration, Common.json.declaration] + HoldOptions.purpose
            + Common.places,
        examples: [
            "reel export sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D -o desktop.mkv",
            "reel export sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D -o - | ffplay -",
            "reel export sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --partial --json -o rest.mkv > gaps.json",
        ],
        statuses: [
            "0  everything that was recorded was given out",
            "1  no such session, or it was deleted, it is not recorded to its end, a chunk is damaged or "
                + "not stored yet, or the reader went away; with --partial: something was left out, or "
                + "more may come",
            Common.usageStatus, Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let session = settings.positional(0) ?? ""
        let path = try settings.require(output)
        let isPartial = settings[partial]
        let target: any ExportTarget
        if path == "-" {
            target = StandardOutputTarget()
        } else {
            target = try isStream(path) ? StreamTarget(path) : FileTarget(path)
        }
        let system = try RunningSystem(settings)
        let stop = StopSignal()
        try SignalWatcher.start(stop)
        let exporter = SessionExporter(
            store: try system.log.open(), chunks: try system.chunks(), keys: try system.vault().openKeys())
        let trail = CommandTrail(system.log)
        let resource = AuditResource(.session, id: session)
        let purpose = HoldOptions.purpose(settings)
        var isRecorded = false
        // Nothing is handed out before it stands in the log who took it.
        func record() throws {
            guard !isRecorded else { return }
            try trail.keep(
                .sessionExport, on: resource, session: session, reason: purpose.reason,
                caseName: purpose.caseName, details: isPartial ? ["partial": "true"] : [:])
            isRecorded = true
        }
        var done = 0
        var meter = StepMeter("exporting", unit: "bytes")
        defer { meter.clear() }
        func handOut(_ bytes: UnsafeRawBufferPointer, of total: Int) throws {
            if stop.isSet {
                throw CommandFailure(.interrupted, "interrupted; nothing was written to \(path)")
            }
            try record()
            try target.write(bytes)
            done += bytes.count
            meter.show(done, of: total)
        }
        do {
            let report = try trail.recordingFailure(
                of: .sessionExport, on: resource, session: session, for: purpose
            ) {
                let report =
                    try isPartial ? exporter.exportSound(session, handOut) : exporter.export(session, handOut)
                guard report.isWhole || report.exportedBytes > 0 else { return report }
                try record()
                try target.finish()
                return report
            }
            meter.clear()
            return try tell(report, path, settings, isPartial: isPartial)
        } catch ContentFailure.notFound {
            throw CommandFailure(.no, "there is no session \(session)")
        } catch ContentFailure.deleted {
            throw CommandFailure(.no, "session \(session) was deleted: its key and its files are removed")
        } catch let failure as ContentFailure {
            throw CommandFailure(.no, "session \(session) cannot be exported: \(failure)\(advice(failure))")
        } catch is OutputClosed {
            throw CommandFailure(.no, "whoever read standard output went away after \(done) bytes")
        }
    }

    private static func advice(_ failure: ContentFailure) -> String {
        switch failure {
        case .notFound, .deleted, .deletedMeanwhile: ""
        default: "; --partial gives out what is sound and stored"
        }
    }

    /// Says what was left out, and answers the status.
    private static func tell(
        _ report: ExportReport, _ path: String, _ settings: Settings, isPartial: Bool
    ) throws -> ExitStatus {
        if settings[Common.json] {
            var writer = JSONWriter()
            report.encode(into: &writer)
            if path == "-" {
                Output.error(String(decoding: writer.bytes, as: UTF8.self))
            } else {
                try Output.line(writer)
            }
            return report.isWhole ? .success : .no
        }
        func say(_ text: String) { Output.error("reel export: \(Table.printable(text))") }
        for text in report.contradictions.prefix(linesAtMost) { say("the log contradicts itself: \(text)") }
        for gap in report.gaps.prefix(linesAtMost) { say(line(gap)) }
        if report.gaps.count > linesAtMost {
            say("and \(report.gaps.count - linesAtMost) more; --json lists all of them")
        }
        if report.mayGrow { say("the session is \(report.status): more may come") }
        if report.isIncomplete {
            say("the recording ended early; what was recorded until then was given out")
        }
        if !report.isWhole {
            let (given, all) = (report.exportedChunks, report.chunks)
            say("\(given) of \(all) chunks, \(Quantity.grouped(report.exportedBytes)) bytes, were given out")
            if report.exportedBytes == 0 { say("nothing was written to \(path)") }
        }
        return report.isWhole ? .success : .no
    }

    private static let linesAtMost = 100

    private static func line(_ gap: ExportGap) -> String {
        let bytes = gap.bytes.map {
            $0.isEmpty ? ", no bytes," : ", bytes \($0.lowerBound) to \($0.upperBound - 1) of the recording,"
        }
        return "left out chunk \(gap.sequenceNumber)\(gap.chunkID.map { " (\($0))" } ?? "")\(bytes ?? "") "
            + "at byte \(gap.outputOffset) of the output: \(gap.reason)"
    }
}

/// Whether the path names something that bytes are written to in place: a device, a pipe.
private func isStream(_ path: String) -> Bool {
    var facts = stat()
    guard stat(path, &facts) == 0 else { return false }
    return ![S_IFREG, S_IFDIR].contains(facts.st_mode & S_IFMT)
}

/// Where exported bytes go.
private protocol ExportTarget: AnyObject {
    func write(_ bytes: UnsafeRawBufferPointer) throws
    func finish() throws
}

private final class StandardOutputTarget: ExportTarget {
    func write(_ bytes: UnsafeRawBufferPointer) throws { try Output.write(bytes) }
    func finish() {}
}

/// A device or a pipe.
private final class StreamTarget: ExportTarget {
    private let path: String
    private let descriptor: CInt

    init(_ path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemFailure("open", path) }
    }

    deinit { close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer) throws { try writeAll(bytes, to: descriptor, path) }
    func finish() {}
}

private func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt, _ path: String) throws {
    var written = 0
    while written < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { throw SystemFailure("write", path) }
        written += count
    }
}

/// A file that appears under its name when it is whole and durable, or not at all.
private final class FileTarget: ExportTarget {
    private let path: String
    private var temporary = ""
    private var descriptor: CInt = -1

    /// Looks whether the file may be written; makes nothing yet.
    init(_ path: String) throws {
        // What a link points to is replaced, not the link.
        let target = realpath(path, nil)
        defer { free(target) }
        let path = target.map { String(cString: $0) } ?? path
        self.path = path
        var facts = stat()
        let parent = DataFolder.parent(of: path)
        guard stat(parent, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR else {
            throw UsageError(["--output \(path): there is no folder \(parent)"], command: "export")
        }
        if stat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR {
            throw UsageError(["--output \(path): it is a folder; name a file"], command: "export")
        }
    }

    deinit { discard() }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        try open()
        try writeAll(bytes, to: descriptor, temporary)
    }

    private func open() throws {
        guard descriptor < 0 else { return }
        let name = "\(path).\(getpid()).part"
        descriptor = Glibc.open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemFailure("create", name) }
        temporary = name
    }

    func finish() throws {
        try open()
        guard fsync(descriptor) == 0 else { throw SystemFailure("fsync", temporary) }
        guard rename(temporary, path) == 0 else { throw SystemFailure("rename to", path) }
        temporary = ""
        discard()
        try syncFolder()
    }

    /// Without this the name could be gone after a loss of power.
    private func syncFolder() throws {
        let folder = DataFolder.parent(of: path)
        let opened = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard opened >= 0 else { throw SystemFailure("open folder", folder) }
        defer { close(opened) }
        guard fsync(opened) == 0 else { throw SystemFailure("fsync", folder) }
    }

    private func discard() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        if !temporary.isEmpty { unlink(temporary) }
        temporary = ""
    }
}

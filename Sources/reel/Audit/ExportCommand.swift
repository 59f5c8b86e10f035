import RedisLog
import Console
import EventSourcing
import Glibc
import Pipeline
import Recording
import Supervision

/// `reel export`: gives back the recorded bytes.
enum ExportCommand: Command {
    static let output = Setting(
        "output", "FILE", .path, short: "o", isRequired: true,
        help: "Where the recorded bytes go; - for standard output")

    static let declaration = CommandDeclaration(
        "export", summary: "Give back the recorded bytes of a session",
        details:
            "Every chunk is verified before its bytes are handed out. A file appears under its name, in place of "
            + "one that was there, only when it is whole and durable; when a chunk is damaged nothing is "
            + "left behind and nothing replaced.",
        positionals: [Common.session],
        options: [output.declaration] + HoldOptions.purpose + Common.places,
        examples: [
            "reel export sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D -o desktop.mkv",
            "reel export sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D -o - | ffplay -",
        ],
        statuses: [
            "1  no such session, or it was deleted, a chunk is damaged or not stored yet, or the reader went away",
            Common.usageStatus,
            Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let session = settings.positional(0) ?? ""
        let path = try settings.require(output)
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
                caseName: purpose.caseName)
            isRecorded = true
        }
        var done = 0
        var meter = StepMeter("exporting", unit: "bytes")
        defer { meter.clear() }
        do {
            try trail.recordingFailure(of: .sessionExport, on: resource, session: session, for: purpose) {
                try exporter.export(session) { bytes, total in
                    if stop.isSet {
                        throw CommandFailure(.interrupted, "interrupted; nothing was written to \(path)")
                    }
                    try record()
                    try target.write(bytes)
                    done += bytes.count
                    meter.show(done, of: total)
                }
                try record()
                try target.finish()
            }
        } catch ExportFailure.notFound {
            throw CommandFailure(.no, "there is no session \(session)")
        } catch ExportFailure.deleted {
            throw CommandFailure(.no, "session \(session) was deleted: its key and its files are removed")
        } catch let failure as ExportFailure {
            throw CommandFailure(.no, "session \(session) cannot be exported: \(failure)")
        } catch is OutputClosed {
            throw CommandFailure(.no, "whoever read standard output went away after \(done) bytes")
        }
        return .success
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

import Base
import Console
import Intake
import Recording

/// What `reel record` can be told.
enum RecordSettings {
    static let name = Setting("name", "NAME", .text(upTo: 255), isRequired: true, help: "The session's name")
    static let session = Setting(
        "session-id", "ID", .identifier, defaultNote: "a new one", help: "Id of the new session")
    static let project = Setting("project", "TEXT", .text(upTo: 100), help: "Project it belongs to")
    static let environment = Setting(
        "environment", "TEXT", .text(upTo: 50), help: "Environment, such as production")
    static let tag = Setting(
        "tag", "TAG", .text(upTo: 50), isRepeatable: true, help: "A tag, at most 10 of them")
    static let description = Setting("description", "TEXT", .lines(upTo: 500), help: "What it shows")
    static let owner = Setting("owner", "NAME", .text(upTo: 100), help: "Who answers for it")
    static let priority = Setting(
        "priority", "WORD", .oneOf(SessionMetadata.priorities), default: "normal",
        help: "low, normal, high or critical")
    static let host = Setting(
        "rdp-host", "HOST", .text(upTo: 255), help: "The desktop it was taken from")
    static let user = Setting(
        "rdp-user", "NAME", .text(upTo: 255), help: "Who was logged in there; with --rdp-host")
    static let retention = Setting(
        "retention-days", "DAYS", .integer(1...365), default: "30",
        help: "Days that it is kept after it ended; see 'reel sessions expire'")
    static let maximum = Setting(
        "max-size", "GB", .integer(1...1000), default: "10",
        help: "Most gigabytes of 1,073,741,824 bytes that are recorded; the recording is closed there")
    static let whilePaused = Setting(
        "while-paused", "WORD", .oneOf([PausePolicy.drop, .hold].map(\.rawValue)),
        defaultNote: "hold for a file, drop for a stream",
        help: "What becomes of bytes that come while somebody has paused the recording: they are dropped, or "
            + "not read, so that their source waits")
    static let noEncryption = Flag("no-encryption", help: "Store chunks without encrypting them")
    static let wait = Flag("wait", help: "Return when the session is completed")
    static let verbose = Flag("verbose", short: "v", help: "Print a line for every acknowledged chunk")
    static let quiet = Flag("quiet", short: "q", help: "Print no progress")

    static let declarations: [OptionDeclaration] =
        [
            name.declaration, session.declaration, Common.chunkSize.declaration, Common.codec.declaration,
            retention.declaration, maximum.declaration, whilePaused.declaration, noEncryption.declaration,
            wait.declaration,
            project.declaration, environment.declaration,
            tag.declaration, description.declaration, owner.declaration, priority.declaration,
            host.declaration, user.declaration, verbose.declaration, quiet.declaration,
            Common.diskReserve.declaration, Common.spoolQuota.declaration, Common.json.declaration,
        ] + Common.places

    static func newSessionID() -> String { "sess-\(ULID.make(at: SystemClock().now()))" }

    /// The session to make, checked.
    static func session(from settings: Settings, source: CaptureConfig.Source) throws -> SessionEvent.Created
    {
        let codec = try settings.require(Common.codec)
        let rdp = try desktop(settings)
        // What the recording is to look like was decided by whoever made the film.
        let recording = RecordingConfig.unstated(compression: codec)
        var storage = StorageConfig()
        storage.retentionDays = try settings.require(retention)
        storage.maxSizeGB = try settings.require(maximum)
        storage.encryptionEnabled = !settings[noEncryption]
        storage.compressionEnabled = codec != "none"
        var metadata = SessionMetadata()
        metadata.project = settings[project]
        metadata.environment = settings[environment]
        metadata.tags = settings.all(tag)
        metadata.description = settings[description]
        metadata.owner = settings[owner]
        metadata.priority = settings[priority]
        let created = SessionEvent.Created(
            sessionID: settings[session] ?? newSessionID(),
            name: try settings.require(name), rdp: rdp, recording: recording, storage: storage,
            metadata: metadata,
            capture: CaptureConfig(source: source, chunkSizeBytes: try settings.require(Common.chunkSize)))
        if let limit = try Common.spoolLimit(settings), limit < created.capture.chunkSizeBytes {
            throw UsageError(
                ["--spool-quota (REEL_SPOOL_QUOTA_MB): must have room for one chunk (--chunk-size)"],
                command: "record")
        }
        let violations = created.violations
        if !violations.isEmpty { throw UsageError(violations.map(optionNamed), command: "record") }
        return created
    }

    /// The desktop, where somebody states it: nobody is told of one that Reel has not heard of.
    private static func desktop(_ settings: Settings) throws -> RDPConfig? {
        if let host = settings[host] { return .stated(host: host, username: settings[user]) }
        guard settings[user] == nil else {
            throw UsageError(["--rdp-user: needs --rdp-host, the desktop"], command: "record")
        }
        return nil
    }

    /// A violation in the words of the command line.
    private static func optionNamed(_ violation: Violation) -> String {
        let options = [
            "metadata.tags": "--tag", "rdp_config.host": "--rdp-host", "rdp_config.username": "--rdp-user",
        ]
        return "\(options[violation.field] ?? violation.field): \(violation.rule)"
    }
}

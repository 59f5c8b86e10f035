package import Base
internal import EventSourcing

/// Where a recorded desktop is. The password is not part of it: it never enters an event.
package struct RDPConfig: Sendable, Hashable {
    /// Host name or address, 1 to 255 characters of `[a-zA-Z0-9.-]`.
    package var host: String
    /// TCP port; nil where nobody stated it, as of a film that was taken somewhere.
    package var port: Int? = 3389
    /// Name to log in with, 1 to 255 characters; nil where nobody stated it.
    package var username: String?
    /// Domain of the name, 1 to 255 characters.
    package var domain: String?
    /// Whether the connection is encrypted; nil where nobody stated it.
    package var useTLS: Bool? = true
    /// Whether certificate errors are ignored; nil where nobody stated it.
    package var ignoreCertificate: Bool? = false

    /// A configuration with the defaults of its other fields.
    package init(host: String, username: String) {
        self.host = host
        self.username = username
    }

    /// What is known of a desktop that Reel does not connect to: nothing but this.
    package static func stated(host: String, username: String?) -> RDPConfig {
        var desktop = RDPConfig(host: host, username: "").unstated
        desktop.username = username
        return desktop
    }

    /// With the defaults where nothing was stated.
    var complete: RDPConfig { filled(from: RDPConfig(host: host, username: "unknown")) }

    /// Every rule that is broken.
    package var violations: [Violation] { brokenRules(of: "rdp_config") }
}

extension RDPConfig: Described {
    mutating func describe<Visitor: FieldVisitor>(_ fields: inout Visitor) throws(Visitor.Failure) {
        try fields.text("host", &host, .checked(Self.checkHost))
        try fields.count("port", &port, .unstated, NumberBounds.port)
        try fields.text("username", &username, .unstated, .line(1...255))
        try fields.text("domain", &domain, .empty, .line(1...255))
        try fields.flag("use_tls", &useTLS, .unstated)
        try fields.flag("ignore_cert", &ignoreCertificate, .unstated)
    }

    private static func checkHost(_ field: String, _ host: String, _ rules: inout Rules) {
        rules.length(field, host, 1...255)
        let isHost = host.utf8.allSatisfy {
            switch $0 {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E: true
            default: false
            }
        }
        rules.require(field, isHost, "must be a host name or an address: letters, digits, '.' and '-'")
    }
}

/// How a session is recorded. What is nil nobody stated, and nothing shows: so it is with films and streams
/// that Reel keeps as they come.
package struct RecordingConfig: Sendable, Hashable {
    /// The qualities there are.
    package static let qualities = ["low", "medium", "high", "ultra"]
    /// The compressions there are.
    package static let compressions = ["none", "zstd", "lz4", "gzip"]

    /// Frames a second, 1 to 120.
    package var frameRate: Int? = 30
    /// `WIDTHxHEIGHT`, 320x240 to 7680x4320.
    package var resolution: String? = "1920x1080"
    /// One of `qualities`.
    package var quality: String? = "high"
    /// One of `compressions`.
    package var compression: String = "zstd"
    /// Kilobits a second, 1,000 to 50,000,000.
    package var bitrate: Int?
    /// Whether sound is recorded.
    package var audioEnabled: Bool? = true
    /// Whether the cursor is recorded.
    package var cursorEnabled: Bool? = true

    /// The defaults.
    package init() {}

    /// A configuration of which nothing is stated but how chunks are compressed.
    package static func unstated(compression: String) -> RecordingConfig {
        var config = RecordingConfig().unstated
        config.compression = compression
        return config
    }

    /// With the defaults where nothing was stated.
    var complete: RecordingConfig { filled(from: RecordingConfig()) }

    /// Every rule that is broken.
    package var violations: [Violation] { brokenRules(of: "recording_config") }
}

extension RecordingConfig: Described {
    mutating func describe<Visitor: FieldVisitor>(_ fields: inout Visitor) throws(Visitor.Failure) {
        try fields.count("frame_rate", &frameRate, .unstated, NumberBounds.frameRate)
        try fields.text("resolution", &resolution, .unstated, .checked(Self.checkResolution))
        try fields.text("quality", &quality, .unstated, .word(Self.qualities))
        try fields.text("compression", &compression, .word(Self.compressions))
        try fields.count("bitrate", &bitrate, .empty, NumberBounds.bitrate)
        try fields.flag("audio_enabled", &audioEnabled, .unstated)
        try fields.flag("cursor_enabled", &cursorEnabled, .unstated)
    }

    private static func checkResolution(_ field: String, _ resolution: String, _ rules: inout Rules) {
        let parts = resolution.split(separator: "x", omittingEmptySubsequences: false)
        // One way to write a size: no zeros before it, however many.
        let sizes = parts.compactMap { part in
            part.utf8.first != 0x30 && part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(part) : nil
        }
        if parts.count == 2, sizes.count == 2 {
            rules.require(
                field, (320...7680).contains(sizes[0]) && (240...4320).contains(sizes[1]),
                "must be between 320x240 and 7680x4320")
        } else {
            rules.require(field, false, "must have the form WIDTHxHEIGHT")
        }
    }
}

/// How long, how much and in which form a session is kept.
package struct StorageConfig: Sendable, Hashable {
    /// Days, 1 to 365.
    package var retentionDays: Int = 30
    /// Gigabytes, 1 to 1000.
    package var maxSizeGB: Int = 10
    /// Whether chunks are encrypted.
    package var encryptionEnabled: Bool = true
    /// Whether chunks are compressed.
    package var compressionEnabled: Bool = true
    /// Whether it is backed up.
    package var backupEnabled: Bool = false
    /// Whether it is archived.
    package var archiveEnabled: Bool = false

    /// The defaults.
    package init() {}

    /// Every rule that is broken.
    package var violations: [Violation] { brokenRules(of: "storage_config") }

    /// The most bytes that may be recorded: a gigabyte is 1,073,741,824 of them.
    package var maximumBytes: Int { maxSizeGB *| (1 << 30) }

    /// The rule that a session with so many recorded bytes breaks; nil when it breaks none.
    package func violation(ofBytes bytes: Int) -> Violation? {
        if bytes <= maximumBytes { return nil }
        return Violation(
            "storage_config.max_size_gb", "allows \(maxSizeGB) GB, which is \(maximumBytes) bytes")
    }
}

extension StorageConfig: Described {
    mutating func describe<Visitor: FieldVisitor>(_ fields: inout Visitor) throws(Visitor.Failure) {
        try fields.count("retention_days", &retentionDays, NumberBounds.retentionDays)
        try fields.count("max_size_gb", &maxSizeGB, NumberBounds.maxSizeGB)
        try fields.flag("encryption_enabled", &encryptionEnabled)
        try fields.flag("compression_enabled", &compressionEnabled)
        try fields.flag("backup_enabled", &backupEnabled)
        try fields.flag("archive_enabled", &archiveEnabled)
    }
}

/// What people say about a session.
package struct SessionMetadata: Sendable, Hashable {
    /// The priorities there are.
    package static let priorities = ["low", "normal", "high", "critical"]

    /// Project, at most 100 characters.
    package var project: String?
    /// Environment, at most 50 characters.
    package var environment: String?
    /// At most 10 tags of at most 50 characters.
    package var tags: [String] = []
    /// Description, at most 500 characters, in lines.
    package var description: String?
    /// Owner, at most 100 characters.
    package var owner: String?
    /// One of `priorities`.
    package var priority: String? = "normal"

    /// The defaults.
    package init() {}

    /// Whether two are the same, code point by code point.
    func isIdentical(to other: SessionMetadata) -> Bool {
        var (mine, others) = (JSONWriter(), JSONWriter())
        encode(into: &mine)
        other.encode(into: &others)
        return mine.bytes == others.bytes
    }

    /// Every rule that is broken.
    package var violations: [Violation] { brokenRules(of: "metadata") }
}

extension SessionMetadata: Described {
    mutating func describe<Visitor: FieldVisitor>(_ fields: inout Visitor) throws(Visitor.Failure) {
        try fields.text("project", &project, .empty, .line(0...100))
        try fields.text("environment", &environment, .empty, .line(0...50))
        try fields.texts("tags", &tags, Self.checkTags)
        try fields.text("description", &description, .empty, .lines(0...500))
        try fields.text("owner", &owner, .empty, .line(0...100))
        try fields.text("priority", &priority, .empty, .word(Self.priorities))
    }

    private static func checkTags(_ field: String, _ tags: [String], _ rules: inout Rules) {
        rules.require(field, tags.count <= 10, "must have at most 10 tags")
        rules.require(
            field, tags.allSatisfy { $0.unicodeScalars.count <= 50 },
            "must have tags of at most 50 characters")
        rules.require(field, tags.allSatisfy(\.isOneLine), "must have tags without control characters")
    }
}

/// How a session's bytes are cut and sealed.
package struct CaptureConfig: Sendable, Hashable {
    /// Where chunks come from.
    package enum Source: String, Sendable, CaseIterable {
        /// A file.
        case file
        /// A stream such as standard input.
        case stream
        /// A remote desktop.
        case rdp
    }

    /// The bounds of a chunk's size in bytes: 1 KiB to 100 MiB.
    package static let chunkSizes = NumberBounds.chunkSize

    /// Where chunks come from.
    package var source: Source
    /// Largest size of a chunk in bytes.
    package var chunkSizeBytes: Int
    package init(source: Source, chunkSizeBytes: Int) {
        self.source = source
        self.chunkSizeBytes = chunkSizeBytes
    }

    /// Every rule that is broken.
    package var violations: [Violation] {
        var rules = Rules("capture")
        rules.range("chunk_size_bytes", chunkSizeBytes, Self.chunkSizes)
        return rules.violations
    }
}

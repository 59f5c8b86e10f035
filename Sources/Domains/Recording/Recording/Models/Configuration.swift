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
        var desktop = RDPConfig(host: host, username: "")
        desktop.username = username
        (desktop.port, desktop.useTLS, desktop.ignoreCertificate) = (nil, nil, nil)
        return desktop
    }

    /// With the defaults where nothing was stated.
    var complete: RDPConfig {
        let defaults = RDPConfig(host: host, username: "unknown")
        var desktop = self
        desktop.username = username ?? defaults.username
        desktop.port = port ?? defaults.port
        desktop.useTLS = useTLS ?? defaults.useTLS
        desktop.ignoreCertificate = ignoreCertificate ?? defaults.ignoreCertificate
        return desktop
    }

    /// Every rule that is broken.
    package var violations: [Violation] {
        var rules = Rules("rdp_config")
        rules.length("host", host, 1...255)
        let hostBytes = host.utf8.allSatisfy {
            switch $0 {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E: true
            default: false
            }
        }
        rules.require("host", hostBytes, "must be a host name or an address: letters, digits, '.' and '-'")
        rules.range("port", port, NumberBounds.port)
        rules.length("username", username, 1...255)
        rules.length("domain", domain, 1...255)
        return rules.violations
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
        var config = RecordingConfig()
        (config.frameRate, config.resolution, config.quality) = (nil, nil, nil)
        (config.audioEnabled, config.cursorEnabled) = (nil, nil)
        config.compression = compression
        return config
    }

    /// With the defaults where nothing was stated.
    var complete: RecordingConfig {
        let defaults = RecordingConfig()
        var config = self
        config.frameRate = frameRate ?? defaults.frameRate
        config.resolution = resolution ?? defaults.resolution
        config.quality = quality ?? defaults.quality
        config.audioEnabled = audioEnabled ?? defaults.audioEnabled
        config.cursorEnabled = cursorEnabled ?? defaults.cursorEnabled
        return config
    }

    /// Every rule that is broken.
    package var violations: [Violation] {
        var rules = Rules("recording_config")
        rules.range("frame_rate", frameRate, NumberBounds.frameRate)
        if let resolution { Self.check(resolution, &rules) }
        rules.oneOf("quality", quality, Self.qualities)
        rules.oneOf("compression", compression, Self.compressions)
        rules.range("bitrate", bitrate, NumberBounds.bitrate)
        return rules.violations
    }

    private static func check(_ resolution: String, _ rules: inout Rules) {
        let parts = resolution.split(separator: "x", omittingEmptySubsequences: false)
        // One way to write a size: no zeros before it, however many.
        let sizes = parts.compactMap { part in
            part.utf8.first != 0x30 && part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(part) : nil
        }
        if parts.count == 2, sizes.count == 2 {
            rules.require(
                "resolution", (320...7680).contains(sizes[0]) && (240...4320).contains(sizes[1]),
                "must be between 320x240 and 7680x4320")
        } else {
            rules.require("resolution", false, "must have the form WIDTHxHEIGHT")
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
    package var violations: [Violation] {
        var rules = Rules("storage_config")
        rules.range("retention_days", retentionDays, NumberBounds.retentionDays)
        rules.range("max_size_gb", maxSizeGB, NumberBounds.maxSizeGB)
        return rules.violations
    }

    /// The most bytes that may be recorded: a gigabyte is 1,073,741,824 of them.
    package var maximumBytes: Int { maxSizeGB *| (1 << 30) }

    /// The rule that a session with so many recorded bytes breaks; nil when it breaks none.
    package func violation(ofBytes bytes: Int) -> Violation? {
        if bytes <= maximumBytes { return nil }
        return Violation(
            "storage_config.max_size_gb", "allows \(maxSizeGB) GB, which is \(maximumBytes) bytes")
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
        let pairs = zip(
            [project, environment, description, owner, priority] + tags,
            [other.project, other.environment, other.description, other.owner, other.priority] + other.tags)
        return tags.count == other.tags.count && pairs.allSatisfy(areIdentical)
    }

    /// Every rule that is broken.
    package var violations: [Violation] {
        var rules = Rules("metadata")
        rules.length("project", project, 0...100)
        rules.length("environment", environment, 0...50)
        rules.require("tags", tags.count <= 10, "must have at most 10 tags")
        rules.require(
            "tags", tags.allSatisfy { $0.unicodeScalars.count <= 50 },
            "must have tags of at most 50 characters")
        rules.require("tags", tags.allSatisfy(\.isOneLine), "must have tags without control characters")
        rules.lines("description", description, 0...500)
        rules.length("owner", owner, 0...100)
        rules.oneOf("priority", priority, Self.priorities)
        return rules.violations
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

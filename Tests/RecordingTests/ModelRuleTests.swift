import Recording
import Testing
import Base

private func characters(_ count: Int) -> String { String(repeating: "ä", count: count) }
private func letters(_ count: Int) -> String { String(repeating: "a", count: count) }

/// Checks a rule at, below and above its bounds: what breaks it is reported once, with the field's path.
private func expect<V>(
    _ field: String, breaks bad: [V], keeps good: [V], location: SourceLocation = #_sourceLocation,
    _ violations: (V) -> [Violation]
) {
    for value in good {
        #expect(violations(value) == [], "\(field) = \(value)", sourceLocation: location)
    }
    for value in bad {
        let fields = violations(value).map(\.field)
        #expect(Set(fields) == [field], "\(field) = \(value)", sourceLocation: location)
    }
}

@Suite("Rules of the models")
struct ModelRuleTests {
    @Test("Defaults break no rule")
    func defaults() {
        #expect(RDPConfig(host: "h", username: "u").violations.isEmpty)
        #expect(RDPConfig(host: "h", username: "u").port == 3389)
        #expect(RecordingConfig().violations.isEmpty)
        #expect(StorageConfig().violations.isEmpty)
        #expect(SessionMetadata().violations.isEmpty)
        #expect(CaptureConfig(source: .file, chunkSizeBytes: 10 << 20).violations.isEmpty)
        #expect(History.creation.violations.isEmpty)
    }

    @Test("Remote desktop")
    func desktop() {
        func with<V>(_ path: WritableKeyPath<RDPConfig, V>) -> (V) -> [Violation] {
            { value in
                var config = RDPConfig(host: "h", username: "u")
                config[keyPath: path] = value
                return config.violations
            }
        }
        expect(
            "rdp_config.host",
            breaks: ["", letters(256), "a b", "a_b", "a:3389", "hôte", "a/b", "[::1]", "a\n"],
            keeps: ["a", letters(255), "10.0.0.7", "Desk-17.example.org", "-", "."], with(\.host))
        expect(
            "rdp_config.port", breaks: [Int.min, -1, 0, 65_536, Int.max], keeps: [1, 2, 65_534, 65_535],
            with(\.port))
        expect(
            "rdp_config.username", breaks: ["", characters(256)], keeps: ["u", characters(255)],
            with(\.username))
        expect(
            "rdp_config.domain", breaks: ["", characters(256)], keeps: [nil, "D", characters(255)],
            with(\.domain))
    }

    @Test("Recording")
    func recording() {
        func with<V>(_ path: WritableKeyPath<RecordingConfig, V>) -> (V) -> [Violation] {
            { value in
                var config = RecordingConfig()
                config[keyPath: path] = value
                return config.violations
            }
        }
        expect(
            "recording_config.frame_rate", breaks: [Int.min, -1, 0, 121, Int.max],
            keeps: [1, 2, 119, 120], with(\.frameRate))
        expect(
            "recording_config.resolution",
            breaks: [
                "", "x", "1920", "1920x", "x1080", "1920X1080", "1920x1080x1", "1920 x 1080", "-640x480",
                "+640x480", "640.5x480", "٦٤٠x480", "319x240", "320x239", "7681x4320", "7680x4321", "0x0",
                "99999999999999999999x480", "1920x1080\n", "0640x480", "640x0480",
            ],
            keeps: ["320x240", "321x241", "7679x4319", "7680x4320", "320x4320", "7680x240"],
            with(\.resolution))
        expect(
            "recording_config.quality", breaks: ["", "best", "High", "high "],
            keeps: ["low", "medium", "high", "ultra"], with(\.quality))
        expect(
            "recording_config.compression", breaks: ["", "zip", "ZSTD", "brotli"],
            keeps: ["none", "zstd", "lz4", "gzip"], with(\.compression))
        expect(
            "recording_config.bitrate", breaks: [Int.min, 0, 999, 50_000_001, Int.max],
            keeps: [nil, 1000, 1001, 49_999_999, 50_000_000], with(\.bitrate))
    }

    @Test("Storage")
    func storage() {
        func with<V>(_ path: WritableKeyPath<StorageConfig, V>) -> (V) -> [Violation] {
            { value in
                var config = StorageConfig()
                config[keyPath: path] = value
                return config.violations
            }
        }
        expect(
            "storage_config.retention_days", breaks: [Int.min, -1, 0, 366, Int.max],
            keeps: [1, 2, 364, 365], with(\.retentionDays))
        expect(
            "storage_config.max_size_gb", breaks: [Int.min, -1, 0, 1001, Int.max],
            keeps: [1, 2, 999, 1000], with(\.maxSizeGB))
    }

    @Test("Metadata")
    func metadata() {
        func with<V>(_ path: WritableKeyPath<SessionMetadata, V>) -> (V) -> [Violation] {
            { value in
                var metadata = SessionMetadata()
                metadata[keyPath: path] = value
                return metadata.violations
            }
        }
        expect(
            "metadata.project", breaks: [characters(101)], keeps: [nil, "", characters(99), characters(100)],
            with(\.project))
        expect(
            "metadata.environment", breaks: [characters(51)], keeps: [nil, "", characters(50)],
            with(\.environment))
        expect(
            "metadata.tags",
            breaks: [Array(repeating: "t", count: 11), [characters(51)], ["ok", characters(51)]],
            keeps: [[], [""], Array(repeating: characters(50), count: 10)], with(\.tags))
        expect(
            "metadata.description", breaks: [characters(501)], keeps: [nil, "", characters(500)],
            with(\.description))
        expect(
            "metadata.owner", breaks: [characters(101)], keeps: [nil, "", characters(100)], with(\.owner))
        expect(
            "metadata.priority", breaks: ["", "urgent", "Normal"],
            keeps: [nil, "low", "normal", "high", "critical"], with(\.priority))
    }

    @Test("No text of one line holds what ends, hides or turns a line; a description may have lines")
    func controlCharacters() {
        let codes: [UInt32] = Array(0..<0x20) + Array(0x7F..<0xA0) + Array(0x2028...0x202E)
        let isolates: [UInt32] = Array(0x2066...0x2069)
        let bad = (codes + isolates).compactMap(Unicode.Scalar.init).map { "a\($0)b" }
        // Blanks, joiners, marks of a direction and letters of any script are text.
        let good = ["a b", " a ", "a\u{A0}b", "\u{200E}a\u{200F}", "👩‍👩‍👧", "\u{FEFF}", "שלום", "e\u{301}"]
        func metadata(_ path: WritableKeyPath<SessionMetadata, String?>) -> (String) -> [Violation] {
            { value in
                var metadata = SessionMetadata()
                metadata[keyPath: path] = value
                return metadata.violations
            }
        }
        expect("metadata.project", breaks: bad, keeps: good, metadata(\.project))
        expect("metadata.environment", breaks: bad, keeps: good, metadata(\.environment))
        expect("metadata.owner", breaks: bad, keeps: good, metadata(\.owner))
        expect("metadata.tags", breaks: bad, keeps: good) { tag in
            var metadata = SessionMetadata()
            metadata.tags = ["ok", tag]
            return metadata.violations
        }
        let lines = ["a\nb", "a\r\nb", "\ta"]
        expect(
            "metadata.description", breaks: bad.filter { !["a\tb", "a\nb", "a\rb"].contains($0) },
            keeps: good + lines, metadata(\.description))
        expect("rdp_config.username", breaks: bad, keeps: good) {
            RDPConfig(host: "h", username: $0).violations
        }
        expect("rdp_config.domain", breaks: bad, keeps: good) {
            var config = RDPConfig(host: "h", username: "u")
            config.domain = $0
            return config.violations
        }
    }

    @Test("Chunk size")
    func chunkSize() {
        expect(
            "capture.chunk_size_bytes", breaks: [Int.min, 0, 1023, 104_857_601, Int.max],
            keeps: [1024, 1025, 104_857_599, 104_857_600]
        ) { CaptureConfig(source: .file, chunkSizeBytes: $0).violations }
    }

    @Test("Session id and name")
    func creation() {
        func with<V>(_ path: WritableKeyPath<SessionEvent.Created, V>) -> (V) -> [Violation] {
            { value in
                var creation = History.creation
                creation[keyPath: path] = value
                return creation.violations
            }
        }
        expect(
            "session_id",
            breaks: ["", letters(101), "a b", "a.b", "a/b", "../a", "ä", "a\n", "a\u{0}"],
            keeps: ["a", "-", "_", "sess-1_A", letters(100)], with(\.sessionID))
        expect("name", breaks: ["", characters(256)], keeps: ["n", characters(255)], with(\.name))
    }

    @Test("Creation reports every rule that is broken, not the first alone")
    func everything() {
        var creation = History.creation
        creation.rdp = RDPConfig(host: "", username: "")
        creation.recording.frameRate = 0
        creation.recording.resolution = "1x1"
        creation.metadata.tags = Array(repeating: characters(51), count: 11)
        let fields = creation.violations.map(\.field)
        #expect(
            fields == [
                "rdp_config.host", "rdp_config.username", "recording_config.frame_rate",
                "recording_config.resolution", "metadata.tags", "metadata.tags",
            ])
    }

    @Test("A violation names its field and its rule")
    func sentences() {
        var config = RecordingConfig()
        config.frameRate = 121
        #expect(
            config.violations.map(\.description)
                == ["recording_config.frame_rate must be between 1 and 120"])
    }

    @Test("Length counts characters of Unicode, as seed and JSON Schema do, not bytes")
    func unicodeLength() {
        var metadata = SessionMetadata()
        metadata.environment = String(repeating: "🎥", count: 50)
        #expect(metadata.violations.isEmpty)
        metadata.environment = String(repeating: "e\u{301}", count: 26)
        #expect(metadata.violations.map(\.field) == ["metadata.environment"])
    }
}

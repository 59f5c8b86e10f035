package import Base

/// A part of a request with defaults of its own: a configuration, or the metadata.
package protocol RequestSection: Sendable, Hashable {
    /// The defaults.
    init()
    /// Takes over what the reader has; what is absent stays as it is.
    mutating func read(_ reader: inout RequestReader)
    /// Every rule that is broken.
    var violations: [Violation] { get }
}

extension RequestSection {
    /// The section with what `json` holds, and everything that is wrong with it.
    func reading(_ json: JSONValue, path: String) -> (Self, [Violation]) {
        var reader = RequestReader(json, path: path)
        var section = self
        section.read(&reader)
        if reader.isNoObject { return (section, reader.violations) }
        return (section, reader.finish(section.violations))
    }
}

extension RecordingConfig: RequestSection {
    /// Takes over what the reader has.
    package mutating func read(_ reader: inout RequestReader) {
        reader.read("frame_rate", stating: &frameRate)
        reader.read("resolution", stating: &resolution)
        reader.read("quality", stating: &quality)
        reader.read("compression", into: &compression)
        reader.read("bitrate", into: &bitrate)
        reader.read("audio_enabled", stating: &audioEnabled)
        reader.read("cursor_enabled", stating: &cursorEnabled)
    }
}

extension StorageConfig: RequestSection {
    /// Takes over what the reader has.
    package mutating func read(_ reader: inout RequestReader) {
        reader.read("retention_days", into: &retentionDays)
        reader.read("max_size_gb", into: &maxSizeGB)
        reader.read("encryption_enabled", into: &encryptionEnabled)
        reader.read("compression_enabled", into: &compressionEnabled)
        reader.read("backup_enabled", into: &backupEnabled)
        reader.read("archive_enabled", into: &archiveEnabled)
    }
}

extension SessionMetadata: RequestSection {
    /// Takes over what the reader has.
    package mutating func read(_ reader: inout RequestReader) {
        reader.read("project", into: &project)
        reader.read("environment", into: &environment)
        reader.read("tags", into: &tags)
        reader.read("description", into: &description)
        reader.read("owner", into: &owner)
        reader.read("priority", into: &priority)
    }
}

/// Some fields of a section, to be put over those that it has. What was read keeps to the rules; since no
/// rule spans two fields, any lawful section keeps to them with the change.
package struct SectionChange<Section: RequestSection>: Sendable, Hashable {
    private let json: JSONValue

    /// A change from the object that was sent, and everything that is wrong with it.
    static func read(_ json: JSONValue, path: String) -> (SectionChange, [Violation]) {
        (SectionChange(json: json), Section().reading(json, path: path).1)
    }

    /// The section with the change.
    package func applied(to section: Section) -> Section {
        var reader = RequestReader(json)
        var section = section
        section.read(&reader)
        return section
    }
}

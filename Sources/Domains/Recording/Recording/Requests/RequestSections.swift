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
    package mutating func read(_ reader: inout RequestReader) { read(request: &reader) }
}

extension StorageConfig: RequestSection {
    /// Takes over what the reader has.
    package mutating func read(_ reader: inout RequestReader) { read(request: &reader) }
}

extension SessionMetadata: RequestSection {
    /// Takes over what the reader has.
    package mutating func read(_ reader: inout RequestReader) { read(request: &reader) }
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

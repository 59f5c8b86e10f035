package import Base

/// The password of a recorded desktop, on its way from a request to where it is sealed. No description of
/// it, nor of anything that holds it, shows it, and nothing in this module encodes it.
package struct RDPPassword: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    private let text: String

    /// A password of 1 to 255 characters; the rule is checked by who reads the request.
    package init(_ text: String) { self.text = text }

    /// Lends the password's UTF-8 bytes.
    package func withBytes<Answer>(_ body: ([UInt8]) throws -> Answer) rethrows -> Answer {
        try body(Array(text.utf8))
    }

    /// Never the password.
    package var description: String { "(a password)" }
    /// Never the password.
    package var debugDescription: String { description }
    /// Without children.
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// `POST /sessions`.
///
/// Beyond seed 000 it takes `session_id`, for callers that name their sessions themselves. `description`
/// stands for `metadata.description` and wins over it.
package struct CreateSessionRequest: RequestBody {
    /// The id that the caller gives; nil when it is left to us.
    package var sessionID: String?
    /// Its name, 1 to 255 characters.
    package var name = ""
    /// The desktop, without the password; nil for a stream of which nobody has stated it.
    package var rdp: RDPConfig?
    /// The desktop's password, which enters no event and no read model.
    package var password: RDPPassword?
    /// How it is recorded.
    package var recording = RecordingConfig()
    /// How it is kept.
    package var storage = StorageConfig()
    /// What people say about it.
    package var metadata = SessionMetadata()

    /// Reads the object.
    package static func read(_ json: JSONValue) -> (CreateSessionRequest, [Violation]) {
        read(json, isStream: false)
    }

    /// Reads the object.
    /// - Parameter isStream: whether it is of a stream that is kept as it comes. Such a one need not name a
    ///   desktop, and what it does not state of the recording is not known; a session that a client describes
    ///   by itself has the defaults of seed 000.
    static func read(_ json: JSONValue, isStream: Bool) -> (CreateSessionRequest, [Violation]) {
        var reader = RequestReader(json)
        var request = CreateSessionRequest()
        if isStream { request.recording = .unstated(compression: request.recording.compression) }
        if reader.isNoObject { return (request, reader.violations) }
        reader.read("session_id", into: &request.sessionID)
        reader.read("name", into: &request.name, required: true)
        var description: String?
        reader.read("description", into: &description)
        var wrong: [Violation] = []
        if let part = reader.object("rdp_config", required: !isStream) {
            wrong += request.readDesktop(part, isStream: isStream)
        }
        func section<S: RequestSection>(_ name: String, _ section: inout S) {
            guard let part = reader.object(name) else { return }
            let (read, violations) = section.reading(part, path: name)
            section = read
            wrong += violations
        }
        section("recording_config", &request.recording)
        section("storage_config", &request.storage)
        section("metadata", &request.metadata)
        var rules = Rules()
        if let id = request.sessionID {
            rules.require("session_id", Identifier.isValid(id), Identifier.rule)
        }
        rules.length("name", request.name, 1...255)
        rules.lines("description", description, 0...500)
        request.metadata.description = description ?? request.metadata.description
        let violations = reader.finish(rules.violations) + wrong
        return (request, Array(violations.prefix(RequestReader.maximumViolations)))
    }

    private mutating func readDesktop(_ json: JSONValue, isStream: Bool) -> [Violation] {
        var reader = RequestReader(json, path: "rdp_config")
        if reader.isNoObject { return reader.violations }
        var rdp = isStream ? RDPConfig.stated(host: "", username: nil) : RDPConfig(host: "", username: "")
        reader.read("host", into: &rdp.host, required: true)
        reader.read("port", stating: &rdp.port)
        reader.read("username", stating: &rdp.username, required: !isStream)
        var secret: String?
        reader.read("password", into: &secret)
        reader.read("domain", into: &rdp.domain)
        reader.read("use_tls", stating: &rdp.useTLS)
        reader.read("ignore_cert", stating: &rdp.ignoreCertificate)
        self.rdp = rdp
        var rules = Rules("rdp_config")
        rules.length("password", secret, 1...255)
        password = secret.map(RDPPassword.init)
        return reader.finish(rdp.violations + rules.violations)
    }

    /// The event's payload. A session without an owner belongs to `owner`, who asked for it.
    package func creation(
        sessionID: String, owner: String?, capture: CaptureConfig
    ) -> SessionEvent.Created {
        var metadata = metadata
        metadata.owner = metadata.owner ?? owner
        return SessionEvent.Created(
            sessionID: sessionID, name: name, rdp: rdp, recording: recording, storage: storage,
            metadata: metadata, capture: capture)
    }
}

/// `PUT /sessions/{id}`: what is absent stays as it is, also within a configuration. A whole configuration,
/// as seed 000 has it, is replaced as a whole thereby.
///
/// null is the same as absent for `name`, `description` and the configurations; within them it empties what
/// may be empty (`bitrate`, `project`, `environment`, `description`, `owner`, `priority`).
package struct UpdateSessionRequest: RequestBody, Hashable {
    /// The new name.
    package var name: String?
    /// Stands for `metadata.description`, and wins over it.
    package var description: String?
    /// Changes of how it is recorded.
    package var recording: SectionChange<RecordingConfig>?
    /// Changes of how it is kept.
    package var storage: SectionChange<StorageConfig>?
    /// Changes of what people say about it.
    package var metadata: SectionChange<SessionMetadata>?

    /// A request that changes nothing.
    package init() {}

    /// Reads the object.
    package static func read(_ json: JSONValue) -> (UpdateSessionRequest, [Violation]) {
        var reader = RequestReader(json)
        var request = UpdateSessionRequest()
        if reader.isNoObject { return (request, reader.violations) }
        reader.read("name", into: &request.name)
        reader.read("description", into: &request.description)
        var wrong: [Violation] = []
        func change<S: RequestSection>(_ name: String) -> SectionChange<S>? {
            guard let part = reader.object(name, nullable: true) else { return nil }
            let (change, violations) = SectionChange<S>.read(part, path: name)
            wrong += violations
            return change
        }
        request.recording = change("recording_config")
        request.storage = change("storage_config")
        request.metadata = change("metadata")
        var rules = Rules()
        rules.length("name", request.name, 1...255)
        rules.lines("description", request.description, 0...500)
        let violations = reader.finish(rules.violations) + wrong
        return (request, Array(violations.prefix(RequestReader.maximumViolations)))
    }

    /// The event's payload: the parts that become other than they are; nil when none does.
    package func event(
        sessionID: String, on current: SessionDescription
    ) -> SessionEvent.Updated? {
        var changed = SessionEvent.Updated(sessionID: sessionID)
        func differing<Part: Equatable>(_ new: Part?, _ old: Part) -> Part? { new == old ? nil : new }
        changed.name = name.flatMap { $0.isIdentical(to: current.name) ? nil : $0 }
        changed.recording = differing(recording?.applied(to: current.recording), current.recording)
        changed.storage = differing(storage?.applied(to: current.storage), current.storage)
        var said = metadata?.applied(to: current.metadata) ?? current.metadata
        said.description = description ?? said.description
        changed.metadata = said.isIdentical(to: current.metadata) ? nil : said
        return changed == SessionEvent.Updated(sessionID: sessionID) ? nil : changed
    }
}

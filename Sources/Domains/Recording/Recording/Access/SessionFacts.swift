package import Access
internal import Base
package import EventSourcing

/// What decides who may see a session, and what tells its description from any other: a fold of the few
/// events that make, change and delete sessions.
///
/// Read models show sessions; these facts, which come from the log alone, say who is shown them, and whether
/// what is shown is what the log says.
package struct SessionFacts: Sendable, Hashable {
    /// Whose it is.
    package var ownership: Ownership
    /// What it is described as.
    package var description: DescriptionDigest
    /// A sequence of the session up to which everything that concerns these facts is contained.
    package var version: UInt64
    package init(ownership: Ownership, description: DescriptionDigest, version: UInt64) {
        self.ownership = ownership
        self.description = description
        self.version = version
    }

    /// The facts of a session that has just been made.
    package init(_ created: SessionEvent.Created, version: UInt64 = 1) {
        ownership = Ownership(created.metadata)
        description = DescriptionDigest(SessionDescription(created), created.rdp)
        self.version = version
    }

    /// The facts of a session as it is shown.
    package init(_ view: SessionView) {
        ownership = Ownership(view.metadata)
        description = DescriptionDigest(SessionDescription(view), view.rdp)
        version = view.version
    }

    /// The facts after a change, of which the whole new description is known.
    package func changed(to description: SessionDescription, version: UInt64) -> SessionFacts {
        guard version > self.version else { return self }
        var digest = DescriptionDigest(description, nil)
        digest.desktop = self.description.desktop
        return SessionFacts(ownership: Ownership(description.metadata), description: digest, version: version)
    }

    /// What a session that is shown has to do with these facts.
    package func agreement(with view: SessionView) -> FactsAgreement {
        guard view.status != .deleted else { return .contradicting }
        if DescriptionDigest(SessionDescription(view), view.rdp) == description { return .same }
        return view.version < version ? .behind : .contradicting
    }
}

/// How what is shown of a session stands to its facts.
package enum FactsAgreement: Sendable, Hashable {
    /// It is described alike.
    case same
    /// It is described otherwise, and says that it is older.
    case behind
    /// It is described otherwise, and claims to be as new, or newer.
    case contradicting
}

/// Tells one description of a session from another: of each part the first eight bytes of the SHA-256 of its
/// JSON text. They stand beside the log: whoever changes how a part is written makes them another name
/// (`SessionFacts.indexName`), so that they are made again.
package struct DescriptionDigest: Sendable, Hashable {
    /// Of its name.
    package var name: UInt64
    /// Of the desktop that is recorded, which never changes.
    package var desktop: UInt64
    /// Of how it is recorded.
    package var recording: UInt64
    /// Of how it is kept.
    package var storage: UInt64
    /// Of what people say about it.
    package var metadata: UInt64

    /// The digests of a description; 0 stands for a desktop that is not known.
    init(_ description: SessionDescription, _ desktop: RDPConfig?) {
        name = Self.digest { $0.value(description.name) }
        self.desktop = desktop.map { desktop in Self.digest { desktop.encode(into: &$0) } } ?? 0
        recording = Self.digest { description.recording.encode(into: &$0) }
        storage = Self.digest { description.storage.encode(into: &$0) }
        metadata = Self.digest { description.metadata.encode(into: &$0) }
    }

    init(name: UInt64, desktop: UInt64, recording: UInt64, storage: UInt64, metadata: UInt64) {
        self.name = name
        self.desktop = desktop
        self.recording = recording
        self.storage = storage
        self.metadata = metadata
    }

    mutating func apply(_ change: SessionEvent.Updated) {
        if let new = change.name { name = Self.digest { $0.value(new) } }
        if let new = change.recording { recording = Self.digest { new.encode(into: &$0) } }
        if let new = change.storage { storage = Self.digest { new.encode(into: &$0) } }
        if let new = change.metadata { metadata = Self.digest { new.encode(into: &$0) } }
    }

    var parts: [UInt64] { [name, desktop, recording, storage, metadata] }

    private static func digest(_ write: (inout JSONWriter) -> Void) -> UInt64 {
        var writer = JSONWriter(reserving: 256)
        write(&writer)
        return SHA256.digest(of: writer.bytes).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

extension SessionFacts: HistoryFact {
    /// What keeps the facts of all sessions that there are, where processes begin that want all of them in
    /// memory.
    package static let subscription = Subscription(
        "session-facts", .index, parks: false, holdsBack: false, indexes: [indexName])

    /// Under which name they are kept beside the log. Another form, of digests or of coding, is another name.
    package static let indexName = "session-facts-1"

    /// The types of events that make facts; others change nothing.
    package static let eventTypes: Set<String> = ["SessionCreated", "SessionUpdated", "SessionDeleted"]

    /// Histories of sessions.
    package static func concerns(_ partitionKey: String) -> Bool { Category.bare.contains(partitionKey) }

    /// What an event does. One that was taken in before does nothing.
    /// - Parameter facts: of its session; nil where none are known.
    package static func change(_ facts: SessionFacts?, by event: RecordedEvent) -> FactChange<SessionFacts> {
        guard eventTypes.contains(event.type) else { return .none }
        if let facts, event.sequence <= facts.version { return .none }
        // What this release can't read may have given the session to somebody else.
        guard case .session(let fact)? = try? RecordingEvent(event) else {
            return event.type == "SessionDeleted" ? .remove : .unreadable
        }
        switch fact {
        case .created(let created): return .become(SessionFacts(created, version: event.sequence))
        case .updated(let change):
            guard var facts else { return .none }
            facts.description.apply(change)
            if let metadata = change.metadata { facts.ownership = Ownership(metadata) }
            facts.version = event.sequence
            return .become(facts)
        case .deleted: return .remove
        default: return .none
        }
    }

    /// Whose it is has to be asked of its history.
    package static func unreadable(_ facts: SessionFacts?, at sequence: UInt64) -> SessionFacts? { nil }
}

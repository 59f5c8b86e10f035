internal import Base
internal import EventSourcing

/// What may be changed of a session: its name, and how it is recorded, kept and described.
package struct SessionDescription: Sendable, Hashable {
    /// Its name.
    package var name: String
    /// How it is recorded.
    package var recording: RecordingConfig
    /// How it is kept.
    package var storage: StorageConfig
    /// What people say about it.
    package var metadata: SessionMetadata

    /// What a new session is.
    package init(_ created: SessionEvent.Created) {
        name = created.name
        recording = created.recording
        storage = created.storage
        metadata = created.metadata
    }

    /// What the read model shows of a session.
    package init(_ view: SessionView) {
        name = view.name
        recording = view.recording
        storage = view.storage
        metadata = view.metadata
    }

    /// Takes over a change.
    mutating func apply(_ change: SessionEvent.Updated) {
        name = change.name ?? name
        recording = change.recording ?? recording
        storage = change.storage ?? storage
        metadata = change.metadata ?? metadata
    }

    /// 32 hexadecimal digits that tell one description from another. The same in the log's fold and in the
    /// read model, so that a change can be asked for on what was read.
    package var tag: String {
        var writer = JSONWriter()
        writer.object { json in
            json.member("name", name)
            json.key("recording_config")
            recording.encode(into: &json)
            json.key("storage_config")
            storage.encode(into: &json)
            json.key("metadata")
            metadata.encode(into: &json)
        }
        return Hexadecimal.text(SHA256.digest(of: writer.bytes).prefix(16))
    }
}

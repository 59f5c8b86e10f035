internal import EventSourcing

/// What may be changed of a session: its name, and how it is recorded, kept and described.
public struct SessionDescription: Sendable, Hashable {
    /// Its name.
    public var name: String
    /// How it is recorded.
    public var recording: RecordingConfig
    /// How it is kept.
    public var storage: StorageConfig
    /// What people say about it.
    public var metadata: SessionMetadata

    /// What a new session is.
    public init(_ created: SessionEvent.Created) {
        name = created.name
        recording = created.recording
        storage = created.storage
        metadata = created.metadata
    }

    /// What the read model shows of a session.
    public init(_ view: SessionView) {
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
    public var tag: String {
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

/// Bytes as lower-case hexadecimal digits.
enum Hexadecimal {
    static func text(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes; nil unless `text` is an even number of lower-case digits.
    static func bytes(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        for place in stride(from: 0, to: digits.count, by: 2) {
            guard let high = value(digits[place]), let low = value(digits[place + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x61...0x66: digit - 0x61 + 10
        default: nil
        }
    }
}

internal import Base
internal import EventSourcing

extension SessionEvent.Updated {
    /// Names of the fields that it gives other values, as requests and read models call them, such as `name`
    /// and `metadata.owner`; without values, for records that outlive the session.
    /// - Parameter before: what it changes; nil where that is not known: then what it sets as a whole.
    package func changedFields(from before: SessionDescription?) -> [String] {
        guard let before else { return wholes }
        var names: [String] = []
        if let name, !areIdentical(name, before.name) { names.append("name") }
        if let recording {
            names += Self.difference("recording_config", before.recording.encode, recording.encode)
        }
        if let storage { names += Self.difference("storage_config", before.storage.encode, storage.encode) }
        if let metadata { names += Self.difference("metadata", before.metadata.encode, metadata.encode) }
        return names
    }

    private var wholes: [String] {
        var names: [String] = []
        if name != nil { names.append("name") }
        if recording != nil { names.append("recording_config") }
        if storage != nil { names.append("storage_config") }
        if metadata != nil { names.append("metadata") }
        return names
    }

    /// Members of two objects that are not the same.
    private static func difference(
        _ object: String, _ before: (inout JSONWriter) -> Void, _ after: (inout JSONWriter) -> Void
    ) -> [String] {
        let (before, after) = (members(before), members(after))
        return Set(before.keys).union(after.keys).filter { !areSame(before[$0], after[$0]) }.sorted()
            .map { "\(object).\($0)" }
    }

    private static func members(_ write: (inout JSONWriter) -> Void) -> [String: JSONValue] {
        var writer = JSONWriter()
        write(&writer)
        let members = (try? JSONValue(parsing: writer.bytes))?.members ?? []
        return Dictionary(members.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
    }

    /// Texts code point by code point.
    private static func areSame(_ a: JSONValue?, _ b: JSONValue?) -> Bool {
        switch (a, b) {
        case (.string(let a), .string(let b)): areIdentical(a, b)
        case (.array(let a), .array(let b)): a.count == b.count && zip(a, b).allSatisfy(areSame)
        default: a == b
        }
    }
}

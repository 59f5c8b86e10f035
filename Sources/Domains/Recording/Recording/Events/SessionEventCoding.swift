package import Base
package import EventSourcing

extension SessionEvent {
    /// Writes the payload.
    package func encode(_ version: Int, into writer: inout JSONWriter) {
        writer.object { json in
            json.member("session_id", sessionID)
            switch self {
            case .created(let payload): payload.encodeMembers(version, into: &json)
            case .updated(let payload): payload.encodeMembers(version, into: &json)
            case .started(_, let status): json.member("status", status.rawValue)
            case .paused, .resumed, .deleted: break
            case .stopped(let payload):
                json.member("reason", payload.reason.rawValue)
                json.member("incomplete", payload.incomplete)
                json.member("chunk_count", payload.chunkCount)
                json.member("size_bytes", payload.sizeBytes)
            case .processing(_, let chunkCount): json.member("chunk_count", chunkCount)
            case .completed(let payload):
                json.member("merkle_root", payload.merkleRoot)
                json.member("chunk_count", payload.chunkCount)
                json.member("size_bytes", payload.sizeBytes)
                json.member("sealed_bytes", payload.sealedBytes)
                json.member("incomplete", payload.incomplete)
            case .failed(_, let error): json.member("error", error)
            case .merkleRootComputed(_, let root, let leafCount):
                json.member("root", root)
                json.member("leaf_count", leafCount)
            case .keyExported(_, let keyID): json.member("key_id", keyID)
            case .legalHoldSet(let payload), .legalHoldLifted(let payload):
                json.member("case", payload.caseName)
                json.member("reason", payload.reason)
            case .verified(let payload): payload.encodeMembers(into: &json)
            }
        }
    }

    /// The newest version of a type's schema. Older ones stay readable for ever:
    /// - `SessionCreated` and `SessionUpdated` 1 had to state a desktop and everything of the recording's
    ///   configuration, defaults where nobody had; 2 leaves out what nobody stated, and knows the facts of a
    ///   film.
    static func newestVersion(of type: String) -> Int {
        type == "SessionCreated" || type == "SessionUpdated" ? 2 : 1
    }

    /// Reads a payload; one of an old version becomes what it would be in the newest.
    package init(type: String, version: Int, data: JSONValue) throws(MalformedEvent) {
        guard (1...Self.newestVersion(of: type)).contains(version) else {
            throw MalformedEvent(type: type, text: "unknown version \(version)")
        }
        let json = try FieldReader(type: type, data)
        let id = try json.string("session_id")
        switch type {
        case "SessionCreated": self = .created(try Created(sessionID: id, json, version))
        case "SessionUpdated": self = .updated(try Updated(sessionID: id, json, version))
        case "SessionStarted":
            let status: SessionStatus = try json.choice("status")
            guard status == .starting || status == .recording else {
                throw MalformedEvent(type: type, text: "status is neither starting nor recording")
            }
            self = .started(sessionID: id, status: status)
        case "SessionPaused": self = .paused(sessionID: id)
        case "SessionResumed": self = .resumed(sessionID: id)
        case "SessionStopped":
            self = .stopped(
                Stopped(
                    sessionID: id, reason: try json.choice("reason"), incomplete: try json.bool("incomplete"),
                    chunkCount: try json.integer("chunk_count", NumberBounds.chunkCount),
                    sizeBytes: try json.integer("size_bytes", NumberBounds.sessionBytes)))
        case "SessionProcessing":
            self = .processing(
                sessionID: id, chunkCount: try json.integer("chunk_count", NumberBounds.chunkCount))
        case "SessionCompleted":
            self = .completed(
                Completed(
                    sessionID: id, merkleRoot: try json.string("merkle_root"),
                    chunkCount: try json.integer("chunk_count", NumberBounds.chunkCount),
                    sizeBytes: try json.integer("size_bytes", NumberBounds.sessionBytes),
                    sealedBytes: try json.integer("sealed_bytes", NumberBounds.sessionBytes),
                    incomplete: try json.bool("incomplete")))
        case "SessionFailed": self = .failed(sessionID: id, error: try json.string("error"))
        case "SessionDeleted": self = .deleted(sessionID: id)
        case "MerkleRootComputed":
            self = .merkleRootComputed(
                sessionID: id, root: try json.string("root"),
                leafCount: try json.integer("leaf_count", NumberBounds.chunkCount))
        case "KeyExported": self = .keyExported(sessionID: id, keyID: try json.string("key_id"))
        case "LegalHoldSet": self = .legalHoldSet(try HoldChange(sessionID: id, json))
        case "LegalHoldLifted": self = .legalHoldLifted(try HoldChange(sessionID: id, json))
        case "SessionVerified": self = .verified(try Verified(sessionID: id, json, type: type))
        default: throw MalformedEvent(type: type, text: "unknown type")
        }
    }
}

extension SessionEvent.HoldChange {
    fileprivate init(sessionID: String, _ json: FieldReader) throws(MalformedEvent) {
        self.init(
            sessionID: sessionID, caseName: try json.string("case"), reason: try json.string("reason"))
    }
}

extension SessionEvent.Created {
    /// What version 1 says where nobody has stated a desktop.
    private static let unstatedDesktop = RDPConfig.stated(host: "localhost", username: nil)

    fileprivate func encodeMembers(_ version: Int, into json: inout JSONWriter) {
        json.member("name", name)
        let desktop = version == 1 ? (rdp ?? Self.unstatedDesktop).complete : rdp
        if let desktop {
            json.key("rdp_config")
            desktop.encode(into: &json)
        }
        json.key("recording_config")
        (version == 1 ? recording.complete : recording).encode(into: &json)
        json.key("storage_config")
        storage.encode(into: &json)
        json.key("metadata")
        metadata.encode(into: &json)
        json.key("capture")
        capture.encode(into: &json)
        if version > 1, let media {
            json.key("media")
            media.encode(into: &json)
        }
    }

    fileprivate init(
        sessionID: String, _ json: FieldReader, _ version: Int
    ) throws(MalformedEvent) {
        let isWhole = version == 1
        if isWhole { try json.require(["rdp_config"]) }
        let desktop = try json.optionalObject("rdp_config")
        self.init(
            sessionID: sessionID, name: try json.string("name"), rdp: nil,
            recording: try RecordingConfig(from: try json.object("recording_config"), isWhole: isWhole),
            storage: try StorageConfig(from: try json.object("storage_config")),
            metadata: try SessionMetadata(from: try json.object("metadata")),
            capture: try CaptureConfig(from: try json.object("capture")))
        if let desktop { rdp = try RDPConfig(from: desktop, isWhole: isWhole) }
        if !isWhole, let facts = try json.optionalObject("media") { media = try MediaFacts(from: facts) }
    }
}

extension SessionEvent.Updated {
    fileprivate func encodeMembers(_ version: Int, into json: inout JSONWriter) {
        json.member("name", name)
        if let recording {
            json.key("recording_config")
            (version == 1 ? recording.complete : recording).encode(into: &json)
        }
        if let storage {
            json.key("storage_config")
            storage.encode(into: &json)
        }
        if let metadata {
            json.key("metadata")
            metadata.encode(into: &json)
        }
    }

    fileprivate init(
        sessionID: String, _ json: FieldReader, _ version: Int
    ) throws(MalformedEvent) {
        self.init(sessionID: sessionID)
        name = try json.optionalString("name")
        if let part = try json.optionalObject("recording_config") {
            recording = try RecordingConfig(from: part, isWhole: version == 1)
        }
        if let part = try json.optionalObject("storage_config") { storage = try StorageConfig(from: part) }
        if let part = try json.optionalObject("metadata") { metadata = try SessionMetadata(from: part) }
    }
}

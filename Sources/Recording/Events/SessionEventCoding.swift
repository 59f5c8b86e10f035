public import EventSourcing

extension SessionEvent {
    /// Writes the payload.
    public func encode(_ version: Int, into writer: inout JSONWriter) {
        writer.object { json in
            json.member("session_id", sessionID)
            switch self {
            case .created(let payload): payload.encodeMembers(into: &json)
            case .updated(let payload): payload.encodeMembers(into: &json)
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
            }
        }
    }

    /// Reads a payload.
    public init(type: String, version: Int, data: JSONValue) throws(MalformedEvent) {
        guard version == 1 else { throw MalformedEvent(type: type, text: "unknown version \(version)") }
        let json = try FieldReader(type: type, data)
        let id = try json.string("session_id")
        switch type {
        case "SessionCreated": self = .created(try Created(sessionID: id, json))
        case "SessionUpdated": self = .updated(try Updated(sessionID: id, json))
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
                    chunkCount: try json.integer("chunk_count"), sizeBytes: try json.integer("size_bytes")))
        case "SessionProcessing":
            self = .processing(sessionID: id, chunkCount: try json.integer("chunk_count"))
        case "SessionCompleted":
            self = .completed(
                Completed(
                    sessionID: id, merkleRoot: try json.string("merkle_root"),
                    chunkCount: try json.integer("chunk_count"), sizeBytes: try json.integer("size_bytes"),
                    sealedBytes: try json.integer("sealed_bytes"), incomplete: try json.bool("incomplete")))
        case "SessionFailed": self = .failed(sessionID: id, error: try json.string("error"))
        case "SessionDeleted": self = .deleted(sessionID: id)
        case "MerkleRootComputed":
            self = .merkleRootComputed(
                sessionID: id, root: try json.string("root"), leafCount: try json.integer("leaf_count"))
        case "KeyExported": self = .keyExported(sessionID: id, keyID: try json.string("key_id"))
        case "LegalHoldSet": self = .legalHoldSet(try HoldChange(sessionID: id, json))
        case "LegalHoldLifted": self = .legalHoldLifted(try HoldChange(sessionID: id, json))
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
    fileprivate func encodeMembers(into json: inout JSONWriter) {
        json.member("name", name)
        json.key("rdp_config")
        rdp.encode(into: &json)
        json.key("recording_config")
        recording.encode(into: &json)
        json.key("storage_config")
        storage.encode(into: &json)
        json.key("metadata")
        metadata.encode(into: &json)
        json.key("capture")
        capture.encode(into: &json)
    }

    fileprivate init(sessionID: String, _ json: FieldReader) throws(MalformedEvent) {
        self.init(
            sessionID: sessionID, name: try json.string("name"),
            rdp: try RDPConfig(from: try json.object("rdp_config")),
            recording: try RecordingConfig(from: try json.object("recording_config")),
            storage: try StorageConfig(from: try json.object("storage_config")),
            metadata: try SessionMetadata(from: try json.object("metadata")),
            capture: try CaptureConfig(from: try json.object("capture")))
    }
}

extension SessionEvent.Updated {
    fileprivate func encodeMembers(into json: inout JSONWriter) {
        json.member("name", name)
        if let recording {
            json.key("recording_config")
            recording.encode(into: &json)
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

    fileprivate init(sessionID: String, _ json: FieldReader) throws(MalformedEvent) {
        self.init(sessionID: sessionID)
        name = try json.optionalString("name")
        if let part = try json.optionalObject("recording_config") {
            recording = try RecordingConfig(from: part)
        }
        if let part = try json.optionalObject("storage_config") { storage = try StorageConfig(from: part) }
        if let part = try json.optionalObject("metadata") { metadata = try SessionMetadata(from: part) }
    }
}

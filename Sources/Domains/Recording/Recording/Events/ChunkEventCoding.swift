package import Base
package import EventSourcing

extension ChunkEvent {
    /// Writes the payload.
    package func encode(_ version: Int, into writer: inout JSONWriter) {
        writer.object { json in
            json.member("chunk_id", chunk.chunkID)
            json.member("session_id", chunk.sessionID)
            json.member("sequence_number", chunk.sequenceNumber)
            switch self {
            case .recorded(let payload): payload.encodeMembers(into: &json)
            case .compressed(let payload): payload.encodeMembers(into: &json)
            case .sealed(let payload), .validated(let payload):
                payload.encodeMembers(pathName: "spool_path", into: &json)
            case .stored(let payload): payload.encodeMembers(pathName: "storage_path", into: &json)
            case .failed(_, let stage, let attempts, let causes):
                json.member("stage", stage)
                json.member("attempts", attempts)
                json.member("causes", causes)
            case .deleted: break
            }
        }
    }

    /// The newest version of a type's schema. Older ones stay readable for ever:
    /// - `ChunkFailed` 1 had one text, `error`; 2 has the whole stack, `causes`, outermost first.
    /// - `ChunkRecorded` 1 did not know `dropped_frames` and `quality_score`.
    static func newestVersion(of type: String) -> Int {
        type == "ChunkFailed" || type == "ChunkRecorded" ? 2 : 1
    }

    /// Reads a payload; one of an old version becomes what it would be in the newest.
    package init(type: String, version: Int, data: JSONValue) throws(MalformedEvent) {
        guard (1...Self.newestVersion(of: type)).contains(version) else {
            throw MalformedEvent(type: type, text: "unknown version \(version)")
        }
        let json = try FieldReader(type: type, data)
        let chunk = ChunkReference(
            sessionID: try json.string("session_id"),
            sequenceNumber: try json.integer("sequence_number", NumberBounds.sequenceNumber),
            chunkID: try json.string("chunk_id"))
        switch type {
        case "ChunkRecorded": self = .recorded(try Recorded(chunk, json, version))
        case "ChunkCompressed": self = .compressed(try Compressed(chunk, json))
        case "ChunkSealed": self = .sealed(try Sealed(chunk, pathName: "spool_path", json))
        case "ChunkValidated": self = .validated(try Sealed(chunk, pathName: "spool_path", json))
        case "ChunkStored": self = .stored(try Sealed(chunk, pathName: "storage_path", json))
        case "ChunkFailed":
            self = .failed(
                chunk, stage: try json.string("stage"),
                attempts: try json.integer("attempts", NumberBounds.attempts),
                causes: try Self.causes(json, version))
        case "ChunkDeleted": self = .deleted(chunk)
        default: throw MalformedEvent(type: type, text: "unknown type")
        }
    }
}

extension ChunkEvent {
    private static func causes(_ json: FieldReader, _ version: Int) throws(MalformedEvent) -> [String] {
        if version == 1 { return [try json.string("error")] }
        let causes = try json.strings("causes")
        guard !causes.isEmpty else {
            throw MalformedEvent(type: "ChunkFailed", text: "causes is missing or empty")
        }
        return causes
    }
}

/// The codec's output against the original, at most 1; 0 for an empty chunk.
func compressionRatio(_ compressed: Int, of original: Int) -> Double {
    min(1, max(0, .quotient(Double(compressed), by: Double(original))))
}

extension ChunkContent {
    fileprivate func encodeMembers(into json: inout JSONWriter) {
        json.member("size_bytes", sizeBytes)
        json.member("content_digest", digest)
        json.member("key_id", keyID)
        json.member("cipher", cipher)
    }

    fileprivate init(_ json: FieldReader) throws(MalformedEvent) {
        self.init(
            sizeBytes: try json.integer("size_bytes", NumberBounds.chunkBytes),
            digest: try json.string("content_digest"),
            keyID: try json.string("key_id"), cipher: try json.string("cipher"))
    }
}

extension ChunkEvent.Recorded {
    fileprivate func encodeMembers(into json: inout JSONWriter) {
        content.encodeMembers(into: &json)
        json.member("codec", codec)
        json.member("timestamp", capturedAt)
        json.member("duration_seconds", durationSeconds)
        json.member("frame_count", frameCount)
        json.member("dropped_frames", droppedFrames)
        json.member("quality_score", qualityScore)
        json.member("spool_path", spoolPath)
    }

    fileprivate init(
        _ chunk: ChunkReference, _ json: FieldReader, _ version: Int
    ) throws(MalformedEvent) {
        self.init(
            chunk: chunk, content: try ChunkContent(json), codec: try json.string("codec"),
            capturedAt: try json.time("timestamp"),
            durationSeconds: try json.number("duration_seconds", NumberBounds.seconds),
            frameCount: try json.integer("frame_count", NumberBounds.frames),
            droppedFrames: version == 1 ? 0 : try json.integer("dropped_frames", NumberBounds.frames),
            qualityScore: version == 1 ? nil : try json.optionalNumber("quality_score", NumberBounds.quality),
            spoolPath: try json.string("spool_path"))
    }
}

extension ChunkEvent.Compressed {
    fileprivate func encodeMembers(into json: inout JSONWriter) {
        content.encodeMembers(into: &json)
        json.member("codec", codec)
        json.member("compressed_bytes", compressedBytes)
        json.member("compression_ratio", compressionRatio)
        json.member("processing_ms", processingMilliseconds.asWork)
        json.member("spool_path", spoolPath)
    }

    fileprivate init(_ chunk: ChunkReference, _ json: FieldReader) throws(MalformedEvent) {
        _ = try json.optionalNumber("compression_ratio", NumberBounds.ratio)
        self.init(
            chunk: chunk, content: try ChunkContent(json), codec: try json.string("codec"),
            compressedBytes: try json.integer("compressed_bytes", NumberBounds.chunkBytes),
            processingMilliseconds: try json.number("processing_ms", NumberBounds.work_ms),
            spoolPath: try json.optionalString("spool_path"))
    }

    /// The codec's output against the original; at most 1.
    var compressionRatio: Double { Recording.compressionRatio(compressedBytes, of: content.sizeBytes) }
}

extension ChunkEvent.Sealed {
    fileprivate func encodeMembers(pathName: StaticString, into json: inout JSONWriter) {
        content.encodeMembers(into: &json)
        json.member("codec", codec)
        json.member("compressed_bytes", compressedBytes)
        json.member("compression_ratio", compressionRatio)
        json.member("sealed_bytes", sealedBytes)
        json.member("merkle_hash", merkleHash)
        json.member("processing_ms", processingMilliseconds.asWork)
        json.member(pathName, path)
    }

    fileprivate init(_ chunk: ChunkReference, pathName: String, _ json: FieldReader) throws(MalformedEvent) {
        _ = try json.optionalNumber("compression_ratio", NumberBounds.ratio)
        self.init(
            chunk: chunk, content: try ChunkContent(json), codec: try json.string("codec"),
            compressedBytes: try json.integer("compressed_bytes", NumberBounds.chunkBytes),
            sealedBytes: try json.integer("sealed_bytes", NumberBounds.sealedBytes),
            merkleHash: try json.string("merkle_hash"),
            processingMilliseconds: try json.number("processing_ms", NumberBounds.work_ms),
            path: try json.optionalString(pathName))
    }

    /// The codec's output against the original; at most 1.
    package var compressionRatio: Double {
        Recording.compressionRatio(compressedBytes, of: content.sizeBytes)
    }
}

extension Double {
    /// Milliseconds of work within their bounds: a process that was frozen for longer has not worked.
    fileprivate var asWork: Double {
        isNaN ? 0 : min(max(self, NumberBounds.work_ms.lowerBound), NumberBounds.work_ms.upperBound)
    }
}

package import Base
package import EventSourcing

// JSON forms of the configurations, the same in events and in read models.

extension RDPConfig {
    /// Writes the object.
    package func encode(into json: inout JSONWriter) { json.object(encodeStated) }

    /// Reads the object.
    /// - Parameter isWhole: whether everything is stated that has a default.
    package init(from json: FieldReader, isWhole: Bool) throws(MalformedEvent) {
        self.init(host: "", username: "")
        try read(json, isWhole: isWhole)
    }
}

extension RecordingConfig {
    /// Writes the object.
    package func encode(into json: inout JSONWriter) { json.object(encodeStated) }

    /// Reads the object.
    /// - Parameter isWhole: whether everything is stated that has a default.
    package init(from json: FieldReader, isWhole: Bool) throws(MalformedEvent) {
        self.init()
        try read(json, isWhole: isWhole)
    }
}

extension StorageConfig {
    /// Writes the object.
    package func encode(into json: inout JSONWriter) { json.object(encodeStated) }

    /// Reads the object.
    package init(from json: FieldReader) throws(MalformedEvent) {
        self.init()
        try read(json, isWhole: true)
    }
}

extension SessionMetadata {
    /// Writes the object.
    package func encode(into json: inout JSONWriter) { json.object(encodeStated) }

    /// Reads the object.
    package init(from json: FieldReader) throws(MalformedEvent) {
        self.init()
        try read(json, isWhole: true)
    }
}

extension CaptureConfig {
    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("source", source.rawValue)
            json.member("chunk_size_bytes", chunkSizeBytes)
        }
    }

    /// Reads the object.
    package init(from json: FieldReader) throws(MalformedEvent) {
        self.init(
            source: try json.choice("source"),
            chunkSizeBytes: try json.integer("chunk_size_bytes", NumberBounds.chunkSize))
    }
}

package import Base
package import EventSourcing

// JSON forms of the configurations, the same in events and in read models.

extension RDPConfig {
    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("host", host)
            json.member("port", port)
            json.member("username", username)
            json.member("domain", domain)
            json.member("use_tls", useTLS)
            json.member("ignore_cert", ignoreCertificate)
        }
    }

    /// Reads the object.
    /// - Parameter isWhole: whether everything is stated that has a default.
    package init(from json: FieldReader, isWhole: Bool) throws(MalformedEvent) {
        if isWhole { try json.require(["port", "username", "use_tls", "ignore_cert"]) }
        self.init(host: try json.string("host"), username: "")
        username = try json.optionalString("username")
        port = try json.optionalInteger("port", NumberBounds.port)
        domain = try json.optionalString("domain")
        useTLS = try json.optionalBool("use_tls")
        ignoreCertificate = try json.optionalBool("ignore_cert")
    }
}

extension RecordingConfig {
    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("frame_rate", frameRate)
            json.member("resolution", resolution)
            json.member("quality", quality)
            json.member("compression", compression)
            json.member("bitrate", bitrate)
            json.member("audio_enabled", audioEnabled)
            json.member("cursor_enabled", cursorEnabled)
        }
    }

    /// Reads the object.
    /// - Parameter isWhole: whether everything is stated that has a default.
    package init(from json: FieldReader, isWhole: Bool) throws(MalformedEvent) {
        if isWhole {
            try json.require(["frame_rate", "resolution", "quality", "audio_enabled", "cursor_enabled"])
        }
        self.init()
        frameRate = try json.optionalInteger("frame_rate", NumberBounds.frameRate)
        resolution = try json.optionalString("resolution")
        quality = try json.optionalString("quality")
        compression = try json.string("compression")
        bitrate = try json.optionalInteger("bitrate", NumberBounds.bitrate)
        audioEnabled = try json.optionalBool("audio_enabled")
        cursorEnabled = try json.optionalBool("cursor_enabled")
    }
}

extension StorageConfig {
    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("retention_days", retentionDays)
            json.member("max_size_gb", maxSizeGB)
            json.member("encryption_enabled", encryptionEnabled)
            json.member("compression_enabled", compressionEnabled)
            json.member("backup_enabled", backupEnabled)
            json.member("archive_enabled", archiveEnabled)
        }
    }

    /// Reads the object.
    package init(from json: FieldReader) throws(MalformedEvent) {
        self.init()
        retentionDays = try json.integer("retention_days", NumberBounds.retentionDays)
        maxSizeGB = try json.integer("max_size_gb", NumberBounds.maxSizeGB)
        encryptionEnabled = try json.bool("encryption_enabled")
        compressionEnabled = try json.bool("compression_enabled")
        backupEnabled = try json.bool("backup_enabled")
        archiveEnabled = try json.bool("archive_enabled")
    }
}

extension SessionMetadata {
    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("project", project)
            json.member("environment", environment)
            json.member("tags", tags)
            json.member("description", description)
            json.member("owner", owner)
            json.member("priority", priority)
        }
    }

    /// Reads the object.
    package init(from json: FieldReader) throws(MalformedEvent) {
        self.init()
        project = try json.optionalString("project")
        environment = try json.optionalString("environment")
        tags = try json.strings("tags")
        description = try json.optionalString("description")
        owner = try json.optionalString("owner")
        priority = try json.optionalString("priority")
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

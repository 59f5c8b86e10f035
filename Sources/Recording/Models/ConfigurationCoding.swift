public import EventSourcing

// JSON forms of the configurations, the same in events and in read models.

extension RDPConfig {
    /// Writes the object.
    public func encode(into json: inout JSONWriter) {
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
    public init(from json: FieldReader) throws(MalformedEvent) {
        self.init(host: try json.string("host"), username: try json.string("username"))
        port = try json.integer("port")
        domain = try json.optionalString("domain")
        useTLS = try json.bool("use_tls")
        ignoreCertificate = try json.bool("ignore_cert")
    }
}

extension RecordingConfig {
    /// Writes the object.
    public func encode(into json: inout JSONWriter) {
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
    public init(from json: FieldReader) throws(MalformedEvent) {
        self.init()
        frameRate = try json.integer("frame_rate")
        resolution = try json.string("resolution")
        quality = try json.string("quality")
        compression = try json.string("compression")
        bitrate = try json.optionalInteger("bitrate")
        audioEnabled = try json.bool("audio_enabled")
        cursorEnabled = try json.bool("cursor_enabled")
    }
}

extension StorageConfig {
    /// Writes the object.
    public func encode(into json: inout JSONWriter) {
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
    public init(from json: FieldReader) throws(MalformedEvent) {
        self.init()
        retentionDays = try json.integer("retention_days")
        maxSizeGB = try json.integer("max_size_gb")
        encryptionEnabled = try json.bool("encryption_enabled")
        compressionEnabled = try json.bool("compression_enabled")
        backupEnabled = try json.bool("backup_enabled")
        archiveEnabled = try json.bool("archive_enabled")
    }
}

extension SessionMetadata {
    /// Writes the object.
    public func encode(into json: inout JSONWriter) {
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
    public init(from json: FieldReader) throws(MalformedEvent) {
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
    public func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("source", source.rawValue)
            json.member("chunk_size_bytes", chunkSizeBytes)
        }
    }

    /// Reads the object.
    public init(from json: FieldReader) throws(MalformedEvent) {
        self.init(source: try json.choice("source"), chunkSizeBytes: try json.integer("chunk_size_bytes"))
    }
}

import EventSourcing
import Recording

/// Read models in JSON, with the fields of the read models' schemas.
enum ViewJSON {
    static func session(_ view: SessionView, into json: inout JSONWriter) {
        json.object { json in
            json.member("session_id", view.sessionID)
            json.member("name", view.name)
            json.member("status", view.status.rawValue)
            json.member("created_at", view.createdAt)
            time(&json, "started_at", view.startedAt)
            time(&json, "stopped_at", view.stoppedAt)
            json.member("rdp_config") { rdp(view.rdp, into: &$0) }
            json.member("recording_config") { recording(view.recording, into: &$0) }
            json.member("storage_config") { storage(view.storage, into: &$0) }
            json.member("metadata") { metadata(view.metadata, into: &$0) }
            json.member("statistics") { statistics(view.statistics, into: &$0) }
            json.member("updated_at", view.updatedAt)
            json.member("version", view.version)
            json.member("log_position", view.logPosition.description)
        }
    }

    static func chunk(_ view: ChunkView, into json: inout JSONWriter) {
        json.object { json in
            json.member("chunk_id", view.chunkID)
            json.member("session_id", view.sessionID)
            json.member("sequence_number", view.sequenceNumber)
            json.member("timestamp", view.timestamp)
            json.member("status", view.status.rawValue)
            json.member("size_bytes", view.sizeBytes)
            json.member("duration_seconds", view.durationSeconds)
            json.member("frame_count", view.frameCount)
            text(&json, "merkle_hash", view.merkleHash)
            text(&json, "storage_path", view.storagePath)
            json.key("compression_ratio")
            if let ratio = view.compressionRatio { json.value(ratio) } else { json.null() }
            text(&json, "encryption_key_id", view.encryptionKeyID)
            json.member("created_at", view.createdAt)
            time(&json, "processed_at", view.processedAt)
            json.member("updated_at", view.updatedAt)
        }
    }

    static func pagination(_ page: Page, total: Int, into json: inout JSONWriter) {
        json.member("pagination") { json in
            json.member("total", total)
            json.member("limit", page.limit)
            json.member("offset", page.offset)
            json.member("has_next", page.offset + page.limit < total)
            json.member("has_previous", page.offset > 0)
        }
    }

    private static func rdp(_ config: RDPConfig, into json: inout JSONWriter) {
        json.member("host", config.host)
        json.member("port", config.port)
        json.member("username", config.username)
        text(&json, "domain", config.domain)
        json.member("use_tls", config.useTLS)
        json.member("ignore_cert", config.ignoreCertificate)
    }

    private static func recording(_ config: RecordingConfig, into json: inout JSONWriter) {
        json.member("frame_rate", config.frameRate)
        json.member("resolution", config.resolution)
        json.member("quality", config.quality)
        json.member("compression", config.compression)
        json.key("bitrate")
        if let bitrate = config.bitrate { json.value(bitrate) } else { json.null() }
        json.member("audio_enabled", config.audioEnabled)
        json.member("cursor_enabled", config.cursorEnabled)
    }

    private static func storage(_ config: StorageConfig, into json: inout JSONWriter) {
        json.member("retention_days", config.retentionDays)
        json.member("max_size_gb", config.maxSizeGB)
        json.member("encryption_enabled", config.encryptionEnabled)
        json.member("compression_enabled", config.compressionEnabled)
        json.member("backup_enabled", config.backupEnabled)
        json.member("archive_enabled", config.archiveEnabled)
    }

    private static func metadata(_ data: SessionMetadata, into json: inout JSONWriter) {
        text(&json, "project", data.project)
        text(&json, "environment", data.environment)
        json.member("tags", data.tags)
        text(&json, "description", data.description)
        text(&json, "owner", data.owner)
        text(&json, "priority", data.priority)
    }

    private static func statistics(_ sums: SessionStatistics, into json: inout JSONWriter) {
        json.member("duration_seconds", sums.durationSeconds)
        json.member("chunks_count", sums.chunksCount)
        json.member("size_bytes", sums.sizeBytes)
        json.member("frame_count", sums.frameCount)
        json.member("dropped_frames", sums.droppedFrames)
        json.member("error_count", sums.errorCount)
        json.member("average_fps", sums.averageFPS)
        json.member("compression_ratio", sums.compressionRatio)
    }

    private static func text(_ json: inout JSONWriter, _ name: StaticString, _ value: String?) {
        json.key(name)
        if let value { json.value(value) } else { json.null() }
    }

    private static func time(_ json: inout JSONWriter, _ name: StaticString, _ value: Timestamp?) {
        json.key(name)
        if let value { json.value(value) } else { json.null() }
    }
}

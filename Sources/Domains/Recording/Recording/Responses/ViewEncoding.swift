package import Base
internal import EventSourcing

/// In which form a view is written.
package enum ViewForm: Sendable {
    /// As the API answers it: the fields of seed 000's responses.
    case response
    /// As the document of its collection: `schemas/read-models/*.json`.
    case document
}

extension JSONWriter {
    fileprivate mutating func end(
        updatedAt: Timestamp, version: UInt64, position: LogPosition
    ) {
        member("updated_at", updatedAt)
        member("version", version)
        member("log_position", position.description)
    }
}

extension SessionView {
    /// Writes the session. What has no value is there, and null.
    /// - Parameter showsHolds: whether a response has the cases that hold it; a document always has them.
    package func encode(
        into json: inout JSONWriter, as form: ViewForm = .response, showsHolds: Bool = false
    ) {
        json.object { json in
            json.member("session_id", sessionID)
            json.member("name", name)
            json.member("status", status.rawValue)
            json.member("created_at", createdAt)
            json.nullable("started_at", startedAt)
            json.nullable("stopped_at", stoppedAt)
            json.nullable("rdp_config", object: rdp?.encodeShown)
            json.member("recording_config", object: recording.encodeShown)
            json.member("storage_config", object: storage.encodeShown)
            json.member("metadata", object: metadata.encodeShown)
            json.member("statistics", object: statistics.encodeShown)
            switch form {
            case .response:
                json.member("reel", object: encodeExtension)
                if showsHolds { holds.encode(into: &json) }
            case .document:
                json.end(updatedAt: updatedAt, version: version, position: logPosition)
                json.member("reel") { json in
                    holds.encode(into: &json)
                    encodeExtension(&json)
                }
            }
        }
    }
}

extension SessionView {
    /// What the recorded film says of itself, and the last verification.
    func encodeExtension(_ json: inout JSONWriter) {
        json.nullable("media", object: media?.encodeShown)
        json.nullable("verification", object: verification?.encodeShown)
    }
}

extension MediaFacts {
    fileprivate func encodeShown(_ json: inout JSONWriter) {
        json.member("container", container)
        json.member("size_bytes", sizeBytes)
        json.nullable("duration_seconds", durationSeconds)
        json.nullable("width", width)
        json.nullable("height", height)
        json.nullable("frame_rate", frameRate)
        json.nullable("frame_count", frameCount)
        json.member("audio", audio)
    }
}

extension ChunkView {
    /// Writes the chunk. What has no value is there, and null.
    /// - Parameter remarks: what whoever has just uploaded it should know.
    package func encode(
        into json: inout JSONWriter, as form: ViewForm = .response, remarks: [Violation] = []
    ) {
        json.object { json in
            json.member("chunk_id", chunkID)
            json.member("session_id", sessionID)
            json.member("sequence_number", sequenceNumber)
            json.member("timestamp", timestamp)
            json.member("status", status.rawValue)
            json.member("size_bytes", sizeBytes)
            json.member("duration_seconds", durationSeconds)
            json.member("frame_count", frameCount)
            json.nullable("merkle_hash", merkleHash)
            json.nullable("storage_path", storagePath)
            switch form {
            case .response:
                encodeProcessing(into: &json)
                json.remarks(remarks)
            case .document:
                json.nullable("compression_ratio", compressionRatio)
                json.nullable("quality_score", qualityScore)
                json.nullable("encryption_key_id", encryptionKeyID)
                json.member("created_at", createdAt)
                json.nullable("processed_at", processedAt)
                json.end(updatedAt: updatedAt, version: version, position: logPosition)
            }
        }
    }

    /// `processing_info`: null until a stage has done something that it tells of.
    private func encodeProcessing(into json: inout JSONWriter) {
        json.key("processing_info")
        if compressionRatio == nil, encryptionKeyID == nil, qualityScore == nil { return json.null() }
        json.object { json in
            json.nullable("compression_ratio", compressionRatio)
            json.member("encryption_enabled", encryptionKeyID != nil)
            json.nullable("quality_score", qualityScore)
        }
    }
}

extension PipelineView {
    /// Writes the pipeline. What has no value is there, and null.
    package func encode(into json: inout JSONWriter, as form: ViewForm = .response) {
        json.object { json in
            json.member("session_id", sessionID)
            encodeWork(into: &json)
            if form == .document {
                json.member("created_at", createdAt)
                json.end(updatedAt: updatedAt, version: version, position: logPosition)
            }
        }
    }
}

extension PipelineView {
    /// What is said of the work, within an object.
    func encodeWork(into json: inout JSONWriter) {
        json.member("pipeline_status", status)
        json.key("stages")
        json.array { list in for stage in stages { list.object(stage.encodeShown) } }
        json.member("overall_metrics", object: overall.encodeShown)
    }
}

extension StageView {
    fileprivate func encodeShown(_ json: inout JSONWriter) {
        json.member("stage_name", name)
        json.member("status", status.rawValue)
        json.nullable("last_processed", lastProcessed)
        json.member("metrics") { json in
            json.member("items_processed", itemsProcessed)
            json.member("errors_count", errorsCount)
            json.member("processing_time_ms", processing_ms)
            json.member("throughput_per_second", throughputPerSecond)
            json.member("memory_usage_bytes", 0)
            json.member("cpu_usage_percent", 0)
        }
        json.nullable("error_message", errorMessage)
        json.member("retry_count", retryCount)
        json.member("max_retries", maxRetries)
    }
}

extension PipelineMetrics {
    fileprivate func encodeShown(_ json: inout JSONWriter) {
        json.member("total_processing_time_ms", totalProcessing_ms)
        json.member("throughput_fps", throughputFPS)
        json.member("error_rate", errorRate)
        json.member("memory_usage_bytes", memoryUsageBytes)
        json.member("cpu_usage_percent", cpuUsagePercent)
    }
}

extension SessionStatistics {
    func encodeShown(_ json: inout JSONWriter) {
        json.member("duration_seconds", durationSeconds)
        json.member("chunks_count", chunksCount)
        json.member("size_bytes", sizeBytes)
        json.member("frame_count", frameCount)
        json.member("dropped_frames", droppedFrames)
        json.member("error_count", errorCount)
        json.member("average_fps", averageFPS)
        json.member("compression_ratio", compressionRatio)
    }
}

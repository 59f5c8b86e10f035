internal import Base
internal import EventSourcing
package import ReadModels

// The documents of collection `pipeline`; described for other tools in schemas/read-models/pipeline.json.

extension BSONDocument {
    /// The document of one.
    package init(_ pipeline: PipelineView) {
        self.init { pipeline.append(to: &$0) }
    }
}

extension PipelineView {
    func append(to builder: inout BSONBuilder) {
        builder.append("session_id", sessionID)
        builder.append("pipeline_status", status)
        builder.append("stages", array: stages) { builder, key, stage in
            builder.append(key, stage.append)
        }
        builder.append("overall_metrics", overall.append)
        builder.append("created_at", date_ms: createdAt.milliseconds)
        builder.append("updated_at", date_ms: updatedAt.milliseconds)
        builder.append("version", int64: Int64(clamping: version))
        builder.append("log_position", logPosition.description)
    }

    /// Reads a stored document.
    package init(_ fields: BSONFields) throws(BSONError) {
        var stages: [StageView] = []
        for item in try fields.array("stages") {
            guard case .document(let stage) = item else { throw .field("stages") }
            stages.append(try StageView(try stage.fields()))
        }
        let last = EventStamp(
            time: try fields.time("updated_at"), sequence: UInt64(try fields.count("version")),
            position: try fields.position("log_position"))
        self.init(
            sessionID: try fields.string("session_id"), status: try fields.string("pipeline_status"),
            stages: stages, overall: try PipelineMetrics(try fields.document("overall_metrics")),
            createdAt: try fields.time("created_at"), last: last)
    }
}

extension StageView {
    fileprivate func append(to builder: inout BSONBuilder) {
        builder.append("stage_name", name)
        builder.append("status", status.rawValue)
        builder.append("last_processed", date_ms: lastProcessed?.milliseconds)
        builder.append("metrics") { builder in
            builder.append("items_processed", int64: Int64(itemsProcessed))
            builder.append("errors_count", int64: Int64(errorsCount))
            builder.append("processing_time_ms", double: processing_ms)
            builder.append("throughput_per_second", double: throughputPerSecond)
            builder.append("memory_usage_bytes", int64: Int64(0))
            builder.append("cpu_usage_percent", double: 0.0)
        }
        builder.append("error_message", errorMessage)
        builder.append("retry_count", int32: Int32(clamping: retryCount))
        builder.append("max_retries", int32: Int32(clamping: maxRetries))
    }

    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init(name: try fields.string("stage_name"))
        status = try fields.choice("status")
        lastProcessed = try fields.optionalTime("last_processed")
        let metrics = try fields.document("metrics")
        itemsProcessed = try metrics.count("items_processed")
        errorsCount = try metrics.count("errors_count")
        processing_ms = try metrics.amount("processing_time_ms")
        errorMessage = try fields.optionalString("error_message")
        retryCount = try fields.count("retry_count")
        maxRetries = try fields.count("max_retries")
    }
}

extension PipelineMetrics {
    fileprivate func append(to builder: inout BSONBuilder) {
        builder.append("total_processing_time_ms", double: totalProcessing_ms)
        builder.append("throughput_fps", double: throughputFPS)
        builder.append("error_rate", double: errorRate)
        builder.append("memory_usage_bytes", int64: Int64(memoryUsageBytes))
        builder.append("cpu_usage_percent", double: cpuUsagePercent)
    }

    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init()
        totalProcessing_ms = try fields.amount("total_processing_time_ms")
        throughputFPS = try fields.amount("throughput_fps")
        errorRate = try fields.amount("error_rate", NumberBounds.ratio)
        memoryUsageBytes = try fields.count("memory_usage_bytes")
        cpuUsagePercent = try fields.amount("cpu_usage_percent", 0...100)
    }
}

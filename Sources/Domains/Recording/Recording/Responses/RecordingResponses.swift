package import Base
internal import EventSourcing

extension SessionView {
    /// What is said of the session as a recording, within an object.
    fileprivate func encodeRecording(into json: inout JSONWriter) {
        json.member("session_id", sessionID)
        json.member("name", name)
        json.member("status", status.rawValue)
        json.member("created_at", createdAt)
        json.nullable("started_at", startedAt)
        json.nullable("stopped_at", stoppedAt)
        json.member("recording_config", object: recording.encodeShown)
        json.member("statistics", object: statistics.encodeShown)
        json.member("reel", object: encodeExtension)
    }
}

/// What the Recorder says of recordings in a list.
package struct RecordingListResponse: Sendable {
    /// The sessions.
    package var list: SessionListResponse

    /// The same list of sessions, as recordings.
    package init(_ list: SessionListResponse) { self.list = list }

    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.key("recordings")
            json.array { recordings in
                for session in list.sessions {
                    recordings.object { session.encodeRecording(into: &$0) }
                }
            }
            list.pagination.encode(into: &json)
        }
    }
}

/// What the Recorder says of one recording: the session, and how far it has come by the log.
package struct RecordingStatusResponse: Sendable {
    /// The session.
    package var session: SessionView
    /// The session by the log alone.
    package var state: SessionState
    /// Whether whoever records was heard of lately; nil when nobody records.
    package var isRecorderAlive: Bool?
    /// Chunks that wait for one that is missing.
    package var waiting: Int
    /// Bytes that came while the recording was paused, and were thrown away, as far as that is known.
    package var droppedBytes: Int
    package init(
        _ session: SessionView, _ state: SessionState, isRecorderAlive: Bool?, waiting: Int, droppedBytes: Int
    ) {
        self.session = session
        self.state = state
        self.isRecorderAlive = isRecorderAlive
        self.waiting = waiting
        self.droppedBytes = droppedBytes
    }

    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            session.encodeRecording(into: &json)
            json.member("progress") { json in
                json.key("recorder_alive")
                if let isRecorderAlive { json.value(isRecorderAlive) } else { json.null() }
                json.member("incomplete", state.incomplete)
                json.member("next_sequence_number", state.chunkCount +| 1)
                json.member("next_offset", state.sizeBytes)
                json.member("chunks_recorded", state.chunkCount)
                json.member("chunks_stored", state.merkleHashes.count)
                json.member("chunks_failed", state.failures.count)
                json.member("chunks_waiting", waiting)
                json.member("dropped_bytes", droppedBytes)
            }
        }
    }
}

/// What compressing has brought, over all sessions that are not deleted.
package struct CompressionStatsResponse: Sendable {
    /// One codec that a session may name.
    package struct Algorithm: Sendable, Hashable {
        /// Its name.
        package var name: String
        /// The level that chunks are compressed with here; nil where there are no levels.
        package var level: Int?
        package init(name: String, level: Int?) {
            self.name = name
            self.level = level
        }
    }

    /// The sums.
    package var totals: RecordingTotals
    /// What there is.
    package var algorithms: [Algorithm]
    package init(_ totals: RecordingTotals, algorithms: [Algorithm]) {
        self.totals = totals
        self.algorithms = algorithms
    }

    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        let (original, compressed) = (totals.storedOriginalBytes, totals.storedPayloadBytes)
        json.object { json in
            json.member("chunks_count", totals.storedChunks)
            json.member("original_bytes", original)
            json.member("compressed_bytes", compressed)
            json.member("saved_bytes", max(0, original -| compressed))
            json.member(
                "compression_ratio", compressionRatio(compressed, of: original))
            json.member("stored_bytes", totals.storedBytes)
            json.member("default_algorithm", RecordingConfig().compression)
            json.key("algorithms")
            json.array { list in
                for algorithm in algorithms {
                    list.object { json in
                        json.member("name", algorithm.name)
                        json.nullable("level", algorithm.level)
                    }
                }
            }
        }
    }
}

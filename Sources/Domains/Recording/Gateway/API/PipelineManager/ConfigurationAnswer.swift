internal import Base
internal import Recording
internal import APIKit

/// What operators are told of how a process is configured. No address and no path: they may hold secrets.
struct ConfigurationAnswer {
    private let settings: GatewaySettings

    init(_ settings: GatewaySettings) { self.settings = settings }

    var bytes: [UInt8] {
        let process = settings.configuration
        var writer = JSONWriter(reserving: 4096)
        writer.object { json in
            json.member("roles", process.roles)
            json.member("partitions", process.partitions)
            json.member("workers", process.workers)
            json.member("chaining", process.isChaining)
            json.member("chunk_size_bytes", settings.chunkBytes)
            json.member("chunks_ahead", ChunkUpload.window)
            json.member("uploader_idle_seconds", settings.uploaderSeconds)
            json.member("compression") { json in
                json.member("default", RecordingConfig().compression)
                json.member("levels") { json in
                    for (codec, level) in process.compressionLevels {
                        json.key(dynamic: codec)
                        json.value(level)
                    }
                }
            }
            json.key("stages")
            json.array { list in encodeStages(into: &list) }
            json.member("limits_per_minute") { json in
                for kind in RateClass.recording {
                    json.key(dynamic: kind.rawValue)
                    json.value(settings.rates[kind])
                }
            }
            json.key("transitions")
            json.array { list in Self.encodeTransitions(into: &list) }
        }
        return writer.bytes
    }

    private func encodeStages(into list: inout JSONWriter) {
        for (place, name) in PipelineFold.stageNames.enumerated() {
            list.object { json in
                json.member("stage_name", name)
                json.member("depends_on", place == 0 ? [] : [PipelineFold.stageNames[place - 1]])
                json.member("max_retries", StageView(name: name).maxRetries)
                json.member("runs_here", settings.configuration.stages.contains(name))
            }
        }
    }

    /// The pipelines' state machine.
    private static func encodeTransitions(into list: inout JSONWriter) {
        for state in PipelineState.allCases {
            for trigger in PipelineTrigger.allCases {
                guard let next = state.after(trigger) else { continue }
                list.object { json in
                    json.member("from", state.rawValue)
                    json.member("trigger", trigger.rawValue)
                    json.member("to", next.rawValue)
                }
            }
        }
    }
}

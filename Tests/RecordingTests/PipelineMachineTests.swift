import Base
import EventSourcing
import Recording
import Testing

/// DESIGN 3.2 again, state by state, independent of the code.
private let table: [String: [String: String]] = [
    "created": ["start": "starting", "error": "error", "destroy": "destroyed"],
    "starting": ["start_complete": "active", "stop": "stopping", "error": "error"],
    "active": ["pause": "pausing", "stop": "stopping", "error": "error"],
    "pausing": ["pause_complete": "paused", "stop": "stopping", "error": "error"],
    "paused": ["resume": "active", "stop": "stopping", "error": "error"],
    "stopping": ["stop_complete": "stopped", "error": "error"],
    "stopped": ["cleanup": "cleanup", "destroy": "destroyed", "recover": "created"],
    "error": ["recover": "created", "cleanup": "cleanup", "destroy": "destroyed"],
    "cleanup": ["cleanup_complete": "destroyed", "error": "error"],
    "destroyed": [:],
]

private let shown = [
    "created": "inactive", "starting": "inactive", "active": "active", "pausing": "paused",
    "paused": "paused", "error": "error", "stopping": "stopped", "stopped": "stopped",
    "cleanup": "stopped", "destroyed": "stopped",
]

@Suite("The pipeline's state machine")
struct PipelineMachineTests {
    @Test("There are ten states and twelve triggers")
    func size() {
        #expect(Set(PipelineState.allCases.map(\.rawValue)) == Set(table.keys))
        #expect(PipelineState.allCases.count == 10)
        #expect(PipelineTrigger.allCases.count == 12)
        #expect(Set(PipelineTrigger.allCases.map(\.rawValue)) == Set(table.values.flatMap(\.keys)))
    }

    @Test("Every state and trigger pair does what the design says", arguments: PipelineState.allCases)
    func everyPair(from: PipelineState) {
        for trigger in PipelineTrigger.allCases {
            let expected = table[from.rawValue]?[trigger.rawValue]
            #expect(from.after(trigger)?.rawValue == expected, "\(from) by \(trigger)")
            let step = PipelineStep(sessionID: "s", from: from, trigger)
            #expect(step?.to.rawValue == expected)
            #expect((step == nil) == (expected == nil))
        }
    }

    @Test("The read model shows the coarser status", arguments: PipelineState.allCases)
    func readModel(state: PipelineState) {
        #expect(state.readModelStatus == shown[state.rawValue])
    }

    @Test("A step that the machine doesn't have is refused when read")
    func inventedSteps() throws {
        for from in PipelineState.allCases {
            for trigger in PipelineTrigger.allCases {
                for to in PipelineState.allCases where from.after(trigger) != to {
                    let members: [(String, String)] = [
                        ("session_id", "s"), ("from", from.rawValue), ("to", to.rawValue),
                        ("trigger", trigger.rawValue),
                    ]
                    let json = members.map { "\"\($0.0)\":\"\($0.1)\"" }.joined(separator: ",")
                    let data = try JSONValue(parsing: Array("{\(json)}".utf8))
                    #expect(throws: MalformedEvent.self) {
                        try RecordingEvent(type: "PipelineStateChanged", version: 1, data: data)
                    }
                }
            }
        }
    }
}

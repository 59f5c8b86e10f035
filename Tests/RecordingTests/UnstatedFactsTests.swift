import Base
import EventSourcing
import Recording
import Testing

@Suite("What nobody stated")
struct UnstatedFactsTests {
    private let film = SessionEvent.Created(
        sessionID: "s", name: "talk", rdp: nil, recording: .unstated(compression: "zstd"),
        storage: StorageConfig(), metadata: SessionMetadata(),
        capture: CaptureConfig(source: .file, chunkSizeBytes: 1 << 20))

    private func data(_ event: SessionEvent, _ version: Int) throws -> JSONValue {
        var writer = JSONWriter()
        event.encode(version, into: &writer)
        return try JSONValue(parsing: writer.bytes)
    }

    @Test("is absent from events of this format level, and stays so")
    func absent() throws {
        let event = SessionEvent.created(film)
        let version = try #require(event.version(at: .newest))
        let data = try data(event, version)
        #expect(version == 2)
        #expect(data["rdp_config"] == nil && data["media"] == nil)
        #expect(data["recording_config"]?.members?.map(\.name) == ["compression"])
        #expect(try SessionEvent(type: event.typeName, version: version, data: data) == event)
    }

    @Test("has the defaults that always stood there, as long as processes of the first level live")
    func first() throws {
        let event = SessionEvent.created(film)
        let version = try #require(event.version(at: .first))
        #expect(version == 1)
        let data = try data(event, version)
        guard case .created(let read) = try SessionEvent(type: event.typeName, version: 1, data: data) else {
            Issue.record("not read as what it is: \(data)")
            return
        }
        #expect(read.rdp == RDPConfig(host: "localhost", username: "unknown"))
        var config = RecordingConfig()
        config.compression = "zstd"
        #expect(read.recording == config)
    }

    @Test("could not be absent in the first version, and can be in the second")
    func versions() throws {
        var stated = film
        stated.rdp = .stated(host: "desk.example", username: nil)
        let data = try data(.created(stated), 2)
        #expect(throws: MalformedEvent.self) {
            try SessionEvent(type: "SessionCreated", version: 1, data: data)
        }
        #expect(try SessionEvent(type: "SessionCreated", version: 2, data: data) == .created(stated))
    }

    @Test("is refused of a desktop that Reel is to connect to")
    func required() {
        var desktop = film
        desktop.capture.source = .rdp
        #expect(desktop.violations.map(\.field) == ["rdp_config"])
        desktop.rdp = .stated(host: "desk.example", username: nil)
        #expect(desktop.violations.map(\.field) == ["rdp_config.username"])
        desktop.rdp = RDPConfig(host: "desk.example", username: "anna")
        #expect(desktop.violations.isEmpty)
    }
}

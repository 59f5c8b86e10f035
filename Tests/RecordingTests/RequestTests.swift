import Base
import EventSourcing
import Foundation
import Recording
import Testing

/// What is wrong with a body; empty when nothing is.
private func violations<R: RequestBody>(_ type: R.Type, _ json: String) throws -> [Violation] {
    do {
        _ = try R(json: Array(json.utf8))
        return []
    } catch {
        guard case .invalid(let violations) = error else { throw error }
        return violations
    }
}

private func create(_ more: String = "", rdp: String = "") -> String {
    #"{"name":"n","rdp_config":{"host":"h","username":"u"\#(rdp)}\#(more)}"#
}

private func letters(_ count: Int) -> String { String(repeating: "a", count: count) }

@Suite("Bodies of requests")
struct RequestTests {
    @Test("The least request has every default of the seed")
    func defaults() throws {
        let request = try CreateSessionRequest(json: Array(create().utf8))
        #expect(request.sessionID == nil && request.password == nil && request.name == "n")
        #expect(request.rdp == RDPConfig(host: "h", username: "u"))
        #expect(request.recording == RecordingConfig() && request.storage == StorageConfig())
        #expect(request.metadata == SessionMetadata())
        #expect(request.metadata.priority == "normal")
    }

    @Test("Every field is taken over")
    func everything() throws {
        let json = """
            {"session_id":"mine-1","name":"ä","description":"d","rdp_config":{"host":"a.b","port":1,\
            "username":"u","password":"geheim","domain":"D","use_tls":false,"ignore_cert":true},\
            "recording_config":{"frame_rate":60.0,"resolution":"320x240","quality":"low",\
            "compression":"lz4","bitrate":1e3,"audio_enabled":false,"cursor_enabled":false},\
            "storage_config":{"retention_days":1,"max_size_gb":2,"encryption_enabled":false,\
            "compression_enabled":false,"backup_enabled":true,"archive_enabled":true},\
            "metadata":{"project":"p","environment":"e","tags":["a","b"],"description":"other",\
            "owner":"o","priority":null}}
            """
        let request = try CreateSessionRequest(json: Array(json.utf8))
        let payload = request.creation(
            sessionID: "mine-1", owner: "asker", capture: CaptureConfig(source: .rdp, chunkSizeBytes: 4096))
        var writer = JSONWriter()
        RecordingEvent.session(.created(payload)).encode(1, into: &writer)
        #expect(
            writer.text == """
                {"session_id":"mine-1","name":"ä","rdp_config":{"host":"a.b","port":1,"username":"u",\
                "domain":"D","use_tls":false,"ignore_cert":true},"recording_config":{"frame_rate":60,\
                "resolution":"320x240","quality":"low","compression":"lz4","bitrate":1000,\
                "audio_enabled":false,"cursor_enabled":false},"storage_config":{"retention_days":1,\
                "max_size_gb":2,"encryption_enabled":false,"compression_enabled":false,\
                "backup_enabled":true,"archive_enabled":true},"metadata":{"project":"p",\
                "environment":"e","tags":["a","b"],"description":"d","owner":"o"},\
                "capture":{"source":"rdp","chunk_size_bytes":4096}}
                """)
        #expect(request.password?.withBytes { String(decoding: $0, as: UTF8.self) } == "geheim")
        let bare = try CreateSessionRequest(json: Array(create().utf8))
        #expect(
            bare.creation(sessionID: "s", owner: "asker", capture: payload.capture).metadata.owner == "asker")
    }

    @Test("Control characters are refused in every text, with the field's name")
    func controlCharacters() throws {
        let bodies = [
            ("name", #"{"name":"a\u0000","rdp_config":{"host":"h","username":"u"}}"#),
            ("description", create(#","description":"a\u0000b""#)),
            ("rdp_config.username", #"{"name":"n","rdp_config":{"host":"h","username":"a\u001bb"}}"#),
            ("rdp_config.password", create(rdp: #","password":"a\u0000b""#)),
            ("rdp_config.domain", create(rdp: #","domain":"a\rb""#)),
            ("metadata.project", create(#","metadata":{"project":"a\nb"}"#)),
            ("metadata.environment", create(#","metadata":{"environment":"\u007f"}"#)),
            ("metadata.owner", create(#","metadata":{"owner":"a\u0009"}"#)),
            ("metadata.tags", create(#","metadata":{"tags":["a","b\u0000"]}"#)),
            ("metadata.description", create(#","metadata":{"description":"\u2028"}"#)),
        ]
        for (field, body) in bodies {
            #expect(try violations(CreateSessionRequest.self, body).map(\.field) == [field], "\(body)")
        }
        for (field, body) in [
            ("name", #"{"name":"a\u0000"}"#), ("description", #"{"description":"\u0001"}"#),
            ("metadata.tags", #"{"metadata":{"tags":["\u0000"]}}"#),
        ] {
            #expect(try violations(UpdateSessionRequest.self, body).map(\.field) == [field], "\(body)")
        }
        #expect(try violations(CreateSessionRequest.self, create(#","description":"a\r\n\tb""#)) == [])
    }

    @Test("A change to a text that merely looks the same is a change")
    func lookalikes() throws {
        let request = try CreateSessionRequest(json: Array(create(#","metadata":{"owner":"K"}"#).utf8))
        let made = request.creation(
            sessionID: "s", owner: nil, capture: CaptureConfig(source: .rdp, chunkSizeBytes: 4096))
        let body = #"{"metadata":{"owner":"\u212a"}}"#
        let change = try UpdateSessionRequest(json: Array(body.utf8))
        let event = change.event(sessionID: "s", on: SessionDescription(made))
        #expect(event?.metadata?.owner.map { Array($0.utf8) } == Array("\u{212A}".utf8))
    }

    @Test("A password shows in no description")
    func password() throws {
        let request = try CreateSessionRequest(json: Array(create(rdp: #","password":"geheim""#).utf8))
        var dumped = ""
        dump(request, to: &dumped)
        let password = try #require(request.password)
        for text in [dumped, "\(request)", "\(password)", String(reflecting: password)] {
            #expect(!text.contains("geheim"))
        }
        let long = String(repeating: "x", count: 256)
        let failure = #expect(throws: RequestFailure.self) {
            try CreateSessionRequest(json: Array(create(rdp: #","password":"\#(long)""#).utf8))
        }
        #expect(failure?.violations == [Violation("rdp_config.password", "must have 1 to 255 characters")])
        #expect("\(String(describing: failure))".contains("xxx") == false)
    }

    @Test("Every offending field is listed, each once, with its rule")
    func all() throws {
        let json = """
            {"nmae":"x","description":7,"rdp_config":{"host":"a b","port":"22","usrname":"u","use_tls":1},\
            "recording_config":{"frame_rate":0,"resolution":"1x1","quality":null,"bitrate":"fast"},\
            "storage_config":[],"metadata":{"tags":["ok",3],"priority":"urgent","owner":true}}
            """
        let found = try violations(CreateSessionRequest.self, json)
        #expect(
            Set(found) == [
                Violation("name", "is required"),
                Violation("nmae", "is not a field of this request"),
                Violation("description", "must be a string or null"),
                Violation(
                    "rdp_config.host", "must be a host name or an address: letters, digits, '.' and '-'"),
                Violation("rdp_config.port", "must be a whole number"),
                Violation("rdp_config.username", "is required"),
                Violation("rdp_config.usrname", "is not a field of this request"),
                Violation("rdp_config.use_tls", "must be true or false"),
                Violation("recording_config.frame_rate", "must be between 1 and 120"),
                Violation("recording_config.resolution", "must be between 320x240 and 7680x4320"),
                Violation("recording_config.quality", "must not be null"),
                Violation("recording_config.bitrate", "must be a whole number or null"),
                Violation("storage_config", "must be an object"),
                Violation("metadata.tags.1", "must be a string"),
                Violation("metadata.priority", "must be one of: low, normal, high, critical"),
                Violation("metadata.owner", "must be a string or null"),
            ])
        #expect(found.count == Set(found).count)
    }

    @Test(
        "A bound holds at, below and above it, as in the models",
        arguments: [
            (
                "frame_rate", "recording_config", ["1", "120", "1.0", "12e1"],
                ["0", "121", "1.5", "1e30", "-1e30"]
            ),
            ("bitrate", "recording_config", ["1000", "50000000", "null"], ["999", "50000001"]),
            ("retention_days", "storage_config", ["1", "365"], ["0", "366", "null", "\"1\"", "true"]),
            ("max_size_gb", "storage_config", ["1", "1000"], ["0", "1001", "99999999999999999999"]),
            ("port", "rdp_config", ["1", "65535"], ["0", "65536", "-9223372036854775808", "[]"]),
        ])
    func bounds(field: String, section: String, good: [String], bad: [String]) throws {
        func request(_ value: String) -> String {
            section == "rdp_config"
                ? create(rdp: #","\#(field)":\#(value)"#) : create(#","\#(section)":{"\#(field)":\#(value)}"#)
        }
        for value in good { #expect(try violations(CreateSessionRequest.self, request(value)) == []) }
        for value in bad {
            let fields = try violations(CreateSessionRequest.self, request(value)).map(\.field)
            #expect(fields == ["\(section).\(field)"], "\(value)")
        }
    }

    @Test(
        "Texts are bounded by characters of Unicode",
        arguments: [
            ("name", 255, true), ("description", 500, false), ("session_id", 100, true),
        ])
    func lengths(field: String, most: Int, isNeeded: Bool) throws {
        func broken(_ text: String) throws -> [String] {
            let name = field == "name" ? "" : #""name":"n","#
            let json = #"{\#(name)"\#(field)":"\#(text)","rdp_config":{"host":"h","username":"u"}}"#
            return try violations(CreateSessionRequest.self, json).map(\.field)
        }
        let character = field == "session_id" ? "a" : "🎥"
        #expect(try broken(String(repeating: character, count: most)) == [])
        #expect(try broken(String(repeating: character, count: most + 1)) == [field])
        #expect(try broken(character) == [])
        #expect(try broken("") == (isNeeded ? [field] : []))
    }

    @Test("What is no object, or no JSON, or too large, is refused as a whole")
    func wholes() throws {
        for json in ["null", "[]", "7", #""x""#, "true"] {
            #expect(
                try violations(CreateSessionRequest.self, json) == [Violation("body", "must be an object")])
            #expect(
                try violations(UpdateSessionRequest.self, json) == [Violation("body", "must be an object")])
        }
        let nested = String(repeating: "[", count: 9) + String(repeating: "]", count: 9)
        for json in [
            "", "{", "NaN", #"{"a":NaN}"#, #"{"a":1e999}"#, #"{"name":"a","name":"b"}"#, "{} {}", nested,
        ] {
            #expect(throws: RequestFailure.self) { try violations(CreateSessionRequest.self, json) }
        }
        let most = CreateSessionRequest.maximumBytes
        let spaces = String(repeating: " ", count: most - create().utf8.count)
        #expect(try violations(CreateSessionRequest.self, create() + spaces) == [])
        #expect(throws: RequestFailure.tooLarge(bytes: most + 1, most: most)) {
            try CreateSessionRequest(json: Array((create() + spaces + " ").utf8))
        }
    }

    @Test("A flood of unknown fields is answered with a bounded list, and soon")
    func flood() throws {
        let names = (0..<6_000).map { #""k\#($0)":1"# }.joined(separator: ",")
        let found = try violations(CreateSessionRequest.self, "{\(names)}")
        #expect(found.count == RequestReader.maximumViolations)
        let long = letters(10_000)
        let field = try violations(CreateSessionRequest.self, create(#","\#(long)":1"#)).map(\.field)
        #expect(field == [letters(64) + "…"])
    }

    @Test("The largest lawful request, every character escaped, has room")
    func room() throws {
        func escaped(_ count: Int) -> String { String(repeating: #"\ud83c\udfa5"#, count: count) }
        let tags = (0..<10).map { _ in "\"\(escaped(50))\"" }.joined(separator: ",")
        let json = """
            {"name":"\(escaped(255))","description":"\(escaped(500))","rdp_config":{"host":"\(letters(255))",\
            "username":"\(escaped(255))","password":"\(escaped(255))","domain":"\(escaped(255))"},\
            "metadata":{"project":"\(escaped(100))","environment":"\(escaped(50))","tags":[\(tags)],\
            "description":"\(escaped(500))","owner":"\(escaped(100))"}}
            """
        #expect(try violations(CreateSessionRequest.self, json) == [])
    }
}

@Suite("Changes of sessions")
struct UpdateRequestTests {
    private static let current: SessionDescription = {
        var created = History.creation
        created.recording.frameRate = 60
        created.recording.bitrate = 5000
        created.metadata.project = "atlas"
        created.metadata.tags = ["a"]
        return SessionDescription(created)
    }()

    private func event(_ json: String) throws -> SessionEvent.Updated? {
        try UpdateSessionRequest(json: Array(json.utf8)).event(sessionID: "s", on: Self.current)
    }

    @Test("What is absent stays, also within a configuration; null empties what may be empty")
    func merging() throws {
        let changed = try #require(
            try event(
                #"{"recording_config":{"quality":"low","bitrate":null},"metadata":{"project":null,"tags":[]}}"#
            ))
        var recording = Self.current.recording
        recording.quality = "low"
        recording.bitrate = nil
        #expect(changed.recording == recording && recording.frameRate == 60)
        var metadata = Self.current.metadata
        metadata.project = nil
        metadata.tags = []
        #expect(changed.metadata == metadata)
        #expect(changed.name == nil && changed.storage == nil)
    }

    @Test("What changes nothing is no event")
    func nothing() throws {
        for json in [
            "{}", #"{"name":null,"description":null,"recording_config":null,"metadata":null}"#,
            #"{"name":"desk"}"#, #"{"recording_config":{"frame_rate":60}}"#, #"{"storage_config":{}}"#,
        ] {
            #expect(try event(json) == nil, "\(json)")
        }
        #expect(
            try event(#"{"description":"d","metadata":{"description":"e"}}"#)?.metadata?.description == "d")
    }

    @Test("Rules are those of creation, and desktop and id cannot be changed")
    func rules() throws {
        let json = """
            {"session_id":"x","rdp_config":{},"name":"","recording_config":{"frame_rate":121,"bitrate":1},\
            "metadata":{"tags":null},"storage_config":7}
            """
        #expect(
            Set(try violations(UpdateSessionRequest.self, json).map(\.field)) == [
                "session_id", "rdp_config", "name", "recording_config.frame_rate",
                "recording_config.bitrate", "metadata.tags", "storage_config",
            ])
    }

    @Test("The decider changes the description that was read, and no other")
    func decided() throws {
        let created = try History.leading(to: .created)
        let request = try UpdateSessionRequest(json: Array(#"{"name":"new"}"#.utf8))
        var change = SessionEvent.Updated(sessionID: History.sessionID)
        change.name = "new"
        let tag = try #require(Specification.state(after: created).description?.tag)
        given(created).when(.change(request, ifTag: tag)).then(.session(.updated(change)))
        given(created).when(.change(request, ifTag: nil)).then(.session(.updated(change)))
        given(created).when(.change(request, ifTag: "other")).thenRejected(.changedMeanwhile)
        let renamed = created + [.session(.updated(change))]
        given(renamed).when(.change(request, ifTag: tag)).thenRejected(.changedMeanwhile)
        given(renamed).when(.change(request, ifTag: nil)).then()
        given([]).when(.change(request, ifTag: nil)).thenRejected(.notFound)
    }
}
